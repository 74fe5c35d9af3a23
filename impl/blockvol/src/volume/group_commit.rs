//! One sync for everyone who waits for one.
//!
//! Whoever asks while none is under way runs the sync in its own thread; whoever asks meanwhile
//! waits, and shares the next one. No timer: an idle volume syncs at once, a busy one forms
//! groups as large as the disk is slow.
//!
//! Who waits is woken once, when there is something for him: his entry is durable, which he learns
//! without the volume's lock, or it is his turn to sync, or what he waits for has ended otherwise. So
//! a sync that many shared does not make all of them fight for the lock, and never wakes those who
//! wait for the next one.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread::panicking;

use holdfast_types::Lsn;

use super::{Shared, Volume};
use crate::error::{DiskError, DiskOp, SyncError};
use crate::log::scan::UNSYNCED_BYTES_MAX;
use crate::threads::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::threads::thread::{self, Thread};

impl Volume {
    /// Blocks until the head of this moment is durable; returns the durable position.
    ///
    /// # Errors
    /// When the volume is, or becomes, poisoned, or the entry is cut meanwhile.
    pub fn sync(&self) -> Result<Lsn, SyncError> {
        let head = self.shared.lock().store.positions().head;
        self.shared.sync_to(head)
    }

    /// Blocks until `lsn` is durable; returns the durable position, which may be beyond it.
    ///
    /// # Errors
    /// When `lsn` is beyond the head, or is cut meanwhile, or the volume is, or becomes, poisoned.
    pub fn sync_to(&self, lsn: Lsn) -> Result<Lsn, SyncError> {
        self.shared.sync_to(lsn)
    }

    /// Asks the sync thread to make the present head durable, and returns at once; a subscription
    /// tells when it is. Without background threads this has no effect.
    pub fn request_sync(&self) {
        let mut state = self.shared.lock();
        state.sync_wanted = state.store.positions().head;
        self.shared.sync_work.notify_one();
    }

    /// Starts a sync before the unsynced part of the log reaches its bound, or keeps write-back
    /// from freeing the ring, so that appends need not wait there.
    pub(super) fn sync_early(&self) {
        let bound = (UNSYNCED_BYTES_MAX / 2).min(self.shared.identity.log_bytes / 8);
        if self.shared.unsynced_hint.load(Ordering::Relaxed) > bound {
            self.request_sync();
        }
    }
}

/// One thread that waits for a sync.
#[derive(Debug)]
struct Waiter {
    lsn: Lsn,
    thread: Thread,
    /// The durable position when he was called.
    durable: AtomicU64,
    called: AtomicBool,
}

impl Waiter {
    /// Sleeps until called; returns the durable position of that moment.
    fn wait(&self) -> Lsn {
        // Whatever else unparks this thread changes nothing.
        while !self.called.load(Ordering::Acquire) {
            thread::park();
        }
        Lsn(self.durable.load(Ordering::Relaxed))
    }
}

/// Those who wait for a sync, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct SyncQueue {
    waiting: VecDeque<Arc<Waiter>>,
}

impl SyncQueue {
    fn join(&mut self, lsn: Lsn) -> Arc<Waiter> {
        let waiter = Arc::new(Waiter {
            lsn,
            thread: thread::current(),
            durable: AtomicU64::new(0),
            called: AtomicBool::new(false),
        });
        self.waiting.push_back(Arc::clone(&waiter));
        waiter
    }

    /// Takes out those for whom there is something: everyone whose entry is durable, and the first
    /// of the others if nobody syncs. Whoever runs the next sync comes first, so that the disk
    /// works while the others wake.
    pub(super) fn due(&mut self, durable: Lsn, syncing: bool) -> Called {
        if self.waiting.is_empty() {
            return Called::nobody();
        }
        let (done, mut rest): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiter| waiter.lsn <= durable);
        let next = if syncing { None } else { rest.pop_front() };
        self.waiting = rest;
        Called {
            durable,
            waiters: next.into_iter().chain(done).collect(),
        }
    }

    /// Takes out everyone.
    pub(super) fn everyone(&mut self, durable: Lsn) -> Called {
        Called {
            durable,
            waiters: std::mem::take(&mut self.waiting).into(),
        }
    }
}

/// Those who are to be woken, once the volume's lock is released.
#[must_use = "they sleep until they are woken"]
pub(super) struct Called {
    durable: Lsn,
    waiters: Vec<Arc<Waiter>>,
}

impl Called {
    pub(super) const fn nobody() -> Self {
        Self {
            durable: Lsn::ZERO,
            waiters: Vec::new(),
        }
    }

    pub(super) fn wake(self) {
        for waiter in self.waiters {
            waiter.durable.store(self.durable.0, Ordering::Relaxed);
            waiter.called.store(true, Ordering::Release);
            waiter.thread.unpark();
        }
    }
}

/// Whose turn it is to sync. If he panics, those who wait for him must not sleep for ever: nobody
/// knows what his sync proved, so it counts as a failed one.
struct Turn<'a>(&'a Shared);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !panicking() {
            return;
        }
        let broken = match self.0.state.lock() {
            Ok(_) => None,
            Err(broken) => Some(broken.into_inner().sync_queue.everyone(Lsn::ZERO)),
        };
        if let Some(called) = broken {
            // Whoever wakes finds the same.
            self.0.progress.notify_all();
            called.wake();
            return;
        }
        self.0.with_state(|state| {
            state.syncing = false;
            let died = io::Error::other("the thread that synced it panicked");
            let log = state.store.disks().log.name().to_owned();
            state
                .store
                .poison(DiskError::new(DiskOp::Sync, &log, 0, 0, &died));
        });
    }
}

impl Shared {
    pub(super) fn sync_to(&self, lsn: Lsn) -> Result<Lsn, SyncError> {
        let mut state = self.lock();
        let head = state.store.positions().head;
        if lsn > head {
            return Err(SyncError::BeyondHead { asked: lsn, head });
        }
        let generation = state.store.log_generation();
        loop {
            state.store.check_poison()?;
            let durable = state.store.positions().durable;
            if state.store.log_generation() != generation && durable < lsn {
                return Err(SyncError::Cut { asked: lsn });
            }
            if durable >= lsn {
                return Ok(durable);
            }
            if state.syncing {
                let waiter = state.sync_queue.join(lsn);
                drop(state);
                let durable = waiter.wait();
                if durable >= lsn {
                    return Ok(durable);
                }
                // If the lock is broken, those who wait behind this thread must hear of it.
                let turn = Turn(self);
                state = self.lock();
                drop(turn);
                continue;
            }
            let step = state.store.begin_sync()?;
            state.syncing = true;
            drop(state);
            let turn = Turn(self);
            let result = step.run();
            self.finish_group(&step, result)?;
            drop(turn);
            state = self.lock();
        }
    }

    fn finish_group(
        &self,
        step: &crate::store::SyncStep,
        result: Result<(), DiskError>,
    ) -> Result<(), SyncError> {
        self.with_state(|state| {
            state.syncing = false;
            state.store.finish_sync(step, result)
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lsns(called: &Called) -> Vec<u64> {
        called.waiters.iter().map(|waiter| waiter.lsn.0).collect()
    }

    #[test]
    fn a_sync_calls_whom_it_served_and_one_to_run_the_next() {
        let mut queue = SyncQueue::default();
        for lsn in [3, 7, 4, 8] {
            let _ = queue.join(Lsn(lsn));
        }
        assert_eq!(lsns(&queue.due(Lsn(4), false)), [7, 3, 4]);
        assert!(lsns(&queue.due(Lsn(5), true)).is_empty());
        assert_eq!(lsns(&queue.everyone(Lsn::ZERO)), [8]);
        assert!(lsns(&queue.due(Lsn(9), false)).is_empty());
    }

    #[test]
    fn who_is_called_learns_how_far_the_log_is_durable() {
        let mut queue = SyncQueue::default();
        let waiter = queue.join(Lsn(3));
        queue.due(Lsn(5), false).wake();
        assert_eq!(waiter.wait(), Lsn(5));
    }
}
