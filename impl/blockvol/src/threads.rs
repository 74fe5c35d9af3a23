//! What threads meet at: the standard library's locks, or, in tests with the feature `shuttle`, those
//! of a scheduler that tries their interleavings (`tests/interleavings.rs`). Nothing else differs.

#[cfg(not(feature = "shuttle"))]
pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard, RwLock, atomic},
    thread,
};

#[cfg(feature = "shuttle")]
pub(crate) use shuttle::{
    sync::{Condvar, Mutex, MutexGuard, RwLock, atomic},
    thread,
};

/// How often a thread looks whether what it waits for has happened before it sleeps: a few
/// microseconds, less than a sleep and a waking cost.
#[cfg(not(feature = "shuttle"))]
pub(crate) const LOOKS: usize = 64;
#[cfg(feature = "shuttle")]
pub(crate) const LOOKS: usize = 0;
