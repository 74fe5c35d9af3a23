//! The payload of each type, both ways. One file per group of messages.

mod append;
mod handshake;
mod rebuild;
mod refusal;

use bytes::{BufMut, Bytes, BytesMut};

use crate::error::{EncodeError, WireError};
use crate::fields::Fields;
use crate::frame_type::FrameType;
use crate::message::Message;

/// Appends the payload of a message.
pub(crate) fn encode(message: &Message, out: &mut BytesMut) -> Result<(), EncodeError> {
    match message {
        Message::Hello(hello) => handshake::encode_hello(hello, out),
        Message::HelloAck(ack) => handshake::encode_hello_ack(ack, out)?,
        Message::Append(batch) => append::encode(batch, out)?,
        Message::Received { lsn } | Message::Barrier { lsn } => out.put_u64_le(lsn.0),
        Message::BarrierAck { asked, durable } => {
            out.put_u64_le(asked.0);
            out.put_u64_le(durable.0);
        }
        Message::Truncate { to } | Message::Truncated { to } => out.put_u64_le(to.0),
        Message::RebuildBegin(begin) => rebuild::encode_begin(begin, out),
        Message::RebuildReady => {}
        Message::RebuildChunk(chunk) => rebuild::encode_chunk(chunk, out)?,
        Message::RebuildProgress { next_block } => out.put_u64_le(*next_block),
        Message::Manifest(manifest) => rebuild::encode_manifest(manifest, out)?,
        Message::BaseInstalled(installed) => rebuild::encode_installed(installed, out),
        Message::Refusal(refusal) => refusal::encode(refusal, out),
        Message::Heartbeat { committed } => out.put_u64_le(committed.0),
        Message::ControlRequest(json) | Message::ControlReply(json) => out.put_slice(json),
    }
    Ok(())
}

/// Reads the payload of a frame; every byte of it must be accounted for.
pub(crate) fn decode(frame_type: FrameType, payload: Bytes) -> Result<Message, WireError> {
    let mut fields = Fields::new(payload);
    let message = match frame_type {
        FrameType::Hello => Message::Hello(handshake::decode_hello(&mut fields)?),
        FrameType::HelloAck => {
            Message::HelloAck(Box::new(handshake::decode_hello_ack(&mut fields)?))
        }
        FrameType::Append => Message::Append(append::decode(&mut fields)?),
        FrameType::Received => Message::Received {
            lsn: fields.lsn("received")?,
        },
        FrameType::Barrier => Message::Barrier {
            lsn: fields.lsn("barrier")?,
        },
        FrameType::BarrierAck => Message::BarrierAck {
            asked: fields.lsn("asked")?,
            durable: fields.lsn("durable")?,
        },
        FrameType::Truncate => Message::Truncate {
            to: fields.lsn("truncate")?,
        },
        FrameType::Truncated => Message::Truncated {
            to: fields.lsn("truncated")?,
        },
        FrameType::RebuildBegin => Message::RebuildBegin(rebuild::decode_begin(&mut fields)?),
        FrameType::RebuildReady => Message::RebuildReady,
        FrameType::RebuildChunk => Message::RebuildChunk(rebuild::decode_chunk(&mut fields)?),
        FrameType::RebuildProgress => Message::RebuildProgress {
            next_block: fields.u64("next block")?,
        },
        FrameType::Manifest => Message::Manifest(Box::new(rebuild::decode_manifest(&mut fields)?)),
        FrameType::BaseInstalled => Message::BaseInstalled(rebuild::decode_installed(&mut fields)?),
        FrameType::Refusal => Message::Refusal(refusal::decode(&mut fields)?),
        FrameType::Heartbeat => Message::Heartbeat {
            committed: fields.lsn("committed")?,
        },
        FrameType::ControlRequest => return Ok(Message::ControlRequest(fields.rest())),
        FrameType::ControlReply => return Ok(Message::ControlReply(fields.rest())),
    };
    fields.end()?;
    Ok(message)
}
