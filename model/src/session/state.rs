//! The state: what `docs/session.md`, section 1, says the machine knows; and beside it what
//! surrounds the machine (section 8), which the machine never looks at.

use super::log::Log;
use super::vocabulary::{
    Endpoint, Epoch, Intent, Lsn, Pin, RebuildReason, SenderState, SessionKind, Slot, Source,
    SourceReason, Tick, Token, Truncate,
};

/// Senders in any instance: two replicas of one volume, or one replica of each of two.
pub const SENDERS: usize = 2;
/// Session ids that any instance issues for one volume.
pub const SESSIONS_MAX: usize = 4;

/// Everything: the machine, its surroundings and the ghosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The caller's clock.
    pub now: Tick,
    /// The volumes, once their first assignment was accepted.
    pub volumes: [Option<Volume>; SENDERS],
    /// The senders, once an assignment named their replica.
    pub senders: [Option<Sender>; SENDERS],
    /// Surroundings: the primary's disk, by volume.
    pub histories: [History; SENDERS],
    /// Ghosts: what is true of each replica and its session, whatever the machine believes.
    pub ghosts: [Ghost; SENDERS],
}

/// A volume of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// The highest epoch seen.
    pub epoch: Epoch,
    /// Revision of the assignment in force; 0 when the epoch was learned from a fence.
    pub revision: u8,
    /// Whether an assignment of this epoch is in force and was not stopped.
    pub serving: bool,
    /// The assignment last accepted.
    pub assignment: Assignment,
    /// The next session id.
    pub next_session: u8,
    /// Every token ever issued, by session id: whoever got one may present it at any time.
    pub issued: [Option<Issued>; SESSIONS_MAX],
}

/// What distinguishes an issued token from others of its volume, its session id apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The replica.
    pub replica: u8,
    /// The epoch.
    pub epoch: Epoch,
    /// The endpoint version.
    pub endpoint_version: u8,
}

/// An assignment, whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Assignment {
    /// Its epoch, at least 1.
    pub epoch: Epoch,
    /// Its revision, at least 1.
    pub revision: u8,
    /// What it says of each replica; `None`: not named.
    pub replicas: [Option<Named>; SENDERS],
}

/// What an assignment says of one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Named {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Whether it is in the in-sync set.
    pub member: bool,
    /// What is asked for.
    pub intent: Intent,
}

/// A sender: serves one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Where the replica is.
    pub endpoint: Endpoint,
    /// Whether the record names it in the in-sync set.
    pub member: bool,
    /// Its state. It follows from the session where there is one.
    pub state: SenderState,
    /// Why a rebuild is needed; present exactly in `needs_rebuild` and `rebuilding`.
    pub reason: Option<RebuildReason>,
    /// The highest durable position that the replica acknowledged in this epoch and did not give
    /// up since.
    pub acknowledged: Option<Lsn>,
    /// The present session.
    pub session: Option<Session>,
}

/// A session: one recovery attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Never reused.
    pub id: u8,
    /// Why it began.
    pub kind: SessionKind,
    /// The epoch in which it began.
    pub epoch: Epoch,
    /// The endpoint version at which it began.
    pub endpoint_version: u8,
    /// When it began, or its handshake was taken.
    pub since: Tick,
    /// When it last made progress.
    pub last_progress: Tick,
    /// Where it is, and what that adds.
    pub phase: Phase,
}

/// The phase of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Just attached.
    Init,
    /// Connecting.
    Connecting,
    /// The hello was sent.
    Handshake,
    /// Replaying what is missing.
    CatchUp(CatchUp),
    /// Choosing the source of a rebuild; the plan once it is chosen.
    SourceSelect(Option<Plan>),
    /// Copying the base.
    Transfer(Transfer),
    /// Replaying onto the new base.
    TailReplay(TailReplay),
    /// In sync.
    Completed(Completed),
}

/// What `catch_up` adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatchUp {
    /// The replica's position.
    pub from: Lsn,
    /// Frozen.
    pub target: Lsn,
    /// Whether the replica must cut its log first.
    pub truncate: Truncate,
    /// The log, pinned at `from`.
    pub retention: Pin,
    /// What the replica acknowledged in this session.
    pub acked: Option<Lsn>,
}

/// The plan of a rebuild.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where the base comes from.
    pub source: Source,
    /// Why from there.
    pub why: SourceReason,
    /// The position of the base, and the split between image and log.
    pub base_lsn: Lsn,
    /// Frozen.
    pub target: Lsn,
    /// The base image.
    pub base: Pin,
    /// The log, pinned at `base_lsn`.
    pub retention: Pin,
}

/// What `transfer` adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The plan.
    pub plan: Plan,
    /// How many chunks there are.
    pub chunks_total: u8,
    /// How many are done.
    pub chunks_done: u8,
}

/// What `tail_replay` adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailReplay {
    /// The plan; the base pin was given back.
    pub plan: Plan,
    /// The greater of `target` and the extent bound of the installed base.
    pub goal: Lsn,
    /// What the replica acknowledged on the new base.
    pub acked: Option<Lsn>,
}

/// What `completed` adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The position proven at completion.
    pub achieved: Lsn,
    /// Grows with live acknowledgements.
    pub acked: Lsn,
}

/// The primary's disk, as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// Its log, synced up to its head.
    pub log: Log,
    /// How many of its oldest epochs its lineage has forgotten.
    pub forgotten: u8,
    /// The last entry durable where the mode asks for it.
    pub committed: Lsn,
    /// The extent holds everything up to here.
    pub checkpoint: Lsn,
    /// The extent holds nothing beyond here; beyond `head`: the base is not trusted.
    pub extent_bound: Lsn,
    /// The log can be replayed from here, if at all.
    pub retained_from: Option<Lsn>,
    /// An image that a rebuild could begin with.
    pub snapshot: Option<Snapshot>,
}

/// An image kept by the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The position whose image it is said to be.
    pub base_lsn: Lsn,
    /// Whether that was verified.
    pub trusted: bool,
    /// The last entry whose effects it holds. It is sound iff this is `base_lsn` (F78).
    pub content: Lsn,
}

/// What is true of one replica and of the session that works on it. The machine never reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ghost {
    /// The replica's log, entry by entry, since the last handshake.
    pub log: Log,
    /// The last entry whose effects may be in its extent.
    pub extent_bound: Lsn,
    /// Whether its log held an entry that the primary lacks when this session classified it.
    pub diverged: bool,
    /// The right target, computed when the plan was decided.
    pub target: Option<Lsn>,
    /// The split between image and log, as it was when the plan was decided.
    pub split: Option<Lsn>,
    /// Both pins were at the source when the transfer began.
    pub pinned_for_transfer: bool,
    /// The base that was switched in was complete and trusted.
    pub base_whole: bool,
    /// The highest position that the replica acknowledged in this epoch and did not give up.
    pub promised: Lsn,
    /// A session ended by escalation, or a rebuild began, and none has completed since.
    pub owes_rebuild: bool,
    /// Sessions whose pins were requested and not yet released: a bit each, by slot.
    pub asked: [u8; 2],
    /// Sessions whose pins are at the source: a bit each, by slot.
    pub acquired: [u8; 2],
    /// A pin was released that was not with the engine.
    pub released_twice: bool,
}

impl Sender {
    /// Whether its present session is completed.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.session
            .is_some_and(|session| matches!(session.phase, Phase::Completed(_)))
    }
}

impl Session {
    /// The token of this session.
    #[must_use]
    pub const fn token(&self, volume: u8, replica: u8) -> Token {
        Token {
            volume,
            replica,
            session: self.id,
            epoch: self.epoch,
            endpoint_version: self.endpoint_version,
        }
    }

    /// The state of a sender with this session.
    #[must_use]
    pub const fn state(&self) -> SenderState {
        match (self.phase, self.kind) {
            (Phase::Completed(_), _) => SenderState::InSync,
            (_, SessionKind::Rebuild) => SenderState::Rebuilding,
            (Phase::CatchUp(_), _) => SenderState::CatchingUp,
            (
                Phase::Init
                | Phase::Connecting
                | Phase::Handshake
                | Phase::SourceSelect(_)
                | Phase::Transfer(_)
                | Phase::TailReplay(_),
                SessionKind::Bootstrap | SessionKind::CatchUp | SessionKind::Reassign,
            ) => SenderState::Connecting,
        }
    }

    /// How far the pin of a slot is.
    #[must_use]
    pub const fn pin(&self, slot: Slot) -> Pin {
        let plan = match self.phase {
            Phase::CatchUp(CatchUp { retention, .. }) => {
                return match slot {
                    Slot::Retention => retention,
                    Slot::Base => Pin::None,
                };
            }
            Phase::SourceSelect(Some(plan)) => plan,
            Phase::Transfer(Transfer { plan, .. }) | Phase::TailReplay(TailReplay { plan, .. }) => {
                plan
            }
            Phase::Init
            | Phase::Connecting
            | Phase::Handshake
            | Phase::SourceSelect(None)
            | Phase::Completed(_) => return Pin::None,
        };
        match slot {
            Slot::Retention => plan.retention,
            Slot::Base => plan.base,
        }
    }

    /// The position from which the log must be replayed, once that is decided.
    #[must_use]
    pub const fn replays_from(&self) -> Option<Lsn> {
        match self.phase {
            Phase::CatchUp(CatchUp { from, .. }) => Some(from),
            Phase::SourceSelect(Some(Plan { base_lsn, .. }))
            | Phase::Transfer(Transfer {
                plan: Plan { base_lsn, .. },
                ..
            })
            | Phase::TailReplay(TailReplay {
                plan: Plan { base_lsn, .. },
                ..
            }) => Some(base_lsn),
            Phase::Init
            | Phase::Connecting
            | Phase::Handshake
            | Phase::SourceSelect(None)
            | Phase::Completed(_) => None,
        }
    }

    /// The position that must be acknowledged before it may complete, and what was.
    #[must_use]
    pub const fn goal_and_acked(&self) -> Option<(Lsn, Option<Lsn>)> {
        match self.phase {
            Phase::CatchUp(CatchUp { target, acked, .. }) => Some((target, acked)),
            Phase::TailReplay(TailReplay { goal, acked, .. }) => Some((goal, acked)),
            Phase::Init
            | Phase::Connecting
            | Phase::Handshake
            | Phase::SourceSelect(_)
            | Phase::Transfer(_)
            | Phase::Completed(_) => None,
        }
    }
}

impl Slot {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Retention, Self::Base];
}

impl History {
    /// The position of the first entry of an epoch, if it was logged.
    #[must_use]
    pub fn epoch_start(&self, epoch: Epoch) -> Option<Lsn> {
        (1..=self.log.head()).find(|&lsn| self.log.epoch_at(lsn) == Some(epoch))
    }

    /// Whether the primary's own image is that of one exact position.
    #[must_use]
    pub const fn is_trusted(&self) -> bool {
        self.extent_bound <= self.log.head()
    }
}
