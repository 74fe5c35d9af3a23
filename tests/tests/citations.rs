//! What the documents name exists: the truths' table (docs/invariants.md) cites properties,
//! mutations and tests by name, and the catalogue's ids are those that tests carry.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .to_owned()
}

fn sources(under: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = under.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a readable source");
                found.push((path, text));
            }
        }
    }
    assert!(
        found.len() > 20,
        "too few sources under {under:?}: is this the workspace?"
    );
    found
}

fn test_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, text) in sources(&["impl", "model", "conformance", "tests"]) {
        for line in text.lines() {
            let line = line.trim_start();
            let line = line.strip_prefix("async ").unwrap_or(line);
            if let Some(rest) = line.strip_prefix("fn ") {
                let name: String = rest
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .collect();
                names.insert(name);
            }
        }
    }
    names
}

/// The rows of the tables of a page, as trimmed cells, headings apart.
fn rows(page: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join(page)).expect("the page exists");
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    text.lines()
        .filter(|line| line.starts_with('|') && !line.starts_with("| ---"))
        .map(cells)
        .filter(|row| {
            row.first()
                .is_some_and(|cell| cell != "truth" && cell != "id")
        })
        .collect()
}

/// The names in backticks in a cell.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_truth_has_a_row_and_everything_that_a_row_names_exists() {
    let rows = rows("docs/invariants.md");
    let tests = test_names();
    let model: String = sources(&["model/src"])
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    let mut missing = Vec::new();
    for row in &rows {
        let [truth, _, _, property, mutation, named_tests] = row.as_slice() else {
            panic!("a row of {} cells: {row:?}", row.len());
        };
        for name in quoted(property).into_iter().chain(quoted(mutation)) {
            if !model.contains(&format!("\"{name}\"")) {
                missing.push(format!("{truth}: {name} is named by no specification"));
            }
        }
        for name in quoted(named_tests) {
            if !tests.contains(name) {
                missing.push(format!("{truth}: there is no test {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));

    let stated: BTreeSet<&str> = rows
        .iter()
        .flat_map(|row| row[0].split(',').map(str::trim))
        .collect();
    let truths = (1..=17).map(|n| format!("T{n}"));
    let acceptance = (1..=12).map(|n| format!("A{n}"));
    let others = ["W1", "C1", "C2", "C5"].map(str::to_owned);
    for truth in truths.chain(acceptance).chain(others) {
        assert!(
            stated.contains(truth.as_str()),
            "docs/invariants.md has no row for {truth}"
        );
    }
}

#[test]
fn every_row_of_the_engine_and_every_id_in_a_test_is_in_the_catalogue() {
    let ids: BTreeSet<String> = rows("docs/failures.md")
        .into_iter()
        .map(|row| row[0].clone())
        .collect();
    assert!(ids.len() > 90, "the catalogue shrank to {} rows", ids.len());
    let tests = test_names();
    // F60 to F77 are the engine's: each has a test of its name.
    for number in 60..=77 {
        let prefix = format!("f{number}_");
        assert!(
            tests.iter().any(|name| name.starts_with(&prefix)),
            "no test is named after F{number}"
        );
    }
    for name in &tests {
        let id: String = name.chars().take(3).collect();
        let is_id = name.len() > 4
            && name.starts_with('f')
            && name.as_bytes()[3] == b'_'
            && id[1..].bytes().all(|byte| byte.is_ascii_digit());
        if is_id {
            assert!(
                ids.contains(&id.to_uppercase()),
                "{name} names no row of docs/failures.md"
            );
        }
    }
}
