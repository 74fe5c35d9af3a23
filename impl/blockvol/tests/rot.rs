//! Bytes that rot at rest, and bytes that come from, or went to, the wrong place (F21): found,
//! named, never served and never part of a base, and repaired from another copy.

mod reference;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use holdfast_blockvol::sim::{Crash, Medium, SimRng, SimStorage, seed_from_env};
use holdfast_blockvol::{BaseError, Damage, Disk, Disks, ReadError, Recovery, RepairError, Volume};
use holdfast_types::{BLOCK_SIZE, BlockRange, EntryKind, Epoch, Lsn};
use reference::{
    BLOCKS, LOG_BYTES, Tapped, Work, filled, format_options, fresh, open, quiet_options, range,
    read_all, settle, tags, write,
};

const BLOCK: u64 = BLOCK_SIZE as u64;

/// A volume whose blocks are all in the extent, with tags 1 to 32 (block 5 is trimmed).
fn at_rest() -> (SimStorage, Volume) {
    let (storage, volume) = fresh();
    for block in 0..BLOCKS {
        write(&volume, 1, block, 1, block + 1);
        settle(&volume);
    }
    volume
        .append(Epoch(1), EntryKind::Trim, range(5, 1), filled(0, 0))
        .unwrap();
    settle(&volume);
    (storage, volume)
}

fn expected() -> Vec<u64> {
    let mut tags: Vec<u64> = (1..=BLOCKS).collect();
    tags[5] = 0;
    tags
}

fn read(volume: &Volume, range: BlockRange) -> Result<Vec<u64>, ReadError> {
    let mut data = vec![0xee; range.count() as usize * BLOCK_SIZE];
    volume.read(range, &mut data).map(|_| tags(&data))
}

/// One whole pass.
fn scrub(volume: &Volume) -> Vec<Damage> {
    let mut found = Vec::new();
    loop {
        let report = volume.scrub_step(3 * BLOCK).unwrap();
        found.extend(report.found);
        if report.ended {
            return found;
        }
    }
}

#[test]
fn f21_a_flipped_bit_in_the_image_is_never_served_and_is_repaired_from_another_copy() {
    let seed = seed_from_env(20_261_123);
    let mut rng = SimRng::new(seed);
    for _ in 0..40 {
        let (storage, volume) = at_rest();
        let at = rng.below(BLOCKS * BLOCK);
        let block = at / BLOCK;
        storage.corrupt(Medium::Extent, at, 1 << rng.below(8));
        let damage = Damage::Extent {
            range: range(block, 1),
        };
        let told = read(&volume, range(0, BLOCKS));
        assert_eq!(
            told,
            Err(ReadError::Damaged(damage)),
            "HOLDFAST_SEED={seed}"
        );
        for other in (0..BLOCKS).filter(|other| *other != block) {
            let tag = expected()[other as usize];
            assert_eq!(read(&volume, range(other, 1)), Ok(vec![tag]));
        }
        assert_eq!(volume.damage().blocks, [range(block, 1)]);
        let head = volume.positions().head;
        let content = filled(expected()[block as usize], 1);
        volume.repair(range(block, 1), content, head).unwrap();
        assert!(volume.damage().is_empty());
        assert_eq!(read_all(&volume), expected());
        drop(volume);
        let recovered = open(&storage.crash(storage.ops(), Crash::KeepNone));
        assert_eq!(read_all(&recovered), expected(), "the repair is durable");
    }
}

#[test]
fn f21_a_flipped_bit_in_the_sums_is_found_as_well() {
    let (storage, volume) = at_rest();
    for block in [3, 5, 9] {
        storage.corrupt(Medium::Sums, block * 4 + 1, 0x10);
        assert!(matches!(
            read(&volume, range(block, 1)),
            Err(ReadError::Damaged(_))
        ));
    }
    assert_eq!(
        volume.damage().blocks,
        [range(3, 1), range(5, 1), range(9, 1)]
    );
}

#[test]
fn f21_a_scrub_finds_what_nobody_reads_and_repairs_bring_it_back() {
    let (storage, volume) = at_rest();
    assert_eq!(scrub(&volume), []);
    let sector = |block: u64| block * BLOCK + 700;
    storage.corrupt(Medium::Extent, sector(2), 1);
    storage.corrupt(Medium::Extent, sector(3), 1);
    storage.corrupt(Medium::Extent, sector(30), 1);
    let found = scrub(&volume);
    assert_eq!(found.len(), volume.damage().blocks.len() + 1, "{found:?}");
    assert_eq!(volume.damage().blocks, [range(2, 2), range(30, 1)]);
    let head = volume.positions().head;
    for damaged in volume.damage().blocks {
        let content: Vec<u8> = (damaged.start()..damaged.end())
            .flat_map(|block| filled(block + 1, 1))
            .collect();
        volume.repair(damaged, content.into(), head).unwrap();
    }
    assert_eq!(scrub(&volume), []);
    assert_eq!(read_all(&volume), expected());
}

#[test]
fn f21_a_scrub_finds_rot_in_the_log_and_the_entry_is_repaired_in_place() {
    let (storage, volume) = fresh();
    let first = write(&volume, 1, 4, 2, 40);
    write(&volume, 1, 6, 1, 60);
    volume.sync().unwrap();
    // Its payload begins behind the epoch start and its own header.
    storage.corrupt(Medium::Log, (64 << 10) + 512 + 128 + 5000, 4);
    let found = scrub(&volume);
    assert!(matches!(found[..], [Damage::LogPayload { lsn, .. }] if lsn == first));
    assert_eq!(volume.damage().entries, [first]);
    let wrong = volume.repair_entry(first, &filled(41, 2));
    assert_eq!(wrong, Err(RepairError::NotTheEntry { lsn: first }));
    volume.repair_entry(first, &filled(40, 2)).unwrap();
    assert!(volume.damage().is_empty());
    assert_eq!(scrub(&volume), []);
    settle(&volume);
    assert_eq!(read_all(&volume)[4..7], [40, 40, 60]);
}

#[test]
fn f21_rot_beside_blocks_that_are_written_anew_is_told_apart_from_them() {
    let (storage, volume) = at_rest();
    write(&volume, 1, 7, 1, 700);
    storage.corrupt(Medium::Extent, 7 * BLOCK, 1);
    storage.corrupt(Medium::Extent, 8 * BLOCK, 1);
    assert_eq!(read(&volume, range(7, 1)), Ok(vec![700]), "the log has it");
    scrub(&volume);
    assert_eq!(volume.damage().blocks, [range(8, 1)]);
    settle(&volume);
    assert_eq!(read(&volume, range(7, 1)), Ok(vec![700]));
}

#[test]
fn f21_no_damaged_block_becomes_part_of_a_base() {
    let (storage, volume) = at_rest();
    storage.corrupt(Medium::Extent, 9 * BLOCK + 1, 1);
    let source = volume.begin_base(1 << 20).unwrap();
    let damage = Damage::Extent { range: range(9, 1) };
    assert_eq!(source.read(0), Err(BaseError::Damaged(damage)));
    // What the log holds anew is not copied as damage: replay puts it right.
    write(&volume, 1, 9, 1, 900);
    assert!(source.read(0).is_ok());
}

#[test]
fn f21_a_repair_with_content_of_another_time_is_refused() {
    let (storage, volume) = at_rest();
    let before = volume.positions().head;
    write(&volume, 1, 9, 1, 900);
    settle(&volume);
    storage.corrupt(Medium::Extent, 9 * BLOCK, 1);
    let stale = volume.repair(range(9, 1), filled(10, 1), before);
    assert!(
        matches!(stale, Err(RepairError::Position { .. })),
        "{stale:?}"
    );
    let ahead = Lsn(volume.positions().head.0 + 1);
    let beyond = volume.repair(range(9, 1), filled(900, 1), ahead);
    assert!(matches!(beyond, Err(RepairError::Position { .. })));
    let short = volume.repair(range(9, 2), filled(900, 1), before);
    assert!(matches!(short, Err(RepairError::Size { .. })));
    let outside = volume.repair(range(BLOCKS, 1), filled(900, 1), before);
    assert!(matches!(outside, Err(RepairError::OutOfBounds { .. })));
    let damaged = Err(ReadError::Damaged(Damage::Extent { range: range(9, 1) }));
    assert_eq!(read(&volume, range(9, 1)), damaged);
    // Of an older position, but nothing has touched the block since.
    write(&volume, 1, 20, 1, 2000);
    settle(&volume);
    let at = Lsn(before.0 + 1);
    volume.repair(range(9, 1), filled(900, 1), at).unwrap();
    assert_eq!(read(&volume, range(9, 1)), Ok(vec![900]));
}

#[test]
fn f21_a_repair_leaves_alone_what_the_log_holds_anew() {
    let (storage, volume) = at_rest();
    storage.corrupt(Medium::Extent, 9 * BLOCK, 1);
    let at = volume.positions().head;
    write(&volume, 1, 9, 1, 900);
    let content: Vec<u8> = (8..11).flat_map(|block| filled(block + 1, 1)).collect();
    volume.repair(range(8, 3), content.into(), at).unwrap();
    assert_eq!(read(&volume, range(8, 3)), Ok(vec![9, 900, 11]));
    settle(&volume);
    assert_eq!(read(&volume, range(8, 3)), Ok(vec![9, 900, 11]));
}

/// By how far a disk goes astray: added to the offset of the next operation of its kind.
#[derive(Debug, Default)]
struct Astray {
    read: AtomicU64,
    write: AtomicU64,
}

impl Astray {
    fn over(self: &Arc<Self>, inner: Arc<dyn Disk>) -> Arc<dyn Disk> {
        let by = Arc::clone(self);
        Tapped::over(inner, move |work| match work {
            Work::Read => by.read.swap(0, Ordering::SeqCst),
            Work::Write => by.write.swap(0, Ordering::SeqCst),
            Work::Punch | Work::Sync => 0,
        })
    }
}

/// The volume of [`at_rest`] on disks that go astray when told to.
fn on_astray() -> (SimStorage, Arc<Astray>, Arc<Astray>, Volume) {
    let (storage, volume) = at_rest();
    volume.close().unwrap();
    drop(volume);
    let (log, extent) = (Arc::<Astray>::default(), Arc::<Astray>::default());
    let disks = Disks {
        log: log.over(storage.disks().log),
        extent: extent.over(storage.disks().extent),
        ..storage.disks()
    };
    let mut options = quiet_options();
    options.recent_bytes = 0;
    let volume = Volume::open_on(disks, options, Recovery::Strict).unwrap();
    (storage, log, extent, volume)
}

#[test]
fn f21_a_read_from_another_place_of_the_image_is_not_served() {
    let (_storage, _, extent, volume) = on_astray();
    extent.read.store(3 * BLOCK, Ordering::SeqCst);
    let damage = Damage::Extent {
        range: range(10, 1),
    };
    assert_eq!(read(&volume, range(10, 1)), Err(ReadError::Damaged(damage)));
    // The disk itself is whole: the next reading is right, and a scrub clears the name.
    assert_eq!(read(&volume, range(10, 1)), Ok(vec![11]));
}

#[test]
fn f21_a_write_to_another_place_of_the_image_is_found_in_both_places() {
    let (_storage, _, extent, volume) = on_astray();
    write(&volume, 1, 10, 1, 1000);
    volume.sync().unwrap();
    extent.write.store(4 * BLOCK, Ordering::SeqCst);
    settle(&volume);
    scrub(&volume);
    assert_eq!(volume.damage().blocks, [range(10, 1), range(14, 1)]);
    for block in [10, 14] {
        assert!(matches!(
            read(&volume, range(block, 1)),
            Err(ReadError::Damaged(_))
        ));
    }
}

#[test]
fn f21_a_read_from_another_place_of_the_log_is_neither_served_nor_shipped() {
    let (_storage, log, _, volume) = on_astray();
    let before = write(&volume, 1, 10, 1, 1000);
    write(&volume, 1, 11, 1, 1100);
    volume.sync().unwrap();
    let entry = 4096 + 512;
    log.read.store(entry, Ordering::SeqCst);
    let told = read(&volume, range(10, 1));
    assert!(matches!(
        told,
        Err(ReadError::Damaged(Damage::LogPayload { lsn, .. })) if lsn == before
    ));
    log.read.store(entry, Ordering::SeqCst);
    assert!(volume.entries(Lsn(before.0 - 1), 1).is_err());
    assert_eq!(read(&volume, range(10, 2)), Ok(vec![1000, 1100]));
}

#[test]
fn f21_a_log_write_that_went_astray_is_a_break_and_never_an_end() {
    let (storage, log, _, volume) = on_astray();
    log.write.store(40_960, Ordering::SeqCst);
    write(&volume, 1, 10, 1, 1000);
    volume.sync().unwrap();
    write(&volume, 1, 11, 1, 1100);
    volume.sync().unwrap();
    drop(volume);
    let crashed = storage.crash(storage.ops(), Crash::KeepNone);
    let opened = Volume::open_on(crashed.disks(), quiet_options(), Recovery::Strict);
    assert!(opened.is_err(), "the second entry vouches for the first");
}

#[test]
fn f21_f15_a_rotten_superblock_costs_a_settled_store_nothing() {
    for slot in [0, 32 << 10] {
        let (storage, volume) = at_rest();
        let head = write(&volume, 1, 9, 1, 900);
        volume.close().unwrap();
        let positions = volume.positions();
        drop(volume);
        storage.corrupt(Medium::Log, slot + 80, 1);
        let volume = open(&storage);
        assert_eq!(volume.positions().head, head);
        assert_eq!(volume.positions().checkpoint, positions.checkpoint);
        assert_eq!(read_all(&volume)[9], 900);
    }
}

#[test]
fn f21_f15_a_scrub_writes_a_rotten_superblock_again() {
    for slot in [0, 32 << 10] {
        let (storage, volume) = at_rest();
        let positions = volume.positions();
        storage.corrupt(Medium::Log, slot + 80, 1);
        let found = scrub(&volume);
        assert!(
            matches!(found[..], [Damage::Superblock { .. }]),
            "{found:?}"
        );
        assert_eq!(scrub(&volume), []);
        drop(volume);
        // The other one may go now.
        storage.corrupt(Medium::Log, (32 << 10) - slot + 80, 1);
        assert_eq!(open(&storage).positions().checkpoint, positions.checkpoint);
    }
}

/// The newest superblock is gone before it was settled; the log has been reused under the older one,
/// which must not take the new lap for the end of its log.
#[test]
fn f21_f11_a_superblock_of_an_earlier_lap_is_no_clean_end() {
    let (storage, volume) = fresh();
    let early = storage.visible(Medium::Log)[..64 << 10].to_vec();
    let entries = 2 * LOG_BYTES / 4608;
    for n in 0..entries {
        write(&volume, 1, n % BLOCKS, 1, n + 1);
        settle(&volume);
    }
    volume.close().unwrap();
    drop(volume);
    storage.disks().log.write_at(0, &early).unwrap();
    let opened = Volume::open_on(storage.disks(), quiet_options(), Recovery::Strict);
    assert!(opened.is_err(), "it was durable far beyond");
}

#[test]
fn whoever_listens_hears_of_damage_that_a_scrub_found() {
    let (storage, volume) = at_rest();
    let (tell, told) = mpsc::channel();
    let _subscription = volume.subscribe(move |_| {
        let _ = tell.send(());
    });
    storage.corrupt(Medium::Extent, 0, 1);
    scrub(&volume);
    assert!(told.try_recv().is_ok());
}

#[test]
fn a_store_without_its_sums_is_refused() {
    let (storage, volume) = at_rest();
    drop(volume);
    let log = storage.visible(Medium::Log);
    let short = SimStorage::from_images(log, vec![0; BLOCK_SIZE]);
    let opened = Volume::open_on(short.disks(), quiet_options(), Recovery::Strict);
    assert!(opened.is_err());
    assert_eq!(format_options().blocks, BLOCKS);
}

#[test]
fn c1_which_blocks_were_touched_between_two_positions_is_known_as_long_as_the_log_is() {
    let (_storage, volume) = fresh();
    let from = volume.positions().head;
    write(&volume, 1, 3, 4, 1);
    let between = volume.positions().head;
    let trim = EntryKind::Trim;
    volume
        .append(Epoch(1), trim, range(9, 2), filled(0, 0))
        .unwrap();
    let to = volume.positions().head;
    let touched = |of, after, upto| volume.touched(of, after, upto);
    let all = range(0, BLOCKS);
    assert_eq!(touched(all, from, to), Some(vec![range(3, 4), range(9, 2)]));
    assert_eq!(
        touched(range(5, 5), from, to),
        Some(vec![range(5, 2), range(9, 1)])
    );
    assert_eq!(touched(range(3, 4), between, to), Some(vec![]));
    assert_eq!(touched(all, to, to), Some(vec![]));
    assert_eq!(touched(all, to, to.next()), None, "nobody knows the next");
    for n in 0..40 {
        write(&volume, 1, n % BLOCKS, 1, n + 1);
        settle(&volume);
    }
    let freed = volume.positions().retained_from.unwrap();
    assert!(freed > from, "the log went round");
    assert_eq!(touched(all, from, to), None, "it is freed");
}
