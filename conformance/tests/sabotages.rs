//! The sabotages of the catalogue, as far as every build can afford them: all of them are well-formed
//! and still apply, and a fixed one is applied, built and caught. `make sabotage` runs them all.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use holdfast_conformance::published;
use holdfast_conformance::sabotage::{self, Applied, Outcome, Sabotage, Scratch};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn every_sabotage_is_named_after_a_row_of_the_catalogue() {
    let documents = ["docs/failures.md", "docs/protocol.md"]
        .map(|page| fs::read_to_string(workspace().join(page)).unwrap());
    let all = Sabotage::read_all(&workspace()).unwrap();
    assert!(all.len() >= 15, "only {} sabotages", all.len());
    for sabotage in &all {
        let row = format!("| {} |", sabotage.id);
        let known = documents.iter().any(|text| text.contains(&row));
        assert!(known, "{}: no row of the catalogue", sabotage.name);
    }
}

#[test]
fn every_sabotage_still_applies() {
    let place = tempfile::tempdir().unwrap();
    let scratch = Scratch::open(&workspace(), place.path()).unwrap();
    let misfits: Vec<String> = Sabotage::read_all(&workspace())
        .unwrap()
        .iter()
        .filter_map(|sabotage| match scratch.apply(sabotage, true).unwrap() {
            Applied::Yes => None,
            Applied::No(said) => Some(format!("{}: {said}", sabotage.name)),
        })
        .collect();
    assert_eq!(misfits, [""; 0]);
}

#[test]
fn every_sabotage_is_published_as_caught() {
    let published: BTreeSet<String> = published::read_sabotages(&workspace())
        .unwrap()
        .into_iter()
        .filter(|published| published.row.caught)
        .map(|published| published.row.name)
        .collect();
    let patches: BTreeSet<String> = Sabotage::read_all(&workspace())
        .unwrap()
        .into_iter()
        .map(|sabotage| sabotage.name)
        .collect();
    assert_eq!(
        published, patches,
        "publish with `sabotage [ID...] --bless`"
    );
}

/// A workspace of one crate, `impl/engine`, with one function and the test of it.
fn small_workspace() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = place.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"impl/engine\"]\n",
    );
    write(
        "Cargo.lock",
        "version = 4\n\n[[package]]\nname = \"small-engine\"\nversion = \"0.0.0\"\n",
    );
    write(
        "impl/engine/Cargo.toml",
        "[package]\nname = \"small-engine\"\nversion = \"0.0.0\"\nedition = \"2024\"\n",
    );
    write(
        "impl/engine/src/lib.rs",
        "pub fn one() -> u8 {\n    1\n}\n\n#[test]\nfn one_is_one() {\n    assert_eq!(one(), 1);\n}\n",
    );
    for arguments in [&["init", "-q"][..], &["add", "."][..]] {
        let done = Command::new("git")
            .args(arguments)
            .current_dir(place.path())
            .status();
        assert!(done.unwrap().success());
    }
    place
}

fn patch(place: &Path, name: &str, caught_by: &str, from: &str, to: &str) -> Sabotage {
    let path = place.join(format!("F60-{name}.patch"));
    let text = format!(
        "# breaks: the number one; caught-by: {caught_by}\n--- a/impl/engine/src/lib.rs\n\
         +++ b/impl/engine/src/lib.rs\n@@ -1,3 +1,3 @@\n pub fn one() -> u8 {{\n-{from}\n+{to}\n }}\n"
    );
    fs::write(&path, text).unwrap();
    Sabotage::read(&path).unwrap()
}

#[test]
fn only_a_check_that_ran_and_fell_counts_as_caught() {
    let workspace = small_workspace();
    let place = tempfile::tempdir().unwrap();
    let scratch = Scratch::open(workspace.path(), place.path()).unwrap();
    let good = "cargo test -p small-engine one_is_one";
    let cases = [
        ("caught", good, "    1", "    2", Outcome::Caught),
        ("harmless", good, "    1", "    1 + 0", Outcome::Survived),
        ("garbled", good, "    1", "    one", Outcome::DoesNotBuild),
        ("misfit", good, "    7", "    2", Outcome::DoesNotApply),
        (
            "blind",
            "cargo test -p small-engine two",
            "    1",
            "    2",
            Outcome::NothingToRun,
        ),
    ];
    let original = fs::read(workspace.path().join("impl/engine/src/lib.rs")).unwrap();
    for (name, caught_by, from, to, outcome) in cases {
        let sabotage = patch(place.path(), name, caught_by, from, to);
        let row = sabotage::run(&scratch, &sabotage).unwrap();
        assert_eq!(
            (row.outcome, row.caught),
            (outcome, outcome == Outcome::Caught),
            "{name}"
        );
        let copy = fs::read(scratch.tree().join("impl/engine/src/lib.rs")).unwrap();
        assert_eq!(copy, original, "{name} was not taken back");
    }
}

#[test]
fn a_check_that_fails_on_the_unbroken_product_proves_nothing() {
    let workspace = small_workspace();
    let source = workspace.path().join("impl/engine/src/lib.rs");
    let broken = fs::read_to_string(&source)
        .unwrap()
        .replace("    1\n", "    3\n");
    fs::write(&source, broken).unwrap();
    let place = tempfile::tempdir().unwrap();
    let scratch = Scratch::open(workspace.path(), place.path()).unwrap();
    let check = "cargo test -p small-engine one_is_one";
    let sabotage = patch(place.path(), "caught", check, "    3", "    2");
    let refused = sabotage::prove_baseline(&scratch, &[sabotage]).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("fails on the unbroken product"),
        "{refused}"
    );
}

#[test]
fn names_are_unique_and_no_two_patches_are_one() {
    let all = Sabotage::read_all(&workspace()).unwrap();
    let bodies: BTreeSet<String> = all
        .iter()
        .map(|s| {
            let text = fs::read_to_string(&s.path).unwrap();
            text.lines().skip(1).collect::<Vec<_>>().join("\n")
        })
        .collect();
    assert_eq!(bodies.len(), all.len());
}

/// One that the engine's own tests must catch, so that no more than the engine is built anew.
const FIXED: &str = "F81-fence-goes-back";

#[test]
fn the_product_broken_on_purpose_is_caught() {
    let workspace = workspace().canonicalize().unwrap();
    let all = Sabotage::read_all(&workspace).unwrap();
    let fixed = all.into_iter().find(|s| s.is_called(FIXED)).unwrap();
    let scratch = Scratch::open(&workspace, &Scratch::default_root(&workspace)).unwrap();
    let row = sabotage::run(&scratch, &fixed).unwrap();
    assert!(row.caught, "{:?}: {}", row.outcome, row.said);
}
