//! `holdfast volume snapshot`: create, list, delete, export, import, restore.
//!
//! Files are written and read by the command, where it runs. Promises: nothing that exists is written
//! over; every piece of an export is held against the digest that the primary names, and every piece of
//! an import against the manifest.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use holdfast_blockvol::{
    CHUNK_BLOCKS, ChunkDigest, ExportManifest, ImageDigest, ImportSource, chunk_count, chunk_range,
};
use holdfast_types::{BLOCK_SIZE, SnapshotLabel, VolumeId};
use sha2::{Digest, Sha256};

use super::{At, Failure, print_json};
use crate::runtime::{ControlReply, ControlRequest, Order, OrderReply, SnapshotRow};
use crate::verify::{bytes_of, hexadecimal};

/// Every copy carries it out when its write-back gets there.
const OPERATION_WAIT: Duration = Duration::from_secs(250);
const PIECE_WAIT: Duration = Duration::from_secs(70);
/// The whole volume is read.
const CHECK_WAIT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Bytes of one piece of an import.
const PIECE_BYTES: usize = 64 * BLOCK_SIZE;

#[derive(Debug, Subcommand)]
pub(super) enum SnapshotCommand {
    /// Keep the volume as it is at this moment, on every copy.
    Create(CreateArgs),
    /// Every snapshot of a volume, the oldest first.
    List(ListArgs),
    /// Give a snapshot up, on every copy.
    Delete(OneArgs),
    /// Write a snapshot into a new file, as `dd` would read the device, and a manifest with its SHA-256
    /// beside it.
    Export(ExportArgs),
    /// Write an exported image into a volume that nothing was written to yet, verified piece by piece.
    Import(ImportArgs),
    /// Have the volume hold again what a snapshot holds. What was written since is gone; clients wait
    /// meanwhile.
    Restore(RestoreArgs),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// Name or id of the volume.
    volume: String,
    /// Its label: 1 to 64 letters, digits and . _ - :, unique in the volume.
    #[arg(value_parser = label)]
    label: SnapshotLabel,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Name or id of the volume.
    volume: String,
    /// One JSON object per snapshot instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(super) struct OneArgs {
    /// Name or id of the volume.
    volume: String,
    /// Name, as in 17-3, or label of the snapshot.
    snapshot: String,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// Name or id of the volume.
    volume: String,
    /// Name, as in 17-3, or label of the snapshot.
    snapshot: String,
    /// The volume once more, as it was named before: what was written since the snapshot is given up.
    #[arg(long, value_name = "VOLUME")]
    yes: String,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Name or id of the volume.
    volume: String,
    /// Name, as in 17-3, or label of the snapshot.
    snapshot: String,
    /// The file of the image; must not exist.
    image: PathBuf,
    /// The file of the manifest; IMAGE.json by default, must not exist.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// The manifest on standard output too, as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Name or id of the volume, at least as large as the image, and empty.
    volume: String,
    /// The file of the image.
    image: PathBuf,
    /// The file of the manifest; IMAGE.json by default.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    #[command(flatten)]
    at: At,
}

fn label(text: &str) -> Result<SnapshotLabel, String> {
    SnapshotLabel::new(text).map_err(|error| error.to_string())
}

pub(super) async fn run(command: SnapshotCommand) -> Result<(), Failure> {
    match command {
        SnapshotCommand::Create(args) => create(args).await,
        SnapshotCommand::List(args) => list(args).await,
        SnapshotCommand::Delete(args) => delete(args).await,
        SnapshotCommand::Export(args) => export(args).await,
        SnapshotCommand::Import(args) => import(args).await,
        SnapshotCommand::Restore(args) => restore(args).await,
    }
}

async fn ordered(
    at: &At,
    volume: &str,
    order: Order,
    wait: Duration,
) -> Result<OrderReply, Failure> {
    let volume = volume.to_owned();
    let request = ControlRequest::Order { volume, order };
    match at.ask(&request, wait).await? {
        ControlReply::Ordered(outcome) => Ok(outcome),
        ControlReply::Done
        | ControlReply::Node(_)
        | ControlReply::Store { .. }
        | ControlReply::Fenced { .. }
        | ControlReply::Recorded { .. }
        | ControlReply::Records { .. }
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

fn print(row: &SnapshotRow) {
    println!(
        "{} {}: {} blocks, {} bytes of its own",
        row.snapshot,
        row.label.as_str(),
        row.blocks,
        row.bytes
    );
}

async fn create(args: CreateArgs) -> Result<(), Failure> {
    let order = Order::SnapshotCreate { label: args.label };
    let OrderReply::Snapshot { snapshot } =
        ordered(&args.at, &args.volume, order, OPERATION_WAIT).await?
    else {
        return Err(Failure::unexpected());
    };
    if args.json {
        return print_json(&snapshot);
    }
    print(&snapshot);
    Ok(())
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let order = Order::SnapshotList {};
    let OrderReply::Snapshots { snapshots } =
        ordered(&args.at, &args.volume, order, PIECE_WAIT).await?
    else {
        return Err(Failure::unexpected());
    };
    for snapshot in &snapshots {
        if args.json {
            print_json(snapshot)?;
        } else {
            print(snapshot);
        }
    }
    Ok(())
}

async fn delete(args: OneArgs) -> Result<(), Failure> {
    let snapshot = args.snapshot.clone();
    let order = Order::SnapshotDelete { snapshot };
    done(&args.at, &args.volume, order, OPERATION_WAIT).await?;
    println!("{}: snapshot {} is given up", args.volume, args.snapshot);
    Ok(())
}

async fn restore(args: RestoreArgs) -> Result<(), Failure> {
    if args.yes != args.volume {
        let what = format!("--yes {:?} is not the volume {:?}", args.yes, args.volume);
        return Err(Failure::Usage(what));
    }
    let snapshot = args.snapshot.clone();
    let order = Order::SnapshotRestore { snapshot };
    done(&args.at, &args.volume, order, OPERATION_WAIT).await?;
    println!(
        "{} holds what snapshot {} holds",
        args.volume, args.snapshot
    );
    Ok(())
}

async fn done(at: &At, volume: &str, order: Order, wait: Duration) -> Result<(), Failure> {
    match ordered(at, volume, order, wait).await? {
        OrderReply::Done => Ok(()),
        OrderReply::Rebuilding { .. }
        | OrderReply::Snapshot { .. }
        | OrderReply::Snapshots { .. }
        | OrderReply::Chunk { .. }
        | OrderReply::Changed { .. }
        | OrderReply::Verified { .. } => Err(Failure::unexpected()),
    }
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> Failure + '_ {
    move |error| Failure::Environment(format!("{}: {error}", path.display()))
}

fn new_file(path: &Path) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(at(path))
}

fn manifest_beside(image: &Path, manifest: Option<PathBuf>) -> PathBuf {
    manifest.unwrap_or_else(|| {
        let mut name = image.as_os_str().to_owned();
        name.push(".json");
        name.into()
    })
}

/// A chunk as it came, with the volume and the snapshot that it is of; `None` beyond the last.
async fn chunk(
    args: &ExportArgs,
    index: u64,
) -> Result<(VolumeId, SnapshotRow, Option<(Vec<u8>, ChunkDigest)>), Failure> {
    let snapshot = args.snapshot.clone();
    let order = Order::SnapshotChunk { snapshot, index };
    let OrderReply::Chunk {
        volume,
        snapshot,
        chunk,
    } = ordered(&args.at, &args.volume, order, PIECE_WAIT).await?
    else {
        return Err(Failure::unexpected());
    };
    let Some(row) = chunk else {
        return Ok((volume, snapshot, None));
    };
    let content = bytes_of(&row.content).unwrap_or_default();
    let digest = ChunkDigest::of(&content);
    let length = chunk_range(index, snapshot.blocks).map_or(0, |range| range.count());
    if hexadecimal(&digest.0) != row.sha256 || content.len() as u64 != length * BLOCK_SIZE as u64 {
        let what = format!("chunk {index} did not arrive as it was sent");
        return Err(Failure::Environment(what));
    }
    Ok((volume, snapshot, Some((content, digest))))
}

async fn export(args: ExportArgs) -> Result<(), Failure> {
    let manifest_path = manifest_beside(&args.image, args.manifest.clone());
    // Before any file is made: there may be no such snapshot.
    let (volume, snapshot, mut next) = chunk(&args, 0).await?;
    let id = snapshot
        .snapshot
        .parse()
        .map_err(|error| Failure::Environment(format!("{error}")))?;
    let image = new_file(&args.image)?;
    let mut manifest = new_file(&manifest_path)?;
    image
        .set_len(snapshot.blocks * BLOCK_SIZE as u64)
        .map_err(at(&args.image))?;
    let mut whole = Sha256::new();
    let mut digests = Vec::new();
    while let Some((content, digest)) = next {
        let index = digests.len() as u64;
        if content.iter().any(|byte| *byte != 0) {
            let offset = index * CHUNK_BLOCKS * BLOCK_SIZE as u64;
            image
                .write_all_at(&content, offset)
                .map_err(at(&args.image))?;
        }
        whole.update(&content);
        digests.push(digest);
        if index + 1 == chunk_count(snapshot.blocks) {
            break;
        }
        let (_, same, following) = chunk(&args, index + 1).await?;
        if same.snapshot != snapshot.snapshot {
            let what = "the label names another snapshot meanwhile: export it by its name";
            return Err(Failure::Finding(what.into()));
        }
        next = following;
    }
    image.sync_all().map_err(at(&args.image))?;
    let made = ExportManifest {
        format: 1,
        volume,
        snapshot: id,
        label: snapshot.label,
        block_size: BLOCK_SIZE as u64,
        blocks: snapshot.blocks,
        chunk_blocks: CHUNK_BLOCKS,
        sha256: hexadecimal(&whole.finalize()),
        image_digest: ImageDigest::of(digests.iter().copied()).to_string(),
        chunks: digests.iter().map(ToString::to_string).collect(),
    };
    let mut json = serde_json::to_vec_pretty(&made)
        .map_err(|error| Failure::Environment(error.to_string()))?;
    json.push(b'\n');
    manifest
        .write_all(&json)
        .and_then(|()| manifest.sync_all())
        .map_err(at(&manifest_path))?;
    if args.json {
        return print_json(&made);
    }
    println!("{}  {}", made.sha256, args.image.display());
    Ok(())
}

async fn import(args: ImportArgs) -> Result<(), Failure> {
    let manifest = manifest_beside(&args.image, args.manifest);
    let source = ImportSource::open(&args.image, &manifest)
        .map_err(|error| Failure::Environment(error.to_string()))?;
    let blocks = source.manifest().blocks;
    let check = Order::ImportCheck { blocks };
    done(&args.at, &args.volume, check, CHECK_WAIT).await?;
    let chunks = chunk_count(blocks);
    for index in 0..chunks {
        let read = source.chunk(index);
        let Some((range, content)) = read.map_err(|error| Failure::Finding(error.to_string()))?
        else {
            break;
        };
        let pieces = content.chunks(PIECE_BYTES).enumerate();
        let last_piece = content.len().div_ceil(PIECE_BYTES) - 1;
        for (number, piece) in pieces {
            let last = index + 1 == chunks && number == last_piece;
            if !last && piece.iter().all(|byte| *byte == 0) {
                continue;
            }
            let order = Order::ImportChunk {
                block: range.start() + (number * PIECE_BYTES / BLOCK_SIZE) as u64,
                content: hexadecimal(piece),
                last,
            };
            done(&args.at, &args.volume, order, PIECE_WAIT).await?;
        }
    }
    println!(
        "{}: imported {blocks} blocks, SHA-256 {}",
        args.volume,
        source.manifest().sha256
    );
    Ok(())
}
