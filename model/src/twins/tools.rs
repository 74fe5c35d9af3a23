//! The programs that exhaust a twin: SPIN, rumur, and the C compiler that both need. Each runs in
//! a directory of its own, which is removed when it is done, and is believed only when it says
//! that it searched everything.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::TwinError;

/// Programs, each with the Debian package that has it.
const PACKAGES: [(&str, &str); 3] = [("spin", "spin"), ("rumur", "rumur"), ("cc", "gcc")];

/// Steps on one path of SPIN's search. A search that needs more says so and is refused.
const DEPTH: &str = "-m1000000";

/// How much work the C compiler may make of it: as much as the search is long.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    Little,
    Some,
}

impl Effort {
    const fn flag(self) -> &'static str {
        match self {
            Self::Little => "-O0",
            Self::Some => "-O1",
        }
    }
}

/// What a checker counted.
pub(super) struct Found {
    pub(super) states: u64,
    pub(super) transitions: u64,
}

/// A directory of the system's temporary ones, removed with its content.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("holdfast-twin-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether every program is installed.
///
/// # Errors
/// The first that is not.
pub(super) fn all_there() -> Result<(), TwinError> {
    for (program, package) in PACKAGES {
        let asked = Command::new(program).arg("--version").output();
        if let Err(error) = asked {
            return Err(not_started(program, package, error));
        }
    }
    Ok(())
}

fn not_started(program: &'static str, package: &'static str, error: io::Error) -> TwinError {
    if error.kind() == io::ErrorKind::NotFound {
        TwinError::Missing { program, package }
    } else {
        TwinError::Io(error)
    }
}

fn failed(program: &'static str, said: &str) -> TwinError {
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let end = lines[lines.len().saturating_sub(6)..].join("; ");
    TwinError::Failed { program, said: end }
}

/// Runs a program in the directory; it must end well. Both its outputs.
fn run(scratch: &Scratch, program: &'static str, arguments: &[&str]) -> Result<String, TwinError> {
    let package = PACKAGES
        .iter()
        .find(|(name, _)| *name == program)
        .map_or("", |(_, package)| package);
    // What was compiled here is found here.
    let file = match program.strip_prefix("./") {
        Some(name) => scratch.path().join(name),
        None => PathBuf::from(program),
    };
    let output = Command::new(file)
        .args(arguments)
        .current_dir(scratch.path())
        .output()
        .map_err(|error| not_started(program, package, error))?;
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    if output.status.success() {
        Ok(said)
    } else {
        Err(failed(program, &said))
    }
}

/// The number before ` {what}` on the first line that has both.
fn number_before(text: &str, what: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (before, _) = line.split_once(what)?;
        before.split_whitespace().next_back()?.parse().ok()
    })
}

/// SPIN makes a checker of a program: without partial order reduction, which drops states, and
/// without leaving out what is only written (`-o2` switches that off), which are the ghosts.
fn compile_with_spin(
    scratch: &Scratch,
    program: &str,
    effort: Effort,
    flags: &[&str],
) -> Result<(), TwinError> {
    fs::write(scratch.path().join("twin.pml"), program)?;
    let said = run(scratch, "spin", &["-o2", "-a", "twin.pml"])?;
    if !scratch.path().join("pan.c").is_file() {
        return Err(failed("spin", &said));
    }
    let mut arguments = vec![effort.flag(), "-w", "-DNOREDUCE", "-DVECTORSZ=4096"];
    arguments.extend(flags);
    arguments.extend(["-o", "pan", "pan.c"]);
    run(scratch, "cc", &arguments)?;
    Ok(())
}

/// Whether SPIN's search was complete.
fn is_whole(said: &str) -> bool {
    let cut_short = ["max search depth", "Search not completed", "out of memory"];
    !cut_short.iter().any(|sign| said.contains(sign))
}

/// Exhausts a program with SPIN.
///
/// # Errors
/// When a program is missing or fails, or the search found an error or was cut short.
pub(super) fn count_with_spin(
    scratch: &Scratch,
    program: &str,
    effort: Effort,
) -> Result<Found, TwinError> {
    compile_with_spin(scratch, program, effort, &["-DSAFETY"])?;
    // A state without a way out is none of the twin's business.
    let said = run(scratch, "./pan", &[DEPTH, "-E"])?;
    let counted = number_before(&said, " states, stored")
        .zip(number_before(&said, " transitions (= stored+matched)"));
    match counted {
        Some((states, transitions)) if is_whole(&said) && said.contains("errors: 0") => Ok(Found {
            states,
            transitions,
        }),
        Some(_) | None => Err(failed("spin", &said)),
    }
}

/// Makes SPIN's checker for formulas; fairness to up to 22 processes.
///
/// # Errors
/// When a program is missing or fails.
pub(super) fn compile_for_liveness(scratch: &Scratch, program: &str) -> Result<(), TwinError> {
    compile_with_spin(scratch, program, Effort::Little, &["-DNFAIR=6"])
}

/// Whether a formula holds of every run that is weakly fair.
///
/// # Errors
/// When the search failed or was cut short.
pub(super) fn judge_with_spin(scratch: &Scratch, formula: &str) -> Result<bool, TwinError> {
    let said = run(scratch, "./pan", &[DEPTH, "-a", "-f", "-N", formula])?;
    if said.contains("acceptance cycle") && said.contains("errors: 1") {
        return Ok(false);
    }
    let searched = said.contains(&format!("ltl formula {formula}"))
        && said.contains("fairness enabled")
        && said.contains("errors: 0");
    if searched && is_whole(&said) {
        Ok(true)
    } else {
        Err(failed("spin", &said))
    }
}

/// rumur makes a checker of a program.
fn compile_with_rumur(
    scratch: &Scratch,
    program: &str,
    effort: Effort,
    flags: &[&str],
) -> Result<(), TwinError> {
    fs::write(scratch.path().join("twin.m"), program)?;
    let mut arguments = vec!["--symmetry-reduction", "off", "--deadlock-detection", "off"];
    arguments.extend(flags);
    arguments.extend(["--output", "twin.c", "twin.m"]);
    run(scratch, "rumur", &arguments)?;
    let arguments = [
        effort.flag(),
        "-w",
        "-march=native",
        "-o",
        "twin",
        "twin.c",
        "-lpthread",
    ];
    run(scratch, "cc", &arguments)?;
    Ok(())
}

/// Exhausts a program with rumur.
///
/// # Errors
/// When a program is missing or fails, or the search found an error or was cut short.
pub(super) fn count_with_rumur(
    scratch: &Scratch,
    program: &str,
    effort: Effort,
) -> Result<Found, TwinError> {
    compile_with_rumur(scratch, program, effort, &[])?;
    let said = run(scratch, "./twin", &[])?;
    read_counts(&said).ok_or_else(|| failed("rumur", &said))
}

fn read_counts(said: &str) -> Option<Found> {
    let (_, end) = said.split_once("State Space Explored:")?;
    let counted = number_before(end, " states,").zip(number_before(end, " rules fired"))?;
    let (states, transitions) = counted;
    said.contains("No error found.").then_some(Found {
        states,
        transitions,
    })
}

/// The length of a shortest run on which a property falls; none: it holds. One thread goes level
/// by level, so that the first fall is at a least depth.
///
/// # Errors
/// When a program is missing or fails, or another property falls.
pub(super) fn shortest_fall_with_rumur(
    scratch: &Scratch,
    program: &str,
    property: &str,
) -> Result<Option<u64>, TwinError> {
    let flags = ["--threads", "1", "--counterexample-trace", "diff"];
    compile_with_rumur(scratch, program, Effort::Little, &flags)?;
    // It ends with a failure when something fell, so its code says nothing of its own health.
    let output = Command::new(scratch.path().join("twin"))
        .current_dir(scratch.path())
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if read_counts(&said).is_some() {
        return Ok(None);
    }
    let fell = [
        format!("invariant \"{property}\" failed"),
        format!(": {property}\n"),
    ];
    if fell.iter().any(|sign| said.contains(sign)) {
        let steps = said
            .lines()
            .filter(|line| line.starts_with("Rule ") && line.ends_with(" fired."));
        Ok(Some(steps.count() as u64))
    } else {
        Err(failed("rumur", &said))
    }
}

#[cfg(test)]
mod tests {
    use super::{is_whole, number_before};

    #[test]
    fn a_number_is_read_from_the_line_that_names_it() {
        let said = "State-vector 84 byte\n      491 states, stored\n     2379 transitions (= stored+matched)\n";
        assert_eq!(number_before(said, " states, stored"), Some(491));
        assert_eq!(
            number_before(said, " transitions (= stored+matched)"),
            Some(2379)
        );
        assert_eq!(number_before(said, " rules fired"), None);
        assert_eq!(
            number_before("\t490 states, 2377 rules fired in 0s.", " rules fired"),
            Some(2377)
        );
    }

    #[test]
    fn a_search_that_was_cut_short_is_no_count() {
        assert!(is_whole("errors: 0\n 491 states, stored"));
        assert!(!is_whole(
            "error: max search depth too small\n 491 states, stored"
        ));
        assert!(!is_whole("Warning: Search not completed"));
    }
}
