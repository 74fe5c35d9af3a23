//! Back-pressure by degrees: writers slow down before the log is full, and are never held for ever.
//!
//! *Pressure* is how much of the room that write-back could make is taken by entries that it has not
//! reached. Below a half nobody waits. From there on writers are spaced so that, all together, they
//! take what write-back was last seen to give back, times `(1 - t) / t`, where `t` runs from 0 at half
//! pressure to 1 at a full log. So they meet the speed of write-back at three quarters, without ever
//! being stopped; only when write-back does not get on at all does the log fill, and an append is
//! refused with the reason once `log_full_wait` is over (F23).
//!
//! Writers share one schedule: whoever appends takes the next place in it.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::{Shared, Volume};
use crate::threads::atomic::Ordering;
use crate::threads::thread;

/// Pressure at which pacing begins, in thousandths.
const BEGINS: u64 = 500;
/// A full log, in thousandths.
const FULL: u64 = 1000;
/// Nobody waits longer for his place.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// Less than this is not worth a sleep; it stays in the schedule.
const WAIT_MIN: Duration = Duration::from_micros(500);
/// What write-back is taken to give back before it was ever seen, in bytes a second.
const FIRST_GUESS: f64 = (64 << 20) as f64;

/// The schedule of writers.
#[derive(Debug)]
pub(super) struct Pace {
    /// What write-back gives back, in bytes a second.
    rate: f64,
    /// The next free place.
    next: Option<Instant>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            rate: FIRST_GUESS,
            next: None,
        }
    }
}

impl Pace {
    /// Write-back gave back so many bytes in so long a time.
    fn learn(&mut self, bytes: u64, time: Duration) {
        if bytes > 0 && !time.is_zero() {
            let seen = bytes as f64 / time.as_secs_f64();
            self.rate = f64::midpoint(self.rate, seen).max(1.0);
        }
    }

    /// How long who appends so many bytes waits first.
    fn take(&mut self, bytes: u64, pressure: u64, now: Instant) -> Duration {
        if pressure <= BEGINS {
            self.next = None;
            return Duration::ZERO;
        }
        let t = (pressure.min(FULL) - BEGINS) as f64 / (FULL - BEGINS) as f64;
        let stretch = t / (1.0 - t).max(0.001);
        let cost = (bytes as f64 / self.rate * stretch).min(WAIT_MAX.as_secs_f64());
        let place = self.next.map_or(now, |next| next.max(now));
        let wait = (place - now).min(WAIT_MAX);
        // Who would wait longer than anybody may does not push the others further away.
        self.next = Some((place + Duration::from_secs_f64(cost)).min(now + 2 * WAIT_MAX));
        if wait < WAIT_MIN {
            Duration::ZERO
        } else {
            wait
        }
    }
}

impl Volume {
    /// How long who is about to append so many bytes of payload should wait, so that the log does not
    /// fill: nothing while there is room enough. [`Volume::append`] waits by itself; who calls
    /// [`Volume::try_append`] waits as he can. At most a tenth of a second; each call takes a place in
    /// the schedule of all writers.
    #[must_use]
    pub fn pace(&self, bytes: u64) -> Duration {
        let pressure = self.shared.pressure_hint.load(Ordering::Relaxed);
        if pressure <= BEGINS {
            return Duration::ZERO;
        }
        let mut pace = self
            .shared
            .pace
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        pace.take(bytes, pressure, Instant::now())
    }

    /// Waits for this writer's place. Without background threads nobody makes room meanwhile.
    pub(super) fn wait_for_place(&self, bytes: u64) {
        if self.shared.options.background {
            let wait = self.pace(bytes);
            if !wait.is_zero() {
                thread::sleep(wait);
            }
        }
    }
}

impl Shared {
    /// Takes note of what a cycle of write-back gave back.
    pub(super) fn learn_pace(&self, bytes: u64, time: Duration) {
        self.pace
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .learn(bytes, time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_while_half_of_the_room_is_free() {
        let mut pace = Pace::default();
        let now = Instant::now();
        for _ in 0..1000 {
            assert_eq!(pace.take(1 << 20, BEGINS, now), Duration::ZERO);
        }
    }

    /// Bytes a second that writers get through at a pressure, writing 64 KiB each.
    fn speed(pressure: u64) -> f64 {
        let mut pace = Pace {
            rate: 100e6,
            next: None,
        };
        let start = Instant::now();
        let mut now = start;
        for _ in 0..2000 {
            now += pace.take(64 << 10, pressure, now);
        }
        let busy = pace.next.unwrap().max(now) - start;
        2000.0 * 65536.0 / busy.as_secs_f64()
    }

    #[test]
    fn f23_writers_slow_down_by_degrees_and_meet_write_back_at_three_quarters() {
        let speeds: Vec<f64> = [550, 650, 750, 850, 950].map(speed).to_vec();
        assert!(speeds.is_sorted_by(|a, b| a > b), "{speeds:?}");
        assert!((speeds[2] / 100e6 - 1.0).abs() < 0.05, "{speeds:?}");
        assert!(speeds[0] > 5.0 * 100e6, "{speeds:?}");
    }

    #[test]
    fn f23_nobody_is_held_for_long_however_full_the_log_is() {
        let mut pace = Pace {
            rate: 1.0,
            next: None,
        };
        let now = Instant::now();
        for _ in 0..1000 {
            assert!(pace.take(4 << 20, FULL, now) <= WAIT_MAX);
        }
        // And it is over as soon as there is room.
        assert_eq!(pace.take(4096, BEGINS, now), Duration::ZERO);
        assert_eq!(pace.take(4096, BEGINS + 1, now), Duration::ZERO);
    }

    #[test]
    fn the_rate_follows_what_write_back_is_seen_to_do() {
        let mut pace = Pace::default();
        for _ in 0..20 {
            pace.learn(10 << 20, Duration::from_secs(1));
        }
        assert!((pace.rate / (10 << 20) as f64 - 1.0).abs() < 0.01);
        pace.learn(0, Duration::from_secs(1));
        pace.learn(1, Duration::ZERO);
        assert!((pace.rate / (10 << 20) as f64 - 1.0).abs() < 0.01);
    }
}
