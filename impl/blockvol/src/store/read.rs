//! Reading blocks and entries: planned under the owner's lock, carried out without it, and
//! confirmed afterwards, as the log may be recycled or cut meanwhile.
//!
//! Bytes that come from a disk are verified before they are served or shipped (F21).

use bytes::Bytes;
use holdfast_types::{BLOCK_SIZE, BlockRange, LogEntry, Lsn};

use super::Store;
use crate::disk::DiskError;
use crate::error::{CursorError, Damage, ReadError};
use crate::extent::{Extent, Fault};
use crate::image::range_bytes;
use crate::index::{Found, Source};
use crate::log::header::{HEADER_BYTES, Header, checksum_of};
use crate::log::ring::Ring;
use crate::log::scan::Meta;
use crate::positions::ReadPoint;

/// Entries of one cursor step at most.
const ENTRIES_MAX: usize = 4096;

#[derive(Debug)]
enum From {
    Memory(Bytes),
    /// Blocks of one payload, each with its checksum.
    Log {
        lsn: Lsn,
        position: u64,
        crcs: Vec<u32>,
    },
    Zero,
    Extent {
        range: BlockRange,
    },
}

#[derive(Debug)]
struct Piece {
    at: usize,
    len: usize,
    from: From,
}

impl Piece {
    /// Where in the log it is to be read.
    fn log_position(&self) -> Option<u64> {
        match self.from {
            From::Log { position, .. } => Some(position),
            From::Memory(_) | From::Zero | From::Extent { .. } => None,
        }
    }
}

/// What a plan relied on: bytes of the log from a position on, in one generation, and an image that
/// nobody was writing to.
#[derive(Clone, Copy, Debug)]
struct Reliance {
    oldest: u64,
    generation: u64,
    extent_bound: Lsn,
    repairs: u64,
}

/// Where the blocks of a range are to be read.
#[derive(Debug)]
#[must_use]
pub(crate) struct ReadPlan {
    ring: Ring,
    extent: Extent,
    verify: bool,
    pieces: Vec<Piece>,
    reliance: Reliance,
    point: ReadPoint,
}

impl ReadPlan {
    /// Fills the buffer.
    pub(crate) fn run(&self, buf: &mut [u8]) -> Result<ReadPoint, ReadError> {
        for piece in &self.pieces {
            let out = &mut buf[piece.at..piece.at + piece.len];
            match &piece.from {
                From::Memory(bytes) => out.copy_from_slice(bytes),
                From::Zero => out.fill(0),
                From::Extent { range } if self.verify => {
                    self.extent
                        .read(*range, out)
                        .map_err(Fault::certain::<ReadError>)?;
                }
                From::Extent { range } => self.extent.read_unverified(*range, out)?,
                From::Log {
                    lsn,
                    position,
                    crcs,
                } => {
                    self.ring.read(*position, out)?;
                    let mut blocks = out.chunks_exact(BLOCK_SIZE).zip(crcs);
                    if let Some(bad) = blocks.position(|(block, crc)| crc32c::crc32c(block) != *crc)
                    {
                        let position = position + (bad * BLOCK_SIZE) as u64;
                        return Err(ReadError::Damaged(Damage::LogPayload {
                            lsn: *lsn,
                            at: self.ring.place(position),
                        }));
                    }
                }
            }
        }
        Ok(self.point)
    }

    /// Fills the buffer if that takes no waiting; `None`: not so, or something does not fit.
    pub(crate) fn run_at_once(&self, buf: &mut [u8]) -> Option<ReadPoint> {
        for piece in &self.pieces {
            let out = &mut buf[piece.at..piece.at + piece.len];
            let done = match &piece.from {
                From::Memory(bytes) => {
                    out.copy_from_slice(bytes);
                    true
                }
                From::Zero => {
                    out.fill(0);
                    true
                }
                From::Extent { range } => self.extent.read_at_once(*range, self.verify, out),
                From::Log { position, crcs, .. } => {
                    self.ring.read_at_once(*position, out)
                        && out
                            .chunks_exact(BLOCK_SIZE)
                            .zip(crcs)
                            .all(|(block, crc)| crc32c::crc32c(block) == *crc)
                }
            };
            if !done {
                return None;
            }
        }
        Some(self.point)
    }
}

/// The entries after a position, and where their payloads are.
#[derive(Debug)]
#[must_use]
pub(crate) struct EntriesPlan {
    ring: Ring,
    entries: Vec<(Lsn, Meta, Option<Bytes>)>,
    reliance: Reliance,
}

impl EntriesPlan {
    /// Reads them.
    pub(crate) fn run(&self) -> Result<Vec<LogEntry<Bytes>>, CursorError> {
        let mut entries = Vec::with_capacity(self.entries.len());
        for (lsn, meta, recent) in &self.entries {
            entries.push(LogEntry {
                lsn: *lsn,
                epoch: meta.epoch,
                kind: meta.kind,
                range: meta.range,
                payload: load_payload::<CursorError>(&self.ring, *lsn, meta, recent.as_ref())?,
            });
        }
        Ok(entries)
    }
}

/// The verified payload of an entry, from memory or from the ring.
pub(crate) fn load_payload<E>(
    ring: &Ring,
    lsn: Lsn,
    meta: &Meta,
    recent: Option<&Bytes>,
) -> Result<Bytes, E>
where
    E: std::convert::From<DiskError> + std::convert::From<Damage>,
{
    if let Some(payload) = recent {
        return Ok(payload.clone());
    }
    if meta.payload_len() == 0 {
        return Ok(Bytes::new());
    }
    let mut stored = vec![0; HEADER_BYTES + meta.payload_len() as usize];
    ring.read(meta.position, &mut stored)?;
    if is_entry(meta, &stored) {
        return Ok(Bytes::from(stored).slice(HEADER_BYTES..));
    }
    Err(Damage::LogPayload {
        lsn,
        at: ring.place(meta.position),
    }
    .into())
}

/// Whether header and payload are those of an entry.
pub(crate) fn is_entry(meta: &Meta, stored: &[u8]) -> bool {
    checksum_of(stored) == meta.checksum
        && Header::decode(stored).is_ok_and(|header| {
            stored.len() == HEADER_BYTES
                || crc32c::crc32c(&stored[HEADER_BYTES..]) == header.payload_crc
        })
}

impl Store {
    /// Plans a read of whole blocks.
    pub(crate) fn plan_read(
        &self,
        range: BlockRange,
        buf_len: usize,
    ) -> Result<ReadPlan, ReadError> {
        let blocks = self.blocks_at_head();
        if !range.is_within(blocks) {
            return Err(ReadError::OutOfBounds { range, blocks });
        }
        if buf_len as u64 != range_bytes(range) {
            return Err(ReadError::BufferSize {
                expected: range_bytes(range),
                found: buf_len as u64,
            });
        }
        if self.is_blank() {
            return Err(ReadError::Untrusted);
        }
        if let Some(lsn) = self.restoring() {
            return Err(ReadError::Restoring { lsn });
        }
        let mut newest = None;
        let mut pieces: Vec<Piece> = Vec::with_capacity(1);
        self.index.look_up(range, |found| {
            newest = newest.max(found.newest.map(|(lsn, _)| lsn));
            let joins = pieces
                .last_mut()
                .is_some_and(|last| self.extend(last, &found));
            if joins {
                return;
            }
            for part in self.at_size(found.range) {
                pieces.push(Piece {
                    at: (part.start() - range.start()) as usize * BLOCK_SIZE,
                    len: range_bytes(part) as usize,
                    from: self.piece_source(part, found.newest),
                });
            }
        });
        let oldest = pieces.iter().filter_map(Piece::log_position).min();
        Ok(ReadPlan {
            ring: self.ring.clone(),
            extent: self.extent.clone(),
            verify: self.options.verify_reads,
            pieces,
            reliance: self.reliance(oldest.unwrap_or(u64::MAX)),
            point: ReadPoint { newest },
        })
    }

    /// A range as one part, or as two where the extent ends in it.
    fn at_size(&self, range: BlockRange) -> impl Iterator<Item = BlockRange> + use<> {
        let size = self.superblock.blocks.clamp(range.start(), range.end());
        let below = BlockRange::new(range.start(), size - range.start());
        let beyond = BlockRange::new(size, range.end() - size);
        below.into_iter().chain(beyond)
    }

    fn piece_source(&self, range: BlockRange, newest: Option<(Lsn, Source)>) -> From {
        let (lsn, source) = match newest {
            Some(newest) => newest,
            // Blocks that a grow will bring are not in the extent yet.
            None if range.start() >= self.superblock.blocks => return From::Zero,
            None => return From::Extent { range },
        };
        let Source::Log { crc } = source else {
            return From::Zero;
        };
        let position = self.block_position(lsn, range.start());
        match self.recent_block(lsn, position) {
            Some(bytes) => From::Memory(bytes),
            None => From::Log {
                lsn,
                position,
                crcs: vec![crc],
            },
        }
    }

    /// Adds a block to a piece, if it follows it in the same payload, on the disk.
    fn extend(&self, piece: &mut Piece, found: &Found) -> bool {
        let (
            From::Log {
                lsn,
                position,
                crcs,
            },
            Some((newest, Source::Log { crc })),
        ) = (&mut piece.from, found.newest)
        else {
            return false;
        };
        let next = *position + (crcs.len() * BLOCK_SIZE) as u64;
        let follows = *lsn == newest && self.block_position(newest, found.range.start()) == next;
        if follows {
            crcs.push(crc);
            piece.len += BLOCK_SIZE;
        }
        follows
    }

    /// Where the log has a block of an entry.
    fn block_position(&self, lsn: Lsn, block: u64) -> u64 {
        let Some(meta) = self.meta(lsn) else {
            unreachable!("entry {lsn} is not retained, though beyond the checkpoint");
        };
        let first = meta.range.map_or(block, BlockRange::start);
        meta.block_position(block - first)
    }

    fn recent_block(&self, lsn: Lsn, position: u64) -> Option<Bytes> {
        let payload = self.recent.get(lsn)?;
        let begin = self.meta(lsn)?.block_position(0);
        let at = (position - begin) as usize;
        Some(payload.slice(at..at + BLOCK_SIZE))
    }

    fn reliance(&self, oldest: u64) -> Reliance {
        Reliance {
            oldest,
            generation: self.log_generation(),
            extent_bound: self.superblock.extent_bound,
            repairs: self.repairs,
        }
    }

    fn still_holds(&self, reliance: Reliance) -> bool {
        reliance.generation == self.log_generation()
            && reliance.oldest >= self.superblock.start.position
    }

    /// Whether what the plan read was there until now; else it must be planned anew.
    pub(crate) fn read_holds(&self, plan: &ReadPlan) -> bool {
        self.still_holds(plan.reliance)
    }

    /// Whether nobody can have written to what the plan read from the extent: then blocks that do
    /// not fit their sums are damaged. A write-back that was under way when it was planned works on
    /// blocks that were planned to be read from the log; one that began since raised the bound.
    pub(crate) fn extent_rested(&self, plan: &ReadPlan) -> bool {
        plan.reliance.extent_bound == self.superblock.extent_bound
            && plan.reliance.repairs == self.repairs
    }

    /// Whether what the plan read was there until now; else it must be planned anew.
    pub(crate) fn entries_hold(&self, plan: &EntriesPlan) -> bool {
        self.still_holds(plan.reliance)
    }

    /// Reads whole blocks: the log first, then the extent.
    ///
    /// # Errors
    /// Any of [`ReadError`]; the buffer's content is unspecified then.
    pub fn read(&mut self, range: BlockRange, buf: &mut [u8]) -> Result<ReadPoint, ReadError> {
        let result = self.plan_read(range, buf.len())?.run(buf);
        if let Err(ReadError::Damaged(damage)) = &result {
            self.known_damage.note(damage);
        }
        result
    }

    /// Plans to read entries after a position: at least one if there is one, otherwise no more
    /// than `max_bytes` of payload.
    pub(crate) fn plan_entries(
        &self,
        after: Lsn,
        max_bytes: u64,
    ) -> Result<EntriesPlan, CursorError> {
        let head = self.tail.lsn;
        if after > head {
            return Err(CursorError::BeyondHead { after, head });
        }
        if self.is_blank() || after < self.retained.lsn {
            return Err(CursorError::Recycled {
                after,
                retained_from: self.positions().retained_from,
            });
        }
        let mut entries = Vec::new();
        let mut bytes = 0;
        let mut lsn = after;
        while lsn < head && entries.len() < ENTRIES_MAX {
            lsn = lsn.next();
            let Some(meta) = self.meta(lsn) else {
                unreachable!("entry {lsn} is not retained, though beyond the start");
            };
            bytes += meta.payload_len();
            if bytes > max_bytes && !entries.is_empty() {
                break;
            }
            entries.push((lsn, meta, self.recent.get(lsn).cloned()));
        }
        let oldest = entries
            .first()
            .map_or(u64::MAX, |(_, meta, _)| meta.position);
        Ok(EntriesPlan {
            ring: self.ring.clone(),
            entries,
            reliance: self.reliance(oldest),
        })
    }

    /// The entries after a position: at least one if there is one, otherwise no more than
    /// `max_bytes` of payload.
    ///
    /// # Errors
    /// Any of [`CursorError`].
    pub fn entries(&self, after: Lsn, max_bytes: u64) -> Result<Vec<LogEntry<Bytes>>, CursorError> {
        self.plan_entries(after, max_bytes)?.run()
    }
}
