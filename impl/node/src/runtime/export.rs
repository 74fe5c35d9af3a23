//! A primary's volume as a block device for clients.

use std::sync::Arc;

use bytes::Bytes;
use holdfast_types::{BLOCK_SIZE, BlockRange, EntryKind, MAX_ENTRY_BLOCKS};

use super::primary::{IoFailure, Primary};
use crate::nbd::{Export, ExportError, ExportInfo, PAYLOAD_APART, Space};

/// The largest payload of one entry.
const ENTRY_BYTES_MAX: usize = MAX_ENTRY_BLOCKS as usize * BLOCK_SIZE;

/// One incarnation of a volume, as clients see it. It dies with the incarnation.
pub struct PrimaryExport(Arc<Primary>);

impl PrimaryExport {
    /// The device of a primary.
    #[must_use]
    pub const fn new(primary: Arc<Primary>) -> Self {
        Self(primary)
    }

    async fn change(
        &self,
        kind: EntryKind,
        offset: u64,
        length: u64,
        payload: Bytes,
        fua: bool,
    ) -> Result<(), ExportError> {
        let range = blocks(offset, length)?;
        self.0
            .write(kind, range, payload, fua)
            .await
            .map_err(export_error)
    }
}

/// The blocks of an aligned byte range.
fn blocks(offset: u64, length: u64) -> Result<BlockRange, ExportError> {
    let block = BLOCK_SIZE as u64;
    if !offset.is_multiple_of(block) || !length.is_multiple_of(block) {
        return Err(ExportError::Invalid {
            reason: format!("{length} bytes at {offset} are not whole blocks"),
        });
    }
    BlockRange::new(offset / block, length / block).map_err(|error| ExportError::Invalid {
        reason: error.to_string(),
    })
}

fn export_error(failure: IoFailure) -> ExportError {
    match failure {
        IoFailure::TimedOut { .. } | IoFailure::Store { .. } => ExportError::Io {
            reason: failure.to_string(),
        },
        IoFailure::Stopped { .. } => ExportError::ShuttingDown,
        IoFailure::Invalid { reason } => ExportError::Invalid { reason },
    }
}

impl Export for PrimaryExport {
    fn info(&self) -> ExportInfo {
        ExportInfo {
            size: self.0.blocks() * BLOCK_SIZE as u64,
            read_only: false,
        }
    }

    async fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ExportError> {
        let range = blocks(offset, buffer.len() as u64)?;
        self.0.read(range, buffer).await.map_err(export_error)
    }

    async fn write(&self, offset: u64, data: Bytes, fua: bool) -> Result<(), ExportError> {
        // The log keeps recent payloads in memory: not a connection's whole buffer with them, nor one of
        // many entries.
        let payload = if (PAYLOAD_APART..=ENTRY_BYTES_MAX).contains(&data.len()) {
            data
        } else {
            Bytes::copy_from_slice(&data)
        };
        let length = payload.len() as u64;
        self.change(EntryKind::Write, offset, length, payload, fua)
            .await
    }

    async fn flush(&self) -> Result<(), ExportError> {
        self.0.flush().await.map_err(export_error)
    }

    async fn trim(&self, offset: u64, length: u64, fua: bool) -> Result<(), ExportError> {
        self.change(EntryKind::Trim, offset, length, Bytes::new(), fua)
            .await
    }

    async fn write_zeroes(
        &self,
        offset: u64,
        length: u64,
        space: Space,
        fua: bool,
    ) -> Result<(), ExportError> {
        let kind = match space {
            Space::Keep => EntryKind::WriteZeroes,
            Space::MayRelease => EntryKind::Trim,
        };
        self.change(kind, offset, length, Bytes::new(), fua).await
    }
}
