//! Volumes of one cluster beside one another, and what can be changed about one while it is served.

use holdfast_tests::cluster::Cluster;
use holdfast_tests::tools::Tool;

fn write(uri: &str, command: &str) {
    Tool::QemuIo.run(["-f", "raw", uri, "-c", command, "-c", "flush"]);
}

#[test]
fn f44_f68_two_volumes_on_the_same_nodes_share_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(dir.path(), &["a", "b"]);
    for volume in ["one", "two"] {
        let _ = cluster.create(volume, &["a", "b"], &[]);
        let primary = cluster.serving(volume);
        let other = if primary == "a" { "b" } else { "a" };
        cluster.until_in_sync(volume, other);
    }
    let sessions = |cluster: &Cluster| {
        let primary = cluster.serving("two");
        let told = cluster.volume(&primary, "two").unwrap();
        (primary, told["replicas"][0]["session"].clone())
    };
    let before = sessions(&cluster);
    let uri = |cluster: &Cluster, volume: &str| {
        let primary = cluster.serving(volume);
        cluster.node(&primary).uri(volume)
    };
    write(&uri(&cluster, "one"), "write -P 0x11 0 1M");
    write(&uri(&cluster, "two"), "write -P 0x22 512k 1M");

    // A new epoch, and another assignment, of the one end no session of the other.
    assert_eq!(cluster.ask_keeper(&["promote", "one"]).code, Some(0));
    let settings = ["volume", "set", "one", "--min-in-sync", "2"];
    let _ = cluster.serving("one");
    let set = cluster.ask_keeper(&settings);
    assert_eq!(set.code, Some(0), "{set:?}");
    write(&uri(&cluster, "one"), "write -P 0x33 0 256k");
    assert_eq!(
        sessions(&cluster),
        before,
        "a session of the other volume ended"
    );

    // Each holds what it was told, also after a failover of both.
    for volume in ["one", "two"] {
        let replica = if cluster.serving(volume) == "a" {
            "b"
        } else {
            "a"
        };
        cluster.until_in_sync(volume, replica);
    }
    let set = cluster.ask_keeper(&["volume", "set", "one", "--min-in-sync", "1"]);
    assert_eq!(set.code, Some(0), "{set:?}");
    cluster.kill("a");
    for volume in ["one", "two"] {
        let promoted = cluster.ask_keeper(&["promote", volume]);
        assert_eq!(promoted.code, Some(0), "{promoted:?}");
        assert_eq!(cluster.serving(volume), "b");
    }
    let (one, two) = (uri(&cluster, "one"), uri(&cluster, "two"));
    Tool::QemuIo.run([
        "-f",
        "raw",
        &one,
        "-c",
        "read -P 0x33 0 256k",
        "-c",
        "read -P 0x11 256k 768k",
        "-c",
        "read -P 0 1M 7M",
    ]);
    Tool::QemuIo.run([
        "-f",
        "raw",
        &two,
        "-c",
        "read -P 0 0 512k",
        "-c",
        "read -P 0x22 512k 1M",
        "-c",
        "read -P 0 1536k 6656k",
    ]);
}

#[test]
fn f99_settings_change_while_the_volume_is_served_and_wrong_ones_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(dir.path(), &["a", "b", "c"]);
    let _ = cluster.create("v", &["a", "b", "c"], &[]);
    let primary = cluster.serving("v");
    for replica in ["a", "b", "c"] {
        cluster.until_in_sync("v", replica);
    }
    write(&cluster.node(&primary).uri("v"), "write -P 0x11 0 1M");
    // Asked of a node that is not the primary: it knows who is.
    let other = if primary == "a" { "b" } else { "a" };
    let set = [
        "volume",
        "set",
        "v",
        "--mode",
        "sync-all",
        "--min-in-sync",
        "3",
        "--json",
    ];
    let record = cluster.ask(other, &set).json();
    assert_eq!(record["mode"], "sync_all", "{record}");
    assert_eq!(record["min_in_sync"], 3, "{record}");
    assert_eq!(cluster.record("v"), record);
    for (wrong, code) in [
        (&["volume", "set", "v"][..], 2),
        (&["volume", "set", "v", "--min-in-sync", "4"], 2),
        (&["volume", "set", "w", "--min-in-sync", "1"], 1),
        (
            &[
                "volume",
                "set",
                "v",
                "--mode",
                "best-effort",
                "--write-ack",
                "received",
            ],
            2,
        ),
        (&["replica", "evict", "v", "z"], 1),
        (&["replica", "evict", "v", &primary], 1),
        (&["replica", "evict", "v", other], 1),
    ] {
        let refused = cluster.ask(other, wrong);
        assert_eq!(refused.code, Some(code), "{wrong:?}: {refused:?}");
    }
    assert_eq!(cluster.record("v"), record, "a refusal changed the record");

    // All three must acknowledge: without one the volume waits, until it is evicted.
    let gone = ["a", "b", "c"]
        .into_iter()
        .find(|name| *name != primary && *name != other);
    let gone = gone.unwrap();
    cluster.kill(gone);
    cluster.until("the primary misses it", || {
        let told = cluster.volume(&primary, "v")?;
        let replicas = told["replicas"].as_array().ok_or("none")?;
        let found = replicas.iter().find(|found| found["replica"] == gone);
        match found {
            Some(found) if found["state"] != "in_sync" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let evicted = cluster.ask(other, &["replica", "evict", "v", gone]);
    assert_eq!(evicted.code, Some(0), "{evicted:?}");
    let set = cluster.ask(other, &["volume", "set", "v", "--min-in-sync", "2"]);
    assert_eq!(set.code, Some(0), "{set:?}");
    write(&cluster.node(&primary).uri("v"), "write -P 0x22 0 1M");
    let isr = cluster.record("v")["isr"].clone();
    assert_eq!(isr.as_array().unwrap().len(), 2, "{isr}");
    cluster.start_node(gone);
    cluster.until_in_sync("v", gone);
}
