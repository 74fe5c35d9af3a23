//! Level 2: engine, executors and stores, stepped by the specification's own actions.
//!
//! ```text
//!   specification --(steps within reach)--> graph --(tours)--> cluster: engine, sessions, stores
//!                                                       compared after every step
//! ```
//!
//! The cluster is the product itself: the orchestrated engine, both ends of every session as the node
//! runs them, frames encoded and decoded, stores on simulated disks. What is left out are sockets,
//! clocks and threads. The rig plays the authority and the world, and has the sessions go on, one
//! thing at a time ([`rig`]).
//!
//! After each step are compared: what the engine is told (the reports and histories that the stores
//! give, field by field), its answer or refusal, every field of its state, the positions and lineages
//! of the stores, the entries and images of copies that are in sync. Frames of sessions that are over
//! come late and must be refused to no effect, and what such a session told last it tells again.
//!
//! What the product never asks for is *out of reach* here, by the rules in [`reach`]; it is counted.

use std::time::Instant;

use holdfast_model::checking::Spec as _;
use holdfast_model::session::Session;

use crate::l1;
use crate::product::{Patience, Walk};
use crate::report::Row;
use crate::workers;

pub mod calibrate;
pub mod cluster;
pub mod disks;
pub mod ground;
pub mod line;
pub mod observe;
pub mod reach;
pub mod rig;
pub mod walk;

pub use ground::Grounds;
pub use rig::{Lens, Rig};
pub use walk::{Targets, Tour};

/// States of an instance that are looked at: all of the smaller ones.
const STATES_OF_EVERY_BUILD: usize = 15_000;
const STATES_OF_A_LONG_RUN: usize = 60_000;

/// The instances, each with what is taken of it on every build, and in a long run.
const INSTANCES: &[(&str, Targets, Targets)] = &[
    ("smallest", Targets::Edges, Targets::Edges),
    ("facts", Targets::Classes, Targets::Classes),
    ("authority", Targets::Classes, Targets::Classes),
    ("budget", Targets::Classes, Targets::Classes),
    ("rebuild", Targets::Classes, Targets::Edges),
    ("laggard", Targets::Classes, Targets::Classes),
    ("two-senders", Targets::Classes, Targets::Classes),
    ("two-volumes", Targets::Classes, Targets::Classes),
    ("epochs", Targets::Classes, Targets::Classes),
];

/// One instance and what is taken of it.
#[derive(Clone, Copy, Debug)]
pub struct Outing {
    /// The instance.
    pub spec: Session,
    /// What is taken.
    pub targets: Targets,
    /// Among so many of its states.
    pub states_max: usize,
}

/// What every build takes, or a long run.
#[must_use]
pub fn outings(full: bool) -> Vec<Outing> {
    let outing = |&(name, often, seldom): &(&str, Targets, Targets)| {
        let spec = l1::narrowed(name)?;
        let (targets, states_max) = if full {
            (seldom, STATES_OF_A_LONG_RUN)
        } else {
            (often, STATES_OF_EVERY_BUILD)
        };
        Some(Outing {
            spec,
            targets,
            states_max,
        })
    };
    INSTANCES.iter().filter_map(outing).collect()
}

/// Tours all outings in the product as it stands on `grounds`, seen through `lens`.
///
/// # Panics
/// When a worker does, which is a defect of the checker.
#[must_use]
pub fn run(
    outings: &[Outing],
    patience: Patience,
    grounds: &dyn Grounds,
    lens: Lens,
) -> Vec<(Outing, Tour)> {
    workers::on_each(outings, |outing| {
        let &Outing {
            spec,
            targets,
            states_max,
        } = outing;
        let tour = walk::tour(spec, targets, states_max, (grounds, lens), patience);
        (*outing, tour)
    })
}

/// The figures of this level, and the tours.
#[must_use]
pub fn report(outings: &[Outing], patience: Patience, lens: Lens) -> (Row, Vec<(Outing, Tour)>) {
    report_on(&line::Memory, outings, patience, lens)
}

/// The same on any ground.
#[must_use]
pub fn report_on(
    grounds: &dyn Grounds,
    outings: &[Outing],
    patience: Patience,
    lens: Lens,
) -> (Row, Vec<(Outing, Tour)>) {
    let began = Instant::now();
    let blind_spots = calibrate::blind_spots(&lens).len() as u64;
    let tours = run(outings, patience, grounds, lens);
    let sum = |figure: fn(&Walk<Session>) -> u64| tours.iter().map(|(_, t)| figure(&t.walk)).sum();
    let row = Row {
        level: grounds.level(),
        edges_total: sum(|walk| walk.edges_total),
        edges_covered: sum(|walk| walk.edges_covered),
        disabled_total: sum(|walk| walk.disabled_total),
        disabled_checked: sum(|walk| walk.disabled_checked),
        disagreements: sum(|walk| walk.disagreements),
        edges_of_surroundings: sum(|walk| walk.edges_of_surroundings),
        edges_out_of_reach: tours.iter().map(|(_, tour)| tour.out_of_reach).sum(),
        hidden_states: 0,
        blind_spots,
        states: sum(|walk| walk.states),
        instances: tours
            .iter()
            .map(|(outing, _)| outing.spec.instance().name)
            .collect(),
        seconds: began.elapsed().as_secs_f64(),
    };
    (row, tours)
}
