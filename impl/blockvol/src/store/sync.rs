//! Making the log durable.

use std::sync::Arc;

use holdfast_types::Lsn;

use super::Store;
use crate::disk::{Disk, DiskError};
use crate::error::{Poisoned, SyncError};

/// A sync of the log; see [`Store`].
#[derive(Debug)]
#[must_use]
pub struct SyncStep {
    disk: Arc<dyn Disk>,
    /// The head before the sync began: what the sync proves, and no more (F19).
    upto: Lsn,
    position: u64,
    generation: u64,
}

impl SyncStep {
    /// Syncs the log's disk.
    ///
    /// # Errors
    /// What the disk said.
    pub fn run(&self) -> Result<(), DiskError> {
        self.disk.sync()
    }

    /// The position that this sync makes durable.
    #[must_use]
    pub fn upto(&self) -> Lsn {
        self.upto
    }
}

impl Store {
    /// Samples the head, *before* the sync.
    ///
    /// # Errors
    /// When the store is poisoned.
    pub fn begin_sync(&self) -> Result<SyncStep, Poisoned> {
        self.check_poison()?;
        Ok(SyncStep {
            disk: Arc::clone(&self.disks.log),
            upto: self.tail.lsn,
            position: self.tail.position,
            generation: self.log_generation(),
        })
    }

    /// Takes the result: the durable position moves to what was sampled, unless that was cut
    /// meanwhile (F35). A failure poisons the store (F14).
    ///
    /// # Errors
    /// When the sync failed, or another failure came before.
    pub fn finish_sync(
        &mut self,
        step: &SyncStep,
        result: Result<(), DiskError>,
    ) -> Result<Lsn, Poisoned> {
        if let Err(error) = result {
            return Err(self.poison(error));
        }
        self.check_poison()?;
        if step.generation == self.log_generation() && step.upto > self.durable {
            self.durable = step.upto;
            self.durable_position = step.position;
        }
        self.assert_ordered();
        Ok(self.durable)
    }

    /// Makes the present head durable, in one go.
    ///
    /// # Errors
    /// When the sync failed, or another failure came before.
    pub fn sync(&mut self) -> Result<Lsn, SyncError> {
        if self.durable == self.tail.lsn {
            self.check_poison()?;
            return Ok(self.durable);
        }
        let step = self.begin_sync()?;
        let result = step.run();
        Ok(self.finish_sync(&step, result)?)
    }

    /// Bytes of log beyond the durable position.
    #[must_use]
    pub fn unsynced_bytes(&self) -> u64 {
        self.tail.position - self.durable_position
    }
}
