//! `holdfast node`: a replication node, until it is told to stop.

use std::path::PathBuf;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, logging};
use crate::config::{Config, Loaded};
use crate::runtime::{Node, Successor};

#[derive(Debug, Args)]
pub(super) struct NodeArgs {
    /// Configuration file, TOML; `HOLDFAST_<SECTION>__<KEY>` overrides its keys.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only check the configuration, and print what would be in force.
    #[arg(long)]
    check_config: bool,
    /// Stop when standard input ends: whoever holds its other end is gone.
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
}

pub(super) fn run(args: &NodeArgs) -> Result<(), Failure> {
    let loaded = Loaded::from_file(&args.config, std::env::vars_os())
        .map_err(|error| Failure::Usage(error.to_string()))?;
    if args.check_config {
        print!("{loaded}");
        return Ok(());
    }
    logging::start(&loaded.config.log)?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Environment(format!("no runtime: {error}")))?
        .block_on(serve(loaded.config, args.until_stdin_ends))
}

async fn serve(config: Config, until_stdin_ends: bool) -> Result<(), Failure> {
    let environment = |error: std::io::Error| Failure::Environment(error.to_string());
    let mut terminate = signal(SignalKind::terminate()).map_err(environment)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(environment)?;
    let node = Node::start(config)
        .await
        .map_err(|error| Failure::Environment(error.to_string()))?;
    let (why, successor) = tokio::select! {
        _ = terminate.recv() => ("told to stop", Successor::Promoted),
        _ = interrupt.recv() => ("interrupted", Successor::Promoted),
        successor = node.asked_to_stop() => ("asked to stop", successor),
        () = stdin_ended(), if until_stdin_ends => ("standard input ended", Successor::None),
    };
    tracing::info!("{why}");
    node.shutdown(successor).await;
    Ok(())
}

/// Resolves at the end of standard input, or when it cannot be read.
async fn stdin_ended() {
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    // A thread of its own: a blocking read cannot be cancelled, and must not hold up the exit.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        drop(ended);
    });
    let _ = end.await;
}
