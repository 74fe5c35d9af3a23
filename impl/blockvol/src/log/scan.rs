//! Reading the log from its beginning: which entries are there, and whether what stops the
//! reading is the end of the log or a break in it.
//!
//! The entries of a crash form a prefix: each must be whole, in its place, of a generation that
//! counts there, and chained to its predecessor. What follows the last such entry is either a
//! torn tail, which was never durable and is no damage, or damage. The two are told apart by what
//! is known to have been durable (F10, F11, `docs/protocol.md` section 2): the superblock's word,
//! the durable position that every entry carries, also entries *beyond* the break. As no more than
//! [`UNSYNCED_BYTES_MAX`] of the log are ever unsynced, looking that far beyond is enough.

use std::sync::Arc;

use holdfast_types::{
    BLOCK_SIZE, BlockCount, BlockRange, EntryKind, Epoch, Lsn, VolumeId, VolumeOperation,
};

use super::header::{HEADER_BYTES, Header, checksum_of, payload_len, stored_len};
use super::ring::Ring;
use crate::checksum::Checksums;
use crate::disk::{DiskError, SECTOR};
use crate::error::Damage;
use crate::options::MAX_BLOCKS;
use crate::superblock::{Floor, LogStart, Superblock};

/// The most bytes of log beyond the durable position; part of the format, as recovery looks so
/// far beyond a break for entries that were durable.
pub(crate) const UNSYNCED_BYTES_MAX: u64 = 64 << 20;

/// What a pass reads at a time.
const WINDOW_BYTES: u64 = 8 << 20;
/// What the disk is asked to have ready beyond it.
const AHEAD_BYTES: u64 = WINDOW_BYTES;

/// What memory keeps of an entry in the log ([`super::entries`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Where its header is.
    pub(crate) position: u64,
    /// Its epoch.
    pub(crate) epoch: Epoch,
    /// Its blocks.
    pub(crate) range: Option<BlockRange>,
    /// Its header's checksum: what its successor chains to.
    pub(crate) checksum: u32,
    /// Its kind.
    pub(crate) kind: EntryKind,
}

impl Meta {
    pub(crate) fn payload_len(&self) -> u64 {
        payload_len(self.kind, self.range)
    }

    /// Where the payload of its `index`th block is.
    pub(crate) fn block_position(&self, index: u64) -> u64 {
        self.position + HEADER_BYTES as u64 + index * BLOCK_SIZE as u64
    }

    /// Where the next entry is, or will be.
    pub(crate) fn end(&self) -> u64 {
        self.position + stored_len(self.payload_len())
    }
}

/// What a scan goes by.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) volume: VolumeId,
    pub(crate) blocks: BlockCount,
    pub(crate) start: LogStart,
    pub(crate) floor: Floor,
    pub(crate) durable: Lsn,
}

impl Rules {
    pub(crate) fn of(superblock: &Superblock) -> Self {
        Self {
            volume: superblock.volume,
            blocks: superblock.blocks,
            start: superblock.start,
            floor: superblock.floor,
            durable: superblock.durable,
        }
    }
}

/// Where a log ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogEnd {
    /// The last entry.
    pub(crate) lsn: Lsn,
    /// Its epoch.
    pub(crate) epoch: Epoch,
    /// Its header's checksum.
    pub(crate) chain: u32,
    /// Where the next one goes.
    pub(crate) position: u64,
    /// What was durable, at least, by everything that was seen.
    pub(crate) witnessed: Lsn,
    /// What stopped the reading.
    pub(crate) stop: String,
    /// Whether a later superblock than the one in force must have existed.
    superseded: bool,
}

impl LogEnd {
    /// The point after the last entry.
    pub(crate) fn point(&self) -> LogStart {
        LogStart {
            lsn: self.lsn,
            epoch: self.epoch,
            position: self.position,
            chain: self.chain,
        }
    }

    /// The verdict: a clean or torn end, or a break.
    pub(crate) fn damage(&self, ring: &Ring) -> Option<Damage> {
        (self.witnessed > self.lsn || self.superseded).then(|| Damage::LogBroken {
            last_good: self.lsn,
            durable: self.witnessed,
            at: ring.place(self.position),
            found: self.stop.clone(),
        })
    }
}

/// Reads forward in large pieces.
struct Window {
    ring: Arc<Ring>,
    limit: u64,
    begin: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// `len` bytes at `position`, or `None` beyond the limit.
    fn get(&mut self, position: u64, len: u64) -> Result<Option<&[u8]>, DiskError> {
        if position + len > self.limit {
            return Ok(None);
        }
        let end = self.begin + self.bytes.len() as u64;
        if position < self.begin || position + len > end {
            let size = WINDOW_BYTES.max(len).min(self.limit - position);
            self.bytes.resize(size as usize, 0);
            self.begin = position;
            self.ring.read(position, &mut self.bytes)?;
            // The disk works on what comes next while this is looked at.
            let next = position + size;
            let ahead = AHEAD_BYTES.min(self.limit - next);
            if ahead > 0 {
                self.ring.will_read(next, ahead);
            }
        }
        let at = (position - self.begin) as usize;
        Ok(Some(&self.bytes[at..at + len as usize]))
    }
}

/// One pass over a log.
pub(crate) struct Scan {
    rules: Rules,
    window: Window,
    end: LogEnd,
    generation: u64,
}

impl Scan {
    pub(crate) fn new(ring: &Ring, rules: Rules) -> Self {
        let start = rules.start;
        Self {
            window: Window {
                limit: start.position + ring.bytes(),
                begin: start.position,
                bytes: Vec::new(),
                ring: Arc::new(ring.clone()),
            },
            end: LogEnd {
                lsn: start.lsn,
                epoch: start.epoch,
                chain: start.chain,
                position: start.position,
                witnessed: rules.durable,
                stop: String::new(),
                superseded: false,
            },
            generation: 0,
            rules,
        }
    }

    /// Reads every entry that counts; `visit` sees each with its payload, in order.
    pub(crate) fn run(
        mut self,
        mut visit: impl FnMut(Lsn, &Meta, &[u8], &Checksums),
    ) -> Result<LogEnd, DiskError> {
        loop {
            match self.next_header()? {
                Ok((header, checksum)) => {
                    let len = header.payload_len();
                    let at = self.end.position + HEADER_BYTES as u64;
                    let Some(payload) = self.window.get(at, len)? else {
                        return self.stopped("an entry larger than the ring".to_owned());
                    };
                    let sums = Checksums::of(payload);
                    if len > 0 && sums.whole() != header.payload_crc {
                        let stop =
                            format!("the payload of entry {} fails its checksum", header.lsn);
                        return self.stopped(stop);
                    }
                    let meta = Meta {
                        position: header.position,
                        epoch: header.epoch,
                        range: header.range,
                        checksum,
                        kind: header.kind,
                    };
                    if header.kind == EntryKind::Grow
                        && let Ok(VolumeOperation::Grow { blocks }) =
                            VolumeOperation::decode(header.kind, payload)
                    {
                        self.rules.blocks = self.rules.blocks.max(blocks.min(MAX_BLOCKS));
                    }
                    visit(header.lsn, &meta, payload, &sums);
                    self.take(&header, &meta);
                }
                Err(stop) => return self.stopped(stop),
            }
        }
    }

    fn take(&mut self, header: &Header, meta: &Meta) {
        self.generation = header.generation;
        self.end.lsn = header.lsn;
        self.end.epoch = header.epoch;
        self.end.chain = meta.checksum;
        self.end.position = meta.end();
        self.end.witnessed = self.end.witnessed.max(header.durable);
    }

    /// The header at the present end with its checksum, or why none that counts is there.
    fn next_header(&mut self) -> Result<Result<(Header, u32), String>, DiskError> {
        let at = self.end.position;
        let Some(bytes) = self.window.get(at, HEADER_BYTES as u64)? else {
            return Ok(Err("the ring is full".to_owned()));
        };
        let checksum = checksum_of(bytes);
        let header = match Header::decode(bytes) {
            Ok(header) => header,
            Err(fault) => return Ok(Err(fault.to_string())),
        };
        if let Err(stop) = self.belongs(&header, at) {
            return Ok(Err(stop));
        }
        if header.lsn != self.end.lsn.next()
            || header.chain != self.end.chain
            || header.previous_epoch != self.end.epoch
        {
            return Ok(Err(format!(
                "entry {} of epoch {} is there, which does not follow entry {}",
                header.lsn, header.epoch, self.end.lsn
            )));
        }
        if header.generation < self.generation || !self.fits_volume(&header) {
            return Ok(Err(format!(
                "entry {} contradicts the log before it",
                header.lsn
            )));
        }
        Ok(Ok((header, checksum)))
    }

    fn fits_volume(&self, header: &Header) -> bool {
        header
            .range
            .is_none_or(|range| range.is_within(self.rules.blocks))
            && at_most_end(header, self.window.limit)
    }

    /// Whether a header was written at this place, for this volume, and not cut since.
    fn belongs(&mut self, header: &Header, at: u64) -> Result<(), String> {
        if header.volume != self.rules.volume {
            return Err(format!("an entry of volume {} is there", header.volume));
        }
        if header.position > at {
            // It was written here once the log began beyond this place: a superblock said so.
            self.end.superseded = true;
            return Err("an entry of a later lap is there".to_owned());
        }
        if header.position != at {
            return Err("an entry of an earlier lap is there".to_owned());
        }
        if header.generation > self.rules.floor.generation {
            self.end.superseded = true;
            return Err("an entry newer than both superblocks is there".to_owned());
        }
        if at >= self.rules.floor.position && header.generation < self.rules.floor.generation {
            return Err("an entry that was cut is there".to_owned());
        }
        Ok(())
    }

    /// Looks beyond the stop for entries that name a durable position.
    fn stopped(mut self, stop: String) -> Result<LogEnd, DiskError> {
        self.end.stop = stop;
        let reach = UNSYNCED_BYTES_MAX + WINDOW_BYTES;
        let until = self.window.limit.min(self.end.position + reach);
        let mut at = self.end.position;
        while at + HEADER_BYTES as u64 <= until {
            let Some(bytes) = self.window.get(at, HEADER_BYTES as u64)? else {
                break;
            };
            if let Ok(header) = Header::decode(bytes)
                && self.belongs(&header, at).is_ok()
            {
                self.end.witnessed = self.end.witnessed.max(header.durable);
            }
            at += SECTOR;
        }
        Ok(self.end)
    }
}

fn at_most_end(header: &Header, limit: u64) -> bool {
    header.position + header.stored_len() <= limit
}
