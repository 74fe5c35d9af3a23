//! Write-back: the effects of a contiguous run of entries go into the extent, then the checkpoint
//! moves, then the space is free.
//!
//! One cycle, and what a crash after each step leaves:
//! 1. the extent bound is raised to the run's end, durably: redo covers what follows;
//! 2. what snapshots need of the blocks of the run is copied out, durably ([`crate::snapshot`]); then
//!    the newest content of every block of the run, and its sum, is written to the extent, in block
//!    order: some of it may be there, all of it is in the log;
//! 3. the extent is synced: all of it is there;
//! 4. checkpoint and start of the log move, durably: the run need not be replayed;
//! 5. only now may its space be used again (F09).
//!
//! The run is taken from the log itself, entry by entry, so that no logged entry can be passed
//! over (F07), and every payload is verified before it is used: damage stops the cycle (F10). A run
//! ends before a volume operation, which is a cycle of its own ([`super::operations`]).

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_types::{BLOCK_SIZE, BlockRange, EntryKind, Lsn};

use super::Store;
use super::meta::{Copies, MetaStep};
use super::operations::OperationStep;
use super::read::is_entry;
use crate::disk::{DiskError, DiskOp};
use crate::error::{Damage, Poisoned, WriteBackError};
use crate::extent::{Extent, Overwrite, SUM_OF_ZEROES, join, sum_at};
use crate::log::header::HEADER_BYTES;
use crate::log::ring::Ring;
use crate::log::scan::Meta;
use crate::positions::FlushBound;
use crate::snapshot::{Chain, copy_out, pieces};

/// Payload bytes of one run at most, beyond its first entry.
const RUN_BYTES_MAX: u64 = 32 << 20;
/// Entries of one run at most.
const RUN_ENTRIES_MAX: u64 = 1 << 16;
/// Adjacent blocks are written together, and adjacent entries read, up to so many bytes.
const PIECE_BYTES_MAX: usize = 1 << 20;

/// A run of entries on its way into the extent; see the module.
#[derive(Debug)]
#[must_use]
pub struct FlushStep {
    work: Work,
    to: Lsn,
}

#[derive(Debug)]
enum Work {
    Run(Run),
    Operation(Box<OperationStep>),
}

/// A run of entries, none of them a volume operation.
#[derive(Debug)]
struct Run {
    ring: Ring,
    extent: Extent,
    chain: Arc<Chain>,
    entries: Vec<(Lsn, Meta, Option<Bytes>)>,
}

impl FlushStep {
    /// The last entry of the run.
    #[must_use]
    pub fn to(&self) -> Lsn {
        self.to
    }

    /// Writes the effects of the run and syncs the extent (steps 2 and 3), or carries out the
    /// operation.
    ///
    /// # Errors
    /// What the disk said, or damage in the log.
    pub fn run(&self) -> Result<(), WriteBackError> {
        match &self.work {
            Work::Run(run) => run.run(),
            Work::Operation(operation) => operation.run(),
        }
    }

    /// The ranges that the extent answers for once the checkpoint is at the end of the run.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = BlockRange> + '_ {
        let entries = match &self.work {
            Work::Run(run) => &run.entries[..],
            Work::Operation(_) => &[],
        };
        entries.iter().filter_map(|(_, meta, _)| meta.range)
    }

    fn raises_bound(&self) -> bool {
        match &self.work {
            Work::Run(_) => true,
            Work::Operation(operation) => operation.raises_bound(),
        }
    }
}

impl Run {
    fn run(&self) -> Result<(), WriteBackError> {
        let effects = self.effects();
        let payloads = self.payloads(&effects)?;
        self.copy_out(&effects)?;
        let mut overwrite = self.extent.overwrite();
        for range in &effects.zeroed {
            overwrite.zero(*range)?;
        }
        write_blocks(&mut overwrite, &effects.blocks, &payloads)?;
        overwrite.sync()?;
        Ok(())
    }

    /// The verified payloads that the run needs, by entry; those that follow each other in the log are
    /// read together.
    fn payloads(&self, effects: &Effects) -> Result<Vec<Bytes>, WriteBackError> {
        let mut payloads = vec![Bytes::new(); self.entries.len()];
        let mut needed: Vec<usize> = effects.blocks.values().map(|(entry, _)| *entry).collect();
        needed.sort_unstable();
        needed.dedup();
        needed.retain(|entry| match &self.entries[*entry].2 {
            Some(recent) => {
                payloads[*entry] = recent.clone();
                false
            }
            None => true,
        });
        let mut rest = &needed[..];
        while let Some(first) = rest.first() {
            let begin = self.entries[*first].1.position;
            let mut end = begin;
            let together = rest
                .iter()
                .take_while(|entry| {
                    let meta = &self.entries[**entry].1;
                    let joins = meta.position == end
                        && (end == begin || meta.end() - begin <= PIECE_BYTES_MAX as u64);
                    if joins {
                        end = meta.end();
                    }
                    joins
                })
                .count();
            let (now, later) = rest.split_at(together);
            rest = later;
            let mut stored = vec![0; (end - begin) as usize];
            self.ring.read(begin, &mut stored)?;
            let stored = Bytes::from(stored);
            for entry in now {
                let (lsn, meta, _) = &self.entries[*entry];
                let from = (meta.position - begin) as usize;
                let to = from + HEADER_BYTES + meta.payload_len() as usize;
                if !is_entry(meta, &stored[from..to]) {
                    let at = self.ring.place(meta.position);
                    return Err(Damage::LogPayload { lsn: *lsn, at }.into());
                }
                payloads[*entry] = stored.slice(from + HEADER_BYTES..to);
            }
        }
        Ok(payloads)
    }

    /// Copies what is about to change, and a snapshot needs, out of the image.
    fn copy_out(&self, effects: &Effects) -> Result<(), WriteBackError> {
        if self.chain.newest().is_none() {
            return Ok(());
        }
        let mut written = Vec::new();
        for block in effects.blocks.keys() {
            join(&mut written, *block);
        }
        copy_out(&self.chain, &self.extent, written)?;
        copy_out(&self.chain, &self.extent, self.changed_by_zeroes(effects)?)
    }

    /// What is zeroed and is not zeroes yet.
    fn changed_by_zeroes(&self, effects: &Effects) -> Result<Vec<BlockRange>, DiskError> {
        let mut changed = Vec::new();
        for piece in effects.zeroed.iter().copied().flat_map(pieces) {
            let sums = self.extent.sums(piece)?;
            for (index, block) in (piece.start()..piece.end()).enumerate() {
                if sum_at(&sums, index) != SUM_OF_ZEROES {
                    join(&mut changed, block);
                }
            }
        }
        Ok(changed)
    }

    /// The newest content of every block of the run. Zeroed ranges go first: what a later entry
    /// wrote into one is among the blocks.
    fn effects(&self) -> Effects {
        let mut effects = Effects::default();
        for (entry, (_, meta, _)) in self.entries.iter().enumerate() {
            let Some(range) = meta.range else { continue };
            match meta.kind {
                EntryKind::Write => {
                    for index in 0..range.count() {
                        effects.blocks.insert(range.start() + index, (entry, index));
                    }
                }
                EntryKind::Trim | EntryKind::WriteZeroes => {
                    let mut covered = effects.blocks.split_off(&range.start());
                    effects.blocks.append(&mut covered.split_off(&range.end()));
                    effects.zeroed.push(range);
                }
                EntryKind::EpochStart
                | EntryKind::SnapshotCreate
                | EntryKind::SnapshotDelete
                | EntryKind::Grow
                | EntryKind::Restore => {}
            }
        }
        effects
    }
}

/// Writes blocks in the order of the disk, adjacent ones together.
fn write_blocks(
    extent: &mut Overwrite<'_>,
    blocks: &BTreeMap<u64, (usize, u64)>,
    payloads: &[Bytes],
) -> Result<(), DiskError> {
    let mut stretch = Stretch::default();
    for (block, (entry, index)) in blocks {
        if !stretch.takes(*block) {
            stretch.write(extent, payloads)?;
            stretch = Stretch {
                first: *block,
                ..Stretch::default()
            };
        }
        stretch.add(*entry, *index as usize * BLOCK_SIZE);
    }
    stretch.write(extent, payloads)
}

/// Blocks that follow each other in the image.
#[derive(Debug, Default)]
struct Stretch {
    first: u64,
    blocks: usize,
    /// Of which payloads, from where to where.
    parts: Vec<(usize, Range<usize>)>,
}

impl Stretch {
    fn takes(&self, block: u64) -> bool {
        self.blocks > 0
            && block == self.first + self.blocks as u64
            && self.blocks * BLOCK_SIZE < PIECE_BYTES_MAX
    }

    fn add(&mut self, entry: usize, at: usize) {
        self.blocks += 1;
        match self.parts.last_mut() {
            Some((last, range)) if *last == entry && range.end == at => range.end += BLOCK_SIZE,
            Some(_) | None => self.parts.push((entry, at..at + BLOCK_SIZE)),
        }
    }

    fn write(&self, extent: &mut Overwrite<'_>, payloads: &[Bytes]) -> Result<(), DiskError> {
        let part = |(entry, range): &(usize, Range<usize>)| &payloads[*entry][range.clone()];
        match &self.parts[..] {
            [] => Ok(()),
            [only] => extent.write(self.first, part(only)),
            parts => {
                let parts: Vec<_> = parts.iter().map(|p| IoSlice::new(part(p))).collect();
                extent.write_parts(self.first, &parts)
            }
        }
    }
}

#[derive(Debug, Default)]
struct Effects {
    /// `block -> (entry of the run, block of its payload)`.
    blocks: BTreeMap<u64, (usize, u64)>,
    zeroed: Vec<BlockRange>,
}

impl Store {
    /// How far write-back may go at present.
    #[must_use]
    pub fn flushable(&self) -> Lsn {
        match self.options.flush_bound {
            FlushBound::Committed => self.committed.min(self.durable),
            FlushBound::Durable => self.durable,
        }
    }

    /// Bytes of log that could be written back at present.
    #[must_use]
    pub fn flushable_bytes(&self) -> u64 {
        let end = |lsn| self.point_after(lsn).map(|point| point.position);
        match (end(self.superblock.checkpoint), end(self.flushable())) {
            (Some(from), Some(to)) => to.saturating_sub(from),
            (None, _) | (_, None) => 0,
        }
    }

    /// The next run of entries to write back, if there is one.
    ///
    /// # Errors
    /// When the store is poisoned.
    pub fn begin_flush(&mut self) -> Result<Option<FlushStep>, Poisoned> {
        self.begin_flush_to(Lsn::MAX)
    }

    /// The next run that ends at `limit` or before it, if there is one.
    pub(crate) fn begin_flush_to(&mut self, limit: Lsn) -> Result<Option<FlushStep>, Poisoned> {
        self.check_poison()?;
        let bound = self.flushable().min(limit);
        let mut lsn = self.superblock.checkpoint;
        let mut bytes = 0;
        let mut entries = Vec::new();
        while lsn < bound && (entries.len() as u64) < RUN_ENTRIES_MAX {
            let next = lsn.next();
            let Some(meta) = self.meta(next) else {
                unreachable!("entry {next} is not retained, though beyond the checkpoint");
            };
            if meta.kind.is_operation() {
                if entries.is_empty() {
                    return Ok(self.operation_step(next).map(|operation| FlushStep {
                        work: Work::Operation(Box::new(operation)),
                        to: next,
                    }));
                }
                break;
            }
            bytes += meta.payload_len();
            if bytes > RUN_BYTES_MAX && !entries.is_empty() {
                break;
            }
            entries.push((next, meta, self.recent.get(next).cloned()));
            lsn = next;
        }
        Ok((!entries.is_empty()).then(|| FlushStep {
            work: Work::Run(Run {
                ring: self.ring.clone(),
                extent: self.extent.clone(),
                chain: Arc::clone(&self.chain),
                entries,
            }),
            to: lsn,
        }))
    }

    /// Step 1: raises the extent bound, if the run goes beyond it.
    ///
    /// # Errors
    /// When the store is poisoned.
    pub fn begin_bound(&mut self, step: &FlushStep) -> Result<Option<MetaStep>, Poisoned> {
        let to = step.to;
        if to <= self.superblock.extent_bound || !step.raises_bound() {
            return Ok(None);
        }
        self.begin_meta(Copies::One, |next| next.extent_bound = to)
            .map(Some)
    }

    /// Takes the result of the run. A refused write is tried again (F22); a failed sync, or
    /// damage, stops the store (F14, F10).
    ///
    /// # Errors
    /// The failure of the run.
    pub fn finish_run(&mut self, result: Result<(), WriteBackError>) -> Result<(), WriteBackError> {
        self.write_back_error = result.as_ref().err().cloned();
        match result {
            Err(WriteBackError::Disk(error)) if error.op == DiskOp::Sync => {
                Err(self.poison(error).into())
            }
            Err(WriteBackError::Damaged(damage)) if Self::keeps_going(&damage) => {
                self.known_damage.note(&damage);
                Err(damage.into())
            }
            Err(WriteBackError::Damaged(damage)) => {
                self.poison_damaged(&damage);
                Err(damage.into())
            }
            Err(refused @ WriteBackError::Operation { .. }) => {
                self.poison_refused(&refused);
                Err(refused)
            }
            Ok(()) | Err(WriteBackError::Disk(_) | WriteBackError::Poisoned(_)) => result,
        }
    }

    /// Step 4: the checkpoint moves to the end of the run. The start of the log follows the
    /// checkpoint that is durable already, as far as retention and pins allow, so that whoever
    /// looks meanwhile finds the log after every checkpoint that he is told.
    ///
    /// # Errors
    /// When the store is poisoned.
    pub fn begin_checkpoint(&mut self, step: &FlushStep) -> Result<MetaStep, Poisoned> {
        let to = step.to;
        assert!(
            to <= self.superblock.extent_bound || !step.raises_bound(),
            "effects beyond the bound"
        );
        let start = self.next_start();
        // The loss of a slot must not undo an operation: its files are not made again, or gone.
        let copies = match &step.work {
            Work::Run(_) => Copies::One,
            Work::Operation(_) => Copies::Both,
        };
        self.begin_meta(copies, |next| {
            next.checkpoint = to;
            next.extent_bound = next.extent_bound.max(to);
            next.start = start;
            if let Work::Operation(operation) = &step.work {
                operation.record(next);
            }
        })
    }

    /// Step 5: the space is free, the extent answers for the run's blocks.
    ///
    /// # Errors
    /// When the superblock write failed.
    pub fn finish_checkpoint(
        &mut self,
        flush: FlushStep,
        step: MetaStep,
        result: Result<(), DiskError>,
    ) -> Result<(), Poisoned> {
        self.finish_moved(&flush, step, result)?;
        self.settle(&flush, flush.ranges());
        Ok(())
    }

    /// The checkpoint has moved. That the extent answers for the run's blocks is left to
    /// [`Store::settle`], which has time until the next checkpoint: the log still has them all.
    pub(crate) fn finish_moved(
        &mut self,
        flush: &FlushStep,
        step: MetaStep,
        result: Result<(), DiskError>,
    ) -> Result<(), Poisoned> {
        self.finish_meta(step, result)?;
        match &flush.work {
            Work::Run(_) => {}
            Work::Operation(operation) => self.finish_operation(operation),
        }
        self.assert_ordered();
        Ok(())
    }

    /// From now on the extent answers for ranges of a run.
    pub(crate) fn settle(&mut self, flush: &FlushStep, ranges: impl Iterator<Item = BlockRange>) {
        for range in ranges {
            self.index.settle(range, flush.to);
        }
    }

    /// Frees log space that retention or a released pin held, without any write-back (F23).
    /// `None` when there is none to free.
    ///
    /// # Errors
    /// When the store is poisoned.
    pub fn begin_reclaim(&mut self) -> Result<Option<MetaStep>, Poisoned> {
        self.check_poison()?;
        let start = self.next_start();
        if start.lsn == self.superblock.start.lsn {
            return Ok(None);
        }
        self.begin_meta(Copies::One, |next| next.start = start)
            .map(Some)
    }

    /// One whole step of write-back in one go; whether it did anything.
    ///
    /// # Errors
    /// What stopped it; the log keeps what was not written back.
    pub fn write_back(&mut self) -> Result<bool, WriteBackError> {
        let Some(flush) = self.begin_flush()? else {
            let Some(step) = self.begin_reclaim()? else {
                return self.drain_one();
            };
            let result = step.run();
            self.finish_meta(step, result)?;
            return Ok(true);
        };
        if let Some(step) = self.begin_bound(&flush)? {
            let result = step.run();
            self.finish_meta(step, result)?;
        }
        let result = flush.run();
        self.finish_run(result)?;
        let step = self.begin_checkpoint(&flush)?;
        let result = step.run();
        self.finish_checkpoint(flush, step, result)?;
        Ok(true)
    }
}
