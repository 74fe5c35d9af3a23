//! Copying out what is about to be overwritten, and writing a snapshot back over the image.

use holdfast_types::{BLOCK_SIZE, BlockCount, BlockRange};

use super::PIECE_BLOCKS;
use super::chain::{Chain, Found};
use super::file::{SnapshotFault, SnapshotFile, ZEROES};
use crate::error::WriteBackError;
use crate::extent::{Extent, Fault, SUM_OF_ZEROES, join, sum_at};
use crate::image::range_bytes;

/// Splits a range into pieces.
pub(crate) fn pieces(range: BlockRange) -> impl Iterator<Item = BlockRange> {
    let end = range.end();
    (range.start()..end)
        .step_by(PIECE_BLOCKS as usize)
        .filter_map(move |start| BlockRange::new(start, PIECE_BLOCKS.min(end - start)).ok())
}

/// Copies those blocks of ranges, which are about to change, that the newest snapshot would read from
/// the image; they are durable, and named, when this returns.
pub(crate) fn copy_out(
    chain: &Chain,
    extent: &Extent,
    ranges: impl IntoIterator<Item = BlockRange>,
) -> Result<(), WriteBackError> {
    let Some(target) = chain.newest() else {
        return Ok(());
    };
    let file = &chain.members[target].file;
    let mut named = Vec::new();
    for piece in ranges.into_iter().flat_map(pieces) {
        let count = file
            .blocks()
            .saturating_sub(piece.start())
            .min(piece.count());
        let Ok(piece) = BlockRange::new(piece.start(), count) else {
            continue; // blocks that the volume did not have then
        };
        let mut missing = Vec::new();
        for (block, found) in (piece.start()..).zip(chain.locate(target, piece)?) {
            if found == Found::Image {
                join(&mut missing, block);
            }
        }
        for run in missing {
            copy_run(file, extent, run, &mut named)?;
        }
        if named.len() as u64 >= 4 * PIECE_BLOCKS {
            file.name(&named)?;
            named.clear();
        }
    }
    Ok(file.name(&named)?)
}

fn copy_run(
    file: &SnapshotFile,
    extent: &Extent,
    run: BlockRange,
    named: &mut Vec<(u64, u32)>,
) -> Result<(), WriteBackError> {
    let sums = extent.sums(run)?;
    if sums.iter().all(|byte| *byte == 0) {
        // Zeroes need no copy, but their name: they are about to be something else.
        named.extend((run.start()..run.end()).map(|block| (block, ZEROES)));
        return Ok(());
    }
    let mut content = vec![0; range_bytes(run) as usize];
    extent
        .read(run, &mut content)
        .map_err(Fault::certain::<WriteBackError>)?;
    file.write(run.start(), &content)?;
    for (index, block) in (run.start()..run.end()).enumerate() {
        let sum = sum_at(&sums, index);
        named.push((block, if sum == SUM_OF_ZEROES { ZEROES } else { sum }));
    }
    Ok(())
}

/// Writes a snapshot over the image of so many blocks and makes it durable. What younger snapshots
/// read from the image is copied out before. Doing it again, after a crash, has the same outcome: all
/// that it reads from is in files that it only adds to.
pub(crate) fn restore(
    chain: &Chain,
    from: usize,
    extent: &Extent,
    blocks: BlockCount,
) -> Result<(), WriteBackError> {
    let file = &chain.members[from].file;
    let Ok(all) = BlockRange::new(0, blocks) else {
        unreachable!("a volume has blocks");
    };
    for piece in pieces(all) {
        let found = chain.locate(from, piece)?;
        let mut changes = Vec::new();
        for (block, found) in (piece.start()..).zip(&found) {
            if *found != Found::Image || block >= file.blocks() {
                join(&mut changes, block);
            }
        }
        copy_out(chain, extent, changes.iter().copied())?;
        write_piece(chain, extent, file.blocks(), piece, &found)?;
    }
    Ok(extent.sync()?)
}

fn write_piece(
    chain: &Chain,
    extent: &Extent,
    had: BlockCount,
    piece: BlockRange,
    found: &[Found],
) -> Result<(), WriteBackError> {
    let mut overwrite = extent.overwrite();
    let mut content = vec![0; BLOCK_SIZE];
    let mut zeroes = Vec::new();
    for (block, found) in (piece.start()..).zip(found) {
        match found {
            Found::Copied { named: ZEROES, .. } => join(&mut zeroes, block),
            Found::Copied { member, named } if block < had => {
                chain.members[*member]
                    .file
                    .read(block, *named, &mut content)
                    .map_err(SnapshotFault::into_error::<WriteBackError>)?;
                overwrite.write(block, &content)?;
            }
            Found::Copied { .. } => join(&mut zeroes, block),
            Found::Image if block >= had => join(&mut zeroes, block),
            Found::Image => {}
        }
    }
    for range in zeroes {
        overwrite.zero(range)?;
    }
    Ok(overwrite.finish()?)
}
