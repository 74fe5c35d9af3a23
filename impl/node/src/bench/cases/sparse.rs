//! A volume of 64 GiB of which nothing is allocated, against one of 1 GiB: size alone costs
//! nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_blockvol::Volume;
use holdfast_types::BLOCK_SIZE;

use super::super::contest::{Effort, each};
use super::super::load::{drain, write_at_random};
use super::super::random::Random;
use super::super::row::{Better, Figures, Row, Subject, Target};
use super::super::scratch::{During, Image, Scratch, one_copy};
use crate::failure::Failure;

const GIB: u64 = 1 << 30;

/// One opening of a volume, and what was written to it then.
#[derive(Clone, Copy, Debug)]
struct Use {
    open_ms: f64,
    writes_per_second: f64,
}

/// `sparse-64g-open` and `sparse-64g-write`: 4 KiB at random places, a flush each 256.
pub(super) fn run(effort: &Effort) -> Result<Vec<Row>, Failure> {
    let scratch = Scratch::inside(&effort.directory)?;
    let log_bytes = effort.bytes(GIB / 4, 4 << 20);
    let large = scratch.create_store("large", 64 * GIB, log_bytes, Image::Sparse)?;
    let small = scratch.create_store("small", GIB, log_bytes, Image::Sparse)?;
    for store in [&large, &small] {
        Scratch::serve(store, one_copy())?
            .close()
            .during("closing")?;
    }
    let mut random = Random::new(1);
    let mut other_random = Random::new(1);
    let (product, reference) = effort.rounds(
        |time| use_once(&large, time, &mut random),
        |time| use_once(&small, time, &mut other_random),
    )?;
    let row = |case: &str, unit, better, target, figure: fn(&Use) -> f64| {
        let subject = Subject {
            case: case.into(),
            unit,
            better,
            reference: Some("1 GiB"),
            target: Target::Ratio(target),
        };
        subject.row(&Figures {
            product: each(&product, figure),
            reference: each(&reference, figure),
        })
    };
    Ok(vec![
        row("sparse-64g-open", "ms", Better::Lower, 2.0, |u| u.open_ms),
        row("sparse-64g-write", "op/s", Better::Higher, 0.8, |u| {
            u.writes_per_second
        }),
    ])
}

fn use_once(store: &Path, time: Duration, random: &mut Random) -> Result<Use, Failure> {
    let begun = Instant::now();
    let volume = Volume::open(store, one_copy()).during("opening a store")?;
    let open_ms = begun.elapsed().as_secs_f64() * 1e3;
    let data = Bytes::from(random.bytes(BLOCK_SIZE));
    let begun = Instant::now();
    let writes = write_at_random(&volume, random, &data, time)?;
    let writes_per_second = writes as f64 / begun.elapsed().as_secs_f64();
    // What is left in the log would be the next opening's to read.
    drain(&volume)?;
    volume.close().during("closing")?;
    Ok(Use {
        open_ms,
        writes_per_second,
    })
}
