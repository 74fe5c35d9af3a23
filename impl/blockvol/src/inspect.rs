//! Looking at a store at rest: superblocks, lineage, and whether the log is sound. Changes nothing.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use holdfast_types::{BlockCount, Epoch, Lineage, Lsn, SnapshotId, StoreId, VolumeId};

use crate::disk::{self, Disks};
use crate::error::{Damage, OpenError};
use crate::log::ring::Ring;
use crate::positions::{Positions, Promise};
use crate::store::{load_log, load_superblock};
use crate::superblock::{Slots, read_slots};

/// One superblock slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotReport {
    /// It can be used; the one of the greater generation is in force.
    Good {
        /// Its generation.
        generation: u64,
        /// The checkpoint in it.
        checkpoint: Lsn,
    },
    /// It cannot, and why: never written, torn by a crash, or damaged. One good slot is enough.
    Unusable(String),
}

/// What a store at rest holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Its volume.
    pub volume: VolumeId,
    /// Its identity.
    pub store: StoreId,
    /// Its size.
    pub blocks: BlockCount,
    /// Bytes of its log ring.
    pub log_bytes: u64,
    /// Both slots, in the order of the disk.
    pub slots: [SlotReport; 2],
    /// What it has promised.
    pub promise: Promise,
    /// The positions it would open with (`durable`: after the sync that opening makes).
    pub positions: Positions,
    /// The epoch of the last entry; 0 for the empty log.
    pub last_epoch: Epoch,
    /// Its lineage.
    pub lineage: Lineage,
    /// Its snapshots, the oldest first, as of the checkpoint.
    pub snapshots: Vec<SnapshotId>,
    /// Entries in the log.
    pub entries: u64,
    /// Bytes of log that they take.
    pub log_used: u64,
    /// What follows the last entry.
    pub log_end: String,
    /// What is broken, if anything is.
    pub damage: Option<Damage>,
}

impl Inspection {
    /// Whether the store is whole and its image trusted.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damage.is_none() && self.positions.is_trusted()
    }
}

/// Looks at the store in a directory that no process has open.
///
/// # Errors
/// When it is no store, is in use, or cannot be read. Damage of the log is no error but a finding.
pub fn inspect(dir: &Path) -> Result<Inspection, OpenError> {
    inspect_disks(&disk::open_store_read_only(dir)?)
}

/// Looks at a store on given disks.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_disks(disks: &Disks) -> Result<Inspection, OpenError> {
    let superblock = load_superblock(disks)?;
    let slots: Slots = read_slots(&*disks.log)?;
    let ring = Ring::new(Arc::clone(&disks.log), superblock.ring_bytes);
    let loaded = load_log(&superblock, &ring)?;
    let end = &loaded.end;
    let blank = superblock.extent_bound == Lsn::MAX;
    Ok(Inspection {
        slots: slots.map(|slot| match slot {
            Ok(good) => SlotReport::Good {
                generation: good.generation,
                checkpoint: good.checkpoint,
            },
            Err(fault) => SlotReport::Unusable(fault.to_string()),
        }),
        positions: Positions {
            head: end.lsn,
            durable: end.lsn,
            committed: superblock.extent_bound.min(end.lsn),
            checkpoint: superblock.checkpoint,
            extent_bound: superblock.extent_bound,
            retained_from: (!blank).then_some(superblock.start.lsn),
        },
        last_epoch: end.epoch,
        entries: loaded.entries.len() as u64,
        log_used: end.position - superblock.start.position,
        log_end: end.stop.clone(),
        damage: loaded.damage(&ring),
        lineage: loaded.lineage,
        snapshots: superblock
            .snapshots
            .iter()
            .filter(|record| !record.given_up)
            .map(|record| record.id)
            .collect(),
        volume: superblock.volume,
        store: superblock.store,
        blocks: superblock.blocks,
        log_bytes: superblock.ring_bytes,
        promise: superblock.promise,
    })
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "volume      {} ({} blocks)", self.volume, self.blocks)?;
        writeln!(f, "store       {}", self.store)?;
        for (index, slot) in self.slots.iter().enumerate() {
            match slot {
                SlotReport::Good {
                    generation,
                    checkpoint,
                } => writeln!(
                    f,
                    "superblock  {index}: generation {generation}, checkpoint {checkpoint}"
                )?,
                SlotReport::Unusable(why) => writeln!(f, "superblock  {index}: unusable, {why}")?,
            }
        }
        let promise = self.promise;
        write!(
            f,
            "promise     epoch {}, role {}, ",
            promise.epoch, promise.role
        )?;
        match promise.session {
            Some(session) => write!(f, "session {session}, ")?,
            None => f.write_str("no session, ")?,
        }
        writeln!(f, "incarnation {}", promise.incarnation)?;
        writeln!(f, "positions   {}", self.positions)?;
        f.write_str("lineage    ")?;
        for entry in self.lineage.entries() {
            write!(f, " {}:{}", entry.epoch, entry.first)?;
        }
        writeln!(f)?;
        f.write_str("snapshots  ")?;
        for snapshot in &self.snapshots {
            write!(f, " {snapshot}")?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "log         {} entries, {} of {} bytes; then: {}",
            self.entries, self.log_used, self.log_bytes, self.log_end
        )?;
        match (&self.damage, self.positions.is_trusted()) {
            (Some(damage), _) => write!(f, "verdict     DAMAGED: {damage}"),
            (None, false) => f.write_str("verdict     untrusted: only a rebuild makes it whole"),
            (None, true) => f.write_str("verdict     sound"),
        }
    }
}
