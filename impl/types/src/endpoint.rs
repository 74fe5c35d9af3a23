//! Where a replica can be reached at present. A changed endpoint keeps the sender and ends its
//! session (T8).

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Counts the changes of one replica's endpoint; only the authority raises it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct EndpointVersion(pub u64);

impl fmt::Display for EndpointVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A replica's present location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// Replication traffic: appends, barriers, rebuild.
    pub data: SocketAddr,
    /// Control traffic: assignments, fencing, status.
    pub control: SocketAddr,
    /// Raised by the authority with every change.
    pub version: EndpointVersion,
}
