//! Who becomes primary: a pure decision from a record and the fenced candidates' reports.
//!
//! Promises: unforced, only a recorded, trusted store of the in-sync set is chosen, by the greatest
//! `(last epoch, durable)`, among enough reports for the mode, and never below `committed_seen`
//! (A9, T13, F58, F87, M23). A decision made without a member says so (M37).
//!
//! Must never: take a silent member for an empty one, or count a report whose store is not the
//! recorded one.
//!
//! Rule: `docs/protocol.md`, section 7.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_types::{DurabilityMode, Epoch, Lsn, ReplicaFacts, ReplicaId, VolumeRecord};
use serde::{Deserialize, Serialize};

/// What a fenced candidate says: its log is synced, and it has made the new epoch durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceReport {
    /// The facts on its disk.
    pub facts: ReplicaFacts,
    /// Whether the node was restarted since the epoch before: what it had received, and not yet
    /// made durable, is gone.
    pub restarted: bool,
}

impl FenceReport {
    /// What candidates are compared by.
    #[must_use]
    pub fn last_entry(&self) -> (Epoch, Lsn) {
        let durable = self.facts.base.durable;
        let epoch = self.facts.lineage.epoch_at(durable).unwrap_or(Epoch(0));
        (epoch, durable)
    }
}

/// Everything that a decision is made from.
#[derive(Clone, Debug)]
pub struct Candidates<'a> {
    /// The record at the minted epoch, without a primary.
    pub record: &'a VolumeRecord,
    /// The last primary, in whatever epoch.
    pub last_primary: Option<&'a ReplicaId>,
    /// The reports of candidates that were fenced at the record's epoch.
    pub reports: &'a BTreeMap<ReplicaId, FenceReport>,
    /// Whether `promotion_wait` is over.
    pub waited_out: bool,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Not yet: these members may still report.
    Wait {
        /// Who is silent.
        missing: BTreeSet<ReplicaId>,
    },
    /// Promote.
    Promote(Promotion),
    /// Nobody can be promoted unforced.
    Impossible(Obstacle),
}

/// A promotion, and what it costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    /// The new primary.
    pub primary: ReplicaId,
    /// The in-sync set of the new epoch.
    pub isr: BTreeSet<ReplicaId>,
    /// The voters of the new epoch.
    pub voters: BTreeSet<ReplicaId>,
    /// Members of the in-sync set that did not report: writes that only they had received, and
    /// that were never flushed, may be lost as by a loss of power.
    pub decided_without: BTreeSet<ReplicaId>,
    /// Whether a member that reported had been restarted: the same, for what it had received.
    pub restarted: BTreeSet<ReplicaId>,
    /// Whether the operator forced it.
    pub forced: bool,
}

impl Promotion {
    /// Whether unflushed writes may be gone, as by a loss of power.
    #[must_use]
    pub fn may_have_lost_power(&self) -> bool {
        self.forced || !self.decided_without.is_empty() || !self.restarted.is_empty()
    }

    /// The record that this promotion proposes.
    #[must_use]
    pub fn applied_to(&self, record: &VolumeRecord) -> VolumeRecord {
        VolumeRecord {
            primary: Some(self.primary.clone()),
            isr: self.isr.clone(),
            voters: self.voters.clone(),
            ..record.clone()
        }
    }
}

/// Why nobody can be promoted unforced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// No report is of a recorded, trusted store in the in-sync set.
    #[error("no member of the in-sync set reported a trusted, recorded store")]
    NobodyEligible,
    /// `best_effort`: only the last primary's own store holds what was acknowledged.
    #[error(
        "only the last primary, {last_primary}, may be promoted, and it has not reported a trusted store"
    )]
    LastPrimaryMissing {
        /// The last primary.
        last_primary: ReplicaId,
    },
    /// `sync_quorum`: too few voters reported to be sure of every committed entry.
    #[error("{found} voters of the in-sync set reported, {needed} are needed")]
    TooFewReports {
        /// How many did.
        found: usize,
        /// How many must.
        needed: usize,
    },
    /// The best report is below what was committed: more than the mode survives was lost.
    #[error("the best report ends at {}/{}, but {}/{} was committed", best.0, best.1, committed.0, committed.1)]
    BelowCommitted {
        /// The best `(last epoch, durable)`.
        best: (Epoch, Lsn),
        /// What was committed.
        committed: (Epoch, Lsn),
    },
    /// The forced candidate did not report a trusted, recorded store.
    #[error(
        "{replica} has not reported a trusted, recorded store; it cannot be promoted, forced or not"
    )]
    ForcedCandidateUnfit {
        /// The candidate.
        replica: ReplicaId,
    },
}

/// Whether a report is of the recorded store and of a base that can be trusted.
fn is_fit(record: &VolumeRecord, replica: &ReplicaId, report: &FenceReport) -> bool {
    let recorded = record.members.get(replica).map(|member| member.store);
    recorded == Some(report.facts.store) && report.facts.base.is_trusted()
}

/// Decides an unforced promotion.
#[must_use]
pub fn decide(candidates: &Candidates<'_>) -> Decision {
    let Candidates {
        record, reports, ..
    } = candidates;
    let fit: BTreeMap<&ReplicaId, &FenceReport> = reports
        .iter()
        .filter(|(replica, report)| {
            record.isr.contains(*replica) && is_fit(record, replica, report)
        })
        .collect();
    let silent: BTreeSet<ReplicaId> = record
        .isr
        .iter()
        .filter(|member| !reports.contains_key(*member))
        .cloned()
        .collect();
    let may_report = match record.mode {
        DurabilityMode::BestEffort => candidates
            .last_primary
            .filter(|last| silent.contains(*last))
            .into_iter()
            .cloned()
            .collect(),
        DurabilityMode::SyncAll | DurabilityMode::SyncQuorum => {
            let mut members = silent.clone();
            if let Some(last) = candidates.last_primary {
                members.remove(last);
            }
            members
        }
    };
    if !may_report.is_empty() && !candidates.waited_out {
        return Decision::Wait {
            missing: may_report,
        };
    }
    let eligible = match eligible(candidates, fit) {
        Ok(eligible) => eligible,
        // Without the old primary's report there may be too few: it is a candidate like any
        // other, and is waited for as long as anyone is.
        Err(_) if !candidates.waited_out && !silent.is_empty() => {
            return Decision::Wait { missing: silent };
        }
        Err(obstacle) => return Decision::Impossible(obstacle),
    };
    choose(candidates, &eligible, silent)
}

/// The reports that may be chosen from, once there are enough of them.
fn eligible<'a>(
    candidates: &Candidates<'a>,
    mut fit: BTreeMap<&'a ReplicaId, &'a FenceReport>,
) -> Result<BTreeMap<&'a ReplicaId, &'a FenceReport>, Obstacle> {
    let record = candidates.record;
    match record.mode {
        DurabilityMode::BestEffort => {
            if let Some(last_primary) = candidates.last_primary {
                fit.retain(|replica, _| *replica == last_primary);
                if fit.is_empty() {
                    return Err(Obstacle::LastPrimaryMissing {
                        last_primary: last_primary.clone(),
                    });
                }
            }
        }
        DurabilityMode::SyncAll => {}
        DurabilityMode::SyncQuorum => {
            fit.retain(|replica, _| record.voters.contains(*replica));
            // Any majority that acknowledged shares a voter with so many reports.
            let voters = record.voters.len();
            let needed = voters - (voters / 2 + 1) + 1;
            if fit.len() < needed {
                return Err(Obstacle::TooFewReports {
                    found: fit.len(),
                    needed,
                });
            }
        }
    }
    if fit.is_empty() {
        return Err(Obstacle::NobodyEligible);
    }
    Ok(fit)
}

/// The best of the eligible, and the in-sync set that it begins with.
fn choose(
    candidates: &Candidates<'_>,
    eligible: &BTreeMap<&ReplicaId, &FenceReport>,
    silent: BTreeSet<ReplicaId>,
) -> Decision {
    let record = candidates.record;
    let mut best: Option<(&ReplicaId, (Epoch, Lsn))> = None;
    for (replica, report) in eligible {
        // Equal reports are equal logs: the first by name is as good as any.
        if best.is_none_or(|(_, entry)| report.last_entry() > entry) {
            best = Some((replica, report.last_entry()));
        }
    }
    let Some((primary, entry)) = best else {
        return Decision::Impossible(Obstacle::NobodyEligible);
    };
    let anchored = match record.mode {
        DurabilityMode::BestEffort => true,
        DurabilityMode::SyncAll | DurabilityMode::SyncQuorum => entry >= record.committed_seen,
    };
    if !anchored {
        return Decision::Impossible(Obstacle::BelowCommitted {
            best: entry,
            committed: record.committed_seen,
        });
    }
    let restarted = candidates
        .reports
        .iter()
        .filter(|(replica, report)| report.restarted && record.isr.contains(*replica))
        .map(|(replica, _)| replica.clone())
        .collect();
    let mut decided_without = silent.clone();
    if let Some(last) = candidates.last_primary {
        decided_without.remove(last);
    }
    Decision::Promote(Promotion {
        primary: primary.clone(),
        isr: in_sync_set(candidates, &silent),
        voters: record.voters.clone(),
        decided_without,
        restarted,
        forced: false,
    })
}

/// The in-sync set after the decision. Members that reported a store which cannot count leave in any
/// case, since they must be rebuilt; in `sync_all` silent members leave as far as `min_in_sync` allows.
fn in_sync_set(candidates: &Candidates<'_>, silent: &BTreeSet<ReplicaId>) -> BTreeSet<ReplicaId> {
    let record = candidates.record;
    let mut isr = record.isr.clone();
    isr.retain(|member| {
        candidates
            .reports
            .get(member)
            .is_none_or(|report| is_fit(record, member, report))
    });
    match record.mode {
        DurabilityMode::SyncAll => {
            for member in silent {
                if isr.len() > record.min_in_sync {
                    isr.remove(member);
                }
            }
        }
        DurabilityMode::BestEffort | DurabilityMode::SyncQuorum => {}
    }
    isr
}

/// Decides a forced promotion: of the named replica, or of the best report there is. It makes the
/// new primary the whole in-sync set and the only voter (F94).
///
/// # Errors
/// [`Obstacle`] when there is no recorded, trusted store to promote: not even force makes one.
pub fn decide_forced(
    candidates: &Candidates<'_>,
    replica: Option<&ReplicaId>,
) -> Result<Promotion, Obstacle> {
    let record = candidates.record;
    let mut fit = candidates
        .reports
        .iter()
        .filter(|(candidate, report)| is_fit(record, candidate, report));
    let chosen = match replica {
        Some(replica) => fit
            .find(|(candidate, _)| *candidate == replica)
            .map(|(candidate, _)| candidate)
            .ok_or_else(|| Obstacle::ForcedCandidateUnfit {
                replica: replica.clone(),
            })?,
        None => fit
            .max_by_key(|(candidate, report)| (report.last_entry(), std::cmp::Reverse(*candidate)))
            .map(|(candidate, _)| candidate)
            .ok_or(Obstacle::NobodyEligible)?,
    };
    let alone = BTreeSet::from([chosen.clone()]);
    let decided_without = record.isr.difference(&alone).cloned().collect();
    Ok(Promotion {
        primary: chosen.clone(),
        isr: alone.clone(),
        voters: alone,
        decided_without,
        restarted: BTreeSet::new(),
        forced: true,
    })
}

#[cfg(test)]
mod tests;
