//! Single steps of the core that [`Store`] offers to its volume alone, for simulators that stop
//! between a superblock's write and its sync: a cut, a switch of bases, pins, shorter runs of
//! write-back.
//!
//! A step's `run` may be called again: it writes the same bytes to the same places. So a simulator
//! can have its disk refuse the sync, look at what a crash would leave there, and run the step to its
//! end later. What a step began is in force only once `finish` was told of a success.

use holdfast_types::{BlockCount, Lsn};

use crate::disk::DiskError;
use crate::error::{BaseError, PinError, Poisoned, TruncateError};
use crate::image::BaseManifest;
use crate::store::{CutStep, FlushStep, Store, SwitchStep};

/// A cut that is under way; see [`Store::truncate`].
#[derive(Debug)]
#[must_use]
pub struct Cut(CutStep);

impl Cut {
    /// Begins to cut everything after `to`, which must be durable; `None` when nothing follows it.
    ///
    /// # Errors
    /// When effects beyond `to` may be in the extent, or `to` is beyond the head.
    pub fn begin(store: &mut Store, to: Lsn) -> Result<Option<Self>, TruncateError> {
        Ok(store.begin_cut(to)?.map(Self))
    }

    /// Writes the superblocks, and reads what the cut log holds.
    ///
    /// # Errors
    /// What the disk said.
    pub fn run(&self) -> Result<(), DiskError> {
        self.0.run().map(|_| ())
    }

    /// Runs the step to its end, and takes its result.
    ///
    /// # Errors
    /// When the disk failed; the store is poisoned then.
    pub fn finish(self, store: &mut Store) -> Result<(), TruncateError> {
        let result = self.0.run();
        store.finish_cut(self.0, result)
    }
}

/// A switch to no base, or to a new one; see [`crate::BaseInstall`].
#[derive(Debug)]
#[must_use]
pub struct Switch(SwitchStep);

impl Switch {
    /// Begins to mark the store untrusted.
    ///
    /// # Errors
    /// When the store is poisoned.
    pub fn to_nothing(store: &mut Store, blocks: BlockCount) -> Result<Self, Poisoned> {
        store.begin_blank(blocks).map(Self)
    }

    /// Begins to switch to the base that was installed.
    ///
    /// # Errors
    /// When this install has ended, or the manifest does not fit the store.
    pub fn to_base(
        store: &mut Store,
        install: u64,
        manifest: &BaseManifest,
    ) -> Result<Self, BaseError> {
        store.begin_new_base(install, manifest).map(Self)
    }

    /// Writes the superblocks.
    ///
    /// # Errors
    /// What the disk said.
    pub fn run(&self) -> Result<(), DiskError> {
        self.0.run()
    }

    /// Runs a switch to nothing to its end; what names the install that may follow.
    ///
    /// # Errors
    /// When the disk failed; the store is poisoned then.
    pub fn finish_nothing(self, store: &mut Store) -> Result<u64, Poisoned> {
        let result = self.0.run();
        store.finish_blank(self.0, result)
    }

    /// Runs a switch to a base to its end.
    ///
    /// # Errors
    /// When the disk failed; the store is poisoned then.
    pub fn finish_base(self, store: &mut Store) -> Result<(), Poisoned> {
        let result = self.0.run();
        store.finish_new_base(self.0, result).map(|_| ())
    }
}

/// Writes blocks of the base that is being installed, without a sync.
///
/// # Errors
/// When this install has ended, or the disk refuses.
pub fn install_blocks(
    store: &Store,
    install: u64,
    first: u64,
    content: &[u8],
) -> Result<(), BaseError> {
    store.check_install(install)?;
    let mut overwrite = store.extent().overwrite();
    overwrite.write(first, content)?;
    Ok(overwrite.finish()?)
}

/// Makes the blocks durable that were installed.
///
/// # Errors
/// What the disk said.
pub fn sync_installed(store: &Store) -> Result<(), DiskError> {
    store.extent().sync()
}

/// The next run of write-back, if that ends at `limit` or before it.
///
/// # Errors
/// When the store is poisoned.
pub fn begin_flush_to(store: &mut Store, limit: Lsn) -> Result<Option<FlushStep>, Poisoned> {
    store.begin_flush_to(limit)
}

/// Keeps the entries after `from`; what names the pin. See [`crate::Volume::pin`].
///
/// # Errors
/// When they are not there, or are more than may be kept back.
pub fn pin(store: &mut Store, from: Lsn, max_bytes: u64) -> Result<u64, PinError> {
    store.pin(from, max_bytes)
}

/// Gives a pin back.
pub fn unpin(store: &mut Store, pin: u64) {
    store.unpin(pin);
}

/// Whether a pin still holds, and from where.
///
/// # Errors
/// When it was revoked or given back.
pub fn pinned(store: &Store, pin: u64) -> Result<Lsn, PinError> {
    store.pinned(pin)
}

/// Where the next entry goes, in bytes ever logged.
#[must_use]
pub fn tail_position(store: &Store) -> u64 {
    store.tail_position()
}
