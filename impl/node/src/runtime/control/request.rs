//! What can be asked of a node, and the answers.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use holdfast_types::{
    BlockCount, DurabilityMode, Epoch, ReplicaId, StoreId, VolumeId, VolumeRecord, WriteAck,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::super::status::{EventRow, NodeStatus};
use super::copy::{CopyAuthority, CopyReply, CopyRequest};
use super::order::{Order, OrderReply};
use super::problem::Problem;
use crate::authority::{
    AuthorityError, LeaseGrant, LeaseRequest, RecordVersion, Recorded, RecoverRequest,
};
use crate::controller::decide::{FenceReport, Promotion};
use crate::controller::plan::Plan;

/// One copy of a volume that is to be created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberPlan {
    /// The control address of the node that keeps it.
    pub control: SocketAddr,
    /// Where primaries reach it, when that is not where the node listens (a proxy, say).
    pub data: Option<SocketAddr>,
}

/// A volume that is to be created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumePlan {
    /// Its label.
    pub name: String,
    /// Its size.
    pub blocks: BlockCount,
    /// Its copies.
    pub members: Vec<MemberPlan>,
    /// The durability mode; by the number of copies when `None`.
    pub mode: Option<DurabilityMode>,
    /// The least number of in-sync copies; all but one when `None`.
    pub min_in_sync: Option<usize>,
    /// When a write is acknowledged; as the mode's default when `None`.
    pub write_ack: Option<WriteAck>,
}

/// What is to change about how a volume acknowledges; `None` leaves it as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingsChange {
    /// The durability mode.
    #[serde(default)]
    pub mode: Option<DurabilityMode>,
    /// The least number of in-sync copies.
    #[serde(default)]
    pub min_in_sync: Option<usize>,
    /// When a write is acknowledged. Follows the mode where that changes and this is `None`.
    #[serde(default)]
    pub write_ack: Option<WriteAck>,
}

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// The label of its copies.
    pub id: ReplicaId,
    /// Where replication traffic comes in.
    pub data: SocketAddr,
    /// Where control traffic comes in.
    pub control: SocketAddr,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum ControlRequest {
    /// Who are you?
    Identify,
    /// Make a fresh store of a volume that no record knows yet.
    CreateStore {
        /// The volume.
        volume: VolumeId,
        /// Its size.
        blocks: BlockCount,
        /// Bytes of its log: the same on every copy.
        log_bytes: u64,
    },
    /// Make a fresh, empty store in place of one that is lost for good. It is a newcomer under an
    /// old name: it comes in by a rebuild.
    ReplaceStore {
        /// The volume, by name or id.
        volume: String,
    },
    /// Make an epoch durable and report.
    Fence {
        /// The volume.
        volume: VolumeId,
        /// The epoch.
        epoch: Epoch,
    },
    /// Report as a candidate would, without being fenced.
    Report {
        /// The volume.
        volume: VolumeId,
    },
    /// Stop serving in an epoch, and say so to the authority.
    StepDown {
        /// The volume.
        volume: VolumeId,
        /// The epoch that is given up.
        epoch: Epoch,
    },
    /// The authority's record changed: read it again soon.
    RecordChanged {
        /// The volume.
        volume: VolumeId,
    },
    /// Create a volume and promote its first primary.
    CreateVolume(VolumePlan),
    /// Every volume's record.
    ListVolumes,
    /// Change how a volume acknowledges.
    SetVolume {
        /// The volume, by name or id.
        volume: String,
        /// What is to change.
        change: SettingsChange,
    },
    /// Take a member that is gone out of the in-sync set, below `min_in_sync` too.
    EvictReplica {
        /// The volume, by name or id.
        volume: String,
        /// The member.
        replica: ReplicaId,
    },
    /// Something else that the primary of a volume is to do.
    Order {
        /// The volume, by name or id.
        volume: String,
        /// What.
        order: Order,
    },
    /// Delete a volume for good, with every copy of it.
    DeleteVolume {
        /// The volume, by name or id.
        volume: String,
        /// Its name once more.
        yes: String,
        /// Whether clients that are attached are cut off.
        force: bool,
    },
    /// What moving the primary would decide.
    Plan {
        /// The volume, by name or id.
        volume: String,
    },
    /// Move the primary.
    Promote {
        /// The volume, by name or id.
        volume: String,
        /// To which copy; the best one when `None`. Only with `forced`.
        replica: Option<ReplicaId>,
        /// Whether what may be lost is accepted.
        forced: bool,
    },
    /// Move an authority that was rolled back past what the nodes have seen, and go on with one copy.
    RecoverAuthority {
        /// The volume, by name or id.
        volume: String,
        /// The copy to go on with; every other is rebuilt from it.
        keep: ReplicaId,
        /// Members that do not answer and are gone for good: what they have promised is not known.
        without: BTreeSet<ReplicaId>,
    },
    /// Single blocks of an in-sync copy: from its primary alone.
    Copy {
        /// Under which session.
        authority: CopyAuthority,
        /// What.
        what: CopyRequest,
    },
    /// Everything about this node.
    Status,
    /// The recovery events after a sequence number.
    Events {
        /// Only later ones; all that are kept when `None`.
        after: Option<u64>,
    },
    /// Stop the node.
    Shutdown {
        /// Whether other copies take over what it serves.
        hand_over: bool,
    },
    /// To the authority that this node serves.
    AuthorityVolumes,
    /// To the authority that this node serves.
    AuthorityRead {
        /// The volume.
        volume: VolumeId,
    },
    /// To the authority that this node serves.
    AuthorityCreate {
        /// The record.
        record: Box<VolumeRecord>,
    },
    /// To the authority that this node serves.
    AuthorityCompareAndSet {
        /// What is compared with.
        expected: RecordVersion,
        /// The proposal.
        record: Box<VolumeRecord>,
    },
    /// To the authority that this node serves.
    AuthorityMint {
        /// The volume.
        volume: VolumeId,
        /// What is compared with.
        expected: RecordVersion,
    },
    /// To the authority that this node serves.
    AuthorityDelete {
        /// The volume.
        volume: VolumeId,
        /// What is compared with.
        expected: RecordVersion,
    },
    /// To the authority that this node serves.
    AuthorityRecover(RecoverRequest),
    /// To the authority that this node serves.
    AuthorityRenew(LeaseRequest),
    /// To the authority that this node serves.
    AuthorityEnd(LeaseRequest),
}

impl ControlRequest {
    /// The node that a request is only for, where it is for one.
    pub(super) const fn asks_as(&self) -> Option<&ReplicaId> {
        match self {
            Self::AuthorityRenew(request) | Self::AuthorityEnd(request) => Some(&request.replica),
            Self::Identify
            | Self::CreateStore { .. }
            | Self::ReplaceStore { .. }
            | Self::Fence { .. }
            | Self::Report { .. }
            | Self::StepDown { .. }
            | Self::RecordChanged { .. }
            | Self::CreateVolume(_)
            | Self::ListVolumes
            | Self::SetVolume { .. }
            | Self::EvictReplica { .. }
            | Self::Order { .. }
            | Self::DeleteVolume { .. }
            | Self::Copy { .. }
            | Self::Plan { .. }
            | Self::Promote { .. }
            | Self::RecoverAuthority { .. }
            | Self::Status
            | Self::Events { .. }
            | Self::Shutdown { .. }
            | Self::AuthorityVolumes
            | Self::AuthorityRead { .. }
            | Self::AuthorityCreate { .. }
            | Self::AuthorityCompareAndSet { .. }
            | Self::AuthorityMint { .. }
            | Self::AuthorityDelete { .. }
            | Self::AuthorityRecover(_) => None,
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum ControlReply {
    /// Done, nothing to tell.
    Done,
    /// Who the node is.
    Node(NodeFacts),
    /// The identity of the store that was made, or was there.
    Store {
        /// The store.
        store: StoreId,
    },
    /// A fenced candidate's report.
    Fenced {
        /// The report.
        report: Box<FenceReport>,
    },
    /// A record.
    Recorded {
        /// The record.
        recorded: Box<Recorded>,
    },
    /// Records.
    Records {
        /// The records.
        records: Vec<Recorded>,
    },
    /// What came of an order.
    Ordered(OrderReply),
    /// Of single blocks of a copy.
    Copy(CopyReply),
    /// A promotion, thought through.
    Plan(Box<Plan>),
    /// A promotion that was carried out.
    Promoted {
        /// What was decided.
        promotion: Box<Promotion>,
        /// The record that carries it.
        record: Box<VolumeRecord>,
    },
    /// Everything about a node.
    Status(Box<NodeStatus>),
    /// Events, oldest first.
    Events {
        /// The events.
        events: Vec<EventRow>,
    },
    /// A lease.
    Lease(LeaseGrant),
    /// The authority did not.
    AuthorityError {
        /// Why.
        error: AuthorityError,
    },
    /// The request was not carried out.
    Failed {
        /// Why, and what to do.
        problem: Problem,
    },
}

/// Why a request has no answer that its caller can use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ControlError {
    /// The node cannot be reached, or did not answer; whether the request took effect is unknown.
    #[error("{place}: {detail}")]
    Unreachable {
        /// Where.
        place: String,
        /// What was seen.
        detail: String,
    },
    /// The node says no.
    #[error("{problem}")]
    Failed {
        /// Why.
        problem: Problem,
    },
    /// The authority says no.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// An answer to another question.
    #[error("{place} answered something else than was asked")]
    Unexpected {
        /// Where.
        place: String,
    },
}
