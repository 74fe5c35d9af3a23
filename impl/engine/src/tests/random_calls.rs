//! Calls made of small numbers: such as fit the phase of a session, and such as need not.

use holdfast_types::Lsn;

use super::calls::Call;
use super::scene::{facts, history, reclaimed_history};
use crate::{OpeningStep, Phase, PinSlot, PinState, ReportedFault, Truncation};

/// A log of the epoch, of at most 8 entries.
fn log_of(epoch: u64, before: u8, within: u8) -> Vec<u64> {
    let mut log = vec![1; usize::from(before % 4)];
    log.extend(vec![epoch; 1 + usize::from(within % 4)]);
    log
}

/// A call that a session in that phase could well take.
pub(crate) fn fitting_call(phase: &Phase, epoch: u64, (a, b, c): (u8, u8, u8)) -> Call {
    let pin = |slot, from: Lsn| match c % 8 {
        0 => Call::PinFailed(slot),
        1 => Call::Pinned(slot, None),
        _ => Call::Pinned(slot, Some(from)),
    };
    let log = log_of(epoch, a, b);
    let checkpoint = u64::from(a % 3).min(log.len() as u64);
    let snapshot = (b % 3 != 0).then_some((checkpoint, b % 3 == 1));
    let primary = reclaimed_history(&log, log.len() as u64, checkpoint, snapshot);
    let half = |goal: Lsn, from: Lsn| {
        let step = if c % 3 == 0 { from.min(goal) } else { goal };
        Call::Progress(step)
    };
    match phase {
        Phase::Opening { step, .. } => match step {
            OpeningStep::Init => Call::Connect,
            OpeningStep::Connecting => Call::Hello,
            OpeningStep::Handshake => {
                let theirs = log_of(epoch.max(2) - 1, a, c);
                let report = facts(&theirs, u64::from(c % 4 == 0) * 9);
                Call::Handshake(
                    (c % 16 != 0).then_some(report),
                    history(&log, u64::from(b % 5).min(log.len() as u64)),
                )
            }
        },
        Phase::CatchUp(catch_up) => match (catch_up.retention, catch_up.truncate) {
            (Some(PinState::Requested), _) => pin(PinSlot::Retention, catch_up.from),
            (_, Truncation::Required(to)) => Call::Truncated(to),
            (_, Truncation::None | Truncation::Confirmed(_)) => {
                if catch_up.acked == Some(catch_up.target) {
                    Call::Complete
                } else {
                    half(catch_up.target, catch_up.from)
                }
            }
        },
        Phase::SourceSelect(select) => match select.selected {
            None => Call::SelectSource(primary),
            Some(selected) if selected.base == PinState::Requested => {
                pin(PinSlot::Base, selected.decision.base_lsn)
            }
            Some(selected) if selected.retention == PinState::Requested => {
                pin(PinSlot::Retention, selected.decision.base_lsn)
            }
            Some(_) => Call::BeginTransfer(u64::from(b % 3)),
        },
        Phase::Transfer(transfer) if transfer.chunks_done < transfer.chunks_total => {
            Call::TransferProgress(transfer.chunks_done + 1)
        }
        Phase::Transfer(transfer) => {
            let base = transfer.decision.base_lsn;
            Call::BaseInstalled(base, Lsn(base.0 + u64::from(c % 2)))
        }
        Phase::TailReplay(tail) if tail.acked == Some(tail.goal) => Call::Complete,
        Phase::TailReplay(tail) => half(tail.goal, tail.decision.base_lsn),
        Phase::Completed(completed) => {
            let durable = Lsn(completed.acked.0 + u64::from(b % 2));
            if c % 16 == 0 {
                Call::Fail(ReportedFault::StreamLost)
            } else {
                Call::Acknowledged(durable, Lsn(99))
            }
        }
    }
}

/// Any call, whether or not it fits.
pub(crate) fn any_call(choice: u8, number: u8, epoch: u64) -> Call {
    let lsn = Lsn(u64::from(number % 6));
    let slot = PinSlot::ALL[usize::from(number % 2)];
    match choice % 17 {
        0 => Call::Connect,
        1 => Call::Hello,
        2 => Call::Handshake(None, history(&log_of(epoch, number, choice), 0)),
        3 => Call::Pinned(slot, Some(lsn)),
        4 => Call::PinFailed(slot),
        5 => Call::PinLost(slot),
        6 => Call::Truncated(lsn),
        7 => Call::TruncationRefused,
        8 => Call::Progress(lsn),
        9 => Call::Complete,
        10 => Call::Acknowledged(lsn, Lsn(4)),
        11 => Call::SelectSource(history(&log_of(epoch, number, choice), 0)),
        12 => Call::BeginTransfer(lsn.0),
        13 => Call::TransferProgress(lsn.0),
        14 => Call::BaseInstalled(lsn, lsn),
        15 => Call::CheckBudget(u64::from(number) * 50),
        _ => Call::Fail(ReportedFault::ALL[usize::from(number) % ReportedFault::ALL.len()]),
    }
}
