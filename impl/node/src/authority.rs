//! The authority: the only minter of epochs and assignments, and the keeper of one record per volume.
//!
//! Promises, of every implementation (`conformance` holds each of them against these):
//!
//! - the record changes only by compare-and-set on `(epoch, revision)`; `revision` counts every change;
//! - an epoch is minted once, by a compare-and-set to `(epoch + 1, no primary)`, and only when the
//!   old lease has run out or its holder confirmed that it stopped (F82, F98);
//! - within an epoch the primary is set once and never replaced (M24), and only the incarnation
//!   that first asked for the lease of that epoch ever has it (F92);
//! - what it answered survives its own crash; after a restart that forgot the leases it waits out
//!   a whole one (F89).
//!
//! Must never: take a record, an epoch or a role from a heartbeat (F85).
//!
//! Rule: `docs/protocol.md`, section 7.

mod check;
pub mod conformance;
mod durable_file;
mod embedded;
mod lease;
mod remote;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use holdfast_types::{Epoch, ReplicaId, Revision, VolumeId, VolumeRecord};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

pub use durable_file::{replace_file, sync_directory};
pub use embedded::{EmbeddedAuthority, EmbeddedCore, OpenError};
pub use remote::RemoteAuthority;

/// One life of a primary: made when the role is taken, never written down by the node, so that
/// nothing can resume it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub Uuid);

impl Incarnation {
    /// A fresh one.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

/// What a compare-and-set compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordVersion {
    /// The epoch.
    pub epoch: Epoch,
    /// The revision.
    pub revision: Revision,
}

impl RecordVersion {
    /// The version of a record.
    #[must_use]
    pub const fn of(record: &VolumeRecord) -> Self {
        Self {
            epoch: record.epoch,
            revision: record.revision,
        }
    }
}

impl fmt::Display for RecordVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {} revision {}", self.epoch, self.revision)
    }
}

/// A record as the authority holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The record.
    pub record: VolumeRecord,
    /// The last replica that was primary, in whatever epoch: the only one that a `best_effort`
    /// volume may be promoted on unforced. `None` before the first promotion.
    pub last_primary: Option<ReplicaId>,
    /// The volume was deleted, for good: the record stays, so that a node which was away learns of it and
    /// gives its copy up (`docs/decisions/038-*`).
    #[serde(default)]
    pub deleted: bool,
}

/// Who asks for the lease of an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRequest {
    /// The volume.
    pub volume: VolumeId,
    /// The epoch.
    pub epoch: Epoch,
    /// The primary of that epoch.
    pub replica: ReplicaId,
    /// The serving incarnation.
    pub incarnation: Incarnation,
}

/// Moving an authority forward that was rolled back: only on an operator's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoverRequest {
    /// The volume.
    pub volume: VolumeId,
    /// What the record is at.
    pub expected: RecordVersion,
    /// The highest epoch that any node has promised.
    pub beyond: Epoch,
    /// The copy that the volume goes on with.
    pub keep: ReplicaId,
}

/// A lease, from the moment at which the authority answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseGrant {
    /// How long it lasts, in milliseconds. The holder counts from *before* it asked.
    pub duration_ms: u64,
}

impl LeaseGrant {
    /// How long it lasts.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.duration_ms)
    }
}

/// Why the authority did not do what it was asked. Nothing has changed, but for `Unreachable`.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(tag = "error", rename_all = "snake_case")]
pub enum AuthorityError {
    /// No such volume.
    #[error("the authority has no volume {volume}")]
    UnknownVolume {
        /// The volume.
        volume: VolumeId,
    },
    /// The volume, or another of its name, exists.
    #[error("the authority already has a volume {name:?} ({volume})")]
    AlreadyExists {
        /// The volume that exists.
        volume: VolumeId,
        /// Its name.
        name: String,
    },
    /// The record has moved on.
    #[error("the record is at {found}, not at {expected}")]
    Conflict {
        /// What the caller compared with.
        expected: RecordVersion,
        /// What the record is at.
        found: RecordVersion,
    },
    /// The proposed record contradicts itself, or the rules of its change.
    #[error("the proposed record is refused: {reason}")]
    Refused {
        /// Which rule.
        reason: String,
    },
    /// The old primary may still serve.
    #[error("the lease of epoch {epoch} may still be held, for at most {remaining_ms} ms")]
    LeaseHeld {
        /// The epoch of the lease.
        epoch: Epoch,
        /// The longest that it can last.
        remaining_ms: u64,
    },
    /// The lease is not for this caller.
    #[error("no lease of epoch {asked} for {replica}: {reason}")]
    NoLease {
        /// The epoch asked for.
        asked: Epoch,
        /// The epoch of the record.
        current: Epoch,
        /// Who asked.
        replica: ReplicaId,
        /// Why not.
        reason: String,
    },
    /// The authority's own storage failed.
    #[error("the authority cannot write its record: {detail}")]
    Storage {
        /// What failed.
        detail: String,
    },
    /// No answer: whether the request took effect is unknown.
    #[error("the authority does not answer: {detail}")]
    Unreachable {
        /// What was seen.
        detail: String,
    },
}

impl AuthorityError {
    /// Whether the request may have taken effect all the same.
    #[must_use]
    pub const fn is_outcome_unknown(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Storage { .. } => true,
            Self::UnknownVolume { .. }
            | Self::AlreadyExists { .. }
            | Self::Conflict { .. }
            | Self::Refused { .. }
            | Self::LeaseHeld { .. }
            | Self::NoLease { .. } => false,
        }
    }
}

/// What an authority answers, when it does.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, AuthorityError>> + Send + 'a>>;

/// An authority, wherever it runs.
pub trait Authority: Send + Sync + 'static {
    /// Every volume.
    fn volumes(&self) -> Answer<'_, Vec<Recorded>>;

    /// One volume.
    fn read(&self, volume: VolumeId) -> Answer<'_, Recorded>;

    /// Records a new volume, at epoch 0 without a primary; its first promotion mints epoch 1.
    fn create(&self, record: VolumeRecord) -> Answer<'_, Recorded>;

    /// Replaces the record if it is still at `expected`. The epoch stays; the revision becomes the
    /// next one, whatever the proposed record says.
    fn compare_and_set(
        &self,
        expected: RecordVersion,
        record: VolumeRecord,
    ) -> Answer<'_, Recorded>;

    /// Mints `(epoch + 1, no primary)` if the record is still at `expected` and no lease of its
    /// epoch can be held any more.
    fn mint_epoch(&self, volume: VolumeId, expected: RecordVersion) -> Answer<'_, Recorded>;

    /// Mints the epoch after `beyond` (or after the record's own, if that is higher), without a
    /// primary, once no lease can be held any more: not even one that the record has forgotten. The
    /// named copy becomes the whole in-sync set and the only voter, and the only recorded store: the
    /// others may hold entries of an epoch that was minted twice, so they come back by a rebuild
    /// (F85, `docs/decisions/044-*`).
    fn recover(&self, request: RecoverRequest) -> Answer<'_, Recorded>;

    /// Deletes a volume whose record is still at `expected` and has no primary, for good: from here on
    /// nothing of it changes, nobody leads it, and its name is free.
    fn delete(&self, volume: VolumeId, expected: RecordVersion) -> Answer<'_, Recorded>;

    /// Grants or renews the lease of an epoch to the one incarnation that has it.
    fn renew_lease(&self, request: LeaseRequest) -> Answer<'_, LeaseGrant>;

    /// The holder confirms that it has stopped and will not serve in this epoch again.
    fn end_lease(&self, request: LeaseRequest) -> Answer<'_, ()>;
}
