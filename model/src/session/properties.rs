//! What must hold (`docs/session.md`, section 9), named after the truths of `docs/protocol.md`.
//!
//! Each is judged with the ghosts, the concrete logs and what is truly at the source, never by
//! the rule under test: `T2` compares logs entry by entry, `T1` computes the target anew from the
//! primary's disk, `F71` looks at the pins that were acquired and not released.

use super::Session as Spec;
use super::action::Action;
use super::ghosts::session_source_is_snapshot;
use super::state::{
    CatchUp, Completed, Ghost, History, Phase, Plan, SENDERS, Sender, Session, State, TailReplay,
    Transfer, Volume,
};
use super::surroundings::bit;
use super::vocabulary::{
    Intent, Pin, SenderState, SessionKind, Slot, Source, SourceReason, Token, Truncate,
};
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

/// Whether every part of a token is current in a state (T7).
fn is_current(spec: &Spec, state: &State, token: Token) -> bool {
    addressed(spec, state, token).is_some_and(|at| {
        token.epoch == at.volume.epoch
            && token.endpoint_version == at.sender.endpoint.version
            && at
                .session
                .is_some_and(|session| session.id == token.session)
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

// The properties, in the order of section 9.

fn t1(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let target = plan(&at).map(|plan| plan.target);
        let target = target.or(catch_up(&at).map(|catch_up| catch_up.target));
        Verdict::implies(target.is_some(), || target == at.ghost.target)
    })
}

fn t2(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let Some(completed) = completed(&at) else {
            return Verdict::Vacuous;
        };
        let alike = at.ghost.log.alike(&at.history.log);
        Verdict::implies(true, || {
            alike >= completed.achieved && at.ghost.log.is_prefix_of(&at.history.log)
        })
    })
}

fn c1(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        Verdict::implies(completed(&at).is_some(), || at.ghost.is_trusted())
    })
}

/// At its handshake: the base was trusted, and nothing that was promised is missing.
fn t3_begins(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    handshake(spec, step, |_, after| {
        let Some(_) = catch_up(after) else {
            return Verdict::Vacuous;
        };
        let ghost = after.ghost;
        Verdict::implies(true, || {
            ghost.is_trusted() && ghost.log.head() >= ghost.promised
        })
    })
}

fn t3(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let Some(CatchUp {
            from,
            target,
            acked,
            ..
        }) = catch_up(&at)
        else {
            return Verdict::Vacuous;
        };
        let Some(acked) = acked else {
            return Verdict::Vacuous;
        };
        Verdict::implies(true, || from.min(target) <= acked && acked <= target)
    })
}

fn t3_monotone(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let (Some(token), Ok(after)) = (step.action.token(), step.after) else {
        return Verdict::Vacuous;
    };
    let position = |state: &State| {
        let at = addressed(spec, state, token)?;
        let session = *at.session?;
        let acked = match session.phase {
            Phase::CatchUp(CatchUp { acked, .. }) | Phase::TailReplay(TailReplay { acked, .. }) => {
                acked
            }
            Phase::Transfer(transfer) => Some(transfer.chunks_done),
            Phase::Completed(completed) => Some(completed.acked),
            Phase::Init | Phase::Connecting | Phase::Handshake | Phase::SourceSelect(_) => None,
        };
        Some((session.id, session.phase.name(), acked?))
    };
    match (position(step.before), position(after)) {
        (Some((id, phase, was)), Some((id_after, phase_after, is))) => {
            Verdict::implies(id == id_after && phase == phase_after, || is >= was)
        }
        (Some(_) | None, Some(_) | None) => Verdict::Vacuous,
    }
}

fn t4(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let owing = matches!(
            at.sender.state,
            SenderState::NeedsRebuild | SenderState::Rebuilding
        );
        if at.ghost.owes_rebuild {
            Verdict::implies(true, || owing && at.sender.reason.is_some())
        } else {
            Verdict::implies(at.sender.reason.is_some(), || owing)
        }
    })
}

fn t5_t6(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let rebuilt = at
            .session
            .is_some_and(|session| session.kind == SessionKind::Rebuild)
            && completed(&at).is_some();
        let achieved = completed(&at).map(|completed| completed.achieved);
        Verdict::implies(rebuilt, || {
            at.ghost.base_whole && achieved >= at.ghost.target
        })
    })
}

fn t7(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let Some(token) = step.action.token() else {
        return Verdict::Vacuous;
    };
    let stale = !is_current(spec, step.before, token);
    Verdict::implies(stale, || step.after.is_err())
}

fn t7_ids(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let Ok(after) = step.after else {
        return Verdict::Vacuous;
    };
    (0..spec.senders()).fold(Verdict::Vacuous, |verdict, slot| {
        let now = |state: &State| of(spec, state, slot).and_then(|at| at.session.copied());
        let Some(session) = now(after) else {
            return verdict;
        };
        if now(step.before).is_some_and(|before| before.id == session.id) {
            return verdict;
        }
        let issued = step.before.volumes[spec.volume_index(slot)].map(|volume| volume.issued);
        let again = issued.is_some_and(|issued| {
            issued
                .get(usize::from(session.id) - 1)
                .is_some_and(Option::is_some)
        });
        verdict.and(Verdict::implies(true, || !again))
    })
}

fn t8(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let Ok(after) = step.after else {
        return Verdict::Vacuous;
    };
    (0..spec.senders()).fold(Verdict::Vacuous, |verdict, slot| {
        let (Some(was), Some(is)) = (of(spec, step.before, slot), of(spec, after, slot)) else {
            return verdict;
        };
        let moved = was.sender.endpoint != is.sender.endpoint;
        verdict.and(Verdict::implies(moved, || {
            let ended = |before: &Session| is.session.is_none_or(|now| now.id != before.id);
            matches!(step.action, Action::Assign { .. })
                && is.sender.endpoint.version > was.sender.endpoint.version
                && was.session.is_none_or(ended)
        }))
    })
}

fn a10(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let Ok(after) = step.after else {
        return Verdict::Vacuous;
    };
    (0..spec.senders()).fold(Verdict::Vacuous, |verdict, slot| {
        let (Some(was), Some(is)) = (of(spec, step.before, slot), of(spec, after, slot)) else {
            return verdict;
        };
        let moved = was.sender.endpoint != is.sender.endpoint;
        verdict.and(Verdict::implies(moved, || {
            let asked = match step.action {
                Action::Assign { replicas, .. } => {
                    replicas[slot].is_some_and(|named| named.intent != Intent::Nothing)
                }
                Action::Fence { .. }
                | Action::Stop { .. }
                | Action::Attach { .. }
                | Action::Supersede { .. }
                | Action::Connect { .. }
                | Action::Hello { .. }
                | Action::Handshake { .. }
                | Action::Pinned { .. }
                | Action::PinFailed { .. }
                | Action::PinLost { .. }
                | Action::Truncated { .. }
                | Action::TruncationRefused { .. }
                | Action::Progress { .. }
                | Action::Complete { .. }
                | Action::Acknowledged { .. }
                | Action::SelectSource { .. }
                | Action::BeginTransfer { .. }
                | Action::TransferProgress { .. }
                | Action::BaseInstalled { .. }
                | Action::CheckBudget { .. }
                | Action::Fail { .. }
                | Action::Tick
                | Action::Append { .. }
                | Action::Commit { .. }
                | Action::WriteBack { .. }
                | Action::Reclaim { .. } => false,
            };
            asked || is.session.is_none()
        }))
    })
}

fn t9(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let replaying = catch_up(&at).is_some_and(|catch_up| catch_up.acked.is_some());
        let replayed = at
            .session
            .is_some_and(|session| session.kind != SessionKind::Rebuild)
            && completed(&at).is_some();
        Verdict::implies(at.ghost.diverged && (replaying || replayed), || {
            at.ghost.log.is_prefix_of(&at.history.log)
        })
    })
}

/// At its handshake: a session sent to catch-up (or told it lacks nothing) can have replayed to it
/// whatever follows its position.
fn t10_decided(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    handshake(spec, step, |before, after| {
        let Some(CatchUp { from, .. }) = catch_up(after) else {
            return Verdict::Vacuous;
        };
        Verdict::implies(from < before.history.log.head(), || {
            before.history.retained_from.is_some_and(|lsn| lsn <= from)
        })
    })
}

fn t10(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let Some(session) = at.session else {
            return Verdict::Vacuous;
        };
        let (Some((goal, acked)), Some(from)) = (session.goal_and_acked(), session.replays_from())
        else {
            return Verdict::Vacuous;
        };
        let truncating = catch_up(&at)
            .is_some_and(|catch_up| matches!(catch_up.truncate, Truncate::Required(_)));
        let streaming = session.pin(Slot::Retention) != Pin::Requested && !truncating;
        let missing = acked.unwrap_or(from).max(from) < goal;
        Verdict::implies(streaming && missing, || {
            at.history
                .retained_from
                .is_some_and(|lsn| lsn <= acked.unwrap_or(from).max(from))
        })
    })
}

fn a6(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let (Action::PinLost { token, .. }, Ok(after)) = (step.action, step.after) else {
        return Verdict::Vacuous;
    };
    Verdict::implies(true, || {
        addressed(spec, after, token)
            .is_some_and(|at| at.session.is_none() && at.sender.state == SenderState::NeedsRebuild)
    })
}

fn t11(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let (Action::SelectSource { token, .. }, Ok(after)) = (step.action, step.after) else {
        return Verdict::Vacuous;
    };
    let (Some(before), Some(after)) = (
        addressed(spec, step.before, token),
        addressed(spec, after, token),
    ) else {
        return Verdict::Vacuous;
    };
    let history = before.history;
    let sound = history
        .snapshot
        .map(|snapshot| snapshot.content == snapshot.base_lsn);
    let right = match (sound, session_source_is_snapshot(history)) {
        (_, true) => (Source::SnapshotTail, SourceReason::TrustedSnapshot),
        (Some(true), false) => (Source::FullBase, SourceReason::UnreplayableTail),
        (Some(false), false) => (Source::FullBase, SourceReason::UntrustedSnapshot),
        (None, false) => (Source::FullBase, SourceReason::NoSnapshot),
    };
    Verdict::implies(true, || {
        plan(&after).is_some_and(|plan| (plan.source, plan.why) == right)
    })
}

fn t12(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let Some(plan) = plan(&at) else {
            return Verdict::Vacuous;
        };
        let installed = tail_replay(&at).is_some();
        Verdict::implies(plan.source == Source::SnapshotTail, || {
            let content = at.history.snapshot.map(|snapshot| snapshot.content);
            content == Some(plan.base_lsn) && (!installed || at.ghost.extent_bound == plan.base_lsn)
        })
    })
}

fn t16(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let Some(Completed { achieved, acked }) = completed(&at) else {
            return Verdict::Vacuous;
        };
        Verdict::implies(true, || {
            at.ghost.target.is_some_and(|target| achieved >= target)
                && achieved <= acked
                && acked <= at.ghost.promised
                && acked <= at.ghost.log.head()
                && at.sender.acknowledged.is_some_and(|lsn| lsn >= acked)
        })
    })
}

fn t17(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let Some(tail) = tail_replay(&at) else {
            return Verdict::Vacuous;
        };
        Verdict::implies(true, || {
            at.ghost.split == Some(tail.plan.base_lsn)
                && (tail.acked.is_some()
                    || at
                        .history
                        .retained_from
                        .is_some_and(|lsn| lsn <= tail.plan.base_lsn))
        })
    })
}

fn f60(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        Verdict::implies(at.sender.state == SenderState::InSync, || {
            completed(&at).is_some()
                && at.session.is_some_and(|session| {
                    session.epoch == at.volume.epoch
                        && session.endpoint_version == at.sender.endpoint.version
                })
                && at.volume.serving
        })
    })
}

fn sessions_are_of_the_present(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let Some(session) = at.session else {
            return Verdict::Vacuous;
        };
        Verdict::implies(true, || {
            session.epoch == at.volume.epoch
                && session.endpoint_version == at.sender.endpoint.version
                && at.volume.serving
                && at.sender.state == session.state()
        })
    })
}

fn f71(spec: &Spec, state: &State) -> Verdict {
    (0..spec.senders()).fold(Verdict::Vacuous, |verdict, slot| {
        let ghost = &state.ghosts[slot];
        let session = state.senders[slot].and_then(|sender| sender.session);
        let with_engine = |pin: Slot| match session {
            Some(session) if session.pin(pin) != Pin::None => bit(session.id),
            Some(_) | None => 0,
        };
        let held = |pin: Slot| match session {
            Some(session) if session.pin(pin) == Pin::Held => bit(session.id),
            Some(_) | None => 0,
        };
        let somewhere = ghost.asked != [0, 0]
            || ghost.acquired != [0, 0]
            || Slot::BOTH.iter().any(|&pin| with_engine(pin) != 0);
        verdict.and(Verdict::implies(somewhere || ghost.released_twice, || {
            !ghost.released_twice
                && Slot::BOTH.iter().all(|&pin| {
                    ghost.asked[pin as usize] == with_engine(pin)
                        && ghost.acquired[pin as usize] == held(pin)
                })
        }))
    })
}

/// The machine's part of a state.
fn machine(state: &State) -> ([Option<Volume>; SENDERS], [Option<Sender>; SENDERS]) {
    (state.volumes, state.senders)
}

fn c5(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let Action::Assign {
        volume,
        epoch,
        revision,
        replicas,
    } = step.action
    else {
        return Verdict::Vacuous;
    };
    let repeated = spec.volume(step.before, volume).is_some_and(|known| {
        let said = super::state::Assignment {
            epoch,
            revision,
            replicas,
        };
        known.assignment == said && (known.epoch, known.revision) == (epoch, revision)
    });
    Verdict::implies(repeated, || {
        step.after
            .is_ok_and(|after| machine(after) == machine(step.before))
    })
}

fn f67(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let Action::Assign {
        volume,
        epoch,
        revision,
        ..
    } = step.action
    else {
        return Verdict::Vacuous;
    };
    let older = spec
        .volume(step.before, volume)
        .is_some_and(|known| (epoch, revision) < (known.epoch, known.revision));
    Verdict::implies(older, || {
        step.after
            .map_or(true, |after| machine(after) == machine(step.before))
    })
}

fn f68(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let (volume, Ok(after)) = (named_volume(step.action), step.after) else {
        return Verdict::Vacuous;
    };
    let Some(volume) = volume else {
        return Verdict::Vacuous;
    };
    let others = || (0..spec.senders()).filter(|&slot| spec.place(slot).0 != volume);
    let present = others().any(|slot| step.before.senders[slot].is_some());
    Verdict::implies(present, || {
        others().all(|slot| {
            let at = spec.volume_index(slot);
            step.before.senders[slot] == after.senders[slot]
                && step.before.volumes[at] == after.volumes[at]
        })
    })
}

/// The volume that a call names.
fn named_volume(action: Action) -> Option<u8> {
    match action {
        Action::Assign { volume, .. }
        | Action::Fence { volume, .. }
        | Action::Stop { volume, .. }
        | Action::Attach { volume, .. }
        | Action::Supersede { volume, .. } => Some(volume),
        Action::Connect { .. }
        | Action::Hello { .. }
        | Action::Handshake { .. }
        | Action::Pinned { .. }
        | Action::PinFailed { .. }
        | Action::PinLost { .. }
        | Action::Truncated { .. }
        | Action::TruncationRefused { .. }
        | Action::Progress { .. }
        | Action::Complete { .. }
        | Action::Acknowledged { .. }
        | Action::SelectSource { .. }
        | Action::BeginTransfer { .. }
        | Action::TransferProgress { .. }
        | Action::BaseInstalled { .. }
        | Action::CheckBudget { .. }
        | Action::Fail { .. }
        | Action::Tick
        | Action::Append { .. }
        | Action::Commit { .. }
        | Action::WriteBack { .. }
        | Action::Reclaim { .. } => action.token().map(|token| token.volume),
    }
}

fn f81(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let Ok(after) = step.after else {
        return Verdict::Vacuous;
    };
    spec.volumes()
        .iter()
        .enumerate()
        .fold(Verdict::Vacuous, |verdict, (at, _)| {
            let (Some(was), is) = (step.before.volumes[at], after.volumes[at]) else {
                return verdict;
            };
            verdict.and(Verdict::implies(is != Some(was), || {
                is.is_some_and(|is| is.epoch >= was.epoch && is.next_session >= was.next_session)
            }))
        })
}

fn f86(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let (
        Action::Assign {
            volume,
            epoch,
            revision,
            replicas,
        },
        Ok(after),
    ) = (step.action, step.after)
    else {
        return Verdict::Vacuous;
    };
    let newer = spec
        .volume(step.before, volume)
        .is_none_or(|known| (epoch, revision) > (known.epoch, known.revision));
    Verdict::implies(newer, || {
        spec.volume(after, volume).is_some_and(|known| {
            (known.epoch, known.revision, known.serving) == (epoch, revision, true)
        }) && spec
            .slots_of(volume)
            .all(|slot| match (replicas[slot], after.senders[slot]) {
                (Some(named), Some(sender)) => {
                    sender.endpoint == named.endpoint && sender.member == named.member
                }
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            })
    })
}

fn f57(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let Ok(after) = step.after else {
        return Verdict::Vacuous;
    };
    (0..spec.senders()).fold(Verdict::Vacuous, |verdict, slot| {
        let id = |state: &State| of(spec, state, slot).and_then(|at| Some(at.session?.id));
        let begun = of(spec, after, slot).is_some_and(|at| {
            at.session.is_some_and(|session| {
                session.kind == SessionKind::Rebuild && Some(session.id) != id(step.before)
            })
        });
        let member = after.senders[slot].is_some_and(|sender| sender.member);
        verdict.and(Verdict::implies(begun, || !member))
    })
}

fn f69(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let (Action::Handshake { token, .. } | Action::SelectSource { token, .. }, Ok(_)) =
        (step.action, step.after)
    else {
        return Verdict::Vacuous;
    };
    let Some(at) = addressed(spec, step.before, token) else {
        return Verdict::Vacuous;
    };
    Verdict::implies(true, || {
        let last = at.history.log.epoch_at(at.history.log.head());
        at.history.is_trusted() && last == Some(at.volume.epoch)
    })
}

fn f35(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let Some(acknowledged) = at.sender.acknowledged else {
            return Verdict::Vacuous;
        };
        let looked_at = at.session.is_some_and(|session| match session.phase {
            Phase::CatchUp(_) | Phase::Transfer(_) | Phase::TailReplay(_) | Phase::Completed(_) => {
                true
            }
            Phase::Init | Phase::Connecting | Phase::Handshake | Phase::SourceSelect(_) => false,
        });
        Verdict::implies(looked_at, || acknowledged <= at.ghost.log.head())
    })
}

fn a5(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let (
        Action::CheckBudget {
            token,
            pinned_bytes,
        },
        Ok(after),
    ) = (step.action, step.after)
    else {
        return Verdict::Vacuous;
    };
    let (Some(before), Some(after)) = (
        addressed(spec, step.before, token),
        addressed(spec, after, token),
    ) else {
        return Verdict::Vacuous;
    };
    let Some(session) = before.session else {
        return Verdict::Vacuous;
    };
    let budget = spec.budget();
    let idle = step.before.now.saturating_sub(session.last_progress);
    let early = matches!(
        session.phase,
        Phase::Init | Phase::Connecting | Phase::Handshake
    );
    let over = idle > budget.stall
        || (!early
            && (step.before.now.saturating_sub(session.since) > budget.duration
                || pinned_bytes > budget.bytes));
    Verdict::implies(over, || {
        let state = if early && session.kind != SessionKind::Rebuild {
            SenderState::Degraded
        } else {
            SenderState::NeedsRebuild
        };
        after.session.is_none() && after.sender.state == state
    })
}

fn a5_entries(spec: &Spec, state: &State) -> Verdict {
    each(spec, state, |at| {
        let Some(CatchUp { from, target, .. }) = catch_up(&at) else {
            return Verdict::Vacuous;
        };
        Verdict::implies(target > from, || target - from <= spec.budget().entries)
    })
}

fn a11(spec: &Spec, step: &Step<'_, Spec>) -> Verdict {
    let (Action::Fail { token, .. } | Action::PinFailed { token, .. }, Ok(after)) =
        (step.action, step.after)
    else {
        return Verdict::Vacuous;
    };
    Verdict::implies(true, || !is_current(spec, after, token))
}

/// Judges the handshakes of sessions that are classified.
fn handshake(
    spec: &Spec,
    step: &Step<'_, Spec>,
    judge: impl Fn(&Of<'_>, &Of<'_>) -> Verdict,
) -> Verdict {
    let (Action::Handshake { token, .. }, Ok(after)) = (step.action, step.after) else {
        return Verdict::Vacuous;
    };
    match (
        addressed(spec, step.before, token),
        addressed(spec, after, token),
    ) {
        (Some(before), Some(after)) => judge(&before, &after),
        (Some(_) | None, Some(_) | None) => Verdict::Vacuous,
    }
}

// Liveness. The instance's bounds are part of the antecedent: a claim that something can still
// happen is made only where bounds leave room for it.

fn room(spec: &Spec, at: &Of<'_>, state: &State) -> bool {
    spec.sessions_left(state, at.slot) >= 2
        && (at.volume.revision < spec.bounds.revisions || !at.sender.member)
        && spec.bounds.kinds.contains(&SessionKind::Rebuild)
}

fn can_serve(at: &Of<'_>) -> bool {
    at.volume.serving && at.history.is_trusted() && at.history.retained_from.is_some()
}

fn a4_from(spec: &Spec, state: &State, slot: usize) -> bool {
    of(spec, state, slot).is_some_and(|at| can_serve(&at) && room(spec, &at, state))
}

fn a4_to(_: &Spec, state: &State, slot: usize) -> bool {
    state.senders[slot].is_some_and(|sender| sender.state == SenderState::InSync)
}

fn ends_from(spec: &Spec, state: &State, slot: usize) -> bool {
    of(spec, state, slot)
        .is_some_and(|at| at.session.is_some() && can_serve(&at) && completed(&at).is_none())
}

fn ends_to(_: &Spec, state: &State, slot: usize) -> bool {
    state.senders[slot].is_none_or(|sender| sender.session.is_none() || sender.is_completed())
}

const fn property(name: &'static str, says: &'static str, check: Check<Spec>) -> Property<Spec> {
    Property { name, says, check }
}

/// Every property and every witness.
pub(super) fn all() -> Vec<Property<Spec>> {
    use Check::{Always, Call, Leads, Step};
    let mut all = vec![
        property(
            "T1",
            "the target of every plan is the greater of committed and the epoch-start entry when \
             it was decided; never head, never moved",
            Always(t1),
        ),
        property(
            "T2",
            "in sync: the replica's log holds the primary's entries, each with its epoch, up to \
             achieved, and nothing that the primary lacks",
            Always(t2),
        ),
        property(
            "C1",
            "in sync: the replica's image is that of one exact position",
            Always(c1),
        ),
        property(
            "T3_begins",
            "a catch-up begins on a trusted base that lacks nothing of what was acknowledged",
            Step(t3_begins),
        ),
        property(
            "T3",
            "what a catch-up acknowledged is within its plan",
            Always(t3),
        ),
        property(
            "T3_monotone",
            "no position of a session goes back in its phase",
            Step(t3_monotone),
        ),
        property(
            "T4",
            "after an escalation, until a rebuild completes, the sender says that it needs one and \
             why; and otherwise it does not",
            Always(t4),
        ),
        property(
            "T5_T6",
            "a rebuild that completed had both pins from before the transfer to the switch, all \
             chunks, a trusted source, and a barrier at its frozen target",
            Always(t5_t6),
        ),
        property(
            "T7",
            "a call with a token of which any part is not current is refused",
            Call(t7),
        ),
        property("T7_ids", "no session id is given twice", Step(t7_ids)),
        property(
            "T8",
            "an endpoint changes only by an assignment, only forward, and its session ends",
            Step(t8),
        ),
        property(
            "A10",
            "after a change of address there is a session only if the assignment asked for it",
            Step(a10),
        ),
        property(
            "T9",
            "after a divergence nothing counts before the replica's log is cut to what is common",
            Always(t9),
        ),
        property(
            "T10_decided",
            "nobody is sent to catch-up over history that is not retained",
            Step(t10_decided),
        ),
        property(
            "T10",
            "while entries are streamed, what is still to be replayed is retained at the source",
            Always(t10),
        ),
        property(
            "A6",
            "losing a pin ends the session, and a rebuild is needed",
            Step(a6),
        ),
        property(
            "T11",
            "the source of a rebuild and its reason are those that the history gives",
            Step(t11),
        ),
        property(
            "T12",
            "a snapshot base holds exactly its position; the live extent is never taken for one",
            Always(t12),
        ),
        property(
            "T16",
            "achieved is what the replica acknowledged and holds, at least the target, and what the \
             sender reports",
            Always(t16),
        ),
        property(
            "T17",
            "tail replay begins at the split that was fixed before the transfer, and the log \
             reaches back to it",
            Always(t17),
        ),
        property(
            "F60",
            "in sync only with a completed session of this epoch at this endpoint",
            Always(f60),
        ),
        property(
            "A3",
            "a session is of the present epoch and endpoint, and its sender's state is its own",
            Always(sessions_are_of_the_present),
        ),
        property(
            "F71",
            "the pins at the source are those that a present session asked for, each released once",
            Always(f71),
        ),
        property(
            "C5",
            "a repeated assignment succeeds and changes nothing",
            Call(c5),
        ),
        property("F67", "an older assignment changes nothing", Call(f67)),
        property("F68", "a call for one volume changes no other", Step(f68)),
        property(
            "F81",
            "no epoch and no session counter goes back",
            Step(f81),
        ),
        property(
            "F86",
            "a newer assignment is in force when it was accepted",
            Step(f86),
        ),
        property(
            "F57",
            "no rebuild begins while its replica is a member",
            Step(f57),
        ),
        property(
            "F69",
            "nobody is classified or rebuilt by a primary that is untrusted or has not logged its \
             epoch-start entry",
            Step(f69),
        ),
        property(
            "F35",
            "acknowledged is never above what the replica holds",
            Always(f35),
        ),
        property(
            "A5",
            "a session over its budget is ended by the check",
            Step(a5),
        ),
        property(
            "A5_entries",
            "no catch-up is longer than its budget",
            Always(a5_entries),
        ),
        property(
            "A11",
            "after a fault or a time-out the token of the session is dead",
            Step(a11),
        ),
        property(
            "A4",
            "an in-sync state of each sender can be reached without faults",
            Leads {
                subjects: SENDERS,
                from: a4_from,
                to: a4_to,
            },
        ),
        property(
            "A5_ends",
            "every session can complete or end without faults",
            Leads {
                subjects: SENDERS,
                from: ends_from,
                to: ends_to,
            },
        ),
    ];
    all.extend(super::witnesses::all());
    all
}
