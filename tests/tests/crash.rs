//! One node, killed again and again while a client writes and flushes.
//!
//! What the process wrote stays with the system when the process is killed, so this is a test of
//! logging and recovery; that a flush reaches the disk is shown by the simulated disks of the storage.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use holdfast_tests::command::holdfast;
use holdfast_tests::node::{Authority, NodeSetup};
use holdfast_tests::process::Process;
use holdfast_tests::tools::Tool;
use holdfast_tests::{ports, wait};

/// Lives of the node.
const LIVES: usize = 6;

/// Writes of one life, each followed by a flush; far more than are waited for.
const WRITES: usize = 2000;

/// Blocks that the writes go round over.
const BLOCKS: usize = 512;

const BLOCK: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(30);

/// What the block of write `number` of a life is filled with; never zero.
fn tag(life: usize, number: usize) -> u8 {
    u8::try_from((life * 37 + number * 11) % 255 + 1).expect("at most 255")
}

/// A qemu-io that writes block after block, each with a flush.
fn writer(life: usize, uri: &str, directory: &Path) -> Process {
    let mut command = Command::new("qemu-io");
    command.args(["-f", "raw", uri]);
    for number in 0..WRITES {
        let offset = number % BLOCKS * BLOCK;
        command.arg("-c");
        command.arg(format!("write -P {} {offset} {BLOCK}", tag(life, number)));
        command.args(["-c", "flush"]);
    }
    Process::start(&format!("writer-{life}"), &mut command, directory)
}

/// How many writes it says were acknowledged. All before the last of these are flushed, as commands
/// are carried out in order.
fn acknowledged(said: &str) -> usize {
    let whole = format!("wrote {BLOCK}/{BLOCK} bytes");
    said.lines().filter(|line| line.starts_with(&whole)).count()
}

/// What a block may hold after a life: what its last flushed write put there, or what one that was
/// submitted later did.
fn possible(life: usize, block: usize, flushed: usize, submitted: usize, before: &[u8]) -> Vec<u8> {
    let writes = (block..submitted).step_by(BLOCKS);
    let last_flushed = writes.clone().rfind(|number| *number < flushed);
    let mut values = match last_flushed {
        Some(number) => vec![tag(life, number)],
        None => before.to_vec(),
    };
    values.extend(
        writes
            .filter(|number| *number >= flushed)
            .map(|number| tag(life, number)),
    );
    values
}

fn promote(setup: &NodeSetup) {
    let control = setup.control.to_string();
    let promoted = holdfast(["promote", "v", "--node", &control, "--json"]).json();
    assert_eq!(promoted["record"]["primary"], "solo");
    wait_until_served(setup);
}

/// Its primary serves only once it holds a lease and has begun its epoch.
fn wait_until_served(setup: &NodeSetup) {
    let served = wait::until("the volume is served", PATIENCE, || {
        let info = Tool::NbdInfo.attempt([setup.uri("v")]);
        if info.success { Ok(()) } else { Err(info.said) }
    });
    served.unwrap();
}

#[test]
fn a1_acknowledged_flushes_survive_every_kill() {
    let dir = tempfile::tempdir().unwrap();
    let [authority] = ports::free();
    let setup = NodeSetup::new("solo", dir.path(), Authority::Embedded(authority))
        .with("lease", "duration", "\"500ms\"")
        // Smaller than what is written: the log goes round, and write-back is under way at a kill.
        .with("limits", "log_size", "\"1MiB\"");
    let mut node = setup.start();
    let control = setup.control.to_string();
    let create = [
        "volume", "create", "v", "--size", "4MiB", "--copy", &control, "--node", &control,
    ];
    let created = holdfast(create);
    assert_eq!(created.code, Some(0), "{created:?}");
    wait_until_served(&setup);

    // What each block may hold.
    let mut possibly = vec![vec![0_u8]; BLOCKS];
    let mut flushed_in_all = 0;
    for life in 0..LIVES {
        let mut client = writer(life, &setup.uri("v"), dir.path());
        let enough = 40 + life * 30;
        let log = dir.path().join(format!("writer-{life}.log"));
        client.until("has written", || {
            let said = std::fs::read_to_string(&log).map_err(|error| error.to_string())?;
            let count = acknowledged(&said);
            if count >= enough {
                Ok(())
            } else {
                Err(format!("{count} writes"))
            }
        });
        node.kill();
        client.wait(PATIENCE);
        let written = acknowledged(&client.log());
        assert!(
            (enough..WRITES).contains(&written),
            "{written} writes in life {life}"
        );
        // The flush after the last acknowledged write may not have been answered; one more write
        // may have been submitted after that.
        let flushed = written - 1;
        flushed_in_all += flushed;

        node = setup.start();
        promote(&setup);
        let image = dir.path().join("read.img");
        Tool::NbdCopy.run([&setup.uri("v"), image.to_str().unwrap()]);
        let content = std::fs::read(&image).unwrap();
        for block in 0..BLOCKS {
            let found = &content[block * BLOCK..(block + 1) * BLOCK];
            let values = possible(life, block, flushed, written + 1, &possibly[block]);
            let whole = found.iter().all(|byte| *byte == found[0]);
            assert!(whole, "life {life}: block {block} is torn");
            assert!(
                values.contains(&found[0]),
                "life {life}: block {block} holds {}, one of {values:?} was to be there",
                found[0]
            );
            // A read fixes it: what was shown never changes back.
            possibly[block] = vec![found[0]];
        }
        assert!(content[BLOCKS * BLOCK..].iter().all(|byte| *byte == 0));
    }
    assert!(
        flushed_in_all > LIVES * 40,
        "{flushed_in_all} flushes were tested"
    );
}
