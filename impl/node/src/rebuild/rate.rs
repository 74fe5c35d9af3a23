//! How fast a base may be sent: a bucket of bytes that fills with time.
//!
//! ```text
//!   level <= burst,  level += rate * time;  a piece may go while level >= 0, and is taken from it
//! ```
//!
//! Promises: over any stretch of time no more than `rate * time + burst + one piece` is let through,
//! and no less than `rate * time` if there is always a piece to send. Time is an argument; it never
//! goes back.

use std::time::Duration;

/// The slowest rate that can be set, in bytes per second: a chunk in four seconds, so that a replica
/// that waits for the next one is never taken for stalled.
pub const LEAST_RATE: u64 = 256 << 10;

const NANOS: i128 = 1_000_000_000;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByteRate {
    bytes_per_second: u64,
    burst: u64,
    /// Bytes times nanoseconds; a debt when negative.
    level: i128,
    at: Duration,
}

impl ByteRate {
    /// A full bucket of `burst` bytes, filled by `bytes_per_second` (at least 1).
    #[must_use]
    pub fn new(bytes_per_second: u64, burst: u64, now: Duration) -> Self {
        Self {
            bytes_per_second: bytes_per_second.max(1),
            burst,
            level: i128::from(burst) * NANOS,
            at: now,
        }
    }

    /// From now on another rate; a debt stays.
    pub fn change(&mut self, bytes_per_second: u64, now: Duration) {
        self.fill(now);
        self.bytes_per_second = bytes_per_second.max(1);
    }

    /// When the next piece may go: not after `now` if it may go at once.
    pub fn next_at(&mut self, now: Duration) -> Duration {
        self.fill(now);
        if self.level >= 0 {
            return now;
        }
        let rate = i128::from(self.bytes_per_second);
        let nanos = (-self.level + rate - 1) / rate;
        now.saturating_add(Duration::from_nanos(
            u64::try_from(nanos).unwrap_or(u64::MAX),
        ))
    }

    /// A piece of so many bytes goes.
    pub fn take(&mut self, bytes: u64, now: Duration) {
        self.fill(now);
        self.level -= i128::from(bytes) * NANOS;
    }

    fn fill(&mut self, now: Duration) {
        let passed = i128::try_from(now.saturating_sub(self.at).as_nanos()).unwrap_or(i128::MAX);
        let filled = passed.saturating_mul(i128::from(self.bytes_per_second));
        let full = i128::from(self.burst) * NANOS;
        self.level = self.level.saturating_add(filled).min(full);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::ByteRate;

    const MIB: u64 = 1 << 20;

    /// Sends pieces as soon as they may go; when the last one went.
    fn send(rate: &mut ByteRate, pieces: u64, from: Duration) -> Duration {
        let mut now = from;
        for _ in 0..pieces {
            now = rate.next_at(now);
            rate.take(MIB, now);
        }
        now
    }

    #[test]
    fn a_long_transfer_takes_its_size_by_the_rate_but_for_the_burst() {
        let mut rate = ByteRate::new(4 * MIB, MIB, Duration::ZERO);
        // The burst and one piece go at once, the other 98 at four a second.
        assert_eq!(
            send(&mut rate, 100, Duration::ZERO),
            Duration::from_millis(98 * 250)
        );
    }

    #[test]
    fn idle_time_saves_up_no_more_than_the_burst() {
        let mut rate = ByteRate::new(MIB, 2 * MIB, Duration::ZERO);
        let later = Duration::from_secs(3600);
        assert_eq!(send(&mut rate, 3, later), later, "the burst, and one piece");
        assert_eq!(rate.next_at(later), later + Duration::from_secs(1));
    }

    #[test]
    fn another_rate_counts_from_when_it_is_set_and_a_debt_stays() {
        let mut rate = ByteRate::new(MIB, 0, Duration::ZERO);
        rate.take(4 * MIB, Duration::ZERO);
        let at = Duration::from_secs(2);
        rate.change(2 * MIB, at);
        assert_eq!(rate.next_at(at), Duration::from_secs(3));
    }

    #[test]
    fn time_that_stands_still_or_goes_back_lets_nothing_through() {
        let mut rate = ByteRate::new(MIB, 0, Duration::from_secs(10));
        rate.take(MIB, Duration::from_secs(10));
        assert_eq!(
            rate.next_at(Duration::from_secs(9)),
            Duration::from_secs(10),
            "a second from the present of then"
        );
        assert_eq!(
            rate.next_at(Duration::from_secs(11)),
            Duration::from_secs(11)
        );
    }
}
