//! The conditions of the rules, each on its own: is it ever the only one in the way, and what falls
//! without it? The mutations are generated, one for each condition that a specification names
//! ([`Spec::conjuncts`]).
//!
//! A condition that nowhere stands alone is *redundant* as far as the instances go: the others
//! refuse whatever it refuses. One whose deletion grants only calls that change nothing, and that
//! no property forbids, shows in the *answer* alone: the conformance suite sees it, which compares
//! every refusal with the engine's. For every other condition some property must fall when it is
//! deleted. Where none does, or where a condition is redundant, the specification must say why;
//! else it is a finding: a property is missing, an instance, or a reason to keep the condition.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Bounds, Conjunct, Mutant, OutOfBounds, Spec};
use walk::{Alone, Met, meet};

mod published;
mod walk;

pub use published::{GuardShare, PublishedGuards};

/// States after which the graph of a deletion is given up: what falls, falls long before.
const STATES_MAX: usize = 600_000;

/// Instances in which a deletion is tried in vain before it counts as one that nothing misses; the
/// second number where the specification says that, and why, so that the attempt is only to refute.
const TRIES_MAX: (usize, usize) = (40, 4);

/// What became of a specification without one condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardVerdict {
    /// A property fell.
    Killed,
    /// Nowhere does it stand alone.
    Redundant,
    /// What it alone refuses would change nothing: only the answer would be another.
    AnswerOnly,
    /// It stands alone somewhere, no property falls, and the specification says why.
    Explained,
    /// No property falls: a defect of the properties, or the condition is not needed.
    Survives,
}

/// One condition of one rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuardRow {
    /// The specification.
    pub spec: String,
    /// The call, or the group of calls, whose condition it is.
    pub guard: String,
    /// What must be so.
    pub says: String,
    /// The instances in which it was seen alone, of those that were looked at before it was decided.
    pub alone_in: Vec<String>,
    /// What became of the specification without it.
    pub verdict: GuardVerdict,
    /// The property that fell, if one did.
    pub property: Option<String>,
    /// Why none does, if the specification says so.
    pub because: Option<String>,
    /// Where it fell.
    pub instance: Option<String>,
    /// Steps of the shortest trace.
    pub depth: u64,
    /// States that were explored without it, over all instances that were tried.
    pub states: u64,
    /// Wall-clock time of these explorations.
    pub seconds: f64,
}

impl GuardRow {
    fn new<S: Spec>(conjunct: usize) -> Self {
        let Conjunct { guard, says, .. } = S::conjuncts()[conjunct];
        Self {
            spec: S::NAME.to_owned(),
            guard: guard.to_owned(),
            says: says.to_owned(),
            alone_in: Vec::new(),
            verdict: GuardVerdict::Redundant,
            property: None,
            because: None,
            instance: None,
            depth: 0,
            states: 0,
            seconds: 0.0,
        }
    }

    /// Whether nothing is left to be said: it was killed, shows in answers, or has a reason.
    #[must_use]
    pub const fn is_explained(&self) -> bool {
        match self.verdict {
            GuardVerdict::Killed | GuardVerdict::AnswerOnly | GuardVerdict::Explained => true,
            GuardVerdict::Redundant => self.because.is_some(),
            GuardVerdict::Survives => false,
        }
    }

    /// What is wrong, if anything is.
    #[must_use]
    pub fn finding(&self) -> Option<String> {
        if self.is_explained() {
            return None;
        }
        let place = format!("{}: {}, {:?}", self.spec, self.guard, self.says);
        Some(match self.verdict {
            GuardVerdict::Redundant => {
                format!("{place} nowhere stands alone, and nothing says what else refuses it all")
            }
            GuardVerdict::Survives
            | GuardVerdict::Killed
            | GuardVerdict::AnswerOnly
            | GuardVerdict::Explained => format!("{place} can be deleted, and no property falls"),
        })
    }

    fn killed(&mut self, property: &str, instance: &str, depth: u64) {
        self.verdict = GuardVerdict::Killed;
        self.property = Some(property.to_owned());
        self.instance = Some(instance.to_owned());
        self.depth = depth;
    }

    const fn is_killed(&self) -> bool {
        matches!(self.verdict, GuardVerdict::Killed)
    }
}

/// Judges these conditions (by their places in [`Spec::conjuncts`]) in one instance after the other,
/// each until a property falls without it; in the `long` ones only those of which nothing is known yet.
///
/// # Errors
/// When an instance does not fit.
pub fn judge_guards<S: Spec>(
    instances: &[S],
    long: &[S],
    conjuncts: &[usize],
) -> Result<Vec<GuardRow>, OutOfBounds> {
    let mut tries: Vec<usize> = (conjuncts.iter())
        .map(|&at| match S::conjuncts()[at].because {
            None => TRIES_MAX.0,
            Some(_) => TRIES_MAX.1,
        })
        .collect();
    let mut rows: Vec<GuardRow> = conjuncts.iter().map(|&at| GuardRow::new::<S>(at)).collect();
    let quick = instances.iter().map(|spec| (spec, true));
    for (spec, is_quick) in quick.chain(long.iter().map(|spec| (spec, false))) {
        let unknown = |at: usize| is_quick || S::conjuncts()[conjuncts[at]].because.is_none();
        let open: Vec<usize> = (0..rows.len())
            .filter(|&at| !rows[at].is_killed() && tries[at] > 0 && unknown(at))
            .collect();
        if open.is_empty() {
            continue;
        }
        let sought: Vec<usize> = open.iter().map(|&at| conjuncts[at]).collect();
        let met = meet(spec, &sought)?;
        let biting = note(spec, &met, &open, &mut rows);
        let tried = in_turn(biting.len(), |job| delete(spec, conjuncts[biting[job]]));
        for (at, tried) in biting.into_iter().zip(tried) {
            let row = &mut rows[at];
            tries[at] -= 1;
            row.states += tried.states;
            row.seconds += tried.seconds;
            match tried.fallen {
                Some((property, depth)) => row.killed(&property, spec.instance().name, depth),
                None => row.verdict = GuardVerdict::Survives,
            }
        }
    }
    for (row, &conjunct) in rows.iter_mut().zip(conjuncts) {
        explain(row, &S::conjuncts()[conjunct]);
    }
    Ok(rows)
}

/// Puts down what an instance showed; the rows whose condition bites there.
fn note<S: Spec>(spec: &S, met: &Met, open: &[usize], rows: &mut [GuardRow]) -> Vec<usize> {
    let instance = spec.instance().name;
    let mut biting = Vec::new();
    for (&at, alone) in open.iter().zip(&met.alone) {
        let row = &mut rows[at];
        if *alone != Alone::Never {
            row.alone_in.push(instance.to_owned());
        }
        match alone {
            Alone::Never => {}
            Alone::Idle => {
                if row.verdict == GuardVerdict::Redundant {
                    row.verdict = GuardVerdict::AnswerOnly;
                }
            }
            Alone::Bites => biting.push(at),
            Alone::Forbidden { property, depth } => {
                row.states += met.states;
                row.killed(property, instance, *depth);
            }
        }
    }
    biting
}

fn explain(row: &mut GuardRow, conjunct: &Conjunct) {
    let because = conjunct.because.map(str::to_owned);
    match row.verdict {
        GuardVerdict::Killed | GuardVerdict::AnswerOnly | GuardVerdict::Explained => {}
        GuardVerdict::Redundant => row.because = because,
        GuardVerdict::Survives => {
            if because.is_some() {
                row.verdict = GuardVerdict::Explained;
                row.because = because;
            }
        }
    }
}

/// What became of one deletion in one instance.
struct Tried {
    fallen: Option<(String, u64)>,
    states: u64,
    seconds: f64,
}

fn delete<S: Spec>(spec: &S, conjunct: usize) -> Tried {
    let begun = Instant::now();
    let mutant = Mutant {
        id: format!("guard-{conjunct}"),
        says: S::conjuncts()[conjunct].says.to_owned(),
        property: None,
        spec: spec.without(conjunct),
    };
    let bounds = Bounds { states: STATES_MAX };
    let (fallen, states) = match guarded(|| mutant.kill_within(bounds)) {
        Some(Ok((row, _))) => {
            let fallen = row.killed.then_some((row.property, row.depth));
            (fallen, row.states)
        }
        // Too large without the condition: nothing fell among so many states.
        Some(Err(OutOfBounds { states })) => (None, states as u64),
        None => (None, 0),
    };
    Tried {
        fallen,
        states,
        seconds: begun.elapsed().as_secs_f64(),
    }
}

/// What is computed without a condition, unless that panics: where an effect leans on its guard, the
/// deletion shows a defect of the effect, and is not judged there. (The panic tells where.)
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).ok()
}

/// Does jobs on all cores; the results stand in the order of the jobs.
pub(super) fn in_turn<T: Send>(jobs: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
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
