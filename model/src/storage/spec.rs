//! The specification as the checker sees it: which steps can be asked for, and what each does.

use super::action::{Action, Refusal, Synced};
use super::conjuncts::{self, Conditions, Conjunct, Granted, unless};
use super::disk::{Disk, SECTORS, Superblock};
use super::state::{Ghost, Left, Memory, Phase, State};
use super::vocabulary::{Bounds, Entry, LSNS};
use super::{Instance, Mutant, Mutation, Property, Spec, instances, properties};
use crate::checking;

/// One node's storage, at the bounds of one instance, with at most one rule broken, or one condition given up.
#[derive(Clone, Debug)]
pub struct Storage {
    /// The instance.
    pub instance: Instance,
    /// Its bounds.
    pub bounds: Bounds,
    /// The rule that is broken.
    pub mutation: Option<Mutation>,
    /// The condition that is given up.
    pub given_up: Option<Conjunct>,
}

impl Storage {
    /// The specification at an instance.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let at = instances::INSTANCES
            .iter()
            .position(|instance| instance.name == name)?;
        let instance = instances::INSTANCES[at];
        Some(Self {
            instance,
            bounds: instances::BOUNDS[at],
            mutation: None,
            given_up: None,
        })
    }

    /// Whether that rule is the broken one.
    pub(super) fn lacks(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// Writes a superblock, never over the newest durable one.
    pub(super) fn write_superblock(&self, state: &mut State, superblock: Superblock) {
        let newest = state.disk.cached.newest().unwrap_or(1);
        let slot = if self.lacks(Mutation::F15OneSuperblock) || self.gives_up(Conjunct::SlotOlder) {
            0
        } else {
            1 - newest
        };
        state.disk.write_superblock(slot, superblock);
    }

    /// A power loss for every subset of the unsynced sectors, whole or with one more torn.
    fn power_losses(&self, state: &State, calls: &mut Vec<Action>) {
        let unsynced = state.disk.unsynced();
        if state.ghost.left.crashes == 0 {
            return calls.push(Action::LosePower {
                landed: 0,
                torn: None,
            });
        }
        let mut landed = unsynced;
        loop {
            calls.push(Action::LosePower { landed, torn: None });
            for torn in (0..SECTORS as u8).filter(|at| (unsynced & !landed) >> at & 1 == 1) {
                calls.push(Action::LosePower {
                    landed,
                    torn: Some(torn),
                });
            }
            if landed == 0 {
                break;
            }
            landed = (landed - 1) & unsynced;
        }
    }

    fn node_steps(&self, calls: &mut Vec<Action>) {
        let lsns = 1..=self.bounds.last();
        let blocks = 0..self.bounds.blocks as u8;
        calls.extend((1..=self.bounds.epochs()).map(|epoch| Action::Append { epoch }));
        if self.bounds.late_index {
            calls.extend(lsns.clone().map(|lsn| Action::Index { lsn }));
        }
        calls.extend([Action::BeginSync, Action::EndSync]);
        calls.extend(lsns.map(|to| Action::Commit { to }));
        if self.bounds.primary {
            calls.push(Action::Serve);
        }
        calls.extend([Action::RaiseBound, Action::SyncSuperblock]);
        for block in blocks.clone() {
            calls.push(Action::WriteExtent {
                block,
                landed: false,
            });
            calls.push(Action::WriteExtent {
                block,
                landed: true,
            });
            calls.push(Action::Restore {
                block,
                landed: false,
            });
            calls.push(Action::Restore {
                block,
                landed: true,
            });
            calls.push(Action::CopyOut { block });
            calls.push(Action::BeginRead { block });
        }
        calls.extend([
            Action::SyncExtent,
            Action::Checkpoint,
            Action::Perform,
            Action::SyncCopies,
            Action::EndRead,
            Action::Unpin,
            Action::Reclaim,
            Action::Switch,
            Action::Recover,
            Action::Kill,
        ]);
        if self.bounds.pins {
            calls.extend((0..self.bounds.last()).map(|at| Action::Pin { at }));
        }
        if self.bounds.cuts > 0 {
            calls.extend((0..self.bounds.last()).map(|to| Action::Truncate { to }));
        }
        for (base, range) in (0u8..).zip(self.bounds.bases) {
            calls.push(Action::BeginInstall { base });
            for block in blocks.clone() {
                let versions = range.split..=range.bound;
                calls.extend(versions.map(|version| Action::InstallChunk { block, version }));
            }
        }
    }
}

impl Storage {
    /// Whether the step is granted, and else by which condition it is not.
    fn granted(&self, state: &State, action: Action) -> Granted {
        match action {
            Action::Append { epoch } => self.guard_append(state, epoch),
            Action::LoseAppend => self.guard_append(state, 1),
            Action::Index { lsn } => self.guard_index(state, lsn),
            Action::BeginSync => self.guard_begin_sync(state),
            Action::EndSync => self.guard_end_sync(state),
            Action::Commit { to } => self.guard_commit(state, to),
            Action::Serve => self.guard_serve(state),
            Action::RaiseBound => self.guard_raise_bound(state),
            Action::SyncSuperblock => self.guard_sync_superblock(state),
            Action::WriteExtent { block, landed } => {
                self.guard_write_extent(state, usize::from(block), landed)
            }
            Action::Restore { block, landed } => {
                self.guard_restore(state, usize::from(block), landed)
            }
            Action::SyncExtent => self.guard_sync_extent(state),
            Action::Checkpoint => self.guard_checkpoint(state),
            Action::Perform => self.guard_perform(state),
            Action::CopyOut { block } => self.guard_copy_out(state, usize::from(block)),
            Action::SyncCopies => self.guard_sync_copies(state),
            Action::BeginRead { .. } => self.guard_begin_read(state),
            Action::EndRead => self.guard_end_read(state),
            Action::Pin { at } => self.guard_pin(state, at),
            Action::Unpin => unless(state.memory.pin.is_some(), Refusal::NothingToDo),
            Action::Reclaim => self.guard_reclaim(state),
            Action::Truncate { to } => self.guard_truncate(state, to),
            Action::BeginInstall { base } => self.guard_begin_install(state, base),
            Action::InstallChunk { block, version } => {
                self.guard_install_chunk(state, usize::from(block), version)
            }
            Action::Switch => self.guard_switch(state),
            Action::LosePower { landed, torn } => self.guard_lose_power(state, landed, torn),
            Action::Kill => self.guard_kill(state),
            Action::Recover => self.in_phase(Conjunct::RecoverDown, state, Phase::Down),
            Action::FailSync { of } => self.guard_fail_sync(state, of),
            Action::Damage { slot } => self.guard_damage(state, slot),
            Action::Rewind => self.guard_rewind(state),
            Action::StaleFlush { block } => self.guard_stale_flush(state, usize::from(block)),
        }
    }
}

impl Spec for Storage {
    const NAME: &'static str = "storage";
    type State = State;
    type Action = Action;
    type Outputs = ();
    type Refusal = Refusal;

    fn instance(&self) -> &Instance {
        &self.instance
    }

    fn initial(&self) -> Vec<(&'static str, State)> {
        let bounds = &self.bounds;
        let left = Left {
            crashes: bounds.crashes,
            kills: bounds.kills,
            cuts: bounds.cuts,
            failures: bounds.failures,
            damages: bounds.damages,
            installs: bounds.installs,
        };
        let ghost = Ghost {
            history: [Entry::NONE; LSNS + 1],
            flushed: 0,
            committed: 0,
            turn: 0,
            damaged: 0,
            mixed: false,
            rebuilding: false,
            failed: false,
            misread: false,
            epoch: 0,
            made: 0,
            left,
        };
        let state = State {
            disk: Disk::formatted(),
            phase: Phase::Open,
            head: 0,
            memory: Memory::default(),
            ghost,
        };
        vec![("formatted", state)]
    }

    fn calls(&self, state: &State, calls: &mut Vec<Action>) {
        self.node_steps(calls);
        self.power_losses(state, calls);
        if self.bounds.failures > 0 {
            let kinds = [Synced::Log, Synced::Superblock, Synced::Extent];
            calls.extend(kinds.map(|of| Action::FailSync { of }));
        }
        if self.bounds.damages > 0 {
            calls.extend((0..self.bounds.slots).map(|slot| Action::Damage { slot }));
        }
        if self.lacks(Mutation::F13LsnWithoutAppend) {
            calls.push(Action::LoseAppend);
        }
        if self.lacks(Mutation::F04RewindInMemory) {
            calls.push(Action::Rewind);
        }
        if self.lacks(Mutation::F06FlusherDuringInstall) {
            calls.extend((0..self.bounds.blocks as u8).map(|block| Action::StaleFlush { block }));
        }
    }

    fn guard(&self, state: &State, action: Action) -> Result<(), Refusal> {
        self.granted(state, action)
            .map_err(|objection| objection.refusal)
    }

    fn conjuncts() -> &'static [checking::Conjunct] {
        conjuncts::NAMES
    }

    fn objection(&self, state: &State, action: Action) -> Option<usize> {
        let objection = self.granted(state, action).err()?;
        Some(objection.conjunct? as usize)
    }

    fn without(&self, conjunct: usize) -> Self {
        Self {
            given_up: Some(conjuncts::ALL[conjunct]),
            ..self.clone()
        }
    }

    fn apply(&self, before: &State, action: Action) -> (State, ()) {
        let mut after = *before;
        let state = &mut after;
        match action {
            Action::Append { epoch } => self.append(state, epoch),
            Action::LoseAppend => self.lose_append(state),
            Action::Index { lsn } => state.memory.unindexed &= !(1 << (lsn - 1)),
            Action::BeginSync => state.memory.syncing = state.head,
            Action::EndSync => self.end_sync(state),
            Action::Commit { to } => {
                state.memory.committed = to;
                state.ghost.committed = state.ghost.committed.max(to);
            }
            Action::Serve => {
                state.memory.serving = true;
                state.ghost.epoch += 1;
                state.ghost.made = 0;
            }
            Action::RaiseBound => self.raise_bound(state),
            Action::SyncSuperblock => self.sync_superblock(state),
            Action::WriteExtent { block, landed } => {
                self.write_extent(state, usize::from(block), landed);
            }
            Action::Restore { block, landed } => self.restore(state, usize::from(block), landed),
            Action::SyncExtent => self.sync_extent(state),
            Action::Checkpoint => self.checkpoint(state),
            Action::Perform => self.perform(state),
            Action::CopyOut { block } => self.copy_out(state, usize::from(block)),
            Action::SyncCopies => state.disk.sync(super::disk::COPY_SECTORS),
            Action::BeginRead { block } => self.begin_read(state, block),
            Action::EndRead => self.end_read(state),
            Action::Pin { at } => self.pin(state, at),
            Action::Unpin => state.memory.pin = None,
            Action::Reclaim => {
                let superblock = self.with_tail(state, state.disk.durable.superblock());
                self.write_superblock(state, superblock);
            }
            Action::Truncate { to } => self.truncate(state, to),
            Action::BeginInstall { base } => self.begin_install(state, base),
            Action::InstallChunk { block, version } => {
                self.install_chunk(state, usize::from(block), version);
            }
            Action::Switch => self.switch(state),
            Action::LosePower { landed, torn } => self.lose_power(state, landed, torn),
            Action::Kill => self.kill(state),
            Action::Recover => self.recover(state),
            Action::FailSync { of } => self.fail_sync(state, of),
            Action::Damage { slot } => self.damage(state, slot),
            Action::Rewind => self.rewind(state),
            Action::StaleFlush { block } => self.stale_flush(state, usize::from(block)),
        }
        (after, ())
    }

    fn encode(&self, state: &State, code: &mut Vec<u8>) {
        state.encode(code);
    }

    /// Faults, and what the rest of the system may order: nobody may have to wait for a
    /// truncation or a rebuild.
    fn is_fault(&self, action: Action) -> bool {
        let ordered = matches!(
            action,
            Action::Truncate { .. } | Action::BeginInstall { .. } | Action::Pin { .. }
        );
        ordered || action.is_of_the_world()
    }

    fn show(&self, state: &State) -> String {
        state.show()
    }

    fn refusals() -> &'static [&'static str] {
        Refusal::NAMES
    }

    fn refusal_index(refusal: &Refusal) -> usize {
        *refusal as usize
    }

    fn properties() -> Vec<Property<Self>> {
        properties::all()
    }

    fn instances() -> &'static [Instance] {
        &instances::INSTANCES
    }

    fn at(instance: &str) -> Option<Self> {
        Self::named(instance)
    }

    fn mutants() -> Vec<Mutant<Self>> {
        Mutation::ALL
            .iter()
            .filter_map(|mutation| mutation.mutant())
            .collect()
    }
}
