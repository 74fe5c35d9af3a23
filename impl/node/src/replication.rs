//! Steady-state replication, as state machines without I/O or clock.
//!
//! [`PrimarySession`] is the primary's side of one session with one replica, and within it the
//! [`Shipper`]: one cursor over the log, for catch-up and live traffic alike (F36).
//! [`ReplicaSession`] is the replica's side of one connection, and within it the [`Receiver`]: what a
//! frame may do to the store. All take messages and time as arguments and say what is to be done; who
//! reads sockets and disks is the runtime.
//!
//! Rule: `docs/protocol.md`, sections 3 and 4.

mod primary_session;
mod receiver;
mod replica_session;
mod shipper;

pub use primary_session::{
    ConnectionFault, Finding, Given, Note, PinnedBase, PrimarySession, SessionBounds, SessionError,
    StoreFault, Todo, View, Want,
};
pub use receiver::{Present, Receiver, StoreCall, StoreOutcome};
pub use replica_session::{About, Performed, ReplicaSession, superseded};
pub use shipper::{Evidence, Next, Shipper, ShipperError, ShipperLimits};
