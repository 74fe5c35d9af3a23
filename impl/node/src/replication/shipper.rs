//! The primary's side of one session: what to send next, and what an answer proves.
//!
//! ```text
//!   durable <= received <= cursor <= head of the log
//!                          ^ next_lsn - 1
//! ```
//!
//! Promises: entries go out in the order of the log and nothing is left out or sent twice in a
//! session (F36, F46); an answer counts only if it is of this session and proves a position that was
//! asked for (F39, F49, M13); the entries sent and not yet received, and the barriers not yet
//! answered, are bounded (F41). Must never: append before a required truncation was confirmed (T9),
//! or take a position from anything but the replica's answer (F61).

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use holdfast_types::{Epoch, LogEntry, Lsn, SessionId, VolumeId};
use holdfast_wire::{Append, Frame, FrameType, LogPosition, MAX_BATCH_ENTRIES, Message, Refusal};
use thiserror::Error;

/// Barriers that may be unanswered at once: one being synced, one waiting for the next sync.
const BARRIERS_MAX: usize = 2;

/// Positions that may wait for a barrier at once; beyond it the highest two become one.
const WANTED_MAX: usize = 64;

/// What an entry costs beside its payload, in bytes: so that trims fill the window too.
const ENTRY_COST: u64 = 64;

/// Bounds of one session. Times are lengths of the caller's monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShipperLimits {
    /// Bytes of entries sent and not yet received, at most; one batch is always allowed.
    pub window_bytes: u64,
    /// Payload bytes in one batch, at most; one entry is always allowed.
    pub batch_bytes: u64,
    /// How long the replica may stay silent while something is expected of it.
    pub stall: Duration,
    /// How long a session may be quiet before a heartbeat is due.
    pub heartbeat: Duration,
    /// The same while the replica does not yet know the committed position.
    pub announce: Duration,
}

impl Default for ShipperLimits {
    fn default() -> Self {
        Self {
            window_bytes: 16 << 20,
            batch_bytes: 1 << 20,
            stall: Duration::from_secs(5),
            heartbeat: Duration::from_secs(1),
            announce: Duration::from_millis(20),
        }
    }
}

/// What the caller is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this, then ask again.
    Send(Message),
    /// Read entries after this position from the log and pass them to [`Shipper::batch`].
    Load {
        /// The last position that was sent.
        after: Lsn,
        /// Payload bytes wanted, at least one entry.
        max_bytes: u64,
    },
    /// Nothing before an answer, a new entry, or this time.
    Wait {
        /// When to ask again at the latest.
        until: Duration,
    },
}

/// What an answer of the replica proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The log there is cut, durably.
    Truncated {
        /// To here.
        to: Lsn,
    },
    /// Entries up to here are in its log.
    Received {
        /// Cumulative.
        lsn: Lsn,
    },
    /// Entries up to here survive its crash: the answer to a barrier of this session.
    Durable {
        /// Its durable position, no more than was sent to it.
        lsn: Lsn,
    },
}

/// Why a session cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ShipperError {
    /// The replica refused.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// A frame of another volume, epoch or session.
    #[error("a frame of epoch {epoch} session {session} in another session")]
    Foreign {
        /// Its epoch.
        epoch: Epoch,
        /// Its session.
        session: SessionId,
    },
    /// A message that answers nothing that was asked.
    #[error("{found:?} answers nothing that was asked")]
    Unasked {
        /// What came.
        found: FrameType,
    },
    /// A position that was never sent, or below one already proven (M04).
    #[error("the replica claims {claimed}, possible are {least} to {most}")]
    Impossible {
        /// The claim.
        claimed: Lsn,
        /// What it has proven before.
        least: Lsn,
        /// What it was sent.
        most: Lsn,
    },
    /// The log gave entries that do not follow the cursor.
    #[error("entry {found} of the log where {expected} follows")]
    LogOrder {
        /// What follows the cursor.
        expected: Lsn,
        /// What the log gave.
        found: Lsn,
    },
    /// Silence while an answer was due.
    #[error("no answer since {since:?}, {awaited}")]
    Stalled {
        /// Since when.
        since: Duration,
        /// What was awaited.
        awaited: &'static str,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    None,
    /// To be sent.
    Due(Lsn),
    /// Sent, not yet confirmed.
    Asked(Lsn),
}

/// One session with one replica.
#[derive(Clone, Debug)]
pub struct Shipper {
    volume: VolumeId,
    epoch: Epoch,
    session: SessionId,
    limits: ShipperLimits,
    cut: Cut,
    cursor: LogPosition,
    received: Lsn,
    durable: Lsn,
    in_flight: VecDeque<(Lsn, u64)>,
    in_flight_bytes: u64,
    barriers: VecDeque<Lsn>,
    /// Positions to be proven that no barrier sent so far covers, the lowest first.
    wanted: BTreeSet<Lsn>,
    announced_commit: Lsn,
    beat_open: bool,
    last_sent: Duration,
    last_heard: Duration,
}

impl Shipper {
    /// A session that begins at `from`, the last position that both logs share, after the
    /// truncation that the plan asks for. What the replica holds at `from` is known from its
    /// report and still proves nothing: received and durable begin there only for the order of the
    /// answers, and no evidence comes from them (M15).
    #[must_use]
    pub fn new(
        frame: (VolumeId, Epoch, SessionId),
        from: LogPosition,
        truncate: Option<Lsn>,
        limits: ShipperLimits,
        now: Duration,
    ) -> Self {
        let (volume, epoch, session) = frame;
        Self {
            volume,
            epoch,
            session,
            limits,
            cut: truncate.map_or(Cut::None, Cut::Due),
            cursor: from,
            received: from.lsn,
            durable: Lsn::ZERO,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            barriers: VecDeque::new(),
            wanted: BTreeSet::new(),
            announced_commit: Lsn::ZERO,
            beat_open: false,
            last_sent: now,
            last_heard: now,
        }
    }

    /// The last position sent.
    #[must_use]
    pub const fn cursor(&self) -> LogPosition {
        self.cursor
    }

    /// The position that is sent next.
    #[must_use]
    pub const fn next_lsn(&self) -> Lsn {
        self.cursor.lsn.next()
    }

    /// What the replica has proven received.
    #[must_use]
    pub const fn received(&self) -> Lsn {
        self.received
    }

    /// What the replica has proven durable in this session.
    #[must_use]
    pub const fn durable(&self) -> Lsn {
        self.durable
    }

    /// Asks for a barrier that proves at least `lsn`, which may not have been sent yet. A later wish
    /// for a higher position does not defer it (T3): a head that always moves ahead of the cursor
    /// would starve every barrier.
    pub fn want_barrier(&mut self, lsn: Lsn) {
        let asked = self.barriers.back().copied().unwrap_or(Lsn::ZERO);
        if lsn <= asked.max(self.durable) {
            return;
        }
        self.wanted.insert(lsn);
        if self.wanted.len() > WANTED_MAX
            && let Some(merged) = self.wanted.iter().nth_back(1).copied()
        {
            // The barrier of the highest proves it too.
            self.wanted.remove(&merged);
        }
    }

    /// Every wish up to `lsn` is covered.
    fn covered(&mut self, lsn: Lsn) {
        self.wanted = self.wanted.split_off(&lsn.next());
    }

    /// What to do next, with the head of the log and the committed position of this moment.
    pub fn next(&mut self, now: Duration, head: Lsn, committed: Lsn) -> Next {
        match self.cut {
            Cut::Due(to) => {
                self.cut = Cut::Asked(to);
                return self.send(now, Message::Truncate { to });
            }
            Cut::Asked(_) => return self.wait(now),
            Cut::None => {}
        }
        if let Some(barrier) = self.due_barrier() {
            self.barriers.push_back(barrier);
            self.covered(barrier);
            return self.send(now, Message::Barrier { lsn: barrier });
        }
        let room = self
            .limits
            .window_bytes
            .saturating_sub(self.in_flight_bytes);
        if self.cursor.lsn < head && (room > 0 || self.in_flight.is_empty()) {
            return Next::Load {
                after: self.cursor.lsn,
                max_bytes: room.min(self.limits.batch_bytes).max(1),
            };
        }
        let quiet = self.quiet_allowed(committed);
        if !self.beat_open && now.saturating_sub(self.last_sent) >= quiet {
            self.announced_commit = self.announced_commit.max(committed);
            let beat = self.send(now, Message::Heartbeat { committed });
            self.beat_open = true;
            return beat;
        }
        self.wait_at_most(now, quiet)
    }

    /// How long the session may be quiet from here.
    fn quiet_allowed(&self, committed: Lsn) -> Duration {
        if committed > self.announced_commit {
            self.limits.announce
        } else {
            self.limits.heartbeat
        }
    }

    /// The barrier to send now, if the lowest wanted position was sent: of everything sent, so that
    /// all that wait share one sync.
    fn due_barrier(&self) -> Option<Lsn> {
        let lowest = *self.wanted.first()?;
        let open = self.barriers.len() < BARRIERS_MAX;
        (open && lowest <= self.cursor.lsn).then_some(self.cursor.lsn)
    }

    fn send(&mut self, now: Duration, message: Message) -> Next {
        if !self.awaits_answer_but_for(&message) {
            self.last_heard = now;
        }
        self.last_sent = now;
        Next::Send(message)
    }

    /// Whether something was awaited already before `message` is sent.
    fn awaits_answer_but_for(&self, message: &Message) -> bool {
        let own_barrier = usize::from(message.frame_type() == FrameType::Barrier);
        self.beat_open || self.in_flight.len() + self.barriers.len() > own_barrier
    }

    fn wait(&self, now: Duration) -> Next {
        self.wait_at_most(now, self.limits.heartbeat)
    }

    fn wait_at_most(&self, now: Duration, quiet: Duration) -> Next {
        let heartbeat = self.last_sent + quiet;
        let stall = self.last_heard + self.limits.stall;
        let until = if self.awaited().is_some() {
            heartbeat.min(stall)
        } else {
            heartbeat
        };
        Next::Wait {
            until: until.max(now + Duration::from_millis(1)),
        }
    }

    /// Makes one message of entries that were read after the cursor, and moves the cursor over them.
    ///
    /// # Errors
    /// [`ShipperError::LogOrder`] when they do not follow it; nothing is changed then.
    pub fn batch(
        &mut self,
        now: Duration,
        entries: Vec<LogEntry<Bytes>>,
        committed: Lsn,
    ) -> Result<Option<Message>, ShipperError> {
        let mut entries = entries;
        entries.truncate(MAX_BATCH_ENTRIES);
        let mut expected = self.next_lsn();
        for entry in &entries {
            if entry.lsn != expected {
                return Err(ShipperError::LogOrder {
                    expected,
                    found: entry.lsn,
                });
            }
            expected = expected.next();
        }
        let Some(last) = entries.last() else {
            return Ok(None);
        };
        let previous = self.cursor;
        if self.awaited().is_none() {
            self.last_heard = now;
        }
        self.cursor = LogPosition {
            lsn: last.lsn,
            epoch: last.epoch,
        };
        let bytes = entries
            .iter()
            .map(|entry| entry.payload.len() as u64 + ENTRY_COST)
            .sum();
        self.in_flight.push_back((last.lsn, bytes));
        self.in_flight_bytes += bytes;
        self.announced_commit = self.announced_commit.max(committed);
        self.last_sent = now;
        Ok(Some(Message::Append(Append {
            previous,
            committed,
            entries,
        })))
    }

    /// What a frame from the replica proves.
    ///
    /// # Errors
    /// Every one ends the session: a refusal of the replica, or an answer that cannot be true.
    pub fn receive(&mut self, now: Duration, frame: &Frame) -> Result<Evidence, ShipperError> {
        if (frame.volume, frame.epoch, frame.session) != (self.volume, self.epoch, self.session) {
            return Err(ShipperError::Foreign {
                epoch: frame.epoch,
                session: frame.session,
            });
        }
        let evidence = match &frame.message {
            Message::Truncated { to } => self.truncated(*to)?,
            Message::Received { lsn } => self.was_received(*lsn)?,
            Message::BarrierAck { asked, durable } => self.was_synced(*asked, *durable)?,
            Message::Refusal(refusal) => return Err(ShipperError::Refused(refusal.clone())),
            Message::Hello(_)
            | Message::HelloAck(_)
            | Message::Append(_)
            | Message::Barrier { .. }
            | Message::Truncate { .. }
            | Message::RebuildBegin(_)
            | Message::RebuildReady
            | Message::RebuildChunk(_)
            | Message::RebuildProgress { .. }
            | Message::Manifest(_)
            | Message::BaseInstalled(_)
            | Message::Heartbeat { .. }
            | Message::ControlRequest(_)
            | Message::ControlReply(_) => {
                return Err(ShipperError::Unasked {
                    found: frame.message.frame_type(),
                });
            }
        };
        self.last_heard = now;
        Ok(evidence)
    }

    fn truncated(&mut self, to: Lsn) -> Result<Evidence, ShipperError> {
        match self.cut {
            Cut::Asked(asked) if asked == to => {
                self.cut = Cut::None;
                Ok(Evidence::Truncated { to })
            }
            Cut::Asked(asked) => Err(ShipperError::Impossible {
                claimed: to,
                least: asked,
                most: asked,
            }),
            Cut::None | Cut::Due(_) => Err(ShipperError::Unasked {
                found: FrameType::Truncated,
            }),
        }
    }

    fn was_received(&mut self, lsn: Lsn) -> Result<Evidence, ShipperError> {
        self.check_claim(lsn, self.received)?;
        self.received = lsn;
        self.beat_open = false;
        while let Some((last, bytes)) = self.in_flight.front().copied() {
            if last > lsn {
                break;
            }
            self.in_flight_bytes -= bytes;
            self.in_flight.pop_front();
        }
        Ok(Evidence::Received { lsn })
    }

    /// F39: the position asked for must be the one that was asked, in order, and what is claimed
    /// must reach it.
    fn was_synced(&mut self, asked: Lsn, durable: Lsn) -> Result<Evidence, ShipperError> {
        if self.barriers.front() != Some(&asked) {
            return Err(ShipperError::Unasked {
                found: FrameType::BarrierAck,
            });
        }
        self.check_claim(durable, asked.max(self.durable))?;
        self.barriers.pop_front();
        self.durable = durable;
        self.covered(durable);
        if durable > self.received {
            self.was_received(durable)?;
        }
        Ok(Evidence::Durable { lsn: durable })
    }

    fn check_claim(&self, claimed: Lsn, least: Lsn) -> Result<(), ShipperError> {
        let most = self.cursor.lsn;
        if claimed < least || claimed > most {
            return Err(ShipperError::Impossible {
                claimed,
                least,
                most,
            });
        }
        Ok(())
    }

    fn awaited(&self) -> Option<&'static str> {
        match self.cut {
            Cut::Asked(_) => return Some("a truncation was not confirmed"),
            Cut::None | Cut::Due(_) => {}
        }
        if !self.barriers.is_empty() {
            Some("a barrier was not answered")
        } else if !self.in_flight.is_empty() {
            Some("entries were not received")
        } else if self.beat_open {
            Some("a heartbeat was not answered")
        } else {
            None
        }
    }

    /// Whether the session may go on at this time.
    ///
    /// # Errors
    /// [`ShipperError::Stalled`] when the replica was silent for too long while an answer was due.
    pub fn check(&self, now: Duration) -> Result<(), ShipperError> {
        match self.awaited() {
            Some(awaited) if now.saturating_sub(self.last_heard) >= self.limits.stall => {
                Err(ShipperError::Stalled {
                    since: self.last_heard,
                    awaited,
                })
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
