//! Classification: one total function from the replica's facts, the primary's history and what
//! the replica acknowledged (`docs/session.md`, section 7). The first row that holds decides.

use super::action::{Facts, Retained};
use super::log::Lineage;
use super::rules::{Broken, Rules};
use super::vocabulary::{Lsn, RebuildReason};

/// What a handshake is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Classification {
    /// Only a rebuild can help.
    NeedsRebuild(RebuildReason),
    /// Replay from `from` to `target` (which may be nothing), after a cut where one is needed.
    Replay {
        /// The replica's position, once it is cut.
        from: Lsn,
        /// What it must reach.
        target: Lsn,
        /// Where its log must be cut.
        truncate_to: Option<Lsn>,
    },
}

/// What a replica of an up-to-date plan must reach: never `head` (T1, F65).
#[must_use]
pub fn target(rules: &Rules, history: &Retained) -> Lsn {
    if !rules.keeps(Broken::TargetIsHead) {
        return history.head;
    }
    history.committed.max(history.epoch_start.unwrap_or(0))
}

/// Decides. Rows 1 to 8, in order.
#[must_use]
pub fn classify(
    rules: &Rules,
    facts: Option<&Facts>,
    history: &Retained,
    acknowledged: Option<Lsn>,
) -> Classification {
    use Classification::{NeedsRebuild, Replay};
    // 1
    let Some(facts) = facts else {
        return NeedsRebuild(RebuildReason::NoVolume);
    };
    // 2
    if facts.durable < facts.extent_bound && rules.keeps(Broken::UntrustedBaseAccepted) {
        return NeedsRebuild(RebuildReason::UntrustedBase);
    }
    // 3
    if acknowledged.is_some_and(|lsn| facts.durable < lsn)
        && rules.keeps(Broken::LostAcknowledgedIgnored)
    {
        return NeedsRebuild(RebuildReason::LostAcknowledged);
    }
    // 4
    let Some(common) = common(rules, facts, history) else {
        return NeedsRebuild(RebuildReason::LineageExhausted);
    };
    let diverges = facts.durable > common;
    let from = facts.durable.min(common);
    // 5
    if diverges && facts.extent_bound > common && rules.keeps(Broken::DivergentExtentAccepted) {
        return NeedsRebuild(RebuildReason::DivergentExtent);
    }
    // 6
    let retained_from = match history.retained_from {
        None if !rules.keeps(Broken::NothingRetainedIsEverything) => Some(0),
        retained_from => retained_from,
    };
    let replayable = retained_from.is_some_and(|lsn| lsn <= from);
    if from < history.head && !replayable && rules.keeps(Broken::GapIgnored) {
        return NeedsRebuild(RebuildReason::GapBeyondRetention);
    }
    // 7 and 8
    let cut = diverges && rules.keeps(Broken::DivergenceIgnored);
    Replay {
        from,
        target: target(rules, history),
        truncate_to: cut.then_some(common),
    }
}

/// The last position up to which both logs hold the same entries: the greatest, at most the
/// shorter log, for which both lineages name the same epoch.
fn common(rules: &Rules, facts: &Facts, history: &Retained) -> Option<Lsn> {
    let shorter = facts.durable.min(history.head);
    if !rules.keeps(Broken::TruncateToCommitted) && facts.durable > history.committed {
        return Some(history.committed.min(shorter));
    }
    if !rules.keeps(Broken::EqualLsnIsEqualHistory) {
        return Some(shorter);
    }
    let alike = |lsn: &Lsn| {
        let there = facts.lineage.epoch_at(*lsn);
        there.is_some() && there == history.lineage.epoch_at(*lsn)
    };
    if let Some(lsn) = (1..=shorter).rev().find(alike) {
        return Some(lsn);
    }
    let whole = |lineage: &Lineage| lineage.is_whole();
    if facts.durable == 0 || (whole(&facts.lineage) && whole(&history.lineage)) {
        return Some(0);
    }
    if rules.keeps(Broken::ExhaustedLineageIsEqual) {
        None
    } else {
        Some(shorter)
    }
}
