//! A small NBD client, for the demo and for tests.
//!
//! One [`Client`] is one connection. Its methods take `&self` and can run concurrently; replies
//! are matched to requests by handle. Dropping a method's future abandons the answer, not the
//! request. When the connection breaks every call fails with [`ClientError::Disconnected`];
//! connecting anew is the caller's matter, who alone knows what was acknowledged.

mod handshake;
mod pipeline;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub(crate) use pipeline::{Load, Pipeline};

use super::export::ExportInfo;
use super::proto::{
    MAX_PAYLOAD, REQUEST_HEADER_LEN, REQUEST_MAGIC, SIMPLE_REPLY_LEN, SIMPLE_REPLY_MAGIC, command,
    command_flags, errno,
};

/// Requests handed to the sending task and not yet on the wire.
const SEND_QUEUE: usize = 64;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server cannot be reached, or the connection broke during the handshake.
    #[error("cannot talk to the NBD server: {0}")]
    Io(#[from] io::Error),
    /// The server refused the export; it says why.
    #[error("the server refused export {export:?} (reply {reply:#x}): {message}")]
    Refused {
        /// The export asked for.
        export: String,
        /// `NBD_REP_ERR_...`
        reply: u32,
        /// The server's words.
        message: String,
    },
    /// The server does not speak the protocol, or not a part of it that this client needs.
    #[error("unexpected words from the NBD server: {0}")]
    Protocol(String),
    /// The server answered the request with an error value.
    #[error("the server answered {} ({errno})", errno::name(*.errno))]
    Answered {
        /// The NBD error value.
        errno: u32,
    },
    /// The connection is gone. Whether the request took effect is unknown.
    #[error("the connection to the NBD server is gone")]
    Disconnected,
    /// More than one request can carry.
    #[error("one request carries at most {MAX_PAYLOAD} bytes, this one {length}")]
    TooLong {
        /// Bytes asked for.
        length: u64,
    },
}

/// A request waiting for its reply.
struct Pending {
    /// Bytes that follow a good reply.
    reads: usize,
    answer: oneshot::Sender<Result<Vec<u8>, ClientError>>,
}

/// Requests by handle. `None` once the connection is gone.
type PendingRequests = Arc<Mutex<Option<HashMap<u64, Pending>>>>;

/// One connection to one export.
#[derive(Debug)]
pub struct Client {
    info: ExportInfo,
    next_handle: AtomicU64,
    pending: PendingRequests,
    send: mpsc::Sender<(Bytes, Bytes)>,
    sender: JoinHandle<()>,
    receiver: JoinHandle<()>,
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pending({} bytes)", self.reads)
    }
}

/// What a request is about, besides its payload.
#[derive(Clone, Copy)]
struct Ask {
    command: u16,
    flags: u16,
    offset: u64,
    length: u32,
}

impl Client {
    /// Attaches to an export over TCP. The empty name asks for the default export.
    ///
    /// # Errors
    /// [`ClientError::Io`], [`ClientError::Refused`], [`ClientError::Protocol`].
    pub async fn connect_tcp(address: SocketAddr, export: &str) -> Result<Self, ClientError> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Self::attach(socket, export).await
    }

    /// Attaches to an export over a Unix socket.
    ///
    /// # Errors
    /// As [`Client::connect_tcp`].
    pub async fn connect_unix(path: &Path, export: &str) -> Result<Self, ClientError> {
        Self::attach(UnixStream::connect(path).await?, export).await
    }

    async fn attach<S>(mut socket: S, export: &str) -> Result<Self, ClientError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let info = handshake::go(&mut socket, export).await?;
        let (reader, writer) = tokio::io::split(socket);
        let pending: PendingRequests = Arc::new(Mutex::new(Some(HashMap::new())));
        let (send, to_send) = mpsc::channel(SEND_QUEUE);
        Ok(Self {
            info,
            next_handle: AtomicU64::new(1),
            send,
            sender: tokio::spawn(send_requests(writer, to_send)),
            receiver: tokio::spawn(receive_replies(reader, pending.clone())),
            pending,
        })
    }

    /// What the server said of the export.
    #[must_use]
    pub const fn info(&self) -> ExportInfo {
        self.info
    }

    /// The `length` bytes from `offset` on.
    ///
    /// # Errors
    /// [`ClientError::TooLong`], [`ClientError::Answered`], [`ClientError::Disconnected`].
    pub async fn read(&self, offset: u64, length: u32) -> Result<Vec<u8>, ClientError> {
        if length > MAX_PAYLOAD {
            return Err(ClientError::TooLong {
                length: u64::from(length),
            });
        }
        self.ask(command::READ, 0, offset, length, Bytes::new())
            .await
    }

    /// Replaces the bytes from `offset` on. Acknowledged is not yet durable.
    ///
    /// # Errors
    /// As [`Client::read`].
    pub async fn write(&self, offset: u64, data: Bytes) -> Result<(), ClientError> {
        self.write_with(offset, data, 0).await
    }

    /// Replaces the bytes from `offset` on, durably.
    ///
    /// # Errors
    /// As [`Client::read`].
    pub async fn write_fua(&self, offset: u64, data: Bytes) -> Result<(), ClientError> {
        self.write_with(offset, data, command_flags::FUA).await
    }

    async fn write_with(&self, offset: u64, data: Bytes, flags: u16) -> Result<(), ClientError> {
        let length = u32::try_from(data.len())
            .ok()
            .filter(|length| *length <= MAX_PAYLOAD)
            .ok_or(ClientError::TooLong {
                length: data.len() as u64,
            })?;
        self.ask(command::WRITE, flags, offset, length, data)
            .await
            .map(drop)
    }

    /// Makes every write acknowledged before this call durable.
    ///
    /// # Errors
    /// [`ClientError::Answered`], [`ClientError::Disconnected`].
    pub async fn flush(&self) -> Result<(), ClientError> {
        self.ask(command::FLUSH, 0, 0, 0, Bytes::new())
            .await
            .map(drop)
    }

    /// Gives a range back.
    ///
    /// # Errors
    /// As [`Client::flush`].
    pub async fn trim(&self, offset: u64, length: u32) -> Result<(), ClientError> {
        self.ask(command::TRIM, 0, offset, length, Bytes::new())
            .await
            .map(drop)
    }

    /// Replaces a range by zeroes.
    ///
    /// # Errors
    /// As [`Client::flush`].
    pub async fn write_zeroes(&self, offset: u64, length: u32) -> Result<(), ClientError> {
        self.ask(command::WRITE_ZEROES, 0, offset, length, Bytes::new())
            .await
            .map(drop)
    }

    /// Says goodbye, so that the server finishes what is in flight, and waits for it to hang up.
    pub async fn disconnect(mut self) {
        let ask = Ask {
            command: command::DISC,
            flags: 0,
            offset: 0,
            length: 0,
        };
        if self.send.send((header(ask, 0), Bytes::new())).await.is_ok() {
            // Ends when the server closes; an error would mean that it ended already.
            let _ = (&mut self.receiver).await;
        }
    }

    async fn ask(
        &self,
        command: u16,
        flags: u16,
        offset: u64,
        length: u32,
        payload: Bytes,
    ) -> Result<Vec<u8>, ClientError> {
        let handle = self.next_handle.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        let reads = if command == command::READ {
            length as usize
        } else {
            0
        };
        // A place in the queue first: whoever is registered is certain to be sent.
        let place = self
            .send
            .reserve()
            .await
            .map_err(|_| ClientError::Disconnected)?;
        lock(&self.pending)
            .as_mut()
            .ok_or(ClientError::Disconnected)?
            .insert(handle, Pending { reads, answer });
        let ask = Ask {
            command,
            flags,
            offset,
            length,
        };
        place.send((header(ask, handle), payload));
        answered.await.map_err(|_| ClientError::Disconnected)?
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.sender.abort();
        self.receiver.abort();
    }
}

fn lock(pending: &PendingRequests) -> std::sync::MutexGuard<'_, Option<HashMap<u64, Pending>>> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

fn header(ask: Ask, handle: u64) -> Bytes {
    let mut out = BytesMut::with_capacity(REQUEST_HEADER_LEN);
    out.put_u32(REQUEST_MAGIC);
    out.put_u16(ask.flags);
    out.put_u16(ask.command);
    out.put_u64(handle);
    out.put_u64(ask.offset);
    out.put_u32(ask.length);
    out.freeze()
}

async fn send_requests(
    mut writer: impl AsyncWrite + Unpin,
    mut requests: mpsc::Receiver<(Bytes, Bytes)>,
) {
    while let Some((header, payload)) = requests.recv().await {
        let mut frame = bytes::Buf::chain(header, payload);
        if writer.write_all_buf(&mut frame).await.is_err() {
            // The receiving task sees the broken connection and tells everyone.
            return;
        }
    }
}

async fn receive_replies(mut reader: impl AsyncRead + Unpin, pending: PendingRequests) {
    let failure = loop {
        if let Err(error) = receive_reply(&mut reader, &pending).await {
            break error;
        }
    };
    tracing::debug!(%failure, "NBD connection ended");
    // Dropping the senders answers everyone with `Disconnected`.
    lock(&pending).take();
}

async fn receive_reply(
    reader: &mut (impl AsyncRead + Unpin),
    pending: &PendingRequests,
) -> Result<(), ClientError> {
    let mut head = [0; SIMPLE_REPLY_LEN];
    reader.read_exact(&mut head).await?;
    let mut fields = &head[..];
    let magic = bytes::Buf::get_u32(&mut fields);
    let errno = bytes::Buf::get_u32(&mut fields);
    let handle = bytes::Buf::get_u64(&mut fields);
    if magic != SIMPLE_REPLY_MAGIC {
        return Err(ClientError::Protocol(format!("reply magic {magic:#x}")));
    }
    let request = lock(pending)
        .as_mut()
        .and_then(|requests| requests.remove(&handle))
        .ok_or_else(|| ClientError::Protocol(format!("reply to unknown handle {handle}")))?;
    let answer = if errno == errno::OK {
        let mut data = vec![0; request.reads];
        reader.read_exact(&mut data).await?;
        Ok(data)
    } else {
        Err(ClientError::Answered { errno })
    };
    // Nobody listens any more when the caller gave up.
    let _ = request.answer.send(answer);
    Ok(())
}
