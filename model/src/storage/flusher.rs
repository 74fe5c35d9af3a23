//! The flusher: it brings entries from the log to the extent, makes checkpoints, performs volume
//! operations and keeps snapshots.
//!
//! Never: an effect in the extent before the bound that covers it is durable; an effect of an
//! entry that is not durable here or (in the sync modes) not committed; a checkpoint beyond the
//! contiguous applied and synced frontier; a later effect before an operation's outcome is
//! durable; an overwritten block whose copy for the snapshot is not.

use super::Mutation;
use super::action::Refusal;
use super::conjuncts::{Conditions, Conjunct, Granted, unless};
use super::disk::{Copied, EXTENT_SECTORS, Image, LogSector, Superblock, extent_sector};
use super::reference;
use super::spec::Storage;
use super::state::{Memory, Phase, Read, State};
use super::vocabulary::{BLOCKS, Entry, Kind, Lsn, Mode};

impl Storage {
    fn entry(&self, state: &State, lsn: Lsn) -> Entry {
        state.ghost.history[usize::from(lsn)]
    }

    fn indexed(state: &State, lsn: Lsn) -> bool {
        state.memory.unindexed >> (lsn - 1) & 1 == 0
    }

    /// The last entry that the flusher may bring to the extent, as this node knows it.
    fn limit(&self, state: &State) -> Lsn {
        let Memory {
            durable, committed, ..
        } = state.memory;
        match self.bounds.mode {
            Mode::BestEffort => durable,
            Mode::Sync => {
                let past_durable = self.lacks(Mutation::F95BoundPastDurable)
                    || self.gives_up(Conjunct::LimitDurable);
                let uncommitted = self.lacks(Mutation::C2UncommittedFlushed)
                    || self.gives_up(Conjunct::LimitCommitted);
                match (past_durable, uncommitted) {
                    (true, _) => committed,
                    (false, true) => durable,
                    (false, false) => durable.min(committed),
                }
            }
        }
    }

    /// The first volume operation whose outcome is not yet durable.
    fn operation(&self, state: &State) -> Option<Lsn> {
        let superblock = if self.lacks(Mutation::F79LaterEffectsBeforeOutcome) {
            state.disk.cached.superblock()
        } else {
            state.disk.durable.superblock()
        };
        (superblock.checkpoint + 1..=state.head)
            .find(|&lsn| self.bounds.kind(self.entry(state, lsn)).is_operation())
    }

    /// The version of a block that the flusher would write now: the newest indexed one within the
    /// durable bound, before the next operation, and newer than what it wrote last.
    fn due(&self, state: &State, block: usize) -> Option<Lsn> {
        let superblock = state.disk.durable.superblock();
        let mut to = self.limit(state);
        if !self.lacks(Mutation::BoundAfterExtent) && !self.gives_up(Conjunct::DueBound) {
            to = to.min(superblock.extent_bound);
        }
        if let Some(operation) = self.operation(state)
            && !self.lacks(Mutation::F78FlusherPassesOperation)
            && !self.gives_up(Conjunct::DueOperation)
        {
            to = to.min(operation - 1);
        }
        let from = state.memory.written[block].max(superblock.checkpoint);
        (from + 1..=to).rev().find(|&lsn| {
            self.keeps(Conjunct::DueIndexed, Self::indexed(state, lsn))
                && self.bounds.kind(self.entry(state, lsn)).writes(block)
        })
    }

    /// The contiguous applied frontier: every entry up to here is indexed, and every block that it
    /// writes was written to the extent at that version or a newer one.
    pub(super) fn frontier(&self, state: &State) -> Lsn {
        let superblock = state.disk.durable.superblock();
        let mut frontier = superblock.checkpoint;
        while frontier < state.head.min(superblock.extent_bound) {
            let lsn = frontier + 1;
            let kind = self.bounds.kind(self.entry(state, lsn));
            let applied = (0..self.bounds.blocks)
                .all(|block| !kind.writes(block) || state.memory.written[block] >= lsn);
            let indexed = Self::indexed(state, lsn);
            let passed = !indexed && self.lacks(Mutation::F07CheckpointPastUnindexed);
            let reached = self.keeps(Conjunct::FrontierIndexed, indexed)
                && self.keeps(Conjunct::FrontierApplied, applied);
            if !self.keeps(Conjunct::FrontierOperation, !kind.is_operation())
                || !(passed || reached)
            {
                break;
            }
            frontier = lsn;
        }
        frontier
    }

    /// How far the extent was synced.
    pub(super) fn synced(&self, state: &State) -> Lsn {
        state
            .memory
            .synced
            .max(state.disk.durable.superblock().checkpoint)
    }

    /// There is more to flush than the durable bound covers.
    pub(super) fn guard_raise_bound(&self, state: &State) -> Granted {
        self.in_phase(Conjunct::RaiseOpen, state, Phase::Open)?;
        self.no_superblock_in_flight(Conjunct::RaiseSuperblock, state)?;
        let more = self.limit(state) > state.disk.durable.superblock().extent_bound;
        unless(more, Refusal::NothingToDo)
    }

    /// The bound is written, as far as may be flushed now; nothing beyond the old one may be
    /// flushed before it is durable.
    pub(super) fn raise_bound(&self, state: &mut State) {
        let superblock = state.disk.durable.superblock();
        let extent_bound = self.limit(state);
        self.write_superblock(
            state,
            Superblock {
                extent_bound,
                ..superblock
            },
        );
    }

    /// Whether a block was copied out for the present snapshot.
    pub(super) fn copied(&self, image: &Image, block: usize, snapshot: Entry) -> bool {
        let copied = image.copies[block].snapshot;
        let named = copied == snapshot;
        let by_lsn = self.lacks(Mutation::CopyNamedByLsn) && copied.lsn() == snapshot.lsn();
        named || by_lsn || self.lacks(Mutation::CopyWithoutSnapshotName) && copied.is_some()
    }

    /// The content of a snapshot: what was copied out, else what it shares with the extent.
    /// Blank where there is none.
    pub(super) fn snapshot_of(&self, image: &Image, snapshot: Entry) -> [Entry; BLOCKS] {
        let mut content = [Entry::NONE; BLOCKS];
        for (block, content) in content.iter_mut().enumerate().take(self.bounds.blocks) {
            if snapshot.is_some() {
                *content = if self.copied(image, block, snapshot) {
                    image.copies[block].content
                } else {
                    image.extent[block]
                };
            }
        }
        content
    }

    /// The next operation, if it is a restore.
    pub(super) fn restoring(&self, state: &State) -> Option<Lsn> {
        self.operation(state)
            .filter(|&lsn| self.bounds.kind(self.entry(state, lsn)) == Kind::Restore)
    }

    /// The next operation, if it is at hand: everything before it is applied and synced, nothing
    /// after it is in the extent, and it may be flushed itself.
    fn at_hand(&self, state: &State) -> Option<Lsn> {
        let superblock = state.disk.durable.superblock();
        let lsn = self.frontier(state) + 1;
        (self.operation(state) == Some(lsn)
            && self.synced(state) + 1 == lsn
            && lsn <= self.limit(state).min(superblock.extent_bound)
            && Self::indexed(state, lsn))
        .then_some(lsn)
    }

    /// Whether a restore is at hand that has yet to write this block.
    fn unrestored(&self, state: &State, block: usize) -> bool {
        let snapshot = state.disk.durable.superblock().snapshot;
        self.restoring(state).is_some()
            && self.at_hand(state).is_some()
            && self.snapshot_of(&state.disk.cached, snapshot)[block]
                != state.disk.cached.extent[block]
    }

    /// A restore is at hand, and the block is not yet what the snapshot is. Only blocks that were
    /// copied out can differ, so nothing is left to copy.
    pub(super) fn guard_restore(&self, state: &State, block: usize, landed: bool) -> Granted {
        self.in_phase(Conjunct::RestoreOpen, state, Phase::Open)?;
        let unsynced = state.disk.unsynced_of(extent_sector(block)) != 0;
        let due = self.unrestored(state, block);
        self.must(Conjunct::RestoreDue, due, Refusal::NothingToDo)?;
        unless(!landed || unsynced, Refusal::NothingToDo)
    }

    /// The block is overwritten with the snapshot's content.
    pub(super) fn restore(&self, state: &mut State, block: usize, landed: bool) {
        if landed {
            state.disk.land(extent_sector(block));
        }
        let snapshot = state.disk.durable.superblock().snapshot;
        let content = self.snapshot_of(&state.disk.cached, snapshot)[block];
        state.disk.cached.extent[block] = content;
    }

    /// Whether a restore at hand is complete in the cache and not yet synced.
    fn restore_to_sync(&self, state: &State) -> bool {
        self.restoring(state).is_some()
            && self.at_hand(state).is_some()
            && state.disk.unsynced_of(EXTENT_SECTORS) != 0
            && (0..self.bounds.blocks).all(|block| !self.unrestored(state, block))
    }

    /// A version of the block is due, and its old content is durable in the snapshot store if the
    /// snapshot needs it.
    pub(super) fn guard_write_extent(&self, state: &State, block: usize, landed: bool) -> Granted {
        self.in_phase(Conjunct::WriteOpen, state, Phase::Open)?;
        let unsynced = state.disk.unsynced_of(extent_sector(block)) != 0;
        if self.due(state, block).is_none() || landed && !unsynced {
            return unless(false, Refusal::NothingToDo);
        }
        let snapshot = state.disk.durable.superblock().snapshot;
        let copies = if self.lacks(Mutation::CopyNotSyncedBeforeOverwrite) {
            &state.disk.cached
        } else {
            &state.disk.durable
        };
        let spared = !snapshot.is_some() || self.copied(copies, block, snapshot);
        self.must(Conjunct::WriteCopied, spared, Refusal::NotCopied)
    }

    /// The version is read from the log and written in place. An entry whose checksum fails stops
    /// the node: it is never skipped.
    pub(super) fn write_extent(&self, state: &mut State, block: usize, landed: bool) {
        let Some(lsn) = self.due(state, block) else {
            return;
        };
        if landed {
            state.disk.land(extent_sector(block));
        }
        let entry = self.entry(state, lsn);
        if self.legible(state, lsn) {
            state.disk.cached.extent[block] = entry;
        } else if !self.lacks(Mutation::F10FlusherSkipsDamage) {
            state.phase = Phase::Broken;
            state.memory = Memory::default();
            return;
        }
        state.memory.written[block] = lsn;
    }

    fn legible(&self, state: &State, lsn: Lsn) -> bool {
        let entry = self.entry(state, lsn);
        let begin = self.slot_of(state, lsn);
        (0..self.bounds.kind(entry).sectors()).all(|part| {
            let sector = state.disk.cached.log[usize::from(self.ring(begin + part))];
            sector
                == LogSector {
                    entry,
                    part,
                    ..sector
                }
        })
    }

    /// There is something applied that is not synced; or the base is complete in the cache.
    pub(super) fn guard_sync_extent(&self, state: &State) -> Granted {
        match state.phase {
            Phase::Open => {
                let applied = self.frontier(state) > self.synced(state);
                let due = applied || self.restore_to_sync(state);
                unless(due, Refusal::NothingToDo)
            }
            Phase::Installing => {
                let unsynced = state.disk.unsynced_of(EXTENT_SECTORS) != 0;
                let due = self.chunks_complete(state) && unsynced;
                unless(due, Refusal::NothingToDo)
            }
            Phase::Down
            | Phase::Opening
            | Phase::Cutting
            | Phase::Marking
            | Phase::Untrusted
            | Phase::Switching
            | Phase::Broken
            | Phase::Poisoned
            | Phase::Unopenable => self.must(Conjunct::SyncExtentPhase, false, Refusal::WrongPhase),
        }
    }

    /// The extent is durable. The flusher writes and syncs in turn, so that the frontier of this
    /// moment is what the sync covers.
    pub(super) fn sync_extent(&self, state: &mut State) {
        state.disk.sync(EXTENT_SECTORS);
        if state.phase == Phase::Open {
            state.memory.synced = self.frontier(state);
        }
    }

    fn checkpoint_due(&self, state: &State) -> Lsn {
        if self.lacks(Mutation::F18CheckpointBeforeSync)
            || self.gives_up(Conjunct::CheckpointSynced)
        {
            self.frontier(state)
        } else {
            self.synced(state)
        }
    }

    /// More is synced than the checkpoint says.
    pub(super) fn guard_checkpoint(&self, state: &State) -> Granted {
        self.in_phase(Conjunct::CheckpointOpen, state, Phase::Open)?;
        self.no_superblock_in_flight(Conjunct::CheckpointSuperblock, state)?;
        if self.checkpoint_due(state) <= state.disk.durable.superblock().checkpoint {
            return unless(false, Refusal::NothingToDo);
        }
        Ok(())
    }

    /// The checkpoint is written. Log space is freed by another superblock, when this one is
    /// durable.
    pub(super) fn checkpoint(&self, state: &mut State) {
        let checkpoint = self.checkpoint_due(state);
        let superblock = Superblock {
            checkpoint,
            ..state.disk.durable.superblock()
        };
        if self.lacks(Mutation::F23ReclaimOnlyWithCheckpoint) {
            return self.write_superblock(state, self.with_tail(state, superblock));
        }
        self.write_superblock(state, superblock);
    }

    /// The next operation is at hand; if it is a restore, every block is restored and synced.
    pub(super) fn guard_perform(&self, state: &State) -> Granted {
        self.in_phase(Conjunct::PerformOpen, state, Phase::Open)?;
        self.no_superblock_in_flight(Conjunct::PerformSuperblock, state)?;
        let refusal = Refusal::OperationNotDue;
        let Some(operation) = self.operation(state) else {
            return unless(false, refusal);
        };
        let lsn = self.frontier(state) + 1;
        self.must(Conjunct::PerformNext, operation == lsn, refusal)?;
        let synced = self.synced(state) + 1 == lsn;
        self.must(Conjunct::PerformSynced, synced, refusal)?;
        let bound = state.disk.durable.superblock().extent_bound;
        let reached = lsn <= self.limit(state).min(bound);
        self.must(Conjunct::PerformReached, reached, refusal)?;
        let indexed = Self::indexed(state, lsn);
        self.must(Conjunct::PerformIndexed, indexed, refusal)?;
        let restored = (0..self.bounds.blocks).all(|block| !self.unrestored(state, block));
        let synced = self.restoring(state).is_none()
            || state.disk.unsynced_of(EXTENT_SECTORS) == 0
            || self.lacks(Mutation::RestoreNotSynced);
        self.must(Conjunct::PerformRestored, restored, refusal)?;
        self.must(Conjunct::PerformRestoreSynced, synced, refusal)
    }

    /// The operation's outcome and a checkpoint at its position, in one superblock.
    pub(super) fn perform(&self, state: &mut State) {
        let lsn = self.frontier(state) + 1;
        let entry = self.entry(state, lsn);
        let superblock = state.disk.durable.superblock();
        let snapshot = match self.bounds.kind(entry) {
            Kind::Snapshot => entry,
            Kind::Restore => superblock.snapshot,
            Kind::Drop | Kind::First | Kind::Second | Kind::Both => Entry::NONE,
        };
        self.write_superblock(
            state,
            Superblock {
                checkpoint: lsn,
                snapshot,
                ..superblock
            },
        );
    }

    /// The block is about to be overwritten, and the snapshot still shares it with the extent.
    pub(super) fn guard_copy_out(&self, state: &State, block: usize) -> Granted {
        self.in_phase(Conjunct::CopyOpen, state, Phase::Open)?;
        let snapshot = state.disk.durable.superblock().snapshot;
        let refusal = Refusal::NothingToDo;
        self.must(Conjunct::CopySnapshot, snapshot.is_some(), refusal)?;
        let copied = self.copied(&state.disk.cached, block, snapshot);
        self.must(Conjunct::CopyOnce, !copied, refusal)?;
        unless(self.due(state, block).is_some(), refusal)
    }

    /// The block's content goes to the snapshot store, under the snapshot's name.
    pub(super) fn copy_out(&self, state: &mut State, block: usize) {
        let snapshot = state.disk.durable.superblock().snapshot;
        let content = state.disk.cached.extent[block];
        state.disk.cached.copies[block] = Copied { snapshot, content };
    }

    /// A block that was copied out is not yet durable.
    pub(super) fn guard_sync_copies(&self, state: &State) -> Granted {
        self.in_phase(Conjunct::SyncCopiesOpen, state, Phase::Open)?;
        if state.disk.unsynced_of(super::disk::COPY_SECTORS) == 0 {
            return unless(false, Refusal::NothingToDo);
        }
        Ok(())
    }

    /// There is a snapshot and no other read (one is as good as many).
    pub(super) fn guard_begin_read(&self, state: &State) -> Granted {
        self.in_phase(Conjunct::ReadOpen, state, Phase::Open)?;
        if !self.bounds.reads {
            return unless(false, Refusal::Exhausted);
        }
        unless(state.memory.read == Read::None, Refusal::NothingToDo)?;
        let snapshot = state.disk.durable.superblock().snapshot.is_some();
        unless(snapshot, Refusal::NothingToDo)
    }

    /// The read looks whether the block was copied out.
    pub(super) fn begin_read(&self, state: &mut State, block: u8) {
        let snapshot = state.disk.durable.superblock().snapshot;
        state.memory.read = if self.copied(&state.disk.cached, usize::from(block), snapshot) {
            Read::OfCopy(block)
        } else {
            Read::OfExtent(block)
        };
    }

    /// A read is under way.
    pub(super) fn guard_end_read(&self, state: &State) -> Granted {
        self.in_phase(Conjunct::EndReadOpen, state, Phase::Open)?;
        if state.memory.read == Read::None {
            return unless(false, Refusal::NothingToDo);
        }
        Ok(())
    }

    /// The block is read from where it was found. What was read from the extent counts only if
    /// the block is still not copied out afterwards.
    pub(super) fn end_read(&self, state: &mut State) {
        let snapshot = state.disk.durable.superblock().snapshot;
        let (block, in_copy) = match state.memory.read {
            Read::None => return,
            Read::OfCopy(block) => (usize::from(block), true),
            Read::OfExtent(block) => {
                let block = usize::from(block);
                let now = self.copied(&state.disk.cached, block, snapshot);
                let again = !self.lacks(Mutation::F16ReadWithoutRecheck)
                    && !self.gives_up(Conjunct::ReadLooksAgain);
                (block, now && again)
            }
        };
        let found = if in_copy {
            state.disk.cached.copies[block].content
        } else {
            state.disk.cached.extent[block]
        };
        let right = reference::content(&self.bounds, &state.ghost.history, snapshot.lsn())[block];
        state.memory.read = Read::None;
        state.ghost.misread |= found != right;
    }
}
