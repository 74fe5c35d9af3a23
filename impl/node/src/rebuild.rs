//! Rebuilding a copy from a base image and the tail of the log, as state machines without I/O.
//!
//! [`RebuildSource`] is the primary's side, [`RebuildTarget`] the replica's part inside its
//! [`crate::replication::Receiver`]. The tail goes through the ordinary shipper.
//!
//! Rule: `docs/protocol.md`, section 6.

mod rate;
mod source;
mod target;

pub use rate::{ByteRate, LEAST_RATE};
pub use source::{RebuildSource, SourceBounds, SourceError, SourceEvidence, SourceStep};
pub use target::RebuildTarget;

/// Blocks in a chunk; the wire carries what the store digests.
pub(crate) const CHUNK_BLOCKS: u64 = holdfast_wire::MAX_CHUNK_BLOCKS;
