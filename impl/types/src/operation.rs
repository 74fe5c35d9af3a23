//! Volume operations: entries that every copy carries out at the same point of the log, when its
//! flusher reaches them (`docs/protocol.md`, section 1).
//!
//! Their argument is of one fixed size, so that an entry's length follows from its kind, and entry
//! and argument fit into one sector of a log: an operation is there as a whole or not at all.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{BlockCount, EntryKind, Epoch, Lsn};

/// Bytes of the argument of an operation.
pub const OPERATION_BYTES: usize = 256;
/// The longest label of a snapshot, in bytes.
pub const MAX_SNAPSHOT_LABEL: usize = 64;

const LABEL_LEN: usize = 16;
const LABEL: usize = 18;

/// What names a snapshot: the entry that made it. Two logs that share an entry are equal up to it,
/// so the name says what the snapshot holds; the position alone would not (decision 013).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SnapshotId {
    /// The position of the entry: the snapshot holds entries `1..=lsn` and no later one.
    pub lsn: Lsn,
    /// Its epoch.
    pub epoch: Epoch,
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.lsn.0, self.epoch.0)
    }
}

impl FromStr for SnapshotId {
    type Err = OperationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers = text.split_once('-').and_then(|(lsn, epoch)| {
            Some(Self {
                lsn: Lsn(lsn.parse().ok()?),
                epoch: Epoch(epoch.parse().ok()?),
            })
        });
        // One spelling for one snapshot: no signs, no leading zeroes.
        numbers
            .filter(|id| id.to_string() == text)
            .ok_or(OperationError {
                what: "a snapshot is named by position and epoch, as in 17-3",
            })
    }
}

/// A label for people: 1 to [`MAX_SNAPSHOT_LABEL`] bytes of letters, digits, `.`, `_`, `-`, `:`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotLabel(String);

impl SnapshotLabel {
    /// Checks a label.
    ///
    /// # Errors
    /// When it is empty, too long, or holds other characters.
    pub fn new(label: impl Into<String>) -> Result<Self, OperationError> {
        let label = label.into();
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte);
        if (1..=MAX_SNAPSHOT_LABEL).contains(&label.len()) && label.bytes().all(known) {
            Ok(Self(label))
        } else {
            Err(OperationError {
                what: "a label has 1 to 64 letters, digits and . _ - :",
            })
        }
    }

    /// The label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SnapshotLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for SnapshotLabel {
    type Error = OperationError;

    fn try_from(label: String) -> Result<Self, Self::Error> {
        Self::new(label)
    }
}

impl From<SnapshotLabel> for String {
    fn from(label: SnapshotLabel) -> Self {
        label.0
    }
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum VolumeOperation {
    /// Keeps the image as of this entry, under the entry's name.
    SnapshotCreate {
        /// The label for people.
        label: SnapshotLabel,
    },
    /// Gives a snapshot up.
    SnapshotDelete {
        /// Which.
        snapshot: SnapshotId,
    },
    /// Makes the volume larger; the new blocks read as zeroes.
    Grow {
        /// The new size.
        blocks: BlockCount,
    },
    /// The volume holds again what a snapshot holds; blocks beyond its size read as zeroes.
    Restore {
        /// Which.
        snapshot: SnapshotId,
    },
}

/// Why something is no operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationError {
    /// What is wrong.
    pub what: &'static str,
}

impl fmt::Display for OperationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl std::error::Error for OperationError {}

impl VolumeOperation {
    /// The kind of its entry.
    #[must_use]
    pub const fn kind(&self) -> EntryKind {
        match self {
            Self::SnapshotCreate { .. } => EntryKind::SnapshotCreate,
            Self::SnapshotDelete { .. } => EntryKind::SnapshotDelete,
            Self::Grow { .. } => EntryKind::Grow,
            Self::Restore { .. } => EntryKind::Restore,
        }
    }

    /// Its argument as the payload of its entry; layout in `docs/formats.md`.
    #[must_use]
    pub fn encode(&self) -> [u8; OPERATION_BYTES] {
        let mut bytes = [0; OPERATION_BYTES];
        match self {
            Self::SnapshotCreate { label } => {
                let label = label.as_str().as_bytes();
                bytes[LABEL_LEN] = label.len() as u8;
                bytes[LABEL..LABEL + label.len()].copy_from_slice(label);
            }
            Self::SnapshotDelete { snapshot } | Self::Restore { snapshot } => {
                bytes[0..8].copy_from_slice(&snapshot.lsn.0.to_le_bytes());
                bytes[8..16].copy_from_slice(&snapshot.epoch.0.to_le_bytes());
            }
            Self::Grow { blocks } => bytes[0..8].copy_from_slice(&blocks.to_le_bytes()),
        }
        bytes
    }

    /// Reads the argument of an entry of this kind.
    ///
    /// # Errors
    /// When the kind is no operation, or the argument is not what [`VolumeOperation::encode`] makes.
    pub fn decode(kind: EntryKind, argument: &[u8]) -> Result<Self, OperationError> {
        let bad = |what| Err(OperationError { what });
        if argument.len() != OPERATION_BYTES {
            return bad("an argument has 256 bytes");
        }
        let number = |at: usize| {
            let mut value = [0; 8];
            value.copy_from_slice(&argument[at..at + 8]);
            u64::from_le_bytes(value)
        };
        let snapshot = SnapshotId {
            lsn: Lsn(number(0)),
            epoch: Epoch(number(8)),
        };
        let operation = match kind {
            EntryKind::SnapshotCreate => {
                let len = usize::from(argument[LABEL_LEN]);
                let label = argument.get(LABEL..LABEL + len).unwrap_or_default();
                Self::SnapshotCreate {
                    label: SnapshotLabel::new(String::from_utf8_lossy(label))?,
                }
            }
            EntryKind::SnapshotDelete => Self::SnapshotDelete { snapshot },
            EntryKind::Grow => Self::Grow { blocks: number(0) },
            EntryKind::Restore => Self::Restore { snapshot },
            EntryKind::Write | EntryKind::Trim | EntryKind::WriteZeroes | EntryKind::EpochStart => {
                return bad("an entry of this kind is no operation");
            }
        };
        if operation.encode() == argument {
            Ok(operation)
        } else {
            bad("bytes that mean nothing are not zero")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> [VolumeOperation; 4] {
        let snapshot = SnapshotId {
            lsn: Lsn(17),
            epoch: Epoch(3),
        };
        let label = SnapshotLabel::new("before-upgrade").unwrap();
        [
            VolumeOperation::SnapshotCreate { label },
            VolumeOperation::SnapshotDelete { snapshot },
            VolumeOperation::Grow { blocks: 1 << 20 },
            VolumeOperation::Restore { snapshot },
        ]
    }

    #[test]
    fn an_operation_reads_back_as_written() {
        for operation in all() {
            let bytes = operation.encode();
            let kind = operation.kind();
            assert!(kind.is_operation());
            assert_eq!(VolumeOperation::decode(kind, &bytes), Ok(operation));
        }
    }

    #[test]
    fn an_argument_has_one_spelling() {
        for operation in all() {
            let mut bytes = operation.encode();
            bytes[OPERATION_BYTES - 1] = 1;
            assert!(VolumeOperation::decode(operation.kind(), &bytes).is_err());
        }
        assert!(VolumeOperation::decode(EntryKind::Write, &[0; OPERATION_BYTES]).is_err());
        assert!(VolumeOperation::decode(EntryKind::Grow, &[0; 8]).is_err());
        let mut endless = all()[0].encode();
        endless[LABEL_LEN] = 255;
        assert!(VolumeOperation::decode(EntryKind::SnapshotCreate, &endless).is_err());
    }

    #[test]
    fn labels_and_names_are_checked() {
        assert!(SnapshotLabel::new("").is_err());
        assert!(SnapshotLabel::new("a/b").is_err());
        assert!(SnapshotLabel::new("x".repeat(65)).is_err());
        let id = all()[1].clone();
        let VolumeOperation::SnapshotDelete { snapshot } = id else {
            panic!("the second is a deletion");
        };
        assert_eq!(snapshot.to_string(), "17-3");
        assert_eq!("17-3".parse(), Ok(snapshot));
        for wrong in ["17", "+17-3", "017-3", "17-3-", "a-b"] {
            assert!(wrong.parse::<SnapshotId>().is_err(), "{wrong}");
        }
    }
}
