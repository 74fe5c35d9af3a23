//! The messages. Volume, epoch and session stand in the frame, not here.

use bytes::Bytes;
use holdfast_types::{
    BlockCount, BlockRange, Epoch, Lineage, LogEntry, Lsn, ReplicaFacts, ReplicaId, StoreId,
};

use crate::frame_type::FrameType;
use crate::header::VersionRange;
use crate::refusal::Refusal;

/// The most entries in one append.
pub const MAX_BATCH_ENTRIES: usize = 4096;

/// The most blocks in one chunk of a base: 1 MiB.
pub const MAX_CHUNK_BLOCKS: u64 = 256;

/// A SHA-256 digest.
pub type Sha256Digest = [u8; 32];

/// An entry by position and epoch: enough to prove that two logs are equal up to it (T2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition {
    /// The position; [`Lsn::ZERO`] is the beginning of the log.
    pub lsn: Lsn,
    /// The epoch in which the entry there was logged; `Epoch(0)` at the beginning of the log.
    pub epoch: Epoch,
}

impl LogPosition {
    /// The beginning of every log: no entry, no epoch.
    pub const START: Self = Self {
        lsn: Lsn::ZERO,
        epoch: Epoch(0),
    };
}

/// What one side says to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Primary to replica: a session begins, in the epoch and under the number of the frame.
    Hello(Hello),
    /// Replica to primary: the session is taken; the facts as the disk holds them.
    HelloAck(Box<HelloAck>),
    /// Primary to replica: entries, in the order of the log.
    Append(Append),
    /// Replica to primary: every entry up to here is in its log, not necessarily durable.
    Received {
        /// The replica's head.
        lsn: Lsn,
    },
    /// Primary to replica: once the log reaches `lsn`, make it durable and answer.
    Barrier {
        /// The position asked for.
        lsn: Lsn,
    },
    /// Replica to primary: the answer to a barrier of this session.
    BarrierAck {
        /// The position that was asked for.
        asked: Lsn,
        /// What is durable, at least `asked`.
        durable: Lsn,
    },
    /// Primary to replica: forget everything beyond `to`; once, before the first append.
    Truncate {
        /// The last position both logs share.
        to: Lsn,
    },
    /// Replica to primary: nothing beyond `to` is left, and that is durable.
    Truncated {
        /// The replica's head, and its durable position.
        to: Lsn,
    },
    /// Primary to replica: forget the base, a new one follows.
    RebuildBegin(RebuildBegin),
    /// Replica to primary: the untrusted mark is durable; chunks may come.
    RebuildReady,
    /// Primary to replica: part of the base.
    RebuildChunk(RebuildChunk),
    /// Replica to primary: every block before `next_block` is installed and verified.
    RebuildProgress {
        /// The first block that is still missing.
        next_block: u64,
    },
    /// Primary to replica: the base is complete.
    Manifest(Box<Manifest>),
    /// Replica to primary: the new base is switched in, durably.
    BaseInstalled(BaseInstalled),
    /// Either way: refused, and what was expected. Ends the session.
    Refusal(Refusal),
    /// Primary to replica: the session lives; answered by [`Message::Received`].
    Heartbeat {
        /// The last committed entry.
        committed: Lsn,
    },
    /// A request of the control protocol, JSON.
    ControlRequest(Bytes),
    /// An answer of the control protocol, JSON.
    ControlReply(Bytes),
}

impl Message {
    /// The type of the frame that carries this message.
    #[must_use]
    pub const fn frame_type(&self) -> FrameType {
        match self {
            Self::Hello(_) => FrameType::Hello,
            Self::HelloAck(_) => FrameType::HelloAck,
            Self::Append(_) => FrameType::Append,
            Self::Received { .. } => FrameType::Received,
            Self::Barrier { .. } => FrameType::Barrier,
            Self::BarrierAck { .. } => FrameType::BarrierAck,
            Self::Truncate { .. } => FrameType::Truncate,
            Self::Truncated { .. } => FrameType::Truncated,
            Self::RebuildBegin(_) => FrameType::RebuildBegin,
            Self::RebuildReady => FrameType::RebuildReady,
            Self::RebuildChunk(_) => FrameType::RebuildChunk,
            Self::RebuildProgress { .. } => FrameType::RebuildProgress,
            Self::Manifest(_) => FrameType::Manifest,
            Self::BaseInstalled(_) => FrameType::BaseInstalled,
            Self::Refusal(_) => FrameType::Refusal,
            Self::Heartbeat { .. } => FrameType::Heartbeat,
            Self::ControlRequest(_) => FrameType::ControlRequest,
            Self::ControlReply(_) => FrameType::ControlReply,
        }
    }
}

/// The first message of a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hello {
    /// The versions that the primary speaks.
    pub versions: VersionRange,
    /// The size of the volume, which the replica's store must have.
    pub blocks: BlockCount,
    /// The last entry of the primary's log when it said hello. A replica whose log reaches it in
    /// this session holds everything again that it ever acknowledged as received (W1).
    pub head: LogPosition,
    /// The label of the primary, which must be the one that its certificate names.
    pub primary: ReplicaId,
    /// The identity of its store: in this epoch the replica follows no other (F85).
    pub store: StoreId,
}

/// The answer to a hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelloAck {
    /// The version for the rest of the session: the newest that both speak.
    pub version: u16,
    /// The size of the replica's store.
    pub blocks: BlockCount,
    /// Bytes of its log ring: what may be logged and not yet committed is bounded by the smallest.
    pub log_bytes: u64,
    /// What the replica's disk holds, log synced first.
    pub facts: ReplicaFacts,
}

/// Entries in the order of the log. Each one's predecessor is the one before it; the first one's
/// is `previous`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The entry before the first of the batch.
    pub previous: LogPosition,
    /// The primary's committed position.
    pub committed: Lsn,
    /// 1 to [`MAX_BATCH_ENTRIES`] entries.
    pub entries: Vec<LogEntry<Bytes>>,
}

/// Where the base of a rebuild comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RebuildSource {
    /// The live extent, copied while it is written.
    FullBase,
    /// An image at exactly the base position.
    Snapshot,
}

/// A base follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RebuildBegin {
    /// Where it comes from.
    pub source: RebuildSource,
    /// The frozen target of the session.
    pub target: Lsn,
    /// The split: the log replays from here, exclusive (T17).
    pub base_lsn: Lsn,
    /// The size of the image.
    pub blocks: BlockCount,
}

/// Part of a base. Chunks come in ascending order and leave nothing out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebuildChunk {
    /// 1 to [`MAX_CHUNK_BLOCKS`] blocks.
    pub range: BlockRange,
    /// What they hold.
    pub content: ChunkContent,
}

/// What the blocks of a chunk hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChunkContent {
    /// Zeroes.
    Zeroes,
    /// The bytes, and their digest as the source computed it.
    Data {
        /// SHA-256 of `bytes`.
        sha256: Sha256Digest,
        /// `range.count()` blocks.
        bytes: Bytes,
    },
}

/// What a complete base amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The position from which the log replays, exclusive.
    pub base_lsn: Lsn,
    /// Upper bound of the entries whose effects may be in the image.
    pub extent_bound: Lsn,
    /// The size of the image.
    pub blocks: BlockCount,
    /// Digest of the whole: SHA-256 over the SHA-256 digests of the chunks, in order. A chunk that
    /// was sent as zeroes counts with the digest of its zeroes.
    pub sha256: Sha256Digest,
    /// The lineage of the log up to `base_lsn`.
    pub lineage: Lineage,
}

/// The new base is in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BaseInstalled {
    /// The base's position; the log is empty from here.
    pub base_lsn: Lsn,
    /// What replay must pass before the base is trusted.
    pub extent_bound: Lsn,
}
