//! Traces survive being written and read; what is wrong with one is said, with its line.

use holdfast_model::checking::{Header, Spec, Trace, TraceError, read_header, suites};
use holdfast_model::session::Session;

type Run = Trace<Session>;

fn run_of(id: &str) -> (Run, Session) {
    let mutant = Session::mutants()
        .into_iter()
        .find(|mutant| mutant.id == id)
        .unwrap();
    (mutant.kill().unwrap().1.unwrap(), mutant.spec)
}

fn read(text: &str) -> Result<Run, TraceError> {
    let mut input = text.as_bytes();
    let header = read_header(&mut input)?;
    Run::read_steps(header, &mut input)
}

const HEADER: &str = r#"{"holdfast_trace":1,"spec":"session","instance":"forged","rules":"holdfast","initial":"fresh"}"#;

#[test]
fn a_trace_is_read_as_it_was_written() {
    for id in [
        "seed-F30",
        "T9-cut-elsewhere",
        "F75-empty-volume-never-rebuilt",
    ] {
        let (run, spec) = run_of(id);
        let again = read(&run.to_lines()).unwrap();
        assert_eq!(again, run, "{id}");
        assert_eq!(again.replay(&spec).unwrap().len(), run.steps.len() + 1);
    }
}

#[test]
fn a_run_of_a_mutant_tells_which_property_fell() {
    let (run, spec) = run_of("F60-in-sync-survives-stop");
    let text = run.narrate(&spec).unwrap();
    assert!(text.contains("F60 falls"), "{text}");
    assert!(text.contains("stop(") && text.contains("in_sync"), "{text}");
}

#[test]
fn malformed_traces_are_refused_with_the_line() {
    let step = r#"{"action":"tick"}"#;
    let says = |text: &str| read(text).unwrap_err().to_string();
    assert_eq!(read(""), Err(TraceError::Empty));
    assert!(says("{}").starts_with("line 1: not the header"));
    assert!(says("not json").starts_with("line 1: not the header"));
    assert!(says(r#"{"holdfast_trace":2,"x":1}"#).contains("trace version 2"));
    let unknown = says(&format!("{HEADER}\n{step}\n{{\"action\":\"jump\"}}\n"));
    assert!(
        unknown.starts_with("line 3") && unknown.contains("jump"),
        "{unknown}"
    );
    let missing = says(&format!("{HEADER}\n{{\"action\":\"connect\"}}\n"));
    assert!(missing.contains("token"), "{missing}");
    let token = says(&format!(
        "{HEADER}\n{{\"action\":\"connect\",\"token\":\"v1\"}}\n"
    ));
    assert!(token.contains("v1/r1/s2/e2/p1"), "{token}");
    let extra = says(&format!(
        "{HEADER}\n{{\"action\":\"fence\",\"volume\":1,\"epoch\":2,\"x\":1}}\n"
    ));
    assert!(extra.contains('x'), "{extra}");
    let reason = says(&format!(
        "{HEADER}\n{{\"action\":\"tick\",\"refused\":\"mood\"}}\n"
    ));
    assert!(reason.contains("mood"), "{reason}");
    let long = format!("{HEADER}\n{}\n", "x".repeat(70_000));
    assert_eq!(read(&long), Err(TraceError::TooLong { line: 2 }));
}

#[test]
fn a_trace_that_the_specification_does_not_have_departs() {
    let spec = Session::at("forged").unwrap();
    let fence = r#"{"action":"fence","volume":1,"epoch":2}"#;
    let granted = read(&format!("{HEADER}\n{fence}\n")).unwrap();
    let departs = granted.replay(&spec).unwrap_err().to_string();
    assert!(departs.contains("refused: unknown_volume"), "{departs}");
    let refused = fence.replace('}', r#","refused":"unknown_volume"}"#);
    assert!(
        read(&format!("{HEADER}\n{refused}\n"))
            .unwrap()
            .replay(&spec)
            .is_ok()
    );
    let elsewhere = r#"{"action":"commit","volume":1}"#;
    let not_offered = read(&format!("{HEADER}\n{elsewhere}\n")).unwrap();
    assert!(matches!(
        not_offered.replay(&spec),
        Err(TraceError::NotOffered { line: 2, .. })
    ));
}

#[test]
fn unknown_names_in_a_header_are_said() {
    let suite = &suites()[0];
    let narrate = |change: &dyn Fn(&mut Header)| {
        let mut header = read_header(&mut HEADER.as_bytes()).unwrap();
        change(&mut header);
        suite
            .narrate(header, &mut "".as_bytes())
            .map_err(|error| error.to_string())
    };
    assert!(narrate(&|_| {}).is_ok());
    assert!(
        narrate(&|h| h.instance = "nowhere".into())
            .unwrap_err()
            .contains("nowhere")
    );
    assert!(
        narrate(&|h| h.rules = "M99".into())
            .unwrap_err()
            .contains("M99")
    );
    assert!(
        narrate(&|h| h.initial = "dawn".into())
            .unwrap_err()
            .contains("dawn")
    );
}

#[test]
fn the_kept_counterexamples_of_the_seed_are_those_that_are_found() {
    let kept = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/traces");
    for id in ["seed-F30", "seed-F33", "seed-F60", "seed-F65", "seed-F69"] {
        let (run, spec) = run_of(id);
        let read = |name: String| std::fs::read_to_string(kept.join(&name)).expect(&name);
        assert_eq!(read(format!("{id}.jsonl")), run.to_lines(), "{id}");
        assert_eq!(
            read(format!("{id}.txt")),
            run.narrate(&spec).unwrap(),
            "{id}"
        );
    }
}
