//! What conformance publishes in `docs/results`: rows as the command printed them, each with the
//! revision that it is of.
//!
//! Only what was caught is published. A test holds the published names against the patches that
//! there are, so a new sabotage is red until it was seen to be caught.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::sabotage;

/// The sabotages, below the root of the workspace.
pub const SABOTAGES: &str = "docs/results/conformance-sabotages.jsonl";

/// One sabotage as it is published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// What the run found.
    #[serde(flatten)]
    pub row: sabotage::Row,
    /// The commit that was broken, with `+` when files were changed since.
    pub revision: String,
}

/// Publishes `rows` beside those that are there already; a patch that is no more goes.
///
/// # Errors
/// [`Environment`] when git does not know the revision, or a file cannot be read or written.
pub fn write_sabotages(
    workspace: &Path,
    patches: &[String],
    rows: Vec<sabotage::Row>,
) -> Result<(), Environment> {
    let revision = revision(workspace)?;
    let mut all: BTreeMap<String, Published> = read_sabotages(workspace)?
        .into_iter()
        .map(|old| (old.row.name.clone(), old))
        .collect();
    for row in rows.into_iter().filter(|row| row.caught) {
        let revision = revision.clone();
        all.insert(row.name.clone(), Published { row, revision });
    }
    all.retain(|name, _| patches.contains(name));
    let path = workspace.join(SABOTAGES);
    let text: String = all.values().map(line).collect();
    fs::write(&path, text).map_err(|e| Environment::io("write", &path, e))
}

/// The published sabotages, in the order of their names.
///
/// # Errors
/// [`Environment`] when the file cannot be read or is not what [`write_sabotages`] writes.
pub fn read_sabotages(workspace: &Path) -> Result<Vec<Published>, Environment> {
    let path = workspace.join(SABOTAGES);
    let text = fs::read_to_string(&path).map_err(|e| Environment::io("read", &path, e))?;
    text.lines()
        .map(|line| {
            serde_json::from_str(line).map_err(|e| Environment::Sabotage {
                path: path.clone(),
                what: format!("not a published row ({e}): {line}"),
            })
        })
        .collect()
}

fn line(row: &Published) -> String {
    // A plain struct of numbers and strings.
    serde_json::to_string(row).expect("a row is JSON") + "\n"
}

fn revision(workspace: &Path) -> Result<String, Environment> {
    let arguments = [
        "describe",
        "--always",
        "--abbrev=12",
        "--exclude=*",
        "--dirty=+",
    ];
    let output = Command::new("git")
        .args(arguments)
        .current_dir(workspace)
        .output()
        .map_err(|e| Environment::io("run git in", workspace, e))?;
    if !output.status.success() {
        return Err(Environment::Program {
            command: format!("git {}", arguments.join(" ")),
            status: output.status.to_string(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
