//! Mutations: rules switched off or replaced, one at a time, to show that the properties can
//! fall.
//!
//! A mutant that survives is a defect of the properties, or its rule is not needed.

use std::time::Instant;

use super::report::MutantRow;
use super::trace::{Header, Trace, TraceStep};
use super::{Bounds, Check, Graph, OutOfBounds, Property, Spec, find_fall};

/// A specification with one rule broken, and what must see it.
#[derive(Clone, Debug)]
pub struct Mutant<S> {
    /// Begins with the id of the failure catalogue; unique over all specifications.
    pub id: String,
    /// What was done to the rules.
    pub says: String,
    /// The property that must fall; `None`: any one of them (generated deletions of guards).
    pub property: Option<&'static str>,
    /// The broken specification, at the bounds of the instance that shows it.
    pub spec: S,
}

impl<S: Spec> Mutant<S> {
    /// Searches for a shortest trace on which the expected property falls.
    ///
    /// # Errors
    /// [`OutOfBounds`] when the broken instance does not fit.
    pub fn kill(&self) -> Result<(MutantRow, Option<Trace<S>>), OutOfBounds> {
        self.kill_within(Bounds::default())
    }

    /// The same, among so many states.
    pub(super) fn kill_within(
        &self,
        bounds: Bounds,
    ) -> Result<(MutantRow, Option<Trace<S>>), OutOfBounds> {
        let begun = Instant::now();
        let mut watched = S::properties();
        watched.retain(|property| match self.property {
            Some(name) => property.name == name,
            None => !matches!(
                property.check,
                Check::Sometimes(_) | Check::SometimesStep(_) | Check::Refused(_)
            ),
        });
        let (graph, fallen) = search(&self.spec, &watched, bounds)?;
        let trace = fallen.map(|fallen| {
            let command = format!("holdfast-model trace --mutant {}", self.id);
            run_to(&graph, fallen, &self.id, command)
        });
        let row = MutantRow {
            id: self.id.clone(),
            spec: S::NAME.to_owned(),
            instance: self.spec.instance().name.to_owned(),
            property: fallen
                .map_or(self.property.unwrap_or("none"), |fallen| fallen.property)
                .to_owned(),
            depth: trace
                .as_ref()
                .map_or(u64::from(graph.depth), |t| t.steps.len() as u64),
            states: graph.len() as u64,
            seconds: begun.elapsed().as_secs_f64(),
            killed: trace.is_some(),
            says: self.says.clone(),
        };
        Ok((row, trace))
    }
}

/// A shortest run on which a property falls under the rules as they are; `None`: it holds.
///
/// # Errors
/// [`OutOfBounds`] when the instance does not fit.
pub(super) fn counterexample<S: Spec>(
    spec: &S,
    property: Property<S>,
) -> Result<Option<Trace<S>>, OutOfBounds> {
    let place = format!("{}/{}", S::NAME, spec.instance().name);
    let command = format!(
        "holdfast-model trace --instance {place} --property {:?}",
        property.name
    );
    let (graph, fallen) = search(spec, &[property], Bounds::default())?;
    Ok(fallen.map(|fallen| run_to(&graph, fallen, Header::HOLDFAST, command)))
}

/// Where a property fell: at a state, or with the action that was taken there.
#[derive(Clone, Copy)]
struct Fallen {
    property: &'static str,
    state: u32,
    action: Option<u16>,
}

/// Explores until one of `watched` falls, or everything.
fn search<S: Spec>(
    spec: &S,
    watched: &[Property<S>],
    bounds: Bounds,
) -> Result<(Graph<S>, Option<Fallen>), OutOfBounds> {
    let mut graph = find_fall(spec, watched, bounds)?;
    if graph.tallies.iter().all(|tally| tally.fall.is_none()) {
        // Nothing fell on the way, so that the graph is whole.
        graph.judge_liveness();
    }
    let fallen = watched
        .iter()
        .zip(&graph.tallies)
        .find_map(|(property, tally)| {
            tally.fall.map(|(state, action)| Fallen {
                property: property.name,
                state,
                action,
            })
        });
    Ok((graph, fallen))
}

/// The run that leads there.
fn run_to<S: Spec>(graph: &Graph<S>, fallen: Fallen, rules: &str, command: String) -> Trace<S> {
    let spec = &graph.spec;
    let (initial, mut actions) = graph.path_to(fallen.state);
    let last = fallen
        .action
        .map(|action| graph.actions[usize::from(action)]);
    actions.extend(last);
    let header = Header {
        holdfast_trace: Header::VERSION,
        spec: S::NAME.to_owned(),
        instance: spec.instance().name.to_owned(),
        rules: rules.to_owned(),
        initial: spec.initial()[initial].0.to_owned(),
        falls: Some(fallen.property.to_owned()),
        command: Some(command),
    };
    let mut at = spec.initial()[initial].1;
    let steps = actions
        .into_iter()
        .map(|action| {
            let refused = spec.guard(&at, action).err();
            if refused.is_none() {
                at = spec.apply(&at, action).0;
            }
            let refused = refused.map(|r| S::refusals()[S::refusal_index(&r)].to_owned());
            TraceStep { action, refused }
        })
        .collect();
    Trace { header, steps }
}
