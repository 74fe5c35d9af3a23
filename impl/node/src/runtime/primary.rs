//! A volume that this node serves, in one epoch: from taking the role to giving it up.
//!
//! ```text
//!   lease granted -> role durable -> epoch-start logged -> sessions -> epoch-start committed -> serving
//!        (any time) deposed, lost or stopped -> clients gone -> sessions gone -> finished
//! ```
//!
//! Promises: nothing is logged in the epoch before the authority has bound its lease to this
//! incarnation (F92); nothing is served before the epoch-start entry is committed (F93); reads and
//! acknowledgements happen only under a valid lease (F83, F88); a primary that learns of a higher
//! epoch, or that its record names another, steps down (F98).
//!
//! Rule: `docs/protocol.md`, sections 2 and 7.

mod copies_set;
mod gate;
mod lease;
mod membership;
mod operations;
mod pace;
mod rebuilds;
mod recovery;
mod sender;
mod session;
mod source;
mod uncommitted;
mod verify;
mod verify_report;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holdfast_types::{Epoch, Lsn, ReplicaId, SessionId, StoreId, VolumeId, VolumeRecord};
use tokio::sync::watch;
use tokio::task::{JoinSet, block_in_place};

use super::clock::Clock;
use super::local_store::LocalStore;
use crate::authority::{Authority, Incarnation, LeaseRequest};
use crate::commit::{Acknowledged, CommitLedger, Progress};
use crate::config::{LeaseConfig, LimitsConfig};
use crate::tls::Protection;

use pace::Pacer;
use rebuilds::Rebuilds;
use uncommitted::Uncommitted;

pub(crate) use copies_set::{MEMBERS_MAX, with_member};
pub use gate::IoFailure;
pub(crate) use operations::SnapshotChunk;
pub use operations::SnapshotRow;
pub use rebuilds::RebuildStatus;
pub(crate) use recovery::Recovery;
pub use source::SessionSource;
pub use verify::{Held, Outcome, VerifyFinding, VerifyReport, VerifyStatus};

/// How often a primary makes progress on its own: idle entries are committed, so that the log can
/// be reclaimed although no client flushes.
const SETTLE_EVERY: Duration = Duration::from_millis(500);

/// Why a primary gave its role up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// A higher epoch exists.
    Deposed {
        /// That epoch, as far as it is known.
        by: Epoch,
    },
    /// A replica follows another primary of the same epoch: the authority was rolled back.
    LedByAnother {
        /// The store of the other.
        leader: StoreId,
    },
    /// The authority gives this incarnation no lease.
    NoLease {
        /// What it said.
        reason: String,
    },
    /// Its own store failed.
    StoreFailed {
        /// What it said.
        detail: String,
    },
    /// The engine does not take the record for an assignment.
    RecordRefused {
        /// Why.
        detail: String,
    },
    /// Asked to.
    Asked,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deposed { by } => write!(f, "epoch {by} has begun"),
            Self::LedByAnother { leader } => write!(
                f,
                "the store {leader} leads this epoch too: the authority was rolled back"
            ),
            Self::NoLease { reason } => write!(f, "no lease: {reason}"),
            Self::StoreFailed { detail } => write!(f, "the store failed: {detail}"),
            Self::RecordRefused { detail } => {
                write!(f, "the record is no assignment: {detail}")
            }
            Self::Asked => f.write_str("asked to stop"),
        }
    }
}

/// What a primary needs of its node.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) id: ReplicaId,
    pub(crate) protection: Protection,
    pub(crate) clock: Clock,
    pub(crate) authority: Arc<dyn Authority>,
    pub(crate) recovery: Arc<Recovery>,
    pub(crate) limits: LimitsConfig,
    pub(crate) lease: LeaseConfig,
}

/// One incarnation of a primary.
pub struct Primary {
    services: Services,
    store: Arc<LocalStore>,
    volume: VolumeId,
    epoch: Epoch,
    incarnation: Incarnation,
    record: watch::Sender<VolumeRecord>,
    ledger: Mutex<CommitLedger>,
    uncommitted: Mutex<Uncommitted>,
    pacer: Mutex<Pacer>,
    /// Raised with every change of what paces writers.
    pace_moved: watch::Sender<u64>,
    /// Raised with every change of the ledger.
    ledger_moved: watch::Sender<u64>,
    progress: watch::Sender<Progress>,
    /// Until when the lease lasts, in the node's time; zero without one.
    lease_until: watch::Sender<Duration>,
    /// The position that replicas are asked to make durable.
    barrier: watch::Sender<Lsn>,
    serving: watch::Sender<bool>,
    /// No write is taken any more; what is in flight is carried out.
    settling: AtomicBool,
    stopped: watch::Sender<Option<StopReason>>,
    finished: watch::Sender<bool>,
    /// What was ordered of rebuilds, and how far they are.
    rebuilds: Mutex<Rebuilds>,
    /// How far a verification is.
    verifying: watch::Sender<Option<VerifyStatus>>,
    /// One operation on the whole volume at a time.
    operating: tokio::sync::Mutex<()>,
    /// One change of the in-sync set at a time.
    membership: tokio::sync::Mutex<()>,
    /// One record at a time is taken note of, whole.
    adopting: Mutex<()>,
}

impl Primary {
    /// Takes note of a role; nothing happens before [`Primary::run`].
    pub(crate) fn new(services: Services, store: Arc<LocalStore>, record: VolumeRecord) -> Self {
        let committed = store.positions().committed;
        let ledger = CommitLedger::new(&record, services.id.clone(), committed);
        Self {
            volume: record.volume,
            epoch: record.epoch,
            incarnation: Incarnation::random(),
            progress: watch::Sender::new(ledger.progress()),
            ledger: Mutex::new(ledger),
            uncommitted: Mutex::new(Uncommitted::new(store.volume().log_bytes())),
            pacer: Mutex::new(Pacer::default()),
            pace_moved: watch::Sender::new(0),
            ledger_moved: watch::Sender::new(0),
            record: watch::Sender::new(record),
            lease_until: watch::Sender::new(Duration::ZERO),
            barrier: watch::Sender::new(Lsn::ZERO),
            serving: watch::Sender::new(false),
            settling: AtomicBool::new(false),
            stopped: watch::Sender::new(None),
            finished: watch::Sender::new(false),
            rebuilds: Mutex::default(),
            verifying: watch::Sender::new(None),
            operating: tokio::sync::Mutex::new(()),
            membership: tokio::sync::Mutex::new(()),
            adopting: Mutex::new(()),
            services,
            store,
        }
    }

    /// The volume.
    #[must_use]
    pub const fn volume(&self) -> VolumeId {
        self.volume
    }

    /// The epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The record as it was last read.
    #[must_use]
    pub fn record(&self) -> VolumeRecord {
        self.record.borrow().clone()
    }

    /// What may be told to clients.
    #[must_use]
    pub fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// Whether clients are served, a lease permitting.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        *self.serving.borrow()
    }

    /// Why the role was given up, once it was.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.stopped.borrow().clone()
    }

    /// What a replica acknowledged in its present session.
    pub(crate) fn acknowledged_by(&self, replica: &ReplicaId) -> Option<Acknowledged> {
        self.ledger().acknowledged_by(replica)
    }

    /// Takes no write from now on, and commits what is logged; `false` when that is not so in time, or
    /// nothing is served.
    pub(crate) async fn settle_for_good(&self, within: Duration) -> bool {
        self.settling.store(true, Ordering::Release);
        if !self.is_serving() {
            return false;
        }
        let mut progress = self.progress.subscribe();
        let settled = async {
            // A write that was let in before may still be logged.
            loop {
                let head = self.store.positions().head;
                self.want_durable(head);
                reached(&mut progress, |progress| progress.committed >= head).await;
                if self.store.positions().head == head {
                    return;
                }
            }
        };
        tokio::select! {
            ended = tokio::time::timeout(within, settled) => ended.is_ok(),
            _ = self.until_stopped() => false,
        }
    }

    /// Gives the role up: nothing is acknowledged from this call on. Completion is
    /// [`Primary::finished`].
    pub(crate) fn stop(&self, reason: StopReason) {
        let first = self.stopped.send_if_modified(|present| {
            let first = present.is_none();
            if first {
                *present = Some(reason.clone());
            }
            first
        });
        if first {
            tracing::info!(volume = %self.volume, epoch = %self.epoch, %reason, "primary stops");
        }
    }

    /// Resolves when the role is given up: clients and sessions are gone.
    pub(crate) async fn finished(&self) {
        let mut finished = self.finished.subscribe();
        // The sender lives as long as `self`.
        let _ = finished.wait_for(|finished| *finished).await;
    }

    async fn until_stopped(&self) -> StopReason {
        let mut stopped = self.stopped.subscribe();
        match stopped.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(StopReason::Asked),
            Err(_) => StopReason::Asked,
        }
    }

    /// The whole life of this incarnation. `serve` lets clients in, `withdraw` returns when the last
    /// is gone.
    pub(crate) async fn run(
        self: Arc<Self>,
        serve: impl AsyncFnOnce(&Arc<Self>),
        withdraw: impl AsyncFnOnce(&Arc<Self>),
    ) {
        let mut tasks = JoinSet::new();
        let reason = tokio::select! {
            reason = self.until_stopped() => reason,
            () = self.live(&mut tasks, serve) => self.until_stopped().await,
        };
        self.serving.send_replace(false);
        withdraw(&self).await;
        tasks.shutdown().await;
        self.services.recovery.stop(self.volume, self.epoch);
        self.give_up_lease(&reason).await;
        self.finished.send_replace(true);
    }

    async fn live(self: &Arc<Self>, tasks: &mut JoinSet<()>, serve: impl AsyncFnOnce(&Arc<Self>)) {
        tasks.spawn(lease::keep(Arc::clone(self)));
        self.lease_held().await;
        let taken = block_in_place(|| self.take_role());
        let start = match taken {
            Ok(start) => start,
            Err(detail) => return self.stop(StopReason::StoreFailed { detail }),
        };
        self.update(|ledger| ledger.epoch_started(start));
        tasks.spawn(follow_store(Arc::clone(self)));
        tasks.spawn(settle(Arc::clone(self)));
        if let Err(refusal) = self
            .services
            .recovery
            .assign(&self.record(), &self.services.id)
        {
            let detail = refusal;
            return self.stop(StopReason::RecordRefused { detail });
        }
        self.want_durable(start);
        let mut committed = self.progress.subscribe();
        let mut record = self.record.subscribe();
        let mut senders = BTreeMap::new();
        self.start_senders(tasks, &mut senders);
        let mut serve = Some(serve);
        loop {
            tokio::select! {
                () = reached(&mut committed, |progress| progress.committed >= start),
                    if serve.is_some() =>
                {
                    tracing::info!(volume = %self.volume, epoch = %self.epoch, %start, "serving");
                    self.serving.send_replace(true);
                    if let Some(serve) = serve.take() {
                        serve(self).await;
                    }
                }
                changed = record.changed() => match changed {
                    Ok(()) => self.start_senders(tasks, &mut senders),
                    Err(_) => return,
                },
            }
        }
    }

    /// One sender for each other member; those of removed members end by themselves.
    fn start_senders(
        self: &Arc<Self>,
        tasks: &mut JoinSet<()>,
        senders: &mut BTreeMap<ReplicaId, tokio::task::AbortHandle>,
    ) {
        senders.retain(|_, sender| !sender.is_finished());
        for replica in self.record.borrow().members.keys() {
            if *replica != self.services.id && !senders.contains_key(replica) {
                let sender = sender::keep(Arc::clone(self), replica.clone());
                senders.insert(replica.clone(), tasks.spawn(sender));
            }
        }
    }

    /// Makes the role durable and logs the epoch-start entry.
    fn take_role(&self) -> Result<Lsn, String> {
        let _exclusive = self.store.exclusive();
        self.store.lead(self.epoch)?;
        let volume = self.store.volume();
        let start = volume
            .append_epoch_start(self.epoch)
            .map_err(|error| error.to_string())?;
        // From here on this log is what the others are held against.
        self.store.note_whole();
        Ok(start)
    }

    fn lease_request(&self) -> LeaseRequest {
        LeaseRequest {
            volume: self.volume,
            epoch: self.epoch,
            replica: self.services.id.clone(),
            incarnation: self.incarnation,
        }
    }

    async fn lease_held(&self) {
        let mut lease = self.lease_until.subscribe();
        // The sender lives as long as `self`.
        let _ = lease.wait_for(|until| !until.is_zero()).await;
    }

    /// A primary that stopped by itself says so, so that its successor need not wait.
    async fn give_up_lease(&self, reason: &StopReason) {
        match reason {
            StopReason::Asked
            | StopReason::LedByAnother { .. }
            | StopReason::StoreFailed { .. }
            | StopReason::RecordRefused { .. } => {
                let wait = self.services.lease.duration;
                let ended = self.services.authority.end_lease(self.lease_request());
                if let Ok(Err(error)) = tokio::time::timeout(wait, ended).await {
                    tracing::info!(volume = %self.volume, %error, "the lease runs out by itself");
                }
            }
            StopReason::Deposed { .. } | StopReason::NoLease { .. } => {}
        }
    }

    /// The remaining time of the lease.
    #[must_use]
    pub fn lease_remaining(&self) -> Duration {
        self.lease_until
            .borrow()
            .saturating_sub(self.services.clock.now())
    }

    /// Takes note of a record that was read. One of another epoch or primary ends this one; one that is
    /// not newer than what is known changes nothing. Readers may come here at once and in any order:
    /// store, engine and ledger see the records one by one, each newer than the last.
    pub(crate) fn adopt(&self, record: &VolumeRecord) {
        // Guards no data: whoever holds it has compared with what it replaces.
        let _turn = self.adopting.lock().unwrap_or_else(PoisonError::into_inner);
        if record.epoch > self.epoch {
            return self.stop(StopReason::Deposed { by: record.epoch });
        }
        if record.epoch < self.epoch || record.revision <= self.record.borrow().revision {
            return;
        }
        if record.primary.as_ref() != Some(&self.services.id) {
            return self.stop(StopReason::Deposed { by: record.epoch });
        }
        self.store.set_mode(record.mode);
        if let Err(refusal) = self.services.recovery.assign(record, &self.services.id) {
            tracing::warn!(volume = %self.volume, %refusal, "the engine refused an assignment");
        }
        self.record.send_replace(record.clone());
        // Last: what is acknowledged under a record is acknowledged after the record was told.
        self.update(|ledger| ledger.adopt(record));
    }

    fn ledger(&self) -> MutexGuard<'_, CommitLedger> {
        // Every change of the ledger is complete when the lock is released.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn uncommitted(&self) -> MutexGuard<'_, Uncommitted> {
        // Every change of it is complete when the lock is released.
        self.uncommitted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn pacer(&self) -> MutexGuard<'_, Pacer> {
        // Every change of it is complete when the lock is released.
        self.pacer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what paces writers and tells those who wait.
    fn pace(&self, change: impl FnOnce(&mut Pacer)) {
        change(&mut self.pacer());
        self.pace_moved
            .send_modify(|generation| *generation = generation.wrapping_add(1));
    }

    /// Changes the ledger and tells everyone who waits for what follows from it.
    fn update(&self, change: impl FnOnce(&mut CommitLedger) -> Progress) {
        let progress = change(&mut self.ledger());
        self.ledger_moved
            .send_modify(|generation| *generation = generation.wrapping_add(1));
        // Before anyone is woken: who waits for room must find it when it looks.
        self.uncommitted().committed(progress.committed);
        let moved = self.progress.send_if_modified(|present| {
            // Two updates may arrive here in another order than they were made in.
            let newer = Progress {
                written: present.written.max(progress.written),
                committed: present.committed.max(progress.committed),
            };
            let moved = newer != *present;
            *present = newer;
            moved
        });
        if moved {
            self.store.volume().set_committed(progress.committed);
        }
    }

    /// Asks this store and every replica to make everything up to `lsn` durable.
    fn want_durable(&self, lsn: Lsn) {
        self.barrier.send_if_modified(|wanted| {
            let higher = lsn > *wanted;
            *wanted = lsn.max(*wanted);
            higher
        });
        self.store.volume().request_sync();
    }

    /// What a replica acknowledged. It can only be of entries that are in this log by now, so the log's
    /// own positions come first: an answer that is faster than whoever appended is not mistaken for
    /// one that cannot be true (M04).
    fn acknowledged(&self, replica: &ReplicaId, session: SessionId, received: Lsn, durable: Lsn) {
        let positions = self.store.positions();
        self.update(|ledger| {
            ledger.local(positions.head, positions.durable);
            ledger.acknowledged(replica, session, received, durable)
        });
    }

    /// Takes the store's present positions into the ledger.
    fn note_local(&self) {
        let positions = self.store.positions();
        self.update(|ledger| ledger.local(positions.head, positions.durable));
    }
}

/// Resolves when what is watched satisfies a condition.
async fn reached<T>(watched: &mut watch::Receiver<T>, condition: impl FnMut(&T) -> bool) {
    if watched.wait_for(condition).await.is_err() {
        // The sender is gone with its primary, and with it whoever waits here.
        std::future::pending::<()>().await;
    }
}

/// Keeps the ledger abreast of the store.
async fn follow_store(primary: Arc<Primary>) {
    let mut moved = primary.store.moved();
    loop {
        moved.borrow_and_update();
        primary.note_local();
        if let Some(poisoned) = primary.store.volume().poisoned() {
            return primary.stop(StopReason::StoreFailed {
                detail: poisoned.to_string(),
            });
        }
        if moved.changed().await.is_err() {
            return;
        }
    }
}

/// Commits what no client flushes.
async fn settle(primary: Arc<Primary>) {
    loop {
        tokio::time::sleep(SETTLE_EVERY).await;
        let head = primary.store.positions().head;
        if primary.progress().committed < head {
            primary.want_durable(head);
        }
    }
}

#[cfg(test)]
mod tests;
