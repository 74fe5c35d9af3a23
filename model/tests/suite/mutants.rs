//! Every rule that is broken is missed by a property.

use holdfast_model::checking::{Spec, suites};
use holdfast_model::session::Session;

#[test]
fn every_mutant_is_killed_by_the_property_that_it_names_before_it_has_seen_many_states() {
    let mutants = Session::mutants();
    assert!(mutants.len() >= 40);
    for mutant in mutants {
        let (row, trace) = mutant.kill().unwrap();
        assert!(row.killed, "{} survives in {}", row.id, row.instance);
        if let Some(named) = mutant.property {
            assert_eq!(row.property, named, "{}", row.id);
        }
        // An idle core walks 100 000 states a second; wall-clock time is no matter for a test.
        assert!(
            row.states <= 200_000,
            "{} took {} states",
            row.id,
            row.states
        );
        let trace = trace.unwrap();
        assert_eq!(
            trace.steps.len() as u64,
            row.depth,
            "the trace is the shortest: {}",
            row.id
        );
        trace.replay(&mutant.spec).unwrap();
    }
}

#[test]
fn ids_are_unique_over_all_specifications() {
    let mut seen = std::collections::BTreeSet::new();
    for suite in suites() {
        for (id, says) in suite.mutants() {
            assert!(!says.is_empty(), "{id} does not say what was done");
            assert!(seen.insert(id.clone()), "{id} names two mutants");
        }
    }
}

#[test]
fn the_rules_of_the_protocol_break_nothing_that_a_mutant_breaks() {
    // The traces of the mutants are runs that the protocol does not have: held against its own
    // rules each must depart, or end without a fall.
    for mutant in Session::mutants()
        .into_iter()
        .filter(|mutant| mutant.id.starts_with("seed-"))
    {
        let (_, trace) = mutant.kill().unwrap();
        let sound = Session::at(mutant.spec.bounds.instance.name).unwrap();
        let mut trace = trace.unwrap();
        trace.header.rules = "holdfast".to_owned();
        let same = trace.replay(&sound).ok() == trace.replay(&mutant.spec).ok();
        assert!(
            !same,
            "{}: the protocol does just what the mutant does",
            mutant.id
        );
    }
}
