//! The engine of this node, shared by its primaries: one lock, short calls, every event told.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use holdfast_engine::{
    Assignment, Budget, Budgets, Command, Effect, Effects, Evidence, Intent, Orchestrator,
    PinRequest, Refusal, ReplicaAssignment, Sender, SenderAuthority, SenderState, SessionKind,
};
use holdfast_types::{Epoch, FencingToken, ReplicaId, VolumeId, VolumeRecord};
use tokio::sync::watch;

use super::super::clock::Clock;

/// Events that are kept.
const EVENTS_MAX: NonZeroUsize = NonZeroUsize::new(10_000).expect("more than none");

const SECOND_TICKS: u64 = 1000;
const HOUR_TICKS: u64 = 3600 * SECOND_TICKS;

/// What a session may cost, in ticks of the node's clock (milliseconds).
fn default_budgets() -> Budgets {
    let budget = |duration, stall| {
        Budget::new(duration, stall, u64::MAX, u64::MAX).expect("no limit is zero")
    };
    Budgets {
        catch_up: budget(HOUR_TICKS, 60 * SECOND_TICKS),
        rebuild: budget(24 * HOUR_TICKS, 60 * SECOND_TICKS),
    }
}

/// The engine and its clock.
pub(crate) struct Recovery {
    orchestrator: Mutex<Orchestrator>,
    /// Raised when a call may have ended sessions of others.
    changed: watch::Sender<u64>,
    clock: Clock,
}

impl Recovery {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            orchestrator: Mutex::new(Orchestrator::new(default_budgets(), EVENTS_MAX)),
            changed: watch::Sender::new(0),
            clock,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Orchestrator> {
        // The engine's calls are carried out whole or not at all.
        self.orchestrator
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the engine's state.
    pub(crate) fn view<T>(&self, look: impl FnOnce(&Orchestrator) -> T) -> T {
        look(&self.lock())
    }

    /// Resolves when sessions may have ended.
    pub(super) fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn call<T>(&self, call: impl FnOnce(&mut Orchestrator, &mut Effects) -> T) -> (T, Effects) {
        let mut effects = Effects::new();
        let outcome = call(&mut self.lock(), &mut effects);
        for event in effects.events() {
            tracing::info!(
                target: "holdfast::recovery",
                volume = %event.volume,
                epoch = %event.epoch,
                replica = event.replica.as_ref().map(ReplicaId::as_str),
                session = event.session.map(|session| session.0),
                cause = event.what.cause(),
                what = ?event.what,
                "{}", event.what.name(),
            );
        }
        (outcome, effects)
    }

    fn call_on_all<T>(&self, call: impl FnOnce(&mut Orchestrator, &mut Effects) -> T) -> T {
        let (outcome, _) = self.call(call);
        self.changed
            .send_modify(|generation| *generation = generation.wrapping_add(1));
        outcome
    }

    /// The record as an assignment of its primary's senders.
    pub(super) fn assign(&self, record: &VolumeRecord, primary: &ReplicaId) -> Result<(), String> {
        let others = record
            .members
            .iter()
            .filter(|(replica, _)| *replica != primary);
        let replicas = others.map(|(replica, member)| {
            let assignment = ReplicaAssignment {
                endpoint: member.endpoint,
                member: record.isr.contains(replica),
                intent: Intent::None,
            };
            (replica.clone(), assignment)
        });
        let assignment = Assignment::new(record.volume, record.epoch, record.revision, replicas)
            .map_err(|invalid| format!("{invalid:?}"))?;
        let now = self.clock.tick();
        self.call_on_all(|engine, out| engine.assign(now, assignment, out))
            .map(|_| ())
            .map_err(|refusal| refusal.to_string())
    }

    /// The node gave its role up; every session of the volume ends.
    pub(super) fn stop(&self, volume: VolumeId, epoch: Epoch) {
        // Refused when the role was never taken or a newer one was: nothing is left to end then.
        let _ = self.call_on_all(|engine, out| engine.stop(volume, epoch, out));
    }

    /// Begins a session for the replica as it is assigned at present.
    pub(super) fn attach(
        &self,
        volume: VolumeId,
        replica: &ReplicaId,
        epoch: Epoch,
        kind: SessionKind,
    ) -> Result<FencingToken, Refusal> {
        let now = self.clock.tick();
        self.call(|engine, out| {
            let endpoint_version = engine
                .registry()
                .sender(volume, replica)
                .map(|sender| sender.endpoint().version)
                .ok_or(Refusal::UnknownSender)?;
            let authority = SenderAuthority {
                volume,
                replica: replica.clone(),
                epoch,
                endpoint_version,
            };
            engine.attach(now, &authority, kind, out)
        })
        .0
    }

    /// Takes evidence in; what is to be done next, and the pins to acquire.
    pub(super) fn step(
        &self,
        token: &FencingToken,
        evidence: Evidence<'_>,
    ) -> Result<(Command, Vec<PinRequest>), Refusal> {
        let now = self.clock.tick();
        let (command, mut effects) =
            self.call(|engine, out| engine.step(token, now, evidence, out));
        let pins = effects.drain().filter_map(|effect| match effect {
            Effect::AcquirePin(request) => Some(request),
            // The guards belong to the session's task, which drops them with the session.
            Effect::ReleasePin(_) | Effect::Event(_) => None,
        });
        let pins = pins.collect();
        Ok((command?, pins))
    }

    pub(super) fn command(&self, token: &FencingToken) -> Result<Command, Refusal> {
        self.lock().command(token)
    }

    pub(super) fn is_current(&self, token: &FencingToken) -> bool {
        self.lock().registry().check_token(token).is_ok()
    }

    pub(super) fn state(&self, volume: VolumeId, replica: &ReplicaId) -> Option<SenderState> {
        self.lock()
            .registry()
            .sender(volume, replica)
            .map(Sender::state)
    }
}
