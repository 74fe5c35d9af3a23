//! Snapshots by copy on write: the image as of one position, while the volume goes on.
//!
//! A snapshot is named by the entry that made it ([`SnapshotId`]). Its file holds the blocks that were
//! overwritten since, as they were; every other block is still where it was. Snapshots form a *chain*,
//! oldest first: what is overwritten is copied into the newest one alone, and an older one reads
//! through the younger ones to the image.
//!
//! ```text
//!   snapshot 10      snapshot 25      image
//!   [3]  [8]         [3]  [5]         all blocks
//!    block 8 of snapshot 10: here;  block 5: in snapshot 25;  block 1: in the image
//! ```
//!
//! What is kept, whatever crash comes:
//!
//! * a snapshot is made when write-back has reached its entry, all before it is in the image and
//!   nothing after it (F78, F79), and counts from the superblock that moves the checkpoint to it;
//! * a block is durable in the file, and then named in its map, before it is overwritten: so the map
//!   never names bytes that are not there;
//! * who reads a block from the image looks afterwards whether it was copied out meanwhile (F16);
//! * a snapshot that was given up stays in the chain, unseen, until what older ones read from it was
//!   moved to them.

mod chain;
mod copy;
mod drain;
mod file;

pub(crate) use chain::{Chain, Found, Member};
pub(crate) use copy::{copy_out, pieces, restore};
pub(crate) use drain::{DrainStep, drain};
pub(crate) use file::{SnapshotFault, SnapshotFile};

use holdfast_types::{BlockCount, SnapshotId, SnapshotLabel};

/// The most snapshots of a volume, those given up and not yet gone included: as many as the
/// superblock names.
pub const MAX_SNAPSHOTS: usize = 48;

/// Blocks that are looked up, copied, moved at a time (4 MiB).
pub(crate) const PIECE_BLOCKS: u64 = 1024;

/// What the superblock says of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotRecord {
    pub(crate) id: SnapshotId,
    /// The size of the volume then.
    pub(crate) blocks: BlockCount,
    /// It was deleted; older ones may still read through it.
    pub(crate) given_up: bool,
}

/// A snapshot that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Its name: it holds the effects of entries `1..=id.lsn`, and no later ones.
    pub id: SnapshotId,
    /// Its label.
    pub label: SnapshotLabel,
    /// The size of the volume then.
    pub blocks: BlockCount,
    /// Bytes of storage that its own file takes: what was overwritten since, up to the next snapshot.
    pub bytes: u64,
}
