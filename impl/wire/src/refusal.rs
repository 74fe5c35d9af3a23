//! Typed refusals: each says what was refused and what was expected instead.

use holdfast_types::{BlockCount, BlockRange, Epoch, Lsn, ReplicaId, SessionId, StoreId};
use thiserror::Error;

use crate::header::VersionRange;
use crate::message::LogPosition;

/// The longest text in a refusal, in bytes.
pub const MAX_REFUSAL_TEXT: usize = 512;

/// Why a message had no effect. It ends the session; the primary shakes hands anew.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No version in common.
    #[error("protocol versions {offered} offered, {supported} supported")]
    Version {
        /// What the other side speaks.
        offered: VersionRange,
        /// What this side speaks.
        supported: VersionRange,
    },
    /// The volume has no store here.
    #[error("the volume has no store on this node")]
    UnknownVolume,
    /// The store has another size than the volume.
    #[error("the volume has {offered} blocks, the store here has {stored}")]
    Size {
        /// The size in the hello.
        offered: BlockCount,
        /// The size of the store.
        stored: BlockCount,
    },
    /// An epoch older than one made durable here. A primary that is told so steps down.
    #[error("epoch {offered} is over; epoch {promised} is promised here")]
    StaleEpoch {
        /// The frame's epoch.
        offered: Epoch,
        /// The highest epoch made durable here.
        promised: Epoch,
    },
    /// A hello whose session is not newer than the last of its epoch.
    #[error("session {offered} is not newer than session {last}")]
    StaleSession {
        /// The session in the hello.
        offered: SessionId,
        /// The last session taken in this epoch.
        last: SessionId,
    },
    /// A frame of a session that is not the present one.
    #[error("session {offered} is not the present one")]
    NotTheSession {
        /// The frame's session.
        offered: SessionId,
        /// The present session, if there is one.
        present: Option<SessionId>,
    },
    /// A message that this point of the session does not allow.
    #[error("{found} in a session that awaits {expected}")]
    OutOfTurn {
        /// What came.
        found: String,
        /// What could have come.
        expected: String,
    },
    /// The batch does not follow the last entry of the log here.
    #[error(
        "append follows entry {}/{}, the log here ends at {}/{}",
        offered.epoch, offered.lsn, expected.epoch, expected.lsn
    )]
    Predecessor {
        /// The predecessor that the append names.
        offered: LogPosition,
        /// The last entry here.
        expected: LogPosition,
    },
    /// The entries of a batch do not follow one another.
    #[error("entry {found} where entry {expected} follows")]
    NotContiguous {
        /// The position that follows.
        expected: Lsn,
        /// The position found.
        found: Lsn,
    },
    /// The epoch of an entry is older than its predecessor's, or newer than the session's.
    #[error("entry of epoch {found} between epoch {floor} and epoch {ceiling}")]
    EntryEpoch {
        /// The entry's epoch.
        found: Epoch,
        /// The predecessor's.
        floor: Epoch,
        /// The session's.
        ceiling: Epoch,
    },
    /// A range outside the volume.
    #[error("blocks {range} of a volume of {blocks} blocks")]
    OutOfBounds {
        /// The range.
        range: BlockRange,
        /// The size of the volume.
        blocks: BlockCount,
    },
    /// A truncation after the session's first append, or a second one.
    #[error("a truncation comes once, before the first append of its session")]
    TruncateTooLate,
    /// A truncation below what may already be in the extent: only a rebuild helps.
    #[error("truncation to {offered} would undo the extent, which may hold entries up to {bound}")]
    TruncateBelowExtent {
        /// The position asked for.
        offered: Lsn,
        /// The extent bound.
        bound: Lsn,
    },
    /// A truncation beyond the end of the log.
    #[error("truncation to {offered}, the log ends at {head}")]
    TruncateBeyondHead {
        /// The position asked for.
        offered: Lsn,
        /// The last entry here.
        head: Lsn,
    },
    /// A chunk out of order.
    #[error("chunk at block {found}, block {expected} comes next")]
    ChunkOrder {
        /// The block that comes next.
        expected: u64,
        /// The block found.
        found: u64,
    },
    /// A chunk whose bytes do not have its digest.
    #[error("the chunk at block {start} does not have its digest")]
    ChunkDigest {
        /// Its first block.
        start: u64,
    },
    /// The base does not amount to its manifest.
    #[error("the base does not match its manifest: {what}")]
    ManifestMismatch {
        /// What differs.
        what: String,
    },
    /// The base is untrusted; only a rebuild helps.
    #[error("the base here is not trusted")]
    Untrusted,
    /// No room in the log here.
    #[error("the log is full: {free} bytes free, {needed} needed")]
    LogFull {
        /// Bytes that are free.
        free: u64,
        /// Bytes that the batch needs.
        needed: u64,
    },
    /// More outstanding work than the receiver keeps room for (F50).
    #[error("more than {limit} {what} outstanding")]
    TooMany {
        /// Of what.
        what: String,
        /// The bound.
        limit: u64,
    },
    /// The store failed; its own words.
    #[error("the store failed: {detail}")]
    Store {
        /// What the store said, cut to [`MAX_REFUSAL_TEXT`].
        detail: String,
    },
    /// The node is going down, or the volume is leaving it.
    #[error("this node is stopping")]
    Stopping,
    /// A hello in an epoch above the promised one that the authority has not minted, as far as
    /// this node can know: nothing is promised on a stranger's word.
    #[error("epoch {offered} is not known to be minted: {}", minted_text(.minted))]
    EpochUnconfirmed {
        /// The epoch of the hello.
        offered: Epoch,
        /// The epoch of the authority's record; `None` when it did not answer.
        minted: Option<Epoch>,
    },
    /// The epoch has another leader: the authority was rolled back, and minted it twice.
    #[error("epoch {epoch} is led by store {leader}, for ever: the authority was rolled back")]
    Led {
        /// The epoch of the hello.
        epoch: Epoch,
        /// The store of whoever leads it, as this node remembers.
        leader: StoreId,
    },
    /// The certificate names another node than the hello.
    #[error("the certificate is for {certified}, the hello is from {claimed}")]
    Impostor {
        /// Who the peer says it is.
        claimed: ReplicaId,
        /// The names in its certificate, cut to [`MAX_REFUSAL_TEXT`].
        certified: String,
    },
    /// This node takes connections under mutual TLS only.
    #[error("this node takes no connection without TLS, and the peer's own certificate")]
    Unproven,
    /// What came is no frame of this protocol.
    #[error("what came is no frame: {detail}")]
    Malformed {
        /// What is wrong with it, cut to [`MAX_REFUSAL_TEXT`].
        detail: String,
    },
}

impl Refusal {
    /// What kind of refusal it is, in one word for logs and counters.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Version { .. } => "version",
            Self::UnknownVolume => "unknown_volume",
            Self::Size { .. } => "size",
            Self::StaleEpoch { .. } => "stale_epoch",
            Self::StaleSession { .. } => "stale_session",
            Self::NotTheSession { .. } => "not_the_session",
            Self::OutOfTurn { .. } => "out_of_turn",
            Self::Predecessor { .. } => "predecessor",
            Self::NotContiguous { .. } => "not_contiguous",
            Self::EntryEpoch { .. } => "entry_epoch",
            Self::OutOfBounds { .. } => "out_of_bounds",
            Self::TruncateTooLate => "truncate_too_late",
            Self::TruncateBelowExtent { .. } => "truncate_below_extent",
            Self::TruncateBeyondHead { .. } => "truncate_beyond_head",
            Self::ChunkOrder { .. } => "chunk_order",
            Self::ChunkDigest { .. } => "chunk_digest",
            Self::ManifestMismatch { .. } => "manifest_mismatch",
            Self::Untrusted => "untrusted",
            Self::LogFull { .. } => "log_full",
            Self::TooMany { .. } => "too_many",
            Self::Store { .. } => "store_failed",
            Self::Stopping => "stopping",
            Self::EpochUnconfirmed { .. } => "epoch_unconfirmed",
            Self::Led { .. } => "led_by_another",
            Self::Impostor { .. } => "impostor",
            Self::Unproven => "unproven",
            Self::Malformed { .. } => "malformed",
        }
    }
}

fn minted_text(minted: &Option<Epoch>) -> String {
    match minted {
        Some(epoch) => format!("the record is at epoch {epoch}"),
        None => "the authority does not answer".into(),
    }
}
