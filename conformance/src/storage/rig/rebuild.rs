//! Cuts, switches of bases, opening, and what goes wrong with a disk.

use holdfast_blockvol::sim::{Medium, steps};
use holdfast_blockvol::{BaseManifest, ImageDigest, OpenError, Recovery, Store, inspect_disks};
use holdfast_model::storage::action::{Action, Synced};
use holdfast_model::storage::state::{Phase, State};
use holdfast_model::storage::vocabulary::Lsn as Position;
use holdfast_types::{Lineage, LineageEntry, Lsn, VolumeId};
use uuid::Uuid;

use super::{Coarser, InFlight, System, Unmade, VolumeRig, differs, none, superblocks};
use crate::product::Difference;
use crate::storage::crash::{RING, SUPERBLOCKS, on_disk};
use crate::storage::disk::{Gate, Sync};
use crate::storage::layout::{self, epoch, lsn};

impl VolumeRig {
    /// What a volume does with its shelf once it is marked: the snapshots went with the image.
    pub(super) fn drop_snapshots(&self, system: &System) {
        let shelf = system.world.disks().snapshots;
        for id in shelf.list().unwrap_or_default() {
            let _ = shelf.remove(id);
        }
    }

    pub(super) fn truncate(
        &self,
        system: &mut System,
        before: &State,
        action: Action,
        to: Position,
    ) -> Result<(), Unmade> {
        let pin = system.pin.take();
        let primary = self.spec.bounds.primary;
        let store = system.store(action)?;
        pin.into_iter().for_each(|pin| steps::unpin(store, pin));
        if primary {
            // The order comes from the primary of an epoch in between.
            system.world.pass(Gate {
                log: superblocks(),
                ..Gate::default()
            });
            let store = system.store(action)?;
            let newer = epoch(before.ghost.epoch).next();
            store.fence(newer).map_err(|error| differs(action, error))?;
        }
        let cut = steps::Cut::begin(system.store(action)?, lsn(to));
        match cut {
            Ok(Some(cut)) => {
                self.stop_at_sync(system, action, || cut.run())?;
                system.in_flight = InFlight::Cut(cut);
                Ok(())
            }
            other => Err(differs(action, other)),
        }
    }

    pub(super) fn begin_install(
        &self,
        system: &mut System,
        before: &State,
        action: Action,
    ) -> Result<(), Unmade> {
        system.pin = None;
        system.syncing = None;
        system.copying.clear();
        match before.phase {
            Phase::Broken => self.discard(system, action),
            Phase::Untrusted => {
                let store = system.store(action)?;
                let switch = steps::Switch::to_nothing(store, layout::BLOCKS);
                let switch = switch.map_err(|error| differs(action, error))?;
                let done = switch.finish_nothing(store);
                system.install = done.map_err(|error| differs(action, error))?;
                Ok(())
            }
            Phase::Down
            | Phase::Opening
            | Phase::Open
            | Phase::Cutting
            | Phase::Marking
            | Phase::Installing
            | Phase::Switching
            | Phase::Poisoned
            | Phase::Unopenable => {
                let store = system.store(action)?;
                let switch = steps::Switch::to_nothing(store, layout::BLOCKS);
                let switch = switch.map_err(|error| differs(action, error))?;
                self.stop_at_sync(system, action, || switch.run())?;
                system.in_flight = InFlight::Marking(switch);
                Ok(())
            }
        }
    }

    /// Gives a damaged log up; the marker is in flight.
    pub(super) fn discard(&self, system: &mut System, action: Action) -> Result<(), Unmade> {
        let opened = self.open(system, Recovery::DiscardDamaged);
        let mut store = opened.map_err(|error| differs(action, error))?;
        let switch = steps::Switch::to_nothing(&mut store, layout::BLOCKS);
        let switch = switch.map_err(|error| differs(action, error))?;
        let done = switch.finish_nothing(&mut store);
        system.install = done.map_err(|error| differs(action, error))?;
        self.forget_beyond(system, 0);
        self.leave_in_flight(system, action, store, 0)
    }

    /// Opens the store, and keeps the files as they were before each sync.
    pub(super) fn open(&self, system: &System, recovery: Recovery) -> Result<Store, OpenError> {
        system.world.lock().recorded.clear();
        system.world.pass(Gate {
            record: true,
            ..Gate::default()
        });
        Store::open(system.world.disks(), self.options.clone(), recovery)
    }

    /// Goes back to the moment before the given sync, with all that came after it to be put in place.
    pub(super) fn leave_in_flight(
        &self,
        system: &mut System,
        action: Action,
        store: Store,
        sync: usize,
    ) -> Result<(), Unmade> {
        let mut world = system.world.lock();
        let recorded = std::mem::take(&mut world.recorded);
        let Some(earlier) = recorded.into_iter().nth(sync) else {
            return Err(differs(action, "fewer syncs than were expected"));
        };
        let done = std::mem::replace(&mut world.files, earlier);
        drop(world);
        system.in_flight = InFlight::Done(done, Box::new(store));
        Ok(())
    }

    pub(super) fn switch(
        &self,
        system: &mut System,
        before: &State,
        action: Action,
        after: &State,
    ) -> Result<(), Unmade> {
        let Some(base) = self.spec.bounds.bases.get(usize::from(before.memory.base)) else {
            return Err(differs(action, "no such base"));
        };
        let mut lineage = Vec::new();
        let mut last = 0;
        for at in 1..=base.split {
            let found = after.ghost.history[usize::from(at)].epoch();
            if found != last {
                lineage.push(LineageEntry {
                    epoch: epoch(found),
                    first: lsn(at - 1).next(),
                });
                last = found;
            }
        }
        let manifest = BaseManifest {
            volume: VolumeId(Uuid::from_u128(1)),
            blocks: layout::BLOCKS,
            base_lsn: lsn(base.split),
            extent_bound: lsn(base.bound),
            lineage: Lineage::new(lineage).map_err(|error| differs(action, error))?,
            digest: ImageDigest::of([]),
        };
        let install = system.install;
        let switch = steps::Switch::to_base(system.store(action)?, install, &manifest);
        let switch = switch.map_err(|error| differs(action, error))?;
        self.stop_at_sync(system, action, || switch.run())?;
        system.in_flight = InFlight::Switching(switch);
        Ok(())
    }

    pub(super) fn recover(
        &self,
        system: &mut System,
        action: Action,
        after: &State,
    ) -> Result<(), Unmade> {
        system.world.lock().files.drop_abandoned();
        match (after.phase, self.open(system, Recovery::Strict)) {
            (Phase::Opening, Ok(store)) => {
                self.forget_beyond(system, after.head);
                // The last two syncs are those of the new run's superblock, slot after slot.
                let syncs = system.world.lock().recorded.len();
                self.leave_in_flight(system, action, store, syncs.saturating_sub(2))
            }
            (Phase::Untrusted, Ok(store)) if store.positions().extent_bound == Lsn::MAX => {
                system.store = Some(store);
                Ok(())
            }
            (Phase::Broken | Phase::Unopenable, Err(OpenError::Damaged(_))) => Ok(()),
            (phase, opened) => {
                let said = opened.map(|store| store.positions());
                Err(Difference::of("what opening finds", &phase, &said).into())
            }
        }
    }

    pub(super) fn fail_sync(
        &self,
        system: &mut System,
        before: &State,
        action: Action,
        of: Synced,
    ) -> Result<(), Unmade> {
        match of {
            Synced::Log => self.end_sync(system, action, Sync::Fail(vec![RING])),
            Synced::Superblock => {
                system.world.pass(Gate {
                    log: Sync::Fail(SUPERBLOCKS.to_vec()),
                    ..Gate::default()
                });
                let told = match std::mem::take(&mut system.in_flight) {
                    InFlight::Alone(step) => {
                        let result = step.run();
                        system.store(action)?.finish_meta(step, result)
                    }
                    InFlight::Checkpoint(run, step) => {
                        let result = step.run();
                        system.store(action)?.finish_checkpoint(run, step, result)
                    }
                    silent @ InFlight::Silent => {
                        system.in_flight = silent;
                        return Err(Unmade::Coarser(Coarser::NoSuperblock));
                    }
                    other @ (InFlight::None
                    | InFlight::Cut(_)
                    | InFlight::Marking(_)
                    | InFlight::Switching(_)
                    | InFlight::Done(..)) => return Err(differs(action, other)),
                };
                told.err()
                    .map(|_| ())
                    .ok_or_else(|| differs(action, "nothing failed"))
            }
            Synced::Extent => {
                let to = (0..self.spec.bounds.blocks).map(|block| before.memory.written[block]);
                let run = self.run_to(system, action, lsn(to.max().unwrap_or(0)))?;
                system.world.pass(Gate {
                    image: Sync::Fail(vec![(0, u64::MAX)]),
                    written: none(),
                    copied: none(),
                    ..Gate::default()
                });
                let result = run.run();
                let told = system.store(action)?.finish_run(result);
                told.err()
                    .map(|_| ())
                    .ok_or_else(|| differs(action, "nothing failed"))
            }
        }
    }

    /// The group goes bad where it begins and where its last payload stands, so that neither a reader
    /// of the log nor write-back can miss it.
    pub(super) fn damage(&self, system: &System, before: &State, slot: u8) -> Result<(), Unmade> {
        let action = Action::Damage { slot };
        let entry = before.disk.durable.log[usize::from(slot)].entry;
        let Some((from, _)) = system.places[usize::from(entry.lsn())] else {
            return Err(differs(action, "that entry is nowhere"));
        };
        let positions = match &system.store {
            Some(store) => store.positions(),
            None => {
                let looked = inspect_disks(&system.world.disks());
                looked.map_err(|error| differs(action, error))?.positions
            }
        };
        if positions.retained_from >= Some(lsn(entry.lsn())) {
            return Err(Unmade::Coarser(Coarser::FreedByCheckpoint));
        }
        let kind = self.spec.bounds.kind(entry);
        let payload = from + layout::payload_at(&self.spec.bounds, kind);
        let place = |position: u64| on_disk((position, position + 1))[0].0;
        let mut world = system.world.lock();
        let places = [place(from), place(payload)];
        world.files.damage(Medium::Log, &places);
        Ok(())
    }
}
