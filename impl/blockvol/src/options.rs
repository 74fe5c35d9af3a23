//! What a store is made with, and what it is opened with.

use std::time::Duration;

use holdfast_types::{BLOCK_SIZE, BlockCount, MAX_ENTRY_BLOCKS, StoreId, VolumeId};

use crate::positions::FlushBound;

const MIB: u64 = 1 << 20;

/// The smallest log ring, in bytes.
pub const MIN_LOG_BYTES: u64 = 128 << 10;
/// The largest log ring, in bytes.
pub const MAX_LOG_BYTES: u64 = 1 << 40;
/// The largest volume, in blocks (4 PiB).
pub const MAX_BLOCKS: BlockCount = 1 << 40;

/// What a new store is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatOptions {
    /// The volume that the store is a copy of.
    pub volume: VolumeId,
    /// The identity of the new store.
    pub store: StoreId,
    /// The size of the volume, 1 to [`MAX_BLOCKS`].
    pub blocks: BlockCount,
    /// The size of the log ring in bytes, [`MIN_LOG_BYTES`] to [`MAX_LOG_BYTES`]; rounded up to
    /// whole blocks. An entry may fill at most an eighth of it ([`max_entry_blocks`]).
    pub log_bytes: u64,
    /// Whether the log is filled with zeroes when it is made, so that its first lap is as fast as
    /// all others (a file system has to convert space that was only reserved).
    pub prewrite_log: bool,
}

impl FormatOptions {
    /// Options for a fresh store of a volume, with the default size of the log: a quarter of the
    /// volume, at least 64 MiB (so that the largest entry fits) and at most 1 GiB.
    #[must_use]
    pub fn new(volume: VolumeId, blocks: BlockCount) -> Self {
        let quarter = blocks.saturating_mul(BLOCK_SIZE as u64) / 4;
        Self {
            volume,
            store: StoreId::random(),
            blocks,
            log_bytes: quarter.clamp(64 * MIB, 1024 * MIB),
            prewrite_log: true,
        }
    }
}

/// The largest entry that a log of so many bytes takes, in blocks: an eighth of it, at most
/// [`MAX_ENTRY_BLOCKS`]. Logs of 64 MiB and more take every entry.
#[must_use]
pub fn max_entry_blocks(log_bytes: u64) -> u64 {
    (log_bytes / 8 / BLOCK_SIZE as u64).clamp(1, MAX_ENTRY_BLOCKS)
}

/// How a store is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeOptions {
    /// How far write-back may go; the mode of the volume decides. May be changed later.
    pub flush_bound: FlushBound,
    /// Payload bytes of the newest entries kept in memory for shippers and readers.
    pub recent_bytes: u64,
    /// Bytes of log kept behind the checkpoint for copies that fall behind, beside any pin; at
    /// most a quarter of the ring. `None`: a quarter.
    pub retain_bytes: Option<u64>,
    /// Bytes that may be written back before write-back begins unasked; `None`: an eighth of the
    /// ring, at most 64 MiB.
    pub writeback_bytes: Option<u64>,
    /// Write-back of less than that begins after so long a time.
    pub writeback_idle: Duration,
    /// How long an append waits for space in the log before it is refused as full.
    pub log_full_wait: Duration,
    /// Whether blocks of the extent are verified whenever they are read. Scrubbing, base images and
    /// snapshots verify in any case.
    pub verify_reads: bool,
    /// Bytes a second that are verified at rest in the background while a pass is under way;
    /// 0: none.
    pub scrub_bytes_per_second: u64,
    /// From the end of one pass to the beginning of the next one.
    pub scrub_interval: Duration,
    /// Whether the volume runs its own threads. Without them the owner calls
    /// [`crate::Volume::write_back`] and the syncs.
    pub background: bool,
}

impl Default for VolumeOptions {
    fn default() -> Self {
        Self {
            flush_bound: FlushBound::Committed,
            recent_bytes: 32 * MIB,
            retain_bytes: None,
            writeback_bytes: None,
            writeback_idle: Duration::from_secs(1),
            log_full_wait: Duration::from_secs(30),
            verify_reads: true,
            scrub_bytes_per_second: 4 * MIB,
            scrub_interval: Duration::from_secs(7 * 24 * 3600),
            background: true,
        }
    }
}
