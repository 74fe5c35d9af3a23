//! From a run to a picture: what a specification adds to its states and actions so that people can
//! see them, and the walk along a path that puts its picture together.

use super::picture::{Card, Event, Fall, Lane, Picture, Row, Shape, Tone};
use crate::checking::{Property, Spec, Step, Trace, TraceError};

/// A specification that can be drawn.
///
/// It says what there is to see and nothing about how that looks. It must be total: the states and
/// actions of a broken rule are drawn too, and those are the ones that people look at.
pub trait Diagram: Spec {
    /// Who takes part, from left to right.
    fn lanes(&self) -> Vec<Lane>;
    /// An action as the lists of the Explorer name it: what is known before it is carried out.
    fn event(&self, action: Self::Action) -> Event;
    /// What the states on both sides add to the event of a granted call: which entry, which
    /// position, what was sent. Nothing, unless the specification says otherwise.
    fn detail(
        &self,
        before: &Self::State,
        action: Self::Action,
        after: &Self::State,
        event: &mut Event,
    ) {
        let _ = (before, action, after, event);
    }
    /// What every lane knows in a state: one card for each lane.
    fn cards(&self, state: &Self::State) -> Vec<Card>;
}

/// One call of a path: what was asked for, and why it was refused, if it was.
pub type Call<S> = (<S as Spec>::Action, Option<&'static str>);

/// The picture of a path from `initial` on. `wanted` is the property whose fall the path shows, if
/// it was looked for; any other that falls on the way is found here.
#[must_use]
pub fn picture<S: Diagram>(
    spec: &S,
    initial: &S::State,
    calls: &[Call<S>],
    wanted: Option<&str>,
) -> Picture {
    let properties = S::properties();
    let mut fallen = fallen(&properties, |property| property.falls_in(spec, initial));
    let mut before = *initial;
    let mut rows = Vec::with_capacity(calls.len());
    for (number, &(action, refused)) in calls.iter().enumerate() {
        let (event, after, mut found) = take(spec, &properties, &before, action, refused);
        let last = number + 1 == calls.len();
        found.extend(wanted_at_the_end(&properties, wanted.filter(|_| last)));
        let mut falls = Vec::new();
        for name in found {
            let is_wanted = last && wanted == Some(name);
            if !fallen.contains(&name) || is_wanted {
                fallen.push(name);
                falls.push(fall(&properties, name, is_wanted));
            }
        }
        falls.sort_by_key(|fall| !fall.wanted);
        falls.dedup_by(|a, b| a.name == b.name);
        let cards = spec.cards(&after);
        rows.push(Row {
            event,
            cards,
            falls,
        });
        before = after;
    }
    Picture {
        title: format!("{} / {}", S::NAME, spec.instance().name),
        subtitle: String::new(),
        lanes: spec.lanes(),
        opening: spec.cards(initial),
        rows,
    }
}

/// The picture of a trace.
///
/// # Errors
/// When the specification does not agree with the trace.
pub fn picture_of_trace<S: Diagram>(spec: &S, trace: &Trace<S>) -> Result<Picture, TraceError> {
    let states = trace.replay(spec)?;
    let calls: Vec<Call<S>> = trace
        .steps
        .iter()
        .map(|step| (step.action, step.refused.as_deref().and_then(reason::<S>)))
        .collect();
    let mut drawn = picture(spec, &states[0], &calls, trace.header.falls.as_deref());
    drawn.subtitle = rules::<S>(&trace.header.rules);
    Ok(drawn)
}

/// The rules by name, with what was done to them if they are a mutant's.
pub(super) fn rules<S: Spec>(name: &str) -> String {
    let mutant = S::mutants().into_iter().find(|mutant| mutant.id == name);
    match mutant {
        Some(mutant) => format!("{name}: {}", mutant.says),
        None => format!("rules: {name}"),
    }
}

/// The specification's own word for a refusal.
fn reason<S: Spec>(name: &str) -> Option<&'static str> {
    S::refusals().iter().copied().find(|known| *known == name)
}

/// One call: the event, the state after it, and every property that is false there.
fn take<S: Diagram>(
    spec: &S,
    properties: &[Property<S>],
    before: &S::State,
    action: S::Action,
    refused: Option<&'static str>,
) -> (Event, S::State, Vec<&'static str>) {
    let mut event = spec.event(action);
    let refusal = spec.guard(before, action).err();
    if let (Some(reason), Some(refusal)) = (refused, refusal) {
        let step = Step {
            before,
            action,
            after: Err(refusal),
            outputs: None,
        };
        let found = fallen(properties, |property| property.falls_by(spec, &step));
        return (bounced(event, reason), *before, found);
    }
    let (after, outputs) = spec.apply(before, action);
    spec.detail(before, action, &after, &mut event);
    let mut found = fallen(properties, |property| property.falls_in(spec, &after));
    let step = Step {
        before,
        action,
        after: Ok(&after),
        outputs: Some(&outputs),
    };
    found.extend(fallen(properties, |property| {
        property.falls_by(spec, &step)
    }));
    (event, after, found)
}

/// The event of a call that was refused: nobody sent anything anywhere.
fn bounced(mut event: Event, reason: &str) -> Event {
    event.shape = match event.shape.ends() {
        Some((from, to)) if from != to => Shape::Message(from, to),
        Some((at, _)) => Shape::Local(at),
        None => Shape::Across,
    };
    event.text = format!("{} (refused: {reason})", event.text);
    event.toned(Tone::Refused)
}

/// The names of those that fall.
fn fallen<S: Spec>(
    properties: &[Property<S>],
    falls: impl Fn(&Property<S>) -> bool,
) -> Vec<&'static str> {
    let fallen = properties.iter().filter(|property| falls(property));
    fallen.map(|property| property.name).collect()
}

/// A property that no single state or step shows (that something can never be reached any more)
/// falls where its run ends.
fn wanted_at_the_end<S: Spec>(
    properties: &[Property<S>],
    wanted: Option<&str>,
) -> Option<&'static str> {
    let wanted = wanted?;
    let property = properties.iter().find(|property| property.name == wanted);
    property.map(|property| property.name)
}

fn fall<S: Spec>(properties: &[Property<S>], name: &str, wanted: bool) -> Fall {
    let property = properties.iter().find(|property| property.name == name);
    Fall {
        name: name.to_owned(),
        says: property.map_or_else(String::new, |property| property.says.to_owned()),
        wanted,
    }
}
