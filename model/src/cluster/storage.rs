//! One node's write-back, checkpoint and reclaim (`protocol.md` section 1).
//!
//! The extent bound is raised durably before the first effect: here both are one step, because
//! what a crash can leave between them is the business of the `storage` specification.

use super::Cluster;
use super::action::Refusal;
use super::broken::Broken;
use super::conjuncts::{Conditions, Conjunct, Granted, unless};
use super::state::State;
use super::vocabulary::{Lsn, Mode, NODES, NodeId, Phase};

impl Cluster {
    /// How far the extent may go.
    fn write_back_limit(&self, s: &State, node: NodeId) -> Lsn {
        let n = s.node(node);
        let allowed = self.may_reach_extent(s, node);
        match n.log.operation_after(n.checkpoint) {
            Some(at) => {
                let passed =
                    self.is(Broken::OperationNotAwaited) || self.gives_up(Conjunct::LimitOperation);
                if passed { allowed } else { allowed.min(at - 1) }
            }
            None => allowed,
        }
    }

    /// How far effects may reach the extent, volume operations apart.
    pub(super) fn may_reach_extent(&self, s: &State, node: NodeId) -> Lsn {
        let n = s.node(node);
        let uncommitted = self.bounds.mode == Mode::BestEffort
            || self.is(Broken::WriteBackUncommitted)
            || self.gives_up(Conjunct::LimitCommitted);
        let beyond_durable =
            self.is(Broken::WriteBackBeyondDurable) || self.gives_up(Conjunct::LimitDurable);
        if uncommitted {
            n.durable
        } else if beyond_durable {
            n.committed
        } else {
            n.committed.min(n.durable)
        }
    }

    pub(super) fn may_write_back(&self, s: &State, node: NodeId) -> Granted {
        let n = s.node(node);
        unless(self.bounds.write_back, Refusal::Bound)?;
        self.must(Conjunct::WriteBackUp, n.up, Refusal::Down)?;
        self.must(
            Conjunct::WriteBackTrusted,
            n.trusted(),
            Refusal::NotEligible,
        )?;
        let more = self.write_back_limit(s, node) > n.bound;
        self.must(Conjunct::WriteBackMore, more, Refusal::NothingToDo)
    }

    pub(super) fn write_back(&self, s: &mut State, node: NodeId) {
        let limit = self.write_back_limit(s, node);
        let n = s.node_mut(node);
        n.bound = limit;
        n.extent.redo(&n.log, n.checkpoint, limit);
    }

    pub(super) fn may_checkpoint(&self, s: &State, node: NodeId) -> Granted {
        let n = s.node(node);
        unless(self.bounds.write_back, Refusal::Bound)?;
        self.must(Conjunct::CheckpointUp, n.up, Refusal::Down)?;
        self.must(
            Conjunct::CheckpointTrusted,
            n.trusted(),
            Refusal::NotEligible,
        )?;
        unless(n.checkpoint < n.bound, Refusal::NothingToDo)
    }

    pub(super) fn checkpoint(&self, s: &mut State, node: NodeId) {
        let n = s.node_mut(node);
        n.extent.redo(&n.log, n.checkpoint, n.bound);
        n.checkpoint = n.bound;
    }

    /// What live sessions still need; nothing above it may be reclaimed.
    fn pinned(&self, s: &State, node: NodeId) -> Lsn {
        let replicas = (0..NODES as NodeId).filter(|replica| *replica != node);
        let pins = replicas.filter_map(|replica| {
            let peer = s.peer(node, replica);
            match peer.phase {
                Phase::CatchUp | Phase::InSync | Phase::Copying | Phase::Replaying => {
                    Some(peer.next.saturating_sub(1))
                }
                Phase::Away | Phase::NeedsRebuild => None,
            }
        });
        pins.min().unwrap_or(Lsn::MAX)
    }

    fn reclaimable(&self, s: &State, node: NodeId) -> Lsn {
        let checkpoint = s.node(node).checkpoint;
        if self.is(Broken::IgnorePins) || self.gives_up(Conjunct::ReclaimPins) {
            checkpoint
        } else {
            checkpoint.min(self.pinned(s, node))
        }
    }

    pub(super) fn may_reclaim(&self, s: &State, node: NodeId) -> Granted {
        let n = s.node(node);
        unless(self.bounds.reclaim, Refusal::Bound)?;
        self.must(Conjunct::ReclaimUp, n.up, Refusal::Down)?;
        unless(n.tail < n.checkpoint, Refusal::NothingToDo)?;
        let free = n.tail < self.reclaimable(s, node);
        self.must(Conjunct::ReclaimPins, free, Refusal::Pinned)
    }

    pub(super) fn reclaim(&self, s: &mut State, node: NodeId) {
        s.node_mut(node).tail = self.reclaimable(s, node);
    }
}
