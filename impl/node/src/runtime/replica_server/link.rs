//! One connection of a primary and one store of this node: a [`ReplicaSession`] with the store that it
//! asks, and no socket.
//!
//! Promises: a frame is checked against the present authority of the store and carried out with
//! nothing in between (T7, F37, F49). What a base transfer holds open ends with this.
//!
//! Must never: decide anything; what may be done is the session's to say.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_blockvol::{
    AppendError, BaseError, BaseInstall, BaseManifest, ChunkDigest, ImageDigest, TruncateError,
};
use holdfast_types::{BLOCK_SIZE, LogEntry, Lsn, VolumeId};
use holdfast_wire::{
    BaseInstalled, ChunkContent, Frame, Hello, LogPosition, Manifest, Message, RebuildChunk,
    Refusal,
};

use super::super::local_store::{LocalStore, store_failed};
use crate::rebuild::CHUNK_BLOCKS;
use crate::replication::{About, Performed, ReplicaSession, StoreCall, StoreOutcome};

const _: () = assert!(
    CHUNK_BLOCKS == holdfast_blockvol::CHUNK_BLOCKS,
    "the wire carries the chunks that the store digests"
);

/// One connection of a primary. Its calls block on the disk.
pub struct ReplicaLink {
    session: ReplicaSession,
    store: Arc<LocalStore>,
    install: Option<BaseInstall>,
}

impl ReplicaLink {
    /// A connection to a store, whose primary may be silent for `idle`; nothing is admitted yet.
    #[must_use]
    pub fn new(store: Arc<LocalStore>, volume: VolumeId, idle: Duration, now: Duration) -> Self {
        let opened = store.volume();
        let (blocks, log_bytes) = (opened.blocks(), opened.log_bytes());
        Self {
            session: ReplicaSession::new(volume, blocks, log_bytes, idle, now),
            store,
            install: None,
        }
    }

    /// The session.
    #[must_use]
    pub const fn session(&self) -> &ReplicaSession {
        &self.session
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &Arc<LocalStore> {
        &self.store
    }

    /// Whether a hello would be admitted at present; changes nothing.
    ///
    /// # Errors
    /// The refusal to answer with.
    pub fn check_hello(&self, about: About, hello: &Hello) -> Result<(), Refusal> {
        self.session.check_hello(about, hello, self.store.present())
    }

    /// One frame: checked against the present authority and carried out, nothing else in between.
    ///
    /// # Errors
    /// The refusal to end the session with.
    pub fn take(&mut self, now: Duration, frame: Frame) -> Result<Option<Message>, Refusal> {
        let store = Arc::clone(&self.store);
        let _exclusive = store.exclusive();
        let call = self.session.frame(now, frame, store.present())?;
        self.carry_out(now, call)
    }

    /// Tries the batch that waits for room again, under the authority of this moment.
    ///
    /// # Errors
    /// The refusal to end the session with.
    pub fn retry(&mut self, now: Duration) -> Result<Option<Message>, Refusal> {
        if self.session.takes_frames() {
            return Ok(None);
        }
        let store = Arc::clone(&self.store);
        let _exclusive = store.exclusive();
        let call = self.session.retry(now, store.present())?;
        self.carry_out(now, call)
    }

    /// The answers to all barriers that the store's durable position satisfies; a sync is asked for
    /// on behalf of those that are left.
    ///
    /// # Errors
    /// The refusal to end the session with.
    pub fn answers(&mut self) -> Result<Vec<Message>, Refusal> {
        if !self.session.awaits_sync() {
            return Ok(Vec::new());
        }
        let store = Arc::clone(&self.store);
        let _exclusive = store.exclusive();
        let durable = store.positions().durable;
        let answers = self.session.answers(store.present(), durable)?;
        if self.session.awaits_sync() {
            store.volume().request_sync();
        }
        Ok(answers)
    }

    /// Whether the store still works.
    ///
    /// # Errors
    /// The refusal to end the session with.
    pub fn health(&self) -> Result<(), Refusal> {
        match self.store.volume().poisoned() {
            Some(poisoned) => Err(store_failed(poisoned)),
            None => Ok(()),
        }
    }

    fn carry_out(
        &mut self,
        now: Duration,
        call: Option<StoreCall>,
    ) -> Result<Option<Message>, Refusal> {
        let Some(call) = call else {
            return Ok(None);
        };
        let performed = self.perform(call)?;
        let answer = self.session.performed(now, performed)?;
        if self.session.has_reached_the_primary() {
            self.store.note_whole();
        }
        Ok(answer)
    }

    fn perform(&mut self, call: StoreCall) -> Result<Performed, Refusal> {
        let outcome = match call {
            StoreCall::Admit {
                epoch,
                session,
                leader,
            } => StoreOutcome::Admitted {
                facts: Box::new(self.store.admit(epoch, session, leader)?),
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
            } => return self.append(entries, committed),
            StoreCall::Commit { committed } => {
                self.store.volume().set_committed(committed);
                StoreOutcome::Noted
            }
            StoreCall::Sync { .. } => {
                self.store.volume().request_sync();
                return Ok(Performed::Begun);
            }
            StoreCall::BeginInstall { blocks } => {
                // Before the first byte goes: from here on it holds less than it acknowledged.
                self.store.note_emptied();
                let install = self.store.volume().begin_install_of(blocks);
                self.install = Some(install.map_err(store_failed)?);
                StoreOutcome::InstallBegun
            }
            StoreCall::InstallChunk(chunk) => self.install_chunk(chunk)?,
            StoreCall::FinishInstall(manifest) => self.finish_install(&manifest)?,
        };
        Ok(Performed::Done(outcome))
    }

    /// Appends a batch, as far as there is room.
    fn append(
        &self,
        mut entries: Vec<LogEntry<Bytes>>,
        committed: Lsn,
    ) -> Result<Performed, Refusal> {
        let volume = self.store.volume();
        // Of the entries that are here already: they may be written back, which makes room.
        volume.set_committed(committed);
        let last = volume.last();
        entries.retain(|entry| entry.lsn > last.0);
        match volume.append_entries(last, &entries) {
            Ok(_) => {
                volume.set_committed(committed);
                Ok(Performed::Done(StoreOutcome::Appended))
            }
            Err(error @ AppendError::LogFull { .. }) => Ok(Performed::NoRoom {
                entries,
                committed,
                refusal: append_refused(error),
            }),
            Err(error) => Err(append_refused(error)),
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
