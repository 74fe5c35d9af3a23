//! The authority's record of a volume, and the durability modes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{BlockCount, Endpoint, Epoch, Lsn, ReplicaId, Revision, StoreId, VolumeId};

/// When a flush is acknowledged (`docs/protocol.md`, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DurabilityMode {
    /// Durable on the primary.
    BestEffort,
    /// Durable on every member of the in-sync set.
    SyncAll,
    /// Durable on a majority of the voters (at least 3), counted among the in-sync set.
    SyncQuorum,
}

/// When a write is acknowledged (`docs/protocol.md`, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteAck {
    /// In the primary's log. A failover is a power loss to the clients.
    Local,
    /// In the primary's log, and received in order by the copies that the mode asks for.
    Received,
}

/// One copy, as the authority knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Member {
    /// Where it is at present.
    pub endpoint: Endpoint,
    /// The store that counts under this name; any other is an empty newcomer.
    pub store: StoreId,
}

/// One linearizable record per volume, changed only by compare-and-set on `(epoch, revision)`.
/// Leases are kept beside it, as their renewal does not count as a change.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VolumeRecord {
    /// The volume.
    pub volume: VolumeId,
    /// Its label.
    pub name: String,
    /// Its size.
    pub blocks: BlockCount,
    /// The present epoch.
    pub epoch: Epoch,
    /// Counts every change of the record.
    pub revision: Revision,
    /// Who serves I/O in this epoch; `None` while a promotion is under way.
    pub primary: Option<ReplicaId>,
    /// Every copy.
    pub members: BTreeMap<ReplicaId, Member>,
    /// Who counts for a majority (`sync_quorum`).
    pub voters: BTreeSet<ReplicaId>,
    /// Whose stores may count.
    pub isr: BTreeSet<ReplicaId>,
    /// When a flush is acknowledged.
    pub mode: DurabilityMode,
    /// `sync_all`: with fewer in-sync members nothing is acknowledged.
    pub min_in_sync: usize,
    /// When a write is acknowledged.
    pub write_ack: WriteAck,
    /// The highest committed entry that the primary reported, with its epoch.
    pub committed_seen: (Epoch, Lsn),
}

/// Why a record contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// The named set holds a replica that is no member.
    NotAMember {
        /// `isr`, `voters` or `primary`.
        set: &'static str,
        /// The stranger.
        replica: ReplicaId,
    },
    /// The primary is always in the in-sync set.
    PrimaryNotInSync {
        /// The primary.
        primary: ReplicaId,
    },
    /// A quorum volume has at least 3 voters.
    TooFewVoters {
        /// How many there are.
        voters: usize,
    },
    /// `min_in_sync` is at least 1 and at most the number of members.
    MinInSync {
        /// The value.
        min_in_sync: usize,
        /// The number of members.
        members: usize,
    },
    /// `best_effort` can only acknowledge writes locally.
    WriteAckOfBestEffort,
    /// A volume has at least one block.
    NoBlocks,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAMember { set, replica } => {
                write!(f, "{set} names {replica}, which is no member of the volume")
            }
            Self::PrimaryNotInSync { primary } => {
                write!(f, "the primary {primary} is not in the in-sync set")
            }
            Self::TooFewVoters { voters } => {
                write!(
                    f,
                    "sync_quorum needs at least 3 voters, the record has {voters}"
                )
            }
            Self::MinInSync {
                min_in_sync,
                members,
            } => {
                write!(
                    f,
                    "min_in_sync is {min_in_sync}; with {members} members it is 1 to {members}"
                )
            }
            Self::WriteAckOfBestEffort => {
                f.write_str("best_effort volumes acknowledge writes locally: set write_ack = local")
            }
            Self::NoBlocks => f.write_str("a volume has at least one block"),
        }
    }
}

impl std::error::Error for RecordError {}

impl VolumeRecord {
    /// The default mode of a volume with so many copies.
    #[must_use]
    pub const fn default_mode(copies: usize) -> DurabilityMode {
        match copies {
            0 | 1 => DurabilityMode::BestEffort,
            2 => DurabilityMode::SyncAll,
            _ => DurabilityMode::SyncQuorum,
        }
    }

    /// Checks that the record does not contradict itself.
    ///
    /// # Errors
    /// The first contradiction found.
    pub fn validate(&self) -> Result<(), RecordError> {
        if self.blocks == 0 {
            return Err(RecordError::NoBlocks);
        }
        let sets = [("isr", &self.isr), ("voters", &self.voters)];
        for (set, replicas) in sets {
            if let Some(replica) = replicas.iter().find(|r| !self.members.contains_key(*r)) {
                return Err(RecordError::NotAMember {
                    set,
                    replica: replica.clone(),
                });
            }
        }
        if let Some(primary) = &self.primary {
            if !self.members.contains_key(primary) {
                return Err(RecordError::NotAMember {
                    set: "primary",
                    replica: primary.clone(),
                });
            }
            if !self.isr.contains(primary) {
                return Err(RecordError::PrimaryNotInSync {
                    primary: primary.clone(),
                });
            }
        }
        if self.mode == DurabilityMode::SyncQuorum && self.voters.len() < 3 {
            return Err(RecordError::TooFewVoters {
                voters: self.voters.len(),
            });
        }
        if self.min_in_sync == 0 || self.min_in_sync > self.members.len() {
            return Err(RecordError::MinInSync {
                min_in_sync: self.min_in_sync,
                members: self.members.len(),
            });
        }
        if self.mode == DurabilityMode::BestEffort && self.write_ack == WriteAck::Received {
            return Err(RecordError::WriteAckOfBestEffort);
        }
        Ok(())
    }
}
