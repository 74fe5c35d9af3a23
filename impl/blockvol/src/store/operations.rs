//! Volume operations: logged like any entry, carried out when write-back reaches them, their outcome
//! durable in the same superblock as the checkpoint at their position (`docs/protocol.md` section 1).
//!
//! * *create*: the file of the snapshot is made, then the superblock names it. Everything before the
//!   entry is in the image and nothing after it, or the operation is refused for good (F78, F79);
//! * *delete*: the superblock says that it is given up; its space follows ([`super::snapshots`]);
//! * *grow*: the files are made longer, then the superblock says so;
//! * *restore*: the extent bound is raised to the entry first, as for any effect; then the snapshot is
//!   written over the image. A crash in between is redone: reads and writes wait meanwhile.

use std::sync::{Arc, OnceLock};

use holdfast_types::{BlockCount, EntryKind, Epoch, Lsn, SnapshotId, VolumeId, VolumeOperation};

use super::Store;
use super::append::{AppendRequest, NewEntry};
use crate::disk::Disks;
use crate::error::{AppendError, WriteBackError};
use crate::extent::Extent;
use crate::options::MAX_BLOCKS;
use crate::snapshot::{Chain, MAX_SNAPSHOTS, Member, SnapshotFile, restore};
use crate::superblock::Superblock;

/// An operation on its way; see the module.
#[derive(Debug)]
pub(crate) struct OperationStep {
    lsn: Lsn,
    epoch: Epoch,
    operation: VolumeOperation,
    volume: VolumeId,
    blocks: BlockCount,
    extent_bound: Lsn,
    disks: Disks,
    extent: Extent,
    chain: Arc<Chain>,
    /// The file that a create made.
    made: OnceLock<Arc<SnapshotFile>>,
}

impl OperationStep {
    /// Whether the image changes before the outcome is recorded.
    pub(crate) fn raises_bound(&self) -> bool {
        match self.operation {
            VolumeOperation::Restore { .. } => true,
            VolumeOperation::SnapshotCreate { .. }
            | VolumeOperation::SnapshotDelete { .. }
            | VolumeOperation::Grow { .. } => false,
        }
    }

    fn refused(&self, what: &'static str) -> WriteBackError {
        WriteBackError::Operation {
            lsn: self.lsn,
            what,
        }
    }

    /// Everything but the superblock; doing it again has the same outcome.
    pub(crate) fn run(&self) -> Result<(), WriteBackError> {
        // A restore has raised the bound to itself; no other operation may find it raised.
        let exact = match self.raises_bound() {
            true => self.extent_bound <= self.lsn,
            false => self.extent_bound < self.lsn,
        };
        if !exact {
            return Err(self.refused("the image may hold later effects already"));
        }
        match &self.operation {
            VolumeOperation::SnapshotCreate { label } => {
                let id = SnapshotId {
                    lsn: self.lsn,
                    epoch: self.epoch,
                };
                let label = label.clone();
                let file = SnapshotFile::create(&self.disks, self.volume, id, self.blocks, label)?;
                self.made.get_or_init(|| Arc::new(file));
                Ok(())
            }
            VolumeOperation::SnapshotDelete { .. } => Ok(()),
            VolumeOperation::Grow { blocks } => Ok(self.extent.grow(*blocks)?),
            VolumeOperation::Restore { snapshot } => {
                let from = self
                    .chain
                    .position(*snapshot)
                    .ok_or_else(|| self.refused("the snapshot is not here"))?;
                restore(&self.chain, from, &self.extent, self.blocks)
            }
        }
    }

    /// The outcome, in the superblock that moves the checkpoint.
    pub(super) fn record(&self, next: &mut Superblock) {
        match &self.operation {
            VolumeOperation::SnapshotCreate { .. } => {
                if let Some(file) = self.made.get() {
                    next.snapshots.push(file.record());
                }
            }
            VolumeOperation::SnapshotDelete { snapshot } => {
                for record in &mut next.snapshots {
                    record.given_up |= record.id == *snapshot;
                }
            }
            VolumeOperation::Grow { blocks } => next.blocks = *blocks,
            VolumeOperation::Restore { .. } => {}
        }
    }

    pub(super) fn made(&self) -> Option<&Arc<SnapshotFile>> {
        self.made.get()
    }
}

impl Store {
    /// Logs a volume operation as the primary of `epoch`, which must be the promised one. A snapshot
    /// is named by the position that this returns, and that epoch.
    ///
    /// # Errors
    /// Any of [`AppendError`]; nothing was appended then.
    pub fn append_operation(
        &mut self,
        epoch: Epoch,
        operation: &VolumeOperation,
    ) -> Result<Lsn, AppendError> {
        self.append_request(AppendRequest::operation(epoch, operation))
    }

    /// Whether an operation makes sense after everything that is logged.
    pub(super) fn check_possible(&self, operation: &VolumeOperation) -> Result<(), AppendError> {
        let refused = |what| Err(AppendError::Operation { what });
        match operation {
            VolumeOperation::SnapshotCreate { .. } => {
                let making = self
                    .operations
                    .iter()
                    .filter(|(_, other)| other.kind() == EntryKind::SnapshotCreate);
                if self.superblock.snapshots.len() + making.count() >= MAX_SNAPSHOTS {
                    return refused("there are as many snapshots as there can be");
                }
            }
            VolumeOperation::SnapshotDelete { snapshot }
            | VolumeOperation::Restore { snapshot } => {
                if !self.will_have(*snapshot) {
                    return refused("there is no such snapshot");
                }
            }
            VolumeOperation::Grow { blocks } => {
                if *blocks <= self.blocks_at_head() {
                    return refused("a volume never becomes smaller");
                }
            }
        }
        Ok(())
    }

    /// Whether a snapshot is there once everything logged is carried out.
    fn will_have(&self, snapshot: SnapshotId) -> bool {
        let here = self.chain.position(snapshot).is_some();
        self.operations
            .iter()
            .fold(here, |here, (lsn, operation)| match operation {
                VolumeOperation::SnapshotCreate { .. } => {
                    let made = self.meta(*lsn).map(|meta| SnapshotId {
                        lsn: *lsn,
                        epoch: meta.epoch,
                    });
                    here || made == Some(snapshot)
                }
                VolumeOperation::SnapshotDelete { snapshot: gone } => here && *gone != snapshot,
                VolumeOperation::Grow { .. } | VolumeOperation::Restore { .. } => here,
            })
    }

    /// The shape of an operation's entry, from wherever it comes.
    pub(super) fn check_operation(&self, entry: &NewEntry) -> Result<VolumeOperation, AppendError> {
        let operation = VolumeOperation::decode(entry.kind, &entry.payload)
            .map_err(|error| AppendError::Malformed { what: error.what })?;
        match operation {
            VolumeOperation::Grow { blocks } if blocks > MAX_BLOCKS => {
                Err(AppendError::Operation {
                    what: "a volume has at most 2^40 blocks",
                })
            }
            VolumeOperation::Grow { blocks } if blocks <= self.superblock.blocks => {
                Err(AppendError::Operation {
                    what: "a volume never becomes smaller",
                })
            }
            VolumeOperation::Grow { .. }
            | VolumeOperation::SnapshotCreate { .. }
            | VolumeOperation::SnapshotDelete { .. }
            | VolumeOperation::Restore { .. } => Ok(operation),
        }
    }

    /// The size of the volume once everything logged is carried out.
    #[must_use]
    pub fn blocks_at_head(&self) -> BlockCount {
        self.operations
            .iter()
            .filter_map(|(_, operation)| size_after(operation))
            .fold(self.superblock.blocks, BlockCount::max)
    }

    /// The restore that reads and writes wait for.
    pub(crate) fn restoring(&self) -> Option<Lsn> {
        self.operations
            .iter()
            .find(|(_, operation)| operation.kind() == EntryKind::Restore)
            .map(|(lsn, _)| *lsn)
    }

    /// Whether a restore has begun to change the image.
    pub(crate) fn restore_under_way(&self) -> bool {
        self.restoring()
            .is_some_and(|lsn| lsn <= self.superblock.extent_bound)
    }

    /// An operation in `(after, upto]`: an image that was copied while it was carried out is of no one
    /// position (F79).
    pub(crate) fn operation_within(&self, after: Lsn, upto: Lsn) -> Option<Lsn> {
        (after.0 + 1..=upto.min(self.tail.lsn).0)
            .map(Lsn)
            .find(|lsn| self.meta(*lsn).is_some_and(|meta| meta.kind.is_operation()))
    }

    /// Whether an operation can be carried out as soon as write-back reaches it.
    pub(crate) fn operation_is_due(&self) -> bool {
        self.operations
            .front()
            .is_some_and(|(lsn, _)| *lsn <= self.flushable())
    }

    /// The operation at `lsn`, if that is the next thing to carry out.
    pub(super) fn operation_step(&self, lsn: Lsn) -> Option<OperationStep> {
        let (_, operation) = self.operations.front().filter(|(next, _)| *next == lsn)?;
        Some(OperationStep {
            lsn,
            epoch: self.meta(lsn)?.epoch,
            operation: operation.clone(),
            volume: self.superblock.volume,
            blocks: self.superblock.blocks,
            extent_bound: self.superblock.extent_bound,
            disks: self.disks.clone(),
            extent: self.extent.clone(),
            chain: Arc::clone(&self.chain),
            made: OnceLock::new(),
        })
    }

    /// Takes an operation whose outcome is durable.
    pub(super) fn finish_operation(&mut self, step: &OperationStep) {
        self.operations.retain(|(lsn, _)| *lsn > step.lsn);
        let mut members = self.chain.members.clone();
        if let Some(file) = step.made() {
            members.push(Member {
                file: Arc::clone(file),
                given_up: false,
            });
        }
        for (member, record) in members.iter_mut().zip(&self.superblock.snapshots) {
            member.given_up = record.given_up;
        }
        self.chain = Arc::new(Chain { members });
    }
}

/// The size that an operation gives the volume.
pub(super) fn size_after(operation: &VolumeOperation) -> Option<BlockCount> {
    match operation {
        VolumeOperation::Grow { blocks } => Some(*blocks),
        VolumeOperation::SnapshotCreate { .. }
        | VolumeOperation::SnapshotDelete { .. }
        | VolumeOperation::Restore { .. } => None,
    }
}
