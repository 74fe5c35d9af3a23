//! The exact graph: breadth first, level by level, every state and every edge kept.
//!
//! States are compared as values, never by a fingerprint, so that no collision can hide one. A
//! state's number is its place in the order of discovery, and each remembers the edge by which it
//! was first reached: the path back along these edges is a shortest one.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::{Check, Property, Spec, Step, Verdict};

/// What an exploration may use before it gives up (with an error, never with a smaller result).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most states that are kept.
    pub states: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { states: 40_000_000 }
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
type OfStep<S, V> = (usize, for<'a, 'b> fn(&'b S, &'b Step<'a, S>) -> V);

/// The predicates by what they are judged of, each with the place of its property.
struct Watched<S: Spec> {
    always: Vec<OfState<S, Verdict>>,
    sometimes: Vec<OfState<S, bool>>,
    step: Vec<OfStep<S, Verdict>>,
    call: Vec<OfStep<S, Verdict>>,
    sometimes_step: Vec<OfStep<S, bool>>,
}

impl<S: Spec> Watched<S> {
    fn of(properties: &[Property<S>]) -> Self {
        let mut watched = Self {
            always: Vec::new(),
            sometimes: Vec::new(),
            step: Vec::new(),
            call: Vec::new(),
            sometimes_step: Vec::new(),
        };
        for (at, property) in properties.iter().enumerate() {
            match property.check {
                Check::Always(holds) => watched.always.push((at, holds)),
                Check::Sometimes(seen) => watched.sometimes.push((at, seen)),
                Check::Step(holds) => watched.step.push((at, holds)),
                Check::Call(holds) => watched.call.push((at, holds)),
                Check::SometimesStep(seen) => watched.sometimes_step.push((at, seen)),
                // Counted with the refused calls, and judged on the whole graph.
                Check::Refused(_) | Check::Leads { .. } => {}
            }
        }
        watched
    }
}

/// Every reachable state of one instance, and every edge.
pub struct Graph<S: Spec> {
    /// The specification it is the graph of.
    pub spec: S,
    /// All states, in the order of discovery; initial states first.
    pub states: Vec<S::State>,
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
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    action_numbers: HashMap<S::Action, u16>,
    edge_ends: Vec<usize>,
    edges: Vec<Edge>,
    reached_by: Vec<(u32, u16)>,
}

/// A state that no edge led to.
const INITIAL: u32 = u32::MAX;

impl<S: Spec> Graph<S> {
    fn empty(spec: &S, properties: usize) -> Self {
        Self {
            spec: spec.clone(),
            states: Vec::new(),
            actions: Vec::new(),
            fired: Vec::new(),
            depth: 0,
            terminal: 0,
            refused: vec![0; S::refusals().len()],
            tallies: vec![Tally::default(); properties],
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            action_numbers: HashMap::new(),
            edge_ends: Vec::new(),
            edges: Vec::new(),
            reached_by: Vec::new(),
        }
    }

    /// Number of edges: enabled (state, action) pairs, self-loops included.
    #[must_use]
    pub fn transitions(&self) -> u64 {
        self.edges.len() as u64
    }

    /// The edges that leave a state.
    #[must_use]
    pub fn edges_of(&self, state: usize) -> &[Edge] {
        let begin = if state == 0 {
            0
        } else {
            self.edge_ends[state - 1]
        };
        &self.edges[begin..self.edge_ends[state]]
    }

    /// The number of a state, if it is reachable.
    #[must_use]
    pub fn find(&self, state: &S::State) -> Option<u32> {
        let hash = self.hasher.hash_one(state);
        self.index
            .find(hash, |&at| self.states[at as usize] == *state)
            .copied()
    }

    /// A shortest path to a state: the number of its initial state, and the actions from there.
    #[must_use]
    pub fn path_to(&self, state: u32) -> (usize, Vec<S::Action>) {
        let mut actions = Vec::new();
        let mut at = state;
        loop {
            let (from, action) = self.reached_by[at as usize];
            if from == INITIAL {
                actions.reverse();
                return (at as usize, actions);
            }
            actions.push(self.actions[usize::from(action)]);
            at = from;
        }
    }

    fn insert(&mut self, state: S::State, reached_by: (u32, u16)) -> u32 {
        let hash = self.hasher.hash_one(state);
        let (states, hasher) = (&mut self.states, &self.hasher);
        if let Some(&at) = self.index.find(hash, |&at| states[at as usize] == state) {
            return at;
        }
        let number = u32::try_from(states.len()).expect("Bounds::states keeps numbers in 32 bits");
        states.push(state);
        self.reached_by.push(reached_by);
        self.index
            .insert_unique(hash, number, |&at| hasher.hash_one(states[at as usize]));
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

    fn judge_state(&mut self, watched: &Watched<S>, number: u32) {
        let state = self.states[number as usize];
        for &(at, holds) in &watched.always {
            self.tallies[at].count(holds(&self.spec, &state), || (number, None));
        }
        for &(at, seen) in &watched.sometimes {
            let verdict = Verdict::implies(seen(&self.spec, &state), || true);
            self.tallies[at].count(verdict, || (number, None));
        }
    }

    fn judge_call(&mut self, watched: &Watched<S>, from: u32, step: &Step<'_, S>) {
        let granted = step.after.is_ok();
        let edges = if granted {
            watched.step.as_slice()
        } else {
            &[]
        };
        for &(at, holds) in watched.call.iter().chain(edges) {
            let verdict = holds(&self.spec, step);
            let action = (verdict == Verdict::Falls).then(|| self.number_of(step.action));
            self.tallies[at].count(verdict, || (from, action));
        }
        let witnesses = if granted {
            watched.sometimes_step.as_slice()
        } else {
            &[]
        };
        for &(at, seen) in witnesses {
            let verdict = Verdict::implies(seen(&self.spec, step), || true);
            self.tallies[at].count(verdict, || (from, None));
        }
    }

    fn expand(&mut self, watched: &Watched<S>, from: u32, calls: &mut Vec<S::Action>) {
        let before = self.states[from as usize];
        let first_edge = self.edges.len();
        calls.clear();
        self.spec.calls(&before, calls);
        for &action in calls.iter() {
            match self.spec.guard(&before, action) {
                Ok(()) => {
                    let (after, outputs) = self.spec.apply(&before, action);
                    let number = self.number_of(action);
                    self.fired[usize::from(number)] += 1;
                    let to = self.insert(after, (from, number));
                    self.edges.push(Edge { action: number, to });
                    let outputs = Some(&outputs);
                    let step = Step {
                        before: &before,
                        action,
                        after: Ok(&after),
                        outputs,
                    };
                    self.judge_call(watched, from, &step);
                }
                Err(refusal) => {
                    self.refused[S::refusal_index(&refusal)] += 1;
                    let step = Step {
                        before: &before,
                        action,
                        after: Err(refusal),
                        outputs: None,
                    };
                    self.judge_call(watched, from, &step);
                }
            }
        }
        self.edge_ends.push(self.edges.len());
        self.terminal += u64::from(self.edges.len() == first_edge);
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
    let mut graph = Graph::empty(spec, properties.len());
    for (_, state) in spec.initial() {
        graph.insert(state, (INITIAL, 0));
    }
    let mut calls = Vec::new();
    let mut next = 0;
    let mut level_end = graph.states.len();
    while next < graph.states.len() {
        if next == level_end {
            graph.depth += 1;
            level_end = graph.states.len();
        }
        let number = u32::try_from(next).expect("Bounds::states keeps numbers in 32 bits");
        graph.judge_state(&watched, number);
        if done(&graph) {
            return Ok(graph);
        }
        graph.expand(&watched, number, &mut calls);
        if done(&graph) {
            return Ok(graph);
        }
        if graph.states.len() > bounds.states.min(INITIAL as usize - 1) {
            return Err(OutOfBounds {
                states: graph.states.len(),
            });
        }
        next += 1;
    }
    Ok(graph)
}
