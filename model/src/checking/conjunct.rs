//! The conditions of a specification's guards, each by name, so that each can be deleted alone.
//!
//! A specification asks every condition where it is stated, by its name; a generated mutation gives
//! one of them up there, and nothing else. Most stand in the guard of a call. Some stand within an
//! effect: what a message must be to be taken, what an acknowledgement must be to count.

/// Where a condition is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// In a guard: what it alone stands against is a refused call.
    Guard,
    /// Within what a granted call does (and perhaps in guards too): what it stands against is an
    /// effect.
    Effect,
}

/// One condition of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conjunct {
    /// The call, or the group of calls, whose condition it is.
    pub guard: &'static str,
    /// What must be so.
    pub says: &'static str,
    /// Where it is asked.
    pub part: Part,
    /// Why no property falls without it, where that is known and meant: what else refuses whatever it
    /// refuses, or why nothing is lost.
    pub because: Option<&'static str>,
}

/// Declares the conditions of a specification: `Name: "call", "what must be so";`, with `within` before
/// the name of one that is asked within an effect, and `, because "why"` after one that no property
/// misses. Makes the enum `Conjunct`, `ALL` and `NAMES`, in this order.
macro_rules! conjuncts {
    ($($(#[$part:ident])? $name:ident: $guard:literal, $says:literal $(, because $why:literal)?;)*) => {
        /// One condition of one rule.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Conjunct {
            $(#[doc = concat!("`", $guard, "`: ", $says, ".")] $name,)*
        }

        /// All of them, in the order of the prose.
        pub(super) const ALL: &[Conjunct] = &[$(Conjunct::$name),*];

        /// Their names: the call whose condition it is, and what must be so.
        pub(super) const NAMES: &[$crate::checking::Conjunct] = &[$(
            $crate::checking::Conjunct {
                guard: $guard,
                says: $says,
                part: $crate::checking::part(&[$(stringify!($part))?]),
                because: $crate::checking::because(&[$($why)?]),
            }
        ),*];
    };
}
pub(crate) use conjuncts;

/// The reason that was given, if one was.
pub(crate) const fn because(reasons: &[&'static str]) -> Option<&'static str> {
    match reasons {
        [] => None,
        [why, ..] => Some(why),
    }
}

/// Within an effect where the declaration says so.
pub(crate) const fn part(marks: &[&'static str]) -> Part {
    match marks {
        [] => Part::Guard,
        [_, ..] => Part::Effect,
    }
}

/// Why a step is not granted; and by which condition, if by a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Objection<C, R> {
    pub(crate) conjunct: Option<C>,
    pub(crate) refusal: R,
}

/// What a guard says.
pub(crate) type Granted<C, R> = Result<(), Objection<C, R>>;

/// Refuses for what is no rule unless the condition holds.
pub(crate) fn unless<C, R>(condition: bool, refusal: R) -> Granted<C, R> {
    if condition {
        Ok(())
    } else {
        Err(Objection {
            conjunct: None,
            refusal,
        })
    }
}

/// Asks the conditions of its rules by name, and may have given one of them up.
pub(crate) trait Conditions {
    /// Its conditions.
    type Conjunct: Copy + PartialEq;
    /// What is said where one does not hold.
    type Refusal;

    /// The condition that is given up, if one is.
    fn given_up(&self) -> Option<Self::Conjunct>;

    /// Whether a condition is given up.
    fn gives_up(&self, conjunct: Self::Conjunct) -> bool {
        self.given_up() == Some(conjunct)
    }

    /// Asks a condition within an effect.
    fn keeps(&self, conjunct: Self::Conjunct, holds: bool) -> bool {
        holds || self.gives_up(conjunct)
    }

    /// Asks a condition of a guard.
    fn must(
        &self,
        conjunct: Self::Conjunct,
        holds: bool,
        refusal: Self::Refusal,
    ) -> Granted<Self::Conjunct, Self::Refusal> {
        if self.keeps(conjunct, holds) {
            Ok(())
        } else {
            Err(Objection {
                conjunct: Some(conjunct),
                refusal,
            })
        }
    }
}
