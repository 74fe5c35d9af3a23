//! Status, events and the bounded log.

use std::num::NonZeroUsize;

use holdfast_types::{Epoch, Lsn, SessionId};

use super::scene::{Named, OTHER_VOLUME, RECOVER, Scene, VOLUME, facts, history, id};
use crate::{
    EndCause, Event, Happening, Intent, Phase, PhaseName, RebuildReason, RecoveryLog, SenderState,
    SessionKind,
};

/// `a` in sync, `b` in need of a rebuild, `c` catching up, `d` resting; another volume with one.
fn mixed() -> Scene {
    let mut scene = Scene::new();
    let recovering = |name| Named(name, 1, false, RECOVER);
    let resting = Named("d", 1, true, Intent::None);
    let replicas = [recovering("a"), recovering("b"), recovering("c"), resting];
    scene.assign(VOLUME, 2, 1, &replicas).unwrap();
    scene
        .assign(OTHER_VOLUME, 5, 3, &[recovering("a")])
        .unwrap();
    let primary = history(&[1, 1, 2], 3);
    for name in ["a", "b", "c"] {
        let token = scene.token(name);
        scene.open(&token);
    }
    let (a, b, c) = (scene.token("a"), scene.token("b"), scene.token("c"));
    let _ = scene.plan(&a, &[1, 1, 2], 0, &primary);
    scene.finish(&a, 3);
    let _ = scene.handshake(&b, None, &primary);
    let _ = scene.plan(&c, &[1], 0, &primary);
    scene
}

#[test]
fn f77_status_is_a_copy_and_shows_every_field() {
    let scene = mixed();
    let before = scene.registry.clone();
    let status = scene.registry.status();
    assert_eq!(scene.registry, before, "looking changes nothing");
    assert_eq!(status.volumes.len(), 2);
    assert_eq!(status.counts.total(), 5);
    assert_eq!(status.counts.of(SenderState::Connecting), 1);

    let volume = &status.volumes[0];
    assert_eq!((volume.volume, volume.epoch), (VOLUME, Epoch(2)));
    assert!(volume.serving);
    assert_eq!(volume.next_session, SessionId(4));
    assert_eq!(
        volume.counts.to_string(),
        "disconnected 1, connecting 0, catching_up 1, in_sync 1, degraded 0, needs_rebuild 1, \
         rebuilding 0"
    );
    assert_eq!(volume.counts.recovering(), 1);
    let [a, b, c, d] = volume.senders.as_slice() else {
        panic!("{} senders", volume.senders.len());
    };
    assert_eq!(
        (a.state, a.acknowledged, a.reason),
        (SenderState::InSync, Some(Lsn(3)), None)
    );
    assert_eq!(b.reason, Some(RebuildReason::NoVolume));
    assert_eq!(b.session, None);
    let session = c.session.as_ref().unwrap();
    assert_eq!(
        (session.id(), session.kind()),
        (SessionId(3), SessionKind::Bootstrap)
    );
    let Phase::CatchUp(catch_up) = session.phase() else {
        panic!("not catching up");
    };
    assert_eq!((catch_up.from, catch_up.target), (Lsn(1), Lsn(3)));
    assert!(d.member && d.session.is_none());
    assert_eq!(d.replica, id("d"));
}

#[test]
fn f77_the_event_log_is_bounded_and_says_what_it_dropped() {
    let mut log = RecoveryLog::new(NonZeroUsize::new(4).unwrap());
    assert!(log.is_empty());
    for session in 0..10 {
        log.record(Event {
            volume: VOLUME,
            epoch: Epoch(1),
            replica: Some(id(if session % 2 == 0 { "even" } else { "odd" })),
            session: Some(SessionId(session)),
            what: Happening::Connecting,
        });
    }
    assert_eq!((log.len(), log.dropped()), (4, 6));
    let kept: Vec<u64> = log.iter().map(|logged| logged.sequence).collect();
    assert_eq!(kept, [6, 7, 8, 9]);
    let even: Vec<u64> = log
        .of_replica(VOLUME, &id("even"))
        .map(|logged| logged.sequence)
        .collect();
    assert_eq!(even, [6, 8]);
    assert_eq!(log.of_replica(OTHER_VOLUME, &id("even")).count(), 0);
}

#[test]
fn every_transition_is_an_event_with_replica_session_epoch_and_cause() {
    let mut scene = Scene::new();
    let mut log = RecoveryLog::new(NonZeroUsize::new(64).unwrap());
    scene
        .assign(VOLUME, 2, 1, &[Named("r", 1, false, RECOVER)])
        .unwrap();
    let token = scene.token("r");
    scene.open(&token);
    log.record_effects(&scene.out);
    let _ = scene.handshake(&token, Some(&facts(&[1], 9)), &history(&[1, 2], 2));
    log.record_effects(&scene.out);
    let names: Vec<_> = log.iter().map(|logged| logged.event.what.name()).collect();
    assert_eq!(
        names,
        [
            "sender_created",
            "assigned",
            "session_attached",
            "connecting",
            "hello_sent",
            "classified",
            "session_ended"
        ]
    );
    let of_session: Vec<_> = log
        .of_replica(VOLUME, &token.replica)
        .filter(|logged| logged.event.session == Some(token.session))
        .collect();
    assert_eq!(of_session.len(), 5);
    assert!(
        of_session
            .iter()
            .all(|logged| logged.event.epoch == Epoch(2))
    );
    let causes: Vec<_> = of_session.iter().map(|l| l.event.what.cause()).collect();
    let why = Some("untrusted_base");
    assert_eq!(
        causes,
        [Some("bootstrap"), None, None, why, why],
        "each decision says why; the steps on the way belong to their session"
    );
}

#[test]
fn f35_a_replica_that_holds_less_than_it_acknowledged_is_an_alarm() {
    let mut scene = Scene::new();
    scene
        .assign(VOLUME, 2, 1, &[Named("r", 1, false, RECOVER)])
        .unwrap();
    let ended = |reason| Happening::SessionEnded {
        kind: SessionKind::CatchUp,
        phase: PhaseName::Handshake,
        cause: EndCause::Escalation(reason),
        state: SenderState::NeedsRebuild,
    };
    for &reason in RebuildReason::ALL {
        let lost = reason == RebuildReason::LostAcknowledged;
        assert_eq!(ended(reason).is_alarm(), lost, "{reason}");
    }
    assert!(scene.out.events().all(|event| !event.what.is_alarm()));
}
