//! Product and reference, measured in turns: what disturbs the machine for a while disturbs both.

use std::path::PathBuf;
use std::time::Duration;

use crate::failure::Failure;

/// How large and how long a run is.
#[derive(Clone, Debug)]
pub(super) struct Effort {
    /// Where the files go.
    pub(super) directory: PathBuf,
    /// How long one measurement takes.
    pub(super) time: Duration,
    /// How often each side is measured.
    pub(super) rounds: usize,
    /// Whether volumes are so small that every case runs in a moment, and means nothing.
    pub(super) tiny: bool,
}

impl Effort {
    /// A size in bytes, or a small one for a run that means nothing.
    pub(super) const fn bytes(&self, bytes: u64, tiny: u64) -> u64 {
        if self.tiny { tiny } else { bytes }
    }

    /// Measures both sides in turns, and returns what each said in every round.
    pub(super) fn rounds<P, R>(
        &self,
        mut product: impl FnMut(Duration) -> Result<P, Failure>,
        mut reference: impl FnMut(Duration) -> Result<R, Failure>,
    ) -> Result<(Vec<P>, Vec<R>), Failure> {
        let mut products = Vec::new();
        let mut references = Vec::new();
        for round in 0..self.rounds {
            // Neither side is always the one that finds what the other left.
            if round % 2 == 0 {
                references.push(reference(self.time)?);
                products.push(product(self.time)?);
            } else {
                products.push(product(self.time)?);
                references.push(reference(self.time)?);
            }
        }
        Ok((products, references))
    }
}

/// One figure of every round.
pub(super) fn each<T>(rounds: &[T], figure: impl Fn(&T) -> f64) -> Vec<f64> {
    rounds.iter().map(figure).collect()
}
