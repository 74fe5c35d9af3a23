//! What can still happen, from everywhere, without faults: A4, A5.
//!
//! The bounds of the instance are part of the antecedent: a claim that something can still happen is
//! made only where bounds leave room for it.

use super::{Of, completed, of};
use crate::session::Session as Spec;
use crate::session::state::State;
use crate::session::vocabulary::{SenderState, SessionKind};

fn room(spec: &Spec, at: &Of<'_>, state: &State) -> bool {
    spec.sessions_left(state, at.slot) >= 2
        && (at.volume.revision < spec.bounds.revisions || !at.sender.member)
        && spec.bounds.kinds.contains(&SessionKind::Rebuild)
}

fn can_serve(at: &Of<'_>) -> bool {
    at.volume.serving && at.history.is_trusted() && at.history.retained_from.is_some()
}

pub(super) fn a4_from(spec: &Spec, state: &State, slot: usize) -> bool {
    of(spec, state, slot).is_some_and(|at| can_serve(&at) && room(spec, &at, state))
}

pub(super) fn a4_to(_: &Spec, state: &State, slot: usize) -> bool {
    state.senders[slot].is_some_and(|sender| sender.state == SenderState::InSync)
}

pub(super) fn ends_from(spec: &Spec, state: &State, slot: usize) -> bool {
    of(spec, state, slot)
        .is_some_and(|at| at.session.is_some() && can_serve(&at) && completed(&at).is_none())
}

pub(super) fn ends_to(_: &Spec, state: &State, slot: usize) -> bool {
    state.senders[slot].is_none_or(|sender| sender.session.is_none() || sender.is_completed())
}
