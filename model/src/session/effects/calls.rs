//! What the calls on a session do (`docs/session.md`, section 6).

use super::Work;
use crate::session::action::Call;
use crate::session::rules::Broken;
use crate::session::state::{CatchUp, Phase, TailReplay, Transfer};
use crate::session::vocabulary::{Cause, Fault, Lsn, Pin, RebuildReason, Slot, Token, Truncate};

impl Work<'_> {
    pub(super) fn on_session(&mut self, slot: usize, token: Token, call: Call) {
        let Some(mut sender) = self.state.senders[slot] else {
            return;
        };
        let Some(mut session) = sender.session else {
            return;
        };
        let now = self.inputs.now;
        let mut progress = true;
        match call {
            Call::Connect => session.phase = Phase::Connecting,
            Call::Hello => session.phase = Phase::Handshake,
            Call::Handshake { .. } => {
                session.since = now;
                if let Err(reason) = self.classified(slot, &sender, &mut session) {
                    return self.end(slot, Cause::Escalation(reason));
                }
            }
            Call::Pinned { slot: pin } => {
                let from = session.replays_from().unwrap_or(0);
                let enough = !self.broken(Broken::PinNotHeldAgainstHistory);
                let tail_unchecked = matches!(session.phase, Phase::SourceSelect(_))
                    && self.broken(Broken::TailNotChecked);
                let reaches = self.inputs.retained_from.is_some_and(|lsn| lsn <= from);
                if pin == Slot::Retention && enough && !reaches && !tail_unchecked {
                    return self.end(slot, Cause::Escalation(RebuildReason::RetentionLost));
                }
                set_pin(&mut session.phase, pin, Pin::Held);
            }
            Call::PinFailed { .. } => return self.end(slot, Cause::Fault(Fault::PinFailed)),
            Call::PinLost { slot: pin } => {
                if !self.broken(Broken::PinLostIgnored) {
                    return self.end(slot, Cause::Escalation(RebuildReason::RetentionLost));
                }
                set_pin(&mut session.phase, pin, Pin::None);
            }
            Call::Truncated { to } => {
                if let Phase::CatchUp(catch_up) = &mut session.phase {
                    catch_up.truncate = Truncate::Confirmed(to);
                }
                if !self.broken(Broken::AcknowledgedSurvivesTruncation) {
                    sender.acknowledged = sender.acknowledged.map(|lsn| lsn.min(to));
                }
            }
            Call::TruncationRefused => {
                return self.end(slot, Cause::Escalation(RebuildReason::TruncationUnsafe));
            }
            Call::Progress { durable } => {
                progress = acknowledge(&mut session.phase, durable);
                sender.acknowledged = sender.acknowledged.max(Some(durable));
            }
            Call::Complete => {
                self.complete(slot, &mut sender, &mut session);
                progress = false;
            }
            Call::Acknowledged { durable } => {
                acknowledge(&mut session.phase, durable);
                sender.acknowledged = sender.acknowledged.max(Some(durable));
                progress = false;
            }
            Call::SelectSource { .. } => {
                let Some(history) = self.inputs.history else {
                    return;
                };
                session.phase = Phase::SourceSelect(Some(self.plan(&history)));
                self.out.acquire.extend(Slot::BOTH.map(|pin| (token, pin)));
            }
            Call::BeginTransfer { chunks_total } => {
                if let Phase::SourceSelect(Some(mut plan)) = session.phase {
                    if self.broken(Broken::BasePinReleasedEarly) {
                        plan.base = Pin::None;
                        self.out
                            .release
                            .push((self.token_of(slot, &session), Slot::Base));
                    }
                    session.phase = Phase::Transfer(Transfer {
                        plan,
                        chunks_total,
                        chunks_done: 0,
                    });
                }
                if !self.broken(Broken::AcknowledgedSurvivesRebuild) {
                    sender.acknowledged = None;
                }
            }
            Call::TransferProgress { chunks_done } => {
                if let Phase::Transfer(transfer) = &mut session.phase {
                    progress = chunks_done > transfer.chunks_done;
                    transfer.chunks_done = chunks_done;
                }
            }
            Call::BaseInstalled { extent_bound, .. } => {
                self.base_installed(slot, &mut session, extent_bound);
            }
            Call::CheckBudget { pinned_bytes } => {
                if let Some(cause) = self.exceeded(&session, pinned_bytes) {
                    return self.end(slot, cause);
                }
                self.out.within_budget = true;
                return;
            }
            Call::Fail { cause } => {
                if !self.broken(Broken::FailLeavesSession) {
                    return self.end(slot, Cause::Fault(cause));
                }
                return;
            }
        }
        if progress {
            session.last_progress = now;
        }
        sender.state = session.state();
        sender.session = Some(session);
        self.state.senders[slot] = Some(sender);
    }
}

fn set_pin(phase: &mut Phase, slot: Slot, to: Pin) {
    match (phase, slot) {
        (Phase::CatchUp(CatchUp { retention, .. }), Slot::Retention) => *retention = to,
        (
            Phase::SourceSelect(Some(plan))
            | Phase::Transfer(Transfer { plan, .. })
            | Phase::TailReplay(TailReplay { plan, .. }),
            Slot::Retention,
        ) => plan.retention = to,
        (
            Phase::SourceSelect(Some(plan))
            | Phase::Transfer(Transfer { plan, .. })
            | Phase::TailReplay(TailReplay { plan, .. }),
            Slot::Base,
        ) => plan.base = to,
        (Phase::CatchUp(_), Slot::Base)
        | (
            Phase::Init
            | Phase::Connecting
            | Phase::Handshake
            | Phase::SourceSelect(None)
            | Phase::Completed(_),
            Slot::Retention | Slot::Base,
        ) => {}
    }
}

/// Records what the replica acknowledged; whether that is progress.
fn acknowledge(phase: &mut Phase, durable: Lsn) -> bool {
    match phase {
        Phase::CatchUp(CatchUp { acked, .. }) | Phase::TailReplay(TailReplay { acked, .. }) => {
            let grew = acked.is_none_or(|before| durable > before);
            *acked = Some(durable);
            grew
        }
        Phase::Completed(completed) => {
            completed.acked = durable;
            false
        }
        Phase::Init
        | Phase::Connecting
        | Phase::Handshake
        | Phase::SourceSelect(_)
        | Phase::Transfer(_) => false,
    }
}
