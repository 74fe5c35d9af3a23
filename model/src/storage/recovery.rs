//! Recovery: what the sectors of an image say, read by someone who knows nothing else.
//!
//! The newest superblock whose checksum holds says where the retained log begins. From there
//! entries are read one after the other, each at the sector where its predecessor ends, until one
//! is not there: a sector whose checksum fails, another position than the next, or, beyond
//! `sealed`, another run than the superblock's (what an earlier run left in the ring was cut, or
//! was lost, and must not come back). That is the *end* of the log, unless something vouches for
//! more: the superblock's own positions, or an entry of this run that was written when the node's
//! durable position was already beyond. Then the log is *broken*, which is another answer.

use super::Mutation;
use super::conjuncts::{Conditions, Conjunct};
use super::disk::{Image, LogSector, Superblock};
use super::spec::Storage;
use super::vocabulary::{Entry, LSNS, Lsn, REBUILDING};

/// What recovery concludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No superblock can be read.
    Unopenable,
    /// The marker of a rebuild: whatever else is there does not count.
    Rebuilding,
    /// Entries are missing that were durable.
    Broken,
    /// A contiguous log up to `end`.
    Sound,
}

/// What recovery read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Its conclusion.
    pub outcome: Outcome,
    /// The superblock that it went by.
    pub superblock: Superblock,
    /// The last entry of the log.
    pub end: Lsn,
    /// The sector after it.
    pub next_slot: u8,
    /// The entries of `(tail, end]`, at their places.
    pub entries: [Entry; LSNS + 1],
}

impl Reading {
    /// Whether the base is trusted: nothing beyond the log's end can be in the extent.
    #[must_use]
    pub fn trusted(&self) -> bool {
        self.outcome == Outcome::Sound && self.end >= self.superblock.extent_bound
    }
}

impl Storage {
    /// Reads an image.
    #[must_use]
    pub fn read(&self, image: &Image) -> Reading {
        let superblock = image.superblock();
        let mut reading = Reading {
            outcome: Outcome::Sound,
            superblock,
            end: superblock.tail,
            next_slot: superblock.tail_slot,
            entries: [Entry::NONE; LSNS + 1],
        };
        if image.newest().is_none() {
            reading.outcome = Outcome::Unopenable;
            return reading;
        }
        if superblock.extent_bound == REBUILDING {
            reading.outcome = Outcome::Rebuilding;
            return reading;
        }
        if self.lacks(Mutation::F02ScanFromSlotZero) {
            reading.next_slot = 0;
        }
        self.scan(image, &mut reading);
        if self.something_is_missing(image, &reading) {
            reading.outcome = Outcome::Broken;
        }
        reading
    }

    fn scan(&self, image: &Image, reading: &mut Reading) {
        let mut used = 0;
        while let Some(entry) = self.entry_at(image, reading, reading.next_slot) {
            let sectors = self.bounds.kind(entry).sectors();
            used += sectors;
            if used > self.bounds.slots {
                break;
            }
            reading.end += 1;
            reading.entries[usize::from(reading.end)] = entry;
            reading.next_slot = self.ring(reading.next_slot + sectors);
        }
    }

    /// The entry after the last one read, if it begins at `slot` and is whole.
    fn entry_at(&self, image: &Image, reading: &Reading, slot: u8) -> Option<Entry> {
        let head = image.log[usize::from(slot)];
        let next = reading.end + 1;
        if !head.entry.is_some() || head.entry.lsn() != next || usize::from(next) > LSNS {
            if self.lacks(Mutation::F20ScanJumpsGaps) {
                return self.entry_beyond_gap(image, reading);
            }
            return None;
        }
        let of_this_run = next <= reading.superblock.sealed || head.run == reading.superblock.run;
        let counts = of_this_run || self.lacks(Mutation::M28AnyRunCounts);
        if !self.keeps(Conjunct::ScanRun, counts) {
            return None;
        }
        let whole = (0..self.bounds.kind(head.entry).sectors()).all(|part| {
            image.log[usize::from(self.ring(slot + part))] == LogSector { part, ..head }
        });
        if whole {
            return Some(head.entry);
        }
        let torn_counts = self.lacks(Mutation::M28TornEntryCounts);
        self.keeps(Conjunct::ScanWhole, torn_counts)
            .then_some(Entry::TORN)
    }

    /// (Mutation) Whatever the next sector holds is taken for the next entry.
    fn entry_beyond_gap(&self, image: &Image, reading: &Reading) -> Option<Entry> {
        let beyond = image.log[usize::from(self.ring(reading.next_slot + 1))];
        (beyond.entry.is_some()
            && beyond.part == 0
            && beyond.run == reading.superblock.run
            && beyond.entry.lsn() > reading.end
            && usize::from(reading.end) < LSNS)
            .then_some(beyond.entry)
    }

    fn something_is_missing(&self, image: &Image, reading: &Reading) -> bool {
        let superblock = &reading.superblock;
        let vouched = image.log[..usize::from(self.bounds.slots)]
            .iter()
            .filter(|sector| sector.entry.is_some() && sector.run == superblock.run)
            .map(|sector| sector.durable)
            .chain([superblock.sealed, superblock.checkpoint])
            .any(|vouched| vouched > reading.end);
        let ignored = self.lacks(Mutation::F11DamageIsTheEnd);
        vouched && !self.keeps(Conjunct::ScanVouched, ignored)
    }
}
