//! What memory keeps of every entry in the log: where it is, what it covers, what its successor chains
//! to. 24 bytes for each, in pieces, so that neither growing nor shrinking copies what stays.

use std::collections::{BTreeMap, VecDeque};

use holdfast_types::{BlockRange, Epoch, Lsn};

use super::header::{kind_code, kind_of};
use super::scan::Meta;
use crate::disk::SECTOR;

/// Entries of one piece.
const PIECE: usize = 512;
/// The count of a range that is too long to stand in its record.
const LONG: u32 = u32::MAX;

/// One entry. Its epoch is that of its stretch; a range that is longer than 2^32 - 2 blocks has its
/// length elsewhere.
#[derive(Clone, Copy, Debug)]
struct Record {
    /// The position in sectors, 56 bits, and the kind.
    place: u64,
    start: u64,
    /// 0 for an entry without a range.
    count: u32,
    checksum: u32,
}

/// A stretch of entries of one epoch.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    first: Lsn,
    epoch: Epoch,
}

/// The entries after a position, contiguous.
#[derive(Clone, Debug)]
pub(crate) struct Entries {
    /// The entry before the first.
    before: Lsn,
    /// Records of the first piece that are gone.
    gone: usize,
    /// All but the last are full.
    pieces: VecDeque<Vec<Record>>,
    stretches: VecDeque<Stretch>,
    /// Lengths that do not fit a record.
    long: BTreeMap<Lsn, u64>,
}

impl Entries {
    /// None yet, after `before`.
    pub(crate) fn after(before: Lsn) -> Self {
        Self {
            before,
            gone: 0,
            pieces: VecDeque::new(),
            stretches: VecDeque::new(),
            long: BTreeMap::new(),
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        let last = self.pieces.back().map_or(0, Vec::len);
        let full = self.pieces.len().saturating_sub(1) * PIECE;
        full + last - self.gone
    }

    /// The last entry, or the one before the first.
    pub(crate) fn last(&self) -> Lsn {
        Lsn(self.before.0 + self.len() as u64)
    }

    /// Takes the next entry.
    pub(crate) fn push(&mut self, meta: &Meta) {
        let lsn = self.last().next();
        if self.stretches.back().is_none_or(|s| s.epoch != meta.epoch) {
            self.stretches.push_back(Stretch {
                first: lsn,
                epoch: meta.epoch,
            });
        }
        let count = meta.range.map_or(0, BlockRange::count);
        let short = u32::try_from(count).ok().filter(|count| *count != LONG);
        if short.is_none() {
            self.long.insert(lsn, count);
        }
        if self.pieces.back().is_none_or(|piece| piece.len() == PIECE) {
            self.pieces.push_back(Vec::with_capacity(PIECE));
        }
        if let Some(piece) = self.pieces.back_mut() {
            piece.push(Record {
                place: ((meta.position / SECTOR) << 8) | u64::from(kind_code(meta.kind)),
                start: meta.range.map_or(0, BlockRange::start),
                count: short.unwrap_or(LONG),
                checksum: meta.checksum,
            });
        }
    }

    /// The entry at `lsn`, if it is among them.
    pub(crate) fn get(&self, lsn: Lsn) -> Option<Meta> {
        let index = lsn.0.checked_sub(self.before.0)?.checked_sub(1)?;
        let record = self.record(usize::try_from(index).ok()?)?;
        let count = match record.count {
            LONG => *self.long.get(&lsn)?,
            count => u64::from(count),
        };
        let after = self.stretches.partition_point(|s| s.first <= lsn);
        Some(Meta {
            position: (record.place >> 8) * SECTOR,
            epoch: self.stretches.get(after.checked_sub(1)?)?.epoch,
            range: BlockRange::new(record.start, count).ok(),
            checksum: record.checksum,
            kind: kind_of(record.place as u8)?,
        })
    }

    fn record(&self, index: usize) -> Option<&Record> {
        let index = index + self.gone;
        self.pieces.get(index / PIECE)?.get(index % PIECE)
    }

    /// How many of them begin before a position.
    pub(crate) fn before_position(&self, position: u64) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            let begins = self
                .record(middle)
                .is_some_and(|record| (record.place >> 8) * SECTOR < position);
            if begins {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Forgets those up to `lsn`; what is beyond the last is forgotten with it.
    pub(crate) fn forget_to(&mut self, lsn: Lsn) {
        let dropped = lsn.0.saturating_sub(self.before.0);
        let dropped = usize::try_from(dropped).map_or(self.len(), |count| count.min(self.len()));
        self.before = Lsn(self.before.0 + dropped as u64);
        self.gone += dropped;
        while self.gone >= PIECE && self.pieces.pop_front().is_some() {
            self.gone -= PIECE;
        }
        while self
            .stretches
            .get(1)
            .is_some_and(|next| next.first <= self.before.next())
        {
            self.stretches.pop_front();
        }
        self.long = self.long.split_off(&self.before.next());
    }
}

#[cfg(test)]
mod tests {
    use holdfast_types::EntryKind;

    use super::*;

    fn meta(lsn: u64) -> Meta {
        let kind = match lsn % 3 {
            0 => EntryKind::Write,
            1 => EntryKind::Trim,
            _ => EntryKind::EpochStart,
        };
        let count = if kind == EntryKind::Trim {
            u64::from(u32::MAX) - 2 + lsn
        } else {
            lsn
        };
        Meta {
            position: lsn * 4608,
            epoch: Epoch(1 + lsn / 700),
            range: kind
                .has_range()
                .then(|| BlockRange::new(lsn << 30, count).unwrap()),
            checksum: (lsn as u32).wrapping_mul(0x9e37_79b9),
            kind,
        }
    }

    #[test]
    fn every_entry_reads_back_as_it_was_taken_while_older_ones_are_forgotten() {
        let mut entries = Entries::after(Lsn(10));
        assert_eq!((entries.len(), entries.last()), (0, Lsn(10)));
        for lsn in 11..=3000 {
            entries.push(&meta(lsn));
        }
        for forgotten in [10, 11, 500, 522, 523, 1400, 2100, 2999, 3000] {
            entries.forget_to(Lsn(forgotten));
            assert_eq!(entries.get(Lsn(forgotten)), None);
            for lsn in forgotten + 1..=3000 {
                assert_eq!(entries.get(Lsn(lsn)), Some(meta(lsn)), "entry {lsn}");
            }
            assert_eq!(entries.get(Lsn(3001)), None);
            assert_eq!(entries.last(), Lsn(3000));
            let before = entries.before_position(2500 * 4608);
            assert_eq!(before as u64, 2499_u64.saturating_sub(forgotten));
        }
        entries.push(&meta(3001));
        assert_eq!(entries.get(Lsn(3001)), Some(meta(3001)));
    }
}
