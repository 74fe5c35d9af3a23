//! Every session ends: by completion, by a fault, or by its budget (T4, A5, A11).

use super::phase::Phase;
use super::{Context, Flow, Session};
use crate::{EndCause, Fault, RebuildReason, Refusal, ReportedFault, Tick};

/// What a budget check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BudgetCheck {
    /// The session goes on.
    WithinBudget,
    /// It was over budget and has ended.
    Ended(EndCause),
}

impl Session {
    pub(crate) fn check_budget(
        &self,
        cx: &Context<'_>,
        now: Tick,
        pinned_bytes: u64,
    ) -> Result<Flow<BudgetCheck>, Refusal> {
        let budget = cx.budgets.of(self.kind());
        let stalled = budget.exceeds_stall(self.last_progress, now);
        let exceeded = match self.phase {
            Phase::Completed(_) => return Err(self.wrong_phase()),
            Phase::Opening { .. } => stalled.then_some(EndCause::Fault(Fault::ConnectTimeout)),
            Phase::CatchUp(_)
            | Phase::SourceSelect(_)
            | Phase::Transfer(_)
            | Phase::TailReplay(_) => {
                let reason = if budget.exceeds_duration(self.since, now) {
                    Some(RebuildReason::BudgetDuration)
                } else if stalled {
                    Some(RebuildReason::BudgetStall)
                } else if pinned_bytes > budget.pinned_bytes.get() {
                    Some(RebuildReason::BudgetBytes)
                } else {
                    None
                };
                reason.map(EndCause::Escalation)
            }
        };
        Ok(match exceeded {
            Some(cause) => Flow::End(cause, BudgetCheck::Ended(cause)),
            None => Flow::Stay(BudgetCheck::WithinBudget),
        })
    }

    /// Ends by a fault that the caller saw, in any phase.
    pub(crate) fn fail(fault: ReportedFault) -> Flow<()> {
        Flow::End(EndCause::Fault(fault.into()), ())
    }
}
