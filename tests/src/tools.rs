//! The NBD clients and load generators of the world, as black boxes.

use std::ffi::OsStr;
use std::fmt;
use std::process::Command;
use std::time::Duration;

use crate::process::Process;

/// Long enough for any run that a test asks for.
const RUN_TIME_MAX: Duration = Duration::from_secs(120);

/// A program of somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Single requests, scripted.
    QemuIo,
    /// Conversion and comparison of images.
    QemuImg,
    /// Copies over several connections.
    NbdCopy,
    /// What a server announces.
    NbdInfo,
    /// Load, with verification.
    Fio,
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::QemuIo => "qemu-io",
            Self::QemuImg => "qemu-img",
            Self::NbdCopy => "nbdcopy",
            Self::NbdInfo => "nbdinfo",
            Self::Fio => "fio",
        })
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Whether the tool reported success.
    pub success: bool,
    /// What it printed, both streams.
    pub said: String,
}

impl Tool {
    /// Runs it to its end, whatever that is.
    ///
    /// # Panics
    /// When it is not installed, or hangs.
    #[must_use]
    pub fn attempt<S: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = S>) -> Run {
        let dir = tempfile::tempdir().expect("a directory for the tool's output");
        let program = self.to_string();
        assert!(
            is_installed(&program),
            "{self} is not installed: run tests/install-tools.sh"
        );
        let mut command = Command::new(&program);
        // Tools such as fio leave state files where they run.
        command.args(arguments).current_dir(dir.path());
        let mut process = Process::start(&program, &mut command, dir.path());
        let success = process.wait(RUN_TIME_MAX).success();
        Run {
            success,
            said: process.log(),
        }
    }

    /// Runs it and returns what it said.
    ///
    /// # Panics
    /// When it reports a failure, is not installed, or hangs.
    pub fn run<S: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = S>) -> String {
        let run = self.attempt(arguments);
        assert!(run.success, "{self} failed:\n{}", run.said);
        run.said
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::{Tool, is_installed};

    const ALL: [Tool; 5] = [
        Tool::QemuIo,
        Tool::QemuImg,
        Tool::NbdCopy,
        Tool::NbdInfo,
        Tool::Fio,
    ];

    #[test]
    fn every_tool_is_installed_and_says_its_version() {
        for tool in ALL {
            assert!(!tool.run(["--version"]).is_empty(), "{tool}");
        }
    }

    #[test]
    fn a_failure_is_told_with_the_tools_own_words() {
        let run = Tool::QemuImg.attempt(["info", "/nonexistent.img"]);
        assert!(
            !run.success && run.said.contains("/nonexistent.img"),
            "{run:?}"
        );
    }

    #[test]
    fn what_is_not_there_is_seen() {
        assert!(!is_installed("no-such-program-anywhere"));
    }
}
