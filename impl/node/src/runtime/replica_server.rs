//! Connections of primaries: a [`Receiver`] with a socket and a store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_blockvol::{
    AppendError, BaseError, BaseInstall, BaseManifest, ChunkDigest, ImageDigest, Role,
    TruncateError,
};
use holdfast_types::{BLOCK_SIZE, Epoch, LogEntry, Lsn, SessionId, VolumeId};
use holdfast_wire::{
    BaseInstalled, ChunkContent, Frame, LogPosition, Manifest, Message, RebuildChunk, Refusal,
};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, block_in_place};
use tokio::time::timeout;

use super::framed::{FrameReader, FrameWriter, StreamError, frames};
use super::local_store::{LocalStore, promise_refused, store_failed};
use super::node::NodeShared;
use crate::rebuild::CHUNK_BLOCKS;
use crate::replication::{Receiver, StoreCall, StoreOutcome};

const _: () = assert!(
    CHUNK_BLOCKS == holdfast_blockvol::CHUNK_BLOCKS,
    "the wire carries the chunks that the store digests"
);

/// How long a connection may take to say hello.
const HELLO_WAIT: Duration = Duration::from_secs(5);

/// How long a batch may wait for room in the log.
const ROOM_WAIT: Duration = Duration::from_secs(5);

/// How often a connection looks whether its store still works.
const HEALTH_EVERY: Duration = Duration::from_secs(1);

/// Accepts primaries until the node stops; returns when the last connection is gone.
pub(crate) async fn serve(node: Arc<NodeShared>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = node.stopping() => return connections.shutdown().await,
        };
        match accepted {
            Ok((stream, peer)) => {
                let node = Arc::clone(&node);
                connections.spawn(async move {
                    let served = tokio::select! {
                        served = connection(&node, stream) => served,
                        () = node.stopping() => return,
                    };
                    match served {
                        Ok(()) | Err(StreamError::Closed) => {}
                        Err(error) => tracing::info!(%peer, %error, "a primary's connection ended"),
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(node: &Arc<NodeShared>, stream: TcpStream) -> Result<(), StreamError> {
    let (mut reader, mut writer) = frames(stream)?;
    let doing = "waiting for a hello";
    let first = timeout(HELLO_WAIT, reader.next())
        .await
        .map_err(|_| StreamError::TimedOut { doing })??;
    let volume = first.volume;
    let Some(store) = node.store(volume) else {
        return refuse(&mut writer, &first, Refusal::UnknownVolume).await;
    };
    // A higher epoch deposes a primary before anything is promised to its successor.
    if matches!(first.message, Message::Hello(_)) {
        node.depose(volume, first.epoch).await;
    }
    let mut link = Link {
        receiver: Receiver::new(volume, store.volume().blocks()),
        store,
        volume,
        install: None,
        waiting: None,
    };
    match link.run(first, &mut reader, &mut writer).await? {
        Ended::Refused(frame, refusal) => {
            tracing::info!(%volume, %refusal, "refused a primary's message");
            refuse(&mut writer, &frame, refusal).await
        }
    }
}

async fn refuse(
    writer: &mut FrameWriter<OwnedWriteHalf>,
    about: &Frame,
    refusal: Refusal,
) -> Result<(), StreamError> {
    let frame = Frame {
        message: Message::Refusal(refusal),
        volume: about.volume,
        epoch: about.epoch,
        session: about.session,
    };
    writer.send(&frame).await?;
    writer.flush().await
}

enum Ended {
    /// The frame that was refused (its message apart), and why.
    Refused(Frame, Refusal),
}

/// One connection of a primary.
struct Link {
    receiver: Receiver,
    store: Arc<LocalStore>,
    volume: VolumeId,
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
    async fn run(
        &mut self,
        first: Frame,
        reader: &mut FrameReader<OwnedReadHalf>,
        writer: &mut FrameWriter<OwnedWriteHalf>,
    ) -> Result<Ended, StreamError> {
        let mut moved = self.store.moved();
        let mut next = Some(first);
        loop {
            if let Some(frame) = next.take() {
                let about = self.answer_to(&frame);
                match block_in_place(|| self.take(frame)) {
                    Ok(answer) => self.send(writer, answer).await?,
                    Err(refusal) => return Ok(Ended::Refused(about, refusal)),
                }
            }
            // What has come already is taken before anything is answered: those who wait share a
            // sync, and answers share a packet.
            if self.waiting.is_none() {
                next = reader.buffered()?;
                if next.is_some() {
                    continue;
                }
            }
            moved.borrow_and_update();
            match block_in_place(|| self.append_waiting()) {
                Ok(answer) => self.send(writer, answer).await?,
                Err(refusal) => {
                    let about = self.own_frame();
                    return Ok(Ended::Refused(about, refusal));
                }
            }
            self.answer_barriers(writer).await?;
            writer.flush().await?;
            tokio::select! {
                biased;
                frame = reader.next(), if self.waiting.is_none() => next = Some(frame?),
                _ = moved.changed() => {}
                () = tokio::time::sleep(HEALTH_EVERY) => {}
            }
            if let Some(poisoned) = self.store.volume().poisoned() {
                return Ok(Ended::Refused(self.own_frame(), store_failed(poisoned)));
            }
        }
    }

    /// The frame in which a refusal of `frame` would go: same authority.
    fn answer_to(&self, frame: &Frame) -> Frame {
        self.frame(frame.epoch, frame.session, Message::RebuildReady)
    }

    /// The same for what no frame asked for.
    fn own_frame(&self) -> Frame {
        let none = (Epoch(0), SessionId(0));
        let (epoch, session) = self.receiver.authority().unwrap_or(none);
        self.frame(epoch, session, Message::RebuildReady)
    }

    fn frame(&self, epoch: Epoch, session: SessionId, message: Message) -> Frame {
        Frame {
            volume: self.volume,
            epoch,
            session,
            message,
        }
    }

    async fn send(
        &self,
        writer: &mut FrameWriter<OwnedWriteHalf>,
        answer: Option<Message>,
    ) -> Result<(), StreamError> {
        if let (Some(message), Some((epoch, session))) = (answer, self.receiver.authority()) {
            writer.send(&self.frame(epoch, session, message)).await?;
        }
        Ok(())
    }

    /// Answers every barrier that the store's durable position satisfies.
    async fn answer_barriers(
        &mut self,
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
            self.send(writer, Some(answer)).await?;
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
            Some(outcome) => self.receiver.done(outcome),
            None => Ok(None),
        }
    }

    fn perform(&mut self, call: StoreCall) -> Result<Option<StoreOutcome>, Refusal> {
        let outcome = match call {
            StoreCall::Admit { epoch, session } => self.admit(epoch, session)?,
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
                let install = self.store.volume().begin_install();
                self.install = Some(install.map_err(store_failed)?);
                StoreOutcome::InstallBegun
            }
            StoreCall::InstallChunk(chunk) => self.install_chunk(chunk)?,
            StoreCall::FinishInstall(manifest) => self.finish_install(&manifest)?,
        };
        Ok(Some(outcome))
    }

    fn admit(&self, epoch: Epoch, session: SessionId) -> Result<StoreOutcome, Refusal> {
        let volume = self.store.volume();
        volume
            .admit_session(epoch, session)
            .map_err(promise_refused)?;
        volume
            .set_role(epoch, Role::Replica)
            .map_err(promise_refused)?;
        let facts = volume.facts().map_err(store_failed)?;
        self.store.note_admitted();
        Ok(StoreOutcome::Admitted {
            facts: Box::new(facts),
            last: self.store.last(),
        })
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
            Some(outcome) => self.receiver.done(outcome),
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
                volume: self.volume,
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
        | AppendError::TooLarge { .. }
        | AppendError::Malformed { .. }
        | AppendError::EpochOrder { .. }
        | AppendError::Poisoned(_)) => store_failed(error),
    }
}
