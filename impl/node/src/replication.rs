//! Steady-state replication, as state machines without I/O or clock.
//!
//! [`Shipper`] is the primary's side of one session with one replica: one cursor over the log, for
//! catch-up and live traffic alike (F36). [`Receiver`] is the replica's side of one connection. Both
//! take messages and time as arguments and say what is to be done; who reads sockets and disks is
//! the runtime.
//!
//! Rule: `docs/protocol.md`, sections 3 and 4.

mod receiver;
mod shipper;

pub use receiver::{Present, Receiver, StoreCall, StoreOutcome};
pub use shipper::{Evidence, Next, Shipper, ShipperError, ShipperLimits};
