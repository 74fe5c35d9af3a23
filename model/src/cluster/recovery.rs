//! Handshake, classification, truncation, and the end of a session (`protocol.md` section 4).

use super::Cluster;
use super::action::Refusal;
use super::broken::Broken;
use super::conjuncts::{Conditions, Conjunct, Granted, unless};
use super::state::{Peer, State};
use super::vocabulary::{Lsn, NodeId, Phase};

impl Cluster {
    pub(super) fn may_handshake(&self, s: &State, primary: NodeId, replica: NodeId) -> Granted {
        let (p, r) = (s.node(primary), s.node(replica));
        unless(p.up && p.primary, Refusal::NotPrimary)?;
        self.must(Conjunct::HandshakeUp, r.up, Refusal::Down)?;
        let away = s.peer(primary, replica).phase == Phase::Away;
        self.must(Conjunct::HandshakeAway, away, Refusal::Settled)?;
        if self.is(Broken::ReconnectNeedsTraffic) {
            unless(p.log.at(p.head).write != 0, Refusal::NothingToDo)?;
        }
        let counted = self.bounds.wire > 0;
        unless(
            !counted || p.next_session <= self.bounds.sessions,
            Refusal::Bound,
        )
    }

    /// Hello and facts in one exchange: the replica makes the epoch durable and syncs its log
    /// before it answers, and the primary decides what the facts mean. A replica that promised a
    /// higher epoch, or follows another node in this one, refuses, and the primary steps down.
    pub(super) fn handshake(&self, s: &mut State, primary: NodeId, replica: NodeId) {
        let epoch = s.node(primary).promised;
        let behind = self.keeps(Conjunct::HelloEpoch, s.node(replica).promised <= epoch);
        let elsewhere = self.follows_another(s, primary, replica);
        if !behind || !self.keeps(Conjunct::HelloLed, !elsewhere) {
            if !self.is(Broken::FenceBeforeMint) {
                s.node_mut(primary).step_down();
            }
            return;
        }
        let session = s.node(primary).next_session;
        if self.bounds.wire > 0 {
            s.node_mut(primary).next_session += 1;
        }
        let r = s.node_mut(replica);
        if r.promised < epoch {
            r.step_down();
            r.promised = epoch;
            if !self.is(Broken::PromiseInMemory) {
                r.sworn = epoch;
            }
        }
        r.durable = r.head;
        r.session = session;
        if self.bounds.rollback {
            r.led = Some(primary);
        }
        let mut peer = self.classify(s, primary, replica);
        peer.session = session;
        peer.store = s.node(replica).store;
        *s.peer_mut(primary, replica) = peer;
    }

    /// The total decision over the facts: exactly one of needs rebuild, catch-up with or without
    /// a truncation. (A zero gap is a catch-up that has nothing to ship; it, too, is proven by a
    /// barrier.)
    fn classify(&self, s: &State, primary: NodeId, replica: NodeId) -> Peer {
        let (p, r) = (s.node(primary), s.node(replica));
        let needs_rebuild = Peer {
            phase: Phase::NeedsRebuild,
            ..Peer::default()
        };
        if !self.keeps(Conjunct::FactsTrusted, r.trusted())
            || !self.keeps(Conjunct::FactsRecorded, s.recorded(replica))
        {
            return needs_rebuild;
        }
        let common = if self.is(Broken::EqualLsnIsEqualHistory) {
            p.head.min(r.durable)
        } else {
            p.log.common(&r.log).min(p.head).min(r.durable)
        };
        let skip = self.is(Broken::SkipDuplicates);
        let cut = (r.durable > common && !skip).then_some(common);
        let extent = r.bound <= common || self.is(Broken::IgnoreDivergentExtent);
        if !self.keeps(Conjunct::FactsExtent, extent) {
            return needs_rebuild;
        }
        let retained = common >= p.tail || self.is(Broken::CatchUpBelowTail);
        if !self.keeps(Conjunct::FactsRetained, retained) {
            return needs_rebuild;
        }
        let start = p.log.first_of(p.promised).unwrap_or(p.head);
        let counted = if self.is(Broken::HandshakeCounts) {
            r.durable
        } else {
            0
        };
        Peer {
            phase: Phase::CatchUp,
            next: if self.is(Broken::CursorNotRewound) {
                p.head + 1
            } else {
                common + 1
            },
            target: p.committed.max(start),
            cut,
            received: counted,
            durable: counted,
            ..Peer::default()
        }
    }

    pub(super) fn may_truncate(&self, s: &State, primary: NodeId, replica: NodeId) -> Granted {
        let peer = s.peer(primary, replica);
        unless(
            s.node(primary).primary && peer.cut.is_some(),
            Refusal::NoSession,
        )?;
        let connected = s.connected(primary, replica);
        self.must(Conjunct::TruncateConnected, connected, Refusal::NoSession)
    }

    /// The replica cuts its log, unless its flusher went beyond the cut since the hello: then
    /// only a rebuild helps.
    pub(super) fn truncate(&self, s: &mut State, primary: NodeId, replica: NodeId) {
        let Some(to) = s.peer(primary, replica).cut else {
            return;
        };
        let r = s.node_mut(replica);
        let extent = r.bound <= to || self.is(Broken::IgnoreDivergentExtent);
        if !self.keeps(Conjunct::TruncateExtent, extent) {
            let peer = s.peer_mut(primary, replica);
            let (session, store) = (peer.session, peer.store);
            *peer = Peer {
                phase: Phase::NeedsRebuild,
                session,
                store,
                ..Peer::default()
            };
            return;
        }
        cut_log(r, to);
        s.peer_mut(primary, replica).cut = None;
    }

    /// Whether a session cannot end (only where a rule is broken).
    pub(super) fn hangs(&self, s: &State, primary: NodeId, replica: NodeId) -> bool {
        let repairing = s.peer(primary, replica).phase == Phase::CatchUp;
        repairing && self.is(Broken::SecondDisconnectHangs)
    }

    pub(super) fn may_disconnect(&self, s: &State, primary: NodeId, replica: NodeId) -> Granted {
        unless(s.node(primary).primary, Refusal::NotPrimary)?;
        unless(
            s.peer(primary, replica).phase != Phase::Away,
            Refusal::NoSession,
        )?;
        unless(!self.hangs(s, primary, replica), Refusal::Bound)?;
        let broken = !s.connected(primary, replica);
        unless(broken || self.bounds.disconnects, Refusal::Bound)
    }

    pub(super) fn disconnect(&self, s: &mut State, primary: NodeId, replica: NodeId) {
        Self::end_session(s, primary, replica);
    }

    pub(super) fn may_escalate(&self, s: &State, primary: NodeId, replica: NodeId) -> Granted {
        let (p, peer) = (s.node(primary), s.peer(primary, replica));
        unless(p.primary, Refusal::NotPrimary)?;
        let live = match peer.phase {
            Phase::CatchUp | Phase::InSync | Phase::Replaying => true,
            Phase::Away | Phase::NeedsRebuild | Phase::Copying => false,
        };
        unless(live, Refusal::NoSession)?;
        unless(
            self.bounds.reclaim && peer.next <= p.checkpoint,
            Refusal::NothingToDo,
        )
    }

    /// A budget is exceeded: the pins go, and with them the claim that a catch-up can work.
    pub(super) fn escalate(&self, s: &mut State, primary: NodeId, replica: NodeId) {
        let peer = s.peer_mut(primary, replica);
        let (session, store) = (peer.session, peer.store);
        *peer = Peer {
            phase: Phase::NeedsRebuild,
            session,
            store,
            ..Peer::default()
        };
    }
}

/// Cuts a log, and every position that spoke of what is gone.
fn cut_log(node: &mut super::state::Node, to: Lsn) {
    node.log.cut(to);
    node.head = to;
    node.durable = node.durable.min(to);
    node.committed = node.committed.min(to);
    node.checkpoint = node.checkpoint.min(to);
    node.bound = node.bound.min(to);
    node.tail = node.tail.min(to);
}
