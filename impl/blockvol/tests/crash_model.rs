//! A volume against the reference, cut off at every operation that reached its disks.
//!
//! Random histories (appends of every kind, volume operations, syncs, commits, write-back, cuts,
//! promises, installs, crashes) run over simulated disks. Then, for every operation boundary of every step, several
//! crash images are made (nothing unsynced kept, everything, random sectors) and opened. What must
//! hold in each:
//!
//! * everything that was durable before the step is there, in order, and nothing else than what
//!   was logged; after the step, everything that the step promised (A1, A7, F02, F20);
//! * what was cut is not there (A2, F03); a base is the old one, untrusted, or the new one (F33);
//! * every sector of the extent is a version between checkpoint and extent bound (F07, F18, C2);
//! * every snapshot of the checkpoint is there, with the content of its position (F16, F78, F79), and
//!   a restore that was interrupted is redone (F04);
//! * promises are kept (F52).
//!
//! Besides, at some of them the process dies, another one writes everything back over what the cache
//! shows, and only then power fails.
//!
//! `HOLDFAST_SEED` repeats a run, `HOLDFAST_HISTORIES` makes a longer one (`make crash`).

mod reference;

use std::io::Write;

use bytes::Bytes;
use holdfast_blockvol::sim::{Crash, SimRng, SimStorage, seed_from_env};
use holdfast_blockvol::{
    AppendError, BaseManifest, CHUNK_BLOCKS, ChunkDigest, ImageDigest, Promise, Recovery,
    RetentionPin, Role, Volume,
};
use holdfast_types::{
    BlockRange, EntryKind, Epoch, Lineage, LineageEntry, Lsn, SessionId, SnapshotId, SnapshotLabel,
    VolumeId, VolumeOperation,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use reference::{
    BLOCKS, LEADER, RefEntry, Reference, filled, format_options, open, quiet_options,
    write_back_all,
};
use uuid::Uuid;

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    Append {
        kind: EntryKind,
        start: u64,
        count: u64,
    },
    AppendMany {
        count: u64,
    },
    Snapshot,
    DeleteSnapshot {
        which: u64,
    },
    Restore {
        which: u64,
    },
    Grow {
        by: u64,
    },
    NewEpoch,
    AdmitSession,
    Sync,
    Commit {
        everything: bool,
    },
    WriteBack,
    Truncate {
        back: u64,
    },
    Pin,
    Unpin,
    Close,
    Install {
        finish: bool,
    },
    Crash {
        seed: u64,
        how: u8,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = prop_oneof![
        4 => Just(EntryKind::Write),
        1 => Just(EntryKind::Trim),
        1 => Just(EntryKind::WriteZeroes),
    ];
    let append = (kind, 0..BLOCKS, 1..4_u64).prop_map(|(kind, start, count)| Step::Append {
        kind,
        start,
        count: count.min(BLOCKS - start),
    });
    let step = prop_oneof![
        12 => append,
        3 => (1..5_u64).prop_map(|count| Step::AppendMany { count }),
        2 => Just(Step::Snapshot),
        1 => any::<u64>().prop_map(|which| Step::DeleteSnapshot { which }),
        1 => any::<u64>().prop_map(|which| Step::Restore { which }),
        1 => (1..4_u64).prop_map(|by| Step::Grow { by }),
        1 => Just(Step::NewEpoch),
        1 => Just(Step::AdmitSession),
        4 => Just(Step::Sync),
        3 => any::<bool>().prop_map(|everything| Step::Commit { everything }),
        4 => Just(Step::WriteBack),
        1 => (0..6_u64).prop_map(|back| Step::Truncate { back }),
        1 => Just(Step::Pin),
        1 => Just(Step::Unpin),
        1 => Just(Step::Close),
        1 => any::<bool>().prop_map(|finish| Step::Install { finish }),
        1 => (any::<u64>(), 0..3_u8).prop_map(|(seed, how)| Step::Crash { seed, how }),
    ];
    vec(step, 10..60)
}

/// What is known of the store when a step begins or ends.
#[derive(Clone, Debug)]
struct Known {
    reference: Reference,
    durable: Lsn,
    blank: bool,
    promise: Promise,
}

/// A stretch of recorded operations, with what was known around it.
struct Window {
    step: Step,
    first_op: usize,
    last_op: usize,
    before: Known,
    after: Known,
    /// The log was replaced, not extended: either state counts, no mixture.
    replaces: bool,
}

struct Run {
    storage: SimStorage,
    volume: Volume,
    pin: Option<RetentionPin>,
    known: Known,
    /// The next append begins an epoch: what was lost or cut must not be logged again under it.
    needs_epoch: bool,
    next_tag: u64,
    windows: Vec<Window>,
    images: u64,
    rng: SimRng,
}

impl Run {
    fn new(seed: u64) -> Self {
        let storage = SimStorage::formatted(&format_options());
        let volume = open(&storage);
        let known = Known {
            reference: Reference::blank(BLOCKS),
            durable: Lsn::ZERO,
            blank: false,
            promise: volume.promise(),
        };
        Self {
            storage,
            volume,
            pin: None,
            known,
            needs_epoch: true,
            next_tag: 1,
            windows: Vec::new(),
            images: 0,
            rng: SimRng::new(seed),
        }
    }

    fn step(&mut self, step: &Step) {
        if let Step::Crash { seed, how } = step {
            self.crash(*seed, *how);
            return;
        }
        let first_op = self.storage.ops();
        let before = self.known.clone();
        let replaces = self.perform(step);
        let positions = self.volume.positions();
        self.known.durable = positions.durable;
        self.known.promise = self.volume.promise();
        assert_eq!(positions.head, self.known.reference.head(), "{step:?}");
        self.windows.push(Window {
            step: step.clone(),
            first_op,
            last_op: self.storage.ops(),
            before,
            after: self.known.clone(),
            replaces,
        });
    }

    /// Carries a step out; whether it replaced the log.
    fn perform(&mut self, step: &Step) -> bool {
        match step {
            Step::Append { kind, start, count } => {
                self.append(*kind, BlockRange::new(*start, *count).unwrap());
            }
            Step::AppendMany { count } => self.append_many(*count),
            Step::Snapshot => {
                let label = SnapshotLabel::new("one").unwrap();
                self.operate(VolumeOperation::SnapshotCreate { label });
            }
            Step::DeleteSnapshot { which } => {
                if let Some(snapshot) = self.some_snapshot(*which) {
                    self.operate(VolumeOperation::SnapshotDelete { snapshot });
                }
            }
            Step::Restore { which } => {
                if let Some(snapshot) = self.some_snapshot(*which) {
                    self.operate(VolumeOperation::Restore { snapshot });
                }
            }
            Step::Grow { by } => {
                let blocks = self.volume.blocks_at_head() + by;
                self.operate(VolumeOperation::Grow { blocks });
            }
            Step::NewEpoch => self.needs_epoch = true,
            Step::AdmitSession => {
                let promise = self.volume.promise();
                let session = SessionId(promise.session.map_or(1, |s| s.0 + 1));
                let epoch = promise.epoch;
                self.volume.admit_session(epoch, session, LEADER).unwrap();
            }
            Step::Sync => {
                self.volume.sync().unwrap();
            }
            Step::Commit { everything } => {
                let positions = self.volume.positions();
                let middle = Lsn(positions.checkpoint.0.midpoint(positions.durable.0));
                self.volume.set_committed(if *everything {
                    Lsn(u64::MAX - 1)
                } else {
                    middle
                });
            }
            Step::WriteBack => {
                self.volume.write_back().unwrap();
            }
            Step::Truncate { back } => return self.truncate(*back),
            Step::Pin => {
                let from = self.volume.positions().retained_from;
                self.pin = from.and_then(|from| self.volume.pin(from, 1 << 30).ok());
            }
            Step::Unpin => self.pin = None,
            Step::Close => self.volume.close().unwrap(),
            Step::Install { finish } => {
                self.install(*finish);
                return true;
            }
            Step::Crash { .. } => unreachable!("handled before"),
        }
        false
    }

    fn tag(&mut self) -> u64 {
        self.next_tag += 1;
        self.next_tag
    }

    fn begin_epoch(&mut self) {
        if !self.needs_epoch || self.known.blank {
            return;
        }
        let epoch = self.volume.promise().epoch.next();
        self.volume.fence(epoch).unwrap();
        self.volume.append_epoch_start(epoch).expect("a reserve");
        self.known.reference.push(RefEntry {
            epoch,
            kind: EntryKind::EpochStart,
            range: None,
            tag: 0,
            operation: None,
        });
        self.needs_epoch = false;
    }

    fn append(&mut self, kind: EntryKind, range: BlockRange) {
        self.begin_epoch();
        let tag = self.tag();
        let epoch = self.volume.promise().epoch;
        let payload = if kind == EntryKind::Write {
            filled(tag, range.count())
        } else {
            Bytes::new()
        };
        match self.volume.try_append(epoch, kind, range, payload) {
            Ok(_) => self.known.reference.push(RefEntry {
                epoch,
                kind,
                range: Some(range),
                tag,
                operation: None,
            }),
            Err(AppendError::Restoring { .. }) => self.make_room(),
            Err(AppendError::LogFull { .. }) => {
                self.make_room();
            }
            Err(AppendError::Untrusted) => assert!(self.known.blank),
            Err(error) => panic!("{error}"),
        }
    }

    /// Back-pressure always ends: what is durable and committed makes room (F23).
    fn make_room(&mut self) {
        self.volume.sync().unwrap();
        self.volume.set_committed(Lsn(u64::MAX - 1));
        write_back_all(&self.volume);
        assert!(self.volume.positions().checkpoint == self.volume.positions().head);
    }

    /// One of the snapshots that there will be.
    fn some_snapshot(&self, which: u64) -> Option<SnapshotId> {
        let reference = &self.known.reference;
        let whole = reference.whole_at(reference.head());
        let names: Vec<SnapshotId> = whole.snapshots.keys().copied().collect();
        let count = names.len() as u64;
        (count > 0).then(|| names[(which % count) as usize])
    }

    fn operate(&mut self, operation: VolumeOperation) {
        self.begin_epoch();
        let epoch = self.volume.promise().epoch;
        match self.volume.append_operation(epoch, &operation) {
            Ok(_) => self.known.reference.push(RefEntry {
                epoch,
                kind: operation.kind(),
                range: None,
                tag: 0,
                operation: Some(operation),
            }),
            Err(AppendError::LogFull { .. } | AppendError::Restoring { .. }) => self.make_room(),
            Err(AppendError::Untrusted) => assert!(self.known.blank),
            // Nothing was promised yet, or an epoch must begin first.
            Err(error) => panic!("{error}"),
        }
    }

    /// Several entries as a replica takes them.
    fn append_many(&mut self, count: u64) {
        self.begin_epoch();
        let epoch = self.volume.promise().epoch;
        let mut longer = self.known.reference.clone();
        let mut entries = Vec::new();
        for _ in 0..count {
            let tag = self.tag();
            let start = self.rng.below(BLOCKS);
            longer.push(RefEntry {
                epoch,
                kind: EntryKind::Write,
                range: Some(BlockRange::new(start, 1).unwrap()),
                tag,
                operation: None,
            });
            entries.push(longer.as_entry(longer.head()));
        }
        match self.volume.append_entries(self.volume.last(), &entries) {
            Ok(_) => self.known.reference = longer,
            Err(AppendError::LogFull { .. }) => {}
            Err(AppendError::Untrusted) => assert!(self.known.blank),
            Err(error) => panic!("{error}"),
        }
    }

    fn truncate(&mut self, back: u64) -> bool {
        let positions = self.volume.positions();
        if self.known.blank {
            assert!(self.volume.truncate(positions.head).is_err());
            return false;
        }
        let to = Lsn(positions.head.0.saturating_sub(back)).max(positions.extent_bound);
        self.volume.truncate(to).unwrap();
        self.known.reference.cut(to);
        self.needs_epoch = true;
        true
    }

    fn install(&mut self, finish: bool) {
        let target = Lsn(self.known.reference.head().0 + 3);
        let install = self.volume.begin_install_of(BLOCKS).unwrap();
        let image: Vec<u64> = (0..BLOCKS)
            .map(|_| self.rng.below(2) * self.next_tag)
            .collect();
        let data: Vec<u8> = image.iter().flat_map(|tag| filled(*tag, 1)).collect();
        const { assert!(BLOCKS <= CHUNK_BLOCKS, "one chunk") };
        let digest = ChunkDigest::of(&data);
        install.install(0, &data, digest).unwrap();
        self.known.blank = true;
        self.known.reference = Reference::blank(BLOCKS);
        self.needs_epoch = true;
        if !finish {
            return;
        }
        let epoch = self.volume.promise().epoch;
        let lineage = match epoch {
            Epoch(0) => return, // nothing promised yet: no base to have
            epoch => Lineage::new(vec![LineageEntry {
                epoch,
                first: Lsn(1),
            }])
            .unwrap(),
        };
        let manifest = BaseManifest {
            volume: VolumeId(Uuid::from_u128(0xa1)),
            blocks: BLOCKS,
            base_lsn: target,
            extent_bound: target,
            lineage: lineage.clone(),
            digest: ImageDigest::of([digest]),
        };
        install.finish(&manifest).unwrap();
        self.known.blank = false;
        self.known.reference = Reference {
            base_lsn: target,
            base: image,
            base_lineage: lineage,
            log: Vec::new(),
        };
    }

    /// The machine stops here and the history goes on from what it left.
    fn crash(&mut self, seed: u64, how: u8) {
        let how = match how {
            0 => Crash::KeepAll,
            1 => Crash::KeepNone,
            _ => Crash::Sectors(seed),
        };
        self.try_every_image();
        self.pin = None;
        let image = self.storage.crash(self.storage.ops(), how);
        self.storage = image;
        self.volume = open(&self.storage);
        self.check(
            &self.known.clone(),
            self.known.durable,
            &self.volume,
            &self.storage,
        );
        if !self.known.blank {
            self.known.reference.cut(self.volume.positions().head);
        }
        self.known.durable = self.volume.positions().durable;
        self.known.promise = self.volume.promise();
        self.needs_epoch = true;
    }

    /// Opens crash images of every operation boundary so far, and forgets the boundaries.
    fn try_every_image(&mut self) {
        for window in std::mem::take(&mut self.windows) {
            for op in window.first_op..=window.last_op {
                let kinds = [
                    Crash::KeepNone,
                    Crash::KeepAll,
                    Crash::Sectors(self.rng.next_u64()),
                    Crash::Sectors(self.rng.next_u64()),
                ];
                for how in kinds {
                    self.images += 1;
                    self.try_image(&window, op, how);
                }
                let whole = !window.after.blank && (op == window.last_op || !window.replaces);
                if whole && self.rng.below(8) == 0 {
                    self.images += 1;
                    self.try_killed(&window, op);
                }
            }
        }
    }

    fn try_image(&self, window: &Window, op: usize, how: Crash) {
        let image = self.storage.crash(op, how);
        let opened = Volume::open_on(image.disks(), quiet_options(), Recovery::Strict);
        let volume = match opened {
            Ok(volume) => volume,
            Err(error) => panic!("{:?}, crash {how:?} after op {op}: {error}", window.step),
        };
        let done = op == window.last_op;
        let promise = volume.promise();
        assert_eq!(promise.role, Role::None, "a restarted node has no role");
        let durable = |promise: Promise| (promise.epoch, promise.leader, promise.session);
        let kept = durable(promise);
        let old = durable(window.before.promise);
        let new = durable(window.after.promise);
        assert!(kept == new || (!done && kept == old), "{:?}", window.step);
        let context = format!("{:?}, crash {how:?} after op {op}", window.step);
        let _on_panic = OnPanic(&context);
        if done {
            self.check(&window.after, window.after.durable, &volume, &image);
        } else if !window.replaces {
            self.check(&window.after, window.before.durable, &volume, &image);
        } else if window.after.blank || volume.positions().extent_bound == Lsn::MAX {
            self.check_replacement(window, &volume, &image);
        } else {
            self.check_either(window, &volume, &image);
        }
        if how == Crash::KeepAll && done {
            let head = window.after.reference.head();
            assert_eq!(
                volume.positions().head,
                head,
                "a dead process loses nothing"
            );
        }
    }

    /// The process dies, another one goes on over what the system's cache shows, and only then
    /// power fails: what the second one relied upon must have been durable by then (F14, F16).
    fn try_killed(&self, window: &Window, op: usize) {
        let context = format!("{:?}, killed after op {op}", window.step);
        let _on_panic = OnPanic(&context);
        let killed = self.storage.kill(op);
        let volume = open(&killed);
        let durable = volume.positions().durable;
        volume.set_committed(Lsn(u64::MAX - 1));
        write_back_all(&volume);
        drop(volume);
        let image = killed.crash(killed.ops(), Crash::KeepNone);
        let volume = open(&image);
        self.check(&window.after, durable, &volume, &image);
    }

    /// Begun or finished installs: the old log, the marker, or the new base.
    fn check_replacement(&self, window: &Window, volume: &Volume, image: &SimStorage) {
        if volume.positions().extent_bound == Lsn::MAX {
            assert!(!volume.positions().is_trusted());
            assert_eq!(volume.positions().head, Lsn::ZERO);
        } else {
            self.check(&window.before, window.before.durable, volume, image);
        }
    }

    /// Cuts: the old log with what was durable of it, or the cut one, whole.
    fn check_either(&self, window: &Window, volume: &Volume, image: &SimStorage) {
        let after = &window.after;
        let head = volume.positions().head;
        if head == after.reference.head() && after.reference.base_lsn > Lsn::ZERO {
            // A base of the same or another history: the lineage and blocks tell which.
            let is_new = volume.lineage() == after.reference.lineage_at(head)
                && reference::read_all(volume) == after.reference.image_at(head);
            let known = if is_new { after } else { &window.before };
            self.check(known, known.durable.min(head), volume, image);
        } else if head == after.reference.head() {
            self.check(after, head, volume, image);
        } else {
            self.check(&window.before, window.before.durable, volume, image);
        }
    }

    fn check(&self, known: &Known, durable: Lsn, volume: &Volume, storage: &SimStorage) {
        if known.blank {
            assert!(!volume.positions().is_trusted());
            return;
        }
        let positions = volume.positions();
        assert!(positions.is_trusted(), "{positions}");
        assert!(
            positions.head >= durable,
            "durable {durable} was lost: {positions}"
        );
        known.reference.assert_extent_bounded(volume, storage);
        known.reference.assert_holds(volume);
        if volume.restoring().is_some() {
            // Redone from whatever the crash left of it.
            volume.sync().unwrap();
            volume.set_committed(Lsn(u64::MAX - 1));
            write_back_all(volume);
            known.reference.assert_holds(volume);
        }
    }
}

/// Says where a check failed.
struct OnPanic<'a>(&'a str);

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in: {}", self.0);
        }
    }
}

fn run_histories(cases: u32, default_seed: u64) {
    let seed = seed_from_env(default_seed);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 300,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let images = std::cell::Cell::new(0);
    let result = runner.run(&(steps(), any::<u64>()), |(steps, seed)| {
        let mut run = Run::new(seed);
        for step in &steps {
            run.step(step);
        }
        run.try_every_image();
        if !run.known.blank {
            run.known.reference.assert_holds(&run.volume);
        }
        images.set(images.get() + run.images);
        Ok(())
    });
    // Past the test harness, which keeps what a passing test prints to itself.
    let told = writeln!(
        std::io::stdout().lock(),
        "HOLDFAST_SEED={seed}: {cases} histories, {} crash images recovered",
        images.get()
    );
    told.expect("standard output takes a line");
    if let Err(error) = result {
        panic!("HOLDFAST_SEED={seed}: {error}");
    }
    assert!(images.get() > u64::from(cases), "images were tried");
}

#[test]
fn f20_every_crash_image_of_random_histories_recovers_what_was_promised() {
    let asked = std::env::var("HOLDFAST_HISTORIES").ok();
    let histories = asked.and_then(|number| number.parse().ok()).unwrap_or(60);
    run_histories(histories, 20_261_123);
}
