//! Who has no part in a step: a node that is down, a replica in another session or of a newer epoch;
//! and what a step may not do to those who have (A3, T7, T6, A8, W1).
//!
//! Judged by what became of the nodes, by what the stores hold and by what the client was told.

use super::super::Cluster;
use super::super::action::Action;
use super::super::state::{Membership, State};
use super::super::vocabulary::{Letter, Members, Mode, NodeId, Phase, WriteAck, Writes};
use super::{S, all_nodes, always, sane, step, within};
use crate::checking::{Property, Step, Verdict};

pub(super) fn properties() -> Vec<Property<Cluster>> {
    vec![
        step(
            "A3-down",
            "a node that is down stays as it is, reports nothing and is promoted to nothing",
            a3_down,
        ),
        step(
            "A3-hello",
            "a hello changes nothing at a replica of a newer epoch, and ends the role of its sender",
            a3_hello,
        ),
        step(
            "T7-session",
            "a session changes nothing at a replica that is not in it",
            t7_session,
        ),
        always(
            "A3-margin",
            "a lease that is valid to its holder is one to the authority",
            a3_margin,
        ),
        step(
            "A8-min",
            "below min_in_sync the set loses only members that must be rebuilt",
            a8_min,
        ),
        step(
            "W1-kept",
            "what was acknowledged was received by as many as a proposed rule asks for",
            w1_kept,
        ),
        step(
            "T6-spares",
            "a copy that counts is overwritten only while what was acknowledged is durable on enough \
             others",
            t6_spares,
        ),
    ]
}

fn a3_down(_: &Cluster, step: &Step<'_, Cluster>) -> Verdict {
    let Ok(after) = step.after else {
        return Verdict::Vacuous;
    };
    let before = step.before;
    all_nodes()
        .map(|node| {
            let (was, is) = (before.node(node), after.node(node));
            let replaced = was.store != is.store;
            let at = usize::from(node);
            Verdict::implies(!was.up && !is.up && !replaced, || {
                let reports = after.record.reports[at].is_some();
                let reported = reports && before.record.reports[at].is_none();
                let promoted = before.record.primary != node && after.record.primary == node;
                was == is && !reported && !promoted
            })
        })
        .fold(Verdict::Vacuous, Verdict::and)
}

fn a3_hello(_: &Cluster, step: &Step<'_, Cluster>) -> Verdict {
    let (Action::Handshake { primary, replica }, Ok(after)) = (step.action, step.after) else {
        return Verdict::Vacuous;
    };
    let before = step.before;
    let newer = before.node(replica).promised > before.node(primary).promised;
    Verdict::implies(newer, || {
        before.node(replica) == after.node(replica) && !after.node(primary).primary
    })
}

fn t7_session(_: &Cluster, step: &Step<'_, Cluster>) -> Verdict {
    let Ok(after) = step.after else {
        return Verdict::Vacuous;
    };
    let before = step.before;
    let (replica, in_session) =
        if let Action::Deliver { message } | Action::DeliverTwin { message } = step.action {
            if matches!(message.letter, Letter::Ack { .. }) {
                return Verdict::Vacuous;
            }
            let r = before.node(message.to);
            let present = (r.promised, r.session) == (message.epoch, message.session);
            (message.to, present)
        } else if let Action::Ship { primary, replica }
        | Action::Barrier { primary, replica }
        | Action::Truncate { primary, replica }
        | Action::BeginRebuild {
            primary, replica, ..
        }
        | Action::CopyChunk { primary, replica }
        | Action::SwitchBase { primary, replica } = step.action
        {
            (replica, before.connected(primary, replica))
        } else {
            return Verdict::Vacuous;
        };
    Verdict::implies(!in_session, || before.node(replica) == after.node(replica))
}

fn a3_margin(c: &Cluster, s: &S) -> Verdict {
    let held = Cluster::lease_held(s);
    Verdict::implies(c.bounds.clocks && !s.past.rolled && held, || {
        s.record.granted
    })
}

fn a8_min(c: &Cluster, step: &Step<'_, Cluster>) -> Verdict {
    let (Action::ProposeLeave { primary, replica }, Ok(after)) = (step.action, step.after) else {
        return Verdict::Vacuous;
    };
    let few =
        |rule: &Membership| rule.mode == Mode::SyncAll && rule.isr.count() < c.bounds.min_in_sync;
    let pending = after.node(primary).pending;
    Verdict::implies(pending.as_ref().is_some_and(few), || {
        step.before.peer(primary, replica).phase == Phase::NeedsRebuild
    })
}

/// Those whose logs hold certain writes, up to where `reach` says; a store that was replaced since
/// counts as one that held them.
fn holders(s: &State, promised: Writes, reach: impl Fn(&State, NodeId) -> u8) -> Members {
    all_nodes()
        .filter(|node| {
            let writes = s.node(*node).log.writes(reach(s, *node));
            !s.recorded(*node) || within(promised, writes)
        })
        .fold(Members::default(), Members::with)
}

fn w1_kept(c: &Cluster, step: &Step<'_, Cluster>) -> Verdict {
    let (
        Action::ProposeLeave { primary, .. }
        | Action::ProposeMode { primary, .. }
        | Action::ProposeVoter { primary, .. },
        Ok(after),
    ) = (step.action, step.after)
    else {
        return Verdict::Vacuous;
    };
    let promised = after.client.acked.without(after.client.excused);
    let asked = c.bounds.write_ack == WriteAck::Received;
    let Some(to) = after.node(primary).pending else {
        return Verdict::Vacuous;
    };
    Verdict::implies(asked && sane(after) && !promised.is_empty(), || {
        let view = step.before.node(primary).view;
        // Whoever was a member under sync_all held it, whatever became of it since.
        let members = match view.mode {
            Mode::SyncAll => view.isr,
            Mode::BestEffort | Mode::SyncQuorum => Members::default(),
        };
        // Nor does it count against it that a process lost what it had received: a promotion will
        // hear of that.
        let lost = all_nodes().filter(|node| !after.node(*node).whole);
        let lost = lost.fold(Members::default(), Members::with);
        let received = holders(after, promised, |s, node| s.node(node).head);
        Cluster::held(primary, &to, received.and(members).and(lost))
    })
}

fn t6_spares(_: &Cluster, step: &Step<'_, Cluster>) -> Verdict {
    let Action::BeginRebuild {
        primary, replica, ..
    } = step.action
    else {
        return Verdict::Vacuous;
    };
    let s = step.before;
    let promised = s.client.acked.without(s.client.excused);
    let counts = s.recorded(replica) && s.node(replica).trusted();
    let acts = s.acting_primary() == Some(primary);
    Verdict::implies(counts && acts && sane(s) && !promised.is_empty(), || {
        let others = holders(s, promised, |s, node| s.node(node).durable).without(replica);
        Cluster::held(primary, &s.node(primary).view, others)
    })
}
