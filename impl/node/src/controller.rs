//! The controller: who becomes primary, and how a promotion is carried out.
//!
//! [`decide`] is a pure function of a record and reports; [`plan`] thinks it through and changes nothing; [`drive`] mints, fences, collects and
//! promotes; [`mod@delete`] ends a volume for good; [`recover`] moves an authority forward that was
//! rolled back. Safety never depends on who runs it, or on how many do at once: every step is a
//! compare-and-set, and every fence is durable before it is answered.

pub mod decide;
pub mod delete;
pub mod drive;
pub mod plan;
pub mod recover;
pub mod rollback;
