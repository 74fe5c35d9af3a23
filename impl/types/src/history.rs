//! What two stores say of themselves when a recovery is decided: the replica's facts, read from
//! its disk for this handshake, and the primary's retained history.

use serde::{Deserialize, Serialize};

use crate::{Lineage, Lsn, StoreId};

/// The positions of one base image and the log on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BaseState {
    /// The extent holds every effect of entries `1..=checkpoint`.
    pub checkpoint: Lsn,
    /// Upper bound of the entries whose effects may be in the extent; [`Lsn::MAX`] while a
    /// rebuild overwrites it.
    pub extent_bound: Lsn,
    /// The last entry known to survive a crash.
    pub durable: Lsn,
}

impl BaseState {
    /// Whether the image, with the durable log replayed onto it, is that of one exact position.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.durable >= self.extent_bound
    }
}

/// A replica's report, as its disk holds it at the time of the handshake, log synced first.
/// Never taken from a cache.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReplicaFacts {
    /// The identity of the store.
    pub store: StoreId,
    /// Its positions.
    pub base: BaseState,
    /// Its lineage.
    pub lineage: Lineage,
}

/// A base image at exactly `base_lsn`, kept by the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SnapshotBase {
    /// The position whose effects, and no later ones, the image holds.
    pub base_lsn: Lsn,
    /// Whether its content is verified to be exactly that.
    pub trusted: bool,
}

/// What the primary can prove of its own history.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RetainedHistory {
    /// Its positions; `base.durable <= head`.
    pub base: BaseState,
    /// The last appended entry.
    pub head: Lsn,
    /// The last entry durable on every copy that the mode asks for.
    pub committed: Lsn,
    /// The position of this epoch's first entry; `None` before it is logged.
    pub epoch_start: Option<Lsn>,
    /// The oldest position from which the retained log can replay (exclusive): entries
    /// `retained_from + 1 ..= head` are there. `None`: nothing can be replayed.
    pub retained_from: Option<Lsn>,
    /// A copy-on-write image that a rebuild could start from.
    pub snapshot: Option<SnapshotBase>,
    /// Its lineage.
    pub lineage: Lineage,
}
