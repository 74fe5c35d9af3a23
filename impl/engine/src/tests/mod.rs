//! The engine as a whole, through its public calls. Tests of one function alone stand beside it.

mod authority;
mod calls;
mod catch_up;
mod every_log;
mod executors;
mod invariants;
mod names;
mod observation;
mod pins;
mod random_calls;
mod rebuild;
pub(crate) mod scene;
mod sessions;
mod stale;
