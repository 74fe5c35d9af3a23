//! Giving up the space of a deleted snapshot: what an older one reads from it is moved there, a
//! bounded piece at a time, then the file goes.
//!
//! Doing a piece again has no other outcome, so a crash costs nothing but the work. While it is under
//! way the file serves reads as before: what is overwritten in the image goes to the newest snapshot
//! that is *not* given up, so nothing is added behind the drain.

use std::sync::Arc;

use holdfast_types::{BLOCK_SIZE, BlockRange};

use super::PIECE_BLOCKS;
use super::chain::Chain;
use super::file::{ABSENT, SnapshotFault, ZEROES, named_at};
use crate::error::WriteBackError;

/// A piece of the oldest snapshot that was given up.
#[derive(Debug)]
#[must_use]
pub(crate) struct DrainStep {
    pub(crate) chain: Arc<Chain>,
    pub(crate) member: usize,
    /// The first block of the piece.
    pub(crate) from: u64,
}

/// Moves a piece; the block where the next one begins, or `None` when nothing reads from the file any
/// more.
pub(crate) fn drain(step: &DrainStep) -> Result<Option<u64>, WriteBackError> {
    let members = &step.chain.members;
    let Some(older) = step
        .member
        .checked_sub(1)
        .and_then(|older| members.get(older))
    else {
        return Ok(None);
    };
    let (from, to) = (&members[step.member].file, &older.file);
    let left = to.blocks().saturating_sub(step.from);
    let Ok(piece) = BlockRange::new(step.from, left.min(PIECE_BLOCKS)) else {
        return Ok(None);
    };
    let (theirs, ours) = (from.map(piece)?, to.map(piece)?);
    let mut named = Vec::new();
    let mut content = vec![0; BLOCK_SIZE];
    for (index, block) in (piece.start()..piece.end()).enumerate() {
        let name = named_at(&theirs, index);
        if name == ABSENT || named_at(&ours, index) != ABSENT {
            continue;
        }
        if name != ZEROES {
            from.read(block, name, &mut content)
                .map_err(SnapshotFault::into_error::<WriteBackError>)?;
            to.write(block, &content)?;
        }
        named.push((block, name));
    }
    to.name(&named)?;
    Ok((piece.end() < to.blocks()).then_some(piece.end()))
}
