//! The `cluster` specification from outside: the encoding is canonical, every broken rule is seen, and the counterexamples that changed the
//! protocol stay impossible.

use std::collections::HashSet;

use holdfast_model::checking::{Bounds, Mutant, Spec, explore};
use holdfast_model::cluster::Cluster;

fn mutant(id: &str) -> Mutant<Cluster> {
    let found = Cluster::mutants()
        .into_iter()
        .find(|mutant| mutant.id == id);
    found.unwrap_or_else(|| panic!("there is no mutant {id}"))
}

/// Breaks a rule, takes the shortest run on which its property falls, and shows that the protocol
/// as it stands refuses a step of that run, or comes through it unharmed.
fn the_rule_stands_in_the_way(id: &str) {
    let broken = mutant(id);
    let (row, run) = broken.kill().expect("the instance fits");
    assert!(row.killed, "{id} survived {} states", row.states);
    let sound = Cluster {
        broken: None,
        ..broken.spec
    };
    let (mut with, mut without) = (broken.spec.initial()[0].1, sound.initial()[0].1);
    for step in run.expect("a killed mutant has a run").steps {
        with = broken.spec.apply(&with, step.action).0;
        if sound.guard(&without, step.action).is_err() {
            return;
        }
        without = sound.apply(&without, step.action).0;
    }
    assert_ne!(
        with, without,
        "{id}: the rule made no difference on the run that shows it"
    );
}

/// Every reachable state, told from others by its value alone: the graph tells them by their codes.
fn states_by_value(spec: &Cluster) -> HashSet<<Cluster as Spec>::State> {
    let mut frontier: Vec<_> = spec.initial().into_iter().map(|(_, state)| state).collect();
    let mut known: HashSet<_> = frontier.iter().copied().collect();
    let mut calls = Vec::new();
    while let Some(state) = frontier.pop() {
        calls.clear();
        spec.calls(&state, &mut calls);
        for &call in calls
            .iter()
            .filter(|&&call| spec.guard(&state, call).is_ok())
        {
            let after = spec.apply(&state, call).0;
            if known.insert(after) {
                frontier.push(after);
            }
        }
    }
    known
}

#[test]
fn states_and_codes_are_one_to_one() {
    for name in ["wire-epochs", "quorum-extent", "forced-rebuild"] {
        let spec = Cluster::at(name).expect("an instance");
        let mut codes = HashSet::new();
        let mut length = None;
        for state in states_by_value(&spec) {
            let mut code = Vec::new();
            spec.encode(&state, &mut code);
            assert_eq!(
                *length.get_or_insert(code.len()),
                code.len(),
                "{name}: codes differ in length"
            );
            assert!(codes.insert(code), "{name}: two states have one code");
        }
    }
}

#[test]
fn no_call_is_asked_for_twice() {
    let spec = Cluster::at("wire-epochs").expect("an instance");
    let graph = explore(&spec, &[], Bounds::default()).expect("it fits");
    let mut calls = Vec::new();
    for state in &graph.states() {
        calls.clear();
        spec.calls(state, &mut calls);
        let distinct: HashSet<_> = calls.iter().collect();
        assert_eq!(distinct.len(), calls.len(), "{}", spec.show(state));
    }
}

#[test]
fn every_broken_rule_is_seen_by_the_property_that_it_names() {
    for mutant in Cluster::mutants() {
        let (row, _) = mutant.kill().expect("the instance fits");
        assert!(row.killed, "{} survived {} states", row.id, row.states);
        assert!(
            row.states < 600_000,
            "{} needs {} states: give it a shape",
            row.id,
            row.states
        );
    }
}

#[test]
fn f99_a_new_primary_takes_what_it_adopted_for_acknowledged() {
    the_rule_stands_in_the_way("F99-adopted-not-counted");
}

#[test]
fn w1_nothing_is_acknowledged_from_two_memories_while_one_of_them_is_leaving() {
    the_rule_stands_in_the_way("M34-ack-while-leaving");
    the_rule_stands_in_the_way("M34-leave-before-durable");
}

#[test]
fn w1_a_restarted_candidate_does_not_vouch_for_what_it_once_received() {
    the_rule_stands_in_the_way("M37-restarted-counts-as-whole");
}

#[test]
fn t16_f32_a_rebuild_is_not_over_before_its_image_is_trusted() {
    the_rule_stands_in_the_way("F32-complete-below-image");
}

#[test]
fn f85_an_epoch_has_one_leader_for_ever() {
    the_rule_stands_in_the_way("F85-epoch-led-twice");
}

#[test]
fn f85_a_recovered_authority_believes_no_lineage_but_that_of_the_named_copy() {
    the_rule_stands_in_the_way("F85-recover-keeps-stores");
}

#[test]
fn f88_f89_neither_a_late_answer_nor_a_forgetful_authority_makes_two_servers() {
    the_rule_stands_in_the_way("F88-lease-from-answer");
    the_rule_stands_in_the_way("F89-restart-forgets-leases");
}

#[test]
fn f79_an_operation_that_falls_into_the_copying_makes_it_begin_anew() {
    the_rule_stands_in_the_way("F79-operation-on-fuzzy-base");
}

#[test]
fn f96_a_full_log_has_room_for_an_epoch_start() {
    let broken = mutant("F96-no-reserve");
    let (row, _) = broken.kill().expect("the instance fits");
    assert!(
        row.killed && row.property == "A4-way-on",
        "{}",
        row.property
    );
}

/// The numbers of a row of the table of instances in `docs/cluster.md`.
fn row_of_the_prose(name: &str) -> Vec<usize> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cluster.md");
    let prose = std::fs::read_to_string(path).expect("the prose is there");
    let begins = format!("| {name} |");
    let row = prose.lines().find(|line| line.starts_with(&begins));
    let cells = row.unwrap_or_else(|| panic!("no row {name}")).split('|');
    cells.filter_map(|cell| cell.trim().parse().ok()).collect()
}

#[test]
fn the_figures_of_the_twins_are_those_of_the_prose() {
    let graphs = ["twin-pair", "twin-members", "twin-wire"].map(|name| {
        let spec = Cluster::at(name).expect("an instance");
        explore(&spec, &[], Bounds::default()).expect("it fits")
    });
    let states = graphs.each_ref().map(|graph| graph.len());
    let transitions = graphs.each_ref().map(|graph| graph.transitions() as usize);
    let depth = graphs.each_ref().map(|graph| graph.depth as usize);
    assert_eq!(row_of_the_prose("states"), states);
    assert_eq!(row_of_the_prose("transitions"), transitions);
    assert_eq!(row_of_the_prose("depth"), depth);
}
