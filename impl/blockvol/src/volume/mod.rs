//! One replica's store as many threads use it.
#![allow(clippy::todo, unused_variables)] // signatures first; bodies follow

use std::path::Path;

use bytes::Bytes;
use holdfast_types::{
    BlockCount, BlockRange, EntryKind, Epoch, Lineage, LogEntry, Lsn, ReplicaFacts,
    RetainedHistory, SessionId, StoreId, VolumeId,
};

use crate::error::*;
use crate::image::{BaseManifest, ChunkDigest};
use crate::options::{FormatOptions, VolumeOptions};
use crate::positions::{FlushBound, Positions, Promise, ReadPoint, Role};

/// A log entry whose payload is shared, not copied.
pub type Entry = LogEntry<Bytes>;

/// A thread-safe handle; cheap to clone. The last one dropped stops the background threads.
#[derive(Clone)]
pub struct Volume {}

/// Keeps the entries after a position in the log; released on drop.
pub struct RetentionPin {}

/// Ends the notifications when dropped.
pub struct Subscription {}

/// A base being installed; the store is untrusted from its making to its `finish`.
pub struct BaseInstall {}

/// The live image being copied while it is written.
pub struct BaseSource {}

impl Volume {
    /// Makes a store in a new directory.
    pub fn create(dir: &Path, options: &FormatOptions) -> Result<(), CreateError> {
        todo!()
    }
    /// Opens a store and recovers it.
    pub fn open(dir: &Path, options: VolumeOptions) -> Result<Self, OpenError> {
        todo!()
    }
    /// Opens a store although its log is damaged: empties the log and marks it untrusted, durably.
    pub fn open_for_rebuild(dir: &Path, options: VolumeOptions) -> Result<Self, OpenError> {
        todo!()
    }
    /// Syncs, records a clean end, stops the threads.
    pub fn close(&self) -> Result<(), SyncError> {
        todo!()
    }

    /// The volume.
    pub fn volume_id(&self) -> VolumeId {
        todo!()
    }
    /// The store.
    pub fn store_id(&self) -> StoreId {
        todo!()
    }
    /// Its size.
    pub fn blocks(&self) -> BlockCount {
        todo!()
    }
    /// The largest entry, in blocks.
    pub fn max_entry_blocks(&self) -> u64 {
        todo!()
    }
    /// The size of the log ring, in bytes.
    pub fn log_bytes(&self) -> u64 {
        todo!()
    }
    /// Where it stands.
    pub fn positions(&self) -> Positions {
        todo!()
    }
    /// The last entry and its epoch; `(0, 0)` for the empty log.
    pub fn last(&self) -> (Lsn, Epoch) {
        todo!()
    }
    /// The lineage of the whole log, entries not yet durable included.
    pub fn lineage(&self) -> Lineage {
        todo!()
    }
    /// What is promised.
    pub fn promise(&self) -> Promise {
        todo!()
    }
    /// The failure that stopped the volume, if one did.
    pub fn poisoned(&self) -> Option<Poisoned> {
        todo!()
    }

    /// Appends as primary, waiting for room.
    pub fn append(
        &self,
        epoch: Epoch,
        kind: EntryKind,
        range: BlockRange,
        payload: Bytes,
    ) -> Result<Lsn, AppendError> {
        todo!()
    }
    /// The same without waiting.
    pub fn try_append(
        &self,
        epoch: Epoch,
        kind: EntryKind,
        range: BlockRange,
        payload: Bytes,
    ) -> Result<Lsn, AppendError> {
        todo!()
    }
    /// Logs the first entry of an epoch, from the reserve if need be.
    pub fn append_epoch_start(&self, epoch: Epoch) -> Result<Lsn, AppendError> {
        todo!()
    }
    /// Appends as replica.
    pub fn append_entry(
        &self,
        predecessor: (Lsn, Epoch),
        entry: Entry,
    ) -> Result<Lsn, AppendError> {
        todo!()
    }
    /// Appends as replica, as many as fit in order, one disk write. All or nothing.
    pub fn append_entries(
        &self,
        predecessor: (Lsn, Epoch),
        entries: &[Entry],
    ) -> Result<Lsn, AppendError> {
        todo!()
    }

    /// Blocks until the head of this moment is durable.
    pub fn sync(&self) -> Result<Lsn, SyncError> {
        todo!()
    }
    /// Blocks until `lsn` is durable.
    pub fn sync_to(&self, lsn: Lsn) -> Result<Lsn, SyncError> {
        todo!()
    }
    /// Asks the sync thread to make the present head durable; returns at once.
    pub fn request_sync(&self) {
        todo!()
    }
    /// Takes what the primary says is committed, as far as this log reaches. Never goes back.
    pub fn set_committed(&self, lsn: Lsn) -> Lsn {
        todo!()
    }
    /// Changes how far write-back may go.
    pub fn set_flush_bound(&self, bound: FlushBound) {
        todo!()
    }
    /// One step of write-back; whether it did anything.
    pub fn write_back(&self) -> Result<bool, WriteBackError> {
        todo!()
    }

    /// Reads blocks: the log first, then the extent.
    pub fn read(&self, range: BlockRange, buf: &mut [u8]) -> Result<ReadPoint, ReadError> {
        todo!()
    }
    /// The entries after a position, at least one if there is one, at most `max_bytes` of payload otherwise.
    pub fn entries(&self, after: Lsn, max_bytes: u64) -> Result<Vec<Entry>, CursorError> {
        todo!()
    }
    /// Keeps the entries after a position.
    pub fn pin(&self, from: Lsn, max_bytes: u64) -> Result<RetentionPin, PinError> {
        todo!()
    }
    /// Calls `notify` after every change of a position.
    pub fn subscribe(&self, notify: impl Fn(Positions) + Send + Sync + 'static) -> Subscription {
        todo!()
    }

    /// Makes a higher epoch durable; the role becomes none. The same epoch again has no effect.
    pub fn fence(&self, epoch: Epoch) -> Result<Promise, PromiseError> {
        todo!()
    }
    /// Takes a role in the promised epoch, durably.
    pub fn set_role(&self, epoch: Epoch, role: Role) -> Result<Promise, PromiseError> {
        todo!()
    }
    /// Admits a session of a primary, durably.
    pub fn admit_session(&self, epoch: Epoch, session: SessionId) -> Result<Promise, PromiseError> {
        todo!()
    }
    /// Syncs the log, then reports what is on the disk.
    pub fn facts(&self) -> Result<ReplicaFacts, FactsError> {
        todo!()
    }
    /// What this store can prove of its history.
    pub fn history(&self) -> RetainedHistory {
        todo!()
    }
    /// Cuts the log, durably.
    pub fn truncate(&self, to: Lsn) -> Result<(), TruncateError> {
        todo!()
    }
    /// Begins to replace the image: durably untrusted before it returns.
    pub fn begin_install(&self) -> Result<BaseInstall, BaseError> {
        todo!()
    }
    /// Begins to copy the live image, with the log pinned from the split.
    pub fn begin_base(&self, pin_bytes: u64) -> Result<BaseSource, BaseError> {
        todo!()
    }
}

impl RetentionPin {
    /// The position held: entries after it stay.
    pub fn from(&self) -> Lsn {
        todo!()
    }
    /// Whether it still holds.
    pub fn check(&self) -> Result<(), PinError> {
        todo!()
    }
    /// Moves the pin forward; never back.
    pub fn advance(&self, to: Lsn) -> Result<(), PinError> {
        todo!()
    }
}

impl BaseInstall {
    /// How many chunks the image has.
    pub fn chunk_count(&self) -> u64 {
        todo!()
    }
    /// The digest of what the store holds in a chunk at present (partial rebuild).
    pub fn present_digest(&self, index: u64) -> Result<ChunkDigest, BaseError> {
        todo!()
    }
    /// Keeps the present content of a chunk as the new one, after checking its digest.
    pub fn keep(&self, index: u64, digest: ChunkDigest) -> Result<(), BaseError> {
        todo!()
    }
    /// Verifies and writes a chunk.
    pub fn install(&self, index: u64, data: &[u8], digest: ChunkDigest) -> Result<(), BaseError> {
        todo!()
    }
    /// Checks the manifest and switches to the new base, durably. Returns the new positions.
    pub fn finish(self, manifest: &BaseManifest) -> Result<Positions, BaseError> {
        todo!()
    }
}

impl BaseSource {
    /// The position from which the tail is replayed.
    pub fn split(&self) -> Lsn {
        todo!()
    }
    /// How many chunks the image has.
    pub fn chunk_count(&self) -> u64 {
        todo!()
    }
    /// Reads a chunk; again if asked again (the last reading counts).
    pub fn read(&self, index: u64) -> Result<(Bytes, ChunkDigest), BaseError> {
        todo!()
    }
    /// The manifest, once every chunk was read; the pin lives on for the tail.
    pub fn finish(self) -> Result<(BaseManifest, RetentionPin), BaseError> {
        todo!()
    }
}
