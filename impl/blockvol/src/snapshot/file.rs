//! The file of one snapshot: a header, a map, and the blocks, each at its own place. Layout:
//! `docs/formats.md`.
//!
//! The map has 4 bytes for a block: 0, it was not copied; 1, it read as zeroes; else the sum of its
//! content.

use std::sync::Arc;

use holdfast_types::{
    BLOCK_SIZE, BlockCount, BlockRange, Epoch, Lsn, SnapshotId, SnapshotLabel, VolumeId,
};

use super::SnapshotRecord;
use crate::disk::{Disk, DiskError, Disks};
use crate::error::{Damage, OpenError};
use crate::extent::{SUM_BYTES, SumPage, fits, sum_at, sums_len};
use crate::image::range_bytes;
use crate::superblock::{get_u32, get_u64, put_u32, put_u64};

const MAGIC: [u8; 8] = *b"HFSNAP\0\0";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 4096;
const CHECKSUM_OFFSET: usize = HEADER_BYTES - 4;
const LABEL: usize = 64;

/// In a map: the block was not copied.
pub(crate) const ABSENT: u32 = 0;
/// In a map: the block read as zeroes.
pub(crate) const ZEROES: u32 = 1;

/// See the module.
#[derive(Debug)]
pub(crate) struct SnapshotFile {
    record: SnapshotRecord,
    label: SnapshotLabel,
    disk: Arc<dyn Disk>,
}

impl SnapshotFile {
    /// Makes the file of a new snapshot, durably, in the place of what an interrupted making of it
    /// left.
    pub(crate) fn create(
        disks: &Disks,
        volume: VolumeId,
        id: SnapshotId,
        blocks: BlockCount,
        label: SnapshotLabel,
    ) -> Result<Self, DiskError> {
        let record = SnapshotRecord {
            id,
            blocks,
            given_up: false,
        };
        let disk = disks.snapshots.create(id, file_len(blocks))?;
        disk.write_at(0, &header(volume, &record, &label))?;
        disk.sync()?;
        Ok(Self {
            record,
            label,
            disk,
        })
    }

    /// Opens the file of a snapshot that the superblock names.
    pub(crate) fn open(
        disks: &Disks,
        volume: VolumeId,
        record: SnapshotRecord,
    ) -> Result<Self, OpenError> {
        let damaged = |what: &str| {
            OpenError::Damaged(Damage::SnapshotFile {
                snapshot: record.id,
                what: what.to_owned(),
            })
        };
        let disk = match disks.snapshots.open(record.id) {
            Ok(disk) => disk,
            Err(error) if error.kind == std::io::ErrorKind::NotFound => {
                return Err(damaged("its file is gone"));
            }
            Err(error) => return Err(error.into()),
        };
        if disk.len()? < file_len(record.blocks) {
            return Err(damaged("its file was cut short"));
        }
        let mut bytes = vec![0; HEADER_BYTES];
        disk.read_at(0, &mut bytes)?;
        let label = label_of(&bytes).ok_or_else(|| damaged("its header is not one"))?;
        if header(volume, &record, &label) != bytes {
            return Err(damaged("its header is another one's"));
        }
        Ok(Self {
            record,
            label,
            disk,
        })
    }

    /// Makes everything durable that was written to it.
    pub(crate) fn sync(&self) -> Result<(), DiskError> {
        self.disk.sync()
    }

    pub(crate) fn record(&self) -> SnapshotRecord {
        self.record
    }

    pub(crate) fn id(&self) -> SnapshotId {
        self.record.id
    }

    pub(crate) fn blocks(&self) -> BlockCount {
        self.record.blocks
    }

    pub(crate) fn label(&self) -> &SnapshotLabel {
        &self.label
    }

    /// Bytes of storage that it takes.
    pub(crate) fn allocated(&self) -> Result<u64, DiskError> {
        self.disk.allocated()
    }

    /// What the map says of blocks.
    pub(crate) fn map(&self, range: BlockRange) -> Result<Vec<u8>, DiskError> {
        let mut map = vec![0; (range.count() * SUM_BYTES) as usize];
        let offset = HEADER_BYTES as u64 + range.start() * SUM_BYTES;
        self.disk.read_at(offset, &mut map)?;
        Ok(map)
    }

    /// Reads a block that the map names, and verifies it.
    pub(crate) fn read(&self, block: u64, named: u32, out: &mut [u8]) -> Result<(), SnapshotFault> {
        if named == ZEROES {
            out.fill(0);
            return Ok(());
        }
        self.disk.read_at(self.place(block), out)?;
        if fits(named, block, out) {
            return Ok(());
        }
        let Ok(range) = BlockRange::new(block, 1) else {
            unreachable!("block {block} is in the volume");
        };
        Err(SnapshotFault::Damaged(Damage::SnapshotBlocks {
            snapshot: self.record.id,
            range,
        }))
    }

    /// Writes blocks, which the map does not name yet.
    pub(crate) fn write(&self, first: u64, content: &[u8]) -> Result<(), DiskError> {
        self.disk.write_at(self.place(first), content)
    }

    /// Makes the blocks durable that were written, and then names them, durably.
    pub(crate) fn name(&self, named: &[(u64, u32)]) -> Result<(), DiskError> {
        if named.is_empty() {
            return Ok(());
        }
        self.disk.sync()?;
        let mut map = SumPage::new(&self.disk, HEADER_BYTES as u64);
        for (block, name) in named {
            map.put(*block, *name)?;
        }
        map.flush()?;
        self.disk.sync()
    }

    fn place(&self, block: u64) -> u64 {
        HEADER_BYTES as u64 + sums_len(self.record.blocks) + block * BLOCK_SIZE as u64
    }
}

/// Why a copy was not read.
#[derive(Clone, Debug)]
pub(crate) enum SnapshotFault {
    Disk(DiskError),
    Damaged(Damage),
}

impl From<DiskError> for SnapshotFault {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl SnapshotFault {
    pub(crate) fn into_error<E: From<DiskError> + From<Damage>>(self) -> E {
        match self {
            Self::Disk(error) => error.into(),
            Self::Damaged(damage) => damage.into(),
        }
    }
}

/// The numbers of a map.
pub(crate) fn named_at(map: &[u8], index: usize) -> u32 {
    sum_at(map, index)
}

fn file_len(blocks: BlockCount) -> u64 {
    let Ok(all) = BlockRange::new(0, blocks) else {
        unreachable!("a volume has blocks");
    };
    HEADER_BYTES as u64 + sums_len(blocks) + range_bytes(all)
}

fn header(volume: VolumeId, record: &SnapshotRecord, label: &SnapshotLabel) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[0..8].copy_from_slice(&MAGIC);
    put_u32(&mut bytes, 8, VERSION);
    bytes[16..32].copy_from_slice(volume.0.as_bytes());
    put_u64(&mut bytes, 32, record.id.lsn.0);
    put_u64(&mut bytes, 40, record.id.epoch.0);
    put_u64(&mut bytes, 48, record.blocks);
    let text = label.as_str().as_bytes();
    put_u32(&mut bytes, 56, text.len() as u32);
    bytes[LABEL..LABEL + text.len()].copy_from_slice(text);
    let checksum = crc32c::crc32c(&bytes[..CHECKSUM_OFFSET]);
    put_u32(&mut bytes, CHECKSUM_OFFSET, checksum);
    bytes
}

fn label_of(header: &[u8]) -> Option<SnapshotLabel> {
    let whole = get_u32(header, CHECKSUM_OFFSET) == crc32c::crc32c(&header[..CHECKSUM_OFFSET]);
    let text = header.get(LABEL..LABEL + (get_u32(header, 56) as usize).min(1024))?;
    let label = SnapshotLabel::new(String::from_utf8_lossy(text)).ok()?;
    let named = SnapshotId {
        lsn: Lsn(get_u64(header, 32)),
        epoch: Epoch(get_u64(header, 40)),
    };
    (whole && named.lsn > Lsn::ZERO).then_some(label)
}
