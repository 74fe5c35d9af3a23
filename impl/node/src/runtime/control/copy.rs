//! What the primary of a volume asks of the node of an in-sync copy, of single blocks: between nodes
//! alone, and under the epoch and session of the copy's present session.

use holdfast_types::{Epoch, Lsn, SessionId, VolumeId};
use serde::{Deserialize, Serialize};

/// Under which session a copy is asked: of any other it answers nothing (T7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopyAuthority {
    /// The volume.
    pub volume: VolumeId,
    /// The epoch of the primary that asks.
    pub epoch: Epoch,
    /// The session in which the copy is in sync.
    pub session: SessionId,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "copy", rename_all = "snake_case", deny_unknown_fields)]
pub enum CopyRequest {
    /// What each block of a chunk is here.
    States {
        /// The chunk, of 256 blocks.
        chunk: u64,
    },
    /// Which snapshots it has.
    Snapshots,
    /// The content of a block.
    Content {
        /// The block.
        block: u64,
    },
    /// Write a block of the image again.
    Repair {
        /// The block.
        block: u64,
        /// The position of the log that the content is of.
        at: Lsn,
        /// The content, in hexadecimal.
        content: String,
    },
}

/// The answer: content of some position from `from` to `to`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "copy", rename_all = "snake_case")]
pub enum CopyReply {
    /// The states of a chunk's blocks.
    States {
        /// The head before they were read.
        from: Lsn,
        /// The head after.
        to: Lsn,
        /// Each as [`crate::verify::BlockState::text`].
        blocks: Vec<String>,
    },
    /// A block.
    Content {
        /// The head before it was read.
        from: Lsn,
        /// The head after.
        to: Lsn,
        /// Its content, in hexadecimal.
        content: String,
    },
    /// The names of its snapshots.
    Snapshots {
        /// In order.
        snapshots: Vec<String>,
    },
    /// It is written, and was read back.
    Repaired,
}
