//! Cutting a divergent tail (T9): durable before it counts, and final.
//!
//! 1. the log is synced, so that everything up to the cut is durable;
//! 2. the superblock says where the log now ends and raises the generation: what lies beyond
//!    counts no longer, though its checksums are good (F03). A crash before this leaves the log
//!    as it was, a crash after it the cut log;
//! 3. list and index of entries are made anew from what the log now holds.
//!
//! What is appended while the disk works on 2 and 3 is of the old generation, beyond the cut, and
//! goes with it; so does what a sync of that time proved (F35).

use holdfast_types::{Lineage, Lsn};

use super::Store;
use super::meta::{Copies, MetaStep};
use crate::disk::DiskError;
use crate::error::{Damage, SyncError, TruncateError};
use crate::index::DirtyIndex;
use crate::log::entries::Entries;
use crate::log::ring::Ring;
use crate::log::scan::{Rules, Scan};
use crate::superblock::{Floor, LogStart};

/// A cut; see [`Store`]. Between begin and finish there is no other superblock write, no write-back
/// and no switch of bases.
#[derive(Debug)]
#[must_use]
pub(crate) struct CutStep {
    meta: MetaStep,
    ring: Ring,
    rules: Rules,
    checkpoint: Lsn,
    tail: LogStart,
    lineage: Lineage,
}

/// What the cut log holds.
#[derive(Debug)]
pub(crate) struct CutLog {
    entries: Entries,
    index: DirtyIndex,
    end: Lsn,
    damage: Option<Damage>,
}

impl CutStep {
    /// Steps 2 and 3.
    pub(crate) fn run(&self) -> Result<CutLog, DiskError> {
        self.meta.run()?;
        let mut index = DirtyIndex::default();
        let mut entries = Entries::after(self.rules.start.lsn);
        let scan = Scan::new(&self.ring, self.rules.clone());
        let end = scan.run(|lsn, meta, _, sums| {
            entries.push(meta);
            if lsn > self.checkpoint {
                index.record(lsn, meta.kind, meta.range, sums);
            }
        })?;
        Ok(CutLog {
            entries,
            index,
            end: end.lsn,
            damage: end.damage(&self.ring),
        })
    }
}

impl Store {
    /// Cuts everything after `to`. The cut is durable when this returns.
    ///
    /// # Errors
    /// When effects beyond `to` may be in the extent, or `to` is beyond the head; nothing was
    /// changed then. When the disk fails, the store is poisoned.
    pub fn truncate(&mut self, to: Lsn) -> Result<(), TruncateError> {
        self.check_truncate(to)?;
        match self.sync() {
            Ok(_) => {}
            Err(SyncError::Poisoned(poisoned)) => return Err(poisoned.into()),
            Err(SyncError::BeyondHead { .. } | SyncError::Cut { .. }) => {
                unreachable!("a sync of the head names no position")
            }
        }
        let Some(step) = self.begin_cut(to)? else {
            return Ok(());
        };
        let result = step.run();
        self.finish_cut(step, result)
    }

    /// Whether the log may be cut after `to`.
    pub(crate) fn check_truncate(&self, to: Lsn) -> Result<(), TruncateError> {
        self.check_poison()?;
        let head = self.tail.lsn;
        if to > head {
            return Err(TruncateError::BeyondHead { to, head });
        }
        let extent_bound = self.superblock.extent_bound;
        if to < extent_bound {
            return Err(TruncateError::BelowExtent { to, extent_bound });
        }
        Ok(())
    }

    /// Begins to cut, everything up to `to` being durable; `None` when nothing follows it.
    pub(crate) fn begin_cut(&mut self, to: Lsn) -> Result<Option<CutStep>, TruncateError> {
        self.check_truncate(to)?;
        assert!(to <= self.durable, "a cut beyond what is durable");
        if to == self.tail.lsn {
            return Ok(None);
        }
        let Some(tail) = self.point_after(to) else {
            unreachable!("entry {to} is not retained, though beyond the checkpoint");
        };
        let mut lineage = self.lineage.clone();
        lineage.truncate_to(to);
        let floor = Floor {
            position: tail.position,
            generation: self.log_generation() + 1,
        };
        let meta = self.begin_meta(Copies::Both, |next| {
            next.durable = to;
            next.lineage = lineage.clone();
            next.floor = floor;
        })?;
        let rules = Rules {
            floor,
            durable: to,
            ..Rules::of(&self.superblock)
        };
        Ok(Some(CutStep {
            meta,
            ring: self.ring.clone(),
            rules,
            checkpoint: self.superblock.checkpoint,
            tail,
            lineage,
        }))
    }

    /// Takes the result: the log ends at the cut, or the store is poisoned.
    pub(crate) fn finish_cut(
        &mut self,
        step: CutStep,
        result: Result<CutLog, DiskError>,
    ) -> Result<(), TruncateError> {
        let (result, cut) = match result {
            Ok(cut) => (Ok(()), Some(cut)),
            Err(error) => (Err(error), None),
        };
        self.finish_meta(step.meta, result)?;
        let Some(cut) = cut else {
            unreachable!("a failed step poisons the store");
        };
        if let Some(damage) = cut.damage {
            self.poison_damaged(&damage);
            return Err(damage.into());
        }
        assert_eq!(cut.end, step.tail.lsn, "the cut log ends elsewhere");
        self.entries = cut.entries;
        self.index = cut.index;
        self.operations.retain(|(lsn, _)| *lsn <= step.tail.lsn);
        self.lineage = step.lineage;
        self.tail = step.tail;
        self.durable = step.tail.lsn;
        self.durable_position = step.tail.position;
        self.committed = self.committed.min(step.tail.lsn);
        self.recent.reset(step.tail.lsn);
        self.revoke_beyond(Some(step.tail.lsn));
        self.assert_ordered();
        Ok(())
    }
}
