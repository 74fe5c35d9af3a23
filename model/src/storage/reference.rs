//! The reference: what a volume contains, by the history of its entries alone. No disk, no
//! positions, no recovery: every claim about content is held against this (A7).

use super::vocabulary::{BLOCKS, Bounds, Entry, LSNS, Lsn};

/// The content of every block at position `at`.
#[must_use]
pub fn content(bounds: &Bounds, history: &[Entry; LSNS + 1], at: Lsn) -> [Entry; BLOCKS] {
    let mut blocks = [Entry::NONE; BLOCKS];
    redo(bounds, history, 0, at, &mut blocks);
    blocks
}

/// Replays the writes of `(from, to]` onto `blocks`.
pub fn redo(
    bounds: &Bounds,
    entries: &[Entry; LSNS + 1],
    from: Lsn,
    to: Lsn,
    blocks: &mut [Entry; BLOCKS],
) {
    for lsn in from + 1..=to.min(LSNS as Lsn) {
        let entry = entries[usize::from(lsn)];
        for (block, content) in blocks.iter_mut().enumerate().take(bounds.blocks) {
            if entry.is_some() && bounds.kind(entry).writes(block) {
                *content = entry;
            }
        }
    }
}

/// The position of the last entry of `(from, to]` that writes `block`.
#[must_use]
pub fn last_write(
    bounds: &Bounds,
    entries: &[Entry; LSNS + 1],
    block: usize,
    (from, to): (Lsn, Lsn),
) -> Option<Lsn> {
    (from + 1..=to).rev().find(|&lsn| {
        let entry = entries[usize::from(lsn)];
        entry.is_some() && bounds.kind(entry).writes(block)
    })
}
