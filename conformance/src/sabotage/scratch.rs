//! A copy of the workspace in which the product may be broken.
//!
//! The copy holds the tracked files as they are in the working tree, and has a target directory of its
//! own that stays warm: a file is only written when its content differs, so that a patch costs the
//! rebuild of what it touches. One process at a time uses it. Nothing outside of it is ever written.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::environment::Environment;
use crate::sabotage::patch::Sabotage;

/// The scratch copy, held exclusively until it is dropped.
#[derive(Debug)]
pub struct Scratch {
    workspace: PathBuf,
    root: PathBuf,
    _exclusive: File,
}

/// Whether a patch fits the sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It does, and every file that it names differs now.
    Yes,
    /// It does not; what the tool said.
    No(String),
}

impl Scratch {
    /// Where the copy of a workspace lives unless told otherwise.
    #[must_use]
    pub fn default_root(workspace: &Path) -> PathBuf {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| workspace.join("target"), |dir| workspace.join(dir));
        target.join("sabotage")
    }

    /// Waits until no other process uses the copy under `root`, then makes it equal to the tracked
    /// files of `workspace`.
    ///
    /// # Errors
    /// [`Environment`] when `git` does not list the files or one cannot be copied.
    pub fn open(workspace: &Path, root: &Path) -> Result<Self, Environment> {
        let tree = root.join("tree");
        fs::create_dir_all(&tree).map_err(|e| Environment::io("create", &tree, e))?;
        let lock_path = root.join("lock");
        let lock =
            File::create(&lock_path).map_err(|e| Environment::io("create", &lock_path, e))?;
        lock.lock()
            .map_err(|e| Environment::io("lock", &lock_path, e))?;
        let scratch = Self {
            workspace: workspace.to_owned(),
            root: root.to_owned(),
            _exclusive: lock,
        };
        scratch.mirror()?;
        Ok(scratch)
    }

    /// The copied sources.
    #[must_use]
    pub fn tree(&self) -> PathBuf {
        self.root.join("tree")
    }

    /// The directory for build products of the copy.
    #[must_use]
    pub fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// Applies a patch to the copy, or with `dry` only says whether it would fit.
    ///
    /// # Errors
    /// [`Environment`] when `git` cannot be run or the copy cannot be read.
    pub fn apply(&self, sabotage: &Sabotage, dry: bool) -> Result<Applied, Environment> {
        let mut git = Command::new("git");
        // The copy lies inside a repository that ignores it; there `git apply` would silently
        // skip every path. With the ceiling it sees a plain directory.
        git.arg("apply")
            .args(dry.then_some("--check"))
            .arg(&sabotage.path)
            .current_dir(self.tree())
            .env("GIT_CEILING_DIRECTORIES", &self.root)
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_INDEX_FILE");
        let output = git
            .output()
            .map_err(|e| Environment::io("run", Path::new("git"), e))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Ok(Applied::No(said));
        }
        if !dry {
            for file in &sabotage.files {
                if !self.differs(file)? {
                    return Ok(Applied::No(format!("{} did not change", file.display())));
                }
            }
        }
        Ok(Applied::Yes)
    }

    /// Takes a patch back: its files are again those of the workspace.
    ///
    /// # Errors
    /// [`Environment`] when a file cannot be copied.
    pub fn restore(&self, sabotage: &Sabotage) -> Result<(), Environment> {
        sabotage.files.iter().try_for_each(|file| self.copy(file))
    }

    fn mirror(&self) -> Result<(), Environment> {
        let files = tracked_files(&self.workspace)?;
        for file in &files {
            self.copy(file)?;
        }
        remove_others(&self.tree(), Path::new(""), &files)
    }

    /// Copies one file, if it differs.
    fn copy(&self, file: &Path) -> Result<(), Environment> {
        if !self.differs(file)? {
            return Ok(());
        }
        let (from, to) = (self.workspace.join(file), self.tree().join(file));
        if let Some(directory) = to.parent() {
            fs::create_dir_all(directory).map_err(|e| Environment::io("create", directory, e))?;
        }
        // Written anew, so that its time is that of the change: the build goes by it.
        let content = fs::read(&from).map_err(|e| Environment::io("read", &from, e))?;
        fs::write(&to, content).map_err(|e| Environment::io("write", &to, e))
    }

    fn differs(&self, file: &Path) -> Result<bool, Environment> {
        let (from, to) = (self.workspace.join(file), self.tree().join(file));
        let wanted = fs::read(&from).map_err(|e| Environment::io("read", &from, e))?;
        Ok(fs::read(&to).ok().as_ref() != Some(&wanted))
    }
}

/// The tracked files of a working tree that are there, from its root.
fn tracked_files(workspace: &Path) -> Result<BTreeSet<PathBuf>, Environment> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached"])
        .current_dir(workspace)
        .output()
        .map_err(|e| Environment::io("run", Path::new("git"), e))?;
    if !output.status.success() {
        return Err(Environment::Program {
            command: "git ls-files".into(),
            status: output.status.to_string(),
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    Ok(output
        .stdout
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| PathBuf::from(OsStr::from_bytes(name)))
        .filter(|file| workspace.join(file).is_file())
        .collect())
}

/// Removes what is below `tree/place` but not in `files`.
fn remove_others(tree: &Path, place: &Path, files: &BTreeSet<PathBuf>) -> Result<(), Environment> {
    let directory = tree.join(place);
    for entry in fs::read_dir(&directory).map_err(|e| Environment::io("list", &directory, e))? {
        let entry = entry.map_err(|e| Environment::io("list", &directory, e))?;
        let (name, path) = (place.join(entry.file_name()), entry.path());
        let kind = entry
            .file_type()
            .map_err(|e| Environment::io("look at", &path, e))?;
        if kind.is_dir() {
            remove_others(tree, &name, files)?;
        } else if !files.contains(&name) {
            fs::remove_file(&path).map_err(|e| Environment::io("remove", &path, e))?;
        }
    }
    Ok(())
}
