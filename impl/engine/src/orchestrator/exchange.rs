//! What passes between the orchestrator and its driver: evidence in, one command out.

use holdfast_types::{Endpoint, Lsn, ReplicaFacts, RetainedHistory};

use crate::{
    CatchUpCommand, CatchUpEvidence, EndCause, Interruption, RebuildCommand, RebuildEvidence,
};

/// What is to be done next for one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Connect to the replica there.
    Dial {
        /// Where.
        endpoint: Endpoint,
    },
    /// When the stream is up, send the hello.
    SendHello,
    /// Wait for the replica's report.
    AwaitReport,
    /// Read the primary's history, for the selection of a rebuild's source.
    SelectSource,
    /// Go on with a catch-up.
    CatchUp(CatchUpCommand),
    /// Go on with a rebuild.
    Rebuild(RebuildCommand),
    /// In sync: keep streaming, and report barriers.
    KeepUp,
    /// The session ended.
    Ended {
        /// Why.
        cause: EndCause,
    },
}

/// What happened in the world.
#[derive(Clone, Copy, Debug)]
pub enum Evidence<'a> {
    /// The connection is being made.
    Dialing,
    /// The stream is up and the hello is sent.
    HelloSent,
    /// The replica reported.
    Report {
        /// Its facts; `None`: it holds no such volume.
        facts: Option<&'a ReplicaFacts>,
        /// The primary's own history, read now.
        history: &'a RetainedHistory,
    },
    /// The primary's history, for the selection of a source.
    History(&'a RetainedHistory),
    /// Of a catch-up.
    CatchUp(CatchUpEvidence),
    /// Of a rebuild.
    Rebuild(RebuildEvidence),
    /// A barrier was answered, in sync.
    Acknowledged {
        /// What survives a crash at the replica.
        durable: Lsn,
        /// The primary's head.
        head: Lsn,
    },
    /// Anything else.
    Interrupted(Interruption),
}
