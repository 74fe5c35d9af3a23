//! What a volume should hold, kept in the simplest way: a base image and the list of entries after
//! it, each block as one tag. Every test of this directory compares stores with it.

#![allow(dead_code, reason = "each test binary uses its own part")]

mod tapped;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use holdfast_blockvol::sim::{Crash, Medium, SimStorage};
use holdfast_blockvol::{Entry, FlushBound, FormatOptions, Recovery, Store, Volume, VolumeOptions};
use holdfast_types::{
    BLOCK_SIZE, BlockRange, EntryKind, Epoch, Lineage, Lsn, SnapshotId, SnapshotLabel, StoreId,
    VolumeId, VolumeOperation,
};
use uuid::Uuid;

#[allow(unused_imports, reason = "each test binary uses its own part")]
pub(crate) use tapped::{Tapped, Work};

/// Blocks of the test volumes.
pub(crate) const BLOCKS: u64 = 32;
/// Ring bytes of the test volumes: small, so that it wraps often.
pub(crate) const LOG_BYTES: u64 = 128 << 10;

/// Options that make the same store every time.
pub(crate) fn format_options() -> FormatOptions {
    FormatOptions {
        volume: VolumeId(Uuid::from_u128(0xa1)),
        store: StoreId(Uuid::from_u128(0xb2)),
        blocks: BLOCKS,
        log_bytes: LOG_BYTES,
        prewrite_log: false,
    }
}

/// Options of stores on real files, whose logs are there from the start.
pub(crate) fn format_on_files() -> FormatOptions {
    FormatOptions {
        prewrite_log: true,
        ..format_options()
    }
}

/// Threads at work all the time, little memory, and flushes that this disk alone answers.
pub(crate) fn options_on_files() -> VolumeOptions {
    VolumeOptions {
        flush_bound: FlushBound::Durable,
        recent_bytes: 8 << 10,
        writeback_idle: Duration::from_millis(5),
        ..VolumeOptions::default()
    }
}

/// No threads, little memory: payloads come from the disk soon.
pub(crate) fn quiet_options() -> VolumeOptions {
    VolumeOptions {
        flush_bound: FlushBound::Committed,
        recent_bytes: 16 << 10,
        background: false,
        ..VolumeOptions::default()
    }
}

/// The store of the primary in whose sessions these tests write.
pub(crate) const LEADER: StoreId = StoreId(Uuid::from_u128(77));

/// Opens a simulated store without threads.
pub(crate) fn open(storage: &SimStorage) -> Volume {
    Volume::open_on(storage.disks(), quiet_options(), Recovery::Strict).expect("the store opens")
}

/// A formatted, opened store in epoch 1 with its epoch start logged.
pub(crate) fn fresh() -> (SimStorage, Volume) {
    let storage = SimStorage::formatted(&format_options());
    let volume = open(&storage);
    volume.fence(Epoch(1)).unwrap();
    volume.append_epoch_start(Epoch(1)).unwrap();
    (storage, volume)
}

pub(crate) fn range(start: u64, count: u64) -> BlockRange {
    BlockRange::new(start, count).unwrap()
}

/// Blocks filled with a tag.
pub(crate) fn filled(tag: u64, count: u64) -> Bytes {
    let words = count as usize * BLOCK_SIZE / 8;
    Bytes::from(tag.to_le_bytes().repeat(words))
}

/// Writes a tag to blocks.
pub(crate) fn write(volume: &Volume, epoch: u64, start: u64, count: u64, tag: u64) -> Lsn {
    let payload = filled(tag, count);
    volume
        .append(Epoch(epoch), EntryKind::Write, range(start, count), payload)
        .expect("the log takes a write")
}

/// The tag of every block; panics on a block that is not filled with one.
pub(crate) fn tags(data: &[u8]) -> Vec<u64> {
    data.chunks_exact(BLOCK_SIZE)
        .enumerate()
        .map(|(block, bytes)| {
            let tag = &bytes[..8];
            assert!(
                bytes.chunks_exact(8).all(|word| word == tag),
                "block {block} is torn"
            );
            u64::from_le_bytes(tag.try_into().unwrap())
        })
        .collect()
}

/// The tag of every block of a volume.
pub(crate) fn read_all(volume: &Volume) -> Vec<u64> {
    let blocks = volume.blocks_at_head();
    let mut data = vec![0; blocks as usize * BLOCK_SIZE];
    volume
        .read(range(0, blocks), &mut data)
        .expect("the volume reads");
    tags(&data)
}

/// The tag of every block of a snapshot.
pub(crate) fn read_snapshot(volume: &Volume, id: SnapshotId) -> Vec<u64> {
    let snapshot = volume.snapshot(id).expect("the snapshot is there");
    let blocks = snapshot.info().blocks;
    let mut data = vec![0; blocks as usize * BLOCK_SIZE];
    snapshot
        .read(range(0, blocks), &mut data)
        .expect("the snapshot reads");
    tags(&data)
}

/// Writes back everything that may be.
pub(crate) fn write_back_all(volume: &Volume) {
    while volume.write_back().expect("write-back works") {}
}

/// One logged entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefEntry {
    pub(crate) epoch: Epoch,
    pub(crate) kind: EntryKind,
    pub(crate) range: Option<BlockRange>,
    pub(crate) tag: u64,
    pub(crate) operation: Option<VolumeOperation>,
}

/// Every block's tag, and those of every snapshot, after some entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) blocks: Vec<u64>,
    pub(crate) snapshots: BTreeMap<SnapshotId, Vec<u64>>,
}

impl Image {
    fn take(&mut self, lsn: Lsn, entry: &RefEntry) {
        if let Some(operation) = &entry.operation {
            self.operate(lsn, entry.epoch, operation);
        }
        if let Some(range) = entry.range {
            let tag = if entry.kind == EntryKind::Write {
                entry.tag
            } else {
                0
            };
            self.blocks[range.start() as usize..range.end() as usize].fill(tag);
        }
    }

    fn operate(&mut self, lsn: Lsn, epoch: Epoch, operation: &VolumeOperation) {
        match operation {
            VolumeOperation::SnapshotCreate { .. } => {
                let id = SnapshotId { lsn, epoch };
                self.snapshots.insert(id, self.blocks.clone());
            }
            VolumeOperation::SnapshotDelete { snapshot } => {
                self.snapshots.remove(snapshot);
            }
            VolumeOperation::Grow { blocks } => self.blocks.resize(*blocks as usize, 0),
            VolumeOperation::Restore { snapshot } => {
                let size = self.blocks.len();
                self.blocks = self.snapshots[snapshot].clone();
                self.blocks.resize(size, 0);
            }
        }
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) base_lsn: Lsn,
    pub(crate) base: Vec<u64>,
    pub(crate) base_lineage: Lineage,
    pub(crate) log: Vec<RefEntry>,
}

impl Reference {
    /// The all-zero device.
    pub(crate) fn blank(blocks: u64) -> Self {
        Self {
            base_lsn: Lsn::ZERO,
            base: vec![0; blocks as usize],
            base_lineage: Lineage::default(),
            log: Vec::new(),
        }
    }

    pub(crate) fn head(&self) -> Lsn {
        Lsn(self.base_lsn.0 + self.log.len() as u64)
    }

    pub(crate) fn entry(&self, lsn: Lsn) -> &RefEntry {
        &self.log[(lsn.0 - self.base_lsn.0 - 1) as usize]
    }

    pub(crate) fn push(&mut self, entry: RefEntry) {
        self.log.push(entry);
    }

    pub(crate) fn cut(&mut self, to: Lsn) {
        self.log.truncate((to.0 - self.base_lsn.0) as usize);
    }

    /// Every block's tag after entries `1..=at`.
    pub(crate) fn image_at(&self, at: Lsn) -> Vec<u64> {
        self.whole_at(at).blocks
    }

    /// The same with all snapshots.
    pub(crate) fn whole_at(&self, at: Lsn) -> Image {
        let mut image = Image {
            blocks: self.base.clone(),
            snapshots: BTreeMap::new(),
        };
        let count = (at.0 - self.base_lsn.0) as usize;
        for (lsn, entry) in (self.base_lsn.0 + 1..).zip(&self.log[..count]) {
            image.take(Lsn(lsn), entry);
        }
        image
    }

    /// The lineage of entries `1..=at`.
    pub(crate) fn lineage_at(&self, at: Lsn) -> Lineage {
        let mut lineage = self.base_lineage.clone();
        for lsn in self.base_lsn.0 + 1..=at.0 {
            lineage
                .record(self.entry(Lsn(lsn)).epoch, Lsn(lsn))
                .unwrap();
        }
        lineage
    }

    /// The entry as a replica would receive it.
    pub(crate) fn as_entry(&self, lsn: Lsn) -> Entry {
        let entry = self.entry(lsn);
        let payload = match (entry.kind, entry.range) {
            (EntryKind::Write, Some(range)) => filled(entry.tag, range.count()),
            (_, _) => entry
                .operation
                .as_ref()
                .map_or_else(Bytes::new, |operation| {
                    Bytes::copy_from_slice(&operation.encode())
                }),
        };
        Entry {
            lsn,
            epoch: entry.epoch,
            kind: entry.kind,
            range: entry.range,
            payload,
        }
    }

    /// Panics unless the volume's log is this one's from its beginning to its head, and its blocks
    /// are those at its head.
    pub(crate) fn assert_holds(&self, volume: &Volume) {
        let positions = volume.positions();
        assert!(positions.are_ordered(), "{positions}");
        assert!(positions.head <= self.head(), "{positions}");
        self.assert_snapshots(volume);
        if volume.restoring().is_none() {
            assert_eq!(read_all(volume), self.image_at(positions.head));
        }
        assert_eq!(volume.lineage(), self.lineage_at(positions.head));
        let mut after = positions.retained_from.expect("a log is retained");
        while after < positions.head {
            for entry in volume.entries(after, 64 << 10).expect("retained") {
                assert_eq!(entry, self.as_entry(entry.lsn));
                after = entry.lsn;
            }
        }
    }

    /// Panics unless the volume has the snapshots of its checkpoint, each with its content.
    pub(crate) fn assert_snapshots(&self, volume: &Volume) {
        let checkpoint = volume.positions().checkpoint;
        let expected = self.whole_at(checkpoint).snapshots;
        let infos = volume.snapshots().expect("the shelf answers");
        let found: Vec<SnapshotId> = infos.iter().map(|info| info.id).collect();
        let names: Vec<SnapshotId> = expected.keys().copied().collect();
        assert_eq!(found, names, "snapshots at {checkpoint}");
        for (id, blocks) in &expected {
            assert_eq!(&read_snapshot(volume, *id), blocks, "snapshot {id}");
        }
    }

    /// Panics unless every sector of the raw extent is a version of its block between checkpoint
    /// and extent bound.
    pub(crate) fn assert_extent_bounded(&self, volume: &Volume, storage: &SimStorage) {
        let positions = volume.positions();
        let from = positions.checkpoint;
        let to = positions.extent_bound.min(self.head());
        let versions: Vec<Vec<u64>> = (from.0..=to.0).map(|at| self.image_at(Lsn(at))).collect();
        let extent = storage.visible(Medium::Extent);
        for (index, sector) in extent.chunks_exact(512).enumerate() {
            let block = index * 512 / BLOCK_SIZE;
            let found = versions.iter().any(|image| {
                let tag = image.get(block).copied().unwrap_or(0).to_le_bytes();
                sector.chunks_exact(8).all(|word| word == tag)
            });
            assert!(
                found,
                "sector {index} of the extent is no version of its block in {from}..={to}"
            );
        }
    }
}

/// Where the ring begins on the log's disk.
pub(crate) const RING: u64 = 64 << 10;
pub(crate) const ALL: Lsn = Lsn(u64::MAX - 1);

pub(crate) fn settle(volume: &Volume) {
    volume.sync().unwrap();
    volume.set_committed(ALL);
    write_back_all(volume);
}

pub(crate) fn crash(storage: &SimStorage, how: Crash) -> SimStorage {
    storage.crash(storage.ops(), how)
}

/// A core without the wrapper, for scenes in which a step is under way.
pub(crate) fn core() -> (SimStorage, Store) {
    let storage = SimStorage::formatted(&format_options());
    let mut store = Store::open(storage.disks(), quiet_options(), Recovery::Strict).unwrap();
    store.fence(Epoch(1)).unwrap();
    core_append(&mut store, EntryKind::EpochStart, None);
    (storage, store)
}

pub(crate) fn core_append(store: &mut Store, kind: EntryKind, block: Option<u64>) -> Lsn {
    let payload = if kind == EntryKind::Write {
        filled(block.unwrap() + 1, 1)
    } else {
        Bytes::new()
    };
    store
        .append(Epoch(1), kind, block.map(|b| range(b, 1)), payload)
        .unwrap()
}

/// Flips a byte of the payload of an entry, whose place is found by its content.
pub(crate) fn damage_log(storage: &SimStorage, tag: u64) {
    let log = storage.visible(Medium::Log);
    let block = filled(tag, 1);
    let at = (RING as usize..log.len() - BLOCK_SIZE)
        .step_by(128)
        .find(|at| log[*at..*at + BLOCK_SIZE] == block[..])
        .expect("the entry is in the log");
    storage.corrupt(Medium::Log, at as u64 + 100, 0x40);
}

/// What takes a snapshot.
pub(crate) fn create_snapshot(label: &str) -> VolumeOperation {
    VolumeOperation::SnapshotCreate {
        label: SnapshotLabel::new(label).unwrap(),
    }
}

/// Logs a snapshot; it is there once write-back has reached it.
pub(crate) fn snapshot(volume: &Volume, epoch: u64) -> SnapshotId {
    let lsn = volume
        .append_operation(Epoch(epoch), &create_snapshot("s"))
        .unwrap();
    SnapshotId {
        lsn,
        epoch: Epoch(epoch),
    }
}
