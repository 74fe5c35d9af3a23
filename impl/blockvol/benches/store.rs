//! What the core of a store costs without a disk: its disks are plain memory. Run with
//! `cargo bench -p holdfast-blockvol`; `holdfast bench volume` measures the whole with real files.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use holdfast_blockvol::sim::SimStorage;
use holdfast_blockvol::{
    Disk, DiskError, Disks, FlushBound, FormatOptions, Recovery, Store, VolumeOptions,
};
use holdfast_types::{BLOCK_SIZE, BlockRange, EntryKind, Epoch, VolumeId};

const BLOCKS: u64 = 1 << 16;
const LOG_BYTES: u64 = 64 << 20;
const EPOCH: Epoch = Epoch(1);

fn main() {
    divan::main();
}

/// Memory that never fails.
#[derive(Debug)]
struct Memory(Mutex<Vec<u8>>);

impl Memory {
    fn with<R>(&self, offset: u64, len: usize, work: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut bytes = self.0.lock().unwrap();
        work(&mut bytes[offset as usize..offset as usize + len])
    }
}

impl Disk for Memory {
    fn name(&self) -> &str {
        "memory"
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        self.with(offset, buf.len(), |bytes| buf.copy_from_slice(bytes));
        Ok(())
    }
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), DiskError> {
        self.with(offset, data.len(), |bytes| bytes.copy_from_slice(data));
        Ok(())
    }
    fn write_vectored_at(
        &self,
        offset: u64,
        parts: &[std::io::IoSlice<'_>],
    ) -> Result<(), DiskError> {
        let mut at = offset;
        for part in parts {
            self.write_at(at, part)?;
            at += part.len() as u64;
        }
        Ok(())
    }
    fn punch(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        self.with(offset, len as usize, |bytes| bytes.fill(0));
        Ok(())
    }
    fn sync(&self) -> Result<(), DiskError> {
        Ok(())
    }
    fn grow(&self, len: u64) -> Result<(), DiskError> {
        let mut bytes = self.0.lock().unwrap();
        let len = bytes.len().max(len as usize);
        bytes.resize(len, 0);
        Ok(())
    }
    fn allocated(&self) -> Result<u64, DiskError> {
        self.len()
    }
    fn len(&self) -> Result<u64, DiskError> {
        Ok(self.0.lock().unwrap().len() as u64)
    }
}

fn options() -> VolumeOptions {
    VolumeOptions {
        flush_bound: FlushBound::Durable,
        background: false,
        ..VolumeOptions::default()
    }
}

/// The disks of a fresh store, in memory.
fn disks() -> Disks {
    let blank = SimStorage::formatted(&FormatOptions {
        log_bytes: LOG_BYTES,
        ..FormatOptions::new(VolumeId::random(), BLOCKS)
    })
    .disks();
    let memory = |disk: &Arc<dyn Disk>| -> Arc<dyn Disk> {
        let mut bytes = vec![0; disk.len().unwrap() as usize];
        disk.read_at(0, &mut bytes).unwrap();
        Arc::new(Memory(Mutex::new(bytes)))
    };
    Disks {
        log: memory(&blank.log),
        extent: memory(&blank.extent),
        sums: memory(&blank.sums),
        snapshots: blank.snapshots,
    }
}

/// A store in its first epoch.
fn store(disks: &Disks) -> Store {
    let mut store = Store::open(disks.clone(), options(), Recovery::Strict).unwrap();
    store.fence(EPOCH).unwrap();
    let start = EntryKind::EpochStart;
    store.append(EPOCH, start, None, Bytes::new()).unwrap();
    store
}

/// An odd multiplier meets the blocks in no order of the disk's.
fn scattered(index: u64, blocks: u64) -> BlockRange {
    let place = index.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (BLOCKS / blocks);
    BlockRange::new(place * blocks, blocks).unwrap()
}

fn write(store: &mut Store, index: u64, payload: &Bytes) {
    let blocks = (payload.len() / BLOCK_SIZE) as u64;
    let (kind, range) = (EntryKind::Write, Some(scattered(index, blocks)));
    store.append(EPOCH, kind, range, payload.clone()).unwrap();
}

/// A store with a log of so many single blocks, durable.
fn filled(disks: &Disks, entries: u64) -> Store {
    let mut store = store(disks);
    let payload = Bytes::from(vec![7; BLOCK_SIZE]);
    for index in 0..entries {
        write(&mut store, index, &payload);
    }
    store.sync().unwrap();
    store
}

/// Sum, check, encode, write, index; and write-back, once the log is half full.
#[divan::bench(args = [1, 16, 256])]
fn append(bencher: Bencher<'_, '_>, blocks: usize) {
    let mut store = store(&disks());
    let payload = Bytes::from(vec![7; blocks * BLOCK_SIZE]);
    let mut index = 0;
    bencher
        .counter(BytesCount::new(payload.len()))
        .bench_local(|| {
            index += 1;
            write(&mut store, index, &payload);
            if store.unsynced_bytes() > LOG_BYTES / 2 {
                store.sync().unwrap();
                while store.write_back().unwrap() {}
            }
        });
}

/// Look up and read one block: of the log, mostly not in memory, or of the image.
#[divan::bench(args = [false, true])]
fn read(bencher: Bencher<'_, '_>, written_back: bool) {
    let mut store = filled(&disks(), 8000);
    while written_back && store.write_back().unwrap() {}
    let mut buffer = vec![0; BLOCK_SIZE];
    let mut index = 0;
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        index = (index + 1) % 8000;
        let point = store.read(scattered(index, 1), &mut buffer).unwrap();
        black_box(point)
    });
}

/// Opening after a crash: every entry is read and verified, list and index are made anew.
#[divan::bench(args = [1000, 8000])]
fn recovery(bencher: Bencher<'_, '_>, entries: u64) {
    let disks = disks();
    drop(filled(&disks, entries));
    bencher
        .counter(ItemsCount::new(entries))
        .bench_local(|| Store::open(disks.clone(), options(), Recovery::Strict).unwrap());
}

/// What the processor can do at most.
#[divan::bench(args = [BLOCK_SIZE, 256 * BLOCK_SIZE])]
fn crc32c(bencher: Bencher<'_, '_>, bytes: usize) {
    let content = vec![7; bytes];
    bencher
        .counter(BytesCount::new(bytes))
        .bench_local(|| crc32c::crc32c(black_box(&content)));
}
