//! What the authority tells a primary node about one of its volumes.

use std::collections::BTreeMap;
use std::fmt;

use holdfast_types::{Endpoint, Epoch, ReplicaId, Revision, VolumeId};

use crate::RecoverKind;

/// The most replicas that one assignment may name.
pub const MAX_REPLICAS: usize = 64;

/// What the authority wants of one sender now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Intent {
    /// Nothing.
    None,
    /// A session, if there is none; never one that could hide a needed rebuild.
    Recover(RecoverKind),
    /// A rebuild session, in place of any other.
    Rebuild,
}

/// One replica, as an assignment names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaAssignment {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Whether the record names it in the in-sync set.
    pub member: bool,
    /// What is to be done.
    pub intent: Intent,
}

/// The whole assignment of one volume. Each replica stands in it once, and its epoch and revision
/// are at least 1, by construction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Assignment {
    volume: VolumeId,
    epoch: Epoch,
    revision: Revision,
    replicas: BTreeMap<ReplicaId, ReplicaAssignment>,
}

/// Why something is no assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidAssignment {
    /// Epochs begin at 1.
    ZeroEpoch,
    /// Revisions begin at 1; 0 is that of a fence.
    ZeroRevision,
    /// A replica is named twice.
    DuplicateReplica {
        /// Which.
        replica: ReplicaId,
    },
    /// More than [`MAX_REPLICAS`].
    TooManyReplicas,
}

impl fmt::Display for InvalidAssignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroEpoch => f.write_str("an assignment's epoch is at least 1"),
            Self::ZeroRevision => f.write_str("an assignment's revision is at least 1"),
            Self::DuplicateReplica { replica } => write!(f, "{replica} is named twice"),
            Self::TooManyReplicas => {
                write!(f, "an assignment names at most {MAX_REPLICAS} replicas")
            }
        }
    }
}

impl std::error::Error for InvalidAssignment {}

impl Assignment {
    /// Checks and takes an assignment.
    ///
    /// # Errors
    /// [`InvalidAssignment`]: the first rule that it breaks.
    pub fn new(
        volume: VolumeId,
        epoch: Epoch,
        revision: Revision,
        replicas: impl IntoIterator<Item = (ReplicaId, ReplicaAssignment)>,
    ) -> Result<Self, InvalidAssignment> {
        if epoch == Epoch(0) {
            return Err(InvalidAssignment::ZeroEpoch);
        }
        if revision == Revision(0) {
            return Err(InvalidAssignment::ZeroRevision);
        }
        let mut named = BTreeMap::new();
        for (replica, assigned) in replicas {
            if named.len() == MAX_REPLICAS {
                return Err(InvalidAssignment::TooManyReplicas);
            }
            if named.contains_key(&replica) {
                return Err(InvalidAssignment::DuplicateReplica { replica });
            }
            named.insert(replica, assigned);
        }
        Ok(Self {
            volume,
            epoch,
            revision,
            replicas: named,
        })
    }

    /// The volume.
    #[must_use]
    pub const fn volume(&self) -> VolumeId {
        self.volume
    }

    /// The epoch in which this node is its primary.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The revision of the record that it was made from.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The replicas, by id; the primary itself is not among them.
    #[must_use]
    pub const fn replicas(&self) -> &BTreeMap<ReplicaId, ReplicaAssignment> {
        &self.replicas
    }
}
