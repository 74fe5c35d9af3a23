//! The decision, case by case.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_types::{
    BaseState, DurabilityMode, Epoch, Lineage, LineageEntry, Lsn, ReplicaFacts, ReplicaId, StoreId,
    VolumeRecord,
};

use super::{Candidates, Decision, FenceReport, Obstacle, Promotion, decide, decide_forced};
use crate::authority::conformance::new_volume;

fn id(name: &str) -> ReplicaId {
    ReplicaId::new(name).unwrap()
}

fn ids(names: &[&str]) -> BTreeSet<ReplicaId> {
    names.iter().map(|name| id(name)).collect()
}

/// Three copies, all in sync, at epoch 5, where entry 10 of epoch 3 is known to be committed.
fn record(mode: DurabilityMode, isr: &[&str]) -> VolumeRecord {
    VolumeRecord {
        epoch: Epoch(5),
        mode,
        isr: ids(isr),
        min_in_sync: 2,
        committed_seen: (Epoch(3), Lsn(10)),
        ..new_volume("v")
    }
}

/// A report of the recorded store whose last entry is `(epoch, durable)`.
fn report(record: &VolumeRecord, name: &str, epoch: u64, durable: u64) -> (ReplicaId, FenceReport) {
    let entry = LineageEntry {
        epoch: Epoch(epoch),
        first: Lsn(1),
    };
    let facts = ReplicaFacts {
        store: record.members[&id(name)].store,
        base: BaseState {
            checkpoint: Lsn(0),
            extent_bound: Lsn(0),
            durable: Lsn(durable),
        },
        lineage: Lineage::new(vec![entry]).unwrap(),
    };
    let restarted = false;
    (id(name), FenceReport { facts, restarted })
}

fn decided(
    record: &VolumeRecord,
    reports: impl IntoIterator<Item = (ReplicaId, FenceReport)>,
    waited_out: bool,
) -> Decision {
    let reports: BTreeMap<_, _> = reports.into_iter().collect();
    decide(&Candidates {
        record,
        last_primary: Some(&id("a")),
        reports: &reports,
        waited_out,
    })
}

fn promotion(decision: Decision) -> Promotion {
    match decision {
        Decision::Promote(promotion) => promotion,
        other @ (Decision::Wait { .. } | Decision::Impossible(_)) => {
            panic!("expected a promotion: {other:?}")
        }
    }
}

#[test]
fn m23_the_greatest_last_entry_is_chosen_by_epoch_before_position() {
    let record = record(DurabilityMode::SyncQuorum, &["a", "b", "c"]);
    let reports = [report(&record, "b", 4, 11), report(&record, "c", 3, 99)];
    let chosen = promotion(decided(&record, reports, false));
    assert_eq!(chosen.primary, id("b"));
    assert_eq!(chosen.isr, ids(&["a", "b", "c"]));
    assert!(
        !chosen.may_have_lost_power(),
        "only the old primary is silent"
    );
}

#[test]
fn every_member_but_the_old_primary_is_waited_for_until_the_wait_is_over() {
    let record = record(DurabilityMode::SyncAll, &["a", "b", "c"]);
    let reports = || [report(&record, "c", 4, 11)];
    assert_eq!(
        decided(&record, reports(), false),
        Decision::Wait {
            missing: ids(&["b"])
        }
    );
    let chosen = promotion(decided(&record, reports(), true));
    assert_eq!(chosen.decided_without, ids(&["b"]));
    assert!(chosen.may_have_lost_power());
}

#[test]
fn m37_a_promotion_on_the_report_of_a_restarted_node_says_so() {
    let record = record(DurabilityMode::SyncAll, &["a", "b"]);
    let (replica, mut restarted) = report(&record, "b", 4, 11);
    restarted.restarted = true;
    let chosen = promotion(decided(&record, [(replica, restarted)], false));
    assert_eq!(chosen.restarted, ids(&["b"]));
    assert!(chosen.may_have_lost_power());
}

#[test]
fn sync_all_loses_silent_members_only_as_far_as_min_in_sync_allows() {
    let record = record(DurabilityMode::SyncAll, &["a", "b", "c"]);
    let two = [report(&record, "b", 4, 11), report(&record, "c", 4, 11)];
    let chosen = promotion(decided(&record, two, false));
    assert_eq!(chosen.isr, ids(&["b", "c"]), "the lost primary leaves");
    let one = [report(&record, "c", 4, 11)];
    let chosen = promotion(decided(&record, one, true));
    assert_eq!(chosen.isr, ids(&["b", "c"]), "two must stay");
}

#[test]
fn f58_an_emptied_or_untrusted_store_neither_counts_as_a_report_nor_stays_in_the_set() {
    let record = record(DurabilityMode::SyncQuorum, &["a", "b", "c"]);
    let (b, mut emptied) = report(&record, "b", 4, 50);
    emptied.facts.store = StoreId::random();
    let reports = [(b.clone(), emptied.clone()), report(&record, "c", 4, 11)];
    assert_eq!(
        decided(&record, reports, true),
        Decision::Impossible(Obstacle::TooFewReports {
            found: 1,
            needed: 2
        })
    );
    let (c, mut half_built) = report(&record, "c", 4, 50);
    half_built.facts.base.extent_bound = Lsn::MAX;
    let mut all = vec![report(&record, "a", 4, 10), (b, emptied), (c, half_built)];
    assert!(matches!(
        decided(&record, all.clone(), true),
        Decision::Impossible(_)
    ));
    all[1] = report(&record, "b", 4, 11);
    let chosen = promotion(decided(&record, all, true));
    assert_eq!((chosen.primary, chosen.isr), (id("b"), ids(&["a", "b"])));
}

#[test]
fn a9_nobody_outside_the_in_sync_set_is_promoted() {
    let record = record(DurabilityMode::SyncAll, &["a"]);
    let reports = [report(&record, "b", 4, 99)];
    assert_eq!(
        decided(&record, reports, true),
        Decision::Impossible(Obstacle::NobodyEligible)
    );
}

#[test]
fn t13_a_candidate_below_what_was_committed_is_not_promoted() {
    let record = record(DurabilityMode::SyncAll, &["a", "b"]);
    let behind = [report(&record, "b", 3, 9)];
    assert_eq!(
        decided(&record, behind, true),
        Decision::Impossible(Obstacle::BelowCommitted {
            best: (Epoch(3), Lsn(9)),
            committed: (Epoch(3), Lsn(10))
        })
    );
}

#[test]
fn best_effort_promotes_the_last_primary_and_nobody_else() {
    let record = record(DurabilityMode::BestEffort, &["a", "b"]);
    let others = [report(&record, "b", 4, 99)];
    assert_eq!(
        decided(&record, others.clone(), false),
        Decision::Wait {
            missing: ids(&["a"])
        }
    );
    assert_eq!(
        decided(&record, others.clone(), true),
        Decision::Impossible(Obstacle::LastPrimaryMissing {
            last_primary: id("a")
        })
    );
    let [other] = others;
    let both = [other, report(&record, "a", 4, 12)];
    assert_eq!(promotion(decided(&record, both, false)).primary, id("a"));
}

#[test]
fn f94_a_forced_promotion_makes_its_primary_the_whole_set_and_the_only_voter() {
    let record = record(DurabilityMode::SyncAll, &["a", "b"]);
    let reports = BTreeMap::from([report(&record, "c", 2, 7), report(&record, "b", 2, 6)]);
    let candidates = Candidates {
        record: &record,
        last_primary: Some(&id("a")),
        reports: &reports,
        waited_out: true,
    };
    let best = decide_forced(&candidates, None).unwrap();
    assert_eq!(best.primary, id("c"));
    assert_eq!((&best.isr, &best.voters), (&ids(&["c"]), &ids(&["c"])));
    assert!(best.may_have_lost_power());
    let named = decide_forced(&candidates, Some(&id("b"))).unwrap();
    assert_eq!(named.primary, id("b"));
    assert_eq!(
        decide_forced(&candidates, Some(&id("a"))),
        Err(Obstacle::ForcedCandidateUnfit { replica: id("a") })
    );
}

#[test]
fn f33_not_even_force_promotes_a_half_built_copy() {
    let record = record(DurabilityMode::SyncAll, &["a", "b"]);
    let (b, mut half_built) = report(&record, "b", 4, 50);
    half_built.facts.base.extent_bound = Lsn::MAX;
    let reports = BTreeMap::from([(b, half_built)]);
    let candidates = Candidates {
        record: &record,
        last_primary: None,
        reports: &reports,
        waited_out: true,
    };
    assert_eq!(
        decide_forced(&candidates, None),
        Err(Obstacle::NobodyEligible)
    );
}
