//! One store of this node, and who may touch it.
//!
//! Reads, syncs and positions are for everyone. What a primary of some epoch does to the store as a
//! replica, and what changes its promise, goes through [`LocalStore::exclusive`], one at a time: so
//! the authority that was checked is still the present one when the effect takes place (T7).
//!
//! It also keeps whether this *process* still holds everything that the replica ever acknowledged as
//! received (`docs/decisions/042-*`): a store that was opened, and not made, in this life of the
//! process begins without (W1, M37).

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holdfast_blockvol::{
    FlushBound, OpenError, Positions, Promise, PromiseError, Role, Subscription, Volume,
    VolumeOptions,
};
use holdfast_types::{DurabilityMode, Epoch, ReplicaFacts, SessionId, StoreId};
use holdfast_wire::{LogPosition, Refusal};
use tokio::sync::watch;

use crate::replication::Present;

/// A store that is open.
pub struct LocalStore {
    volume: Volume,
    moved: watch::Sender<u64>,
    exclusive: Mutex<()>,
    /// The authority under which the store stands, for those who wait for its end.
    present: watch::Sender<Present>,
    /// Whether everything that this replica ever acknowledged as received is here.
    whole: AtomicBool,
    /// Where this process last reported, as a candidate of which epoch, that its log ends.
    reported: Mutex<Option<(Epoch, LogPosition)>>,
    _subscription: Subscription,
}

/// How a store came to be in this life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Made by it: nothing was ever acknowledged from here.
    Formatted,
    /// Found on the disk: what an earlier life had received, and not synced, may be gone.
    Found,
}

impl LocalStore {
    /// Opens a store; one with a damaged log is opened as untrusted, to be rebuilt.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed then.
    pub(crate) fn open(
        directory: &Path,
        options: VolumeOptions,
        origin: Origin,
    ) -> Result<Self, OpenError> {
        let volume = match Volume::open(directory, options.clone()) {
            Ok(volume) => volume,
            Err(OpenError::Damaged(damage)) => {
                tracing::error!(store = %directory.display(), %damage,
                    "the store is damaged: it is untrusted until it is rebuilt");
                Volume::open_for_rebuild(directory, options)?
            }
            Err(
                error @ (OpenError::NotAStore { .. }
                | OpenError::NewerFormat { .. }
                | OpenError::OlderFormat { .. }
                | OpenError::Truncated { .. }
                | OpenError::Locked { .. }
                | OpenError::Disk(_)),
            ) => return Err(error),
        };
        Ok(Self::over(volume, origin))
    }

    /// A volume that is open, as a store of this process.
    #[must_use]
    pub fn over(volume: Volume, origin: Origin) -> Self {
        let (moved, _) = watch::channel(0_u64);
        let notify = moved.clone();
        let subscription = volume.subscribe(move |_| {
            notify.send_modify(|generation| *generation = generation.wrapping_add(1));
        });
        Self {
            present: watch::Sender::new(present_of(volume.promise())),
            volume,
            moved,
            exclusive: Mutex::new(()),
            whole: AtomicBool::new(origin == Origin::Formatted),
            reported: Mutex::default(),
            _subscription: subscription,
        }
    }

    /// The volume.
    pub const fn volume(&self) -> &Volume {
        &self.volume
    }

    /// Where it stands.
    pub fn positions(&self) -> Positions {
        self.volume.positions()
    }

    /// Resolves whenever a position has moved.
    pub(crate) fn moved(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    /// The last entry of its log.
    pub fn last(&self) -> LogPosition {
        let (lsn, epoch) = self.volume.last();
        LogPosition { lsn, epoch }
    }

    /// The authority under which it stands.
    pub fn present(&self) -> Present {
        present_of(self.volume.promise())
    }

    /// Tells those who wait for it that the authority has changed; after every change of it.
    fn note_present(&self) {
        let present = self.present();
        self.present.send_if_modified(|noted| {
            // Two changes may come here in another order than they were made in.
            let newer = (present.epoch, present.session) > (noted.epoch, noted.session);
            if newer {
                *noted = present;
            }
            newer
        });
    }

    /// Resolves, with the authority of then, when the store no longer stands under this epoch and
    /// session: what they sent has no effect any more (T7).
    pub(crate) async fn superseded(&self, epoch: Epoch, session: SessionId) -> Present {
        let mut present = self.present.subscribe();
        let own = (epoch, Some(session));
        let over = |present: &Present| (present.epoch, present.session) > own;
        // The sender lives as long as `self`, so this ends when the wait was fulfilled.
        let _ = present.wait_for(over).await.map(|present| *present);
        self.present()
    }

    /// Alone with what a replica's authority guards.
    pub(crate) fn exclusive(&self) -> MutexGuard<'_, ()> {
        // The guard protects no data of its own.
        self.exclusive
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an epoch, its leader and a session of it durable, takes the replica's role, and reports
    /// the facts as they are on the disk. Called alone, under [`LocalStore::exclusive`].
    ///
    /// # Errors
    /// A refusal when epoch or session is not newer, another leads the epoch, or the disk fails.
    pub(crate) fn admit(
        &self,
        epoch: Epoch,
        session: SessionId,
        leader: StoreId,
    ) -> Result<ReplicaFacts, Refusal> {
        let admitted = self.volume.admit_session(epoch, session, leader);
        self.note_present();
        admitted.map_err(promise_refused)?;
        self.volume
            .set_role(epoch, Role::Replica)
            .map_err(promise_refused)?;
        self.volume.facts().map_err(store_failed)
    }

    /// Everything that this replica ever acknowledged as received is here: its log has reached its
    /// primary's in a session, or it is itself the log of a primary.
    pub(crate) fn note_whole(&self) {
        self.whole.store(true, Ordering::Release);
    }

    /// The log is given up for a base: nothing that was acknowledged before is here.
    pub(crate) fn note_emptied(&self) {
        self.whole.store(false, Ordering::Release);
    }

    /// Whether this process holds everything that this replica ever acknowledged as received.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole.load(Ordering::Acquire)
    }

    /// Makes an epoch durable, and reports the facts as they are on the disk and whether this
    /// process is whole, all of one moment.
    ///
    /// # Errors
    /// A refusal when a newer epoch is promised, or the disk fails.
    pub(crate) fn fence(&self, epoch: Epoch) -> Result<(ReplicaFacts, bool), Refusal> {
        let _exclusive = self.exclusive();
        let fenced = self.volume.fence(epoch);
        self.note_present();
        fenced.map_err(promise_refused)?;
        let facts = self.volume.facts().map_err(store_failed)?;
        *self.reported() = Some((epoch, end_of(&facts)));
        Ok((facts, self.is_whole()))
    }

    /// Takes the lead of an epoch, durably, if the log still ends where this process reported that it
    /// does when it was a candidate: whoever chose it, chose it by that report (A9). Called alone,
    /// under [`LocalStore::exclusive`].
    ///
    /// # Errors
    /// What is in the way, in words.
    pub(crate) fn lead(&self, epoch: Epoch) -> Result<(), String> {
        let positions = self.volume.positions();
        if !positions.is_trusted() {
            return Err("its image is not trusted".into());
        }
        let reported = match *self.reported() {
            Some((at, reported)) if at == epoch => reported,
            Some(_) | None => {
                return Err(format!(
                    "this process made no report as a candidate of epoch {epoch}; promote again"
                ));
            }
        };
        let found = self.last();
        if found != reported || positions.durable != found.lsn {
            return Err(format!(
                "its log ends at {}/{} (durable {}), not at {}/{}, where it reported; promote again",
                found.epoch, found.lsn, positions.durable, reported.epoch, reported.lsn
            ));
        }
        let led = self.volume.set_role(epoch, Role::Primary);
        led.map(|_| ()).map_err(|error| error.to_string())
    }

    fn reported(&self) -> MutexGuard<'_, Option<(Epoch, LogPosition)>> {
        // Every change of it is one assignment.
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far write-back may go under a durability mode.
    pub(crate) fn set_mode(&self, mode: DurabilityMode) {
        self.volume.set_flush_bound(match mode {
            DurabilityMode::BestEffort => FlushBound::Durable,
            DurabilityMode::SyncAll | DurabilityMode::SyncQuorum => FlushBound::Committed,
        });
    }
}

/// Where a log ends by a report of it.
fn end_of(facts: &ReplicaFacts) -> LogPosition {
    let lsn = facts.base.durable;
    let epoch = facts.lineage.epoch_at(lsn).unwrap_or(Epoch(0));
    LogPosition { lsn, epoch }
}

fn present_of(promise: Promise) -> Present {
    Present {
        epoch: promise.epoch,
        session: promise.session,
    }
}

/// The refusal for whatever went wrong in a store.
pub(crate) fn store_failed(error: impl std::fmt::Display) -> Refusal {
    Refusal::Store {
        detail: error.to_string(),
    }
}

/// The refusal for a promise that was not taken.
pub(crate) fn promise_refused(error: PromiseError) -> Refusal {
    match error {
        PromiseError::StaleEpoch { promised, offered }
        | PromiseError::NotFenced { promised, offered } => {
            Refusal::StaleEpoch { offered, promised }
        }
        PromiseError::Led { epoch, leader } => Refusal::Led { epoch, leader },
        PromiseError::StaleSession { last, offered, .. } => Refusal::StaleSession { offered, last },
        PromiseError::Poisoned(poisoned) => store_failed(poisoned),
    }
}

/// How a store of this node is opened.
pub(crate) fn volume_options(retention_percent: u8, log_bytes: u64) -> VolumeOptions {
    VolumeOptions {
        retain_bytes: Some(log_bytes / 100 * u64::from(retention_percent.min(25))),
        // Who waits for room waits in its own loop, where it can still answer others.
        log_full_wait: Duration::from_millis(1),
        ..VolumeOptions::default()
    }
}
