//! What happened, and why: every transition of a sender or a volume as one typed value.
//!
//! Events are outputs. The engine never reads them back; a node keeps the last of them
//! ([`crate::RecoveryLog`]) and writes them to its log.

use holdfast_types::{EndpointVersion, Epoch, Lsn, ReplicaId, Revision, SessionId, VolumeId};

use crate::{
    Classification, EndCause, PhaseName, PinSlot, RebuildDecision, RebuildReason,
    RecoverabilityProof, SenderState, SessionKind,
};

/// One transition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// The volume.
    pub volume: VolumeId,
    /// The epoch in which it happened: that of the session, where there is one.
    pub epoch: Epoch,
    /// The replica; `None` where the volume as a whole is meant.
    pub replica: Option<ReplicaId>,
    /// The session; `None` where none is concerned.
    pub session: Option<SessionId>,
    /// What happened.
    pub what: Happening,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Happening {
    /// An assignment came into force.
    Assigned {
        /// Its revision.
        revision: Revision,
    },
    /// A higher epoch was seen: this node is not the primary any more.
    Fenced,
    /// The node gave its role up.
    Stopped,
    /// A replica got its sender.
    SenderCreated,
    /// A sender is gone.
    SenderRemoved,
    /// The replica moved (T8: the sender stays).
    EndpointChanged {
        /// From this version.
        from: EndpointVersion,
        /// To this one.
        to: EndpointVersion,
    },
    /// The replica joined the in-sync set, or left it.
    MembershipChanged {
        /// Whether it is a member now.
        member: bool,
    },
    /// An intent to recover was not followed: only a rebuild helps.
    RebuildRequired {
        /// Why.
        reason: RebuildReason,
    },
    /// A session began.
    SessionAttached {
        /// Its kind.
        kind: SessionKind,
        /// For a rebuild: why it is needed.
        reason: Option<RebuildReason>,
    },
    /// The connection is being made.
    Connecting,
    /// The hello was sent.
    HelloSent,
    /// The replica was classified.
    Classified {
        /// The decision and its facts.
        proof: RecoverabilityProof,
    },
    /// A rebuild session has the replica's report and selects its source next.
    RebuildBegan,
    /// A pin is held.
    PinHeld {
        /// Which.
        slot: PinSlot,
    },
    /// The replica cut its log, durably.
    Truncated {
        /// To here.
        to: Lsn,
    },
    /// The source of a rebuild is fixed.
    SourceSelected {
        /// What was decided.
        decision: RebuildDecision,
    },
    /// The replica's base is marked untrusted; chunks follow.
    TransferBegan {
        /// How many.
        chunks_total: u64,
    },
    /// The replica switched to the new base.
    BaseInstalled {
        /// Where replay begins.
        base_lsn: Lsn,
        /// What replay has to reach.
        goal: Lsn,
    },
    /// The session completed: the sender is in sync.
    Completed {
        /// The position that a barrier of this session proved (T16).
        achieved: Lsn,
    },
    /// The session ended.
    SessionEnded {
        /// Its kind.
        kind: SessionKind,
        /// The phase that it was in.
        phase: PhaseName,
        /// Why.
        cause: EndCause,
        /// The sender's state afterwards.
        state: SenderState,
    },
    /// The authority's record is older than what this node made durable, or has read before: it was
    /// rolled back. The node refuses to act on it (protocol, section 7).
    AuthorityRolledBack {
        /// What is known: epoch and revision, the revision 0 where only the epoch is known.
        known: (Epoch, Revision),
        /// What the record says; `None`: there is no record any more.
        recorded: Option<(Epoch, Revision)>,
    },
}

impl Happening {
    /// A stable name for logs and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Assigned { .. } => "assigned",
            Self::Fenced => "fenced",
            Self::Stopped => "stopped",
            Self::SenderCreated => "sender_created",
            Self::SenderRemoved => "sender_removed",
            Self::EndpointChanged { .. } => "endpoint_changed",
            Self::MembershipChanged { .. } => "membership_changed",
            Self::RebuildRequired { .. } => "rebuild_required",
            Self::SessionAttached { .. } => "session_attached",
            Self::Connecting => "connecting",
            Self::HelloSent => "hello_sent",
            Self::Classified { .. } => "classified",
            Self::RebuildBegan => "rebuild_began",
            Self::PinHeld { .. } => "pin_held",
            Self::Truncated { .. } => "truncated",
            Self::SourceSelected { .. } => "source_selected",
            Self::TransferBegan { .. } => "transfer_began",
            Self::BaseInstalled { .. } => "base_installed",
            Self::Completed { .. } => "completed",
            Self::SessionEnded { .. } => "session_ended",
            Self::AuthorityRolledBack { .. } => "authority_rolled_back",
        }
    }

    /// Whether somebody has to look at it at once: a disk or an authority went back.
    #[must_use]
    pub const fn is_alarm(&self) -> bool {
        match self {
            Self::AuthorityRolledBack { .. } => true,
            Self::SessionEnded { cause, .. } => match cause {
                EndCause::Escalation(RebuildReason::LostAcknowledged) => true,
                EndCause::Escalation(_) | EndCause::Authority(_) | EndCause::Fault(_) => false,
            },
            Self::Assigned { .. }
            | Self::Fenced
            | Self::Stopped
            | Self::SenderCreated
            | Self::SenderRemoved
            | Self::EndpointChanged { .. }
            | Self::MembershipChanged { .. }
            | Self::RebuildRequired { .. }
            | Self::SessionAttached { .. }
            | Self::Connecting
            | Self::HelloSent
            | Self::Classified { .. }
            | Self::RebuildBegan
            | Self::PinHeld { .. }
            | Self::Truncated { .. }
            | Self::SourceSelected { .. }
            | Self::TransferBegan { .. }
            | Self::BaseInstalled { .. }
            | Self::Completed { .. } => false,
        }
    }

    /// The phase that the event leaves its session in, where it says so: a session that ended is
    /// `invalidated`, and is gone from its sender.
    #[must_use]
    pub const fn phase(&self) -> Option<PhaseName> {
        match self {
            Self::SessionAttached { .. } => Some(PhaseName::Init),
            Self::Connecting => Some(PhaseName::Connecting),
            Self::HelloSent => Some(PhaseName::Handshake),
            Self::RebuildBegan | Self::SourceSelected { .. } => Some(PhaseName::SourceSelect),
            Self::Truncated { .. } => Some(PhaseName::CatchUp),
            Self::TransferBegan { .. } => Some(PhaseName::Transfer),
            Self::BaseInstalled { .. } => Some(PhaseName::TailReplay),
            Self::Completed { .. } => Some(PhaseName::Completed),
            Self::SessionEnded { .. } => Some(PhaseName::Invalidated),
            Self::Assigned { .. }
            | Self::Fenced
            | Self::Stopped
            | Self::SenderCreated
            | Self::SenderRemoved
            | Self::EndpointChanged { .. }
            | Self::MembershipChanged { .. }
            | Self::RebuildRequired { .. }
            | Self::Classified { .. }
            | Self::PinHeld { .. }
            | Self::AuthorityRolledBack { .. } => None,
        }
    }

    /// The cause, where the event has one: why a session ended, why a rebuild is needed, whose doing
    /// a change was, what evidence completed a session. The steps of a session on its way have none
    /// but their session.
    #[must_use]
    pub const fn cause(&self) -> Option<&'static str> {
        match self {
            Self::SessionEnded { cause, .. } => Some(cause.name()),
            Self::RebuildRequired { reason } => Some(reason.name()),
            Self::SessionAttached {
                reason: Some(reason),
                ..
            } => Some(reason.name()),
            Self::SessionAttached { kind, reason: None } => Some(kind.name()),
            Self::Classified { proof } => match proof.verdict() {
                Classification::NeedsRebuild(reason) => Some(reason.name()),
                Classification::ZeroGap(_) => Some("nothing_missing"),
                Classification::CatchUp(_) => Some("replayable_gap"),
            },
            Self::SourceSelected { decision } => Some(decision.source_reason.name()),
            Self::Truncated { .. } => Some("divergent_tail"),
            Self::Completed { .. } => Some("barrier"),
            Self::Assigned { .. }
            | Self::SenderCreated
            | Self::SenderRemoved
            | Self::EndpointChanged { .. }
            | Self::MembershipChanged { .. } => Some("assignment"),
            Self::Fenced => Some("higher_epoch"),
            Self::Stopped => Some("role_given_up"),
            Self::AuthorityRolledBack { recorded: None, .. } => Some("record_missing"),
            Self::AuthorityRolledBack {
                recorded: Some(_), ..
            } => Some("record_older"),
            Self::Connecting
            | Self::HelloSent
            | Self::RebuildBegan
            | Self::PinHeld { .. }
            | Self::TransferBegan { .. }
            | Self::BaseInstalled { .. } => None,
        }
    }
}
