//! One history: T1, T2, T13, C1, and positions that only move the way they may.

use super::super::Cluster;
use super::super::action::Action;
use super::super::state::Node;
use super::super::vocabulary::{Members, Mode, NodeId, Phase, UNTRUSTED};
use super::{S, all_nodes, always, pairs, sane, step, streaming};
use crate::checking::{Property, Step, Verdict};

pub(super) fn properties() -> Vec<Property<Cluster>> {
    vec![
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
            "T13-committed-kept",
            "an acting primary has every committed entry",
            t13,
        ),
        always(
            "T13-committed-seen",
            "whatever a disk lost, an acting primary has all up to committed_seen",
            t13_seen,
        ),
        always(
            "T2-lineage",
            "a log that a session feeds is a prefix of its primary's",
            t2,
        ),
        always(
            "C1-equal-copies",
            "in_sync copies are equal as far as both are committed",
            c1,
        ),
        always(
            "order",
            "positions of a node are ordered, committed within its head",
            order,
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
    ]
}

fn t1(_: &Cluster, s: &S) -> Verdict {
    Verdict::implies(sane(s) && s.past.committed > 1, || !s.past.split)
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
    Verdict::implies(sane(s) && last > 1, || match members.mode {
        Mode::BestEffort => holders.has(s.record.last),
        Mode::SyncAll | Mode::SyncQuorum => Cluster::held(s.record.last, members, holders),
    })
}

fn t13(_: &Cluster, s: &S) -> Verdict {
    s.acting_primary().map_or(Verdict::Vacuous, |p| {
        let n = s.node(p);
        Verdict::implies(sane(s) && s.past.committed > 0, || {
            n.head >= s.past.committed && n.log.agrees(&s.past.log, s.past.committed)
        })
    })
}

fn t13_seen(c: &Cluster, s: &S) -> Verdict {
    let (epoch, seen) = s.record.seen;
    // What had not been reported before a disk lost it may have another history in its place.
    let first = s.past.log.at(seen).epoch == epoch && !s.past.split;
    let claimed = c.bounds.lies > 0 && s.past.forced == 0 && seen > 0 && first;
    s.acting_primary().map_or(Verdict::Vacuous, |p| {
        let n = s.node(p);
        let kept = || n.head >= seen && n.log.agrees(&s.past.log, seen);
        Verdict::implies(claimed, kept)
    })
}

fn order(_: &Cluster, s: &S) -> Verdict {
    let ordered = |n: &Node| {
        n.tail <= n.checkpoint
            && n.checkpoint <= n.bound
            && n.checkpoint <= n.durable
            && n.durable <= n.head
            && n.committed <= n.head
    };
    Verdict::implies(true, || s.nodes.iter().all(ordered))
}

fn forward(c: &Cluster, step: &Step<'_, Cluster>) -> Verdict {
    let Ok(after) = step.after else {
        return Verdict::Vacuous;
    };
    let begins_anew = matches!(
        step.action,
        Action::SwitchBase { .. }
            | Action::Crash { .. }
            | Action::LoseStore { .. }
            | Action::LoseTail { .. }
    );
    if begins_anew || !sane(after) || after.past.forced > 0 || c.bounds.mode == Mode::BestEffort {
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
