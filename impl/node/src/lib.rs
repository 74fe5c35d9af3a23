//! The Holdfast node: everything that runs.
//!
//! Pure parts first, drivers last:
//!
//! - [`commit`]: who must acknowledge before a client is answered;
//! - [`authority`]: the record, epochs and leases, behind one trait;
//! - [`controller`]: who becomes primary;
//! - [`replication`]: both sides of a session in steady state;
//! - [`rebuild`]: both sides of a base transfer;
//! - [`nbd`]: the front end that block clients speak to;
//! - [`config`]: the file and the environment, checked as a whole;
//! - [`tls`]: who is at the other end of a connection between nodes;
//! - [`runtime`]: sockets, timers and disks around all of them;
//! - `bench`: the product beside bare programs that do the same work;
//! - [`cli`]: the commands of the `holdfast` binary.
//!
//! The rules come from `docs/protocol.md`; the decisions of a recovery are the engine's alone (T14).

pub mod authority;
mod bench;
pub mod cli;
pub mod commit;
pub mod config;
pub mod controller;
mod demo;
mod failure;
pub mod nbd;
pub mod rebuild;
pub mod replication;
pub mod runtime;
pub mod tls;
pub mod verify;
