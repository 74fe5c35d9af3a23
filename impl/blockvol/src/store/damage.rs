//! What is known to be damaged: found by reads, by scrubbing, by copies; forgotten when repaired.

use std::collections::BTreeSet;

use holdfast_types::{BlockRange, Lsn};

use crate::error::Damage;
use crate::extent::join;

/// Blocks, and entries, that are remembered at most. What is beyond is found again.
const KNOWN_MAX: usize = 1 << 16;

/// What is known to be damaged in a store at present: by block range and by entry, so that the owner
/// can fetch it from another copy and repair it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DamageReport {
    /// Blocks of the image, in order.
    pub blocks: Vec<BlockRange>,
    /// Entries of the log, in order.
    pub entries: Vec<Lsn>,
}

impl DamageReport {
    /// Whether nothing is known to be damaged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.entries.is_empty()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct KnownDamage {
    blocks: BTreeSet<u64>,
    entries: BTreeSet<Lsn>,
}

impl KnownDamage {
    pub(crate) fn note(&mut self, damage: &Damage) {
        match damage {
            Damage::Extent { range } => {
                let room = KNOWN_MAX.saturating_sub(self.blocks.len());
                self.blocks.extend((range.start()..range.end()).take(room));
            }
            Damage::LogPayload { lsn, .. } => {
                if self.entries.len() < KNOWN_MAX {
                    self.entries.insert(*lsn);
                }
            }
            // These stop a store, or are mended where they are found.
            Damage::LogBroken { .. }
            | Damage::Superblock { .. }
            | Damage::SnapshotFile { .. }
            | Damage::SnapshotBlocks { .. } => {}
        }
    }

    pub(crate) fn forget_blocks(&mut self, range: BlockRange) {
        self.blocks
            .retain(|block| !(range.start()..range.end()).contains(block));
    }

    pub(crate) fn forget_entry(&mut self, lsn: Lsn) {
        self.entries.remove(&lsn);
    }

    pub(crate) fn report(&self) -> DamageReport {
        let mut blocks = Vec::new();
        for block in &self.blocks {
            join(&mut blocks, *block);
        }
        DamageReport {
            blocks,
            entries: self.entries.iter().copied().collect(),
        }
    }
}
