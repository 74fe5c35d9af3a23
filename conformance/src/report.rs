//! What a level of conformance claims, as one object a line.

use serde::Serialize;

/// The figures of one level, all of them computed in this run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The level, as `L1`.
    pub level: &'static str,
    /// Enabled edges of the specification, `(state, action)` pairs, self-loops included.
    pub edges_total: u64,
    /// Those on which implementation and specification agreed.
    pub edges_covered: u64,
    /// Enabled edges that are moves of what surrounds the implementation: it is told nothing, and what
    /// is seen is that it stays as it is.
    pub edges_of_surroundings: u64,
    /// Enabled edges that the product, driven as a whole, never takes; none where it is the engine alone.
    pub edges_out_of_reach: u64,
    /// Disabled `(state, action)` pairs of the specification: what has to be refused.
    pub disabled_total: u64,
    /// Those that the implementation refused for the same reason, its state unchanged.
    pub disabled_checked: u64,
    /// Pairs of either kind on which the two differed.
    pub disagreements: u64,
    /// States of the implementation that differ although the specification's are one.
    pub hidden_states: u64,
    /// Differences between two values that the comparers were shown and did not see.
    pub blind_spots: u64,
    /// States of the specification, initial ones included.
    pub states: u64,
    /// The instances walked, in order.
    pub instances: Vec<&'static str>,
    /// Wall clock time.
    pub seconds: f64,
}

/// The figures of one instance of a level.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InstanceRow {
    /// The level, as `L1`.
    pub level: &'static str,
    /// The instance.
    pub instance: &'static str,
    /// Enabled edges.
    pub edges_total: u64,
    /// Enabled edges on which the two agreed.
    pub edges_covered: u64,
    /// Enabled edges that are moves of what surrounds the implementation.
    pub edges_of_surroundings: u64,
    /// Disabled pairs.
    pub disabled_total: u64,
    /// Disabled pairs that were refused likewise.
    pub disabled_checked: u64,
    /// Pairs on which the two differed.
    pub disagreements: u64,
    /// States that were reached with two implementations.
    pub hidden_states: u64,
    /// States of the specification.
    pub states: u64,
    /// Wall clock time.
    pub seconds: f64,
}

impl Row {
    /// Whether everything was covered and nothing differed.
    #[must_use]
    pub fn is_green(&self) -> bool {
        self.edges_total > 0
            && self.edges_covered == self.edges_total
            && self.disabled_checked == self.disabled_total
            && self.disagreements == 0
            && self.hidden_states == 0
            && self.blind_spots == 0
    }
}
