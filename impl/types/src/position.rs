//! Positions and counters: all strictly ordered, none with a sentinel value.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The value after this one.
            ///
            /// # Panics
            /// At `u64::MAX`, which no volume reaches; callers bound values from outside first.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }

            /// The value after this one, or `None` at the end of the range.
            #[must_use]
            pub const fn checked_next(self) -> Option<Self> {
                match self.0.checked_add(1) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<u64> for $name {
            fn from(value: u64) -> Self {
                Self(value)
            }
        }
    };
}

counter!(
    /// A position in a volume's log. Entries are numbered contiguously from 1; `Lsn(0)` is the
    /// position of the empty log (the all-zero device), not a missing value.
    Lsn
);
counter!(
    /// The number of one primary incarnation. Strictly increasing, minted by the authority alone,
    /// never reused. The first epoch of a volume is 1.
    Epoch
);
counter!(
    /// Counts every change of the authority's record, renewals of the lease apart.
    Revision
);

impl Lsn {
    /// The position of the empty log: the all-zero device.
    pub const ZERO: Self = Self(0);
    /// Beyond every entry. As an extent bound it means "effects of unknown entries": never trusted.
    pub const MAX: Self = Self(u64::MAX);

    /// The position before this one, or `None` at [`Lsn::ZERO`].
    #[must_use]
    pub const fn checked_prev(self) -> Option<Self> {
        match self.0.checked_sub(1) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// Entries in `(earlier, self]`; 0 when `earlier` is not earlier.
    #[must_use]
    pub const fn entries_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
