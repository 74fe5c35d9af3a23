//! One replica's storage: a log, the flat image it is replayed onto, and the superblocks that say
//! how far the one is in the other.
//!
//! ```text
//!   append ---> log ring ---(synced)---> durable ---(committed)---> extent ---> checkpoint
//!                  |                                                               |
//!                  +--- read: the log first, then the extent       space is free up to here
//! ```
//!
//! * [`Volume`] is what a node uses: a thread-safe handle with group commit, write-back in the
//!   background, pins, base images, notification.
//! * [`Store`] is the synchronous core under it, in explicit steps, without clock or thread; its
//!   page says what is kept across crashes.
//! * [`Snapshot`] is the image as of one position, by copy on write; snapshots, growing and restoring
//!   are entries ([`Volume::append_operation`]).
//! * [`Disk`] is the very edge; [`sim`] is a disk that loses, reorders and tears what was not
//!   synced.
//! * [`inspect()`] looks at a store at rest.
//!
//! The layout of the bytes is `docs/formats.md`; the rules are `docs/protocol.md`, sections 1 to 4
//! and 6. This crate executes and decides nothing of recovery (T14): it knows no sessions but the
//! number of the last one it admitted, no sockets, no other copies.
//!
//! # Order of calls
//!
//! A store is made ([`Volume::create`]) and opened ([`Volume::open`]). It takes entries of no
//! epoch that it has not promised ([`Volume::fence`]), and every epoch begins with its start
//! ([`Volume::append_epoch_start`]). After opening, the role is none and `committed` is the extent
//! bound until [`Volume::set_committed`] says more. A volume that met a failed sync refuses
//! everything but reads until it is opened anew.
//!
//! # Memory
//!
//! Per volume: 24 bytes for every entry in the log ring (an entry takes at least 512 bytes of it),
//! about 33 bytes for every block that is newer in the log than in the extent, and
//! [`VolumeOptions::recent_bytes`] of payload; while a run is written back, up to 32 MiB of it.
//! A base transfer adds 33 bytes for every MiB of image. Checksums and maps of snapshots stay on the
//! disk; a snapshot costs an open file.
//!
//! # At rest
//!
//! Every block of log, image and snapshots has a checksum, verified whenever it is read, and log and
//! image by a pass over everything now and then ([`Volume::scrub_step`]). What does not fit is never served; it is in
//! [`Volume::damage`] until the owner has fetched it from another copy ([`Volume::repair`]).

mod checksum;
mod disk;
mod error;
mod export;
mod extent;
mod image;
mod index;
mod inspect;
mod log;
mod options;
mod positions;
mod recent;
pub mod sim;
mod snapshot;
mod store;
mod superblock;
mod threads;
mod volume;

pub use disk::{Disk, Disks, SECTOR, Shelf};

pub use error::{
    AppendError, BaseError, CreateError, CursorError, Damage, DiskError, DiskOp, FactsError,
    OpenError, PinError, Poisoned, PromiseError, ReadError, RepairError, SnapshotError, SyncError,
    TruncateError, WriteBackError,
};
pub use export::{ExportError, ExportManifest, ImportSource};
pub use image::{BaseManifest, CHUNK_BLOCKS, ChunkDigest, ImageDigest, chunk_count, chunk_range};
pub use inspect::{Inspection, SlotReport, inspect, inspect_disks};
pub use options::{
    FormatOptions, MAX_BLOCKS, MAX_LOG_BYTES, MIN_LOG_BYTES, VolumeOptions, max_entry_blocks,
};
pub use positions::{FlushBound, Positions, Promise, ReadPoint, Role};
pub use snapshot::{MAX_SNAPSHOTS, SnapshotInfo};
pub use store::{
    DamageReport, FlushStep, MetaStep, Recovery, ScrubReport, ScrubStep, Store, SyncStep,
};
pub use volume::{
    BaseInstall, BaseSource, Entry, Release, RetentionPin, Snapshot, Subscription, Volume,
};
