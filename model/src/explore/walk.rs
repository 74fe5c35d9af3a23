//! The model that stateright's Explorer serves: a specification, with the calls that it refuses if
//! those are asked for, and a path to begin with.
//!
//! The page addresses a state by the places of the actions that lead to it, and those depend on
//! the build. So the address of a path is computed here, each time, and never kept.

use std::net::SocketAddr;

use stateright::{Expectation, Model, Path};

use super::diagram::{Call, Diagram, picture, rules};
use super::picture::Lane;
use super::{svg, tell};
use crate::checking::{Checked, Trace, TraceError};

/// A specification in the Explorer.
pub struct Walk<S: Diagram> {
    spec: S,
    checked: Checked<S>,
    lanes: Vec<Lane>,
    refusals: bool,
    subtitle: String,
    initial: usize,
    calls: Vec<Call<S>>,
    falls: Option<String>,
}

/// Something that the Explorer can serve.
pub trait Served {
    /// The part of the address that names the path to begin with.
    fn place(&self) -> String;
    /// Serves it until the process ends.
    ///
    /// # Errors
    /// When the address cannot be bound.
    fn serve(self: Box<Self>, address: SocketAddr) -> std::io::Result<()>;
}

/// A call as the Explorer offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer<A> {
    /// What is asked for.
    pub action: A,
    /// Why it would be refused, if it would.
    pub refused: Option<&'static str>,
}

impl<S: Diagram> Walk<S> {
    /// From the first initial state on. With `refusals`, calls that would be refused are offered
    /// too, after the others: they lead back to where they began, and say why.
    #[must_use]
    pub fn new(spec: S, refusals: bool) -> Self {
        Self {
            checked: Checked::new(spec.clone()),
            lanes: spec.lanes(),
            spec,
            refusals,
            subtitle: String::new(),
            initial: 0,
            calls: Vec::new(),
            falls: None,
        }
    }

    /// Along a trace. A trace with refused calls is shown with them.
    ///
    /// # Errors
    /// When the specification does not agree with the trace.
    pub fn along(spec: S, trace: &Trace<S>, refusals: bool) -> Result<Self, TraceError> {
        trace.replay(&spec)?;
        let known = |name: &String| S::refusals().iter().copied().find(|known| known == name);
        let calls: Vec<Call<S>> = trace
            .steps
            .iter()
            .map(|step| (step.action, step.refused.as_ref().and_then(known)))
            .collect();
        let initial = spec.initial();
        let initial = (initial.iter()).position(|(name, _)| *name == trace.header.initial);
        let refused = calls.iter().any(|(_, refused)| refused.is_some());
        Ok(Self {
            subtitle: rules::<S>(&trace.header.rules),
            initial: initial.unwrap_or(0),
            calls,
            falls: trace.header.falls.clone(),
            ..Self::new(spec, refusals || refused)
        })
    }

    /// The calls that are offered in a state: those that are granted, then those that are not.
    fn offers(&self, state: &S::State) -> Vec<Offer<S::Action>> {
        let mut calls = Vec::new();
        self.spec.calls(state, &mut calls);
        let (mut granted, mut refused) = (Vec::new(), Vec::new());
        for action in calls {
            match self.spec.guard(state, action) {
                Ok(()) => granted.push(Offer {
                    action,
                    refused: None,
                }),
                Err(refusal) if self.refusals => refused.push(Offer {
                    action,
                    refused: Some(S::refusals()[S::refusal_index(&refusal)]),
                }),
                Err(_) => {}
            }
        }
        granted.append(&mut refused);
        granted
    }

    /// The places of the actions of the path to begin with.
    fn places(&self) -> Vec<usize> {
        let mut places = vec![self.initial];
        let initial = self.spec.initial();
        let Some((_, mut state)) = initial.get(self.initial).copied() else {
            return places;
        };
        for &(action, refused) in &self.calls {
            let wanted = Offer { action, refused };
            let Some(place) = self.offers(&state).iter().position(|o| *o == wanted) else {
                break;
            };
            places.push(place);
            if refused.is_none() {
                state = self.spec.apply(&state, action).0;
            }
        }
        places
    }
}

impl<S: Diagram> Served for Walk<S> {
    fn place(&self) -> String {
        if self.calls.is_empty() {
            return "#/steps/0".to_owned();
        }
        let places: Vec<String> = self.places().iter().map(usize::to_string).collect();
        format!("#/steps/{}", places.join("/"))
    }

    fn serve(self: Box<Self>, address: SocketAddr) -> std::io::Result<()> {
        // stateright panics where the address is taken; ask first, so that it can be said.
        drop(std::net::TcpListener::bind(address)?);
        self.checker().serve(address);
        Ok(())
    }
}

macro_rules! conditions {
    ($spec:ident: $($at:literal)*) => {
        [$(|walk: &Walk<$spec>, state: &$spec::State| walk.checked.falls_not::<$at>(state)),*]
    };
}

impl<S: Diagram> Model for Walk<S> {
    type State = S::State;
    type Action = Offer<S::Action>;

    fn init_states(&self) -> Vec<S::State> {
        let initial = self.spec.initial().into_iter();
        initial.map(|(_, state)| state).collect()
    }

    fn actions(&self, state: &S::State, actions: &mut Vec<Self::Action>) {
        actions.append(&mut self.offers(state));
    }

    fn next_state(&self, state: &S::State, offer: Self::Action) -> Option<S::State> {
        match offer.refused {
            None => Some(self.spec.apply(state, offer.action).0),
            Some(_) => Some(*state),
        }
    }

    fn format_action(&self, offer: &Self::Action) -> String {
        let sentence = self.spec.event(offer.action).sentence(&self.lanes);
        match offer.refused {
            None => sentence,
            Some(reason) => format!("{sentence} (refused: {reason})"),
        }
    }

    fn format_step(&self, state: &S::State, offer: Self::Action) -> Option<String> {
        let after = self.next_state(state, offer)?;
        Some(tell(&self.lanes, &self.spec.cards(&after)))
    }

    fn as_svg(&self, path: Path<S::State, Self::Action>) -> Option<String> {
        let path = path.into_vec();
        let (initial, _) = path.first()?;
        let calls: Vec<Call<S>> = path
            .iter()
            .filter_map(|(_, offer)| offer.as_ref())
            .map(|offer| (offer.action, offer.refused))
            .collect();
        let known = calls == self.calls;
        let wanted = self.falls.as_deref().filter(|_| known);
        let mut drawn = picture(&self.spec, initial, &calls, wanted);
        drawn.subtitle.clone_from(&self.subtitle);
        Some(svg(&drawn))
    }

    fn properties(&self) -> Vec<stateright::Property<Self>> {
        let conditions: [fn(&Self, &S::State) -> bool; 32] = conditions!(
            S: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
        );
        let named = self.checked.names().zip(conditions);
        let properties = named.map(|(name, condition)| stateright::Property {
            expectation: Expectation::Always,
            name,
            condition,
        });
        properties.collect()
    }
}
