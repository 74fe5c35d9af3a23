//! The files of snapshots, and those made of them: no space, failed syncs, rot, lost files, a copy cut
//! short by a kill, export and import.

mod reference;

use holdfast_blockvol::sim::{Crash, Faults, Medium, SimStorage};
use holdfast_blockvol::{
    ChunkDigest, Damage, ExportError, ImportSource, OpenError, Recovery, SnapshotError, Volume,
    WriteBackError,
};
use holdfast_types::{BLOCK_SIZE, Epoch, Lsn, SnapshotId};
use reference::{
    ALL, BLOCKS, crash, filled, format_options, fresh, open, quiet_options, range, read_all,
    read_snapshot, settle, snapshot, tags, write, write_back_all,
};

const BLOCK: u64 = BLOCK_SIZE as u64;

/// A volume whose next write-back overwrites a block, tagged 10, that a snapshot has yet to copy out.
fn about_to_copy_out() -> (SimStorage, Volume, SnapshotId) {
    let (storage, volume) = fresh();
    write(&volume, 1, 0, 1, 10);
    let id = snapshot(&volume, 1);
    settle(&volume);
    write(&volume, 1, 0, 1, 20);
    volume.sync().unwrap();
    volume.set_committed(ALL);
    (storage, volume, id)
}

#[test]
fn f22_a_snapshot_that_finds_no_space_stops_write_back_until_there_is_some() {
    let (storage, volume, id) = about_to_copy_out();
    for faults in [
        Faults {
            no_space: true,
            ..Faults::default()
        },
        Faults {
            writes: true,
            ..Faults::default()
        },
    ] {
        storage.set_snapshot_faults(faults);
        let refused = volume.write_back();
        assert!(
            matches!(refused, Err(WriteBackError::Disk(_))),
            "{refused:?}"
        );
        assert_eq!(read_all(&volume)[0], 20);
        assert_eq!(read_snapshot(&volume, id)[0], 10);
    }
    storage.set_snapshot_faults(Faults::default());
    write_back_all(&volume);
    assert_eq!(read_snapshot(&volume, id)[0], 10);
    assert_eq!(volume.positions().checkpoint, volume.positions().head);
}

#[test]
fn f14_a_failed_sync_of_a_snapshot_stops_the_volume_and_loses_nothing() {
    let (storage, volume, id) = about_to_copy_out();
    storage.set_snapshot_faults(Faults {
        syncs: true,
        ..Faults::default()
    });
    assert!(volume.write_back().is_err());
    assert!(volume.poisoned().is_some());
    drop(volume);
    storage.set_snapshot_faults(Faults::default());
    for how in [Crash::KeepNone, Crash::Sectors(1), Crash::Sectors(2)] {
        let recovered = open(&crash(&storage, how));
        settle(&recovered);
        assert_eq!(read_snapshot(&recovered, id)[0], 10);
        assert_eq!(read_all(&recovered)[0], 20);
    }
}

#[test]
fn f21_rot_in_a_snapshot_is_never_served_and_no_rotten_block_is_copied_into_one() {
    let (storage, volume) = fresh();
    write(&volume, 1, 0, 4, 10);
    let id = snapshot(&volume, 1);
    write(&volume, 1, 0, 1, 20);
    settle(&volume);
    let copied = storage.visible(Medium::Snapshot(id));
    let at = copied
        .chunks_exact(8)
        .position(|word| word == 10_u64.to_le_bytes());
    storage.corrupt(Medium::Snapshot(id), 8 * at.unwrap() as u64 + 100, 1);
    let mut data = vec![0; 4 * BLOCK_SIZE];
    let held = volume.snapshot(id).unwrap();
    let damage = Damage::SnapshotBlocks {
        snapshot: id,
        range: range(0, 1),
    };
    assert_eq!(
        held.read(range(0, 4), &mut data),
        Err(SnapshotError::Damaged(damage))
    );
    // A block of the image that rotted is not copied out: write-back waits for its repair.
    let next = snapshot(&volume, 1);
    settle(&volume);
    storage.corrupt(Medium::Extent, 2 * BLOCK, 1);
    write(&volume, 1, 2, 1, 30);
    let lsn = volume.sync().unwrap();
    volume.set_committed(ALL);
    let stopped = volume.write_back();
    assert!(matches!(
        stopped,
        Err(WriteBackError::Damaged(Damage::Extent { .. }))
    ));
    assert!(volume.poisoned().is_none());
    assert_eq!(read_all(&volume)[2], 30);
    assert_eq!(volume.damage().blocks, [range(2, 1)]);
    // The log has the block anew, but the snapshot needs the old one.
    let before = Lsn(lsn.0 - 1);
    volume.repair(range(2, 1), filled(10, 1), before).unwrap();
    write_back_all(&volume);
    assert_eq!(read_snapshot(&volume, next)[2], 10);
}

#[test]
fn a_lost_file_of_a_snapshot_is_damage_and_leftovers_are_removed() {
    let (storage, volume) = fresh();
    write(&volume, 1, 0, 4, 10);
    let id = snapshot(&volume, 1);
    settle(&volume);
    drop(volume);
    let leftover = SnapshotId {
        lsn: Lsn(99),
        epoch: Epoch(1),
    };
    storage.disks().snapshots.create(leftover, 4096).unwrap();
    drop(open(&storage));
    assert_eq!(storage.snapshot_files(), [id]);
    storage.disks().snapshots.remove(id).unwrap();
    let opened = Volume::open_on(storage.disks(), quiet_options(), Recovery::Strict);
    assert!(matches!(
        opened,
        Err(OpenError::Damaged(Damage::SnapshotFile { snapshot, .. })) if snapshot == id
    ));
    let rebuild =
        Volume::open_on(storage.disks(), quiet_options(), Recovery::DiscardDamaged).unwrap();
    assert!(!rebuild.positions().is_trusted());
}

#[test]
fn f16_what_a_killed_process_left_of_a_copy_is_durable_before_it_is_relied_on() {
    let (storage, volume) = fresh();
    write(&volume, 1, 0, 1, 1);
    let id = snapshot(&volume, 1);
    settle(&volume);
    write(&volume, 1, 0, 1, 2);
    volume.sync().unwrap();
    let first = storage.ops();
    settle(&volume);
    drop(volume);
    for ops in first..=storage.ops() {
        let killed = storage.kill(ops);
        let volume = open(&killed);
        settle(&volume);
        drop(volume);
        // Power fails only now: what was not synced before the block was overwritten is gone.
        let volume = open(&crash(&killed, Crash::KeepNone));
        assert_eq!(read_snapshot(&volume, id)[0], 1, "killed after {ops}");
        assert_eq!(read_all(&volume)[0], 2, "killed after {ops}");
    }
}

/// A volume in a directory, with a snapshot of a few blocks.
fn on_files(dir: &std::path::Path) -> (Volume, SnapshotId) {
    let place = dir.join("vol");
    Volume::create(&place, &format_options()).unwrap();
    let volume = Volume::open(&place, quiet_options()).unwrap();
    volume.fence(Epoch(1)).unwrap();
    volume.append_epoch_start(Epoch(1)).unwrap();
    write(&volume, 1, 3, 2, 33);
    let id = snapshot(&volume, 1);
    write(&volume, 1, 4, 2, 44);
    settle(&volume);
    (volume, id)
}

#[test]
fn an_exported_image_proves_itself_and_comes_back_by_an_import() {
    let dir = tempfile::tempdir().unwrap();
    let (volume, id) = on_files(dir.path());
    let (image, manifest) = (dir.path().join("img"), dir.path().join("img.json"));
    let snapshot = volume.snapshot(id).unwrap();
    let made = snapshot.export(&image, &manifest).unwrap();
    let raw = std::fs::read(&image).unwrap();
    assert_eq!(tags(&raw), read_snapshot(&volume, id));
    assert_eq!(made.sha256, ChunkDigest::of(&raw).to_string());
    assert_eq!((made.blocks, made.snapshot), (BLOCKS, id));
    assert!(snapshot.export(&image, &dir.path().join("other")).is_err());

    let source = ImportSource::open(&image, &manifest).unwrap();
    assert_eq!(source.manifest(), &made);
    let (range, data) = source.chunk(0).unwrap().unwrap();
    assert_eq!((range.count(), &data[..]), (BLOCKS, &raw[..]));
    assert!(source.chunk(1).unwrap().is_none());
}

#[test]
fn what_is_not_the_exported_image_is_not_imported() {
    use std::os::unix::fs::FileExt;

    let dir = tempfile::tempdir().unwrap();
    let (volume, id) = on_files(dir.path());
    let (image, manifest) = (dir.path().join("img"), dir.path().join("img.json"));
    let made = volume.snapshot(id).unwrap().export(&image, &manifest);
    let text = std::fs::read_to_string(&manifest).unwrap();
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(&image)
        .unwrap();
    file.write_all_at(&[1], 9).unwrap();
    let source = ImportSource::open(&image, &manifest).unwrap();
    assert!(matches!(
        source.chunk(0),
        Err(ExportError::Chunk { index: 0, .. })
    ));
    file.set_len(BLOCK).unwrap();
    assert!(ImportSource::open(&image, &manifest).is_err());
    file.set_len(BLOCKS * BLOCK).unwrap();
    let digest = made.unwrap().chunks[0].clone();
    let spoilt = [
        text.replace(&digest, &"0".repeat(64)),
        text.replace(&digest, "short"),
        text.replace("\"format\": 1", "\"format\": 2"),
        text.replace("\"blocks\": 32", "\"blocks\": 0"),
        text.replace("\"blocks\": 32", "\"blocks\": 99999999999"),
        "{".to_owned(),
        String::new(),
    ];
    for wrong in spoilt {
        assert_ne!(wrong, text);
        std::fs::write(&manifest, wrong).unwrap();
        assert!(matches!(
            ImportSource::open(&image, &manifest),
            Err(ExportError::Manifest { .. })
        ));
    }
}
