//! The catalogue of sabotages: patches of product code under `conformance/sabotage/`.
//!
//! A patch is named `ID-what-it-does.patch`, where `ID` is the row of `docs/failures.md` that it
//! brings back, and its first line says what it breaks and what must notice:
//!
//! ```text
//! # breaks: a changed endpoint leaves the sender in_sync; caught-by: l1
//! ```
//!
//! A patch changes files under `impl/` and nothing else: a sabotage that could touch the check
//! that must catch it would prove nothing.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::environment::{Environment, SABOTAGES};

/// The largest patch that is read, in bytes.
const MAX_PATCH_BYTES: u64 = 64 * 1024;

/// What must fall when a patch is applied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// The exhaustive product of specification and engine.
    L1,
    /// Engine, executors and stores, stepped along the specification.
    L2,
    /// The same by the drivers of production, over sockets and files.
    L3,
    /// The tours of the volume over the storage specification.
    Storage,
    /// Tests of one crate, by a part of their name: `cargo test -p PACKAGE [--test FILE] NAME`.
    Test {
        /// The crate.
        package: String,
        /// The file under `tests/` that has them; every test of the crate unless given.
        file: Option<String>,
        /// A part of the test's path, as `cargo test` filters.
        name: String,
    },
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::L1 => f.write_str("l1"),
            Self::L2 => f.write_str("l2"),
            Self::L3 => f.write_str("l3"),
            Self::Storage => f.write_str("storage"),
            Self::Test {
                package,
                file: None,
                name,
            } => write!(f, "cargo test -p {package} {name}"),
            Self::Test {
                package,
                file: Some(file),
                name,
            } => write!(f, "cargo test -p {package} --test {file} {name}"),
        }
    }
}

impl FromStr for Check {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["l1"] => Ok(Self::L1),
            ["l2"] => Ok(Self::L2),
            ["l3"] => Ok(Self::L3),
            ["storage"] => Ok(Self::Storage),
            ["cargo", "test", "-p", package, name] => Ok(Self::Test {
                package: (*package).to_owned(),
                file: None,
                name: (*name).to_owned(),
            }),
            ["cargo", "test", "-p", package, "--test", file, name] => Ok(Self::Test {
                package: (*package).to_owned(),
                file: Some((*file).to_owned()),
                name: (*name).to_owned(),
            }),
            _ => Err(format!(
                "{text:?} names no check: use `l1`, `l2`, `l3`, `storage` or `cargo test -p PACKAGE \
                 [--test FILE] NAME`"
            )),
        }
    }
}

/// One patch that breaks the product on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sabotage {
    /// The row of the failure catalogue that it brings back, as `F60`.
    pub id: String,
    /// The patch's file name without its ending, unique, beginning with `id`.
    pub name: String,
    /// What it breaks, one sentence.
    pub breaks: String,
    /// What must fall.
    pub caught_by: Check,
    /// The files that it changes, from the root of the workspace.
    pub files: Vec<PathBuf>,
    /// The patch.
    pub path: PathBuf,
}

impl Sabotage {
    /// Reads one patch.
    ///
    /// # Errors
    /// [`Environment`] when it cannot be read or breaks a rule of this module.
    pub fn read(path: &Path) -> Result<Self, Environment> {
        let refuse = |what: String| Environment::Sabotage {
            path: path.to_owned(),
            what,
        };
        let size = fs::metadata(path)
            .map_err(|e| Environment::io("look at", path, e))?
            .len();
        if size > MAX_PATCH_BYTES {
            return Err(refuse(format!(
                "{size} bytes, at most {MAX_PATCH_BYTES} are read"
            )));
        }
        let text = fs::read_to_string(path).map_err(|e| Environment::io("read", path, e))?;
        let name = path.file_stem().and_then(|s| s.to_str()).unwrap_or("");
        let id = catalogue_id(name)
            .ok_or_else(|| refuse("the name does not begin with a catalogue id".into()))?;
        let (breaks, caught_by) = header(text.lines().next().unwrap_or("")).map_err(&refuse)?;
        let files = changed_files(&text).map_err(&refuse)?;
        Ok(Self {
            id: id.to_owned(),
            name: name.to_owned(),
            breaks,
            caught_by,
            files,
            path: path.to_owned(),
        })
    }

    /// Reads every patch of a workspace, in order of name.
    ///
    /// # Errors
    /// [`Environment`] when the directory or a patch cannot be read, or a patch breaks a rule.
    pub fn read_all(workspace: &Path) -> Result<Vec<Self>, Environment> {
        let directory = workspace.join(SABOTAGES);
        let entries =
            fs::read_dir(&directory).map_err(|e| Environment::io("list", &directory, e))?;
        let mut all = Vec::new();
        for entry in entries {
            let path = entry
                .map_err(|e| Environment::io("list", &directory, e))?
                .path();
            if path.extension().is_some_and(|ending| ending == "patch") {
                all.push(Self::read(&path)?);
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Whether `wanted` names this patch, by its catalogue id or in full.
    #[must_use]
    pub fn is_called(&self, wanted: &str) -> bool {
        wanted == self.id || wanted == self.name
    }
}

/// `F60` of `F60-endpoint-change-keeps-in-sync`: one capital and one or two digits before a dash.
fn catalogue_id(name: &str) -> Option<&str> {
    let (id, rest) = name.split_once('-')?;
    let bytes = id.as_bytes();
    let good = (2..=3).contains(&bytes.len())
        && bytes[0].is_ascii_uppercase()
        && bytes[1..].iter().all(u8::is_ascii_digit)
        && !rest.is_empty();
    good.then_some(id)
}

/// Takes the first line apart.
fn header(line: &str) -> Result<(String, Check), String> {
    let (breaks, check) = line
        .strip_prefix("# breaks: ")
        .and_then(|rest| rest.rsplit_once("; caught-by: "))
        .ok_or("the first line is not `# breaks: WHAT; caught-by: CHECK`")?;
    Ok((breaks.trim().to_owned(), check.parse()?))
}

/// The files named by the `+++` lines, each of which must be product code.
fn changed_files(text: &str) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("+++ ") else {
            continue;
        };
        let path = rest
            .strip_prefix("b/")
            .ok_or_else(|| format!("{line:?} does not name a file of the workspace"))?;
        let path = PathBuf::from(path);
        let product = path.starts_with("impl")
            && path
                .components()
                .all(|part| matches!(part, std::path::Component::Normal(_)));
        if !product {
            return Err(format!("{} is no product code", path.display()));
        }
        files.push(path);
    }
    if files.is_empty() {
        return Err("it changes no file".into());
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::{Check, catalogue_id, changed_files, header};

    #[test]
    fn the_first_line_says_what_is_broken_and_what_must_fall() {
        let (breaks, check) = header("# breaks: a; b is lost; caught-by: l1").unwrap();
        assert_eq!((breaks.as_str(), check), ("a; b is lost", Check::L1));
        let (_, check) =
            header("# breaks: x; caught-by: cargo test -p holdfast-engine f71_").unwrap();
        assert_eq!(check.to_string(), "cargo test -p holdfast-engine f71_");
        for bad in [
            "",
            "# breaks: x",
            "breaks: x; caught-by: l1",
            "# breaks: x; caught-by: hope",
            "# breaks: x; caught-by: cargo test -p holdfast-engine",
        ] {
            assert!(header(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_name_begins_with_the_row_that_it_brings_back() {
        assert_eq!(catalogue_id("F60-endpoint"), Some("F60"));
        assert_eq!(catalogue_id("T9-truncation"), Some("T9"));
        for bad in ["endpoint", "F-x", "f60-x", "F60-", "F601-x", "F60"] {
            assert_eq!(catalogue_id(bad), None, "{bad:?} was taken");
        }
    }

    #[test]
    fn a_patch_may_change_product_code_only() {
        assert!(changed_files("+++ b/impl/engine/src/lib.rs\n").is_ok());
        for bad in [
            "",
            "+++ b/conformance/src/lib.rs\n",
            "+++ b/impl/../model/src/lib.rs\n",
            "+++ /etc/passwd\n",
        ] {
            assert!(changed_files(bad).is_err(), "{bad:?} was taken");
        }
    }
}
