//! Bounded replay: truncation first, then progress that the replica itself acknowledged, then
//! completion on that evidence alone (T2, T3, T9, T16, F61). Tail replay after a rebuild is the
//! same replay with another start and goal.

use holdfast_types::Lsn;

use super::phase::{CatchUp, Completed, Phase, TailReplay, Truncation};
use super::{Context, Flow, Session};
use crate::{EndCause, Happening, PinState, RebuildReason, Refusal, SessionKind, Tick};

/// What both kinds of replay have in common.
struct Replay {
    kind: SessionKind,
    /// The least that a first answer may prove.
    floor: Lsn,
    goal: Lsn,
    acked: Option<Lsn>,
}

impl Session {
    pub(crate) fn truncated(
        &mut self,
        cx: &mut Context<'_>,
        now: Tick,
        to: Lsn,
    ) -> Result<Flow<()>, Refusal> {
        let (catch_up, expected) = self.truncation_awaited()?;
        if to != expected {
            return Err(Refusal::TruncationMismatch { expected });
        }
        self.phase = Phase::CatchUp(CatchUp {
            truncate: Truncation::Confirmed(to),
            ..catch_up
        });
        self.last_progress = now;
        // What was acknowledged beyond the cut is no longer held, so it is no longer claimed (F35).
        *cx.acknowledged = cx.acknowledged.map(|known| known.min(to));
        cx.event(Happening::Truncated { to });
        Ok(Flow::Stay(()))
    }

    pub(crate) fn truncation_refused(&self) -> Result<Flow<()>, Refusal> {
        self.truncation_awaited()?;
        Ok(Flow::End(
            EndCause::Escalation(RebuildReason::TruncationUnsafe),
            (),
        ))
    }

    pub(crate) fn progress(
        &mut self,
        cx: &mut Context<'_>,
        now: Tick,
        durable: Lsn,
    ) -> Result<Flow<()>, Refusal> {
        let replay = self.replay()?;
        let at_least = replay.acked.unwrap_or(replay.floor);
        if durable < at_least {
            return Err(Refusal::ProgressRegressed {
                at_least: at_least.0,
            });
        }
        if durable > replay.goal {
            return Err(Refusal::BeyondTarget {
                goal: replay.goal.0,
            });
        }
        if replay.acked.is_none_or(|acked| acked < durable) {
            self.last_progress = now;
        }
        if let Phase::CatchUp(CatchUp { acked, .. }) | Phase::TailReplay(TailReplay { acked, .. }) =
            &mut self.phase
        {
            *acked = Some(durable);
        }
        cx.raise_acknowledged(durable);
        Ok(Flow::Stay(()))
    }

    pub(crate) fn complete(&mut self, cx: &mut Context<'_>) -> Result<Flow<Lsn>, Refusal> {
        let replay = self.replay()?;
        let goal = replay.goal;
        let achieved = replay
            .acked
            .filter(|acked| *acked >= goal)
            .ok_or(Refusal::NotConverged { goal })?;
        cx.release_all(&self.phase);
        self.phase = Phase::Completed(Completed {
            kind: replay.kind,
            achieved,
            acked: achieved,
        });
        cx.event(Happening::Completed { achieved });
        Ok(Flow::Stay(achieved))
    }

    pub(crate) fn acknowledged(
        &mut self,
        cx: &mut Context<'_>,
        durable: Lsn,
        head: Lsn,
    ) -> Result<Flow<()>, Refusal> {
        let Phase::Completed(completed) = self.phase else {
            return Err(self.wrong_phase());
        };
        if durable < completed.acked {
            return Err(Refusal::ProgressRegressed {
                at_least: completed.acked.0,
            });
        }
        if durable > head {
            return Err(Refusal::BeyondHead { head });
        }
        self.phase = Phase::Completed(Completed {
            acked: durable,
            ..completed
        });
        cx.raise_acknowledged(durable);
        Ok(Flow::Stay(()))
    }

    /// The truncation that is required and not yet confirmed.
    fn truncation_awaited(&self) -> Result<(CatchUp, Lsn), Refusal> {
        let Phase::CatchUp(catch_up) = self.phase else {
            return Err(self.wrong_phase());
        };
        match catch_up.truncate {
            Truncation::Required(to) => Ok((catch_up, to)),
            Truncation::None | Truncation::Confirmed(_) => Err(Refusal::TruncationNotRequired),
        }
    }

    /// The replay under way, if nothing that must precede it is outstanding.
    fn replay(&self) -> Result<Replay, Refusal> {
        match self.phase {
            Phase::CatchUp(catch_up) => {
                match catch_up.truncate {
                    Truncation::Required(_) => return Err(Refusal::TruncationOutstanding),
                    Truncation::None | Truncation::Confirmed(_) => {}
                }
                match catch_up.retention {
                    Some(PinState::Requested) => return Err(Refusal::PinOutstanding),
                    Some(PinState::Held) | None => {}
                }
                Ok(Replay {
                    kind: catch_up.kind.into(),
                    // A replica ahead of the target proves no more than the target is asked for.
                    floor: catch_up.from.min(catch_up.target),
                    goal: catch_up.target,
                    acked: catch_up.acked,
                })
            }
            Phase::TailReplay(tail) => Ok(Replay {
                kind: SessionKind::Rebuild,
                floor: tail.decision.base_lsn,
                goal: tail.goal,
                acked: tail.acked,
            }),
            Phase::Opening { .. }
            | Phase::SourceSelect(_)
            | Phase::Transfer(_)
            | Phase::Completed(_) => Err(self.wrong_phase()),
        }
    }
}
