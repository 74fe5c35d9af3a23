//! Frames over a byte stream (with TLS or without), and the connections that carry them between nodes.
//!
//! Promises: dropping a future of a reader or a writer loses nothing and repeats nothing, so that
//! whoever stops waiting may still say a last word; the memory of a connection is bounded by the cap
//! of one frame and the two buffers (F45).

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use holdfast_wire::{EncodeError, Frame, FrameDecoder, FrameType, WireError, encode};
use rustix::net::sockopt;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::tls::{HandshakeError, ReadHalf, Stream, WriteHalf, later_refusal};

/// Bytes collected before they are written unasked.
const WRITE_BUFFER: usize = 256 * 1024;

/// How long a connection may be quiet before the system asks whether the other side is still there,
/// how often it asks, and how many answers may be missing.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEPALIVE_MISSED: u32 = 3;

/// How long bytes that were sent may stay without acknowledgement.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(25);

/// Why a stream of frames ended.
#[derive(Debug, Error)]
pub enum StreamError {
    /// The connection failed.
    #[error("connection: {0}")]
    Io(#[source] io::Error),
    /// The other side is not who it should be, or does not take this one for it.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// What came is no frame.
    #[error("frame: {0}")]
    Wire(#[from] WireError),
    /// What was to be sent is no frame.
    #[error("message: {0}")]
    Encode(#[from] EncodeError),
    /// The other side closed the connection.
    #[error("the connection was closed")]
    Closed,
    /// The other side did not take, or give, anything in time.
    #[error("timed out {doing}")]
    TimedOut {
        /// What was being done.
        doing: &'static str,
    },
}

impl From<io::Error> for StreamError {
    /// Who shows a certificate hears only after the handshake that it is not taken.
    fn from(error: io::Error) -> Self {
        match later_refusal(&error) {
            Some(refused) => Self::Handshake(refused),
            None => Self::Io(error),
        }
    }
}

impl StreamError {
    /// A connection that did not come about.
    pub(crate) fn of_handshake(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Io(error) => Self::Io(error),
            HandshakeError::TimedOut => Self::TimedOut {
                doing: "shaking hands",
            },
            refused @ (HandshakeError::PlainPeer
            | HandshakeError::TlsPeer
            | HandshakeError::NoCertificate
            | HandshakeError::UnknownAuthority
            | HandshakeError::Expired
            | HandshakeError::NotYetValid
            | HandshakeError::OtherName { .. }
            | HandshakeError::Refused { .. }
            | HandshakeError::Tls { .. }) => Self::Handshake(refused),
        }
    }
}

/// The receiving half.
pub struct FrameReader<R> {
    stream: R,
    decoder: FrameDecoder,
}

/// The sending half, buffered: nothing is sent before [`FrameWriter::flush`] or a full buffer.
pub struct FrameWriter<W> {
    stream: W,
    buffer: BytesMut,
}

/// Splits a connection. Small frames go out at once (no Nagle), and the system notices by itself
/// that the host at the other end is gone.
pub(crate) fn frames(
    stream: Stream,
) -> io::Result<(FrameReader<ReadHalf>, FrameWriter<WriteHalf>)> {
    let socket = stream.socket();
    socket.set_nodelay(true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(socket, KEEPALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(socket, KEEPALIVE_MISSED)?;
    let unacknowledged = u32::try_from(UNACKNOWLEDGED_MAX.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(socket, unacknowledged)?;
    let (reader, writer) = stream.into_split();
    Ok((FrameReader::new(reader), FrameWriter::new(writer)))
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads frames from a stream.
    pub fn new(stream: R) -> Self {
        Self {
            stream,
            decoder: FrameDecoder::new(),
        }
    }

    /// The same reader, at the beginning of a stream that only a frame of this type may begin.
    #[must_use]
    pub fn beginning_with(self, frame_type: FrameType) -> Self {
        Self {
            decoder: FrameDecoder::beginning_with(frame_type),
            ..self
        }
    }

    /// Whether a part of a frame has come whose rest has not.
    #[must_use]
    pub fn is_inside_a_frame(&self) -> bool {
        self.decoder.is_inside_a_frame()
    }

    /// A frame that is here already, without waiting.
    ///
    /// # Errors
    /// [`StreamError`]; the connection is of no further use then.
    pub fn buffered(&mut self) -> Result<Option<Frame>, StreamError> {
        Ok(self.decoder.next_frame()?)
    }

    /// The next frame. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`StreamError`]; the connection is of no further use then.
    pub async fn next(&mut self) -> Result<Frame, StreamError> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return Ok(frame);
            }
            let buffer = self.decoder.buffer_mut();
            match self.stream.read_buf(buffer).await {
                Ok(0) => return Err(StreamError::Closed),
                Ok(_) => {}
                // Under TLS, a peer that went without a word: here as there nothing is taken for
                // whole that is not.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(StreamError::Closed);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// Writes frames to a stream.
    pub fn new(stream: W) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
        }
    }

    /// The stream; what was added and not written is lost.
    #[must_use]
    pub fn into_inner(self) -> W {
        self.stream
    }

    /// Adds a frame; writes when the buffer is full. The frame is added when the future is first
    /// polled, whether or not it ends.
    ///
    /// # Errors
    /// [`StreamError`].
    pub async fn send(&mut self, frame: &Frame) -> Result<(), StreamError> {
        encode(frame, &mut self.buffer)?;
        if self.buffer.len() >= WRITE_BUFFER {
            self.flush().await?;
        }
        Ok(())
    }

    /// Writes what was added. Dropping the future loses nothing and repeats nothing.
    ///
    /// # Errors
    /// [`StreamError`].
    pub async fn flush(&mut self) -> Result<(), StreamError> {
        while !self.buffer.is_empty() {
            match self.stream.write(&self.buffer).await? {
                0 => return Err(StreamError::Io(io::ErrorKind::WriteZero.into())),
                written => self.buffer.advance(written),
            }
        }
        // What was taken may still be on its way out, under TLS; without, this does nothing.
        self.stream.flush().await?;
        Ok(())
    }
}
