//! `Append`: a batch of entries.
//!
//! ```text
//! previous lsn 8, previous epoch 8, committed 8, entries 4
//! then per entry: lsn 8, epoch 8, kind 1, [start 8, count 8 if the kind has a range], payload
//! ```
//!
//! The payload's length follows from kind and range, so that they cannot disagree.

use bytes::{BufMut, Bytes, BytesMut};
use holdfast_types::{
    BLOCK_SIZE, BlockRange, EntryKind, LogEntry, MAX_ENTRY_BLOCKS, OPERATION_BYTES,
};

use crate::error::{EncodeError, WireError};
use crate::fields::{Fields, put_position, put_range};
use crate::message::{Append, MAX_BATCH_ENTRIES};

const fn kind_number(kind: EntryKind) -> u8 {
    match kind {
        EntryKind::Write => 1,
        EntryKind::Trim => 2,
        EntryKind::WriteZeroes => 3,
        EntryKind::EpochStart => 4,
        EntryKind::SnapshotCreate => 5,
        EntryKind::SnapshotDelete => 6,
        EntryKind::Grow => 7,
        EntryKind::Restore => 8,
    }
}

fn kind_from_number(number: u8) -> Result<EntryKind, WireError> {
    match number {
        1 => Ok(EntryKind::Write),
        2 => Ok(EntryKind::Trim),
        3 => Ok(EntryKind::WriteZeroes),
        4 => Ok(EntryKind::EpochStart),
        5 => Ok(EntryKind::SnapshotCreate),
        6 => Ok(EntryKind::SnapshotDelete),
        7 => Ok(EntryKind::Grow),
        8 => Ok(EntryKind::Restore),
        other => Err(WireError::Value {
            field: "entry kind",
            value: u64::from(other),
        }),
    }
}

/// Bytes of payload that an entry of this kind and range carries.
fn payload_len(kind: EntryKind, range: Option<BlockRange>) -> Option<usize> {
    match (kind.has_payload(), range) {
        (true, Some(range)) if range.count() <= MAX_ENTRY_BLOCKS => {
            Some(usize::try_from(range.count()).ok()? * BLOCK_SIZE)
        }
        (true, _) => None,
        (false, _) if kind.is_operation() => Some(OPERATION_BYTES),
        (false, _) => Some(0),
    }
}

pub(super) fn encode(batch: &Append, out: &mut BytesMut) -> Result<(), EncodeError> {
    if batch.entries.len() > MAX_BATCH_ENTRIES || batch.entries.is_empty() {
        return Err(EncodeError::TooMany {
            items: batch.entries.len(),
            limit: MAX_BATCH_ENTRIES,
        });
    }
    put_position(out, batch.previous);
    out.put_u64_le(batch.committed.0);
    out.put_u32_le(u32::try_from(batch.entries.len()).unwrap_or(0));
    for entry in &batch.entries {
        encode_entry(entry, out)?;
    }
    Ok(())
}

fn encode_entry(entry: &LogEntry<Bytes>, out: &mut BytesMut) -> Result<(), EncodeError> {
    let expected = payload_len(entry.kind, entry.range);
    if expected != Some(entry.payload.len()) || entry.range.is_some() != entry.kind.has_range() {
        return Err(EncodeError::EntryPayload {
            lsn: entry.lsn.0,
            found: entry.payload.len(),
            expected: expected.unwrap_or(0),
        });
    }
    out.put_u64_le(entry.lsn.0);
    out.put_u64_le(entry.epoch.0);
    out.put_u8(kind_number(entry.kind));
    if let Some(range) = entry.range {
        put_range(out, range);
    }
    out.put_slice(&entry.payload);
    Ok(())
}

pub(super) fn decode(fields: &mut Fields) -> Result<Append, WireError> {
    let previous = fields.position("previous entry")?;
    let committed = fields.lsn("committed")?;
    let count = fields.u32("entries")?;
    let count = usize::try_from(count)
        .ok()
        .filter(|count| (1..=MAX_BATCH_ENTRIES).contains(count))
        .ok_or(WireError::Value {
            field: "entries",
            value: u64::from(count),
        })?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        entries.push(decode_entry(fields)?);
    }
    Ok(Append {
        previous,
        committed,
        entries,
    })
}

fn decode_entry(fields: &mut Fields) -> Result<LogEntry<Bytes>, WireError> {
    let lsn = fields.lsn("entry position")?;
    let epoch = fields.epoch("entry epoch")?;
    let kind = kind_from_number(fields.u8("entry kind")?)?;
    let range = if kind.has_range() {
        Some(fields.range("entry range")?)
    } else {
        None
    };
    let len = payload_len(kind, range).ok_or(WireError::Value {
        field: "entry blocks",
        value: range.map_or(0, BlockRange::count),
    })?;
    Ok(LogEntry {
        lsn,
        epoch,
        kind,
        range,
        payload: fields.bytes(len, "entry payload")?,
    })
}
