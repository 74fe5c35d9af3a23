//! One replica's storage: log, extent, checkpoint.
//!
//! It executes and decides nothing of recovery (T14).

mod disk;
mod error;
mod image;
mod index;
mod inspect;
mod log;
mod options;
mod positions;
mod recent;
pub mod sim;
mod store;
mod superblock;
mod volume;

pub use disk::{Disk, Disks, SECTOR};

pub use error::{
    AppendError, BaseError, CreateError, CursorError, Damage, DiskError, DiskOp, FactsError,
    OpenError, PinError, Poisoned, PromiseError, ReadError, SyncError, TruncateError,
    WriteBackError,
};
pub use image::{BaseManifest, CHUNK_BLOCKS, ChunkDigest, ImageDigest, chunk_count, chunk_range};
pub use inspect::{Inspection, SlotReport, inspect, inspect_disks};
pub use options::{
    FormatOptions, MAX_BLOCKS, MAX_LOG_BYTES, MIN_LOG_BYTES, VolumeOptions, max_entry_blocks,
};
pub use positions::{FlushBound, Positions, Promise, ReadPoint, Role};
pub use store::{FlushStep, MetaStep, Recovery, Store, SyncStep};
pub use volume::{BaseInstall, BaseSource, Entry, RetentionPin, Subscription, Volume};
