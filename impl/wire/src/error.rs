//! What can be wrong with bytes from outside, and with a message that was built too large.

use holdfast_types::{BlockRangeError, LineageError};
use thiserror::Error;

use crate::frame_type::FrameType;
use crate::header::VersionRange;

/// Why bytes are no frame. Each ends the connection: after one of them the stream has no known
/// frame boundary, or its sender does not speak this protocol.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// The stream does not begin with the magic.
    #[error("not a holdfast frame: magic {found:02x?}")]
    Magic {
        /// The four bytes found.
        found: [u8; 4],
    },
    /// The header's checksum does not match.
    #[error("header checksum {found:#010x}, computed {computed:#010x}")]
    HeaderChecksum {
        /// In the frame.
        found: u32,
        /// Over the bytes received.
        computed: u32,
    },
    /// A version that this node does not speak.
    #[error("protocol version {found}, supported is {supported}")]
    Version {
        /// The frame's version.
        found: u16,
        /// What this node speaks.
        supported: VersionRange,
    },
    /// A type that this version does not know.
    #[error("unknown frame type {found}")]
    UnknownType {
        /// The number found.
        found: u16,
    },
    /// A frame of another type than the only one that may begin the stream.
    #[error("{found:?} where {expected:?} begins the stream")]
    NotFirst {
        /// The frame's type.
        found: FrameType,
        /// What begins the stream.
        expected: FrameType,
    },
    /// A payload above the cap of its type; nothing was allocated for it.
    #[error("{frame_type:?} payload of {length} bytes, at most {limit} are allowed")]
    TooLong {
        /// The frame's type.
        frame_type: FrameType,
        /// The length that the header claims.
        length: u32,
        /// The cap.
        limit: u32,
    },
    /// The payload's checksum does not match.
    #[error("{frame_type:?} payload checksum {found:#010x}, computed {computed:#010x}")]
    PayloadChecksum {
        /// The frame's type.
        frame_type: FrameType,
        /// In the header.
        found: u32,
        /// Over the bytes received.
        computed: u32,
    },
    /// The payload ends inside a field.
    #[error("payload ends inside {field}")]
    Truncated {
        /// The field.
        field: &'static str,
    },
    /// The payload goes on after its last field.
    #[error("{extra} bytes after the last field")]
    TrailingBytes {
        /// How many.
        extra: usize,
    },
    /// A field holds a value that it cannot have.
    #[error("{field} cannot be {value}")]
    Value {
        /// The field.
        field: &'static str,
        /// The value found.
        value: u64,
    },
    /// A text field is not UTF-8.
    #[error("{field} is not UTF-8")]
    Text {
        /// The field.
        field: &'static str,
    },
    /// Two numbers that make no block range.
    #[error("bad block range: {0}")]
    Range(BlockRangeError),
    /// A list that is no lineage.
    #[error("bad lineage: {0}")]
    Lineage(LineageError),
}

impl From<BlockRangeError> for WireError {
    fn from(error: BlockRangeError) -> Self {
        Self::Range(error)
    }
}

impl From<LineageError> for WireError {
    fn from(error: LineageError) -> Self {
        Self::Lineage(error)
    }
}

/// Why a message cannot be sent. A caller that keeps the documented bounds never meets it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// The payload would pass the cap of its type.
    #[error("{frame_type:?} payload of {length} bytes, at most {limit} are allowed")]
    TooLong {
        /// The frame's type.
        frame_type: FrameType,
        /// The payload's length.
        length: usize,
        /// The cap.
        limit: u32,
    },
    /// An entry whose payload is not what its kind and range ask for.
    #[error("entry {lsn}: payload of {found} bytes, its range asks for {expected}")]
    EntryPayload {
        /// The entry.
        lsn: u64,
        /// Bytes it has.
        found: usize,
        /// Bytes it should have.
        expected: usize,
    },
    /// More items than the message may carry.
    #[error("{items} items in a message that holds at most {limit}")]
    TooMany {
        /// How many there are.
        items: usize,
        /// The most that are allowed.
        limit: usize,
    },
}
