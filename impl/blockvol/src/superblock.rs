//! The superblock: what a store is, where its log begins, what its image holds, what it promised.
//!
//! Two slots, written in turn, each with generation and checksum: a torn write leaves the other
//! one (F15). What must never be forgotten by the loss of one slot (promises, cuts, a switched or
//! untrusted base) is written to both, one after the other. One owner writes it, at fixed
//! positions (F08). Layout: `docs/formats.md`.

use holdfast_types::{
    BlockCount, Epoch, Lineage, LineageEntry, Lsn, MAX_LINEAGE_ENTRIES, SessionId, SnapshotId,
    StoreId, VolumeId,
};
use uuid::Uuid;

use crate::disk::{Disk, DiskError};
use crate::error::{Damage, OpenError};
use crate::options::{MAX_BLOCKS, MAX_LOG_BYTES, MIN_LOG_BYTES};
use crate::positions::{Promise, Role};
use crate::snapshot::{MAX_SNAPSHOTS, SnapshotRecord};

/// First bytes of a superblock slot.
pub(crate) const MAGIC: [u8; 8] = *b"HFSUPER\0";
/// The format written here, and the newest one read here.
pub(crate) const VERSION: u32 = 3;

/// The oldest version that is read: it is the same, but for the leader, which it leaves zero.
const OLDEST_VERSION: u32 = 2;
/// Bytes of a slot.
pub(crate) const SLOT_BYTES: usize = 4096;
/// Where the slots are: far enough apart that no single misplaced write covers both.
pub(crate) const SLOT_OFFSETS: [u64; 2] = [0, 32 << 10];
/// Where the log ring begins.
pub(crate) const RING_OFFSET: u64 = 64 << 10;

const LINEAGE_OFFSET: usize = 256;
const CHECKSUM_OFFSET: usize = SLOT_BYTES - 4;
const SNAPSHOTS_OFFSET: usize = LINEAGE_OFFSET + MAX_LINEAGE_ENTRIES * 16;
const SNAPSHOT_BYTES: usize = 32;
const _: () = assert!(SNAPSHOTS_OFFSET + MAX_SNAPSHOTS * SNAPSHOT_BYTES <= CHECKSUM_OFFSET);

/// The point after which the log replays: entry `lsn` is the last one no longer needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogStart {
    /// The log replays `lsn + 1 ..`.
    pub(crate) lsn: Lsn,
    /// The epoch of entry `lsn`; 0 for the empty log.
    pub(crate) epoch: Epoch,
    /// Where entry `lsn + 1` is, or will be.
    pub(crate) position: u64,
    /// What entry `lsn + 1` names as its predecessor's checksum.
    pub(crate) chain: u32,
}

/// Entries at or beyond `position` count only with this generation or a later one: what was cut
/// lies there with an earlier one and never comes back (F03).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Floor {
    /// A position in the log.
    pub(crate) position: u64,
    /// The generation in which new entries are written; raised by every opening and every cut.
    pub(crate) generation: u64,
}

/// The persistent state, each field as of the last durable write of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Superblock {
    /// Counts the writes of the superblock; the valid slot with the greater one is in force.
    pub(crate) generation: u64,
    /// The volume; unique for ever.
    pub(crate) volume: VolumeId,
    /// This store.
    pub(crate) store: StoreId,
    /// The size of the volume.
    pub(crate) blocks: BlockCount,
    /// Bytes of the log ring.
    pub(crate) ring_bytes: u64,
    /// The extent holds every effect up to here.
    pub(crate) checkpoint: Lsn,
    /// The extent holds no effect beyond here.
    pub(crate) extent_bound: Lsn,
    /// What was durable when this was written, at least: a log that ends before it is broken.
    pub(crate) durable: Lsn,
    /// Where the log begins; space before it is free.
    pub(crate) start: LogStart,
    /// What was cut stays cut.
    pub(crate) floor: Floor,
    /// Highest epoch, role in it, newest session of it, incarnations.
    pub(crate) promise: Promise,
    /// The snapshots, the oldest first.
    pub(crate) snapshots: Vec<SnapshotRecord>,
    /// Lineage when this was written; authoritative up to `start`, the log itself beyond.
    pub(crate) lineage: Lineage,
}

impl Superblock {
    /// A fresh store: trusted, empty log, all-zero image.
    pub(crate) fn fresh(
        volume: VolumeId,
        store: StoreId,
        blocks: BlockCount,
        ring_bytes: u64,
    ) -> Self {
        Self {
            generation: 1,
            volume,
            store,
            blocks,
            ring_bytes,
            checkpoint: Lsn::ZERO,
            extent_bound: Lsn::ZERO,
            durable: Lsn::ZERO,
            start: LogStart {
                lsn: Lsn::ZERO,
                epoch: Epoch(0),
                position: 0,
                chain: 0,
            },
            floor: Floor {
                position: 0,
                generation: 1,
            },
            promise: Promise {
                epoch: Epoch(0),
                role: Role::None,
                leader: None,
                session: None,
                incarnation: 0,
            },
            snapshots: Vec::new(),
            lineage: Lineage::default(),
        }
    }

    /// The slot that a superblock of this generation is written to.
    pub(crate) fn slot_offset(&self) -> u64 {
        SLOT_OFFSETS[(self.generation % 2) as usize]
    }

    /// The bytes of a slot.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut slot = vec![0; SLOT_BYTES];
        let lineage = self.lineage.entries();
        slot[0..8].copy_from_slice(&MAGIC);
        put_u32(&mut slot, 8, VERSION);
        put_u32(&mut slot, 12, lineage.len() as u32);
        put_u64(&mut slot, 16, self.generation);
        slot[24..40].copy_from_slice(self.volume.0.as_bytes());
        slot[40..56].copy_from_slice(self.store.0.as_bytes());
        put_u64(&mut slot, 56, self.blocks);
        put_u64(&mut slot, 64, RING_OFFSET);
        put_u64(&mut slot, 72, self.ring_bytes);
        put_u64(&mut slot, 80, self.checkpoint.0);
        put_u64(&mut slot, 88, self.extent_bound.0);
        put_u64(&mut slot, 96, self.durable.0);
        put_u64(&mut slot, 104, self.start.lsn.0);
        put_u64(&mut slot, 112, self.start.epoch.0);
        put_u64(&mut slot, 120, self.start.position);
        put_u32(&mut slot, 128, self.start.chain);
        put_u32(&mut slot, 132, self.snapshots.len() as u32);
        put_u64(&mut slot, 136, self.floor.position);
        put_u64(&mut slot, 144, self.floor.generation);
        put_u64(&mut slot, 152, self.promise.epoch.0);
        put_u64(&mut slot, 160, self.promise.session.map_or(0, |s| s.0));
        slot[168] = u8::from(self.promise.session.is_some());
        slot[169] = role_code(self.promise.role);
        put_u64(&mut slot, 176, self.promise.incarnation);
        let leader = self.promise.leader.map_or(Uuid::nil(), |store| store.0);
        slot[184..200].copy_from_slice(leader.as_bytes());
        for (index, entry) in lineage.iter().enumerate() {
            put_u64(&mut slot, LINEAGE_OFFSET + index * 16, entry.epoch.0);
            put_u64(&mut slot, LINEAGE_OFFSET + index * 16 + 8, entry.first.0);
        }
        for (index, snapshot) in self.snapshots.iter().enumerate() {
            let at = SNAPSHOTS_OFFSET + index * SNAPSHOT_BYTES;
            put_u64(&mut slot, at, snapshot.id.lsn.0);
            put_u64(&mut slot, at + 8, snapshot.id.epoch.0);
            put_u64(&mut slot, at + 16, snapshot.blocks);
            slot[at + 24] = u8::from(snapshot.given_up);
        }
        let checksum = crc32c::crc32c(&slot[..CHECKSUM_OFFSET]);
        put_u32(&mut slot, CHECKSUM_OFFSET, checksum);
        slot
    }

    /// Reads a slot.
    pub(crate) fn decode(slot: &[u8]) -> Result<Self, SlotFault> {
        if slot.len() != SLOT_BYTES || slot[0..8] != MAGIC {
            let blank = slot.iter().all(|byte| *byte == 0);
            return Err(if blank {
                SlotFault::Blank
            } else {
                SlotFault::NoMagic
            });
        }
        let version = get_u32(slot, 8);
        if version > VERSION {
            return Err(SlotFault::NewerFormat(version));
        }
        if version < OLDEST_VERSION {
            return Err(SlotFault::OlderFormat(version));
        }
        if get_u32(slot, CHECKSUM_OFFSET) != crc32c::crc32c(&slot[..CHECKSUM_OFFSET]) {
            return Err(SlotFault::Checksum);
        }
        Self::decode_checked(slot).map_err(SlotFault::Nonsense)
    }

    /// The fields of a slot whose checksum is good: what is wrong now was written wrong.
    fn decode_checked(slot: &[u8]) -> Result<Self, &'static str> {
        let role = role_of(slot[169]).ok_or("unknown role")?;
        let leader = get_uuid(slot, 184);
        let leader = (!leader.is_nil()).then_some(StoreId(leader));
        let session = (slot[168] == 1).then(|| SessionId(get_u64(slot, 160)));
        let superblock = Self {
            generation: get_u64(slot, 16),
            volume: VolumeId(get_uuid(slot, 24)),
            store: StoreId(get_uuid(slot, 40)),
            blocks: get_u64(slot, 56),
            ring_bytes: get_u64(slot, 72),
            checkpoint: Lsn(get_u64(slot, 80)),
            extent_bound: Lsn(get_u64(slot, 88)),
            durable: Lsn(get_u64(slot, 96)),
            start: LogStart {
                lsn: Lsn(get_u64(slot, 104)),
                epoch: Epoch(get_u64(slot, 112)),
                position: get_u64(slot, 120),
                chain: get_u32(slot, 128),
            },
            floor: Floor {
                position: get_u64(slot, 136),
                generation: get_u64(slot, 144),
            },
            promise: Promise {
                epoch: Epoch(get_u64(slot, 152)),
                role,
                leader,
                session,
                incarnation: get_u64(slot, 176),
            },
            snapshots: decode_snapshots(slot)?,
            lineage: decode_lineage(slot)?,
        };
        if get_u32(slot, 8) == 0 || get_u64(slot, 64) != RING_OFFSET {
            return Err("unknown layout");
        }
        superblock.check()?;
        Ok(superblock)
    }

    fn check(&self) -> Result<(), &'static str> {
        let ring_fits = (MIN_LOG_BYTES..=MAX_LOG_BYTES).contains(&self.ring_bytes)
            && self.ring_bytes.is_multiple_of(4096);
        if self.blocks == 0 || self.blocks > MAX_BLOCKS || !ring_fits {
            return Err("sizes out of bounds");
        }
        let ordered = self.start.lsn <= self.checkpoint
            && self.checkpoint <= self.extent_bound
            && self.checkpoint <= self.durable;
        if !ordered {
            return Err("positions out of order");
        }
        // Far below the end of the range, so that sums with them never overflow.
        let bound = u64::MAX / 4;
        let far = [
            self.start.position,
            self.floor.position,
            self.floor.generation,
            self.generation,
            self.durable.0,
            self.promise.epoch.0,
            self.promise.incarnation,
        ];
        if far.iter().any(|value| *value > bound) {
            return Err("counters out of bounds");
        }
        Ok(())
    }
}

/// Why a slot does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotFault {
    /// All zeroes: never written.
    Blank,
    /// Something else is there.
    NoMagic,
    /// Written by a newer version.
    NewerFormat(u32),
    /// Written by an older version, whose stores are no longer read.
    OlderFormat(u32),
    /// Torn, or damaged.
    Checksum,
    /// Whole, but contradicting itself.
    Nonsense(&'static str),
}

impl std::fmt::Display for SlotFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Blank => f.write_str("blank"),
            Self::NoMagic => f.write_str("no superblock"),
            Self::NewerFormat(version) | Self::OlderFormat(version) => {
                write!(f, "format version {version}")
            }
            Self::Checksum => f.write_str("checksum mismatch"),
            Self::Nonsense(what) => f.write_str(what),
        }
    }
}

/// Both slots as they are on the disk.
pub(crate) type Slots = [Result<Superblock, SlotFault>; 2];

/// Reads both slots.
pub(crate) fn read_slots(disk: &dyn Disk) -> Result<Slots, DiskError> {
    let mut slots = [Err(SlotFault::Blank), Err(SlotFault::Blank)];
    for (slot, offset) in slots.iter_mut().zip(SLOT_OFFSETS) {
        let mut bytes = vec![0; SLOT_BYTES];
        disk.read_at(offset, &mut bytes)?;
        *slot = Superblock::decode(&bytes);
    }
    Ok(slots)
}

/// The superblock in force: the valid one of the greater generation.
pub(crate) fn choose(slots: Slots, target: &str) -> Result<Superblock, OpenError> {
    // A newer program's slot is never overruled by an older one of ours.
    for slot in &slots {
        if let Err(SlotFault::NewerFormat(found)) = slot {
            return Err(OpenError::NewerFormat {
                target: target.to_owned(),
                found: *found,
                supported: VERSION,
            });
        }
    }
    // Before 1.0 a newer version may refuse an older store (docs/formats.md).
    for slot in &slots {
        if let Err(SlotFault::OlderFormat(found)) = slot {
            return Err(OpenError::OlderFormat {
                target: target.to_owned(),
                found: *found,
                supported: VERSION,
            });
        }
    }
    match slots {
        [Ok(a), Ok(b)] if a.volume != b.volume || a.store != b.store => {
            Err(OpenError::Damaged(Damage::Superblock {
                what: "the two slots belong to different stores".to_owned(),
            }))
        }
        [Ok(a), Ok(b)] => Ok(if a.generation > b.generation { a } else { b }),
        [Ok(one), Err(_)] | [Err(_), Ok(one)] => Ok(one),
        [
            Err(SlotFault::Blank | SlotFault::NoMagic),
            Err(SlotFault::Blank | SlotFault::NoMagic),
        ] => Err(OpenError::NotAStore {
            target: target.to_owned(),
            what: "no superblock".to_owned(),
        }),
        [Err(a), Err(b)] => Err(OpenError::Damaged(Damage::Superblock {
            what: format!("neither slot is good ({a}; {b})"),
        })),
    }
}

fn decode_lineage(slot: &[u8]) -> Result<Lineage, &'static str> {
    let count = get_u32(slot, 12) as usize;
    if count > MAX_LINEAGE_ENTRIES {
        return Err("lineage too long");
    }
    let entries = (0..count).map(|index| LineageEntry {
        epoch: Epoch(get_u64(slot, LINEAGE_OFFSET + index * 16)),
        first: Lsn(get_u64(slot, LINEAGE_OFFSET + index * 16 + 8)),
    });
    Lineage::new(entries.collect()).map_err(|_| "lineage out of order")
}

fn decode_snapshots(slot: &[u8]) -> Result<Vec<SnapshotRecord>, &'static str> {
    let count = get_u32(slot, 132) as usize;
    if count > MAX_SNAPSHOTS {
        return Err("too many snapshots");
    }
    let snapshots: Vec<SnapshotRecord> = (0..count)
        .map(|index| {
            let at = SNAPSHOTS_OFFSET + index * SNAPSHOT_BYTES;
            SnapshotRecord {
                id: SnapshotId {
                    lsn: Lsn(get_u64(slot, at)),
                    epoch: Epoch(get_u64(slot, at + 8)),
                },
                blocks: get_u64(slot, at + 16),
                given_up: slot[at + 24] == 1,
            }
        })
        .collect();
    let ordered = snapshots
        .windows(2)
        .all(|pair| pair[0].id.lsn < pair[1].id.lsn && pair[0].blocks <= pair[1].blocks);
    let sized = snapshots
        .iter()
        .all(|snapshot| (1..=MAX_BLOCKS).contains(&snapshot.blocks));
    if ordered && sized {
        Ok(snapshots)
    } else {
        Err("snapshots out of order")
    }
}

fn role_code(role: Role) -> u8 {
    match role {
        Role::None => 0,
        Role::Replica => 1,
        Role::Primary => 2,
    }
}

fn role_of(code: u8) -> Option<Role> {
    match code {
        0 => Some(Role::None),
        1 => Some(Role::Replica),
        2 => Some(Role::Primary),
        _ => None,
    }
}

/// Writes a little-endian number into fixed bytes.
pub(crate) fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// Writes a little-endian number into fixed bytes.
pub(crate) fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Reads a little-endian number; the caller's buffer is of fixed size.
pub(crate) fn get_u64(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}

/// Reads a little-endian number; the caller's buffer is of fixed size.
pub(crate) fn get_u32(bytes: &[u8], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(value)
}

fn get_uuid(bytes: &[u8], at: usize) -> Uuid {
    let mut value = [0; 16];
    value.copy_from_slice(&bytes[at..at + 16]);
    Uuid::from_bytes(value)
}
