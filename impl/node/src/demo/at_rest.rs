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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use holdfast_blockvol::{FormatOptions, MIN_LOG_BYTES, Role, Volume, VolumeOptions};
    use holdfast_types::{BLOCK_SIZE, BlockRange, EntryKind, Epoch, Lsn, ReplicaId, VolumeId};

    use super::verify;
    use crate::demo::failure::Failure;
    use crate::demo::image::Image;

    const BLOCKS: u64 = 300;

    /// A store that was closed after one block was written; and what it should hold.
    fn store(directory: &std::path::Path, volume: VolumeId) -> Image {
        let mut format = FormatOptions::new(volume, BLOCKS);
        format.log_bytes = MIN_LOG_BYTES;
        Volume::create(directory, &format).unwrap();
        let store = Volume::open(directory, VolumeOptions::default()).unwrap();
        store.fence(Epoch(1)).unwrap();
        store.set_role(Epoch(1), Role::Primary).unwrap();
        store.append_epoch_start(Epoch(1)).unwrap();
        let block = Bytes::from(vec![7; BLOCK_SIZE]);
        let range = BlockRange::new(270, 1).unwrap();
        store
            .append(Epoch(1), EntryKind::Write, range, block.clone())
            .unwrap();
        store.close().unwrap();
        let mut reference = Image::zeroes(BLOCKS);
        reference.overwrite(270 * BLOCK_SIZE, &block);
        reference
    }

    #[test]
    fn a7_a_copy_at_rest_is_compared_to_its_last_block() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("store");
        let (replica, volume) = (ReplicaId::new("r1").unwrap(), VolumeId::random());
        let mut reference = store(&directory, volume);
        let reach = verify(&directory, &replica, volume, &reference).unwrap();
        assert_eq!(reach.durable, Lsn(2));

        reference.overwrite(299 * BLOCK_SIZE, &[1]);
        reference.overwrite(270 * BLOCK_SIZE, &[1]);
        let differs = verify(&directory, &replica, volume, &reference);
        assert!(
            matches!(
                differs,
                Err(Failure::Differs {
                    blocks: 2,
                    first: 270,
                    ..
                })
            ),
            "{differs:?}"
        );
    }

    #[test]
    fn what_is_not_the_volumes_store_is_no_copy_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("store");
        let replica = ReplicaId::new("r1").unwrap();
        let reference = store(&directory, VolumeId::random());
        for (place, volume) in [
            (directory, VolumeId::random()),
            (dir.path().join("nothing"), VolumeId::random()),
        ] {
            let refused = verify(&place, &replica, volume, &reference);
            assert!(
                matches!(refused, Err(Failure::AtRest { .. })),
                "{refused:?}"
            );
        }
    }
}
