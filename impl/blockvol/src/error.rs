//! What can go wrong, each condition by name, with the facts in it.
//!
//! Three conditions run through all of them: a [`DiskError`] is what the operating system said,
//! and where; a [`Poisoned`] volume met a failure after which nobody knows what the disk holds,
//! and refuses everything but reads until it is opened anew (F14); a [`Damage`] is content that
//! was durable and is not what it was (F10, F11, F21), never to be taken for a clean end.

use std::io;
use std::path::PathBuf;

use holdfast_types::{BlockCount, BlockRange, Epoch, Lsn, SessionId, VolumeId};
use thiserror::Error;

use crate::image::{ChunkDigest, ImageDigest};

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
}

impl std::fmt::Display for DiskOp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Punch => "punch",
            Self::Length => "stat",
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
    /// A superblock that is in use is not what was written.
    #[error("superblock: {what}; rebuild this copy from another")]
    Superblock {
        /// What was found.
        what: String,
    },
}

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

/// Why a step of write-back did not happen. The log keeps everything that was not written back.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum WriteBackError {
    /// The extent refused; the step is tried again (F22).
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The log's own bytes are damaged: write-back stops here, for good (F10).
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// See [`Poisoned`].
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

/// Why blocks could not be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReadError {
    /// The range lies outside the volume (F17).
    #[error("blocks {range} lie outside the volume of {blocks} blocks")]
    OutOfBounds {
        /// The range asked for.
        range: BlockRange,
        /// The size of the volume.
        blocks: BlockCount,
    },
    /// The buffer is not of the range's size.
    #[error("a buffer of {found} bytes for {expected} bytes of blocks")]
    BufferSize {
        /// The bytes of the range.
        expected: u64,
        /// The bytes of the buffer.
        found: u64,
    },
    /// The image is being replaced, or its replacement was interrupted.
    #[error("the image of this store is being replaced: it cannot be read")]
    Untrusted,
    /// Content fails its checksum; it is never served (F21).
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
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

/// Why a base image was not sent, or not installed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BaseError {
    /// The source's own image is not trusted (M30).
    #[error("this store's image is not trusted: it cannot be a rebuild source")]
    SourceUntrusted,
    /// This install has ended: a later one superseded it.
    #[error("this install has ended")]
    InstallEnded,
    /// No such chunk.
    #[error("chunk {index}: the image has {count} chunks")]
    NoSuchChunk {
        /// The chunk asked for.
        index: u64,
        /// The number of chunks.
        count: u64,
    },
    /// The chunk is not of its size.
    #[error("chunk {index} has {found} bytes, {expected} were expected")]
    ChunkSize {
        /// The chunk.
        index: u64,
        /// Its size.
        expected: u64,
        /// What was offered.
        found: u64,
    },
    /// The chunk is not what its digest says.
    #[error("chunk {index} has digest {found}, {expected} was announced")]
    ChunkDigest {
        /// The chunk.
        index: u64,
        /// The digest announced.
        expected: ChunkDigest,
        /// The digest of what came.
        found: ChunkDigest,
    },
    /// The transfer ended too early.
    #[error("chunk {index} was never installed")]
    MissingChunk {
        /// The first one missing.
        index: u64,
    },
    /// The manifest is of another volume.
    #[error("a base of volume {found} for a store of volume {expected}")]
    WrongVolume {
        /// The store's volume.
        expected: VolumeId,
        /// The manifest's.
        found: VolumeId,
    },
    /// The manifest is of another size.
    #[error("a base of {found} blocks for a volume of {expected} blocks")]
    WrongSize {
        /// The store's size.
        expected: BlockCount,
        /// The manifest's.
        found: BlockCount,
    },
    /// The manifest contradicts itself.
    #[error("manifest: {what}")]
    BadManifest {
        /// The contradiction.
        what: &'static str,
    },
    /// The image is not the one that the manifest names.
    #[error("the image has digest {found}, the manifest says {expected}")]
    ImageDigest {
        /// The manifest's.
        expected: ImageDigest,
        /// That of what was installed.
        found: ImageDigest,
    },
    /// The log after the split is no longer held.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// See [`Poisoned`].
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}
