//! What a granted call does (`docs/session.md`, sections 3 to 6), and what it tells the world:
//! pins to acquire and to release, sessions that ended and why, and its outcome.

use super::Session as Spec;
use super::action::{Action, Inputs, Retained};
use super::classify::{Classification, classify, target};
use super::rules::Broken;
use super::state::{
    Assignment, CatchUp, Completed, Issued, Named, Phase, Plan, SENDERS, SESSIONS_MAX, Sender,
    Session, State, TailReplay, Transfer, Volume,
};
use super::vocabulary::{
    Budget, Cause, Fault, Intent, Lsn, Pin, RebuildReason, SenderState, SessionKind, Slot, Source,
    SourceReason, Token, Truncate,
};

/// What a call tells the world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// Pins to acquire.
    pub acquire: Vec<(Token, Slot)>,
    /// Pins to release.
    pub release: Vec<(Token, Slot)>,
    /// Sessions that ended.
    pub ended: Vec<(Token, Cause)>,
    /// The tokens of sessions that were attached.
    pub attached: Vec<Token>,
    /// Replicas whose intent could not be followed, as they need a rebuild.
    pub rebuild_required: Vec<u8>,
    /// The call changed nothing, as its assignment was in force already.
    pub unchanged: bool,
    /// The check found the session within its budget.
    pub within_budget: bool,
    /// What a handshake was answered with; `None` for a rebuild session.
    pub classified: Option<Classification>,
}

/// The machine at work on one call.
struct Work<'a> {
    spec: &'a Spec,
    state: State,
    out: Outputs,
    inputs: Inputs,
}

impl Spec {
    /// Carries out a granted call on the machine alone; surroundings and ghosts follow it in
    /// their own files.
    pub(super) fn carried_out(&self, before: &State, action: Action) -> (State, Outputs) {
        let inputs = self.inputs(before, action);
        let mut work = Work {
            spec: self,
            state: *before,
            out: Outputs::default(),
            inputs,
        };
        match action {
            Action::Assign {
                volume,
                epoch,
                revision,
                replicas,
            } => {
                work.assign(
                    volume,
                    Assignment {
                        epoch,
                        revision,
                        replicas,
                    },
                );
            }
            Action::Fence { volume, epoch } => work.fence(volume, epoch),
            Action::Stop { volume, .. } => work.stop(volume),
            Action::Attach {
                volume,
                replica,
                kind,
                ..
            }
            | Action::Supersede {
                volume,
                replica,
                kind,
                ..
            } => {
                if let Some(slot) = self.slot(volume, replica) {
                    work.end(slot, Cause::Superseded);
                    work.attach(slot, kind);
                }
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
                if let Some(slot) = self.slot(token.volume, token.replica) {
                    work.on_session(slot, action);
                }
            }
            Action::Tick
            | Action::Append { .. }
            | Action::Commit { .. }
            | Action::WriteBack { .. }
            | Action::Reclaim { .. } => {}
        }
        (work.state, work.out)
    }
}

// Section 3: ends; section 4: calls of the authority.
impl Work<'_> {
    fn broken(&self, rule: Broken) -> bool {
        !self.spec.rules.keeps(rule)
    }

    /// Ends the present session, if any: its pins are released, and the sender is left as the
    /// class of the cause says.
    fn end(&mut self, slot: usize, cause: Cause) {
        let Some(mut sender) = self.state.senders[slot] else {
            return;
        };
        let Some(session) = sender.session.take() else {
            return;
        };
        let (volume, replica) = self.spec.place(slot);
        let token = session.token(volume, replica);
        for pin in Slot::BOTH {
            if session.pin(pin) != Pin::None && !self.broken(Broken::PinsNotReleased) {
                self.out.release.push((token, pin));
            }
        }
        self.out.ended.push((token, cause));
        let completed = matches!(session.phase, Phase::Completed(_));
        let kept_in_sync = completed
            && match cause {
                Cause::EndpointChanged => self.broken(Broken::InSyncSurvivesEndpointChange),
                Cause::EpochChanged => self.broken(Broken::InSyncSurvivesEpochChange),
                Cause::Stopped => self.broken(Broken::InSyncSurvivesStop),
                Cause::Removed | Cause::Superseded | Cause::Fault(_) | Cause::Escalation(_) => {
                    false
                }
            };
        sender.state = if kept_in_sync {
            SenderState::InSync
        } else if session.kind == SessionKind::Rebuild && !completed {
            SenderState::NeedsRebuild
        } else {
            match cause {
                Cause::EpochChanged
                | Cause::EndpointChanged
                | Cause::Removed
                | Cause::Stopped
                | Cause::Superseded => SenderState::Disconnected,
                Cause::Fault(_) => SenderState::Degraded,
                Cause::Escalation(_) if self.broken(Broken::EscalationDegrades) => {
                    SenderState::Degraded
                }
                Cause::Escalation(reason) => {
                    sender.reason = Some(reason);
                    SenderState::NeedsRebuild
                }
            }
        };
        self.state.senders[slot] = Some(sender);
    }

    fn attach(&mut self, slot: usize, kind: SessionKind) {
        let (number, replica) = self.spec.place(slot);
        let at = self.spec.volume_index(slot);
        let now = self.inputs.now;
        let (Some(volume), Some(sender)) = (
            self.state.volumes[at].as_mut(),
            self.state.senders[slot].as_mut(),
        ) else {
            return;
        };
        let session = Session {
            id: volume.next_session,
            kind,
            epoch: volume.epoch,
            endpoint_version: sender.endpoint.version,
            since: now,
            last_progress: now,
            phase: Phase::Init,
        };
        volume.next_session += 1;
        if let Some(place) = volume.issued.get_mut(usize::from(session.id) - 1) {
            *place = Some(Issued {
                replica,
                epoch: session.epoch,
                endpoint_version: session.endpoint_version,
            });
        }
        if kind == SessionKind::Rebuild {
            sender.reason = sender.reason.or(Some(RebuildReason::Ordered));
        }
        sender.state = session.state();
        sender.session = Some(session);
        self.out.attached.push(session.token(number, replica));
    }

    fn assign(&mut self, number: u8, assignment: Assignment) {
        let slots: Vec<usize> = self.spec.slots_of(number).collect();
        let Some(at) = slots.first().map(|&slot| self.spec.volume_index(slot)) else {
            return;
        };
        let known = self.state.volumes[at];
        if let Some(known) = known {
            let (ours, theirs) = (
                (known.epoch, known.revision),
                (assignment.epoch, assignment.revision),
            );
            let dropped = theirs.0 == ours.0 && self.broken(Broken::NewerRevisionDropped);
            if ours == theirs || dropped {
                self.out.unchanged = true;
                if self.broken(Broken::UnchangedAssignmentRecovers) {
                    self.intents(&slots, &assignment);
                }
                return;
            }
            if theirs < ours && self.broken(Broken::StaleAssignmentRemoves) {
                return self.remove_unnamed(&slots, &assignment);
            }
        }
        // 1
        if known.is_none_or(|known| assignment.epoch > known.epoch) {
            self.new_epoch(&slots);
        }
        // 2, 3, 4 and the first half of 5
        self.remove_unnamed(&slots, &assignment);
        for &slot in &slots {
            if let Some(named) = assignment.replicas[slot] {
                self.name(slot, named);
            }
        }
        if self.broken(Broken::AssignmentStopsOthers) {
            for slot in (0..SENDERS).filter(|slot| !slots.contains(slot)) {
                self.end(slot, Cause::Removed);
                self.state.senders[slot] = None;
            }
        }
        // 5
        let begin_anew = self.broken(Broken::SessionIdsBeginAnew)
            && known.is_some_and(|known| assignment.epoch > known.epoch);
        let next_session = match known {
            Some(known) if !begin_anew => known.next_session,
            Some(_) | None => 1,
        };
        self.state.volumes[at] = Some(Volume {
            epoch: assignment.epoch,
            revision: assignment.revision,
            serving: true,
            assignment,
            next_session,
            issued: known.map_or([None; SESSIONS_MAX], |known| known.issued),
        });
        // 6
        self.intents(&slots, &assignment);
    }

    /// Every session of the volume ends with its epoch, and so do the promises made in it.
    fn new_epoch(&mut self, slots: &[usize]) {
        for &slot in slots {
            self.end(slot, Cause::EpochChanged);
            if let Some(sender) = &mut self.state.senders[slot] {
                sender.acknowledged = None;
            }
        }
    }

    fn remove_unnamed(&mut self, slots: &[usize], assignment: &Assignment) {
        for &slot in slots {
            if assignment.replicas[slot].is_none() {
                self.end(slot, Cause::Removed);
                self.state.senders[slot] = None;
            }
        }
    }

    /// What an assignment says of a replica: its sender exists, at that place.
    fn name(&mut self, slot: usize, named: Named) {
        let present = self.state.senders[slot];
        if present.is_some_and(|sender| named.endpoint.version > sender.endpoint.version)
            && !self.broken(Broken::SessionSurvivesEndpointChange)
        {
            self.end(slot, Cause::EndpointChanged);
        }
        let sender = self.state.senders[slot].get_or_insert(Sender {
            endpoint: named.endpoint,
            member: named.member,
            state: SenderState::Disconnected,
            reason: None,
            acknowledged: None,
            session: None,
        });
        sender.endpoint = named.endpoint;
        sender.member = named.member;
    }

    fn intents(&mut self, slots: &[usize], assignment: &Assignment) {
        for &slot in slots {
            let (Some(named), Some(sender)) = (assignment.replicas[slot], self.state.senders[slot])
            else {
                continue;
            };
            match named.intent {
                Intent::Nothing => {}
                Intent::Recover(kind) => {
                    if sender.session.is_none() {
                        if sender.state == SenderState::NeedsRebuild {
                            self.out.rebuild_required.push(self.spec.place(slot).1);
                        } else {
                            self.attach(slot, kind);
                        }
                    }
                }
                Intent::Rebuild => {
                    let under_way = sender.session.is_some_and(|session| {
                        session.kind == SessionKind::Rebuild
                            && !matches!(session.phase, Phase::Completed(_))
                    });
                    if !under_way {
                        self.end(slot, Cause::Superseded);
                        self.attach(slot, SessionKind::Rebuild);
                    }
                }
            }
        }
    }

    fn fence(&mut self, number: u8, epoch: u8) {
        let slots: Vec<usize> = self.spec.slots_of(number).collect();
        self.new_epoch(&slots);
        for volume in slots
            .iter()
            .take(1)
            .map(|&slot| self.spec.volume_index(slot))
        {
            if let Some(volume) = &mut self.state.volumes[volume] {
                volume.epoch = epoch;
                volume.revision = 0;
                volume.serving = false;
            }
        }
    }

    fn stop(&mut self, number: u8) {
        for slot in self.spec.slots_of(number) {
            self.end(slot, Cause::Stopped);
            let at = self.spec.volume_index(slot);
            if let Some(volume) = &mut self.state.volumes[at] {
                volume.serving = false;
            }
        }
    }
}

// Section 6: calls on a session.
impl Work<'_> {
    fn on_session(&mut self, slot: usize, action: Action) {
        let Some(mut sender) = self.state.senders[slot] else {
            return;
        };
        let Some(mut session) = sender.session else {
            return;
        };
        let now = self.inputs.now;
        let mut progress = true;
        match action {
            Action::Connect { .. } => session.phase = Phase::Connecting,
            Action::Hello { .. } => session.phase = Phase::Handshake,
            Action::Handshake { .. } => {
                session.since = now;
                if let Err(reason) = self.classified(slot, &sender, &mut session) {
                    return self.end(slot, Cause::Escalation(reason));
                }
            }
            Action::Pinned { slot: pin, .. } => {
                let from = session.replays_from().unwrap_or(0);
                let enough = !self.broken(Broken::PinNotHeldAgainstHistory);
                let tail_unchecked = matches!(session.phase, Phase::SourceSelect(_))
                    && self.broken(Broken::TailNotChecked);
                let reaches = self.inputs.retained_from.is_some_and(|lsn| lsn <= from);
                if pin == Slot::Retention && enough && !reaches && !tail_unchecked {
                    return self.end(slot, Cause::Escalation(RebuildReason::RetentionLost));
                }
                set_pin(&mut session.phase, pin, Pin::Held);
            }
            Action::PinFailed { .. } => return self.end(slot, Cause::Fault(Fault::PinFailed)),
            Action::PinLost { slot: pin, .. } => {
                if !self.broken(Broken::PinLostIgnored) {
                    return self.end(slot, Cause::Escalation(RebuildReason::RetentionLost));
                }
                set_pin(&mut session.phase, pin, Pin::None);
            }
            Action::Truncated { to, .. } => {
                if let Phase::CatchUp(catch_up) = &mut session.phase {
                    catch_up.truncate = Truncate::Confirmed(to);
                }
                if !self.broken(Broken::AcknowledgedSurvivesTruncation) {
                    sender.acknowledged = sender.acknowledged.map(|lsn| lsn.min(to));
                }
            }
            Action::TruncationRefused { .. } => {
                return self.end(slot, Cause::Escalation(RebuildReason::TruncationUnsafe));
            }
            Action::Progress { durable, .. } => {
                progress = acknowledge(&mut session.phase, durable);
                sender.acknowledged = sender.acknowledged.max(Some(durable));
            }
            Action::Complete { .. } => {
                self.complete(slot, &mut sender, &mut session);
                progress = false;
            }
            Action::Acknowledged { durable, .. } => {
                acknowledge(&mut session.phase, durable);
                sender.acknowledged = sender.acknowledged.max(Some(durable));
                progress = false;
            }
            Action::SelectSource { token, .. } => {
                let Some(history) = self.inputs.history else {
                    return;
                };
                session.phase = Phase::SourceSelect(Some(self.plan(&history)));
                self.out.acquire.extend(Slot::BOTH.map(|pin| (token, pin)));
            }
            Action::BeginTransfer { chunks_total, .. } => {
                if let Phase::SourceSelect(Some(mut plan)) = session.phase {
                    if self.broken(Broken::BasePinReleasedEarly) {
                        plan.base = Pin::None;
                        self.out
                            .release
                            .push((self.token_of(slot, &session), Slot::Base));
                    }
                    session.phase = Phase::Transfer(Transfer {
                        plan,
                        chunks_total,
                        chunks_done: 0,
                    });
                }
                if !self.broken(Broken::AcknowledgedSurvivesRebuild) {
                    sender.acknowledged = None;
                }
            }
            Action::TransferProgress { chunks_done, .. } => {
                if let Phase::Transfer(transfer) = &mut session.phase {
                    progress = chunks_done > transfer.chunks_done;
                    transfer.chunks_done = chunks_done;
                }
            }
            Action::BaseInstalled { extent_bound, .. } => {
                self.base_installed(slot, &mut session, extent_bound);
            }
            Action::CheckBudget { pinned_bytes, .. } => {
                if let Some(cause) = self.exceeded(&session, pinned_bytes) {
                    return self.end(slot, cause);
                }
                self.out.within_budget = true;
                return;
            }
            Action::Fail { cause, .. } => {
                if !self.broken(Broken::FailLeavesSession) {
                    return self.end(slot, Cause::Fault(cause));
                }
                return;
            }
            Action::Assign { .. }
            | Action::Fence { .. }
            | Action::Stop { .. }
            | Action::Attach { .. }
            | Action::Supersede { .. }
            | Action::Tick
            | Action::Append { .. }
            | Action::Commit { .. }
            | Action::WriteBack { .. }
            | Action::Reclaim { .. } => return,
        }
        if progress {
            session.last_progress = now;
        }
        sender.state = session.state();
        sender.session = Some(session);
        self.state.senders[slot] = Some(sender);
    }

    fn token_of(&self, slot: usize, session: &Session) -> Token {
        let (volume, replica) = self.spec.place(slot);
        session.token(volume, replica)
    }

    /// The effect of a handshake: the session goes on, or it must end for the reason given.
    fn classified(
        &mut self,
        slot: usize,
        sender: &Sender,
        session: &mut Session,
    ) -> Result<(), RebuildReason> {
        if session.kind == SessionKind::Rebuild {
            session.phase = Phase::SourceSelect(None);
            return Ok(());
        }
        let rules = &self.spec.rules;
        let facts = self.inputs.facts.as_ref();
        let Some(history) = &self.inputs.history else {
            return Ok(());
        };
        let outcome = classify(rules, facts, history, sender.acknowledged);
        self.out.classified = Some(outcome);
        let (from, target, truncate_to) = match outcome {
            Classification::NeedsRebuild(reason) => return Err(reason),
            Classification::Replay {
                from,
                target,
                truncate_to,
            } => (from, target, truncate_to),
        };
        let missing = target.saturating_sub(from);
        if missing > self.spec.budget().entries && !self.broken(Broken::EntriesUnbounded) {
            return Err(RebuildReason::BudgetEntries);
        }
        let pin = missing > 0 && !self.broken(Broken::NoRetentionPin);
        let retention = if pin { Pin::Requested } else { Pin::None };
        if pin {
            self.out
                .acquire
                .push((self.token_of(slot, session), Slot::Retention));
        }
        session.phase = Phase::CatchUp(CatchUp {
            from,
            target,
            truncate: truncate_to.map_or(Truncate::None, Truncate::Required),
            retention,
            acked: self.broken(Broken::HandshakeCountsAsAck).then_some(from),
        });
        Ok(())
    }

    /// The source of a rebuild, and why it is that one (T11).
    fn plan(&self, history: &Retained) -> Plan {
        let replayable = |lsn: Lsn| {
            history
                .retained_from
                .is_some_and(|retained_from| retained_from <= lsn)
        };
        let tail_unchecked = self.broken(Broken::TailNotChecked);
        let full = |why| (Source::FullBase, why, history.checkpoint);
        let (source, why, base_lsn) = match history.snapshot {
            None => full(SourceReason::NoSnapshot),
            Some((_, false)) if !self.broken(Broken::UntrustedSnapshotUsed) => {
                full(SourceReason::UntrustedSnapshot)
            }
            Some((base_lsn, _)) if replayable(base_lsn) || tail_unchecked => (
                Source::SnapshotTail,
                SourceReason::TrustedSnapshot,
                base_lsn,
            ),
            Some(_) => full(SourceReason::UnreplayableTail),
        };
        let why = if self.broken(Broken::SourceReasonFixed) {
            SourceReason::NoSnapshot
        } else {
            why
        };
        Plan {
            source,
            why,
            base_lsn,
            target: target(&self.spec.rules, history),
            base: Pin::Requested,
            retention: Pin::Requested,
        }
    }

    fn base_installed(&mut self, slot: usize, session: &mut Session, extent_bound: Lsn) {
        let Phase::Transfer(Transfer { mut plan, .. }) = session.phase else {
            return;
        };
        if plan.base != Pin::None {
            self.out
                .release
                .push((self.token_of(slot, session), Slot::Base));
            plan.base = Pin::None;
        }
        if self.broken(Broken::SplitMoves) {
            plan.base_lsn = extent_bound;
        }
        let goal = if self.broken(Broken::GoalIsTarget) {
            plan.target
        } else {
            plan.target.max(extent_bound)
        };
        session.phase = Phase::TailReplay(TailReplay {
            plan,
            goal,
            acked: None,
        });
    }

    fn complete(&mut self, slot: usize, sender: &mut Sender, session: &mut Session) {
        let Some((goal, acked)) = session.goal_and_acked() else {
            return;
        };
        for pin in Slot::BOTH {
            if session.pin(pin) != Pin::None {
                self.out.release.push((self.token_of(slot, session), pin));
            }
        }
        let acked = acked.unwrap_or(goal);
        let achieved = if self.broken(Broken::AchievedIsTheGoal) {
            goal
        } else {
            acked
        };
        session.phase = Phase::Completed(Completed {
            achieved,
            acked: achieved,
        });
        if !self.broken(Broken::ReasonSurvivesCompletion) {
            sender.reason = None;
        }
    }

    /// Why the session is over its budget, if it is.
    fn exceeded(&self, session: &Session, pinned_bytes: u8) -> Option<Cause> {
        if self.broken(Broken::NoBudget) {
            return None;
        }
        let Budget {
            duration,
            stall,
            bytes,
            ..
        } = self.spec.budget();
        let now = self.inputs.now;
        let stalled = now.saturating_sub(session.last_progress) > stall;
        match session.phase {
            Phase::Init | Phase::Connecting | Phase::Handshake => {
                stalled.then_some(Cause::Fault(Fault::ConnectTimeout))
            }
            Phase::CatchUp(_)
            | Phase::SourceSelect(_)
            | Phase::Transfer(_)
            | Phase::TailReplay(_)
            | Phase::Completed(_) => {
                let reason = if now.saturating_sub(session.since) > duration {
                    RebuildReason::BudgetDuration
                } else if stalled {
                    RebuildReason::BudgetStall
                } else if pinned_bytes > bytes {
                    RebuildReason::BudgetBytes
                } else {
                    return None;
                };
                Some(Cause::Escalation(reason))
            }
        }
    }
}

fn set_pin(phase: &mut Phase, slot: Slot, to: Pin) {
    match (phase, slot) {
        (Phase::CatchUp(CatchUp { retention, .. }), Slot::Retention) => *retention = to,
        (
            Phase::SourceSelect(Some(plan))
            | Phase::Transfer(Transfer { plan, .. })
            | Phase::TailReplay(TailReplay { plan, .. }),
            Slot::Retention,
        ) => plan.retention = to,
        (
            Phase::SourceSelect(Some(plan))
            | Phase::Transfer(Transfer { plan, .. })
            | Phase::TailReplay(TailReplay { plan, .. }),
            Slot::Base,
        ) => plan.base = to,
        (Phase::CatchUp(_), Slot::Base)
        | (
            Phase::Init
            | Phase::Connecting
            | Phase::Handshake
            | Phase::SourceSelect(None)
            | Phase::Completed(_),
            Slot::Retention | Slot::Base,
        ) => {}
    }
}

/// Records what the replica acknowledged; whether that is progress.
fn acknowledge(phase: &mut Phase, durable: Lsn) -> bool {
    match phase {
        Phase::CatchUp(CatchUp { acked, .. }) | Phase::TailReplay(TailReplay { acked, .. }) => {
            let grew = acked.is_none_or(|before| durable > before);
            *acked = Some(durable);
            grew
        }
        Phase::Completed(completed) => {
            completed.acked = durable;
            false
        }
        Phase::Init
        | Phase::Connecting
        | Phase::Handshake
        | Phase::SourceSelect(_)
        | Phase::Transfer(_) => false,
    }
}
