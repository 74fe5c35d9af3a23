//! `holdfast inspect`: a store at rest.

use std::path::PathBuf;

use clap::Args;
use holdfast_blockvol::SlotReport;

use super::Failure;

#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// Directory of a store that no node has open.
    directory: PathBuf,
}

pub(super) fn run(args: &InspectArgs) -> Result<(), Failure> {
    let found = holdfast_blockvol::inspect(&args.directory)
        .map_err(|error| Failure::Environment(error.to_string()))?;
    println!("volume {}, {} blocks", found.volume, found.blocks);
    println!("store {}", found.store);
    for (number, slot) in found.slots.iter().enumerate() {
        match slot {
            SlotReport::Good {
                generation,
                checkpoint,
            } => println!("superblock {number}: generation {generation}, checkpoint {checkpoint}"),
            SlotReport::Unusable(why) => println!("superblock {number}: {why}"),
        }
    }
    let promise = found.promise;
    println!(
        "promised epoch {}, led by {}, role {}, incarnation {}",
        promise.epoch,
        promise
            .leader
            .map_or_else(|| "nobody known".to_owned(), |leader| leader.to_string()),
        promise.role,
        promise.incarnation
    );
    println!("{}", found.positions);
    for entry in found.lineage.entries() {
        println!("lineage: epoch {} from entry {}", entry.epoch, entry.first);
    }
    println!(
        "log: {} entries, {} of {} bytes; {}",
        found.entries, found.log_used, found.log_bytes, found.log_end
    );
    if let Some(damage) = &found.damage {
        return Err(Failure::Finding(format!("not sound: {damage}")));
    }
    if !found.is_sound() {
        return Err(Failure::Finding(
            "not sound: the image is not trusted; rebuild this copy from another".into(),
        ));
    }
    println!("sound");
    Ok(())
}
