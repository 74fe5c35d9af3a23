//! The reference `raw`: a bare program that does the same physical work with no product around it.
//!
//! A log is one file, preallocated and written before, so that no block of it is allocated or
//! converted during a measurement. Appends go round in it at positions that are taken without a
//! lock. Everything that waits shares the next sync: whoever asks while none is under way syncs
//! itself; whoever asks meanwhile sleeps, and the first of those leads the next sync at once.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

/// Bytes written at once when a file is filled.
const FILL_BYTES: usize = 1 << 20;

/// A new file of so many bytes, every one of them written, as zero, and durable.
pub(super) fn written_file(path: &Path, bytes: u64) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    fill(&file, bytes)?;
    Ok(file)
}

/// Writes every byte of a file as zero, durably.
pub(super) fn fill(file: &File, bytes: u64) -> io::Result<()> {
    let piece = vec![0; FILL_BYTES];
    let mut at = 0;
    while at < bytes {
        let len = (bytes - at).min(FILL_BYTES as u64);
        file.write_all_at(&piece[..len as usize], at)?;
        at += len;
    }
    file.sync_all()
}

/// Appends and shared syncs on one file.
#[derive(Debug)]
pub(super) struct RawLog {
    file: File,
    bytes: u64,
    next: AtomicU64,
    syncs: Mutex<Syncs>,
    /// Syncs that have ended; each covers the appends that returned before it began.
    ended: AtomicU64,
}

#[derive(Debug, Default)]
struct Syncs {
    begun: u64,
    under_way: bool,
    waiting: Vec<(u64, Thread)>,
}

impl RawLog {
    /// A log of so many bytes, a multiple of whatever is appended.
    pub(super) fn create(path: &Path, bytes: u64) -> io::Result<Self> {
        Ok(Self {
            file: written_file(path, bytes)?,
            bytes,
            next: AtomicU64::new(0),
            syncs: Mutex::default(),
            ended: AtomicU64::new(0),
        })
    }

    /// Writes `data` behind what was appended before.
    pub(super) fn append(&self, data: &[u8]) -> io::Result<()> {
        let at = self.next.fetch_add(data.len() as u64, Ordering::Relaxed) % self.bytes;
        self.file.write_all_at(data, at)
    }

    fn syncs(&self) -> MutexGuard<'_, Syncs> {
        self.syncs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when what the caller appended is durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        let mut syncs = self.syncs();
        let needed = syncs.begun + 1;
        loop {
            if self.ended.load(Ordering::Acquire) >= needed {
                return Ok(());
            }
            if !syncs.under_way {
                break;
            }
            syncs.waiting.push((needed, thread::current()));
            drop(syncs);
            thread::park();
            if self.ended.load(Ordering::Acquire) >= needed {
                return Ok(());
            }
            syncs = self.syncs();
        }
        syncs.under_way = true;
        syncs.begun += 1;
        let begun = syncs.begun;
        drop(syncs);
        let synced = self.file.sync_data();
        self.ended.store(begun, Ordering::Release);
        let mut syncs = self.syncs();
        syncs.under_way = false;
        let (done, next): (Vec<_>, Vec<_>) = std::mem::take(&mut syncs.waiting)
            .into_iter()
            .partition(|(needed, _)| *needed <= begun);
        let mut next = next.into_iter();
        let leader = next.next();
        syncs.waiting.extend(next);
        drop(syncs);
        // The next sync begins first; those who are done wake meanwhile.
        for (_, thread) in leader.into_iter().chain(done) {
            thread.unpark();
        }
        synced
    }
}
