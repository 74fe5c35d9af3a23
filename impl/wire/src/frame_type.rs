//! The types of frames, and how long the payload of each may be.

/// What a frame carries. The numbers are the wire's, for ever; a type is never given another
/// meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum FrameType {
    /// Primary: a session begins.
    Hello = 1,
    /// Replica: its facts.
    HelloAck = 2,
    /// Primary: entries of the log.
    Append = 3,
    /// Replica: entries received in order, cumulative.
    Received = 4,
    /// Primary: make durable, then answer.
    Barrier = 5,
    /// Replica: what is durable.
    BarrierAck = 6,
    /// Primary: cut the log.
    Truncate = 7,
    /// Replica: the log is cut, durably.
    Truncated = 8,
    /// Primary: a base follows.
    RebuildBegin = 9,
    /// Replica: it is durably untrusted and ready for the base.
    RebuildReady = 10,
    /// Primary: part of the base.
    RebuildChunk = 11,
    /// Replica: chunks installed and verified so far.
    RebuildProgress = 12,
    /// Primary: the base is complete; what it must amount to.
    Manifest = 13,
    /// Replica: the base is switched in, durably.
    BaseInstalled = 14,
    /// Either: no, and why; ends the session.
    Refusal = 15,
    /// Primary: the session lives, and the committed position.
    Heartbeat = 16,
    /// A request to a node or to the authority, JSON.
    ControlRequest = 17,
    /// The answer to it, JSON.
    ControlReply = 18,
}

const KIB: u32 = 1024;
const MIB: u32 = 1024 * KIB;

impl FrameType {
    /// Every type, in the order of its number.
    pub const ALL: [Self; 18] = [
        Self::Hello,
        Self::HelloAck,
        Self::Append,
        Self::Received,
        Self::Barrier,
        Self::BarrierAck,
        Self::Truncate,
        Self::Truncated,
        Self::RebuildBegin,
        Self::RebuildReady,
        Self::RebuildChunk,
        Self::RebuildProgress,
        Self::Manifest,
        Self::BaseInstalled,
        Self::Refusal,
        Self::Heartbeat,
        Self::ControlRequest,
        Self::ControlReply,
    ];

    /// The type with this number on the wire.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        let index = usize::from(number).checked_sub(1)?;
        Self::ALL.get(index).copied()
    }

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The longest payload of this type, in bytes (F45).
    ///
    /// An append carries at most one entry of 4 MiB or a batch of about that size; a chunk carries
    /// at most 1 MiB of image.
    #[must_use]
    pub const fn payload_limit(self) -> u32 {
        match self {
            Self::Received
            | Self::Barrier
            | Self::BarrierAck
            | Self::Truncate
            | Self::Truncated
            | Self::RebuildReady
            | Self::RebuildProgress
            | Self::BaseInstalled
            | Self::Heartbeat
            | Self::Hello
            | Self::RebuildBegin => 256,
            Self::HelloAck | Self::Manifest => 4 * KIB,
            Self::Refusal => KIB,
            Self::Append => 5 * MIB,
            Self::RebuildChunk => MIB + KIB,
            Self::ControlRequest | Self::ControlReply => MIB,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FrameType;

    #[test]
    fn every_type_is_found_by_its_own_number_and_no_other_number_is_a_type() {
        for (index, frame_type) in FrameType::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(frame_type.number()), index + 1);
            assert_eq!(
                FrameType::from_number(frame_type.number()),
                Some(frame_type)
            );
        }
        assert_eq!(FrameType::from_number(0), None);
        assert_eq!(FrameType::from_number(19), None);
    }
}
