//! Large ones, for the long run: what the small ones show one by one, together. None is listed that
//! was not exhausted.

use super::super::vocabulary::{Members, Mode};
use super::{BASE, Bounds, Row, TRIO};

pub(super) const ROWS: &[Row] = &[
    (
        "pair-down",
        "every step on its own, and nodes that stay down, over three epochs",
        Bounds {
            downtime: true,
            leases: true,
            prompt: false,
            disconnects: true,
            own_syncs: true,
            reads: true,
            writes: 2,
            epochs: 3,
            ..BASE
        },
        false,
    ),
    (
        "operations-pair",
        "two copies of sync_all that perform a snapshot and its restore across a failover",
        Bounds {
            operations: true,
            write_back: true,
            writes: 1,
            epochs: 2,
            ..BASE
        },
        false,
    ),
    (
        "rebuild-restarts",
        "rebuilds from both sources, interrupted at every step by crashes of both ends",
        Bounds {
            write_back: true,
            reclaim: true,
            snapshots: true,
            full_base: true,
            isr: Members::only(0),
            writes: 2,
            epochs: 2,
            ..BASE
        },
        false,
    ),
    (
        "authority-clock-epochs",
        "clocks apart over three epochs, with reads and downtime",
        Bounds {
            clocks: true,
            leases: true,
            downtime: true,
            reads: true,
            writes: 1,
            epochs: 3,
            ..BASE
        },
        false,
    ),
    (
        "quorum-crash",
        "majorities of three, one node crashes, three epochs",
        Bounds {
            mode: Mode::SyncQuorum,
            writes: 1,
            epochs: 3,
            crashes: Members::only(0),
            ..TRIO
        },
        false,
    ),
    (
        "operations-live",
        "a snapshot and its restore among writes, and a second copy that is caught up or rebuilt",
        Bounds {
            operations: true,
            write_back: true,
            reclaim: true,
            snapshots: true,
            full_base: true,
            isr: Members::only(0),
            writes: 2,
            epochs: 1,
            crashes: Members(0),
            ..BASE
        },
        false,
    ),
    (
        "log-reclaim",
        "a log with little room that is written back and reclaimed, over three epochs",
        Bounds {
            write_back: true,
            reclaim: true,
            capacity: 4,
            writes: 2,
            epochs: 3,
            crashes: Members(0),
            ..BASE
        },
        false,
    ),
];
