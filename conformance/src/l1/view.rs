//! The abstract state: every field of `docs/session.md`, section 1, as plain values, taken from either
//! side by a function of its own.
//!
//! The two functions are written apart, each from the fields of its side, so that neither can hide
//! what the other has. All volumes and senders are in the view: one that only one side knows makes
//! the views differ.

use holdfast_engine::{
    self as engine, Phase, PinSlot, PinState, RebuildReason, RebuildSource, Registry, Sender,
    SenderState, SessionKind, SourceReason, Tick, Truncation, Volume,
};
use holdfast_model::session::state::SENDERS;
use holdfast_model::session::{Session as Spec, State, state as model};
use holdfast_types::{Endpoint, EndpointVersion, Epoch, Lsn, Revision, SessionId};

use super::translate::{self, lsn, tick};

/// The registry's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The volumes, in the order of the instance.
    pub volumes: [Option<VolumeView>; SENDERS],
    /// The senders, by slot of the instance.
    pub senders: [Option<SenderView>; SENDERS],
    /// Volumes and senders that the instance does not have. The specification has none, ever.
    pub strangers: usize,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeView {
    /// Its epoch.
    pub epoch: Epoch,
    /// Revision of the assignment in force.
    pub revision: Revision,
    /// Whether it serves.
    pub serving: bool,
    /// The assignment last accepted.
    pub assignment: AssignmentView,
    /// The next session id.
    pub next_session: SessionId,
}

/// An assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignmentView {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its revision.
    pub revision: Revision,
    /// What it says of each replica, by slot.
    pub named: [Option<engine::ReplicaAssignment>; SENDERS],
    /// Replicas that the instance does not have.
    pub strangers: usize,
}

/// A sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderView {
    /// Where the replica is.
    pub endpoint: Endpoint,
    /// Whether it is in the in-sync set.
    pub member: bool,
    /// Its state.
    pub state: SenderState,
    /// Why a rebuild is needed.
    pub reason: Option<RebuildReason>,
    /// What it acknowledged.
    pub acknowledged: Option<Lsn>,
    /// Its present session.
    pub session: Option<SessionView>,
}

/// A session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// Why it began.
    pub kind: SessionKind,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its endpoint version.
    pub endpoint_version: EndpointVersion,
    /// When it began, or its handshake was taken.
    pub since: Tick,
    /// When it last progressed.
    pub last_progress: Tick,
    /// Its phase with the data of the phase.
    pub phase: PhaseView,
}

/// A phase, in the words of the prose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseView {
    /// `init`.
    Init,
    /// `connecting`.
    Connecting,
    /// `handshake`.
    Handshake,
    /// `catch_up`.
    CatchUp {
        /// The replica's position.
        from: Lsn,
        /// Frozen.
        target: Lsn,
        /// The truncation.
        truncate: Truncation,
        /// The log's pin.
        retention: Option<PinState>,
        /// What was acknowledged.
        acked: Option<Lsn>,
    },
    /// `source_select`; the plan once there is one.
    SourceSelect(Option<PlanView>),
    /// `transfer`.
    Transfer {
        /// The plan.
        plan: PlanView,
        /// Of how many chunks.
        chunks_total: u64,
        /// How many are done.
        chunks_done: u64,
    },
    /// `tail_replay`.
    TailReplay {
        /// The plan.
        plan: PlanView,
        /// What has to be reached.
        goal: Lsn,
        /// What was acknowledged.
        acked: Option<Lsn>,
    },
    /// `completed`.
    Completed {
        /// What was proven.
        achieved: Lsn,
        /// What is acknowledged now.
        acked: Lsn,
    },
}

/// The plan of a rebuild.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanView {
    /// Where the base comes from.
    pub source: RebuildSource,
    /// Why.
    pub source_reason: SourceReason,
    /// The split.
    pub base_lsn: Lsn,
    /// Frozen.
    pub target: Lsn,
    /// The image's pin.
    pub base: Option<PinState>,
    /// The log's pin.
    pub retention: Option<PinState>,
}

/// The abstract state of the specification.
#[must_use]
pub fn of_specification(spec: &Spec, state: &State) -> View {
    let mut view = View::default();
    for at in 0..spec.volumes().len() {
        view.volumes[at] = state.volumes[at].as_ref().map(|volume| VolumeView {
            epoch: translate::epoch(volume.epoch),
            revision: translate::revision(volume.revision),
            serving: volume.serving,
            assignment: AssignmentView {
                epoch: translate::epoch(volume.assignment.epoch),
                revision: translate::revision(volume.assignment.revision),
                named: volume.assignment.replicas.map(|named| {
                    named.map(|named| translate::named(named).expect("the rig made this call"))
                }),
                strangers: 0,
            },
            next_session: SessionId(volume.next_session.into()),
        });
    }
    for slot in 0..spec.senders() {
        view.senders[slot] = state.senders[slot].as_ref().map(|sender| SenderView {
            endpoint: translate::endpoint(sender.endpoint),
            member: sender.member,
            state: translate::sender_state(sender.state),
            reason: sender.reason.map(translate::rebuild_reason),
            acknowledged: sender.acknowledged.map(lsn),
            session: sender.session.as_ref().map(specified_session),
        });
    }
    view
}

fn specified_session(session: &model::Session) -> SessionView {
    SessionView {
        id: SessionId(session.id.into()),
        kind: translate::kind(session.kind),
        epoch: translate::epoch(session.epoch),
        endpoint_version: EndpointVersion(session.endpoint_version.into()),
        since: tick(session.since),
        last_progress: tick(session.last_progress),
        phase: match session.phase {
            model::Phase::Init => PhaseView::Init,
            model::Phase::Connecting => PhaseView::Connecting,
            model::Phase::Handshake => PhaseView::Handshake,
            model::Phase::CatchUp(catch_up) => PhaseView::CatchUp {
                from: lsn(catch_up.from),
                target: lsn(catch_up.target),
                truncate: translate::truncation(catch_up.truncate),
                retention: translate::pin(catch_up.retention),
                acked: catch_up.acked.map(lsn),
            },
            model::Phase::SourceSelect(plan) => {
                PhaseView::SourceSelect(plan.as_ref().map(specified_plan))
            }
            model::Phase::Transfer(transfer) => PhaseView::Transfer {
                plan: specified_plan(&transfer.plan),
                chunks_total: transfer.chunks_total.into(),
                chunks_done: transfer.chunks_done.into(),
            },
            model::Phase::TailReplay(tail) => PhaseView::TailReplay {
                plan: specified_plan(&tail.plan),
                goal: lsn(tail.goal),
                acked: tail.acked.map(lsn),
            },
            model::Phase::Completed(completed) => PhaseView::Completed {
                achieved: lsn(completed.achieved),
                acked: lsn(completed.acked),
            },
        },
    }
}

fn specified_plan(plan: &model::Plan) -> PlanView {
    PlanView {
        source: translate::source(plan.source),
        source_reason: translate::source_reason(plan.why),
        base_lsn: lsn(plan.base_lsn),
        target: lsn(plan.target),
        base: translate::pin(plan.base),
        retention: translate::pin(plan.retention),
    }
}

/// The abstract state of the engine.
#[must_use]
pub fn of_engine(spec: &Spec, registry: &Registry) -> View {
    let mut view = View::default();
    for (id, volume) in registry.volumes() {
        let number = translate::volume_number(*id);
        let place = number.and_then(|n| spec.volumes().iter().position(|&known| known == n));
        let (Some(number), Some(place)) = (number, place) else {
            view.strangers += 1;
            continue;
        };
        view.volumes[place] = Some(engine_volume(spec, number, volume));
        for (replica, sender) in volume.senders() {
            match slot(spec, number, replica) {
                Some(slot) => view.senders[slot] = Some(engine_sender(sender)),
                None => view.strangers += 1,
            }
        }
    }
    view
}

fn slot(spec: &Spec, volume: u8, replica: &holdfast_types::ReplicaId) -> Option<usize> {
    spec.slot(volume, translate::replica_number(replica)?)
}

fn engine_volume(spec: &Spec, number: u8, volume: &Volume) -> VolumeView {
    let mut assignment = AssignmentView {
        epoch: volume.assignment().epoch(),
        revision: volume.assignment().revision(),
        named: [None; SENDERS],
        strangers: 0,
    };
    for (replica, named) in volume.assignment().replicas() {
        match slot(spec, number, replica) {
            Some(slot) => assignment.named[slot] = Some(*named),
            None => assignment.strangers += 1,
        }
    }
    VolumeView {
        epoch: volume.epoch(),
        revision: volume.revision(),
        serving: volume.is_serving(),
        assignment,
        next_session: volume.next_session(),
    }
}

fn engine_sender(sender: &Sender) -> SenderView {
    SenderView {
        endpoint: sender.endpoint(),
        member: sender.is_member(),
        state: sender.state(),
        reason: sender.reason(),
        acknowledged: sender.acknowledged(),
        session: sender.session().map(engine_session),
    }
}

fn engine_session(session: &engine::Session) -> SessionView {
    let plan = |decision: &engine::RebuildDecision| PlanView {
        source: decision.source(),
        source_reason: decision.source_reason,
        base_lsn: decision.base_lsn,
        target: decision.target,
        base: session.pin(PinSlot::Base),
        retention: session.pin(PinSlot::Retention),
    };
    SessionView {
        id: session.id(),
        kind: session.kind(),
        epoch: session.epoch(),
        endpoint_version: session.endpoint_version(),
        since: session.since(),
        last_progress: session.last_progress(),
        phase: match session.phase() {
            Phase::Opening { step, purpose: _ } => match step {
                engine::OpeningStep::Init => PhaseView::Init,
                engine::OpeningStep::Connecting => PhaseView::Connecting,
                engine::OpeningStep::Handshake => PhaseView::Handshake,
            },
            Phase::CatchUp(catch_up) => PhaseView::CatchUp {
                from: catch_up.from,
                target: catch_up.target,
                truncate: catch_up.truncate,
                retention: catch_up.retention,
                acked: catch_up.acked,
            },
            Phase::SourceSelect(select) => {
                PhaseView::SourceSelect(select.selected.map(|selected| plan(&selected.decision)))
            }
            Phase::Transfer(transfer) => PhaseView::Transfer {
                plan: plan(&transfer.decision),
                chunks_total: transfer.chunks_total,
                chunks_done: transfer.chunks_done,
            },
            Phase::TailReplay(tail) => PhaseView::TailReplay {
                plan: plan(&tail.decision),
                goal: tail.goal,
                acked: tail.acked,
            },
            Phase::Completed(completed) => PhaseView::Completed {
                achieved: completed.achieved,
                acked: completed.acked,
            },
        },
    }
}
