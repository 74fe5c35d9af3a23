//! The commands of the `holdfast` binary.
//!
//! Results go to standard output, logs and errors to standard error. Exit codes:
//!
//! | code | means |
//! | --- | --- |
//! | 0 | good |
//! | 1 | a finding: refused, not sound, not possible |
//! | 2 | usage: arguments or configuration |
//! | 3 | environment: a node that does not answer, a port or path that cannot be had |

mod authority;
mod inspect;
mod keys;
mod logging;
mod node;
mod plan;
mod promote;
mod replica;
mod snapshot;
mod status;
mod volume;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::bench::{self, BenchCommand};
use crate::config::TlsConfig;
use crate::demo::{self, DemoArgs};
use crate::failure::{Failure, print_json};
use crate::runtime::{ControlClient, ControlReply, ControlRequest, NodePlace};
use crate::tls::{Expected, Protection};

/// A replicated block volume whose recovery protocol is a model-checked specification.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a replication node.
    Node(node::NodeArgs),
    /// Volumes: create, list, show, set.
    #[command(subcommand)]
    Volume(volume::VolumeCommand),
    /// What a node is in each of its volumes, and how its replicas do.
    Status(status::StatusArgs),
    /// The recovery events that a node keeps.
    Events(status::EventsArgs),
    /// Copies of a volume: replace a lost one, evict one that is gone.
    #[command(subcommand)]
    Replica(replica::ReplicaCommand),
    /// What moving a volume's primary would decide, and why, without doing it.
    Plan(plan::PlanArgs),
    /// Move a volume's primary: mint an epoch, fence the copies, promote the best.
    Promote(promote::PromoteArgs),
    /// The authority: move one forward that was rolled back.
    #[command(subcommand)]
    Authority(authority::AuthorityCommand),
    /// Keys for mutual TLS between nodes: make an authority, issue certificates.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Look at a store at rest: superblocks, lineage, log, and whether it is sound.
    Inspect(inspect::InspectArgs),
    /// Run a cluster on this machine, break it in every way it survives, verify every block.
    Demo(DemoArgs),
    /// Measure this machine with the product and without.
    #[command(subcommand)]
    Bench(BenchCommand),
}

/// Which node to ask.
#[derive(Clone, Debug, Args)]
struct At {
    /// Control address of the node to ask, instead of its socket.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "socket")]
    node: Option<SocketAddr>,
    /// Admin socket of the node to ask.
    #[arg(
        long,
        value_name = "PATH",
        env = "HOLDFAST_NODE__ADMIN_SOCKET",
        default_value = "/var/lib/holdfast/admin.sock"
    )]
    socket: PathBuf,
    /// With --node, where nodes have keys: certificate of the cluster's authority.
    #[arg(long, value_name = "FILE", env = "HOLDFAST_TLS__CA", requires_all = ["certificate", "key"])]
    ca: Option<PathBuf>,
    /// The own certificate (`holdfast keys issue --operator`).
    #[arg(
        long,
        value_name = "FILE",
        env = "HOLDFAST_TLS__CERTIFICATE",
        requires = "ca"
    )]
    certificate: Option<PathBuf>,
    /// Its key.
    #[arg(long, value_name = "FILE", env = "HOLDFAST_TLS__KEY", requires = "ca")]
    key: Option<PathBuf>,
}

impl At {
    async fn ask(&self, request: &ControlRequest, wait: Duration) -> Result<ControlReply, Failure> {
        let client = match self.node {
            Some(address) => ControlClient::new(NodePlace::Tcp(address), wait)
                .under(&self.protection()?, Expected::AnyNode),
            None => ControlClient::new(NodePlace::Unix(self.socket.clone()), wait),
        };
        Ok(client.ask(request).await?)
    }

    fn protection(&self) -> Result<Protection, Failure> {
        let (Some(ca), Some(certificate), Some(key)) = (&self.ca, &self.certificate, &self.key)
        else {
            return Ok(Protection::None);
        };
        let files = TlsConfig {
            ca: ca.clone(),
            certificate: certificate.clone(),
            key: key.clone(),
        };
        Protection::load(Some(&files)).map_err(|error| Failure::Environment(error.to_string()))
    }
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("holdfast: {}", failure.message());
            ExitCode::from(failure.code())
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Node(args) => node::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Keys(command) => keys::run(command),
        Command::Demo(args) => demo::run(&args),
        Command::Bench(command) => bench::run(&command),
        Command::Volume(command) => on_runtime(volume::run(command)),
        Command::Status(args) => on_runtime(status::run(args)),
        Command::Events(args) => on_runtime(status::run_events(args)),
        Command::Replica(command) => on_runtime(replica::run(command)),
        Command::Authority(command) => on_runtime(authority::run(command)),
        Command::Plan(args) => on_runtime(plan::run(args)),
        Command::Promote(args) => on_runtime(promote::run(args)),
    }
}

/// Runs a command that only asks.
fn on_runtime(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Environment(format!("no runtime: {error}")))?
        .block_on(command)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_arguments_do_not_contradict_themselves() {
        Cli::command().debug_assert();
    }
}
