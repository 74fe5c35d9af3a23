//! The positions of one store, and what a caller may know of them.
//!
//! ```text
//!            checkpoint <= extent_bound
//!            checkpoint <= durable <= head,   committed <= head
//!            retained_from <= checkpoint      (when there is one)
//! ```
//!
//! Rule: `docs/protocol.md`, section 1.

use std::fmt;

use holdfast_types::{BaseState, Epoch, Lsn, SessionId, StoreId};

/// Where a store stands. A copy: it was true when it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Positions {
    /// Last appended entry.
    pub head: Lsn,
    /// Last entry known to survive a crash here.
    pub durable: Lsn,
    /// Last entry durable on every copy that the mode asks for, as this node was told.
    pub committed: Lsn,
    /// The extent holds every effect of entries `1..=checkpoint`; durable.
    pub checkpoint: Lsn,
    /// Upper bound of the entries whose effects may be in the extent; durable. [`Lsn::MAX`] while
    /// the image is being replaced.
    pub extent_bound: Lsn,
    /// The log can replay `retained_from + 1 ..= head`. `None` while the image is being replaced.
    pub retained_from: Option<Lsn>,
}

impl Positions {
    /// Whether the image, with the durable log replayed onto it, is that of one exact position.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.durable >= self.extent_bound
    }

    /// The three positions that a handshake reports.
    #[must_use]
    pub fn base(&self) -> BaseState {
        BaseState {
            checkpoint: self.checkpoint,
            extent_bound: self.extent_bound,
            durable: self.durable,
        }
    }

    /// Whether the inequalities of this page hold.
    #[must_use]
    pub fn are_ordered(&self) -> bool {
        self.checkpoint <= self.extent_bound
            && self.checkpoint <= self.durable
            && self.durable <= self.head
            && self.committed <= self.head
            && self
                .retained_from
                .is_none_or(|from| from <= self.checkpoint)
    }
}

impl fmt::Display for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "head {} durable {} committed {} checkpoint {} ",
            self.head, self.durable, self.committed, self.checkpoint
        )?;
        if self.extent_bound == Lsn::MAX {
            f.write_str("extent bound unknown")?;
        } else {
            write!(f, "extent bound {}", self.extent_bound)?;
        }
        match self.retained_from {
            Some(from) => write!(f, " retained after {from}"),
            None => f.write_str(" nothing retained"),
        }
    }
}

/// How far write-back may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlushBound {
    /// `min(committed, durable)`: `sync_all` and `sync_quorum`. Cutting a divergent tail then
    /// never has to undo an extent write (C2).
    Committed,
    /// `durable` alone: `best_effort`.
    Durable,
}

/// What the node does in its promised epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Serves nothing. The role after every restart.
    None,
    /// Takes appends from the primary of the epoch.
    Replica,
    /// Serves I/O under the lease of the epoch.
    Primary,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Replica => "replica",
            Self::Primary => "primary",
        })
    }
}

/// What this store has promised, durably, to the authority and to primaries (F52, F80, F91).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Promise {
    /// The highest epoch made durable: anything older is refused.
    pub epoch: Epoch,
    /// The role taken in that epoch by the present incarnation.
    pub role: Role,
    /// The store of whoever leads that epoch, as far as this one followed it: itself, or the
    /// primary whose hello it answered. An epoch has one leader for ever (F85).
    pub leader: Option<StoreId>,
    /// The newest session admitted in that epoch; `None` before the first.
    pub session: Option<SessionId>,
    /// Counts the times this store was opened for writing: one incarnation each.
    pub incarnation: u64,
}

/// What a read has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadPoint {
    /// The newest log entry whose effect the data contain, `None` when all of it came from the
    /// extent. A caller that must not show unacknowledged data waits until this entry is
    /// acknowledged (`docs/protocol.md`, section 2).
    pub newest: Option<Lsn>,
}
