//! How a node's storage is drawn: the world that asks and strikes, the process, and each part of
//! the disk as a lane. A cell that is not filled is in the page cache only.

use super::action::{Action, Synced};
use super::disk::{
    COPY_SECTORS, EXTENT_SECTORS, LOG_SECTORS, SECTORS, SUPERBLOCK_SECTORS, Sectors,
};
use super::spec::Storage;
use super::state::{Memory, Phase, State};
use super::vocabulary::{Entry, Kind, REBUILDING};
use crate::explore::{
    Card, Cell, Diagram, Dye, Event, Lane, LaneAt, Life, Look, Shape, Strip, Tone,
};

const WORLD: LaneAt = 0;
const PROCESS: LaneAt = 1;
const LOG: LaneAt = 2;
const SUPERBLOCK: LaneAt = 3;
const EXTENT: LaneAt = 4;
const COPIES: LaneAt = 5;

impl Diagram for Storage {
    fn lanes(&self) -> Vec<Lane> {
        let mut lanes = vec![
            ("world", "the primary, the power, the truth"),
            ("process", "what a crash forgets"),
            ("log", "a ring of sectors"),
            ("superblock", "two slots, the newer counts"),
            ("extent", "the blocks of the volume"),
        ];
        if self.has_snapshots() {
            lanes.push(("copies", "blocks kept for the snapshot"));
        }
        let lane = |(name, role): (&str, _)| Lane {
            name: name.to_owned(),
            role,
        };
        lanes.into_iter().map(lane).collect()
    }

    fn event(&self, action: Action) -> Event {
        let writes = |to, text: String| Event::message(PROCESS, to, text);
        let asks = |text: String| Event::message(WORLD, PROCESS, text);
        let syncs = |to, text: &str| Event::exchange(PROCESS, to, text);
        match action {
            Action::Append { epoch } => writes(LOG, format!("append, epoch {epoch}")),
            Action::Index { lsn } => Event::local(PROCESS, format!("indexes {lsn}")),
            Action::BeginSync => writes(LOG, "sync begins".to_owned()),
            Action::EndSync => Event::message(LOG, PROCESS, "sync returns"),
            Action::Commit { to } => asks(format!("committed up to {to}")),
            Action::Serve => asks("be primary of a new epoch".to_owned()),
            Action::RaiseBound => writes(SUPERBLOCK, "raise extent_bound".to_owned()),
            Action::SyncSuperblock => syncs(SUPERBLOCK, "sync"),
            Action::WriteExtent { block, landed } => {
                writes(EXTENT, block_text("flush block", block, landed))
            }
            Action::SyncExtent => syncs(EXTENT, "sync"),
            Action::Checkpoint => writes(SUPERBLOCK, "checkpoint".to_owned()),
            Action::Perform => writes(SUPERBLOCK, "outcome of a volume operation".to_owned()),
            Action::Restore { block, landed } => {
                writes(EXTENT, block_text("restore block", block, landed))
            }
            Action::CopyOut { block } => writes(self.copies(), format!("copy out block {block}")),
            Action::SyncCopies => syncs(self.copies(), "sync"),
            Action::BeginRead { block } => asks(format!("reads block {block} of the snapshot")),
            Action::EndRead => Event::message(PROCESS, WORLD, "gets it"),
            Action::Pin { at } => asks(format!("keep the log after {at}")),
            Action::Unpin => asks("the log is needed no longer".to_owned()),
            Action::Reclaim => writes(SUPERBLOCK, "free log space".to_owned()),
            Action::Truncate { to } => asks(format!("truncate after {to}")),
            Action::BeginInstall { base } => asks(format!("rebuild from base {base}")),
            Action::InstallChunk { block, version } => {
                writes(EXTENT, format!("install block {block} at {version}"))
            }
            Action::Switch => writes(SUPERBLOCK, "switch to the new base".to_owned()),
            Action::LosePower { landed, torn } => {
                Event::of(power_loss(landed, torn), Shape::Across).toned(Tone::Fault)
            }
            Action::Kill => Event::local(PROCESS, "killed").toned(Tone::Fault),
            Action::Recover => Event::local(PROCESS, "opens the store").toned(Tone::Repair),
            Action::FailSync { of } => {
                let lane = match of {
                    Synced::Log => LOG,
                    Synced::Superblock => SUPERBLOCK,
                    Synced::Extent => EXTENT,
                };
                Event::message(lane, PROCESS, "sync FAILS").toned(Tone::Fault)
            }
            Action::Damage { slot } => {
                Event::local(LOG, format!("sector {} goes bad", slot + 1)).toned(Tone::Fault)
            }
            Action::LoseAppend => {
                Event::local(PROCESS, "takes a position and logs nothing").toned(Tone::Fault)
            }
            Action::Rewind => Event::local(PROCESS, "moves positions in memory").toned(Tone::Fault),
            Action::StaleFlush { block } => {
                writes(EXTENT, format!("flush block {block} of the old log")).toned(Tone::Fault)
            }
        }
    }

    fn detail(&self, before: &State, action: Action, after: &State, event: &mut Event) {
        match action {
            Action::Append { .. } => event.add(&format!("becomes {}", after.head)),
            Action::EndSync => event.add(&format!("durable {}", after.memory.durable)),
            Action::WriteExtent { block, .. } => {
                let version = after.memory.written.get(usize::from(block));
                event.add(&format!("version {}", version.copied().unwrap_or(0)));
            }
            Action::Checkpoint => {
                let checkpoint = after.disk.cached.superblock().checkpoint;
                event.add(&checkpoint.to_string());
            }
            Action::RaiseBound => {
                event.add(&bound(after.disk.cached.superblock().extent_bound));
            }
            Action::Reclaim => {
                event.add(&format!("up to {}", after.disk.cached.superblock().tail));
            }
            Action::Recover => event.add(phase_name(after.phase)),
            Action::EndRead => {
                if after.ghost.misread && !before.ghost.misread {
                    event.add("and it is not what the snapshot holds");
                }
            }
            Action::Index { .. }
            | Action::BeginSync
            | Action::Commit { .. }
            | Action::Serve
            | Action::SyncSuperblock
            | Action::SyncExtent
            | Action::Perform
            | Action::Restore { .. }
            | Action::CopyOut { .. }
            | Action::SyncCopies
            | Action::BeginRead { .. }
            | Action::Pin { .. }
            | Action::Unpin
            | Action::Truncate { .. }
            | Action::BeginInstall { .. }
            | Action::InstallChunk { .. }
            | Action::Switch
            | Action::LosePower { .. }
            | Action::Kill
            | Action::FailSync { .. }
            | Action::Damage { .. }
            | Action::LoseAppend
            | Action::Rewind
            | Action::StaleFlush { .. } => {}
        }
    }

    fn cards(&self, s: &State) -> Vec<Card> {
        let unsynced = s.disk.unsynced();
        let mut cards = vec![
            world(s),
            process(s),
            self.log_card(s, unsynced & LOG_SECTORS),
            superblock(s),
            self.extent_card(
                s,
                (unsynced & EXTENT_SECTORS) >> EXTENT_SECTORS.trailing_zeros(),
            ),
        ];
        if self.has_snapshots() {
            let unsynced = (unsynced & COPY_SECTORS) >> COPY_SECTORS.trailing_zeros();
            cards.push(self.copies_card(s, unsynced));
        }
        cards
    }
}

impl Storage {
    fn has_snapshots(&self) -> bool {
        let mut kinds = self.bounds.script.iter().flat_map(|row| row.iter());
        kinds.any(|kind| matches!(kind, Kind::Snapshot))
    }

    /// The lane of the snapshot's copies, or the extent's where there are none.
    fn copies(&self) -> LaneAt {
        if self.has_snapshots() { COPIES } else { EXTENT }
    }

    fn log_card(&self, s: &State, unsynced: Sectors) -> Card {
        let tail = s.disk.cached.superblock().tail;
        let sectors = s
            .disk
            .cached
            .log
            .iter()
            .take(usize::from(self.bounds.slots));
        let cells = sectors.enumerate().map(|(at, sector)| {
            let gone = sector.entry.is_some() && sector.entry.lsn() <= tail;
            cell(sector.entry, unsynced >> at & 1 == 1, gone)
        });
        strip_card("ring", cells.collect())
    }

    fn extent_card(&self, s: &State, unsynced: Sectors) -> Card {
        let blocks = s.disk.cached.extent.iter().take(self.bounds.blocks);
        let cells = blocks
            .enumerate()
            .map(|(at, &content)| cell(content, unsynced >> at & 1 == 1, false));
        strip_card("blocks", cells.collect())
    }

    fn copies_card(&self, s: &State, unsynced: Sectors) -> Card {
        let copies = s.disk.cached.copies.iter().take(self.bounds.blocks);
        let cells = copies.enumerate().map(|(at, copied)| {
            let loose = unsynced >> at & 1 == 1;
            match copied.snapshot {
                Entry::NONE => Cell::new("-", 0, Look::Empty),
                _ => cell(copied.content, loose, false),
            }
        });
        strip_card("blocks", cells.collect())
    }
}

fn strip_card(name: &'static str, cells: Vec<Cell>) -> Card {
    Card {
        strips: vec![Strip {
            name,
            cells,
            committed: 0,
        }],
        ..Card::default()
    }
}

/// What is true, whatever the node believes.
fn world(s: &State) -> Card {
    let mut card = Card::default();
    let ghost = &s.ghost;
    for (is_so, text) in [
        (ghost.mixed, "extent mixed"),
        (ghost.rebuilding, "rebuild under way"),
        (ghost.failed, "a sync failed"),
        (ghost.misread, "misread"),
    ] {
        if is_so {
            card.badge(text, Dye::Bad);
        }
    }
    card.fact("claimed durable", ghost.flushed);
    card.fact("committed", ghost.committed);
    if ghost.damaged != 0 {
        card.fact("damaged", ghost.damaged);
    }
    card
}

fn process(s: &State) -> Card {
    let mut card = Card {
        life: match s.phase {
            Phase::Down | Phase::Unopenable => Life::Down,
            Phase::Open => Life::Up(s.ghost.epoch),
            Phase::Opening
            | Phase::Cutting
            | Phase::Marking
            | Phase::Untrusted
            | Phase::Installing
            | Phase::Switching
            | Phase::Broken
            | Phase::Poisoned => Life::Up(0),
        },
        ..Card::default()
    };
    let dye = match s.phase {
        Phase::Open => Dye::Good,
        Phase::Down | Phase::Broken | Phase::Poisoned | Phase::Unopenable => Dye::Bad,
        Phase::Opening
        | Phase::Cutting
        | Phase::Marking
        | Phase::Untrusted
        | Phase::Installing
        | Phase::Switching => Dye::Plain,
    };
    card.badge(phase_name(s.phase), dye);
    if s.memory.serving {
        card.badge("primary", Dye::Epoch(s.ghost.epoch));
    }
    if s.phase == Phase::Down {
        return card;
    }
    let Memory {
        durable,
        syncing,
        committed,
        synced,
        pin,
        ..
    } = s.memory;
    card.fact("head", s.head);
    card.fact("durable", durable);
    card.fact("committed", committed);
    if syncing != 0 {
        card.fact("syncing", syncing);
    }
    if synced != 0 {
        card.fact("applied", synced);
    }
    if let Some(pin) = pin {
        card.fact("pinned after", pin);
    }
    card
}

fn superblock(s: &State) -> Card {
    let mut card = Card::default();
    if s.disk.unsynced_of(SUPERBLOCK_SECTORS) != 0 {
        card.badge("in flight", Dye::Plain);
    }
    if s.disk.cached.newest().is_none() {
        card.badge("unreadable", Dye::Bad);
    }
    let superblock = s.disk.cached.superblock();
    card.fact("checkpoint", superblock.checkpoint);
    card.fact("bound", bound(superblock.extent_bound));
    card.fact("tail", superblock.tail);
    card.fact("sealed", superblock.sealed);
    card.fact("run", superblock.run);
    if superblock.snapshot.is_some() {
        card.fact("snapshot", name(superblock.snapshot));
    }
    card
}

fn bound(lsn: u8) -> String {
    match lsn {
        REBUILDING => "MAX".to_owned(),
        lsn => lsn.to_string(),
    }
}

/// An entry in a place: its position and its epoch.
fn cell(entry: Entry, unsynced: bool, gone: bool) -> Cell {
    let look = match entry {
        Entry::NONE => Look::Empty,
        Entry::TORN => Look::Broken,
        _ if unsynced => Look::Loose,
        _ if gone => Look::Faint,
        _ => Look::Firm,
    };
    let epoch = if entry.is_some() { entry.epoch() } else { 0 };
    Cell::new(name(entry), epoch, look)
}

fn name(entry: Entry) -> String {
    match entry {
        Entry::NONE => "0".to_owned(),
        Entry::TORN => "torn".to_owned(),
        entry => {
            let twin = if entry.twin() { "'" } else { "" };
            format!("{}e{}{twin}", entry.lsn(), entry.epoch())
        }
    }
}

fn block_text(what: &str, block: u8, landed: bool) -> String {
    let before = if landed {
        ", the earlier one landed"
    } else {
        ""
    };
    format!("{what} {block}{before}")
}

/// Which of the sectors that were not synced a power loss left, and which in part.
fn power_loss(landed: Sectors, torn: Option<u8>) -> String {
    let names: Vec<String> = (0..SECTORS)
        .filter(|at| landed >> at & 1 == 1)
        .map(sector)
        .collect();
    let mut text = "POWER LOSS".to_owned();
    if !names.is_empty() {
        text.push_str(&format!("; landed all the same: {}", names.join(", ")));
    }
    if let Some(torn) = torn {
        text.push_str(&format!("; torn: {}", sector(usize::from(torn))));
    }
    text
}

fn sector(at: usize) -> String {
    let lies_in = |sectors: Sectors| sectors >> at & 1 == 1;
    let number = |sectors: Sectors| at.saturating_sub(sectors.trailing_zeros() as usize) + 1;
    if lies_in(LOG_SECTORS) {
        format!("log {}", number(LOG_SECTORS))
    } else if lies_in(SUPERBLOCK_SECTORS) {
        format!("superblock {}", number(SUPERBLOCK_SECTORS))
    } else if lies_in(EXTENT_SECTORS) {
        format!("block {}", number(EXTENT_SECTORS))
    } else {
        format!("copy {}", number(COPY_SECTORS))
    }
}

const fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Down => "down",
        Phase::Opening => "opening",
        Phase::Open => "open",
        Phase::Cutting => "cutting",
        Phase::Marking => "marking",
        Phase::Untrusted => "untrusted",
        Phase::Installing => "installing",
        Phase::Switching => "switching",
        Phase::Broken => "broken",
        Phase::Poisoned => "poisoned",
        Phase::Unopenable => "unopenable",
    }
}
