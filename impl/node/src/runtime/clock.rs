//! The monotonic clock of a node.

use std::time::{Duration, Instant};

use holdfast_engine::Tick;

/// Time since the node started; never goes back, and is nobody else's.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock that begins now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    /// Time since the start.
    #[must_use]
    pub fn now(self) -> Duration {
        self.started.elapsed()
    }

    /// The same in the engine's ticks, which are milliseconds here.
    #[must_use]
    pub fn tick(self) -> Tick {
        Tick(u64::try_from(self.now().as_millis()).unwrap_or(u64::MAX))
    }

    /// A moment of this clock as one that a timer takes.
    #[must_use]
    pub fn instant(self, at: Duration) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.started + at)
    }
}
