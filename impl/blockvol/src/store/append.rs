//! Appending: entries are summed before anyone waits for anyone, checked, written with one positioned
//! write for all that come together, and only then do their LSNs exist (F13).
//!
//! It is a step like the others: `begin` checks, gives out positions and chains the headers, `run`
//! writes, `finish` takes the entries into memory. Between begin and finish of an append there is no
//! other append, no promise comes into force, no cut and no switch of bases ends; everything else may
//! happen. A write that failed stops the store: part of it may be on the disk, under LSNs that must not
//! be given out again.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_types::{BlockCount, BlockRange, EntryKind, Epoch, LogEntry, Lsn, VolumeOperation};

use super::Store;
use super::operations::size_after;
use crate::checksum::Checksums;
use crate::disk::{DiskError, SECTOR};
use crate::error::{AppendError, Poisoned};
use crate::image::range_bytes;
use crate::log::header::{HEADER_BYTES, Header, checksum_of, payload_len, stored_len};
use crate::log::ring::Ring;
use crate::log::scan::{Meta, UNSYNCED_BYTES_MAX};
use crate::superblock::LogStart;

/// Epoch-start entries that always find room (F96).
const EPOCH_STARTS_RESERVED: u64 = 64;
/// Bytes that requests of several writers take together, at most.
const GROUP_BYTES: u64 = 1 << 20;
/// How many they are at most.
const GROUP_REQUESTS: usize = 256;

/// An entry that has no LSN yet.
#[derive(Clone, Debug)]
pub(crate) struct NewEntry {
    pub(crate) epoch: Epoch,
    pub(crate) kind: EntryKind,
    pub(crate) range: Option<BlockRange>,
    pub(crate) payload: Bytes,
    sums: Checksums,
}

impl NewEntry {
    fn new(epoch: Epoch, kind: EntryKind, range: Option<BlockRange>, payload: Bytes) -> Self {
        Self {
            sums: Checksums::of(&payload),
            epoch,
            kind,
            range,
            payload,
        }
    }

    fn stored_len(&self) -> u64 {
        stored_len(payload_len(self.kind, self.range))
    }
}

/// On whose behalf entries are appended.
#[derive(Clone, Copy, Debug)]
enum Author {
    /// The primary of an epoch, which must be the promised one.
    Primary(Epoch),
    /// A replica: they follow this entry in the primary's log.
    Replica {
        predecessor: (Lsn, Epoch),
        /// Where they do not follow each other: what was expected, and found.
        gap: Option<(Lsn, Lsn)>,
    },
}

/// Entries to append together, all or none, summed already.
#[derive(Clone, Debug)]
pub(crate) struct AppendRequest {
    author: Author,
    entries: Vec<NewEntry>,
}

impl AppendRequest {
    /// One entry, as the primary of `epoch`.
    pub(crate) fn primary(
        epoch: Epoch,
        kind: EntryKind,
        range: Option<BlockRange>,
        payload: Bytes,
    ) -> Self {
        Self {
            author: Author::Primary(epoch),
            entries: vec![NewEntry::new(epoch, kind, range, payload)],
        }
    }

    /// A volume operation, as the primary of `epoch`.
    pub(crate) fn operation(epoch: Epoch, operation: &VolumeOperation) -> Self {
        let argument = Bytes::copy_from_slice(&operation.encode());
        Self::primary(epoch, operation.kind(), None, argument)
    }

    /// As a replica: what follows `predecessor` in the primary's log.
    pub(crate) fn replica(predecessor: (Lsn, Epoch), entries: &[LogEntry<Bytes>]) -> Self {
        let mut last = predecessor.0.0;
        let gap = entries.iter().find_map(|entry| {
            last = last.saturating_add(1);
            (entry.lsn != Lsn(last)).then_some((Lsn(last), entry.lsn))
        });
        let new = |entry: &LogEntry<Bytes>| {
            NewEntry::new(entry.epoch, entry.kind, entry.range, entry.payload.clone())
        };
        Self {
            author: Author::Replica { predecessor, gap },
            entries: entries.iter().map(new).collect(),
        }
    }

    /// Whether it may be written together with others: what is checked of it is not changed by
    /// another such request before it, but for the room.
    pub(crate) fn may_share(&self) -> bool {
        match self.author {
            Author::Primary(_) => self.entries.iter().all(|entry| entry.kind.has_range()),
            Author::Replica { .. } => false,
        }
    }

    /// Bytes that it takes in the ring, once its shape was checked.
    fn stored_len(&self) -> u64 {
        self.entries.iter().map(NewEntry::stored_len).sum()
    }

    /// About as many bytes, whatever its shape.
    fn weight(&self) -> u64 {
        let weight = |entry: &NewEntry| entry.payload.len() as u64 + SECTOR;
        self.entries.iter().map(weight).sum()
    }
}

/// Requests that are written together: one of any kind, or several that may share.
#[derive(Clone, Debug)]
pub(crate) struct AppendGroup {
    requests: Vec<Arc<AppendRequest>>,
    weight: u64,
}

impl AppendGroup {
    pub(crate) fn of(first: Arc<AppendRequest>) -> Self {
        Self {
            weight: first.weight(),
            requests: vec![first],
        }
    }

    /// Whether another one may come along.
    pub(crate) fn takes(&self, other: &AppendRequest) -> bool {
        other.may_share()
            && self.requests.first().is_some_and(|first| first.may_share())
            && self.requests.len() < GROUP_REQUESTS
            && self.weight + other.weight() <= GROUP_BYTES
    }

    pub(crate) fn add(&mut self, other: Arc<AppendRequest>) {
        self.weight += other.weight();
        self.requests.push(other);
    }
}

/// The write of a group; see [`Store`].
#[derive(Debug)]
#[must_use]
pub(crate) struct AppendStep {
    ring: Ring,
    position: u64,
    /// The zeroes that end an entry, and the header of the next one.
    seams: Vec<[u8; SECTOR as usize]>,
    /// The requests that are part of it, each with its last entry.
    requests: Vec<Arc<AppendRequest>>,
    metas: Vec<Meta>,
    tail: LogStart,
    generation: u64,
}

impl AppendStep {
    /// Writes all entries, one behind the other.
    pub(crate) fn run(&self) -> Result<(), DiskError> {
        let mut parts = Vec::with_capacity(2 * self.metas.len() + 1);
        let entries = self.requests.iter().flat_map(|request| &request.entries);
        let mut padding = 0;
        for (seam, entry) in self.seams.iter().zip(entries) {
            parts.push(IoSlice::new(
                &seam[SECTOR as usize - HEADER_BYTES - padding..],
            ));
            if !entry.payload.is_empty() {
                parts.push(IoSlice::new(&entry.payload));
            }
            padding = entry.stored_len() as usize - HEADER_BYTES - entry.payload.len();
        }
        parts.push(IoSlice::new(&ZEROES[..padding]));
        self.ring.write_parts(self.position, &parts)
    }

    /// An entry begins with its header, at the end of the seam before it.
    fn push(&mut self, header: [u8; HEADER_BYTES], meta: Meta) {
        let mut seam = [0; SECTOR as usize];
        seam[SECTOR as usize - HEADER_BYTES..].copy_from_slice(&header);
        self.seams.push(seam);
        self.metas.push(meta);
    }
}

const ZEROES: [u8; SECTOR as usize] = [0; SECTOR as usize];

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
        self.append_request(AppendRequest::primary(epoch, kind, range, payload))
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
        self.append_request(AppendRequest::replica(predecessor, entries))
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

    /// A request in one go. Returns the new head.
    pub(super) fn append_request(&mut self, request: AppendRequest) -> Result<Lsn, AppendError> {
        let group = AppendGroup::of(Arc::new(request));
        let (mut verdicts, step) = self.begin_append(&group);
        if let Some(step) = step {
            let result = step.run();
            self.finish_append(step, result)?;
        }
        match verdicts.pop() {
            Some(verdict) => verdict,
            None => unreachable!("a group has a request"),
        }
    }

    /// Checks a group, gives out positions and chains the headers. A verdict for each request: the head
    /// once its entries are in, if the step succeeds, or why they never will be. No step: nothing is
    /// left to write.
    pub(crate) fn begin_append(
        &mut self,
        group: &AppendGroup,
    ) -> (Vec<Result<Lsn, AppendError>>, Option<AppendStep>) {
        let count = group.requests.len();
        let mut step = AppendStep {
            ring: self.ring.clone(),
            position: self.tail.position,
            seams: Vec::with_capacity(count),
            requests: Vec::with_capacity(count),
            metas: Vec::with_capacity(count),
            tail: self.tail,
            generation: self.log_generation(),
        };
        let mut verdicts = Vec::with_capacity(count);
        for request in &group.requests {
            let before = step.tail.position - step.position;
            let checked = self.check_request(request, before);
            if checked.is_ok() {
                for entry in &request.entries {
                    let (header, meta) = self.encode(&mut step.tail, entry);
                    step.push(header, meta);
                }
                step.requests.push(Arc::clone(request));
            }
            verdicts.push(checked.map(|()| step.tail.lsn));
        }
        let writes = !step.metas.is_empty();
        (verdicts, writes.then_some(step))
    }

    /// Takes the result: the entries are in the log, or the store is poisoned.
    pub(crate) fn finish_append(
        &mut self,
        step: AppendStep,
        result: Result<(), DiskError>,
    ) -> Result<(), Poisoned> {
        if let Err(error) = result {
            return Err(self.poison(error));
        }
        self.check_poison()?;
        assert!(
            step.position == self.tail.position && step.generation == self.log_generation(),
            "the log was changed while it was appended to"
        );
        let entries = step.requests.iter().flat_map(|request| &request.entries);
        for (entry, meta) in entries.zip(&step.metas) {
            self.admit(entry, meta);
        }
        self.tail = step.tail;
        Ok(())
    }

    /// Whether a request can be carried out behind `before` bytes of the same write.
    fn check_request(&self, request: &AppendRequest, before: u64) -> Result<(), AppendError> {
        let entries = &request.entries;
        match request.author {
            Author::Primary(epoch) => self.check_primary(epoch, entries)?,
            Author::Replica { predecessor, gap } => self.check_follows(predecessor, gap)?,
        }
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
        let epoch_starts_only = entries.iter().all(|e| e.kind == EntryKind::EpochStart);
        self.check_space(before, request.stored_len(), epoch_starts_only)
    }

    fn check_primary(&self, epoch: Epoch, entries: &[NewEntry]) -> Result<(), AppendError> {
        for entry in entries.iter().filter(|entry| entry.kind.is_operation()) {
            if let Ok(operation) = VolumeOperation::decode(entry.kind, &entry.payload) {
                self.check_possible(&operation)?;
            }
        }
        let promised = self.superblock.promise.epoch;
        if epoch != promised {
            return Err(AppendError::EpochNotPromised {
                promised,
                found: epoch,
            });
        }
        let begins = entries.iter().all(|e| e.kind == EntryKind::EpochStart);
        match self.restoring() {
            Some(lsn) if !begins => Err(AppendError::Restoring { lsn }),
            Some(_) | None => Ok(()),
        }
    }

    fn check_follows(
        &self,
        predecessor: (Lsn, Epoch),
        gap: Option<(Lsn, Lsn)>,
    ) -> Result<(), AppendError> {
        self.check_poison()?;
        if predecessor != self.last() {
            return Err(AppendError::Predecessor {
                expected_lsn: self.tail.lsn,
                expected_epoch: self.tail.epoch,
                found_lsn: predecessor.0,
                found_epoch: predecessor.1,
            });
        }
        match gap {
            Some((expected, found)) => Err(AppendError::NotNext { expected, found }),
            None => Ok(()),
        }
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

    fn check_space(&self, before: u64, needed: u64, from_reserve: bool) -> Result<(), AppendError> {
        let unsynced = self.unsynced_bytes() + before;
        if unsynced > 0 && unsynced + needed > UNSYNCED_BYTES_MAX {
            return Err(AppendError::SyncFirst {
                unsynced,
                max: UNSYNCED_BYTES_MAX,
            });
        }
        let used = self.tail.position + before - self.superblock.start.position;
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

    /// The header of the next entry after `tail`, which moves past it.
    fn encode(&self, tail: &mut LogStart, entry: &NewEntry) -> ([u8; HEADER_BYTES], Meta) {
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
            payload_crc: entry.sums.whole(),
        };
        let bytes = header.encode();
        let checksum = checksum_of(&bytes);
        *tail = LogStart {
            lsn: header.lsn,
            epoch: entry.epoch,
            position: tail.position + header.stored_len(),
            chain: checksum,
        };
        let meta = Meta {
            position: header.position,
            epoch: entry.epoch,
            range: entry.range,
            checksum,
            kind: entry.kind,
        };
        (bytes, meta)
    }

    /// Takes an entry that is in the ring into memory.
    fn admit(&mut self, entry: &NewEntry, meta: &Meta) {
        let lsn = self.entries.last().next();
        if let Err(error) = self.lineage.record(entry.epoch, lsn) {
            // Epoch order was checked before anything was written.
            unreachable!("lineage refused entry {lsn}: {error}");
        }
        self.index.record(lsn, entry.kind, entry.range, &entry.sums);
        if entry.kind.is_operation()
            && let Ok(operation) = VolumeOperation::decode(entry.kind, &entry.payload)
        {
            self.operations.push_back((lsn, operation));
        }
        self.recent.push(entry.payload.clone());
        self.entries.push(meta);
    }
}
