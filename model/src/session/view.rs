//! The abstract view: what `docs/session.md`, section 1, says can be observed of a registry, and
//! nothing else. The conformance suite computes the same view of the engine and compares.
//!
//! Everything is a plain public value; absent is `None`. Neither ghosts nor surroundings occur.

use serde::Serialize;

use super::Session as Spec;
use super::state::{Assignment, Phase, Sender, Session, State, Volume};
use super::vocabulary::{Endpoint, RebuildReason, SenderState};

/// What can be observed of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The volumes that it knows, in ascending order.
    pub volumes: Vec<VolumeView>,
}

/// What can be observed of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeView {
    /// Its number.
    pub volume: u8,
    /// The highest epoch seen.
    pub epoch: u8,
    /// Revision of the assignment in force, 0 after a fence.
    pub revision: u8,
    /// Whether an assignment of this epoch is in force and was not stopped.
    pub serving: bool,
    /// The assignment last accepted, by slot of the instance's senders.
    pub assignment: Assignment,
    /// The next session id.
    pub next_session: u8,
    /// Its senders, in ascending order of replica.
    pub senders: Vec<SenderView>,
}

/// What can be observed of a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderView {
    /// The replica.
    pub replica: u8,
    /// Where it is.
    pub endpoint: Endpoint,
    /// Whether the record names it in the in-sync set.
    pub member: bool,
    /// Its state.
    pub state: SenderState,
    /// Why a rebuild is needed.
    pub reason: Option<RebuildReason>,
    /// The highest position acknowledged in this epoch and not given up.
    pub acknowledged: Option<u8>,
    /// The present session: identity, clock and phase with all that the phase adds.
    pub session: Option<Session>,
}

/// The name of a phase, for reports of coverage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PhaseName(pub &'static str);

impl From<Phase> for PhaseName {
    fn from(phase: Phase) -> Self {
        Self(phase.name())
    }
}

/// The view of a state.
#[must_use]
pub fn view(spec: &Spec, state: &State) -> View {
    let volumes = spec
        .volumes()
        .iter()
        .enumerate()
        .filter_map(|(at, &number)| {
            let volume: &Volume = state.volumes[at].as_ref()?;
            let senders = spec.slots_of(number).filter_map(|slot| {
                let sender = state.senders[slot]?;
                Some(sender_view(spec.place(slot).1, sender))
            });
            Some(VolumeView {
                volume: number,
                epoch: volume.epoch,
                revision: volume.revision,
                serving: volume.serving,
                assignment: volume.assignment,
                next_session: volume.next_session,
                senders: senders.collect(),
            })
        });
    View {
        volumes: volumes.collect(),
    }
}

const fn sender_view(replica: u8, sender: Sender) -> SenderView {
    let Sender {
        endpoint,
        member,
        state,
        reason,
        acknowledged,
        session,
    } = sender;
    SenderView {
        replica,
        endpoint,
        member,
        state,
        reason,
        acknowledged,
        session,
    }
}
