//! Calls on a session. Each presents a token of which every part must be current, else it is
//! refused with `unknown_sender`, `stale_epoch`, `stale_endpoint` or `stale_session` and has changed
//! nothing (T7, A3). In a phase that the call does not belong to it is refused with `wrong_phase`.
//! The other refusals stand at each call, in the order in which they are looked for.

use holdfast_types::{FencingToken, Lsn, ReplicaFacts, RetainedHistory};

use super::{Registry, check_authority};
use crate::session::{Context, Flow};
use crate::{
    BudgetCheck, Effects, HandshakeOutcome, PinOutcome, PinSlot, RebuildPlan, Refusal,
    ReportedFault, Session, Tick,
};

impl Registry {
    /// The connection is being made: `init` to `connecting`.
    ///
    /// # Errors
    /// As said above, for all calls of this file.
    pub fn connect(
        &mut self,
        token: &FencingToken,
        now: Tick,
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        self.on_session(token, out, |session, cx| session.connect(cx, now))
    }

    /// The stream is up and the hello is sent: `connecting` to `handshake`.
    ///
    /// # Errors
    /// As said above.
    pub fn hello(
        &mut self,
        token: &FencingToken,
        now: Tick,
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        self.on_session(token, out, |session, cx| session.hello(cx, now))
    }

    /// The replica's report arrived. `facts` were read from its disk after a sync of its log, and
    /// are `None` if it holds no such volume; `history` is the primary's own, of this moment.
    ///
    /// # Errors
    /// `malformed_facts`, `malformed_history`, `replica_has_newer_epoch` (this node is deposed),
    /// `epoch_start_missing`, `primary_untrusted` (F33, F69).
    pub fn handshake(
        &mut self,
        token: &FencingToken,
        now: Tick,
        facts: Option<&ReplicaFacts>,
        history: &RetainedHistory,
        out: &mut Effects,
    ) -> Result<HandshakeOutcome, Refusal> {
        self.on_session(token, out, |session, cx| {
            session.handshake(cx, now, facts, history)
        })
    }

    /// A pin is held, and the log can be replayed from `retained_from` (looked at only for the
    /// retention pin). If what is to be replayed went before it was pinned, the session ends
    /// (`retention_lost`; F73, T10).
    ///
    /// # Errors
    /// `pin_not_requested`.
    pub fn pinned(
        &mut self,
        token: &FencingToken,
        now: Tick,
        slot: PinSlot,
        retained_from: Option<Lsn>,
        out: &mut Effects,
    ) -> Result<PinOutcome, Refusal> {
        self.on_session(token, out, |session, cx| {
            session.pinned(cx, now, slot, retained_from)
        })
    }

    /// A pin could not be acquired: the session ends by that fault.
    ///
    /// # Errors
    /// `pin_not_requested`.
    pub fn pin_failed(
        &mut self,
        token: &FencingToken,
        slot: PinSlot,
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        self.on_session(token, out, |session, _| session.pin_failed(slot))
    }

    /// The owner of the disk took a pin away (byte bound): the session ends (`retention_lost`; A6).
    ///
    /// # Errors
    /// `pin_not_held`.
    pub fn pin_lost(
        &mut self,
        token: &FencingToken,
        slot: PinSlot,
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        self.on_session(token, out, |session, _| session.pin_lost(slot))
    }

    /// The replica durably cut its log to `to` (T9).
    ///
    /// # Errors
    /// `truncation_not_required`, `truncation_mismatch`.
    pub fn truncated(
        &mut self,
        token: &FencingToken,
        now: Tick,
        to: Lsn,
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        self.on_session(token, out, |session, cx| session.truncated(cx, now, to))
    }

    /// The replica cannot cut its log, as its extent is ahead by now: the session ends
    /// (`truncation_unsafe`).
    ///
    /// # Errors
    /// `truncation_not_required`.
    pub fn truncation_refused(
        &mut self,
        token: &FencingToken,
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        self.on_session(token, out, |session, _| session.truncation_refused())
    }

    /// The replica answered a barrier of this session (F61): `durable` survives a crash there. An
    /// answer that proves more than the goal is reported as the goal.
    ///
    /// # Errors
    /// `truncation_outstanding`, `pin_outstanding`, `progress_regressed`, `beyond_target`.
    pub fn progress(
        &mut self,
        token: &FencingToken,
        now: Tick,
        durable: Lsn,
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        self.on_session(token, out, |session, cx| session.progress(cx, now, durable))
    }

    /// Completes the session: from here on, and only from here on, the sender is in sync. Returns
    /// the position that was proven (T16).
    ///
    /// # Errors
    /// `truncation_outstanding`, `pin_outstanding`, `not_converged`.
    pub fn complete(&mut self, token: &FencingToken, out: &mut Effects) -> Result<Lsn, Refusal> {
        self.on_session(token, out, |session, cx| session.complete(cx))
    }

    /// The replica answered a later barrier of a completed session; `head` is the primary's own.
    ///
    /// # Errors
    /// `progress_regressed`, `beyond_head`.
    pub fn acknowledged(
        &mut self,
        token: &FencingToken,
        durable: Lsn,
        head: Lsn,
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        self.on_session(token, out, |session, cx| {
            session.acknowledged(cx, durable, head)
        })
    }

    /// Fixes source, split and target of a rebuild, from the primary's own history, and asks for
    /// both pins.
    ///
    /// # Errors
    /// `source_already_selected`, `malformed_history`, `epoch_start_missing`, `primary_untrusted`.
    pub fn select_source(
        &mut self,
        token: &FencingToken,
        now: Tick,
        history: &RetainedHistory,
        out: &mut Effects,
    ) -> Result<RebuildPlan, Refusal> {
        self.on_session(token, out, |session, cx| {
            session.select_source(cx, now, history)
        })
    }

    /// The replica durably marked its base untrusted and is ready for `chunks_total` chunks. Zero
    /// chunks are a transfer too (F75).
    ///
    /// # Errors
    /// `source_not_selected`, `pin_outstanding`.
    pub fn begin_transfer(
        &mut self,
        token: &FencingToken,
        now: Tick,
        chunks_total: u64,
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        self.on_session(token, out, |session, cx| {
            session.begin_transfer(cx, now, chunks_total)
        })
    }

    /// The replica installed so many chunks.
    ///
    /// # Errors
    /// `progress_regressed`, `beyond_target`.
    pub fn transfer_progress(
        &mut self,
        token: &FencingToken,
        now: Tick,
        chunks_done: u64,
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        self.on_session(token, out, |session, _| {
            session.transfer_progress(now, chunks_done)
        })
    }

    /// The replica verified the whole base and durably switched to it. Returns what the tail's
    /// replay has to reach (F32).
    ///
    /// # Errors
    /// `transfer_incomplete`, `base_mismatch` (T17).
    pub fn base_installed(
        &mut self,
        token: &FencingToken,
        now: Tick,
        base_lsn: Lsn,
        extent_bound: Lsn,
        out: &mut Effects,
    ) -> Result<Lsn, Refusal> {
        self.on_session(token, out, |session, cx| {
            session.base_installed(cx, now, base_lsn, extent_bound)
        })
    }

    /// Ends the session if it is over its budget (A5, T4). `pinned_bytes` is what its pins hold
    /// back at the source.
    ///
    /// # Errors
    /// `wrong_phase` for a completed session.
    pub fn check_budget(
        &mut self,
        token: &FencingToken,
        now: Tick,
        pinned_bytes: u64,
        out: &mut Effects,
    ) -> Result<BudgetCheck, Refusal> {
        self.on_session(token, out, |session, cx| {
            session.check_budget(cx, now, pinned_bytes)
        })
    }

    /// Ends the session by a fault, in any phase (A11).
    ///
    /// # Errors
    /// Those of the token alone.
    pub fn fail(
        &mut self,
        token: &FencingToken,
        fault: ReportedFault,
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        self.on_session(token, out, |_, _| Ok(Session::fail(fault)))
    }

    /// Makes a call on the session that the token names, if all of it is current.
    fn on_session<T>(
        &mut self,
        token: &FencingToken,
        out: &mut Effects,
        call: impl FnOnce(&mut Session, &mut Context<'_>) -> Result<Flow<T>, Refusal>,
    ) -> Result<T, Refusal> {
        let volume = self
            .volumes
            .get_mut(&token.volume)
            .ok_or(Refusal::UnknownSender)?;
        let sender = volume
            .senders
            .get_mut(&token.replica)
            .ok_or(Refusal::UnknownSender)?;
        check_authority(volume.epoch, sender, token.epoch, token.endpoint_version)?;
        sender.on_session(token, &self.budgets, out, call)
    }
}
