//! Rebuild: the marker, the chunks, the switch.
//!
//! Never: a chunk before the marker is durable; a switch before the chunks are; an entry of the
//! old log after it; trust before replay has passed the base's bound.

use super::Mutation;
use super::action::Refusal;
use super::conjuncts::{Conditions, Conjunct, Granted, unless};
use super::disk::{EXTENT_SECTORS, Superblock};
use super::reference;
use super::spec::Storage;
use super::state::{Memory, Phase, State};
use super::vocabulary::{Base, Entry, LSNS, Lsn, REBUILDING};

impl Storage {
    fn base(&self, number: u8) -> Option<Base> {
        self.bounds.bases.get(usize::from(number)).copied()
    }

    /// The base under installation; nothing at all where a mutation forgot it.
    fn installing(&self, state: &State) -> Base {
        self.base(state.memory.base)
            .unwrap_or(Base { split: 0, bound: 0 })
    }

    /// The source's history up to `to`: what is committed, then entries of the newest epoch that
    /// may follow.
    fn source(&self, state: &State, to: Lsn) -> [Entry; LSNS + 1] {
        let mut history = state.ghost.history;
        for lsn in state.ghost.committed + 1..=to {
            let before = history[usize::from(lsn) - 1].epoch();
            let epoch = (1..=self.bounds.epochs())
                .rev()
                .find(|&epoch| self.follows(state, before, (lsn, epoch)))
                .unwrap_or(before);
            history[usize::from(lsn)] = Entry::new(lsn, epoch, false);
        }
        history
    }

    /// The node is open, broken or was interrupted in a rebuild; nothing is in flight; no volume
    /// operation happened while the base was copied, and the base has no snapshot (one that has
    /// carries it along: not modelled).
    pub(super) fn guard_begin_install(&self, state: &State, base: u8) -> Granted {
        let Some(base) = self.base(base) else {
            return unless(false, Refusal::Exhausted);
        };
        match state.phase {
            Phase::Open | Phase::Broken if state.ghost.left.installs == 0 => {
                return unless(false, Refusal::Exhausted);
            }
            Phase::Open | Phase::Broken | Phase::Untrusted => {}
            Phase::Down
            | Phase::Opening
            | Phase::Cutting
            | Phase::Marking
            | Phase::Installing
            | Phase::Switching
            | Phase::Poisoned
            | Phase::Unopenable => {
                self.must(Conjunct::BeginInstallPhase, false, Refusal::WrongPhase)?;
            }
        }
        self.no_superblock_in_flight(Conjunct::BeginInstallSuperblock, state)?;
        let still = state.memory.syncing == 0;
        self.must(Conjunct::BeginInstallSync, still, Refusal::SyncInFlight)?;
        let checked = if self.lacks(Mutation::F79OperationOnFuzzyBase) {
            base.split
        } else {
            base.bound
        };
        let source = self.source(state, checked);
        let operation =
            (1..=usize::from(checked)).any(|lsn| self.bounds.kind(source[lsn]).is_operation());
        self.must(
            Conjunct::BeginInstallOperation,
            !operation,
            Refusal::OperationInCopy,
        )
    }

    /// The node has left the in-sync set: no claim of it stands. Flusher, index and pins are gone;
    /// the marker is written, unless it is there already.
    pub(super) fn begin_install(&self, state: &mut State, base: u8) {
        state.ghost.flushed = 0;
        state.ghost.rebuilding = true;
        state.ghost.damaged = 0;
        state.memory = Memory {
            base,
            ..Memory::default()
        };
        if state.phase == Phase::Untrusted {
            return self.open_for_chunks(state);
        }
        state.ghost.left.installs = state.ghost.left.installs.saturating_sub(1);
        if self.lacks(Mutation::F33InstallWithoutMarker) {
            return self.open_for_chunks(state);
        }
        let superblock = state.disk.durable.superblock();
        state.phase = Phase::Marking;
        self.write_superblock(
            state,
            Superblock {
                extent_bound: REBUILDING,
                ..superblock
            },
        );
    }

    /// The marker is durable: the old log is gone, and the history is the source's.
    pub(super) fn open_for_chunks(&self, state: &mut State) {
        let base = self.installing(state);
        state.ghost.history = self.source(state, base.bound);
        let turn = (1..=base.bound)
            .find(|&lsn| state.ghost.history[usize::from(lsn)].epoch() == 2)
            .unwrap_or(0);
        if state.ghost.turn == 0 {
            state.ghost.turn = turn;
        }
        state.ghost.committed = state.ghost.committed.max(base.bound);
        state.head = 0;
        self.forget_beyond(state, 0);
        state.phase = Phase::Installing;
    }

    /// Whether every block was installed.
    pub(super) fn chunks_complete(&self, state: &State) -> bool {
        state.memory.chunks == (1 << self.bounds.blocks) - 1
    }

    /// The block is missing, and the source has this content of it somewhere between the split
    /// and the end of the copy.
    pub(super) fn guard_install_chunk(&self, state: &State, block: usize, version: Lsn) -> Granted {
        self.in_phase(Conjunct::ChunkPhase, state, Phase::Installing)?;
        let base = self.installing(state);
        let wrote = self
            .bounds
            .kind(state.ghost.history[usize::from(version)])
            .writes(block);
        let offered =
            version == base.split || base.split < version && version <= base.bound && wrote;
        let missing = state.memory.chunks >> block & 1 == 0;
        self.must(Conjunct::ChunkMissing, missing, Refusal::NothingToDo)?;
        unless(offered, Refusal::NothingToDo)
    }

    /// The chunk is written to the extent.
    pub(super) fn install_chunk(&self, state: &mut State, block: usize, version: Lsn) {
        let content = reference::content(&self.bounds, &state.ghost.history, version)[block];
        state.disk.cached.extent[block] = content;
        state.memory.chunks |= 1 << block;
        state.ghost.mixed = true;
    }

    /// (Mutation) What the old log still holds of a block, newest first.
    fn stale_version(&self, state: &State, block: usize) -> Option<Entry> {
        let log = &state.disk.cached.log[..usize::from(self.bounds.slots)];
        (log.iter().map(|sector| sector.entry))
            .filter(|&entry| entry.is_some() && self.bounds.kind(entry).writes(block))
            .max()
    }

    /// (Mutation) The flusher was not stopped.
    pub(super) fn guard_stale_flush(&self, state: &State, block: usize) -> Granted {
        unless(state.phase == Phase::Installing, Refusal::WrongPhase)?;
        unless(
            self.stale_version(state, block).is_some(),
            Refusal::NothingToDo,
        )
    }

    /// (Mutation) It writes a block of the old log.
    pub(super) fn stale_flush(&self, state: &mut State, block: usize) {
        if let Some(entry) = self.stale_version(state, block) {
            state.disk.cached.extent[block] = entry;
        }
    }

    /// Every chunk is installed and durable.
    pub(super) fn guard_switch(&self, state: &State) -> Granted {
        self.in_phase(Conjunct::SwitchPhase, state, Phase::Installing)?;
        self.no_superblock_in_flight(Conjunct::SwitchSuperblock, state)?;
        let complete = self.chunks_complete(state);
        self.must(Conjunct::SwitchComplete, complete, Refusal::BaseIncomplete)?;
        let synced = state.disk.unsynced_of(EXTENT_SECTORS) == 0
            || self.lacks(Mutation::SwitchBeforeChunksDurable);
        self.must(Conjunct::SwitchSynced, synced, Refusal::BaseIncomplete)
    }

    /// One superblock with everything: checkpoint, bound, an empty log at the split, a new run.
    pub(super) fn switch(&self, state: &mut State) {
        let base = self.installing(state);
        let old = state.disk.durable.superblock();
        let trusted_at_split = self.lacks(Mutation::FuzzyBaseTrustedAtSplit);
        let same_run =
            self.lacks(Mutation::F05StaleLogAfterSwitch) || self.gives_up(Conjunct::SwitchRun);
        let run = if same_run { old.run } else { old.run + 1 };
        state.ghost.mixed = false;
        state.head = base.split;
        state.phase = Phase::Switching;
        let superblock = Superblock {
            generation: 0,
            checkpoint: base.split,
            extent_bound: if trusted_at_split {
                base.split
            } else {
                base.bound
            },
            tail: base.split,
            tail_slot: self.ring(base.split),
            sealed: base.split,
            run,
            snapshot: Entry::NONE,
        };
        self.write_superblock(state, superblock);
    }

    /// The switch is durable: the node is open, its log empty at the split.
    pub(super) fn switched(&self, state: &mut State) {
        let superblock = state.disk.durable.superblock();
        state.phase = Phase::Open;
        state.memory = Memory {
            committed: superblock.checkpoint,
            next_slot: superblock.tail_slot,
            ..Memory::default()
        };
        self.claim_durable(state, superblock.checkpoint);
    }
}
