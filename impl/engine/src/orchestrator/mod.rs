//! One object that takes sessions from their assignment to their completion or escalation.
//!
//! Its driver feeds in what the authority says and what happened in the world, and carries out the
//! one [`Command`] that comes back, besides the effects. It owns the registry, so nothing passes it
//! by: each transition is in its log, in order, with its cause. It holds the executors of the plans
//! that were made, each for the very session that it was planned for (F74), and drops one when that
//! session is not the present one any more.
//!
//! ```text
//! assign -> Dial -> SendHello -> AwaitReport -+-> CatchUp(..)* ----------------+-> KeepUp
//!                                             +-> SelectSource -> Rebuild(..)* -+
//!                                             +-> Ended        (from anywhere)
//! ```

mod exchange;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use holdfast_types::{
    Endpoint, Epoch, FencingToken, ReplicaFacts, ReplicaId, RetainedHistory, VolumeId,
};

pub use exchange::{Command, Evidence};

use crate::executor::{interrupt, present_phase};
use crate::{
    AssignOutcome, Assignment, Budgets, CatchUpCommand, CatchUpEvidence, CatchUpExecutor, Effects,
    EndCause, Event, HandshakeOutcome, OpeningStep, Phase, RebuildCommand, RebuildEvidence,
    RebuildExecutor, RecoveryLog, Refusal, Registry, SenderAuthority, SessionKind, Tick,
};

/// A plan under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Executor {
    CatchUp(CatchUpExecutor),
    Rebuild(RebuildExecutor),
}

impl Executor {
    const fn token(&self) -> &FencingToken {
        match self {
            Self::CatchUp(executor) => executor.token(),
            Self::Rebuild(executor) => executor.token(),
        }
    }
}

/// The engine with its executors and its log.
#[derive(Clone, Debug)]
pub struct Orchestrator {
    registry: Registry,
    executors: BTreeMap<(VolumeId, ReplicaId), Executor>,
    log: RecoveryLog,
}

impl Orchestrator {
    /// An engine without volumes, whose log keeps the last `events_max` events.
    #[must_use]
    pub const fn new(budgets: Budgets, events_max: NonZeroUsize) -> Self {
        Self {
            registry: Registry::new(budgets),
            executors: BTreeMap::new(),
            log: RecoveryLog::new(events_max),
        }
    }

    /// The state.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The last events.
    #[must_use]
    pub const fn log(&self) -> &RecoveryLog {
        &self.log
    }

    /// Records an event of the node's own, which no call of the engine led to.
    pub fn note(&mut self, event: Event) {
        self.log.record(event);
    }

    /// How many plans are under way.
    #[must_use]
    pub fn executing(&self) -> usize {
        self.executors.len()
    }

    /// See [`Registry::assign`]. Each attached session goes on with [`Orchestrator::command`].
    ///
    /// # Errors
    /// As there.
    pub fn assign(
        &mut self,
        now: Tick,
        assignment: Assignment,
        out: &mut Effects,
    ) -> Result<AssignOutcome, Refusal> {
        self.logged(out, |registry, out| registry.assign(now, assignment, out))
    }

    /// See [`Registry::fence`].
    ///
    /// # Errors
    /// As there.
    pub fn fence(
        &mut self,
        volume: VolumeId,
        epoch: Epoch,
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        self.logged(out, |registry, out| registry.fence(volume, epoch, out))
    }

    /// See [`Registry::stop`].
    ///
    /// # Errors
    /// As there.
    pub fn stop(
        &mut self,
        volume: VolumeId,
        epoch: Epoch,
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        self.logged(out, |registry, out| registry.stop(volume, epoch, out))
    }

    /// See [`Registry::attach`].
    ///
    /// # Errors
    /// As there.
    pub fn attach(
        &mut self,
        now: Tick,
        authority: &SenderAuthority,
        kind: SessionKind,
        out: &mut Effects,
    ) -> Result<FencingToken, Refusal> {
        self.logged(out, |registry, out| {
            registry.attach(now, authority, kind, out)
        })
    }

    /// See [`Registry::supersede`].
    ///
    /// # Errors
    /// As there.
    pub fn supersede(
        &mut self,
        now: Tick,
        authority: &SenderAuthority,
        kind: SessionKind,
        out: &mut Effects,
    ) -> Result<FencingToken, Refusal> {
        self.logged(out, |registry, out| {
            registry.supersede(now, authority, kind, out)
        })
    }

    /// What is to be done next for a present session.
    ///
    /// # Errors
    /// When the token is not current.
    pub fn command(&self, token: &FencingToken) -> Result<Command, Refusal> {
        match present_phase(&self.registry, token)? {
            Phase::Opening { step, .. } => Ok(match step {
                OpeningStep::Init => Command::Dial {
                    endpoint: self.endpoint(token)?,
                },
                OpeningStep::Connecting => Command::SendHello,
                OpeningStep::Handshake => Command::AwaitReport,
            }),
            Phase::Completed(_) => Ok(Command::KeepUp),
            phase @ (Phase::CatchUp(_)
            | Phase::SourceSelect(_)
            | Phase::Transfer(_)
            | Phase::TailReplay(_)) => match self.executor(token) {
                Some(Executor::CatchUp(executor)) => {
                    executor.command(&self.registry).map(Command::CatchUp)
                }
                Some(Executor::Rebuild(executor)) => {
                    executor.command(&self.registry).map(Command::Rebuild)
                }
                None => match phase {
                    Phase::SourceSelect(_) => Ok(Command::SelectSource),
                    Phase::Opening { .. }
                    | Phase::CatchUp(_)
                    | Phase::Transfer(_)
                    | Phase::TailReplay(_)
                    | Phase::Completed(_) => Err(Refusal::WrongPhase {
                        phase: phase.name(),
                    }),
                },
            },
        }
    }

    /// Takes evidence in; says what is to be done next.
    ///
    /// # Errors
    /// Those of the session's calls; nothing has changed then.
    pub fn step(
        &mut self,
        token: &FencingToken,
        now: Tick,
        evidence: Evidence<'_>,
        out: &mut Effects,
    ) -> Result<Command, Refusal> {
        let before = out.len();
        let ended = self.take_in(token, now, evidence, out);
        self.log.record_all(out.iter().skip(before));
        let command = match ended? {
            Some(cause) => Command::Ended { cause },
            None => self.command(token)?,
        };
        match command {
            Command::Ended { .. } | Command::KeepUp => {
                self.executors
                    .remove(&(token.volume, token.replica.clone()));
            }
            Command::Dial { .. }
            | Command::SendHello
            | Command::AwaitReport
            | Command::SelectSource
            | Command::CatchUp(_)
            | Command::Rebuild(_) => {}
        }
        Ok(command)
    }

    /// Passes evidence on to whom it concerns; the cause, if that ended the session.
    fn take_in(
        &mut self,
        token: &FencingToken,
        now: Tick,
        evidence: Evidence<'_>,
        out: &mut Effects,
    ) -> Result<Option<EndCause>, Refusal> {
        match evidence {
            Evidence::Dialing => self.registry.connect(token, now, out)?,
            Evidence::HelloSent => self.registry.hello(token, now, out)?,
            Evidence::Report { facts, history } => {
                return self.report(token, now, facts, history, out);
            }
            Evidence::History(history) => {
                let plan = self.registry.select_source(token, now, history, out)?;
                self.execute(Executor::Rebuild(RebuildExecutor::begin(plan)));
            }
            Evidence::CatchUp(evidence) => return self.catch_up(token, now, evidence, out),
            Evidence::Rebuild(evidence) => return self.rebuild(token, now, evidence, out),
            Evidence::Acknowledged { durable, head } => {
                self.registry.acknowledged(token, durable, head, out)?;
            }
            Evidence::Interrupted(interruption) => {
                return interrupt(&mut self.registry, token, now, interruption, out);
            }
        }
        Ok(None)
    }

    fn report(
        &mut self,
        token: &FencingToken,
        now: Tick,
        facts: Option<&ReplicaFacts>,
        history: &RetainedHistory,
        out: &mut Effects,
    ) -> Result<Option<EndCause>, Refusal> {
        match self.registry.handshake(token, now, facts, history, out)? {
            HandshakeOutcome::CatchUp(plan) => {
                self.execute(Executor::CatchUp(CatchUpExecutor::begin(plan)));
                Ok(None)
            }
            HandshakeOutcome::SelectSource => Ok(None),
            HandshakeOutcome::Escalated { reason, .. } => Ok(Some(EndCause::Escalation(reason))),
        }
    }

    fn catch_up(
        &mut self,
        token: &FencingToken,
        now: Tick,
        evidence: CatchUpEvidence,
        out: &mut Effects,
    ) -> Result<Option<EndCause>, Refusal> {
        let phase = present_phase(&self.registry, token)?;
        let key = (token.volume, token.replica.clone());
        let Some(Executor::CatchUp(executor)) = self.executors.get_mut(&key) else {
            return Err(Refusal::WrongPhase {
                phase: phase.name(),
            });
        };
        match executor.step(&mut self.registry, now, evidence, out)? {
            CatchUpCommand::Ended { cause } => Ok(Some(cause)),
            CatchUpCommand::AwaitPin
            | CatchUpCommand::Truncate { .. }
            | CatchUpCommand::Replay { .. }
            | CatchUpCommand::KeepUp { .. } => Ok(None),
        }
    }

    fn rebuild(
        &mut self,
        token: &FencingToken,
        now: Tick,
        evidence: RebuildEvidence,
        out: &mut Effects,
    ) -> Result<Option<EndCause>, Refusal> {
        let phase = present_phase(&self.registry, token)?;
        let key = (token.volume, token.replica.clone());
        let Some(Executor::Rebuild(executor)) = self.executors.get_mut(&key) else {
            return Err(Refusal::WrongPhase {
                phase: phase.name(),
            });
        };
        match executor.step(&mut self.registry, now, evidence, out)? {
            RebuildCommand::Ended { cause } => Ok(Some(cause)),
            RebuildCommand::AwaitPins
            | RebuildCommand::PrepareReplica
            | RebuildCommand::SendChunks { .. }
            | RebuildCommand::InstallBase { .. }
            | RebuildCommand::Replay { .. }
            | RebuildCommand::KeepUp { .. } => Ok(None),
        }
    }

    /// A call that may end sessions: its events are logged, and the executors of sessions that are
    /// no longer present are dropped.
    fn logged<T>(
        &mut self,
        out: &mut Effects,
        call: impl FnOnce(&mut Registry, &mut Effects) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let before = out.len();
        let outcome = call(&mut self.registry, out)?;
        self.log.record_all(out.iter().skip(before));
        let registry = &self.registry;
        self.executors
            .retain(|_, executor| registry.check_token(executor.token()).is_ok());
        Ok(outcome)
    }

    fn execute(&mut self, executor: Executor) {
        let token = executor.token();
        let key = (token.volume, token.replica.clone());
        self.executors.insert(key, executor);
    }

    fn executor(&self, token: &FencingToken) -> Option<&Executor> {
        let key = (token.volume, token.replica.clone());
        self.executors
            .get(&key)
            .filter(|executor| executor.token() == token)
    }

    fn endpoint(&self, token: &FencingToken) -> Result<Endpoint, Refusal> {
        self.registry
            .sender(token.volume, &token.replica)
            .map(|sender| sender.endpoint())
            .ok_or(Refusal::UnknownSender)
    }
}
