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

use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use holdfast_model::checking::Spec;
use holdfast_model::session::{Bounds, Session};

use crate::product::{self, Patience, Walk};
use crate::report::{InstanceRow, Row};
use crate::workers;

pub mod answer;
pub mod calibrate;
pub(crate) mod calls;
pub mod rig;
pub mod trace;
pub mod translate;
pub mod view;

pub use rig::{EngineRig, Lens};

/// How many sessions of a volume every build lets an instance issue; a long run lets it issue all
/// that it has. One session more multiplies the states by five to ten, and shows the engine hardly
/// a call that it has not seen.
const SESSIONS_OF_EVERY_BUILD: &[(&str, u8)] = &[
    ("smallest", 2),
    ("facts", 2),
    ("authority", 2),
    ("forged", 3),
    ("budget", 2),
    ("rebuild", 3),
    ("laggard", 2),
    ("two-senders", 3),
    ("two-volumes", 2),
    ("epochs", 2),
];

static NARROWED: LazyLock<Vec<Bounds>> = LazyLock::new(|| {
    let narrowed = SESSIONS_OF_EVERY_BUILD.iter().map(|&(name, sessions)| {
        let wide = Session::at(name)
            .expect("an instance of the specification")
            .bounds;
        Bounds {
            sessions: wide.sessions.min(sessions),
            ..*wide
        }
    });
    narrowed.collect()
});

/// What every build walks: instances of the specification with fewer sessions. A trace of one is a
/// trace of the instance whose name it has.
#[must_use]
pub fn every_build() -> Vec<Session> {
    NARROWED.iter().map(Session::new).collect()
}

/// What a long run walks: every instance of the specification as it is.
#[must_use]
pub fn long_run() -> Vec<Session> {
    Session::instances()
        .iter()
        .filter_map(|instance| Session::at(instance.name))
        .collect()
}

/// One instance of [`every_build`].
#[must_use]
pub fn narrowed(name: &str) -> Option<Session> {
    every_build()
        .into_iter()
        .find(|spec| spec.instance().name == name)
}

/// What became of one instance.
#[derive(Clone, Debug)]
pub struct InstanceWalk {
    /// The instance.
    pub instance: &'static str,
    /// What the product found.
    pub walk: Walk<Session>,
}

impl InstanceWalk {
    /// Its figures.
    #[must_use]
    pub const fn row(&self) -> InstanceRow {
        let walk = &self.walk;
        InstanceRow {
            level: "L1",
            instance: self.instance,
            edges_total: walk.edges_total,
            edges_covered: walk.edges_covered,
            edges_of_surroundings: walk.edges_of_surroundings,
            disabled_total: walk.disabled_total,
            disabled_checked: walk.disabled_checked,
            disagreements: walk.disagreements,
            hidden_states: walk.hidden_states,
            states: walk.states,
            seconds: walk.seconds,
        }
    }
}

/// Walks the products of all `specs` with the engine, seen through `lens`.
///
/// # Panics
/// When a worker does, which is a defect of the checker.
#[must_use]
pub fn run(specs: &[Session], patience: Patience, lens: Lens) -> Vec<InstanceWalk> {
    let stop = AtomicBool::new(false);
    workers::on_each(specs, |spec| InstanceWalk {
        instance: spec.instance().name,
        walk: product::walk(&EngineRig::new(*spec, lens), patience, &stop),
    })
}

/// The figures of this level, and the disagreements.
#[must_use]
pub fn report(specs: &[Session], patience: Patience, lens: Lens) -> (Row, Vec<InstanceWalk>) {
    let began = Instant::now();
    let blind_spots = calibrate::blind_spots(&lens).len() as u64;
    // What a blind comparer does not find proves nothing.
    let hopeless = patience.fail_fast && blind_spots > 0;
    let walks = if hopeless {
        Vec::new()
    } else {
        run(specs, patience, lens)
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
        edges_out_of_reach: 0,
        hidden_states: sum(|walk| walk.hidden_states),
        blind_spots,
        states: sum(|walk| walk.states),
        instances: walks.iter().map(|each| each.instance).collect(),
        seconds: began.elapsed().as_secs_f64(),
    };
    (row, walks)
}
