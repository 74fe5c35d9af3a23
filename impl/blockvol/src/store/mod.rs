//! The synchronous core of one store: explicit steps, no clock, no threads, no decisions.
//!
//! Every durable effect is a *step* in three parts: `begin` takes what is to be done under the
//! owner's lock and samples positions, `run` does the I/O and needs no lock, `finish` takes the
//! result. So appends and reads go on while the disk works, and tests and simulators run the same
//! code one part at a time.
//!
//! What it keeps, whatever crash comes between two sectors reaching the disk:
//!
//! * `checkpoint <= extent_bound`, `checkpoint <= durable <= head` ([`crate::Positions`]);
//! * the extent bound is durable before a later effect is written, the checkpoint after its
//!   effects are (F07, F18), and log space is used again only after the superblock that frees it
//!   is durable (F09);
//! * write-back stays at or below `min(committed, durable)` (F95), or `durable` in `best_effort`;
//! * what was cut never comes back (F03); what was durable is never silently missing (F11);
//! * the first failed sync or log write stops the store until it is opened anew (F14).
//!
//! It must never decide what recovery does (T14), and never take time or a network into account.

mod append;
mod damage;
mod facts;
mod flush;
mod install;
mod meta;
mod open;
mod operations;
mod pins;
mod read;
mod repair;
mod scrub;
mod snapshots;
mod sync;
mod truncate;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use holdfast_types::{
    BlockCount, Epoch, Lineage, Lsn, SnapshotId, StoreId, VolumeId, VolumeOperation,
};

use crate::disk::{DiskError, DiskOp, Disks};
use crate::error::{Damage, Poisoned, WriteBackError};
use crate::extent::Extent;
use crate::index::DirtyIndex;
use crate::log::entries::Entries;
use crate::log::ring::Ring;
use crate::log::scan::Meta;
use crate::options::{VolumeOptions, max_entry_blocks};
use crate::positions::{FlushBound, Positions, Promise};
use crate::recent::Recent;
use crate::snapshot::Chain;
use crate::superblock::{LogStart, Superblock};

pub(crate) use append::{AppendGroup, AppendRequest};
pub use damage::DamageReport;
use damage::KnownDamage;
pub use flush::FlushStep;
pub(crate) use install::{SwitchStep, check_manifest};
pub use meta::MetaStep;
pub use open::Recovery;
pub(crate) use open::{format, load_log, load_superblock, log_disk_len, ring_bytes};
pub(crate) use pins::PinId;
pub(crate) use read::ReadPlan;
use scrub::ScrubPlace;
pub use scrub::{ScrubReport, ScrubStep};
pub(crate) use snapshots::{At, read_snapshot, remove_unnamed};
pub use sync::SyncStep;
pub(crate) use truncate::CutStep;

/// See the module.
#[derive(Debug)]
pub struct Store {
    disks: Disks,
    ring: Ring,
    extent: Extent,
    options: VolumeOptions,
    /// As it is on the disk.
    superblock: Superblock,
    /// A superblock write has begun and not finished.
    meta_under_way: bool,
    /// Both slots hold the same.
    settled: bool,
    /// The entries after `superblock.start.lsn`, up to the head.
    entries: Entries,
    /// What stays readable: at or beyond `superblock.start`, ahead of it while a superblock that
    /// moves it is being written.
    retained: LogStart,
    /// The last entry, and where the next one goes.
    tail: LogStart,
    durable: Lsn,
    /// The end of the durable entries.
    durable_position: u64,
    committed: Lsn,
    lineage: Lineage,
    index: DirtyIndex,
    recent: Recent,
    pins: BTreeMap<PinId, pins::Pin>,
    next_pin: PinId,
    /// Raised by every install; the one in force is the last.
    install: u64,
    poisoned: Option<Poisoned>,
    write_back_error: Option<WriteBackError>,
    known_damage: KnownDamage,
    /// How many repairs of the extent there were.
    repairs: u64,
    scrub: ScrubPlace,
    /// The operations beyond the checkpoint, in order.
    operations: VecDeque<(Lsn, VolumeOperation)>,
    chain: Arc<Chain>,
    /// How far a snapshot that was given up is drained. Another one that comes before it, or another
    /// older neighbour, begins anew.
    drained: Option<(SnapshotId, u64)>,
}

impl Store {
    /// The volume.
    #[must_use]
    pub fn volume_id(&self) -> VolumeId {
        self.superblock.volume
    }

    /// The identity of this store.
    #[must_use]
    pub fn store_id(&self) -> StoreId {
        self.superblock.store
    }

    /// The size of the volume, as of the checkpoint.
    #[must_use]
    pub fn blocks(&self) -> BlockCount {
        self.superblock.blocks
    }

    /// Bytes of the log ring.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.ring.bytes()
    }

    /// The largest entry, in blocks of payload.
    #[must_use]
    pub fn max_entry_blocks(&self) -> u64 {
        max_entry_blocks(self.ring.bytes())
    }

    /// Where the store stands.
    #[must_use]
    pub fn positions(&self) -> Positions {
        Positions {
            head: self.tail.lsn,
            durable: self.durable,
            committed: self.committed,
            checkpoint: self.superblock.checkpoint,
            extent_bound: self.superblock.extent_bound,
            retained_from: (!self.is_blank()).then_some(self.retained.lsn),
        }
    }

    /// The last entry and its epoch; `(0, 0)` for the empty log.
    #[must_use]
    pub fn last(&self) -> (Lsn, Epoch) {
        (self.tail.lsn, self.tail.epoch)
    }

    /// The lineage of the whole log, entries that are not durable included.
    #[must_use]
    pub fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// What the store has promised.
    #[must_use]
    pub fn promise(&self) -> Promise {
        self.superblock.promise
    }

    /// The failure that stopped the store, if one did.
    #[must_use]
    pub fn poisoned(&self) -> Option<&Poisoned> {
        self.poisoned.as_ref()
    }

    /// Why the last step of write-back failed, if it did.
    #[must_use]
    pub fn write_back_error(&self) -> Option<&WriteBackError> {
        self.write_back_error.as_ref()
    }

    /// Takes what the primary says is committed, as far as this log reaches (M35); never goes
    /// back (M06). Returns the position in force.
    pub fn set_committed(&mut self, lsn: Lsn) -> Lsn {
        self.committed = self.committed.max(lsn.min(self.tail.lsn));
        self.committed
    }

    /// Changes how far write-back may go.
    pub fn set_flush_bound(&mut self, bound: FlushBound) {
        self.options.flush_bound = bound;
    }

    /// The image.
    pub(crate) fn extent(&self) -> &Extent {
        &self.extent
    }

    /// What is known to be damaged at present.
    #[must_use]
    pub fn damage(&self) -> DamageReport {
        self.known_damage.report()
    }

    /// Takes note of damage that was found.
    pub(crate) fn note_damage(&mut self, damage: &Damage) {
        self.known_damage.note(damage);
    }

    /// The disks of the store.
    #[must_use]
    pub fn disks(&self) -> &Disks {
        &self.disks
    }

    /// Whether the image is unknown: a rebuild has begun and not ended.
    pub(crate) fn is_blank(&self) -> bool {
        self.superblock.extent_bound == Lsn::MAX
    }

    /// Where the log begins, durably; space before it is free.
    pub(crate) fn log_start(&self) -> u64 {
        self.superblock.start.position
    }

    /// Where the next entry goes.
    pub(crate) fn tail_position(&self) -> u64 {
        self.tail.position
    }

    /// The generation of the log: changes whenever what lies beyond the durable start is replaced.
    pub(crate) fn log_generation(&self) -> u64 {
        self.superblock.floor.generation
    }

    pub(crate) fn check_poison(&self) -> Result<(), Poisoned> {
        self.poisoned.clone().map_or(Ok(()), Err)
    }

    /// Stops the store for good (F14); the first failure is the one that is told.
    pub(crate) fn poison(&mut self, cause: DiskError) -> Poisoned {
        self.poisoned
            .get_or_insert_with(|| Poisoned {
                cause: Box::new(cause),
            })
            .clone()
    }

    /// Stops the store because its own durable content is not what it was.
    pub(crate) fn poison_damaged(&mut self, damage: &Damage) -> Poisoned {
        let name = self.disks.log.name().to_owned();
        let source = std::io::Error::new(std::io::ErrorKind::InvalidData, damage.to_string());
        self.poison(DiskError::new(DiskOp::Read, &name, 0, 0, &source))
    }

    /// Stops the store because it cannot do what every copy does.
    fn poison_refused(&mut self, refused: &WriteBackError) -> Poisoned {
        let name = self.disks.extent.name().to_owned();
        let source = std::io::Error::new(std::io::ErrorKind::Unsupported, refused.to_string());
        self.poison(DiskError::new(DiskOp::Write, &name, 0, 0, &source))
    }

    /// The entry at `lsn`, if it is retained.
    fn meta(&self, lsn: Lsn) -> Option<Meta> {
        self.entries.get(lsn)
    }

    /// The point after entry `lsn`, if that is retained or the start itself.
    fn point_after(&self, lsn: Lsn) -> Option<LogStart> {
        if lsn == self.superblock.start.lsn {
            return Some(self.superblock.start);
        }
        self.meta(lsn).map(|meta| LogStart {
            lsn,
            epoch: meta.epoch,
            position: meta.end(),
            chain: meta.checksum,
        })
    }

    fn assert_ordered(&self) {
        let positions = self.positions();
        assert!(
            positions.are_ordered(),
            "positions out of order: {positions}"
        );
    }
}
