//! The engine of this node, shared by its primaries: one lock, short calls, every event told.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holdfast_engine::{
    Assignment, Budget, Budgets, Command, Effect, Effects, Event, Evidence, Happening, Intent,
    Orchestrator, PinRequest, Refusal, ReplicaAssignment, Sender, SenderAuthority, SenderState,
    SessionKind,
};
use holdfast_types::{Epoch, FencingToken, ReplicaId, VolumeId, VolumeRecord};
use tokio::sync::watch;

use super::super::clock::Clock;
use crate::authority::RecordVersion;
use crate::config::SessionLimits;
use crate::controller::rollback::RolledBack;

/// Events that are kept.
const EVENTS_MAX: NonZeroUsize = NonZeroUsize::new(10_000).expect("more than none");

/// What sessions may cost, in ticks of the node's clock (milliseconds). Every limit is at least 1,
/// whatever was configured.
fn budgets(limits: &SessionLimits) -> Budgets {
    let ticks = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    let budget = |duration| {
        let entries = limits.catch_up_entries.max(1);
        let pinned = limits.pinned_bytes.max(1);
        Budget::new(ticks(duration), ticks(limits.stall), entries, pinned)
            .expect("no limit is zero")
    };
    Budgets {
        catch_up: budget(limits.catch_up_time),
        rebuild: budget(limits.rebuild_time),
    }
}

/// The engine and its clock.
pub(crate) struct Recovery {
    orchestrator: Mutex<Orchestrator>,
    /// Raised when a call may have ended sessions of others.
    changed: watch::Sender<u64>,
    /// Volumes whose record went back.
    rolled_back: Mutex<BTreeMap<VolumeId, RolledBack>>,
    clock: Clock,
}

impl Recovery {
    pub(crate) fn new(clock: Clock, limits: &SessionLimits) -> Self {
        Self {
            orchestrator: Mutex::new(Orchestrator::new(budgets(limits), EVENTS_MAX)),
            changed: watch::Sender::new(0),
            rolled_back: Mutex::default(),
            clock,
        }
    }

    /// Takes note of whether a volume's record went back. Said once for each thing that was found,
    /// and shown in the status until an honest record is read.
    pub(crate) fn note_rollback(&self, volume: VolumeId, found: Option<RolledBack>) {
        let mut rolled_back = self
            .rolled_back
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(found) = found else {
            if rolled_back.remove(&volume).is_some() {
                tracing::warn!(%volume, "the authority's record is believed again");
            }
            return;
        };
        if rolled_back.insert(volume, found) == Some(found) {
            return;
        }
        drop(rolled_back);
        let version = |at: RecordVersion| (at.epoch, at.revision);
        let event = Event {
            volume,
            epoch: found.known.epoch,
            replica: None,
            session: None,
            what: Happening::AuthorityRolledBack {
                known: version(found.known),
                recorded: found.recorded.map(version),
            },
        };
        tell(&event);
        tracing::error!(%volume, "{found}");
        self.lock().note(event);
    }

    /// What was found, while it lasts.
    pub(crate) fn rollback(&self, volume: VolumeId) -> Option<RolledBack> {
        let rolled_back = self
            .rolled_back
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        rolled_back.get(&volume).copied()
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
        effects.events().for_each(tell);
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

    /// Begins a rebuild of the replica in place of whatever session it has.
    pub(super) fn order_rebuild(
        &self,
        volume: VolumeId,
        replica: &ReplicaId,
        epoch: Epoch,
    ) -> Result<FencingToken, Refusal> {
        let now = self.clock.tick();
        self.call_on_all(|engine, out| {
            let authority = present_authority(engine, volume, replica, epoch)?;
            engine.supersede(now, &authority, SessionKind::Rebuild, out)
        })
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
            let authority = present_authority(engine, volume, replica, epoch)?;
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

    pub(crate) fn state(&self, volume: VolumeId, replica: &ReplicaId) -> Option<SenderState> {
        self.lock()
            .registry()
            .sender(volume, replica)
            .map(Sender::state)
    }
}

/// The authority over a sender as it is at present.
fn present_authority(
    engine: &Orchestrator,
    volume: VolumeId,
    replica: &ReplicaId,
    epoch: Epoch,
) -> Result<SenderAuthority, Refusal> {
    let sender = engine.registry().sender(volume, replica);
    let sender = sender.ok_or(Refusal::UnknownSender)?;
    Ok(SenderAuthority {
        volume,
        replica: replica.clone(),
        epoch,
        endpoint_version: sender.endpoint().version,
    })
}

/// Writes an event to the node's log; an alarm, as an error.
fn tell(event: &Event) {
    macro_rules! told {
        ($level:ident) => {
            tracing::$level!(
                target: "holdfast::recovery",
                volume = %event.volume,
                epoch = %event.epoch,
                replica = event.replica.as_ref().map(ReplicaId::as_str),
                session = event.session.map(|session| session.0),
                cause = event.what.cause(),
                what = ?event.what,
                "{}", event.what.name(),
            )
        };
    }
    if event.what.is_alarm() {
        told!(error);
    } else {
        told!(info);
    }
}
