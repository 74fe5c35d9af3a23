//! The NBD front end: volumes as network block devices, over TCP and Unix sockets.
//!
//! It speaks the fixed newstyle protocol as its public specification defines it
//! (<https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md>): `GO`, `INFO`, `LIST`,
//! `ABORT` and `EXPORT_NAME` with block-size constraints, then `READ`, `WRITE`, `FLUSH`, `TRIM`,
//! `WRITE_ZEROES` and `DISC`, with `FUA`, answered by simple replies in the order of completion.
//! Any option it does not know is answered with `NBD_REP_ERR_UNSUP`.
//!
//! What it promises:
//!
//! - A reply says what the device said, never more: a flush is acknowledged when [`Export::flush`]
//!   returned, and `CAN_MULTI_CONN` is announced because a flush covers the writes acknowledged on
//!   every connection.
//! - No connection outlives the incarnation that serves it (`docs/protocol.md`, section 2):
//!   [`Server::withdraw`] returns when every connection to the export is gone, and what was in
//!   flight on it has been abandoned.
//! - Nothing from outside is allocated for, or waited for, without a bound ([`Limits`]); malformed
//!   or oversized input ends with the protocol's own error, and other clients never notice.
//!
//! How it is built, a concern a file:
//!
//! | part | is | knows |
//! | --- | --- | --- |
//! | [`Negotiation`] | state machine of the handshake | bytes in, bytes out |
//! | [`Transmission`] | state machine of the transmission phase | bytes in, requests out; what is in flight |
//! | `connection` | drives the two for one client | sockets and the device |
//! | [`Server`] | exports, listeners, withdrawal | who is connected to what |
//! | [`Aligned`] | read-modify-write for requests below 4096 bytes | block locks |
//! | [`Export`] | the device, as the rest of the node offers it | blocks |
//! | [`Client`] | the other end, for the demo and the tests | |

mod alignment;
mod block_locks;
mod client;
mod connection;
mod export;
mod limits;
mod listener;
mod negotiation;
mod proto;
mod replies;
mod server;
mod socket;
mod transmission;

#[cfg(test)]
mod testing;

pub use alignment::Aligned;
pub use client::{Client, ClientError};
pub(crate) use client::{Load, Pipeline};
pub use export::{Export, ExportError, ExportInfo, Space};
pub use limits::Limits;
pub use listener::{ListenError, Listener};
pub use negotiation::{Catalogue, Chosen, Negotiation, NegotiationEnd, NegotiationStep};
pub use proto::{MAX_PAYLOAD, MAX_STRING, MIN_BLOCK, PAYLOAD_APART, PREFERRED_BLOCK};
pub use server::{ServeError, Server};
pub use transmission::{
    Action, Cost, Handle, Refusal, Request, Transmission, TransmissionStep, Violation,
};
