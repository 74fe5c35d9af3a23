//! `holdfast demo`: from the first act to the verdict, and out of the world again.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use holdfast_tests::command::holdfast_in;
use holdfast_tests::process::Process;
use holdfast_tests::{binary, wait};
use rustix::process::{Pid, Signal, kill_process};

/// What the demo is allowed.
const TWO_MINUTES: Duration = Duration::from_secs(120);

fn start(directory: &Path) -> Process {
    let mut command = Command::new(binary::holdfast());
    command.arg("demo").env("TMPDIR", directory);
    Process::start("demo", &mut command, directory)
}

/// The process ids that the demo has told: "r1 is process 123: ...".
fn nodes_told(said: &str) -> Vec<u32> {
    said.lines()
        .filter_map(|line| line.split_once(" is process "))
        .filter_map(|(_, rest)| rest.split(':').next()?.parse().ok())
        .collect()
}

/// Waits until the demo has told its three nodes.
fn until_nodes_are_told(demo: &mut Process, directory: &Path) -> Vec<u32> {
    let log = directory.join("demo.log");
    demo.until("tells its nodes", || {
        let said = std::fs::read_to_string(&log).map_err(|error| error.to_string())?;
        let nodes = nodes_told(&said);
        if nodes.len() == 3 {
            Ok(nodes)
        } else {
            Err(said)
        }
    })
}

fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A process that nobody has waited for yet is over all the same.
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn left_behind(directory: &Path) -> Vec<String> {
    let items = std::fs::read_dir(directory).unwrap();
    let names = items.map(|item| item.unwrap().file_name().to_string_lossy().into_owned());
    names
        .filter(|name| name.starts_with("holdfast-demo-"))
        .collect()
}

#[test]
fn a7_the_demo_ends_with_every_block_of_every_copy_as_it_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut demo = start(dir.path());
    let status = demo.wait(TWO_MINUTES);
    let said = demo.log();
    assert!(status.success(), "{status}\n{said}");
    for word in [
        "VERDICT: good. 3 copies of 12288 blocks hold exactly what was acknowledged",
        ": session_ended",
        ": truncated (divergent_tail), to ",
        ": classified needs_rebuild",
        ": transfer_began",
        ": base_installed",
        "is killed (SIGKILL)",
        "writing the image: 100 %",
    ] {
        assert!(said.contains(word), "{word:?} was not said in:\n{said}");
    }
    let nodes = nodes_told(&said);
    assert_eq!(nodes.len(), 3);
    assert!(
        nodes.iter().all(|pid| !runs(*pid)),
        "a node outlived the demo"
    );
    assert_eq!(left_behind(dir.path()), [""; 0]);
}

#[test]
fn when_the_demo_is_killed_its_nodes_end_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut demo = start(dir.path());
    let nodes = until_nodes_are_told(&mut demo, dir.path());
    assert!(nodes.iter().all(|pid| runs(*pid)));
    demo.kill();
    let ended = wait::until("the end of the nodes", wait::PATIENCE, || {
        let left: Vec<_> = nodes.iter().filter(|pid| runs(**pid)).collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?} run"))
        }
    });
    ended.unwrap();
}

#[test]
fn an_interrupted_demo_stops_its_nodes_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut demo = start(dir.path());
    let nodes = until_nodes_are_told(&mut demo, dir.path());
    assert_eq!(demo.terminate().code(), Some(1));
    assert!(demo.log().contains("interrupted"), "{}", demo.log());
    assert!(
        nodes.iter().all(|pid| !runs(*pid)),
        "a node outlived the demo"
    );
}

#[test]
fn a_demo_whose_primary_dies_unasked_fails_with_its_act_and_keeps_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut demo = start(dir.path());
    let log = dir.path().join("demo.log");
    let (nodes, primary) = demo.until("attaches to its primary", || {
        let said = std::fs::read_to_string(&log).map_err(|error| error.to_string())?;
        if !said.contains("attached to nbd://") {
            return Err(said);
        }
        let (_, rest) = said.split_once(", primary r").ok_or(said.as_str())?;
        let primary = rest.chars().next().and_then(|digit| digit.to_digit(10));
        Ok((nodes_told(&said), primary.ok_or(said.as_str())? as usize))
    });
    let pid = i32::try_from(nodes[primary - 1])
        .ok()
        .and_then(Pid::from_raw)
        .unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    assert_eq!(demo.wait(TWO_MINUTES).code(), Some(1));
    let said = demo.log();
    for word in [
        "VERDICT: failed in act ",
        "The last events:",
        "r1.log",
        "its files and logs",
    ] {
        assert!(said.contains(word), "{word:?} was not said in:\n{said}");
    }
    assert!(
        nodes.iter().all(|pid| !runs(*pid)),
        "a node outlived the demo"
    );
    assert_eq!(left_behind(dir.path()).len(), 1);
}

#[test]
fn an_image_that_cannot_be_used_is_told_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.img");
    std::fs::write(&empty, "").unwrap();
    let missing = dir.path().join("missing.img");
    for (image, words) in [(&empty, "is empty"), (&missing, "cannot read the image")] {
        let path = image.to_str().unwrap();
        let refused = holdfast_in(dir.path(), ["demo", "--image", path]);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.stderr.contains(words), "{refused:?}");
        assert!(refused.stderr.contains(path), "{refused:?}");
        assert_eq!(refused.stdout, "");
    }
    assert_eq!(left_behind(dir.path()), [""; 0]);
}
