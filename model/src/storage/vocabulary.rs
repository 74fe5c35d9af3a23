//! The words of the storage specification: positions, entries, what an entry does, and the bounds
//! of an instance.

/// A position in the log, contiguous from 1; 0 is the all-zero device. At most [`LSNS`].
pub type Lsn = u8;

/// The most log entries of any instance.
pub const LSNS: usize = 7;
/// The most sectors of the log ring of any instance.
pub const SLOTS: usize = 5;
/// The most blocks of the volume of any instance.
pub const BLOCKS: usize = 2;
/// The `extent_bound` of a store that is being rebuilt: `MAX`, beyond every position.
pub const REBUILDING: Lsn = 15;

/// The name of an entry, which is also the content that it writes: two blocks are equal iff the
/// same entry wrote them. `(lsn, epoch)`, and whether it is a *twin*: other content under a name
/// that was already given away (only a mutation makes one).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry(pub u8);

impl Entry {
    /// No entry; as content: zeroes.
    pub const NONE: Self = Self(0);
    /// Bytes that no checksum accepts; as content of an extent block: an unreadable mixture.
    pub const TORN: Self = Self(u8::MAX);

    /// The entry of that name.
    #[must_use]
    pub const fn new(lsn: Lsn, epoch: u8, twin: bool) -> Self {
        Self(lsn | epoch << 3 | (twin as u8) << 6)
    }

    /// Whether it is an entry at all.
    #[must_use]
    pub fn is_some(self) -> bool {
        self != Self::NONE && self != Self::TORN
    }

    /// Its position.
    #[must_use]
    pub const fn lsn(self) -> Lsn {
        self.0 & 7
    }

    /// The epoch whose primary made it.
    #[must_use]
    pub const fn epoch(self) -> u8 {
        self.0 >> 3 & 7
    }

    /// Whether it is other content under a name given away before.
    #[must_use]
    pub const fn twin(self) -> bool {
        self.0 >> 6 == 1
    }
}

/// What an entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Writes the first block; one sector of log.
    First,
    /// Writes the second block; one sector of log.
    Second,
    /// Writes both blocks at once; two sectors of log, which wrap at the end of the ring.
    Both,
    /// Volume operation: the volume's snapshot is from now on the content at this position.
    Snapshot,
    /// Volume operation: the snapshot is gone.
    Drop,
    /// Volume operation: the volume is from now on what the snapshot is.
    Restore,
}

impl Kind {
    /// Whether it writes `block`.
    #[must_use]
    pub const fn writes(self, block: usize) -> bool {
        match self {
            Self::First => block == 0,
            Self::Second => block == 1,
            Self::Both => true,
            Self::Snapshot | Self::Drop | Self::Restore => false,
        }
    }

    /// Sectors of log that it takes.
    #[must_use]
    pub const fn sectors(self) -> u8 {
        match self {
            Self::Both => 2,
            Self::First | Self::Second | Self::Snapshot | Self::Drop | Self::Restore => 1,
        }
    }

    /// Whether it is a volume operation, which happens when the flusher reaches it.
    #[must_use]
    pub const fn is_operation(self) -> bool {
        match self {
            Self::Snapshot | Self::Drop | Self::Restore => true,
            Self::First | Self::Second | Self::Both => false,
        }
    }
}

/// Which entries may reach the extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `sync_all` and `sync_quorum`: committed and locally durable ones.
    Sync,
    /// `best_effort`: locally durable ones.
    BestEffort,
}

/// A base image that a rebuild may install: content of every block at some position of
/// `split..=bound`, each block at its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// Where replay begins.
    pub split: Lsn,
    /// The last entry whose effect may be in the image; equal to `split` for a snapshot.
    pub bound: Lsn,
}

/// The bounds of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Sectors of the log ring.
    pub slots: u8,
    /// Blocks of the volume.
    pub blocks: usize,
    /// What each epoch's primary puts at each position: the rows are epochs, from 1; as long as
    /// the log may grow.
    pub script: &'static [&'static [Kind]],
    /// The volume's mode.
    pub mode: Mode,
    /// Power losses.
    pub crashes: u8,
    /// Deaths of the process alone, which leave the page cache behind.
    pub kills: u8,
    /// Truncations.
    pub cuts: u8,
    /// Failed syncs.
    pub failures: u8,
    /// Log sectors that go bad at rest.
    pub damages: u8,
    /// Rebuilds begun (again after a crash does not count).
    pub installs: u8,
    /// The base images on offer.
    pub bases: &'static [Base],
    /// Whether a shipper may pin the log.
    pub pins: bool,
    /// Whether clients read the snapshot.
    pub reads: bool,
    /// Whether entries enter the dirty index later than the log, in any order.
    pub late_index: bool,
    /// Whether this node makes its entries itself, as the primary of one epoch after the other.
    pub primary: bool,
}

impl Bounds {
    /// The last position that the instance's log may reach.
    #[must_use]
    pub const fn last(&self) -> Lsn {
        self.script[0].len() as Lsn
    }

    /// The last epoch.
    #[must_use]
    pub const fn epochs(&self) -> u8 {
        self.script.len() as u8
    }

    /// What an entry does. Total: what is no entry of the script writes the first block.
    #[must_use]
    pub fn kind(&self, entry: Entry) -> Kind {
        let row = usize::from(entry.epoch()).wrapping_sub(1);
        let column = usize::from(entry.lsn()).wrapping_sub(1);
        self.script
            .get(row)
            .and_then(|row| row.get(column))
            .copied()
            .unwrap_or(Kind::First)
    }
}
