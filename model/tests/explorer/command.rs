//! The command: what it serves, and how it ends when it cannot.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::served::Served;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_holdfast-model"))
        .args(arguments)
        .output()
        .unwrap()
}

/// Runs a command that must fail; gives its exit code and what it says.
fn failed(arguments: &[&str]) -> (i32, String) {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.stdout.is_empty(), "{arguments:?} prints a result");
    (output.status.code().unwrap(), said)
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn the_page_needs_nothing_from_outside() {
    let served = Served::start(&["cluster"]);
    for resource in ["/", "/app.css", "/app.js"] {
        let text = served.get(resource);
        for load in ["src=\"http", "src=\"//", "url(http", "@import", "import("] {
            assert!(!text.contains(load), "{resource} loads {load}");
        }
        let mut links = text.split("<link").skip(1);
        assert!(links.all(|link| !link.split('>').next().unwrap().contains("://")));
    }
    assert!(served.get("/knockout-3.5.0.js").contains("Knockout"));
}

#[test]
fn every_step_along_a_run_has_words_a_state_and_a_drawing() {
    let served = Served::start(&["--mutant", "seed-F30"]);
    let places: Vec<&str> = served.place().split('/').collect();
    assert_eq!(places.len(), 10, "an initial state and nine steps");
    for end in 1..places.len() {
        let chosen: u64 = places[end].parse().unwrap();
        let steps = served.steps(&places[..end].join("/"));
        let step = steps.iter().find(|step| step["actionIndex"] == chosen);
        let step = step.expect("the action of the path is on offer");
        for key in ["action", "outcome", "svg", "state"] {
            assert!(
                !step[key].as_str().unwrap().is_empty(),
                "{key} of step {end}"
            );
        }
        let svg = step["svg"].as_str().unwrap();
        let last = end + 1 == places.len();
        assert_eq!(svg.contains("✖ falls: T2<"), last, "step {end}");
    }
}

#[test]
fn refused_calls_are_offered_where_asked_for_and_change_nothing() {
    let granted = Served::start(&["session"]).steps("0");
    let served = Served::start(&["session", "--refusals"]);
    let offered = served.steps("0");
    assert!(offered.len() > granted.len());
    let text = |step: &serde_json::Value| step["action"].as_str().unwrap().to_owned();
    assert!(!granted.iter().any(|step| text(step).contains("(refused: ")));
    let refused = (offered.iter().enumerate()).find(|(_, step)| text(step).contains("(refused: "));
    let (place, refused) = refused.expect("something is refused at the beginning");
    let before: Vec<String> = offered.iter().map(text).collect();
    let after: Vec<String> = served
        .steps(&format!("0/{place}"))
        .iter()
        .map(text)
        .collect();
    assert_eq!(before, after, "{refused} changed what is possible");
}

#[test]
fn a_run_with_a_refused_call_opens_with_it() {
    let header = r#"{"holdfast_trace":1,"spec":"session","instance":"forged","rules":"holdfast","initial":"fresh"}"#;
    let fence = r#"{"action":"fence","volume":1,"epoch":2,"refused":"unknown_volume"}"#;
    let path = file("refused.jsonl", &format!("{header}\n{fence}\n"));
    let served = Served::start(&["--trace", path.to_str().unwrap()]);
    let place: Vec<&str> = served.place().split('/').collect();
    let steps = served.steps(place[0]);
    let chosen: usize = place[1].parse().unwrap();
    let action = steps[chosen]["action"].as_str().unwrap();
    assert!(action.contains("(refused: unknown_volume)"), "{action}");
}

#[test]
fn what_does_not_exist_or_does_not_fit_together_is_usage() {
    let nonsense = file("nonsense.jsonl", "nonsense\n");
    let nonsense = nonsense.to_str().unwrap();
    for (arguments, says) in [
        (&["explore", "nowhere"][..], "nowhere"),
        (&["explore", "cluster", "--instance", "nowhere"], "nowhere"),
        (&["explore", "--mutant", "M99"], "M99"),
        (
            &["explore", "session", "--mutant", "M06-committed-moves-back"],
            "cluster",
        ),
        (
            &["explore", "--trace", "/nowhere/at/all"],
            "/nowhere/at/all",
        ),
        (&["explore", "--trace", nonsense], "line 1"),
        (
            &["explore", "--trace", nonsense, "--mutant", "M99"],
            "cannot be used",
        ),
        (&["explore", "--address", "192.0.2.1:3000"], "loopback"),
        (&["explore", "--address", "127.0.0.1:66000"], "66000"),
        (&["trace", nonsense, "--svg", "-"], "line 1"),
        (&["trace", "--mutant", "M99", "--svg", "-"], "M99"),
        (
            &["trace", "--mutant", "seed-F30", "--json", "--svg", "-"],
            "cannot be used",
        ),
    ] {
        let (code, said) = failed(arguments);
        assert_eq!(code, 2, "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
}

#[test]
fn a_run_that_the_specification_does_not_have_is_a_finding() {
    let header = r#"{"holdfast_trace":1,"spec":"session","instance":"forged","rules":"holdfast","initial":"fresh"}"#;
    let fence = r#"{"action":"fence","volume":1,"epoch":2}"#;
    let path = file("departs.jsonl", &format!("{header}\n{fence}\n"));
    for command in [&["explore", "--trace"][..], &["trace", "--svg", "-"]] {
        let (code, said) = failed(&[command, &[path.to_str().unwrap()]].concat());
        assert_eq!(code, 1, "{said}");
        assert!(
            said.contains("line 2") && said.contains("unknown_volume"),
            "{said}"
        );
    }
}

#[test]
fn a_trace_longer_than_any_is_refused_before_it_is_read() {
    let path = file("long.jsonl", "");
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len((64 << 20) + 1)
        .unwrap();
    let (code, said) = failed(&["trace", path.to_str().unwrap()]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("longer than any trace"), "{said}");
}

#[test]
fn a_port_that_is_taken_and_a_file_that_cannot_be_written_are_the_environment() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, said) = failed(&["explore", "cluster", "--address", &address]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains(&address), "{said}");
    let (code, said) = failed(&["trace", "--mutant", "seed-F30", "--svg", "/nowhere/x.svg"]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("/nowhere/x.svg"), "{said}");
}
