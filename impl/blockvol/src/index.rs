//! The dirty index: which blocks have newer content in the log than in the extent, and where.
//!
//! Ordered by block, so that write-back and reads walk it in the order of the disk. A written block
//! takes 16 bytes, about 33 with the tree around them; trimmed and zeroed ranges take one segment
//! however long they are. It is bounded by the log: a ring of `n` bytes holds fewer than `n / 4096`
//! written blocks.
//!
//! A block names its entry by the low half of the LSN: all entries of a log lie within 2^31 of each
//! other, as each takes at least a sector of a ring of at most 2^40 bytes.

use std::collections::BTreeMap;

use holdfast_types::{BlockRange, EntryKind, Lsn};

use crate::checksum::Checksums;

/// Where a block's newest content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// In the payload of its entry, with this CRC32C.
    Log {
        /// Of the block.
        crc: u32,
    },
    /// Nowhere: it reads as zeroes.
    Zero,
}

/// A written block.
#[derive(Clone, Copy, Debug)]
struct Written {
    /// The low half of the LSN.
    lsn: u32,
    crc: u32,
}

/// A run of blocks that read as zeroes.
#[derive(Clone, Copy, Debug)]
struct Zeroed {
    count: u64,
    lsn: Lsn,
}

/// A run of blocks with one answer; a written block is a run of its own.
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
    /// The newest entry that was recorded.
    newest: Lsn,
    written: BTreeMap<u64, Written>,
    /// By first block. No block is in both maps, nor in two runs.
    zeroed: BTreeMap<u64, Zeroed>,
}

impl DirtyIndex {
    /// Records an entry; entries come in the order of the log.
    pub(crate) fn record(
        &mut self,
        lsn: Lsn,
        kind: EntryKind,
        range: Option<BlockRange>,
        sums: &Checksums,
    ) {
        self.newest = lsn;
        let Some(range) = range else { return };
        match kind {
            EntryKind::Write => {
                self.cut_zeroed(range);
                for index in 0..range.count() {
                    let written = Written {
                        lsn: lsn.0 as u32,
                        crc: sums.block(index),
                    };
                    self.written.insert(range.start() + index, written);
                }
            }
            EntryKind::Trim | EntryKind::WriteZeroes => {
                self.cut_zeroed(range);
                self.forget_written(range, |_| true);
                let count = range.count();
                self.zeroed.insert(range.start(), Zeroed { count, lsn });
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
        let newest = self.newest;
        self.forget_written(range, |written| full(newest, written.lsn) <= checkpoint);
        let settled: Vec<u64> = self
            .zeroed_in(range)
            .filter(|(_, run)| run.lsn <= checkpoint)
            .map(|(start, _)| start)
            .collect();
        for start in settled {
            self.zeroed.remove(&start);
        }
    }

    /// Shows the newest content of every block of a range, in order.
    pub(crate) fn look_up(&self, range: BlockRange, mut see: impl FnMut(Found)) {
        let end = range.end();
        let mut written = self.written.range(range.start()..end).peekable();
        let mut zeroed = self.zeroed_in(range).peekable();
        let mut next = range.start();
        while next < end {
            let block = written.peek().map_or(end, |(block, _)| **block);
            let run = zeroed.peek().map_or(end, |(start, _)| *start);
            let (to, newest) = if block == next {
                let crc = written.next().map(|(_, w)| (w.lsn, w.crc));
                let found = crc.map(|(lsn, crc)| (full(self.newest, lsn), Source::Log { crc }));
                (next + 1, found)
            } else if run <= next {
                let run = zeroed
                    .next()
                    .map(|(start, run)| (start + run.count, run.lsn));
                let to = run.map_or(end, |(to, _)| to.min(end));
                (to, run.map(|(_, lsn)| (lsn, Source::Zero)))
            } else {
                (block.min(run), None)
            };
            if let Ok(range) = BlockRange::new(next, to - next) {
                see(Found { range, newest });
            }
            next = to;
        }
    }

    /// Whether the extent alone answers for a block.
    pub(crate) fn is_settled(&self, block: u64) -> bool {
        !self.written.contains_key(&block)
            && self
                .zeroed
                .range(..=block)
                .next_back()
                .is_none_or(|(start, run)| start + run.count <= block)
    }

    /// The runs of zeroes that share a block with a range; the first may begin before it.
    fn zeroed_in(&self, range: BlockRange) -> impl Iterator<Item = (u64, Zeroed)> + '_ {
        let first = match self.zeroed.range(..range.start()).next_back() {
            Some((start, run)) if start + run.count > range.start() => *start,
            Some(_) | None => range.start(),
        };
        let runs = self.zeroed.range(first..range.end());
        runs.map(|(start, run)| (*start, *run))
    }

    /// Forgets written blocks of a range.
    fn forget_written(&mut self, range: BlockRange, which: impl Fn(&Written) -> bool) {
        if range.count() == 1 {
            // As most are.
            if self.written.get(&range.start()).is_some_and(which) {
                self.written.remove(&range.start());
            }
            return;
        }
        let blocks = self.written.range(range.start()..range.end());
        let forgotten: Vec<u64> = blocks
            .filter(|(_, written)| which(written))
            .map(|(block, _)| *block)
            .collect();
        for block in forgotten {
            self.written.remove(&block);
        }
    }

    /// Takes a range out of the runs of zeroes; what reaches out of it stays.
    fn cut_zeroed(&mut self, range: BlockRange) {
        if self.zeroed.is_empty() {
            return;
        }
        let touched: Vec<(u64, Zeroed)> = self.zeroed_in(range).collect();
        for (start, run) in touched {
            self.zeroed.remove(&start);
            let end = start + run.count;
            if start < range.start() {
                let count = range.start() - start;
                self.zeroed.insert(start, Zeroed { count, ..run });
            }
            if end > range.end() {
                let count = end - range.end();
                self.zeroed.insert(range.end(), Zeroed { count, ..run });
            }
        }
    }
}

/// The LSN of these low bits that is not after `newest`, nor 2^32 before it.
fn full(newest: Lsn, low: u32) -> Lsn {
    Lsn(newest.0 - u64::from((newest.0 as u32).wrapping_sub(low)))
}

#[cfg(test)]
mod tests {
    use holdfast_types::BLOCK_SIZE;
    use proptest::prelude::*;

    use super::*;

    fn range(start: u64, count: u64) -> BlockRange {
        BlockRange::new(start, count).unwrap()
    }

    fn write(index: &mut DirtyIndex, lsn: u64, range: BlockRange) {
        let payload = vec![lsn as u8; range.count() as usize * BLOCK_SIZE];
        let sums = Checksums::of(&payload);
        index.record(Lsn(lsn), EntryKind::Write, Some(range), &sums);
    }

    fn zero(index: &mut DirtyIndex, lsn: u64, range: BlockRange) {
        let none = Checksums::default();
        index.record(Lsn(lsn), EntryKind::Trim, Some(range), &none);
    }

    fn newest(index: &DirtyIndex, range: BlockRange) -> Vec<Option<(u64, Source)>> {
        let mut out = Vec::new();
        index.look_up(range, |found| {
            for _ in 0..found.range.count() {
                out.push(found.newest.map(|(lsn, source)| (lsn.0, source)));
            }
        });
        out
    }

    fn lsns(index: &DirtyIndex, blocks: u64) -> Vec<Option<u64>> {
        newest(index, range(0, blocks))
            .into_iter()
            .map(|found| found.map(|(lsn, _)| lsn))
            .collect()
    }

    #[test]
    fn the_newest_entry_of_every_block_is_found() {
        let mut index = DirtyIndex::default();
        zero(&mut index, 1, range(1, 6));
        write(&mut index, 2, range(3, 2));
        let expected = [0, 1, 1, 2, 2, 1, 1, 0].map(|lsn| (lsn > 0).then_some(lsn));
        assert_eq!(lsns(&index, 8), expected);
        let mut runs = Vec::new();
        index.look_up(range(2, 1), |found| runs.push(found));
        assert_eq!(runs.len(), 1);
        assert_eq!(runs[0].newest, Some((Lsn(1), Source::Zero)));
    }

    #[test]
    fn settling_forgets_what_the_extent_holds_and_nothing_newer() {
        let mut index = DirtyIndex::default();
        zero(&mut index, 1, range(0, 4));
        write(&mut index, 2, range(1, 1));
        index.settle(range(0, 4), Lsn(1));
        assert_eq!(lsns(&index, 4), [None, Some(2), None, None]);
    }

    #[test]
    fn entries_keep_their_names_where_the_low_half_of_the_lsn_begins_anew() {
        let mut index = DirtyIndex::default();
        let first = u64::from(u32::MAX) - 1;
        for n in 0..4 {
            write(&mut index, first + n, range(n, 1));
        }
        let expected = [0, 1, 2, 3].map(|n| Some(first + n));
        assert_eq!(lsns(&index, 4), expected);
        index.settle(range(0, 4), Lsn(first + 1));
        assert_eq!(
            lsns(&index, 4),
            [None, None, Some(first + 2), Some(first + 3)]
        );
    }

    const BLOCKS: u64 = 24;

    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, u64),
        Zero(u64, u64),
        Settle(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let place = (0..BLOCKS).prop_flat_map(|start| (Just(start), 1..=BLOCKS - start));
        let step = prop_oneof![
            place
                .clone()
                .prop_map(|(start, count)| Step::Write(start, count)),
            place.prop_map(|(start, count)| Step::Zero(start, count)),
            (1_u64..4).prop_map(Step::Settle),
        ];
        proptest::collection::vec(step, 1..40)
    }

    proptest! {
        /// Against a plain list of the newest entry of each block.
        #[test]
        fn it_answers_as_a_list_of_blocks_does(steps in steps()) {
            let mut index = DirtyIndex::default();
            let mut list: Vec<Option<(u64, bool)>> = vec![None; BLOCKS as usize];
            let mut logged: Vec<BlockRange> = Vec::new();
            let mut checkpoint = 0;
            for step in steps {
                match step {
                    Step::Write(start, count) | Step::Zero(start, count) => {
                        logged.push(range(start, count));
                        let lsn = logged.len() as u64;
                        let written = matches!(step, Step::Write(..));
                        if written {
                            write(&mut index, lsn, range(start, count));
                        } else {
                            zero(&mut index, lsn, range(start, count));
                        }
                        for block in start..start + count {
                            list[block as usize] = Some((lsn, written));
                        }
                    }
                    Step::Settle(more) => {
                        let to = (checkpoint + more).min(logged.len() as u64);
                        for lsn in checkpoint..to {
                            index.settle(logged[lsn as usize], Lsn(to));
                        }
                        checkpoint = to;
                        for newest in &mut list {
                            *newest = newest.filter(|(lsn, _)| *lsn > to);
                        }
                    }
                }
                let found: Vec<_> = newest(&index, range(0, BLOCKS))
                    .into_iter()
                    .map(|found| found.map(|(lsn, source)| (lsn, source != Source::Zero)))
                    .collect();
                prop_assert_eq!(&found, &list);
                for block in 0..BLOCKS {
                    prop_assert_eq!(index.is_settled(block), list[block as usize].is_none());
                    let alone = newest(&index, range(block, 1));
                    prop_assert_eq!(alone[0].map(|(lsn, _)| lsn), list[block as usize].map(|(lsn, _)| lsn));
                }
            }
        }
    }
}
