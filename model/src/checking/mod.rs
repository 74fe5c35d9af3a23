//! The checker: everything that is true of any specification of this project.
//!
//! A specification ([`Spec`]) is a pure value: states, named actions, guards, effects and
//! properties. Two independent layers walk it: an exact graph of our own ([`Graph`]: every state
//! and every edge is kept, so that depths, digests, liveness and shortest traces are exact) and a
//! thin stateright model ([`Checked`]). They must agree on every count; a check that finds them
//! apart fails.
//!
//! Nothing here knows what is being specified, and nothing here is ever truncated: there is no
//! time-out and no bound on depth. An exploration that would not fit ends as an error, never as
//! a smaller success.

mod agreement;
mod codes;
mod conjunct;
mod digest;
mod graph;
mod guards;
mod lattice;
mod liveness;
mod mutation;
mod property;
mod report;
mod results;
mod spec;
mod suite;
mod symmetry;
mod trace;

pub use agreement::{Checked, Counts};
pub use codes::Codes;
pub(crate) use conjunct::{Conditions, Granted, unless};
pub use conjunct::{Conjunct, Part};
pub(crate) use conjunct::{because, conjuncts, part};
pub use graph::{Bounds, Edge, Graph, OutOfBounds, explore, find_fall};
pub use guards::{GuardRow, GuardShare, GuardVerdict, PublishedGuards, judge_guards};
pub use lattice::{check_all, kill_all};
pub use mutation::Mutant;
pub use property::{Check, Kind, Property, Step, Verdict};
pub use report::{CheckRow, Exact, MutantRow, PropertyRow, StaterightRow, findings};
pub use results::{Draft, Drift, Published, drift, drift_of_mutants, markdown, publish, revision};
pub use spec::{Effort, Instance, Spec, action_name, action_text};
pub use suite::{Suite, SuiteError, check, suites};
pub use symmetry::SymmetryRow;
pub use trace::{Header, MAX_LINE_BYTES, MAX_STEPS, Trace, TraceError, TraceStep, read_header};
