//! The data port of a node under peers of every kind, over real sockets: what each is told, and that
//! nobody else notices.

use std::time::Duration;

use crate::peer::{self, BLOCKS, Place, append, at, entry};
use bytes::{Bytes, BytesMut};
use holdfast_node::authority::RecordVersion;
use holdfast_node::runtime::{ControlReply, ControlRequest};
use holdfast_types::{BLOCK_SIZE, BlockRange, Epoch, Lsn, ReplicaId, SessionId, StoreId, VolumeId};
use holdfast_wire::{
    ChunkContent, Frame, FrameType, HEADER_LEN, Hello, LogPosition, Message, RebuildBegin,
    RebuildChunk, RebuildSource, Refusal, SUPPORTED_VERSIONS, encode,
};

const START: LogPosition = LogPosition::START;

fn bytes_of(frame: &Frame) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    encode(frame, &mut bytes).unwrap();
    bytes.to_vec()
}

/// Tasks of this process, once they are as few as expected.
async fn tasks_are_at_most(most: usize) {
    let alive = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    for _ in 0..500 {
        if alive() <= most {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} tasks live, expected at most {most}", alive());
}

fn tasks() -> usize {
    tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w1_m37_a_restarted_replica_is_whole_only_when_its_log_has_reached_its_primary() {
    let mut place = Place::start().await;
    let volume = place.volume().await;
    let (mut primary, ack) = place.primary(volume, 1, 1, START).await;
    assert_eq!(ack.log_bytes, peer::LOG_BYTES);
    primary.appends(START, 5).await;
    assert!(
        !place.may_have_lost_received(volume),
        "it was made in this life of the process"
    );
    place.crash_and_restart().await;
    assert!(place.may_have_lost_received(volume));
    // Its primary has three entries more, which it may have acknowledged before the crash.
    let (mut primary, ack) = place.primary(volume, 1, 2, at(8, 1)).await;
    let has = ack.facts.base.durable.0;
    assert!(has <= 5);
    assert!(
        place.may_have_lost_received(volume),
        "a hello brings nothing back"
    );
    let mut last = if has == 0 { START } else { at(has, 1) };
    while last.lsn < Lsn(7) {
        primary.appends(last, 1).await;
        last = at(last.lsn.0 + 1, 1);
        assert!(place.may_have_lost_received(volume));
    }
    primary.appends(at(7, 1), 1).await;
    assert!(
        !place.may_have_lost_received(volume),
        "it holds everything again"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w1_an_empty_store_that_was_found_at_the_start_is_not_whole() {
    let mut place = Place::start().await;
    let volume = place.volume().await;
    assert!(!place.may_have_lost_received(volume));
    place.crash_and_restart().await;
    assert!(
        place.may_have_lost_received(volume),
        "its log may have been emptier than what it had received"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f91_a_hello_that_is_refused_deposes_nobody_and_promises_nothing() {
    let place = Place::start().await;
    let volume = place.volume().await;
    let (mut primary, _) = place.primary(volume, 1, 1, START).await;
    place.mint(volume).await;
    let mut other_size = place.stranger(volume, 2, 1).await;
    other_size.hello(BLOCKS - 1, START).await;
    assert!(matches!(other_size.refusal().await, Refusal::Size { .. }));
    let mut other_version = place.stranger(volume, 2, 1).await;
    let mut versions = SUPPORTED_VERSIONS;
    versions.min = SUPPORTED_VERSIONS.max + 1;
    versions.max = SUPPORTED_VERSIONS.max + 1;
    let hello = Hello {
        versions,
        blocks: BLOCKS,
        head: START,
        primary: ReplicaId::new("p").unwrap(),
        store: peer::STORE,
    };
    other_version.say(Message::Hello(hello)).await;
    let refusal = other_version.refusal().await;
    assert!(matches!(refusal, Refusal::Version { .. }));
    assert_eq!(place.promised(volume), Epoch(1));
    primary.appends(START, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f91_an_epoch_that_was_never_minted_is_not_promised_on_a_peers_word() {
    let place = Place::start().await;
    let volume = place.volume().await;
    let (mut primary, _) = place.primary(volume, 1, 1, START).await;
    for epoch in [2, 1000, u64::MAX] {
        let mut liar = place.stranger(volume, epoch, 1).await;
        liar.hello(BLOCKS, START).await;
        let refusal = liar.refusal().await;
        let expected = Refusal::EpochUnconfirmed {
            offered: Epoch(epoch),
            minted: Some(Epoch(1)),
        };
        assert_eq!(refusal, expected);
    }
    assert_eq!(place.promised(volume), Epoch(1));
    primary.appends(START, 3).await;
    let epoch = place.mint(volume).await;
    let (mut next, _) = place.primary(volume, epoch.0, 1, at(3, 1)).await;
    next.appends(at(3, 1), 1).await;
    assert_eq!(place.promised(volume), epoch);
    let told = primary.refusal().await;
    assert!(matches!(told, Refusal::StaleEpoch { .. }), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t7_a_newer_session_ends_the_connection_of_the_older_one() {
    let place = Place::start().await;
    let volume = place.volume().await;
    let (mut first, _) = place.primary(volume, 1, 1, START).await;
    first.appends(START, 2).await;
    let with_one = tasks();
    let mut older = vec![first];
    for session in 2..30 {
        let (next, ack) = place.primary(volume, 1, session, at(2, 1)).await;
        assert_eq!(ack.facts.base.durable, Lsn(2));
        older.push(next);
    }
    let mut present = older.pop().unwrap();
    // None of them has said or heard anything since: they are not waited for.
    tasks_are_at_most(with_one).await;
    for mut old in older {
        let refusal = old.refusal().await;
        assert!(
            matches!(refusal, Refusal::NotTheSession { .. }),
            "{refusal}"
        );
    }
    present.appends(at(2, 1), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t7_a_primary_that_is_silent_or_takes_no_answer_keeps_no_connection() {
    let place = Place::start().await;
    let volume = place.volume().await;
    let none = tasks();
    let (mut primary, _) = place.primary(volume, 1, 1, START).await;
    primary.appends(START, 2).await;
    // Silent from here on: neither a heartbeat nor the end of the connection.
    primary.closed().await;
    tasks_are_at_most(none).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f49_what_a_dead_session_sent_has_no_effect_on_any_connection() {
    let place = Place::start().await;
    let volume = place.volume().await;
    let (first, _) = place.primary(volume, 1, 1, START).await;
    let late = first.frame(append(START, 1, 4));
    let truncate = first.frame(Message::Truncate { to: Lsn(0) });
    let (mut second, _) = place.primary(volume, 1, 2, START).await;
    second.appends(START, 6).await;
    let mut first = first;
    let refusal = first.refusal().await;
    assert!(
        matches!(refusal, Refusal::NotTheSession { .. }),
        "{refusal}"
    );
    // The same frames, repeated on the connection of the present session.
    for stale in [late, truncate] {
        let (mut present, ack) = place
            .primary(volume, 1, second.session.0 + 1, at(6, 1))
            .await;
        assert_eq!(ack.facts.base.durable, Lsn(6), "nothing was cut");
        present.say_frame(stale).await;
        let refusal = present.refusal().await;
        let offered = SessionId(1);
        assert!(
            matches!(refusal, Refusal::NotTheSession { offered: o, .. } if o == offered),
            "{refusal}"
        );
        second = present;
    }
    assert_eq!(place.node().store(volume).unwrap().positions().head, Lsn(6));
    let mut replayed = place.stranger(volume, 1, 2).await;
    replayed.hello(BLOCKS, START).await;
    let refusal = replayed.refusal().await;
    assert!(matches!(refusal, Refusal::StaleSession { .. }), "{refusal}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f44_a_frame_of_another_volume_reaches_neither_and_disturbs_only_its_own_session() {
    let place = Place::start().await;
    let (one, two) = (place.volume().await, place.volume().await);
    let (mut first, _) = place.primary(one, 1, 1, START).await;
    let (mut second, _) = place.primary(two, 1, 1, START).await;
    let mut misdirected = first.frame(append(START, 1, 3));
    misdirected.volume = two;
    first.say_frame(misdirected).await;
    assert_eq!(first.refusal().await, Refusal::UnknownVolume);
    second.appends(START, 2).await;
    let head = |volume| place.node().store(volume).unwrap().positions().head;
    assert_eq!((head(one), head(two)), (Lsn(0), Lsn(2)));
    let mut nowhere = place.stranger(VolumeId::random(), 1, 1).await;
    nowhere.hello(BLOCKS, START).await;
    assert_eq!(nowhere.refusal().await, Refusal::UnknownVolume);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f45_garbage_and_torn_and_oversized_frames_are_refused_and_nobody_else_notices() {
    let place = Place::start().await;
    let volume = place.volume().await;
    let (mut primary, _) = place.primary(volume, 1, 1, START).await;
    let none = tasks();
    let hello = {
        let peer = place.stranger(volume, 1, 2).await;
        bytes_of(&peer.frame(Message::Hello(Hello {
            versions: SUPPORTED_VERSIONS,
            blocks: BLOCKS,
            head: START,
            primary: ReplicaId::new("p").unwrap(),
            store: peer::STORE,
        })))
    };
    let mut damaged = hello.clone();
    damaged[HEADER_LEN] ^= 1;
    let mut oversized = hello[..HEADER_LEN].to_vec();
    oversized[40..44].copy_from_slice(&(256_u32 << 20).to_le_bytes());
    let crc = crc32c(&oversized[..48]);
    oversized[48..52].copy_from_slice(&crc.to_le_bytes());
    // The largest frame there is, from somebody who has not said who they are.
    let mut large = oversized.clone();
    large[6..8].copy_from_slice(&FrameType::Append.number().to_le_bytes());
    large[40..44].copy_from_slice(&(5_u32 << 20).to_le_bytes());
    let crc = crc32c(&large[..48]);
    large[48..52].copy_from_slice(&crc.to_le_bytes());
    let cases: [(&str, &[u8], bool); 5] = [
        ("garbage", &[0x5a; 200], false),
        ("a torn frame", &hello[..HEADER_LEN + 3], true),
        ("a damaged frame", &damaged, false),
        ("an oversized frame", &oversized, false),
        ("a large frame of a stranger", &large, false),
    ];
    for (case, bytes, end) in cases {
        let peer = place.stranger(volume, 1, 2).await;
        let mut listener = peer.send_bytes(bytes, end).await;
        let refusal = listener.refusal().await;
        assert!(
            matches!(refusal, Refusal::Malformed { .. }),
            "{case}: {refusal}"
        );
    }
    // The same inside a session ends that session, and tells it why.
    let other = place.volume().await;
    let (peer, _) = place.primary(other, 1, 1, START).await;
    let mut listener = peer.send_bytes(&damaged, false).await;
    let refusal = listener.refusal().await;
    assert!(matches!(refusal, Refusal::Malformed { .. }), "{refusal}");
    tasks_are_at_most(none).await;
    primary.appends(START, 3).await;
    assert_eq!(primary.barrier(3).await, Lsn(3));
}

fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let low = crc & 1;
            crc >>= 1;
            crc ^= 0x82f6_3b78 * low;
        }
    }
    !crc
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f45_silent_strangers_take_only_their_places_and_not_for_long() {
    let place = Place::start().await;
    let volume = place.volume().await;
    let (mut primary, _) = place.primary(volume, 1, 1, START).await;
    let none = tasks();
    let mut silent = Vec::new();
    let mut turned_away = 0;
    for _ in 0..200 {
        silent.push(place.stranger(volume, 1, 2).await);
    }
    // From another address there is still room.
    let mut other = place.stranger_from("127.0.0.2", volume, 7, 1).await;
    other.hello(BLOCKS, START).await;
    let refusal = other.refusal().await;
    assert!(
        matches!(refusal, Refusal::EpochUnconfirmed { .. }),
        "{refusal}"
    );
    for mut stranger in silent {
        // The first of them are let go when no hello came, the rest at once.
        let heard = tokio::time::timeout(Duration::from_secs(15), async {
            match stranger.try_hear().await {
                Some(Message::Refusal(Refusal::TooMany { .. })) => turned_away += 1,
                Some(other) => panic!("told {other:?}"),
                None => {}
            }
        });
        primary.say(Message::Heartbeat { committed: Lsn(0) }).await;
        heard.await.expect("a stranger keeps its place for ever");
    }
    assert_eq!(turned_away, 200 - 64);
    tasks_are_at_most(none).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f38_what_the_store_does_not_take_is_refused_at_once_with_what_was_expected() {
    let place = Place::start().await;
    let volume = place.volume().await;
    let (mut primary, _) = place.primary(volume, 1, 1, START).await;
    primary.appends(START, 3).await;
    primary.say(append(at(5, 1), 1, 1)).await;
    let expected = Refusal::Predecessor {
        offered: at(5, 1),
        expected: at(3, 1),
    };
    assert_eq!(primary.refusal().await, expected);
    let (mut primary, _) = place.primary(volume, 1, 2, at(3, 1)).await;
    let mut outside = entry(4, 1);
    outside.range = Some(BlockRange::new(BLOCKS, 1).unwrap());
    let batch = holdfast_wire::Append {
        previous: at(3, 1),
        committed: Lsn(0),
        entries: vec![outside],
    };
    primary.say(Message::Append(batch)).await;
    let refusal = primary.refusal().await;
    assert!(matches!(refusal, Refusal::OutOfBounds { .. }), "{refusal}");
    let (mut primary, ack) = place.primary(volume, 1, 3, at(3, 1)).await;
    assert_eq!(ack.facts.base.durable, Lsn(3), "neither left a trace");
    primary.appends(at(3, 1), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f39_a_barrier_is_answered_with_its_position_and_not_before_that_is_durable() {
    let place = Place::start().await;
    let volume = place.volume().await;
    let (mut primary, _) = place.primary(volume, 1, 1, START).await;
    primary.say(Message::Barrier { lsn: Lsn(2) }).await;
    primary.hears_nothing_for(Duration::from_millis(300)).await;
    primary.appends(START, 1).await;
    primary.hears_nothing_for(Duration::from_millis(300)).await;
    primary.say(append(at(1, 1), 1, 2)).await;
    let mut heard = vec![primary.hear().await, primary.hear().await];
    heard.sort_by_key(|message| message.frame_type());
    assert_eq!(heard[0], Message::Received { lsn: Lsn(3) });
    let Message::BarrierAck { asked, durable } = heard[1] else {
        panic!("no answer: {heard:?}");
    };
    assert_eq!(asked, Lsn(2));
    assert!(durable >= Lsn(2) && durable <= Lsn(3));
    let store = place.node().store(volume).unwrap();
    assert!(store.positions().durable >= durable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f50_thousands_of_barriers_leave_no_task_behind() {
    let place = Place::start().await;
    let volume = place.volume().await;
    let (mut primary, _) = place.primary(volume, 1, 1, START).await;
    primary.appends(START, 1).await;
    primary.barrier(1).await;
    let before = tasks();
    for round in 0..60_u64 {
        let last = at(1 + round, 1);
        primary.say(append(last, 1, 1)).await;
        let lsn = last.lsn.next();
        for _ in 0..50 {
            primary.say(Message::Barrier { lsn }).await;
        }
        let mut answered = 0;
        while answered < 50 {
            let told = primary.hear().await;
            if let Message::BarrierAck { durable, .. } = told {
                assert!(durable >= lsn);
                answered += 1;
            } else {
                assert!(matches!(told, Message::Received { .. }), "{told:?}");
            }
        }
        assert!(tasks() <= before, "round {round}");
    }
    // More than may wait at once end the session, not the node.
    for _ in 0..200 {
        primary.say(Message::Barrier { lsn: Lsn(1000) }).await;
    }
    let refusal = primary.refusal().await;
    assert!(matches!(refusal, Refusal::TooMany { .. }), "{refusal}");
}

fn chunk(index: u64, fill: u8) -> Message {
    let start = index * 256;
    let count = (BLOCKS - start).min(256);
    let bytes = Bytes::from(vec![fill; count as usize * BLOCK_SIZE]);
    Message::RebuildChunk(RebuildChunk {
        range: BlockRange::new(start, count).unwrap(),
        content: ChunkContent::Data {
            sha256: holdfast_blockvol::ChunkDigest::of(&bytes).0,
            bytes,
        },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f37_nothing_of_a_rebuild_that_was_superseded_reaches_the_store() {
    let place = Place::start().await;
    let volume = place.volume().await;
    let begin = || {
        Message::RebuildBegin(RebuildBegin {
            source: RebuildSource::FullBase,
            target: Lsn(9),
            base_lsn: Lsn(9),
            blocks: BLOCKS,
        })
    };
    let (mut old, _) = place.primary(volume, 1, 1, at(9, 1)).await;
    old.say(begin()).await;
    assert_eq!(old.hear().await, Message::RebuildReady);
    old.say(chunk(0, 1)).await;
    let (mut new, ack) = place.primary(volume, 1, 2, at(9, 1)).await;
    assert!(!ack.facts.base.is_trusted(), "half a base is not trusted");
    // Entries are refused while the image is no image.
    new.say(begin()).await;
    assert_eq!(new.hear().await, Message::RebuildReady);
    let refusal = old.refusal().await;
    assert!(
        matches!(refusal, Refusal::NotTheSession { .. }),
        "{refusal}"
    );
    for index in 0..3 {
        new.say(chunk(index, 7)).await;
    }
    let digests = (0..3_u64).map(|index| {
        let count = (BLOCKS - index * 256).min(256) as usize;
        holdfast_blockvol::ChunkDigest::of(&vec![7; count * BLOCK_SIZE])
    });
    let lineage = vec![holdfast_types::LineageEntry {
        epoch: Epoch(1),
        first: Lsn(1),
    }];
    let manifest = holdfast_wire::Manifest {
        base_lsn: Lsn(9),
        extent_bound: Lsn(9),
        blocks: BLOCKS,
        sha256: holdfast_blockvol::ImageDigest::of(digests).0,
        lineage: holdfast_types::Lineage::new(lineage).unwrap(),
    };
    assert!(
        place.may_have_lost_received(volume),
        "a log that was given up is not whole"
    );
    new.say(Message::Manifest(Box::new(manifest))).await;
    loop {
        let told = new.hear().await;
        if let Message::BaseInstalled(installed) = told {
            break assert_eq!(installed.base_lsn, Lsn(9));
        }
        assert!(matches!(told, Message::RebuildProgress { .. }), "{told:?}");
    }
    let mut image = vec![0; BLOCKS as usize * BLOCK_SIZE];
    let store = place.node().store(volume).unwrap();
    store
        .read(BlockRange::new(0, BLOCKS).unwrap(), &mut image)
        .unwrap();
    assert!(image.iter().all(|byte| *byte == 7), "a stale chunk got in");
    assert!(!place.may_have_lost_received(volume));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a3_the_primary_of_an_epoch_takes_no_log_from_another() {
    let place = Place::start().await;
    let volume = place.volume().await;
    let epoch = place.promote_here(volume).await;
    let mut rival = place.stranger(volume, epoch.0, 99).await;
    rival.hello(BLOCKS, START).await;
    let refusal = rival.refusal().await;
    let own = place.node().store(volume).unwrap().store_id();
    let expected = Refusal::Led { epoch, leader: own };
    assert_eq!(refusal, expected);
    let primary = place.node().primary(volume).unwrap();
    assert_eq!(primary.stop_reason(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f85_in_one_epoch_a_replica_follows_one_leader_also_after_a_restart() {
    let mut place = Place::start().await;
    let volume = place.volume().await;
    let (mut primary, _) = place.primary(volume, 1, 1, START).await;
    primary.appends(START, 3).await;
    primary.barrier(3).await;
    for restarted in [false, true] {
        if restarted {
            place.crash_and_restart().await;
        }
        let mut rival = place.stranger(volume, 1, 99).await;
        rival.store = StoreId::random();
        rival.hello(BLOCKS, START).await;
        let expected = Refusal::Led {
            epoch: Epoch(1),
            leader: peer::STORE,
        };
        assert_eq!(rival.refusal().await, expected);
        let fence = ControlRequest::Fence {
            volume,
            epoch: Epoch(1),
        };
        let refused = place.try_ask(&fence).await.unwrap_err().to_string();
        assert!(refused.contains("is led by store"), "{refused}");
    }
    let (_, ack) = place.primary(volume, 1, 2, at(3, 1)).await;
    assert_eq!(ack.facts.base.durable, Lsn(3), "its own leader is let in");
    place.mint(volume).await;
    let mut next = place.stranger(volume, 2, 1).await;
    next.store = StoreId::random();
    next.hello(BLOCKS, at(3, 1)).await;
    let told = next.hear().await;
    assert!(matches!(told, Message::HelloAck(_)), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a9_a_candidate_that_was_restarted_since_its_report_does_not_take_the_lead() {
    let mut place = Place::start().await;
    let volume = place.volume().await;
    let epoch = Epoch(1);
    let fenced = place.ask(&ControlRequest::Fence { volume, epoch }).await;
    assert!(matches!(fenced, ControlReply::Fenced { .. }));
    place.crash_and_restart().await;
    let record = place.record(volume).await;
    let mut named = record.clone();
    named.primary = named.members.keys().next().cloned();
    let set = ControlRequest::AuthorityCompareAndSet {
        expected: RecordVersion::of(&record),
        record: Box::new(named),
    };
    assert!(matches!(
        place.ask(&set).await,
        ControlReply::Recorded { .. }
    ));
    place.ask(&ControlRequest::RecordChanged { volume }).await;
    place
        .until("the role was tried and given up", || {
            let status = place.node().status().volumes.remove(0);
            let named = status.record.and_then(|record| record.primary);
            named.is_some() && place.node().primary(volume).is_none()
        })
        .await;
    let store = place.node().store(volume).unwrap();
    assert_eq!(store.promise().leader, None, "it leads nothing");
    assert_eq!(store.positions().head, Lsn(0), "and logged nothing");
    assert!(place.promote_here(volume).await > epoch);
}
