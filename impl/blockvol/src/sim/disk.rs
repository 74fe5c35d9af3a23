//! One disk as a store sees it: visible at once, recorded, failing as it was told to.

use std::io;
use std::sync::Arc;

use super::{Faults, Medium, Op, SimStorage};
use crate::disk::{Disk, SECTOR};
use crate::error::{DiskError, DiskOp};

/// One simulated disk.
#[derive(Debug)]
pub(super) struct SimDisk {
    pub(super) storage: SimStorage,
    pub(super) medium: Medium,
}

impl SimDisk {
    fn refused(&self, op: DiskOp, offset: u64, len: u64, kind: io::ErrorKind) -> DiskError {
        DiskError::new(op, self.name(), offset, len, &io::Error::from(kind))
    }

    /// The bytes of a range, unless the file ends before it.
    fn with_range<R>(
        &self,
        op: DiskOp,
        offset: u64,
        len: u64,
        work: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<R, DiskError> {
        let mut world = self.storage.lock();
        let range = world
            .visible
            .get_mut(&self.medium)
            .and_then(|file| file.get_mut(offset as usize..offset.checked_add(len)? as usize))
            .ok_or_else(|| self.refused(op, offset, len, io::ErrorKind::UnexpectedEof))?;
        Ok(work(range))
    }

    fn put(&self, offset: u64, data: &[u8]) -> Result<(), DiskError> {
        let len = data.len() as u64;
        self.with_range(DiskOp::Write, offset, len, |range| {
            range.copy_from_slice(data);
        })?;
        self.record(Op::Write {
            medium: self.medium,
            offset,
            data: Arc::from(data),
        });
        Ok(())
    }

    fn record(&self, op: Op) {
        self.storage.lock().journal.push(op);
    }

    fn faults(&self) -> Faults {
        let world = self.storage.lock();
        match self.medium {
            Medium::Snapshot(_) => world.shelf_faults,
            Medium::Log | Medium::Extent | Medium::Sums => {
                world.faults.get(&self.medium).copied().unwrap_or_default()
            }
        }
    }
}

impl Disk for SimDisk {
    fn name(&self) -> &str {
        match self.medium {
            Medium::Log => "simulated log",
            Medium::Extent => "simulated extent",
            Medium::Sums => "simulated sums",
            Medium::Snapshot(_) => "simulated snapshot",
        }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let len = buf.len() as u64;
        if self.faults().reads {
            return Err(self.refused(DiskOp::Read, offset, len, io::ErrorKind::Other));
        }
        self.with_range(DiskOp::Read, offset, len, |range| {
            buf.copy_from_slice(range);
        })
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), DiskError> {
        let len = data.len() as u64;
        let faults = self.faults();
        if faults.writes {
            return Err(self.refused(DiskOp::Write, offset, len, io::ErrorKind::Other));
        }
        if faults.no_space {
            self.put(offset, &data[..data.len() / 2])?;
            return Err(self.refused(DiskOp::Write, offset, len, io::ErrorKind::StorageFull));
        }
        self.put(offset, data)
    }

    fn punch(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        if self.faults().writes {
            return Err(self.refused(DiskOp::Punch, offset, len, io::ErrorKind::Other));
        }
        self.with_range(DiskOp::Punch, offset, len, |range| range.fill(0))?;
        self.record(Op::Punch {
            medium: self.medium,
            offset,
            len,
        });
        Ok(())
    }

    fn sync(&self) -> Result<(), DiskError> {
        let medium = self.medium;
        if self.faults().syncs {
            self.record(Op::FailedSync { medium });
            return Err(self.refused(DiskOp::Sync, 0, 0, io::ErrorKind::Other));
        }
        self.record(Op::Sync { medium });
        Ok(())
    }

    fn grow(&self, len: u64) -> Result<(), DiskError> {
        let faults = self.faults();
        if faults.writes || faults.no_space {
            return Err(self.refused(DiskOp::Make, 0, len, io::ErrorKind::StorageFull));
        }
        if self.len()? >= len {
            return Ok(());
        }
        let mut world = self.storage.lock();
        if let Some(file) = world.visible.get_mut(&self.medium) {
            file.resize(len as usize, 0);
        }
        world.journal.push(Op::Grow {
            medium: self.medium,
            len,
        });
        Ok(())
    }

    /// Whatever is not zero takes its sector.
    fn allocated(&self) -> Result<u64, DiskError> {
        let content = self.storage.visible(self.medium);
        let used = content
            .chunks(SECTOR as usize)
            .filter(|sector| sector.iter().any(|byte| *byte != 0));
        Ok(used.count() as u64 * SECTOR)
    }

    fn len(&self) -> Result<u64, DiskError> {
        Ok(self.storage.visible(self.medium).len() as u64)
    }
}
