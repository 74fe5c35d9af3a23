//! The decision table, against itself (total, no row idle) and against logs looked at entry by
//! entry.

use holdfast_types::{BaseState, Lineage, Lsn, ReplicaFacts, RetainedHistory, StoreId};

use super::{Classification, Gap, classify};
use crate::RebuildReason;
use crate::common_position::common_position;
use crate::rebuild_source::replayable_from;
use crate::tests::scene::{cut_lineage_of, facts, history, lineage_of};

/// Every log of at most `longest` entries whose epochs, at most `epochs`, never go back.
fn logs(longest: usize, epochs: u64) -> Vec<Vec<u64>> {
    let mut all = vec![vec![]];
    let mut last: Vec<Vec<u64>> = vec![vec![]];
    for _ in 0..longest {
        last = last
            .iter()
            .flat_map(|log| {
                let least = log.last().copied().unwrap_or(1);
                (least..=epochs).map(|epoch| [log.as_slice(), &[epoch]].concat())
            })
            .collect();
        all.extend_from_slice(&last);
    }
    all
}

/// The entries that two logs share, looked at one by one.
fn shared(a: &[u64], b: &[u64]) -> u64 {
    a.iter().zip(b).take_while(|(x, y)| x == y).count() as u64
}

/// An epoch has one writer, so logs that agree on the epoch at a position are equal up to it.
fn of_one_volume(a: &[u64], b: &[u64]) -> bool {
    let common = shared(a, b) as usize;
    a.iter().zip(b).skip(common).all(|(x, y)| x != y)
}

fn pairs() -> impl Iterator<Item = (Vec<u64>, Vec<u64>)> {
    let all = logs(4, 3);
    let other = all.clone();
    all.into_iter()
        .flat_map(move |a| other.clone().into_iter().map(move |b| (a.clone(), b)))
        .filter(|(a, b)| of_one_volume(a, b))
}

#[test]
fn t2_common_is_what_the_two_logs_share_entry_by_entry() {
    let mut compared = 0;
    for (ours, theirs) in pairs() {
        let found = common_position(
            &lineage_of(&ours),
            Lsn(ours.len() as u64),
            &lineage_of(&theirs),
            Lsn(theirs.len() as u64),
        );
        let expected = shared(&ours, &theirs);
        if ours.is_empty() && !theirs.is_empty() {
            // A primary without a log reaches back to nothing; it may decide nothing either.
            assert_eq!(found, None);
        } else {
            assert_eq!(found, Some(Lsn(expected)), "{ours:?} and {theirs:?}");
        }
        compared += 1;
    }
    assert!(compared > 500, "only {compared} pairs of logs");
}

#[test]
fn a_lineage_that_was_cut_finds_the_common_position_or_says_that_it_cannot() {
    let (mut found, mut unknown) = (0, 0);
    for (ours, theirs) in pairs() {
        for cut in 0..=2 {
            for their_cut in 0..=2 {
                let common = common_position(
                    &cut_lineage_of(&ours, cut),
                    Lsn(ours.len() as u64),
                    &cut_lineage_of(&theirs, their_cut),
                    Lsn(theirs.len() as u64),
                );
                match common {
                    Some(common) => {
                        assert_eq!(common, Lsn(shared(&ours, &theirs)));
                        found += 1;
                    }
                    None => unknown += 1,
                }
            }
        }
    }
    assert!(found > 1_000 && unknown > 1_000, "{found} and {unknown}");
}

/// The conditions of rows 1 to 7 of the table, each by itself, written anew from the prose.
fn rows_that_hold(
    facts: Option<&ReplicaFacts>,
    history: &RetainedHistory,
    acknowledged: Option<Lsn>,
) -> Vec<usize> {
    let Some(facts) = facts else { return vec![1] };
    let base = facts.base;
    let common = common_position(&history.lineage, history.head, &facts.lineage, base.durable);
    let from = common.map(|common| common.min(base.durable));
    let target = history.committed.max(history.epoch_start.unwrap());
    let conditions = [
        (2, base.durable < base.extent_bound),
        (3, acknowledged.is_some_and(|known| base.durable < known)),
        (4, common.is_none()),
        (
            5,
            common.is_some_and(|common| base.durable > common && base.extent_bound > common),
        ),
        (
            6,
            from.is_some_and(|from| from < history.head && !replayable_from(history, from)),
        ),
        (7, from.is_some_and(|from| from >= target)),
    ];
    conditions
        .iter()
        .filter_map(|&(row, holds)| holds.then_some(row))
        .collect()
}

fn row_of(classification: Classification) -> usize {
    match classification {
        Classification::NeedsRebuild(RebuildReason::NoVolume) => 1,
        Classification::NeedsRebuild(RebuildReason::UntrustedBase) => 2,
        Classification::NeedsRebuild(RebuildReason::LostAcknowledged) => 3,
        Classification::NeedsRebuild(RebuildReason::LineageExhausted) => 4,
        Classification::NeedsRebuild(RebuildReason::DivergentExtent) => 5,
        Classification::NeedsRebuild(RebuildReason::GapBeyondRetention) => 6,
        Classification::ZeroGap(_) => 7,
        Classification::CatchUp(_) => 8,
        Classification::NeedsRebuild(
            reason @ (RebuildReason::RetentionLost
            | RebuildReason::TruncationUnsafe
            | RebuildReason::BudgetDuration
            | RebuildReason::BudgetEntries
            | RebuildReason::BudgetStall
            | RebuildReason::BudgetBytes
            | RebuildReason::Ordered),
        ) => panic!("{reason} is no row of the table"),
    }
}

/// Every input of a small domain: primaries that may decide, replicas with any log and extent.
fn for_every_input(
    mut visit: impl FnMut(Option<&ReplicaFacts>, &RetainedHistory, Option<Lsn>, &[u64], &[u64]),
) {
    let positions = || [None, Some(Lsn(0)), Some(Lsn(2)), Some(Lsn(3))];
    for (ours, theirs) in pairs().filter(|(ours, _)| !ours.is_empty()) {
        for committed in 0..=ours.len() as u64 {
            for retained_from in positions() {
                let mut history = history(&ours, committed);
                history.retained_from = retained_from.filter(|from| *from <= history.head);
                visit(None, &history, None, &ours, &theirs);
                for extent in [0, 1, 2, 3, u64::MAX] {
                    for acknowledged in positions() {
                        for cut in 0..=1 {
                            let mut facts = facts(&theirs, extent);
                            facts.lineage = cut_lineage_of(&theirs, cut);
                            visit(Some(&facts), &history, acknowledged, &ours, &theirs);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn every_row_decides_somewhere_alone() {
    let mut alone = [0_u64; 9];
    for_every_input(|facts, history, acknowledged, ours, theirs| {
        let holding = rows_that_hold(facts, history, acknowledged);
        let decided = row_of(classify(facts, history, acknowledged).verdict());
        let first = holding.first().copied().unwrap_or(8);
        assert_eq!(decided, first, "{ours:?} and {theirs:?}: {holding:?}");
        if holding.len() <= 1 {
            alone[decided] += 1;
        }
    });
    for (row, count) in alone.iter().enumerate().skip(1) {
        assert!(*count > 0, "row {row} never decides alone");
    }
}

#[test]
fn t9_what_is_replayed_after_the_cut_makes_the_logs_equal() {
    let mut truncations = 0;
    for_every_input(|facts, history, acknowledged, ours, theirs| {
        let (gap, zero) = match classify(facts, history, acknowledged).verdict() {
            Classification::NeedsRebuild(_) => return,
            Classification::ZeroGap(gap) => (gap, true),
            Classification::CatchUp(gap) => (gap, false),
        };
        let mut log = theirs.to_vec();
        if let Some(to) = gap.truncate_to {
            log.truncate(usize::try_from(to.0).unwrap());
            truncations += 1;
        }
        assert_eq!(
            log.len() as u64,
            gap.from.0,
            "replay begins where the log ends"
        );
        assert_eq!(zero, gap.from >= gap.target);
        let target = usize::try_from(gap.target.0).unwrap();
        log.extend_from_slice(&ours[log.len()..target.max(log.len())]);
        assert!(
            ours.starts_with(&log) && log.len() >= target,
            "{log:?} is not {ours:?} up to {target}"
        );
    });
    assert!(truncations > 100, "only {truncations} truncations");
}

#[test]
fn t1_the_target_is_committed_or_the_epoch_start_and_never_head() {
    for_every_input(|facts, history, acknowledged, _, _| {
        match classify(facts, history, acknowledged).verdict() {
            Classification::NeedsRebuild(_) => {}
            Classification::ZeroGap(gap) | Classification::CatchUp(gap) => {
                let start = history.epoch_start.unwrap();
                assert!(gap.target == history.committed || gap.target == start);
                assert!(gap.target >= history.committed && gap.target >= start);
            }
        }
    });
}

#[test]
fn f30_a_log_of_equal_length_may_be_another_log() {
    let proof = classify(
        Some(&facts(&[1, 1, 1, 1], 0)),
        &history(&[1, 1, 2, 2], 3),
        None,
    );
    assert_eq!(
        proof.verdict(),
        Classification::CatchUp(Gap {
            from: Lsn(2),
            target: Lsn(3),
            truncate_to: Some(Lsn(2)),
        })
    );
}

#[test]
fn f66_absent_retention_is_not_position_zero() {
    let replica = facts(&[], 0);
    let mut history = history(&[1, 1], 2);
    assert!(matches!(
        classify(Some(&replica), &history, None).verdict(),
        Classification::CatchUp(_)
    ));
    history.retained_from = None;
    assert_eq!(
        classify(Some(&replica), &history, None).verdict(),
        Classification::NeedsRebuild(RebuildReason::GapBeyondRetention)
    );
}

#[test]
fn a_replica_ahead_of_committed_on_the_same_lineage_is_not_cut() {
    let proof = classify(
        Some(&facts(&[1, 1, 2, 2], 0)),
        &history(&[1, 1, 2, 2], 3),
        None,
    );
    assert_eq!(
        proof.verdict(),
        Classification::ZeroGap(Gap {
            from: Lsn(4),
            target: Lsn(3),
            truncate_to: None,
        })
    );
}

#[test]
fn the_proof_says_what_was_decided_and_from_which_facts() {
    let proof = classify(
        Some(&facts(&[1, 1, 1], 1)),
        &history(&[1, 1, 2, 2], 3),
        Some(Lsn(2)),
    );
    assert_eq!(
        proof.to_string(),
        "catch-up over (2, 3] after truncation to 2 (replica: checkpoint 1, extent bound 1, \
         durable 3, acknowledged 2, common 2; primary: head 4, committed 3, epoch start 3, \
         retained from 0)"
    );
    assert_eq!(proof.common(), Some(Lsn(2)));
    assert_eq!(
        proof.replica(),
        Some(BaseState {
            checkpoint: Lsn(1),
            extent_bound: Lsn(1),
            durable: Lsn(3),
        })
    );
}

#[test]
fn an_unknown_store_is_told_apart_from_an_empty_one() {
    let history = history(&[1], 1);
    let empty = ReplicaFacts {
        store: StoreId(uuid::Uuid::from_u128(1)),
        base: BaseState {
            checkpoint: Lsn(0),
            extent_bound: Lsn(0),
            durable: Lsn(0),
        },
        lineage: Lineage::default(),
    };
    assert!(matches!(
        classify(Some(&empty), &history, None).verdict(),
        Classification::CatchUp(_)
    ));
    assert_eq!(
        classify(None, &history, None).verdict(),
        Classification::NeedsRebuild(RebuildReason::NoVolume)
    );
}
