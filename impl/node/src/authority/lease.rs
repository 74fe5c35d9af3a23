//! Who holds the lease of a volume's epoch, on the authority's own monotonic clock.

use std::time::Duration;

use holdfast_types::Epoch;
use serde::{Deserialize, Serialize};

use super::Incarnation;

/// The part of a lease that outlives a restart of the authority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LeaseClaim {
    /// The epoch and the one incarnation that may hold its lease; bound at the first grant.
    pub(super) holder: Option<(Epoch, Incarnation)>,
    /// The holder confirmed that it stopped: nobody holds the lease of that epoch again.
    pub(super) ended: bool,
    /// The longest term granted to the holder, in milliseconds; zero when nobody was granted one,
    /// or in a claim that was written before terms were.
    #[serde(default)]
    pub(super) term_ms: u64,
}

/// A claim with what this life of the authority knows of its term.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) claim: LeaseClaim,
    /// Until when it may be held at the latest, in the time of this life of the authority.
    until: Duration,
}

impl Lease {
    /// A claim as it was read back at time `now`: the last grant may have been a moment ago, so one
    /// whole lease is waited out, and a longer one when an earlier life granted it (F89). `term` is
    /// the length of a lease in this life.
    pub(super) fn recovered(claim: LeaseClaim, now: Duration, term: Duration) -> Self {
        let granted = Duration::from_millis(claim.term_ms);
        Self {
            claim,
            until: now + term.max(granted),
        }
    }

    /// The claim of a new volume: nobody has had it.
    pub(super) fn unclaimed() -> Self {
        Self {
            claim: LeaseClaim::default(),
            until: Duration::ZERO,
        }
    }

    /// How long, at most, the lease of `epoch` can still be held; zero when it cannot.
    pub(super) fn remaining(&self, epoch: Epoch, now: Duration) -> Duration {
        let held = !self.claim.ended && self.claim.holder.is_some_and(|(held, _)| held == epoch);
        if held {
            self.until.saturating_sub(now)
        } else {
            Duration::ZERO
        }
    }

    /// Whether `incarnation` may have the lease of `epoch`, and why not.
    pub(super) fn admits(&self, epoch: Epoch, incarnation: Incarnation) -> Result<(), String> {
        match self.claim.holder {
            Some((held, holder)) if held == epoch => {
                if self.claim.ended {
                    Err("its holder confirmed that it stopped".into())
                } else if holder == incarnation {
                    Ok(())
                } else {
                    Err("another incarnation has had it; promote into a newer epoch".into())
                }
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The claim once `incarnation` holds `epoch` for `term_ms`. A shorter term takes nothing back
    /// of a longer one that the same holder had.
    pub(super) fn granted(
        &self,
        epoch: Epoch,
        incarnation: Incarnation,
        term_ms: u64,
    ) -> LeaseClaim {
        let holder = Some((epoch, incarnation));
        let before = if self.claim.holder == holder {
            self.claim.term_ms
        } else {
            0
        };
        LeaseClaim {
            holder,
            ended: false,
            term_ms: before.max(term_ms),
        }
    }

    /// The claim once `incarnation` has confirmed that it stopped in `epoch`.
    pub(super) fn ended(&self, epoch: Epoch, incarnation: Incarnation) -> LeaseClaim {
        LeaseClaim {
            ended: true,
            ..self.granted(epoch, incarnation, 0)
        }
    }

    /// Extends the term from `now`.
    pub(super) fn extend(&mut self, now: Duration, term: Duration) {
        self.until = self.until.max(now + term);
    }
}
