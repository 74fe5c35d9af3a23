//! Frames over a byte stream.

use std::io;

use bytes::BytesMut;
use holdfast_wire::{EncodeError, Frame, FrameDecoder, WireError, encode};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Bytes collected before they are written unasked.
const WRITE_BUFFER: usize = 256 * 1024;

/// Why a stream of frames ended.
#[derive(Debug, Error)]
pub enum StreamError {
    /// The connection failed.
    #[error("connection: {0}")]
    Io(#[from] io::Error),
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

/// Splits a connection; small frames go out at once (no Nagle).
pub(crate) fn frames(
    stream: TcpStream,
) -> io::Result<(FrameReader<OwnedReadHalf>, FrameWriter<OwnedWriteHalf>)> {
    stream.set_nodelay(true)?;
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
            if self.stream.read_buf(buffer).await? == 0 {
                return Err(StreamError::Closed);
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

    /// Adds a frame; writes when the buffer is full.
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

    /// Writes what was added.
    ///
    /// # Errors
    /// [`StreamError`].
    pub async fn flush(&mut self) -> Result<(), StreamError> {
        if !self.buffer.is_empty() {
            self.stream.write_all(&self.buffer).await?;
            self.buffer.clear();
        }
        Ok(())
    }
}
