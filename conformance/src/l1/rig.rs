//! The rig: the specification's calls made on the engine, and all that can be observed compared.

use holdfast_engine::{Effects, Registry};
use holdfast_model::session::{Action, Outputs, Refusal, Session as Spec, State};

use super::answer::{Answer, Told};
use super::calls::{self, Unmade};
use super::translate::{self, Names};
use super::view::{self, View};
use crate::product::{Difference, Rig};

/// What looks at both sides. The parts can be replaced, so that tests can show that a defect in
/// one of them does not stay unseen.
#[derive(Clone, Copy, Debug)]
pub struct Lens {
    /// The abstraction: takes the engine's state for what the prose calls it.
    pub view: fn(&Spec, &Registry) -> View,
    /// The comparer of abstract states.
    pub same_view: fn(&View, &View) -> bool,
    /// The comparer of answers.
    pub same_answer: fn(&Answer, &Answer) -> bool,
}

impl Default for Lens {
    fn default() -> Self {
        Self {
            view: view::of_engine,
            same_view: View::eq,
            same_answer: Answer::eq,
        }
    }
}

/// The engine at the bounds of one instance.
#[derive(Clone, Debug)]
pub struct EngineRig {
    spec: Spec,
    lens: Lens,
    names: Names,
}

impl EngineRig {
    /// A rig that looks through `lens`.
    #[must_use]
    pub fn new(spec: Spec, lens: Lens) -> Self {
        Self {
            spec,
            lens,
            names: Names::default(),
        }
    }

    /// Makes a call and gives its whole answer.
    fn make(
        &self,
        before: &State,
        action: Action,
        registry: &mut Registry,
    ) -> Result<Answer, Difference> {
        let mut out = Effects::new();
        let made = calls::make(&self.spec, &self.names, before, action, registry, &mut out);
        match made {
            Ok(told) => match told.with_effects(out) {
                Some(told) => Ok(Answer::Granted(Box::new(told))),
                None => Err(Difference {
                    what: "an event".into(),
                    specification: "the events of a session name it".into(),
                    implementation: "one does not".into(),
                }),
            },
            Err(Unmade::Refused(refusal)) => Ok(Answer::Refused {
                refusal,
                effects: out.len(),
            }),
            Err(Unmade::Unsayable(what)) => Err(Difference {
                what: "a call that the product's types cannot express".into(),
                specification: format!("{action:?}"),
                implementation: what,
            }),
        }
    }

    fn same_answer(&self, specified: &Answer, given: &Answer) -> Result<(), Difference> {
        if (self.lens.same_answer)(specified, given) {
            Ok(())
        } else {
            Err(Difference::of("answer", specified, given))
        }
    }

    fn same_view(&self, state: &State, registry: &Registry) -> Result<(), Difference> {
        let specified = view::of_specification(&self.spec, state);
        let seen = (self.lens.view)(&self.spec, registry);
        if (self.lens.same_view)(&specified, &seen) {
            Ok(())
        } else {
            Err(Difference::of("state", &specified, &seen))
        }
    }
}

impl Rig for EngineRig {
    type Spec = Spec;
    type System = Registry;
    type Outputs = Outputs;

    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn is_call(&self, action: Action) -> bool {
        !matches!(action, Action::World(_))
    }

    fn start(&self, initial: &State) -> Result<Registry, Difference> {
        let registry = Registry::new(translate::budgets(self.spec.budget()));
        self.same_view(initial, &registry)?;
        Ok(registry)
    }

    fn specified(&self, before: &State, action: Action) -> Result<(State, Outputs), Refusal> {
        self.spec.step(before, action)
    }

    fn granted(
        &self,
        before: &State,
        action: Action,
        (after, outputs): &(State, Outputs),
        registry: &mut Registry,
    ) -> Result<(), Difference> {
        let given = self.make(before, action, registry)?;
        let specified = Told::specified(&self.spec, &self.names, action, after, outputs);
        self.same_answer(&Answer::Granted(Box::new(specified)), &given)?;
        self.same_view(after, registry)
    }

    fn refused(
        &self,
        before: &State,
        action: Action,
        refusal: Refusal,
        registry: &mut Registry,
    ) -> Result<(), Difference> {
        let given = self.make(before, action, registry)?;
        self.same_answer(&Answer::refusal(translate::refusal(refusal)), &given)
    }

    fn show(&self, registry: &Registry) -> String {
        format!("{:?}", (self.lens.view)(&self.spec, registry))
    }
}
