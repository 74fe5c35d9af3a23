//! Finding the `holdfast` binary.

use std::path::{Path, PathBuf};

/// The variable that names the binary; `make test` sets it.
pub const VARIABLE: &str = "HOLDFAST_BIN";

/// The `holdfast` binary: the one that `HOLDFAST_BIN` names, else the one that was built into the
/// same target directory as the running test.
///
/// # Panics
/// When there is none. The message says how to build it.
#[must_use]
pub fn holdfast() -> PathBuf {
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    let test = std::env::current_exe().expect("the test knows its own path");
    find(named, &test).unwrap_or_else(|message| panic!("{message}"))
}

/// The rule of [`holdfast`], with its inputs as arguments.
///
/// # Errors
/// What to do, when there is no binary.
pub fn find(named: Option<PathBuf>, test: &Path) -> Result<PathBuf, String> {
    if let Some(named) = named {
        return if named.is_file() {
            Ok(named)
        } else {
            Err(format!(
                "{VARIABLE} names {}, which is no file: unset it, or build the binary there",
                named.display()
            ))
        };
    }
    // Test executables are in <target>/release/deps, binaries in <target>/release.
    let beside = test
        .ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join("holdfast"))
        .find(|path| path.is_file());
    beside.ok_or_else(|| {
        format!(
            "there is no holdfast binary beside {}: build it with \
             `cargo build --release -p holdfast-node`, or name one with {VARIABLE}",
            test.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn the_named_binary_wins_and_must_exist() {
        let dir = tempfile::tempdir().unwrap();
        let binary = dir.path().join("some-holdfast");
        let missing = find(Some(binary.clone()), dir.path()).unwrap_err();
        assert!(missing.contains("HOLDFAST_BIN"), "{missing}");
        std::fs::write(&binary, "").unwrap();
        assert_eq!(find(Some(binary.clone()), dir.path()), Ok(binary));
    }

    #[test]
    fn without_a_name_it_is_the_one_of_the_same_build() {
        let dir = tempfile::tempdir().unwrap();
        let test = dir.path().join("deps").join("whole_system-1234");
        let missing = find(None, &test).unwrap_err();
        assert!(missing.contains("cargo build --release"), "{missing}");
        let binary = dir.path().join("holdfast");
        std::fs::write(&binary, "").unwrap();
        assert_eq!(find(None, &test), Ok(binary));
    }
}
