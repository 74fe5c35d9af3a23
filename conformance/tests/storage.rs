//! The volume against the storage specification on every build, and the proof that a defect in what
//! looks at it would be seen.

#![cfg(feature = "storage")]

use std::io::Write;

use holdfast_conformance::product::Patience;
use holdfast_conformance::storage::view::{self, Expected, Serves, View};
use holdfast_conformance::storage::{self, Extent, Lens, System};
use holdfast_model::storage::Storage as Spec;
use holdfast_model::storage::state::State;

const EVERY_BUILD: Extent = Extent {
    full: false,
    seed: storage::SEED,
    patience: Patience {
        kept: 3,
        fail_fast: false,
    },
};

#[test]
fn the_volume_is_the_storage_specification() {
    let (row, tours) = storage::report(&storage::specs(false), EVERY_BUILD, Lens::default());
    // Past the test harness, which keeps what a passing test prints to itself.
    let told = writeln!(
        std::io::stdout().lock(),
        "HOLDFAST_SEED={}: {} edges of the storage specification, {} crash images recovered",
        row.seed,
        row.edges_covered,
        row.recoveries
    );
    told.expect("standard output takes a line");
    let first = tours.iter().find_map(|tour| tour.kept.first());
    assert!(row.is_green(), "{row:?}\n{first:#?}");
    assert!(row.edges_covered >= 80_000, "{row:?}");
    assert!(row.disabled_checked >= 60_000, "{row:?}");
    assert!(row.recoveries >= 4_000, "{row:?}");
    for tour in &tours {
        let name = tour.instance;
        assert!(tour.edges_covered >= 1_500, "hardly anything of {name}");
    }
}

#[test]
fn a_small_instance_is_toured_to_its_last_edge() {
    let spec = Spec::named("pin").unwrap();
    let (row, tours) = storage::report(&[spec], EVERY_BUILD, Lens::default());
    assert!(row.is_green(), "{row:?}");
    assert_eq!(row.ended_early, 0);
    let left_out: u64 = tours[0].coarser.values().sum();
    let behind = row.edges_total - row.edges_covered - left_out;
    assert!(
        behind * 100 < row.edges_total,
        "{behind} edges are behind others: {row:?}"
    );
}

/// Looks through a corrupted lens at instances on which everything agrees otherwise.
fn assert_red(name: &str, lens: Lens) {
    let patience = Patience {
        kept: 1,
        fail_fast: true,
    };
    let extent = Extent {
        patience,
        ..EVERY_BUILD
    };
    let specs: Vec<Spec> = ["kill", "snapshot-twice"]
        .into_iter()
        .filter_map(Spec::named)
        .collect();
    let (row, _) = storage::report(&specs, extent, lens);
    assert!(!row.is_green(), "{name} was not seen: {row:?}");
}

/// The volume's view after one change.
macro_rules! corrupted {
    (|$view:ident| $change:expr) => {
        Lens {
            view: |spec: &Spec, state: &State, system: &mut System| {
                let mut $view: View = view::of_volume(spec, state, system);
                $change;
                $view
            },
            ..Lens::default()
        }
    };
}

#[test]
fn a_corrupted_abstraction_turns_the_result_red() {
    let lenses = [
        (
            "nothing",
            Lens {
                view: |_, _, _| View::default(),
                ..Lens::default()
            },
        ),
        (
            "durable for head",
            corrupted!(|v| v.positions.iter_mut().for_each(|p| p.head = p.durable)),
        ),
        (
            "checkpoint for the bound",
            corrupted!(|v| {
                v.positions
                    .iter_mut()
                    .for_each(|p| p.extent_bound = p.checkpoint)
            }),
        ),
        ("blocks never read", corrupted!(|v| v.blocks = None)),
        (
            "the blocks exchanged",
            corrupted!(|v| v.blocks.iter_mut().for_each(|blocks| blocks.reverse())),
        ),
        (
            "the cache for the medium",
            corrupted!(|v| v.durable_image = v.image),
        ),
        (
            "a log that is always durable",
            corrupted!(|v| v.unsynced_log = 0),
        ),
        (
            "no superblock in flight",
            corrupted!(|v| v.superblock_in_flight = false),
        ),
        ("no snapshot", corrupted!(|v| v.snapshot = None)),
        (
            "everything is served",
            corrupted!(|v| v.serves = Serves::All),
        ),
    ];
    for (name, lens) in lenses {
        assert_red(name, lens);
    }
}

/// A comparer.
type Same = fn(&Expected, &View) -> bool;

#[test]
fn a_corrupted_comparer_turns_the_result_red() {
    let same: [(&str, Same); 5] = [
        ("all are the same", |_, _| true),
        ("none are the same", |_, _| false),
        ("positions not looked at", |expected, seen| {
            let mut seen = seen.clone();
            seen.positions = expected.view.positions;
            expected.is(&seen)
        }),
        ("contents not looked at", |expected, seen| {
            let mut seen = seen.clone();
            seen.blocks = expected.view.blocks;
            expected.is(&seen)
        }),
        ("a bound as low as one likes", |expected, seen| {
            let lower = Expected {
                bound_from: 0,
                ..expected.clone()
            };
            lower.is(seen)
        }),
    ];
    for (name, same) in same {
        let lens = Lens {
            same,
            ..Lens::default()
        };
        assert_red(name, lens);
    }
}
