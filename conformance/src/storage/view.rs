//! What can be seen of one node's storage, in the specification's words: once as the specification
//! says it, once read from the volume and its disks.

use holdfast_blockvol::sim::Medium;
use holdfast_blockvol::{Role, Store};
use holdfast_model::storage::disk::{EXTENT_SECTORS, LOG_SECTORS};
use holdfast_model::storage::state::{Phase, State};
use holdfast_model::storage::vocabulary::{BLOCKS, Bounds, Entry, Kind, Lsn as Position};
use holdfast_model::storage::{Storage as Spec, reference};
use holdfast_types::{BLOCK_SIZE, BlockRange};

use super::crash::{SUPERBLOCKS, on_disk};
use super::disk::{Files, place_of};
use super::layout::{BLOCK, entry_of, position};
use super::rig::System;

/// What the node does for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Serves {
    /// Nothing: there is no process, or it is about to.
    #[default]
    Nothing,
    /// Everything.
    All,
    /// Reads at most: a sync failed.
    Stopped,
    /// A rebuild alone.
    Rebuild,
}

/// The positions of a node that is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    /// The last entry.
    pub head: Position,
    /// The last that survives a crash.
    pub durable: Position,
    /// The last that is known to be committed.
    pub committed: Position,
    /// The image holds every effect up to here.
    pub checkpoint: Position,
    /// The image holds none beyond.
    pub extent_bound: Position,
    /// The log is retained from here.
    pub tail: Position,
}

/// What can be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// What it does.
    pub serves: Serves,
    /// Where it stands, if it is open.
    pub positions: Option<Positions>,
    /// What a read of each block returns; `None` where reads wait or may fail.
    pub blocks: Option<[Entry; BLOCKS]>,
    /// The image as reads of the disk show it.
    pub image: [Entry; BLOCKS],
    /// The image as a power loss would leave it if nothing lands by accident.
    pub durable_image: [Entry; BLOCKS],
    /// The entries of the log that are not durable, as a set.
    pub unsynced_log: u8,
    /// Whether a superblock is written and not durable.
    pub superblock_in_flight: bool,
    /// The blocks of the image that are not durable, as a set.
    pub unsynced_image: u8,
    /// The snapshot and its content.
    pub snapshot: Option<(Entry, [Entry; BLOCKS])>,
    /// Whether it may make entries in its epoch.
    pub serving: bool,
}

/// What the specification says, and the two places where the volume may be ahead of it
/// (`docs/conformance.md`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// What it says.
    pub view: View,
    /// The bound may be lower, down to here: it does not pass an operation before that is at hand.
    pub bound_from: Position,
    /// The tail may be further, up to here: a checkpoint frees what the one before it let go.
    pub tail_to: Position,
}

impl Expected {
    /// Whether a volume is what the specification says.
    #[must_use]
    pub fn is(&self, seen: &View) -> bool {
        let mut exact = seen.clone();
        if let (Some(said), Some(found)) = (self.view.positions, &mut exact.positions) {
            if (self.bound_from..=said.extent_bound).contains(&found.extent_bound) {
                found.extent_bound = said.extent_bound;
            }
            if (said.tail..=self.tail_to).contains(&found.tail) {
                found.tail = said.tail;
            }
        }
        exact == self.view
    }
}

/// The first operation beyond the durable checkpoint.
pub(super) fn operation(bounds: &Bounds, state: &State) -> Option<Position> {
    let checkpoint = state.disk.durable.superblock().checkpoint;
    (checkpoint + 1..=state.head).find(|lsn| {
        bounds
            .kind(state.ghost.history[usize::from(*lsn)])
            .is_operation()
    })
}

fn reads_wait(bounds: &Bounds, state: &State) -> bool {
    let checkpoint = state.disk.durable.superblock().checkpoint;
    (checkpoint + 1..=state.head)
        .any(|lsn| bounds.kind(state.ghost.history[usize::from(lsn)]) == Kind::Restore)
}

/// Whether something can be said of what reads return: the log is not damaged, and holds what the image
/// needs to be exact.
fn is_whole(state: &State) -> bool {
    let bound = state.disk.durable.superblock().extent_bound;
    state.phase == Phase::Open && state.ghost.damaged == 0 && bound <= state.head
}

fn serves(phase: Phase) -> Serves {
    match phase {
        Phase::Open => Serves::All,
        Phase::Poisoned => Serves::Stopped,
        Phase::Untrusted | Phase::Installing => Serves::Rebuild,
        Phase::Down
        | Phase::Opening
        | Phase::Cutting
        | Phase::Marking
        | Phase::Switching
        | Phase::Broken
        | Phase::Unopenable => Serves::Nothing,
    }
}

/// What the specification says can be seen.
#[must_use]
pub fn of_specification(spec: &Spec, state: &State) -> Expected {
    let bounds = &spec.bounds;
    let disk = &state.disk;
    let superblock = disk.durable.superblock();
    let open = state.phase == Phase::Open;
    let history = &state.ghost.history;
    let mut unsynced_log = 0;
    for (slot, sector) in disk.cached.log.iter().enumerate() {
        if disk.unsynced_of(LOG_SECTORS) >> slot & 1 == 1 && sector.entry.is_some() {
            unsynced_log |= 1 << sector.entry.lsn();
        }
    }
    let extent = disk.unsynced_of(EXTENT_SECTORS) >> EXTENT_SECTORS.trailing_zeros();
    let whole = is_whole(state);
    let blank = [Entry::NONE; BLOCKS];
    let snapshot = (whole && superblock.snapshot.is_some()).then(|| {
        let at = superblock.snapshot.lsn();
        (superblock.snapshot, reference::content(bounds, history, at))
    });
    let positions = open.then_some(Positions {
        head: state.head,
        durable: state.memory.durable,
        committed: state.memory.committed,
        checkpoint: superblock.checkpoint,
        extent_bound: superblock.extent_bound,
        tail: superblock.tail,
    });
    let bound_from = operation(bounds, state)
        .map_or(superblock.extent_bound, |lsn| lsn - 1)
        .min(superblock.extent_bound);
    Expected {
        bound_from,
        tail_to: superblock.checkpoint,
        view: View {
            serves: serves(state.phase),
            positions,
            blocks: (whole && !reads_wait(bounds, state))
                .then(|| reference::content(bounds, history, state.head)),
            image: used(bounds, disk.cached.extent, blank),
            durable_image: used(bounds, disk.durable.extent, blank),
            unsynced_log: if is_told(state.phase) {
                unsynced_log
            } else {
                0
            },
            superblock_in_flight: disk.superblock_in_flight(),
            unsynced_image: extent as u8,
            snapshot,
            serving: state.memory.serving,
        },
    }
}

fn used(bounds: &Bounds, found: [Entry; BLOCKS], mut blank: [Entry; BLOCKS]) -> [Entry; BLOCKS] {
    blank[..bounds.blocks].copy_from_slice(&found[..bounds.blocks]);
    blank
}

/// Whether the specification says of each entry what the volume does with its sectors: of a log that
/// is broken, or given up for a base, it does not.
fn is_told(phase: Phase) -> bool {
    match phase {
        Phase::Down | Phase::Opening | Phase::Open | Phase::Cutting | Phase::Poisoned => true,
        Phase::Marking
        | Phase::Untrusted
        | Phase::Installing
        | Phase::Switching
        | Phase::Broken
        | Phase::Unopenable => false,
    }
}

/// What can be seen of the volume. `state` says only what there is to look for.
#[must_use]
pub fn of_volume(spec: &Spec, state: &State, system: &mut System) -> View {
    let bounds = &spec.bounds;
    let whole = is_whole(state);
    let readable = whole && !reads_wait(bounds, state);
    let mut view = View::default();
    {
        let world = system.world.lock();
        see_disks(bounds, &world.files, state, system, &mut view);
    }
    if let Some(store) = &mut system.store {
        view.serves = if store.poisoned().is_some() {
            Serves::Stopped
        } else if store.positions().extent_bound == holdfast_types::Lsn::MAX {
            Serves::Rebuild
        } else {
            Serves::All
        };
        if serves(state.phase) == Serves::Nothing {
            view.serves = Serves::Nothing;
        }
        if view.serves == Serves::All {
            see_store(store, (whole, readable), &mut view);
        }
        view.serving = store.promise().role == Role::Primary && view.serves == Serves::All;
    }
    view
}

fn see_store(store: &mut Store, (whole, readable): (bool, bool), view: &mut View) {
    let positions = store.positions();
    view.positions = Some(Positions {
        head: position(positions.head),
        durable: position(positions.durable),
        committed: position(positions.committed),
        checkpoint: position(positions.checkpoint),
        extent_bound: position(positions.extent_bound),
        tail: positions.retained_from.map_or(Position::MAX, position),
    });
    let Ok(both) = BlockRange::new(BLOCK[0], 2) else {
        unreachable!("two blocks")
    };
    let mut bytes = vec![0; 2 * BLOCK_SIZE];
    let contents = |bytes: &[u8]| {
        let (first, second) = bytes.split_at(BLOCK_SIZE);
        [entry_of(first), entry_of(second)]
    };
    if readable && store.read(both, &mut bytes).is_ok() {
        view.blocks = Some(contents(&bytes));
    }
    if whole && let Ok(snapshots) = store.snapshots() {
        view.snapshot = snapshots.last().and_then(|info| {
            store.read_snapshot(info.id, both, &mut bytes).ok()?;
            let epoch = (info.id.epoch.0 / 2) as u8;
            let name = Entry::new(position(info.id.lsn), epoch, false);
            Some((name, contents(&bytes)))
        });
    }
}

fn see_disks(bounds: &Bounds, files: &Files, state: &State, system: &System, view: &mut View) {
    let (Some(log), Some(image)) = (files.file(Medium::Log), files.file(Medium::Extent)) else {
        return;
    };
    for (index, block) in BLOCK.into_iter().enumerate().take(bounds.blocks) {
        let (from, to) = place_of(Medium::Extent, block);
        view.image[index] = entry_of(&image.bytes(from, BLOCK_SIZE));
        view.durable_image[index] = view.image[index];
        if image.is_unsynced(from, to) {
            view.durable_image[index] = entry_of(&image.durable(from, BLOCK_SIZE));
            view.unsynced_image |= 1 << index;
        }
    }
    let dirty = |(from, to): (u64, u64)| log.is_unsynced(from, to);
    // An entry whose sectors another one has taken is there no longer.
    let entries = state.disk.cached.log.iter().map(|sector| sector.entry);
    for entry in entries.filter(|entry| is_told(state.phase) && entry.is_some()) {
        let place = system.places[usize::from(entry.lsn())];
        if place.is_some_and(|place| on_disk(place).into_iter().any(dirty)) {
            view.unsynced_log |= 1 << entry.lsn();
        }
    }
    view.superblock_in_flight = SUPERBLOCKS.into_iter().any(dirty) || system.is_silent();
}
