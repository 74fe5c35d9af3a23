//! A hold on the log, released by construction (F71).

use std::sync::{Arc, Weak};

use holdfast_types::Lsn;

use super::Shared;
use crate::error::PinError;
use crate::store::PinId;

/// Keeps the entries after a position in the log; released on drop, on every path. It does not
/// keep the volume open.
#[derive(Debug)]
#[must_use = "the entries are kept until this is dropped"]
pub struct RetentionPin {
    shared: Weak<Shared>,
    id: PinId,
    /// Where it was made; it may have moved since.
    made_at: Lsn,
}

impl RetentionPin {
    pub(super) fn new(shared: &Arc<Shared>, id: PinId, made_at: Lsn) -> Self {
        Self {
            shared: Arc::downgrade(shared),
            id,
            made_at,
        }
    }

    /// Where the pin was made: entries after it were kept from then on.
    #[must_use]
    pub fn made_at(&self) -> Lsn {
        self.made_at
    }

    /// The position it holds now: entries after it stay.
    ///
    /// # Errors
    /// When it was revoked, or the volume is closed.
    pub fn check(&self) -> Result<Lsn, PinError> {
        let shared = self.shared.upgrade().ok_or(PinError::Closed)?;
        let state = shared.lock();
        state.store.pinned(self.id)
    }

    /// Bytes of log that this pin alone keeps from being freed, as its bound counts them; 0 once it
    /// was revoked, or the volume is closed.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        let Some(shared) = self.shared.upgrade() else {
            return 0;
        };
        let state = shared.lock();
        state.store.held_by(self.id)
    }

    /// Moves the pin forward to `to`, so that the log before it may be recycled; never back.
    ///
    /// # Errors
    /// When it was revoked, `to` is beyond the head, or the volume is closed.
    pub fn advance(&self, to: Lsn) -> Result<(), PinError> {
        let shared = self.shared.upgrade().ok_or(PinError::Closed)?;
        let mut state = shared.lock();
        state.store.advance_pin(self.id, to)?;
        shared.wake_for_waiters(&mut state);
        Ok(())
    }
}

impl Drop for RetentionPin {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        // A broken volume has nothing to release.
        if let Ok(mut state) = shared.state.lock() {
            state.store.unpin(self.id);
            shared.wake_for_waiters(&mut state);
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
