//! When a call is granted, and else the first reason against it, in the order of the prose.
//!
//! Every guard reads `ask.must(condition, refusal)?`: what must be so, and what is said if it is
//! not. A generated mutation drops one such line.

use super::Session as Spec;
use super::action::{Action, Facts, Retained};
use super::refusal::Refusal;
use super::rules::{Broken, Rules};
use super::state::{
    Assignment, CatchUp, Phase, Plan, Sender, Session, State, TailReplay, Transfer, Volume,
};
use super::vocabulary::{
    Epoch, Intent, Pin, SenderState, SessionKind, Slot, Source, Token, Truncate,
};

/// Who asks: for the rules, and for the name of the call whose guards these are.
struct Ask<'a> {
    rules: &'a Rules,
    call: &'static str,
}

impl Ask<'_> {
    fn must(&self, holds: bool, refusal: Refusal) -> Result<(), Refusal> {
        if holds || self.rules.drops(self.call, refusal.reason()) {
            Ok(())
        } else {
            Err(refusal)
        }
    }
}

impl Spec {
    /// Whether the call is granted (`docs/session.md`, sections 2 and 4 to 6).
    pub(super) fn granted(&self, state: &State, action: Action) -> Result<(), Refusal> {
        let ask = Ask {
            rules: &self.rules,
            call: action.name(),
        };
        match action {
            Action::Assign {
                volume,
                epoch,
                revision,
                replicas,
            } => {
                let assignment = Assignment {
                    epoch,
                    revision,
                    replicas,
                };
                self.assign_granted(&ask, state, volume, &assignment)
            }
            Action::Fence { volume, epoch } => {
                let known = self.volume(state, volume).ok_or(Refusal::UnknownVolume)?;
                ask.must(
                    epoch > known.epoch,
                    Refusal::StaleEpoch {
                        current: known.epoch,
                    },
                )
            }
            Action::Stop { volume, epoch } => {
                let known = self.volume(state, volume).ok_or(Refusal::UnknownVolume)?;
                ask.must(
                    epoch == known.epoch,
                    Refusal::StaleEpoch {
                        current: known.epoch,
                    },
                )?;
                ask.must(known.serving, Refusal::NotServing)
            }
            Action::Attach {
                volume,
                replica,
                epoch,
                endpoint_version,
                kind,
            } => {
                let (known, sender) =
                    self.addressed(&ask, state, (volume, replica), epoch, endpoint_version)?;
                ask.must(known.serving, Refusal::NotServing)?;
                if let Some(session) = sender.session {
                    ask.must(
                        false,
                        Refusal::SessionActive {
                            session: session.id,
                        },
                    )?;
                }
                may_begin(
                    &ask,
                    sender,
                    kind,
                    sender.state == SenderState::NeedsRebuild,
                )
            }
            Action::Supersede {
                volume,
                replica,
                epoch,
                endpoint_version,
                kind,
            } => {
                let (known, sender) =
                    self.addressed(&ask, state, (volume, replica), epoch, endpoint_version)?;
                ask.must(known.serving, Refusal::NotServing)?;
                let owes = matches!(
                    sender.state,
                    SenderState::NeedsRebuild | SenderState::Rebuilding
                );
                may_begin(&ask, sender, kind, owes)
            }
            Action::Connect { token }
            | Action::Hello { token }
            | Action::Handshake { token, .. }
            | Action::Pinned { token, .. }
            | Action::PinFailed { token, .. }
            | Action::PinLost { token, .. }
            | Action::Truncated { token, .. }
            | Action::TruncationRefused { token }
            | Action::Progress { token, .. }
            | Action::Complete { token }
            | Action::Acknowledged { token, .. }
            | Action::SelectSource { token, .. }
            | Action::BeginTransfer { token, .. }
            | Action::TransferProgress { token, .. }
            | Action::BaseInstalled { token, .. }
            | Action::CheckBudget { token, .. }
            | Action::Fail { token, .. } => {
                let session = self.presented(&ask, state, token)?;
                self.session_grants(&ask, state, action, &session)
            }
            Action::Tick
            | Action::Append { .. }
            | Action::Commit { .. }
            | Action::WriteBack { .. }
            | Action::Reclaim { .. } => Ok(()),
        }
    }

    fn assign_granted(
        &self,
        ask: &Ask<'_>,
        state: &State,
        volume: u8,
        assignment: &Assignment,
    ) -> Result<(), Refusal> {
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
            ask.must(theirs >= ours || leaky, stale)?;
            if theirs == ours {
                let repeated = *assignment == known.assignment;
                return ask.must(repeated, Refusal::ConflictingAssignment);
            }
        }
        for slot in self.slots_of(volume) {
            let replica = self.place(slot).1;
            let Some(named) = assignment.replicas[slot] else {
                continue;
            };
            if let Some(sender) = state.senders[slot] {
                let (now, then) = (named.endpoint, sender.endpoint);
                let forward = now.version > then.version || now == then;
                ask.must(forward, Refusal::EndpointRegressed { replica })?;
            }
            let rebuild_of_member = named.member && named.intent == Intent::Rebuild;
            ask.must(!rebuild_of_member, Refusal::RebuildOfMember { replica })?;
        }
        Ok(())
    }

    /// The first guards of `attach` and `supersede`: whom they address.
    fn addressed<'s>(
        &self,
        ask: &Ask<'_>,
        state: &'s State,
        (volume, replica): (u8, u8),
        epoch: Epoch,
        endpoint_version: u8,
    ) -> Result<(&'s Volume, &'s Sender), Refusal> {
        let known = self.volume(state, volume).ok_or(Refusal::UnknownSender)?;
        let sender = self
            .slot(volume, replica)
            .and_then(|slot| state.senders[slot].as_ref())
            .ok_or(Refusal::UnknownSender)?;
        ask.must(
            epoch == known.epoch,
            Refusal::StaleEpoch {
                current: known.epoch,
            },
        )?;
        let current = sender.endpoint.version;
        ask.must(
            endpoint_version == current,
            Refusal::StaleEndpoint { current },
        )?;
        Ok((known, sender))
    }

    /// The guards of every token (section 2): sender, epoch, endpoint version, session (T7).
    fn presented(&self, ask: &Ask<'_>, state: &State, token: Token) -> Result<Session, Refusal> {
        let (epoch, endpoint_version) = (token.epoch, token.endpoint_version);
        let place = (token.volume, token.replica);
        let (_, sender) = self.addressed(ask, state, place, epoch, endpoint_version)?;
        let current = sender.session.map(|session| session.id);
        let stale = Refusal::StaleSession { current };
        let session = sender.session.ok_or(stale)?;
        ask.must(token.session == session.id, stale)?;
        Ok(session)
    }

    /// A call's own guards, its token being current.
    fn session_grants(
        &self,
        ask: &Ask<'_>,
        state: &State,
        action: Action,
        session: &Session,
    ) -> Result<(), Refusal> {
        let inputs = self.inputs(state, action);
        let wrong = Refusal::WrongPhase {
            phase: session.phase.name(),
        };
        let is = |holds: bool| if holds { Ok(()) } else { Err(wrong) };
        match action {
            Action::Connect { .. } => is(session.phase == Phase::Init),
            Action::Hello { .. } => is(session.phase == Phase::Connecting),
            Action::Handshake { token, .. } => {
                is(session.phase == Phase::Handshake)?;
                let epoch = self
                    .volume(state, token.volume)
                    .map_or(0, |volume| volume.epoch);
                if let Some(facts) = &inputs.facts {
                    ask.must(!malformed_facts(facts), Refusal::MalformedFacts)?;
                }
                let history = inputs.history.ok_or(Refusal::MalformedHistory)?;
                ask.must(!malformed_history(&history), Refusal::MalformedHistory)?;
                let theirs = inputs.facts.and_then(|facts| facts.lineage.last());
                if let Some((newer, _)) = theirs {
                    ask.must(
                        newer <= epoch,
                        Refusal::ReplicaHasNewerEpoch { epoch: newer },
                    )?;
                }
                may_decide(ask, &history, epoch)
            }
            Action::Pinned { slot, .. } | Action::PinFailed { slot, .. } => {
                is(matches!(
                    session.phase,
                    Phase::CatchUp(_) | Phase::SourceSelect(_)
                ))?;
                ask.must(
                    session.pin(slot) == Pin::Requested,
                    Refusal::PinNotRequested,
                )
            }
            Action::PinLost { slot, .. } => {
                is(matches!(
                    session.phase,
                    Phase::CatchUp(_)
                        | Phase::SourceSelect(_)
                        | Phase::Transfer(_)
                        | Phase::TailReplay(_)
                ))?;
                ask.must(session.pin(slot) == Pin::Held, Refusal::PinNotHeld)
            }
            Action::Truncated { to, .. } => {
                let Phase::CatchUp(catch_up) = session.phase else {
                    return Err(wrong);
                };
                let Truncate::Required(expected) = catch_up.truncate else {
                    return ask.must(false, Refusal::TruncationNotRequired);
                };
                ask.must(to == expected, Refusal::TruncationMismatch { expected })
            }
            Action::TruncationRefused { .. } => {
                let Phase::CatchUp(catch_up) = session.phase else {
                    return Err(wrong);
                };
                let required = matches!(catch_up.truncate, Truncate::Required(_));
                ask.must(required, Refusal::TruncationNotRequired)
            }
            Action::Progress { durable, .. } => {
                let (goal, acked) = session.goal_and_acked().ok_or(wrong)?;
                outstanding(ask, session)?;
                // A replica may already hold more than the goal; its answer is reported as the
                // goal, so the first answer cannot be asked to be above it.
                let first = session.replays_from().unwrap_or(0).min(goal);
                let at_least = acked.unwrap_or(first);
                ask.must(durable >= at_least, Refusal::ProgressRegressed { at_least })?;
                ask.must(durable <= goal, Refusal::BeyondTarget { goal })
            }
            Action::Complete { .. } => {
                let (goal, acked) = session.goal_and_acked().ok_or(wrong)?;
                outstanding(ask, session)?;
                let converged = acked.is_some_and(|lsn| lsn >= goal)
                    || !ask.rules.keeps(Broken::AchievedIsTheGoal);
                ask.must(converged, Refusal::NotConverged { goal })
            }
            Action::Acknowledged { durable, .. } => {
                let Phase::Completed(completed) = session.phase else {
                    return Err(wrong);
                };
                let (at_least, head) = (completed.acked, inputs.head);
                ask.must(durable >= at_least, Refusal::ProgressRegressed { at_least })?;
                ask.must(durable <= head, Refusal::BeyondHead { head })
            }
            Action::SelectSource { token, .. } => {
                let Phase::SourceSelect(plan) = session.phase else {
                    return Err(wrong);
                };
                let epoch = self
                    .volume(state, token.volume)
                    .map_or(0, |volume| volume.epoch);
                ask.must(plan.is_none(), Refusal::SourceAlreadySelected)?;
                let history = inputs.history.ok_or(Refusal::MalformedHistory)?;
                ask.must(!malformed_history(&history), Refusal::MalformedHistory)?;
                may_decide(ask, &history, epoch)
            }
            Action::BeginTransfer { .. } => {
                let Phase::SourceSelect(plan) = session.phase else {
                    return Err(wrong);
                };
                plan.ok_or(Refusal::SourceNotSelected)?;
                let held = Slot::BOTH
                    .iter()
                    .all(|&slot| session.pin(slot) == Pin::Held);
                ask.must(held, Refusal::PinOutstanding)
            }
            Action::TransferProgress { chunks_done, .. } => {
                let Phase::Transfer(transfer) = session.phase else {
                    return Err(wrong);
                };
                let (at_least, goal) = (transfer.chunks_done, transfer.chunks_total);
                ask.must(
                    chunks_done >= at_least,
                    Refusal::ProgressRegressed { at_least },
                )?;
                ask.must(chunks_done <= goal, Refusal::BeyondTarget { goal })
            }
            Action::BaseInstalled {
                base_lsn,
                extent_bound,
                ..
            } => {
                let Phase::Transfer(Transfer {
                    plan,
                    chunks_total,
                    chunks_done,
                }) = session.phase
                else {
                    return Err(wrong);
                };
                let never = chunks_total == 0 && !ask.rules.keeps(Broken::ZeroChunksNeverInstalled);
                let whole = chunks_done == chunks_total && !never;
                ask.must(whole, Refusal::TransferIncomplete)?;
                let bounded = match plan.source {
                    Source::SnapshotTail => extent_bound == base_lsn,
                    Source::FullBase => extent_bound >= base_lsn,
                };
                ask.must(base_lsn == plan.base_lsn && bounded, Refusal::BaseMismatch)
            }
            Action::CheckBudget { .. } => is(!matches!(session.phase, Phase::Completed(_))),
            Action::Fail { .. }
            | Action::Assign { .. }
            | Action::Fence { .. }
            | Action::Stop { .. }
            | Action::Attach { .. }
            | Action::Supersede { .. }
            | Action::Tick
            | Action::Append { .. }
            | Action::Commit { .. }
            | Action::WriteBack { .. }
            | Action::Reclaim { .. } => Ok(()),
        }
    }
}

/// The last guards of `attach` and `supersede`: what may begin on this sender.
fn may_begin(
    ask: &Ask<'_>,
    sender: &Sender,
    kind: SessionKind,
    owes_rebuild: bool,
) -> Result<(), Refusal> {
    let rebuild = kind == SessionKind::Rebuild;
    ask.must(rebuild || !owes_rebuild, Refusal::RebuildRequired)?;
    ask.must(!(rebuild && sender.member), Refusal::StillInSyncSet)
}

/// Whether this primary may classify anyone or be the source of a rebuild (F33, F69).
fn may_decide(ask: &Ask<'_>, history: &Retained, epoch: Epoch) -> Result<(), Refusal> {
    let logged = history
        .epoch_start
        .is_some_and(|lsn| history.lineage.last() == Some((epoch, lsn)));
    ask.must(logged, Refusal::EpochStartMissing)?;
    ask.must(
        history.durable >= history.extent_bound,
        Refusal::PrimaryUntrusted,
    )
}

/// What must not be outstanding when progress is reported or the session completes.
fn outstanding(ask: &Ask<'_>, session: &Session) -> Result<(), Refusal> {
    let (cut, pin) = match session.phase {
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
    ask.must(
        !matches!(cut, Truncate::Required(_)),
        Refusal::TruncationOutstanding,
    )?;
    ask.must(pin != Pin::Requested, Refusal::PinOutstanding)
}

fn malformed_facts(facts: &Facts) -> bool {
    facts.checkpoint > facts.extent_bound
        || facts.checkpoint > facts.durable
        || facts
            .lineage
            .last()
            .is_some_and(|(_, first)| first > facts.durable)
        || (facts.lineage.last().is_none() && facts.durable > 0)
}

fn malformed_history(history: &Retained) -> bool {
    let head = history.head;
    let beyond = |lsn: Option<u8>| lsn.is_some_and(|lsn| lsn > head);
    history.checkpoint > history.extent_bound
        || history.checkpoint > history.durable
        || beyond(history.lineage.last().map(|(_, first)| first))
        || (history.lineage.last().is_none() && history.durable > 0)
        || history.durable > head
        || history.committed > head
        || beyond(history.epoch_start)
        || beyond(history.retained_from)
        || beyond(history.snapshot.map(|(base_lsn, _)| base_lsn))
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
