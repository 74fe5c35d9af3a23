//! Real files and real threads: creating and opening, notification, readers beside writers, files
//! that vanish.

mod reference;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use holdfast_blockvol::sim::SimRng;
use holdfast_blockvol::{
    AppendError, CreateError, FlushBound, FormatOptions, OpenError, Positions, ReadError, Volume,
    VolumeOptions, WriteBackError, inspect,
};
use holdfast_types::{BLOCK_SIZE, EntryKind, Epoch, Lsn};
use reference::{BLOCKS, filled, format_on_files, options_on_files, range, read_all, write};

fn create(dir: &Path) -> Volume {
    Volume::create(dir, &format_on_files()).unwrap();
    let volume = Volume::open(dir, options_on_files()).unwrap();
    volume.fence(Epoch(1)).unwrap();
    volume.append_epoch_start(Epoch(1)).unwrap();
    volume
}

/// Every file of a directory with its content.
fn content(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(dir)
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn f15_nothing_is_created_over_something_that_exists() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("vol");
    drop(create(&place));
    let before = content(&place);
    assert!(matches!(
        Volume::create(&place, &format_on_files()),
        Err(CreateError::Exists { .. })
    ));
    assert_eq!(content(&place), before);
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(matches!(
        Volume::create(&empty, &format_on_files()),
        Err(CreateError::Exists { .. })
    ));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no leftovers");
}

#[test]
fn sizes_out_of_bounds_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("vol");
    let blocks = FormatOptions {
        blocks: 0,
        ..format_on_files()
    };
    let log = FormatOptions {
        log_bytes: 1,
        ..format_on_files()
    };
    assert!(matches!(
        Volume::create(&place, &blocks),
        Err(CreateError::Blocks { .. })
    ));
    assert!(matches!(
        Volume::create(&place, &log),
        Err(CreateError::LogBytes { .. })
    ));
    assert!(!place.exists());
}

#[test]
fn what_is_no_store_is_refused_with_its_reason_and_left_alone() {
    type Spoil = fn(&Path);
    type Expected = fn(&OpenError) -> bool;
    let set = |path: &Path, at: usize, bytes: &[u8]| {
        let mut data = fs::read(path).unwrap();
        data[at..at + bytes.len()].copy_from_slice(bytes);
        fs::write(path, data).unwrap();
    };
    let spoil_version = move |dir: &Path| {
        set(&dir.join("log"), 8, &7_u32.to_le_bytes());
    };
    let cases: [(&str, Spoil, Expected); 5] = [
        (
            "no such file",
            |dir| fs::remove_file(dir.join("log")).unwrap(),
            |e| matches!(e, OpenError::NotAStore { .. }),
        ),
        (
            "text",
            |dir| fs::write(dir.join("log"), vec![b'x'; 1 << 18]).unwrap(),
            |e| matches!(e, OpenError::NotAStore { .. }),
        ),
        (
            "short log",
            |dir| shorten(&dir.join("log"), 100 << 10),
            |e| matches!(e, OpenError::Truncated { .. }),
        ),
        (
            "short extent",
            |dir| shorten(&dir.join("extent"), 4096),
            |e| matches!(e, OpenError::Truncated { .. }),
        ),
        (
            "tiny log",
            |dir| shorten(&dir.join("log"), 10),
            |e| matches!(e, OpenError::NotAStore { .. }),
        ),
    ];
    for (name, spoil, expected) in cases {
        refused(name, spoil, expected);
    }
    refused("newer format", spoil_version, |e| {
        matches!(e, OpenError::NewerFormat { found: 7, .. })
    });
}

fn refused(name: &str, spoil: impl Fn(&Path), expected: impl Fn(&OpenError) -> bool) {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("vol");
    drop(create(&place));
    spoil(&place);
    let before = content(&place);
    let error = Volume::open(&place, options_on_files()).unwrap_err();
    assert!(expected(&error), "{name}: {error}");
    assert_eq!(content(&place), before, "{name}");
    assert!(inspect(&place).is_err(), "{name}");
}

fn shorten(path: &Path, len: u64) {
    fs::OpenOptions::new()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(len)
        .unwrap();
}

#[test]
fn a_store_is_open_once() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("vol");
    let volume = create(&place);
    assert!(matches!(
        Volume::open(&place, options_on_files()),
        Err(OpenError::Locked { .. })
    ));
    assert!(matches!(inspect(&place), Err(OpenError::Locked { .. })));
    let pin = volume.pin(Lsn(0), 1 << 20).unwrap();
    volume.close().unwrap();
    drop(volume);
    assert!(pin.check().is_err(), "a pin does not keep a volume open");
    assert!(Volume::open(&place, options_on_files()).is_ok());
}

#[test]
fn a_volume_tells_when_its_directory_can_be_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("vol");
    let volume = create(&place);
    let release = volume.release();
    let held = volume.clone();
    drop(volume);
    assert!(!release.wait(Duration::ZERO), "a handle is left");
    assert!(matches!(
        Volume::open(&place, options_on_files()),
        Err(OpenError::Locked { .. })
    ));
    let elsewhere = thread::spawn(move || drop(held));
    assert!(release.wait(Duration::from_secs(60)));
    assert!(Volume::open(&place, options_on_files()).is_ok());
    elsewhere.join().unwrap();
}

#[test]
fn f08_superblocks_and_log_never_touch_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("vol");
    let volume = create(&place);
    let fencer = volume.clone();
    let session = thread::spawn(move || {
        let leader = holdfast_types::StoreId::random();
        for session in 1..100 {
            fencer
                .admit_session(Epoch(1), holdfast_types::SessionId(session), leader)
                .unwrap();
        }
    });
    for n in 0..400 {
        write(&volume, 1, n % BLOCKS, 1, n + 1);
        volume.sync().unwrap();
    }
    session.join().unwrap();
    let expected = read_all(&volume);
    volume.close().unwrap();
    drop(volume);
    let report = inspect(&place).unwrap();
    assert!(report.is_sound(), "{report}");
    assert_eq!(report.positions.head, Lsn(401));
    assert!(report.to_string().contains("verdict     sound"), "{report}");
    assert_eq!(
        read_all(&Volume::open(&place, options_on_files()).unwrap()),
        expected
    );
}

#[test]
fn f17_a_write_outside_the_volume_never_grows_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("vol");
    let volume = create(&place);
    let outside = volume.append(Epoch(1), EntryKind::Write, range(1 << 30, 1), filled(1, 1));
    assert!(matches!(outside, Err(AppendError::OutOfBounds { .. })));
    let len = fs::metadata(place.join("extent")).unwrap().len();
    assert_eq!(len, BLOCKS * BLOCK_SIZE as u64);
}

#[test]
fn a_subscriber_hears_of_every_position_and_of_none_after_it_has_left() {
    let dir = tempfile::tempdir().unwrap();
    let volume = create(&dir.path().join("vol"));
    volume.set_flush_bound(FlushBound::Committed);
    let (send, heard) = mpsc::channel();
    let subscription = volume.subscribe(move |positions| {
        let _ = send.send(positions);
    });
    let until = |what: &dyn Fn(&Positions) -> bool| {
        while !what(
            &heard
                .recv_timeout(Duration::from_secs(20))
                .expect("a change"),
        ) {}
    };
    let lsn = write(&volume, 1, 0, 1, 1);
    until(&|p| p.head == lsn);
    volume.request_sync();
    until(&|p| p.durable == lsn);
    volume.set_committed(lsn);
    until(&|p| p.committed == lsn);
    until(&|p| p.checkpoint == lsn);
    drop(subscription);
    write(&volume, 1, 0, 1, 2);
    assert!(heard.try_iter().all(|p| p.head <= lsn));
    assert!(heard.recv().is_err(), "the listener is gone");
}

#[test]
fn every_reader_sees_its_own_last_write_while_the_log_wraps_under_it() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("vol");
    drop(create(&place));
    let forgetful = VolumeOptions {
        recent_bytes: 0,
        writeback_bytes: Some(16 << 10),
        ..options_on_files()
    };
    let volume = Volume::open(&place, forgetful).unwrap();
    volume.fence(Epoch(2)).unwrap();
    volume.append_epoch_start(Epoch(2)).unwrap();
    let threads: Vec<_> = (0..4_u64)
        .map(|thread| {
            let volume = volume.clone();
            thread::spawn(move || own_blocks(&volume, thread))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(volume.positions().checkpoint > Lsn(0), "write-back ran");
    assert_eq!(volume.poisoned(), None);
}

fn own_blocks(volume: &Volume, thread: u64) {
    let mut rng = SimRng::new(thread);
    let mut held = [0_u64; 8];
    for round in 1..=1500_u64 {
        let index = rng.below(8);
        let block = thread * 8 + index;
        if rng.below(8) == 0 {
            let trim = range(block, 1);
            volume
                .append(Epoch(2), EntryKind::Trim, trim, Bytes::new())
                .unwrap();
            held[index as usize] = 0;
        } else {
            write(volume, 2, block, 1, thread << 32 | round);
            held[index as usize] = thread << 32 | round;
        }
        if round % 64 == 0 {
            volume.sync().unwrap();
        }
        let mut buf = vec![0; 8 * BLOCK_SIZE];
        volume.read(range(thread * 8, 8), &mut buf).unwrap();
        assert_eq!(reference::tags(&buf), held, "round {round}");
    }
}

#[test]
fn f22_files_that_vanish_or_are_cut_short_under_a_store_are_told_by_name() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["log", "extent", "sums"] {
        let place = dir.path().join(name);
        drop(create(&place));
        fs::remove_file(place.join(name)).unwrap();
        let refused = Volume::open(&place, options_on_files()).map(|_| ());
        let Err(OpenError::NotAStore { target, .. }) = refused else {
            panic!("{name}: {refused:?}");
        };
        assert!(target.ends_with(name), "{target}");
    }
}

#[test]
fn f22_an_image_that_is_cut_short_while_it_is_open_is_an_error_and_then_damage() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("vol");
    Volume::create(&place, &format_on_files()).unwrap();
    let volume = Volume::open(&place, reference::quiet_options()).unwrap();
    volume.fence(Epoch(1)).unwrap();
    volume.append_epoch_start(Epoch(1)).unwrap();
    write(&volume, 1, 9, 1, 5);
    volume.set_committed(volume.sync().unwrap());
    reference::write_back_all(&volume);
    let len = fs::metadata(place.join("extent")).unwrap().len();
    shorten(&place.join("extent"), 4096);
    let mut data = vec![0; 4096];
    let short = volume.read(range(9, 1), &mut data);
    assert!(matches!(short, Err(ReadError::Disk(_))), "{short:?}");
    shorten(&place.join("extent"), len);
    let zeroes = volume.read(range(9, 1), &mut data);
    assert!(matches!(zeroes, Err(ReadError::Damaged(_))), "{zeroes:?}");
    let head = volume.positions().head;
    volume.repair(range(9, 1), filled(5, 1), head).unwrap();
    volume.read(range(9, 1), &mut data).unwrap();
}

#[test]
fn f22_a_store_whose_directory_is_gone_keeps_what_it_has_and_says_what_it_cannot_do() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("vol");
    Volume::create(&place, &format_on_files()).unwrap();
    let volume = Volume::open(&place, reference::quiet_options()).unwrap();
    volume.fence(Epoch(1)).unwrap();
    volume.append_epoch_start(Epoch(1)).unwrap();
    fs::remove_dir_all(&place).unwrap();
    write(&volume, 1, 0, 1, 5);
    let label = holdfast_types::SnapshotLabel::new("s").unwrap();
    let create = holdfast_types::VolumeOperation::SnapshotCreate { label };
    volume.append_operation(Epoch(1), &create).unwrap();
    volume.set_committed(volume.sync().unwrap());
    assert!(volume.write_back().unwrap(), "the run before it");
    let refused = volume.write_back();
    assert!(
        matches!(refused, Err(WriteBackError::Disk(_))),
        "{refused:?}"
    );
    assert_eq!(volume.write_back_error(), refused.err());
    assert_eq!(read_all(&volume)[0], 5);
}
