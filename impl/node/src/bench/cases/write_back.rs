//! A log full of blocks at random places goes into the image.

use std::os::unix::fs::FileExt;
use std::time::Instant;

use bytes::Bytes;
use holdfast_blockvol::{Volume, VolumeOptions};
use holdfast_types::BLOCK_SIZE;

use super::super::contest::Effort;
use super::super::load::{drain, flush, write_block};
use super::super::random::Random;
use super::super::raw::written_file;
use super::super::row::{Better, Figures, Row, Subject, Target};
use super::super::scratch::{During, ENTRY_BYTES, Image, Scratch, one_copy};
use crate::failure::Failure;

/// Entries between two syncs: of the log while it is filled, of the file by the reference.
const ENTRIES_PER_SYNC: usize = 8192;

/// `write-back`: entries a second, against the same blocks written to a file in order, with a sync
/// for each 32 MiB.
pub(super) fn run(effort: &Effort) -> Result<Vec<Row>, Failure> {
    let scratch = Scratch::inside(&effort.directory)?;
    let bytes = effort.bytes(1 << 30, 8 << 20);
    let log_bytes = bytes / 4;
    let options = VolumeOptions {
        background: false,
        ..one_copy()
    };
    let volume = scratch.volume("store", bytes, log_bytes, Image::Written, options)?;
    let raw = written_file(&scratch.path("raw"), bytes).during("the raw file")?;
    let mut random = Random::new(1);
    // Of the ring a quarter stays behind the checkpoint, for copies that fall behind.
    let count = log_bytes / 8 * 5 / ENTRY_BYTES;
    let blocks: Vec<u64> = (0..count).map(|_| random.below(volume.blocks())).collect();
    let data = Bytes::from(random.bytes(BLOCK_SIZE));
    let (product, reference) = effort.rounds(
        |_| {
            fill(&volume, &blocks, &data)?;
            let begun = Instant::now();
            drain(&volume)?;
            let elapsed = begun.elapsed();
            while volume.write_back().during("write-back")? {}
            Ok(count as f64 / elapsed.as_secs_f64())
        },
        |_| {
            let begun = Instant::now();
            for run in blocks.chunks(ENTRIES_PER_SYNC) {
                let mut run = run.to_vec();
                run.sort_unstable();
                run.dedup();
                for block in run {
                    raw.write_all_at(&data, block * BLOCK_SIZE as u64)
                        .during("raw write")?;
                }
                raw.sync_data().during("raw sync")?;
            }
            Ok(count as f64 / begun.elapsed().as_secs_f64())
        },
    )?;
    let subject = Subject {
        case: "write-back".into(),
        unit: "entries/s",
        better: Better::Higher,
        reference: Some("raw"),
        target: Target::Ratio(0.8),
    };
    Ok(vec![subject.row(&Figures { product, reference })])
}

fn fill(volume: &Volume, blocks: &[u64], data: &Bytes) -> Result<(), Failure> {
    for run in blocks.chunks(ENTRIES_PER_SYNC) {
        for block in run {
            write_block(volume, *block, data.clone())?;
        }
        flush(volume)?;
    }
    Ok(())
}
