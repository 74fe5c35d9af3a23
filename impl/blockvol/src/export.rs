//! A snapshot as files: the raw image, and beside it a manifest that proves it.
//!
//! The image is what `dd` would read from the device then; holes where it is zero. The manifest is
//! JSON: what it is an image of, the SHA-256 of the whole file as `sha256sum` prints it, and that of
//! every chunk of 1 MiB, so that a damaged place can be named, and an import can verify as it goes.
//!
//! Importing is writing: chunk by chunk into the log of a primary, like any client's writes. An image
//! never gets under the log (`docs/protocol.md`, section 1).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use holdfast_types::{BLOCK_SIZE, BlockCount, BlockRange, SnapshotId, SnapshotLabel, VolumeId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::error::SnapshotError;
use crate::image::{CHUNK_BLOCKS, ChunkDigest, ImageDigest, chunk_count, chunk_range, range_bytes};
use crate::volume::Snapshot;

/// The format of the manifest written here, and the only one read.
const FORMAT: u32 = 1;
/// The largest manifest that is read: that of a volume of about 1 TiB. Larger ones are exported with
/// no bound and imported by other means.
const MANIFEST_BYTES_MAX: u64 = 128 << 20;

/// What an exported image is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportManifest {
    /// The format of this manifest, 1.
    pub format: u32,
    /// The volume.
    pub volume: VolumeId,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Its label.
    pub label: SnapshotLabel,
    /// Bytes in a block, 4096.
    pub block_size: u64,
    /// The size of the image in blocks.
    pub blocks: BlockCount,
    /// Blocks in a chunk, 256.
    pub chunk_blocks: u64,
    /// The SHA-256 of the image file.
    pub sha256: String,
    /// The SHA-256 over the chunks' SHA-256: the digest of a base image (decision 021).
    pub image_digest: String,
    /// The SHA-256 of every chunk, in order; the last may be shorter.
    pub chunks: Vec<String>,
}

/// Why an image was not exported, or not taken for one.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The snapshot could not be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A file refused. Nothing is ever written over something that exists.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        source: io::Error,
    },
    /// The manifest is none, or contradicts itself.
    #[error("{path} is no manifest of an image: {what}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The image is not the one that the manifest names.
    #[error("chunk {index} of {path} has another digest than the manifest says")]
    Chunk {
        /// The image.
        path: PathBuf,
        /// The chunk.
        index: u64,
    },
}

fn at(path: &Path) -> impl Fn(io::Error) -> ExportError + '_ {
    move |source| ExportError::File {
        path: path.to_owned(),
        source,
    }
}

fn new_file(path: &Path) -> Result<File, ExportError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(at(path))
}

impl Snapshot {
    /// Writes the image and its manifest into two new files, durably. The volume goes on meanwhile.
    ///
    /// # Errors
    /// When one of them exists already, the snapshot cannot be read, or the file system refuses; what
    /// was begun is left, without a manifest or with an unfinished one.
    pub fn export(&self, image: &Path, manifest: &Path) -> Result<ExportManifest, ExportError> {
        let file = new_file(image)?;
        let mut manifest_file = new_file(manifest)?;
        file.set_len(self.bytes()).map_err(at(image))?;
        let mut whole = Sha256::new();
        let mut digests = Vec::new();
        let mut offset = 0;
        for index in 0..self.chunk_count() {
            let Some((data, digest)) = self.chunk(index)? else {
                break;
            };
            if data.iter().any(|byte| *byte != 0) {
                file.write_all_at(&data, offset).map_err(at(image))?;
            }
            whole.update(&data);
            digests.push(digest);
            offset += data.len() as u64;
        }
        file.sync_all().map_err(at(image))?;
        let info = self.info();
        let made = ExportManifest {
            format: FORMAT,
            volume: self.volume_id(),
            snapshot: info.id,
            label: info.label.clone(),
            block_size: BLOCK_SIZE as u64,
            blocks: info.blocks,
            chunk_blocks: CHUNK_BLOCKS,
            sha256: ChunkDigest(whole.finalize().into()).to_string(),
            image_digest: ImageDigest::of(digests.iter().copied()).to_string(),
            chunks: digests.iter().map(ToString::to_string).collect(),
        };
        let mut json = serde_json::to_vec_pretty(&made).map_err(|e| at(manifest)(e.into()))?;
        json.push(b'\n');
        manifest_file
            .write_all(&json)
            .and_then(|()| manifest_file.sync_all())
            .map_err(at(manifest))?;
        Ok(made)
    }
}

/// An exported image, to be written into a volume: each chunk is verified as it is read.
#[derive(Debug)]
pub struct ImportSource {
    image: File,
    path: PathBuf,
    manifest: ExportManifest,
    chunks: Vec<[u8; 32]>,
}

impl ImportSource {
    /// Opens an image with its manifest and checks that the two can belong together.
    ///
    /// # Errors
    /// When a file cannot be read, the manifest contradicts itself, or the image is of another size.
    pub fn open(image: &Path, manifest: &Path) -> Result<Self, ExportError> {
        let wrong = |what: &str| ExportError::Manifest {
            path: manifest.to_owned(),
            what: what.to_owned(),
        };
        let mut json = Vec::new();
        File::open(manifest)
            .and_then(|file| file.take(MANIFEST_BYTES_MAX + 1).read_to_end(&mut json))
            .map_err(at(manifest))?;
        if json.len() as u64 > MANIFEST_BYTES_MAX {
            return Err(wrong("it is too large"));
        }
        let read: ExportManifest =
            serde_json::from_slice(&json).map_err(|error| wrong(&error.to_string()))?;
        let known = read.format == FORMAT
            && read.block_size == BLOCK_SIZE as u64
            && read.chunk_blocks == CHUNK_BLOCKS;
        if !known {
            return Err(wrong("another format, or other sizes of blocks and chunks"));
        }
        if read.blocks == 0 || read.chunks.len() as u64 != chunk_count(read.blocks) {
            return Err(wrong("size and number of chunks do not fit"));
        }
        let digests: Option<Vec<[u8; 32]>> =
            read.chunks.iter().map(|text| digest_of(text)).collect();
        let chunks = digests.ok_or_else(|| wrong("a digest is not one"))?;
        let digest = ImageDigest::of(chunks.iter().copied().map(ChunkDigest));
        if digest.to_string() != read.image_digest {
            return Err(wrong("the digest of the whole is not that of the chunks"));
        }
        let file = File::open(image).map_err(at(image))?;
        let len = file.metadata().map_err(at(image))?.len();
        if len / BLOCK_SIZE as u64 != read.blocks || !len.is_multiple_of(BLOCK_SIZE as u64) {
            return Err(wrong("the image is of another size"));
        }
        Ok(Self {
            image: file,
            path: image.to_owned(),
            manifest: read,
            chunks,
        })
    }

    /// What it is.
    #[must_use]
    pub fn manifest(&self) -> &ExportManifest {
        &self.manifest
    }

    /// A chunk with the blocks that it belongs to, verified; `None` beyond the last one.
    ///
    /// # Errors
    /// When it cannot be read, or is not what the manifest says.
    pub fn chunk(&self, index: u64) -> Result<Option<(BlockRange, Bytes)>, ExportError> {
        let Some(range) = chunk_range(index, self.manifest.blocks) else {
            return Ok(None);
        };
        let mut data = vec![0; range_bytes(range) as usize];
        self.image
            .read_exact_at(&mut data, range.start() * BLOCK_SIZE as u64)
            .map_err(at(&self.path))?;
        if ChunkDigest::of(&data).0 != self.chunks[index as usize] {
            return Err(ExportError::Chunk {
                path: self.path.clone(),
                index,
            });
        }
        Ok(Some((range, Bytes::from(data))))
    }
}

fn digest_of(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}
