//! One session with one replica: the socket, the clock and the engine around a [`PrimarySession`].
//!
//! Everything that is decided is decided there, or by the engine; here it is only done. What the
//! session holds back lives in its task, so that it is released on every way out (F71).

use std::sync::Arc;
use std::time::Duration;

use holdfast_engine::{Evidence as Fact, Interruption, ReportedFault};
use holdfast_types::{Endpoint, FencingToken, Lsn, StoreId};
use holdfast_wire::{Frame, Message, Refusal};
use tokio::sync::watch;
use tokio::task::{JoinHandle, block_in_place};
use tokio::time::{timeout, timeout_at};

use super::super::framed::{FrameReader, FrameWriter, StreamError, frames};
use super::pace::Pace;
use super::rebuilds::UnderWay;
use super::source::SessionSource;
use super::{Primary, Progress, StopReason};
use crate::replication::{
    ConnectionFault, Note, PrimarySession, SessionBounds, SessionError, Todo, View,
};
use crate::tls::{Expected, ReadHalf, WriteHalf};

/// How a session ended.
pub(super) struct SessionEnd {
    /// Why.
    pub(super) reason: SessionError,
    /// Whether it had been in sync.
    pub(super) was_in_sync: bool,
}

impl From<StreamError> for SessionError {
    fn from(error: StreamError) -> Self {
        let fault = match error {
            StreamError::Io(_) | StreamError::Closed => ConnectionFault::Lost {
                detail: error.to_string(),
            },
            StreamError::Handshake(refused) => ConnectionFault::Unproven {
                detail: refused.to_string(),
            },
            StreamError::TimedOut { doing } => ConnectionFault::TimedOut { doing },
            StreamError::Wire(_) | StreamError::Encode(_) => ConnectionFault::NotAFrame {
                detail: error.to_string(),
            },
        };
        Self::Connection(fault)
    }
}

/// Carries one session out, from its attachment to its end.
pub(super) async fn run(primary: &Arc<Primary>, token: &FencingToken) -> SessionEnd {
    let recovery = &primary.services.recovery;
    let mut changed = recovery.changed();
    let superseded = async {
        while recovery.is_current(token) {
            if changed.changed().await.is_err() {
                break;
            }
        }
    };
    let end = match begin(primary, token) {
        Ok(session) => {
            let mut driver = Driver::new(primary, session);
            let reason = tokio::select! {
                Err(reason) = driver.carry_out() => reason,
                () = superseded => SessionError::Superseded,
            };
            SessionEnd {
                reason,
                was_in_sync: driver.session.was_in_sync(),
            }
        }
        Err(reason) => SessionEnd {
            reason,
            was_in_sync: false,
        },
    };
    primary.update(|ledger| {
        ledger.session_ended(&token.replica, token.session);
        ledger.progress()
    });
    if let Some(Refusal::StaleEpoch { promised, .. }) = end.reason.refusal()
        && *promised > primary.epoch
    {
        primary.stop(StopReason::Deposed { by: *promised });
    }
    if let Some(Refusal::Led { epoch, leader }) = end.reason.refusal()
        && *epoch == primary.epoch
    {
        tracing::error!(volume = %primary.volume(), %epoch, %leader, replica = %token.replica,
            "the authority was rolled back: a replica follows another primary of this epoch");
        primary.stop(StopReason::LedByAnother { leader: *leader });
    }
    if let Some(fault) = end.reason.fault() {
        report(primary, token, fault);
    }
    end
}

/// Tells the engine of what ended the session; refused when the session ended elsewhere meanwhile.
fn report(primary: &Primary, token: &FencingToken, fault: ReportedFault) {
    let failed = Fact::Interrupted(Interruption::Failed(fault));
    if let Err(refusal) = primary.services.recovery.step(token, failed) {
        tracing::debug!(replica = %token.replica, %refusal, "the session had ended already");
    }
}

fn begin(primary: &Primary, token: &FencingToken) -> Result<PrimarySession, SessionError> {
    let command = primary.services.recovery.command(token)?;
    let limits = primary.services.limits;
    let bounds = SessionBounds {
        stall: limits.stall_timeout,
        work: limits.sessions.stall,
        pin_bytes: primary.pin_bytes(),
        budget_bytes: limits.sessions.pinned_bytes,
    };
    PrimarySession::begin(token.clone(), command, bounds)
}

impl Primary {
    /// Bytes of log that one session may hold back: what is configured, and half of the log at
    /// most, as the other half is what writers have.
    fn pin_bytes(&self) -> u64 {
        let log_bytes = self.store.volume().log_bytes();
        self.services
            .limits
            .sessions
            .pinned_bytes
            .min(log_bytes / 2)
    }
}

/// A connection to the replica.
struct Link {
    reader: FrameReader<ReadHalf>,
    writer: FrameWriter<WriteHalf>,
    /// How long the replica may take nothing.
    wait: Duration,
}

impl Link {
    async fn send(&mut self, frame: &Frame) -> Result<(), StreamError> {
        let doing = "sending to the replica";
        timeout(self.wait, self.writer.send(frame))
            .await
            .map_err(|_| StreamError::TimedOut { doing })?
    }

    async fn flush(&mut self) -> Result<(), StreamError> {
        let doing = "sending to the replica";
        timeout(self.wait, self.writer.flush())
            .await
            .map_err(|_| StreamError::TimedOut { doing })?
    }
}

/// What moves the session on beside the replica.
struct Watched {
    moved: watch::Receiver<u64>,
    barrier: watch::Receiver<Lsn>,
    progress: watch::Receiver<Progress>,
}

struct Driver<'a> {
    primary: &'a Arc<Primary>,
    session: PrimarySession,
    source: SessionSource,
    pace: Option<Pace>,
    under_way: Option<UnderWay>,
    link: Option<Link>,
    watched: Watched,
    joining: Option<JoinHandle<bool>>,
}

impl Drop for Driver<'_> {
    fn drop(&mut self) {
        if let Some(joining) = &self.joining
            && !joining.is_finished()
        {
            let replica = &self.session.token().replica;
            tracing::debug!(%replica, "a joining goes on without its session");
        }
    }
}

/// Never returned: a session ends by an error.
enum Never {}

const NO_CONNECTION: SessionError = SessionError::Malformed {
    what: "a frame without a connection",
};

impl<'a> Driver<'a> {
    fn new(primary: &'a Arc<Primary>, session: PrimarySession) -> Self {
        Self {
            primary,
            session,
            source: SessionSource::new(Arc::clone(&primary.store), primary.services.id.clone()),
            pace: None,
            under_way: None,
            link: None,
            watched: Watched {
                moved: primary.store.moved(),
                barrier: primary.barrier.subscribe(),
                progress: primary.progress.subscribe(),
            },
            joining: None,
        }
    }

    fn now(&self) -> Duration {
        self.primary.services.clock.now()
    }

    /// What the session sees. Whatever moves after this wakes the wait that follows it.
    fn view(&mut self) -> View {
        self.watched.moved.borrow_and_update();
        View {
            barrier: *self.watched.barrier.borrow_and_update(),
            committed: self.watched.progress.borrow_and_update().committed,
            head: self.primary.store.positions().head,
            base_rate: self.primary.base_rate(&self.session.token().replica),
        }
    }

    async fn carry_out(&mut self) -> Result<Never, SessionError> {
        loop {
            let view = self.view();
            match self.session.next(self.now(), view)? {
                Todo::Tell(finding) => {
                    let recovery = &self.primary.services.recovery;
                    let (command, pins) =
                        recovery.step(self.session.token(), finding.evidence())?;
                    self.session.commanded(self.now(), command, &pins)?;
                }
                Todo::Want(want) => {
                    let given = block_in_place(|| self.source.give(want));
                    self.session.given(self.now(), given)?;
                }
                Todo::ReadRecord => {
                    let (store, in_set) = self.recorded();
                    self.session.recorded(store, in_set)?;
                }
                Todo::Note(note) => self.note(note),
                Todo::Dial { endpoint, until } => self.dial(endpoint, until).await?,
                Todo::Send(message) => self.send(message).await?,
                Todo::Flush => self.link()?.flush().await?,
                Todo::Wait { until } => self.wait(until).await?,
            }
        }
    }

    fn recorded(&self) -> (Option<StoreId>, bool) {
        let record = self.primary.record.borrow();
        let replica = &self.session.token().replica;
        let store = record.members.get(replica).map(|member| member.store);
        (store, record.isr.contains(replica))
    }

    fn link(&mut self) -> Result<&mut Link, SessionError> {
        self.link.as_mut().ok_or(NO_CONNECTION)
    }

    /// Connects, unless that takes too long, which the session then says itself.
    async fn dial(&mut self, endpoint: Endpoint, until: Duration) -> Result<(), SessionError> {
        let until = self.primary.services.clock.instant(until);
        let replica = Expected::Node(self.session.token().replica.clone());
        let protection = &self.primary.services.protection;
        let connected = protection.connect(endpoint.data, &replica);
        let Ok(connected) = timeout_at(until, connected).await else {
            return Ok(());
        };
        let stream = connected.map_err(StreamError::of_handshake)?;
        let (reader, writer) = frames(stream).map_err(StreamError::Io)?;
        self.link = Some(Link {
            reader,
            writer,
            wait: self.primary.services.limits.stall_timeout,
        });
        self.session.connected()
    }

    async fn send(&mut self, message: Message) -> Result<(), SessionError> {
        let token = self.session.token();
        let frame = Frame {
            volume: token.volume,
            epoch: token.epoch,
            session: token.session,
            message,
        };
        Ok(self.link()?.send(&frame).await?)
    }

    /// Until a frame came, something moved, or it is time.
    async fn wait(&mut self, until: Duration) -> Result<(), SessionError> {
        let until = self.primary.services.clock.instant(until);
        let Some(link) = &mut self.link else {
            tokio::time::sleep_until(until).await;
            return Ok(());
        };
        link.flush().await?;
        let watched = &mut self.watched;
        let frame = tokio::select! {
            biased;
            frame = link.reader.next() => frame?,
            _ = watched.moved.changed() => return Ok(()),
            _ = watched.barrier.changed() => return Ok(()),
            _ = watched.progress.changed() => return Ok(()),
            () = tokio::time::sleep_until(until) => return Ok(()),
        };
        let view = self.view();
        self.session.frame(self.now(), view, frame)
    }

    fn note(&mut self, note: Note) {
        let token = self.session.token();
        let (primary, replica) = (self.primary, &token.replica);
        match note {
            Note::LogBytes(bytes) => primary.uncommitted().bound_by(bytes),
            Note::OtherStore { store, standing } => {
                tracing::warn!(%replica, store = %store.0, ?standing,
                    "the store that answers is not the recorded one");
            }
            Note::Streaming => primary
                .ledger()
                .session_began(replica.clone(), token.session),
            Note::Acknowledged { received, durable } => {
                primary.acknowledged(replica, token.session, received, durable);
            }
            Note::LetGo { upto } => {
                if let Err(error) = self.source.let_go(upto) {
                    // The next look ends the session, with the cause.
                    tracing::debug!(%replica, %error, "a pin was taken away");
                }
            }
            Note::TransferBegan {
                base_lsn,
                chunks_total,
            } => {
                tracing::info!(%replica, %base_lsn, "a rebuild begins");
                let pin_bytes = primary.pin_bytes();
                let pace = Pace::begin(primary, replica.clone(), pin_bytes, chunks_total);
                self.pace = Some(pace);
                let under_way = UnderWay::begin(primary, replica.clone(), chunks_total);
                self.under_way = Some(under_way);
            }
            Note::TransferInstalled { chunks } => {
                if let Some(pace) = &self.pace {
                    pace.installed(chunks);
                }
                if let Some(under_way) = &self.under_way {
                    under_way.installed(chunks);
                }
            }
            Note::Completed => {
                self.source.release();
                self.pace = None;
                self.under_way = None;
                primary.rebuilt(replica);
            }
            Note::MayJoin { store } => self.join(store),
        }
    }

    /// An in-sync replica that is not in the set asks to join, one attempt at a time.
    fn join(&mut self, store: StoreId) {
        let trying = self
            .joining
            .as_ref()
            .is_some_and(|task| !task.is_finished());
        if trying {
            return;
        }
        let (primary, token) = (Arc::clone(self.primary), self.session.token().clone());
        self.joining = Some(tokio::spawn(async move {
            tokio::select! {
                joined = primary.join(&token, store) => joined,
                _ = primary.until_stopped() => false,
            }
        }));
    }
}
