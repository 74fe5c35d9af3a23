//! Symmetry: where some things of an instance are alike, states that differ in their names alone are
//! one *orbit*, and one state of each orbit stands for all of it.
//!
//! The graph is walked a second time by such representatives only. If the specification is as
//! symmetric as it says, the sizes of the orbits add up to all states, and what leaves a
//! representative, taken as often as its orbit is large, adds up to all transitions: exactly those
//! that were counted without any symmetry. A specification that treats one of the alike differently
//! does not come out even.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::codes::Codes;
use super::{Graph, Spec};

/// What came out of the walk by representatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SymmetryRow {
    /// In how many ways names can be given, the usual one included.
    pub renamings: u64,
    /// Orbits: states that were walked.
    pub orbits: u64,
    /// The sum of the orbits' sizes.
    pub states: u64,
    /// The sum of what leaves each representative, times the size of its orbit.
    pub transitions: u64,
    /// Whether these are the states and transitions of the whole graph.
    pub exact: bool,
}

/// Walks the graph of a specification again, by representatives; none where nothing is alike.
pub(super) fn orbits<S: Spec>(graph: &Graph<S>) -> Option<SymmetryRow> {
    let spec = &graph.spec;
    if spec.symmetries() == 0 {
        return None;
    }
    let mut orbits = Orbits {
        spec,
        known: Codes::new(),
        frontier: VecDeque::new(),
        codes: vec![Vec::new(); spec.symmetries() + 1],
        states: 0,
    };
    for (_, state) in spec.initial() {
        orbits.reach(&state);
    }
    let mut transitions = 0;
    let mut calls = Vec::new();
    while let Some((state, size)) = orbits.frontier.pop_front() {
        calls.clear();
        spec.calls(&state, &mut calls);
        for &call in &calls {
            if spec.guard(&state, call).is_ok() {
                transitions += size;
                orbits.reach(&spec.apply(&state, call).0);
            }
        }
    }
    let (states, all) = (orbits.states, (graph.len() as u64, graph.transitions()));
    Some(SymmetryRow {
        renamings: spec.symmetries() as u64 + 1,
        orbits: orbits.known.len() as u64,
        states,
        transitions,
        exact: (states, transitions) == all,
    })
}

struct Orbits<'a, S: Spec> {
    spec: &'a S,
    known: Codes,
    /// Representatives that are still to be walked, each with the size of its orbit.
    frontier: VecDeque<(S::State, u64)>,
    /// The codes of one state under every renaming.
    codes: Vec<Vec<u8>>,
    states: u64,
}

impl<S: Spec> Orbits<'_, S> {
    fn name(&self, state: &S::State, renaming: usize) -> S::State {
        match renaming {
            0 => *state,
            _ => self.spec.renamed(state, renaming - 1),
        }
    }

    /// Puts down the representative of a state, the one with the least code, if it is new.
    fn reach(&mut self, state: &S::State) {
        for renaming in 0..self.codes.len() {
            let named = self.name(state, renaming);
            self.codes[renaming].clear();
            self.spec.encode(&named, &mut self.codes[renaming]);
        }
        let least = (0..self.codes.len()).min_by_key(|&renaming| &self.codes[renaming]);
        let least = least.expect("a state has its own name at least");
        let code = &self.codes[least];
        if self.known.insert(|bytes| bytes.extend_from_slice(code)).1 {
            let representative = self.name(state, least);
            self.codes.sort_unstable();
            let alike = self.codes.windows(2).filter(|pair| pair[0] == pair[1]);
            let size = (self.codes.len() - alike.count()) as u64;
            self.states += size;
            self.frontier.push_back((representative, size));
        }
    }
}
