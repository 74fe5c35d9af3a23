//! One replica, as its primary sees it: where it is, what it proved, and the session that is
//! recovering it or has recovered it.
//!
//! What it promises:
//!
//! - `in_sync` is a claim about the present session and cannot outlive it: the state is read off
//!   the session, so there is nothing that could be left behind (F60);
//! - a reason is there exactly in `needs_rebuild` and `rebuilding`;
//! - `needs_rebuild` is left only through a rebuild session that completes: whatever ends a rebuild
//!   session before that leads back to it, with the reason it had (T4);
//! - identity is not location: a changed endpoint ends the session and keeps the sender (T8).

use holdfast_types::{Endpoint, FencingToken, Lsn, ReplicaId, VolumeId};

use crate::cause::named;
use crate::session::{Context, Flow, Session};
use crate::{
    Budgets, Effects, EndCause, Happening, PhaseName, RebuildReason, Refusal, SessionKind,
};

/// The state of a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SenderState {
    /// No session; none has failed.
    Disconnected,
    /// A session is on its way to the handshake.
    Connecting,
    /// A session replays what is missing.
    CatchingUp,
    /// The present session has proven the replica in sync.
    InSync,
    /// No session; the last one failed.
    Degraded,
    /// No session; only a rebuild helps.
    NeedsRebuild,
    /// A rebuild session is under way.
    Rebuilding,
}

named!(SenderState {
    Disconnected => "disconnected",
    Connecting => "connecting",
    CatchingUp => "catching_up",
    InSync => "in_sync",
    Degraded => "degraded",
    NeedsRebuild => "needs_rebuild",
    Rebuilding => "rebuilding",
});

/// How a sender is while it has no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Resting {
    Disconnected,
    Degraded,
    NeedsRebuild(RebuildReason),
}

/// With a session, the session says it all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Standing {
    Resting(Resting),
    Active(Session),
}

/// The primary's side of one replica.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sender {
    endpoint: Endpoint,
    member: bool,
    acknowledged: Option<Lsn>,
    standing: Standing,
}

impl Sender {
    pub(crate) const fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            member: false,
            acknowledged: None,
            standing: Standing::Resting(Resting::Disconnected),
        }
    }

    /// Where the replica is; the version only grows.
    #[must_use]
    pub const fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// Whether the record names it in the in-sync set. Not to be confused with the state.
    #[must_use]
    pub const fn is_member(&self) -> bool {
        self.member
    }

    /// The highest durable position that the replica acknowledged in this epoch and did not give up
    /// since by a truncation or a rebuild (F35).
    #[must_use]
    pub const fn acknowledged(&self) -> Option<Lsn> {
        self.acknowledged
    }

    /// The present session.
    #[must_use]
    pub const fn session(&self) -> Option<&Session> {
        match &self.standing {
            Standing::Resting(_) => None,
            Standing::Active(session) => Some(session),
        }
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> SenderState {
        match &self.standing {
            Standing::Resting(Resting::Disconnected) => SenderState::Disconnected,
            Standing::Resting(Resting::Degraded) => SenderState::Degraded,
            Standing::Resting(Resting::NeedsRebuild(_)) => SenderState::NeedsRebuild,
            Standing::Active(session) => match (session.phase_name(), session.kind()) {
                (PhaseName::Completed, _) => SenderState::InSync,
                (_, SessionKind::Rebuild) => SenderState::Rebuilding,
                (PhaseName::CatchUp, _) => SenderState::CatchingUp,
                (
                    PhaseName::Init
                    | PhaseName::Connecting
                    | PhaseName::Handshake
                    | PhaseName::SourceSelect
                    | PhaseName::Transfer
                    | PhaseName::TailReplay
                    | PhaseName::Invalidated,
                    SessionKind::Bootstrap | SessionKind::CatchUp | SessionKind::Reassign,
                ) => SenderState::Connecting,
            },
        }
    }

    /// Why a rebuild is needed; present exactly in `needs_rebuild` and `rebuilding`.
    #[must_use]
    pub const fn reason(&self) -> Option<RebuildReason> {
        match &self.standing {
            Standing::Resting(Resting::NeedsRebuild(reason)) => Some(*reason),
            Standing::Resting(Resting::Disconnected | Resting::Degraded) => None,
            Standing::Active(session) => session.phase().rebuild_reason(),
        }
    }

    /// The authority of the present session.
    #[must_use]
    pub fn token(&self, volume: VolumeId, replica: &ReplicaId) -> Option<FencingToken> {
        self.session().map(|session| FencingToken {
            volume,
            replica: replica.clone(),
            session: session.id(),
            epoch: session.epoch(),
            endpoint_version: session.endpoint_version(),
        })
    }

    pub(crate) const fn set_member(&mut self, member: bool) {
        self.member = member;
    }

    pub(crate) const fn move_to(&mut self, endpoint: Endpoint) {
        self.endpoint = endpoint;
    }

    pub(crate) const fn forget_acknowledged(&mut self) {
        self.acknowledged = None;
    }

    /// Begins a session; the one before it has ended.
    pub(crate) fn begin(&mut self, session: Session) {
        self.standing = Standing::Active(session);
    }

    /// Makes a call on the session that `token` names. Volume, epoch and endpoint version were
    /// found current; the session is checked here, last (T7).
    pub(crate) fn on_session<T>(
        &mut self,
        token: &FencingToken,
        budgets: &Budgets,
        out: &mut Effects,
        call: impl FnOnce(&mut Session, &mut Context<'_>) -> Result<Flow<T>, Refusal>,
    ) -> Result<T, Refusal> {
        let session = match &mut self.standing {
            Standing::Active(session) if session.id() == token.session => session,
            Standing::Active(session) => {
                return Err(Refusal::StaleSession {
                    current: Some(session.id()),
                });
            }
            Standing::Resting(_) => return Err(Refusal::StaleSession { current: None }),
        };
        let mut context = Context {
            token,
            acknowledged: &mut self.acknowledged,
            budgets,
            out,
        };
        match call(session, &mut context)? {
            Flow::Stay(outcome) => Ok(outcome),
            Flow::End(cause, outcome) => {
                self.end(token, budgets, cause, out);
                Ok(outcome)
            }
        }
    }

    /// Ends the present session, if there is one.
    pub(crate) fn end_session(
        &mut self,
        volume: VolumeId,
        replica: &ReplicaId,
        budgets: &Budgets,
        cause: EndCause,
        out: &mut Effects,
    ) {
        if let Some(token) = self.token(volume, replica) {
            self.end(&token, budgets, cause, out);
        }
    }

    /// The one way in which a session ends: its pins are released, its sender is left as the cause
    /// says, and an event says so.
    fn end(&mut self, token: &FencingToken, budgets: &Budgets, cause: EndCause, out: &mut Effects) {
        let Standing::Active(session) = &self.standing else {
            return;
        };
        let phase = *session.phase();
        self.standing = Standing::Resting(match (phase.rebuild_reason(), cause) {
            (Some(reason), _) | (None, EndCause::Escalation(reason)) => {
                Resting::NeedsRebuild(reason)
            }
            (None, EndCause::Fault(_)) => Resting::Degraded,
            (None, EndCause::Authority(_)) => Resting::Disconnected,
        });
        let state = self.state();
        let mut context = Context {
            token,
            acknowledged: &mut self.acknowledged,
            budgets,
            out,
        };
        context.release_all(&phase);
        context.event(Happening::SessionEnded {
            kind: phase.kind(),
            phase: phase.name(),
            cause,
            state,
        });
    }
}
