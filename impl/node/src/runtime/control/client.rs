//! Asking a node: one connection per request, so that nothing waits behind anything.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use holdfast_types::{Epoch, SessionId, VolumeId};
use holdfast_wire::{Frame, Message};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use uuid::Uuid;

use super::super::framed::{FrameReader, FrameWriter, StreamError};
use super::request::{ControlError, ControlReply, ControlRequest};

/// Where a node takes requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodePlace {
    /// Its control address.
    Tcp(SocketAddr),
    /// Its Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for NodePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// Asks one node.
#[derive(Clone, Debug)]
pub struct ControlClient {
    place: NodePlace,
    wait: Duration,
}

/// A control frame is about no volume and no session of the replication protocol.
pub(super) fn control_frame(message: Message) -> Frame {
    Frame {
        volume: VolumeId(Uuid::nil()),
        epoch: Epoch(0),
        session: SessionId(0),
        message,
    }
}

impl ControlClient {
    /// Asks the node there; an answer is awaited for at most `wait`.
    #[must_use]
    pub const fn new(place: NodePlace, wait: Duration) -> Self {
        Self { place, wait }
    }

    /// Asks the node at a control address.
    #[must_use]
    pub const fn tcp(address: SocketAddr, wait: Duration) -> Self {
        Self::new(NodePlace::Tcp(address), wait)
    }

    /// Where it asks.
    #[must_use]
    pub const fn place(&self) -> &NodePlace {
        &self.place
    }

    /// Asks, and takes a refusal for an error.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn ask(&self, request: &ControlRequest) -> Result<ControlReply, ControlError> {
        let unreachable = |error: StreamError| ControlError::Unreachable {
            place: self.place.to_string(),
            detail: error.to_string(),
        };
        let doing = "waiting for the answer";
        let answer = timeout(self.wait, self.exchange(request))
            .await
            .unwrap_or(Err(StreamError::TimedOut { doing }))
            .map_err(unreachable)?;
        match answer {
            ControlReply::Failed { reason } => Err(ControlError::Failed { reason }),
            ControlReply::AuthorityError { error } => Err(ControlError::Authority(error)),
            reply @ (ControlReply::Done
            | ControlReply::Node(_)
            | ControlReply::Store { .. }
            | ControlReply::Fenced { .. }
            | ControlReply::Recorded { .. }
            | ControlReply::Records { .. }
            | ControlReply::Promoted { .. }
            | ControlReply::Status(_)
            | ControlReply::Events { .. }
            | ControlReply::Lease(_)) => Ok(reply),
        }
    }

    /// The error for an answer to another question.
    #[must_use]
    pub fn unexpected(&self) -> ControlError {
        ControlError::Unexpected {
            place: self.place.to_string(),
        }
    }

    async fn exchange(&self, request: &ControlRequest) -> Result<ControlReply, StreamError> {
        match &self.place {
            NodePlace::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let (reader, writer) = stream.into_split();
                exchange_over(reader, writer, request).await
            }
            NodePlace::Unix(path) => {
                let (reader, writer) = UnixStream::connect(path).await?.into_split();
                exchange_over(reader, writer, request).await
            }
        }
    }
}

async fn exchange_over(
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin,
    request: &ControlRequest,
) -> Result<ControlReply, StreamError> {
    let invalid = |error: serde_json::Error| {
        StreamError::Io(std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    };
    let json = serde_json::to_vec(request).map_err(invalid)?;
    let mut writer = FrameWriter::new(writer);
    let frame = control_frame(Message::ControlRequest(json.into()));
    writer.send(&frame).await?;
    writer.flush().await?;
    let mut reader = FrameReader::new(reader);
    match reader.next().await?.message {
        Message::ControlReply(json) => serde_json::from_slice(&json).map_err(invalid),
        Message::Hello(_)
        | Message::HelloAck(_)
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
        | Message::Refusal(_)
        | Message::Heartbeat { .. }
        | Message::ControlRequest(_) => Err(StreamError::Closed),
    }
}
