//! What the world does to a node, and how it comes back.
//!
//! Opening a store, step by step: drop from the cache what a failed sync left there; sync
//! everything, so that nothing that is read can still be lost; read the log; write a superblock
//! that seals the log at its end and begins a new run; sync it. Only then is the node open.

use super::Mutation;
use super::action::{Refusal, Synced};
use super::conjuncts::{Conditions, Conjunct, Granted, unless};
use super::disk::{LOG_SECTORS, SECTORS, SUPERBLOCK_SECTORS, Sectors, Superblock};
use super::recovery::Outcome;
use super::spec::Storage;
use super::state::{Memory, Phase, State};
use super::vocabulary::Lsn;

impl Storage {
    /// Power can be lost at any time, also while the process is down and the cache is not yet
    /// written back.
    pub(super) fn guard_lose_power(
        &self,
        state: &State,
        landed: Sectors,
        torn: Option<u8>,
    ) -> Granted {
        if state.ghost.left.crashes == 0 {
            return unless(false, Refusal::Exhausted);
        }
        let unsynced = state.disk.unsynced();
        let torn = torn.map_or(0, |sector| 1 << sector);
        let outside = (landed | torn) & !unsynced != 0 || landed & torn != 0;
        if outside || state.phase == Phase::Down && unsynced == 0 {
            return unless(false, Refusal::NothingToDo);
        }
        Ok(())
    }

    /// The cache is gone, but for what landed; the process is gone.
    pub(super) fn lose_power(&self, state: &mut State, landed: Sectors, torn: Option<u8>) {
        state.ghost.left.crashes = state.ghost.left.crashes.saturating_sub(1);
        state
            .disk
            .lose_power(landed, torn.map(usize::from).filter(|&at| at < SECTORS));
        self.go_down(state);
    }

    /// A process dies, or is stopped after a failed sync so that the store can be opened again.
    pub(super) fn guard_kill(&self, state: &State) -> Granted {
        match state.phase {
            Phase::Poisoned => Ok(()),
            Phase::Down | Phase::Untrusted | Phase::Broken | Phase::Unopenable => {
                unless(false, Refusal::WrongPhase)
            }
            Phase::Opening
            | Phase::Open
            | Phase::Cutting
            | Phase::Marking
            | Phase::Installing
            | Phase::Switching
                if state.ghost.left.kills == 0 =>
            {
                unless(false, Refusal::Exhausted)
            }
            Phase::Opening
            | Phase::Open
            | Phase::Cutting
            | Phase::Marking
            | Phase::Installing
            | Phase::Switching => Ok(()),
        }
    }

    /// The memory is gone, the cache is not.
    pub(super) fn kill(&self, state: &mut State) {
        if state.phase != Phase::Poisoned {
            state.ghost.left.kills = state.ghost.left.kills.saturating_sub(1);
        }
        self.go_down(state);
    }

    fn go_down(&self, state: &mut State) {
        state.phase = Phase::Down;
        state.memory = Memory::default();
        state.ghost.failed = false;
    }

    /// Opens the store: settles the cache, reads the log, begins a new run.
    pub(super) fn recover(&self, state: &mut State) {
        let trusted = self.lacks(Mutation::F14CacheTrustedAfterFailure)
            || self.gives_up(Conjunct::OpenAbandoned);
        if !trusted {
            state.disk.drop_abandoned();
        }
        let unsynced =
            self.lacks(Mutation::F20OpeningWritesBeforeSync) || self.gives_up(Conjunct::OpenSynced);
        if !unsynced {
            state.disk.sync(Sectors::MAX);
            state.disk.renumber();
        }
        let reading = self.read(&state.disk.cached);
        state.phase = match reading.outcome {
            Outcome::Unopenable => Phase::Unopenable,
            Outcome::Rebuilding => Phase::Untrusted,
            Outcome::Broken => Phase::Broken,
            Outcome::Sound => Phase::Opening,
        };
        if reading.outcome != Outcome::Sound {
            return;
        }
        state.head = reading.end;
        self.forget_beyond(state, reading.end);
        let superblock = reading.superblock;
        let by_lsn = self.lacks(Mutation::F01WriteAtLsn);
        state.memory = Memory {
            durable: reading.end,
            committed: superblock.extent_bound.min(reading.end),
            next_slot: if by_lsn {
                self.ring(reading.end)
            } else {
                reading.next_slot
            },
            ..Memory::default()
        };
        let same_run =
            self.lacks(Mutation::F20NoNewRunAtOpening) || self.gives_up(Conjunct::OpenRun);
        let run = if same_run {
            superblock.run
        } else {
            superblock.run + 1
        };
        self.write_superblock(
            state,
            Superblock {
                sealed: reading.end,
                run,
                ..superblock
            },
        );
    }

    /// The superblock in flight becomes durable, and what it announced happens.
    pub(super) fn guard_sync_superblock(&self, state: &State) -> Granted {
        if !state.disk.superblock_in_flight() {
            return unless(false, Refusal::NothingToDo);
        }
        match state.phase {
            Phase::Opening | Phase::Open | Phase::Cutting | Phase::Marking | Phase::Switching => {
                Ok(())
            }
            Phase::Down
            | Phase::Untrusted
            | Phase::Installing
            | Phase::Broken
            | Phase::Poisoned
            | Phase::Unopenable => {
                self.must(Conjunct::SyncSuperblockPhase, false, Refusal::WrongPhase)
            }
        }
    }

    /// Log and superblocks are one file: where nothing is appended meanwhile, its sync covers the
    /// log as well. In service only the superblock is counted on.
    pub(super) fn sync_superblock(&self, state: &mut State) {
        let alone = state.phase == Phase::Open;
        let log = if alone { 0 } else { LOG_SECTORS };
        let before = state.disk.durable.superblock();
        state.disk.sync(SUPERBLOCK_SECTORS | log);
        state.disk.renumber();
        let superblock = state.disk.durable.superblock();
        match state.phase {
            Phase::Open => self.advanced(state, &before),
            Phase::Opening => {
                state.phase = Phase::Open;
                let durable = state.memory.durable;
                self.claim_durable(state, durable);
            }
            Phase::Cutting => {
                state.phase = Phase::Open;
                self.cut(state, superblock.sealed);
            }
            Phase::Marking => self.open_for_chunks(state),
            Phase::Switching => self.switched(state),
            Phase::Down
            | Phase::Untrusted
            | Phase::Installing
            | Phase::Broken
            | Phase::Poisoned
            | Phase::Unopenable => {}
        }
    }

    /// Checkpoint, bound, tail or snapshot have moved: the memory keeps only what is beyond.
    fn advanced(&self, state: &mut State, before: &Superblock) {
        let superblock = state.disk.durable.superblock();
        for written in &mut state.memory.written {
            *written = if *written > superblock.checkpoint {
                *written
            } else {
                0
            };
        }
        if state.memory.synced <= superblock.checkpoint {
            state.memory.synced = 0;
        }
        if superblock.snapshot != before.snapshot {
            state.memory.read = super::state::Read::None;
        }
        if state.ghost.damaged <= superblock.tail {
            state.ghost.damaged = 0;
        }
    }

    /// The sync that fails is one that is under way or due.
    pub(super) fn guard_fail_sync(&self, state: &State, of: Synced) -> Granted {
        unless(state.phase == Phase::Open, Refusal::WrongPhase)?;
        if state.ghost.left.failures == 0 {
            return unless(false, Refusal::Exhausted);
        }
        let due = match of {
            Synced::Log => state.memory.syncing != 0,
            Synced::Superblock => state.disk.superblock_in_flight(),
            Synced::Extent => self.frontier(state) > self.synced(state),
        };
        unless(due, Refusal::NothingToDo)
    }

    /// Whether the sectors landed is unknown, and no later sync will write them. The first failure
    /// poisons the store until it is opened again.
    pub(super) fn fail_sync(&self, state: &mut State, of: Synced) {
        state.ghost.left.failures = state.ghost.left.failures.saturating_sub(1);
        state.ghost.failed = true;
        state.disk.abandoned |= state.disk.unsynced_of(of.sectors());
        let goes_on = of != Synced::Superblock;
        if goes_on && self.lacks(Mutation::F14SyncRetried) {
            state.memory.syncing = 0;
        } else if goes_on && self.lacks(Mutation::M29FailureSwallowed) {
            match of {
                Synced::Log => self.claim_durable(state, state.memory.syncing),
                Synced::Extent => state.memory.synced = self.frontier(state),
                Synced::Superblock => {}
            }
        } else {
            state.phase = Phase::Poisoned;
            state.memory = Memory::default();
        }
    }

    /// The entry in a sector, if damage to it could be told from a torn end: it is retained and
    /// durable, and something else on the disk vouches for it.
    fn vouched(&self, state: &State, slot: u8) -> Option<Lsn> {
        let image = &state.disk.durable;
        let superblock = image.superblock();
        let sector = image.log.get(usize::from(slot))?;
        let lsn = sector.entry.lsn();
        let retained = sector.entry == state.ghost.history[usize::from(lsn)]
            && sector.entry.is_some()
            && superblock.tail < lsn
            && lsn <= state.ghost.flushed
            && state.disk.unsynced() >> slot & 1 == 0;
        let others = (image.log.iter().enumerate())
            .filter(|&(other, sector)| {
                other != usize::from(slot) && sector.entry.is_some() && sector.run == superblock.run
            })
            .map(|(_, sector)| sector.durable);
        let vouched = others
            .chain([superblock.sealed, superblock.checkpoint])
            .any(|vouched| vouched >= lsn);
        (retained && vouched).then_some(lsn)
    }

    /// One sector at a time.
    pub(super) fn guard_damage(&self, state: &State, slot: u8) -> Granted {
        let at_rest = state.phase == Phase::Down || state.phase == Phase::Open;
        unless(at_rest, Refusal::WrongPhase)?;
        if state.ghost.left.damages == 0 || state.ghost.damaged != 0 {
            return unless(false, Refusal::Exhausted);
        }
        unless(self.vouched(state, slot).is_some(), Refusal::NotVouched)
    }

    /// Its checksum fails from now on.
    pub(super) fn damage(&self, state: &mut State, slot: u8) {
        let Some(lsn) = self.vouched(state, slot) else {
            return;
        };
        state.ghost.left.damages = state.ghost.left.damages.saturating_sub(1);
        state.ghost.damaged = lsn;
        state.disk.durable.tear(usize::from(slot));
        state.disk.cached.tear(usize::from(slot));
    }
}
