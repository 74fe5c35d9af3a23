//! What is published was produced by a command, is what that command would write again, and is checked
//! by every build as far as a build can.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use holdfast_model::checking::{
    CheckRow, Effort, Published, drift, drift_of_mutants, markdown, suites,
};
use serde_json::Value;

fn results() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/results"))
}

fn published(spec: &str) -> Published {
    let path = results().join(format!("{spec}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_lattice_of_every_build_is_clean_and_finds_the_published_figures_again() {
    let output = Command::new(env!("CARGO_BIN_EXE_holdfast-model"))
        .args(["check", "--json", "--results"])
        .arg(results())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<CheckRow> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let states: u64 = rows.iter().map(|row| row.states).sum();
    assert!(states >= 10_000_000, "{states} states: the lattice shrank");
    assert!(rows.len() >= 12, "{} instances", rows.len());
    let names = rows.iter().flat_map(|row| &row.properties);
    let claims: BTreeSet<&str> = names
        .filter(|property| property.kind != "sometimes")
        .map(|property| property.name.as_str())
        .collect();
    assert!(claims.len() >= 25, "{claims:?}");
}

#[test]
fn every_instance_of_every_build_and_every_mutant_is_published_and_nothing_that_is_not_there() {
    for suite in suites() {
        let published = published(suite.name());
        let rows = published.checks.iter();
        let shown: BTreeSet<&str> = rows.map(|row| row.instance.as_str()).collect();
        let instances = suite.instances().iter();
        let listed: BTreeSet<&str> = instances.clone().map(|i| i.name).collect();
        assert!(shown.is_subset(&listed), "{}", suite.name());
        let asked: BTreeSet<&str> = instances
            .filter(|i| i.effort <= Effort::Build)
            .map(|i| i.name)
            .collect();
        assert!(asked.is_subset(&shown), "{}", suite.name());
        let mutants = suite.mutants().into_iter().map(|(id, _)| id);
        let rows = published.mutants.iter().map(|row| row.id.clone());
        assert_eq!(
            rows.collect::<BTreeSet<String>>(),
            mutants.collect::<BTreeSet<String>>(),
            "{}",
            suite.name()
        );
    }
}

/// Changes one figure of a row, whatever it is.
fn changed(row: &Value, key: &str) -> Value {
    let mut other = row.clone();
    let value = &mut other[key];
    *value = match &*value {
        Value::Null => serde_json::json!({
            "renamings": 2, "orbits": 1, "states": 1, "transitions": 1, "exact": true
        }),
        Value::Bool(yes) => Value::Bool(!yes),
        Value::Number(number) => Value::from(number.as_f64().unwrap_or(0.0) as u64 + 1),
        Value::String(text) => Value::String(format!("{text}!")),
        Value::Array(items) if items.is_empty() => serde_json::json!(["one"]),
        Value::Array(_) => serde_json::json!([]),
        Value::Object(_) if key == "stateright" || key == "symmetry" => Value::Null,
        Value::Object(_) => serde_json::json!({}),
    };
    other
}

#[test]
fn a_change_of_any_published_figure_is_a_drift_unless_it_is_of_the_machine() {
    let of_the_machine = [
        "seconds",
        "code_bytes",
        "kept_bytes",
        "bytes_per_state",
        "stateright",
    ];
    for suite in suites() {
        let listed: Vec<&str> = suite.instances().iter().map(|i| i.name).collect();
        let found = published(suite.name());
        assert_eq!(drift(&found, &found.checks, &listed), []);
        assert_eq!(drift_of_mutants(&found, &found.mutants), []);
        let row = serde_json::to_value(&found.checks[0]).unwrap();
        for key in row
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| *key != "stateright")
        {
            let mut other = found.clone();
            other.checks[0] = serde_json::from_value(changed(&row, key)).unwrap();
            let seen = !drift(&other, &found.checks, &listed).is_empty();
            assert_eq!(seen, !of_the_machine.contains(&key.as_str()), "{key}");
        }
        let row = serde_json::to_value(&found.mutants[0]).unwrap();
        for key in row.as_object().unwrap().keys() {
            let mut other = found.clone();
            other.mutants[0] = serde_json::from_value(changed(&row, key)).unwrap();
            let seen = !drift_of_mutants(&other, &found.mutants).is_empty();
            assert_eq!(seen, key != "seconds", "{key}");
        }
    }
}

#[test]
fn a_page_is_what_its_figures_say() {
    for suite in suites() {
        let title = format!("The `{}` specification, checked", suite.name());
        let page = std::fs::read_to_string(results().join(format!("{}.md", suite.name())));
        assert!(
            page.unwrap() == markdown(&published(suite.name()), &title),
            "{}.md was edited, or its json was",
            suite.name()
        );
    }
}

/// Which command writes what, of everything that is published.
const WRITTEN_BY: &[(&str, &str)] = &[
    ("cluster", "holdfast-model check --bless"),
    ("session", "holdfast-model check --bless"),
    ("storage", "holdfast-model check --bless"),
    ("guards", "holdfast-model mutants --guards --bless"),
    ("conformance-l1", "holdfast-conformance report --json"),
    ("bench-volume", "holdfast bench volume"),
    (
        "conformance-sabotages",
        "holdfast-conformance sabotage --bless",
    ),
];

#[test]
fn everything_that_is_published_has_a_command_that_writes_it() {
    for entry in std::fs::read_dir(results()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            WRITTEN_BY.iter().any(|(written, _)| *written == name),
            "no command is known to write {}",
            path.display()
        );
    }
}
