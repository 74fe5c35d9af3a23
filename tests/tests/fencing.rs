//! A primary that lost its role without knowing it.

use std::time::Duration;

use holdfast_tests::command::holdfast;
use holdfast_tests::content::noise;
use holdfast_tests::kept::Kept;
use holdfast_tests::tools::Tool;
use holdfast_tests::wait;

/// How long the old primary may take to find its place.
const PATIENCE: Duration = Duration::from_secs(40);

#[test]
fn f83_a_primary_frozen_over_a_promotion_shows_nobody_what_it_held() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    std::fs::write(&image, noise(5, 8 << 20)).unwrap();
    let mut kept = Kept::start(&image, dir.path());
    let old = kept.primary.clone();
    let old_uri = kept.node(&old).uri.clone();
    let before = [
        "-f",
        "raw",
        &old_uri,
        "-c",
        "write -P 0x11 0 64k",
        "-c",
        "flush",
    ];
    Tool::QemuIo.run(before);

    kept.freeze(&old);
    let new = kept.promote();
    assert_ne!(new, old, "a frozen node was promoted");
    let new_uri = kept.node(&new).uri.clone();
    let read = ["-f", "raw", &new_uri, "-c", "read -P 0x11 0 64k"];
    Tool::QemuIo.run(read);
    let after = [
        "-f",
        "raw",
        &new_uri,
        "-c",
        "write -P 0x22 0 64k",
        "-c",
        "flush",
    ];
    Tool::QemuIo.run(after);

    kept.thaw(&old);
    // From its first moment on it must not answer a read with what it held, nor take a write.
    let stale = ["-f", "raw", &old_uri, "-c", "read -P 0x11 0 64k"];
    let shown = Tool::QemuIo.attempt(stale);
    assert!(
        !shown.success,
        "the old primary showed what was overwritten: {}",
        shown.said
    );
    let write = [
        "-f",
        "raw",
        &old_uri,
        "-c",
        "write -P 0x33 0 64k",
        "-c",
        "flush",
    ];
    let taken = Tool::QemuIo.attempt(write);
    assert!(
        !taken.success,
        "the old primary acknowledged a flush: {}",
        taken.said
    );

    // It becomes a replica of its successor.
    let control = kept.node(&new).control.clone();
    let joined = wait::until("the old primary is in sync", PATIENCE, || {
        let status = holdfast(["status", "--json", "--node", &control]).json();
        let replicas = status["volumes"][0]["replicas"].as_array().cloned();
        let replicas = replicas.unwrap_or_default();
        let found = replicas
            .iter()
            .find(|replica| replica["replica"] == old.as_str());
        match found {
            Some(found) if found["state"] == "in_sync" && found["member"] == true => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    joined.unwrap_or_else(|message| panic!("{message}\n{}", kept.demo.log_tail()));
    let read = ["-f", "raw", &new_uri, "-c", "read -P 0x22 0 64k"];
    Tool::QemuIo.run(read);
    assert!(kept.demo.terminate().success(), "{}", kept.demo.log_tail());
}
