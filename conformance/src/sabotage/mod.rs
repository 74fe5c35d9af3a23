//! Sabotages: the product broken on purpose, to show that the tests can fail.
//!
//! For each patch of the catalogue ([`patch`]) the runner applies it to a scratch copy of the
//! workspace ([`scratch`]), builds, and runs what the patch says must fall ([`build`]). Every check
//! is first run on the unbroken copy, where it must pass; a patch that does not apply or does not
//! build counts as a failure of the patch, never as one that was caught.
//!
//! The product carries no switch for any of this.

pub mod build;
pub mod patch;
pub mod scratch;

use std::collections::BTreeSet;
use std::time::Instant;

use serde::{Deserialize, Serialize};

pub use build::Verdict;
pub use patch::{Check, Sabotage};
pub use scratch::{Applied, Scratch};

use crate::environment::Environment;

/// What became of one patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// What had to fall fell.
    Caught,
    /// The check passed on the broken product: the check is blind, or the patch breaks nothing.
    Survived,
    /// The patch does not fit the sources any more.
    DoesNotApply,
    /// The broken product does not compile, so nothing was shown.
    DoesNotBuild,
    /// The check did not come to an end.
    TimedOut,
    /// The check selects no test.
    NothingToRun,
}

/// One row of the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The row of the failure catalogue.
    pub id: String,
    /// The patch.
    pub name: String,
    /// What it breaks.
    pub breaks: String,
    /// What had to fall.
    pub caught_by: String,
    /// Whether it fell.
    pub caught: bool,
    /// Why, or why not.
    pub outcome: Outcome,
    /// Apply, build and run, in seconds.
    pub seconds: f64,
    /// The end of what the tools said.
    #[serde(skip)]
    pub said: String,
}

/// Runs the checks of all `sabotages` on the unbroken copy.
///
/// # Errors
/// [`Environment::Baseline`] when one does not pass there; [`Environment`] when it cannot be run.
pub fn prove_baseline(scratch: &Scratch, sabotages: &[Sabotage]) -> Result<(), Environment> {
    let checks: BTreeSet<&Check> = sabotages.iter().map(|s| &s.caught_by).collect();
    for check in checks {
        let what = match build::run(scratch, check)? {
            Verdict::Passed => continue,
            Verdict::Fell(said) => said,
            Verdict::NotBuilt(said) => format!("it does not build: {said}"),
            Verdict::NothingToRun => "it selects no test".to_owned(),
            Verdict::TimedOut => "it does not end".to_owned(),
        };
        return Err(Environment::Baseline {
            check: check.to_string(),
            what,
        });
    }
    Ok(())
}

/// Breaks the copy by one patch, runs what must fall, and mends the copy.
///
/// # Errors
/// [`Environment`] when a tool cannot be run.
pub fn run(scratch: &Scratch, sabotage: &Sabotage) -> Result<Row, Environment> {
    let began = Instant::now();
    let (outcome, said) = match scratch.apply(sabotage, false) {
        Ok(Applied::No(said)) => (Outcome::DoesNotApply, said),
        Ok(Applied::Yes) => match build::run(scratch, &sabotage.caught_by) {
            Ok(verdict) => judge(verdict),
            Err(error) => {
                scratch.restore(sabotage)?;
                return Err(error);
            }
        },
        Err(error) => return Err(error),
    };
    scratch.restore(sabotage)?;
    Ok(Row {
        id: sabotage.id.clone(),
        name: sabotage.name.clone(),
        breaks: sabotage.breaks.clone(),
        caught_by: sabotage.caught_by.to_string(),
        caught: outcome == Outcome::Caught,
        outcome,
        seconds: began.elapsed().as_secs_f64(),
        said,
    })
}

fn judge(verdict: Verdict) -> (Outcome, String) {
    match verdict {
        Verdict::Fell(said) => (Outcome::Caught, said),
        Verdict::Passed => (Outcome::Survived, String::new()),
        Verdict::NotBuilt(said) => (Outcome::DoesNotBuild, said),
        Verdict::NothingToRun => (Outcome::NothingToRun, String::new()),
        Verdict::TimedOut => (Outcome::TimedOut, String::new()),
    }
}
