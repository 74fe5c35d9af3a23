//! Asking a node: one connection per request, so that nothing waits behind anything.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::problem::Problem;
use super::request::{ControlError, ControlReply, ControlRequest};
use super::route::{Call, REPLY_MAX};
use crate::tls::{Expected, HandshakeError, Protection, later_refusal};

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
    protection: Protection,
    expected: Expected,
}

/// Why there was no answer.
#[derive(Debug, Error)]
enum ExchangeError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("{}", of_http(.0))]
    Http(#[from] hyper::Error),
    #[error("the request cannot be put: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("not what the API says: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the answer: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("timed out waiting for the answer")]
    TimedOut,
}

impl ControlClient {
    /// Asks the node there; an answer is awaited for at most `wait`.
    #[must_use]
    pub const fn new(place: NodePlace, wait: Duration) -> Self {
        Self {
            place,
            wait,
            protection: Protection::None,
            expected: Expected::AnyNode,
        }
    }

    /// The same with these keys, where it asks over TCP; whoever answers must be `expected`.
    #[must_use]
    pub fn under(self, protection: &Protection, expected: Expected) -> Self {
        Self {
            protection: protection.clone(),
            expected,
            ..self
        }
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
        let answer = timeout(self.wait, self.exchange(request))
            .await
            .unwrap_or(Err(ExchangeError::TimedOut))
            .map_err(|error| ControlError::Unreachable {
                place: self.place.to_string(),
                detail: error.to_string(),
            })?;
        match answer {
            ControlReply::Failed { problem } => Err(ControlError::Failed { problem }),
            ControlReply::AuthorityError { error } => Err(ControlError::Authority(error)),
            reply @ (ControlReply::Done
            | ControlReply::Node(_)
            | ControlReply::Store { .. }
            | ControlReply::Fenced { .. }
            | ControlReply::Recorded { .. }
            | ControlReply::Records { .. }
            | ControlReply::Ordered(_)
            | ControlReply::Copy(_)
            | ControlReply::Plan(_)
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

    async fn exchange(&self, request: &ControlRequest) -> Result<ControlReply, ExchangeError> {
        let route = request.route();
        let call = route.call?;
        let (status, body) = match &self.place {
            NodePlace::Tcp(address) => {
                let stream = self.protection.connect(*address, &self.expected).await?;
                send(stream, &address.to_string(), call).await?
            }
            NodePlace::Unix(path) => {
                let stream = UnixStream::connect(path).await?;
                send(stream, "localhost", call).await?
            }
        };
        if status.is_success() {
            return Ok((route.read)(&body)?);
        }
        let problem: Problem = serde_json::from_slice(&body)?;
        Ok(ControlReply::Failed { problem })
    }
}

/// A certificate that is not taken is heard of only after the handshake.
fn of_http(error: &hyper::Error) -> String {
    let below = std::error::Error::source(error).and_then(<dyn std::error::Error>::downcast_ref);
    match below.and_then(later_refusal) {
        Some(refused) => refused.to_string(),
        None => error.to_string(),
    }
}

/// Sends one call over a fresh connection.
async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: &str,
    call: Call,
) -> Result<(StatusCode, Bytes), ExchangeError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with this call, on every way out.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let method = if call.changes {
        Method::POST
    } else {
        Method::GET
    };
    let request = Request::builder()
        .method(method)
        .uri(call.path)
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .body(Full::new(Bytes::from(call.body)))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), REPLY_MAX);
    let body = body.collect().await.map_err(ExchangeError::Body)?;
    Ok((status, body.to_bytes()))
}
