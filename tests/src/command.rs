//! The `holdfast` binary as a command that ends by itself.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use crate::binary;

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed on standard output: results.
    pub stdout: String,
    /// What it printed on standard error: logs and errors.
    pub stderr: String,
}

impl Outcome {
    /// Its standard output, as one JSON value.
    ///
    /// # Panics
    /// When it failed, or printed something else.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.stdout))
    }
}

/// Runs `holdfast` with these arguments to its end, whatever that is.
///
/// # Panics
/// When there is no binary, or it cannot be started.
#[must_use]
pub fn holdfast<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Outcome {
    outcome(Command::new(binary::holdfast()).args(arguments))
}

/// The same with another directory for temporary files.
///
/// # Panics
/// As [`holdfast`].
#[must_use]
pub fn holdfast_in<S: AsRef<OsStr>>(
    temporary: &Path,
    arguments: impl IntoIterator<Item = S>,
) -> Outcome {
    let mut command = Command::new(binary::holdfast());
    outcome(command.args(arguments).env("TMPDIR", temporary))
}

fn outcome(command: &mut Command) -> Outcome {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Outcome {
        code: output.status.code(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}
