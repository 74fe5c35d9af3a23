//! What is in an extent, and what a log must still hold for it: A6, A7, C2, T6, T10, T12, T17.

use super::super::Cluster;
use super::super::action::Action;
use super::super::state::Node;
use super::super::vocabulary::{Image, Mode, Phase, Source, UNTRUSTED};
use super::{S, always, pairs, step, streaming};
use crate::checking::{Property, Step, Verdict};

pub(super) fn properties() -> Vec<Property<Cluster>> {
    vec![
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
            "C2-only-committed",
            "no extent of a sync mode holds what was never committed",
            c2,
        ),
        always(
            "T6-pinned-base",
            "a rebuild copies from a trusted base, pinned, onto a marked one",
            t6,
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
        always(
            "T12-exact-image",
            "a snapshot's image stands at exactly its position",
            t12_image,
        ),
        step(
            "T12-bound",
            "no effect reaches the extent before its entry is durable there",
            t12_bound,
        ),
        step("T17-split", "replay begins at the split, gap-free", t17),
    ]
}

fn a6(_: &Cluster, s: &S) -> Verdict {
    pairs(s)
        .map(|(p, r)| {
            let peer = s.peer(p, r);
            Verdict::implies(streaming(peer.phase), || s.node(p).tail < peer.next)
        })
        .fold(Verdict::Vacuous, Verdict::and)
}

fn a7(_: &Cluster, s: &S) -> Verdict {
    s.nodes
        .iter()
        .map(|n| {
            let reference = Image::reference(&n.log, n.durable);
            let something = n.durable > 0 && n.trusted();
            Verdict::implies(something, || n.replayed(n.durable) == reference)
        })
        .fold(Verdict::Vacuous, Verdict::and)
}

fn c2(c: &Cluster, s: &S) -> Verdict {
    let committed = s.past.log.writes(s.past.committed);
    let claimed = s.past.forced == 0 && c.bounds.mode != Mode::BestEffort;
    let effects = |n: &Node| n.extent.blocks.iter().any(|write| *write != 0);
    Verdict::implies(claimed && s.nodes.iter().any(effects), || {
        let blocks = s.nodes.iter().flat_map(|n| n.extent.blocks);
        blocks
            .filter(|write| *write != 0)
            .all(|write| committed.has(write))
    })
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
                peer.image == Image::reference(&s.node(p).log, peer.split)
            })
        })
        .fold(Verdict::Vacuous, Verdict::and)
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
