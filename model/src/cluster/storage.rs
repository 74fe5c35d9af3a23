//! One node's write-back, checkpoint and reclaim (`protocol.md` section 1).
//!
//! The extent bound is raised durably before the first effect: here both are one step, because
//! what a crash can leave between them is the business of the `storage` specification.

use super::Cluster;
use super::action::{Guard, Refusal, unless};
use super::broken::Broken;
use super::state::State;
use super::vocabulary::{Lsn, Mode, NODES, NodeId, Phase};

impl Cluster {
    /// How far the extent may go.
    fn write_back_limit(&self, s: &State, node: NodeId) -> Lsn {
        let n = s.node(node);
        let allowed = self.may_reach_extent(s, node);
        match n.log.operation_after(n.checkpoint) {
            Some(at) if !self.is(Broken::OperationNotAwaited) => allowed.min(at - 1),
            Some(_) | None => allowed,
        }
    }

    /// How far effects may reach the extent, volume operations apart.
    pub(super) fn may_reach_extent(&self, s: &State, node: NodeId) -> Lsn {
        let n = s.node(node);
        let uncommitted =
            self.bounds.mode == Mode::BestEffort || self.is(Broken::WriteBackUncommitted);
        if uncommitted {
            n.durable
        } else if self.is(Broken::WriteBackBeyondDurable) {
            n.committed
        } else {
            n.committed.min(n.durable)
        }
    }

    pub(super) fn may_write_back(&self, s: &State, node: NodeId) -> Guard {
        let n = s.node(node);
        unless(self.bounds.write_back, Refusal::Bound)?;
        unless(n.up, Refusal::Down)?;
        unless(n.trusted(), Refusal::NotEligible)?;
        unless(
            self.write_back_limit(s, node) > n.bound,
            Refusal::NothingToDo,
        )
    }

    pub(super) fn write_back(&self, s: &mut State, node: NodeId) {
        let limit = self.write_back_limit(s, node);
        let n = s.node_mut(node);
        n.bound = limit;
        n.extent.redo(&n.log, n.checkpoint, limit);
    }

    pub(super) fn may_checkpoint(&self, s: &State, node: NodeId) -> Guard {
        let n = s.node(node);
        unless(self.bounds.write_back, Refusal::Bound)?;
        unless(n.up, Refusal::Down)?;
        unless(n.trusted(), Refusal::NotEligible)?;
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
        if self.is(Broken::IgnorePins) {
            checkpoint
        } else {
            checkpoint.min(self.pinned(s, node))
        }
    }

    pub(super) fn may_reclaim(&self, s: &State, node: NodeId) -> Guard {
        let n = s.node(node);
        unless(self.bounds.reclaim, Refusal::Bound)?;
        unless(n.up, Refusal::Down)?;
        unless(n.tail < n.checkpoint, Refusal::NothingToDo)?;
        unless(n.tail < self.reclaimable(s, node), Refusal::Pinned)
    }

    pub(super) fn reclaim(&self, s: &mut State, node: NodeId) {
        s.node_mut(node).tail = self.reclaimable(s, node);
    }
}
