//! What a node says of itself: the same facts for commands, tests and dashboards.

use holdfast_engine::{LoggedEvent, Phase, SenderStatus, Session};
use holdfast_types::{
    DurabilityMode, Epoch, Lsn, ReplicaId, Revision, SessionId, StoreId, VolumeId, VolumeRecord,
};
use serde::{Deserialize, Serialize};

use super::event_detail::EventDetail;
use super::primary::{RebuildStatus, VerifyStatus};

/// Everything about one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The label of its copies.
    pub node: ReplicaId,
    /// Its stores.
    pub volumes: Vec<VolumeStatus>,
    /// Stores that the authority has on record for this node and that are not here.
    #[serde(default)]
    pub missing: Vec<MissingStore>,
}

/// A store that should be here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingStore {
    /// The volume.
    pub volume: VolumeId,
    /// Its name.
    pub name: String,
    /// The identity on record.
    pub store: StoreId,
}

/// What a node is in a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleName {
    /// Serves nothing.
    None,
    /// Takes entries from a primary.
    Replica,
    /// Is taking the role; serves nothing yet.
    Starting,
    /// Serves clients, a lease permitting.
    Primary,
}

/// One store and its volume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VolumeStatus {
    /// The volume.
    pub volume: VolumeId,
    /// Its name, as far as the authority told.
    pub name: Option<String>,
    /// The store here.
    pub store: StoreId,
    /// Its size as of the checkpoint, in blocks.
    #[serde(default)]
    pub blocks: u64,
    /// Bytes of its log.
    pub log_bytes: u64,
    /// What this node is in it.
    pub role: RoleName,
    /// The highest epoch made durable here.
    pub promised: Epoch,
    /// The store that leads that epoch, as far as this one followed it.
    #[serde(default)]
    pub leader: Option<StoreId>,
    /// Whether this process holds everything that this copy ever acknowledged as received.
    #[serde(default)]
    pub whole: bool,
    /// Last appended entry.
    pub head: Lsn,
    /// Last entry that survives a crash here.
    pub durable: Lsn,
    /// Last entry known to be committed.
    pub committed: Lsn,
    /// The extent holds every effect up to here.
    pub checkpoint: Lsn,
    /// Upper bound of the effects in the extent; `None` while the image is being replaced.
    pub extent_bound: Option<Lsn>,
    /// Whether the image and its log amount to one exact position.
    pub trusted: bool,
    /// The failure that stopped the store, if one did.
    pub failure: Option<String>,
    /// What somebody has to look at: the authority's record went back behind what is known here.
    #[serde(default)]
    pub alarm: Option<String>,
    /// Whether the record does not name this node any more: the store here is nobody's copy.
    #[serde(default)]
    pub removed: bool,
    /// What the authority's record says, as it was last read.
    pub record: Option<RecordStatus>,
    /// The lease, in milliseconds from now; only at the primary.
    pub lease_remaining_ms: Option<u64>,
    /// Clients that are attached; only at the primary.
    #[serde(default)]
    pub clients: usize,
    /// How far a verification of the copies is; only at the primary, while there is one.
    #[serde(default)]
    pub verify: Option<VerifyStatus>,
    /// Ranges of blocks of this store's image that are known to fail their checksums.
    #[serde(default)]
    pub damaged: usize,
    /// The other copies, as the primary sees them; empty elsewhere.
    pub replicas: Vec<ReplicaStatus>,
}

/// The part of the record that an operator asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordStatus {
    /// The epoch.
    pub epoch: Epoch,
    /// The revision.
    pub revision: Revision,
    /// The primary.
    pub primary: Option<ReplicaId>,
    /// The in-sync set.
    pub isr: Vec<ReplicaId>,
    /// The voters.
    pub voters: Vec<ReplicaId>,
    /// The mode.
    pub mode: DurabilityMode,
    /// The least number of in-sync copies.
    pub min_in_sync: usize,
    /// Whether a copy is missing from the in-sync set.
    pub degraded: bool,
}

/// One other copy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplicaStatus {
    /// Its label.
    pub replica: ReplicaId,
    /// The state of its sender.
    pub state: String,
    /// Whether it is in the in-sync set.
    pub member: bool,
    /// Why it needs a rebuild.
    pub reason: Option<String>,
    /// The session.
    pub session: Option<SessionId>,
    /// Its phase.
    pub phase: Option<String>,
    /// What it proved received in this session.
    pub received: Option<Lsn>,
    /// What it proved durable in this session.
    pub durable: Option<Lsn>,
    /// Chunks of a base that are installed, of how many.
    pub chunks: Option<(u64, u64)>,
    /// How far the base of a rebuild is, how fast it goes, and how long it takes.
    #[serde(default)]
    pub rebuild: Option<RebuildStatus>,
}

/// One event of the recovery log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventRow {
    /// Its number on this node, without gaps.
    pub sequence: u64,
    /// The volume.
    pub volume: VolumeId,
    /// The epoch.
    pub epoch: Epoch,
    /// The replica, where one is concerned.
    pub replica: Option<ReplicaId>,
    /// The session, where one is concerned.
    pub session: Option<SessionId>,
    /// What happened.
    pub event: String,
    /// Why.
    pub cause: Option<String>,
    /// The facts of it.
    pub detail: EventDetail,
}

impl From<&LoggedEvent> for EventRow {
    fn from(logged: &LoggedEvent) -> Self {
        let event = &logged.event;
        Self {
            sequence: logged.sequence,
            volume: event.volume,
            epoch: event.epoch,
            replica: event.replica.clone(),
            session: event.session,
            event: event.what.name().into(),
            cause: event.what.cause().map(str::to_owned),
            detail: event.what.into(),
        }
    }
}

impl ReplicaStatus {
    pub(super) fn of(replica: &ReplicaId, status: &SenderStatus) -> Self {
        let session_phase = status.session.as_ref().map(Session::phase);
        Self {
            replica: replica.clone(),
            state: status.state.name().into(),
            member: status.member,
            reason: status.reason.map(|reason| reason.name().into()),
            session: status.session.as_ref().map(Session::id),
            phase: session_phase.map(|phase| phase.name().name().into()),
            received: None,
            durable: None,
            chunks: session_phase.and_then(chunks),
            rebuild: None,
        }
    }
}

const fn chunks(phase: &Phase) -> Option<(u64, u64)> {
    match phase {
        Phase::Transfer(transfer) => Some((transfer.chunks_done, transfer.chunks_total)),
        Phase::Opening { .. }
        | Phase::CatchUp(_)
        | Phase::SourceSelect(_)
        | Phase::TailReplay(_)
        | Phase::Completed(_) => None,
    }
}

impl RecordStatus {
    pub(super) fn of(record: &VolumeRecord) -> Self {
        Self {
            epoch: record.epoch,
            revision: record.revision,
            primary: record.primary.clone(),
            isr: record.isr.iter().cloned().collect(),
            voters: record.voters.iter().cloned().collect(),
            mode: record.mode,
            min_in_sync: record.min_in_sync,
            degraded: record.isr.len() < record.members.len(),
        }
    }
}
