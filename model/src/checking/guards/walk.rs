//! One instance walked for the conditions that are not decided yet: what each alone stands against.

use super::guarded;
use crate::checking::codes::Codes;
use crate::checking::{Bounds, Check, OutOfBounds, Part, Property, Spec, Step};

/// What a condition alone stands against in one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Alone {
    /// Nothing.
    Never,
    /// Calls that would change nothing.
    Idle,
    /// Something that would change the state.
    Bites,
    /// A call that would change nothing, and that a property forbids all the same.
    Forbidden {
        /// The property.
        property: &'static str,
        /// Steps of the shortest trace.
        depth: u64,
    },
}

impl Alone {
    const fn is_settled(&self) -> bool {
        match self {
            Self::Bites | Self::Forbidden { .. } => true,
            Self::Never | Self::Idle => false,
        }
    }
}

/// What an instance shows.
pub(super) struct Met {
    /// Its states.
    pub(super) states: u64,
    /// For each condition that was asked about.
    pub(super) alone: Vec<Alone>,
}

/// A condition that is looked for.
struct Sought<S> {
    conjunct: usize,
    part: Part,
    without: S,
    alone: Alone,
}

struct Walk<'a, S: Spec> {
    spec: &'a S,
    /// What is claimed of calls and steps.
    forbidding: Vec<Property<S>>,
    sought: Vec<Sought<S>>,
    /// The place in `sought` of each condition of the specification.
    place: Vec<Option<usize>>,
}

/// Walks an instance, level by level, until every condition is settled, and asks of every refused call whether its first objection is
/// the only one, and of every granted one whether it would do something else without a condition.
pub(super) fn meet<S: Spec>(spec: &S, conjuncts: &[usize]) -> Result<Met, OutOfBounds> {
    let mut walk = Walk::of(spec, conjuncts);
    let mut codes = Codes::new();
    let (mut level, mut next) = (Vec::new(), Vec::new());
    for (_, state) in spec.initial() {
        if codes.insert(|code| spec.encode(&state, code)).1 {
            level.push(state);
        }
    }
    let mut calls = Vec::new();
    let mut depth = 0;
    while !level.is_empty() {
        depth += 1;
        for state in &level {
            calls.clear();
            spec.calls(state, &mut calls);
            for &action in &calls {
                if spec.guard(state, action).is_err() {
                    walk.refused(state, action, depth);
                    continue;
                }
                let after = spec.apply(state, action).0;
                walk.granted(state, action, &after);
                if codes.insert(|code| spec.encode(&after, code)).1 {
                    next.push(after);
                }
            }
        }
        if walk.sought.iter().all(|sought| sought.alone.is_settled()) {
            break;
        }
        level.clear();
        std::mem::swap(&mut level, &mut next);
        if codes.len() > Bounds::default().states {
            return Err(OutOfBounds {
                states: codes.len(),
            });
        }
    }
    Ok(Met {
        states: codes.len() as u64,
        alone: walk.sought.into_iter().map(|sought| sought.alone).collect(),
    })
}

impl<'a, S: Spec> Walk<'a, S> {
    fn of(spec: &'a S, conjuncts: &[usize]) -> Self {
        let mut forbidding = S::properties();
        forbidding.retain(|property| matches!(property.check, Check::Step(_) | Check::Call(_)));
        let mut place = vec![None; S::conjuncts().len()];
        let mut sought = Vec::new();
        for &conjunct in conjuncts {
            place[conjunct] = Some(sought.len());
            sought.push(Sought {
                conjunct,
                part: S::conjuncts()[conjunct].part,
                without: spec.without(conjunct),
                alone: Alone::Never,
            });
        }
        Self {
            spec,
            forbidding,
            sought,
            place,
        }
    }

    fn refused(&mut self, state: &S::State, action: S::Action, depth: u64) {
        let Some(conjunct) = self.spec.objection(state, action) else {
            return;
        };
        let Some(sought) = self.place[conjunct].map(|at| &mut self.sought[at]) else {
            return;
        };
        debug_assert_eq!(sought.conjunct, conjunct);
        if sought.alone.is_settled() || sought.without.guard(state, action).is_err() {
            return;
        }
        let granted = guarded(|| sought.without.apply(state, action));
        let Some((after, outputs)) = granted.filter(|(after, _)| after == state) else {
            sought.alone = Alone::Bites;
            return;
        };
        let step = Step {
            before: state,
            action,
            after: Ok(&after),
            outputs: Some(&outputs),
        };
        let fallen =
            (self.forbidding.iter()).find(|property| property.falls_by(&sought.without, &step));
        sought.alone = match fallen {
            Some(property) => Alone::Forbidden {
                property: property.name,
                depth,
            },
            None => Alone::Idle,
        };
    }

    fn granted(&mut self, state: &S::State, action: S::Action, after: &S::State) {
        for sought in &mut self.sought {
            let looked_for = sought.part == Part::Effect && !sought.alone.is_settled();
            let does = || guarded(|| sought.without.apply(state, action).0);
            if looked_for && does().as_ref() != Some(after) {
                sought.alone = Alone::Bites;
            }
        }
    }
}
