//! Connections of primaries: a [`Receiver`] with a socket and a store.

use std::sync::Arc;
use std::time::Duration;

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
use tokio::task::block_in_place;
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

/// How often a connection looks whether its store still works.
const HEALTH_EVERY: Duration = Duration::from_secs(1);

/// Accepts primaries until the node stops.
pub(crate) async fn serve(node: Arc<NodeShared>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = node.stopping() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let node = Arc::clone(&node);
                tokio::spawn(async move {
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
            next = reader.buffered()?;
            if next.is_some() {
                continue;
            }
            moved.borrow_and_update();
            self.answer_barriers(writer).await?;
            writer.flush().await?;
            tokio::select! {
                biased;
                frame = reader.next() => next = Some(frame?),
                _ = moved.changed() => {}
                () = tokio::time::sleep(HEALTH_EVERY) => {}
            }
            if let (Some(poisoned), Some((epoch, session))) =
                (self.store.volume().poisoned(), self.receiver.authority())
            {
                let about = self.frame(epoch, session, Message::RebuildReady);
                return Ok(Ended::Refused(about, store_failed(poisoned)));
            }
        }
    }

    /// The frame in which a refusal of `frame` would go: same authority.
    fn answer_to(&self, frame: &Frame) -> Frame {
        self.frame(frame.epoch, frame.session, Message::RebuildReady)
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
            let present = self.store.present();
            let own = self.receiver.authority();
            if own.map(|(epoch, session)| (epoch, Some(session)))
                != Some((present.epoch, present.session))
            {
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
                previous,
                entries,
                committed,
            } => self.append(previous, &entries, committed)?,
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

    fn append(
        &self,
        previous: LogPosition,
        entries: &[LogEntry<Bytes>],
        committed: Lsn,
    ) -> Result<StoreOutcome, Refusal> {
        let volume = self.store.volume();
        volume
            .append_entries((previous.lsn, previous.epoch), entries)
            .map_err(append_refused)?;
        volume.set_committed(committed);
        Ok(StoreOutcome::Appended)
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
