//! Write-back block by block, checkpoints, operations, copies for snapshots and reads of them.

use std::collections::BTreeSet;

use holdfast_blockvol::sim::steps;
use holdfast_blockvol::{DiskOp, FlushStep, MetaStep, WriteBackError};
use holdfast_model::storage::action::Action;
use holdfast_model::storage::reference;
use holdfast_model::storage::state::{Phase, Read, State};
use holdfast_model::storage::vocabulary::{Lsn as Position, Mode};
use holdfast_types::{BLOCK_SIZE, BlockRange, Lsn};

use super::{Coarser, InFlight, System, Unmade, VolumeRig, differs, none, superblocks};
use crate::product::Difference;
use crate::storage::crash;
use crate::storage::disk::{Gate, Sync};
use crate::storage::layout::{BLOCK, entry_of, lsn, snapshot_id};
use crate::storage::view::operation;

impl VolumeRig {
    /// The superblock that raises the bound to cover write-back up to `limit`, if there is one.
    pub(super) fn raise_bound(
        &self,
        system: &mut System,
        action: Action,
        limit: Lsn,
    ) -> Result<Option<MetaStep>, Unmade> {
        let store = system.store(action)?;
        let run = steps::begin_flush_to(store, limit).map_err(|error| differs(action, error))?;
        let Some(run) = run else {
            return Ok(None);
        };
        store
            .begin_bound(&run)
            .map_err(|error| differs(action, error))
    }

    /// Raises the bound to the specification's, which lies beyond an operation that was carried out.
    pub(super) fn cover(
        &self,
        system: &mut System,
        action: Action,
        after: &State,
    ) -> Result<(), Unmade> {
        let said = after.disk.durable.superblock().extent_bound;
        let store = system.store(action)?;
        if store.positions().extent_bound >= lsn(said) {
            return Ok(());
        }
        if let Some(step) = self.raise_bound(system, action, lsn(said))? {
            let result = step.run();
            let done = system.store(action)?.finish_meta(step, result);
            done.map_err(|error| differs(action, error))?;
        }
        Ok(())
    }

    /// A run of write-back that ends at `to` exactly.
    pub(super) fn run_to(
        &self,
        system: &mut System,
        action: Action,
        to: Lsn,
    ) -> Result<FlushStep, Unmade> {
        let store = system.store(action)?;
        match steps::begin_flush_to(store, to) {
            Ok(Some(run)) if run.to() == to => Ok(run),
            other => Err(differs(action, (to, other.map(|run| run.map(|r| r.to()))))),
        }
    }

    pub(super) fn write_extent(
        &self,
        system: &mut System,
        before: &State,
        action: Action,
        after: &State,
        (block, landed): (usize, bool),
    ) -> Result<(), Unmade> {
        if landed {
            crash::land_block(&mut system.world.lock().files, BLOCK[block]);
        }
        let breaks = after.phase == Phase::Broken;
        let version = if breaks {
            self.due(before, block)
        } else {
            after.memory.written[block]
        };
        let run = self.run_to(system, action, lsn(version))?;
        system.world.pass(Gate {
            image: Sync::Stop,
            written: Some(BTreeSet::from([BLOCK[block]])),
            copied: Some(BTreeSet::from([BLOCK[block]])),
            ..Gate::default()
        });
        match run.run() {
            Err(WriteBackError::Disk(error)) if error.op == DiskOp::Sync && !breaks => Ok(()),
            Err(WriteBackError::Damaged(damage)) if breaks => {
                let told = system.store(action)?.finish_run(Err(damage.into()));
                let store = system.store.take();
                match (told, store.is_some_and(|store| store.poisoned().is_some())) {
                    (Err(_), true) => Ok(()),
                    other => Err(differs(action, other)),
                }
            }
            other => Err(differs(action, other)),
        }
    }

    /// The version of a block that write-back takes next.
    pub(super) fn due(&self, state: &State, block: usize) -> Position {
        let superblock = state.disk.durable.superblock();
        let bounds = &self.spec.bounds;
        let limit = match bounds.mode {
            Mode::Sync => state.memory.durable.min(state.memory.committed),
            Mode::BestEffort => state.memory.durable,
        };
        let to = limit.min(superblock.extent_bound);
        let to = operation(bounds, state).map_or(to, |lsn| to.min(lsn - 1));
        let writes = |lsn: &Position| {
            bounds
                .kind(state.ghost.history[usize::from(*lsn)])
                .writes(block)
        };
        (superblock.checkpoint + 1..=to)
            .rev()
            .find(writes)
            .unwrap_or(0)
    }

    pub(super) fn sync_extent(
        &self,
        system: &mut System,
        before: &State,
        action: Action,
        after: &State,
    ) -> Result<(), Unmade> {
        let installed = |system: &mut System| {
            system.world.pass(Gate::default());
            steps::sync_installed(system.store(action)?).map_err(|error| differs(action, error))
        };
        if before.phase == Phase::Installing {
            return installed(system);
        }
        let to = match operation(&self.spec.bounds, before) {
            // Nothing is beyond the checkpoint but what a restore wrote.
            Some(lsn) if after.memory.synced <= before.disk.durable.superblock().checkpoint => lsn,
            Some(_) | None => after.memory.synced,
        };
        let run = self.run_to(system, action, lsn(to))?;
        system.world.pass(Gate {
            written: none(),
            copied: none(),
            ..Gate::default()
        });
        match run.run() {
            Ok(()) => Ok(()),
            // It read what it needed before that went bad, and reads it again only for the rig.
            Err(WriteBackError::Damaged(_)) if before.ghost.damaged != 0 => installed(system),
            other => Err(differs(action, other)),
        }
    }

    pub(super) fn checkpoint(
        &self,
        system: &mut System,
        action: Action,
        after: &State,
    ) -> Result<(), Unmade> {
        let to = after.disk.cached.superblock().checkpoint;
        let run = self.run_to(system, action, lsn(to))?;
        self.write_checkpoint(system, action, run)
    }

    pub(super) fn write_checkpoint(
        &self,
        system: &mut System,
        action: Action,
        run: FlushStep,
    ) -> Result<(), Unmade> {
        let step = system.store(action)?.begin_checkpoint(&run);
        let step = step.map_err(|error| differs(action, error))?;
        self.stop_at_sync(system, action, || step.run())?;
        system.in_flight = InFlight::Checkpoint(run, step);
        Ok(())
    }

    /// Brings the volume right before the operation at `lsn`: what fills the group before it is
    /// written back.
    pub(super) fn come_before(
        &self,
        system: &mut System,
        before: &State,
        action: Action,
        at: Position,
    ) -> Result<(), Unmade> {
        if before.disk.durable.superblock().checkpoint + 1 != at {
            return Err(Unmade::Coarser(Coarser::OperationFromCheckpoint));
        }
        let filled = Lsn(lsn(at).0 - 1);
        if system.store(action)?.positions().checkpoint >= filled {
            return Ok(());
        }
        if before.disk.superblock_in_flight() {
            return Err(Unmade::Coarser(Coarser::WaitsForSuperblock));
        }
        let gate = Gate {
            log: superblocks(),
            written: none(),
            copied: none(),
            ..Gate::default()
        };
        let bound = self.raise_bound(system, action, filled)?;
        system.world.pass(gate);
        self.finish_alone(system, action, bound)?;
        let run = self.run_to(system, action, filled)?;
        run.run().map_err(|error| differs(action, error))?;
        let store = system.store(action)?;
        let step = store.begin_checkpoint(&run);
        let step = step.map_err(|error| differs(action, error))?;
        let result = step.run();
        store
            .finish_checkpoint(run, step, result)
            .map_err(|error| differs(action, error))
    }

    pub(super) fn finish_alone(
        &self,
        system: &mut System,
        action: Action,
        step: Option<MetaStep>,
    ) -> Result<(), Unmade> {
        if let Some(step) = step {
            let result = step.run();
            let done = system.store(action)?.finish_meta(step, result);
            done.map_err(|error| differs(action, error))?;
        }
        Ok(())
    }

    pub(super) fn perform(
        &self,
        system: &mut System,
        before: &State,
        action: Action,
        after: &State,
    ) -> Result<(), Unmade> {
        let at = after.disk.cached.superblock().checkpoint;
        self.come_before(system, before, action, at)?;
        let bound = self.raise_bound(system, action, lsn(at))?;
        self.finish_alone(system, action, bound)?;
        let run = self.run_to(system, action, lsn(at))?;
        system.world.pass(Gate {
            log: superblocks(),
            written: none(),
            copied: none(),
            ..Gate::default()
        });
        let result = run.run();
        let told = system.store(action)?.finish_run(result);
        told.map_err(|error| differs(action, error))?;
        self.write_checkpoint(system, action, run)
    }

    pub(super) fn restore(
        &self,
        system: &mut System,
        before: &State,
        action: Action,
        (block, landed): (usize, bool),
    ) -> Result<(), Unmade> {
        let Some(at) = operation(&self.spec.bounds, before) else {
            return Err(differs(action, "no operation is due"));
        };
        self.come_before(system, before, action, at)?;
        let bound = self.raise_bound(system, action, lsn(at))?;
        if bound.is_some() && before.disk.superblock_in_flight() {
            return Err(differs(action, "two superblocks in flight"));
        }
        self.finish_alone(system, action, bound)?;
        if landed {
            crash::land_block(&mut system.world.lock().files, BLOCK[block]);
        }
        let run = self.run_to(system, action, lsn(at))?;
        let landing = Gate {
            written: Some(BTreeSet::from([BLOCK[block]])),
            copied: none(),
            ..Gate::default()
        };
        stops_at_the_sync(system, action, run, landing)
    }

    pub(super) fn sync_copies(
        &self,
        system: &mut System,
        before: &State,
        action: Action,
    ) -> Result<(), Unmade> {
        let due = (0..self.spec.bounds.blocks).map(|block| self.due(before, block));
        let to = due.max().unwrap_or(0);
        if to == 0 {
            // Copies for a snapshot that a base has replaced: they went with it.
            system.copying.clear();
            return Ok(());
        }
        let run = self.run_to(system, action, lsn(to))?;
        let landing = Gate {
            written: none(),
            copied: Some(std::mem::take(&mut system.copying)),
            ..Gate::default()
        };
        stops_at_the_sync(system, action, run, landing)
    }

    pub(super) fn end_read(
        &self,
        system: &mut System,
        before: &State,
        action: Action,
    ) -> Result<(), Unmade> {
        let block = match before.memory.read {
            Read::None => {
                return Err(differs(action, "no read is under way"));
            }
            Read::OfCopy(block) | Read::OfExtent(block) => usize::from(block),
        };
        system.world.pass(Gate {
            earlier_map: Some(std::mem::take(&mut system.looked)),
            ..Gate::default()
        });
        let snapshot = before.disk.durable.superblock().snapshot;
        let mut bytes = vec![0; BLOCK_SIZE];
        let Ok(range) = BlockRange::new(BLOCK[block], 1) else {
            unreachable!("one block")
        };
        let store = system.store(action)?;
        store
            .read_snapshot(snapshot_id(snapshot), range, &mut bytes)
            .map_err(|error| differs(action, error))?;
        let bounds = &self.spec.bounds;
        let right = reference::content(bounds, &before.ghost.history, snapshot.lsn())[block];
        let found = entry_of(&bytes);
        if found == right {
            return Ok(());
        }
        Err(Difference::of("a read of the snapshot", &right, &found).into())
    }
}

/// Carries a run out up to the sync of the image, which does not come back: what lands is in the cache.
fn stops_at_the_sync(
    system: &System,
    action: Action,
    run: FlushStep,
    landing: Gate,
) -> Result<(), Unmade> {
    system.world.pass(Gate {
        image: Sync::Stop,
        ..landing
    });
    match run.run() {
        Err(WriteBackError::Disk(error)) if error.op == DiskOp::Sync => Ok(()),
        other => Err(differs(action, other)),
    }
}
