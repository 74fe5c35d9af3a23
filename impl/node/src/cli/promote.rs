//! `holdfast promote`.

use std::time::Duration;

use clap::Args;
use holdfast_types::ReplicaId;

use super::{At, Failure, print_json};
use crate::runtime::{ControlReply, ControlRequest};

/// The old lease may have to run out.
const WAIT: Duration = Duration::from_secs(3600);

#[derive(Debug, Args)]
pub(super) struct PromoteArgs {
    /// Name or id of the volume.
    volume: String,
    /// Promote although what was acknowledged may be lost: of the writes that the chosen copy does
    /// not hold, none comes back. The new primary becomes the whole in-sync set.
    #[arg(long)]
    forced: bool,
    /// Which copy; the one that holds most by default.
    #[arg(long, requires = "forced")]
    replica: Option<ReplicaId>,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

pub(super) async fn run(args: PromoteArgs) -> Result<(), Failure> {
    let request = ControlRequest::Promote {
        volume: args.volume,
        replica: args.replica,
        forced: args.forced,
    };
    let ControlReply::Promoted { promotion, record } = args.at.ask(&request, WAIT).await? else {
        return Err(Failure::unexpected());
    };
    if args.json {
        return print_json(&serde_json::json!({ "promotion": promotion, "record": record }));
    }
    println!(
        "{} is the primary of epoch {}",
        promotion.primary, record.epoch
    );
    if promotion.may_have_lost_power() {
        let names: Vec<&str> = promotion
            .decided_without
            .iter()
            .chain(&promotion.restarted)
            .map(|replica| replica.as_str())
            .collect();
        println!(
            "writes that were not flushed may be lost, as by a loss of power ({})",
            names.join(", ")
        );
    }
    Ok(())
}
