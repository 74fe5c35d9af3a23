//! Room in the log: what is kept, what is freed, and that whoever waits for it gets it.

mod reference;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use holdfast_blockvol::sim::SimStorage;
use holdfast_blockvol::{
    AppendError, Disks, FlushBound, PinError, Recovery, Volume, VolumeOptions,
};
use holdfast_types::{BLOCK_SIZE, EntryKind, Epoch, Lsn};
use reference::{
    ALL, BLOCKS, LOG_BYTES, Tapped, Work, filled, format_options, fresh, quiet_options, range,
    read_all, settle, write, write_back_all,
};

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

/// A volume in a directory, in epoch 1, with threads that write back what is committed.
fn on_files(dir: &Path, options: VolumeOptions) -> Volume {
    let place = dir.join("vol");
    Volume::create(&place, &format_options()).unwrap();
    let options = VolumeOptions {
        flush_bound: FlushBound::Committed,
        recent_bytes: 8 << 10,
        writeback_idle: Duration::from_millis(5),
        ..options
    };
    let volume = Volume::open(&place, options).unwrap();
    volume.fence(Epoch(1)).unwrap();
    volume.append_epoch_start(Epoch(1)).unwrap();
    volume
}

#[test]
fn f23_a_writer_that_waits_for_room_goes_on_when_committed_moves() {
    let dir = tempfile::tempdir().unwrap();
    let volume = on_files(dir.path(), VolumeOptions::default());
    let writer = {
        let volume = volume.clone();
        std::thread::spawn(move || {
            for n in 0..500 {
                write(&volume, 1, n % BLOCKS, 1, n + 1);
            }
        })
    };
    while volume.positions().head < Lsn(501) {
        let durable = volume.sync().unwrap();
        volume.set_committed(durable);
    }
    writer.join().unwrap();
    assert_eq!(read_all(&volume)[(499 % BLOCKS) as usize], 500);
}

#[test]
fn f23_a_log_that_stays_full_is_told_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let impatient = VolumeOptions {
        log_full_wait: Duration::from_millis(20),
        ..VolumeOptions::default()
    };
    let volume = on_files(dir.path(), impatient);
    let full = loop {
        let payload = filled(1, 1);
        if let Err(error) = volume.append(Epoch(1), EntryKind::Write, range(0, 1), payload) {
            break error;
        }
    };
    assert!(matches!(full, AppendError::LogFull { .. }), "{full}");
    assert!(full.to_string().contains("may be"), "{full}");
}

#[test]
fn f23_writers_that_outrun_write_back_are_slowed_down_and_none_is_refused() {
    let storage = SimStorage::formatted(&format_options());
    let disks = Disks {
        extent: Tapped::over(storage.disks().extent, |work| {
            if work == Work::Write {
                std::thread::sleep(Duration::from_micros(200));
            }
            0
        }),
        ..storage.disks()
    };
    let options = VolumeOptions {
        flush_bound: FlushBound::Durable,
        ..VolumeOptions::default()
    };
    let volume = Volume::open_on(disks, options, Recovery::Strict).unwrap();
    volume.fence(Epoch(1)).unwrap();
    volume.append_epoch_start(Epoch(1)).unwrap();
    assert_eq!(
        volume.pace(4096),
        Duration::ZERO,
        "an empty log is no reason to wait"
    );
    let writers: Vec<_> = (0..4_u64)
        .map(|n| {
            let volume = volume.clone();
            std::thread::spawn(move || {
                for round in 0..150 {
                    // Every other block, so that no two are written together.
                    write(&volume, 1, (8 * n + 2 * round) % 32, 1, round);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    volume.sync().unwrap();
    assert_eq!(volume.positions().head, Lsn(601));
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
