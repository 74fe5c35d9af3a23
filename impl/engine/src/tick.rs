//! The engine's time: an argument of its calls, never read from a clock.

use std::fmt;

/// An instant on the caller's monotonic clock. The unit is the caller's choice, the same for every
/// call and for the budgets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u64);

impl Tick {
    /// Ticks from `then` to `self`; 0 when `then` is later, so that a caller whose instants
    /// arrive out of order can never make a session look old.
    #[must_use]
    pub const fn since(self, then: Self) -> u64 {
        self.0.saturating_sub(then.0)
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::Tick;

    #[test]
    fn time_that_goes_back_is_no_time() {
        assert_eq!(Tick(7).since(Tick(3)), 4);
        assert_eq!(Tick(3).since(Tick(7)), 0);
    }
}
