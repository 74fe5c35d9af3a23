//! The rows of the failure catalogue that concern log, extent and crash, each as a small scene on
//! simulated disks. (F04, F16, F78 and F79 concern snapshots, which this store does not have yet;
//! F20 is `crash_model.rs`.)

mod reference;

use std::sync::mpsc;

use bytes::Bytes;
use holdfast_blockvol::sim::{Crash, Faults, Medium, Op, SimStorage};
use holdfast_blockvol::{
    AppendError, CursorError, Damage, DiskOp, FlushBound, OpenError, PinError, PromiseError,
    ReadError, Recovery, Role, Store, SyncError, TruncateError, Volume, VolumeOptions,
    WriteBackError, inspect_disks,
};
use holdfast_types::{BLOCK_SIZE, EntryKind, Epoch, Lsn, SessionId};
use reference::{
    BLOCKS, LOG_BYTES, filled, format_options, fresh, open, quiet_options, range, read_all, write,
    write_back_all,
};

/// Where the ring begins on the log's disk.
const RING: u64 = 64 << 10;
const ALL: Lsn = Lsn(u64::MAX - 1);

fn settle(volume: &Volume) {
    volume.sync().unwrap();
    volume.set_committed(ALL);
    write_back_all(volume);
}

fn crash(storage: &SimStorage, how: Crash) -> SimStorage {
    storage.crash(storage.ops(), how)
}

/// A core without the wrapper, for scenes in which a step is under way.
fn core() -> (SimStorage, Store) {
    let storage = SimStorage::formatted(&format_options());
    let mut store = Store::open(storage.disks(), quiet_options(), Recovery::Strict).unwrap();
    store.fence(Epoch(1)).unwrap();
    core_append(&mut store, EntryKind::EpochStart, None);
    (storage, store)
}

fn core_append(store: &mut Store, kind: EntryKind, block: Option<u64>) -> Lsn {
    let payload = if kind == EntryKind::Write {
        filled(block.unwrap() + 1, 1)
    } else {
        Bytes::new()
    };
    store
        .append(Epoch(1), kind, block.map(|b| range(b, 1)), payload)
        .unwrap()
}

/// Flips a byte of the payload of an entry, whose place is found by its content.
fn damage_log(storage: &SimStorage, tag: u64) {
    let log = storage.visible(Medium::Log);
    let block = filled(tag, 1);
    let at = (RING as usize..log.len() - BLOCK_SIZE)
        .step_by(128)
        .find(|at| log[*at..*at + BLOCK_SIZE] == block[..])
        .expect("the entry is in the log");
    storage.corrupt(Medium::Log, at as u64 + 100, 0x40);
}

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
    volume.admit_session(Epoch(3), SessionId(9)).unwrap();
    volume.close().unwrap();
    drop(volume);
    damage_log(&storage, 70);
    let volume =
        Volume::open_on(storage.disks(), quiet_options(), Recovery::DiscardDamaged).unwrap();
    for volume in [volume.clone(), open(&crash(&storage, Crash::KeepNone))] {
        assert!(!volume.positions().is_trusted());
        assert_eq!(volume.promise().epoch, Epoch(3), "promises are kept");
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
fn f12_history_that_is_recycled_cannot_be_pinned_and_no_pin_moves_the_checkpoint_back() {
    let (_storage, volume) = fresh();
    for n in 0..60 {
        write(&volume, 1, n % BLOCKS, 1, n + 1);
        settle(&volume);
    }
    let checkpoint = volume.positions().checkpoint;
    let retained = volume.positions().retained_from.unwrap();
    assert!(retained > Lsn(0));
    assert_eq!(
        volume.pin(Lsn(0), 1 << 30).unwrap_err(),
        PinError::Recycled {
            from: Lsn(0),
            retained_from: Some(retained)
        }
    );
    let pin = volume.pin(retained, 1 << 30).unwrap();
    write(&volume, 1, 0, 1, 500);
    settle(&volume);
    assert!(volume.positions().checkpoint > checkpoint);
    assert_eq!(volume.positions().retained_from, Some(retained));
    assert_eq!(pin.check(), Ok(retained));
}

#[test]
fn f13_a_refused_append_leaves_no_hole() {
    let (storage, volume) = fresh();
    let mut last = Lsn(1);
    let full = loop {
        match volume.try_append(Epoch(1), EntryKind::Write, range(0, 1), filled(5, 1)) {
            Ok(lsn) => {
                assert_eq!(lsn, last.next());
                last = lsn;
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(full, AppendError::LogFull { .. }), "{full}");
    assert_eq!(volume.positions().head, last);
    settle(&volume);
    assert_eq!(write(&volume, 1, 1, 1, 6), last.next());
    volume.sync().unwrap();
    assert_eq!(
        open(&crash(&storage, Crash::KeepNone)).positions().head,
        last.next()
    );
}

#[test]
fn f13_after_a_failed_log_write_no_lsn_is_given_out_again() {
    let (storage, volume) = fresh();
    let no_space = Faults {
        no_space: true,
        ..Faults::default()
    };
    storage.set_faults(Medium::Log, no_space);
    let payload = filled(9, 1);
    let failed = volume.append(Epoch(1), EntryKind::Write, range(0, 1), payload.clone());
    assert!(
        matches!(failed, Err(AppendError::Poisoned(_))),
        "{failed:?}"
    );
    storage.set_faults(Medium::Log, Faults::default());
    let again = volume.append(Epoch(1), EntryKind::Write, range(0, 1), payload);
    assert!(matches!(again, Err(AppendError::Poisoned(_))), "{again:?}");
    drop(volume);
    assert_eq!(open(&storage).positions().head, Lsn(1));
}

#[test]
fn f14_the_first_failed_sync_stops_the_volume_until_it_is_opened_anew() {
    let (storage, volume) = fresh();
    volume.sync().unwrap();
    write(&volume, 1, 0, 1, 10);
    let syncs = Faults {
        syncs: true,
        ..Faults::default()
    };
    storage.set_faults(Medium::Log, syncs);
    let SyncError::Poisoned(poisoned) = volume.sync().unwrap_err() else {
        panic!("a failed sync poisons");
    };
    assert_eq!(poisoned.cause.op, DiskOp::Sync);
    storage.set_faults(Medium::Log, Faults::default());
    assert!(
        volume.sync().is_err(),
        "the disk works again, the volume does not"
    );
    assert!(volume.fence(Epoch(2)).is_err());
    assert!(volume.facts().is_err());
    assert_eq!(volume.positions().durable, Lsn(1));
    assert_eq!(read_all(&volume)[0], 10, "reads go on");
    drop(volume);
    // The failed sync lost entry 2, though the system still shows it and calls it clean. Opening
    // must not take it for durable without writing it again.
    let volume = open(&storage);
    let durable = volume.facts().unwrap().base.durable;
    let after_power_loss = open(&crash(&storage, Crash::KeepNone));
    assert_eq!(after_power_loss.positions().head, durable);
    assert_eq!(read_all(&after_power_loss)[0], 10);
}

#[test]
fn f14_listeners_hear_that_the_volume_stopped_though_no_position_moved() {
    let (storage, volume) = fresh();
    let (tell, told) = mpsc::channel();
    let seen = volume.clone();
    let subscription = volume.subscribe(move |positions| {
        let _ = tell.send((positions, seen.poisoned().is_some()));
    });
    let before = volume.positions();
    let syncs = Faults {
        syncs: true,
        ..Faults::default()
    };
    storage.set_faults(Medium::Log, syncs);
    assert!(volume.sync().is_err());
    assert_eq!(told.try_recv(), Ok((before, true)));
    assert!(volume.sync().is_err());
    assert!(told.try_recv().is_err(), "told once");
    drop(subscription);
}

#[test]
fn f14_a_failed_sync_of_the_extent_moves_no_checkpoint() {
    let (storage, volume) = fresh();
    write(&volume, 1, 0, 1, 10);
    volume.sync().unwrap();
    volume.set_committed(ALL);
    let syncs = Faults {
        syncs: true,
        ..Faults::default()
    };
    storage.set_faults(Medium::Extent, syncs);
    assert!(volume.write_back().is_err());
    storage.set_faults(Medium::Extent, Faults::default());
    assert!(matches!(
        volume.write_back(),
        Err(WriteBackError::Poisoned(_))
    ));
    assert_eq!(volume.positions().checkpoint, Lsn(0));
    drop(volume);
    let volume = open(&storage);
    volume.set_committed(ALL);
    write_back_all(&volume);
    assert_eq!(read_all(&open(&crash(&storage, Crash::KeepNone)))[0], 10);
}

#[test]
fn f15_a_torn_superblock_leaves_the_other_slot() {
    let (storage, volume) = fresh();
    write(&volume, 1, 0, 1, 10);
    volume.fence(Epoch(5)).unwrap();
    volume.close().unwrap();
    drop(volume);
    for slot in [0, 32 << 10] {
        let copy = crash(&storage, Crash::KeepAll);
        copy.corrupt(Medium::Log, slot + 90, 0xff);
        let volume = open(&copy);
        assert_eq!(
            volume.promise().epoch,
            Epoch(5),
            "both slots have a promise"
        );
        assert_eq!(read_all(&volume)[0], 10);
    }
}

#[test]
fn f15_opening_never_tears_the_only_durable_superblock() {
    // The sync of a superblock fails: the system shows it, the disk may not have it. Opening goes
    // by it, and writes the next one over the slot that the disk does have.
    for lost in 0..8 {
        let (storage, volume) = fresh();
        volume.close().unwrap();
        if lost % 2 == 1 {
            volume.set_committed(ALL);
            volume.write_back().unwrap(); // so that the other slot is the next one
        }
        let syncs = Faults {
            syncs: true,
            ..Faults::default()
        };
        storage.set_faults(Medium::Log, syncs);
        assert!(volume.fence(Epoch(5)).is_err());
        storage.set_faults(Medium::Log, Faults::default());
        drop(volume);
        let first = storage.ops();
        let shown = open(&storage).promise().epoch;
        for op in first..=storage.ops() {
            for seed in 0..40 {
                let image = storage.crash(op, Crash::Sectors(seed * 8 + lost));
                let epoch = open(&image).promise().epoch;
                assert!(epoch == Epoch(1) || epoch == Epoch(5));
                assert!(
                    op < storage.ops() || epoch == shown,
                    "what opening showed holds"
                );
            }
        }
    }
}

#[test]
fn f15_two_bad_superblocks_are_damage_and_nothing_is_changed() {
    let (storage, volume) = fresh();
    drop(volume);
    for slot in [0, 32 << 10] {
        storage.corrupt(Medium::Log, slot + 90, 0xff);
    }
    let before = storage.visible(Medium::Log);
    for recovery in [Recovery::Strict, Recovery::DiscardDamaged] {
        let error = Volume::open_on(storage.disks(), quiet_options(), recovery).unwrap_err();
        assert!(
            matches!(error, OpenError::Damaged(Damage::Superblock { .. })),
            "{error}"
        );
    }
    assert_eq!(storage.visible(Medium::Log), before);
}

#[test]
fn f17_nothing_outside_the_volume_is_taken() {
    let (storage, volume) = fresh();
    let ops = storage.ops();
    for (start, count) in [(BLOCKS, 1), (BLOCKS - 1, 2), (u64::MAX - 2, 1)] {
        let outside = range(start, count);
        let payload = filled(1, count);
        let local = volume.append(Epoch(1), EntryKind::Write, outside, payload.clone());
        assert!(
            matches!(local, Err(AppendError::OutOfBounds { .. })),
            "{local:?}"
        );
        let entry = holdfast_blockvol::Entry {
            lsn: Lsn(2),
            epoch: Epoch(1),
            kind: EntryKind::Trim,
            range: Some(outside),
            payload: Bytes::new(),
        };
        let replicated = volume.append_entry(volume.last(), entry);
        assert!(matches!(replicated, Err(AppendError::OutOfBounds { .. })));
        let mut buf = vec![0; count as usize * BLOCK_SIZE];
        assert!(matches!(
            volume.read(outside, &mut buf),
            Err(ReadError::OutOfBounds { .. })
        ));
    }
    assert_eq!(storage.ops(), ops, "no disk was touched");
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

#[test]
fn f22_a_full_disk_under_the_extent_loses_nothing_and_write_back_resumes() {
    let (storage, volume) = fresh();
    write(&volume, 1, 0, 3, 10);
    volume.sync().unwrap();
    volume.set_committed(ALL);
    let no_space = Faults {
        no_space: true,
        ..Faults::default()
    };
    storage.set_faults(Medium::Extent, no_space);
    for _ in 0..3 {
        assert!(matches!(volume.write_back(), Err(WriteBackError::Disk(_))));
    }
    assert_eq!(read_all(&volume)[..4], [10, 10, 10, 0]);
    assert_eq!(
        read_all(&open(&crash(&storage, Crash::Sectors(3))))[..4],
        [10, 10, 10, 0]
    );
    assert!(volume.write_back_error().is_some());
    write(&volume, 1, 4, 1, 11);
    volume.sync().unwrap();
    storage.set_faults(Medium::Extent, Faults::default());
    volume.set_committed(ALL);
    write_back_all(&volume);
    assert!(volume.write_back_error().is_none());
    assert_eq!(volume.positions().checkpoint, volume.positions().head);
    assert_eq!(read_all(&volume)[..5], [10, 10, 10, 0, 11]);
}

#[test]
fn f22_a_read_error_is_told_and_passes() {
    let (storage, volume) = fresh();
    write(&volume, 1, 0, 1, 10);
    settle(&volume);
    let reads = Faults {
        reads: true,
        ..Faults::default()
    };
    storage.set_faults(Medium::Extent, reads);
    let mut buf = vec![0; BLOCK_SIZE];
    assert!(matches!(
        volume.read(range(0, 1), &mut buf),
        Err(ReadError::Disk(_))
    ));
    storage.set_faults(Medium::Extent, Faults::default());
    assert_eq!(read_all(&volume)[0], 10);
}

#[test]
fn f23_back_pressure_ends_when_positions_move_without_any_new_write() {
    let (_storage, volume) = fresh();
    let pin = volume.pin(Lsn(0), 1 << 30).unwrap();
    let append =
        |volume: &Volume| volume.try_append(Epoch(1), EntryKind::Write, range(0, 1), filled(5, 1));
    while append(&volume).is_ok() {}
    volume.sync().unwrap();
    assert!(!volume.write_back().unwrap(), "nothing is committed");
    assert!(matches!(append(&volume), Err(AppendError::LogFull { .. })));
    volume.set_committed(ALL);
    write_back_all(&volume);
    // The pin held more than half of the ring: it was revoked rather than stop the volume.
    assert!(matches!(pin.check(), Err(PinError::Revoked { .. })));
    assert!(append(&volume).is_ok());
}

#[test]
fn f23_a_released_pin_gives_its_space_back_without_any_new_write() {
    let (_storage, volume) = fresh();
    let pin = volume.pin(Lsn(0), LOG_BYTES / 2).unwrap();
    for n in 0..13 {
        write(&volume, 1, n, 1, n + 1);
    }
    settle(&volume);
    assert_eq!(volume.positions().retained_from, Some(Lsn(0)), "pinned");
    drop(pin);
    assert!(volume.write_back().unwrap(), "space is freed");
    assert!(volume.positions().retained_from > Some(Lsn(0)));
}

#[test]
fn f84_a_pin_is_not_charged_for_log_that_nobody_could_recycle() {
    let (_storage, volume) = fresh();
    while volume
        .try_append(Epoch(1), EntryKind::Write, range(0, 1), filled(5, 1))
        .is_ok()
    {}
    let head = volume.sync().unwrap();
    // Nothing is committed, so nothing could be recycled: far more than half of the ring.
    let pin = volume.pin(Lsn(0), 1 << 30).unwrap();
    let base = volume.begin_base(1 << 30).unwrap();
    base.read(0).unwrap();
    for lsn in 1..=head.0 {
        volume.set_committed(Lsn(lsn));
        write_back_all(&volume);
        pin.advance(Lsn(lsn)).unwrap();
        assert_eq!(pin.check(), Ok(Lsn(lsn)));
    }
    // A pin that stayed behind keeps back more than it may by now.
    assert!(base.read(0).is_err());
    let room = volume.try_append(Epoch(1), EntryKind::Write, range(0, 1), filled(5, 1));
    assert!(room.is_ok(), "the log has room again");
}

#[test]
fn f42_a_pin_keeps_back_what_it_may_and_not_an_entry_more() {
    const STORED: u64 = 512 + BLOCK_SIZE as u64;
    let (_storage, volume) = fresh();
    settle(&volume);
    let pin = volume.pin(Lsn(1), 3 * STORED).unwrap();
    let larger = volume.pin(Lsn(1), 1 << 30).unwrap();
    for n in 0..12 {
        write(&volume, 1, n, 1, n + 1);
    }
    volume.sync().unwrap();
    for lsn in 2..=4 {
        volume.set_committed(Lsn(lsn));
        write_back_all(&volume);
        assert_eq!(pin.check(), Ok(Lsn(1)), "{lsn}");
        assert!(volume.positions().retained_from <= Some(Lsn(1)));
    }
    volume.set_committed(Lsn(5));
    write_back_all(&volume);
    assert!(matches!(pin.check(), Err(PinError::Revoked { .. })));
    let refused = volume.pin(Lsn(1), 3 * STORED);
    assert!(matches!(
        refused,
        Err(PinError::TooLarge { held, .. }) if held == 4 * STORED
    ));
    drop(larger);
    write_back_all(&volume);
    assert!(volume.positions().retained_from > Some(Lsn(1)));
}

#[test]
fn f35_a_sync_that_was_under_way_during_a_cut_makes_nothing_durable() {
    let (_storage, mut store) = core();
    for block in 0..4 {
        core_append(&mut store, EntryKind::Write, Some(block));
    }
    let step = store.begin_sync().unwrap();
    let result = step.run();
    store.truncate(Lsn(2)).unwrap();
    for block in 0..3 {
        core_append(&mut store, EntryKind::Trim, Some(block));
    }
    assert_eq!(store.finish_sync(&step, result), Ok(Lsn(2)));
    assert_eq!(store.positions().durable, Lsn(2));
}

#[test]
fn f52_a_fence_is_durable_before_it_is_answered() {
    let (storage, volume) = fresh();
    volume.fence(Epoch(5)).unwrap();
    let restarted = open(&crash(&storage, Crash::KeepNone));
    assert_eq!(
        restarted.fence(Epoch(1)),
        Err(PromiseError::StaleEpoch {
            promised: Epoch(5),
            offered: Epoch(1)
        })
    );
    assert_eq!(restarted.fence(Epoch(5)).unwrap().epoch, Epoch(5));
}

#[test]
fn f80_the_role_is_none_after_a_restart_and_f92_a_session_is_admitted_once() {
    let (storage, volume) = fresh();
    volume.set_role(Epoch(1), Role::Primary).unwrap();
    assert!(matches!(
        volume.set_role(Epoch(2), Role::Primary),
        Err(PromiseError::NotFenced { .. })
    ));
    volume.admit_session(Epoch(1), SessionId(4)).unwrap();
    let incarnation = volume.promise().incarnation;
    let restarted = open(&crash(&storage, Crash::KeepAll));
    assert_eq!(restarted.promise().role, Role::None);
    assert_eq!(restarted.promise().incarnation, incarnation + 1);
    assert!(matches!(
        restarted.admit_session(Epoch(1), SessionId(4)),
        Err(PromiseError::StaleSession { .. })
    ));
    assert!(restarted.admit_session(Epoch(1), SessionId(5)).is_ok());
    assert!(restarted.admit_session(Epoch(2), SessionId(1)).is_ok());
}

#[test]
fn f95_write_back_stays_within_what_is_durable_here() {
    let (storage, volume) = fresh();
    volume.sync().unwrap();
    write(&volume, 1, 0, 1, 10);
    volume.set_committed(ALL);
    volume.set_flush_bound(FlushBound::Durable);
    write_back_all(&volume);
    assert_eq!(volume.positions().extent_bound, Lsn(1));
    assert_eq!(storage.visible(Medium::Extent)[0], 0);
    let recovered = open(&crash(&storage, Crash::KeepNone));
    assert!(recovered.positions().is_trusted());
}

#[test]
fn c2_only_committed_entries_reach_the_extent() {
    let (storage, volume) = fresh();
    write(&volume, 1, 0, 1, 10);
    write(&volume, 1, 1, 1, 11);
    volume.sync().unwrap();
    volume.set_committed(Lsn(2));
    write_back_all(&volume);
    let extent = storage.visible(Medium::Extent);
    assert_eq!((extent[0], extent[BLOCK_SIZE]), (10, 0));
    volume.truncate(Lsn(2)).unwrap();
    assert!(matches!(
        volume.truncate(Lsn(1)),
        Err(TruncateError::BelowExtent { .. })
    ));
    assert!(matches!(
        volume.truncate(Lsn(9)),
        Err(TruncateError::BeyondHead { .. })
    ));
}

#[test]
fn f96_a_full_log_has_room_for_epoch_starts() {
    let (_storage, volume) = fresh();
    while volume
        .try_append(Epoch(1), EntryKind::Trim, range(0, 1), Bytes::new())
        .is_ok()
    {}
    for epoch in 2..20 {
        volume.fence(Epoch(epoch)).unwrap();
        volume.append_epoch_start(Epoch(epoch)).unwrap();
    }
}

#[test]
fn m03_an_entry_is_taken_only_behind_its_predecessor() {
    let (_storage, volume) = fresh();
    let entry = |lsn| holdfast_blockvol::Entry {
        lsn: Lsn(lsn),
        epoch: Epoch(1),
        kind: EntryKind::Trim,
        range: Some(range(0, 1)),
        payload: Bytes::new(),
    };
    for predecessor in [(Lsn(0), Epoch(0)), (Lsn(1), Epoch(2)), (Lsn(2), Epoch(1))] {
        assert_eq!(
            volume.append_entry(predecessor, entry(2)),
            Err(AppendError::Predecessor {
                expected_lsn: Lsn(1),
                expected_epoch: Epoch(1),
                found_lsn: predecessor.0,
                found_epoch: predecessor.1,
            })
        );
    }
    for lsn in [1, 3] {
        assert!(matches!(
            volume.append_entry((Lsn(1), Epoch(1)), entry(lsn)),
            Err(AppendError::NotNext { .. })
        ));
    }
    assert_eq!(
        volume.append_entry((Lsn(1), Epoch(1)), entry(2)),
        Ok(Lsn(2))
    );
}

#[test]
fn epochs_begin_with_their_start_and_never_go_back() {
    let (_storage, volume) = fresh();
    let trim = |epoch| volume.append(Epoch(epoch), EntryKind::Trim, range(0, 1), Bytes::new());
    assert!(matches!(trim(2), Err(AppendError::EpochNotPromised { .. })));
    volume.fence(Epoch(2)).unwrap();
    assert!(matches!(trim(1), Err(AppendError::EpochNotPromised { .. })));
    assert!(matches!(trim(2), Err(AppendError::EpochOrder { .. })));
    volume.append_epoch_start(Epoch(2)).unwrap();
    assert!(matches!(
        volume.append_epoch_start(Epoch(2)),
        Err(AppendError::EpochOrder { .. })
    ));
    assert_eq!(trim(2), Ok(Lsn(3)));
    assert_eq!(volume.history().epoch_start, Some(Lsn(2)));
}

#[test]
fn m35_m06_committed_never_passes_the_head_and_never_goes_back() {
    let (storage, volume) = fresh();
    write(&volume, 1, 0, 1, 10);
    assert_eq!(volume.set_committed(Lsn(99)), Lsn(2));
    assert_eq!(volume.set_committed(Lsn(1)), Lsn(2));
    settle(&volume);
    write(&volume, 1, 0, 1, 11);
    volume.sync().unwrap();
    volume.set_committed(ALL);
    drop(volume);
    let restarted = open(&storage).positions();
    assert_eq!(restarted.committed, restarted.extent_bound);
    assert_eq!(restarted.committed, Lsn(2));
}

#[test]
fn facts_are_read_from_the_disk() {
    let (storage, volume) = fresh();
    write(&volume, 1, 0, 1, 10);
    let facts = volume.facts().unwrap();
    assert_eq!(facts.base.durable, Lsn(2), "the log is synced first");
    assert_eq!(facts.lineage.last().unwrap().first, Lsn(1));
    for slot in [0, 32 << 10] {
        storage.corrupt(Medium::Log, slot + 90, 0xff);
    }
    assert!(volume.facts().is_err(), "the disk no longer says so");
    assert!(volume.poisoned().is_some());
}

#[test]
fn an_entry_of_any_size_up_to_the_largest_wraps_around_the_ring() {
    let storage = SimStorage::formatted(&format_options());
    let options = VolumeOptions {
        recent_bytes: 0,
        ..quiet_options()
    };
    let volume = Volume::open_on(storage.disks(), options, Recovery::Strict).unwrap();
    volume.fence(Epoch(1)).unwrap();
    volume.append_epoch_start(Epoch(1)).unwrap();
    let max = volume.max_entry_blocks();
    for n in 0..100 {
        let count = n % max + 1;
        let lsn = write(&volume, 1, n % (BLOCKS - max), count, n + 1);
        let entry = &volume.entries(Lsn(lsn.0 - 1), 1 << 20).unwrap()[0];
        assert_eq!(entry.payload, filled(n + 1, count));
        assert_eq!(read_all(&volume)[(n % (BLOCKS - max)) as usize], n + 1);
        settle(&volume);
    }
    let large = volume.append(
        Epoch(1),
        EntryKind::Write,
        range(0, max + 1),
        filled(1, max + 1),
    );
    assert!(matches!(large, Err(AppendError::TooLarge { .. })));
}
