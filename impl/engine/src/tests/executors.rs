//! Plans, executors and the orchestrated path, from assignment to completion or escalation.

use std::num::NonZeroUsize;

use holdfast_types::{Epoch, FencingToken, Lsn};

use super::scene::{
    Named, RECOVER, STALL, Scene, VOLUME, assignment, budgets, endpoint, facts, history,
    reclaimed_history,
};
use crate::{
    CatchUpCommand, CatchUpEvidence, CatchUpExecutor, Command, Effects, EndCause, Evidence, Fault,
    Happening, Intent, Interruption, Orchestrator, PhaseName, PinSlot, RebuildCommand,
    RebuildEvidence, RebuildExecutor, RebuildReason, Refusal, ReportedFault, SenderState, Tick,
};

const NOW: Tick = Tick(1);

fn orchestrated(intent: Intent) -> (Orchestrator, FencingToken, Effects) {
    let mut engine = Orchestrator::new(budgets(), NonZeroUsize::new(64).unwrap());
    let mut out = Effects::new();
    let assignment = assignment(VOLUME, 2, 1, &[Named("r", 1, false, intent)]);
    engine.assign(NOW, assignment, &mut out).unwrap();
    let token = engine
        .registry()
        .token(VOLUME, &super::scene::id("r"))
        .unwrap();
    (engine, token, out)
}

fn state(engine: &Orchestrator) -> SenderState {
    let replica = super::scene::id("r");
    engine.registry().sender(VOLUME, &replica).unwrap().state()
}

/// Feeds each piece of evidence and compares what is to be done next.
fn follow(
    engine: &mut Orchestrator,
    token: &FencingToken,
    out: &mut Effects,
    steps: &[(Evidence<'_>, Command)],
) {
    for (evidence, expected) in steps {
        let command = engine.step(token, NOW, *evidence, out);
        assert_eq!(command, Ok(*expected), "{evidence:?}");
        let again = engine.command(token);
        if matches!(expected, Command::Ended { .. }) {
            assert!(again.unwrap_err().is_stale());
        } else {
            assert_eq!(again, Ok(*expected));
        }
    }
}

#[test]
fn a4_a_short_gap_goes_from_its_assignment_to_in_sync_by_catch_up() {
    let (mut engine, token, mut out) = orchestrated(RECOVER);
    let dial = Command::Dial {
        endpoint: endpoint(1),
    };
    assert_eq!(engine.command(&token), Ok(dial));
    let (facts, history) = (facts(&[1, 1, 1], 0), history(&[1, 1, 2, 2], 4));
    let report = Evidence::Report {
        facts: Some(&facts),
        history: &history,
    };
    let replay = |after| {
        Command::CatchUp(CatchUpCommand::Replay {
            after: Lsn(after),
            barrier_at: Lsn(4),
        })
    };
    let durable = |lsn| Evidence::CatchUp(CatchUpEvidence::Durable { lsn: Lsn(lsn) });
    let pinned = CatchUpEvidence::Pinned {
        retained_from: Some(Lsn(0)),
    };
    let cut = CatchUpEvidence::Truncated { to: Lsn(2) };
    follow(
        &mut engine,
        &token,
        &mut out,
        &[
            (Evidence::Dialing, Command::SendHello),
            (Evidence::HelloSent, Command::AwaitReport),
            (report, Command::CatchUp(CatchUpCommand::AwaitPin)),
            (
                Evidence::CatchUp(pinned),
                Command::CatchUp(CatchUpCommand::Truncate { to: Lsn(2) }),
            ),
            (Evidence::CatchUp(cut), replay(2)),
            (durable(3), replay(3)),
            // The replica has kept up beyond the goal by then.
            (durable(9), Command::KeepUp),
            (
                Evidence::Acknowledged {
                    durable: Lsn(9),
                    head: Lsn(12),
                },
                Command::KeepUp,
            ),
        ],
    );
    assert_eq!(state(&engine), SenderState::InSync);
    assert_eq!(engine.executing(), 0);
    let phases: Vec<_> = engine
        .log()
        .iter()
        .filter_map(|logged| logged.event.what.phase())
        .collect();
    assert_eq!(
        phases,
        [
            PhaseName::Init,
            PhaseName::Connecting,
            PhaseName::Handshake,
            PhaseName::CatchUp,
            PhaseName::Completed
        ]
    );
    let acquired: Vec<_> = out.acquired().map(|request| request.id.clone()).collect();
    let released: Vec<_> = out.released().cloned().collect();
    assert_eq!(acquired, released);
}

#[test]
fn a4_a_needed_rebuild_goes_from_its_order_to_in_sync() {
    let (mut engine, token, mut out) = orchestrated(Intent::Rebuild);
    let history = reclaimed_history(&[1, 1, 2, 2], 3, 1, None);
    let report = Evidence::Report {
        facts: None,
        history: &history,
    };
    let pinned = |slot| {
        Evidence::Rebuild(RebuildEvidence::Pinned {
            slot,
            retained_from: Some(Lsn(1)),
        })
    };
    let chunks = |chunks_done| Evidence::Rebuild(RebuildEvidence::ChunksInstalled { chunks_done });
    let send = |chunks_done| {
        Command::Rebuild(RebuildCommand::SendChunks {
            chunks_done,
            chunks_total: 2,
        })
    };
    let ready = RebuildEvidence::ReplicaReady { chunks_total: 2 };
    let installed = RebuildEvidence::BaseInstalled {
        base_lsn: Lsn(1),
        extent_bound: Lsn(4),
    };
    let replay = |after| {
        Command::Rebuild(RebuildCommand::Replay {
            after: Lsn(after),
            barrier_at: Lsn(4),
        })
    };
    let durable = |lsn| Evidence::Rebuild(RebuildEvidence::Durable { lsn: Lsn(lsn) });
    let await_pins = Command::Rebuild(RebuildCommand::AwaitPins);
    let prepare = Command::Rebuild(RebuildCommand::PrepareReplica);
    let install = Command::Rebuild(RebuildCommand::InstallBase { base_lsn: Lsn(1) });
    follow(
        &mut engine,
        &token,
        &mut out,
        &[
            (Evidence::Dialing, Command::SendHello),
            (Evidence::HelloSent, Command::AwaitReport),
            (report, Command::SelectSource),
            (Evidence::History(&history), await_pins),
            (pinned(PinSlot::Base), await_pins),
            (pinned(PinSlot::Retention), prepare),
            (Evidence::Rebuild(ready), send(0)),
            (chunks(1), send(1)),
            (chunks(2), install),
            (Evidence::Rebuild(installed), replay(1)),
            (durable(3), replay(3)),
            (durable(5), Command::KeepUp),
        ],
    );
    assert_eq!(state(&engine), SenderState::InSync);
    assert_eq!(engine.executing(), 0);
    let causes: Vec<_> = engine
        .log()
        .iter()
        .filter_map(|logged| logged.event.what.cause())
        .collect();
    let expected = [
        "assignment",
        "assignment",
        "ordered",
        "no_snapshot",
        "barrier",
    ];
    assert_eq!(causes, expected, "each decision says why");
}

#[test]
fn an_escalation_ends_the_path_with_its_reason() {
    let (mut engine, token, mut out) = orchestrated(RECOVER);
    let history = history(&[1, 1, 2], 3);
    let report = Evidence::Report {
        facts: None,
        history: &history,
    };
    let cause = EndCause::Escalation(RebuildReason::NoVolume);
    follow(
        &mut engine,
        &token,
        &mut out,
        &[
            (Evidence::Dialing, Command::SendHello),
            (Evidence::HelloSent, Command::AwaitReport),
            (report, Command::Ended { cause }),
        ],
    );
    assert_eq!(state(&engine), SenderState::NeedsRebuild);
    let last = engine.log().iter().next_back().unwrap();
    assert!(matches!(
        last.event.what,
        Happening::SessionEnded { cause: logged, .. } if logged == cause
    ));
}

#[test]
fn a_fence_in_the_middle_drops_the_executor_and_releases_its_pins() {
    let (mut engine, token, mut out) = orchestrated(RECOVER);
    let (facts, history) = (facts(&[1], 0), history(&[1, 1, 2], 3));
    let report = Evidence::Report {
        facts: Some(&facts),
        history: &history,
    };
    for evidence in [Evidence::Dialing, Evidence::HelloSent, report] {
        engine.step(&token, NOW, evidence, &mut out).unwrap();
    }
    assert_eq!(engine.executing(), 1);
    out.clear();
    engine.fence(VOLUME, Epoch(3), &mut out).unwrap();
    assert_eq!(engine.executing(), 0);
    assert_eq!(out.released().count(), 1);
    let late = CatchUpEvidence::Durable { lsn: Lsn(3) };
    let refusal = engine.step(&token, NOW, Evidence::CatchUp(late), &mut out);
    assert_eq!(refusal, Err(Refusal::StaleEpoch { current: Epoch(3) }));
}

#[test]
fn evidence_of_another_kind_of_recovery_is_refused() {
    let (mut engine, token, mut out) = orchestrated(RECOVER);
    let before = engine.registry().clone();
    let wrong = [
        Evidence::CatchUp(CatchUpEvidence::TruncationRefused),
        Evidence::Rebuild(RebuildEvidence::ReplicaReady { chunks_total: 1 }),
    ];
    out.clear();
    for evidence in wrong {
        let phase = PhaseName::Init;
        let refusal = engine.step(&token, NOW, evidence, &mut out);
        assert_eq!(refusal, Err(Refusal::WrongPhase { phase }));
    }
    assert!(out.is_empty());
    assert_eq!(engine.registry(), &before);
}

#[test]
fn f71_an_executor_that_fails_leaves_neither_pins_nor_a_session() {
    let step = |evidence| {
        move |executor: &mut CatchUpExecutor, scene: &mut Scene| {
            let late = Tick(STALL + 1);
            executor
                .step(&mut scene.registry, late, evidence, &mut scene.out)
                .unwrap()
        }
    };
    let slot = PinSlot::Retention;
    let interrupted = CatchUpEvidence::Interrupted;
    let ends = [
        (
            CatchUpEvidence::Pinned {
                retained_from: None,
            },
            EndCause::Escalation(RebuildReason::RetentionLost),
        ),
        (
            CatchUpEvidence::TruncationRefused,
            EndCause::Escalation(RebuildReason::TruncationUnsafe),
        ),
        (
            interrupted(Interruption::PinFailed { slot }),
            EndCause::Fault(Fault::PinFailed),
        ),
        (
            interrupted(Interruption::Tick { pinned_bytes: 0 }),
            EndCause::Escalation(RebuildReason::BudgetStall),
        ),
        (
            interrupted(Interruption::Failed(ReportedFault::StreamLost)),
            EndCause::Fault(Fault::StreamLost),
        ),
    ];
    for (evidence, cause) in ends {
        let (mut scene, token) = Scene::shaking_hands(RECOVER);
        let plan = scene.plan(&token, &[1, 1, 1], 0, &history(&[1, 1, 2], 3));
        let mut executor = CatchUpExecutor::begin(plan);
        scene.out.clear();
        let command = step(evidence)(&mut executor, &mut scene);
        assert_eq!(command, CatchUpCommand::Ended { cause });
        assert_eq!(scene.out.released().count(), 1, "{cause}");
        assert_eq!(scene.sender("r").session(), None);
        let after = executor.command(&scene.registry);
        assert_eq!(after, Err(Refusal::StaleSession { current: None }));
    }
}

#[test]
fn f71_a_plan_or_an_executor_that_is_given_up_releases_its_pins() {
    let fault = ReportedFault::IoError;
    let primary = history(&[1, 1, 2], 3);
    let catch_up = || {
        let (mut scene, token) = Scene::shaking_hands(RECOVER);
        let plan = scene.plan(&token, &[1], 0, &primary);
        (scene, plan)
    };
    let (mut scene, plan) = catch_up();
    plan.cancel(&mut scene.registry, fault, &mut scene.out)
        .unwrap();
    assert_eq!(scene.out.released().count(), 1);
    assert_eq!(scene.state("r"), SenderState::Degraded);

    let (mut scene, plan) = catch_up();
    let executor = CatchUpExecutor::begin(plan);
    executor
        .cancel(&mut scene.registry, fault, &mut scene.out)
        .unwrap();
    assert_eq!(scene.out.released().count(), 1);

    let (mut scene, _, plan) = Scene::rebuild_pinned(&primary);
    scene.out.clear();
    plan.cancel(&mut scene.registry, fault, &mut scene.out)
        .unwrap();
    assert_eq!(scene.out.released().count(), 2);
    assert_eq!(scene.state("r"), SenderState::NeedsRebuild);

    let (mut scene, token, plan) = Scene::rebuild_pinned(&primary);
    scene.out.clear();
    let executor = RebuildExecutor::begin(plan);
    scene.fail(&token);
    assert_eq!(
        scene.out.released().count(),
        2,
        "released where the session ended"
    );
    scene.out.clear();
    let late = executor.cancel(&mut scene.registry, fault, &mut scene.out);
    assert_eq!(late, Err(Refusal::StaleSession { current: None }));
    assert_eq!(scene.out.released().count(), 0, "and not again");
}

#[test]
fn a_pin_that_is_lost_while_a_rebuild_runs_ends_it_whatever_it_is_doing() {
    let primary = history(&[1, 1, 2], 3);
    for slot in [PinSlot::Retention, PinSlot::Base] {
        let (mut scene, _, plan) = Scene::rebuild_pinned(&primary);
        let mut executor = RebuildExecutor::begin(plan);
        let ready = RebuildEvidence::ReplicaReady { chunks_total: 1 };
        let (now, registry, out) = (scene.now, &mut scene.registry, &mut scene.out);
        executor.step(registry, now, ready, out).unwrap();
        let lost = RebuildEvidence::Interrupted(Interruption::PinLost { slot });
        let cause = EndCause::Escalation(RebuildReason::RetentionLost);
        let command = executor.step(registry, now, lost, out);
        assert_eq!(command, Ok(RebuildCommand::Ended { cause }));
        assert_eq!(scene.state("r"), SenderState::NeedsRebuild);
    }
}
