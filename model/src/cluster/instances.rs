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

const LATTICE: [Row; 33] = [
    (
        "twin-pair",
        "the smallest meaningful one: a write, a failover; also written by hand from docs/cluster.md",
        Bounds { writes: 1, ..BASE },
        true,
    ),
    (
        "twin-members",
        "a second copy joins and leaves, in one epoch; also written by hand from docs/cluster.md",
        Bounds {
            isr: Members::only(0),
            writes: 1,
            epochs: 1,
            ..MEMBERS
        },
        true,
    ),
    (
        "twin-wire",
        "messages late, lost and twice, in one epoch; also written by hand from docs/cluster.md",
        Bounds {
            wire: 2,
            twins: true,
            sessions: 2,
            writes: 1,
            epochs: 1,
            crashes: Members::only(1),
            ..BASE
        },
        true,
    ),
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
        true,
    ),
    (
        "pair-epochs",
        "three epochs of two copies: a truncated tail must not come back",
        Bounds {
            epochs: 3,
            writes: 2,
            ..BASE
        },
        true,
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
        true,
    ),
    (
        "pair-recovery",
        "growth and shrink over three epochs",
        Bounds {
            epochs: 3,
            writes: 1,
            ..MEMBERS
        },
        false,
    ),
    (
        "newcomer",
        "a second copy joins an in-sync set of one",
        Bounds {
            isr: Members::only(0),
            writes: 2,
            ..MEMBERS
        },
        true,
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
        true,
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
        true,
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
        true,
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
        true,
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
        true,
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
        true,
    ),
    (
        "quorum",
        "majorities of three, two epochs",
        Bounds {
            mode: Mode::SyncQuorum,
            writes: 1,
            ..TRIO
        },
        false,
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
        false,
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
        false,
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
        true,
    ),
    (
        "trio",
        "three copies of sync_all, silent members leave at a promotion",
        Bounds {
            shrink: true,
            writes: 1,
            ..TRIO
        },
        false,
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
        false,
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
        true,
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
        true,
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
        true,
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
        true,
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
        false,
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
        false,
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
        false,
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
        false,
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
        true,
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
        true,
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
        true,
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
        false,
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
        true,
    ),
];

/// The instances, for the command line.
pub static INSTANCES: [Instance; LATTICE.len()] = {
    let mut instances = [Instance {
        name: "",
        purpose: "",
        quick: false,
    }; LATTICE.len()];
    let mut at = 0;
    while at < LATTICE.len() {
        let (name, purpose, _, quick) = LATTICE[at];
        instances[at] = Instance {
            name,
            purpose,
            quick,
        };
        at += 1;
    }
    instances
};

/// The protocol as it stands, at the bounds of an instance.
#[must_use]
pub fn at(name: &str) -> Option<Cluster> {
    let place = LATTICE.iter().position(|row| row.0 == name)?;
    Some(Cluster {
        instance: INSTANCES[place],
        bounds: LATTICE[place].2,
        broken: None,
    })
}
