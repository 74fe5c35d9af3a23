//! A real process, killed at any moment: what it was told is durable is there afterwards.
//!
//! Alone in its binary: between fork and exec a child holds every file that this process has open, and
//! with it the locks of stores that other tests have just closed.

mod reference;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use holdfast_blockvol::Volume;
use holdfast_blockvol::sim::{SimRng, seed_from_env};
use reference::{BLOCKS, format_on_files, options_on_files, read_all, write};

const CHILD_DIR: &str = "HOLDFAST_TEST_CHILD_DIR";
const CHILD_NEXT: &str = "HOLDFAST_TEST_CHILD_NEXT";

/// The child of the next test: writes block `n % BLOCKS` with tag `n`, and says which `n` a sync
/// has covered, until it is killed.
#[test]
#[ignore = "run by f01_whatever_was_acknowledged_is_there_after_kill_9 in a process of its own"]
fn child_writes_until_it_is_killed() {
    let dir = std::env::var(CHILD_DIR).expect("run by its parent");
    let mut n: u64 = std::env::var(CHILD_NEXT).unwrap().parse().unwrap();
    let volume = Volume::open(Path::new(&dir), options_on_files()).unwrap();
    let epoch = volume.promise().epoch.next();
    volume.fence(epoch).unwrap();
    volume.append_epoch_start(epoch).unwrap();
    let mut rng = SimRng::new(n);
    loop {
        for _ in 0..=rng.below(6) {
            write(&volume, epoch.0, n % BLOCKS, 1, n);
            n += 1;
        }
        volume.sync().unwrap();
        println!("acknowledged {}", n - 1);
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn f01_whatever_was_acknowledged_is_there_after_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("vol");
    Volume::create(&place, &format_on_files()).unwrap();
    let seed = seed_from_env(9);
    println!("HOLDFAST_SEED={seed}");
    let mut rng = SimRng::new(seed);
    let mut next = 1;
    for round in 0..15 {
        let acknowledged = run_child(&place, next, rng.below(150));
        let volume = Volume::open(&place, options_on_files()).unwrap();
        let image = read_all(&volume);
        let last = *image.iter().max().unwrap();
        assert!(
            last >= acknowledged,
            "round {round}: {acknowledged} was acknowledged, {last} is there"
        );
        for (block, tag) in image.iter().enumerate() {
            let newest = (0..=last).rev().find(|n| n % BLOCKS == block as u64);
            assert_eq!(*tag, newest.unwrap_or(0), "round {round}, block {block}");
        }
        next = last + 1;
    }
}

/// Starts a child, kills it after some acknowledgements, and returns the last one heard.
fn run_child(place: &Path, next: u64, acks: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "child_writes_until_it_is_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(CHILD_DIR, place)
        .env(CHILD_NEXT, next.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut last = 0;
    let mut heard = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(n) = line.strip_prefix("acknowledged ") {
            last = n.parse().unwrap();
            heard += 1;
            if heard > acks {
                child.kill().unwrap();
            }
        }
    }
    let status = child.wait().unwrap();
    assert!(!status.success(), "killed");
    assert!(heard > acks, "the child ended by itself: {status}");
    last
}
