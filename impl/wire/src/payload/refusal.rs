//! `Refusal`: a code, then the facts of that code.

use bytes::{BufMut, BytesMut};
use holdfast_types::{Epoch, ReplicaId, SessionId};

use crate::error::WireError;
use crate::fields::{Fields, put_position, put_range, put_text};
use crate::header::VersionRange;
use crate::refusal::{MAX_REFUSAL_TEXT, Refusal};

/// Two texts fit into one refusal.
const HALF_TEXT: usize = MAX_REFUSAL_TEXT / 2;

mod code {
    pub(super) const VERSION: u16 = 1;
    pub(super) const UNKNOWN_VOLUME: u16 = 2;
    pub(super) const SIZE: u16 = 3;
    pub(super) const STALE_EPOCH: u16 = 4;
    pub(super) const STALE_SESSION: u16 = 5;
    pub(super) const NOT_THE_SESSION: u16 = 6;
    pub(super) const OUT_OF_TURN: u16 = 7;
    pub(super) const PREDECESSOR: u16 = 8;
    pub(super) const NOT_CONTIGUOUS: u16 = 9;
    pub(super) const ENTRY_EPOCH: u16 = 10;
    pub(super) const OUT_OF_BOUNDS: u16 = 11;
    pub(super) const TRUNCATE_TOO_LATE: u16 = 12;
    pub(super) const TRUNCATE_BELOW_EXTENT: u16 = 13;
    pub(super) const TRUNCATE_BEYOND_HEAD: u16 = 14;
    pub(super) const CHUNK_ORDER: u16 = 15;
    pub(super) const CHUNK_DIGEST: u16 = 16;
    pub(super) const MANIFEST_MISMATCH: u16 = 17;
    pub(super) const UNTRUSTED: u16 = 18;
    pub(super) const LOG_FULL: u16 = 19;
    pub(super) const TOO_MANY: u16 = 20;
    pub(super) const STORE: u16 = 21;
    pub(super) const STOPPING: u16 = 22;
    pub(super) const EPOCH_UNCONFIRMED: u16 = 23;
    pub(super) const MALFORMED: u16 = 24;
    pub(super) const LED: u16 = 25;
    pub(super) const IMPOSTOR: u16 = 26;
    pub(super) const UNPROVEN: u16 = 27;
}

fn put_versions(out: &mut BytesMut, versions: VersionRange) {
    out.put_u16_le(versions.min);
    out.put_u16_le(versions.max);
}

fn versions(fields: &mut Fields, field: &'static str) -> Result<VersionRange, WireError> {
    Ok(VersionRange {
        min: fields.u16(field)?,
        max: fields.u16(field)?,
    })
}

/// Writes a code and up to three numbers.
fn put(out: &mut BytesMut, code: u16, facts: &[u64]) {
    out.put_u16_le(code);
    for &fact in facts {
        out.put_u64_le(fact);
    }
}

/// Writes whether there is a number, and the number or 0.
fn put_optional(out: &mut BytesMut, number: Option<u64>) {
    out.put_u8(u8::from(number.is_some()));
    out.put_u64_le(number.unwrap_or(0));
}

/// Reads what [`put_optional`] wrote; `known` names the flag, `field` the number.
fn optional(
    fields: &mut Fields,
    known: &'static str,
    field: &'static str,
) -> Result<Option<u64>, WireError> {
    let flag = fields.u8(known)?;
    let number = fields.u64(field)?;
    match (flag, number) {
        (0, 0) => Ok(None),
        (0, value) => Err(WireError::Value { field, value }),
        (1, number) => Ok(Some(number)),
        (other, _) => Err(WireError::Value {
            field: known,
            value: u64::from(other),
        }),
    }
}

pub(super) fn encode(refusal: &Refusal, out: &mut BytesMut) {
    match refusal {
        Refusal::Version { offered, supported } => {
            put(out, code::VERSION, &[]);
            put_versions(out, *offered);
            put_versions(out, *supported);
        }
        Refusal::UnknownVolume => put(out, code::UNKNOWN_VOLUME, &[]),
        Refusal::Size { offered, stored } => put(out, code::SIZE, &[*offered, *stored]),
        Refusal::StaleEpoch { offered, promised } => {
            put(out, code::STALE_EPOCH, &[offered.0, promised.0]);
        }
        Refusal::StaleSession { offered, last } => {
            put(out, code::STALE_SESSION, &[offered.0, last.0]);
        }
        Refusal::NotTheSession { offered, present } => {
            put(out, code::NOT_THE_SESSION, &[offered.0]);
            put_optional(out, present.map(|session| session.0));
        }
        Refusal::OutOfTurn { found, expected } => {
            put(out, code::OUT_OF_TURN, &[]);
            put_text(out, found, HALF_TEXT);
            put_text(out, expected, HALF_TEXT);
        }
        Refusal::Predecessor { offered, expected } => {
            put(out, code::PREDECESSOR, &[]);
            put_position(out, *offered);
            put_position(out, *expected);
        }
        Refusal::NotContiguous { expected, found } => {
            put(out, code::NOT_CONTIGUOUS, &[expected.0, found.0]);
        }
        Refusal::EntryEpoch {
            found,
            floor,
            ceiling,
        } => put(out, code::ENTRY_EPOCH, &[found.0, floor.0, ceiling.0]),
        Refusal::OutOfBounds { range, blocks } => {
            put(out, code::OUT_OF_BOUNDS, &[]);
            put_range(out, *range);
            out.put_u64_le(*blocks);
        }
        Refusal::TruncateTooLate => put(out, code::TRUNCATE_TOO_LATE, &[]),
        Refusal::TruncateBelowExtent { offered, bound } => {
            put(out, code::TRUNCATE_BELOW_EXTENT, &[offered.0, bound.0]);
        }
        Refusal::TruncateBeyondHead { offered, head } => {
            put(out, code::TRUNCATE_BEYOND_HEAD, &[offered.0, head.0]);
        }
        Refusal::ChunkOrder { expected, found } => {
            put(out, code::CHUNK_ORDER, &[*expected, *found]);
        }
        Refusal::ChunkDigest { start } => put(out, code::CHUNK_DIGEST, &[*start]),
        Refusal::ManifestMismatch { what } => {
            put(out, code::MANIFEST_MISMATCH, &[]);
            put_text(out, what, MAX_REFUSAL_TEXT);
        }
        Refusal::Untrusted => put(out, code::UNTRUSTED, &[]),
        Refusal::LogFull { free, needed } => put(out, code::LOG_FULL, &[*free, *needed]),
        Refusal::TooMany { what, limit } => {
            put(out, code::TOO_MANY, &[*limit]);
            put_text(out, what, MAX_REFUSAL_TEXT);
        }
        Refusal::Store { detail } => {
            put(out, code::STORE, &[]);
            put_text(out, detail, MAX_REFUSAL_TEXT);
        }
        Refusal::Stopping => put(out, code::STOPPING, &[]),
        Refusal::EpochUnconfirmed { offered, minted } => {
            put(out, code::EPOCH_UNCONFIRMED, &[offered.0]);
            put_optional(out, minted.map(|epoch| epoch.0));
        }
        Refusal::Led { epoch, leader } => {
            put(out, code::LED, &[epoch.0]);
            out.put_slice(leader.0.as_bytes());
        }
        Refusal::Impostor { claimed, certified } => {
            put(out, code::IMPOSTOR, &[]);
            put_text(out, claimed.as_str(), ReplicaId::MAX_LEN);
            put_text(out, certified, HALF_TEXT);
        }
        Refusal::Unproven => put(out, code::UNPROVEN, &[]),
        Refusal::Malformed { detail } => {
            put(out, code::MALFORMED, &[]);
            put_text(out, detail, MAX_REFUSAL_TEXT);
        }
    }
}

pub(super) fn decode(fields: &mut Fields) -> Result<Refusal, WireError> {
    let refusal = match fields.u16("refusal code")? {
        code::VERSION => Refusal::Version {
            offered: versions(fields, "offered versions")?,
            supported: versions(fields, "supported versions")?,
        },
        code::UNKNOWN_VOLUME => Refusal::UnknownVolume,
        code::SIZE => Refusal::Size {
            offered: fields.u64("offered blocks")?,
            stored: fields.u64("stored blocks")?,
        },
        code::STALE_EPOCH => Refusal::StaleEpoch {
            offered: fields.epoch("offered epoch")?,
            promised: fields.epoch("promised epoch")?,
        },
        code::STALE_SESSION => Refusal::StaleSession {
            offered: SessionId(fields.u64("offered session")?),
            last: SessionId(fields.u64("last session")?),
        },
        code::NOT_THE_SESSION => Refusal::NotTheSession {
            offered: SessionId(fields.u64("offered session")?),
            present: optional(fields, "present session known", "present session")?.map(SessionId),
        },
        code::OUT_OF_TURN => Refusal::OutOfTurn {
            found: fields.text(HALF_TEXT, "found")?,
            expected: fields.text(HALF_TEXT, "expected")?,
        },
        code::PREDECESSOR => Refusal::Predecessor {
            offered: fields.position("offered predecessor")?,
            expected: fields.position("expected predecessor")?,
        },
        code::NOT_CONTIGUOUS => Refusal::NotContiguous {
            expected: fields.lsn("expected position")?,
            found: fields.lsn("found position")?,
        },
        code::ENTRY_EPOCH => Refusal::EntryEpoch {
            found: fields.epoch("entry epoch")?,
            floor: fields.epoch("epoch floor")?,
            ceiling: fields.epoch("epoch ceiling")?,
        },
        code::OUT_OF_BOUNDS => Refusal::OutOfBounds {
            range: fields.range("range")?,
            blocks: fields.u64("blocks")?,
        },
        code::TRUNCATE_TOO_LATE => Refusal::TruncateTooLate,
        code::TRUNCATE_BELOW_EXTENT => Refusal::TruncateBelowExtent {
            offered: fields.lsn("truncation")?,
            bound: fields.lsn("extent bound")?,
        },
        code::TRUNCATE_BEYOND_HEAD => Refusal::TruncateBeyondHead {
            offered: fields.lsn("truncation")?,
            head: fields.lsn("head")?,
        },
        code::CHUNK_ORDER => Refusal::ChunkOrder {
            expected: fields.u64("expected block")?,
            found: fields.u64("found block")?,
        },
        code::CHUNK_DIGEST => Refusal::ChunkDigest {
            start: fields.u64("chunk start")?,
        },
        code::MANIFEST_MISMATCH => Refusal::ManifestMismatch {
            what: fields.text(MAX_REFUSAL_TEXT, "difference")?,
        },
        code::UNTRUSTED => Refusal::Untrusted,
        code::LOG_FULL => Refusal::LogFull {
            free: fields.u64("free")?,
            needed: fields.u64("needed")?,
        },
        code::TOO_MANY => Refusal::TooMany {
            limit: fields.u64("limit")?,
            what: fields.text(MAX_REFUSAL_TEXT, "what")?,
        },
        code::STORE => Refusal::Store {
            detail: fields.text(MAX_REFUSAL_TEXT, "detail")?,
        },
        code::STOPPING => Refusal::Stopping,
        code::EPOCH_UNCONFIRMED => Refusal::EpochUnconfirmed {
            offered: fields.epoch("offered epoch")?,
            minted: optional(fields, "minted epoch known", "minted epoch")?.map(Epoch),
        },
        code::LED => Refusal::Led {
            epoch: fields.epoch("led epoch")?,
            leader: fields.store("leader")?,
        },
        code::IMPOSTOR => Refusal::Impostor {
            claimed: fields.replica("claimed")?,
            certified: fields.text(HALF_TEXT, "certified")?,
        },
        code::UNPROVEN => Refusal::Unproven,
        code::MALFORMED => Refusal::Malformed {
            detail: fields.text(MAX_REFUSAL_TEXT, "detail")?,
        },
        other => {
            return Err(WireError::Value {
                field: "refusal code",
                value: u64::from(other),
            });
        }
    };
    Ok(refusal)
}
