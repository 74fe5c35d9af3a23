//! What can be asked for: the calls of `docs/session.md`, sections 4 to 6, and the moves of what
//! surrounds the machine (section 8). Actions are named as the prose names them.
//!
//! An action names what a caller chooses. What the caller *reads* for the call (its clock, the
//! primary's own history, where the log can be replayed from) is not a choice: it is taken from
//! the surroundings by [`super::Session::inputs`].

use serde::{Deserialize, Serialize};

use super::log::{Lineage, Log};
use super::state::{Named, SENDERS};
use super::vocabulary::{Epoch, Fault, Lsn, SessionKind, Slot, Tick, Token};

/// A named action with its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "the parameters are those of the prose, under its names"
)]
pub enum Action {
    /// The authority's assignment for a volume, by replica (`null`: not named).
    Assign {
        volume: u8,
        epoch: Epoch,
        revision: u8,
        replicas: [Option<Named>; SENDERS],
    },
    /// A higher epoch was seen.
    Fence { volume: u8, epoch: Epoch },
    /// The node gives its role up.
    Stop { volume: u8, epoch: Epoch },
    /// Begins a session.
    Attach {
        volume: u8,
        replica: u8,
        epoch: Epoch,
        endpoint_version: u8,
        kind: SessionKind,
    },
    /// Begins a session in the place of the present one.
    Supersede {
        volume: u8,
        replica: u8,
        epoch: Epoch,
        endpoint_version: u8,
        kind: SessionKind,
    },

    /// The connection is being made.
    Connect { token: Token },
    /// The stream is up, the hello is sent.
    Hello { token: Token },
    /// The replica's report (`null`: no such volume there), held against the primary's history.
    Handshake {
        token: Token,
        facts: Option<Disk>,
        history: HistoryReport,
    },
    /// A pin was acquired.
    Pinned { token: Token, slot: Slot },
    /// A pin could not be acquired.
    PinFailed { token: Token, slot: Slot },
    /// A pin was taken away at the source.
    PinLost { token: Token, slot: Slot },
    /// The replica durably cut its log.
    Truncated { token: Token, to: Lsn },
    /// The replica cannot cut its log.
    TruncationRefused { token: Token },
    /// The answer to a barrier of this session.
    Progress { token: Token, durable: Lsn },
    /// The session is to complete.
    Complete { token: Token },
    /// The answer to a barrier after completion.
    Acknowledged { token: Token, durable: Lsn },
    /// A source for the rebuild is to be chosen.
    SelectSource {
        token: Token,
        history: HistoryReport,
    },
    /// The replica is ready for its new base.
    BeginTransfer { token: Token, chunks_total: u8 },
    /// Chunks were installed.
    TransferProgress { token: Token, chunks_done: u8 },
    /// The replica switched to the new base.
    BaseInstalled {
        token: Token,
        base_lsn: Lsn,
        extent_bound: Lsn,
    },
    /// Time and bytes are held against the budget.
    CheckBudget { token: Token, pinned_bytes: u8 },
    /// A fault.
    Fail { token: Token, cause: Fault },

    /// Surroundings: time passes.
    Tick,
    /// Surroundings: the primary logs an entry; the first of an epoch is its epoch-start entry.
    Append { volume: u8 },
    /// Surroundings: what is logged becomes durable where the mode asks for it.
    Commit { volume: u8 },
    /// Surroundings: committed entries reach the extent, a checkpoint is made.
    WriteBack { volume: u8 },
    /// Surroundings: log space up to the checkpoint is reused, as far as no held pin forbids it.
    Reclaim { volume: u8 },
}

impl Action {
    /// The name under which it is serialised.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Assign { .. } => "assign",
            Self::Fence { .. } => "fence",
            Self::Stop { .. } => "stop",
            Self::Attach { .. } => "attach",
            Self::Supersede { .. } => "supersede",
            Self::Connect { .. } => "connect",
            Self::Hello { .. } => "hello",
            Self::Handshake { .. } => "handshake",
            Self::Pinned { .. } => "pinned",
            Self::PinFailed { .. } => "pin_failed",
            Self::PinLost { .. } => "pin_lost",
            Self::Truncated { .. } => "truncated",
            Self::TruncationRefused { .. } => "truncation_refused",
            Self::Progress { .. } => "progress",
            Self::Complete { .. } => "complete",
            Self::Acknowledged { .. } => "acknowledged",
            Self::SelectSource { .. } => "select_source",
            Self::BeginTransfer { .. } => "begin_transfer",
            Self::TransferProgress { .. } => "transfer_progress",
            Self::BaseInstalled { .. } => "base_installed",
            Self::CheckBudget { .. } => "check_budget",
            Self::Fail { .. } => "fail",
            Self::Tick => "tick",
            Self::Append { .. } => "append",
            Self::Commit { .. } => "commit",
            Self::WriteBack { .. } => "write_back",
            Self::Reclaim { .. } => "reclaim",
        }
    }

    /// The token that it presents, if it is a call on a session.
    #[must_use]
    pub const fn token(&self) -> Option<Token> {
        match *self {
            Self::Connect { token }
            | Self::Hello { token }
            | Self::Handshake { token, .. }
            | Self::Pinned { token, .. }
            | Self::PinFailed { token, .. }
            | Self::PinLost { token, .. }
            | Self::Truncated { token, .. }
            | Self::TruncationRefused { token }
            | Self::Progress { token, .. }
            | Self::Complete { token }
            | Self::Acknowledged { token, .. }
            | Self::SelectSource { token, .. }
            | Self::BeginTransfer { token, .. }
            | Self::TransferProgress { token, .. }
            | Self::BaseInstalled { token, .. }
            | Self::CheckBudget { token, .. }
            | Self::Fail { token, .. } => Some(token),
            Self::Assign { .. }
            | Self::Fence { .. }
            | Self::Stop { .. }
            | Self::Attach { .. }
            | Self::Supersede { .. }
            | Self::Tick
            | Self::Append { .. }
            | Self::Commit { .. }
            | Self::WriteBack { .. }
            | Self::Reclaim { .. } => None,
        }
    }

    /// Whether it is a move of the surroundings, of which the machine learns nothing.
    #[must_use]
    pub const fn is_surroundings(&self) -> bool {
        matches!(
            self,
            Self::Tick
                | Self::Append { .. }
                | Self::Commit { .. }
                | Self::WriteBack { .. }
                | Self::Reclaim { .. }
        )
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
    use super::{Action, Slot, Token};
    use crate::checking::{action_name, action_text};

    const TOKEN: Token = Token {
        volume: 1,
        replica: 1,
        session: 1,
        epoch: 2,
        endpoint_version: 1,
    };

    #[test]
    fn an_action_is_serialised_under_its_own_name() {
        for action in [
            Action::Tick,
            Action::TruncationRefused { token: TOKEN },
            Action::Pinned {
                token: TOKEN,
                slot: Slot::Base,
            },
            Action::Reclaim { volume: 1 },
        ] {
            assert_eq!(action_name(&action), action.name());
        }
        let pinned = Action::Pinned {
            token: TOKEN,
            slot: Slot::Base,
        };
        assert_eq!(
            action_text(&pinned),
            "pinned(slot=base, token=v1/r1/s1/e2/p1)"
        );
    }
}
