//! Payloads of the newest entries, kept in memory for shippers, readers and write-back: bounded
//! in bytes, the oldest forgotten first. The log on the disk has them all.

use std::collections::VecDeque;

use bytes::Bytes;
use holdfast_types::Lsn;

/// What an entry costs beside its payload.
const OVERHEAD: u64 = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct Recent {
    /// The LSN of the first payload.
    first: Lsn,
    payloads: VecDeque<Bytes>,
    bytes: u64,
    max_bytes: u64,
}

impl Recent {
    /// Empty, for a log that ends at `head`.
    pub(crate) fn new(head: Lsn, max_bytes: u64) -> Self {
        Self {
            first: head.next(),
            payloads: VecDeque::new(),
            bytes: 0,
            max_bytes,
        }
    }

    /// Takes the payload of the next entry.
    pub(crate) fn push(&mut self, payload: Bytes) {
        self.bytes += payload.len() as u64 + OVERHEAD;
        self.payloads.push_back(payload);
        while self.bytes > self.max_bytes {
            let Some(oldest) = self.payloads.pop_front() else {
                break;
            };
            self.bytes -= oldest.len() as u64 + OVERHEAD;
            self.first = self.first.next();
        }
    }

    /// The payload of an entry, if it is still here.
    pub(crate) fn get(&self, lsn: Lsn) -> Option<&Bytes> {
        let index = lsn.0.checked_sub(self.first.0)?;
        self.payloads.get(index as usize)
    }

    /// Forgets everything: the log ends at `head` now.
    pub(crate) fn reset(&mut self, head: Lsn) {
        *self = Self::new(head, self.max_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_payloads_are_forgotten_first() {
        let mut recent = Recent::new(Lsn(4), 2 * (10 + OVERHEAD));
        for byte in 5..8 {
            recent.push(Bytes::from(vec![byte; 10]));
        }
        assert_eq!(recent.get(Lsn(5)), None);
        assert_eq!(recent.get(Lsn(6)).unwrap()[0], 6);
        assert_eq!(recent.get(Lsn(7)).unwrap()[0], 7);
        assert_eq!(recent.get(Lsn(8)), None);
        recent.reset(Lsn(9));
        assert_eq!(recent.get(Lsn(7)), None);
    }
}
