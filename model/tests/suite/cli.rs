//! Exit codes: 0 good, 1 a finding, 2 usage; and one object per line where that is asked for.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_holdfast-model"))
        .args(arguments)
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn directory(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn a_sound_instance_ends_well_and_is_one_object() {
    let empty = directory("nothing-published");
    let output = run(&[
        "check",
        "--json",
        "--instance",
        "session/forged",
        "--results",
        empty.to_str().unwrap(),
    ]);
    assert_eq!(
        code(&output),
        0,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1);
    let row: Value = serde_json::from_str(&text).unwrap();
    for key in [
        "spec",
        "instance",
        "states",
        "transitions",
        "depth",
        "seconds",
        "digest",
        "properties",
        "actions",
    ] {
        assert!(!row[key].is_null(), "{key} is missing");
    }
    let property = &row["properties"][0];
    for key in ["name", "kind", "holds", "evaluations", "non_vacuous"] {
        assert!(!property[key].is_null(), "{key} is missing");
    }
}

#[test]
fn a_published_figure_that_drifted_is_a_finding() {
    let results = directory("drifted");
    let published = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/results/session.json");
    let mut figures: Value =
        serde_json::from_str(&std::fs::read_to_string(published).unwrap()).unwrap();
    let checks = figures["checks"].as_array_mut().unwrap();
    let forged = checks
        .iter_mut()
        .find(|row| row["instance"] == "forged")
        .unwrap();
    forged["transitions"] = Value::from(1);
    std::fs::write(results.join("session.json"), figures.to_string()).unwrap();
    let output = run(&[
        "check",
        "--instance",
        "forged",
        "--results",
        results.to_str().unwrap(),
    ]);
    assert_eq!(code(&output), 1);
    assert!(String::from_utf8_lossy(&output.stderr).contains("forged transitions drifted"));
}

#[test]
fn what_is_broken_in_a_published_file_is_said() {
    let results = directory("no-figures");
    std::fs::write(results.join("session.json"), "{\"command\": 7}").unwrap();
    let path = results.to_str().unwrap();
    let output = run(&["check", "--instance", "smallest", "--results", path]);
    assert_eq!(code(&output), 1);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("session.json"), "{said}");
}

#[test]
fn a_trace_that_is_no_run_of_its_instance_is_refused_with_its_line() {
    let path = directory("traces").join("broken.jsonl");
    let header = |instance: &str| {
        format!(
            "{{\"holdfast_trace\":1,\"spec\":\"session\",\"instance\":\"{instance}\",\
             \"rules\":\"holdfast\",\"initial\":\"fresh\"}}\n"
        )
    };
    let stop = "{\"action\":\"stop\",\"volume\":1,\"epoch\":2}\n";
    for (text, ends, says) in [
        (header("nowhere"), 2, "nowhere"),
        (
            header("forged") + "{\"action\":\"jump\"}\n",
            2,
            "line 2: not an action",
        ),
        (header("forged") + stop, 1, "line 2: stop("),
        (String::new(), 2, "empty"),
    ] {
        std::fs::write(&path, &text).unwrap();
        let output = run(&["trace", path.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(code(&output), ends, "{text}: {said}");
        assert!(said.contains(says), "{text}: {said}");
    }
}

#[test]
fn mutants_are_reported_one_object_a_line() {
    let output = run(&["mutants", "--json", "--only", "seed-"]);
    assert_eq!(code(&output), 0);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 5);
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        assert_eq!(row["killed"], true);
        for key in [
            "id", "spec", "instance", "property", "depth", "states", "seconds",
        ] {
            assert!(!row[key].is_null(), "{key} is missing");
        }
    }
}

#[test]
fn what_does_not_exist_is_usage() {
    for arguments in [
        &["check", "--instance", "nowhere"][..],
        &["check", "--instance", "cluster/forged"],
        &["mutants", "--only", "M99"],
        &["trace", "--mutant", "M99"],
        &["trace", "/nowhere/at/all"],
        &["trace"],
        &["trace", "--instance", "session/smallest"],
        &["trace", "--instance", "session/nowhere", "--property", "A4"],
        &["trace", "--instance", "smallest", "--property", "A4"],
        &[
            "trace",
            "--instance",
            "session/smallest",
            "--property",
            "A99",
        ],
        // It holds: there is no run on which it falls.
        &[
            "trace",
            "--instance",
            "session/smallest",
            "--property",
            "A4",
        ],
        &["explore", "nothing"],
        &["explore", "--address", "0.0.0.0:1"],
        &["dance"],
    ] {
        let output = run(arguments);
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?} says nothing");
    }
}

#[test]
fn a_trace_of_a_mutant_can_be_read_back() {
    let lines = run(&["trace", "--mutant", "F86-newer-revision-dropped", "--json"]);
    assert_eq!(code(&lines), 0);
    let path = directory("traces").join("run.jsonl");
    std::fs::write(&path, &lines.stdout).unwrap();
    let told = run(&["trace", path.to_str().unwrap()]);
    assert_eq!(code(&told), 0, "{}", String::from_utf8_lossy(&told.stderr));
    assert!(String::from_utf8_lossy(&told.stdout).contains("F86 falls"));
    std::fs::write(&path, "nonsense\n").unwrap();
    assert_eq!(code(&run(&["trace", path.to_str().unwrap()])), 2);
}
