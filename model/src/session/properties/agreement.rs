//! What being in sync means: T2, C1, T16, F60, and that a session is of the present (A3).

use super::{OnSession, completed, each, on_session};
use crate::checking::{Step, Verdict};
use crate::session::Session as Spec;
use crate::session::action::Call;
use crate::session::state::{Completed, State};
use crate::session::vocabulary::SenderState;

pub(super) fn t2(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let Some(completed) = completed(&at) else {
            return Verdict::Vacuous;
        };
        let alike = at.ghost.log.alike(&at.history.log);
        Verdict::implies(true, || {
            alike >= completed.achieved && at.ghost.log.is_prefix_of(&at.history.log)
        })
    })
}

pub(super) fn c1(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        Verdict::implies(completed(&at).is_some(), || at.ghost.is_trusted())
    })
}

pub(super) fn t16(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let Some(Completed { achieved, acked }) = completed(&at) else {
            return Verdict::Vacuous;
        };
        Verdict::implies(true, || {
            at.ghost.target.is_some_and(|target| achieved >= target)
                && achieved <= acked
                && acked <= at.ghost.promised
                && acked <= at.ghost.log.head()
                && at.sender.acknowledged.is_some_and(|lsn| lsn >= acked)
        })
    })
}

/// Whoever is told that a session completed may count the replica from now on.
pub(super) fn t16_told(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let Some(OnSession {
        call: Call::Complete,
        after,
        ..
    }) = on_session(spec, step)
    else {
        return Verdict::Vacuous;
    };
    Verdict::implies(true, || {
        completed(&after).is_some() && after.sender.state == SenderState::InSync
    })
}

pub(super) fn f60(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        Verdict::implies(at.sender.state == SenderState::InSync, || {
            completed(&at).is_some()
                && at.session.is_some_and(|session| {
                    session.epoch == at.volume.epoch
                        && session.endpoint_version == at.sender.endpoint.version
                })
                && at.volume.serving
        })
    })
}

pub(super) fn sessions_are_of_the_present(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let Some(session) = at.session else {
            return Verdict::Vacuous;
        };
        Verdict::implies(true, || {
            session.epoch == at.volume.epoch
                && session.endpoint_version == at.sender.endpoint.version
                && at.volume.serving
                && at.sender.state == session.state()
        })
    })
}
