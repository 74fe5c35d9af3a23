//! What a benchmark says: one row for one figure, with what it is compared with and what it should
//! reach.

use serde::{Deserialize, Serialize};

/// Which way a figure improves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Better {
    /// Throughput.
    Higher,
    /// Times, sizes, costs.
    Lower,
}

impl Better {
    /// The best of some repeats: on a shared machine whatever else runs only makes figures worse.
    fn best(self, figures: &[f64]) -> Option<f64> {
        figures.iter().copied().reduce(match self {
            Self::Higher => f64::max,
            Self::Lower => f64::min,
        })
    }
}

/// What a figure should reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Target {
    /// So much of the reference, or better.
    Ratio(f64),
    /// The figure itself, or better.
    Value(f64),
    /// Either is enough.
    ValueOrRatio(f64, f64),
}

impl Target {
    fn text(self, better: Better) -> String {
        let sign = match better {
            Better::Higher => ">=",
            Better::Lower => "<=",
        };
        match self {
            Self::Ratio(ratio) => format!("ratio {sign} {ratio}"),
            Self::Value(value) => format!("value {sign} {value}"),
            Self::ValueOrRatio(value, ratio) => {
                format!("value {sign} {value} or ratio {sign} {ratio}")
            }
        }
    }

    /// Whether it is reached; `None` when that cannot be said for want of a reference.
    fn is_met(self, better: Better, value: f64, ratio: Option<f64>) -> Option<bool> {
        let reaches = |found: f64, wanted: f64| match better {
            Better::Higher => found >= wanted,
            Better::Lower => found <= wanted,
        };
        match self {
            Self::Ratio(wanted) => ratio.map(|ratio| reaches(ratio, wanted)),
            Self::Value(wanted) => Some(reaches(value, wanted)),
            Self::ValueOrRatio(by_value, by_ratio) => match ratio {
                _ if reaches(value, by_value) => Some(true),
                Some(ratio) => Some(reaches(ratio, by_ratio)),
                None => None,
            },
        }
    }
}

/// What was measured: the same figure of the product and of its reference, once for each round.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    /// The product's, at least one.
    pub(super) product: Vec<f64>,
    /// The reference's; empty when there is none, or when it is missing here.
    pub(super) reference: Vec<f64>,
}

/// One row. The names are those of the JSON output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    /// Which figure.
    pub(super) case: String,
    /// The product's best.
    pub(super) value: f64,
    /// Of `value` and `reference_value`.
    pub(super) unit: String,
    /// Which way it improves.
    pub(super) better: Better,
    /// What `ratio` compares with; `None` when the target is absolute and nothing is compared.
    pub(super) reference: Option<String>,
    /// The reference's best; `None` when it is missing here, and `note` says why.
    pub(super) reference_value: Option<f64>,
    /// `value / reference_value`.
    pub(super) ratio: Option<f64>,
    /// What to reach.
    pub(super) target: String,
    /// Whether it is reached; `None` when that cannot be told for want of the reference.
    pub(super) met: Option<bool>,
    /// What a reader must know beside the figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
}

/// What a row is about, before anything is measured.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// Which figure.
    pub(super) case: String,
    /// Its unit.
    pub(super) unit: &'static str,
    /// Which way it improves.
    pub(super) better: Better,
    /// What it is compared with.
    pub(super) reference: Option<&'static str>,
    /// What to reach.
    pub(super) target: Target,
}

impl Subject {
    /// The row of these figures.
    pub(super) fn row(self, figures: &Figures) -> Row {
        let value = self.better.best(&figures.product).unwrap_or(f64::NAN);
        let reference_value = self.better.best(&figures.reference);
        let ratio = reference_value.map(|reference| value / reference);
        Row {
            value: rounded(value),
            reference_value: reference_value.map(rounded),
            ratio: ratio.map(rounded),
            target: self.target.text(self.better),
            met: self.target.is_met(self.better, value, ratio),
            case: self.case,
            unit: self.unit.to_owned(),
            better: self.better,
            reference: self.reference.map(str::to_owned),
            note: None,
        }
    }
}

impl Row {
    /// The same row with a remark.
    pub(super) fn with_note(self, note: impl Into<String>) -> Self {
        Self {
            note: Some(note.into()),
            ..self
        }
    }
}

/// Four significant digits: more than repeats agree on.
fn rounded(figure: f64) -> f64 {
    if figure == 0.0 || !figure.is_finite() {
        return figure;
    }
    let digits = 3 - figure.abs().log10().floor() as i32;
    let scale = 10_f64.powi(digits);
    (figure * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::{Better, Figures, Subject, Target, rounded};

    fn subject(better: Better, target: Target) -> Subject {
        Subject {
            case: "some".into(),
            unit: "op/s",
            better,
            reference: Some("raw"),
            target,
        }
    }

    fn figures(product: &[f64], reference: &[f64]) -> Figures {
        Figures {
            product: product.to_vec(),
            reference: reference.to_vec(),
        }
    }

    #[test]
    fn the_best_round_of_either_side_counts() {
        let row = subject(Better::Higher, Target::Ratio(0.9))
            .row(&figures(&[80.0, 95.0], &[100.0, 90.0]));
        assert_eq!((row.value, row.reference_value), (95.0, Some(100.0)));
        assert_eq!((row.ratio, row.met), (Some(0.95), Some(true)));
        let row = subject(Better::Lower, Target::Ratio(2.0)).row(&figures(&[80.0, 95.0], &[39.0]));
        assert_eq!((row.value, row.met), (80.0, Some(false)));
    }

    #[test]
    fn a_ratio_without_its_reference_is_neither_met_nor_missed() {
        let row = subject(Better::Higher, Target::Ratio(0.9)).row(&figures(&[5.0], &[]));
        assert_eq!((row.ratio, row.met), (None, None));
        let either = subject(Better::Higher, Target::ValueOrRatio(4.0, 0.9));
        assert_eq!(either.row(&figures(&[5.0], &[])).met, Some(true));
        let either = subject(Better::Higher, Target::ValueOrRatio(9.0, 0.9));
        assert_eq!(either.row(&figures(&[5.0], &[5.1])).met, Some(true));
    }

    #[test]
    fn figures_keep_four_digits() {
        assert_eq!(rounded(123_456.0), 123_500.0);
        assert_eq!(rounded(0.123_456), 0.1235);
        assert_eq!(rounded(0.0), 0.0);
    }
}
