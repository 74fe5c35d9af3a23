//! Appending: checks first, then one positioned write, then the LSN exists (F13).

use bytes::Bytes;
use holdfast_types::{BlockCount, BlockRange, EntryKind, Epoch, LogEntry, Lsn, VolumeOperation};

use super::Store;
use super::operations::size_after;
use crate::error::AppendError;
use crate::image::range_bytes;
use crate::log::header::{HEADER_BYTES, Header, checksum_of, payload_len, stored_len};
use crate::log::scan::{Meta, UNSYNCED_BYTES_MAX};
use crate::superblock::LogStart;

/// Epoch-start entries that always find room (F96).
const EPOCH_STARTS_RESERVED: u64 = 64;

/// An entry that has no LSN yet.
#[derive(Clone, Debug)]
pub(crate) struct NewEntry {
    pub(crate) epoch: Epoch,
    pub(crate) kind: EntryKind,
    pub(crate) range: Option<BlockRange>,
    pub(crate) payload: Bytes,
}

impl NewEntry {
    fn stored_len(&self) -> u64 {
        stored_len(payload_len(self.kind, self.range))
    }
}

impl Store {
    /// Appends as the primary of `epoch`, which must be the promised one.
    ///
    /// # Errors
    /// Any of [`AppendError`]; nothing was appended then.
    pub fn append(
        &mut self,
        epoch: Epoch,
        kind: EntryKind,
        range: Option<BlockRange>,
        payload: Bytes,
    ) -> Result<Lsn, AppendError> {
        let promised = self.superblock.promise.epoch;
        if epoch != promised {
            return Err(AppendError::EpochNotPromised {
                promised,
                found: epoch,
            });
        }
        if let Some(lsn) = self.restoring()
            && kind != EntryKind::EpochStart
        {
            return Err(AppendError::Restoring { lsn });
        }
        self.append_new(&[NewEntry {
            epoch,
            kind,
            range,
            payload,
        }])
    }

    /// Appends as a replica what follows `predecessor` in the primary's log: all of it, or
    /// nothing. Entries keep the epoch they were first logged in (F47).
    ///
    /// # Errors
    /// Any of [`AppendError`]; nothing was appended then.
    pub fn append_entries(
        &mut self,
        predecessor: (Lsn, Epoch),
        entries: &[LogEntry<Bytes>],
    ) -> Result<Lsn, AppendError> {
        self.check_poison()?;
        if predecessor != self.last() {
            return Err(AppendError::Predecessor {
                expected_lsn: self.tail.lsn,
                expected_epoch: self.tail.epoch,
                found_lsn: predecessor.0,
                found_epoch: predecessor.1,
            });
        }
        let mut expected = self.tail.lsn;
        for entry in entries {
            expected = expected.next();
            if entry.lsn != expected {
                return Err(AppendError::NotNext {
                    expected,
                    found: entry.lsn,
                });
            }
        }
        let new: Vec<NewEntry> = entries
            .iter()
            .map(|entry| NewEntry {
                epoch: entry.epoch,
                kind: entry.kind,
                range: entry.range,
                payload: entry.payload.clone(),
            })
            .collect();
        self.append_new(&new)
    }

    /// Appends one entry as a replica; see [`Store::append_entries`].
    ///
    /// # Errors
    /// Any of [`AppendError`]; nothing was appended then.
    pub fn append_entry(
        &mut self,
        predecessor: (Lsn, Epoch),
        entry: LogEntry<Bytes>,
    ) -> Result<Lsn, AppendError> {
        self.append_entries(predecessor, std::slice::from_ref(&entry))
    }

    /// All of `entries` in one write, or nothing. Returns the new head.
    pub(crate) fn append_new(&mut self, entries: &[NewEntry]) -> Result<Lsn, AppendError> {
        self.check_poison()?;
        if self.is_blank() {
            return Err(AppendError::Untrusted);
        }
        let mut last = self.tail.epoch;
        let mut blocks = self.blocks_at_head();
        for entry in entries {
            blocks = self.check_shape(entry, blocks)?;
            self.check_epoch(last, entry)?;
            last = entry.epoch;
        }
        let needed = entries.iter().map(NewEntry::stored_len).sum();
        let epoch_starts_only = entries.iter().all(|e| e.kind == EntryKind::EpochStart);
        self.check_space(needed, epoch_starts_only)?;
        self.write_entries(entries)
    }

    /// Whether kind, range and payload fit each other and a volume of so many blocks; its size after
    /// the entry.
    fn check_shape(&self, entry: &NewEntry, blocks: BlockCount) -> Result<BlockCount, AppendError> {
        if entry.kind.is_operation() && entry.range.is_none() {
            let operation = self.check_operation(entry)?;
            return Ok(size_after(&operation).map_or(blocks, |after| after.max(blocks)));
        }
        let Some(range) = entry.range else {
            return match (entry.kind.has_range(), entry.payload.is_empty()) {
                (false, true) => Ok(blocks),
                (true, _) => Err(AppendError::Malformed {
                    what: "an entry of this kind names a range",
                }),
                (false, false) => Err(AppendError::Malformed {
                    what: "an epoch start carries no payload",
                }),
            };
        };
        if !entry.kind.has_range() {
            return Err(AppendError::Malformed {
                what: "an entry of this kind names no range",
            });
        }
        if !range.is_within(blocks) {
            return Err(AppendError::OutOfBounds { range, blocks });
        }
        let max = self.max_entry_blocks();
        if entry.kind.has_payload() && range.count() > max {
            return Err(AppendError::TooLarge {
                count: range.count(),
                max,
            });
        }
        let expected = if entry.kind.has_payload() {
            range_bytes(range)
        } else {
            0
        };
        if entry.payload.len() as u64 != expected {
            return Err(AppendError::Malformed {
                what: "the payload is not of the range's size",
            });
        }
        Ok(blocks)
    }

    fn check_epoch(&self, last: Epoch, entry: &NewEntry) -> Result<(), AppendError> {
        let found = entry.epoch;
        let promised = self.superblock.promise.epoch;
        if found > promised {
            return Err(AppendError::EpochNotPromised { promised, found });
        }
        let starts = entry.kind == EntryKind::EpochStart;
        let what = match found.cmp(&last) {
            std::cmp::Ordering::Less => "epochs never go back",
            std::cmp::Ordering::Equal if starts => "an epoch begins once",
            std::cmp::Ordering::Greater if !starts => "an epoch begins with its epoch start",
            std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => return Ok(()),
        };
        Err(AppendError::EpochOrder { last, found, what })
    }

    fn check_space(&self, needed: u64, from_reserve: bool) -> Result<(), AppendError> {
        let unsynced = self.unsynced_bytes();
        if unsynced > 0 && unsynced + needed > UNSYNCED_BYTES_MAX {
            return Err(AppendError::SyncFirst {
                unsynced,
                max: UNSYNCED_BYTES_MAX,
            });
        }
        let used = self.tail.position - self.superblock.start.position;
        let reserve = if from_reserve { 0 } else { self.reserve() };
        let free = (self.ring.bytes() - used).saturating_sub(reserve);
        if needed > free {
            return Err(AppendError::LogFull {
                needed,
                free,
                checkpoint: self.superblock.checkpoint,
                bound: self.flushable(),
                write_back_error: self.write_back_error.clone().map(Box::new),
            });
        }
        Ok(())
    }

    /// Bytes kept free for epoch-start entries: 64 of them, at most an eighth of the ring.
    pub(super) fn reserve(&self) -> u64 {
        (EPOCH_STARTS_RESERVED * stored_len(0)).min(self.ring.bytes() / 8)
    }

    fn write_entries(&mut self, entries: &[NewEntry]) -> Result<Lsn, AppendError> {
        let begin = self.tail.position;
        let mut tail = self.tail;
        let mut metas = Vec::with_capacity(entries.len());
        self.scratch.clear();
        for entry in entries {
            let (header, checksum) = self.encode(&mut tail, entry);
            self.scratch.extend_from_slice(&header);
            self.scratch.extend_from_slice(&entry.payload);
            self.scratch.resize((tail.position - begin) as usize, 0);
            metas.push(Meta {
                position: tail.position - entry.stored_len(),
                epoch: entry.epoch,
                range: entry.range,
                checksum,
                kind: entry.kind,
            });
        }
        if let Err(error) = self.ring.write(begin, &self.scratch) {
            // Part of it may be on the disk, under LSNs that must not be given out again.
            return Err(self.poison(error).into());
        }
        for (entry, meta) in entries.iter().zip(metas) {
            self.admit(entry, meta);
        }
        self.tail = tail;
        Ok(tail.lsn)
    }

    /// The header of the next entry after `tail`, which moves past it.
    fn encode(&self, tail: &mut LogStart, entry: &NewEntry) -> ([u8; HEADER_BYTES], u32) {
        let payload_crc = if entry.payload.is_empty() {
            0
        } else {
            crc32c::crc32c(&entry.payload)
        };
        let header = Header {
            volume: self.superblock.volume,
            position: tail.position,
            generation: self.log_generation(),
            lsn: tail.lsn.next(),
            epoch: entry.epoch,
            kind: entry.kind,
            range: entry.range,
            durable: self.durable,
            previous_epoch: tail.epoch,
            chain: tail.chain,
            payload_crc,
        };
        let bytes = header.encode();
        let checksum = checksum_of(&bytes);
        *tail = LogStart {
            lsn: header.lsn,
            epoch: entry.epoch,
            position: tail.position + header.stored_len(),
            chain: checksum,
        };
        (bytes, checksum)
    }

    /// Takes an entry that is in the ring into memory.
    fn admit(&mut self, entry: &NewEntry, meta: Meta) {
        let lsn = Lsn(self.superblock.start.lsn.0 + self.metas.len() as u64).next();
        if let Err(error) = self.lineage.record(entry.epoch, lsn) {
            // Epoch order was checked before anything was written.
            unreachable!("lineage refused entry {lsn}: {error}");
        }
        self.index.record(lsn, &meta, &entry.payload);
        if entry.kind.is_operation()
            && let Ok(operation) = VolumeOperation::decode(entry.kind, &entry.payload)
        {
            self.operations.push_back((lsn, operation));
        }
        self.recent.push(entry.payload.clone());
        self.metas.push_back(meta);
    }
}
