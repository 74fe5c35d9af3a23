//! Executors: a bound plan carried out step by step. Evidence goes in, the next thing to do in the
//! world comes out.
//!
//! An executor takes its plan by value and never derives policy anew. It keeps no second copy of
//! how far it is: that is the session's to say. So it cannot go on under a session that ended, and
//! it needs no clean-up of its own: every exit (completion, escalation, fault, cancellation) is the
//! session's end or completion, which releases all pins, the same way for each (F71). An executor
//! that is dropped midway leaves a session that its budget ends.

mod catch_up;
mod rebuild;

use holdfast_types::FencingToken;

pub use catch_up::{CatchUpCommand, CatchUpEvidence, CatchUpExecutor};
pub use rebuild::{RebuildCommand, RebuildEvidence, RebuildExecutor};

use crate::{
    BudgetCheck, Effects, EndCause, Fault, Phase, PinSlot, RebuildReason, Refusal, Registry,
    ReportedFault, Tick,
};

/// What can come between, whatever is being executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interruption {
    /// A pin could not be acquired.
    PinFailed {
        /// Which.
        slot: PinSlot,
    },
    /// A pin was taken away.
    PinLost {
        /// Which.
        slot: PinSlot,
    },
    /// Time passed: the budget is checked.
    Tick {
        /// What the session's pins hold back at the source.
        pinned_bytes: u64,
    },
    /// Something failed.
    Failed(ReportedFault),
}

/// Tells the session of an interruption; the cause, if that ended it.
pub(crate) fn interrupt(
    registry: &mut Registry,
    token: &FencingToken,
    now: Tick,
    interruption: Interruption,
    out: &mut Effects,
) -> Result<Option<EndCause>, Refusal> {
    match interruption {
        Interruption::PinFailed { slot } => {
            registry.pin_failed(token, slot, out)?;
            Ok(Some(EndCause::Fault(Fault::PinFailed)))
        }
        Interruption::PinLost { slot } => {
            registry.pin_lost(token, slot, out)?;
            Ok(Some(EndCause::Escalation(RebuildReason::RetentionLost)))
        }
        Interruption::Tick { pinned_bytes } => Ok(
            match registry.check_budget(token, now, pinned_bytes, out)? {
                BudgetCheck::WithinBudget => None,
                BudgetCheck::Ended(cause) => Some(cause),
            },
        ),
        Interruption::Failed(fault) => {
            registry.fail(token, fault, out)?;
            Ok(Some(EndCause::Fault(fault.into())))
        }
    }
}

/// The phase of the present session, if that is the token's.
pub(crate) fn present_phase(registry: &Registry, token: &FencingToken) -> Result<Phase, Refusal> {
    registry.session(token).map(|session| *session.phase())
}
