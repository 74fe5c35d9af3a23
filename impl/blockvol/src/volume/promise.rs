//! Promises, and the facts that are reported with them: durable before they are answered.

use holdfast_types::{Epoch, ReplicaFacts, SessionId, StoreId};

use super::Volume;
use crate::error::{FactsError, PromiseError, SyncError};
use crate::positions::{Promise, Role};
use crate::store::{MetaStep, Store};

impl Volume {
    /// Makes a higher epoch durable before it returns (F52, F91); the role becomes none. The
    /// promised epoch again has no effect while nobody leads it.
    ///
    /// # Errors
    /// When a higher epoch is promised already, the epoch has a leader, or the volume is poisoned.
    pub fn fence(&self, epoch: Epoch) -> Result<Promise, PromiseError> {
        self.promise_durably(|store| store.begin_fence(epoch))
    }

    /// Takes a role in the promised epoch, durably. The primary's makes this store its leader, once.
    ///
    /// # Errors
    /// When the epoch is not the promised one, it has a leader already, or the volume is poisoned.
    pub fn set_role(&self, epoch: Epoch, role: Role) -> Result<Promise, PromiseError> {
        self.promise_durably(|store| store.begin_role(epoch, role))
    }

    /// Admits a session of the primary whose store is `leader`, durably; a newer epoch is promised
    /// with it, and the leader remembered.
    ///
    /// # Errors
    /// When epoch or session is stale, another leads the epoch, or the volume is poisoned.
    pub fn admit_session(
        &self,
        epoch: Epoch,
        session: SessionId,
        leader: StoreId,
    ) -> Result<Promise, PromiseError> {
        self.promise_durably(|store| store.begin_session(epoch, session, leader))
    }

    /// Promises are made one after the other, and others look at the one in force meanwhile.
    fn promise_durably(
        &self,
        begin: impl FnOnce(&mut Store) -> Result<Option<MetaStep>, PromiseError>,
    ) -> Result<Promise, PromiseError> {
        let _meta = self.shared.meta_lock();
        if let Some(step) = self.shared.with_store(begin)? {
            let result = step.run();
            self.shared
                .between_appends(|store| store.finish_meta(step, result))?;
        }
        Ok(self.promise())
    }

    /// Syncs the log, then reports what is on the disk.
    ///
    /// # Errors
    /// When the sync fails, or the disk holds another superblock than was written to it.
    pub fn facts(&self) -> Result<ReplicaFacts, FactsError> {
        match self.sync() {
            Ok(_) | Err(SyncError::Cut { .. } | SyncError::BeyondHead { .. }) => {}
            Err(SyncError::Poisoned(poisoned)) => return Err(poisoned.into()),
        }
        let _meta = self.shared.meta_lock();
        let step = self.shared.lock().store.begin_facts()?;
        let slots = step.run();
        self.shared.with_store(|store| store.finish_facts(slots))
    }
}
