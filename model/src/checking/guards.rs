//! The conditions of the guards, each on its own: is it ever the only one in the way of a call, and
//! what falls without it? The mutations are generated, one for each condition that a specification
//! names ([`Spec::conjuncts`]).
//!
//! A condition that is nowhere the only false one is *redundant* as far as the lattice goes: the
//! others refuse whatever it refuses. One whose deletion grants only calls that change nothing shows
//! in the *answer* alone: no property of states can see it, only the conformance suite, which
//! compares every refusal with the engine's. For every other condition some property must fall when
//! it is deleted, or the specification must say why none does.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::codes::Codes;
use super::{Bounds, Conjunct, Mutant, OutOfBounds, Spec};

/// What became of a specification without one condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardVerdict {
    /// A property fell.
    Killed,
    /// Nowhere is it the only condition that does not hold.
    Redundant,
    /// What it alone refuses would change nothing: only the answer would be another.
    AnswerOnly,
    /// No property falls, and the specification says why.
    Explained,
    /// No property falls: a defect of the properties, or the condition is not needed.
    Survives,
}

/// One condition of one guard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuardRow {
    /// The specification.
    pub spec: String,
    /// The call, or the group of calls, whose guard it is.
    pub guard: String,
    /// What must be so.
    pub says: String,
    /// The instances in which it is somewhere the only condition that does not hold.
    pub alone_in: Vec<String>,
    /// What became of the specification without it.
    pub verdict: GuardVerdict,
    /// The property that fell, or why none does.
    pub property: String,
    /// Where it fell.
    pub instance: String,
    /// Steps of the shortest trace.
    pub depth: u64,
    /// States that were explored without it, over all instances that were tried.
    pub states: u64,
    /// Wall-clock time.
    pub seconds: f64,
}

impl GuardRow {
    /// What is wrong, if anything is.
    #[must_use]
    pub fn finding(&self) -> Option<String> {
        let place = format!("{}: {}, {:?}", self.spec, self.guard, self.says);
        match self.verdict {
            GuardVerdict::Survives => {
                Some(format!("{place} can be deleted, and no property falls"))
            }
            GuardVerdict::Killed
            | GuardVerdict::Redundant
            | GuardVerdict::AnswerOnly
            | GuardVerdict::Explained => None,
        }
    }
}

/// What an instance shows of every condition.
struct Met {
    instance: &'static str,
    states: usize,
    conjuncts: Vec<Alone>,
}

/// What a condition alone refuses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alone {
    /// Nothing.
    Never,
    /// Calls that would change nothing.
    Idle,
    /// A call that would change the state.
    Bites,
}

/// Judges every condition of the guards over the given instances.
///
/// # Errors
/// When an instance does not fit.
pub fn judge_guards<S: Spec>(instances: &[S]) -> Result<Vec<GuardRow>, OutOfBounds> {
    if S::conjuncts().is_empty() {
        return Ok(Vec::new());
    }
    let mut met = in_turn(instances.len(), |at| meet(&instances[at]))?;
    // The smallest first: a fall is found soonest there.
    met.sort_by_key(|met| met.states);
    in_turn(S::conjuncts().len(), |conjunct| {
        judge(instances, &met, conjunct)
    })
}

/// Does jobs on all cores; the results stand in the order of the jobs.
fn in_turn<T: Send, E: Send>(
    jobs: usize,
    work: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers.min(jobs) {
            scope.spawn(|| {
                loop {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    if job >= jobs {
                        return;
                    }
                    let result = work(job);
                    done.lock()
                        .expect("a worker that panics ends the run")
                        .push((job, result));
                }
            });
        }
    });
    let mut done = done
        .into_inner()
        .expect("a worker that panics ends the run");
    done.sort_by_key(|(job, _)| *job);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Walks an instance, and asks of every refused call whether its first objection is the only one.
fn meet<S: Spec>(spec: &S) -> Result<Met, OutOfBounds> {
    let without: Vec<S> = (0..S::conjuncts().len())
        .map(|conjunct| spec.without(conjunct))
        .collect();
    let mut alone = vec![Alone::Never; without.len()];
    let mut codes = Codes::new();
    let mut frontier: VecDeque<S::State> = VecDeque::new();
    for (_, state) in spec.initial() {
        if codes.insert(|code| spec.encode(&state, code)).1 {
            frontier.push_back(state);
        }
    }
    let mut calls = Vec::new();
    while let Some(state) = frontier.pop_front() {
        calls.clear();
        spec.calls(&state, &mut calls);
        for &action in &calls {
            let Some(conjunct) = spec.objection(&state, action) else {
                let after = spec.apply(&state, action).0;
                if codes.insert(|code| spec.encode(&after, code)).1 {
                    frontier.push_back(after);
                }
                continue;
            };
            let lenient = &without[conjunct];
            if alone[conjunct] != Alone::Bites && lenient.guard(&state, action).is_ok() {
                let changes = lenient.apply(&state, action).0 != state;
                alone[conjunct] = if changes { Alone::Bites } else { Alone::Idle };
            }
        }
        if codes.len() > Bounds::default().states {
            return Err(OutOfBounds {
                states: codes.len(),
            });
        }
    }
    Ok(Met {
        instance: spec.instance().name,
        states: codes.len(),
        conjuncts: alone,
    })
}

/// Deletes one condition, in one instance after another, until a property falls.
fn judge<S: Spec>(instances: &[S], met: &[Met], conjunct: usize) -> Result<GuardRow, OutOfBounds> {
    let begun = Instant::now();
    let Conjunct {
        guard,
        says,
        unseen,
    } = S::conjuncts()[conjunct];
    let how = |met: &&Met| met.conjuncts[conjunct];
    let shown = |met: &&Met| how(met) != Alone::Never;
    let mut row = GuardRow {
        spec: S::NAME.to_owned(),
        guard: guard.to_owned(),
        says: says.to_owned(),
        alone_in: (met.iter().filter(shown))
            .map(|met| met.instance.to_owned())
            .collect(),
        verdict: GuardVerdict::Redundant,
        property: "none".to_owned(),
        instance: String::new(),
        depth: 0,
        states: 0,
        seconds: 0.0,
    };
    if !row.alone_in.is_empty() {
        row.verdict = GuardVerdict::AnswerOnly;
    }
    for met in met.iter().filter(shown) {
        let spec = (instances.iter())
            .find(|spec| spec.instance().name == met.instance)
            .expect("it was met");
        let mutant = Mutant {
            id: format!("guard-{conjunct}"),
            says: says.to_owned(),
            property: None,
            spec: spec.without(conjunct),
        };
        let (killed, _) = mutant.kill()?;
        row.states += killed.states;
        if killed.killed {
            row.verdict = GuardVerdict::Killed;
            row.property = killed.property;
            row.instance = killed.instance;
            row.depth = killed.depth;
            break;
        }
        if how(&met) == Alone::Bites {
            row.verdict = GuardVerdict::Survives;
        }
    }
    if let (GuardVerdict::Survives, Some(why)) = (row.verdict, unseen) {
        row.verdict = GuardVerdict::Explained;
        why.clone_into(&mut row.property);
    }
    row.seconds = begun.elapsed().as_secs_f64();
    Ok(row)
}
