//! The numbers of the NBD protocol, under the specification's own names. All integers are
//! big-endian on the wire.

/// First eight bytes of every server: `NBDMAGIC`.
pub(super) const NBD_MAGIC: u64 = 0x4e42_444d_4147_4943;
/// Second eight bytes of a newstyle server, and the head of every option: `IHAVEOPT`.
pub(super) const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
/// Head of every reply to an option.
pub(super) const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
/// Head of every request.
pub(super) const REQUEST_MAGIC: u32 = 0x2560_9513;
/// Head of every simple reply.
pub(super) const SIMPLE_REPLY_MAGIC: u32 = 0x6744_6698;

/// Bytes of the server's greeting: two magics and the handshake flags.
pub(super) const GREETING_LEN: usize = 18;
/// Bytes of an option before its data: magic, code, length.
pub(super) const OPTION_HEADER_LEN: usize = 16;
/// Bytes of a reply to an option before its data: magic, option, type, length.
pub(super) const OPTION_REPLY_HEADER_LEN: usize = 20;
/// Bytes of a request before its payload: magic, flags, type, handle, offset, length.
pub(super) const REQUEST_HEADER_LEN: usize = 28;
/// Bytes of a simple reply before its payload: magic, error, handle.
pub(super) const SIMPLE_REPLY_LEN: usize = 16;
/// Zeroes after the reply to `EXPORT_NAME`, unless the client declined them.
pub(super) const EXPORT_NAME_PADDING: usize = 124;

/// The smallest request the server asks clients for, in bytes.
pub const MIN_BLOCK: u32 = 512;
/// The request size that costs no read-modify-write, in bytes.
pub const PREFERRED_BLOCK: u32 = 4096;
/// The largest payload of one read or write, in bytes.
pub const MAX_PAYLOAD: u32 = 32 << 20;

/// A write of so many bytes or more is received into a buffer of its own, of just its size: nobody need
/// copy it to keep it.
pub const PAYLOAD_APART: usize = 64 << 10;
/// The longest string (export name, description, message) the protocol allows, in bytes.
pub const MAX_STRING: usize = 4096;

/// Flags of the handshake, both directions.
pub(super) mod handshake {
    /// The other end knows the fixed newstyle negotiation.
    pub(in crate::nbd) const FIXED_NEWSTYLE: u16 = 1 << 0;
    /// No padding after the reply to `EXPORT_NAME`.
    pub(in crate::nbd) const NO_ZEROES: u16 = 1 << 1;
}

/// What an export can do.
pub(super) mod transmission_flags {
    pub(in crate::nbd) const HAS_FLAGS: u16 = 1 << 0;
    pub(in crate::nbd) const READ_ONLY: u16 = 1 << 1;
    pub(in crate::nbd) const SEND_FLUSH: u16 = 1 << 2;
    pub(in crate::nbd) const SEND_FUA: u16 = 1 << 3;
    pub(in crate::nbd) const SEND_TRIM: u16 = 1 << 5;
    pub(in crate::nbd) const SEND_WRITE_ZEROES: u16 = 1 << 6;
    pub(in crate::nbd) const CAN_MULTI_CONN: u16 = 1 << 8;
}

/// Options of the negotiation that the server knows.
pub(super) mod option {
    pub(in crate::nbd) const EXPORT_NAME: u32 = 1;
    pub(in crate::nbd) const ABORT: u32 = 2;
    pub(in crate::nbd) const LIST: u32 = 3;
    pub(in crate::nbd) const INFO: u32 = 6;
    pub(in crate::nbd) const GO: u32 = 7;
}

/// Types of a reply to an option.
pub(super) mod option_reply {
    pub(in crate::nbd) const ACK: u32 = 1;
    pub(in crate::nbd) const SERVER: u32 = 2;
    pub(in crate::nbd) const INFO: u32 = 3;
    /// Set in every error.
    pub(in crate::nbd) const ERROR_BIT: u32 = 1 << 31;
    pub(in crate::nbd) const ERR_UNSUP: u32 = ERROR_BIT | 1;
    pub(in crate::nbd) const ERR_INVALID: u32 = ERROR_BIT | 3;
    pub(in crate::nbd) const ERR_UNKNOWN: u32 = ERROR_BIT | 6;
    pub(in crate::nbd) const ERR_TOO_BIG: u32 = ERROR_BIT | 9;
}

/// Kinds of information in a reply of type `INFO`.
pub(super) mod info {
    pub(in crate::nbd) const EXPORT: u16 = 0;
    pub(in crate::nbd) const NAME: u16 = 1;
    pub(in crate::nbd) const DESCRIPTION: u16 = 2;
    pub(in crate::nbd) const BLOCK_SIZE: u16 = 3;
}

/// Types of a request.
pub(super) mod command {
    pub(in crate::nbd) const READ: u16 = 0;
    pub(in crate::nbd) const WRITE: u16 = 1;
    pub(in crate::nbd) const DISC: u16 = 2;
    pub(in crate::nbd) const FLUSH: u16 = 3;
    pub(in crate::nbd) const TRIM: u16 = 4;
    pub(in crate::nbd) const WRITE_ZEROES: u16 = 6;
}

/// Flags of a request.
pub(super) mod command_flags {
    /// Reply only when the data are durable.
    pub(in crate::nbd) const FUA: u16 = 1 << 0;
    /// `WRITE_ZEROES`: keep the space allocated.
    pub(in crate::nbd) const NO_HOLE: u16 = 1 << 1;
}

/// Error values of a reply.
pub(super) mod errno {
    pub(in crate::nbd) const OK: u32 = 0;
    pub(in crate::nbd) const EPERM: u32 = 1;
    pub(in crate::nbd) const EIO: u32 = 5;
    pub(in crate::nbd) const EINVAL: u32 = 22;
    pub(in crate::nbd) const ENOSPC: u32 = 28;
    pub(in crate::nbd) const ESHUTDOWN: u32 = 108;

    /// The specification's name of a value, for messages.
    pub(in crate::nbd) fn name(value: u32) -> &'static str {
        match value {
            OK => "OK",
            EPERM => "EPERM",
            EIO => "EIO",
            12 => "ENOMEM",
            EINVAL => "EINVAL",
            ENOSPC => "ENOSPC",
            75 => "EOVERFLOW",
            95 => "ENOTSUP",
            ESHUTDOWN => "ESHUTDOWN",
            _ => "an error the protocol does not name",
        }
    }
}
