//! The drivers: sockets, timers, threads and disks around the state machines.
//!
//! | part | is |
//! | --- | --- |
//! | [`Node`] | one process's node: its stores, its role in each volume, its listeners |
//! | `local_store` | one store of this node, and who may touch it |
//! | `replica_server` | connections of primaries, each driving a [`crate::replication::ReplicaSession`] |
//! | `primary` | a volume that this node serves: gate, commit, lease, membership, and its sessions, each driving a [`crate::replication::PrimarySession`] |
//! | `session_driver` | the connection of one [`crate::replication::PrimarySession`], whatever node it runs on |
//! | `control` | the HTTP API: requests between nodes and from commands |
//!
//! A driver decides nothing: the engine decides about recovery, the commit rule about
//! acknowledgements, the authority about roles.

mod clock;
mod complaints;
mod control;
mod copies;
mod event_detail;
mod export;
mod framed;
mod local_store;
mod node;
mod primary;
mod replica_server;
mod session_driver;
mod status;

pub use clock::Clock;
pub use control::{
    ChunkRow, ControlClient, ControlError, ControlReply, ControlRequest, CopyAuthority, CopyReply,
    CopyRequest, MemberPlan, NodeFacts, NodePlace, Order, OrderReply, Problem, ProblemKind,
    SettingsChange, VolumePlan,
};
pub use event_detail::{ClassifiedDetail, EventDetail};
pub use export::PrimaryExport;
pub use framed::{FrameReader, FrameWriter, StreamError};
pub use local_store::{LocalStore, Origin};
pub use node::{Node, StartError, Successor};
pub use primary::{
    Held, IoFailure, Outcome, Primary, RebuildStatus, SessionSource, SnapshotRow, StopReason,
    VerifyFinding, VerifyReport, VerifyStatus,
};
pub use replica_server::{ReplicaHost, ReplicaLink, serve as serve_replicas};
pub use session_driver::{SessionDriver, SessionHost};
pub use status::{
    EventRow, MissingStore, NodeStatus, RecordStatus, ReplicaStatus, RoleName, VolumeStatus,
};
