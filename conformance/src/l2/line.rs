//! One session between two stores: both ends' state machines, a stream in memory between them, and
//! nothing that moves by itself.
//!
//! The stream carries bytes, encoded and decoded as on a socket, and delivers a frame only when it is
//! told to.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use holdfast_engine::Command;
use holdfast_node::replication::{
    Finding, Given, Note, PrimarySession, SessionBounds, SessionError, Todo, View, Want,
};
use holdfast_node::runtime::{LocalStore, ReplicaLink, SessionSource};
use holdfast_types::{FencingToken, Lsn, ReplicaId, StoreId};
use holdfast_wire::{Frame, FrameDecoder, Message, Refusal, encode};

use super::disks::PIN_BYTES;

/// Longer than any run: time-outs are the rig's to make.
const LONG: Duration = Duration::from_secs(1_000_000);

/// Between two looks of a session at its pins.
const LOOK: Duration = Duration::from_millis(500);

/// Todos after which a session that tells nothing is taken to hang.
const STEPS_MAX: usize = 1000;

/// A direction of the stream.
#[derive(Default)]
struct Wire {
    bytes: BytesMut,
    decoder: FrameDecoder,
    waiting: VecDeque<Frame>,
}

impl Wire {
    fn send(&mut self, frame: &Frame) -> Result<(), String> {
        encode(frame, &mut self.bytes).map_err(|error| error.to_string())?;
        self.decoder
            .buffer_mut()
            .extend_from_slice(&self.bytes.split());
        while let Some(frame) = self.decoder.next_frame().map_err(|e| e.to_string())? {
            self.waiting.push_back(frame);
        }
        Ok(())
    }
}

/// What the rig does to a session besides letting it go on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Levers {
    /// The head that the session sees; the log's own unless given.
    pub head: Option<Lsn>,
    /// The barrier that clients ask for.
    pub barrier: Lsn,
    /// What its pins are said to hold back when it looks.
    pub pinned_bytes: u64,
    /// Have it look at its pins.
    pub look: bool,
    /// Its pins are taken away.
    pub lose_pin: bool,
    /// Its pin cannot be taken.
    pub fail_pin: bool,
}

/// What the replica's node does at a connection.
pub enum ReplicaNode {
    /// It holds the volume.
    Holds(Arc<LocalStore>),
    /// It does not.
    HoldsNothing,
}

/// How a session went on.
#[derive(Debug)]
pub enum Went {
    /// It has something to tell the engine, and waits.
    Tells(Finding),
    /// It ended by itself.
    Ended(SessionError),
    /// There is nothing to do, and nothing on its way.
    Rests,
}

/// The label of the primary, which the specification does not name.
fn primary() -> ReplicaId {
    ReplicaId::new("primary").expect("a short word")
}

/// One session.
pub struct Line {
    /// Its token.
    pub token: FencingToken,
    session: PrimarySession,
    source_store: Arc<LocalStore>,
    source: SessionSource,
    link: Option<ReplicaLink>,
    to_replica: Wire,
    to_primary: Wire,
    /// The last frame that the replica took.
    last_taken: Option<Frame>,
    /// Whether the replica's store is the recorded one and a member.
    pub member: bool,
    /// What was told last, or is to be told next.
    pub told: Option<Finding>,
    clock: Duration,
}

impl Line {
    /// A session that was just attached.
    ///
    /// # Errors
    /// When the engine's first command is another than to connect.
    pub fn begin(
        token: FencingToken,
        command: Command,
        source: &Arc<LocalStore>,
    ) -> Result<Self, SessionError> {
        let bounds = SessionBounds {
            stall: LONG,
            work: LONG,
            pin_bytes: PIN_BYTES,
            budget_bytes: u64::MAX - 1,
        };
        Ok(Self {
            session: PrimarySession::begin(token.clone(), command, bounds)?,
            token,
            source_store: Arc::clone(source),
            source: SessionSource::new(Arc::clone(source), primary()),
            link: None,
            to_replica: Wire::default(),
            to_primary: Wire::default(),
            last_taken: None,
            member: false,
            told: None,
            clock: Duration::ZERO,
        })
    }

    /// The store at the other end, once it is connected to one.
    #[must_use]
    pub fn replica(&self) -> Option<&Arc<LocalStore>> {
        self.link.as_ref().map(ReplicaLink::store)
    }

    /// Whether anything is held back for it.
    #[must_use]
    pub const fn holds_anything(&self) -> bool {
        self.source.holds_anything()
    }

    fn view(&self, levers: &Levers) -> View {
        let positions = self.source_store.positions();
        View {
            head: levers.head.unwrap_or(positions.head),
            committed: positions.committed,
            barrier: levers.barrier,
            base_rate: None,
        }
    }

    /// Goes on until the engine has to be told something, or nothing is left to do.
    ///
    /// # Errors
    /// A defect of the rig, or a session that never rests.
    pub fn go_on(&mut self, node: &ReplicaNode, levers: &Levers) -> Result<Went, String> {
        if levers.look {
            self.clock += LOOK;
        }
        for _ in 0..STEPS_MAX {
            let view = self.view(levers);
            let todo = match self.session.next(self.clock, view) {
                Ok(todo) => todo,
                Err(error) => return Ok(Went::Ended(error)),
            };
            let done = match todo {
                Todo::Tell(finding) => {
                    self.told = Some(finding.clone());
                    return Ok(Went::Tells(finding));
                }
                Todo::Want(want) => {
                    let given = self.give(want, levers);
                    self.session.given(self.clock, given)
                }
                Todo::ReadRecord => {
                    let store = self.recorded_store();
                    self.session.recorded(store, self.member)
                }
                Todo::Note(note) => {
                    self.note(note);
                    Ok(())
                }
                Todo::Dial { .. } => self.session.connected(),
                Todo::Send(message) => {
                    let frame = self.frame(message);
                    self.to_replica.send(&frame)?;
                    Ok(())
                }
                Todo::Flush => Ok(()),
                Todo::Wait { .. } => match self.deliver_one(node, view)? {
                    Some(done) => done,
                    None => return Ok(Went::Rests),
                },
            };
            if let Err(error) = done {
                return Ok(Went::Ended(error));
            }
        }
        Err(format!("a session that never rests: {:?}", self.session))
    }

    /// The engine's answer to what was told.
    ///
    /// # Errors
    /// The end of the session.
    pub fn commanded(
        &mut self,
        command: Command,
        pins: &[holdfast_engine::PinRequest],
    ) -> Result<(), SessionError> {
        self.session.commanded(self.clock, command, pins)
    }

    /// Does what a completed session has left to do at once: it lets go of what it held.
    ///
    /// # Errors
    /// When it has anything else to do first.
    pub fn settle(&mut self) -> Result<(), String> {
        while !self.session.takes_frames() {
            let view = self.view(&Levers::default());
            let todo = self.session.next(self.clock, view);
            match todo.map_err(|error| error.to_string())? {
                Todo::Note(note) => self.note(note),
                Todo::ReadRecord => {
                    let store = self.recorded_store();
                    let read = self.session.recorded(store, self.member);
                    read.map_err(|error| error.to_string())?;
                }
                other @ (Todo::Tell(_)
                | Todo::Want(_)
                | Todo::Dial { .. }
                | Todo::Send(_)
                | Todo::Flush
                | Todo::Wait { .. }) => return Err(format!("completed, and then {other:?}")),
            }
        }
        Ok(())
    }

    /// The recorded store is the one that answers: what other stores mean is not the
    /// specification's.
    fn recorded_store(&self) -> Option<StoreId> {
        self.replica().map(|store| store.volume().store_id())
    }

    fn frame(&self, message: Message) -> Frame {
        Frame {
            volume: self.token.volume,
            epoch: self.token.epoch,
            session: self.token.session,
            message,
        }
    }

    fn give(&mut self, want: Want, levers: &Levers) -> Given {
        use holdfast_blockvol::PinError;
        match want {
            Want::PinHistory { .. } if levers.fail_pin => Given::Failed(PinError::Closed.into()),
            Want::Pins => match self.source.give(want) {
                Given::Pins { lost, .. } => Given::Pins {
                    held_bytes: levers.pinned_bytes,
                    lost: if levers.lose_pin {
                        Some(PinError::Closed)
                    } else {
                        lost
                    },
                },
                given @ (Given::Greeting { .. }
                | Given::History(_)
                | Given::Epoch(_)
                | Given::Entries(_)
                | Given::Pinned { .. }
                | Given::BasePinned(_)
                | Given::Chunk { .. }
                | Given::Manifest(_)
                | Given::Failed(_)) => given,
            },
            Want::Entries { .. } => match (self.source.give(want), levers.head) {
                // What was logged since is not there yet.
                (Given::Entries(mut entries), Some(head)) => {
                    entries.retain(|entry| entry.lsn <= head);
                    Given::Entries(entries)
                }
                (given, _) => given,
            },
            Want::Greeting
            | Want::History
            | Want::EpochAt { .. }
            | Want::PinHistory { .. }
            | Want::PinBase { .. }
            | Want::Chunk { .. }
            | Want::Manifest => self.source.give(want),
        }
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::LetGo { upto } => {
                // A pin that was taken away says so at the next look.
                let _ = self.source.let_go(upto);
            }
            Note::Completed => self.source.release(),
            Note::LogBytes(_)
            | Note::OtherStore { .. }
            | Note::Streaming
            | Note::Acknowledged { .. }
            | Note::TransferBegan { .. }
            | Note::TransferInstalled { .. }
            | Note::MayJoin { .. } => {}
        }
    }

    /// Delivers the next frame, to the replica first; when none is on its way, the replica's store
    /// syncs. `None`: there is nothing to deliver and nothing to sync.
    fn deliver_one(
        &mut self,
        node: &ReplicaNode,
        view: View,
    ) -> Result<Option<Result<(), SessionError>>, String> {
        if let Some(frame) = self.to_replica.waiting.pop_front() {
            self.replica_takes(frame, node)?;
            return Ok(Some(Ok(())));
        }
        if let Some(frame) = self.to_primary.waiting.pop_front() {
            return Ok(Some(self.session.frame(self.clock, view, frame)));
        }
        let Some(link) = &mut self.link else {
            return Ok(None);
        };
        if !link.session().awaits_sync() {
            return Ok(None);
        }
        let synced = link.store().volume().sync();
        synced.map_err(|error| error.to_string())?;
        let answers = link.answers();
        self.answer(answers)?;
        Ok(Some(Ok(())))
    }

    fn replica_takes(&mut self, frame: Frame, node: &ReplicaNode) -> Result<(), String> {
        self.last_taken = Some(frame.clone());
        // The node looks for its store when the hello is there.
        if let (None, ReplicaNode::Holds(store)) = (&self.link, node) {
            let volume = self.token.volume;
            let link = ReplicaLink::new(Arc::clone(store), volume, LONG, self.clock);
            self.link = Some(link);
        }
        let answers = match &mut self.link {
            Some(link) => link
                .take(self.clock, frame)
                .map(|answer| answer.into_iter().collect()),
            None => Err(Refusal::UnknownVolume),
        };
        self.answer(answers)
    }

    fn answer(&mut self, answers: Result<Vec<Message>, Refusal>) -> Result<(), String> {
        let answers = answers.unwrap_or_else(|refusal| vec![Message::Refusal(refusal)]);
        for message in answers {
            let frame = self.frame(message);
            self.to_primary.send(&frame)?;
        }
        Ok(())
    }

    /// What of this session can still come late once it is over: what was sent and not delivered,
    /// and what was taken last, once more.
    #[must_use]
    pub fn into_late(self) -> Option<Late> {
        let link = self.link?;
        let mut frames = self.to_replica.waiting;
        frames.extend(self.last_taken);
        Some(Late {
            link,
            frames,
            clock: self.clock,
        })
    }
}

/// Frames of a session that is over, and the connection that they are on.
pub struct Late {
    link: ReplicaLink,
    frames: VecDeque<Frame>,
    clock: Duration,
}

impl Late {
    /// The store that they are for.
    #[must_use]
    pub fn store(&self) -> &Arc<LocalStore> {
        self.link.store()
    }

    /// Delivers them all; each must be refused, and nothing changed (T7).
    ///
    /// # Errors
    /// What one of them did.
    pub fn deliver(mut self) -> Result<usize, String> {
        let standing = |link: &ReplicaLink| {
            let volume = link.store().volume();
            (volume.positions(), volume.promise(), volume.lineage())
        };
        let before = standing(&self.link);
        let delivered = self.frames.len();
        for frame in self.frames {
            let what = frame.message.frame_type();
            if let Ok(answer) = self.link.take(self.clock, frame) {
                return Err(format!("a late {what:?} was taken: {answer:?}"));
            }
            if standing(&self.link) != before {
                return Err(format!("a late {what:?} changed the store"));
            }
        }
        Ok(delivered)
    }
}
