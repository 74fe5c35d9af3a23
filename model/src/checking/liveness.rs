//! Liveness on the exact graph: what can still be reached, from everywhere, when nothing fails
//! any more.
//!
//! stateright's `eventually` misses violations at joins and on cycles, so it is not used. The
//! claim here is existential (a goal *can* be reached by actions that are no faults); it finds
//! every dead end and every trap.

use super::graph::Tally;
use super::{Check, Graph, Property, Spec};

/// What liveness is judged of: for each claim and subject, which states satisfy the antecedent and
/// which the goal. It is looked at while the values of the states are at hand.
pub(super) struct Outlook {
    claims: Vec<Claim>,
}

struct Claim {
    property: usize,
    subject: usize,
    /// By state.
    from: Vec<bool>,
    to: Vec<bool>,
}

impl Outlook {
    /// Of the liveness claims among `properties`.
    pub(super) fn of<S: Spec>(properties: &[Property<S>]) -> Self {
        let mut claims = Vec::new();
        for (property, claimed) in properties.iter().enumerate() {
            if let Check::Leads { subjects, .. } = claimed.check {
                claims.extend((0..subjects).map(|subject| Claim {
                    property,
                    subject,
                    from: Vec::new(),
                    to: Vec::new(),
                }));
            }
        }
        Self { claims }
    }

    /// Looks at the next state for all subjects of a claim: whether it satisfies the antecedent,
    /// and whether the goal.
    pub(super) fn look(&mut self, property: usize, seen: impl Fn(usize) -> (bool, bool)) {
        for claim in (self.claims.iter_mut()).filter(|claim| claim.property == property) {
            let (from, to) = seen(claim.subject);
            claim.from.push(from);
            claim.to.push(to);
        }
    }

    /// What it takes of memory, room for growth included.
    pub(super) fn memory(&self) -> usize {
        self.claims
            .iter()
            .map(|claim| claim.from.capacity() + claim.to.capacity())
            .sum()
    }
}

impl<S: Spec> Graph<S> {
    /// Judges the liveness claims, once the graph is complete.
    pub(super) fn judge_liveness(&mut self) {
        let fault: Vec<bool> = self
            .actions
            .iter()
            .map(|&a| self.spec.is_fault(a))
            .collect();
        for claim in &self.outlook.claims {
            let can = self.can_reach(&claim.to, &fault);
            let tally = &mut self.tallies[claim.property];
            tally.judge_lasting(&claim.from, &can);
        }
    }

    /// For every state, whether a goal can be reached from it without a fault.
    fn can_reach(&self, goal: &[bool], fault: &[bool]) -> Vec<bool> {
        let mut can = goal.to_vec();
        // Sweeps against the order of discovery settle nearly everything at once; they are
        // repeated until one of them changes nothing.
        loop {
            let mut changed = false;
            for state in (0..can.len()).rev() {
                let now = can[state]
                    || self
                        .edges_of(state)
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

impl Tally {
    fn judge_lasting(&mut self, from: &[bool], can: &[bool]) {
        self.evaluations += from.len() as u64;
        for (number, _) in (0..).zip(from).filter(|(_, from)| **from) {
            self.non_vacuous += 1;
            if !can[number as usize] && self.fall.is_none() {
                self.fall = Some((number, None));
            }
        }
    }
}
