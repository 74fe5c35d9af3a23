//! Bytes to frames and back. No I/O: the caller feeds what it read and takes what is complete.

use bytes::{Buf, Bytes, BytesMut};
use holdfast_types::{Epoch, SessionId, VolumeId};

use crate::error::{EncodeError, WireError};
use crate::frame_type::FrameType;
use crate::header::{HEADER_LEN, Header};
use crate::message::Message;
use crate::payload;

/// One message with the authority under which it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The volume that it is about.
    pub volume: VolumeId,
    /// The epoch of its session.
    pub epoch: Epoch,
    /// The session.
    pub session: SessionId,
    /// The message.
    pub message: Message,
}

/// Appends a frame's bytes to `out`.
///
/// # Errors
/// [`EncodeError`] when the message passes a bound of its type; `out` is then as it was.
pub fn encode(frame: &Frame, out: &mut BytesMut) -> Result<(), EncodeError> {
    let start = out.len();
    let result = encode_at(frame, out, start);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn encode_at(frame: &Frame, out: &mut BytesMut, start: usize) -> Result<(), EncodeError> {
    let frame_type = frame.message.frame_type();
    out.resize(start + HEADER_LEN, 0);
    payload::encode(&frame.message, out)?;
    let length = out.len() - start - HEADER_LEN;
    let limit = frame_type.payload_limit();
    let payload_len = u32::try_from(length)
        .ok()
        .filter(|&len| len <= limit)
        .ok_or(EncodeError::TooLong {
            frame_type,
            length,
            limit,
        })?;
    let header = Header {
        frame_type,
        volume: frame.volume,
        epoch: frame.epoch,
        session: frame.session,
        payload_len,
        payload_crc: crc32c::crc32c(&out[start + HEADER_LEN..]),
    };
    let mut bytes = BytesMut::with_capacity(HEADER_LEN);
    header.encode(&mut bytes);
    out[start..start + HEADER_LEN].copy_from_slice(&bytes);
    Ok(())
}

/// Takes bytes in pieces of any size and gives back frames. After an error it stays in error: a
/// stream whose frame boundary is lost is closed, not searched.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    buffer: BytesMut,
    header: Option<Header>,
    /// The only type that may come next, where that is known: before a peer has said who it is, it
    /// makes this side hold no more than that type's cap.
    awaited_first: Option<FrameType>,
    failed: Option<WireError>,
}

impl FrameDecoder {
    /// A decoder at the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder at the beginning of a stream that only a frame of this type may begin; any other is
    /// refused by its header alone.
    #[must_use]
    pub fn beginning_with(frame_type: FrameType) -> Self {
        Self {
            awaited_first: Some(frame_type),
            ..Self::default()
        }
    }

    /// Adds bytes that were received.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether a part of a frame has come whose rest has not.
    #[must_use]
    pub fn is_inside_a_frame(&self) -> bool {
        self.header.is_some() || !self.buffer.is_empty()
    }

    /// The buffer that a reader may fill directly, with room for what is awaited: the rest of the
    /// present frame, whose length was checked, or a header and a little more.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        const READ_AHEAD: usize = 16 * 1024;
        let awaited = match &self.header {
            Some(header) => header.payload_len as usize,
            None => HEADER_LEN,
        };
        let missing = awaited.saturating_sub(self.buffer.len());
        self.buffer.reserve(missing.max(READ_AHEAD));
        &mut self.buffer
    }

    /// The next complete frame, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`WireError`] when the bytes are no frame; the same error from then on.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, WireError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = self.advance();
        if let Err(error) = &result {
            self.failed = Some(error.clone());
            self.buffer.clear();
        }
        result
    }

    fn advance(&mut self) -> Result<Option<Frame>, WireError> {
        let header = match self.header {
            Some(header) => header,
            None => {
                let Some(bytes) = self.buffer.first_chunk::<HEADER_LEN>() else {
                    return Ok(None);
                };
                let header = Header::decode(bytes)?;
                match self.awaited_first.take() {
                    Some(expected) if expected != header.frame_type => {
                        return Err(WireError::NotFirst {
                            found: header.frame_type,
                            expected,
                        });
                    }
                    Some(_) | None => {}
                }
                self.buffer.advance(HEADER_LEN);
                self.header = Some(header);
                header
            }
        };
        let payload_len = header.payload_len as usize;
        if self.buffer.len() < payload_len {
            return Ok(None);
        }
        self.header = None;
        let payload = self.buffer.split_to(payload_len).freeze();
        decode_payload(&header, payload).map(Some)
    }
}

fn decode_payload(header: &Header, payload: Bytes) -> Result<Frame, WireError> {
    let computed = crc32c::crc32c(&payload);
    if computed != header.payload_crc {
        return Err(WireError::PayloadChecksum {
            frame_type: header.frame_type,
            found: header.payload_crc,
            computed,
        });
    }
    Ok(Frame {
        volume: header.volume,
        epoch: header.epoch,
        session: header.session,
        message: payload::decode(header.frame_type, payload)?,
    })
}
