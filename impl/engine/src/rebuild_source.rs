//! Where a rebuild's base image comes from: explicit, causal, explainable (T11).

use holdfast_types::{Lsn, RetainedHistory};

use crate::cause::named;
use crate::classification::frozen_target;

/// The kind of a base image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RebuildSource {
    /// A copy-on-write image of exactly one position, and the log after it.
    SnapshotTail,
    /// The live extent, copied while it is written, and the log from the split on.
    FullBase,
}

named!(RebuildSource {
    SnapshotTail => "snapshot_tail",
    FullBase => "full_base",
});

/// Why that source. The reason implies the source, so the two cannot disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceReason {
    /// A trusted snapshot, and the log after it is retained.
    TrustedSnapshot,
    /// A trusted snapshot, but the log after it is gone.
    UnreplayableTail,
    /// A snapshot whose content is not proven.
    UntrustedSnapshot,
    /// No snapshot.
    NoSnapshot,
}

named!(SourceReason {
    TrustedSnapshot => "trusted_snapshot",
    UnreplayableTail => "unreplayable_tail",
    UntrustedSnapshot => "untrusted_snapshot",
    NoSnapshot => "no_snapshot",
});

impl SourceReason {
    /// The source that this is a reason for.
    #[must_use]
    pub const fn source(self) -> RebuildSource {
        match self {
            Self::TrustedSnapshot => RebuildSource::SnapshotTail,
            Self::UnreplayableTail | Self::UntrustedSnapshot | Self::NoSnapshot => {
                RebuildSource::FullBase
            }
        }
    }
}

/// What a rebuild is bound to from its decision on; nothing of it ever moves (T5, T16, T17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RebuildDecision {
    /// Why this source.
    pub source_reason: SourceReason,
    /// The split: the base holds everything up to it, replay begins after it.
    pub base_lsn: Lsn,
    /// The frozen target: the greater of `committed` and the epoch-start entry (T1).
    pub target: Lsn,
}

impl RebuildDecision {
    /// The source.
    #[must_use]
    pub const fn source(&self) -> RebuildSource {
        self.source_reason.source()
    }
}

/// Decides the source from the primary's own history, never from the stale replica's (F64).
///
/// | snapshot | `retained_from` | source | reason | `base_lsn` |
/// | --- | --- | --- | --- | --- |
/// | trusted | present, not beyond the snapshot | snapshot and tail | `trusted_snapshot` | the snapshot's |
/// | trusted | otherwise | full base | `unreplayable_tail` | the checkpoint |
/// | not trusted | any | full base | `untrusted_snapshot` | the checkpoint |
/// | none | any | full base | `no_snapshot` | the checkpoint |
#[must_use]
pub fn decide_rebuild_source(history: &RetainedHistory) -> RebuildDecision {
    let checkpoint = history.base.checkpoint;
    let (source_reason, base_lsn) = match history.snapshot {
        None => (SourceReason::NoSnapshot, checkpoint),
        Some(snapshot) if !snapshot.trusted => (SourceReason::UntrustedSnapshot, checkpoint),
        Some(snapshot) if replayable_from(history, snapshot.base_lsn) => {
            (SourceReason::TrustedSnapshot, snapshot.base_lsn)
        }
        Some(_) => (SourceReason::UnreplayableTail, checkpoint),
    };
    RebuildDecision {
        source_reason,
        base_lsn,
        target: frozen_target(history),
    }
}

/// Whether the retained log holds every entry after `position`. Absent is absent: there is no
/// number that stands for it (F66).
#[must_use]
pub fn replayable_from(history: &RetainedHistory, position: Lsn) -> bool {
    history.retained_from.is_some_and(|from| from <= position)
}
