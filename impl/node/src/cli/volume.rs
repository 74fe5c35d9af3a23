//! `holdfast volume`: create, list, show, set, resize; and its snapshots.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use holdfast_types::{BLOCK_SIZE, DurabilityMode, VolumeRecord, WriteAck};

use super::snapshot::{self, SnapshotCommand};
use super::{At, Failure, print_json};
use crate::authority::Recorded;
use crate::config::parse_size;
use crate::runtime::{
    ControlReply, ControlRequest, MemberPlan, Order, OrderReply, SettingsChange, VolumePlan,
};

/// Making the stores and promoting the first primary takes a while.
const CREATE_WAIT: Duration = Duration::from_secs(300);
/// What was acknowledged may first have to reach more copies.
const SET_WAIT: Duration = Duration::from_secs(60);
const LIST_WAIT: Duration = Duration::from_secs(10);

#[derive(Debug, Subcommand)]
pub(super) enum VolumeCommand {
    /// Create a volume: a fresh store on each node, a record, a first primary.
    Create(CreateArgs),
    /// Every volume that the authority knows.
    List(ListArgs),
    /// One volume's record.
    Show(ShowArgs),
    /// Change when writes and flushes are acknowledged, while the volume is served.
    Set(SetArgs),
    /// Delete a volume for good, with every copy of it, also those on nodes that are away.
    Delete(DeleteArgs),
    /// Make a volume larger, on every copy, while it is served. New clients see the new size.
    Resize(ResizeArgs),
    /// The volume as it was at one moment: kept, restored, exported, imported.
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
}

#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    /// Name or id.
    volume: String,
    /// Its name once more: nothing of it comes back.
    #[arg(long, value_name = "NAME")]
    yes: String,
    /// Also while clients are attached, which are cut off.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(super) struct ResizeArgs {
    /// Name or id.
    volume: String,
    /// The new size, such as 64MiB or 10GiB; whole blocks of 4 KiB, no smaller than it is.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    size: u64,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// Its name, which is also that of its NBD export.
    name: String,
    /// Its size, such as 64MiB or 10GiB; whole blocks of 4 KiB.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    size: u64,
    /// Control address of a node that keeps a copy; once for each copy. `CONTROL=DATA` also names
    /// where primaries reach the copy, if that is not where its node listens.
    #[arg(long = "copy", value_name = "CONTROL[=DATA]", required = true, value_parser = parse_copy)]
    copies: Vec<MemberPlan>,
    /// When a flush is acknowledged; by default `best-effort` for 1 copy, `sync-all` for 2,
    /// `sync-quorum` for 3 and more.
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// `sync-all`: with fewer in-sync copies nothing is acknowledged; all but one by default.
    #[arg(long, value_name = "COPIES")]
    min_in_sync: Option<usize>,
    /// When a write is acknowledged; `received` by default, `local` for `best-effort`.
    #[arg(long, value_enum)]
    write_ack: Option<Ack>,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    /// Durable on the primary.
    BestEffort,
    /// Durable on every member of the in-sync set.
    SyncAll,
    /// Durable on a majority of the voters.
    SyncQuorum,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Ack {
    /// In the primary's log.
    Local,
    /// Received by the copies that the mode asks for.
    Received,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// One JSON object per volume instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Name or id.
    volume: String,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
#[group(id = "setting", multiple = true, required = true, args = ["mode", "min_in_sync", "write_ack"])]
pub(super) struct SetArgs {
    /// Name or id.
    volume: String,
    /// When a flush is acknowledged.
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// `sync-all`: with fewer in-sync copies nothing is acknowledged.
    #[arg(long, value_name = "COPIES")]
    min_in_sync: Option<usize>,
    /// When a write is acknowledged; follows the mode where that changes.
    #[arg(long, value_enum)]
    write_ack: Option<Ack>,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

impl From<Mode> for DurabilityMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::BestEffort => Self::BestEffort,
            Mode::SyncAll => Self::SyncAll,
            Mode::SyncQuorum => Self::SyncQuorum,
        }
    }
}

impl From<Ack> for WriteAck {
    fn from(ack: Ack) -> Self {
        match ack {
            Ack::Local => Self::Local,
            Ack::Received => Self::Received,
        }
    }
}

pub(super) fn parse_copy(text: &str) -> Result<MemberPlan, String> {
    let address = |text: &str| -> Result<SocketAddr, String> {
        text.parse()
            .map_err(|_| format!("{text:?} is no address and port"))
    };
    match text.split_once('=') {
        None => Ok(MemberPlan {
            control: address(text)?,
            data: None,
        }),
        Some((control, data)) => Ok(MemberPlan {
            control: address(control)?,
            data: Some(address(data)?),
        }),
    }
}

pub(super) async fn run(command: VolumeCommand) -> Result<(), Failure> {
    match command {
        VolumeCommand::Create(args) => create(args).await,
        VolumeCommand::List(args) => list(args).await,
        VolumeCommand::Show(args) => show(args).await,
        VolumeCommand::Set(args) => set(args).await,
        VolumeCommand::Delete(args) => delete(args).await,
        VolumeCommand::Resize(args) => resize(args).await,
        VolumeCommand::Snapshot(command) => snapshot::run(command).await,
    }
}

/// A size in blocks.
fn whole_blocks(size: u64) -> Result<u64, Failure> {
    if size == 0 || !size.is_multiple_of(BLOCK_SIZE as u64) {
        return Err(Failure::Usage(format!(
            "{size} bytes are not whole blocks of {BLOCK_SIZE} bytes"
        )));
    }
    Ok(size / BLOCK_SIZE as u64)
}

async fn delete(args: DeleteArgs) -> Result<(), Failure> {
    let request = ControlRequest::DeleteVolume {
        volume: args.volume.clone(),
        yes: args.yes,
        force: args.force,
    };
    match args.at.ask(&request, SET_WAIT).await? {
        ControlReply::Done => {}
        ControlReply::Node(_)
        | ControlReply::Store { .. }
        | ControlReply::Fenced { .. }
        | ControlReply::Recorded { .. }
        | ControlReply::Records { .. }
        | ControlReply::Ordered(_)
        | ControlReply::Copy(_)
        | ControlReply::Plan(_)
        | ControlReply::Promoted { .. }
        | ControlReply::Status(_)
        | ControlReply::Events { .. }
        | ControlReply::Lease(_)
        | ControlReply::AuthorityError { .. }
        | ControlReply::Failed { .. } => return Err(Failure::unexpected()),
    }
    println!(
        "{}: deleted; each node removes its copy as it learns of it",
        args.volume
    );
    Ok(())
}

async fn resize(args: ResizeArgs) -> Result<(), Failure> {
    let blocks = whole_blocks(args.size)?;
    let request = ControlRequest::Order {
        volume: args.volume,
        order: Order::Grow { blocks },
    };
    let answer = args.at.ask(&request, CREATE_WAIT).await?;
    let ControlReply::Ordered(OrderReply::Changed { record }) = answer else {
        return Err(Failure::unexpected());
    };
    if args.json {
        return print_json(&record);
    }
    print_record(&record);
    Ok(())
}

async fn create(args: CreateArgs) -> Result<(), Failure> {
    let blocks = whole_blocks(args.size)?;
    let plan = VolumePlan {
        name: args.name,
        blocks,
        members: args.copies,
        mode: args.mode.map(DurabilityMode::from),
        min_in_sync: args.min_in_sync,
        write_ack: args.write_ack.map(WriteAck::from),
    };
    let request = ControlRequest::CreateVolume(plan);
    let ControlReply::Promoted { record, .. } = args.at.ask(&request, CREATE_WAIT).await? else {
        return Err(Failure::unexpected());
    };
    if args.json {
        return print_json(&record);
    }
    println!("created");
    print_record(&record);
    Ok(())
}

async fn records(at: &At) -> Result<Vec<Recorded>, Failure> {
    match at.ask(&ControlRequest::ListVolumes, LIST_WAIT).await? {
        ControlReply::Records { records } => Ok(records),
        ControlReply::Done
        | ControlReply::Node(_)
        | ControlReply::Store { .. }
        | ControlReply::Fenced { .. }
        | ControlReply::Recorded { .. }
        | ControlReply::Ordered(_)
        | ControlReply::Copy(_)
        | ControlReply::Plan(_)
        | ControlReply::Promoted { .. }
        | ControlReply::Status(_)
        | ControlReply::Events { .. }
        | ControlReply::Lease(_)
        | ControlReply::AuthorityError { .. }
        | ControlReply::Failed { .. } => Err(Failure::unexpected()),
    }
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    for recorded in records(&args.at).await? {
        if args.json {
            print_json(&recorded.record)?;
        } else {
            print_record(&recorded.record);
        }
    }
    Ok(())
}

async fn show(args: ShowArgs) -> Result<(), Failure> {
    let all = records(&args.at).await?;
    let named = |record: &VolumeRecord| {
        record.name == args.volume || record.volume.to_string() == args.volume
    };
    let Some(found) = all.iter().find(|recorded| named(&recorded.record)) else {
        return Err(Failure::Finding(format!(
            "no volume {:?}; `holdfast volume list` shows them",
            args.volume
        )));
    };
    if args.json {
        return print_json(&found.record);
    }
    print_record(&found.record);
    for (replica, member) in &found.record.members {
        println!(
            "    {replica}: data {}, control {}, store {}",
            member.endpoint.data, member.endpoint.control, member.store
        );
    }
    Ok(())
}

async fn set(args: SetArgs) -> Result<(), Failure> {
    let request = ControlRequest::SetVolume {
        volume: args.volume,
        change: SettingsChange {
            mode: args.mode.map(DurabilityMode::from),
            min_in_sync: args.min_in_sync,
            write_ack: args.write_ack.map(WriteAck::from),
        },
    };
    let ControlReply::Recorded { recorded } = args.at.ask(&request, SET_WAIT).await? else {
        return Err(Failure::unexpected());
    };
    if args.json {
        return print_json(&recorded.record);
    }
    print_record(&recorded.record);
    Ok(())
}

fn print_record(record: &VolumeRecord) {
    let names = |set: &std::collections::BTreeSet<holdfast_types::ReplicaId>| {
        let names: Vec<&str> = set.iter().map(|replica| replica.as_str()).collect();
        names.join(" ")
    };
    let primary = record
        .primary
        .as_ref()
        .map_or("none", |primary| primary.as_str());
    println!(
        "{} {} {} blocks, {:?}, epoch {} revision {}, primary {primary}, in sync: {}",
        record.name,
        record.volume,
        record.blocks,
        record.mode,
        record.epoch,
        record.revision,
        names(&record.isr),
    );
}
