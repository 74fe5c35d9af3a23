//! What a session may cost before it counts as not converging (A5, T4).
//!
//! Every limit is at least 1 by type, and a registry cannot be made without both budgets: a
//! session without a budget does not exist (F72).

use std::num::NonZeroU64;

use crate::{SessionKind, Tick};

/// The limits of one session. Exceeded means greater than.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// From the handshake to completion, in ticks. Before the handshake only `stall_ticks` counts.
    pub duration_ticks: NonZeroU64,
    /// Without progress, in ticks.
    pub stall_ticks: NonZeroU64,
    /// Entries in `(from, target]` of a catch-up, checked when it is planned.
    pub entries: NonZeroU64,
    /// Bytes that the session's pins hold back at the source.
    pub pinned_bytes: NonZeroU64,
}

impl Budget {
    /// A budget, or `None` if any limit is 0.
    #[must_use]
    pub const fn new(
        duration_ticks: u64,
        stall_ticks: u64,
        entries: u64,
        pinned_bytes: u64,
    ) -> Option<Self> {
        match (
            NonZeroU64::new(duration_ticks),
            NonZeroU64::new(stall_ticks),
            NonZeroU64::new(entries),
            NonZeroU64::new(pinned_bytes),
        ) {
            (Some(duration_ticks), Some(stall_ticks), Some(entries), Some(pinned_bytes)) => {
                Some(Self {
                    duration_ticks,
                    stall_ticks,
                    entries,
                    pinned_bytes,
                })
            }
            (_, _, _, _) => None,
        }
    }

    /// Whether more than `duration_ticks` passed between `since` and `now`.
    pub(crate) const fn exceeds_duration(&self, since: Tick, now: Tick) -> bool {
        now.since(since) > self.duration_ticks.get()
    }

    /// Whether more than `stall_ticks` passed between the last progress and `now`.
    pub(crate) const fn exceeds_stall(&self, last_progress: Tick, now: Tick) -> bool {
        now.since(last_progress) > self.stall_ticks.get()
    }
}

/// The budgets of a registry, one for each course that a session can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budgets {
    /// For sessions of kind `bootstrap`, `catch_up` and `reassign`.
    pub catch_up: Budget,
    /// For rebuild sessions.
    pub rebuild: Budget,
}

impl Budgets {
    /// The budget of a session of that kind.
    #[must_use]
    pub const fn of(&self, kind: SessionKind) -> &Budget {
        match kind {
            SessionKind::Bootstrap | SessionKind::CatchUp | SessionKind::Reassign => &self.catch_up,
            SessionKind::Rebuild => &self.rebuild,
        }
    }
}
