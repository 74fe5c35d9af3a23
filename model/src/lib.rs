//! The specification of Holdfast and its checker.
//!
//! `docs/protocol.md` and `docs/session.md` say in prose what a volume promises and how recovery
//! keeps it. This crate says the same as a state machine that a program can exhaust, with the
//! promises as properties and the defects that each rule prevents as mutations.
//!
//! - [`checking`] is the checker: exact graphs, a second opinion by stateright, mutations, traces.
//!   It knows of no protocol.
//! - [`session`] is the recovery session: one primary's engine, every call, every stale token.
//! - [`cluster`] is the whole: copies, authority, client, across crashes, failovers and rebuilds.
//! - [`storage`] is one node's storage: log ring, superblocks, extent and snapshots, under any crash.
//! - [`explore`] shows paths through them: in a browser, and as sequence diagrams.
//! - [`twins`] are the same machines again, in Promela and Murphi, for checkers that are not ours.
//!
//! It depends on nothing of the implementation, and the implementation on nothing of it. What
//! holds the two together is the conformance suite, which drives the engine through every edge of
//! the graphs found here and compares [`session::View`]s.
//!
//! ```text
//! holdfast-model check              # exhaust the instances of every build, compare with docs/results
//! holdfast-model mutants            # break every rule; each must be seen
//! holdfast-model explore cluster    # walk the graph in a browser
//! holdfast-model twins              # count again with SPIN and rumur
//! holdfast-model trace FILE         # read or replay a run
//! ```

pub mod checking;
pub mod cluster;
pub mod explore;
pub mod session;
pub mod storage;
pub mod twins;
