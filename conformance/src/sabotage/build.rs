//! Building and running the checks inside the scratch copy.
//!
//! A build that fails is never taken for a check that fell, and neither is a check that found no
//! test to run or that did not come to an end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::environment::Environment;
use crate::sabotage::patch::Check;
use crate::sabotage::scratch::Scratch;

/// How long one build may take.
const BUILD_LIMIT: Duration = Duration::from_secs(1800);
/// How long one check may take, once built.
const CHECK_LIMIT: Duration = Duration::from_secs(900);
/// How often a running program is looked after.
const POLL: Duration = Duration::from_millis(20);
/// How much of what a program said is repeated, in bytes.
const SAID_BYTES: usize = 2000;

/// What came of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It ran and found nothing wrong.
    Passed,
    /// It ran and found something wrong; the end of what it said.
    Fell(String),
    /// The sources do not build; the end of what the compiler said.
    NotBuilt(String),
    /// It selects no test.
    NothingToRun,
    /// It did not end within its time.
    TimedOut,
}

/// Builds and runs `check` on the sources in the scratch copy, as they are.
///
/// # Errors
/// [`Environment`] when cargo or a built program cannot be started.
pub fn run(scratch: &Scratch, check: &Check) -> Result<Verdict, Environment> {
    match check {
        // Level 1 drives the engine alone: the node is not built for it.
        Check::L1 => run_level(scratch, "l1", &["--no-default-features"]),
        Check::L2 => run_level(scratch, "l2", &[]),
        Check::L3 => run_level(scratch, "l3", &[]),
        Check::Storage => {
            let alone = ["--no-default-features", "--features", "storage"];
            run_level(scratch, "storage", &alone)
        }
        Check::Test {
            package,
            file,
            name,
        } => run_tests(scratch, package, file.as_deref(), name),
    }
}

fn run_level(scratch: &Scratch, level: &str, features: &[&str]) -> Result<Verdict, Environment> {
    let mut build = cargo(scratch);
    build.args(["build", "--release", "--locked", "--quiet"]);
    build.args(["-p", "holdfast-conformance", "--bins"]);
    build.args(features);
    match execute(scratch, &mut build, BUILD_LIMIT)? {
        Ended::TimedOut => return Ok(Verdict::TimedOut),
        Ended::With(status, said) if !status.success() => {
            return Ok(Verdict::NotBuilt(said.stderr));
        }
        Ended::With(..) => {}
    }
    let program = scratch.target().join("release/holdfast-conformance");
    let mut report = Command::new(&program);
    report
        .args([
            "report",
            "--json",
            "--level",
            level,
            "--fail-fast",
            "--traces",
        ])
        .arg(scratch.target().join("traces"));
    report.current_dir(scratch.tree());
    Ok(match execute(scratch, &mut report, CHECK_LIMIT)? {
        Ended::TimedOut => Verdict::TimedOut,
        Ended::With(status, said) => match status.code() {
            Some(0) => Verdict::Passed,
            // A finding. Anything else is a crash of the checker, which finds nothing.
            Some(1) => Verdict::Fell(said.stderr),
            Some(_) | None => {
                return Err(Environment::Program {
                    command: format!("{} report", program.display()),
                    status: status.to_string(),
                    stderr: said.stderr,
                });
            }
        },
    })
}

fn run_tests(
    scratch: &Scratch,
    package: &str,
    file: Option<&str>,
    name: &str,
) -> Result<Verdict, Environment> {
    let mut build = cargo(scratch);
    build.args(["test", "--release", "--locked", "--quiet", "--no-run"]);
    build.args(["--message-format=json-render-diagnostics", "-p", package]);
    if let Some(file) = file {
        build.args(["--test", file]);
    }
    let programs = match execute(scratch, &mut build, BUILD_LIMIT)? {
        Ended::TimedOut => return Ok(Verdict::TimedOut),
        Ended::With(status, said) if !status.success() => {
            return Ok(Verdict::NotBuilt(said.stderr));
        }
        Ended::With(_, said) => test_programs(&said.stdout),
    };
    let mut ran = 0;
    for program in programs {
        let mut test = Command::new(&program);
        test.arg(name).current_dir(scratch.tree());
        match execute(scratch, &mut test, CHECK_LIMIT)? {
            Ended::TimedOut => return Ok(Verdict::TimedOut),
            Ended::With(status, said) if !status.success() => {
                return Ok(Verdict::Fell(tail(&said.stdout)));
            }
            Ended::With(_, said) => ran += tests_run(&said.stdout),
        }
    }
    Ok(if ran == 0 {
        Verdict::NothingToRun
    } else {
        Verdict::Passed
    })
}

/// The one line of a build's messages that matters here.
#[derive(Deserialize)]
struct Artifact {
    executable: Option<PathBuf>,
    profile: Option<ArtifactProfile>,
}

#[derive(Deserialize)]
struct ArtifactProfile {
    test: bool,
}

fn test_programs(messages: &str) -> Vec<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Artifact>(line).ok())
        .filter(|artifact| artifact.profile.as_ref().is_some_and(|p| p.test))
        .filter_map(|artifact| artifact.executable)
        .collect()
}

/// How many tests a test program says it ran: `running 3 tests`.
fn tests_run(said: &str) -> usize {
    said.lines()
        .filter_map(|line| line.strip_prefix("running "))
        .filter_map(|rest| rest.split_whitespace().next()?.parse::<usize>().ok())
        .sum()
}

/// Cargo for the scratch copy, without what a surrounding cargo told this process.
fn cargo(scratch: &Scratch) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let inherited = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
        ]
        .iter()
        .any(|prefix| text.starts_with(prefix));
        if inherited || text == "CARGO_PRIMARY_PACKAGE" || text == "OUT_DIR" {
            cargo.env_remove(&name);
        }
    }
    cargo
        .current_dir(scratch.tree())
        .env("CARGO_TARGET_DIR", scratch.target())
        .env("CARGO_INCREMENTAL", "1")
        // Each patch is built once and mostly falls early: what counts is the compiler's time.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false");
    cargo
}

struct Said {
    stdout: String,
    stderr: String,
}

enum Ended {
    With(ExitStatus, Said),
    TimedOut,
}

/// Runs a program to its end or to its limit; what it says goes through files, so that it never
/// waits for this process to read.
fn execute(
    scratch: &Scratch,
    command: &mut Command,
    limit: Duration,
) -> Result<Ended, Environment> {
    let target = scratch.target();
    fs::create_dir_all(&target).map_err(|e| Environment::io("create", &target, e))?;
    let paths = [target.join("last.stdout"), target.join("last.stderr")];
    let create = |path: &Path| File::create(path).map_err(|e| Environment::io("create", path, e));
    command.stdin(std::process::Stdio::null());
    command
        .stdout(create(&paths[0])?)
        .stderr(create(&paths[1])?);
    let program = PathBuf::from(command.get_program());
    let mut child = command
        .spawn()
        .map_err(|e| Environment::io("run", &program, e))?;
    let Some(status) =
        wait(&mut child, limit).map_err(|e| Environment::io("wait for", &program, e))?
    else {
        return Ok(Ended::TimedOut);
    };
    let read = |path: &Path| {
        fs::read(path)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|e| Environment::io("read", path, e))
    };
    let (stdout, stderr) = (read(&paths[0])?, tail(&read(&paths[1])?));
    Ok(Ended::With(status, Said { stdout, stderr }))
}

/// Waits for the end of a program; kills it at the limit and returns `None`.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if began.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

/// The end of a text, cut at a line.
fn tail(text: &str) -> String {
    let mut from = text.len().saturating_sub(SAID_BYTES);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let text = &text[from..];
    let text = match (from, text.find('\n')) {
        (0, _) | (_, None) => text,
        (_, Some(end)) => &text[end + 1..],
    };
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{tail, test_programs, tests_run};

    #[test]
    fn only_test_programs_of_a_build_are_run() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","profile":{"test":false},"executable":"/t/bin"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","profile":{"test":true},"executable":"/t/tests"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
            "\nnot json\n"
        );
        assert_eq!(
            test_programs(messages),
            [std::path::PathBuf::from("/t/tests")]
        );
    }

    #[test]
    fn the_number_of_tests_is_what_the_program_says() {
        assert_eq!(tests_run("\nrunning 3 tests\n...\nrunning 0 tests\n"), 3);
        assert_eq!(tests_run("running wild\n"), 0);
    }

    #[test]
    fn a_long_text_keeps_its_last_whole_lines() {
        let long = "ä line\n".repeat(1000);
        let end = tail(&long);
        assert!(end.len() < 2000 && end.starts_with("ä line"));
        assert_eq!(tail("short"), "short");
    }
}
