//! Source and target of a base transfer, against each other and against a faulty peer.

use std::time::Duration;

use bytes::Bytes;
use holdfast_types::{BLOCK_SIZE, Epoch, Lineage, Lsn, SessionId, VolumeId};
use holdfast_wire::{
    BaseInstalled, ChunkContent, Frame, Manifest, Message, RebuildBegin, RebuildSource as Kind,
    Refusal,
};
use uuid::Uuid;

use super::super::{CHUNK_BLOCKS, RebuildTarget};
use super::{RebuildSource, SourceBounds, SourceError, SourceEvidence, SourceStep, WINDOW_CHUNKS};

const NOW: Duration = Duration::from_secs(1);
const BOUNDS: SourceBounds = SourceBounds {
    answer: Duration::from_secs(5),
    work: Duration::from_secs(60),
};
const BLOCKS: u64 = 40 * CHUNK_BLOCKS + 3;

fn identity() -> (VolumeId, Epoch, SessionId) {
    (VolumeId(Uuid::from_u128(1)), Epoch(2), SessionId(3))
}

fn begin() -> RebuildBegin {
    RebuildBegin {
        source: Kind::FullBase,
        target: Lsn(20),
        base_lsn: Lsn(10),
        blocks: BLOCKS,
    }
}

fn frame(message: Message) -> Frame {
    let (volume, epoch, session) = identity();
    Frame {
        volume,
        epoch,
        session,
        message,
    }
}

fn manifest() -> Manifest {
    Manifest {
        base_lsn: Lsn(10),
        extent_bound: Lsn(15),
        blocks: BLOCKS,
        sha256: [0; 32],
        lineage: Lineage::default(),
    }
}

fn started() -> RebuildSource {
    let mut source = RebuildSource::new(identity(), begin(), BOUNDS, NOW);
    assert_eq!(
        source.step(),
        SourceStep::Send(Message::RebuildBegin(begin()))
    );
    assert_eq!(source.step(), SourceStep::Wait, "not before it is ready");
    let ready = source.receive(NOW, &frame(Message::RebuildReady));
    assert_eq!(ready, Ok(SourceEvidence::Ready));
    source
}

fn chunk_bytes(index: u64) -> Bytes {
    let count = (BLOCKS - index * CHUNK_BLOCKS).min(CHUNK_BLOCKS) as usize;
    let fill = u8::from(index.is_multiple_of(2));
    Bytes::from(vec![fill; count * BLOCK_SIZE])
}

/// Sends whatever the window allows.
fn send_window(source: &mut RebuildSource) -> Vec<Message> {
    let mut sent = Vec::new();
    while let SourceStep::Read { index } = source.step() {
        sent.push(
            source
                .chunk(NOW, index, chunk_bytes(index), [1; 32])
                .unwrap(),
        );
    }
    sent
}

#[test]
fn a_whole_base_goes_over_in_order_within_the_window_and_ends_with_its_manifest() {
    let mut source = started();
    let mut target = RebuildTarget::new(begin(), BLOCKS).unwrap();
    let (mut chunks, mut zeroes) = (0, 0);
    while source.step() != SourceStep::Finish {
        let sent = send_window(&mut source);
        assert!(!sent.is_empty() && sent.len() as u64 <= WINDOW_CHUNKS);
        for message in sent {
            let Message::RebuildChunk(chunk) = message else {
                panic!("only chunks are due");
            };
            chunks += 1;
            zeroes += u64::from(chunk.content == ChunkContent::Zeroes);
            target.chunk(&chunk).unwrap();
            source.receive(NOW, &frame(target.installed())).unwrap();
        }
    }
    assert_eq!((chunks, zeroes), (41, 20));
    target.manifest(&manifest()).unwrap();
    source.manifest(NOW, manifest());
    let installed = BaseInstalled {
        base_lsn: Lsn(10),
        extent_bound: Lsn(15),
    };
    let switched = source.receive(NOW, &frame(Message::BaseInstalled(installed)));
    assert_eq!(switched, Ok(SourceEvidence::Switched(installed)));
    assert!(source.is_installed());
}

#[test]
fn m19_a_transfer_does_not_end_before_every_chunk_is_installed() {
    let mut source = started();
    send_window(&mut source);
    let early = BaseInstalled {
        base_lsn: Lsn(10),
        extent_bound: Lsn(15),
    };
    let refused = source.receive(NOW, &frame(Message::BaseInstalled(early)));
    assert!(matches!(refused, Err(SourceError::Unasked { .. })));
    let beyond = Message::RebuildProgress { next_block: BLOCKS };
    let refused = source.receive(NOW, &frame(beyond));
    assert!(matches!(refused, Err(SourceError::Impossible { .. })));
    let target = RebuildTarget::new(begin(), BLOCKS).unwrap();
    assert!(matches!(
        target.manifest(&manifest()),
        Err(Refusal::ManifestMismatch { .. })
    ));
}

#[test]
fn a_chunk_that_is_repeated_left_out_or_cut_short_is_refused() {
    let mut source = started();
    let sent = send_window(&mut source);
    let chunk = |n: usize| {
        let Message::RebuildChunk(chunk) = &sent[n] else {
            panic!("only chunks are due");
        };
        chunk.clone()
    };
    let mut target = RebuildTarget::new(begin(), BLOCKS).unwrap();
    target.chunk(&chunk(0)).unwrap();
    for wrong in [0, 2] {
        assert_eq!(
            target.chunk(&chunk(wrong)),
            Err(Refusal::ChunkOrder {
                expected: CHUNK_BLOCKS,
                found: wrong as u64 * CHUNK_BLOCKS
            })
        );
    }
    let mut short = chunk(1);
    short.range = holdfast_types::BlockRange::new(CHUNK_BLOCKS, 1).unwrap();
    assert!(target.chunk(&short).is_err());
    target.chunk(&chunk(1)).unwrap();
}

#[test]
fn t17_a_replica_that_switched_to_another_base_is_not_believed() {
    let mut source = started();
    while source.step() != SourceStep::Finish {
        send_window(&mut source);
        let next_block = source.sent_blocks;
        let progress = Message::RebuildProgress { next_block };
        source.receive(NOW, &frame(progress)).unwrap();
    }
    source.manifest(NOW, manifest());
    for (base, bound) in [(11, 15), (10, 14)] {
        let other = BaseInstalled {
            base_lsn: Lsn(base),
            extent_bound: Lsn(bound),
        };
        let refused = source.receive(NOW, &frame(Message::BaseInstalled(other)));
        assert!(matches!(refused, Err(SourceError::OtherBase { .. })));
    }
}

#[test]
fn f49_a_ready_of_another_session_starts_nothing() {
    let mut source = RebuildSource::new(identity(), begin(), BOUNDS, NOW);
    source.step();
    let stale = Frame {
        session: SessionId(2),
        ..frame(Message::RebuildReady)
    };
    assert!(matches!(
        source.receive(NOW, &stale),
        Err(SourceError::Foreign { .. })
    ));
    assert_eq!(source.step(), SourceStep::Wait);
}

#[test]
fn f55_a_silent_target_ends_the_transfer() {
    let mut source = started();
    let late = NOW + BOUNDS.work;
    assert_eq!(source.check(late), Ok(()), "nothing was sent yet");
    let SourceStep::Read { index } = source.step() else {
        panic!("a chunk is due");
    };
    source
        .chunk(late, index, chunk_bytes(index), [1; 32])
        .unwrap();
    send_window(&mut source);
    assert_eq!(source.check(late), Ok(()), "it was asked just now");
    let stalled = source.check(late + BOUNDS.answer);
    assert!(matches!(stalled, Err(SourceError::Stalled { .. })));
}

#[test]
fn a5_the_last_step_of_a_rebuild_has_the_time_of_its_stall_budget() {
    let mut source = RebuildSource::new(identity(), begin(), BOUNDS, NOW);
    source.step();
    assert_eq!(source.check(NOW + BOUNDS.answer), Ok(()), "it marks itself");
    assert!(source.check(NOW + BOUNDS.work).is_err());
    let mut source = started();
    while source.step() != SourceStep::Finish {
        send_window(&mut source);
        let next_block = source.sent_blocks;
        let progress = Message::RebuildProgress { next_block };
        source.receive(NOW, &frame(progress)).unwrap();
    }
    source.manifest(NOW, manifest());
    assert_eq!(source.check(NOW + BOUNDS.answer), Ok(()), "it switches");
    assert!(source.check(NOW + BOUNDS.work).is_err());
}

#[test]
fn a_manifest_of_another_plan_is_refused() {
    let plan = RebuildBegin {
        blocks: 1,
        ..begin()
    };
    let mut target = RebuildTarget::new(plan, 1).unwrap();
    let mut source = RebuildSource::new(identity(), plan, BOUNDS, NOW);
    source.step();
    source.receive(NOW, &frame(Message::RebuildReady)).unwrap();
    let message = source.chunk(NOW, 0, Bytes::from(vec![0; BLOCK_SIZE]), [0; 32]);
    let Ok(Message::RebuildChunk(chunk)) = message else {
        panic!("one chunk");
    };
    target.chunk(&chunk).unwrap();
    target.installed();
    let good = Manifest {
        blocks: 1,
        ..manifest()
    };
    target.manifest(&good).unwrap();
    let wrong = [
        Manifest {
            base_lsn: Lsn(11),
            ..good.clone()
        },
        Manifest {
            extent_bound: Lsn(9),
            ..good.clone()
        },
        Manifest { blocks: 2, ..good },
    ];
    for manifest in wrong {
        assert!(target.manifest(&manifest).is_err());
    }
    let less = plan.blocks - 1;
    assert!(
        RebuildTarget::new(plan, less).is_err(),
        "larger than the volume"
    );
}
