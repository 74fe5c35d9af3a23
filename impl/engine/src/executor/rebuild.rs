//! Carries a rebuild out: both pins, the replica marked untrusted, the base, the switch, the tail,
//! the barrier (T5, T6, T16, T17).

use holdfast_types::{FencingToken, Lsn};

use super::{Interruption, interrupt, present_phase};
use crate::{
    BoundRebuild, Effects, EndCause, Phase, PinOutcome, PinSlot, PinState, RebuildPlan,
    RebuildReason, Refusal, Registry, ReportedFault, SelectedSource, SourceSelect, Tick,
};

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RebuildCommand {
    /// Wait for the pins, which the effects asked for.
    AwaitPins,
    /// Have the replica mark its base untrusted, durably, and say how many chunks it needs.
    PrepareReplica,
    /// Send the base.
    SendChunks {
        /// Chunks that are installed.
        chunks_done: u64,
        /// Chunks of the whole base.
        chunks_total: u64,
    },
    /// Every chunk is there: have the replica verify the whole and switch to it.
    InstallBase {
        /// Where replay will begin.
        base_lsn: Lsn,
    },
    /// Stream the log after `after`, and ask for a barrier at `barrier_at`.
    Replay {
        /// What the replica is known to hold (exclusive start).
        after: Lsn,
        /// The goal: the frozen target, and what the base's image may contain (F32).
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
pub enum RebuildEvidence {
    /// A pin is held.
    Pinned {
        /// Which.
        slot: PinSlot,
        /// Where the log can be replayed from now.
        retained_from: Option<Lsn>,
    },
    /// The replica durably marked its base untrusted and is ready.
    ReplicaReady {
        /// How many chunks it will get; zero is a number like any other (F75).
        chunks_total: u64,
    },
    /// The replica installed chunks.
    ChunksInstalled {
        /// How many in all.
        chunks_done: u64,
    },
    /// The replica verified the whole base and durably switched to it.
    BaseInstalled {
        /// Its position.
        base_lsn: Lsn,
        /// The upper bound of what its image may contain.
        extent_bound: Lsn,
    },
    /// The replica answered a barrier of this session. It may prove more than the goal.
    Durable {
        /// What survives a crash there.
        lsn: Lsn,
    },
    /// Anything else.
    Interrupted(Interruption),
}

/// A rebuild under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RebuildExecutor {
    bound: BoundRebuild,
}

impl RebuildExecutor {
    /// Takes a plan to carry it out.
    #[must_use]
    pub fn begin(plan: RebuildPlan) -> Self {
        Self {
            bound: plan.consume(),
        }
    }

    /// What the plan fixed: source, split and target, which no later history can change (T11).
    #[must_use]
    pub const fn bound(&self) -> &BoundRebuild {
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
    /// When the session is not the present one, or not in a phase of a planned rebuild.
    pub fn command(&self, registry: &Registry) -> Result<RebuildCommand, Refusal> {
        let phase = present_phase(registry, self.token())?;
        match phase {
            Phase::SourceSelect(SourceSelect {
                selected: Some(selected),
                ..
            }) => Ok(pins_command(&selected)),
            Phase::Transfer(transfer) if transfer.chunks_done < transfer.chunks_total => {
                Ok(RebuildCommand::SendChunks {
                    chunks_done: transfer.chunks_done,
                    chunks_total: transfer.chunks_total,
                })
            }
            Phase::Transfer(transfer) => Ok(RebuildCommand::InstallBase {
                base_lsn: transfer.decision.base_lsn,
            }),
            Phase::TailReplay(tail) => Ok(RebuildCommand::Replay {
                after: tail.acked.unwrap_or(tail.decision.base_lsn),
                barrier_at: tail.goal,
            }),
            Phase::Completed(completed) => Ok(RebuildCommand::KeepUp {
                achieved: completed.achieved,
            }),
            Phase::SourceSelect(SourceSelect { selected: None, .. })
            | Phase::Opening { .. }
            | Phase::CatchUp(_) => Err(Refusal::WrongPhase {
                phase: phase.name(),
            }),
        }
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
        evidence: RebuildEvidence,
        out: &mut Effects,
    ) -> Result<RebuildCommand, Refusal> {
        let token = &self.bound.token;
        let ended = match evidence {
            RebuildEvidence::Pinned {
                slot,
                retained_from,
            } => match registry.pinned(token, now, slot, retained_from, out)? {
                PinOutcome::Held => None,
                PinOutcome::Escalated => Some(EndCause::Escalation(RebuildReason::RetentionLost)),
            },
            RebuildEvidence::ReplicaReady { chunks_total } => {
                registry.begin_transfer(token, now, chunks_total, out)?;
                None
            }
            RebuildEvidence::ChunksInstalled { chunks_done } => {
                registry.transfer_progress(token, now, chunks_done, out)?;
                None
            }
            RebuildEvidence::BaseInstalled {
                base_lsn,
                extent_bound,
            } => {
                registry.base_installed(token, now, base_lsn, extent_bound, out)?;
                None
            }
            RebuildEvidence::Durable { lsn } => {
                self.durable(registry, now, lsn, out)?;
                None
            }
            RebuildEvidence::Interrupted(interruption) => {
                interrupt(registry, token, now, interruption, out)?
            }
        };
        match ended {
            Some(cause) => Ok(RebuildCommand::Ended { cause }),
            None => self.command(registry),
        }
    }

    /// A barrier's answer: progress up to the goal, and completion when it is reached.
    fn durable(
        &self,
        registry: &mut Registry,
        now: Tick,
        lsn: Lsn,
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        let token = self.token();
        let goal = match present_phase(registry, token)? {
            Phase::TailReplay(tail) => tail.goal,
            Phase::Opening { .. }
            | Phase::CatchUp(_)
            | Phase::SourceSelect(_)
            | Phase::Transfer(_)
            | Phase::Completed(_) => lsn,
        };
        registry.progress(token, now, lsn.min(goal), out)?;
        if lsn >= goal {
            registry.complete(token, out)?;
        }
        Ok(())
    }

    /// Gives up: the session ends by that fault, its pins are released. The sender still needs a
    /// rebuild.
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

const fn pins_command(selected: &SelectedSource) -> RebuildCommand {
    match (selected.base, selected.retention) {
        (PinState::Held, PinState::Held) => RebuildCommand::PrepareReplica,
        (PinState::Requested, PinState::Requested | PinState::Held)
        | (PinState::Held, PinState::Requested) => RebuildCommand::AwaitPins,
    }
}
