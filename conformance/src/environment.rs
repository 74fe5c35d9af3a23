//! What is missing around a run: a file, a program, a workspace. Never a finding about the product;
//! the program ends with exit code 3.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why nothing could be found out.
#[derive(Debug, Error)]
pub enum Environment {
    /// A file or directory could not be used.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program that is needed did not do its work.
    #[error("`{command}` failed ({status}): {stderr}")]
    Program {
        /// The program and its arguments.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it said.
        stderr: String,
    },
    /// Neither the current directory nor the place of the build belongs to the workspace.
    #[error("no workspace with conformance/sabotage around {}: name it by --workspace", path.display())]
    NoWorkspace {
        /// Where the search began.
        path: PathBuf,
    },
    /// A patch breaks a rule of the catalogue.
    #[error("{}: {what}", path.display())]
    Sabotage {
        /// The patch.
        path: PathBuf,
        /// Which rule, and how.
        what: String,
    },
    /// A check fails although nothing was broken: what it says of a patch would mean nothing.
    #[error("{check} fails on the unbroken product: {what}")]
    Baseline {
        /// The check.
        check: String,
        /// How it failed.
        what: String,
    },
}

impl Environment {
    /// An [`Environment::Io`] for use with `map_err`.
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// Where the sabotages are, below the root of the workspace: the mark by which it is found.
pub(crate) const SABOTAGES: &str = "conformance/sabotage";

/// The root of the workspace: the nearest directory above `start` that holds the sabotages, else the
/// place where this program was built.
///
/// # Errors
/// [`Environment::NoWorkspace`] when neither exists any more.
pub fn find_workspace(start: &Path) -> Result<PathBuf, Environment> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    start
        .ancestors()
        .chain(built)
        .find(|directory| directory.join(SABOTAGES).is_dir())
        .map(Path::to_owned)
        .ok_or_else(|| Environment::NoWorkspace {
            path: start.to_owned(),
        })
}
