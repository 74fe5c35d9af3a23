//! From attachment to the handshake's decision.

use holdfast_types::{ReplicaFacts, RetainedHistory};

use super::phase::{CatchUp, OpeningStep, Phase, Purpose, RecoverKind, SourceSelect, Truncation};
use super::{Context, Flow, Session};
use crate::evidence::{check_facts, check_history, check_may_decide, check_not_deposed};
use crate::plan::CatchUpPlan;
use crate::{
    Classification, EndCause, Gap, Happening, PinSlot, PinState, PinSubject, RebuildReason,
    RecoverabilityProof, Refusal, Tick, classify,
};

/// What a handshake led to.
#[derive(Debug, PartialEq, Eq)]
pub enum HandshakeOutcome {
    /// A zero gap or a catch-up was planned.
    CatchUp(CatchUpPlan),
    /// A rebuild goes on: its source is selected next. The facts were not classified, as a rebuild
    /// was already decided.
    SelectSource,
    /// The session ended: the replica needs a rebuild.
    Escalated {
        /// Why.
        reason: RebuildReason,
        /// The facts of the decision. It may say that the replica is recoverable, when its gap is
        /// only larger than the budget allows.
        proof: RecoverabilityProof,
    },
}

impl Session {
    pub(crate) fn connect(&mut self, cx: &mut Context<'_>, now: Tick) -> Result<Flow<()>, Refusal> {
        self.advance(OpeningStep::Init, OpeningStep::Connecting, now)?;
        cx.event(Happening::Connecting);
        Ok(Flow::Stay(()))
    }

    pub(crate) fn hello(&mut self, cx: &mut Context<'_>, now: Tick) -> Result<Flow<()>, Refusal> {
        self.advance(OpeningStep::Connecting, OpeningStep::Handshake, now)?;
        cx.event(Happening::HelloSent);
        Ok(Flow::Stay(()))
    }

    fn advance(&mut self, from: OpeningStep, to: OpeningStep, now: Tick) -> Result<(), Refusal> {
        match self.phase {
            Phase::Opening { step, purpose } if step == from => {
                self.phase = Phase::Opening { step: to, purpose };
                self.last_progress = now;
                Ok(())
            }
            Phase::Opening { .. }
            | Phase::CatchUp(_)
            | Phase::SourceSelect(_)
            | Phase::Transfer(_)
            | Phase::TailReplay(_)
            | Phase::Completed(_) => Err(self.wrong_phase()),
        }
    }

    pub(crate) fn handshake(
        &mut self,
        cx: &mut Context<'_>,
        now: Tick,
        facts: Option<&ReplicaFacts>,
        history: &RetainedHistory,
    ) -> Result<Flow<HandshakeOutcome>, Refusal> {
        let Phase::Opening {
            step: OpeningStep::Handshake,
            purpose,
        } = self.phase
        else {
            return Err(self.wrong_phase());
        };
        if let Some(facts) = facts {
            check_facts(facts)?;
        }
        check_history(history)?;
        if let Some(facts) = facts {
            check_not_deposed(facts, self.epoch)?;
        }
        check_may_decide(history, self.epoch)?;

        self.since = now;
        self.last_progress = now;
        match purpose {
            Purpose::Rebuild(reason) => {
                self.phase = Phase::SourceSelect(SourceSelect {
                    reason,
                    selected: None,
                });
                cx.event(Happening::RebuildBegan);
                Ok(Flow::Stay(HandshakeOutcome::SelectSource))
            }
            Purpose::Recover(kind) => {
                let proof = classify(facts, history, *cx.acknowledged);
                cx.event(Happening::Classified { proof });
                Ok(self.follow(cx, kind, proof))
            }
        }
    }

    /// Does what the classification says.
    fn follow(
        &mut self,
        cx: &mut Context<'_>,
        kind: RecoverKind,
        proof: RecoverabilityProof,
    ) -> Flow<HandshakeOutcome> {
        let (gap, pinned) = match proof.verdict() {
            Classification::NeedsRebuild(reason) => return escalate(reason, proof),
            Classification::ZeroGap(gap) => (gap, false),
            Classification::CatchUp(gap) => (gap, true),
        };
        let missing = gap.target.entries_since(gap.from);
        if missing > cx.budgets.of(kind.into()).entries.get() {
            return escalate(RebuildReason::BudgetEntries, proof);
        }
        self.plan(cx, kind, gap, pinned);
        Flow::Stay(HandshakeOutcome::CatchUp(CatchUpPlan::new(
            cx.token, gap, pinned, proof,
        )))
    }

    fn plan(&mut self, cx: &mut Context<'_>, kind: RecoverKind, gap: Gap, pinned: bool) {
        if pinned {
            cx.request(PinSlot::Retention, PinSubject::History { from: gap.from });
        }
        self.phase = Phase::CatchUp(CatchUp {
            kind,
            from: gap.from,
            target: gap.target,
            truncate: gap
                .truncate_to
                .map_or(Truncation::None, Truncation::Required),
            retention: pinned.then_some(PinState::Requested),
            acked: None,
        });
    }
}

fn escalate(reason: RebuildReason, proof: RecoverabilityProof) -> Flow<HandshakeOutcome> {
    Flow::End(
        EndCause::Escalation(reason),
        HandshakeOutcome::Escalated { reason, proof },
    )
}
