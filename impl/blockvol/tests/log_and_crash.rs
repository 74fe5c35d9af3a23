//! The rows of the failure catalogue that concern log, extent and crash, each as a small scene on
//! simulated disks. (F04, F16, F78 and F79 are `snapshots.rs`, F20 is `crash_model.rs`, F21 `rot.rs`.)

mod reference;

use holdfast_blockvol::sim::{Crash, Medium, Op};
use holdfast_blockvol::{
    AppendError, CursorError, Damage, OpenError, ReadError, Recovery, Volume, WriteBackError,
    inspect_disks,
};
use holdfast_types::{BLOCK_SIZE, EntryKind, Epoch, Lsn, SessionId};
use reference::{
    ALL, BLOCKS, LEADER, LOG_BYTES, core, core_append, crash, damage_log, filled, fresh, open,
    quiet_options, range, read_all, settle, write, write_back_all,
};

#[test]
fn f01_acknowledged_data_survives_crash_then_writes_then_crash() {
    let (mut storage, mut volume) = fresh();
    let mut expected = vec![0; BLOCKS as usize];
    let mut epoch = 1;
    for round in 0..20 {
        for n in 0..9_u64 {
            let block = (round * 7 + n * 3) % BLOCKS;
            expected[block as usize] = round * 100 + n + 1;
            write(&volume, epoch, block, 1, round * 100 + n + 1);
        }
        volume.sync().unwrap();
        if round % 2 == 0 {
            settle(&volume);
        }
        drop(volume);
        storage = crash(&storage, Crash::KeepNone);
        volume = open(&storage);
        assert_eq!(read_all(&volume), expected, "round {round}");
        epoch += 1;
        volume.fence(Epoch(epoch)).unwrap();
        volume.append_epoch_start(Epoch(epoch)).unwrap();
    }
}

#[test]
fn f02_a_log_that_wrapped_many_times_recovers_whole() {
    let (storage, volume) = fresh();
    let mut bytes = 0;
    for n in 1..=200_u64 {
        write(&volume, 1, n % BLOCKS, 1, n);
        bytes += 4608;
        if n % 10 == 0 {
            settle(&volume);
        }
    }
    write(&volume, 1, 3, 1, 1000);
    write(&volume, 1, 4, 1, 1001);
    volume.sync().unwrap();
    assert!(bytes > 5 * LOG_BYTES, "the ring wrapped");
    let expected = read_all(&volume);
    let recovered = open(&crash(&storage, Crash::KeepNone));
    assert_eq!(recovered.positions().head, Lsn(203));
    assert_eq!(read_all(&recovered), expected);
    let after = recovered.positions().retained_from.unwrap();
    assert!(after < recovered.positions().checkpoint, "history is kept");
    let entries = recovered.entries(after, 1 << 20).unwrap();
    assert_eq!(entries.first().unwrap().lsn, after.next());
}

#[test]
fn f03_cut_entries_never_come_back() {
    for how in [Crash::KeepAll, Crash::KeepNone, Crash::Sectors(7)] {
        let (storage, volume) = fresh();
        write(&volume, 1, 0, 1, 10);
        volume.sync().unwrap();
        write(&volume, 1, 0, 1, 11);
        write(&volume, 1, 1, 1, 12);
        volume.sync().unwrap();
        volume.truncate(Lsn(2)).unwrap();
        assert_eq!(read_all(&volume)[..2], [10, 0]);
        drop(volume);
        let storage = crash(&storage, how);
        let volume = open(&storage);
        assert_eq!(volume.positions().head, Lsn(2), "{how:?}");
        // An entry of the same length goes where the first cut one was: the second one, whose
        // checksums are still good, must not follow it.
        volume.fence(Epoch(2)).unwrap();
        volume.append_epoch_start(Epoch(2)).unwrap();
        volume.sync().unwrap();
        drop(volume);
        let volume = open(&crash(&storage, how));
        assert_eq!(volume.positions().head, Lsn(3));
        assert_eq!(read_all(&volume)[..2], [10, 0]);
        assert_eq!(volume.lineage().entries().len(), 2);
    }
}

#[test]
fn f03_a_lost_tail_never_comes_back_behind_its_replacement() {
    // Entry 2 is lost in the crash, entry 3 lands. A new entry 2 of the same epoch, equal in every
    // field, is logged; the old 3 chains to it, and must not reappear.
    let (storage, volume) = fresh();
    volume.sync().unwrap();
    write(&volume, 1, 0, 1, 10);
    write(&volume, 1, 1, 1, 11);
    let journal = storage.journal();
    let Some(Op::Write { offset, data, .. }) = journal.last() else {
        panic!("the last operation is the append of entry 3");
    };
    let survivor = crash(&storage, Crash::KeepNone);
    survivor.disks().log.write_at(*offset, data).unwrap();
    survivor.disks().log.sync().unwrap();
    let volume = open(&survivor);
    assert_eq!(volume.positions().head, Lsn(1));
    write(&volume, 1, 0, 1, 10);
    volume.sync().unwrap();
    drop(volume);
    let volume = open(&crash(&survivor, Crash::KeepAll));
    assert_eq!(volume.positions().head, Lsn(2));
    assert_eq!(read_all(&volume)[..2], [10, 0]);
}

#[test]
fn f07_the_checkpoint_is_the_contiguous_frontier_of_what_was_applied() {
    let (storage, volume) = fresh();
    for n in 0..6 {
        write(&volume, 1, 0, 1, 10 + n);
    }
    volume.sync().unwrap();
    volume.set_committed(Lsn(4));
    write_back_all(&volume);
    let positions = volume.positions();
    assert_eq!(positions.checkpoint, Lsn(4));
    assert_eq!(positions.extent_bound, Lsn(4));
    assert_eq!(storage.visible(Medium::Extent)[0], 12, "entry 4's block");
    assert_eq!(read_all(&volume)[0], 15, "the log has a newer one");
    let recovered = open(&crash(&storage, Crash::KeepNone));
    assert_eq!(read_all(&recovered)[0], 15);
}

#[test]
fn f09_log_space_is_not_used_before_the_superblock_that_frees_it_is_durable() {
    let (storage, mut store) = core();
    let mut block = 0;
    while store
        .append(
            Epoch(1),
            EntryKind::Write,
            Some(range(block, 1)),
            filled(block + 1, 1),
        )
        .is_ok()
    {
        block = (block + 1) % BLOCKS;
    }
    store.sync().unwrap();
    store.set_committed(ALL);
    let flush = store.begin_flush().unwrap().unwrap();
    let bound = store.begin_bound(&flush).unwrap().unwrap();
    let result = bound.run();
    store.finish_meta(bound, result).unwrap();
    flush.run().unwrap();
    let checkpoint = store.begin_checkpoint(&flush).unwrap();
    let full = store.append(Epoch(1), EntryKind::Write, Some(range(0, 1)), filled(99, 1));
    assert!(matches!(full, Err(AppendError::LogFull { .. })), "{full:?}");
    let image = crash(&storage, Crash::Sectors(1));
    assert_eq!(open(&image).positions().head, store.positions().head);
    let result = checkpoint.run();
    store.finish_checkpoint(flush, checkpoint, result).unwrap();
    // The checkpoint is durable; the superblock that frees its log is not yet.
    let reclaim = store.begin_reclaim().unwrap().unwrap();
    let full = store.append(Epoch(1), EntryKind::Write, Some(range(0, 1)), filled(99, 1));
    assert!(matches!(full, Err(AppendError::LogFull { .. })), "{full:?}");
    let result = reclaim.run();
    store.finish_meta(reclaim, result).unwrap();
    core_append(&mut store, EntryKind::Write, Some(0));
}

#[test]
fn f10_write_back_stops_at_a_damaged_entry() {
    let (storage, volume) = fresh();
    for n in 0..8 {
        write(&volume, 1, n, 1, 70 + n);
    }
    volume.sync().unwrap();
    volume.set_committed(ALL);
    drop(volume);
    // Opened again, so that payloads come from the disk; damaged after the log was verified.
    let volume = open(&storage);
    damage_log(&storage, 73);
    volume.set_committed(ALL);
    let before = volume.positions().checkpoint;
    assert!(matches!(
        volume.write_back(),
        Err(WriteBackError::Damaged(Damage::LogPayload {
            lsn: Lsn(5),
            ..
        }))
    ));
    assert_eq!(volume.positions().checkpoint, before);
    assert!(volume.poisoned().is_some());
    assert!(matches!(
        volume.write_back(),
        Err(WriteBackError::Poisoned(_))
    ));
}

#[test]
fn f11_a_broken_log_is_not_a_clean_end() {
    let (storage, volume) = fresh();
    for n in 0..4 {
        write(&volume, 1, n, 1, 70 + n);
        volume.sync().unwrap();
    }
    write(&volume, 1, 5, 1, 90);
    drop(volume);
    damage_log(&storage, 71);
    let error = Volume::open_on(storage.disks(), quiet_options(), Recovery::Strict).unwrap_err();
    let OpenError::Damaged(Damage::LogBroken {
        last_good, durable, ..
    }) = error
    else {
        panic!("{error}");
    };
    assert_eq!(
        (last_good, durable),
        (Lsn(2), Lsn(5)),
        "entry 6 names 5 durable"
    );
    let report = inspect_disks(&storage.disks()).unwrap();
    assert!(
        !report.is_sound() && report.to_string().contains("DAMAGED"),
        "{report}"
    );
}

#[test]
fn f11_a_torn_end_beyond_what_was_durable_is_no_damage() {
    let (storage, volume) = fresh();
    write(&volume, 1, 0, 1, 70);
    volume.sync().unwrap();
    write(&volume, 1, 1, 1, 71);
    write(&volume, 1, 2, 1, 72);
    drop(volume);
    damage_log(&storage, 71);
    let volume = open(&storage);
    assert_eq!(volume.positions().head, Lsn(2));
    assert_eq!(read_all(&volume)[..3], [70, 0, 0]);
}

#[test]
fn f11_a_clean_end_is_known_to_the_superblock() {
    let (storage, volume) = fresh();
    write(&volume, 1, 0, 1, 70);
    volume.close().unwrap();
    drop(volume);
    damage_log(&storage, 70);
    assert!(matches!(
        Volume::open_on(storage.disks(), quiet_options(), Recovery::Strict),
        Err(OpenError::Damaged(_))
    ));
}

#[test]
fn f58_a_damaged_store_opens_for_rebuild_alone_and_stays_untrusted() {
    let (storage, volume) = fresh();
    write(&volume, 1, 0, 1, 70);
    volume
        .admit_session(Epoch(3), SessionId(9), LEADER)
        .unwrap();
    volume.close().unwrap();
    drop(volume);
    damage_log(&storage, 70);
    let volume =
        Volume::open_on(storage.disks(), quiet_options(), Recovery::DiscardDamaged).unwrap();
    for volume in [volume.clone(), open(&crash(&storage, Crash::KeepNone))] {
        assert!(!volume.positions().is_trusted());
        assert_eq!(volume.promise().epoch, Epoch(3), "promises are kept");
        assert_eq!(volume.promise().leader, Some(LEADER));
        assert_eq!(volume.promise().session, Some(SessionId(9)));
        let facts = volume.facts().unwrap();
        assert_eq!(
            (facts.base.durable, facts.base.extent_bound),
            (Lsn(0), Lsn::MAX)
        );
        assert!(volume.begin_base(1 << 20).is_err(), "no rebuild source");
        assert!(matches!(
            volume.append_epoch_start(Epoch(3)),
            Err(AppendError::Untrusted)
        ));
        let mut buf = vec![0; BLOCK_SIZE];
        assert_eq!(
            volume.read(range(0, 1), &mut buf),
            Err(ReadError::Untrusted)
        );
    }
    assert!(volume.begin_install().is_ok());
}

#[test]
fn f18_a_torn_overwrite_in_the_extent_is_recovered_from_the_log() {
    let (storage, volume) = fresh();
    write(&volume, 1, 0, 4, 10);
    settle(&volume);
    write(&volume, 1, 0, 4, 20);
    volume.sync().unwrap();
    volume.set_committed(ALL);
    let first = storage.ops();
    write_back_all(&volume);
    let journal = storage.journal();
    let extent_write = (first..journal.len())
        .find(|at| {
            matches!(
                &journal[*at],
                Op::Write {
                    medium: Medium::Extent,
                    ..
                }
            )
        })
        .expect("the extent is written");
    let mut torn = 0;
    for seed in 0..50 {
        let image = storage.crash(extent_write + 1, Crash::Sectors(seed));
        let extent = image.visible(Medium::Extent);
        torn += u64::from(extent[0] != extent[4 * BLOCK_SIZE - 1]);
        assert_eq!(read_all(&open(&image))[..4], [20; 4]);
    }
    assert!(torn > 0, "some image is torn");
}

#[test]
fn f19_a_sync_proves_only_what_was_appended_before_it_began() {
    let (storage, mut store) = core();
    let step = store.begin_sync().unwrap();
    let result = step.run();
    let later = core_append(&mut store, EntryKind::Write, Some(0));
    let durable = store.finish_sync(&step, result).unwrap();
    assert_eq!(durable, Lsn(1));
    assert!(durable < later);
    let recovered = open(&crash(&storage, Crash::KeepNone));
    assert_eq!(recovered.positions().head, durable);
}

#[test]
fn f21_damaged_log_bytes_are_neither_served_nor_shipped() {
    let (storage, volume) = fresh();
    write(&volume, 1, 0, 2, 70);
    volume.sync().unwrap();
    drop(volume);
    let volume = open(&storage);
    damage_log(&storage, 70);
    let mut buf = vec![0; 2 * BLOCK_SIZE];
    assert!(matches!(
        volume.read(range(0, 2), &mut buf),
        Err(ReadError::Damaged(Damage::LogPayload { lsn: Lsn(2), .. }))
    ));
    assert!(matches!(
        volume.entries(Lsn(1), 1 << 20),
        Err(CursorError::Damaged(Damage::LogPayload { lsn: Lsn(2), .. }))
    ));
    assert_eq!(
        volume.entries(Lsn(0), 1).unwrap().len(),
        1,
        "others are whole"
    );
}
