//! A disk in two layers, as the specification has it: every sector as reads show it, and those that a
//! power loss would leave otherwise. What a write changes and what a sync makes durable is for the
//! rig to say, so that a step of the volume can be stopped at its sync, carried out block by block,
//! and a sync made to cover no more than the specification counts on.
//!
//! It promises what [`Disk`] does, except where the rig takes a part of it away on purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holdfast_blockvol::sim::Medium;
use holdfast_blockvol::{Disk, DiskError, DiskOp, Disks, SECTOR, Shelf};
use holdfast_types::{BLOCK_SIZE, SnapshotId};

use super::layout::{self, BLOCKS};

const BYTES: usize = SECTOR as usize;
/// Bytes of a snapshot's file before its map, and of the map.
const PAGE: u64 = 4096;
/// Where a snapshot's file keeps its blocks.
const COPIES: u64 = 2 * PAGE;

type Sector = Arc<[u8; BYTES]>;

/// One file: what reads show of each sector, and what is durable where that is something else.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    cached: Vec<Option<Sector>>,
    unsynced: BTreeMap<u64, Option<Sector>>,
    abandoned: BTreeSet<u64>,
}

fn same(a: Option<&Sector>, b: Option<&Sector>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a == b,
        (Some(a), None) | (None, Some(a)) => a.iter().all(|byte| *byte == 0),
    }
}

impl File {
    /// A durable file of this content.
    pub(super) fn of(content: &[u8]) -> Self {
        let mut file = Self::zeroes(content.len() as u64);
        file.put(0, content);
        file.unsynced.clear();
        file
    }

    fn zeroes(len: u64) -> Self {
        Self {
            cached: vec![None; len.div_ceil(SECTOR) as usize],
            ..Self::default()
        }
    }

    fn len(&self) -> u64 {
        self.cached.len() as u64 * SECTOR
    }

    fn get(&self, offset: u64, out: &mut [u8]) {
        let mut at = offset as usize;
        let end = at + out.len();
        let mut out = out;
        while at < end {
            let within = at % BYTES;
            let count = (BYTES - within).min(end - at);
            let (here, rest) = out.split_at_mut(count);
            match &self.cached[at / BYTES] {
                Some(sector) => here.copy_from_slice(&sector[within..within + count]),
                None => here.fill(0),
            }
            out = rest;
            at += count;
        }
    }

    fn put(&mut self, offset: u64, data: &[u8]) {
        let mut at = offset as usize;
        let mut data = data;
        while !data.is_empty() {
            let within = at % BYTES;
            let count = (BYTES - within).min(data.len());
            let (here, rest) = data.split_at(count);
            self.put_within(at / BYTES, within, here);
            data = rest;
            at += count;
        }
    }

    fn put_within(&mut self, sector: usize, within: usize, data: &[u8]) {
        let old = self.cached[sector].clone();
        let mut bytes = old.as_deref().copied().unwrap_or([0; BYTES]);
        if bytes[within..within + data.len()] == *data {
            return;
        }
        bytes[within..within + data.len()].copy_from_slice(data);
        let new = Some(Arc::new(bytes));
        let number = sector as u64;
        let durable = self.unsynced.entry(number).or_insert(old);
        if same(durable.as_ref(), new.as_ref()) {
            self.unsynced.remove(&number);
        }
        self.cached[sector] = new;
    }

    /// The sectors of a range of bytes that are not durable as reads show them.
    pub(super) fn unsynced_in(&self, from: u64, to: u64) -> Vec<u64> {
        let sectors = from / SECTOR..to.div_ceil(SECTOR);
        self.unsynced.range(sectors).map(|(at, _)| *at).collect()
    }

    /// Whether any sector of a range is not durable as reads show it.
    pub(super) fn is_unsynced(&self, from: u64, to: u64) -> bool {
        let sectors = from / SECTOR..to.div_ceil(SECTOR);
        self.unsynced.range(sectors).next().is_some()
    }

    /// Makes sectors durable as they are.
    pub(super) fn land(&mut self, sectors: impl IntoIterator<Item = u64>) {
        for sector in sectors {
            self.unsynced.remove(&sector);
        }
    }

    fn sync(&mut self, covered: impl Fn(u64) -> bool) {
        let abandoned = &self.abandoned;
        self.unsynced
            .retain(|sector, _| abandoned.contains(sector) || !covered(*sector));
    }

    fn abandon(&mut self, covered: impl Fn(u64) -> bool) {
        let lost = self.unsynced.keys().copied().filter(|at| covered(*at));
        self.abandoned.extend(lost);
    }

    fn drop_abandoned(&mut self) {
        for sector in std::mem::take(&mut self.abandoned) {
            if let Some(durable) = self.unsynced.remove(&sector) {
                self.cached[sector as usize] = durable;
            }
        }
    }

    /// What is durable, and nothing else.
    fn lose_power(&mut self) {
        for (sector, durable) in std::mem::take(&mut self.unsynced) {
            self.cached[sector as usize] = durable;
        }
        self.abandoned.clear();
    }

    /// Turns every bit of a byte, durably.
    fn flip(&mut self, at: u64) {
        let sector = at / SECTOR;
        let mut byte = [0];
        self.get(at, &mut byte);
        self.put(at, &[!byte[0]]);
        self.unsynced.remove(&sector);
    }

    /// Bytes as a power loss would leave them.
    pub(super) fn durable(&self, offset: u64, len: usize) -> Vec<u8> {
        let mut left = self.clone();
        left.unsynced.retain(|sector, _| {
            (offset / SECTOR..=(offset + len as u64) / SECTOR).contains(sector)
        });
        left.lose_power();
        left.bytes(offset, len)
    }

    /// Bytes as reads show them.
    pub(super) fn bytes(&self, offset: u64, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        self.get(offset, &mut out);
        out
    }
}

/// All files of a store.
#[derive(Clone, Debug, Default)]
pub(super) struct Files(BTreeMap<Medium, Arc<File>>);

impl Files {
    pub(super) fn insert(&mut self, medium: Medium, file: File) {
        self.0.insert(medium, Arc::new(file));
    }

    pub(super) fn file(&self, medium: Medium) -> Option<&File> {
        self.0.get(&medium).map(|file| &**file)
    }

    pub(super) fn file_mut(&mut self, medium: Medium) -> Option<&mut File> {
        self.0.get_mut(&medium).map(Arc::make_mut)
    }

    pub(super) fn media(&self) -> Vec<Medium> {
        self.0.keys().copied().collect()
    }

    /// Power is lost: nothing but what is durable is left.
    pub(super) fn lose_power(&mut self) {
        self.0
            .values_mut()
            .for_each(|file| Arc::make_mut(file).lose_power());
    }

    /// What reads show of what a failed sync left becomes what is durable.
    pub(super) fn drop_abandoned(&mut self) {
        for file in self.0.values_mut() {
            if !file.abandoned.is_empty() {
                Arc::make_mut(file).drop_abandoned();
            }
        }
    }

    /// Damages bytes at rest.
    pub(super) fn damage(&mut self, medium: Medium, places: &[u64]) {
        if let Some(file) = self.file_mut(medium) {
            places.iter().for_each(|at| file.flip(*at));
        }
    }
}

/// What a sync does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Sync {
    /// It makes everything durable.
    #[default]
    All,
    /// It makes these bytes durable, of whichever file is synced.
    Only(Vec<(u64, u64)>),
    /// It does nothing and is refused: the rig stops here.
    Stop,
    /// It fails: what it should have made durable of these bytes never will be.
    Fail(Vec<(u64, u64)>),
}

/// What the rig lets through.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate {
    /// Of log and superblocks.
    pub(super) log: Sync,
    /// Of image and sums.
    pub(super) image: Sync,
    /// Blocks whose image and sums may change; all of them unless told. Others are passed over in
    /// silence: writes of a run come one at a time, in any order.
    pub(super) written: Option<BTreeSet<u64>>,
    /// The same for what is copied out.
    pub(super) copied: Option<BTreeSet<u64>>,
    /// What the first look at a snapshot's map shows, if that came earlier.
    pub(super) earlier_map: Option<Vec<u8>>,
    /// At every sync of the log the files are kept as they were before it.
    pub(super) record: bool,
}

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) files: Files,
    pub(super) gate: Gate,
    /// See [`Gate::record`].
    pub(super) recorded: Vec<Files>,
}

/// The disks of one system; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub(super) fn new(files: Files) -> Self {
        let shared = Self::default();
        shared.lock().files = files;
        shared
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What passes from now on.
    pub(super) fn pass(&self, gate: Gate) {
        self.lock().gate = gate;
    }

    pub(super) fn disks(&self) -> Disks {
        let disk = |medium| -> Arc<dyn Disk> {
            Arc::new(Layered {
                world: self.clone(),
                medium,
            })
        };
        Disks {
            log: disk(Medium::Log),
            extent: disk(Medium::Extent),
            sums: disk(Medium::Sums),
            snapshots: Arc::new(self.clone()),
        }
    }
}

#[derive(Debug)]
struct Layered {
    world: Shared,
    medium: Medium,
}

impl Layered {
    fn refused(&self, op: DiskOp, kind: io::ErrorKind) -> DiskError {
        DiskError::new(op, self.name(), 0, 0, &io::Error::from(kind))
    }

    fn change(&self, op: DiskOp, offset: u64, data: &[u8]) -> Result<(), DiskError> {
        let mut world = self.world.lock();
        let pieces = admitted(&world.gate, self.medium, offset, data.len() as u64);
        let file = world.files.file_mut(self.medium);
        let file = file.filter(|file| offset + data.len() as u64 <= file.len());
        let Some(file) = file else {
            return Err(self.refused(op, io::ErrorKind::UnexpectedEof));
        };
        for (from, to) in pieces {
            let piece = &data[(from - offset) as usize..(to - offset) as usize];
            file.put(from, piece);
        }
        Ok(())
    }
}

/// The pieces of a write that pass.
fn admitted(gate: &Gate, medium: Medium, offset: u64, len: u64) -> Vec<(u64, u64)> {
    let block = BLOCK_SIZE as u64;
    let whole = vec![(offset, offset + len)];
    let (admitted, base, unit) = match medium {
        Medium::Log => return whole,
        Medium::Extent => (&gate.written, 0, block),
        Medium::Sums => (&gate.written, 0, 4),
        Medium::Snapshot(_) if offset < PAGE => return whole,
        Medium::Snapshot(_) if offset < COPIES => (&gate.copied, PAGE, 4),
        Medium::Snapshot(_) => (&gate.copied, COPIES, block),
    };
    let Some(admitted) = admitted else {
        return whole;
    };
    (admitted.iter().chain(layout::SCRATCH.iter()))
        .map(|number| (base + number * unit, base + (number + 1) * unit))
        .filter(|(from, to)| *from < offset + len && *to > offset)
        .map(|(from, to)| (from.max(offset), to.min(offset + len)))
        .collect()
}

fn within(ranges: &[(u64, u64)], sector: u64) -> bool {
    let at = sector * SECTOR;
    ranges.iter().any(|(from, to)| *from <= at && at < *to)
}

impl Disk for Layered {
    fn name(&self) -> &str {
        match self.medium {
            Medium::Log => "log",
            Medium::Extent => "extent",
            Medium::Sums => "sums",
            Medium::Snapshot(_) => "snapshot",
        }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let mut world = self.world.lock();
        if let (Medium::Snapshot(_), PAGE..COPIES) = (self.medium, offset)
            && let Some(map) = world.gate.earlier_map.take()
        {
            let at = (offset - PAGE) as usize;
            buf.copy_from_slice(&map[at..at + buf.len()]);
            return Ok(());
        }
        let file = world.files.file(self.medium);
        match file.filter(|file| offset + buf.len() as u64 <= file.len()) {
            Some(file) => file.get(offset, buf),
            None => return Err(self.refused(DiskOp::Read, io::ErrorKind::UnexpectedEof)),
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), DiskError> {
        self.change(DiskOp::Write, offset, data)
    }

    fn punch(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        self.change(DiskOp::Punch, offset, &vec![0; len as usize])
    }

    fn sync(&self) -> Result<(), DiskError> {
        let mut world = self.world.lock();
        let rule = match self.medium {
            Medium::Log => world.gate.log.clone(),
            Medium::Extent | Medium::Sums => world.gate.image.clone(),
            Medium::Snapshot(_) => Sync::All,
        };
        if world.gate.record && self.medium == Medium::Log {
            let files = world.files.clone();
            world.recorded.push(files);
        }
        let Some(file) = world.files.file_mut(self.medium) else {
            return Ok(());
        };
        match &rule {
            Sync::All => file.sync(|_| true),
            Sync::Only(ranges) => file.sync(|sector| within(ranges, sector)),
            Sync::Stop => return Err(self.refused(DiskOp::Sync, io::ErrorKind::Interrupted)),
            Sync::Fail(ranges) => {
                file.abandon(|sector| within(ranges, sector));
                return Err(self.refused(DiskOp::Sync, io::ErrorKind::Other));
            }
        }
        Ok(())
    }

    fn grow(&self, len: u64) -> Result<(), DiskError> {
        let mut world = self.world.lock();
        if let Some(file) = world.files.file_mut(self.medium)
            && file.len() < len
        {
            file.cached.resize(len.div_ceil(SECTOR) as usize, None);
        }
        Ok(())
    }

    fn allocated(&self) -> Result<u64, DiskError> {
        let world = self.world.lock();
        let file = world.files.file(self.medium);
        let sectors = file.map_or(0, |file| file.cached.iter().flatten().count());
        Ok(sectors as u64 * SECTOR)
    }

    fn len(&self) -> Result<u64, DiskError> {
        Ok(self
            .world
            .lock()
            .files
            .file(self.medium)
            .map_or(0, File::len))
    }
}

impl Shelf for Shared {
    fn create(&self, id: SnapshotId, len: u64) -> Result<Arc<dyn Disk>, DiskError> {
        let medium = Medium::Snapshot(id);
        self.lock().files.insert(medium, File::zeroes(len));
        self.open(id)
    }

    fn open(&self, id: SnapshotId) -> Result<Arc<dyn Disk>, DiskError> {
        let medium = Medium::Snapshot(id);
        if self.lock().files.file(medium).is_none() {
            let source = io::Error::from(io::ErrorKind::NotFound);
            return Err(DiskError::new(DiskOp::Read, "snapshot", 0, 0, &source));
        }
        Ok(Arc::new(Layered {
            world: self.clone(),
            medium,
        }))
    }

    fn remove(&self, id: SnapshotId) -> Result<(), DiskError> {
        self.lock().files.0.remove(&Medium::Snapshot(id));
        Ok(())
    }

    fn list(&self) -> Result<Vec<SnapshotId>, DiskError> {
        let media = self.lock().files.media();
        Ok(media
            .into_iter()
            .filter_map(|medium| match medium {
                Medium::Snapshot(id) => Some(id),
                Medium::Log | Medium::Extent | Medium::Sums => None,
            })
            .collect())
    }
}

/// Where a block stands in a file: the image's, or a snapshot's.
pub(super) fn place_of(medium: Medium, block: u64) -> (u64, u64) {
    let base = match medium {
        Medium::Log | Medium::Extent | Medium::Sums => 0,
        Medium::Snapshot(_) => COPIES,
    };
    let from = base + block * BLOCK_SIZE as u64;
    (from, from + BLOCK_SIZE as u64)
}

/// The map of a snapshot's file, as reads show it.
pub(super) fn map_of(file: &File) -> Vec<u8> {
    file.bytes(PAGE, (BLOCKS * 4) as usize)
}
