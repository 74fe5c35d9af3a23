//! The primary's order of a base transfer: what to send next, and what an answer proves.
//!
//! ```text
//!   announced -> sending (chunk after chunk, a bounded number unconfirmed) -> switching -> installed
//! ```
//!
//! Promises: nothing of the base is sent before the replica has said that it is durably untrusted;
//! the split is the plan's from the beginning (T17); the transfer is over only when the replica
//! answers that it switched to exactly this base (M19). Progress is what the replica installed,
//! never what was sent.

use std::time::Duration;

use bytes::Bytes;
use holdfast_types::{BlockRange, Epoch, Lsn, SessionId, VolumeId};
use holdfast_wire::{
    BaseInstalled, ChunkContent, Frame, FrameType, Manifest, Message, RebuildBegin, RebuildChunk,
    Refusal, Sha256Digest,
};
use thiserror::Error;

use super::CHUNK_BLOCKS;

/// Chunks sent and not yet confirmed, at most.
const WINDOW_CHUNKS: u64 = 16;

/// How long the replica may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceBounds {
    /// While it confirms chunk by chunk.
    pub answer: Duration,
    /// While it does one long thing of which it says nothing before it is done: marking itself
    /// untrusted, or making the image durable and switching to it.
    pub work: Duration,
}

/// What the caller is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceStep {
    /// Send this.
    Send(Message),
    /// Read this chunk of the base and pass it to [`RebuildSource::chunk`].
    Read {
        /// Its index.
        index: u64,
    },
    /// Every chunk is confirmed: end the copy and pass its manifest to [`RebuildSource::manifest`].
    Finish,
    /// Nothing before an answer.
    Wait,
}

/// What an answer of the replica proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceEvidence {
    /// The replica is durably untrusted, and ready.
    Ready,
    /// So many chunks are installed.
    Installed {
        /// From the beginning.
        chunks: u64,
    },
    /// The base is switched in, durably.
    Switched(BaseInstalled),
}

/// Why a transfer cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SourceError {
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
    /// A claim that cannot be true.
    #[error("the replica claims {claimed} of {sent} blocks sent, after {before}")]
    Impossible {
        /// The claim, in blocks.
        claimed: u64,
        /// What was sent, in blocks.
        sent: u64,
        /// What it claimed before.
        before: u64,
    },
    /// The replica switched to another base.
    #[error("the replica installed base {found}, not base {expected}")]
    OtherBase {
        /// The plan's.
        expected: Lsn,
        /// Its answer.
        found: Lsn,
    },
    /// The base given is not what was asked for.
    #[error("chunk {found} was read where chunk {expected} is next")]
    ReadOrder {
        /// What is next.
        expected: u64,
        /// What was read.
        found: u64,
    },
    /// Silence while an answer was due.
    #[error("no answer since {since:?}")]
    Stalled {
        /// Since when.
        since: Duration,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Due,
    Announced,
    Sending,
    /// The manifest is out.
    Switching {
        extent_bound: Lsn,
    },
    Installed,
}

/// One base transfer.
#[derive(Clone, Debug)]
pub struct RebuildSource {
    frame: (VolumeId, Epoch, SessionId),
    begin: RebuildBegin,
    state: State,
    sent_blocks: u64,
    installed_blocks: u64,
    bounds: SourceBounds,
    /// When the replica last answered, or was last asked after a pause in which nothing was due.
    last_heard: Duration,
}

impl RebuildSource {
    /// A transfer as the plan fixed it.
    #[must_use]
    pub const fn new(
        frame: (VolumeId, Epoch, SessionId),
        begin: RebuildBegin,
        bounds: SourceBounds,
        now: Duration,
    ) -> Self {
        Self {
            frame,
            begin,
            state: State::Due,
            sent_blocks: 0,
            installed_blocks: 0,
            bounds,
            last_heard: now,
        }
    }

    /// How many chunks the base has.
    #[must_use]
    pub const fn chunks_total(&self) -> u64 {
        self.begin.blocks.div_ceil(CHUNK_BLOCKS)
    }

    /// Whether the replica has switched to the base.
    #[must_use]
    pub fn is_installed(&self) -> bool {
        self.state == State::Installed
    }

    /// What to do next.
    pub fn step(&mut self) -> SourceStep {
        match self.state {
            State::Due => {
                self.state = State::Announced;
                SourceStep::Send(Message::RebuildBegin(self.begin))
            }
            State::Announced | State::Switching { .. } | State::Installed => SourceStep::Wait,
            State::Sending if self.installed_blocks == self.begin.blocks => SourceStep::Finish,
            State::Sending => {
                let unconfirmed = (self.sent_blocks - self.installed_blocks).div_ceil(CHUNK_BLOCKS);
                if self.sent_blocks < self.begin.blocks && unconfirmed < WINDOW_CHUNKS {
                    SourceStep::Read {
                        index: self.sent_blocks / CHUNK_BLOCKS,
                    }
                } else {
                    SourceStep::Wait
                }
            }
        }
    }

    /// Makes the message of a chunk that was read.
    ///
    /// # Errors
    /// [`SourceError::ReadOrder`] when it is not the next one, or not whole.
    pub fn chunk(
        &mut self,
        now: Duration,
        index: u64,
        bytes: Bytes,
        sha256: Sha256Digest,
    ) -> Result<Message, SourceError> {
        let left = self.begin.blocks - self.sent_blocks;
        let count = left.min(CHUNK_BLOCKS);
        let wrong = SourceError::ReadOrder {
            expected: self.sent_blocks / CHUNK_BLOCKS,
            found: index,
        };
        let whole = bytes.len() as u64 == count * holdfast_types::BLOCK_SIZE as u64;
        if self.state != State::Sending || index != self.sent_blocks / CHUNK_BLOCKS || !whole {
            return Err(wrong);
        }
        let range = BlockRange::new(self.sent_blocks, count).map_err(|_| wrong)?;
        if self.sent_blocks == self.installed_blocks {
            self.last_heard = now;
        }
        self.sent_blocks = range.end();
        let content = if bytes.iter().all(|byte| *byte == 0) {
            ChunkContent::Zeroes
        } else {
            ChunkContent::Data { sha256, bytes }
        };
        Ok(Message::RebuildChunk(RebuildChunk { range, content }))
    }

    /// Makes the message that ends the transfer.
    pub fn manifest(&mut self, now: Duration, manifest: Manifest) -> Message {
        self.last_heard = now;
        self.state = State::Switching {
            extent_bound: manifest.extent_bound,
        };
        Message::Manifest(Box::new(manifest))
    }

    /// What a frame from the replica proves.
    ///
    /// # Errors
    /// Every one ends the session.
    pub fn receive(&mut self, now: Duration, frame: &Frame) -> Result<SourceEvidence, SourceError> {
        if (frame.volume, frame.epoch, frame.session) != self.frame {
            return Err(SourceError::Foreign {
                epoch: frame.epoch,
                session: frame.session,
            });
        }
        let unasked = SourceError::Unasked {
            found: frame.message.frame_type(),
        };
        let evidence = match (&frame.message, self.state) {
            (Message::Refusal(refusal), _) => return Err(SourceError::Refused(refusal.clone())),
            (Message::RebuildReady, State::Announced) => {
                self.state = State::Sending;
                SourceEvidence::Ready
            }
            (Message::RebuildProgress { next_block }, State::Sending) => {
                self.progress(*next_block)?
            }
            (Message::BaseInstalled(installed), State::Switching { extent_bound }) => {
                let BaseInstalled {
                    base_lsn: found, ..
                } = *installed;
                if found != self.begin.base_lsn || installed.extent_bound != extent_bound {
                    return Err(SourceError::OtherBase {
                        expected: self.begin.base_lsn,
                        found,
                    });
                }
                self.state = State::Installed;
                SourceEvidence::Switched(*installed)
            }
            (_, State::Due | State::Announced | State::Sending)
            | (_, State::Switching { .. } | State::Installed) => return Err(unasked),
        };
        self.last_heard = now;
        Ok(evidence)
    }

    fn progress(&mut self, next_block: u64) -> Result<SourceEvidence, SourceError> {
        let whole = next_block.is_multiple_of(CHUNK_BLOCKS) || next_block == self.begin.blocks;
        if next_block < self.installed_blocks || next_block > self.sent_blocks || !whole {
            return Err(SourceError::Impossible {
                claimed: next_block,
                sent: self.sent_blocks,
                before: self.installed_blocks,
            });
        }
        self.installed_blocks = next_block;
        Ok(SourceEvidence::Installed {
            chunks: next_block.div_ceil(CHUNK_BLOCKS),
        })
    }

    /// Whether the transfer may go on at this time.
    ///
    /// # Errors
    /// [`SourceError::Stalled`] when the replica was silent for too long while an answer was due.
    pub fn check(&self, now: Duration) -> Result<(), SourceError> {
        let bound = match self.state {
            State::Due | State::Installed => return Ok(()),
            State::Announced | State::Switching { .. } => self.bounds.work,
            State::Sending if self.sent_blocks == self.installed_blocks => return Ok(()),
            State::Sending => self.bounds.answer,
        };
        if now.saturating_sub(self.last_heard) >= bound {
            return Err(SourceError::Stalled {
                since: self.last_heard,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
