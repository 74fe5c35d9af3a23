//! Whether copies of a block are equal, and which of them may be repaired from which: a pure decision
//! from what each of them says of the block at one position of the log.
//!
//! Promises: content that fails its checksum is nobody's source; sound content is overwritten only by
//! what more than half of the compared copies hold; where neither says what is right, nothing is
//! repaired.
//!
//! Must never: count a copy that is not in sync, or two copies at two positions (the caller's part).

use std::collections::{BTreeMap, BTreeSet};

use holdfast_types::ReplicaId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A block as one copy would serve it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlockState {
    /// It fits its checksum: the SHA-256 of its content.
    Sound([u8; 32]),
    /// It fails its checksum, at rest in the image.
    Damaged,
    /// It is read from an entry of the log whose payload fails its checksum.
    DamagedEntry,
}

impl BlockState {
    /// The state of sound content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self::Sound(Sha256::digest(content).into())
    }

    /// As it stands in an answer: a digest in hexadecimal, or what is wrong.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Sound(digest) => hexadecimal(digest),
            Self::Damaged => "damaged".into(),
            Self::DamagedEntry => "damaged-entry".into(),
        }
    }

    /// Reads what [`BlockState::text`] writes.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "damaged" => Some(Self::Damaged),
            "damaged-entry" => Some(Self::DamagedEntry),
            digest => {
                let bytes = bytes_of(digest)?;
                Some(Self::Sound(bytes.try_into().ok()?))
            }
        }
    }
}

/// Bytes in hexadecimal, lower case.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out
}

/// The bytes of a text in hexadecimal; `None` when it is none.
#[must_use]
pub fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok())
        .collect()
}

/// What the copies of a block amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every copy is sound and holds the same.
    Equal,
    /// Not so, and it is known what is right: `targets` may be written from any of `sources`.
    Repairable {
        /// Sound copies of what is right.
        sources: BTreeSet<ReplicaId>,
        /// The others.
        targets: BTreeSet<ReplicaId>,
    },
    /// Not so, and nobody can say what is right.
    Undecided {
        /// Why.
        why: Undecided,
    },
}

/// Why a difference is not repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undecided {
    /// No copy is sound.
    NoneSound,
    /// Sound copies differ, and none of what they hold is on more than half of the copies.
    NoMajority,
}

/// Judges the copies of a block, all of one position.
#[must_use]
pub fn judge(states: &BTreeMap<ReplicaId, BlockState>) -> Verdict {
    let mut holders: BTreeMap<[u8; 32], BTreeSet<ReplicaId>> = BTreeMap::new();
    for (replica, state) in states {
        match state {
            BlockState::Sound(digest) => {
                holders.entry(*digest).or_default().insert(replica.clone());
            }
            BlockState::Damaged | BlockState::DamagedEntry => {}
        }
    }
    let agreed = holders.len() == 1;
    let right = holders
        .into_values()
        .find(|holders| agreed || holders.len() > states.len() / 2);
    let Some(sources) = right else {
        let sound = |state: &BlockState| matches!(state, BlockState::Sound(_));
        let why = if states.values().any(sound) {
            Undecided::NoMajority
        } else {
            Undecided::NoneSound
        };
        return Verdict::Undecided { why };
    };
    let targets: BTreeSet<_> = states.keys().cloned().collect();
    let targets: BTreeSet<_> = targets.difference(&sources).cloned().collect();
    if targets.is_empty() {
        return Verdict::Equal;
    }
    Verdict::Repairable { sources, targets }
}

#[cfg(test)]
mod tests;
