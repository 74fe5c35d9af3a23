//! Who is who. Identities are stable; locations ([`crate::Endpoint`]) are not (T8).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Epoch;

/// A volume, unique for ever; its name is only a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VolumeId(pub Uuid);

/// One formatted store. Made when the store is formatted and recorded by the authority: a store
/// that is not the recorded one is an empty newcomer under an old name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoreId(pub Uuid);

/// One recovery attempt; unique in `(volume, epoch)`, increasing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub u64);

impl VolumeId {
    /// A fresh random identity.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl StoreId {
    /// Upper half of the identity of no store. Its version, the upper half of the seventh byte, is 8;
    /// that of a random identity is 4.
    const FORGOTTEN: u64 = u64::from_be_bytes(*b"forgot\x80\0");

    /// What the authority records for a copy that it was told to forget, in the epoch of that recovery:
    /// an identity that no store has. Whatever is there counts only once it holds an entry of that
    /// epoch or a newer one, which only a rebuild brings it (F85).
    #[must_use]
    pub const fn forgotten_in(epoch: Epoch) -> Self {
        Self(Uuid::from_u64_pair(Self::FORGOTTEN, epoch.0))
    }

    /// The epoch of the recovery that forgot a copy; `None` for the identity of a store.
    #[must_use]
    pub const fn forgotten_since(self) -> Option<Epoch> {
        match self.0.as_u64_pair() {
            (Self::FORGOTTEN, epoch) => Some(Epoch(epoch)),
            _ => None,
        }
    }

    /// A fresh random identity.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl fmt::Display for VolumeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The stable name of one copy: 1 to 64 characters of `[a-z0-9-]`, unique in its volume.
///
/// The label is shared, so that a clone (every token, pin and event carries one) costs a counter
/// and not an allocation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReplicaId(Arc<str>);

/// A replica label that breaks the rule of [`ReplicaId`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidReplicaId {
    /// The refused label, cut to 80 characters.
    pub label: String,
}

impl fmt::Display for InvalidReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a replica label: use 1 to 64 characters of a-z, 0-9 and '-'",
            self.label
        )
    }
}

impl std::error::Error for InvalidReplicaId {}

impl ReplicaId {
    /// The longest label, in bytes.
    pub const MAX_LEN: usize = 64;

    /// Checks and takes a label.
    ///
    /// # Errors
    /// [`InvalidReplicaId`] unless it is 1 to 64 characters of `[a-z0-9-]`.
    pub fn new(label: impl Into<String>) -> Result<Self, InvalidReplicaId> {
        let label = label.into();
        let good = (1..=Self::MAX_LEN).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if good {
            Ok(Self(label.into()))
        } else {
            Err(InvalidReplicaId {
                label: label.chars().take(80).collect(),
            })
        }
    }

    /// The label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ReplicaId {
    type Err = InvalidReplicaId;

    fn from_str(label: &str) -> Result<Self, Self::Err> {
        Self::new(label)
    }
}

impl TryFrom<String> for ReplicaId {
    type Error = InvalidReplicaId;

    fn try_from(label: String) -> Result<Self, Self::Error> {
        Self::new(label)
    }
}

impl From<ReplicaId> for String {
    fn from(id: ReplicaId) -> Self {
        id.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::ReplicaId;

    #[test]
    fn a_replica_label_is_1_to_64_of_a_small_alphabet() {
        assert!(ReplicaId::new("r1").is_ok());
        assert!(ReplicaId::new("a".repeat(64)).is_ok());
        for bad in ["", "R1", "r_1", "r 1", "ä", &"a".repeat(65)] {
            assert!(ReplicaId::new(bad).is_err(), "{bad:?} was taken");
        }
    }
}
