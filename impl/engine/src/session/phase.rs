//! The phases of a session, each with the data that exists in it and in no other.

use holdfast_types::Lsn;

use crate::cause::named;
use crate::{PinSlot, PinState, RebuildDecision, RebuildReason};

/// Why a session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionKind {
    /// First contact.
    Bootstrap,
    /// After a fault.
    CatchUp,
    /// After a change of authority.
    Reassign,
    /// To replace what the replica holds.
    Rebuild,
}

named!(SessionKind {
    Bootstrap => "bootstrap",
    CatchUp => "catch_up",
    Reassign => "reassign",
    Rebuild => "rebuild",
});

/// The kinds but `rebuild`; they behave alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecoverKind {
    /// [`SessionKind::Bootstrap`].
    Bootstrap,
    /// [`SessionKind::CatchUp`].
    CatchUp,
    /// [`SessionKind::Reassign`].
    Reassign,
}

named!(RecoverKind {
    Bootstrap => "bootstrap",
    CatchUp => "catch_up",
    Reassign => "reassign",
});

impl From<RecoverKind> for SessionKind {
    fn from(kind: RecoverKind) -> Self {
        match kind {
            RecoverKind::Bootstrap => Self::Bootstrap,
            RecoverKind::CatchUp => Self::CatchUp,
            RecoverKind::Reassign => Self::Reassign,
        }
    }
}

/// A phase without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PhaseName {
    /// Attached, nothing done yet.
    Init,
    /// The connection is being made.
    Connecting,
    /// The hello is sent.
    Handshake,
    /// Entries are replayed up to the target.
    CatchUp,
    /// The source of the rebuild is being selected and pinned.
    SourceSelect,
    /// The base is on its way.
    Transfer,
    /// The log after the base is replayed.
    TailReplay,
    /// In sync; live acknowledgements go on under this session.
    Completed,
    /// Ended. Only in events and status: a session that ended is gone from its sender.
    Invalidated,
}

named!(PhaseName {
    Init => "init",
    Connecting => "connecting",
    Handshake => "handshake",
    CatchUp => "catch_up",
    SourceSelect => "source_select",
    Transfer => "transfer",
    TailReplay => "tail_replay",
    Completed => "completed",
    Invalidated => "invalidated",
});

/// How far a session has come before anything is decided about its replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OpeningStep {
    /// Attached.
    Init,
    /// Connecting.
    Connecting,
    /// Hello sent.
    Handshake,
}

/// What a session was begun for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// To find out what is missing and replay it.
    Recover(RecoverKind),
    /// To rebuild, for that reason.
    Rebuild(RebuildReason),
}

impl Purpose {
    /// The kind of such a session.
    #[must_use]
    pub fn kind(self) -> SessionKind {
        match self {
            Self::Recover(kind) => kind.into(),
            Self::Rebuild(_) => SessionKind::Rebuild,
        }
    }
}

/// Whether a divergent tail has to be cut first (T9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Truncation {
    /// Nothing diverges.
    None,
    /// To be cut to this position.
    Required(Lsn),
    /// The replica durably cut it there.
    Confirmed(Lsn),
}

/// Replay of `(from, target]`.
///
/// ```text
/// from <= acked <= target         for a catch-up
/// acked = target <= from          for a zero gap: the replica may be ahead of the target
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CatchUp {
    /// The session's kind.
    pub kind: RecoverKind,
    /// The replica's position, after the truncation if there is one.
    pub from: Lsn,
    /// Frozen (T1).
    pub target: Lsn,
    /// The truncation.
    pub truncate: Truncation,
    /// The pin on the history after `from`; none for a zero gap.
    pub retention: Option<PinState>,
    /// What the replica proved durable by barriers of this session.
    pub acked: Option<Lsn>,
}

/// The source of a rebuild is being selected, then pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceSelect {
    /// Why a rebuild is needed.
    pub reason: RebuildReason,
    /// What was selected.
    pub selected: Option<SelectedSource>,
}

/// A source, and how far its pins are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SelectedSource {
    /// What was decided.
    pub decision: RebuildDecision,
    /// The pin on the base image.
    pub base: PinState,
    /// The pin on the history after `base_lsn`.
    pub retention: PinState,
}

/// The base is on its way; both pins are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transfer {
    /// Why a rebuild is needed.
    pub reason: RebuildReason,
    /// What was decided.
    pub decision: RebuildDecision,
    /// How many chunks the base has.
    pub chunks_total: u64,
    /// How many the replica installed.
    pub chunks_done: u64,
}

/// The log after the base is replayed; the retention pin is held.
///
/// ```text
/// base_lsn <= acked <= goal,      goal = max(target, extent_bound of the installed base)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TailReplay {
    /// Why a rebuild is needed.
    pub reason: RebuildReason,
    /// What was decided.
    pub decision: RebuildDecision,
    /// What replay has to reach (F32).
    pub goal: Lsn,
    /// What the replica proved durable by barriers of this session.
    pub acked: Option<Lsn>,
}

/// In sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Completed {
    /// The session's kind.
    pub kind: SessionKind,
    /// What was proven at completion (T16).
    pub achieved: Lsn,
    /// What is proven now.
    pub acked: Lsn,
}

/// The phase of a session with its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// `init`, `connecting` and `handshake`.
    Opening {
        /// Which of them.
        step: OpeningStep,
        /// What the session was begun for.
        purpose: Purpose,
    },
    /// `catch_up`.
    CatchUp(CatchUp),
    /// `source_select`.
    SourceSelect(SourceSelect),
    /// `transfer`.
    Transfer(Transfer),
    /// `tail_replay`.
    TailReplay(TailReplay),
    /// `completed`.
    Completed(Completed),
}

impl Phase {
    /// The phase without its data.
    #[must_use]
    pub const fn name(&self) -> PhaseName {
        match self {
            Self::Opening { step, .. } => match step {
                OpeningStep::Init => PhaseName::Init,
                OpeningStep::Connecting => PhaseName::Connecting,
                OpeningStep::Handshake => PhaseName::Handshake,
            },
            Self::CatchUp(_) => PhaseName::CatchUp,
            Self::SourceSelect(_) => PhaseName::SourceSelect,
            Self::Transfer(_) => PhaseName::Transfer,
            Self::TailReplay(_) => PhaseName::TailReplay,
            Self::Completed(_) => PhaseName::Completed,
        }
    }

    /// The kind of the session.
    #[must_use]
    pub fn kind(&self) -> SessionKind {
        match self {
            Self::Opening { purpose, .. } => purpose.kind(),
            Self::CatchUp(catch_up) => catch_up.kind.into(),
            Self::SourceSelect(_) | Self::Transfer(_) | Self::TailReplay(_) => SessionKind::Rebuild,
            Self::Completed(completed) => completed.kind,
        }
    }

    /// Why a rebuild is needed: present exactly in rebuild sessions that are not completed.
    #[must_use]
    pub const fn rebuild_reason(&self) -> Option<RebuildReason> {
        match self {
            Self::Opening { purpose, .. } => match purpose {
                Purpose::Recover(_) => None,
                Purpose::Rebuild(reason) => Some(*reason),
            },
            Self::SourceSelect(SourceSelect { reason, .. })
            | Self::Transfer(Transfer { reason, .. })
            | Self::TailReplay(TailReplay { reason, .. }) => Some(*reason),
            Self::CatchUp(_) | Self::Completed(_) => None,
        }
    }

    /// How far a pin is; `None`: not with the engine.
    #[must_use]
    pub const fn pin(&self, slot: PinSlot) -> Option<PinState> {
        match (self, slot) {
            (Self::CatchUp(catch_up), PinSlot::Retention) => catch_up.retention,
            (Self::SourceSelect(select), slot) => match (&select.selected, slot) {
                (Some(selected), PinSlot::Retention) => Some(selected.retention),
                (Some(selected), PinSlot::Base) => Some(selected.base),
                (None, PinSlot::Retention | PinSlot::Base) => None,
            },
            (Self::Transfer(_), PinSlot::Retention | PinSlot::Base)
            | (Self::TailReplay(_), PinSlot::Retention) => Some(PinState::Held),
            (Self::CatchUp(_) | Self::TailReplay(_), PinSlot::Base)
            | (Self::Opening { .. } | Self::Completed(_), PinSlot::Retention | PinSlot::Base) => {
                None
            }
        }
    }
}
