//! Rebuild: source, pins, transfer, switch, tail, barrier.

use holdfast_types::{FencingToken, Lsn, RetainedHistory};

use super::scene::{RECOVER, Scene, facts, history, reclaimed_history};
use crate::{
    HandshakeOutcome, Intent, Phase, PinSlot, PinSubject, RebuildReason, RebuildSource, Refusal,
    SenderState, SourceReason,
};

fn begin_transfer(scene: &mut Scene, token: &FencingToken, chunks: u64) -> Result<(), Refusal> {
    scene.out.clear();
    let now = scene.now;
    scene
        .registry
        .begin_transfer(token, now, chunks, &mut scene.out)
}

fn chunks(scene: &mut Scene, token: &FencingToken, done: u64) -> Result<(), Refusal> {
    let now = scene.now;
    scene
        .registry
        .transfer_progress(token, now, done, &mut scene.out)
}

fn installed(
    scene: &mut Scene,
    token: &FencingToken,
    base: u64,
    bound: u64,
) -> Result<Lsn, Refusal> {
    scene.out.clear();
    let (now, out) = (scene.now, &mut scene.out);
    scene
        .registry
        .base_installed(token, now, Lsn(base), Lsn(bound), out)
}

/// A log of epoch 2 with 8 entries, 6 committed, checkpoint at 3.
fn primary(snapshot: Option<(u64, bool)>) -> RetainedHistory {
    reclaimed_history(&[1, 1, 2, 2, 2, 2, 2, 2], 6, 3, snapshot)
}

#[test]
fn t11_the_source_fits_the_history_and_says_why() {
    let mut unretained = primary(Some((4, true)));
    unretained.retained_from = None;
    for (history, reason, base_lsn) in [
        (primary(Some((3, true))), SourceReason::TrustedSnapshot, 3),
        (primary(Some((7, true))), SourceReason::TrustedSnapshot, 7),
        (primary(Some((2, true))), SourceReason::UnreplayableTail, 3),
        (unretained, SourceReason::UnreplayableTail, 3),
        (
            primary(Some((4, false))),
            SourceReason::UntrustedSnapshot,
            3,
        ),
        (primary(None), SourceReason::NoSnapshot, 3),
    ] {
        let (mut scene, token) = Scene::shaking_hands(Intent::Rebuild);
        let _ = scene.handshake(&token, None, &history);
        let plan = scene.select(&token, &history);
        let decision = plan.bound().decision;
        assert_eq!(decision.source_reason, reason);
        assert_eq!(decision.base_lsn, Lsn(base_lsn));
        assert_eq!(decision.target, Lsn(6), "committed, never the head");
        // T12: a snapshot base is pinned as one; the live extent is never taken for one.
        let base = match reason.source() {
            RebuildSource::SnapshotTail => PinSubject::Snapshot {
                base_lsn: decision.base_lsn,
            },
            RebuildSource::FullBase => PinSubject::LiveExtent {
                split: decision.base_lsn,
            },
        };
        let pins: Vec<_> = scene.out.acquired().cloned().collect();
        assert_eq!(pins, plan.bound().pins());
        assert_eq!(pins[1].subject, base);
        let from = decision.base_lsn;
        assert_eq!(pins[0].subject, PinSubject::History { from });
    }
}

#[test]
fn f64_the_source_is_planned_from_the_primarys_history_and_not_the_stale_replicas() {
    let decisions = [None, Some(facts(&[1], 0)), Some(facts(&[1, 1, 1, 1], 4))].map(|report| {
        let (mut scene, token) = Scene::shaking_hands(Intent::Rebuild);
        let primary = primary(Some((4, true)));
        let outcome = scene.handshake(&token, report.as_ref(), &primary);
        assert_eq!(outcome, Ok(HandshakeOutcome::SelectSource));
        scene.select(&token, &primary).bound().decision
    });
    assert_eq!(decisions[0], decisions[1]);
    assert_eq!(decisions[1], decisions[2]);
}

#[test]
fn t11_a_source_is_selected_once_and_later_history_cannot_change_it() {
    let (mut scene, token) = Scene::shaking_hands(Intent::Rebuild);
    let _ = scene.handshake(&token, None, &primary(None));
    let unselected = begin_transfer(&mut scene, &token, 1);
    assert_eq!(unselected, Err(Refusal::SourceNotSelected));
    let _ = scene.select(&token, &primary(None));
    let before = scene.registry.clone();
    let (now, out) = (scene.now, &mut scene.out);
    let again = scene
        .registry
        .select_source(&token, now, &primary(Some((4, true))), out);
    assert_eq!(again.unwrap_err(), Refusal::SourceAlreadySelected);
    assert_eq!(scene.registry, before);
}

#[test]
fn f69_a_source_is_selected_only_by_a_primary_that_may_decide() {
    let (mut scene, token) = Scene::shaking_hands(Intent::Rebuild);
    let _ = scene.handshake(&token, None, &primary(None));
    let mut malformed = primary(Some((9, true)));
    let mut missing = primary(None);
    missing.epoch_start = Some(Lsn(4));
    let mut untrusted = primary(None);
    untrusted.base.extent_bound = Lsn(9);
    let before = scene.registry.clone();
    for (history, refusal) in [
        (&malformed, Refusal::MalformedHistory),
        (&missing, Refusal::EpochStartMissing),
        (&untrusted, Refusal::PrimaryUntrusted),
    ] {
        let (now, out) = (scene.now, &mut scene.out);
        let answer = scene.registry.select_source(&token, now, history, out);
        assert_eq!(answer.unwrap_err(), refusal);
    }
    malformed.snapshot = None;
    assert_eq!(scene.registry, before);
    let _ = scene.select(&token, &malformed);
}

#[test]
fn t5_the_transfer_begins_only_with_both_pins_held() {
    for slot in [PinSlot::Retention, PinSlot::Base] {
        let (mut scene, token) = Scene::shaking_hands(Intent::Rebuild);
        let _ = scene.handshake(&token, None, &primary(None));
        let _ = scene.select(&token, &primary(None));
        let refusal = Err(Refusal::PinOutstanding);
        assert_eq!(begin_transfer(&mut scene, &token, 1), refusal);
        scene.pin(&token, slot, 3);
        assert_eq!(
            begin_transfer(&mut scene, &token, 1),
            refusal,
            "{slot} alone"
        );
    }
    let (mut scene, token, _) = Scene::rebuild_pinned(&primary(None));
    assert_eq!(begin_transfer(&mut scene, &token, 1), Ok(()));
}

#[test]
fn t6_a_base_is_installed_whole_or_not_at_all() {
    let (mut scene, token, _) = Scene::rebuild_pinned(&primary(None));
    begin_transfer(&mut scene, &token, 3).unwrap();
    assert_eq!(
        installed(&mut scene, &token, 3, 8),
        Err(Refusal::TransferIncomplete)
    );
    chunks(&mut scene, &token, 2).unwrap();
    let at_least = 2;
    let back = chunks(&mut scene, &token, 1);
    assert_eq!(back, Err(Refusal::ProgressRegressed { at_least }));
    let goal = 3;
    assert_eq!(
        chunks(&mut scene, &token, 4),
        Err(Refusal::BeyondTarget { goal })
    );
    assert_eq!(
        installed(&mut scene, &token, 3, 8),
        Err(Refusal::TransferIncomplete)
    );
    chunks(&mut scene, &token, 3).unwrap();
    assert_eq!(installed(&mut scene, &token, 3, 8), Ok(Lsn(8)));
}

#[test]
fn t17_the_installed_base_is_the_planned_one() {
    // A snapshot's image holds effects up to its position and none beyond.
    let (mut scene, token, _) = Scene::rebuild_pinned(&primary(Some((4, true))));
    begin_transfer(&mut scene, &token, 0).unwrap();
    for (base, bound) in [(3, 4), (5, 5), (4, 5), (4, 3)] {
        let answer = installed(&mut scene, &token, base, bound);
        assert_eq!(answer, Err(Refusal::BaseMismatch), "{base}, {bound}");
    }
    assert_eq!(installed(&mut scene, &token, 4, 4), Ok(Lsn(6)));
    // A live extent may hold effects beyond the split, and at least those up to it.
    let (mut scene, token, _) = Scene::rebuild_pinned(&primary(None));
    begin_transfer(&mut scene, &token, 0).unwrap();
    for (base, bound) in [(4, 8), (3, 2)] {
        let answer = installed(&mut scene, &token, base, bound);
        assert_eq!(answer, Err(Refusal::BaseMismatch), "{base}, {bound}");
    }
    assert_eq!(installed(&mut scene, &token, 3, 3), Ok(Lsn(6)));
}

#[test]
fn t17_a_rebuild_whose_tail_went_before_it_was_pinned_ends() {
    let (mut scene, token) = Scene::shaking_hands(Intent::Rebuild);
    let _ = scene.handshake(&token, None, &primary(None));
    let _ = scene.select(&token, &primary(None));
    scene.pin(&token, PinSlot::Base, 99);
    scene.out.clear();
    let (now, out) = (scene.now, &mut scene.out);
    let outcome = scene
        .registry
        .pinned(&token, now, PinSlot::Retention, Some(Lsn(4)), out);
    assert_eq!(outcome, Ok(crate::PinOutcome::Escalated));
    assert_eq!(scene.out.released().count(), 2);
    assert_eq!(scene.state("r"), SenderState::NeedsRebuild);
    // It keeps the reason for which it is rebuilt.
    assert_eq!(scene.sender("r").reason(), Some(RebuildReason::Ordered));
}

#[test]
fn f32_the_tail_is_replayed_to_what_the_image_may_contain() {
    let (mut scene, token, _) = Scene::rebuild_pinned(&primary(None));
    begin_transfer(&mut scene, &token, 0).unwrap();
    assert_eq!(installed(&mut scene, &token, 3, 8), Ok(Lsn(8)));
    scene.progress(&token, 6).unwrap();
    let goal = Lsn(8);
    assert_eq!(scene.complete(&token), Err(Refusal::NotConverged { goal }));
    scene.finish(&token, 8);
}

#[test]
fn f62_tail_replay_records_what_the_replica_reached_and_not_what_was_planned() {
    let (mut scene, token, _) = Scene::rebuild_pinned(&primary(None));
    begin_transfer(&mut scene, &token, 0).unwrap();
    installed(&mut scene, &token, 3, 3).unwrap();
    assert_eq!(
        scene.complete(&token),
        Err(Refusal::NotConverged { goal: Lsn(6) })
    );
    let at_least = 3;
    assert_eq!(
        scene.progress(&token, 2),
        Err(Refusal::ProgressRegressed { at_least })
    );
    scene.progress(&token, 5).unwrap();
    let Phase::TailReplay(tail) = scene.sender("r").session().unwrap().phase() else {
        panic!("no tail replay");
    };
    assert_eq!((tail.acked, tail.goal), (Some(Lsn(5)), Lsn(6)));
    assert_eq!(scene.sender("r").acknowledged(), Some(Lsn(5)));
    assert_eq!(
        scene.complete(&token),
        Err(Refusal::NotConverged { goal: Lsn(6) })
    );
    let goal = 6;
    assert_eq!(
        scene.progress(&token, 7),
        Err(Refusal::BeyondTarget { goal })
    );
}

#[test]
fn t16_achieved_is_what_engine_session_and_sender_all_report() {
    let (mut scene, token, _) = Scene::rebuild_pinned(&primary(Some((4, true))));
    begin_transfer(&mut scene, &token, 2).unwrap();
    chunks(&mut scene, &token, 2).unwrap();
    installed(&mut scene, &token, 4, 4).unwrap();
    let base: Vec<_> = scene.out.released().map(|pin| pin.slot).collect();
    assert_eq!(
        base,
        [PinSlot::Base],
        "the image is no longer needed, the log is"
    );
    assert_eq!(scene.state("r"), SenderState::Rebuilding);
    scene.finish(&token, 6);
    let retention: Vec<_> = scene.out.released().map(|pin| pin.slot).collect();
    assert_eq!(retention, [PinSlot::Retention]);
    let sender = scene.sender("r");
    assert_eq!(
        (sender.state(), sender.reason()),
        (SenderState::InSync, None)
    );
    assert_eq!(sender.acknowledged(), Some(Lsn(6)));
    let Phase::Completed(completed) = sender.session().unwrap().phase() else {
        panic!("not completed");
    };
    assert_eq!((completed.achieved, completed.acked), (Lsn(6), Lsn(6)));
}

#[test]
fn f35_a_rebuild_gives_up_what_was_acknowledged() {
    let (mut scene, _) = Scene::in_sync();
    assert_eq!(scene.sender("r").acknowledged(), Some(Lsn(3)));
    let authority = scene.authority("r");
    let now = scene.now;
    let token = scene
        .registry
        .supersede(now, &authority, crate::SessionKind::Rebuild, &mut scene.out)
        .unwrap();
    scene.open(&token);
    let _ = scene.handshake(&token, None, &primary(None));
    let _ = scene.select(&token, &primary(None));
    scene.pin(&token, PinSlot::Retention, 3);
    scene.pin(&token, PinSlot::Base, 3);
    assert_eq!(
        scene.sender("r").acknowledged(),
        Some(Lsn(3)),
        "it still holds it"
    );
    begin_transfer(&mut scene, &token, 0).unwrap();
    assert_eq!(scene.sender("r").acknowledged(), None);
    scene.fail(&token);
    assert_eq!(scene.sender("r").acknowledged(), None);
}

#[test]
fn f75_an_empty_volume_is_rebuilt_like_any_other() {
    // Nothing was ever written: one epoch-start entry, checkpoint 0, no chunks.
    let empty = history(&[2], 0);
    let (mut scene, token, _) = Scene::rebuild_pinned(&empty);
    begin_transfer(&mut scene, &token, 0).unwrap();
    chunks(&mut scene, &token, 0).unwrap();
    installed(&mut scene, &token, 0, 0).unwrap();
    scene.progress(&token, 0).unwrap();
    scene.finish(&token, 1);
    assert_eq!(scene.state("r"), SenderState::InSync);
}

#[test]
fn t4_needs_rebuild_is_left_only_through_a_rebuild() {
    let (mut scene, token) = Scene::shaking_hands(RECOVER);
    let _ = scene.handshake(&token, None, &primary(None));
    assert_eq!(scene.sender("r").reason(), Some(RebuildReason::NoVolume));
    let authority = scene.authority("r");
    let now = scene.now;
    let token = scene
        .registry
        .attach(now, &authority, crate::SessionKind::Rebuild, &mut scene.out)
        .unwrap();
    assert_eq!(scene.sender("r").reason(), Some(RebuildReason::NoVolume));
    scene.open(&token);
    let _ = scene.handshake(&token, None, &primary(None));
    let plan = scene.select(&token, &primary(None));
    assert_eq!(plan.bound().reason, RebuildReason::NoVolume);
    scene.pin(&token, PinSlot::Retention, 3);
    scene.pin(&token, PinSlot::Base, 3);
    begin_transfer(&mut scene, &token, 0).unwrap();
    installed(&mut scene, &token, 3, 3).unwrap();
    scene.finish(&token, 6);
    assert_eq!(scene.sender("r").reason(), None);
}
