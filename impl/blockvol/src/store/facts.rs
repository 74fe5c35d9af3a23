//! What the store says of itself to others, and what it promises them.

use std::sync::Arc;

use holdfast_types::{Epoch, ReplicaFacts, RetainedHistory, SessionId, StoreId};

use super::Store;
use super::meta::{Copies, MetaStep};
use crate::disk::{Disk, DiskError};
use crate::error::{Damage, FactsError, Poisoned, PromiseError, SyncError};
use crate::positions::{Promise, Role};
use crate::superblock::{Slots, choose, read_slots};

/// Reading the superblock back; see [`Store`]. No superblock is written between begin and finish.
#[derive(Debug)]
#[must_use]
pub(crate) struct FactsStep {
    disk: Arc<dyn Disk>,
}

impl FactsStep {
    /// Both slots as they are on the disk.
    pub(crate) fn run(&self) -> Result<Slots, DiskError> {
        read_slots(&*self.disk)
    }
}

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
        let slots = self.begin_facts()?.run();
        self.finish_facts(slots)
    }

    /// Begins to report the facts as of the durable position.
    pub(crate) fn begin_facts(&self) -> Result<FactsStep, Poisoned> {
        self.check_poison()?;
        Ok(FactsStep {
            disk: Arc::clone(&self.disks.log),
        })
    }

    /// The facts, if the disk holds what was written to it.
    pub(crate) fn finish_facts(
        &mut self,
        slots: Result<Slots, DiskError>,
    ) -> Result<ReplicaFacts, FactsError> {
        self.check_poison()?;
        assert!(
            !self.meta_under_way,
            "facts while the superblock is written"
        );
        let on_disk = choose(slots?, self.disks.log.name());
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
    /// session is admitted yet. The promised epoch again has no effect while nobody leads it.
    ///
    /// # Errors
    /// When a higher epoch is promised already, the epoch has a leader, or the store is poisoned.
    pub fn fence(&mut self, epoch: Epoch) -> Result<Promise, PromiseError> {
        let step = self.begin_fence(epoch)?;
        self.promised(step)
    }

    /// Begins to fence; `None` when the epoch is the promised one.
    pub(crate) fn begin_fence(&mut self, epoch: Epoch) -> Result<Option<MetaStep>, PromiseError> {
        self.check_poison()?;
        let promise = self.promise();
        if epoch < promise.epoch {
            return Err(stale(promise, epoch));
        }
        if epoch > promise.epoch {
            return self.begin_promise(fenced(promise, epoch));
        }
        match promise.leader {
            Some(leader) => Err(PromiseError::Led { epoch, leader }),
            None => self.begin_promise(promise),
        }
    }

    /// Takes a role in the promised epoch, durably. The primary's makes this store its leader, once.
    ///
    /// # Errors
    /// When the epoch is not the promised one, it has a leader already, or the store is poisoned.
    pub fn set_role(&mut self, epoch: Epoch, role: Role) -> Result<Promise, PromiseError> {
        let step = self.begin_role(epoch, role)?;
        self.promised(step)
    }

    /// Begins to take a role; `None` when it is the present one.
    pub(crate) fn begin_role(
        &mut self,
        epoch: Epoch,
        role: Role,
    ) -> Result<Option<MetaStep>, PromiseError> {
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
        let leader = match role {
            Role::None | Role::Replica => promise.leader,
            Role::Primary => match promise.leader {
                Some(leader) if promise.role != Role::Primary => {
                    return Err(PromiseError::Led { epoch, leader });
                }
                Some(_) | None => Some(self.superblock.store),
            },
        };
        self.begin_promise(Promise {
            role,
            leader,
            ..promise
        })
    }

    /// Admits a session of the primary whose store is `leader`, durably: its epoch is not older than
    /// the promised one, and within the promised epoch nobody else leads and it is newer than the
    /// last session (`docs/protocol.md` sections 4 and 7). A newer epoch is promised with it, and
    /// takes the role away.
    ///
    /// # Errors
    /// When epoch or session is stale, another leads the epoch, or the store is poisoned.
    pub fn admit_session(
        &mut self,
        epoch: Epoch,
        session: SessionId,
        leader: StoreId,
    ) -> Result<Promise, PromiseError> {
        let step = self.begin_session(epoch, session, leader)?;
        self.promised(step)
    }

    /// Begins to admit a session.
    pub(crate) fn begin_session(
        &mut self,
        epoch: Epoch,
        session: SessionId,
        leader: StoreId,
    ) -> Result<Option<MetaStep>, PromiseError> {
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
        // This store's own log is nobody else's to write, whoever says that it is his.
        let own = self.superblock.store;
        let known = promise.leader.or((leader == own).then_some(own));
        if let Some(known) = known
            && (known != leader || leader == own)
        {
            return Err(PromiseError::Led {
                epoch,
                leader: known,
            });
        }
        if let Some(last) = promise.session
            && session <= last
        {
            return Err(PromiseError::StaleSession {
                epoch,
                last,
                offered: session,
            });
        }
        self.begin_promise(Promise {
            leader: Some(leader),
            session: Some(session),
            ..promise
        })
    }

    /// Begins to make a promise durable, unless it is so already. It is in force from the finish on.
    fn begin_promise(&mut self, promise: Promise) -> Result<Option<MetaStep>, PromiseError> {
        if promise == self.promise() {
            return Ok(None);
        }
        let step = self.begin_meta(Copies::Both, |next| next.promise = promise)?;
        Ok(Some(step))
    }

    /// The rest of a promise, in one go.
    fn promised(&mut self, step: Option<MetaStep>) -> Result<Promise, PromiseError> {
        if let Some(step) = step {
            let result = step.run();
            self.finish_meta(step, result)?;
        }
        Ok(self.promise())
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
        leader: None,
        session: None,
        incarnation: promise.incarnation,
    }
}
