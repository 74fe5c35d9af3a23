//! The Holdfast node: everything that runs.
//!
//! Pure parts first, drivers last:
//!
//! - [`commit`]: who must acknowledge before a client is answered;
//! - [`authority`]: the record, epochs and leases, behind one trait;
//! - [`controller`]: who becomes primary;
//! - [`nbd`]: the front end that block clients speak to;
//! - [`config`]: the file and the environment, checked as a whole.
//!
//! The rules come from `docs/protocol.md`; the decisions of a recovery are the engine's alone (T14).

pub mod authority;
pub mod commit;
pub mod config;
pub mod controller;
pub mod nbd;
