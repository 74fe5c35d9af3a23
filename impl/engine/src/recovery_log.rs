//! The last events, bounded: memory does not grow with them, and the number that were dropped is
//! known (F77).

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use holdfast_types::{ReplicaId, VolumeId};

use crate::{Effect, Effects, Event};

/// An event with its place in the order of all events that were ever recorded here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedEvent {
    /// From 0; without gaps.
    pub sequence: u64,
    /// The event.
    pub event: Event,
}

/// A ring of the last events.
#[derive(Clone, Debug)]
pub struct RecoveryLog {
    events_max: NonZeroUsize,
    next_sequence: u64,
    events: VecDeque<LoggedEvent>,
}

impl RecoveryLog {
    /// An empty log that keeps the last `events_max`. Memory is taken as it fills.
    #[must_use]
    pub const fn new(events_max: NonZeroUsize) -> Self {
        Self {
            events_max,
            next_sequence: 0,
            events: VecDeque::new(),
        }
    }

    /// Records one event; forgets the oldest if there is no room.
    pub fn record(&mut self, event: Event) {
        if self.events.len() == self.events_max.get() {
            self.events.pop_front();
        }
        self.events.push_back(LoggedEvent {
            sequence: self.next_sequence,
            event,
        });
        self.next_sequence += 1;
    }

    /// Records the events among some effects, in their order.
    pub fn record_all<'a>(&mut self, effects: impl IntoIterator<Item = &'a Effect>) {
        for effect in effects {
            match effect {
                Effect::Event(event) => self.record(event.clone()),
                Effect::AcquirePin(_) | Effect::ReleasePin(_) => {}
            }
        }
    }

    /// Records the events of a whole buffer.
    pub fn record_effects(&mut self, effects: &Effects) {
        self.record_all(effects.iter());
    }

    /// What is kept, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &LoggedEvent> {
        self.events.iter()
    }

    /// What is kept of one replica, oldest first.
    pub fn of_replica(
        &self,
        volume: VolumeId,
        replica: &ReplicaId,
    ) -> impl DoubleEndedIterator<Item = &LoggedEvent> {
        self.events.iter().filter(move |logged| {
            logged.event.volume == volume && logged.event.replica.as_ref() == Some(replica)
        })
    }

    /// How many events are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// How many were recorded and are no longer kept.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.next_sequence - self.events.len() as u64
    }
}
