//! What the client asks for: write, flush, read; and what is committed (`protocol.md` section 2).
//!
//! A flush is one step: it is answered at some moment and vouches for every acknowledged write up
//! to `committed`, those of earlier epochs included. (A flush that began earlier, at or below
//! `committed`, vouches for no more than that.)

use super::Cluster;
use super::action::Refusal;
use super::broken::Broken;
use super::conjuncts::{Conditions, Conjunct, Granted, unless};
use super::state::State;
use super::vocabulary::{
    BLOCKS, Entry, Lsn, Mode, NodeId, Operation, SLOTS, WriteAck, Writes, block_of,
};

impl Cluster {
    /// Whether a node serves I/O: it acts as primary, under a lease, and the epoch-start entry of
    /// its epoch is committed.
    pub(super) fn serves(&self, s: &State, primary: NodeId) -> Granted {
        let node = s.node(primary);
        let acts = node.up && node.primary;
        self.must(Conjunct::ServesAsPrimary, acts, Refusal::NotPrimary)?;
        let leased = node.lease || self.is(Broken::ServeWithoutLease);
        self.must(Conjunct::ServesUnderLease, leased, Refusal::NoLease)?;
        let open = self.open(s, primary);
        self.must(Conjunct::ServesOpen, open, Refusal::NotOpen)
    }

    /// Whether the epoch-start entry of the primary's epoch is committed.
    pub(super) fn open(&self, s: &State, primary: NodeId) -> bool {
        let node = s.node(primary);
        self.is(Broken::ServeBeforeStart)
            || node
                .log
                .first_of(node.promised)
                .is_some_and(|start| node.committed >= start)
    }

    pub(super) fn may_write(&self, s: &State, primary: NodeId) -> Granted {
        let room = usize::from(s.node(primary).head) < SLOTS;
        unless(s.client.issued < self.bounds.writes && room, Refusal::Bound)?;
        let room = self.room(s, primary, self.reserve());
        self.must(Conjunct::WriteRoom, room, Refusal::Full)?;
        self.serves(s, primary)
    }

    pub(super) fn write(&self, s: &mut State, primary: NodeId) {
        s.client.issued += 1;
        let write = s.client.issued;
        Self::append(s, primary, write);
    }

    /// The next entry of a primary's log.
    pub(super) fn append(s: &mut State, primary: NodeId, write: u8) {
        let node = s.node_mut(primary);
        let epoch = node.promised;
        node.head += 1;
        node.log.put(node.head, Entry { epoch, write });
    }

    /// Whether a log has room for an entry beside `reserve` others.
    pub(super) fn room(&self, s: &State, node: NodeId, reserve: u8) -> bool {
        let n = s.node(node);
        let capacity = self.bounds.capacity;
        capacity == 0 || n.head.saturating_sub(n.tail) + reserve < capacity
    }

    /// What is kept free for epoch-start entries: here one for each epoch that may still come.
    pub(super) fn reserve(&self) -> u8 {
        if self.is(Broken::NoReserve) {
            0
        } else {
            self.bounds.epochs - 1
        }
    }

    /// The writes of the primary's own epoch that meet the rule for acknowledging writes: only
    /// its own clients are still there to hear it. While a set of one copy is asked for, that copy
    /// must have them durably: nobody else would count once the change has landed.
    fn answerable(&self, s: &State, primary: NodeId) -> Writes {
        let node = s.node(primary);
        let local = self.bounds.write_ack == WriteAck::Local || self.is(Broken::AckFromOwnLog);
        let alone = node.pending.is_some_and(|new| new.isr.count() == 1);
        let must_be_durable = alone && !local && !self.is(Broken::AckWhileLeaving);
        let mut writes = Writes::default();
        for lsn in 1..=node.head {
            let entry = node.log.at(lsn);
            let own = self.keeps(Conjunct::AnsweredOwnEpoch, entry.epoch == node.promised);
            let durable = !must_be_durable || node.durable >= lsn;
            let held = if local {
                self.enough_members(s, primary)
            } else {
                self.acknowledged_by(s, primary, self.received_at(s, primary, lsn))
            };
            if own
                && self.keeps(Conjunct::AnsweredDurably, durable)
                && self.keeps(Conjunct::AnsweredHeld, held)
            {
                writes = writes.with(entry.write);
            }
        }
        writes.without(s.client.acked)
    }

    fn enough_members(&self, s: &State, primary: NodeId) -> bool {
        let node = s.node(primary);
        let rules = std::iter::once(node.view).chain(node.pending);
        let enough = |count: u8| count >= self.bounds.min_in_sync && count > 0;
        self.is(Broken::IgnoreMinInSync)
            || self.is(Broken::EmptySetSuffices)
            || rules
                .into_iter()
                .all(|rule| rule.mode != Mode::SyncAll || enough(rule.isr.count()))
    }

    pub(super) fn may_answer_writes(&self, s: &State, primary: NodeId) -> Granted {
        self.serves(s, primary)?;
        unless(!self.answerable(s, primary).is_empty(), Refusal::NotHeld)
    }

    pub(super) fn answer_writes(&self, s: &mut State, primary: NodeId) {
        s.client.acked = s.client.acked.and(self.answerable(s, primary));
    }

    /// What a flush that is answered now would vouch for: acknowledged writes that are committed,
    /// or that this primary does not even have (then it vouches for what is lost).
    fn vouched(&self, s: &State, primary: NodeId) -> Writes {
        let node = s.node(primary);
        let settled = if self.gives_up(Conjunct::FlushCommitted) {
            node.head
        } else {
            node.committed
        };
        let above = node.log.writes(node.head).without(node.log.writes(settled));
        s.client.acked.without(above).without(s.client.excused)
    }

    pub(super) fn may_answer_flush(&self, s: &State, primary: NodeId) -> Granted {
        self.serves(s, primary)?;
        let enough = self.enough_members(s, primary);
        self.must(Conjunct::FlushMembers, enough, Refusal::TooFewMembers)?;
        let new = self.vouched(s, primary).without(s.client.flushed);
        unless(!new.is_empty(), Refusal::NotHeld)
    }

    pub(super) fn answer_flush(&self, s: &mut State, primary: NodeId) {
        s.client.flushed = s.client.flushed.and(self.vouched(s, primary));
    }

    /// Where answers are prompt: whatever may be acknowledged now, is.
    pub(super) fn answer_promptly(&self, s: &mut State) {
        for primary in 0..self.bounds.nodes {
            if self.may_answer_writes(s, primary).is_ok() {
                self.answer_writes(s, primary);
            }
            if self.may_answer_flush(s, primary).is_ok() {
                self.answer_flush(s, primary);
            }
        }
    }

    /// The last write to each block, where a read need not wait for it.
    fn readable(&self, s: &State, primary: NodeId) -> Writes {
        let node = s.node(primary);
        let mut last: [(u8, Lsn); BLOCKS] = [(0, 0); BLOCKS];
        for lsn in 1..=node.head {
            let write = node.log.at(lsn).write;
            if write != 0 && Operation::of(node.log.at(lsn)).is_none() {
                last[block_of(write)] = (write, lsn);
            }
        }
        let settled = |&(write, lsn): &(u8, Lsn)| {
            let settled = lsn <= node.committed || s.client.acked.has(write);
            self.keeps(Conjunct::ReadSettled, settled)
        };
        last.into_iter()
            .filter(settled)
            .fold(Writes::default(), |writes, (write, _)| writes.with(write))
    }

    pub(super) fn may_read(&self, s: &State, primary: NodeId) -> Granted {
        unless(self.bounds.reads, Refusal::Bound)?;
        if !self.is(Broken::ReadWithoutLease) {
            self.serves(s, primary)?;
        }
        let new = self.readable(s, primary).without(s.client.shown);
        self.must(Conjunct::ReadSettled, !new.is_empty(), Refusal::NothingToDo)
    }

    pub(super) fn read(&self, s: &mut State, primary: NodeId) {
        s.client.shown = s.client.shown.and(self.readable(s, primary));
    }

    pub(super) fn may_sync(&self, s: &State, node: NodeId) -> Granted {
        let n = s.node(node);
        self.must(Conjunct::SyncUp, n.up, Refusal::Down)?;
        unless(self.bounds.own_syncs || n.primary, Refusal::Bound)?;
        unless(n.durable < n.head, Refusal::NothingToDo)
    }

    pub(super) fn sync(&self, s: &mut State, node: NodeId) {
        let n = s.node_mut(node);
        n.durable = n.head;
        if n.primary {
            self.commit(s, node);
        }
    }

    /// Advances `committed` as far as the acknowledgements carry it: to the last entry of the
    /// present epoch that enough copies hold.
    pub(super) fn commit(&self, s: &mut State, primary: NodeId) {
        let node = s.node(primary);
        if !node.up || !node.primary {
            return;
        }
        let (before, epoch) = (node.committed, node.promised);
        let own_epoch = |lsn: &Lsn| {
            let own = node.log.at(*lsn).epoch == epoch || self.is(Broken::CountOlderEpochs);
            self.keeps(Conjunct::CommitOwnEpoch, own)
        };
        let held = |lsn: &Lsn| {
            let held = self.acknowledged_by(s, primary, self.durable_at(s, primary, *lsn));
            self.keeps(Conjunct::CommitHeld, held)
        };
        let floor = if self.is(Broken::CommittedMovesBack) {
            0
        } else {
            before
        };
        let reached = (floor + 1..=node.head)
            .rev()
            .find(|lsn| own_epoch(lsn) && held(lsn));
        let committed = if self.is(Broken::CommittedIsHead) {
            node.head
        } else {
            reached.unwrap_or(floor)
        };
        if committed == before {
            return;
        }
        s.node_mut(primary).committed = committed;
        // What a forced promotion gave up may still be committed by those who have not heard.
        if s.past.forced == 0 || s.acting_primary() == Some(primary) {
            Self::remember(s, primary, committed);
        }
    }

    /// What is not in the log of a primary that begins to serve is gone for good.
    pub(super) fn note_opening(&self, before: &State, s: &mut State) {
        for primary in 0..self.bounds.nodes {
            if self.serves(s, primary).is_ok() && self.serves(before, primary).is_err() {
                Self::open_service(s, primary);
            }
        }
    }

    fn open_service(s: &mut State, primary: NodeId) {
        let node = s.node(primary);
        let kept = node.log.writes(node.head);
        let issued = (1..=s.client.issued).fold(Writes::default(), Writes::with);
        s.client.dropped = s.client.dropped.and(issued.without(kept));
    }

    /// Writes down for the properties what was committed.
    fn remember(s: &mut State, primary: NodeId, committed: Lsn) {
        let log = s.node(primary).log;
        s.past.split |= !log.agrees(&s.past.log, committed.min(s.past.committed));
        if committed > s.past.committed {
            for lsn in s.past.committed + 1..=committed {
                s.past.log.put(lsn, log.at(lsn));
            }
            s.past.committed = committed;
        }
    }
}
