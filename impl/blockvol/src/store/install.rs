//! Replacing the image (rebuild): untrusted, durably, before the first byte of it is overwritten,
//! and switched to the new base in one durable step.
//!
//! 1. *begin*: the superblock says `extent_bound = MAX`, an empty log at position 0 and no snapshots;
//!    dirty state is dropped, write-back and appends have nothing to work on (F05, F06);
//! 2. chunks are verified and written to the extent, and the extent is synced;
//! 3. *finish*: the superblock names the new base: checkpoint, extent bound, lineage, and an empty
//!    log that begins at `base + 1`.
//!
//! A crash before 3 leaves the marker of step 1: the store opens, can do nothing but be rebuilt,
//! and reports itself untrusted (F33). A crash after 3 leaves the new base.

use std::sync::Arc;

use holdfast_types::{BlockCount, Epoch, Lineage, Lsn};

use super::Store;
use super::damage::KnownDamage;
use super::meta::{Copies, MetaStep};
use crate::disk::DiskError;
use crate::error::{BaseError, Poisoned};
use crate::image::BaseManifest;
use crate::index::DirtyIndex;
use crate::log::entries::Entries;
use crate::positions::Positions;
use crate::superblock::{Floor, LogStart, Superblock};

/// Whether a manifest fits a store and does not contradict itself; its digest apart.
pub(crate) fn check_manifest(
    superblock: &Superblock,
    manifest: &BaseManifest,
) -> Result<(), BaseError> {
    if manifest.volume != superblock.volume {
        return Err(BaseError::WrongVolume {
            expected: superblock.volume,
            found: manifest.volume,
        });
    }
    if manifest.blocks != superblock.blocks {
        return Err(BaseError::WrongSize {
            expected: superblock.blocks,
            found: manifest.blocks,
        });
    }
    let bad = |what| Err(BaseError::BadManifest { what });
    if manifest.extent_bound == Lsn::MAX {
        return bad("the source's image is itself untrusted");
    }
    if manifest.extent_bound < manifest.base_lsn || manifest.base_lsn.0 > u64::MAX / 4 {
        return bad("the extent bound is before the base");
    }
    match manifest.lineage.epoch_at(manifest.base_lsn) {
        None if manifest.base_lsn > Lsn::ZERO => bad("the lineage does not reach the base"),
        Some(epoch) if epoch > superblock.promise.epoch => {
            bad("the base is of an epoch that this store has not promised")
        }
        Some(_) | None => Ok(()),
    }
}

/// A switch to another base, or to none; see [`Store`]. Between begin and finish there is no cut, no
/// other switch and no write-back; what is appended meanwhile goes with the old log.
#[derive(Debug)]
#[must_use]
pub(crate) struct SwitchStep {
    meta: MetaStep,
    start: LogStart,
    extent_bound: Lsn,
    lineage: Lineage,
}

impl SwitchStep {
    /// Writes the superblock.
    pub(crate) fn run(&self) -> Result<(), DiskError> {
        self.meta.run()
    }
}

impl Store {
    /// Begins step 1.
    pub(crate) fn begin_blank(&mut self, blocks: BlockCount) -> Result<SwitchStep, Poisoned> {
        self.begin_switch(Lsn::ZERO, Lsn::MAX, Lineage::default(), blocks)
    }

    /// Takes the result of step 1. Returns what names this install: a later one ends it.
    pub(crate) fn finish_blank(
        &mut self,
        step: SwitchStep,
        result: Result<(), DiskError>,
    ) -> Result<u64, Poisoned> {
        self.finish_switch(step, result)?;
        self.install += 1;
        Ok(self.install)
    }

    /// Step 1 in one go.
    pub(crate) fn blank(&mut self) -> Result<u64, Poisoned> {
        let step = self.begin_blank(self.superblock.blocks)?;
        let result = step.run();
        self.finish_blank(step, result)
    }

    /// Whether an install is the one in force.
    pub(crate) fn check_install(&self, install: u64) -> Result<(), BaseError> {
        self.check_poison()?;
        if self.install == install && self.is_blank() {
            Ok(())
        } else {
            Err(BaseError::InstallEnded)
        }
    }

    /// Begins step 3, after the extent was synced and its digest checked.
    pub(crate) fn begin_new_base(
        &mut self,
        install: u64,
        manifest: &BaseManifest,
    ) -> Result<SwitchStep, BaseError> {
        self.check_install(install)?;
        check_manifest(&self.superblock, manifest)?;
        let mut lineage = manifest.lineage.clone();
        lineage.truncate_to(manifest.base_lsn);
        let blocks = self.superblock.blocks;
        Ok(self.begin_switch(manifest.base_lsn, manifest.extent_bound, lineage, blocks)?)
    }

    /// Takes the result of step 3.
    pub(crate) fn finish_new_base(
        &mut self,
        step: SwitchStep,
        result: Result<(), DiskError>,
    ) -> Result<Positions, Poisoned> {
        self.finish_switch(step, result)?;
        Ok(self.positions())
    }

    pub(crate) fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// Begins to make an empty log after `base`.
    fn begin_switch(
        &mut self,
        base: Lsn,
        extent_bound: Lsn,
        lineage: Lineage,
        blocks: BlockCount,
    ) -> Result<SwitchStep, Poisoned> {
        let start = LogStart {
            lsn: base,
            epoch: lineage.epoch_at(base).unwrap_or(Epoch(0)),
            position: self.tail.position,
            chain: 0,
        };
        let generation = self.log_generation() + 1;
        let meta = self.begin_meta(Copies::Both, |next| {
            next.checkpoint = base;
            next.extent_bound = extent_bound;
            next.durable = base;
            next.lineage = lineage.clone();
            next.start = start;
            next.snapshots.clear();
            next.blocks = blocks;
            next.floor = Floor {
                position: start.position,
                generation,
            };
        })?;
        Ok(SwitchStep {
            meta,
            start,
            extent_bound,
            lineage,
        })
    }

    /// Positions move with the data (F35).
    fn finish_switch(
        &mut self,
        step: SwitchStep,
        result: Result<(), DiskError>,
    ) -> Result<(), Poisoned> {
        let SwitchStep {
            meta,
            start,
            extent_bound,
            lineage,
        } = step;
        let base = start.lsn;
        self.finish_meta(meta, result)?;
        self.entries = Entries::after(base);
        self.operations.clear();
        self.chain = Arc::default();
        self.drained = None;
        self.index = DirtyIndex::default();
        self.recent.reset(base);
        self.revoke_beyond(None);
        self.tail = start;
        self.durable = base;
        self.durable_position = start.position;
        self.committed = extent_bound.min(base);
        self.lineage = lineage;
        self.write_back_error = None;
        self.known_damage = KnownDamage::default();
        self.assert_ordered();
        Ok(())
    }
}
