//! The steps of the storage, and why one is refused.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::disk::{EXTENT_SECTORS, LOG_SECTORS, SUPERBLOCK_SECTORS, Sectors};
use super::vocabulary::Lsn;

/// One step of the node, of its primary, or of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// The next entry, of that epoch, goes into the log.
    Append {
        /// Its epoch.
        epoch: u8,
    },
    /// A logged entry enters the dirty index.
    Index {
        /// Its position.
        lsn: Lsn,
    },
    /// A sync of the log begins: the head of this moment is what it will make durable.
    BeginSync,
    /// It returns.
    EndSync,
    /// The primary says what is committed.
    Commit {
        /// Up to here.
        to: Lsn,
    },
    /// The authority gives this node a new epoch, and the role of the primary.
    Serve,
    /// Writes a superblock whose `extent_bound` covers what may be flushed now.
    RaiseBound,
    /// Syncs the superblock in flight; what it announced becomes effective.
    SyncSuperblock,
    /// The flusher writes the newest version of a block that it may write.
    WriteExtent {
        /// The block.
        block: u8,
        /// Whether its earlier unsynced version had landed by then.
        landed: bool,
    },
    /// Syncs the extent.
    SyncExtent,
    /// Writes a superblock whose checkpoint is what was last synced.
    Checkpoint,
    /// The flusher has reached a volume operation: writes a superblock with its outcome and a
    /// checkpoint at its position.
    Perform,
    /// A restore overwrites a block with the snapshot's.
    Restore {
        /// The block.
        block: u8,
        /// Whether its earlier unsynced version had landed by then.
        landed: bool,
    },
    /// Copies a block out for the snapshot, before it is overwritten.
    CopyOut {
        /// The block.
        block: u8,
    },
    /// Syncs the snapshot store.
    SyncCopies,
    /// A read of a snapshot block looks whether the block was copied out.
    BeginRead {
        /// The block.
        block: u8,
    },
    /// It reads the block.
    EndRead,
    /// A shipper asks for the log to be kept.
    Pin {
        /// From here (exclusive).
        at: Lsn,
    },
    /// It needs it no longer.
    Unpin,
    /// Writes a superblock whose tail frees log space.
    Reclaim,
    /// A session of a newer epoch orders the tail to be cut.
    Truncate {
        /// The last entry that stays.
        to: Lsn,
    },
    /// A rebuild begins: flusher and index stop, the marker is written.
    BeginInstall {
        /// The base, by its place in the instance.
        base: u8,
    },
    /// A verified chunk of the base is written.
    InstallChunk {
        /// The block.
        block: u8,
        /// The position of its content.
        version: Lsn,
    },
    /// Writes the superblock of the new base.
    Switch,
    /// Power loss. Any subset of the unsynced sectors has landed, one of the others in part.
    LosePower {
        /// The sectors that landed, as a set.
        landed: Sectors,
        /// The sector that is torn.
        torn: Option<u8>,
    },
    /// The process dies; the page cache lives.
    Kill,
    /// The store is opened: everything is synced, the log is read, and a new run begins.
    Recover,
    /// A sync fails.
    FailSync {
        /// Of what.
        of: Synced,
    },
    /// A durable sector of the log goes bad at rest.
    Damage {
        /// The sector.
        slot: u8,
    },
    /// (Mutation) An LSN is taken and nothing is logged.
    LoseAppend,
    /// (Mutation) A restore that moves positions in memory.
    Rewind,
    /// (Mutation) The flusher writes a block of the old log while a base is installed.
    StaleFlush {
        /// The block.
        block: u8,
    },
}

impl Action {
    /// What nobody of the system does: faults, and the moves by which the world forgets.
    pub fn is_of_the_world(self) -> bool {
        match self {
            Self::LosePower { .. }
            | Self::Kill
            | Self::FailSync { .. }
            | Self::Damage { .. }
            | Self::LoseAppend
            | Self::Rewind
            | Self::StaleFlush { .. } => true,
            Self::Append { .. }
            | Self::Index { .. }
            | Self::BeginSync
            | Self::EndSync
            | Self::Commit { .. }
            | Self::Serve
            | Self::RaiseBound
            | Self::SyncSuperblock
            | Self::WriteExtent { .. }
            | Self::SyncExtent
            | Self::Checkpoint
            | Self::Perform
            | Self::Restore { .. }
            | Self::CopyOut { .. }
            | Self::SyncCopies
            | Self::BeginRead { .. }
            | Self::EndRead
            | Self::Pin { .. }
            | Self::Unpin
            | Self::Reclaim
            | Self::Truncate { .. }
            | Self::BeginInstall { .. }
            | Self::InstallChunk { .. }
            | Self::Switch
            | Self::Recover => false,
        }
    }
}

/// What a sync is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Synced {
    /// The log.
    Log,
    /// The superblock.
    Superblock,
    /// The extent.
    Extent,
}

impl Synced {
    /// The sectors that it writes.
    #[must_use]
    pub const fn sectors(self) -> Sectors {
        match self {
            Self::Log => LOG_SECTORS,
            Self::Superblock => SUPERBLOCK_SECTORS,
            Self::Extent => EXTENT_SECTORS,
        }
    }
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// Why a step is not granted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Refusal {
            $($(#[$doc])* $name,)*
        }

        impl Refusal {
            /// The names of all refusals, in their order.
            pub const NAMES: &'static [&'static str] = &[$($text),*];
        }
    };
}

refusals! {
    /// Not in this phase.
    WrongPhase => "wrong phase",
    /// The instance's bound is used up.
    Exhausted => "instance exhausted",
    /// A superblock is in flight; there is one at a time.
    SuperblockInFlight => "superblock in flight",
    /// A sync of the log is in flight.
    SyncInFlight => "sync in flight",
    /// It would change nothing.
    NothingToDo => "nothing to do",
    /// No room in the log.
    LogFull => "log full",
    /// Committed history says otherwise.
    AgainstHistory => "against committed history",
    /// Epochs do not decrease along a log.
    EpochBehind => "epoch behind",
    /// This node is not the primary.
    NotServing => "not serving",
    /// The block's copy for the snapshot is not durable.
    NotCopied => "not copied out",
    /// The pinned history is recycled already.
    HistoryGone => "history gone",
    /// The effects may be in the extent.
    BelowExtentBound => "below the extent bound",
    /// The position is not durable here.
    NotDurable => "not durable",
    /// No volume operation is due.
    OperationNotDue => "operation not due",
    /// A volume operation happened while the base was copied.
    OperationInCopy => "operation during the copy",
    /// Blocks of the base are missing or not synced.
    BaseIncomplete => "base incomplete",
    /// Nothing would vouch for the damaged entry.
    NotVouched => "nothing vouches for it",
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAMES[*self as usize])
    }
}
