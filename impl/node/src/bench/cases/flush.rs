//! Durable 4 KiB writes: each writer appends one block, flushes, and begins again.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_blockvol::Volume;
use holdfast_types::BLOCK_SIZE;

use super::super::contest::{Effort, each};
use super::super::latency::{Latencies, Summary};
use super::super::load::{flush, write_block};
use super::super::random::Random;
use super::super::raw::RawLog;
use super::super::row::{Better, Figures, Row, Subject, Target};
use super::super::scratch::{During, Image, Scratch, one_copy};
use crate::failure::Failure;

/// Size of the volume, in bytes; a quarter of it is log.
const VOLUME_BYTES: u64 = 1 << 30;

/// What so many writers should reach of the raw throughput.
const fn share(writers: u64) -> f64 {
    match writers {
        0..16 => 0.9,
        16..64 => 0.85,
        64.. => 0.75,
    }
}

/// `flush-1c-<writers>w`: operations a second, and how long the slow ones take.
pub(super) fn run(effort: &Effort, writers: u64) -> Result<Vec<Row>, Failure> {
    let scratch = Scratch::inside(&effort.directory)?;
    let bytes = effort.bytes(VOLUME_BYTES, 8 << 20);
    let raw = raw_log(&scratch.path("raw"), bytes / 4)?;
    let volume = scratch.volume("store", bytes, bytes / 4, Image::Written, one_copy())?;
    let block = Bytes::from(Random::new(writers).bytes(BLOCK_SIZE));
    let (product, reference) = effort.rounds(
        |time| {
            concurrently(writers, time, |random| {
                write_and_flush(&volume, random, &block)
            })
        },
        |time| {
            concurrently(writers, time, |_| {
                raw.append(&block).during("raw append")?;
                raw.sync().during("raw sync")
            })
        },
    )?;
    let row = |suffix: &str, unit, better, target, figure: fn(&Summary) -> f64| {
        let subject = Subject {
            case: format!("flush-1c-{writers}w{suffix}"),
            unit,
            better,
            reference: Some("raw"),
            target,
        };
        subject.row(&Figures {
            product: each(&product, figure),
            reference: each(&reference, figure),
        })
    };
    let (higher, lower) = (Better::Higher, Better::Lower);
    Ok(vec![
        row("", "op/s", higher, Target::Ratio(share(writers)), |s| {
            s.per_second
        }),
        row("-p99", "us", lower, Target::Ratio(2.0), |s| s.p99_us),
        row("-p999", "us", lower, Target::Ratio(3.0), |s| s.p999_us),
    ])
}

fn raw_log(path: &Path, bytes: u64) -> Result<RawLog, Failure> {
    RawLog::create(path, bytes).during("the raw log")
}

fn write_and_flush(volume: &Volume, random: &mut Random, block: &Bytes) -> Result<(), Failure> {
    let data = Bytes::copy_from_slice(block);
    write_block(volume, random.below(volume.blocks()), data)?;
    flush(volume)
}

/// So many threads that repeat an operation for so long.
fn concurrently(
    threads: u64,
    time: Duration,
    operation: impl Fn(&mut Random) -> Result<(), Failure> + Sync,
) -> Result<Summary, Failure> {
    let begun = Instant::now();
    let operation = &operation;
    let latencies = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|seed| scope.spawn(move || repeat(time, Random::new(seed), operation)))
            .collect();
        let mut all = Latencies::default();
        for worker in workers {
            match worker.join() {
                Ok(latencies) => all.merge(latencies?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok::<_, Failure>(all)
    })?;
    Ok(latencies.summary(begun.elapsed()))
}

fn repeat(
    time: Duration,
    mut random: Random,
    operation: &impl Fn(&mut Random) -> Result<(), Failure>,
) -> Result<Latencies, Failure> {
    let mut latencies = Latencies::default();
    let begun = Instant::now();
    let mut last = Duration::ZERO;
    while last < time {
        operation(&mut random)?;
        let now = begun.elapsed();
        latencies.record(now - last);
        last = now;
    }
    Ok(latencies)
}
