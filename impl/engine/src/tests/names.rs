//! The same word for the same thing: every name that the engine gives is one of the prose.

use holdfast_types::{EndpointVersion, Epoch, Lsn, Revision, SessionId};

use crate::{
    AuthorityCause, Fault, PhaseName, PinSlot, PinState, RebuildReason, RebuildSource, Refusal,
    ReportedFault, SenderState, SessionKind, SourceReason,
};

const PROSE: &str = include_str!("../../../../docs/session.md");

/// One of each refusal.
fn refusals() -> Vec<Refusal> {
    let (epoch, lsn, session) = (Epoch(1), Lsn(1), SessionId(1));
    vec![
        Refusal::UnknownVolume,
        Refusal::UnknownSender,
        Refusal::StaleEpoch { current: epoch },
        Refusal::StaleEndpoint {
            current: EndpointVersion(1),
        },
        Refusal::StaleSession {
            current: Some(session),
        },
        Refusal::StaleAssignment {
            current: (epoch, Revision(1)),
        },
        Refusal::ConflictingAssignment,
        Refusal::EndpointRegressed,
        Refusal::RebuildOfMember,
        Refusal::NotServing,
        Refusal::SessionActive { session },
        Refusal::RebuildRequired,
        Refusal::StillInSyncSet,
        Refusal::WrongPhase {
            phase: PhaseName::Init,
        },
        Refusal::MalformedFacts,
        Refusal::MalformedHistory,
        Refusal::ReplicaHasNewerEpoch { epoch },
        Refusal::EpochStartMissing,
        Refusal::PrimaryUntrusted,
        Refusal::PinNotRequested,
        Refusal::PinNotHeld,
        Refusal::TruncationNotRequired,
        Refusal::TruncationMismatch { expected: lsn },
        Refusal::TruncationOutstanding,
        Refusal::PinOutstanding,
        Refusal::ProgressRegressed { at_least: 1 },
        Refusal::BeyondTarget { goal: 1 },
        Refusal::NotConverged { goal: lsn },
        Refusal::BeyondHead { head: lsn },
        Refusal::SourceAlreadySelected,
        Refusal::SourceNotSelected,
        Refusal::TransferIncomplete,
        Refusal::BaseMismatch,
    ]
}

#[test]
fn every_name_stands_in_the_prose() {
    let mut names: Vec<&str> = refusals().into_iter().map(Refusal::name).collect();
    names.extend(RebuildReason::ALL.iter().map(|name| name.name()));
    names.extend(AuthorityCause::ALL.iter().map(|name| name.name()));
    names.extend(Fault::ALL.iter().map(|name| name.name()));
    names.extend(SenderState::ALL.iter().map(|name| name.name()));
    names.extend(SessionKind::ALL.iter().map(|name| name.name()));
    names.extend(PhaseName::ALL.iter().map(|name| name.name()));
    names.extend(PinSlot::ALL.iter().map(|name| name.name()));
    names.extend(RebuildSource::ALL.iter().map(|name| name.name()));
    names.extend(SourceReason::ALL.iter().map(|name| name.name()));
    for name in names {
        let quoted = [format!("`{name}`"), format!("`{name} {{")];
        assert!(
            quoted.iter().any(|quoted| PROSE.contains(quoted)),
            "the prose does not know {name}"
        );
    }
    for state in PinState::ALL {
        assert!(PROSE.contains(state.name()));
    }
}

#[test]
fn every_refusal_has_a_name_of_its_own_and_says_what_is_current() {
    let refusals = refusals();
    let names: std::collections::BTreeSet<_> =
        refusals.iter().map(|refusal| refusal.name()).collect();
    assert_eq!(names.len(), refusals.len());
    for refusal in &refusals {
        assert!(refusal.to_string().starts_with(refusal.name()));
    }
    let stale = Refusal::StaleEpoch { current: Epoch(7) };
    assert_eq!(stale.to_string(), "stale_epoch: the volume is in epoch 7");
    assert!(stale.is_stale() && !Refusal::NotServing.is_stale());
}

#[test]
fn the_faults_of_a_caller_are_the_faults_but_those_of_the_engine() {
    let reported: Vec<Fault> = ReportedFault::ALL.iter().map(|&f| f.into()).collect();
    let own = [Fault::ConnectTimeout, Fault::PinFailed];
    let rest: Vec<Fault> = Fault::ALL
        .iter()
        .copied()
        .filter(|fault| !own.contains(fault))
        .collect();
    assert_eq!(reported, rest);
    for &fault in ReportedFault::ALL {
        assert_eq!(fault.name(), Fault::from(fault).name());
    }
}
