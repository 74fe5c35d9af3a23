//! `holdfast authority`: recover.

use std::io::{self, BufRead, IsTerminal, Write};
use std::time::Duration;

use clap::{Args, Subcommand};
use holdfast_types::ReplicaId;

use super::{At, Failure, print_json};
use crate::runtime::{ControlReply, ControlRequest};

/// Forgotten leases have to run out.
const WAIT: Duration = Duration::from_secs(3600);

#[derive(Debug, Subcommand)]
pub(super) enum AuthorityCommand {
    /// Move an authority that was rolled back past what the nodes have seen, and go on with one copy.
    ///
    /// For the case that the authority's records were restored from a backup, and `holdfast status`
    /// raises the alarm. The record goes beyond every epoch that any node has promised. The named copy
    /// becomes the primary, the whole in-sync set and the only voter, as after a forced promotion: what
    /// only the other copies hold is lost, whatever was flushed. They are rebuilt from it, since their
    /// logs may bear an epoch that was minted twice.
    Recover(RecoverArgs),
}

#[derive(Debug, Args)]
pub(super) struct RecoverArgs {
    /// Name or id of the volume.
    volume: String,
    /// The copy to go on with. `holdfast status` at each node shows what its copy holds.
    #[arg(long, value_name = "REPLICA")]
    keep: ReplicaId,
    /// A member that does not answer and is gone for good; once for each. If it comes back with a
    /// higher epoch than any other has promised, it raises the alarm again.
    #[arg(long, value_name = "REPLICA")]
    without: Vec<ReplicaId>,
    /// Do not ask for the volume's name again.
    #[arg(long)]
    yes: bool,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

pub(super) async fn run(command: AuthorityCommand) -> Result<(), Failure> {
    let AuthorityCommand::Recover(args) = command;
    if !args.yes {
        confirm(&args)?;
    }
    let request = ControlRequest::RecoverAuthority {
        volume: args.volume,
        keep: args.keep,
        without: args.without.into_iter().collect(),
    };
    let ControlReply::Promoted { promotion, record } = args.at.ask(&request, WAIT).await? else {
        return Err(Failure::unexpected());
    };
    if args.json {
        return print_json(&serde_json::json!({ "promotion": promotion, "record": record }));
    }
    println!(
        "the authority was moved forward: {} is the primary of epoch {}, and the only copy that counts \
         until the others are rebuilt",
        promotion.primary, record.epoch
    );
    Ok(())
}

/// Has the operator write the volume's name again.
fn confirm(args: &RecoverArgs) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "everything that the copy of {} does not hold is given up; say so with --yes",
            args.keep
        )));
    }
    eprint!(
        "Everything that the copy of {} does not hold is given up, whatever was flushed, and every other \
         copy of {} is rebuilt.\nWrite the volume's name to go on: ",
        args.keep, args.volume
    );
    let unread = |error: io::Error| Failure::Environment(format!("no answer: {error}"));
    io::stderr().flush().map_err(unread)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(unread)?;
    if answer.trim() == args.volume {
        return Ok(());
    }
    Err(Failure::Usage("nothing was done".into()))
}
