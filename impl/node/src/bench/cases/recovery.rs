//! Opening a store after a crash: its log is read once, from the disk.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use holdfast_blockvol::{Volume, VolumeOptions};
use holdfast_types::BLOCK_SIZE;
use rustix::fs::{Advice, fadvise};

use super::super::contest::Effort;
use super::super::load::{WRITES_PER_FLUSH, flush, write_block};
use super::super::random::Random;
use super::super::row::{Better, Figures, Row, Subject, Target};
use super::super::scratch::{During, ENTRY_BYTES, Image, Scratch, one_copy};
use crate::failure::Failure;

/// Bytes of log read at once by the reference.
const PIECE_BYTES: usize = 8 << 20;

/// `recovery`: entries of 4 KiB a second, against reading the same file from one end to the other.
pub(super) fn run(effort: &Effort) -> Result<Vec<Row>, Failure> {
    let scratch = Scratch::inside(&effort.directory)?;
    let log_bytes = effort.bytes(512 << 20, 4 << 20);
    let entries = log_bytes / 8 * 7 / ENTRY_BYTES;
    let store = scratch.create_store("store", 2 * log_bytes, log_bytes, Image::Sparse)?;
    fill(&store, entries)?;
    let log = File::open(store.join("log")).during("the log")?;
    let forget = || fadvise(&log, 0, None, Advice::DontNeed).during("forgetting the log");
    let (product, reference) = effort.rounds(
        |_| {
            forget()?;
            let begun = Instant::now();
            let volume = Volume::open(&store, at_rest()).during("recovery")?;
            let elapsed = begun.elapsed();
            let found = volume.positions().head.0;
            if found != entries + 1 {
                return Err(format!("{found} entries of {}", entries + 1)).during("recovery");
            }
            Ok(entries as f64 / elapsed.as_secs_f64())
        },
        |_| {
            forget()?;
            let begun = Instant::now();
            read_through(&log, entries * ENTRY_BYTES)?;
            Ok(entries as f64 / begun.elapsed().as_secs_f64())
        },
    )?;
    let subject = Subject {
        case: "recovery".into(),
        unit: "entries/s",
        better: Better::Higher,
        reference: Some("raw read of the log"),
        target: Target::ValueOrRatio(1e6, 0.8),
    };
    Ok(vec![subject.row(&Figures { product, reference })])
}

/// Nothing happens in the background: the log stays as it is.
fn at_rest() -> VolumeOptions {
    VolumeOptions {
        background: false,
        ..one_copy()
    }
}

/// Writes entries at random places, and leaves the store as a crash would.
fn fill(store: &Path, entries: u64) -> Result<(), Failure> {
    let volume = Scratch::serve(store, at_rest())?;
    let mut random = Random::new(1);
    for index in 1..=entries {
        let block = random.below(volume.blocks());
        write_block(&volume, block, Bytes::from(random.bytes(BLOCK_SIZE)))?;
        if index.is_multiple_of(WRITES_PER_FLUSH) || index == entries {
            flush(&volume)?;
        }
    }
    Ok(())
}

fn read_through(file: &File, bytes: u64) -> Result<(), Failure> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    while at < bytes {
        let len = (bytes - at).min(PIECE_BYTES as u64);
        file.read_exact_at(&mut piece[..len as usize], at)
            .during("raw read")?;
        at += len;
    }
    Ok(())
}
