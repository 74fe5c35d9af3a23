//! Snapshots, growing and restoring: exact at one position, whatever happens around them.

mod reference;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_blockvol::sim::{Crash, SimStorage};
use holdfast_blockvol::{
    AppendError, BaseError, ChunkDigest, FormatOptions, MAX_SNAPSHOTS, ReadError, Recovery,
    Snapshot, SnapshotError, Volume, VolumeOptions, WriteBackError,
};
use holdfast_types::{BLOCK_SIZE, EntryKind, Epoch, Lsn, SnapshotId, VolumeOperation};
use reference::{
    ALL, BLOCKS, crash, create_snapshot, filled, format_options, fresh, open, range, read_all,
    read_snapshot, settle, snapshot, tags, write, write_back_all,
};

fn operate(volume: &Volume, operation: VolumeOperation) -> Lsn {
    volume.append_operation(Epoch(1), &operation).unwrap()
}

#[test]
fn f78_a_snapshot_holds_its_position_exactly_and_nothing_later() {
    let (_storage, volume) = fresh();
    for block in 0..4 {
        write(&volume, 1, block, 1, 10 + block);
    }
    let five = snapshot(&volume, 1);
    write(&volume, 1, 0, 1, 600);
    write(&volume, 1, 7, 1, 700);
    volume
        .append(Epoch(1), EntryKind::Trim, range(1, 1), filled(0, 0))
        .unwrap();
    settle(&volume);
    let held = read_snapshot(&volume, five);
    assert_eq!(held[..8], [10, 11, 12, 13, 0, 0, 0, 0]);
    assert_eq!(read_all(&volume)[..8], [600, 0, 12, 13, 0, 0, 0, 700]);
    let info = volume.snapshots().unwrap().remove(0);
    assert_eq!((info.id, info.blocks), (five, BLOCKS));
    assert_eq!(info.label.as_str(), "s");
}

#[test]
fn f78_the_digest_of_a_snapshot_is_that_of_its_position() {
    let (_storage, volume) = fresh();
    write(&volume, 1, 0, 4, 5);
    let id = snapshot(&volume, 1);
    settle(&volume);
    let mut expected = vec![0; BLOCKS as usize * BLOCK_SIZE];
    volume.read(range(0, BLOCKS), &mut expected).unwrap();
    for round in 0..5 {
        write(&volume, 1, 1, 4, 600 + round);
        settle(&volume);
        let (data, digest) = volume.snapshot(id).unwrap().chunk(0).unwrap().unwrap();
        assert_eq!(data, expected);
        assert_eq!(digest, ChunkDigest::of(&expected));
    }
    assert_eq!(volume.snapshot(id).unwrap().chunk(1), Ok(None));
}

#[test]
fn several_snapshots_read_through_each_other_and_each_keeps_its_own() {
    let (storage, volume) = fresh();
    let mut taken = Vec::new();
    for round in 0..6_u64 {
        for n in 0..5 {
            write(&volume, 1, (round * 3 + n) % 16, 1, round * 100 + n + 1);
            settle(&volume);
        }
        let expected = read_all(&volume);
        taken.push((snapshot(&volume, 1), expected));
    }
    settle(&volume);
    let check = |volume: &Volume, taken: &[(SnapshotId, Vec<u64>)]| {
        for (id, expected) in taken {
            assert_eq!(&read_snapshot(volume, *id), expected, "{id}");
        }
    };
    check(&volume, &taken);
    // Deleted in an order in which older and younger ones are left.
    for which in [2, 4, 0, 1] {
        let (gone, _) = taken.remove(which.min(taken.len() - 1));
        operate(&volume, VolumeOperation::SnapshotDelete { snapshot: gone });
        volume.sync().unwrap();
        check(&volume, &taken);
        for n in 0..3 {
            write(&volume, 1, (which as u64 * 5 + n) % 16, 1, 9000 + n);
        }
        settle(&volume);
        check(&volume, &taken);
        let told = volume.snapshot(gone).map(|_| ());
        assert_eq!(told, Err(SnapshotError::NoSuchSnapshot { snapshot: gone }));
        assert!(
            !storage.snapshot_files().contains(&gone),
            "its space is free"
        );
    }
    drop(volume);
    check(&open(&crash(&storage, Crash::KeepNone)), &taken);
}

#[test]
fn f79_a_snapshot_entry_is_never_carried_out_on_an_image_with_later_effects() {
    // Whatever a crash leaves of a write-back beyond the entry: either the snapshot is there
    // already, or nothing later is in the image.
    let (storage, volume) = fresh();
    write(&volume, 1, 0, 1, 10);
    let id = snapshot(&volume, 1);
    write(&volume, 1, 0, 1, 20);
    volume.sync().unwrap();
    volume.set_committed(ALL);
    let first = storage.ops();
    write_back_all(&volume);
    for op in first..=storage.ops() {
        for how in [Crash::KeepNone, Crash::KeepAll, Crash::Sectors(op as u64)] {
            let recovered = open(&storage.crash(op, how));
            settle(&recovered);
            assert_eq!(read_snapshot(&recovered, id)[0], 10, "{how:?} after {op}");
            assert_eq!(read_all(&recovered)[0], 20);
        }
    }
}

#[test]
fn f79_a_copy_whose_image_holds_later_effects_refuses_the_entry_for_good() {
    // A base that claims effects beyond a snapshot's entry, as a fuzzy copy would.
    let (_, source) = fresh();
    write(&source, 1, 0, 1, 10);
    snapshot(&source, 1);
    write(&source, 1, 0, 1, 20);
    source.sync().unwrap();
    let (_, replica) = fresh();
    let base = replica.begin_install().unwrap();
    let data = vec![0; BLOCKS as usize * BLOCK_SIZE];
    let digest = ChunkDigest::of(&data);
    base.install(0, &data, digest).unwrap();
    let copy = source.begin_base(1 << 20).unwrap();
    copy.read(0).unwrap();
    let (mut manifest, _pin) = copy.finish().unwrap();
    manifest.extent_bound = Lsn(4);
    base.finish(&manifest).unwrap();
    let tail = source.entries(Lsn(0), 1 << 20).unwrap();
    replica.append_entries((Lsn(0), Epoch(0)), &tail).unwrap();
    replica.sync().unwrap();
    replica.set_committed(ALL);
    let refused = loop {
        match replica.write_back() {
            Ok(true) => {}
            other => break other,
        }
    };
    assert!(
        matches!(refused, Err(WriteBackError::Operation { lsn: Lsn(3), .. })),
        "{refused:?}"
    );
    assert!(replica.poisoned().is_some());
}

#[test]
fn f79_a_base_is_copied_anew_when_an_operation_was_carried_out_meanwhile() {
    let (_storage, volume) = fresh();
    write(&volume, 1, 0, 1, 10);
    settle(&volume);
    let source = volume.begin_base(1 << 20).unwrap();
    source.read(0).unwrap();
    let id = snapshot(&volume, 1);
    settle(&volume);
    let finished = source.finish().map(|_| ());
    assert_eq!(finished, Err(BaseError::OperationMeanwhile { lsn: id.lsn }));
    let again = volume.begin_base(1 << 20).unwrap();
    again.read(0).unwrap();
    assert!(again.finish().is_ok());
}

#[test]
fn f16_a_snapshot_is_exact_while_blocks_are_copied_out_beneath_it() {
    let storage = SimStorage::formatted(&format_options());
    let options = VolumeOptions {
        background: true,
        recent_bytes: 0,
        writeback_bytes: Some(8192),
        ..VolumeOptions::default()
    };
    let volume = Volume::open_on(storage.disks(), options, Recovery::Strict).unwrap();
    volume.fence(Epoch(1)).unwrap();
    volume.append_epoch_start(Epoch(1)).unwrap();
    for round in 1..=12_u64 {
        for block in 0..BLOCKS {
            write(&volume, 1, block, 1, round);
            volume.set_committed(volume.sync().unwrap());
        }
        let id = snapshot(&volume, 1);
        settle(&volume);
        let stop = Arc::new(AtomicBool::new(false));
        let held: Snapshot = volume.snapshot(id).unwrap();
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (held, stop) = (held.clone(), Arc::clone(&stop));
                std::thread::spawn(move || {
                    let mut data = vec![0; BLOCKS as usize * BLOCK_SIZE];
                    while !stop.load(Ordering::Relaxed) {
                        held.read(range(0, BLOCKS), &mut data).unwrap();
                        assert!(tags(&data).iter().all(|tag| *tag == round), "{round}");
                    }
                })
            })
            .collect();
        for n in 0..2 * BLOCKS {
            write(&volume, 1, (n * 7) % BLOCKS, 1, 1000 * round + n);
            if n % 3 == 0 {
                volume.set_committed(volume.sync().unwrap());
            }
        }
        settle(&volume);
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
    }
}

#[test]
fn f04_after_a_restore_nothing_that_it_undid_ever_comes_back() {
    for how in [Crash::KeepAll, Crash::KeepNone, Crash::Sectors(3)] {
        let (mut storage, volume) = fresh();
        write(&volume, 1, 0, 4, 10);
        let id = snapshot(&volume, 1);
        write(&volume, 1, 1, 2, 20);
        write(&volume, 1, 9, 1, 90);
        settle(&volume);
        let restore = operate(&volume, VolumeOperation::Restore { snapshot: id });
        let waits = read_error(&volume);
        assert_eq!(waits, Some(ReadError::Restoring { lsn: restore }));
        volume.sync().unwrap();
        drop(volume);
        for _ in 0..3 {
            storage = crash(&storage, how);
            let volume = open(&storage);
            settle(&volume);
            let now = read_all(&volume);
            assert_eq!((now[0], now[1], now[2], now[9]), (10, 10, 10, 0), "{how:?}");
            assert_eq!(read_snapshot(&volume, id), now);
        }
    }
}

fn read_error(volume: &Volume) -> Option<ReadError> {
    let mut data = vec![0; BLOCK_SIZE];
    volume.read(range(0, 1), &mut data).err()
}

#[test]
fn a_restore_keeps_younger_snapshots_and_writes_wait_for_it() {
    let (_storage, volume) = fresh();
    write(&volume, 1, 0, 4, 10);
    let old = snapshot(&volume, 1);
    write(&volume, 1, 1, 3, 20);
    let young = snapshot(&volume, 1);
    write(&volume, 1, 2, 3, 30);
    settle(&volume);
    let before = read_snapshot(&volume, young);
    let lsn = operate(&volume, VolumeOperation::Restore { snapshot: old });
    let waits = volume.try_append(Epoch(1), EntryKind::Write, range(0, 1), filled(1, 1));
    assert_eq!(waits, Err(AppendError::Restoring { lsn }));
    settle(&volume);
    assert_eq!(read_all(&volume)[..6], [10, 10, 10, 10, 0, 0]);
    assert_eq!(read_snapshot(&volume, young), before);
    assert_eq!(read_snapshot(&volume, old), read_all(&volume));
    // And back again, over what the first restore left.
    write(&volume, 1, 0, 1, 77);
    operate(&volume, VolumeOperation::Restore { snapshot: young });
    settle(&volume);
    assert_eq!(read_all(&volume), before);
    assert_eq!(read_snapshot(&volume, old)[..6], [10, 10, 10, 10, 0, 0]);
}

#[test]
fn a_volume_grows_while_it_is_used_and_snapshots_keep_their_size() {
    let (storage, volume) = fresh();
    write(&volume, 1, BLOCKS - 1, 1, 5);
    let small = snapshot(&volume, 1);
    operate(&volume, VolumeOperation::Grow { blocks: 2 * BLOCKS });
    assert_eq!(
        (volume.blocks(), volume.blocks_at_head()),
        (BLOCKS, 2 * BLOCKS)
    );
    // What is logged after the grow reads back before the grow is carried out.
    write(&volume, 1, BLOCKS - 1, 3, 60);
    assert_eq!(
        read_all(&volume)[BLOCKS as usize - 1..][..4],
        [60, 60, 60, 0]
    );
    volume.sync().unwrap();
    let volume = open(&crash(&storage, Crash::KeepNone));
    assert_eq!(
        read_all(&volume)[BLOCKS as usize - 1..][..4],
        [60, 60, 60, 0]
    );
    volume.set_committed(ALL);
    write_back_all(&volume);
    assert_eq!(volume.blocks(), 2 * BLOCKS);
    let large = VolumeOperation::Grow { blocks: 2 * BLOCKS };
    let refused = volume.append_operation(Epoch(1), &large);
    assert!(matches!(refused, Err(AppendError::Operation { .. })));
    assert_eq!(read_snapshot(&volume, small).len() as u64, BLOCKS);
    assert_eq!(read_snapshot(&volume, small)[BLOCKS as usize - 1], 5);
    operate(&volume, VolumeOperation::Restore { snapshot: small });
    settle(&volume);
    let restored = read_all(&volume);
    assert_eq!(restored[BLOCKS as usize - 1..][..4], [5, 0, 0, 0]);
    assert_eq!(restored.len() as u64, 2 * BLOCKS);
}

#[test]
fn operations_that_make_no_sense_are_refused_before_they_are_logged() {
    let (_storage, volume) = fresh();
    let head = volume.positions().head;
    let nobody = SnapshotId {
        lsn: Lsn(1),
        epoch: Epoch(1),
    };
    for operation in [
        VolumeOperation::SnapshotDelete { snapshot: nobody },
        VolumeOperation::Restore { snapshot: nobody },
        VolumeOperation::Grow { blocks: BLOCKS },
        VolumeOperation::Grow { blocks: u64::MAX },
    ] {
        let refused = volume.append_operation(Epoch(1), &operation);
        assert!(
            matches!(refused, Err(AppendError::Operation { .. })),
            "{operation:?}"
        );
    }
    assert_eq!(volume.positions().head, head);
    for _ in 0..MAX_SNAPSHOTS {
        snapshot(&volume, 1);
        settle(&volume);
    }
    let refused = volume.append_operation(Epoch(1), &create_snapshot("one-too-many"));
    assert!(matches!(refused, Err(AppendError::Operation { .. })));
    let first = volume.snapshots().unwrap()[0].id;
    operate(&volume, VolumeOperation::SnapshotDelete { snapshot: first });
    settle(&volume);
    snapshot(&volume, 1);
}

#[test]
fn a_new_base_replaces_the_snapshots_with_the_image() {
    let (storage, volume) = fresh();
    write(&volume, 1, 0, 4, 10);
    snapshot(&volume, 1);
    settle(&volume);
    drop(volume.begin_install_of(BLOCKS / 2).unwrap());
    assert_eq!(storage.snapshot_files(), []);
    assert_eq!(volume.blocks(), BLOCKS / 2);
}

#[test]
fn a_drain_that_another_deletion_overtakes_loses_nothing_for_older_snapshots() {
    // Large enough for several pieces of a drain.
    let storage = SimStorage::formatted(&FormatOptions {
        blocks: 3000,
        ..format_options()
    });
    let volume = open(&storage);
    volume.fence(Epoch(1)).unwrap();
    volume.append_epoch_start(Epoch(1)).unwrap();
    let mut taken = Vec::new();
    for round in 1..=3 {
        write(&volume, 1, 0, 1, round);
        write(&volume, 1, 2500, 1, round);
        taken.push(snapshot(&volume, 1));
        // The middle one alone gets the content of the oldest.
        if round == 1 {
            taken.push(snapshot(&volume, 1));
        }
        settle(&volume);
    }
    write(&volume, 1, 0, 1, 9);
    settle(&volume);
    let [oldest, middle, young, _] = taken[..] else {
        panic!("four were taken");
    };
    let delete = |snapshot| {
        let lsn = operate(&volume, VolumeOperation::SnapshotDelete { snapshot });
        volume.sync().unwrap();
        volume.set_committed(ALL);
        while volume.positions().checkpoint < lsn {
            assert!(volume.write_back().unwrap());
        }
    };
    delete(young);
    // Space of the log perhaps, then a piece or two of the three of the drain.
    for _ in 0..2 {
        assert!(volume.write_back().unwrap());
    }
    assert!(storage.snapshot_files().contains(&young), "not drained yet");
    delete(middle);
    while volume.write_back().unwrap() {
        let held = read_snapshot(&volume, oldest);
        assert_eq!((held[0], held[2500]), (1, 1));
    }
    assert!(!storage.snapshot_files().contains(&middle));
    let held = read_snapshot(&volume, oldest);
    assert_eq!((held[0], held[1], held[2500]), (1, 0, 1));
}
