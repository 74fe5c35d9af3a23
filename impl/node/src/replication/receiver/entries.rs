//! Whether a batch of entries can follow what is here, before the store is asked.

use bytes::Bytes;
use holdfast_blockvol::MAX_BLOCKS;
use holdfast_types::{BlockCount, BlockRange, EntryKind, Epoch, LogEntry, Lsn, VolumeOperation};
use holdfast_wire::{LogPosition, Refusal};

/// The entries follow one another, their epochs never go back nor pass the session's, and their
/// ranges lie in the volume (F17), which an entry may make larger. The size after them.
pub(super) fn check_entries(
    previous: LogPosition,
    ceiling: Epoch,
    blocks: BlockCount,
    entries: &[LogEntry<Bytes>],
) -> Result<BlockCount, Refusal> {
    let mut blocks = blocks;
    let mut before = previous;
    for entry in entries {
        if before.lsn.checked_next() != Some(entry.lsn) {
            return Err(Refusal::NotContiguous {
                expected: before.lsn.checked_next().unwrap_or(Lsn::MAX),
                found: entry.lsn,
            });
        }
        if entry.epoch < before.epoch || entry.epoch > ceiling || entry.epoch.0 == 0 {
            return Err(Refusal::EntryEpoch {
                found: entry.epoch,
                floor: before.epoch,
                ceiling,
            });
        }
        check_range(entry.range, blocks)?;
        if entry.kind == EntryKind::Grow
            && let Ok(VolumeOperation::Grow { blocks: grown }) =
                VolumeOperation::decode(entry.kind, &entry.payload)
        {
            // The store looks at the rest of it.
            blocks = blocks.max(grown.min(MAX_BLOCKS));
        }
        before = LogPosition {
            lsn: entry.lsn,
            epoch: entry.epoch,
        };
    }
    Ok(blocks)
}

fn check_range(range: Option<BlockRange>, blocks: BlockCount) -> Result<(), Refusal> {
    match range {
        Some(range) if !range.is_within(blocks) => Err(Refusal::OutOfBounds { range, blocks }),
        Some(_) | None => Ok(()),
    }
}
