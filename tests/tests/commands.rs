//! The commands of the binary: what they print, how they end, and that looking changes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use holdfast_tests::command::{Outcome, holdfast};
use holdfast_tests::node::{Authority, NodeSetup};
use holdfast_tests::ports;
use holdfast_tests::process::Process;

fn solo(parent: &Path) -> NodeSetup {
    let [authority] = ports::free();
    NodeSetup::new("solo", parent, Authority::Embedded(authority))
        .with("lease", "duration", "\"500ms\"")
        .with("limits", "log_size", "\"2MiB\"")
}

fn create_volume(setup: &NodeSetup) -> Outcome {
    let control = setup.control.to_string();
    holdfast([
        "volume", "create", "v", "--size", "8MiB", "--copy", &control, "--node", &control, "--json",
    ])
}

/// Every file below a directory with its content.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for item in std::fs::read_dir(directory).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.is_file() {
            let content = std::fs::read(&path).unwrap();
            found.insert(path, content);
        }
    }
    found
}

#[test]
fn a_good_configuration_is_printed_with_the_origin_of_every_value() {
    let dir = tempfile::tempdir().unwrap();
    let setup = solo(dir.path());
    let file = dir.path().join("node.toml");
    std::fs::write(&file, setup.configuration()).unwrap();
    let checked = holdfast(["node", "--check-config", "--config", file.to_str().unwrap()]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(
        checked.stdout.contains("duration = \"500ms\"  # "),
        "{checked:?}"
    );
    assert!(
        checked.stdout.contains("retention = \"25%\"  # default"),
        "{checked:?}"
    );
    assert_eq!(files(&setup.directory).len(), 0, "checking made files");
}

#[test]
fn a_bad_configuration_is_a_usage_error_that_names_every_problem() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node.toml");
    std::fs::write(&file, "[node]\nidd = \"r1\"\n[lease]\nduration = \"10\"\n").unwrap();
    let path = file.to_str().unwrap();
    for arguments in [
        &["node", "--check-config", "--config", path][..],
        &["node", "--config", path],
    ] {
        let refused = holdfast(arguments);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        for word in ["did you mean id?", "node.id", "no unit", "node.toml:4"] {
            assert!(
                refused.stderr.contains(word),
                "{word:?} is not in {refused:?}"
            );
        }
        assert_eq!(refused.stdout, "");
    }
    let missing = dir.path().join("missing.toml");
    let refused = holdfast(["node", "--config", missing.to_str().unwrap()]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("missing.toml"), "{refused:?}");
}

#[test]
fn wrong_arguments_are_usage_errors_and_help_is_not() {
    for arguments in [
        &["frobnicate"][..],
        &[],
        &["node"],
        &["promote", "v", "--replica", "r1"],
        &["volume", "create", "v", "--size", "8MiB"],
        &[
            "volume",
            "create",
            "v",
            "--size",
            "many",
            "--copy",
            "127.0.0.1:1",
        ],
        &["status", "--node", "localhost"],
    ] {
        let refused = holdfast(arguments);
        assert_eq!(refused.code, Some(2), "{arguments:?}: {refused:?}");
        assert!(
            !refused.stderr.is_empty() && refused.stdout.is_empty(),
            "{refused:?}"
        );
    }
    for arguments in [&["--help"][..], &["node", "--help"], &["--version"]] {
        let told = holdfast(arguments);
        assert_eq!(told.code, Some(0), "{arguments:?}: {told:?}");
        assert!(!told.stdout.is_empty());
    }
}

#[test]
fn a_node_that_does_not_answer_is_the_environments_fault() {
    let [nobody] = ports::free();
    let unanswered = holdfast(["status", "--node", &nobody.to_string()]);
    assert_eq!(unanswered.code, Some(3), "{unanswered:?}");
    assert!(
        unanswered.stderr.contains(&nobody.to_string()),
        "{unanswered:?}"
    );
}

#[test]
fn a_store_is_inspected_at_rest_and_refused_while_its_node_runs() {
    let dir = tempfile::tempdir().unwrap();
    let setup = solo(dir.path());
    let mut node = setup.start();
    let record = create_volume(&setup).json();
    let store = setup
        .directory
        .join("volumes")
        .join(record["volume"].as_str().unwrap());
    let store = store.to_str().unwrap();

    let busy = holdfast(["inspect", store]);
    assert_eq!(busy.code, Some(3), "a store in use was inspected: {busy:?}");

    assert!(node.terminate().success(), "{}", node.log_tail());
    let before = files(&setup.directory);
    let found = holdfast(["inspect", store]);
    assert_eq!(found.code, Some(0), "{found:?}");
    for word in [
        record["volume"].as_str().unwrap(),
        "2048 blocks",
        "sound",
        "epoch 1",
    ] {
        assert!(found.stdout.contains(word), "{word:?} is not in {found:?}");
    }
    assert_eq!(files(&setup.directory), before, "inspecting changed a file");
}

#[test]
fn f15_what_is_no_store_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let setup = solo(dir.path());
    let impostor = setup
        .directory
        .join("volumes")
        .join("8c5f1f0e-7d3c-4f52-9a7e-2f4d5b6c7a89");
    std::fs::create_dir_all(&impostor).unwrap();
    std::fs::write(impostor.join("log"), "a diary").unwrap();
    std::fs::write(impostor.join("extent"), "a meadow").unwrap();
    std::fs::write(impostor.join("sums"), "a tally").unwrap();
    let before = files(&setup.directory);

    let refused = holdfast(["inspect", impostor.to_str().unwrap()]);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.stderr.contains("log"), "{refused:?}");
    let nothing = holdfast(["inspect", dir.path().join("nothing").to_str().unwrap()]);
    assert_eq!(nothing.code, Some(3), "{nothing:?}");
    assert_eq!(files(&setup.directory), before);

    // A node does not make a store in its place either, and says which directory it is.
    let file = dir.path().join("node.toml");
    std::fs::write(&file, setup.configuration()).unwrap();
    let refused = holdfast(["node", "--config", file.to_str().unwrap()]);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.stderr.contains("8c5f1f0e"), "{refused:?}");
    let after = files(&setup.directory);
    for (path, content) in &before {
        assert_eq!(
            after.get(path),
            Some(content),
            "{} was changed",
            path.display()
        );
    }
}

#[test]
fn f15_a_volume_is_not_created_over_one_that_exists() {
    let dir = tempfile::tempdir().unwrap();
    let setup = solo(dir.path());
    let _node: Process = setup.start();
    let record = create_volume(&setup).json();
    let again = create_volume(&setup);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("exists already"), "{again:?}");
    let control = setup.control.to_string();
    let shown = holdfast(["volume", "show", "v", "--json", "--node", &control]).json();
    assert_eq!(shown["volume"], record["volume"]);
}
