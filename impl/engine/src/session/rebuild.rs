//! `rebuild = frozen target + trusted pinned base + tail + barrier` (T5, T6, T11, T12, T16, T17).
//!
//! This file has the way from the source's selection to the installed base; the tail's replay is
//! in `catch_up`, and the last step, the barrier, is the same for both.

use holdfast_types::{Lsn, RetainedHistory};

use super::phase::{Phase, SelectedSource, SourceSelect, TailReplay, Transfer};
use super::{Context, Flow, Session};
use crate::evidence::{check_history, check_may_decide};
use crate::plan::RebuildPlan;
use crate::{
    Happening, PinSlot, PinState, PinSubject, RebuildDecision, RebuildSource, Refusal, Tick,
    decide_rebuild_source,
};

impl Session {
    pub(crate) fn select_source(
        &mut self,
        cx: &mut Context<'_>,
        now: Tick,
        history: &RetainedHistory,
    ) -> Result<Flow<RebuildPlan>, Refusal> {
        let Phase::SourceSelect(SourceSelect { reason, selected }) = self.phase else {
            return Err(self.wrong_phase());
        };
        if selected.is_some() {
            return Err(Refusal::SourceAlreadySelected);
        }
        check_history(history)?;
        check_may_decide(history, self.epoch)?;

        let decision = decide_rebuild_source(history);
        self.phase = Phase::SourceSelect(SourceSelect {
            reason,
            selected: Some(SelectedSource {
                decision,
                base: PinState::Requested,
                retention: PinState::Requested,
            }),
        });
        self.last_progress = now;
        cx.event(Happening::SourceSelected { decision });
        // The log first: a fuzzy copy whose log is not held could never be repaired (F31).
        cx.request(PinSlot::Retention, retention_subject(&decision));
        cx.request(PinSlot::Base, base_subject(&decision));
        Ok(Flow::Stay(RebuildPlan::new(cx.token, reason, decision)))
    }

    pub(crate) fn begin_transfer(
        &mut self,
        cx: &mut Context<'_>,
        now: Tick,
        chunks_total: u64,
    ) -> Result<Flow<()>, Refusal> {
        let Phase::SourceSelect(SourceSelect { reason, selected }) = self.phase else {
            return Err(self.wrong_phase());
        };
        let selected = selected.ok_or(Refusal::SourceNotSelected)?;
        match (selected.base, selected.retention) {
            (PinState::Held, PinState::Held) => {}
            (PinState::Requested, _) | (_, PinState::Requested) => {
                return Err(Refusal::PinOutstanding);
            }
        }
        self.phase = Phase::Transfer(Transfer {
            reason,
            decision: selected.decision,
            chunks_total,
            chunks_done: 0,
        });
        self.last_progress = now;
        // The replica gave up what it held; nothing of it is claimed any more (F35).
        *cx.acknowledged = None;
        cx.event(Happening::TransferBegan { chunks_total });
        Ok(Flow::Stay(()))
    }

    pub(crate) fn transfer_progress(
        &mut self,
        now: Tick,
        chunks_done: u64,
    ) -> Result<Flow<()>, Refusal> {
        let Phase::Transfer(transfer) = self.phase else {
            return Err(self.wrong_phase());
        };
        if chunks_done < transfer.chunks_done {
            return Err(Refusal::ProgressRegressed {
                at_least: transfer.chunks_done,
            });
        }
        if chunks_done > transfer.chunks_total {
            return Err(Refusal::BeyondTarget {
                goal: transfer.chunks_total,
            });
        }
        if chunks_done > transfer.chunks_done {
            self.last_progress = now;
        }
        self.phase = Phase::Transfer(Transfer {
            chunks_done,
            ..transfer
        });
        Ok(Flow::Stay(()))
    }

    pub(crate) fn base_installed(
        &mut self,
        cx: &mut Context<'_>,
        now: Tick,
        base_lsn: Lsn,
        extent_bound: Lsn,
    ) -> Result<Flow<Lsn>, Refusal> {
        let Phase::Transfer(transfer) = self.phase else {
            return Err(self.wrong_phase());
        };
        if transfer.chunks_done != transfer.chunks_total {
            return Err(Refusal::TransferIncomplete);
        }
        let decision = transfer.decision;
        let bound_fits = match decision.source() {
            RebuildSource::SnapshotTail => extent_bound == decision.base_lsn,
            RebuildSource::FullBase => extent_bound >= decision.base_lsn,
        };
        if base_lsn != decision.base_lsn || !bound_fits {
            return Err(Refusal::BaseMismatch);
        }
        let goal = decision.target.max(extent_bound);
        cx.release(PinSlot::Base);
        self.phase = Phase::TailReplay(TailReplay {
            reason: transfer.reason,
            decision,
            goal,
            acked: None,
        });
        self.last_progress = now;
        cx.event(Happening::BaseInstalled { base_lsn, goal });
        Ok(Flow::Stay(goal))
    }
}

/// What the retention pin of a rebuild keeps.
pub(crate) const fn retention_subject(decision: &RebuildDecision) -> PinSubject {
    PinSubject::History {
        from: decision.base_lsn,
    }
}

/// What the base pin of a rebuild keeps.
pub(crate) const fn base_subject(decision: &RebuildDecision) -> PinSubject {
    match decision.source() {
        RebuildSource::SnapshotTail => PinSubject::Snapshot {
            base_lsn: decision.base_lsn,
        },
        RebuildSource::FullBase => PinSubject::LiveExtent {
            split: decision.base_lsn,
        },
    }
}
