//! The second opinion: the same specification, walked by stateright.
//!
//! The layer is thin: the actions of a state are the calls that its guard grants. It is checked
//! depth first (which allocates for new states alone, where breadth first does for every edge; what
//! an instance counts keeps its paths short), without time-out, target or bound on depth (each of
//! which would turn a part of the search into a success), and always with one property that never
//! falls, because stateright stops as soon as every property has been decided. Its fingerprints have
//! 64 bits and differ between machines: they are never published, and only its counts are used.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use stateright::{Checker, Model};

use super::{Check, Property, Spec, Verdict};

/// What stateright found.
#[derive(Clone, Debug, PartialEq)]
pub struct Counts {
    /// Distinct states.
    pub states: u64,
    /// Transitions generated, initial states apart.
    pub transitions: u64,
    /// Wall-clock time.
    pub seconds: f64,
    /// The state properties that it saw fall, sorted.
    pub fallen: Vec<&'static str>,
}

/// A specification as a stateright model.
pub struct Checked<S: Spec> {
    spec: S,
    always: Vec<Property<S>>,
    /// The state properties that fell while counting: a bit each.
    fallen: Arc<AtomicU32>,
}

/// More state properties than any specification has.
const CONDITIONS: usize = 32;

impl<S: Spec> Checked<S> {
    /// The model of `spec`.
    ///
    /// # Panics
    /// When the specification has more than 32 state properties.
    #[must_use]
    pub fn new(spec: S) -> Self {
        let mut always = S::properties();
        always.retain(|property| matches!(property.check, Check::Always(_)));
        assert!(
            always.len() <= CONDITIONS,
            "too many state properties for one model"
        );
        Self {
            spec,
            always,
            fallen: Arc::default(),
        }
    }

    /// Exhausts the model.
    #[must_use]
    pub fn count(self) -> Counts {
        let begun = Instant::now();
        let initial = self.spec.initial().len();
        let names: Vec<&'static str> = self.always.iter().map(|property| property.name).collect();
        let fallen = Arc::clone(&self.fallen);
        let checker = self.checker().spawn_dfs().join();
        let fallen = fallen.load(Ordering::Relaxed);
        let fell = |at: &usize| fallen >> at & 1 == 1;
        let mut fallen: Vec<&'static str> =
            (0..names.len()).filter(fell).map(|at| names[at]).collect();
        fallen.sort_unstable();
        Counts {
            states: checker.unique_state_count() as u64,
            transitions: (checker.state_count() - initial) as u64,
            seconds: begun.elapsed().as_secs_f64(),
            fallen,
        }
    }

    /// The names of the state properties, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.always.iter().map(|property| property.name)
    }

    /// All state properties at once. stateright looks each property's name up in every state, which
    /// would cost it more than the judgement itself; so it is told of one, and which of them fell is
    /// noted here.
    fn none_falls(&self, state: &S::State) -> bool {
        let mut fallen = 0;
        for (at, property) in self.always.iter().enumerate() {
            if let Check::Always(holds) = property.check
                && holds(&self.spec, state) == Verdict::Falls
            {
                fallen |= 1 << at;
            }
        }
        if fallen != 0 {
            self.fallen.fetch_or(fallen, Ordering::Relaxed);
        }
        fallen == 0
    }

    /// Whether the state property at this place does not fall in a state.
    pub(crate) fn falls_not<const AT: usize>(&self, state: &S::State) -> bool {
        match self.always.get(AT).map(|property| &property.check) {
            Some(Check::Always(holds)) => holds(&self.spec, state) != Verdict::Falls,
            Some(_) | None => true,
        }
    }
}

impl<S: Spec> Model for Checked<S> {
    type State = S::State;
    type Action = S::Action;

    fn init_states(&self) -> Vec<S::State> {
        self.spec
            .initial()
            .into_iter()
            .map(|(_, state)| state)
            .collect()
    }

    fn actions(&self, state: &S::State, actions: &mut Vec<S::Action>) {
        self.spec.calls(state, actions);
        actions.retain(|&action| self.spec.guard(state, action).is_ok());
    }

    fn next_state(&self, state: &S::State, action: S::Action) -> Option<S::State> {
        Some(self.spec.apply(state, action).0)
    }

    fn properties(&self) -> Vec<stateright::Property<Self>> {
        vec![
            stateright::Property::always("no state property falls", Self::none_falls),
            stateright::Property::always("every state is visited", |_, _| true),
        ]
    }
}
