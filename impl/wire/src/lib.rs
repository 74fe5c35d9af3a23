//! Frames of the replication protocol: what two nodes say to each other about one volume.
//!
//! This crate is a codec without I/O: bytes in, [`Frame`]s out, and back. It promises that
//!
//! - every frame names its protocol version, type, volume, epoch and session (F44), so that a frame
//!   of another volume or of a dead session can be told apart before anything acts on it;
//! - header and payload are covered by one CRC32C each, and a frame that fails either is an error,
//!   never a skip;
//! - no allocation follows from an unchecked length: each type has a cap, and the cap is compared
//!   before a byte of the payload is awaited (F45);
//! - decoding never panics, whatever the bytes.
//!
//! It never decides anything: whether an epoch is stale or a predecessor fits is the business of the
//! state machines of the node. The bytes are specified in `docs/formats.md`.
//!
//! ```
//! use bytes::BytesMut;
//! use holdfast_types::{Epoch, Lsn, SessionId, VolumeId};
//! use holdfast_wire::{Frame, FrameDecoder, Message};
//!
//! let frame = Frame {
//!     volume: VolumeId::random(),
//!     epoch: Epoch(3),
//!     session: SessionId(1),
//!     message: Message::Barrier { lsn: Lsn(42) },
//! };
//! let mut bytes = BytesMut::new();
//! holdfast_wire::encode(&frame, &mut bytes).unwrap();
//!
//! let mut decoder = FrameDecoder::new();
//! decoder.extend(&bytes);
//! assert_eq!(decoder.next_frame().unwrap(), Some(frame));
//! ```

mod codec;
mod error;
mod fields;
mod frame_type;
mod header;
mod message;
mod payload;
mod refusal;

pub use codec::{Frame, FrameDecoder, encode};
pub use error::{EncodeError, WireError};
pub use frame_type::FrameType;
pub use header::{HEADER_LEN, MAGIC, PROTOCOL_VERSION, SUPPORTED_VERSIONS, VersionRange};
pub use message::{
    Append, BaseInstalled, ChunkContent, Hello, HelloAck, LogPosition, MAX_BATCH_ENTRIES,
    MAX_CHUNK_BLOCKS, Manifest, Message, RebuildBegin, RebuildChunk, RebuildSource, Sha256Digest,
};
pub use refusal::{MAX_REFUSAL_TEXT, Refusal};
