//! What each lane of a cluster's diagram knows: positions, logs, roles, promises to the client.

use super::Cluster;
use super::diagram::mode_name;
use super::state::{Client, Membership, NOBODY, Node, Peer, Record, State};
use super::vocabulary::{Entry, Members, Mode, NodeId, Operation, Phase, UNTRUSTED, Writes};
use crate::explore::{Card, Cell, Dye, Life, Look, Strip};

impl Cluster {
    /// What the client did and was told. A write is as firm as what was promised of it.
    pub(super) fn client_card(&self, c: &Client) -> Card {
        let mut card = Card::default();
        let cells = (1..=c.issued).map(|write| {
            let (mark, look) = if c.dropped.has(write) && c.shown.has(write) {
                ("", Look::Broken)
            } else if c.excused.has(write) || c.dropped.has(write) {
                ("", Look::Faint)
            } else if c.flushed.has(write) {
                (" ✓✓", Look::Firm)
            } else if c.acked.has(write) {
                (" ✓", Look::Loose)
            } else {
                ("", Look::Loose)
            };
            Cell::new(format!("w{write}{mark}"), 0, look)
        });
        if c.issued > 0 {
            card.strips.push(Strip {
                name: "writes",
                cells: cells.collect(),
                committed: 0,
            });
        }
        let mut told = |name: &str, writes: Writes| {
            if !writes.is_empty() {
                card.fact(name, set_of_writes(writes));
            }
        };
        told("acked", c.acked);
        told("flushed", c.flushed);
        told("read", c.shown);
        told("excused", c.excused);
        told("dropped", c.dropped);
        card
    }

    /// A node: its store, and what its process remembers.
    pub(super) fn node_card(&self, s: &State, node: NodeId) -> Card {
        let n = s.node(node);
        let life = match (n.up, n.primary) {
            (false, _) => Life::Down,
            (true, true) => Life::Leads(n.promised),
            (true, false) => Life::Up(n.promised),
        };
        let mut card = Card {
            life,
            ..Card::default()
        };
        self.role(n, &mut card);
        card.strips.push(log_strip(n));
        if self.shows_extent() {
            card.strips.push(extent_strip(n));
        }
        card.fact("head", n.head);
        card.fact("durable", n.durable);
        card.fact("committed", n.committed);
        if self.shows_extent() {
            card.fact("checkpoint", n.checkpoint);
            let bound = (n.bound != UNTRUSTED).then(|| n.bound.to_string());
            card.fact("bound", bound.unwrap_or_else(|| "MAX".to_owned()));
        }
        if n.tail != 0 {
            card.fact("tail", n.tail);
        }
        if n.sworn != n.promised {
            card.fact("sworn", n.sworn);
        }
        if n.primary {
            self.primary_facts(s, node, &mut card);
        }
        card
    }

    fn shows_extent(&self) -> bool {
        let b = &self.bounds;
        b.write_back || b.snapshots || b.full_base
    }

    fn role(&self, n: &Node, card: &mut Card) {
        match (n.up, n.primary) {
            (false, _) => card.badge("down", Dye::Bad),
            (true, true) => card.badge(format!("PRIMARY e{}", n.promised), Dye::Epoch(n.promised)),
            (true, false) if n.promised == 0 => card.badge("up", Dye::Plain),
            (true, false) => card.badge(format!("up e{}", n.promised), Dye::Plain),
        }
        if n.primary && self.bounds.leases {
            match n.lease {
                true => card.badge("lease", Dye::Good),
                false => card.badge("no lease", Dye::Bad),
            }
        }
        if n.store != 0 {
            card.badge(format!("store {}", n.store), Dye::Plain);
        }
    }

    /// What only a primary has: its view of the record, and its sessions.
    fn primary_facts(&self, s: &State, node: NodeId, card: &mut Card) {
        let n = s.node(node);
        card.fact("isr", members(n.view.isr));
        if let Some(pending) = n.pending {
            card.fact("asked for", members(pending.isr));
        }
        for replica in (0..self.bounds.nodes).filter(|replica| *replica != node) {
            card.fact(format!("node {replica}"), peer_text(s.peer(node, replica)));
        }
    }

    /// The record.
    pub(super) fn authority_card(&self, r: &Record) -> Card {
        let mut card = Card::default();
        card.badge(format!("epoch {}", r.epoch), Dye::Epoch(r.epoch));
        card.badge(mode_name(r.members.mode), Dye::Plain);
        let primary = (r.primary != NOBODY).then(|| format!("node {}", r.primary));
        card.fact("primary", primary.unwrap_or_else(|| "none".to_owned()));
        card.fact("isr", members(r.members.isr));
        if r.members.mode == Mode::SyncQuorum {
            card.fact("voters", members(r.members.voters));
        }
        for (report, node) in r.reports.iter().zip(0u8..) {
            if let Some(report) = report {
                let whole = if report.whole { "" } else { ", not whole" };
                let text = format!("epoch {} up to {}{whole}", report.last, report.durable);
                card.fact(format!("node {node} reports"), text);
            }
        }
        if r.seen != (0, 0) {
            card.fact(
                "committed seen",
                format!("{} of epoch {}", r.seen.1, r.seen.0),
            );
        }
        if let Some(request) = r.request {
            card.fact("under way", request_text(&r.members, &request.to));
        }
        card
    }
}

fn log_strip(n: &Node) -> Strip {
    let cells = (1..=n.head).map(|lsn| {
        let entry = n.log.at(lsn);
        let look = match lsn {
            _ if entry == Entry::default() => Look::Empty,
            _ if lsn > n.durable => Look::Loose,
            _ if lsn <= n.tail => Look::Faint,
            _ => Look::Firm,
        };
        Cell::new(entry_name(entry), entry.epoch, look)
    });
    Strip {
        name: "log",
        cells: cells.collect(),
        committed: usize::from(n.committed),
    }
}

fn extent_strip(n: &Node) -> Strip {
    let cells = n.extent.blocks.iter().map(|write| match write {
        0 => Cell::new("0", 0, Look::Empty),
        _ if n.bound == UNTRUSTED => Cell::new(format!("w{write}"), 0, Look::Loose),
        write => Cell::new(format!("w{write}"), 0, Look::Firm),
    });
    Strip {
        name: "extent",
        cells: cells.collect(),
        committed: 0,
    }
}

fn peer_text(peer: &Peer) -> String {
    let phase = phase_name(peer.phase);
    match peer.phase {
        Phase::Away | Phase::NeedsRebuild => phase.to_owned(),
        Phase::CatchUp | Phase::InSync | Phase::Copying | Phase::Replaying => {
            format!("{phase} rcv {} dur {}", peer.received, peer.durable)
        }
    }
}

fn request_text(now: &Membership, to: &Membership) -> String {
    if now.mode == to.mode {
        format!("isr {}", members(to.isr))
    } else {
        mode_name(to.mode).to_owned()
    }
}

/// The words of the prose.
pub(super) const fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Away => "no session",
        Phase::NeedsRebuild => "needs_rebuild",
        Phase::CatchUp => "catch_up",
        Phase::InSync => "in_sync",
        Phase::Copying => "copying",
        Phase::Replaying => "replaying",
    }
}

/// An entry: its epoch, and the write or volume operation in it, or a star for an epoch-start.
pub(super) fn entry_name(entry: Entry) -> String {
    let epoch = entry.epoch;
    match (epoch, Operation::of(entry)) {
        (0, _) => "?".to_owned(),
        (_, Some(Operation::Snapshot)) => format!("{epoch}.snap"),
        (_, Some(Operation::Restore)) => format!("{epoch}.rest"),
        (_, None) if entry.write == 0 => format!("{epoch}★"),
        (_, None) => format!("{epoch}.w{}", entry.write),
    }
}

/// Nodes in braces.
pub(super) fn members(set: Members) -> String {
    let nodes: Vec<String> = set.iter().map(|node| node.to_string()).collect();
    format!("{{{}}}", nodes.join(" "))
}

/// Writes, one after the other.
pub(super) fn set_of_writes(set: Writes) -> String {
    let writes = (1..=8).filter(|write| set.has(*write));
    let names: Vec<String> = writes.map(|write| format!("w{write}")).collect();
    names.join(" ")
}
