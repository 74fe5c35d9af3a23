//! The graph of what is within reach, and the tour that takes its edges in the cluster.
//!
//! The graph is the specification's own, along the steps that the product takes ([`super::reach`]). The
//! cluster is no value that could be copied, so its edges are taken on tours: on from where the last
//! one led as long as an edge is left there or can be walked to, then from a fresh cluster again.
//!
//! A tour has *targets*: every edge, or one of each class (a quotient tour).

use std::collections::{BTreeSet, HashMap, VecDeque};

use holdfast_model::checking::{Header, Spec as _, Trace, TraceStep};
use holdfast_model::session::state::Phase;
use holdfast_model::session::{Action, Session as Spec, State};

use super::ground::Grounds;
use super::reach::{self, Step};
use super::rig::{Lens, Rig};
use crate::product::{Difference, Disagreement, Patience, Walk, guarded};

/// What is taken of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Targets {
    /// Every edge.
    Edges,
    /// One edge of each class, the nearest one.
    Classes,
}

struct Edge {
    step: Step,
    /// The state that it leads to, if it is among those that are looked at.
    to: usize,
    target: bool,
}

struct Node {
    state: State,
    edges: Vec<Edge>,
    /// Calls with tokens that are over, one each.
    stale: Vec<Action>,
}

/// The part of an instance that is within reach.
pub struct Graph {
    nodes: Vec<Node>,
    /// The initial states, with their names.
    initial: Vec<(&'static str, usize)>,
    states_max: usize,
    /// Granted edges of these states that are out of reach.
    pub out_of_reach: u64,
    /// Edges that lead out of the states that are looked at.
    pub beyond: u64,
    /// Classes of edges.
    pub classes: usize,
}

impl Graph {
    /// Walks the specification breadth first, along what is within reach, up to so many states: of a
    /// larger instance the nearest ones are looked at.
    #[must_use]
    pub fn of(spec: &Spec, targets: Targets, states_max: usize) -> Self {
        let mut graph = Self {
            nodes: Vec::new(),
            initial: Vec::new(),
            states_max,
            out_of_reach: 0,
            beyond: 0,
            classes: 0,
        };
        let mut numbers = HashMap::new();
        for (name, state) in spec.initial() {
            let mut histories = state.histories.iter().take(spec.volumes().len());
            if histories.all(super::disks::can_be_source) {
                let number = graph.number(&mut numbers, state);
                graph.initial.extend(number.map(|number| (name, number)));
            }
        }
        let mut classes = BTreeSet::new();
        let mut calls = Vec::new();
        let mut at = 0;
        while at < graph.nodes.len() {
            let state = graph.nodes[at].state;
            calls.clear();
            spec.calls(&state, &mut calls);
            let mut over = BTreeSet::new();
            for &action in &calls {
                let Some(step) = reach::step(spec, &state, action) else {
                    let granted = spec.guard(&state, action).is_ok();
                    graph.out_of_reach += u64::from(granted);
                    if let (false, Some(token)) = (granted, action.token())
                        && spec.slot(token.volume, token.replica).is_some()
                        && is_over(spec, &state, action)
                        && over.insert(token)
                    {
                        graph.nodes[at].stale.push(action);
                    }
                    continue;
                };
                let after = match step.after(spec, &state) {
                    Some(after) => after,
                    // Refused, and nothing has changed.
                    None => state,
                };
                let Some(to) = graph.number(&mut numbers, after) else {
                    graph.beyond += 1;
                    continue;
                };
                let is_new = classes.insert(class(spec, &state, action));
                let target = is_new || targets == Targets::Edges;
                graph.nodes[at].edges.push(Edge { step, to, target });
            }
            at += 1;
        }
        graph.classes = classes.len();
        graph
    }

    fn number(&mut self, numbers: &mut HashMap<State, usize>, state: State) -> Option<usize> {
        if let Some(&known) = numbers.get(&state) {
            return Some(known);
        }
        if self.nodes.len() >= self.states_max {
            return None;
        }
        let number = self.nodes.len();
        numbers.insert(state, number);
        self.nodes.push(Node {
            state,
            edges: Vec::new(),
            stale: Vec::new(),
        });
        Some(number)
    }

    /// How many states there are.
    #[must_use]
    pub fn states(&self) -> usize {
        self.nodes.len()
    }
}

/// Whether a call presents the token of a session that is not the present one.
fn is_over(spec: &Spec, state: &State, action: Action) -> bool {
    action.token().is_some_and(|token| {
        let slot = spec.slot(token.volume, token.replica);
        let session = slot.and_then(|slot| state.senders[slot]?.session);
        session.is_none_or(|session| session.token(token.volume, token.replica) != token)
    })
}

/// What edges have in common of which one is taken for all: the call and whether it is granted; the
/// phase, kind and epoch order of the session; the classes of positions.
fn class(spec: &Spec, state: &State, action: Action) -> String {
    let granted = match spec.guard(state, action) {
        Ok(()) => "granted",
        Err(refusal) => Spec::refusals()[Spec::refusal_index(&refusal)],
    };
    let slot = action
        .token()
        .and_then(|token| spec.slot(token.volume, token.replica))
        .unwrap_or(0);
    let history = &state.histories[spec.volume_index(slot)];
    let volume = state.volumes[spec.volume_index(slot)];
    let started = volume.is_some_and(|volume| history.epoch_start(volume.epoch).is_some());
    let logs = (
        history.committed.cmp(&history.log.head()),
        history.checkpoint.cmp(&history.committed),
        history.retained_from > Some(0),
        started,
    );
    let sender = state.senders[slot].map(|sender| {
        let session = sender.session.map(|session| {
            let epochs = volume.map(|volume| session.epoch.cmp(&volume.epoch));
            (phase(&session.phase), session.kind, epochs)
        });
        (
            sender.state,
            sender.member,
            sender.acknowledged.is_some(),
            session,
        )
    });
    let disk = state.ghosts[slot];
    let replica = (
        disk.log.head().cmp(&history.log.head()),
        disk.diverged,
        disk.extent_bound > disk.log.head(),
    );
    format!(
        "{} {granted} {logs:?} {sender:?} {replica:?}",
        action.name()
    )
}

const fn phase(phase: &Phase) -> &'static str {
    match phase {
        Phase::Init => "init",
        Phase::Connecting => "connecting",
        Phase::Handshake => "handshake",
        Phase::CatchUp(_) => "catch_up",
        Phase::SourceSelect(None) => "source_select",
        Phase::SourceSelect(Some(_)) => "source_selected",
        Phase::Transfer(_) => "transfer",
        Phase::TailReplay(_) => "tail_replay",
        Phase::Completed(_) => "completed",
    }
}

/// What became of one instance.
pub struct Tour {
    /// The figures.
    pub walk: Walk<Spec>,
    /// Edges that were taken, repetitions included.
    pub taken: u64,
    /// Fresh clusters.
    pub fresh: u64,
    /// Late frames that were refused.
    pub late_frames: u64,
    /// Granted edges out of reach, and beyond the states that are looked at.
    pub out_of_reach: u64,
    /// Classes of edges.
    pub classes: usize,
}

/// Takes the targets of an instance, among so many of its states at most, in clusters of the product.
#[must_use]
pub fn tour(
    spec: Spec,
    targets: Targets,
    states_max: usize,
    (grounds, lens): (&dyn Grounds, Lens),
    patience: Patience,
) -> Tour {
    let began = std::time::Instant::now();
    let graph = Graph::of(&spec, targets, states_max);
    let mut tourist = Tourist {
        rig: Rig::new(spec, grounds, lens),
        patience,
        left: graph
            .nodes
            .iter()
            .map(|node| node.edges.iter().filter(|edge| edge.target).count())
            .collect(),
        told: vec![false; graph.nodes.len()],
        out: Tour {
            walk: Walk::nothing_yet(),
            taken: 0,
            fresh: 0,
            late_frames: 0,
            out_of_reach: graph.out_of_reach + graph.beyond,
            classes: graph.classes,
        },
        graph,
    };
    tourist.count();
    while tourist.go() {}
    let mut out = tourist.out;
    out.walk.seconds = began.elapsed().as_secs_f64();
    out
}

struct Tourist<'a> {
    rig: Rig<'a>,
    graph: Graph,
    patience: Patience,
    /// Targets that are left, by state.
    left: Vec<usize>,
    /// States in which the sessions that are over have told again what they told last.
    told: Vec<bool>,
    out: Tour,
}

impl Tourist<'_> {
    fn count(&mut self) {
        let spec = &self.rig.spec;
        self.out.walk.states = self.graph.states() as u64;
        for node in &self.graph.nodes {
            for edge in node.edges.iter().filter(|edge| edge.target) {
                let action = edge.step.action();
                if spec.guard(&node.state, action).is_ok() {
                    self.out.walk.edges_total += 1;
                    let of_world = matches!(action, Action::World(_));
                    self.out.walk.edges_of_surroundings += u64::from(of_world);
                } else {
                    self.out.walk.disabled_total += 1;
                }
            }
        }
    }

    /// One tour from a fresh cluster; `false` when nothing is left to be taken.
    fn go(&mut self) -> bool {
        let starts: Vec<usize> = self.graph.initial.iter().map(|(_, at)| *at).collect();
        let Some((start, _)) = self.way(&starts) else {
            return false;
        };
        let mut trail: Vec<(usize, usize)> = Vec::new();
        self.out.fresh += 1;
        let mut cluster = match self.rig.start(&self.graph.nodes[start].state) {
            Ok(cluster) => cluster,
            Err(difference) => {
                self.disagree(start, &trail, difference);
                // Nothing can be taken from here.
                self.graph.initial.retain(|(_, at)| *at != start);
                return !self.is_over();
            }
        };
        let mut here = start;
        loop {
            self.tell_again(&mut cluster, start, here, &trail);
            let Some((_, way)) = self.way(&[here]) else {
                break;
            };
            for (at, edge) in way {
                trail.push((at, edge));
                let taken = &mut self.graph.nodes[at].edges[edge];
                let (step, to) = (taken.step, taken.to);
                let first = std::mem::take(&mut taken.target);
                self.left[at] -= usize::from(first);
                let (before, after) = (self.graph.nodes[at].state, self.graph.nodes[to].state);
                let granted = self.rig.spec.guard(&before, step.action()).is_ok();
                self.out.taken += 1;
                let done = guarded(|| self.rig.take(&mut cluster, &before, step, &after));
                if let Err(difference) = done {
                    self.disagree(start, &trail, difference);
                    self.block(at, edge);
                    return !self.is_over();
                }
                if first && granted {
                    self.out.walk.edges_covered += 1;
                } else if first {
                    self.out.walk.disabled_checked += 1;
                }
                here = to;
            }
        }
        self.out.late_frames += cluster.late_frames;
        true
    }

    /// An edge on which the two differ leads nowhere.
    fn block(&mut self, at: usize, edge: usize) {
        self.graph.nodes[at].edges[edge].to = at;
        self.graph.nodes[at].edges[edge].target = false;
        self.graph.nodes[at].edges.remove(edge);
    }

    fn is_over(&self) -> bool {
        self.patience.fail_fast && self.out.walk.disagreements > 0
            || self.out.walk.disagreements >= DISAGREEMENTS_MAX
    }

    /// The shortest way from any of these states to a target, the target's edge included.
    fn way(&self, from: &[usize]) -> Option<(usize, Vec<(usize, usize)>)> {
        let mut reached: HashMap<usize, Option<(usize, usize)>> = HashMap::new();
        let mut queue = VecDeque::new();
        for &at in from {
            if reached.insert(at, None).is_none() {
                queue.push_back(at);
            }
        }
        while let Some(at) = queue.pop_front() {
            if self.left[at] > 0 {
                let edges = &self.graph.nodes[at].edges;
                let target = edges.iter().position(|edge| edge.target)?;
                let mut way = vec![(at, target)];
                let mut here = at;
                while let Some(Some((before, edge))) = reached.get(&here) {
                    way.push((*before, *edge));
                    here = *before;
                }
                way.reverse();
                return Some((here, way));
            }
            for (number, edge) in self.graph.nodes[at].edges.iter().enumerate() {
                if edge.to != at {
                    reached.entry(edge.to).or_insert_with(|| {
                        queue.push_back(edge.to);
                        Some((at, number))
                    });
                }
            }
        }
        None
    }

    /// Sessions that are over tell again what they told last, once in each state.
    fn tell_again(
        &mut self,
        cluster: &mut super::cluster::Cluster,
        start: usize,
        here: usize,
        trail: &[(usize, usize)],
    ) {
        if std::mem::replace(&mut self.told[here], true) {
            return;
        }
        let state = self.graph.nodes[here].state;
        for action in self.graph.nodes[here].stale.clone() {
            let Some(done) = self.rig.tell_again(cluster, &state, action) else {
                continue;
            };
            self.out.walk.disabled_total += 1;
            match done {
                Ok(()) => self.out.walk.disabled_checked += 1,
                Err(difference) => self.disagree(start, trail, difference),
            }
        }
    }

    fn disagree(&mut self, start: usize, trail: &[(usize, usize)], difference: Difference) {
        self.out.walk.disagreements += 1;
        if self.out.walk.kept.len() >= self.patience.kept {
            return;
        }
        let trace = self.trace(start, trail);
        let at = trail.last().map_or(start, |(at, _)| *at);
        self.out.walk.kept.push(Disagreement {
            difference,
            before: self.rig.show(&self.graph.nodes[at].state),
            system: "a cluster".into(),
            trace,
        });
    }

    /// The way of the cluster, as a trace of the specification.
    fn trace(&self, start: usize, trail: &[(usize, usize)]) -> Trace<Spec> {
        let spec = &self.rig.spec;
        let name = self.graph.initial.iter().find(|(_, at)| *at == start);
        let mut steps = Vec::new();
        let mut state = self.graph.nodes[start].state;
        for &(at, edge) in trail {
            let step = self.graph.nodes[at].edges[edge].step;
            let actions = match step {
                Step::One(action) => vec![action],
                Step::ThenComplete(first, second) | Step::RefusedThenFails(first, second) => {
                    vec![first, second]
                }
            };
            for action in actions {
                let name = |r| Spec::refusals()[Spec::refusal_index(&r)].to_owned();
                let refused = match spec.step(&state, action) {
                    Ok((after, _)) => {
                        state = after;
                        None
                    }
                    Err(refusal) => Some(name(refusal)),
                };
                steps.push(TraceStep { action, refused });
            }
        }
        let header = Header {
            holdfast_trace: Header::VERSION,
            spec: Spec::NAME.to_owned(),
            instance: spec.instance().name.to_owned(),
            rules: "holdfast".to_owned(),
            initial: name.map_or("", |(name, _)| name).to_owned(),
            falls: None,
            command: Some(format!(
                "holdfast-conformance report --level {}",
                self.rig.level().to_lowercase()
            )),
        };
        Trace { header, steps }
    }
}

/// Disagreements after which a tour ends: what follows would say no more.
const DISAGREEMENTS_MAX: u64 = 50;
