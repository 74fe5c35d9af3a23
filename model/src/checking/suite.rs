//! A specification with its types erased, so that the command line can hold all of them.

use std::collections::BTreeMap;
use std::fmt;
use std::io::BufRead;
use std::marker::PhantomData;
use std::time::Instant;

use super::mutation::counterexample;
use super::symmetry::orbits;
use super::trace::{Header, Trace, TraceError};
use super::{
    Bounds, Check, CheckRow, Checked, Conjunct, Counts, Effort, Exact, Graph, GuardRow, Instance,
    Kind, MutantRow, OutOfBounds, PropertyRow, Spec, StaterightRow, action_name, explore,
    judge_guards,
};
use crate::explore::{Diagram, Served, Walk, picture_of_trace, svg};

/// What the command line can do with a specification.
pub trait Suite: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Its instances.
    fn instances(&self) -> &'static [Instance];
    /// Its mutants: id and what was done to the rules.
    fn mutants(&self) -> Vec<(String, String)>;
    /// Exhausts an instance in the exact graph.
    ///
    /// # Errors
    /// When there is no such instance, or it does not fit.
    fn exhaust(&self, instance: &str) -> Result<Exact, SuiteError>;
    /// Exhausts an instance with stateright.
    ///
    /// # Errors
    /// When there is no such instance.
    fn second_opinion(&self, instance: &str) -> Result<Counts, SuiteError>;
    /// Exhausts an instance with both checkers, one after the other.
    ///
    /// # Errors
    /// When there is no such instance, or it does not fit.
    fn check(&self, instance: &str) -> Result<CheckRow, SuiteError> {
        Ok(self
            .exhaust(instance)?
            .with(&self.second_opinion(instance)?))
    }
    /// Searches for the fall that a mutant must have; the trace is JSON lines.
    ///
    /// # Errors
    /// When there is no such mutant, or it does not fit.
    fn kill(&self, mutant: &str) -> Result<(MutantRow, Option<String>), SuiteError>;
    /// Searches for a shortest run on which a property falls under the rules as they are, as JSON
    /// lines; `None`: it holds.
    ///
    /// # Errors
    /// When there is no such instance or property, or it does not fit.
    fn counterexample(&self, instance: &str, property: &str) -> Result<Option<String>, SuiteError>;
    /// Deletes every condition of the guards in turn, over the instances of every build or over all;
    /// those whose name (`spec/call: what must be so`) begins with `only`.
    ///
    /// # Errors
    /// When an instance does not fit.
    fn guards(&self, full: bool, only: &str) -> Result<Vec<GuardRow>, SuiteError>;
    /// Replays the lines that follow `header` and tells the run as text.
    ///
    /// # Errors
    /// When the trace is malformed or the specification does not agree with it.
    fn narrate(&self, header: Header, lines: &mut dyn BufRead) -> Result<String, SuiteError>;
    /// Replays the lines that follow `header` and draws the run, as SVG text.
    ///
    /// # Errors
    /// When the trace is malformed or the specification does not agree with it.
    fn draw(&self, header: Header, lines: &mut dyn BufRead) -> Result<String, SuiteError>;
    /// An instance for the Explorer; with `refusals`, refused calls are offered too.
    ///
    /// # Errors
    /// When there is no such instance.
    fn walk(&self, instance: &str, refusals: bool) -> Result<Box<dyn Served>, SuiteError>;
    /// The lines that follow `header` for the Explorer, which begins at their end.
    ///
    /// # Errors
    /// When the trace is malformed or the specification does not agree with it.
    fn walk_along(
        &self,
        header: Header,
        lines: &mut dyn BufRead,
        refusals: bool,
    ) -> Result<Box<dyn Served>, SuiteError>;
}

/// Why a suite could not do what it was asked for.
#[derive(Debug)]
pub enum SuiteError {
    /// No instance of that name.
    UnknownInstance(String),
    /// No mutant of that id.
    UnknownMutant(String),
    /// No property of that name that could fall.
    UnknownProperty(String),
    /// The instance does not fit.
    OutOfBounds(OutOfBounds),
    /// The trace is malformed or departs from the specification.
    Trace(TraceError),
}

impl fmt::Display for SuiteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownInstance(name) => {
                write!(
                    f,
                    "there is no instance {name:?}; `holdfast-model list` names them"
                )
            }
            Self::UnknownMutant(id) => {
                write!(
                    f,
                    "there is no mutant {id:?}; `holdfast-model list` names them"
                )
            }
            Self::UnknownProperty(name) => {
                write!(
                    f,
                    "there is no property {name:?} that could fall; `holdfast-model check --json` \
                     names them"
                )
            }
            Self::OutOfBounds(error) => error.fmt(f),
            Self::Trace(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SuiteError {}

impl From<OutOfBounds> for SuiteError {
    fn from(error: OutOfBounds) -> Self {
        Self::OutOfBounds(error)
    }
}

impl From<TraceError> for SuiteError {
    fn from(error: TraceError) -> Self {
        Self::Trace(error)
    }
}

/// Every specification of the project.
#[must_use]
pub fn suites() -> Vec<Box<dyn Suite>> {
    vec![
        Box::new(Of::<crate::session::Session>(PhantomData)),
        Box::new(Of::<crate::cluster::Cluster>(PhantomData)),
        Box::new(Of::<crate::storage::Storage>(PhantomData)),
    ]
}

struct Of<S>(PhantomData<S>);

impl<S: Spec> Of<S> {
    fn at(instance: &str) -> Result<S, SuiteError> {
        S::at(instance).ok_or_else(|| SuiteError::UnknownInstance(instance.to_owned()))
    }

    fn under(rules: &str, instance: &str) -> Result<S, SuiteError> {
        if rules == Header::HOLDFAST {
            return Self::at(instance);
        }
        let mutant = S::mutants().into_iter().find(|mutant| mutant.id == rules);
        match mutant {
            Some(mutant) if mutant.spec.instance().name == instance => Ok(mutant.spec),
            Some(_) => Err(SuiteError::UnknownInstance(instance.to_owned())),
            None => Err(SuiteError::UnknownMutant(rules.to_owned())),
        }
    }
}

impl<S: Diagram> Suite for Of<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn instances(&self) -> &'static [Instance] {
        S::instances()
    }

    fn mutants(&self) -> Vec<(String, String)> {
        S::mutants()
            .into_iter()
            .map(|mutant| (mutant.id, mutant.says))
            .collect()
    }

    fn exhaust(&self, instance: &str) -> Result<Exact, SuiteError> {
        exhaust(&Self::at(instance)?)
    }

    fn second_opinion(&self, instance: &str) -> Result<Counts, SuiteError> {
        Ok(Checked::new(Self::at(instance)?).count())
    }

    fn kill(&self, mutant: &str) -> Result<(MutantRow, Option<String>), SuiteError> {
        let mutant = S::mutants()
            .into_iter()
            .find(|m| m.id == mutant)
            .ok_or_else(|| SuiteError::UnknownMutant(mutant.to_owned()))?;
        let (row, trace) = mutant.kill()?;
        Ok((row, trace.map(|trace| trace.to_lines())))
    }

    fn counterexample(&self, instance: &str, property: &str) -> Result<Option<String>, SuiteError> {
        let watched = S::properties()
            .into_iter()
            .find(|p| p.name == property && p.kind() != Kind::Sometimes)
            .ok_or_else(|| SuiteError::UnknownProperty(property.to_owned()))?;
        let run = counterexample(&Self::at(instance)?, watched)?;
        Ok(run.map(|run| run.to_lines()))
    }

    fn guards(&self, full: bool, only: &str) -> Result<Vec<GuardRow>, SuiteError> {
        let of = |long: bool| {
            let instances = S::instances().iter();
            instances.filter(move |i| (i.effort == Effort::Long) == long)
        };
        let named = |i: &Instance| Self::at(i.name);
        let build: Result<Vec<S>, _> = of(false).map(named).collect();
        let long: Result<Vec<S>, _> = of(true).filter(|_| full).map(named).collect();
        let named = |at: &usize| {
            let Conjunct { guard, says, .. } = S::conjuncts()[*at];
            format!("{}/{guard}: {says}", S::NAME).starts_with(only)
        };
        let wanted: Vec<usize> = (0..S::conjuncts().len()).filter(named).collect();
        Ok(judge_guards(&build?, &long?, &wanted)?)
    }

    fn narrate(&self, header: Header, mut lines: &mut dyn BufRead) -> Result<String, SuiteError> {
        let spec = Self::under(&header.rules, &header.instance)?;
        let trace = Trace::<S>::read_steps(header, &mut lines)?;
        Ok(trace.narrate(&spec)?)
    }

    fn draw(&self, header: Header, mut lines: &mut dyn BufRead) -> Result<String, SuiteError> {
        let spec = Self::under(&header.rules, &header.instance)?;
        let trace = Trace::<S>::read_steps(header, &mut lines)?;
        Ok(svg(&picture_of_trace(&spec, &trace)?))
    }

    fn walk(&self, instance: &str, refusals: bool) -> Result<Box<dyn Served>, SuiteError> {
        Ok(Box::new(Walk::new(Self::at(instance)?, refusals)))
    }

    fn walk_along(
        &self,
        header: Header,
        mut lines: &mut dyn BufRead,
        refusals: bool,
    ) -> Result<Box<dyn Served>, SuiteError> {
        let spec = Self::under(&header.rules, &header.instance)?;
        let trace = Trace::<S>::read_steps(header, &mut lines)?;
        Ok(Box::new(Walk::along(spec, &trace, refusals)?))
    }
}

/// Exhausts one specification with both checkers, side by side.
///
/// # Errors
/// When it does not fit.
pub fn check<S: Spec>(spec: &S) -> Result<CheckRow, SuiteError> {
    let (exact, second) = std::thread::scope(|scope| {
        let second = scope.spawn(|| Checked::new(spec.clone()).count());
        (exhaust(spec), second.join())
    });
    let second = second.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    Ok(exact?.with(&second))
}

/// Exhausts one specification in the exact graph, and judges every property.
fn exhaust<S: Spec>(spec: &S) -> Result<Exact, SuiteError> {
    let begun = Instant::now();
    let mut graph = explore(spec, &S::properties(), Bounds::default())?;
    graph.judge_liveness();
    let digest = graph.digest();
    let (properties, unseen) = property_rows(&graph);
    let mut actions = BTreeMap::new();
    for (action, fired) in graph.actions.iter().zip(&graph.fired) {
        *actions.entry(action_name(action)).or_default() += fired;
    }
    let refused = S::refusals()
        .iter()
        .map(|r| (*r).to_owned())
        .zip(graph.refused.clone());
    Ok(Exact::new(CheckRow {
        spec: S::NAME.to_owned(),
        instance: spec.instance().name.to_owned(),
        states: graph.len() as u64,
        transitions: graph.transitions(),
        depth: u64::from(graph.depth),
        seconds: begun.elapsed().as_secs_f64(),
        digest,
        properties,
        actions,
        terminal: graph.terminal,
        code_bytes: graph.code_bytes() as u64,
        kept_bytes: graph.kept_bytes() as u64,
        bytes_per_state: (graph.memory() / graph.len().max(1)) as u64,
        refused: refused.collect(),
        unseen,
        symmetry: orbits(&graph),
        stateright: StaterightRow::default(),
        stateright_fallen: Vec::new(),
    }))
}

fn property_rows<S: Spec>(graph: &Graph<S>) -> (Vec<PropertyRow>, Vec<String>) {
    let mut rows = Vec::new();
    let mut unseen = Vec::new();
    for (property, tally) in S::properties().iter().zip(&graph.tallies) {
        let (mut evaluations, mut non_vacuous) = (tally.evaluations, tally.non_vacuous);
        if let Check::Refused(reason) = property.check {
            let at = S::refusals().iter().position(|r| *r == reason);
            evaluations = graph.refused.iter().sum();
            non_vacuous = at.map_or(0, |at| graph.refused[at]);
        }
        if property.kind() == Kind::Sometimes && non_vacuous == 0 {
            unseen.push(property.name.to_owned());
            continue;
        }
        let kind = match property.kind() {
            Kind::Always => "always",
            Kind::Step => "step",
            Kind::Call => "call",
            Kind::Sometimes => "sometimes",
            Kind::Leads => "leads",
        };
        rows.push(PropertyRow {
            name: property.name.to_owned(),
            kind: kind.to_owned(),
            holds: tally.fall.is_none(),
            evaluations,
            non_vacuous,
        });
    }
    (rows, unseen)
}
