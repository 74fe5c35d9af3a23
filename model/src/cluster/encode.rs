//! The canonical encoding of a state: every field that can differ, several to a byte where they
//! fit. Equal states have equal codes, different states different ones, and all codes have one
//! length. A state is hashed by its code.

use std::hash::{Hash, Hasher};

use super::state::{Backup, Membership, Node, Past, Peer, Record, Report, State};
use super::vocabulary::{Image, Letter, Message, Renewal, UNTRUSTED};

/// Bytes of a code.
const LENGTH: usize = 144;
/// What an absent value is encoded as; no value that is there has this code.
const ABSENT: u8 = u8::MAX;

/// A code that is being written.
struct Code {
    bytes: [u8; LENGTH],
    at: usize,
}

impl Code {
    fn of(state: &State) -> Self {
        let mut code = Self {
            bytes: [0; LENGTH],
            at: 0,
        };
        code.record(&state.record);
        code.backup(state.backup.as_ref());
        state.nodes.iter().for_each(|node| code.node(node));
        state
            .wire
            .iter()
            .for_each(|slot| code.message(slot.as_ref()));
        let c = &state.client;
        code.put([c.issued, c.acked.0, c.flushed.0]);
        code.put([c.shown.0, c.excused.0, c.dropped.0]);
        code.past(&state.past);
        debug_assert_eq!(code.at, LENGTH, "LENGTH is what is written");
        code
    }

    #[inline]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.bytes[self.at..self.at + N].copy_from_slice(&bytes);
        self.at += N;
    }

    fn membership(&mut self, m: Membership) {
        self.put([m.isr.0 | m.voters.0 << 3 | (m.mode as u8) << 6]);
    }

    fn perhaps(&mut self, m: Option<Membership>) {
        match m {
            Some(m) => self.membership(m),
            None => self.put([ABSENT]),
        }
    }

    fn record(&mut self, r: &Record) {
        self.put([r.epoch | r.primary << 3 | r.last << 5]);
        self.membership(r.members);
        let [a, b, c] = r.stores;
        self.put([a | b << 2 | c << 4 | u8::from(r.news) << 6 | u8::from(r.granted) << 7]);
        r.reports.iter().for_each(|report| self.report(*report));
        self.perhaps(r.request.map(|request| request.to));
        let newcomer = r.request.and_then(|request| request.newcomer);
        self.put([newcomer.map_or(ABSENT, |(node, store)| node | store << 2)]);
        let renewal = match r.renewal {
            Renewal::None => 0,
            Renewal::Asked(node) => 1 | node << 2,
            Renewal::Answered(node) => 2 | node << 2,
            Renewal::Late(node) => 3 | node << 2,
        };
        self.put([renewal, r.seen.0 << 4 | r.seen.1]);
    }

    fn report(&mut self, report: Option<Report>) {
        let bits = report.map_or(0, |r| {
            1 | u16::from(r.last) << 1
                | u16::from(r.durable) << 4
                | u16::from(r.promised) << 7
                | u16::from(r.whole) << 10
        });
        self.put(bits.to_le_bytes());
    }

    fn backup(&mut self, backup: Option<&Backup>) {
        self.perhaps(backup.map(|b| b.members));
        self.put([backup.map_or(0, |b| b.epoch | b.primary << 3 | b.last << 5)]);
    }

    fn node(&mut self, n: &Node) {
        let bound = if n.bound == UNTRUSTED { 15 } else { n.bound };
        self.put(n.log.code());
        self.put([n.durable | n.tail << 4, n.checkpoint | bound << 4]);
        self.image(&n.extent);
        self.put([
            n.store | n.sworn << 2 | u8::from(n.up) << 5 | u8::from(n.whole) << 6,
            n.head | n.committed << 4,
            n.promised | u8::from(n.primary) << 3 | u8::from(n.lease) << 4,
            n.session | n.next_session << 4,
            n.led.map_or(ABSENT, |node| node),
        ]);
        self.membership(n.view);
        self.perhaps(n.pending);
        n.peers.iter().for_each(|peer| self.peer(peer));
    }

    fn image(&mut self, image: &Image) {
        let both = |[a, b]: [u8; 2]| a | b << 4;
        self.put([both(image.blocks), image.snapshot.map_or(ABSENT, both)]);
    }

    fn peer(&mut self, p: &Peer) {
        self.put([
            p.phase as u8 | p.session << 4,
            p.received | p.durable << 4,
            p.next | p.target << 4,
            p.cut.unwrap_or(15) | p.split << 4,
            p.chunks | (p.source as u8) << 2 | p.store << 4,
        ]);
        self.image(&p.image);
    }

    fn message(&mut self, message: Option<&Message>) {
        let Some(m) = message else {
            self.put([0; 6]);
            return;
        };
        let (kind, letter) = match m.letter {
            Letter::Append {
                lsn,
                entry,
                previous,
                committed,
            } => (1, [lsn | committed << 4, entry.code(), previous]),
            Letter::Barrier { lsn, committed } => (2, [lsn | committed << 4, 0, 0]),
            Letter::Ack { received, durable } => (3, [received | durable << 4, 0, 0]),
        };
        self.put([kind | m.from << 2 | m.to << 4, m.epoch, m.session]);
        self.put(letter);
    }

    fn past(&mut self, past: &Past) {
        self.put(past.log.code());
        self.put([
            past.committed | u8::from(past.split) << 3 | past.forced << 4,
            u8::from(past.reported) | u8::from(past.lied) << 1 | u8::from(past.rolled) << 2,
        ]);
    }
}

/// Appends the code of a state.
pub(super) fn encode(state: &State, code: &mut Vec<u8>) {
    code.extend(Code::of(state).bytes);
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write(&Code::of(self).bytes);
    }
}
