//! The copies at rest: each store, after its node was stopped, opened by the storage alone and read
//! block by block.

use std::path::Path;

use holdfast_blockvol::{Volume, VolumeOptions};
use holdfast_types::{BLOCK_SIZE, BlockRange, Lineage, Lsn, ReplicaId, VolumeId};

use super::failure::Failure;
use super::image::Image;

/// Blocks read at once.
const PIECE_BLOCKS: u64 = 256;

/// How far a copy reaches, and along which epochs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Its last durable entry.
    pub(crate) durable: Lsn,
    /// The epochs of its log.
    pub(crate) lineage: Lineage,
}

/// Holds every block of a copy against the reference.
///
/// # Errors
/// [`Failure::AtRest`] when it is no sound store of the volume, [`Failure::Differs`] when a block
/// differs.
pub(crate) fn verify(
    directory: &Path,
    replica: &ReplicaId,
    volume: VolumeId,
    reference: &Image,
) -> Result<Reach, Failure> {
    let wrong = |what: String| Failure::AtRest {
        replica: replica.clone(),
        what,
    };
    let found = holdfast_blockvol::inspect(directory).map_err(|error| wrong(error.to_string()))?;
    if !found.is_sound() || found.volume != volume {
        return Err(wrong(format!("not a sound copy of the volume:\n{found}")));
    }
    let options = VolumeOptions {
        background: false,
        ..VolumeOptions::default()
    };
    let store = Volume::open(directory, options).map_err(|error| wrong(error.to_string()))?;
    let mut comparison = reference.comparison();
    let mut piece = vec![0; PIECE_BLOCKS as usize * BLOCK_SIZE];
    for start in (0..store.blocks()).step_by(PIECE_BLOCKS as usize) {
        let count = PIECE_BLOCKS.min(store.blocks() - start);
        let range = BlockRange::new(start, count).map_err(|error| wrong(error.to_string()))?;
        let piece = &mut piece[..count as usize * BLOCK_SIZE];
        store
            .read(range, piece)
            .map_err(|error| wrong(error.to_string()))?;
        comparison.piece(piece);
    }
    comparison.verdict(&format!("the copy of {replica}, at rest,"))?;
    Ok(Reach {
        durable: store.positions().durable,
        lineage: store.lineage(),
    })
}
