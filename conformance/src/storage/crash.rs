//! What a power loss leaves of what was not synced, sector of the specification by sector of it.

use holdfast_blockvol::SECTOR;
use holdfast_blockvol::sim::{Medium, SimRng};
use holdfast_model::storage::state::State;
use holdfast_model::storage::vocabulary::{Bounds, LSNS};

use super::disk::{Files, place_of};
use super::layout::{BLOCK, RING_BYTES, RING_OFFSET, snapshot_id};

/// Where the superblock slots stand on the log's disk.
pub(super) const SUPERBLOCKS: [(u64, u64); 2] = [(0, 4096), (32 << 10, (32 << 10) + 4096)];
/// Where the ring stands there.
pub(super) const RING: (u64, u64) = (RING_OFFSET, RING_OFFSET + RING_BYTES);

/// From where to where in the log each entry's group stands, in bytes ever logged.
pub(super) type Places = [Option<(u64, u64)>; LSNS + 1];

/// A stretch of the log on its disk, around the end of the ring.
pub(super) fn on_disk((from, to): (u64, u64)) -> Vec<(u64, u64)> {
    let place = from % RING_BYTES;
    let before = (to - from).min(RING_BYTES - place);
    let after = to - from - before;
    let mut ranges = vec![(RING_OFFSET + place, RING_OFFSET + place + before)];
    if after > 0 {
        ranges.push((RING_OFFSET, RING_OFFSET + after));
    }
    ranges
}

/// The unsynced sectors of a stretch of the log.
fn unsynced(files: &Files, stretch: (u64, u64)) -> Vec<u64> {
    let Some(log) = files.file(Medium::Log) else {
        return Vec::new();
    };
    (on_disk(stretch).into_iter())
        .flat_map(|(from, to)| log.unsynced_in(from, to))
        .collect()
}

/// One sector of the specification: some of the volume's, of one file or two.
struct Piece {
    sectors: Vec<(Medium, u64)>,
    /// The first sector of a group: without it nothing of the group is there.
    key: Option<(Medium, u64)>,
}

fn pieces(bounds: &Bounds, files: &Files, places: &Places, before: &State) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for sector in &before.disk.cached.log {
        pieces.push(log_piece(bounds, files, places, sector.entry, sector.part));
    }
    for slot in 0..2 {
        // The one that is in flight, whichever slot the volume wrote it to.
        let in_flight =
            before.disk.durable.superblocks[slot] != before.disk.cached.superblocks[slot];
        let dirty = SUPERBLOCKS.iter().flat_map(|(from, to)| {
            let log = files.file(Medium::Log);
            log.map_or(Vec::new(), |log| log.unsynced_in(*from, *to))
        });
        pieces.push(Piece {
            sectors: (dirty.filter(|_| in_flight).map(|at| (Medium::Log, at))).collect(),
            key: None,
        });
    }
    for block in BLOCK {
        pieces.push(block_piece(files, Medium::Extent, block));
    }
    let snapshot = before.disk.durable.superblock().snapshot;
    for block in BLOCK {
        let medium = Medium::Snapshot(snapshot_id(snapshot));
        pieces.push(block_piece(files, medium, block));
    }
    pieces
}

fn log_piece(
    bounds: &Bounds,
    files: &Files,
    places: &Places,
    entry: holdfast_model::storage::vocabulary::Entry,
    part: u8,
) -> Piece {
    let place = if entry.is_some() {
        places[usize::from(entry.lsn())]
    } else {
        None
    };
    let Some((from, to)) = place else {
        return Piece {
            sectors: Vec::new(),
            key: None,
        };
    };
    let parts = u64::from(bounds.kind(entry).sectors());
    let share = (to - from).div_ceil(parts).next_multiple_of(SECTOR);
    let begin = from + share * u64::from(part);
    let first = on_disk((from, to))[0].0 / SECTOR;
    let all = unsynced(files, (begin, to.min(begin + share)));
    let key = unsynced(files, (from, from + SECTOR));
    Piece {
        sectors: (all.into_iter().filter(|at| *at != first))
            .map(|at| (Medium::Log, at))
            .collect(),
        key: key.first().map(|at| (Medium::Log, *at)),
    }
}

fn block_piece(files: &Files, medium: Medium, block: u64) -> Piece {
    let (from, to) = place_of(medium, block);
    let content = files.file(medium).map(|file| file.unsynced_in(from, to));
    Piece {
        sectors: (content.unwrap_or_default().into_iter())
            .map(|at| (medium, at))
            .collect(),
        key: None,
    }
}

fn land(files: &mut Files, sectors: impl IntoIterator<Item = (Medium, u64)>) {
    for (medium, sector) in sectors {
        if let Some(file) = files.file_mut(medium) {
            file.land([sector]);
        }
    }
}

/// Lands a block of the image with its sum.
pub(super) fn land_block(files: &mut Files, block: u64) {
    let piece = block_piece(files, Medium::Extent, block);
    land(files, piece.sectors);
    land_sum(files, block);
}

fn land_sum(files: &mut Files, block: u64) {
    land(files, [(Medium::Sums, block * 4 / SECTOR)]);
}

/// The files after a power loss in which `landed` reached the medium and `torn` did in part.
pub(super) fn lose_power(
    bounds: &Bounds,
    files: &Files,
    places: &Places,
    before: &State,
    (landed, torn): (u16, Option<u8>),
    rng: &mut SimRng,
) -> Files {
    let mut left = files.clone();
    let pieces = pieces(bounds, files, places, before);
    // What the specification knows nothing of lands or does not.
    for medium in left.media() {
        let Some(file) = left.file_mut(medium) else {
            continue;
        };
        if medium != Medium::Log && medium != Medium::Extent {
            let some: Vec<u64> = file.unsynced_in(0, u64::MAX);
            file.land(some.into_iter().filter(|_| rng.below(2) == 0));
        }
    }
    let lands = |piece: usize| landed >> piece & 1 == 1;
    for (number, piece) in pieces.iter().enumerate() {
        if lands(number) {
            land(&mut left, piece.sectors.iter().copied());
        }
        let whole = (pieces.iter().enumerate())
            .filter(|(_, other)| other.key == piece.key)
            .all(|(other, _)| lands(other));
        if whole {
            land(&mut left, piece.key);
        }
        if torn.map(usize::from) == Some(number) {
            land(&mut left, some_of(&piece.sectors, rng));
        }
    }
    for (index, block) in BLOCK.into_iter().enumerate() {
        if lands(LOG_AND_SUPERBLOCKS + index) {
            land_sum(&mut left, block);
        }
    }
    left.lose_power();
    left
}

/// Sectors of the specification before those of the image.
const LOG_AND_SUPERBLOCKS: usize = holdfast_model::storage::vocabulary::SLOTS + 2;

/// A part of them: not none, and not all.
fn some_of(sectors: &[(Medium, u64)], rng: &mut SimRng) -> Vec<(Medium, u64)> {
    if sectors.len() < 2 {
        return Vec::new();
    }
    let all = sectors.len() as u64;
    let (kept, left_out) = (rng.below(all), rng.below(all - 1));
    let left_out = (kept + 1 + left_out) % all;
    (0..all)
        .filter(|at| *at == kept || *at != left_out && rng.below(2) == 0)
        .map(|at| sectors[at as usize])
        .collect()
}
