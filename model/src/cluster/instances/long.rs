//! Large ones, for the long run: what the small ones show one by one, together.

use super::super::vocabulary::{Members, Mode};
use super::{BASE, Bounds, MEMBERS, Row, TRIO};

pub(super) const ROWS: &[Row] = &[
    (
        "pair-everything",
        "two copies with all that one volume can need: rebuilds, lost stores, changes of the set, crashes everywhere",
        Bounds {
            writes: 1,
            losses: 1,
            snapshots: true,
            full_base: true,
            write_back: true,
            reclaim: true,
            ..MEMBERS
        },
        false,
    ),
    (
        "pair-overwrite",
        "blocks that are overwritten, across a failover with write-back",
        Bounds {
            write_back: true,
            writes: 3,
            epochs: 2,
            ..BASE
        },
        false,
    ),
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
        "wire-rebuild-live",
        "a rebuild with its tail, live writes and late messages on the wire",
        Bounds {
            wire: 2,
            twins: true,
            sessions: 3,
            writes: 1,
            epochs: 1,
            losses: 1,
            snapshots: true,
            full_base: true,
            write_back: true,
            isr: Members::only(0),
            crashes: Members::only(1),
            disconnects: true,
            joins: true,
            ..BASE
        },
        false,
    ),
    (
        "wire-failover",
        "messages late, lost and twice over two epochs",
        Bounds {
            wire: 3,
            twins: true,
            sessions: 2,
            writes: 1,
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
        "trio-forced",
        "a forced promotion among three with write-back",
        Bounds {
            forced: 1,
            writes: 1,
            write_back: true,
            full_base: true,
            leaves: true,
            crashes: Members(0),
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
