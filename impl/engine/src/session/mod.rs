//! One recovery attempt for one replica, in one epoch, at one endpoint version.
//!
//! A session is a small state machine: its phase, and what that phase adds. It promises
//!
//! - that a refused call has changed nothing: guards come first, then the new phase is stored whole;
//! - that it completes only on what its replica acknowledged under it (T2, T9, T16, F61);
//! - that pins are asked for before anything rests on them (F73), and that whoever ends it can
//!   name every pin that is still with it.
//!
//! It must never decide its own authority: tokens are checked before a session is reached, and
//! ending it is left to its sender, which knows what state that leaves ([`Flow::End`]).
//!
//! One file per concern: [`phase`] the data, `opening` the way to the handshake, `pins`,
//! `catch_up`, `rebuild`, and `limits` for budgets and faults.

mod catch_up;
mod limits;
mod opening;
pub(crate) mod phase;
mod pins;
mod rebuild;

use holdfast_types::{EndpointVersion, Epoch, FencingToken, Lsn, SessionId};

pub use limits::BudgetCheck;
pub use opening::HandshakeOutcome;
pub use pins::PinOutcome;
pub(crate) use rebuild::{base_subject, retention_subject};

use crate::{
    Budgets, Effect, Effects, EndCause, Event, Happening, Phase, PhaseName, PinId, PinRequest,
    PinSlot, PinState, PinSubject, Refusal, SessionKind, Tick,
};

/// The present recovery attempt of a sender.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    id: SessionId,
    epoch: Epoch,
    endpoint_version: EndpointVersion,
    since: Tick,
    last_progress: Tick,
    phase: Phase,
}

/// What surrounds a session while a call is made on it.
pub(crate) struct Context<'a> {
    /// The authority of the call: already found current.
    pub(crate) token: &'a FencingToken,
    /// The sender's `acknowledged`.
    pub(crate) acknowledged: &'a mut Option<Lsn>,
    /// The registry's budgets.
    pub(crate) budgets: &'a Budgets,
    /// Where effects go.
    pub(crate) out: &'a mut Effects,
}

/// What an accepted call means for the session that it was made on.
pub(crate) enum Flow<T> {
    /// It goes on.
    Stay(T),
    /// It ends.
    End(EndCause, T),
}

impl Context<'_> {
    pub(crate) fn event(&mut self, what: Happening) {
        self.out.push(Effect::Event(Event {
            volume: self.token.volume,
            epoch: self.token.epoch,
            replica: Some(self.token.replica.clone()),
            session: Some(self.token.session),
            what,
        }));
    }

    fn request(&mut self, slot: PinSlot, subject: PinSubject) {
        let id = self.pin_id(slot);
        self.out
            .push(Effect::AcquirePin(PinRequest { id, subject }));
    }

    fn release(&mut self, slot: PinSlot) {
        let id = self.pin_id(slot);
        self.out.push(Effect::ReleasePin(id));
    }

    fn pin_id(&self, slot: PinSlot) -> PinId {
        PinId {
            token: self.token.clone(),
            slot,
        }
    }

    /// Releases every pin that is with the engine in `phase` (F71).
    pub(crate) fn release_all(&mut self, phase: &Phase) {
        for &slot in PinSlot::ALL {
            match phase.pin(slot) {
                Some(PinState::Requested | PinState::Held) => self.release(slot),
                None => {}
            }
        }
    }

    /// Raises the sender's `acknowledged`; it never goes down by progress.
    fn raise_acknowledged(&mut self, durable: Lsn) {
        if self.acknowledged.is_none_or(|known| known < durable) {
            *self.acknowledged = Some(durable);
        }
    }
}

impl Session {
    pub(crate) const fn new(
        id: SessionId,
        epoch: Epoch,
        endpoint_version: EndpointVersion,
        purpose: phase::Purpose,
        now: Tick,
    ) -> Self {
        Self {
            id,
            epoch,
            endpoint_version,
            since: now,
            last_progress: now,
            phase: Phase::Opening {
                step: phase::OpeningStep::Init,
                purpose,
            },
        }
    }

    /// Its id; never reused.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Why it began.
    #[must_use]
    pub fn kind(&self) -> SessionKind {
        self.phase.kind()
    }

    /// The epoch in which it began.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The endpoint at which it began.
    #[must_use]
    pub const fn endpoint_version(&self) -> EndpointVersion {
        self.endpoint_version
    }

    /// Where it is, with the data of that phase.
    #[must_use]
    pub const fn phase(&self) -> &Phase {
        &self.phase
    }

    /// When it began; from the handshake on: when that was.
    #[must_use]
    pub const fn since(&self) -> Tick {
        self.since
    }

    /// When it last progressed.
    #[must_use]
    pub const fn last_progress(&self) -> Tick {
        self.last_progress
    }

    /// How far a pin is; `None`: not with the engine.
    #[must_use]
    pub const fn pin(&self, slot: PinSlot) -> Option<PinState> {
        self.phase.pin(slot)
    }

    /// Whether it has proven its replica in sync.
    #[must_use]
    pub const fn is_completed(&self) -> bool {
        matches!(self.phase, Phase::Completed(_))
    }

    const fn wrong_phase(&self) -> Refusal {
        Refusal::WrongPhase {
            phase: self.phase_name(),
        }
    }

    pub(crate) const fn phase_name(&self) -> PhaseName {
        self.phase.name()
    }
}
