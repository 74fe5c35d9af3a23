//! A simulated pair of disks that keeps what is durable apart from what is only written, and can
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
//! * Bytes at rest change on demand.
//!
//! Everything random comes from a seed; the same seed gives the same image.

mod rng;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holdfast_types::BLOCK_SIZE;

use crate::disk::{Disk, Disks, SECTOR};
use crate::error::{DiskError, DiskOp};
use crate::options::FormatOptions;
use crate::store;

pub use rng::{SimRng, seed_from_env};

/// One of the two disks of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Superblock slots and log ring.
    Log,
    /// The flat image.
    Extent,
}

impl Medium {
    fn index(self) -> usize {
        match self {
            Self::Log => 0,
            Self::Extent => 1,
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

#[derive(Debug)]
struct World {
    /// Content when the recording began.
    initial: [Vec<u8>; 2],
    visible: [Vec<u8>; 2],
    journal: Vec<Op>,
    faults: [Faults; 2],
}

/// Two simulated disks; clones share them.
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

    /// Disks with this durable content.
    #[must_use]
    pub fn from_images(log: Vec<u8>, extent: Vec<u8>) -> Self {
        let initial = [log, extent];
        Self {
            world: Arc::new(Mutex::new(World {
                visible: initial.clone(),
                initial,
                journal: Vec::new(),
                faults: [Faults::default(); 2],
            })),
        }
    }

    /// The disks, for a store.
    #[must_use]
    pub fn disks(&self) -> Disks {
        let disk = |medium| {
            Arc::new(SimDisk {
                storage: self.clone(),
                medium,
            })
        };
        Disks {
            log: disk(Medium::Log),
            extent: disk(Medium::Extent),
        }
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
        self.lock().faults[medium.index()] = faults;
    }

    /// Changes a byte at rest: both what reads show and what a crash leaves.
    pub fn corrupt(&self, medium: Medium, offset: u64, xor: u8) {
        let mut world = self.lock();
        let value = world.visible[medium.index()][offset as usize] ^ xor;
        world.visible[medium.index()][offset as usize] = value;
        let write = Op::Write {
            medium,
            offset,
            data: Arc::from([value]),
        };
        world.journal.push(write);
        world.journal.push(Op::Sync { medium });
    }

    /// What reads of a disk show at present.
    #[must_use]
    pub fn visible(&self, medium: Medium) -> Vec<u8> {
        self.lock().visible[medium.index()].clone()
    }

    /// The disks as they are after a crash that came when `ops` operations had returned.
    #[must_use]
    pub fn crash(&self, ops: usize, how: Crash) -> Self {
        let world = self.lock();
        let [log, extent] =
            [Medium::Log, Medium::Extent].map(|medium| Image::replay(&world, medium, ops, how));
        drop(world);
        Self::from_images(log, extent)
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One disk's content while its journal is replayed.
struct Image {
    durable: Vec<u8>,
    pending: Vec<(u64, Arc<[u8]>)>,
    how: Crash,
    rng: SimRng,
}

impl Image {
    fn replay(world: &World, which: Medium, ops: usize, how: Crash) -> Vec<u8> {
        let seed = match how {
            Crash::Sectors(seed) => seed,
            Crash::KeepAll | Crash::KeepNone => 0,
        };
        let mut image = Self {
            durable: world.initial[which.index()].clone(),
            pending: Vec::new(),
            how,
            rng: SimRng::new(seed ^ (which.index() as u64) << 63),
        };
        for op in &world.journal[..ops.min(world.journal.len())] {
            match op {
                Op::Write {
                    medium,
                    offset,
                    data,
                } if *medium == which => image.pending.push((*offset, Arc::clone(data))),
                Op::Punch {
                    medium,
                    offset,
                    len,
                } if *medium == which => {
                    image.pending.push((*offset, vec![0; *len as usize].into()));
                }
                Op::Sync { medium } if *medium == which => image.resolve(Crash::KeepAll),
                Op::FailedSync { medium } if *medium == which => image.resolve(image.how),
                Op::Write { .. } | Op::Punch { .. } | Op::Sync { .. } | Op::FailedSync { .. } => {}
            }
        }
        image.resolve(how);
        image.durable
    }

    /// Decides what of the pending writes lands.
    fn resolve(&mut self, how: Crash) {
        for (offset, data) in std::mem::take(&mut self.pending) {
            // Whole writes are often lost or kept as one; else their sectors scatter.
            let scatter = match how {
                Crash::KeepAll => Some(true),
                Crash::KeepNone => Some(false),
                Crash::Sectors(_) => match self.rng.below(4) {
                    0 => Some(true),
                    1 => Some(false),
                    _ => None,
                },
            };
            let mut at = 0;
            while at < data.len() {
                let here = offset + at as u64;
                let to_boundary = (SECTOR - here % SECTOR) as usize;
                let end = data.len().min(at + to_boundary);
                if scatter.unwrap_or_else(|| self.rng.below(2) == 0) {
                    let place = here as usize;
                    self.durable[place..place + end - at].copy_from_slice(&data[at..end]);
                }
                at = end;
            }
        }
    }
}

/// One simulated disk.
#[derive(Debug)]
struct SimDisk {
    storage: SimStorage,
    medium: Medium,
}

impl SimDisk {
    fn refused(&self, op: DiskOp, offset: u64, len: u64, kind: io::ErrorKind) -> DiskError {
        DiskError::new(op, self.name(), offset, len, &io::Error::from(kind))
    }

    fn check_bounds(&self, op: DiskOp, offset: u64, len: u64) -> Result<(), DiskError> {
        let size = self.storage.lock().visible[self.medium.index()].len() as u64;
        if offset.checked_add(len).is_some_and(|end| end <= size) {
            Ok(())
        } else {
            Err(self.refused(op, offset, len, io::ErrorKind::UnexpectedEof))
        }
    }

    fn put(&self, offset: u64, data: &[u8]) {
        let mut world = self.storage.lock();
        let at = offset as usize;
        world.visible[self.medium.index()][at..at + data.len()].copy_from_slice(data);
        world.journal.push(Op::Write {
            medium: self.medium,
            offset,
            data: Arc::from(data),
        });
    }

    fn faults(&self) -> Faults {
        self.storage.lock().faults[self.medium.index()]
    }
}

impl Disk for SimDisk {
    fn name(&self) -> &str {
        match self.medium {
            Medium::Log => "simulated log",
            Medium::Extent => "simulated extent",
        }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let len = buf.len() as u64;
        self.check_bounds(DiskOp::Read, offset, len)?;
        if self.faults().reads {
            return Err(self.refused(DiskOp::Read, offset, len, io::ErrorKind::Other));
        }
        let at = offset as usize;
        let world = self.storage.lock();
        buf.copy_from_slice(&world.visible[self.medium.index()][at..at + buf.len()]);
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), DiskError> {
        let len = data.len() as u64;
        self.check_bounds(DiskOp::Write, offset, len)?;
        let faults = self.faults();
        if faults.writes {
            return Err(self.refused(DiskOp::Write, offset, len, io::ErrorKind::Other));
        }
        if faults.no_space {
            self.put(offset, &data[..data.len() / 2]);
            return Err(self.refused(DiskOp::Write, offset, len, io::ErrorKind::StorageFull));
        }
        self.put(offset, data);
        Ok(())
    }

    fn punch(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        self.check_bounds(DiskOp::Punch, offset, len)?;
        if self.faults().writes {
            return Err(self.refused(DiskOp::Punch, offset, len, io::ErrorKind::Other));
        }
        let mut world = self.storage.lock();
        world.visible[self.medium.index()][offset as usize..(offset + len) as usize].fill(0);
        world.journal.push(Op::Punch {
            medium: self.medium,
            offset,
            len,
        });
        Ok(())
    }

    fn sync(&self) -> Result<(), DiskError> {
        let medium = self.medium;
        if self.faults().syncs {
            self.storage.lock().journal.push(Op::FailedSync { medium });
            return Err(self.refused(DiskOp::Sync, 0, 0, io::ErrorKind::Other));
        }
        self.storage.lock().journal.push(Op::Sync { medium });
        Ok(())
    }

    fn len(&self) -> Result<u64, DiskError> {
        Ok(self.storage.lock().visible[self.medium.index()].len() as u64)
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
        let mut seen = std::collections::BTreeSet::new();
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
