//! What the store says of itself to others, and what it promises them.

use holdfast_types::{Epoch, ReplicaFacts, RetainedHistory, SessionId};

use super::Store;
use super::meta::Copies;
use crate::error::{Damage, FactsError, Poisoned, PromiseError, SyncError};
use crate::positions::{Promise, Role};
use crate::superblock::{choose, read_slots};

impl Store {
    /// Syncs the log, then reports what is on the disk: the superblock is read again and must be
    /// the one that was written, so that nothing is told from a cache.
    ///
    /// # Errors
    /// When the sync fails, or the disk holds another superblock than was written to it.
    pub fn facts(&mut self) -> Result<ReplicaFacts, FactsError> {
        match self.sync() {
            Ok(_) => {}
            Err(SyncError::Poisoned(poisoned)) => return Err(poisoned.into()),
            Err(SyncError::BeyondHead { .. } | SyncError::Cut { .. }) => {
                unreachable!("a sync of the head names no position")
            }
        }
        self.durable_facts()
    }

    /// The facts as of the durable position.
    pub(crate) fn durable_facts(&mut self) -> Result<ReplicaFacts, FactsError> {
        self.check_poison()?;
        assert!(
            !self.meta_under_way,
            "facts while the superblock is written"
        );
        let on_disk = choose(read_slots(&*self.disks.log)?, self.disks.log.name());
        let as_written = on_disk.is_ok_and(|superblock| superblock == self.superblock);
        if !as_written {
            let damage = Damage::Superblock {
                what: "the disk does not hold what was last written to it".to_owned(),
            };
            self.poison_damaged(&damage);
            return Err(damage.into());
        }
        let mut lineage = self.lineage.clone();
        lineage.truncate_to(self.durable);
        Ok(ReplicaFacts {
            store: self.superblock.store,
            base: self.positions().base(),
            lineage,
        })
    }

    /// What this store can prove of its history; the epoch is the promised one.
    #[must_use]
    pub fn history(&self) -> RetainedHistory {
        let positions = self.positions();
        let epoch = self.superblock.promise.epoch;
        let start = self.lineage.entries().iter().find(|e| e.epoch == epoch);
        RetainedHistory {
            base: positions.base(),
            head: positions.head,
            committed: positions.committed,
            epoch_start: start.map(|entry| entry.first),
            retained_from: positions.retained_from,
            snapshot: None,
            lineage: self.lineage.clone(),
        }
    }

    /// Makes a higher epoch durable before it returns (F52, F91); the role becomes none, no
    /// session is admitted yet. The promised epoch again has no effect.
    ///
    /// # Errors
    /// When a higher epoch is promised already, or the store is poisoned.
    pub fn fence(&mut self, epoch: Epoch) -> Result<Promise, PromiseError> {
        self.check_poison()?;
        let promise = self.promise();
        if epoch < promise.epoch {
            return Err(stale(promise, epoch));
        }
        if epoch > promise.epoch {
            self.promise_durably(fenced(promise, epoch))?;
        }
        Ok(self.promise())
    }

    /// Takes a role in the promised epoch, durably.
    ///
    /// # Errors
    /// When the epoch is not the promised one, or the store is poisoned.
    pub fn set_role(&mut self, epoch: Epoch, role: Role) -> Result<Promise, PromiseError> {
        self.check_poison()?;
        let promise = self.promise();
        if epoch < promise.epoch {
            return Err(stale(promise, epoch));
        }
        if epoch > promise.epoch {
            return Err(PromiseError::NotFenced {
                promised: promise.epoch,
                offered: epoch,
            });
        }
        if promise.role != role {
            self.promise_durably(Promise { role, ..promise })?;
        }
        Ok(self.promise())
    }

    /// Admits a primary's session, durably: its epoch is not older than the promised one, and
    /// within the promised epoch it is newer than the last session (`docs/protocol.md` section 4).
    /// A newer epoch is promised with it, and takes the role away.
    ///
    /// # Errors
    /// When epoch or session is stale, or the store is poisoned.
    pub fn admit_session(
        &mut self,
        epoch: Epoch,
        session: SessionId,
    ) -> Result<Promise, PromiseError> {
        self.check_poison()?;
        let promise = self.promise();
        if epoch < promise.epoch {
            return Err(stale(promise, epoch));
        }
        let promise = if epoch > promise.epoch {
            fenced(promise, epoch)
        } else {
            promise
        };
        if let Some(last) = promise.session
            && session <= last
        {
            return Err(PromiseError::StaleSession {
                epoch,
                last,
                offered: session,
            });
        }
        self.promise_durably(Promise {
            session: Some(session),
            ..promise
        })?;
        Ok(self.promise())
    }

    fn promise_durably(&mut self, promise: Promise) -> Result<(), Poisoned> {
        self.write_meta(Copies::Both, |next| next.promise = promise)
    }
}

fn stale(promise: Promise, offered: Epoch) -> PromiseError {
    PromiseError::StaleEpoch {
        promised: promise.epoch,
        offered,
    }
}

fn fenced(promise: Promise, epoch: Epoch) -> Promise {
    Promise {
        epoch,
        role: Role::None,
        session: None,
        incarnation: promise.incarnation,
    }
}
