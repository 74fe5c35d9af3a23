//! Tours over every edge of an instance.
//!
//! A process cannot be copied, but disks can: every power loss and every death of the process is
//! taken on a copy, and the state after it, disks without a process, is kept. From such a state a
//! tour follows edges that were not yet taken until there is none; then another one is begun, by
//! opening the kept disks anew and repeating the steps that first led to a state with edges left. What
//! is compared after every step, repeated ones apart, is [`super::view`].
//!
//! An edge that the volume does not make on its own is left out with its reason, and so is what
//! can only be reached by it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use hashbrown::HashMap;
use holdfast_model::checking::{Bounds, Header, Spec as _, Trace, TraceStep, explore};
use holdfast_model::storage::Storage as Spec;
use holdfast_model::storage::action::{Action, Refusal};
use holdfast_model::storage::state::{Phase, State};

use super::rig::{Coarser, Saved, System, Unmade, VolumeRig};
use super::view::{self, Expected, View};
use super::{Lens, refusal};
use crate::product::{Difference, Disagreement, Patience};

/// What became of one instance.
#[derive(Clone, Debug)]
pub struct Tour {
    /// The instance.
    pub instance: &'static str,
    /// States that the specification has there, and those that the volume was brought to.
    pub states: (u64, u64),
    /// Granted steps that the specification has there.
    pub edges_total: u64,
    /// Those on which the two agreed.
    pub edges_covered: u64,
    /// Those that the volume does not make on its own, by the reason.
    pub coarser: BTreeMap<Coarser, u64>,
    /// Refused steps that a caller of the volume can ask for, in the states that it was brought to.
    pub disabled_total: u64,
    /// Those on which the two agreed.
    pub disabled_checked: u64,
    /// Steps of either kind on which they differed.
    pub disagreements: u64,
    /// The first of these.
    pub kept: Vec<Disagreement<Spec>>,
    /// Crash images of which recovery was compared.
    pub recoveries: u64,
    /// Steps made, repeated ones included.
    pub steps: u64,
    /// Whether it ended because it had made as many steps as it may.
    pub ended_early: bool,
    /// Wall clock time.
    pub seconds: f64,
}

/// How many states are looked at for one that has steps left, before another tour is begun.
const NEAR: usize = 48;

struct Node {
    state: State,
    /// How it was first reached, within the tours of one process.
    reached_by: Option<(u32, Action)>,
    /// The disks that its process was, or will be, opened on; none is the blank store.
    disks: Option<Rc<Saved>>,
    /// Granted steps that were not yet made.
    left: Vec<Action>,
    /// Those that were, with the states that they led to within the life of a process.
    made: Vec<(Action, u32)>,
    is_new: bool,
}

struct Tourist<'a> {
    rig: &'a VolumeRig,
    lens: Lens,
    patience: Patience,
    steps_most: u64,
    stop: &'a AtomicBool,
    nodes: Vec<Node>,
    numbers: HashMap<State, u32>,
    /// States that may have edges left, the latest first.
    open: Vec<u32>,
    tour: Tour,
}

/// Takes tours over an instance until no edge is left that can be taken, so many steps were made, or
/// somebody found what ends it all.
#[must_use]
pub fn take(
    rig: &VolumeRig,
    lens: Lens,
    (steps_most, patience): (u64, Patience),
    stop: &AtomicBool,
) -> Tour {
    let began = Instant::now();
    let spec = &rig.spec;
    let graph = explore(spec, &[], Bounds::default());
    let (states, edges_total) = match &graph {
        Ok(graph) => (graph.len() as u64, graph.transitions()),
        Err(_) => (u64::MAX, u64::MAX),
    };
    drop(graph);
    let mut tourist = Tourist {
        rig,
        lens,
        patience,
        steps_most,
        stop,
        nodes: Vec::new(),
        numbers: HashMap::new(),
        open: Vec::new(),
        tour: Tour {
            instance: spec.instance.name,
            states: (states, 0),
            edges_total,
            edges_covered: 0,
            coarser: BTreeMap::new(),
            disabled_total: 0,
            disabled_checked: 0,
            disagreements: 0,
            kept: Vec::new(),
            recoveries: 0,
            steps: 0,
            ended_early: false,
            seconds: 0.0,
        },
    };
    for (_, state) in spec.initial() {
        tourist.reach(state, None, None);
    }
    while let Some(number) = tourist.next_open() {
        tourist.go_from(number);
    }
    tourist.tour.states.1 = tourist.nodes.len() as u64;
    tourist.tour.seconds = began.elapsed().as_secs_f64();
    tourist.tour
}

impl Tourist<'_> {
    fn is_over(&mut self) -> bool {
        if self.patience.fail_fast && self.tour.disagreements > 0 {
            self.stop.store(true, Ordering::Relaxed);
        }
        self.tour.ended_early |= self.tour.steps >= self.steps_most;
        self.tour.ended_early || self.stop.load(Ordering::Relaxed)
    }

    fn next_open(&mut self) -> Option<u32> {
        if self.is_over() {
            return None;
        }
        while let Some(last) = self.open.last() {
            if !self.nodes[*last as usize].left.is_empty() {
                return Some(*last);
            }
            // Its disks are needed no longer by it.
            self.nodes[*last as usize].disks = None;
            self.open.pop();
        }
        None
    }

    /// The number of a state, new or known.
    fn reach(
        &mut self,
        state: State,
        reached_by: Option<(u32, Action)>,
        disks: Option<Rc<Saved>>,
    ) -> u32 {
        if let Some(number) = self.numbers.get(&state) {
            return *number;
        }
        let spec = &self.rig.spec;
        let mut calls = Vec::new();
        spec.calls(&state, &mut calls);
        let left = calls
            .into_iter()
            .filter(|call| spec.guard(&state, *call).is_ok());
        let number = self.nodes.len() as u32;
        self.nodes.push(Node {
            left: left.collect(),
            made: Vec::new(),
            state,
            reached_by,
            disks,
            is_new: true,
        });
        self.numbers.insert(state, number);
        self.open.push(number);
        number
    }

    /// The steps from the disks of a state's process to it.
    fn way_to(&self, number: u32) -> Vec<(u32, Action)> {
        let mut way = Vec::new();
        let mut at = number;
        while let Some((from, action)) = self.nodes[at as usize].reached_by {
            way.push((from, action));
            at = from;
        }
        way.reverse();
        way
    }

    fn go_from(&mut self, number: u32) {
        let Some(mut system) = self.repeat(number) else {
            // It was reached once: what cannot be repeated is a defect of the rig or of the volume.
            self.nodes[number as usize].left.clear();
            return;
        };
        let mut at = number;
        loop {
            self.look_around(at, &mut system);
            if self.is_over() {
                return;
            }
            let Some(action) = self.nodes[at as usize].left.pop() else {
                match self.walk_on(at, &mut system) {
                    Some(next) => at = next,
                    None => return,
                }
                continue;
            };
            match self.advance(at, action, &mut system) {
                Some(next) => at = next,
                None => return,
            }
        }
    }

    /// Goes on to the nearest state with steps left, by steps that were made before.
    fn walk_on(&mut self, from: u32, system: &mut System) -> Option<u32> {
        let mut seen = vec![(from, None)];
        let mut at = 0;
        while at < seen.len() && seen.len() < NEAR {
            let (number, _): (u32, Option<(usize, Action)>) = seen[at];
            if !self.nodes[number as usize].left.is_empty() {
                let mut way = Vec::new();
                let mut place = at;
                while let Some((earlier, action)) = seen[place].1 {
                    way.push((seen[earlier].0, action));
                    place = earlier;
                }
                way.reverse();
                return self.make_again(&way, system).then_some(number);
            }
            for (action, next) in &self.nodes[number as usize].made {
                if seen.iter().all(|(known, _)| known != next) {
                    seen.push((*next, Some((at, *action))));
                }
            }
            at += 1;
        }
        None
    }

    /// Makes steps that were made before; whether the volume made them again.
    fn make_again(&mut self, way: &[(u32, Action)], system: &mut System) -> bool {
        for &(from, action) in way {
            let before = self.nodes[from as usize].state;
            let (after, ()) = self.rig.spec.apply(&before, action);
            self.tour.steps += 1;
            let made = guarded(|| self.rig.make(system, &before, action, &after));
            if let Err(difference) = made {
                self.differ(from, Some(action), difference);
                return false;
            }
        }
        true
    }

    /// A process in that state.
    fn repeat(&mut self, number: u32) -> Option<System> {
        let way = self.way_to(number);
        let disks = self.nodes[number as usize].disks.clone();
        let mut system = match disks {
            Some(saved) => self.rig.resume(&saved),
            None => match guarded(|| self.rig.start()) {
                Ok(system) => system,
                Err(difference) => {
                    self.differ(number, None, difference);
                    return None;
                }
            },
        };
        self.make_again(&way, &mut system).then_some(system)
    }

    /// What can be done in a state without leaving it: crashes, on copies, and what must be refused.
    fn look_around(&mut self, number: u32, system: &mut System) {
        let node = &mut self.nodes[number as usize];
        if !node.is_new {
            return;
        }
        node.is_new = false;
        let state = node.state;
        let (crashes, left) = std::mem::take(&mut node.left)
            .into_iter()
            .partition(is_crash);
        node.left = left;
        self.refusals(number, &state, system);
        let crashes: Vec<Action> = crashes;
        for action in crashes {
            self.crash(number, &state, action, system);
        }
    }

    fn crash(&mut self, number: u32, state: &State, action: Action, system: &System) {
        let (after, ()) = self.rig.spec.apply(state, action);
        let saved = self
            .rig
            .fork(system, state, action, self.tour.edges_covered);
        let mut left = self.rig.resume(&saved);
        self.tour.steps += 1;
        match self.compare(&after, &mut left) {
            Ok(()) => {
                self.tour.edges_covered += 1;
                self.reach(after, None, Some(Rc::new(saved)));
            }
            Err(difference) => self.differ(number, Some(action), difference),
        }
    }

    fn refusals(&mut self, number: u32, state: &State, system: &mut System) {
        let spec = &self.rig.spec;
        let mut calls = Vec::new();
        spec.calls(state, &mut calls);
        let refused: Vec<(Action, Refusal)> = (calls.into_iter())
            .filter_map(|call| Some((call, spec.guard(state, call).err()?)))
            .collect();
        for (action, why) in refused {
            let bounds = &self.rig.spec.bounds;
            system.world.pass(super::disk::Gate::default());
            let asked = catch_unwind(AssertUnwindSafe(|| {
                refusal::ask(bounds, system, state, action, why)
            }));
            let answer = match asked {
                Ok(None) => continue,
                Ok(Some(answer)) => answer.and_then(|()| self.compare(state, system)),
                Err(_) => Err(panicked()),
            };
            self.tour.disabled_total += 1;
            match answer {
                Ok(()) => self.tour.disabled_checked += 1,
                Err(difference) => self.differ(number, Some(action), difference),
            }
        }
    }

    /// Makes a step; the state after it, if the two agree.
    fn advance(&mut self, number: u32, action: Action, system: &mut System) -> Option<u32> {
        let before = self.nodes[number as usize].state;
        let (after, ()) = self.rig.spec.apply(&before, action);
        self.tour.steps += 1;
        let mut coarser = None;
        let made = guarded(|| match self.rig.make(system, &before, action, &after) {
            Err(Unmade::Coarser(why)) => {
                coarser = Some(why);
                Ok(())
            }
            made => made,
        });
        if let Some(why) = coarser {
            *self.tour.coarser.entry(why).or_default() += 1;
            return Some(number);
        }
        let compared = made.and_then(|()| self.compare(&after, system));
        if let Err(difference) = compared {
            self.differ(number, Some(action), difference);
            return None;
        }
        self.tour.edges_covered += 1;
        if action == Action::Recover {
            self.tour.recoveries += 1;
        }
        let disks = self.nodes[number as usize].disks.clone();
        let next = self.reach(after, Some((number, action)), disks);
        self.nodes[number as usize].made.push((action, next));
        Some(next)
    }

    fn compare(&self, state: &State, system: &mut System) -> Result<(), Difference> {
        let spec = &self.rig.spec;
        let expected: Expected = view::of_specification(spec, state);
        let seen: View = guarded(|| Ok((self.lens.view)(spec, state, system)))?;
        // What opening a broken log leaves of the rest is for the rebuild to replace.
        if state.phase == Phase::Broken || (self.lens.same)(&expected, &seen) {
            Ok(())
        } else {
            Err(Difference::of("state", &expected, &seen))
        }
    }

    fn differ(&mut self, number: u32, action: Option<Action>, difference: Difference) {
        self.tour.disagreements += 1;
        if self.tour.kept.len() >= self.patience.kept {
            return;
        }
        let spec = &self.rig.spec;
        let state = &self.nodes[number as usize].state;
        let trace = self.trace_to(number, action);
        self.tour.kept.push(Disagreement {
            difference,
            before: spec.show(state),
            system: String::new(),
            trace,
        });
    }

    /// The shortest run of the specification to that step.
    fn trace_to(&self, number: u32, action: Option<Action>) -> Trace<Spec> {
        let spec = &self.rig.spec;
        let state = self.nodes[number as usize].state;
        let mut actions = match explore(spec, &[], Bounds::default()) {
            Ok(graph) => graph
                .find(&state)
                .map_or(Vec::new(), |found| graph.path_to(found).1),
            Err(_) => Vec::new(),
        };
        actions.extend(action);
        Trace {
            header: Header {
                holdfast_trace: Header::VERSION,
                spec: Spec::NAME.to_owned(),
                instance: spec.instance.name.to_owned(),
                rules: "holdfast".to_owned(),
                initial: "formatted".to_owned(),
                falls: None,
                command: None,
            },
            steps: (actions.into_iter())
                .map(|action| TraceStep {
                    refused: None,
                    action,
                })
                .collect(),
        }
    }
}

fn is_crash(action: &Action) -> bool {
    matches!(action, Action::LosePower { .. } | Action::Kill)
}

fn panicked() -> Difference {
    Difference {
        what: "a panic".into(),
        specification: "none".into(),
        implementation: "the volume panics".into(),
    }
}

fn guarded<T>(work: impl FnOnce() -> Result<T, Unmade>) -> Result<T, Difference> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(made)) => Ok(made),
        Ok(Err(unmade)) => match unmade {
            Unmade::Differs(difference) => Err(difference),
            Unmade::Coarser(why) => Err(Difference {
                what: "a step that was made before".into(),
                specification: "granted".into(),
                implementation: why.says().into(),
            }),
        },
        Err(_) => Err(panicked()),
    }
}
