//! The lattice: instances that each stretch one dimension, because a defect may need a shape and
//! not a size to show.

use super::action::{Defect, Disk, HistoryReport};
use super::log::Log;
use super::state::{Ghost, History, SENDERS, Snapshot, State};
use super::vocabulary::{Budget, Fault, Intent, SessionKind, UNBOUNDED};
use crate::checking::{Effort, Instance};

/// Which senders there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One replica of one volume.
    OneSender,
    /// Two replicas of one volume.
    TwoSenders,
    /// One replica of each of two volumes.
    TwoVolumes,
}

/// Which disks a replica may have at a handshake.
#[derive(Clone, Copy, Debug)]
pub enum FactsDomain {
    /// Every log within the bounds that is possible beside the primary's, with every extent.
    All,
    /// These, as far as they are possible.
    Some(&'static [Disk]),
}

/// Which moves of the world there are.
#[derive(Clone, Copy, Debug)]
pub struct Moves {
    /// Entries become committed.
    pub commit: bool,
    /// Checkpoints are made.
    pub write_back: bool,
    /// Log space is reused.
    pub reclaim: bool,
    /// Higher epochs are seen, and the node gives its role up.
    pub fence: bool,
}

/// The disk of a volume that an instance does not have.
const NO_VOLUME: History = scene("", &[], 0, 0).history;

/// A primary's disk to begin with.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// Its name.
    pub name: &'static str,
    /// The disk, of every volume of the instance.
    pub history: History,
}

impl Scene {
    /// The initial state.
    #[must_use]
    pub fn state(&self, layout: Layout) -> State {
        let other = match layout {
            Layout::OneSender | Layout::TwoSenders => NO_VOLUME,
            Layout::TwoVolumes => self.history,
        };
        State {
            now: 0,
            volumes: [None; SENDERS],
            senders: [None; SENDERS],
            histories: [self.history, other],
            ghosts: [Ghost::default(); SENDERS],
        }
    }
}

/// The bounds of one instance.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Its name and purpose.
    pub instance: Instance,
    /// Which senders there are.
    pub layout: Layout,
    /// The epoch of the first assignment.
    pub first_epoch: u8,
    /// The highest epoch.
    pub epochs: u8,
    /// The highest revision.
    pub revisions: u8,
    /// The highest endpoint version.
    pub endpoint_versions: u8,
    /// Sessions of one volume.
    pub sessions: u8,
    /// Ticks of the clock.
    pub ticks: u8,
    /// The budget of both kinds of sessions.
    pub budget: Budget,
    /// The longest log.
    pub log: usize,
    /// What an assignment may say of a replica: membership and intent; `None`: not named.
    pub shapes: &'static [Option<(bool, Intent)>],
    /// Kinds of sessions that are attached.
    pub kinds: &'static [SessionKind],
    /// Causes of `fail` (none: `stream_lost`).
    pub faults: &'static [Fault],
    /// Numbers of chunks.
    pub chunks: &'static [u8],
    /// What replicas may hold.
    pub facts: FactsDomain,
    /// Beside these, whether a replica may hold any part of the primary's log from its beginning.
    pub prefixes: bool,
    /// False reports of the primary's history.
    pub history_reports: &'static [HistoryReport],
    /// Whether near misses of current tokens, contradicting reports and refused assignments are
    /// tried.
    pub forged: bool,
    /// Moves of the world.
    pub moves: Moves,
    /// Where it begins.
    pub scenes: &'static [Scene],
}

const ROOMY: Budget = Budget {
    duration: 9,
    stall: 9,
    entries: 9,
    bytes: 9,
};
const STILL: Moves = Moves {
    commit: false,
    write_back: false,
    reclaim: false,
    fence: false,
};

const fn disk(log: &[u8], extent_bound: u8) -> Disk {
    Disk {
        log: Log::of(log),
        forgotten: 0,
        extent_bound,
        defect: Defect::None,
    }
}

const fn scene(name: &'static str, log: &[u8], committed: u8, checkpoint: u8) -> Scene {
    Scene {
        name,
        history: History {
            log: Log::of(log),
            forgotten: 0,
            committed,
            checkpoint,
            extent_bound: checkpoint,
            retained_from: Some(0),
            snapshot: None,
        },
    }
}

impl Scene {
    const fn forgetting(mut self, epochs: u8) -> Self {
        self.history.forgotten = epochs;
        self
    }

    const fn retained_from(mut self, lsn: Option<u8>) -> Self {
        self.history.retained_from = lsn;
        self
    }

    const fn untrusted(mut self) -> Self {
        self.history.extent_bound = UNBOUNDED;
        self
    }

    const fn extent_up_to(mut self, lsn: u8) -> Self {
        self.history.extent_bound = lsn;
        self
    }

    const fn snapshot(mut self, base_lsn: u8, trusted: bool, content: u8) -> Self {
        self.history.snapshot = Some(Snapshot {
            base_lsn,
            trusted,
            content,
        });
        self
    }
}

const MEMBER: Option<(bool, Intent)> = Some((true, Intent::Nothing));
const OUTSIDER: Option<(bool, Intent)> = Some((false, Intent::Nothing));
const RECOVER: Option<(bool, Intent)> = Some((true, Intent::Recover(SessionKind::Bootstrap)));
const REASSIGN: Option<(bool, Intent)> = Some((true, Intent::Recover(SessionKind::Reassign)));
const REBUILD: Option<(bool, Intent)> = Some((false, Intent::Rebuild));

const TWO_KINDS: &[SessionKind] = &[SessionKind::CatchUp, SessionKind::Rebuild];

/// What every other instance is a variation of.
const PLAIN: Bounds = Bounds {
    instance: Instance {
        name: "smallest",
        purpose: "the least in which a replica catches up and is rebuilt; the others vary it",
        effort: Effort::Quick,
    },
    layout: Layout::OneSender,
    first_epoch: 2,
    epochs: 2,
    revisions: 1,
    endpoint_versions: 1,
    sessions: 2,
    ticks: 0,
    budget: ROOMY,
    log: 3,
    shapes: &[OUTSIDER],
    kinds: TWO_KINDS,
    faults: &[Fault::StreamLost],
    chunks: &[1],
    facts: FactsDomain::Some(&[disk(&[], 0), disk(&[1, 1], 0), disk(&[1], 1)]),
    prefixes: false,
    history_reports: &[],
    forged: false,
    moves: STILL,
    scenes: &[scene("fresh", &[1], 1, 0)],
};

/// Every log beside every primary.
const FACTS: Bounds = Bounds {
    instance: Instance {
        name: "facts",
        purpose: "every log beside every primary: divergence at any point, any extent, cut \
                  lineages, untrusted and unstarted primaries",
        effort: Effort::Build,
    },
    first_epoch: 3,
    epochs: 3,
    revisions: 1,
    log: 4,
    sessions: 3,
    facts: FactsDomain::All,
    moves: Moves {
        commit: true,
        write_back: true,
        reclaim: true,
        fence: false,
    },
    scenes: &[
        scene("one-epoch", &[1, 1], 1, 0),
        scene("two-epochs", &[1, 2], 1, 0),
        scene("two-epochs-forgotten", &[1, 2], 1, 0).forgetting(1),
        scene("reclaimed", &[1, 1], 2, 2).retained_from(Some(2)),
        scene("nothing-retained", &[1, 2], 2, 1).retained_from(None),
        scene("untrusted", &[1, 1], 1, 0).untrusted(),
        scene("empty", &[], 0, 0),
        scene("longer", &[1, 1, 2], 2, 1),
    ],
    ..PLAIN
};

/// One replica through several sessions.
const LAGGARD: Bounds = Bounds {
    instance: Instance {
        name: "laggard",
        purpose: "one replica through several sessions of one epoch while the log moves: what \
                  it acknowledged, lost, and may still replay",
        effort: Effort::Long,
    },
    sessions: 3,
    revisions: 2,
    log: 4,
    shapes: &[MEMBER, OUTSIDER],
    chunks: &[0],
    prefixes: true,
    facts: FactsDomain::Some(&[disk(&[1, 1], 1)]),
    moves: Moves {
        commit: true,
        write_back: true,
        reclaim: true,
        fence: false,
    },
    scenes: &[scene("fresh", &[1], 1, 0), scene("behind", &[1, 1], 1, 0)],
    ..PLAIN
};

/// Every instance.
pub const ALL: &[Bounds] = &[
    PLAIN,
    FACTS,
    Bounds {
        instance: Instance {
            name: "authority",
            purpose: "assignments, epochs, endpoints, fence and stop against every phase",
            effort: Effort::Build,
        },
        epochs: 3,
        revisions: 4,
        endpoint_versions: 2,
        sessions: 4,
        shapes: &[None, OUTSIDER, RECOVER, REBUILD],
        facts: FactsDomain::Some(&[disk(&[1], 0), disk(&[1, 1], 0)]),
        chunks: &[0],
        moves: Moves {
            fence: true,
            ..STILL
        },
        scenes: &[scene("fresh", &[1], 1, 0), scene("behind", &[1, 1], 1, 0)],
        log: 2,
        ..PLAIN
    },
    Bounds {
        instance: Instance {
            name: "forged",
            purpose: "every call with every near miss of a current token, reports that contradict \
                      themselves, every kind of session and of fault",
            effort: Effort::Quick,
        },
        epochs: 3,
        revisions: 2,
        endpoint_versions: 2,
        sessions: 3,
        log: 2,
        shapes: &[MEMBER, OUTSIDER, REASSIGN],
        kinds: &[
            SessionKind::Bootstrap,
            SessionKind::CatchUp,
            SessionKind::Reassign,
            SessionKind::Rebuild,
        ],
        faults: &[
            Fault::StreamLost,
            Fault::Refused,
            Fault::Stalled,
            Fault::BarrierTimeout,
            Fault::IoError,
            Fault::Malformed,
        ],
        history_reports: &[
            HistoryReport::CheckpointBeyondBound,
            HistoryReport::DurableBeyondHead,
            HistoryReport::CommittedBeyondHead,
            HistoryReport::EpochStartBeyondHead,
            HistoryReport::RetainedBeyondHead,
            HistoryReport::SnapshotBeyondHead,
            HistoryReport::LineageBeyondHead,
            HistoryReport::LastEpochStart,
        ],
        forged: true,
        chunks: &[0],
        facts: FactsDomain::Some(&[disk(&[1, 1], 0)]),
        scenes: &[scene("fresh", &[1], 1, 0)],
        ..PLAIN
    },
    Bounds {
        instance: Instance {
            name: "budget",
            purpose: "time: every check at every tick, stalls, durations, entries and bytes",
            effort: Effort::Quick,
        },
        sessions: 4,
        revisions: 1,
        ticks: 5,
        budget: Budget {
            duration: 2,
            stall: 1,
            entries: 1,
            bytes: 1,
        },
        prefixes: true,
        facts: FactsDomain::Some(&[disk(&[1, 1], 0)]),
        moves: Moves {
            commit: true,
            ..STILL
        },
        scenes: &[scene("fresh", &[1], 1, 0)],
        ..PLAIN
    },
    Bounds {
        instance: Instance {
            name: "rebuild",
            purpose: "both sources, chunks, the split, with a log that grows and is reclaimed",
            effort: Effort::Quick,
        },
        sessions: 4,
        revisions: 2,
        log: 4,
        chunks: &[0, 1, 2],
        shapes: &[OUTSIDER],
        prefixes: false,
        facts: FactsDomain::Some(&[disk(&[], UNBOUNDED)]),
        moves: Moves {
            commit: true,
            write_back: true,
            reclaim: true,
            fence: false,
        },
        scenes: &[
            scene("no-snapshot", &[1, 1], 1, 1),
            scene("fuzzy", &[1, 1], 1, 0).extent_up_to(2),
            scene("snapshot", &[1, 1], 2, 1).snapshot(1, true, 1),
            scene("snapshot-reclaimed", &[1, 1], 2, 2)
                .snapshot(1, true, 1)
                .retained_from(Some(2)),
            scene("false-snapshot", &[1, 1], 2, 2).snapshot(1, false, 2),
            scene("untrusted", &[1, 1], 1, 0).untrusted(),
        ],
        ..PLAIN
    },
    LAGGARD,
    Bounds {
        instance: Instance {
            name: "two-senders",
            purpose: "two replicas of one volume: sessions and pins of one beside the other's",
            effort: Effort::Long,
        },
        layout: Layout::TwoSenders,
        sessions: 4,
        revisions: 2,
        shapes: &[None, OUTSIDER],
        log: 2,
        facts: FactsDomain::Some(&[disk(&[1, 1], 0), disk(&[1], 0)]),
        chunks: &[0],
        moves: Moves {
            reclaim: true,
            ..STILL
        },
        scenes: &[scene("fresh", &[1], 1, 0)],
        ..PLAIN
    },
    Bounds {
        instance: Instance {
            name: "two-volumes",
            purpose: "two volumes of one node: nothing that is said to one is heard by the other",
            effort: Effort::Quick,
        },
        layout: Layout::TwoVolumes,
        epochs: 3,
        sessions: 3,
        revisions: 2,
        shapes: &[None, OUTSIDER],
        kinds: &[SessionKind::CatchUp],
        log: 2,
        facts: FactsDomain::Some(&[disk(&[1], 0)]),
        chunks: &[0],
        scenes: &[scene("fresh", &[1], 1, 0)],
        ..PLAIN
    },
    Bounds {
        instance: Instance {
            name: "epochs",
            purpose: "three epochs of one primary: what outlives an epoch and what must not",
            effort: Effort::Long,
        },
        epochs: 4,
        revisions: 3,
        endpoint_versions: 2,
        sessions: 4,
        log: 4,
        shapes: &[OUTSIDER, RECOVER],
        facts: FactsDomain::Some(&[disk(&[1, 1], 0), disk(&[1], 0)]),
        prefixes: true,
        chunks: &[0],
        scenes: &[scene("fresh", &[1], 1, 0), scene("behind", &[1, 1], 1, 0)],
        ..PLAIN
    },
    Bounds {
        instance: Instance {
            name: "facts-again",
            purpose: "every log beside every primary, with one session more: what a replica found out \
                      is asked again",
            effort: Effort::Long,
        },
        sessions: 4,
        ..FACTS
    },
    Bounds {
        instance: Instance {
            name: "laggard-again",
            purpose: "one replica through four sessions of one epoch while the log moves",
            effort: Effort::Long,
        },
        sessions: 4,
        ..LAGGARD
    },
];

/// Names and purposes.
pub const LIST: &[Instance] = &{
    let mut list = [ALL[0].instance; ALL.len()];
    let mut at = 0;
    while at < ALL.len() {
        list[at] = ALL[at].instance;
        at += 1;
    }
    list
};
