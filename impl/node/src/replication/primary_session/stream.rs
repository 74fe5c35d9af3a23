//! The log on its way to the replica: the gap first, and what is written meanwhile.

use std::time::Duration;

use holdfast_engine::{CatchUpCommand, CatchUpEvidence, Command, RebuildCommand, RebuildEvidence};
use holdfast_types::{Epoch, Lsn};
use holdfast_wire::{Append, Frame, LogPosition, Message, Refusal};

use super::spans::ReplaySpans;
use super::{
    Finding, Given, LOOK_EVERY, Note, PrimarySession, SessionError, Stage, Todo, View, Want,
    ungiven,
};
use crate::replication::{Evidence, Next, Shipper, ShipperError, ShipperLimits};

/// A stream that is to begin, once it is known which epoch its position is of.
#[derive(Clone, Debug)]
pub(super) struct Positioning {
    pub(super) from: Lsn,
    pub(super) truncate: Option<Lsn>,
    pub(super) command: Command,
    /// Whether the log is kept for it.
    pub(super) holds: bool,
}

/// How far the session is, and whether the log is kept for it at the source.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    shipper: Shipper,
    command: Command,
    holds: bool,
    spans: ReplaySpans,
    look_at: Duration,
    /// What is committed, as of the last view.
    committed: Lsn,
}

impl Stream {
    pub(super) fn plan(&mut self, now: Duration, view: View) -> Result<Todo, SessionError> {
        if now >= self.look_at {
            self.look_at = now + LOOK_EVERY;
            return Ok(self.look());
        }
        self.committed = view.committed;
        if view.barrier > Lsn::ZERO {
            self.shipper.want_barrier(view.barrier);
        }
        self.shipper.check(now)?;
        let head = self.may_send_to(view.head);
        Ok(match self.shipper.next(now, head, view.committed) {
            Next::Send(message) => Todo::Send(message),
            Next::Load { after, max_bytes } => Todo::Want(Want::Entries { after, max_bytes }),
            Next::Wait { until } => Todo::Wait {
                until: until.min(self.look_at),
            },
        })
    }

    /// What is looked at from time to time, whatever happens on the stream.
    fn look(&self) -> Todo {
        if self.command == Command::KeepUp {
            Todo::ReadRecord
        } else {
            Todo::Want(Want::Pins)
        }
    }

    const fn is_replaying(&self) -> bool {
        matches!(
            self.command,
            Command::CatchUp(CatchUpCommand::Replay { .. })
                | Command::Rebuild(RebuildCommand::Replay { .. })
        )
    }

    /// How far the log may be sent now: during a replay, no further than a few unproven spans.
    fn may_send_to(&self, head: Lsn) -> Lsn {
        if self.is_replaying() && !self.spans.may_send() {
            head.min(self.shipper.cursor().lsn)
        } else {
            head
        }
    }

    /// Takes note of a batch of a replay, and asks for the barrier that proves it.
    fn sent(&mut self, message: &Message) {
        if let Message::Append(Append { entries, .. }) = message
            && let Some(last) = entries.last()
            && self.is_replaying()
        {
            let bytes = entries.iter().map(|entry| entry.payload.len() as u64);
            if let Some(barrier) = self.spans.sent(last.lsn, bytes.sum()) {
                self.shipper.want_barrier(barrier);
            }
        }
    }

    /// Asks for the barrier that the command needs.
    fn want_barrier(&mut self) {
        match self.command {
            Command::CatchUp(CatchUpCommand::Replay { barrier_at, .. })
            | Command::Rebuild(RebuildCommand::Replay { barrier_at, .. }) => {
                self.shipper.want_barrier(barrier_at);
            }
            Command::CatchUp(
                CatchUpCommand::AwaitPin
                | CatchUpCommand::Truncate { .. }
                | CatchUpCommand::KeepUp { .. }
                | CatchUpCommand::Ended { .. },
            )
            | Command::Rebuild(
                RebuildCommand::AwaitPins
                | RebuildCommand::PrepareReplica
                | RebuildCommand::SendChunks { .. }
                | RebuildCommand::InstallBase { .. }
                | RebuildCommand::KeepUp { .. }
                | RebuildCommand::Ended { .. },
            )
            | Command::KeepUp
            | Command::Dial { .. }
            | Command::SendHello
            | Command::AwaitReport
            | Command::SelectSource
            | Command::Ended { .. } => {}
        }
    }

    /// What a durable position proves at this point of the session.
    fn proven(&self, lsn: Lsn, head: Lsn) -> Finding {
        match self.command {
            Command::CatchUp(_) => Finding::CatchUp(CatchUpEvidence::Durable { lsn }),
            Command::Rebuild(_) => Finding::Rebuild(RebuildEvidence::Durable { lsn }),
            Command::KeepUp
            | Command::Dial { .. }
            | Command::SendHello
            | Command::AwaitReport
            | Command::SelectSource
            | Command::Ended { .. } => Finding::Acknowledged { durable: lsn, head },
        }
    }
}

impl PrimarySession {
    /// The epoch of the position that is replayed from is known.
    pub(super) fn positioned(
        &mut self,
        now: Duration,
        positioning: Positioning,
        given: Given,
    ) -> Result<Stage, SessionError> {
        let Given::Epoch(epoch) = given else {
            return Err(ungiven(given));
        };
        let epoch = epoch.ok_or(SessionError::Malformed {
            what: "the lineage does not reach the position that is to be replayed from",
        })?;
        self.begin_stream(now, positioning, epoch)
    }

    pub(super) fn begin_stream(
        &mut self,
        now: Duration,
        positioning: Positioning,
        epoch: Epoch,
    ) -> Result<Stage, SessionError> {
        let limits = ShipperLimits {
            stall: self.bounds.stall,
            ..ShipperLimits::default()
        };
        let frame = (self.token.volume, self.token.epoch, self.token.session);
        let from = LogPosition {
            lsn: positioning.from,
            epoch,
        };
        let mut stream = Stream {
            shipper: Shipper::new(frame, from, positioning.truncate, limits, now),
            command: positioning.command,
            holds: positioning.holds,
            spans: ReplaySpans::default(),
            look_at: now,
            committed: Lsn::ZERO,
        };
        stream.want_barrier();
        self.note(Note::Streaming);
        Ok(Stage::Stream(Box::new(stream)))
    }

    pub(super) fn stream_given(
        &mut self,
        now: Duration,
        mut stream: Box<Stream>,
        given: Given,
    ) -> Result<Stage, SessionError> {
        let Given::Entries(entries) = given else {
            self.pins_seen(given)?;
            return Ok(Stage::Stream(stream));
        };
        let committed = stream.committed;
        if let Some(message) = stream.shipper.batch(now, entries, committed)? {
            stream.sent(&message);
            self.agenda.push_back(Todo::Send(message));
        }
        Ok(Stage::Stream(stream))
    }

    /// What the replica's answer means for the commit rule and for the engine.
    pub(super) fn stream_frame(
        &mut self,
        now: Duration,
        view: View,
        mut stream: Box<Stream>,
        frame: &Frame,
    ) -> Result<Stage, SessionError> {
        let evidence = match stream.shipper.receive(now, frame) {
            Ok(evidence) => evidence,
            Err(ShipperError::Refused(Refusal::TruncateBelowExtent { .. })) => {
                self.tell_catch_up(CatchUpEvidence::TruncationRefused);
                return Ok(Stage::Stream(stream));
            }
            Err(error) => return Err(error.into()),
        };
        match evidence {
            Evidence::Truncated { to } => self.tell_catch_up(CatchUpEvidence::Truncated { to }),
            Evidence::Received { lsn } => self.acknowledged(&stream, lsn),
            Evidence::Durable { lsn } => {
                self.acknowledged(&stream, lsn);
                stream.spans.proven(lsn);
                // Entries are sent from the log as it is, which may be further than the view by now.
                let head = view.head.max(stream.shipper.cursor().lsn);
                self.tell(stream.proven(lsn, head));
            }
        }
        Ok(Stage::Stream(stream))
    }

    fn acknowledged(&mut self, stream: &Stream, upto: Lsn) {
        self.note(Note::Acknowledged {
            received: stream.shipper.received(),
            durable: stream.shipper.durable(),
        });
        if stream.holds {
            // What the replica has received need not be kept for it any more.
            self.note(Note::LetGo { upto });
        }
    }

    pub(super) fn stream_commanded(&mut self, mut stream: Box<Stream>, command: Command) -> Stage {
        stream.command = command;
        if command == Command::KeepUp {
            if !self.was_in_sync {
                // The engine has released it: from here on retention is the log's own business.
                stream.holds = false;
                self.note(Note::Completed);
                self.was_in_sync = true;
            }
            self.agenda.push_back(Todo::ReadRecord);
        }
        stream.want_barrier();
        Stage::Stream(stream)
    }
}
