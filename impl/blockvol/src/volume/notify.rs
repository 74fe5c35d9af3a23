//! Telling others that positions moved, without polling and without any runtime.

use std::sync::{Arc, Weak};

use super::Shared;
use crate::positions::Positions;
use crate::threads::RwLock;

type Listener = Arc<dyn Fn(Positions) + Send + Sync>;
type List = Vec<(u64, Listener)>;

/// Everyone who wants to know.
#[derive(Default)]
pub(super) struct Listeners {
    /// Replaced as a whole, so that telling holds no lock.
    list: RwLock<(u64, Arc<List>)>,
}

impl Listeners {
    pub(super) fn tell(&self, positions: Positions) {
        let list = match self.list.read() {
            Ok(guard) => Arc::clone(&guard.1),
            Err(_) => return,
        };
        for (_, listener) in list.iter() {
            listener(positions);
        }
    }

    fn change(&self, change: impl FnOnce(u64, &mut List)) -> u64 {
        let mut guard = self
            .list
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let id = guard.0;
        guard.0 += 1;
        let mut list = List::clone(&guard.1);
        change(id, &mut list);
        guard.1 = Arc::new(list);
        id
    }
}

/// Ends the notifications when dropped; a call that has begun may still finish.
#[must_use = "notifications end when this is dropped"]
pub struct Subscription {
    shared: Weak<Shared>,
    id: u64,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription")
            .field("id", &self.id)
            .finish()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            let own = self.id;
            shared
                .listeners
                .change(|_, list| list.retain(|(id, _)| *id != own));
        }
    }
}

pub(super) fn subscribe(shared: &Arc<Shared>, listener: Listener) -> Subscription {
    let id = shared
        .listeners
        .change(|id, list| list.push((id, listener)));
    Subscription {
        shared: Arc::downgrade(shared),
        id,
    }
}
