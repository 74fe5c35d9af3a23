//! What a call tells the world: outcome or refusal, pins, sessions begun and ended. One type for
//! both sides, in the engine's words.

use holdfast_engine::{
    Classification, Effect, Effects, EndCause, Event, Happening, PinSlot, PinSubject, Refusal,
};
use holdfast_model::session::vocabulary::{Slot, Source, Token};
use holdfast_model::session::{Action, Call, Outputs, Session as Spec, State, state};
use holdfast_types::{Epoch, FencingToken, Lsn, ReplicaId, SessionId, VolumeId};

use super::translate::{self, Names, lsn};

/// The answer to one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was refused.
    Refused {
        /// Why.
        refusal: Refusal,
        /// How many effects it had all the same. The specification allows none.
        effects: usize,
    },
    /// It was granted.
    Granted(Box<Told>),
}

/// What a granted call tells. Pins are sorted, as the prose gives them no order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Pins to acquire, and what each keeps.
    pub acquire: Vec<(FencingToken, PinSlot, PinSubject)>,
    /// Pins to release.
    pub release: Vec<(FencingToken, PinSlot)>,
    /// Sessions that ended, in order, and why, by the events.
    pub ended: Vec<(SessionName, EndCause)>,
    /// Sessions that began, in order, by the events.
    pub began: Vec<SessionName>,
    /// The tokens that were handed out, in order.
    pub tokens: Vec<FencingToken>,
    /// Replicas whose intent needs a rebuild, by the events and by the outcome.
    pub rebuild_required: [Vec<ReplicaId>; 2],
    /// The assignment was in force already.
    pub unchanged: bool,
    /// The budget was checked and holds.
    pub within_budget: bool,
    /// What a handshake decided, by the event and by the outcome.
    pub classified: [Option<Classification>; 2],
    /// The plan that was handed out: whose, from where, to where.
    pub plan: Option<(FencingToken, Lsn, Lsn)>,
    /// The position that was returned: what was achieved, or what has to be.
    pub position: Option<Lsn>,
}

/// A session as an event names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionName {
    /// The volume.
    pub volume: VolumeId,
    /// The replica.
    pub replica: ReplicaId,
    /// The epoch in which it began.
    pub epoch: Epoch,
    /// Its id.
    pub session: SessionId,
}

impl From<FencingToken> for SessionName {
    fn from(token: FencingToken) -> Self {
        let FencingToken {
            volume,
            replica,
            session,
            epoch,
            endpoint_version: _,
        } = token;
        Self {
            volume,
            replica,
            epoch,
            session,
        }
    }
}

impl Answer {
    /// A refusal, as the specification has it: without any effect.
    #[must_use]
    pub const fn refusal(refusal: Refusal) -> Self {
        Self::Refused {
            refusal,
            effects: 0,
        }
    }
}

impl Told {
    /// Adds the engine's effects to what the call returned. `None` when an event of a session does not name
    /// it.
    #[must_use]
    pub fn with_effects(mut self, mut effects: Effects) -> Option<Self> {
        for effect in effects.drain() {
            match effect {
                Effect::AcquirePin(pin) => {
                    self.acquire.push((pin.id.token, pin.id.slot, pin.subject));
                }
                Effect::ReleasePin(pin) => self.release.push((pin.token, pin.slot)),
                Effect::Event(event) => self.take_event(event)?,
            }
        }
        self.acquire.sort();
        self.release.sort();
        Some(self)
    }

    fn take_event(&mut self, event: Event) -> Option<()> {
        let Event {
            volume,
            epoch,
            replica,
            session,
            what,
        } = event;
        match what {
            Happening::SessionEnded { cause, .. } => {
                let name = SessionName {
                    volume,
                    replica: replica?,
                    epoch,
                    session: session?,
                };
                self.ended.push((name, cause));
            }
            Happening::SessionAttached { .. } => {
                let name = SessionName {
                    volume,
                    replica: replica?,
                    epoch,
                    session: session?,
                };
                self.began.push(name);
            }
            Happening::RebuildRequired { .. } => self.rebuild_required[0].push(replica?),
            Happening::Classified { proof } => self.classified[0] = Some(proof.verdict()),
            Happening::Assigned { .. }
            | Happening::Fenced
            | Happening::Stopped
            | Happening::SenderCreated
            | Happening::SenderRemoved
            | Happening::EndpointChanged { .. }
            | Happening::MembershipChanged { .. }
            | Happening::Connecting
            | Happening::HelloSent
            | Happening::RebuildBegan
            | Happening::PinHeld { .. }
            | Happening::Truncated { .. }
            | Happening::SourceSelected { .. }
            | Happening::TransferBegan { .. }
            | Happening::BaseInstalled { .. }
            | Happening::Completed { .. }
            | Happening::AuthorityRolledBack { .. } => {}
        }
        Some(())
    }

    /// What the specification says that a granted call tells the world.
    #[must_use]
    pub fn specified(
        spec: &Spec,
        names: &Names,
        action: Action,
        after: &State,
        outputs: &Outputs,
    ) -> Self {
        let acquire = outputs.acquire.iter();
        let acquire = acquire.map(|&(of, slot)| {
            (
                names.token(of),
                translate::slot(slot),
                subject(session_of(spec, after, of), slot),
            )
        });
        let release = outputs.release.iter();
        let release = release.map(|&(of, slot)| (names.token(of), translate::slot(slot)));
        let ended = outputs.ended.iter();
        let ended = ended.map(|&(of, cause)| (names.token(of).into(), translate::cause(cause)));
        let tokens: Vec<FencingToken> =
            outputs.attached.iter().map(|&of| names.token(of)).collect();
        let required: Vec<ReplicaId> = outputs
            .rebuild_required
            .iter()
            .map(|&number| names.replica(number))
            .collect();
        let classified = outputs.classified.map(translate::classification);
        let session = action
            .token()
            .and_then(|token| session_of(spec, after, token));
        let mut answer = Self {
            acquire: acquire.collect(),
            release: release.collect(),
            ended: ended.collect(),
            began: tokens.iter().cloned().map(SessionName::from).collect(),
            tokens,
            rebuild_required: [required.clone(), required],
            unchanged: outputs.unchanged,
            within_budget: outputs.within_budget,
            classified: [classified; 2],
            plan: plan(names, action, session),
            position: position(action, session),
        };
        answer.acquire.sort();
        answer.release.sort();
        answer
    }
}

/// The present session of the sender that a token names.
fn session_of(spec: &Spec, state: &State, token: Token) -> Option<state::Session> {
    state.senders[spec.slot(token.volume, token.replica)?]?.session
}

/// What a pin that was just asked for is to keep: the log from where it will be replayed, and the
/// image that the plan chose.
fn subject(session: Option<state::Session>, slot: Slot) -> PinSubject {
    let session = session.expect("a pin is asked for by a present session");
    let from = session
        .replays_from()
        .expect("a pin is asked for once its position is known");
    let from = lsn(from);
    match (slot, session.phase) {
        (Slot::Base, state::Phase::SourceSelect(Some(plan))) => match plan.source {
            Source::SnapshotTail => PinSubject::Snapshot { base_lsn: from },
            Source::FullBase => PinSubject::LiveExtent { split: from },
        },
        (Slot::Retention | Slot::Base, _) => PinSubject::History { from },
    }
}

/// The plan that a handshake or the selection of a source hands out.
fn plan(
    names: &Names,
    action: Action,
    session: Option<state::Session>,
) -> Option<(FencingToken, Lsn, Lsn)> {
    let (token, from, target) = match (action, session?.phase) {
        (Action::OnSession(token, Call::Handshake { .. }), state::Phase::CatchUp(catch_up)) => {
            (token, catch_up.from, catch_up.target)
        }
        (
            Action::OnSession(token, Call::SelectSource { .. }),
            state::Phase::SourceSelect(Some(plan)),
        ) => (token, plan.base_lsn, plan.target),
        (_, _) => return None,
    };
    Some((names.token(token), lsn(from), lsn(target)))
}

/// The position that a completion or an installed base returns.
fn position(action: Action, session: Option<state::Session>) -> Option<Lsn> {
    match (action, session?.phase) {
        (Action::OnSession(_, Call::Complete), state::Phase::Completed(completed)) => {
            Some(lsn(completed.achieved))
        }
        (Action::OnSession(_, Call::BaseInstalled { .. }), state::Phase::TailReplay(tail)) => {
            Some(lsn(tail.goal))
        }
        (_, _) => None,
    }
}
