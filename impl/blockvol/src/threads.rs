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
