//! Why the image was not written, read, copied or replaced.

use holdfast_types::{BlockCount, BlockRange, Lsn, SnapshotId, VolumeId};
use thiserror::Error;

use super::{Damage, DiskError, PinError, Poisoned};
use crate::image::{ChunkDigest, ImageDigest};

/// Why a step of write-back did not happen. The log keeps everything that was not written back.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum WriteBackError {
    /// The extent refused; the step is tried again (F22).
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A volume operation cannot be carried out on this copy, which must be rebuilt: write-back stops
    /// here, for good.
    #[error("entry {lsn} cannot be carried out on this copy: {what}; rebuild it from another")]
    Operation {
        /// The entry.
        lsn: Lsn,
        /// Why not.
        what: &'static str,
    },
    /// The log's own bytes are damaged: write-back stops here, for good (F10). Or blocks of the image
    /// that a snapshot needs: it goes on when they are repaired.
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
    /// A restore is under way; reads wait for it.
    #[error("entry {lsn} restores a snapshot: reads wait until it is carried out")]
    Restoring {
        /// The entry.
        lsn: Lsn,
    },
    /// Content fails its checksum; it is never served (F21).
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
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
    /// A volume operation was carried out while the image was copied, which is then not that of any
    /// one position (F79): the copy begins anew.
    #[error("entry {lsn} changed the volume as a whole while its image was copied: begin anew")]
    OperationMeanwhile {
        /// The entry.
        lsn: Lsn,
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
    /// Content fails its checksum; it never becomes part of a base (F21).
    #[error(transparent)]
    Damaged(#[from] Damage),
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

/// Why damaged blocks were not repaired. Nothing was changed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RepairError {
    /// The range lies outside the volume (F17).
    #[error("blocks {range} lie outside the volume of {blocks} blocks")]
    OutOfBounds {
        /// The range offered.
        range: BlockRange,
        /// The size of the volume.
        blocks: BlockCount,
    },
    /// The content is not of the range's size.
    #[error("{found} bytes for {expected} bytes of blocks")]
    Size {
        /// The bytes of the range.
        expected: u64,
        /// The bytes offered.
        found: u64,
    },
    /// Nothing says that the content of that position is that of the present checkpoint.
    #[error("content as of {at} cannot repair an image as of {checkpoint}: {what}; fetch it again")]
    Position {
        /// The position of the content offered.
        at: Lsn,
        /// The position of the image.
        checkpoint: Lsn,
        /// Why not.
        what: &'static str,
    },
    /// The content is not what was logged.
    #[error("this is not the payload of entry {lsn}")]
    NotTheEntry {
        /// The entry.
        lsn: Lsn,
    },
    /// The entry is not in the log, or its header is damaged too.
    #[error("entry {lsn} cannot be repaired in place: rebuild this copy from another")]
    NoSuchEntry {
        /// The entry.
        lsn: Lsn,
    },
    /// The image is being replaced, or its replacement was interrupted.
    #[error("the image of this store is being replaced: only a rebuild makes it whole")]
    Untrusted,
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// See [`Poisoned`].
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

/// Why a snapshot was not read or exported.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SnapshotError {
    /// There is none of this name.
    #[error("no snapshot {snapshot}")]
    NoSuchSnapshot {
        /// The name asked for.
        snapshot: SnapshotId,
    },
    /// The range lies outside the snapshot.
    #[error("blocks {range} lie outside the snapshot of {blocks} blocks")]
    OutOfBounds {
        /// The range asked for.
        range: BlockRange,
        /// The size of the volume then.
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
    /// Content fails its checksum; it is never served (F21).
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}
