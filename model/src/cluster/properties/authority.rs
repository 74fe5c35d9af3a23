//! Who serves, who is promoted, and that there is a way on: A3, A4, A9.

use super::super::Cluster;
use super::super::action::Action;
use super::super::state::NOBODY;
use super::super::vocabulary::{Members, Message, Mode, NODES, NodeId, Phase, SLOTS};
use super::{S, all_nodes, always, sane, step};
use crate::checking::{Check, Property, Step, Verdict};

pub(super) fn properties() -> Vec<Property<Cluster>> {
    vec![
        always(
            "A3-one-server",
            "at most one node serves, the primary of the record",
            a3_server,
        ),
        step(
            "A3-stale-traffic",
            "traffic of an earlier epoch changes nothing",
            a3_traffic,
        ),
        step(
            "A3-read",
            "only the primary of the record is read from",
            a3_read,
        ),
        step("A9-eligible", "only an eligible replica is promoted", a9),
        step(
            "A9-forced",
            "a forced promotion leaves one eligible copy, the whole set",
            a9_forced,
        ),
        Property {
            name: "A4-way-on",
            says: "while an epoch is left, service with all members in sync can be reached",
            check: Check::Leads {
                subjects: 1,
                from: way_on_asked,
                to: way_on_found,
            },
        },
        Property {
            name: "A4-in-sync",
            says: "a replica that can be reached can be brought in sync",
            check: Check::Leads {
                subjects: NODES,
                from: a4_reachable,
                to: a4_in_sync,
            },
        },
    ]
}

fn a3_server(c: &Cluster, s: &S) -> Verdict {
    let serving: Vec<NodeId> = all_nodes().filter(|n| c.serves(s, *n).is_ok()).collect();
    Verdict::implies(!s.past.rolled && !serving.is_empty(), || {
        serving.len() == 1 && s.acting_primary() == Some(serving[0])
    })
}

fn a3_traffic(_: &Cluster, step: &Step<'_, Cluster>) -> Verdict {
    let (Action::Deliver { message } | Action::DeliverTwin { message }) = step.action else {
        return Verdict::Vacuous;
    };
    let Message { to, epoch, .. } = message;
    let stale = step.before.node(to).promised > epoch;
    step.after.map_or(Verdict::Vacuous, |after| {
        Verdict::implies(stale, || after.node(to) == step.before.node(to))
    })
}

fn a3_read(_: &Cluster, step: &Step<'_, Cluster>) -> Verdict {
    let Action::Read { primary } = step.action else {
        return Verdict::Vacuous;
    };
    Verdict::implies(true, || step.before.acting_primary() == Some(primary))
}

fn a9(_: &Cluster, step: &Step<'_, Cluster>) -> Verdict {
    let Action::Promote { node, .. } = step.action else {
        return Verdict::Vacuous;
    };
    let (s, n) = (step.before, step.before.node(node));
    let members = &s.record.members;
    let due = match members.mode {
        Mode::BestEffort => node == s.record.last,
        Mode::SyncAll => members.isr.has(node),
        Mode::SyncQuorum => members.isr.both(members.voters).has(node),
    };
    let whole = n.durable >= s.past.committed && n.log.agrees(&s.past.log, s.past.committed);
    let whole = whole || !sane(s);
    Verdict::implies(true, || due && whole && s.recorded(node) && n.trusted())
}

fn a9_forced(_: &Cluster, step: &Step<'_, Cluster>) -> Verdict {
    let (Action::ForcePromote { node }, Ok(after)) = (step.action, step.after) else {
        return Verdict::Vacuous;
    };
    let (n, only) = (step.before.node(node), Members::only(node));
    let members = &after.record.members;
    let alone = members.isr == only && members.voters == only;
    Verdict::implies(true, || alone && n.trusted() && after.recorded(node))
}

/// Whether an instance offers what every replica may need: a rebuild where one can become
/// necessary, and the leaving that comes before it. (Sessions are counted where there is a wire.)
fn a4_claimed(c: &Cluster) -> bool {
    let b = &c.bounds;
    let diverges = b.forced > 0 && b.write_back;
    // After a rollback all copies but one are recorded no more; nobody has to leave for their rebuild.
    let comes_back = !b.rollback || b.snapshots || b.full_base;
    let never_needs_rebuild = b.losses == 0 && !b.reclaim && !diverges && comes_back;
    let may_leave = b.leaves || b.isr.count() == 1 && !b.joins;
    let rebuilds = (b.snapshots || b.full_base) && may_leave;
    let plain = b.wire == 0 && b.new_mode.is_none() && b.mode != Mode::SyncQuorum;
    plain && (never_needs_rebuild || rebuilds)
}

fn a4_reachable(c: &Cluster, s: &S, replica: usize) -> bool {
    let replica = replica as NodeId;
    let reachable = |p: NodeId| {
        let (p, r) = (s.node(p), s.node(replica));
        r.up && r.promised <= p.promised
    };
    let other = replica < c.bounds.nodes && s.record.primary != replica;
    a4_claimed(c) && sane(s) && other && s.acting_primary().is_some_and(reachable)
}

fn a4_in_sync(_: &Cluster, s: &S, replica: usize) -> bool {
    let replica = replica as NodeId;
    s.acting_primary().is_some_and(|p| {
        p != replica && s.peer(p, replica).phase == Phase::InSync && s.connected(p, replica)
    })
}

/// Whether an instance claims that there is always a way on: nothing is lost for good in it.
fn way_on_claimed(c: &Cluster) -> bool {
    let b = &c.bounds;
    let nothing_lost = b.losses == 0 && b.forced == 0 && b.lies == 0 && !b.rollback;
    nothing_lost && b.wire == 0 && b.min_in_sync <= 1
}

/// All nodes run, and an epoch is left, or has no primary yet.
fn way_on_asked(c: &Cluster, s: &S, _: usize) -> bool {
    let up = |node: NodeId| s.node(node).up && usize::from(s.node(node).head) < SLOTS;
    let left = s.record.epoch < c.bounds.epochs || s.record.primary == NOBODY;
    way_on_claimed(c) && left && (0..c.bounds.nodes).all(up)
}

fn way_on_found(c: &Cluster, s: &S, _: usize) -> bool {
    let in_sync = |p: NodeId| {
        let others = s.node(p).view.isr.without(p);
        others
            .iter()
            .all(|r| s.peer(p, r).phase == Phase::InSync && s.connected(p, r))
    };
    s.acting_primary()
        .is_some_and(|p| c.serves(s, p).is_ok() && in_sync(p))
}
