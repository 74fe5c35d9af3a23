//! Single blocks of a copy, for whoever compares copies: what they are here, and writing one again.
//!
//! Promises: everything that is told is what the copy would serve, verified, of some position of its
//! log between the two that are named with it; a replica answers only under the session that the
//! question names, before and after it looked (T7).

use holdfast_blockvol::{CHUNK_BLOCKS, Damage, ReadError, Volume, chunk_range};
use holdfast_types::{BLOCK_SIZE, BlockRange, Lsn, VolumeId};
use tokio::task::block_in_place;

use super::control::{CopyAuthority, CopyReply, CopyRequest, Problem, ProblemKind};
use super::local_store::LocalStore;
use super::node::NodeShared;
use crate::verify::{BlockState, bytes_of, hexadecimal};

/// Content of some position between two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen<T> {
    /// The head before it was read.
    pub(super) from: Lsn,
    /// The head after.
    pub(super) to: Lsn,
    /// What was read.
    pub(super) what: T,
}

fn seen<T>(
    volume: &Volume,
    look: impl FnOnce() -> Result<T, ReadError>,
) -> Result<Seen<T>, ReadError> {
    let from = volume.positions().head;
    let what = look()?;
    let to = volume.positions().head;
    Ok(Seen { from, to, what })
}

/// The blocks of a chunk.
pub(super) fn range_of(volume: &Volume, chunk: u64) -> Result<BlockRange, ReadError> {
    let blocks = volume.blocks();
    chunk_range(chunk, blocks).ok_or_else(|| {
        let start = chunk.saturating_mul(CHUNK_BLOCKS).min(u64::MAX - 1);
        // A range of one block is one wherever it begins.
        match BlockRange::new(start, 1) {
            Ok(range) => ReadError::OutOfBounds { range, blocks },
            Err(_) => ReadError::Untrusted,
        }
    })
}

/// What each block of a chunk is.
pub(super) fn states(volume: &Volume, chunk: u64) -> Result<Seen<Vec<BlockState>>, ReadError> {
    let range = range_of(volume, chunk)?;
    seen(volume, || {
        let mut content = vec![0; bytes(range)];
        match volume.read(range, &mut content) {
            Ok(_) => Ok(content.chunks(BLOCK_SIZE).map(BlockState::of).collect()),
            Err(ReadError::Damaged(_)) => (range.start()..range.end())
                .map(|block| state(volume, block))
                .collect(),
            Err(
                error @ (ReadError::OutOfBounds { .. }
                | ReadError::BufferSize { .. }
                | ReadError::Untrusted
                | ReadError::Restoring { .. }
                | ReadError::Disk(_)),
            ) => Err(error),
        }
    })
}

fn state(volume: &Volume, block: u64) -> Result<BlockState, ReadError> {
    match content_of(volume, block) {
        Ok(content) => Ok(BlockState::of(&content)),
        Err(ReadError::Damaged(Damage::LogPayload { .. })) => Ok(BlockState::DamagedEntry),
        Err(ReadError::Damaged(
            Damage::Extent { .. }
            | Damage::LogBroken { .. }
            | Damage::Superblock { .. }
            | Damage::SnapshotFile { .. }
            | Damage::SnapshotBlocks { .. },
        )) => Ok(BlockState::Damaged),
        Err(
            error @ (ReadError::OutOfBounds { .. }
            | ReadError::BufferSize { .. }
            | ReadError::Untrusted
            | ReadError::Restoring { .. }
            | ReadError::Disk(_)),
        ) => Err(error),
    }
}

/// A block.
pub(super) fn content(volume: &Volume, block: u64) -> Result<Seen<Vec<u8>>, ReadError> {
    seen(volume, || content_of(volume, block))
}

fn content_of(volume: &Volume, block: u64) -> Result<Vec<u8>, ReadError> {
    let out_of_bounds = || ReadError::Untrusted;
    let range = BlockRange::new(block, 1).map_err(|_| out_of_bounds())?;
    let mut content = vec![0; BLOCK_SIZE];
    volume.read(range, &mut content)?;
    Ok(content)
}

fn bytes(range: BlockRange) -> usize {
    usize::try_from(range.count()).unwrap_or(0) * BLOCK_SIZE
}

fn refused(what: impl ToString) -> Problem {
    Problem::new(ProblemKind::Refused, what.to_string())
}

/// Whether the copy stands under the session that is named.
fn check(store: &LocalStore, authority: &CopyAuthority) -> Result<(), Problem> {
    let present = store.present();
    if (present.epoch, present.session) == (authority.epoch, Some(authority.session)) {
        return Ok(());
    }
    Err(refused(format!(
        "the copy is not in session {} of epoch {}",
        authority.session, authority.epoch
    )))
}

impl NodeShared {
    /// Answers the primary of the copy that is kept here.
    pub(super) fn of_copy(
        &self,
        authority: &CopyAuthority,
        request: CopyRequest,
    ) -> Result<CopyReply, Problem> {
        let store = self
            .store(authority.volume)
            .ok_or_else(|| no_copy(authority.volume))?;
        block_in_place(|| of_store(&store, authority, request))
    }
}

fn no_copy(volume: VolumeId) -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        format!("no copy of {volume} is here"),
    )
}

fn of_store(
    store: &LocalStore,
    authority: &CopyAuthority,
    request: CopyRequest,
) -> Result<CopyReply, Problem> {
    let volume = store.volume();
    check(store, authority)?;
    let reply = match request {
        CopyRequest::States { chunk } => {
            let Seen { from, to, what } = states(volume, chunk).map_err(refused)?;
            let blocks = what.iter().map(BlockState::text).collect();
            CopyReply::States { from, to, blocks }
        }
        CopyRequest::Snapshots => {
            let found = volume.snapshots().map_err(refused)?;
            let snapshots = found.iter().map(|info| info.id.to_string()).collect();
            CopyReply::Snapshots { snapshots }
        }
        CopyRequest::Content { block } => {
            let Seen { from, to, what } = content(volume, block).map_err(refused)?;
            let content = hexadecimal(&what);
            CopyReply::Content { from, to, content }
        }
        CopyRequest::Repair { block, at, content } => {
            // Alone: no cut and no base comes between the check and the writing.
            let _exclusive = store.exclusive();
            check(store, authority)?;
            let content = bytes_of(&content)
                .filter(|content| content.len() == BLOCK_SIZE)
                .ok_or_else(|| Problem::invalid("the content of a block has 4096 bytes"))?;
            let range = BlockRange::new(block, 1).map_err(refused)?;
            volume.repair(range, content.into(), at).map_err(refused)?;
            tracing::warn!(volume = %authority.volume, block, "a block was repaired from another copy");
            CopyReply::Repaired
        }
    };
    check(store, authority)?;
    Ok(reply)
}
