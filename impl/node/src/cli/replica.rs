//! `holdfast replica`: add, remove, replace, evict, rebuild, verify.

use std::time::Duration;

use clap::{Args, Subcommand};

use holdfast_types::{ReplicaId, VolumeRecord};

use super::volume::parse_copy;
use super::{At, Failure, print_json};
use crate::config::parse_size;
use crate::runtime::{
    ControlReply, ControlRequest, MemberPlan, Order, OrderReply, Outcome, VerifyReport,
};

/// Making a store takes a while: its log is written over with zeroes.
const WAIT: Duration = Duration::from_secs(300);

/// What was acknowledged may first have to be durable on those that stay.
const EVICT_WAIT: Duration = Duration::from_secs(60);

/// The same, and everything acknowledged may have to be made durable on others first.
const ORDER_WAIT: Duration = Duration::from_secs(70);

/// Everything that the copies hold is read.
const VERIFY_WAIT: Duration = Duration::from_secs(7 * 24 * 3600);

#[derive(Debug, Subcommand)]
pub(super) enum ReplicaCommand {
    /// Add a copy on another node: it is recorded, gets an empty store, is rebuilt while writes go on, and
    /// joins the in-sync set (of a quorum: and the voters) when it is in sync.
    Add(AddArgs),
    /// Take a copy out of the volume for good. Its store stays where it is and counts for nothing.
    Remove(RemoveArgs),
    /// Make an empty store on the node that is asked, in place of one that is lost for good. The
    /// volume's primary then rebuilds it.
    Replace(ReplaceArgs),
    /// Take a member that is gone out of the in-sync set, below `min_in_sync` too, so that the volume
    /// goes on without it. It comes back by a catch-up, or by a rebuild where that is too late.
    Evict(EvictArgs),
    /// Rebuild a copy from the primary's, block by block, while writes go on: it leaves the in-sync set,
    /// and joins it again when it is done. Of one that is being rebuilt, it changes the rate.
    Rebuild(RebuildArgs),
    /// Compare the in-sync copies of a volume block by block, checksums included, while it is served.
    /// Exit code 1 where a block is not right and was not repaired.
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// Name or id of the volume.
    volume: String,
    /// Control address of the node; `CONTROL=DATA` also names where primaries reach the copy, if that
    /// is not where its node listens.
    #[arg(value_name = "CONTROL[=DATA]", value_parser = parse_copy)]
    copy: MemberPlan,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// Name or id of the volume.
    volume: String,
    /// The copy.
    #[arg(value_parser = label)]
    replica: ReplicaId,
    /// Also where too few copies are left in sync for anything to be acknowledged. Never gives up what
    /// was acknowledged.
    #[arg(long)]
    force: bool,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Name or id of the volume.
    volume: String,
    /// Write what is not right again: what fails its checksum, from a copy whose checksum holds; what
    /// differs, from what more than half of the copies hold. Never from a copy that is not in sync.
    #[arg(long)]
    repair: bool,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(super) struct RebuildArgs {
    /// Name or id of the volume.
    volume: String,
    /// The copy.
    #[arg(value_parser = label)]
    replica: ReplicaId,
    /// How much of the image is sent in a second, such as 50MiB; at least 256KiB, unbounded by default.
    /// Clients that write more than the log takes meanwhile wait for it.
    #[arg(long, value_name = "BYTES", value_parser = parse_size)]
    rate: Option<u64>,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(super) struct EvictArgs {
    /// Name or id of the volume.
    volume: String,
    /// The member.
    #[arg(value_parser = label)]
    replica: ReplicaId,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(super) struct ReplaceArgs {
    /// Name or id of the volume.
    volume: String,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

pub(super) async fn run(command: ReplicaCommand) -> Result<(), Failure> {
    match command {
        ReplicaCommand::Add(args) => add(args).await,
        ReplicaCommand::Remove(args) => remove(args).await,
        ReplicaCommand::Replace(args) => replace(args).await,
        ReplicaCommand::Evict(args) => evict(args).await,
        ReplicaCommand::Rebuild(args) => rebuild(args).await,
        ReplicaCommand::Verify(args) => verify(args).await,
    }
}

async fn evict(args: EvictArgs) -> Result<(), Failure> {
    let request = ControlRequest::EvictReplica {
        volume: args.volume,
        replica: args.replica.clone(),
    };
    let ControlReply::Recorded { recorded } = args.at.ask(&request, EVICT_WAIT).await? else {
        return Err(Failure::unexpected());
    };
    let record = recorded.record;
    if args.json {
        return print_json(&record);
    }
    println!(
        "{}: {} is out of the in-sync set, which has {} of {} copies now. What it holds counts no \
         more: it is caught up when it is back, or rebuilt where the log that it lacks is gone",
        record.name,
        args.replica,
        record.isr.len(),
        record.members.len()
    );
    Ok(())
}

async fn rebuild(args: RebuildArgs) -> Result<(), Failure> {
    let request = ControlRequest::Order {
        volume: args.volume.clone(),
        order: Order::Rebuild {
            replica: args.replica,
            rate: args.rate,
        },
    };
    let ControlReply::Ordered(outcome) = args.at.ask(&request, ORDER_WAIT).await? else {
        return Err(Failure::unexpected());
    };
    if args.json {
        return print_json(&outcome);
    }
    let OrderReply::Rebuilding { replica, rate } = outcome else {
        return Err(Failure::unexpected());
    };
    let rate = rate.map_or_else(
        || "as fast as it goes".to_owned(),
        |rate| format!("at no more than {rate} bytes per second"),
    );
    println!(
        "{}: {replica} is out of the in-sync set and is rebuilt {rate}; `holdfast status` at the primary \
         shows how far it is",
        args.volume
    );
    Ok(())
}

async fn add(args: AddArgs) -> Result<(), Failure> {
    let order = Order::Add { member: args.copy };
    let record = changed(&args.at, &args.volume, order, WAIT).await?;
    if args.json {
        return print_json(&record);
    }
    println!(
        "{}: {} copies now; the new one is rebuilt, and joins when it is in sync; `holdfast status` at the \
         primary shows how far it is",
        record.name,
        record.members.len()
    );
    Ok(())
}

async fn remove(args: RemoveArgs) -> Result<(), Failure> {
    let (replica, force) = (args.replica.clone(), args.force);
    let order = Order::Remove { replica, force };
    let record = changed(&args.at, &args.volume, order, ORDER_WAIT).await?;
    if args.json {
        return print_json(&record);
    }
    println!(
        "{}: {} is no copy any more, {} are left; its store can be deleted",
        record.name,
        args.replica,
        record.members.len()
    );
    Ok(())
}

/// Gives an order that changes the record.
async fn changed(
    at: &At,
    volume: &str,
    order: Order,
    wait: Duration,
) -> Result<Box<VolumeRecord>, Failure> {
    let volume = volume.to_owned();
    let request = ControlRequest::Order { volume, order };
    let answer = at.ask(&request, wait).await?;
    let ControlReply::Ordered(OrderReply::Changed { record }) = answer else {
        return Err(Failure::unexpected());
    };
    Ok(record)
}

async fn verify(args: VerifyArgs) -> Result<(), Failure> {
    let request = ControlRequest::Order {
        volume: args.volume.clone(),
        order: Order::Verify {
            repair: args.repair,
        },
    };
    let answer = args.at.ask(&request, VERIFY_WAIT).await?;
    let ControlReply::Ordered(OrderReply::Verified { report }) = answer else {
        return Err(Failure::unexpected());
    };
    if args.json {
        print_json(&report)?;
    } else {
        print_report(&report);
    }
    let summary = &report.summary;
    match summary.blocks_found - summary.blocks_repaired {
        0 => Ok(()),
        left => Err(Failure::Finding(format!(
            "{}: {left} blocks are not equal and sound on every copy",
            args.volume
        ))),
    }
}

fn print_report(report: &VerifyReport) {
    let names: Vec<&str> = report.copies.iter().map(ReplicaId::as_str).collect();
    println!("compared: {}", names.join(" "));
    for (replica, why) in &report.left_out {
        println!("not compared: {replica}: {why}");
    }
    for finding in &report.findings {
        let copies = finding.copies.iter();
        let copies: Vec<String> = copies
            .map(|(replica, held)| format!("{replica} {held:?}"))
            .collect();
        let outcome = match &finding.outcome {
            Outcome::Repaired => "repaired".to_owned(),
            Outcome::Repairable => "can be repaired (--repair)".to_owned(),
            Outcome::Undecided { why } => format!("nobody can say what is right: {why:?}"),
            Outcome::NotRepaired { what } => format!("NOT repaired: {what}"),
        };
        let last = finding.block + finding.count - 1;
        println!(
            "blocks {}..={last}: {}: {outcome}",
            finding.block,
            copies.join(", ")
        );
    }
    let summary = &report.summary;
    println!(
        "{} chunks, {} blocks found, {} repaired, {} written all the while and not judged",
        summary.chunks_done, summary.blocks_found, summary.blocks_repaired, summary.blocks_busy
    );
}

async fn replace(args: ReplaceArgs) -> Result<(), Failure> {
    let request = ControlRequest::ReplaceStore {
        volume: args.volume.clone(),
    };
    let ControlReply::Store { store } = args.at.ask(&request, WAIT).await? else {
        return Err(Failure::unexpected());
    };
    if args.json {
        return print_json(&serde_json::json!({ "volume": args.volume, "store": store }));
    }
    println!(
        "{}: made the empty store {store}; it is rebuilt by the primary",
        args.volume
    );
    Ok(())
}

fn label(text: &str) -> Result<ReplicaId, String> {
    ReplicaId::new(text).map_err(|error| error.to_string())
}
