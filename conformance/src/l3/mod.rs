//! Level 3: the traces of level 2 over sockets and files, by the drivers of production.
//!
//! ```text
//!   engine <--tells-- driver's task <==TCP==> gate <==TCP==> server of replicas --> store on files
//!     ^                                        |
//!     +-- the rig: answers, steps, compares    +-- passes frames, tears them, cuts streams
//! ```
//!
//! Steps, comparison and tours are those of level 2 ([`crate::l2`]), on another ground. What is driven
//! beside the state machines is what drives them in a node: the task of a session with its socket
//! (`SessionDriver`), the listener, the connections and conversations of a replica's node, framing, stores with
//! all their threads. Every frame passes in two pieces; a lost stream is a socket that was closed,
//! before anything was sent, after everything was, inside a request, inside an answer, or on one side
//! alone, whose frames then come late on a connection that the replica must have ended.
//!
//! One step of the specification at a time: a driver that told the engine something waits for its
//! answer, which the rig gives with the next step; one that is in sync waits for something to move. No
//! step sleeps; what does not come within a bound is a disagreement.

use crate::l1;
use crate::l2::{Lens, Outing, Targets, Tour, report_on};
use crate::product::Patience;
use crate::report::Row;

pub mod gate;
pub mod ground;
pub mod host;
pub mod line;

pub use ground::{Cuts, Sockets};

/// States of an instance that are looked at: all of the smaller ones.
const STATES_OF_EVERY_BUILD: usize = 4_000;
const STATES_OF_A_LONG_RUN: usize = 60_000;

/// The instances, each with what is taken of it on every build, and in a long run.
const INSTANCES: &[(&str, Targets, Targets)] = &[
    ("smallest", Targets::Edges, Targets::Edges),
    ("facts", Targets::Classes, Targets::Classes),
    ("rebuild", Targets::Classes, Targets::Edges),
    ("laggard", Targets::Classes, Targets::Classes),
    ("two-senders", Targets::Classes, Targets::Classes),
    ("epochs", Targets::Classes, Targets::Classes),
];

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

/// The figures of this level, and the tours.
#[must_use]
pub fn report(
    sockets: &Sockets,
    outings: &[Outing],
    patience: Patience,
    lens: Lens,
) -> (Row, Vec<(Outing, Tour)>) {
    report_on(sockets, outings, patience, lens)
}
