//! What a volume costs beside time: memory, and bytes written to the disk.

use std::fs;

use bytes::Bytes;
use holdfast_blockvol::VolumeOptions;
use holdfast_types::BLOCK_SIZE;

use super::super::contest::Effort;
use super::super::load::{WRITES_PER_FLUSH, drain, flush, write_at_random, write_block};
use super::super::random::Random;
use super::super::row::{Better, Figures, Row, Subject, Target};
use super::super::scratch::{During, ENTRY_BYTES, Image, Scratch, one_copy};
use crate::failure::Failure;

/// `memory-dirty-block`: resident memory for each block that is newer in the log than in the image,
/// everything that the volume remembers of its entry included, without the recent payloads.
pub(super) fn memory(effort: &Effort) -> Result<Vec<Row>, Failure> {
    let scratch = Scratch::inside(&effort.directory)?;
    let dirty = effort.bytes(128 << 10, 1 << 10);
    let options = VolumeOptions {
        background: false,
        recent_bytes: 0,
        ..one_copy()
    };
    let log_bytes = (dirty * ENTRY_BYTES / 4 * 5).max(1 << 20);
    let bytes = 16 * dirty * BLOCK_SIZE as u64;
    let volume = scratch.volume("store", bytes, log_bytes, Image::Sparse, options)?;
    let data = Bytes::from(Random::new(1).bytes(BLOCK_SIZE));
    let append = |block| write_block(&volume, block, data.clone());
    // What the first entry alone costs is no cost of a block.
    append(0)?;
    let before = resident_bytes()?;
    for index in 1..=dirty {
        // An odd multiplier meets every block of a power of two once, in no order of the disk's.
        append(index.wrapping_mul(0x9e37_79b9_7f4a_7c15) % volume.blocks())?;
        if index.is_multiple_of(WRITES_PER_FLUSH) {
            flush(&volume)?;
        }
    }
    let grown = resident_bytes()?.saturating_sub(before);
    let subject = Subject {
        case: "memory-dirty-block".into(),
        unit: "B",
        better: Better::Lower,
        reference: None,
        target: Target::Value(64.0),
    };
    Ok(vec![subject.row(&Figures {
        product: vec![grown as f64 / dirty as f64],
        reference: Vec::new(),
    })])
}

/// `bytes-written`: bytes given to the system to write (log headers, superblocks and padding
/// included) for each byte of 4 KiB writes at random places, a flush each 256, until all of it is in
/// the image.
pub(super) fn bytes_written(effort: &Effort) -> Result<Vec<Row>, Failure> {
    let scratch = Scratch::inside(&effort.directory)?;
    let bytes = effort.bytes(1 << 30, 8 << 20);
    let volume = scratch.volume("store", bytes, bytes / 4, Image::Written, one_copy())?;
    let data = Bytes::from(Random::new(1).bytes(BLOCK_SIZE));
    let mut random = Random::new(2);
    let mut product = Vec::new();
    for _ in 0..effort.rounds {
        let before = written_bytes()?;
        let writes = write_at_random(&volume, &mut random, &data, effort.time)?;
        drain(&volume)?;
        let written = written_bytes()?.saturating_sub(before);
        product.push(written as f64 / (writes * BLOCK_SIZE as u64) as f64);
    }
    let subject = Subject {
        case: "bytes-written".into(),
        unit: "B/B",
        better: Better::Lower,
        reference: None,
        target: Target::Value(2.6),
    };
    Ok(vec![subject.row(&Figures {
        product,
        reference: Vec::new(),
    })])
}

/// Memory of this process, in bytes.
fn resident_bytes() -> Result<u64, Failure> {
    number_after("/proc/self/status", "VmRSS:").map(|kib| kib * 1024)
}

/// Bytes that this process gave the system to write. (What the system says that it wrote counts
/// pages of any size as a whole when one block of them changes.)
fn written_bytes() -> Result<u64, Failure> {
    number_after("/proc/self/io", "wchar:")
}

fn number_after(path: &str, name: &str) -> Result<u64, Failure> {
    let text = fs::read_to_string(path).during(path)?;
    let number = text.split_once(name).and_then(|(_, rest)| {
        let number = rest.split_whitespace().next()?;
        number.parse().ok()
    });
    number.ok_or("it is not there").during(name.trim())
}
