//! Level *storage*: the volume's synchronous core, by tours over the storage specification.
//!
//! The specification's steps are made by the volume on disks in two layers ([`disk`]); after every
//! step the two must agree in what can be seen ([`view`]): positions, the content of every block as
//! reads return it, as it stands in the image, and as it would after a power loss, what of log, image
//! and superblocks is not yet durable, the snapshot and its content. What recovery yields is
//! compared for every crash image of the specification. What it refuses and a caller can ask for is
//! asked for ([`refusal`]).
//!
//! Where the volume does in one step what the specification does in several, edges between them are
//! left out, counted by the reason ([`Coarser`]).

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use holdfast_model::checking::Effort;
use holdfast_model::storage::Storage as Spec;
use holdfast_model::storage::instances::INSTANCES;
use serde::Serialize;

use crate::product::Patience;
use crate::workers;

mod calibrate;
mod crash;
mod disk;
mod layout;
mod refusal;
mod rig;
mod tour;
pub mod view;

pub use rig::{Coarser, System, VolumeRig};
pub use tour::{Tour, take};
use view::{Expected, View};

/// What is drawn from by default: which sectors of a torn write land.
pub const SEED: u64 = 1;

/// Steps that every build makes of an instance, at most. Smaller instances end before that.
const STEPS_OF_EVERY_BUILD: u64 = 30_000;

/// What looks at both sides. The parts can be replaced, so that tests can show that a defect in one
/// of them does not stay unseen.
#[derive(Clone, Copy, Debug)]
pub struct Lens {
    /// The abstraction: takes the volume and its disks for what the specification calls them.
    pub view: fn(&Spec, &holdfast_model::storage::state::State, &mut System) -> View,
    /// The comparer.
    pub same: fn(&Expected, &View) -> bool,
}

impl Default for Lens {
    fn default() -> Self {
        Self {
            view: view::of_volume,
            same: Expected::is,
        }
    }
}

/// The quick instances, or the whole lattice.
#[must_use]
pub fn specs(full: bool) -> Vec<Spec> {
    (INSTANCES.iter())
        .filter(|instance| full || instance.effort == Effort::Quick)
        .filter_map(|instance| Spec::named(instance.name))
        .collect()
}

/// The figures of this level, all of them computed in this run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The level: `storage`.
    pub level: &'static str,
    /// Granted steps of the specification, `(state, action)` pairs.
    pub edges_total: u64,
    /// Those that the volume made, and on which the two agreed.
    pub edges_covered: u64,
    /// Those that it does not make on its own, with the reason; what is left to the total lies behind
    /// them.
    pub edges_coarser: Vec<(&'static str, u64)>,
    /// Refused steps that a caller of the volume can ask for, in the states that it was brought to.
    pub disabled_total: u64,
    /// Those that it refused for the same reason, unchanged.
    pub disabled_checked: u64,
    /// Steps of either kind on which the two differed.
    pub disagreements: u64,
    /// Differences between two values that the comparer was shown and did not see.
    pub blind_spots: u64,
    /// States of the specification.
    pub states: u64,
    /// Those that the volume was brought to.
    pub states_reached: u64,
    /// Crash images of which recovery was compared.
    pub recoveries: u64,
    /// Steps that the volume made, repeated ones included.
    pub steps: u64,
    /// What was torn, and how, was drawn from this.
    pub seed: u64,
    /// Instances whose tours ended when they had made as many steps as a build may make.
    pub ended_early: u64,
    /// The instances toured, in order.
    pub instances: Vec<&'static str>,
    /// Wall clock time.
    pub seconds: f64,
}

impl Row {
    /// Whether nothing differed, and nothing was left out without a reason.
    #[must_use]
    pub fn is_green(&self) -> bool {
        self.edges_covered > 0
            && self.disabled_checked == self.disabled_total
            && self.disagreements == 0
            && self.blind_spots == 0
            && (self.edges_covered == self.edges_total
                || !self.edges_coarser.is_empty()
                || self.ended_early > 0)
    }
}

/// How far a run goes.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// To the last edge of every instance, instead of a number of steps.
    pub full: bool,
    /// From which is drawn what a power loss tears, and how.
    pub seed: u64,
    /// How far to go once the two sides differ.
    pub patience: Patience,
}

/// Tours over all `specs`, seen through `lens`.
///
/// # Panics
/// When a worker does, which is a defect of the checker.
#[must_use]
pub fn report(specs: &[Spec], extent: Extent, lens: Lens) -> (Row, Vec<Tour>) {
    let began = Instant::now();
    let blind_spots = calibrate::blind_spots(&lens);
    let hopeless = extent.patience.fail_fast && blind_spots > 0;
    let tours = if hopeless {
        Vec::new()
    } else {
        tour_all(specs, extent, lens)
    };
    let sum = |figure: fn(&Tour) -> u64| tours.iter().map(figure).sum();
    let coarser = Coarser::ALL.into_iter().map(|why| {
        let count = tours.iter().filter_map(|tour| tour.coarser.get(&why)).sum();
        (why.says(), count)
    });
    let row = Row {
        level: "storage",
        edges_total: sum(|tour| tour.edges_total),
        edges_covered: sum(|tour| tour.edges_covered),
        edges_coarser: coarser.filter(|(_, count)| *count > 0).collect(),
        disabled_total: sum(|tour| tour.disabled_total),
        disabled_checked: sum(|tour| tour.disabled_checked),
        disagreements: sum(|tour| tour.disagreements),
        blind_spots,
        states: sum(|tour| tour.states.0),
        states_reached: sum(|tour| tour.states.1),
        recoveries: sum(|tour| tour.recoveries),
        steps: sum(|tour| tour.steps),
        seed: extent.seed,
        ended_early: sum(|tour| u64::from(tour.ended_early)),
        instances: tours.iter().map(|tour| tour.instance).collect(),
        seconds: began.elapsed().as_secs_f64(),
    };
    (row, tours)
}

fn tour_all(specs: &[Spec], extent: Extent, lens: Lens) -> Vec<Tour> {
    let steps_most = if extent.full {
        u64::MAX
    } else {
        STEPS_OF_EVERY_BUILD
    };
    let stop = AtomicBool::new(false);
    workers::on_each(specs, |spec| {
        let rig = VolumeRig::new(spec.clone(), extent.seed);
        take(&rig, lens, (steps_most, extent.patience), &stop)
    })
}
