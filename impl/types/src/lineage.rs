//! Lineage: which epoch wrote which part of a log.
//!
//! Two logs that hold an entry with the same `(epoch, lsn)` are equal up to and including it, so
//! the last position that two logs share can be found from their lineages alone, and never from
//! a comparison of numbers (T2, F30).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Epoch, Lsn};

/// The longest lineage that is kept or accepted; the oldest entries are forgotten first.
pub const MAX_LINEAGE_ENTRIES: usize = 128;

/// `epoch` wrote the entries from `first` to the one before the next lineage entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LineageEntry {
    /// The epoch.
    pub epoch: Epoch,
    /// Its first entry in this log.
    pub first: Lsn,
}

/// The `(epoch, first LSN)` list of a log, oldest first: epochs and positions strictly increase.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<LineageEntry>", into = "Vec<LineageEntry>")]
pub struct Lineage(Vec<LineageEntry>);

/// Why a list of `(epoch, first LSN)` is no lineage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineageError {
    /// More than [`MAX_LINEAGE_ENTRIES`].
    TooLong {
        /// The number of entries offered.
        entries: usize,
    },
    /// Epochs and first positions strictly increase, from epoch 1 and LSN 1.
    Unordered {
        /// The index of the entry that is out of order.
        index: usize,
    },
}

impl fmt::Display for LineageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { entries } => {
                write!(
                    f,
                    "lineage of {entries} entries, at most {MAX_LINEAGE_ENTRIES} are allowed"
                )
            }
            Self::Unordered { index } => {
                write!(f, "lineage entry {index} does not follow its predecessor")
            }
        }
    }
}

impl std::error::Error for LineageError {}

impl Lineage {
    /// Checks and takes a list, oldest first.
    ///
    /// # Errors
    /// [`LineageError`] when it is too long or out of order.
    pub fn new(entries: Vec<LineageEntry>) -> Result<Self, LineageError> {
        if entries.len() > MAX_LINEAGE_ENTRIES {
            return Err(LineageError::TooLong {
                entries: entries.len(),
            });
        }
        let mut last = LineageEntry {
            epoch: Epoch(0),
            first: Lsn(0),
        };
        for (index, entry) in entries.iter().enumerate() {
            if entry.epoch <= last.epoch || entry.first <= last.first {
                return Err(LineageError::Unordered { index });
            }
            last = *entry;
        }
        Ok(Self(entries))
    }

    /// The entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[LineageEntry] {
        &self.0
    }

    /// Whether nothing is recorded (an empty log).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The last entry: the epoch that wrote the end of the log.
    #[must_use]
    pub fn last(&self) -> Option<LineageEntry> {
        self.0.last().copied()
    }

    /// The epoch of the entry at `lsn`, as far as the lineage reaches back.
    #[must_use]
    pub fn epoch_at(&self, lsn: Lsn) -> Option<Epoch> {
        let after = self.0.partition_point(|entry| entry.first <= lsn);
        after.checked_sub(1).map(|index| self.0[index].epoch)
    }

    /// Records that the entry at `lsn` was logged in `epoch`; forgets the oldest entry when full.
    ///
    /// # Errors
    /// [`LineageError::Unordered`] when epoch or position goes back; nothing is changed then.
    pub fn record(&mut self, epoch: Epoch, lsn: Lsn) -> Result<(), LineageError> {
        match self.0.last() {
            Some(last) if last.epoch == epoch && lsn >= last.first => return Ok(()),
            Some(last) if epoch <= last.epoch || lsn <= last.first => {
                return Err(LineageError::Unordered {
                    index: self.0.len(),
                });
            }
            None if epoch.0 == 0 || lsn.0 == 0 => return Err(LineageError::Unordered { index: 0 }),
            Some(_) | None => {}
        }
        if self.0.len() == MAX_LINEAGE_ENTRIES {
            self.0.remove(0);
        }
        self.0.push(LineageEntry { epoch, first: lsn });
        Ok(())
    }

    /// Forgets everything beyond `lsn`: the lineage is cut wherever the log is cut.
    pub fn truncate_to(&mut self, lsn: Lsn) {
        let keep = self.0.partition_point(|entry| entry.first <= lsn);
        self.0.truncate(keep);
    }
}

impl TryFrom<Vec<LineageEntry>> for Lineage {
    type Error = LineageError;

    fn try_from(entries: Vec<LineageEntry>) -> Result<Self, Self::Error> {
        Self::new(entries)
    }
}

impl From<Lineage> for Vec<LineageEntry> {
    fn from(lineage: Lineage) -> Self {
        lineage.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Lineage, LineageEntry, LineageError, MAX_LINEAGE_ENTRIES};
    use crate::{Epoch, Lsn};

    fn lineage(entries: &[(u64, u64)]) -> Lineage {
        let list = entries.iter().map(|&(e, l)| LineageEntry {
            epoch: Epoch(e),
            first: Lsn(l),
        });
        Lineage::new(list.collect()).unwrap()
    }

    #[test]
    fn a_lineage_that_goes_back_is_refused() {
        let bad = vec![
            LineageEntry {
                epoch: Epoch(2),
                first: Lsn(1),
            },
            LineageEntry {
                epoch: Epoch(2),
                first: Lsn(4),
            },
        ];
        assert_eq!(Lineage::new(bad), Err(LineageError::Unordered { index: 1 }));
        let mut good = lineage(&[(1, 1), (3, 5)]);
        assert!(good.record(Epoch(2), Lsn(9)).is_err());
        assert!(good.record(Epoch(4), Lsn(5)).is_err());
        assert_eq!(good, lineage(&[(1, 1), (3, 5)]));
    }

    #[test]
    fn the_epoch_of_an_entry_is_that_of_the_last_start_before_it() {
        let l = lineage(&[(1, 1), (3, 5)]);
        assert_eq!(l.epoch_at(Lsn(0)), None);
        assert_eq!(l.epoch_at(Lsn(4)), Some(Epoch(1)));
        assert_eq!(l.epoch_at(Lsn(5)), Some(Epoch(3)));
    }

    #[test]
    fn a_cut_forgets_the_epochs_that_began_beyond_it() {
        let mut l = lineage(&[(1, 1), (3, 5)]);
        l.truncate_to(Lsn(4));
        assert_eq!(l, lineage(&[(1, 1)]));
        l.truncate_to(Lsn(0));
        assert!(l.is_empty());
    }

    #[test]
    fn a_full_lineage_forgets_its_oldest_entry() {
        let mut l = Lineage::default();
        for n in 1..=MAX_LINEAGE_ENTRIES as u64 + 1 {
            l.record(Epoch(n), Lsn(n)).unwrap();
        }
        assert_eq!(l.entries().len(), MAX_LINEAGE_ENTRIES);
        assert_eq!(l.entries()[0].epoch, Epoch(2));
    }
}
