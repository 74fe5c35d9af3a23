//! One store of this node, and who may touch it.
//!
//! Reads, syncs and positions are for everyone. What a primary of some epoch does to the store as a
//! replica, and what changes its promise, goes through [`LocalStore::exclusive`], one at a time: so
//! the authority that was checked is still the present one when the effect takes place (T7).

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holdfast_blockvol::{
    FlushBound, OpenError, Positions, Promise, PromiseError, Subscription, Volume, VolumeOptions,
};
use holdfast_types::{DurabilityMode, Epoch, Lsn, ReplicaFacts};
use holdfast_wire::{LogPosition, Refusal};
use tokio::sync::watch;

use crate::replication::Present;

/// A store that is open.
pub(crate) struct LocalStore {
    volume: Volume,
    moved: watch::Sender<u64>,
    exclusive: Mutex<()>,
    /// Whether a primary's hello was admitted since it was opened. That primary may not have sent
    /// again yet what a crash took: a known gap (README, *Limits*).
    admitted: AtomicBool,
    began_empty: bool,
    _subscription: Subscription,
}

impl LocalStore {
    /// Opens a store; one with a damaged log is opened as untrusted, to be rebuilt.
    pub(crate) fn open(directory: &Path, options: VolumeOptions) -> Result<Self, OpenError> {
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
        let (moved, _) = watch::channel(0_u64);
        let notify = moved.clone();
        let subscription = volume.subscribe(move |_| {
            notify.send_modify(|generation| *generation = generation.wrapping_add(1));
        });
        Ok(Self {
            began_empty: volume.positions().head == Lsn::ZERO,
            volume,
            moved,
            exclusive: Mutex::new(()),
            admitted: AtomicBool::new(false),
            _subscription: subscription,
        })
    }

    pub(crate) const fn volume(&self) -> &Volume {
        &self.volume
    }

    pub(crate) fn positions(&self) -> Positions {
        self.volume.positions()
    }

    /// Resolves whenever a position has moved.
    pub(crate) fn moved(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    pub(crate) fn last(&self) -> LogPosition {
        let (lsn, epoch) = self.volume.last();
        LogPosition { lsn, epoch }
    }

    pub(crate) fn present(&self) -> Present {
        let promise = self.volume.promise();
        Present {
            epoch: promise.epoch,
            session: promise.session,
        }
    }

    /// Alone with what a replica's authority guards.
    pub(crate) fn exclusive(&self) -> MutexGuard<'_, ()> {
        // The guard protects no data of its own.
        self.exclusive
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A primary of the present epoch has taken this store on.
    pub(crate) fn note_admitted(&self) {
        self.admitted.store(true, Ordering::Relaxed);
    }

    /// Whether what was received before a restart, and was not yet durable, may be missing here.
    pub(crate) fn may_have_lost_received(&self) -> bool {
        !self.began_empty && !self.admitted.load(Ordering::Relaxed)
    }

    /// Makes an epoch durable and reports the facts as they are on the disk.
    pub(crate) fn fence(&self, epoch: Epoch) -> Result<(Promise, ReplicaFacts), Refusal> {
        let _exclusive = self.exclusive();
        let promise = self.volume.fence(epoch).map_err(promise_refused)?;
        let facts = self.volume.facts().map_err(store_failed)?;
        Ok((promise, facts))
    }

    /// How far write-back may go under a durability mode.
    pub(crate) fn set_mode(&self, mode: DurabilityMode) {
        self.volume.set_flush_bound(match mode {
            DurabilityMode::BestEffort => FlushBound::Durable,
            DurabilityMode::SyncAll | DurabilityMode::SyncQuorum => FlushBound::Committed,
        });
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
