//! The drawings of `trace --svg`, those that are kept in `docs/traces` among them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Mutants whose shortest runs are kept as drawings.
const KEPT: [&str; 8] = [
    "seed-F30",
    "seed-F33",
    "seed-F60",
    "seed-F65",
    "seed-F69",
    "M01-truncate-to-watermark",
    "M04-ack-proves-too-much",
    "M07-count-older-epochs",
];
/// Mutants of every specification whose runs end in every way: on a state, on a step, on a refused
/// call, on a goal out of reach; with messages under way, lost and twice.
const OTHERS: [&str; 8] = [
    "F03-truncation-in-memory-only",
    "F09-log-reused-before-durable",
    "M05-positions-move-back",
    "M08-promise-in-memory",
    "M09-ack-before-sync",
    "F75-empty-volume-never-rebuilt",
    "F86-newer-revision-dropped",
    "F60-in-sync-survives-stop",
];

fn traces() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/traces")
}

fn drawn(id: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_holdfast-model"))
        .args(["trace", "--mutant", id, "--svg", "-"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{id}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_kept_drawings_are_what_is_drawn_now() {
    for id in KEPT {
        let path = traces().join(format!("{id}.svg"));
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == drawn(id),
            "{} is not what is drawn now; if that is meant: make pictures",
            path.display()
        );
    }
}

#[test]
fn every_drawing_is_whole_and_ends_with_the_fall_it_was_looked_for() {
    for id in KEPT.into_iter().chain(OTHERS) {
        let drawing = drawn(id);
        assert_eq!(open_elements(&drawing), Vec::<String>::new(), "{id}");
        assert!(
            drawing.contains("class=\"falltext strong\">✖ falls: "),
            "{id}"
        );
        assert!(!drawing.contains("http://www.w3.org/1999/xlink"), "{id}");
        let outside = drawing.matches("http").count();
        assert_eq!(
            outside, 1,
            "{id} refers to something outside beside its namespace"
        );
    }
}

#[test]
fn a_trace_file_is_drawn_as_the_run_it_was_written_from() {
    let file = traces().join("seed-F30.jsonl");
    let drawing = Path::new(env!("CARGO_TARGET_TMPDIR")).join("seed-F30.svg");
    let output = Command::new(env!("CARGO_BIN_EXE_holdfast-model"))
        .arg("trace")
        .args([&file, Path::new("--svg"), &drawing])
        .output()
        .unwrap();
    assert!(output.status.success() && output.stdout.is_empty());
    assert_eq!(std::fs::read_to_string(drawing).unwrap(), drawn("seed-F30"));
}

/// The elements of a text that were opened and not closed, or closed and not opened.
fn open_elements(text: &str) -> Vec<String> {
    let mut open: Vec<String> = Vec::new();
    for tag in text.split('<').skip(1) {
        let inside = tag.split('>').next().unwrap();
        let name: String = inside.chars().take_while(|c| !c.is_whitespace()).collect();
        if let Some(closed) = name.strip_prefix('/') {
            if open.last().is_some_and(|last| last == closed) {
                open.pop();
            } else {
                open.push(name);
            }
        } else if !inside.ends_with('/') {
            open.push(name);
        }
    }
    open
}

#[test]
#[ignore = "draws docs/traces/*.svg anew: make pictures"]
fn the_drawings_are_drawn_anew() {
    for id in KEPT {
        std::fs::write(traces().join(format!("{id}.svg")), drawn(id)).unwrap();
    }
}
