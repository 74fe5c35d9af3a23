//! The places where threads meet, under a scheduler that tries their interleavings: appends, the
//! shared sync, write-back, pins, snapshots, waiting for room. Whatever order they run in, what was
//! acknowledged is there, and nobody waits for ever (the scheduler reports a deadlock).
//!
//! Run with `cargo test --release -p holdfast-blockvol --features shuttle --test interleavings`.
//! A failure prints a schedule, which `shuttle::replay` repeats.

mod reference;

use holdfast_blockvol::sim::{Crash, SimStorage};
use holdfast_blockvol::{
    AppendError, Disks, FormatOptions, PinError, Recovery, SyncError, Volume, VolumeOptions,
};
use holdfast_types::{EntryKind, Epoch, Lsn, SnapshotId, SnapshotLabel, VolumeOperation};
use reference::{
    LOG_BYTES, Tapped, filled, format_options, open, quiet_options, range, read_all, read_snapshot,
    write,
};
use shuttle::thread;

const ALL: Lsn = Lsn(u64::MAX - 1);
const BLOCKS: u64 = 8;

/// A volume in epoch 1, with its own threads or without.
fn scene(background: bool) -> (SimStorage, Volume) {
    let storage = SimStorage::formatted(&FormatOptions {
        blocks: BLOCKS,
        ..format_options()
    });
    let disks = storage.disks();
    // At each of its disks the scheduler may change to another thread.
    let preempted = |disk| {
        Tapped::over(disk, |_| {
            thread::yield_now();
            0
        })
    };
    let disks = Disks {
        log: preempted(disks.log),
        extent: preempted(disks.extent),
        sums: preempted(disks.sums),
        snapshots: disks.snapshots,
    };
    let options = VolumeOptions {
        background,
        // No timer of the scheduler ever ends: whatever is to be written back is so at once.
        writeback_bytes: Some(1),
        retain_bytes: Some(0),
        scrub_bytes_per_second: 0,
        ..quiet_options()
    };
    let volume = Volume::open_on(disks, options, Recovery::Strict).unwrap();
    volume.fence(Epoch(1)).unwrap();
    volume.append_epoch_start(Epoch(1)).unwrap();
    (storage, volume)
}

fn recovered(storage: &SimStorage) -> Volume {
    open(&storage.crash(storage.ops(), Crash::KeepNone))
}

fn spawn(volume: &Volume, work: impl FnOnce(Volume) + Send + 'static) -> thread::JoinHandle<()> {
    let volume = volume.clone();
    thread::spawn(move || work(volume))
}

/// Random schedules, and schedules with few changes of thread, which find other things.
fn explore(scene: impl Fn() + Send + Sync + Clone + 'static) {
    shuttle::check_random(scene.clone(), 150);
    shuttle::check_pct(scene, 150, 3);
}

#[test]
fn f19_whoever_shares_a_sync_finds_his_entry_after_a_crash() {
    explore(|| {
        let (storage, volume) = scene(false);
        let writers: Vec<_> = (0..3)
            .map(|n| {
                let storage = storage.clone();
                spawn(&volume, move |volume| {
                    let lsn = write(&volume, 1, n, 1, n + 10);
                    assert!(volume.sync_to(lsn).unwrap() >= lsn);
                    let image = storage.crash(storage.ops(), Crash::KeepNone);
                    let found = holdfast_blockvol::inspect_disks(&image.disks()).unwrap();
                    assert!(found.positions.head >= lsn, "acknowledged, and lost");
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        drop(volume);
        let image = storage.crash(storage.ops(), Crash::KeepNone);
        let found = holdfast_blockvol::inspect_disks(&image.disks()).unwrap();
        assert_eq!(found.positions.head, Lsn(4));
    });
}

#[test]
fn f52_no_entry_of_an_older_epoch_is_logged_once_a_newer_one_is_promised() {
    explore(|| {
        let (storage, volume) = scene(false);
        let writers: Vec<_> = (0..3)
            .map(|n| {
                let volume = volume.clone();
                thread::spawn(move || {
                    let payload = filled(n + 10, 1);
                    volume.try_append(Epoch(1), EntryKind::Write, range(n, 1), payload)
                })
            })
            .collect();
        volume.fence(Epoch(2)).unwrap();
        let head = volume.positions().head;
        let mut logged = 0;
        for writer in writers {
            match writer.join().unwrap() {
                Ok(lsn) => {
                    assert!(lsn <= head, "{lsn} after {head}");
                    logged += 1;
                }
                Err(error) => assert!(matches!(error, AppendError::EpochNotPromised { .. })),
            }
        }
        assert_eq!(volume.positions().head, Lsn(1 + logged));
        volume.sync().unwrap();
        drop(volume);
        let image = storage.crash(storage.ops(), Crash::KeepNone);
        let found = holdfast_blockvol::inspect_disks(&image.disks()).unwrap();
        assert_eq!(found.positions.head, head);
    });
}

#[test]
fn f18_every_reader_sees_its_own_last_write_while_write_back_is_at_work() {
    explore(|| {
        let (_storage, volume) = scene(true);
        let writers: Vec<_> = (0..2)
            .map(|n| {
                spawn(&volume, move |volume| {
                    for round in 1..4 {
                        write(&volume, 1, n, 1, 10 * round + n);
                        volume.set_committed(volume.sync().unwrap());
                        let mut data = vec![0; 4096];
                        volume.read(range(n, 1), &mut data).unwrap();
                        assert_eq!(data, filled(10 * round + n, 1));
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
    });
}

#[test]
fn t10_what_is_pinned_stays_readable_while_space_is_freed() {
    explore(|| {
        let (_storage, volume) = scene(true);
        let first = write(&volume, 1, 0, 1, 5);
        let pin = volume.pin(first, LOG_BYTES).unwrap();
        let writer = spawn(&volume, |volume| {
            for n in 1..4 {
                write(&volume, 1, n, 1, n);
                volume.sync().unwrap();
                volume.set_committed(ALL);
            }
        });
        for _ in 0..3 {
            let held = pin.check().unwrap();
            match volume.entries(held, 1) {
                Ok(entries) => assert!(entries.iter().all(|entry| entry.lsn > held)),
                Err(error) => panic!("pinned, and {error}"),
            }
            let next = volume.positions().head.min(held.next());
            pin.advance(next).unwrap();
            thread::yield_now();
        }
        drop(pin);
        writer.join().unwrap();
        let late = volume.pin(Lsn(0), LOG_BYTES).map(|pin| pin.made_at());
        assert!(matches!(late, Ok(Lsn(0)) | Err(PinError::Recycled { .. })));
    });
}

#[test]
fn f16_a_snapshot_is_exact_whatever_overwrites_it_meanwhile() {
    explore(|| {
        let (storage, volume) = scene(true);
        write(&volume, 1, 0, 4, 7);
        let label = SnapshotLabel::new("s").unwrap();
        let operation = VolumeOperation::SnapshotCreate { label };
        let lsn = volume.append_operation(Epoch(1), &operation).unwrap();
        let epoch = Epoch(1);
        let id = SnapshotId { lsn, epoch };
        volume.sync().unwrap();
        volume.set_committed(ALL);
        while volume.positions().checkpoint < lsn {
            volume.write_back().unwrap();
        }
        let writer = spawn(&volume, |volume| {
            for n in 0..3 {
                write(&volume, 1, n, 2, 100 + n);
                volume.sync().unwrap();
                volume.set_committed(ALL);
            }
        });
        for _ in 0..2 {
            assert_eq!(read_snapshot(&volume, id)[..6], [7, 7, 7, 7, 0, 0]);
        }
        writer.join().unwrap();
        assert_eq!(read_snapshot(&volume, id)[..6], [7, 7, 7, 7, 0, 0]);
        drop(volume);
        drop(storage);
    });
}

#[test]
fn f23_whoever_waits_for_room_gets_it_and_nobody_waits_for_ever() {
    explore(|| {
        let (_storage, volume) = scene(true);
        let writers: Vec<_> = (0..2)
            .map(|n| {
                spawn(&volume, move |volume| {
                    // Together more than the ring holds.
                    for round in 0..5 {
                        write(&volume, 1, 4 * n, 4, round + 1);
                        volume.request_sync();
                        volume.set_committed(ALL);
                    }
                })
            })
            .collect();
        let committer = spawn(&volume, |volume| {
            for _ in 0..4 {
                volume.set_committed(volume.sync().unwrap());
                thread::yield_now();
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        committer.join().unwrap();
        assert_eq!(read_all(&volume), [5; 8]);
    });
}

#[test]
fn f35_who_waits_for_a_sync_of_what_is_cut_is_told_so() {
    explore(|| {
        let (storage, volume) = scene(false);
        let kept = write(&volume, 1, 0, 1, 1);
        volume.sync().unwrap();
        let writer = spawn(&volume, |volume| {
            let payload = filled(2, 1);
            let kind = EntryKind::Write;
            match volume.try_append(Epoch(1), kind, range(1, 1), payload) {
                Ok(lsn) => match volume.sync_to(lsn) {
                    Ok(durable) => assert!(durable >= lsn),
                    Err(SyncError::Cut { .. } | SyncError::BeyondHead { .. }) => {}
                    Err(SyncError::Poisoned(poisoned)) => panic!("{poisoned}"),
                },
                Err(AppendError::Poisoned(poisoned)) => panic!("{poisoned}"),
                Err(error) => panic!("{error}"),
            }
        });
        volume.truncate(kept).unwrap();
        writer.join().unwrap();
        volume.sync().unwrap();
        let positions = volume.positions();
        assert_eq!(positions.durable, positions.head);
        assert!(positions.head >= kept);
        drop(volume);
        let found = holdfast_blockvol::inspect_disks(
            &storage.crash(storage.ops(), Crash::KeepNone).disks(),
        );
        assert_eq!(found.unwrap().positions.head, positions.head);
    });
}

#[test]
fn f21_a_scrub_takes_nothing_for_damage_that_is_only_being_written() {
    explore(|| {
        let (storage, volume) = scene(true);
        write(&volume, 1, 0, 2, 3);
        let writer = spawn(&volume, |volume| {
            for n in 1..4 {
                write(&volume, 1, n, 1, n);
                volume.sync().unwrap();
                volume.set_committed(ALL);
            }
        });
        loop {
            let report = volume.scrub_step(2 * 4096).unwrap();
            assert_eq!(report.found, [], "nothing rotted");
            if report.ended {
                break;
            }
        }
        writer.join().unwrap();
        volume.sync().unwrap();
        drop(volume);
        assert_eq!(read_all(&recovered(&storage))[..4], [3, 1, 2, 3]);
    });
}
