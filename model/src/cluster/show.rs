//! The state in one line, for traces and for the Explorer.

use std::fmt::Write as _;

use super::Cluster;
use super::state::{NOBODY, Node, State};
use super::vocabulary::{Log, Lsn, Members, Operation, UNTRUSTED, Writes};

fn members(set: Members) -> String {
    set.iter().map(|node| node.to_string()).collect()
}

fn writes(set: Writes) -> String {
    (1..=8)
        .filter(|write| set.has(*write))
        .map(|write| write.to_string())
        .collect()
}

/// Entries as `epoch.write`, an epoch-start as `epoch*`; `|` stands after the durable ones.
fn entries(log: &Log, durable: Lsn, head: Lsn) -> String {
    let mut text = String::new();
    for lsn in 1..=head {
        let entry = log.at(lsn);
        if lsn == durable + 1 {
            text.push('|');
        }
        let _ = match (Operation::of(entry), entry.write) {
            (Some(Operation::Snapshot), _) => write!(text, "{}.snapshot ", entry.epoch),
            (Some(Operation::Restore), _) => write!(text, "{}.restore ", entry.epoch),
            (None, 0) => write!(text, "{}* ", entry.epoch),
            (None, write) => write!(text, "{}.{write} ", entry.epoch),
        };
    }
    text.trim_end().to_owned()
}

fn node(n: &Node) -> String {
    let role = match (n.up, n.primary, n.lease) {
        (false, _, _) => "down",
        (true, true, true) => "PRIMARY",
        (true, true, false) => "primary without lease",
        (true, false, _) => "up",
    };
    let bound = if n.bound == UNTRUSTED {
        "MAX".to_owned()
    } else {
        n.bound.to_string()
    };
    let mut text = format!(
        "{role} e{} [{}] committed={} tail={} cp={} bound={bound} extent={:?}",
        n.promised,
        entries(&n.log, n.durable, n.head),
        n.committed,
        n.tail,
        n.checkpoint,
        n.extent.blocks,
    );
    if n.store != 0 {
        let _ = write!(text, " store={}", n.store);
    }
    if let Some(kept) = n.extent.snapshot {
        let _ = write!(text, " snapshot={kept:?}");
    }
    if let Some(leader) = n.led {
        let _ = write!(text, " follows={leader}");
    }
    if n.primary {
        let _ = write!(text, " isr={}", members(n.view.isr));
        if let Some(pending) = n.pending {
            let _ = write!(text, " pending={}", members(pending.isr));
        }
        for peer in &n.peers {
            let _ = write!(text, " {:?}({},{}", peer.phase, peer.received, peer.durable);
            let _ = write!(text, " next={} target={})", peer.next, peer.target);
        }
    }
    text
}

/// The whole state.
pub(super) fn show(spec: &Cluster, s: &State) -> String {
    let mut text = format!("epoch {}", s.record.epoch);
    let _ = match s.record.primary {
        NOBODY => write!(text, ", no primary"),
        primary => write!(text, ", primary {primary}"),
    };
    let _ = write!(text, ", isr {}", members(s.record.members.isr));
    for at in 0..spec.bounds.nodes {
        let _ = write!(text, "; node {at}: {}", node(s.node(at)));
    }
    for message in s.wire.iter().flatten() {
        let _ = write!(text, "; {message:?}");
    }
    let c = &s.client;
    let _ = write!(
        text,
        "; issued {} acked {} flushed {} shown {} excused {} dropped {}; committed ever {}",
        c.issued,
        writes(c.acked),
        writes(c.flushed),
        writes(c.shown),
        writes(c.excused),
        writes(c.dropped),
        s.past.committed,
    );
    text
}
