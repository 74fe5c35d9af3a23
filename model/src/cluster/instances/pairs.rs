//! Two nodes.

use super::super::vocabulary::{Members, Mode, WriteAck};
use super::{BASE, Bounds, Effort, MEMBERS, Row};

pub(super) const ROWS: &[Row] = &[
    (
        "pair",
        "two copies of sync_all, every step on its own: answers, lease, downtime, lost streams",
        Bounds {
            downtime: true,
            leases: true,
            prompt: false,
            disconnects: true,
            own_syncs: true,
            reads: true,
            writes: 1,
            ..BASE
        },
        Effort::Quick,
    ),
    (
        "pair-local",
        "two copies of sync_all where writes are acknowledged from the primary's log alone",
        Bounds {
            write_ack: WriteAck::Local,
            ..BASE
        },
        Effort::Quick,
    ),
    (
        "pair-epochs",
        "three epochs of two copies: a truncated tail must not come back",
        Bounds {
            epochs: 3,
            writes: 2,
            ..BASE
        },
        Effort::Build,
    ),
    (
        "pair-members",
        "joining and leaving of two copies, requests of unknown outcome, a lost store",
        Bounds {
            epochs: 2,
            writes: 1,
            losses: 1,
            snapshots: true,
            ..MEMBERS
        },
        Effort::Quick,
    ),
    (
        "pair-recovery",
        "growth and shrink over three epochs",
        Bounds {
            epochs: 3,
            writes: 1,
            ..MEMBERS
        },
        Effort::Build,
    ),
    (
        "newcomer",
        "a second copy joins an in-sync set of one",
        Bounds {
            isr: Members::only(0),
            writes: 2,
            ..MEMBERS
        },
        Effort::Quick,
    ),
    (
        "single-best-effort",
        "best_effort with write-back and reclaim: the second copy falls behind the log",
        Bounds {
            mode: Mode::BestEffort,
            write_ack: WriteAck::Local,
            isr: Members::only(0),
            writes: 1,
            epochs: 2,
            crashes: Members::only(0),
            write_back: true,
            reclaim: true,
            snapshots: true,
            full_base: true,
            ..BASE
        },
        Effort::Quick,
    ),
    (
        "pair-extent",
        "write-back, checkpoint and crashes of two copies of sync_all",
        Bounds {
            write_back: true,
            writes: 1,
            epochs: 2,
            ..BASE
        },
        Effort::Quick,
    ),
    (
        "pair-rebuild",
        "reclaim and rebuild from both sources beside live writes",
        Bounds {
            write_back: true,
            reclaim: true,
            snapshots: true,
            full_base: true,
            isr: Members::only(0),
            writes: 3,
            epochs: 1,
            crashes: Members::only(1),
            ..BASE
        },
        Effort::Quick,
    ),
    (
        "operations",
        "a snapshot and its restore beside a write, and a second copy that is caught up or rebuilt",
        Bounds {
            operations: true,
            write_back: true,
            reclaim: true,
            snapshots: true,
            full_base: true,
            isr: Members::only(0),
            writes: 1,
            epochs: 1,
            crashes: Members(0),
            ..BASE
        },
        Effort::Quick,
    ),
    (
        "log-full",
        "a log with little room, of which epoch-start entries must get theirs",
        Bounds {
            capacity: 4,
            writes: 3,
            epochs: 3,
            crashes: Members(0),
            ..BASE
        },
        Effort::Quick,
    ),
    (
        "forced",
        "a forced promotion and what it gives up",
        Bounds {
            forced: 1,
            epochs: 3,
            writes: 1,
            joins: true,
            ..BASE
        },
        Effort::Quick,
    ),
    (
        "forced-rebuild",
        "a forced promotion while a copy is being rebuilt",
        Bounds {
            forced: 1,
            epochs: 2,
            writes: 1,
            isr: Members::only(0),
            write_back: true,
            reclaim: true,
            full_base: true,
            crashes: Members(0),
            ..BASE
        },
        Effort::Quick,
    ),
    (
        "forced-extent",
        "a forced promotion over copies whose extents have diverged",
        Bounds {
            forced: 1,
            epochs: 2,
            writes: 1,
            write_back: true,
            full_base: true,
            leaves: true,
            disconnects: true,
            crashes: Members(0),
            ..BASE
        },
        Effort::Quick,
    ),
    (
        "min-in-sync",
        "a set below min_in_sync acknowledges nothing",
        Bounds {
            min_in_sync: 2,
            losses: 1,
            snapshots: true,
            writes: 1,
            epochs: 2,
            ..MEMBERS
        },
        Effort::Quick,
    ),
    (
        "authority-clock",
        "the authority's clock apart from the primary's: renewals under way, a restarted authority, a confirmed stop",
        Bounds {
            clocks: true,
            leases: true,
            writes: 1,
            crashes: Members::only(0),
            ..BASE
        },
        Effort::Quick,
    ),
    (
        "lying-disk",
        "a disk that loses what it had said to be durable, and committed_seen",
        Bounds {
            lies: 1,
            writes: 1,
            epochs: 2,
            crashes: Members(0),
            ..BASE
        },
        Effort::Quick,
    ),
    (
        "rolled-back",
        "a record that is rolled back and mints an epoch twice, and the operator's recovery",
        Bounds {
            rollback: true,
            shrink: true,
            snapshots: true,
            writes: 2,
            epochs: 2,
            crashes: Members(0),
            ..BASE
        },
        Effort::Quick,
    ),
    (
        "wire",
        "two copies with appends, barriers and acknowledgements under way on their own",
        Bounds {
            wire: 2,
            twins: true,
            sessions: 2,
            writes: 2,
            epochs: 1,
            crashes: Members::only(1),
            ..BASE
        },
        Effort::Quick,
    ),
    (
        "wire-epochs",
        "messages that outlive their epoch",
        Bounds {
            wire: 2,
            twins: false,
            sessions: 1,
            writes: 1,
            epochs: 2,
            crashes: Members::only(0),
            ..BASE
        },
        Effort::Quick,
    ),
    (
        "wire-members",
        "acknowledgements and requests to the authority under way at the same time",
        Bounds {
            wire: 2,
            sessions: 2,
            writes: 1,
            epochs: 2,
            isr: Members::only(0),
            crashes: Members(0),
            joins: true,
            lost_requests: true,
            ..BASE
        },
        Effort::Quick,
    ),
    (
        "wire-rebuild",
        "messages that outlive their session and the store that sent them",
        Bounds {
            wire: 2,
            sessions: 3,
            writes: 1,
            epochs: 1,
            losses: 1,
            snapshots: true,
            isr: Members::only(0),
            crashes: Members(0),
            disconnects: true,
            joins: true,
            ..BASE
        },
        Effort::Quick,
    ),
];
