//! `mutants --guards`: every condition of the rules deleted, one at a time, and what falls.

use std::io;
use std::path::Path;
use std::time::Instant;

use holdfast_model::checking::{
    GuardRow, GuardShare, GuardVerdict, PublishedGuards, revision, suites,
};

use super::{Failure, MutantArgs, as_json, line};

/// Deletes, tells or publishes; a finding when too few deletions are explained.
pub(super) fn run(arguments: &MutantArgs) -> Result<(), Failure> {
    let mut all = Vec::new();
    let mut too_few = Vec::new();
    for suite in suites() {
        let begun = Instant::now();
        let only = arguments.only.as_deref().unwrap_or_default();
        let rows = suite.guards(arguments.full, only)?;
        if rows.is_empty() {
            continue;
        }
        let share = GuardShare::of(rows.iter());
        for row in &rows {
            if arguments.json {
                line(&as_json(row)?)?;
            } else {
                tell(row)?;
            }
            if let Some(open) = row.finding() {
                eprintln!("open: {open}");
            }
        }
        if !arguments.json {
            let seconds = begun.elapsed().as_secs_f64();
            line(&format!("{}: {share}; {seconds:.0} s", suite.name()))?;
        }
        if !share.suffices() {
            too_few.push(format!("{}: too few are explained: {share}", suite.name()));
        }
        all.extend(rows);
    }
    if !arguments.json {
        line(&format!("all: {}", GuardShare::of(all.iter())))?;
    }
    if !too_few.is_empty() {
        return Err(Failure::Findings(too_few));
    }
    if arguments.bless {
        publish(all, arguments)?;
    }
    Ok(())
}

fn tell(row: &GuardRow) -> io::Result<()> {
    let said = |what: &Option<String>| what.clone().unwrap_or_default();
    let verdict = match row.verdict {
        GuardVerdict::Killed => format!(
            "killed: {} in {}, depth {}",
            said(&row.property),
            said(&row.instance),
            row.depth
        ),
        GuardVerdict::Redundant if row.because.is_none() => {
            "REDUNDANT: nowhere the only one that fails".to_owned()
        }
        GuardVerdict::Redundant => format!("redundant: {}", said(&row.because)),
        GuardVerdict::AnswerOnly => "answer only: what it alone refuses changes nothing".to_owned(),
        GuardVerdict::Explained => format!("explained: {}", said(&row.because)),
        GuardVerdict::Survives => format!("SURVIVES, alone in {}", row.alone_in.join(" ")),
    };
    line(&format!(
        "{}/{}: {}: {verdict} ({} states, {:.2} s)",
        row.spec, row.guard, row.says, row.states, row.seconds
    ))
}

fn publish(rows: Vec<GuardRow>, arguments: &MutantArgs) -> Result<(), Failure> {
    let full = if arguments.full { " --full" } else { "" };
    let published = PublishedGuards {
        command: format!("holdfast-model mutants --guards{full} --bless"),
        revision: revision(),
        rows,
    };
    let text = serde_json::to_string_pretty(&published)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    write(&arguments.results, "guards.json", &(text + "\n"))?;
    write(&arguments.results, "guards.md", &published.markdown())
}

fn write(results: &Path, name: &str, text: &str) -> Result<(), Failure> {
    let path = results.join(name);
    std::fs::write(&path, text)
        .map_err(|error| Failure::Environment(format!("{}: {error}", path.display())))
}
