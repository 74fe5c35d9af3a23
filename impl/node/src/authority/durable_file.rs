//! Small files that are always whole: written beside, made durable, then renamed into place.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Makes the entries of a directory durable.
///
/// # Errors
/// Those of the file system.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Replaces the content of `path`, atomically and durably: after a crash the file holds the old
/// content or the new, and once this returns, the new.
///
/// # Errors
/// Those of the file system; the old content is then in place, unless only the last sync of the
/// directory failed, when either may be.
pub fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let no_place = || io::Error::new(io::ErrorKind::InvalidInput, "a file has a name and a place");
    let directory = path.parent().ok_or_else(no_place)?;
    let name = path.file_name().ok_or_else(no_place)?;
    let mut beside = name.to_owned();
    beside.push(".new");
    let beside = directory.join(beside);
    let mut file = File::create(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&beside, path)?;
    sync_directory(directory)
}

#[cfg(test)]
mod tests {
    use super::replace_file;

    #[test]
    fn a_leftover_of_a_crashed_write_is_not_taken_for_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record.json");
        replace_file(&path, b"one").unwrap();
        std::fs::write(dir.path().join("record.json.new"), b"tor").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        replace_file(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
    }
}
