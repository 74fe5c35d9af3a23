//! The product of a specification and an implementation, explored exhaustively.
//!
//! Every reachable state of the specification is visited once, breadth first, together with the
//! implementation brought to it. Every call that can be asked for there is made on both: a granted
//! one must have the same effect and lead to the same abstract state, a refused one must be
//! refused for the same reason and leave the implementation equal to what it was. A second state of
//! the implementation for one state of the specification is *hidden state*: it would make the
//! graph a half-truth, so it is found and counted.
//!
//! The implementation is a value (`Clone + Eq + Hash`), so nothing is replayed: the product is a graph
//! search. What is explored never depends on what the implementation answers, except that an edge on
//! which the two differ is not followed on its account.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use hashbrown::DefaultHashBuilder;
use holdfast_model::checking::{Codes, Header, Spec, Trace, TraceStep};

/// Drives an implementation by the actions of a specification.
pub trait Rig: Sync {
    /// The specification.
    type Spec: Spec;
    /// The implementation, with whatever the rig needs to drive it, as a value.
    type System: Clone + Eq + Hash + Send;
    /// What the specification tells of a granted call beside the state after it.
    type Outputs;

    /// The specification at the bounds of the instance.
    fn spec(&self) -> &Self::Spec;

    /// Whether the action is a call on the implementation, or a move of what surrounds it.
    fn is_call(&self, action: Action<Self>) -> bool;

    /// The implementation in an initial state of the specification.
    ///
    /// # Errors
    /// How the two differ, when the implementation cannot be brought there.
    fn start(&self, initial: &State<Self>) -> Result<Self::System, Difference>;

    /// What the specification says of a call: the state after it and what else can be observed.
    ///
    /// # Errors
    /// The refusal.
    fn specified(&self, before: &State<Self>, action: Action<Self>) -> Specified<Self>;

    /// Makes a call that the specification grants, and compares all that can be observed.
    ///
    /// # Errors
    /// How the two differ.
    fn granted(
        &self,
        before: &State<Self>,
        action: Action<Self>,
        after: &(State<Self>, Self::Outputs),
        system: &mut Self::System,
    ) -> Result<(), Difference>;

    /// Makes a call that the specification refuses, and compares the answer. That the system is
    /// unchanged is looked after by [`walk`] and [`follow`].
    ///
    /// # Errors
    /// How the two differ.
    fn refused(
        &self,
        before: &State<Self>,
        action: Action<Self>,
        refusal: <Self::Spec as Spec>::Refusal,
        system: &mut Self::System,
    ) -> Result<(), Difference>;

    /// The implementation's state as text, for reports.
    fn show(&self, system: &Self::System) -> String;
}

/// A state of the rig's specification.
pub type State<R> = <<R as Rig>::Spec as Spec>::State;
/// An action of the rig's specification.
pub type Action<R> = <<R as Rig>::Spec as Spec>::Action;

/// What a specification says of a call: the state after it and what it tells, or the refusal.
pub type Specified<R> =
    Result<(State<R>, <R as Rig>::Outputs), <<R as Rig>::Spec as Spec>::Refusal>;

/// One thing that the two sides say differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What was compared: `refusal`, `pins`, `epoch` ...
    pub what: String,
    /// What the specification says.
    pub specification: String,
    /// What the implementation says.
    pub implementation: String,
}

impl Difference {
    /// Shows two values that should be equal.
    pub fn of(
        what: impl Into<String>,
        specification: &impl std::fmt::Debug,
        implementation: &impl std::fmt::Debug,
    ) -> Self {
        Self {
            what: what.into(),
            specification: format!("{specification:?}"),
            implementation: format!("{implementation:?}"),
        }
    }
}

/// A place where the two sides differ, and how to get there.
#[derive(Clone, Debug)]
pub struct Disagreement<S: Spec> {
    /// What differs.
    pub difference: Difference,
    /// The specification before the action.
    pub before: String,
    /// The implementation before the action.
    pub system: String,
    /// From an initial state to the action, inclusive.
    pub trace: Trace<S>,
}

/// How far to go once the two sides differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Disagreements that are kept with their traces; the rest is only counted.
    pub kept: usize,
    /// Stop everything at the first one. The figures then describe a part and are never green.
    pub fail_fast: bool,
}

/// What an exploration found.
#[derive(Clone, Debug)]
pub struct Walk<S: Spec> {
    /// States of the specification.
    pub states: u64,
    /// Granted calls.
    pub edges_total: u64,
    /// Granted calls on which the two agreed in everything.
    pub edges_covered: u64,
    /// Those of the granted calls that are moves of the surroundings.
    pub edges_of_surroundings: u64,
    /// Refused calls.
    pub disabled_total: u64,
    /// Refused calls on which the two agreed, the implementation unchanged.
    pub disabled_checked: u64,
    /// Calls of either kind on which they differed.
    pub disagreements: u64,
    /// Edges by which the implementation reached a known state in another way than first.
    pub hidden_states: u64,
    /// The first disagreements and hidden states.
    pub kept: Vec<Disagreement<S>>,
    /// Wall clock time.
    pub seconds: f64,
}

impl<S: Spec> Walk<S> {
    /// Where an exploration begins.
    pub(crate) const fn nothing_yet() -> Self {
        Self {
            states: 0,
            edges_total: 0,
            edges_covered: 0,
            edges_of_surroundings: 0,
            disabled_total: 0,
            disabled_checked: 0,
            disagreements: 0,
            hidden_states: 0,
            kept: Vec::new(),
            seconds: 0.0,
        }
    }
}

/// Explores the product to its end, or until `stop` is raised: by somebody else, or here where
/// `patience` ends with the first disagreement.
pub fn walk<R: Rig>(rig: &R, patience: Patience, stop: &AtomicBool) -> Walk<R::Spec> {
    let began = Instant::now();
    let mut product = Product::new(rig, patience, stop);
    product.begin();
    let mut next = 0;
    while !product.is_over()
        && let Some((before, system)) = product.frontier.pop_front()
    {
        product.visit(next, &before, &system);
        next += 1;
    }
    product.walk.states = product.codes.len() as u64;
    product.walk.seconds = began.elapsed().as_secs_f64();
    product.walk
}

/// Where a state came from: the number of another, and the place of the call among those that can
/// be asked for there; none for an initial state.
type Origin = Option<(u32, u16)>;

/// What was reached. Of a state that was visited only its code is kept, where it came from, and a
/// digest that says whether it is reached again by the same implementation.
struct Product<'a, R: Rig> {
    rig: &'a R,
    patience: Patience,
    stop: &'a AtomicBool,
    codes: Codes,
    digests: Vec<u64>,
    origins: Vec<Origin>,
    /// States that are still to be visited, in order, with the implementation in them.
    frontier: VecDeque<(State<R>, Box<R::System>)>,
    hasher: DefaultHashBuilder,
    calls: Vec<Action<R>>,
    walk: Walk<R::Spec>,
}

impl<'a, R: Rig> Product<'a, R> {
    fn new(rig: &'a R, patience: Patience, stop: &'a AtomicBool) -> Self {
        Self {
            rig,
            patience,
            stop,
            codes: Codes::new(),
            digests: Vec::new(),
            origins: Vec::new(),
            frontier: VecDeque::new(),
            hasher: DefaultHashBuilder::default(),
            calls: Vec::new(),
            walk: Walk::nothing_yet(),
        }
    }

    fn is_over(&self) -> bool {
        if self.patience.fail_fast && self.walk.disagreements + self.walk.hidden_states > 0 {
            self.stop.store(true, Ordering::Relaxed);
        }
        self.stop.load(Ordering::Relaxed)
    }

    fn begin(&mut self) {
        for (name, state) in self.rig.spec().initial() {
            match guarded(|| self.rig.start(&state)) {
                Ok(system) => {
                    self.reach(state, system, None);
                }
                Err(difference) => {
                    self.walk.disagreements += 1;
                    let trace = self.trace(name, Vec::new());
                    let before = self.rig.spec().show(&state);
                    self.keep(difference, before, "not to be brought there".into(), trace);
                }
            }
        }
    }

    /// Makes every call of one state on both sides.
    fn visit(&mut self, number: usize, before: &State<R>, system: &R::System) {
        let rig = self.rig;
        let mut calls = std::mem::take(&mut self.calls);
        calls.clear();
        rig.spec().calls(before, &mut calls);
        self.codes.stand_at(narrow(number));
        let mut untouched = system.clone();
        for (ordinal, &action) in calls.iter().enumerate() {
            let done = match rig.specified(before, action) {
                Ok(after) => {
                    self.walk.edges_total += 1;
                    self.walk.edges_of_surroundings += u64::from(!rig.is_call(action));
                    self.take_edge((number, ordinal), before, action, &after, system)
                }
                Err(refusal) => {
                    self.walk.disabled_total += 1;
                    let asked = refuse(rig, before, action, refusal, system, &mut untouched);
                    self.walk.disabled_checked += u64::from(asked.is_ok());
                    asked
                }
            };
            if let Err(difference) = done {
                self.walk.disagreements += 1;
                self.record(number, before, action, difference, system);
            }
            if self.is_over() {
                break;
            }
        }
        self.calls = calls;
    }

    fn take_edge(
        &mut self,
        (number, ordinal): (usize, usize),
        before: &State<R>,
        action: Action<R>,
        after: &(State<R>, R::Outputs),
        system: &R::System,
    ) -> Result<(), Difference> {
        let mut moved = system.clone();
        guarded(|| self.rig.granted(before, action, after, &mut moved))?;
        self.walk.edges_covered += 1;
        let after = after.0;
        let edge = (
            narrow(number),
            u16::try_from(ordinal).expect("a state has few calls"),
        );
        let reached = self.reach(after, moved, Some(edge));
        if let Some((known, moved)) = reached {
            self.walk.hidden_states += 1;
            let difference = Difference {
                what: format!("hidden state: state {known} was first reached with another system"),
                specification: self.rig.spec().show(&after),
                implementation: self.rig.show(&moved),
            };
            self.record(number, before, action, difference, system);
        }
        Ok(())
    }

    /// Takes note of a state. If it is known, and was first reached with another system: its number
    /// and the system of this time.
    fn reach(
        &mut self,
        state: State<R>,
        system: R::System,
        origin: Origin,
    ) -> Option<(u32, R::System)> {
        let digest = self.hasher.hash_one(&system);
        let spec = self.rig.spec();
        let (number, is_new) = self.codes.insert(|code| spec.encode(&state, code));
        if !is_new {
            return (self.digests[number as usize] != digest).then_some((number, system));
        }
        self.digests.push(digest);
        self.origins.push(origin);
        self.frontier.push_back((state, Box::new(system)));
        None
    }

    fn record(
        &mut self,
        number: usize,
        before: &State<R>,
        action: Action<R>,
        difference: Difference,
        system: &R::System,
    ) {
        if self.walk.kept.len() >= self.patience.kept {
            return;
        }
        let (initial, mut steps) = self.path_to(number);
        steps.push(self.step(before, action));
        let trace = self.trace(initial, steps);
        let before = self.rig.spec().show(before);
        let system = self.rig.show(system);
        self.keep(difference, before, system, trace);
    }

    fn keep(
        &mut self,
        difference: Difference,
        before: String,
        system: String,
        trace: Trace<R::Spec>,
    ) {
        if self.walk.kept.len() < self.patience.kept {
            self.walk.kept.push(Disagreement {
                difference,
                before,
                system,
                trace,
            });
        }
    }

    /// The name of the initial state from which a state was reached, and the calls from there. The
    /// states on the way are made again.
    fn path_to(&self, number: usize) -> (&'static str, Vec<TraceStep<Action<R>>>) {
        let mut ordinals = Vec::new();
        let mut at = number;
        while let Some((from, ordinal)) = self.origins[at] {
            ordinals.push(ordinal);
            at = from as usize;
        }
        let spec = self.rig.spec();
        let begins_here = |state: &State<R>| {
            let mut code = Vec::new();
            spec.encode(state, &mut code);
            self.codes.find(&code) == Some(narrow(at))
        };
        let initial = spec.initial().into_iter();
        let Some((name, mut state)) = initial.into_iter().find(|(_, state)| begins_here(state))
        else {
            return ("", Vec::new());
        };
        let mut steps = Vec::new();
        let mut calls = Vec::new();
        for &ordinal in ordinals.iter().rev() {
            calls.clear();
            spec.calls(&state, &mut calls);
            let action = calls[usize::from(ordinal)];
            steps.push(self.step(&state, action));
            state = spec.apply(&state, action).0;
        }
        (name, steps)
    }

    fn step(&self, state: &State<R>, action: Action<R>) -> TraceStep<Action<R>> {
        let refused = self.rig.spec().guard(state, action).err();
        let name = |r| R::Spec::refusals()[R::Spec::refusal_index(&r)].to_owned();
        TraceStep {
            action,
            refused: refused.map(name),
        }
    }

    fn trace(&self, initial: &str, steps: Vec<TraceStep<Action<R>>>) -> Trace<R::Spec> {
        let header = Header {
            holdfast_trace: Header::VERSION,
            spec: R::Spec::NAME.to_owned(),
            instance: self.rig.spec().instance().name.to_owned(),
            rules: "holdfast".to_owned(),
            initial: initial.to_owned(),
            falls: None,
            command: Some("holdfast-conformance report".to_owned()),
        };
        Trace { header, steps }
    }
}

/// Asks for what must be refused; afterwards `untouched` equals `system` again.
fn refuse<R: Rig>(
    rig: &R,
    before: &State<R>,
    action: Action<R>,
    refusal: <R::Spec as Spec>::Refusal,
    system: &R::System,
    untouched: &mut R::System,
) -> Result<(), Difference> {
    let answer = guarded(|| rig.refused(before, action, refusal, untouched));
    if *untouched == *system {
        return answer;
    }
    let left = std::mem::replace(untouched, system.clone());
    answer?;
    Err(Difference {
        what: "a refused call changed the state".into(),
        specification: rig.show(system),
        implementation: rig.show(&left),
    })
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).expect("an instance has less than 2^32 states")
}

/// Runs a step of the implementation; a panic is a difference like any other.
pub(crate) fn guarded<T>(step: impl FnOnce() -> Result<T, Difference>) -> Result<T, Difference> {
    catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(Difference {
            what: "panic".into(),
            specification: "an answer".into(),
            implementation: said.to_owned(),
        })
    })
}

/// How far a recorded run was followed.
#[derive(Clone, Debug)]
pub struct Followed<S: Spec> {
    /// Calls made on both sides, on which they agreed.
    pub steps: usize,
    /// The first call (from 0) on which the specification does not say what the recorded run says:
    /// expected of a mutant's trace, a finding in any other.
    pub departs: Option<usize>,
    /// The call (from 0) that cannot be asked for where the run has got to by then.
    pub not_offered: Option<usize>,
    /// Where specification and implementation differ.
    pub disagreement: Option<Disagreement<S>>,
}

/// Drives both sides along a recorded run, by the protocol's own rules, whatever the run says was
/// granted. `None` when there is no initial state of its name.
pub fn follow<R: Rig>(rig: &R, trace: &Trace<R::Spec>) -> Option<Followed<R::Spec>> {
    let initial = rig.spec().initial();
    let (_, first) = initial
        .iter()
        .find(|(name, _)| *name == trace.header.initial)?;
    let mut run = Run {
        rig,
        trace,
        at: *first,
        followed: Followed {
            steps: 0,
            departs: None,
            not_offered: None,
            disagreement: None,
        },
    };
    match guarded(|| rig.start(first)) {
        Ok(system) => run.follow(system),
        Err(difference) => run.differ(difference, "not to be brought there".into(), 0),
    }
    Some(run.followed)
}

struct Run<'a, R: Rig> {
    rig: &'a R,
    trace: &'a Trace<R::Spec>,
    at: State<R>,
    followed: Followed<R::Spec>,
}

impl<R: Rig> Run<'_, R> {
    fn follow(&mut self, mut system: R::System) {
        let mut calls = Vec::new();
        for (number, step) in self.trace.steps.iter().enumerate() {
            calls.clear();
            self.rig.spec().calls(&self.at, &mut calls);
            if !calls.contains(&step.action) {
                self.followed.not_offered = Some(number);
                return;
            }
            if let Err(difference) = self.make(number, step, &mut system) {
                let shown = self.rig.show(&system);
                return self.differ(difference, shown, number + 1);
            }
            self.followed.steps += 1;
        }
    }

    fn make(
        &mut self,
        number: usize,
        step: &TraceStep<Action<R>>,
        system: &mut R::System,
    ) -> Result<(), Difference> {
        let specified = self.rig.specified(&self.at, step.action);
        let refused = specified
            .as_ref()
            .err()
            .map(|r| R::Spec::refusals()[R::Spec::refusal_index(r)]);
        if refused != step.refused.as_deref() {
            self.followed.departs.get_or_insert(number);
        }
        let mut moved = system.clone();
        match specified {
            Ok(after) => {
                guarded(|| self.rig.granted(&self.at, step.action, &after, &mut moved))?;
                self.at = after.0;
                *system = moved;
                Ok(())
            }
            Err(refusal) => refuse(self.rig, &self.at, step.action, refusal, system, &mut moved),
        }
    }

    fn differ(&mut self, difference: Difference, system: String, steps: usize) {
        let mut trace = self.trace.clone();
        trace.steps.truncate(steps);
        let before = self.rig.spec().show(&self.at);
        self.followed.disagreement = Some(Disagreement {
            difference,
            before,
            system,
            trace,
        });
    }
}
