//! The shipper, driven step by step.

use std::time::Duration;

use bytes::Bytes;
use holdfast_types::{BlockRange, EntryKind, Epoch, LogEntry, Lsn, SessionId, VolumeId};
use holdfast_wire::{Frame, FrameType, LogPosition, Message, Refusal};
use uuid::Uuid;

use super::{Evidence, Next, Shipper, ShipperError, ShipperLimits, WANTED_MAX};

const EPOCH: Epoch = Epoch(4);
const SESSION: SessionId = SessionId(2);
const NOW: Duration = Duration::from_secs(100);

fn volume() -> VolumeId {
    VolumeId(Uuid::from_u128(7))
}

fn at(lsn: u64, epoch: u64) -> LogPosition {
    LogPosition {
        lsn: Lsn(lsn),
        epoch: Epoch(epoch),
    }
}

fn shipper(from: u64, truncate: Option<u64>) -> Shipper {
    let limits = ShipperLimits {
        window_bytes: 3 * 4096 + 1,
        batch_bytes: 2 * 4096,
        ..ShipperLimits::default()
    };
    let frame = (volume(), EPOCH, SESSION);
    Shipper::new(frame, at(from, 3), truncate.map(Lsn), limits, NOW)
}

fn entries(first: u64, count: u64) -> Vec<LogEntry<Bytes>> {
    (first..first + count)
        .map(|lsn| LogEntry {
            lsn: Lsn(lsn),
            epoch: Epoch(3),
            kind: EntryKind::Write,
            range: Some(BlockRange::new(0, 1).unwrap()),
            payload: Bytes::from(vec![1; 4096]),
        })
        .collect()
}

fn frame(message: Message) -> Frame {
    Frame {
        volume: volume(),
        epoch: EPOCH,
        session: SESSION,
        message,
    }
}

/// Sends entries until `head` is sent or the window is full; the messages that went out.
fn ship(shipper: &mut Shipper, head: u64) -> Vec<Message> {
    let mut sent = Vec::new();
    loop {
        match shipper.next(NOW, Lsn(head), Lsn(0)) {
            Next::Send(message) => sent.push(message),
            Next::Load { after, max_bytes } => {
                let fit = (max_bytes / 4096).max(1).min(head - after.0);
                let batch = shipper.batch(NOW, entries(after.0 + 1, fit), Lsn(0));
                sent.extend(batch.unwrap());
            }
            Next::Wait { .. } => return sent,
        }
    }
}

fn received(lsn: u64) -> Frame {
    frame(Message::Received { lsn: Lsn(lsn) })
}

fn synced(asked: u64, durable: u64) -> Frame {
    frame(Message::BarrierAck {
        asked: Lsn(asked),
        durable: Lsn(durable),
    })
}

#[test]
fn f36_catch_up_and_live_entries_are_one_stream_and_each_batch_names_its_predecessor() {
    let mut s = shipper(5, None);
    let mut expected = at(5, 3);
    let mut lsns = Vec::new();
    for head in [7, 8, 12] {
        for message in ship(&mut s, head) {
            let Message::Append(batch) = message else {
                panic!("only entries were due: {message:?}");
            };
            assert_eq!(batch.previous, expected);
            lsns.extend(batch.entries.iter().map(|entry| entry.lsn.0));
            expected = at(*lsns.last().unwrap(), 3);
            s.receive(NOW, &received(expected.lsn.0)).unwrap();
        }
    }
    while s.cursor().lsn < Lsn(12) {
        for message in ship(&mut s, 12) {
            if let Message::Append(batch) = message {
                lsns.extend(batch.entries.iter().map(|entry| entry.lsn.0));
            }
        }
        let sent = s.cursor().lsn.0;
        s.receive(NOW, &received(sent)).unwrap();
    }
    assert_eq!(lsns, (6..=12).collect::<Vec<_>>());
}

#[test]
fn f46_entries_that_do_not_follow_the_cursor_are_not_sent() {
    let mut s = shipper(5, None);
    for wrong in [5, 7] {
        assert_eq!(
            s.batch(NOW, entries(wrong, 1), Lsn(0)),
            Err(ShipperError::LogOrder {
                expected: Lsn(6),
                found: Lsn(wrong)
            })
        );
    }
    let mut gap = entries(6, 1);
    gap.extend(entries(8, 1));
    assert!(s.batch(NOW, gap, Lsn(0)).is_err());
    assert_eq!(s.cursor(), at(5, 3), "a refused batch moves nothing");
}

#[test]
fn f41_the_window_bounds_what_is_sent_and_not_received() {
    let mut s = shipper(0, None);
    ship(&mut s, 100);
    assert_eq!(s.cursor().lsn, Lsn(3), "three blocks fill the window");
    s.receive(NOW, &received(2)).unwrap();
    ship(&mut s, 100);
    assert_eq!(s.cursor().lsn, Lsn(5));
}

#[test]
fn t9_nothing_is_appended_before_the_truncation_is_confirmed() {
    let mut s = shipper(5, Some(5));
    assert_eq!(
        s.next(NOW, Lsn(9), Lsn(0)),
        Next::Send(Message::Truncate { to: Lsn(5) })
    );
    s.want_barrier(Lsn(5));
    assert!(matches!(s.next(NOW, Lsn(9), Lsn(0)), Next::Wait { .. }));
    let wrong = frame(Message::Truncated { to: Lsn(6) });
    assert!(matches!(
        s.receive(NOW, &wrong),
        Err(ShipperError::Impossible { .. })
    ));
    let right = frame(Message::Truncated { to: Lsn(5) });
    assert_eq!(
        s.receive(NOW, &right),
        Ok(Evidence::Truncated { to: Lsn(5) })
    );
    let again = s.receive(NOW, &right);
    assert!(matches!(again, Err(ShipperError::Unasked { .. })));
}

#[test]
fn f39_a_barrier_is_answered_only_by_the_position_that_was_asked_and_reached() {
    let mut s = shipper(5, None);
    ship(&mut s, 7);
    s.want_barrier(Lsn(7));
    assert_eq!(ship(&mut s, 7), [Message::Barrier { lsn: Lsn(7) }]);
    for (asked, durable) in [(0, 0), (7, 0), (7, 6), (6, 7), (7, 8)] {
        let answer = s.receive(NOW, &synced(asked, durable));
        assert!(answer.is_err(), "asked {asked} durable {durable} counted");
        assert_eq!(s.durable(), Lsn(0));
    }
    assert_eq!(
        s.receive(NOW, &synced(7, 7)),
        Ok(Evidence::Durable { lsn: Lsn(7) })
    );
    assert_eq!((s.received(), s.durable()), (Lsn(7), Lsn(7)));
    let repeated = s.receive(NOW, &synced(7, 7));
    assert!(matches!(repeated, Err(ShipperError::Unasked { .. })));
}

#[test]
fn f49_frames_of_another_session_epoch_or_volume_have_no_effect() {
    let mut s = shipper(5, None);
    ship(&mut s, 7);
    let good = received(7);
    let foreign = [
        Frame {
            session: SessionId(1),
            ..good.clone()
        },
        Frame {
            epoch: Epoch(3),
            ..good.clone()
        },
        Frame {
            volume: VolumeId(Uuid::from_u128(8)),
            ..good
        },
    ];
    for frame in foreign {
        let refused = s.receive(NOW, &frame);
        assert!(matches!(refused, Err(ShipperError::Foreign { .. })));
        assert_eq!(s.received(), Lsn(5));
    }
}

#[test]
fn m05_an_answer_never_moves_a_position_back_or_beyond_what_was_sent() {
    let mut s = shipper(5, None);
    ship(&mut s, 7);
    s.receive(NOW, &received(7)).unwrap();
    for impossible in [6, 8] {
        let refused = s.receive(NOW, &received(impossible));
        assert!(matches!(refused, Err(ShipperError::Impossible { .. })));
        assert_eq!(s.received(), Lsn(7));
    }
}

#[test]
fn those_who_wait_share_a_barrier_and_only_two_are_open_at_once() {
    let mut s = shipper(0, None);
    ship(&mut s, 1);
    s.receive(NOW, &received(1)).unwrap();
    s.want_barrier(Lsn(1));
    assert_eq!(ship(&mut s, 1).len(), 1);
    ship(&mut s, 2);
    s.want_barrier(Lsn(2));
    assert_eq!(ship(&mut s, 2), [Message::Barrier { lsn: Lsn(2) }]);
    ship(&mut s, 3);
    s.want_barrier(Lsn(3));
    assert_eq!(ship(&mut s, 3), [], "two are open");
    s.receive(NOW, &synced(1, 2)).unwrap();
    assert_eq!(ship(&mut s, 3), [Message::Barrier { lsn: Lsn(3) }]);
}

#[test]
fn f38_a_refusal_is_known_at_once_with_what_was_expected() {
    let mut s = shipper(5, None);
    let refusal = Refusal::NotContiguous {
        expected: Lsn(6),
        found: Lsn(7),
    };
    assert_eq!(
        s.receive(NOW, &frame(Message::Refusal(refusal.clone()))),
        Err(ShipperError::Refused(refusal))
    );
    let unasked = s.receive(NOW, &frame(Message::RebuildReady));
    assert_eq!(
        unasked,
        Err(ShipperError::Unasked {
            found: FrameType::RebuildReady
        })
    );
}

#[test]
fn f55_a_silent_replica_ends_the_session_but_an_idle_one_does_not() {
    let mut s = shipper(5, None);
    let much_later = NOW + Duration::from_secs(1000);
    assert_eq!(s.check(much_later), Ok(()), "nothing is awaited");
    let Next::Load { after, .. } = s.next(much_later, Lsn(6), Lsn(0)) else {
        panic!("entry 6 is due");
    };
    s.batch(much_later, entries(after.0 + 1, 1), Lsn(0))
        .unwrap();
    assert_eq!(
        s.check(much_later),
        Ok(()),
        "the clock of the answer starts now"
    );
    let stall = ShipperLimits::default().stall;
    assert!(s.check(much_later + stall).is_err());
    s.receive(much_later + stall, &received(6)).unwrap();
    assert_eq!(s.check(much_later + stall * 9), Ok(()));
}

#[test]
fn f48_an_idle_session_announces_the_committed_position_and_then_beats() {
    let mut s = shipper(5, None);
    let beat = |committed| {
        Next::Send(Message::Heartbeat {
            committed: Lsn(committed),
        })
    };
    let wait = |s: &mut Shipper, now, committed| match s.next(now, Lsn(5), Lsn(committed)) {
        Next::Wait { until } => until,
        other @ (Next::Send(_) | Next::Load { .. }) => panic!("nothing is due: {other:?}"),
    };
    let soon = wait(&mut s, NOW, 5);
    assert_eq!(soon - NOW, ShipperLimits::default().announce);
    assert_eq!(s.next(soon, Lsn(5), Lsn(5)), beat(5));
    s.receive(soon, &received(5)).unwrap();
    let later = wait(&mut s, soon, 5);
    assert_eq!(later - soon, ShipperLimits::default().heartbeat);
    assert_eq!(s.next(later, Lsn(5), Lsn(5)), beat(5));
    let silent = later + ShipperLimits::default().stall;
    assert!(s.check(silent).is_err(), "a beat is answered");
}

/// Where barriers stand among what was sent, each after the last entry that was sent before it.
fn barriers_behind(sent: &[Message], mut cursor: Lsn) -> Vec<Lsn> {
    let mut found = Vec::new();
    for message in sent {
        if let Message::Append(batch) = message {
            cursor = batch.entries.last().unwrap().lsn;
        } else if let Message::Barrier { lsn } = message {
            assert_eq!(*lsn, cursor, "a barrier is of what was sent before it");
            found.push(*lsn);
        }
    }
    found
}

#[test]
fn t3_a_head_that_always_moves_ahead_of_the_cursor_does_not_starve_the_barriers() {
    let mut s = shipper(0, None);
    let mut proven = Vec::new();
    for _ in 0..8 {
        let start = s.cursor().lsn;
        let head = start.0 + 4;
        s.want_barrier(Lsn(head));
        let sent = ship(&mut s, head);
        assert!(s.cursor().lsn < Lsn(head), "the window keeps it behind");
        let barriers = barriers_behind(&sent, start);
        s.receive(NOW, &received(s.cursor().lsn.0)).unwrap();
        for barrier in barriers {
            s.receive(NOW, &synced(barrier.0, barrier.0)).unwrap();
            proven.push(barrier.0);
        }
    }
    // Three entries a round, two in a batch: 4, 7, 10, .. are wanted when 0, 3, 6, .. are sent.
    assert_eq!(proven, [5, 8, 11, 14, 17, 20, 23]);
}

#[test]
fn t3_a_frozen_target_is_proven_between_an_older_flush_and_a_newer_head() {
    let mut s = shipper(0, None);
    for wanted in [4, 1, 90] {
        s.want_barrier(Lsn(wanted));
    }
    let sent = ship(&mut s, 100);
    assert_eq!(barriers_behind(&sent, Lsn(0)), [Lsn(2)], "the flush");
    s.receive(NOW, &received(3)).unwrap();
    let sent = ship(&mut s, 100);
    assert_eq!(barriers_behind(&sent, Lsn(3)), [Lsn(5)], "the target");
    s.receive(NOW, &synced(2, 5)).unwrap();
    s.want_barrier(Lsn(4));
    let next = s.next(NOW, Lsn(5), Lsn(0));
    assert!(matches!(next, Next::Wait { .. }), "4 is proven: {next:?}");
}

#[test]
fn a4_a_barrier_is_not_sent_before_its_position_was_shipped() {
    let mut s = shipper(0, None);
    s.want_barrier(Lsn(4));
    let sent = ship(&mut s, 3);
    assert_eq!(s.cursor().lsn, Lsn(3));
    assert_eq!(barriers_behind(&sent, Lsn(0)), [], "entry 4 was not sent");
    s.receive(NOW, &received(3)).unwrap();
    let sent = ship(&mut s, 4);
    assert_eq!(barriers_behind(&sent, Lsn(3)), [Lsn(4)]);
}

#[test]
fn f41_the_wanted_positions_are_bounded_and_the_lowest_and_the_highest_are_kept() {
    let mut s = shipper(0, None);
    for wanted in 2..10_000 {
        s.want_barrier(Lsn(wanted));
    }
    assert_eq!(s.wanted.len(), WANTED_MAX);
    assert_eq!(s.wanted.first(), Some(&Lsn(2)));
    assert_eq!(s.wanted.last(), Some(&Lsn(9_999)));
}
