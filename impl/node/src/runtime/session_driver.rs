//! The driver of one [`PrimarySession`]: its connection to the replica, and what it asks of its node.
//!
//! Everything that is decided is decided by the session or the engine; here it is only done, one
//! thing at a time, in the order in which the session says.
//!
//! Promises: the session goes on when a frame came, when something that it sees has moved, or when it
//! is time; a connection that ends, at whatever byte, ends it. Must never: hold anything back, which is
//! the host's, or go on by itself after the session's end.

use std::future::Future;
use std::time::Duration;

use holdfast_engine::{Command, PinRequest, Refusal};
use holdfast_types::{Endpoint, FencingToken, StoreId};
use holdfast_wire::{Frame, Message};
use tokio::time::timeout;

use super::framed::{FrameReader, FrameWriter, StreamError, frames};
use crate::replication::{
    ConnectionFault, Finding, Given, Note, PrimarySession, SessionError, Todo, View, Want,
};
use crate::tls::{ReadHalf, Stream, WriteHalf};

/// What a session has of the node that it runs on: its engine, its store, its clock.
pub trait SessionHost: Send {
    /// The time, on the clock that the session's bounds are of.
    fn now(&self) -> Duration;

    /// What the session sees. Whatever moves after this resolves the next [`SessionHost::roused`].
    fn view(&mut self) -> View;

    /// Resolves when something of the view has moved, and at `until` at the latest.
    fn roused(&mut self, until: Duration) -> impl Future<Output = ()> + Send;

    /// Tells the engine what was found: what it commands, and the pins that it asks for.
    fn tell(
        &mut self,
        finding: Finding,
    ) -> impl Future<Output = Result<(Command, Vec<PinRequest>), Refusal>> + Send;

    /// Has the store do something. It may block on the disk.
    fn give(&mut self, want: Want) -> Given;

    /// What the record says of the replica: its store, and whether it is in the in-sync set.
    fn recorded(&self) -> (Option<StoreId>, bool);

    /// Takes note of something.
    fn note(&mut self, note: Note);

    /// Connects to the replica; `None`: not by then.
    fn connect(
        &mut self,
        endpoint: Endpoint,
        until: Duration,
    ) -> impl Future<Output = Option<Result<Stream, StreamError>>> + Send;

    /// How long the replica may take nothing.
    fn stall_timeout(&self) -> Duration;
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

/// Never returned: a session ends by an error.
enum Never {}

const NO_CONNECTION: SessionError = SessionError::Malformed {
    what: "a frame without a connection",
};

/// A session, its connection and its host.
pub struct SessionDriver<H> {
    session: PrimarySession,
    host: H,
    link: Option<Link>,
}

impl<H: SessionHost> SessionDriver<H> {
    /// A session that was just begun, not connected yet.
    pub const fn new(session: PrimarySession, host: H) -> Self {
        Self {
            session,
            host,
            link: None,
        }
    }

    /// The session.
    pub const fn session(&self) -> &PrimarySession {
        &self.session
    }

    /// Carries the session out to its end; why it ended.
    pub async fn run(&mut self) -> SessionError {
        let Err(reason) = self.carry_out().await;
        reason
    }

    async fn carry_out(&mut self) -> Result<Never, SessionError> {
        loop {
            let view = self.host.view();
            match self.session.next(self.host.now(), view)? {
                Todo::Tell(finding) => {
                    let (command, pins) = self.host.tell(finding).await?;
                    self.session.commanded(self.host.now(), command, &pins)?;
                }
                Todo::Want(want) => {
                    let given = self.host.give(want);
                    self.session.given(self.host.now(), given)?;
                }
                Todo::ReadRecord => {
                    let (store, in_set) = self.host.recorded();
                    self.session.recorded(store, in_set)?;
                }
                Todo::Note(note) => self.host.note(note),
                Todo::Dial { endpoint, until } => self.dial(endpoint, until).await?,
                Todo::Send(message) => self.send(message).await?,
                Todo::Flush => self.link()?.flush().await?,
                Todo::Wait { until } => self.wait(until).await?,
            }
        }
    }

    fn link(&mut self) -> Result<&mut Link, SessionError> {
        self.link.as_mut().ok_or(NO_CONNECTION)
    }

    /// Connects, unless that takes too long, which the session then says itself.
    async fn dial(&mut self, endpoint: Endpoint, until: Duration) -> Result<(), SessionError> {
        let Some(connected) = self.host.connect(endpoint, until).await else {
            return Ok(());
        };
        let (reader, writer) = frames(connected?).map_err(StreamError::Io)?;
        self.link = Some(Link {
            reader,
            writer,
            wait: self.host.stall_timeout(),
        });
        self.session.connected()
    }

    async fn send(&mut self, message: Message) -> Result<(), SessionError> {
        let token: &FencingToken = self.session.token();
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
        let Some(link) = &mut self.link else {
            self.host.roused(until).await;
            return Ok(());
        };
        link.flush().await?;
        let frame = tokio::select! {
            biased;
            frame = link.reader.next() => frame?,
            () = self.host.roused(until) => return Ok(()),
        };
        let view = self.host.view();
        self.session.frame(self.host.now(), view, frame)
    }
}
