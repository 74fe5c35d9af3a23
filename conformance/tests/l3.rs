//! Level 3 on every build: the drivers of production over sockets and files along the session
//! specification, and the proof that a defect in what looks at them would be seen.

#![cfg(feature = "l3")]

use holdfast_conformance::l2::cluster::Cluster;
use holdfast_conformance::l2::observe::{self, StoresView};
use holdfast_conformance::l2::{Lens, Outing, Targets};
use holdfast_conformance::l3::{self, Sockets};
use holdfast_conformance::product::Patience;
use holdfast_model::checking::Spec as _;
use holdfast_model::session::{Session as Spec, State};
use holdfast_node::replication::Finding;
use holdfast_types::Lsn;

const PATIENT: Patience = Patience {
    kept: 3,
    fail_fast: false,
};

#[test]
fn the_drivers_over_sockets_and_files_are_the_session_specification() {
    let sockets = Sockets::new().unwrap();
    let (row, tours) = l3::report(&sockets, &l3::outings(false), PATIENT, Lens::default());
    let first = tours.iter().find_map(|(_, tour)| tour.walk.kept.first());
    assert!(row.is_green(), "{row:?}\n{first:#?}");
    let steps: u64 = tours.iter().map(|(_, tour)| tour.taken).sum();
    assert!(steps >= 10_000, "only {steps} steps over sockets");
    let late: u64 = tours.iter().map(|(_, tour)| tour.late_frames).sum();
    assert!(late >= 5, "only {late} frames came late");
    let cuts = sockets.cuts();
    let kinds = cuts.of_each_kind();
    assert!(kinds.iter().all(|&count| count >= 20), "cuts {kinds:?}");
    assert!(cuts.torn() >= 10, "only {} frames were torn", cuts.torn());
}

#[test]
fn every_edge_of_the_smallest_instance_is_a_target_over_sockets() {
    let outing = smallest();
    assert_eq!(outing.targets, Targets::Edges);
    assert!(
        outing.states_max > 341,
        "the instance has 341 states within reach"
    );
}

fn smallest() -> Outing {
    let mut outings = l3::outings(false);
    outings.retain(|outing| outing.spec.instance().name == "smallest");
    outings.pop().unwrap()
}

/// Looks through a corrupted lens at the smallest instance, on which everything agrees otherwise.
fn assert_red(name: &str, lens: Lens) {
    let patience = Patience {
        kept: 1,
        fail_fast: true,
    };
    let sockets = Sockets::new().unwrap();
    let (row, tours) = l3::report(&sockets, &[smallest()], patience, lens);
    assert!(!row.is_green(), "{name} was not seen: {row:?}");
    assert!(
        row.disagreements > 0 && !tours[0].1.walk.kept.is_empty(),
        "{name} was not seen in a step: {row:?}"
    );
}

#[test]
fn a_corrupted_comparison_is_seen_in_a_step_over_sockets() {
    fn without_proof(spec: &Spec, state: &State, cluster: &Cluster) -> StoresView {
        let mut seen = observe::of_cluster(spec, state, cluster);
        for replica in seen.replicas.values_mut() {
            replica.upto = Lsn(0);
        }
        seen
    }
    fn off_by_one(specified: &Finding, told: &Finding) -> bool {
        let mut told = told.clone();
        if let Finding::Report { history, .. } = &mut told {
            history.committed = history.committed.next();
        }
        *specified == told
    }
    let lens = Lens::default;
    let corrupted = [
        (
            "replicas without a proof",
            Lens {
                stores: without_proof,
                ..lens()
            },
        ),
        (
            "a history that is off by one",
            Lens {
                same_finding: off_by_one,
                ..lens()
            },
        ),
        (
            "outcomes that are never the same",
            Lens {
                same_outcome: |_, _| false,
                ..lens()
            },
        ),
    ];
    for (name, lens) in corrupted {
        assert_red(name, lens);
    }
}
