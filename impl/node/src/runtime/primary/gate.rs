//! What clients may do, and when they are told that it is done.
//!
//! Promises: a write is acknowledged when the commit rule allows it, a flush when everything
//! acknowledged before it began is committed, a read shows nothing that was not acknowledged; and each
//! only if the lease is still valid at the end (F83). Without a lease requests are held. What cannot be
//! acknowledged waits, then fails with what is missing.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use holdfast_blockvol::{AppendError, ReadError, ReadPoint};
use holdfast_types::{BLOCK_SIZE, BlockRange, EntryKind, Lsn, ReplicaId};
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::block_in_place;
use tokio::time::Instant;

use super::uncommitted::Pressure;
use super::{Primary, StopReason};
use crate::commit::Progress;

/// Reads of no more than that are carried out on the spot if what they ask for is in memory.
const AT_ONCE_BYTES: usize = 64 << 10;

/// Why a request was not acknowledged. Whether a failed write took effect is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IoFailure {
    /// In time, nobody answered.
    #[error("timed out waiting for {what}{}", name_all(.replicas))]
    TimedOut {
        /// What was waited for.
        what: &'static str,
        /// The replicas that have not answered.
        replicas: Vec<ReplicaId>,
    },
    /// The volume is not served here any more.
    #[error("the volume is not served here any more: {reason}")]
    Stopped {
        /// Why.
        reason: StopReason,
    },
    /// The request cannot be carried out by any volume of this size.
    #[error("invalid request: {reason}")]
    Invalid {
        /// What is wrong with it.
        reason: String,
    },
    /// The store failed.
    #[error("the store failed: {detail}")]
    Store {
        /// What it said.
        detail: String,
    },
}

fn name_all(replicas: &[ReplicaId]) -> String {
    if replicas.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = replicas.iter().map(ReplicaId::as_str).collect();
    format!(" (not proven by {})", names.join(", "))
}

enum WaitEnd {
    TimedOut,
    Stopped(StopReason),
}

impl Primary {
    /// Size in blocks.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.store.volume().blocks()
    }

    /// Reads blocks.
    ///
    /// # Errors
    /// [`IoFailure`]; the buffer's content means nothing then.
    pub async fn read(&self, range: BlockRange, buffer: &mut [u8]) -> Result<(), IoFailure> {
        let deadline = Instant::now() + self.services.limits.write_timeout;
        self.admitted(deadline).await?;
        let volume = self.store.volume();
        // A thread that may block is handed over to, which takes longer than a read from memory.
        let at_once = match buffer.len() <= AT_ONCE_BYTES {
            true => volume.read_at_once(range, buffer),
            false => None,
        };
        let read = match at_once {
            Some(point) => Ok(point),
            None => self.read_after_restore(range, buffer, deadline).await?,
        };
        let point = read.map_err(|error| match error {
            error @ (ReadError::OutOfBounds { .. } | ReadError::BufferSize { .. }) => {
                IoFailure::Invalid {
                    reason: error.to_string(),
                }
            }
            error @ (ReadError::Untrusted
            | ReadError::Restoring { .. }
            | ReadError::Damaged(_)
            | ReadError::Disk(_)) => IoFailure::Store {
                detail: error.to_string(),
            },
        })?;
        // Nothing is shown that one failure can take back.
        if let Some(newest) = point.newest {
            let what = "an unacknowledged write to be acknowledged";
            self.reached(deadline, newest, what, |progress| progress.written)
                .await?;
        }
        self.admitted(deadline).await
    }

    /// Reads from the store; while a snapshot is being restored, waits for it.
    async fn read_after_restore(
        &self,
        range: BlockRange,
        buffer: &mut [u8],
        deadline: Instant,
    ) -> Result<Result<ReadPoint, ReadError>, IoFailure> {
        let mut moved = self.store.moved();
        loop {
            moved.borrow_and_update();
            let read = block_in_place(|| self.store.volume().read(range, buffer));
            let Err(ReadError::Restoring { lsn }) = read else {
                return Ok(read);
            };
            tokio::select! {
                _ = moved.changed() => {}
                () = tokio::time::sleep_until(deadline) => {
                    return Err(self.timed_out("a snapshot to be restored", lsn));
                }
                reason = self.until_stopped() => return Err(IoFailure::Stopped { reason }),
            }
        }
    }

    /// Logs a change and waits until the commit rule lets it be acknowledged.
    ///
    /// # Errors
    /// [`IoFailure`].
    pub async fn write(
        &self,
        kind: EntryKind,
        range: BlockRange,
        payload: Bytes,
        durably: bool,
    ) -> Result<(), IoFailure> {
        let deadline = Instant::now() + self.services.limits.write_timeout;
        if self.settling.load(Ordering::Acquire) {
            let reason = StopReason::Asked;
            return Err(IoFailure::Stopped { reason });
        }
        self.admitted(deadline).await?;
        let most = self.uncommitted().max_entry_blocks();
        let mut last = Lsn::ZERO;
        let mut start = range.start();
        while start < range.end() {
            let count = (range.end() - start).min(most);
            let part = BlockRange::new(start, count).map_err(|error| IoFailure::Invalid {
                reason: error.to_string(),
            })?;
            let data = if kind.has_payload() {
                let from = blocks_len(start - range.start());
                payload.slice(from..from + blocks_len(count))
            } else {
                Bytes::new()
            };
            last = self.append(kind, part, data, deadline).await?;
            start = part.end();
        }
        let what = "the write to be received";
        self.reached(deadline, last, what, |progress| progress.written)
            .await?;
        if durably {
            self.committed(last, deadline).await?;
        }
        self.admitted(deadline).await
    }

    /// Waits until everything acknowledged so far survives what the mode promises.
    ///
    /// # Errors
    /// [`IoFailure`].
    pub async fn flush(&self) -> Result<(), IoFailure> {
        let deadline = Instant::now() + self.services.limits.flush_timeout;
        self.admitted(deadline).await?;
        let head = self.store.positions().head;
        self.committed(head, deadline).await?;
        self.admitted(deadline).await
    }

    pub(super) async fn committed(&self, lsn: Lsn, deadline: Instant) -> Result<(), IoFailure> {
        if self.progress().committed < lsn {
            self.want_durable(lsn);
        }
        let what = "the flush to be durable";
        self.reached(deadline, lsn, what, |progress| progress.committed)
            .await
    }

    /// Appends one entry; while the log is full, waits for room.
    async fn append(
        &self,
        kind: EntryKind,
        range: BlockRange,
        payload: Bytes,
        deadline: Instant,
    ) -> Result<Lsn, IoFailure> {
        self.below_the_bound(deadline).await?;
        let mut moved = self.store.moved();
        loop {
            moved.borrow_and_update();
            let volume = self.store.volume();
            let appended = volume.try_append(self.epoch, kind, range, payload.clone());
            match appended {
                Ok(lsn) => {
                    self.uncommitted().logged(lsn, payload.len() as u64);
                    self.pacer().logged(payload.len() as u64);
                    self.note_local();
                    return Ok(lsn);
                }
                Err(
                    AppendError::LogFull { .. }
                    | AppendError::SyncFirst { .. }
                    | AppendError::Restoring { .. },
                ) => {}
                Err(
                    error @ (AppendError::OutOfBounds { .. }
                    | AppendError::TooLarge { .. }
                    | AppendError::Operation { .. }
                    | AppendError::Malformed { .. }),
                ) => {
                    return Err(IoFailure::Invalid {
                        reason: error.to_string(),
                    });
                }
                Err(
                    error @ (AppendError::Predecessor { .. }
                    | AppendError::NotNext { .. }
                    | AppendError::EpochOrder { .. }
                    | AppendError::EpochNotPromised { .. }
                    | AppendError::Untrusted
                    | AppendError::Poisoned(_)),
                ) => {
                    return Err(IoFailure::Store {
                        detail: error.to_string(),
                    });
                }
            }
            // Room comes from write-back, which waits for what is committed.
            self.want_durable(self.store.positions().head);
            tokio::select! {
                _ = moved.changed() => {}
                () = tokio::time::sleep_until(deadline) => {
                    return Err(self.timed_out("room in the log", Lsn::MAX));
                }
                reason = self.until_stopped() => return Err(IoFailure::Stopped { reason }),
            }
        }
    }

    /// Waits until the uncommitted log leaves room for another entry, and no base transfer has to
    /// catch up first.
    pub(super) async fn below_the_bound(&self, deadline: Instant) -> Result<(), IoFailure> {
        let mut progress = self.progress.subscribe();
        let mut pace = self.pace_moved.subscribe();
        loop {
            progress.borrow_and_update();
            pace.borrow_and_update();
            let pressure = self.uncommitted().pressure();
            match pressure {
                Pressure::None => {}
                Pressure::Settle | Pressure::Hold => {
                    self.want_durable(self.store.positions().head);
                }
            }
            let paced = self.pacer().must_wait();
            let what = match pressure {
                Pressure::Hold => "room in the uncommitted log",
                Pressure::None | Pressure::Settle if paced => "a base transfer",
                Pressure::None | Pressure::Settle => return Ok(()),
            };
            tokio::select! {
                _ = progress.changed() => {}
                _ = pace.changed() => {}
                () = tokio::time::sleep_until(deadline) => {
                    return Err(self.timed_out(what, Lsn::MAX));
                }
                reason = self.until_stopped() => return Err(IoFailure::Stopped { reason }),
            }
        }
    }

    /// Waits for service and a valid lease.
    pub(super) async fn admitted(&self, deadline: Instant) -> Result<(), IoFailure> {
        loop {
            if let Some(reason) = self.stop_reason() {
                return Err(IoFailure::Stopped { reason });
            }
            let now = self.services.clock.now();
            if self.is_serving() && *self.lease_until.borrow() > now {
                return Ok(());
            }
            let serving = self.wait(self.serving.subscribe(), deadline, |serving| *serving);
            match serving.await {
                Ok(()) => {}
                Err(end) => return Err(self.failed(end, "the volume to be served", Lsn::ZERO)),
            }
            let leased = self.wait(self.lease_until.subscribe(), deadline, |until| {
                *until > self.services.clock.now()
            });
            match leased.await {
                Ok(()) => {}
                Err(end) => return Err(self.failed(end, "the lease", Lsn::ZERO)),
            }
        }
    }

    async fn reached(
        &self,
        deadline: Instant,
        lsn: Lsn,
        what: &'static str,
        position: impl Fn(&Progress) -> Lsn,
    ) -> Result<(), IoFailure> {
        if position(&self.progress.borrow()) >= lsn {
            return Ok(());
        }
        let reached = self.wait(self.progress.subscribe(), deadline, |progress| {
            position(progress) >= lsn
        });
        reached.await.map_err(|end| self.failed(end, what, lsn))
    }

    async fn wait<T>(
        &self,
        mut watched: watch::Receiver<T>,
        deadline: Instant,
        reached: impl FnMut(&T) -> bool,
    ) -> Result<(), WaitEnd> {
        tokio::select! {
            biased;
            found = watched.wait_for(reached) => match found {
                Ok(_) => Ok(()),
                Err(_) => Err(WaitEnd::Stopped(StopReason::Asked)),
            },
            reason = self.until_stopped() => Err(WaitEnd::Stopped(reason)),
            () = tokio::time::sleep_until(deadline) => Err(WaitEnd::TimedOut),
        }
    }

    fn failed(&self, end: WaitEnd, what: &'static str, lsn: Lsn) -> IoFailure {
        match end {
            WaitEnd::TimedOut => self.timed_out(what, lsn),
            WaitEnd::Stopped(reason) => IoFailure::Stopped { reason },
        }
    }

    fn timed_out(&self, what: &'static str, lsn: Lsn) -> IoFailure {
        let failure = IoFailure::TimedOut {
            what,
            replicas: self.ledger().waited_for(lsn),
        };
        tracing::warn!(volume = %self.volume, %failure,
            "a request failed; `holdfast status` shows which copies are missing");
        failure
    }
}

fn blocks_len(blocks: u64) -> usize {
    usize::try_from(blocks).unwrap_or(usize::MAX / BLOCK_SIZE) * BLOCK_SIZE
}
