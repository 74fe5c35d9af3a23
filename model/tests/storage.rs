//! The storage specification: its lattice holds, each of its rules is needed, and the runs that
//! forced a rule are kept as sentences.

use holdfast_model::checking::{Check, Property, Spec};
use holdfast_model::storage::action::{Action, Refusal, Synced};
use holdfast_model::storage::recovery::Outcome;
use holdfast_model::storage::state::{Phase, State};
use holdfast_model::storage::vocabulary::{Entry, Lsn};
use holdfast_model::storage::{Mutation, Storage};

/// The two superblock slots, as sectors.
const FIRST_SUPERBLOCK: u8 = 5;

fn at(instance: &str) -> Storage {
    Storage::at(instance).expect("the instance exists")
}

/// Runs granted steps from the formatted store.
fn run(spec: &Storage, steps: &[Action]) -> State {
    let (_, mut state) = spec.initial()[0];
    for (number, &step) in steps.iter().enumerate() {
        let granted = spec.guard(&state, step);
        assert_eq!(
            granted,
            Ok(()),
            "step {}: {step:?} in {}",
            number + 1,
            spec.show(&state)
        );
        (state, ()) = spec.apply(&state, step);
    }
    state
}

/// `count` appends of that epoch, made durable.
fn logged(epoch: u8, count: usize) -> Vec<Action> {
    let mut steps = vec![Action::Append { epoch }; count];
    steps.extend([Action::BeginSync, Action::EndSync]);
    steps
}

fn reopened() -> [Action; 3] {
    [
        Action::LosePower {
            landed: 0,
            torn: None,
        },
        Action::Recover,
        Action::SyncSuperblock,
    ]
}

fn is_claim(property: &Property<Storage>) -> bool {
    !matches!(
        property.check,
        Check::Sometimes(_) | Check::SometimesStep(_) | Check::Refused(_)
    )
}

#[test]
fn every_broken_rule_is_seen_by_its_property_within_a_small_graph() {
    for mutant in Storage::mutants() {
        let (row, trace) = mutant.kill().expect("it fits");
        assert!(
            row.killed,
            "{} survives in {}: {}",
            row.id, row.instance, row.property
        );
        assert!(
            row.states < 300_000,
            "{} took {} states",
            row.id,
            row.states
        );
        let told = trace
            .expect("a killed mutant has a trace")
            .narrate(&mutant.spec);
        assert!(told.expect("the trace replays").contains("falls"));
    }
}

#[test]
fn every_mutation_names_an_instance_and_a_claim_that_exist() {
    assert_eq!(Storage::mutants().len(), Mutation::ALL.len());
    let claims: Vec<_> = Storage::properties().into_iter().filter(is_claim).collect();
    for mutant in Storage::mutants() {
        let name = mutant.property.expect("each names its property");
        assert!(
            claims.iter().any(|claim| claim.name == name),
            "{}: no claim {name}",
            mutant.id
        );
    }
    for claim in &claims {
        let seen = Storage::mutants()
            .iter()
            .any(|mutant| mutant.property == Some(claim.name));
        let falls_by_a_condition = BY_DELETED_CONDITIONS.contains(&claim.name);
        assert!(
            seen || falls_by_a_condition,
            "a mutation, or a deleted condition, is to violate {}",
            claim.name
        );
    }
}

/// What no mutation of the list violates: it falls when a condition of a guard is deleted
/// (`holdfast-model mutants --guards`).
const BY_DELETED_CONDITIONS: [&str; 4] = [
    "P7 a store that is not open does nothing else",
    "P8 what is under way is finished first",
    "M06 committed never moves back in a process",
    "M27 an entry bears the epoch of its primary",
];

#[test]
fn every_storage_row_of_the_catalogue_has_a_mutation() {
    let rows = [
        "F01", "F02", "F03", "F04", "F05", "F06", "F07", "F09", "F10", "F11", "F12", "F13", "F14",
        "F15", "F16", "F18", "F19", "F20", "F23", "F78", "F79", "M27", "M28", "M29",
    ];
    for row in rows {
        let prefix = format!("{row}-");
        let covered = Storage::mutants()
            .iter()
            .any(|mutant| mutant.id.starts_with(&prefix));
        assert!(covered, "{row} has no mutation");
    }
}

#[test]
fn the_formatted_store_is_trusted_and_empty() {
    let spec = at("ring");
    let (_, state) = spec.initial()[0];
    let reading = spec.read(&state.disk.durable);
    assert!(reading.trusted());
    assert_eq!(reading.end, 0);
}

#[test]
fn f03_a_cut_entry_stays_cut_after_a_crash() {
    let spec = at("cut");
    let mut steps = logged(2, 2);
    steps.extend([Action::Truncate { to: 1 }, Action::SyncSuperblock]);
    steps.extend(reopened());
    let state = run(&spec, &steps);
    assert_eq!((state.phase, state.head), (Phase::Open, 1));
    assert!(
        state
            .disk
            .durable
            .log
            .iter()
            .any(|sector| sector.entry == Entry::new(2, 2, false)),
        "its sector is still there, whole: only the run tells that it does not count"
    );
}

/// The epoch of an entry does not tell whether it was cut: entries of an older epoch may take the
/// place of a newer one's (its primary never had a majority), and what stood behind those would
/// follow them without a gap and with a greater epoch.
#[test]
fn f03_an_older_epochs_entry_does_not_revive_what_was_cut_behind_it() {
    let spec = at("cut");
    let mut steps = logged(2, 2);
    steps.extend([Action::Truncate { to: 0 }, Action::SyncSuperblock]);
    steps.extend(logged(1, 1));
    let state = run(&spec, &steps);
    assert_eq!(
        state.disk.durable.log[1].entry,
        Entry::new(2, 2, false),
        "a cut entry, intact"
    );
    assert_eq!(spec.read(&state.disk.durable).end, 1);

    let mut broken = at("cut");
    broken.mutation = Some(Mutation::M28AnyRunCounts);
    assert_eq!(
        broken.read(&state.disk.durable).end,
        2,
        "it would be back without the run"
    );
}

#[test]
fn f20_what_landed_behind_a_gap_does_not_count_once_the_gap_is_filled() {
    let spec = at("cut");
    let state = run(
        &spec,
        &[
            Action::Append { epoch: 1 },
            Action::Append { epoch: 1 },
            Action::LosePower {
                landed: 0b10,
                torn: None,
            },
            Action::Recover,
            Action::SyncSuperblock,
            Action::Append { epoch: 2 },
        ],
    );
    assert_eq!(
        state.disk.durable.log[1].entry,
        Entry::new(2, 1, false),
        "landed behind the gap"
    );
    assert_eq!(
        spec.read(&state.disk.cached).end,
        1,
        "the refilled entry is the last"
    );
}

#[test]
fn f11_the_end_of_the_log_and_a_broken_log_are_different_answers() {
    let spec = at("damage");
    let unsynced = run(
        &spec,
        &[
            Action::Append { epoch: 1 },
            Action::LosePower {
                landed: 0,
                torn: Some(0),
            },
        ],
    );
    let reading = spec.read(&unsynced.disk.durable);
    assert_eq!(
        (reading.outcome, reading.end),
        (Outcome::Sound, 0),
        "a torn end is no damage"
    );

    let mut steps = logged(1, 1);
    steps.extend([
        Action::Append { epoch: 1 },
        Action::BeginSync,
        Action::EndSync,
    ]);
    steps.push(Action::Damage { slot: 0 });
    let damaged = run(&spec, &steps);
    assert_eq!(spec.read(&damaged.disk.durable).outcome, Outcome::Broken);
}

/// What nothing on the disk vouches for cannot be told from a torn end: the last entries of one
/// sync. The specification says so by refusing the step.
#[test]
fn f11_damage_to_the_last_synced_entry_cannot_be_told_from_a_torn_end() {
    let spec = at("damage");
    let state = run(&spec, &logged(1, 1));
    assert_eq!(
        spec.guard(&state, Action::Damage { slot: 0 }),
        Err(Refusal::NotVouched)
    );
}

#[test]
fn f14_a_store_is_opened_again_from_the_medium_and_not_from_the_cache() {
    let spec = at("failure");
    let state = run(
        &spec,
        &[
            Action::Append { epoch: 1 },
            Action::BeginSync,
            Action::FailSync { of: Synced::Log },
            Action::Kill,
            Action::Recover,
        ],
    );
    assert_eq!(
        state.head, 0,
        "the cache still showed the entry; no sync would have written it"
    );
}

/// A process dies with a superblock in the cache. Opening writes the next one into the other
/// slot, which is the only durable one: power fails, it is torn, and the cached one never landed.
#[test]
fn f20_opening_syncs_before_it_writes_a_superblock() {
    let mut steps = logged(1, 1);
    steps.extend([
        Action::Commit { to: 1 },
        Action::RaiseBound,
        Action::Kill,
        Action::Recover,
    ]);
    let torn = Action::LosePower {
        landed: 0,
        torn: Some(FIRST_SUPERBLOCK),
    };
    steps.push(torn);

    let state = run(&at("kill"), &steps);
    assert!(at("kill").read(&state.disk.durable).trusted());
    assert_eq!(at("kill").read(&state.disk.durable).end, 1);

    let mut broken = at("kill");
    broken.mutation = Some(Mutation::F20OpeningWritesBeforeSync);
    let state = run(&broken, &steps);
    let generations = state
        .disk
        .durable
        .superblocks
        .map(|superblock| superblock.generation);
    assert_eq!(generations, [0, 0], "no superblock is left");
}

#[test]
fn t10_a_pin_counts_against_a_reclaim_that_is_in_flight() {
    let spec = at("ring");
    let mut steps = logged(1, 1);
    steps.extend([
        Action::Commit { to: 1 },
        Action::RaiseBound,
        Action::SyncSuperblock,
        Action::WriteExtent {
            block: 0,
            landed: false,
        },
        Action::WriteExtent {
            block: 1,
            landed: false,
        },
        Action::SyncExtent,
        Action::Checkpoint,
        Action::SyncSuperblock,
        Action::Reclaim,
    ]);
    let state = run(&spec, &steps);
    let from_the_start: Lsn = 0;
    assert_eq!(
        state.disk.durable.superblock().tail,
        from_the_start,
        "not yet freed"
    );
    let refused = spec.guard(&state, Action::Pin { at: from_the_start });
    assert_eq!(refused, Err(Refusal::HistoryGone));
}

#[test]
fn f09_room_is_counted_by_the_durable_tail() {
    let spec = at("ring");
    let mut steps = logged(1, 2);
    steps.extend([
        Action::Commit { to: 2 },
        Action::RaiseBound,
        Action::SyncSuperblock,
        Action::WriteExtent {
            block: 0,
            landed: false,
        },
        Action::WriteExtent {
            block: 1,
            landed: false,
        },
        Action::SyncExtent,
        Action::Checkpoint,
        Action::SyncSuperblock,
        Action::Reclaim,
    ]);
    let state = run(&spec, &steps);
    assert_eq!(
        spec.guard(&state, Action::Append { epoch: 1 }),
        Err(Refusal::LogFull)
    );
    let (state, ()) = spec.apply(&state, Action::SyncSuperblock);
    assert_eq!(spec.guard(&state, Action::Append { epoch: 1 }), Ok(()));
}

#[test]
fn t9_a_node_refuses_to_cut_what_its_flusher_has_reached() {
    let spec = at("cut-best-effort");
    let mut steps = logged(1, 2);
    steps.extend([Action::RaiseBound, Action::SyncSuperblock]);
    let state = run(&spec, &steps);
    let refused = spec.guard(&state, Action::Truncate { to: 1 });
    assert_eq!(refused, Err(Refusal::BelowExtentBound));
}
