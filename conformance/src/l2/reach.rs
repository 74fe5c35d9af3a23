//! Which actions of the specification the product takes as a whole, and how.
//!
//! The engine by itself can be asked for anything (level 1). Its executors ask for less: they keep to
//! an order, and what a store or a replica cannot say is never told. So of the edges of the
//! specification some are *out of reach* here; they are counted, and each is out of reach by one of
//! the rules below and no other.

use holdfast_blockvol::CHUNK_BLOCKS;
use holdfast_model::session::action::HistoryReport;
use holdfast_model::session::state::{Phase, Plan, Session};
use holdfast_model::session::vocabulary::{Fault, Lsn, Pin, SessionKind, Slot, Token, Truncate};
use holdfast_model::session::{Action, Call, Move, Session as Spec, State};

use super::disks::{BLOCKS, can_be_replica, can_be_source};
use crate::l1::translate;

/// The chunks of every volume here.
pub const CHUNKS: u8 = BLOCKS.div_ceil(CHUNK_BLOCKS) as u8;

/// A step of the product: the actions of the specification that it is, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// One action.
    One(Action),
    /// Progress up to the goal, and completion: a session completes at once when it can.
    ThenComplete(Action, Action),
    /// A call that is refused, and the end of the session: a session whose evidence the engine does
    /// not take is over.
    RefusedThenFails(Action, Action),
}

impl Step {
    /// What is asked for first.
    #[must_use]
    pub const fn action(&self) -> Action {
        match *self {
            Self::One(action)
            | Self::ThenComplete(action, _)
            | Self::RefusedThenFails(action, _) => action,
        }
    }

    /// The state that it leads to.
    #[must_use]
    pub fn after(&self, spec: &Spec, before: &State) -> Option<State> {
        match *self {
            Self::One(action) => Some(spec.step(before, action).ok()?.0),
            Self::ThenComplete(first, second) => {
                let (between, _) = spec.step(before, first).ok()?;
                Some(spec.step(&between, second).ok()?.0)
            }
            Self::RefusedThenFails(_, fail) => Some(spec.step(before, fail).ok()?.0),
        }
    }
}

/// The step that the product takes for an action in a state; `None`: it is out of reach.
#[must_use]
pub fn step(spec: &Spec, state: &State, action: Action) -> Option<Step> {
    let granted = spec.step(state, action).is_ok();
    match action {
        Action::Authority(call) => sayable(call).then_some(Step::One(action)),
        Action::Begin(_) => Some(Step::One(action)),
        Action::World(moves) => (granted && world(spec, state, moves)).then_some(Step::One(action)),
        Action::OnSession(token, call) => {
            let slot = spec.slot(token.volume, token.replica)?;
            let session = state.senders[slot]?.session?;
            if session.token(token.volume, token.replica) != token {
                return None;
            }
            let at = spec.volume_index(slot);
            let source = can_be_source(&state.histories[at]);
            if !source || !calls(state, at, slot, &session, call) {
                return None;
            }
            if granted {
                Some(completed_at_once(action, token, call, &session))
            } else {
                is_reported(call).then_some(Step::RefusedThenFails(
                    action,
                    Action::OnSession(
                        token,
                        Call::Fail {
                            cause: Fault::Malformed,
                        },
                    ),
                ))
            }
        }
    }
}

/// Calls of the authority that the product's types can say.
fn sayable(call: holdfast_model::session::Authority) -> bool {
    use holdfast_model::session::Authority;
    match call {
        Authority::Assign { assignment, .. } => {
            let named = assignment.replicas.iter().flatten();
            assignment.epoch > 0
                && assignment.revision > 0
                && named
                    .into_iter()
                    .all(|named| translate::named(*named).is_ok())
        }
        Authority::Fence { .. } | Authority::Stop { .. } => true,
    }
}

/// Only a report that the engine refuses is made at all and then refused.
const fn is_reported(call: Call) -> bool {
    matches!(call, Call::Handshake { .. } | Call::SelectSource { .. })
}

fn completed_at_once(action: Action, token: Token, call: Call, session: &Session) -> Step {
    match (call, session.goal_and_acked()) {
        (Call::Progress { durable }, Some((goal, _))) if durable == goal => {
            Step::ThenComplete(action, Action::OnSession(token, Call::Complete))
        }
        (_, Some(_) | None) => Step::One(action),
    }
}

/// Moves of the world: a session that selects its source holds the log before the engine knows of
/// it, so the log cannot be reclaimed under it.
fn world(spec: &Spec, state: &State, moves: Move) -> bool {
    match moves {
        Move::Tick | Move::Append { .. } | Move::Commit { .. } => true,
        Move::WriteBack { volume } | Move::Reclaim { volume } => {
            let reclaims = matches!(moves, Move::Reclaim { .. });
            let fits = |at: usize| {
                let history = &state.histories[at];
                // Whatever can be written back is, before log is given up.
                let written = history.checkpoint == history.committed;
                can_be_source(history) && (written || !reclaims)
            };
            spec.volume_place(volume).is_some_and(fits)
                && !spec.slots_of(volume).any(|slot| {
                    let session = state.senders[slot].and_then(|sender| sender.session);
                    session.is_some_and(|session| {
                        selects(&session) || (reclaims && has_moved_on(&session))
                    })
                })
        }
    }
}

const fn selects(session: &Session) -> bool {
    matches!(session.phase, Phase::SourceSelect(Some(_)))
}

/// The pin of a session moves on with what its replica has; the specification's stays.
fn has_moved_on(session: &Session) -> bool {
    session
        .goal_and_acked()
        .is_some_and(|(_, acked)| acked.is_some())
}

/// Whether a session of the product comes to this call in this phase.
fn calls(state: &State, at: usize, slot: usize, session: &Session, call: Call) -> bool {
    let history = &state.histories[at];
    let head = history.log.head();
    match (session.phase, call) {
        (Phase::Init, Call::Connect)
        | (Phase::Connecting, Call::Hello)
        | (
            Phase::Connecting
            | Phase::Handshake
            | Phase::Transfer(_)
            | Phase::TailReplay(_)
            | Phase::Completed(_),
            LOST,
        )
        | (Phase::Transfer(_) | Phase::TailReplay(_), LOST_PIN | Call::CheckBudget { .. }) => true,
        (Phase::Handshake, Call::Handshake { facts, history }) => {
            history == HistoryReport::True
                && facts.map_or(session.kind != SessionKind::Rebuild, |disk| {
                    // A replica of a newer epoch refuses the hello before it reports anything.
                    let last = disk.log.epoch_at(disk.log.head()).unwrap_or(0);
                    can_be_replica(&disk) && last <= session.epoch
                })
        }
        (Phase::CatchUp(catch_up), call) => {
            if catch_up.retention == Pin::Requested {
                // A store pins what it still has, or fails.
                let is_there = history.retained_from <= Some(catch_up.from);
                return call == UNPINNED || (call == PINNED && is_there);
            }
            let cuts = matches!(catch_up.truncate, Truncate::Required(_));
            match (call, catch_up.truncate) {
                (Call::Truncated { to }, Truncate::Required(required)) => to == required,
                (Call::Progress { durable }, _) => {
                    !cuts
                        && proves(
                            durable,
                            catch_up.from,
                            catch_up.acked,
                            catch_up.target,
                            head,
                        )
                }
                (Call::TruncationRefused, _) => cuts,
                (LOST_PIN, _) => catch_up.retention == Pin::Held,
                (LOST | Call::CheckBudget { .. }, _) => true,
                (_, _) => false,
            }
        }
        (Phase::SourceSelect(None), Call::SelectSource { history }) => {
            history == HistoryReport::True
        }
        (Phase::SourceSelect(Some(plan)), call) => selected(&plan, call),
        (Phase::Transfer(transfer), Call::TransferProgress { chunks_done }) => {
            chunks_done == CHUNKS && transfer.chunks_done == 0
        }
        (
            Phase::Transfer(transfer),
            Call::BaseInstalled {
                base_lsn,
                extent_bound,
            },
        ) => {
            base_lsn == transfer.plan.base_lsn
                && extent_bound == history.extent_bound.max(base_lsn)
                && transfer.chunks_done == CHUNKS
        }
        (Phase::TailReplay(tail), Call::Progress { durable }) => {
            proves(durable, tail.plan.base_lsn, tail.acked, tail.goal, head)
        }
        (Phase::Completed(completed), Call::Acknowledged { durable }) => {
            // A copy that was ahead of the goal has proven that already. Nothing keeps the log for a
            // session in sync: one that falls behind what is retained ends.
            let sent = completed.acked.max(state.ghosts[slot].log.head());
            durable > sent && durable <= head && history.retained_from <= Some(sent)
        }
        (_, _) => false,
    }
}

const PINNED: Call = Call::Pinned {
    slot: Slot::Retention,
};
const UNPINNED: Call = Call::PinFailed {
    slot: Slot::Retention,
};
const LOST_PIN: Call = Call::PinLost {
    slot: Slot::Retention,
};

/// The one fault of the world that a stream has.
const LOST: Call = Call::Fail {
    cause: Fault::StreamLost,
};

/// Pins are reported in one order, and the replica is only then asked to prepare.
fn selected(plan: &Plan, call: Call) -> bool {
    match (plan.retention, plan.base) {
        (Pin::Requested, Pin::Requested) => call == PINNED,
        (Pin::Held, Pin::Requested) => call == Call::Pinned { slot: Slot::Base },
        (Pin::Held, Pin::Held) => {
            call == Call::BeginTransfer {
                chunks_total: CHUNKS,
            }
        }
        (_, _) => false,
    }
}

/// Whether a barrier can prove just this: each proves more than the last, the first no less than
/// where replay begins. Beyond the goal nothing is told.
fn proves(durable: Lsn, from: Lsn, acked: Option<Lsn>, goal: Lsn, head: Lsn) -> bool {
    let least = match acked {
        Some(acked) => acked + 1,
        None => from.min(goal).max(1),
    };
    (least..=goal).contains(&durable) && durable <= head
}
