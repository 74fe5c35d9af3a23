//! What a session's identity is worth, and how it ends: T7, T8, A10, A11, A6, A5, F71.

use super::{Of, OnSession, addressed, of, on_session};
use crate::checking::{Step, Verdict};
use crate::session::Session as Spec;
use crate::session::action::{Action, Authority, Call};
use crate::session::state::{Phase, Session, State};
use crate::session::surroundings::bit;
use crate::session::vocabulary::{Intent, Pin, SenderState, SessionKind, Slot, Token};

pub(super) fn t7(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let Some(token) = step.action.token() else {
        return Verdict::Vacuous;
    };
    let stale = !is_current(spec, step.before, token);
    Verdict::implies(stale, || step.after.is_err())
}

pub(super) fn t7_ids(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let Ok(after) = step.after else {
        return Verdict::Vacuous;
    };
    (0..spec.senders()).fold(Verdict::Vacuous, |verdict, slot| {
        let now = |state: &State| of(spec, state, slot).and_then(|at| at.session.copied());
        let Some(session) = now(after) else {
            return verdict;
        };
        if now(step.before).is_some_and(|before| before.id == session.id) {
            return verdict;
        }
        let issued = step.before.volumes[spec.volume_index(slot)].map(|volume| volume.issued);
        let again = issued.is_some_and(|issued| {
            issued
                .get(usize::from(session.id) - 1)
                .is_some_and(Option::is_some)
        });
        verdict.and(Verdict::implies(true, || !again))
    })
}

pub(super) fn t8(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    each_moved(spec, step, |was, is| {
        let ended = |before: &Session| is.session.is_none_or(|now| now.id != before.id);
        matches!(step.action, Action::Authority(Authority::Assign { .. }))
            && is.sender.endpoint.version > was.sender.endpoint.version
            && was.session.is_none_or(ended)
    })
}

pub(super) fn a10(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    each_moved(spec, step, |_, is| {
        let asked = match step.action {
            Action::Authority(Authority::Assign { assignment, .. }) => {
                let named = assignment.replicas[is.slot];
                named.is_some_and(|named| named.intent != Intent::Nothing)
            }
            Action::Authority(Authority::Fence { .. } | Authority::Stop { .. })
            | Action::Begin(_)
            | Action::OnSession(..)
            | Action::World(_) => false,
        };
        asked || is.session.is_none()
    })
}

/// Judges every sender whose endpoint a step changed.
fn each_moved(
    spec: &Spec,
    step: &Step<'_, Spec>,
    judge: impl Fn(&Of<'_>, &Of<'_>) -> bool,
) -> Verdict {
    let Ok(after) = step.after else {
        return Verdict::Vacuous;
    };
    (0..spec.senders()).fold(Verdict::Vacuous, |verdict, slot| {
        let (Some(was), Some(is)) = (of(spec, step.before, slot), of(spec, after, slot)) else {
            return verdict;
        };
        let moved = was.sender.endpoint != is.sender.endpoint;
        verdict.and(Verdict::implies(moved, || judge(&was, &is)))
    })
}

pub(super) fn a11(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let (Action::OnSession(token, Call::Fail { .. } | Call::PinFailed { .. }), Ok(after)) =
        (step.action, step.after)
    else {
        return Verdict::Vacuous;
    };
    Verdict::implies(true, || !is_current(spec, after, token))
}

/// An answer about a pin is one to a question that is still open; what comes after another answer,
/// or unasked, has no effect.
pub(super) fn a11_pins(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let Some(OnSession { call, before, .. }) = on_session(spec, step) else {
        return Verdict::Vacuous;
    };
    let has = |sessions: [u8; 2], slot: Slot| {
        let bit = before.session.map_or(0, |session| bit(session.id));
        sessions[slot as usize] & bit != 0
    };
    let (asked, acquired) = (before.ghost.asked, before.ghost.acquired);
    match call {
        Call::Pinned { slot } | Call::PinFailed { slot } => {
            Verdict::implies(true, || has(asked, slot) && !has(acquired, slot))
        }
        Call::PinLost { slot } => Verdict::implies(true, || has(acquired, slot)),
        Call::Connect
        | Call::Hello
        | Call::Handshake { .. }
        | Call::Truncated { .. }
        | Call::TruncationRefused
        | Call::Progress { .. }
        | Call::Complete
        | Call::Acknowledged { .. }
        | Call::SelectSource { .. }
        | Call::BeginTransfer { .. }
        | Call::TransferProgress { .. }
        | Call::BaseInstalled { .. }
        | Call::CheckBudget { .. }
        | Call::Fail { .. } => Verdict::Vacuous,
    }
}

/// A stall is no progress, however much is said meanwhile.
pub(super) fn a5_moves(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let Some(OnSession { before, after, .. }) = on_session(spec, step) else {
        return Verdict::Vacuous;
    };
    let (Some(was), Some(is)) = (before.session, after.session) else {
        return Verdict::Vacuous;
    };
    let set_back = was.id == is.id && was.last_progress != is.last_progress;
    Verdict::implies(set_back, || was.phase != is.phase)
}

pub(super) fn a6(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let (Action::OnSession(token, Call::PinLost { .. }), Ok(after)) = (step.action, step.after)
    else {
        return Verdict::Vacuous;
    };
    Verdict::implies(true, || {
        addressed(spec, after, token)
            .is_some_and(|at| at.session.is_none() && at.sender.state == SenderState::NeedsRebuild)
    })
}

pub(super) fn a5(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let Some(OnSession {
        call: Call::CheckBudget { pinned_bytes },
        before,
        after,
    }) = on_session(spec, step)
    else {
        return Verdict::Vacuous;
    };
    let Some(session) = before.session else {
        return Verdict::Vacuous;
    };
    let budget = spec.budget();
    let idle = step.before.now.saturating_sub(session.last_progress);
    let early = matches!(
        session.phase,
        Phase::Init | Phase::Connecting | Phase::Handshake
    );
    let over = idle > budget.stall
        || (!early
            && (step.before.now.saturating_sub(session.since) > budget.duration
                || pinned_bytes > budget.bytes));
    Verdict::implies(over, || {
        let state = if early && session.kind != SessionKind::Rebuild {
            SenderState::Degraded
        } else {
            SenderState::NeedsRebuild
        };
        after.session.is_none() && after.sender.state == state
    })
}

pub(super) fn f71(spec: &Spec, state: &State) -> Verdict {
    (0..spec.senders()).fold(Verdict::Vacuous, |verdict, slot| {
        let ghost = &state.ghosts[slot];
        let session = state.senders[slot].and_then(|sender| sender.session);
        let with_engine = |pin: Slot| match session {
            Some(session) if session.pin(pin) != Pin::None => bit(session.id),
            Some(_) | None => 0,
        };
        let held = |pin: Slot| match session {
            Some(session) if session.pin(pin) == Pin::Held => bit(session.id),
            Some(_) | None => 0,
        };
        let somewhere = ghost.asked != [0, 0]
            || ghost.acquired != [0, 0]
            || Slot::BOTH.iter().any(|&pin| with_engine(pin) != 0);
        verdict.and(Verdict::implies(somewhere || ghost.released_twice, || {
            !ghost.released_twice
                && Slot::BOTH.iter().all(|&pin| {
                    ghost.asked[pin as usize] == with_engine(pin)
                        && ghost.acquired[pin as usize] == held(pin)
                })
        }))
    })
}

/// Whether every part of a token is current in a state (T7).
fn is_current(spec: &Spec, state: &State, token: Token) -> bool {
    addressed(spec, state, token).is_some_and(|at| {
        token.epoch == at.volume.epoch
            && token.endpoint_version == at.sender.endpoint.version
            && at
                .session
                .is_some_and(|session| session.id == token.session)
    })
}
