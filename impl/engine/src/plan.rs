//! Bound plans: everything that carrying out a decision needs, fixed when it was taken.
//!
//! A plan comes out of the call that took the decision (`handshake`, `select_source`), which
//! succeeds once in a session, and it cannot be cloned: who executes or cancels it gives it away.
//! So a plan is carried out once or not at all, by the session that it was made for (F74), and an
//! executor never derives policy anew. Its pins are known by id; a plan that is not executed is
//! cancelled, which ends its session and thereby releases them.

use holdfast_types::FencingToken;

use crate::session::{base_subject, retention_subject};
use crate::{
    Effects, Gap, PinId, PinRequest, PinSlot, PinSubject, RebuildDecision, RebuildReason,
    RecoverabilityProof, Refusal, Registry, ReportedFault,
};

/// How a zero gap or a catch-up is carried out.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a plan is executed or cancelled"]
pub struct CatchUpPlan {
    bound: BoundCatchUp,
}

/// What a [`CatchUpPlan`] fixes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BoundCatchUp {
    /// The session.
    pub token: FencingToken,
    /// From where, up to where, and what is cut before.
    pub gap: Gap,
    /// Whether the history after `gap.from` is to be pinned; a zero gap replays nothing.
    pub pins_history: bool,
    /// Why this is the way.
    pub proof: RecoverabilityProof,
}

impl CatchUpPlan {
    pub(crate) fn new(
        token: &FencingToken,
        gap: Gap,
        pins_history: bool,
        proof: RecoverabilityProof,
    ) -> Self {
        Self {
            bound: BoundCatchUp {
                token: token.clone(),
                gap,
                pins_history,
                proof,
            },
        }
    }

    /// What is fixed.
    #[must_use]
    pub const fn bound(&self) -> &BoundCatchUp {
        &self.bound
    }

    pub(crate) fn consume(self) -> BoundCatchUp {
        self.bound
    }

    /// Does not carry the plan out: its session ends by that fault, its pins are released.
    ///
    /// # Errors
    /// When the session is no longer the present one: it ended, and its pins went with it.
    pub fn cancel(
        self,
        registry: &mut Registry,
        fault: ReportedFault,
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        registry.fail(&self.bound.token, fault, out)
    }
}

impl BoundCatchUp {
    /// The pin that the plan rests on, if it replays anything.
    #[must_use]
    pub fn retention_pin(&self) -> Option<PinRequest> {
        self.pins_history.then(|| PinRequest {
            id: PinId {
                token: self.token.clone(),
                slot: PinSlot::Retention,
            },
            subject: PinSubject::History {
                from: self.gap.from,
            },
        })
    }
}

/// How a rebuild is carried out.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a plan is executed or cancelled"]
pub struct RebuildPlan {
    bound: BoundRebuild,
}

/// What a [`RebuildPlan`] fixes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BoundRebuild {
    /// The session.
    pub token: FencingToken,
    /// Why a rebuild is needed.
    pub reason: RebuildReason,
    /// Source, split and target.
    pub decision: RebuildDecision,
}

impl RebuildPlan {
    pub(crate) fn new(
        token: &FencingToken,
        reason: RebuildReason,
        decision: RebuildDecision,
    ) -> Self {
        Self {
            bound: BoundRebuild {
                token: token.clone(),
                reason,
                decision,
            },
        }
    }

    /// What is fixed.
    #[must_use]
    pub const fn bound(&self) -> &BoundRebuild {
        &self.bound
    }

    pub(crate) fn consume(self) -> BoundRebuild {
        self.bound
    }

    /// Does not carry the plan out: its session ends by that fault, its pins are released.
    ///
    /// # Errors
    /// When the session is no longer the present one: it ended, and its pins went with it.
    pub fn cancel(
        self,
        registry: &mut Registry,
        fault: ReportedFault,
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        registry.fail(&self.bound.token, fault, out)
    }
}

impl BoundRebuild {
    /// The pins that the plan rests on.
    #[must_use]
    pub fn pins(&self) -> [PinRequest; 2] {
        let pin = |slot, subject| PinRequest {
            id: PinId {
                token: self.token.clone(),
                slot,
            },
            subject,
        };
        [
            pin(PinSlot::Retention, retention_subject(&self.decision)),
            pin(PinSlot::Base, base_subject(&self.decision)),
        ]
    }
}
