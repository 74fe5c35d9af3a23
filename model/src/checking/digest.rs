//! The digest of a graph: what an independent implementation must reproduce to show that it
//! explored the same graph.
//!
//! SHA-256 over the text `holdfast-graph-2\n`; the number of actions (4 bytes, as all numbers
//! little-endian) that are enabled anywhere; for each of them, in ascending order of its canonical text, the length of
//! the text (2 bytes) and the text; and then, for every state in ascending order of its code: the
//! code; the number of its edges (4 bytes); and for every edge in ascending order of its action: the
//! action's place among the actions (2 bytes) and the place among the states of the one that it leads
//! to (4 bytes). Places count from 0.

use sha2::{Digest, Sha256};

use super::{Graph, Spec, action_text};

impl<S: Spec> Graph<S> {
    /// The length of every state's code, in bytes.
    #[must_use]
    pub const fn code_bytes(&self) -> usize {
        self.codes.length()
    }

    /// What a state's code is kept as, in bytes: codes have parts in common, which are kept once.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        self.codes.kept().div_ceil(self.len().max(1))
    }

    /// The digest of the graph as 64 hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> String {
        let fired = |&action: &u16| self.fired[usize::from(action)] > 0;
        let texts: Vec<String> = self.actions.iter().map(action_text).collect();
        let mut actions: Vec<u16> = (0..).take(texts.len()).filter(fired).collect();
        actions.sort_unstable_by_key(|&action| texts[usize::from(action)].as_bytes());
        let mut sha = Sha256::new();
        sha.update(b"holdfast-graph-2\n");
        sha.update((actions.len() as u32).to_le_bytes());
        let mut place_of_action = vec![0u16; texts.len()];
        for (place, &action) in (0..).zip(&actions) {
            let text = texts[usize::from(action)].as_bytes();
            sha.update((text.len() as u16).to_le_bytes());
            sha.update(text);
            place_of_action[usize::from(action)] = place;
        }

        let states = self.codes.ascending();
        let mut place_of_state = vec![0u32; states.len()];
        for (place, &state) in (0..).zip(&states) {
            place_of_state[state as usize] = place;
        }
        let mut bytes = Vec::new();
        let mut edges = Vec::new();
        for &state in &states {
            edges.clear();
            edges.extend(self.edges_of(state as usize).map(|edge| {
                let action = place_of_action[usize::from(edge.action)];
                (action, place_of_state[edge.to as usize])
            }));
            edges.sort_unstable();
            bytes.clear();
            self.codes.read(state, &mut bytes);
            bytes.extend_from_slice(&(edges.len() as u32).to_le_bytes());
            for (action, to) in &edges {
                bytes.extend_from_slice(&action.to_le_bytes());
                bytes.extend_from_slice(&to.to_le_bytes());
            }
            sha.update(&bytes);
        }
        sha.finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}
