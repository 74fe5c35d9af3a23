//! The header that every frame begins with.
//!
//! Little-endian, 52 bytes:
//!
//! ```text
//!  0  magic            4   "HFWP"
//!  4  version          2
//!  6  type             2
//!  8  volume          16   UUID, as its bytes are written
//! 24  epoch            8
//! 32  session          8
//! 40  payload length   4
//! 44  payload crc32c   4
//! 48  header crc32c    4   over bytes 0..48
//! ```
//!
//! The checksum is compared before any other field but the magic is believed, so that a damaged
//! length can neither allocate nor desynchronise.

use std::fmt;

use bytes::{BufMut, BytesMut};
use holdfast_types::{Epoch, SessionId, VolumeId};

use crate::error::WireError;
use crate::frame_type::FrameType;

/// What every frame begins with.
pub const MAGIC: [u8; 4] = *b"HFWP";

/// Bytes of a header.
pub const HEADER_LEN: usize = 52;

/// The version that this node writes.
///
/// | version | what it brought |
/// | --- | --- |
/// | 1 | the first: handshake, append, barrier, truncate, full-base rebuild, control |
/// | 2 | the primary's head in a hello, the log's size in its answer; refusals 23 and 24 |
/// | 3 | who says hello: the primary's label and store; refusals 25 and 26 |
pub const PROTOCOL_VERSION: u16 = 3;

/// The versions that this node understands. Versions 1 and 2 never left their authors'
/// machines.
pub const SUPPORTED_VERSIONS: VersionRange = VersionRange { min: 3, max: 3 };

/// An inclusive range of protocol versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VersionRange {
    /// The oldest.
    pub min: u16,
    /// The newest.
    pub max: u16,
}

impl VersionRange {
    /// Whether `version` is one of them.
    #[must_use]
    pub const fn contains(self, version: u16) -> bool {
        self.min <= version && version <= self.max
    }

    /// The newest version that both sides speak.
    #[must_use]
    pub fn newest_shared_with(self, other: Self) -> Option<u16> {
        let newest = self.max.min(other.max);
        (newest >= self.min && newest >= other.min).then_some(newest)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.min, self.max)
    }
}

/// A header whose checksum, version, type and length were checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) frame_type: FrameType,
    pub(crate) volume: VolumeId,
    pub(crate) epoch: Epoch,
    pub(crate) session: SessionId,
    pub(crate) payload_len: u32,
    pub(crate) payload_crc: u32,
}

impl Header {
    /// Appends the header's bytes.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        let start = out.len();
        out.put_slice(&MAGIC);
        out.put_u16_le(PROTOCOL_VERSION);
        out.put_u16_le(self.frame_type.number());
        out.put_slice(self.volume.0.as_bytes());
        out.put_u64_le(self.epoch.0);
        out.put_u64_le(self.session.0);
        out.put_u32_le(self.payload_len);
        out.put_u32_le(self.payload_crc);
        let crc = crc32c::crc32c(&out[start..]);
        out.put_u32_le(crc);
    }

    /// Reads and checks a header.
    pub(crate) fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, WireError> {
        let magic: [u8; 4] = field(bytes, 0);
        if magic != MAGIC {
            return Err(WireError::Magic { found: magic });
        }
        let found = u32::from_le_bytes(field(bytes, 48));
        let computed = crc32c::crc32c(&bytes[..48]);
        if found != computed {
            return Err(WireError::HeaderChecksum { found, computed });
        }
        let version = u16::from_le_bytes(field(bytes, 4));
        if !SUPPORTED_VERSIONS.contains(version) {
            return Err(WireError::Version {
                found: version,
                supported: SUPPORTED_VERSIONS,
            });
        }
        let number = u16::from_le_bytes(field(bytes, 6));
        let frame_type =
            FrameType::from_number(number).ok_or(WireError::UnknownType { found: number })?;
        let payload_len = u32::from_le_bytes(field(bytes, 40));
        if payload_len > frame_type.payload_limit() {
            return Err(WireError::TooLong {
                frame_type,
                length: payload_len,
                limit: frame_type.payload_limit(),
            });
        }
        Ok(Self {
            frame_type,
            volume: VolumeId(uuid::Uuid::from_bytes(field(bytes, 8))),
            epoch: Epoch(u64::from_le_bytes(field(bytes, 24))),
            session: SessionId(u64::from_le_bytes(field(bytes, 32))),
            payload_len,
            payload_crc: u32::from_le_bytes(field(bytes, 44)),
        })
    }
}

/// `N` bytes of the header; every caller passes a constant offset inside it.
fn field<const N: usize>(bytes: &[u8; HEADER_LEN], offset: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[offset..offset + N]);
    out
}
