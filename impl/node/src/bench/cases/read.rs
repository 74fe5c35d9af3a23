//! Random 4 KiB reads by two threads, of data that the system has in memory.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_blockvol::{FlushBound, Volume, VolumeOptions};
use holdfast_types::{BLOCK_SIZE, BlockRange};

use super::super::contest::Effort;
use super::super::load::{flush, write_block};
use super::super::random::Random;
use super::super::raw::written_file;
use super::super::row::{Better, Figures, Row, Subject, Target};
use super::super::scratch::{During, Image, Scratch, one_copy};
use crate::failure::Failure;

const READERS: u64 = 2;

/// Reads between two looks at the clock.
const READS_PER_LOOK: u64 = 64;

/// `read-extent`: blocks that the log no longer has, against reads of a file.
pub(super) fn from_extent(effort: &Effort) -> Result<Vec<Row>, Failure> {
    let scratch = Scratch::inside(&effort.directory)?;
    let bytes = effort.bytes(256 << 20, 8 << 20);
    let volume = scratch.volume("store", bytes, bytes / 2, Image::Written, one_copy())?;
    fill(&volume, 0, volume.blocks())?;
    flush(&volume)?;
    while volume.write_back().during("write-back")? {}
    compare(
        effort,
        &scratch.path("raw"),
        "read-extent",
        &volume,
        bytes,
        400_000.0,
    )
}

/// `read-log`: blocks whose newest content is in the log only, against reads of a file. A quarter of
/// them are recent enough to be in memory.
pub(super) fn from_log(effort: &Effort) -> Result<Vec<Row>, Failure> {
    let scratch = Scratch::inside(&effort.directory)?;
    let bytes = effort.bytes(128 << 20, 4 << 20);
    let options = VolumeOptions {
        // Nothing is committed, so nothing is written back.
        flush_bound: FlushBound::Committed,
        ..one_copy()
    };
    let volume = scratch.volume("store", bytes, 2 * bytes, Image::Sparse, options)?;
    fill(&volume, 0, volume.blocks())?;
    flush(&volume)?;
    compare(
        effort,
        &scratch.path("raw"),
        "read-log",
        &volume,
        bytes,
        300_000.0,
    )
}

fn fill(volume: &Volume, from: u64, to: u64) -> Result<(), Failure> {
    let mut random = Random::new(1);
    for block in from..to {
        write_block(volume, block, Bytes::from(random.bytes(BLOCK_SIZE)))?;
    }
    Ok(())
}

fn compare(
    effort: &Effort,
    raw_path: &Path,
    case: &str,
    volume: &Volume,
    bytes: u64,
    target: f64,
) -> Result<Vec<Row>, Failure> {
    let raw = written_file(raw_path, bytes).during("the raw file")?;
    let blocks = volume.blocks();
    let (product, reference) = effort.rounds(
        |time| {
            reads_per_second(time, blocks, |block, buffer| {
                let range = BlockRange::new(block, 1).during("a block")?;
                volume.read(range, buffer).map(drop).during("a read")
            })
        },
        |time| reads_per_second(time, blocks, |block, buffer| read_raw(&raw, block, buffer)),
    )?;
    let subject = Subject {
        case: case.into(),
        unit: "op/s",
        better: Better::Higher,
        reference: Some("raw"),
        target: Target::Value(target),
    };
    Ok(vec![subject.row(&Figures { product, reference })])
}

fn read_raw(file: &File, block: u64, buffer: &mut [u8]) -> Result<(), Failure> {
    file.read_exact_at(buffer, block * BLOCK_SIZE as u64)
        .during("raw read")
}

/// Random blocks, read by all readers for so long.
fn reads_per_second(
    time: Duration,
    blocks: u64,
    read: impl Fn(u64, &mut [u8]) -> Result<(), Failure> + Sync,
) -> Result<f64, Failure> {
    let begun = Instant::now();
    let reader = |seed| {
        let mut random = Random::new(seed);
        let mut buffer = vec![0; BLOCK_SIZE];
        let mut done = 0;
        while begun.elapsed() < time {
            for _ in 0..READS_PER_LOOK {
                read(random.below(blocks), &mut buffer)?;
            }
            done += READS_PER_LOOK;
        }
        Ok::<u64, Failure>(done)
    };
    let done: u64 = thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|seed| scope.spawn(move || reader(seed)))
            .collect();
        readers
            .into_iter()
            .map(|reader| match reader.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .sum::<Result<u64, Failure>>()
    })?;
    Ok(done as f64 / begun.elapsed().as_secs_f64())
}
