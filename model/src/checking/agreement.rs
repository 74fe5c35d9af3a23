//! The second opinion: the same specification, walked by stateright.
//!
//! The layer is thin: the actions of a state are the calls that its guard grants. It is checked
//! breadth first (depth first would carry the path of every pending state), without time-out,
//! target or bound on depth (each of which would turn a part of the search into a success), and
//! always with one property that never falls, because stateright stops as soon as every property
//! has been decided. Its fingerprints have 64 bits and differ between machines: they are never
//! published, and only its counts are used.

use stateright::{Checker, Expectation, Model};

use super::{Check, Property, Spec, Verdict};

/// What stateright found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Distinct states.
    pub states: u64,
    /// Transitions generated, initial states apart.
    pub transitions: u64,
    /// The state properties that it saw fall, sorted.
    pub fallen: Vec<&'static str>,
}

/// A specification as a stateright model.
pub struct Checked<S: Spec> {
    spec: S,
    always: Vec<Property<S>>,
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
        Self { spec, always }
    }

    /// Exhausts the model.
    #[must_use]
    pub fn count(self) -> Counts {
        let initial = self.spec.initial().len();
        let checker = self.checker().spawn_bfs().join();
        let mut fallen: Vec<&'static str> = checker.discoveries().into_keys().collect();
        fallen.sort_unstable();
        Counts {
            states: checker.unique_state_count() as u64,
            transitions: (checker.state_count() - initial) as u64,
            fallen,
        }
    }

    /// The names of the state properties, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.always.iter().map(|property| property.name)
    }

    /// Whether the state property at this place does not fall in a state.
    pub(crate) fn falls_not<const AT: usize>(&self, state: &S::State) -> bool {
        match self.always.get(AT).map(|property| &property.check) {
            Some(Check::Always(holds)) => holds(&self.spec, state) != Verdict::Falls,
            Some(_) | None => true,
        }
    }
}

macro_rules! conditions {
    ($spec:ident: $($at:literal)*) => { [$(Checked::<$spec>::falls_not::<$at>),*] };
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
        let conditions: [fn(&Self, &S::State) -> bool; CONDITIONS] = conditions!(
            S: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
        );
        let named = self
            .always
            .iter()
            .zip(conditions)
            .map(|(property, condition)| stateright::Property {
                expectation: Expectation::Always,
                name: property.name,
                condition,
            });
        let never_falls = stateright::Property::always("every state is visited", |_, _| true);
        named.chain([never_falls]).collect()
    }
}
