//! What a volume answers while its disks are at work, and who is woken when they are done: only
//! durability itself waits for a disk.

mod reference;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use holdfast_blockvol::sim::{Crash, SimStorage};
use holdfast_blockvol::{
    BaseManifest, ChunkDigest, Disks, ImageDigest, Positions, Recovery, Role, SyncError, Volume,
};
use holdfast_types::{Epoch, Lineage, Lsn, SessionId};
use reference::{
    BLOCKS, LEADER, Tapped, Work, filled, format_options, open, quiet_options, read_all, write,
};

/// After so long a time something is stuck.
const STUCK: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Hold {
    #[default]
    Nothing,
    Next(Work),
    Held,
    Panic,
}

/// Holds back one operation, before it has any effect; all others pass. Counts syncs.
#[derive(Debug, Default)]
struct Gate {
    hold: Mutex<Hold>,
    changed: Condvar,
    syncs: AtomicU64,
}

impl Gate {
    fn hold_next(&self, work: Work) {
        *self.hold.lock().unwrap() = Hold::Next(work);
    }

    fn pass(&self, work: Work) {
        if work == Work::Sync {
            self.syncs.fetch_add(1, Ordering::SeqCst);
        }
        let mut hold = self.hold.lock().unwrap();
        if *hold == Hold::Next(work) {
            *hold = Hold::Held;
            self.changed.notify_all();
            while *hold == Hold::Held {
                hold = self.changed.wait(hold).unwrap();
            }
            if *hold == Hold::Panic {
                drop(hold);
                panic!("the disk's driver panics, as it was told to");
            }
        }
    }

    fn wait_until_held(&self) {
        let hold = self.hold.lock().unwrap();
        let (hold, _) = self
            .changed
            .wait_timeout_while(hold, STUCK, |hold| *hold != Hold::Held)
            .unwrap();
        assert_eq!(*hold, Hold::Held, "the disk was never asked");
    }

    fn release(&self) {
        self.end(Hold::Nothing);
    }

    fn panic(&self) {
        self.end(Hold::Panic);
    }

    fn end(&self, how: Hold) {
        *self.hold.lock().unwrap() = how;
        self.changed.notify_all();
    }
}

/// A volume in epoch 1 on disks that can be held back.
struct Scene {
    storage: SimStorage,
    log: Arc<Gate>,
    extent: Arc<Gate>,
    volume: Volume,
}

impl Scene {
    fn new() -> Self {
        let storage = SimStorage::formatted(&format_options());
        let (log, extent) = (Arc::<Gate>::default(), Arc::<Gate>::default());
        let gated = |inner, gate: &Arc<Gate>| {
            let gate = Arc::clone(gate);
            Tapped::over(inner, move |work| {
                gate.pass(work);
                0
            })
        };
        let disks = Disks {
            log: gated(storage.disks().log, &log),
            extent: gated(storage.disks().extent, &extent),
            sums: storage.disks().sums,
            snapshots: storage.disks().snapshots,
        };
        let volume = Volume::open_on(disks, quiet_options(), Recovery::Strict).unwrap();
        volume.fence(Epoch(1)).unwrap();
        volume.append_epoch_start(Epoch(1)).unwrap();
        Self {
            storage,
            log,
            extent,
            volume,
        }
    }

    /// Does `work` while the log's disk holds back one operation of it; what `ask` is told
    /// meanwhile, and the outcome.
    fn asked_during<R: Send + 'static, T: Send + 'static>(
        &self,
        hold: Work,
        work: impl FnOnce(&Volume) -> R + Send + 'static,
        ask: impl FnOnce(&Volume) -> T + Send + 'static,
    ) -> (T, R) {
        self.log.hold_next(hold);
        let worker = self.spawn(work);
        self.log.wait_until_held();
        let told = self.spawn(ask).recv_timeout(STUCK);
        self.log.release();
        let done = worker.recv_timeout(STUCK).expect("the work ends");
        (told.expect("nothing but the work waits for the disk"), done)
    }

    fn spawn<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Volume) -> R + Send + 'static,
    ) -> mpsc::Receiver<R> {
        let (tell, told) = mpsc::channel();
        let volume = self.volume.clone();
        thread::spawn(move || {
            let _ = tell.send(work(&volume));
        });
        told
    }

    fn after_a_crash(&self) -> Volume {
        open(&self.storage.crash(self.storage.ops(), Crash::KeepNone))
    }
}

fn image(tag: u64) -> (Vec<u8>, ChunkDigest) {
    let data = filled(tag, BLOCKS).to_vec();
    let digest = ChunkDigest::of(&data);
    (data, digest)
}

/// The manifest of an image of one chunk, at position 0.
fn manifest(volume: &Volume, chunk: ChunkDigest) -> BaseManifest {
    BaseManifest {
        volume: volume.volume_id(),
        blocks: BLOCKS,
        base_lsn: Lsn(0),
        extent_bound: Lsn(0),
        lineage: Lineage::default(),
        digest: ImageDigest::of([chunk]),
    }
}

#[test]
fn f41_a_promise_that_waits_for_its_disk_keeps_nobody_else_waiting() {
    let scene = Scene::new();
    let (seen, done) = scene.asked_during(
        Work::Sync,
        |volume| volume.fence(Epoch(2)).unwrap(),
        |volume| (volume.positions().head, volume.promise().epoch),
    );
    assert_eq!(
        seen,
        (Lsn(1), Epoch(1)),
        "not promised before it is durable"
    );
    assert_eq!(done.epoch, Epoch(2));
    let (seen, done) = scene.asked_during(
        Work::Sync,
        |volume| volume.set_role(Epoch(2), Role::Replica).unwrap(),
        |volume| volume.promise().role,
    );
    assert_eq!((seen, done.role), (Role::None, Role::Replica));
    let (seen, done) = scene.asked_during(
        Work::Sync,
        |volume| {
            volume
                .admit_session(Epoch(2), SessionId(7), LEADER)
                .unwrap()
        },
        |volume| volume.promise().session,
    );
    assert_eq!((seen, done.session), (None, Some(SessionId(7))));
    assert_eq!(scene.after_a_crash().promise().session, Some(SessionId(7)));
}

#[test]
fn f52_promises_are_made_one_after_the_other() {
    let scene = Scene::new();
    scene.log.hold_next(Work::Sync);
    let first = scene.spawn(|volume| volume.fence(Epoch(2)));
    scene.log.wait_until_held();
    let others: Vec<_> = (3..8)
        .map(|epoch| scene.spawn(move |volume| volume.fence(Epoch(epoch))))
        .collect();
    scene.log.release();
    first.recv_timeout(STUCK).unwrap().unwrap();
    for other in others {
        // Those that a higher one overtook are refused.
        let _ = other.recv_timeout(STUCK).unwrap();
    }
    assert_eq!(scene.volume.promise().epoch, Epoch(7));
    assert_eq!(scene.after_a_crash().promise().epoch, Epoch(7));
}

#[test]
fn f41_t9_a_cut_lets_others_look_and_takes_what_is_appended_meanwhile_with_it() {
    let scene = Scene::new();
    for n in 0..4 {
        write(&scene.volume, 1, n, 1, n + 1);
    }
    scene.volume.sync().unwrap();
    let (seen, done) = scene.asked_during(
        Work::Sync,
        |volume| volume.truncate(Lsn(3)),
        |volume| {
            let seen = volume.positions().head;
            write(volume, 1, 9, 1, 99);
            seen
        },
    );
    assert_eq!((seen, done), (Lsn(5), Ok(())));
    assert_eq!(scene.volume.positions().head, Lsn(3));
    assert_eq!(scene.volume.positions().durable, Lsn(3));
    let expected = |last| {
        let mut tags = vec![0; BLOCKS as usize];
        (tags[0], tags[1], tags[2]) = (1, 2, last);
        tags
    };
    assert_eq!(read_all(&scene.volume), expected(0));
    let cut = scene.after_a_crash();
    assert_eq!(
        (cut.positions().head, read_all(&cut)),
        (Lsn(3), expected(0))
    );
    write(&scene.volume, 1, 2, 1, 7);
    scene.volume.sync().unwrap();
    let cut = scene.after_a_crash();
    assert_eq!(
        (cut.positions().head, read_all(&cut)),
        (Lsn(4), expected(7))
    );
}

#[test]
fn f41_a_switch_of_bases_keeps_nobody_waiting_who_only_looks() {
    let scene = Scene::new();
    let (seen, install) = scene.asked_during(
        Work::Sync,
        |volume| volume.begin_install().unwrap(),
        |volume| volume.positions(),
    );
    assert!(seen.is_trusted(), "the marker is not durable yet");
    assert!(!scene.volume.positions().is_trusted());
    let (data, digest) = image(6);
    install.install(0, &data, digest).unwrap();
    let manifest = manifest(&scene.volume, digest);
    let (seen, done) = scene.asked_during(
        Work::Sync,
        move |_| install.finish(&manifest).unwrap(),
        |volume| volume.positions(),
    );
    assert!(!seen.is_trusted(), "the new base is not durable yet");
    assert!(done.is_trusted());
    assert_eq!(read_all(&scene.after_a_crash()), vec![6; BLOCKS as usize]);
}

#[test]
fn f41_facts_and_a_clean_end_keep_nobody_waiting_who_only_looks() {
    let scene = Scene::new();
    write(&scene.volume, 1, 0, 1, 5);
    let (seen, facts) = scene.asked_during(
        Work::Read,
        |volume| volume.facts().unwrap(),
        |volume| volume.positions().durable,
    );
    assert_eq!((seen, facts.base.durable), (Lsn(2), Lsn(2)));
    let (seen, done) = scene.asked_during(
        Work::Write,
        |volume| volume.close(),
        |volume| volume.positions().head,
    );
    assert_eq!((seen, done), (Lsn(2), Ok(())));
}

#[test]
fn f55_no_chunk_of_a_superseded_install_lands_in_the_newer_ones_image() {
    let scene = Scene::new();
    let older = scene.volume.begin_install().unwrap();
    let (stale, stale_digest) = image(8);
    scene.extent.hold_next(Work::Write);
    let writing = scene.spawn(move |_| older.install(0, &stale, stale_digest));
    scene.extent.wait_until_held();
    let begun = scene.spawn(|volume| volume.begin_install().unwrap());
    assert!(
        begun.recv_timeout(Duration::from_millis(100)).is_err(),
        "begun while a chunk of the older one is on its way"
    );
    scene.extent.release();
    writing.recv_timeout(STUCK).unwrap().unwrap();
    let newer = begun.recv_timeout(STUCK).unwrap();
    let (data, digest) = image(9);
    newer.install(0, &data, digest).unwrap();
    newer.finish(&manifest(&scene.volume, digest)).unwrap();
    assert_eq!(read_all(&scene.volume), vec![9; BLOCKS as usize]);
}

#[test]
fn one_sync_serves_all_who_wait_for_one() {
    let scene = Scene::new();
    let (moved, heads) = mpsc::channel();
    let _subscription = scene.volume.subscribe(move |positions: Positions| {
        let _ = moved.send(positions.head);
    });
    let before = scene.log.syncs.load(Ordering::SeqCst);
    scene.log.hold_next(Work::Sync);
    let writers: Vec<_> = (0..16)
        .map(|n| {
            scene.spawn(move |volume| {
                let lsn = write(volume, 1, n, 1, n + 1);
                assert!(volume.sync_to(lsn).unwrap() >= lsn);
            })
        })
        .collect();
    // The first one to ask is held in its sync until all have appended.
    while heads.recv_timeout(STUCK).unwrap() < Lsn(17) {}
    scene.log.wait_until_held();
    scene.log.release();
    for writer in writers {
        writer.recv_timeout(STUCK).unwrap();
    }
    let syncs = scene.log.syncs.load(Ordering::SeqCst) - before;
    assert!((1..=2).contains(&syncs), "{syncs} syncs for 16 flushes");
    assert_eq!(scene.volume.positions().durable, Lsn(17));
}

/// A sync that proves nothing, because the log was replaced under it, still ends; those who wait
/// for the next one must then run it, not sleep on while nobody syncs.
#[test]
fn waiters_are_woken_by_a_sync_that_moved_nothing() {
    let scene = Scene::new();
    scene.log.hold_next(Work::Sync);
    let overtaken = scene.spawn(|volume| volume.sync_to(Lsn(1)));
    scene.log.wait_until_held();
    let install = scene.volume.begin_install().unwrap();
    let (data, digest) = image(3);
    install.install(0, &data, digest).unwrap();
    install.finish(&manifest(&scene.volume, digest)).unwrap();
    scene.volume.append_epoch_start(Epoch(1)).unwrap();
    let head = write(&scene.volume, 1, 0, BLOCKS / 8, 4);
    let (about_to, ready) = mpsc::channel();
    let waiters: Vec<_> = (0..16)
        .map(|_| {
            let about_to = about_to.clone();
            scene.spawn(move |volume| {
                let _ = about_to.send(());
                volume.sync_to(head)
            })
        })
        .collect();
    for _ in &waiters {
        ready.recv_timeout(STUCK).unwrap();
    }
    // Nobody's sync can begin before the first one ends.
    assert_eq!(scene.volume.positions().durable, Lsn(0));
    scene.log.release();
    for waiter in waiters {
        assert_eq!(waiter.recv_timeout(STUCK).expect("woken"), Ok(head));
    }
    let overtaken = overtaken.recv_timeout(STUCK).expect("woken");
    assert!(
        matches!(overtaken, Err(SyncError::Cut { .. })) || overtaken == Ok(head),
        "{overtaken:?}"
    );
    let recovered = scene.after_a_crash();
    let mut expected = vec![3; BLOCKS as usize];
    expected[..(BLOCKS / 8) as usize].fill(4);
    assert_eq!(read_all(&recovered), expected);
}

/// Whoever syncs for the others may die of a broken invariant; they must not sleep on.
#[test]
fn f14_waiters_are_woken_when_the_one_who_syncs_panics() {
    let scene = Scene::new();
    scene.log.hold_next(Work::Sync);
    let dying = scene.spawn(|volume| volume.sync());
    scene.log.wait_until_held();
    let head = write(&scene.volume, 1, 0, 1, 4);
    let (tell, told) = mpsc::channel();
    let seen = scene.volume.clone();
    let subscription = scene.volume.subscribe(move |_| {
        let _ = tell.send(seen.poisoned().is_some());
    });
    let waiters: Vec<_> = (0..4)
        .map(|_| scene.spawn(move |volume| volume.sync_to(head)))
        .collect();
    scene.log.panic();
    assert!(dying.recv_timeout(STUCK).is_err(), "it panicked");
    for waiter in waiters {
        let woken = waiter.recv_timeout(STUCK).expect("woken");
        assert!(matches!(woken, Err(SyncError::Poisoned(_))), "{woken:?}");
    }
    assert_eq!(told.recv_timeout(STUCK), Ok(true));
    drop(subscription);
}
