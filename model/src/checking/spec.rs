//! What a specification is: a pure value that says which states there are, which actions can be
//! asked for, when they are granted and what they do.

use std::fmt::{Debug, Display};
use std::hash::Hash;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Conjunct, Mutant, Property};

/// A specification with one choice of bounds and rules.
///
/// Guard and effect are apart, so that each can be read (and switched off) alone: an action is
/// *enabled* when its guard grants it, and then [`Spec::apply`] says what it does. A refused
/// action has no effect by construction; that the refusal is the right one is what the guard says.
pub trait Spec: Clone + Send + Sync + 'static {
    /// Name of the specification, as the command line knows it.
    const NAME: &'static str;
    /// A plain value without heap, so that millions of them can be kept.
    type State: Copy + Eq + Hash + Debug + Send + Sync;
    /// A named action with its parameters; serialised with the name under the key `action`.
    type Action: Copy + Eq + Hash + Debug + Serialize + DeserializeOwned + Send + Sync;
    /// What a granted action tells the world beside changing the state.
    type Outputs;
    /// Why an action is not enabled.
    type Refusal: Copy + Eq + Debug + Display;

    /// The instance whose bounds this value carries.
    fn instance(&self) -> &Instance;
    /// The initial states, each with the name under which traces refer to it.
    fn initial(&self) -> Vec<(&'static str, Self::State)>;
    /// Every action that can be asked for in `state`, those that will be refused included.
    /// No action occurs twice.
    fn calls(&self, state: &Self::State, calls: &mut Vec<Self::Action>);
    /// Whether the action is granted.
    ///
    /// # Errors
    /// The first reason against it, in the order that the prose gives.
    fn guard(&self, state: &Self::State, action: Self::Action) -> Result<(), Self::Refusal>;
    /// What a granted action does. Total: it never panics, not even where a mutation removed the
    /// guard that made the case impossible.
    fn apply(&self, state: &Self::State, action: Self::Action) -> (Self::State, Self::Outputs);
    /// Appends the canonical encoding of `state`: equal states have equal codes, different states
    /// different ones, and all codes of one instance have the same length.
    fn encode(&self, state: &Self::State, code: &mut Vec<u8>);
    /// Whether the action is a fault of the world, which no liveness claim may lean on.
    fn is_fault(&self, action: Self::Action) -> bool;
    /// The state in one line, for traces.
    fn show(&self, state: &Self::State) -> String;

    /// The names of all refusals.
    fn refusals() -> &'static [&'static str];
    /// The place of a refusal in [`Spec::refusals`].
    fn refusal_index(refusal: &Self::Refusal) -> usize;
    /// What must hold, and what must be possible.
    fn properties() -> Vec<Property<Self>>;
    /// The conditions of the guards, each by name. None: the guards are not told apart yet, and no
    /// deletion of theirs is generated.
    #[must_use]
    fn conjuncts() -> &'static [Conjunct] {
        &[]
    }
    /// The place in [`Spec::conjuncts`] of the first condition that the action does not meet; `None`
    /// when [`Spec::guard`] grants it, or refuses it for a bound of the instance, which is no rule.
    fn objection(&self, _state: &Self::State, _action: Self::Action) -> Option<usize> {
        None
    }
    /// The same specification without one condition: whatever it alone refuses is granted.
    #[must_use]
    fn without(&self, _conjunct: usize) -> Self {
        self.clone()
    }
    /// In how many ways things that are alike in this instance (replicas, say) can change names without
    /// changing the specification; that all keep theirs is not counted.
    fn symmetries(&self) -> usize {
        0
    }
    /// The state with names changed in one of these ways.
    #[must_use]
    fn renamed(&self, state: &Self::State, _symmetry: usize) -> Self::State {
        *state
    }
    /// The lattice of instances.
    fn instances() -> &'static [Instance];
    /// The specification at the bounds of an instance; `None` if there is none of that name.
    fn at(instance: &str) -> Option<Self>;
    /// Every rule that can be switched off, with the property that must then fall.
    fn mutants() -> Vec<Mutant<Self>>;
}

/// One choice of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its name.
    pub name: &'static str,
    /// Which dimension it stretches and what that makes visible.
    pub purpose: &'static str,
    /// From which effort on it is checked.
    pub effort: Effort,
}

/// How much of a lattice is checked; each includes those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// What answers within a minute, while one changes a rule.
    Quick,
    /// What every build checks: every property is shown somewhere in it.
    #[default]
    Build,
    /// All instances.
    Long,
}

/// The name of an action, without its parameters.
///
/// # Panics
/// When the action type does not serialise to an object with the key `action`; that is a defect
/// of the specification, not of any input.
#[must_use]
pub fn action_name<A: Serialize>(action: &A) -> String {
    match serde_json::to_value(action) {
        Ok(Value::Object(map)) => match map.get("action") {
            Some(Value::String(name)) => name.clone(),
            other => panic!("an action must be named by a string, found {other:?}"),
        },
        other => panic!("an action must serialise to an object, found {other:?}"),
    }
}

/// The action as `name(parameter=value, ...)`: its canonical text.
///
/// # Panics
/// As [`action_name`].
#[must_use]
pub fn action_text<A: Serialize>(action: &A) -> String {
    let name = action_name(action);
    let Ok(Value::Object(map)) = serde_json::to_value(action) else {
        return name;
    };
    let parameters: Vec<String> = map
        .iter()
        .filter(|(key, _)| *key != "action")
        .map(|(key, value)| format!("{key}={}", plain(value)))
        .collect();
    format!("{name}({})", parameters.join(", "))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(plain).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(map) => {
            let items: Vec<String> = map
                .iter()
                .map(|(k, v)| format!("{k}:{}", plain(v)))
                .collect();
            format!("{{{}}}", items.join(" "))
        }
        Value::Null => "none".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
