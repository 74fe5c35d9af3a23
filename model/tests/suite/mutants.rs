//! Every rule that is broken is missed by a property.

use holdfast_model::checking::{GuardVerdict, Spec, judge_guards, suites};
use holdfast_model::cluster::Cluster;
use holdfast_model::session::Session;
use holdfast_model::storage::Storage;

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

/// The places of conditions, by the call and the first words of what must be so.
fn places<S: Spec>(named: &[(&str, &str)]) -> Vec<usize> {
    let place = |&(guard, says): &(&str, &str)| {
        let mut found = (0..S::conjuncts().len()).filter(|&at| {
            let conjunct = &S::conjuncts()[at];
            conjunct.guard == guard && conjunct.says.starts_with(says)
        });
        let at = found.next();
        assert!(
            found.next().is_none(),
            "{guard}, {says:?} is not one condition"
        );
        at.unwrap_or_else(|| panic!("there is no condition {guard}, {says:?}"))
    };
    named.iter().map(place).collect()
}

/// Deletes conditions, each named with its call and the property that must fall.
fn fall<S: Spec>(instances: &[&str], few: &[(&str, &str, &str)]) {
    let instances: Vec<S> = instances.iter().map(|name| S::at(name).unwrap()).collect();
    let named: Vec<(&str, &str)> = few.iter().map(|few| (few.0, few.1)).collect();
    let rows = judge_guards(&instances, &[], &places::<S>(&named)).unwrap();
    for ((guard, says, property), row) in few.iter().zip(&rows) {
        assert_eq!(row.verdict, GuardVerdict::Killed, "{guard}: {says}");
        assert_eq!(row.property.as_deref(), Some(*property), "{guard}: {says}");
    }
}

#[test]
fn a_fixed_few_conditions_of_a_session_cannot_be_deleted_without_the_fall_of_a_property() {
    fall::<Session>(
        &["smallest", "forged"],
        &[
            ("stop", "the epoch is the volume's", "A3_asked"),
            ("attach, supersede", "the epoch is the volume's", "A3_asked"),
            ("token", "the session is the present one", "T7"),
            ("handshake", "the replica's lineage ends within", "T2_told"),
            (
                "handshake",
                "the replica's log ends in no newer",
                "A3_deposed",
            ),
            ("progress", "no pin is outstanding", "T10_promised"),
            ("pin_failed", "the pin is requested", "A11_pins"),
        ],
    );
}

#[test]
fn a_fixed_few_conditions_of_the_cluster_cannot_be_deleted_without_the_fall_of_a_property() {
    fall::<Cluster>(
        &["twin-pair", "authority-clock", "min-in-sync"],
        &[
            (
                "handshake",
                "the replica has promised no higher",
                "A3-hello",
            ),
            ("stop_serving", "it is the acting primary", "A3-margin"),
            ("propose_leave", "min_in_sync members remain", "A8-min"),
        ],
    );
}

#[test]
fn a_fixed_few_conditions_of_a_store_cannot_be_deleted_without_the_fall_of_a_property() {
    fall::<Storage>(
        &["cut", "cut-best-effort"],
        &[
            (
                "commit",
                "it is more than what was committed",
                "M06 committed never moves back in a process",
            ),
            (
                "truncate",
                "the node is open",
                "P8 what is under way is finished first",
            ),
            (
                "truncate",
                "the cut is not below the extent bound",
                "P5 a crash alone costs no trust",
            ),
        ],
    );
}

#[test]
fn a_condition_that_shows_in_the_answer_alone_is_told_from_one_that_nothing_asks_for() {
    let named = [
        ("fence", "the volume is known"),
        ("complete", "no pin is outstanding"),
    ];
    let instances = [Session::at("smallest").unwrap()];
    let rows = judge_guards(&instances, &[], &places::<Session>(&named)).unwrap();
    assert_eq!(rows[0].verdict, GuardVerdict::AnswerOnly);
    assert_eq!(rows[1].verdict, GuardVerdict::Redundant);
    assert!(
        rows[1].is_explained(),
        "the specification says what else refuses it"
    );
    assert_eq!(rows[0].finding(), None);
}
