//! `holdfast keys`: init, issue.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use holdfast_types::ReplicaId;

use super::{Failure, print_json};
use crate::tls::{Holder, IssueError, Issued, Validity, init, issue};

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make the cluster's certificate authority: `ca.pem` and `ca.key`.
    Init(InitArgs),
    /// Make a certificate and its key for one node, or for an operator: `NAME.pem` and `NAME.key`.
    Issue(IssueArgs),
}

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// Directory of the authority, made when it is missing. Its key belongs on no node.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Days for which it is valid. All certificates end with it.
    #[arg(long, value_name = "DAYS", default_value = "3650", value_parser = days())]
    days: u32,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct IssueArgs {
    /// Directory of the authority.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The node's label, as `node.id` in its configuration; an operator's name with `--operator`.
    #[arg(long, value_name = "NAME", value_parser = label)]
    name: ReplicaId,
    /// For commands that ask nodes over TCP: it passes for no node.
    #[arg(long)]
    operator: bool,
    /// A further name of its host, for clients that go by it: an IP address or a host name. Nodes
    /// know each other by label.
    #[arg(long = "address", value_name = "ADDRESS")]
    addresses: Vec<String>,
    /// Days for which it is valid.
    #[arg(long, value_name = "DAYS", default_value = "3650", value_parser = days())]
    days: u32,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

fn days() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=36_500)
}

fn label(text: &str) -> Result<ReplicaId, String> {
    ReplicaId::new(text).map_err(|error| error.to_string())
}

pub(super) fn run(command: KeysCommand) -> Result<(), Failure> {
    let (made, json, what) = match command {
        KeysCommand::Init(args) => {
            let made = init(&args.dir, Validity::days(args.days));
            (made, args.json, "the cluster's authority".to_owned())
        }
        KeysCommand::Issue(args) => {
            let (holder, what) = if args.operator {
                let what = format!("operator {}", args.name);
                (Holder::Operator(args.name), what)
            } else {
                let what = format!("node {}", args.name);
                (Holder::Node(args.name), what)
            };
            let validity = Validity::days(args.days);
            let made = issue(&args.dir, &holder, &args.addresses, validity);
            (made, args.json, what)
        }
    };
    let Issued { certificate, key } = made.map_err(failure)?;
    if json {
        return print_json(&serde_json::json!({ "certificate": certificate, "key": key }));
    }
    println!(
        "made for {what}: {} and {}",
        certificate.display(),
        key.display()
    );
    Ok(())
}

fn failure(error: IssueError) -> Failure {
    match error {
        IssueError::Exists { .. } => Failure::Finding(error.to_string()),
        IssueError::Name { .. } => Failure::Usage(error.to_string()),
        IssueError::File { .. } | IssueError::Key { .. } => Failure::Environment(error.to_string()),
    }
}
