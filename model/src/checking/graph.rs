//! The exact graph: breadth first, level by level, every state and every edge kept.
//!
//! States are compared by their whole codes, never by a fingerprint, so that no collision can hide
//! one. A state's number is its place in the order of discovery; the first edge that leads to it is
//! the one by which it was discovered, and the path back along such edges is a shortest one. Values
//! are held only for the states that are still to be expanded.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::codes::Codes;
use super::liveness::Outlook;
use super::{Check, Property, Spec, Step, Verdict};

/// What an exploration may use before it gives up (with an error, never with a smaller result).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most states that are kept.
    pub states: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            states: 120_000_000,
        }
    }
}

/// The graph did not fit into its [`Bounds`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfBounds {
    /// How many states there were when it was given up.
    pub states: usize,
}

impl std::fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "more than {} states: narrow the instance or raise the bound; a part of a graph \
             proves nothing",
            self.states
        )
    }
}

impl std::error::Error for OutOfBounds {}

/// One enabled action, from the state under which it is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Number of the action ([`Graph::actions`]).
    pub action: u16,
    /// Number of the state that it leads to.
    pub to: u32,
}

/// How a property fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) evaluations: u64,
    pub(super) non_vacuous: u64,
    /// Where it first fell: a state and, for steps and calls, the action that was asked for there.
    pub(super) fall: Option<(u32, Option<u16>)>,
}

type OfState<S, V> = (usize, fn(&S, &<S as Spec>::State) -> V);
type OfSubject<S> = fn(&S, &<S as Spec>::State, usize) -> bool;
type OfOutlook<S> = (usize, OfSubject<S>, OfSubject<S>);
type OfStep<S, V> = (usize, for<'a, 'b> fn(&'b S, &'b Step<'a, S>) -> V);

/// The predicates by what they are judged of, each with the place of its property.
struct Watched<S: Spec> {
    always: Vec<OfState<S, Verdict>>,
    sometimes: Vec<OfState<S, bool>>,
    step: Vec<OfStep<S, Verdict>>,
    call: Vec<OfStep<S, Verdict>>,
    sometimes_step: Vec<OfStep<S, bool>>,
    leads: Vec<OfOutlook<S>>,
}

impl<S: Spec> Watched<S> {
    fn of(properties: &[Property<S>]) -> Self {
        let mut watched = Self {
            always: Vec::new(),
            sometimes: Vec::new(),
            step: Vec::new(),
            call: Vec::new(),
            sometimes_step: Vec::new(),
            leads: Vec::new(),
        };
        for (at, property) in properties.iter().enumerate() {
            match property.check {
                Check::Always(holds) => watched.always.push((at, holds)),
                Check::Sometimes(seen) => watched.sometimes.push((at, seen)),
                Check::Step(holds) => watched.step.push((at, holds)),
                Check::Call(holds) => watched.call.push((at, holds)),
                Check::SometimesStep(seen) => watched.sometimes_step.push((at, seen)),
                Check::Leads { from, to, .. } => watched.leads.push((at, from, to)),
                // Counted with the refused calls.
                Check::Refused(_) => {}
            }
        }
        watched
    }
}

/// Every reachable state of one instance, and every edge.
pub struct Graph<S: Spec> {
    /// The specification it is the graph of.
    pub spec: S,
    /// All actions that were enabled, or asked for when a property fell.
    pub actions: Vec<S::Action>,
    /// How often each action was enabled.
    pub fired: Vec<u64>,
    /// Number of levels after the first.
    pub depth: u32,
    /// States without an enabled action.
    pub terminal: u64,
    /// Refused calls, by [`Spec::refusals`].
    pub refused: Vec<u64>,
    /// Tallies in the order of the properties that were judged.
    pub(super) tallies: Vec<Tally>,
    /// The states, in the order of discovery; initial states first.
    pub(super) codes: Codes,
    /// What liveness is judged of, once the graph is complete.
    pub(super) outlook: Outlook,
    /// States that were discovered and not yet expanded, in order.
    frontier: VecDeque<S::State>,
    action_numbers: HashMap<S::Action, u16>,
    /// By state, where its edges end in the two lists that follow.
    edge_ends: Vec<usize>,
    edge_actions: Vec<u16>,
    edge_states: Vec<u32>,
}

/// More states than a graph ever has: their numbers have 32 bits.
const STATES_MAX: usize = u32::MAX as usize;

impl<S: Spec> Graph<S> {
    fn empty(spec: &S, properties: &[Property<S>]) -> Self {
        Self {
            spec: spec.clone(),
            actions: Vec::new(),
            fired: Vec::new(),
            depth: 0,
            terminal: 0,
            refused: vec![0; S::refusals().len()],
            tallies: vec![Tally::default(); properties.len()],
            codes: Codes::new(),
            outlook: Outlook::of(properties),
            frontier: VecDeque::new(),
            action_numbers: HashMap::new(),
            edge_ends: Vec::new(),
            edge_actions: Vec::new(),
            edge_states: Vec::new(),
        }
    }

    /// Number of edges: enabled (state, action) pairs, self-loops included.
    #[must_use]
    pub fn transitions(&self) -> u64 {
        self.edge_states.len() as u64
    }

    /// The edges that leave a state.
    pub fn edges_of(&self, state: usize) -> impl Iterator<Item = Edge> + '_ {
        let begin = match state {
            0 => 0,
            _ => self.edge_ends[state - 1],
        };
        let place = begin..self.edge_ends[state];
        let actions = self.edge_actions[place.clone()].iter();
        let edges = actions.zip(&self.edge_states[place]);
        edges.map(|(&action, &to)| Edge { action, to })
    }

    /// How many states there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.codes.len()
    }

    /// Whether there is none: the specification has no initial state.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All states in the order of discovery, initial states first. They are not kept: each is made
    /// again by the edge that discovered it.
    #[must_use]
    pub fn states(&self) -> Vec<S::State> {
        let mut states = self.different_initial_states();
        states.reserve(self.len() - states.len());
        self.discoveries(|from, action| {
            let action = self.actions[usize::from(action)];
            let state = self.spec.apply(&states[from as usize], action).0;
            debug_assert_eq!(self.find(&state), u32::try_from(states.len()).ok());
            states.push(state);
        });
        states
    }

    /// Shows all states of a whole graph in the order of discovery, as [`Graph::states`] lists them;
    /// no more of them are held than when it was explored.
    pub(super) fn for_each_state(&self, mut visit: impl FnMut(&S::State)) {
        let mut frontier = VecDeque::from(self.different_initial_states());
        let mut next = frontier.len() as u32;
        for from in 0..self.edge_ends.len() {
            let state = frontier.pop_front().expect("every state was discovered");
            visit(&state);
            for edge in self.edges_of(from) {
                if edge.to == next {
                    let action = self.actions[usize::from(edge.action)];
                    frontier.push_back(self.spec.apply(&state, action).0);
                    next += 1;
                }
            }
        }
    }

    fn different_initial_states(&self) -> Vec<S::State> {
        let mut different = Vec::new();
        for (_, state) in self.spec.initial() {
            if !different.contains(&state) {
                different.push(state);
            }
        }
        different
    }

    /// Every state that is no initial one, in order, by the edge that discovered it: the first one
    /// that leads to it.
    fn discoveries(&self, mut discovered: impl FnMut(u32, u16)) {
        let mut next = self.different_initial_states().len() as u32;
        for from in 0..self.edge_ends.len() {
            for edge in self.edges_of(from) {
                if edge.to == next {
                    discovered(from as u32, edge.action);
                    next += 1;
                }
            }
        }
    }

    /// The number of a state, if it is reachable.
    #[must_use]
    pub fn find(&self, state: &S::State) -> Option<u32> {
        let mut code = Vec::with_capacity(self.codes.length());
        self.spec.encode(state, &mut code);
        self.codes.find(&code)
    }

    /// What the whole graph takes of memory, in bytes, room for growth included.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.codes.memory()
            + self.outlook.memory()
            + self.frontier.capacity() * size_of::<S::State>()
            + self.edge_ends.capacity() * size_of::<usize>()
            + self.edge_actions.capacity() * size_of::<u16>()
            + self.edge_states.capacity() * size_of::<u32>()
    }

    /// A shortest path to a state: the number of its initial state, and the actions from there.
    ///
    /// # Panics
    /// When the graph has no such state.
    #[must_use]
    pub fn path_to(&self, state: u32) -> (usize, Vec<S::Action>) {
        let initial = self.different_initial_states();
        let mut reached_by = Vec::new();
        self.discoveries(|from, action| reached_by.push((from, action)));
        let mut actions = Vec::new();
        let mut at = state as usize;
        while at >= initial.len() {
            let (from, action) = reached_by[at - initial.len()];
            actions.push(self.actions[usize::from(action)]);
            at = from as usize;
        }
        actions.reverse();
        let named = self.spec.initial();
        let begins = named.iter().position(|(_, state)| *state == initial[at]);
        (begins.expect("it is one of them"), actions)
    }

    /// The number of a state, which is put down for expansion if it is new.
    fn insert(&mut self, state: &S::State) -> u32 {
        let spec = &self.spec;
        let (number, is_new) = self.codes.insert(|code| spec.encode(state, code));
        if is_new {
            self.frontier.push_back(*state);
        }
        number
    }

    fn number_of(&mut self, action: S::Action) -> u16 {
        if let Some(&number) = self.action_numbers.get(&action) {
            return number;
        }
        let number = u16::try_from(self.actions.len()).expect("an instance has few actions");
        self.actions.push(action);
        self.fired.push(0);
        self.action_numbers.insert(action, number);
        number
    }

    fn judge_state(&mut self, watched: &Watched<S>, number: u32, state: &S::State) {
        for &(at, holds) in &watched.always {
            self.tallies[at].count(holds(&self.spec, state), || (number, None));
        }
        for &(at, seen) in &watched.sometimes {
            let verdict = Verdict::implies(seen(&self.spec, state), || true);
            self.tallies[at].count(verdict, || (number, None));
        }
        for &(at, from, to) in &watched.leads {
            self.outlook.look(at, |subject| {
                (
                    from(&self.spec, state, subject),
                    to(&self.spec, state, subject),
                )
            });
        }
    }

    /// What is claimed of every call, granted or refused.
    fn judge_call(&mut self, watched: &Watched<S>, from: u32, step: &Step<'_, S>) {
        for &(at, holds) in &watched.call {
            let verdict = holds(&self.spec, step);
            self.count_step(at, verdict, from, step);
        }
    }

    /// What is claimed of granted calls, and the witnesses among them.
    fn judge_edge(&mut self, watched: &Watched<S>, from: u32, step: &Step<'_, S>) {
        for &(at, holds) in &watched.step {
            let verdict = holds(&self.spec, step);
            self.count_step(at, verdict, from, step);
        }
        for &(at, seen) in &watched.sometimes_step {
            let verdict = Verdict::implies(seen(&self.spec, step), || true);
            self.tallies[at].count(verdict, || (from, None));
        }
    }

    fn count_step(&mut self, at: usize, verdict: Verdict, from: u32, step: &Step<'_, S>) {
        let action = (verdict == Verdict::Falls).then(|| self.number_of(step.action));
        self.tallies[at].count(verdict, || (from, action));
    }

    fn expand(
        &mut self,
        watched: &Watched<S>,
        from: u32,
        before: &S::State,
        calls: &mut Vec<S::Action>,
    ) {
        let first_edge = self.edge_states.len();
        self.codes.stand_at(from);
        calls.clear();
        self.spec.calls(before, calls);
        for &action in calls.iter() {
            match self.spec.guard(before, action) {
                Ok(()) => {
                    let (after, outputs) = self.spec.apply(before, action);
                    let number = self.number_of(action);
                    self.fired[usize::from(number)] += 1;
                    let to = self.insert(&after);
                    self.edge_actions.push(number);
                    self.edge_states.push(to);
                    let step = Step {
                        before,
                        action,
                        after: Ok(&after),
                        outputs: Some(&outputs),
                    };
                    self.judge_call(watched, from, &step);
                    self.judge_edge(watched, from, &step);
                }
                Err(refusal) => {
                    self.refused[S::refusal_index(&refusal)] += 1;
                    let step = Step {
                        before,
                        action,
                        after: Err(refusal),
                        outputs: None,
                    };
                    self.judge_call(watched, from, &step);
                }
            }
        }
        self.edge_ends.push(self.edge_states.len());
        self.terminal += u64::from(self.edge_states.len() == first_edge);
    }
}

impl Tally {
    fn count(&mut self, verdict: Verdict, place: impl FnOnce() -> (u32, Option<u16>)) {
        self.evaluations += 1;
        match verdict {
            Verdict::Vacuous => {}
            Verdict::Holds => self.non_vacuous += 1,
            Verdict::Falls => {
                self.non_vacuous += 1;
                if self.fall.is_none() {
                    self.fall = Some(place());
                }
            }
        }
    }
}

/// Explores the whole graph and judges every property on the way.
///
/// # Errors
/// [`OutOfBounds`] when it does not fit; then nothing has been shown.
pub fn explore<S: Spec>(
    spec: &S,
    properties: &[Property<S>],
    bounds: Bounds,
) -> Result<Graph<S>, OutOfBounds> {
    walk(spec, properties, bounds, |_| false)
}

/// Explores until the first property falls (or to the end). The fall is at a least depth.
///
/// # Errors
/// [`OutOfBounds`] when neither is reached.
pub fn find_fall<S: Spec>(
    spec: &S,
    properties: &[Property<S>],
    bounds: Bounds,
) -> Result<Graph<S>, OutOfBounds> {
    walk(spec, properties, bounds, |graph| {
        graph.tallies.iter().any(|t| t.fall.is_some())
    })
}

fn walk<S: Spec>(
    spec: &S,
    properties: &[Property<S>],
    bounds: Bounds,
    done: impl Fn(&Graph<S>) -> bool,
) -> Result<Graph<S>, OutOfBounds> {
    let watched = Watched::of(properties);
    let mut graph = Graph::empty(spec, properties);
    for (_, state) in spec.initial() {
        graph.insert(&state);
    }
    let mut calls = Vec::new();
    let mut number = 0;
    let mut level_end = graph.len();
    while let Some(state) = graph.frontier.pop_front() {
        if number as usize == level_end {
            graph.depth += 1;
            level_end = graph.len();
        }
        graph.judge_state(&watched, number, &state);
        if done(&graph) {
            return Ok(graph);
        }
        graph.expand(&watched, number, &state, &mut calls);
        if done(&graph) {
            return Ok(graph);
        }
        if graph.len() > bounds.states.min(STATES_MAX) {
            return Err(OutOfBounds {
                states: graph.len(),
            });
        }
        number += 1;
    }
    Ok(graph)
}
