//! What must be possible in the storage: the states and steps without which its claims would say
//! little.

use super::action::{Action, Refusal};
use super::spec::Storage;
use super::state::{Phase, Read, State};
use super::{Check, Property, Step, reference};

fn seen(
    name: &'static str,
    says: &'static str,
    at: fn(&Storage, &State) -> bool,
) -> Property<Storage> {
    Property {
        name,
        says,
        check: Check::Sometimes(at),
    }
}

fn seen_step(
    name: &'static str,
    says: &'static str,
    at: fn(&Storage, &Step<'_, Storage>) -> bool,
) -> Property<Storage> {
    Property {
        name,
        says,
        check: Check::SometimesStep(at),
    }
}

pub(super) fn all() -> Vec<Property<Storage>> {
    vec![
        seen(
            "W an entry wraps",
            "an entry begins in the last sector of the ring and ends in the first",
            |spec, state| {
                let log = &state.disk.durable.log;
                let last = log[usize::from(spec.bounds.slots) - 1];
                last.entry.is_some()
                    && last.part == 0
                    && log[0].part == 1
                    && log[0].entry == last.entry
            },
        ),
        seen("W the log is full", "no entry has room", |spec, state| {
            state.phase == Phase::Open && spec.room(state) == 0
        }),
        seen(
            "W a torn superblock",
            "a superblock is unreadable and the other one is gone by",
            |_, state| {
                let generations = state
                    .disk
                    .durable
                    .superblocks
                    .map(|superblock| superblock.generation);
                state.phase == Phase::Opening && generations.contains(&0)
            },
        ),
        seen(
            "W a landed entry behind a gap",
            "a durable entry of the present run that recovery does not reach",
            |spec, state| {
                if state.phase != Phase::Down {
                    return false;
                }
                let reading = spec.read(&state.disk.durable);
                state.disk.durable.log.iter().any(|sector| {
                    sector.entry.is_some()
                        && sector.run == reading.superblock.run
                        && sector.entry.lsn() > reading.end
                })
            },
        ),
        seen_step(
            "W recovery drops a tail",
            "entries that were never claimed are gone after a crash",
            |_, step| {
                step.action == Action::Recover
                    && step.after.is_ok_and(|after| after.head < step.before.head)
            },
        ),
        seen(
            "W damage is found",
            "recovery or flusher says broken",
            |_, state| state.phase == Phase::Broken,
        ),
        seen("W a store is poisoned", "a sync failed", |_, state| {
            state.phase == Phase::Poisoned
        }),
        seen(
            "W an untrusted base",
            "a node is open on a base that replay has yet to prove",
            |_, state| {
                state.phase == Phase::Open
                    && state.memory.durable < state.disk.durable.superblock().extent_bound
            },
        ),
        seen_step(
            "W a base becomes trusted",
            "replay passes the bound of a base",
            |_, step| {
                step.action == Action::EndSync
                    && step.before.ghost.rebuilding
                    && step.after.is_ok_and(|after| !after.ghost.rebuilding)
            },
        ),
        seen_step(
            "W a snapshot outlives its block",
            "a read of the snapshot is served from its store",
            |_, step| {
                step.action == Action::EndRead
                    && match step.before.memory.read {
                        Read::OfCopy(_) => true,
                        Read::None | Read::OfExtent(_) => false,
                    }
            },
        ),
        seen(
            "W a restore is half done",
            "power failed when a block was restored and another one was not",
            |spec, state| {
                let checkpoint = state.disk.durable.superblock().checkpoint;
                if state.phase != Phase::Down || spec.restoring(state) != Some(checkpoint + 1) {
                    return false;
                }
                let at = |lsn| reference::content(&spec.bounds, &state.ghost.history, lsn);
                let found = state.disk.durable.extent;
                found != at(checkpoint) && found != at(checkpoint + 1)
            },
        ),
        seen_step(
            "W an older epoch follows a cut",
            "after a cut an entry of an older epoch takes the place of a newer one",
            |spec, step| {
                let next = usize::from(step.before.memory.next_slot);
                let old = step.before.disk.durable.log[next].entry;
                let Action::Append { epoch } = step.action else {
                    return false;
                };
                !spec.bounds.primary
                    && old.is_some()
                    && old.lsn() == step.before.head + 1
                    && old.epoch() > epoch
            },
        ),
        seen(
            "W committed beyond durable",
            "a node knows an entry committed that it has not synced",
            |_, state| state.memory.committed > state.memory.durable,
        ),
        seen_step(
            "W a process dies and power fails before it is back",
            "what the cache kept of a dead process lands in part",
            |_, step| {
                let Action::LosePower { landed, torn } = step.action else {
                    return false;
                };
                step.before.phase == Phase::Down && (landed != 0 || torn.is_some())
            },
        ),
        Property {
            name: "W a cut is refused for the extent",
            says: "a node refuses to cut below its extent_bound",
            check: Check::Refused(Refusal::NAMES[Refusal::BelowExtentBound as usize]),
        },
        Property {
            name: "W a pin is refused for recycled history",
            says: "a node refuses to pin what is gone",
            check: Check::Refused(Refusal::NAMES[Refusal::HistoryGone as usize]),
        },
        Property {
            name: "W an append waits for log space",
            says: "a node refuses an append for want of log space",
            check: Check::Refused(Refusal::NAMES[Refusal::LogFull as usize]),
        },
        Property {
            name: "W an overwrite waits for its copy",
            says: "the flusher waits for the copy of a block",
            check: Check::Refused(Refusal::NAMES[Refusal::NotCopied as usize]),
        },
        Property {
            name: "W a fuzzy base is refused",
            says: "a base is refused because an operation happened during its copy",
            check: Check::Refused(Refusal::NAMES[Refusal::OperationInCopy as usize]),
        },
    ]
}
