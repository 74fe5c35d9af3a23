//! The clock of a node: counts also the time in which the machine slept.
//!
//! A lease is a promise about real time. A clock that stands still while the host is suspended
//! (`CLOCK_MONOTONIC`) would let a primary wake up under a lease that the authority has long given to
//! another (F88), so every time of this crate that decides anything is read from `CLOCK_BOOTTIME`.
//!
//! Must never: be compared with the clock of another node, or go back. What it cannot see is a virtual
//! machine that is paused together with its clocks: README, *Limits*.

use std::time::Duration;

use holdfast_engine::Tick;
use rustix::time::{ClockId, clock_gettime};

/// Time since the node started; never goes back, and is nobody else's.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    read: fn() -> Duration,
    started: Duration,
}

/// Time since the machine started, sleep included.
fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    // Neither is ever negative on this clock, and a second has fewer nanoseconds than 2^32.
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanoseconds)
}

impl Clock {
    /// A clock that begins now.
    #[must_use]
    pub fn start() -> Self {
        Self::reading(since_boot)
    }

    /// A clock that begins now and is read from `read`.
    fn reading(read: fn() -> Duration) -> Self {
        Self {
            read,
            started: read(),
        }
    }

    /// Time since the start.
    #[must_use]
    pub fn now(self) -> Duration {
        (self.read)().saturating_sub(self.started)
    }

    /// The same in the engine's ticks, which are milliseconds here.
    #[must_use]
    pub fn tick(self) -> Tick {
        Tick(u64::try_from(self.now().as_millis()).unwrap_or(u64::MAX))
    }

    /// A moment of this clock as one that a timer takes. Timers stand still while the machine
    /// sleeps: who wakes by one looks at the clock again.
    #[must_use]
    pub fn instant(self, at: Duration) -> tokio::time::Instant {
        tokio::time::Instant::now() + at.saturating_sub(self.now())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::{Clock, since_boot};

    thread_local! {
        static SINCE_BOOT: Cell<Duration> = const { Cell::new(Duration::from_secs(100)) };
    }

    #[test]
    fn f88_a_lease_runs_out_while_the_machine_sleeps() {
        let clock = Clock::reading(|| SINCE_BOOT.get());
        let lease_until = clock.now() + Duration::from_secs(10);
        SINCE_BOOT.set(Duration::from_secs(100 + 3600));
        assert_eq!(clock.now(), Duration::from_secs(3600));
        assert!(
            lease_until < clock.now(),
            "the hour of sleep was not counted"
        );
        let timer = clock.instant(lease_until);
        assert!(timer <= tokio::time::Instant::now(), "a past moment is due");
    }

    #[test]
    fn f88_the_clock_of_a_node_is_the_uptime_with_sleep_included() {
        // The kernel counts `/proc/uptime` on CLOCK_BOOTTIME.
        let uptime = || -> f64 {
            let text = std::fs::read_to_string("/proc/uptime").unwrap();
            text.split(' ').next().unwrap().parse().unwrap()
        };
        let before = uptime();
        let read = since_boot().as_secs_f64();
        let after = uptime();
        // It is written in hundredths of a second.
        assert!(
            before - 0.02 <= read && read <= after + 0.02,
            "{before} {read} {after}"
        );
    }
}
