//! What is alike: of three nodes the two that are not the first primary, where the bounds treat them
//! alike. Their names can be exchanged.

use super::Cluster;
use super::state::{Membership, State};
use super::vocabulary::{Members, NODES, NodeId, Renewal};

/// The nodes that can be exchanged.
const ALIKE: [NodeId; 2] = [1, 2];

impl Cluster {
    /// Whether the bounds treat nodes 1 and 2 alike.
    pub(super) fn has_twins(&self) -> bool {
        let alike = |set: Members| set.has(ALIKE[0]) == set.has(ALIKE[1]);
        usize::from(self.bounds.nodes) == NODES
            && alike(self.bounds.isr)
            && alike(self.bounds.crashes)
    }
}

const fn other(node: NodeId) -> NodeId {
    match node {
        1 => 2,
        2 => 1,
        same => same,
    }
}

const fn others(set: Members) -> Members {
    Members(set.0 & !0b110 | (set.0 & 0b010) << 1 | (set.0 & 0b100) >> 1)
}

const fn of_others(m: Membership) -> Membership {
    Membership {
        isr: others(m.isr),
        voters: others(m.voters),
        mode: m.mode,
    }
}

/// The state with nodes 1 and 2 exchanged.
pub(super) fn exchanged(state: &State) -> State {
    let mut s = *state;
    exchange_in_record(&mut s);
    for node in 0..NODES as NodeId {
        let mut moved = *state.node(node);
        moved.led = moved.led.map(other);
        moved.view = of_others(moved.view);
        moved.pending = moved.pending.map(of_others);
        *s.node_mut(other(node)) = moved;
    }
    for node in 0..NODES as NodeId {
        for peer in (0..NODES as NodeId).filter(|&peer| peer != node) {
            *s.peer_mut(other(node), other(peer)) = *state.peer(node, peer);
        }
    }
    for message in s.wire.iter_mut().flatten() {
        message.from = other(message.from);
        message.to = other(message.to);
    }
    s.wire.sort_unstable_by_key(|slot| (slot.is_none(), *slot));
    s
}

fn exchange_in_record(s: &mut State) {
    let r = &mut s.record;
    r.primary = other(r.primary);
    r.last = other(r.last);
    r.members = of_others(r.members);
    r.stores.swap(1, 2);
    r.reports.swap(1, 2);
    if let Some(request) = &mut r.request {
        request.to = of_others(request.to);
        request.newcomer = request.newcomer.map(|(node, store)| (other(node), store));
    }
    r.renewal = match r.renewal {
        Renewal::None => Renewal::None,
        Renewal::Asked(node) => Renewal::Asked(other(node)),
        Renewal::Answered(node) => Renewal::Answered(other(node)),
        Renewal::Late(node) => Renewal::Late(other(node)),
    };
    if let Some(backup) = &mut s.backup {
        backup.primary = other(backup.primary);
        backup.last = other(backup.last);
        backup.members = of_others(backup.members);
    }
}
