//! A rebuild before its tail: source and pins, then the base, chunk by chunk, until the replica has
//! switched to it.

use std::time::Duration;

use holdfast_blockvol::BaseError;
use holdfast_engine::{
    Command, Interruption, PinRequest, PinSlot, PinSubject, RebuildCommand, RebuildEvidence,
};
use holdfast_types::{BLOCK_SIZE, Lsn};
use holdfast_wire::{Frame, RebuildBegin, RebuildSource as BaseKind};

use super::{
    Finding, Given, LOOK_EVERY, Note, OUT_OF_TURN, PinnedBase, Positioning, PrimarySession,
    SessionError, Stage, StoreFault, Todo, UNEXPECTED_COMMAND, View, Want, ungiven,
};
use crate::rebuild::{
    ByteRate, CHUNK_BLOCKS, RebuildSource, SourceBounds, SourceEvidence, SourceStep,
};

/// How often the split is tried to be taken between two checkpoints.
pub(super) const SPLIT_TRIES: u32 = 100;

/// The choice of the source.
#[derive(Clone, Debug)]
pub(super) enum Base {
    /// A copy is begun.
    Pinning { tries_left: u32 },
    /// The engine is told of the history that goes with it, and of both pins.
    Selecting(Box<PinnedBase>),
}

/// A base on its way.
#[derive(Clone, Debug)]
pub(super) struct Transfer {
    source: RebuildSource,
    base_lsn: Lsn,
    /// The chunk that is being read.
    reading: u64,
    look_at: Duration,
    /// How fast it may go, and what was asked for.
    rate: Option<(u64, ByteRate)>,
}

impl Transfer {
    pub(super) fn plan(&mut self, now: Duration, view: View) -> Result<Todo, SessionError> {
        if now >= self.look_at {
            self.look_at = now + LOOK_EVERY;
            return Ok(Todo::Want(Want::Pins));
        }
        self.source.check(now)?;
        Ok(match self.source.step() {
            SourceStep::Send(message) => Todo::Send(message),
            SourceStep::Read { index } => {
                let next_at = self.next_chunk_at(now, view.base_rate);
                if next_at > now {
                    let until = next_at.min(self.look_at);
                    return Ok(Todo::Wait { until });
                }
                self.reading = index;
                Todo::Want(Want::Chunk { index })
            }
            SourceStep::Finish => Todo::Want(Want::Manifest),
            SourceStep::Wait => Todo::Wait {
                until: self.look_at,
            },
        })
    }
}

/// Bytes that a chunk of a base counts for, whatever is sent of it.
const CHUNK_BYTES: u64 = CHUNK_BLOCKS * BLOCK_SIZE as u64;

impl Transfer {
    /// When the next chunk may be read, at the rate of this moment: then it is taken for sent.
    fn next_chunk_at(&mut self, now: Duration, wanted: Option<u64>) -> Duration {
        let Some(wanted) = wanted else {
            self.rate = None;
            return now;
        };
        let (rate, bucket) = self
            .rate
            .get_or_insert_with(|| (wanted, ByteRate::new(wanted, 0, now)));
        if *rate != wanted {
            *rate = wanted;
            bucket.change(wanted, now);
        }
        let next_at = bucket.next_at(now);
        if next_at <= now {
            bucket.take(CHUNK_BYTES, now);
        }
        next_at
    }
}

impl PrimarySession {
    /// A live base whose split is the checkpoint that the history names: both are pinned before
    /// anything is decided from them (F73, T17).
    pub(super) fn begin_base(&mut self) -> Base {
        self.pin_base(SPLIT_TRIES)
    }

    fn pin_base(&mut self, tries: u32) -> Base {
        self.want(Want::PinBase {
            max_bytes: self.bounds.pin_bytes,
        });
        Base::Pinning {
            tries_left: tries - 1,
        }
    }

    pub(super) fn base_given(&mut self, base: Base, given: Given) -> Result<Stage, SessionError> {
        let tries_left = match base {
            Base::Pinning { tries_left } => tries_left,
            Base::Selecting(_) => return Err(OUT_OF_TURN),
        };
        let Given::BasePinned(pinned) = given else {
            return Err(ungiven(given));
        };
        if pinned.history.base.checkpoint != pinned.split {
            if tries_left == 0 {
                return Err(SessionError::Malformed {
                    what: "the checkpoint moved on each time that a base was pinned",
                });
            }
            return Ok(Stage::Base(self.pin_base(tries_left)));
        }
        self.tell(Finding::History(Box::new(pinned.history.clone())));
        Ok(Stage::Base(Base::Selecting(pinned)))
    }

    pub(super) fn base_commanded(
        &mut self,
        now: Duration,
        base: Base,
        command: Command,
        pins: &[PinRequest],
    ) -> Result<Stage, SessionError> {
        let pinned = match base {
            Base::Selecting(pinned) => pinned,
            Base::Pinning { .. } => return Err(UNEXPECTED_COMMAND),
        };
        if command == Command::Rebuild(RebuildCommand::PrepareReplica) {
            return Ok(Stage::Transfer(Box::new(self.begin_transfer(now, &pinned))));
        }
        if command != Command::Rebuild(RebuildCommand::AwaitPins) {
            return Err(UNEXPECTED_COMMAND);
        }
        for request in pins {
            match request.subject {
                PinSubject::History { from: lsn } | PinSubject::LiveExtent { split: lsn }
                    if lsn == pinned.split => {}
                PinSubject::History { .. }
                | PinSubject::LiveExtent { .. }
                | PinSubject::Snapshot { .. } => {
                    return Err(SessionError::Malformed {
                        what: "the engine selected another source than was pinned",
                    });
                }
            }
            self.tell_rebuild(RebuildEvidence::Pinned {
                slot: request.id.slot,
                retained_from: pinned.retained_from,
            });
        }
        Ok(Stage::Base(Base::Selecting(pinned)))
    }

    fn begin_transfer(&mut self, now: Duration, pinned: &PinnedBase) -> Transfer {
        let base_lsn = pinned.split;
        self.note(Note::TransferBegan {
            base_lsn,
            chunks_total: pinned.chunks,
        });
        let epoch_start = pinned.history.epoch_start.unwrap_or(Lsn::ZERO);
        let begin = RebuildBegin {
            source: BaseKind::FullBase,
            target: pinned.history.committed.max(epoch_start),
            base_lsn,
            blocks: pinned.blocks,
        };
        let bounds = SourceBounds {
            answer: self.bounds.stall,
            work: self.bounds.work,
        };
        let frame = (self.token.volume, self.token.epoch, self.token.session);
        Transfer {
            source: RebuildSource::new(frame, begin, bounds, now),
            base_lsn,
            reading: 0,
            look_at: now + LOOK_EVERY,
            rate: None,
        }
    }

    pub(super) fn transfer_given(
        &mut self,
        now: Duration,
        mut transfer: Box<Transfer>,
        given: Given,
    ) -> Result<Stage, SessionError> {
        // A6: the log that the copy needs went away under it.
        if let Given::Failed(StoreFault::Base(BaseError::Pin(_))) = given {
            let slot = PinSlot::Retention;
            self.interrupt(Interruption::PinLost { slot });
        } else if let Given::Chunk { bytes, sha256 } = given {
            let index = transfer.reading;
            let message = transfer.source.chunk(now, index, bytes, sha256)?;
            self.agenda.push_back(Todo::Send(message));
        } else if let Given::Manifest(manifest) = given {
            let message = transfer.source.manifest(now, manifest);
            self.agenda.push_back(Todo::Send(message));
        } else {
            self.pins_seen(given)?;
        }
        Ok(Stage::Transfer(transfer))
    }

    pub(super) fn transfer_frame(
        &mut self,
        now: Duration,
        mut transfer: Box<Transfer>,
        frame: &Frame,
    ) -> Result<Stage, SessionError> {
        match transfer.source.receive(now, frame)? {
            SourceEvidence::Ready => self.tell_rebuild(RebuildEvidence::ReplicaReady {
                chunks_total: transfer.source.chunks_total(),
            }),
            SourceEvidence::Installed { chunks } => {
                self.note(Note::TransferInstalled { chunks });
                self.tell_rebuild(RebuildEvidence::ChunksInstalled {
                    chunks_done: chunks,
                });
            }
            SourceEvidence::Switched(installed) => {
                self.tell_rebuild(RebuildEvidence::BaseInstalled {
                    base_lsn: installed.base_lsn,
                    extent_bound: installed.extent_bound,
                });
            }
        }
        Ok(Stage::Transfer(transfer))
    }

    /// The tail, once the engine says so.
    pub(super) fn transfer_commanded(
        &mut self,
        now: Duration,
        transfer: Box<Transfer>,
        command: Command,
    ) -> Result<Stage, SessionError> {
        match command {
            Command::Rebuild(RebuildCommand::Replay { .. }) => self.position(
                now,
                Positioning {
                    from: transfer.base_lsn,
                    truncate: None,
                    command,
                    holds: true,
                },
            ),
            Command::Rebuild(
                RebuildCommand::PrepareReplica
                | RebuildCommand::SendChunks { .. }
                | RebuildCommand::InstallBase { .. },
            ) => Ok(Stage::Transfer(transfer)),
            Command::Rebuild(
                RebuildCommand::AwaitPins
                | RebuildCommand::KeepUp { .. }
                | RebuildCommand::Ended { .. },
            )
            | Command::Dial { .. }
            | Command::SendHello
            | Command::AwaitReport
            | Command::SelectSource
            | Command::CatchUp(_)
            | Command::KeepUp
            | Command::Ended { .. } => Err(UNEXPECTED_COMMAND),
        }
    }
}
