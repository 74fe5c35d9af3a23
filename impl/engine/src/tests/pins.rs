//! Pins: asked for before anything rests on them, released once, whatever happens.

use holdfast_types::{Epoch, FencingToken, Lsn};

use super::scene::{Named, RECOVER, Scene, VOLUME, history, reclaimed_history};
use crate::{
    Effects, EndCause, Fault, Happening, Intent, PinId, PinOutcome, PinSlot, PinState, PinSubject,
    RebuildReason, Refusal, ReportedFault, SenderState, Tick,
};

fn pin_id(token: &FencingToken, slot: PinSlot) -> PinId {
    PinId {
        token: token.clone(),
        slot,
    }
}

fn catching_up() -> (Scene, FencingToken) {
    let (mut scene, token) = Scene::shaking_hands(RECOVER);
    let _ = scene.plan(&token, &[1], 0, &history(&[1, 1, 2], 3));
    (scene, token)
}

fn released(out: &Effects) -> Vec<PinId> {
    out.released().cloned().collect()
}

#[test]
fn t10_a_catch_up_asks_for_the_history_that_it_will_replay() {
    let (scene, token) = catching_up();
    let requests: Vec<_> = scene.out.acquired().collect();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].id, pin_id(&token, PinSlot::Retention));
    assert_eq!(requests[0].subject, PinSubject::History { from: Lsn(1) });
    let session = scene.sender("r").session().unwrap();
    assert_eq!(session.pin(PinSlot::Retention), Some(PinState::Requested));
    assert_eq!(session.pin(PinSlot::Base), None);
}

#[test]
fn t10_nothing_is_promised_before_the_pin_is_held() {
    let (mut scene, token) = catching_up();
    assert_eq!(scene.progress(&token, 3), Err(Refusal::PinOutstanding));
    assert_eq!(scene.complete(&token), Err(Refusal::PinOutstanding));
    scene.pin(&token, PinSlot::Retention, 1);
    scene.finish(&token, 3);
    assert_eq!(released(&scene.out), [pin_id(&token, PinSlot::Retention)]);
}

#[test]
fn f73_history_that_went_before_it_was_pinned_escalates() {
    for gone in [None, Some(Lsn(2))] {
        let (mut scene, token) = catching_up();
        scene.out.clear();
        let slot = PinSlot::Retention;
        let now = scene.now;
        let outcome = scene
            .registry
            .pinned(&token, now, slot, gone, &mut scene.out);
        assert_eq!(outcome, Ok(PinOutcome::Escalated));
        assert_eq!(released(&scene.out), [pin_id(&token, slot)]);
        assert_eq!(scene.state("r"), SenderState::NeedsRebuild);
        assert_eq!(
            scene.sender("r").reason(),
            Some(RebuildReason::RetentionLost)
        );
    }
}

#[test]
fn a6_losing_a_pin_aborts() {
    let (mut scene, token) = catching_up();
    let slot = PinSlot::Retention;
    let early = scene.registry.pin_lost(&token, slot, &mut scene.out);
    assert_eq!(early, Err(Refusal::PinNotHeld));
    scene.pin(&token, slot, 0);
    let base = scene
        .registry
        .pin_lost(&token, PinSlot::Base, &mut scene.out);
    assert_eq!(base, Err(Refusal::PinNotHeld));
    scene
        .registry
        .pin_lost(&token, slot, &mut scene.out)
        .unwrap();
    assert_eq!(
        scene.sender("r").reason(),
        Some(RebuildReason::RetentionLost)
    );
    assert_eq!(scene.state("r"), SenderState::NeedsRebuild);
}

#[test]
fn a_pin_is_reported_held_or_failed_only_while_it_is_requested() {
    let (mut scene, token) = catching_up();
    let now = scene.now;
    let (retention, base) = (PinSlot::Retention, PinSlot::Base);
    let out = &mut Effects::new();
    let refusal = Err(Refusal::PinNotRequested);
    let registry = &mut scene.registry;
    assert_eq!(registry.pin_failed(&token, base, out), refusal);
    let held = registry.pinned(&token, now, retention, Some(Lsn(1)), out);
    assert_eq!(held, Ok(PinOutcome::Held));
    let again = registry.pinned(&token, now, retention, Some(Lsn(1)), out);
    assert_eq!(again, Err(Refusal::PinNotRequested));
    assert_eq!(registry.pin_failed(&token, retention, out), refusal);

    let (mut scene, token) = Scene::shaking_hands(Intent::Rebuild);
    let _ = scene.handshake(&token, None, &history(&[1, 2], 2));
    for slot in [retention, base] {
        let unselected = scene.registry.pinned(&token, now, slot, Some(Lsn(0)), out);
        assert_eq!(unselected, Err(Refusal::PinNotRequested));
    }
}

#[test]
fn a_pin_that_cannot_be_acquired_ends_the_session_with_that_cause() {
    let (mut scene, token) = catching_up();
    scene.out.clear();
    let slot = PinSlot::Retention;
    scene
        .registry
        .pin_failed(&token, slot, &mut scene.out)
        .unwrap();
    assert_eq!(scene.state("r"), SenderState::Degraded);
    let failed = EndCause::Fault(Fault::PinFailed);
    assert!(scene.out.events().any(|event| matches!(
        event.what,
        Happening::SessionEnded { cause, .. } if cause == failed
    )));
}

type End = fn(&mut Scene, &FencingToken);

/// Every way in which a session with both pins can end, and a name for it.
fn ends() -> Vec<(&'static str, End)> {
    vec![
        ("fault", |scene, token| {
            let out = &mut scene.out;
            scene
                .registry
                .fail(token, ReportedFault::IoError, out)
                .unwrap();
        }),
        ("budget", |scene, token| {
            let out = &mut scene.out;
            let late = Tick(u64::MAX);
            scene.registry.check_budget(token, late, 0, out).unwrap();
        }),
        ("epoch", |scene, _| {
            let replicas = [Named("r", 1, false, Intent::None)];
            scene.assign(VOLUME, 3, 1, &replicas).unwrap();
        }),
        ("endpoint", |scene, _| {
            let replicas = [Named("r", 2, false, Intent::None)];
            scene.assign(VOLUME, 2, 2, &replicas).unwrap();
        }),
        ("removed", |scene, _| {
            scene.assign(VOLUME, 2, 2, &[]).unwrap();
        }),
        ("fence", |scene, _| {
            scene
                .registry
                .fence(VOLUME, Epoch(9), &mut scene.out)
                .unwrap();
        }),
        ("stop", |scene, _| {
            scene
                .registry
                .stop(VOLUME, Epoch(2), &mut scene.out)
                .unwrap();
        }),
        ("supersede", |scene, _| {
            let authority = scene.authority("r");
            let (now, kind) = (scene.now, crate::SessionKind::Rebuild);
            let out = &mut scene.out;
            scene
                .registry
                .supersede(now, &authority, kind, out)
                .unwrap();
        }),
    ]
}

#[test]
fn f71_every_end_releases_every_pin_once_and_leaves_no_session() {
    for (name, end) in ends() {
        // Requested, one held, both held.
        for held in 0..=2 {
            let (mut scene, token) = Scene::shaking_hands(Intent::Rebuild);
            let primary = reclaimed_history(&[1, 1, 2], 3, 1, None);
            let _ = scene.handshake(&token, None, &primary);
            let _ = scene.select(&token, &primary);
            for slot in [PinSlot::Base, PinSlot::Retention].into_iter().take(held) {
                scene.pin(&token, slot, 1);
            }
            scene.out.clear();
            end(&mut scene, &token);
            let pins = [PinSlot::Retention, PinSlot::Base].map(|slot| pin_id(&token, slot));
            assert_eq!(released(&scene.out), pins, "{name} with {held} held");
            assert!(scene.registry.check_token(&token).is_err());
        }
        let (mut scene, token) = catching_up();
        scene.out.clear();
        end(&mut scene, &token);
        let pin = pin_id(&token, PinSlot::Retention);
        assert_eq!(released(&scene.out), [pin], "{name} of a catch-up");
    }
}

#[test]
fn f71_a_completed_session_has_no_pins_to_release_a_second_time() {
    for (name, end) in ends().into_iter().filter(|(name, _)| *name != "budget") {
        let (mut scene, token) = catching_up();
        scene.pin(&token, PinSlot::Retention, 0);
        scene.finish(&token, 3);
        scene.out.clear();
        end(&mut scene, &token);
        assert_eq!(released(&scene.out), [], "{name}");
    }
}
