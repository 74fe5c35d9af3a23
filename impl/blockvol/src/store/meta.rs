//! Writing the superblock: one owner, one write at a time, alternating slots (F08, F15).

use std::sync::Arc;

use super::Store;
use crate::disk::{Disk, DiskError};
use crate::error::Poisoned;
use crate::superblock::{SLOT_OFFSETS, Superblock};

/// How many slots must hold a change before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copies {
    /// Losing the slot later only means more redo: checkpoints, bounds.
    One,
    /// Must survive the loss of either slot: promises, cuts, switched or untrusted bases.
    Both,
}

/// A superblock write; see [`Store`].
#[derive(Debug)]
#[must_use]
pub struct MetaStep {
    disk: Arc<dyn Disk>,
    slots: Vec<Superblock>,
}

impl MetaStep {
    /// Writes and syncs, slot after slot. The log disk's sync also covers entries written before.
    ///
    /// # Errors
    /// What the disk said; the store is poisoned when `finish` is told.
    pub fn run(&self) -> Result<(), DiskError> {
        for slot in &self.slots {
            self.disk.write_at(slot.slot_offset(), &slot.encode())?;
            self.disk.sync()?;
        }
        Ok(())
    }
}

impl Store {
    /// Begins a change of the superblock. Durable position and lineage go along as they are.
    pub(crate) fn begin_meta(
        &mut self,
        copies: Copies,
        change: impl FnOnce(&mut Superblock),
    ) -> Result<MetaStep, Poisoned> {
        self.check_poison()?;
        assert!(!self.meta_under_way, "two superblock writes at a time");
        let mut next = self.superblock.clone();
        next.durable = self.durable;
        next.lineage = self.lineage.clone();
        change(&mut next);
        self.retained = next.start;
        self.meta_under_way = true;
        let count = match copies {
            Copies::One => 1,
            Copies::Both => 2,
        };
        let slots = (1..=count)
            .map(|step| Superblock {
                generation: next.generation + step,
                ..next.clone()
            })
            .collect();
        Ok(MetaStep {
            disk: Arc::clone(&self.disks.log),
            slots,
        })
    }

    /// Takes the result: the change is in force, or the store is poisoned.
    ///
    /// # Errors
    /// When the write failed, or another failure came before.
    pub fn finish_meta(
        &mut self,
        step: MetaStep,
        result: Result<(), DiskError>,
    ) -> Result<(), Poisoned> {
        self.meta_under_way = false;
        if let Err(error) = result {
            return Err(self.poison(error));
        }
        self.check_poison()?;
        let both = step.slots.len() == SLOT_OFFSETS.len();
        if let Some(last) = step.slots.into_iter().next_back() {
            self.entries.forget_to(last.start.lsn);
            self.superblock = last;
            self.settled = both;
        }
        Ok(())
    }

    /// Whether the loss of one slot would lose something: a checkpoint, or what is known to be
    /// durable.
    pub(crate) fn is_unsettled(&self) -> bool {
        !self.settled || self.superblock.durable < self.durable
    }

    /// Begins to write into both slots what holds at present, the durable position included; `None`
    /// when they have it. A volume that rests is settled: then the loss of either slot loses
    /// nothing, and all that was synced has a witness (decision 012).
    ///
    /// # Errors
    /// When the store is poisoned.
    pub fn begin_settle(&mut self) -> Result<Option<MetaStep>, Poisoned> {
        if !self.is_unsettled() {
            return Ok(None);
        }
        self.begin_meta(Copies::Both, |_| ()).map(Some)
    }

    /// A change of the superblock in one go.
    pub(crate) fn write_meta(
        &mut self,
        copies: Copies,
        change: impl FnOnce(&mut Superblock),
    ) -> Result<(), Poisoned> {
        let step = self.begin_meta(copies, change)?;
        let result = step.run();
        self.finish_meta(step, result)
    }
}
