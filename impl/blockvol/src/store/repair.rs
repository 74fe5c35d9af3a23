//! Repair of what rotted at rest, with content that the owner fetched from another copy (F21).
//!
//! *Blocks of the image.* The extent at rest holds a block as of the checkpoint. Content as of another
//! position serves if no entry between the two touches the block; what one between checkpoint and
//! that position wrote is left alone, it will be written from the log. The blocks are written as write-back writes them: a crash in
//! between leaves them damaged, never wrong.
//!
//! *Payloads of the log.* The header says which bytes were logged; only those are taken.

use bytes::Bytes;
use holdfast_types::{BLOCK_SIZE, BlockRange, Lsn};

use super::Store;
use crate::disk::{DiskError, DiskOp};
use crate::error::RepairError;
use crate::extent::{Extent, Fault, join};
use crate::image::range_bytes;
use crate::log::header::{HEADER_BYTES, Header, checksum_of};

/// Blocks on their way into the image; see [`Store`]. Nobody else writes to the image meanwhile.
#[derive(Debug)]
#[must_use]
pub(crate) struct RepairStep {
    extent: Extent,
    content: Bytes,
    range: BlockRange,
    pieces: Vec<BlockRange>,
}

impl RepairStep {
    /// Writes, syncs, and reads back.
    pub(crate) fn run(&self) -> Result<(), DiskError> {
        let mut overwrite = self.extent.overwrite();
        for piece in &self.pieces {
            let at = (piece.start() - self.range.start()) as usize * BLOCK_SIZE;
            let content = &self.content[at..at + range_bytes(*piece) as usize];
            overwrite.write(piece.start(), content)?;
        }
        overwrite.sync()?;
        for piece in &self.pieces {
            let mut content = vec![0; range_bytes(*piece) as usize];
            match self.extent.read(*piece, &mut content) {
                Ok(()) => {}
                Err(Fault::Disk(error)) => return Err(error),
                Err(Fault::Unfit(_)) => {
                    let offset = piece.start() * BLOCK_SIZE as u64;
                    let source = std::io::Error::new(
                        std::io::ErrorKind::InvalidData,
                        "what was written cannot be read back",
                    );
                    let len = range_bytes(*piece);
                    return Err(DiskError::new(
                        DiskOp::Write,
                        "extent",
                        offset,
                        len,
                        &source,
                    ));
                }
            }
        }
        Ok(())
    }
}

impl Store {
    /// Writes blocks again with their content as of `at`, durably.
    ///
    /// # Errors
    /// Any of [`RepairError`].
    pub fn repair(
        &mut self,
        range: BlockRange,
        content: Bytes,
        at: Lsn,
    ) -> Result<(), RepairError> {
        let step = self.begin_repair(range, content, at)?;
        let result = step.run();
        self.finish_repair(&step, result)
    }

    /// Begins to repair blocks.
    pub(crate) fn begin_repair(
        &self,
        range: BlockRange,
        content: Bytes,
        at: Lsn,
    ) -> Result<RepairStep, RepairError> {
        self.check_poison()?;
        let blocks = self.superblock.blocks;
        if !range.is_within(blocks) {
            return Err(RepairError::OutOfBounds { range, blocks });
        }
        if content.len() as u64 != range_bytes(range) {
            return Err(RepairError::Size {
                expected: range_bytes(range),
                found: content.len() as u64,
            });
        }
        if self.is_blank() {
            return Err(RepairError::Untrusted);
        }
        self.check_position(range, at)?;
        Ok(RepairStep {
            extent: self.extent.clone(),
            content,
            pieces: self.untouched(range, at),
            range,
        })
    }

    /// Whether content as of `at` is that of the checkpoint, for blocks that the log does not hold.
    fn check_position(&self, range: BlockRange, at: Lsn) -> Result<(), RepairError> {
        let checkpoint = self.superblock.checkpoint;
        let refused = |what| RepairError::Position {
            at,
            checkpoint,
            what,
        };
        if at > self.tail.lsn {
            return Err(refused("it is beyond the log of this copy"));
        }
        if self.restoring().is_some() {
            return Err(refused("a restore is under way"));
        }
        if at < self.retained.lsn {
            return Err(refused("what changed since is no longer known here"));
        }
        let mut lsn = at;
        while lsn < checkpoint {
            lsn = lsn.next();
            let touches = self.meta(lsn).is_none_or(|meta| {
                meta.kind.is_operation() || meta.range.is_some_and(|other| other.overlaps(range))
            });
            if touches {
                return Err(refused("the blocks changed since"));
            }
        }
        Ok(())
    }

    /// The blocks of a range that entries of `(after, upto]` touch; `None`: not known any more.
    pub(crate) fn touched(
        &self,
        range: BlockRange,
        after: Lsn,
        upto: Lsn,
    ) -> Option<Vec<BlockRange>> {
        if after < self.retained.lsn || upto > self.tail.lsn {
            return None;
        }
        let mut touched = Vec::new();
        let mut lsn = after;
        while lsn < upto {
            lsn = lsn.next();
            let meta = self.meta(lsn)?;
            if meta.kind.is_operation() {
                return Some(vec![range]);
            }
            let Some(other) = meta.range else {
                continue;
            };
            let from = other.start().max(range.start());
            let to = other.end().min(range.end());
            if from < to {
                touched.extend(BlockRange::new(from, to - from));
            }
        }
        Some(touched)
    }

    /// The blocks that no entry after the checkpoint, up to `at`, touches.
    fn untouched(&self, range: BlockRange, at: Lsn) -> Vec<BlockRange> {
        let mut touched = vec![false; range.count() as usize];
        let mut lsn = self.superblock.checkpoint;
        while lsn < at {
            lsn = lsn.next();
            let Some(other) = self.meta(lsn).and_then(|meta| meta.range) else {
                continue;
            };
            let from = other.start().max(range.start());
            let to = other.end().min(range.end());
            for block in from..to.max(from) {
                touched[(block - range.start()) as usize] = true;
            }
        }
        let mut untouched = Vec::new();
        for (block, _) in (range.start()..)
            .zip(&touched)
            .filter(|(_, touched)| !**touched)
        {
            join(&mut untouched, block);
        }
        untouched
    }

    /// Takes the result of a repair.
    pub(crate) fn finish_repair(
        &mut self,
        step: &RepairStep,
        result: Result<(), DiskError>,
    ) -> Result<(), RepairError> {
        self.repairs += 1;
        match result {
            Ok(()) => {
                self.known_damage.forget_blocks(step.range);
                Ok(())
            }
            Err(error) if error.op == DiskOp::Sync => Err(self.poison(error).into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the payload of an entry again, durable with the next sync of the log.
    ///
    /// # Errors
    /// When it is not what was logged, or the entry is not there to be repaired.
    pub fn repair_entry(&mut self, lsn: Lsn, payload: &[u8]) -> Result<(), RepairError> {
        self.check_poison()?;
        let meta = self.meta(lsn).ok_or(RepairError::NoSuchEntry { lsn })?;
        let mut header = [0; HEADER_BYTES];
        self.ring.read(meta.position, &mut header)?;
        let header = Header::decode(&header)
            .ok()
            .filter(|_| checksum_of(&header) == meta.checksum)
            .ok_or(RepairError::NoSuchEntry { lsn })?;
        let fits = payload.len() as u64 == meta.payload_len()
            && crc32c::crc32c(payload) == header.payload_crc;
        if !fits {
            return Err(RepairError::NotTheEntry { lsn });
        }
        self.ring
            .write(meta.position + HEADER_BYTES as u64, payload)?;
        self.known_damage.forget_entry(lsn);
        Ok(())
    }
}
