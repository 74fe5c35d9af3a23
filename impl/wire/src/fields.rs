//! Reading and writing the fields of a payload, with a name for each so that an error can say
//! where the bytes ended.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use holdfast_types::{
    BlockRange, Epoch, Lineage, LineageEntry, Lsn, MAX_LINEAGE_ENTRIES, ReplicaId, StoreId,
};

use crate::error::{EncodeError, WireError};
use crate::message::LogPosition;

/// What is left of a payload. Slices share the frame's memory.
pub(crate) struct Fields(Bytes);

impl Fields {
    pub(crate) const fn new(payload: Bytes) -> Self {
        Self(payload)
    }

    fn need(&self, bytes: usize, field: &'static str) -> Result<(), WireError> {
        if self.0.len() < bytes {
            return Err(WireError::Truncated { field });
        }
        Ok(())
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, WireError> {
        self.need(1, field)?;
        Ok(self.0.get_u8())
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, WireError> {
        self.need(2, field)?;
        Ok(self.0.get_u16_le())
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, WireError> {
        self.need(4, field)?;
        Ok(self.0.get_u32_le())
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, WireError> {
        self.need(8, field)?;
        Ok(self.0.get_u64_le())
    }

    pub(crate) fn lsn(&mut self, field: &'static str) -> Result<Lsn, WireError> {
        self.u64(field).map(Lsn)
    }

    pub(crate) fn epoch(&mut self, field: &'static str) -> Result<Epoch, WireError> {
        self.u64(field).map(Epoch)
    }

    pub(crate) fn position(&mut self, field: &'static str) -> Result<LogPosition, WireError> {
        Ok(LogPosition {
            lsn: self.lsn(field)?,
            epoch: self.epoch(field)?,
        })
    }

    pub(crate) fn range(&mut self, field: &'static str) -> Result<BlockRange, WireError> {
        let start = self.u64(field)?;
        let count = self.u64(field)?;
        Ok(BlockRange::new(start, count)?)
    }

    pub(crate) fn array<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<[u8; N], WireError> {
        self.need(N, field)?;
        let mut out = [0; N];
        self.0.copy_to_slice(&mut out);
        Ok(out)
    }

    /// `len` bytes without a copy; `len` is compared with what is there first.
    pub(crate) fn bytes(&mut self, len: usize, field: &'static str) -> Result<Bytes, WireError> {
        self.need(len, field)?;
        Ok(self.0.split_to(len))
    }

    pub(crate) fn text(&mut self, limit: usize, field: &'static str) -> Result<String, WireError> {
        let len = usize::from(self.u16(field)?);
        if len > limit {
            return Err(WireError::Value {
                field,
                value: len as u64,
            });
        }
        let bytes = self.bytes(len, field)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(WireError::Text { field }),
        }
    }

    pub(crate) fn store(&mut self, field: &'static str) -> Result<StoreId, WireError> {
        Ok(StoreId(uuid::Uuid::from_bytes(self.array(field)?)))
    }

    pub(crate) fn replica(&mut self, field: &'static str) -> Result<ReplicaId, WireError> {
        let label = self.text(ReplicaId::MAX_LEN, field)?;
        ReplicaId::new(label).map_err(|_| WireError::Text { field })
    }

    pub(crate) fn lineage(&mut self) -> Result<Lineage, WireError> {
        let count = usize::from(self.u16("lineage length")?);
        if count > MAX_LINEAGE_ENTRIES {
            return Err(WireError::Value {
                field: "lineage length",
                value: count as u64,
            });
        }
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            entries.push(LineageEntry {
                epoch: self.epoch("lineage epoch")?,
                first: self.lsn("lineage position")?,
            });
        }
        Ok(Lineage::new(entries)?)
    }

    /// Everything that is left.
    pub(crate) fn rest(self) -> Bytes {
        self.0
    }

    pub(crate) fn end(self) -> Result<(), WireError> {
        match self.0.len() {
            0 => Ok(()),
            extra => Err(WireError::TrailingBytes { extra }),
        }
    }
}

pub(crate) fn put_position(out: &mut BytesMut, position: LogPosition) {
    out.put_u64_le(position.lsn.0);
    out.put_u64_le(position.epoch.0);
}

pub(crate) fn put_range(out: &mut BytesMut, range: BlockRange) {
    out.put_u64_le(range.start());
    out.put_u64_le(range.count());
}

/// Writes a text, cut at a character boundary to `limit` bytes.
pub(crate) fn put_text(out: &mut BytesMut, text: &str, limit: usize) {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    // The limits of this crate are far below 64 KiB.
    out.put_u16_le(u16::try_from(end).unwrap_or(0));
    out.put_slice(&text.as_bytes()[..end]);
}

pub(crate) fn put_lineage(out: &mut BytesMut, lineage: &Lineage) -> Result<(), EncodeError> {
    let entries = lineage.entries();
    let count = u16::try_from(entries.len()).map_err(|_| EncodeError::TooMany {
        items: entries.len(),
        limit: MAX_LINEAGE_ENTRIES,
    })?;
    out.put_u16_le(count);
    for entry in entries {
        out.put_u64_le(entry.epoch.0);
        out.put_u64_le(entry.first.0);
    }
    Ok(())
}
