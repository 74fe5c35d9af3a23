//! What the world does: crashes, restarts, lost stores.

use super::Cluster;
use super::action::Refusal;
use super::broken::Broken;
use super::conjuncts::{Granted, unless};
use super::state::{Node, State};
use super::vocabulary::{NodeId, WriteAck};

impl Cluster {
    pub(super) fn may_crash(&self, s: &State, node: NodeId) -> Granted {
        unless(self.bounds.crashes.has(node), Refusal::Bound)?;
        unless(s.node(node).up, Refusal::Down)
    }

    /// The process, or its host: what was not durable is gone, and everything it remembered.
    pub(super) fn crash(&self, s: &mut State, node: NodeId) {
        let n = s.node_mut(node);
        n.step_down();
        n.up = false;
        n.log.cut(n.durable);
        n.head = n.durable;
        n.committed = 0;
        n.promised = n.sworn;
        n.session = 0;
        n.whole = false;
        if !self.bounds.downtime {
            self.restart(s, node);
        }
    }

    pub(super) fn may_restart(&self, s: &State, node: NodeId) -> Granted {
        unless(node < self.bounds.nodes, Refusal::Bound)?;
        unless(!s.node(node).up, Refusal::Up)
    }

    /// The role is none, and what is in the extent is what it knows to be committed.
    pub(super) fn restart(&self, s: &mut State, node: NodeId) {
        let resumes = self.is(Broken::ResumeAfterRestart)
            && s.record.primary == node
            && s.record.epoch == s.node(node).sworn;
        let members = s.record.members;
        let n = s.node_mut(node);
        n.up = true;
        // Nobody asks where writes are acknowledged from the primary's log alone.
        n.whole = self.bounds.write_ack == WriteAck::Local;
        n.committed = n.bound.min(n.head);
        if self.is(Broken::TruncateToWatermark) {
            n.log.cut(n.committed);
            n.head = n.committed;
            n.durable = n.committed;
        }
        if resumes {
            n.primary = true;
            n.view = members;
            n.next_session = 1;
            n.lease = true;
            s.record.news = false;
            self.commit(s, node);
        }
    }

    pub(super) fn may_lose_store(&self, s: &State, node: NodeId) -> Granted {
        let lost = s.nodes.iter().map(|n| n.store).max().unwrap_or(0);
        unless(
            node < self.bounds.nodes && lost < self.bounds.losses,
            Refusal::Bound,
        )
    }

    /// Disk and process are gone; an empty store of a new identity stands in their place.
    pub(super) fn lose_store(&self, s: &mut State, node: NodeId) {
        let lost = s.nodes.iter().map(|n| n.store).max().unwrap_or(0);
        let up = !self.bounds.downtime;
        *s.node_mut(node) = Node {
            store: lost + 1,
            up,
            ..Node::default()
        };
    }
}
