//! What a session wants of this node's store, carried out: the log and the image that a replica is
//! recovered from, and the pins that keep them.
//!
//! Promises: whatever is held back for a session is held here, and released when this is dropped,
//! on every way out (F71). Must never: decide anything.

use std::sync::Arc;

use holdfast_blockvol::{BaseSource, PinError, RetentionPin};
use holdfast_types::{Lsn, ReplicaId};
use holdfast_wire::Manifest;

use super::super::local_store::LocalStore;
use crate::replication::{Given, PinnedBase, StoreFault, Want};

/// One session's claims on this node's store. Its calls block on the disk.
pub struct SessionSource {
    store: Arc<LocalStore>,
    /// The label under which this node is the primary.
    primary: ReplicaId,
    retention: Option<RetentionPin>,
    base: Option<BaseSource>,
}

impl SessionSource {
    /// A session's, which holds nothing yet.
    #[must_use]
    pub const fn new(store: Arc<LocalStore>, primary: ReplicaId) -> Self {
        Self {
            store,
            primary,
            retention: None,
            base: None,
        }
    }

    /// Carries out what is wanted.
    pub fn give(&mut self, want: Want) -> Given {
        let given = match want {
            Want::Greeting => Ok(Given::Greeting {
                blocks: self.store.volume().blocks_at_head(),
                last: self.store.last(),
                primary: self.primary.clone(),
                store: self.store.volume().store_id(),
            }),
            Want::History => Ok(Given::History(Box::new(self.store.volume().history()))),
            Want::EpochAt { lsn } => Ok(Given::Epoch(self.store.volume().lineage().epoch_at(lsn))),
            Want::Entries { after, max_bytes } => self
                .store
                .volume()
                .entries(after, max_bytes)
                .map(Given::Entries)
                .map_err(StoreFault::from),
            Want::PinHistory { from, max_bytes } => self.pin_history(from, max_bytes),
            Want::PinBase { max_bytes } => self.pin_base(max_bytes),
            Want::Chunk { index } => self.chunk(index),
            Want::Manifest => self.manifest(),
            Want::Pins => Ok(self.pins()),
        };
        given.unwrap_or_else(Given::Failed)
    }

    /// The entries up to here need not be kept any more.
    ///
    /// # Errors
    /// When they were not: the next look at the pins says so to the session.
    pub fn let_go(&self, upto: Lsn) -> Result<(), PinError> {
        match &self.retention {
            Some(retention) => retention.advance(upto),
            None => Ok(()),
        }
    }

    /// Nothing is kept for the session from here on.
    pub fn release(&mut self) {
        self.retention = None;
        self.base = None;
    }

    /// Whether anything is kept for the session.
    #[must_use]
    pub const fn holds_anything(&self) -> bool {
        self.retention.is_some() || self.base.is_some()
    }

    fn pin_history(&mut self, from: Lsn, max_bytes: u64) -> Result<Given, StoreFault> {
        let volume = self.store.volume();
        self.retention = Some(volume.pin(from, max_bytes)?);
        Ok(Given::Pinned {
            retained_from: volume.positions().retained_from,
        })
    }

    fn pin_base(&mut self, max_bytes: u64) -> Result<Given, StoreFault> {
        let volume = self.store.volume();
        // The one before it must not hold back the log while this one is taken.
        self.base = None;
        let base = volume.begin_base(max_bytes)?;
        let pinned = PinnedBase {
            split: base.split(),
            blocks: volume.blocks(),
            chunks: base.chunk_count(),
            history: volume.history(),
            retained_from: volume.positions().retained_from,
        };
        self.base = Some(base);
        Ok(Given::BasePinned(Box::new(pinned)))
    }

    fn chunk(&self, index: u64) -> Result<Given, StoreFault> {
        let base = self.base.as_ref().ok_or(StoreFault::NoBase)?;
        let (bytes, digest) = base.read(index)?;
        Ok(Given::Chunk {
            bytes,
            sha256: digest.0,
        })
    }

    fn manifest(&mut self) -> Result<Given, StoreFault> {
        let base = self.base.take().ok_or(StoreFault::NoBase)?;
        let (manifest, retention) = base.finish()?;
        self.retention = Some(retention);
        Ok(Given::Manifest(Manifest {
            base_lsn: manifest.base_lsn,
            extent_bound: manifest.extent_bound,
            blocks: manifest.blocks,
            sha256: manifest.digest.0,
            lineage: manifest.lineage,
        }))
    }

    /// A base that lost its log says so when it is read.
    fn pins(&self) -> Given {
        let by_base = self.base.as_ref().map_or(0, BaseSource::held_bytes);
        match &self.retention {
            Some(retention) => Given::Pins {
                held_bytes: by_base + retention.held_bytes(),
                lost: retention.check().err(),
            },
            None => Given::Pins {
                held_bytes: by_base,
                lost: None,
            },
        }
    }
}
