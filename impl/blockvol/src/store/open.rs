//! Opening a store: which superblock is in force, what its log holds, and whether anything that
//! was durable is missing. Recovery rebuilds memory; it writes no extent.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use holdfast_types::{BLOCK_SIZE, Lineage, Lsn, VolumeOperation};

use super::Store;
use super::damage::KnownDamage;
use super::meta::Copies;
use super::scrub::ScrubPlace;
use super::snapshots::open_chain;
use crate::disk::{DiskError, Disks};
use crate::error::{Damage, OpenError, SyncError};
use crate::extent::{Extent, sums_len};
use crate::index::DirtyIndex;
use crate::log::entries::Entries;
use crate::log::ring::Ring;
use crate::log::scan::{LogEnd, Rules, Scan};
use crate::options::{FormatOptions, MAX_BLOCKS, VolumeOptions};
use crate::positions::Role;
use crate::recent::Recent;
use crate::superblock::{Floor, RING_OFFSET, SLOT_OFFSETS, Superblock, choose, read_slots};

/// Bytes of log that are written again at a time.
const REWRITE_BYTES: u64 = 1 << 20;

/// What to do about a log that is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Refuse, and change nothing.
    Strict,
    /// Empty the log and mark the store untrusted, durably: it can be rebuilt, nothing else.
    /// Identity and promises stay. Undamaged stores open as usual.
    DiscardDamaged,
}

/// The length of the log's file or device.
pub(crate) fn log_disk_len(ring_bytes: u64) -> u64 {
    RING_OFFSET + ring_bytes
}

/// Writes the first superblocks of a new store onto blank disks and syncs them.
///
/// # Errors
/// What the disk said.
pub(crate) fn format(disks: &Disks, options: &FormatOptions) -> Result<(), DiskError> {
    let ring_bytes = ring_bytes(options);
    let mut superblock =
        Superblock::fresh(options.volume, options.store, options.blocks, ring_bytes);
    for _ in SLOT_OFFSETS {
        disks
            .log
            .write_at(superblock.slot_offset(), &superblock.encode())?;
        superblock.generation += 1;
    }
    disks.log.sync()
}

/// The size of the ring that is made for these options.
pub(crate) fn ring_bytes(options: &FormatOptions) -> u64 {
    options.log_bytes.next_multiple_of(BLOCK_SIZE as u64)
}

/// What a log holds.
pub(crate) struct Loaded {
    pub(crate) entries: Entries,
    pub(crate) index: DirtyIndex,
    pub(crate) lineage: Lineage,
    pub(crate) end: LogEnd,
    pub(crate) operations: VecDeque<(Lsn, VolumeOperation)>,
    /// An operation that cannot be read, though its checksums are good.
    pub(crate) unreadable: Option<Lsn>,
}

impl Loaded {
    /// What is broken, if anything is.
    pub(crate) fn damage(&self, ring: &Ring) -> Option<Damage> {
        let unreadable = self.unreadable.map(|lsn| Damage::LogPayload { lsn, at: 0 });
        self.end.damage(ring).or(unreadable)
    }
}

/// The superblock in force, once the disks are as long as it says.
pub(crate) fn load_superblock(disks: &Disks) -> Result<Superblock, OpenError> {
    let name = disks.log.name();
    let found = disks.log.len()?;
    if found < RING_OFFSET {
        return Err(OpenError::NotAStore {
            target: name.to_owned(),
            what: format!("{found} bytes are too few for a store"),
        });
    }
    let superblock = choose(read_slots(&*disks.log)?, name)?;
    let sizes = [
        (&disks.log, log_disk_len(superblock.ring_bytes)),
        (&disks.extent, superblock.blocks * BLOCK_SIZE as u64),
        (&disks.sums, sums_len(superblock.blocks)),
    ];
    for (disk, expected) in sizes {
        let found = disk.len()?;
        if found < expected {
            return Err(OpenError::Truncated {
                target: disk.name().to_owned(),
                found,
                expected,
            });
        }
    }
    Ok(superblock)
}

/// Reads the log of a superblock.
pub(crate) fn load_log(superblock: &Superblock, ring: &Ring) -> Result<Loaded, DiskError> {
    let mut entries = Entries::after(superblock.start.lsn);
    let mut index = DirtyIndex::default();
    let mut operations = VecDeque::new();
    let mut unreadable = None;
    let mut lineage = superblock.lineage.clone();
    lineage.truncate_to(superblock.start.lsn);
    let end = Scan::new(ring, Rules::of(superblock)).run(|lsn, meta, payload, sums| {
        entries.push(meta);
        if lsn > superblock.checkpoint {
            index.record(lsn, meta.kind, meta.range, sums);
            if meta.kind.is_operation() {
                match VolumeOperation::decode(meta.kind, payload) {
                    Ok(VolumeOperation::Grow { blocks }) if blocks > MAX_BLOCKS => {
                        unreadable = unreadable.or(Some(lsn));
                    }
                    Ok(operation) => operations.push_back((lsn, operation)),
                    Err(_) => unreadable = unreadable.or(Some(lsn)),
                }
            }
        }
        // Epochs in a log never go back: the chain of each entry names its predecessor's.
        let _ = lineage.record(meta.epoch, lsn);
    })?;
    Ok(Loaded {
        entries,
        index,
        lineage,
        end,
        operations,
        unreadable,
    })
}

impl Store {
    /// Opens and recovers. Everything is synced before anything in it counts as durable, then the
    /// superblock records a new incarnation (no role, F80) and a new log generation (what lies
    /// beyond the end never comes back), both durable before this returns.
    ///
    /// # Errors
    /// Any of [`OpenError`]; nothing was changed, unless the disk failed on the last step.
    pub fn open(
        disks: Disks,
        options: VolumeOptions,
        recovery: Recovery,
    ) -> Result<Self, OpenError> {
        let superblock = load_superblock(&disks)?;
        let ring = Ring::new(Arc::clone(&disks.log), superblock.ring_bytes);
        let loaded = load_log(&superblock, &ring)?;
        let damage = loaded.damage(&ring);
        let witnessed = loaded.end.witnessed;
        let mut store = Self::assemble(disks, ring, options, superblock, loaded);
        match (damage, recovery) {
            (None, Recovery::Strict | Recovery::DiscardDamaged) => {
                match (open_chain(&store.disks, &store.superblock), recovery) {
                    (Ok(chain), Recovery::Strict | Recovery::DiscardDamaged) => {
                        store.chain = Arc::new(chain);
                        store.settle_image()?;
                        store.prove_durable(witnessed)?;
                        store.begin_incarnation()?;
                    }
                    (Err(OpenError::Damaged(_)), Recovery::DiscardDamaged) => {
                        store.begin_incarnation_anew()?;
                    }
                    (Err(error), Recovery::Strict | Recovery::DiscardDamaged) => {
                        return Err(error);
                    }
                }
            }
            (Some(damage), Recovery::Strict) => return Err(damage.into()),
            (Some(_), Recovery::DiscardDamaged) => {
                store.begin_incarnation_anew()?;
            }
        }
        store.remove_leftovers()?;
        store.assert_ordered();
        Ok(store)
    }

    fn assemble(
        disks: Disks,
        ring: Ring,
        options: VolumeOptions,
        superblock: Superblock,
        loaded: Loaded,
    ) -> Self {
        let tail = loaded.end.point();
        Self {
            recent: Recent::new(tail.lsn, options.recent_bytes),
            committed: superblock.extent_bound.min(tail.lsn),
            durable: tail.lsn,
            durable_position: tail.position,
            retained: superblock.start,
            tail,
            entries: loaded.entries,
            index: loaded.index,
            lineage: loaded.lineage,
            operations: loaded.operations,
            chain: Arc::default(),
            drained: None,
            extent: Extent::new(&disks),
            disks,
            ring,
            options,
            superblock,
            meta_under_way: false,
            settled: false,
            pins: BTreeMap::new(),
            next_pin: 0,
            install: 0,
            poisoned: None,
            write_back_error: None,
            known_damage: KnownDamage::default(),
            repairs: 0,
            scrub: ScrubPlace::default(),
        }
    }

    /// Makes durable what a process that died left of image and snapshots in the system's cache. A
    /// block whose copy is named there would be overwritten, and the name could still be lost (F16).
    fn settle_image(&self) -> Result<(), DiskError> {
        self.extent.sync()?;
        self.chain.sync()
    }

    /// Makes the whole log durable, and the superblock that it was read by, before anything else is
    /// written: the next superblock goes to the other slot, and may tear the only durable one.
    ///
    /// What no witness proves is written again before the sync, the superblock too: after a failed
    /// sync the system may show bytes, and call them clean, that the disk never got (F14).
    fn prove_durable(&mut self, witnessed: Lsn) -> Result<(), DiskError> {
        let proven = witnessed.max(self.superblock.start.lsn);
        let mut position = self
            .point_after(proven)
            .map_or(self.tail.position, |point| point.position);
        let mut bytes = vec![0; REWRITE_BYTES.min(self.ring.bytes()) as usize];
        while position < self.tail.position {
            let step = (self.tail.position - position).min(bytes.len() as u64);
            let piece = &mut bytes[..step as usize];
            self.ring.read(position, piece)?;
            self.ring.write(position, piece)?;
            position += step;
        }
        let slot = self.superblock.encode();
        self.disks
            .log
            .write_at(self.superblock.slot_offset(), &slot)?;
        self.disks.log.sync()
    }

    fn begin_incarnation(&mut self) -> Result<(), OpenError> {
        let position = self.tail.position;
        self.write_meta(Copies::Both, |next| {
            next.promise.role = Role::None;
            next.promise.incarnation += 1;
            next.floor = Floor {
                position,
                generation: next.floor.generation + 1,
            };
        })
        .map_err(|poisoned| OpenError::Disk(*poisoned.cause))
    }

    /// The same for a store whose log is damaged: nothing of it counts any more.
    fn begin_incarnation_anew(&mut self) -> Result<(), OpenError> {
        // Beyond anything that the present ring can hold.
        self.tail.position = self.superblock.start.position + self.ring.bytes();
        self.durable = Lsn::ZERO;
        // Beyond every generation that a lost superblock could have counted to.
        self.superblock.floor.generation += 1 << 20;
        self.blank()
            .map_err(|poisoned| OpenError::Disk(*poisoned.cause))?;
        self.begin_incarnation()
    }

    /// Records a clean end: both superblocks know what is durable now.
    ///
    /// # Errors
    /// When the sync or the superblock write fails.
    pub fn close(&mut self) -> Result<(), SyncError> {
        self.sync()?;
        if let Some(step) = self.begin_settle()? {
            let result = step.run();
            self.finish_meta(step, result)?;
        }
        Ok(())
    }
}
