//! What the log holds.

use serde::{Deserialize, Serialize};

use crate::{BlockRange, Epoch, Lsn};

/// The largest write as one entry: 1024 blocks, 4 MiB of payload. Larger requests are split.
pub const MAX_ENTRY_BLOCKS: u64 = 1024;

/// What an entry does to the volume when the flusher reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// Replaces the blocks of the range by the payload.
    Write,
    /// The range reads as zeroes from now on and its space may be given back.
    Trim,
    /// The range reads as zeroes from now on.
    WriteZeroes,
    /// The first entry of an epoch; changes no block. A new primary serves nothing before this
    /// entry is committed.
    EpochStart,
    /// Keeps the image as of this entry.
    SnapshotCreate,
    /// Gives a snapshot up.
    SnapshotDelete,
    /// Makes the volume larger.
    Grow,
    /// The volume holds again what a snapshot holds.
    Restore,
}

impl EntryKind {
    /// Whether an entry of this kind names a block range.
    #[must_use]
    pub const fn has_range(self) -> bool {
        match self {
            Self::Write | Self::Trim | Self::WriteZeroes => true,
            Self::EpochStart
            | Self::SnapshotCreate
            | Self::SnapshotDelete
            | Self::Grow
            | Self::Restore => false,
        }
    }

    /// Whether an entry of this kind is a volume operation: it carries an argument of
    /// [`crate::OPERATION_BYTES`] bytes ([`crate::VolumeOperation`]).
    #[must_use]
    pub const fn is_operation(self) -> bool {
        match self {
            Self::Write | Self::Trim | Self::WriteZeroes | Self::EpochStart => false,
            Self::SnapshotCreate | Self::SnapshotDelete | Self::Grow | Self::Restore => true,
        }
    }

    /// Whether an entry of this kind carries a payload of `range.count()` blocks.
    #[must_use]
    pub const fn has_payload(self) -> bool {
        match self {
            Self::Write => true,
            Self::Trim
            | Self::WriteZeroes
            | Self::EpochStart
            | Self::SnapshotCreate
            | Self::SnapshotDelete
            | Self::Grow
            | Self::Restore => false,
        }
    }
}

/// One entry of the log, its checksum apart (which belongs to the format that carries it).
///
/// Two logs that hold an entry with the same `(epoch, lsn)` are equal up to and including it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogEntry<P = Vec<u8>> {
    /// Position, contiguous from 1.
    pub lsn: Lsn,
    /// Epoch in which the entry was first logged; history, never rewritten by replication (F47).
    pub epoch: Epoch,
    /// What it does.
    pub kind: EntryKind,
    /// The blocks it names; `Some` exactly when [`EntryKind::has_range`].
    pub range: Option<BlockRange>,
    /// `range.count() * BLOCK_SIZE` bytes when [`EntryKind::has_payload`], the argument when
    /// [`EntryKind::is_operation`], else empty.
    pub payload: P,
}
