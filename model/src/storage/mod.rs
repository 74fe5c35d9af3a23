//! One node's storage: log ring, superblocks, extent and snapshots, under any crash.
//!
//! **Scope.** A log ring of a few sectors that entries of one or two sectors go round, two
//! superblock slots, an extent of one or two blocks and a copy-on-write snapshot. Every sector
//! exists twice, as the page cache shows it and as a power loss would leave it. The node appends,
//! syncs, flushes in the background, makes checkpoints, frees log space, takes, drops and restores
//! snapshots; its primary commits, truncates and rebuilds it; the world kills its process, cuts
//! its power with any subset of the unsynced sectors landed and one torn, fails its syncs and
//! damages its log at rest.
//!
//! **Promise.** What was claimed durable survives; what was cut never comes back; a trusted base
//! is the reference, block by block; damage is reported; back-pressure ends.
//!
//! **Simplifications.** A block's content is the name of the entry that wrote it, and what an entry
//! does is fixed by its name. A sync that nothing runs beside is one step; that of the log has a
//! beginning and an end. One superblock is in flight at a time. A sector that is written twice
//! between two syncs may land in between. At most one sector is torn by a power loss, and at most
//! one goes bad, in the log; damage that nothing on the disk vouches against looks like a torn end
//! to every reader and is left to the cluster. A base brings no snapshots, a volume has one at a
//! time, and it does not grow; trims and zeroes are writes. Generations of superblocks are
//! renumbered. The history beyond the node (what is committed, what a base contains) is the
//! observer's.
//!
//! **How to break it.** `mutation.rs` switches off one rule at a time:
//! `holdfast-model trace --mutant F03-truncation-in-memory-only` tells how the cut entries come
//! back. To try a rule of your own, change the guard or the effect in `log.rs`, `flusher.rs`,
//! `rebuild.rs`, `faults.rs` or the reader in `recovery.rs`, and check the smallest instance that
//! contains the step.

pub mod action;
pub mod conjuncts;
mod diagram;
pub mod disk;
mod faults;
mod flusher;
pub mod instances;
mod log;
pub mod mutation;
mod properties;
mod rebuild;
pub mod recovery;
pub mod reference;
mod spec;
pub mod state;
pub mod vocabulary;
mod witnesses;

pub use conjuncts::Conjunct;
pub use mutation::Mutation;
pub use spec::Storage;

use crate::checking::{Check, Instance, Mutant, Property, Spec, Step, Verdict};
