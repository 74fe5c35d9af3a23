//! What must hold of the storage, whatever happens to it.
//!
//! Most claims are about what a reader of the disk would find *if power failed now*: they are
//! judged on the durable image (nothing lands by accident) and on the cached one (everything
//! does). Every other subset is a power loss of its own, after which both images are that subset.

use super::action::Action;
use super::disk::{Disk, Image};
use super::recovery::{Outcome, Reading};
use super::reference::Content;
use super::spec::Storage;
use super::state::{Memory, Phase, State};
use super::vocabulary::{Entry, Lsn, Mode, REBUILDING};
use super::{Check, Property, Step, Verdict, reference, witnesses};

/// Every claim, then every witness.
#[must_use]
pub(super) fn all() -> Vec<Property<Storage>> {
    let mut all = always();
    all.extend(steps());
    all.push(Property {
        name: "F23 back-pressure ends",
        says: "from every open store with an undamaged log, room for the largest entry can be \
               reached without a write, a truncation, a rebuild or a fault",
        check: Check::Leads {
            subjects: 1,
            from: |_, state, _| state.phase == Phase::Open && state.ghost.damaged == 0,
            to: |spec, state, _| state.phase == Phase::Open && spec.room(state) >= 2,
        },
    });
    all.extend(witnesses::all());
    all
}

fn claim(
    name: &'static str,
    says: &'static str,
    holds: fn(&Storage, &State) -> Verdict,
) -> Property<Storage> {
    Property {
        name,
        says,
        check: Check::Always(holds),
    }
}

fn always() -> Vec<Property<Storage>> {
    vec![
        claim(
            "A7 flushed entries survive",
            "after a crash the log reaches at least what was claimed durable, or says that it is \
             damaged",
            flushed_survives,
        ),
        claim(
            "A2 recovery yields a prefix of the log as it was",
            "after a crash the log is a prefix of what it was, entry by entry: nothing that was \
             cut, lost or replaced comes back",
            recovers_a_prefix,
        ),
        claim(
            "A7 a trusted base is the reference",
            "extent and log of a trusted store give the reference at the log's end, block by block",
            trusted_is_the_reference,
        ),
        claim(
            "A7 the checkpoint holds every effect",
            "each block of the durable extent is at the checkpoint's version or a newer one that \
             the log still covers",
            checkpoint_holds,
        ),
        claim(
            "P5 a crash alone costs no trust",
            "unless a rebuild is under way or the log is damaged, the store opens and is trusted",
            crash_costs_no_trust,
        ),
        claim(
            "F15 a store always opens",
            "one superblock can be read at any time",
            always_opens,
        ),
        claim(
            "F33 a half-installed base is untrusted",
            "while the extent is a mixture of old store and base, no reader of the disk trusts it",
            half_installed_is_untrusted,
        ),
        claim(
            "C2 only committed entries reach the extent",
            "in the sync modes every block of the extent was written by a committed entry",
            only_committed_in_extent,
        ),
        claim(
            "P6 positions are ordered",
            "tail <= checkpoint <= extent_bound, checkpoint <= durable <= head, committed <= head",
            positions_are_ordered,
        ),
        claim(
            "F09 a sector is reused only when its freedom is durable",
            "every entry after the durable tail is whole in the log",
            nothing_needed_is_overwritten,
        ),
        claim(
            "F11 damage is reported, never a clean end",
            "after damage to an entry that something vouches for, recovery says broken",
            damage_is_reported,
        ),
        claim(
            "F78 a snapshot is the reference at its position",
            "every block of the snapshot, copied out or shared, is the reference at its position",
            snapshot_is_the_reference,
        ),
        claim(
            "F16 a snapshot read is the reference",
            "no read of the snapshot ever returned anything else",
            |_, state| {
                Verdict::implies(state.disk.durable.superblock().snapshot.is_some(), || {
                    !state.ghost.misread
                })
            },
        ),
        claim(
            "T10 a pin holds the log",
            "no superblock, durable or in flight, frees what is pinned",
            |_, state| {
                Verdict::implies(state.memory.pin.is_some(), || {
                    let pin = state.memory.pin.unwrap_or(0);
                    let images = [&state.disk.durable, &state.disk.cached];
                    images.iter().all(|image| image.superblock().tail <= pin)
                })
            },
        ),
        claim(
            "M27 a name is given once",
            "no two entries that this node made share (lsn, epoch)",
            |spec, state| {
                Verdict::implies(spec.bounds.primary && state.head > 0, || {
                    state.ghost.history.iter().all(|entry| !entry.twin())
                })
            },
        ),
    ]
}

fn steps() -> Vec<Property<Storage>> {
    vec![
        Property {
            name: "F12 positions on disk are monotone",
            says: "tail, checkpoint and extent_bound never move back, but by a rebuild",
            check: Check::Step(positions_are_monotone),
        },
        Property {
            name: "P7 a store that is not open does nothing else",
            says: "while a store is opened, cut, marked, installed or switched, or no process has it \
                   open, nothing else happens to it: its claims and its disk stay as they are",
            check: Check::Step(nothing_else_happens),
        },
        Property {
            name: "P8 what is under way is finished first",
            says: "a cut begins from an open store, a rebuild from an open, a broken or an interrupted \
                   one, and an open store has gone through its opening",
            check: Check::Step(phases_follow_each_other),
        },
        Property {
            name: "M06 committed never moves back in a process",
            says: "while a store stays open, what it takes for committed only grows",
            check: Check::Step(committed_moves_forward),
        },
        Property {
            name: "M27 an entry bears the epoch of its primary",
            says: "what a primary logs is of the epoch that it was given last",
            check: Check::Step(entries_bear_their_epoch),
        },
        Property {
            name: "F14 nothing is claimed after a failed sync",
            says: "until the store is opened again no position of it moves",
            check: Check::Step(nothing_is_claimed_after_a_failure),
        },
    ]
}

/// What a reader would find if nothing landed, and if everything did.
fn readings<'a>(spec: &Storage, state: &'a State) -> [(&'a Image, Reading); 2] {
    let Disk {
        durable, cached, ..
    } = &state.disk;
    let first = spec.read(durable);
    let second = if durable == cached {
        first
    } else {
        spec.read(cached)
    };
    [(durable, first), (cached, second)]
}

fn flushed_survives(spec: &Storage, state: &State) -> Verdict {
    Verdict::implies(state.ghost.flushed > 0, || {
        let reading = spec.read(&state.disk.durable);
        match reading.outcome {
            Outcome::Sound => reading.end >= state.ghost.flushed,
            Outcome::Broken => state.ghost.damaged != 0,
            Outcome::Rebuilding | Outcome::Unopenable => false,
        }
    })
}

fn recovers_a_prefix(spec: &Storage, state: &State) -> Verdict {
    readings(spec, state)
        .iter()
        .fold(Verdict::Vacuous, |verdict, (_, reading)| {
            let begin = reading.superblock.tail;
            let antecedent = reading.outcome == Outcome::Sound && reading.end > begin;
            verdict.and(Verdict::implies(antecedent, || {
                reading.end <= state.head
                    && (usize::from(begin) + 1..=usize::from(reading.end))
                        .all(|lsn| reading.entries[lsn] == state.ghost.history[lsn])
            }))
        })
}

fn trusted_is_the_reference(spec: &Storage, state: &State) -> Verdict {
    readings(spec, state)
        .iter()
        .fold(Verdict::Vacuous, |verdict, (image, reading)| {
            let antecedent = reading.trusted() && reading.end > 0;
            verdict.and(Verdict::implies(antecedent, || {
                let Reading {
                    superblock,
                    end,
                    entries,
                    ..
                } = reading;
                let mut content = Content {
                    blocks: image.extent,
                    snapshot: spec.snapshot_of(image, superblock.snapshot),
                };
                let missing = (superblock.checkpoint, *end);
                reference::redo(&spec.bounds, entries, missing, &mut content);
                content.blocks == reference::content(&spec.bounds, &state.ghost.history, *end)
            }))
        })
}

/// Whether the extent is that of a store whose history the ghost knows: no rebuild has replaced
/// the one and not yet the other.
fn extent_has_history(state: &State) -> bool {
    state.disk.durable.superblock().extent_bound != REBUILDING
        && !state.ghost.mixed
        && match state.phase {
            Phase::Installing | Phase::Switching | Phase::Marking | Phase::Untrusted => false,
            Phase::Down
            | Phase::Opening
            | Phase::Open
            | Phase::Cutting
            | Phase::Broken
            | Phase::Poisoned
            | Phase::Unopenable => true,
        }
}

fn checkpoint_holds(spec: &Storage, state: &State) -> Verdict {
    let superblock = state.disk.durable.superblock();
    let antecedent = superblock.checkpoint > 0 && extent_has_history(state);
    Verdict::implies(antecedent, || {
        let last = superblock
            .extent_bound
            .min(state.head.max(state.ghost.committed));
        let at = |lsn| reference::content(&spec.bounds, &state.ghost.history, lsn);
        (0..spec.bounds.blocks).all(|block| {
            let found = state.disk.durable.extent[block];
            let covered = (superblock.checkpoint..=last).any(|lsn| at(lsn)[block] == found);
            let redone =
                (superblock.checkpoint + 1..=last).any(|lsn| at(lsn)[block] != at(lsn - 1)[block]);
            covered || found == Entry::TORN && redone
        })
    })
}

fn crash_costs_no_trust(spec: &Storage, state: &State) -> Verdict {
    let antecedent = !state.ghost.rebuilding && state.ghost.damaged == 0;
    Verdict::implies(antecedent, || spec.read(&state.disk.durable).trusted())
}

fn always_opens(_: &Storage, state: &State) -> Verdict {
    Verdict::implies(
        state.phase == Phase::Down || state.disk.superblock_in_flight(),
        || state.disk.durable.newest().is_some(),
    )
}

fn half_installed_is_untrusted(spec: &Storage, state: &State) -> Verdict {
    Verdict::implies(state.ghost.mixed, || {
        readings(spec, state)
            .iter()
            .all(|(_, reading)| !reading.trusted())
    })
}

fn only_committed_in_extent(spec: &Storage, state: &State) -> Verdict {
    let flushed = [&state.disk.durable, &state.disk.cached]
        .iter()
        .any(|image| image.extent.iter().any(|content| content.is_some()));
    let antecedent = spec.bounds.mode == Mode::Sync && flushed && extent_has_history(state);
    Verdict::implies(antecedent, || {
        [&state.disk.durable, &state.disk.cached]
            .iter()
            .all(|image| {
                image
                    .extent
                    .iter()
                    .filter(|content| content.is_some())
                    .all(|content| {
                        content.lsn() <= state.ghost.committed
                            && state.ghost.history[usize::from(content.lsn())] == *content
                    })
            })
    })
}

fn positions_are_ordered(_: &Storage, state: &State) -> Verdict {
    let superblock = state.disk.durable.superblock();
    let on_disk = superblock.tail <= superblock.checkpoint
        && superblock.checkpoint <= superblock.extent_bound;
    let memory = &state.memory;
    let in_memory = superblock.checkpoint <= memory.durable
        && memory.durable <= state.head
        && memory.syncing <= state.head
        && memory.committed <= state.head;
    Verdict::implies(state.head > 0, || {
        on_disk && (state.phase != Phase::Open || in_memory)
    })
}

fn nothing_needed_is_overwritten(spec: &Storage, state: &State) -> Verdict {
    let tail = state.disk.durable.superblock().tail;
    let antecedent = state.phase == Phase::Open && state.head > tail;
    Verdict::implies(antecedent, || {
        (tail + 1..=state.head).all(|lsn| {
            let entry = state.ghost.history[usize::from(lsn)];
            let parts = (state.disk.cached.log.iter())
                .filter(|sector| sector.entry == entry)
                .map(|sector| 1u8 << sector.part)
                .fold(0, |parts, part| parts | part);
            lsn == state.ghost.damaged || parts.count_ones() >= spec.sectors_of(entry).into()
        })
    })
}

fn damage_is_reported(spec: &Storage, state: &State) -> Verdict {
    let damaged = state.ghost.damaged;
    let tail = state.disk.durable.superblock().tail;
    let antecedent = damaged > tail && damaged <= state.ghost.flushed;
    Verdict::implies(antecedent, || {
        spec.read(&state.disk.durable).outcome == Outcome::Broken
    })
}

fn snapshot_is_the_reference(spec: &Storage, state: &State) -> Verdict {
    readings(spec, state)
        .iter()
        .fold(Verdict::Vacuous, |verdict, (image, reading)| {
            let snapshot = reading.superblock.snapshot;
            verdict.and(Verdict::implies(
                reading.trusted() && snapshot.is_some(),
                || {
                    let reference =
                        reference::content(&spec.bounds, &state.ghost.history, snapshot.lsn());
                    spec.snapshot_of(image, snapshot) == reference
                },
            ))
        })
}

fn positions_are_monotone(_: &Storage, step: &Step<'_, Storage>) -> Verdict {
    let Ok(after) = step.after else {
        return Verdict::Vacuous;
    };
    let [before, after] = [step.before, after].map(|state| state.disk.durable.superblock());
    let changed = before != after;
    let rebuild = before.extent_bound == REBUILDING || after.extent_bound == REBUILDING;
    Verdict::implies(changed && !rebuild, || {
        before.tail <= after.tail
            && before.checkpoint <= after.checkpoint
            && before.extent_bound <= after.extent_bound
    })
}

/// What a store says of itself and holds on its disk, chunks of a base apart.
fn nothing_else_happens(_: &Storage, step: &Step<'_, Storage>) -> Verdict {
    let Ok(after) = step.after else {
        return Verdict::Vacuous;
    };
    let before = step.before;
    let still = before.phase != Phase::Open && before.phase == after.phase;
    Verdict::implies(still && !step.action.is_of_the_world(), || {
        let (was, is) = (&before.memory, &after.memory);
        let claims = |memory: &Memory| {
            let at = (memory.durable, memory.syncing, memory.committed);
            (at, memory.serving, memory.pin, memory.read)
        };
        let (disk_was, disk_is) = (&before.disk, &after.disk);
        let extent = |disk: &Disk| (disk.durable.extent, disk.cached.extent);
        let copies = |disk: &Disk| (disk.durable.copies, disk.cached.copies);
        claims(was) == claims(is)
            && before.head == after.head
            && disk_was.cached.log == disk_is.cached.log
            && disk_was.cached.superblocks == disk_is.cached.superblocks
            && copies(disk_was) == copies(disk_is)
            && (before.phase == Phase::Installing || extent(disk_was) == extent(disk_is))
    })
}

fn phases_follow_each_other(_: &Storage, step: &Step<'_, Storage>) -> Verdict {
    let Ok(after) = step.after else {
        return Verdict::Vacuous;
    };
    let was = step.before.phase;
    Verdict::implies(was != after.phase, || match after.phase {
        Phase::Down | Phase::Poisoned => true,
        Phase::Opening | Phase::Unopenable => was == Phase::Down,
        Phase::Open => matches!(was, Phase::Opening | Phase::Cutting | Phase::Switching),
        Phase::Cutting => was == Phase::Open,
        Phase::Marking => matches!(was, Phase::Open | Phase::Broken),
        Phase::Installing => matches!(was, Phase::Marking | Phase::Untrusted),
        Phase::Switching => was == Phase::Installing,
        Phase::Untrusted => was == Phase::Down,
        Phase::Broken => matches!(was, Phase::Down | Phase::Open),
    })
}

fn committed_moves_forward(_: &Storage, step: &Step<'_, Storage>) -> Verdict {
    let Ok(after) = step.after else {
        return Verdict::Vacuous;
    };
    let (was, is) = (step.before, after);
    let moved = was.memory.committed != is.memory.committed;
    let open = was.phase == Phase::Open && is.phase == Phase::Open;
    Verdict::implies(open && moved, || is.memory.committed > was.memory.committed)
}

fn entries_bear_their_epoch(spec: &Storage, step: &Step<'_, Storage>) -> Verdict {
    let (true, Action::Append { .. }, Ok(after)) = (spec.bounds.primary, step.action, step.after)
    else {
        return Verdict::Vacuous;
    };
    Verdict::implies(true, || {
        after.ghost.history[usize::from(after.head)].epoch() == step.before.ghost.epoch
    })
}

fn nothing_is_claimed_after_a_failure(_: &Storage, step: &Step<'_, Storage>) -> Verdict {
    let Ok(after) = step.after else {
        return Verdict::Vacuous;
    };
    Verdict::implies(after.ghost.failed, || {
        after.ghost.flushed <= step.before.ghost.flushed
            && after.disk.durable.superblocks == step.before.disk.durable.superblocks
    })
}

impl Storage {
    fn sectors_of(&self, entry: Entry) -> Lsn {
        self.bounds.kind(entry).sectors()
    }
}
