//! The rules that can be broken.
//!
//! The specification asks [`Rules::keeps`] wherever a rule of the protocol is applied, so that a
//! mutation breaks exactly one rule at the place where it is stated. The product has no such
//! switches; this is how the model shows that its properties can fall.

use super::conjuncts::Conjunct;

/// A rule of the protocol that a mutation replaces. Each variant says what is done instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each is told by its mutant (`mutants.rs`)
pub enum Broken {
    // Classification.
    EqualLsnIsEqualHistory,
    DivergenceIgnored,
    UntrustedBaseAccepted,
    LostAcknowledgedIgnored,
    ExhaustedLineageIsEqual,
    DivergentExtentAccepted,
    GapIgnored,
    NothingRetainedIsEverything,
    TargetIsHead,
    TruncateToCommitted,
    EntriesUnbounded,
    // Sessions.
    InSyncSurvivesEndpointChange,
    InSyncSurvivesEpochChange,
    InSyncSurvivesStop,
    SessionSurvivesEndpointChange,
    FailLeavesSession,
    PinsNotReleased,
    EscalationDegrades,
    ReasonSurvivesCompletion,
    NoBudget,
    PinLostIgnored,
    NoRetentionPin,
    PinNotHeldAgainstHistory,
    HandshakeCountsAsAck,
    AcknowledgedSurvivesTruncation,
    AcknowledgedSurvivesRebuild,
    AchievedIsTheGoal,
    SessionIdsBeginAnew,
    // Rebuild.
    GoalIsTarget,
    TailNotChecked,
    UntrustedSnapshotUsed,
    SourceReasonFixed,
    SplitMoves,
    ZeroChunksNeverInstalled,
    BasePinReleasedEarly,
    // Authority.
    StaleAssignmentRemoves,
    AssignmentStopsOthers,
    UnchangedAssignmentRecovers,
    NewerRevisionDropped,
}

/// Which rules are in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    broken: u64,
    dropped: Option<(&'static str, &'static str)>,
    given_up: Option<Conjunct>,
}

impl Rules {
    /// The protocol.
    #[must_use]
    pub const fn holdfast() -> Self {
        Self {
            broken: 0,
            dropped: None,
            given_up: None,
        }
    }

    /// The rules of the system that this protocol descends from: recovery decided by LSN alone
    /// (zero gap iff flushed equals committed, ahead means truncate to committed), what was
    /// logged counted as committed, no trust in a base asked for or kept, no lineage, a tail of 0
    /// read as "everything is retained", a replica compared with whatever primary there is, and
    /// `in_sync` kept when the session had already ended.
    #[must_use]
    pub fn seed() -> Self {
        [
            Broken::EqualLsnIsEqualHistory,
            Broken::UntrustedBaseAccepted,
            Broken::LostAcknowledgedIgnored,
            Broken::DivergentExtentAccepted,
            Broken::NothingRetainedIsEverything,
            Broken::TargetIsHead,
            Broken::TruncateToCommitted,
            Broken::InSyncSurvivesEndpointChange,
            Broken::InSyncSurvivesEpochChange,
            Broken::InSyncSurvivesStop,
        ]
        .into_iter()
        .fold(Self::holdfast(), Self::breaking)
    }

    /// These rules, with one more broken.
    #[must_use]
    pub const fn breaking(mut self, rule: Broken) -> Self {
        self.broken |= 1 << rule as u64;
        self
    }

    /// These rules, with one guard of one call dropped (`*`: of every call).
    #[must_use]
    pub const fn without_guard(mut self, call: &'static str, reason: &'static str) -> Self {
        self.dropped = Some((call, reason));
        self
    }

    /// These rules, with one condition of one guard given up.
    #[must_use]
    pub const fn without(mut self, conjunct: Conjunct) -> Self {
        self.given_up = Some(conjunct);
        self
    }

    /// Whether a rule is in force.
    #[must_use]
    pub const fn keeps(&self, rule: Broken) -> bool {
        self.broken & (1 << rule as u64) == 0
    }

    /// Whether a condition was given up.
    #[must_use]
    pub fn gives_up(&self, conjunct: Conjunct) -> bool {
        self.given_up == Some(conjunct)
    }

    /// Whether any guard was dropped.
    #[must_use]
    pub const fn drops_any(&self) -> bool {
        self.dropped.is_some()
    }

    /// Whether a guard was dropped.
    #[must_use]
    pub fn drops(&self, call: &str, reason: &str) -> bool {
        self.dropped
            .is_some_and(|(c, r)| (c == call || c == "*") && r == reason)
    }

    /// Whether these are the seed system's.
    #[must_use]
    pub fn is_seed(&self) -> bool {
        self.broken == Self::seed().broken
    }
}
