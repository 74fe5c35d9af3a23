//! One writer that flushes now and then: small writes at random places, large ones in a row.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_types::BLOCK_SIZE;

use super::super::contest::Effort;
use super::super::load::{WRITES_PER_FLUSH, flush, write_block};
use super::super::random::Random;
use super::super::raw::{RawLog, written_file};
use super::super::row::{Better, Figures, Row, Subject, Target};
use super::super::scratch::{During, Image, Scratch, one_copy};
use crate::failure::Failure;

/// Size of the volume, in bytes; a quarter of it is log.
const VOLUME_BYTES: u64 = 1 << 30;

const MIB: u64 = 1 << 20;
/// Large writes from one flush to the next.
const LARGE_PER_FLUSH: u64 = 16;

/// `buffered-1c`: 4 KiB at random places, a flush each 256, against the same bytes appended to one
/// file.
pub(super) fn small(effort: &Effort) -> Result<Vec<Row>, Failure> {
    let scratch = Scratch::inside(&effort.directory)?;
    let bytes = effort.bytes(VOLUME_BYTES, 8 << 20);
    let raw = RawLog::create(&scratch.path("raw"), bytes / 4).during("the raw log")?;
    let volume = scratch.volume("store", bytes, bytes / 4, Image::Written, one_copy())?;
    let block = Random::new(1).bytes(BLOCK_SIZE);
    let mut random = Random::new(2);
    let (product, reference) = effort.rounds(
        |time| {
            per_second(time, WRITES_PER_FLUSH, |index| {
                let data = Bytes::copy_from_slice(&block);
                write_block(&volume, random.below(volume.blocks()), data)?;
                flush_each(index, WRITES_PER_FLUSH, || flush(&volume))
            })
        },
        |time| {
            per_second(time, WRITES_PER_FLUSH, |index| {
                raw.append(&block).during("raw append")?;
                flush_each(index, WRITES_PER_FLUSH, || raw.sync().during("raw sync"))
            })
        },
    )?;
    let subject = Subject {
        case: "buffered-1c".into(),
        unit: "op/s",
        better: Better::Higher,
        reference: Some("raw"),
        target: Target::Value(100_000.0),
    };
    Ok(vec![subject.row(&Figures { product, reference })])
}

/// `sequential-1c`: 1 MiB after 1 MiB, a flush each 16, against the same bytes written as often:
/// once into a log and once into an image, both synced. A log that fills is waited for, never an
/// error.
pub(super) fn large(effort: &Effort) -> Result<Vec<Row>, Failure> {
    let scratch = Scratch::inside(&effort.directory)?;
    let bytes = effort.bytes(VOLUME_BYTES, 64 << 20);
    let log = RawLog::create(&scratch.path("raw-log"), bytes / 4).during("the raw log")?;
    let image = written_file(&scratch.path("raw-image"), bytes).during("the raw image")?;
    let volume = scratch.volume("store", bytes, bytes / 4, Image::Written, one_copy())?;
    let data = Random::new(1).bytes(MIB as usize);
    let places = bytes / MIB;
    let mut next = 0;
    let mut raw_next = 0;
    let (product, reference) = effort.rounds(
        |time| {
            per_second(time, LARGE_PER_FLUSH, |index| {
                let place = next % places;
                next += 1;
                let data = Bytes::copy_from_slice(&data);
                write_block(&volume, place * MIB / BLOCK_SIZE as u64, data)?;
                flush_each(index, LARGE_PER_FLUSH, || flush(&volume))
            })
        },
        |time| {
            per_second(time, LARGE_PER_FLUSH, |index| {
                let place = raw_next % places;
                raw_next += 1;
                log.append(&data).during("raw append")?;
                write_image(&image, place * MIB, &data)?;
                flush_each(index, LARGE_PER_FLUSH, || {
                    log.sync().during("raw sync")?;
                    image.sync_data().during("raw sync")
                })
            })
        },
    )?;
    let subject = Subject {
        case: "sequential-1c".into(),
        unit: "MiB/s",
        better: Better::Higher,
        reference: Some("raw, log and image"),
        target: Target::Ratio(0.5),
    };
    Ok(vec![subject.row(&Figures { product, reference })])
}

fn write_image(image: &File, at: u64, data: &[u8]) -> Result<(), Failure> {
    image.write_all_at(data, at).during("raw write")
}

fn flush_each(
    index: u64,
    period: u64,
    flush: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    if (index + 1).is_multiple_of(period) {
        flush()
    } else {
        Ok(())
    }
}

/// Repeats an operation for so long, always whole periods of it; how often a second.
fn per_second(
    time: Duration,
    period: u64,
    mut operation: impl FnMut(u64) -> Result<(), Failure>,
) -> Result<f64, Failure> {
    let begun = Instant::now();
    let mut done = 0;
    while begun.elapsed() < time {
        for _ in 0..period {
            operation(done)?;
            done += 1;
        }
    }
    Ok(done as f64 / begun.elapsed().as_secs_f64())
}
