//! Rebuilding one store from another: a fuzzy copy of the live image, the tail, and what a crash
//! leaves at every point.

mod reference;

use holdfast_blockvol::sim::{Crash, Faults, Medium, Op, SimStorage};
use holdfast_blockvol::{
    BaseError, BaseInstall, BaseManifest, BaseSource, CHUNK_BLOCKS, ChunkDigest, FormatOptions,
    ImageDigest, PinError, Recovery, Volume,
};
use holdfast_types::{Epoch, Lineage, Lsn, StoreId};
use reference::{filled, format_options, quiet_options, read_all, write, write_back_all};

/// Three chunks, the last one short.
const BLOCKS: u64 = 600;
const ALL: Lsn = Lsn(u64::MAX - 1);

fn store(blocks: u64) -> (SimStorage, Volume) {
    let options = FormatOptions {
        blocks,
        store: StoreId::random(),
        log_bytes: 512 << 10,
        ..format_options()
    };
    let storage = SimStorage::formatted(&options);
    let volume = open(&storage);
    volume.fence(Epoch(1)).unwrap();
    (storage, volume)
}

fn open(storage: &SimStorage) -> Volume {
    Volume::open_on(storage.disks(), quiet_options(), Recovery::Strict).unwrap()
}

fn primary() -> (SimStorage, Volume) {
    let (storage, volume) = store(BLOCKS);
    volume.append_epoch_start(Epoch(1)).unwrap();
    for n in 0..20 {
        write(&volume, 1, n * 29, 1, n + 1);
    }
    settle(&volume);
    (storage, volume)
}

fn settle(volume: &Volume) {
    volume.sync().unwrap();
    volume.set_committed(ALL);
    write_back_all(volume);
}

fn copy_chunk(source: &BaseSource, install: &BaseInstall, index: u64) {
    let (data, digest) = source.read(index).unwrap();
    install.install(index, &data, digest).unwrap();
}

/// Ships entries after the replica's head, as the ordinary shipper does.
fn ship(from: &Volume, to: &Volume, until: Lsn) {
    while to.positions().head < until {
        let (head, epoch) = to.last();
        let mut entries = from.entries(head, 8 << 10).unwrap();
        entries.retain(|entry| entry.lsn <= until);
        to.append_entries((head, epoch), &entries).unwrap();
    }
    to.sync().unwrap();
}

#[test]
fn f31_f32_t17_a_fuzzy_base_is_exact_once_the_tail_passed_its_extent_bound() {
    let (_, source) = primary();
    let (replica_storage, replica) = store(BLOCKS);
    write_stale(&replica);
    let base = source.begin_base(256 << 10).unwrap();
    let split = base.split();
    let install = replica.begin_install().unwrap();
    for index in 0..base.chunk_count() {
        copy_chunk(&base, &install, index);
        // Writes go on, in chunks already copied and in those to come, and reach the extent.
        for n in 0..8 {
            write(
                &source,
                1,
                (n * 75 + index) % BLOCKS,
                1,
                1000 + index * 10 + n,
            );
        }
        settle(&source);
    }
    let (manifest, pin) = base.finish().unwrap();
    assert_eq!(manifest.base_lsn, split);
    assert!(manifest.extent_bound > split, "the copy is fuzzy");
    let positions = install.finish(&manifest).unwrap();
    assert_eq!(positions.head, split);
    assert!(!positions.is_trusted(), "not before the tail");
    ship(&source, &replica, Lsn(manifest.extent_bound.0 - 1));
    assert!(!replica.positions().is_trusted(), "one entry is missing");
    ship(&source, &replica, manifest.extent_bound);
    assert!(replica.positions().is_trusted());
    write(&source, 1, 3, 1, 5000);
    ship(&source, &replica, source.positions().head);
    drop(pin);
    assert_eq!(read_all(&replica), read_all(&source));
    assert_eq!(replica.lineage(), source.lineage());
    let recovered = open(&replica_storage.crash(replica_storage.ops(), Crash::KeepNone));
    assert!(recovered.positions().is_trusted());
    assert_eq!(read_all(&recovered), read_all(&source));
    settle(&replica);
    assert_eq!(read_all(&replica), read_all(&source));
}

/// A log and dirty blocks that have nothing to do with the primary's.
fn write_stale(replica: &Volume) {
    replica.append_epoch_start(Epoch(1)).unwrap();
    for n in 0..30 {
        write(replica, 1, n, 1, 9000 + n);
    }
    replica.sync().unwrap();
    replica.set_committed(Lsn(10));
    write_back_all(replica);
    replica.set_committed(ALL);
}

fn copy_all(source: &Volume, replica: &Volume) -> (BaseManifest, BaseInstall) {
    let base = source.begin_base(1 << 20).unwrap();
    let install = replica.begin_install().unwrap();
    for index in 0..base.chunk_count() {
        copy_chunk(&base, &install, index);
    }
    (base.finish().unwrap().0, install)
}

#[test]
fn f05_the_stale_log_is_never_replayed_over_a_new_base() {
    let (_, source) = primary();
    let (storage, replica) = store(BLOCKS);
    write_stale(&replica);
    let (manifest, install) = copy_all(&source, &replica);
    install.finish(&manifest).unwrap();
    for how in [Crash::KeepNone, Crash::KeepAll, Crash::Sectors(5)] {
        let recovered = open(&storage.crash(storage.ops(), how));
        assert_eq!(recovered.positions().head, manifest.base_lsn);
        assert_eq!(read_all(&recovered), read_all(&source));
    }
    // The first entry after the base goes elsewhere than any stale one; nothing follows it.
    ship(&source, &replica, source.positions().head);
    write(&source, 1, 7, 1, 77);
    ship(&source, &replica, source.positions().head);
    let recovered = open(&storage.crash(storage.ops(), Crash::KeepAll));
    assert_eq!(recovered.positions().head, source.positions().head);
    assert_eq!(read_all(&recovered), read_all(&source));
}

#[test]
fn f06_no_stale_dirty_block_reaches_a_new_base() {
    let (_, source) = primary();
    let (_, replica) = store(BLOCKS);
    write_stale(&replica);
    assert!(replica.positions().checkpoint < replica.positions().committed);
    let (manifest, install) = copy_all(&source, &replica);
    assert!(
        !replica.write_back().unwrap(),
        "nothing is left to write back"
    );
    install.finish(&manifest).unwrap();
    write_back_all(&replica);
    assert_eq!(read_all(&replica), read_all(&source));
}

#[test]
fn f33_a_half_installed_base_is_untrusted_after_a_restart_until_a_whole_one_is_in() {
    let (_, source) = primary();
    let (storage, replica) = store(BLOCKS);
    write_stale(&replica);
    let base = source.begin_base(1 << 20).unwrap();
    let first = storage.ops();
    let install = replica.begin_install().unwrap();
    let marked = storage.ops();
    copy_chunk(&base, &install, 0);
    for op in first..=storage.ops() {
        for seed in 0..5 {
            let recovered = open(&storage.crash(op, Crash::Sectors(seed)));
            if op >= marked {
                assert!(!recovered.positions().is_trusted());
                assert_eq!(recovered.positions().retained_from, None);
            } else if recovered.positions().is_trusted() {
                assert_eq!(recovered.positions().head, Lsn(31), "still the old one");
            }
        }
    }
    drop(install);
    drop(replica);
    let replica = open(&storage.crash(storage.ops(), Crash::KeepAll));
    assert!(!replica.facts().unwrap().base.is_trusted());
    drop(base);
    let (manifest, install) = copy_all(&source, &replica);
    install.finish(&manifest).unwrap();
    assert!(replica.positions().is_trusted());
    assert_eq!(read_all(&replica), read_all(&source));
}

#[test]
fn f55_a_newer_install_supersedes_an_older_one_whoever_still_holds_it() {
    let (_, source) = primary();
    let (storage, replica) = store(BLOCKS);
    let base = source.begin_base(1 << 20).unwrap();
    let (data, digest) = base.read(0).unwrap();
    let older = replica.begin_install().unwrap();
    older.install(0, &data, digest).unwrap();
    let (manifest, newer) = copy_all(&source, &replica);
    let ops = storage.ops();
    let chunk = older.install(0, &data, digest);
    assert!(matches!(chunk, Err(BaseError::InstallEnded)));
    assert!(matches!(
        older.keep(0, digest),
        Err(BaseError::InstallEnded)
    ));
    assert!(matches!(
        older.finish(&manifest),
        Err(BaseError::InstallEnded)
    ));
    assert_eq!(storage.ops(), ops, "refused before the disk is asked");
    // The end of the older one, by whatever path, is none of the newer one's business.
    newer.install(0, &data, digest).unwrap();
    newer.finish(&manifest).unwrap();
    assert!(replica.positions().is_trusted());
    assert_eq!(read_all(&replica), read_all(&source));
}

#[test]
fn a4_the_last_step_of_a_rebuild_finds_little_that_is_not_synced() {
    let chunks = 40;
    let (storage, replica) = store(chunks * CHUNK_BLOCKS);
    let install = replica.begin_install().unwrap();
    let mut digests = Vec::new();
    let mut most = 0;
    for index in 0..chunks {
        let data = filled(index % 3, CHUNK_BLOCKS); // every third one is punched
        let digest = ChunkDigest::of(&data);
        install.install(index, &data, digest).unwrap();
        digests.push(digest);
        most = most.max(unsynced_chunks(&storage));
    }
    assert!((1..=8).contains(&most), "{most} chunks unsynced at a time");
    let manifest = BaseManifest {
        volume: replica.volume_id(),
        blocks: chunks * CHUNK_BLOCKS,
        base_lsn: Lsn(0),
        extent_bound: Lsn(0),
        lineage: Lineage::default(),
        digest: ImageDigest::of(digests),
    };
    install.finish(&manifest).unwrap();
    assert_eq!(unsynced_chunks(&storage), 0);
}

/// Writes and punches of the extent since its last sync.
fn unsynced_chunks(storage: &SimStorage) -> usize {
    let extent = Medium::Extent;
    let journal = storage.journal();
    let since_sync = journal
        .iter()
        .rev()
        .take_while(|op| !matches!(op, Op::Sync { medium } if *medium == extent));
    since_sync.filter(|op| op.medium() == extent).count()
}

#[test]
fn f14_a_chunk_whose_sync_fails_stops_the_volume() {
    let (storage, replica) = store(20 * CHUNK_BLOCKS);
    let install = replica.begin_install().unwrap();
    let syncs = Faults {
        syncs: true,
        ..Faults::default()
    };
    storage.set_faults(Medium::Extent, syncs);
    let data = filled(1, CHUNK_BLOCKS);
    let digest = ChunkDigest::of(&data);
    let failed = (0..20).find_map(|index| install.install(index, &data, digest).err());
    assert!(matches!(failed, Some(BaseError::Poisoned(_))), "{failed:?}");
    assert!(replica.poisoned().is_some());
}

#[test]
fn f33_a_crash_while_the_base_is_switched_leaves_the_marker_or_the_new_base() {
    let (_, source) = primary();
    let (storage, replica) = store(BLOCKS);
    let (manifest, install) = copy_all(&source, &replica);
    let first = storage.ops();
    install.finish(&manifest).unwrap();
    let mut whole = 0;
    for op in first..=storage.ops() {
        for seed in 0..10 {
            let recovered = open(&storage.crash(op, Crash::Sectors(seed)));
            if recovered.positions().is_trusted() {
                assert_eq!(recovered.positions().head, manifest.base_lsn);
                assert_eq!(read_all(&recovered), read_all(&source));
                whole += 1;
            }
        }
    }
    assert!(whole > 10, "the new base was seen");
}

#[test]
fn t6_only_the_announced_image_of_this_volume_is_switched_to() {
    let (_, source) = primary();
    let (_, replica) = store(BLOCKS);
    let refuse = |change: &dyn Fn(&mut BaseManifest)| {
        let (mut manifest, install) = copy_all(&source, &replica);
        change(&mut manifest);
        let error = install.finish(&manifest).unwrap_err();
        assert!(!replica.positions().is_trusted());
        error
    };
    let wrong = refuse(&|m| m.volume = holdfast_types::VolumeId::random());
    assert!(matches!(wrong, BaseError::WrongVolume { .. }));
    assert!(matches!(
        refuse(&|m| m.blocks += 1),
        BaseError::WrongSize { .. }
    ));
    let digest = refuse(&|m| m.digest = ImageDigest([0; 32]));
    assert!(matches!(digest, BaseError::ImageDigest { .. }));
    let lineage = refuse(&|m| m.lineage = Lineage::default());
    assert!(matches!(lineage, BaseError::BadManifest { .. }));
    let bound = refuse(&|m| m.extent_bound = Lsn(m.base_lsn.0 - 1));
    assert!(matches!(bound, BaseError::BadManifest { .. }));
    let untrusted = refuse(&|m| m.extent_bound = Lsn::MAX);
    assert!(matches!(untrusted, BaseError::BadManifest { .. }));
}

#[test]
fn chunks_are_verified_before_they_are_written_and_all_of_them_are_needed() {
    let (_, source) = primary();
    let (storage, replica) = store(BLOCKS);
    let base = source.begin_base(1 << 20).unwrap();
    let install = replica.begin_install().unwrap();
    let (data, digest) = base.read(0).unwrap();
    let ops = storage.ops();
    let wrong = install.install(0, &data, ChunkDigest([1; 32]));
    assert!(matches!(
        wrong,
        Err(BaseError::ChunkDigest { index: 0, .. })
    ));
    let short = install.install(0, &data[1..], digest);
    assert!(matches!(short, Err(BaseError::ChunkSize { index: 0, .. })));
    let beyond = install.install(3, &data, digest);
    assert!(matches!(
        beyond,
        Err(BaseError::NoSuchChunk { index: 3, count: 3 })
    ));
    assert_eq!(storage.ops(), ops);
    install.install(0, &data, digest).unwrap();
    copy_chunk(&base, &install, 2);
    assert!(matches!(
        base.finish(),
        Err(BaseError::MissingChunk { index: 1 })
    ));
    let manifest = BaseManifest {
        volume: source.volume_id(),
        blocks: BLOCKS,
        base_lsn: Lsn(0),
        extent_bound: Lsn(0),
        lineage: Lineage::default(),
        digest: ImageDigest([0; 32]),
    };
    let missing = install.finish(&manifest);
    assert!(matches!(missing, Err(BaseError::MissingChunk { index: 1 })));
}

#[test]
fn a_partial_rebuild_keeps_what_is_already_the_same() {
    let (_, source) = primary();
    let (_, replica) = store(BLOCKS);
    let (manifest, install) = copy_all(&source, &replica);
    install.finish(&manifest).unwrap();
    write(&source, 1, 0, 1, 4242);
    settle(&source);
    let base = source.begin_base(1 << 20).unwrap();
    let install = replica.begin_install().unwrap();
    let mut sent = Vec::new();
    for index in 0..base.chunk_count() {
        let (data, digest) = base.read(index).unwrap();
        if install.present_digest(index).unwrap() == digest {
            install.keep(index, digest).unwrap();
        } else {
            assert!(install.keep(index, digest).is_err());
            install.install(index, &data, digest).unwrap();
            sent.push(index);
        }
    }
    let (manifest, _pin) = base.finish().unwrap();
    install.finish(&manifest).unwrap();
    assert_eq!(sent, [0]);
    assert_eq!(read_all(&replica), read_all(&source));
}

#[test]
fn f43_a6_a_source_that_loses_its_pin_says_so_and_the_log_goes_on() {
    let (_, source) = primary();
    let base = source.begin_base(16 << 10).unwrap();
    base.read(0).unwrap();
    for n in 0..60 {
        write(&source, 1, n, 1, n);
        settle(&source);
    }
    let lost = base.read(1);
    assert!(
        matches!(lost, Err(BaseError::Pin(PinError::Revoked { .. }))),
        "{lost:?}"
    );
    assert!(base.finish().is_err());
}

#[test]
fn an_empty_volume_can_be_rebuilt() {
    let (_, source) = store(BLOCKS);
    let (_, replica) = store(BLOCKS);
    let (manifest, install) = copy_all(&source, &replica);
    assert_eq!(install.finish(&manifest).unwrap().head, Lsn(0));
    assert!(replica.positions().is_trusted());
    source.append_epoch_start(Epoch(1)).unwrap();
    ship(&source, &replica, Lsn(1));
    assert_eq!(replica.last(), (Lsn(1), Epoch(1)));
}
