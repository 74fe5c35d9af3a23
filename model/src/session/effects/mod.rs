//! What a granted call does (`docs/session.md`, sections 3 to 6), and what it tells the world:
//! pins to acquire and to release, sessions that ended and why, and its outcome.
//!
//! Here stand how a session begins and ends; what each group of calls does stands in its own file.

use super::Session as Spec;
use super::action::{Action, Authority, Inputs};
use super::classify::Classification;
use super::rules::Broken;
use super::state::{Issued, Phase, Session, State};
use super::vocabulary::{Cause, Pin, RebuildReason, SenderState, SessionKind, Slot, Token};

mod authority;
mod calls;
mod rebuild;
mod recovery;

/// What a call tells the world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// Pins to acquire.
    pub acquire: Vec<(Token, Slot)>,
    /// Pins to release.
    pub release: Vec<(Token, Slot)>,
    /// Sessions that ended.
    pub ended: Vec<(Token, Cause)>,
    /// The tokens of sessions that were attached.
    pub attached: Vec<Token>,
    /// Replicas whose intent could not be followed, as they need a rebuild.
    pub rebuild_required: Vec<u8>,
    /// The call changed nothing, as its assignment was in force already.
    pub unchanged: bool,
    /// The check found the session within its budget.
    pub within_budget: bool,
    /// What a handshake was answered with; `None` for a rebuild session.
    pub classified: Option<Classification>,
}

/// The machine at work on one call.
struct Work<'a> {
    spec: &'a Spec,
    state: State,
    out: Outputs,
    inputs: Inputs,
}

impl Spec {
    /// Carries out a granted call on the machine alone; surroundings and ghosts follow it in
    /// their own files.
    pub(super) fn carried_out(&self, before: &State, action: Action) -> (State, Outputs) {
        let mut work = Work {
            spec: self,
            state: *before,
            out: Outputs::default(),
            inputs: self.inputs(before, action),
        };
        match action {
            Action::Authority(Authority::Assign { volume, assignment }) => {
                work.assign(volume, assignment);
            }
            Action::Authority(Authority::Fence { volume, epoch }) => work.fence(volume, epoch),
            Action::Authority(Authority::Stop { volume, .. }) => work.stop(volume),
            Action::Begin(begin) => {
                if let Some(slot) = self.slot(begin.volume, begin.replica) {
                    work.end(slot, Cause::Superseded);
                    work.attach(slot, begin.kind);
                }
            }
            Action::OnSession(token, call) => {
                if let Some(slot) = self.slot(token.volume, token.replica) {
                    work.on_session(slot, token, call);
                }
            }
            Action::World(_) => {}
        }
        (work.state, work.out)
    }
}

impl Work<'_> {
    fn broken(&self, rule: Broken) -> bool {
        !self.spec.rules.keeps(rule)
    }

    /// Ends the present session, if any: its pins are released, and the sender is left as the
    /// class of the cause says.
    fn end(&mut self, slot: usize, cause: Cause) {
        let Some(mut sender) = self.state.senders[slot] else {
            return;
        };
        let Some(session) = sender.session.take() else {
            return;
        };
        let (volume, replica) = self.spec.place(slot);
        let token = session.token(volume, replica);
        for pin in Slot::BOTH {
            if session.pin(pin) != Pin::None && !self.broken(Broken::PinsNotReleased) {
                self.out.release.push((token, pin));
            }
        }
        self.out.ended.push((token, cause));
        let completed = matches!(session.phase, Phase::Completed(_));
        let kept_in_sync = completed
            && match cause {
                Cause::EndpointChanged => self.broken(Broken::InSyncSurvivesEndpointChange),
                Cause::EpochChanged => self.broken(Broken::InSyncSurvivesEpochChange),
                Cause::Stopped => self.broken(Broken::InSyncSurvivesStop),
                Cause::Removed | Cause::Superseded | Cause::Fault(_) | Cause::Escalation(_) => {
                    false
                }
            };
        sender.state = if kept_in_sync {
            SenderState::InSync
        } else if session.kind == SessionKind::Rebuild && !completed {
            SenderState::NeedsRebuild
        } else {
            match cause {
                Cause::EpochChanged
                | Cause::EndpointChanged
                | Cause::Removed
                | Cause::Stopped
                | Cause::Superseded => SenderState::Disconnected,
                Cause::Fault(_) => SenderState::Degraded,
                Cause::Escalation(_) if self.broken(Broken::EscalationDegrades) => {
                    SenderState::Degraded
                }
                Cause::Escalation(reason) => {
                    sender.reason = Some(reason);
                    SenderState::NeedsRebuild
                }
            }
        };
        self.state.senders[slot] = Some(sender);
    }

    fn attach(&mut self, slot: usize, kind: SessionKind) {
        let (number, replica) = self.spec.place(slot);
        let at = self.spec.volume_index(slot);
        let now = self.inputs.now;
        let (Some(volume), Some(sender)) = (
            self.state.volumes[at].as_mut(),
            self.state.senders[slot].as_mut(),
        ) else {
            return;
        };
        let session = Session {
            id: volume.next_session,
            kind,
            epoch: volume.epoch,
            endpoint_version: sender.endpoint.version,
            since: now,
            last_progress: now,
            phase: Phase::Init,
        };
        volume.next_session += 1;
        if let Some(place) = volume.issued.get_mut(usize::from(session.id) - 1) {
            *place = Some(Issued {
                replica,
                epoch: session.epoch,
                endpoint_version: session.endpoint_version,
            });
        }
        if kind == SessionKind::Rebuild {
            sender.reason = sender.reason.or(Some(RebuildReason::Ordered));
        }
        sender.state = session.state();
        sender.session = Some(session);
        self.out.attached.push(session.token(number, replica));
    }
}

impl Work<'_> {
    fn token_of(&self, slot: usize, session: &Session) -> Token {
        let (volume, replica) = self.spec.place(slot);
        session.token(volume, replica)
    }
}
