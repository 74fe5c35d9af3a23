//! What the program says by its exit code: 0 good, 1 a finding, 2 usage, 3 environment.

#![cfg(feature = "l2")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_holdfast-conformance");
    Command::new(program)
        .args(arguments)
        .output()
        .expect("the program runs")
}

fn code(arguments: &[&str]) -> Option<i32> {
    run(arguments).status.code()
}

const HEADER: &str = r#"{"holdfast_trace":1,"spec":"session","instance":"budget","rules":"holdfast","initial":"fresh"}"#;

fn check(place: &Path, text: &str) -> Option<i32> {
    let path = place.join("trace.jsonl");
    fs::write(&path, text).unwrap();
    code(&["trace", "check", path.to_str().unwrap()])
}

#[test]
fn a_report_is_one_object_a_line_and_level() {
    let output = run(&["report", "--json", "--instance", "budget"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 2, "{text}");
    for (row, (level, least)) in rows.iter().zip([("L1", 100_000), ("L2", 500)]) {
        assert_eq!(row["level"], level);
        assert_eq!(row["edges_covered"], row["edges_total"]);
        assert_eq!(row["disabled_checked"], row["disabled_total"]);
        assert_eq!(row["disagreements"], 0);
        assert!(row["edges_total"].as_u64().unwrap() > least);
    }
}

#[test]
fn what_is_asked_for_wrongly_is_usage() {
    for arguments in [
        &["report", "--instance", "no-such"][..],
        &["report", "--level", "l9"],
        &["sabotage", "F60-no-such"],
        &["trace"],
        &["nonsense"],
    ] {
        assert_eq!(code(arguments), Some(2), "{arguments:?}");
    }
}

#[test]
fn what_is_missing_is_the_environment() {
    assert_eq!(code(&["trace", "check", "/no/such/file"]), Some(3));
    assert_eq!(
        code(&["sabotage", "--workspace", "/no/such/workspace"]),
        Some(3)
    );
}

#[test]
fn a_trace_that_is_none_is_usage_and_one_that_is_wrong_a_finding() {
    let place = tempfile::tempdir().unwrap();
    let tick = r#"{"action":"tick"}"#;
    assert_eq!(check(place.path(), &format!("{HEADER}\n{tick}\n")), Some(0));
    let refused = r#"{"action":"tick","refused":"not_serving"}"#;
    assert_eq!(
        check(place.path(), &format!("{HEADER}\n{refused}\n")),
        Some(1)
    );
    assert_eq!(check(place.path(), &format!("{HEADER}\n")), Some(1));
    for malformed in [
        "",
        "garbage\n",
        &format!("{HEADER}\n{{\"action\":\"no-such\"}}\n"),
        &format!("{}\n{tick}\n", HEADER.replace("budget", "no-such")),
        &format!("{}\n{tick}\n", HEADER.replace("fresh", "no-such")),
        &format!("{}\n{tick}\n", HEADER.replace("\"session\"", "\"storage\"")),
        &format!("{}\n{tick}\n", HEADER.replace("trace\":1", "trace\":9")),
    ] {
        assert_eq!(check(place.path(), malformed), Some(2), "{malformed:?}");
    }
}
