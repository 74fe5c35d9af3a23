//! The session around the receiver: batches without room, barriers, and silence.

use std::time::Duration;

use bytes::Bytes;
use holdfast_types::{
    BaseState, BlockRange, EntryKind, Epoch, Lineage, LogEntry, Lsn, ReplicaFacts, ReplicaId,
    SessionId, StoreId, VolumeId,
};
use holdfast_wire::{Append, Frame, Hello, LogPosition, Message, Refusal, SUPPORTED_VERSIONS};
use uuid::Uuid;

use super::{About, Performed, ROOM_WAIT, ReplicaSession};
use crate::replication::{Present, StoreCall, StoreOutcome};

const OWN: About = About {
    volume: VolumeId(Uuid::from_u128(1)),
    epoch: Epoch(2),
    session: SessionId(3),
};
const PRESENT: Present = Present {
    epoch: OWN.epoch,
    session: Some(OWN.session),
};
const IDLE: Duration = Duration::from_secs(30);
const NOW: Duration = Duration::from_secs(1);
const FULL: Refusal = Refusal::LogFull { free: 1, needed: 2 };

fn frame(message: Message) -> Frame {
    OWN.with(message)
}

/// In session, with an empty log.
fn session() -> ReplicaSession {
    let mut session = ReplicaSession::new(OWN.volume, 16, 1 << 20, IDLE, NOW);
    let hello = Hello {
        versions: SUPPORTED_VERSIONS,
        blocks: 16,
        head: LogPosition::START,
        primary: ReplicaId::new("p").unwrap(),
        store: StoreId(Uuid::from_u128(9)),
    };
    let before = Present {
        epoch: Epoch(1),
        session: None,
    };
    session
        .frame(NOW, frame(Message::Hello(hello)), before)
        .unwrap();
    let facts = Box::new(ReplicaFacts {
        store: StoreId(Uuid::from_u128(2)),
        base: BaseState {
            checkpoint: Lsn(0),
            extent_bound: Lsn(0),
            durable: Lsn(0),
        },
        lineage: Lineage::default(),
    });
    let last = LogPosition::START;
    let admitted = Performed::Done(StoreOutcome::Admitted { facts, last });
    session.performed(NOW, admitted).unwrap();
    session
}

fn entries() -> Vec<LogEntry<Bytes>> {
    let entry = |lsn| LogEntry {
        lsn: Lsn(lsn),
        epoch: Epoch(2),
        kind: EntryKind::Trim,
        range: Some(BlockRange::new(0, 1).unwrap()),
        payload: Bytes::new(),
    };
    vec![entry(1), entry(2)]
}

/// A batch came, for which there is no room.
fn without_room() -> ReplicaSession {
    let mut session = session();
    let batch = frame(Message::Append(Append {
        previous: LogPosition::START,
        committed: Lsn(0),
        entries: entries(),
    }));
    let call = session.frame(NOW, batch, PRESENT).unwrap();
    assert!(matches!(call, Some(StoreCall::Append { .. })));
    assert_eq!(session.performed(NOW, no_room()), Ok(None));
    session
}

fn no_room() -> Performed {
    Performed::NoRoom {
        entries: entries()[1..].to_vec(),
        committed: Lsn(0),
        refusal: FULL,
    }
}

#[test]
fn f45_nothing_is_read_while_a_batch_waits_for_room_and_what_is_left_of_it_is_tried_again() {
    let mut session = without_room();
    assert!(!session.takes_frames());
    let call = session.retry(NOW, PRESENT).unwrap();
    assert!(
        matches!(call, Some(StoreCall::Append { entries, .. }) if entries.len() == 1),
        "of two entries one went in"
    );
    let answer = session.performed(NOW, Performed::Done(StoreOutcome::Appended));
    assert_eq!(answer, Ok(Some(Message::Received { lsn: Lsn(2) })));
    assert!(session.takes_frames());
}

#[test]
fn f84_a_batch_waits_so_long_for_room_and_is_then_refused() {
    let mut session = without_room();
    let almost = NOW + ROOM_WAIT - Duration::from_nanos(1);
    session.retry(almost, PRESENT).unwrap();
    assert_eq!(session.performed(almost, no_room()), Ok(None));
    let late = NOW + ROOM_WAIT;
    session.retry(late, PRESENT).unwrap();
    assert_eq!(session.performed(late, no_room()), Err(FULL));
}

#[test]
fn t7_a_batch_that_waited_is_not_tried_for_a_session_that_was_superseded() {
    let mut session = without_room();
    let newer = Present {
        epoch: OWN.epoch,
        session: Some(SessionId(4)),
    };
    let refusal = session.retry(NOW, newer).unwrap_err();
    assert!(matches!(refusal, Refusal::NotTheSession { .. }));
}

#[test]
fn f49_no_barrier_is_answered_for_a_session_that_was_superseded() {
    let mut session = session();
    session
        .frame(NOW, frame(Message::Barrier { lsn: Lsn(0) }), PRESENT)
        .unwrap();
    assert!(session.awaits_sync());
    let deposed = Present {
        epoch: Epoch(3),
        session: None,
    };
    assert_eq!(
        session.answers(deposed, Lsn(9)),
        Err(Refusal::StaleEpoch {
            offered: Epoch(2),
            promised: Epoch(3)
        })
    );
    let answers = session.answers(PRESENT, Lsn(0)).unwrap();
    assert_eq!(
        answers,
        [Message::BarrierAck {
            asked: Lsn(0),
            durable: Lsn(0)
        }]
    );
    assert!(!session.awaits_sync());
}

#[test]
fn a_primary_is_given_up_when_it_is_silent_and_not_while_it_is_not_read() {
    let session = session();
    assert!(!session.is_abandoned(NOW + IDLE - Duration::from_nanos(1)));
    assert!(session.is_abandoned(NOW + IDLE));
    let mut waiting = without_room();
    assert!(!waiting.is_abandoned(NOW + IDLE));
    waiting.retry(NOW + IDLE, PRESENT).unwrap();
    waiting
        .performed(NOW + IDLE, Performed::Done(StoreOutcome::Appended))
        .unwrap();
    assert!(!waiting.is_abandoned(NOW + IDLE + Duration::from_secs(1)));
}
