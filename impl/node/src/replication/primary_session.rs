//! The primary's side of one session, from its attachment to its end, as one state machine.
//!
//! ```text
//!   opening:  Tell(Dialing) -> Dial -> hello -> Tell(HelloSent) -> report -> Tell(Report)
//!     -> catch-up:  [pin -> Tell(Pinned)] -> streaming
//!     -> rebuild:   base and log pinned -> Tell(History) -> Tell(Pinned) x 2 -> transfer
//!                     -> Tell(BaseInstalled) -> streaming
//!   streaming: entries, barriers and what they prove, until something ends the session
//! ```
//!
//! It does nothing by itself. Its driver asks [`PrimarySession::next`] what to do, does that one
//! thing, passes the answer back and asks again; frames are taken while it waits. So every evidence
//! that the engine is given, every request to this node's store and every frame is a step of its
//! own, between which anything else may happen.
//!
//! *Pins.* The driver owns the guards and drops them with the session, whatever ends it (F71). The
//! session says when one is taken ([`Want::PinHistory`], [`Want::PinBase`]), what need not be kept
//! any more ([`Note::LetGo`]) and that nothing is kept from here on ([`Note::Completed`]).
//!
//! Promises: the engine alone decides (T14), and is asked before each next step; what is told it is
//! what the replica answered in this session, or what this node's store did (F61). No I/O, no clock,
//! no randomness. Every error ends the session; [`SessionError::fault`] is what the engine is told
//! of it. Must never: be given a frame while it awaits an answer of this node.
//!
//! Rule: `docs/protocol.md`, sections 3 to 6; `docs/session.md`, section 6.

mod base;
mod end;
mod exchange;
mod opening;
mod spans;
mod stream;

use std::collections::VecDeque;
use std::time::Duration;

use holdfast_engine::{
    CatchUpCommand, CatchUpEvidence, Command, Interruption, PinRequest, PinSlot, RebuildEvidence,
};
use holdfast_types::{FencingToken, StoreId};
use holdfast_wire::Frame;

pub use end::{ConnectionFault, SessionError};
pub use exchange::{Finding, Given, Note, PinnedBase, StoreFault, Todo, View, Want};

use base::{Base, Transfer};
use opening::Opening;
use stream::{Positioning, Stream};

/// How often budget, pins and membership are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Bounds of one session. Times are lengths of the caller's monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionBounds {
    /// How long the replica may be silent while an answer is due.
    pub stall: Duration,
    /// The same while it does one long thing of a rebuild.
    pub work: Duration,
    /// Bytes of log that the session's pins may hold back.
    pub pin_bytes: u64,
    /// Bytes of log from which the engine ends a session as over its budget.
    pub budget_bytes: u64,
}

/// What was handed out and is to be answered before anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Nothing,
    Engine,
    Store,
    Record,
    Connection,
}

#[derive(Clone, Debug)]
enum Stage {
    Opening(Opening),
    Base(Base),
    Transfer(Box<Transfer>),
    Positioning(Positioning),
    Stream(Box<Stream>),
    /// Ended, or between two stages.
    Over,
}

/// One session with one replica.
#[derive(Clone, Debug)]
pub struct PrimarySession {
    token: FencingToken,
    bounds: SessionBounds,
    stage: Stage,
    /// Decided and not yet handed out.
    agenda: VecDeque<Todo>,
    open: Open,
    /// The identity of the store at the other end.
    store: Option<StoreId>,
    was_in_sync: bool,
}

const OUT_OF_TURN: SessionError = SessionError::Malformed {
    what: "an answer to something that was not asked",
};

const UNEXPECTED_COMMAND: SessionError = SessionError::Malformed {
    what: "the engine took another way than the evidence opens",
};

impl PrimarySession {
    /// A session that was just attached, with the engine's first command for it.
    ///
    /// # Errors
    /// When that is another than to connect: the session was begun before.
    pub fn begin(
        token: FencingToken,
        command: Command,
        bounds: SessionBounds,
    ) -> Result<Self, SessionError> {
        let Command::Dial { endpoint } = command else {
            return Err(SessionError::Malformed {
                what: "a session that was begun before",
            });
        };
        Ok(Self {
            token,
            bounds,
            stage: Stage::Opening(Opening::Announced { endpoint }),
            agenda: VecDeque::from([Todo::Tell(Finding::Dialing)]),
            open: Open::Nothing,
            store: None,
            was_in_sync: false,
        })
    }

    /// The session.
    #[must_use]
    pub const fn token(&self) -> &FencingToken {
        &self.token
    }

    /// Whether it has been in sync.
    #[must_use]
    pub const fn was_in_sync(&self) -> bool {
        self.was_in_sync
    }

    /// Whether frames are taken now: nothing that was handed out is to be answered.
    #[must_use]
    pub fn takes_frames(&self) -> bool {
        self.open == Open::Nothing && self.agenda.is_empty()
    }

    /// The next thing to do.
    ///
    /// # Errors
    /// Whatever ends the session at this time.
    pub fn next(&mut self, now: Duration, view: View) -> Result<Todo, SessionError> {
        match self.open {
            Open::Nothing => {}
            // There was no connection by the time that was given.
            Open::Connection => return self.still_dialing(now),
            Open::Engine | Open::Store | Open::Record => return Err(OUT_OF_TURN),
        }
        let todo = match self.agenda.pop_front() {
            Some(todo) => todo,
            None => self.plan(now, view)?,
        };
        self.open = match &todo {
            Todo::Tell(_) => Open::Engine,
            Todo::Want(_) => Open::Store,
            Todo::ReadRecord => Open::Record,
            Todo::Dial { .. } => Open::Connection,
            Todo::Send(_) | Todo::Flush | Todo::Note(_) | Todo::Wait { .. } => Open::Nothing,
        };
        Ok(todo)
    }

    /// What to do when nothing was decided before.
    fn plan(&mut self, now: Duration, view: View) -> Result<Todo, SessionError> {
        match &mut self.stage {
            Stage::Opening(opening) => opening.plan(now),
            Stage::Transfer(transfer) => transfer.plan(now, view),
            Stage::Stream(stream) => stream.plan(now, view),
            Stage::Base(_) | Stage::Positioning(_) | Stage::Over => Err(OUT_OF_TURN),
        }
    }

    /// The engine took the evidence in: what it commands, and the pins that it asks for.
    ///
    /// # Errors
    /// Whatever ends the session, the engine's own end included.
    pub fn commanded(
        &mut self,
        now: Duration,
        command: Command,
        pins: &[PinRequest],
    ) -> Result<(), SessionError> {
        self.answered(Open::Engine)?;
        if let Command::Ended { cause } = command {
            return Err(SessionError::Ended { cause });
        }
        self.stage = match self.leave_stage() {
            Stage::Opening(opening) => self.opening_commanded(now, opening, command, pins)?,
            Stage::Base(base) => self.base_commanded(now, base, command, pins)?,
            Stage::Transfer(transfer) => self.transfer_commanded(now, transfer, command)?,
            Stage::Stream(stream) => self.stream_commanded(stream, command),
            Stage::Positioning(_) | Stage::Over => return Err(OUT_OF_TURN),
        };
        Ok(())
    }

    /// What this node's store did.
    ///
    /// # Errors
    /// Whatever ends the session.
    pub fn given(&mut self, now: Duration, given: Given) -> Result<(), SessionError> {
        self.answered(Open::Store)?;
        self.stage = match self.leave_stage() {
            Stage::Opening(opening) => self.opening_given(opening, given)?,
            Stage::Base(base) => self.base_given(base, given)?,
            Stage::Transfer(transfer) => self.transfer_given(now, transfer, given)?,
            Stage::Positioning(positioning) => self.positioned(now, positioning, given)?,
            Stage::Stream(stream) => self.stream_given(now, stream, given)?,
            Stage::Over => return Err(OUT_OF_TURN),
        };
        Ok(())
    }

    /// What the record says of the replica at this moment: its store, if it is a member of the
    /// volume, and whether it is in the in-sync set.
    ///
    /// # Errors
    /// Whatever ends the session.
    pub fn recorded(&mut self, store: Option<StoreId>, in_set: bool) -> Result<(), SessionError> {
        self.answered(Open::Record)?;
        self.stage = match self.leave_stage() {
            Stage::Opening(opening) => self.judged(opening, store, in_set)?,
            Stage::Stream(stream) => {
                if let (false, Some(store)) = (in_set, self.store) {
                    self.note(Note::MayJoin { store });
                }
                Stage::Stream(stream)
            }
            Stage::Base(_) | Stage::Transfer(_) | Stage::Positioning(_) | Stage::Over => {
                return Err(OUT_OF_TURN);
            }
        };
        Ok(())
    }

    /// The connection to the replica is up.
    ///
    /// # Errors
    /// When none was asked for.
    pub fn connected(&mut self) -> Result<(), SessionError> {
        self.answered(Open::Connection)?;
        self.stage = Stage::Opening(Opening::Greeting);
        self.want(Want::Greeting);
        Ok(())
    }

    /// A frame of the replica, while [`PrimarySession::takes_frames`].
    ///
    /// # Errors
    /// Whatever ends the session: a refusal, or an answer that cannot be true.
    pub fn frame(&mut self, now: Duration, view: View, frame: Frame) -> Result<(), SessionError> {
        if !self.takes_frames() {
            return Err(OUT_OF_TURN);
        }
        self.stage = match self.leave_stage() {
            Stage::Opening(opening) => self.opening_frame(opening, frame)?,
            Stage::Transfer(transfer) => self.transfer_frame(now, transfer, &frame)?,
            Stage::Stream(stream) => self.stream_frame(now, view, stream, &frame)?,
            Stage::Base(_) | Stage::Positioning(_) | Stage::Over => return Err(OUT_OF_TURN),
        };
        Ok(())
    }

    fn answered(&mut self, whose: Open) -> Result<(), SessionError> {
        if self.open != whose {
            return Err(OUT_OF_TURN);
        }
        self.open = Open::Nothing;
        Ok(())
    }

    const fn leave_stage(&mut self) -> Stage {
        std::mem::replace(&mut self.stage, Stage::Over)
    }

    fn tell(&mut self, finding: Finding) {
        self.agenda.push_back(Todo::Tell(finding));
    }

    fn tell_catch_up(&mut self, evidence: CatchUpEvidence) {
        self.tell(Finding::CatchUp(evidence));
    }

    fn tell_rebuild(&mut self, evidence: RebuildEvidence) {
        self.tell(Finding::Rebuild(evidence));
    }

    fn interrupt(&mut self, interruption: Interruption) {
        self.tell(Finding::Interrupted(interruption));
    }

    fn want(&mut self, want: Want) {
        self.agenda.push_back(Todo::Want(want));
    }

    fn note(&mut self, note: Note) {
        self.agenda.push_back(Todo::Note(note));
    }

    /// The pins were looked at: one that was taken away ends the session (A6), and what the others
    /// hold back counts for its budget.
    fn pins_seen(&mut self, given: Given) -> Result<(), SessionError> {
        let Given::Pins { held_bytes, lost } = given else {
            return Err(ungiven(given));
        };
        self.interrupt(match lost {
            Some(_) => Interruption::PinLost {
                slot: PinSlot::Retention,
            },
            None => Interruption::Tick {
                pinned_bytes: held_bytes,
            },
        });
        Ok(())
    }

    /// The way from a plan to the stream: the epoch of the position that is replayed from, first.
    fn position(&mut self, now: Duration, positioning: Positioning) -> Result<Stage, SessionError> {
        if positioning.from == holdfast_types::Lsn::ZERO {
            return self.begin_stream(now, positioning, holdfast_types::Epoch(0));
        }
        self.want(Want::EpochAt {
            lsn: positioning.from,
        });
        Ok(Stage::Positioning(positioning))
    }

    /// What a catch-up's command makes of the stream that begins.
    fn position_catch_up(
        &mut self,
        now: Duration,
        command: CatchUpCommand,
        holds: bool,
    ) -> Result<Stage, SessionError> {
        let (from, truncate) = match command {
            CatchUpCommand::Truncate { to } => (to, Some(to)),
            CatchUpCommand::Replay { after, .. } => (after, None),
            CatchUpCommand::AwaitPin
            | CatchUpCommand::KeepUp { .. }
            | CatchUpCommand::Ended { .. } => {
                return Err(SessionError::Malformed {
                    what: "the engine awaits a pin that it did not ask for",
                });
            }
        };
        let positioning = Positioning {
            from,
            truncate,
            command: Command::CatchUp(command),
            holds,
        };
        self.position(now, positioning)
    }
}

/// Why an answer of the store does not fit: its own failure, or another answer than was asked.
fn ungiven(given: Given) -> SessionError {
    match given {
        Given::Failed(fault) => fault.into(),
        Given::Greeting { .. }
        | Given::History(_)
        | Given::Epoch(_)
        | Given::Entries(_)
        | Given::Pinned { .. }
        | Given::BasePinned(_)
        | Given::Chunk { .. }
        | Given::Manifest(_)
        | Given::Pins { .. } => OUT_OF_TURN,
    }
}

#[cfg(test)]
mod tests;
