//! Bounded replay: truncation, progress, completion, and what is acknowledged.

use holdfast_types::{Epoch, Lsn};

use super::scene::{Named, RECOVER, Scene, VOLUME, facts, history, reclaimed_history};
use crate::{
    Classification, HandshakeOutcome, Phase, PinSlot, RebuildReason, Refusal, SenderState,
    Truncation,
};

/// `r` holds `1 1 1`, the primary `1 1 2 2`, of which 3 are committed: to be cut to 2.
fn diverging() -> (Scene, holdfast_types::FencingToken) {
    let (mut scene, token) = Scene::shaking_hands(RECOVER);
    let _ = scene.plan(&token, &[1, 1, 1], 0, &history(&[1, 1, 2, 2], 3));
    scene.pin(&token, PinSlot::Retention, 0);
    (scene, token)
}

fn truncated(
    scene: &mut Scene,
    token: &holdfast_types::FencingToken,
    to: u64,
) -> Result<(), Refusal> {
    scene.out.clear();
    let now = scene.now;
    scene
        .registry
        .truncated(token, now, Lsn(to), &mut scene.out)
}

#[test]
fn f30_returning_primary_is_truncated() {
    // It served epoch 1 and logged a tail that nobody else has; its log is longer than the target.
    let (mut scene, token) = diverging();
    assert_eq!(scene.state("r"), SenderState::CatchingUp);
    assert_eq!(
        scene.progress(&token, 3),
        Err(Refusal::TruncationOutstanding)
    );
    assert_eq!(scene.complete(&token), Err(Refusal::TruncationOutstanding));
    truncated(&mut scene, &token, 2).unwrap();
    assert_eq!(
        scene.complete(&token),
        Err(Refusal::NotConverged { goal: Lsn(3) })
    );
    scene.finish(&token, 3);
    assert_eq!(scene.state("r"), SenderState::InSync);
}

#[test]
fn f30_a_tail_that_reached_the_extent_cannot_be_cut() {
    let (mut scene, token) = Scene::shaking_hands(RECOVER);
    let report = facts(&[1, 1, 1], 3);
    let outcome = scene.handshake(&token, Some(&report), &history(&[1, 1, 2, 2], 3));
    let Ok(HandshakeOutcome::Escalated { reason, proof }) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(reason, RebuildReason::DivergentExtent);
    assert_eq!(proof.verdict(), Classification::NeedsRebuild(reason));
    assert_eq!(scene.sender("r").reason(), Some(reason));
}

#[test]
fn t9_only_the_required_cut_counts_and_only_once() {
    let (mut scene, token) = diverging();
    let before = scene.registry.clone();
    for to in [0, 1, 3] {
        let expected = Lsn(2);
        let mismatch = Err(Refusal::TruncationMismatch { expected });
        assert_eq!(truncated(&mut scene, &token, to), mismatch);
    }
    assert_eq!(scene.registry, before);
    truncated(&mut scene, &token, 2).unwrap();
    let Phase::CatchUp(catch_up) = scene.sender("r").session().unwrap().phase() else {
        panic!("not catching up");
    };
    assert_eq!(catch_up.truncate, Truncation::Confirmed(Lsn(2)));
    let again = truncated(&mut scene, &token, 2);
    assert_eq!(again, Err(Refusal::TruncationNotRequired));
    let refused = scene.registry.truncation_refused(&token, &mut scene.out);
    assert_eq!(refused, Err(Refusal::TruncationNotRequired));
}

#[test]
fn a_replica_that_cannot_cut_needs_a_rebuild() {
    let (mut scene, token) = diverging();
    scene
        .registry
        .truncation_refused(&token, &mut scene.out)
        .unwrap();
    assert_eq!(scene.state("r"), SenderState::NeedsRebuild);
    let reason = RebuildReason::TruncationUnsafe;
    assert_eq!(scene.sender("r").reason(), Some(reason));
}

#[test]
fn f35_a_truncation_takes_the_acknowledged_position_with_it() {
    // The report after the fault is of another log, as long as what was acknowledged.
    let (mut scene, token) = Scene::in_sync();
    scene
        .registry
        .acknowledged(&token, Lsn(5), Lsn(5), &mut scene.out)
        .unwrap();
    assert_eq!(scene.sender("r").acknowledged(), Some(Lsn(5)));
    scene.fail(&token);
    let authority = scene.authority("r");
    let token = scene
        .registry
        .attach(
            scene.now,
            &authority,
            crate::SessionKind::CatchUp,
            &mut scene.out,
        )
        .unwrap();
    scene.open(&token);
    let _ = scene.plan(&token, &[1, 1, 1, 1, 1], 0, &history(&[1, 1, 2, 2, 2], 3));
    scene.pin(&token, PinSlot::Retention, 0);
    truncated(&mut scene, &token, 2).unwrap();
    assert_eq!(scene.sender("r").acknowledged(), Some(Lsn(2)));
    scene.progress(&token, 3).unwrap();
    assert_eq!(scene.sender("r").acknowledged(), Some(Lsn(3)));
}

#[test]
fn a_replica_that_lost_what_it_acknowledged_is_not_trusted() {
    let (mut scene, token) = Scene::in_sync();
    scene.fail(&token);
    let authority = scene.authority("r");
    let token = scene
        .registry
        .attach(
            scene.now,
            &authority,
            crate::SessionKind::CatchUp,
            &mut scene.out,
        )
        .unwrap();
    scene.open(&token);
    let outcome = scene.handshake(&token, Some(&facts(&[1, 1], 0)), &history(&[1, 1, 2], 3));
    let Ok(HandshakeOutcome::Escalated { reason, .. }) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(reason, RebuildReason::LostAcknowledged);
}

#[test]
fn f61_progress_is_what_the_replica_acknowledged() {
    let (mut scene, token) = Scene::shaking_hands(RECOVER);
    let primary = history(&[1, 1, 2, 2], 4);
    let _ = scene.plan(&token, &[1], 0, &primary);
    scene.pin(&token, PinSlot::Retention, 0);
    // Whatever the primary's own log holds, without an answer there is nothing to complete on.
    let goal = Lsn(4);
    assert_eq!(scene.complete(&token), Err(Refusal::NotConverged { goal }));
    scene.progress(&token, 3).unwrap();
    assert_eq!(scene.complete(&token), Err(Refusal::NotConverged { goal }));
    scene.finish(&token, 4);
    let Phase::Completed(completed) = scene.sender("r").session().unwrap().phase() else {
        panic!("not completed");
    };
    assert_eq!((completed.achieved, completed.acked), (Lsn(4), Lsn(4)));
}

#[test]
fn t2_a_zero_gap_too_completes_only_by_a_barrier_of_its_own_session() {
    let (mut scene, token) = Scene::shaking_hands(RECOVER);
    let plan = scene.plan(&token, &[1, 1, 2], 0, &history(&[1, 1, 2], 3));
    assert!(matches!(
        plan.bound().proof.verdict(),
        Classification::ZeroGap(_)
    ));
    assert_eq!(plan.bound().retention_pin(), None);
    assert_eq!(scene.out.acquired().count(), 0, "nothing is replayed");
    assert_eq!(scene.state("r"), SenderState::CatchingUp);
    assert_eq!(
        scene.complete(&token),
        Err(Refusal::NotConverged { goal: Lsn(3) })
    );
    scene.finish(&token, 3);
    assert_eq!(scene.state("r"), SenderState::InSync);
}

#[test]
fn a4_a_replica_ahead_of_the_target_completes_at_the_target() {
    // It received entry 4 before the primary could commit it, and lost its stream.
    let (mut scene, token) = Scene::shaking_hands(RECOVER);
    let plan = scene.plan(&token, &[1, 1, 2, 2], 0, &history(&[1, 1, 2, 2], 3));
    assert_eq!(
        (plan.bound().gap.from, plan.bound().gap.target),
        (Lsn(4), Lsn(3))
    );
    // Its answer, 4, proves more than the goal and is reported as the goal.
    scene.finish(&token, 3);
    assert_eq!(scene.state("r"), SenderState::InSync);
    assert_eq!(scene.sender("r").acknowledged(), Some(Lsn(3)));
}

#[test]
fn a5_progress_neither_goes_back_nor_beyond_the_frozen_target() {
    let (mut scene, token) = Scene::shaking_hands(RECOVER);
    let _ = scene.plan(&token, &[1, 1], 0, &history(&[1, 1, 2, 2, 2], 4));
    scene.pin(&token, PinSlot::Retention, 0);
    let at_least = 2;
    assert_eq!(
        scene.progress(&token, 1),
        Err(Refusal::ProgressRegressed { at_least })
    );
    scene.progress(&token, 3).unwrap();
    let at_least = 3;
    assert_eq!(
        scene.progress(&token, 2),
        Err(Refusal::ProgressRegressed { at_least })
    );
    let goal = 4;
    assert_eq!(
        scene.progress(&token, 5),
        Err(Refusal::BeyondTarget { goal })
    );
    scene.finish(&token, 4);
}

#[test]
fn f65_the_target_is_what_is_committed_and_not_the_head() {
    let (mut scene, token) = Scene::shaking_hands(RECOVER);
    let plan = scene.plan(&token, &[1], 0, &history(&[1, 1, 2, 2, 2, 2], 4));
    assert_eq!(plan.bound().gap.target, Lsn(4));
    // With nothing of this epoch committed it is the epoch-start entry.
    let (mut scene, token) = Scene::shaking_hands(RECOVER);
    let plan = scene.plan(&token, &[1], 0, &history(&[1, 1, 2, 2, 2, 2], 1));
    assert_eq!(plan.bound().gap.target, Lsn(3));
}

#[test]
fn m04_a_live_acknowledgement_is_never_beyond_the_head() {
    let (mut scene, token) = Scene::in_sync();
    let mut acknowledged = |durable, head| {
        scene
            .registry
            .acknowledged(&token, Lsn(durable), Lsn(head), &mut scene.out)
    };
    assert_eq!(
        acknowledged(2, 9),
        Err(Refusal::ProgressRegressed { at_least: 3 })
    );
    assert_eq!(
        acknowledged(6, 5),
        Err(Refusal::BeyondHead { head: Lsn(5) })
    );
    assert_eq!(acknowledged(5, 5), Ok(()));
    assert_eq!(scene.sender("r").acknowledged(), Some(Lsn(5)));
    let Phase::Completed(completed) = scene.sender("r").session().unwrap().phase() else {
        panic!("not completed");
    };
    assert_eq!((completed.achieved, completed.acked), (Lsn(3), Lsn(5)));
}

#[test]
fn f33_an_untrusted_store_is_neither_caught_up_nor_a_primary() {
    let (mut scene, token) = Scene::shaking_hands(RECOVER);
    let half_installed = facts(&[1, 1], u64::MAX);
    let mut as_primary = history(&[1, 1, 2], 3);
    as_primary.base.extent_bound = Lsn::MAX;
    assert_eq!(
        scene.handshake(&token, Some(&facts(&[1, 1], 0)), &as_primary),
        Err(Refusal::PrimaryUntrusted)
    );
    let outcome = scene.handshake(&token, Some(&half_installed), &history(&[1, 1, 2], 3));
    let Ok(HandshakeOutcome::Escalated { reason, .. }) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(reason, RebuildReason::UntrustedBase);
    assert_eq!(scene.state("r"), SenderState::NeedsRebuild);
}

#[test]
fn a_handshake_names_the_first_guard_that_fails() {
    let (mut scene, token) = Scene::shaking_hands(RECOVER);
    let good = history(&[1, 1, 2], 3);
    let mut bad_facts = facts(&[1, 1, 9], 0);
    bad_facts.base.durable = Lsn(2);
    let mut bad_history = good.clone();
    bad_history.committed = Lsn(4);
    bad_history.epoch_start = None;
    let newer = facts(&[1, 9], 0);
    let mut no_start = good.clone();
    no_start.epoch_start = None;
    no_start.base.extent_bound = Lsn(9);
    let mut untrusted = good.clone();
    untrusted.base.extent_bound = Lsn(9);
    for (report, history, refusal) in [
        (&bad_facts, &bad_history, Refusal::MalformedFacts),
        (&newer, &bad_history, Refusal::MalformedHistory),
        (
            &newer,
            &no_start,
            Refusal::ReplicaHasNewerEpoch { epoch: Epoch(9) },
        ),
        (&facts(&[1], 0), &no_start, Refusal::EpochStartMissing),
        (&facts(&[1], 0), &untrusted, Refusal::PrimaryUntrusted),
    ] {
        let before = scene.registry.clone();
        assert_eq!(scene.handshake(&token, Some(report), history), Err(refusal));
        assert_eq!(scene.registry, before);
    }
    assert!(scene.handshake(&token, None, &bad_history).is_err());
    assert!(scene.handshake(&token, None, &good).is_ok());
}

#[test]
fn reports_that_contradict_themselves_are_malformed() {
    let (mut scene, token) = Scene::shaking_hands(RECOVER);
    let good = reclaimed_history(&[1, 1, 2], 3, 1, Some((2, true)));
    type Spoil<T> = fn(&mut T);
    let spoiled_facts: [Spoil<holdfast_types::ReplicaFacts>; 4] = [
        |facts| facts.base.checkpoint = Lsn(2),
        |facts| {
            facts.base.checkpoint = Lsn(4);
            facts.base.extent_bound = Lsn(4);
        },
        |facts| facts.base.durable = Lsn(2),
        |facts| facts.lineage = holdfast_types::Lineage::default(),
    ];
    for spoil in spoiled_facts {
        let mut report = facts(&[1, 1, 2], 1);
        spoil(&mut report);
        let answer = scene.handshake(&token, Some(&report), &good);
        assert_eq!(answer, Err(Refusal::MalformedFacts), "{report:?}");
    }
    let spoiled_history: [Spoil<holdfast_types::RetainedHistory>; 8] = [
        |history| history.base.checkpoint = Lsn(2),
        |history| history.base.durable = Lsn(0),
        |history| history.base.durable = Lsn(4),
        |history| history.committed = Lsn(4),
        |history| history.epoch_start = Some(Lsn(4)),
        |history| history.retained_from = Some(Lsn(4)),
        |history| history.snapshot.as_mut().unwrap().base_lsn = Lsn(4),
        |history| history.lineage = holdfast_types::Lineage::default(),
    ];
    for spoil in spoiled_history {
        let mut history = good.clone();
        spoil(&mut history);
        let answer = scene.handshake(&token, Some(&facts(&[1], 0)), &history);
        assert_eq!(answer, Err(Refusal::MalformedHistory), "{history:?}");
    }
}

#[test]
fn a_member_that_is_caught_up_stays_a_member_throughout() {
    let mut scene = Scene::new();
    scene
        .assign(VOLUME, 2, 1, &[Named("r", 1, true, RECOVER)])
        .unwrap();
    let token = scene.token("r");
    scene.open(&token);
    let _ = scene.plan(&token, &[1], 0, &history(&[1, 1, 2], 3));
    scene.pin(&token, PinSlot::Retention, 1);
    scene.finish(&token, 3);
    assert!(scene.sender("r").is_member());
}
