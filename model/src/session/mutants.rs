//! The mutants: one rule of the protocol broken in each, the instance that shows it, and the
//! property that must fall there.

use super::Session;
use super::instances::ALL;
use super::rules::{Broken, Rules};
use crate::checking::Mutant;

struct Table(Vec<Mutant<Session>>);

impl Table {
    fn add(
        &mut self,
        id: &str,
        instance: &'static str,
        property: &'static str,
        rules: Rules,
        says: &str,
    ) {
        let bounds = ALL.iter().find(|bounds| bounds.instance.name == instance);
        let bounds = bounds.expect("a mutant names an instance that exists");
        self.0.push(Mutant {
            id: id.to_owned(),
            says: says.to_owned(),
            property: Some(property),
            spec: Session { bounds, rules },
        });
    }
}

/// Every mutant.
pub(super) fn all() -> Vec<Mutant<Session>> {
    let mut table = Table(Vec::new());
    seed(&mut table);
    classification(&mut table);
    sessions(&mut table);
    rebuilds(&mut table);
    authority(&mut table);
    guards(&mut table);
    table.0
}

fn broken(rule: Broken) -> Rules {
    Rules::holdfast().breaking(rule)
}

/// The seed system's own rules, all at once, and what they lose.
fn seed(table: &mut Table) {
    let says = "the seed system's rules: recovery by LSN alone, in_sync outlives its session, \
                logged counts as committed";
    let seed = Rules::seed();
    table.add("seed-F30", "laggard", "T2", seed, says);
    table.add("seed-F33", "facts", "T3_begins", seed, says);
    table.add("seed-F60", "authority", "F60", seed, says);
    table.add("seed-F65", "facts", "T1", seed, says);
    let unguarded = seed.without_guard("*", "primary_untrusted");
    table.add("seed-F69", "facts", "F69", unguarded, says);
}

fn classification(table: &mut Table) {
    let mut add = |id, property, rule, says| table.add(id, "facts", property, broken(rule), says);
    add(
        "M02-equal-lsn-is-equal-history",
        "T2",
        Broken::EqualLsnIsEqualHistory,
        "logs of equal length are taken as equal",
    );
    add(
        "F30-divergent-tail-not-cut",
        "T9",
        Broken::DivergenceIgnored,
        "a divergent tail is found, but its truncation is not required",
    );
    add(
        "F33-untrusted-base-accepted",
        "T3_begins",
        Broken::UntrustedBaseAccepted,
        "the trust of the replica's base is not looked at",
    );
    add(
        "F53-exhausted-lineage-is-equal",
        "T2",
        Broken::ExhaustedLineageIsEqual,
        "logs whose lineages do not reach back far enough are taken as equal",
    );
    add(
        "C1-divergent-extent-accepted",
        "C1",
        Broken::DivergentExtentAccepted,
        "a divergence that reached the extent is cut from the log alone",
    );
    add(
        "M18-below-tail-sent-to-catch-up",
        "T10_decided",
        Broken::GapIgnored,
        "a replica below the retained log is sent to catch-up",
    );
    add(
        "F66-tail-zero-is-everything",
        "T10_decided",
        Broken::NothingRetainedIsEverything,
        "nothing retained is read as everything retained",
    );
    add(
        "F65-target-is-head",
        "T1",
        Broken::TargetIsHead,
        "what is logged counts as committed",
    );
    table.add(
        "F35-lost-acknowledged-ignored",
        "laggard",
        "T3_begins",
        broken(Broken::LostAcknowledgedIgnored),
        "a replica that holds less than it acknowledged is trusted",
    );
    table.add(
        "F72-entries-unbounded",
        "budget",
        "A5_entries",
        broken(Broken::EntriesUnbounded),
        "a catch-up of any length is begun",
    );
}

fn sessions(table: &mut Table) {
    let mut add = |id, instance, property, rule, says| {
        table.add(id, instance, property, broken(rule), says);
    };
    add(
        "F60-in-sync-survives-endpoint-change",
        "authority",
        "F60",
        Broken::InSyncSurvivesEndpointChange,
        "a sender stays in_sync when its completed session ends with its endpoint",
    );
    add(
        "F60-in-sync-survives-epoch-change",
        "authority",
        "F60",
        Broken::InSyncSurvivesEpochChange,
        "a sender stays in_sync when its completed session ends with its epoch",
    );
    add(
        "F60-in-sync-survives-stop",
        "authority",
        "F60",
        Broken::InSyncSurvivesStop,
        "a sender stays in_sync when its node gives its role up",
    );
    add(
        "T8-session-survives-endpoint-change",
        "authority",
        "T8",
        Broken::SessionSurvivesEndpointChange,
        "a session goes on at another endpoint",
    );
    add(
        "F71-failed-executor-leaves-session",
        "laggard",
        "A11",
        Broken::FailLeavesSession,
        "a fault leaves its session active",
    );
    add(
        "F71-pins-not-released",
        "laggard",
        "F71",
        Broken::PinsNotReleased,
        "a session that ends keeps its pins at the source",
    );
    add(
        "T4-escalation-only-degrades",
        "laggard",
        "T4",
        Broken::EscalationDegrades,
        "an escalation leaves the sender degraded",
    );
    add(
        "T4-reason-survives-completion",
        "rebuild",
        "T4",
        Broken::ReasonSurvivesCompletion,
        "a completed rebuild leaves the reason for it",
    );
    add(
        "F72-no-budget",
        "budget",
        "A5",
        Broken::NoBudget,
        "no session has a budget",
    );
    add(
        "A6-lost-pin-ignored",
        "laggard",
        "A6",
        Broken::PinLostIgnored,
        "a session goes on without the pin that it lost",
    );
    add(
        "M17-log-recycled-under-catch-up",
        "laggard",
        "T10",
        Broken::NoRetentionPin,
        "a catch-up pins nothing",
    );
    add(
        "F73-classify-then-pin",
        "laggard",
        "T10",
        Broken::PinNotHeldAgainstHistory,
        "a pin is not held against what can still be replayed",
    );
    add(
        "M15-handshake-counts-as-ack",
        "laggard",
        "T16",
        Broken::HandshakeCountsAsAck,
        "the position of the handshake counts as acknowledged in the session",
    );
    add(
        "F35-acknowledged-survives-truncation",
        "laggard",
        "F35",
        Broken::AcknowledgedSurvivesTruncation,
        "what was acknowledged is not given up with the tail",
    );
    add(
        "F75-empty-volume-never-rebuilt",
        "forged",
        "A5_ends",
        Broken::ZeroChunksNeverInstalled,
        "a transfer of no chunks does not count as whole",
    );
    add(
        "F35-acknowledged-survives-rebuild",
        "smallest",
        "F35",
        Broken::AcknowledgedSurvivesRebuild,
        "what was acknowledged is not given up with the base",
    );
    add(
        "M27-session-ids-begin-anew",
        "authority",
        "T7_ids",
        Broken::SessionIdsBeginAnew,
        "session ids begin anew with every epoch",
    );
}

fn rebuilds(table: &mut Table) {
    let mut add = |id, property, rule, says| table.add(id, "rebuild", property, broken(rule), says);
    add(
        "F62-achieved-is-the-plan",
        "T16",
        Broken::AchievedIsTheGoal,
        "a session completes at its goal, whatever was acknowledged",
    );
    add(
        "F32-goal-below-the-image",
        "C1",
        Broken::GoalIsTarget,
        "tail replay ends at the target, though the copied image holds more",
    );
    add(
        "M16-tail-from-beyond-the-snapshot",
        "T17",
        Broken::TailNotChecked,
        "a snapshot is used although the log does not reach back to it",
    );
    add(
        "F78-untrusted-snapshot-used",
        "T12",
        Broken::UntrustedSnapshotUsed,
        "a snapshot is used although nobody verified what it holds",
    );
    add(
        "T11-reason-not-the-cause",
        "T11",
        Broken::SourceReasonFixed,
        "every source is explained in the same way",
    );
    add(
        "F31-split-moves",
        "T17",
        Broken::SplitMoves,
        "the split between image and log is taken when the copy ends",
    );
    add(
        "T5-base-pin-released-early",
        "T5_T6",
        Broken::BasePinReleasedEarly,
        "the base is unpinned when its copy begins",
    );
}

fn authority(table: &mut Table) {
    let mut add = |id, instance, property, rule, says| {
        table.add(id, instance, property, broken(rule), says);
    };
    add(
        "F67-stale-assignment-removes",
        "authority",
        "F67",
        Broken::StaleAssignmentRemoves,
        "an assignment removes senders before its age is looked at",
    );
    add(
        "F68-assignment-stops-another-volume",
        "two-volumes",
        "F68",
        Broken::AssignmentStopsOthers,
        "an assignment removes the senders of the volumes that it does not name",
    );
    add(
        "F76-repeated-assignment-recovers",
        "authority",
        "C5",
        Broken::UnchangedAssignmentRecovers,
        "a repeated assignment begins its sessions again",
    );
    add(
        "F86-newer-revision-dropped",
        "authority",
        "F86",
        Broken::NewerRevisionDropped,
        "an assignment of the same epoch is taken as a repetition",
    );
}

/// Guards that are not asked.
fn guards(table: &mut Table) {
    let mut add = |id, instance, property, call, reason, says| {
        let rules = Rules::holdfast().without_guard(call, reason);
        table.add(id, instance, property, rules, says);
    };
    add(
        "F69-untrusted-primary-classifies",
        "facts",
        "F69",
        "*",
        "primary_untrusted",
        "a primary whose own base is not trusted decides",
    );
    add(
        "F69-unstarted-primary-classifies",
        "facts",
        "F69",
        "*",
        "epoch_start_missing",
        "a primary decides before its epoch-start entry is logged",
    );
    add(
        "F61-completes-without-evidence",
        "laggard",
        "T2",
        "complete",
        "not_converged",
        "a session completes without the replica's acknowledgement",
    );
    add(
        "F70-rebuild-superseded-by-catch-up",
        "rebuild",
        "T4",
        "supersede",
        "rebuild_required",
        "a catch-up takes the place of a rebuild",
    );
    add(
        "F57-member-is-rebuilt",
        "laggard",
        "F57",
        "*",
        "still_in_sync_set",
        "a rebuild begins while its replica is in the in-sync set",
    );
    add(
        "F74-somebody-elses-session",
        "forged",
        "T7",
        "*",
        "stale_session",
        "a call works on whatever session is present",
    );
    add(
        "M13-barrier-of-an-earlier-session",
        "laggard",
        "T7",
        "progress",
        "stale_session",
        "the answer to a barrier counts for a later session",
    );
    add(
        "M26-earlier-incarnation-at-a-reused-endpoint",
        "forged",
        "T7",
        "*",
        "stale_endpoint",
        "the endpoint version of a token is not looked at",
    );
    add(
        "F49-dead-epoch-answers",
        "forged",
        "T7",
        "*",
        "stale_epoch",
        "the epoch of a token is not looked at",
    );
    add(
        "M05-acknowledgement-goes-back",
        "laggard",
        "T3_monotone",
        "*",
        "progress_regressed",
        "a delayed answer moves a position back",
    );
    add(
        "M04-acknowledged-beyond-head",
        "laggard",
        "T16",
        "acknowledged",
        "beyond_head",
        "an answer claims more than the primary has",
    );
    add(
        "T3-progress-beyond-target",
        "laggard",
        "T3",
        "progress",
        "beyond_target",
        "progress passes its frozen target",
    );
    add(
        "M19-rebuild-after-a-failed-transfer",
        "rebuild",
        "T5_T6",
        "base_installed",
        "transfer_incomplete",
        "a base is installed of which chunks are missing",
    );
    add(
        "T12-live-extent-as-snapshot",
        "rebuild",
        "T12",
        "base_installed",
        "base_mismatch",
        "an image that holds more is installed as the snapshot",
    );
    add(
        "T9-progress-before-the-cut",
        "facts",
        "T9",
        "progress",
        "truncation_outstanding",
        "progress counts before the divergent tail was cut",
    );
    add(
        "T9-cut-elsewhere",
        "facts",
        "T9",
        "truncated",
        "truncation_mismatch",
        "a truncation counts wherever the log was cut",
    );
    add(
        "T5-transfer-before-its-pins",
        "rebuild",
        "T5_T6",
        "begin_transfer",
        "pin_outstanding",
        "a transfer begins before its base and log are pinned",
    );
    add(
        "F81-epoch-goes-back",
        "authority",
        "F81",
        "assign",
        "stale_assignment",
        "an assignment sets the epoch, whichever it is",
    );
}

#[cfg(test)]
mod tests {
    use super::all;

    #[test]
    fn every_mutant_has_its_own_id() {
        let mut ids: Vec<String> = all().into_iter().map(|mutant| mutant.id).collect();
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}
