//! Large ones: what the small ones show one by one, together. None is listed that was not exhausted.

use super::super::vocabulary::{Members, Mode, WriteAck};
use super::{BASE, Bounds, Effort, Row, TRIO};

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
        Effort::Long,
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
        Effort::Long,
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
        Effort::Long,
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
        Effort::Long,
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
        Effort::Long,
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
        Effort::Long,
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
        Effort::Long,
    ),
    (
        "rebuild-failover",
        "a copy that joins, leaves and is rebuilt from both sources across a failover, requests of unknown outcome, crashes of both ends",
        Bounds {
            write_back: true,
            reclaim: true,
            snapshots: true,
            full_base: true,
            isr: Members::only(0),
            writes: 1,
            epochs: 2,
            joins: true,
            leaves: true,
            lost_requests: true,
            ..BASE
        },
        Effort::Long,
    ),
    (
        "wire-rebuild-live",
        "rebuilds beside live writes, with messages late, lost and twice",
        Bounds {
            wire: 2,
            twins: true,
            sessions: 3,
            snapshots: true,
            full_base: true,
            write_back: true,
            writes: 2,
            epochs: 1,
            isr: Members::only(0),
            crashes: Members::only(1),
            ..BASE
        },
        Effort::Long,
    ),
    (
        "wire-failover",
        "messages late, lost and twice over a failover, both nodes crash",
        Bounds {
            wire: 2,
            twins: true,
            sessions: 2,
            writes: 1,
            epochs: 2,
            disconnects: true,
            ..BASE
        },
        Effort::Long,
    ),
    (
        "wire-rejoin",
        "a member that leaves and joins again while messages are late, lost and twice, over a failover",
        Bounds {
            wire: 2,
            twins: true,
            sessions: 2,
            writes: 1,
            epochs: 2,
            crashes: Members::only(1),
            joins: true,
            leaves: true,
            lost_requests: true,
            ..BASE
        },
        Effort::Long,
    ),
    (
        "wire-quorum-crash",
        "three voters of which one crashes, messages that outlive their epoch",
        Bounds {
            wire: 2,
            sessions: 1,
            writes: 1,
            epochs: 2,
            mode: Mode::SyncQuorum,
            write_ack: WriteAck::Local,
            crashes: Members::only(1),
            ..TRIO
        },
        Effort::Long,
    ),
    (
        "quorum-crash-all",
        "majorities of three, all of which crash, three epochs",
        Bounds {
            mode: Mode::SyncQuorum,
            writes: 1,
            epochs: 3,
            ..TRIO
        },
        Effort::Long,
    ),
    (
        "quorum-overwrite",
        "majorities of three, two writes, all nodes crash",
        Bounds {
            mode: Mode::SyncQuorum,
            writes: 2,
            epochs: 2,
            ..TRIO
        },
        Effort::Long,
    ),
    (
        "trio-forced",
        "a forced promotion of one of three copies of sync_all, the others join again",
        Bounds {
            forced: 1,
            joins: true,
            writes: 1,
            epochs: 3,
            crashes: Members(0),
            ..TRIO
        },
        Effort::Long,
    ),
    (
        "trio-min-in-sync",
        "three copies of sync_all of which two are needed: members leave and join, one crashes",
        Bounds {
            min_in_sync: 2,
            joins: true,
            leaves: true,
            shrink: true,
            disconnects: true,
            writes: 1,
            epochs: 2,
            crashes: Members::only(1),
            ..TRIO
        },
        Effort::Long,
    ),
    (
        "rolled-back-members",
        "a record that is rolled back while members join and leave by requests of unknown outcome, and rebuilds after it",
        Bounds {
            rollback: true,
            snapshots: true,
            joins: true,
            leaves: true,
            lost_requests: true,
            shrink: true,
            writes: 1,
            epochs: 2,
            ..BASE
        },
        Effort::Long,
    ),
    (
        "rolled-back-quorum",
        "a rolled-back record of three voters",
        Bounds {
            rollback: true,
            mode: Mode::SyncQuorum,
            write_ack: WriteAck::Local,
            writes: 1,
            epochs: 2,
            crashes: Members(0),
            ..TRIO
        },
        Effort::Quick,
    ),
    (
        "rolled-back-mode",
        "a change of the mode, and a record that is rolled back to before it",
        Bounds {
            rollback: true,
            new_mode: Some(Mode::SyncQuorum),
            writes: 1,
            epochs: 2,
            crashes: Members(0),
            ..TRIO
        },
        Effort::Long,
    ),
    (
        "lying-members",
        "a disk that loses what it had said to be durable while members join and leave",
        Bounds {
            lies: 1,
            joins: true,
            leaves: true,
            disconnects: true,
            writes: 1,
            epochs: 3,
            ..BASE
        },
        Effort::Long,
    ),
    (
        "pair-everything",
        "every step on its own with write-back, joining and leaving, requests of unknown outcome, downtime",
        Bounds {
            downtime: true,
            leases: true,
            prompt: false,
            disconnects: true,
            own_syncs: true,
            reads: true,
            write_back: true,
            joins: true,
            leaves: true,
            lost_requests: true,
            writes: 1,
            epochs: 2,
            ..BASE
        },
        Effort::Long,
    ),
    (
        "voters-crash",
        "voters that become none and voters again, members leave and join, one crashes",
        Bounds {
            mode: Mode::SyncQuorum,
            write_ack: WriteAck::Local,
            writes: 1,
            new_voters: true,
            joins: true,
            leaves: true,
            disconnects: true,
            crashes: Members::only(1),
            ..TRIO
        },
        Effort::Long,
    ),
    (
        "clock-members",
        "clocks apart while members join and leave, both nodes crash",
        Bounds {
            clocks: true,
            leases: true,
            downtime: true,
            joins: true,
            leaves: true,
            disconnects: true,
            writes: 1,
            epochs: 2,
            ..BASE
        },
        Effort::Build,
    ),
    (
        "best-effort-epochs",
        "best_effort over three epochs: rebuilds from both sources, both nodes crash",
        Bounds {
            mode: Mode::BestEffort,
            write_ack: WriteAck::Local,
            isr: Members::only(0),
            writes: 1,
            epochs: 3,
            write_back: true,
            reclaim: true,
            snapshots: true,
            full_base: true,
            ..BASE
        },
        Effort::Long,
    ),
    (
        "operations-failover",
        "a snapshot and its restore, rebuilds from both sources and a failover, one node crashes",
        Bounds {
            operations: true,
            write_back: true,
            snapshots: true,
            full_base: true,
            joins: true,
            writes: 1,
            epochs: 2,
            isr: Members::only(0),
            crashes: Members::only(0),
            ..BASE
        },
        Effort::Long,
    ),
    (
        "two-crashes-rebuild",
        "two writes, both nodes crash in the midst of rebuilds over three epochs",
        Bounds {
            snapshots: true,
            write_back: true,
            reclaim: true,
            joins: true,
            isr: Members::only(0),
            writes: 2,
            epochs: 2,
            disconnects: true,
            ..BASE
        },
        Effort::Long,
    ),
];
