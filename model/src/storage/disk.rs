//! The disk: every sector once as a power loss would leave it and once as the page cache shows it.
//!
//! Sectors are written to the cache and become durable by a sync of what was written before it,
//! or by accident: a power loss lands any subset of the unsynced ones and tears at most one of
//! them. A sector whose sync failed is *abandoned*: the cache still shows it, but no later sync
//! writes it (this is what Linux does to a page after an error).

use super::vocabulary::{BLOCKS, Entry, Lsn, SLOTS};

/// One sector of the log ring: one part of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LogSector {
    /// The entry; [`Entry::TORN`] where the checksum fails.
    pub entry: Entry,
    /// Which of its sectors this is, from 0.
    pub part: u8,
    /// The run under which it was written ([`Superblock::run`]).
    pub run: u8,
    /// The node's durable position when it was written.
    pub durable: Lsn,
}

impl LogSector {
    const TORN: Self = Self {
        entry: Entry::TORN,
        part: 0,
        run: 0,
        durable: 0,
    };
}

/// One superblock slot. Everything in it is durable in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Superblock {
    /// Order among the two slots; 0 where the checksum fails. Kept small by renumbering, since
    /// only the order counts.
    pub generation: u8,
    /// The extent holds all effects up to here.
    pub checkpoint: Lsn,
    /// The extent holds no effects beyond here.
    pub extent_bound: Lsn,
    /// The log is retained from here (exclusive).
    pub tail: Lsn,
    /// The sector of the ring in which the entry after `tail` begins.
    pub tail_slot: u8,
    /// When `run` began, the log was whole and durable up to here, and ended here.
    pub sealed: Lsn,
    /// Number of the present stretch of appends; each opening, cut and switch begins a new one.
    /// Beyond `sealed` only entries of this run count.
    pub run: u8,
    /// The operation that made the volume's snapshot; [`Entry::NONE`] if there is none.
    pub snapshot: Entry,
}

/// One block of the snapshot store; it carries its own checksum and the snapshot it belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Copied {
    /// The snapshot for which the block was copied out; [`Entry::NONE`] where there is none (or
    /// it is torn).
    pub snapshot: Entry,
    /// Its content.
    pub content: Entry,
}

/// All sectors, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Image {
    /// The log ring.
    pub log: [LogSector; SLOTS],
    /// The two superblock slots.
    pub superblocks: [Superblock; 2],
    /// The extent.
    pub extent: [Entry; BLOCKS],
    /// The snapshot store.
    pub copies: [Copied; BLOCKS],
}

/// Number of sectors: log, superblocks, extent, snapshot store.
pub const SECTORS: usize = SLOTS + 2 + BLOCKS + BLOCKS;
const SUPERBLOCKS: usize = SLOTS;
const EXTENT: usize = SUPERBLOCKS + 2;
const COPIES: usize = EXTENT + BLOCKS;

/// A set of sectors.
pub type Sectors = u16;
/// The sectors of the log ring.
pub const LOG_SECTORS: Sectors = (1 << SLOTS) - 1;
/// The superblock slots.
pub const SUPERBLOCK_SECTORS: Sectors = 0b11 << SUPERBLOCKS;
/// The blocks of the extent.
pub const EXTENT_SECTORS: Sectors = ((1 << BLOCKS) - 1) << EXTENT;
/// The blocks of the snapshot store.
pub const COPY_SECTORS: Sectors = ((1 << BLOCKS) - 1) << COPIES;

/// The set of one block of the extent.
#[must_use]
pub const fn extent_sector(block: usize) -> Sectors {
    1 << (EXTENT + block)
}

impl Image {
    /// A freshly formatted store: trusted, empty log, zero extent.
    #[must_use]
    pub fn formatted() -> Self {
        let mut superblocks = [Superblock::default(); 2];
        superblocks[0].generation = 2;
        superblocks[0].run = 1;
        Self {
            log: [LogSector::default(); SLOTS],
            superblocks,
            extent: [Entry::NONE; BLOCKS],
            copies: [Copied::default(); BLOCKS],
        }
    }

    /// The slot of the newest superblock whose checksum holds.
    #[must_use]
    pub fn newest(&self) -> Option<usize> {
        let [first, second] = self.superblocks.map(|superblock| superblock.generation);
        match (first, second) {
            (0, 0) => None,
            _ if first > second => Some(0),
            _ => Some(1),
        }
    }

    /// The newest superblock; blank where there is none.
    #[must_use]
    pub fn superblock(&self) -> Superblock {
        self.newest()
            .map_or_else(Superblock::default, |slot| self.superblocks[slot])
    }

    fn same(&self, other: &Self, sector: usize) -> bool {
        match sector {
            0..SUPERBLOCKS => self.log[sector] == other.log[sector],
            SUPERBLOCKS..EXTENT => {
                self.superblocks[sector - SUPERBLOCKS] == other.superblocks[sector - SUPERBLOCKS]
            }
            EXTENT..COPIES => self.extent[sector - EXTENT] == other.extent[sector - EXTENT],
            _ => self.copies[sector - COPIES] == other.copies[sector - COPIES],
        }
    }

    fn take(&mut self, other: &Self, sector: usize) {
        match sector {
            0..SUPERBLOCKS => self.log[sector] = other.log[sector],
            SUPERBLOCKS..EXTENT => {
                self.superblocks[sector - SUPERBLOCKS] = other.superblocks[sector - SUPERBLOCKS];
            }
            EXTENT..COPIES => self.extent[sector - EXTENT] = other.extent[sector - EXTENT],
            _ => self.copies[sector - COPIES] = other.copies[sector - COPIES],
        }
    }

    /// Makes a sector fail its checksum; an extent block, which has none, becomes a mixture.
    pub fn tear(&mut self, sector: usize) {
        match sector {
            0..SUPERBLOCKS => self.log[sector] = LogSector::TORN,
            SUPERBLOCKS..EXTENT => {
                self.superblocks[sector - SUPERBLOCKS] = Superblock::default();
            }
            EXTENT..COPIES => self.extent[sector - EXTENT] = Entry::TORN,
            _ => self.copies[sector - COPIES] = Copied::default(),
        }
    }
}

/// The disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Disk {
    /// What a power loss leaves if nothing lands by accident.
    pub durable: Image,
    /// What the running machine reads.
    pub cached: Image,
    /// Sectors whose sync failed: no later sync makes them durable.
    pub abandoned: Sectors,
}

impl Disk {
    /// A freshly formatted store.
    #[must_use]
    pub fn formatted() -> Self {
        let image = Image::formatted();
        Self {
            durable: image,
            cached: image,
            abandoned: 0,
        }
    }

    /// The sectors that a power loss may or may not keep.
    #[must_use]
    pub fn unsynced(&self) -> Sectors {
        (0..SECTORS)
            .filter(|&sector| !self.durable.same(&self.cached, sector))
            .fold(0, |set, sector| set | 1 << sector)
    }

    /// The unsynced ones among `sectors`.
    #[must_use]
    pub fn unsynced_of(&self, sectors: Sectors) -> Sectors {
        self.unsynced() & sectors
    }

    /// Makes what the cache shows of `sectors` durable, the abandoned ones apart.
    pub fn sync(&mut self, sectors: Sectors) {
        self.land(sectors & !self.abandoned);
    }

    /// Drops from the cache what a failed sync left in it, so that reads come from the medium.
    pub fn drop_abandoned(&mut self) {
        for sector in (0..SECTORS).filter(|sector| self.abandoned >> sector & 1 == 1) {
            self.cached.take(&self.durable, sector);
        }
        self.abandoned = 0;
    }

    /// Power loss: `landed` reached the medium, `torn` reached it in part, the cache is gone.
    pub fn lose_power(&mut self, landed: Sectors, torn: Option<usize>) {
        self.land(landed);
        if let Some(sector) = torn {
            self.durable.tear(sector);
        }
        self.cached = self.durable;
        self.abandoned = 0;
        self.renumber();
    }

    /// The device wrote back `sectors` of its own accord, before they were overwritten.
    pub fn land(&mut self, sectors: Sectors) {
        for sector in (0..SECTORS).filter(|sector| sectors >> sector & 1 == 1) {
            self.durable.take(&self.cached, sector);
        }
    }

    /// Writes a superblock to `slot` of the cache, as the newest.
    pub fn write_superblock(&mut self, slot: usize, superblock: Superblock) {
        let newest = self.cached.superblock().generation;
        let generation = newest.saturating_add(1).min(3);
        self.cached.superblocks[slot] = Superblock {
            generation,
            ..superblock
        };
    }

    /// Whether a superblock is written and not yet synced.
    #[must_use]
    pub fn superblock_in_flight(&self) -> bool {
        self.durable.superblocks != self.cached.superblocks
    }

    /// Keeps generations small; only between two superblock writes.
    pub fn renumber(&mut self) {
        let newest = self.cached.superblock().generation;
        if self.superblock_in_flight() || newest < 3 {
            return;
        }
        for superblock in &mut self.cached.superblocks {
            superblock.generation = superblock.generation.saturating_sub(1);
        }
        self.durable.superblocks = self.cached.superblocks;
    }
}
