//! The written form of an action, in traces and digests: one flat list of names, however the
//! specification groups them. Nothing that is read here is trusted before it is an [`Action`].

use serde::{Deserialize, Serialize};

use super::{Action, Authority, Begin, Call, Disk, HistoryReport, Move};
use crate::session::state::{Assignment, Named, SENDERS};
use crate::session::vocabulary::{Epoch, Fault, Lsn, SessionKind, Slot, Token};

/// An action as it stands in a trace: flat, with its name under the key `action`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Written {
    Assign {
        volume: u8,
        epoch: Epoch,
        revision: u8,
        replicas: [Option<Named>; SENDERS],
    },
    Fence {
        volume: u8,
        epoch: Epoch,
    },
    Stop {
        volume: u8,
        epoch: Epoch,
    },
    Attach {
        volume: u8,
        replica: u8,
        epoch: Epoch,
        endpoint_version: u8,
        kind: SessionKind,
    },
    Supersede {
        volume: u8,
        replica: u8,
        epoch: Epoch,
        endpoint_version: u8,
        kind: SessionKind,
    },

    Connect {
        token: Token,
    },
    Hello {
        token: Token,
    },
    Handshake {
        token: Token,
        facts: Option<Disk>,
        history: HistoryReport,
    },
    Pinned {
        token: Token,
        slot: Slot,
    },
    PinFailed {
        token: Token,
        slot: Slot,
    },
    PinLost {
        token: Token,
        slot: Slot,
    },
    Truncated {
        token: Token,
        to: Lsn,
    },
    TruncationRefused {
        token: Token,
    },
    Progress {
        token: Token,
        durable: Lsn,
    },
    Complete {
        token: Token,
    },
    Acknowledged {
        token: Token,
        durable: Lsn,
    },
    SelectSource {
        token: Token,
        history: HistoryReport,
    },
    BeginTransfer {
        token: Token,
        chunks_total: u8,
    },
    TransferProgress {
        token: Token,
        chunks_done: u8,
    },
    BaseInstalled {
        token: Token,
        base_lsn: Lsn,
        extent_bound: Lsn,
    },
    CheckBudget {
        token: Token,
        pinned_bytes: u8,
    },
    Fail {
        token: Token,
        cause: Fault,
    },

    Tick,
    Append {
        volume: u8,
    },
    Commit {
        volume: u8,
    },
    WriteBack {
        volume: u8,
    },
    Reclaim {
        volume: u8,
    },
}

impl From<Action> for Written {
    fn from(action: Action) -> Self {
        match action {
            Action::Authority(call) => Self::of_authority(call),
            Action::Begin(begin) => Self::of_begin(begin),
            Action::OnSession(token, call) => Self::of_call(token, call),
            Action::World(moves) => match moves {
                Move::Tick => Self::Tick,
                Move::Append { volume } => Self::Append { volume },
                Move::Commit { volume } => Self::Commit { volume },
                Move::WriteBack { volume } => Self::WriteBack { volume },
                Move::Reclaim { volume } => Self::Reclaim { volume },
            },
        }
    }
}

impl Written {
    const fn of_authority(call: Authority) -> Self {
        match call {
            Authority::Assign { volume, assignment } => {
                let Assignment {
                    epoch,
                    revision,
                    replicas,
                } = assignment;
                Self::Assign {
                    volume,
                    epoch,
                    revision,
                    replicas,
                }
            }
            Authority::Fence { volume, epoch } => Self::Fence { volume, epoch },
            Authority::Stop { volume, epoch } => Self::Stop { volume, epoch },
        }
    }

    const fn of_begin(begin: Begin) -> Self {
        let Begin {
            volume,
            replica,
            epoch,
            endpoint_version,
            kind,
            supersedes,
        } = begin;
        if supersedes {
            Self::Supersede {
                volume,
                replica,
                epoch,
                endpoint_version,
                kind,
            }
        } else {
            Self::Attach {
                volume,
                replica,
                epoch,
                endpoint_version,
                kind,
            }
        }
    }

    const fn of_call(token: Token, call: Call) -> Self {
        match call {
            Call::Connect => Self::Connect { token },
            Call::Hello => Self::Hello { token },
            Call::Handshake { facts, history } => Self::Handshake {
                token,
                facts,
                history,
            },
            Call::Pinned { slot } => Self::Pinned { token, slot },
            Call::PinFailed { slot } => Self::PinFailed { token, slot },
            Call::PinLost { slot } => Self::PinLost { token, slot },
            Call::Truncated { to } => Self::Truncated { token, to },
            Call::TruncationRefused => Self::TruncationRefused { token },
            Call::Progress { durable } => Self::Progress { token, durable },
            Call::Complete => Self::Complete { token },
            Call::Acknowledged { durable } => Self::Acknowledged { token, durable },
            Call::SelectSource { history } => Self::SelectSource { token, history },
            Call::BeginTransfer { chunks_total } => Self::BeginTransfer {
                token,
                chunks_total,
            },
            Call::TransferProgress { chunks_done } => Self::TransferProgress { token, chunks_done },
            Call::BaseInstalled {
                base_lsn,
                extent_bound,
            } => Self::BaseInstalled {
                token,
                base_lsn,
                extent_bound,
            },
            Call::CheckBudget { pinned_bytes } => Self::CheckBudget {
                token,
                pinned_bytes,
            },
            Call::Fail { cause } => Self::Fail { token, cause },
        }
    }
}

impl From<Written> for Action {
    fn from(written: Written) -> Self {
        let begin = |volume, replica, epoch, endpoint_version, kind, supersedes| {
            Self::Begin(Begin {
                volume,
                replica,
                epoch,
                endpoint_version,
                kind,
                supersedes,
            })
        };
        match written {
            Written::Assign {
                volume,
                epoch,
                revision,
                replicas,
            } => {
                let assignment = Assignment {
                    epoch,
                    revision,
                    replicas,
                };
                Self::Authority(Authority::Assign { volume, assignment })
            }
            Written::Fence { volume, epoch } => Self::Authority(Authority::Fence { volume, epoch }),
            Written::Stop { volume, epoch } => Self::Authority(Authority::Stop { volume, epoch }),
            Written::Attach {
                volume,
                replica,
                epoch,
                endpoint_version,
                kind,
            } => begin(volume, replica, epoch, endpoint_version, kind, false),
            Written::Supersede {
                volume,
                replica,
                epoch,
                endpoint_version,
                kind,
            } => begin(volume, replica, epoch, endpoint_version, kind, true),
            Written::Connect { token } => Self::OnSession(token, Call::Connect),
            Written::Hello { token } => Self::OnSession(token, Call::Hello),
            Written::Handshake {
                token,
                facts,
                history,
            } => Self::OnSession(token, Call::Handshake { facts, history }),
            Written::Pinned { token, slot } => Self::OnSession(token, Call::Pinned { slot }),
            Written::PinFailed { token, slot } => Self::OnSession(token, Call::PinFailed { slot }),
            Written::PinLost { token, slot } => Self::OnSession(token, Call::PinLost { slot }),
            Written::Truncated { token, to } => Self::OnSession(token, Call::Truncated { to }),
            Written::TruncationRefused { token } => Self::OnSession(token, Call::TruncationRefused),
            Written::Progress { token, durable } => {
                Self::OnSession(token, Call::Progress { durable })
            }
            Written::Complete { token } => Self::OnSession(token, Call::Complete),
            Written::Acknowledged { token, durable } => {
                Self::OnSession(token, Call::Acknowledged { durable })
            }
            Written::SelectSource { token, history } => {
                Self::OnSession(token, Call::SelectSource { history })
            }
            Written::BeginTransfer {
                token,
                chunks_total,
            } => Self::OnSession(token, Call::BeginTransfer { chunks_total }),
            Written::TransferProgress { token, chunks_done } => {
                Self::OnSession(token, Call::TransferProgress { chunks_done })
            }
            Written::BaseInstalled {
                token,
                base_lsn,
                extent_bound,
            } => Self::OnSession(
                token,
                Call::BaseInstalled {
                    base_lsn,
                    extent_bound,
                },
            ),
            Written::CheckBudget {
                token,
                pinned_bytes,
            } => Self::OnSession(token, Call::CheckBudget { pinned_bytes }),
            Written::Fail { token, cause } => Self::OnSession(token, Call::Fail { cause }),
            Written::Tick => Self::World(Move::Tick),
            Written::Append { volume } => Self::World(Move::Append { volume }),
            Written::Commit { volume } => Self::World(Move::Commit { volume }),
            Written::WriteBack { volume } => Self::World(Move::WriteBack { volume }),
            Written::Reclaim { volume } => Self::World(Move::Reclaim { volume }),
        }
    }
}
