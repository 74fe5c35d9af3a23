//! The replica's side of one connection, from its hello to its end, as one state machine around a
//! [`Receiver`].
//!
//! ```text
//!   frame -> checked under the authority of this moment -> one call on the store -> its answer
//!   a batch without room:  nothing is read; tried again whenever the store moved, for so long
//!   barriers:              answered whenever the store is durable up to one
//! ```
//!
//! It does nothing by itself. Its driver is alone with the store (T7) from the reading of the present
//! authority to the call's end, for [`ReplicaSession::frame`], [`ReplicaSession::retry`] and
//! [`ReplicaSession::answers`] alike, so that what was checked is still so when the effect takes
//! place (F37, F49).
//!
//! Promises: the session ends when a newer one was admitted or a higher epoch promised, when its
//! primary is silent for too long, and when its store failed; its memory is bounded by one batch and
//! one frame (F45). No I/O, no clock. Must never: answer a barrier on behalf of a session that was
//! superseded, or take a frame while a batch waits for room.

use std::time::Duration;

use bytes::Bytes;
use holdfast_types::{BlockCount, Epoch, LogEntry, Lsn, SessionId, VolumeId};
use holdfast_wire::{Frame, Hello, Message, Refusal};

use super::{Present, Receiver, StoreCall, StoreOutcome};

/// How long a batch may wait for room in the log.
const ROOM_WAIT: Duration = Duration::from_secs(5);

/// How often a session looks whether its store still works.
const HEALTH_EVERY: Duration = Duration::from_secs(1);

/// The volume, epoch and session for which a frame speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// The volume.
    pub volume: VolumeId,
    /// The epoch.
    pub epoch: Epoch,
    /// The session.
    pub session: SessionId,
}

impl About {
    /// For whom a frame speaks.
    #[must_use]
    pub const fn of(frame: &Frame) -> Self {
        Self {
            volume: frame.volume,
            epoch: frame.epoch,
            session: frame.session,
        }
    }

    /// A frame that speaks for the same.
    #[must_use]
    pub const fn with(self, message: Message) -> Frame {
        Frame {
            volume: self.volume,
            epoch: self.epoch,
            session: self.session,
            message,
        }
    }
}

/// What the store did of a [`StoreCall`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Performed {
    /// It is done.
    Done(StoreOutcome),
    /// It is asked for; [`ReplicaSession::answers`] tells when it is done.
    Begun,
    /// There was no room for all of a batch: these are left, and the refusal that says so.
    NoRoom {
        /// Entries that are not in the log.
        entries: Vec<LogEntry<Bytes>>,
        /// What is committed, as the batch said.
        committed: Lsn,
        /// Why.
        refusal: Refusal,
    },
}

/// A batch that waits for room in the log.
#[derive(Clone, Debug)]
struct Waiting {
    entries: Vec<LogEntry<Bytes>>,
    committed: Lsn,
}

/// One connection of a primary.
#[derive(Clone, Debug)]
pub struct ReplicaSession {
    receiver: Receiver,
    /// How long the primary may be silent.
    idle: Duration,
    heard: Duration,
    /// A batch for which the log has no room yet. Nothing is read before it is in; barriers are
    /// answered all the while, since what they prove is what makes room.
    waiting: Option<Waiting>,
    /// Until when the last batch that came may wait.
    room_until: Duration,
}

impl ReplicaSession {
    /// A connection to the store of a volume of so many blocks, with a log of so many bytes, whose
    /// primary may be silent for `idle`; nothing is admitted yet.
    #[must_use]
    pub const fn new(
        volume: VolumeId,
        blocks: BlockCount,
        log_bytes: u64,
        idle: Duration,
        now: Duration,
    ) -> Self {
        Self {
            receiver: Receiver::new(volume, blocks, log_bytes),
            idle,
            heard: now,
            waiting: None,
            room_until: now,
        }
    }

    /// Whether a hello would be admitted at present; changes nothing.
    ///
    /// # Errors
    /// The refusal to answer with.
    pub fn check_hello(
        &self,
        about: About,
        hello: &Hello,
        present: Present,
    ) -> Result<(), Refusal> {
        self.receiver
            .check_hello(about.epoch, about.session, hello, present)
    }

    /// Whether frames are taken: no batch waits for room.
    #[must_use]
    pub const fn takes_frames(&self) -> bool {
        self.waiting.is_none()
    }

    /// What a frame asks of the store, or `None` when there is nothing to do for it.
    ///
    /// # Errors
    /// The refusal to end the session with.
    pub fn frame(
        &mut self,
        now: Duration,
        frame: Frame,
        present: Present,
    ) -> Result<Option<StoreCall>, Refusal> {
        self.heard = now;
        self.room_until = now + ROOM_WAIT;
        self.receiver.frame(frame, present)
    }

    /// The batch that waits, to be tried again under the authority of this moment.
    ///
    /// # Errors
    /// The refusal to end the session with: it was superseded, or there was no room in time.
    pub fn retry(&mut self, now: Duration, present: Present) -> Result<Option<StoreCall>, Refusal> {
        if self.waiting.is_some() {
            // It is this side that does not read.
            self.heard = now;
            self.check_present(present)?;
        }
        Ok(self.waiting.take().map(|waiting| StoreCall::Append {
            previous: self.receiver.last(),
            entries: waiting.entries,
            committed: waiting.committed,
        }))
    }

    /// The store has done, or begun, what was asked: what to answer.
    ///
    /// # Errors
    /// The refusal to end the session with.
    pub fn performed(
        &mut self,
        now: Duration,
        performed: Performed,
    ) -> Result<Option<Message>, Refusal> {
        match performed {
            Performed::Done(outcome) => self.receiver.done(outcome),
            Performed::Begun => Ok(None),
            Performed::NoRoom { refusal, .. } if now >= self.room_until => Err(refusal),
            Performed::NoRoom {
                entries, committed, ..
            } => {
                self.waiting = Some(Waiting { entries, committed });
                Ok(None)
            }
        }
    }

    /// Whether a barrier waits whose entries are here.
    #[must_use]
    pub fn awaits_sync(&self) -> bool {
        self.receiver.sync_due().is_some()
    }

    /// The answers to all barriers that the store's durable position satisfies.
    ///
    /// # Errors
    /// When the session was superseded: it vouches for nothing, the log may have been cut since.
    pub fn answers(&mut self, present: Present, durable: Lsn) -> Result<Vec<Message>, Refusal> {
        self.check_present(present)?;
        let mut answers = Vec::new();
        while let Some(answer) = self.receiver.durable(durable) {
            answers.push(answer);
        }
        Ok(answers)
    }

    /// Whether this session's log has reached its primary's; see
    /// [`Receiver::has_reached_the_primary`].
    #[must_use]
    pub fn has_reached_the_primary(&self) -> bool {
        self.receiver.has_reached_the_primary()
    }

    /// Whether the primary has been silent for too long at this time.
    #[must_use]
    pub fn is_abandoned(&self, now: Duration) -> bool {
        self.takes_frames() && now.saturating_sub(self.heard) >= self.idle
    }

    /// When to look at the session again at the latest.
    #[must_use]
    pub fn look_again(&self, now: Duration) -> Duration {
        now + HEALTH_EVERY.min(self.idle)
    }

    /// Whether this connection's session is still the newest that the store has admitted.
    fn check_present(&self, present: Present) -> Result<(), Refusal> {
        match self.receiver.authority() {
            Some((epoch, session))
                if (present.epoch, present.session) == (epoch, Some(session)) =>
            {
                Ok(())
            }
            Some((epoch, session)) => Err(superseded(epoch, session, present)),
            None => Err(superseded(Epoch(0), SessionId(0), present)),
        }
    }
}

/// The refusal for whoever speaks in a session that is over.
#[must_use]
pub fn superseded(epoch: Epoch, session: SessionId, present: Present) -> Refusal {
    if present.epoch > epoch {
        Refusal::StaleEpoch {
            offered: epoch,
            promised: present.epoch,
        }
    } else {
        Refusal::NotTheSession {
            offered: session,
            present: present.session,
        }
    }
}

#[cfg(test)]
mod tests;
