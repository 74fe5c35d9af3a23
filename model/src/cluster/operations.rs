//! Volume operations (`protocol.md` section 1): a snapshot, and its restore, as entries of the log
//! that every replica performs at the same point.
//!
//! An operation happens when write-back reaches it: everything before it is in the extent, nothing
//! after it, and its outcome is durable in the same step as a checkpoint at its position.

use super::Cluster;
use super::action::Refusal;
use super::broken::Broken;
use super::conjuncts::{Conditions, Conjunct, Granted, unless};
use super::state::State;
use super::vocabulary::{NodeId, Operation, SLOTS};

impl Cluster {
    pub(super) fn may_operate(&self, s: &State, primary: NodeId, operation: Operation) -> Granted {
        let p = s.node(primary);
        unless(self.bounds.operations, Refusal::Bound)?;
        unless(
            usize::from(p.head) < SLOTS && p.log.position_of(operation).is_none(),
            Refusal::Bound,
        )?;
        let room = self.room(s, primary, self.reserve());
        self.must(Conjunct::OperateRoom, room, Refusal::Full)?;
        self.serves(s, primary)?;
        let possible = match operation {
            Operation::Snapshot => true,
            Operation::Restore => p.log.position_of(Operation::Snapshot).is_some(),
        };
        self.must(Conjunct::OperateSnapshot, possible, Refusal::NothingToDo)
    }

    pub(super) fn operate(&self, s: &mut State, primary: NodeId, operation: Operation) {
        let rewinds = self.is(Broken::RestoreRewinds) && operation == Operation::Restore;
        let p = s.node_mut(primary);
        match (p.log.position_of(Operation::Snapshot), p.extent.snapshot) {
            (Some(at), Some(kept)) if rewinds => {
                p.extent.blocks = kept;
                p.log.cut(at);
                (p.head, p.durable) = (at, at);
                (p.checkpoint, p.bound) = (at, at);
                (p.committed, p.tail) = (p.committed.min(at), p.tail.min(at));
            }
            _ => Self::append(s, primary, operation.number()),
        }
    }

    pub(super) fn may_perform(&self, s: &State, node: NodeId) -> Granted {
        let n = s.node(node);
        self.must(Conjunct::PerformUp, n.up, Refusal::Down)?;
        self.must(Conjunct::PerformTrusted, n.trusted(), Refusal::NotEligible)?;
        let Some(at) = n.log.operation_after(n.checkpoint) else {
            return unless(false, Refusal::NothingToDo);
        };
        let reached = at <= self.may_reach_extent(s, node);
        self.must(Conjunct::PerformReached, reached, Refusal::NothingToDo)?;
        let next = n.checkpoint + 1 == at;
        self.must(Conjunct::PerformNext, next, Refusal::OperationDue)?;
        self.must(Conjunct::PerformBound, n.bound < at, Refusal::OperationDue)
    }

    pub(super) fn perform(&self, s: &mut State, node: NodeId) {
        let n = s.node_mut(node);
        let at = n.checkpoint + 1;
        n.extent.redo(&n.log, n.checkpoint, at);
        n.checkpoint = at;
        n.bound = at;
    }
}
