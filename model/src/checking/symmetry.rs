//! Symmetry: where some things of an instance are alike, states that differ in their names alone are
//! one *orbit*, and one state of each orbit could stand for all of it.
//!
//! That is judged of the whole graph, not leaned on: every state is renamed in every way and looked
//! up, and what leads on from the renamed state must be what leads on from the state, renamed. Where
//! that is so of every state the renamings are automorphisms of the graph, and a walk by one
//! state of each orbit would miss nothing. A specification that treats one of the alike differently
//! does not come out even.

use serde::{Deserialize, Serialize};

use super::{Graph, Spec};

/// What came out of renaming every state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SymmetryRow {
    /// In how many ways names can be given, the usual one included.
    pub renamings: u64,
    /// Orbits: states that a walk by representatives would visit.
    pub orbits: u64,
    /// The sum of the orbits' sizes.
    pub states: u64,
    /// The sum of what leaves each representative, times the size of its orbit.
    pub transitions: u64,
    /// Whether these are the states and transitions of the whole graph, and every renaming is one of
    /// its automorphisms.
    pub exact: bool,
}

/// No state of the graph.
const NOWHERE: u32 = u32::MAX;

/// The orbits of a whole graph; none where nothing is alike.
pub(super) fn orbits<S: Spec>(graph: &Graph<S>) -> Option<SymmetryRow> {
    let spec = &graph.spec;
    if spec.symmetries() == 0 {
        return None;
    }
    // By renaming and state: what it is called then.
    let mut images = vec![Vec::with_capacity(graph.len()); spec.symmetries()];
    graph.for_each_state(|state| {
        for (symmetry, images) in images.iter_mut().enumerate() {
            let renamed = spec.renamed(state, symmetry);
            images.push(graph.find(&renamed).unwrap_or(NOWHERE));
        }
    });
    let mut row = SymmetryRow {
        renamings: spec.symmetries() as u64 + 1,
        orbits: 0,
        states: 0,
        transitions: 0,
        exact: images.iter().all(|images| is_automorphism(graph, images)),
    };
    let mut alike = Vec::new();
    for state in 0..graph.len() {
        alike.clear();
        alike.push(state as u32);
        alike.extend(images.iter().map(|images| images[state]));
        alike.sort_unstable();
        alike.dedup();
        // The one that was discovered first represents them.
        if alike[0] == state as u32 {
            let size = alike.iter().filter(|&&image| image != NOWHERE).count() as u64;
            row.orbits += 1;
            row.states += size;
            row.transitions += size * graph.edges_of(state).count() as u64;
        }
    }
    row.exact &= (row.states, row.transitions) == (graph.len() as u64, graph.transitions());
    Some(row)
}

/// Whether `images` is a permutation of the states under which the graph is the same.
fn is_automorphism<S: Spec>(graph: &Graph<S>, images: &[u32]) -> bool {
    let mut taken = vec![false; images.len()];
    for &image in images {
        match taken.get_mut(image as usize) {
            Some(taken) if !*taken => *taken = true,
            Some(_) | None => return false,
        }
    }
    let (mut here, mut there) = (Vec::new(), Vec::new());
    images.iter().enumerate().all(|(state, &image)| {
        here.clear();
        here.extend(graph.edges_of(state).map(|edge| images[edge.to as usize]));
        here.sort_unstable();
        there.clear();
        there.extend(graph.edges_of(image as usize).map(|edge| edge.to));
        there.sort_unstable();
        here == there
    })
}
