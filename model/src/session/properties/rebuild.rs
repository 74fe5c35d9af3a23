//! What a rebuild owes and proves: T4, T5, T6, T11, T12, T17, F57.

use super::{OnSession, completed, each, of, on_session, plan, tail_replay};
use crate::checking::{Step, Verdict};
use crate::session::Session as Spec;
use crate::session::action::Call;
use crate::session::ghosts::session_source_is_snapshot;
use crate::session::state::State;
use crate::session::vocabulary::{SenderState, SessionKind, Source, SourceReason};

pub(super) fn t4(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let owing = matches!(
            at.sender.state,
            SenderState::NeedsRebuild | SenderState::Rebuilding
        );
        if at.ghost.owes_rebuild {
            Verdict::implies(true, || owing && at.sender.reason.is_some())
        } else {
            Verdict::implies(at.sender.reason.is_some(), || owing)
        }
    })
}

pub(super) fn t5_t6(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let rebuilt = at
            .session
            .is_some_and(|session| session.kind == SessionKind::Rebuild)
            && completed(&at).is_some();
        let achieved = completed(&at).map(|completed| completed.achieved);
        Verdict::implies(rebuilt, || {
            at.ghost.base_whole && achieved >= at.ghost.target
        })
    })
}

/// Whoever is told that the transfer has begun has made a base untrusted for it.
pub(super) fn t5_begins(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let Some(OnSession {
        call: Call::BeginTransfer { .. },
        after,
        ..
    }) = on_session(spec, step)
    else {
        return Verdict::Vacuous;
    };
    Verdict::implies(true, || {
        after.ghost.pinned_for_transfer && after.ghost.target.is_some() && plan(&after).is_some()
    })
}

pub(super) fn t11(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let Some(OnSession {
        call: Call::SelectSource { .. },
        before,
        after,
    }) = on_session(spec, step)
    else {
        return Verdict::Vacuous;
    };
    let history = before.history;
    let sound = history
        .snapshot
        .map(|snapshot| snapshot.content == snapshot.base_lsn);
    let right = match (sound, session_source_is_snapshot(history)) {
        (_, true) => (Source::SnapshotTail, SourceReason::TrustedSnapshot),
        (Some(true), false) => (Source::FullBase, SourceReason::UnreplayableTail),
        (Some(false), false) => (Source::FullBase, SourceReason::UntrustedSnapshot),
        (None, false) => (Source::FullBase, SourceReason::NoSnapshot),
    };
    Verdict::implies(true, || {
        plan(&after).is_some_and(|plan| (plan.source, plan.why) == right)
    })
}

pub(super) fn t12(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let Some(plan) = plan(&at) else {
            return Verdict::Vacuous;
        };
        let installed = tail_replay(&at).is_some();
        Verdict::implies(plan.source == Source::SnapshotTail, || {
            let content = at.history.snapshot.map(|snapshot| snapshot.content);
            content == Some(plan.base_lsn) && (!installed || at.ghost.extent_bound == plan.base_lsn)
        })
    })
}

pub(super) fn t17(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let Some(tail) = tail_replay(&at) else {
            return Verdict::Vacuous;
        };
        Verdict::implies(true, || {
            at.ghost.split == Some(tail.plan.base_lsn)
                && (tail.acked.is_some()
                    || at
                        .history
                        .retained_from
                        .is_some_and(|lsn| lsn <= tail.plan.base_lsn))
        })
    })
}

pub(super) fn f57(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let Ok(after) = step.after else {
        return Verdict::Vacuous;
    };
    (0..spec.senders()).fold(Verdict::Vacuous, |verdict, slot| {
        let id = |state: &State| of(spec, state, slot).and_then(|at| Some(at.session?.id));
        let begun = of(spec, after, slot).is_some_and(|at| {
            at.session.is_some_and(|session| {
                session.kind == SessionKind::Rebuild && Some(session.id) != id(step.before)
            })
        });
        let member = after.senders[slot].is_some_and(|sender| sender.member);
        verdict.and(Verdict::implies(begun, || !member))
    })
}
