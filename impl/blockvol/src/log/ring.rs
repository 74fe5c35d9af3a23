//! The ring: positions that only grow, mapped onto a fixed number of bytes.

use std::io::IoSlice;
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

    /// Reads if that takes no waiting; `false`: not so, or not known.
    pub(crate) fn read_at_once(&self, position: u64, buf: &mut [u8]) -> bool {
        let (offset, before, after) = self.split(position, buf.len());
        after == 0 && self.disk.read_at_once(offset, &mut buf[..before])
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

    /// Writes parts that follow each other at `position`, around the end of the ring.
    pub(crate) fn write_parts(
        &self,
        position: u64,
        parts: &[IoSlice<'_>],
    ) -> Result<(), DiskError> {
        let len = parts.iter().map(|part| part.len()).sum();
        let (offset, before, after) = self.split(position, len);
        if after == 0 {
            return self.disk.write_vectored_at(offset, parts);
        }
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let mut room = before;
        for part in parts {
            let (here, beyond) = part.split_at(room.min(part.len()));
            first.push(IoSlice::new(here));
            second.push(IoSlice::new(beyond));
            room -= here.len();
        }
        for half in [&mut first, &mut second] {
            half.retain(|part| !part.is_empty());
        }
        self.disk.write_vectored_at(offset, &first)?;
        self.disk.write_vectored_at(RING_OFFSET, &second)
    }

    /// Says that `len` bytes from `position` on will be read soon.
    pub(crate) fn will_read(&self, position: u64, len: u64) {
        let (offset, before, after) = self.split(position, len.min(self.bytes) as usize);
        self.disk.will_read(offset, before as u64);
        if after > 0 {
            self.disk.will_read(RING_OFFSET, after as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::SimStorage;

    #[test]
    fn parts_are_written_as_one_around_the_end_of_the_ring() {
        let disk = SimStorage::from_images(vec![0; (RING_OFFSET + 16) as usize], Vec::new())
            .disks()
            .log;
        let ring = Ring::new(disk, 16);
        for position in 0..32 {
            let parts = [
                IoSlice::new(b"ab"),
                IoSlice::new(b"cde"),
                IoSlice::new(b"f"),
            ];
            ring.write_parts(position, &parts).unwrap();
            let mut found = [0; 6];
            ring.read(position, &mut found).unwrap();
            assert_eq!(&found, b"abcdef", "at {position}");
        }
    }
}
