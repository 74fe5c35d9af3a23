//! A device in memory, with the faults and delays that tests ask for.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use holdfast_types::BLOCK_SIZE;
use tokio::sync::{Notify, Semaphore};

use super::export::{Export, ExportError, ExportInfo, Space};

/// What a test sees and steers of a [`MemoryDevice`].
pub(super) struct Controls {
    pub(super) content: Mutex<Vec<u8>>,
    /// What happened, in order, in words.
    pub(super) calls: Mutex<Vec<String>>,
    /// Blocks (by number) whose reads and writes fail with EIO.
    pub(super) bad_blocks: Mutex<BTreeSet<u64>>,
    /// Blocks at which the device panics, as a broken one would.
    pub(super) cursed_blocks: Mutex<BTreeSet<u64>>,
    /// While set, writes wait at `gate`.
    pub(super) hold_writes: AtomicBool,
    pub(super) gate: Semaphore,
    /// Calls waiting at the gate.
    pub(super) waiting: AtomicUsize,
    pub(super) changed: Notify,
    pub(super) dropped: AtomicBool,
}

/// A device whose content lives in memory. It checks every promise of the front end.
pub(super) struct MemoryDevice {
    pub(super) controls: Arc<Controls>,
    info: ExportInfo,
}

impl MemoryDevice {
    pub(super) fn new(blocks: usize) -> (Self, Arc<Controls>) {
        Self::with(blocks, false)
    }

    pub(super) fn read_only(blocks: usize) -> (Self, Arc<Controls>) {
        Self::with(blocks, true)
    }

    fn with(blocks: usize, read_only: bool) -> (Self, Arc<Controls>) {
        let controls = Arc::new(Controls {
            content: Mutex::new(vec![0; blocks * BLOCK_SIZE]),
            calls: Mutex::default(),
            bad_blocks: Mutex::default(),
            cursed_blocks: Mutex::default(),
            hold_writes: AtomicBool::new(false),
            gate: Semaphore::new(0),
            waiting: AtomicUsize::new(0),
            changed: Notify::new(),
            dropped: AtomicBool::new(false),
        });
        let info = ExportInfo {
            size: (blocks * BLOCK_SIZE) as u64,
            read_only,
        };
        let device = Self {
            controls: controls.clone(),
            info,
        };
        (device, controls)
    }

    fn enter(&self, what: &str, offset: u64, length: u64) -> Result<(usize, usize), ExportError> {
        let block = BLOCK_SIZE as u64;
        assert!(length > 0, "an empty {what} reached the device");
        assert!(
            offset.is_multiple_of(block) && length.is_multiple_of(block),
            "{what} of {length} at {offset} is not whole blocks"
        );
        assert!(offset + length <= self.info.size, "{what} beyond the end");
        assert!(
            !self.info.read_only || what == "read",
            "{what} on a read-only device"
        );
        self.controls
            .calls
            .lock()
            .unwrap()
            .push(format!("{what} {offset}+{length}"));
        let touched = offset / block..(offset + length) / block;
        let cursed = self.controls.cursed_blocks.lock().unwrap().clone();
        assert!(
            cursed.range(touched.clone()).next().is_none(),
            "the test asked for this panic"
        );
        let bad = self.controls.bad_blocks.lock().unwrap();
        if bad.range(touched).next().is_some() {
            return Err(ExportError::Io {
                reason: "bad block".to_owned(),
            });
        }
        Ok((offset as usize, (offset + length) as usize))
    }
}

impl Drop for MemoryDevice {
    fn drop(&mut self) {
        self.controls.dropped.store(true, Ordering::SeqCst);
    }
}

impl Controls {
    pub(super) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    /// Waits until so many calls stand at the gate.
    pub(super) async fn until_waiting(&self, count: usize) {
        loop {
            let changed = self.changed.notified();
            if self.waiting.load(Ordering::SeqCst) >= count {
                return;
            }
            changed.await;
        }
    }

    async fn pass_gate(&self) {
        if self.hold_writes.load(Ordering::SeqCst) {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            self.changed.notify_waiters();
            self.gate.acquire().await.unwrap().forget();
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Export for MemoryDevice {
    fn info(&self) -> ExportInfo {
        self.info
    }

    async fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ExportError> {
        let (start, end) = self.enter("read", offset, buffer.len() as u64)?;
        tokio::task::yield_now().await;
        buffer.copy_from_slice(&self.controls.content.lock().unwrap()[start..end]);
        Ok(())
    }

    async fn write(&self, offset: u64, data: Bytes, fua: bool) -> Result<(), ExportError> {
        let what = if fua { "write-fua" } else { "write" };
        let (start, end) = self.enter(what, offset, data.len() as u64)?;
        tokio::task::yield_now().await;
        self.controls.pass_gate().await;
        self.controls.content.lock().unwrap()[start..end].copy_from_slice(&data);
        Ok(())
    }

    async fn flush(&self) -> Result<(), ExportError> {
        self.controls.calls.lock().unwrap().push("flush".to_owned());
        Ok(())
    }

    async fn trim(&self, offset: u64, length: u64, fua: bool) -> Result<(), ExportError> {
        let what = if fua { "trim-fua" } else { "trim" };
        let (start, end) = self.enter(what, offset, length)?;
        self.controls.content.lock().unwrap()[start..end].fill(0);
        Ok(())
    }

    async fn write_zeroes(
        &self,
        offset: u64,
        length: u64,
        space: Space,
        fua: bool,
    ) -> Result<(), ExportError> {
        let what = match (space, fua) {
            (Space::Keep, false) => "zero-keep",
            (Space::Keep, true) => "zero-keep-fua",
            (Space::MayRelease, false) => "zero",
            (Space::MayRelease, true) => "zero-fua",
        };
        let (start, end) = self.enter(what, offset, length)?;
        self.controls.content.lock().unwrap()[start..end].fill(0);
        Ok(())
    }
}
