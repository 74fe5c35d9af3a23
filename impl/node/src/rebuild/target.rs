//! The replica's order of a base transfer: what may come next, and when it is complete.
//!
//! Promises: chunks are taken in ascending order without a hole or a repetition; the base counts as
//! complete only with a manifest of this plan after the last chunk (M16, M19). Content is verified
//! by the store, chunk by chunk and as a whole.

use holdfast_types::BlockCount;
use holdfast_wire::{Manifest, Message, RebuildBegin, RebuildChunk, RebuildSource, Refusal};

use super::CHUNK_BLOCKS;

/// A base that is being received.
#[derive(Clone, Debug)]
pub struct RebuildTarget {
    begin: RebuildBegin,
    next_block: u64,
    installed: u64,
}

impl RebuildTarget {
    /// A base transfer as the source announced it, of a volume of `blocks` blocks: the base is of its
    /// checkpoint, and has no more.
    ///
    /// # Errors
    /// When it has more, or none.
    pub fn new(begin: RebuildBegin, blocks: BlockCount) -> Result<Self, Refusal> {
        if !(1..=blocks).contains(&begin.blocks) {
            return Err(Refusal::Size {
                offered: begin.blocks,
                stored: blocks,
            });
        }
        Ok(Self {
            begin,
            next_block: 0,
            installed: 0,
        })
    }

    /// Whether a chunk is the one that comes next.
    ///
    /// # Errors
    /// [`Refusal::ChunkOrder`] when it is not.
    pub fn chunk(&mut self, chunk: &RebuildChunk) -> Result<(), Refusal> {
        let left = self.begin.blocks - self.next_block;
        let whole = chunk.range.count() == left.min(CHUNK_BLOCKS);
        if chunk.range.start() != self.next_block || !whole {
            return Err(Refusal::ChunkOrder {
                expected: self.next_block,
                found: chunk.range.start(),
            });
        }
        self.next_block = chunk.range.end();
        Ok(())
    }

    /// The last chunk taken is installed; what to tell the source. Of every chunk: a source that is
    /// told to go slowly has no other one under way.
    pub const fn installed(&mut self) -> Message {
        self.installed = self.next_block;
        Message::RebuildProgress {
            next_block: self.installed,
        }
    }

    /// Whether a manifest ends this transfer.
    ///
    /// # Errors
    /// [`Refusal::ManifestMismatch`] naming what differs.
    pub fn manifest(&self, manifest: &Manifest) -> Result<(), Refusal> {
        let bound_fits = match self.begin.source {
            RebuildSource::FullBase => manifest.extent_bound >= self.begin.base_lsn,
            RebuildSource::Snapshot => manifest.extent_bound == self.begin.base_lsn,
        };
        let what = if self.installed != self.begin.blocks {
            format!("{} of {} blocks came", self.installed, self.begin.blocks)
        } else if manifest.blocks != self.begin.blocks {
            format!("it is of {} blocks", manifest.blocks)
        } else if manifest.base_lsn != self.begin.base_lsn {
            let begun = self.begin.base_lsn;
            format!("it is at {}, the plan at {begun}", manifest.base_lsn)
        } else if !bound_fits {
            format!("its extent bound {} does not fit", manifest.extent_bound)
        } else if manifest
            .lineage
            .last()
            .is_some_and(|last| last.first > manifest.base_lsn)
        {
            "its lineage goes beyond its position".into()
        } else {
            return Ok(());
        };
        Err(Refusal::ManifestMismatch { what })
    }
}
