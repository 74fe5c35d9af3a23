//! Reading blocks and entries while others write: planned under the lock, carried out without it,
//! confirmed afterwards, and looked at again when something may have moved meanwhile.

use std::time::Instant;

use holdfast_types::{BlockRange, Lsn};

use super::{Entry, Volume};
use crate::error::{CursorError, ReadError};
use crate::positions::ReadPoint;
use crate::store::ReadPlan;

/// How often a read that met a block without its sum looks again before it keeps write-back from
/// working meanwhile.
const ATTEMPTS_MAX: usize = 3;

impl Volume {
    /// Reads whole blocks: the log first, then the extent.
    ///
    /// # Errors
    /// Any of [`ReadError`]; the buffer's content is unspecified then.
    pub fn read(&self, range: BlockRange, buf: &mut [u8]) -> Result<ReadPoint, ReadError> {
        let mut alone = None;
        for attempt in 1.. {
            let plan = self.plan_read(range, buf.len())?;
            let result = plan.run(buf);
            let mut state = self.shared.lock();
            if !state.store.read_holds(&plan) {
                continue;
            }
            let Err(ReadError::Damaged(damage)) = &result else {
                return result;
            };
            if alone.is_some() || state.store.extent_rested(&plan) {
                state.store.note_damage(damage);
                return result;
            }
            drop(state);
            if attempt >= ATTEMPTS_MAX {
                alone = Some(self.shared.flush_lock());
            }
        }
        unreachable!("attempts end")
    }

    /// Reads whole blocks if that takes no waiting, as when they are in memory; `None`: it does, or
    /// cannot be done, and [`Volume::read`] tells. For callers that must not block; the buffer's content
    /// is unspecified then.
    pub fn read_at_once(&self, range: BlockRange, buf: &mut [u8]) -> Option<ReadPoint> {
        let plan = self.shared.lock().store.plan_read(range, buf.len()).ok()?;
        let point = plan.run_at_once(buf)?;
        let held = self.shared.lock().store.read_holds(&plan);
        held.then_some(point)
    }

    /// Plans a read; who meets a restore waits for it as long as for room in the log.
    fn plan_read(&self, range: BlockRange, len: usize) -> Result<ReadPlan, ReadError> {
        let shared = &self.shared;
        let mut state = shared.lock();
        let mut until = None;
        loop {
            let refused = match state.store.plan_read(range, len) {
                Err(refused @ ReadError::Restoring { .. }) => refused,
                planned => return planned,
            };
            let now = Instant::now();
            let until = *until.get_or_insert(now + shared.options.log_full_wait);
            let left = until.saturating_duration_since(now);
            let stopped = state.store.poisoned().is_some() || !shared.options.background;
            if left.is_zero() || stopped {
                return Err(refused);
            }
            (state, _) = shared
                .progress
                .wait_timeout(state, left)
                .expect("an invariant of the store broke");
        }
    }

    /// The blocks of a range that entries of `(after, upto]` write, trim or zero; all of it where an
    /// operation may have. `None` when that is not known any more: the log is freed beyond `after`.
    #[must_use]
    pub fn touched(&self, range: BlockRange, after: Lsn, upto: Lsn) -> Option<Vec<BlockRange>> {
        self.shared.lock().store.touched(range, after, upto)
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
}
