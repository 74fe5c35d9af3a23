//! T7: a call of which any part of the authority is not current changes nothing.

use holdfast_types::{EndpointVersion, Epoch, FencingToken, SessionId};

use super::calls::Call;
use super::scene::{Named, OTHER_VOLUME, RECOVER, Scene, VOLUME, facts, history, id};
use crate::{Effects, PhaseName, PinSlot, Refusal};

/// A session in each phase, under its present token.
fn one_in_each_phase() -> Vec<(PhaseName, Scene, FencingToken)> {
    let primary = history(&[1, 1, 2], 3);
    let mut scenes = Vec::new();

    let mut scene = Scene::new();
    scene
        .assign(VOLUME, 2, 1, &[Named("r", 1, false, RECOVER)])
        .unwrap();
    let token = scene.token("r");
    scenes.push((PhaseName::Init, scene, token));

    let mut scene = Scene::new();
    scene
        .assign(VOLUME, 2, 1, &[Named("r", 1, false, RECOVER)])
        .unwrap();
    let token = scene.token("r");
    scene
        .registry
        .connect(&token, scene.now, &mut scene.out)
        .unwrap();
    scenes.push((PhaseName::Connecting, scene, token));

    let (scene, token) = Scene::shaking_hands(RECOVER);
    scenes.push((PhaseName::Handshake, scene, token));

    let (mut scene, token) = Scene::shaking_hands(RECOVER);
    let _ = scene.plan(&token, &[1, 1, 1], 0, &primary);
    scenes.push((PhaseName::CatchUp, scene, token));

    let (scene, token, _) = Scene::rebuild_pinned(&primary);
    scenes.push((PhaseName::SourceSelect, scene, token));

    let (mut scene, token, _) = Scene::rebuild_pinned(&primary);
    scene
        .registry
        .begin_transfer(&token, scene.now, 2, &mut scene.out)
        .unwrap();
    scenes.push((PhaseName::Transfer, scene, token));

    let (mut scene, token, plan) = Scene::rebuild_pinned(&primary);
    let base = plan.bound().decision.base_lsn;
    let (now, out) = (scene.now, &mut scene.out);
    scene.registry.begin_transfer(&token, now, 0, out).unwrap();
    scene
        .registry
        .base_installed(&token, now, base, base, out)
        .unwrap();
    scenes.push((PhaseName::TailReplay, scene, token));

    let (scene, token) = Scene::in_sync();
    scenes.push((PhaseName::Completed, scene, token));
    scenes
}

#[test]
fn every_phase_is_reached_by_this_file() {
    for (phase, scene, token) in one_in_each_phase() {
        let session = scene.sender("r").session().unwrap();
        assert_eq!(
            (session.phase().name(), session.id()),
            (phase, token.session)
        );
    }
}

#[test]
fn t7_any_part_of_a_token_that_is_not_current_refuses_every_call_without_effect() {
    for (phase, mut scene, token) in one_in_each_phase() {
        let before = scene.registry.clone();
        let mut tampered = Vec::new();
        let unknown = Refusal::UnknownSender;
        let volume = OTHER_VOLUME;
        tampered.push((
            FencingToken {
                volume,
                ..token.clone()
            },
            unknown,
        ));
        let replica = id("stranger");
        tampered.push((
            FencingToken {
                replica,
                ..token.clone()
            },
            unknown,
        ));
        for wrong in [1, 3] {
            let current = Epoch(2);
            let epoch = Epoch(wrong);
            tampered.push((
                FencingToken {
                    epoch,
                    ..token.clone()
                },
                Refusal::StaleEpoch { current },
            ));
        }
        for wrong in [0, 2] {
            let current = EndpointVersion(1);
            let endpoint_version = EndpointVersion(wrong);
            let stale = FencingToken {
                endpoint_version,
                ..token.clone()
            };
            tampered.push((stale, Refusal::StaleEndpoint { current }));
        }
        for wrong in [token.session.0 - 1, token.session.0 + 1] {
            let current = Some(token.session);
            let session = SessionId(wrong);
            let stale = FencingToken {
                session,
                ..token.clone()
            };
            tampered.push((stale, Refusal::StaleSession { current }));
        }
        for (stale, refusal) in tampered {
            assert_eq!(scene.registry.check_token(&stale), Err(refusal));
            for call in Call::one_of_each() {
                let mut out = Effects::new();
                let answer = call.make(&mut scene.registry, &stale, scene.now, &mut out);
                assert_eq!(answer, Err(refusal), "{call:?} in {phase}");
                assert!(
                    out.is_empty() && scene.registry == before,
                    "{call:?} in {phase}"
                );
            }
        }
    }
}

#[test]
fn t7_the_parts_of_a_token_are_checked_in_their_order() {
    let (scene, token) = Scene::in_sync();
    let all_wrong = FencingToken {
        volume: OTHER_VOLUME,
        replica: id("stranger"),
        session: SessionId(99),
        epoch: Epoch(9),
        endpoint_version: EndpointVersion(9),
    };
    let check = |token: &FencingToken| scene.registry.check_token(token).unwrap_err().name();
    assert_eq!(check(&all_wrong), "unknown_sender");
    let known = FencingToken {
        volume: VOLUME,
        replica: id("r"),
        ..all_wrong
    };
    assert_eq!(check(&known), "stale_epoch");
    let in_epoch = FencingToken {
        epoch: token.epoch,
        ..known
    };
    assert_eq!(check(&in_epoch), "stale_endpoint");
    let at_endpoint = FencingToken {
        endpoint_version: token.endpoint_version,
        ..in_epoch
    };
    assert_eq!(check(&at_endpoint), "stale_session");
}

#[test]
fn a_refused_call_of_a_current_token_changes_nothing_either() {
    let mut refused = 0;
    for (phase, scene, token) in one_in_each_phase() {
        for call in Call::one_of_each() {
            let mut registry = scene.registry.clone();
            let mut out = Effects::new();
            if call
                .make(&mut registry, &token, scene.now, &mut out)
                .is_err()
            {
                assert!(
                    out.is_empty() && registry == scene.registry,
                    "{call:?} in {phase}"
                );
                refused += 1;
            }
        }
    }
    assert!(refused > 80, "only {refused} calls were refused");
}

/// Which calls are at home in which phase; all others say `wrong_phase`.
#[test]
fn a_call_in_a_phase_that_it_does_not_name_is_refused_with_that_phase() {
    use PhaseName::{
        CatchUp, Completed, Connecting, Handshake, Init, SourceSelect, TailReplay, Transfer,
    };
    for (phase, scene, token) in one_in_each_phase() {
        for call in Call::one_of_each() {
            let at_home: &[PhaseName] = match call {
                Call::Connect => &[Init],
                Call::Hello => &[Connecting],
                Call::Handshake(..) => &[Handshake],
                Call::Pinned(..) | Call::PinFailed(_) => &[CatchUp, SourceSelect],
                Call::PinLost(_) => &[CatchUp, SourceSelect, Transfer, TailReplay],
                Call::Truncated(_) | Call::TruncationRefused => &[CatchUp],
                Call::Progress(_) | Call::Complete => &[CatchUp, TailReplay],
                Call::Acknowledged(..) => &[Completed],
                Call::SelectSource(_) | Call::BeginTransfer(_) => &[SourceSelect],
                Call::TransferProgress(_) | Call::BaseInstalled(..) => &[Transfer],
                Call::CheckBudget(_) => &[
                    Init,
                    Connecting,
                    Handshake,
                    CatchUp,
                    SourceSelect,
                    Transfer,
                    TailReplay,
                ],
                Call::Fail(_) => &[
                    Init,
                    Connecting,
                    Handshake,
                    CatchUp,
                    SourceSelect,
                    Transfer,
                    TailReplay,
                    Completed,
                ],
            };
            let mut registry = scene.registry.clone();
            let answer = call.make(&mut registry, &token, scene.now, &mut Effects::new());
            let wrong = answer == Err(Refusal::WrongPhase { phase });
            assert_eq!(
                wrong,
                !at_home.contains(&phase),
                "{call:?} in {phase}: {answer:?}"
            );
        }
    }
}

#[test]
fn a11_what_arrives_after_a_time_out_is_refused_by_its_token() {
    let (mut scene, token) = Scene::shaking_hands(RECOVER);
    scene.fail(&token);
    let before = scene.registry.clone();
    let late = scene.handshake(&token, Some(&facts(&[1], 0)), &history(&[1, 2], 1));
    assert_eq!(late, Err(Refusal::StaleSession { current: None }));
    assert_eq!(scene.registry, before);
}

#[test]
fn f74_a_plan_binds_the_session_that_it_was_made_for() {
    let (mut scene, token) = Scene::shaking_hands(RECOVER);
    let plan = scene.plan(&token, &[1], 0, &history(&[1, 1, 2], 3));
    let authority = scene.authority("r");
    let newer = scene
        .registry
        .supersede(
            scene.now,
            &authority,
            crate::SessionKind::CatchUp,
            &mut scene.out,
        )
        .unwrap();
    assert_eq!(plan.bound().token, token);
    let before = scene.registry.clone();
    let mut executor = crate::CatchUpExecutor::begin(plan);
    let evidence = crate::CatchUpEvidence::Pinned {
        retained_from: Some(holdfast_types::Lsn(0)),
    };
    let stale = Refusal::StaleSession {
        current: Some(newer.session),
    };
    let mut out = Effects::new();
    assert_eq!(
        executor.step(&mut scene.registry, scene.now, evidence, &mut out),
        Err(stale)
    );
    assert!(out.is_empty() && scene.registry == before);
}

#[test]
fn f63_a_truncation_names_the_replica_that_cuts() {
    let mut scene = Scene::new();
    let both = [Named("a", 1, false, RECOVER), Named("b", 1, false, RECOVER)];
    scene.assign(VOLUME, 2, 1, &both).unwrap();
    let (a, b) = (scene.token("a"), scene.token("b"));
    for token in [&a, &b] {
        scene.open(token);
        let _ = scene.plan(token, &[1, 1, 1], 0, &history(&[1, 1, 2], 3));
        scene.pin(token, PinSlot::Retention, 0);
    }
    let other = scene.sender("b").clone();
    scene
        .registry
        .truncated(&a, scene.now, holdfast_types::Lsn(2), &mut scene.out)
        .unwrap();
    assert_eq!(
        scene.sender("b"),
        &other,
        "the cut of a is not the cut of b"
    );
    assert_eq!(scene.progress(&b, 2), Err(Refusal::TruncationOutstanding));
    assert_eq!(scene.progress(&a, 2), Ok(()));
}
