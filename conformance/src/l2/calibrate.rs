//! Values that differ in one field, held against each other: a comparer that does not see one of the
//! differences makes the level red.
//!
//! The engine's view is calibrated at level 1; here is what level 2 sees besides.

use std::collections::BTreeMap;

use holdfast_engine::{CatchUpEvidence, Interruption, PinSlot, RebuildEvidence, Refusal};
use holdfast_node::replication::Finding;
use holdfast_types::{Epoch, Lineage, LineageEntry, Lsn};

use super::cluster::Outcome;
use super::observe::{ReplicaView, SourceView, StoresView};
use super::rig::Lens;

/// Differences that a lens does not see, by name.
#[must_use]
pub fn blind_spots(lens: &Lens) -> Vec<&'static str> {
    let mut blind = Vec::new();
    let mut see = |name, same: bool| {
        if same {
            blind.push(name);
        }
    };
    let stores = stores();
    for (name, change) in changes_of_stores() {
        let mut changed = stores.clone();
        change(&mut changed);
        see(name, (lens.same_stores)(&stores, &changed));
        see(name, (lens.same_stores)(&changed, &stores));
    }
    let findings = findings();
    for (at, finding) in findings.iter().enumerate() {
        for other in &findings[at + 1..] {
            see("what is told", (lens.same_finding)(finding, other));
        }
    }
    let outcomes = [
        Outcome::Done,
        Outcome::Refused(Refusal::UnknownSender),
        Outcome::Refused(Refusal::StaleEpoch { current: Epoch(1) }),
        Outcome::Refused(Refusal::StaleEpoch { current: Epoch(2) }),
    ];
    for (at, outcome) in outcomes.iter().enumerate() {
        for other in &outcomes[at + 1..] {
            see("an outcome", (lens.same_outcome)(outcome, other));
        }
    }
    blind
}

fn lineage(first: u64) -> Lineage {
    Lineage::new(vec![LineageEntry {
        epoch: Epoch(2),
        first: Lsn(first),
    }])
    .expect("one epoch is in order")
}

fn stores() -> StoresView {
    let source = SourceView {
        head: Lsn(5),
        committed: Lsn(4),
        checkpoint: Lsn(3),
        extent_bound: Lsn(3),
        retained_from: Some(Lsn(2)),
        lineage: lineage(1),
    };
    let replica = ReplicaView {
        proven: lineage(1),
        upto: Lsn(4),
        extent_bound: Lsn(3),
    };
    StoresView {
        sources: vec![source],
        replicas: BTreeMap::from([(0, replica)]),
        sessions: vec![0],
    }
}

type Change = fn(&mut StoresView);

fn replica(view: &mut StoresView) -> &mut ReplicaView {
    view.replicas.entry(0).or_insert_with(|| ReplicaView {
        proven: Lineage::default(),
        upto: Lsn(0),
        extent_bound: Lsn(0),
    })
}

fn changes_of_stores() -> Vec<(&'static str, Change)> {
    vec![
        ("head", |v| v.sources[0].head = Lsn(6)),
        ("committed", |v| v.sources[0].committed = Lsn(5)),
        ("checkpoint", |v| v.sources[0].checkpoint = Lsn(2)),
        ("extent bound", |v| v.sources[0].extent_bound = Lsn(4)),
        ("retained from", |v| {
            v.sources[0].retained_from = Some(Lsn(3))
        }),
        ("nothing retained", |v| v.sources[0].retained_from = None),
        ("lineage", |v| v.sources[0].lineage = lineage(2)),
        ("another source", |v| {
            let source = v.sources[0].clone();
            v.sources.push(source);
        }),
        ("a replica's lineage", |v| replica(v).proven = lineage(2)),
        ("a replica's proof", |v| replica(v).upto = Lsn(3)),
        ("a replica's extent", |v| replica(v).extent_bound = Lsn(4)),
        ("no replica", |v| v.replicas.clear()),
        ("no session", |v| v.sessions.clear()),
        ("another session", |v| v.sessions.push(1)),
    ]
}

fn findings() -> Vec<Finding> {
    let at = |lsn| Finding::CatchUp(CatchUpEvidence::Durable { lsn: Lsn(lsn) });
    let pinned = |from| {
        Finding::CatchUp(CatchUpEvidence::Pinned {
            retained_from: Some(Lsn(from)),
        })
    };
    vec![
        Finding::Dialing,
        Finding::HelloSent,
        at(1),
        at(2),
        pinned(1),
        pinned(2),
        Finding::CatchUp(CatchUpEvidence::Truncated { to: Lsn(1) }),
        Finding::CatchUp(CatchUpEvidence::TruncationRefused),
        Finding::Rebuild(RebuildEvidence::Durable { lsn: Lsn(1) }),
        Finding::Acknowledged {
            durable: Lsn(1),
            head: Lsn(2),
        },
        Finding::Acknowledged {
            durable: Lsn(2),
            head: Lsn(2),
        },
        Finding::Interrupted(Interruption::PinLost {
            slot: PinSlot::Retention,
        }),
        Finding::Interrupted(Interruption::PinLost {
            slot: PinSlot::Base,
        }),
        Finding::Interrupted(Interruption::Tick { pinned_bytes: 0 }),
        Finding::Interrupted(Interruption::Tick { pinned_bytes: 1 }),
    ]
}
