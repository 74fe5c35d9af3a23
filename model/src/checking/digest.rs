//! The digest of a graph: what an independent implementation must reproduce to show that it
//! explored the same graph.
//!
//! SHA-256 over the text `holdfast-graph-1\n` and then, for every state in ascending order of its
//! code: the code; the number of its edges (4 bytes, little-endian); and for every edge in
//! ascending order of the action's canonical text: the length of the text (2 bytes,
//! little-endian), the text, the code of the state that the edge leads to.

use sha2::{Digest, Sha256};

use super::{Graph, Spec, action_text};

impl<S: Spec> Graph<S> {
    /// The length of every state's code, in bytes.
    #[must_use]
    pub fn code_bytes(&self) -> usize {
        let mut code = Vec::new();
        if let Some(state) = self.states.first() {
            self.spec.encode(state, &mut code);
        }
        code.len()
    }

    /// The digest of the graph as 64 hexadecimal digits.
    ///
    /// # Panics
    /// When two codes differ in length or two states share one: a defect of [`Spec::encode`].
    #[must_use]
    pub fn digest(&self) -> String {
        let length = self.code_bytes();
        let mut codes = Vec::with_capacity(length * self.states.len());
        for (number, state) in self.states.iter().enumerate() {
            self.spec.encode(state, &mut codes);
            assert_eq!(
                codes.len(),
                length * (number + 1),
                "codes must have one length"
            );
        }
        let code = |state: u32| &codes[length * state as usize..length * (state as usize + 1)];
        let texts: Vec<String> = self.actions.iter().map(action_text).collect();
        let mut order: Vec<u32> = (0..).take(self.states.len()).collect();
        order.sort_unstable_by(|&a, &b| code(a).cmp(code(b)));
        for pair in order.windows(2) {
            assert_ne!(
                code(pair[0]),
                code(pair[1]),
                "two states must not share a code"
            );
        }

        let mut sha = Sha256::new();
        sha.update(b"holdfast-graph-1\n");
        let mut bytes = Vec::new();
        for state in order {
            let mut edges = self.edges_of(state as usize).to_vec();
            edges.sort_unstable_by_key(|edge| texts[usize::from(edge.action)].as_bytes());
            bytes.clear();
            bytes.extend_from_slice(code(state));
            bytes.extend_from_slice(&(edges.len() as u32).to_le_bytes());
            for edge in edges {
                let text = texts[usize::from(edge.action)].as_bytes();
                bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
                bytes.extend_from_slice(text);
                bytes.extend_from_slice(code(edge.to));
            }
            sha.update(&bytes);
        }
        sha.finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}
