//! What passes between a session and its driver: one thing to do at a time, and its answer.

use std::time::Duration;

use bytes::Bytes;
use holdfast_blockvol::{BaseError, CursorError, PinError};
use holdfast_engine::{CatchUpEvidence, Evidence, Interruption, RebuildEvidence, StoreStanding};
use holdfast_types::{
    BlockCount, Endpoint, Epoch, LogEntry, Lsn, ReplicaFacts, ReplicaId, RetainedHistory, StoreId,
};
use holdfast_wire::{LogPosition, Manifest, Message, Sha256Digest};

/// What a session sees of its node whenever it is asked what to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The last entry of the log.
    pub head: Lsn,
    /// What is committed.
    pub committed: Lsn,
    /// The position that replicas are asked to make durable; zero for none.
    pub barrier: Lsn,
    /// Bytes of a base that may be sent in a second; as many as there are when `None`.
    pub base_rate: Option<u64>,
}

/// The next thing to do. Those marked *answered* are answered before anything else is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Todo {
    /// Tell the engine; *answered* by [`super::PrimarySession::commanded`].
    Tell(Finding),
    /// Have this node's store do it; *answered* by [`super::PrimarySession::given`].
    Want(Want),
    /// Read what the record says of the replica; *answered* by [`super::PrimarySession::recorded`].
    ReadRecord,
    /// Connect to the replica; *answered* by [`super::PrimarySession::connected`]. Ask again at
    /// `until` if there is no connection by then.
    Dial {
        /// Where.
        endpoint: Endpoint,
        /// Until when.
        until: Duration,
    },
    /// Send this; it may wait for the next [`Todo::Flush`] or [`Todo::Wait`].
    Send(Message),
    /// Send what waits.
    Flush,
    /// Take note of this.
    Note(Note),
    /// Send what waits; then nothing before a frame ([`super::PrimarySession::frame`]), another
    /// view, or this time.
    Wait {
        /// When to ask again at the latest.
        until: Duration,
    },
}

/// Evidence for the engine, owned; see [`Evidence`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The connection is being made.
    Dialing,
    /// The stream is up and the hello is sent.
    HelloSent,
    /// The replica reported.
    Report {
        /// Its facts; `None`: it holds no store of this volume that counts.
        facts: Option<Box<ReplicaFacts>>,
        /// This node's own history.
        history: Box<RetainedHistory>,
    },
    /// This node's history, for the selection of a source.
    History(Box<RetainedHistory>),
    /// Of a catch-up.
    CatchUp(CatchUpEvidence),
    /// Of a rebuild.
    Rebuild(RebuildEvidence),
    /// A barrier was answered, in sync.
    Acknowledged {
        /// What survives a crash at the replica.
        durable: Lsn,
        /// This node's head.
        head: Lsn,
    },
    /// Anything else.
    Interrupted(Interruption),
}

impl Finding {
    /// As the engine takes it.
    #[must_use]
    pub fn evidence(&self) -> Evidence<'_> {
        match self {
            Self::Dialing => Evidence::Dialing,
            Self::HelloSent => Evidence::HelloSent,
            Self::Report { facts, history } => Evidence::Report {
                facts: facts.as_deref(),
                history,
            },
            Self::History(history) => Evidence::History(history),
            Self::CatchUp(evidence) => Evidence::CatchUp(*evidence),
            Self::Rebuild(evidence) => Evidence::Rebuild(*evidence),
            Self::Acknowledged { durable, head } => Evidence::Acknowledged {
                durable: *durable,
                head: *head,
            },
            Self::Interrupted(interruption) => Evidence::Interrupted(*interruption),
        }
    }
}

/// What this node's store is to do, and the answer that it gives unless it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// What a hello says of the log: [`Given::Greeting`].
    Greeting,
    /// What can be proven of the log: [`Given::History`].
    History,
    /// The epoch of an entry by the lineage: [`Given::Epoch`].
    EpochAt {
        /// Its position.
        lsn: Lsn,
    },
    /// Entries of the log: [`Given::Entries`].
    Entries {
        /// The position before the first.
        after: Lsn,
        /// Payload bytes, at least one entry.
        max_bytes: u64,
    },
    /// Keep the entries after `from`: [`Given::Pinned`].
    PinHistory {
        /// The position that is replayed from.
        from: Lsn,
        /// What the pin may hold back.
        max_bytes: u64,
    },
    /// Begin to copy the live image, in place of a copy that was begun before, and keep the log from
    /// its split: [`Given::BasePinned`].
    PinBase {
        /// What the pin may hold back.
        max_bytes: u64,
    },
    /// Read a chunk of that image: [`Given::Chunk`].
    Chunk {
        /// Its index.
        index: u64,
    },
    /// End the copy; the log stays pinned: [`Given::Manifest`].
    Manifest,
    /// How the pins are: [`Given::Pins`].
    Pins,
}

/// What this node's store did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// The log and whose it is, for a hello.
    Greeting {
        /// Size of the volume.
        blocks: BlockCount,
        /// The last entry.
        last: LogPosition,
        /// The label of this node's copy.
        primary: ReplicaId,
        /// The identity of its store.
        store: StoreId,
    },
    /// What can be proven of the log.
    History(Box<RetainedHistory>),
    /// The epoch of the entry; `None`: the lineage does not reach so far back.
    Epoch(Option<Epoch>),
    /// The entries that follow; none, when there are none yet.
    Entries(Vec<LogEntry<Bytes>>),
    /// The log is kept.
    Pinned {
        /// Where it can be replayed from, read after it was pinned.
        retained_from: Option<Lsn>,
    },
    /// A copy is begun, and the log kept from its split.
    BasePinned(Box<PinnedBase>),
    /// A chunk as it is now.
    Chunk {
        /// Its content.
        bytes: Bytes,
        /// The digest of it.
        sha256: Sha256Digest,
    },
    /// The copy has ended: what it is.
    Manifest(Manifest),
    /// How the pins are.
    Pins {
        /// Bytes of log that they hold back.
        held_bytes: u64,
        /// Why the log is not kept any more, if it is not.
        lost: Option<PinError>,
    },
    /// It failed.
    Failed(StoreFault),
}

/// A copy that was begun. Everything is of one moment after its pin was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedBase {
    /// From where the log is replayed onto the copy.
    pub split: Lsn,
    /// Size of the volume.
    pub blocks: BlockCount,
    /// Chunks of the image.
    pub chunks: u64,
    /// This node's history.
    pub history: RetainedHistory,
    /// Where the log can be replayed from.
    pub retained_from: Option<Lsn>,
}

/// What failed at this node's store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreFault {
    /// Reading the log.
    #[error("this node's log: {0}")]
    Log(#[from] CursorError),
    /// Pinning it.
    #[error("pinning this node's log: {0}")]
    Pin(#[from] PinError),
    /// Copying the image.
    #[error("this node's image: {0}")]
    Base(#[from] BaseError),
    /// A copy that was not begun, or has ended.
    #[error("no image is being copied")]
    NoBase,
}

/// What others need to know of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// The replica's log has so many bytes.
    LogBytes(u64),
    /// The store that answers is not the recorded one.
    OtherStore {
        /// The one that answers.
        store: StoreId,
        /// What that makes of its report.
        standing: StoreStanding,
    },
    /// The replica's answers count from now on.
    Streaming,
    /// What the replica has proven, of both kinds.
    Acknowledged {
        /// In its log.
        received: Lsn,
        /// Surviving its crash.
        durable: Lsn,
    },
    /// The entries up to here need not be kept for this session any more.
    LetGo {
        /// The position.
        upto: Lsn,
    },
    /// A base transfer begins.
    TransferBegan {
        /// From where the log is replayed onto it.
        base_lsn: Lsn,
        /// Chunks of the whole base.
        chunks_total: u64,
    },
    /// So many of them are installed.
    TransferInstalled {
        /// From the beginning.
        chunks: u64,
    },
    /// In sync: nothing is held back for this session any more.
    Completed,
    /// The replica is in sync and not in the in-sync set: it may ask to join with this store.
    MayJoin {
        /// The store that answered.
        store: StoreId,
    },
}
