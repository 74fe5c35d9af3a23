//! The server's side of the transmission phase: requests are cut out of the byte stream, checked
//! against the export, and counted until their reply is written.
//!
//! A plain state machine like the handshake's. [`Transmission::step`] hands out one request, or
//! one refusal, at a time; each carries a [`Cost`] that the driver gives back with
//! [`Transmission::release`] once the reply has left. While the bounds of [`Limits`] are reached
//! nothing more is taken from the input, so what one connection can make the server hold is
//! bounded whatever the client sends and however slowly it reads.
//!
//! A request that is wrong in itself is refused and its payload skipped, and the stream goes on.
//! Only a request that does not begin with the magic number ends it, as nothing after it can be
//! told apart.

use bytes::{Buf, Bytes, BytesMut};

use super::export::{ExportInfo, Space};
use super::limits::Limits;
use super::negotiation::Chosen;
use super::proto::{
    MAX_PAYLOAD, MIN_BLOCK, PAYLOAD_APART, REQUEST_HEADER_LEN, REQUEST_MAGIC, command,
    command_flags, errno,
};

/// The client's name for a request, repeated in its reply and meaningless to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(pub u64);

/// One checked request: its range lies inside the export and the export allows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// For the reply.
    pub handle: Handle,
    /// What to do.
    pub action: Action,
    /// To be given back when the reply is written.
    pub cost: Cost,
}

/// What a request asks for. Offsets and lengths are bytes of any alignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Reply with the bytes of the range; at most [`MAX_PAYLOAD`].
    Read {
        /// First byte.
        offset: u64,
        /// Number of bytes.
        length: usize,
    },
    /// Replace the bytes of the range.
    Write {
        /// First byte.
        offset: u64,
        /// The new content, at most [`MAX_PAYLOAD`] bytes.
        data: Bytes,
        /// Durable before the reply.
        fua: bool,
    },
    /// Make what was acknowledged durable.
    Flush,
    /// The content is no longer needed.
    Trim {
        /// First byte.
        offset: u64,
        /// Number of bytes.
        length: u64,
        /// Durable before the reply.
        fua: bool,
    },
    /// Replace the bytes of the range by zeroes.
    WriteZeroes {
        /// First byte.
        offset: u64,
        /// Number of bytes.
        length: u64,
        /// What may become of the space.
        space: Space,
        /// Durable before the reply.
        fua: bool,
    },
}

/// A request's share of the connection's bounds; neither cloned nor made anywhere else.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a cost that is not released shrinks the connection's bounds for ever"]
pub struct Cost {
    bytes: usize,
}

/// A request that gets an error instead of the device.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For the reply.
    pub handle: Handle,
    /// The NBD error value.
    pub errno: u32,
    /// To be given back when the reply is written.
    pub cost: Cost,
}

/// What ends a transmission from the client's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A request did not begin with its magic number.
    #[error("a request began with {found:#x}")]
    BadMagic {
        /// What stood there.
        found: u32,
    },
}

/// What the driver does next.
#[derive(Debug, PartialEq, Eq)]
pub enum TransmissionStep {
    /// Hand this to the device.
    Request(Request),
    /// Answer this at once.
    Refuse(Refusal),
    /// Receive at least so many bytes more, then step again.
    NeedInput(usize),
    /// A bound is reached: step again after a [`Transmission::release`], receive nothing.
    Saturated,
    /// The client said goodbye: finish what is in flight, then close.
    Disconnect,
    /// The stream cannot be followed any further: finish what is in flight, then close.
    Violation(Violation),
}

/// A write whose header was taken and whose payload is still arriving.
#[derive(Debug)]
struct ArrivingWrite {
    handle: Handle,
    offset: u64,
    length: usize,
    fua: bool,
    cost: Cost,
    /// The input is its own buffer by now.
    apart: bool,
}

impl ArrivingWrite {
    /// Gives a large payload a buffer of its own, with what has arrived of it: the rest is received
    /// into it. The whole payload, if all of it has arrived already.
    fn set_apart(&mut self, input: &mut BytesMut) -> Option<Bytes> {
        if self.apart || self.length < PAYLOAD_APART {
            return None;
        }
        self.apart = true;
        let mut own = BytesMut::with_capacity(self.length);
        own.extend_from_slice(&input[..input.len().min(self.length)]);
        if own.len() == self.length {
            input.advance(self.length);
            return Some(own.freeze());
        }
        *input = own;
        None
    }
}

#[derive(Debug)]
enum State {
    Header,
    Payload(ArrivingWrite),
    /// The payload of a refused write.
    Skip {
        left: u32,
    },
    Disconnected,
    Violated(Violation),
}

/// The state of one connection after its handshake.
#[derive(Debug)]
pub struct Transmission {
    export: ExportInfo,
    /// Every offset and length is a multiple of it. 1 for clients that were told no block size.
    alignment: u64,
    limits: Limits,
    state: State,
    requests_in_flight: usize,
    bytes_in_flight: usize,
}

/// The 28 bytes before a request's payload.
#[derive(Clone, Copy, Debug)]
struct Header {
    flags: u16,
    command: u16,
    handle: Handle,
    offset: u64,
    length: u32,
}

impl Header {
    /// Reads a header that is known to be complete, the magic number first.
    fn parse(mut bytes: &[u8]) -> Result<Self, Violation> {
        let found = bytes.get_u32();
        if found != REQUEST_MAGIC {
            return Err(Violation::BadMagic { found });
        }
        Ok(Self {
            flags: bytes.get_u16(),
            command: bytes.get_u16(),
            handle: Handle(bytes.get_u64()),
            offset: bytes.get_u64(),
            length: bytes.get_u32(),
        })
    }

    const fn fua(&self) -> bool {
        self.flags & command_flags::FUA != 0
    }

    /// Bytes that follow the header.
    const fn payload(&self) -> u32 {
        if self.command == command::WRITE {
            self.length
        } else {
            0
        }
    }

    /// Payload bytes that the server holds for it, in either direction.
    const fn bytes(&self) -> usize {
        match self.command {
            command::READ | command::WRITE => self.length as usize,
            _ => 0,
        }
    }
}

impl Transmission {
    /// The transmission that follows a handshake.
    #[must_use]
    pub fn new(chosen: &Chosen, limits: Limits) -> Self {
        Self {
            export: chosen.info,
            alignment: if chosen.keeps_block_size {
                u64::from(MIN_BLOCK)
            } else {
                1
            },
            limits: limits.clamped(),
            state: State::Header,
            requests_in_flight: 0,
            bytes_in_flight: 0,
        }
    }

    /// Requests and refusals handed out and not yet released.
    #[must_use]
    pub const fn requests_in_flight(&self) -> usize {
        self.requests_in_flight
    }

    /// Payload bytes of those, in both directions; includes a write that is still arriving.
    #[must_use]
    pub const fn bytes_in_flight(&self) -> usize {
        self.bytes_in_flight
    }

    /// Whether the input is the buffer of one payload: what is received beyond it would make it larger.
    #[must_use]
    pub const fn receives_apart(&self) -> bool {
        match &self.state {
            State::Payload(write) => write.apart,
            State::Header | State::Skip { .. } | State::Disconnected | State::Violated(_) => false,
        }
    }

    /// Takes at most one request from `input` and says what to do next.
    pub fn step(&mut self, input: &mut BytesMut) -> TransmissionStep {
        loop {
            match &mut self.state {
                State::Header => match self.take_header(input) {
                    Some(step) => return step,
                    None => continue,
                },
                State::Payload(write) => {
                    let whole = write.set_apart(input);
                    if whole.is_none() && input.len() < write.length {
                        return TransmissionStep::NeedInput(write.length - input.len());
                    }
                    let state = std::mem::replace(&mut self.state, State::Header);
                    if let State::Payload(write) = state {
                        return TransmissionStep::Request(Request {
                            handle: write.handle,
                            action: Action::Write {
                                offset: write.offset,
                                data: whole
                                    .unwrap_or_else(|| input.split_to(write.length).freeze()),
                                fua: write.fua,
                            },
                            cost: write.cost,
                        });
                    }
                }
                State::Skip { left } => {
                    let skipped = u32::try_from(input.len()).unwrap_or(u32::MAX).min(*left);
                    input.advance(skipped as usize);
                    *left -= skipped;
                    if *left > 0 {
                        return TransmissionStep::NeedInput((*left).min(MAX_PAYLOAD) as usize);
                    }
                    self.state = State::Header;
                }
                State::Disconnected => return TransmissionStep::Disconnect,
                State::Violated(violation) => return TransmissionStep::Violation(*violation),
            }
        }
    }

    /// Gives back the cost of a request or refusal whose reply was written.
    pub fn release(&mut self, cost: Cost) {
        self.requests_in_flight -= 1;
        self.bytes_in_flight -= cost.bytes;
    }

    fn charge(&mut self, bytes: usize) -> Cost {
        self.requests_in_flight += 1;
        self.bytes_in_flight += bytes;
        Cost { bytes }
    }

    /// Takes one header if there is a whole one and room for what it asks. `None` when the state
    /// has changed and the caller looks again.
    fn take_header(&mut self, input: &mut BytesMut) -> Option<TransmissionStep> {
        if input.len() < REQUEST_HEADER_LEN {
            return Some(TransmissionStep::NeedInput(
                REQUEST_HEADER_LEN - input.len(),
            ));
        }
        let header = match Header::parse(&input[..REQUEST_HEADER_LEN]) {
            Ok(header) => header,
            Err(violation) => {
                self.state = State::Violated(violation);
                return None;
            }
        };
        if header.command == command::DISC {
            self.state = State::Disconnected;
            return None;
        }
        let verdict = self.check(&header);
        let bytes = verdict.map_or(0, |()| header.bytes());
        if self.requests_in_flight >= self.limits.requests_in_flight
            || self.bytes_in_flight + bytes > self.limits.bytes_in_flight
        {
            return Some(TransmissionStep::Saturated);
        }
        input.advance(REQUEST_HEADER_LEN);
        let cost = self.charge(bytes);
        if let Err(errno) = verdict {
            self.state = State::Skip {
                left: header.payload(),
            };
            return Some(TransmissionStep::Refuse(Refusal {
                handle: header.handle,
                errno,
                cost,
            }));
        }
        self.accept(&header, cost)
    }

    /// Whether the export takes such a request, or the error value that says why not.
    fn check(&self, header: &Header) -> Result<(), u32> {
        let allowed_flags = match header.command {
            command::READ | command::WRITE | command::FLUSH | command::TRIM => command_flags::FUA,
            command::WRITE_ZEROES => command_flags::FUA | command_flags::NO_HOLE,
            _ => return Err(errno::EINVAL),
        };
        if header.flags & !allowed_flags != 0 {
            return Err(errno::EINVAL);
        }
        if header.command == command::FLUSH {
            return if header.offset == 0 && header.length == 0 {
                Ok(())
            } else {
                Err(errno::EINVAL)
            };
        }
        if self.export.read_only && header.command != command::READ {
            return Err(errno::EPERM);
        }
        if header.bytes() > MAX_PAYLOAD as usize {
            return Err(errno::EINVAL);
        }
        let end = header.offset.checked_add(u64::from(header.length));
        if end.is_none_or(|end| end > self.export.size) {
            return Err(match header.command {
                command::WRITE | command::WRITE_ZEROES => errno::ENOSPC,
                _ => errno::EINVAL,
            });
        }
        let aligned = header.offset.is_multiple_of(self.alignment)
            && u64::from(header.length).is_multiple_of(self.alignment);
        if aligned { Ok(()) } else { Err(errno::EINVAL) }
    }

    /// Turns a checked header into its request; `None` for a write whose payload comes first.
    fn accept(&mut self, header: &Header, cost: Cost) -> Option<TransmissionStep> {
        let (offset, fua) = (header.offset, header.fua());
        let length = u64::from(header.length);
        let action = match header.command {
            command::READ => Action::Read {
                offset,
                length: header.length as usize,
            },
            command::WRITE => {
                self.state = State::Payload(ArrivingWrite {
                    handle: header.handle,
                    offset,
                    length: header.length as usize,
                    fua,
                    cost,
                    apart: false,
                });
                return None;
            }
            command::TRIM => Action::Trim {
                offset,
                length,
                fua,
            },
            command::WRITE_ZEROES => Action::WriteZeroes {
                offset,
                length,
                space: if header.flags & command_flags::NO_HOLE == 0 {
                    Space::MayRelease
                } else {
                    Space::Keep
                },
                fua,
            },
            // `check` let nothing else through.
            _ => Action::Flush,
        };
        Some(TransmissionStep::Request(Request {
            handle: header.handle,
            action,
            cost,
        }))
    }
}

#[cfg(test)]
mod tests;
