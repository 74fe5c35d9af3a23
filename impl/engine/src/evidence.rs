//! Whether the reports that a decision rests on are fit to be decided from.
//!
//! Nothing is repaired or guessed here: a report that contradicts itself, and a primary that is
//! untrusted or has not logged its epoch-start entry, decide nothing (F69). An emptied node
//! therefore cannot order a good copy to be emptied.

use holdfast_types::{BaseState, Epoch, Lineage, Lsn, ReplicaFacts, RetainedHistory};

use crate::Refusal;

/// The replica's report does not contradict itself.
pub(crate) fn check_facts(facts: &ReplicaFacts) -> Result<(), Refusal> {
    if contradicts_itself(&facts.base, &facts.lineage, facts.base.durable) {
        return Err(Refusal::MalformedFacts);
    }
    Ok(())
}

/// The primary's history does not contradict itself.
pub(crate) fn check_history(history: &RetainedHistory) -> Result<(), Refusal> {
    let head = history.head;
    let beyond_head = history.base.durable > head
        || history.committed > head
        || history.epoch_start.is_some_and(|start| start > head)
        || history.retained_from.is_some_and(|from| from > head)
        || history
            .snapshot
            .is_some_and(|snapshot| snapshot.base_lsn > head);
    if beyond_head || contradicts_itself(&history.base, &history.lineage, head) {
        return Err(Refusal::MalformedHistory);
    }
    Ok(())
}

/// The replica has logged nothing in an epoch above this node's.
pub(crate) fn check_not_deposed(facts: &ReplicaFacts, epoch: Epoch) -> Result<(), Refusal> {
    match facts.lineage.last() {
        Some(last) if last.epoch > epoch => {
            Err(Refusal::ReplicaHasNewerEpoch { epoch: last.epoch })
        }
        Some(_) | None => Ok(()),
    }
}

/// The primary may decide in this epoch: its epoch-start entry is logged and begins the last epoch
/// of its lineage, and its own base is trusted (F33, F69).
pub(crate) fn check_may_decide(history: &RetainedHistory, epoch: Epoch) -> Result<(), Refusal> {
    let logged = history.epoch_start.is_some_and(|start| {
        history
            .lineage
            .last()
            .is_some_and(|last| last.epoch == epoch && last.first == start)
    });
    if !logged {
        return Err(Refusal::EpochStartMissing);
    }
    if !history.base.is_trusted() {
        return Err(Refusal::PrimaryUntrusted);
    }
    Ok(())
}

/// Positions out of order, or a lineage that does not fit a log which ends at `end`.
fn contradicts_itself(base: &BaseState, lineage: &Lineage, end: Lsn) -> bool {
    base.checkpoint > base.extent_bound
        || base.checkpoint > base.durable
        || lineage.last().is_some_and(|last| last.first > end)
        || (lineage.is_empty() && base.durable > Lsn::ZERO)
}
