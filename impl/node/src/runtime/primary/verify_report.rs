//! What a verification of the copies found, as it is told.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_types::ReplicaId;
use serde::{Deserialize, Serialize};

use crate::verify::{BlockState, Undecided};

/// Ranges of blocks that are named in a report; more are counted.
const FINDINGS_MAX: usize = 1000;

/// What one copy holds of blocks that are not equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// What is right.
    Sound,
    /// Sound by its checksum, and not what the others hold.
    Differs,
    /// It fails its checksum.
    Damaged,
    /// It stands in an entry of the log that fails its checksum.
    DamagedEntry,
}

/// What became of blocks that are not equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// They were written again, and are equal now.
    Repaired,
    /// It is known what is right; nobody asked for a repair.
    Repairable,
    /// Nobody can say what is right.
    Undecided {
        /// Why.
        why: Undecided,
    },
    /// They could not be written.
    NotRepaired {
        /// Why, and what to do.
        what: String,
    },
}

/// Blocks that are not equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyFinding {
    /// The first block.
    pub block: u64,
    /// How many.
    pub count: u64,
    /// What each copy held.
    pub copies: BTreeMap<ReplicaId, Held>,
    /// What became of them.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How far a verification is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyStatus {
    /// Chunks that were compared.
    pub chunks_done: u64,
    /// Chunks in all.
    pub chunks_total: u64,
    /// Blocks that were not equal, or not sound.
    pub blocks_found: u64,
    /// Blocks of these that were repaired.
    pub blocks_repaired: u64,
    /// Blocks that were written all the while, and are not judged.
    pub blocks_busy: u64,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// How much was compared.
    pub summary: VerifyStatus,
    /// The copies that were compared to the end.
    pub copies: BTreeSet<ReplicaId>,
    /// The copies that were not, and why.
    pub left_out: BTreeMap<ReplicaId, String>,
    /// The blocks, in order; at most 1000 ranges.
    pub findings: Vec<VerifyFinding>,
}

impl VerifyReport {
    /// Whether every block of every copy that was compared is sound and equal now.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.summary.blocks_found == self.summary.blocks_repaired
    }

    pub(super) fn note(&mut self, block: u64, copies: BTreeMap<ReplicaId, Held>, outcome: Outcome) {
        self.summary.blocks_found += 1;
        if outcome == Outcome::Repaired {
            self.summary.blocks_repaired += 1;
        }
        if let Some(last) = self.findings.last_mut()
            && last.block + last.count == block
            && (&last.copies, &last.outcome) == (&copies, &outcome)
        {
            last.count += 1;
            return;
        }
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(VerifyFinding {
                block,
                count: 1,
                copies,
                outcome,
            });
        }
    }
}

/// What each copy holds, by what is right.
pub(super) fn held(
    states: &BTreeMap<ReplicaId, BlockState>,
    sources: &BTreeSet<ReplicaId>,
) -> BTreeMap<ReplicaId, Held> {
    let each = states.iter().map(|(replica, state)| {
        let held = match state {
            BlockState::Sound(_) if sources.contains(replica) => Held::Sound,
            BlockState::Sound(_) => Held::Differs,
            BlockState::Damaged => Held::Damaged,
            BlockState::DamagedEntry => Held::DamagedEntry,
        };
        (replica.clone(), held)
    });
    each.collect()
}
