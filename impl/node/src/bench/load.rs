//! What the cases do to a volume, said once: a block is written, writes go to random places with a flush
//! now and then, and what is left in the log is written back.

use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_blockvol::Volume;
use holdfast_types::{BLOCK_SIZE, BlockRange, EntryKind};

use super::random::Random;
use super::scratch::{During, EPOCH};
use crate::failure::Failure;

/// Small writes from one flush to the next.
pub(super) const WRITES_PER_FLUSH: u64 = 256;

/// Writes `data`, whole blocks, from `block` on.
pub(super) fn write_block(volume: &Volume, block: u64, data: Bytes) -> Result<(), Failure> {
    let range = BlockRange::new(block, (data.len() / BLOCK_SIZE) as u64).during("a range")?;
    volume
        .append(EPOCH, EntryKind::Write, range, data)
        .map(drop)
        .during("an append")
}

/// Makes what was written durable.
pub(super) fn flush(volume: &Volume) -> Result<(), Failure> {
    volume.sync().map(drop).during("a flush")
}

/// Writes `data` to random places for so long, with a flush each [`WRITES_PER_FLUSH`], which is also the
/// last thing done; how often.
pub(super) fn write_at_random(
    volume: &Volume,
    random: &mut Random,
    data: &Bytes,
    time: Duration,
) -> Result<u64, Failure> {
    let begun = Instant::now();
    let mut writes = 0;
    while begun.elapsed() < time {
        for _ in 0..WRITES_PER_FLUSH {
            write_block(volume, random.below(volume.blocks()), data.clone())?;
        }
        flush(volume)?;
        writes += WRITES_PER_FLUSH;
    }
    Ok(writes)
}

/// Writes back until the image has all that is in the log.
pub(super) fn drain(volume: &Volume) -> Result<(), Failure> {
    while volume.positions().checkpoint < volume.positions().head {
        volume.write_back().during("write-back")?;
    }
    Ok(())
}
