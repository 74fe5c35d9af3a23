//! The vocabulary of Holdfast as plain values: identities, positions, lineage, block ranges and
//! the authority's record.
//!
//! Nothing here does I/O, reads a clock or decides anything. Every number that means something
//! is a newtype, so that an LSN cannot be passed where an epoch is asked for. The meaning of each
//! term is in `docs/protocol.md`, section 1.

mod block;
mod endpoint;
mod entry;
mod fencing;
mod history;
mod identity;
mod lineage;
mod operation;
mod position;
mod record;

pub use block::{BLOCK_SIZE, BlockCount, BlockRange, BlockRangeError};
pub use endpoint::{Endpoint, EndpointVersion};
pub use entry::{EntryKind, LogEntry, MAX_ENTRY_BLOCKS};
pub use fencing::FencingToken;
pub use history::{BaseState, ReplicaFacts, RetainedHistory, SnapshotBase};
pub use identity::{InvalidReplicaId, ReplicaId, SessionId, StoreId, VolumeId};
pub use lineage::{Lineage, LineageEntry, LineageError, MAX_LINEAGE_ENTRIES};
pub use operation::{
    MAX_SNAPSHOT_LABEL, OPERATION_BYTES, OperationError, SnapshotId, SnapshotLabel, VolumeOperation,
};
pub use position::{Epoch, Lsn, Revision};
pub use record::{DurabilityMode, Member, RecordError, VolumeRecord, WriteAck};
