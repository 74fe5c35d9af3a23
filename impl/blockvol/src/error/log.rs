//! Why the log did not take, keep, show or give up entries.

use holdfast_types::{BlockCount, BlockRange, Epoch, Lsn};
use thiserror::Error;

use super::{Damage, DiskError, Poisoned, WriteBackError};

/// Why an entry was not appended. Nothing was: LSN and append are one step (F13).
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AppendError {
    /// No room until write-back has freed some. It ends (F23): write-back follows positions.
    #[error("the log is full: {needed} bytes needed, {free} free; entries up to {checkpoint} are written back, up to {bound} may be{}", .write_back_error.as_ref().map(|e| format!("; write-back fails: {e}")).unwrap_or_default())]
    LogFull {
        /// Bytes that the append takes.
        needed: u64,
        /// Bytes that are free for it.
        free: u64,
        /// The checkpoint.
        checkpoint: Lsn,
        /// How far write-back may go at present.
        bound: Lsn,
        /// Why write-back does not get on, when it fails.
        write_back_error: Option<Box<WriteBackError>>,
    },
    /// So many bytes are not yet synced that the log must be synced first.
    #[error("{unsynced} bytes of the log are not yet synced, at most {max} may be: sync first")]
    SyncFirst {
        /// Bytes beyond the durable position.
        unsynced: u64,
        /// The bound of the format.
        max: u64,
    },
    /// The range lies outside the volume (F17).
    #[error("blocks {range} lie outside the volume of {blocks} blocks")]
    OutOfBounds {
        /// The range asked for.
        range: BlockRange,
        /// The size of the volume.
        blocks: BlockCount,
    },
    /// More blocks than an entry of this store takes.
    #[error("an entry of {count} blocks: this log takes at most {max}")]
    TooLarge {
        /// The number of blocks asked for.
        count: u64,
        /// The largest.
        max: u64,
    },
    /// Kind, range and payload do not fit each other.
    #[error("malformed entry: {what}")]
    Malformed {
        /// What does not fit.
        what: &'static str,
    },
    /// The predecessor named is not this log's last entry (M03).
    #[error(
        "predecessor {found_lsn} of epoch {found_epoch} is not the last entry here: {expected_lsn} of epoch {expected_epoch}"
    )]
    Predecessor {
        /// The last entry here.
        expected_lsn: Lsn,
        /// Its epoch (0 for the empty log).
        expected_epoch: Epoch,
        /// The predecessor that was named.
        found_lsn: Lsn,
        /// Its epoch.
        found_epoch: Epoch,
    },
    /// The entry is not `head + 1`.
    #[error("entry {found} offered, {expected} is next")]
    NotNext {
        /// `head + 1`.
        expected: Lsn,
        /// The entry's position.
        found: Lsn,
    },
    /// Epochs never go back, and begin with an epoch-start entry.
    #[error("an entry of epoch {found} cannot follow epoch {last}: {what}")]
    EpochOrder {
        /// The epoch of the last entry.
        last: Epoch,
        /// The epoch of the entry.
        found: Epoch,
        /// The rule.
        what: &'static str,
    },
    /// The epoch is not the promised one (primary), or beyond it (replica).
    #[error("epoch {found}: this store has promised epoch {promised}")]
    EpochNotPromised {
        /// The promised epoch.
        promised: Epoch,
        /// The epoch offered.
        found: Epoch,
    },
    /// A volume operation that makes no sense here.
    #[error("this volume operation is refused: {what}")]
    Operation {
        /// Why.
        what: &'static str,
    },
    /// A restore is under way; writes wait for it.
    #[error("entry {lsn} restores a snapshot: writes wait until it is carried out")]
    Restoring {
        /// The entry.
        lsn: Lsn,
    },
    /// The image is being replaced, or its replacement was interrupted.
    #[error("the image of this store is being replaced: only a rebuild makes it whole")]
    Untrusted,
    /// See [`Poisoned`].
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

/// Why a log could not be made durable.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SyncError {
    /// The position asked for is beyond the head.
    #[error("entry {asked} is not in the log, which ends at {head}")]
    BeyondHead {
        /// The position asked for.
        asked: Lsn,
        /// The head.
        head: Lsn,
    },
    /// What was to be synced was cut from the log meanwhile.
    #[error("entry {asked} was cut from the log while it was waited for")]
    Cut {
        /// The position asked for.
        asked: Lsn,
    },
    /// See [`Poisoned`].
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

/// Why log entries could not be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CursorError {
    /// The log no longer, or not yet, holds what follows the position.
    #[error("entries after {after} are recycled: the log replays after {}", .retained_from.map_or_else(|| "nothing".to_owned(), |l| l.to_string()))]
    Recycled {
        /// The position asked for.
        after: Lsn,
        /// The oldest position from which the log can replay.
        retained_from: Option<Lsn>,
    },
    /// The position is beyond the head: the cursor's log was cut.
    #[error("position {after} is beyond the head {head}")]
    BeyondHead {
        /// The position asked for.
        after: Lsn,
        /// The head.
        head: Lsn,
    },
    /// Content fails its checksum; it is never replicated (F21).
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Why history could not be pinned.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PinError {
    /// A pin on recycled history is refused (F12).
    #[error("entries after {from} are recycled: the log replays after {}", .retained_from.map_or_else(|| "nothing".to_owned(), |l| l.to_string()))]
    Recycled {
        /// The position asked for.
        from: Lsn,
        /// The oldest position from which the log can replay.
        retained_from: Option<Lsn>,
    },
    /// The position is beyond the head.
    #[error("position {from} is beyond the head {head}")]
    BeyondHead {
        /// The position asked for.
        from: Lsn,
        /// The head.
        head: Lsn,
    },
    /// More of the log would be kept from being freed than the pin may keep back.
    #[error(
        "a pin on entries after {from} would keep back {held} bytes of log, and may {max_bytes}"
    )]
    TooLarge {
        /// The position asked for.
        from: Lsn,
        /// Bytes of log from there up to the checkpoint.
        held: u64,
        /// What the pin may keep back.
        max_bytes: u64,
    },
    /// The pin kept back more than it may, or its history was cut or replaced.
    #[error("the pin on entries after {from} was revoked: {why}")]
    Revoked {
        /// Its position.
        from: Lsn,
        /// The reason.
        why: &'static str,
    },
    /// The volume is closed.
    #[error("the volume is closed")]
    Closed,
}

/// Why the log was not cut. Nothing was changed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TruncateError {
    /// Effects beyond the cut may be in the extent: a rebuild is needed.
    #[error(
        "cannot cut to {to}: effects of entries up to {extent_bound} may be in the extent; this copy needs a rebuild"
    )]
    BelowExtent {
        /// The cut asked for.
        to: Lsn,
        /// The extent's bound.
        extent_bound: Lsn,
    },
    /// The cut lies beyond the head.
    #[error("cannot cut to {to}: the log ends at {head}")]
    BeyondHead {
        /// The cut asked for.
        to: Lsn,
        /// The head.
        head: Lsn,
    },
    /// Content fails its checksum.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// See [`Poisoned`].
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}
