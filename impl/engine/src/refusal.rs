//! Why a call was refused. A refused call has changed nothing at all (T7, F67).
//!
//! Names are those of `docs/session.md`; each variant carries the fact that the caller would ask
//! for next.

use std::fmt;

use holdfast_types::{EndpointVersion, Epoch, Lsn, Revision, SessionId};

use crate::PhaseName;

/// The one condition that a call did not meet: the first, in the order of the prose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No such volume here.
    UnknownVolume,
    /// No such volume here, or no sender for the replica.
    UnknownSender,
    /// The epoch is not the volume's (or, for a fence, not above it).
    StaleEpoch {
        /// The volume's.
        current: Epoch,
    },
    /// The endpoint version is not the sender's.
    StaleEndpoint {
        /// The sender's.
        current: EndpointVersion,
    },
    /// The session is not the sender's present one.
    StaleSession {
        /// The present one, if any.
        current: Option<SessionId>,
    },
    /// The assignment is older than the one in force.
    StaleAssignment {
        /// The volume's epoch and revision.
        current: (Epoch, Revision),
    },
    /// Another assignment of the same epoch and revision is in force.
    ConflictingAssignment,
    /// An endpoint version went back, or named two addresses.
    EndpointRegressed,
    /// A member would be rebuilt: it must leave the in-sync set first (F57).
    RebuildOfMember,
    /// No assignment of this epoch is in force.
    NotServing,
    /// The sender has a session.
    SessionActive {
        /// Its id.
        session: SessionId,
    },
    /// Only a rebuild can recover this replica (F70).
    RebuildRequired,
    /// The replica is in the in-sync set: it must leave before its store is lowered (F57).
    StillInSyncSet,
    /// The session is in a phase to which the call does not belong.
    WrongPhase {
        /// The phase it is in.
        phase: PhaseName,
    },
    /// The replica's facts contradict themselves.
    MalformedFacts,
    /// The primary's history contradicts itself.
    MalformedHistory,
    /// The replica has logged in a higher epoch: this node is deposed.
    ReplicaHasNewerEpoch {
        /// That epoch.
        epoch: Epoch,
    },
    /// The primary has not logged its epoch-start entry (F69).
    EpochStartMissing,
    /// The primary's own base is not trusted (F33, F69).
    PrimaryUntrusted,
    /// No such pin was requested, or it is held already.
    PinNotRequested,
    /// No such pin is held.
    PinNotHeld,
    /// No truncation is awaited.
    TruncationNotRequired,
    /// The replica cut its log elsewhere.
    TruncationMismatch {
        /// The position that was required.
        expected: Lsn,
    },
    /// The replica has not confirmed its truncation (T9).
    TruncationOutstanding,
    /// A pin is requested and not held (T10, F73).
    PinOutstanding,
    /// Less than was reported before.
    ProgressRegressed {
        /// The least that would be accepted: an LSN, or a number of chunks.
        at_least: u64,
    },
    /// More than the goal.
    BeyondTarget {
        /// The goal: an LSN, or a number of chunks.
        goal: u64,
    },
    /// The replica has not proven the goal (T2).
    NotConverged {
        /// The goal.
        goal: Lsn,
    },
    /// More than the primary itself holds.
    BeyondHead {
        /// The primary's head.
        head: Lsn,
    },
    /// The source of this rebuild is fixed (T11).
    SourceAlreadySelected,
    /// No source was selected.
    SourceNotSelected,
    /// Chunks are missing.
    TransferIncomplete,
    /// The replica installed another base than the planned one (T17).
    BaseMismatch,
}

impl Refusal {
    /// The name that the prose, the logs and the wire use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownVolume => "unknown_volume",
            Self::UnknownSender => "unknown_sender",
            Self::StaleEpoch { .. } => "stale_epoch",
            Self::StaleEndpoint { .. } => "stale_endpoint",
            Self::StaleSession { .. } => "stale_session",
            Self::StaleAssignment { .. } => "stale_assignment",
            Self::ConflictingAssignment => "conflicting_assignment",
            Self::EndpointRegressed => "endpoint_regressed",
            Self::RebuildOfMember => "rebuild_of_member",
            Self::NotServing => "not_serving",
            Self::SessionActive { .. } => "session_active",
            Self::RebuildRequired => "rebuild_required",
            Self::StillInSyncSet => "still_in_sync_set",
            Self::WrongPhase { .. } => "wrong_phase",
            Self::MalformedFacts => "malformed_facts",
            Self::MalformedHistory => "malformed_history",
            Self::ReplicaHasNewerEpoch { .. } => "replica_has_newer_epoch",
            Self::EpochStartMissing => "epoch_start_missing",
            Self::PrimaryUntrusted => "primary_untrusted",
            Self::PinNotRequested => "pin_not_requested",
            Self::PinNotHeld => "pin_not_held",
            Self::TruncationNotRequired => "truncation_not_required",
            Self::TruncationMismatch { .. } => "truncation_mismatch",
            Self::TruncationOutstanding => "truncation_outstanding",
            Self::PinOutstanding => "pin_outstanding",
            Self::ProgressRegressed { .. } => "progress_regressed",
            Self::BeyondTarget { .. } => "beyond_target",
            Self::NotConverged { .. } => "not_converged",
            Self::BeyondHead { .. } => "beyond_head",
            Self::SourceAlreadySelected => "source_already_selected",
            Self::SourceNotSelected => "source_not_selected",
            Self::TransferIncomplete => "transfer_incomplete",
            Self::BaseMismatch => "base_mismatch",
        }
    }

    /// Whether the caller's authority is at fault and not its evidence: the session, or the sender,
    /// that it speaks for is not the present one, and nothing it could say would be heard (T7).
    #[must_use]
    pub const fn is_stale(self) -> bool {
        match self {
            Self::UnknownVolume
            | Self::UnknownSender
            | Self::StaleEpoch { .. }
            | Self::StaleEndpoint { .. }
            | Self::StaleSession { .. }
            | Self::StaleAssignment { .. } => true,
            Self::ConflictingAssignment
            | Self::EndpointRegressed
            | Self::RebuildOfMember
            | Self::NotServing
            | Self::SessionActive { .. }
            | Self::RebuildRequired
            | Self::StillInSyncSet
            | Self::WrongPhase { .. }
            | Self::MalformedFacts
            | Self::MalformedHistory
            | Self::ReplicaHasNewerEpoch { .. }
            | Self::EpochStartMissing
            | Self::PrimaryUntrusted
            | Self::PinNotRequested
            | Self::PinNotHeld
            | Self::TruncationNotRequired
            | Self::TruncationMismatch { .. }
            | Self::TruncationOutstanding
            | Self::PinOutstanding
            | Self::ProgressRegressed { .. }
            | Self::BeyondTarget { .. }
            | Self::NotConverged { .. }
            | Self::BeyondHead { .. }
            | Self::SourceAlreadySelected
            | Self::SourceNotSelected
            | Self::TransferIncomplete
            | Self::BaseMismatch => false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::StaleEpoch { current } => write!(f, ": the volume is in epoch {current}"),
            Self::StaleEndpoint { current } => write!(f, ": the endpoint is at version {current}"),
            Self::StaleSession {
                current: Some(current),
            } => write!(f, ": the present session is {current}"),
            Self::StaleSession { current: None } => f.write_str(": there is no session"),
            Self::StaleAssignment {
                current: (epoch, revision),
            } => write!(f, ": epoch {epoch}, revision {revision} is in force"),
            Self::SessionActive { session } => write!(f, ": session {session}"),
            Self::WrongPhase { phase } => write!(f, ": the session is in {phase}"),
            Self::ReplicaHasNewerEpoch { epoch } => write!(f, ": epoch {epoch}"),
            Self::TruncationMismatch { expected } => write!(f, ": expected {expected}"),
            Self::ProgressRegressed { at_least } => write!(f, ": at least {at_least}"),
            Self::BeyondTarget { goal } => write!(f, ": the goal is {goal}"),
            Self::NotConverged { goal } => write!(f, ": the goal is {goal}"),
            Self::BeyondHead { head } => write!(f, ": the head is {head}"),
            Self::UnknownVolume
            | Self::UnknownSender
            | Self::ConflictingAssignment
            | Self::EndpointRegressed
            | Self::RebuildOfMember
            | Self::NotServing
            | Self::RebuildRequired
            | Self::StillInSyncSet
            | Self::MalformedFacts
            | Self::MalformedHistory
            | Self::EpochStartMissing
            | Self::PrimaryUntrusted
            | Self::PinNotRequested
            | Self::PinNotHeld
            | Self::TruncationNotRequired
            | Self::TruncationOutstanding
            | Self::PinOutstanding
            | Self::SourceAlreadySelected
            | Self::SourceNotSelected
            | Self::TransferIncomplete
            | Self::BaseMismatch => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}
