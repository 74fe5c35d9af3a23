//! What the client was promised: A1, A2, A8, W1.
//!
//! Judged by what it was told, and by what the logs and disks hold.

use super::super::Cluster;
use super::super::action::Action;
use super::super::vocabulary::{
    Log, Lsn, Members, Mode, NODES, NodeId, UNTRUSTED, WriteAck, Writes,
};
use super::{S, all_nodes, always, held_by_primary, sane, step, within};
use crate::checking::{Property, Step, Verdict};

pub(super) fn properties() -> Vec<Property<Cluster>> {
    vec![
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
            "W1-received",
            "what was acknowledged survives the loss of its primary alone",
            w1,
        ),
        step(
            "W1-alone",
            "who remains alone holds durably what was acknowledged",
            w1_alone,
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
    ]
}

fn a1_survives(_: &Cluster, s: &S) -> Verdict {
    let promised = s.client.flushed.without(s.client.excused);
    match held_by_primary(s) {
        Some(held) => Verdict::implies(sane(s) && !promised.is_empty(), || within(promised, held)),
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
    Verdict::implies(sane(s) && !promised.is_empty(), || match members.mode {
        Mode::BestEffort => holders.has(s.record.last),
        Mode::SyncAll | Mode::SyncQuorum => Cluster::held(s.record.last, members, holders),
    })
}

fn w1(c: &Cluster, s: &S) -> Verdict {
    let promised = s.client.acked.without(s.client.excused);
    let asked = c.bounds.write_ack == WriteAck::Received && !promised.is_empty() && sane(s);
    match held_by_primary(s) {
        Some(held) => Verdict::implies(asked, || within(promised, held)),
        None => Verdict::Vacuous,
    }
}

fn a2(_: &Cluster, s: &S) -> Verdict {
    let shown = s.client.shown.without(s.client.excused);
    let claimed = sane(s) && (!shown.is_empty() || !s.client.dropped.is_empty());
    match held_by_primary(s) {
        Some(held) => Verdict::implies(claimed, || {
            within(shown, held) && held.both(s.client.dropped).is_empty()
        }),
        None => Verdict::Vacuous,
    }
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
            Verdict::implies(sane(after), || met(c, after, primary, lsn, durable))
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
        Some(lsn) => Verdict::implies(sane(after), || {
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

fn w1_alone(c: &Cluster, step: &Step<'_, Cluster>) -> Verdict {
    let (Action::Land, Ok(after)) = (step.action, step.after) else {
        return Verdict::Vacuous;
    };
    let (was, is) = (step.before.record.members.isr, after.record.members.isr);
    let alone = is.count() == 1 && was.count() > 1 && c.bounds.write_ack == WriteAck::Received;
    let promised = after.client.acked.without(after.client.excused);
    Verdict::implies(sane(after) && alone && !promised.is_empty(), || {
        is.iter().all(|node| {
            let n = after.node(node);
            !after.recorded(node) || within(promised, n.log.writes(n.durable))
        })
    })
}
