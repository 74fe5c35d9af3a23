//! `holdfast bench` runs every case and says what it should. Its figures are nobody's business here:
//! the volumes are tiny and the machine is shared.

use std::process::{Command, Output};

use serde_json::Value;

/// Runs `bench volume` on tiny volumes.
fn bench(arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args([
            "bench",
            "volume",
            "--tiny",
            "--seconds",
            "0.01",
            "--rounds",
            "1",
        ])
        .arg("--dir")
        .arg(directory.path())
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The names that the command gives when asked for a case that there is not.
fn case_names() -> Vec<String> {
    let output = bench(&["--case", "nonsense"]);
    assert_eq!(output.status.code(), Some(2), "a usage error");
    let message = text(&output.stderr);
    let (_, names) = message.split_once("there are ").unwrap();
    let names = names.lines().next().unwrap();
    names.split(", ").map(str::to_owned).collect()
}

fn check_row(row: &Value) {
    let number = |name: &str| row[name].as_f64().filter(|n| n.is_finite());
    let value = number("value").unwrap_or_else(|| panic!("no value: {row}"));
    assert!(value >= 0.0, "{row}");
    assert!(
        row["unit"].is_string() && row["target"].is_string(),
        "{row}"
    );
    assert!(["higher", "lower"].contains(&row["better"].as_str().unwrap()));
    match (row["reference"].is_string(), number("reference_value")) {
        (true, Some(reference)) => {
            let ratio = number("ratio").unwrap();
            assert!((ratio - value / reference).abs() <= 0.01 * ratio, "{row}");
            assert!(row["met"].is_boolean(), "{row}");
        }
        (true, None) => {
            assert!(row["ratio"].is_null(), "{row}");
            assert!(
                row["note"].is_string(),
                "a missing reference is explained: {row}"
            );
        }
        (false, found) => {
            assert_eq!(found, None, "{row}");
            assert!(row["met"].is_boolean(), "{row}");
        }
    }
}

#[test]
fn every_case_runs_and_every_row_is_whole() {
    let output = bench(&["--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let rows: Vec<Value> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    rows.iter().for_each(check_row);
    let cases: Vec<&str> = rows
        .iter()
        .map(|row| row["case"].as_str().unwrap())
        .collect();
    for name in case_names() {
        assert!(
            cases.iter().any(|case| case.starts_with(&name)),
            "no row of {name} in {cases:?}"
        );
    }
}

#[test]
fn a_missed_target_is_a_finding_only_where_that_was_asked() {
    let case = ["--json", "--case", "flush-1c-16w"];
    let lenient = bench(&case);
    assert!(lenient.status.success(), "{}", text(&lenient.stderr));
    let strict = bench(&[&case[..], &["--strict"]].concat());
    let all_met = text(&strict.stdout)
        .lines()
        .all(|line| line.contains("\"met\":true"));
    assert_eq!(strict.status.code(), Some(i32::from(!all_met)));
}

#[test]
fn the_table_names_what_it_compares_with() {
    let output = bench(&["--case", "read-log"]);
    let table = text(&output.stdout);
    let mut lines = table.lines();
    assert!(lines.next().unwrap().starts_with("case"), "{table}");
    let row = lines.next().unwrap();
    assert!(
        row.starts_with("read-log") && row.contains("raw"),
        "{table}"
    );
}
