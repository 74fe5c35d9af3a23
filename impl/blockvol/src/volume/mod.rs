//! One replica's store as many threads use it: a cheap handle on the synchronous core
//! ([`crate::Store`]).
//!
//! It adds what needs threads and clocks, and nothing else: one sync for everyone who waits for
//! one ([`group_commit`]), write-back in the background ([`write_back`]), waiting for room in the
//! log, and notification when positions move. A single writer's flush runs in its own thread: no
//! hand-over, no delay.
//!
//! Locks, always taken in this order: `flushing` (one cycle of write-back, or a cut, or a switch of
//! bases, or a chunk of one), `writing_meta` (one superblock write), `state` (the core). `state` is
//! held over no disk operation but the buffered append, so that whoever only looks never waits for a
//! disk (F41).

mod background;
mod base;
mod group_commit;
mod notify;
mod pin;

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use bytes::Bytes;
use holdfast_types::{
    BLOCK_SIZE, BlockCount, BlockRange, EntryKind, Epoch, Lineage, LogEntry, Lsn, ReplicaFacts,
    RetainedHistory, SessionId, StoreId, VolumeId,
};

use crate::disk::{self, Disks};
use crate::error::{
    AppendError, CreateError, CursorError, FactsError, OpenError, PinError, Poisoned, PromiseError,
    ReadError, SyncError, TruncateError, WriteBackError,
};
use crate::options::{FormatOptions, MAX_BLOCKS, MAX_LOG_BYTES, MIN_LOG_BYTES, VolumeOptions};
use crate::positions::{FlushBound, Positions, Promise, ReadPoint, Role};
use crate::store::{MetaStep, Recovery, Store};

pub use base::{BaseInstall, BaseSource};
pub use notify::Subscription;
pub use pin::RetentionPin;

/// A log entry whose payload is shared, not copied. A payload that is a slice of a large buffer
/// keeps the whole buffer in memory for as long as the entry is recent.
pub type Entry = LogEntry<Bytes>;

/// Bytes of payload appended in one write, at most, beyond the first entry.
const APPEND_BYTES: u64 = 1 << 20;

/// A thread-safe handle; cheap to clone. When the last one is dropped the background threads end;
/// what was appended and not synced is then as after a crash of the process. The directory stays
/// locked until bases being copied or installed are dropped too.
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
    flushing: Mutex<()>,
    writing_meta: Mutex<()>,
    listeners: notify::Listeners,
    /// Bytes of log beyond the durable position, as of the last step.
    unsynced_hint: AtomicU64,
    options: VolumeOptions,
    identity: Identity,
}

#[derive(Clone, Copy, Debug)]
struct Identity {
    volume: VolumeId,
    store: StoreId,
    blocks: BlockCount,
    max_entry_blocks: u64,
    log_bytes: u64,
}

/// What the lock guards.
pub(crate) struct State {
    store: Store,
    syncing: bool,
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
        if before == after {
            return result;
        }
        if !after.only_appended(&before) {
            self.wake_writer(&mut state);
            self.progress.notify_all();
        }
        drop(state);
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
            blocks: store.blocks(),
            max_entry_blocks: store.max_entry_blocks(),
            log_bytes: store.log_bytes(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                store,
                syncing: false,
                sync_wanted: Lsn::ZERO,
                writer: background::Writer::default(),
                stopping: false,
            }),
            progress: Condvar::new(),
            write_back_work: Condvar::new(),
            sync_work: Condvar::new(),
            flushing: Mutex::new(()),
            writing_meta: Mutex::new(()),
            listeners: notify::Listeners::default(),
            unsynced_hint: AtomicU64::new(0),
            options,
            identity,
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
            .meta_step(Store::begin_close, Store::finish_meta)?;
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

    /// The size of the volume.
    #[must_use]
    pub fn blocks(&self) -> BlockCount {
        self.shared.identity.blocks
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

    /// Appends a write, trim or write-zeroes as the primary of `epoch`; waits for room in the log
    /// as long as the options say. Buffered: durable after a sync.
    ///
    /// # Errors
    /// Any of [`AppendError`]; nothing was appended then.
    pub fn append(
        &self,
        epoch: Epoch,
        kind: EntryKind,
        range: BlockRange,
        payload: Bytes,
    ) -> Result<Lsn, AppendError> {
        self.append_waiting(|store| store.append(epoch, kind, Some(range), payload.clone()))
    }

    /// The same without waiting: [`AppendError::LogFull`] or [`AppendError::SyncFirst`] at once.
    /// A later change of positions (see [`Volume::subscribe`]) is the time to try again.
    ///
    /// # Errors
    /// Any of [`AppendError`]; nothing was appended then.
    pub fn try_append(
        &self,
        epoch: Epoch,
        kind: EntryKind,
        range: BlockRange,
        payload: Bytes,
    ) -> Result<Lsn, AppendError> {
        let result = self
            .shared
            .with_store(|store| store.append(epoch, kind, Some(range), payload));
        match &result {
            Err(AppendError::LogFull { .. }) => {
                self.request_sync();
                self.shared.kick_writer();
            }
            Err(AppendError::SyncFirst { .. }) => self.request_sync(),
            Ok(_) => self.sync_early(),
            Err(_) => {}
        }
        result
    }

    /// Logs the first entry of an epoch, from the log's reserve if need be (F96).
    ///
    /// # Errors
    /// Any of [`AppendError`]; nothing was appended then.
    pub fn append_epoch_start(&self, epoch: Epoch) -> Result<Lsn, AppendError> {
        self.append_waiting(|store| store.append(epoch, EntryKind::EpochStart, None, Bytes::new()))
    }

    /// Appends as a replica the entry that follows `predecessor`, waiting for room.
    ///
    /// # Errors
    /// Any of [`AppendError`], naming what was expected; nothing was appended then.
    pub fn append_entry(
        &self,
        predecessor: (Lsn, Epoch),
        entry: Entry,
    ) -> Result<Lsn, AppendError> {
        self.append_entries(predecessor, std::slice::from_ref(&entry))
    }

    /// Appends as a replica the entries that follow `predecessor`, in few disk writes, waiting
    /// for room. Returns the new head.
    ///
    /// # Errors
    /// Any of [`AppendError`]. Entries before the refused one may be appended: the head tells.
    pub fn append_entries(
        &self,
        predecessor: (Lsn, Epoch),
        entries: &[Entry],
    ) -> Result<Lsn, AppendError> {
        let mut predecessor = predecessor;
        let mut rest = entries;
        loop {
            let batch = &rest[..batch_len(rest)];
            let head = self.append_waiting(|store| store.append_entries(predecessor, batch))?;
            rest = &rest[batch.len()..];
            match batch.last() {
                Some(last) if !rest.is_empty() => predecessor = (last.lsn, last.epoch),
                Some(_) | None => return Ok(head),
            }
        }
    }

    fn append_waiting(
        &self,
        append: impl Fn(&mut Store) -> Result<Lsn, AppendError>,
    ) -> Result<Lsn, AppendError> {
        let mut deadline = None;
        loop {
            let (result, log_start) = self
                .shared
                .with_store(|store| (append(store), store.log_start()));
            let full = match result {
                Err(AppendError::SyncFirst { .. }) => {
                    self.sync_for_append()?;
                    continue;
                }
                Err(full @ AppendError::LogFull { .. }) => full,
                result => {
                    self.sync_early();
                    return result;
                }
            };
            let now = Instant::now();
            let until = *deadline.get_or_insert(now + self.shared.options.log_full_wait);
            if !self.wait_for_room(until, log_start) {
                return Err(full);
            }
        }
    }

    fn sync_for_append(&self) -> Result<(), AppendError> {
        match self.sync() {
            Ok(_) | Err(SyncError::Cut { .. } | SyncError::BeyondHead { .. }) => Ok(()),
            Err(SyncError::Poisoned(poisoned)) => Err(poisoned.into()),
        }
    }

    /// Cuts everything after `to`, durably; pins beyond it are revoked.
    ///
    /// # Errors
    /// When effects beyond `to` may be in the extent (a rebuild is needed), or `to` is beyond the
    /// head; nothing was changed then. When the disk fails the volume is poisoned.
    pub fn truncate(&self, to: Lsn) -> Result<(), TruncateError> {
        let shared = &self.shared;
        let _flush = shared.flush_lock();
        shared.lock().store.check_truncate(to)?;
        match self.sync() {
            Ok(_) => {}
            Err(SyncError::Poisoned(poisoned)) => return Err(poisoned.into()),
            Err(SyncError::BeyondHead { .. } | SyncError::Cut { .. }) => {
                unreachable!("cuts and switches of bases come one after the other")
            }
        }
        let _meta = shared.meta_lock();
        let Some(step) = shared.with_store(|store| store.begin_cut(to))? else {
            return Ok(());
        };
        let result = step.run();
        shared.with_store(|store| store.finish_cut(step, result))
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

    /// Reads whole blocks: the log first, then the extent.
    ///
    /// # Errors
    /// Any of [`ReadError`]; the buffer's content is unspecified then.
    pub fn read(&self, range: BlockRange, buf: &mut [u8]) -> Result<ReadPoint, ReadError> {
        loop {
            let plan = self.shared.lock().store.plan_read(range, buf.len())?;
            let result = plan.run(buf);
            if self.shared.lock().store.read_holds(&plan) {
                return result;
            }
        }
    }

    /// The entries after a position: at least one if there is one, otherwise no more than
    /// `max_bytes` of payload. Newer ones come from memory, older ones from the log, verified.
    ///
    /// # Errors
    /// Any of [`CursorError`]; [`CursorError::Recycled`] when the log no longer has them.
    pub fn entries(&self, after: Lsn, max_bytes: u64) -> Result<Vec<Entry>, CursorError> {
        loop {
            let plan = self.shared.lock().store.plan_entries(after, max_bytes)?;
            let result = plan.run();
            if self.shared.lock().store.entries_hold(&plan) {
                return result;
            }
        }
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

    /// Makes a higher epoch durable before it returns (F52, F91); the role becomes none. The
    /// promised epoch again has no effect.
    ///
    /// # Errors
    /// When a higher epoch is promised already, or the volume is poisoned.
    pub fn fence(&self, epoch: Epoch) -> Result<Promise, PromiseError> {
        self.promise_durably(|store| store.begin_fence(epoch))
    }

    /// Takes a role in the promised epoch, durably.
    ///
    /// # Errors
    /// When the epoch is not the promised one, or the volume is poisoned.
    pub fn set_role(&self, epoch: Epoch, role: Role) -> Result<Promise, PromiseError> {
        self.promise_durably(|store| store.begin_role(epoch, role))
    }

    /// Admits a primary's session, durably; a newer epoch is promised with it.
    ///
    /// # Errors
    /// When epoch or session is stale, or the volume is poisoned.
    pub fn admit_session(&self, epoch: Epoch, session: SessionId) -> Result<Promise, PromiseError> {
        self.promise_durably(|store| store.begin_session(epoch, session))
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
                .with_store(|store| store.finish_meta(step, result))?;
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

/// How many entries go into one disk write: at least one, unless there is none.
fn batch_len(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    let fitting = entries
        .iter()
        .take_while(|entry| {
            bytes += entry.payload.len() as u64;
            bytes <= APPEND_BYTES
        })
        .count();
    fitting.max(1).min(entries.len())
}
