//! Concrete logs, entry by entry, and the lineages that are told of them.
//!
//! A log is a list of epochs: entry `n` was logged in the `n`th of them. The ghosts compare logs
//! entry by entry; the machine only ever sees a [`Lineage`].

use serde::{Deserialize, Serialize};

use super::vocabulary::{Epoch, Lsn};

/// The longest log of any instance.
pub const LOG_MAX: usize = 5;

/// A log: the epoch of every entry, from position 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Epoch>", into = "Vec<Epoch>")]
pub struct Log {
    head: Lsn,
    epochs: [Epoch; LOG_MAX],
}

impl Log {
    /// A log of these entries.
    ///
    /// # Panics
    /// When there are more than [`LOG_MAX`].
    #[must_use]
    pub const fn of(entries: &[Epoch]) -> Self {
        let mut log = Self {
            head: 0,
            epochs: [0; LOG_MAX],
        };
        let mut at = 0;
        while at < entries.len() {
            log.epochs[at] = entries[at];
            log.head += 1;
            at += 1;
        }
        log
    }

    /// Its last position.
    #[must_use]
    pub const fn head(&self) -> Lsn {
        self.head
    }

    /// Its entries.
    #[must_use]
    pub fn entries(&self) -> &[Epoch] {
        &self.epochs[..usize::from(self.head)]
    }

    /// The epoch of the entry at a position.
    #[must_use]
    pub fn epoch_at(&self, lsn: Lsn) -> Option<Epoch> {
        let at = usize::from(lsn).checked_sub(1)?;
        self.entries().get(at).copied()
    }

    /// Appends an entry, if there is room.
    pub fn push(&mut self, epoch: Epoch) {
        if let Some(place) = self.epochs.get_mut(usize::from(self.head)) {
            *place = epoch;
            self.head += 1;
        }
    }

    /// Cuts everything beyond a position.
    pub fn cut(&mut self, to: Lsn) {
        if to < self.head {
            self.head = to;
            self.epochs[usize::from(to)..].fill(0);
        }
    }

    /// Takes from `source` what is missing up to `upto`. What is there already stays there: this
    /// is what a stream of entries does to a log, divergent or not (F30).
    pub fn extend_from(&mut self, source: &Self, upto: Lsn) {
        while self.head < upto {
            let Some(epoch) = source.epoch_at(self.head + 1) else {
                return;
            };
            self.push(epoch);
        }
    }

    /// The number of entries from the first on that two logs have alike: the truth, found by
    /// comparing entries, of what the machine must find from lineages.
    #[must_use]
    pub fn alike(&self, other: &Self) -> Lsn {
        let pairs = self.entries().iter().zip(other.entries());
        pairs
            .take_while(|(a, b)| a == b)
            .fold(0, |count, _| count + 1)
    }

    /// Whether this log holds nothing that `other` lacks.
    #[must_use]
    pub fn is_prefix_of(&self, other: &Self) -> bool {
        self.alike(other) == self.head
    }

    /// The lineage that is told of this log after its oldest `forgotten` epochs were forgotten.
    #[must_use]
    pub fn lineage(&self, forgotten: u8) -> Lineage {
        let mut lineage = Lineage::default();
        let mut last = None;
        let mut runs = 0;
        for (&epoch, first) in self.entries().iter().zip(1..) {
            if last != Some(epoch) {
                runs += 1;
                last = Some(epoch);
                if runs > forgotten {
                    lineage.push(epoch, first);
                }
            }
        }
        lineage
    }

    /// Every log of at most `longest` entries whose epochs never go back and stay within
    /// `epochs`, shortest first.
    #[must_use]
    pub fn all(longest: Lsn, epochs: std::ops::RangeInclusive<Epoch>) -> Vec<Self> {
        let mut logs = vec![Self::default()];
        let mut at = 0;
        while at < logs.len() {
            let log = logs[at];
            if log.head < longest {
                let from = log.epoch_at(log.head).unwrap_or(*epochs.start());
                for epoch in from..=*epochs.end() {
                    let mut longer = log;
                    longer.push(epoch);
                    logs.push(longer);
                }
            }
            at += 1;
        }
        logs
    }
}

impl TryFrom<Vec<Epoch>> for Log {
    type Error = String;

    fn try_from(entries: Vec<Epoch>) -> Result<Self, String> {
        if entries.len() > LOG_MAX {
            return Err(format!(
                "a log has at most {LOG_MAX} entries, not {}",
                entries.len()
            ));
        }
        Ok(Self::of(&entries))
    }
}

impl From<Log> for Vec<Epoch> {
    fn from(log: Log) -> Self {
        log.entries().to_vec()
    }
}

/// The `(epoch, first position)` list of a log, oldest first, as far back as it is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lineage {
    len: u8,
    starts: [(Epoch, Lsn); LOG_MAX],
}

impl Lineage {
    /// Appends a start, if there is room.
    pub fn push(&mut self, epoch: Epoch, first: Lsn) {
        if let Some(place) = self.starts.get_mut(usize::from(self.len)) {
            *place = (epoch, first);
            self.len += 1;
        }
    }

    /// The starts, oldest first.
    #[must_use]
    pub fn starts(&self) -> &[(Epoch, Lsn)] {
        &self.starts[..usize::from(self.len)]
    }

    /// The last start.
    #[must_use]
    pub fn last(&self) -> Option<(Epoch, Lsn)> {
        self.starts().last().copied()
    }

    /// The epoch that it names for a position; nothing before its first start.
    #[must_use]
    pub fn epoch_at(&self, lsn: Lsn) -> Option<Epoch> {
        self.starts()
            .iter()
            .rev()
            .find(|(_, first)| *first <= lsn)
            .map(|(epoch, _)| *epoch)
    }

    /// Whether it reaches back to the first position.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.starts().first().is_some_and(|(_, first)| *first == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::Log;

    #[test]
    fn logs_are_alike_up_to_the_first_entry_of_another_epoch() {
        assert_eq!(Log::of(&[1, 1, 2]).alike(&Log::of(&[1, 1, 3])), 2);
        assert_eq!(Log::of(&[1, 1]).alike(&Log::of(&[1, 1, 3])), 2);
        assert_eq!(Log::of(&[]).alike(&Log::of(&[1])), 0);
    }

    #[test]
    fn f30_a_stream_of_entries_never_replaces_what_is_there() {
        let mut replica = Log::of(&[1, 1]);
        replica.extend_from(&Log::of(&[1, 2, 2]), 3);
        assert_eq!(replica.entries(), [1, 1, 2]);
    }

    #[test]
    fn a_lineage_names_where_epochs_begin_and_forgets_the_oldest() {
        let log = Log::of(&[1, 1, 2]);
        assert_eq!(log.lineage(0).starts(), [(1, 1), (2, 3)]);
        assert_eq!(log.lineage(1).starts(), [(2, 3)]);
        assert_eq!(log.lineage(1).epoch_at(2), None);
        assert!(!log.lineage(1).is_whole());
    }

    #[test]
    fn all_logs_are_those_whose_epochs_never_go_back() {
        assert_eq!(Log::all(2, 1..=2).len(), 1 + 2 + 3);
        assert_eq!(Log::all(3, 1..=3).len(), 1 + 3 + 6 + 10);
    }
}
