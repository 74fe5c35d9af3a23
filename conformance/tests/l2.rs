//! Level 2 on every build: engine, executors and stores along the session specification, and the
//! proof that a defect in what looks at them would be seen.

#![cfg(feature = "l2")]

use holdfast_conformance::l1::view::{self, View};
use holdfast_conformance::l2::cluster::{Cluster, Outcome};
use holdfast_conformance::l2::observe::{self, StoresView};
use holdfast_conformance::l2::{self, Lens, Outing, Targets};
use holdfast_conformance::product::Patience;
use holdfast_engine::Registry;
use holdfast_model::checking::Spec as _;
use holdfast_model::session::{Session as Spec, State};
use holdfast_node::replication::Finding;
use holdfast_types::Lsn;

const PATIENT: Patience = Patience {
    kept: 3,
    fail_fast: false,
};

fn outing(name: &str) -> Outing {
    let mut outings = l2::outings(false);
    outings.retain(|outing| outing.spec.instance().name == name);
    outings.pop().unwrap()
}

#[test]
fn the_product_as_a_whole_is_the_session_specification() {
    let (row, tours) = l2::report(&l2::outings(false), PATIENT, Lens::default());
    let first = tours.iter().find_map(|(_, tour)| tour.walk.kept.first());
    assert!(row.is_green(), "{row:?}\n{first:#?}");
    assert!(row.edges_total >= 5_000, "only {} edges", row.edges_total);
    let late: u64 = tours.iter().map(|(_, tour)| tour.late_frames).sum();
    assert!(late >= 20, "only {late} frames came late");
}

#[test]
fn every_edge_of_the_smallest_instance_within_reach_is_taken() {
    let outing = outing("smallest");
    assert_eq!(outing.targets, Targets::Edges);
    let (row, _) = l2::report(&[outing], PATIENT, Lens::default());
    assert!(row.is_green(), "{row:?}");
    assert!(row.edges_covered >= 1_000 && row.edges_out_of_reach > 0);
}

/// A way to corrupt a lens.
type Corruption = fn(&mut Lens);

/// Looks through a corrupted lens at the smallest instance, on which everything agrees otherwise.
fn assert_red(name: &str, lens: Lens) {
    let patience = Patience {
        kept: 1,
        fail_fast: true,
    };
    let (row, _) = l2::report(&[outing("smallest")], patience, lens);
    assert!(!row.is_green(), "{name} was not seen: {row:?}");
}

#[test]
fn a_comparer_that_sees_nothing_is_seen() {
    let blind: [(&str, Corruption); 3] = [
        ("stores", |lens| lens.same_stores = |_, _| true),
        ("what is told", |lens| lens.same_finding = |_, _| true),
        ("outcomes", |lens| lens.same_outcome = |_, _| true),
    ];
    for (name, corrupt) in blind {
        let mut lens = Lens::default();
        corrupt(&mut lens);
        assert_red(name, lens);
    }
}

#[test]
fn a_comparer_that_sees_too_much_is_seen() {
    let strict: [(&str, Corruption); 4] = [
        ("engines", |lens| lens.same_engine = |_, _| false),
        ("stores", |lens| lens.same_stores = |_, _| false),
        ("what is told", |lens| lens.same_finding = |_, _| false),
        ("outcomes", |lens| lens.same_outcome = |_, _| false),
    ];
    for (name, corrupt) in strict {
        let mut lens = Lens::default();
        corrupt(&mut lens);
        assert_red(name, lens);
    }
}

#[test]
fn an_abstraction_that_loses_something_is_seen() {
    fn without_acknowledged(spec: &Spec, registry: &Registry) -> View {
        let mut seen = view::of_engine(spec, registry);
        for sender in seen.senders.iter_mut().flatten() {
            sender.acknowledged = None;
        }
        seen
    }
    fn without_committed(spec: &Spec, state: &State, cluster: &Cluster) -> StoresView {
        let mut seen = observe::of_cluster(spec, state, cluster);
        for source in &mut seen.sources {
            source.committed = Lsn(0);
        }
        seen
    }
    fn without_proof(spec: &Spec, state: &State, cluster: &Cluster) -> StoresView {
        let mut seen = observe::of_cluster(spec, state, cluster);
        for replica in seen.replicas.values_mut() {
            replica.upto = Lsn(0);
        }
        seen
    }
    fn without_sessions(spec: &Spec, state: &State, cluster: &Cluster) -> StoresView {
        let mut seen = observe::of_cluster(spec, state, cluster);
        seen.sessions.clear();
        seen
    }
    let mut lens = Lens {
        engine: without_acknowledged,
        ..Lens::default()
    };
    assert_red("an engine without acknowledgements", lens);
    lens.engine = view::of_engine;
    for (name, stores) in [
        (
            "stores without a commit",
            without_committed as fn(&Spec, &State, &Cluster) -> StoresView,
        ),
        ("replicas without a proof", without_proof),
        ("no sessions", without_sessions),
    ] {
        lens.stores = stores;
        assert_red(name, lens);
    }
}

#[test]
fn a_difference_in_one_position_of_what_is_told_is_seen() {
    fn off_by_one(specified: &Finding, told: &Finding) -> bool {
        let mut told = told.clone();
        if let Finding::Report { history, .. } = &mut told {
            history.committed = history.committed.next();
        }
        *specified == told
    }
    assert_red(
        "a history that is off by one",
        Lens {
            same_finding: off_by_one,
            ..Lens::default()
        },
    );
    fn deaf(specified: &Outcome, outcome: &Outcome) -> bool {
        matches!(
            (specified, outcome),
            (Outcome::Done, Outcome::Done) | (Outcome::Refused(_), Outcome::Refused(_))
        )
    }
    assert_red(
        "a refusal for another reason",
        Lens {
            same_outcome: deaf,
            ..Lens::default()
        },
    );
}
