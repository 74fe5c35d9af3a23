//! The messages of a rebuild.

use bytes::{BufMut, BytesMut};
use holdfast_types::BLOCK_SIZE;

use crate::error::{EncodeError, WireError};
use crate::fields::{Fields, put_lineage, put_range};
use crate::message::{
    BaseInstalled, ChunkContent, MAX_CHUNK_BLOCKS, Manifest, RebuildBegin, RebuildChunk,
    RebuildSource,
};

pub(super) fn encode_begin(begin: &RebuildBegin, out: &mut BytesMut) {
    out.put_u8(match begin.source {
        RebuildSource::FullBase => 1,
        RebuildSource::Snapshot => 2,
    });
    out.put_u64_le(begin.target.0);
    out.put_u64_le(begin.base_lsn.0);
    out.put_u64_le(begin.blocks);
}

pub(super) fn decode_begin(fields: &mut Fields) -> Result<RebuildBegin, WireError> {
    let source = match fields.u8("rebuild source")? {
        1 => RebuildSource::FullBase,
        2 => RebuildSource::Snapshot,
        other => {
            return Err(WireError::Value {
                field: "rebuild source",
                value: u64::from(other),
            });
        }
    };
    Ok(RebuildBegin {
        source,
        target: fields.lsn("target")?,
        base_lsn: fields.lsn("base position")?,
        blocks: fields.u64("blocks")?,
    })
}

pub(super) fn encode_chunk(chunk: &RebuildChunk, out: &mut BytesMut) -> Result<(), EncodeError> {
    let blocks = chunk.range.count();
    if blocks > MAX_CHUNK_BLOCKS {
        return Err(EncodeError::TooMany {
            items: usize::try_from(blocks).unwrap_or(usize::MAX),
            limit: usize::try_from(MAX_CHUNK_BLOCKS).unwrap_or(0),
        });
    }
    put_range(out, chunk.range);
    match &chunk.content {
        ChunkContent::Zeroes => out.put_u8(0),
        ChunkContent::Data { sha256, bytes } => {
            let expected = usize::try_from(blocks).unwrap_or(0) * BLOCK_SIZE;
            if bytes.len() != expected {
                return Err(EncodeError::TooMany {
                    items: bytes.len(),
                    limit: expected,
                });
            }
            out.put_u8(1);
            out.put_slice(sha256);
            out.put_slice(bytes);
        }
    }
    Ok(())
}

pub(super) fn decode_chunk(fields: &mut Fields) -> Result<RebuildChunk, WireError> {
    let range = fields.range("chunk range")?;
    if range.count() > MAX_CHUNK_BLOCKS {
        return Err(WireError::Value {
            field: "chunk blocks",
            value: range.count(),
        });
    }
    let content = match fields.u8("chunk content")? {
        0 => ChunkContent::Zeroes,
        1 => {
            let sha256 = fields.array("chunk digest")?;
            let len = usize::try_from(range.count()).unwrap_or(0) * BLOCK_SIZE;
            ChunkContent::Data {
                sha256,
                bytes: fields.bytes(len, "chunk data")?,
            }
        }
        other => {
            return Err(WireError::Value {
                field: "chunk content",
                value: u64::from(other),
            });
        }
    };
    Ok(RebuildChunk { range, content })
}

pub(super) fn encode_manifest(manifest: &Manifest, out: &mut BytesMut) -> Result<(), EncodeError> {
    out.put_u64_le(manifest.base_lsn.0);
    out.put_u64_le(manifest.extent_bound.0);
    out.put_u64_le(manifest.blocks);
    out.put_slice(&manifest.sha256);
    put_lineage(out, &manifest.lineage)
}

pub(super) fn decode_manifest(fields: &mut Fields) -> Result<Manifest, WireError> {
    Ok(Manifest {
        base_lsn: fields.lsn("base position")?,
        extent_bound: fields.lsn("extent bound")?,
        blocks: fields.u64("blocks")?,
        sha256: fields.array("manifest digest")?,
        lineage: fields.lineage()?,
    })
}

pub(super) fn encode_installed(installed: &BaseInstalled, out: &mut BytesMut) {
    out.put_u64_le(installed.base_lsn.0);
    out.put_u64_le(installed.extent_bound.0);
}

pub(super) fn decode_installed(fields: &mut Fields) -> Result<BaseInstalled, WireError> {
    Ok(BaseInstalled {
        base_lsn: fields.lsn("base position")?,
        extent_bound: fields.lsn("extent bound")?,
    })
}
