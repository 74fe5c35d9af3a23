//! Connections of primaries: who is let in, in which order that is decided, and what they are told.
//!
//! ```text
//!   accepted within bounds -> TLS, if this node has keys -> a hello -> by whom its certificate names
//!     -> volume, version, size, epoch, session as they are here
//!     -> a new epoch is confirmed -> an old primary here is deposed -> admitted durably -> session
//! ```
//!
//! Promises: before a hello was admitted a connection costs a bounded place for a bounded time, and has
//! changed nothing (F45); an epoch that the authority has not minted is never promised on a peer's
//! word (`docs/decisions/032-*`); whoever is refused is told why, and the log says so at a bounded
//! rate (F38); a peer that is refused, or is silent, disturbs no other connection.

mod conversation;
mod link;
mod strangers;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use holdfast_types::{Epoch, SessionId, VolumeId};
use holdfast_wire::{
    Frame, FrameType, Message, Refusal, SUPPORTED_VERSIONS, VersionRange, WireError,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::clock::Clock;
use super::complaints::Complaints;
use super::framed::{FrameReader, FrameWriter, StreamError, frames};
use super::local_store::LocalStore;
use crate::replication::About;
use crate::tls::{HandshakeError, Peer, Protection, ReadHalf, Stream, WriteHalf};
use conversation::Conversation;
use strangers::{Place, Strangers};

pub use link::ReplicaLink;

/// How long a connection may take to say hello.
const HELLO_WAIT: Duration = Duration::from_secs(5);

/// How long a refusal may take to be sent.
const REFUSAL_WAIT: Duration = Duration::from_secs(2);

/// A primary may be silent for so many times what a replica may: it sends a heartbeat each second,
/// and ends a session that stalls long before.
const IDLE_STALLS: u32 = 6;

/// The least of that: several heartbeats.
const IDLE_LEAST: Duration = Duration::from_secs(5);

/// How a connection ended.
enum Ended {
    /// By a refusal, which is still to be sent.
    Refused {
        /// For whom.
        about: About,
        /// Why.
        refusal: Refusal,
    },
    /// By itself.
    Lost(StreamError),
}

impl From<StreamError> for Ended {
    fn from(error: StreamError) -> Self {
        let refusal = match error {
            StreamError::Wire(WireError::Version { found, .. }) => Refusal::Version {
                offered: VersionRange {
                    min: found,
                    max: found,
                },
                supported: SUPPORTED_VERSIONS,
            },
            StreamError::Handshake(_) => return Self::Lost(error),
            StreamError::Wire(error) => Refusal::Malformed {
                detail: error.to_string(),
            },
            lost @ (StreamError::Io(_)
            | StreamError::Encode(_)
            | StreamError::Closed
            | StreamError::TimedOut { .. }) => return Self::Lost(lost),
        };
        Self::Refused {
            about: NOBODY,
            refusal,
        }
    }
}

/// Who a refusal is about when nobody said who they are.
const NOBODY: About = About {
    volume: VolumeId(uuid::Uuid::nil()),
    epoch: Epoch(0),
    session: SessionId(0),
};

/// The end of a connection that was closed inside a frame.
fn torn(about: About) -> Ended {
    let refusal = Refusal::Malformed {
        detail: "the stream ends inside a frame".into(),
    };
    Ended::Refused { about, refusal }
}

/// A refusal that is sent without a session, as it stands on the wire.
fn in_the_clear(refusal: Refusal) -> bytes::BytesMut {
    let mut bytes = bytes::BytesMut::new();
    if let Err(error) = holdfast_wire::encode(&NOBODY.with(Message::Refusal(refusal)), &mut bytes) {
        tracing::error!(%error, "a refusal is no frame");
        bytes.clear();
    }
    bytes
}

/// A connection that has said nothing yet.
struct Stranger {
    /// Who it is by its certificate.
    proven: Peer,
    /// By when it must have said hello.
    deadline: Instant,
    /// Its place among those that are served, given back when it is dropped.
    _place: Place,
}

/// What the server has of its node.
pub trait ReplicaHost: Send + Sync + 'static {
    /// The store of a volume, if it has one.
    fn store(&self, volume: VolumeId) -> Option<Arc<LocalStore>>;

    /// What it shows to others, and asks them to show.
    fn protection(&self) -> &Protection;

    /// Its clock.
    fn clock(&self) -> Clock;

    /// How long a peer that owes an answer may be silent.
    fn stall_timeout(&self) -> Duration;

    /// Whether the authority has minted an epoch; refused when it has not, as far as is known.
    fn confirm_minted(
        &self,
        volume: VolumeId,
        epoch: Epoch,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Ends a primary of an older epoch here, and resolves when it serves nobody any more.
    fn depose(&self, volume: VolumeId, epoch: Epoch) -> impl Future<Output = ()> + Send;

    /// Resolves when the node stops.
    fn stopping(&self) -> impl Future<Output = ()> + Send;
}

/// What the connections of a listener share.
struct Door<H> {
    node: Arc<H>,
    strangers: Arc<Strangers>,
    complaints: Complaints,
}

/// Accepts primaries until the node stops; returns when the last connection is gone.
pub async fn serve<H: ReplicaHost>(node: Arc<H>, listener: TcpListener) {
    let door = Arc::new(Door {
        node,
        strangers: Arc::default(),
        complaints: Complaints::default(),
    });
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = door.node.stopping() => return connections.shutdown().await,
        };
        match accepted {
            Ok((stream, peer)) => match door.strangers.enter(peer.ip()) {
                Ok(place) => {
                    let door = Arc::clone(&door);
                    connections.spawn(async move {
                        tokio::select! {
                            () = door.welcome(stream, peer, place) => {}
                            () = door.node.stopping() => {}
                        }
                    });
                }
                Err(limit) => door.turn_away(&stream, peer, limit),
            },
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

impl<H: ReplicaHost> Door<H> {
    /// Refuses a connection for which there is no place, without waiting for it.
    fn turn_away(&self, stream: &TcpStream, peer: SocketAddr, limit: usize) {
        let refusal = Refusal::TooMany {
            what: "connections that have not said hello".into(),
            limit: limit as u64,
        };
        self.complaints.note(peer.ip(), refusal.name(), &refusal);
        // A socket that was just opened takes so little at once, or it is no matter.
        let _ = stream.try_write(&in_the_clear(refusal));
    }

    async fn welcome(&self, socket: TcpStream, peer: SocketAddr, place: Place) {
        let deadline = Instant::now() + HELLO_WAIT;
        let taken = self.shake_hands(socket, deadline).await;
        let (stream, proven) = match taken {
            Ok(taken) => taken,
            Err(HandshakeError::Io(error)) => {
                return tracing::debug!(%peer, %error, "a connection was gone at once");
            }
            Err(error) => return self.complaints.note(peer.ip(), error.name(), &error),
        };
        let (reader, mut writer) = match frames(stream) {
            Ok(halves) => halves,
            Err(error) => return tracing::debug!(%peer, %error, "a connection was gone at once"),
        };
        let stranger = Stranger {
            proven,
            deadline,
            _place: place,
        };
        let mut reader = reader.beginning_with(FrameType::Hello);
        match self.converse(&mut reader, &mut writer, stranger).await {
            Ended::Refused { about, refusal } => {
                self.complaints.note(peer.ip(), refusal.name(), &refusal);
                let told = async {
                    writer.send(&about.with(Message::Refusal(refusal))).await?;
                    writer.flush().await
                };
                if !matches!(timeout(REFUSAL_WAIT, told).await, Ok(Ok(()))) {
                    tracing::debug!(%peer, "a peer did not hear why it was refused");
                }
            }
            Ended::Lost(StreamError::Closed) => {}
            Ended::Lost(error) => tracing::info!(%peer, %error, "a primary's connection ended"),
        }
    }

    /// Takes a connection under TLS, if this node has keys. Whoever speaks the wrong way is told so.
    async fn shake_hands(
        &self,
        socket: TcpStream,
        deadline: Instant,
    ) -> Result<(Stream, Peer), HandshakeError> {
        let protection = self.node.protection();
        let told = in_the_clear(match protection {
            Protection::None => Refusal::Malformed {
                detail: HandshakeError::TlsPeer.to_string(),
            },
            Protection::Mutual(_) => Refusal::Unproven,
        });
        protection.accept(socket, deadline, &told).await
    }

    /// How long a primary may be silent, or take nothing.
    fn idle(&self) -> Duration {
        (self.node.stall_timeout() * IDLE_STALLS).max(IDLE_LEAST)
    }

    /// From the hello to the end of its session. The place is given back once it is admitted.
    async fn converse(
        &self,
        reader: &mut FrameReader<ReadHalf>,
        writer: &mut FrameWriter<WriteHalf>,
        stranger: Stranger,
    ) -> Ended {
        let first = match timeout_at(stranger.deadline, reader.next()).await {
            Ok(Ok(first)) => first,
            Ok(Err(StreamError::Closed)) if reader.is_inside_a_frame() => return torn(NOBODY),
            Ok(Err(error)) => return error.into(),
            Err(_) => {
                let doing = "waiting for a hello";
                return StreamError::TimedOut { doing }.into();
            }
        };
        let about = About::of(&first);
        match self.let_in(&first, &stranger.proven).await {
            Ok(link) => {
                drop(stranger);
                let mut conversation = Conversation {
                    link,
                    own: about,
                    clock: self.node.clock(),
                    idle: self.idle(),
                    reader,
                    writer,
                };
                conversation.run(first).await
            }
            Err(refusal) => Ended::Refused { about, refusal },
        }
    }

    /// Everything that can be refused is, before anything is promised or anyone deposed.
    async fn let_in(&self, first: &Frame, proven: &Peer) -> Result<ReplicaLink, Refusal> {
        let Message::Hello(hello) = &first.message else {
            return Err(Refusal::OutOfTurn {
                found: "another frame".into(),
                expected: "a hello".into(),
            });
        };
        if !proven.may_be(&hello.primary) {
            return Err(Refusal::Impostor {
                claimed: hello.primary.clone(),
                certified: proven.to_string(),
            });
        }
        let about = About::of(first);
        let store = self.node.store(about.volume);
        let store = store.ok_or(Refusal::UnknownVolume)?;
        let promised = store.present().epoch;
        let now = self.node.clock().now();
        let link = ReplicaLink::new(store, about.volume, self.idle(), now);
        link.check_hello(about, hello)?;
        if about.epoch > promised || about.epoch == Epoch(0) {
            self.node.confirm_minted(about.volume, about.epoch).await?;
        }
        // A higher epoch deposes a primary before anything is promised to its successor.
        self.node.depose(about.volume, about.epoch).await;
        Ok(link)
    }
}
