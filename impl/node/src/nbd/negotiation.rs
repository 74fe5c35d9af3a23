//! The server's side of the handshake: greeting, client flags, option haggling.
//!
//! A plain state machine: the driver appends what it received to a buffer, calls
//! [`Negotiation::step`] until it asks for more, and sends what it gets. At most one option is
//! taken per step and its replies are handed out before the next one, so a client that never
//! reads its replies cannot make the server collect them.
//!
//! It must never panic, never hold more than [`MAX_OPTION_DATA`] bytes of one option, and never
//! answer an option that the client's flags do not allow.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::export::ExportInfo;
use super::proto::{
    EXPORT_NAME_PADDING, GREETING_LEN, MAX_PAYLOAD, MAX_STRING, MIN_BLOCK, NBD_MAGIC,
    OPTION_HEADER_LEN, OPTION_MAGIC, OPTION_REPLY_HEADER_LEN, OPTION_REPLY_MAGIC, PREFERRED_BLOCK,
    handshake, info, option, option_reply, transmission_flags,
};

/// The most data of one option that is looked at, in bytes: a name of the greatest length and
/// every information request there is. Longer options are skipped and refused.
pub(super) const MAX_OPTION_DATA: usize = MAX_STRING + 1024;

/// The exports a client can choose from.
pub trait Catalogue {
    /// The export that a client means by `name`, under its own name. The empty name asks for the
    /// default export.
    fn find(&self, name: &str) -> Option<(String, ExportInfo)>;
    /// Every name, in a stable order.
    fn names(&self) -> Vec<String>;
}

/// What the client settled on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The export's own name (never the empty alias).
    pub name: String,
    /// What the client was told about it.
    pub info: ExportInfo,
    /// Whether the client asked for the block-size constraints and so agreed to keep them.
    pub keeps_block_size: bool,
}

/// Why there will be no transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationEnd {
    /// The client said `ABORT`; it was answered.
    #[error("the client aborted")]
    Aborted,
    /// The client set a handshake flag that this server did not offer.
    #[error("unknown client flags {flags:#x}")]
    UnknownFlags {
        /// All flags it sent.
        flags: u32,
    },
    /// An option did not begin with its magic number, so the stream cannot be followed.
    #[error("an option began with {found:#x}")]
    BadMagic {
        /// What stood there.
        found: u64,
    },
    /// Without fixed newstyle, only `EXPORT_NAME` is allowed.
    #[error("option {option} from a client without fixed newstyle")]
    NotFixedNewstyle {
        /// The option.
        option: u32,
    },
    /// `EXPORT_NAME` named no export; the option has no error reply.
    #[error("EXPORT_NAME asked for an export that is not served")]
    NoSuchExport,
}

/// What the driver does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NegotiationStep {
    /// Send these bytes, then step again.
    Send(Bytes),
    /// Receive at least so many bytes more, then step again.
    NeedInput(usize),
    /// The handshake is over; what is left in the input belongs to the transmission phase.
    Chosen(Chosen),
    /// Close the connection.
    End(NegotiationEnd),
}

#[derive(Clone, Debug)]
enum State {
    Greeting,
    ClientFlags,
    OptionHeader,
    OptionData { option: u32, length: usize },
    SkipOption { option: u32, left: u32 },
    Finished(Chosen),
    Ended(NegotiationEnd),
}

/// The state of one handshake.
#[derive(Clone, Debug)]
pub struct Negotiation {
    state: State,
    fixed_newstyle: bool,
    no_zeroes: bool,
}

impl Default for Negotiation {
    fn default() -> Self {
        Self::new()
    }
}

impl Negotiation {
    /// A handshake about to begin.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Greeting,
            fixed_newstyle: false,
            no_zeroes: false,
        }
    }

    /// Takes at most one message from `input` and says what to do next.
    pub fn step(&mut self, input: &mut BytesMut, exports: &impl Catalogue) -> NegotiationStep {
        loop {
            match &mut self.state {
                State::Greeting => {
                    self.state = State::ClientFlags;
                    return NegotiationStep::Send(greeting());
                }
                State::ClientFlags => {
                    if input.len() < 4 {
                        return NegotiationStep::NeedInput(4 - input.len());
                    }
                    self.take_client_flags(input.get_u32());
                }
                State::OptionHeader => {
                    if input.len() < OPTION_HEADER_LEN {
                        return NegotiationStep::NeedInput(OPTION_HEADER_LEN - input.len());
                    }
                    let (magic, option, length) =
                        (input.get_u64(), input.get_u32(), input.get_u32());
                    self.take_option_header(magic, option, length);
                }
                State::OptionData { option, length } => {
                    let (option, length) = (*option, *length);
                    if input.len() < length {
                        return NegotiationStep::NeedInput(length - input.len());
                    }
                    let data = input.split_to(length).freeze();
                    self.state = State::OptionHeader;
                    if let Some(replies) = self.take_option(option, &data, exports) {
                        return NegotiationStep::Send(replies);
                    }
                }
                State::SkipOption { option, left } => {
                    let skipped = u32::try_from(input.len()).unwrap_or(u32::MAX).min(*left);
                    input.advance(skipped as usize);
                    *left -= skipped;
                    if *left > 0 {
                        return NegotiationStep::NeedInput((*left as usize).min(MAX_OPTION_DATA));
                    }
                    let option = *option;
                    self.state = State::OptionHeader;
                    return NegotiationStep::Send(skipped_option_reply(option));
                }
                State::Finished(chosen) => return NegotiationStep::Chosen(chosen.clone()),
                State::Ended(end) => return NegotiationStep::End(*end),
            }
        }
    }

    fn take_client_flags(&mut self, flags: u32) {
        let known = u32::from(handshake::FIXED_NEWSTYLE | handshake::NO_ZEROES);
        self.fixed_newstyle = flags & u32::from(handshake::FIXED_NEWSTYLE) != 0;
        self.no_zeroes = flags & u32::from(handshake::NO_ZEROES) != 0;
        self.state = if flags & !known == 0 {
            State::OptionHeader
        } else {
            State::Ended(NegotiationEnd::UnknownFlags { flags })
        };
    }

    fn take_option_header(&mut self, magic: u64, option: u32, length: u32) {
        self.state = if magic != OPTION_MAGIC {
            State::Ended(NegotiationEnd::BadMagic { found: magic })
        } else if !self.fixed_newstyle && option != option::EXPORT_NAME {
            State::Ended(NegotiationEnd::NotFixedNewstyle { option })
        } else if option == option::EXPORT_NAME && length as usize > MAX_STRING {
            State::Ended(NegotiationEnd::NoSuchExport)
        } else if length as usize > MAX_OPTION_DATA || !is_known(option) {
            State::SkipOption {
                option,
                left: length,
            }
        } else {
            State::OptionData {
                option,
                length: length as usize,
            }
        };
    }

    /// Answers one option whose data are complete. `None` when there is nothing to send.
    fn take_option(
        &mut self,
        option: u32,
        data: &Bytes,
        exports: &impl Catalogue,
    ) -> Option<Bytes> {
        let mut out = BytesMut::new();
        match option {
            option::EXPORT_NAME => return self.take_export_name(data, exports),
            option::ABORT => {
                put_reply(&mut out, option, option_reply::ACK, &[]);
                self.state = State::Ended(NegotiationEnd::Aborted);
            }
            option::LIST => put_list(&mut out, data, exports),
            option::INFO | option::GO => {
                if let Some(chosen) = put_info(&mut out, option, data, exports)
                    && option == option::GO
                {
                    self.state = State::Finished(chosen);
                }
            }
            // Unknown options were skipped by their length and never get here.
            unknown => put_reply(&mut out, unknown, option_reply::ERR_UNSUP, &[]),
        }
        Some(out.freeze())
    }

    fn take_export_name(&mut self, data: &Bytes, exports: &impl Catalogue) -> Option<Bytes> {
        let found = std::str::from_utf8(data)
            .ok()
            .and_then(|name| exports.find(name));
        let Some((name, info)) = found else {
            self.state = State::Ended(NegotiationEnd::NoSuchExport);
            return None;
        };
        let mut out = BytesMut::with_capacity(10 + EXPORT_NAME_PADDING);
        out.put_u64(info.size);
        out.put_u16(flags_of(info));
        if !self.no_zeroes {
            out.put_bytes(0, EXPORT_NAME_PADDING);
        }
        self.state = State::Finished(Chosen {
            name,
            info,
            keeps_block_size: false,
        });
        Some(out.freeze())
    }
}

fn is_known(option: u32) -> bool {
    matches!(
        option,
        option::EXPORT_NAME | option::ABORT | option::LIST | option::INFO | option::GO
    )
}

fn greeting() -> Bytes {
    let mut out = BytesMut::with_capacity(GREETING_LEN);
    out.put_u64(NBD_MAGIC);
    out.put_u64(OPTION_MAGIC);
    out.put_u16(handshake::FIXED_NEWSTYLE | handshake::NO_ZEROES);
    out.freeze()
}

/// The transmission flags of an export.
pub(super) fn flags_of(info: ExportInfo) -> u16 {
    let mut flags = transmission_flags::HAS_FLAGS
        | transmission_flags::SEND_FLUSH
        | transmission_flags::SEND_FUA
        | transmission_flags::CAN_MULTI_CONN;
    flags |= if info.read_only {
        transmission_flags::READ_ONLY
    } else {
        transmission_flags::SEND_TRIM | transmission_flags::SEND_WRITE_ZEROES
    };
    flags
}

/// A reply to one option. `data` is made by this server and far below 4 GiB.
fn put_reply(out: &mut BytesMut, option: u32, reply: u32, data: &[u8]) {
    out.reserve(OPTION_REPLY_HEADER_LEN + data.len());
    out.put_u64(OPTION_REPLY_MAGIC);
    out.put_u32(option);
    out.put_u32(reply);
    out.put_u32(u32::try_from(data.len()).unwrap_or(u32::MAX));
    out.put_slice(data);
}

fn skipped_option_reply(option: u32) -> Bytes {
    let mut out = BytesMut::new();
    if is_known(option) {
        let message = format!("an option can carry at most {MAX_OPTION_DATA} bytes");
        put_reply(
            &mut out,
            option,
            option_reply::ERR_TOO_BIG,
            message.as_bytes(),
        );
    } else {
        put_reply(
            &mut out,
            option,
            option_reply::ERR_UNSUP,
            b"this server does not know that option",
        );
    }
    out.freeze()
}

fn put_list(out: &mut BytesMut, data: &Bytes, exports: &impl Catalogue) {
    if !data.is_empty() {
        put_reply(
            out,
            option::LIST,
            option_reply::ERR_INVALID,
            b"LIST carries no data",
        );
        return;
    }
    for name in exports.names() {
        let mut entry = BytesMut::with_capacity(4 + name.len());
        entry.put_u32(u32::try_from(name.len()).unwrap_or(u32::MAX));
        entry.put_slice(name.as_bytes());
        put_reply(out, option::LIST, option_reply::SERVER, &entry);
    }
    put_reply(out, option::LIST, option_reply::ACK, &[]);
}

/// The data of `INFO` and `GO`: an export and what the client wants to know of it.
struct InfoRequest<'a> {
    name: &'a str,
    wants: Vec<u16>,
}

/// `None` unless every length in the data agrees with every other.
fn parse_info_request(data: &[u8]) -> Option<InfoRequest<'_>> {
    let (length, rest) = data.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length) as usize;
    if length > MAX_STRING || length > rest.len() {
        return None;
    }
    let (name, rest) = rest.split_at(length);
    let name = std::str::from_utf8(name).ok()?;
    let (count, rest) = rest.split_first_chunk::<2>()?;
    if rest.len() != 2 * usize::from(u16::from_be_bytes(*count)) {
        return None;
    }
    let wants = rest
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        .collect();
    Some(InfoRequest { name, wants })
}

/// Answers `INFO` and `GO`; what was chosen when it is a success.
fn put_info(
    out: &mut BytesMut,
    option: u32,
    data: &Bytes,
    exports: &impl Catalogue,
) -> Option<Chosen> {
    let Some(request) = parse_info_request(data) else {
        let message = b"the lengths in this option do not agree, or the name is not UTF-8";
        put_reply(out, option, option_reply::ERR_INVALID, message);
        return None;
    };
    let Some((name, info)) = exports.find(request.name) else {
        let message = if request.name.is_empty() {
            "there is no default export here at present: name one".to_owned()
        } else {
            let shown: String = request.name.chars().take(80).collect();
            format!("no export {shown:?} is served here at present")
        };
        put_reply(out, option, option_reply::ERR_UNKNOWN, message.as_bytes());
        return None;
    };

    let mut entry = BytesMut::with_capacity(16);
    entry.put_u16(info::EXPORT);
    entry.put_u64(info.size);
    entry.put_u16(flags_of(info));
    put_reply(out, option, option_reply::INFO, &entry);

    if request.wants.contains(&info::NAME) {
        entry.clear();
        entry.put_u16(info::NAME);
        entry.put_slice(name.as_bytes());
        put_reply(out, option, option_reply::INFO, &entry);
    }
    if request.wants.contains(&info::DESCRIPTION) {
        entry.clear();
        entry.put_u16(info::DESCRIPTION);
        entry.put_slice(b"Holdfast replicated volume");
        put_reply(out, option, option_reply::INFO, &entry);
    }
    entry.clear();
    entry.put_u16(info::BLOCK_SIZE);
    entry.put_u32(MIN_BLOCK);
    entry.put_u32(PREFERRED_BLOCK);
    entry.put_u32(MAX_PAYLOAD);
    put_reply(out, option, option_reply::INFO, &entry);
    put_reply(out, option, option_reply::ACK, &[]);
    Some(Chosen {
        name,
        info,
        keeps_block_size: request.wants.contains(&info::BLOCK_SIZE),
    })
}

#[cfg(test)]
mod tests;
