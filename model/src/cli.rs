//! The commands. What they report they have just computed: no command prints stored figures.

mod guards;
mod runs;
mod twins;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use holdfast_model::checking::{
    CheckRow, Draft, Effort, Instance, MutantRow, Published, Suite, SuiteError, TraceError,
    check_all, drift, drift_of_mutants, findings, kill_all, publish, revision, suites,
};

use runs::{ExploreArgs, TraceArgs};

const FINDING: u8 = 1;
const USAGE: u8 = 2;
const ENVIRONMENT: u8 = 3;

/// Exhausts the specification of Holdfast, breaks its rules, shows its runs.
#[derive(Parser)]
#[command(name = "holdfast-model", version)]
#[command(
    after_help = "Exit codes: 0 good, 1 a finding, 2 usage, 3 environment (a program, an address, a file)."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Exhausts instances with both checkers, judges every property, compares with the published
    /// figures.
    Check(CheckArgs),
    /// Breaks every rule, one at a time; the named property must fall each time.
    Mutants(MutantArgs),
    /// Serves stateright's Explorer for an instance, a mutant or a trace: walk the graph in a
    /// browser and see every path as a sequence diagram. Prints the address.
    Explore(ExploreArgs),
    /// Tells a run: a trace file (`-`: standard input), the shortest run of a mutant, or the
    /// shortest on which a property falls.
    Trace(TraceArgs),
    /// Exhausts the twins: the same machines in Promela and Murphi, with SPIN and rumur. All
    /// counts must be those of our own checkers.
    Twins(twins::TwinArgs),
    /// Names specifications, instances and mutants.
    List,
}

#[derive(Args)]
struct CheckArgs {
    /// Those instances of every build that answer within a minute together.
    #[arg(long, conflicts_with_all = ["full", "bless"])]
    quick: bool,
    /// All instances, not only those of every build.
    #[arg(long)]
    full: bool,
    /// One object per line on standard output.
    #[arg(long)]
    json: bool,
    /// Only this instance, as `NAME` or `SPEC/NAME` (may be repeated).
    #[arg(long, value_name = "NAME", conflicts_with_all = ["quick", "full", "bless"])]
    instance: Vec<String>,
    /// Rewrites the published figures, with the mutants', from what is found: with `--full` all of
    /// them; without, those of every build, beside which the others stay as they were.
    #[arg(long)]
    bless: bool,
    /// Where the published figures are.
    #[arg(long, value_name = "DIR", default_value = "docs/results")]
    results: PathBuf,
}

impl CheckArgs {
    fn effort(&self) -> Effort {
        match (self.quick, self.full) {
            (true, _) => Effort::Quick,
            (_, true) => Effort::Long,
            (false, false) => Effort::Build,
        }
    }
}

#[derive(Args)]
struct MutantArgs {
    /// One object per line on standard output.
    #[arg(long)]
    json: bool,
    /// Only mutants whose id begins like this; with `--guards`, conditions whose name does.
    #[arg(long, value_name = "ID", conflicts_with = "bless")]
    only: Option<String>,
    /// Deletes every condition of every guard in turn, instead of breaking the named rules.
    #[arg(long)]
    guards: bool,
    /// With `--guards`: over all instances, not only those of every build.
    #[arg(long, requires = "guards")]
    full: bool,
    /// With `--guards`: rewrites the published figures from what is found.
    #[arg(long, requires = "guards")]
    bless: bool,
    /// Where the published figures are.
    #[arg(long, value_name = "DIR", default_value = "docs/results")]
    results: PathBuf,
}

/// How a command ends other than well.
enum Failure {
    /// What was checked is not so.
    Findings(Vec<String>),
    /// What was asked for cannot be done.
    Usage(String),
    /// The machine does not let it be done.
    Environment(String),
}

impl From<SuiteError> for Failure {
    fn from(error: SuiteError) -> Self {
        match error {
            SuiteError::OutOfBounds(_)
            | SuiteError::Trace(TraceError::Departs { .. } | TraceError::NotOffered { .. }) => {
                Self::Findings(vec![error.to_string()])
            }
            SuiteError::UnknownInstance(_)
            | SuiteError::UnknownMutant(_)
            | SuiteError::UnknownProperty(_)
            | SuiteError::Trace(
                TraceError::Empty
                | TraceError::Unreadable { .. }
                | TraceError::TooLong { .. }
                | TraceError::NoHeader { .. }
                | TraceError::Version { .. }
                | TraceError::Unknown { .. }
                | TraceError::NoAction { .. },
            ) => Self::Usage(error.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Parses the command line and does what it says.
pub(crate) fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Check(arguments) => check(&arguments),
        Command::Mutants(arguments) => mutants(&arguments),
        Command::Explore(arguments) => runs::explore(&arguments),
        Command::Trace(arguments) => runs::trace(&arguments),
        Command::Twins(arguments) => twins::run(&arguments),
        Command::List => list(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Findings(findings)) => {
            for finding in findings {
                eprintln!("finding: {finding}");
            }
            ExitCode::from(FINDING)
        }
        Err(Failure::Usage(what)) => {
            eprintln!("error: {what}");
            ExitCode::from(USAGE)
        }
        Err(Failure::Environment(what)) => {
            eprintln!("error: {what}");
            ExitCode::from(ENVIRONMENT)
        }
    }
}

/// Prints a line of results.
fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

fn as_json<T: serde::Serialize>(row: &T) -> Result<String, Failure> {
    serde_json::to_string(row).map_err(|error| Failure::Usage(error.to_string()))
}

/// Whether an instance is meant: by its name, or by that of its specification and its own, as rows show it.
fn names(given: &str, suite: &dyn Suite, instance: &Instance) -> bool {
    match given.split_once('/') {
        Some((spec, name)) => spec == suite.name() && name == instance.name,
        None => given == instance.name,
    }
}

fn check(arguments: &CheckArgs) -> Result<(), Failure> {
    let suites = suites();
    for name in &arguments.instance {
        if !suites.iter().any(|suite| {
            suite
                .instances()
                .iter()
                .any(|i| names(name, suite.as_ref(), i))
        }) {
            return Err(SuiteError::UnknownInstance(name.clone()).into());
        }
    }
    let wanted = |suite: &dyn Suite, instance: &Instance| {
        let mut given = arguments.instance.iter();
        let named = given.any(|name| names(name, suite, instance));
        let chosen = instance.effort <= arguments.effort();
        named || (arguments.instance.is_empty() && chosen)
    };
    let mut lattice: Vec<(&dyn Suite, &str)> = Vec::new();
    for suite in &suites {
        let instances = suite.instances().iter();
        let instances = instances.filter(|instance| wanted(suite.as_ref(), instance));
        lattice.extend(instances.map(|instance| (suite.as_ref(), instance.name)));
    }
    let mut rows = Vec::new();
    check_all(&lattice, |row| {
        print_check(&row, arguments.json)?;
        rows.push(row);
        Ok::<(), Failure>(())
    })?;
    let mut wrong = Vec::new();
    let mut drafts = Vec::new();
    for suite in &suites {
        let rows: Vec<CheckRow> = (rows.iter())
            .filter(|row| row.spec == suite.name())
            .cloned()
            .collect();
        // What is shown somewhere is shown by the lattice of every build, not by each part of it.
        let whole = arguments.instance.is_empty() && !arguments.quick;
        let mut found = findings(&rows, whole);
        if arguments.bless {
            let old = match arguments.full {
                true => None,
                false => published(suite.name(), &arguments.results)?,
            };
            drafts.push(draft(suite.as_ref(), rows, old, found)?);
        } else {
            let mutants = match arguments.instance.is_empty() {
                true => Some(killed(suite.as_ref(), &mut found)?),
                false => None,
            };
            found.extend(drifted(
                suite.as_ref(),
                &rows,
                mutants.as_deref(),
                &arguments.results,
            )?);
            wrong.extend(found);
        }
    }
    if arguments.bless {
        wrong = publish(drafts, &arguments.results)?;
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Failure::Findings(wrong))
    }
}

fn print_check(row: &CheckRow, json: bool) -> Result<(), Failure> {
    if json {
        return Ok(line(&as_json(row)?)?);
    }
    let vacuous: Vec<&str> = (row.properties.iter())
        .filter(|property| property.non_vacuous == 0)
        .map(|property| property.name.as_str())
        .collect();
    line(&format!(
        "{}/{}: {} states, {} transitions, depth {}, {:.1} + {:.1} s, {} properties and witnesses{}",
        row.spec,
        row.instance,
        row.states,
        row.transitions,
        row.depth,
        row.seconds,
        row.stateright.seconds,
        row.properties.len(),
        if vacuous.is_empty() {
            String::new()
        } else {
            format!(", VACUOUS: {}", vacuous.join(" "))
        },
    ))?;
    Ok(())
}

/// The published figures of a specification, if there are any.
fn published(spec: &str, results: &Path) -> Result<Option<Published>, Failure> {
    let path = results.join(format!("{spec}.json"));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::Usage(format!("{}: {error}", path.display()))),
    };
    let published = serde_json::from_str(&text)
        .map_err(|error| Failure::Findings(vec![format!("{}: {error}", path.display())]))?;
    Ok(Some(published))
}

/// Holds rows against the published figures, if there are any.
fn drifted(
    suite: &dyn Suite,
    rows: &[CheckRow],
    mutants: Option<&[MutantRow]>,
    results: &Path,
) -> Result<Vec<String>, Failure> {
    let spec = suite.name();
    let Some(published) = published(spec, results)? else {
        eprintln!(
            "note: {}/{spec}.json does not exist; `check --bless` writes it",
            results.display()
        );
        return Ok(Vec::new());
    };
    let listed: Vec<&str> = suite.instances().iter().map(|i| i.name).collect();
    let mut drifts = drift(&published, rows, &listed);
    drifts.extend(
        mutants
            .into_iter()
            .flat_map(|rows| drift_of_mutants(&published, rows)),
    );
    let drifts = drifts.into_iter().map(|drift| {
        format!(
            "{spec}: {} drifted: published {}, found {}; if that is meant, `check --bless`",
            drift.what, drift.published, drift.found
        )
    });
    Ok(drifts.collect())
}

/// What is to be published of a specification: its instances, and its mutants, which are killed for
/// it. Instances that were not checked now keep what `old` says of them.
fn draft(
    suite: &dyn Suite,
    checks: Vec<CheckRow>,
    old: Option<Published>,
    mut findings: Vec<String>,
) -> Result<Draft, Failure> {
    let mutants = killed(suite, &mut findings)?;
    let found = Published {
        command: "holdfast-model check --bless".to_owned(),
        revision: revision(),
        checks,
        mutants,
    };
    let names: Vec<&str> = suite.instances().iter().map(|i| i.name).collect();
    Ok(Draft {
        spec: suite.name(),
        published: match old {
            Some(old) => found.completed_by(old, &names),
            None => found,
        },
        findings,
    })
}

/// All mutants of a specification, killed; survivors are findings.
fn killed(suite: &dyn Suite, wrong: &mut Vec<String>) -> Result<Vec<MutantRow>, Failure> {
    let ids: Vec<String> = suite.mutants().into_iter().map(|(id, _)| id).collect();
    let rows = kill_all(suite, &ids)?;
    wrong.extend(rows.iter().filter_map(survival));
    Ok(rows)
}

fn survival(row: &MutantRow) -> Option<String> {
    (!row.killed).then(|| {
        format!(
            "{} survives: {} does not fall in {}",
            row.id, row.property, row.instance
        )
    })
}

fn mutants(arguments: &MutantArgs) -> Result<(), Failure> {
    if arguments.guards {
        return guards::run(arguments);
    }
    let mut wrong = Vec::new();
    let mut count = 0;
    let only = arguments.only.as_deref().unwrap_or_default();
    for suite in suites() {
        for (id, _) in (suite.mutants().iter()).filter(|(id, _)| id.starts_with(only)) {
            let (row, _) = suite.kill(id)?;
            count += 1;
            wrong.extend(survival(&row));
            if arguments.json {
                line(&as_json(&row)?)?;
                continue;
            }
            let verdict = if row.killed { "killed" } else { "SURVIVES" };
            line(&format!(
                "{verdict} {}: {} in {}, depth {}, {} states, {:.2} s",
                row.id, row.property, row.instance, row.depth, row.states, row.seconds
            ))?;
        }
    }
    if count == 0 {
        return Err(SuiteError::UnknownMutant(only.to_owned()).into());
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Failure::Findings(wrong))
    }
}

fn list() -> Result<(), Failure> {
    for suite in suites() {
        line(&format!("specification {}", suite.name()))?;
        for instance in suite.instances() {
            let effort = match instance.effort {
                Effort::Quick => " (quick)",
                Effort::Build => " (every build)",
                Effort::Long => "",
            };
            line(&format!(
                "  instance {}{effort}: {}",
                instance.name, instance.purpose
            ))?;
        }
        for (id, says) in suite.mutants() {
            line(&format!("  mutant {id}: {says}"))?;
        }
    }
    Ok(())
}
