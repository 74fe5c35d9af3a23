//! How much of the log is not yet committed: bounded, so that neither this log nor a member's can be
//! full of entries that nobody may write back (F23, F96).
//!
//! Rule: `docs/protocol.md`, section 2: the uncommitted log is bounded below the smallest member's
//! capacity. The logs of a volume are made of one size; where a copy says in its hello-ack that its
//! log is smaller, that one counts, for the rest of this incarnation.

use std::collections::VecDeque;

use holdfast_blockvol::max_entry_blocks;
use holdfast_types::Lsn;

/// What an entry takes in the log beside its payload, at most, in bytes.
const ENTRY_OVERHEAD: u64 = 512;

/// Entries that were logged in this incarnation and are not yet committed.
#[derive(Debug)]
pub(super) struct Uncommitted {
    entries: VecDeque<(Lsn, u64)>,
    bytes: u64,
    /// Beyond this a barrier is asked for unasked.
    settle_beyond: u64,
    /// At this nothing more is logged before something is committed.
    bytes_max: u64,
}

/// What the present amount asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pressure {
    /// Nothing.
    None,
    /// A barrier, so that the log can be reclaimed although no client flushes.
    Settle,
    /// A barrier, and that nothing is logged before it is answered.
    Hold,
}

impl Uncommitted {
    /// None yet, in a log of so many bytes.
    pub(super) const fn new(log_bytes: u64) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            settle_beyond: log_bytes / 16,
            bytes_max: log_bytes / 4,
        }
    }

    /// A copy has a log of so many bytes: what was logged stays, the bound never grows again.
    pub(super) fn bound_by(&mut self, log_bytes: u64) {
        self.settle_beyond = self.settle_beyond.min(log_bytes / 16);
        self.bytes_max = self.bytes_max.min(log_bytes / 4);
    }

    /// The largest entry that every copy takes, in blocks.
    pub(super) fn max_entry_blocks(&self) -> u64 {
        max_entry_blocks(self.bytes_max.saturating_mul(4))
    }

    /// An entry was logged.
    pub(super) fn logged(&mut self, lsn: Lsn, payload_bytes: u64) {
        let bytes = payload_bytes + ENTRY_OVERHEAD;
        // Two writers may come here in another order than they were logged in; what is counted
        // is the same.
        self.entries.push_back((lsn, bytes));
        self.bytes += bytes;
    }

    /// Everything up to `lsn` is committed.
    pub(super) fn committed(&mut self, lsn: Lsn) {
        while let Some((first, bytes)) = self.entries.front().copied() {
            if first > lsn {
                break;
            }
            self.entries.pop_front();
            self.bytes -= bytes;
        }
    }

    /// What the amount asks for before another entry is logged.
    pub(super) fn pressure(&self) -> Pressure {
        if self.bytes >= self.bytes_max {
            Pressure::Hold
        } else if self.bytes > self.settle_beyond {
            Pressure::Settle
        } else {
            Pressure::None
        }
    }
}

#[cfg(test)]
mod tests {
    use holdfast_types::Lsn;

    use super::{ENTRY_OVERHEAD, Pressure, Uncommitted};

    #[test]
    fn f96_an_entry_fits_into_the_smallest_log_of_all_copies() {
        let mut log = Uncommitted::new(64 << 20);
        assert_eq!(log.max_entry_blocks(), 1024);
        log.bound_by(1 << 20);
        assert_eq!(log.max_entry_blocks(), 32);
        log.bound_by(64 << 20);
        assert_eq!(log.max_entry_blocks(), 32);
    }

    #[test]
    fn f96_the_uncommitted_log_is_bounded_and_asks_for_its_own_barrier_before() {
        let entry = 4096 + ENTRY_OVERHEAD;
        let mut log = Uncommitted::new(16 * 4 * entry);
        let mut seen = Vec::new();
        for lsn in 1..=16 {
            seen.push(log.pressure());
            log.logged(Lsn(lsn), 4096);
        }
        assert_eq!(&seen[..5], &[Pressure::None; 5]);
        assert_eq!(&seen[5..], &[Pressure::Settle; 11]);
        assert_eq!(log.pressure(), Pressure::Hold);
        log.committed(Lsn(1));
        assert_eq!(log.pressure(), Pressure::Settle);
        log.bound_by(8 * entry);
        assert_eq!(log.pressure(), Pressure::Hold, "a smaller log has come");
        log.bound_by(1 << 40);
        assert_eq!(
            log.pressure(),
            Pressure::Hold,
            "a larger one takes nothing back"
        );
        log.committed(Lsn(16));
        assert_eq!((log.pressure(), log.bytes), (Pressure::None, 0));
    }
}
