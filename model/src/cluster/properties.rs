//! What must hold. Each property is judged from what the disks hold and what the client was told,
//! never from the guard that is meant to keep it.

use super::Cluster;
use super::action::Action;
use super::state::{State, contents};
use super::vocabulary::{
    Log, Lsn, Members, Message, Mode, NODES, NodeId, Phase, Source, UNTRUSTED, WriteAck, Writes,
};
use crate::checking::{Check, Property, Step, Verdict};

type S = State;

/// All of them, witnesses included.
pub(super) fn properties() -> Vec<Property<Cluster>> {
    let mut all = vec![
        always(
            "A1-survives",
            "what was flushed is in the log of every primary",
            a1_survives,
        ),
        always(
            "A1-copies",
            "what was flushed is durable where the mode says",
            a1_copies,
        ),
        always(
            "A2-gone-is-gone",
            "what was dropped never comes back, what was shown stays",
            a2,
        ),
        always(
            "A3-one-server",
            "at most one node serves, the primary of the record",
            a3_server,
        ),
        always(
            "A6-pinned",
            "what a session still has to send is retained",
            a6,
        ),
        always(
            "A7-contents",
            "image and log of a trusted store give the reference",
            a7,
        ),
        always(
            "C1-equal-copies",
            "in_sync copies are equal as far as both are committed",
            c1,
        ),
        always(
            "C2-only-committed",
            "no extent of a sync mode holds what was never committed",
            c2,
        ),
        always(
            "T1-one-history",
            "no two entries are ever committed at one position",
            t1,
        ),
        always(
            "T1-copies",
            "what was committed is durable where the mode says",
            t1_copies,
        ),
        always(
            "T2-lineage",
            "a log that a session feeds is a prefix of its primary's",
            t2,
        ),
        always(
            "T6-pinned-base",
            "a rebuild copies from a trusted base, pinned, onto a marked one",
            t6,
        ),
        always(
            "T12-exact-image",
            "a snapshot's image stands at exactly its position",
            t12_image,
        ),
        always(
            "T13-committed-kept",
            "an acting primary has every committed entry",
            t13,
        ),
        always(
            "W1-received",
            "what was acknowledged survives the loss of its primary alone",
            w1,
        ),
        always(
            "order",
            "positions of a node are ordered, committed within its head",
            order,
        ),
    ];
    all.extend([
        step(
            "A3-stale-traffic",
            "traffic of an earlier epoch changes nothing",
            a3_traffic,
        ),
        step(
            "A8-flush",
            "a flush is acknowledged exactly by the rule of the record",
            a8_flush,
        ),
        step(
            "A8-write",
            "a write is acknowledged exactly by the rule of the record",
            a8_write,
        ),
        step("A9-eligible", "only an eligible replica is promoted", a9),
        step(
            "A9-forced",
            "a forced promotion leaves one eligible copy, the whole set",
            a9_forced,
        ),
        step(
            "T6-barrier",
            "a rebuild ends by a barrier beyond target and image",
            t6_barrier,
        ),
        step(
            "T10-promise",
            "catch-up is promised only over retained history",
            t10,
        ),
        step(
            "T12-bound",
            "no effect reaches the extent before its entry is durable there",
            t12_bound,
        ),
        step("T17-split", "replay begins at the split, gap-free", t17),
        step(
            "W1-alone",
            "who remains alone holds durably what was acknowledged",
            w1_alone,
        ),
        step(
            "committed-forward",
            "committed never moves back in a process and an epoch",
            forward,
        ),
        step(
            "acks-forward",
            "an acknowledged position never moves back in a session",
            acks,
        ),
    ]);
    all.push(Property {
        name: "A4-in-sync",
        says: "a replica that can be reached can be brought in sync",
        check: Check::Leads {
            subjects: NODES,
            from: a4_reachable,
            to: a4_in_sync,
        },
    });
    all.extend([
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
    ]);
    all
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

fn a1_survives(_: &Cluster, s: &S) -> Verdict {
    let promised = s.client.flushed.without(s.client.excused);
    match held_by_primary(s) {
        Some(held) => Verdict::implies(!promised.is_empty(), || within(promised, held)),
        None => Verdict::Vacuous,
    }
}

fn a1_copies(_: &Cluster, s: &S) -> Verdict {
    let promised = s.client.flushed.without(s.client.excused);
    let members = &s.record.members;
    // A store that was lost since it acknowledged is what the mode insures against.
    let holds = |node: &NodeId| {
        let n = s.node(*node);
        !s.recorded(*node) || within(promised, n.log.writes(n.durable)) && n.bound != UNTRUSTED
    };
    let holders = all_nodes()
        .filter(holds)
        .fold(Members::default(), Members::with);
    Verdict::implies(!promised.is_empty(), || match members.mode {
        Mode::BestEffort => holders.has(s.record.last),
        Mode::SyncAll | Mode::SyncQuorum => Cluster::held(s.record.last, members, holders),
    })
}

fn w1(c: &Cluster, s: &S) -> Verdict {
    let promised = s.client.acked.without(s.client.excused);
    let asked = c.bounds.write_ack == WriteAck::Received && !promised.is_empty();
    match held_by_primary(s) {
        Some(held) => Verdict::implies(asked, || within(promised, held)),
        None => Verdict::Vacuous,
    }
}

fn a2(_: &Cluster, s: &S) -> Verdict {
    let shown = s.client.shown.without(s.client.excused);
    let claimed = !shown.is_empty() || !s.client.dropped.is_empty();
    match held_by_primary(s) {
        Some(held) => Verdict::implies(claimed, || {
            within(shown, held) && held.both(s.client.dropped).is_empty()
        }),
        None => Verdict::Vacuous,
    }
}

fn a3_server(c: &Cluster, s: &S) -> Verdict {
    let serving: Vec<NodeId> = all_nodes().filter(|n| c.serves(s, *n).is_ok()).collect();
    Verdict::implies(!serving.is_empty(), || {
        serving.len() == 1 && s.acting_primary() == Some(serving[0])
    })
}

fn a6(_: &Cluster, s: &S) -> Verdict {
    pairs(s)
        .map(|(p, r)| {
            let peer = s.peer(p, r);
            Verdict::implies(streaming(peer.phase), || s.node(p).tail < peer.next)
        })
        .fold(Verdict::Vacuous, Verdict::and)
}

const fn streaming(phase: Phase) -> bool {
    match phase {
        Phase::CatchUp | Phase::InSync | Phase::Replaying => true,
        Phase::Away | Phase::NeedsRebuild | Phase::Copying => false,
    }
}

fn a7(_: &Cluster, s: &S) -> Verdict {
    s.nodes
        .iter()
        .map(|n| {
            let reference = contents(&n.log, n.durable);
            let something = n.durable > 0 && n.trusted();
            Verdict::implies(something, || n.replayed(n.durable) == reference)
        })
        .fold(Verdict::Vacuous, Verdict::and)
}

fn c1(_: &Cluster, s: &S) -> Verdict {
    pairs(s)
        .map(|(p, r)| {
            let in_sync = s.peer(p, r).phase == Phase::InSync && s.connected(p, r);
            let (pn, rn) = (s.node(p), s.node(r));
            let both = pn.committed.min(rn.head);
            let equal = || {
                let comparable = pn.bound <= both && rn.bound <= both;
                pn.log.agrees(&rn.log, both)
                    && (!comparable || pn.replayed(both) == rn.replayed(both))
            };
            Verdict::implies(in_sync && both > 0, equal)
        })
        .fold(Verdict::Vacuous, Verdict::and)
}

fn c2(c: &Cluster, s: &S) -> Verdict {
    let committed = s.past.log.writes(s.past.committed);
    let claimed = s.past.forced == 0 && c.bounds.mode != Mode::BestEffort;
    let effects = |n: &super::state::Node| n.extent.iter().any(|write| *write != 0);
    Verdict::implies(claimed && s.nodes.iter().any(effects), || {
        let blocks = s.nodes.iter().flat_map(|n| n.extent);
        blocks
            .filter(|write| *write != 0)
            .all(|write| committed.has(write))
    })
}

fn t1(_: &Cluster, s: &S) -> Verdict {
    Verdict::implies(s.past.committed > 1, || !s.past.split)
}

fn t1_copies(_: &Cluster, s: &S) -> Verdict {
    let members = &s.record.members;
    let (log, last) = (&s.past.log, s.past.committed);
    let holds = |node: &NodeId| {
        let n = s.node(*node);
        let whole = n.durable >= last && n.log.agrees(log, last) && n.bound != UNTRUSTED;
        !s.recorded(*node) || whole
    };
    let holders = all_nodes()
        .filter(holds)
        .fold(Members::default(), Members::with);
    Verdict::implies(last > 1, || match members.mode {
        Mode::BestEffort => holders.has(s.record.last),
        Mode::SyncAll | Mode::SyncQuorum => Cluster::held(s.record.last, members, holders),
    })
}

fn t2(_: &Cluster, s: &S) -> Verdict {
    pairs(s)
        .map(|(p, r)| {
            let peer = s.peer(p, r);
            let fed = streaming(peer.phase) && peer.cut.is_none() && s.connected(p, r);
            let (pn, rn) = (s.node(p), s.node(r));
            Verdict::implies(fed, || {
                rn.head <= pn.head && pn.log.agrees(&rn.log, rn.head)
            })
        })
        .fold(Verdict::Vacuous, Verdict::and)
}

fn t6(_: &Cluster, s: &S) -> Verdict {
    pairs(s)
        .map(|(p, r)| {
            let peer = s.peer(p, r);
            let pn = s.node(p);
            Verdict::implies(peer.phase == Phase::Copying, || {
                let marked = !s.connected(p, r) || s.node(r).bound == UNTRUSTED;
                pn.trusted() && pn.tail <= peer.split && marked
            })
        })
        .fold(Verdict::Vacuous, Verdict::and)
}

fn t12_image(_: &Cluster, s: &S) -> Verdict {
    pairs(s)
        .map(|(p, r)| {
            let peer = s.peer(p, r);
            let snapshot = peer.phase == Phase::Copying && peer.source == Source::Snapshot;
            Verdict::implies(snapshot, || {
                peer.image == contents(&s.node(p).log, peer.split)
            })
        })
        .fold(Verdict::Vacuous, Verdict::and)
}

fn t13(_: &Cluster, s: &S) -> Verdict {
    s.acting_primary().map_or(Verdict::Vacuous, |p| {
        let n = s.node(p);
        Verdict::implies(s.past.committed > 0, || {
            n.head >= s.past.committed && n.log.agrees(&s.past.log, s.past.committed)
        })
    })
}

fn order(_: &Cluster, s: &S) -> Verdict {
    let ordered = |n: &super::state::Node| {
        n.tail <= n.checkpoint
            && n.checkpoint <= n.bound
            && n.checkpoint <= n.durable
            && n.durable <= n.head
            && n.committed <= n.head
    };
    Verdict::implies(true, || s.nodes.iter().all(ordered))
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

/// Whether an acknowledgement for `lsn` by `primary` meets the rule of the record, going by what
/// the stores hold. A copy that was lost, or cut off, since it acknowledged does not count against.
fn met(c: &Cluster, s: &S, primary: NodeId, lsn: Lsn, has: fn(&S, NodeId) -> Lsn) -> bool {
    let log: &Log = &s.node(primary).log;
    let holds = |node: &NodeId| {
        let same = has(s, *node) >= lsn && s.node(*node).log.agrees(log, lsn);
        same || !s.recorded(*node)
    };
    let holders = all_nodes()
        .filter(holds)
        .fold(Members::default(), Members::with);
    let rule = s.record.members;
    let enough = rule.mode != Mode::SyncAll || rule.isr.count() >= c.bounds.min_in_sync;
    enough && Cluster::held(primary, &rule, holders)
}

/// The last position in the primary's log of a write in a set.
fn last_of(s: &S, primary: NodeId, writes: Writes) -> Option<Lsn> {
    let n = s.node(primary);
    (1..=n.head)
        .rev()
        .find(|lsn| writes.has(n.log.at(*lsn).write))
}

fn a8_flush(c: &Cluster, step: &Step<'_, Cluster>) -> Verdict {
    let Ok(after) = step.after else {
        return Verdict::Vacuous;
    };
    let Some(primary) = after.acting_primary() else {
        return Verdict::Vacuous;
    };
    let new = after.client.flushed.without(step.before.client.flushed);
    match last_of(after, primary, new) {
        Some(lsn) => {
            let durable = |s: &S, node: NodeId| s.node(node).durable;
            Verdict::implies(true, || met(c, after, primary, lsn, durable))
        }
        None => Verdict::Vacuous,
    }
}

fn a8_write(c: &Cluster, step: &Step<'_, Cluster>) -> Verdict {
    let Ok(after) = step.after else {
        return Verdict::Vacuous;
    };
    let Some(primary) = after.acting_primary() else {
        return Verdict::Vacuous;
    };
    let new = after.client.acked.without(step.before.client.acked);
    let members = step.before.record.members;
    if c.bounds.write_ack == WriteAck::Local {
        let few = members.mode == Mode::SyncAll && members.isr.count() < c.bounds.min_in_sync;
        return Verdict::implies(!new.is_empty(), || !few);
    }
    let received = |s: &S, node: NodeId| {
        let primary = s.record.primary;
        let cut_off = node != primary && primary < NODES as NodeId && !s.connected(primary, node);
        if cut_off { Lsn::MAX } else { s.node(node).head }
    };
    match last_of(after, primary, new) {
        Some(lsn) => Verdict::implies(true, || {
            let rule = after.record.members;
            let log = &after.node(primary).log;
            let holds = |node: &NodeId| {
                let has = received(after, *node);
                has == Lsn::MAX || has >= lsn && after.node(*node).log.agrees(log, lsn)
            };
            let holders = all_nodes()
                .filter(holds)
                .fold(Members::default(), Members::with);
            let enough = rule.mode != Mode::SyncAll || rule.isr.count() >= c.bounds.min_in_sync;
            enough && Cluster::held(primary, &rule, holders)
        }),
        None => Verdict::Vacuous,
    }
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

fn w1_alone(c: &Cluster, step: &Step<'_, Cluster>) -> Verdict {
    let (Action::Land, Ok(after)) = (step.action, step.after) else {
        return Verdict::Vacuous;
    };
    let (was, is) = (step.before.record.members.isr, after.record.members.isr);
    let alone = is.count() == 1 && was.count() > 1 && c.bounds.write_ack == WriteAck::Received;
    let promised = after.client.acked.without(after.client.excused);
    Verdict::implies(alone && !promised.is_empty(), || {
        is.iter().all(|node| {
            let n = after.node(node);
            !after.recorded(node) || within(promised, n.log.writes(n.durable))
        })
    })
}

fn t6_barrier(_: &Cluster, step: &Step<'_, Cluster>) -> Verdict {
    let Ok(after) = step.after else {
        return Verdict::Vacuous;
    };
    pairs(after)
        .map(|(p, r)| {
            let (was, is) = (step.before.peer(p, r), after.peer(p, r));
            let done = was.phase == Phase::Replaying && is.phase == Phase::InSync;
            let node = after.node(r);
            // What a late acknowledgement proves was true when it was sent.
            let cut_off = !after.connected(p, r);
            Verdict::implies(done && !cut_off, || {
                node.durable >= was.target && node.trusted()
            })
        })
        .fold(Verdict::Vacuous, Verdict::and)
}

fn t10(_: &Cluster, step: &Step<'_, Cluster>) -> Verdict {
    let (Action::Handshake { primary, replica }, Ok(after)) = (step.action, step.after) else {
        return Verdict::Vacuous;
    };
    let peer = after.peer(primary, replica);
    let n = after.node(primary);
    Verdict::implies(peer.phase == Phase::CatchUp, || n.tail < peer.next)
}

fn t12_bound(_: &Cluster, step: &Step<'_, Cluster>) -> Verdict {
    let (Action::WriteBack { node }, Ok(after)) = (step.action, step.after) else {
        return Verdict::Vacuous;
    };
    Verdict::implies(true, || after.node(node).bound <= after.node(node).durable)
}

fn t17(_: &Cluster, step: &Step<'_, Cluster>) -> Verdict {
    let (Action::SwitchBase { primary, replica }, Ok(after)) = (step.action, step.after) else {
        return Verdict::Vacuous;
    };
    let split = step.before.peer(primary, replica).split;
    let (r, peer) = (after.node(replica), after.peer(primary, replica));
    let begins = r.checkpoint == split && r.head == split && peer.next == split + 1;
    Verdict::implies(true, || begins && after.node(primary).tail <= split)
}

fn forward(c: &Cluster, step: &Step<'_, Cluster>) -> Verdict {
    let Ok(after) = step.after else {
        return Verdict::Vacuous;
    };
    let begins_anew = matches!(
        step.action,
        Action::SwitchBase { .. } | Action::Crash { .. } | Action::LoseStore { .. }
    );
    if begins_anew || after.past.forced > 0 || c.bounds.mode == Mode::BestEffort {
        return Verdict::Vacuous;
    }
    all_nodes()
        .map(|node| {
            let (was, is) = (step.before.node(node), after.node(node));
            let same = was.up && is.up && was.promised == is.promised;
            Verdict::implies(same && was.committed > 0, || is.committed >= was.committed)
        })
        .fold(Verdict::Vacuous, Verdict::and)
}

fn acks(_: &Cluster, step: &Step<'_, Cluster>) -> Verdict {
    let Ok(after) = step.after else {
        return Verdict::Vacuous;
    };
    pairs(after)
        .map(|(p, r)| {
            let (was, is) = (step.before.peer(p, r), after.peer(p, r));
            let same = was.session == is.session && streaming(was.phase) && streaming(is.phase);
            let forward = || is.durable >= was.durable && is.received >= was.received;
            Verdict::implies(same && was.received > 0, forward)
        })
        .fold(Verdict::Vacuous, Verdict::and)
}

/// Whether an instance offers what every replica may need: a rebuild where one can become
/// necessary, and the leaving that comes before it. (Sessions are counted where there is a wire.)
fn a4_claimed(c: &Cluster) -> bool {
    let b = &c.bounds;
    let diverges = b.forced > 0 && b.write_back;
    let never_needs_rebuild = b.losses == 0 && !b.reclaim && !diverges;
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
    a4_claimed(c) && other && s.acting_primary().is_some_and(reachable)
}

fn a4_in_sync(_: &Cluster, s: &S, replica: usize) -> bool {
    let replica = replica as NodeId;
    s.acting_primary().is_some_and(|p| {
        p != replica && s.peer(p, replica).phase == Phase::InSync && s.connected(p, replica)
    })
}

fn seen_rebuilt(_: &Cluster, s: &S) -> bool {
    pairs(s).any(|(p, r)| {
        let peer = s.peer(p, r);
        peer.phase == Phase::InSync && peer.split > 0
    })
}
