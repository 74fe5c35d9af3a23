//! What a promotion would decide now, and why: the members report without being fenced, nothing changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast_engine::common_position;
use holdfast_types::{Epoch, Lsn, ReplicaId, VolumeId, VolumeRecord};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::decide::{Candidates, Decision, FenceReport, Promotion, decide};
use super::drive::control;
use crate::authority::{Authority, AuthorityError};
use crate::runtime::{ControlReply, ControlRequest};
use crate::tls::Protection;

/// A promotion, thought through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The record as it is now; the promotion would mint the next epoch.
    pub record: VolumeRecord,
    /// What each member that answers would report.
    pub reports: BTreeMap<ReplicaId, PlannedReport>,
    /// The members that do not answer.
    pub silent: BTreeSet<ReplicaId>,
    /// What would be decided from that.
    pub decision: PlannedDecision,
}

/// What a member would report, and what would become of its copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedReport {
    /// The epoch of its last durable entry.
    pub last_epoch: Epoch,
    /// Its last durable entry.
    pub durable: Lsn,
    /// Whether its store is the recorded one.
    pub recorded: bool,
    /// Whether its image can be trusted.
    pub trusted: bool,
    /// Whether its process holds everything that it acknowledged as received.
    pub whole: bool,
    /// Beside the new primary: what would be done to it; `None` for the new primary itself, and
    /// where there is none.
    pub then: Option<Afterwards>,
}

/// What a new primary would do to a copy, as far as that follows from the reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Afterwards {
    /// Send what it lacks; a gap that the log no longer holds is rebuilt.
    CatchUp {
        /// From which position.
        after: Lsn,
    },
    /// Cut its tail, then send what it lacks.
    Truncate {
        /// What both hold.
        to: Lsn,
    },
    /// Replace its image: it is not trusted, not the recorded one, or has written what must go.
    Rebuild,
}

/// What would be decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum PlannedDecision {
    /// This promotion.
    Promote {
        /// Who, and what it costs.
        promotion: Promotion,
    },
    /// None without force.
    Impossible {
        /// Why.
        obstacle: String,
    },
}

/// Thinks a promotion through.
///
/// # Errors
/// Those of the authority.
pub async fn plan(
    authority: &Arc<dyn Authority>,
    protection: &Protection,
    volume: VolumeId,
) -> Result<Plan, AuthorityError> {
    let recorded = authority.read(volume).await?;
    let reports = ask_members(protection, &recorded.record).await;
    let decided = decide(&Candidates {
        record: &recorded.record,
        last_primary: recorded.last_primary.as_ref(),
        reports: &reports,
        waited_out: true,
    });
    let (decision, primary) = match decided {
        Decision::Promote(promotion) => {
            let primary = Some(promotion.primary.clone());
            (PlannedDecision::Promote { promotion }, primary)
        }
        Decision::Impossible(obstacle) => {
            let obstacle = obstacle.to_string();
            (PlannedDecision::Impossible { obstacle }, None)
        }
        Decision::Wait { missing } => {
            let names: Vec<&str> = missing.iter().map(ReplicaId::as_str).collect();
            let obstacle = format!("{} would be waited for", names.join(", "));
            (PlannedDecision::Impossible { obstacle }, None)
        }
    };
    let record = recorded.record;
    let members = record.members.keys();
    let silent = members.filter(|member| !reports.contains_key(*member));
    Ok(Plan {
        silent: silent.cloned().collect(),
        reports: planned(&record, &reports, primary.as_ref()),
        decision,
        record,
    })
}

async fn ask_members(
    protection: &Protection,
    record: &VolumeRecord,
) -> BTreeMap<ReplicaId, FenceReport> {
    let mut asked = JoinSet::new();
    for (replica, member) in &record.members {
        let client = control(protection, replica, member.endpoint);
        let replica = replica.clone();
        let volume = record.volume;
        asked.spawn(async move {
            match client.ask(&ControlRequest::Report { volume }).await {
                Ok(ControlReply::Fenced { report }) => Some((replica, *report)),
                Ok(_) | Err(_) => None,
            }
        });
    }
    let mut reports = BTreeMap::new();
    while let Some(answered) = asked.join_next().await {
        reports.extend(answered.ok().flatten());
    }
    reports
}

fn planned(
    record: &VolumeRecord,
    reports: &BTreeMap<ReplicaId, FenceReport>,
    primary: Option<&ReplicaId>,
) -> BTreeMap<ReplicaId, PlannedReport> {
    let chosen = primary.and_then(|primary| reports.get(primary));
    let each = reports.iter().map(|(replica, report)| {
        let (last_epoch, durable) = report.last_entry();
        let store = record.members.get(replica).map(|member| member.store);
        let recorded = store == Some(report.facts.store);
        let other = chosen.filter(|_| primary != Some(replica));
        let planned = PlannedReport {
            last_epoch,
            durable,
            recorded,
            trusted: report.facts.base.is_trusted(),
            whole: !report.restarted,
            then: other.map(|chosen| afterwards(chosen, report, recorded)),
        };
        (replica.clone(), planned)
    });
    each.collect()
}

/// What follows from two reports alone (`docs/protocol.md`, section 4).
fn afterwards(chosen: &FenceReport, report: &FenceReport, recorded: bool) -> Afterwards {
    let (ours, theirs) = (&chosen.facts, &report.facts);
    let durable = theirs.base.durable;
    let common = common_position(&ours.lineage, ours.base.durable, &theirs.lineage, durable);
    match common {
        Some(common)
            if recorded && theirs.base.is_trusted() && theirs.base.extent_bound <= common =>
        {
            if durable > common {
                Afterwards::Truncate { to: common }
            } else {
                Afterwards::CatchUp { after: common }
            }
        }
        Some(_) | None => Afterwards::Rebuild,
    }
}
