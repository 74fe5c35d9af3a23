//! Nodes that authenticate each other, as processes, with keys that the commands made.

use holdfast_tests::cluster::Cluster;
use holdfast_tests::command::holdfast;
use holdfast_tests::node::{Authority, NodeSetup};
use holdfast_tests::ports;
use holdfast_tests::tools::Tool;

#[test]
fn nodes_with_keys_replicate_and_fail_over_and_answer_nobody_without() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start_with_keys(dir.path(), &["a", "b", "c"]);
    let record = cluster.create("v", &["a", "b", "c"], &[]);
    assert_eq!(record["mode"], "sync_quorum");
    let old = cluster.serving("v");
    let uri = cluster.node(&old).uri("v");
    Tool::QemuIo.run(["-f", "raw", &uri, "-c", "write -P 0x5a 0 1M", "-c", "flush"]);

    // Without keys, and with keys of another cluster, nobody is answered.
    let control = cluster.node(&old).control.to_string();
    let plain = holdfast(["status", "--node", &control]);
    assert_eq!(plain.code, Some(1), "{plain:?}");
    assert!(plain.stderr.contains("no TLS"), "{plain:?}");
    let other = dir.path().join("other");
    let other = other.to_str().unwrap();
    assert_eq!(holdfast(["keys", "init", "--dir", other]).code, Some(0));
    let issued = holdfast(["keys", "issue", "--dir", other, "--name", "a"]);
    assert_eq!(issued.code, Some(0), "{issued:?}");
    let foreign = ["ca.pem", "a.pem", "a.key"].map(|file| format!("{other}/{file}"));
    let asked = [
        "status",
        "--node",
        &control,
        "--ca",
        &foreign[0],
        "--certificate",
        &foreign[1],
        "--key",
        &foreign[2],
    ];
    let refused = holdfast(asked);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(
        refused.stderr.contains("not by this cluster's authority"),
        "{refused:?}"
    );

    cluster.kill(&old);
    let promoted = cluster.ask_keeper(&["promote", "v", "--json"]);
    assert_eq!(promoted.code, Some(0), "{promoted:?}");
    let new = cluster.serving("v");
    assert_ne!(new, old);
    let uri = cluster.node(&new).uri("v");
    Tool::QemuIo.run(["-f", "raw", &uri, "-c", "read -P 0x5a 0 1M"]);
    cluster.start_node(&old);
    cluster.until_in_sync("v", &old);
}

#[test]
fn a_node_with_the_keys_of_another_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    let keys = keys.to_str().unwrap();
    assert_eq!(holdfast(["keys", "init", "--dir", keys]).code, Some(0));
    let issue = ["keys", "issue", "--dir", keys, "--name", "r2"];
    assert_eq!(holdfast(issue).code, Some(0));
    let again = holdfast(issue);
    assert_eq!(again.code, Some(1), "a key was overwritten: {again:?}");
    assert!(again.stderr.contains("r2.key exists"), "{again:?}");
    let [authority] = ports::free();
    let setup = NodeSetup::new("r1", dir.path(), Authority::Embedded(authority))
        .with("tls", "ca", &format!("\"{keys}/ca.pem\""))
        .with("tls", "certificate", &format!("\"{keys}/r2.pem\""))
        .with("tls", "key", &format!("\"{keys}/r2.key\""));
    let file = dir.path().join("node.toml");
    std::fs::write(&file, setup.configuration()).unwrap();
    let refused = holdfast(["node", "--config", file.to_str().unwrap()]);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.stderr.contains("--name r1"), "{refused:?}");
}

#[test]
fn a_node_without_keys_does_not_listen_to_the_network() {
    let dir = tempfile::tempdir().unwrap();
    let [authority] = ports::free();
    for key in ["replication_listen", "control_listen"] {
        let setup = NodeSetup::new("r1", dir.path(), Authority::Embedded(authority)).with(
            "node",
            key,
            "\"192.0.2.1:7411\"",
        );
        let file = dir.path().join("node.toml");
        std::fs::write(&file, setup.configuration()).unwrap();
        let refused = holdfast(["node", "--config", file.to_str().unwrap()]);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        for word in [key, "open to the network", "[tls]"] {
            assert!(
                refused.stderr.contains(word),
                "{word:?} is not in {refused:?}"
            );
        }
    }
}
