//! The small words of the specification: positions, entries, logs, sets of members, messages.
//!
//! Everything is a few bits wide and `Copy`; the bounds stand here once.

use serde::{Deserialize, Serialize};

/// The most nodes an instance has.
pub const NODES: usize = 3;
/// The most entries a log holds; LSNs run from 1 to this.
pub const SLOTS: usize = 7;
/// Blocks of the volume, and so chunks of a base image.
pub const BLOCKS: usize = 2;

/// A node, 0 to 2.
pub type NodeId = u8;
/// Position in the log; 0 is "before the first entry".
pub type Lsn = u8;
/// Number of a primary incarnation; 0 is "none yet".
pub type Epoch = u8;
/// Identity of a formatted store; each replacement gets a new one.
pub type StoreId = u8;
/// Number of a session within one epoch; 0 is "none".
pub type SessionId = u8;

/// `extent_bound` of an image that is being overwritten by a rebuild.
pub const UNTRUSTED: Lsn = u8::MAX;

/// A log entry: the epoch that made it, and the number of the client's write (0: epoch-start;
/// [`Operation::number`]: a volume operation).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Entry {
    /// Epoch in which it was appended; 0 means that there is no entry.
    pub epoch: Epoch,
    /// The client's write, from 1; 0 is an epoch-start, and the greatest are volume operations.
    pub write: u8,
}

impl Entry {
    /// The entry in one byte.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.epoch << 4 | self.write
    }
}

/// The entries of one node, by LSN, a byte each ([`Entry::code`]). Reclaimed entries stay as
/// lineage; that they cannot be replayed any more is said by the node's `tail`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Log(u64);

/// The epochs of all entries.
const EPOCHS: u64 = 0xf0f0_f0f0_f0f0_f0f0;

impl Log {
    /// The bits of the entries `1..=last`.
    const fn mask(last: Lsn) -> u64 {
        if last as usize >= SLOTS {
            (1 << (8 * SLOTS)) - 1
        } else {
            (1 << (8 * last as u32)) - 1
        }
    }

    /// The entry at a position; the empty entry where there is none.
    #[must_use]
    pub const fn at(&self, lsn: Lsn) -> Entry {
        if lsn == 0 || lsn as usize > SLOTS {
            return Entry { epoch: 0, write: 0 };
        }
        let code = (self.0 >> (8 * (lsn as u32 - 1))) as u8;
        Entry {
            epoch: code >> 4,
            write: code & 0xf,
        }
    }

    /// Puts an entry at a position; positions out of range are ignored.
    pub fn put(&mut self, lsn: Lsn, entry: Entry) {
        if lsn != 0 && usize::from(lsn) <= SLOTS {
            let shift = 8 * (u32::from(lsn) - 1);
            self.0 = self.0 & !(0xff << shift) | u64::from(entry.code()) << shift;
        }
    }

    /// Removes every entry beyond `last`.
    pub fn cut(&mut self, last: Lsn) {
        self.0 &= Self::mask(last);
    }

    /// The entries `1..=last`, as a log of their own.
    #[must_use]
    pub fn prefix(mut self, last: Lsn) -> Self {
        self.cut(last);
        self
    }

    /// Last position up to which both logs have the same lineage.
    #[must_use]
    pub fn common(&self, other: &Self) -> Lsn {
        let differ = (self.0 ^ other.0) & EPOCHS;
        let same = |lsn: &Lsn| {
            let shift = 8 * (u32::from(*lsn) - 1);
            self.at(*lsn).epoch != 0 && differ >> shift & 0xff == 0
        };
        (1..=SLOTS as Lsn).take_while(same).count() as Lsn
    }

    /// Whether both logs hold the very same entries up to `last`, payload included.
    #[must_use]
    pub const fn agrees(&self, other: &Self, last: Lsn) -> bool {
        (self.0 ^ other.0) & Self::mask(last) == 0
    }

    /// Its canonical encoding, a byte for each slot.
    #[must_use]
    pub fn code(&self) -> [u8; SLOTS] {
        let bytes = self.0.to_le_bytes();
        std::array::from_fn(|slot| bytes[slot])
    }

    /// The writes among the entries `1..=last`.
    #[must_use]
    pub fn writes(&self, last: Lsn) -> Writes {
        let mut writes = Writes::default();
        for lsn in 1..=last.min(SLOTS as Lsn) {
            writes = writes.with(self.at(lsn).write);
        }
        writes
    }

    /// The first volume operation beyond a position.
    #[must_use]
    pub fn operation_after(&self, lsn: Lsn) -> Option<Lsn> {
        (lsn.saturating_add(1)..=SLOTS as Lsn).find(|at| Operation::of(self.at(*at)).is_some())
    }

    /// Where a volume operation is.
    #[must_use]
    pub fn position_of(&self, operation: Operation) -> Option<Lsn> {
        (1..=SLOTS as Lsn).find(|at| Operation::of(self.at(*at)) == Some(operation))
    }

    /// First position of an epoch's own entries: its epoch-start.
    #[must_use]
    pub fn first_of(&self, epoch: Epoch) -> Option<Lsn> {
        (1..=SLOTS as Lsn).find(|lsn| self.at(*lsn).epoch == epoch)
    }
}

/// A set of client writes, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Writes(pub u8);

impl Writes {
    /// With one more; 0 (an epoch-start) is no write.
    #[must_use]
    pub const fn with(self, write: u8) -> Self {
        if write == 0 || write > 8 {
            self
        } else {
            Self(self.0 | 1 << (write - 1))
        }
    }

    /// Whether a write is in it.
    #[must_use]
    pub const fn has(self, write: u8) -> bool {
        write != 0 && write <= 8 && self.0 & 1 << (write - 1) != 0
    }

    /// Union.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Difference.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Intersection.
    #[must_use]
    pub const fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// A set of nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Members(pub u8);

impl Members {
    /// The set of one node.
    #[must_use]
    pub const fn only(node: NodeId) -> Self {
        Self(1 << node)
    }

    /// The nodes below `count`.
    #[must_use]
    pub const fn first(count: u8) -> Self {
        Self((1 << count) - 1)
    }

    /// Whether a node is in it.
    #[must_use]
    pub const fn has(self, node: NodeId) -> bool {
        self.0 & 1 << node != 0
    }

    /// With one more.
    #[must_use]
    pub const fn with(self, node: NodeId) -> Self {
        Self(self.0 | 1 << node)
    }

    /// Without one.
    #[must_use]
    pub const fn without(self, node: NodeId) -> Self {
        Self(self.0 & !(1 << node))
    }

    /// Intersection.
    #[must_use]
    pub const fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Union.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// How many.
    #[must_use]
    pub const fn count(self) -> u8 {
        self.0.count_ones() as u8
    }

    /// Whether every node of `other` is in it.
    #[must_use]
    pub const fn includes(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The nodes, in order.
    pub fn iter(self) -> impl Iterator<Item = NodeId> {
        (0..NODES as NodeId).filter(move |node| self.has(*node))
    }
}

/// A volume operation: an entry that every replica performs at the same point of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// The device as it is here is kept.
    Snapshot,
    /// The device becomes what was kept.
    Restore,
}

impl Operation {
    /// Its place among the numbers of writes.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Snapshot => 14,
            Self::Restore => 15,
        }
    }

    /// The operation of an entry, if it is one.
    #[must_use]
    pub const fn of(entry: Entry) -> Option<Self> {
        match entry.write {
            14 => Some(Self::Snapshot),
            15 => Some(Self::Restore),
            _ => None,
        }
    }
}

/// What a device holds: the last write in each block, and the snapshot that was kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Image {
    /// The last write in each block, 0 for none.
    pub blocks: [u8; BLOCKS],
    /// The kept one.
    pub snapshot: Option<[u8; BLOCKS]>,
}

impl Image {
    /// Redoes the entries `after+1..=to` of a log.
    pub fn redo(&mut self, log: &Log, after: Lsn, to: Lsn) {
        for lsn in after.saturating_add(1)..=to.min(SLOTS as Lsn) {
            let entry = log.at(lsn);
            match Operation::of(entry) {
                Some(Operation::Snapshot) => self.snapshot = Some(self.blocks),
                Some(Operation::Restore) => self.blocks = self.snapshot.unwrap_or(self.blocks),
                None if entry.write != 0 => self.blocks[block_of(entry.write)] = entry.write,
                None => {}
            }
        }
    }

    /// The reference: what the volume holds at a position of a log, from an all-zero device.
    #[must_use]
    pub fn reference(log: &Log, at: Lsn) -> Self {
        let mut image = Self::default();
        image.redo(log, 0, at);
        image
    }
}

/// The block a write goes to: writes alternate over the blocks.
#[must_use]
pub fn block_of(write: u8) -> usize {
    usize::from(write.saturating_sub(1)) % BLOCKS
}

/// The durability mode of the volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Durable on the primary.
    BestEffort,
    /// Durable on every member of the in-sync set.
    #[default]
    SyncAll,
    /// Durable on a majority of the voters, counted among the in-sync set.
    SyncQuorum,
}

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WriteAck {
    /// From the primary's log alone.
    Local,
    /// Received by the copies that the mode asks for.
    #[default]
    Received,
}

/// Where the base image of a rebuild comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A copy-on-write image at exactly the base position.
    #[default]
    Snapshot,
    /// The live extent, copied while it is written.
    FullBase,
}

/// Where a renewal of the lease is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Renewal {
    /// Nowhere.
    #[default]
    None,
    /// The primary asked; its clock runs from here.
    Asked(NodeId),
    /// The authority granted it, and its answer is under way.
    Answered(NodeId),
    /// The lease that was granted is over, and the answer is still under way.
    Late(NodeId),
}

/// How far the primary has come with one replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// No session.
    #[default]
    Away,
    /// Classified: only a rebuild helps.
    NeedsRebuild,
    /// Catch-up (with a truncation before it, while `cut` is set).
    CatchUp,
    /// The target was proven by a barrier of this session.
    InSync,
    /// Base chunks are being copied.
    Copying,
    /// The base is in place, its tail is being replayed.
    Replaying,
}

/// What a message on the wire says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Letter {
    /// An entry for position `lsn`; the predecessor's epoch names the lineage it continues.
    Append {
        /// Position of the entry.
        lsn: Lsn,
        /// The entry.
        entry: Entry,
        /// Epoch of the entry before it.
        previous: Epoch,
        /// What the primary knows to be committed.
        committed: Lsn,
    },
    /// Wait for `lsn`, sync, answer.
    Barrier {
        /// The position asked for.
        lsn: Lsn,
        /// What the primary knows to be committed.
        committed: Lsn,
    },
    /// What the replica has, in this session.
    Ack {
        /// Last entry that arrived in order.
        received: Lsn,
        /// Last entry known to survive a crash there.
        durable: Lsn,
    },
}

/// A message under way, with the authority it speaks under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Message {
    /// Sender.
    pub from: NodeId,
    /// Receiver.
    pub to: NodeId,
    /// Epoch of the session.
    pub epoch: Epoch,
    /// The session.
    pub session: SessionId,
    /// What it says.
    pub letter: Letter,
}
