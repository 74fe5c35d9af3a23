//! The canonical encoding of a state: every field that can differ, several to a byte where they
//! fit. Equal states have equal codes, different states different ones, and all codes have one
//! length. A state is hashed by its code.
//!
//! A code is made of pieces of 16 bytes: two for each node (its store and process; what it knows as
//! a primary), one for the record, one for the client and the past, one for the wire.

use std::hash::{Hash, Hasher};

use super::state::{Backup, Membership, Node, Peer, Record, Report, State};
use super::vocabulary::{Image, Letter, Message, NODES, Renewal, UNTRUSTED};

/// A part of a code.
type Piece = [u8; 16];
/// Pieces of a code.
const PIECES: usize = 2 * NODES + 3;
/// What an absent value is encoded as; no value that is there has this code.
const ABSENT: u8 = u8::MAX;

/// The code of a state.
fn pieces(state: &State) -> [Piece; PIECES] {
    let [a, b, c] = &state.nodes;
    let [rest, wire] = client_past_and_wire(state);
    [
        process(a),
        primary(a),
        process(b),
        primary(b),
        process(c),
        primary(c),
        record(&state.record, state.backup.as_ref(), state.client.issued),
        rest,
        wire,
    ]
}

const fn membership(m: Membership) -> u8 {
    m.isr.0 | m.voters.0 << 3 | (m.mode as u8) << 6
}

fn perhaps(m: Option<Membership>) -> u8 {
    m.map_or(ABSENT, membership)
}

fn image(image: &Image) -> [u8; 2] {
    let both = |[a, b]: [u8; 2]| a | b << 4;
    [both(image.blocks), image.snapshot.map_or(ABSENT, both)]
}

fn record(r: &Record, backup: Option<&Backup>, issued: u8) -> Piece {
    let stores = r.stores[0] | r.stores[1] << 2 | r.stores[2] << 4;
    let [[a0, a1], [b0, b1], [c0, c1]] = r.reports.map(report);
    let newcomer = r.request.and_then(|request| request.newcomer);
    [
        r.epoch | r.primary << 3 | r.last << 5,
        membership(r.members),
        stores | u8::from(r.news) << 6 | u8::from(r.granted) << 7,
        a0,
        a1,
        b0,
        b1,
        c0,
        c1,
        perhaps(r.request.map(|request| request.to)),
        newcomer.map_or(ABSENT, |(node, store)| node | store << 2),
        match r.renewal {
            Renewal::None => 0,
            Renewal::Asked(node) => 1 | node << 2,
            Renewal::Answered(node) => 2 | node << 2,
            Renewal::Late(node) => 3 | node << 2,
        },
        r.seen.0 << 4 | r.seen.1,
        perhaps(backup.map(|b| b.members)),
        backup.map_or(0, |b| b.epoch | b.primary << 3 | b.last << 5),
        issued,
    ]
}

fn report(report: Option<Report>) -> [u8; 2] {
    let bits = report.map_or(0, |r| {
        1 | u16::from(r.last) << 1
            | u16::from(r.durable) << 4
            | u16::from(r.promised) << 7
            | u16::from(r.whole) << 10
    });
    bits.to_le_bytes()
}

/// A node's store, and what its process remembers in any role.
fn process(n: &Node) -> Piece {
    let bound = if n.bound == UNTRUSTED { 15 } else { n.bound };
    let [a, b, c, d, e, f, g] = n.log.code();
    let [blocks, snapshot] = image(&n.extent);
    [
        a,
        b,
        c,
        d,
        e,
        f,
        g,
        n.durable | n.tail << 4,
        n.checkpoint | bound << 4,
        blocks,
        snapshot,
        n.store | n.sworn << 2 | u8::from(n.up) << 5 | u8::from(n.whole) << 6,
        n.head | n.committed << 4,
        n.promised | u8::from(n.primary) << 3 | u8::from(n.lease) << 4,
        n.session | n.next_session << 4,
        n.led.unwrap_or(ABSENT),
    ]
}

/// What a node knows as a primary.
fn primary(n: &Node) -> Piece {
    let [[a, b, c, d, e, f, g], [h, i, j, k, l, m, o]] = n.peers.each_ref().map(peer);
    let (view, pending) = (membership(n.view), perhaps(n.pending));
    [view, pending, a, b, c, d, e, f, g, h, i, j, k, l, m, o]
}

fn peer(p: &Peer) -> [u8; 7] {
    let [blocks, snapshot] = image(&p.image);
    [
        p.phase as u8 | p.session << 4,
        p.received | p.durable << 4,
        p.next | p.target << 4,
        p.cut.unwrap_or(15) | p.split << 4,
        p.chunks | (p.source as u8) << 2 | p.store << 4,
        blocks,
        snapshot,
    ]
}

fn client_past_and_wire(state: &State) -> [Piece; 2] {
    let (client, past) = (&state.client, &state.past);
    let [a, b, c, d, e, f, g] = past.log.code();
    let [x, y, z] = state.wire.each_ref().map(message);
    let rest = [
        client.acked.0,
        client.flushed.0,
        client.shown.0,
        client.excused.0,
        client.dropped.0,
        a,
        b,
        c,
        d,
        e,
        f,
        g,
        past.committed | u8::from(past.split) << 3 | past.forced << 4,
        u8::from(past.reported) | u8::from(past.lied) << 1 | u8::from(past.rolled) << 2,
        z[4],
        z[5],
    ];
    let wire = [
        x[0], x[1], x[2], x[3], x[4], x[5], y[0], y[1], y[2], y[3], y[4], y[5], z[0], z[1], z[2],
        z[3],
    ];
    [rest, wire]
}

fn message(message: &Option<Message>) -> [u8; 6] {
    let Some(m) = message else {
        return [0; 6];
    };
    let (kind, [a, b, c]) = match m.letter {
        Letter::Append {
            lsn,
            entry,
            previous,
            committed,
        } => (1, [lsn | committed << 4, entry.code(), previous]),
        Letter::Barrier { lsn, committed } => (2, [lsn | committed << 4, 0, 0]),
        Letter::Ack { received, durable } => (3, [received | durable << 4, 0, 0]),
    };
    [kind | m.from << 2 | m.to << 4, m.epoch, m.session, a, b, c]
}

/// Appends the code of a state.
pub(super) fn encode(state: &State, code: &mut Vec<u8>) {
    code.extend_from_slice(pieces(state).as_flattened());
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write(pieces(self).as_flattened());
    }
}
