//! `holdfast status` and `holdfast events`.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;

use super::{At, Failure, print_json};
use crate::runtime::{ControlReply, ControlRequest, EventRow, RebuildStatus, VolumeStatus};

const WAIT: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Again and again, each second, until interrupted.
    #[arg(long)]
    watch: bool,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    /// Go on with those that come, until interrupted.
    #[arg(long)]
    follow: bool,
    /// Only events after this number.
    #[arg(long, value_name = "SEQUENCE")]
    after: Option<u64>,
    /// One JSON object per event instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

/// How often a watched node is asked.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// How often a followed node is asked.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);

pub(super) async fn run(args: StatusArgs) -> Result<(), Failure> {
    loop {
        if args.watch && !args.json && std::io::stdout().is_terminal() {
            // To the upper left corner of an empty screen.
            print!("\x1b[H\x1b[2J");
        }
        show(&args).await?;
        if !args.watch {
            return Ok(());
        }
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

async fn show(args: &StatusArgs) -> Result<(), Failure> {
    let ControlReply::Status(status) = args.at.ask(&ControlRequest::Status, WAIT).await? else {
        return Err(Failure::unexpected());
    };
    if args.json {
        return print_json(&status);
    }
    println!("node {}", status.node);
    for volume in &status.volumes {
        print_volume(volume);
    }
    for missing in &status.missing {
        println!(
            "  {} {}: its store {} is MISSING; `holdfast replica replace {}` makes an empty one",
            missing.name, missing.volume, missing.store, missing.name
        );
    }
    Ok(())
}

fn print_volume(volume: &VolumeStatus) {
    let name = volume.name.as_deref().unwrap_or("(unknown)");
    println!("  {name} {}: {:?}", volume.volume, volume.role);
    if let Some(record) = &volume.record {
        let isr: Vec<&str> = record.isr.iter().map(|replica| replica.as_str()).collect();
        println!(
            "    epoch {} revision {}, primary {}, in sync: {}{}",
            record.epoch,
            record.revision,
            record.primary.as_ref().map_or("none", |p| p.as_str()),
            isr.join(" "),
            if record.degraded { " (DEGRADED)" } else { "" },
        );
    }
    println!(
        "    head {} durable {} committed {} checkpoint {}{}",
        volume.head,
        volume.durable,
        volume.committed,
        volume.checkpoint,
        if volume.trusted { "" } else { " (UNTRUSTED)" },
    );
    if volume.removed {
        println!("    REMOVED: this node keeps no copy any more; its store here can be deleted");
    }
    if let Some(alarm) = &volume.alarm {
        println!("    ALARM: {alarm}");
    }
    if let Some(failure) = &volume.failure {
        println!("    FAILED: {failure}");
    }
    if let Some(lease) = volume.lease_remaining_ms {
        println!("    lease {lease} ms");
    }
    if volume.damaged > 0 {
        println!(
            "    DAMAGED: {} ranges of blocks here fail their checksums; `holdfast replica verify --repair` \
             mends them from other copies",
            volume.damaged
        );
    }
    if let Some(verify) = &volume.verify {
        println!(
            "    verifying: chunk {} of {}, {} blocks found, {} repaired",
            verify.chunks_done, verify.chunks_total, verify.blocks_found, verify.blocks_repaired
        );
    }
    for replica in &volume.replicas {
        let reason = replica.reason.as_deref().unwrap_or("");
        let position = |lsn: Option<holdfast_types::Lsn>| {
            lsn.map_or_else(|| "-".to_owned(), |lsn| lsn.to_string())
        };
        let rebuild = replica
            .rebuild
            .as_ref()
            .map_or_else(String::new, |rebuild| format!(", {}", progress(rebuild)));
        println!(
            "    {} {} {reason} received {} durable {}{rebuild}",
            replica.replica,
            replica.state,
            position(replica.received),
            position(replica.durable),
        );
    }
}

/// How far the base of a rebuild is, on one line.
fn progress(rebuild: &RebuildStatus) -> String {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let eta = rebuild
        .eta_seconds
        .map_or_else(String::new, |eta| format!(", {eta} s left"));
    let rate = rebuild
        .rate
        .map_or_else(String::new, |rate| format!(" (held to {:.1})", mib(rate)));
    format!(
        "{:.1} of {:.1} MiB at {:.1} MiB/s{rate}{eta}",
        mib(rebuild.bytes_done),
        mib(rebuild.bytes_total),
        mib(rebuild.bytes_per_second),
    )
}

pub(super) async fn run_events(args: EventsArgs) -> Result<(), Failure> {
    let mut after = args.after;
    loop {
        let request = ControlRequest::Events { after };
        let ControlReply::Events { events } = args.at.ask(&request, WAIT).await? else {
            return Err(Failure::unexpected());
        };
        after = events.last().map(|event| event.sequence).or(after);
        print_events(events, args.json)?;
        if !args.follow {
            return Ok(());
        }
        tokio::time::sleep(FOLLOW_EVERY).await;
    }
}

fn print_events(events: Vec<EventRow>, json: bool) -> Result<(), Failure> {
    for event in events {
        if json {
            print_json(&event)?;
            continue;
        }
        let replica = event.replica.as_ref().map_or("-", |r| r.as_str());
        let session = event
            .session
            .map_or_else(|| "-".to_owned(), |session| session.to_string());
        println!(
            "{} epoch {} {replica} session {session}: {} {}",
            event.sequence,
            event.epoch,
            event.event,
            event.cause.as_deref().unwrap_or(""),
        );
    }
    Ok(())
}
