//! One session of a primary with one store of this node: a [`Receiver`] with a socket.
//!
//! Promises: a frame is checked against the present authority of the store and carried out with
//! nothing in between (T7, F37, F49); the session ends, whatever it is doing, when a newer one was
//! admitted or a higher epoch promised, when its primary is silent for too long, and when its primary
//! takes no answer for too long; its memory is bounded by one batch and one frame (F45).
//!
//! Must never: answer a barrier on behalf of a session that was superseded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_blockvol::{
    AppendError, BaseError, BaseInstall, BaseManifest, ChunkDigest, ImageDigest, TruncateError,
};
use holdfast_types::{BLOCK_SIZE, Epoch, LogEntry, Lsn, SessionId, VolumeId};
use holdfast_wire::{
    BaseInstalled, ChunkContent, Frame, Hello, LogPosition, Manifest, Message, RebuildChunk,
    Refusal,
};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::block_in_place;
use tokio::time::timeout;

use super::super::framed::{FrameReader, FrameWriter, StreamError};
use super::super::local_store::{LocalStore, store_failed};
use super::{Ended, torn};
use crate::rebuild::CHUNK_BLOCKS;
use crate::replication::{Present, Receiver, StoreCall, StoreOutcome};

const _: () = assert!(
    CHUNK_BLOCKS == holdfast_blockvol::CHUNK_BLOCKS,
    "the wire carries the chunks that the store digests"
);

/// How long a batch may wait for room in the log.
const ROOM_WAIT: Duration = Duration::from_secs(5);

/// How often a connection looks whether its store still works.
const HEALTH_EVERY: Duration = Duration::from_secs(1);

/// The volume, epoch and session for which a frame speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct About {
    pub(super) volume: VolumeId,
    pub(super) epoch: Epoch,
    pub(super) session: SessionId,
}

impl About {
    pub(super) const fn of(frame: &Frame) -> Self {
        Self {
            volume: frame.volume,
            epoch: frame.epoch,
            session: frame.session,
        }
    }

    pub(super) const fn with(self, message: Message) -> Frame {
        Frame {
            volume: self.volume,
            epoch: self.epoch,
            session: self.session,
            message,
        }
    }
}

/// One connection of a primary.
pub(super) struct Link {
    receiver: Receiver,
    store: Arc<LocalStore>,
    /// How long the primary may be silent, or take nothing.
    idle: Duration,
    install: Option<BaseInstall>,
    /// A batch for which the log has no room yet. Nothing is read before it is in; barriers are
    /// answered all the while, since what they prove is what makes room.
    waiting: Option<Waiting>,
}

/// A batch that waits for room in the log.
struct Waiting {
    entries: Vec<LogEntry<Bytes>>,
    committed: Lsn,
    until: Instant,
}

impl Link {
    /// A connection to a store; nothing is admitted yet.
    pub(super) fn new(store: Arc<LocalStore>, volume: VolumeId, idle: Duration) -> Self {
        let opened = store.volume();
        Self {
            receiver: Receiver::new(volume, opened.blocks(), opened.log_bytes()),
            store,
            idle,
            install: None,
            waiting: None,
        }
    }

    /// Whether a hello would be admitted at present; changes nothing.
    ///
    /// # Errors
    /// The refusal to answer with.
    pub(super) fn check_hello(&self, about: About, hello: &Hello) -> Result<(), Refusal> {
        let present = self.store.present();
        self.receiver
            .check_hello(about.epoch, about.session, hello, present)
    }

    /// Admits a hello and lives for its session.
    pub(super) async fn run(
        &mut self,
        hello: Frame,
        reader: &mut FrameReader<OwnedReadHalf>,
        writer: &mut FrameWriter<OwnedWriteHalf>,
    ) -> Ended {
        let about = About::of(&hello);
        match block_in_place(|| self.take(hello)) {
            Ok(Some(answer)) => {
                if let Err(lost) = self.send(about, writer, answer).await {
                    return lost.into();
                }
            }
            Ok(None) => {}
            Err(refusal) => return Ended::Refused { about, refusal },
        }
        let store = Arc::clone(&self.store);
        tokio::select! {
            ended = self.stream(about, reader, writer) => ended,
            present = store.superseded(about.epoch, about.session) => Ended::Refused {
                about,
                refusal: not_the_session(about, present),
            },
        }
    }

    async fn stream(
        &mut self,
        about: About,
        reader: &mut FrameReader<OwnedReadHalf>,
        writer: &mut FrameWriter<OwnedWriteHalf>,
    ) -> Ended {
        let streamed = self.take_all(about, reader, writer).await;
        match streamed {
            Ok(ended) => ended,
            Err(StreamError::Closed) if reader.is_inside_a_frame() => torn(about),
            Err(error) => error.into(),
        }
    }

    async fn take_all(
        &mut self,
        own: About,
        reader: &mut FrameReader<OwnedReadHalf>,
        writer: &mut FrameWriter<OwnedWriteHalf>,
    ) -> Result<Ended, StreamError> {
        let mut moved = self.store.moved();
        let mut next = None;
        let mut heard = Instant::now();
        loop {
            if let Some(frame) = next.take() {
                heard = Instant::now();
                let about = About::of(&frame);
                match block_in_place(|| self.take(frame)) {
                    Ok(Some(answer)) => self.send(own, writer, answer).await?,
                    Ok(None) => {}
                    Err(refusal) => return Ok(Ended::Refused { about, refusal }),
                }
            }
            // What has come already is taken before anything is answered: those who wait share a
            // sync, and answers share a packet.
            if self.waiting.is_none() {
                next = reader.buffered()?;
                if next.is_some() {
                    continue;
                }
            } else {
                // It is this side that does not read.
                heard = Instant::now();
            }
            moved.borrow_and_update();
            match block_in_place(|| self.append_waiting()) {
                Ok(Some(answer)) => self.send(own, writer, answer).await?,
                Ok(None) => {}
                Err(refusal) => {
                    return Ok(Ended::Refused {
                        about: own,
                        refusal,
                    });
                }
            }
            self.answer_barriers(own, writer).await?;
            self.flush(writer).await?;
            tokio::select! {
                biased;
                frame = reader.next(), if self.waiting.is_none() => next = Some(frame?),
                _ = moved.changed() => {}
                () = tokio::time::sleep(HEALTH_EVERY.min(self.idle)) => {}
            }
            if let Some(poisoned) = self.store.volume().poisoned() {
                let refusal = store_failed(poisoned);
                return Ok(Ended::Refused {
                    about: own,
                    refusal,
                });
            }
            if next.is_none() && heard.elapsed() >= self.idle {
                let doing = "waiting for the primary";
                return Err(StreamError::TimedOut { doing });
            }
        }
    }

    async fn send(
        &self,
        own: About,
        writer: &mut FrameWriter<OwnedWriteHalf>,
        answer: Message,
    ) -> Result<(), StreamError> {
        let doing = "sending to the primary";
        timeout(self.idle, writer.send(&own.with(answer)))
            .await
            .map_err(|_| StreamError::TimedOut { doing })?
    }

    async fn flush(&self, writer: &mut FrameWriter<OwnedWriteHalf>) -> Result<(), StreamError> {
        let doing = "sending to the primary";
        timeout(self.idle, writer.flush())
            .await
            .map_err(|_| StreamError::TimedOut { doing })?
    }

    /// Answers every barrier that the store's durable position satisfies.
    async fn answer_barriers(
        &mut self,
        own: About,
        writer: &mut FrameWriter<OwnedWriteHalf>,
    ) -> Result<(), StreamError> {
        if self.receiver.sync_due().is_none() {
            return Ok(());
        }
        // A session that was superseded vouches for nothing: the log may have been cut since.
        let durable = {
            let _exclusive = self.store.exclusive();
            if self.check_present().is_err() {
                return Err(StreamError::Closed);
            }
            self.store.positions().durable
        };
        while let Some(answer) = self.receiver.durable(durable) {
            self.send(own, writer, answer).await?;
        }
        if self.receiver.sync_due().is_some() {
            self.store.volume().request_sync();
        }
        Ok(())
    }

    /// One frame: checked against the present authority and carried out, nothing else in between.
    fn take(&mut self, frame: Frame) -> Result<Option<Message>, Refusal> {
        let store = Arc::clone(&self.store);
        let _exclusive = store.exclusive();
        let call = self.receiver.frame(frame, store.present())?;
        let Some(call) = call else {
            return Ok(None);
        };
        match self.perform(call)? {
            Some(outcome) => self.conclude(outcome),
            None => Ok(None),
        }
    }

    /// The store has done it: what to answer, and what it means for this process.
    fn conclude(&mut self, outcome: StoreOutcome) -> Result<Option<Message>, Refusal> {
        let answer = self.receiver.done(outcome)?;
        if self.receiver.has_reached_the_primary() {
            self.store.note_whole();
        }
        Ok(answer)
    }

    fn perform(&mut self, call: StoreCall) -> Result<Option<StoreOutcome>, Refusal> {
        let outcome = match call {
            StoreCall::Admit { epoch, session } => StoreOutcome::Admitted {
                facts: Box::new(self.store.admit(epoch, session)?),
                last: self.store.last(),
            },
            StoreCall::Truncate { to } => {
                self.store.volume().truncate(to).map_err(truncate_refused)?;
                StoreOutcome::Truncated {
                    last: self.store.last(),
                }
            }
            StoreCall::Append {
                previous: _,
                entries,
                committed,
            } => {
                self.waiting = Some(Waiting {
                    entries,
                    committed,
                    until: Instant::now() + ROOM_WAIT,
                });
                return self.append();
            }
            StoreCall::Commit { committed } => {
                self.store.volume().set_committed(committed);
                StoreOutcome::Noted
            }
            StoreCall::Sync { .. } => {
                self.store.volume().request_sync();
                return Ok(None);
            }
            StoreCall::BeginInstall => {
                // Before the first byte goes: from here on it holds less than it acknowledged.
                self.store.note_emptied();
                let install = self.store.volume().begin_install();
                self.install = Some(install.map_err(store_failed)?);
                StoreOutcome::InstallBegun
            }
            StoreCall::InstallChunk(chunk) => self.install_chunk(chunk)?,
            StoreCall::FinishInstall(manifest) => self.finish_install(&manifest)?,
        };
        Ok(Some(outcome))
    }

    /// Tries the batch that waits again, under the authority of this moment.
    fn append_waiting(&mut self) -> Result<Option<Message>, Refusal> {
        if self.waiting.is_none() {
            return Ok(None);
        }
        let store = Arc::clone(&self.store);
        let _exclusive = store.exclusive();
        self.check_present()?;
        match self.append()? {
            Some(outcome) => self.conclude(outcome),
            None => Ok(None),
        }
    }

    /// Appends what waits, as far as there is room; `None` while some of it still waits.
    fn append(&mut self) -> Result<Option<StoreOutcome>, Refusal> {
        let Some(waiting) = &mut self.waiting else {
            return Ok(None);
        };
        let volume = self.store.volume();
        // Of the entries that are here already: they may be written back, which makes room.
        volume.set_committed(waiting.committed);
        let last = volume.last();
        waiting.entries.retain(|entry| entry.lsn > last.0);
        match volume.append_entries(last, &waiting.entries) {
            Ok(_) => {
                volume.set_committed(waiting.committed);
                self.waiting = None;
                Ok(Some(StoreOutcome::Appended))
            }
            Err(AppendError::LogFull { .. }) if Instant::now() < waiting.until => Ok(None),
            Err(error) => Err(append_refused(error)),
        }
    }

    /// Whether this connection's session is still the newest that the store has admitted.
    fn check_present(&self) -> Result<(), Refusal> {
        let present = self.store.present();
        match self.receiver.authority() {
            Some((epoch, session))
                if (present.epoch, present.session) == (epoch, Some(session)) =>
            {
                Ok(())
            }
            own => Err(Refusal::NotTheSession {
                offered: own.map_or(SessionId(0), |(_, session)| session),
                present: present.session,
            }),
        }
    }

    fn install_chunk(&self, chunk: RebuildChunk) -> Result<StoreOutcome, Refusal> {
        let Some(install) = &self.install else {
            return Err(store_failed("no base is being installed"));
        };
        let index = chunk.range.start() / CHUNK_BLOCKS;
        let installed = match chunk.content {
            ChunkContent::Zeroes => {
                let length = usize::try_from(chunk.range.count()).unwrap_or(0) * BLOCK_SIZE;
                let zeroes = vec![0; length];
                install.install(index, &zeroes, ChunkDigest::of(&zeroes))
            }
            ChunkContent::Data { sha256, bytes } => {
                install.install(index, &bytes, ChunkDigest(sha256))
            }
        };
        match installed {
            Ok(()) => Ok(StoreOutcome::ChunkInstalled),
            Err(BaseError::ChunkDigest { .. }) => Err(Refusal::ChunkDigest {
                start: chunk.range.start(),
            }),
            Err(error) => Err(store_failed(error)),
        }
    }

    fn finish_install(&mut self, manifest: &Manifest) -> Result<StoreOutcome, Refusal> {
        let Some(install) = self.install.take() else {
            return Err(store_failed("no base is being installed"));
        };
        let positions = install
            .finish(&BaseManifest {
                volume: self.store.volume().volume_id(),
                blocks: manifest.blocks,
                base_lsn: manifest.base_lsn,
                extent_bound: manifest.extent_bound,
                lineage: manifest.lineage.clone(),
                digest: ImageDigest(manifest.sha256),
            })
            .map_err(|error| Refusal::ManifestMismatch {
                what: error.to_string(),
            })?;
        let installed = BaseInstalled {
            base_lsn: positions.checkpoint,
            extent_bound: positions.extent_bound,
        };
        let last = self.store.last();
        Ok(StoreOutcome::Installed { installed, last })
    }
}

/// The refusal for whoever speaks in a session that is over.
fn not_the_session(about: About, present: Present) -> Refusal {
    if present.epoch > about.epoch {
        Refusal::StaleEpoch {
            offered: about.epoch,
            promised: present.epoch,
        }
    } else {
        Refusal::NotTheSession {
            offered: about.session,
            present: present.session,
        }
    }
}

fn truncate_refused(error: TruncateError) -> Refusal {
    match error {
        TruncateError::BelowExtent { to, extent_bound } => Refusal::TruncateBelowExtent {
            offered: to,
            bound: extent_bound,
        },
        TruncateError::BeyondHead { to, head } => Refusal::TruncateBeyondHead { offered: to, head },
        TruncateError::Damaged(damage) => store_failed(damage),
        TruncateError::Poisoned(poisoned) => store_failed(poisoned),
    }
}

fn append_refused(error: AppendError) -> Refusal {
    match error {
        AppendError::LogFull { needed, free, .. } => Refusal::LogFull { free, needed },
        AppendError::OutOfBounds { range, blocks } => Refusal::OutOfBounds { range, blocks },
        AppendError::Predecessor {
            expected_lsn,
            expected_epoch,
            found_lsn,
            found_epoch,
        } => Refusal::Predecessor {
            offered: LogPosition {
                lsn: found_lsn,
                epoch: found_epoch,
            },
            expected: LogPosition {
                lsn: expected_lsn,
                epoch: expected_epoch,
            },
        },
        AppendError::NotNext { expected, found } => Refusal::NotContiguous { expected, found },
        AppendError::Untrusted => Refusal::Untrusted,
        AppendError::EpochNotPromised { promised, found } => Refusal::StaleEpoch {
            offered: found,
            promised,
        },
        error @ (AppendError::SyncFirst { .. }
        | AppendError::Operation { .. }
        | AppendError::Restoring { .. }
        | AppendError::TooLarge { .. }
        | AppendError::Malformed { .. }
        | AppendError::EpochOrder { .. }
        | AppendError::Poisoned(_)) => store_failed(error),
    }
}
