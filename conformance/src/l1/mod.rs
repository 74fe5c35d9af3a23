//! Level 1: the engine, by the exhaustive product with the session specification.
//!
//! For each instance every state that the specification can reach is visited with the engine in it,
//! and every call is made on both, those that must be refused included ([`crate::product`]). What is
//! compared after each call: the outcome or the refusal with its facts, the pins acquired and
//! released, the end of every session with its cause, and every field of `docs/session.md`,
//! section 1 ([`view`]).
//!
//! Two rooms that share nothing but names meet here: [`translate`] gives each value of the
//! specification its counterpart, [`rig`] makes the calls. Each is small and dull on purpose; that a
//! defect in one of them would show is itself tested, by corrupting it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use holdfast_model::checking::Spec;
use holdfast_model::session::Session;

use crate::product::{self, Patience, Walk};
use crate::report::Row;

pub mod answer;
pub mod calibrate;
mod calls;
pub mod rig;
pub mod trace;
pub mod translate;
pub mod view;

pub use rig::{EngineRig, Lens};

/// Instances walked at the same time.
const WORKERS: usize = 2;

/// What became of one instance.
#[derive(Clone, Debug)]
pub struct InstanceWalk {
    /// The instance.
    pub instance: &'static str,
    /// What the product found.
    pub walk: Walk<Session>,
}

/// The instances of the specification, the long ones only with `full`.
#[must_use]
pub fn instances(full: bool) -> Vec<&'static str> {
    let all = Session::instances().iter();
    all.filter(|instance| full || instance.quick)
        .map(|instance| instance.name)
        .collect()
}

/// Walks the products of all `instances` with the engine, seen through `lens`.
///
/// # Panics
/// When there is no instance of such a name: take them from [`instances`].
#[must_use]
pub fn run(instances: &[&'static str], patience: Patience, lens: Lens) -> Vec<InstanceWalk> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let walks = Mutex::new(Vec::new());
    let work = || {
        while let Some(&instance) = instances.get(next.fetch_add(1, Ordering::Relaxed)) {
            let spec = Session::at(instance).expect("an instance of the specification");
            let walk = product::walk(&EngineRig::new(spec, lens), patience, &stop);
            let mut done = walks.lock().expect("a worker that panics ends the run");
            done.push(InstanceWalk { instance, walk });
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().expect("a worker that panics ends the run");
        }
    });
    let mut walks = walks
        .into_inner()
        .expect("a worker that panics ends the run");
    let place = |name| instances.iter().position(|instance| *instance == name);
    walks.sort_by_key(|each: &InstanceWalk| place(each.instance));
    walks
}

/// The figures of this level, and the disagreements.
#[must_use]
pub fn report(
    instances: &[&'static str],
    patience: Patience,
    lens: Lens,
) -> (Row, Vec<InstanceWalk>) {
    let began = Instant::now();
    let blind_spots = calibrate::blind_spots(&lens).len() as u64;
    // What a blind comparer does not find proves nothing.
    let hopeless = patience.fail_fast && blind_spots > 0;
    let walks = if hopeless {
        Vec::new()
    } else {
        run(instances, patience, lens)
    };
    let sum = |figure: fn(&Walk<Session>) -> u64| walks.iter().map(|each| figure(&each.walk)).sum();
    let row = Row {
        level: "L1",
        edges_total: sum(|walk| walk.edges_total),
        edges_covered: sum(|walk| walk.edges_covered),
        disabled_total: sum(|walk| walk.disabled_total),
        disabled_checked: sum(|walk| walk.disabled_checked),
        disagreements: sum(|walk| walk.disagreements),
        edges_of_surroundings: sum(|walk| walk.edges_of_surroundings),
        hidden_states: sum(|walk| walk.hidden_states),
        blind_spots,
        states: sum(|walk| walk.states),
        instances: walks.iter().map(|each| each.instance).collect(),
        seconds: began.elapsed().as_secs_f64(),
    };
    (row, walks)
}
