//! The lattice: which dimensions each instance stretches.

use super::vocabulary::{Base, Bounds, Kind, Mode};
use crate::checking::{Effort, Instance};
use Kind::{Both, Drop, First, Restore, Second, Snapshot};

const NOTHING: Bounds = Bounds {
    slots: 3,
    blocks: 1,
    script: &[&[First]],
    mode: Mode::Sync,
    crashes: 1,
    kills: 0,
    cuts: 0,
    failures: 0,
    damages: 0,
    installs: 0,
    bases: &[],
    pins: false,
    reads: false,
    late_index: false,
    primary: false,
};

macro_rules! lattice {
    ($($name:literal $effort:ident $purpose:literal { $($bounds:tt)* })*) => {
        /// The instances; their bounds are at the same places of [`BOUNDS`].
        pub const INSTANCES: [Instance; [$($name),*].len()] = [
            $(Instance { name: $name, purpose: $purpose, effort: Effort::$effort }),*
        ];
        /// The bounds of the instances.
        pub const BOUNDS: [Bounds; INSTANCES.len()] = [
            $(Bounds { $($bounds)*, ..NOTHING }),*
        ];
    };
}

lattice! {
    "ring" Quick "laps of the log, entries that wrap, pins, commits beyond durable" {
        blocks: 2,
        script: &[&[Both, First, Both, Second]],
        pins: true
    }
    "pin" Quick "a full log that a shipper held, and nothing more to write" {
        slots: 2,
        script: &[&[First, First]],
        crashes: 0,
        pins: true
    }
    "ring-two-crashes" Long "more laps, and a second crash after the first recovery" {
        blocks: 2,
        script: &[&[Both, First, Both, Second, First]],
        crashes: 2,
        pins: true
    }
    "cut" Quick "a truncation and two epochs: what a ring keeps of cut entries" {
        script: &[&[First, First], &[First, First]],
        cuts: 1
    }
    "cut-three" Long "a truncation of more than the last entry" {
        script: &[&[First, First, First], &[First, First, First]],
        cuts: 1
    }
    "cut-two-crashes" Long "a second crash after the recovery of a cut" {
        script: &[&[First, First], &[First, First]],
        crashes: 2,
        cuts: 1
    }
    "cut-twice" Long "a cut of what replaced a cut" {
        script: &[&[First, First], &[First, First]],
        cuts: 2
    }
    "cut-best-effort" Quick "truncations where uncommitted entries reach the extent" {
        slots: 2,
        script: &[&[First, First], &[First, First]],
        mode: Mode::BestEffort,
        cuts: 1
    }
    "primary" Quick "a primary of one epoch after the other, restarted and truncated" {
        script: &[&[First, First], &[First, First], &[First, First]],
        cuts: 1,
        kills: 1,
        primary: true
    }
    "kill" Quick "a process that dies over an unsynced cache, and power that fails after it" {
        script: &[&[First, First]],
        kills: 1
    }
    "failure" Quick "failed syncs, and a store opened again over what the cache kept" {
        script: &[&[First, First]],
        failures: 1
    }
    "failure-kill" Long "failed syncs and a process that dies besides" {
        script: &[&[First, First, First]],
        failures: 1,
        kills: 1
    }
    "damage" Quick "log sectors that go bad at rest" {
        script: &[&[First, First, First]],
        damages: 1
    }
    "index" Quick "entries that enter the dirty index late and out of order" {
        blocks: 2,
        script: &[&[First, Second, First]],
        late_index: true
    }
    "snapshot" Quick "a snapshot, its copies and its readers" {
        blocks: 2,
        script: &[&[First, Snapshot, Both]],
        reads: true
    }
    "snapshot-overwritten" Long "a snapshot whose blocks are overwritten again and again" {
        blocks: 2,
        script: &[&[First, Snapshot, Both, First]],
        slots: 4,
        reads: true
    }
    "snapshot-twice" Quick "a snapshot after another one was dropped" {
        slots: 2,
        script: &[&[First, Snapshot, First, Drop, Snapshot, First]],
        mode: Mode::BestEffort
    }
    "restore" Quick "a snapshot, overwritten and restored" {
        blocks: 2,
        script: &[&[First, Snapshot, Both, Restore]],
        mode: Mode::BestEffort
    }
    "restore-written-on" Build "a restored volume that is written again" {
        slots: 4,
        blocks: 2,
        script: &[&[First, Snapshot, Both, Restore, Second]],
        mode: Mode::BestEffort
    }
    "snapshot-rebuild" Quick "a snapshot of another history at the position of one before" {
        script: &[&[First, Snapshot, First], &[First, Snapshot, First]],
        mode: Mode::BestEffort,
        installs: 1,
        crashes: 0,
        bases: &[Base { split: 1, bound: 1 }]
    }
    "rebuild" Quick "a base at a position, crashes at every step, stale logs" {
        slots: 2,
        script: &[&[First, First, First], &[First, First, First]],
        installs: 1,
        bases: &[Base { split: 2, bound: 2 }]
    }
    "rebuild-two-blocks" Build "a base whose blocks land one by one" {
        blocks: 2,
        script: &[&[First, Second, First], &[Second, First, Second]],
        installs: 1,
        bases: &[Base { split: 2, bound: 2 }]
    }
    "rebuild-damage" Long "a damaged store, rebuilt" {
        script: &[&[First, First, First], &[First, First, First]],
        installs: 1,
        damages: 1,
        bases: &[Base { split: 2, bound: 2 }]
    }
    "fuzzy" Quick "bases copied while written, and operations during the copy" {
        slots: 2,
        mode: Mode::BestEffort,
        script: &[&[First, First, First], &[First, Snapshot, First]],
        installs: 1,
        bases: &[Base { split: 1, bound: 3 }, Base { split: 0, bound: 1 }]
    }
    "fuzzy-two-blocks" Long "a fuzzy base, each of its blocks at its own position" {
        blocks: 2,
        script: &[&[First, Second], &[Both, First, Second]],
        installs: 1,
        bases: &[Base { split: 1, bound: 3 }]
    }
}
