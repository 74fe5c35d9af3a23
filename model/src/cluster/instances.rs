//! The lattice: many small instances, each of which stretches a few dimensions, because a defect
//! needs a shape and not a size to show.

use super::Cluster;
use super::rules::Bounds;
use super::vocabulary::{Members, Mode, WriteAck};
use crate::checking::Instance;

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
    wire: 0,
    twins: false,
    sessions: 0,
};

/// Name, purpose, bounds, whether every build checks it.
type Row = (&'static str, &'static str, Bounds, bool);

const LATTICE: [Row; 3] = [
    ("pair", "two nodes of sync_all, failovers and truncation", BASE, true),
    (
        "pair-epochs",
        "three epochs: a truncated tail must not come back",
        Bounds { epochs: 3, ..BASE },
        true,
    ),
    (
        "quorum",
        "majorities",
        Bounds { nodes: 3, isr: ALL, mode: Mode::SyncQuorum, epochs: 2, ..BASE },
        true,
    ),
];

/// The instances, for the command line.
pub static INSTANCES: [Instance; LATTICE.len()] = {
    let mut instances = [Instance { name: "", purpose: "", quick: false }; LATTICE.len()];
    let mut at = 0;
    while at < LATTICE.len() {
        let (name, purpose, _, quick) = LATTICE[at];
        instances[at] = Instance { name, purpose, quick };
        at += 1;
    }
    instances
};

/// The protocol as it stands, at the bounds of an instance.
#[must_use]
pub fn at(name: &str) -> Option<Cluster> {
    let place = LATTICE.iter().position(|row| row.0 == name)?;
    Some(Cluster { instance: INSTANCES[place], bounds: LATTICE[place].2, broken: None })
}
