//! `holdfast-model twins`: four checkers, one count.

use clap::Args;
use holdfast_model::twins::{BROKEN, Broken, Twin, TwinError, TwinRow, disagreements, twin, twins};

use super::{Failure, as_json, line};

#[derive(Args)]
pub(super) struct TwinArgs {
    /// Every twin, those that take minutes included.
    #[arg(long)]
    full: bool,
    /// One object per line on standard output.
    #[arg(long)]
    json: bool,
    /// Instead, breaks rules of the twins: each property must fall, and as soon as it should.
    #[arg(long, conflicts_with = "full")]
    broken: bool,
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

fn tell(row: TwinRow, json: bool, all: &mut Vec<TwinRow>) -> Result<(), Failure> {
    line(&if json {
        as_json(&row)?
    } else {
        row.to_string()
    })?;
    all.push(row);
    Ok(())
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
        if arguments.broken {
            let of_twin = |broken: &&Broken| broken.instance == twin.instance;
            for broken in BROKEN.iter().filter(of_twin) {
                tell(twin.breaks(broken)?, arguments.json, &mut all)?;
            }
        } else {
            for row in twin.rows()? {
                tell(row, arguments.json, &mut all)?;
            }
        }
    }
    let wrong = disagreements(&all);
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Failure::Findings(wrong))
    }
}
