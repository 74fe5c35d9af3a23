//! What a decision may rest on: true reports, of replicas that this primary may speak to (T2, A3), and
//! what an escalation must be able to say for itself (T4).

use super::{Of, OnSession, addressed, completed, on_session};
use crate::checking::{Step, Verdict};
use crate::session::Session as Spec;
use crate::session::action::{Action, Call, Defect, Disk};
use crate::session::state::Session;
use crate::session::surroundings::bit;
use crate::session::vocabulary::{Cause, RebuildReason, SessionKind, Slot};

/// Some reports contradict themselves, and are of no disk at all. None of them decides anything.
pub(super) fn t2_told(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let (Action::OnSession(token, call), Ok(_)) = (step.action, step.after) else {
        return Verdict::Vacuous;
    };
    let (facts, history) = match call {
        Call::Handshake { facts, history } => (facts, history),
        Call::SelectSource { history } => (None, history),
        Call::Connect
        | Call::Hello
        | Call::Pinned { .. }
        | Call::PinFailed { .. }
        | Call::PinLost { .. }
        | Call::Truncated { .. }
        | Call::TruncationRefused
        | Call::Progress { .. }
        | Call::Complete
        | Call::Acknowledged { .. }
        | Call::BeginTransfer { .. }
        | Call::TransferProgress { .. }
        | Call::BaseInstalled { .. }
        | Call::CheckBudget { .. }
        | Call::Fail { .. } => return Verdict::Vacuous,
    };
    Verdict::implies(true, || {
        facts.is_none_or(|disk| disk.defect == Defect::None)
            && spec.is_as_reported(step.before, token, history)
    })
}

/// Entries of a newer epoch say that this node is the primary no more: whatever it would order now,
/// a truncation say, would be an order of nobody.
pub(super) fn a3_deposed(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let Some(OnSession {
        call: Call::Handshake {
            facts: Some(disk), ..
        },
        before,
        ..
    }) = on_session(spec, step)
    else {
        return Verdict::Vacuous;
    };
    Verdict::implies(disk.log.head() > 0, || {
        let epochs = (1..=disk.log.head()).filter_map(|lsn| disk.log.epoch_at(lsn));
        epochs.max() <= Some(before.volume.epoch)
    })
}

/// Only a session that is not in sync yet escalates, and for what is so: judged by the disks, the
/// pins at the source, the clock.
pub(super) fn t4_reasons(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let Some(outputs) = step.outputs else {
        return Verdict::Vacuous;
    };
    outputs
        .ended
        .iter()
        .fold(Verdict::Vacuous, |verdict, &(token, cause)| {
            let Cause::Escalation(reason) = cause else {
                return verdict;
            };
            let so = addressed(spec, step.before, token).is_some_and(|at| {
                completed(&at).is_none()
                    && at
                        .session
                        .is_some_and(|session| is_so(spec, step, &at, session, reason))
            });
            verdict.and(Verdict::implies(true, || so))
        })
}

fn is_so(
    spec: &Spec,
    step: &Step<'_, Spec>,
    at: &Of<'_>,
    session: &Session,
    reason: RebuildReason,
) -> bool {
    let Action::OnSession(_, call) = step.action else {
        return false;
    };
    let (history, ghost) = (at.history, at.ghost);
    let now = step.before.now;
    let budget = spec.budget();
    let of_disk = |is: &dyn Fn(&Disk) -> bool| {
        let Call::Handshake {
            facts: Some(disk), ..
        } = call
        else {
            return false;
        };
        session.kind != SessionKind::Rebuild && is(&disk)
    };
    let gone = |from| history.retained_from.is_none_or(|retained| retained > from);
    match reason {
        RebuildReason::NoVolume => matches!(call, Call::Handshake { facts: None, .. }),
        RebuildReason::UntrustedBase => of_disk(&|disk| disk.extent_bound > disk.log.head()),
        RebuildReason::LostAcknowledged => of_disk(&|disk| disk.log.head() < ghost.promised),
        RebuildReason::LineageExhausted => {
            of_disk(&|disk| disk.forgotten > 0 || history.forgotten > 0)
        }
        RebuildReason::DivergentExtent => of_disk(&|disk| {
            !disk.log.is_prefix_of(&history.log) && disk.extent_bound > disk.log.alike(&history.log)
        }),
        RebuildReason::GapBeyondRetention => of_disk(&|disk| gone(disk.log.alike(&history.log))),
        RebuildReason::BudgetEntries => of_disk(&|disk| {
            let start = history.epoch_start(at.volume.epoch).unwrap_or(0);
            let missing = history
                .committed
                .max(start)
                .saturating_sub(disk.log.alike(&history.log));
            missing > budget.entries
        }),
        RebuildReason::RetentionLost => {
            if let Call::PinLost { slot } = call {
                ghost.acquired[slot as usize] & bit(session.id) != 0
            } else {
                let slot = Slot::Retention;
                call == Call::Pinned { slot } && session.replays_from().is_some_and(gone)
            }
        }
        RebuildReason::TruncationUnsafe => ghost.diverged && !ghost.log.is_prefix_of(&history.log),
        RebuildReason::BudgetDuration => now.saturating_sub(session.since) > budget.duration,
        RebuildReason::BudgetStall => now.saturating_sub(session.last_progress) > budget.stall,
        RebuildReason::BudgetBytes => {
            matches!(call, Call::CheckBudget { pinned_bytes } if pinned_bytes > budget.bytes)
        }
        // An order, not an escalation.
        RebuildReason::Ordered => false,
    }
}
