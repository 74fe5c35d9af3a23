//! Two checkers that share nothing but the specification find the same graph, and it is the graph
//! that was found before.

use holdfast_model::checking::{Spec, check, findings};
use holdfast_model::session::Session;

/// Instance, states, transitions, depth, the first digits of the digest.
const PINNED: [(&str, u64, u64, u64, &str); 2] = [
    ("smallest", 490, 2377, 20, "dfb3e02441090a47"),
    ("forged", 12116, 120_484, 27, "6db5632cf4108745"),
];

#[test]
fn the_exact_graph_and_stateright_agree_and_the_counts_are_the_pinned_ones() {
    for (instance, states, transitions, depth, digest) in PINNED {
        let row = check(&Session::at(instance).unwrap()).unwrap();
        assert_eq!(
            findings(std::slice::from_ref(&row), false),
            Vec::<String>::new()
        );
        assert_eq!(
            (row.stateright.states, row.stateright.transitions),
            (row.states, row.transitions)
        );
        let found = (
            row.instance.as_str(),
            row.states,
            row.transitions,
            row.depth,
            &row.digest[..16],
        );
        assert_eq!(found, (instance, states, transitions, depth, digest));
    }
}

#[test]
fn every_call_that_can_be_asked_for_is_asked_for_once() {
    use holdfast_model::checking::{Bounds, explore};
    let spec = Session::at("forged").unwrap();
    let graph = explore(&spec, &[], Bounds::default()).unwrap();
    let mut calls = Vec::new();
    for state in graph.states().iter().step_by(97) {
        calls.clear();
        spec.calls(state, &mut calls);
        let unique: std::collections::HashSet<_> = calls.iter().collect();
        assert_eq!(
            unique.len(),
            calls.len(),
            "a call is offered twice in {state:?}"
        );
    }
}

#[test]
fn the_view_shows_nothing_of_what_surrounds_the_machine() {
    use holdfast_model::session::{Action, Authority, Move, view};
    let spec = Session::at("rebuild").unwrap();
    let (_, mut state) = spec.initial()[0];
    let mut calls = Vec::new();
    spec.calls(&state, &mut calls);
    let assign = calls
        .into_iter()
        .find(|call| matches!(call, Action::Authority(Authority::Assign { .. })))
        .unwrap();
    state = spec.step(&state, assign).unwrap().0;
    let before = view(&spec, &state);
    let (after, outputs) = spec
        .step(&state, Action::World(Move::Append { volume: 1 }))
        .unwrap();
    assert_ne!(after, state);
    assert_eq!(view(&spec, &after), before);
    assert!(outputs.ended.is_empty() && outputs.acquire.is_empty());
}
