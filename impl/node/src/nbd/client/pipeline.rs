//! A client that costs little, for measuring servers: one thread, one blocking socket, so many
//! requests in flight, and what is read is thrown away.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use bytes::{Buf, BufMut};

use super::super::proto::{
    REQUEST_HEADER_LEN, REQUEST_MAGIC, SIMPLE_REPLY_LEN, SIMPLE_REPLY_MAGIC, command, errno,
};
use super::{ClientError, handshake};

/// Bytes received at once.
const RECEIVE_BYTES: usize = 256 << 10;

/// Payloads from this size on are sent from where they are; smaller ones leave together.
const SEND_DIRECTLY: usize = 16 << 10;

/// One request. Offsets and lengths are bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load<'a> {
    /// Read, and throw away.
    Read { offset: u64, length: u32 },
    /// Write.
    Write { offset: u64, data: &'a [u8] },
    /// Flush.
    Flush,
}

/// One connection to one export over a Unix socket.
#[derive(Debug)]
pub(crate) struct Pipeline {
    socket: UnixStream,
    sent: u32,
    out: Vec<u8>,
    received: Vec<u8>,
    /// Bytes at the front of `received` that are not yet looked at: less than a reply's header.
    kept: usize,
    /// Bytes of payload still to be thrown away.
    skip: usize,
}

impl Pipeline {
    /// Attaches to an export.
    ///
    /// # Errors
    /// [`ClientError::Io`], [`ClientError::Refused`], [`ClientError::Protocol`].
    pub(crate) fn connect(path: &Path, export: &str) -> Result<Self, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let socket = runtime.block_on(async {
            let mut socket = tokio::net::UnixStream::connect(path).await?;
            handshake::go(&mut socket, export).await?;
            socket.into_std().map_err(ClientError::Io)
        })?;
        socket.set_nonblocking(false)?;
        Ok(Self {
            socket,
            sent: 0,
            out: Vec::new(),
            received: vec![0; RECEIVE_BYTES],
            kept: 0,
            skip: 0,
        })
    }

    /// Keeps up to `depth` requests in flight until `next` has no more; returns how many were
    /// answered, all of them well.
    ///
    /// # Errors
    /// When a request is answered with an error, or the connection breaks.
    pub(crate) fn run<'a>(
        &mut self,
        depth: usize,
        mut next: impl FnMut() -> Option<Load<'a>>,
    ) -> Result<u64, ClientError> {
        let mut in_flight = 0;
        let mut answered = 0;
        let mut more = true;
        loop {
            while more && in_flight < depth {
                match next() {
                    Some(load) => {
                        self.push(load)?;
                        in_flight += 1;
                    }
                    None => more = false,
                }
            }
            self.socket.write_all(&self.out)?;
            self.out.clear();
            if in_flight == 0 {
                return Ok(answered);
            }
            let finished = self.receive()?;
            in_flight -= finished;
            answered += finished as u64;
        }
    }

    fn push(&mut self, load: Load<'_>) -> Result<(), ClientError> {
        let (command, offset, length, data) = match load {
            Load::Read { offset, length } => (command::READ, offset, length, &[][..]),
            Load::Write { offset, data } => (command::WRITE, offset, data.len() as u32, data),
            Load::Flush => (command::FLUSH, 0, 0, &[][..]),
        };
        let reads = if command == command::READ { length } else { 0 };
        self.sent = self.sent.wrapping_add(1);
        self.out.reserve(REQUEST_HEADER_LEN);
        self.out.put_u32(REQUEST_MAGIC);
        self.out.put_u16(0);
        self.out.put_u16(command);
        // The handle says how much follows its reply, so that nothing need be remembered.
        self.out.put_u32(self.sent);
        self.out.put_u32(reads);
        self.out.put_u64(offset);
        self.out.put_u32(length);
        if data.len() < SEND_DIRECTLY {
            self.out.extend_from_slice(data);
        } else {
            self.socket.write_all(&self.out)?;
            self.out.clear();
            self.socket.write_all(data)?;
        }
        Ok(())
    }

    /// Receives something; returns how many replies are complete now.
    fn receive(&mut self) -> Result<usize, ClientError> {
        let count = self.socket.read(&mut self.received[self.kept..])?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let end = self.kept + count;
        let mut at = 0;
        let mut complete = 0;
        loop {
            let skipped = self.skip.min(end - at);
            at += skipped;
            self.skip -= skipped;
            // The last byte of a reply completes it, be it of the header or of the data.
            if skipped > 0 && self.skip == 0 {
                complete += 1;
            }
            if self.skip > 0 || end - at < SIMPLE_REPLY_LEN {
                break;
            }
            let mut header = &self.received[at..at + SIMPLE_REPLY_LEN];
            let (magic, error) = (header.get_u32(), header.get_u32());
            let (_, reads) = (header.get_u32(), header.get_u32());
            if magic != SIMPLE_REPLY_MAGIC {
                return Err(ClientError::Protocol(format!("reply magic {magic:#x}")));
            }
            if error != errno::OK {
                return Err(ClientError::Answered { errno: error });
            }
            at += SIMPLE_REPLY_LEN;
            self.skip = reads as usize;
            complete += usize::from(reads == 0);
        }
        self.received.copy_within(at..end, 0);
        self.kept = end - at;
        Ok(complete)
    }
}
