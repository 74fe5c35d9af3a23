//! Nodes on hosts of their own: a cable is pulled, and a host is lost.

use holdfast_tests::cluster::Cluster;
use holdfast_tests::network::Network;
use holdfast_tests::node::NodeSetup;
use holdfast_tests::tools::{Run, Tool};

fn client(node: &NodeSetup, command: &str) -> Run {
    let uri = format!("nbd+unix:///v?socket={}", node.nbd_socket().display());
    Tool::QemuIo.attempt(["-f", "raw", &uri, "-c", command])
}

fn carries_out(node: &NodeSetup, command: &str) {
    let run = client(node, command);
    assert!(run.success, "{command}: {}", run.said);
}

#[test]
fn a3_three_hosts_of_which_one_is_cut_off_and_one_is_lost_keep_what_was_flushed() {
    let network = match Network::new(&["keeper", "a", "b", "c"]) {
        Ok(network) => network,
        Err(reason) => {
            eprintln!("NOT TESTED: hosts in network namespaces, which need root: {reason}");
            return;
        }
    };
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start_on(network, dir.path(), &["a", "b", "c"]);
    let _ = cluster.create("v", &["a", "b", "c"], &[]);
    let first = cluster.serving("v");
    for replica in ["a", "b", "c"] {
        cluster.until_in_sync("v", replica);
    }
    // With FUA: each is durable on a majority when it is acknowledged.
    carries_out(cluster.node(&first), "write -f -P 0x11 0 1M");

    // The primary is cut off: another takes over, and the first serves nobody.
    cluster.network().unplug(&first);
    let promoted = cluster.ask_keeper(&["promote", "v"]);
    assert_eq!(promoted.code, Some(0), "{promoted:?}");
    let second = cluster.serving("v");
    assert_ne!(second, first);
    carries_out(cluster.node(&second), "read -P 0x11 0 1M");
    carries_out(cluster.node(&second), "write -f -P 0x22 0 512k");
    let stale = client(cluster.node(&first), "read -P 0x11 0 512k");
    assert!(
        !stale.success,
        "two primaries served at once: {}",
        stale.said
    );

    // It is back, follows, and is caught up; then the second is lost for good.
    cluster.network().plug(&first);
    cluster.until_in_sync("v", &first);
    cluster.kill(&second);
    let promoted = cluster.ask_keeper(&["promote", "v"]);
    assert_eq!(promoted.code, Some(0), "{promoted:?}");
    let third = cluster.serving("v");
    assert_ne!(third, second);
    carries_out(cluster.node(&third), "read -P 0x22 0 512k");
    carries_out(cluster.node(&third), "read -P 0x11 512k 512k");
    carries_out(cluster.node(&third), "write -f -P 0x33 0 64k");
}
