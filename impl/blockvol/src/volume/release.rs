//! The end of a volume in this process: when its directory is locked by it no more.
//!
//! Handles are shared, and the last one may be dropped anywhere: by a task that is being ended, by a
//! listener in one of the volume's own threads. Who wants to open the directory again waits for
//! the lock itself to go, not for the handles that it knows.

use std::convert::Infallible;
use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::Volume;
use crate::threads::Mutex;

/// Those who wait. Dropped behind the store and its lock ([`super::Shared`]), which is all that it says.
#[derive(Default)]
pub(super) struct Watched(Mutex<Vec<Sender<Infallible>>>);

/// Tells when a volume is closed for good, without keeping it open.
pub struct Release(Receiver<Infallible>);

impl Release {
    /// Waits until the volume no longer locks its directory; whether that was within `limit`.
    #[must_use]
    pub fn wait(&self, limit: Duration) -> bool {
        match self.0.recv_timeout(limit) {
            Err(RecvTimeoutError::Disconnected) => true,
            Err(RecvTimeoutError::Timeout) => false,
        }
    }
}

impl Volume {
    /// What tells when this volume's directory can be opened again in this process: all handles,
    /// bases being copied or installed, and open snapshots are gone then.
    #[must_use]
    pub fn release(&self) -> Release {
        let (alive, release) = channel();
        // A volume that a panic broke tells nobody any more; it lets go like any other.
        if let Ok(mut watched) = self.shared.watched.0.lock() {
            watched.push(alive);
        }
        Release(release)
    }
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Release").finish_non_exhaustive()
    }
}
