//! Why a node does not do what it was asked: for people and for programs alike.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::authority::AuthorityError;

/// A refusal. Nothing was done, unless it says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// What kind of refusal it is.
    pub kind: ProblemKind,
    /// What is wrong, where, and what to do about it.
    pub what: String,
}

/// The kinds of refusals, each with its HTTP status and the exit code of the command that met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The request contradicts itself or cannot be understood: 400, exit code 2.
    Invalid,
    /// Whoever asks may not ask that: 403, exit code 1.
    Forbidden,
    /// There is no such thing: 404, exit code 1.
    NotFound,
    /// The state of the volume or the node does not allow it: 409, exit code 1.
    Refused,
    /// The request is larger than any that is taken: 413, exit code 2.
    TooLarge,
    /// The node needs somebody who does not answer: 503, exit code 3.
    Unavailable,
}

impl ProblemKind {
    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Refused => 409,
            Self::TooLarge => 413,
            Self::Unavailable => 503,
        }
    }
}

impl Problem {
    pub(crate) fn new(kind: ProblemKind, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { kind, what }
    }

    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::new(ProblemKind::Invalid, what)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Problem {}

/// What a part of a node says no to is a matter of its state.
impl From<String> for Problem {
    fn from(what: String) -> Self {
        Self::new(ProblemKind::Refused, what)
    }
}

impl From<AuthorityError> for Problem {
    fn from(error: AuthorityError) -> Self {
        let kind = match &error {
            AuthorityError::UnknownVolume { .. } => ProblemKind::NotFound,
            AuthorityError::Unreachable { .. } => ProblemKind::Unavailable,
            AuthorityError::AlreadyExists { .. }
            | AuthorityError::Conflict { .. }
            | AuthorityError::Refused { .. }
            | AuthorityError::LeaseHeld { .. }
            | AuthorityError::NoLease { .. }
            | AuthorityError::Storage { .. } => ProblemKind::Refused,
        };
        Self::new(kind, error.to_string())
    }
}
