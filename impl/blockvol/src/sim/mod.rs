//! Simulated disks that keep what is durable apart from what is only written, and can
//! be cut off at any point: for the tests of this crate and of those above it, and for simulators.
//!
//! The fault model:
//!
//! * A write is visible to reads at once and durable after a later successful sync of the same
//!   disk. At a crash every *sector* of every write since then has landed or not, each for itself,
//!   in any order: writes are lost, reordered and torn. A sector is never half old and half new.
//! * A sync that fails resolves the writes before it in the same way, at that moment: what did not
//!   land then will not land by a later sync either, though reads still show it (F14).
//! * Reads, writes and syncs fail on demand; a write that runs out of space may have landed in
//!   part.
//! * Files of snapshots come and go at once and durably, as the real ones do.
//! * Bytes at rest change on demand.
//!
//! Everything random comes from a seed; the same seed gives the same image.

mod crash;
mod disk;
mod rng;
mod shelf;
pub mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holdfast_types::{BLOCK_SIZE, SnapshotId};

use crate::disk::{Disk, Disks};
use crate::extent;
use crate::options::FormatOptions;
use crate::store;

use crash::Image;
use disk::SimDisk;
use shelf::SimShelf;

pub use rng::{SimRng, seed_from_env};

/// One of the disks of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Medium {
    /// Superblock slots and log ring.
    Log,
    /// The flat image.
    Extent,
    /// The checksums of its blocks.
    Sums,
    /// The file of a snapshot.
    Snapshot(SnapshotId),
}

impl Medium {
    /// Tells the media apart in what is drawn from a seed.
    fn salt(self) -> u64 {
        match self {
            Self::Log => 0,
            Self::Extent => 1 << 63,
            Self::Sums => 1 << 62,
            Self::Snapshot(id) => (3 << 61) ^ id.lsn.0 ^ (id.epoch.0 << 32),
        }
    }
}

/// One recorded operation.
#[derive(Clone, Debug)]
pub enum Op {
    /// Bytes were written.
    Write {
        /// Where.
        medium: Medium,
        /// First byte.
        offset: u64,
        /// What.
        data: Arc<[u8]>,
    },
    /// A range was made to read as zeroes.
    Punch {
        /// Where.
        medium: Medium,
        /// First byte.
        offset: u64,
        /// How many.
        len: u64,
    },
    /// A file was made, of zeroes, in the place of any other; durable.
    Make {
        /// Which.
        medium: Medium,
        /// Its length.
        len: u64,
    },
    /// A file was removed; durable.
    Remove {
        /// Which.
        medium: Medium,
    },
    /// A file was made longer.
    Grow {
        /// Which.
        medium: Medium,
        /// Its new length.
        len: u64,
    },
    /// A sync succeeded.
    Sync {
        /// Where.
        medium: Medium,
    },
    /// A sync failed.
    FailedSync {
        /// Where.
        medium: Medium,
    },
}

impl Op {
    /// Where it happened.
    #[must_use]
    pub fn medium(&self) -> Medium {
        match self {
            Self::Write { medium, .. }
            | Self::Punch { medium, .. }
            | Self::Make { medium, .. }
            | Self::Remove { medium }
            | Self::Grow { medium, .. }
            | Self::Sync { medium }
            | Self::FailedSync { medium } => *medium,
        }
    }
}

/// What of the unsynced writes is there after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Everything: the process died, the machine did not.
    KeepAll,
    /// Nothing.
    KeepNone,
    /// Each sector for itself, by this seed.
    Sectors(u64),
}

/// Which operations fail, until it is taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Reads fail with an input/output error.
    pub reads: bool,
    /// Writes fail with an input/output error; nothing lands.
    pub writes: bool,
    /// Writes land in part, then fail for lack of space.
    pub no_space: bool,
    /// Syncs fail.
    pub syncs: bool,
}

type Files = BTreeMap<Medium, Vec<u8>>;

#[derive(Debug)]
struct World {
    /// Content when the recording began.
    initial: Files,
    visible: Files,
    journal: Vec<Op>,
    faults: BTreeMap<Medium, Faults>,
    /// What becomes of the files of snapshots.
    shelf_faults: Faults,
}

/// Simulated disks; clones share them.
#[derive(Clone)]
pub struct SimStorage {
    world: Arc<Mutex<World>>,
}

impl fmt::Debug for SimStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimStorage")
            .field("ops", &self.ops())
            .finish_non_exhaustive()
    }
}

impl SimStorage {
    /// A freshly formatted store, durable.
    ///
    /// # Panics
    /// Never: a simulated disk without faults takes every write.
    #[must_use]
    pub fn formatted(options: &FormatOptions) -> Self {
        let log = store::log_disk_len(store::ring_bytes(options)) as usize;
        let extent = options.blocks as usize * BLOCK_SIZE;
        let blank = Self::from_images(vec![0; log], vec![0; extent]);
        store::format(&blank.disks(), options).expect("a disk without faults");
        blank.crash(blank.ops(), Crash::KeepAll)
    }

    /// Disks with this durable content, and checksums that fit the image.
    #[must_use]
    pub fn from_images(log: Vec<u8>, extent: Vec<u8>) -> Self {
        let blocks = (extent.len() / BLOCK_SIZE) as u64;
        let mut sums = vec![0; extent::sums_len(blocks) as usize];
        for (block, content) in extent.chunks_exact(BLOCK_SIZE).enumerate() {
            if content.iter().any(|byte| *byte != 0) {
                let sum = extent::sum_of(block as u64, content);
                sums[block * 4..block * 4 + 4].copy_from_slice(&sum.to_le_bytes());
            }
        }
        Self::from_files(BTreeMap::from([
            (Medium::Log, log),
            (Medium::Extent, extent),
            (Medium::Sums, sums),
        ]))
    }

    fn from_files(files: Files) -> Self {
        Self {
            world: Arc::new(Mutex::new(World {
                visible: files.clone(),
                initial: files,
                journal: Vec::new(),
                faults: BTreeMap::new(),
                shelf_faults: Faults::default(),
            })),
        }
    }

    /// The disks, for a store.
    #[must_use]
    pub fn disks(&self) -> Disks {
        Disks {
            log: self.disk(Medium::Log),
            extent: self.disk(Medium::Extent),
            sums: self.disk(Medium::Sums),
            snapshots: Arc::new(SimShelf {
                storage: self.clone(),
            }),
        }
    }

    fn disk(&self, medium: Medium) -> Arc<dyn Disk> {
        Arc::new(SimDisk {
            storage: self.clone(),
            medium,
        })
    }

    /// The files of snapshots that are there.
    #[must_use]
    pub fn snapshot_files(&self) -> Vec<SnapshotId> {
        let world = self.lock();
        world
            .visible
            .keys()
            .filter_map(|medium| match medium {
                Medium::Snapshot(id) => Some(*id),
                Medium::Log | Medium::Extent | Medium::Sums => None,
            })
            .collect()
    }

    /// How many operations were recorded so far.
    #[must_use]
    pub fn ops(&self) -> usize {
        self.lock().journal.len()
    }

    /// The operations recorded so far.
    #[must_use]
    pub fn journal(&self) -> Vec<Op> {
        self.lock().journal.clone()
    }

    /// Sets which operations of a disk fail from now on.
    pub fn set_faults(&self, medium: Medium, faults: Faults) {
        self.lock().faults.insert(medium, faults);
    }

    /// Sets which operations on the files of snapshots fail from now on, whichever they are.
    pub fn set_snapshot_faults(&self, faults: Faults) {
        self.lock().shelf_faults = faults;
    }

    /// Changes a byte at rest: both what reads show and what a crash leaves.
    ///
    /// # Panics
    /// When there is no such byte.
    pub fn corrupt(&self, medium: Medium, offset: u64, xor: u8) {
        let mut world = self.lock();
        let file = world.visible.get_mut(&medium).expect("the file is there");
        let value = file[offset as usize] ^ xor;
        file[offset as usize] = value;
        let write = Op::Write {
            medium,
            offset,
            data: Arc::from([value]),
        };
        world.journal.push(write);
        world.journal.push(Op::Sync { medium });
    }

    /// What reads of a disk show at present; nothing of a file that is not there.
    #[must_use]
    pub fn visible(&self, medium: Medium) -> Vec<u8> {
        let world = self.lock();
        world.visible.get(&medium).cloned().unwrap_or_default()
    }

    /// The disks as they are after a crash that came when `ops` operations had returned.
    #[must_use]
    pub fn crash(&self, ops: usize, how: Crash) -> Self {
        let world = self.lock();
        let journal = &world.journal[..ops.min(world.journal.len())];
        let mut media: BTreeSet<Medium> = world.initial.keys().copied().collect();
        media.extend(journal.iter().filter_map(|op| match op {
            Op::Make { medium, .. } => Some(*medium),
            Op::Write { .. }
            | Op::Punch { .. }
            | Op::Remove { .. }
            | Op::Grow { .. }
            | Op::Sync { .. }
            | Op::FailedSync { .. } => None,
        }));
        let files = media
            .into_iter()
            .filter_map(|medium| {
                let initial = world.initial.get(&medium).cloned();
                Some((medium, Image::replay(initial, journal, medium, how)?))
            })
            .collect();
        drop(world);
        Self::from_files(files)
    }

    /// The disks after the death of the process alone, which came when `ops` operations had returned:
    /// reads show everything that was written, and what was not synced a power loss may still take.
    #[must_use]
    pub fn kill(&self, ops: usize) -> Self {
        let shown = self.crash(ops, Crash::KeepAll);
        let world = self.lock();
        {
            let mut killed = shown.lock();
            killed.initial = world.initial.clone();
            killed.journal = world.journal[..ops.min(world.journal.len())].to_vec();
        }
        drop(world);
        shown
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage() -> SimStorage {
        SimStorage::from_images(vec![0; 4096], vec![0; 4096])
    }

    #[test]
    fn a_synced_write_survives_every_crash_and_an_unsynced_one_may_be_torn() {
        let storage = storage();
        let log = storage.disks().log;
        log.write_at(0, &[1; 1024]).unwrap();
        log.sync().unwrap();
        log.write_at(512, &[2; 1536]).unwrap();
        let mut seen = BTreeSet::new();
        for seed in 0..200 {
            let image = storage.crash(3, Crash::Sectors(seed)).visible(Medium::Log);
            assert_eq!(image[0], 1);
            assert!(image[512] == 1 || image[512] == 2);
            seen.insert((image[512], image[1024], image[1536]));
        }
        assert_eq!(seen.len(), 8, "every combination of three sectors");
    }

    #[test]
    fn what_a_failed_sync_lost_is_not_saved_by_the_next_one() {
        let storage = storage();
        let log = storage.disks().log;
        log.write_at(0, &[1; 512]).unwrap();
        let syncs = Faults {
            syncs: true,
            ..Faults::default()
        };
        storage.set_faults(Medium::Log, syncs);
        assert!(log.sync().is_err());
        storage.set_faults(Medium::Log, Faults::default());
        log.sync().unwrap();
        let image = storage.crash(storage.ops(), Crash::KeepNone);
        assert_eq!(image.visible(Medium::Log)[0], 0);
        assert_eq!(storage.visible(Medium::Log)[0], 1);
    }
}
