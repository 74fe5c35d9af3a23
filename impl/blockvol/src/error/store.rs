//! Why a store could not be made, opened, asked or bound by a promise.

use std::io;
use std::path::PathBuf;

use holdfast_types::{BlockCount, Epoch, SessionId, StoreId};
use thiserror::Error;

use super::{Damage, DiskError, Poisoned};

/// Why a store could not be made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CreateError {
    /// Nothing is ever created over something that exists (F15).
    #[error(
        "{path} exists already; nothing was changed. Choose another place, or move it away yourself"
    )]
    Exists {
        /// The place.
        path: PathBuf,
    },
    /// The size of the volume is out of bounds.
    #[error("a volume of {blocks} blocks: 1 to {max} are possible")]
    Blocks {
        /// The size asked for.
        blocks: BlockCount,
        /// The largest.
        max: BlockCount,
    },
    /// The size of the log is out of bounds.
    #[error("a log of {bytes} bytes: {min} to {max} are possible")]
    LogBytes {
        /// The size asked for.
        bytes: u64,
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// The operating system refused.
    #[error("making {path}: {message}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The kind of failure.
        kind: io::ErrorKind,
        /// The operating system's words.
        message: String,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Why a store could not be opened. Nothing was changed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OpenError {
    /// Nothing there, or not a store.
    #[error("{target} is no holdfast store: {what}; nothing was changed")]
    NotAStore {
        /// The file or directory.
        target: String,
        /// What was found.
        what: String,
    },
    /// Written by a newer version.
    #[error(
        "{target} has format version {found}, this program knows {supported}: use a newer program; nothing was changed"
    )]
    NewerFormat {
        /// The file.
        target: String,
        /// Its version.
        found: u32,
        /// The newest that is known here.
        supported: u32,
    },
    /// Written by a version whose stores are no longer read.
    #[error(
        "{target} has format version {found}, this program reads {supported}: make the copy anew from another one; nothing was changed"
    )]
    OlderFormat {
        /// The file.
        target: String,
        /// Its version.
        found: u32,
        /// The one that is read here.
        supported: u32,
    },
    /// A file is shorter than its superblock says.
    #[error(
        "{target} has {found} bytes, {expected} were expected: it was cut short; rebuild this copy from another; nothing was changed"
    )]
    Truncated {
        /// The file.
        target: String,
        /// Its length.
        found: u64,
        /// The length that the superblock asks for.
        expected: u64,
    },
    /// Another process has it open.
    #[error("{target} is in use by another process; nothing was changed")]
    Locked {
        /// The file.
        target: String,
    },
    /// Durable content is missing. [`crate::Volume::open_for_rebuild`] opens it all the same,
    /// untrusted.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Why a promise was not made. Nothing was changed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PromiseError {
    /// A newer epoch is promised already.
    #[error("epoch {offered} is stale: this store has promised epoch {promised}")]
    StaleEpoch {
        /// The promised epoch.
        promised: Epoch,
        /// The epoch offered.
        offered: Epoch,
    },
    /// A role can be taken in the promised epoch alone.
    #[error("epoch {offered} is not promised yet (promised: {promised}): fence first")]
    NotFenced {
        /// The promised epoch.
        promised: Epoch,
        /// The epoch offered.
        offered: Epoch,
    },
    /// The epoch has a leader, and it is not the one that was offered; or it has one at all, and a
    /// leader is still to be chosen. Two stores that lead one epoch: the authority was rolled back.
    #[error("epoch {epoch} is led by store {leader}, for ever")]
    Led {
        /// The promised epoch.
        epoch: Epoch,
        /// Its leader.
        leader: StoreId,
    },
    /// A session that is not newer than the last of its epoch.
    #[error("session {offered} is stale: session {last} was admitted in epoch {epoch}")]
    StaleSession {
        /// The epoch.
        epoch: Epoch,
        /// The newest session admitted.
        last: SessionId,
        /// The session offered.
        offered: SessionId,
    },
    /// See [`Poisoned`].
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

/// Why facts could not be reported.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FactsError {
    /// The superblock on the disk is not the one that was written.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// See [`Poisoned`].
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}
