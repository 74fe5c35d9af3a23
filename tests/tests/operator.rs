//! What an operator orders, by the commands of the binary, of a cluster of real processes.

use std::path::Path;
use std::process::Command;

use holdfast_tests::cluster::Cluster;
use holdfast_tests::process::Process;
use holdfast_tests::tools::Tool;

/// A client that writes random blocks as fast as it is let, for far longer than any test takes.
fn load(uri: &str, directory: &Path) -> Process {
    let uri = format!("--uri={uri}");
    let mut command = Command::new("fio");
    command.current_dir(directory).args([
        "--name=load",
        // One process: a job of its own would outlive it.
        "--thread",
        "--ioengine=nbd",
        &uri,
        "--rw=randwrite",
        "--bs=4k",
        "--iodepth=16",
        "--size=64m",
        "--fsync=64",
        "--time_based",
        "--runtime=300",
    ]);
    Process::start("load", &mut command, directory)
}

/// Everything that a volume holds, as a client reads it.
fn content(cluster: &Cluster, volume: &str, directory: &Path) -> Vec<u8> {
    let primary = cluster.serving(volume);
    let image = directory.join(format!("{primary}.img"));
    let to = image.to_str().unwrap();
    Tool::NbdCopy.run([cluster.node(&primary).uri(volume).as_str(), to]);
    std::fs::read(image).unwrap()
}

#[test]
fn f43_a_full_rebuild_under_full_load_ends_and_the_copies_are_equal() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(dir.path(), &["a", "b"]);
    let _ = cluster.create_of("v", "64MiB", &["a", "b"], &[]);
    let primary = cluster.serving("v");
    let other = if primary == "a" { "b" } else { "a" };
    cluster.until_in_sync("v", other);
    let uri = cluster.node(&primary).uri("v");
    Tool::QemuIo.run([
        "-f",
        "raw",
        &uri,
        "-c",
        "write -P 0x5a 0 64M",
        "-c",
        "flush",
    ]);
    let mut load = load(&uri, dir.path());

    // Asked of the keeper, who has the primary do it.
    let order = [
        "replica", "rebuild", "v", other, "--rate", "16MiB", "--json",
    ];
    let ordered = cluster.ask_keeper(&order).json();
    assert_eq!(ordered["outcome"], "rebuilding");
    assert_eq!(ordered["rate"], 16 << 20);
    cluster.until("it is seen how far the rebuild is", || {
        let told = cluster.volume(&primary, "v")?;
        let rebuild = &told["replicas"][0]["rebuild"];
        let done = rebuild["bytes_done"].as_u64().unwrap_or(0);
        let total = rebuild["bytes_total"].as_u64().unwrap_or(0);
        if done > 0 && total == 64 << 20 && rebuild["eta_seconds"].is_u64() {
            Ok(())
        } else {
            Err(told.to_string())
        }
    });
    let said = cluster.ask(&primary, &["status"]).stdout;
    assert!(said.contains("of 64.0 MiB at "), "{said}");
    cluster.until_in_sync("v", other);
    assert!(
        load.ended().is_none(),
        "the load did not last: {}",
        load.log()
    );
    load.kill();
    Tool::QemuIo.run(["-f", "raw", &uri, "-c", "flush"]);

    let before = content(&cluster, "v", dir.path());
    cluster.until_in_sync("v", other);
    cluster.kill(&primary);
    assert_eq!(cluster.ask_keeper(&["promote", "v"]).code, Some(0));
    assert_eq!(cluster.serving("v"), other);
    let after = content(&cluster, "v", dir.path());
    let blocks = before.chunks(4096).zip(after.chunks(4096)).enumerate();
    let wrong: Vec<usize> = blocks
        .filter(|(_, (a, b))| a != b)
        .map(|(n, _)| n)
        .collect();
    assert_eq!(before.len(), 64 << 20);
    assert!(wrong.is_empty(), "{} blocks differ", wrong.len());
}

#[test]
fn t4_an_order_that_cannot_be_carried_out_says_why_and_ends_by_its_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path(), &["a", "b"]);
    let _ = cluster.create("v", &["a", "b"], &["--min-in-sync", "2"]);
    let primary = cluster.serving("v");
    let other = if primary == "a" { "b" } else { "a" };
    cluster.until_in_sync("v", other);
    let rebuild = |replica: &str, rate: &str| {
        cluster.ask_keeper(&["replica", "rebuild", "v", replica, "--rate", rate])
    };
    for (replica, rate, code, word) in [
        (other, "1MiB", 1, "min_in_sync 2"),
        (&primary, "1MiB", 1, "promote another first"),
        ("nobody", "1MiB", 1, "keeps no copy"),
        (other, "4KiB", 2, "256 KiB"),
        (other, "fast", 2, "fast"),
    ] {
        let refused = rebuild(replica, rate);
        assert_eq!(refused.code, Some(code), "{refused:?}");
        assert!(refused.stderr.contains(word), "{refused:?}");
    }
    cluster.until_in_sync("v", other);
}

/// Flips one bit of a block of a copy's image, as a disk does.
fn rot(cluster: &Cluster, node: &str, volume: &str, block: u64) {
    use std::os::unix::fs::FileExt;
    let id = cluster.record(volume)["volume"]
        .as_str()
        .unwrap()
        .to_owned();
    let stores = cluster.node(node).directory.join("volumes");
    let image = stores.join(id).join("extent");
    let mut file = std::fs::OpenOptions::new();
    let file = file.read(true).write(true).open(image).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, block * 4096 + 9).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], block * 4096 + 9)
        .unwrap();
}

#[test]
fn f21_rot_is_found_by_verify_and_mended_by_repair_and_never_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(dir.path(), &["a", "b"]);
    let _ = cluster.create("v", &["a", "b"], &[]);
    let primary = cluster.serving("v");
    let other = if primary == "a" { "b" } else { "a" };
    cluster.until_in_sync("v", other);
    let uri = cluster.node(&primary).uri("v");
    Tool::QemuIo.run(["-f", "raw", &uri, "-c", "write -P 0x5a 0 8M", "-c", "flush"]);
    for node in [&primary, other] {
        cluster.until("everything is in the image", || {
            let told = cluster.volume(node, "v")?;
            let written_back = told["checkpoint"] == told["head"];
            written_back.then_some(()).ok_or_else(|| told.to_string())
        });
    }
    let before = content(&cluster, "v", dir.path());
    cluster.kill(other);
    rot(&cluster, other, "v", 1000);
    rot(&cluster, &primary, "v", 50);
    cluster.start_node(other);
    cluster.until_in_sync("v", other);
    let read = Tool::QemuIo.attempt(["-f", "raw", &uri, "-c", "read 200k 4k"]);
    assert!(read.said.contains("Input/output error"), "{}", read.said);

    let verify = |options: &[&str]| {
        cluster.ask_keeper(&[&["replica", "verify", "v", "--json"], options].concat())
    };
    let found = verify(&[]);
    assert_eq!(found.code, Some(1), "{found:?}");
    let report: serde_json::Value = serde_json::from_str(&found.stdout).unwrap();
    let blocks: Vec<_> = report["findings"].as_array().unwrap().iter().collect();
    assert_eq!(blocks.len(), 2, "{report}");
    assert_eq!(
        (&blocks[0]["block"], &blocks[0]["copies"][&primary]),
        (&50.into(), &"damaged".into())
    );
    assert_eq!(
        (&blocks[1]["block"], &blocks[1]["copies"][other]),
        (&1000.into(), &"damaged".into())
    );
    let mended = verify(&["--repair"]).json();
    assert_eq!(mended["summary"]["blocks_repaired"], 2, "{mended}");
    let clean = verify(&[]).json();
    assert_eq!(clean["findings"], serde_json::json!([]));
    assert_eq!(content(&cluster, "v", dir.path()), before);
    cluster.kill(&primary);
    assert_eq!(cluster.ask_keeper(&["promote", "v"]).code, Some(0));
    assert_eq!(content(&cluster, "v", dir.path()), before);
}

#[test]
fn f58_a_copy_is_added_and_another_removed_and_the_removed_one_comes_back_as_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(dir.path(), &["a", "b", "c"]);
    let _ = cluster.create("v", &["a", "b"], &[]);
    let primary = cluster.serving("v");
    let other = if primary == "a" { "b" } else { "a" };
    cluster.until_in_sync("v", other);
    let uri = cluster.node(&primary).uri("v");
    Tool::QemuIo.run(["-f", "raw", &uri, "-c", "write -P 0x61 0 8M", "-c", "flush"]);
    let place = cluster.node("c").control.to_string();
    let added = cluster
        .ask_keeper(&["replica", "add", "v", &place, "--json"])
        .json();
    assert_eq!(added["members"].as_object().unwrap().len(), 3, "{added}");
    cluster.until_in_sync("v", "c");
    assert_eq!(
        cluster.ask_keeper(&["replica", "add", "v", &place]).code,
        Some(1)
    );

    cluster.kill(other);
    assert_eq!(
        cluster
            .ask_keeper(&["replica", "remove", "v", &primary])
            .code,
        Some(1)
    );
    let removed = cluster
        .ask_keeper(&["replica", "remove", "v", other, "--json"])
        .json();
    assert_eq!(
        removed["members"].as_object().unwrap().len(),
        2,
        "{removed}"
    );
    Tool::QemuIo.run(["-f", "raw", &uri, "-c", "write -P 0x62 0 1M", "-c", "flush"]);
    let expected = content(&cluster, "v", dir.path());
    cluster.start_node(other);
    cluster.until("it knows that it is nobody", || {
        let told = cluster.volume(other, "v")?;
        let nobody = told["removed"] == true && told["role"] == "none";
        nobody.then_some(()).ok_or_else(|| told.to_string())
    });
    cluster.kill(&primary);
    assert_eq!(cluster.ask_keeper(&["promote", "v"]).code, Some(0));
    assert_eq!(cluster.serving("v"), "c");
    assert_eq!(content(&cluster, "v", dir.path()), expected);
}

#[test]
fn f78_a_snapshot_is_exported_verified_imported_elsewhere_and_restored_and_a_volume_grows() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path(), &["a", "b"]);
    let _ = cluster.create("v", &["a", "b"], &[]);
    let primary = cluster.serving("v");
    let other = if primary == "a" { "b" } else { "a" };
    cluster.until_in_sync("v", other);
    let uri = cluster.node(&primary).uri("v");
    let write = |command: &str| Tool::QemuIo.run(["-f", "raw", &uri, "-c", command, "-c", "flush"]);
    write("write -P 0x71 0 3M");
    let then = content(&cluster, "v", dir.path());
    let on = |arguments: &[&str]| cluster.ask_keeper(arguments);
    let made = on(&["volume", "snapshot", "create", "v", "monday", "--json"]).json();
    assert_eq!(made["label"], "monday");
    write("write -P 0x72 1M 4M");
    assert_eq!(
        on(&["volume", "snapshot", "create", "v", "monday"]).code,
        Some(1)
    );
    assert_eq!(
        on(&["volume", "snapshot", "create", "v", "a/b"]).code,
        Some(2)
    );

    // Exported: the image as it was, with its digest; nothing is written over.
    let image = dir.path().join("monday.img");
    let path = image.to_str().unwrap();
    let manifest = on(&[
        "volume", "snapshot", "export", "v", "monday", path, "--json",
    ])
    .json();
    assert_eq!(std::fs::read(&image).unwrap(), then);
    let sha256 = holdfast_tests::content::sha256_of_file(&image).unwrap();
    assert_eq!(manifest["sha256"], sha256);
    let beside = std::fs::read_to_string(dir.path().join("monday.img.json")).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&beside).unwrap(),
        manifest
    );
    let again = on(&["volume", "snapshot", "export", "v", "monday", path]);
    assert_eq!(again.code, Some(3), "{again:?}");
    assert_eq!(std::fs::read(&image).unwrap(), then);

    // Imported into another volume, once that is large enough; never over what is there.
    let control = [&cluster.node("a").control, &cluster.node("b").control].map(ToString::to_string);
    let create = [
        "volume",
        "create",
        "w",
        "--size",
        "4MiB",
        "--copy",
        &control[0],
        "--copy",
        &control[1],
    ];
    assert_eq!(on(&create).code, Some(0));
    let _ = cluster.serving("w");
    let import = ["volume", "snapshot", "import", "w", path];
    let small = on(&import);
    assert!(
        small.code == Some(1) && small.stderr.contains("grow it first"),
        "{small:?}"
    );
    assert_eq!(
        on(&["volume", "resize", "w", "--size", "2MiB"]).code,
        Some(1)
    );
    let grown = on(&["volume", "resize", "w", "--size", "8MiB", "--json"]).json();
    assert_eq!(grown["blocks"], 2048);
    let rotten = dir.path().join("rotten.img");
    let mut bytes = then.clone();
    bytes[5000] ^= 1;
    std::fs::write(&rotten, bytes).unwrap();
    let manifest = format!("{path}.json");
    let rotten = [
        "volume",
        "snapshot",
        "import",
        "w",
        rotten.to_str().unwrap(),
    ];
    let refused = on(&[&rotten[..], &["--manifest", &manifest]].concat());
    assert!(
        refused.code == Some(1) && refused.stderr.contains("digest"),
        "{refused:?}"
    );
    let imported = on(&import);
    assert_eq!(imported.code, Some(0), "{imported:?}");
    assert_eq!(content(&cluster, "w", dir.path()), then);
    let over = on(&["volume", "snapshot", "import", "v", path]);
    assert!(
        over.code == Some(1) && over.stderr.contains("not empty"),
        "{over:?}"
    );
    // Restored, but only on the volume's own word.
    let restore = ["volume", "snapshot", "restore", "v", "monday", "--yes"];
    assert_eq!(on(&[&restore[..], &["w"]].concat()).code, Some(2));
    let restored = on(&[&restore[..], &["v"]].concat());
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert_eq!(content(&cluster, "v", dir.path()), then);
    assert_eq!(
        on(&["volume", "snapshot", "delete", "v", "monday"]).code,
        Some(0)
    );
    assert_eq!(
        on(&["volume", "snapshot", "list", "v", "--json"]).stdout,
        ""
    );
}

#[test]
fn f85_a_volume_is_deleted_on_its_own_word_alone_and_its_name_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(dir.path(), &["a", "b"]);
    let made = cluster.create_of("v", "64MiB", &["a", "b"], &[]);
    let id = made["volume"].as_str().unwrap().to_owned();
    let primary = cluster.serving("v");
    let other = if primary == "a" { "b" } else { "a" };
    cluster.until_in_sync("v", other);
    let uri = cluster.node(&primary).uri("v");
    Tool::QemuIo.run(["-f", "raw", &uri, "-c", "write -P 0x5a 0 1M", "-c", "flush"]);
    let mut load = load(&uri, dir.path());
    cluster.until("a client is attached", || {
        let told = cluster.volume(&primary, "v")?;
        (told["clients"] != 0)
            .then_some(())
            .ok_or_else(|| told.to_string())
    });
    let delete = |yes: &str, more: &[&str]| {
        cluster.ask_keeper(&[&["volume", "delete", "v", "--yes", yes], more].concat())
    };
    assert_eq!(delete("w", &[]).code, Some(2));
    let attached = delete("v", &[]);
    assert!(
        attached.code == Some(1) && attached.stderr.contains("attached"),
        "{attached:?}"
    );
    assert!(load.ended().is_none(), "{}", load.log());
    let store = |node: &str| cluster.node(node).directory.join("volumes").join(&id);
    let (here, there) = (store(&primary), store(other));
    assert!(here.exists() && there.exists());
    let other = other.to_owned();
    cluster.kill(&other);
    let deleted = cluster.ask_keeper(&["volume", "delete", "v", "--yes", "v", "--force"]);
    assert_eq!(deleted.code, Some(0), "{deleted:?}");
    load.kill();
    cluster.until("the copy is gone", || {
        (!here.exists())
            .then_some(())
            .ok_or_else(|| format!("{here:?}"))
    });
    assert!(there.exists(), "its node is away");
    cluster.start_node(&other);
    cluster.until("the other copy is gone too", || {
        (!there.exists())
            .then_some(())
            .ok_or_else(|| format!("{there:?}"))
    });
    assert_eq!(cluster.ask_keeper(&["volume", "show", "v"]).code, Some(1));
    let anew = cluster.create("v", &["a", "b"], &[]);
    assert_ne!(anew["volume"], id.as_str());
    let _ = cluster.serving("v");
    let empty = content(&cluster, "v", dir.path());
    assert!(empty.iter().all(|byte| *byte == 0));
}
