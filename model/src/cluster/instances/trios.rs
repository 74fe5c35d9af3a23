//! Three nodes.

use super::super::vocabulary::{Members, Mode, WriteAck};
use super::{ALL, BASE, Bounds, Effort, Row, TRIO, TWO};

pub(super) const ROWS: &[Row] = &[
    (
        "quorum",
        "majorities of three, two epochs",
        Bounds {
            mode: Mode::SyncQuorum,
            writes: 1,
            ..TRIO
        },
        Effort::Build,
    ),
    (
        "quorum-local",
        "majorities of three where writes are acknowledged from the primary's log",
        Bounds {
            mode: Mode::SyncQuorum,
            write_ack: WriteAck::Local,
            writes: 1,
            crashes: TWO,
            epochs: 3,
            ..TRIO
        },
        Effort::Long,
    ),
    (
        "quorum-epochs",
        "four epochs: entries of older epochs, and which log is the greatest",
        Bounds {
            mode: Mode::SyncQuorum,
            write_ack: WriteAck::Local,
            epochs: 4,
            writes: 1,
            crashes: Members(0),
            ..TRIO
        },
        Effort::Long,
    ),
    (
        "quorum-loss",
        "a lost store among three voters",
        Bounds {
            mode: Mode::SyncQuorum,
            write_ack: WriteAck::Local,
            epochs: 2,
            writes: 1,
            losses: 1,
            snapshots: true,
            crashes: Members(0),
            leaves: true,
            joins: true,
            ..TRIO
        },
        Effort::Quick,
    ),
    (
        "quorum-extent",
        "write-back where the primary's own log may be the one that is not durable",
        Bounds {
            mode: Mode::SyncQuorum,
            write_ack: WriteAck::Local,
            write_back: true,
            writes: 1,
            epochs: 1,
            crashes: Members::only(0),
            ..TRIO
        },
        Effort::Quick,
    ),
    (
        "quorum-outside",
        "a voter outside the in-sync set",
        Bounds {
            mode: Mode::SyncQuorum,
            isr: TWO,
            writes: 1,
            epochs: 1,
            joins: true,
            ..TRIO
        },
        Effort::Quick,
    ),
    (
        "mode-change",
        "from sync_quorum to sync_all and what was acknowledged before",
        Bounds {
            mode: Mode::SyncQuorum,
            new_mode: Some(Mode::SyncAll),
            writes: 1,
            crashes: Members(0),
            ..TRIO
        },
        Effort::Quick,
    ),
    (
        "mode-change-back",
        "from sync_all to sync_quorum",
        Bounds {
            new_mode: Some(Mode::SyncQuorum),
            writes: 1,
            crashes: Members(0),
            ..TRIO
        },
        Effort::Quick,
    ),
    (
        "voters",
        "voters that become none, and voters again",
        Bounds {
            mode: Mode::SyncQuorum,
            write_ack: WriteAck::Local,
            writes: 1,
            crashes: Members(0),
            new_voters: true,
            ..TRIO
        },
        Effort::Quick,
    ),
    (
        "quorum-members",
        "an in-sync set smaller than the set of voters, over two epochs",
        Bounds {
            mode: Mode::SyncQuorum,
            write_ack: WriteAck::Local,
            writes: 1,
            crashes: Members(0),
            disconnects: true,
            joins: true,
            leaves: true,
            ..TRIO
        },
        Effort::Quick,
    ),
    (
        "quorum-forced",
        "one voter after a forced promotion, the others join again",
        Bounds {
            mode: Mode::SyncQuorum,
            write_ack: WriteAck::Local,
            writes: 1,
            epochs: 3,
            forced: 1,
            crashes: Members(0),
            joins: true,
            ..TRIO
        },
        Effort::Build,
    ),
    (
        "quorum-received",
        "writes received by a majority, members that restart, leave and join",
        Bounds {
            mode: Mode::SyncQuorum,
            writes: 1,
            crashes: Members::only(1),
            disconnects: true,
            joins: true,
            leaves: true,
            ..TRIO
        },
        Effort::Long,
    ),
    (
        "trio",
        "three copies of sync_all, silent members leave at a promotion",
        Bounds {
            shrink: true,
            writes: 1,
            ..TRIO
        },
        Effort::Build,
    ),
    (
        "trio-members",
        "three copies of sync_all, joining and leaving",
        Bounds {
            writes: 1,
            crashes: Members(0),
            disconnects: true,
            joins: true,
            leaves: true,
            ..TRIO
        },
        Effort::Long,
    ),
    (
        "trio-shrink",
        "three copies of sync_all, members leave by request and by promotion",
        Bounds {
            writes: 1,
            crashes: Members::only(0),
            disconnects: true,
            leaves: true,
            shrink: true,
            ..TRIO
        },
        Effort::Long,
    ),
    (
        "wire-quorum",
        "three voters, and messages that outlive their epoch",
        Bounds {
            wire: 2,
            sessions: 1,
            writes: 1,
            epochs: 2,
            nodes: 3,
            isr: ALL,
            mode: Mode::SyncQuorum,
            write_ack: WriteAck::Local,
            crashes: Members(0),
            ..BASE
        },
        Effort::Build,
    ),
];
