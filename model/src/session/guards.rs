//! When a call is granted, and else the first reason against it, in the order of the prose.
//!
//! Every guard reads `ask.must(conjunct, condition, refusal)?`: which condition it is, what must be
//! so, and what is said if it is not. A generated mutation gives one such line up. Where a condition
//! is what gives the later ones something to speak of (there *is* a session, a truncation *is*
//! required), giving it up grants the call.

use super::Session as Spec;
use super::action::{Action, Authority, Begin, Call, Facts, Retained};
use super::conjuncts::Conjunct;
use super::refusal::Refusal;
use super::rules::{Broken, Rules};
use super::state::{
    Assignment, CatchUp, Phase, Plan, Sender, Session, State, TailReplay, Transfer, Volume,
};
use super::vocabulary::{
    Epoch, Intent, Lsn, Pin, SenderState, SessionKind, Source, Token, Truncate,
};

/// The first condition of a guard that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Objection {
    pub(super) conjunct: Conjunct,
    pub(super) refusal: Refusal,
}

type Granted = Result<(), Objection>;

/// Who asks: for the rules, and for the call whose guards these are.
struct Ask<'a> {
    rules: &'a Rules,
    action: &'a Action,
}

impl Ask<'_> {
    #[inline]
    fn must(&self, conjunct: Conjunct, holds: bool, refusal: Refusal) -> Granted {
        if holds {
            return Ok(());
        }
        self.objects(conjunct, refusal)
    }

    fn objects(&self, conjunct: Conjunct, refusal: Refusal) -> Granted {
        if self.rules.gives_up(conjunct)
            || (self.rules.drops_any() && self.rules.drops(self.action.name(), refusal.reason()))
        {
            Ok(())
        } else {
            Err(Objection { conjunct, refusal })
        }
    }
}

impl Spec {
    /// Whether the call is granted (`docs/session.md`, sections 2 and 4 to 6).
    pub(super) fn granted(&self, state: &State, action: Action) -> Granted {
        let ask = Ask {
            rules: &self.rules,
            action: &action,
        };
        match action {
            Action::Authority(call) => self.authority_granted(&ask, state, call),
            Action::Begin(begin) => self.begin_granted(&ask, state, begin),
            Action::OnSession(token, call) => match self.presented(&ask, state, token)? {
                Some((volume, session)) => {
                    self.session_grants(&ask, state, call, volume.epoch, session)
                }
                None => Ok(()),
            },
            Action::World(_) => Ok(()),
        }
    }

    fn authority_granted(&self, ask: &Ask<'_>, state: &State, call: Authority) -> Granted {
        let known = self.volume(state, call.volume());
        match call {
            Authority::Assign { volume, assignment } => {
                self.assign_granted(ask, state, volume, &assignment)
            }
            Authority::Fence { epoch, .. } => {
                let Some(known) = known else {
                    return ask.must(Conjunct::FenceVolume, false, Refusal::UnknownVolume);
                };
                let current = known.epoch;
                let stale = Refusal::StaleEpoch { current };
                ask.must(Conjunct::FenceNewer, epoch > current, stale)
            }
            Authority::Stop { epoch, .. } => {
                let Some(known) = known else {
                    return ask.must(Conjunct::StopVolume, false, Refusal::UnknownVolume);
                };
                let current = known.epoch;
                let stale = Refusal::StaleEpoch { current };
                ask.must(Conjunct::StopEpoch, epoch == current, stale)?;
                ask.must(Conjunct::StopServing, known.serving, Refusal::NotServing)
            }
        }
    }

    fn assign_granted(
        &self,
        ask: &Ask<'_>,
        state: &State,
        volume: u8,
        assignment: &Assignment,
    ) -> Granted {
        if let Some(known) = self.volume(state, volume) {
            let (ours, theirs) = (
                (known.epoch, known.revision),
                (assignment.epoch, assignment.revision),
            );
            let stale = Refusal::StaleAssignment {
                epoch: known.epoch,
                revision: known.revision,
            };
            let leaky = !ask.rules.keeps(Broken::StaleAssignmentRemoves);
            ask.must(Conjunct::AssignNotOlder, theirs >= ours || leaky, stale)?;
            if theirs == ours {
                let repeated = *assignment == known.assignment;
                let other = Refusal::ConflictingAssignment;
                return ask.must(Conjunct::AssignRepeated, repeated, other);
            }
        }
        for slot in self.slots_of(volume) {
            let replica = self.place(slot).1;
            let Some(named) = assignment.replicas[slot] else {
                continue;
            };
            if let Some(sender) = state.senders[slot] {
                let (now, then) = (named.endpoint, sender.endpoint);
                let regressed = Refusal::EndpointRegressed { replica };
                let forward = now.version >= then.version;
                ask.must(Conjunct::EndpointNotBack, forward, regressed)?;
                let kept = now.version != then.version || now.address == then.address;
                ask.must(Conjunct::EndpointKept, kept, regressed)?;
            }
            let rebuild_of_member = named.member && named.intent == Intent::Rebuild;
            let refusal = Refusal::RebuildOfMember { replica };
            ask.must(Conjunct::NoRebuildOfMember, !rebuild_of_member, refusal)?;
        }
        Ok(())
    }

    fn begin_granted(&self, ask: &Ask<'_>, state: &State, begin: Begin) -> Granted {
        let Some((known, sender)) = self.sender(state, begin.volume, begin.replica) else {
            return ask.must(Conjunct::BeginSender, false, Refusal::UnknownSender);
        };
        let current = known.epoch;
        let stale = Refusal::StaleEpoch { current };
        ask.must(Conjunct::BeginEpoch, begin.epoch == current, stale)?;
        let current = sender.endpoint.version;
        let stale = Refusal::StaleEndpoint { current };
        ask.must(
            Conjunct::BeginEndpoint,
            begin.endpoint_version == current,
            stale,
        )?;
        ask.must(Conjunct::BeginServing, known.serving, Refusal::NotServing)?;
        let rebuild = begin.kind == SessionKind::Rebuild;
        let needed = sender.state == SenderState::NeedsRebuild;
        let required = Refusal::RebuildRequired;
        if begin.supersedes {
            ask.must(Conjunct::SupersedeAllowed, rebuild || !needed, required)?;
            let under_way = sender.state == SenderState::Rebuilding;
            ask.must(
                Conjunct::RebuildNotReplaced,
                rebuild || !under_way,
                required,
            )?;
        } else {
            if let Some(Session { id: session, .. }) = sender.session {
                ask.must(
                    Conjunct::NoSession,
                    false,
                    Refusal::SessionActive { session },
                )?;
            }
            ask.must(Conjunct::AttachAllowed, rebuild || !needed, required)?;
        }
        let rebuilds_member = rebuild && sender.member;
        ask.must(
            Conjunct::NotMember,
            !rebuilds_member,
            Refusal::StillInSyncSet,
        )
    }

    /// A sender and its volume, if both are known.
    fn sender<'s>(
        &self,
        state: &'s State,
        volume: u8,
        replica: u8,
    ) -> Option<(&'s Volume, &'s Sender)> {
        let slot = self.slot(volume, replica)?;
        let known = state.volumes[self.volume_index(slot)].as_ref()?;
        Some((known, state.senders[slot].as_ref()?))
    }

    /// The guards of every token (section 2): sender, epoch, endpoint version, session (T7). `None`:
    /// the token names nothing that could be spoken of, and a mutation grants it all the same.
    fn presented<'s>(
        &self,
        ask: &Ask<'_>,
        state: &'s State,
        token: Token,
    ) -> Result<Option<(&'s Volume, &'s Session)>, Objection> {
        let Some((known, sender)) = self.sender(state, token.volume, token.replica) else {
            ask.must(Conjunct::TokenSender, false, Refusal::UnknownSender)?;
            return Ok(None);
        };
        let current = known.epoch;
        let stale = Refusal::StaleEpoch { current };
        ask.must(Conjunct::TokenEpoch, token.epoch == current, stale)?;
        let current = sender.endpoint.version;
        let stale = Refusal::StaleEndpoint { current };
        ask.must(
            Conjunct::TokenEndpoint,
            token.endpoint_version == current,
            stale,
        )?;
        let Some(session) = &sender.session else {
            let stale = Refusal::StaleSession { current: None };
            ask.must(Conjunct::TokenPresent, false, stale)?;
            return Ok(None);
        };
        let current = Some(session.id);
        let stale = Refusal::StaleSession { current };
        ask.must(Conjunct::TokenSession, token.session == session.id, stale)?;
        Ok(Some((known, session)))
    }

    /// A call's own guards, its token being current.
    fn session_grants(
        &self,
        ask: &Ask<'_>,
        state: &State,
        call: Call,
        epoch: Epoch,
        session: &Session,
    ) -> Granted {
        let wrong = Refusal::WrongPhase {
            phase: session.phase.name(),
        };
        let phase = |conjunct, holds| ask.must(conjunct, holds, wrong);
        match call {
            Call::Connect => phase(Conjunct::ConnectPhase, session.phase == Phase::Init),
            Call::Hello => phase(Conjunct::HelloPhase, session.phase == Phase::Connecting),
            Call::Handshake { .. } => {
                phase(Conjunct::HandshakePhase, session.phase == Phase::Handshake)?;
                self.handshake_granted(ask, state, epoch)
            }
            Call::Pinned { slot } => {
                phase(Conjunct::PinnedPhase, before_transfer(session))?;
                let requested = session.pin(slot) == Pin::Requested;
                ask.must(
                    Conjunct::PinnedRequested,
                    requested,
                    Refusal::PinNotRequested,
                )
            }
            Call::PinFailed { slot } => {
                phase(Conjunct::PinFailedPhase, before_transfer(session))?;
                let requested = session.pin(slot) == Pin::Requested;
                ask.must(
                    Conjunct::PinFailedRequested,
                    requested,
                    Refusal::PinNotRequested,
                )
            }
            Call::PinLost { slot } => {
                let after = matches!(session.phase, Phase::Transfer(_) | Phase::TailReplay(_));
                phase(Conjunct::PinLostPhase, before_transfer(session) || after)?;
                let held = session.pin(slot) == Pin::Held;
                ask.must(Conjunct::PinLostHeld, held, Refusal::PinNotHeld)
            }
            Call::Truncated { to } => {
                let Phase::CatchUp(CatchUp { truncate, .. }) = session.phase else {
                    return phase(Conjunct::TruncatedPhase, false);
                };
                let Truncate::Required(expected) = truncate else {
                    let refusal = Refusal::TruncationNotRequired;
                    return ask.must(Conjunct::TruncatedRequired, false, refusal);
                };
                let elsewhere = Refusal::TruncationMismatch { expected };
                ask.must(Conjunct::TruncatedWhere, to == expected, elsewhere)
            }
            Call::TruncationRefused => {
                let Phase::CatchUp(CatchUp { truncate, .. }) = session.phase else {
                    return phase(Conjunct::TruncationRefusedPhase, false);
                };
                let required = matches!(truncate, Truncate::Required(_));
                let refusal = Refusal::TruncationNotRequired;
                ask.must(Conjunct::TruncationRefusedRequired, required, refusal)
            }
            Call::Progress { durable } => progress_granted(ask, session, wrong, durable),
            Call::Complete => complete_granted(ask, session, wrong),
            Call::Acknowledged { durable } => {
                let Phase::Completed(completed) = session.phase else {
                    return phase(Conjunct::AcknowledgedPhase, false);
                };
                let at_least = completed.acked;
                let back = Refusal::ProgressRegressed { at_least };
                ask.must(Conjunct::AcknowledgedNotBack, durable >= at_least, back)?;
                let head = self.inputs(state, *ask.action).head;
                let beyond = Refusal::BeyondHead { head };
                ask.must(Conjunct::AcknowledgedWithinHead, durable <= head, beyond)
            }
            Call::SelectSource { .. } => {
                let Phase::SourceSelect(plan) = session.phase else {
                    return phase(Conjunct::SelectSourcePhase, false);
                };
                let again = Refusal::SourceAlreadySelected;
                ask.must(Conjunct::SelectSourceOnce, plan.is_none(), again)?;
                let Some(history) = self.inputs(state, *ask.action).history else {
                    return Ok(());
                };
                well_formed_history(ask, &history)?;
                may_decide(ask, &history, epoch)
            }
            Call::BeginTransfer { .. } => {
                let Phase::SourceSelect(plan) = session.phase else {
                    return phase(Conjunct::BeginTransferPhase, false);
                };
                let Some(Plan {
                    base, retention, ..
                }) = plan
                else {
                    let refusal = Refusal::SourceNotSelected;
                    return ask.must(Conjunct::BeginTransferSelected, false, refusal);
                };
                let outstanding = Refusal::PinOutstanding;
                let held = retention == Pin::Held;
                ask.must(Conjunct::BeginTransferRetention, held, outstanding)?;
                ask.must(Conjunct::BeginTransferBase, base == Pin::Held, outstanding)
            }
            Call::TransferProgress { chunks_done } => {
                let Phase::Transfer(transfer) = session.phase else {
                    return phase(Conjunct::TransferProgressPhase, false);
                };
                let (at_least, goal) = (transfer.chunks_done, transfer.chunks_total);
                let back = Refusal::ProgressRegressed { at_least };
                ask.must(
                    Conjunct::TransferProgressNotBack,
                    chunks_done >= at_least,
                    back,
                )?;
                let beyond = Refusal::BeyondTarget { goal };
                ask.must(
                    Conjunct::TransferProgressWithin,
                    chunks_done <= goal,
                    beyond,
                )
            }
            Call::BaseInstalled {
                base_lsn,
                extent_bound,
            } => {
                let Phase::Transfer(transfer) = session.phase else {
                    return phase(Conjunct::BaseInstalledPhase, false);
                };
                base_granted(ask, &transfer, base_lsn, extent_bound)
            }
            Call::CheckBudget { .. } => {
                let completed = matches!(session.phase, Phase::Completed(_));
                phase(Conjunct::CheckBudgetPhase, !completed)
            }
            Call::Fail { .. } => Ok(()),
        }
    }

    fn handshake_granted(&self, ask: &Ask<'_>, state: &State, epoch: Epoch) -> Granted {
        let inputs = self.inputs(state, *ask.action);
        if let Some(facts) = &inputs.facts {
            well_formed_facts(ask, facts)?;
        }
        let Some(history) = inputs.history else {
            return Ok(());
        };
        well_formed_history(ask, &history)?;
        let theirs = inputs.facts.and_then(|facts| facts.lineage.last());
        if let Some((newer, _)) = theirs {
            let deposed = Refusal::ReplicaHasNewerEpoch { epoch: newer };
            ask.must(Conjunct::NoNewerEpoch, newer <= epoch, deposed)?;
        }
        may_decide(ask, &history, epoch)
    }
}

/// Whether the phase is one in which pins are acquired.
const fn before_transfer(session: &Session) -> bool {
    matches!(session.phase, Phase::CatchUp(_) | Phase::SourceSelect(_))
}

fn progress_granted(ask: &Ask<'_>, session: &Session, wrong: Refusal, durable: Lsn) -> Granted {
    let Some((goal, acked)) = session.goal_and_acked() else {
        return ask.must(Conjunct::ProgressPhase, false, wrong);
    };
    let (cut, pinned) = outstanding(session);
    ask.must(Conjunct::ProgressCut, cut, Refusal::TruncationOutstanding)?;
    ask.must(Conjunct::ProgressPinned, pinned, Refusal::PinOutstanding)?;
    // A replica may already hold more than the goal; its answer is reported as the goal, so the
    // first answer cannot be asked to be above it.
    let first = session.replays_from().unwrap_or(0).min(goal);
    let at_least = acked.unwrap_or(first);
    let back = Refusal::ProgressRegressed { at_least };
    ask.must(Conjunct::ProgressNotBack, durable >= at_least, back)?;
    let beyond = Refusal::BeyondTarget { goal };
    ask.must(Conjunct::ProgressWithinGoal, durable <= goal, beyond)
}

fn complete_granted(ask: &Ask<'_>, session: &Session, wrong: Refusal) -> Granted {
    let Some((goal, acked)) = session.goal_and_acked() else {
        return ask.must(Conjunct::CompletePhase, false, wrong);
    };
    let (cut, pinned) = outstanding(session);
    ask.must(Conjunct::CompleteCut, cut, Refusal::TruncationOutstanding)?;
    ask.must(Conjunct::CompletePinned, pinned, Refusal::PinOutstanding)?;
    let converged =
        acked.is_some_and(|lsn| lsn >= goal) || !ask.rules.keeps(Broken::AchievedIsTheGoal);
    ask.must(
        Conjunct::CompleteConverged,
        converged,
        Refusal::NotConverged { goal },
    )
}

fn base_granted(ask: &Ask<'_>, transfer: &Transfer, base_lsn: Lsn, extent_bound: Lsn) -> Granted {
    let Transfer {
        plan,
        chunks_total,
        chunks_done,
    } = *transfer;
    let never = chunks_total == 0 && !ask.rules.keeps(Broken::ZeroChunksNeverInstalled);
    let whole = chunks_done == chunks_total && !never;
    ask.must(
        Conjunct::BaseInstalledWhole,
        whole,
        Refusal::TransferIncomplete,
    )?;
    let other = Refusal::BaseMismatch;
    ask.must(
        Conjunct::BaseInstalledWhere,
        base_lsn == plan.base_lsn,
        other,
    )?;
    let bounded = match plan.source {
        Source::SnapshotTail => extent_bound == base_lsn,
        Source::FullBase => extent_bound >= base_lsn,
    };
    ask.must(Conjunct::BaseInstalledBound, bounded, other)
}

/// Whether this primary may classify anyone or be the source of a rebuild (F33, F69).
fn may_decide(ask: &Ask<'_>, history: &Retained, epoch: Epoch) -> Granted {
    let missing = Refusal::EpochStartMissing;
    let started = history.epoch_start;
    ask.must(Conjunct::EpochStarted, started.is_some(), missing)?;
    let last = started.is_none_or(|lsn| history.lineage.last() == Some((epoch, lsn)));
    ask.must(Conjunct::EpochStartLast, last, missing)?;
    let trusted = history.durable >= history.extent_bound;
    ask.must(Conjunct::PrimaryTrusted, trusted, Refusal::PrimaryUntrusted)
}

/// That no truncation, and that no pin is outstanding.
const fn outstanding(session: &Session) -> (bool, bool) {
    let (truncate, retention) = match session.phase {
        Phase::CatchUp(CatchUp {
            truncate,
            retention,
            ..
        }) => (truncate, retention),
        Phase::TailReplay(TailReplay {
            plan: Plan { retention, .. },
            ..
        }) => (Truncate::None, retention),
        Phase::Init
        | Phase::Connecting
        | Phase::Handshake
        | Phase::SourceSelect(_)
        | Phase::Transfer(_)
        | Phase::Completed(_) => (Truncate::None, Pin::None),
    };
    (
        !matches!(truncate, Truncate::Required(_)),
        !matches!(retention, Pin::Requested),
    )
}

fn well_formed_facts(ask: &Ask<'_>, facts: &Facts) -> Granted {
    let must = |conjunct, holds| ask.must(conjunct, holds, Refusal::MalformedFacts);
    let (checkpoint, durable) = (facts.checkpoint, facts.durable);
    must(
        Conjunct::FactsCheckpointBound,
        checkpoint <= facts.extent_bound,
    )?;
    must(Conjunct::FactsCheckpointDurable, checkpoint <= durable)?;
    let last = facts.lineage.last();
    let within = last.is_none_or(|(_, first)| first <= durable);
    must(Conjunct::FactsLineageDurable, within)?;
    must(
        Conjunct::FactsLineagePresent,
        last.is_some() || durable == 0,
    )
}

fn well_formed_history(ask: &Ask<'_>, history: &Retained) -> Granted {
    let must = |conjunct, holds| ask.must(conjunct, holds, Refusal::MalformedHistory);
    let (checkpoint, durable, head) = (history.checkpoint, history.durable, history.head);
    let within = |lsn: Option<Lsn>| lsn.is_none_or(|lsn| lsn <= head);
    must(
        Conjunct::HistoryCheckpointBound,
        checkpoint <= history.extent_bound,
    )?;
    must(Conjunct::HistoryCheckpointDurable, checkpoint <= durable)?;
    let last = history.lineage.last();
    must(
        Conjunct::HistoryLineageHead,
        within(last.map(|(_, first)| first)),
    )?;
    must(
        Conjunct::HistoryLineagePresent,
        last.is_some() || durable == 0,
    )?;
    must(Conjunct::HistoryDurableHead, durable <= head)?;
    must(Conjunct::HistoryCommittedHead, history.committed <= head)?;
    must(Conjunct::HistoryEpochStartHead, within(history.epoch_start))?;
    must(Conjunct::HistoryRetainedHead, within(history.retained_from))?;
    let snapshot = history.snapshot.map(|(base_lsn, _)| base_lsn);
    must(Conjunct::HistorySnapshotHead, within(snapshot))
}

impl Phase {
    /// Its name in the prose.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Connecting => "connecting",
            Self::Handshake => "handshake",
            Self::CatchUp(_) => "catch_up",
            Self::SourceSelect(_) => "source_select",
            Self::Transfer(_) => "transfer",
            Self::TailReplay(_) => "tail_replay",
            Self::Completed(_) => "completed",
        }
    }
}
