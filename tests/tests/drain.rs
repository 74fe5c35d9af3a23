//! A node that is told to stop, with what it serves.

use std::time::{Duration, Instant};

use holdfast_tests::cluster::Cluster;
use holdfast_tests::tools::Tool;

/// How long a node may take to stop.
const BOUND: Duration = Duration::from_secs(25);

fn write(uri: &str, pattern: &str) {
    // No flush: qemu-io ends with one only where the cache mode asks for it.
    let command = format!("write -P {pattern} 0 256k");
    Tool::QemuIo.run(["-t", "unsafe", "-f", "raw", uri, "-c", &command]);
}

#[test]
fn a_primary_that_is_told_to_stop_hands_its_volume_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(dir.path(), &["a", "b"]);
    let record = cluster.create("v", &["a", "b"], &[]);
    let old = cluster.serving("v");
    let new = if old == "a" { "b" } else { "a" };
    cluster.until_in_sync("v", new);
    write(&cluster.node(&old).uri("v"), "0x11");

    let began = Instant::now();
    let ended = cluster.process(&old).terminate();
    assert!(
        ended.success(),
        "{ended}\n{}",
        cluster.process(&old).log_tail()
    );
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());

    // Nobody promotes: the old primary has seen to it.
    assert_eq!(cluster.serving("v"), new);
    let handed = cluster.record("v");
    assert!(
        handed["epoch"].as_u64() > record["epoch"].as_u64(),
        "{handed}"
    );
    let uri = cluster.node(new).uri("v");
    Tool::QemuIo.run(["-f", "raw", &uri, "-c", "read -P 0x11 0 256k"]);
    write(&uri, "0x22");
    cluster.start_node(&old);
    cluster.until_in_sync("v", &old);
}

#[test]
fn a_node_alone_with_its_volume_stops_in_time_and_has_everything_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(dir.path(), &["a"]);
    let _ = cluster.create("v", &["a"], &[]);
    assert_eq!(cluster.serving("v"), "a");
    let uri = cluster.node("a").uri("v");
    write(&uri, "0x33");
    let began = Instant::now();
    let ended = cluster.process("a").terminate();
    assert!(
        ended.success(),
        "{ended}\n{}",
        cluster.process("a").log_tail()
    );
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    cluster.start_node("a");
    let promoted = cluster.ask_keeper(&["promote", "v"]);
    assert_eq!(promoted.code, Some(0), "{promoted:?}");
    assert_eq!(cluster.serving("v"), "a");
    Tool::QemuIo.run(["-f", "raw", &uri, "-c", "read -P 0x33 0 256k"]);
}

#[test]
fn a_primary_whose_replica_is_gone_stops_in_time_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(dir.path(), &["a", "b"]);
    // Both copies must acknowledge: nothing can be flushed without the other.
    let _ = cluster.create("v", &["a", "b"], &["--min-in-sync", "2"]);
    let primary = cluster.serving("v");
    let other = if primary == "a" { "b" } else { "a" };
    cluster.until_in_sync("v", other);
    write(&cluster.node(&primary).uri("v"), "0x44");
    cluster.process(other).freeze();
    let began = Instant::now();
    let ended = cluster.process(&primary).terminate();
    assert!(
        ended.success(),
        "{ended}\n{}",
        cluster.process(&primary).log_tail()
    );
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    cluster.process(other).thaw();
}
