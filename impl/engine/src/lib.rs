//! Recovery policy of a Holdfast primary: who is recovered, how, and when that is done.
//!
//! The engine is written from `docs/session.md`, guard by guard; `docs/protocol.md`, sections 4 to
//! 6, says what for. It is pure: no I/O, no clock, no randomness, no threads, no logging. Time is an
//! argument ([`Tick`]); facts about disks are arguments; what has to be done in the world comes out
//! as [`Effect`]s: pins to acquire or release, and events. All state is plain values
//! (`Clone + Eq + Hash`), so it can be driven through the traces of a specification and compared
//! with it field by field.
//!
//! What it promises:
//!
//! - a call either is refused with one typed condition ([`Refusal`]) and has changed nothing, or is
//!   carried out whole (T7, F67);
//! - a replica is called `in_sync` only by its present session, only on what the replica itself
//!   acknowledged under it (T2, F60, F61);
//! - whatever cannot be recovered by replay becomes `needs_rebuild`, explicitly, with the reason
//!   (T4); every decision carries the facts that it follows from ([`RecoverabilityProof`]);
//! - every pin that was asked for is released exactly once, whatever ends its session (F71).
//!
//! What it must never do: take a fact from a cache of its own, decide for an untrusted primary
//! (F69), move a target (T1), or reuse a session's id.
//!
//! # Where to begin
//!
//! A [`Registry`] holds [`Volume`]s, a volume [`Sender`]s by replica, a sender at most one
//! [`Session`], a session its [`Phase`] and what that phase adds. Calls are methods of the registry.
//! On top of it, [`CatchUpExecutor`] and [`RebuildExecutor`] carry bound plans out step by step, and
//! the [`Orchestrator`] takes a session from its assignment to its completion or escalation.

mod assignment;
mod budget;
mod cause;
mod classification;
mod common_position;
mod effect;
mod event;
mod evidence;
mod executor;
mod orchestrator;
mod pin;
mod plan;
mod rebuild_source;
mod recovery_log;
mod refusal;
mod registry;
mod sender;
mod session;
mod status;
mod store_standing;
mod tick;
mod volume;

pub use assignment::{Assignment, Intent, InvalidAssignment, MAX_REPLICAS, ReplicaAssignment};
pub use budget::{Budget, Budgets};
pub use cause::{AuthorityCause, EndCause, Fault, RebuildReason, ReportedFault};
pub use classification::{Classification, Gap, RecoverabilityProof, classify, frozen_target};
pub use common_position::common_position;
pub use effect::{Effect, Effects};
pub use event::{Event, Happening};
pub use executor::{
    CatchUpCommand, CatchUpEvidence, CatchUpExecutor, Interruption, RebuildCommand,
    RebuildEvidence, RebuildExecutor,
};
pub use orchestrator::{Command, Evidence, Orchestrator};
pub use pin::{PinId, PinRequest, PinSlot, PinState, PinSubject};
pub use plan::{BoundCatchUp, BoundRebuild, CatchUpPlan, RebuildPlan};
pub use rebuild_source::{
    RebuildDecision, RebuildSource, SourceReason, decide_rebuild_source, replayable_from,
};
pub use recovery_log::{LoggedEvent, RecoveryLog};
pub use refusal::Refusal;
pub use registry::{AssignOutcome, IntentOutcome, Registry, SenderAuthority};
pub use sender::{Sender, SenderState};
pub use session::phase::{
    CatchUp, Completed, OpeningStep, Phase, PhaseName, Purpose, RecoverKind, SelectedSource,
    SessionKind, SourceSelect, TailReplay, Transfer, Truncation,
};
pub use session::{BudgetCheck, HandshakeOutcome, PinOutcome, Session};
pub use status::{RegistryStatus, SenderStatus, StateCounts, VolumeStatus};
pub use store_standing::StoreStanding;
pub use tick::Tick;
pub use volume::Volume;

#[cfg(test)]
mod tests;
