//! One shipper per replica: appends in order from a cursor, barriers, acknowledgements
//! (`protocol.md` section 3).
//!
//! Both ways of running it use the same handlers. Atomic: a step is sent, received and answered
//! at once. On the wire: each message is under way on its own, and may be overtaken, lost, or
//! arrive again.

use super::Cluster;
use super::action::Refusal;
use super::broken::Broken;
use super::conjuncts::{Conditions, Conjunct, Granted, unless};
use super::state::{State, WIRE};
use super::vocabulary::{Letter, Lsn, Message, NodeId, Phase};

impl Cluster {
    /// Whether the session takes entries and barriers.
    fn streams(&self, s: &State, primary: NodeId, replica: NodeId) -> Granted {
        let (p, peer) = (s.node(primary), s.peer(primary, replica));
        self.must(Conjunct::StreamRole, p.up && p.primary, Refusal::NotPrimary)?;
        let live = match peer.phase {
            Phase::CatchUp | Phase::InSync | Phase::Replaying => true,
            Phase::Away | Phase::NeedsRebuild | Phase::Copying => false,
        };
        self.must(Conjunct::StreamPhase, live, Refusal::NoSession)?;
        self.must(
            Conjunct::StreamSession,
            peer.session != 0,
            Refusal::NoSession,
        )?;
        self.must(
            Conjunct::StreamCut,
            peer.cut.is_none(),
            Refusal::MustTruncate,
        )
    }

    fn may_append(&self, s: &State, primary: NodeId, replica: NodeId) -> Granted {
        self.streams(s, primary, replica)?;
        let (p, peer) = (s.node(primary), s.peer(primary, replica));
        unless(peer.next <= p.head, Refusal::NothingToDo)?;
        let blind = self.is(Broken::IgnorePins) || self.is(Broken::CatchUpBelowTail);
        let retained = peer.next > p.tail || blind;
        self.must(Conjunct::AppendRetained, retained, Refusal::NotRetained)
    }

    fn append_message(s: &State, primary: NodeId, replica: NodeId) -> Message {
        let (p, peer) = (s.node(primary), s.peer(primary, replica));
        let lsn = peer.next;
        let mut entry = p.log.at(lsn);
        if lsn <= p.tail {
            // The slot was reused: what is read there is something else.
            entry.write = 0;
        }
        let previous = p.log.at(lsn.saturating_sub(1)).epoch;
        let letter = Letter::Append {
            lsn,
            entry,
            previous,
            committed: p.committed,
        };
        Self::message(s, primary, replica, letter)
    }

    fn barrier_message(s: &State, primary: NodeId, replica: NodeId) -> Message {
        let (p, peer) = (s.node(primary), s.peer(primary, replica));
        let letter = Letter::Barrier {
            lsn: peer.next.saturating_sub(1),
            committed: p.committed,
        };
        Self::message(s, primary, replica, letter)
    }

    fn message(s: &State, primary: NodeId, replica: NodeId, letter: Letter) -> Message {
        let session = s.peer(primary, replica).session;
        Message {
            from: primary,
            to: replica,
            epoch: s.node(primary).promised,
            session,
            letter,
        }
    }

    /// What the receiver does with a message, and what it answers.
    fn receive(&self, s: &mut State, message: Message) -> Option<Message> {
        match message.letter {
            Letter::Append {
                lsn,
                entry,
                previous,
                committed,
            } => {
                if !self.in_session(s, &message) {
                    return None;
                }
                let r = s.node(message.to);
                let next = r.head + 1;
                if self.is(Broken::SkipDuplicates) && lsn <= r.head {
                    return Some(Self::ack(s, &message));
                }
                let follows = r.log.at(lsn - 1).epoch == previous;
                let continues = self.keeps(Conjunct::TakeNext, lsn == next)
                    && self.keeps(Conjunct::TakeFollows, follows);
                let unchecked =
                    self.is(Broken::NoPredecessorCheck) || self.is(Broken::GapBeforeInSync);
                let older = self.is(Broken::EntryEpochChecked) && entry.epoch != message.epoch;
                if !continues && !unchecked || older {
                    return None;
                }
                let r = s.node_mut(message.to);
                r.log.put(lsn, entry);
                r.head = r.head.max(lsn);
                self.learn_committed(s, message.to, committed);
                Some(Self::ack(s, &message))
            }
            Letter::Barrier { lsn, committed } => {
                if !self.in_session(s, &message) {
                    return None;
                }
                if self.is(Broken::BarrierNotCompared) {
                    let letter = Letter::Ack {
                        received: lsn,
                        durable: lsn,
                    };
                    return Some(Self::answer(&message, letter));
                }
                if !self.keeps(Conjunct::BarrierReached, s.node(message.to).head >= lsn) {
                    return None;
                }
                self.learn_committed(s, message.to, committed);
                let r = s.node_mut(message.to);
                if self.is(Broken::AckBeforeSync) {
                    let letter = Letter::Ack {
                        received: r.head,
                        durable: r.head,
                    };
                    return Some(Self::answer(&message, letter));
                }
                r.durable = r.head;
                Some(Self::ack(s, &message))
            }
            Letter::Ack { received, durable } => {
                self.count(s, &message, received, durable);
                None
            }
        }
    }

    /// An entry or barrier is taken only from the present session of the epoch promised last.
    fn in_session(&self, s: &State, message: &Message) -> bool {
        let r = s.node(message.to);
        let epoch = self.keeps(Conjunct::TakeEpoch, r.promised == message.epoch);
        let session = self.keeps(Conjunct::TakeSession, r.session == message.session);
        self.keeps(Conjunct::TakeUp, r.up)
            && self.keeps(Conjunct::TakeReplica, !r.primary)
            && (epoch && session || self.is(Broken::AnyIncarnation))
    }

    /// A replica needs `committed` for its write-back, and is not told where there is none.
    fn learn_committed(&self, s: &mut State, node: NodeId, committed: Lsn) {
        if !self.bounds.write_back {
            return;
        }
        let beyond =
            self.is(Broken::CommittedBeyondHead) || self.gives_up(Conjunct::LearnWithinHead);
        let n = s.node_mut(node);
        let believed = if beyond {
            committed
        } else {
            committed.min(n.head)
        };
        n.committed = n.committed.max(believed);
    }

    fn ack(s: &State, message: &Message) -> Message {
        let r = s.node(message.to);
        Self::answer(
            message,
            Letter::Ack {
                received: r.head,
                durable: r.durable.min(r.head),
            },
        )
    }

    const fn answer(message: &Message, letter: Letter) -> Message {
        Message {
            from: message.to,
            to: message.from,
            letter,
            ..*message
        }
    }

    /// The primary counts an acknowledgement of the present session; no other has any effect.
    fn count(&self, s: &mut State, message: &Message, received: Lsn, durable: Lsn) {
        let (primary, replica) = (message.to, message.from);
        let p = s.node(primary);
        let epoch = p.promised == message.epoch || self.is(Broken::AckOfEarlierEpoch);
        let counts = self.keeps(Conjunct::CountRole, p.up && p.primary)
            && self.keeps(Conjunct::CountEpoch, epoch)
            && self.streams(s, primary, replica).is_ok();
        if !counts {
            return;
        }
        let head = p.head;
        let session = s.peer(primary, replica).session == message.session;
        let session = session || self.is(Broken::AckOfEarlierSession);
        if !self.keeps(Conjunct::CountSession, session) {
            return;
        }
        let back = self.is(Broken::PositionsMoveBack);
        let most = self.is(Broken::AckProvesTooMuch);
        let peer = s.peer_mut(primary, replica);
        peer.received = if back {
            received
        } else {
            peer.received.max(received)
        };
        peer.durable = match (back, most) {
            (true, _) => durable,
            (false, true) => head,
            (false, false) => peer.durable.max(durable),
        };
        self.settle(s, primary, replica);
        self.commit(s, primary);
    }

    /// A session is in sync once a barrier of its own proved the target.
    fn settle(&self, s: &mut State, primary: NodeId, replica: NodeId) {
        let head = s.node(primary).head;
        let peer = s.peer_mut(primary, replica);
        let proven = self.keeps(Conjunct::SettleProven, peer.durable >= peer.target);
        match peer.phase {
            Phase::CatchUp | Phase::Replaying if proven => {
                peer.phase = Phase::InSync;
                peer.target = 0;
                if self.is(Broken::GapBeforeInSync) {
                    peer.next = head + 1;
                }
            }
            Phase::CatchUp
            | Phase::Replaying
            | Phase::InSync
            | Phase::Away
            | Phase::NeedsRebuild
            | Phase::Copying => {}
        }
        let received = peer.received >= head;
        let (connected, holds) = (s.connected(primary, replica), s.node(replica).head >= head);
        if self.keeps(Conjunct::WholeReceived, received)
            && self.keeps(Conjunct::WholeConnected, connected)
            && self.keeps(Conjunct::WholeHolds, holds)
        {
            s.node_mut(replica).whole = true;
        }
    }

    fn atomically(&self, s: &mut State, message: Message) {
        if let Some(answer) = self.receive(s, message) {
            let none = self.receive(s, answer);
            debug_assert!(none.is_none(), "an acknowledgement is not answered");
        } else if !self.hangs(s, message.from, message.to) {
            // Refused: the replica names what it expected, and the session is over.
            Self::end_session(s, message.from, message.to);
        }
    }

    /// The primary's side of a session that ended.
    pub(super) fn end_session(s: &mut State, primary: NodeId, replica: NodeId) {
        *s.peer_mut(primary, replica) = super::state::Peer::default();
    }

    pub(super) fn may_ship(&self, s: &State, primary: NodeId, replica: NodeId) -> Granted {
        unless(self.bounds.wire == 0, Refusal::Bound)?;
        self.may_append(s, primary, replica)?;
        self.must(Conjunct::ShipUp, s.node(replica).up, Refusal::Down)?;
        let room = self.room(s, replica, 0);
        self.must(Conjunct::ShipRoom, room, Refusal::Full)
    }

    pub(super) fn ship(&self, s: &mut State, primary: NodeId, replica: NodeId) {
        let message = Self::append_message(s, primary, replica);
        s.peer_mut(primary, replica).next += 1;
        self.atomically(s, message);
    }

    pub(super) fn may_barrier(&self, s: &State, primary: NodeId, replica: NodeId) -> Granted {
        unless(self.bounds.wire == 0, Refusal::Bound)?;
        self.streams(s, primary, replica)?;
        let (r, p, peer) = (s.node(replica), s.node(primary), s.peer(primary, replica));
        self.must(Conjunct::BarrierUp, r.up, Refusal::Down)?;
        let news = r.durable < r.head
            || peer.durable < r.durable
            || self.bounds.write_back && r.committed < p.committed.min(r.head)
            || !s.connected(primary, replica);
        unless(news, Refusal::NothingToDo)
    }

    pub(super) fn barrier(&self, s: &mut State, primary: NodeId, replica: NodeId) {
        let message = Self::barrier_message(s, primary, replica);
        self.atomically(s, message);
    }

    fn wire_has_room(&self, s: &State) -> bool {
        s.wire.iter().flatten().count() < usize::from(self.bounds.wire).min(WIRE)
    }

    fn post(s: &mut State, message: Message) {
        if s.wire.contains(&Some(message)) {
            return;
        }
        if let Some(free) = s.wire.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(message);
        }
        Self::tidy(s);
    }

    fn tidy(s: &mut State) {
        s.wire.sort_unstable_by_key(|slot| (slot.is_none(), *slot));
    }

    pub(super) fn may_send_append(&self, s: &State, primary: NodeId, replica: NodeId) -> Granted {
        unless(
            self.bounds.wire > 0 && self.wire_has_room(s),
            Refusal::Bound,
        )?;
        self.may_append(s, primary, replica)
    }

    pub(super) fn send_append(&self, s: &mut State, primary: NodeId, replica: NodeId) {
        let message = Self::append_message(s, primary, replica);
        s.peer_mut(primary, replica).next += 1;
        Self::post(s, message);
    }

    pub(super) fn may_send_barrier(&self, s: &State, primary: NodeId, replica: NodeId) -> Granted {
        unless(
            self.bounds.wire > 0 && self.wire_has_room(s),
            Refusal::Bound,
        )?;
        self.streams(s, primary, replica)?;
        let message = Self::barrier_message(s, primary, replica);
        unless(!s.wire.contains(&Some(message)), Refusal::NothingToDo)?;
        let peer = s.peer(primary, replica);
        let unproven = peer.durable < peer.next.saturating_sub(1);
        unless(unproven, Refusal::NothingToDo)
    }

    pub(super) fn send_barrier(&self, s: &mut State, primary: NodeId, replica: NodeId) {
        let message = Self::barrier_message(s, primary, replica);
        Self::post(s, message);
    }

    pub(super) fn may_deliver(&self, s: &State, message: Message) -> Granted {
        unless(s.wire.contains(&Some(message)), Refusal::NoMessage)
    }

    pub(super) fn deliver(&self, s: &mut State, message: Message) {
        self.drop_message(s, message);
        if let Some(answer) = self.receive(s, message) {
            Self::post(s, answer);
        }
    }

    pub(super) fn may_deliver_twin(&self, s: &State, message: Message) -> Granted {
        unless(self.bounds.twins && self.wire_has_room(s), Refusal::Bound)?;
        self.may_deliver(s, message)
    }

    pub(super) fn deliver_twin(&self, s: &mut State, message: Message) {
        if let Some(answer) = self.receive(s, message) {
            Self::post(s, answer);
        }
    }

    pub(super) fn drop_message(&self, s: &mut State, message: Message) {
        for slot in s.wire.iter_mut().filter(|slot| **slot == Some(message)) {
            *slot = None;
        }
        Self::tidy(s);
    }
}
