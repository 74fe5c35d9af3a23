//! What the owner of the disk reports of the session's pins (T10, F71, F73).

use holdfast_types::Lsn;

use super::phase::{CatchUp, Phase, SelectedSource, SourceSelect};
use super::{Context, Flow, Session};
use crate::{EndCause, Fault, Happening, PinSlot, PinState, RebuildReason, Refusal, Tick};

/// What came of a pin that was acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PinOutcome {
    /// It is held.
    Held,
    /// The history went before it was pinned: the session ended, and the pin is released with it.
    Escalated,
}

impl Session {
    pub(crate) fn pinned(
        &mut self,
        cx: &mut Context<'_>,
        now: Tick,
        slot: PinSlot,
        retained_from: Option<Lsn>,
    ) -> Result<Flow<PinOutcome>, Refusal> {
        let (replay_from, held) = self.requested(slot)?;
        let replayable = match slot {
            PinSlot::Retention => retained_from.is_some_and(|from| from <= replay_from),
            PinSlot::Base => true,
        };
        if !replayable {
            return Ok(Flow::End(
                EndCause::Escalation(RebuildReason::RetentionLost),
                PinOutcome::Escalated,
            ));
        }
        self.phase = held;
        self.last_progress = now;
        cx.event(Happening::PinHeld { slot });
        Ok(Flow::Stay(PinOutcome::Held))
    }

    pub(crate) fn pin_failed(&self, slot: PinSlot) -> Result<Flow<()>, Refusal> {
        self.requested(slot)?;
        Ok(Flow::End(EndCause::Fault(Fault::PinFailed), ()))
    }

    pub(crate) fn pin_lost(&self, slot: PinSlot) -> Result<Flow<()>, Refusal> {
        match self.phase {
            Phase::CatchUp(_)
            | Phase::SourceSelect(_)
            | Phase::Transfer(_)
            | Phase::TailReplay(_) => {}
            Phase::Opening { .. } | Phase::Completed(_) => return Err(self.wrong_phase()),
        }
        match self.phase.pin(slot) {
            Some(PinState::Held) => Ok(Flow::End(
                EndCause::Escalation(RebuildReason::RetentionLost),
                (),
            )),
            Some(PinState::Requested) | None => Err(Refusal::PinNotHeld),
        }
    }

    /// If the slot's pin is requested and not yet held: what will be replayed from, and the phase
    /// with that pin held.
    fn requested(&self, slot: PinSlot) -> Result<(Lsn, Phase), Refusal> {
        let (replay_from, held) = match self.phase {
            Phase::CatchUp(catch_up) => {
                let held = Phase::CatchUp(CatchUp {
                    retention: Some(PinState::Held),
                    ..catch_up
                });
                (catch_up.from, held)
            }
            Phase::SourceSelect(SourceSelect {
                reason,
                selected: Some(selected),
            }) => {
                let held = SelectedSource {
                    base: with_held(PinSlot::Base, slot, selected.base),
                    retention: with_held(PinSlot::Retention, slot, selected.retention),
                    ..selected
                };
                let held = Phase::SourceSelect(SourceSelect {
                    reason,
                    selected: Some(held),
                });
                (selected.decision.base_lsn, held)
            }
            Phase::SourceSelect(SourceSelect { selected: None, .. }) => {
                return Err(Refusal::PinNotRequested);
            }
            Phase::Opening { .. }
            | Phase::Transfer(_)
            | Phase::TailReplay(_)
            | Phase::Completed(_) => return Err(self.wrong_phase()),
        };
        match self.phase.pin(slot) {
            Some(PinState::Requested) => Ok((replay_from, held)),
            Some(PinState::Held) | None => Err(Refusal::PinNotRequested),
        }
    }
}

/// The state of the pin `this` once `slot` is held.
const fn with_held(this: PinSlot, slot: PinSlot, state: PinState) -> PinState {
    match (this, slot) {
        (PinSlot::Base, PinSlot::Base) | (PinSlot::Retention, PinSlot::Retention) => PinState::Held,
        (PinSlot::Base, PinSlot::Retention) | (PinSlot::Retention, PinSlot::Base) => state,
    }
}
