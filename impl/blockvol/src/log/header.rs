//! One entry in the ring: a header of 128 bytes, the payload, padding to a whole sector.
//!
//! A header says whose it is (volume), where it belongs (its position, which counts bytes from the
//! making of the store and so names the lap too), which writing it is of (generation) and what
//! came before it (epoch and header checksum of the predecessor). So a leftover of an earlier lap,
//! of a cut tail or of another volume cannot pass for the next entry. Layout: `docs/formats.md`.
//!
//! Entries begin on sector boundaries: writing one never touches a sector that holds another.

use holdfast_types::{BLOCK_SIZE, BlockRange, EntryKind, Epoch, Lsn, OPERATION_BYTES, VolumeId};
use uuid::Uuid;

use crate::disk::SECTOR;
use crate::superblock::{get_u32, get_u64, put_u32, put_u64};

/// First bytes of an entry.
pub(crate) const MAGIC: [u8; 8] = *b"HFENTRY\0";
/// The entry format written here.
pub(crate) const VERSION: u16 = 1;
/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 128;
const CHECKSUM_OFFSET: usize = HEADER_BYTES - 4;

/// Everything that an entry says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The volume.
    pub(crate) volume: VolumeId,
    /// Bytes of log before this entry since the store was made; its place is this modulo the ring.
    pub(crate) position: u64,
    /// The log generation in which it was written.
    pub(crate) generation: u64,
    /// Its LSN.
    pub(crate) lsn: Lsn,
    /// Its epoch.
    pub(crate) epoch: Epoch,
    /// Its kind.
    pub(crate) kind: EntryKind,
    /// Its blocks.
    pub(crate) range: Option<BlockRange>,
    /// The durable position of its time: a log that ends before it is broken.
    pub(crate) durable: Lsn,
    /// The predecessor's epoch.
    pub(crate) previous_epoch: Epoch,
    /// The predecessor's header checksum.
    pub(crate) chain: u32,
    /// CRC32C of the payload; 0 when there is none.
    pub(crate) payload_crc: u32,
}

impl Header {
    /// Bytes of payload that follow the header.
    pub(crate) fn payload_len(&self) -> u64 {
        payload_len(self.kind, self.range)
    }

    /// Bytes that the whole entry takes in the ring.
    pub(crate) fn stored_len(&self) -> u64 {
        stored_len(self.payload_len())
    }

    /// The header's bytes; the last four are the checksum that the next entry chains to.
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10] = kind_code(self.kind);
        put_u32(&mut bytes, 12, self.payload_len() as u32);
        bytes[16..32].copy_from_slice(self.volume.0.as_bytes());
        put_u64(&mut bytes, 32, self.position);
        put_u64(&mut bytes, 40, self.generation);
        put_u64(&mut bytes, 48, self.lsn.0);
        put_u64(&mut bytes, 56, self.epoch.0);
        put_u64(&mut bytes, 64, self.range.map_or(0, BlockRange::start));
        put_u64(&mut bytes, 72, self.range.map_or(0, BlockRange::count));
        put_u64(&mut bytes, 80, self.durable.0);
        put_u64(&mut bytes, 88, self.previous_epoch.0);
        put_u32(&mut bytes, 96, self.chain);
        put_u32(&mut bytes, 100, self.payload_crc);
        let checksum = crc32c::crc32c(&bytes[..CHECKSUM_OFFSET]);
        put_u32(&mut bytes, CHECKSUM_OFFSET, checksum);
        bytes
    }

    /// Reads a header; whether it is the one that belongs here is for the scan to say.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        if bytes.len() < HEADER_BYTES || bytes[0..8] != MAGIC {
            return Err(HeaderFault::NoMagic);
        }
        if checksum_of(bytes) != crc32c::crc32c(&bytes[..CHECKSUM_OFFSET]) {
            return Err(HeaderFault::Checksum);
        }
        if bytes[8..10] != VERSION.to_le_bytes() {
            return Err(HeaderFault::Nonsense("unknown entry version"));
        }
        let kind = kind_of(bytes[10]).ok_or(HeaderFault::Nonsense("unknown entry kind"))?;
        let range = decode_range(kind, get_u64(bytes, 64), get_u64(bytes, 72))?;
        let mut volume = [0; 16];
        volume.copy_from_slice(&bytes[16..32]);
        let header = Self {
            volume: VolumeId(Uuid::from_bytes(volume)),
            position: get_u64(bytes, 32),
            generation: get_u64(bytes, 40),
            lsn: Lsn(get_u64(bytes, 48)),
            epoch: Epoch(get_u64(bytes, 56)),
            kind,
            range,
            durable: Lsn(get_u64(bytes, 80)),
            previous_epoch: Epoch(get_u64(bytes, 88)),
            chain: get_u32(bytes, 96),
            payload_crc: get_u32(bytes, 100),
        };
        if u64::from(get_u32(bytes, 12)) != header.payload_len() {
            return Err(HeaderFault::Nonsense("length does not fit the range"));
        }
        if header.durable >= header.lsn || header.previous_epoch > header.epoch {
            return Err(HeaderFault::Nonsense("positions out of order"));
        }
        Ok(header)
    }
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// Something else, or nothing, is there.
    NoMagic,
    /// Torn, or damaged.
    Checksum,
    /// Whole, but contradicting itself.
    Nonsense(&'static str),
}

impl std::fmt::Display for HeaderFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoMagic => "no entry begins there",
            Self::Checksum => "a header fails its checksum",
            Self::Nonsense(what) => what,
        })
    }
}

/// The checksum at the end of a header's bytes.
pub(crate) fn checksum_of(header: &[u8]) -> u32 {
    get_u32(header, CHECKSUM_OFFSET)
}

/// Bytes of payload of an entry.
pub(crate) fn payload_len(kind: EntryKind, range: Option<BlockRange>) -> u64 {
    match range {
        Some(range) if kind.has_payload() => range.count().saturating_mul(BLOCK_SIZE as u64),
        None if kind.is_operation() => OPERATION_BYTES as u64,
        Some(_) | None => 0,
    }
}

/// Bytes that an entry takes in the ring: header, payload, padding to a whole sector.
pub(crate) fn stored_len(payload_len: u64) -> u64 {
    (HEADER_BYTES as u64 + payload_len).next_multiple_of(SECTOR)
}

fn decode_range(
    kind: EntryKind,
    start: u64,
    count: u64,
) -> Result<Option<BlockRange>, HeaderFault> {
    if !kind.has_range() {
        return if start == 0 && count == 0 {
            Ok(None)
        } else {
            Err(HeaderFault::Nonsense("a range where none belongs"))
        };
    }
    if kind.has_payload() && count > holdfast_types::MAX_ENTRY_BLOCKS {
        return Err(HeaderFault::Nonsense("too many blocks"));
    }
    BlockRange::new(start, count)
        .map(Some)
        .map_err(|_| HeaderFault::Nonsense("not a range"))
}

/// The number of a kind on the disk.
pub(crate) fn kind_code(kind: EntryKind) -> u8 {
    match kind {
        EntryKind::Write => 1,
        EntryKind::Trim => 2,
        EntryKind::WriteZeroes => 3,
        EntryKind::EpochStart => 4,
        EntryKind::SnapshotCreate => 5,
        EntryKind::SnapshotDelete => 6,
        EntryKind::Grow => 7,
        EntryKind::Restore => 8,
    }
}

/// The kind of a number, if it is one.
pub(crate) fn kind_of(code: u8) -> Option<EntryKind> {
    match code {
        1 => Some(EntryKind::Write),
        2 => Some(EntryKind::Trim),
        3 => Some(EntryKind::WriteZeroes),
        4 => Some(EntryKind::EpochStart),
        5 => Some(EntryKind::SnapshotCreate),
        6 => Some(EntryKind::SnapshotDelete),
        7 => Some(EntryKind::Grow),
        8 => Some(EntryKind::Restore),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            volume: VolumeId(Uuid::from_bytes([7; 16])),
            position: 1536,
            generation: 3,
            lsn: Lsn(9),
            epoch: Epoch(4),
            kind: EntryKind::Write,
            range: Some(BlockRange::new(5, 2).unwrap()),
            durable: Lsn(8),
            previous_epoch: Epoch(4),
            chain: 0xfeed,
            payload_crc: 0xbeef,
        }
    }

    #[test]
    fn a_header_reads_back_as_written() {
        assert_eq!(Header::decode(&header().encode()), Ok(header()));
        assert_eq!(header().stored_len(), 8192 + 512);
    }

    #[test]
    fn any_flipped_bit_is_seen() {
        let bytes = header().encode();
        for bit in 0..HEADER_BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&damaged).is_err(), "bit {bit} went unseen");
        }
    }

    #[test]
    fn a_header_that_contradicts_itself_is_refused() {
        let ahead = Header {
            durable: Lsn(9),
            ..header()
        };
        assert!(Header::decode(&ahead.encode()).is_err());
        let huge = Header {
            range: Some(BlockRange::new(0, 1 << 40).unwrap()),
            ..header()
        };
        assert!(Header::decode(&huge.encode()).is_err());
    }
}
