//! One session with one replica: what the engine commands, on a socket and this node's log.
//!
//! The guards of everything that the session holds back at the source live in its task, so that
//! they are released on every way out (F71).

use std::sync::Arc;
use std::time::Duration;

use holdfast_blockvol::{CursorError, MIN_LOG_BYTES, PinError, RetentionPin};
use holdfast_engine::{
    CatchUpCommand, CatchUpEvidence, Command, Evidence as Fact, Interruption, PinRequest, PinSlot,
    PinSubject, RebuildCommand, RebuildEvidence, ReportedFault, StoreStanding,
};
use holdfast_types::{FencingToken, Lsn, ReplicaFacts, StoreId};
use holdfast_wire::{
    Append, Frame, Hello, HelloAck, LogPosition, Message, Refusal, SUPPORTED_VERSIONS,
};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::{JoinHandle, block_in_place};
use tokio::time::timeout;

use super::super::framed::{FrameReader, FrameWriter, StreamError, frames};
use super::pace::Pace;
use super::replay::ReplaySpans;
use super::{Primary, StopReason};
use crate::rebuild::SourceError;
use crate::replication::{Evidence, Next, Shipper, ShipperError, ShipperLimits};

/// How often budget, pins and authority are looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How a session ended.
pub(super) struct SessionEnd {
    /// Why.
    pub(super) reason: SessionError,
    /// Whether it had been in sync.
    pub(super) was_in_sync: bool,
}

/// Why a session ended.
#[derive(Debug, Error)]
pub(super) enum SessionError {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("shipping: {0}")]
    Shipper(#[from] ShipperError),
    #[error("base transfer: {0}")]
    Source(#[from] SourceError),
    #[error("the engine: {0}")]
    Engine(#[from] holdfast_engine::Refusal),
    #[error("{cause}")]
    Ended { cause: holdfast_engine::EndCause },
    #[error("refused: {0}")]
    Refused(Refusal),
    #[error("this node's log: {0}")]
    Log(#[from] CursorError),
    #[error("this node's image: {0}")]
    Base(#[from] holdfast_blockvol::BaseError),
    #[error("the session was ended by an assignment")]
    Superseded,
    #[error("{what}")]
    Malformed { what: &'static str },
}

impl SessionError {
    /// The fault that the engine is told; `None` when it knows already.
    const fn fault(&self) -> Option<ReportedFault> {
        match self {
            Self::Stream(StreamError::Io(_) | StreamError::Closed) => {
                Some(ReportedFault::StreamLost)
            }
            Self::Stream(StreamError::TimedOut { .. }) => Some(ReportedFault::Stalled),
            Self::Stream(StreamError::Wire(_) | StreamError::Encode(_)) => {
                Some(ReportedFault::Malformed)
            }
            Self::Shipper(ShipperError::Refused(_))
            | Self::Source(SourceError::Refused(_))
            | Self::Refused(_) => Some(ReportedFault::Refused),
            Self::Shipper(ShipperError::Stalled { .. })
            | Self::Source(SourceError::Stalled { .. }) => Some(ReportedFault::Stalled),
            Self::Shipper(
                ShipperError::Foreign { .. }
                | ShipperError::Unasked { .. }
                | ShipperError::Impossible { .. }
                | ShipperError::LogOrder { .. },
            )
            | Self::Source(
                SourceError::Foreign { .. }
                | SourceError::Unasked { .. }
                | SourceError::Impossible { .. }
                | SourceError::OtherBase { .. }
                | SourceError::ReadOrder { .. },
            )
            | Self::Engine(_)
            | Self::Malformed { .. } => Some(ReportedFault::Malformed),
            Self::Log(_) | Self::Base(_) => Some(ReportedFault::IoError),
            Self::Ended { .. } | Self::Superseded => None,
        }
    }

    /// The replica's own words, if it refused.
    const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Shipper(ShipperError::Refused(refusal))
            | Self::Source(SourceError::Refused(refusal))
            | Self::Refused(refusal) => Some(refusal),
            Self::Stream(_)
            | Self::Shipper(_)
            | Self::Source(_)
            | Self::Engine(_)
            | Self::Ended { .. }
            | Self::Log(_)
            | Self::Base(_)
            | Self::Superseded
            | Self::Malformed { .. } => None,
        }
    }
}

/// A connection to the replica, speaking for one session.
pub(super) struct Link {
    pub(super) token: FencingToken,
    pub(super) reader: FrameReader<OwnedReadHalf>,
    pub(super) writer: FrameWriter<OwnedWriteHalf>,
    wait: Duration,
}

impl Link {
    pub(super) async fn send(&mut self, message: Message) -> Result<(), StreamError> {
        let frame = Frame {
            volume: self.token.volume,
            epoch: self.token.epoch,
            session: self.token.session,
            message,
        };
        let doing = "sending to the replica";
        timeout(self.wait, self.writer.send(&frame))
            .await
            .map_err(|_| StreamError::TimedOut { doing })?
    }

    pub(super) async fn flush(&mut self) -> Result<(), StreamError> {
        let doing = "sending to the replica";
        timeout(self.wait, self.writer.flush())
            .await
            .map_err(|_| StreamError::TimedOut { doing })?
    }

    pub(super) async fn receive(&mut self) -> Result<Frame, StreamError> {
        let doing = "waiting for the replica";
        timeout(self.wait, self.reader.next())
            .await
            .map_err(|_| StreamError::TimedOut { doing })?
    }
}

/// Carries one session out, from its attachment to its end.
pub(super) async fn run(primary: &Arc<Primary>, token: &FencingToken) -> SessionEnd {
    let recovery = &primary.services.recovery;
    let mut changed = recovery.changed();
    let mut session = Session {
        primary,
        token,
        store: None,
        was_in_sync: false,
        joining: None,
    };
    let superseded = async {
        while recovery.is_current(token) {
            if changed.changed().await.is_err() {
                break;
            }
        }
    };
    let reason = tokio::select! {
        Err(reason) = session.carry_out() => reason,
        () = superseded => SessionError::Superseded,
    };
    let was_in_sync = session.was_in_sync;
    drop(session);
    primary.update(|ledger| {
        ledger.session_ended(&token.replica, token.session);
        ledger.progress()
    });
    if let Some(Refusal::StaleEpoch { promised, .. }) = reason.refusal()
        && *promised > primary.epoch
    {
        primary.stop(StopReason::Deposed { by: *promised });
    }
    if let Some(fault) = reason.fault() {
        let failed = Fact::Interrupted(Interruption::Failed(fault));
        // Refused when the session ended elsewhere meanwhile.
        let _ = recovery.step(token, failed);
    }
    SessionEnd {
        reason,
        was_in_sync,
    }
}

pub(super) struct Session<'a> {
    pub(super) primary: &'a Arc<Primary>,
    pub(super) token: &'a FencingToken,
    /// The identity of the store at the other end.
    store: Option<StoreId>,
    was_in_sync: bool,
    joining: Option<JoinHandle<bool>>,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if let Some(joining) = &self.joining
            && !joining.is_finished()
        {
            tracing::debug!(replica = %self.token.replica, "a joining goes on without its session");
        }
    }
}

/// Never returned: a session ends by an error.
pub(super) enum Never {}

impl Session<'_> {
    pub(super) fn step(&self, fact: Fact<'_>) -> Result<(Command, Vec<PinRequest>), SessionError> {
        let (command, pins) = self.primary.services.recovery.step(self.token, fact)?;
        match command {
            Command::Ended { cause } => Err(SessionError::Ended { cause }),
            Command::Dial { .. }
            | Command::SendHello
            | Command::AwaitReport
            | Command::SelectSource
            | Command::CatchUp(_)
            | Command::Rebuild(_)
            | Command::KeepUp => Ok((command, pins)),
        }
    }

    async fn carry_out(&mut self) -> Result<Never, SessionError> {
        let recovery = &self.primary.services.recovery;
        let Command::Dial { endpoint } = recovery.command(self.token)? else {
            return Err(SessionError::Malformed {
                what: "a session that was begun before",
            });
        };
        self.step(Fact::Dialing)?;
        let wait = self.primary.services.limits.stall_timeout;
        let doing = "connecting";
        let stream = timeout(wait, TcpStream::connect(endpoint.data))
            .await
            .map_err(|_| StreamError::TimedOut { doing })?
            .map_err(StreamError::Io)?;
        let (reader, writer) = frames(stream).map_err(StreamError::Io)?;
        let mut link = Link {
            token: self.token.clone(),
            reader,
            writer,
            wait,
        };
        link.send(Message::Hello(Hello {
            versions: SUPPORTED_VERSIONS,
            blocks: self.primary.blocks(),
            head: self.primary.store.last(),
        }))
        .await?;
        link.flush().await?;
        self.step(Fact::HelloSent)?;
        let facts = self.report(&mut link).await?;
        let history = self.primary.store.volume().history();
        let (command, pins) = self.step(Fact::Report {
            facts: facts.as_ref(),
            history: &history,
        })?;
        match command {
            Command::CatchUp(command) => self.catch_up(link, command, pins).await,
            Command::SelectSource => self.rebuild(link).await,
            Command::Dial { .. }
            | Command::SendHello
            | Command::AwaitReport
            | Command::Rebuild(_)
            | Command::KeepUp
            | Command::Ended { .. } => Err(SessionError::Malformed {
                what: "the engine took another way than a report opens",
            }),
        }
    }

    /// The replica's facts; `None` when it holds no store of this volume that counts.
    async fn report(&mut self, link: &mut Link) -> Result<Option<ReplicaFacts>, SessionError> {
        let frame = link.receive().await?;
        let ours = (frame.volume, frame.epoch, frame.session)
            == (self.token.volume, self.token.epoch, self.token.session);
        match frame.message {
            Message::HelloAck(ack) if ours && ack.log_bytes < MIN_LOG_BYTES => {
                Err(SessionError::Malformed {
                    what: "the replica has a smaller log than any store",
                })
            }
            Message::HelloAck(ack) if ours => {
                self.primary.uncommitted().bound_by(ack.log_bytes);
                Ok(self.counted(*ack))
            }
            Message::Refusal(Refusal::UnknownVolume) => Ok(None),
            Message::Refusal(refusal) => Err(SessionError::Refused(refusal)),
            Message::HelloAck(_)
            | Message::Hello(_)
            | Message::Append(_)
            | Message::Received { .. }
            | Message::Barrier { .. }
            | Message::BarrierAck { .. }
            | Message::Truncate { .. }
            | Message::Truncated { .. }
            | Message::RebuildBegin(_)
            | Message::RebuildReady
            | Message::RebuildChunk(_)
            | Message::RebuildProgress { .. }
            | Message::Manifest(_)
            | Message::BaseInstalled(_)
            | Message::Heartbeat { .. }
            | Message::ControlRequest(_)
            | Message::ControlReply(_) => Err(SessionError::Malformed {
                what: "the hello was answered by something else",
            }),
        }
    }

    /// The facts that count, which the engine decides by the identity of the store.
    fn counted(&mut self, ack: HelloAck) -> Option<ReplicaFacts> {
        let facts = ack.facts;
        self.store = Some(facts.store);
        let record = self.primary.record();
        let replica = &self.token.replica;
        let standing = StoreStanding::of(
            &facts,
            record.members.get(replica).map(|member| member.store),
            record.isr.contains(replica),
        );
        if standing != StoreStanding::Recorded {
            tracing::warn!(%replica, store = %facts.store.0, ?standing,
                "the store that answers is not the recorded one");
        }
        standing.counts().then_some(facts)
    }

    async fn catch_up(
        &mut self,
        link: Link,
        command: CatchUpCommand,
        pins: Vec<PinRequest>,
    ) -> Result<Never, SessionError> {
        let mut held = None;
        let mut command = command;
        for request in pins {
            let (retention, next) = self.pin_history(&request)?;
            held = Some(HeldBack {
                retention,
                _pace: None,
            });
            if let Command::CatchUp(next) = next {
                command = next;
            }
        }
        let (from, truncate) = match command {
            CatchUpCommand::Truncate { to } => (to, Some(to)),
            CatchUpCommand::Replay { after, .. } => (after, None),
            CatchUpCommand::AwaitPin
            | CatchUpCommand::KeepUp { .. }
            | CatchUpCommand::Ended { .. } => {
                return Err(SessionError::Malformed {
                    what: "the engine awaits a pin that it did not ask for",
                });
            }
        };
        let shipper = self.shipper(from, truncate)?;
        self.stream(link, shipper, Command::CatchUp(command), held)
            .await
    }

    fn pin_history(&self, request: &PinRequest) -> Result<(RetentionPin, Command), SessionError> {
        let volume = self.primary.store.volume();
        let from = match request.subject {
            PinSubject::History { from } => from,
            PinSubject::Snapshot { base_lsn } => base_lsn,
            PinSubject::LiveExtent { split } => split,
        };
        match volume.pin(from, self.pin_bytes()) {
            Ok(pin) => {
                let retained_from = volume.positions().retained_from;
                let held = CatchUpEvidence::Pinned { retained_from };
                let (command, _) = self.step(Fact::CatchUp(held))?;
                Ok((pin, command))
            }
            Err(error) => {
                tracing::info!(replica = %self.token.replica, %error, "history cannot be pinned");
                self.beyond_its_bytes(&error)?;
                let slot = request.id.slot;
                self.step(Fact::Interrupted(Interruption::PinFailed { slot }))?;
                Err(SessionError::Superseded)
            }
        }
    }

    /// A pin that would hold back more than it may is over the budget, and another attempt would be
    /// as well: the session ends by that, not by a fault which is tried again for ever (T4).
    fn beyond_its_bytes(&self, error: &PinError) -> Result<(), SessionError> {
        match error {
            PinError::TooLarge { held, .. } => {
                let allowed = self.primary.services.limits.sessions.pinned_bytes;
                // Half of a small log may be the tighter bound of the two.
                self.within_budget(allowed.saturating_add(1).max(*held))
            }
            PinError::BeyondHead { .. }
            | PinError::Recycled { .. }
            | PinError::Revoked { .. }
            | PinError::Closed => Ok(()),
        }
    }

    /// Bytes of log that one session may hold back: what is configured, and half of the log at most,
    /// as the other half is what writers have.
    pub(super) fn pin_bytes(&self) -> u64 {
        let log_bytes = self.primary.store().volume().log_bytes();
        let sessions = self.primary.services.limits.sessions;
        sessions.pinned_bytes.min(log_bytes / 2)
    }

    pub(super) fn shipper(
        &self,
        from: Lsn,
        truncate: Option<Lsn>,
    ) -> Result<Shipper, SessionError> {
        let lineage = self.primary.store.volume().lineage();
        let epoch = match (from, lineage.epoch_at(from)) {
            (Lsn::ZERO, _) => LogPosition::START.epoch,
            (_, Some(epoch)) => epoch,
            (_, None) => {
                return Err(SessionError::Malformed {
                    what: "the lineage does not reach the position that is to be replayed from",
                });
            }
        };
        let limits = ShipperLimits {
            stall: self.primary.services.limits.stall_timeout,
            ..ShipperLimits::default()
        };
        let frame = (self.token.volume, self.token.epoch, self.token.session);
        let now = self.primary.services.clock.now();
        let from = LogPosition { lsn: from, epoch };
        Ok(Shipper::new(frame, from, truncate, limits, now))
    }

    /// Streams the log until the session ends: the gap first, and what is written meanwhile.
    pub(super) async fn stream(
        &mut self,
        mut link: Link,
        mut shipper: Shipper,
        command: Command,
        held: Option<HeldBack>,
    ) -> Result<Never, SessionError> {
        let primary = Arc::clone(self.primary);
        let clock = primary.services.clock;
        let mut stage = Stage {
            command,
            held,
            spans: ReplaySpans::default(),
        };
        stage.want(&mut shipper);
        primary
            .ledger()
            .session_began(self.token.replica.clone(), self.token.session);
        let mut moved = primary.store.moved();
        let mut barrier = primary.barrier.subscribe();
        let mut progress = primary.progress.subscribe();
        let mut look_at = clock.now();
        loop {
            moved.borrow_and_update();
            progress.borrow_and_update();
            let wanted = *barrier.borrow_and_update();
            if wanted > Lsn::ZERO {
                shipper.want_barrier(wanted);
            }
            let now = clock.now();
            if now >= look_at {
                self.look(&stage)?;
                look_at = now + LOOK_EVERY;
            }
            shipper.check(now)?;
            let head = stage.may_send_to(primary.store.positions().head, &shipper);
            let committed = primary.progress().committed;
            match shipper.next(now, head, committed) {
                Next::Send(message) => link.send(message).await?,
                Next::Load { after, max_bytes } => {
                    let volume = primary.store.volume();
                    let entries = block_in_place(|| volume.entries(after, max_bytes))?;
                    if let Some(message) = shipper.batch(now, entries, committed)? {
                        stage.sent(&message, &mut shipper);
                        link.send(message).await?;
                    }
                }
                Next::Wait { until } => {
                    link.flush().await?;
                    tokio::select! {
                        biased;
                        frame = link.reader.next() => {
                            let evidence = shipper.receive(clock.now(), &frame?);
                            self.take_in(evidence, &mut shipper, &mut stage)?;
                        }
                        _ = moved.changed() => {}
                        _ = barrier.changed() => {}
                        _ = progress.changed() => {}
                        () = tokio::time::sleep_until(clock.instant(until.min(look_at))) => {}
                    }
                }
            }
        }
    }

    /// What the replica's answer means for the commit rule and for the engine.
    fn take_in(
        &mut self,
        evidence: Result<Evidence, ShipperError>,
        shipper: &mut Shipper,
        stage: &mut Stage,
    ) -> Result<(), SessionError> {
        let evidence = match evidence {
            Ok(evidence) => evidence,
            Err(ShipperError::Refused(Refusal::TruncateBelowExtent { offered, bound })) => {
                self.step(Fact::CatchUp(CatchUpEvidence::TruncationRefused))?;
                let refusal = Refusal::TruncateBelowExtent { offered, bound };
                return Err(SessionError::Refused(refusal));
            }
            Err(error) => return Err(error.into()),
        };
        match evidence {
            Evidence::Truncated { to } => {
                let (command, _) = self.step(Fact::CatchUp(CatchUpEvidence::Truncated { to }))?;
                stage.go_on(command, shipper);
            }
            Evidence::Received { lsn } => {
                self.acknowledge(shipper);
                stage.let_go(lsn);
            }
            Evidence::Durable { lsn } => {
                self.acknowledge(shipper);
                stage.let_go(lsn);
                stage.spans.proven(lsn);
                let head = self.primary.store.positions().head;
                let fact = match stage.command {
                    Command::CatchUp(_) => Fact::CatchUp(CatchUpEvidence::Durable { lsn }),
                    Command::Rebuild(_) => Fact::Rebuild(RebuildEvidence::Durable { lsn }),
                    Command::KeepUp
                    | Command::Dial { .. }
                    | Command::SendHello
                    | Command::AwaitReport
                    | Command::SelectSource
                    | Command::Ended { .. } => Fact::Acknowledged { durable: lsn, head },
                };
                let (command, _) = self.step(fact)?;
                stage.go_on(command, shipper);
                if stage.command == Command::KeepUp {
                    self.was_in_sync = true;
                    self.join_if_due();
                }
            }
        }
        Ok(())
    }

    fn acknowledge(&self, shipper: &Shipper) {
        let (received, durable) = (shipper.received(), shipper.durable());
        let (replica, session) = (&self.token.replica, self.token.session);
        self.primary
            .acknowledged(replica, session, received, durable);
    }

    /// What is looked at from time to time, whatever happens on the stream.
    fn look(&mut self, stage: &Stage) -> Result<(), SessionError> {
        if let Some(held) = &stage.held
            && let Err(error) = held.retention.check()
        {
            tracing::info!(replica = %self.token.replica, %error, "a pin was taken away");
            let slot = PinSlot::Retention;
            self.step(Fact::Interrupted(Interruption::PinLost { slot }))?;
        }
        if stage.command == Command::KeepUp {
            self.join_if_due();
        } else {
            let held = stage.held.as_ref();
            self.within_budget(held.map_or(0, |held| held.retention.held_bytes()))?;
        }
        Ok(())
    }

    /// Ends the session when it costs more than its budget; so many bytes of log are held back for
    /// it.
    pub(super) fn within_budget(&self, pinned_bytes: u64) -> Result<(), SessionError> {
        let tick = Interruption::Tick { pinned_bytes };
        self.step(Fact::Interrupted(tick)).map(|_| ())
    }

    /// An in-sync replica that is not in the set asks to join, one attempt at a time.
    fn join_if_due(&mut self) {
        let trying = self
            .joining
            .as_ref()
            .is_some_and(|task| !task.is_finished());
        let member = self
            .primary
            .record
            .borrow()
            .isr
            .contains(&self.token.replica);
        if trying || member {
            return;
        }
        if let Some(store) = self.store {
            let (primary, token) = (Arc::clone(self.primary), self.token.clone());
            self.joining = Some(tokio::spawn(async move {
                tokio::select! {
                    joined = primary.join(&token, store) => joined,
                    _ = primary.until_stopped() => false,
                }
            }));
        }
    }
}

/// What a session holds back at the source until it is completed; released on drop.
pub(super) struct HeldBack {
    pub(super) retention: RetentionPin,
    pub(super) _pace: Option<Pace>,
}

/// How far the session is, and what it holds back at the source.
struct Stage {
    command: Command,
    held: Option<HeldBack>,
    spans: ReplaySpans,
}

impl Stage {
    const fn is_replaying(&self) -> bool {
        matches!(
            self.command,
            Command::CatchUp(CatchUpCommand::Replay { .. })
                | Command::Rebuild(RebuildCommand::Replay { .. })
        )
    }

    /// How far the log may be sent now: during a replay, no further than a few unproven spans.
    fn may_send_to(&self, head: Lsn, shipper: &Shipper) -> Lsn {
        if self.is_replaying() && !self.spans.may_send() {
            head.min(shipper.cursor().lsn)
        } else {
            head
        }
    }

    /// Takes note of a batch of a replay, and asks for the barrier that proves it.
    fn sent(&mut self, message: &Message, shipper: &mut Shipper) {
        if let Message::Append(Append { entries, .. }) = message
            && let Some(last) = entries.last()
            && self.is_replaying()
        {
            let bytes = entries.iter().map(|entry| entry.payload.len() as u64);
            if let Some(barrier) = self.spans.sent(last.lsn, bytes.sum()) {
                shipper.want_barrier(barrier);
            }
        }
    }

    /// Asks for the barrier that the command needs.
    fn want(&self, shipper: &mut Shipper) {
        match self.command {
            Command::CatchUp(CatchUpCommand::Replay { barrier_at, .. })
            | Command::Rebuild(RebuildCommand::Replay { barrier_at, .. }) => {
                shipper.want_barrier(barrier_at);
            }
            Command::CatchUp(
                CatchUpCommand::AwaitPin
                | CatchUpCommand::Truncate { .. }
                | CatchUpCommand::KeepUp { .. }
                | CatchUpCommand::Ended { .. },
            )
            | Command::Rebuild(
                RebuildCommand::AwaitPins
                | RebuildCommand::PrepareReplica
                | RebuildCommand::SendChunks { .. }
                | RebuildCommand::InstallBase { .. }
                | RebuildCommand::KeepUp { .. }
                | RebuildCommand::Ended { .. },
            )
            | Command::KeepUp
            | Command::Dial { .. }
            | Command::SendHello
            | Command::AwaitReport
            | Command::SelectSource
            | Command::Ended { .. } => {}
        }
    }

    fn go_on(&mut self, command: Command, shipper: &mut Shipper) {
        self.command = command;
        if command == Command::KeepUp {
            // The engine has released it: from here on retention is the log's own business.
            self.held = None;
        }
        self.want(shipper);
    }

    /// What the replica has received need not be kept for it any more.
    fn let_go(&self, received: Lsn) {
        if let Some(held) = &self.held
            && let Err(error) = held.retention.advance(received)
        {
            // The next look ends the session, with the cause.
            tracing::debug!(%error, "a pin was taken away");
        }
    }
}
