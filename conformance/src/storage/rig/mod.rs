//! The rig: a step of the specification carried out by the volume's synchronous core, stopped where
//! the specification stops.
//!
//! Where the specification writes a superblock and syncs it later, the volume's step is run up to its
//! sync, which the disk refuses; when the specification syncs, the same step is run to its end, on
//! the same bytes. Where it writes blocks one by one, a run of write-back is carried out with the
//! others' writes passed over. A crash is a copy of the disks; recovery is the volume opened on it.

use std::collections::BTreeSet;

use holdfast_blockvol::sim::{Medium, SimRng, SimStorage, steps};
use holdfast_blockvol::{
    DiskError, DiskOp, FlushBound, FlushStep, FormatOptions, MetaStep, PinError, Recovery, Role,
    Store, SyncStep, VolumeOptions,
};
use holdfast_model::storage::Storage as Spec;
use holdfast_model::storage::action::Action;
use holdfast_model::storage::state::{Phase, State};
use holdfast_model::storage::vocabulary::{LSNS, Lsn as Position, Mode};
use holdfast_types::{StoreId, VolumeId};
use uuid::Uuid;

use crate::product::Difference;
use crate::storage::crash::{self, Places, SUPERBLOCKS, on_disk};
use crate::storage::disk::{File, Files, Gate, Shared, Sync, map_of};
use crate::storage::layout::{self, BLOCK, epoch, lsn, snapshot_id};

mod rebuild;
mod write_back;

/// Why the volume does not make a step on its own that the specification has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Coarser {
    /// It carries an operation out from a checkpoint right before it, never over entries that no
    /// checkpoint covers yet.
    OperationFromCheckpoint,
    /// It waits for the superblock that is in flight.
    WaitsForSuperblock,
    /// A checkpoint has freed that part of the log already.
    FreedByCheckpoint,
    /// It writes no superblock here that could fail.
    NoSuperblock,
    /// A pin keeps back at most half of the log.
    PinBounded,
    /// Nothing can be pinned that is not there yet.
    PinBeyondHead,
}

impl Coarser {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::OperationFromCheckpoint,
        Self::WaitsForSuperblock,
        Self::FreedByCheckpoint,
        Self::NoSuperblock,
        Self::PinBounded,
        Self::PinBeyondHead,
    ];

    /// In words.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self {
            Self::OperationFromCheckpoint => {
                "an operation starts from a checkpoint right before it"
            }
            Self::WaitsForSuperblock => "it waits for the superblock in flight",
            Self::FreedByCheckpoint => "a checkpoint has freed that log already",
            Self::NoSuperblock => "no superblock is written that could fail",
            Self::PinBounded => "a pin keeps back at most half of the log",
            Self::PinBeyondHead => "nothing beyond the head can be pinned",
        }
    }
}

/// Why a step was not made.
#[derive(Clone, Debug)]
pub enum Unmade {
    /// The volume does not make it on its own.
    Coarser(Coarser),
    /// The two differ.
    Differs(Difference),
}

impl From<Difference> for Unmade {
    fn from(difference: Difference) -> Self {
        Self::Differs(difference)
    }
}

/// What was said instead of what should have been.
fn differs(action: Action, said: impl std::fmt::Debug) -> Unmade {
    Unmade::Differs(Difference {
        what: "a step that the specification grants".into(),
        specification: format!("{action:?}"),
        implementation: format!("{said:?}"),
    })
}

/// The superblock that is written and not yet counted on.
#[derive(Debug, Default)]
enum InFlight {
    #[default]
    None,
    /// The specification writes one where the volume has nothing to write.
    Silent,
    Alone(MetaStep),
    Checkpoint(FlushStep, MetaStep),
    Cut(steps::Cut),
    Marking(steps::Switch),
    Switching(steps::Switch),
    /// What comes after it was made already, on disks that are put in place then.
    Done(Files, Box<Store>),
}

/// One node's storage: its disks, and the process if there is one.
#[derive(Debug)]
pub struct System {
    pub(in crate::storage) world: Shared,
    pub(in crate::storage) store: Option<Store>,
    pub(in crate::storage) places: Places,
    syncing: Option<(SyncStep, Vec<(u64, u64)>)>,
    in_flight: InFlight,
    pin: Option<u64>,
    install: u64,
    /// Blocks on their way into the snapshot.
    copying: BTreeSet<u64>,
    /// What a reader of the snapshot saw of its map.
    looked: Vec<u8>,
}

/// Disks without a process: from these a system can be begun as often as needed.
#[derive(Clone, Debug)]
pub struct Saved {
    files: Files,
    places: Places,
}

impl System {
    fn on(saved: &Saved) -> Self {
        Self {
            world: Shared::new(saved.files.clone()),
            store: None,
            places: saved.places,
            syncing: None,
            in_flight: InFlight::None,
            pin: None,
            install: 0,
            copying: BTreeSet::new(),
            looked: Vec::new(),
        }
    }

    pub(in crate::storage) fn is_silent(&self) -> bool {
        matches!(self.in_flight, InFlight::Silent)
    }

    /// Where an entry and all before it end in the log.
    fn stretch(&self, from: Position, to: Position) -> Vec<(u64, u64)> {
        (from + 1..=to)
            .filter_map(|lsn| self.places[usize::from(lsn)])
            .flat_map(on_disk)
            .collect()
    }

    fn store(&mut self, action: Action) -> Result<&mut Store, Unmade> {
        self.store
            .as_mut()
            .ok_or_else(|| differs(action, "there is no process"))
    }
}

fn superblocks() -> Sync {
    Sync::Only(SUPERBLOCKS.to_vec())
}

fn none() -> Option<BTreeSet<u64>> {
    Some(BTreeSet::new())
}

/// The volume at the bounds of one instance.
#[derive(Clone, Debug)]
pub struct VolumeRig {
    /// The specification.
    pub spec: Spec,
    seed: u64,
    options: VolumeOptions,
    blank: Saved,
}

impl VolumeRig {
    /// A rig; what a power loss tears, and how, is drawn from `seed`.
    #[must_use]
    pub fn new(spec: Spec, seed: u64) -> Self {
        let format = FormatOptions {
            store: StoreId(Uuid::from_u128(2)),
            log_bytes: layout::RING_BYTES,
            ..FormatOptions::new(VolumeId(Uuid::from_u128(1)), layout::BLOCKS)
        };
        let formatted = SimStorage::formatted(&format);
        let mut files = Files::default();
        for medium in [Medium::Log, Medium::Extent, Medium::Sums] {
            files.insert(medium, File::of(&formatted.visible(medium)));
        }
        let options = VolumeOptions {
            flush_bound: match spec.bounds.mode {
                Mode::Sync => FlushBound::Committed,
                Mode::BestEffort => FlushBound::Durable,
            },
            recent_bytes: 0,
            retain_bytes: Some(0),
            background: false,
            ..VolumeOptions::default()
        };
        Self {
            spec,
            seed,
            options,
            blank: Saved {
                files,
                places: [None; LSNS + 1],
            },
        }
    }

    /// The initial state: a formatted store, opened.
    ///
    /// # Errors
    /// What the volume said instead.
    pub fn start(&self) -> Result<System, Unmade> {
        let mut system = System::on(&self.blank);
        let opened = Store::open(system.world.disks(), self.options.clone(), Recovery::Strict);
        let mut store = opened.map_err(|error| differs(Action::Recover, error))?;
        if !self.spec.bounds.primary {
            let highest = epoch(self.spec.bounds.epochs());
            let fenced = store.fence(highest);
            fenced.map_err(|error| differs(Action::Serve, error))?;
        }
        system.store = Some(store);
        Ok(system)
    }

    /// A system without a process, on disks that were saved.
    #[must_use]
    pub fn resume(&self, saved: &Saved) -> System {
        System::on(saved)
    }

    /// What is left of a system after a power loss or the death of its process.
    #[must_use]
    pub fn fork(&self, system: &System, before: &State, action: Action, number: u64) -> Saved {
        let world = system.world.lock();
        let files = if let Action::LosePower { landed, torn } = action {
            let mut rng = SimRng::new(self.seed ^ number);
            let what = (landed, torn);
            let bounds = &self.spec.bounds;
            crash::lose_power(bounds, &world.files, &system.places, before, what, &mut rng)
        } else {
            world.files.clone()
        };
        Saved {
            files,
            places: system.places,
        }
    }

    /// Makes a step that the specification grants, and that neither takes the power nor the process.
    ///
    /// # Errors
    /// Why the volume did not make it.
    pub fn make(
        &self,
        system: &mut System,
        before: &State,
        action: Action,
        after: &State,
    ) -> Result<(), Unmade> {
        system.world.pass(Gate::default());
        match action {
            Action::Append { .. } => self.append(system, action, after),
            Action::Index { .. } => Ok(()),
            Action::BeginSync => self.begin_sync(system, before, action),
            Action::EndSync => self.end_sync(system, action, Sync::All),
            Action::Commit { to } => {
                system.store(action)?.set_committed(lsn(to));
                Ok(())
            }
            Action::Serve => self.serve(system, before, action, after),
            Action::RaiseBound => {
                let limit = after.disk.cached.superblock().extent_bound;
                let step = self.raise_bound(system, action, lsn(limit))?;
                self.write(system, action, step)
            }
            Action::SyncSuperblock => self.sync_superblock(system, action, after),
            Action::WriteExtent { block, landed } => {
                let block = usize::from(block);
                self.write_extent(system, before, action, after, (block, landed))
            }
            Action::SyncExtent => self.sync_extent(system, before, action, after),
            Action::Checkpoint => self.checkpoint(system, action, after),
            Action::Perform => self.perform(system, before, action, after),
            Action::Restore { block, landed } => {
                let block = usize::from(block);
                self.restore(system, before, action, (block, landed))
            }
            Action::CopyOut { block } => {
                system.copying.insert(BLOCK[usize::from(block)]);
                Ok(())
            }
            Action::SyncCopies => self.sync_copies(system, before, action),
            Action::BeginRead { .. } => {
                let snapshot = before.disk.durable.superblock().snapshot;
                let world = system.world.lock();
                let file = world.files.file(Medium::Snapshot(snapshot_id(snapshot)));
                system.looked = file.map(map_of).unwrap_or_default();
                Ok(())
            }
            Action::EndRead => self.end_read(system, before, action),
            Action::Pin { at } => self.pin(system, action, at),
            Action::Unpin => {
                let pin = system.pin.take();
                let store = system.store(action)?;
                pin.into_iter().for_each(|pin| steps::unpin(store, pin));
                Ok(())
            }
            Action::Reclaim => {
                let step = system.store(action)?.begin_reclaim();
                let step = step.map_err(|error| differs(action, error))?;
                self.write(system, action, step)
            }
            Action::Truncate { to } => self.truncate(system, before, action, to),
            Action::BeginInstall { .. } => self.begin_install(system, before, action),
            Action::InstallChunk { block, .. } => {
                let block = usize::from(block);
                let content = layout::content(after.disk.cached.extent[block]);
                let install = system.install;
                let store = system.store(action)?;
                steps::install_blocks(store, install, BLOCK[block], &content)
                    .map_err(|error| differs(action, error))
            }
            Action::Switch => self.switch(system, before, action, after),
            Action::Recover => self.recover(system, action, after),
            Action::FailSync { of } => self.fail_sync(system, before, action, of),
            Action::Damage { slot } => self.damage(system, before, slot),
            Action::LosePower { .. }
            | Action::Kill
            | Action::LoseAppend
            | Action::Rewind
            | Action::StaleFlush { .. } => Err(differs(action, "no step of a volume that runs")),
        }
    }

    fn append(&self, system: &mut System, action: Action, after: &State) -> Result<(), Unmade> {
        let history = &after.ghost.history;
        let entry = history[usize::from(after.head)];
        let primary = self.spec.bounds.primary;
        let store = system.store(action)?;
        let begin = steps::tail_position(store);
        let last = store.last();
        let group = layout::group(&self.spec.bounds, history, entry, last.1);
        if primary {
            for entry in group {
                store
                    .append(entry.epoch, entry.kind, entry.range, entry.payload)
                    .map_err(|error| differs(action, error))?;
            }
        } else {
            store
                .append_entries(last, &group)
                .map_err(|error| differs(action, error))?;
        }
        let end = steps::tail_position(store);
        system.places[usize::from(after.head)] = Some((begin, end));
        Ok(())
    }

    fn begin_sync(
        &self,
        system: &mut System,
        before: &State,
        action: Action,
    ) -> Result<(), Unmade> {
        let covered = system.stretch(before.memory.durable, before.head);
        let step = system.store(action)?.begin_sync();
        let step = step.map_err(|error| differs(action, error))?;
        system.syncing = Some((step, covered));
        Ok(())
    }

    fn end_sync(&self, system: &mut System, action: Action, rule: Sync) -> Result<(), Unmade> {
        let Some((step, covered)) = system.syncing.take() else {
            return Err(differs(action, "no sync is under way"));
        };
        let failing = matches!(rule, Sync::Fail(_));
        system.world.pass(Gate {
            log: if failing { rule } else { Sync::Only(covered) },
            ..Gate::default()
        });
        let result = step.run();
        let finished = system.store(action)?.finish_sync(&step, result);
        match finished {
            Err(_) if failing => Ok(()),
            Ok(_) if !failing => Ok(()),
            other => Err(differs(action, other)),
        }
    }

    fn serve(
        &self,
        system: &mut System,
        before: &State,
        action: Action,
        after: &State,
    ) -> Result<(), Unmade> {
        if before.disk.superblock_in_flight() {
            return Err(Unmade::Coarser(Coarser::WaitsForSuperblock));
        }
        system.world.pass(Gate {
            log: superblocks(),
            ..Gate::default()
        });
        let epoch = epoch(after.ghost.epoch);
        let store = system.store(action)?;
        store.fence(epoch).map_err(|error| differs(action, error))?;
        store
            .set_role(epoch, Role::Primary)
            .map_err(|error| differs(action, error))?;
        Ok(())
    }

    /// Writes a superblock and leaves it in flight.
    fn write(
        &self,
        system: &mut System,
        action: Action,
        step: Option<MetaStep>,
    ) -> Result<(), Unmade> {
        let Some(step) = step else {
            system.in_flight = InFlight::Silent;
            return Ok(());
        };
        self.stop_at_sync(system, action, || step.run())?;
        system.in_flight = InFlight::Alone(step);
        Ok(())
    }

    /// Runs a step of the log's disk up to its first sync.
    fn stop_at_sync(
        &self,
        system: &System,
        action: Action,
        run: impl FnOnce() -> Result<(), DiskError>,
    ) -> Result<(), Unmade> {
        system.world.pass(Gate {
            log: Sync::Stop,
            ..Gate::default()
        });
        match run() {
            Err(error) if error.op == DiskOp::Sync => Ok(()),
            other => Err(differs(action, other)),
        }
    }

    fn sync_superblock(
        &self,
        system: &mut System,
        action: Action,
        after: &State,
    ) -> Result<(), Unmade> {
        let in_flight = std::mem::take(&mut system.in_flight);
        system.world.pass(Gate {
            log: superblocks(),
            ..Gate::default()
        });
        match in_flight {
            InFlight::None => return Err(differs(action, "no superblock is in flight")),
            InFlight::Silent => {}
            InFlight::Alone(step) => {
                let result = step.run();
                let done = system.store(action)?.finish_meta(step, result);
                done.map_err(|error| differs(action, error))?;
            }
            InFlight::Checkpoint(run, step) => {
                let result = step.run();
                let done = system.store(action)?.finish_checkpoint(run, step, result);
                done.map_err(|error| differs(action, error))?;
            }
            InFlight::Cut(cut) => {
                system.world.pass(Gate::default());
                let done = cut.finish(system.store(action)?);
                done.map_err(|error| differs(action, error))?;
                self.forget_beyond(system, after.head);
            }
            InFlight::Marking(switch) => {
                system.world.pass(Gate::default());
                let done = switch.finish_nothing(system.store(action)?);
                system.install = done.map_err(|error| differs(action, error))?;
                self.drop_snapshots(system);
                self.forget_beyond(system, 0);
            }
            InFlight::Switching(switch) => {
                system.world.pass(Gate::default());
                let done = switch.finish_base(system.store(action)?);
                done.map_err(|error| differs(action, error))?;
            }
            InFlight::Done(files, store) => {
                system.world.lock().files = files;
                let store = system.store.insert(*store);
                // A bound that stops before an operation lets the node know less of what is committed;
                // the primary says it again.
                store.set_committed(lsn(after.memory.committed));
            }
        }
        if after.phase == Phase::Open {
            self.cover(system, action, after)?;
        }
        Ok(())
    }

    fn forget_beyond(&self, system: &mut System, head: Position) {
        system.places[usize::from(head) + 1..].fill(None);
    }

    fn pin(&self, system: &mut System, action: Action, at: Position) -> Result<(), Unmade> {
        let store = system.store(action)?;
        match steps::pin(store, lsn(at), u64::MAX) {
            Ok(pin) => system.pin = Some(pin),
            Err(_) if store.positions().retained_from > Some(lsn(at)) => {
                return Err(Unmade::Coarser(Coarser::FreedByCheckpoint));
            }
            Err(PinError::BeyondHead { .. }) => {
                return Err(Unmade::Coarser(Coarser::PinBeyondHead));
            }
            Err(PinError::TooLarge { .. }) => return Err(Unmade::Coarser(Coarser::PinBounded)),
            Err(error) => return Err(differs(action, error)),
        }
        Ok(())
    }
}
/// Blocks and entries of the specification are as many as the rig has room for.
const _: () = assert!(holdfast_model::storage::vocabulary::BLOCKS == BLOCK.len());
