//! The receiver, driven step by step against a store that is only a position.

use bytes::Bytes;
use holdfast_types::{
    BaseState, BlockRange, EntryKind, Epoch, Lineage, LogEntry, Lsn, ReplicaFacts, ReplicaId,
    SessionId, StoreId, VolumeId,
};
use holdfast_wire::{
    Append, Frame, Hello, LogPosition, Message, RebuildBegin, RebuildSource, Refusal,
    SUPPORTED_VERSIONS, VersionRange,
};
use uuid::Uuid;

use super::{BARRIERS_MAX, Present, Receiver, StoreCall, StoreOutcome};

const BLOCKS: u64 = 16;
const LOG_BYTES: u64 = 1 << 20;
const EPOCH: Epoch = Epoch(5);
const SESSION: SessionId = SessionId(3);

fn volume() -> VolumeId {
    VolumeId(Uuid::from_u128(1))
}

fn frame(message: Message) -> Frame {
    Frame {
        volume: volume(),
        epoch: EPOCH,
        session: SESSION,
        message,
    }
}

const fn at(lsn: u64, epoch: u64) -> LogPosition {
    LogPosition {
        lsn: Lsn(lsn),
        epoch: Epoch(epoch),
    }
}

/// The store of the primary.
const LEADER: StoreId = StoreId(Uuid::from_u128(1));

fn primary() -> ReplicaId {
    ReplicaId::new("p").unwrap()
}

/// Where the primary's log ended when it said hello.
const PRIMARY_HEAD: LogPosition = at(8, 5);

const BEFORE: Present = Present {
    epoch: Epoch(4),
    session: Some(SessionId(9)),
};
const DURING: Present = Present {
    epoch: EPOCH,
    session: Some(SESSION),
};

fn hello() -> Frame {
    frame(Message::Hello(Hello {
        versions: SUPPORTED_VERSIONS,
        blocks: BLOCKS,
        head: PRIMARY_HEAD,
        primary: primary(),
        store: LEADER,
    }))
}

fn facts(durable: u64) -> ReplicaFacts {
    ReplicaFacts {
        store: StoreId(Uuid::from_u128(2)),
        base: BaseState {
            checkpoint: Lsn(0),
            extent_bound: Lsn(0),
            durable: Lsn(durable),
        },
        lineage: Lineage::default(),
    }
}

/// A connection whose hello was admitted by a store that ends at `last`.
fn in_session(last: LogPosition) -> Receiver {
    let mut receiver = Receiver::new(volume(), BLOCKS, LOG_BYTES);
    let call = receiver.frame(hello(), BEFORE).unwrap();
    assert_eq!(
        call,
        Some(StoreCall::Admit {
            epoch: EPOCH,
            session: SESSION,
            leader: LEADER,
        })
    );
    let facts = Box::new(facts(last.lsn.0));
    let answer = receiver.done(StoreOutcome::Admitted { facts, last });
    assert!(matches!(answer, Ok(Some(Message::HelloAck(_)))));
    receiver
}

fn entry(lsn: u64, epoch: u64) -> LogEntry<Bytes> {
    LogEntry {
        lsn: Lsn(lsn),
        epoch: Epoch(epoch),
        kind: EntryKind::Trim,
        range: Some(BlockRange::new(0, 1).unwrap()),
        payload: Bytes::new(),
    }
}

fn append(previous: LogPosition, entries: Vec<LogEntry<Bytes>>) -> Frame {
    frame(Message::Append(Append {
        previous,
        committed: Lsn(0),
        entries,
    }))
}

fn refused(receiver: &mut Receiver, frame: Frame) -> Refusal {
    let last = receiver.last();
    let refusal = receiver.frame(frame, DURING).unwrap_err();
    assert_eq!(receiver.last(), last, "a refusal changes nothing");
    refusal
}

#[test]
fn f52_the_hello_is_answered_only_after_epoch_and_session_are_durable() {
    let mut receiver = Receiver::new(volume(), BLOCKS, LOG_BYTES);
    assert!(matches!(
        receiver.frame(hello(), BEFORE),
        Ok(Some(StoreCall::Admit { .. }))
    ));
    let early = receiver.frame(append(at(0, 0), vec![entry(1, 5)]), DURING);
    assert!(matches!(early, Err(Refusal::OutOfTurn { .. })));
}

#[test]
fn an_older_epoch_is_told_what_is_promised() {
    let mut receiver = Receiver::new(volume(), BLOCKS, LOG_BYTES);
    let newer = Present {
        epoch: Epoch(6),
        session: None,
    };
    assert_eq!(
        receiver.frame(hello(), newer),
        Err(Refusal::StaleEpoch {
            offered: EPOCH,
            promised: Epoch(6)
        })
    );
}

#[test]
fn f49_a_session_that_is_not_newer_than_the_last_of_its_epoch_is_refused() {
    for last in [SESSION, SessionId(4)] {
        let mut receiver = Receiver::new(volume(), BLOCKS, LOG_BYTES);
        let present = Present {
            epoch: EPOCH,
            session: Some(last),
        };
        assert_eq!(
            receiver.frame(hello(), present),
            Err(Refusal::StaleSession {
                offered: SESSION,
                last
            })
        );
    }
}

#[test]
fn f49_a_connection_whose_session_was_superseded_has_no_effect_any_more() {
    let mut receiver = in_session(at(4, 3));
    let superseded = [
        Present {
            epoch: EPOCH,
            session: Some(SessionId(4)),
        },
        Present {
            epoch: EPOCH,
            session: None,
        },
    ];
    for present in superseded {
        let refused = receiver.frame(append(at(4, 3), vec![entry(5, 5)]), present);
        assert!(matches!(refused, Err(Refusal::NotTheSession { .. })));
    }
    let mut other_session = append(at(4, 3), vec![entry(5, 5)]);
    other_session.session = SessionId(4);
    assert!(matches!(
        refused(&mut receiver, other_session),
        Refusal::NotTheSession { .. }
    ));
}

#[test]
fn f44_a_frame_of_another_volume_is_refused() {
    let mut receiver = in_session(at(4, 3));
    let mut other = append(at(4, 3), vec![entry(5, 5)]);
    other.volume = VolumeId(Uuid::from_u128(99));
    assert_eq!(refused(&mut receiver, other), Refusal::UnknownVolume);
}

#[test]
fn f30_an_entry_at_a_position_already_passed_is_refused_and_never_skipped() {
    let mut receiver = in_session(at(4, 3));
    let duplicate = append(at(3, 3), vec![entry(4, 5)]);
    assert_eq!(
        refused(&mut receiver, duplicate),
        Refusal::Predecessor {
            offered: at(3, 3),
            expected: at(4, 3)
        }
    );
    let same_number_other_epoch = append(at(4, 5), vec![entry(5, 5)]);
    assert_eq!(
        refused(&mut receiver, same_number_other_epoch),
        Refusal::Predecessor {
            offered: at(4, 5),
            expected: at(4, 3)
        }
    );
}

#[test]
fn f46_entries_out_of_order_are_refused_whole() {
    let mut receiver = in_session(at(4, 3));
    for wrong in [vec![entry(6, 5)], vec![entry(5, 5), entry(7, 5)]] {
        let refusal = refused(&mut receiver, append(at(4, 3), wrong));
        assert!(matches!(refusal, Refusal::NotContiguous { .. }));
    }
}

#[test]
fn f47_entries_of_older_epochs_are_history_and_are_taken() {
    let mut receiver = in_session(at(4, 3));
    let call = receiver.frame(append(at(4, 3), vec![entry(5, 3), entry(6, 5)]), DURING);
    assert!(matches!(call, Ok(Some(StoreCall::Append { .. }))));
    assert_eq!(
        receiver.done(StoreOutcome::Appended),
        Ok(Some(Message::Received { lsn: Lsn(6) }))
    );
    for (wrong, what) in [(4, "goes back"), (6, "passes the session")] {
        let refusal = refused(&mut receiver, append(at(6, 5), vec![entry(7, wrong)]));
        assert!(matches!(refusal, Refusal::EntryEpoch { .. }), "{what}");
    }
}

#[test]
fn f17_a_range_outside_the_volume_is_refused() {
    let mut receiver = in_session(at(4, 3));
    let mut outside = entry(5, 5);
    outside.range = Some(BlockRange::new(BLOCKS - 1, 2).unwrap());
    assert!(matches!(
        refused(&mut receiver, append(at(4, 3), vec![outside])),
        Refusal::OutOfBounds { .. }
    ));
}

#[test]
fn t9_a_truncation_comes_once_and_before_the_first_append() {
    let mut receiver = in_session(at(9, 3));
    let truncate = |to| frame(Message::Truncate { to: Lsn(to) });
    assert!(matches!(
        refused(&mut receiver, truncate(10)),
        Refusal::TruncateBeyondHead { .. }
    ));
    let call = receiver.frame(truncate(6), DURING);
    assert_eq!(call, Ok(Some(StoreCall::Truncate { to: Lsn(6) })));
    assert_eq!(
        receiver.done(StoreOutcome::Truncated { last: at(6, 2) }),
        Ok(Some(Message::Truncated { to: Lsn(6) }))
    );
    assert_eq!(
        refused(&mut receiver, truncate(5)),
        Refusal::TruncateTooLate
    );

    let mut receiver = in_session(at(9, 3));
    receiver
        .frame(append(at(9, 3), vec![entry(10, 5)]), DURING)
        .unwrap();
    assert_eq!(
        refused(&mut receiver, truncate(9)),
        Refusal::TruncateTooLate
    );
}

#[test]
fn a_barrier_waits_for_its_entries_and_then_for_the_disk() {
    let mut receiver = in_session(at(4, 3));
    let barrier = frame(Message::Barrier { lsn: Lsn(5) });
    assert_eq!(receiver.frame(barrier, DURING), Ok(None));
    assert_eq!(receiver.durable(Lsn(4)), None);
    receiver
        .frame(append(at(4, 3), vec![entry(5, 5), entry(6, 5)]), DURING)
        .unwrap();
    receiver.done(StoreOutcome::Appended).unwrap();
    assert_eq!(receiver.sync_due(), Some(Lsn(5)));
    assert_eq!(
        receiver.durable(Lsn(6)),
        Some(Message::BarrierAck {
            asked: Lsn(5),
            durable: Lsn(6)
        })
    );
    assert_eq!(
        (receiver.durable(Lsn(6)), receiver.sync_due()),
        (None, None)
    );
}

#[test]
fn f35_a_durable_position_does_not_survive_a_truncation_below_it() {
    let mut receiver = in_session(at(9, 3));
    receiver
        .frame(frame(Message::Truncate { to: Lsn(6) }), DURING)
        .unwrap();
    receiver
        .done(StoreOutcome::Truncated { last: at(6, 2) })
        .unwrap();
    receiver
        .frame(append(at(6, 2), vec![entry(7, 5)]), DURING)
        .unwrap();
    receiver.done(StoreOutcome::Appended).unwrap();
    let call = receiver.frame(frame(Message::Barrier { lsn: Lsn(7) }), DURING);
    assert_eq!(call, Ok(Some(StoreCall::Sync { lsn: Lsn(7) })));
    assert_eq!(receiver.durable(Lsn(6)), None, "what was durable is cut");
    assert_eq!(
        receiver.durable(Lsn(9)),
        Some(Message::BarrierAck {
            asked: Lsn(7),
            durable: Lsn(7)
        }),
        "never beyond the log"
    );
}

#[test]
fn f50_barriers_are_bounded() {
    let mut receiver = in_session(at(4, 3));
    let barrier = || frame(Message::Barrier { lsn: Lsn(99) });
    for _ in 0..BARRIERS_MAX {
        assert_eq!(receiver.frame(barrier(), DURING), Ok(None));
    }
    assert!(matches!(
        refused(&mut receiver, barrier()),
        Refusal::TooMany { .. }
    ));
}

#[test]
fn f37_no_entry_is_applied_while_a_base_is_being_installed() {
    let mut receiver = in_session(at(4, 3));
    let begin = frame(Message::RebuildBegin(RebuildBegin {
        source: RebuildSource::FullBase,
        target: Lsn(9),
        base_lsn: Lsn(7),
        blocks: BLOCKS,
    }));
    let call = receiver.frame(begin.clone(), DURING);
    assert_eq!(call, Ok(Some(StoreCall::BeginInstall { blocks: BLOCKS })));
    assert_eq!(
        receiver.done(StoreOutcome::InstallBegun),
        Ok(Some(Message::RebuildReady))
    );
    for early in [
        append(at(4, 3), vec![entry(5, 5)]),
        frame(Message::Barrier { lsn: Lsn(4) }),
        frame(Message::Truncate { to: Lsn(4) }),
        begin,
    ] {
        let refusal = receiver.frame(early, DURING);
        assert!(matches!(refusal, Err(Refusal::OutOfTurn { .. })));
    }
}

#[test]
fn a_hello_of_another_size_or_version_is_refused_with_what_is_here() {
    let with = |hello| {
        let mut receiver = Receiver::new(volume(), BLOCKS, LOG_BYTES);
        receiver.frame(frame(Message::Hello(hello)), BEFORE)
    };
    let other_size = Hello {
        versions: SUPPORTED_VERSIONS,
        blocks: BLOCKS - 1,
        head: PRIMARY_HEAD,
        primary: primary(),
        store: LEADER,
    };
    assert!(matches!(with(other_size), Err(Refusal::Size { .. })));
    let newer = SUPPORTED_VERSIONS.max + 1;
    let other_version = Hello {
        versions: VersionRange {
            min: newer,
            max: newer,
        },
        blocks: BLOCKS,
        head: PRIMARY_HEAD,
        primary: primary(),
        store: LEADER,
    };
    assert!(matches!(with(other_version), Err(Refusal::Version { .. })));
}

#[test]
fn w1_a_log_has_reached_the_primary_only_with_the_last_entry_of_its_hello() {
    let mut receiver = in_session(at(4, 5));
    assert!(
        !receiver.has_reached_the_primary(),
        "the hello alone proves nothing"
    );
    for (previous, next) in [(at(4, 5), 5), (at(5, 5), 6), (at(6, 5), 7)] {
        receiver
            .frame(append(previous, vec![entry(next, 5)]), DURING)
            .unwrap();
        receiver.done(StoreOutcome::Appended).unwrap();
        assert!(
            !receiver.has_reached_the_primary(),
            "entry 8 is still missing"
        );
    }
    receiver
        .frame(append(at(7, 5), vec![entry(8, 5)]), DURING)
        .unwrap();
    receiver.done(StoreOutcome::Appended).unwrap();
    assert!(receiver.has_reached_the_primary());
}

#[test]
fn w1_a_longer_log_of_another_lineage_has_not_reached_the_primary() {
    let mut receiver = in_session(at(20, 4));
    assert!(
        !receiver.has_reached_the_primary(),
        "20 is more than 8, and proves nothing"
    );
    receiver
        .frame(frame(Message::Truncate { to: Lsn(7) }), DURING)
        .unwrap();
    receiver
        .done(StoreOutcome::Truncated { last: at(7, 4) })
        .unwrap();
    assert!(!receiver.has_reached_the_primary());
    receiver
        .frame(append(at(7, 4), vec![entry(8, 5)]), DURING)
        .unwrap();
    receiver.done(StoreOutcome::Appended).unwrap();
    assert!(receiver.has_reached_the_primary());
}

#[test]
fn w1_a_log_that_ends_with_the_very_entry_of_the_primary_has_reached_it() {
    assert!(in_session(PRIMARY_HEAD).has_reached_the_primary());
    assert!(
        !in_session(at(8, 4)).has_reached_the_primary(),
        "another epoch's entry 8"
    );
}

#[test]
fn f91_a_hello_that_is_refused_asks_nothing_of_the_store() {
    let receiver = Receiver::new(volume(), BLOCKS, LOG_BYTES);
    let hello = |blocks| Hello {
        versions: SUPPORTED_VERSIONS,
        blocks,
        head: PRIMARY_HEAD,
        primary: primary(),
        store: LEADER,
    };
    let check = |epoch, session, blocks| {
        receiver.check_hello(Epoch(epoch), SessionId(session), &hello(blocks), DURING)
    };
    assert!(matches!(check(9, 1, BLOCKS - 1), Err(Refusal::Size { .. })));
    assert!(matches!(
        check(4, 9, BLOCKS),
        Err(Refusal::StaleEpoch { .. })
    ));
    assert!(matches!(
        check(5, 3, BLOCKS),
        Err(Refusal::StaleSession { .. })
    ));
    assert_eq!(check(5, 4, BLOCKS), Ok(()));
    assert_eq!(check(6, 1, BLOCKS), Ok(()));
    assert_eq!(receiver.authority(), None);
}
