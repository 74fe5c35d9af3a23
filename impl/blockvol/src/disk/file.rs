//! A store as a directory of real files: `log` (preallocated, locked), `extent` and `sums` (sparse),
//! and the directory `snapshots` with one file (sparse) for each.
//!
//! A new store is made under a temporary name and appears under its own in one step that never
//! replaces anything (F15), so that a crash leaves either no store or a whole one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice, IoSliceMut};
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_types::SnapshotId;
use rustix::fs::{Advice, CWD, FallocateFlags, RenameFlags, fadvise, fallocate, renameat_with};
use rustix::io::{Errno, ReadWriteFlags, preadv2, pwritev};

use super::{Disk, DiskError, DiskOp, Disks, Shelf};
use crate::error::{CreateError, OpenError};

/// The file of superblock slots and log ring.
const LOG_FILE: &str = "log";
/// The file of the flat image.
const EXTENT_FILE: &str = "extent";
/// The file of the checksums of its blocks.
const SUMS_FILE: &str = "sums";
/// The directory of the snapshots' files.
const SNAPSHOTS_DIR: &str = "snapshots";

/// Parts that one system call takes.
const PARTS_MAX: usize = 1024;

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

    fn write_vectored_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> Result<(), DiskError> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let mut parts = parts.to_vec();
        let mut left = &mut parts[..];
        let mut done = 0;
        while done < len {
            let step = left.len().min(PARTS_MAX);
            let written = match pwritev(&self.file, &left[..step], offset + done as u64) {
                Ok(0) => Err(io::Error::from(io::ErrorKind::WriteZero)),
                Ok(count) => Ok(count),
                Err(Errno::INTR) => continue,
                Err(errno) => Err(errno.into()),
            }
            .map_err(|e| self.error(DiskOp::Write, offset, len as u64, &e))?;
            done += written;
            IoSlice::advance_slices(&mut left, written);
        }
        Ok(())
    }

    fn read_at_once(&self, offset: u64, buf: &mut [u8]) -> bool {
        let len = buf.len();
        let mut parts = [IoSliceMut::new(buf)];
        let read = preadv2(&self.file, &mut parts, offset, ReadWriteFlags::NOWAIT);
        read.is_ok_and(|count| count == len)
    }

    fn will_read(&self, offset: u64, len: u64) {
        // Nothing depends on it.
        let _ = fadvise(&self.file, offset, NonZeroU64::new(len), Advice::WillNeed);
    }

    fn punch(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(&self.file, flags, offset, len) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.write_zeroes(offset, len),
            Err(errno) => Err(self.error(DiskOp::Punch, offset, len, &errno.into())),
        }
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.file
            .sync_data()
            .map_err(|e| self.error(DiskOp::Sync, 0, 0, &e))
    }

    fn grow(&self, len: u64) -> Result<(), DiskError> {
        if self.len()? >= len {
            return Ok(());
        }
        self.file
            .set_len(len)
            .map_err(|e| self.error(DiskOp::Make, 0, len, &e))
    }

    fn allocated(&self) -> Result<u64, DiskError> {
        self.file
            .metadata()
            .map(|m| m.blocks() * 512)
            .map_err(|e| self.error(DiskOp::Length, 0, 0, &e))
    }

    fn len(&self) -> Result<u64, DiskError> {
        self.file
            .metadata()
            .map(|m| m.len())
            .map_err(|e| self.error(DiskOp::Length, 0, 0, &e))
    }
}

/// The directory of the snapshots' files. Files come and go durably: every change is followed by a
/// sync of the directory.
#[derive(Debug)]
struct DirShelf {
    dir: PathBuf,
}

impl DirShelf {
    fn path(&self, id: SnapshotId) -> PathBuf {
        self.dir.join(id.to_string())
    }

    fn settled(&self, op: DiskOp, done: io::Result<()>, path: &Path) -> Result<(), DiskError> {
        done.and_then(|()| File::open(&self.dir)?.sync_all())
            .map_err(|e| DiskError::new(op, &path.display().to_string(), 0, 0, &e))
    }
}

impl Shelf for DirShelf {
    fn create(&self, id: SnapshotId, len: u64) -> Result<Arc<dyn Disk>, DiskError> {
        let path = self.path(id);
        let made = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .and_then(|file| {
                file.set_len(len)?;
                file.sync_all()?;
                Ok(file)
            })
            .map_err(|e| DiskError::new(DiskOp::Make, &path.display().to_string(), 0, len, &e))?;
        self.settled(DiskOp::Make, Ok(()), &path)?;
        Ok(Arc::new(FileDisk::new(made, &path)))
    }

    fn open(&self, id: SnapshotId) -> Result<Arc<dyn Disk>, DiskError> {
        let path = self.path(id);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|e| DiskError::new(DiskOp::Read, &path.display().to_string(), 0, 0, &e))?;
        Ok(Arc::new(FileDisk::new(file, &path)))
    }

    fn remove(&self, id: SnapshotId) -> Result<(), DiskError> {
        let path = self.path(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => self.settled(DiskOp::Remove, removed, &path),
        }
    }

    fn list(&self) -> Result<Vec<SnapshotId>, DiskError> {
        let failed = |e| DiskError::new(DiskOp::Read, &self.dir.display().to_string(), 0, 0, &e);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            // What is not named as a snapshot is not ours and is left alone.
            found.extend(
                name.to_str()
                    .and_then(|name| name.parse::<SnapshotId>().ok()),
            );
        }
        found.sort_unstable();
        Ok(found)
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
        Ok(()) | Err(Errno::OPNOTSUPP) => {}
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
    sums_len: u64,
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
    let made = fill(&making, log_len, extent_len, sums_len, prewrite_log, format).and_then(|()| {
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
    sums_len: u64,
    prewrite_log: bool,
    format: impl FnOnce(&Disks) -> Result<(), DiskError>,
) -> Result<(), CreateError> {
    let log_path = making.join(LOG_FILE);
    let log = create_file(&log_path, log_len)?;
    reserve(&log, &log_path, log_len, prewrite_log)?;
    let extent_path = making.join(EXTENT_FILE);
    let extent = create_file(&extent_path, extent_len)?;
    let sums_path = making.join(SUMS_FILE);
    let sums = create_file(&sums_path, sums_len)?;
    let snapshots = making.join(SNAPSHOTS_DIR);
    fs::create_dir(&snapshots).map_err(|e| create_error(&snapshots, &e))?;
    let disks = Disks {
        log: Arc::new(log),
        extent: Arc::new(extent),
        sums: Arc::new(sums),
        snapshots: Arc::new(DirShelf {
            dir: snapshots.clone(),
        }),
    };
    format(&disks)?;
    for path in [&log_path, &extent_path, &sums_path, &snapshots] {
        sync_path(path)?;
    }
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

fn open_files(dir: &Path, write: bool) -> Result<Disks, OpenError> {
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
    let sums_path = dir.join(SUMS_FILE);
    let sums = open_file(&sums_path, write)?;
    Ok(Disks {
        log: Arc::new(FileDisk::new(log, &log_path)),
        extent: Arc::new(FileDisk::new(extent, &extent_path)),
        sums: Arc::new(FileDisk::new(sums, &sums_path)),
        snapshots: Arc::new(DirShelf {
            dir: dir.join(SNAPSHOTS_DIR),
        }),
    })
}

/// Opens the files of a store and locks it against other processes.
pub(crate) fn open_store(dir: &Path) -> Result<Disks, OpenError> {
    open_files(dir, true)
}

/// Opens the files of a store at rest for reading.
pub(crate) fn open_store_read_only(dir: &Path) -> Result<Disks, OpenError> {
    open_files(dir, false)
}
