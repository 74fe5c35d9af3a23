//! One replica's store as many threads use it: a cheap handle on the synchronous core
//! ([`crate::Store`]).
//!
//! It adds what needs threads and clocks, and nothing else: one write for everyone who appends at the
//! same time ([`group_append`]), one sync for everyone who waits for one ([`group_commit`]), write-back in the background ([`write_back`]), waiting for room in the
//! log, and notification when positions move. A single writer's flush runs in its own thread: no
//! hand-over, no delay.
//!
//! Locks, always taken in this order: `flushing` (one cycle of write-back, or a cut, or a switch of
//! bases, or a chunk of one), `writing_meta` (one superblock write), the turn to append,
//! `state` (the core). `state` is held over no disk operation, so that whoever only looks never waits
//! for a disk (F41).

mod append;
mod background;
mod base;
mod group_append;
mod group_commit;
mod notify;
mod pace;
mod pin;
mod promise;
mod read;
mod release;
mod scrub;
mod snapshot;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_types::{
    BLOCK_SIZE, BlockCount, Epoch, Lineage, LogEntry, Lsn, RetainedHistory, StoreId, VolumeId,
};

use crate::disk::{self, Disks};
use crate::error::{CreateError, OpenError, PinError, Poisoned, SyncError, WriteBackError};
use crate::extent::sums_len;
use crate::options::{FormatOptions, MAX_BLOCKS, MAX_LOG_BYTES, MIN_LOG_BYTES, VolumeOptions};
use crate::positions::{FlushBound, Positions, Promise};
use crate::store::{Recovery, Store};
use crate::threads::atomic::{AtomicU64, Ordering};
use crate::threads::{Condvar, Mutex, MutexGuard};

use group_append::AppendQueue;
use group_commit::{Called, SyncQueue};

pub use base::{BaseInstall, BaseSource};
pub use notify::Subscription;
pub use pin::RetentionPin;
pub use release::Release;
pub use snapshot::Snapshot;

/// A log entry whose payload is shared, not copied. A payload that is a slice of a large buffer
/// keeps the whole buffer in memory for as long as the entry is recent.
pub type Entry = LogEntry<Bytes>;

/// A thread-safe handle; cheap to clone. When the last one is dropped the background threads end;
/// what was appended and not synced is then as after a crash of the process. The directory stays
/// locked until bases being copied or installed, and open snapshots, are dropped too.
#[derive(Clone)]
pub struct Volume {
    shared: Arc<Shared>,
    _threads: Arc<background::Threads>,
}

/// What handles, threads, pins and bases share.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Signalled when durable or free space moved, and when anything ended.
    progress: Condvar,
    /// Wakes write-back.
    write_back_work: Condvar,
    /// Wakes the sync thread.
    sync_work: Condvar,
    /// Ends the scrubbing thread.
    scrub_work: Condvar,
    flushing: Mutex<()>,
    writing_meta: Mutex<()>,
    listeners: notify::Listeners,
    /// Bytes of log beyond the durable position, as of the last step.
    unsynced_hint: AtomicU64,
    /// How full the log is, in thousandths of what can be, as of the last step ([`pace`]).
    pressure_hint: AtomicU64,
    /// Where the log begins, as of the last step.
    log_start_hint: AtomicU64,
    pace: Mutex<pace::Pace>,
    options: VolumeOptions,
    identity: Identity,
    /// Stays last: fields are dropped in order, and this tells that the store is.
    watched: release::Watched,
}

#[derive(Clone, Copy, Debug)]
struct Identity {
    volume: VolumeId,
    store: StoreId,
    max_entry_blocks: u64,
    log_bytes: u64,
}

/// What the lock guards.
pub(crate) struct State {
    store: Store,
    append_queue: AppendQueue,
    syncing: bool,
    sync_queue: SyncQueue,
    /// The position that the sync thread was asked for.
    sync_wanted: Lsn,
    writer: background::Writer,
    stopping: bool,
}

/// What others may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Summary {
    positions: Positions,
    syncing: bool,
    poisoned: bool,
    generation: u64,
    /// Moves when room was made: positions tell of it before the room is there (F09).
    log_start: u64,
}

impl Summary {
    /// Whether listeners hear of it.
    fn is_news_since(&self, before: &Self) -> bool {
        self.positions != before.positions
            || self.log_start != before.log_start
            || self.poisoned != before.poisoned
    }

    /// Whether nothing moved but the head.
    fn only_appended(&self, before: &Self) -> bool {
        let positions = Positions {
            head: before.positions.head,
            ..self.positions
        };
        Self { positions, ..*self } == *before
    }
}

impl State {
    fn summary(&self) -> Summary {
        Summary {
            positions: self.store.positions(),
            syncing: self.syncing,
            poisoned: self.store.poisoned().is_some(),
            generation: self.store.log_generation(),
            log_start: self.store.log_start(),
        }
    }

    /// Those who wait for a sync and have to know of a change: all of them when the volume stopped
    /// or its log was cut, otherwise whoever it is about.
    fn call_waiters(&mut self, before: &Summary, after: &Summary) -> Called {
        let durable = after.positions.durable;
        if after.poisoned || after.generation != before.generation {
            // What was durable before a cut is not what they wait for.
            self.sync_queue.everyone(Lsn::ZERO)
        } else {
            self.sync_queue.due(durable, after.syncing)
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock means that an invariant of the core broke: nothing may go on.
        self.state.lock().expect("an invariant of the store broke")
    }

    /// Runs a step of the core, then tells everyone who waits for what it moved.
    fn with_store<R>(&self, step: impl FnOnce(&mut Store) -> R) -> R {
        self.with_state(|state| step(&mut state.store))
    }

    /// The same for steps that also touch the wrapper's own state.
    fn with_state<R>(&self, step: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let before = state.summary();
        let result = step(&mut state);
        let after = state.summary();
        let unsynced = state.store.unsynced_bytes();
        self.unsynced_hint.store(unsynced, Ordering::Relaxed);
        self.pressure_hint
            .store(state.store.pressure(), Ordering::Relaxed);
        self.log_start_hint
            .store(after.log_start, Ordering::Relaxed);
        if before == after {
            return result;
        }
        let mut called = Called::nobody();
        if !after.only_appended(&before) {
            self.wake_writer(&mut state);
            self.progress.notify_all();
            called = state.call_waiters(&before, &after);
        }
        drop(state);
        called.wake();
        if after.is_news_since(&before) {
            self.listeners.tell(after.positions);
        }
        result
    }

    fn meta_lock(&self) -> MutexGuard<'_, ()> {
        self.writing_meta
            .lock()
            .expect("an invariant of the store broke")
    }

    fn flush_lock(&self) -> MutexGuard<'_, ()> {
        self.flushing
            .lock()
            .expect("an invariant of the store broke")
    }
}

impl Volume {
    /// Makes a store in a new directory.
    ///
    /// # Errors
    /// When something exists there (F15), sizes are out of bounds, or the disk refuses; then
    /// nothing is left behind but, after a crash, a directory `.making-...` beside it.
    pub fn create(dir: &Path, options: &FormatOptions) -> Result<(), CreateError> {
        if options.blocks == 0 || options.blocks > MAX_BLOCKS {
            return Err(CreateError::Blocks {
                blocks: options.blocks,
                max: MAX_BLOCKS,
            });
        }
        if !(MIN_LOG_BYTES..=MAX_LOG_BYTES).contains(&options.log_bytes) {
            return Err(CreateError::LogBytes {
                bytes: options.log_bytes,
                min: MIN_LOG_BYTES,
                max: MAX_LOG_BYTES,
            });
        }
        disk::create_store(
            dir,
            &options.store.to_string(),
            crate::store::log_disk_len(crate::store::ring_bytes(options)),
            options.blocks * BLOCK_SIZE as u64,
            sums_len(options.blocks),
            options.prewrite_log,
            |disks| crate::store::format(disks, options),
        )
    }

    /// Opens a store, locks it against other processes, and recovers it: the log is read once and
    /// made durable; no extent is written. The role is none afterwards.
    ///
    /// # Errors
    /// Any of [`OpenError`]; nothing was changed.
    pub fn open(dir: &Path, options: VolumeOptions) -> Result<Self, OpenError> {
        Self::open_on(disk::open_store(dir)?, options, Recovery::Strict)
    }

    /// Opens a store even if its log is damaged: then the log is emptied and the store marked
    /// untrusted, durably, and only a rebuild makes it whole. Undamaged stores open as usual.
    ///
    /// # Errors
    /// Any of [`OpenError`] but a broken log.
    pub fn open_for_rebuild(dir: &Path, options: VolumeOptions) -> Result<Self, OpenError> {
        Self::open_on(disk::open_store(dir)?, options, Recovery::DiscardDamaged)
    }

    /// Opens a store on given disks, real or simulated.
    ///
    /// # Errors
    /// Any of [`OpenError`].
    pub fn open_on(
        disks: Disks,
        options: VolumeOptions,
        recovery: Recovery,
    ) -> Result<Self, OpenError> {
        let store = Store::open(disks, options.clone(), recovery)?;
        let identity = Identity {
            volume: store.volume_id(),
            store: store.store_id(),
            max_entry_blocks: store.max_entry_blocks(),
            log_bytes: store.log_bytes(),
        };
        let log_start = store.log_start();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                store,
                append_queue: AppendQueue::default(),
                syncing: false,
                sync_queue: SyncQueue::default(),
                sync_wanted: Lsn::ZERO,
                writer: background::Writer::default(),
                stopping: false,
            }),
            progress: Condvar::new(),
            write_back_work: Condvar::new(),
            sync_work: Condvar::new(),
            scrub_work: Condvar::new(),
            flushing: Mutex::new(()),
            writing_meta: Mutex::new(()),
            listeners: notify::Listeners::default(),
            unsynced_hint: AtomicU64::new(0),
            pressure_hint: AtomicU64::new(0),
            log_start_hint: AtomicU64::new(log_start),
            pace: Mutex::default(),
            options,
            identity,
            watched: release::Watched::default(),
        });
        let threads = background::Threads::start(&shared);
        Ok(Self {
            shared,
            _threads: Arc::new(threads),
        })
    }

    /// Syncs, and records a clean end in the superblock. The volume stays usable.
    ///
    /// # Errors
    /// When the volume is, or becomes, poisoned.
    pub fn close(&self) -> Result<(), SyncError> {
        self.sync()?;
        self.shared
            .meta_step(Store::begin_settle, Store::finish_meta)?;
        Ok(())
    }

    /// The volume.
    #[must_use]
    pub fn volume_id(&self) -> VolumeId {
        self.shared.identity.volume
    }

    /// The identity of this store.
    #[must_use]
    pub fn store_id(&self) -> StoreId {
        self.shared.identity.store
    }

    /// The size of the volume, as of the checkpoint.
    #[must_use]
    pub fn blocks(&self) -> BlockCount {
        self.shared.lock().store.blocks()
    }

    /// The largest entry that this log takes, in blocks of payload.
    #[must_use]
    pub fn max_entry_blocks(&self) -> u64 {
        self.shared.identity.max_entry_blocks
    }

    /// Bytes of the log ring.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.shared.identity.log_bytes
    }

    /// Where the store stands.
    #[must_use]
    pub fn positions(&self) -> Positions {
        self.shared.lock().store.positions()
    }

    /// The last entry and its epoch; `(0, 0)` for the empty log.
    #[must_use]
    pub fn last(&self) -> (Lsn, Epoch) {
        self.shared.lock().store.last()
    }

    /// The lineage of the whole log, entries that are not durable included.
    #[must_use]
    pub fn lineage(&self) -> Lineage {
        self.shared.lock().store.lineage().clone()
    }

    /// What the store has promised.
    #[must_use]
    pub fn promise(&self) -> Promise {
        self.shared.lock().store.promise()
    }

    /// The failure that stopped the volume, if one did.
    #[must_use]
    pub fn poisoned(&self) -> Option<Poisoned> {
        self.shared.lock().store.poisoned().cloned()
    }

    /// Why the last step of write-back failed, if it did.
    #[must_use]
    pub fn write_back_error(&self) -> Option<WriteBackError> {
        self.shared.lock().store.write_back_error().cloned()
    }

    /// Takes what the primary says is committed, as far as this log reaches; never goes back.
    /// Returns the position in force.
    pub fn set_committed(&self, lsn: Lsn) -> Lsn {
        self.shared.with_store(|store| store.set_committed(lsn))
    }

    /// Changes how far write-back may go.
    pub fn set_flush_bound(&self, bound: FlushBound) {
        let mut state = self.shared.lock();
        state.store.set_flush_bound(bound);
        self.shared.wake_writer(&mut state);
    }

    /// Keeps the entries after a position in the log. The pin is charged for the log from there up
    /// to the checkpoint, which is free without it, and may keep back `max_bytes` of that, at most
    /// half of the ring: one that keeps back more is revoked when the log is next freed, and says
    /// so when asked (F42). What is not yet written back is charged to nobody (F84).
    ///
    /// # Errors
    /// Any of [`PinError`]; history that is already recycled cannot be pinned (F12).
    pub fn pin(&self, from: Lsn, max_bytes: u64) -> Result<RetentionPin, PinError> {
        let id = self.shared.lock().store.pin(from, max_bytes)?;
        Ok(RetentionPin::new(&self.shared, id, from))
    }

    /// Calls `notify` after every change of a position, when room was made in the log, and when the
    /// volume stopped for good ([`Volume::poisoned`]), from whichever thread did it, without any
    /// lock held. Calls may overtake each other: [`Volume::positions`] is the truth. It must not
    /// block. It ends when the subscription is dropped.
    pub fn subscribe(&self, notify: impl Fn(Positions) + Send + Sync + 'static) -> Subscription {
        notify::subscribe(&self.shared, Arc::new(notify))
    }

    /// What this store can prove of its history; the epoch is the promised one.
    #[must_use]
    pub fn history(&self) -> RetainedHistory {
        self.shared.lock().store.history()
    }
}

impl fmt::Debug for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Volume")
            .field("volume", &self.shared.identity.volume)
            .field("store", &self.shared.identity.store)
            .finish_non_exhaustive()
    }
}
