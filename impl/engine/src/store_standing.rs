//! Which stores count: whose report is classified, and whose content is needed before it is
//! overwritten. The identity of a store and the reason of a rebuild decide it, nothing else; both
//! are pure functions, and the node only carries them out (T14).
//!
//! Rule: `docs/session.md`, section 7, *which stores count*.

use holdfast_types::{Lsn, ReplicaFacts, StoreId};

use crate::RebuildReason;
use crate::cause::named;

/// What a store that answers is to the authority's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StoreStanding {
    /// The recorded store.
    Recorded,
    /// Another store under the name of a member: the recorded one leaves the in-sync set before
    /// anything else, so this counts as no store at all.
    Replaced,
    /// Another store under a name that is not in the in-sync set, and empty: by the arithmetic of
    /// positions it is trusted, but it is nobody's copy, so it counts as no store. So is one of which
    /// the authority was told to forget everything, until it holds an entry of the epoch of that
    /// recovery: its log may bear an epoch that was minted twice (F85).
    Newcomer,
    /// Another store under such a name, on which something was built up already: by a rebuild of
    /// this volume that has not joined yet. Its report counts; its identity is recorded when it joins.
    Rebuilt,
}

named!(StoreStanding {
    Recorded => "recorded",
    Replaced => "replaced",
    Newcomer => "newcomer",
    Rebuilt => "rebuilt",
});

impl StoreStanding {
    /// The standing of the store that reports `facts`, under a name for which `recorded` is
    /// recorded and which is in the in-sync set or not.
    #[must_use]
    pub fn of(facts: &ReplicaFacts, recorded: Option<StoreId>, is_member: bool) -> Self {
        if recorded == Some(facts.store) {
            Self::Recorded
        } else if is_member {
            Self::Replaced
        } else if facts.base.durable == Lsn::ZERO || is_forgotten(facts, recorded) {
            Self::Newcomer
        } else {
            Self::Rebuilt
        }
    }

    /// Whether the report is classified; else the replica counts as holding no such volume.
    #[must_use]
    pub const fn counts(self) -> bool {
        match self {
            Self::Recorded | Self::Rebuilt => true,
            Self::Replaced | Self::Newcomer => false,
        }
    }
}

/// Whether the record forgot this copy, and nothing of the time since then has reached it.
fn is_forgotten(facts: &ReplicaFacts, recorded: Option<StoreId>) -> bool {
    let since = recorded.and_then(StoreId::forgotten_since);
    let last = facts.lineage.epoch_at(facts.base.durable);
    since.is_some_and(|since| last.is_none_or(|last| last < since))
}

impl RebuildReason {
    /// Whether the store that is to be rebuilt may hold a copy that counts, recorded and trusted: it
    /// is overwritten only while everything acknowledged is durable on enough other copies. One that
    /// holds no volume, no trusted image, or less than it acknowledged, holds none, and waiting for
    /// others could be waiting for ever.
    #[must_use]
    pub const fn may_hold_a_copy(self) -> bool {
        match self {
            Self::NoVolume | Self::UntrustedBase | Self::LostAcknowledged => false,
            Self::LineageExhausted
            | Self::DivergentExtent
            | Self::GapBeyondRetention
            | Self::RetentionLost
            | Self::TruncationUnsafe
            | Self::BudgetDuration
            | Self::BudgetEntries
            | Self::BudgetStall
            | Self::BudgetBytes
            | Self::Ordered => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use holdfast_types::{BaseState, Epoch, Lineage, LineageEntry, Lsn, ReplicaFacts, StoreId};
    use uuid::Uuid;

    use super::StoreStanding;
    use crate::RebuildReason;

    /// The identity of a store: never one with an empty upper half, which tells of a copy forgotten.
    fn store(number: u64) -> StoreId {
        StoreId(Uuid::from_u64_pair(u64::MAX, number))
    }

    fn facts(number: u64, durable: u64) -> ReplicaFacts {
        ReplicaFacts {
            store: store(number),
            base: BaseState {
                checkpoint: Lsn(0),
                extent_bound: Lsn(0),
                durable: Lsn(durable),
            },
            lineage: Lineage::default(),
        }
    }

    #[test]
    fn f58_a_store_that_is_not_the_recorded_one_never_counts_for_a_member() {
        for durable in [0, 9] {
            let recorded = Some(store(1));
            let own = StoreStanding::of(&facts(1, durable), recorded, true);
            assert_eq!((own, own.counts()), (StoreStanding::Recorded, true));
            let other = StoreStanding::of(&facts(2, durable), recorded, true);
            assert_eq!((other, other.counts()), (StoreStanding::Replaced, false));
            let unknown = StoreStanding::of(&facts(2, durable), None, true);
            assert!(!unknown.counts());
        }
    }

    #[test]
    fn f58_outside_the_set_an_empty_newcomer_is_rebuilt_and_a_rebuilt_one_goes_on() {
        let recorded = Some(store(1));
        let empty = StoreStanding::of(&facts(2, 0), recorded, false);
        assert_eq!((empty, empty.counts()), (StoreStanding::Newcomer, false));
        let built = StoreStanding::of(&facts(2, 9), recorded, false);
        assert_eq!((built, built.counts()), (StoreStanding::Rebuilt, true));
        let own = StoreStanding::of(&facts(1, 0), recorded, false);
        assert!(own.counts(), "an empty log of a fresh volume is a log");
    }

    #[test]
    fn f85_a_copy_that_was_forgotten_counts_once_it_holds_an_entry_of_the_recovery() {
        let recorded = Some(StoreId::forgotten_in(Epoch(7)));
        let ending_in = |epoch| {
            let entries = [(1, 1), (epoch, 5)].map(|(epoch, first)| LineageEntry {
                epoch: Epoch(epoch),
                first: Lsn(first),
            });
            let facts = ReplicaFacts {
                lineage: Lineage::new(entries.to_vec()).unwrap(),
                ..facts(2, 9)
            };
            StoreStanding::of(&facts, recorded, false)
        };
        assert_eq!(
            ending_in(6),
            StoreStanding::Newcomer,
            "minted twice, for all anyone knows"
        );
        assert_eq!(ending_in(7), StoreStanding::Rebuilt);
        assert_eq!(ending_in(8), StoreStanding::Rebuilt);
        let unknown = StoreStanding::of(&facts(2, 9), recorded, false);
        assert!(
            !unknown.counts(),
            "a lineage that says nothing vouches for nothing"
        );
        assert_eq!(StoreId::random().forgotten_since(), None);
    }

    #[test]
    fn f57_what_holds_no_copy_is_not_waited_for() {
        let none = [
            RebuildReason::NoVolume,
            RebuildReason::UntrustedBase,
            RebuildReason::LostAcknowledged,
        ];
        for &reason in RebuildReason::ALL {
            assert_eq!(
                reason.may_hold_a_copy(),
                !none.contains(&reason),
                "{reason}"
            );
        }
    }
}
