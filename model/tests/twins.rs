//! The twins agree with the specification, and a twin that is broken does not.

use std::process::Command;

use holdfast_model::twins::{BROKEN, TwinRow, disagreements, twin};
use serde_json::Value;

/// Runs the command; it must end with this code. Its rows.
fn rows(arguments: &[&str], code: i32) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_holdfast-model"))
        .arg("twins")
        .arg("--json")
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn counts(row: &TwinRow) -> (u64, u64) {
    match row {
        TwinRow::Counted {
            states,
            transitions,
            ..
        } => (*states, *transitions),
        TwinRow::Judged { property, .. } | TwinRow::Fell { property, .. } => {
            panic!("{property} is no count")
        }
    }
}

/// What four checkers found of every twin that takes seconds.
const FOUND: [(&str, &str, u64, u64); 3] = [
    ("session", "smallest", 490, 2377),
    ("session", "forged", 12116, 120_484),
    ("cluster", "twin-pair", 5024, 18544),
];

#[test]
fn four_checkers_find_the_same_states_and_transitions_and_sessions_end_and_replicas_sync() {
    let rows = rows(&[], 0);
    let (verdicts, found): (Vec<_>, Vec<_>) =
        rows.iter().partition(|row| !row["property"].is_null());
    let found: Vec<_> = found
        .into_iter()
        .map(|row| {
            assert!(row["seconds"].as_f64().unwrap() > 0.0);
            let text = |key: &str| row[key].as_str().unwrap().to_owned();
            let number = |key: &str| row[key].as_u64().unwrap();
            let twin = [text("spec"), text("instance"), text("checker")];
            (twin, number("states"), number("transitions"))
        })
        .collect();
    let mut expected = Vec::new();
    for (spec, instance, states, transitions) in FOUND {
        for checker in ["exact", "stateright", "spin", "rumur"] {
            let twin = [spec, instance, checker].map(str::to_owned);
            expected.push((twin, states, transitions));
        }
    }
    assert_eq!(found, expected);
    let verdicts: Vec<_> = verdicts
        .into_iter()
        .map(|row| {
            assert_eq!(
                (&row["instance"], &row["checker"]),
                (&"smallest".into(), &"spin".into())
            );
            (
                row["property"].as_str().unwrap(),
                row["holds"].as_bool().unwrap(),
            )
        })
        .collect();
    assert_eq!(verdicts, [("T4", true), ("A4", true)]);
}

/// A text with one thing replaced, which must be there once.
fn broken(text: &str, what: &str, by: &str) -> String {
    assert_eq!(text.matches(what).count(), 1, "{what:?}");
    text.replace(what, by)
}

#[test]
fn a_twin_whose_guard_was_dropped_counts_otherwise() {
    let sound = twin("smallest").unwrap();
    let (_, _, states, transitions) = FOUND[0];
    let ours = TwinRow::Counted {
        spec: sound.spec,
        instance: sound.instance,
        checker: "exact",
        states,
        transitions,
        seconds: 0.0,
    };
    // T9: progress before the truncation was confirmed.
    let mut loose = sound.clone();
    loose.promela = broken(&sound.promela, "(cut != REQUIRED && pin", "(pin");
    let row = loose.spin().unwrap();
    assert_ne!(counts(&row), counts(&ours));
    let wrong = disagreements(&[ours, row]);
    assert_eq!(wrong.len(), 1);
    assert!(
        wrong[0].starts_with("session/smallest: spin found "),
        "{wrong:?}"
    );
}

#[test]
fn a_rule_broken_in_the_twin_of_the_cluster_fells_its_property_as_soon_as_in_the_original() {
    let broken = BROKEN
        .iter()
        .find(|broken| broken.id == "M33-alone")
        .unwrap();
    let row = twin(broken.instance).unwrap().breaks(broken).unwrap();
    assert_eq!(disagreements(&[row]), Vec::<String>::new());
}

#[test]
fn a_primary_that_never_completes_a_session_breaks_what_must_happen_in_the_end() {
    let mut idle = twin("smallest").unwrap();
    let (program, formulas) = idle.lasting.unwrap();
    let never = broken(&program, ":: complete() od", ":: false od");
    idle.lasting = Some((never, formulas));
    let rows = idle.judged().unwrap();
    assert_eq!(disagreements(&rows).len(), formulas.len());
}

#[test]
fn a_twin_that_does_not_exist_is_a_usage_error_that_names_those_that_do() {
    assert!(rows(&["--instance", "nowhere"], 2).is_empty());
    let error = twin("nowhere").unwrap_err().to_string();
    assert!(error.contains("smallest, forged"), "{error}");
}

#[test]
fn a_checker_that_is_not_installed_is_named_with_its_package() {
    let output = Command::new(env!("CARGO_BIN_EXE_holdfast-model"))
        .args(["twins", "--instance", "smallest"])
        .env("PATH", env!("CARGO_TARGET_TMPDIR"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("apt-get install --no-install-recommends spin"),
        "{said}"
    );
}
