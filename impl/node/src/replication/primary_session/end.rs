//! How a session ends, and what the engine is told of it.

use holdfast_engine::{EndCause, ReportedFault};
use holdfast_wire::Refusal;
use thiserror::Error;

use super::exchange::StoreFault;
use crate::rebuild::SourceError;
use crate::replication::ShipperError;

/// What happened to the connection.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConnectionFault {
    /// It failed, or was closed.
    #[error("connection: {detail}")]
    Lost {
        /// What the system said.
        detail: String,
    },
    /// One side did not prove to the other who it is.
    #[error("{detail}")]
    Unproven {
        /// Which, and why.
        detail: String,
    },
    /// The replica did not take, or give, anything in time.
    #[error("timed out {doing}")]
    TimedOut {
        /// What was being done.
        doing: &'static str,
    },
    /// What came, or was to be sent, is no frame.
    #[error("{detail}")]
    NotAFrame {
        /// What is wrong with it.
        detail: String,
    },
}

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SessionError {
    /// The connection.
    #[error(transparent)]
    Connection(#[from] ConnectionFault),
    /// The stream of entries.
    #[error("shipping: {0}")]
    Shipper(#[from] ShipperError),
    /// The transfer of a base.
    #[error("base transfer: {0}")]
    Source(#[from] SourceError),
    /// The engine refused what the session found.
    #[error("the engine: {0}")]
    Engine(#[from] holdfast_engine::Refusal),
    /// The engine ended it.
    #[error("{cause}")]
    Ended {
        /// Why.
        cause: EndCause,
    },
    /// The replica refused the hello.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// This node's own store.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// It is not the present session any more.
    #[error("the session was ended by an assignment")]
    Superseded,
    /// Something that the protocol does not know.
    #[error("{what}")]
    Malformed {
        /// What.
        what: &'static str,
    },
}

impl SessionError {
    /// The fault that the engine is told; `None` when it knows already.
    #[must_use]
    pub const fn fault(&self) -> Option<ReportedFault> {
        match self {
            Self::Connection(ConnectionFault::Lost { .. }) => Some(ReportedFault::StreamLost),
            Self::Connection(ConnectionFault::TimedOut { .. })
            | Self::Shipper(ShipperError::Stalled { .. })
            | Self::Source(SourceError::Stalled { .. }) => Some(ReportedFault::Stalled),
            Self::Shipper(ShipperError::Refused(_))
            | Self::Source(SourceError::Refused(_))
            | Self::Connection(ConnectionFault::Unproven { .. })
            | Self::Refused(_) => Some(ReportedFault::Refused),
            Self::Connection(ConnectionFault::NotAFrame { .. })
            | Self::Shipper(
                ShipperError::Foreign { .. }
                | ShipperError::Unasked { .. }
                | ShipperError::Impossible { .. }
                | ShipperError::LogOrder { .. },
            )
            | Self::Source(
                SourceError::Foreign { .. }
                | SourceError::Unasked { .. }
                | SourceError::Impossible { .. }
                | SourceError::OtherBase { .. }
                | SourceError::ReadOrder { .. },
            )
            | Self::Engine(_)
            | Self::Malformed { .. } => Some(ReportedFault::Malformed),
            Self::Store(_) => Some(ReportedFault::IoError),
            Self::Ended { .. } | Self::Superseded => None,
        }
    }

    /// The replica's own words, if it refused.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Shipper(ShipperError::Refused(refusal))
            | Self::Source(SourceError::Refused(refusal))
            | Self::Refused(refusal) => Some(refusal),
            Self::Connection(_)
            | Self::Shipper(_)
            | Self::Source(_)
            | Self::Engine(_)
            | Self::Ended { .. }
            | Self::Store(_)
            | Self::Superseded
            | Self::Malformed { .. } => None,
        }
    }
}
