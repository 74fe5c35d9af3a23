//! Conformance: the specification and the implementation are the same protocol, or this crate says
//! where they differ.
//!
//! `model/` and `impl/` share nothing but names; here, and only here, one is translated into the
//! other. Each level drives a part of the product ([`l1`]: the engine alone; `l2`: with its executors and
//! stores; `l3`: over sockets and files; `storage`: the volume alone) through a specification's own actions and compares after every
//! step: the outcome, the refusal with its facts, the pins, and the whole abstract state.
//!
//! [`sabotage`] shows that the checks can fail: the product is broken on purpose, patch by patch, and
//! each break must be noticed.
//!
//! Nothing here decides anything about the protocol: where the two sides differ, `docs/protocol.md` and
//! `session.md` say who is wrong. And nothing is printed that was not computed in the run that prints it.

pub mod environment;
pub mod l1;
#[cfg(feature = "l2")]
pub mod l2;
#[cfg(feature = "l3")]
pub mod l3;
pub mod product;
pub mod published;
pub mod report;
pub mod sabotage;
#[cfg(feature = "storage")]
pub mod storage;
mod workers;
