//! The `cluster` specification: what a replicated volume promises its client, across crashes,
//! failovers, rebuilds and changes of its members.
//!
//! **Scope.** Two or three nodes, each with a store (log, extent, positions, promise) and a process
//! that forgets; the authority's record with its compare-and-set; leases; a client that writes,
//! flushes and reads; all of `docs/protocol.md` sections 1 to 4, 6 and 7 in every durability mode.
//!
//! **What it is judged by.** What the stores hold, what was ever committed, and what the client was
//! told. No property looks at the guard that is meant to keep it.
//!
//! **Simplifications.** A write fills one of two blocks. Positions are a few bits wide. Exchanges
//! between primary and replica are atomic, except in the instances with a wire, where appends,
//! barriers and acknowledgements are each under way on their own (lost, late, overtaken, twice);
//! handshake and truncation are atomic everywhere. Requests to the authority are always under way
//! on their own. Time is an order: a lease runs out on the primary's clock before the authority's.
//! Revisions are not counted (see `membership.rs`). Where a bound says so, a crash and its restart,
//! a lease's end and the mint, an answer and the moment at which it may be given are one step each;
//! `docs/decisions/043` says why that hides nothing, and the instances `pair` and `authority-clock`
//! do without. Write-back of an entry range is one step; what a crash leaves in the middle of it,
//! torn sectors and failed syncs belong to the `storage` specification, the calls of a session and
//! their tokens to `session`.
//!
//! **In prose.** `docs/cluster.md` says all of this exactly enough to be written again in another
//! language; three instances were.
//!
//! **How to break it.** Ask `self.is(Broken::...)` where a rule is kept, or run
//! `holdfast-model mutants`, which does so for every rule in `broken.rs`, then `holdfast-model trace
//! --mutant M07-count-older-epochs` to read the shortest run on which a property falls.
//!
//! Read in this order: [`vocabulary`], [`state`], `rules.rs` (who must acknowledge), `client.rs`,
//! `shipping.rs`, `recovery.rs`, `rebuild.rs`, `operations.rs`, `membership.rs`, `lease.rs`,
//! `failover.rs`, `mishaps.rs`, then `properties`.

pub mod action;
pub mod broken;
mod calls;
mod cards;
mod client;
pub mod conjuncts;
mod diagram;
mod encode;
mod failover;
mod faults;
mod initial;
pub mod instances;
mod lease;
mod membership;
mod mishaps;
mod mutants;
mod operations;
mod properties;
mod rebuild;
mod recovery;
pub mod rules;
mod shipping;
mod show;
mod spec;
pub mod state;
mod storage;
mod symmetry;
pub mod vocabulary;

pub use action::{Action, Refusal};
pub use broken::Broken;
pub use conjuncts::Conjunct;
pub use rules::Bounds;
pub use state::State;

use crate::checking::Instance;

/// The specification at the bounds of one instance, with at most one rule broken, or one condition given up.
#[derive(Clone, Copy, Debug)]
pub struct Cluster {
    /// The instance.
    pub instance: Instance,
    /// Its bounds.
    pub bounds: Bounds,
    /// The rule that is broken, if any.
    pub broken: Option<Broken>,
    /// The condition that is given up, if any.
    pub given_up: Option<Conjunct>,
}
