//! How a command of the binary ends that does not end well, and how one prints its results: the
//! same for commands, benchmarks and the demo.

use crate::runtime::{ControlError, ProblemKind};

/// How a command ended that did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something was found, or refused.
    Finding(String),
    /// Arguments or configuration.
    Usage(String),
    /// The world around.
    Environment(String),
}

impl Failure {
    pub(crate) fn unexpected() -> Self {
        Self::Environment("the node answered something else than was asked".into())
    }

    pub(crate) const fn code(&self) -> u8 {
        match self {
            Self::Finding(_) => 1,
            Self::Usage(_) => 2,
            Self::Environment(_) => 3,
        }
    }

    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Finding(message) | Self::Usage(message) | Self::Environment(message) => message,
        }
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Unreachable { .. } | ControlError::Unexpected { .. } => {
                Self::Environment(error.to_string())
            }
            ControlError::Failed { problem } => match problem.kind {
                ProblemKind::Invalid | ProblemKind::TooLarge => Self::Usage(problem.what),
                ProblemKind::Forbidden | ProblemKind::NotFound | ProblemKind::Refused => {
                    Self::Finding(problem.what)
                }
                ProblemKind::Unavailable => Self::Environment(problem.what),
            },
            ControlError::Authority(_) => Self::Finding(error.to_string()),
        }
    }
}

/// One JSON object on one line of standard output.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let line = serde_json::to_string(value)
        .map_err(|error| Failure::Environment(format!("cannot print: {error}")))?;
    println!("{line}");
    Ok(())
}
