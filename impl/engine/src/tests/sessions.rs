//! How sessions begin and end, and what their end leaves.

use holdfast_types::{EndpointVersion, Epoch, Lsn};

use super::scene::{
    DURATION, ENTRIES, Named, OTHER_VOLUME, RECOVER, STALL, Scene, VOLUME, facts, history, id,
};
use crate::{
    AuthorityCause, BudgetCheck, Effects, EndCause, Fault, HandshakeOutcome, Happening, Intent,
    PinSlot, RebuildReason, Refusal, ReportedFault, SenderState, SessionKind, Tick,
};

/// How the last session ended, by the events of the last call.
fn ending(scene: &Scene) -> Option<EndCause> {
    scene.out.events().find_map(|event| {
        let Happening::SessionEnded { cause, state, .. } = event.what else {
            return None;
        };
        assert_eq!(state, scene.state("r"), "the event says what it led to");
        assert_eq!(
            (event.volume, event.replica.clone()),
            (VOLUME, Some(id("r")))
        );
        Some(cause)
    })
}

#[test]
fn f60_nothing_leaves_a_sender_in_sync_without_its_completed_session() {
    // Endpoint change.
    let (mut scene, _) = Scene::in_sync();
    scene
        .assign(VOLUME, 2, 2, &[Named("r", 2, true, Intent::None)])
        .unwrap();
    assert_eq!(scene.state("r"), SenderState::Disconnected);
    // Change of epoch.
    let (mut scene, _) = Scene::in_sync();
    scene
        .assign(VOLUME, 3, 1, &[Named("r", 1, true, Intent::None)])
        .unwrap();
    assert_eq!(scene.state("r"), SenderState::Disconnected);
    // Attaching is refused while the completed session stands.
    let (mut scene, token) = Scene::in_sync();
    let authority = scene.authority("r");
    let now = scene.now;
    let out = &mut Effects::new();
    let attaching = scene
        .registry
        .attach(now, &authority, SessionKind::CatchUp, out);
    let session = token.session;
    assert_eq!(attaching, Err(Refusal::SessionActive { session }));
    // Superseding takes it away.
    scene
        .registry
        .supersede(now, &authority, SessionKind::Reassign, out)
        .unwrap();
    assert_eq!(scene.state("r"), SenderState::Connecting);
    // Stop.
    let (mut scene, _) = Scene::in_sync();
    scene.registry.stop(VOLUME, Epoch(2), out).unwrap();
    assert_eq!(scene.state("r"), SenderState::Disconnected);
    // Fence.
    let (mut scene, _) = Scene::in_sync();
    scene.registry.fence(VOLUME, Epoch(3), out).unwrap();
    assert_eq!(scene.state("r"), SenderState::Disconnected);
    // Loss of the stream.
    let (mut scene, token) = Scene::in_sync();
    scene.fail(&token);
    assert_eq!(scene.state("r"), SenderState::Degraded);
}

#[test]
fn attach_names_the_first_guard_that_fails() {
    let (mut scene, token) = Scene::in_sync();
    let (now, out) = (scene.now, &mut Effects::new());
    let good = scene.authority("r");
    let mut attach = |authority: &crate::SenderAuthority, kind| {
        scene
            .registry
            .attach(now, authority, kind, out)
            .unwrap_err()
    };
    let mut authority = good.clone();
    authority.epoch = Epoch(1);
    authority.endpoint_version = EndpointVersion(9);
    let kind = SessionKind::CatchUp;
    let mut stranger = authority.clone();
    stranger.replica = id("stranger");
    assert_eq!(attach(&stranger, kind), Refusal::UnknownSender);
    stranger.replica = id("r");
    stranger.volume = OTHER_VOLUME;
    assert_eq!(attach(&stranger, kind), Refusal::UnknownSender);
    assert_eq!(
        attach(&authority, kind),
        Refusal::StaleEpoch { current: Epoch(2) }
    );
    authority.epoch = Epoch(2);
    let current = EndpointVersion(1);
    assert_eq!(attach(&authority, kind), Refusal::StaleEndpoint { current });
    let session = token.session;
    assert_eq!(attach(&good, kind), Refusal::SessionActive { session });
    scene
        .registry
        .stop(VOLUME, Epoch(2), &mut Effects::new())
        .unwrap();
    let stopped = scene.registry.attach(now, &good, kind, &mut Effects::new());
    assert_eq!(stopped, Err(Refusal::NotServing));
}

#[test]
fn f70_a_needed_or_running_rebuild_is_not_replaced_by_less() {
    let (mut scene, token) = Scene::shaking_hands(Intent::Rebuild);
    let authority = scene.authority("r");
    let (now, out) = (scene.now, &mut Effects::new());
    for kind in [
        SessionKind::Bootstrap,
        SessionKind::CatchUp,
        SessionKind::Reassign,
    ] {
        let answer = scene.registry.supersede(now, &authority, kind, out);
        assert_eq!(answer, Err(Refusal::RebuildRequired));
    }
    assert_eq!(scene.token("r"), token);
    scene.fail(&token);
    for kind in [
        SessionKind::Bootstrap,
        SessionKind::CatchUp,
        SessionKind::Reassign,
    ] {
        let answer = scene.registry.attach(now, &authority, kind, out);
        assert_eq!(answer, Err(Refusal::RebuildRequired));
        let answer = scene.registry.supersede(now, &authority, kind, out);
        assert_eq!(answer, Err(Refusal::RebuildRequired));
    }
    assert!(out.is_empty());
    let rebuild = scene
        .registry
        .attach(now, &authority, SessionKind::Rebuild, out);
    assert!(rebuild.is_ok());
}

#[test]
fn a_rebuild_may_take_a_rebuilds_place_for_the_same_reason() {
    let (mut scene, token) = Scene::shaking_hands(RECOVER);
    let _ = scene.handshake(&token, None, &history(&[1, 2], 2)).unwrap();
    let authority = scene.authority("r");
    for _ in 0..2 {
        let now = scene.now;
        scene
            .registry
            .supersede(now, &authority, SessionKind::Rebuild, &mut scene.out)
            .unwrap();
        assert_eq!(scene.sender("r").reason(), Some(RebuildReason::NoVolume));
        assert_eq!(scene.state("r"), SenderState::Rebuilding);
    }
}

#[test]
fn each_class_of_ends_leaves_its_own_state() {
    for &fault in ReportedFault::ALL {
        let (mut scene, token) = Scene::in_sync();
        scene.out.clear();
        scene.registry.fail(&token, fault, &mut scene.out).unwrap();
        assert_eq!(ending(&scene), Some(EndCause::Fault(fault.into())));
        assert_eq!(scene.state("r"), SenderState::Degraded);
        assert_eq!(scene.sender("r").reason(), None);
    }
    let (mut scene, _) = Scene::in_sync();
    scene.out.clear();
    scene
        .registry
        .stop(VOLUME, Epoch(2), &mut scene.out)
        .unwrap();
    let stopped = EndCause::Authority(AuthorityCause::Stopped);
    assert_eq!(ending(&scene), Some(stopped));
    assert_eq!(scene.state("r"), SenderState::Disconnected);
}

#[test]
fn t4_whatever_ends_a_rebuild_before_it_completes_leaves_the_need_for_one() {
    let ends: [fn(&mut Scene); 5] = [
        |scene| {
            let token = scene.token("r");
            scene.fail(&token);
        },
        |scene| {
            scene
                .registry
                .stop(VOLUME, Epoch(2), &mut scene.out)
                .unwrap();
        },
        |scene| {
            scene
                .registry
                .fence(VOLUME, Epoch(3), &mut scene.out)
                .unwrap();
        },
        |scene| {
            scene
                .assign(VOLUME, 2, 2, &[Named("r", 2, false, Intent::None)])
                .unwrap();
        },
        |scene| {
            let token = scene.token("r");
            let late = Tick(STALL + 1);
            scene
                .registry
                .check_budget(&token, late, 0, &mut scene.out)
                .unwrap();
        },
    ];
    for end in ends {
        let (mut scene, token) = Scene::shaking_hands(RECOVER);
        let _ = scene.handshake(&token, None, &history(&[1, 2], 2)).unwrap();
        let authority = scene.authority("r");
        scene
            .registry
            .attach(scene.now, &authority, SessionKind::Rebuild, &mut scene.out)
            .unwrap();
        end(&mut scene);
        assert_eq!(scene.state("r"), SenderState::NeedsRebuild);
        assert_eq!(scene.sender("r").reason(), Some(RebuildReason::NoVolume));
        assert_eq!(scene.sender("r").session(), None);
    }
}

#[test]
fn f72_no_session_is_without_a_budget() {
    assert_eq!(crate::Budget::new(0, 1, 1, 1), None);
    assert_eq!(crate::Budget::new(1, 0, 1, 1), None);
    assert_eq!(crate::Budget::new(1, 1, 0, 1), None);
    assert_eq!(crate::Budget::new(1, 1, 1, 0), None);
    for intent in [RECOVER, Intent::Rebuild] {
        // Each kind of session, left alone, is ended by its budget.
        let (mut scene, token) = Scene::shaking_hands(intent);
        let late = Tick(STALL + 1);
        scene.out.clear();
        let check = scene.registry.check_budget(&token, late, 0, &mut scene.out);
        let cause = EndCause::Fault(Fault::ConnectTimeout);
        assert_eq!(check, Ok(BudgetCheck::Ended(cause)));
        assert_eq!(ending(&scene), Some(cause));
    }
}

#[test]
fn a5_a_catch_up_over_its_budget_escalates() {
    let plan = || {
        let (mut scene, token) = Scene::shaking_hands(RECOVER);
        let _ = scene.plan(&token, &[1], 0, &history(&[1, 1, 2], 3));
        (scene, token)
    };
    let bytes = super::scene::BYTES;
    for (now, pinned, reason) in [
        (STALL, bytes, None),
        (STALL + 1, bytes, Some(RebuildReason::BudgetStall)),
        (STALL, bytes + 1, Some(RebuildReason::BudgetBytes)),
        (DURATION + 1, bytes + 1, Some(RebuildReason::BudgetDuration)),
    ] {
        let (mut scene, token) = plan();
        scene.out.clear();
        let before = scene.registry.clone();
        let check = scene
            .registry
            .check_budget(&token, Tick(now), pinned, &mut scene.out);
        let Some(reason) = reason else {
            assert_eq!(check, Ok(BudgetCheck::WithinBudget));
            assert_eq!(scene.registry, before);
            continue;
        };
        let cause = EndCause::Escalation(reason);
        assert_eq!(check, Ok(BudgetCheck::Ended(cause)));
        assert_eq!(ending(&scene), Some(cause));
        assert_eq!(scene.state("r"), SenderState::NeedsRebuild);
        assert_eq!(scene.sender("r").reason(), Some(reason));
    }
}

#[test]
fn a5_a_gap_larger_than_the_budget_is_not_begun() {
    for (missing, begun) in [(ENTRIES, true), (ENTRIES + 1, false)] {
        let mut log = vec![1; usize::try_from(missing).unwrap()];
        log.push(2);
        // The replica holds one entry; the target is the last.
        let (mut scene, token) = Scene::shaking_hands(RECOVER);
        let head = log.len() as u64;
        let outcome = scene.handshake(&token, Some(&facts(&[1], 0)), &history(&log, head));
        match outcome.unwrap() {
            HandshakeOutcome::CatchUp(_) => assert!(begun),
            HandshakeOutcome::Escalated { reason, .. } => {
                assert!(!begun);
                assert_eq!(reason, RebuildReason::BudgetEntries);
                assert_eq!(scene.state("r"), SenderState::NeedsRebuild);
            }
            HandshakeOutcome::SelectSource => panic!("not a rebuild"),
        }
    }
}

#[test]
fn the_duration_counts_from_the_handshake_and_the_stall_from_progress() {
    let (mut scene, token) = Scene::shaking_hands(RECOVER);
    scene.now = Tick(90);
    let _ = scene.plan(&token, &[1], 0, &history(&[1, 1, 2, 2], 4));
    scene.pin(&token, PinSlot::Retention, 0);
    for (step, durable) in [(180, 1), (270, 2), (360, 3)] {
        scene.now = Tick(step);
        scene.progress(&token, durable).unwrap();
    }
    // The same answer again is no progress.
    scene.now = Tick(450);
    scene.progress(&token, 3).unwrap();
    let session = scene.sender("r").session().unwrap();
    assert_eq!(
        (session.since(), session.last_progress()),
        (Tick(90), Tick(360))
    );
    let check = scene
        .registry
        .check_budget(&token, Tick(461), 0, &mut scene.out);
    let cause = EndCause::Escalation(RebuildReason::BudgetStall);
    assert_eq!(check, Ok(BudgetCheck::Ended(cause)));
}

#[test]
fn a_completed_session_has_no_budget_to_exceed() {
    let (mut scene, token) = Scene::in_sync();
    let answer = scene
        .registry
        .check_budget(&token, Tick(u64::MAX), u64::MAX, &mut scene.out);
    assert_eq!(answer.unwrap_err().name(), "wrong_phase");
    assert_eq!(scene.state("r"), SenderState::InSync);
}

#[test]
fn the_kinds_but_rebuild_behave_alike() {
    let run = |kind| {
        let (mut scene, token) = Scene::shaking_hands(RECOVER);
        scene.fail(&token);
        let authority = scene.authority("r");
        let token = scene
            .registry
            .attach(scene.now, &authority, kind, &mut scene.out)
            .unwrap();
        scene.open(&token);
        let plan = scene.plan(&token, &[1, 1, 1], 0, &history(&[1, 1, 2], 3));
        let gap = plan.bound().gap;
        scene.pin(&token, PinSlot::Retention, 0);
        let now = scene.now;
        scene
            .registry
            .truncated(&token, now, Lsn(2), &mut scene.out)
            .unwrap();
        scene.finish(&token, 3);
        assert_eq!(scene.sender("r").session().unwrap().kind(), kind);
        (gap, scene.state("r"), scene.sender("r").acknowledged())
    };
    let outcomes = [
        SessionKind::Bootstrap,
        SessionKind::CatchUp,
        SessionKind::Reassign,
    ]
    .map(run);
    assert_eq!(outcomes[0], outcomes[1]);
    assert_eq!(outcomes[1], outcomes[2]);
}
