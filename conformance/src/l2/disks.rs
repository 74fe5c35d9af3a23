//! Stores made to hold what the specification says that a disk holds.
//!
//! Entry `n` of a log written as a list of epochs is the same wherever it is made: the start of its
//! epoch, or a write of bytes that name it. So two logs that hold an entry with the same epoch at
//! the same position hold the same entry, as the protocol has it.

use std::sync::Arc;

use bytes::Bytes;
use holdfast_blockvol::{
    FlushBound, FormatOptions, MIN_LOG_BYTES, RetentionPin, Volume, VolumeOptions,
};
use holdfast_model::session::action::{Defect, Disk};
use holdfast_model::session::log::Log;
use holdfast_model::session::state::History;
use holdfast_model::session::vocabulary::UNBOUNDED;
use holdfast_node::runtime::{LocalStore, Origin};
use holdfast_types::{BLOCK_SIZE, BlockRange, EntryKind, Epoch, LogEntry, Lsn, StoreId, VolumeId};
use uuid::Uuid;

use super::ground::{Ground, LONG};
use crate::l1::translate::lsn;

/// Blocks of every volume: one chunk.
pub const BLOCKS: u64 = 4;

/// What may be kept back by a pin, half of the log.
pub const PIN_BYTES: u64 = MIN_LOG_BYTES / 2;

/// A step of making a store failed: the specification's disk is none of the product's.
pub type Unmade = String;

fn unmade(error: impl std::fmt::Display) -> Unmade {
    error.to_string()
}

/// How every store is made.
#[must_use]
pub const fn format_options(volume: VolumeId, store: StoreId) -> FormatOptions {
    FormatOptions {
        volume,
        store,
        blocks: BLOCKS,
        log_bytes: MIN_LOG_BYTES,
        prewrite_log: false,
    }
}

/// How every store is opened: it keeps no log that no pin keeps, and writes nothing back unasked.
#[must_use]
pub fn volume_options() -> VolumeOptions {
    VolumeOptions {
        retain_bytes: Some(0),
        flush_bound: FlushBound::Committed,
        recent_bytes: 1 << 16,
        writeback_bytes: Some(u64::MAX),
        writeback_idle: LONG,
        log_full_wait: std::time::Duration::ZERO,
        scrub_bytes_per_second: 0,
        ..VolumeOptions::default()
    }
}

/// Entry `at` of a log, whose epoch begins with it or before it.
fn entry(at: u64, epoch: u64, begins: bool) -> LogEntry<Bytes> {
    let (kind, range, payload) = if begins {
        (EntryKind::EpochStart, None, Bytes::new())
    } else {
        (EntryKind::Write, Some(block(at)), content(at, epoch))
    };
    LogEntry {
        lsn: Lsn(at),
        epoch: Epoch(epoch),
        kind,
        range,
        payload,
    }
}

/// The block that entry `at` writes.
pub fn block(at: u64) -> BlockRange {
    BlockRange::new(at % BLOCKS, 1).expect("a block of the volume")
}

/// What it writes there.
pub fn content(at: u64, epoch: u64) -> Bytes {
    let mut bytes = vec![0; BLOCK_SIZE];
    bytes[..8].copy_from_slice(&at.to_le_bytes());
    bytes[8..16].copy_from_slice(&epoch.to_le_bytes());
    bytes.into()
}

/// Appends a whole log to an empty store, durably.
fn append(volume: &Volume, log: &Log) -> Result<(), Unmade> {
    let mut epoch_before = 0;
    for (at, &epoch) in (1..).zip(log.entries()) {
        let epoch = u64::from(epoch);
        let begins = epoch != epoch_before;
        if begins {
            volume.fence(Epoch(epoch)).map_err(unmade)?;
        }
        let entry = entry(at, epoch, begins);
        volume.append_entry(volume.last(), entry).map_err(unmade)?;
        epoch_before = epoch;
    }
    volume.sync().map_err(unmade)?;
    Ok(())
}

/// Has everything written back that is committed.
///
/// # Errors
/// What stopped it.
pub fn write_back(volume: &Volume) -> Result<(), Unmade> {
    while volume.write_back().map_err(unmade)? {}
    Ok(())
}

/// A primary's store, and what keeps the log that the specification has not reclaimed.
pub struct Source {
    /// The store.
    pub store: Arc<LocalStore>,
    /// Keeps the log from where it can be replayed.
    pub keeper: RetentionPin,
}

/// Whether a store of the product can stand like this.
#[must_use]
pub fn can_be_source(history: &History) -> bool {
    history.forgotten == 0
        && history.snapshot.is_none()
        && history.extent_bound == history.checkpoint
        && history.retained_from.is_some()
}

/// A primary's store that stands as `history` says.
///
/// # Errors
/// When the product has none such.
pub fn source(
    ground: &mut dyn Ground,
    volume: VolumeId,
    history: &History,
) -> Result<Source, Unmade> {
    let opened = ground.format(volume, StoreId(Uuid::from_u128(1000)))?;
    append(&opened, &history.log)?;
    let retained_from = history.retained_from.ok_or("nothing retained")?;
    let keeper = opened.pin(lsn(retained_from), PIN_BYTES).map_err(unmade)?;
    opened.set_committed(lsn(history.checkpoint));
    write_back(&opened)?;
    opened.set_committed(lsn(history.committed));
    Ok(Source {
        store: Arc::new(LocalStore::over(opened, Origin::Found)),
        keeper,
    })
}

/// Whether a store of the product can hold this and report it.
#[must_use]
pub fn can_be_replica(disk: &Disk) -> bool {
    let bounded = disk.extent_bound <= disk.log.head();
    let being_replaced = disk.extent_bound == UNBOUNDED && disk.log.head() == 0;
    disk.forgotten == 0 && disk.defect == Defect::None && (bounded || being_replaced)
}

/// A replica's store that holds this.
///
/// # Errors
/// When the product has none such.
pub fn replica(
    ground: &mut dyn Ground,
    volume: VolumeId,
    number: u8,
    disk: &Disk,
) -> Result<Arc<LocalStore>, Unmade> {
    let opened = ground.format(volume, StoreId(Uuid::from_u128(2000 + u128::from(number))))?;
    append(&opened, &disk.log)?;
    if disk.extent_bound == UNBOUNDED {
        // Begun and never finished.
        drop(opened.begin_install().map_err(unmade)?);
    } else {
        opened.set_committed(lsn(disk.extent_bound));
        write_back(&opened)?;
    }
    Ok(Arc::new(LocalStore::over(opened, Origin::Found)))
}
