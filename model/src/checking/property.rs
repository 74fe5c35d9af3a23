//! What is claimed of a specification, in five kinds.
//!
//! Every claim counts how often it was judged and how often its antecedent held. A claim whose
//! antecedent never held has shown nothing: it is VACUOUS, which is a finding, not a pass.

use serde::Serialize;

use super::Spec;

/// What a property says of one state, step or call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The antecedent does not hold; nothing is claimed.
    Vacuous,
    /// The antecedent holds, and so does the property.
    Holds,
    /// The property is false.
    Falls,
}

impl Verdict {
    /// `antecedent` implies `consequent`.
    #[must_use]
    pub fn implies(antecedent: bool, consequent: impl FnOnce() -> bool) -> Self {
        if !antecedent {
            Self::Vacuous
        } else if consequent() {
            Self::Holds
        } else {
            Self::Falls
        }
    }

    /// Both verdicts at once: falls if either falls, is vacuous only if both are.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Falls, _) | (_, Self::Falls) => Self::Falls,
            (Self::Holds, _) | (_, Self::Holds) => Self::Holds,
            (Self::Vacuous, Self::Vacuous) => Self::Vacuous,
        }
    }
}

/// One call that was asked for: where, what, and what became of it.
pub struct Step<'a, S: Spec> {
    /// The state in which it was asked for.
    pub before: &'a S::State,
    /// The call.
    pub action: S::Action,
    /// The state after it, or why it was refused (and nothing changed).
    pub after: Result<&'a S::State, S::Refusal>,
    /// What it told the world, if it was granted.
    pub outputs: Option<&'a S::Outputs>,
}

/// The predicate of a property, by its kind.
pub enum Check<S: Spec> {
    /// Of every state.
    Always(fn(&S, &S::State) -> Verdict),
    /// Of every edge: calls that were granted.
    Step(fn(&S, &Step<'_, S>) -> Verdict),
    /// Of every call that can be asked for, the refused ones included.
    Call(fn(&S, &Step<'_, S>) -> Verdict),
    /// A witness: a state like this must exist.
    Sometimes(fn(&S, &S::State) -> bool),
    /// A witness: an edge like this must exist.
    SometimesStep(fn(&S, &Step<'_, S>) -> bool),
    /// A witness: some call must be refused for this reason.
    Refused(&'static str),
    /// Liveness: from every state that satisfies `from`, a state that satisfies `to` can be
    /// reached by actions that are no faults. Judged for each of `subjects` things apart.
    Leads {
        /// How many things (senders, say) the claim is made for.
        subjects: usize,
        /// The antecedent, for one of them.
        from: fn(&S, &S::State, usize) -> bool,
        /// The goal, for the same one.
        to: fn(&S, &S::State, usize) -> bool,
    },
}

/// A named claim.
pub struct Property<S: Spec> {
    /// The truth of `docs/protocol.md` that it is a part of, or what a witness shows.
    pub name: &'static str,
    /// The claim in a sentence.
    pub says: &'static str,
    /// Its predicate.
    pub check: Check<S>,
}

/// The kind of a property, as reports name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Of every state.
    Always,
    /// Of every edge.
    Step,
    /// Of every call, refused ones included.
    Call,
    /// A witness.
    Sometimes,
    /// Liveness.
    Leads,
}

impl<S: Spec> Property<S> {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self.check {
            Check::Always(_) => Kind::Always,
            Check::Step(_) => Kind::Step,
            Check::Call(_) => Kind::Call,
            Check::Sometimes(_) | Check::SometimesStep(_) | Check::Refused(_) => Kind::Sometimes,
            Check::Leads { .. } => Kind::Leads,
        }
    }

    /// Whether it is claimed of every state, and false in this one.
    pub fn falls_in(&self, spec: &S, state: &S::State) -> bool {
        match self.check {
            Check::Always(holds) => holds(spec, state) == Verdict::Falls,
            Check::Step(_)
            | Check::Call(_)
            | Check::Sometimes(_)
            | Check::SometimesStep(_)
            | Check::Refused(_)
            | Check::Leads { .. } => false,
        }
    }

    /// Whether it is claimed of every call, or of every granted one, and false of this one.
    pub fn falls_by(&self, spec: &S, step: &Step<'_, S>) -> bool {
        match self.check {
            Check::Step(holds) => step.after.is_ok() && holds(spec, step) == Verdict::Falls,
            Check::Call(holds) => holds(spec, step) == Verdict::Falls,
            Check::Always(_)
            | Check::Sometimes(_)
            | Check::SometimesStep(_)
            | Check::Refused(_)
            | Check::Leads { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict;

    #[test]
    fn a_false_antecedent_claims_nothing_even_if_the_consequent_holds() {
        assert_eq!(Verdict::implies(false, || true), Verdict::Vacuous);
        assert_eq!(Verdict::implies(true, || true), Verdict::Holds);
        assert_eq!(Verdict::implies(true, || false), Verdict::Falls);
    }

    #[test]
    fn a_fall_is_never_hidden_by_the_other_half() {
        use Verdict::{Falls, Holds, Vacuous};
        assert_eq!(Falls.and(Holds), Falls);
        assert_eq!(Vacuous.and(Falls), Falls);
        assert_eq!(Vacuous.and(Holds), Holds);
        assert_eq!(Vacuous.and(Vacuous), Vacuous);
    }
}
