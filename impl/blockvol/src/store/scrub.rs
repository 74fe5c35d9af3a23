//! Scrubbing: everything at rest is read and verified, a bounded piece at a time, so that rot is
//! found while another copy can still repair it (F21).
//!
//! A pass goes over both superblock slots, the durable entries of the log, and the image. It says
//! what it found and changes nothing, but for a bad superblock slot, which is written again.

use std::collections::VecDeque;

use holdfast_types::{BLOCK_SIZE, BlockRange, Lsn};

use super::Store;
use super::read::is_entry;
use crate::disk::DiskError;
use crate::error::{Damage, Poisoned};
use crate::extent::{Extent, Fault};
use crate::image::range_bytes;
use crate::log::header::HEADER_BYTES;
use crate::log::ring::Ring;
use crate::log::scan::Meta;
use crate::superblock::Slots;

/// Where a pass has got to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ScrubPlace {
    /// At the superblocks.
    #[default]
    Slots,
    /// At the entries after this one.
    Log(Lsn),
    /// At this block of the image.
    Image(u64),
}

/// What one step of scrubbing did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrubReport {
    /// Bytes that were read and verified.
    pub bytes: u64,
    /// What was found to be damaged.
    pub found: Vec<Damage>,
    /// The pass has ended; the next step begins another one.
    pub ended: bool,
}

/// A piece to verify; see [`Store`].
#[derive(Debug)]
#[must_use]
pub struct ScrubStep {
    piece: Piece,
    extent_bound: Lsn,
    repairs: u64,
    generation: u64,
}

#[derive(Debug)]
enum Piece {
    Log {
        ring: Ring,
        entries: VecDeque<(Lsn, Meta)>,
    },
    Image {
        extent: Extent,
        range: BlockRange,
    },
}

/// What a piece turned out to be.
#[derive(Debug)]
pub(crate) enum Verified {
    Log(Vec<(Lsn, u64)>),
    Image(Vec<BlockRange>),
}

impl ScrubStep {
    /// Reads and verifies.
    pub(crate) fn run(&self) -> Result<Verified, DiskError> {
        match &self.piece {
            Piece::Log { ring, entries } => {
                let mut bad = Vec::new();
                let mut stored = Vec::new();
                for (lsn, meta) in entries {
                    stored.resize(HEADER_BYTES + meta.payload_len() as usize, 0);
                    ring.read(meta.position, &mut stored)?;
                    if !is_entry(meta, &stored) {
                        bad.push((*lsn, meta.position));
                    }
                }
                Ok(Verified::Log(bad))
            }
            Piece::Image { extent, range } => {
                let mut content = vec![0; range_bytes(*range) as usize];
                match extent.read(*range, &mut content) {
                    Ok(()) => Ok(Verified::Image(Vec::new())),
                    Err(Fault::Unfit(ranges)) => Ok(Verified::Image(ranges)),
                    Err(Fault::Disk(error)) => Err(error),
                }
            }
        }
    }

    fn bytes(&self) -> u64 {
        match &self.piece {
            Piece::Log { entries, .. } => entries
                .iter()
                .map(|(_, meta)| HEADER_BYTES as u64 + meta.payload_len())
                .sum(),
            Piece::Image { range, .. } => range_bytes(*range),
        }
    }
}

impl Store {
    /// Whether the next step of scrubbing looks at the superblocks ([`Store::finish_slots`]).
    pub(crate) fn scrubs_slots(&self) -> bool {
        self.scrub == ScrubPlace::Slots
    }

    /// Takes both slots as they are on the disk, while no superblock is written. A bad one is to be
    /// written again ([`Store::begin_settle`]).
    pub(crate) fn finish_slots(&mut self, slots: &Slots) -> ScrubReport {
        assert!(!self.meta_under_way, "slots read while they are written");
        self.scrub = ScrubPlace::Log(Lsn::ZERO);
        let mut found = Vec::new();
        for (index, slot) in slots.iter().enumerate() {
            if let Err(fault) = slot {
                let what = format!("slot {index} is not what was written ({fault})");
                found.push(Damage::Superblock { what });
            }
        }
        let newest = slots.iter().flatten().map(|slot| slot.generation).max();
        if found.is_empty() && newest != Some(self.superblock.generation) {
            let what = "the disk does not hold what was last written to it".to_owned();
            found.push(Damage::Superblock { what });
        }
        if !found.is_empty() {
            self.settled = false;
        }
        ScrubReport {
            bytes: (slots.len() * crate::superblock::SLOT_BYTES) as u64,
            found,
            ended: false,
        }
    }

    /// The next piece of a pass, of about `max_bytes` at most; `None` at its end.
    ///
    /// # Errors
    /// When the store is poisoned.
    pub(crate) fn begin_scrub(&mut self, max_bytes: u64) -> Result<Option<ScrubStep>, Poisoned> {
        self.check_poison()?;
        let piece = match self.scrub {
            ScrubPlace::Slots => None,
            ScrubPlace::Log(after) => self
                .log_piece(after, max_bytes)
                .or_else(|| self.image_piece(0, max_bytes)),
            ScrubPlace::Image(block) => self.image_piece(block, max_bytes),
        };
        if piece.is_none() {
            self.scrub = ScrubPlace::Slots;
        }
        Ok(piece.map(|piece| ScrubStep {
            piece,
            extent_bound: self.superblock.extent_bound,
            repairs: self.repairs,
            generation: self.log_generation(),
        }))
    }

    fn log_piece(&self, after: Lsn, max_bytes: u64) -> Option<Piece> {
        let mut entries = VecDeque::new();
        let mut bytes = 0;
        let mut lsn = after.max(self.retained.lsn);
        while lsn < self.durable && (bytes < max_bytes || entries.is_empty()) {
            lsn = lsn.next();
            let meta = self.meta(lsn)?;
            bytes += HEADER_BYTES as u64 + meta.payload_len();
            entries.push_back((lsn, meta));
        }
        (!entries.is_empty()).then(|| Piece::Log {
            ring: self.ring.clone(),
            entries,
        })
    }

    fn image_piece(&self, block: u64, max_bytes: u64) -> Option<Piece> {
        if self.is_blank() {
            return None;
        }
        let left = self.superblock.blocks.checked_sub(block)?;
        let count = (max_bytes / BLOCK_SIZE as u64).max(1).min(left);
        Some(Piece::Image {
            extent: self.extent.clone(),
            range: BlockRange::new(block, count).ok()?,
        })
    }

    /// Takes what a step found; `None` when the piece was written to meanwhile and must be looked at
    /// again. `alone` says that nobody can have written to the image.
    pub(crate) fn finish_scrub(
        &mut self,
        step: &ScrubStep,
        verified: Verified,
        alone: bool,
    ) -> Option<ScrubReport> {
        if step.generation != self.log_generation() {
            return None;
        }
        let found = match verified {
            Verified::Log(bad) => bad
                .into_iter()
                .filter(|(_, position)| *position >= self.superblock.start.position)
                .map(|(lsn, position)| Damage::LogPayload {
                    lsn,
                    at: self.ring.place(position),
                })
                .collect(),
            Verified::Image(unfit) => {
                let rested = step.extent_bound == self.superblock.extent_bound
                    && step.repairs == self.repairs;
                if !(unfit.is_empty() || rested || alone) {
                    return None;
                }
                self.at_rest(&unfit)
                    .into_iter()
                    .map(|range| Damage::Extent { range })
                    .collect()
            }
        };
        self.scrub = match &step.piece {
            Piece::Log { entries, .. } => match entries.back() {
                Some((last, _)) => ScrubPlace::Log(*last),
                None => ScrubPlace::Image(0),
            },
            Piece::Image { range, .. } => ScrubPlace::Image(range.end()),
        };
        for damage in &found {
            self.known_damage.note(damage);
        }
        Some(ScrubReport {
            bytes: step.bytes(),
            found,
            ended: false,
        })
    }

    /// Those of some blocks that the extent answers for; the others will be written again.
    pub(crate) fn at_rest(&self, ranges: &[BlockRange]) -> Vec<BlockRange> {
        let mut at_rest = Vec::new();
        if self.restore_under_way() {
            return at_rest; // all of it will be written again
        }
        for block in ranges.iter().flat_map(|range| range.start()..range.end()) {
            if self.index.is_settled(block) {
                crate::extent::join(&mut at_rest, block);
            }
        }
        at_rest
    }

    /// One step of scrubbing in one go: about `max_bytes` at most.
    ///
    /// # Errors
    /// When the store is poisoned, or the disk refuses.
    pub fn scrub_step(&mut self, max_bytes: u64) -> Result<ScrubReport, crate::FactsError> {
        if self.scrubs_slots() {
            let slots = self.begin_facts()?.run()?;
            let report = self.finish_slots(&slots);
            if !report.found.is_empty()
                && let Some(step) = self.begin_settle()?
            {
                let result = step.run();
                self.finish_meta(step, result)?;
            }
            return Ok(report);
        }
        let Some(step) = self.begin_scrub(max_bytes)? else {
            return Ok(ScrubReport {
                ended: true,
                ..ScrubReport::default()
            });
        };
        let verified = step.run()?;
        match self.finish_scrub(&step, verified, true) {
            Some(report) => Ok(report),
            None => unreachable!("nobody else has this store"),
        }
    }
}
