//! The reference: what a volume contains, by the history of its entries alone. No disk, no
//! positions, no recovery: every claim about content is held against this (A7).

use super::vocabulary::{BLOCKS, Bounds, Entry, Kind, LSNS, Lsn};

/// A volume's content, and that of its snapshot (which is the zero volume where there is none).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The volume, block by block.
    pub blocks: [Entry; BLOCKS],
    /// The snapshot, block by block.
    pub snapshot: [Entry; BLOCKS],
}

/// The content of every block at position `at`.
#[must_use]
pub fn content(bounds: &Bounds, history: &[Entry; LSNS + 1], at: Lsn) -> [Entry; BLOCKS] {
    let mut content = Content::default();
    redo(bounds, history, (0, at), &mut content);
    content.blocks
}

/// Replays the entries of `(from, to]`.
pub fn redo(
    bounds: &Bounds,
    entries: &[Entry; LSNS + 1],
    (from, to): (Lsn, Lsn),
    content: &mut Content,
) {
    for lsn in from + 1..=to.min(LSNS as Lsn) {
        let entry = entries[usize::from(lsn)];
        if !entry.is_some() {
            continue;
        }
        match bounds.kind(entry) {
            Kind::Snapshot => content.snapshot = content.blocks,
            Kind::Drop => content.snapshot = [Entry::NONE; BLOCKS],
            Kind::Restore => content.blocks = content.snapshot,
            kind @ (Kind::First | Kind::Second | Kind::Both) => {
                for (block, content) in content.blocks.iter_mut().enumerate().take(bounds.blocks) {
                    if kind.writes(block) {
                        *content = entry;
                    }
                }
            }
        }
    }
}
