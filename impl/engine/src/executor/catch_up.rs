//! Carries a zero gap or a catch-up out: pin, truncate, replay, barrier, complete.

use holdfast_types::{FencingToken, Lsn};

use super::{Interruption, interrupt, present_phase};
use crate::{
    BoundCatchUp, CatchUpPlan, Effects, EndCause, Phase, PinOutcome, PinSlot, PinState,
    RebuildReason, Refusal, Registry, ReportedFault, Tick, Truncation,
};

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CatchUpCommand {
    /// Wait for the retention pin, which the effects asked for: nothing is promised before (F73).
    AwaitPin,
    /// Have the replica cut its log, durably (T9).
    Truncate {
        /// To here.
        to: Lsn,
    },
    /// Stream the log after `after`, and ask for a barrier at `barrier_at`.
    Replay {
        /// What the replica is known to hold (exclusive start).
        after: Lsn,
        /// The goal.
        barrier_at: Lsn,
    },
    /// In sync. Keep streaming, and report later barriers by [`Registry::acknowledged`].
    KeepUp {
        /// What was proven.
        achieved: Lsn,
    },
    /// The session ended; its pins are released.
    Ended {
        /// Why.
        cause: EndCause,
    },
}

/// What happened in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CatchUpEvidence {
    /// The retention pin is held.
    Pinned {
        /// Where the log can be replayed from now.
        retained_from: Option<Lsn>,
    },
    /// The replica durably cut its log.
    Truncated {
        /// To here.
        to: Lsn,
    },
    /// The replica cannot cut its log.
    TruncationRefused,
    /// The replica answered a barrier of this session. It may prove more than the goal.
    Durable {
        /// What survives a crash there.
        lsn: Lsn,
    },
    /// Anything else.
    Interrupted(Interruption),
}

/// A catch-up under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CatchUpExecutor {
    bound: BoundCatchUp,
}

impl CatchUpExecutor {
    /// Takes a plan to carry it out.
    #[must_use]
    pub fn begin(plan: CatchUpPlan) -> Self {
        Self {
            bound: plan.consume(),
        }
    }

    /// What the plan fixed.
    #[must_use]
    pub const fn bound(&self) -> &BoundCatchUp {
        &self.bound
    }

    /// The session that it runs under.
    #[must_use]
    pub const fn token(&self) -> &FencingToken {
        &self.bound.token
    }

    /// What is to be done next.
    ///
    /// # Errors
    /// When the session is not the present one, or not in `catch_up` or `completed`.
    pub fn command(&self, registry: &Registry) -> Result<CatchUpCommand, Refusal> {
        let phase = present_phase(registry, self.token())?;
        let catch_up = match phase {
            Phase::CatchUp(catch_up) => catch_up,
            Phase::Completed(completed) => {
                return Ok(CatchUpCommand::KeepUp {
                    achieved: completed.achieved,
                });
            }
            Phase::Opening { .. }
            | Phase::SourceSelect(_)
            | Phase::Transfer(_)
            | Phase::TailReplay(_) => {
                return Err(Refusal::WrongPhase {
                    phase: phase.name(),
                });
            }
        };
        Ok(match (catch_up.retention, catch_up.truncate) {
            (Some(PinState::Requested), _) => CatchUpCommand::AwaitPin,
            (_, Truncation::Required(to)) => CatchUpCommand::Truncate { to },
            (_, Truncation::None | Truncation::Confirmed(_)) => CatchUpCommand::Replay {
                after: catch_up.acked.unwrap_or(catch_up.from).max(catch_up.from),
                barrier_at: catch_up.target,
            },
        })
    }

    /// Takes evidence in; says what is to be done next.
    ///
    /// # Errors
    /// Those of the session's calls; nothing has changed then. A refusal that
    /// [is stale](Refusal::is_stale) means that the session ended elsewhere, with its pins. After any
    /// other the session goes on, and it is the caller's to end it, or to leave it to its budget.
    pub fn step(
        &mut self,
        registry: &mut Registry,
        now: Tick,
        evidence: CatchUpEvidence,
        out: &mut Effects,
    ) -> Result<CatchUpCommand, Refusal> {
        let token = &self.bound.token;
        let ended = match evidence {
            CatchUpEvidence::Pinned { retained_from } => {
                match registry.pinned(token, now, PinSlot::Retention, retained_from, out)? {
                    PinOutcome::Held => None,
                    PinOutcome::Escalated => {
                        Some(EndCause::Escalation(RebuildReason::RetentionLost))
                    }
                }
            }
            CatchUpEvidence::Truncated { to } => {
                registry.truncated(token, now, to, out)?;
                None
            }
            CatchUpEvidence::TruncationRefused => {
                registry.truncation_refused(token, out)?;
                Some(EndCause::Escalation(RebuildReason::TruncationUnsafe))
            }
            CatchUpEvidence::Durable { lsn } => {
                let goal = self.bound.gap.target;
                registry.progress(token, now, lsn.min(goal), out)?;
                if lsn >= goal {
                    registry.complete(token, out)?;
                }
                None
            }
            CatchUpEvidence::Interrupted(interruption) => {
                interrupt(registry, token, now, interruption, out)?
            }
        };
        match ended {
            Some(cause) => Ok(CatchUpCommand::Ended { cause }),
            None => self.command(registry),
        }
    }

    /// Gives up: the session ends by that fault, its pins are released.
    ///
    /// # Errors
    /// When the session is not the present one: it ended before, and its pins went with it.
    pub fn cancel(
        self,
        registry: &mut Registry,
        fault: ReportedFault,
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        registry.fail(&self.bound.token, fault, out)
    }
}
