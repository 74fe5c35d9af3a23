//! The command line. Results go to stdout (with `--json` one object a line), everything else to
//! stderr.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use holdfast_conformance::environment::{Environment, find_workspace};
use holdfast_conformance::l1::{self, InstanceWalk};
#[cfg(feature = "l2")]
use holdfast_conformance::l2;
#[cfg(feature = "l3")]
use holdfast_conformance::l3;
use holdfast_conformance::product::{Disagreement, Patience};
use holdfast_conformance::published;
use holdfast_conformance::report::Row;
use holdfast_conformance::sabotage::{self, Sabotage, Scratch};
#[cfg(feature = "storage")]
use holdfast_conformance::storage;
use holdfast_model::checking::{Instance, Spec, action_text};
use holdfast_model::session::Session;
use serde::Serialize;

/// Disagreements of one instance that are told, each with its trace.
const KEPT: usize = 10;

const GOOD: u8 = 0;
const FINDING: u8 = 1;
const USAGE: u8 = 2;
const ENVIRONMENT: u8 = 3;

/// Holds Holdfast's implementation against its specification, in both directions.
///
/// Exit codes: 0 good, 1 a finding (the two differ, a sabotage survived), 2 usage, 3 environment.
#[derive(Parser)]
#[command(name = "holdfast-conformance", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Walks specification and implementation together and reports the coverage of each level.
    Report(Report),
    /// Breaks the product on purpose, patch by patch, in a scratch copy of the workspace; what each
    /// patch says must fall has to fall.
    Sabotage(SabotageArgs),
    /// Works on recorded traces.
    Trace {
        #[command(subcommand)]
        command: Trace,
    },
}

#[derive(Args)]
struct Report {
    /// One JSON object a line and level.
    #[arg(long)]
    json: bool,
    /// A row for each instance as well, before that of its level.
    #[arg(long, requires = "json")]
    each: bool,
    /// Only these levels; all of them unless given.
    #[arg(long, value_enum)]
    level: Vec<Level>,
    /// The instances with all their sessions, and all instances of the storage, for long runs.
    #[arg(long)]
    full: bool,
    /// From which the storage's crashes draw what is torn, and how.
    #[cfg(feature = "storage")]
    #[arg(long, env = "HOLDFAST_SEED", default_value_t = storage::SEED)]
    seed: u64,
    /// Only these instances.
    #[arg(long, value_name = "NAME")]
    instance: Vec<String>,
    /// Stop an instance at its first disagreement.
    #[arg(long)]
    fail_fast: bool,
    /// Where the traces of disagreements are written.
    #[arg(long, value_name = "DIR", default_value = "target/conformance")]
    traces: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    /// The engine, by the exhaustive product with the session specification.
    L1,
    /// Engine, executors and stores, stepped along the session specification.
    #[cfg(feature = "l2")]
    L2,
    /// The same over sockets and files, by the drivers of production.
    #[cfg(feature = "l3")]
    L3,
    /// The volume's core, by tours over the storage specification.
    #[cfg(feature = "storage")]
    Storage,
}

#[derive(Args)]
struct SabotageArgs {
    /// Catalogue ids (`F60`) or whole names; all of them unless given.
    id: Vec<String>,
    /// One JSON object a line and patch.
    #[arg(long)]
    json: bool,
    /// Only see whether the patches still fit the sources; builds nothing.
    #[arg(long)]
    apply_only: bool,
    /// Publish what was caught in `docs/results`.
    #[arg(long, conflicts_with = "apply_only")]
    bless: bool,
    /// Do not first see the checks pass on the unbroken product (they were seen to).
    #[arg(long)]
    skip_baseline: bool,
    /// The root of the workspace; found from the current directory unless given.
    #[arg(long, value_name = "DIR")]
    workspace: Option<PathBuf>,
    /// The scratch copy with its own target directory; `target/sabotage` unless given.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Trace {
    /// Replays a trace of the specification on the specification and on the implementation, and
    /// compares after every step.
    Check {
        /// A JSON-lines file, as the specification or a disagreement wrote it.
        file: PathBuf,
    },
}

/// Runs what the arguments ask for.
pub(crate) fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Report(report) => run_report(&report),
        Command::Sabotage(arguments) => run_sabotages(&arguments),
        Command::Trace {
            command: Trace::Check { file },
        } => check_trace(&file),
    };
    ExitCode::from(done.unwrap_or_else(|error| {
        eprintln!("holdfast-conformance: {error}");
        ENVIRONMENT
    }))
}

fn run_sabotages(arguments: &SabotageArgs) -> Result<u8, Environment> {
    let workspace = match &arguments.workspace {
        Some(directory) => directory.clone(),
        None => {
            let here = std::env::current_dir()
                .map_err(|e| Environment::io("look at", Path::new("."), e))?;
            find_workspace(&here)?
        }
    };
    let all = Sabotage::read_all(&workspace)?;
    if let Some(stranger) = arguments
        .id
        .iter()
        .find(|id| !all.iter().any(|s| s.is_called(id)))
    {
        eprintln!("holdfast-conformance: no sabotage is called {stranger:?}; there are:");
        all.iter().for_each(|s| eprintln!("  {}", s.name));
        return Ok(USAGE);
    }
    let names: Vec<String> = all.iter().map(|s| s.name.clone()).collect();
    let chosen: Vec<Sabotage> = all
        .into_iter()
        .filter(|s| arguments.id.is_empty() || arguments.id.iter().any(|id| s.is_called(id)))
        .collect();
    let root = arguments
        .scratch
        .clone()
        .unwrap_or_else(|| Scratch::default_root(&workspace));
    let scratch = Scratch::open(&workspace, &root)?;
    if arguments.apply_only {
        return see_whether_they_apply(&scratch, &chosen);
    }
    if !arguments.skip_baseline {
        eprintln!("the unbroken product first ({})", scratch.tree().display());
        sabotage::prove_baseline(&scratch, &chosen)?;
    }
    let mut rows = Vec::with_capacity(chosen.len());
    for each in &chosen {
        let row = sabotage::run(&scratch, each)?;
        print_sabotage(&row, arguments.json);
        rows.push(row);
    }
    let caught = rows.iter().filter(|row| row.caught).count();
    eprintln!("{caught} of {} caught", rows.len());
    let good = caught == rows.len() && !rows.is_empty();
    if arguments.bless {
        published::write_sabotages(&workspace, &names, rows)?;
    }
    Ok(if good { GOOD } else { FINDING })
}

fn see_whether_they_apply(scratch: &Scratch, chosen: &[Sabotage]) -> Result<u8, Environment> {
    let mut misfits = 0;
    for each in chosen {
        match scratch.apply(each, true)? {
            sabotage::Applied::Yes => println!("{:<44} applies", each.name),
            sabotage::Applied::No(said) => {
                misfits += 1;
                println!("{:<44} DOES NOT APPLY: {said}", each.name);
            }
        }
    }
    Ok(if misfits == 0 { GOOD } else { FINDING })
}

fn print_sabotage(row: &sabotage::Row, json: bool) {
    if json {
        print_json(row);
    } else {
        let verdict = if row.caught { "caught" } else { "NOT CAUGHT" };
        println!(
            "{:<44} {verdict:<10} by {:<40} {:>6.1} s",
            row.name, row.caught_by, row.seconds
        );
    }
    if !row.caught {
        eprintln!("{}: {:?}\n{}", row.name, row.outcome, row.said);
    }
}

fn print_json(row: &impl Serialize) {
    // Rows are plain structs of numbers and strings.
    println!("{}", serde_json::to_string(row).expect("a row is JSON"));
}

fn run_report(report: &Report) -> Result<u8, Environment> {
    let mut good = true;
    let mut instances = Vec::new();
    for level in Level::value_variants() {
        if report.level.is_empty() || report.level.contains(level) {
            instances.extend(level.instances(report.full));
        }
    }
    let unknown = |name: &&String| !instances.iter().any(|instance| instance.name == **name);
    if let Some(stranger) = report.instance.iter().find(unknown) {
        eprintln!("holdfast-conformance: no instance is called {stranger:?}; there are:");
        for instance in &instances {
            eprintln!("  {:<20} {}", instance.name, instance.purpose);
        }
        return Ok(USAGE);
    }
    let is_chosen = |instance: &Instance| {
        report.instance.is_empty() || report.instance.iter().any(|name| name == instance.name)
    };
    for level in Level::value_variants() {
        let asked = report.level.is_empty() || report.level.contains(level);
        if asked && level.instances(report.full).iter().any(is_chosen) {
            good &= match level {
                Level::L1 => report_l1(report)?,
                #[cfg(feature = "l2")]
                Level::L2 => report_l2(report)?,
                #[cfg(feature = "l3")]
                Level::L3 => report_l3(report)?,
                #[cfg(feature = "storage")]
                Level::Storage => report_storage(report)?,
            };
        }
    }
    Ok(if good { GOOD } else { FINDING })
}

impl Level {
    /// The instances that a report can choose from.
    fn instances(self, full: bool) -> Vec<Instance> {
        match self {
            Self::L1 => specs(full).iter().map(|spec| *spec.instance()).collect(),
            #[cfg(feature = "l2")]
            Self::L2 => l2::outings(full)
                .iter()
                .map(|outing| *outing.spec.instance())
                .collect(),
            #[cfg(feature = "l3")]
            Self::L3 => l3::outings(full)
                .iter()
                .map(|outing| *outing.spec.instance())
                .collect(),
            #[cfg(feature = "storage")]
            Self::Storage => storage::specs(full)
                .iter()
                .map(|spec| spec.instance)
                .collect(),
        }
    }
}

#[cfg(feature = "storage")]
fn report_storage(report: &Report) -> Result<bool, Environment> {
    let mut specs = storage::specs(report.full);
    let chosen = &report.instance;
    specs.retain(|spec| chosen.is_empty() || chosen.iter().any(|c| c == spec.instance.name));
    let patience = Patience {
        kept: KEPT,
        fail_fast: report.fail_fast,
    };
    let extent = storage::Extent {
        full: report.full,
        seed: report.seed,
        patience,
    };
    let (row, tours) = storage::report(&specs, extent, storage::Lens::default());
    for tour in &tours {
        let instance = tour.instance;
        eprintln!(
            "{instance:<20} {:>9} of {:>9} states {:>9} of {:>9} edges {:>8} refusals {:>9} steps \
             {:>7.2} s",
            tour.states.1,
            tour.states.0,
            tour.edges_covered,
            tour.edges_total,
            tour.disabled_total,
            tour.steps,
            tour.seconds
        );
        for (number, disagreement) in tour.kept.iter().enumerate() {
            let path = (report.traces).join(format!("storage-{instance}-{number}.jsonl"));
            write_trace(&path, &disagreement.trace.to_lines())?;
            explain(disagreement, &path);
        }
    }
    print_storage(&row, report.json);
    Ok(row.is_green())
}

#[cfg(feature = "storage")]
fn print_storage(row: &storage::Row, json: bool) {
    if json {
        return print_json(row);
    }
    println!(
        "{}: {} of {} edges, {} of {} refusals, {} disagreements, {} crash images recovered, {} of {} \
         states of {} instances in {:.1} s, seed {}: {}",
        row.level,
        row.edges_covered,
        row.edges_total,
        row.disabled_checked,
        row.disabled_total,
        row.disagreements,
        row.recoveries,
        row.states_reached,
        row.states,
        row.instances.len(),
        row.seconds,
        row.seed,
        if row.is_green() {
            "conforms"
        } else {
            "DIFFERS"
        }
    );
    if row.ended_early > 0 {
        println!(
            "  {} of {} instances in part, as every build does: `--full` tours them whole",
            row.ended_early,
            row.instances.len()
        );
    }
    for (why, count) in &row.edges_coarser {
        println!("  {count} edges that the volume does not make on their own: {why}");
    }
}

/// The instances of a report, with all their sessions or with those of every build.
fn specs(full: bool) -> Vec<Session> {
    if full {
        l1::long_run()
    } else {
        l1::every_build()
    }
}

fn report_l1(report: &Report) -> Result<bool, Environment> {
    let mut specs = specs(report.full);
    let chosen = &report.instance;
    specs.retain(|spec| chosen.is_empty() || chosen.iter().any(|c| c == spec.instance().name));
    let patience = Patience {
        kept: KEPT,
        fail_fast: report.fail_fast,
    };
    let (row, walks) = l1::report(&specs, patience, l1::Lens::default());
    for InstanceWalk { instance, walk } in &walks {
        eprintln!(
            "{instance:<16} {:>9} states {:>10} edges {:>11} refusals {:>7.2} s",
            walk.states, walk.edges_total, walk.disabled_total, walk.seconds
        );
        for (number, disagreement) in walk.kept.iter().enumerate() {
            let path = report.traces.join(format!("l1-{instance}-{number}.jsonl"));
            write_trace(&path, &disagreement.trace.to_lines())?;
            explain(disagreement, &path);
        }
    }
    if report.each {
        walks.iter().for_each(|walk| print_json(&walk.row()));
    }
    print_row(&row, report.json);
    Ok(row.is_green())
}

#[cfg(feature = "l2")]
fn report_l2(report: &Report) -> Result<bool, Environment> {
    report_tours(report, l2::outings(report.full), &l2::line::Memory)
}

#[cfg(feature = "l3")]
fn report_l3(report: &Report) -> Result<bool, Environment> {
    let sockets =
        l3::Sockets::new().map_err(|e| Environment::io("start threads in", Path::new("."), e))?;
    let good = report_tours(report, l3::outings(report.full), &sockets)?;
    let cuts = sockets.cuts();
    eprintln!(
        "streams cut {:?}, {} of them inside a frame",
        cuts.of_each_kind(),
        cuts.torn()
    );
    Ok(good)
}

#[cfg(feature = "l2")]
fn report_tours(
    report: &Report,
    mut outings: Vec<l2::Outing>,
    grounds: &dyn l2::Grounds,
) -> Result<bool, Environment> {
    let chosen = &report.instance;
    outings.retain(|outing| {
        let name = outing.spec.instance().name;
        chosen.is_empty() || chosen.iter().any(|c| c == name)
    });
    let patience = Patience {
        kept: KEPT,
        fail_fast: report.fail_fast,
    };
    let level = grounds.level().to_lowercase();
    let (row, tours) = l2::report_on(grounds, &outings, patience, l2::Lens::default());
    for (outing, tour) in &tours {
        let (instance, walk) = (outing.spec.instance().name, &tour.walk);
        eprintln!(
            "{instance:<16} {:>7} states {:>7} edges {:>6} refusals {:>5} classes, {} steps of {} clusters, \
             {} late frames {:>7.2} s",
            walk.states,
            walk.edges_total,
            walk.disabled_total,
            tour.classes,
            tour.taken,
            tour.fresh,
            tour.late_frames,
            walk.seconds
        );
        for (number, disagreement) in walk.kept.iter().enumerate() {
            let path = (report.traces).join(format!("{level}-{instance}-{number}.jsonl"));
            write_trace(&path, &disagreement.trace.to_lines())?;
            explain(disagreement, &path);
        }
    }
    print_row(&row, report.json);
    Ok(row.is_green())
}

fn print_row(row: &Row, json: bool) {
    if json {
        return print_json(row);
    }
    println!(
        "{}: {} of {} edges, {} of {} refusals, {} disagreements, {} hidden states, {} states of \
         {} instances in {:.1} s: {}",
        row.level,
        row.edges_covered,
        row.edges_total,
        row.disabled_checked,
        row.disabled_total,
        row.disagreements,
        row.hidden_states,
        row.states,
        row.instances.len(),
        row.seconds,
        if row.is_green() {
            "conforms"
        } else {
            "DIFFERS"
        }
    );
}

fn write_trace(path: &Path, lines: &str) -> Result<(), Environment> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(|e| Environment::io("create", directory, e))?;
    }
    fs::write(path, lines).map_err(|e| Environment::io("write", path, e))
}

fn explain<S: Spec>(disagreement: &Disagreement<S>, path: &Path) {
    let Disagreement {
        difference,
        before,
        system,
        trace,
    } = disagreement;
    let action = trace
        .steps
        .last()
        .map_or("the beginning".to_owned(), |s| action_text(&s.action));
    eprintln!("\nDISAGREEMENT at {action}: {}", difference.what);
    eprintln!("  specification says   {}", difference.specification);
    eprintln!("  implementation says  {}", difference.implementation);
    eprintln!("  before, specified    {before}");
    eprintln!("  before, implemented  {system}");
    eprintln!(
        "  replay with          holdfast-conformance trace check {}",
        path.display()
    );
}

fn check_trace(path: &Path) -> Result<u8, Environment> {
    let file = File::open(path).map_err(|e| Environment::io("open", path, e))?;
    let replay = match l1::trace::check(
        &mut BufReader::new(file),
        l1::trace::read,
        l1::Lens::default(),
    ) {
        Ok(replay) => replay,
        Err(error) => {
            eprintln!("holdfast-conformance: {}: {error}", path.display());
            return Ok(USAGE);
        }
    };
    let followed = &replay.followed;
    if let Some(disagreement) = &followed.disagreement {
        explain(disagreement, path);
    }
    if let (true, Some(step)) = (replay.header.rules != "holdfast", followed.departs) {
        println!(
            "line {}: {} leaves the protocol here",
            step + 2,
            replay.header.rules
        );
    }
    println!("{} of {} calls agree", followed.steps, replay.lines);
    match replay.finding() {
        None => Ok(GOOD),
        Some(finding) => {
            println!("{}: {finding}", path.display());
            Ok(FINDING)
        }
    }
}
