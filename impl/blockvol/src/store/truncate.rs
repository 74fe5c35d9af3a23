//! Cutting a divergent tail (T9): durable before it counts, and final.
//!
//! 1. the log is synced, so that everything up to the cut is durable;
//! 2. the superblock says where the log now ends and raises the generation: what lies beyond
//!    counts no longer, though its checksums are good (F03). A crash before this leaves the log
//!    as it was, a crash after it the cut log;
//! 3. memory is made anew from what the log now holds.

use holdfast_types::Lsn;

use super::Store;
use super::meta::Copies;
use crate::error::{SyncError, TruncateError};
use crate::index::DirtyIndex;
use crate::log::scan::{Rules, Scan};
use crate::superblock::Floor;

impl Store {
    /// Cuts everything after `to`. The cut is durable when this returns.
    ///
    /// # Errors
    /// When effects beyond `to` may be in the extent, or `to` is beyond the head; nothing was
    /// changed then. When the disk fails, the store is poisoned.
    pub fn truncate(&mut self, to: Lsn) -> Result<(), TruncateError> {
        self.check_poison()?;
        let head = self.tail.lsn;
        if to > head {
            return Err(TruncateError::BeyondHead { to, head });
        }
        let extent_bound = self.superblock.extent_bound;
        if to < extent_bound {
            return Err(TruncateError::BelowExtent { to, extent_bound });
        }
        match self.sync() {
            Ok(_) => {}
            Err(SyncError::Poisoned(poisoned)) => return Err(poisoned.into()),
            Err(SyncError::BeyondHead { .. } | SyncError::Cut { .. }) => {
                unreachable!("a sync of the head names no position")
            }
        }
        if to < head {
            self.cut(to)?;
        }
        Ok(())
    }

    fn cut(&mut self, to: Lsn) -> Result<(), TruncateError> {
        let Some(tail) = self.point_after(to) else {
            unreachable!("entry {to} is not retained, though beyond the checkpoint");
        };
        let mut lineage = self.lineage.clone();
        lineage.truncate_to(to);
        let generation = self.log_generation() + 1;
        self.write_meta(Copies::Both, |next| {
            next.durable = to;
            next.lineage = lineage.clone();
            next.floor = Floor {
                position: tail.position,
                generation,
            };
        })?;
        self.lineage = lineage;
        self.tail = tail;
        self.durable = to;
        self.durable_position = tail.position;
        self.committed = self.committed.min(to);
        self.recent.reset(to);
        self.revoke_beyond(Some(to));
        self.reload()
    }

    /// Builds list and index of entries from the log, which must end at the tail.
    fn reload(&mut self) -> Result<(), TruncateError> {
        let checkpoint = self.superblock.checkpoint;
        let mut index = DirtyIndex::default();
        let mut metas = std::collections::VecDeque::new();
        let scan = Scan::new(&self.ring, Rules::of(&self.superblock));
        let scanned = scan.run(|lsn, meta, payload| {
            metas.push_back(*meta);
            if lsn > checkpoint {
                index.record(lsn, meta, payload);
            }
        });
        let end = match scanned {
            Ok(end) => end,
            Err(error) => return Err(self.poison(error).into()),
        };
        if let Some(damage) = end.damage(&self.ring) {
            self.poison_damaged(&damage);
            return Err(damage.into());
        }
        assert_eq!(end.lsn, self.tail.lsn, "the cut log ends elsewhere");
        self.metas = metas;
        self.index = index;
        self.assert_ordered();
        Ok(())
    }
}
