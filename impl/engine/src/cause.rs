//! Why a session ended, and why a rebuild is needed. Each cause names one condition, and its
//! class decides how the sender is left (`docs/session.md`, section 3).

use std::fmt;

/// Gives an enum of plain variants its names, as the prose writes them.
macro_rules! named {
    ($type:ident { $($variant:ident => $name:literal,)+ }) => {
        impl $type {
            /// Every variant, in the order of the prose.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name that the prose, the logs and the metrics use.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}
pub(crate) use named;

/// Why a replica can only be recovered by a rebuild (T4: never implicit).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RebuildReason {
    /// The replica holds no such volume.
    NoVolume,
    /// Its extent may hold effects beyond its durable log.
    UntrustedBase,
    /// It holds less than it acknowledged as durable: its disk was rolled back, or lied.
    LostAcknowledged,
    /// No common position can be found: one of the lineages does not reach back far enough.
    LineageExhausted,
    /// Its divergent tail has reached the extent and can no longer be cut.
    DivergentExtent,
    /// What it lacks is no longer in the primary's log.
    GapBeyondRetention,
    /// A pin on the history was taken away, or came too late (F73, A6).
    RetentionLost,
    /// The replica refused to cut its log: its extent is ahead by now.
    TruncationUnsafe,
    /// The session took too long.
    BudgetDuration,
    /// More entries are missing than a catch-up may replay.
    BudgetEntries,
    /// The session made no progress for too long.
    BudgetStall,
    /// The session held back more bytes at the source than it may.
    BudgetBytes,
    /// The authority, or an operator, ordered it.
    Ordered,
}

named!(RebuildReason {
    NoVolume => "no_volume",
    UntrustedBase => "untrusted_base",
    LostAcknowledged => "lost_acknowledged",
    LineageExhausted => "lineage_exhausted",
    DivergentExtent => "divergent_extent",
    GapBeyondRetention => "gap_beyond_retention",
    RetentionLost => "retention_lost",
    TruncationUnsafe => "truncation_unsafe",
    BudgetDuration => "budget_duration",
    BudgetEntries => "budget_entries",
    BudgetStall => "budget_stall",
    BudgetBytes => "budget_bytes",
    Ordered => "ordered",
});

/// The authority under which the session ran is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuthorityCause {
    /// A newer epoch was assigned or seen.
    EpochChanged,
    /// The replica has a newer endpoint (T8).
    EndpointChanged,
    /// The assignment no longer names the replica.
    Removed,
    /// The node gave its role up.
    Stopped,
    /// Another session of the same sender took its place.
    Superseded,
}

named!(AuthorityCause {
    EpochChanged => "epoch_changed",
    EndpointChanged => "endpoint_changed",
    Removed => "removed",
    Stopped => "stopped",
    Superseded => "superseded",
});

/// Something failed; another session may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The connection is gone.
    StreamLost,
    /// The replica refused a request.
    Refused,
    /// The replica takes no more traffic.
    Stalled,
    /// A barrier was not answered in time.
    BarrierTimeout,
    /// A disk failed, on either side.
    IoError,
    /// The replica sent what the protocol does not allow.
    Malformed,
    /// No handshake within the stall budget.
    ConnectTimeout,
    /// A pin could not be acquired at the source.
    PinFailed,
}

named!(Fault {
    StreamLost => "stream_lost",
    Refused => "refused",
    Stalled => "stalled",
    BarrierTimeout => "barrier_timeout",
    IoError => "io_error",
    Malformed => "malformed",
    ConnectTimeout => "connect_timeout",
    PinFailed => "pin_failed",
});

/// The faults that a caller may report. `connect_timeout` and `pin_failed` are not among them: the
/// engine finds those by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReportedFault {
    /// [`Fault::StreamLost`].
    StreamLost,
    /// [`Fault::Refused`].
    Refused,
    /// [`Fault::Stalled`].
    Stalled,
    /// [`Fault::BarrierTimeout`].
    BarrierTimeout,
    /// [`Fault::IoError`].
    IoError,
    /// [`Fault::Malformed`].
    Malformed,
}

named!(ReportedFault {
    StreamLost => "stream_lost",
    Refused => "refused",
    Stalled => "stalled",
    BarrierTimeout => "barrier_timeout",
    IoError => "io_error",
    Malformed => "malformed",
});

impl From<ReportedFault> for Fault {
    fn from(fault: ReportedFault) -> Self {
        match fault {
            ReportedFault::StreamLost => Self::StreamLost,
            ReportedFault::Refused => Self::Refused,
            ReportedFault::Stalled => Self::Stalled,
            ReportedFault::BarrierTimeout => Self::BarrierTimeout,
            ReportedFault::IoError => Self::IoError,
            ReportedFault::Malformed => Self::Malformed,
        }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndCause {
    /// Leaves the sender `disconnected`.
    Authority(AuthorityCause),
    /// Leaves the sender `degraded`.
    Fault(Fault),
    /// Leaves the sender in `needs_rebuild` with that reason.
    Escalation(RebuildReason),
}

impl EndCause {
    /// The name of the cause within its class.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authority(cause) => cause.name(),
            Self::Fault(fault) => fault.name(),
            Self::Escalation(reason) => reason.name(),
        }
    }

    /// The class: `authority`, `fault` or `escalation`.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Authority(_) => "authority",
            Self::Fault(_) => "fault",
            Self::Escalation(_) => "escalation",
        }
    }
}

impl fmt::Display for EndCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class(), self.name())
    }
}
