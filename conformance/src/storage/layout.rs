//! How the specification's few sectors and blocks stand in a volume of real sizes.
//!
//! An entry of the specification is a *group* of [`GROUP`] entries of the volume: one that begins its
//! epoch (or a trim, which takes as much room), three that fill, and the one that does what the
//! entry does. Groups are of such sizes that as many fit into the smallest log ring as the
//! instance has sectors, and one more does not; so the ring wraps and is full when the
//! specification's is. Their number is the same for all, so positions translate by a factor.
//!
//! A group is there as a whole or not at all: the rig never lets the first sector of a group land
//! without the rest of it. (That a volume recovers from every other prefix is what the crash
//! exploration of its own tests is about.)

use bytes::Bytes;
use holdfast_model::storage::vocabulary::{Bounds, Entry, Kind, LSNS, Lsn as Position, REBUILDING};
use holdfast_types::{
    BLOCK_SIZE, BlockRange, EntryKind, Epoch, LogEntry, Lsn, SnapshotId, SnapshotLabel,
    VolumeOperation,
};

/// Entries of the volume that stand for one of the specification.
pub(super) const GROUP: u64 = 5;
/// Bytes of the log ring: the smallest that there is.
pub(super) const RING_BYTES: u64 = 128 << 10;
/// Where the ring begins on its disk.
pub(super) const RING_OFFSET: u64 = 64 << 10;
/// Blocks of the volume.
pub(super) const BLOCKS: u64 = 146;
/// The volume's block of each of the specification's: neighbours, so that one entry writes both, and
/// with their sums in different sectors.
pub(super) const BLOCK: [u64; 2] = [127, 128];
/// All other blocks that are ever written; nothing depends on what is there.
pub(super) const SCRATCH: &[u64] = &[
    124, 125, 126, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 139, 140, 141, 142, 143, 144,
    145,
];
const FILLED: [u64; 3] = [132, 136, 140];
const TRIMMED: u64 = 144;
/// Bytes of an entry's header.
const HEADER: u64 = 512;

/// The volume's position of one of the specification's.
pub(super) fn lsn(position: Position) -> Lsn {
    if position == REBUILDING {
        Lsn::MAX
    } else {
        Lsn(u64::from(position) * GROUP)
    }
}

/// The specification's position of one of the volume's: of the last whole group.
pub(super) fn position(lsn: Lsn) -> Position {
    if lsn == Lsn::MAX {
        REBUILDING
    } else {
        (lsn.0 / GROUP) as Position
    }
}

/// The volume's epoch of one of the specification's. In between is room for that of a primary
/// elsewhere.
pub(super) fn epoch(epoch: u8) -> Epoch {
    Epoch(u64::from(epoch) * 2)
}

fn range(start: u64, count: u64) -> BlockRange {
    let Ok(range) = BlockRange::new(start, count) else {
        unreachable!("ranges are of a few blocks")
    };
    range
}

/// A block's content, by the name of the entry that wrote it.
pub(super) fn content(entry: Entry) -> Vec<u8> {
    vec![entry.0; BLOCK_SIZE]
}

/// The entry whose content a block is; [`Entry::TORN`] for a mixture.
pub(super) fn entry_of(block: &[u8]) -> Entry {
    match block.first() {
        Some(first) if block.iter().all(|byte| byte == first) => Entry(*first),
        Some(_) | None => Entry::TORN,
    }
}

/// Blocks of each of the three that fill, and of the last one, in a group.
fn sizes(slots: u8, kind: Kind) -> ([u64; 3], u64) {
    match (slots, kind) {
        (2, Kind::Snapshot | Kind::Drop | Kind::Restore) => ([4, 4, 4], 0),
        (2, Kind::First | Kind::Second | Kind::Both) => ([3, 3, 3], 3),
        (3, Kind::Snapshot | Kind::Drop | Kind::Restore) => ([3, 3, 2], 0),
        (3, Kind::First | Kind::Second) => ([2, 2, 2], 2),
        (3, Kind::Both) => ([4, 4, 4], 4),
        (_, Kind::Snapshot | Kind::Drop | Kind::Restore) => ([2, 2, 2], 0),
        (_, Kind::First | Kind::Second) => ([2, 2, 1], 1),
        (_, Kind::Both) => ([3, 3, 3], 3),
    }
}

fn stored(payload_blocks: u64) -> u64 {
    // A header of 128 bytes; payload and header end on a sector.
    HEADER + payload_blocks * BLOCK_SIZE as u64
}

/// Bytes of log that a group takes.
pub(super) fn group_bytes(bounds: &Bounds, kind: Kind) -> u64 {
    let (filled, last) = sizes(bounds.slots, kind);
    filled
        .iter()
        .fold(HEADER + stored(last), |sum, count| sum + stored(*count))
}

/// Bytes of log before the payload of a group's last entry.
pub(super) fn payload_at(bounds: &Bounds, kind: Kind) -> u64 {
    let (_, last) = sizes(bounds.slots, kind);
    group_bytes(bounds, kind) - stored(last) + HEADER
}

/// The blocks that the last entry of a group writes.
fn target(kind: Kind, count: u64) -> BlockRange {
    match kind {
        Kind::First => range(BLOCK[0] + 1 - count, count),
        Kind::Second => range(BLOCK[1], count),
        Kind::Both => range(BLOCK[0] - 1, count),
        Kind::Snapshot | Kind::Drop | Kind::Restore => unreachable!("an operation names no range"),
    }
}

/// The name of the snapshot that an entry at `at` finds, by the history before it.
pub(super) fn snapshot_before(
    bounds: &Bounds,
    history: &[Entry; LSNS + 1],
    at: Position,
) -> Option<Entry> {
    let mut found = None;
    for entry in &history[1..usize::from(at)] {
        match bounds.kind(*entry) {
            Kind::Snapshot if entry.is_some() => found = Some(*entry),
            Kind::Drop if entry.is_some() => found = None,
            Kind::First
            | Kind::Second
            | Kind::Both
            | Kind::Snapshot
            | Kind::Drop
            | Kind::Restore => {}
        }
    }
    found
}

/// What the volume calls a snapshot.
pub(super) fn snapshot_id(entry: Entry) -> SnapshotId {
    SnapshotId {
        lsn: lsn(entry.lsn()),
        epoch: epoch(entry.epoch()),
    }
}

fn operation(bounds: &Bounds, history: &[Entry; LSNS + 1], entry: Entry) -> VolumeOperation {
    let there = || {
        let found = snapshot_before(bounds, history, entry.lsn());
        found.map_or(snapshot_id(Entry::NONE), snapshot_id)
    };
    match bounds.kind(entry) {
        Kind::Snapshot => VolumeOperation::SnapshotCreate {
            label: SnapshotLabel::new("s")
                .unwrap_or_else(|_| unreachable!("a label of one letter")),
        },
        Kind::Drop => VolumeOperation::SnapshotDelete { snapshot: there() },
        Kind::Restore => VolumeOperation::Restore { snapshot: there() },
        Kind::First | Kind::Second | Kind::Both => unreachable!("a write is no operation"),
    }
}

/// The entries that stand for `entry` after a log whose last entry is of epoch `last`.
pub(super) fn group(
    bounds: &Bounds,
    history: &[Entry; LSNS + 1],
    entry: Entry,
    last: Epoch,
) -> Vec<LogEntry<Bytes>> {
    let kind = bounds.kind(entry);
    let (filled, count) = sizes(bounds.slots, kind);
    let epoch = epoch(entry.epoch());
    let first = lsn(entry.lsn() - 1).0 + 1;
    let numbered = |number: u64, kind, range, payload| LogEntry {
        lsn: Lsn(first + number),
        epoch,
        kind,
        range,
        payload,
    };
    let written = |count: u64| Bytes::from(vec![entry.0; count as usize * BLOCK_SIZE]);
    let lead = if last == epoch {
        numbered(0, EntryKind::Trim, Some(range(TRIMMED, 1)), Bytes::new())
    } else {
        numbered(0, EntryKind::EpochStart, None, Bytes::new())
    };
    let mut entries = vec![lead];
    for (number, (count, start)) in (1..).zip(filled.into_iter().zip(FILLED)) {
        let range = Some(range(start, count));
        entries.push(numbered(number, EntryKind::Write, range, written(count)));
    }
    entries.push(if kind.is_operation() {
        let operation = operation(bounds, history, entry);
        let argument = Bytes::copy_from_slice(&operation.encode());
        numbered(4, operation.kind(), None, argument)
    } else {
        let range = Some(target(kind, count));
        numbered(4, EntryKind::Write, range, written(count))
    });
    entries
}

#[cfg(test)]
mod tests {
    use holdfast_model::storage::instances::{BOUNDS, INSTANCES};

    use super::*;

    /// Bytes of the ring that entries may take: an eighth is kept for epochs that begin.
    const ROOM: u64 = RING_BYTES / 8 * 7;

    /// All ways to fill a log of that many sectors, up to one entry too many.
    fn fills(kinds: &[Kind], sectors: u8, so_far: &[Kind], seen: &mut Vec<(u8, Vec<Kind>)>) {
        let used: u8 = so_far.iter().map(|kind| kind.sectors()).sum();
        seen.push((used, so_far.to_vec()));
        if used <= sectors {
            for kind in kinds {
                let longer = [so_far, &[*kind]].concat();
                fills(kinds, sectors, &longer, seen);
            }
        }
    }

    #[test]
    fn the_ring_is_full_when_the_specifications_is() {
        for (instance, bounds) in INSTANCES.iter().zip(&BOUNDS) {
            let kinds: Vec<Kind> = bounds.script.concat();
            let mut seen = Vec::new();
            fills(&kinds, bounds.slots, &[], &mut seen);
            for (used, kinds) in seen {
                let bytes: u64 = kinds.iter().map(|kind| group_bytes(bounds, *kind)).sum();
                let name = instance.name;
                assert_eq!(used <= bounds.slots, bytes <= ROOM, "{name}: {kinds:?}");
            }
        }
    }
}
