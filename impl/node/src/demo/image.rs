//! The disk image that the demo writes, and the reference that every copy is held against.
//!
//! Given by the user (`--image FILE`), or made: half pseudo-random (nothing compresses or repeats,
//! so a misplaced block cannot hide), a quarter of it repeated text, the rest holes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use holdfast_types::BLOCK_SIZE;
use sha2::{Digest, Sha256};

use super::failure::Failure;

/// Size of the image that is made when none is given.
pub(crate) const MADE_IMAGE_BYTES: u64 = 48 * 1024 * 1024;

/// The largest image that the demo takes: three copies and their logs have to fit on the disk and
/// into two minutes.
pub(crate) const MAX_IMAGE_BYTES: u64 = 1024 * 1024 * 1024;

/// The content of a volume, block by block, in memory.
pub(crate) struct Image {
    bytes: Vec<u8>,
}

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    #[error("cannot read the image {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("the image {path} is empty; give a file of 1 byte to 1 GiB")]
    Empty { path: PathBuf },
    #[error(
        "the image {path} has {bytes} bytes or more; the demo takes at most {MAX_IMAGE_BYTES} (1 GiB)"
    )]
    TooLarge { path: PathBuf, bytes: u64 },
}

impl Image {
    /// An all-zero volume.
    pub(crate) fn zeroes(blocks: u64) -> Self {
        let blocks = usize::try_from(blocks).expect("bounded by MAX_IMAGE_BYTES");
        Self {
            bytes: vec![0; blocks * BLOCK_SIZE],
        }
    }

    /// A made image of `bytes` bytes (rounded up to whole blocks), the same for the same seed.
    pub(crate) fn made(bytes: u64, seed: u64) -> Self {
        let mut image = Self::zeroes(bytes.div_ceil(BLOCK_SIZE as u64));
        let mut random = SplitMix(seed);
        for (number, block) in image.bytes.chunks_exact_mut(BLOCK_SIZE).enumerate() {
            match number % 8 {
                0..=3 => random.fill(block),
                4 | 5 => fill_with_text(block, number),
                // A hole.
                _ => {}
            }
        }
        image
    }

    /// The file's content, padded with zeroes to whole blocks.
    ///
    /// # Errors
    /// When it cannot be read, is empty, or is larger than [`MAX_IMAGE_BYTES`].
    pub(crate) fn read(path: &Path) -> Result<Self, ImageError> {
        let failed = |source| ImageError::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let mut bytes = Vec::new();
        // Bounded whatever the size says: a device, or a file that grows, may give more.
        let mut bounded = file.take(MAX_IMAGE_BYTES + 1);
        bounded.read_to_end(&mut bytes).map_err(failed)?;
        if bytes.is_empty() {
            return Err(ImageError::Empty {
                path: path.to_owned(),
            });
        }
        if bytes.len() as u64 > MAX_IMAGE_BYTES {
            let bytes = size.max(bytes.len() as u64);
            return Err(ImageError::TooLarge {
                path: path.to_owned(),
                bytes,
            });
        }
        bytes.resize(bytes.len().next_multiple_of(BLOCK_SIZE), 0);
        Ok(Self { bytes })
    }

    /// The size in blocks.
    pub(crate) fn blocks(&self) -> u64 {
        (self.bytes.len() / BLOCK_SIZE) as u64
    }

    /// The content.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Overwrites a part: the reference moves with what is written to the volume.
    pub(crate) fn overwrite(&mut self, offset: usize, data: &[u8]) {
        self.bytes[offset..offset + data.len()].copy_from_slice(data);
    }

    /// SHA-256 of the content, in hex.
    pub(crate) fn digest(&self) -> String {
        Sha256::digest(&self.bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Begins to hold a copy against this content, from block 0 on.
    pub(crate) fn comparison(&self) -> Comparison<'_> {
        Comparison {
            reference: &self.bytes,
            compared: 0,
            differing: 0,
            first: None,
        }
    }
}

/// A copy that is held against a reference, piece by piece.
#[derive(Debug)]
pub(crate) struct Comparison<'a> {
    reference: &'a [u8],
    /// Bytes compared so far.
    compared: usize,
    /// Blocks that differ.
    differing: u64,
    /// The first of them.
    first: Option<u64>,
}

impl Comparison<'_> {
    /// The next piece of the copy, of whole blocks. What is beyond the reference's end differs.
    pub(crate) fn piece(&mut self, found: &[u8]) {
        for block in found.chunks(BLOCK_SIZE) {
            let end = self.compared + block.len();
            if self.reference.get(self.compared..end) != Some(block) {
                self.differs((self.compared / BLOCK_SIZE) as u64, 1);
            }
            self.compared = end;
        }
    }

    fn differs(&mut self, block: u64, count: u64) {
        self.differing += count;
        self.first.get_or_insert(block);
    }

    /// The outcome. What the copy lacks at its end differs.
    ///
    /// # Errors
    /// [`Failure::Differs`]: how many blocks differ, and the first of them.
    pub(crate) fn verdict(mut self, copy: &str) -> Result<(), Failure> {
        let missing = self.reference.len().saturating_sub(self.compared);
        if missing > 0 {
            let from = (self.compared / BLOCK_SIZE) as u64;
            self.differs(from, missing.div_ceil(BLOCK_SIZE) as u64);
        }
        match self.first {
            None => Ok(()),
            Some(first) => Err(Failure::Differs {
                copy: copy.to_owned(),
                blocks: self.differing,
                first,
            }),
        }
    }
}

fn fill_with_text(block: &mut [u8], number: usize) {
    let mut rest = block;
    for line in 0.. {
        if rest.is_empty() {
            break;
        }
        let text =
            format!("block {number} line {line}: what was flushed is there after the fall\n");
        let length = text.len().min(rest.len());
        rest.write_all(&text.as_bytes()[..length])
            .expect("a slice takes what fits");
    }
}

/// A small generator with a 64-bit state; the same sequence for the same seed on every machine.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix(pub(crate) u64);

impl SplitMix {
    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Fills whole words; `block` is a multiple of 8 bytes.
    pub(crate) fn fill(&mut self, block: &mut [u8]) {
        for word in block.chunks_exact_mut(8) {
            word.copy_from_slice(&self.next().to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use holdfast_types::BLOCK_SIZE;

    use super::{Failure, Image, ImageError, SplitMix};

    #[test]
    fn a_made_image_is_the_same_for_the_same_seed_and_has_holes() {
        let image = Image::made(64 * BLOCK_SIZE as u64, 7);
        assert_eq!(
            image.digest(),
            Image::made(64 * BLOCK_SIZE as u64, 7).digest()
        );
        assert_ne!(
            image.digest(),
            Image::made(64 * BLOCK_SIZE as u64, 8).digest()
        );
        assert!(
            image.bytes()[7 * BLOCK_SIZE..8 * BLOCK_SIZE]
                .iter()
                .all(|&byte| byte == 0)
        );
    }

    fn difference(image: &Image, found: &[u8]) -> Option<(u64, u64)> {
        let mut comparison = image.comparison();
        // In pieces, as copies are read.
        found
            .chunks(3 * BLOCK_SIZE)
            .for_each(|piece| comparison.piece(piece));
        match comparison.verdict("a copy") {
            Ok(()) => None,
            Err(Failure::Differs { blocks, first, .. }) => Some((blocks, first)),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn differences_are_counted_and_a_short_copy_lacks_its_end() {
        let image = Image::made(8 * BLOCK_SIZE as u64, 1);
        assert_eq!(difference(&image, image.bytes()), None);
        let mut copy = image.bytes().to_vec();
        copy[5 * BLOCK_SIZE + 17] ^= 1;
        assert_eq!(difference(&image, &copy), Some((1, 5)));
        copy[7 * BLOCK_SIZE] ^= 1;
        assert_eq!(difference(&image, &copy), Some((2, 5)));
        let short = &image.bytes()[..6 * BLOCK_SIZE];
        assert_eq!(difference(&image, short), Some((2, 6)));
        let long = [image.bytes(), &[0; BLOCK_SIZE]].concat();
        assert_eq!(difference(&image, &long), Some((1, 8)));
    }

    #[test]
    fn an_image_file_is_padded_to_whole_blocks_and_an_empty_one_refused() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(
            Image::read(file.path()),
            Err(ImageError::Empty { .. })
        ));
        file.write_all(&[7; BLOCK_SIZE + 1]).unwrap();
        let image = Image::read(file.path()).unwrap();
        assert_eq!(image.blocks(), 2);
        assert_eq!(image.bytes()[BLOCK_SIZE + 1..], [0; BLOCK_SIZE - 1]);
    }

    #[test]
    fn the_generator_does_not_repeat_itself_soon() {
        let mut random = SplitMix(0);
        let words: std::collections::BTreeSet<u64> = (0..1000).map(|_| random.next()).collect();
        assert_eq!(words.len(), 1000);
    }
}
