//! Bytes at rest that nobody of good will wrote: every parser of them is fed with stores whose
//! superblocks, log entries, sums, snapshot files and manifests were changed, most of them with
//! checksums that are good again, so that what lies behind the checksum is reached.
//!
//! Whatever is there, opening, looking, reading, scrubbing, writing back and repairing answer or refuse:
//! nothing panics, nothing takes memory by a size that was only claimed.
//!
//! The golden files are the corpus. `HOLDFAST_SEED` repeats a run, `HOLDFAST_ROUNDS` makes a longer one.

mod reference;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use holdfast_blockvol::sim::{SimRng, SimStorage, seed_from_env};
use holdfast_blockvol::{
    ExportError, ImportSource, OpenError, Recovery, Store, Volume, inspect_disks,
};
use holdfast_types::{BLOCK_SIZE, BlockRange, EntryKind, Epoch, Lsn, SnapshotId};
use reference::{BLOCKS, LOG_BYTES, filled, quiet_options, range, write};

const RING: usize = 64 << 10;
const SLOTS: [usize; 2] = [0, 32 << 10];
const SLOT_BYTES: usize = 4096;
const HEADER_BYTES: usize = 128;
/// Headers of the golden ring, by their offset in it.
const HEADERS: [usize; 7] = [0, 512, 5120, 5632, 6144, 6656, 11264];
const SNAPSHOT: SnapshotId = SnapshotId {
    lsn: Lsn(5),
    epoch: Epoch(3),
};
/// Changed stores of every build, for each part.
const ROUNDS: u64 = 400;
/// What a store of 128 KiB of log and 128 KiB of image may take, at most, whatever it claims.
const MEMORY_MAX: u64 = 192 << 20;

fn golden(name: &str) -> Vec<u8> {
    let place = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    fs::read(place.join(name)).unwrap()
}

/// The parts of a store that are parsed.
#[derive(Clone)]
struct Parts {
    log: Vec<u8>,
    extent: Vec<u8>,
    sums: Vec<u8>,
    snapshot: Vec<u8>,
}

impl Parts {
    fn golden() -> Self {
        let mut log = vec![0; RING + LOG_BYTES as usize];
        let pieces = [
            ("slot-0.bin", SLOTS[0]),
            ("slot-1.bin", SLOTS[1]),
            ("ring.bin", RING),
        ];
        for (name, at) in pieces {
            let bytes = golden(name);
            log[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        let mut snapshot = golden("snapshot.bin");
        snapshot.resize(2 * 4096 + BLOCKS as usize * BLOCK_SIZE, 0);
        Self {
            log,
            extent: golden("extent.bin"),
            sums: golden("sums.bin"),
            snapshot,
        }
    }

    fn storage(self) -> SimStorage {
        let storage = SimStorage::from_images(self.log, self.extent);
        let disks = storage.disks();
        disks.sums.write_at(0, &self.sums).unwrap();
        let len = self.snapshot.len() as u64;
        let file = disks.snapshots.create(SNAPSHOT, len).unwrap();
        file.write_at(0, &self.snapshot).unwrap();
        storage
    }
}

/// A number that is likely to be on some edge.
fn edge(rng: &mut SimRng) -> u64 {
    let near: [u64; 11] = [
        0,
        1,
        127,
        128,
        512,
        4096,
        65536,
        1 << 32,
        1 << 40,
        1 << 62,
        1 << 63,
    ];
    match rng.below(4) {
        0 => rng.next_u64(),
        1 => u64::MAX - rng.below(3),
        2 => near[rng.below(near.len() as u64) as usize].wrapping_sub(rng.below(2)),
        _ => rng.below(300),
    }
}

/// Changes one to four places.
fn change(bytes: &mut [u8], rng: &mut SimRng) {
    for _ in 0..=rng.below(4) {
        let width = [1, 2, 4, 8][rng.below(4) as usize];
        let aligned = (bytes.len() / width) as u64;
        let at = rng.below(aligned) as usize * width;
        let number = if width == 1 && rng.below(2) == 0 {
            u64::from(bytes[at]) ^ 1 << rng.below(8)
        } else {
            edge(rng)
        };
        bytes[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
    }
}

/// Makes the checksum at the end of a record good again, most of the time.
fn seal(record: &mut [u8], rng: &mut SimRng) {
    if rng.below(8) > 0 {
        let end = record.len() - 4;
        let checksum = crc32c::crc32c(&record[..end]);
        record[end..].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// Reads, writes and looks at everything that such a store lets one.
fn use_it(storage: &SimStorage) {
    let _ = inspect_disks(&storage.disks());
    for recovery in [Recovery::Strict, Recovery::DiscardDamaged] {
        // On a copy: what opening writes must not change what the next one finds.
        let copy = storage.kill(storage.ops());
        let Ok(volume) = Volume::open_on(copy.disks(), quiet_options(), recovery) else {
            continue;
        };
        exercise(&volume);
    }
    let copy = storage.kill(storage.ops());
    if let Ok(mut store) = Store::open(copy.disks(), quiet_options(), Recovery::Strict) {
        let _ = store.facts();
        let _ = store.write_back();
        let _ = store.close();
    }
}

fn exercise(volume: &Volume) {
    let blocks = volume.blocks_at_head().min(4 * BLOCKS);
    let mut block = vec![0; BLOCK_SIZE];
    for number in 0..blocks {
        let Ok(one) = BlockRange::new(number, 1) else {
            continue;
        };
        let _ = volume.read(one, &mut block);
    }
    if let Some(after) = volume.positions().retained_from {
        let _ = volume.entries(after, 1 << 20);
    }
    for info in volume.snapshots().unwrap_or_default() {
        if let Ok(snapshot) = volume.snapshot(info.id) {
            for number in 0..blocks.min(info.blocks) {
                let _ = snapshot.read(range(number, 1), &mut block);
            }
        }
    }
    for _ in 0..4 {
        let _ = volume.scrub_step(1 << 20);
    }
    volume.set_committed(Lsn(u64::MAX - 1));
    for _ in 0..8 {
        if !volume.write_back().unwrap_or(false) {
            break;
        }
    }
    let epoch = volume.promise().epoch.next();
    if volume.fence(epoch).is_ok() && volume.append_epoch_start(epoch).is_ok() {
        let _ = volume.try_append(epoch, EntryKind::Write, range(0, 1), filled(1, 1));
    }
    let _ = volume.sync();
    let _ = volume.close();
}

/// Runs `round` as often as asked for, each time on its own seed, which is told when it falls.
fn rounds(name: &str, mut round: impl FnMut(&mut SimRng)) {
    let seed = seed_from_env(2026);
    let asked = std::env::var("HOLDFAST_ROUNDS").ok();
    let rounds = asked.and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let before = memory();
    for number in 0..rounds {
        let one = seed.wrapping_add(number);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            round(&mut SimRng::new(one));
        }));
        if let Err(panic) = result {
            eprintln!("{name}: fell with HOLDFAST_SEED={one} HOLDFAST_ROUNDS=1");
            std::panic::resume_unwind(panic);
        }
    }
    let taken = memory().saturating_sub(before);
    // Past the test harness, which keeps what a passing test prints to itself.
    let told = writeln!(
        std::io::stdout().lock(),
        "{name}: {rounds} rounds from seed {seed}, {} MiB at most",
        taken >> 20
    );
    told.expect("standard output takes a line");
    assert!(taken < MEMORY_MAX, "{name}: took {taken} bytes of memory");
}

/// The most memory that this process ever had, in bytes.
fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

#[test]
fn the_corpus_opens_as_it_is() {
    let storage = Parts::golden().storage();
    let volume = Volume::open_on(storage.disks(), quiet_options(), Recovery::Strict).unwrap();
    assert_eq!(volume.last(), (Lsn(7), Epoch(3)));
    let ring = golden("ring.bin");
    for at in HEADERS {
        assert_eq!(&ring[at..at + 7], b"HFENTRY", "a header at {at}");
    }
}

#[test]
fn superblocks_that_lie_are_refused_or_served() {
    rounds("superblock", |rng| {
        let mut parts = Parts::golden();
        let both = rng.below(2) == 0;
        let which = rng.below(2) as usize;
        let at = SLOTS[which];
        change(&mut parts.log[at..at + SLOT_BYTES - 4], rng);
        seal(&mut parts.log[at..at + SLOT_BYTES], rng);
        if both {
            let slot = parts.log[at..at + SLOT_BYTES].to_vec();
            parts.log[SLOTS[1 - which]..][..SLOT_BYTES].copy_from_slice(&slot);
        }
        use_it(&parts.storage());
    });
}

#[test]
fn log_entries_that_lie_are_an_end_or_a_break() {
    rounds("log entry", |rng| {
        let mut parts = Parts::golden();
        for _ in 0..=rng.below(2) {
            let at = RING + HEADERS[rng.below(HEADERS.len() as u64) as usize];
            if rng.below(3) == 0 {
                // The argument of an operation, or a payload.
                change(&mut parts.log[at + HEADER_BYTES..at + 512], rng);
                let payload =
                    crc32c::crc32c(&parts.log[at + HEADER_BYTES..at + HEADER_BYTES + 256]);
                parts.log[at + 100..at + 104].copy_from_slice(&payload.to_le_bytes());
            } else {
                change(&mut parts.log[at..at + HEADER_BYTES - 4], rng);
            }
            seal(&mut parts.log[at..at + HEADER_BYTES], rng);
        }
        chain(&mut parts.log, rng);
        use_it(&parts.storage());
    });
}

/// Makes every entry of the ring name its predecessor again, most of the time, so that what follows a
/// changed one is reached.
fn chain(log: &mut [u8], rng: &mut SimRng) {
    if rng.below(4) == 0 {
        return;
    }
    for pair in HEADERS.windows(2) {
        let (before, after) = (RING + pair[0], RING + pair[1]);
        let checksum: [u8; 4] = log[before + 124..before + 128].try_into().unwrap();
        log[after + 96..after + 100].copy_from_slice(&checksum);
        let own = crc32c::crc32c(&log[after..after + 124]);
        log[after + 124..after + 128].copy_from_slice(&own.to_le_bytes());
    }
}

#[test]
fn sums_that_lie_are_damage() {
    rounds("sums", |rng| {
        let mut parts = Parts::golden();
        let used = BLOCKS as usize * 4;
        change(&mut parts.sums[..used], rng);
        use_it(&parts.storage());
    });
}

#[test]
fn snapshot_files_that_lie_are_damage() {
    rounds("snapshot", |rng| {
        let mut parts = Parts::golden();
        if rng.below(2) == 0 {
            change(&mut parts.snapshot[..4092], rng);
            seal(&mut parts.snapshot[..4096], rng);
        } else {
            change(&mut parts.snapshot[4096..4096 + BLOCKS as usize * 4], rng);
        }
        if rng.below(8) == 0 {
            let len = rng.below(parts.snapshot.len() as u64) as usize;
            parts.snapshot.truncate(len);
        }
        use_it(&parts.storage());
    });
}

/// An export of a small snapshot.
fn exported(place: &Path) -> (PathBuf, PathBuf) {
    let storage = SimStorage::formatted(&reference::format_options());
    let volume = reference::open(&storage);
    volume.fence(Epoch(1)).unwrap();
    volume.append_epoch_start(Epoch(1)).unwrap();
    write(&volume, 1, 3, 2, 7);
    let label = holdfast_types::SnapshotLabel::new("x").unwrap();
    let create = holdfast_types::VolumeOperation::SnapshotCreate { label };
    let lsn = volume.append_operation(Epoch(1), &create).unwrap();
    reference::settle(&volume);
    let id = SnapshotId {
        lsn,
        epoch: Epoch(1),
    };
    let (image, manifest) = (place.join("image"), place.join("manifest"));
    let snapshot = volume.snapshot(id).unwrap();
    snapshot.export(&image, &manifest).unwrap();
    (image, manifest)
}

#[test]
fn manifests_that_lie_are_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    let (image, manifest) = exported(place.path());
    let good = fs::read(&manifest).unwrap();
    assert!(ImportSource::open(&image, &manifest).is_ok());
    rounds("manifest", |rng| {
        let mut json = good.clone();
        match rng.below(4) {
            0 => json.truncate(rng.below(good.len() as u64) as usize),
            1 => {
                let at = rng.below(good.len() as u64) as usize;
                json[at] = rng.next_u64() as u8;
            }
            2 => {
                // Another number in the place of one.
                let text = String::from_utf8(json).unwrap();
                let field = ["format\": 1", "\"blocks\": 32", "chunk_blocks\": 256"];
                let field = field[rng.below(3) as usize];
                let name = field.split(':').next().unwrap();
                json = text
                    .replace(field, &format!("{name}:{}", edge(rng)))
                    .into_bytes();
            }
            _ => {
                let at = rng.below(good.len() as u64) as usize;
                let more = vec![b"[{\"0,"[rng.below(5) as usize]; rng.below(2000) as usize];
                json.splice(at..at, more);
            }
        }
        fs::write(&manifest, &json).unwrap();
        match ImportSource::open(&image, &manifest) {
            Ok(source) => {
                for index in 0..4 {
                    let _ = source.chunk(index);
                }
            }
            Err(error) => assert!(error.to_string().contains("manifest"), "{error}"),
        }
    });
}

#[test]
fn an_error_of_opening_names_the_store() {
    let mut parts = Parts::golden();
    parts.log[..RING].fill(0xff);
    let storage = parts.storage();
    let error = Volume::open_on(storage.disks(), quiet_options(), Recovery::Strict).unwrap_err();
    assert!(matches!(error, OpenError::NotAStore { .. }), "{error}");
    let missing = Path::new("/no/such/image");
    let error = ImportSource::open(missing, missing).unwrap_err();
    assert!(matches!(error, ExportError::File { .. }), "{error}");
}
