//! What must hold (`docs/session.md`, section 9), named after the truths of `docs/protocol.md`.
//!
//! Each is judged with the ghosts, the concrete logs and what is truly at the source, never by
//! the rule under test: `T2` compares logs entry by entry, `T1` computes the target anew from the
//! primary's disk, `F71` looks at the pins that were acquired and not released.

mod agreement;
mod authority;
mod catch_up;
mod liveness;
mod rebuild;
mod reports;
mod tokens;

use super::Session as Spec;
use super::action::{Action, Call};
use super::state::{
    CatchUp, Completed, Ghost, History, Phase, Plan, SENDERS, Sender, Session, State, TailReplay,
    Transfer, Volume,
};
use super::vocabulary::Token;
use crate::checking::{Check, Property, Step, Verdict};

/// Everything about one sender in one state.
struct Of<'a> {
    slot: usize,
    volume: &'a Volume,
    sender: &'a Sender,
    session: Option<&'a Session>,
    ghost: &'a Ghost,
    history: &'a History,
}

fn of<'a>(spec: &Spec, state: &'a State, slot: usize) -> Option<Of<'a>> {
    let at = spec.volume_index(slot);
    let sender = state.senders[slot].as_ref()?;
    Some(Of {
        slot,
        volume: state.volumes[at].as_ref()?,
        sender,
        session: sender.session.as_ref(),
        ghost: &state.ghosts[slot],
        history: &state.histories[at],
    })
}

/// Judges every sender of a state.
fn each(spec: &Spec, state: &State, judge: impl Fn(Of<'_>) -> Verdict) -> Verdict {
    (0..spec.senders())
        .filter_map(|slot| of(spec, state, slot))
        .fold(Verdict::Vacuous, |verdict, sender| {
            verdict.and(judge(sender))
        })
}

/// The sender that a call on a session addresses.
fn addressed<'a>(spec: &Spec, state: &'a State, token: Token) -> Option<Of<'a>> {
    of(spec, state, spec.slot(token.volume, token.replica)?)
}

/// A granted call on a session, with the sender that it addresses, before and after; `None` for any
/// other step, and where there is no such sender.
struct OnSession<'a> {
    call: Call,
    before: Of<'a>,
    after: Of<'a>,
}

fn on_session<'a>(spec: &Spec, step: &'a Step<'_, Spec>) -> Option<OnSession<'a>> {
    let (Action::OnSession(token, call), Ok(after)) = (step.action, step.after) else {
        return None;
    };
    Some(OnSession {
        call,
        before: addressed(spec, step.before, token)?,
        after: addressed(spec, after, token)?,
    })
}

fn completed(at: &Of<'_>) -> Option<Completed> {
    match at.session?.phase {
        Phase::Completed(completed) => Some(completed),
        Phase::Init
        | Phase::Connecting
        | Phase::Handshake
        | Phase::CatchUp(_)
        | Phase::SourceSelect(_)
        | Phase::Transfer(_)
        | Phase::TailReplay(_) => None,
    }
}

fn catch_up(at: &Of<'_>) -> Option<CatchUp> {
    match at.session?.phase {
        Phase::CatchUp(catch_up) => Some(catch_up),
        Phase::Init
        | Phase::Connecting
        | Phase::Handshake
        | Phase::SourceSelect(_)
        | Phase::Transfer(_)
        | Phase::TailReplay(_)
        | Phase::Completed(_) => None,
    }
}

fn plan(at: &Of<'_>) -> Option<Plan> {
    match at.session?.phase {
        Phase::SourceSelect(plan) => plan,
        Phase::Transfer(Transfer { plan, .. }) | Phase::TailReplay(TailReplay { plan, .. }) => {
            Some(plan)
        }
        Phase::Init
        | Phase::Connecting
        | Phase::Handshake
        | Phase::CatchUp(_)
        | Phase::Completed(_) => None,
    }
}

fn tail_replay(at: &Of<'_>) -> Option<TailReplay> {
    match at.session?.phase {
        Phase::TailReplay(tail_replay) => Some(tail_replay),
        Phase::Init
        | Phase::Connecting
        | Phase::Handshake
        | Phase::CatchUp(_)
        | Phase::SourceSelect(_)
        | Phase::Transfer(_)
        | Phase::Completed(_) => None,
    }
}

const fn property(name: &'static str, says: &'static str, check: Check<Spec>) -> Property<Spec> {
    Property { name, says, check }
}

/// Every property and every witness.
pub(super) fn all() -> Vec<Property<Spec>> {
    use Check::{Always, Leads};
    let mut all = vec![
        property(
            "T1",
            "the target of every plan is the greater of committed and the epoch-start entry when \
             it was decided; never head, never moved",
            Always(catch_up::t1),
        ),
        property(
            "T2",
            "in sync: the replica's log holds the primary's entries, each with its epoch, up to \
             achieved, and nothing that the primary lacks",
            Always(agreement::t2),
        ),
        property(
            "T2_told",
            "nothing is decided on a report that contradicts itself",
            Check::Step(reports::t2_told),
        ),
        property(
            "C1",
            "in sync: the replica's image is that of one exact position",
            Always(agreement::c1),
        ),
        property(
            "T3_begins",
            "a catch-up begins on a trusted base that lacks nothing of what was acknowledged",
            Check::Step(catch_up::t3_begins),
        ),
        property(
            "T3",
            "what a catch-up acknowledged is within its plan",
            Always(catch_up::t3),
        ),
        property(
            "T3_monotone",
            "no position of a session goes back in its phase",
            Check::Step(catch_up::t3_monotone),
        ),
        property(
            "T4",
            "after an escalation, until a rebuild completes, the sender says that it needs one and \
             why; and otherwise it does not",
            Always(rebuild::t4),
        ),
        property(
            "T4_reasons",
            "a session escalates only before it is in sync, and only for what is so on the disks, at \
             the source, by the clock",
            Check::Step(reports::t4_reasons),
        ),
        property(
            "T5_begins",
            "a transfer begins only with a plan, and with both pins at the source",
            Check::Step(rebuild::t5_begins),
        ),
        property(
            "T5_T6",
            "a rebuild that completed had both pins from before the transfer to the switch, all \
             chunks, a trusted source, and a barrier at its frozen target",
            Always(rebuild::t5_t6),
        ),
        property(
            "T7",
            "a call with a token of which any part is not current is refused",
            Check::Call(tokens::t7),
        ),
        property(
            "T7_ids",
            "no session id is given twice",
            Check::Step(tokens::t7_ids),
        ),
        property(
            "T8",
            "an endpoint changes only by an assignment, only forward, and its session ends",
            Check::Step(tokens::t8),
        ),
        property(
            "A10",
            "after a change of address there is a session only if the assignment asked for it",
            Check::Step(tokens::a10),
        ),
        property(
            "T9",
            "after a divergence nothing counts before the replica's log is cut to what is common",
            Always(catch_up::t9),
        ),
        property(
            "T10_decided",
            "nobody is sent to catch-up over history that is not retained",
            Check::Step(catch_up::t10_decided),
        ),
        property(
            "T10",
            "while entries are streamed, what is still to be replayed is retained at the source",
            Always(catch_up::t10),
        ),
        property(
            "T10_promised",
            "what still has to be replayed is pinned at the source before anything is acknowledged",
            Always(catch_up::t10_promised),
        ),
        property(
            "A6",
            "losing a pin ends the session, and a rebuild is needed",
            Check::Step(tokens::a6),
        ),
        property(
            "T11",
            "the source of a rebuild and its reason are those that the history gives",
            Check::Step(rebuild::t11),
        ),
        property(
            "T12",
            "a snapshot base holds exactly its position; the live extent is never taken for one",
            Always(rebuild::t12),
        ),
        property(
            "T16",
            "achieved is what the replica acknowledged and holds, at least the target, and what the \
             sender reports",
            Always(agreement::t16),
        ),
        property(
            "T16_told",
            "whoever is told that a session completed finds its sender in sync",
            Check::Step(agreement::t16_told),
        ),
        property(
            "T17",
            "tail replay begins at the split that was fixed before the transfer, and the log \
             reaches back to it",
            Always(rebuild::t17),
        ),
        property(
            "F60",
            "in sync only with a completed session of this epoch at this endpoint",
            Always(agreement::f60),
        ),
        property(
            "A3",
            "a session is of the present epoch and endpoint, and its sender's state is its own",
            Always(agreement::sessions_are_of_the_present),
        ),
        property(
            "A3_asked",
            "a session begins in the epoch and at the endpoint that were named, and a stop ends only \
             what is of the epoch that it named",
            Check::Step(authority::a3_asked),
        ),
        property(
            "A3_deposed",
            "nothing is decided over a replica that holds entries of a newer epoch",
            Check::Step(reports::a3_deposed),
        ),
        property(
            "F71",
            "the pins at the source are those that a present session asked for, each released once",
            Always(tokens::f71),
        ),
        property(
            "C5",
            "a repeated assignment succeeds and changes nothing",
            Check::Call(authority::c5),
        ),
        property(
            "F67",
            "an older assignment changes nothing",
            Check::Call(authority::f67),
        ),
        property(
            "F68",
            "a call for one volume changes no other",
            Check::Step(authority::f68),
        ),
        property(
            "F81",
            "no epoch and no session counter goes back",
            Check::Step(authority::f81),
        ),
        property(
            "F86",
            "a newer assignment is in force when it was accepted",
            Check::Step(authority::f86),
        ),
        property(
            "F57",
            "no rebuild begins while its replica is a member",
            Check::Step(rebuild::f57),
        ),
        property(
            "F69",
            "nobody is classified or rebuilt by a primary that is untrusted or has not logged its \
             epoch-start entry",
            Check::Step(authority::f69),
        ),
        property(
            "F35",
            "acknowledged is never above what the replica holds",
            Always(catch_up::f35),
        ),
        property(
            "A5",
            "a session over its budget is ended by the check",
            Check::Step(tokens::a5),
        ),
        property(
            "A5_moves",
            "the clock of a stall is set back only by what moves the session on",
            Check::Step(tokens::a5_moves),
        ),
        property(
            "A5_entries",
            "no catch-up is longer than its budget",
            Always(catch_up::a5_entries),
        ),
        property(
            "A11",
            "after a fault or a time-out the token of the session is dead",
            Check::Step(tokens::a11),
        ),
        property(
            "A11_pins",
            "a pin is acquired or fails only while it is asked for, and is lost only while it is held",
            Check::Step(tokens::a11_pins),
        ),
        property(
            "A4",
            "an in-sync state of each sender can be reached without faults",
            Leads {
                subjects: SENDERS,
                from: liveness::a4_from,
                to: liveness::a4_to,
            },
        ),
        property(
            "A5_ends",
            "every session can complete or end without faults",
            Leads {
                subjects: SENDERS,
                from: liveness::ends_from,
                to: liveness::ends_to,
            },
        ),
    ];
    all.extend(super::witnesses::all());
    all
}
