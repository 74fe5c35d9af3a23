//! What many repeated operations came to: how many a second, and how long the slow ones took.

use std::time::Duration;

/// Times of operations, in nanoseconds. Bounded by what a run can do: eight bytes each.
#[derive(Clone, Debug, Default)]
pub(super) struct Latencies {
    nanoseconds: Vec<u64>,
}

impl Latencies {
    /// One operation took so long.
    pub(super) fn record(&mut self, time: Duration) {
        self.nanoseconds
            .push(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Those of another thread as well.
    pub(super) fn merge(&mut self, other: Self) {
        self.nanoseconds.extend(other.nanoseconds);
    }

    /// What they came to, over a run that took `elapsed`.
    pub(super) fn summary(mut self, elapsed: Duration) -> Summary {
        self.nanoseconds.sort_unstable();
        let microseconds = |per_mille: usize| {
            let last = self.nanoseconds.len().saturating_sub(1);
            let at = (self.nanoseconds.len() * per_mille / 1000).min(last);
            self.nanoseconds.get(at).map_or(0.0, |n| *n as f64 / 1e3)
        };
        Summary {
            per_second: self.nanoseconds.len() as f64 / elapsed.as_secs_f64(),
            p99_us: microseconds(990),
            p999_us: microseconds(999),
        }
    }
}

/// A run of operations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Summary {
    /// Operations a second.
    pub(super) per_second: f64,
    /// Of 100 operations 99 took no longer, in microseconds.
    pub(super) p99_us: f64,
    /// Of 1000 operations 999 took no longer, in microseconds.
    pub(super) p999_us: f64,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Latencies;

    #[test]
    fn percentiles_name_the_slow_ones() {
        let mut latencies = Latencies::default();
        for microsecond in 1..=1000 {
            latencies.record(Duration::from_micros(microsecond));
        }
        let mut slow = Latencies::default();
        slow.record(Duration::from_millis(5));
        latencies.merge(slow);
        let summary = latencies.summary(Duration::from_secs(2));
        assert_eq!(summary.per_second, 500.5);
        assert_eq!(summary.p99_us, 991.0);
        assert_eq!(summary.p999_us, 1000.0);
    }
}
