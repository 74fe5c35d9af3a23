//! Requests of any alignment on a device of whole blocks.
//!
//! Clients may ask for any multiple of 512 bytes (or any byte range, if they were told no block
//! size); an [`Export`] only takes whole blocks. Reads fetch the blocks around the range. Writes
//! that cover only part of a block read it, change it and write it back under the block's lock,
//! as one device write, so an unaligned request is as atomic as an aligned one. Requests for whole
//! blocks go straight through.

use bytes::{Bytes, BytesMut};
use holdfast_types::{BLOCK_SIZE, BlockRange};

use super::block_locks::{BlockLocks, Mode};
use super::export::{Export, ExportError, ExportInfo, Space};

const BLOCK: u64 = BLOCK_SIZE as u64;

/// An export together with the locks that make byte ranges safe on it. One per export, shared by
/// all of its connections.
#[derive(Debug)]
pub struct Aligned<E> {
    export: E,
    locks: BlockLocks,
}

/// A byte range and the blocks that hold it.
#[derive(Clone, Copy, Debug)]
struct Span {
    offset: u64,
    length: u64,
    blocks: BlockRange,
}

impl Span {
    /// `None` for an empty range.
    fn new(offset: u64, length: u64) -> Result<Option<Self>, ExportError> {
        if length == 0 {
            return Ok(None);
        }
        let end = offset
            .checked_add(length)
            .ok_or_else(|| beyond_every_device(offset, length))?;
        let start = offset / BLOCK;
        let blocks = BlockRange::new(start, end.div_ceil(BLOCK) - start)
            .map_err(|_| beyond_every_device(offset, length))?;
        Ok(Some(Self {
            offset,
            length,
            blocks,
        }))
    }

    /// First byte of the first block.
    const fn outer_offset(&self) -> u64 {
        self.blocks.start() * BLOCK
    }

    /// Bytes of all blocks.
    const fn outer_length(&self) -> u64 {
        self.blocks.count() * BLOCK
    }

    const fn is_whole_blocks(&self) -> bool {
        self.outer_offset() == self.offset && self.outer_length() == self.length
    }

    /// Where the range begins in a buffer of all blocks.
    const fn head(&self) -> usize {
        (self.offset - self.outer_offset()) as usize
    }

    /// The blocks that lie in the range as a whole.
    fn inner(&self) -> Option<BlockRange> {
        let start = self.offset.div_ceil(BLOCK);
        let end = (self.offset + self.length) / BLOCK;
        BlockRange::new(start, end.checked_sub(start)?).ok()
    }
}

fn beyond_every_device(offset: u64, length: u64) -> ExportError {
    ExportError::Invalid {
        reason: format!("{length} bytes at {offset} are beyond every device"),
    }
}

impl<E: Export> Aligned<E> {
    /// Serves byte ranges of `export`.
    pub fn new(export: E) -> Self {
        Self {
            export,
            locks: BlockLocks::default(),
        }
    }

    /// Size and access mode.
    pub fn info(&self) -> ExportInfo {
        self.export.info()
    }

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// # Errors
    /// The device's.
    pub async fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ExportError> {
        let Some(span) = Span::new(offset, buffer.len() as u64)? else {
            return Ok(());
        };
        if span.is_whole_blocks() {
            return self.export.read(offset, buffer).await;
        }
        let mut whole = BytesMut::zeroed(span.outer_length() as usize);
        self.export.read(span.outer_offset(), &mut whole).await?;
        buffer.copy_from_slice(&whole[span.head()..][..buffer.len()]);
        Ok(())
    }

    /// Replaces the bytes from `offset` on.
    ///
    /// # Errors
    /// The device's.
    pub async fn write(&self, offset: u64, data: Bytes, fua: bool) -> Result<(), ExportError> {
        let Some(span) = Span::new(offset, data.len() as u64)? else {
            return self.flush_if(fua).await;
        };
        if span.is_whole_blocks() {
            let _held = self.locks.lock(span.blocks, Mode::Replace).await;
            return self.export.write(offset, data, fua).await;
        }
        let _held = self.locks.lock(span.blocks, Mode::Modify).await;
        self.modify(span, &data, fua).await
    }

    /// Makes every acknowledged write durable.
    ///
    /// # Errors
    /// The device's.
    pub async fn flush(&self) -> Result<(), ExportError> {
        self.export.flush().await
    }

    /// Gives back the blocks that lie in the range as a whole. What is left of it at either end
    /// keeps its content, as the protocol allows.
    ///
    /// # Errors
    /// The device's.
    pub async fn trim(&self, offset: u64, length: u64, fua: bool) -> Result<(), ExportError> {
        let Some(inner) = Span::new(offset, length)?.and_then(|span| span.inner()) else {
            return Ok(());
        };
        let _held = self.locks.lock(inner, Mode::Replace).await;
        self.export
            .trim(inner.start() * BLOCK, inner.count() * BLOCK, fua)
            .await
    }

    /// Replaces the range by zeroes.
    ///
    /// # Errors
    /// The device's. Parts of the range may then be zero already.
    pub async fn write_zeroes(
        &self,
        offset: u64,
        length: u64,
        space: Space,
        fua: bool,
    ) -> Result<(), ExportError> {
        let Some(span) = Span::new(offset, length)? else {
            return self.flush_if(fua).await;
        };
        if span.is_whole_blocks() {
            let _held = self.locks.lock(span.blocks, Mode::Replace).await;
            return self.export.write_zeroes(offset, length, space, fua).await;
        }
        let _held = self.locks.lock(span.blocks, Mode::Modify).await;
        match span.inner() {
            None => self.zero_edge(offset, length).await?,
            Some(inner) => {
                let (start, end) = (inner.start() * BLOCK, inner.end() * BLOCK);
                self.zero_edge(offset, start - offset).await?;
                self.export
                    .write_zeroes(start, end - start, space, false)
                    .await?;
                self.zero_edge(end, offset + length - end).await?;
            }
        }
        self.flush_if(fua).await
    }

    /// Zeroes less than two blocks. The caller holds their locks.
    async fn zero_edge(&self, offset: u64, length: u64) -> Result<(), ExportError> {
        match Span::new(offset, length)? {
            None => Ok(()),
            Some(span) => {
                let zeroes = BytesMut::zeroed(length as usize);
                self.modify(span, &zeroes, false).await
            }
        }
    }

    /// Reads the blocks at either end, lays `data` over them, writes all back as one write. The
    /// caller holds the blocks' locks.
    async fn modify(&self, span: Span, data: &[u8], fua: bool) -> Result<(), ExportError> {
        let outer = span.outer_offset();
        let mut whole = BytesMut::zeroed(span.outer_length() as usize);
        let last = whole.len() - BLOCK_SIZE;
        let (head, end) = (span.head(), span.head() + data.len());
        let head_is_partial = head != 0 || end < BLOCK_SIZE;
        if head_is_partial {
            self.export.read(outer, &mut whole[..BLOCK_SIZE]).await?;
        }
        if end != whole.len() && (last > 0 || !head_is_partial) {
            self.export
                .read(outer + last as u64, &mut whole[last..])
                .await?;
        }
        whole[head..end].copy_from_slice(data);
        self.export.write(outer, whole.freeze(), fua).await
    }

    async fn flush_if(&self, fua: bool) -> Result<(), ExportError> {
        if fua {
            self.export.flush().await
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
