//! Blocks and ranges of blocks.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bytes in a block of every volume.
pub const BLOCK_SIZE: usize = 4096;

/// A number of blocks, or the size of a volume in blocks.
pub type BlockCount = u64;

/// A non-empty range of blocks, `[start, start + count)`, that does not overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "(u64, u64)", into = "(u64, u64)")]
pub struct BlockRange {
    start: u64,
    count: u64,
}

/// Why two numbers are no range of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockRangeError {
    /// A range holds at least one block.
    Empty {
        /// The first block asked for.
        start: u64,
    },
    /// `start + count` does not fit into 64 bits.
    Overflow {
        /// The first block asked for.
        start: u64,
        /// The number of blocks asked for.
        count: u64,
    },
}

impl fmt::Display for BlockRangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { start } => write!(f, "empty block range at block {start}"),
            Self::Overflow { start, count } => {
                write!(f, "block range overflows: {count} blocks at block {start}")
            }
        }
    }
}

impl std::error::Error for BlockRangeError {}

impl BlockRange {
    /// A range of `count` blocks from `start`.
    ///
    /// # Errors
    /// When it is empty or overflows. Whether it lies inside a volume is [`BlockRange::is_within`].
    pub const fn new(start: u64, count: u64) -> Result<Self, BlockRangeError> {
        if count == 0 {
            return Err(BlockRangeError::Empty { start });
        }
        if start.checked_add(count).is_none() {
            return Err(BlockRangeError::Overflow { start, count });
        }
        Ok(Self { start, count })
    }

    /// The first block.
    #[must_use]
    pub const fn start(self) -> u64 {
        self.start
    }

    /// The number of blocks, at least 1.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.count
    }

    /// The block after the last one.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.start + self.count
    }

    /// Whether a volume of `blocks` blocks holds the whole range.
    #[must_use]
    pub const fn is_within(self, blocks: BlockCount) -> bool {
        self.end() <= blocks
    }

    /// Whether the two ranges share a block.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.start < other.end() && other.start < self.end()
    }
}

impl fmt::Display for BlockRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.start, self.count)
    }
}

impl TryFrom<(u64, u64)> for BlockRange {
    type Error = BlockRangeError;

    fn try_from((start, count): (u64, u64)) -> Result<Self, Self::Error> {
        Self::new(start, count)
    }
}

impl From<BlockRange> for (u64, u64) {
    fn from(range: BlockRange) -> Self {
        (range.start, range.count)
    }
}

#[cfg(test)]
mod tests {
    use super::{BlockRange, BlockRangeError};

    #[test]
    fn a_range_is_never_empty_and_never_overflows() {
        assert_eq!(
            BlockRange::new(7, 0),
            Err(BlockRangeError::Empty { start: 7 })
        );
        assert_eq!(
            BlockRange::new(u64::MAX, 1),
            Err(BlockRangeError::Overflow {
                start: u64::MAX,
                count: 1
            })
        );
        let range = BlockRange::new(3, 2).unwrap();
        assert_eq!((range.start(), range.count(), range.end()), (3, 2, 5));
        assert!(range.is_within(5) && !range.is_within(4));
    }

    #[test]
    fn ranges_that_only_touch_do_not_overlap() {
        let a = BlockRange::new(0, 4).unwrap();
        assert!(!a.overlaps(BlockRange::new(4, 1).unwrap()));
        assert!(a.overlaps(BlockRange::new(3, 9).unwrap()));
    }
}
