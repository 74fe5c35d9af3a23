//! The codec against itself, against fixed bytes, and against arbitrary ones.

use bytes::{Bytes, BytesMut};
use holdfast_types::{
    BLOCK_SIZE, BaseState, BlockRange, EntryKind, Epoch, Lineage, LineageEntry, LogEntry, Lsn,
    ReplicaFacts, ReplicaId, SessionId, StoreId, VolumeId,
};
use holdfast_wire::{
    Append, BaseInstalled, ChunkContent, EncodeError, Frame, FrameDecoder, FrameType, HEADER_LEN,
    Hello, HelloAck, LogPosition, Manifest, Message, RebuildBegin, RebuildChunk, RebuildSource,
    Refusal, VersionRange, WireError, encode,
};
use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

fn encoded(frame: &Frame) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode(frame, &mut out).unwrap();
    out.to_vec()
}

fn decoded(bytes: &[u8]) -> Result<Option<Frame>, WireError> {
    let mut decoder = FrameDecoder::new();
    decoder.extend(bytes);
    decoder.next_frame()
}

fn frame(message: Message) -> Frame {
    Frame {
        volume: VolumeId(Uuid::from_bytes(*b"0123456789abcdef")),
        epoch: Epoch(7),
        session: SessionId(9),
        message,
    }
}

fn range(start: u64, count: u64) -> BlockRange {
    BlockRange::new(start, count).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn lineage(entries: &[(u64, u64)]) -> Lineage {
    let list = entries.iter().map(|&(e, l)| LineageEntry {
        epoch: Epoch(e),
        first: Lsn(l),
    });
    Lineage::new(list.collect()).unwrap()
}

#[test]
fn golden_frames_have_the_bytes_that_formats_md_shows() {
    let barrier = encoded(&frame(Message::Barrier { lsn: Lsn(0x0102) }));
    assert_eq!(
        hex(&barrier),
        include_str!("golden/barrier.hex").trim(),
        "barrier"
    );
    let ack = HelloAck {
        version: 3,
        blocks: 256,
        log_bytes: 1 << 20,
        facts: ReplicaFacts {
            store: StoreId(Uuid::from_bytes(*b"fedcba9876543210")),
            base: BaseState {
                checkpoint: Lsn(3),
                extent_bound: Lsn(4),
                durable: Lsn(5),
            },
            lineage: lineage(&[(1, 1), (7, 4)]),
        },
    };
    assert_eq!(
        hex(&encoded(&frame(Message::HelloAck(Box::new(ack))))),
        include_str!("golden/hello-ack.hex").trim(),
        "hello-ack"
    );
    let hello = Hello {
        versions: VersionRange { min: 3, max: 3 },
        blocks: 256,
        head: LogPosition {
            lsn: Lsn(12),
            epoch: Epoch(7),
        },
        primary: ReplicaId::new("node-1").unwrap(),
        store: StoreId(Uuid::from_u128(0x5702)),
    };
    assert_eq!(
        hex(&encoded(&frame(Message::Hello(hello)))),
        include_str!("golden/hello.hex").trim(),
        "hello"
    );
    let append = Append {
        previous: LogPosition {
            lsn: Lsn(5),
            epoch: Epoch(1),
        },
        committed: Lsn(4),
        entries: vec![
            LogEntry {
                lsn: Lsn(6),
                epoch: Epoch(7),
                kind: EntryKind::EpochStart,
                range: None,
                payload: Bytes::new(),
            },
            LogEntry {
                lsn: Lsn(7),
                epoch: Epoch(7),
                kind: EntryKind::Trim,
                range: Some(range(2, 3)),
                payload: Bytes::new(),
            },
        ],
    };
    assert_eq!(
        hex(&encoded(&frame(Message::Append(append)))),
        include_str!("golden/append.hex").trim(),
        "append"
    );
    let refusal = Refusal::Predecessor {
        offered: LogPosition {
            lsn: Lsn(9),
            epoch: Epoch(2),
        },
        expected: LogPosition {
            lsn: Lsn(8),
            epoch: Epoch(1),
        },
    };
    assert_eq!(
        hex(&encoded(&frame(Message::Refusal(refusal)))),
        include_str!("golden/refusal.hex").trim(),
        "refusal"
    );
}

#[test]
fn f45_a_length_above_the_cap_of_its_type_is_refused_before_any_payload_arrives() {
    for frame_type in FrameType::ALL {
        let mut header = encoded(&frame(Message::Barrier { lsn: Lsn(1) }))[..HEADER_LEN].to_vec();
        header[6..8].copy_from_slice(&frame_type.number().to_le_bytes());
        let length = frame_type.payload_limit() + 1;
        header[40..44].copy_from_slice(&length.to_le_bytes());
        let crc = crc32c::crc32c(&header[..48]);
        header[48..52].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(
            decoded(&header),
            Err(WireError::TooLong {
                frame_type,
                length,
                limit: frame_type.payload_limit()
            })
        );
    }
}

#[test]
fn f45_a_stream_that_begins_with_another_frame_is_refused_by_its_header_alone() {
    let append = encoded(&frame(Message::Barrier { lsn: Lsn(1) }));
    let mut decoder = FrameDecoder::beginning_with(FrameType::Hello);
    decoder.extend(&append[..HEADER_LEN]);
    assert_eq!(
        decoder.next_frame(),
        Err(WireError::NotFirst {
            found: FrameType::Barrier,
            expected: FrameType::Hello
        })
    );
    let hello = frame(Message::Hello(Hello {
        versions: VersionRange { min: 3, max: 3 },
        blocks: 8,
        head: LogPosition::START,
        primary: ReplicaId::new("a").unwrap(),
        store: StoreId(Uuid::nil()),
    }));
    let mut decoder = FrameDecoder::beginning_with(FrameType::Hello);
    decoder.extend(&encoded(&hello));
    decoder.extend(&append);
    assert_eq!(decoder.next_frame(), Ok(Some(hello)));
    assert!(
        matches!(decoder.next_frame(), Ok(Some(_))),
        "only the first is bound"
    );
}

#[test]
fn any_flipped_bit_of_a_frame_is_an_error_and_stays_one() {
    let good = encoded(&frame(Message::BarrierAck {
        asked: Lsn(3),
        durable: Lsn(4),
    }));
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let mut decoder = FrameDecoder::new();
        decoder.extend(&bad);
        let first = decoder.next_frame().unwrap_err();
        decoder.extend(&good);
        assert_eq!(decoder.next_frame(), Err(first), "bit {bit}");
    }
}

#[test]
fn an_unknown_version_and_an_unknown_type_name_what_was_found() {
    let restamp = |at: usize, value: u16| {
        let mut bytes = encoded(&frame(Message::Barrier { lsn: Lsn(1) }));
        bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..48]);
        bytes[48..52].copy_from_slice(&crc.to_le_bytes());
        decoded(&bytes).unwrap_err()
    };
    assert!(matches!(
        restamp(4, 99),
        WireError::Version { found: 99, .. }
    ));
    assert_eq!(restamp(6, 77), WireError::UnknownType { found: 77 });
}

#[test]
fn an_entry_whose_payload_is_not_its_range_cannot_be_sent_and_leaves_no_bytes() {
    let bad = frame(Message::Append(Append {
        previous: LogPosition::START,
        committed: Lsn(0),
        entries: vec![LogEntry {
            lsn: Lsn(1),
            epoch: Epoch(1),
            kind: EntryKind::Write,
            range: Some(range(0, 2)),
            payload: Bytes::from(vec![0; BLOCK_SIZE]),
        }],
    }));
    let mut out = BytesMut::from(&b"before"[..]);
    assert_eq!(
        encode(&bad, &mut out),
        Err(EncodeError::EntryPayload {
            lsn: 1,
            found: BLOCK_SIZE,
            expected: 2 * BLOCK_SIZE
        })
    );
    assert_eq!(&out[..], b"before");
}

#[test]
fn the_newest_shared_version_is_chosen_and_none_where_the_ranges_do_not_meet() {
    let ours = VersionRange { min: 2, max: 4 };
    let with = |min, max| ours.newest_shared_with(VersionRange { min, max });
    assert_eq!(with(1, 3), Some(3));
    assert_eq!(with(3, 9), Some(4));
    assert_eq!(with(5, 9), None);
    assert_eq!(with(0, 1), None);
}

fn any_entry() -> impl Strategy<Value = LogEntry<Bytes>> {
    let ranges = (0..1000_u64, 1..4_u64).prop_map(|(start, count)| range(start, count));
    (any::<u64>(), any::<u64>(), 0..4_u8, ranges, any::<u8>()).prop_map(
        |(lsn, epoch, kind, range, fill)| {
            let kind = match kind {
                0 => EntryKind::Write,
                1 => EntryKind::Trim,
                2 => EntryKind::WriteZeroes,
                _ => EntryKind::EpochStart,
            };
            let len = if kind.has_payload() {
                range.count() as usize * BLOCK_SIZE
            } else {
                0
            };
            LogEntry {
                lsn: Lsn(lsn),
                epoch: Epoch(epoch),
                kind,
                range: kind.has_range().then_some(range),
                payload: Bytes::from(vec![fill; len]),
            }
        },
    )
}

fn any_lineage() -> impl Strategy<Value = Lineage> {
    vec((1..50_u64, 1..50_u64), 0..8).prop_map(|steps| {
        let (mut epoch, mut first) = (0, 0);
        let entries = steps.into_iter().map(|(e, l)| {
            epoch += e;
            first += l;
            LineageEntry {
                epoch: Epoch(epoch),
                first: Lsn(first),
            }
        });
        Lineage::new(entries.collect()).unwrap()
    })
}

fn any_lsn() -> impl Strategy<Value = Lsn> {
    any::<u64>().prop_map(Lsn)
}

fn any_position() -> impl Strategy<Value = LogPosition> {
    (any_lsn(), any::<u64>()).prop_map(|(lsn, epoch)| LogPosition {
        lsn,
        epoch: Epoch(epoch),
    })
}

fn any_refusal() -> impl Strategy<Value = Refusal> {
    let text = "[a-zé ]{0,60}";
    prop_oneof![
        Just(Refusal::UnknownVolume),
        Just(Refusal::TruncateTooLate),
        Just(Refusal::Untrusted),
        Just(Refusal::Stopping),
        any::<(u16, u16, u16, u16)>().prop_map(|(a, b, c, d)| Refusal::Version {
            offered: VersionRange { min: a, max: b },
            supported: VersionRange { min: c, max: d },
        }),
        any::<(u64, u64)>().prop_map(|(offered, stored)| Refusal::Size { offered, stored }),
        any::<(u64, u64)>().prop_map(|(a, b)| Refusal::StaleEpoch {
            offered: Epoch(a),
            promised: Epoch(b)
        }),
        any::<(u64, u64)>().prop_map(|(a, b)| Refusal::StaleSession {
            offered: SessionId(a),
            last: SessionId(b)
        }),
        any::<(u64, Option<u64>)>().prop_map(|(a, b)| Refusal::NotTheSession {
            offered: SessionId(a),
            present: b.map(SessionId)
        }),
        (text, text).prop_map(|(found, expected)| Refusal::OutOfTurn { found, expected }),
        (any_position(), any_position())
            .prop_map(|(offered, expected)| Refusal::Predecessor { offered, expected }),
        (any_lsn(), any_lsn())
            .prop_map(|(expected, found)| Refusal::NotContiguous { expected, found }),
        any::<(u64, u64, u64)>().prop_map(|(a, b, c)| Refusal::EntryEpoch {
            found: Epoch(a),
            floor: Epoch(b),
            ceiling: Epoch(c)
        }),
        any::<u64>().prop_map(|blocks| Refusal::OutOfBounds {
            range: range(5, 6),
            blocks
        }),
        (any_lsn(), any_lsn())
            .prop_map(|(offered, bound)| Refusal::TruncateBelowExtent { offered, bound }),
        (any_lsn(), any_lsn())
            .prop_map(|(offered, head)| Refusal::TruncateBeyondHead { offered, head }),
        any::<(u64, u64)>().prop_map(|(expected, found)| Refusal::ChunkOrder { expected, found }),
        any::<u64>().prop_map(|start| Refusal::ChunkDigest { start }),
        text.prop_map(|what| Refusal::ManifestMismatch { what }),
        any::<(u64, u64)>().prop_map(|(free, needed)| Refusal::LogFull { free, needed }),
        (text, any::<u64>()).prop_map(|(what, limit)| Refusal::TooMany { what, limit }),
        text.prop_map(|detail| Refusal::Store { detail }),
        any::<(u64, Option<u64>)>().prop_map(|(a, b)| Refusal::EpochUnconfirmed {
            offered: Epoch(a),
            minted: b.map(Epoch)
        }),
        any::<(u64, u128)>().prop_map(|(a, b)| Refusal::Led {
            epoch: Epoch(a),
            leader: StoreId(Uuid::from_u128(b)),
        }),
        (any_replica(), "[a-z ]{0,40}")
            .prop_map(|(claimed, certified)| Refusal::Impostor { claimed, certified }),
        Just(Refusal::Unproven),
        text.prop_map(|detail| Refusal::Malformed { detail }),
    ]
}

fn any_replica() -> impl Strategy<Value = ReplicaId> {
    "[a-z0-9-]{1,64}".prop_map(|label| ReplicaId::new(label).unwrap())
}

fn any_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        (
            any::<(u16, u16, u64, u128)>(),
            any_position(),
            any_replica()
        )
            .prop_map(|((min, max, blocks, store), head, primary)| {
                Message::Hello(Hello {
                    versions: VersionRange { min, max },
                    blocks,
                    head,
                    primary,
                    store: StoreId(Uuid::from_u128(store)),
                })
            }),
        (any::<(u64, u64, u64, u64, u16)>(), any_lineage()).prop_map(
            |((a, b, c, d, v), lineage)| {
                Message::HelloAck(Box::new(HelloAck {
                    version: v,
                    blocks: d,
                    log_bytes: a ^ d,
                    facts: ReplicaFacts {
                        store: StoreId(Uuid::from_u128(u128::from(a))),
                        base: BaseState {
                            checkpoint: Lsn(a),
                            extent_bound: Lsn(b),
                            durable: Lsn(c),
                        },
                        lineage,
                    },
                }))
            }
        ),
        (any_position(), any_lsn(), vec(any_entry(), 1..6)).prop_map(
            |(previous, committed, entries)| Message::Append(Append {
                previous,
                committed,
                entries
            })
        ),
        any_lsn().prop_map(|lsn| Message::Received { lsn }),
        any_lsn().prop_map(|lsn| Message::Barrier { lsn }),
        (any_lsn(), any_lsn()).prop_map(|(asked, durable)| Message::BarrierAck { asked, durable }),
        any_lsn().prop_map(|to| Message::Truncate { to }),
        any_lsn().prop_map(|to| Message::Truncated { to }),
        (any_lsn(), any_lsn(), any::<u64>(), any::<bool>()).prop_map(
            |(target, base_lsn, blocks, full)| Message::RebuildBegin(RebuildBegin {
                source: if full {
                    RebuildSource::FullBase
                } else {
                    RebuildSource::Snapshot
                },
                target,
                base_lsn,
                blocks,
            })
        ),
        Just(Message::RebuildReady),
        (0..99_u64, 1..3_u64, any::<Option<u8>>(), any::<[u8; 32]>()).prop_map(
            |(start, count, fill, sha256)| Message::RebuildChunk(RebuildChunk {
                range: range(start, count),
                content: match fill {
                    None => ChunkContent::Zeroes,
                    Some(fill) => ChunkContent::Data {
                        sha256,
                        bytes: Bytes::from(vec![fill; count as usize * BLOCK_SIZE]),
                    },
                },
            })
        ),
        any::<u64>().prop_map(|next_block| Message::RebuildProgress { next_block }),
        (
            any_lsn(),
            any_lsn(),
            any::<u64>(),
            any::<[u8; 32]>(),
            any_lineage()
        )
            .prop_map(|(base_lsn, extent_bound, blocks, sha256, lineage)| {
                Message::Manifest(Box::new(Manifest {
                    base_lsn,
                    extent_bound,
                    blocks,
                    sha256,
                    lineage,
                }))
            }),
        (any_lsn(), any_lsn()).prop_map(|(base_lsn, extent_bound)| Message::BaseInstalled(
            BaseInstalled {
                base_lsn,
                extent_bound
            }
        )),
        any_refusal().prop_map(Message::Refusal),
        any_lsn().prop_map(|committed| Message::Heartbeat { committed }),
        vec(any::<u8>(), 0..99).prop_map(|json| Message::ControlRequest(json.into())),
        vec(any::<u8>(), 0..99).prop_map(|json| Message::ControlReply(json.into())),
    ]
}

proptest! {
    #[test]
    fn every_frame_comes_back_as_it_was_however_the_stream_is_cut(
        messages in vec(any_message(), 1..5),
        cut in 1..9000_usize,
    ) {
        let frames: Vec<Frame> = messages.into_iter().map(frame).collect();
        let bytes: Vec<u8> = frames.iter().flat_map(encoded).collect();
        let mut decoder = FrameDecoder::new();
        let mut found = Vec::new();
        for piece in bytes.chunks(cut) {
            decoder.extend(piece);
            while let Some(frame) = decoder.next_frame().unwrap() {
                found.push(frame);
            }
        }
        prop_assert_eq!(found, frames);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..400)) {
        let mut decoder = FrameDecoder::new();
        decoder.extend(&bytes);
        if let Ok(Some(frame)) = decoder.next_frame() {
            prop_assert_eq!(&encoded(&frame)[..], &bytes[..encoded(&frame).len()]);
        }
    }

    /// A payload with good checksums and arbitrary content reaches the field readers.
    #[test]
    fn arbitrary_payloads_with_good_checksums_never_panic(
        number in 1..=18_u16,
        payload in vec(any::<u8>(), 0..300),
    ) {
        let frame_type = FrameType::from_number(number).unwrap();
        prop_assume!(payload.len() <= frame_type.payload_limit() as usize);
        let mut bytes = encoded(&frame(Message::RebuildReady));
        bytes[6..8].copy_from_slice(&number.to_le_bytes());
        bytes[40..44].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes[44..48].copy_from_slice(&crc32c::crc32c(&payload).to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..48]);
        bytes[48..52].copy_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(&payload);
        if let Ok(Some(frame)) = decoded(&bytes) {
            prop_assert_eq!(encoded(&frame), bytes);
        }
    }
}
