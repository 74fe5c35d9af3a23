//! What the specification refuses, asked of the volume: it must refuse for the same reason.
//!
//! Many refusals of the specification are nobody's to ask for: an instance that is used up, a step of
//! write-back with nothing to do, a second superblock while one is in flight. Those that a caller of
//! the volume can ask for are listed here, each with the volume's word for it.

use holdfast_blockvol::sim::steps;
use holdfast_blockvol::{AppendError, PinError, Store, TruncateError};
use holdfast_model::storage::action::{Action, Refusal};
use holdfast_model::storage::state::{Phase, State};
use holdfast_model::storage::vocabulary::{Bounds, Entry};
use holdfast_types::Lsn;

use super::layout::{self, lsn};
use super::rig::System;
use super::view::operation;
use crate::product::Difference;

/// Asks for what the specification refuses; `None` when nobody could.
pub(super) fn ask(
    bounds: &Bounds,
    system: &mut System,
    state: &State,
    action: Action,
    refusal: Refusal,
) -> Option<Result<(), Difference>> {
    if state.disk.superblock_in_flight() {
        return None;
    }
    let store = system.store.as_mut()?;
    let said = match action {
        Action::Append { epoch } => append(bounds, store, state, epoch, refusal)?,
        Action::Truncate { to } => truncate(bounds, store, state, lsn(to), refusal)?,
        Action::Pin { at } => pin(store, state, lsn(at), refusal)?,
        Action::BeginSync if refusal == Refusal::WrongPhase && state.phase == Phase::Poisoned => {
            expect(store.begin_sync().is_err(), "syncs")
        }
        // A pin that keeps back too much ends when log is about to be freed; and right before an
        // operation the checkpoint is further, by what fills its group.
        Action::Reclaim
            if refusal == Refusal::NothingToDo
                && state.phase == Phase::Open
                && state.memory.pin.is_none()
                && store.positions().checkpoint
                    == lsn(state.disk.durable.superblock().checkpoint) =>
        {
            expect(matches!(store.begin_reclaim(), Ok(None)), "frees log")
        }
        Action::RaiseBound if refusal == Refusal::NothingToDo && state.phase == Phase::Open => {
            raise_bound(store)
        }
        Action::Commit { to } if state.phase == Phase::Open => {
            commit(store, state, lsn(to), refusal)?
        }
        Action::Index { .. }
        | Action::BeginSync
        | Action::EndSync
        | Action::Commit { .. }
        | Action::Serve
        | Action::RaiseBound
        | Action::SyncSuperblock
        | Action::WriteExtent { .. }
        | Action::SyncExtent
        | Action::Checkpoint
        | Action::Perform
        | Action::Restore { .. }
        | Action::CopyOut { .. }
        | Action::SyncCopies
        | Action::BeginRead { .. }
        | Action::EndRead
        | Action::Unpin
        | Action::Reclaim
        | Action::BeginInstall { .. }
        | Action::InstallChunk { .. }
        | Action::Switch
        | Action::LosePower { .. }
        | Action::Kill
        | Action::Recover
        | Action::FailSync { .. }
        | Action::Damage { .. }
        | Action::LoseAppend
        | Action::Rewind
        | Action::StaleFlush { .. } => return None,
    };
    Some(said.map_err(|said| Difference {
        what: format!("the refusal of {action:?}"),
        specification: refusal.to_string(),
        implementation: said,
    }))
}

fn expect(refused: bool, otherwise: &str) -> Result<(), String> {
    if refused {
        Ok(())
    } else {
        Err(otherwise.to_owned())
    }
}

/// Whether a phase is one in which a process is there and refuses most of what it is asked.
fn refuses(phase: Phase) -> bool {
    match phase {
        Phase::Poisoned | Phase::Untrusted | Phase::Installing => true,
        Phase::Down
        | Phase::Opening
        | Phase::Open
        | Phase::Cutting
        | Phase::Marking
        | Phase::Switching
        | Phase::Broken
        | Phase::Unopenable => false,
    }
}

fn append(
    bounds: &Bounds,
    store: &mut Store,
    state: &State,
    epoch: u8,
    refusal: Refusal,
) -> Option<Result<(), String>> {
    if state.head >= bounds.last() {
        return None;
    }
    let mut history = state.ghost.history;
    let entry = Entry::new(state.head + 1, epoch, false);
    history[usize::from(state.head) + 1] = entry;
    let at = store.positions();
    let asked = match refusal {
        Refusal::WrongPhase => refuses(state.phase),
        // Log that a checkpoint has freed already is room.
        Refusal::LogFull => at.retained_from == Some(lsn(state.disk.durable.superblock().tail)),
        Refusal::EpochBehind => true,
        Refusal::Exhausted
        | Refusal::SuperblockInFlight
        | Refusal::SyncInFlight
        | Refusal::NothingToDo
        | Refusal::AgainstHistory
        | Refusal::NotServing
        | Refusal::NotCopied
        | Refusal::HistoryGone
        | Refusal::BelowExtentBound
        | Refusal::NotDurable
        | Refusal::OperationNotDue
        | Refusal::OperationInCopy
        | Refusal::BaseIncomplete
        | Refusal::NotVouched => false,
    };
    if !asked {
        return None;
    }
    let last = store.last();
    let said = if bounds.primary {
        let mut group = layout::group(bounds, &history, entry, last.1);
        let first = group.swap_remove(0);
        store.append(first.epoch, first.kind, first.range, first.payload)
    } else {
        let mut group = layout::group(bounds, &history, entry, last.1);
        for (number, entry) in (1..).zip(&mut group) {
            entry.lsn = Lsn(last.0.0 + number);
        }
        store.append_entries(last, &group)
    };
    let right = match (&said, refusal) {
        (Err(AppendError::Poisoned(_) | AppendError::Untrusted), Refusal::WrongPhase) => true,
        (Err(AppendError::LogFull { .. }), Refusal::LogFull) => true,
        (
            Err(AppendError::EpochOrder { .. } | AppendError::EpochNotPromised { .. }),
            Refusal::EpochBehind,
        ) => true,
        (_, _) => false,
    };
    Some(expect(right, &format!("{said:?}")))
}

fn truncate(
    bounds: &Bounds,
    store: &mut Store,
    state: &State,
    to: Lsn,
    refusal: Refusal,
) -> Option<Result<(), String>> {
    let asked = match refusal {
        Refusal::WrongPhase => refuses(state.phase),
        // Where it is refused for the history as well, the volume knows nothing of that.
        Refusal::BelowExtentBound => operation(bounds, state).is_none(),
        Refusal::Exhausted
        | Refusal::SuperblockInFlight
        | Refusal::SyncInFlight
        | Refusal::NothingToDo
        | Refusal::LogFull
        | Refusal::AgainstHistory
        | Refusal::EpochBehind
        | Refusal::NotServing
        | Refusal::NotCopied
        | Refusal::HistoryGone
        | Refusal::NotDurable
        | Refusal::OperationNotDue
        | Refusal::OperationInCopy
        | Refusal::BaseIncomplete
        | Refusal::NotVouched => false,
    };
    if !asked {
        return None;
    }
    let said = store.truncate(to);
    let right = match (&said, state.phase) {
        (Err(TruncateError::Poisoned(_)), Phase::Poisoned) => true,
        (Err(TruncateError::BelowExtent { .. }), _) => state.phase != Phase::Poisoned,
        (_, _) => false,
    };
    Some(expect(right, &format!("{said:?}")))
}

fn pin(store: &mut Store, state: &State, at: Lsn, refusal: Refusal) -> Option<Result<(), String>> {
    let asked = match refusal {
        Refusal::HistoryGone => true,
        Refusal::WrongPhase => matches!(state.phase, Phase::Untrusted | Phase::Installing),
        Refusal::Exhausted
        | Refusal::SuperblockInFlight
        | Refusal::SyncInFlight
        | Refusal::NothingToDo
        | Refusal::LogFull
        | Refusal::AgainstHistory
        | Refusal::EpochBehind
        | Refusal::NotServing
        | Refusal::NotCopied
        | Refusal::BelowExtentBound
        | Refusal::NotDurable
        | Refusal::OperationNotDue
        | Refusal::OperationInCopy
        | Refusal::BaseIncomplete
        | Refusal::NotVouched => false,
    };
    if !asked {
        return None;
    }
    let said = steps::pin(store, at, u64::MAX);
    let right = match &said {
        Err(PinError::Recycled { .. }) => true,
        // There is no log that it could keep.
        Err(PinError::BeyondHead { .. }) => refusal == Refusal::WrongPhase,
        Ok(_) | Err(PinError::TooLarge { .. } | PinError::Revoked { .. } | PinError::Closed) => {
            false
        }
    };
    Some(expect(right, &format!("{said:?}")))
}

fn raise_bound(store: &mut Store) -> Result<(), String> {
    let run = store.begin_flush();
    let raised = match run {
        Ok(None) => Ok(None),
        Ok(Some(run)) => store.begin_bound(&run),
        Err(poisoned) => Err(poisoned),
    };
    expect(matches!(raised, Ok(None)), "raises the bound")
}

/// What is known already changes nothing, and nothing is taken for committed that is not here.
fn commit(
    store: &mut Store,
    state: &State,
    to: Lsn,
    refusal: Refusal,
) -> Option<Result<(), String>> {
    if refusal != Refusal::NothingToDo
        || to > lsn(state.memory.committed) && state.memory.committed != state.head
    {
        return None;
    }
    let said = store.set_committed(to);
    Some(expect(
        said == lsn(state.memory.committed),
        &said.to_string(),
    ))
}
