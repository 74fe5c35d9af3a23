//! The flat image as a thing that can be copied and proven: fixed chunks, their digests, and the
//! manifest that ends a base transfer.
//!
//! The digest of an image is the SHA-256 over the SHA-256 digests of its chunks, in order. It
//! commits to every byte as a plain SHA-256 would, but chunks can be hashed where and when they
//! are read, in any order, and once (`docs/decisions/021-blockvol-image-digest.md`).

use std::fmt;

use holdfast_types::{BLOCK_SIZE, BlockCount, BlockRange, Lineage, Lsn, VolumeId};
use sha2::{Digest, Sha256};

/// Blocks in a chunk of a base image (1 MiB); the last chunk may be shorter.
pub const CHUNK_BLOCKS: u64 = 256;

/// The SHA-256 of a chunk's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkDigest(pub [u8; 32]);

/// The SHA-256 over the chunk digests of an image, in order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageDigest(pub [u8; 32]);

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

macro_rules! shown_as_hex {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex(&self.0, f)
            }
        }
    )*};
}

shown_as_hex!(ChunkDigest, ImageDigest);

impl ChunkDigest {
    /// The digest of a chunk.
    #[must_use]
    pub fn of(data: &[u8]) -> Self {
        Self(Sha256::digest(data).into())
    }
}

impl ImageDigest {
    /// The digest of an image from those of its chunks, in order.
    pub fn of(chunks: impl IntoIterator<Item = ChunkDigest>) -> Self {
        let mut hasher = Sha256::new();
        for chunk in chunks {
            hasher.update(chunk.0);
        }
        Self(hasher.finalize().into())
    }
}

/// How many chunks an image of so many blocks has.
#[must_use]
pub const fn chunk_count(blocks: BlockCount) -> u64 {
    blocks.div_ceil(CHUNK_BLOCKS)
}

/// The blocks of one chunk, or `None` beyond the last one.
#[must_use]
pub fn chunk_range(index: u64, blocks: BlockCount) -> Option<BlockRange> {
    let start = index.checked_mul(CHUNK_BLOCKS)?;
    let count = blocks.checked_sub(start)?.min(CHUNK_BLOCKS);
    BlockRange::new(start, count).ok()
}

/// The bytes of a range of blocks.
#[must_use]
pub(crate) fn range_bytes(range: BlockRange) -> u64 {
    range.count() * BLOCK_SIZE as u64
}

/// What a base image is: sent by the source when the copy has ended, checked by the target before
/// it switches over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseManifest {
    /// The volume.
    pub volume: VolumeId,
    /// Its size.
    pub blocks: BlockCount,
    /// The image holds every effect of entries `1..=base_lsn`; replay starts after it (T17).
    pub base_lsn: Lsn,
    /// Upper bound of the entries whose effects may be in the image. The base is trusted once
    /// replay has passed it.
    pub extent_bound: Lsn,
    /// The lineage of the source's log up to `base_lsn`.
    pub lineage: Lineage,
    /// The digest of the image as it was sent.
    pub digest: ImageDigest,
}

#[cfg(test)]
mod tests {
    use super::{CHUNK_BLOCKS, chunk_count, chunk_range};

    #[test]
    fn chunks_cover_every_block_once() {
        for blocks in [1, CHUNK_BLOCKS - 1, CHUNK_BLOCKS, CHUNK_BLOCKS + 1, 1000] {
            let mut next = 0;
            for index in 0..chunk_count(blocks) {
                let range = chunk_range(index, blocks).unwrap();
                assert_eq!(range.start(), next);
                next = range.end();
            }
            assert_eq!(next, blocks);
            assert_eq!(chunk_range(chunk_count(blocks), blocks), None);
        }
        assert_eq!(chunk_range(u64::MAX, 10), None);
    }
}
