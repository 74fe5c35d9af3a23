//! The cases, each the work of one function: what is measured, against what, and what it should
//! reach.

mod buffered;
mod cost;
mod flush;
mod nbd;
mod read;
mod recovery;
mod sparse;
mod write_back;

use super::contest::Effort;
use super::row::Row;
use crate::failure::Failure;

/// What carries a case out. Its rows begin with the case's name.
type Run = fn(&Effort) -> Result<Vec<Row>, Failure>;

/// Every case by name, in the order in which they are run.
pub(super) const CASES: &[(&str, Run)] = &[
    // First: what other cases give back to the allocator would hide what this one takes.
    ("memory-dirty-block", cost::memory),
    ("flush-1c-1w", |effort| flush::run(effort, 1)),
    ("flush-1c-4w", |effort| flush::run(effort, 4)),
    ("flush-1c-16w", |effort| flush::run(effort, 16)),
    ("flush-1c-64w", |effort| flush::run(effort, 64)),
    ("buffered-1c", buffered::small),
    ("sequential-1c", buffered::large),
    ("read-extent", read::from_extent),
    ("read-log", read::from_log),
    ("recovery", recovery::run),
    ("write-back", write_back::run),
    ("bytes-written", cost::bytes_written),
    ("sparse-64g", sparse::run),
    ("nbd-read-qd1", |effort| {
        nbd::small(effort, nbd::Kind::Read, 1)
    }),
    ("nbd-read-qd32", |effort| {
        nbd::small(effort, nbd::Kind::Read, 32)
    }),
    ("nbd-write-qd1", |effort| {
        nbd::small(effort, nbd::Kind::Write, 1)
    }),
    ("nbd-write-qd32", |effort| {
        nbd::small(effort, nbd::Kind::Write, 32)
    }),
    ("nbd-flush-1c", |effort| nbd::flushed(effort, 1)),
    ("nbd-flush-16c", |effort| nbd::flushed(effort, 16)),
    ("nbd-read-1m-qd4", |effort| {
        nbd::large(effort, nbd::Kind::Read)
    }),
    ("nbd-write-1m-qd4", |effort| {
        nbd::large(effort, nbd::Kind::Write)
    }),
];
