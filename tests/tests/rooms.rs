//! T14 as a fact of the build: which room may know which (docs/architecture.md).
//!
//! A wrong import does not compile, because a crate can name only what its manifest lists. What is
//! left to check is that nobody lists what the room may not know.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// What each crate of the workspace may depend on, dev-dependencies included, among the
/// workspace's own crates.
const MAY_KNOW: [(&str, &[&str]); 8] = [
    ("holdfast-model", &[]),
    ("holdfast-types", &[]),
    ("holdfast-engine", &["holdfast-types"]),
    ("holdfast-wire", &["holdfast-types"]),
    ("holdfast-blockvol", &["holdfast-types"]),
    (
        "holdfast-node",
        &[
            "holdfast-types",
            "holdfast-engine",
            "holdfast-wire",
            "holdfast-blockvol",
        ],
    ),
    (
        "holdfast-conformance",
        &[
            "holdfast-model",
            "holdfast-types",
            "holdfast-engine",
            "holdfast-wire",
            "holdfast-blockvol",
            "holdfast-node",
        ],
    ),
    (
        "holdfast-tests",
        &[
            "holdfast-types",
            "holdfast-blockvol",
            "holdfast-wire",
            "holdfast-node",
        ],
    ),
];

/// Crates that must not be reachable from a room at all: policy and storage stay free of the
/// runtime, and a node carries no model checker.
const MUST_NOT_REACH: [(&str, &[&str]); 5] = [
    ("holdfast-types", &["tokio", "stateright"]),
    (
        "holdfast-engine",
        &["tokio", "stateright", "tracing", "rustix"],
    ),
    ("holdfast-blockvol", &["tokio", "stateright"]),
    ("holdfast-wire", &["tokio", "stateright"]),
    ("holdfast-node", &["stateright", "holdfast-model"]),
];

fn cargo(arguments: &[&str]) -> String {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--manifest-path", manifest])
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo {arguments:?} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

#[test]
fn t14_a_room_lists_only_what_it_may_know() {
    let metadata = cargo(&["metadata", "--format-version", "1", "--no-deps", "--locked"]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).expect("metadata is JSON");
    let mut knows = BTreeMap::<String, BTreeSet<String>>::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("name").to_owned();
        let listed = package["dependencies"]
            .as_array()
            .expect("dependencies")
            .iter();
        let own = listed
            .filter_map(|dependency| dependency["name"].as_str())
            .filter(|dependency| dependency.starts_with("holdfast-"))
            .map(str::to_owned);
        knows.insert(name, own.collect());
    }
    assert_eq!(
        knows.len(),
        MAY_KNOW.len(),
        "a room without a rule: {:?}",
        knows.keys()
    );
    for (room, allowed) in MAY_KNOW {
        let listed = knows
            .get(room)
            .unwrap_or_else(|| panic!("{room} is no crate"));
        for dependency in listed {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{room} may not know {dependency}"
            );
        }
    }
}

#[test]
fn t14_a_node_carries_no_model_checker_and_policy_no_runtime() {
    for (room, forbidden) in MUST_NOT_REACH {
        let tree = cargo(&[
            "tree", "-p", room, "-e", "normal", "--prefix", "none", "--locked",
        ]);
        let reached: BTreeSet<&str> = tree
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        assert!(
            reached.contains(room),
            "the tree of {room} does not hold it:\n{tree}"
        );
        for stranger in forbidden {
            assert!(!reached.contains(stranger), "{room} reaches {stranger}");
        }
    }
}
