//! One client's connection: drives the two state machines, hands requests to the device, writes
//! replies in the order in which the device finishes.
//!
//! Everything happens in one task. Requests in flight are futures inside it, not tasks of their
//! own, so ending the task ends them: that is how a withdrawn export abandons what was in flight.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::BytesMut;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tracing::warn;

use super::alignment::Aligned;
use super::export::{Export, ExportError};
use super::limits::Limits;
use super::negotiation::{Catalogue, Chosen, Negotiation, NegotiationEnd, NegotiationStep};
use super::proto::errno;
use super::replies::{BufferPool, ReadBuffer, Reply, ReplyQueue};
use super::transmission::{
    Action, Cost, Handle, Request, Transmission, TransmissionStep, Violation,
};

/// Bytes asked of the socket at once when nothing larger is awaited.
const RECEIVE_CHUNK: usize = 128 << 10;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionEnd {
    #[error("{0}")]
    Negotiation(#[from] NegotiationEnd),
    #[error("the client broke the protocol: {0}")]
    Violation(#[from] Violation),
    #[error("the client disconnected")]
    Disconnected,
    #[error("the client hung up")]
    HungUp,
    #[error("socket: {0}")]
    Socket(#[from] std::io::Error),
}

/// Talks the client through the handshake. What is left in `input` belongs to the transmission.
pub(super) async fn negotiate<S>(
    socket: &mut S,
    input: &mut BytesMut,
    exports: &impl Catalogue,
) -> Result<Chosen, ConnectionEnd>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut negotiation = Negotiation::new();
    loop {
        match negotiation.step(input, exports) {
            NegotiationStep::Send(bytes) => socket.write_all(&bytes).await?,
            NegotiationStep::NeedInput(count) => {
                input.reserve(count);
                if socket.read_buf(input).await? == 0 {
                    return Err(ConnectionEnd::HungUp);
                }
            }
            NegotiationStep::Chosen(chosen) => return Ok(chosen),
            NegotiationStep::End(end) => return Err(end.into()),
        }
    }
}

/// A request that the device has answered.
struct Finished {
    handle: Handle,
    outcome: Result<(), ExportError>,
    buffer: Option<ReadBuffer>,
    cost: Cost,
}

/// Carries one request to the device. `buffer` is there for a read.
async fn perform<E: Export>(
    device: Arc<Aligned<E>>,
    request: Request,
    mut buffer: Option<ReadBuffer>,
) -> Finished {
    let outcome = match request.action {
        Action::Read { offset, .. } => {
            let bytes = buffer.as_mut().map_or(&mut [][..], ReadBuffer::bytes_mut);
            device.read(offset, bytes).await
        }
        Action::Write { offset, data, fua } => device.write(offset, data, fua).await,
        Action::Flush => device.flush().await,
        Action::Trim {
            offset,
            length,
            fua,
        } => device.trim(offset, length, fua).await,
        Action::WriteZeroes {
            offset,
            length,
            space,
            fua,
        } => device.write_zeroes(offset, length, space, fua).await,
    };
    Finished {
        handle: request.handle,
        outcome,
        buffer,
        cost: request.cost,
    }
}

/// What the transmission waits for besides the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intake {
    /// So many bytes more from the client.
    Bytes(usize),
    /// A reply to leave, before anything more is taken in.
    Room,
    /// Nothing: the client has said its last word. `None` when it said goodbye.
    Closed(Option<Violation>),
}

/// Serves requests until the client leaves.
pub(super) async fn transmit<E, R, W>(
    reader: &mut R,
    writer: &mut W,
    mut input: BytesMut,
    device: Arc<Aligned<E>>,
    chosen: &Chosen,
    limits: Limits,
) -> ConnectionEnd
where
    E: Export,
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut transmission = Transmission::new(chosen, limits);
    let mut pool = BufferPool::default();
    let mut replies = ReplyQueue::default();
    let mut in_flight = FuturesUnordered::new();
    loop {
        let intake = loop {
            match transmission.step(&mut input) {
                TransmissionStep::Request(request) => {
                    let buffer = match request.action {
                        Action::Read { length, .. } => Some(pool.take(length)),
                        Action::Write { .. }
                        | Action::Flush
                        | Action::Trim { .. }
                        | Action::WriteZeroes { .. } => None,
                    };
                    in_flight.push(perform(device.clone(), request, buffer));
                }
                TransmissionStep::Refuse(refusal) => replies.push(Reply::new(
                    refusal.handle,
                    refusal.errno,
                    None,
                    refusal.cost,
                )),
                TransmissionStep::NeedInput(count) => break Intake::Bytes(count),
                TransmissionStep::Saturated => break Intake::Room,
                TransmissionStep::Disconnect => break Intake::Closed(None),
                TransmissionStep::Violation(violation) => break Intake::Closed(Some(violation)),
            }
        };
        // Whatever is ready leaves in one system call.
        poll_fn(|cx| {
            while let Poll::Ready(Some(finished)) = in_flight.poll_next_unpin(cx) {
                replies.push(reply_to(&chosen.name, &mut pool, finished));
            }
            Poll::Ready(())
        })
        .await;
        if let Intake::Closed(violation) = intake
            && in_flight.is_empty()
            && replies.is_empty()
        {
            return violation.map_or(ConnectionEnd::Disconnected, ConnectionEnd::Violation);
        }
        if let Intake::Bytes(count) = intake {
            let more = if transmission.receives_apart() {
                count
            } else {
                count.max(RECEIVE_CHUNK)
            };
            input.reserve(more);
        }
        let mut slices = ReplyQueue::room();
        tokio::select! {
            biased;
            written = writer.write_vectored(replies.slices(&mut slices)), if !replies.is_empty() => {
                match written {
                    Ok(0) => return ConnectionEnd::HungUp,
                    Ok(count) => replies.advance(count, |cost, buffer| {
                        transmission.release(cost);
                        if let Some(buffer) = buffer {
                            pool.give_back(buffer);
                        }
                    }),
                    Err(error) => return error.into(),
                }
            }
            Some(finished) = in_flight.next(), if !in_flight.is_empty() => {
                replies.push(reply_to(&chosen.name, &mut pool, finished));
            }
            received = reader.read_buf(&mut input), if matches!(intake, Intake::Bytes(_)) => {
                match received {
                    Ok(0) => return ConnectionEnd::HungUp,
                    Ok(_) => {}
                    Err(error) => return error.into(),
                }
            }
        }
    }
}

/// The reply to a finished request; failures are told to the log as well.
fn reply_to(export: &str, pool: &mut BufferPool, finished: Finished) -> Reply {
    match finished.outcome {
        Ok(()) => Reply::new(finished.handle, errno::OK, finished.buffer, finished.cost),
        Err(error) => {
            warn!(export, %error, "request failed");
            if let Some(buffer) = finished.buffer {
                pool.give_back(buffer);
            }
            Reply::new(finished.handle, error.errno(), None, finished.cost)
        }
    }
}
