//! How a demo ends that does not end well.

use holdfast_types::ReplicaId;

use super::image::ImageError;
use crate::failure;
use crate::nbd::ClientError;
use crate::runtime::ControlError;

/// Why the demo has no good verdict.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// `--image` names nothing that can be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The world around: no port, no directory, no process.
    #[error("{0}")]
    Environment(String),
    /// Something that should have happened did not.
    #[error("{0}")]
    Step(String),
    /// A node, or the authority, refused or did not answer.
    #[error("a request was not carried out: {0}")]
    Control(#[from] ControlError),
    /// The volume, as a block device, did not do what it was asked.
    #[error("{doing}: {source}")]
    Device {
        /// What it was asked.
        doing: String,
        /// What it answered.
        source: ClientError,
    },
    /// A copy does not hold what was acknowledged.
    #[error(
        "{copy} is not what was acknowledged: {blocks} blocks differ, the first is block {first}"
    )]
    Differs {
        /// Which copy.
        copy: String,
        /// How many blocks.
        blocks: u64,
        /// The first of them.
        first: u64,
    },
    /// A copy at rest is not as a copy that was closed cleanly should be.
    #[error("the store of {replica} at rest: {what}")]
    AtRest {
        /// Whose store.
        replica: ReplicaId,
        /// What is wrong with it.
        what: String,
    },
    /// Ctrl-C, or SIGTERM.
    #[error("interrupted")]
    Interrupted,
}

/// The command's exit code follows: 1 a finding, 2 usage, 3 environment.
impl From<Failure> for failure::Failure {
    fn from(failure: Failure) -> Self {
        let message = failure.to_string();
        match failure {
            Failure::Step(_)
            | Failure::Control(_)
            | Failure::Device { .. }
            | Failure::Differs { .. }
            | Failure::AtRest { .. }
            | Failure::Interrupted => Self::Finding(message),
            Failure::Image(_) => Self::Usage(message),
            Failure::Environment(_) => Self::Environment(message),
        }
    }
}
