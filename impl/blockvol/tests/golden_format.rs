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
use holdfast_types::{
    BLOCK_SIZE, EntryKind, Epoch, Lsn, SessionId, SnapshotId, SnapshotLabel, VolumeOperation,
};
use reference::{
    BLOCKS, LEADER, LOG_BYTES, filled, format_options, open, range, read_all, read_snapshot,
    write_back_all,
};

const RING: usize = 64 << 10;
const SLOT_1: usize = 32 << 10;
/// Epoch start, one block, trim, zeroes, snapshot, one block, grow.
const RING_USED: usize = 6 * 512 + 2 * 4096 + 512;
/// Header and map of the snapshot, and what of its blocks was copied.
const SNAPSHOT_USED: usize = 4096 + 4096 + 6 * BLOCK_SIZE;
const SNAPSHOT: SnapshotId = SnapshotId {
    lsn: Lsn(5),
    epoch: Epoch(3),
};

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
    let label = SnapshotLabel::new("golden").unwrap();
    volume
        .append_operation(Epoch(3), &VolumeOperation::SnapshotCreate { label })
        .unwrap();
    volume
        .append(Epoch(3), EntryKind::Write, range(5, 1), filled(9, 1))
        .unwrap();
    volume.sync().unwrap();
    volume.set_committed(Lsn(6));
    write_back_all(&volume);
    let grow = VolumeOperation::Grow { blocks: 2 * BLOCKS };
    volume.append_operation(Epoch(3), &grow).unwrap();
    volume
        .admit_session(Epoch(3), SessionId(12), LEADER)
        .unwrap();
    volume.set_role(Epoch(3), Role::Replica).unwrap();
    volume.close().unwrap();
    (storage, volume)
}

fn pieces(storage: &SimStorage) -> [(&'static str, Vec<u8>); 6] {
    let log = storage.visible(Medium::Log);
    let snapshot = storage.visible(Medium::Snapshot(SNAPSHOT));
    [
        ("slot-0.bin", log[..BLOCK_SIZE].to_vec()),
        ("slot-1.bin", log[SLOT_1..SLOT_1 + BLOCK_SIZE].to_vec()),
        ("ring.bin", log[RING..RING + RING_USED].to_vec()),
        ("extent.bin", storage.visible(Medium::Extent)),
        ("sums.bin", storage.visible(Medium::Sums)),
        ("snapshot.bin", snapshot[..SNAPSHOT_USED].to_vec()),
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

/// The log of the golden files.
fn golden_log() -> Vec<u8> {
    let mut log = vec![0; RING + LOG_BYTES as usize];
    for (name, at) in [
        ("slot-0.bin", 0),
        ("slot-1.bin", SLOT_1),
        ("ring.bin", RING),
    ] {
        let bytes = fs::read(golden(name)).unwrap();
        log[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    log
}

/// The golden store, with a log.
fn storage_with(log: Vec<u8>) -> SimStorage {
    let extent = fs::read(golden("extent.bin")).unwrap();
    let storage = SimStorage::from_images(log, extent);
    let sums = fs::read(golden("sums.bin")).unwrap();
    assert_eq!(storage.visible(Medium::Sums), sums);
    let snapshot = fs::read(golden("snapshot.bin")).unwrap();
    let whole = 4096 + 4096 + BLOCKS * BLOCK_SIZE as u64;
    let file = storage.disks().snapshots.create(SNAPSHOT, whole).unwrap();
    file.write_at(0, &snapshot).unwrap();
    storage
}

#[test]
fn the_golden_files_open_and_hold_what_was_written() {
    let volume = open(&storage_with(golden_log()));
    assert_eq!(volume.last(), (Lsn(7), Epoch(3)));
    assert_eq!(volume.promise().leader, Some(LEADER));
    assert_eq!(volume.promise().session, Some(SessionId(12)));
    assert_eq!(volume.positions().checkpoint, Lsn(6));
    assert_eq!(
        (volume.blocks(), volume.blocks_at_head()),
        (BLOCKS, 2 * BLOCKS)
    );
    assert_eq!(read_all(&volume)[5], 9);
    assert_eq!(read_snapshot(&volume, SNAPSHOT)[5], 0x1122_3344_5566_7788);
    let info = volume.snapshots().unwrap().remove(0);
    assert_eq!(info.label.as_str(), "golden");
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
        EntryKind::SnapshotCreate,
        EntryKind::Write,
        EntryKind::Grow,
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn a_store_of_version_2_is_read_as_one_whose_leader_is_not_known() {
    let mut log = golden_log();
    for at in [0, SLOT_1] {
        let slot = &mut log[at..at + BLOCK_SIZE];
        slot[8] = 2;
        slot[184..200].fill(0);
        let checksum = crc32c::crc32c(&slot[..4092]);
        slot[4092..].copy_from_slice(&checksum.to_le_bytes());
    }
    let older = storage_with(log);
    let volume = open(&older);
    assert_eq!(volume.promise().epoch, Epoch(3));
    assert_eq!(volume.promise().leader, None);
    volume
        .admit_session(Epoch(3), SessionId(13), LEADER)
        .unwrap();
    assert_eq!(
        u32_at(&older.visible(Medium::Log), 8),
        3,
        "written as version 3"
    );
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
    assert_eq!((u32_at(newer, 8), u32_at(newer, 12)), (3, 1));
    assert_eq!(newer[39], 0xa1, "volume");
    assert_eq!(newer[55], 0xb2, "store");
    assert_eq!(u64_at(newer, 56), BLOCKS);
    assert_eq!(
        (u64_at(newer, 64), u64_at(newer, 72)),
        (RING as u64, LOG_BYTES)
    );
    assert_eq!(
        (u64_at(newer, 80), u64_at(newer, 88)),
        (6, 6),
        "checkpoint, bound"
    );
    assert_eq!(u64_at(newer, 96), 7, "durable");
    assert_eq!(u32_at(newer, 132), 1, "snapshots");
    assert_eq!((u64_at(newer, 2304), u64_at(newer, 2312)), (5, 3));
    assert_eq!((u64_at(newer, 2320), newer[2328]), (BLOCKS, 0));
    assert_eq!(u64_at(newer, 152), 3, "promised epoch");
    assert_eq!((u64_at(newer, 160), newer[168], newer[169]), (12, 1, 1));
    assert_eq!((newer[184], newer[199]), (0, 77), "leader");
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
    let snapshot_entry = &ring[6144..];
    assert_eq!((snapshot_entry[10], u32_at(snapshot_entry, 12)), (5, 256));
    assert_eq!(&snapshot_entry[128 + 18..128 + 24], b"golden");
    let grow = &ring[6144 + 512 + 4608..];
    assert_eq!((grow[10], u64_at(grow, 128)), (7, 2 * BLOCKS));
    assert_eq!(
        u64_at(&ring[5120..], 80),
        2,
        "durable when the third was logged"
    );

    let block = |number: u64, content: &[u8]| {
        crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), content)
    };
    let extent = fs::read(golden("extent.bin")).unwrap();
    let sums = fs::read(golden("sums.bin")).unwrap();
    let five = &extent[5 * BLOCK_SIZE..6 * BLOCK_SIZE];
    assert_eq!(u32_at(&sums, 20), block(5, five));
    assert_eq!(sums.len(), 4096);
    let snapshot = fs::read(golden("snapshot.bin")).unwrap();
    assert_eq!(&snapshot[0..8], b"HFSNAP\0\0");
    assert_eq!((u64_at(&snapshot, 32), u64_at(&snapshot, 40)), (5, 3));
    assert_eq!((u64_at(&snapshot, 48), u32_at(&snapshot, 56)), (BLOCKS, 6));
    assert_eq!(&snapshot[64..70], b"golden");
    assert_eq!(u32_at(&snapshot, 4092), crc32c::crc32c(&snapshot[..4092]));
    let copied = &snapshot[8192 + 5 * BLOCK_SIZE..8192 + 6 * BLOCK_SIZE];
    assert_eq!(u32_at(&snapshot, 4096 + 20), block(5, copied));
}
