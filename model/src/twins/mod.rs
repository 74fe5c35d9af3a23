//! Independent twins: the same state machines, written a second and a third time by hand, in
//! Promela and in Murphi, from the prose alone (`docs/session.md` with `docs/session-bounds.md`, and
//! `docs/cluster.md`), and exhausted by checkers that share nothing with ours: SPIN and rumur.
//!
//! **Promises.** Whatever is reported was just counted. Four checkers must find the same number of
//! distinct states and of transitions in every instance that has a twin; [`disagreements`] names
//! whoever departs. SPIN is also asked what must happen in the end, under weak fairness, which our
//! own graph only asks as what can still happen.
//!
//! **Never.** A run that was cut short (a depth, a memory, an error) is never a count; it is a
//! [`TwinError`]. A checker that is not installed is named with its package; it is never skipped.
//!
//! A twin is plain text, so anyone can run it without this module:
//!
//! ```text
//! cd model/twins/session
//! cat smallest.pml machine.pml count.pml > /tmp/twin.pml && cd /tmp
//! spin -o2 -a twin.pml && cc -O1 -DSAFETY -DNOREDUCE -o pan pan.c && ./pan -m1000000 -E
//! ```

mod broken;
mod cluster;
mod session;
mod tools;

use std::fmt;
use std::time::Instant;

use serde::Serialize;

use crate::checking::{CheckRow, SuiteError};
use tools::{Effort, Scratch};

pub use broken::{BROKEN, Broken};

/// One state machine, written again.
#[derive(Clone, Debug)]
pub struct Twin {
    /// The specification that it is a twin of.
    pub spec: &'static str,
    /// The instance.
    pub instance: &'static str,
    /// Exhausts the original with our own checkers.
    pub original: fn(&str) -> Result<CheckRow, SuiteError>,
    /// Whether it is run when no instance is named: it takes seconds.
    pub quick: bool,
    /// How many initial states the instance has. SPIN begins before them and chooses.
    pub scenes: u64,
    /// The whole program in Promela.
    pub promela: String,
    /// The whole program in Murphi.
    pub murphi: String,
    /// A program in Promela with formulas, and the names of those that must hold.
    pub lasting: Option<(String, &'static [&'static str])>,
}

/// What one checker found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum TwinRow {
    /// How much there is.
    Counted {
        /// The specification.
        spec: &'static str,
        /// The instance.
        instance: &'static str,
        /// `exact`, `stateright`, `spin` or `rumur`.
        checker: &'static str,
        /// Distinct states, initial ones included.
        states: u64,
        /// Enabled (state, action) pairs, self-loops included.
        transitions: u64,
        /// How long it took, the compilation of the checker included; `exact` and `stateright` run
        /// side by side and share theirs.
        seconds: f64,
    },
    /// What must happen in the end.
    Judged {
        /// The specification.
        spec: &'static str,
        /// The instance.
        instance: &'static str,
        /// `spin`.
        checker: &'static str,
        /// The formula's name.
        property: &'static str,
        /// Whether no run that is fair breaks it.
        holds: bool,
        /// How long it took; the first formula of a twin carries the compilation.
        seconds: f64,
    },
    /// What falls when a rule is broken.
    Fell {
        /// The specification.
        spec: &'static str,
        /// The instance.
        instance: &'static str,
        /// `rumur`.
        checker: &'static str,
        /// The rule that was broken.
        broken: &'static str,
        /// The property that must fall.
        property: &'static str,
        /// The length of the shortest run on which it falls; absent: it holds.
        steps: Option<u64>,
        /// The length that was found elsewhere.
        expected: u64,
        /// How long it took.
        seconds: f64,
    },
}

/// Why a twin gave no answer.
#[derive(Debug)]
pub enum TwinError {
    /// There is no twin of that instance.
    UnknownInstance(String),
    /// A program is not installed; the Debian package that has it.
    Missing {
        /// The program.
        program: &'static str,
        /// The package.
        package: &'static str,
    },
    /// A program failed, stopped early, or said what cannot be understood.
    Failed {
        /// The program.
        program: &'static str,
        /// The end of what it said.
        said: String,
    },
    /// Our own checkers failed.
    Ours(SuiteError),
    /// Files could not be written.
    Io(std::io::Error),
}

impl fmt::Display for TwinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownInstance(name) => {
                let known: Vec<_> = twins().iter().map(|twin| twin.instance).collect();
                write!(
                    f,
                    "there is no twin of {name:?}; there are twins of {}",
                    known.join(", ")
                )
            }
            Self::Missing { program, package } => write!(
                f,
                "{program} is not installed; on Debian: apt-get install --no-install-recommends \
                 {package}"
            ),
            Self::Failed { program, said } => write!(f, "{program} gave no result: {said}"),
            Self::Ours(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TwinError {}

impl From<std::io::Error> for TwinError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Every twin there is.
#[must_use]
pub fn twins() -> Vec<Twin> {
    let mut all = session::twins();
    all.extend(cluster::twins());
    all
}

/// The twin of an instance.
///
/// # Errors
/// When there is none.
pub fn twin(instance: &str) -> Result<Twin, TwinError> {
    twins()
        .into_iter()
        .find(|twin| twin.instance == instance)
        .ok_or_else(|| TwinError::UnknownInstance(instance.to_owned()))
}

impl Twin {
    /// All four counts, then the verdicts on what must happen in the end.
    ///
    /// # Errors
    /// When a checker gave no answer.
    pub fn rows(&self) -> Result<Vec<TwinRow>, TwinError> {
        // Whatever is missing is said before anything long begins.
        tools::all_there()?;
        let mut rows = self.ours()?.to_vec();
        let (spin, rumur) = std::thread::scope(|scope| {
            let rumur = scope.spawn(|| self.rumur());
            let spin = self.spin().and_then(|row| Ok((row, self.judged()?)));
            let rumur = rumur.join();
            (
                spin,
                rumur.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            )
        });
        let (spin, judged) = spin?;
        rows.push(spin);
        rows.push(rumur?);
        rows.extend(judged);
        Ok(rows)
    }

    /// What the exact graph and stateright count in the specification.
    ///
    /// # Errors
    /// When there is no such instance, or it does not fit.
    pub fn ours(&self) -> Result<[TwinRow; 2], TwinError> {
        let row = (self.original)(self.instance).map_err(TwinError::Ours)?;
        let second = &row.stateright;
        Ok([
            self.counted("exact", row.states, row.transitions, row.seconds),
            self.counted("stateright", second.states, second.transitions, row.seconds),
        ])
    }

    /// What SPIN counts in the twin.
    ///
    /// # Errors
    /// When SPIN or the C compiler is missing or fails, or the search was cut short.
    pub fn spin(&self) -> Result<TwinRow, TwinError> {
        let begun = Instant::now();
        let scratch = Scratch::new()?;
        let found = tools::count_with_spin(&scratch, &self.promela, self.effort())?;
        // SPIN's search has a root before the initial states and counts reaching it as a step.
        let apart = |count: u64, by: u64| {
            count.checked_sub(by).ok_or_else(|| TwinError::Failed {
                program: "spin",
                said: format!("it counted {count}, less than the {by} that are not of the twin"),
            })
        };
        let states = apart(found.states, 1)?;
        let transitions = apart(found.transitions, 1 + self.scenes)?;
        let seconds = begun.elapsed().as_secs_f64();
        Ok(self.counted("spin", states, transitions, seconds))
    }

    /// What rumur counts in the twin.
    ///
    /// # Errors
    /// When rumur or the C compiler is missing or fails, or the search was cut short.
    pub fn rumur(&self) -> Result<TwinRow, TwinError> {
        let begun = Instant::now();
        let scratch = Scratch::new()?;
        let found = tools::count_with_rumur(&scratch, &self.murphi, self.effort())?;
        let seconds = begun.elapsed().as_secs_f64();
        Ok(self.counted("rumur", found.states, found.transitions, seconds))
    }

    /// SPIN's verdict on every formula that must hold of this twin.
    ///
    /// # Errors
    /// When SPIN or the C compiler is missing or fails, or a search was cut short.
    pub fn judged(&self) -> Result<Vec<TwinRow>, TwinError> {
        let Some((program, formulas)) = &self.lasting else {
            return Ok(Vec::new());
        };
        let mut begun = Instant::now();
        let scratch = Scratch::new()?;
        tools::compile_for_liveness(&scratch, program)?;
        let mut rows = Vec::new();
        for formula in *formulas {
            let holds = tools::judge_with_spin(&scratch, formula)?;
            rows.push(TwinRow::Judged {
                spec: self.spec,
                instance: self.instance,
                checker: "spin",
                property: formula,
                holds,
                seconds: begun.elapsed().as_secs_f64(),
            });
            begun = Instant::now();
        }
        Ok(rows)
    }

    const fn effort(&self) -> Effort {
        if self.quick {
            Effort::Little
        } else {
            Effort::Some
        }
    }

    /// What rumur says of this twin with a rule broken.
    ///
    /// # Errors
    /// When rumur or the C compiler is missing or fails, or the rule is not in the text.
    pub fn breaks(&self, broken: &Broken) -> Result<TwinRow, TwinError> {
        let begun = Instant::now();
        let text = broken.applied_to(self).map_err(|what| TwinError::Failed {
            program: "rumur",
            said: format!("{}: the twin does not say {what:?} once", broken.id),
        })?;
        let scratch = Scratch::new()?;
        let steps = tools::shortest_fall_with_rumur(&scratch, &text, broken.property)?;
        Ok(TwinRow::Fell {
            spec: self.spec,
            instance: self.instance,
            checker: "rumur",
            broken: broken.id,
            property: broken.property,
            steps,
            expected: broken.steps,
            seconds: begun.elapsed().as_secs_f64(),
        })
    }

    const fn counted(
        &self,
        checker: &'static str,
        states: u64,
        transitions: u64,
        seconds: f64,
    ) -> TwinRow {
        TwinRow::Counted {
            spec: self.spec,
            instance: self.instance,
            checker,
            states,
            transitions,
            seconds,
        }
    }
}

/// Everything that is not as it must be: counts of one instance that differ, formulas that fall.
#[must_use]
pub fn disagreements(rows: &[TwinRow]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut agreed: Vec<(&str, &str, u64, u64)> = Vec::new();
    for row in rows {
        match *row {
            TwinRow::Counted {
                spec,
                instance,
                checker,
                states,
                transitions,
                ..
            } => match agreed.iter().find(|a| (a.0, a.1) == (spec, instance)) {
                None => agreed.push((spec, instance, states, transitions)),
                Some(&(_, _, s, t)) if (s, t) != (states, transitions) => wrong.push(format!(
                    "{spec}/{instance}: {checker} found {states} states and {transitions} \
                     transitions where {s} and {t} were found before"
                )),
                Some(_) => {}
            },
            TwinRow::Judged {
                spec,
                instance,
                property,
                holds,
                ..
            } => {
                if !holds {
                    wrong.push(format!("{spec}/{instance}: {property} falls in the twin"));
                }
            }
            TwinRow::Fell {
                spec,
                instance,
                broken,
                property,
                steps,
                expected,
                ..
            } => {
                if steps != Some(expected) {
                    let found = steps.map_or("holds".to_owned(), |s| format!("falls after {s}"));
                    wrong.push(format!(
                        "{spec}/{instance}: with {broken}, {property} {found} and should fall \
                         after {expected} steps"
                    ));
                }
            }
        }
    }
    wrong
}

impl fmt::Display for TwinRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counted {
                spec,
                instance,
                checker,
                states,
                transitions,
                seconds,
            } => write!(
                f,
                "{spec}/{instance}: {checker}: {states} states, {transitions} transitions, \
                 {seconds:.1} s"
            ),
            Self::Judged {
                spec,
                instance,
                checker,
                property,
                holds,
                seconds,
            } => {
                let verdict = if *holds { "holds" } else { "FALLS" };
                write!(
                    f,
                    "{spec}/{instance}: {checker}: {property} {verdict} under weak fairness, \
                     {seconds:.1} s"
                )
            }
            Self::Fell {
                spec,
                instance,
                checker,
                broken,
                property,
                steps,
                seconds,
                ..
            } => {
                let verdict = steps.map_or("HOLDS".to_owned(), |s| format!("falls after {s}"));
                write!(
                    f,
                    "{spec}/{instance}: {checker}: with {broken}, {property} {verdict}, \
                     {seconds:.1} s"
                )
            }
        }
    }
}
