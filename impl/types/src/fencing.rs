//! The authority that every mutating call presents (T7).

use serde::{Deserialize, Serialize};

use crate::{EndpointVersion, Epoch, ReplicaId, SessionId, VolumeId};

/// The whole authority of one session. A call that presents a token of which any part is not
/// current is refused without effect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FencingToken {
    /// The volume of the sender.
    pub volume: VolumeId,
    /// The replica that the sender serves.
    pub replica: ReplicaId,
    /// The session.
    pub session: SessionId,
    /// The epoch in which the session began.
    pub epoch: Epoch,
    /// The endpoint at which the session began.
    pub endpoint_version: EndpointVersion,
}
