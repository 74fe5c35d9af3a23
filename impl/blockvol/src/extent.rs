//! The flat image with a checksum for each of its blocks: what is read is what was written there,
//! or a fault that says which blocks are not (F21).
//!
//! The *sum* of a block is 4 bytes in a file of its own: the CRC32C of block number and content, so
//! that a block that was read from, or written to, another place is found out as well as a flipped
//! bit. 0 says that the block reads as zeroes; it needs no bytes, and a fresh file holds nothing
//! else.
//!
//! Block and sum are written by the same step and synced before the checkpoint passes it. A crash
//! between the two leaves them apart, but only for blocks of entries that the log still holds: those
//! are read from the log until they are written again (`docs/protocol.md`, section 1). So whatever
//! is read from the extent at rest has a sum that fits, or is damaged.
//!
//! Who reads while write-back is at work may meet a block whose sum is not there yet. It is for him
//! to look again; see [`crate::store`]'s reads.

use std::io::IoSlice;
use std::sync::Arc;

use holdfast_types::{BLOCK_SIZE, BlockCount, BlockRange};

use crate::disk::{Disk, DiskError, Disks};
use crate::error::Damage;
use crate::image::range_bytes;

/// Bytes of a sum.
pub(crate) const SUM_BYTES: u64 = 4;
/// Sums are written a page at a time.
const PAGE_BYTES: u64 = 4096;
/// Blocks whose sums share a page.
const PAGE_BLOCKS: u64 = PAGE_BYTES / SUM_BYTES;
/// Sums read at a time, without any allocation.
const READ_BLOCKS: usize = 128;

/// The block reads as zeroes.
pub(crate) const SUM_OF_ZEROES: u32 = 0;

/// The length of the sums of so many blocks, in whole pages.
pub(crate) fn sums_len(blocks: BlockCount) -> u64 {
    (blocks * SUM_BYTES).next_multiple_of(PAGE_BYTES)
}

/// The sum of a block that was written; never [`SUM_OF_ZEROES`], nor the next number, which maps of
/// snapshots use for another purpose.
pub(crate) fn sum_of(block: u64, content: &[u8]) -> u32 {
    let sum = crc32c::crc32c_append(crc32c::crc32c(&block.to_le_bytes()), content);
    if sum < 2 { sum + 2 } else { sum }
}

/// Whether a block has the content that its sum asks for.
pub(crate) fn fits(sum: u32, block: u64, content: &[u8]) -> bool {
    if sum == SUM_OF_ZEROES {
        content.iter().all(|byte| *byte == 0)
    } else {
        sum == sum_of(block, content)
    }
}

/// One sum of several that were read together.
pub(crate) fn sum_at(sums: &[u8], index: usize) -> u32 {
    let mut sum = [0; 4];
    sum.copy_from_slice(&sums[index * 4..index * 4 + 4]);
    u32::from_le_bytes(sum)
}

/// Why blocks were not read.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The disk refused.
    Disk(DiskError),
    /// These do not fit their sums: damaged, or just being written.
    Unfit(Vec<BlockRange>),
}

impl From<DiskError> for Fault {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl Fault {
    /// The fault as an error, once it is certain that nobody was writing.
    pub(crate) fn certain<E: From<DiskError> + From<Damage>>(self) -> E {
        match self {
            Self::Disk(error) => error.into(),
            Self::Unfit(ranges) => match ranges.first() {
                Some(range) => Damage::Extent { range: *range }.into(),
                None => unreachable!("a fault of no blocks"),
            },
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Extent {
    image: Arc<dyn Disk>,
    sums: Arc<dyn Disk>,
}

impl Extent {
    pub(crate) fn new(disks: &Disks) -> Self {
        Self {
            image: Arc::clone(&disks.extent),
            sums: Arc::clone(&disks.sums),
        }
    }

    /// Fills `out` with the blocks of a range and verifies them.
    pub(crate) fn read(&self, range: BlockRange, out: &mut [u8]) -> Result<(), Fault> {
        self.read_unverified(range, out)?;
        self.verify(range, out)
    }

    /// The same of a few blocks, if that takes no waiting; `false`: not so, not known, or not fitting.
    pub(crate) fn read_at_once(&self, range: BlockRange, verify: bool, out: &mut [u8]) -> bool {
        if !self
            .image
            .read_at_once(range.start() * BLOCK_SIZE as u64, out)
        {
            return false;
        }
        let count = out.len() / BLOCK_SIZE;
        let mut sums = [0; READ_BLOCKS * SUM_BYTES as usize];
        let Some(sums) = sums.get_mut(..count * SUM_BYTES as usize) else {
            return false;
        };
        !verify
            || self.sums.read_at_once(range.start() * SUM_BYTES, sums)
                && (range.start()..)
                    .zip(out.chunks_exact(BLOCK_SIZE))
                    .enumerate()
                    .all(|(index, (number, block))| fits(sum_at(sums, index), number, block))
    }

    /// Fills `out` with whatever is there.
    pub(crate) fn read_unverified(
        &self,
        range: BlockRange,
        out: &mut [u8],
    ) -> Result<(), DiskError> {
        self.image.read_at(range.start() * BLOCK_SIZE as u64, out)
    }

    /// Whether what was read fits the sums.
    pub(crate) fn verify(&self, range: BlockRange, content: &[u8]) -> Result<(), Fault> {
        let mut unfit = Vec::new();
        let mut sums = [0; READ_BLOCKS * SUM_BYTES as usize];
        let mut first = range.start();
        for piece in content.chunks(READ_BLOCKS * BLOCK_SIZE) {
            let count = piece.len() / BLOCK_SIZE;
            let sums = &mut sums[..count * SUM_BYTES as usize];
            self.sums.read_at(first * SUM_BYTES, sums)?;
            for (index, block) in piece.chunks_exact(BLOCK_SIZE).enumerate() {
                let number = first + index as u64;
                if !fits(sum_at(sums, index), number, block) {
                    join(&mut unfit, number);
                }
            }
            first += count as u64;
        }
        if unfit.is_empty() {
            Ok(())
        } else {
            Err(Fault::Unfit(unfit))
        }
    }

    /// The sums of blocks.
    pub(crate) fn sums(&self, range: BlockRange) -> Result<Vec<u8>, DiskError> {
        let mut sums = vec![0; (range.count() * SUM_BYTES) as usize];
        self.sums.read_at(range.start() * SUM_BYTES, &mut sums)?;
        Ok(sums)
    }

    /// Begins to change the image; nobody else does meanwhile.
    pub(crate) fn overwrite(&self) -> Overwrite<'_> {
        Overwrite {
            extent: self,
            sums: SumPage::new(&self.sums, 0),
        }
    }

    /// Makes everything that was written durable.
    pub(crate) fn sync(&self) -> Result<(), DiskError> {
        self.image.sync()?;
        self.sums.sync()
    }

    /// Makes room for a larger volume, durably.
    pub(crate) fn grow(&self, blocks: BlockCount) -> Result<(), DiskError> {
        self.image.grow(blocks * BLOCK_SIZE as u64)?;
        self.sums.grow(sums_len(blocks))?;
        self.sync()
    }
}

/// Adds a block to ranges that are found in order.
pub(crate) fn join(ranges: &mut Vec<BlockRange>, block: u64) {
    let joined = match ranges.last() {
        Some(last) if last.end() == block => BlockRange::new(last.start(), last.count() + 1),
        Some(_) | None => BlockRange::new(block, 1),
    };
    let Ok(joined) = joined else {
        unreachable!("block {block} is in the volume")
    };
    if joined.count() > 1 {
        ranges.pop();
    }
    ranges.push(joined);
}

/// A change of blocks with their sums; durable after [`Overwrite::sync`].
#[derive(Debug)]
#[must_use]
pub(crate) struct Overwrite<'a> {
    extent: &'a Extent,
    sums: SumPage<'a>,
}

impl Overwrite<'_> {
    /// Writes whole blocks from `first` on.
    pub(crate) fn write(&mut self, first: u64, content: &[u8]) -> Result<(), DiskError> {
        self.extent
            .image
            .write_at(first * BLOCK_SIZE as u64, content)?;
        self.note(first, content)
    }

    /// The same of content in parts, each of whole blocks, as one write.
    pub(crate) fn write_parts(
        &mut self,
        first: u64,
        parts: &[IoSlice<'_>],
    ) -> Result<(), DiskError> {
        let offset = first * BLOCK_SIZE as u64;
        self.extent.image.write_vectored_at(offset, parts)?;
        let mut next = first;
        for part in parts {
            self.note(next, part)?;
            next += (part.len() / BLOCK_SIZE) as u64;
        }
        Ok(())
    }

    /// Takes what stands there already, and is known to be right, as written.
    pub(crate) fn note(&mut self, first: u64, content: &[u8]) -> Result<(), DiskError> {
        for (block, content) in (first..).zip(content.chunks_exact(BLOCK_SIZE)) {
            self.sums.put(block, sum_of(block, content))?;
        }
        Ok(())
    }

    /// Makes blocks read as zeroes.
    pub(crate) fn zero(&mut self, range: BlockRange) -> Result<(), DiskError> {
        let offset = range.start() * BLOCK_SIZE as u64;
        self.extent.image.punch(offset, range_bytes(range))?;
        self.sums.flush()?;
        let offset = range.start() * SUM_BYTES;
        self.extent.sums.punch(offset, range.count() * SUM_BYTES)
    }

    /// Writes what is left, without a sync.
    pub(crate) fn finish(mut self) -> Result<(), DiskError> {
        self.sums.flush()
    }

    /// Writes what is left and makes all of it durable.
    pub(crate) fn sync(self) -> Result<(), DiskError> {
        let extent = self.extent;
        self.finish()?;
        extent.sync()
    }
}

/// Sums on their way to the disk, a page at a time: whoever puts them in order writes each page
/// once.
#[derive(Debug)]
pub(crate) struct SumPage<'a> {
    disk: &'a Arc<dyn Disk>,
    /// Where the first page is.
    base: u64,
    page: u64,
    bytes: Vec<u8>,
}

impl<'a> SumPage<'a> {
    /// Sums that begin at byte `base` of a disk.
    pub(crate) fn new(disk: &'a Arc<dyn Disk>, base: u64) -> Self {
        Self {
            disk,
            base,
            page: 0,
            bytes: Vec::new(),
        }
    }

    /// Sets the sum of a block.
    pub(crate) fn put(&mut self, block: u64, sum: u32) -> Result<(), DiskError> {
        let page = block / PAGE_BLOCKS;
        if self.bytes.is_empty() || self.page != page {
            self.flush()?;
            let mut bytes = vec![0; PAGE_BYTES as usize];
            self.disk
                .read_at(self.base + page * PAGE_BYTES, &mut bytes)?;
            self.bytes = bytes;
            self.page = page;
        }
        let at = (block % PAGE_BLOCKS * SUM_BYTES) as usize;
        self.bytes[at..at + 4].copy_from_slice(&sum.to_le_bytes());
        Ok(())
    }

    /// Writes the page that is being filled.
    pub(crate) fn flush(&mut self) -> Result<(), DiskError> {
        if !self.bytes.is_empty() {
            self.disk
                .write_at(self.base + self.page * PAGE_BYTES, &self.bytes)?;
            self.bytes.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Medium, SimStorage};

    fn extent() -> (SimStorage, Extent) {
        let storage = SimStorage::from_images(vec![0; 4096], vec![0; 2048 * BLOCK_SIZE]);
        let extent = Extent::new(&storage.disks());
        (storage, extent)
    }

    fn range(start: u64, count: u64) -> BlockRange {
        BlockRange::new(start, count).unwrap()
    }

    fn unfit(extent: &Extent, range: BlockRange) -> Vec<BlockRange> {
        let mut out = vec![0; range_bytes(range) as usize];
        match extent.read(range, &mut out) {
            Ok(()) => Vec::new(),
            Err(Fault::Unfit(ranges)) => ranges,
            Err(Fault::Disk(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn what_was_written_and_zeroed_reads_back_across_pages_of_sums() {
        let (_, extent) = extent();
        let mut change = extent.overwrite();
        change.write(1000, &[7; 48 * BLOCK_SIZE]).unwrap();
        change.zero(range(1020, 8)).unwrap();
        change.write(2047, &[9; BLOCK_SIZE]).unwrap();
        change.sync().unwrap();
        assert_eq!(unfit(&extent, range(0, 2048)), []);
    }

    #[test]
    fn f21_flipped_bits_in_block_or_sum_and_blocks_of_another_place_are_found() {
        let (storage, extent) = extent();
        let mut change = extent.overwrite();
        change.write(10, &[7; 20 * BLOCK_SIZE]).unwrap();
        change.sync().unwrap();
        storage.corrupt(Medium::Extent, 12 * BLOCK_SIZE as u64 + 5, 1);
        storage.corrupt(Medium::Extent, 13 * BLOCK_SIZE as u64 + 5, 1);
        storage.corrupt(Medium::Sums, 20 * SUM_BYTES, 1);
        storage.corrupt(Medium::Extent, 500 * BLOCK_SIZE as u64, 1);
        let found = unfit(&extent, range(0, 2048));
        assert_eq!(found, [range(12, 2), range(20, 1), range(500, 1)]);
        // Content and sum of block 10, both where those of block 11 belong.
        let disks = storage.disks();
        let mut sum = [0; 4];
        disks.sums.read_at(10 * SUM_BYTES, &mut sum).unwrap();
        disks.sums.write_at(11 * SUM_BYTES, &sum).unwrap();
        assert_eq!(unfit(&extent, range(11, 1)), [range(11, 1)]);
    }
}
