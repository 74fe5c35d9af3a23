//! The files of snapshots as a store sees them: they come and go at once and durably.

use std::io;
use std::sync::Arc;

use holdfast_types::SnapshotId;

use super::{Medium, Op, SimStorage};
use crate::disk::{Disk, Shelf};
use crate::error::{DiskError, DiskOp};

/// The simulated files of snapshots.
#[derive(Debug)]
pub(super) struct SimShelf {
    pub(super) storage: SimStorage,
}

impl SimShelf {
    fn check(&self, op: DiskOp, id: SnapshotId) -> Result<(), DiskError> {
        let faults = self.storage.lock().shelf_faults;
        if faults.writes || faults.no_space {
            let source = io::Error::from(io::ErrorKind::StorageFull);
            return Err(DiskError::new(op, &id.to_string(), 0, 0, &source));
        }
        Ok(())
    }
}

impl Shelf for SimShelf {
    fn create(&self, id: SnapshotId, len: u64) -> Result<Arc<dyn Disk>, DiskError> {
        self.check(DiskOp::Make, id)?;
        let medium = Medium::Snapshot(id);
        let mut world = self.storage.lock();
        world.visible.insert(medium, vec![0; len as usize]);
        world.journal.push(Op::Make { medium, len });
        drop(world);
        Ok(self.storage.disk(medium))
    }

    fn open(&self, id: SnapshotId) -> Result<Arc<dyn Disk>, DiskError> {
        let medium = Medium::Snapshot(id);
        if !self.storage.lock().visible.contains_key(&medium) {
            let source = io::Error::from(io::ErrorKind::NotFound);
            return Err(DiskError::new(DiskOp::Read, &id.to_string(), 0, 0, &source));
        }
        Ok(self.storage.disk(medium))
    }

    fn remove(&self, id: SnapshotId) -> Result<(), DiskError> {
        self.check(DiskOp::Remove, id)?;
        let medium = Medium::Snapshot(id);
        let mut world = self.storage.lock();
        if world.visible.remove(&medium).is_some() {
            world.journal.push(Op::Remove { medium });
        }
        Ok(())
    }

    fn list(&self) -> Result<Vec<SnapshotId>, DiskError> {
        Ok(self.storage.snapshot_files())
    }
}
