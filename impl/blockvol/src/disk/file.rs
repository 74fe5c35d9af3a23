//! A store as a directory of real files: `log` (preallocated, locked) and `extent` (sparse).
//!
//! A new store is made under a temporary name and appears under its own in one step that never
//! replaces anything (F15), so that a crash leaves either no store or a whole one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, FallocateFlags, RenameFlags, fallocate, renameat_with};

use super::{Disk, DiskError, DiskOp, Disks};
use crate::error::{CreateError, OpenError};

/// The file of superblock slots and log ring.
const LOG_FILE: &str = "log";
/// The file of the flat image.
const EXTENT_FILE: &str = "extent";

/// A regular file.
#[derive(Debug)]
struct FileDisk {
    file: File,
    name: String,
}

impl FileDisk {
    fn new(file: File, path: &Path) -> Self {
        Self {
            file,
            name: path.display().to_string(),
        }
    }

    fn error(&self, op: DiskOp, offset: u64, len: u64, source: &io::Error) -> DiskError {
        DiskError::new(op, &self.name, offset, len, source)
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        const ZEROES: &[u8] = &[0; 1 << 16];
        let mut done = 0;
        while done < len {
            let step = (len - done).min(ZEROES.len() as u64);
            self.write_at(offset + done, &ZEROES[..step as usize])?;
            done += step;
        }
        Ok(())
    }
}

impl Disk for FileDisk {
    fn name(&self) -> &str {
        &self.name
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let len = buf.len() as u64;
        self.file
            .read_exact_at(buf, offset)
            .map_err(|e| self.error(DiskOp::Read, offset, len, &e))
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), DiskError> {
        self.file
            .write_all_at(data, offset)
            .map_err(|e| self.error(DiskOp::Write, offset, data.len() as u64, &e))
    }

    fn punch(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(&self.file, flags, offset, len) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                self.write_zeroes(offset, len)
            }
            Err(errno) => Err(self.error(DiskOp::Punch, offset, len, &errno.into())),
        }
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.file
            .sync_data()
            .map_err(|e| self.error(DiskOp::Sync, 0, 0, &e))
    }

    fn len(&self) -> Result<u64, DiskError> {
        self.file
            .metadata()
            .map(|m| m.len())
            .map_err(|e| self.error(DiskOp::Length, 0, 0, &e))
    }
}

fn create_error(path: &Path, source: &io::Error) -> CreateError {
    if source.kind() == io::ErrorKind::AlreadyExists {
        return CreateError::Exists {
            path: path.to_owned(),
        };
    }
    CreateError::Io {
        path: path.to_owned(),
        kind: source.kind(),
        message: source.to_string(),
    }
}

fn create_file(path: &Path, len: u64) -> Result<FileDisk, CreateError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|file| file.set_len(len).map(|()| file))
        .map_err(|e| create_error(path, &e))?;
    Ok(FileDisk::new(file, path))
}

fn sync_path(path: &Path) -> Result<(), CreateError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|e| create_error(path, &e))
}

fn reserve(disk: &FileDisk, path: &Path, len: u64, prewrite: bool) -> Result<(), CreateError> {
    match fallocate(&disk.file, FallocateFlags::empty(), 0, len) {
        // Some file systems cannot reserve; then the zeroes below, or the first lap, do it.
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
        Err(errno) => return Err(create_error(path, &errno.into())),
    }
    if prewrite {
        disk.write_zeroes(0, len)?;
    }
    Ok(())
}

/// Makes a store at `dir`, which must not exist. `format` writes the first superblocks.
///
/// Steps, and what a crash after each leaves:
/// 1. a directory of a temporary name beside `dir`: a leftover that nothing ever opens;
/// 2. both files in it, formatted and synced: the same;
/// 3. renamed to `dir`, refusing to replace anything: a whole store.
pub(crate) fn create_store(
    dir: &Path,
    unique: &str,
    log_len: u64,
    extent_len: u64,
    prewrite_log: bool,
    format: impl FnOnce(&Disks) -> Result<(), DiskError>,
) -> Result<(), CreateError> {
    if fs::symlink_metadata(dir).is_ok() {
        return Err(CreateError::Exists {
            path: dir.to_owned(),
        });
    }
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    };
    let making = parent.join(format!(".making-{unique}"));
    fs::create_dir(&making).map_err(|e| create_error(&making, &e))?;
    let made = fill(&making, log_len, extent_len, prewrite_log, format).and_then(|()| {
        renameat_with(CWD, &making, CWD, dir, RenameFlags::NOREPLACE)
            .map_err(|errno| create_error(dir, &errno.into()))
    });
    if let Err(error) = made {
        // Our own unfinished directory; best effort, as nothing ever opens it.
        let _ = fs::remove_dir_all(&making);
        return Err(error);
    }
    sync_path(&parent)
}

fn fill(
    making: &Path,
    log_len: u64,
    extent_len: u64,
    prewrite_log: bool,
    format: impl FnOnce(&Disks) -> Result<(), DiskError>,
) -> Result<(), CreateError> {
    let log_path = making.join(LOG_FILE);
    let log = create_file(&log_path, log_len)?;
    reserve(&log, &log_path, log_len, prewrite_log)?;
    let extent_path = making.join(EXTENT_FILE);
    let extent = create_file(&extent_path, extent_len)?;
    let disks = Disks {
        log: Arc::new(log),
        extent: Arc::new(extent),
    };
    format(&disks)?;
    sync_path(&log_path)?;
    sync_path(&extent_path)?;
    sync_path(making)
}

fn open_file(path: &Path, write: bool) -> Result<File, OpenError> {
    OpenOptions::new()
        .read(true)
        .write(write)
        .open(path)
        .map_err(|e| OpenError::NotAStore {
            target: path.display().to_string(),
            what: e.to_string(),
        })
}

fn open_pair(dir: &Path, write: bool) -> Result<Disks, OpenError> {
    let log_path = dir.join(LOG_FILE);
    let log = open_file(&log_path, write)?;
    let locked = if write {
        log.try_lock()
    } else {
        log.try_lock_shared()
    };
    match locked {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(OpenError::Locked {
                target: dir.display().to_string(),
            });
        }
        Err(TryLockError::Error(e)) => {
            let name = log_path.display().to_string();
            return Err(DiskError::new(DiskOp::Length, &name, 0, 0, &e).into());
        }
    }
    let extent_path = dir.join(EXTENT_FILE);
    let extent = open_file(&extent_path, write)?;
    Ok(Disks {
        log: Arc::new(FileDisk::new(log, &log_path)),
        extent: Arc::new(FileDisk::new(extent, &extent_path)),
    })
}

/// Opens the files of a store and locks it against other processes.
pub(crate) fn open_store(dir: &Path) -> Result<Disks, OpenError> {
    open_pair(dir, true)
}

/// Opens the files of a store at rest for reading.
pub(crate) fn open_store_read_only(dir: &Path) -> Result<Disks, OpenError> {
    open_pair(dir, false)
}
