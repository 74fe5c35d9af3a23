//! How fast clients may log while a base is being sent: so that the log which is pinned for it never
//! outgrows its pin, and a rebuild ends under any load (F43).
//!
//! ```text
//!   logged since the split <= pin / 8  +  pin * 3/8 * (chunks installed / chunks in all)
//! ```
//!
//! The rest of the pin is for what had been logged and not written back when the copy began. So
//! writers go at the pace of the transfer at the slowest, and are not held at all by one that keeps up
//! with them. A transfer that stalls ends its session, and with it the pace.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_types::ReplicaId;

use super::Primary;

/// One base that is being sent.
#[derive(Debug)]
struct Transfer {
    began_at: u64,
    pin_bytes: u64,
    chunks_done: u64,
    chunks_total: u64,
}

impl Transfer {
    fn allowed(&self) -> u64 {
        let share = u128::from(self.pin_bytes / 8 * 3) * u128::from(self.chunks_done)
            / u128::from(self.chunks_total.max(1));
        self.pin_bytes / 8 + u64::try_from(share).unwrap_or(u64::MAX)
    }
}

/// What was logged, and the bases under way.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    logged: u64,
    transfers: BTreeMap<ReplicaId, Transfer>,
}

impl Pacer {
    /// An entry of so many bytes was logged.
    pub(super) fn logged(&mut self, bytes: u64) {
        self.logged += bytes;
    }

    /// Whether the next entry must wait for a transfer.
    pub(super) fn must_wait(&self) -> bool {
        let behind = |transfer: &Transfer| self.logged - transfer.began_at > transfer.allowed();
        self.transfers.values().any(behind)
    }

    fn began(&mut self, replica: ReplicaId, pin_bytes: u64, chunks_total: u64) {
        let transfer = Transfer {
            began_at: self.logged,
            pin_bytes,
            chunks_done: 0,
            chunks_total,
        };
        self.transfers.insert(replica, transfer);
    }

    fn installed(&mut self, replica: &ReplicaId, chunks_done: u64) {
        if let Some(transfer) = self.transfers.get_mut(replica) {
            transfer.chunks_done = transfer.chunks_done.max(chunks_done);
        }
    }

    fn ended(&mut self, replica: &ReplicaId) {
        self.transfers.remove(replica);
    }
}

/// The pace of one transfer; writers are free of it when this is dropped.
pub(super) struct Pace {
    primary: Arc<Primary>,
    replica: ReplicaId,
}

impl Pace {
    /// A transfer to `replica` begins, with a pin of so many bytes.
    pub(super) fn begin(
        primary: &Arc<Primary>,
        replica: ReplicaId,
        pin_bytes: u64,
        chunks_total: u64,
    ) -> Self {
        primary.pace(|pacer| pacer.began(replica.clone(), pin_bytes, chunks_total));
        Self {
            primary: Arc::clone(primary),
            replica,
        }
    }

    /// So many chunks are installed.
    pub(super) fn installed(&self, chunks_done: u64) {
        self.primary
            .pace(|pacer| pacer.installed(&self.replica, chunks_done));
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.primary.pace(|pacer| pacer.ended(&self.replica));
    }
}

#[cfg(test)]
mod tests {
    use holdfast_types::ReplicaId;

    use super::Pacer;

    #[test]
    fn f43_writers_go_at_the_pace_of_the_slowest_transfer_and_no_slower() {
        let replica = |name: &str| ReplicaId::new(name).unwrap();
        let mut pacer = Pacer::default();
        pacer.logged(1_000_000);
        assert!(!pacer.must_wait(), "nothing is being sent");
        pacer.began(replica("b"), 800, 4);
        pacer.began(replica("c"), 8000, 4);
        pacer.logged(100);
        assert!(!pacer.must_wait());
        pacer.logged(1);
        assert!(pacer.must_wait(), "an eighth of the pin is used up");
        pacer.installed(&replica("b"), 2);
        pacer.logged(149);
        assert!(!pacer.must_wait());
        pacer.logged(1);
        assert!(pacer.must_wait());
        pacer.installed(&replica("b"), 4);
        pacer.logged(149);
        assert!(
            !pacer.must_wait(),
            "half of the pin, with every chunk installed"
        );
        pacer.logged(1);
        assert!(pacer.must_wait());
        pacer.ended(&replica("b"));
        assert!(!pacer.must_wait());
    }
}
