//! The commands. What they report they have just computed: no command prints stored figures.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use holdfast_model::checking::{
    CheckRow, MutantRow, Published, Suite, SuiteError, drift, findings, markdown, read_header,
    revision, suites,
};

const FINDING: u8 = 1;
const USAGE: u8 = 2;

/// Exhausts the specification of Holdfast, breaks its rules, shows its runs.
#[derive(Parser)]
#[command(name = "holdfast-model", version)]
#[command(after_help = "Exit codes: 0 good, 1 a finding, 2 usage.")]
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
    /// Serves stateright's Explorer for an instance: walk the graph in a browser.
    Explore(ExploreArgs),
    /// Tells a run: a trace file (`-`: standard input), or the shortest run of a mutant.
    Trace(TraceArgs),
    /// Names specifications, instances and mutants.
    List,
}

#[derive(Args)]
struct CheckArgs {
    /// The instances of every build (the default).
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// All instances.
    #[arg(long)]
    full: bool,
    /// One object per line on standard output.
    #[arg(long)]
    json: bool,
    /// Only this instance (may be repeated).
    #[arg(long, value_name = "NAME", conflicts_with_all = ["quick", "full", "bless"])]
    instance: Vec<String>,
    /// Rewrites the published figures, with the mutants', from what is found.
    #[arg(long)]
    bless: bool,
    /// Where the published figures are.
    #[arg(long, value_name = "DIR", default_value = "docs/results")]
    results: PathBuf,
}

#[derive(Args)]
struct MutantArgs {
    /// One object per line on standard output.
    #[arg(long)]
    json: bool,
    /// Only mutants whose id begins like this.
    #[arg(long, value_name = "ID")]
    only: Option<String>,
}

#[derive(Args)]
struct ExploreArgs {
    /// The specification.
    #[arg(default_value = "session")]
    spec: String,
    /// The instance.
    #[arg(long, default_value = "authority")]
    instance: String,
    /// Where to listen; it must be a loopback address.
    #[arg(long, default_value = "127.0.0.1:3000")]
    address: SocketAddr,
}

#[derive(Args)]
struct TraceArgs {
    /// A trace: JSON lines with a header.
    #[arg(required_unless_present = "mutant", conflicts_with = "mutant")]
    file: Option<PathBuf>,
    /// The shortest run of this mutant.
    #[arg(long, value_name = "ID")]
    mutant: Option<String>,
    /// Prints the JSON lines of the mutant's run instead of telling it.
    #[arg(long, requires = "mutant")]
    json: bool,
}

/// How a command ends other than well.
enum Failure {
    /// What was checked is not so.
    Findings(Vec<String>),
    /// What was asked for cannot be done.
    Usage(String),
}

impl From<SuiteError> for Failure {
    fn from(error: SuiteError) -> Self {
        match error {
            SuiteError::OutOfBounds(_) | SuiteError::Trace(_) => {
                Self::Findings(vec![error.to_string()])
            }
            SuiteError::UnknownInstance(_)
            | SuiteError::UnknownMutant(_)
            | SuiteError::Address(_) => Self::Usage(error.to_string()),
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
        Command::Explore(arguments) => explore(&arguments),
        Command::Trace(arguments) => trace(&arguments),
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
    }
}

fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

fn as_json<T: serde::Serialize>(row: &T) -> Result<String, Failure> {
    serde_json::to_string(row).map_err(|error| Failure::Usage(error.to_string()))
}

fn check(arguments: &CheckArgs) -> Result<(), Failure> {
    let suites = suites();
    for name in &arguments.instance {
        if !suites
            .iter()
            .any(|suite| suite.instances().iter().any(|i| i.name == name))
        {
            return Err(SuiteError::UnknownInstance(name.clone()).into());
        }
    }
    let mut wrong = Vec::new();
    for suite in &suites {
        let mut rows = Vec::new();
        for instance in suite.instances() {
            let named = arguments.instance.iter().any(|name| name == instance.name);
            let wanted = instance.quick || arguments.full || (arguments.bless && !arguments.quick);
            if named || (arguments.instance.is_empty() && wanted) {
                let row = suite.check(instance.name)?;
                print_check(&row, arguments.json)?;
                rows.push(row);
            }
        }
        let whole = arguments.instance.is_empty();
        wrong.extend(findings(&rows, whole));
        if arguments.bless {
            bless(suite.as_ref(), rows, &arguments.results, &mut wrong)?;
        } else {
            wrong.extend(drifted(suite.name(), &rows, &arguments.results)?);
        }
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
        "{}/{}: {} states, {} transitions, depth {}, {:.1} s, {} properties and witnesses{}",
        row.spec,
        row.instance,
        row.states,
        row.transitions,
        row.depth,
        row.seconds,
        row.properties.len(),
        if vacuous.is_empty() {
            String::new()
        } else {
            format!(", VACUOUS: {}", vacuous.join(" "))
        },
    ))?;
    Ok(())
}

/// Holds rows against the published figures, if there are any.
fn drifted(spec: &str, rows: &[CheckRow], results: &Path) -> Result<Vec<String>, Failure> {
    let path = results.join(format!("{spec}.json"));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            eprintln!(
                "note: {} does not exist; `check --bless` writes it",
                path.display()
            );
            return Ok(Vec::new());
        }
        Err(error) => return Err(Failure::Usage(format!("{}: {error}", path.display()))),
    };
    let published: Published = serde_json::from_str(&text)
        .map_err(|error| Failure::Findings(vec![format!("{}: {error}", path.display())]))?;
    let drifts = drift(&published, rows).into_iter().map(|drift| {
        format!(
            "{spec}: {} drifted: published {}, found {}; if that is meant, `check --bless`",
            drift.what, drift.published, drift.found
        )
    });
    Ok(drifts.collect())
}

fn bless(
    suite: &dyn Suite,
    rows: Vec<CheckRow>,
    results: &Path,
    wrong: &mut Vec<String>,
) -> Result<(), Failure> {
    let mutants = kill_all(suite, None, |_| Ok(()), wrong)?;
    if !wrong.is_empty() {
        wrong.push("nothing was published: what is wrong is not blessed".to_owned());
        return Ok(());
    }
    let published = Published {
        command: "holdfast-model check --bless".to_owned(),
        revision: revision(),
        checks: rows,
        mutants,
    };
    std::fs::create_dir_all(results)?;
    let title = format!("The `{}` specification, checked", suite.name());
    let text = serde_json::to_string_pretty(&published)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    std::fs::write(results.join(format!("{}.json", suite.name())), text + "\n")?;
    std::fs::write(
        results.join(format!("{}.md", suite.name())),
        markdown(&published, &title),
    )?;
    Ok(())
}

fn kill_all(
    suite: &dyn Suite,
    only: Option<&str>,
    mut report: impl FnMut(&MutantRow) -> Result<(), Failure>,
    wrong: &mut Vec<String>,
) -> Result<Vec<MutantRow>, Failure> {
    let mut rows = Vec::new();
    for (id, _) in suite.mutants() {
        if only.is_some_and(|only| !id.starts_with(only)) {
            continue;
        }
        let (row, _) = suite.kill(&id)?;
        report(&row)?;
        if !row.killed {
            wrong.push(format!(
                "{id} survives: {} does not fall in {}",
                row.property, row.instance
            ));
        }
        rows.push(row);
    }
    Ok(rows)
}

fn mutants(arguments: &MutantArgs) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    let mut count = 0;
    for suite in suites() {
        let report = |row: &MutantRow| {
            if arguments.json {
                return Ok(line(&as_json(row)?)?);
            }
            let verdict = if row.killed { "killed" } else { "SURVIVES" };
            Ok(line(&format!(
                "{verdict} {}: {} in {}, depth {}, {} states, {:.2} s",
                row.id, row.property, row.instance, row.depth, row.states, row.seconds
            ))?)
        };
        count += kill_all(
            suite.as_ref(),
            arguments.only.as_deref(),
            report,
            &mut wrong,
        )?
        .len();
    }
    if count == 0 {
        let only = arguments.only.clone().unwrap_or_default();
        return Err(SuiteError::UnknownMutant(only).into());
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Failure::Findings(wrong))
    }
}

fn suite_named(name: &str) -> Result<Box<dyn Suite>, Failure> {
    suites()
        .into_iter()
        .find(|suite| suite.name() == name)
        .ok_or_else(|| {
            Failure::Usage(format!(
                "there is no specification {name:?}; `holdfast-model list` names them"
            ))
        })
}

fn explore(arguments: &ExploreArgs) -> Result<(), Failure> {
    let suite = suite_named(&arguments.spec)?;
    if !arguments.address.ip().is_loopback() {
        return Err(Failure::Usage(format!(
            "{} is not a loopback address, and the Explorer authenticates nobody",
            arguments.address
        )));
    }
    eprintln!(
        "{}/{} at http://{}/",
        suite.name(),
        arguments.instance,
        arguments.address
    );
    Ok(suite.serve(&arguments.instance, arguments.address)?)
}

fn trace(arguments: &TraceArgs) -> Result<(), Failure> {
    if let Some(id) = &arguments.mutant {
        return trace_of_mutant(id, arguments.json);
    }
    let Some(path) = &arguments.file else {
        return Err(Failure::Usage("name a trace file or a mutant".to_owned()));
    };
    let mut input: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file = File::open(path)
            .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
        Box::new(BufReader::new(file))
    };
    tell(&mut input)
}

/// Replays a trace and tells it.
fn tell(mut input: &mut dyn BufRead) -> Result<(), Failure> {
    let header = read_header(&mut input).map_err(SuiteError::from)?;
    let unknown = SuiteError::from(holdfast_model::checking::TraceError::Unknown {
        what: "specification",
        name: header.spec.clone(),
    });
    let suite = suites()
        .into_iter()
        .find(|suite| suite.name() == header.spec)
        .ok_or(unknown)?;
    let text = suite.narrate(header, input)?;
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}

fn trace_of_mutant(id: &str, json: bool) -> Result<(), Failure> {
    for suite in suites() {
        if suite.mutants().iter().any(|(mutant, _)| mutant == id) {
            let (_, trace) = suite.kill(id)?;
            let lines = trace.ok_or_else(|| {
                Failure::Findings(vec![format!("{id} survives: it has no trace")])
            })?;
            if json {
                return Ok(io::stdout().lock().write_all(lines.as_bytes())?);
            }
            return tell(&mut lines.as_bytes());
        }
    }
    Err(SuiteError::UnknownMutant(id.to_owned()).into())
}

fn list() -> Result<(), Failure> {
    for suite in suites() {
        line(&format!("specification {}", suite.name()))?;
        for instance in suite.instances() {
            let quick = if instance.quick { " (quick)" } else { "" };
            line(&format!(
                "  instance {}{quick}: {}",
                instance.name, instance.purpose
            ))?;
        }
        for (id, says) in suite.mutants() {
            line(&format!("  mutant {id}: {says}"))?;
        }
    }
    Ok(())
}
