//! The on-disk format, byte for byte, as `docs/formats.md` describes it: a store made with fixed
//! identities must give exactly the committed files, and those files must open.
//!
//! A change of the format needs a new version number and new golden files: run this test with
//! `HOLDFAST_BLESS=1`, and look at the difference.

mod reference;

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use holdfast_blockvol::sim::{Medium, SimStorage};
use holdfast_blockvol::{Role, Volume};
use holdfast_types::{BLOCK_SIZE, EntryKind, Epoch, Lsn, SessionId};
use reference::{BLOCKS, LOG_BYTES, filled, format_options, open, range, read_all};

const RING: usize = 64 << 10;
const SLOT_1: usize = 32 << 10;
/// Epoch start, one block, trim, zeroes: 512 + 4608 + 512 + 512 bytes.
const RING_USED: usize = 6144;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// A small store that has every field in use.
fn made() -> (SimStorage, Volume) {
    let storage = SimStorage::formatted(&format_options());
    let volume = open(&storage);
    volume.fence(Epoch(3)).unwrap();
    volume.append_epoch_start(Epoch(3)).unwrap();
    let write = filled(0x1122_3344_5566_7788, 1);
    volume
        .append(Epoch(3), EntryKind::Write, range(5, 1), write)
        .unwrap();
    volume.sync().unwrap();
    let nothing = Bytes::new();
    volume
        .append(Epoch(3), EntryKind::Trim, range(1, 3), nothing.clone())
        .unwrap();
    volume
        .append(Epoch(3), EntryKind::WriteZeroes, range(7, 2), nothing)
        .unwrap();
    volume.set_committed(Lsn(1));
    volume.write_back().unwrap();
    volume.admit_session(Epoch(3), SessionId(12)).unwrap();
    volume.set_role(Epoch(3), Role::Replica).unwrap();
    volume.close().unwrap();
    (storage, volume)
}

fn pieces(storage: &SimStorage) -> [(&'static str, Vec<u8>); 3] {
    let log = storage.visible(Medium::Log);
    [
        ("slot-0.bin", log[..BLOCK_SIZE].to_vec()),
        ("slot-1.bin", log[SLOT_1..SLOT_1 + BLOCK_SIZE].to_vec()),
        ("ring.bin", log[RING..RING + RING_USED].to_vec()),
    ]
}

#[test]
fn a_store_is_written_byte_for_byte_as_the_golden_files() {
    let (storage, volume) = made();
    drop(volume);
    for (name, bytes) in pieces(&storage) {
        if std::env::var_os("HOLDFAST_BLESS").is_some() {
            fs::write(golden(name), &bytes).unwrap();
        }
        let expected = fs::read(golden(name)).unwrap();
        let differs = bytes.iter().zip(&expected).position(|(a, b)| a != b);
        assert_eq!(differs, None, "{name}: first difference at this byte");
        assert_eq!(bytes.len(), expected.len(), "{name}");
    }
}

#[test]
fn the_golden_files_open_and_hold_what_was_written() {
    let mut log = vec![0; RING + LOG_BYTES as usize];
    for (name, at) in [
        ("slot-0.bin", 0),
        ("slot-1.bin", SLOT_1),
        ("ring.bin", RING),
    ] {
        let bytes = fs::read(golden(name)).unwrap();
        log[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    let storage = SimStorage::from_images(log, vec![0; BLOCKS as usize * BLOCK_SIZE]);
    let volume = open(&storage);
    assert_eq!(volume.last(), (Lsn(4), Epoch(3)));
    assert_eq!(volume.promise().session, Some(SessionId(12)));
    assert_eq!(volume.positions().checkpoint, Lsn(1));
    assert_eq!(read_all(&volume)[5], 0x1122_3344_5566_7788);
    let kinds: Vec<EntryKind> = volume
        .entries(Lsn(0), 1 << 20)
        .unwrap()
        .iter()
        .map(|entry| entry.kind)
        .collect();
    let expected = [
        EntryKind::EpochStart,
        EntryKind::Write,
        EntryKind::Trim,
        EntryKind::WriteZeroes,
    ];
    assert_eq!(kinds, expected);
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The tables of `docs/formats.md`, read with nothing but the offsets that stand there.
#[test]
fn the_documented_offsets_are_those_of_the_files() {
    let slots = ["slot-0.bin", "slot-1.bin"].map(|name| fs::read(golden(name)).unwrap());
    let newer = slots.iter().max_by_key(|slot| u64_at(slot, 16)).unwrap();
    assert_eq!(&newer[0..8], b"HFSUPER\0");
    assert_eq!((u32_at(newer, 8), u32_at(newer, 12)), (2, 1));
    assert_eq!(newer[39], 0xa1, "volume");
    assert_eq!(newer[55], 0xb2, "store");
    assert_eq!(u64_at(newer, 56), BLOCKS);
    assert_eq!(
        (u64_at(newer, 64), u64_at(newer, 72)),
        (RING as u64, LOG_BYTES)
    );
    assert_eq!(
        (u64_at(newer, 80), u64_at(newer, 88)),
        (1, 1),
        "checkpoint, bound"
    );
    assert_eq!(u64_at(newer, 96), 4, "durable");
    assert_eq!(u64_at(newer, 152), 3, "promised epoch");
    assert_eq!((u64_at(newer, 160), newer[168], newer[169]), (12, 1, 1));
    assert_eq!((u64_at(newer, 256), u64_at(newer, 264)), (3, 1), "lineage");
    assert_eq!(u32_at(newer, 4092), crc32c::crc32c(&newer[..4092]));

    let ring = fs::read(golden("ring.bin")).unwrap();
    let (first, second) = (&ring[..512], &ring[512..]);
    assert_eq!(&second[0..8], b"HFENTRY\0");
    assert_eq!((second[8], second[10], u32_at(second, 12)), (1, 1, 4096));
    assert_eq!(
        (u64_at(second, 32), u64_at(second, 48)),
        (512, 2),
        "position, LSN"
    );
    assert_eq!((u64_at(second, 64), u64_at(second, 72)), (5, 1), "range");
    assert_eq!(u32_at(second, 96), u32_at(first, 124), "chained");
    assert_eq!(
        u32_at(second, 100),
        crc32c::crc32c(&second[128..128 + 4096])
    );
    assert_eq!(u32_at(second, 124), crc32c::crc32c(&second[..124]));
    assert_eq!(
        u64_at(&ring[5120..], 80),
        2,
        "durable when the third was logged"
    );
}
