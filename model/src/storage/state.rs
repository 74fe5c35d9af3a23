//! The state: the disk, what the node holds in memory, and what only the observer knows.

use super::disk::{Disk, Image};
use super::vocabulary::{BLOCKS, Entry, LSNS, Lsn};

/// What the node is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The process is not running.
    #[default]
    Down,
    /// The log is read, the superblock of the new run is not yet durable.
    Opening,
    /// In service.
    Open,
    /// A truncation's superblock is not yet durable.
    Cutting,
    /// The mark of a rebuild is not yet durable.
    Marking,
    /// The marker is durable, no base is being installed.
    Untrusted,
    /// Chunks of a base are being installed.
    Installing,
    /// The superblock of the new base is not yet durable.
    Switching,
    /// The log is damaged; nothing is served, a rebuild may begin.
    Broken,
    /// A sync failed; nothing is served until the store is opened again.
    Poisoned,
    /// No superblock can be read.
    Unopenable,
}

/// What a client's read of a snapshot block has found so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Read {
    /// No read is under way.
    #[default]
    None,
    /// The block was found copied out.
    OfCopy(u8),
    /// The block was found not copied out.
    OfExtent(u8),
}

/// What a crash of the process forgets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Memory {
    /// The last entry known to survive a crash.
    pub durable: Lsn,
    /// The head when the sync in flight began; 0 without one.
    pub syncing: Lsn,
    /// The last entry that this node knows to be committed.
    pub committed: Lsn,
    /// Where in the ring the next entry goes.
    pub next_slot: u8,
    /// Entries that are in the log and not yet in the dirty index (bit `lsn - 1`).
    pub unindexed: u8,
    /// For each block, the version that was last written to the extent; 0 if that is the
    /// checkpoint's.
    pub written: [Lsn; BLOCKS],
    /// The applied frontier when the extent was last synced; 0 if that is the checkpoint.
    pub synced: Lsn,
    /// From where a shipper needs the log (exclusive).
    pub pin: Option<Lsn>,
    /// The read under way.
    pub read: Read,
    /// The base that is being installed, by its place in the instance.
    pub base: u8,
    /// Its installed blocks, as a set.
    pub chunks: u8,
    /// Whether this node may make entries in its epoch.
    pub serving: bool,
}

/// What only the observer knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ghost {
    /// The reference: the entries up to the greater of `head` and `committed`, at their places.
    pub history: [Entry; LSNS + 1],
    /// Everything up to here was claimed durable, and the claim still stands.
    pub flushed: Lsn,
    /// Committed in truth.
    pub committed: Lsn,
    /// Where the log of the second epoch's primary departs from that of the first's: its first
    /// own entry; 0 while that is open.
    pub turn: Lsn,
    /// The durable entry whose sector went bad; 0 if none.
    pub damaged: Lsn,
    /// The extent may be a mixture of the old store and a base.
    pub mixed: bool,
    /// A rebuild has begun, and its base is not yet trusted.
    pub rebuilding: bool,
    /// A sync failed since the store was opened.
    pub failed: bool,
    /// A read of a snapshot returned something else than the reference.
    pub misread: bool,
    /// The present epoch, and the last position at which this node made an entry in it.
    pub epoch: u8,
    /// See `epoch`.
    pub made: Lsn,
    /// What is left of the instance's bounds.
    pub left: Left,
}

/// What is left of an instance's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Left {
    /// Power losses.
    pub crashes: u8,
    /// Deaths of the process.
    pub kills: u8,
    /// Truncations.
    pub cuts: u8,
    /// Failed syncs.
    pub failures: u8,
    /// Damaged sectors.
    pub damages: u8,
    /// Rebuilds.
    pub installs: u8,
}

/// One node's storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The disk.
    pub disk: Disk,
    /// What the node is doing.
    pub phase: Phase,
    /// The last appended entry; while the node is down, the last before it went down.
    pub head: Lsn,
    /// What the process remembers.
    pub memory: Memory,
    /// What the observer knows.
    pub ghost: Ghost,
}

impl State {
    /// The canonical code: every field, in the order of its declaration.
    pub fn encode(&self, code: &mut Vec<u8>) {
        let (memory, ghost) = (&self.memory, &self.ghost);
        encode_image(&self.disk.durable, code);
        encode_image(&self.disk.cached, code);
        code.extend_from_slice(&self.disk.abandoned.to_le_bytes());
        code.extend_from_slice(&[self.phase as u8, self.head]);
        code.extend_from_slice(&[
            memory.durable | memory.syncing << 4,
            memory.committed | memory.next_slot << 4,
            memory.unindexed,
            memory.written[0] | memory.written[1] << 4,
            memory.synced | memory.pin.map_or(15, |pin| pin) << 4,
            match memory.read {
                Read::None => 0,
                Read::OfCopy(block) => 2 + block,
                Read::OfExtent(block) => 4 + block,
            },
            memory.base | memory.chunks << 4 | u8::from(memory.serving) << 7,
        ]);
        code.extend(ghost.history.iter().map(|entry| entry.0));
        let left = &ghost.left;
        code.extend_from_slice(&[
            ghost.flushed | ghost.committed << 4,
            ghost.damaged | ghost.made << 4,
            u8::from(ghost.mixed)
                | u8::from(ghost.rebuilding) << 1
                | u8::from(ghost.failed) << 2
                | u8::from(ghost.misread) << 3
                | ghost.epoch << 4,
            left.crashes | left.kills << 4,
            left.cuts | left.failures << 4,
            left.damages | left.installs << 4,
            ghost.turn,
        ]);
    }
}

fn encode_image(image: &Image, code: &mut Vec<u8>) {
    for sector in &image.log {
        code.push(sector.entry.0);
        code.push(sector.part | sector.run << 1 | sector.durable << 5);
    }
    for superblock in &image.superblocks {
        code.extend_from_slice(&[
            superblock.generation | superblock.run << 4,
            superblock.checkpoint | superblock.extent_bound << 4,
            superblock.tail | superblock.tail_slot << 4,
            superblock.sealed,
            superblock.snapshot.0,
        ]);
    }
    code.extend(image.extent.iter().map(|content| content.0));
    for copied in &image.copies {
        code.extend_from_slice(&[copied.snapshot.0, copied.content.0]);
    }
}

impl State {
    /// One line: phase, positions, and what is not yet durable.
    #[must_use]
    pub fn show(&self) -> String {
        let superblock = self.disk.durable.superblock();
        let memory = &self.memory;
        let log: Vec<String> = (self.disk.cached.log.iter())
            .map(|sector| match sector.entry {
                Entry::NONE => "-".to_owned(),
                Entry::TORN => "bad".to_owned(),
                entry => format!("{}e{}r{}", entry.lsn(), entry.epoch(), sector.run),
            })
            .collect();
        let extent: Vec<String> = self
            .disk
            .cached
            .extent
            .iter()
            .map(|&at| content(at))
            .collect();
        format!(
            "{:?}: tail={} checkpoint={} bound={} durable={} committed={} head={} | claimed={} \
             run={} sealed={} snapshot={} | log [{}] extent [{}] unsynced={:#06x}",
            self.phase,
            superblock.tail,
            superblock.checkpoint,
            superblock.extent_bound,
            memory.durable,
            memory.committed,
            self.head,
            self.ghost.flushed,
            superblock.run,
            superblock.sealed,
            content(superblock.snapshot),
            log.join(" "),
            extent.join(" "),
            self.disk.unsynced(),
        )
    }
}

fn content(entry: Entry) -> String {
    match entry {
        Entry::NONE => "0".to_owned(),
        Entry::TORN => "torn".to_owned(),
        entry => format!("{}e{}", entry.lsn(), entry.epoch()),
    }
}
