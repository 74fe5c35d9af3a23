//! A disk between a store and its real one, at which a test may wait, count, or lead astray.

use std::fmt;
use std::sync::Arc;

use holdfast_blockvol::{Disk, DiskError};

/// What a disk is asked to do, where a test may step in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Read,
    Write,
    Punch,
    Sync,
}

/// Passes on to `inner` what it is asked, after `tap` was told; what a tap answers is added to the
/// offset.
pub(crate) struct Tapped<T> {
    inner: Arc<dyn Disk>,
    tap: T,
}

impl<T: Fn(Work) -> u64 + Send + Sync + 'static> Tapped<T> {
    pub(crate) fn over(inner: Arc<dyn Disk>, tap: T) -> Arc<dyn Disk> {
        Arc::new(Self { inner, tap })
    }
}

impl<T> fmt::Debug for Tapped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tapped")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<T: Fn(Work) -> u64 + Send + Sync> Disk for Tapped<T> {
    fn name(&self) -> &str {
        self.inner.name()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let by = (self.tap)(Work::Read);
        self.inner.read_at(offset + by, buf)
    }
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), DiskError> {
        let by = (self.tap)(Work::Write);
        self.inner.write_at(offset + by, data)
    }
    fn punch(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        let by = (self.tap)(Work::Punch);
        self.inner.punch(offset + by, len)
    }
    fn sync(&self) -> Result<(), DiskError> {
        (self.tap)(Work::Sync);
        self.inner.sync()
    }
    fn grow(&self, len: u64) -> Result<(), DiskError> {
        self.inner.grow(len)
    }
    fn allocated(&self) -> Result<u64, DiskError> {
        self.inner.allocated()
    }
    fn len(&self) -> Result<u64, DiskError> {
        self.inner.len()
    }
}
