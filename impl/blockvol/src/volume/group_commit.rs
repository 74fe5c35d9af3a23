//! One sync for everyone who waits for one.
//!
//! Whoever asks while none is under way runs the sync in its own thread; whoever asks meanwhile
//! waits, and shares the next one. No timer: an idle volume syncs at once, a busy one forms
//! groups as large as the disk is slow.

use std::io;
use std::thread;

use holdfast_types::Lsn;

use super::{Shared, Volume};
use crate::error::{DiskError, DiskOp, SyncError};
use crate::log::scan::UNSYNCED_BYTES_MAX;
use crate::threads::atomic::Ordering;

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

/// Whose turn it is to sync. If he panics, those who wait for him must not sleep for ever: nobody
/// knows what his sync proved, so it counts as a failed one.
struct Turn<'a>(&'a Shared);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        if self.0.state.lock().is_err() {
            // Whoever wakes finds the same.
            self.0.progress.notify_all();
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
                state = self
                    .progress
                    .wait(state)
                    .expect("an invariant of the store broke");
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
