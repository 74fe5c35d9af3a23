//! One session with one replica: what its driver ([`SessionDriver`]) has of this primary, and what comes
//! of its end.
//!
//! What the session holds back lives in its task, so that it is released on every way out (F71).

use std::sync::Arc;
use std::time::Duration;

use holdfast_engine::{
    Command, Evidence as Fact, Interruption, PinRequest, Refusal as EngineRefusal, ReportedFault,
};
use holdfast_types::{Endpoint, FencingToken, Lsn, StoreId};
use holdfast_wire::Refusal;
use tokio::sync::watch;
use tokio::task::{JoinHandle, block_in_place};
use tokio::time::timeout_at;

use super::super::framed::StreamError;
use super::super::session_driver::{SessionDriver, SessionHost};
use super::pace::Pace;
use super::rebuilds::UnderWay;
use super::source::SessionSource;
use super::{Primary, Progress, StopReason};
use crate::replication::{
    Finding, Given, Note, PrimarySession, SessionBounds, SessionError, View, Want,
};
use crate::tls::{Expected, Stream};

/// How a session ended.
pub(super) struct SessionEnd {
    /// Why.
    pub(super) reason: SessionError,
    /// Whether it had been in sync.
    pub(super) was_in_sync: bool,
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
            let host = Host::new(primary, token.clone());
            let mut driver = SessionDriver::new(session, host);
            let reason = tokio::select! {
                reason = driver.run() => reason,
                () = superseded => SessionError::Superseded,
            };
            SessionEnd {
                reason,
                was_in_sync: driver.session().was_in_sync(),
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

/// What moves the session on beside the replica.
struct Watched {
    moved: watch::Receiver<u64>,
    barrier: watch::Receiver<Lsn>,
    progress: watch::Receiver<Progress>,
}

/// What the session has of this primary.
struct Host<'a> {
    primary: &'a Arc<Primary>,
    token: FencingToken,
    source: SessionSource,
    pace: Option<Pace>,
    under_way: Option<UnderWay>,
    watched: Watched,
    joining: Option<JoinHandle<bool>>,
}

impl Drop for Host<'_> {
    fn drop(&mut self) {
        if let Some(joining) = &self.joining
            && !joining.is_finished()
        {
            let replica = &self.token.replica;
            tracing::debug!(%replica, "a joining goes on without its session");
        }
    }
}

impl<'a> Host<'a> {
    fn new(primary: &'a Arc<Primary>, token: FencingToken) -> Self {
        Self {
            primary,
            token,
            source: SessionSource::new(Arc::clone(&primary.store), primary.services.id.clone()),
            pace: None,
            under_way: None,
            watched: Watched {
                moved: primary.store.moved(),
                barrier: primary.barrier.subscribe(),
                progress: primary.progress.subscribe(),
            },
            joining: None,
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
        let (primary, token) = (Arc::clone(self.primary), self.token.clone());
        self.joining = Some(tokio::spawn(async move {
            tokio::select! {
                joined = primary.join(&token, store) => joined,
                _ = primary.until_stopped() => false,
            }
        }));
    }
}

impl SessionHost for Host<'_> {
    fn now(&self) -> Duration {
        self.primary.services.clock.now()
    }

    fn view(&mut self) -> View {
        self.watched.moved.borrow_and_update();
        View {
            barrier: *self.watched.barrier.borrow_and_update(),
            committed: self.watched.progress.borrow_and_update().committed,
            head: self.primary.store.positions().head,
            base_rate: self.primary.base_rate(&self.token.replica),
        }
    }

    async fn roused(&mut self, until: Duration) {
        let until = self.primary.services.clock.instant(until);
        let watched = &mut self.watched;
        tokio::select! {
            _ = watched.moved.changed() => {}
            _ = watched.barrier.changed() => {}
            _ = watched.progress.changed() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }

    async fn tell(
        &mut self,
        finding: Finding,
    ) -> Result<(Command, Vec<PinRequest>), EngineRefusal> {
        let recovery = &self.primary.services.recovery;
        recovery.step(&self.token, finding.evidence())
    }

    fn give(&mut self, want: Want) -> Given {
        block_in_place(|| self.source.give(want))
    }

    fn recorded(&self) -> (Option<StoreId>, bool) {
        let record = self.primary.record.borrow();
        let replica = &self.token.replica;
        let store = record.members.get(replica).map(|member| member.store);
        (store, record.isr.contains(replica))
    }

    async fn connect(
        &mut self,
        endpoint: Endpoint,
        until: Duration,
    ) -> Option<Result<Stream, StreamError>> {
        let until = self.primary.services.clock.instant(until);
        let replica = Expected::Node(self.token.replica.clone());
        let protection = &self.primary.services.protection;
        let connected = timeout_at(until, protection.connect(endpoint.data, &replica)).await;
        Some(connected.ok()?.map_err(StreamError::of_handshake))
    }

    fn stall_timeout(&self) -> Duration {
        self.primary.services.limits.stall_timeout
    }

    fn note(&mut self, note: Note) {
        let token = &self.token;
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
}
