//! What comes out of the engine: pins to acquire or release, and events. Outputs, never state.

use crate::{Event, PinId, PinRequest};

/// One thing to be done, or known, outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Acquire this pin and report the outcome by `pinned` or `pin_failed`.
    AcquirePin(PinRequest),
    /// Release this pin, held or still being acquired.
    ReleasePin(PinId),
    /// Something happened.
    Event(Event),
}

/// A buffer that calls push their effects to, in order; the caller drains it after each call and
/// can keep it for the next one. A refused call pushes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Effects {
    list: Vec<Effect>,
}

impl Effects {
    /// An empty buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// What is in it, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Effect> {
        self.list.iter()
    }

    /// Takes everything out, oldest first.
    pub fn drain(&mut self) -> impl Iterator<Item = Effect> + '_ {
        self.list.drain(..)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// How many effects are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The pins to acquire, in order.
    pub fn acquired(&self) -> impl Iterator<Item = &PinRequest> {
        self.list.iter().filter_map(|effect| match effect {
            Effect::AcquirePin(request) => Some(request),
            Effect::ReleasePin(_) | Effect::Event(_) => None,
        })
    }

    /// The pins to release, in order.
    pub fn released(&self) -> impl Iterator<Item = &PinId> {
        self.list.iter().filter_map(|effect| match effect {
            Effect::ReleasePin(pin) => Some(pin),
            Effect::AcquirePin(_) | Effect::Event(_) => None,
        })
    }

    /// The events, in order.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.list.iter().filter_map(|effect| match effect {
            Effect::Event(event) => Some(event),
            Effect::AcquirePin(_) | Effect::ReleasePin(_) => None,
        })
    }

    pub(crate) fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }
}
