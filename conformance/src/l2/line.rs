//! One session between two stores: both ends' state machines, a stream in memory between them, and
//! nothing that moves by itself.
//!
//! The stream carries bytes, encoded and decoded as on a socket, and delivers a frame only when it is
//! told to.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use holdfast_blockvol::sim::SimStorage;
use holdfast_blockvol::{Recovery, Volume, VolumeOptions};
use holdfast_engine::{Command, PinRequest, Refusal, ReportedFault};
use holdfast_node::replication::{
    ConnectionFault, Finding, Note, PrimarySession, SessionBounds, SessionError, Todo, View,
};
use holdfast_node::runtime::{LocalStore, ReplicaLink, SessionSource};
use holdfast_types::{FencingToken, StoreId, VolumeId};
use holdfast_wire::{Frame, FrameDecoder, Message, Refusal as WireRefusal, encode};

use super::disks::{self, PIN_BYTES, Unmade};
use super::ground::{
    Ground, Grounds, LONG, LOOK, Late, Levers, Line, ReplicaNode, Went, primary, standing,
};

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

/// One session.
pub struct MemoryLine {
    token: FencingToken,
    session: PrimarySession,
    source_store: Arc<LocalStore>,
    source: SessionSource,
    link: Option<ReplicaLink>,
    to_replica: Wire,
    to_primary: Wire,
    /// The last frame that the replica took.
    last_taken: Option<Frame>,
    member: bool,
    told: Option<Finding>,
    clock: Duration,
}

impl MemoryLine {
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
            None => Err(WireRefusal::UnknownVolume),
        };
        self.answer(answers)
    }

    fn answer(&mut self, answers: Result<Vec<Message>, WireRefusal>) -> Result<(), String> {
        let answers = answers.unwrap_or_else(|refusal| vec![Message::Refusal(refusal)]);
        for message in answers {
            let frame = self.frame(message);
            self.to_primary.send(&frame)?;
        }
        Ok(())
    }
}

impl Line for MemoryLine {
    fn token(&self) -> &FencingToken {
        &self.token
    }

    fn replica(&self) -> Option<&Arc<LocalStore>> {
        self.link.as_ref().map(ReplicaLink::store)
    }

    fn holds_anything(&self) -> bool {
        self.source.holds_anything()
    }

    fn told(&self) -> Option<&Finding> {
        self.told.as_ref()
    }

    fn set_member(&mut self, member: bool) {
        self.member = member;
    }

    fn go_on(&mut self, node: &ReplicaNode, levers: &Levers) -> Result<Went, String> {
        if levers.look {
            self.clock += LOOK;
        }
        for _ in 0..STEPS_MAX {
            let view = levers.view(&self.source_store);
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
                    let given = levers.give(&mut self.source, want);
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

    fn commanded(&mut self, command: Command, pins: &[PinRequest]) -> Result<(), SessionError> {
        self.session.commanded(self.clock, command, pins)
    }

    fn settle(&mut self) -> Result<(), String> {
        while !self.session.takes_frames() {
            let view = Levers::default().view(&self.source_store);
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

    fn refused(&mut self, refusal: &Refusal) -> Result<ReportedFault, String> {
        let end = SessionError::Engine(*refusal);
        end.fault().ok_or_else(|| "the engine knows".into())
    }

    fn lose(&mut self, node: &ReplicaNode) -> Result<Went, String> {
        // As late as it can be: everything is sent, and what it proves is not told any more, nor
        // what else would have ended it now.
        self.go_on(node, &Levers::default())?;
        let detail = "lost".into();
        Ok(Went::Ended(ConnectionFault::Lost { detail }.into()))
    }

    fn into_late(self: Box<Self>) -> Option<Box<dyn Late>> {
        let link = self.link?;
        let mut frames = self.to_replica.waiting;
        frames.extend(self.last_taken);
        Some(Box::new(LateFrames {
            link,
            frames,
            clock: self.clock,
        }))
    }
}

struct LateFrames {
    link: ReplicaLink,
    frames: VecDeque<Frame>,
    clock: Duration,
}

impl Late for LateFrames {
    fn store(&self) -> &Arc<LocalStore> {
        self.link.store()
    }

    fn deliver(mut self: Box<Self>) -> Result<usize, String> {
        let before = standing(self.link.store());
        let delivered = self.frames.len();
        for frame in self.frames {
            let what = frame.message.frame_type();
            if let Ok(answer) = self.link.take(self.clock, frame) {
                return Err(format!("a late {what:?} was taken: {answer:?}"));
            }
            if standing(self.link.store()) != before {
                return Err(format!("a late {what:?} changed the store"));
            }
        }
        Ok(delivered)
    }
}

/// Simulated disks and streams in memory.
pub struct Memory;

impl Grounds for Memory {
    fn level(&self) -> &'static str {
        "L2"
    }

    fn fresh(&self, _: u64) -> Result<Box<dyn Ground>, Unmade> {
        Ok(Box::new(Self))
    }
}

impl Ground for Memory {
    fn format(&mut self, volume: VolumeId, store: StoreId) -> Result<Volume, Unmade> {
        let storage = SimStorage::formatted(&disks::format_options(volume, store));
        let options = VolumeOptions {
            background: false,
            ..disks::volume_options()
        };
        Volume::open_on(storage.disks(), options, Recovery::Strict)
            .map_err(|error| error.to_string())
    }

    fn begin(
        &mut self,
        token: FencingToken,
        _: u8,
        command: Command,
        source: &Arc<LocalStore>,
    ) -> Result<Box<dyn Line>, String> {
        let line = MemoryLine::begin(token, command, source).map_err(|error| error.to_string())?;
        Ok(Box::new(line))
    }
}
