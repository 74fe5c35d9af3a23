//! What a handshake decides, what a completed session has proven, and when a session has used up
//! its budget.

use super::Work;
use crate::session::classify::{Classification, classify};
use crate::session::rules::Broken;
use crate::session::state::{CatchUp, Completed, Phase, Sender, Session};
use crate::session::vocabulary::{
    Budget, Cause, Fault, Pin, RebuildReason, SessionKind, Slot, Truncate,
};

impl Work<'_> {
    /// The effect of a handshake: the session goes on, or it must end for the reason given.
    pub(super) fn classified(
        &mut self,
        slot: usize,
        sender: &Sender,
        session: &mut Session,
    ) -> Result<(), RebuildReason> {
        if session.kind == SessionKind::Rebuild {
            session.phase = Phase::SourceSelect(None);
            return Ok(());
        }
        let rules = &self.spec.rules;
        let facts = self.inputs.facts.as_ref();
        let Some(history) = &self.inputs.history else {
            return Ok(());
        };
        let outcome = classify(rules, facts, history, sender.acknowledged);
        self.out.classified = Some(outcome);
        let (from, target, truncate_to) = match outcome {
            Classification::NeedsRebuild(reason) => return Err(reason),
            Classification::Replay {
                from,
                target,
                truncate_to,
            } => (from, target, truncate_to),
        };
        let missing = target.saturating_sub(from);
        if missing > self.spec.budget().entries && !self.broken(Broken::EntriesUnbounded) {
            return Err(RebuildReason::BudgetEntries);
        }
        let pin = missing > 0 && !self.broken(Broken::NoRetentionPin);
        let retention = if pin { Pin::Requested } else { Pin::None };
        if pin {
            self.out
                .acquire
                .push((self.token_of(slot, session), Slot::Retention));
        }
        session.phase = Phase::CatchUp(CatchUp {
            from,
            target,
            truncate: truncate_to.map_or(Truncate::None, Truncate::Required),
            retention,
            acked: self.broken(Broken::HandshakeCountsAsAck).then_some(from),
        });
        Ok(())
    }

    pub(super) fn complete(&mut self, slot: usize, sender: &mut Sender, session: &mut Session) {
        let Some((goal, acked)) = session.goal_and_acked() else {
            return;
        };
        for pin in Slot::BOTH {
            if session.pin(pin) != Pin::None {
                self.out.release.push((self.token_of(slot, session), pin));
            }
        }
        let acked = acked.unwrap_or(goal);
        let achieved = if self.broken(Broken::AchievedIsTheGoal) {
            goal
        } else {
            acked
        };
        session.phase = Phase::Completed(Completed {
            achieved,
            acked: achieved,
        });
        if !self.broken(Broken::ReasonSurvivesCompletion) {
            sender.reason = None;
        }
    }

    /// Why the session is over its budget, if it is.
    pub(super) fn exceeded(&self, session: &Session, pinned_bytes: u8) -> Option<Cause> {
        if self.broken(Broken::NoBudget) {
            return None;
        }
        let Budget {
            duration,
            stall,
            bytes,
            ..
        } = self.spec.budget();
        let now = self.inputs.now;
        let stalled = now.saturating_sub(session.last_progress) > stall;
        match session.phase {
            Phase::Init | Phase::Connecting | Phase::Handshake => {
                stalled.then_some(Cause::Fault(Fault::ConnectTimeout))
            }
            Phase::CatchUp(_)
            | Phase::SourceSelect(_)
            | Phase::Transfer(_)
            | Phase::TailReplay(_)
            | Phase::Completed(_) => {
                let reason = if now.saturating_sub(session.since) > duration {
                    RebuildReason::BudgetDuration
                } else if stalled {
                    RebuildReason::BudgetStall
                } else if pinned_bytes > bytes {
                    RebuildReason::BudgetBytes
                } else {
                    return None;
                };
                Some(Cause::Escalation(reason))
            }
        }
    }
}
