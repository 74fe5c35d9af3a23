use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

use super::{
    Catalogue, Chosen, ExportInfo, MAX_OPTION_DATA, Negotiation, NegotiationEnd, NegotiationStep,
};

const GREETING: &[u8] = b"NBDMAGICIHAVEOPT\x00\x03";
/// Client flags: fixed newstyle, no zeroes.
const FIXED: &[u8] = &[0, 0, 0, 3];

/// `vol` of 1 MiB and the read-only `old` of 8 KiB.
struct TwoExports;

impl Catalogue for TwoExports {
    fn find(&self, name: &str) -> Option<(String, ExportInfo)> {
        let info = match name {
            "vol" | "" => ExportInfo {
                size: 1 << 20,
                read_only: false,
            },
            "old" => ExportInfo {
                size: 8192,
                read_only: true,
            },
            _ => return None,
        };
        let own = if name.is_empty() { "vol" } else { name };
        Some((own.to_owned(), info))
    }

    fn names(&self) -> Vec<String> {
        vec!["old".to_owned(), "vol".to_owned()]
    }
}

/// Feeds everything at once; what was sent, and what came last.
fn run(input: &[u8]) -> (Vec<u8>, NegotiationStep, BytesMut) {
    let mut negotiation = Negotiation::new();
    let mut buffer = BytesMut::from(input);
    let mut sent = Vec::new();
    loop {
        let step = negotiation.step(&mut buffer, &TwoExports);
        let NegotiationStep::Send(bytes) = step else {
            return (sent, step, buffer);
        };
        sent.extend_from_slice(&bytes);
    }
}

fn option(code: u32, data: &[u8]) -> Vec<u8> {
    let mut out = b"IHAVEOPT".to_vec();
    out.put_u32(code);
    out.put_u32(data.len() as u32);
    out.put_slice(data);
    out
}

fn info_data(name: &str, wants: &[u16]) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_u32(name.len() as u32);
    out.put_slice(name.as_bytes());
    out.put_u16(wants.len() as u16);
    wants.iter().for_each(|want| out.put_u16(*want));
    out
}

fn reply(option: u32, kind: u32, data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x00, 0x03, 0xe8, 0x89, 0x04, 0x55, 0x65, 0xa9];
    out.put_u32(option);
    out.put_u32(kind);
    out.put_u32(data.len() as u32);
    out.put_slice(data);
    out
}

/// The type of the only reply after the greeting, and its message.
fn only_reply(sent: &[u8]) -> (u32, String) {
    let reply = &sent[GREETING.len()..];
    let kind = u32::from_be_bytes(reply[12..16].try_into().unwrap());
    let length = u32::from_be_bytes(reply[16..20].try_into().unwrap()) as usize;
    assert_eq!(reply.len(), 20 + length, "more than one reply");
    (kind, String::from_utf8(reply[20..].to_vec()).unwrap())
}

fn session(options: &[Vec<u8>]) -> Vec<u8> {
    let mut input = FIXED.to_vec();
    options.iter().for_each(|option| input.extend(option));
    input
}

#[test]
fn the_server_speaks_first_and_waits_for_the_flags() {
    let (sent, last, _) = run(b"");
    assert_eq!(sent, GREETING);
    assert_eq!(last, NegotiationStep::NeedInput(4));
}

#[test]
fn go_tells_size_flags_and_block_sizes_byte_for_byte() {
    let (sent, last, rest) =
        run(&[session(&[option(7, &info_data("vol", &[3]))]), vec![9]].concat());
    let mut expected = GREETING.to_vec();
    // NBD_INFO_EXPORT: 1 MiB; has-flags, flush, fua, trim, write-zeroes, multi-conn.
    expected.extend(reply(7, 3, &[0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0x01, 0x6d]));
    // NBD_INFO_BLOCK_SIZE: 512, 4096, 32 MiB.
    expected.extend(reply(7, 3, &[0, 3, 0, 0, 2, 0, 0, 0, 0x10, 0, 2, 0, 0, 0]));
    expected.extend(reply(7, 1, b""));
    assert_eq!(sent, expected);
    assert_eq!(
        last,
        NegotiationStep::Chosen(Chosen {
            name: "vol".to_owned(),
            info: ExportInfo {
                size: 1 << 20,
                read_only: false
            },
            keeps_block_size: true,
        })
    );
    assert_eq!(&rest[..], &[9], "the next phase's bytes are left alone");
}

#[test]
fn a_read_only_export_announces_neither_trim_nor_zeroing() {
    let (sent, _, _) = run(&session(&[option(7, &info_data("old", &[]))]));
    let expected = reply(7, 3, &[0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0x01, 0x0f]);
    assert_eq!(&sent[GREETING.len()..][..expected.len()], expected);
}

#[test]
fn info_answers_like_go_and_goes_on_negotiating() {
    let (sent, last, _) = run(&session(&[
        option(6, &info_data("", &[1, 2])),
        option(2, b""),
    ]));
    let mut expected = GREETING.to_vec();
    expected.extend(reply(6, 3, &[0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0x01, 0x6d]));
    expected.extend(reply(6, 3, b"\x00\x01vol"));
    expected.extend(reply(6, 3, b"\x00\x02Holdfast replicated volume"));
    expected.extend(reply(6, 3, &[0, 3, 0, 0, 2, 0, 0, 0, 0x10, 0, 2, 0, 0, 0]));
    expected.extend(reply(6, 1, b""));
    expected.extend(reply(2, 1, b""));
    assert_eq!(sent, expected);
    assert_eq!(last, NegotiationStep::End(NegotiationEnd::Aborted));
}

#[test]
fn list_names_every_export() {
    let (sent, last, _) = run(&session(&[option(3, b"")]));
    let mut expected = GREETING.to_vec();
    expected.extend(reply(3, 2, b"\x00\x00\x00\x03old"));
    expected.extend(reply(3, 2, b"\x00\x00\x00\x03vol"));
    expected.extend(reply(3, 1, b""));
    assert_eq!(sent, expected);
    assert_eq!(last, NegotiationStep::NeedInput(16));
}

#[test]
fn list_with_data_is_refused() {
    let (sent, _, _) = run(&session(&[option(3, b"x")]));
    assert_eq!(only_reply(&sent).0, 0x8000_0003);
}

#[test]
fn export_name_is_padded_unless_the_client_declines() {
    let wanted = [&[0u8, 0, 0, 0, 0, 0x10, 0, 0][..], &[0x01, 0x6d]].concat();
    let (sent, last, _) = run(&session(&[option(1, b"vol")]));
    assert_eq!(sent, [GREETING, &wanted].concat());
    let NegotiationStep::Chosen(chosen) = last else {
        panic!("{last:?}");
    };
    assert!(!chosen.keeps_block_size);

    // A client of plain newstyle: no flags at all.
    let (sent, _, _) = run(&[vec![0; 4], option(1, b"vol")].concat());
    assert_eq!(sent, [GREETING, &wanted, &[0; 124]].concat());
}

#[test]
fn export_name_of_an_unknown_export_closes_without_a_word() {
    for name in [&b"nope"[..], b"\xff\xfe", &[b'a'; 5000]] {
        let (sent, last, _) = run(&session(&[option(1, name)]));
        assert_eq!(sent, GREETING);
        assert_eq!(last, NegotiationStep::End(NegotiationEnd::NoSuchExport));
    }
}

#[test]
fn go_for_an_unknown_export_is_refused_and_can_be_repeated() {
    let (sent, _, _) = run(&session(&[option(7, &info_data("nope", &[]))]));
    let (kind, message) = only_reply(&sent);
    assert_eq!(kind, 0x8000_0006);
    assert!(message.contains("\"nope\""), "{message}");

    let (_, last, _) = run(&session(&[
        option(7, &info_data("nope", &[])),
        option(7, &info_data("vol", &[])),
    ]));
    assert!(matches!(last, NegotiationStep::Chosen(_)));
}

#[test]
fn go_whose_lengths_disagree_is_invalid() {
    let good = info_data("vol", &[3]);
    let mut long_name = good.clone();
    long_name[0..4].copy_from_slice(&u32::MAX.to_be_bytes());
    let mut many_wants = good.clone();
    many_wants[7..9].copy_from_slice(&u16::MAX.to_be_bytes());
    let not_utf8 = [&[0, 0, 0, 1, 0xff][..], &[0, 0]].concat();
    for data in [
        vec![],
        vec![0; 3],
        good[..good.len() - 1].to_vec(),
        [good, vec![0]].concat(),
        long_name,
        many_wants,
        not_utf8,
    ] {
        let (sent, last, _) = run(&session(&[option(7, &data)]));
        assert_eq!(only_reply(&sent).0, 0x8000_0003, "{data:?}");
        assert_eq!(last, NegotiationStep::NeedInput(16));
    }
}

#[test]
fn unknown_options_are_unsupported_whatever_they_carry() {
    // STARTTLS, STRUCTURED_REPLY, LIST/SET_META_CONTEXT, EXTENDED_HEADERS, one of the future.
    for code in [5, 8, 9, 10, 11, 0x7777] {
        let (sent, last, _) = run(&session(&[option(code, &[7; 33])]));
        assert_eq!(only_reply(&sent).0, 0x8000_0001, "option {code}");
        assert_eq!(last, NegotiationStep::NeedInput(16));
    }
}

#[test]
fn an_oversized_option_is_skipped_without_being_held() {
    let mut negotiation = Negotiation::new();
    let mut buffer = BytesMut::from(FIXED);
    buffer.put_slice(b"IHAVEOPT");
    buffer.put_u32(7);
    buffer.put_u32(100 << 20);
    let _ = negotiation.step(&mut buffer, &TwoExports);
    let mut left = 100 << 20;
    while left > 0 {
        let step = negotiation.step(&mut buffer, &TwoExports);
        assert!(buffer.is_empty(), "the option's data are held");
        let NegotiationStep::NeedInput(want) = step else {
            panic!("{step:?} with {left} bytes to come");
        };
        assert!(want <= MAX_OPTION_DATA);
        let chunk = left.min(1 << 20);
        buffer.put_bytes(0xab, chunk);
        left -= chunk;
    }
    let NegotiationStep::Send(bytes) = negotiation.step(&mut buffer, &TwoExports) else {
        panic!("the option was not answered");
    };
    assert_eq!(&bytes[12..16], &0x8000_0009_u32.to_be_bytes());
}

#[test]
fn flags_that_were_not_offered_end_the_handshake() {
    let (_, last, _) = run(&[0, 0, 0, 7]);
    assert_eq!(
        last,
        NegotiationStep::End(NegotiationEnd::UnknownFlags { flags: 7 })
    );
}

#[test]
fn an_option_without_its_magic_ends_the_handshake() {
    let mut input = session(&[option(3, b"")]);
    input[4] = b'J';
    let (_, last, _) = run(&input);
    assert_eq!(
        last,
        NegotiationStep::End(NegotiationEnd::BadMagic {
            found: 0x4a48_4156_454f_5054
        })
    );
}

#[test]
fn without_fixed_newstyle_only_export_name_is_taken() {
    let (_, last, _) = run(&[vec![0; 4], option(3, b"")].concat());
    assert_eq!(
        last,
        NegotiationStep::End(NegotiationEnd::NotFixedNewstyle { option: 3 })
    );
}

/// Sequences of options, whole and broken, that hostile clients could send.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        (0u32..12, prop::collection::vec(any::<u8>(), 0..80)).prop_map(|(c, d)| option(c, &d)),
        (6u32..8, "[a-z]{0,4}", prop::collection::vec(0u16..5, 0..4))
            .prop_map(|(code, name, wants)| option(code, &info_data(&name, &wants))),
        any::<u32>().prop_map(|length| {
            let mut cut = option(7, b"");
            cut[12..].copy_from_slice(&length.to_be_bytes());
            cut
        }),
    ];
    (
        prop_oneof![Just(FIXED.to_vec()), any::<[u8; 4]>().prop_map(Vec::from)],
        prop::collection::vec(piece, 0..8),
    )
        .prop_map(|(flags, pieces)| [flags, pieces.concat()].concat())
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic_and_never_make_the_server_hold_much(
        input in hostile(),
        cuts in prop::collection::vec(1usize..40, 1..8),
    ) {
        let mut negotiation = Negotiation::new();
        let mut buffer = BytesMut::new();
        let mut input = &input[..];
        for cut in cuts.iter().cycle() {
            let over = loop {
                match negotiation.step(&mut buffer, &TwoExports) {
                    NegotiationStep::Send(bytes) => prop_assert!(bytes.len() < 10_000),
                    NegotiationStep::NeedInput(want) => {
                        prop_assert!(want > 0 && want <= MAX_OPTION_DATA);
                        prop_assert!(buffer.len() < MAX_OPTION_DATA);
                        break input.is_empty();
                    }
                    NegotiationStep::Chosen(_) | NegotiationStep::End(_) => break true,
                }
            };
            if over {
                break;
            }
            let (now, later) = input.split_at((*cut).min(input.len()));
            buffer.extend_from_slice(now);
            input = later;
        }
    }

    #[test]
    fn how_the_bytes_are_cut_makes_no_difference(input in hostile(), cut in 1usize..9) {
        let whole = run(&input);
        let mut negotiation = Negotiation::new();
        let mut buffer = BytesMut::new();
        let mut sent = Vec::new();
        let mut chunks = input.chunks(cut);
        let last = loop {
            match negotiation.step(&mut buffer, &TwoExports) {
                NegotiationStep::Send(bytes) => sent.extend_from_slice(&bytes),
                need @ NegotiationStep::NeedInput(_) => match chunks.next() {
                    Some(chunk) => buffer.extend_from_slice(chunk),
                    None => break need,
                },
                over @ (NegotiationStep::Chosen(_) | NegotiationStep::End(_)) => break over,
            }
        };
        prop_assert_eq!(sent, whole.0);
        prop_assert_eq!(last, whole.1);
    }
}
