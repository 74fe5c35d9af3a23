//! The volume's own threads: write-back, syncs that nobody waits for, and scrubbing
//! ([`super::scrub`]).
//!
//! Write-back begins when enough can be written back, when someone waits for room in the log, or
//! when something has been waiting for `writeback_idle`. It is woken by positions, never by writes
//! alone (F23). A volume that rests writes its superblock once more, into both slots (decision 012);
//! then its threads sleep without a timer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_types::Lsn;

use super::{Shared, State, Volume};
use crate::disk::DiskError;
use crate::error::{Poisoned, WriteBackError};
use crate::store::{MetaStep, Store};
use crate::threads::{Mutex, MutexGuard, thread};

/// Ranges that the extent takes over while the volume is locked once.
const RANGES_PER_LOCK: usize = 256;

/// What the write-back thread is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rest {
    /// Working, or about to look for work.
    #[default]
    Awake,
    /// Waiting for more to write back, or for the idle time to pass.
    Dozing,
    /// Nothing can be written back.
    Asleep,
}

/// The state of write-back, under the volume's lock.
#[derive(Debug, Default)]
pub(super) struct Writer {
    rest: Rest,
    /// Someone wants a step now, however little it does.
    kicked: bool,
    /// How many wait for room in the log.
    waiting_for_room: usize,
}

/// Stops and joins the threads when the last handle is dropped.
#[derive(Debug)]
pub(super) struct Threads {
    shared: Arc<Shared>,
    handles: Mutex<Vec<thread::JoinHandle<()>>>,
}

impl Threads {
    pub(super) fn start(shared: &Arc<Shared>) -> Self {
        let mut handles = Vec::new();
        if shared.options.background {
            let writer = Arc::clone(shared);
            let syncer = Arc::clone(shared);
            let scrubber = Arc::clone(shared);
            let named = |name: &str| thread::Builder::new().name(name.to_owned());
            let started = [
                named("write-back").spawn(move || writer.write_back_thread()),
                named("log-sync").spawn(move || syncer.sync_thread()),
                named("scrub").spawn(move || scrubber.scrub_thread()),
            ];
            // A process that cannot start three threads cannot serve; the volume then goes by what
            // its callers do themselves, as without background threads.
            handles.extend(started.into_iter().flatten());
        }
        Self {
            shared: Arc::clone(shared),
            handles: Mutex::new(handles),
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Ok(mut state) = self.shared.state.lock() {
            state.stopping = true;
        }
        self.shared.write_back_work.notify_all();
        self.shared.sync_work.notify_all();
        self.shared.scrub_work.notify_all();
        let Ok(mut handles) = self.handles.lock() else {
            return;
        };
        for handle in handles.drain(..) {
            // The last handle may be dropped by a listener, in one of these very threads.
            if handle.thread().id() != thread::current().id() {
                let _ = handle.join();
            }
        }
    }
}

impl Volume {
    /// One step of write-back; whether it did anything. The background thread calls it; tests and
    /// owners without one call it themselves.
    ///
    /// # Errors
    /// What stopped it; the log keeps what was not written back.
    pub fn write_back(&self) -> Result<bool, WriteBackError> {
        self.shared.write_back()
    }

    /// Waits until write-back may have made room; `false` when it is no use to wait. Write-back
    /// cannot pass the durable position, so a log full of unsynced entries is synced first.
    /// `log_start` is where the log began when there was no room: if it has moved since, there may
    /// be room already.
    pub(super) fn wait_for_room(&self, until: Instant, log_start: u64) -> bool {
        let shared = &self.shared;
        let positions = self.positions();
        if positions.durable < positions.head && self.sync().is_ok() && shared.options.background {
            return true;
        }
        if !shared.options.background {
            return matches!(shared.write_back(), Ok(true));
        }
        let mut state = shared.lock();
        if state.store.poisoned().is_some() || state.store.log_start() != log_start {
            return true; // the append tells more
        }
        let now = Instant::now();
        let Some(left) = until.checked_duration_since(now).filter(|d| !d.is_zero()) else {
            return false;
        };
        state.writer.waiting_for_room += 1;
        state.writer.kicked = true;
        shared.write_back_work.notify_one();
        let (mut state, _) = shared
            .progress
            .wait_timeout(state, left)
            .expect("an invariant of the store broke");
        state.writer.waiting_for_room -= 1;
        true
    }
}

impl Shared {
    /// Write-back threshold in bytes.
    fn enough(&self) -> u64 {
        let eighth = self.identity.log_bytes / 8;
        self.options
            .writeback_bytes
            .unwrap_or_else(|| eighth.min(64 << 20))
    }

    /// Wakes write-back when positions gave it something to do.
    pub(super) fn wake_writer(&self, state: &mut State) {
        let bytes = state.store.flushable_bytes();
        let chores = state.store.operation_is_due();
        let wake = match state.writer.rest {
            Rest::Awake => false,
            Rest::Dozing => bytes >= self.enough() || chores || state.writer.waiting_for_room > 0,
            Rest::Asleep => bytes > 0 || state.writer.waiting_for_room > 0,
        };
        if state.writer.waiting_for_room > 0 {
            state.writer.kicked = true;
        }
        if wake {
            self.write_back_work.notify_one();
        }
    }

    /// Wakes write-back when space may be freed and someone waits for it.
    pub(super) fn wake_for_waiters(&self, state: &mut State) {
        if state.writer.waiting_for_room > 0 {
            state.writer.kicked = true;
            self.write_back_work.notify_one();
        }
    }

    /// Asks for a step of write-back now.
    pub(super) fn kick_writer(&self) {
        self.lock().writer.kicked = true;
        self.write_back_work.notify_one();
    }

    fn write_back_thread(&self) {
        while self.wait_for_work() {
            match self.write_back() {
                Ok(_) => {}
                Err(
                    WriteBackError::Disk(_)
                    | WriteBackError::Damaged(_)
                    | WriteBackError::Operation { .. }
                    | WriteBackError::Poisoned(_),
                ) => {
                    // The cause may go away, or be repaired (F22); not so until the volume is
                    // opened anew, if it is poisoned.
                    if self.lock().store.poisoned().is_some() {
                        return;
                    }
                    self.pause(self.options.writeback_idle);
                }
            }
        }
    }

    /// Returns when there is something to write back, or `false` when the volume ends.
    fn wait_for_work(&self) -> bool {
        let mut state = self.lock();
        let mut dozed = false;
        loop {
            if state.stopping || state.store.poisoned().is_some() {
                return false;
            }
            let bytes = state.store.flushable_bytes();
            if std::mem::take(&mut state.writer.kicked)
                || Self::has_chores(&state.store)
                || bytes >= self.enough()
                || (dozed && bytes > 0)
            {
                state.writer.rest = Rest::Awake;
                return true;
            }
            if bytes > 0 {
                state.writer.rest = Rest::Dozing;
                let (woken, timeout) = self
                    .write_back_work
                    .wait_timeout(state, self.options.writeback_idle)
                    .expect("an invariant of the store broke");
                state = woken;
                dozed = timeout.timed_out();
            } else {
                state.writer.rest = Rest::Asleep;
                state = match self.rest(state) {
                    Some(state) => state,
                    None => return false,
                };
                dozed = false;
            }
        }
    }

    /// Sleeps until there may be something to write back. What was quiet for the idle time is
    /// settled first. `None` when the volume stopped over it.
    fn rest<'a>(&'a self, state: MutexGuard<'a, State>) -> Option<MutexGuard<'a, State>> {
        let broken = "an invariant of the store broke";
        if !state.store.is_unsettled() {
            return Some(self.write_back_work.wait(state).expect(broken));
        }
        let idle = self.options.writeback_idle;
        let (state, quiet) = self
            .write_back_work
            .wait_timeout(state, idle)
            .expect(broken);
        if !quiet.timed_out() || state.stopping || state.store.flushable_bytes() > 0 {
            return Some(state);
        }
        drop(state);
        self.meta_step(Store::begin_settle, Store::finish_meta)
            .ok()?;
        Some(self.lock())
    }

    /// After the extent refused a write: the cause may go away (F22).
    fn pause(&self, time: Duration) {
        let mut state = self.lock();
        let until = Instant::now() + time.max(Duration::from_millis(10));
        while !state.stopping {
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                break;
            };
            let (woken, _) = self
                .write_back_work
                .wait_timeout(state, left)
                .expect("an invariant of the store broke");
            state = woken;
        }
        // Those who wait for room look again at what went wrong.
        state.writer.kicked = state.writer.waiting_for_room > 0;
    }

    fn sync_thread(&self) {
        loop {
            let mut state = self.lock();
            while !state.stopping && !sync_is_wanted(&state) {
                state = self
                    .sync_work
                    .wait(state)
                    .expect("an invariant of the store broke");
            }
            let wanted = state.sync_wanted;
            if state.stopping || state.store.poisoned().is_some() {
                return;
            }
            drop(state);
            self.sync_as_asked(wanted);
        }
    }

    /// Syncs as the sync thread was asked to. A failure poisons the volume; a cut means that nobody
    /// wants what was cut any more, but what was asked for since stays asked for.
    fn sync_as_asked(&self, wanted: Lsn) {
        if self.sync_to(wanted).is_err() {
            let mut state = self.lock();
            let head = state.store.positions().head;
            state.sync_wanted = state.sync_wanted.min(head);
        }
    }

    pub(super) fn write_back(&self) -> Result<bool, WriteBackError> {
        let _flush = self.flush_lock();
        let (began, before) = (Instant::now(), self.lock().store.flushable_bytes());
        let Some(flush) = self.with_store(Store::begin_flush)? else {
            if self.meta_step(Store::begin_reclaim, Store::finish_meta)? {
                return Ok(true);
            }
            return self.drain_one();
        };
        self.meta_step(|store| store.begin_bound(&flush), Store::finish_meta)?;
        let result = flush.run();
        self.with_store(|store| store.finish_run(result))?;
        let _meta = self.meta_lock();
        let step = self.with_store(|store| store.begin_checkpoint(&flush))?;
        let result = step.run();
        let left = self.with_store(|store| {
            let finished = store.finish_moved(&flush, step, result);
            finished.map(|()| store.flushable_bytes())
        })?;
        // Nobody waits long for the lock.
        let mut ranges = flush.ranges().peekable();
        while ranges.peek().is_some() {
            let some = ranges.by_ref().take(RANGES_PER_LOCK);
            self.lock().store.settle(&flush, some);
        }
        self.learn_pace(before.saturating_sub(left), began.elapsed());
        Ok(true)
    }

    /// A superblock write with the core's lock released while the disk works.
    pub(super) fn meta_step(
        &self,
        begin: impl FnOnce(&mut Store) -> Result<Option<MetaStep>, Poisoned>,
        finish: impl FnOnce(&mut Store, MetaStep, Result<(), DiskError>) -> Result<(), Poisoned>,
    ) -> Result<bool, Poisoned> {
        let _meta = self.meta_lock();
        let Some(step) = self.with_store(begin)? else {
            return Ok(false);
        };
        let result = step.run();
        self.with_store(|store| finish(store, step, result))?;
        Ok(true)
    }
}

fn sync_is_wanted(state: &State) -> bool {
    state.store.poisoned().is_some() || state.sync_wanted > state.store.positions().durable
}

#[cfg(test)]
mod tests {
    use holdfast_types::{Epoch, VolumeId};

    use super::*;
    use crate::options::{FormatOptions, MIN_LOG_BYTES, VolumeOptions};
    use crate::sim::SimStorage;
    use crate::store::Recovery;

    #[test]
    fn a_request_for_what_was_cut_does_not_erase_a_later_one() {
        let format = FormatOptions {
            log_bytes: MIN_LOG_BYTES,
            ..FormatOptions::new(VolumeId::random(), 8)
        };
        let options = VolumeOptions {
            background: false,
            ..VolumeOptions::default()
        };
        let disks = SimStorage::formatted(&format).disks();
        let volume = Volume::open_on(disks, options, Recovery::Strict).unwrap();
        volume.fence(Epoch(1)).unwrap();
        let head = volume.append_epoch_start(Epoch(1)).unwrap();
        let cut = Lsn(head.0 + 5);
        volume.request_sync();
        volume.shared.sync_as_asked(cut);
        assert!(
            sync_is_wanted(&volume.shared.lock()),
            "{head} was asked for"
        );
        volume.shared.sync_as_asked(head);
        assert_eq!(volume.positions().durable, head);
        volume.shared.lock().sync_wanted = cut;
        volume.shared.sync_as_asked(cut);
        assert!(!sync_is_wanted(&volume.shared.lock()), "{cut} is gone");
    }
}
