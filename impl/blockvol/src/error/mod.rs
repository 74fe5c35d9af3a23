//! What can go wrong, each condition by name, with the facts in it.
//!
//! Three conditions run through all of them: a [`DiskError`] is what the operating system said,
//! and where; a [`Poisoned`] volume met a failure after which nobody knows what the disk holds,
//! and refuses everything but reads until it is opened anew (F14); a [`Damage`] is content that
//! was durable and is not what it was (F10, F11, F21), never to be taken for a clean end.

mod image;
mod log;
mod store;

use std::io;

use holdfast_types::{BlockRange, Lsn, SnapshotId};
use thiserror::Error;

pub use image::{BaseError, ReadError, RepairError, SnapshotError, WriteBackError};
pub use log::{AppendError, CursorError, PinError, SyncError, TruncateError};
pub use store::{CreateError, FactsError, OpenError, PromiseError};

/// What was asked of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DiskOp {
    /// A positioned read.
    Read,
    /// A positioned write.
    Write,
    /// Making earlier writes durable.
    Sync,
    /// Giving space back; the range reads as zeroes.
    Punch,
    /// Asking for the length.
    Length,
    /// Making a file, or making one longer.
    Make,
    /// Removing a file.
    Remove,
}

impl std::fmt::Display for DiskOp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Punch => "punch",
            Self::Length => "stat",
            Self::Make => "make",
            Self::Remove => "removal",
        })
    }
}

/// An operation that the disk refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{op} of {target} at byte {offset}, {len} bytes: {message}")]
pub struct DiskError {
    /// What was asked.
    pub op: DiskOp,
    /// The file.
    pub target: String,
    /// The first byte.
    pub offset: u64,
    /// The number of bytes.
    pub len: u64,
    /// The kind of failure.
    pub kind: io::ErrorKind,
    /// The operating system's words.
    pub message: String,
}

impl DiskError {
    /// The facts of a failed operation.
    #[must_use]
    pub fn new(op: DiskOp, target: &str, offset: u64, len: u64, source: &io::Error) -> Self {
        Self {
            op,
            target: target.to_owned(),
            offset,
            len,
            kind: source.kind(),
            message: source.to_string(),
        }
    }
}

/// The volume met a failure after which it cannot know what the disk holds.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "the volume stopped after a failure ({cause}); open it anew: what is on the disk is verified then"
)]
pub struct Poisoned {
    /// The first failure.
    pub cause: Box<DiskError>,
}

/// Durable content that is missing or is not what it was.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Damage {
    /// The log ends before a position that was durable.
    #[error(
        "the log is broken after entry {last_good} (byte {at} of the ring): {found}; it was durable up to {durable}; rebuild this copy from another"
    )]
    LogBroken {
        /// The last entry that can be replayed.
        last_good: Lsn,
        /// What was known to be durable, at least.
        durable: Lsn,
        /// The place in the ring, in bytes from its beginning.
        at: u64,
        /// What is there instead of the next entry.
        found: String,
    },
    /// An entry's payload is not what was logged.
    #[error(
        "entry {lsn}: its bytes in the log (byte {at} of the ring) fail their checksum; rebuild this copy from another"
    )]
    LogPayload {
        /// The entry.
        lsn: Lsn,
        /// The place in the ring.
        at: u64,
    },
    /// Blocks of the image are not what was written there.
    #[error("blocks {range} of the image fail their checksums; repair them from another copy")]
    Extent {
        /// The blocks.
        range: BlockRange,
    },
    /// The file of a snapshot is not what was written.
    #[error("snapshot {snapshot}: {what}; rebuild this copy from another")]
    SnapshotFile {
        /// The snapshot.
        snapshot: SnapshotId,
        /// What was found.
        what: String,
    },
    /// Blocks that were copied out for a snapshot are not what was written.
    #[error("blocks {range} of snapshot {snapshot} fail their checksums; another copy has them")]
    SnapshotBlocks {
        /// The snapshot whose file holds them.
        snapshot: SnapshotId,
        /// The blocks.
        range: BlockRange,
    },
    /// A superblock that is in use is not what was written.
    #[error("superblock: {what}; rebuild this copy from another")]
    Superblock {
        /// What was found.
        what: String,
    },
}
