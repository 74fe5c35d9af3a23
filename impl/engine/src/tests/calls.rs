//! Every call on a session as a value, so that tests can make all of them, or any.

use holdfast_types::{FencingToken, Lsn, ReplicaFacts, RetainedHistory};

use super::scene::{facts, history};
use crate::{Effects, PinSlot, Refusal, Registry, ReportedFault, Tick};

#[derive(Clone, Debug)]
pub(crate) enum Call {
    Connect,
    Hello,
    Handshake(Option<ReplicaFacts>, RetainedHistory),
    Pinned(PinSlot, Option<Lsn>),
    PinFailed(PinSlot),
    PinLost(PinSlot),
    Truncated(Lsn),
    TruncationRefused,
    Progress(Lsn),
    Complete,
    Acknowledged(Lsn, Lsn),
    SelectSource(RetainedHistory),
    BeginTransfer(u64),
    TransferProgress(u64),
    BaseInstalled(Lsn, Lsn),
    CheckBudget(u64),
    Fail(ReportedFault),
}

impl Call {
    /// Makes the call; what it returned is of no interest here.
    pub(crate) fn make(
        &self,
        registry: &mut Registry,
        token: &FencingToken,
        now: Tick,
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        match self {
            Self::Connect => registry.connect(token, now, out),
            Self::Hello => registry.hello(token, now, out),
            Self::Handshake(facts, history) => registry
                .handshake(token, now, facts.as_ref(), history, out)
                .map(drop),
            Self::Pinned(slot, from) => registry.pinned(token, now, *slot, *from, out).map(drop),
            Self::PinFailed(slot) => registry.pin_failed(token, *slot, out),
            Self::PinLost(slot) => registry.pin_lost(token, *slot, out),
            Self::Truncated(to) => registry.truncated(token, now, *to, out),
            Self::TruncationRefused => registry.truncation_refused(token, out),
            Self::Progress(durable) => registry.progress(token, now, *durable, out),
            Self::Complete => registry.complete(token, out).map(drop),
            Self::Acknowledged(durable, head) => registry.acknowledged(token, *durable, *head, out),
            Self::SelectSource(history) => {
                registry.select_source(token, now, history, out).map(drop)
            }
            Self::BeginTransfer(total) => registry.begin_transfer(token, now, *total, out),
            Self::TransferProgress(done) => registry.transfer_progress(token, now, *done, out),
            Self::BaseInstalled(base_lsn, extent_bound) => registry
                .base_installed(token, now, *base_lsn, *extent_bound, out)
                .map(drop),
            Self::CheckBudget(bytes) => registry.check_budget(token, now, *bytes, out).map(drop),
            Self::Fail(fault) => registry.fail(token, *fault, out),
        }
    }

    /// One of each, with arguments that a session in epoch 2 would take.
    pub(crate) fn one_of_each() -> Vec<Self> {
        let history = history(&[1, 1, 2], 3);
        vec![
            Self::Connect,
            Self::Hello,
            Self::Handshake(Some(facts(&[1], 0)), history.clone()),
            Self::Pinned(PinSlot::Retention, Some(Lsn(0))),
            Self::Pinned(PinSlot::Base, None),
            Self::PinFailed(PinSlot::Retention),
            Self::PinLost(PinSlot::Retention),
            Self::Truncated(Lsn(2)),
            Self::TruncationRefused,
            Self::Progress(Lsn(3)),
            Self::Complete,
            Self::Acknowledged(Lsn(3), Lsn(9)),
            Self::SelectSource(history),
            Self::BeginTransfer(2),
            Self::TransferProgress(2),
            Self::BaseInstalled(Lsn(0), Lsn(0)),
            Self::CheckBudget(0),
            Self::Fail(ReportedFault::StreamLost),
        ]
    }
}
