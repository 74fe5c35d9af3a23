//! `holdfast demo`: a whole cluster on loopback, everything that happens to clusters, and a verdict
//! about every block of every copy.
//!
//! Nothing is simulated: three processes of this executable, real files, TCP through relays that
//! can be cut, SIGKILL. The demo waits for facts, which it reads from the nodes' status and events,
//! and ends with the first that does not come about. It leaves no process behind, and files only
//! when it fails.
//!
//! | part | is |
//! | --- | --- |
//! | `script` | the acts |
//! | `cluster`, `process`, `places`, `link` | nodes, where they listen, and their cables |
//! | `device`, `image` | the volume's client, and what the volume should hold |
//! | `chronicle`, `narrator`, `facts` | the nodes' events, what is said, what is waited for |
//! | `at_rest` | the copies as they lie on the disk |

mod at_rest;
mod chronicle;
mod cluster;
mod device;
mod facts;
mod failure;
mod image;
mod link;
mod narrator;
mod places;
mod process;
mod script;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use chronicle::Chronicle;
use cluster::VOLUME;
use failure::Failure;
use image::{Image, MADE_IMAGE_BYTES};
use narrator::Narrator;
use script::Play;

/// Events that are shown when something went wrong.
const EVENTS_SHOWN: usize = 20;

/// What made the made image.
const IMAGE_SEED: u64 = 0x0401_df57;

/// Arguments of `holdfast demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Leave the cluster up after the verdict, until Ctrl-C or SIGTERM.
    #[arg(long)]
    keep: bool,
    /// Write this image (1 byte to 1 GiB) instead of a made one.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
}

/// Runs the demo.
///
/// # Errors
/// A usage error when the image cannot be used, one of the environment when ports, files or processes
/// cannot be had; and a finding when a block differs or something did not happen.
pub(crate) fn run(args: &DemoArgs) -> Result<(), crate::failure::Failure> {
    perform(args).map_err(crate::failure::Failure::from)
}

fn perform(args: &DemoArgs) -> Result<(), Failure> {
    let image = match &args.image {
        Some(path) => Image::read(path)?,
        None => Image::made(MADE_IMAGE_BYTES, IMAGE_SEED),
    };
    let directory = tempfile::Builder::new()
        .prefix("holdfast-demo-")
        .tempdir()
        .map_err(|error| Failure::Environment(format!("no directory for the demo: {error}")))?;
    log_to(&directory.path().join("demo.log"))
        .map_err(|error| Failure::Environment(format!("no log: {error}")))?;
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Environment(format!("no runtime: {error}")))?
        .block_on(stage(args, directory.path(), &image));
    match &outcome {
        // Nobody asks why a demo was interrupted.
        Ok(()) | Err(Failure::Interrupted) => {}
        Err(_) => {
            let kept = directory.keep();
            eprintln!(
                "holdfast demo: its files and logs are in {}",
                kept.display()
            );
        }
    }
    outcome
}

/// The demo's own log, the authority's included: on the terminal speaks the narrator alone.
fn log_to(path: &Path) -> io::Result<()> {
    let file = Arc::new(File::options().create(true).append(true).open(path)?);
    // Refused when a log is set up already, which is then as good.
    let _ = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(file)
        .try_init();
    Ok(())
}

/// Ctrl-C and SIGTERM.
struct Interruptions {
    interrupt: Signal,
    terminate: Signal,
}

impl Interruptions {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

async fn stage(args: &DemoArgs, directory: &Path, image: &Image) -> Result<(), Failure> {
    let mut interruptions = Interruptions::listen()
        .map_err(|error| Failure::Environment(format!("no signals: {error}")))?;
    let narrator = Arc::new(Narrator::new());
    let chronicle = Chronicle::new(Arc::clone(&narrator));
    narrator.line("A replicated volume: what was flushed is there after the fall.");
    narrator.say(&format!("everything is in {}", directory.display()));
    let played = tokio::select! {
        played = play(args, directory, image, &narrator, &chronicle) => played,
        () = interruptions.any() => Err(Failure::Interrupted),
    };
    let play = match played {
        Ok(play) => play,
        Err(Failure::Interrupted) => {
            narrator.line(&format!(
                "\nVERDICT: none, interrupted in {}",
                narrator.present_act()
            ));
            return Err(Failure::Interrupted);
        }
        Err(failure) => {
            confess(&narrator, &chronicle, directory, &failure);
            return Err(failure);
        }
    };
    if args.keep {
        present(&play, &narrator);
        interruptions.any().await;
        narrator.say("stopping");
    }
    play.close().await
}

/// From the first act to the verdict, and to the encore if one is wanted.
async fn play<'a>(
    args: &DemoArgs,
    directory: &Path,
    image: &Image,
    narrator: &'a Narrator,
    chronicle: &'a Chronicle,
) -> Result<Play<'a>, Failure> {
    let mut play = Play::open(directory, image, narrator, chronicle).await?;
    play.perform().await?;
    let verdict = play.judge().await?;
    narrator.line(&format!(
        "\nVERDICT: good. {} copies of {} blocks hold exactly what was acknowledged, after {:.1} s.\n\
         SHA-256 of each: {}",
        verdict.copies,
        verdict.blocks,
        narrator.elapsed().as_secs_f64(),
        verdict.digest
    ));
    if args.keep {
        play.encore().await?;
    }
    Ok(play)
}

/// What went wrong, and where to look.
fn confess(narrator: &Narrator, chronicle: &Chronicle, directory: &Path, failure: &Failure) {
    narrator.line(&format!(
        "\nVERDICT: failed in {}: {failure}",
        narrator.present_act()
    ));
    narrator.line("The last events:");
    for event in chronicle.last(EVENTS_SHOWN) {
        narrator.line(&format!("   {event}"));
    }
    narrator.line("Logs:");
    for name in ["demo", "r1", "r2", "r3"] {
        let log = directory.join(format!("{name}.log"));
        narrator.line(&format!("   {}", log.display()));
    }
}

/// What a person, or a script, needs to use the cluster: one `kept` line for each thing, its facts as
/// `key=value` without spaces.
fn present(play: &Play<'_>, narrator: &Narrator) {
    let (cluster, primary) = play.stage();
    for seat in cluster.seats() {
        narrator.line(&format!(
            "kept node={} pid={} control={} uri=nbd://{}/{VOLUME} admin={} store={} log={}",
            seat.id,
            seat.pid().unwrap_or_default(),
            seat.places.control,
            seat.places.nbd,
            seat.directory.join("admin.sock").display(),
            cluster.store_directory(&seat.id).display(),
            seat.log.display(),
        ));
    }
    narrator.line(&format!(
        "kept volume={VOLUME} id={} primary={primary} authority={}",
        cluster.volume(),
        cluster.authority_control()
    ));
    let nbd = cluster.seat(primary).places.nbd;
    narrator.line(&format!(
        "\nAttach to nbd://{nbd}/{VOLUME}; after the loss of {primary}:\n\
         \x20  holdfast promote {VOLUME} --node {}\n\
         Ctrl-C, or SIGTERM to process {}, stops everything and removes the files.",
        cluster.authority_control(),
        std::process::id()
    ));
}
