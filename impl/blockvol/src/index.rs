//! The dirty index: which blocks have newer content in the log than in the extent, and where.
//!
//! Ordered by block, so that write-back and reads walk it in the order of the disk. A written
//! block takes one segment (about 64 bytes of memory); trimmed and zeroed ranges take one segment
//! however long they are. It is bounded by the log: a ring of `n` bytes holds fewer than
//! `n / 4096` written blocks.

use std::collections::BTreeMap;

use holdfast_types::{BLOCK_SIZE, BlockRange, EntryKind, Lsn};

use crate::log::scan::Meta;

/// Where a block's newest content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// In the log, at this position, with this CRC32C.
    Log {
        /// Where the block's bytes are.
        position: u64,
        /// Their checksum.
        crc: u32,
    },
    /// Nowhere: it reads as zeroes.
    Zero,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    count: u64,
    lsn: Lsn,
    source: Source,
}

/// A run of blocks with one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The blocks.
    pub(crate) range: BlockRange,
    /// The entry and place of their newest content; `None`: the extent has it.
    pub(crate) newest: Option<(Lsn, Source)>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct DirtyIndex {
    segments: BTreeMap<u64, Segment>,
}

impl DirtyIndex {
    /// Records an entry. `payload` is that of the entry (checksums are taken of it).
    pub(crate) fn record(&mut self, lsn: Lsn, meta: &Meta, payload: &[u8]) {
        let Some(range) = meta.range else { return };
        self.clear(range);
        match meta.kind {
            EntryKind::Write => {
                for (index, block) in payload.chunks_exact(BLOCK_SIZE).enumerate() {
                    let source = Source::Log {
                        position: meta.block_position(index as u64),
                        crc: crc32c::crc32c(block),
                    };
                    let segment = Segment {
                        count: 1,
                        lsn,
                        source,
                    };
                    self.segments.insert(range.start() + index as u64, segment);
                }
            }
            EntryKind::Trim | EntryKind::WriteZeroes => {
                let segment = Segment {
                    count: range.count(),
                    lsn,
                    source: Source::Zero,
                };
                self.segments.insert(range.start(), segment);
            }
            EntryKind::EpochStart
            | EntryKind::SnapshotCreate
            | EntryKind::SnapshotDelete
            | EntryKind::Grow
            | EntryKind::Restore => {}
        }
    }

    /// Forgets what the extent holds once entries up to `checkpoint` are in it; `range` is that
    /// of an entry at or before it.
    pub(crate) fn settle(&mut self, range: BlockRange, checkpoint: Lsn) {
        let first = self.first_key(range);
        let settled: Vec<u64> = self
            .segments
            .range(first..range.end())
            .filter(|(_, segment)| segment.lsn <= checkpoint)
            .map(|(start, _)| *start)
            .collect();
        for start in settled {
            self.segments.remove(&start);
        }
    }

    /// The newest content of every block of a range, in order.
    pub(crate) fn lookup(&self, range: BlockRange) -> Vec<Found> {
        let mut found = Vec::new();
        let mut next = range.start();
        for (start, segment) in self.segments.range(self.first_key(range)..range.end()) {
            let from = (*start).max(range.start());
            let to = (start + segment.count).min(range.end());
            if to <= next {
                continue;
            }
            push(&mut found, next, from, None);
            push(&mut found, from, to, Some((segment.lsn, segment.source)));
            next = to;
        }
        push(&mut found, next, range.end(), None);
        found
    }

    /// Whether the extent alone answers for a block.
    pub(crate) fn is_settled(&self, block: u64) -> bool {
        self.segments
            .range(..=block)
            .next_back()
            .is_none_or(|(start, segment)| start + segment.count <= block)
    }

    /// How many segments there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.segments.len()
    }

    /// The key at which a walk over `range` begins: a segment may begin before the range.
    fn first_key(&self, range: BlockRange) -> u64 {
        match self.segments.range(..range.start()).next_back() {
            Some((start, segment)) if start + segment.count > range.start() => *start,
            Some(_) | None => range.start(),
        }
    }

    /// Removes a range, cutting zero segments that reach out of it.
    fn clear(&mut self, range: BlockRange) {
        let first = self.first_key(range);
        let touched: Vec<(u64, Segment)> = self
            .segments
            .range(first..range.end())
            .map(|(start, segment)| (*start, *segment))
            .collect();
        for (start, segment) in touched {
            self.segments.remove(&start);
            let end = start + segment.count;
            if start < range.start() {
                let count = range.start() - start;
                self.segments.insert(start, Segment { count, ..segment });
            }
            if end > range.end() {
                let count = end - range.end();
                self.segments
                    .insert(range.end(), Segment { count, ..segment });
            }
        }
    }
}

fn push(found: &mut Vec<Found>, from: u64, to: u64, newest: Option<(Lsn, Source)>) {
    if to > from
        && let Ok(range) = BlockRange::new(from, to - from)
    {
        found.push(Found { range, newest });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_types::Epoch;

    fn meta(kind: EntryKind, start: u64, count: u64) -> Meta {
        Meta {
            position: 0,
            epoch: Epoch(1),
            range: Some(BlockRange::new(start, count).unwrap()),
            checksum: 0,
            kind,
        }
    }

    fn newest(index: &DirtyIndex, blocks: u64) -> Vec<Option<u64>> {
        let all = BlockRange::new(0, blocks).unwrap();
        let mut out = Vec::new();
        for found in index.lookup(all) {
            for _ in 0..found.range.count() {
                out.push(found.newest.map(|(lsn, _)| lsn.0));
            }
        }
        out
    }

    #[test]
    fn the_newest_entry_of_every_block_is_found() {
        let mut index = DirtyIndex::default();
        index.record(Lsn(1), &meta(EntryKind::Trim, 1, 6), &[]);
        index.record(Lsn(2), &meta(EntryKind::Write, 3, 2), &[0; 2 * BLOCK_SIZE]);
        let expected = [
            None,
            Some(1),
            Some(1),
            Some(2),
            Some(2),
            Some(1),
            Some(1),
            None,
        ];
        assert_eq!(newest(&index, 8), expected);
        assert_eq!(index.len(), 4);
        let inner = index.lookup(BlockRange::new(2, 1).unwrap());
        assert_eq!(inner.len(), 1);
        assert_eq!(inner[0].newest, Some((Lsn(1), Source::Zero)));
    }

    #[test]
    fn settling_forgets_what_the_extent_holds_and_nothing_newer() {
        let mut index = DirtyIndex::default();
        let old = meta(EntryKind::Trim, 0, 4);
        index.record(Lsn(1), &old, &[]);
        index.record(Lsn(2), &meta(EntryKind::Write, 1, 1), &[0; BLOCK_SIZE]);
        index.settle(old.range.unwrap(), Lsn(1));
        assert_eq!(newest(&index, 4), [None, Some(2), None, None]);
    }
}
