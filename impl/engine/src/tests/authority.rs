//! Assign, fence and stop.

use holdfast_types::{EndpointVersion, Epoch, Lsn, Revision, SessionId};

use super::scene::{
    Named, OTHER_VOLUME, RECOVER, Scene, VOLUME, assignment, attached, facts, history, id,
};
use crate::{
    AssignOutcome, Assignment, AuthorityCause, Effects, EndCause, Happening, Intent, IntentOutcome,
    InvalidAssignment, RebuildReason, Refusal, SenderState, SessionKind,
};

const NONE: Intent = Intent::None;

/// A change that must be refused, and must leave everything as it was.
fn refused(scene: &mut Scene, epoch: u64, revision: u64, replicas: &[Named], refusal: Refusal) {
    let before = scene.registry.clone();
    assert_eq!(
        scene.assign(VOLUME, epoch, revision, replicas),
        Err(refusal)
    );
    assert!(scene.out.is_empty());
    assert_eq!(scene.registry, before);
}

#[test]
fn f67_an_older_assignment_changes_nothing_whatever_it_says() {
    let (mut scene, _) = Scene::in_sync();
    scene
        .assign(VOLUME, 2, 5, &[Named("r", 1, true, NONE)])
        .unwrap();
    let current = (Epoch(2), Revision(5));
    for (epoch, revision) in [(1, 9), (2, 4)] {
        for replicas in [&[][..], &[Named("r", 9, false, Intent::Rebuild)]] {
            refused(
                &mut scene,
                epoch,
                revision,
                replicas,
                Refusal::StaleAssignment { current },
            );
        }
    }
    assert_eq!(scene.state("r"), SenderState::InSync);
}

#[test]
fn f81_an_epoch_never_goes_back() {
    let mut scene = Scene::new();
    scene.assign(VOLUME, 7, 1, &[]).unwrap();
    let current = (Epoch(7), Revision(1));
    refused(&mut scene, 3, 9, &[], Refusal::StaleAssignment { current });
    let out = &mut Effects::new();
    for epoch in [3, 7] {
        let current = Epoch(7);
        let refusal = scene.registry.fence(VOLUME, Epoch(epoch), out);
        assert_eq!(refusal, Err(Refusal::StaleEpoch { current }));
    }
}

#[test]
fn f68_an_assignment_touches_no_other_volume() {
    let (mut scene, _) = Scene::in_sync();
    let before = scene.registry.volume(VOLUME).unwrap().clone();
    scene
        .assign(OTHER_VOLUME, 9, 9, &[Named("r", 4, false, RECOVER)])
        .unwrap();
    scene.assign(OTHER_VOLUME, 10, 1, &[]).unwrap();
    let out = &mut Effects::new();
    scene.registry.fence(OTHER_VOLUME, Epoch(11), out).unwrap();
    assert_eq!(scene.registry.volume(VOLUME), Some(&before));
}

#[test]
fn c5_repeating_an_unchanged_assignment_has_no_effect() {
    let (mut scene, token) = Scene::in_sync();
    let before = scene.registry.clone();
    let again = scene.assign(VOLUME, 2, 1, &[Named("r", 1, false, RECOVER)]);
    assert_eq!(again, Ok(AssignOutcome::Unchanged));
    assert!(scene.out.is_empty());
    assert_eq!(scene.registry, before);
    assert_eq!(scene.token("r"), token);
}

#[test]
fn f76_an_unchanged_assignment_creates_no_session_even_where_one_was_lost() {
    let (mut scene, token) = Scene::in_sync();
    scene.fail(&token);
    let before = scene.registry.clone();
    let again = scene.assign(VOLUME, 2, 1, &[Named("r", 1, false, RECOVER)]);
    assert_eq!(again, Ok(AssignOutcome::Unchanged));
    assert_eq!(scene.registry, before);
}

#[test]
fn c5_repetition_does_not_make_a_stopped_volume_serve() {
    let (mut scene, _) = Scene::in_sync();
    scene
        .registry
        .stop(VOLUME, Epoch(2), &mut scene.out)
        .unwrap();
    let again = scene.assign(VOLUME, 2, 1, &[Named("r", 1, false, RECOVER)]);
    assert_eq!(again, Ok(AssignOutcome::Unchanged));
    assert!(!scene.registry.volume(VOLUME).unwrap().is_serving());
    scene
        .assign(VOLUME, 2, 2, &[Named("r", 1, false, RECOVER)])
        .unwrap();
    assert!(scene.registry.volume(VOLUME).unwrap().is_serving());
}

#[test]
fn another_assignment_of_the_same_revision_is_a_contradiction() {
    let (mut scene, _) = Scene::in_sync();
    let refusal = Refusal::ConflictingAssignment;
    refused(&mut scene, 2, 1, &[Named("r", 1, true, RECOVER)], refusal);
    refused(&mut scene, 2, 1, &[], refusal);
}

#[test]
fn f86_a_change_within_the_epoch_is_followed() {
    let (mut scene, token) = Scene::in_sync();
    scene
        .assign(VOLUME, 2, 2, &[Named("r", 1, true, NONE)])
        .unwrap();
    assert!(scene.sender("r").is_member());
    assert_eq!(scene.token("r"), token, "and does not disturb what goes on");
    assert_eq!(scene.state("r"), SenderState::InSync);
}

#[test]
fn an_endpoint_never_goes_back_and_a_version_never_names_two_addresses() {
    let (mut scene, _) = Scene::in_sync();
    scene
        .assign(VOLUME, 2, 2, &[Named("r", 5, false, NONE)])
        .unwrap();
    let refusal = Refusal::EndpointRegressed;
    refused(&mut scene, 2, 3, &[Named("r", 4, false, NONE)], refusal);

    let mut replicas = assignment(VOLUME, 2, 3, &[Named("r", 5, false, NONE)])
        .replicas()
        .clone();
    replicas
        .get_mut(&id("r"))
        .unwrap()
        .endpoint
        .data
        .set_port(1);
    let elsewhere = Assignment::new(VOLUME, Epoch(2), Revision(3), replicas).unwrap();
    let before = scene.registry.clone();
    let answer = scene.registry.assign(scene.now, elsewhere, &mut scene.out);
    assert_eq!(answer, Err(refusal));
    assert_eq!(scene.registry, before);
}

#[test]
fn the_first_replica_in_order_of_id_decides_the_refusal() {
    let mut scene = Scene::new();
    let known = [Named("a", 5, false, NONE), Named("b", 5, false, NONE)];
    scene.assign(VOLUME, 2, 1, &known).unwrap();
    let a_rebuilt = [
        Named("b", 4, false, NONE),
        Named("a", 5, true, Intent::Rebuild),
    ];
    refused(&mut scene, 2, 2, &a_rebuilt, Refusal::RebuildOfMember);
    let a_regressed = [
        Named("a", 4, true, Intent::Rebuild),
        Named("b", 5, true, Intent::Rebuild),
    ];
    refused(&mut scene, 2, 2, &a_regressed, Refusal::EndpointRegressed);
}

#[test]
fn f57_a_member_is_never_rebuilt() {
    let (mut scene, _) = Scene::in_sync();
    let rebuild = Named("r", 1, true, Intent::Rebuild);
    refused(&mut scene, 2, 2, &[rebuild], Refusal::RebuildOfMember);
    refused(&mut scene, 3, 1, &[rebuild], Refusal::RebuildOfMember);
    scene
        .assign(VOLUME, 2, 2, &[Named("r", 1, true, NONE)])
        .unwrap();
    let authority = scene.authority("r");
    let out = &mut Effects::new();
    let superseding = scene
        .registry
        .supersede(scene.now, &authority, SessionKind::Rebuild, out);
    assert_eq!(superseding, Err(Refusal::StillInSyncSet));
    let token = scene.token("r");
    scene.fail(&token);
    let attaching = scene
        .registry
        .attach(scene.now, &authority, SessionKind::Rebuild, out);
    assert_eq!(attaching, Err(Refusal::StillInSyncSet));
    assert!(out.is_empty());
    // Having left the set, it may be.
    let outcome = scene.assign(VOLUME, 2, 3, &[Named("r", 1, false, Intent::Rebuild)]);
    attached(&outcome.unwrap(), "r");
    assert_eq!(scene.state("r"), SenderState::Rebuilding);
}

#[test]
fn t8_a_changed_address_keeps_the_sender_and_ends_its_session() {
    let (mut scene, token) = Scene::in_sync();
    let moved = scene.assign(VOLUME, 2, 2, &[Named("r", 2, false, RECOVER)]);
    let newer = attached(&moved.unwrap(), "r");
    assert_eq!(
        scene.sender("r").acknowledged(),
        Some(Lsn(3)),
        "the sender is the same"
    );
    assert_eq!(newer.endpoint_version, EndpointVersion(2));
    assert_eq!(newer.session, SessionId(token.session.0 + 1));
    assert_eq!(scene.state("r"), SenderState::Connecting);
    let ended = EndCause::Authority(AuthorityCause::EndpointChanged);
    assert!(scene.out.events().any(|event| {
        event.session == Some(token.session)
            && matches!(event.what, Happening::SessionEnded { cause, .. } if cause == ended)
    }));
}

#[test]
fn a_moved_sender_without_a_session_stays_as_it_was() {
    let (mut scene, token) = Scene::in_sync();
    scene.fail(&token);
    scene
        .assign(VOLUME, 2, 2, &[Named("r", 2, false, NONE)])
        .unwrap();
    assert_eq!(scene.state("r"), SenderState::Degraded);
}

#[test]
fn a_replica_that_is_not_named_loses_its_sender_and_its_session() {
    let (mut scene, token) = Scene::in_sync();
    scene
        .assign(VOLUME, 2, 2, &[Named("s", 1, false, NONE)])
        .unwrap();
    assert_eq!(scene.registry.sender(VOLUME, &id("r")), None);
    assert_eq!(scene.state("s"), SenderState::Disconnected);
    assert_eq!(
        scene.registry.check_token(&token),
        Err(Refusal::UnknownSender)
    );
    let removed = EndCause::Authority(AuthorityCause::Removed);
    assert!(scene.out.events().any(|event| matches!(
        event.what,
        Happening::SessionEnded { cause, .. } if cause == removed
    )));
}

#[test]
fn an_intent_to_recover_leaves_a_session_or_a_needed_rebuild_alone() {
    let (mut scene, token) = Scene::in_sync();
    let outcome = scene.assign(VOLUME, 2, 2, &[Named("r", 1, false, RECOVER)]);
    let present = IntentOutcome::SessionPresent {
        session: token.session,
    };
    let intents = AssignOutcome::Applied([(id("r"), present)].into());
    assert_eq!(outcome, Ok(intents));

    let (mut scene, token) = Scene::shaking_hands(RECOVER);
    let report = scene.handshake(&token, None, &history(&[1, 2], 2));
    assert!(report.is_ok());
    let outcome = scene.assign(VOLUME, 3, 1, &[Named("r", 2, false, RECOVER)]);
    let reason = RebuildReason::NoVolume;
    let required = IntentOutcome::RebuildRequired { reason };
    assert_eq!(
        outcome,
        Ok(AssignOutcome::Applied([(id("r"), required)].into()))
    );
    assert_eq!(
        scene.state("r"),
        SenderState::NeedsRebuild,
        "a new epoch does not help"
    );
    assert_eq!(scene.sender("r").reason(), Some(reason));
}

#[test]
fn an_intent_to_rebuild_takes_another_sessions_place_but_not_a_rebuilds() {
    let (mut scene, token) = Scene::in_sync();
    let outcome = scene.assign(VOLUME, 2, 2, &[Named("r", 1, false, Intent::Rebuild)]);
    let rebuild = attached(&outcome.unwrap(), "r");
    assert!(rebuild.session > token.session);
    assert_eq!(scene.sender("r").reason(), Some(RebuildReason::Ordered));
    let outcome = scene.assign(VOLUME, 2, 3, &[Named("r", 1, false, Intent::Rebuild)]);
    let present = IntentOutcome::SessionPresent {
        session: rebuild.session,
    };
    assert_eq!(
        outcome,
        Ok(AssignOutcome::Applied([(id("r"), present)].into()))
    );
    // A change of epoch ends it, and the new one is for the same reason.
    let outcome = scene.assign(VOLUME, 3, 1, &[Named("r", 1, false, Intent::Rebuild)]);
    attached(&outcome.unwrap(), "r");
    assert_eq!(scene.sender("r").reason(), Some(RebuildReason::Ordered));
}

#[test]
fn a_newer_epoch_forgets_what_was_acknowledged_and_a_newer_revision_does_not() {
    let (mut scene, _) = Scene::in_sync();
    scene
        .assign(VOLUME, 2, 2, &[Named("r", 1, false, NONE)])
        .unwrap();
    assert_eq!(scene.sender("r").acknowledged(), Some(Lsn(3)));
    scene
        .assign(VOLUME, 3, 1, &[Named("r", 1, false, NONE)])
        .unwrap();
    assert_eq!(scene.sender("r").acknowledged(), None);
}

#[test]
fn a_fence_ends_every_session_and_keeps_the_senders() {
    let (mut scene, token) = Scene::in_sync();
    scene.out.clear();
    scene
        .registry
        .fence(VOLUME, Epoch(5), &mut scene.out)
        .unwrap();
    let volume = scene.registry.volume(VOLUME).unwrap();
    assert_eq!(
        (volume.epoch(), volume.revision(), volume.is_serving()),
        (Epoch(5), Revision(0), false)
    );
    assert_eq!(scene.state("r"), SenderState::Disconnected);
    assert_eq!(scene.sender("r").acknowledged(), None);
    let current = Epoch(5);
    assert_eq!(
        scene.registry.check_token(&token),
        Err(Refusal::StaleEpoch { current })
    );
    let authority = scene.authority("r");
    let attaching =
        scene
            .registry
            .attach(scene.now, &authority, SessionKind::CatchUp, &mut scene.out);
    assert_eq!(attaching, Err(Refusal::NotServing));
    // The assignment that was in force is now older; one of the epoch that was seen is newer.
    let current = (Epoch(5), Revision(0));
    let again = scene.assign(VOLUME, 2, 1, &[Named("r", 1, false, RECOVER)]);
    assert_eq!(again, Err(Refusal::StaleAssignment { current }));
    let newer = scene.assign(VOLUME, 5, 1, &[Named("r", 1, false, RECOVER)]);
    attached(&newer.unwrap(), "r");
}

#[test]
fn fence_and_stop_name_the_first_guard_that_fails() {
    let (mut scene, _) = Scene::in_sync();
    let out = &mut Effects::new();
    let current = Epoch(2);
    let registry = &mut scene.registry;
    assert_eq!(
        registry.fence(OTHER_VOLUME, Epoch(9), out),
        Err(Refusal::UnknownVolume)
    );
    assert_eq!(
        registry.stop(OTHER_VOLUME, Epoch(9), out),
        Err(Refusal::UnknownVolume)
    );
    for epoch in [1, 3] {
        let stale = Err(Refusal::StaleEpoch { current });
        assert_eq!(registry.stop(VOLUME, Epoch(epoch), out), stale);
    }
    assert!(out.is_empty());
    assert_eq!(registry.stop(VOLUME, Epoch(2), out), Ok(()));
    out.clear();
    assert_eq!(
        registry.stop(VOLUME, Epoch(2), out),
        Err(Refusal::NotServing)
    );
    assert!(out.is_empty());
}

#[test]
fn session_ids_are_not_reused_in_whatever_epoch() {
    let mut scene = Scene::new();
    for epoch in 1..=4 {
        let outcome = scene.assign(VOLUME, epoch, 1, &[Named("r", 1, false, RECOVER)]);
        assert_eq!(attached(&outcome.unwrap(), "r").session, SessionId(epoch));
    }
    let next = scene.registry.volume(VOLUME).unwrap().next_session();
    assert_eq!(next, SessionId(5));
}

#[test]
fn f69_an_emptied_or_untrusted_primary_decides_nothing() {
    let (mut scene, token) = Scene::shaking_hands(RECOVER);
    let replica = facts(&[1, 1, 1, 1], 0);
    let good = history(&[2], 1);

    let mut no_start = good.clone();
    no_start.epoch_start = None;
    let mut not_its_own = history(&[1, 1], 2);
    not_its_own.epoch_start = Some(Lsn(1));
    let mut untrusted = good.clone();
    untrusted.base.extent_bound = Lsn(9);
    for (history, refusal) in [
        (no_start, Refusal::EpochStartMissing),
        (not_its_own, Refusal::EpochStartMissing),
        (untrusted, Refusal::PrimaryUntrusted),
    ] {
        let before = scene.registry.clone();
        assert_eq!(
            scene.handshake(&token, Some(&replica), &history),
            Err(refusal)
        );
        assert!(scene.out.is_empty());
        assert_eq!(scene.registry, before);
    }
}

#[test]
fn an_assignment_names_each_replica_once_and_counts_from_one() {
    let one = |replicas: usize| {
        let named = assignment(VOLUME, 1, 1, &[Named("r", 1, false, NONE)]);
        let assigned = named.replicas()[&id("r")];
        (0..replicas).map(move |n| (id(&format!("r{n}")), assigned))
    };
    let make = |epoch, revision, replicas: Vec<_>| {
        Assignment::new(VOLUME, Epoch(epoch), Revision(revision), replicas)
    };
    let list = |replicas| one(replicas).collect::<Vec<_>>();
    assert_eq!(make(0, 1, list(1)), Err(InvalidAssignment::ZeroEpoch));
    assert_eq!(make(1, 0, list(1)), Err(InvalidAssignment::ZeroRevision));
    assert_eq!(
        make(1, 1, list(65)),
        Err(InvalidAssignment::TooManyReplicas)
    );
    assert!(make(1, 1, list(64)).is_ok());
    let twice = [list(1), list(1)].concat();
    let replica = id("r0");
    assert_eq!(
        make(1, 1, twice),
        Err(InvalidAssignment::DuplicateReplica { replica })
    );
}
