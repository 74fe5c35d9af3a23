//! From the specification's words to the engine's: the only place where both vocabularies meet.
//!
//! Each function is total and maps distinct values to distinct values, so that nothing can be lost on
//! the way. No rule of the protocol is needed here, and none may be put here.

use std::net::{Ipv4Addr, SocketAddr};

use holdfast_engine as engine;
use holdfast_model::session::vocabulary as model;
use holdfast_model::session::{Facts, Refusal, Retained, classify, log, state};
use holdfast_types::{
    BaseState, Endpoint, EndpointVersion, Epoch, FencingToken, Lineage, LineageEntry, LineageError,
    Lsn, ReplicaFacts, ReplicaId, RetainedHistory, Revision, SessionId, SnapshotBase, StoreId,
    VolumeId,
};
use uuid::Uuid;

/// The identities of an instance. The labels are made once, as an engine's are.
#[derive(Clone, Debug)]
pub struct Names {
    replicas: Vec<ReplicaId>,
}

impl Default for Names {
    fn default() -> Self {
        let label = |number| ReplicaId::new(format!("r{number}")).expect("a letter and a number");
        Self {
            replicas: (0..=u8::MAX).map(label).collect(),
        }
    }
}

impl Names {
    /// The replica of that number.
    #[must_use]
    pub fn replica(&self, number: u8) -> ReplicaId {
        self.replicas[usize::from(number)].clone()
    }

    /// A token.
    #[must_use]
    pub fn token(&self, token: model::Token) -> FencingToken {
        FencingToken {
            volume: volume(token.volume),
            replica: self.replica(token.replica),
            session: SessionId(token.session.into()),
            epoch: epoch(token.epoch),
            endpoint_version: EndpointVersion(token.endpoint_version.into()),
        }
    }
}

/// The number of a replica named by [`Names::replica`].
#[must_use]
pub fn replica_number(replica: &ReplicaId) -> Option<u8> {
    replica.as_str().strip_prefix('r')?.parse().ok()
}

/// The volume of that number.
#[must_use]
pub const fn volume(number: u8) -> VolumeId {
    VolumeId(Uuid::from_u128(number as u128 + 1))
}

/// The number of a volume made by [`volume`].
#[must_use]
pub fn volume_number(volume: VolumeId) -> Option<u8> {
    u8::try_from(volume.0.as_u128().checked_sub(1)?).ok()
}

/// A position. The mark of a base that is being overwritten is the product's own.
#[must_use]
pub const fn lsn(lsn: model::Lsn) -> Lsn {
    if lsn == model::UNBOUNDED {
        Lsn::MAX
    } else {
        Lsn(lsn as u64)
    }
}

/// An epoch.
#[must_use]
pub const fn epoch(epoch: model::Epoch) -> Epoch {
    Epoch(epoch as u64)
}

/// A revision.
#[must_use]
pub const fn revision(revision: u8) -> Revision {
    Revision(revision as u64)
}

/// A point in time.
#[must_use]
pub const fn tick(tick: model::Tick) -> engine::Tick {
    engine::Tick(tick as u64)
}

/// The budgets of a registry; the specification has one for both courses.
///
/// # Panics
/// When a limit is 0, which no instance may have.
#[must_use]
pub fn budgets(budget: model::Budget) -> engine::Budgets {
    let [duration, stall, entries, bytes] =
        [budget.duration, budget.stall, budget.entries, budget.bytes].map(u64::from);
    let budget = engine::Budget::new(duration, stall, entries, bytes);
    let budget = budget.expect("an instance's limits are at least 1");
    engine::Budgets {
        catch_up: budget,
        rebuild: budget,
    }
}

/// An endpoint. Addresses of the specification differ in both ports.
#[must_use]
pub fn endpoint(endpoint: model::Endpoint) -> Endpoint {
    let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let port = u16::from(endpoint.address) * 2;
    Endpoint {
        data: at(port),
        control: at(port + 1),
        version: EndpointVersion(endpoint.version.into()),
    }
}

/// What an assignment says of one replica.
///
/// # Errors
/// On an intent to `recover(rebuild)`, which the product's types cannot say.
pub fn named(named: state::Named) -> Result<engine::ReplicaAssignment, &'static str> {
    let intent = match named.intent {
        model::Intent::Nothing => engine::Intent::None,
        model::Intent::Rebuild => engine::Intent::Rebuild,
        model::Intent::Recover(kind) => engine::Intent::Recover(match kind {
            model::SessionKind::Bootstrap => engine::RecoverKind::Bootstrap,
            model::SessionKind::CatchUp => engine::RecoverKind::CatchUp,
            model::SessionKind::Reassign => engine::RecoverKind::Reassign,
            model::SessionKind::Rebuild => return Err("an intent to recover by a rebuild"),
        }),
    };
    Ok(engine::ReplicaAssignment {
        endpoint: endpoint(named.endpoint),
        member: named.member,
        intent,
    })
}

/// A lineage.
///
/// # Errors
/// When its epochs or positions go back: the product's types cannot hold such a one.
pub fn lineage(lineage: &log::Lineage) -> Result<Lineage, LineageError> {
    let entries = lineage.starts().iter();
    let entries = entries.map(|&(at, first)| LineageEntry {
        epoch: epoch(at),
        first: lsn(first),
    });
    Lineage::new(entries.collect())
}

/// A replica's report. The specification says nothing of stores' identities.
///
/// # Errors
/// As [`lineage`].
pub fn facts(facts: &Facts) -> Result<ReplicaFacts, LineageError> {
    Ok(ReplicaFacts {
        store: StoreId(Uuid::nil()),
        base: BaseState {
            checkpoint: lsn(facts.checkpoint),
            extent_bound: lsn(facts.extent_bound),
            durable: lsn(facts.durable),
        },
        lineage: lineage(&facts.lineage)?,
    })
}

/// The primary's history.
///
/// # Errors
/// As [`lineage`].
pub fn history(history: &Retained) -> Result<RetainedHistory, LineageError> {
    let snapshot = history.snapshot;
    Ok(RetainedHistory {
        base: BaseState {
            checkpoint: lsn(history.checkpoint),
            extent_bound: lsn(history.extent_bound),
            durable: lsn(history.durable),
        },
        head: lsn(history.head),
        committed: lsn(history.committed),
        epoch_start: history.epoch_start.map(lsn),
        retained_from: history.retained_from.map(lsn),
        snapshot: snapshot.map(|(at, trusted)| SnapshotBase {
            base_lsn: lsn(at),
            trusted,
        }),
        lineage: lineage(&history.lineage)?,
    })
}

/// The kind of a session.
#[must_use]
pub const fn kind(kind: model::SessionKind) -> engine::SessionKind {
    match kind {
        model::SessionKind::Bootstrap => engine::SessionKind::Bootstrap,
        model::SessionKind::CatchUp => engine::SessionKind::CatchUp,
        model::SessionKind::Reassign => engine::SessionKind::Reassign,
        model::SessionKind::Rebuild => engine::SessionKind::Rebuild,
    }
}

/// The state of a sender.
#[must_use]
pub const fn sender_state(state: model::SenderState) -> engine::SenderState {
    match state {
        model::SenderState::Disconnected => engine::SenderState::Disconnected,
        model::SenderState::Connecting => engine::SenderState::Connecting,
        model::SenderState::CatchingUp => engine::SenderState::CatchingUp,
        model::SenderState::InSync => engine::SenderState::InSync,
        model::SenderState::Degraded => engine::SenderState::Degraded,
        model::SenderState::NeedsRebuild => engine::SenderState::NeedsRebuild,
        model::SenderState::Rebuilding => engine::SenderState::Rebuilding,
    }
}

/// Why a rebuild is needed.
#[must_use]
pub const fn rebuild_reason(reason: model::RebuildReason) -> engine::RebuildReason {
    match reason {
        model::RebuildReason::NoVolume => engine::RebuildReason::NoVolume,
        model::RebuildReason::UntrustedBase => engine::RebuildReason::UntrustedBase,
        model::RebuildReason::LostAcknowledged => engine::RebuildReason::LostAcknowledged,
        model::RebuildReason::LineageExhausted => engine::RebuildReason::LineageExhausted,
        model::RebuildReason::DivergentExtent => engine::RebuildReason::DivergentExtent,
        model::RebuildReason::GapBeyondRetention => engine::RebuildReason::GapBeyondRetention,
        model::RebuildReason::RetentionLost => engine::RebuildReason::RetentionLost,
        model::RebuildReason::TruncationUnsafe => engine::RebuildReason::TruncationUnsafe,
        model::RebuildReason::BudgetDuration => engine::RebuildReason::BudgetDuration,
        model::RebuildReason::BudgetEntries => engine::RebuildReason::BudgetEntries,
        model::RebuildReason::BudgetStall => engine::RebuildReason::BudgetStall,
        model::RebuildReason::BudgetBytes => engine::RebuildReason::BudgetBytes,
        model::RebuildReason::Ordered => engine::RebuildReason::Ordered,
    }
}

/// A fault.
#[must_use]
pub const fn fault(fault: model::Fault) -> engine::Fault {
    match fault {
        model::Fault::StreamLost => engine::Fault::StreamLost,
        model::Fault::Refused => engine::Fault::Refused,
        model::Fault::Stalled => engine::Fault::Stalled,
        model::Fault::BarrierTimeout => engine::Fault::BarrierTimeout,
        model::Fault::IoError => engine::Fault::IoError,
        model::Fault::Malformed => engine::Fault::Malformed,
        model::Fault::ConnectTimeout => engine::Fault::ConnectTimeout,
        model::Fault::PinFailed => engine::Fault::PinFailed,
    }
}

/// A fault that a caller may report.
///
/// # Errors
/// On the two that are the engine's own, which the product's types cannot say.
pub const fn reported_fault(fault: model::Fault) -> Result<engine::ReportedFault, &'static str> {
    match fault {
        model::Fault::StreamLost => Ok(engine::ReportedFault::StreamLost),
        model::Fault::Refused => Ok(engine::ReportedFault::Refused),
        model::Fault::Stalled => Ok(engine::ReportedFault::Stalled),
        model::Fault::BarrierTimeout => Ok(engine::ReportedFault::BarrierTimeout),
        model::Fault::IoError => Ok(engine::ReportedFault::IoError),
        model::Fault::Malformed => Ok(engine::ReportedFault::Malformed),
        model::Fault::ConnectTimeout => Err("a reported fault `connect_timeout`"),
        model::Fault::PinFailed => Err("a reported fault `pin_failed`"),
    }
}

/// Why a session ended.
#[must_use]
pub const fn cause(cause: model::Cause) -> engine::EndCause {
    use engine::AuthorityCause;
    match cause {
        model::Cause::EpochChanged => engine::EndCause::Authority(AuthorityCause::EpochChanged),
        model::Cause::EndpointChanged => {
            engine::EndCause::Authority(AuthorityCause::EndpointChanged)
        }
        model::Cause::Removed => engine::EndCause::Authority(AuthorityCause::Removed),
        model::Cause::Stopped => engine::EndCause::Authority(AuthorityCause::Stopped),
        model::Cause::Superseded => engine::EndCause::Authority(AuthorityCause::Superseded),
        model::Cause::Fault(why) => engine::EndCause::Fault(fault(why)),
        model::Cause::Escalation(why) => engine::EndCause::Escalation(rebuild_reason(why)),
    }
}

/// The slot of a pin.
#[must_use]
pub const fn slot(slot: model::Slot) -> engine::PinSlot {
    match slot {
        model::Slot::Retention => engine::PinSlot::Retention,
        model::Slot::Base => engine::PinSlot::Base,
    }
}

/// How far a pin is; the engine knows only those that it asked for.
#[must_use]
pub const fn pin(pin: model::Pin) -> Option<engine::PinState> {
    match pin {
        model::Pin::None => None,
        model::Pin::Requested => Some(engine::PinState::Requested),
        model::Pin::Held => Some(engine::PinState::Held),
    }
}

/// The truncation of a catch-up.
#[must_use]
pub const fn truncation(truncate: model::Truncate) -> engine::Truncation {
    match truncate {
        model::Truncate::None => engine::Truncation::None,
        model::Truncate::Required(to) => engine::Truncation::Required(lsn(to)),
        model::Truncate::Confirmed(to) => engine::Truncation::Confirmed(lsn(to)),
    }
}

/// Where a rebuild's base comes from.
#[must_use]
pub const fn source(source: model::Source) -> engine::RebuildSource {
    match source {
        model::Source::SnapshotTail => engine::RebuildSource::SnapshotTail,
        model::Source::FullBase => engine::RebuildSource::FullBase,
    }
}

/// Why from there.
#[must_use]
pub const fn source_reason(reason: model::SourceReason) -> engine::SourceReason {
    match reason {
        model::SourceReason::TrustedSnapshot => engine::SourceReason::TrustedSnapshot,
        model::SourceReason::UnreplayableTail => engine::SourceReason::UnreplayableTail,
        model::SourceReason::UntrustedSnapshot => engine::SourceReason::UntrustedSnapshot,
        model::SourceReason::NoSnapshot => engine::SourceReason::NoSnapshot,
    }
}

/// What a handshake decided. A zero gap and a catch-up differ in their range alone.
#[must_use]
pub fn classification(decided: classify::Classification) -> engine::Classification {
    match decided {
        classify::Classification::NeedsRebuild(reason) => {
            engine::Classification::NeedsRebuild(rebuild_reason(reason))
        }
        classify::Classification::Replay {
            from,
            target,
            truncate_to,
        } => {
            let gap = engine::Gap {
                from: lsn(from),
                target: lsn(target),
                truncate_to: truncate_to.map(lsn),
            };
            if from < target {
                engine::Classification::CatchUp(gap)
            } else {
                engine::Classification::ZeroGap(gap)
            }
        }
    }
}

/// A phase by its name in the prose.
fn phase_name(name: &str) -> Option<engine::PhaseName> {
    engine::PhaseName::ALL
        .iter()
        .copied()
        .find(|phase| phase.name() == name)
}

/// A refusal with its facts.
///
/// # Panics
/// When the specification names a phase that the engine does not have.
#[must_use]
pub fn refusal(refusal: Refusal) -> engine::Refusal {
    use engine::Refusal as Engine;
    match refusal {
        Refusal::UnknownSender => Engine::UnknownSender,
        Refusal::UnknownVolume => Engine::UnknownVolume,
        Refusal::StaleEpoch { current } => Engine::StaleEpoch {
            current: epoch(current),
        },
        Refusal::StaleEndpoint { current } => Engine::StaleEndpoint {
            current: EndpointVersion(current.into()),
        },
        Refusal::StaleSession { current } => Engine::StaleSession {
            current: current.map(|id| SessionId(id.into())),
        },
        Refusal::WrongPhase { phase } => Engine::WrongPhase {
            phase: phase_name(phase).expect("a phase of the prose"),
        },
        Refusal::StaleAssignment {
            epoch: at,
            revision: of,
        } => Engine::StaleAssignment {
            current: (epoch(at), revision(of)),
        },
        Refusal::ConflictingAssignment => Engine::ConflictingAssignment,
        // Which replica it was is not in the prose; the engine does not repeat it.
        Refusal::EndpointRegressed { replica: _ } => Engine::EndpointRegressed,
        Refusal::RebuildOfMember { replica: _ } => Engine::RebuildOfMember,
        Refusal::NotServing => Engine::NotServing,
        Refusal::SessionActive { session } => Engine::SessionActive {
            session: SessionId(session.into()),
        },
        Refusal::RebuildRequired => Engine::RebuildRequired,
        Refusal::StillInSyncSet => Engine::StillInSyncSet,
        Refusal::MalformedFacts => Engine::MalformedFacts,
        Refusal::MalformedHistory => Engine::MalformedHistory,
        Refusal::ReplicaHasNewerEpoch { epoch: newer } => Engine::ReplicaHasNewerEpoch {
            epoch: epoch(newer),
        },
        Refusal::EpochStartMissing => Engine::EpochStartMissing,
        Refusal::PrimaryUntrusted => Engine::PrimaryUntrusted,
        Refusal::PinNotRequested => Engine::PinNotRequested,
        Refusal::PinNotHeld => Engine::PinNotHeld,
        Refusal::TruncationNotRequired => Engine::TruncationNotRequired,
        Refusal::TruncationMismatch { expected } => Engine::TruncationMismatch {
            expected: lsn(expected),
        },
        Refusal::TruncationOutstanding => Engine::TruncationOutstanding,
        Refusal::PinOutstanding => Engine::PinOutstanding,
        Refusal::ProgressRegressed { at_least } => Engine::ProgressRegressed {
            at_least: at_least.into(),
        },
        Refusal::BeyondTarget { goal } => Engine::BeyondTarget { goal: goal.into() },
        Refusal::NotConverged { goal } => Engine::NotConverged { goal: lsn(goal) },
        Refusal::BeyondHead { head } => Engine::BeyondHead { head: lsn(head) },
        Refusal::SourceAlreadySelected => Engine::SourceAlreadySelected,
        Refusal::SourceNotSelected => Engine::SourceNotSelected,
        Refusal::TransferIncomplete => Engine::TransferIncomplete,
        Refusal::BaseMismatch => Engine::BaseMismatch,
    }
}
