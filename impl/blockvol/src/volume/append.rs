//! Appending and cutting, as many threads do it: who finds the log full waits for room, who finds
//! too much of it unsynced syncs first.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use holdfast_types::{BlockRange, EntryKind, Epoch, Lsn};

use super::{Entry, Volume};
use crate::error::{AppendError, SyncError, TruncateError};
use crate::store::AppendRequest;
use crate::threads::atomic::Ordering;

/// Bytes of payload appended in one write, at most, beyond the first entry.
const APPEND_BYTES: u64 = 1 << 20;

impl Volume {
    /// Appends a write, trim or write-zeroes as the primary of `epoch`; is slowed down as the log
    /// fills ([`Volume::pace`]), and waits for room in it as long as the options say. Buffered: durable after a sync.
    ///
    /// # Errors
    /// Any of [`AppendError`]; nothing was appended then.
    pub fn append(
        &self,
        epoch: Epoch,
        kind: EntryKind,
        range: BlockRange,
        payload: Bytes,
    ) -> Result<Lsn, AppendError> {
        self.wait_for_place(payload.len() as u64);
        self.append_waiting(AppendRequest::primary(epoch, kind, Some(range), payload))
    }

    /// The same without waiting: [`AppendError::LogFull`] or [`AppendError::SyncFirst`] at once.
    /// A later change of positions (see [`Volume::subscribe`]) is the time to try again.
    ///
    /// # Errors
    /// Any of [`AppendError`]; nothing was appended then.
    pub fn try_append(
        &self,
        epoch: Epoch,
        kind: EntryKind,
        range: BlockRange,
        payload: Bytes,
    ) -> Result<Lsn, AppendError> {
        let request = AppendRequest::primary(epoch, kind, Some(range), payload);
        let result = self.shared.append(&Arc::new(request));
        match &result {
            Err(AppendError::LogFull { .. } | AppendError::Restoring { .. }) => {
                self.request_sync();
                self.shared.kick_writer();
            }
            Err(AppendError::SyncFirst { .. }) => self.request_sync(),
            Ok(_) => self.sync_early(),
            Err(_) => {}
        }
        result
    }

    /// Logs the first entry of an epoch, from the log's reserve if need be (F96).
    ///
    /// # Errors
    /// Any of [`AppendError`]; nothing was appended then.
    pub fn append_epoch_start(&self, epoch: Epoch) -> Result<Lsn, AppendError> {
        let start = EntryKind::EpochStart;
        self.append_waiting(AppendRequest::primary(epoch, start, None, Bytes::new()))
    }

    /// Appends as a replica the entry that follows `predecessor`, waiting for room.
    ///
    /// # Errors
    /// Any of [`AppendError`], naming what was expected; nothing was appended then.
    pub fn append_entry(
        &self,
        predecessor: (Lsn, Epoch),
        entry: Entry,
    ) -> Result<Lsn, AppendError> {
        self.append_entries(predecessor, std::slice::from_ref(&entry))
    }

    /// Appends as a replica the entries that follow `predecessor`, in few disk writes, waiting
    /// for room. Returns the new head.
    ///
    /// # Errors
    /// Any of [`AppendError`]. Entries before the refused one may be appended: the head tells.
    pub fn append_entries(
        &self,
        predecessor: (Lsn, Epoch),
        entries: &[Entry],
    ) -> Result<Lsn, AppendError> {
        let mut predecessor = predecessor;
        let mut rest = entries;
        loop {
            let batch = &rest[..batch_len(rest)];
            let head = self.append_waiting(AppendRequest::replica(predecessor, batch))?;
            rest = &rest[batch.len()..];
            match batch.last() {
                Some(last) if !rest.is_empty() => predecessor = (last.lsn, last.epoch),
                Some(_) | None => return Ok(head),
            }
        }
    }

    pub(super) fn append_waiting(&self, request: AppendRequest) -> Result<Lsn, AppendError> {
        let request = Arc::new(request);
        let mut deadline = None;
        loop {
            // Room that is made from here on is seen below.
            let log_start = self.shared.log_start_hint.load(Ordering::Relaxed);
            let full = match self.shared.append(&request) {
                Err(AppendError::SyncFirst { .. }) => {
                    self.sync_for_append()?;
                    continue;
                }
                Err(full @ (AppendError::LogFull { .. } | AppendError::Restoring { .. })) => full,
                result => {
                    self.sync_early();
                    return result;
                }
            };
            let now = Instant::now();
            let until = *deadline.get_or_insert(now + self.shared.options.log_full_wait);
            if !self.wait_for_room(until, log_start) {
                return Err(full);
            }
        }
    }

    fn sync_for_append(&self) -> Result<(), AppendError> {
        match self.sync() {
            Ok(_) | Err(SyncError::Cut { .. } | SyncError::BeyondHead { .. }) => Ok(()),
            Err(SyncError::Poisoned(poisoned)) => Err(poisoned.into()),
        }
    }

    /// Cuts everything after `to`, durably; pins beyond it are revoked.
    ///
    /// # Errors
    /// When effects beyond `to` may be in the extent (a rebuild is needed), or `to` is beyond the
    /// head; nothing was changed then. When the disk fails the volume is poisoned.
    pub fn truncate(&self, to: Lsn) -> Result<(), TruncateError> {
        let shared = &self.shared;
        let _flush = shared.flush_lock();
        shared.lock().store.check_truncate(to)?;
        match self.sync() {
            Ok(_) => {}
            Err(SyncError::Poisoned(poisoned)) => return Err(poisoned.into()),
            Err(SyncError::BeyondHead { .. } | SyncError::Cut { .. }) => {
                unreachable!("cuts and switches of bases come one after the other")
            }
        }
        let _meta = shared.meta_lock();
        let Some(step) = shared.with_store(|store| store.begin_cut(to))? else {
            return Ok(());
        };
        let result = step.run();
        shared.between_appends(|store| store.finish_cut(step, result))
    }
}

/// How many entries go into one disk write: at least one, unless there is none.
fn batch_len(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    let fitting = entries
        .iter()
        .take_while(|entry| {
            bytes += entry.payload.len() as u64;
            bytes <= APPEND_BYTES
        })
        .count();
    fitting.max(1).min(entries.len())
}
