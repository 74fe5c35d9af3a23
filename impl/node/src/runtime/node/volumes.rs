//! The stores of a node: opened at the start, made when a volume is created or a disk was replaced.

use std::path::PathBuf;
use std::sync::Arc;

use holdfast_blockvol::{FormatOptions, MIN_LOG_BYTES, Volume};
use holdfast_types::{BLOCK_SIZE, BlockCount, Epoch, StoreId, VolumeId, VolumeRecord};
use uuid::Uuid;

use super::super::local_store::{LocalStore, Origin, volume_options};
use super::super::primary::Primary;
use super::super::status::{
    MissingStore, NodeStatus, RecordStatus, ReplicaStatus, RoleName, VolumeStatus,
};
use super::requests::replace_advice;
use super::{NodeShared, Slot, StartError};
use crate::authority::Recorded;

/// What a slot holds, to be looked at without its lock.
struct Seen {
    store: Arc<LocalStore>,
    primary: Option<Arc<Primary>>,
    recorded: Option<Recorded>,
}

impl Seen {
    fn of(slot: &Slot) -> Self {
        Self {
            store: Arc::clone(&slot.store),
            primary: slot.primary.clone(),
            recorded: slot.recorded.clone(),
        }
    }
}

impl NodeShared {
    pub(super) fn stores_dir(&self) -> PathBuf {
        self.config.node.data_dir.join("volumes")
    }

    pub(super) fn store_dir(&self, volume: VolumeId) -> PathBuf {
        self.stores_dir().join(volume.to_string())
    }

    /// Opens every store there is. One that is damaged is opened as untrusted; one that cannot be
    /// opened at all stops the node, since nothing may be made in its place.
    pub(super) fn open_stores(&self) -> Result<(), StartError> {
        let directory = self.stores_dir();
        let failed = |source| StartError::Directory {
            path: directory.clone(),
            source,
        };
        std::fs::create_dir_all(&directory).map_err(failed)?;
        for item in std::fs::read_dir(&directory).map_err(failed)? {
            let item = item.map_err(failed)?;
            let name = item.file_name();
            if super::deletion::is_leftover(&name) {
                std::fs::remove_dir_all(item.path()).map_err(failed)?;
                continue;
            }
            let Some(volume) = name.to_str().and_then(|name| Uuid::parse_str(name).ok()) else {
                continue;
            };
            self.open_store(VolumeId(volume), Origin::Found)
                .map_err(|source| StartError::Store {
                    path: item.path(),
                    source,
                })?;
        }
        Ok(())
    }

    fn open_store(
        &self,
        volume: VolumeId,
        origin: Origin,
    ) -> Result<(), holdfast_blockvol::OpenError> {
        let limits = &self.config.limits;
        let directory = self.store_dir(volume);
        // A share of the log as it was made, whatever this node would have chosen. The file is the
        // ring and the superblocks before it, of fixed length (`docs/formats.md`); where it cannot be
        // looked at, opening says why.
        let log_bytes = std::fs::metadata(directory.join("log")).map_or(0, |file| file.len());
        let options = volume_options(limits.retention_percent, log_bytes);
        let store = LocalStore::open(&directory, options, origin)?;
        let slot = Slot {
            store: Arc::new(store),
            primary: None,
            attempted: Epoch(0),
            recorded: None,
        };
        self.slots().insert(volume, slot);
        Ok(())
    }

    /// How large the logs of a new volume are made, by the configuration of the node that creates it.
    pub(super) fn log_bytes(&self, blocks: BlockCount) -> u64 {
        let default = FormatOptions::new(VolumeId(Uuid::nil()), blocks).log_bytes;
        let limits = &self.config.limits;
        let wanted = limits.log_size.map_or(default, |_| {
            limits.log_bytes(blocks.saturating_mul(BLOCK_SIZE as u64))
        });
        wanted.max(MIN_LOG_BYTES)
    }

    /// Takes note that a record names this node and its store is not here. Nothing is made in its
    /// place: the disk may only not be mounted, and an empty copy in the place of a good one is what
    /// only an operator may order (F58).
    pub(super) fn note_missing(&self, record: &VolumeRecord) {
        let Some(member) = record.members.get(&self.facts.id) else {
            return;
        };
        let missing = MissingStore {
            volume: record.volume,
            name: record.name.clone(),
            store: member.store,
        };
        let known = self.missing().insert(record.volume, missing.clone());
        if known.as_ref() != Some(&missing) {
            tracing::error!(volume = %missing.volume, store = %missing.store, "{}",
                replace_advice(&missing.name));
        }
    }

    /// Takes note that a record does not name this node, whose store of the volume, if there is one,
    /// is nobody's copy from here on. It stays where it is: what it holds may be of use to somebody.
    pub(super) fn note_removed(&self, recorded: Recorded) {
        let record = &recorded.record;
        self.missing().remove(&record.volume);
        let mut slots = self.slots();
        let Some(slot) = slots.get_mut(&record.volume) else {
            return;
        };
        let was_member = |known: &Recorded| known.record.members.contains_key(&self.facts.id);
        if slot.recorded.as_ref().is_none_or(was_member) {
            tracing::warn!(volume = %record.volume, name = record.name,
                "this node keeps no copy of the volume any more; its store here can be deleted");
        }
        slot.recorded = Some(recorded);
    }

    /// The identity of the store of a volume, which is made when there is none. Only for whoever was
    /// told to make one.
    pub(super) fn ensure_store(
        &self,
        volume: VolumeId,
        blocks: BlockCount,
        log_bytes: u64,
    ) -> Result<StoreId, String> {
        if let Some(store) = self.store(volume) {
            let present = store.volume().blocks();
            if present != blocks {
                return Err(format!(
                    "the store here has {present} blocks, the volume {blocks}"
                ));
            }
            return Ok(store.volume().store_id());
        }
        let mut format = FormatOptions::new(volume, blocks);
        format.log_bytes = log_bytes;
        Volume::create(&self.store_dir(volume), &format).map_err(|error| error.to_string())?;
        self.open_store(volume, Origin::Formatted)
            .map_err(|error| error.to_string())?;
        self.missing().remove(&volume);
        tracing::info!(%volume, store = %format.store, blocks, log_bytes, "made a store");
        Ok(format.store)
    }

    /// Everything about this node.
    pub(crate) fn status(&self) -> NodeStatus {
        // Copied out first: a store may keep its callers waiting, and nobody waits with them.
        let seen: Vec<(VolumeId, Seen)> = {
            let slots = self.slots();
            let seen = slots.iter().map(|(volume, slot)| (*volume, Seen::of(slot)));
            seen.collect()
        };
        NodeStatus {
            node: self.facts.id.clone(),
            missing: self.missing().values().cloned().collect(),
            volumes: seen
                .into_iter()
                .map(|(volume, seen)| self.volume_status(volume, &seen))
                .collect(),
        }
    }

    fn volume_status(&self, volume: VolumeId, slot: &Seen) -> VolumeStatus {
        let store = slot.store.volume();
        let positions = store.positions();
        let promise = store.promise();
        let role = match &slot.primary {
            Some(primary) if primary.is_serving() => RoleName::Primary,
            Some(_) => RoleName::Starting,
            None => match promise.role {
                holdfast_blockvol::Role::Replica => RoleName::Replica,
                holdfast_blockvol::Role::None | holdfast_blockvol::Role::Primary => RoleName::None,
            },
        };
        let record = slot.recorded.as_ref().map(|recorded| &recorded.record);
        VolumeStatus {
            volume,
            name: record.map(|record| record.name.clone()),
            store: store.store_id(),
            blocks: store.blocks(),
            log_bytes: store.log_bytes(),
            role,
            promised: promise.epoch,
            leader: promise.leader,
            whole: slot.store.is_whole(),
            head: positions.head,
            durable: positions.durable,
            committed: positions.committed,
            checkpoint: positions.checkpoint,
            extent_bound: Some(positions.extent_bound)
                .filter(|bound| *bound != holdfast_types::Lsn::MAX),
            trusted: positions.is_trusted(),
            failure: store.poisoned().map(|poisoned| poisoned.to_string()),
            alarm: self
                .recovery
                .rollback(volume)
                .map(|found| found.to_string()),
            removed: record.is_some_and(|record| !record.members.contains_key(&self.facts.id)),
            record: record.map(RecordStatus::of),
            lease_remaining_ms: slot.primary.as_ref().map(|primary| {
                u64::try_from(primary.lease_remaining().as_millis()).unwrap_or(u64::MAX)
            }),
            clients: match (&slot.primary, record) {
                (Some(_), Some(record)) => self.exports.attached(&record.name),
                (Some(_) | None, _) => 0,
            },
            verify: slot
                .primary
                .as_ref()
                .and_then(|primary| primary.verify_status()),
            damaged: store.damage().blocks.len(),
            replicas: match &slot.primary {
                Some(primary) => self.replica_status(volume, primary),
                None => Vec::new(),
            },
        }
    }

    fn replica_status(&self, volume: VolumeId, primary: &Primary) -> Vec<ReplicaStatus> {
        let mut replicas: Vec<ReplicaStatus> = self.recovery.view(|engine| {
            let volume = engine.registry().volume(volume);
            let senders = volume.into_iter().flat_map(|volume| volume.senders());
            senders
                .map(|(replica, sender)| ReplicaStatus::of(replica, &sender.status(replica)))
                .collect()
        });
        for status in &mut replicas {
            status.rebuild = primary.rebuild_status(&status.replica);
            if let Some(acknowledged) = primary.acknowledged_by(&status.replica) {
                status.received = Some(acknowledged.received);
                status.durable = Some(acknowledged.durable);
            }
        }
        replicas
    }
}
