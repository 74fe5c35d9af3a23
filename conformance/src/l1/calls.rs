//! Makes a call of the specification on the engine, and keeps what it returned.

use holdfast_engine::{
    AssignOutcome, Assignment, BudgetCheck, Effects, HandshakeOutcome, IntentOutcome, PinOutcome,
    Refusal, Registry, SenderAuthority, Tick,
};
use holdfast_model::session::state::Assignment as Said;
use holdfast_model::session::{Action, Authority, Begin, Call, Inputs, Session as Spec, State};
use holdfast_types::{EndpointVersion, FencingToken, RetainedHistory};

use super::answer::Told;
use super::translate::{self, Names, lsn, tick};

/// Why there is no outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unmade {
    /// The engine refused.
    Refused(Refusal),
    /// The product's types cannot say what the specification says.
    Unsayable(String),
}

impl From<Refusal> for Unmade {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Makes the call that `action` is in the state `before`; effects go to `out`. Moves of the
/// surroundings are not told to the engine.
///
/// # Errors
/// [`Unmade`], and then there is no answer to compare.
pub(super) fn make(
    spec: &Spec,
    names: &Names,
    before: &State,
    action: Action,
    registry: &mut Registry,
    out: &mut Effects,
) -> Result<Told, Unmade> {
    let now = tick(before.now);
    let mut answer = Told::default();
    match action {
        Action::Authority(call) => {
            on_volume(spec, names, now, call, registry, out, &mut answer)?;
        }
        Action::Begin(begin) => {
            let (authority, kind) = (authority(names, begin), translate::kind(begin.kind));
            answer.tokens.push(if begin.supersedes {
                registry.supersede(now, &authority, kind, out)?
            } else {
                registry.attach(now, &authority, kind, out)?
            });
        }
        Action::OnSession(token, call) => {
            let token = &names.token(token);
            // What a caller reads for its call, beside what it chooses.
            let inputs = || spec.inputs(before, action);
            on_session(token, now, call, inputs, registry, out, &mut answer)?;
        }
        Action::World(_) => {}
    }
    Ok(answer)
}

fn on_volume(
    spec: &Spec,
    names: &Names,
    now: Tick,
    call: Authority,
    registry: &mut Registry,
    out: &mut Effects,
    answer: &mut Told,
) -> Result<(), Unmade> {
    match call {
        Authority::Assign { volume, assignment } => {
            let assignment =
                named_assignment(spec, names, volume, assignment).map_err(Unmade::Unsayable)?;
            keep_outcomes(registry.assign(now, assignment, out)?, answer);
        }
        Authority::Fence { volume, epoch } => {
            registry.fence(translate::volume(volume), translate::epoch(epoch), out)?;
        }
        Authority::Stop { volume, epoch } => {
            registry.stop(translate::volume(volume), translate::epoch(epoch), out)?;
        }
    }
    Ok(())
}

/// An assignment in the product's words.
///
/// # Errors
/// When it has none for it.
pub(crate) fn named_assignment(
    spec: &Spec,
    names: &Names,
    volume: u8,
    said: Said,
) -> Result<Assignment, String> {
    let mut named = Vec::new();
    for slot in spec.slots_of(volume) {
        if let Some(said) = said.replicas[slot] {
            let said = translate::named(said)?;
            named.push((names.replica(spec.place(slot).1), said));
        }
    }
    let (epoch, revision) = (
        translate::epoch(said.epoch),
        translate::revision(said.revision),
    );
    Assignment::new(translate::volume(volume), epoch, revision, named)
        .map_err(|invalid| invalid.to_string())
}

/// Whom a call that begins a session names.
pub(crate) fn authority(names: &Names, begin: Begin) -> SenderAuthority {
    SenderAuthority {
        volume: translate::volume(begin.volume),
        replica: names.replica(begin.replica),
        epoch: translate::epoch(begin.epoch),
        endpoint_version: EndpointVersion(begin.endpoint_version.into()),
    }
}

fn keep_outcomes(outcome: AssignOutcome, answer: &mut Told) {
    match outcome {
        AssignOutcome::Unchanged => answer.unchanged = true,
        AssignOutcome::Applied(outcomes) => {
            for (replica, outcome) in outcomes {
                match outcome {
                    IntentOutcome::Attached(token) => answer.tokens.push(token),
                    IntentOutcome::SessionPresent { session: _ } => {}
                    IntentOutcome::RebuildRequired { reason: _ } => {
                        answer.rebuild_required[1].push(replica);
                    }
                }
            }
        }
    }
}

fn on_session(
    token: &FencingToken,
    now: Tick,
    call: Call,
    inputs: impl Fn() -> Inputs,
    registry: &mut Registry,
    out: &mut Effects,
    answer: &mut Told,
) -> Result<(), Unmade> {
    match call {
        Call::Connect => registry.connect(token, now, out)?,
        Call::Hello => registry.hello(token, now, out)?,
        Call::Handshake { .. } => {
            let inputs = inputs();
            let facts = inputs.facts.as_ref().map(translate::facts).transpose();
            let facts = facts.map_err(|error| unsayable(&error))?;
            let history = history(&inputs)?;
            match registry.handshake(token, now, facts.as_ref(), &history, out)? {
                HandshakeOutcome::CatchUp(plan) => {
                    let bound = plan.bound();
                    answer.classified[1] = Some(bound.proof.verdict());
                    answer.plan = Some((bound.token.clone(), bound.gap.from, bound.gap.target));
                }
                HandshakeOutcome::SelectSource => {}
                HandshakeOutcome::Escalated { reason: _, proof } => {
                    answer.classified[1] = Some(proof.verdict());
                }
            }
        }
        Call::Pinned { slot } => {
            let retained_from = inputs().retained_from.map(lsn);
            match registry.pinned(token, now, translate::slot(slot), retained_from, out)? {
                PinOutcome::Held | PinOutcome::Escalated => {}
            }
        }
        Call::PinFailed { slot } => {
            registry.pin_failed(token, translate::slot(slot), out)?;
        }
        Call::PinLost { slot } => registry.pin_lost(token, translate::slot(slot), out)?,
        Call::Truncated { to } => registry.truncated(token, now, lsn(to), out)?,
        Call::TruncationRefused => registry.truncation_refused(token, out)?,
        Call::Progress { durable } => registry.progress(token, now, lsn(durable), out)?,
        Call::Complete => answer.position = Some(registry.complete(token, out)?),
        Call::Acknowledged { durable } => {
            registry.acknowledged(token, lsn(durable), lsn(inputs().head), out)?;
        }
        Call::SelectSource { .. } => {
            let history = history(&inputs())?;
            let plan = registry.select_source(token, now, &history, out)?;
            let decision = plan.bound().decision;
            answer.plan = Some((
                plan.bound().token.clone(),
                decision.base_lsn,
                decision.target,
            ));
        }
        Call::BeginTransfer { chunks_total } => {
            registry.begin_transfer(token, now, chunks_total.into(), out)?;
        }
        Call::TransferProgress { chunks_done } => {
            registry.transfer_progress(token, now, chunks_done.into(), out)?;
        }
        Call::BaseInstalled {
            base_lsn,
            extent_bound,
        } => {
            let goal =
                registry.base_installed(token, now, lsn(base_lsn), lsn(extent_bound), out)?;
            answer.position = Some(goal);
        }
        Call::CheckBudget { pinned_bytes } => {
            match registry.check_budget(token, now, pinned_bytes.into(), out)? {
                BudgetCheck::WithinBudget => answer.within_budget = true,
                BudgetCheck::Ended(_) => {}
            }
        }
        Call::Fail { cause } => {
            let fault = translate::reported_fault(cause).map_err(|what| unsayable(&what))?;
            registry.fail(token, fault, out)?;
        }
    }
    Ok(())
}

/// The primary's own history, which the calls that need it are given.
fn history(inputs: &Inputs) -> Result<RetainedHistory, Unmade> {
    let told = inputs
        .history
        .as_ref()
        .ok_or_else(|| unsayable(&"a decision without a history"))?;
    translate::history(told).map_err(|error| unsayable(&error))
}

fn unsayable(what: &impl ToString) -> Unmade {
    Unmade::Unsayable(what.to_string())
}
