use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::super::export::{ExportInfo, Space};
use super::super::limits::Limits;
use super::super::negotiation::Chosen;
use super::{Action, Handle, Request, Transmission, TransmissionStep, Violation};

const SIZE: u64 = 1 << 30;
const MIB: u32 = 1 << 20;
const EPERM: u32 = 1;
const EINVAL: u32 = 22;
const ENOSPC: u32 = 28;

fn chosen(read_only: bool, keeps_block_size: bool) -> Chosen {
    Chosen {
        name: "vol".to_owned(),
        info: ExportInfo {
            size: SIZE,
            read_only,
        },
        keeps_block_size,
    }
}

fn transmission() -> Transmission {
    Transmission::new(&chosen(false, true), Limits::default())
}

fn request(flags: u16, command: u16, handle: u64, offset: u64, length: u32) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_slice(&[0x25, 0x60, 0x95, 0x13]);
    out.put_u16(flags);
    out.put_u16(command);
    out.put_u64(handle);
    out.put_u64(offset);
    out.put_u32(length);
    out
}

fn action(transmission: &mut Transmission, input: &mut BytesMut) -> Action {
    let step = transmission.step(input);
    let TransmissionStep::Request(Request { action, cost, .. }) = step else {
        panic!("{step:?} instead of a request");
    };
    transmission.release(cost);
    action
}

fn refusal(transmission: &mut Transmission, input: &mut BytesMut) -> u32 {
    let step = transmission.step(input);
    let TransmissionStep::Refuse(refusal) = step else {
        panic!("{step:?} instead of a refusal");
    };
    transmission.release(refusal.cost);
    refusal.errno
}

#[test]
fn every_command_becomes_its_action() {
    let mut t = transmission();
    let mut write = request(1, 1, 8, 512, 1024);
    write.put_bytes(0x5a, 1024);
    let cases = [
        (
            request(0, 0, 7, 4096, 8192),
            Action::Read {
                offset: 4096,
                length: 8192,
            },
        ),
        (
            write,
            Action::Write {
                offset: 512,
                data: Bytes::from(vec![0x5a; 1024]),
                fua: true,
            },
        ),
        (request(0, 3, 9, 0, 0), Action::Flush),
        (
            request(0, 4, 10, 0, 4096),
            Action::Trim {
                offset: 0,
                length: 4096,
                fua: false,
            },
        ),
        (
            request(3, 6, 11, 4096, 512 * MIB),
            Action::WriteZeroes {
                offset: 4096,
                length: 512 << 20,
                space: Space::Keep,
                fua: true,
            },
        ),
        (
            request(0, 6, 12, 0, 512),
            Action::WriteZeroes {
                offset: 0,
                length: 512,
                space: Space::MayRelease,
                fua: false,
            },
        ),
    ];
    for (mut input, expected) in cases {
        assert_eq!(action(&mut t, &mut input), expected);
        assert!(input.is_empty());
    }
    assert_eq!((t.requests_in_flight(), t.bytes_in_flight()), (0, 0));
}

#[test]
fn fua_is_taken_on_every_command() {
    for command in [0, 4, 6] {
        let _ = action(&mut transmission(), &mut request(1, command, 1, 0, 4096));
    }
    assert_eq!(
        action(&mut transmission(), &mut request(1, 3, 1, 0, 0)),
        Action::Flush
    );
}

#[test]
fn a_request_that_is_wrong_in_itself_gets_the_protocols_error() {
    for (why, errno, mut input) in [
        ("read beyond the end", EINVAL, request(0, 0, 1, SIZE, 512)),
        (
            "read across the end",
            EINVAL,
            request(0, 0, 1, SIZE - 512, 1024),
        ),
        (
            "read that overflows",
            EINVAL,
            request(0, 0, 1, u64::MAX - 511, 1024),
        ),
        (
            "read of too much",
            EINVAL,
            request(0, 0, 1, 0, 32 * MIB + 512),
        ),
        ("trim beyond the end", EINVAL, request(0, 4, 1, SIZE, 512)),
        (
            "zeroing beyond the end",
            ENOSPC,
            request(0, 6, 1, SIZE, 512),
        ),
        ("unaligned offset", EINVAL, request(0, 0, 1, 511, 512)),
        ("unaligned length", EINVAL, request(0, 0, 1, 0, 511)),
        ("flush with a range", EINVAL, request(0, 3, 1, 0, 512)),
        ("no-hole on a trim", EINVAL, request(2, 4, 1, 0, 512)),
        (
            "fast-zero, not announced",
            EINVAL,
            request(16, 6, 1, 0, 512),
        ),
        ("cache, not announced", EINVAL, request(0, 5, 1, 0, 512)),
        (
            "block status, not negotiated",
            EINVAL,
            request(0, 7, 1, 0, 512),
        ),
        ("unknown command", EINVAL, request(0, 999, 1, 0, 0)),
    ] {
        let mut t = transmission();
        assert_eq!(refusal(&mut t, &mut input), errno, "{why}");
        assert!(matches!(
            t.step(&mut input),
            TransmissionStep::NeedInput(28)
        ));
    }
}

#[test]
fn a_refused_write_is_skipped_and_the_stream_goes_on() {
    for (why, errno, offset, length) in [
        ("beyond the end", ENOSPC, SIZE - 512, 1024),
        ("too long", EINVAL, 0, 40 * MIB),
        ("unaligned", EINVAL, 1, 512),
    ] {
        let mut t = transmission();
        let mut input = request(0, 1, 5, offset, length);
        assert_eq!(refusal(&mut t, &mut input), errno, "{why}");
        let mut left = length as usize;
        while left > 0 {
            let TransmissionStep::NeedInput(want) = t.step(&mut input) else {
                panic!("{why}: payload not skipped");
            };
            assert!(want <= left && input.is_empty());
            let chunk = left.min(3 << 20);
            input.put_bytes(1, chunk);
            left -= chunk;
        }
        input.put_slice(&request(0, 3, 6, 0, 0));
        assert_eq!(action(&mut t, &mut input), Action::Flush);
    }
}

#[test]
fn a_read_only_export_takes_reads_and_flushes_alone() {
    let mut t = Transmission::new(&chosen(true, true), Limits::default());
    let mut write = request(0, 1, 1, 0, 512);
    write.put_bytes(0, 512);
    assert_eq!(refusal(&mut t, &mut write), EPERM);
    assert!(matches!(
        t.step(&mut write),
        TransmissionStep::NeedInput(28)
    ));
    assert_eq!(refusal(&mut t, &mut request(0, 4, 1, 0, 512)), EPERM);
    assert_eq!(refusal(&mut t, &mut request(0, 6, 1, 0, 512)), EPERM);
    let _ = action(&mut t, &mut request(0, 0, 1, 0, 512));
    assert_eq!(action(&mut t, &mut request(0, 3, 1, 0, 0)), Action::Flush);
}

#[test]
fn a_client_that_was_told_no_block_size_may_address_bytes() {
    let mut t = Transmission::new(&chosen(false, false), Limits::default());
    assert_eq!(
        action(&mut t, &mut request(0, 0, 1, 3, 5)),
        Action::Read {
            offset: 3,
            length: 5
        }
    );
}

#[test]
fn nothing_more_is_taken_while_a_bound_is_reached() {
    let limits = Limits {
        requests_in_flight: 2,
        ..Limits::default()
    };
    let mut t = Transmission::new(&chosen(false, true), limits);
    let mut input = BytesMut::new();
    for handle in 0..3 {
        input.put_slice(&request(0, 0, handle, 0, 512));
    }
    let TransmissionStep::Request(first) = t.step(&mut input) else {
        panic!("no request");
    };
    let TransmissionStep::Request(second) = t.step(&mut input) else {
        panic!("no second request");
    };
    assert_eq!(t.step(&mut input), TransmissionStep::Saturated);
    assert_eq!(input.len(), 28, "the third request waits in the input");
    t.release(first.cost);
    let TransmissionStep::Request(third) = t.step(&mut input) else {
        panic!("no third request");
    };
    assert_eq!(third.handle, Handle(2));
    t.release(second.cost);
    t.release(third.cost);
    assert_eq!(t.requests_in_flight(), 0);
}

#[test]
fn payload_bytes_are_bounded_before_they_are_received() {
    let mut t = transmission();
    let mut input = BytesMut::new();
    for handle in 0..3 {
        input.put_slice(&request(0, 0, handle, 0, 32 * MIB));
    }
    let mut held = Vec::new();
    let last = loop {
        let step = t.step(&mut input);
        let TransmissionStep::Request(request) = step else {
            break step;
        };
        held.push(request.cost);
    };
    assert_eq!((held.len(), last), (2, TransmissionStep::Saturated));
    assert_eq!(t.bytes_in_flight(), 64 << 20);

    // A write waits likewise, its payload unread, until there is room.
    let mut input = request(0, 1, 9, 0, 512);
    assert_eq!(t.step(&mut input), TransmissionStep::Saturated);
    t.release(held.pop().unwrap());
    assert_eq!(t.step(&mut input), TransmissionStep::NeedInput(512));
    held.into_iter().for_each(|cost| t.release(cost));
}

#[test]
fn goodbye_and_nonsense_end_the_stream_for_good() {
    let mut t = transmission();
    let mut input = request(0, 2, 1, 0, 0);
    input.put_slice(&request(0, 3, 2, 0, 0));
    assert_eq!(t.step(&mut input), TransmissionStep::Disconnect);
    assert_eq!(t.step(&mut input), TransmissionStep::Disconnect);

    let mut t = transmission();
    let mut input = BytesMut::from(&[0xff; 64][..]);
    let violation = TransmissionStep::Violation(Violation::BadMagic { found: u32::MAX });
    assert_eq!(t.step(&mut input), violation);
    assert_eq!(t.step(&mut input), violation);
}

/// Requests, whole and broken, that hostile clients could send.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let header = (
        prop_oneof![Just(0u16), any::<u16>()],
        0u16..9,
        prop_oneof![0u64..SIZE, any::<u64>()],
        prop_oneof![Just(512u32), 0u32..8192, any::<u32>()],
        0usize..9000,
    )
        .prop_map(|(flags, command, offset, length, payload)| {
            let mut out = request(flags, command, 1, offset, length);
            out.put_bytes(0x25, payload.min(length as usize));
            out.to_vec()
        });
    let piece = prop_oneof![8 => header, 1 => prop::collection::vec(any::<u8>(), 0..64)];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic_and_stay_within_the_bounds(
        input in hostile(),
        cut in 1usize..5000,
        keeps_block_size in any::<bool>(),
        read_only in any::<bool>(),
        release_late in any::<bool>(),
    ) {
        let limits = Limits { requests_in_flight: 3, ..Limits::default() };
        let mut t = Transmission::new(&chosen(read_only, keeps_block_size), limits);
        let mut buffer = BytesMut::new();
        let mut held = Vec::new();
        for chunk in input.chunks(cut) {
            buffer.extend_from_slice(chunk);
            loop {
                prop_assert!(t.requests_in_flight() <= 3);
                prop_assert!(t.bytes_in_flight() <= 64 << 20);
                match t.step(&mut buffer) {
                    TransmissionStep::Request(request) => held.push(request.cost),
                    TransmissionStep::Refuse(refusal) => held.push(refusal.cost),
                    TransmissionStep::Saturated => {
                        prop_assert!(!held.is_empty(), "saturated by nothing");
                        held.drain(..).for_each(|cost| t.release(cost));
                    }
                    TransmissionStep::NeedInput(want) => {
                        prop_assert!(want > 0 && want <= 32 << 20);
                        break;
                    }
                    TransmissionStep::Disconnect | TransmissionStep::Violation(_) => return Ok(()),
                }
                if !release_late {
                    held.drain(..).for_each(|cost| t.release(cost));
                }
            }
        }
    }
}
