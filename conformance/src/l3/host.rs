//! What a session's production driver has of its node, played by the rig: an engine that answers when
//! the specification's next step says so, the levers, and a clock that only steps move.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_engine::{Command, PinRequest, Refusal};
use holdfast_node::replication::{Finding, Given, Note, View, Want};
use holdfast_node::runtime::{LocalStore, SessionHost, SessionSource, StreamError};
use holdfast_node::tls::{Expected, Protection, Stream};
use holdfast_types::{Endpoint, ReplicaId, StoreId};
use std::net::SocketAddr;
use tokio::sync::{oneshot, watch};
use tokio::task::block_in_place;

use crate::l2::ground::{LONG, Levers};

/// What the engine answers.
pub type Answer = Result<(Command, Vec<PinRequest>), Refusal>;

/// What a driver does that the rig has to know of.
pub enum Event {
    /// It tells the engine something and waits for the answer.
    Tells(Finding, oneshot::Sender<Answer>),
    /// It has sent what there is to be sent, and waits.
    Rests,
    /// It has ended.
    Ended(holdfast_node::replication::SessionError),
}

/// What the rig sets and a driver sees.
#[derive(Clone, Copy, Debug)]
pub struct Present {
    /// The levers.
    pub levers: Levers,
    /// The time.
    pub now: Duration,
    /// Where the replica is reached; nowhere, when there is nobody.
    pub way: Option<SocketAddr>,
    /// Whether the replica is a member with its recorded store.
    pub member: bool,
    /// The identity of the store that answers.
    pub replica: Option<StoreId>,
}

/// What rig and driver share.
pub struct Shared {
    present: Mutex<Present>,
    moved: watch::Sender<u64>,
    holds_anything: AtomicBool,
}

impl Shared {
    /// What is there in the beginning.
    #[must_use]
    pub fn new(way: SocketAddr) -> Self {
        Self {
            present: Mutex::new(Present {
                levers: Levers::default(),
                now: Duration::ZERO,
                way: Some(way),
                member: false,
                replica: None,
            }),
            moved: watch::Sender::new(0),
            holds_anything: AtomicBool::new(false),
        }
    }

    /// Changes what the driver sees; it notices by [`Shared::rouse`], or by itself.
    pub fn set(&self, change: impl FnOnce(&mut Present)) {
        change(&mut self.present.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Tells the driver that something has moved.
    pub fn rouse(&self) {
        self.moved.send_modify(|count| *count += 1);
    }

    /// Whether anything is held back for the session.
    #[must_use]
    pub fn holds_anything(&self) -> bool {
        self.holds_anything.load(Ordering::Acquire)
    }

    fn get(&self) -> Present {
        *self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The host of one session.
pub struct Host {
    shared: Arc<Shared>,
    moved: watch::Receiver<u64>,
    events: Sender<Event>,
    store: Arc<LocalStore>,
    source: SessionSource,
    replica: ReplicaId,
}

impl Host {
    /// A host of a session with `replica`.
    #[must_use]
    pub fn new(
        shared: &Arc<Shared>,
        events: Sender<Event>,
        store: &Arc<LocalStore>,
        replica: ReplicaId,
    ) -> Self {
        Self {
            moved: shared.moved.subscribe(),
            shared: Arc::clone(shared),
            events,
            store: Arc::clone(store),
            source: SessionSource::new(Arc::clone(store), crate::l2::ground::primary()),
            replica,
        }
    }

    fn note_held(&self) {
        let holds = self.source.holds_anything();
        self.shared.holds_anything.store(holds, Ordering::Release);
    }
}

impl SessionHost for Host {
    fn now(&self) -> Duration {
        self.shared.get().now
    }

    fn view(&mut self) -> View {
        self.moved.borrow_and_update();
        self.shared.get().levers.view(&self.store)
    }

    async fn roused(&mut self, _: Duration) {
        // A rig that is gone hears nothing, and the driver is about to be dropped.
        let _ = self.events.send(Event::Rests);
        if self.moved.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn tell(&mut self, finding: Finding) -> Answer {
        let (answer, answered) = oneshot::channel();
        let _ = self.events.send(Event::Tells(finding, answer));
        match answered.await {
            Ok(answer) => answer,
            Err(_) => std::future::pending().await,
        }
    }

    fn give(&mut self, want: Want) -> Given {
        let levers = self.shared.get().levers;
        let given = block_in_place(|| levers.give(&mut self.source, want));
        self.note_held();
        given
    }

    fn recorded(&self) -> (Option<StoreId>, bool) {
        let present = self.shared.get();
        (present.replica, present.member)
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::LetGo { upto } => {
                // A pin that was taken away says so at the next look.
                let _ = self.source.let_go(upto);
            }
            Note::Completed => self.source.release(),
            Note::LogBytes(_)
            | Note::OtherStore { .. }
            | Note::Streaming
            | Note::Acknowledged { .. }
            | Note::TransferBegan { .. }
            | Note::TransferInstalled { .. }
            | Note::MayJoin { .. } => {}
        }
        self.note_held();
    }

    async fn connect(&mut self, _: Endpoint, _: Duration) -> Option<Result<Stream, StreamError>> {
        let nobody = || StreamError::Io(std::io::ErrorKind::ConnectionRefused.into());
        let Some(way) = self.shared.get().way else {
            return Some(Err(nobody()));
        };
        let expected = Expected::Node(self.replica.clone());
        let connected = Protection::None.connect(way, &expected).await;
        Some(connected.map_err(|_| nobody()))
    }

    fn stall_timeout(&self) -> Duration {
        LONG
    }
}
