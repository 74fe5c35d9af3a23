//! The commands that show runs: `explore` in a browser, `trace` as text or as a drawing.
//!
//! A run comes from a trace file, which is read with bounds, or is searched for anew: the shortest
//! one of a mutant, or on which a property falls.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use clap::Args;
use holdfast_model::checking::{Header, Suite, SuiteError, TraceError, read_header, suites};
use holdfast_model::explore::Served;

use super::{Failure, line};

/// The longest trace file that is read.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What `explore` takes.
#[derive(Args)]
pub(super) struct ExploreArgs {
    /// The specification; where a mutant or a trace is named, theirs.
    spec: Option<String>,
    /// The instance; without it, the first of the specification.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["mutant", "trace"])]
    instance: Option<String>,
    /// Begins at the end of the shortest run of this mutant.
    #[arg(long, value_name = "ID", conflicts_with = "trace")]
    mutant: Option<String>,
    /// Begins at the end of this trace (`-`: standard input).
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Offers refused calls too, with the reason.
    #[arg(long)]
    refusals: bool,
    /// Where to listen; it must be a loopback address. With port 0, any free port.
    #[arg(long, default_value = "127.0.0.1:3000")]
    address: SocketAddr,
}

/// What `trace` takes.
#[derive(Args)]
pub(super) struct TraceArgs {
    /// A trace: JSON lines with a header.
    #[arg(required_unless_present_any = ["mutant", "instance"])]
    file: Option<PathBuf>,
    /// The shortest run of this mutant.
    #[arg(long, value_name = "ID", conflicts_with = "file")]
    mutant: Option<String>,
    /// The shortest run of this instance (`SPEC/NAME`) on which a property falls.
    #[arg(long, value_name = "NAME", requires = "property", conflicts_with_all = ["file", "mutant"])]
    instance: Option<String>,
    /// The property that falls.
    #[arg(long, value_name = "NAME", requires = "instance")]
    property: Option<String>,
    /// Prints the JSON lines of the run that was found instead of telling it.
    #[arg(long, conflicts_with_all = ["file", "svg"])]
    json: bool,
    /// Draws the run as a sequence diagram into this file (`-`: standard output) instead of
    /// telling it.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
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

/// Serves the Explorer until the process ends.
pub(super) fn explore(arguments: &ExploreArgs) -> Result<(), Failure> {
    let address = arguments.address;
    if !address.ip().is_loopback() {
        return Err(Failure::Usage(format!(
            "{address} is not a loopback address, and the Explorer authenticates nobody"
        )));
    }
    let walk = walk(arguments)?;
    let taken = |error| Failure::Environment(format!("cannot listen on {address}: {error}"));
    // Asks the system for a free port where the port is 0.
    let address = TcpListener::bind(address).and_then(|listener| listener.local_addr());
    let address = address.map_err(taken)?;
    line(&format!("http://{address}/{}", walk.place()))?;
    eprintln!("open that in a browser; ends with ctrl-c");
    walk.serve(address).map_err(taken)
}

/// What the Explorer is to serve.
fn walk(arguments: &ExploreArgs) -> Result<Box<dyn Served>, Failure> {
    let run = match (&arguments.mutant, &arguments.trace) {
        (Some(id), _) => run_of_mutant(id)?,
        (None, Some(path)) => read_whole(path)?,
        (None, None) => {
            let suite = suite_named(arguments.spec.as_deref().unwrap_or("cluster"))?;
            let first = suite.instances().first().map(|instance| instance.name);
            let instance = arguments.instance.as_deref().or(first).unwrap_or_default();
            return Ok(suite.walk(instance, arguments.refusals)?);
        }
    };
    let mut lines = run.as_slice();
    let (suite, header) = suite_of(&mut lines)?;
    match &arguments.spec {
        Some(spec) if spec != suite.name() => Err(Failure::Usage(format!(
            "that run is one of the specification {:?}, not of {spec:?}",
            suite.name()
        ))),
        Some(_) | None => Ok(suite.walk_along(header, &mut lines, arguments.refusals)?),
    }
}

/// Tells a run, draws it, or prints it.
pub(super) fn trace(arguments: &TraceArgs) -> Result<(), Failure> {
    let searched = arguments.instance.as_ref().zip(arguments.property.as_ref());
    let run = match (&arguments.mutant, searched, &arguments.file) {
        (Some(id), ..) => run_of_mutant(id)?,
        (None, Some((instance, property)), _) => run_of_property(instance, property)?,
        (None, None, Some(path)) => read_whole(path)?,
        (None, None, None) => {
            return Err(Failure::Usage(
                "name a trace file, a mutant, or an instance and a property".to_owned(),
            ));
        }
    };
    if arguments.json {
        return Ok(io::stdout().lock().write_all(&run)?);
    }
    let mut lines = run.as_slice();
    let (suite, header) = suite_of(&mut lines)?;
    match &arguments.svg {
        None => {
            let told = suite.narrate(header, &mut lines)?;
            Ok(io::stdout().lock().write_all(told.as_bytes())?)
        }
        Some(path) => write_to(path, &suite.draw(header, &mut lines)?),
    }
}

/// Writes to a file, or to standard output for `-`.
fn write_to(path: &Path, text: &str) -> Result<(), Failure> {
    if path == Path::new("-") {
        return Ok(io::stdout().lock().write_all(text.as_bytes())?);
    }
    std::fs::write(path, text)
        .map_err(|error| Failure::Environment(format!("{}: {error}", path.display())))
}

/// A trace file (`-`: standard input), whole, if it is not longer than any trace.
fn read_whole(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: io::Error| Failure::Usage(format!("{}: {error}", path.display()));
    let input: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(failed)?)
    };
    let mut bytes = Vec::new();
    let mut limited = input.take(FILE_BYTES_MAX + 1);
    limited.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::Usage(format!(
            "{}: longer than any trace ({FILE_BYTES_MAX} bytes)",
            path.display()
        )));
    }
    Ok(bytes)
}

/// Reads the header of a trace and finds its specification.
fn suite_of(mut lines: &mut &[u8]) -> Result<(Box<dyn Suite>, Header), Failure> {
    let header = read_header(&mut lines).map_err(SuiteError::from)?;
    let unknown = SuiteError::from(TraceError::Unknown {
        what: "specification",
        name: header.spec.clone(),
    });
    let mut suites = suites().into_iter();
    let suite = suites.find(|suite| suite.name() == header.spec);
    Ok((suite.ok_or(unknown)?, header))
}

/// The shortest run on which a property falls, as the lines of a trace.
fn run_of_property(place: &str, property: &str) -> Result<Vec<u8>, Failure> {
    let unknown = || SuiteError::UnknownInstance(place.to_owned());
    let (spec, instance) = place.split_once('/').ok_or_else(unknown)?;
    let run = suite_named(spec)?.counterexample(instance, property)?;
    let holds = || Failure::Usage(format!("{property} holds in {place}: there is no such run"));
    Ok(run.ok_or_else(holds)?.into_bytes())
}

/// The shortest run of a mutant, as the lines of a trace.
fn run_of_mutant(id: &str) -> Result<Vec<u8>, Failure> {
    for suite in suites() {
        if suite.mutants().iter().any(|(mutant, _)| mutant == id) {
            let (_, trace) = suite.kill(id)?;
            let survives = || Failure::Findings(vec![format!("{id} survives: it has no trace")]);
            return Ok(trace.ok_or_else(survives)?.into_bytes());
        }
    }
    Err(SuiteError::UnknownMutant(id.to_owned()).into())
}
