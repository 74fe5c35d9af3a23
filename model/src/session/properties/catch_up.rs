//! What a catch-up may do: T1, T3, T9, T10, F35, and the length of its plan (A5).

use super::{Of, OnSession, addressed, catch_up, completed, each, on_session, plan};
use crate::checking::{Step, Verdict};
use crate::session::Session as Spec;
use crate::session::action::Call;
use crate::session::state::{CatchUp, Phase, State, TailReplay};
use crate::session::surroundings::bit;
use crate::session::vocabulary::{Pin, SessionKind, Slot, Truncate};

// The properties, in the order of section 9.

pub(super) fn t1(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let target = plan(&at).map(|plan| plan.target);
        let target = target.or(catch_up(&at).map(|catch_up| catch_up.target));
        Verdict::implies(target.is_some(), || target == at.ghost.target)
    })
}

/// At its handshake: the base was trusted, and nothing that was promised is missing.
pub(super) fn t3_begins(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    handshake(spec, step, |_, after| {
        let Some(_) = catch_up(after) else {
            return Verdict::Vacuous;
        };
        let ghost = after.ghost;
        Verdict::implies(true, || {
            ghost.is_trusted() && ghost.log.head() >= ghost.promised
        })
    })
}

pub(super) fn t3(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let Some(CatchUp {
            from,
            target,
            acked,
            ..
        }) = catch_up(&at)
        else {
            return Verdict::Vacuous;
        };
        let Some(acked) = acked else {
            return Verdict::Vacuous;
        };
        Verdict::implies(true, || from.min(target) <= acked && acked <= target)
    })
}

pub(super) fn t3_monotone(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let (Some(token), Ok(after)) = (step.action.token(), step.after) else {
        return Verdict::Vacuous;
    };
    let position = |state: &State| {
        let at = addressed(spec, state, token)?;
        let session = *at.session?;
        let acked = match session.phase {
            Phase::CatchUp(CatchUp { acked, .. }) | Phase::TailReplay(TailReplay { acked, .. }) => {
                acked
            }
            Phase::Transfer(transfer) => Some(transfer.chunks_done),
            Phase::Completed(completed) => Some(completed.acked),
            Phase::Init | Phase::Connecting | Phase::Handshake | Phase::SourceSelect(_) => None,
        };
        Some((session.id, session.phase.name(), acked?))
    };
    match (position(step.before), position(after)) {
        (Some((id, phase, was)), Some((id_after, phase_after, is))) => {
            Verdict::implies(id == id_after && phase == phase_after, || is >= was)
        }
        (Some(_) | None, Some(_) | None) => Verdict::Vacuous,
    }
}

pub(super) fn t9(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let replaying = catch_up(&at).is_some_and(|catch_up| catch_up.acked.is_some());
        let replayed = at
            .session
            .is_some_and(|session| session.kind != SessionKind::Rebuild)
            && completed(&at).is_some();
        Verdict::implies(at.ghost.diverged && (replaying || replayed), || {
            at.ghost.log.is_prefix_of(&at.history.log)
        })
    })
}

/// At its handshake: a session sent to catch-up (or told it lacks nothing) can have replayed to it
/// whatever follows its position.
pub(super) fn t10_decided(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    handshake(spec, step, |before, after| {
        let Some(CatchUp { from, .. }) = catch_up(after) else {
            return Verdict::Vacuous;
        };
        Verdict::implies(from < before.history.log.head(), || {
            before.history.retained_from.is_some_and(|lsn| lsn <= from)
        })
    })
}

pub(super) fn t10(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let Some(session) = at.session else {
            return Verdict::Vacuous;
        };
        let (Some((goal, acked)), Some(from)) = (session.goal_and_acked(), session.replays_from())
        else {
            return Verdict::Vacuous;
        };
        let truncating = catch_up(&at)
            .is_some_and(|catch_up| matches!(catch_up.truncate, Truncate::Required(_)));
        let streaming = session.pin(Slot::Retention) != Pin::Requested && !truncating;
        let missing = acked.unwrap_or(from).max(from) < goal;
        Verdict::implies(streaming && missing, || {
            at.history
                .retained_from
                .is_some_and(|lsn| lsn <= acked.unwrap_or(from).max(from))
        })
    })
}

/// What was acknowledged on the way is a promise that the rest can follow: the log is held at the
/// source by then.
pub(super) fn t10_promised(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let Some(session) = at.session else {
            return Verdict::Vacuous;
        };
        let (Some((goal, acked)), Some(from)) = (session.goal_and_acked(), session.replays_from())
        else {
            return Verdict::Vacuous;
        };
        Verdict::implies(acked.is_some() && from < goal, || {
            at.ghost.acquired[Slot::Retention as usize] & bit(session.id) != 0
        })
    })
}

pub(super) fn f35(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let Some(acknowledged) = at.sender.acknowledged else {
            return Verdict::Vacuous;
        };
        let looked_at = at.session.is_some_and(|session| match session.phase {
            Phase::CatchUp(_) | Phase::Transfer(_) | Phase::TailReplay(_) | Phase::Completed(_) => {
                true
            }
            Phase::Init | Phase::Connecting | Phase::Handshake | Phase::SourceSelect(_) => false,
        });
        Verdict::implies(looked_at, || acknowledged <= at.ghost.log.head())
    })
}

pub(super) fn a5_entries(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let Some(CatchUp { from, target, .. }) = catch_up(&at) else {
            return Verdict::Vacuous;
        };
        Verdict::implies(target > from, || target - from <= spec.budget().entries)
    })
}

/// Judges the handshakes of sessions that are classified.
fn handshake(
    spec: &Spec,
    step: &Step<'_, Spec>,
    judge: impl Fn(&Of<'_>, &Of<'_>) -> Verdict,
) -> Verdict {
    match on_session(spec, step) {
        Some(OnSession {
            call: Call::Handshake { .. },
            before,
            after,
        }) => judge(&before, &after),
        Some(_) | None => Verdict::Vacuous,
    }
}
