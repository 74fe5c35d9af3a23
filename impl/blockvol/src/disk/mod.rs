//! The very edge: positioned reads and writes, and the one promise of durability.
//!
//! Everything above this trait runs the same on real files and on the simulated disk
//! ([`crate::sim`]) that loses, reorders and tears what was not synced.
//!
//! What is relied upon, and no more: a write may land in any part, in units of a sector of
//! [`SECTOR`] bytes, in any order, until a later `sync` of the same disk returned success; then it
//! is there. A sector is never half old and half new. After a `sync` that failed nothing is known
//! (F14).

mod file;

use std::fmt;
use std::io::IoSlice;
use std::sync::Arc;

use holdfast_types::SnapshotId;

pub(crate) use crate::error::{DiskError, DiskOp};
pub(crate) use file::{create_store, open_store, open_store_read_only};

/// The unit in which a disk writes, in bytes.
pub const SECTOR: u64 = 512;

/// A place for bytes, shared by threads; all positions in bytes.
pub trait Disk: Send + Sync + fmt::Debug {
    /// What errors call it.
    fn name(&self) -> &str;

    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// When the disk refuses, or ends before the last byte.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError>;

    /// Writes all of `data` at `offset`; durable after a later [`Disk::sync`]. On failure any
    /// part may have been written.
    ///
    /// # Errors
    /// When the disk refuses.
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), DiskError>;

    /// Writes all parts, one behind the other, from `offset` on, as one write: like
    /// [`Disk::write_at`] of what they are together.
    ///
    /// # Errors
    /// When the disk refuses.
    fn write_vectored_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> Result<(), DiskError> {
        let mut data = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        for part in parts {
            data.extend_from_slice(part);
        }
        self.write_at(offset, &data)
    }

    /// Fills `buf` from `offset` if that takes no waiting, as when the bytes are in memory; `false`: not
    /// so, or it is not known, and [`Disk::read_at`] tells.
    fn read_at_once(&self, offset: u64, buf: &mut [u8]) -> bool {
        let _ = (offset, buf);
        false
    }

    /// Says that `[offset, offset + len)` will be read soon, so that the disk may begin. A hint: it
    /// waits for nothing, and nothing depends on it.
    fn will_read(&self, offset: u64, len: u64) {
        let _ = (offset, len);
    }

    /// Makes `[offset, offset + len)` read as zeroes and may give its space back; durable like a
    /// write.
    ///
    /// # Errors
    /// When the disk refuses.
    fn punch(&self, offset: u64, len: u64) -> Result<(), DiskError>;

    /// Returns when all writes that returned before it began are durable.
    ///
    /// # Errors
    /// When the disk refuses: then nothing is known about any write since the last success.
    fn sync(&self) -> Result<(), DiskError>;

    /// Makes it longer; the new bytes read as zeroes. Durable like a write; never shorter: a length
    /// that it has already, or less, has no effect.
    ///
    /// # Errors
    /// When the disk refuses.
    fn grow(&self, len: u64) -> Result<(), DiskError>;

    /// Bytes of storage that it takes at present.
    ///
    /// # Errors
    /// When the disk refuses.
    fn allocated(&self) -> Result<u64, DiskError>;

    /// The length in bytes.
    ///
    /// # Errors
    /// When the disk refuses.
    fn len(&self) -> Result<u64, DiskError>;

    /// Whether it holds no bytes at all.
    ///
    /// # Errors
    /// When the disk refuses.
    fn is_empty(&self) -> Result<bool, DiskError> {
        Ok(self.len()? == 0)
    }
}

/// Where the files of snapshots stand, each a disk of its own, named by its snapshot.
pub trait Shelf: Send + Sync + fmt::Debug {
    /// Makes a file of zeroes, in the place of any of that name; once this returned it is there
    /// after every crash.
    ///
    /// # Errors
    /// When the file system refuses.
    fn create(&self, id: SnapshotId, len: u64) -> Result<Arc<dyn Disk>, DiskError>;

    /// Opens a file.
    ///
    /// # Errors
    /// When it is not there, or the file system refuses.
    fn open(&self, id: SnapshotId) -> Result<Arc<dyn Disk>, DiskError>;

    /// Removes a file, if it is there; who has it open may go on reading it.
    ///
    /// # Errors
    /// When the file system refuses.
    fn remove(&self, id: SnapshotId) -> Result<(), DiskError>;

    /// The files that are there.
    ///
    /// # Errors
    /// When the file system refuses.
    fn list(&self) -> Result<Vec<SnapshotId>, DiskError>;
}

/// The disks of a store. Log and image are never one: a sync of the log must not wait for the
/// image's writes.
#[derive(Clone, Debug)]
pub struct Disks {
    /// Superblock slots and log ring; of fixed length.
    pub log: Arc<dyn Disk>,
    /// The flat image of the volume.
    pub extent: Arc<dyn Disk>,
    /// The checksums of its blocks.
    pub sums: Arc<dyn Disk>,
    /// The files of snapshots.
    pub snapshots: Arc<dyn Shelf>,
}
