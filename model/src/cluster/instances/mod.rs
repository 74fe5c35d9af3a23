//! The lattice: many small instances, each of which stretches a few dimensions, because a defect
//! needs a shape and not a size to show.

mod long;
mod pairs;
mod trios;
mod twins;

use super::Cluster;
use super::rules::Bounds;
use super::vocabulary::{Members, Mode, WriteAck};
use crate::checking::{Effort, Instance};

/// Name, purpose, bounds, from which effort on it is checked.
type Row = (&'static str, &'static str, Bounds, Effort);

const ALL: Members = Members::first(3);
const TWO: Members = Members::first(2);

/// Two nodes, `sync_all`, nothing but writes, flushes, crashes and failovers.
const BASE: Bounds = Bounds {
    nodes: 2,
    epochs: 2,
    writes: 2,
    mode: Mode::SyncAll,
    write_ack: WriteAck::Received,
    isr: TWO,
    min_in_sync: 1,
    losses: 0,
    forced: 0,
    crashes: ALL,
    downtime: false,
    leases: false,
    clocks: false,
    prompt: true,
    own_syncs: false,
    disconnects: false,
    reads: false,
    write_back: false,
    reclaim: false,
    snapshots: false,
    full_base: false,
    joins: false,
    leaves: false,
    lost_requests: false,
    shrink: false,
    new_mode: None,
    new_voters: false,
    operations: false,
    capacity: 0,
    lies: 0,
    rollback: false,
    wire: 0,
    twins: false,
    sessions: 0,
};

/// Two copies whose set grows and shrinks.
const MEMBERS: Bounds = Bounds {
    joins: true,
    leaves: true,
    lost_requests: true,
    ..BASE
};

/// Three copies.
const TRIO: Bounds = Bounds {
    nodes: 3,
    isr: ALL,
    ..BASE
};

/// All rows.
const LATTICE: [&[Row]; 4] = [twins::ROWS, pairs::ROWS, trios::ROWS, long::ROWS];

const COUNT: usize = LATTICE[0].len() + LATTICE[1].len() + LATTICE[2].len() + LATTICE[3].len();

/// The instances, for the command line.
pub static INSTANCES: [Instance; COUNT] = {
    let mut instances = [Instance {
        name: "",
        purpose: "",
        effort: Effort::Quick,
    }; COUNT];
    let (mut part, mut row, mut at) = (0, 0, 0);
    while at < COUNT {
        if row == LATTICE[part].len() {
            part += 1;
            row = 0;
        }
        let (name, purpose, _, effort) = LATTICE[part][row];
        instances[at] = Instance {
            name,
            purpose,
            effort,
        };
        at += 1;
        row += 1;
    }
    instances
};

/// The protocol as it stands, at the bounds of an instance.
#[must_use]
pub fn at(name: &str) -> Option<Cluster> {
    let place = INSTANCES
        .iter()
        .position(|instance| instance.name == name)?;
    let &(_, _, bounds, _) = LATTICE.into_iter().flatten().nth(place)?;
    Some(Cluster {
        instance: INSTANCES[place],
        bounds,
        broken: None,
        given_up: None,
    })
}
