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
}

/// A claim with what this life of the authority knows of its term.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) claim: LeaseClaim,
    /// Until when it may be held at the latest, in the time of this life of the authority.
    until: Duration,
}

impl Lease {
    /// A claim as it was read back at time `now`: unknown grants may run for one whole lease (F89).
    pub(super) fn recovered(claim: LeaseClaim, now: Duration, term: Duration) -> Self {
        Self {
            claim,
            until: now + term,
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

    /// The claim once `incarnation` holds `epoch`.
    pub(super) fn claimed_by(epoch: Epoch, incarnation: Incarnation) -> LeaseClaim {
        LeaseClaim {
            holder: Some((epoch, incarnation)),
            ended: false,
        }
    }

    /// Extends the term from `now`.
    pub(super) fn extend(&mut self, now: Duration, term: Duration) {
        self.until = self.until.max(now + term);
    }
}
