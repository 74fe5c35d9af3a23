//! What must be possible: every outcome, every escalation, every class of end, every refusal. A
//! specification in which nothing happens breaks no promise.

use super::Session as Spec;
use super::classify::Classification;
use super::refusal::REASONS;
use super::state::{Phase, State};
use super::vocabulary::{Cause, Fault, RebuildReason, SenderState, SessionKind, Source, Truncate};
use crate::checking::{Check, Property, Step};

fn some_sender(state: &State, is: impl Fn(&super::state::Sender) -> bool) -> bool {
    state.senders.iter().flatten().any(is)
}

fn some_session(state: &State, is: impl Fn(&super::state::Session) -> bool) -> bool {
    some_sender(state, |sender| sender.session.as_ref().is_some_and(&is))
}

/// Whether the call ended a session for such a cause.
fn ended_by(step: &Step<'_, Spec>, is: impl Fn(Cause) -> bool) -> bool {
    step.outputs
        .is_some_and(|outputs| outputs.ended.iter().any(|(_, cause)| is(*cause)))
}

/// Whether a handshake was answered with a replay like this, by its `from` and `target`.
fn answered(step: &Step<'_, Spec>, is: impl Fn(u8, u8) -> bool) -> bool {
    match step.outputs.and_then(|outputs| outputs.classified) {
        Some(Classification::Replay { from, target, .. }) => is(from, target),
        Some(Classification::NeedsRebuild(_)) | None => false,
    }
}

macro_rules! states {
    ($($name:literal: $state:ident),* $(,)?) => {
        [$(Property {
            name: concat!("state ", $name),
            says: concat!("a sender is ", $name),
            check: Check::Sometimes(|_: &Spec, state: &State| {
                some_sender(state, |sender| sender.state == SenderState::$state)
            }),
        }),*]
    };
}

macro_rules! escalations {
    ($($name:literal: $reason:ident),* $(,)?) => {
        [$(Property {
            name: concat!("escalation ", $name),
            says: concat!("a session ends as a rebuild is needed: ", $name),
            check: Check::SometimesStep(|_: &Spec, step: &Step<'_, Spec>| {
                let is = |cause| cause == Cause::Escalation(RebuildReason::$reason);
                ended_by(step, is)
            }),
        }),*]
    };
}

macro_rules! ends {
    ($($name:literal: $cause:pat),* $(,)?) => {
        [$(Property {
            name: concat!("end ", $name),
            says: concat!("a session ends: ", $name),
            check: Check::SometimesStep(|_: &Spec, step: &Step<'_, Spec>| {
                ended_by(step, |cause| matches!(cause, $cause))
            }),
        }),*]
    };
}

macro_rules! sometimes {
    ($($name:literal: $seen:expr),* $(,)?) => {
        [$(Property { name: $name, says: $name, check: Check::Sometimes($seen) }),*]
    };
}

type Seen = fn(&Spec, &Step<'_, Spec>) -> bool;

/// Every witness.
pub(super) fn all() -> Vec<Property<Spec>> {
    let mut all: Vec<Property<Spec>> = Vec::new();
    all.extend(states! {
        "disconnected": Disconnected,
        "connecting": Connecting,
        "catching_up": CatchingUp,
        "in_sync": InSync,
        "degraded": Degraded,
        "needs_rebuild": NeedsRebuild,
        "rebuilding": Rebuilding,
    });
    all.extend(sometimes! {
        "in sync by catch-up": |_: &Spec, state: &State| some_session(state, |session| {
            session.kind != SessionKind::Rebuild && matches!(session.phase, Phase::Completed(_))
        }),
        "in sync by rebuild": |_: &Spec, state: &State| some_session(state, |session| {
            session.kind == SessionKind::Rebuild && matches!(session.phase, Phase::Completed(_))
        }),
        "a truncation is required": |_: &Spec, state: &State| some_session(state, |session| {
            matches!(session.phase, Phase::CatchUp(at) if matches!(at.truncate, Truncate::Required(_)))
        }),
        "in sync after a truncation": |_: &Spec, state: &State| {
            state.ghosts.iter().zip(state.senders).any(|(ghost, sender)| {
                ghost.diverged && sender.is_some_and(|sender| sender.is_completed())
            })
        },
        "a rebuild from a snapshot replays its tail": |_: &Spec, state: &State| some_session(state, |session| {
            matches!(session.phase, Phase::TailReplay(at) if at.plan.source == Source::SnapshotTail)
        }),
        "a rebuild from the live extent replays its tail": |_: &Spec, state: &State| some_session(state, |session| {
            matches!(session.phase, Phase::TailReplay(at) if at.plan.source == Source::FullBase)
        }),
        "the image is ahead of the target": |_: &Spec, state: &State| some_session(state, |session| {
            matches!(session.phase, Phase::TailReplay(at) if at.goal > at.plan.target)
        }),
        "a transfer of no chunks": |_: &Spec, state: &State| some_session(state, |session| {
            matches!(session.phase, Phase::Transfer(at) if at.chunks_total == 0)
        }),
        "two sessions at once": |_: &Spec, state: &State| {
            state.senders.iter().flatten().filter(|sender| sender.session.is_some()).count() > 1
        },
    });
    let steps: [(&'static str, Seen); 6] = [
        ("classified: zero gap", |_, step| {
            answered(step, |from, target| from >= target)
        }),
        ("classified: catch-up", |_, step| {
            answered(step, |from, target| from < target)
        }),
        ("classified: ahead of the target", |_, step| {
            answered(step, |from, target| from > target)
        }),
        ("assignment unchanged", |_, step| {
            step.outputs.is_some_and(|said| said.unchanged)
        }),
        ("assignment finds that a rebuild is required", |_, step| {
            step.outputs
                .is_some_and(|said| !said.rebuild_required.is_empty())
        }),
        ("within budget", |_, step| {
            step.outputs.is_some_and(|said| said.within_budget)
        }),
    ];
    all.extend(steps.map(|(name, seen)| Property {
        name,
        says: name,
        check: Check::SometimesStep(seen),
    }));
    all.extend(escalations! {
        "no_volume": NoVolume,
        "untrusted_base": UntrustedBase,
        "lost_acknowledged": LostAcknowledged,
        "lineage_exhausted": LineageExhausted,
        "divergent_extent": DivergentExtent,
        "gap_beyond_retention": GapBeyondRetention,
        "retention_lost": RetentionLost,
        "truncation_unsafe": TruncationUnsafe,
        "budget_duration": BudgetDuration,
        "budget_entries": BudgetEntries,
        "budget_stall": BudgetStall,
        "budget_bytes": BudgetBytes,
    });
    all.extend(ends! {
        "epoch_changed": Cause::EpochChanged,
        "endpoint_changed": Cause::EndpointChanged,
        "removed": Cause::Removed,
        "stopped": Cause::Stopped,
        "superseded": Cause::Superseded,
        "stream_lost": Cause::Fault(Fault::StreamLost),
        "refused": Cause::Fault(Fault::Refused),
        "stalled": Cause::Fault(Fault::Stalled),
        "barrier_timeout": Cause::Fault(Fault::BarrierTimeout),
        "io_error": Cause::Fault(Fault::IoError),
        "malformed": Cause::Fault(Fault::Malformed),
        "connect_timeout": Cause::Fault(Fault::ConnectTimeout),
        "pin_failed": Cause::Fault(Fault::PinFailed),
    });
    all.extend(REASONS.iter().map(|reason| Property {
        name: reason,
        says: "some call is refused for this reason",
        check: Check::Refused(reason),
    }));
    all
}
