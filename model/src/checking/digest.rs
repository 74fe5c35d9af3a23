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
        let texts: Vec<String> = self.actions.iter().map(action_text).collect();
        let mut by_text: Vec<u16> = (0..).take(texts.len()).collect();
        by_text.sort_unstable_by_key(|&action| texts[usize::from(action)].as_bytes());
        let mut ranks = vec![0u16; texts.len()];
        for (rank, &action) in (0..).zip(&by_text) {
            ranks[usize::from(action)] = rank;
        }

        let mut sha = Sha256::new();
        sha.update(b"holdfast-graph-1\n");
        let mut bytes = Vec::new();
        let mut edges = Vec::new();
        for state in self.codes.ascending() {
            edges.clear();
            edges.extend(self.edges_of(state as usize));
            edges.sort_unstable_by_key(|edge| ranks[usize::from(edge.action)]);
            bytes.clear();
            self.codes.read(state, &mut bytes);
            bytes.extend_from_slice(&(edges.len() as u32).to_le_bytes());
            for edge in &edges {
                let text = texts[usize::from(edge.action)].as_bytes();
                bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
                bytes.extend_from_slice(text);
                self.codes.read(edge.to, &mut bytes);
            }
            sha.update(&bytes);
        }
        sha.finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}
