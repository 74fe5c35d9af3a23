//! What the authority says, and what its node may decide: C5, F67, F68, F69, F81, F86.

use super::addressed;
use crate::checking::{Step, Verdict};
use crate::session::Session as Spec;
use crate::session::action::{Action, Authority, Call};
use crate::session::state::{Assignment, SENDERS, Sender, State, Volume};

/// The machine's part of a state.
fn machine(state: &State) -> ([Option<Volume>; SENDERS], [Option<Sender>; SENDERS]) {
    (state.volumes, state.senders)
}

pub(super) fn c5(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let Action::Authority(Authority::Assign { volume, assignment }) = step.action else {
        return Verdict::Vacuous;
    };
    let repeated = spec.volume(step.before, volume).is_some_and(|known| {
        let said = (assignment.epoch, assignment.revision);
        known.assignment == assignment && (known.epoch, known.revision) == said
    });
    Verdict::implies(repeated, || {
        step.after
            .is_ok_and(|after| machine(after) == machine(step.before))
    })
}

pub(super) fn f67(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let Action::Authority(Authority::Assign { volume, assignment }) = step.action else {
        return Verdict::Vacuous;
    };
    let Assignment {
        epoch, revision, ..
    } = assignment;
    let older = spec
        .volume(step.before, volume)
        .is_some_and(|known| (epoch, revision) < (known.epoch, known.revision));
    Verdict::implies(older, || {
        step.after
            .map_or(true, |after| machine(after) == machine(step.before))
    })
}

pub(super) fn f68(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let (Some(volume), Ok(after)) = (step.action.volume(), step.after) else {
        return Verdict::Vacuous;
    };
    let others = || (0..spec.senders()).filter(|&slot| spec.place(slot).0 != volume);
    let present = others().any(|slot| step.before.senders[slot].is_some());
    Verdict::implies(present, || {
        others().all(|slot| {
            let at = spec.volume_index(slot);
            step.before.senders[slot] == after.senders[slot]
                && step.before.volumes[at] == after.volumes[at]
        })
    })
}

pub(super) fn f81(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let Ok(after) = step.after else {
        return Verdict::Vacuous;
    };
    spec.volumes()
        .iter()
        .enumerate()
        .fold(Verdict::Vacuous, |verdict, (at, _)| {
            let (Some(was), is) = (step.before.volumes[at], after.volumes[at]) else {
                return verdict;
            };
            verdict.and(Verdict::implies(is != Some(was), || {
                is.is_some_and(|is| is.epoch >= was.epoch && is.next_session >= was.next_session)
            }))
        })
}

pub(super) fn f86(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let (Action::Authority(Authority::Assign { volume, assignment }), Ok(after)) =
        (step.action, step.after)
    else {
        return Verdict::Vacuous;
    };
    let Assignment {
        epoch,
        revision,
        replicas,
    } = assignment;
    let newer = spec
        .volume(step.before, volume)
        .is_none_or(|known| (epoch, revision) > (known.epoch, known.revision));
    Verdict::implies(newer, || {
        spec.volume(after, volume).is_some_and(|known| {
            (known.epoch, known.revision, known.serving) == (epoch, revision, true)
        }) && spec
            .slots_of(volume)
            .all(|slot| match (replicas[slot], after.senders[slot]) {
                (Some(named), Some(sender)) => {
                    sender.endpoint == named.endpoint && sender.member == named.member
                }
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            })
    })
}

/// What is said with an old epoch or an old place, or to a node that leads a newer epoch by now, is
/// said to somebody else.
pub(super) fn a3_asked(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let (Some(outputs), Ok(after)) = (step.outputs, step.after) else {
        return Verdict::Vacuous;
    };
    match step.action {
        Action::Begin(begin) => Verdict::implies(!outputs.attached.is_empty(), || {
            let asked = (begin.epoch, begin.endpoint_version);
            (outputs.attached.iter()).all(|token| (token.epoch, token.endpoint_version) == asked)
        }),
        Action::Authority(Authority::Stop { volume, epoch }) => {
            let serving = |state| {
                spec.volume(state, volume)
                    .is_some_and(|known| known.serving)
            };
            let stopped = serving(step.before) && !serving(after);
            Verdict::implies(stopped || !outputs.ended.is_empty(), || {
                let of_epoch = |known: &Volume| known.epoch == epoch;
                spec.volume(step.before, volume).is_some_and(of_epoch)
                    && outputs.ended.iter().all(|(token, _)| token.epoch == epoch)
            })
        }
        Action::Authority(Authority::Assign { .. } | Authority::Fence { .. })
        | Action::OnSession(..)
        | Action::World(_) => Verdict::Vacuous,
    }
}

pub(super) fn f69(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let (Action::OnSession(token, Call::Handshake { .. } | Call::SelectSource { .. }), Ok(_)) =
        (step.action, step.after)
    else {
        return Verdict::Vacuous;
    };
    let Some(at) = addressed(spec, step.before, token) else {
        return Verdict::Vacuous;
    };
    Verdict::implies(true, || {
        let last = at.history.log.epoch_at(at.history.log.head());
        at.history.is_trusted() && last == Some(at.volume.epoch)
    })
}
