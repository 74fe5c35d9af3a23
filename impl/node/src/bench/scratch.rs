//! Where a benchmark puts its files: one temporary directory, gone afterwards.

use std::fmt::Display;
use std::fs::File;
use std::path::{Path, PathBuf};

use holdfast_blockvol::{FlushBound, FormatOptions, Role, Volume, VolumeOptions};
use holdfast_types::{BLOCK_SIZE, Epoch, VolumeId};

use super::raw::fill;
use crate::failure::Failure;

/// The epoch that the volumes of a benchmark are written in.
pub(super) const EPOCH: Epoch = Epoch(1);

/// Bytes that an entry of one block takes in the log.
pub(super) const ENTRY_BYTES: u64 = 4608;

/// Says what was being done when something failed.
pub(super) trait During<T> {
    /// The failure of a benchmark that cannot go on.
    fn during(self, doing: &str) -> Result<T, Failure>;
}

impl<T, E: Display> During<T> for Result<T, E> {
    fn during(self, doing: &str) -> Result<T, Failure> {
        self.map_err(|cause| Failure::Environment(format!("benchmark: {doing}: {cause}")))
    }
}

/// A directory for one case.
#[derive(Debug)]
pub(super) struct Scratch {
    directory: tempfile::TempDir,
}

/// The image of a volume before it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Image {
    /// Nothing of it is allocated, as on the first day.
    Sparse,
    /// Every block has its place on the disk, as after some use.
    Written,
}

impl Scratch {
    /// An empty directory inside `parent`.
    pub(super) fn inside(parent: &Path) -> Result<Self, Failure> {
        let directory = tempfile::Builder::new()
            .prefix("holdfast-bench-")
            .tempdir_in(parent)
            .during(&parent.display().to_string())?;
        Ok(Self { directory })
    }

    /// A path in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes a store of so many bytes.
    pub(super) fn create_store(
        &self,
        name: &str,
        bytes: u64,
        log_bytes: u64,
        image: Image,
    ) -> Result<PathBuf, Failure> {
        let path = self.path(name);
        let format = FormatOptions {
            log_bytes,
            ..FormatOptions::new(VolumeId::random(), bytes / BLOCK_SIZE as u64)
        };
        Volume::create(&path, &format).during("a new store")?;
        match image {
            Image::Sparse => {}
            Image::Written => File::options()
                .write(true)
                .open(path.join("extent"))
                .and_then(|extent| fill(&extent, bytes))
                .during("the image of a new store")?,
        }
        Ok(path)
    }

    /// Makes a store and takes it as the primary of a volume of one copy.
    pub(super) fn volume(
        &self,
        name: &str,
        bytes: u64,
        log_bytes: u64,
        image: Image,
        options: VolumeOptions,
    ) -> Result<Volume, Failure> {
        Self::serve(&self.create_store(name, bytes, log_bytes, image)?, options)
    }

    /// Opens a store and takes it as the primary of [`EPOCH`].
    pub(super) fn serve(store: &Path, options: VolumeOptions) -> Result<Volume, Failure> {
        let volume = Volume::open(store, options).during("opening a store")?;
        let doing = "taking the role of the primary";
        volume.fence(EPOCH).during(doing)?;
        volume.set_role(EPOCH, Role::Primary).during(doing)?;
        volume.append_epoch_start(EPOCH).during(doing)?;
        Ok(volume)
    }
}

/// As a volume of one copy is opened.
pub(super) fn one_copy() -> VolumeOptions {
    VolumeOptions {
        flush_bound: FlushBound::Durable,
        ..VolumeOptions::default()
    }
}
