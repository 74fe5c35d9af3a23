//! The snapshots of a store: opened with it, read while the volume goes on, drained once given up.

use std::sync::Arc;

use holdfast_types::{BLOCK_SIZE, BlockRange, SnapshotId};

use super::Store;
use super::meta::{Copies, MetaStep};
use crate::disk::{DiskError, DiskOp, Disks, Shelf};
use crate::error::{Damage, OpenError, Poisoned, SnapshotError, WriteBackError};
use crate::extent::{Extent, Fault};
use crate::image::range_bytes;
use crate::snapshot::{
    Chain, DrainStep, Found, Member, PIECE_BLOCKS, SnapshotFault, SnapshotFile, SnapshotInfo,
    SnapshotRecord,
};
use crate::superblock::Superblock;

/// Opens the files that a superblock names.
pub(super) fn open_chain(disks: &Disks, superblock: &Superblock) -> Result<Chain, OpenError> {
    let open = |record: &SnapshotRecord| {
        Ok(Member {
            file: Arc::new(SnapshotFile::open(disks, superblock.volume, *record)?),
            given_up: record.given_up,
        })
    };
    let members = superblock.snapshots.iter().map(open);
    Ok(Chain {
        members: members.collect::<Result<_, OpenError>>()?,
    })
}

/// Removes the files that none of these names.
pub(crate) fn remove_unnamed(shelf: &dyn Shelf, named: &[SnapshotRecord]) -> Result<(), DiskError> {
    for id in shelf.list()? {
        if !named.iter().any(|record| record.id == id) {
            shelf.remove(id)?;
        }
    }
    Ok(())
}

/// The chain of a moment, with the place of one snapshot in it.
pub(crate) type At = (Arc<Chain>, usize);

/// Fills `buf` with blocks of a snapshot, while write-back copies out and overwrites. `at` gives the
/// chain as it is now.
pub(crate) fn read_snapshot(
    at: &dyn Fn() -> Result<At, SnapshotError>,
    extent: &Extent,
    range: BlockRange,
    buf: &mut [u8],
) -> Result<(), SnapshotError> {
    let (chain, member) = at()?;
    let blocks = chain.members[member].file.blocks();
    if !range.is_within(blocks) {
        return Err(SnapshotError::OutOfBounds { range, blocks });
    }
    if buf.len() as u64 != range_bytes(range) {
        return Err(SnapshotError::BufferSize {
            expected: range_bytes(range),
            found: buf.len() as u64,
        });
    }
    let mut first = range.start();
    for piece in buf.chunks_mut(PIECE_BLOCKS as usize * BLOCK_SIZE) {
        let Ok(blocks) = BlockRange::new(first, (piece.len() / BLOCK_SIZE) as u64) else {
            unreachable!("a piece of a range");
        };
        while !read_piece(at, extent, blocks, piece)? {}
        first = blocks.end();
    }
    Ok(())
}

/// Reads a piece; `false` when blocks of it were copied out meanwhile, so that it must be read again.
/// As each block is copied out once for a snapshot, that ends.
fn read_piece(
    at: &dyn Fn() -> Result<At, SnapshotError>,
    extent: &Extent,
    range: BlockRange,
    buf: &mut [u8],
) -> Result<bool, SnapshotError> {
    let (chain, member) = at()?;
    let found = chain.locate(member, range)?;
    let in_image: Vec<u64> = (range.start()..)
        .zip(&found)
        .filter(|(_, found)| **found == Found::Image)
        .map(|(block, _)| block)
        .collect();
    let mut fault = None;
    for run in runs(&in_image) {
        let from = (run.start() - range.start()) as usize * BLOCK_SIZE;
        match extent.read(run, &mut buf[from..from + range_bytes(run) as usize]) {
            Ok(()) => {}
            Err(Fault::Disk(error)) => return Err(error.into()),
            Err(unfit @ Fault::Unfit(_)) => fault = fault.or(Some(unfit)),
        }
    }
    if !in_image.is_empty() {
        // The image is overwritten only after the copy was named: what is not named now was read
        // before it changed (F16).
        let (chain, member) = at()?;
        let now = chain.locate(member, range)?;
        let moved = |block: &u64| now[(block - range.start()) as usize] != Found::Image;
        if in_image.iter().any(moved) {
            return Ok(false);
        }
    }
    if let Some(fault) = fault {
        return Err(fault.certain());
    }
    for (index, found) in found.iter().enumerate() {
        if let Found::Copied { member, named } = found {
            let out = &mut buf[index * BLOCK_SIZE..(index + 1) * BLOCK_SIZE];
            chain.members[*member]
                .file
                .read(range.start() + index as u64, *named, out)
                .map_err(SnapshotFault::into_error::<SnapshotError>)?;
        }
    }
    Ok(true)
}

fn runs(blocks: &[u64]) -> Vec<BlockRange> {
    let mut runs = Vec::new();
    for block in blocks {
        crate::extent::join(&mut runs, *block);
    }
    runs
}

impl Store {
    /// The snapshots that can be read, the oldest first.
    ///
    /// # Errors
    /// When the file system does not tell what they take.
    pub fn snapshots(&self) -> Result<Vec<SnapshotInfo>, DiskError> {
        self.chain.infos()
    }

    /// All snapshots, those included that were given up.
    pub(crate) fn chain(&self) -> Arc<Chain> {
        Arc::clone(&self.chain)
    }

    /// The chain as it is now, with the place of a snapshot in it.
    pub(crate) fn snapshot_at(&self, id: SnapshotId) -> Result<At, SnapshotError> {
        let member = self
            .chain
            .position(id)
            .ok_or(SnapshotError::NoSuchSnapshot { snapshot: id })?;
        Ok((Arc::clone(&self.chain), member))
    }

    /// Reads whole blocks of a snapshot.
    ///
    /// # Errors
    /// Any of [`SnapshotError`]; the buffer's content is unspecified then.
    pub fn read_snapshot(
        &self,
        id: SnapshotId,
        range: BlockRange,
        buf: &mut [u8],
    ) -> Result<(), SnapshotError> {
        read_snapshot(&|| self.snapshot_at(id), &self.extent, range, buf)
    }

    /// Whether a snapshot that was given up still takes space.
    pub(crate) fn has_given_up(&self) -> bool {
        self.chain.members.iter().any(|member| member.given_up)
    }

    /// The next piece of a given-up snapshot to drain, if there is one.
    pub(crate) fn begin_drain(&self) -> Result<Option<DrainStep>, Poisoned> {
        self.check_poison()?;
        let Some(member) = self.chain.members.iter().position(|m| m.given_up) else {
            return Ok(None);
        };
        let id = self.chain.members[member].file.id();
        let from = self.drained.filter(|(of, _)| *of == id);
        Ok(Some(DrainStep {
            chain: Arc::clone(&self.chain),
            member,
            from: from.map_or(0, |(_, from)| from),
        }))
    }

    /// Takes the result of a piece; a superblock write when the whole snapshot is drained.
    pub(crate) fn finish_drain(
        &mut self,
        step: &DrainStep,
        result: Result<Option<u64>, WriteBackError>,
    ) -> Result<Option<MetaStep>, WriteBackError> {
        match result {
            Ok(Some(next)) => {
                self.drained = Some((step.chain.members[step.member].file.id(), next));
                Ok(None)
            }
            Ok(None) => {
                let id = step.chain.members[step.member].file.id();
                let meta = self.begin_meta(Copies::Both, |next| {
                    next.snapshots.retain(|record| record.id != id);
                })?;
                Ok(Some(meta))
            }
            Err(WriteBackError::Disk(error)) if error.op == DiskOp::Sync => {
                Err(self.poison(error).into())
            }
            Err(error) => Err(error),
        }
    }

    /// The file is named no longer: it leaves the chain, and what is returned removes it.
    pub(crate) fn finish_drop(
        &mut self,
        step: &DrainStep,
        meta: MetaStep,
        result: Result<(), DiskError>,
    ) -> Result<SnapshotId, Poisoned> {
        self.finish_meta(meta, result)?;
        self.drained = None;
        let id = step.chain.members[step.member].file.id();
        let mut members = self.chain.members.clone();
        members.retain(|member| member.file.id() != id);
        self.chain = Arc::new(Chain { members });
        Ok(id)
    }

    /// One piece in one go; whether there was one.
    pub(super) fn drain_one(&mut self) -> Result<bool, WriteBackError> {
        let Some(step) = self.begin_drain()? else {
            return Ok(false);
        };
        let result = crate::snapshot::drain(&step);
        if let Some(meta) = self.finish_drain(&step, result)? {
            let result = meta.run();
            let id = self.finish_drop(&step, meta, result)?;
            self.disks.snapshots.remove(id)?;
        }
        Ok(true)
    }

    /// Removes files that no superblock names: of snapshots whose making or removal a crash
    /// interrupted, or that a new base replaced.
    pub(crate) fn remove_leftovers(&self) -> Result<(), DiskError> {
        remove_unnamed(&*self.disks.snapshots, &self.superblock.snapshots)
    }

    /// Damage that another copy must mend.
    pub(super) fn keeps_going(damage: &Damage) -> bool {
        match damage {
            Damage::Extent { .. } | Damage::SnapshotBlocks { .. } => true,
            Damage::LogBroken { .. }
            | Damage::LogPayload { .. }
            | Damage::SnapshotFile { .. }
            | Damage::Superblock { .. } => false,
        }
    }
}
