//! Whether everything acknowledged so far meets the rule of another record, so that it may be
//! proposed.
//!
//! Who holds what was acknowledged is known in two ways: a copy proved it in its present session, or
//! the rule under which it was acknowledged says so. Under `sync_all` every member held all of it, so
//! a member that is gone now need not be asked again: a set may lose a member, or gain one, while
//! another is silent. Under `sync_quorum` some majority held it, and nobody can say which.
//!
//! Must never: ask whether the next write could be acknowledged under the new rule. `min_in_sync`
//! bounds acknowledging, not counting (decision 043).
//!
//! Rule: `docs/protocol.md`, section 2, "who must acknowledge".

use std::collections::{BTreeMap, BTreeSet};

use holdfast_types::{DurabilityMode, Lsn, ReplicaId, WriteAck};

use super::requirement::{Acknowledged, Requirement};

/// What clients were told up to some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promised {
    /// Writes up to here count as acknowledged.
    pub written: Lsn,
    /// Entries up to here count as flushed; `flushed <= written`.
    pub flushed: Lsn,
    /// Whether it is in part what the primary adopted, of which nobody knows by which set it was
    /// acknowledged, if at all.
    pub is_adopted: bool,
}

/// One thing that is promised of a log: how far, and what a copy has to show for it.
struct Claim {
    lsn: Lsn,
    shown: fn(&Acknowledged) -> Lsn,
    /// Whether the rule in force made every copy that it names hold this, and not the primary alone.
    is_copied: bool,
}

/// From the rule in force to another.
pub(super) struct Change<'a> {
    pub(super) from: &'a Requirement,
    pub(super) to: &'a Requirement,
    pub(super) acks: &'a BTreeMap<ReplicaId, Acknowledged>,
}

impl Change<'_> {
    /// Whether what was promised under the rule in force is held as the other rule asks (F99), and,
    /// where one copy alone would remain, all of it is durable there (M34).
    pub(super) fn is_met(&self, promised: Promised) -> bool {
        let copied_writes = match self.from.write_ack {
            WriteAck::Received => true,
            WriteAck::Local => false,
        };
        let mut claims = vec![Claim {
            lsn: promised.flushed,
            shown: |ack| ack.durable,
            is_copied: true,
        }];
        match self.to.write_ack {
            WriteAck::Received => claims.push(Claim {
                lsn: promised.written,
                shown: |ack| ack.received,
                is_copied: copied_writes,
            }),
            // Asks for the primary's log alone.
            WriteAck::Local => {}
        }
        if self.to.is_one_copy() {
            claims.push(Claim {
                lsn: promised.written,
                shown: |ack| ack.durable,
                is_copied: false,
            });
        }
        self.to.isr.contains(&self.to.primary)
            && claims.iter().all(|claim| self.holds(claim, promised))
    }

    fn holds(&self, claim: &Claim, promised: Promised) -> bool {
        let held = |replica: &ReplicaId| {
            let implied = claim.is_copied
                && self.from.mode == DurabilityMode::SyncAll
                && self.from.isr.contains(replica);
            implied || self.shows(replica, claim)
        };
        match self.to.mode {
            DurabilityMode::BestEffort => held(&self.to.primary),
            DurabilityMode::SyncAll => self.to.isr.iter().all(held),
            DurabilityMode::SyncQuorum => {
                let counted = self.to.counted();
                let named: BTreeSet<_> = counted.iter().filter(|id| held(id)).collect();
                let old = self.old_majority(claim, promised);
                // Of the copies that counted before, at least as many as the old majority cannot
                // have lost hold it, whichever they are.
                let kept = counted.intersection(&old.copies).count();
                let sure = old.majority.saturating_sub(old.copies.len() - kept);
                let shown = named.iter().filter(|id| old.copies.contains(**id)).count();
                let others = named.len() - shown;
                counted.len() >= self.to.majority()
                    && shown.max(sure) + others >= self.to.majority()
            }
        }
    }

    fn shows(&self, replica: &ReplicaId, claim: &Claim) -> bool {
        let ack = self.acks.get(replica);
        ack.is_some_and(|ack| (claim.shown)(ack) >= claim.lsn)
    }

    /// The copies of which a majority, nobody knows which, hold the claim by the rule in force.
    /// Of what was adopted nothing is known: a promotion may have taken members out of the set.
    fn old_majority(&self, claim: &Claim, promised: Promised) -> Majority {
        match self.from.mode {
            DurabilityMode::SyncQuorum if claim.is_copied && !promised.is_adopted => Majority {
                copies: self.from.counted(),
                majority: self.from.majority(),
            },
            DurabilityMode::SyncQuorum | DurabilityMode::BestEffort | DurabilityMode::SyncAll => {
                Majority {
                    copies: BTreeSet::new(),
                    majority: 0,
                }
            }
        }
    }
}

struct Majority {
    copies: BTreeSet<ReplicaId>,
    majority: usize,
}

#[cfg(test)]
mod tests;
