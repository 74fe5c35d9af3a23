//! What must hold. Each property is judged from what the disks hold and what the client was told,
//! never from the guard that is meant to keep it.

mod authority;
mod bystanders;
mod history;
mod images;
mod promises;

use super::Cluster;
use super::state::State;
use super::vocabulary::{NODES, NodeId, Phase, Writes};
use crate::checking::{Check, Property, Step, Verdict};

type S = State;

/// All of them, witnesses included.
pub(super) fn properties() -> Vec<Property<Cluster>> {
    [
        promises::properties(),
        history::properties(),
        images::properties(),
        authority::properties(),
        bystanders::properties(),
        witnesses(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn witnesses() -> Vec<Property<Cluster>> {
    vec![
        seen("seen-flush", "a flush is acknowledged", |_, s| {
            !s.client.flushed.is_empty()
        }),
        seen(
            "seen-dropped",
            "a write is dropped by a failover",
            |_, s| !s.client.dropped.is_empty(),
        ),
        seen(
            "seen-power-loss",
            "a promotion reports a possible power loss",
            |_, s| s.past.reported,
        ),
        seen("seen-rebuilt", "a rebuilt replica is in sync", seen_rebuilt),
        seen("seen-truncation", "a truncation is due", |_, s| {
            s.nodes
                .iter()
                .any(|n| n.peers.iter().any(|p| p.cut.is_some()))
        }),
        seen(
            "seen-joined",
            "a replica outside the first in-sync set has joined",
            |c, s| !c.bounds.isr.includes(s.record.members.isr),
        ),
        seen("seen-left", "a member has left", |c, s| {
            !s.record.members.isr.includes(c.bounds.isr)
        }),
    ]
}

fn always(
    name: &'static str,
    says: &'static str,
    check: fn(&Cluster, &S) -> Verdict,
) -> Property<Cluster> {
    Property {
        name,
        says,
        check: Check::Always(check),
    }
}

fn step(
    name: &'static str,
    says: &'static str,
    check: fn(&Cluster, &Step<'_, Cluster>) -> Verdict,
) -> Property<Cluster> {
    Property {
        name,
        says,
        check: Check::Step(check),
    }
}

fn seen(
    name: &'static str,
    says: &'static str,
    check: fn(&Cluster, &S) -> bool,
) -> Property<Cluster> {
    Property {
        name,
        says,
        check: Check::Sometimes(check),
    }
}

/// Whether the world is one in which promises of durability are claimed: no disk lied, and the
/// authority's record is the one that it wrote last.
fn sane(s: &S) -> bool {
    !s.past.lied && !s.past.rolled
}

fn all_nodes() -> impl Iterator<Item = NodeId> {
    0..NODES as NodeId
}

/// Every pair of a node that acts as primary and another node.
fn pairs(s: &S) -> impl Iterator<Item = (NodeId, NodeId)> + '_ {
    all_nodes()
        .filter(|p| s.node(*p).up && s.node(*p).primary)
        .flat_map(|p| all_nodes().filter(move |r| *r != p).map(move |r| (p, r)))
}

fn within(inner: Writes, outer: Writes) -> bool {
    inner.without(outer).is_empty()
}

/// The writes in the log of the primary of the record.
fn held_by_primary(s: &S) -> Option<Writes> {
    s.acting_primary()
        .map(|p| s.node(p).log.writes(s.node(p).head))
}

const fn streaming(phase: Phase) -> bool {
    match phase {
        Phase::CatchUp | Phase::InSync | Phase::Replaying => true,
        Phase::Away | Phase::NeedsRebuild | Phase::Copying => false,
    }
}

fn seen_rebuilt(_: &Cluster, s: &S) -> bool {
    pairs(s).any(|(p, r)| {
        let peer = s.peer(p, r);
        peer.phase == Phase::InSync && peer.split > 0
    })
}
