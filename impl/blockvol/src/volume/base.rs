//! Base images: copied from a live volume, installed into another.
//!
//! The source is fuzzy: the extent is copied while write-back goes on. Replay starts at the split,
//! which is the checkpoint when the copy began, with the log pinned from there; the extent bound
//! when the copy has ended says how far replay must go before the copy is exact (T17, F31, F32).

use std::sync::Arc;

use bytes::Bytes;
use holdfast_types::{BlockCount, BlockRange, Lineage, Lsn};

use super::{RetentionPin, Shared, Volume};
use crate::disk::DiskError;
use crate::error::{BaseError, Damage, Poisoned};
use crate::extent::{Extent, Fault, Overwrite};
use crate::image::{BaseManifest, ChunkDigest, ImageDigest, chunk_count, chunk_range, range_bytes};
use crate::options::MAX_BLOCKS;
use crate::positions::Positions;
use crate::store::{check_manifest, remove_unnamed};
use crate::threads::Mutex;
use crate::threads::atomic::{AtomicU64, Ordering};

/// Chunks that are written between two syncs of the extent, at most: so much, and no more, is left
/// for the last step to wait for.
const SYNC_EVERY_CHUNKS: u64 = 8;

/// The live image being copied while it is written. Dropping it releases the log it pins.
#[derive(Debug)]
pub struct BaseSource {
    shared: Arc<Shared>,
    pin: RetentionPin,
    split: Lsn,
    blocks: BlockCount,
    lineage: Lineage,
    digests: Mutex<Vec<Option<ChunkDigest>>>,
}

/// A base being installed. The store is untrusted, durably, from the making of this to a
/// successful [`BaseInstall::finish`]; dropping it leaves the store so. A later install supersedes
/// it: then all it does is refused ([`BaseError::InstallEnded`]), and it can do no harm.
#[derive(Debug)]
pub struct BaseInstall {
    shared: Arc<Shared>,
    install: u64,
    blocks: BlockCount,
    digests: Mutex<Vec<Option<ChunkDigest>>>,
    /// Chunks written since the extent was last synced.
    unsynced: AtomicU64,
}

impl Shared {
    fn chunk(&self, index: u64) -> Result<BlockRange, BaseError> {
        let blocks = self.lock().store.blocks();
        chunk_range(index, blocks).ok_or(BaseError::NoSuchChunk {
            index,
            count: chunk_count(blocks),
        })
    }

    fn extent(&self) -> Extent {
        self.lock().store.extent().clone()
    }

    /// A chunk of the live image, verified. Blocks that write-back is at, or has left half-done, do
    /// not fit their sums; the log after the split has them, and replay puts them right. All others
    /// are damaged, and never part of a base (F21).
    fn read_chunk(&self, range: BlockRange) -> Result<Vec<u8>, BaseError> {
        let extent = self.extent();
        let mut data = vec![0; range_bytes(range) as usize];
        match extent.read(range, &mut data) {
            Ok(()) => return Ok(data),
            Err(Fault::Disk(error)) => return Err(error.into()),
            Err(Fault::Unfit(_)) => {}
        }
        let _flush = self.flush_lock();
        match extent.read(range, &mut data) {
            Ok(()) => Ok(data),
            Err(Fault::Disk(error)) => Err(error.into()),
            Err(Fault::Unfit(unfit)) => {
                let mut state = self.lock();
                match state.store.at_rest(&unfit).first() {
                    None => Ok(data),
                    Some(range) => {
                        let damage = Damage::Extent { range: *range };
                        state.store.note_damage(&damage);
                        Err(damage.into())
                    }
                }
            }
        }
    }
}

fn no_digests(blocks: BlockCount) -> Mutex<Vec<Option<ChunkDigest>>> {
    Mutex::new(vec![None; chunk_count(blocks) as usize])
}

fn note(digests: &Mutex<Vec<Option<ChunkDigest>>>, index: u64, digest: ChunkDigest) {
    let mut digests = digests
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    digests[index as usize] = Some(digest);
}

fn whole(digests: &Mutex<Vec<Option<ChunkDigest>>>) -> Result<ImageDigest, BaseError> {
    let digests = digests
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(index) = digests.iter().position(Option::is_none) {
        return Err(BaseError::MissingChunk {
            index: index as u64,
        });
    }
    Ok(ImageDigest::of(digests.iter().flatten().copied()))
}

impl Volume {
    /// Begins to copy the live image: the split is the present checkpoint, and the log after it
    /// is pinned; the pin may keep back `pin_bytes` (see [`Volume::pin`]).
    ///
    /// # Errors
    /// When this store's own image is not trusted (M30), or the volume is poisoned.
    pub fn begin_base(&self, pin_bytes: u64) -> Result<BaseSource, BaseError> {
        let mut state = self.shared.lock();
        state.store.check_poison()?;
        let positions = state.store.positions();
        if !positions.is_trusted() {
            return Err(BaseError::SourceUntrusted);
        }
        let split = positions.checkpoint;
        let id = state.store.pin(split, pin_bytes)?;
        let mut lineage = state.store.lineage().clone();
        lineage.truncate_to(split);
        let blocks = state.store.blocks();
        drop(state);
        Ok(BaseSource {
            pin: RetentionPin::new(&self.shared, id, split),
            digests: no_digests(blocks),
            blocks,
            shared: Arc::clone(&self.shared),
            split,
            lineage,
        })
    }

    /// Begins to replace the image: durably untrusted, log emptied, positions at 0, before it
    /// returns; until the end nothing can be read or appended. Pins are revoked. An install that is
    /// under way, whoever holds it, is superseded: no chunk of it is on its way when this returns,
    /// and none is taken from then on (F55).
    ///
    /// # Errors
    /// When the volume is, or becomes, poisoned.
    pub fn begin_install(&self) -> Result<BaseInstall, BaseError> {
        self.begin_install_of(self.blocks())
    }

    /// The same for an image of another size: the volume has grown, or never grew so far.
    ///
    /// # Errors
    /// When the size is out of bounds or the disk refuses; nothing was changed then. When the volume
    /// is, or becomes, poisoned.
    pub fn begin_install_of(&self, blocks: BlockCount) -> Result<BaseInstall, BaseError> {
        if !(1..=MAX_BLOCKS).contains(&blocks) {
            return Err(BaseError::BadManifest {
                what: "its size is out of bounds",
            });
        }
        let _flush = self.shared.flush_lock();
        self.shared.extent().grow(blocks)?;
        let _meta = self.shared.meta_lock();
        let step = self.shared.with_store(|store| store.begin_blank(blocks))?;
        let result = step.run();
        let install = self
            .shared
            .between_appends(|store| store.finish_blank(step, result))?;
        // Snapshots went with the image; a crash before this leaves files that opening removes.
        let shelf = Arc::clone(&self.shared.lock().store.disks().snapshots);
        remove_unnamed(&*shelf, &[])?;
        Ok(BaseInstall {
            digests: no_digests(blocks),
            blocks,
            shared: Arc::clone(&self.shared),
            install,
            unsynced: AtomicU64::new(0),
        })
    }
}

impl BaseSource {
    /// The position from which the tail is replayed onto the copy.
    #[must_use]
    pub fn split(&self) -> Lsn {
        self.split
    }

    /// Bytes of log that this copy keeps from being freed.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.pin.held_bytes()
    }

    /// How many chunks the image has.
    #[must_use]
    pub fn chunk_count(&self) -> u64 {
        chunk_count(self.blocks)
    }

    /// Reads a chunk as it is now, with the digest of what was read. Chunks may be read in any
    /// order and by several threads; if one is read again, the last reading is the one to send.
    ///
    /// # Errors
    /// When there is no such chunk, the pin was revoked, or the disk refuses.
    pub fn read(&self, index: u64) -> Result<(Bytes, ChunkDigest), BaseError> {
        let range = self.shared.chunk(index)?;
        self.pin.check()?;
        let data = self.shared.read_chunk(range)?;
        let digest = ChunkDigest::of(&data);
        note(&self.digests, index, digest);
        Ok((Bytes::from(data), digest))
    }

    /// The manifest, once every chunk was read; the pin lives on for the tail. The extent bound is
    /// taken now, after the last chunk: nothing that was read can be beyond it.
    ///
    /// # Errors
    /// When a chunk was not read, or the pin was revoked meanwhile.
    pub fn finish(self) -> Result<(BaseManifest, RetentionPin), BaseError> {
        let digest = whole(&self.digests)?;
        self.pin.check()?;
        let state = self.shared.lock();
        state.store.check_poison()?;
        let extent_bound = state.store.positions().extent_bound;
        if let Some(lsn) = state.store.operation_within(self.split, extent_bound) {
            return Err(BaseError::OperationMeanwhile { lsn });
        }
        drop(state);
        let manifest = BaseManifest {
            volume: self.shared.identity.volume,
            blocks: self.blocks,
            base_lsn: self.split,
            extent_bound,
            lineage: self.lineage,
            digest,
        };
        Ok((manifest, self.pin))
    }
}

impl BaseInstall {
    /// How many chunks the image has.
    #[must_use]
    pub fn chunk_count(&self) -> u64 {
        chunk_count(self.blocks)
    }

    /// The digest of what the extent holds in a chunk at present: a source need not send a chunk
    /// whose digest is the same (partial rebuild).
    ///
    /// # Errors
    /// When there is no such chunk, the install has ended, or the disk refuses.
    pub fn present_digest(&self, index: u64) -> Result<ChunkDigest, BaseError> {
        let range = self.shared.chunk(index)?;
        Ok(ChunkDigest::of(&self.present(range)?))
    }

    /// Keeps the present content of a chunk as that of the new base, if it has this digest.
    ///
    /// # Errors
    /// When the content is another, or as [`BaseInstall::present_digest`].
    pub fn keep(&self, index: u64, digest: ChunkDigest) -> Result<(), BaseError> {
        let range = self.shared.chunk(index)?;
        let data = self.present(range)?;
        let found = ChunkDigest::of(&data);
        if found != digest {
            return Err(BaseError::ChunkDigest {
                index,
                expected: digest,
                found,
            });
        }
        self.change(|extent| extent.note(range.start(), &data))?;
        note(&self.digests, index, digest);
        Ok(())
    }

    /// What the extent holds, right or wrong: its digest decides.
    fn present(&self, range: BlockRange) -> Result<Vec<u8>, BaseError> {
        self.check()?;
        let mut data = vec![0; range_bytes(range) as usize];
        self.shared.extent().read_unverified(range, &mut data)?;
        Ok(data)
    }

    /// Verifies a chunk and writes it; now and then the extent is synced on the way, so that the end
    /// is short. Chunks come in any order; if one comes again, the last one counts.
    ///
    /// # Errors
    /// When it is not of its size or digest (nothing was written then), the install has ended, or
    /// the disk refuses; a refused sync poisons the volume (F14).
    pub fn install(&self, index: u64, data: &[u8], digest: ChunkDigest) -> Result<(), BaseError> {
        let range = self.shared.chunk(index)?;
        if data.len() as u64 != range_bytes(range) {
            return Err(BaseError::ChunkSize {
                index,
                expected: range_bytes(range),
                found: data.len() as u64,
            });
        }
        let found = ChunkDigest::of(data);
        if found != digest {
            return Err(BaseError::ChunkDigest {
                index,
                expected: digest,
                found,
            });
        }
        self.change(|extent| {
            if data.iter().all(|byte| *byte == 0) {
                extent.zero(range)
            } else {
                extent.write(range.start(), data)
            }
        })?;
        note(&self.digests, index, digest);
        if self.unsynced.fetch_add(1, Ordering::Relaxed) + 1 >= SYNC_EVERY_CHUNKS {
            self.sync_extent()?;
        }
        Ok(())
    }

    /// Changes the image; no later install begins between the check and the write.
    fn change(
        &self,
        change: impl FnOnce(&mut Overwrite<'_>) -> Result<(), DiskError>,
    ) -> Result<(), BaseError> {
        let _flush = self.shared.flush_lock();
        self.check()?;
        let extent = self.shared.extent();
        let mut overwrite = extent.overwrite();
        change(&mut overwrite)?;
        Ok(overwrite.finish()?)
    }

    fn sync_extent(&self) -> Result<(), Poisoned> {
        let extent = self.shared.extent();
        self.unsynced.store(0, Ordering::Relaxed);
        extent
            .sync()
            .map_err(|error| self.shared.with_store(|store| store.poison(error)))
    }

    /// Checks the manifest against what was installed, makes the image durable, and switches the
    /// store to the new base in one durable step: an empty log that begins at `base_lsn + 1`. The
    /// base is trusted once the log has been replayed, durably, to the manifest's extent bound.
    ///
    /// # Errors
    /// When the manifest is not this image's, or the disk refuses: the store stays untrusted.
    pub fn finish(self, manifest: &BaseManifest) -> Result<Positions, BaseError> {
        let state = self.shared.lock();
        state.store.check_install(self.install)?;
        check_manifest(state.store.superblock(), manifest)?;
        drop(state);
        let found = whole(&self.digests)?;
        if found != manifest.digest {
            return Err(BaseError::ImageDigest {
                expected: manifest.digest,
                found,
            });
        }
        self.sync_extent()?;
        let _flush = self.shared.flush_lock();
        let _meta = self.shared.meta_lock();
        let step = self
            .shared
            .with_store(|store| store.begin_new_base(self.install, manifest))?;
        let result = step.run();
        Ok(self
            .shared
            .between_appends(|store| store.finish_new_base(step, result))?)
    }

    fn check(&self) -> Result<(), BaseError> {
        self.shared.lock().store.check_install(self.install)
    }
}
