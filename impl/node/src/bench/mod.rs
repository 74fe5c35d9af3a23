//! `holdfast bench`: how fast this machine is with the product, and how fast without.
//!
//! Every case measures its own reference in the same run, in turns with the product, and the best
//! round of either side counts: on a shared machine only the ratio means anything. Nothing here is
//! part of a test by its figures; a test only sees that every case runs and says what it should.
//!
//! | part | is |
//! | --- | --- |
//! | `cases` | what is measured, a file for each kind of work |
//! | `contest` | product and reference in turns |
//! | `load` | what the cases do to a volume |
//! | `raw` | the reference without any product: appends and shared syncs on one file |
//! | `servers` | NBD servers as processes of their own |
//! | `row`, `table`, `published` | what is said |

mod cases;
mod contest;
mod latency;
mod load;
mod published;
mod random;
mod raw;
mod row;
mod scratch;
mod servers;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::failure::{Failure, print_json};
use cases::CASES;
use contest::Effort;
use published::{Machine, Published, revision};
use row::Row;

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// One volume of one copy: its log, its image, and its NBD front end.
    Volume(VolumeArgs),
}

/// `bench volume`
#[derive(Debug, Args)]
pub(crate) struct VolumeArgs {
    /// One JSON object per figure instead of a table.
    #[arg(long)]
    json: bool,
    /// Seconds of one measurement; a case takes six or more of them.
    #[arg(long, value_name = "N", default_value_t = 2.0, value_parser = parse_seconds)]
    seconds: f64,
    /// How often product and reference are measured, in turns; the best counts.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=100))]
    rounds: u8,
    /// Run this case only; may be given again.
    #[arg(long = "case", value_name = "NAME", value_parser = parse_case)]
    cases: Vec<String>,
    /// Directory for the files; the disk under it is measured. Some 4 GiB are needed.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Writes the figures of all cases, and the page made of them, into this directory.
    #[arg(long, value_name = "DIR", conflicts_with = "cases")]
    publish: Option<PathBuf>,
    /// Exit code 1 when a target is missed, or cannot be judged for want of its reference.
    #[arg(long)]
    strict: bool,
    /// Volumes so small that every case runs in a moment; the figures mean nothing.
    #[arg(long, hide = true)]
    tiny: bool,
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.001..=3600.0).contains(&seconds) => Ok(seconds),
        Ok(_) | Err(_) => Err("a number of seconds from 0.001 to 3600".into()),
    }
}

fn parse_case(text: &str) -> Result<String, String> {
    if CASES.iter().any(|(name, _)| *name == text) {
        return Ok(text.to_owned());
    }
    let names: Vec<&str> = CASES.iter().map(|(name, _)| *name).collect();
    Err(format!("no such case; there are {}", names.join(", ")))
}

/// Runs what the command names.
pub(crate) fn run(command: &BenchCommand) -> Result<(), Failure> {
    match command {
        BenchCommand::Volume(args) => volume(args),
    }
}

fn volume(args: &VolumeArgs) -> Result<(), Failure> {
    let effort = Effort {
        directory: args.dir.clone(),
        time: Duration::from_secs_f64(args.seconds),
        rounds: usize::from(args.rounds),
        tiny: args.tiny,
    };
    let (machine, revision) = (Machine::present(&args.dir), revision());
    let mut rows = Vec::new();
    for (name, case) in CASES {
        if !args.cases.is_empty() && !args.cases.iter().any(|wanted| wanted == name) {
            continue;
        }
        eprintln!("{name} ...");
        let found = case(&effort)?;
        if args.json {
            for row in &found {
                print_json(row)?;
            }
        }
        rows.extend(found);
    }
    if let Some(directory) = &args.publish {
        let (seconds, rounds) = (args.seconds, args.rounds);
        Published {
            command: format!("holdfast bench volume --seconds {seconds} --rounds {rounds}"),
            revision,
            machine,
            rows: rows.clone(),
        }
        .write(directory)?;
    }
    if !args.json {
        print!("{}", table::render(&rows));
    }
    if args.strict {
        return verdict(&rows);
    }
    Ok(())
}

fn verdict(rows: &[Row]) -> Result<(), Failure> {
    let missed: Vec<&str> = rows
        .iter()
        .filter(|row| row.met != Some(true))
        .map(|row| row.case.as_str())
        .collect();
    if missed.is_empty() {
        return Ok(());
    }
    Err(Failure::Finding(format!(
        "targets missed or not judged: {}",
        missed.join(", ")
    )))
}
