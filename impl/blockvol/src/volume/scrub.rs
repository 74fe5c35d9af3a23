//! Verification at rest while others work, and repair of what was found (F21).
//!
//! A pass reads everything once, at the rate that the options allow, and then rests. Whatever it
//! finds is in [`Volume::damage`], and every listener is told.

use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_types::{BlockRange, Lsn};

use super::{Shared, State, Volume};
use crate::error::{FactsError, RepairError};
use crate::store::{DamageReport, ScrubReport, Store};
use crate::threads::MutexGuard;

/// Bytes that a step of the background pass verifies.
const STEP_BYTES: u64 = 256 << 10;
/// From opening to the first pass.
const FIRST_PASS_AFTER: Duration = Duration::from_secs(60);

impl Volume {
    /// One step of scrubbing: verifies about `max_bytes` at rest, from where the last step ended.
    /// Reads and writes go on meanwhile.
    ///
    /// # Errors
    /// When the volume is poisoned, or the disk refuses. Damage is no error but a finding.
    pub fn scrub_step(&self, max_bytes: u64) -> Result<ScrubReport, FactsError> {
        self.shared.scrub_step(max_bytes)
    }

    /// What is known to be damaged at present, to be fetched from another copy and repaired.
    #[must_use]
    pub fn damage(&self) -> DamageReport {
        self.shared.lock().store.damage()
    }

    /// Writes blocks of the image again, durably, with their content as of `at`, which the caller read
    /// from another copy of the same log. Blocks that the log holds anew are left alone.
    ///
    /// # Errors
    /// When the content is of another position than can be used here; nothing was changed then. Or
    /// when the disk refuses.
    pub fn repair(&self, range: BlockRange, content: Bytes, at: Lsn) -> Result<(), RepairError> {
        let _flush = self.shared.flush_lock();
        let step = self.shared.lock().store.begin_repair(range, content, at)?;
        let result = step.run();
        self.shared
            .with_store(|store| store.finish_repair(&step, result))
    }

    /// Writes the payload of a damaged entry of the log again, durably; only what was logged is taken.
    ///
    /// # Errors
    /// When it is something else, or the entry's header is damaged too; nothing was changed then. Or
    /// when the disk refuses.
    pub fn repair_entry(&self, lsn: Lsn, payload: &[u8]) -> Result<(), RepairError> {
        let log = {
            let mut state = self.shared.lock();
            state.store.repair_entry(lsn, payload)?;
            std::sync::Arc::clone(&state.store.disks().log)
        };
        log.sync()
            .map_err(|error| self.shared.with_store(|store| store.poison(error)).into())
    }
}

impl Shared {
    fn scrub_step(&self, max_bytes: u64) -> Result<ScrubReport, FactsError> {
        if self.lock().store.scrubs_slots() {
            return self.scrub_slots();
        }
        let mut alone = None;
        loop {
            let Some(step) = self.lock().store.begin_scrub(max_bytes)? else {
                return Ok(ScrubReport {
                    ended: true,
                    ..ScrubReport::default()
                });
            };
            let verified = step.run()?;
            let report =
                self.with_store(|store| store.finish_scrub(&step, verified, alone.is_some()));
            if let Some(report) = report {
                self.tell_of(&report);
                return Ok(report);
            }
            alone = Some(self.flush_lock());
        }
    }

    fn scrub_slots(&self) -> Result<ScrubReport, FactsError> {
        let meta = self.meta_lock();
        let step = self.lock().store.begin_facts()?;
        let slots = step.run()?;
        let report = self.with_store(|store| store.finish_slots(&slots));
        drop(meta);
        if !report.found.is_empty() {
            self.meta_step(Store::begin_settle, Store::finish_meta)?;
            self.tell_of(&report);
        }
        Ok(report)
    }

    fn tell_of(&self, report: &ScrubReport) {
        if !report.found.is_empty() {
            let positions = self.lock().store.positions();
            self.listeners.tell(positions);
        }
    }

    pub(super) fn scrub_thread(&self) {
        let rate = self.options.scrub_bytes_per_second;
        if rate == 0 {
            return;
        }
        let mut pause = FIRST_PASS_AFTER.min(self.options.scrub_interval);
        while self.sleeps(pause) {
            pause = match self.scrub_step(STEP_BYTES) {
                Ok(report) if report.ended => self.options.scrub_interval,
                Ok(report) => Duration::from_secs_f64(report.bytes as f64 / rate as f64),
                // A disk that cannot be read may be readable again; a stopped volume is not.
                Err(FactsError::Disk(_)) => self.options.scrub_interval,
                Err(FactsError::Damaged(_) | FactsError::Poisoned(_)) => return,
            };
        }
    }

    /// Waits; `false` when the volume ends.
    fn sleeps(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let mut state: MutexGuard<'_, State> = self.lock();
        while !state.stopping {
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                return true;
            };
            let (woken, _) = self
                .scrub_work
                .wait_timeout(state, left)
                .expect("an invariant of the store broke");
            state = woken;
        }
        false
    }
}
