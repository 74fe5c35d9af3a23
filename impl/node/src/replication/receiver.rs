//! The replica's side of one connection: what may be done to the store, and what is answered.
//!
//! A frame leads to at most one [`StoreCall`]; the caller carries it out and passes the
//! [`StoreOutcome`] back, and only then is the frame answered. So an epoch and a session are durable
//! before the hello is answered (F52, F91), and nothing is acknowledged that the store did not take.
//!
//! Promises: a frame has an effect only under the present volume, epoch and session (T7, F44, F49);
//! an append only after its predecessor (M03, F30) and an entry's own epoch is history, checked
//! against its neighbours and never against the session for equality (F47); a truncation once,
//! before the first append (T9); positions move with the data (F35); the log counts as the primary's
//! up to the head of its hello only on the evidence of this session (W1, M37). Everything else is
//! refused with what was expected, and the session is over (F38). Must never: skip an entry as a
//! duplicate.

mod entries;

use holdfast_types::{
    BlockCount, Epoch, LogEntry, Lsn, ReplicaFacts, SessionId, StoreId, VolumeId,
};
use holdfast_wire::{
    Append, BaseInstalled, Frame, Hello, HelloAck, LogPosition, Manifest, Message, RebuildBegin,
    RebuildChunk, Refusal, SUPPORTED_VERSIONS,
};
use std::collections::VecDeque;

use bytes::Bytes;
use holdfast_blockvol::MAX_BLOCKS;

use crate::rebuild::RebuildTarget;
use entries::check_entries;

/// Barriers that may wait at once (F50).
const BARRIERS_MAX: usize = 64;

/// The authority under which the store stands at this moment, as it made it durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Present {
    /// The highest epoch promised.
    pub epoch: Epoch,
    /// The newest session admitted in it.
    pub session: Option<SessionId>,
}

/// What is to be done to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreCall {
    /// Make epoch and session durable, sync the log, and report the facts.
    Admit {
        /// The epoch.
        epoch: Epoch,
        /// The session.
        session: SessionId,
        /// The store of the primary, which leads the epoch.
        leader: StoreId,
    },
    /// Cut the log, durably.
    Truncate {
        /// The last position that stays.
        to: Lsn,
    },
    /// Append the batch, whole or not at all.
    Append {
        /// The entry before it.
        previous: LogPosition,
        /// The entries.
        entries: Vec<LogEntry<Bytes>>,
        /// What the primary says is committed.
        committed: Lsn,
    },
    /// Take what the primary says is committed.
    Commit {
        /// The position; the store takes it as far as its log reaches.
        committed: Lsn,
    },
    /// Make everything up to here durable; the outcome comes by [`Receiver::durable`].
    Sync {
        /// The position.
        lsn: Lsn,
    },
    /// Mark the store untrusted, durably, and be ready for a base.
    BeginInstall {
        /// Its size.
        blocks: BlockCount,
    },
    /// Verify and write a part of the base.
    InstallChunk(RebuildChunk),
    /// Verify the base as a whole and switch to it, durably.
    FinishInstall(Box<Manifest>),
}

/// What came of a [`StoreCall`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOutcome {
    /// The session is admitted; the facts as they are on the disk, and the last entry.
    Admitted {
        /// The facts.
        facts: Box<ReplicaFacts>,
        /// The last entry of the log.
        last: LogPosition,
    },
    /// The log is cut; the last entry.
    Truncated {
        /// The last entry of the log.
        last: LogPosition,
    },
    /// The batch is in the log.
    Appended,
    /// What is committed is noted.
    Noted,
    /// The store is untrusted, durably.
    InstallBegun,
    /// The chunk is written.
    ChunkInstalled,
    /// The new base is in place; its positions.
    Installed {
        /// The base's own.
        installed: BaseInstalled,
        /// The last entry before it.
        last: LogPosition,
    },
}

#[derive(Clone, Debug)]
enum State {
    /// No hello yet.
    Fresh,
    /// A hello is being made durable.
    Admitting { hello: Hello },
    /// In session.
    Streaming {
        /// Whether a truncation is still allowed: none was, and nothing was appended.
        may_truncate: bool,
    },
    /// A base is being installed.
    Rebuilding(RebuildTarget),
}

impl State {
    const fn awaits(&self) -> &'static str {
        match self {
            Self::Fresh => "a hello",
            Self::Admitting { .. } => "nothing",
            Self::Streaming { .. } => "entries or barriers",
            Self::Rebuilding(_) => "the rest of the base",
        }
    }
}

/// One connection from a primary.
#[derive(Clone, Debug)]
pub struct Receiver {
    volume: VolumeId,
    /// The size of the store here, as of its checkpoint.
    stored: BlockCount,
    /// The size of the volume with everything that the primary has sent.
    blocks: BlockCount,
    log_bytes: u64,
    authority: Option<(Epoch, SessionId)>,
    /// The primary's last entry when it said hello.
    primary_head: LogPosition,
    /// Whether this session has shown that the log here, as far as it goes, is the primary's.
    follows_primary: bool,
    state: State,
    last: LogPosition,
    durable: Lsn,
    barriers: VecDeque<Lsn>,
}

impl Receiver {
    /// A connection to the store of a volume of so many blocks, with a log of so many bytes.
    #[must_use]
    pub const fn new(volume: VolumeId, blocks: BlockCount, log_bytes: u64) -> Self {
        Self {
            volume,
            stored: blocks,
            blocks,
            log_bytes,
            authority: None,
            primary_head: LogPosition::START,
            follows_primary: false,
            state: State::Fresh,
            last: LogPosition::START,
            durable: Lsn::ZERO,
            barriers: VecDeque::new(),
        }
    }

    /// The epoch and session of this connection, once it said hello.
    #[must_use]
    pub const fn authority(&self) -> Option<(Epoch, SessionId)> {
        self.authority
    }

    /// The last entry in the log, as this session left it.
    #[must_use]
    pub const fn last(&self) -> LogPosition {
        self.last
    }

    /// Whether, in this session, the log here has reached the last entry that the primary had when it
    /// said hello. Then it holds everything that this replica ever acknowledged to that primary or
    /// to those before it, and did not lose to a promotion that was decided since (W1).
    ///
    /// Ask only when no [`StoreCall`] is under way. By number alone nothing is concluded: either an
    /// append was accepted or a base installed in this session, or the last entries are the same by
    /// position and epoch.
    #[must_use]
    pub fn has_reached_the_primary(&self) -> bool {
        match self.state {
            State::Streaming { .. } => {
                let by_number = self.follows_primary && self.last.lsn >= self.primary_head.lsn;
                by_number || self.last == self.primary_head
            }
            State::Fresh | State::Admitting { .. } | State::Rebuilding(_) => false,
        }
    }

    /// What a frame asks of the store, or `None` when there is nothing to do for it.
    ///
    /// # Errors
    /// The refusal to answer with; the session is then over and nothing has changed.
    pub fn frame(&mut self, frame: Frame, present: Present) -> Result<Option<StoreCall>, Refusal> {
        if frame.volume != self.volume {
            return Err(Refusal::UnknownVolume);
        }
        if frame.epoch < present.epoch {
            return Err(Refusal::StaleEpoch {
                offered: frame.epoch,
                promised: present.epoch,
            });
        }
        if let Message::Hello(hello) = frame.message {
            return self
                .hello(frame.epoch, frame.session, hello, present)
                .map(Some);
        }
        self.check_session(frame.epoch, frame.session, present)?;
        match frame.message {
            Message::Append(batch) => self.append(batch).map(Some),
            Message::Barrier { lsn } => self.barrier(lsn),
            Message::Truncate { to } => self.truncate(to).map(Some),
            Message::Heartbeat { committed } => match self.state {
                State::Streaming { .. } => Ok(Some(StoreCall::Commit { committed })),
                State::Rebuilding(_) => Ok(None),
                State::Fresh | State::Admitting { .. } => Err(self.out_of_turn("a heartbeat")),
            },
            Message::RebuildBegin(begin) => self.begin_rebuild(begin).map(Some),
            Message::RebuildChunk(chunk) => match &mut self.state {
                State::Rebuilding(target) => {
                    target.chunk(&chunk)?;
                    Ok(Some(StoreCall::InstallChunk(chunk)))
                }
                State::Fresh | State::Admitting { .. } | State::Streaming { .. } => {
                    Err(self.out_of_turn("a chunk"))
                }
            },
            Message::Manifest(manifest) => match &mut self.state {
                State::Rebuilding(target) => {
                    target.manifest(&manifest)?;
                    Ok(Some(StoreCall::FinishInstall(manifest)))
                }
                State::Fresh | State::Admitting { .. } | State::Streaming { .. } => {
                    Err(self.out_of_turn("a manifest"))
                }
            },
            Message::Hello(_)
            | Message::HelloAck(_)
            | Message::Received { .. }
            | Message::BarrierAck { .. }
            | Message::Truncated { .. }
            | Message::RebuildReady
            | Message::RebuildProgress { .. }
            | Message::BaseInstalled(_)
            | Message::Refusal(_)
            | Message::ControlRequest(_)
            | Message::ControlReply(_) => Err(self.out_of_turn("a message that replicas send")),
        }
    }

    /// Once a message is on its way in a session, the same epoch and session must be the newest
    /// that the store has admitted: another connection may have taken over since (T7).
    fn check_session(
        &self,
        epoch: Epoch,
        session: SessionId,
        present: Present,
    ) -> Result<(), Refusal> {
        let own = self.authority == Some((epoch, session));
        if own && present.epoch == epoch && present.session == Some(session) {
            return Ok(());
        }
        Err(Refusal::NotTheSession {
            offered: session,
            present: present.session,
        })
    }

    /// Whether a hello would be admitted under the present authority of the store; changes nothing.
    /// So nothing is promised, and nobody deposed, for a peer that is refused anyway.
    ///
    /// # Errors
    /// The refusal to answer with.
    pub fn check_hello(
        &self,
        epoch: Epoch,
        session: SessionId,
        hello: &Hello,
        present: Present,
    ) -> Result<(), Refusal> {
        match &self.state {
            State::Fresh => {}
            State::Admitting { .. } | State::Streaming { .. } | State::Rebuilding(_) => {
                return Err(self.out_of_turn("a second hello"));
            }
        }
        if SUPPORTED_VERSIONS
            .newest_shared_with(hello.versions)
            .is_none()
        {
            return Err(Refusal::Version {
                offered: hello.versions,
                supported: SUPPORTED_VERSIONS,
            });
        }
        // A volume only grows, and what this copy carried out is in the primary's log too.
        if !(self.stored..=MAX_BLOCKS).contains(&hello.blocks) {
            return Err(Refusal::Size {
                offered: hello.blocks,
                stored: self.stored,
            });
        }
        if epoch < present.epoch {
            return Err(Refusal::StaleEpoch {
                offered: epoch,
                promised: present.epoch,
            });
        }
        match present.session {
            Some(last) if epoch == present.epoch && session <= last => Err(Refusal::StaleSession {
                offered: session,
                last,
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn hello(
        &mut self,
        epoch: Epoch,
        session: SessionId,
        hello: Hello,
        present: Present,
    ) -> Result<StoreCall, Refusal> {
        self.check_hello(epoch, session, &hello, present)?;
        self.authority = Some((epoch, session));
        self.primary_head = hello.head;
        self.blocks = hello.blocks;
        let leader = hello.store;
        self.state = State::Admitting { hello };
        Ok(StoreCall::Admit {
            epoch,
            session,
            leader,
        })
    }

    fn append(&mut self, batch: Append) -> Result<StoreCall, Refusal> {
        let Append {
            previous,
            committed,
            entries,
        } = batch;
        let State::Streaming { may_truncate } = &mut self.state else {
            return Err(self.out_of_turn("entries"));
        };
        if previous != self.last {
            return Err(Refusal::Predecessor {
                offered: previous,
                expected: self.last,
            });
        }
        let ceiling = self.authority.map_or(Epoch(0), |(epoch, _)| epoch);
        self.blocks = check_entries(previous, ceiling, self.blocks, &entries)?;
        *may_truncate = false;
        if let Some(last) = entries.last() {
            self.last = LogPosition {
                lsn: last.lsn,
                epoch: last.epoch,
            };
        }
        Ok(StoreCall::Append {
            previous,
            entries,
            committed,
        })
    }

    fn truncate(&mut self, to: Lsn) -> Result<StoreCall, Refusal> {
        let State::Streaming { may_truncate } = &mut self.state else {
            return Err(self.out_of_turn("a truncation"));
        };
        if !*may_truncate {
            return Err(Refusal::TruncateTooLate);
        }
        if to > self.last.lsn {
            return Err(Refusal::TruncateBeyondHead {
                offered: to,
                head: self.last.lsn,
            });
        }
        *may_truncate = false;
        Ok(StoreCall::Truncate { to })
    }

    fn barrier(&mut self, lsn: Lsn) -> Result<Option<StoreCall>, Refusal> {
        match &self.state {
            State::Streaming { .. } => {}
            State::Fresh | State::Admitting { .. } | State::Rebuilding(_) => {
                return Err(self.out_of_turn("a barrier"));
            }
        }
        if self.barriers.len() >= BARRIERS_MAX {
            return Err(Refusal::TooMany {
                what: "barriers".into(),
                limit: BARRIERS_MAX as u64,
            });
        }
        self.barriers.push_back(lsn);
        Ok(self.due_sync())
    }

    /// The sync that the oldest barrier whose entries are here waits for.
    fn due_sync(&self) -> Option<StoreCall> {
        let reached = |lsn: &&Lsn| **lsn <= self.last.lsn;
        let lsn = self.barriers.iter().filter(reached).max()?;
        Some(StoreCall::Sync { lsn: *lsn })
    }

    fn begin_rebuild(&mut self, begin: RebuildBegin) -> Result<StoreCall, Refusal> {
        match &self.state {
            State::Streaming { may_truncate: true } => {}
            State::Streaming {
                may_truncate: false,
            }
            | State::Fresh
            | State::Admitting { .. }
            | State::Rebuilding(_) => return Err(self.out_of_turn("a rebuild")),
        }
        self.state = State::Rebuilding(RebuildTarget::new(begin, self.blocks)?);
        let blocks = begin.blocks;
        Ok(StoreCall::BeginInstall { blocks })
    }

    /// What to answer once the store has done what the last frame asked.
    ///
    /// # Errors
    /// A refusal when the outcome does not belong to what was asked.
    pub fn done(&mut self, outcome: StoreOutcome) -> Result<Option<Message>, Refusal> {
        match outcome {
            StoreOutcome::Admitted { facts, last } => self.admitted(*facts, last).map(Some),
            StoreOutcome::Truncated { last } => {
                self.last = last;
                self.durable = self.durable.min(last.lsn);
                Ok(Some(Message::Truncated { to: last.lsn }))
            }
            StoreOutcome::Appended => {
                self.follows_primary = true;
                Ok(Some(Message::Received { lsn: self.last.lsn }))
            }
            StoreOutcome::Noted => Ok(Some(Message::Received { lsn: self.last.lsn })),
            StoreOutcome::InstallBegun => {
                self.last = LogPosition::START;
                self.durable = Lsn::ZERO;
                Ok(Some(Message::RebuildReady))
            }
            StoreOutcome::ChunkInstalled => match &mut self.state {
                State::Rebuilding(target) => Ok(Some(target.installed())),
                State::Fresh | State::Admitting { .. } | State::Streaming { .. } => {
                    Err(self.out_of_turn("an installed chunk"))
                }
            },
            StoreOutcome::Installed { installed, last } => {
                self.last = last;
                self.durable = last.lsn;
                self.follows_primary = true;
                self.state = State::Streaming {
                    may_truncate: false,
                };
                Ok(Some(Message::BaseInstalled(installed)))
            }
        }
    }

    fn admitted(&mut self, facts: ReplicaFacts, last: LogPosition) -> Result<Message, Refusal> {
        let State::Admitting { hello } = &self.state else {
            return Err(self.out_of_turn("an admission"));
        };
        let version = SUPPORTED_VERSIONS
            .newest_shared_with(hello.versions)
            .unwrap_or(SUPPORTED_VERSIONS.max);
        self.last = last;
        self.durable = facts.base.durable;
        self.state = State::Streaming { may_truncate: true };
        Ok(Message::HelloAck(Box::new(HelloAck {
            version,
            blocks: self.stored,
            log_bytes: self.log_bytes,
            facts,
        })))
    }

    /// A sync that is due because an append has reached what a barrier waits for.
    #[must_use]
    pub fn sync_due(&self) -> Option<Lsn> {
        match self.due_sync() {
            Some(StoreCall::Sync { lsn }) => Some(lsn),
            Some(
                StoreCall::Admit { .. }
                | StoreCall::Truncate { .. }
                | StoreCall::Append { .. }
                | StoreCall::Commit { .. }
                | StoreCall::BeginInstall { .. }
                | StoreCall::InstallChunk(_)
                | StoreCall::FinishInstall(_),
            )
            | None => None,
        }
    }

    /// The store is durable up to here: the next barrier that this answers, if any. Ask again until
    /// there is none.
    pub fn durable(&mut self, durable: Lsn) -> Option<Message> {
        // A sync that ran since before a cut or a new base may report what is no longer there (F35).
        let durable = durable.min(self.last.lsn);
        self.durable = self.durable.max(durable);
        match self.barriers.front() {
            Some(&asked) if asked <= self.durable => {
                self.barriers.pop_front();
                Some(Message::BarrierAck {
                    asked,
                    durable: self.durable,
                })
            }
            Some(_) | None => None,
        }
    }

    fn out_of_turn(&self, found: &str) -> Refusal {
        Refusal::OutOfTurn {
            found: found.into(),
            expected: self.state.awaits().into(),
        }
    }
}

#[cfg(test)]
mod tests;
