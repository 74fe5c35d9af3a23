//! `holdfast replica`: replace.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{At, Failure, print_json};
use crate::runtime::{ControlReply, ControlRequest};

/// Making a store takes a while: its log is written over with zeroes.
const WAIT: Duration = Duration::from_secs(300);

#[derive(Debug, Subcommand)]
pub(super) enum ReplicaCommand {
    /// Make an empty store on the node that is asked, in place of one that is lost for good. The
    /// volume's primary then rebuilds it.
    Replace(ReplaceArgs),
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
    let ReplicaCommand::Replace(args) = command;
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
