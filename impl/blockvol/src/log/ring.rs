//! The ring: positions that only grow, mapped onto a fixed number of bytes.

use std::sync::Arc;

use crate::disk::{Disk, DiskError};
use crate::superblock::RING_OFFSET;

/// The log's place on its disk.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    disk: Arc<dyn Disk>,
    bytes: u64,
}

impl Ring {
    pub(crate) fn new(disk: Arc<dyn Disk>, bytes: u64) -> Self {
        Self { disk, bytes }
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where a position is, in bytes from the beginning of the ring.
    pub(crate) fn place(&self, position: u64) -> u64 {
        position % self.bytes
    }

    /// Splits `len` bytes from `position` where the ring ends: `(disk offset, bytes before, bytes
    /// after the end)`.
    fn split(&self, position: u64, len: usize) -> (u64, usize, usize) {
        assert!(len as u64 <= self.bytes, "{len} bytes in one ring");
        let place = self.place(position);
        let before = (len as u64).min(self.bytes - place) as usize;
        (RING_OFFSET + place, before, len - before)
    }

    /// Reads `buf` from `position` on, around the end of the ring.
    pub(crate) fn read(&self, position: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let (offset, before, after) = self.split(position, buf.len());
        self.disk.read_at(offset, &mut buf[..before])?;
        if after > 0 {
            self.disk.read_at(RING_OFFSET, &mut buf[before..])?;
        }
        Ok(())
    }

    /// Writes `data` at `position`, around the end of the ring.
    pub(crate) fn write(&self, position: u64, data: &[u8]) -> Result<(), DiskError> {
        let (offset, before, after) = self.split(position, data.len());
        self.disk.write_at(offset, &data[..before])?;
        if after > 0 {
            self.disk.write_at(RING_OFFSET, &data[before..])?;
        }
        Ok(())
    }
}
