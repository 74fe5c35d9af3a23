//! What can be asked for: the calls of `docs/session.md`, sections 4 to 6, and the moves of what
//! surrounds the machine (section 8), in the groups of the prose and under its names.
//!
//! An action names what a caller chooses. What the caller *reads* for the call (its clock, the
//! primary's own history, where the log can be replayed from) is not a choice: it is taken from
//! the surroundings by [`super::Session::inputs`].

use serde::{Deserialize, Serialize};

use super::log::{Lineage, Log};
use super::state::Assignment;
use super::vocabulary::{Epoch, Fault, Lsn, SessionKind, Slot, Tick, Token};

mod written;

/// An action with its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "written::Written", into = "written::Written")]
pub enum Action {
    /// A call of the authority.
    Authority(Authority),
    /// A call that begins a session.
    Begin(Begin),
    /// A call on a session, with the token that it presents.
    OnSession(Token, Call),
    /// A move of the surroundings, of which the machine learns nothing.
    World(Move),
}

/// A call of the authority for a volume (section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(
    missing_docs,
    reason = "the parameters are those of the prose, under its names"
)]
pub enum Authority {
    /// An assignment.
    Assign { volume: u8, assignment: Assignment },
    /// A higher epoch was seen.
    Fence { volume: u8, epoch: Epoch },
    /// The node gives its role up.
    Stop { volume: u8, epoch: Epoch },
}

/// A call that begins a session (section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Begin {
    /// The volume.
    pub volume: u8,
    /// The replica.
    pub replica: u8,
    /// The epoch that the caller takes for the volume's.
    pub epoch: Epoch,
    /// The endpoint version that the caller takes for the sender's.
    pub endpoint_version: u8,
    /// The kind of the session.
    pub kind: SessionKind,
    /// Whether it takes the place of the present session (`supersede`, not `attach`).
    pub supersedes: bool,
}

/// A call on a session (section 6), its token apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(
    missing_docs,
    reason = "the parameters are those of the prose, under its names"
)]
pub enum Call {
    /// The connection is being made.
    Connect,
    /// The stream is up, the hello is sent.
    Hello,
    /// The replica's report (`None`: no such volume there), held against the primary's history.
    Handshake {
        facts: Option<Disk>,
        history: HistoryReport,
    },
    /// A pin was acquired.
    Pinned { slot: Slot },
    /// A pin could not be acquired.
    PinFailed { slot: Slot },
    /// A pin was taken away at the source.
    PinLost { slot: Slot },
    /// The replica durably cut its log.
    Truncated { to: Lsn },
    /// The replica cannot cut its log.
    TruncationRefused,
    /// The answer to a barrier of this session.
    Progress { durable: Lsn },
    /// The session is to complete.
    Complete,
    /// The answer to a barrier after completion.
    Acknowledged { durable: Lsn },
    /// A source for the rebuild is to be chosen.
    SelectSource { history: HistoryReport },
    /// The replica is ready for its new base.
    BeginTransfer { chunks_total: u8 },
    /// Chunks were installed.
    TransferProgress { chunks_done: u8 },
    /// The replica switched to the new base.
    BaseInstalled { base_lsn: Lsn, extent_bound: Lsn },
    /// Time and bytes are held against the budget.
    CheckBudget { pinned_bytes: u8 },
    /// A fault.
    Fail { cause: Fault },
}

/// A move of the surroundings (section 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the parameter is the volume that moves")]
pub enum Move {
    /// Time passes.
    Tick,
    /// The primary logs an entry; the first of an epoch is its epoch-start entry.
    Append { volume: u8 },
    /// What is logged becomes durable where the mode asks for it.
    Commit { volume: u8 },
    /// Committed entries reach the extent, a checkpoint is made.
    WriteBack { volume: u8 },
    /// Log space up to the checkpoint is reused, as far as no held pin forbids it.
    Reclaim { volume: u8 },
}

impl Action {
    /// The name under which it is serialised.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Authority(Authority::Assign { .. }) => "assign",
            Self::Authority(Authority::Fence { .. }) => "fence",
            Self::Authority(Authority::Stop { .. }) => "stop",
            Self::Begin(begin) if begin.supersedes => "supersede",
            Self::Begin(_) => "attach",
            Self::OnSession(_, call) => call.name(),
            Self::World(moves) => moves.name(),
        }
    }

    /// The token that it presents, if it is a call on a session.
    #[must_use]
    pub const fn token(&self) -> Option<Token> {
        match *self {
            Self::OnSession(token, _) => Some(token),
            Self::Authority(_) | Self::Begin(_) | Self::World(_) => None,
        }
    }

    /// The volume that a call names; a move of the surroundings names none to the machine.
    #[must_use]
    pub const fn volume(&self) -> Option<u8> {
        match self {
            Self::Authority(call) => Some(call.volume()),
            Self::Begin(begin) => Some(begin.volume),
            Self::OnSession(token, _) => Some(token.volume),
            Self::World(_) => None,
        }
    }
}

impl Authority {
    /// The volume.
    #[must_use]
    pub const fn volume(&self) -> u8 {
        match *self {
            Self::Assign { volume, .. }
            | Self::Fence { volume, .. }
            | Self::Stop { volume, .. } => volume,
        }
    }
}

impl Call {
    const fn name(&self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Hello => "hello",
            Self::Handshake { .. } => "handshake",
            Self::Pinned { .. } => "pinned",
            Self::PinFailed { .. } => "pin_failed",
            Self::PinLost { .. } => "pin_lost",
            Self::Truncated { .. } => "truncated",
            Self::TruncationRefused => "truncation_refused",
            Self::Progress { .. } => "progress",
            Self::Complete => "complete",
            Self::Acknowledged { .. } => "acknowledged",
            Self::SelectSource { .. } => "select_source",
            Self::BeginTransfer { .. } => "begin_transfer",
            Self::TransferProgress { .. } => "transfer_progress",
            Self::BaseInstalled { .. } => "base_installed",
            Self::CheckBudget { .. } => "check_budget",
            Self::Fail { .. } => "fail",
        }
    }
}

impl Move {
    const fn name(&self) -> &'static str {
        match self {
            Self::Tick => "tick",
            Self::Append { .. } => "append",
            Self::Commit { .. } => "commit",
            Self::WriteBack { .. } => "write_back",
            Self::Reclaim { .. } => "reclaim",
        }
    }
}

/// A replica's disk at a handshake, entry by entry: what its report is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// Its log, synced.
    pub log: Log,
    /// How many of its oldest epochs its lineage has forgotten.
    pub forgotten: u8,
    /// The last entry whose effects may be in its extent.
    pub extent_bound: Lsn,
    /// What is wrong with the report itself.
    pub defect: Defect,
}

/// A report that contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Defect {
    /// It does not.
    None,
    /// `checkpoint > extent_bound`.
    CheckpointBeyondBound,
    /// `checkpoint > durable`.
    CheckpointBeyondDurable,
    /// The lineage's last epoch begins beyond `durable`.
    LineageBeyondDurable,
    /// No lineage, but a log.
    LineageEmpty,
}

/// What the caller says of the primary's own history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryReport {
    /// What is so.
    True,
    /// `checkpoint > extent_bound`.
    CheckpointBeyondBound,
    /// `durable` beyond `head`.
    DurableBeyondHead,
    /// `committed` beyond `head`.
    CommittedBeyondHead,
    /// `epoch_start` beyond `head`.
    EpochStartBeyondHead,
    /// `retained_from` beyond `head`.
    RetainedBeyondHead,
    /// A snapshot beyond `head`.
    SnapshotBeyondHead,
    /// The lineage's last epoch begins beyond `head`.
    LineageBeyondHead,
    /// The epoch-start entry of the log's last epoch, whether or not that is the volume's.
    LastEpochStart,
}

/// A replica's facts, as the machine gets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The extent holds everything up to here.
    pub checkpoint: Lsn,
    /// Upper bound of the entries whose effects may be in the extent.
    pub extent_bound: Lsn,
    /// The last entry of the log, synced.
    pub durable: Lsn,
    /// Its lineage.
    pub lineage: Lineage,
}

/// The primary's history, as the machine gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retained {
    /// The extent holds everything up to here.
    pub checkpoint: Lsn,
    /// Upper bound of the entries whose effects may be in the extent.
    pub extent_bound: Lsn,
    /// The last synced entry.
    pub durable: Lsn,
    /// The last entry.
    pub head: Lsn,
    /// The last entry durable where the mode asks for it.
    pub committed: Lsn,
    /// This epoch's first entry.
    pub epoch_start: Option<Lsn>,
    /// The log can be replayed from here.
    pub retained_from: Option<Lsn>,
    /// Position and trust of an image.
    pub snapshot: Option<(Lsn, bool)>,
    /// Its lineage.
    pub lineage: Lineage,
}

/// What a call gets beside the parameters that its action names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inputs {
    /// The caller's clock, for every call that takes `now`.
    pub now: Tick,
    /// For `handshake`: the report (`None`: no such volume there).
    pub facts: Option<Facts>,
    /// For `handshake` and `select_source`; absent for every other call.
    pub history: Option<Retained>,
    /// For `pinned`: from where the log can be replayed.
    pub retained_from: Option<Lsn>,
    /// For `acknowledged`: the primary's last entry.
    pub head: Lsn,
}

#[cfg(test)]
mod tests {
    use super::{Action, Call, Move, Slot, Token};
    use crate::checking::{Spec as _, action_name, action_text};
    use crate::session::Session;

    const TOKEN: Token = Token {
        volume: 1,
        replica: 1,
        session: 1,
        epoch: 2,
        endpoint_version: 1,
    };

    #[test]
    fn an_action_is_serialised_under_its_own_name_and_read_back_as_itself() {
        let spec = Session::at("forged").expect("an instance");
        let (_, mut state) = spec.initial()[0];
        let mut calls = Vec::new();
        for _ in 0..6 {
            spec.calls(&state, &mut calls);
            let granted = calls.iter().find(|&&call| spec.guard(&state, call).is_ok());
            state = granted.map_or(state, |&call| spec.apply(&state, call).0);
        }
        for slot in [Slot::Retention, Slot::Base] {
            calls.push(Action::OnSession(TOKEN, Call::Pinned { slot }));
        }
        calls.push(Action::World(Move::Reclaim { volume: 1 }));
        for call in calls {
            assert_eq!(action_name(&call), call.name());
            let text = serde_json::to_string(&call).expect("an action has a text");
            let read: Action = serde_json::from_str(&text).expect("an action's own text");
            assert_eq!(read, call);
        }
    }

    #[test]
    fn a_trace_names_the_parameters_of_the_prose() {
        let pinned = Action::OnSession(TOKEN, Call::Pinned { slot: Slot::Base });
        assert_eq!(
            action_text(&pinned),
            "pinned(slot=base, token=v1/r1/s1/e2/p1)"
        );
    }
}
