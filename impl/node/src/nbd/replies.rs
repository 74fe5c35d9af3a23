//! Replies on their way to one client: an ordered queue, written with as few system calls as it
//! takes, and the buffers that carry read data.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::BufMut;

use super::proto::{SIMPLE_REPLY_LEN, SIMPLE_REPLY_MAGIC};
use super::transmission::{Cost, Handle};

/// Slices handed to one vectored write; Linux takes up to 1024.
const SLICES_MAX: usize = 64;

/// Bytes of idle buffers kept for the next reads of a connection.
const IDLE_BYTES_MAX: usize = 8 << 20;

/// One simple reply, ready to be written.
#[derive(Debug)]
pub(super) struct Reply {
    header: [u8; SIMPLE_REPLY_LEN],
    payload: Option<ReadBuffer>,
    cost: Cost,
}

impl Reply {
    /// A reply; `payload` only with `errno` 0, to a read.
    pub(super) fn new(handle: Handle, errno: u32, payload: Option<ReadBuffer>, cost: Cost) -> Self {
        let mut header = [0; SIMPLE_REPLY_LEN];
        let mut out = &mut header[..];
        out.put_u32(SIMPLE_REPLY_MAGIC);
        out.put_u32(errno);
        out.put_u64(handle.0);
        Self {
            header,
            payload,
            cost,
        }
    }

    fn payload(&self) -> &[u8] {
        self.payload.as_ref().map_or(&[], ReadBuffer::bytes)
    }

    fn len(&self) -> usize {
        SIMPLE_REPLY_LEN + self.payload().len()
    }
}

/// Replies in the order in which their requests finished.
#[derive(Debug, Default)]
pub(super) struct ReplyQueue {
    replies: VecDeque<Reply>,
    /// Bytes of the front reply that are written.
    written: usize,
}

impl ReplyQueue {
    pub(super) fn push(&mut self, reply: Reply) {
        self.replies.push_back(reply);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.replies.is_empty()
    }

    /// What to write next, as many replies as fit into `slices`. Returns the part that is filled.
    pub(super) fn slices<'a, 'b>(
        &'a self,
        slices: &'b mut [IoSlice<'a>; SLICES_MAX],
    ) -> &'b [IoSlice<'a>] {
        let mut used = 0;
        let mut skip = self.written;
        for reply in &self.replies {
            if used + 2 > SLICES_MAX {
                break;
            }
            for part in [&reply.header[..], reply.payload()] {
                let rest = &part[skip.min(part.len())..];
                skip -= skip.min(part.len());
                if !rest.is_empty() {
                    slices[used] = IoSlice::new(rest);
                    used += 1;
                }
            }
        }
        &slices[..used]
    }

    /// Room for [`ReplyQueue::slices`].
    pub(super) fn room<'a>() -> [IoSlice<'a>; SLICES_MAX] {
        [IoSlice::new(&[]); SLICES_MAX]
    }

    /// Notes that `count` bytes more were written; `done` gets what each finished reply held.
    pub(super) fn advance(&mut self, count: usize, mut done: impl FnMut(Cost, Option<ReadBuffer>)) {
        self.written += count;
        while let Some(front) = self.replies.front()
            && self.written >= front.len()
        {
            self.written -= front.len();
            if let Some(reply) = self.replies.pop_front() {
                done(reply.cost, reply.payload);
            }
        }
    }
}

/// Room for the data of one read. Its content is whatever an earlier read of the same connection
/// left there, until the device has filled it.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    memory: Vec<u8>,
    length: usize,
}

impl ReadBuffer {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[..self.length]
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.length]
    }
}

/// Buffers of one connection, so that steady reads allocate nothing.
#[derive(Debug, Default)]
pub(super) struct BufferPool {
    idle: Vec<Vec<u8>>,
    idle_bytes: usize,
}

impl BufferPool {
    /// A buffer of `length` bytes, which the caller has bounded.
    pub(super) fn take(&mut self, length: usize) -> ReadBuffer {
        let mut memory = self.idle.pop().unwrap_or_default();
        self.idle_bytes -= memory.len();
        if memory.len() < length {
            // Growing would copy bytes that nobody wants.
            memory = vec![0; length];
        }
        ReadBuffer { memory, length }
    }

    /// Keeps the memory for later, up to a bound.
    pub(super) fn give_back(&mut self, buffer: ReadBuffer) {
        if self.idle_bytes + buffer.memory.len() <= IDLE_BYTES_MAX {
            self.idle_bytes += buffer.memory.len();
            self.idle.push(buffer.memory);
        }
    }
}
