//! Liveness on the exact graph: what can still be reached, from everywhere, when nothing fails
//! any more.
//!
//! stateright's `eventually` misses violations at joins and on cycles, so it is not used. The
//! claim here is existential (a goal *can* be reached by actions that are no faults); it finds
//! every dead end and every trap.

use super::graph::Tally;
use super::{Check, Graph, Property, Spec};

impl<S: Spec> Graph<S> {
    /// Judges the liveness claims, once the graph is complete: each with the place of its
    /// property.
    pub(super) fn judge_liveness(&self, properties: &[Property<S>]) -> Vec<(usize, Tally)> {
        let mut tallies = Vec::new();
        for (at, property) in properties.iter().enumerate() {
            if let Check::Leads { subjects, from, to } = property.check {
                let mut tally = Tally::default();
                for subject in 0..subjects {
                    let can = self.can_reach(|state| to(&self.spec, state, subject));
                    for (number, state) in self.states.iter().enumerate() {
                        tally.evaluations += 1;
                        if from(&self.spec, state, subject) {
                            tally.non_vacuous += 1;
                            if !can[number] && tally.fall.is_none() {
                                tally.fall = Some((number as u32, None));
                            }
                        }
                    }
                }
                tallies.push((at, tally));
            }
        }
        tallies
    }

    /// Takes the judgements of [`Graph::judge_liveness`].
    pub(super) fn take_tallies(&mut self, tallies: Vec<(usize, Tally)>) {
        for (at, tally) in tallies {
            self.tallies[at] = tally;
        }
    }

    /// For every state, whether a goal can be reached from it without a fault.
    fn can_reach(&self, goal: impl Fn(&S::State) -> bool) -> Vec<bool> {
        let fault: Vec<bool> = self
            .actions
            .iter()
            .map(|&a| self.spec.is_fault(a))
            .collect();
        let mut can: Vec<bool> = self.states.iter().map(goal).collect();
        // Sweeps against the order of discovery settle nearly everything at once; they are
        // repeated until one of them changes nothing.
        loop {
            let mut changed = false;
            for state in (0..self.states.len()).rev() {
                let now = can[state]
                    || self
                        .edges_of(state)
                        .iter()
                        .any(|e| can[e.to as usize] && !fault[usize::from(e.action)]);
                changed |= now != can[state];
                can[state] = now;
            }
            if !changed {
                return can;
            }
        }
    }
}
