//! The log: append, sync, reclaim, truncate.
//!
//! Never: a position that claims more than a sync covered; a sector reused before the superblock
//! that frees it is durable; a cut that lives in memory only.

use super::action::Refusal;
use super::conjuncts::{Conditions, Conjunct, Granted, unless};
use super::disk::{LogSector, Sectors, Superblock};
use super::spec::Storage;
use super::state::{Memory, Phase, State};
use super::vocabulary::{Entry, LSNS, Lsn, Mode};
use super::{Mutation, reference};

impl Storage {
    /// The sector of the ring at that distance from its begin.
    pub(super) const fn ring(&self, slot: u8) -> u8 {
        slot % self.bounds.slots
    }

    /// Sectors taken by the entries of `(from, to]`.
    fn sectors(&self, state: &State, from: Lsn, to: Lsn) -> u8 {
        (from + 1..=to.min(LSNS as Lsn))
            .map(|lsn| {
                self.bounds
                    .kind(state.ghost.history[usize::from(lsn)])
                    .sectors()
            })
            .sum()
    }

    /// The sector in which the entry of that position begins.
    pub(super) fn slot_of(&self, state: &State, lsn: Lsn) -> u8 {
        let superblock = state.disk.durable.superblock();
        let before = self.sectors(state, superblock.tail, lsn.saturating_sub(1));
        self.ring(superblock.tail_slot + before)
    }

    /// Sectors that may be written. What the tail in flight frees is not free yet.
    pub(super) fn room(&self, state: &State) -> u8 {
        let superblock = if self.lacks(Mutation::F09ReuseBeforeDurable) {
            state.disk.cached.superblock()
        } else {
            state.disk.durable.superblock()
        };
        let used = self.sectors(state, superblock.tail, state.head);
        self.bounds.slots.saturating_sub(used)
    }

    /// The entry that an append of that epoch would log.
    fn next_entry(&self, state: &State, epoch: u8) -> Entry {
        let lsn = state.head + 1;
        Entry::new(lsn, epoch, self.bounds.primary && lsn <= state.ghost.made)
    }

    /// Whether an entry of `epoch` at `lsn` may follow one of epoch `before`: two logs that share
    /// an entry are equal up to it, so that each epoch has one place where it departs. (A node
    /// that makes its entries itself departs where it happens to be.)
    pub(super) fn follows(&self, state: &State, before: u8, (lsn, epoch): (Lsn, u8)) -> bool {
        let departs = epoch == 2 && before < 2 && !self.bounds.primary;
        before <= epoch && (!departs || state.ghost.turn == 0 || state.ghost.turn == lsn)
    }

    /// The node is open, the instance's log may grow, the entry is the one that follows in the
    /// committed history (or any that may follow the last entry), and there is
    /// room. A primary makes entries in its own epoch only, and only while it serves.
    pub(super) fn guard_append(&self, state: &State, epoch: u8) -> Granted {
        self.in_phase(Conjunct::AppendOpen, state, Phase::Open)?;
        let next = state.head + 1;
        if next > self.bounds.last() {
            return unless(false, Refusal::Exhausted);
        }
        if next <= state.ghost.committed {
            let known = state.ghost.history[usize::from(next)];
            unless(known.epoch() == epoch, Refusal::AgainstHistory)?;
        }
        let before = state.ghost.history[usize::from(state.head)].epoch();
        unless(epoch >= before, Refusal::EpochBehind)?;
        let follows = self.follows(state, before, (next, epoch));
        unless(follows, Refusal::AgainstHistory)?;
        if self.bounds.primary {
            let own = epoch == state.ghost.epoch;
            self.must(Conjunct::AppendEpoch, own, Refusal::EpochBehind)?;
            let serves = state.memory.serving || self.lacks(Mutation::M27ServesOnAfterRestart);
            self.must(Conjunct::AppendServes, serves, Refusal::NotServing)?;
        }
        let sectors = self.bounds.kind(self.next_entry(state, epoch)).sectors();
        let room = sectors <= self.room(state);
        self.must(Conjunct::AppendRoom, room, Refusal::LogFull)
    }

    /// LSN and append are one step: the entry's sectors are written, under the present run and
    /// with the durable position of this moment, and it is the new head.
    pub(super) fn append(&self, state: &mut State, epoch: u8) {
        let entry = self.next_entry(state, epoch);
        let lsn = state.head + 1;
        let run = state.disk.durable.superblock().run;
        for part in 0..self.bounds.kind(entry).sectors() {
            let slot = self.ring(state.memory.next_slot + part);
            state.disk.cached.log[usize::from(slot)] = LogSector {
                entry,
                part,
                run,
                durable: state.memory.durable,
            };
        }
        state.memory.next_slot =
            self.ring(state.memory.next_slot + self.bounds.kind(entry).sectors());
        state.head = lsn;
        state.ghost.history[usize::from(lsn)] = entry;
        if epoch == 2 && state.ghost.turn == 0 && !self.bounds.primary {
            state.ghost.turn = lsn;
        }
        if self.bounds.late_index {
            state.memory.unindexed |= 1 << (lsn - 1);
        }
        if self.bounds.primary {
            state.ghost.made = state.ghost.made.max(lsn);
        }
    }

    /// (Mutation) The LSN is taken, the entry is not written.
    pub(super) fn lose_append(&self, state: &mut State) {
        let lsn = state.head + 1;
        let epoch = state.ghost.history[usize::from(state.head)].epoch().max(1);
        state.head = lsn;
        state.ghost.history[usize::from(lsn)] = Entry::new(lsn, epoch, false);
    }

    /// The entry is logged and not indexed; entries may come in any order.
    pub(super) fn guard_index(&self, state: &State, lsn: Lsn) -> Granted {
        self.in_phase(Conjunct::IndexOpen, state, Phase::Open)?;
        if state.memory.unindexed >> (lsn - 1) & 1 == 0 {
            return unless(false, Refusal::NothingToDo);
        }
        Ok(())
    }

    /// One sync at a time, and only if there is something to sync.
    pub(super) fn guard_begin_sync(&self, state: &State) -> Granted {
        self.in_phase(Conjunct::BeginSyncOpen, state, Phase::Open)?;
        let one = state.memory.syncing == 0;
        self.must(Conjunct::BeginSyncOne, one, Refusal::SyncInFlight)?;
        if state.head == state.memory.durable {
            return unless(false, Refusal::NothingToDo);
        }
        Ok(())
    }

    /// The sync that is in flight returns.
    pub(super) fn guard_end_sync(&self, state: &State) -> Granted {
        self.in_phase(Conjunct::EndSyncOpen, state, Phase::Open)?;
        let begun = state.memory.syncing != 0;
        self.must(Conjunct::EndSyncBegun, begun, Refusal::NothingToDo)
    }

    /// Everything up to the head that was sampled before is durable; nothing is claimed of what
    /// was appended since.
    pub(super) fn end_sync(&self, state: &mut State) {
        let covered = state.memory.syncing;
        let sectors = self.written_between(state, state.memory.durable, covered);
        state.disk.sync(sectors);
        let sampled_after = self.lacks(Mutation::F19DurableSampledAfter);
        let durable = if sampled_after { state.head } else { covered };
        self.claim_durable(state, durable);
    }

    /// The node says that everything up to `durable` survives a crash.
    pub(super) fn claim_durable(&self, state: &mut State, durable: Lsn) {
        state.memory.syncing = 0;
        state.memory.durable = durable;
        state.ghost.flushed = durable;
        if durable >= state.disk.durable.superblock().extent_bound {
            state.ghost.rebuilding = false;
        }
    }

    /// The sectors that hold entries of `(from, to]`.
    fn written_between(&self, state: &State, from: Lsn, to: Lsn) -> Sectors {
        let mut sectors = 0;
        for (slot, sector) in state.disk.cached.log.iter().enumerate() {
            let lsn = sector.entry.lsn();
            if sector.entry.is_some() && from < lsn && lsn <= to {
                sectors |= 1 << slot;
            }
        }
        sectors
    }

    /// `committed` is never taken to be more than the own head, and never moves back.
    pub(super) fn guard_commit(&self, state: &State, to: Lsn) -> Granted {
        self.in_phase(Conjunct::CommitOpen, state, Phase::Open)?;
        unless(self.bounds.mode != Mode::BestEffort, Refusal::NothingToDo)?;
        let forward = to > state.memory.committed;
        self.must(Conjunct::CommitForward, forward, Refusal::NothingToDo)?;
        let within = to <= state.head || self.lacks(Mutation::CommittedBeyondHead);
        self.must(Conjunct::CommitWithin, within, Refusal::NothingToDo)
    }

    /// A new epoch is given to a node that does not serve.
    pub(super) fn guard_serve(&self, state: &State) -> Granted {
        self.in_phase(Conjunct::ServeOpen, state, Phase::Open)?;
        if !self.bounds.primary || state.ghost.epoch == self.bounds.epochs() {
            return unless(false, Refusal::Exhausted);
        }
        let once = !state.memory.serving;
        self.must(Conjunct::ServeOnce, once, Refusal::NothingToDo)
    }

    /// A pin is granted only on history that is still there and that no reclaim in flight is
    /// about to free.
    pub(super) fn guard_pin(&self, state: &State, at: Lsn) -> Granted {
        self.in_phase(Conjunct::PinOpen, state, Phase::Open)?;
        if !self.bounds.pins {
            return unless(false, Refusal::Exhausted);
        }
        let one = state.memory.pin.is_none();
        self.must(Conjunct::PinOne, one, Refusal::NothingToDo)?;
        if self.lacks(Mutation::F12PinPullsCheckpoint) {
            let in_flight = state.disk.superblock_in_flight();
            return unless(!in_flight, Refusal::SuperblockInFlight);
        }
        let tail = if self.lacks(Mutation::PinOverReclaimInFlight) {
            state.disk.durable.superblock().tail
        } else {
            state.disk.cached.superblock().tail
        };
        self.must(Conjunct::PinRetained, at >= tail, Refusal::HistoryGone)
    }

    /// The log is kept from there.
    pub(super) fn pin(&self, state: &mut State, at: Lsn) {
        state.memory.pin = Some(at);
        let superblock = state.disk.durable.superblock();
        if at < superblock.tail && self.lacks(Mutation::F12PinPullsCheckpoint) {
            let checkpoint = superblock.checkpoint.min(at);
            self.write_superblock(
                state,
                Superblock {
                    tail: at,
                    checkpoint,
                    ..superblock
                },
            );
        }
    }

    /// Log space is freed up to the durable checkpoint, or to the pin. This depends on positions
    /// alone: no write is needed for it.
    pub(super) fn guard_reclaim(&self, state: &State) -> Granted {
        self.in_phase(Conjunct::ReclaimOpen, state, Phase::Open)?;
        self.no_superblock_in_flight(Conjunct::ReclaimSuperblock, state)?;
        let superblock = state.disk.durable.superblock();
        if self.free_up_to(state, superblock.checkpoint) <= superblock.tail
            || self.lacks(Mutation::F23ReclaimOnlyWithCheckpoint)
        {
            return unless(false, Refusal::NothingToDo);
        }
        Ok(())
    }

    fn free_up_to(&self, state: &State, checkpoint: Lsn) -> Lsn {
        match state.memory.pin {
            Some(pin) => {
                let ignored = self.lacks(Mutation::M17ReclaimIgnoresPin)
                    || self.gives_up(Conjunct::ReclaimPinned);
                if ignored {
                    checkpoint
                } else {
                    checkpoint.min(pin)
                }
            }
            None => checkpoint,
        }
    }

    /// The superblock `superblock`, with its tail moved as far as its checkpoint and the pin
    /// allow.
    pub(super) fn with_tail(&self, state: &State, superblock: Superblock) -> Superblock {
        let tail = self
            .free_up_to(state, superblock.checkpoint)
            .max(superblock.tail);
        Superblock {
            tail,
            tail_slot: self.slot_of(state, tail + 1),
            ..superblock
        }
    }

    /// A cut is ordered by a newer primary, who never cuts what is committed. The node itself
    /// refuses to cut below its `extent_bound`, and cuts only to what is durable: there the log
    /// is sealed.
    pub(super) fn guard_truncate(&self, state: &State, to: Lsn) -> Granted {
        self.in_phase(Conjunct::TruncateOpen, state, Phase::Open)?;
        if state.ghost.left.cuts == 0 {
            return unless(false, Refusal::Exhausted);
        }
        self.no_superblock_in_flight(Conjunct::TruncateSuperblock, state)?;
        let still = state.memory.syncing == 0;
        self.must(Conjunct::TruncateSync, still, Refusal::SyncInFlight)?;
        if to >= state.head {
            return unless(false, Refusal::NothingToDo);
        }
        unless(to >= state.ghost.committed, Refusal::AgainstHistory)?;
        let superblock = state.disk.durable.superblock();
        let lowest = if self.lacks(Mutation::T9CutBelowBound) {
            superblock.checkpoint
        } else {
            superblock.extent_bound
        };
        self.must(
            Conjunct::TruncateBound,
            to >= lowest,
            Refusal::BelowExtentBound,
        )?;
        let durable = to <= state.memory.durable || self.lacks(Mutation::SealBeyondDurable);
        self.must(Conjunct::TruncateDurable, durable, Refusal::NotDurable)
    }

    /// The claim on what is cut ends with the order. The superblock that seals the log at the cut
    /// and begins a new run is written; the cut has happened when it is durable.
    pub(super) fn truncate(&self, state: &mut State, to: Lsn) {
        state.ghost.left.cuts = state.ghost.left.cuts.saturating_sub(1);
        state.ghost.flushed = state.ghost.flushed.min(to);
        state.memory.pin = None;
        state.memory.serving = false;
        if self.lacks(Mutation::F03CutInMemory) {
            return self.cut(state, to);
        }
        let superblock = state.disk.durable.superblock();
        let run = superblock.run + 1;
        state.phase = Phase::Cutting;
        self.write_superblock(
            state,
            Superblock {
                sealed: to,
                run,
                ..superblock
            },
        );
    }

    /// The log ends at `to`, from now on and for ever.
    pub(super) fn cut(&self, state: &mut State, to: Lsn) {
        state.memory.next_slot = self.slot_of(state, to + 1);
        state.head = to;
        state.memory.durable = state.memory.durable.min(to);
        state.memory.committed = state.memory.committed.min(to);
        state.memory.unindexed &= (1 << to) - 1;
        if state.ghost.damaged > to {
            state.ghost.damaged = 0;
        }
        self.forget_beyond(state, to);
    }

    /// The history beyond `head` is only what is committed.
    pub(super) fn forget_beyond(&self, state: &mut State, head: Lsn) {
        let known = head.max(state.ghost.committed);
        for lsn in usize::from(known) + 1..=LSNS {
            state.ghost.history[lsn] = Entry::NONE;
        }
    }

    /// (Mutation) There is a snapshot to go back to.
    pub(super) fn guard_rewind(&self, state: &State) -> Granted {
        unless(state.phase == Phase::Open, Refusal::WrongPhase)?;
        let snapshot = state.disk.durable.superblock().snapshot;
        if snapshot == Entry::NONE || snapshot.lsn() >= state.head {
            return unless(false, Refusal::NothingToDo);
        }
        Ok(())
    }

    /// (Mutation) The extent becomes the snapshot, the positions move in memory.
    pub(super) fn rewind(&self, state: &mut State) {
        let to = state.disk.durable.superblock().snapshot.lsn();
        let content = reference::content(&self.bounds, &state.ghost.history, to);
        state.disk.cached.extent = content;
        state.disk.durable.extent = content;
        state.ghost.flushed = state.ghost.flushed.min(to);
        self.cut(state, to);
        let Memory {
            durable,
            committed,
            next_slot,
            ..
        } = state.memory;
        state.memory = Memory {
            durable,
            committed,
            next_slot,
            ..Memory::default()
        };
    }
}
