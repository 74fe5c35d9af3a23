//! Bounds on what clients can make the server hold, so that no client can starve another.

use std::time::Duration;

use super::proto::MAX_PAYLOAD;

/// Bounds of one server. Values outside their range are moved to its nearest end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests of one connection whose replies are not yet written; at least 1. When it is
    /// reached the server stops reading from that connection.
    pub requests_in_flight: usize,
    /// Payload bytes, both directions, of those requests; at least the largest payload (32 MiB).
    pub bytes_in_flight: usize,
    /// Connections of all exports together; at least 1. Further ones are closed at once.
    pub connections: usize,
    /// How long a client may take to choose an export; at least 1 ms.
    pub negotiation_time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_in_flight: 128,
            bytes_in_flight: 64 << 20,
            connections: 256,
            negotiation_time_max: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// The same limits, every one inside its range.
    #[must_use]
    pub fn clamped(self) -> Self {
        Self {
            requests_in_flight: self.requests_in_flight.max(1),
            bytes_in_flight: self.bytes_in_flight.max(MAX_PAYLOAD as usize),
            connections: self
                .connections
                .clamp(1, tokio::sync::Semaphore::MAX_PERMITS),
            negotiation_time_max: self.negotiation_time_max.max(Duration::from_millis(1)),
        }
    }
}
