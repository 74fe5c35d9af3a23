//! Snapshots and the other volume operations, as many threads use them.

use std::sync::Arc;

use bytes::Bytes;
use holdfast_types::{
    BLOCK_SIZE, BlockCount, BlockRange, Epoch, Lsn, SnapshotId, VolumeId, VolumeOperation,
};

use super::{Shared, Volume};
use crate::disk::DiskError;
use crate::error::{AppendError, SnapshotError, WriteBackError};
use crate::extent::Extent;
use crate::image::{ChunkDigest, chunk_count, chunk_range, range_bytes};
use crate::snapshot::{SnapshotInfo, drain};
use crate::store::{AppendRequest, At, Store, read_snapshot};

/// One snapshot, to be read while the volume goes on, from any number of threads. It goes with the
/// snapshot: once that is deleted, reads say so.
#[derive(Clone, Debug)]
pub struct Snapshot {
    shared: Arc<Shared>,
    extent: Extent,
    info: SnapshotInfo,
}

impl Volume {
    /// Logs a volume operation as the primary of `epoch`; waits for room in the log as long as the
    /// options say. Every copy carries it out when its write-back reaches the entry: positions tell.
    ///
    /// A new snapshot is named by the position that this returns, and the epoch.
    ///
    /// # Errors
    /// Any of [`AppendError`]; nothing was appended then.
    pub fn append_operation(
        &self,
        epoch: Epoch,
        operation: &VolumeOperation,
    ) -> Result<Lsn, AppendError> {
        self.append_waiting(AppendRequest::operation(epoch, operation))
    }

    /// The snapshots that can be read, the oldest first.
    ///
    /// # Errors
    /// When the file system does not tell what they take.
    pub fn snapshots(&self) -> Result<Vec<SnapshotInfo>, DiskError> {
        let chain = self.shared.lock().store.chain();
        chain.infos()
    }

    /// A snapshot, to be read.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn snapshot(&self, id: SnapshotId) -> Result<Snapshot, SnapshotError> {
        let info = self
            .snapshots()?
            .into_iter()
            .find(|info| info.id == id)
            .ok_or(SnapshotError::NoSuchSnapshot { snapshot: id })?;
        Ok(Snapshot {
            shared: Arc::clone(&self.shared),
            extent: self.shared.lock().store.extent().clone(),
            info,
        })
    }

    /// The size of the volume once everything logged is carried out; [`Volume::blocks`] is that as of
    /// the checkpoint.
    #[must_use]
    pub fn blocks_at_head(&self) -> BlockCount {
        self.shared.lock().store.blocks_at_head()
    }

    /// The restore that reads and writes wait for, if one is logged and not carried out.
    #[must_use]
    pub fn restoring(&self) -> Option<Lsn> {
        self.shared.lock().store.restoring()
    }
}

impl Snapshot {
    /// What it is.
    #[must_use]
    pub fn info(&self) -> &SnapshotInfo {
        &self.info
    }

    /// Reads whole blocks.
    ///
    /// # Errors
    /// Any of [`SnapshotError`]; the buffer's content is unspecified then.
    pub fn read(&self, range: BlockRange, buf: &mut [u8]) -> Result<(), SnapshotError> {
        read_snapshot(&|| self.at(), &self.extent, range, buf)
    }

    fn at(&self) -> Result<At, SnapshotError> {
        self.shared.lock().store.snapshot_at(self.info.id)
    }

    /// How many chunks it has.
    #[must_use]
    pub fn chunk_count(&self) -> u64 {
        chunk_count(self.info.blocks)
    }

    /// Reads a chunk, with the digest of what was read; `None` beyond the last one.
    ///
    /// # Errors
    /// Any of [`SnapshotError`].
    pub fn chunk(&self, index: u64) -> Result<Option<(Bytes, ChunkDigest)>, SnapshotError> {
        let Some(range) = chunk_range(index, self.info.blocks) else {
            return Ok(None);
        };
        let mut data = vec![0; range_bytes(range) as usize];
        self.read(range, &mut data)?;
        let digest = ChunkDigest::of(&data);
        Ok(Some((Bytes::from(data), digest)))
    }

    /// The volume that it is of.
    #[must_use]
    pub fn volume_id(&self) -> VolumeId {
        self.shared.identity.volume
    }

    /// Its size in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.info.blocks * BLOCK_SIZE as u64
    }
}

impl Shared {
    /// A piece of what is left of a deleted snapshot; whether there was one. The caller holds the
    /// flush lock.
    pub(super) fn drain_one(&self) -> Result<bool, WriteBackError> {
        let Some(step) = self.lock().store.begin_drain()? else {
            return Ok(false);
        };
        let result = drain(&step);
        let meta_lock = self.meta_lock();
        let Some(meta) = self.with_store(|store| store.finish_drain(&step, result))? else {
            return Ok(true);
        };
        let result = meta.run();
        let id = self.with_store(|store| store.finish_drop(&step, meta, result))?;
        drop(meta_lock);
        let shelf = Arc::clone(&self.lock().store.disks().snapshots);
        shelf.remove(id)?;
        Ok(true)
    }

    /// Whether write-back has something to do that is not counted in bytes: an operation that is due,
    /// or a deleted snapshot that still takes space.
    pub(super) fn has_chores(store: &Store) -> bool {
        store.operation_is_due() || store.has_given_up()
    }
}
