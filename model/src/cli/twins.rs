//! `holdfast-model twins`: four checkers, one count.

use clap::Args;
use holdfast_model::twins::{Twin, TwinError, disagreements, twin, twins};

use super::{Failure, as_json, line};

#[derive(Args)]
pub(super) struct TwinArgs {
    /// Every twin, those that take minutes included.
    #[arg(long)]
    full: bool,
    /// One object per line on standard output.
    #[arg(long)]
    json: bool,
    /// Only the twin of this instance (may be repeated).
    #[arg(long, value_name = "NAME", conflicts_with = "full")]
    instance: Vec<String>,
}

impl From<TwinError> for Failure {
    fn from(error: TwinError) -> Self {
        match error {
            TwinError::UnknownInstance(_) => Self::Usage(error.to_string()),
            TwinError::Missing { .. } | TwinError::Io(_) => Self::Environment(error.to_string()),
            TwinError::Failed { .. } => Self::Findings(vec![error.to_string()]),
            TwinError::Ours(error) => error.into(),
        }
    }
}

/// Runs the twins that were asked for.
pub(super) fn run(arguments: &TwinArgs) -> Result<(), Failure> {
    let wanted: Vec<Twin> = if arguments.instance.is_empty() {
        let chosen = twins().into_iter();
        chosen.filter(|twin| twin.quick || arguments.full).collect()
    } else {
        let named = arguments.instance.iter().map(|name| twin(name));
        named.collect::<Result<_, _>>()?
    };
    let mut all = Vec::new();
    for twin in &wanted {
        let rows = twin.rows()?;
        for row in &rows {
            line(&if arguments.json {
                as_json(row)?
            } else {
                row.to_string()
            })?;
        }
        all.extend(rows);
    }
    let wrong = disagreements(&all);
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Failure::Findings(wrong))
    }
}
