//! How a replica can be recovered: one total function of the replica's report, the primary's
//! history and what the replica once acknowledged (T2, T3, T4; protocol section 4).
//!
//! The first row that holds decides:
//!
//! | | condition | outcome |
//! | --- | --- | --- |
//! | 1 | no volume there | needs rebuild: `no_volume` |
//! | 2 | `durable < extent_bound` | needs rebuild: `untrusted_base` |
//! | 3 | `durable < acknowledged` | needs rebuild: `lost_acknowledged` |
//! | 4 | `common` cannot be found | needs rebuild: `lineage_exhausted` |
//! | 5 | `durable > common` and `extent_bound > common` | needs rebuild: `divergent_extent` |
//! | 6 | `from < head` and the log after `from` is not retained | needs rebuild: `gap_beyond_retention` |
//! | 7 | `from >= target` | zero gap |
//! | 8 | otherwise | catch-up over `(from, target]` |
//!
//! ```text
//! replica   1 ............ common ....... durable      beyond common: cut, if nothing of it
//! primary   1 ............ common ... target ... head  can be in the extent
//!                             |
//!                             from = min(durable, common)
//! ```
//!
//! That the rows are total, and that none of them is idle, is proven by
//! `tests::every_row_decides_somewhere_alone`; that they are right, by a comparison with logs that
//! are looked at entry by entry (`tests::t2_*`, `tests::t9_*`).

use std::fmt;

use holdfast_types::{BaseState, Lsn, ReplicaFacts, RetainedHistory};

use crate::RebuildReason;
use crate::common_position::common_position;
use crate::rebuild_source::replayable_from;

/// What a replica is short of, and what it has too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gap {
    /// The replica's position after the truncation, if there is one.
    pub from: Lsn,
    /// The frozen target (T1).
    pub target: Lsn,
    /// Where a divergent tail is to be cut before anything else (T9).
    pub truncate_to: Option<Lsn>,
}

/// How a replica can be recovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Classification {
    /// Only by a rebuild.
    NeedsRebuild(RebuildReason),
    /// It lacks nothing up to the target. Not yet in sync: a barrier has to prove it.
    ZeroGap(Gap),
    /// By replay of `(from, target]`.
    CatchUp(Gap),
}

/// A classification together with the facts that it follows from. It can only be made by
/// [`classify`], so whoever holds one holds a decision that was really taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecoverabilityProof {
    verdict: Classification,
    replica: Option<BaseState>,
    acknowledged: Option<Lsn>,
    common: Option<Lsn>,
    head: Lsn,
    committed: Lsn,
    epoch_start: Option<Lsn>,
    retained_from: Option<Lsn>,
}

/// Classifies a replica. `facts` are `None` when it holds no such volume; `acknowledged` is the
/// highest durable position that it acknowledged and did not give up since.
#[must_use]
pub fn classify(
    facts: Option<&ReplicaFacts>,
    history: &RetainedHistory,
    acknowledged: Option<Lsn>,
) -> RecoverabilityProof {
    let common = facts.and_then(|facts| {
        common_position(
            &history.lineage,
            history.head,
            &facts.lineage,
            facts.base.durable,
        )
    });
    let replica = facts.map(|facts| facts.base);
    RecoverabilityProof {
        verdict: decide(replica, common, history, acknowledged),
        replica,
        acknowledged,
        common,
        head: history.head,
        committed: history.committed,
        epoch_start: history.epoch_start,
        retained_from: history.retained_from,
    }
}

/// The greater of `committed` and the epoch-start entry, never `head` (T1, F65).
#[must_use]
pub fn frozen_target(history: &RetainedHistory) -> Lsn {
    history
        .epoch_start
        .map_or(history.committed, |start| history.committed.max(start))
}

/// The decision table, row by row.
fn decide(
    replica: Option<BaseState>,
    common: Option<Lsn>,
    history: &RetainedHistory,
    acknowledged: Option<Lsn>,
) -> Classification {
    use Classification::{CatchUp, NeedsRebuild, ZeroGap};
    let Some(replica) = replica else {
        return NeedsRebuild(RebuildReason::NoVolume);
    };
    if !replica.is_trusted() {
        return NeedsRebuild(RebuildReason::UntrustedBase);
    }
    if acknowledged.is_some_and(|acknowledged| replica.durable < acknowledged) {
        return NeedsRebuild(RebuildReason::LostAcknowledged);
    }
    let Some(common) = common else {
        return NeedsRebuild(RebuildReason::LineageExhausted);
    };
    let diverges = replica.durable > common;
    if diverges && replica.extent_bound > common {
        return NeedsRebuild(RebuildReason::DivergentExtent);
    }
    let gap = Gap {
        from: replica.durable.min(common),
        target: frozen_target(history),
        truncate_to: diverges.then_some(common),
    };
    if gap.from < history.head && !replayable_from(history, gap.from) {
        return NeedsRebuild(RebuildReason::GapBeyondRetention);
    }
    if gap.from >= gap.target {
        return ZeroGap(gap);
    }
    CatchUp(gap)
}

impl RecoverabilityProof {
    /// The decision.
    #[must_use]
    pub const fn verdict(&self) -> Classification {
        self.verdict
    }

    /// The replica's positions, as its report had them; `None`: it holds no such volume.
    #[must_use]
    pub const fn replica(&self) -> Option<BaseState> {
        self.replica
    }

    /// What the replica had acknowledged before.
    #[must_use]
    pub const fn acknowledged(&self) -> Option<Lsn> {
        self.acknowledged
    }

    /// The last position that both logs share, if it can be found.
    #[must_use]
    pub const fn common(&self) -> Option<Lsn> {
        self.common
    }

    /// The primary's head at the decision.
    #[must_use]
    pub const fn head(&self) -> Lsn {
        self.head
    }

    /// The oldest position that the primary's log could be replayed from, at the decision.
    #[must_use]
    pub const fn retained_from(&self) -> Option<Lsn> {
        self.retained_from
    }
}

/// An optional position, for people.
struct Position(Option<Lsn>);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(lsn) => lsn.fmt(f),
            None => f.write_str("unknown"),
        }
    }
}

impl fmt::Display for RecoverabilityProof {
    /// One line that says what was decided and from which facts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.verdict {
            Classification::NeedsRebuild(reason) => write!(f, "needs rebuild, {reason}")?,
            Classification::ZeroGap(gap) => write!(f, "zero gap at {}", gap.from)?,
            Classification::CatchUp(gap) => {
                write!(f, "catch-up over ({}, {}]", gap.from, gap.target)?
            }
        }
        match self.verdict {
            Classification::ZeroGap(Gap {
                truncate_to: Some(to),
                ..
            })
            | Classification::CatchUp(Gap {
                truncate_to: Some(to),
                ..
            }) => write!(f, " after truncation to {to}")?,
            Classification::NeedsRebuild(_)
            | Classification::ZeroGap(_)
            | Classification::CatchUp(_) => {}
        }
        match self.replica {
            Some(base) => write!(
                f,
                " (replica: checkpoint {}, extent bound {}, durable {}, acknowledged {}, common {}",
                base.checkpoint,
                base.extent_bound,
                base.durable,
                Position(self.acknowledged),
                Position(self.common),
            )?,
            None => f.write_str(" (replica: no such volume")?,
        }
        write!(
            f,
            "; primary: head {}, committed {}, epoch start {}, retained from {})",
            self.head,
            self.committed,
            Position(self.epoch_start),
            Position(self.retained_from),
        )
    }
}

#[cfg(test)]
mod tests;
