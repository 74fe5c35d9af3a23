//! The conditions of the storage's rules, each by name, and how a guard asks them.
//!
//! Guards ask `self.must(condition, holds, refusal)?`, effects `self.keeps(condition, holds)`: a generated
//! mutation gives one of them up (`holdfast-model mutants --guards`). What is asked with `unless` is no
//! rule of the node: a bound of the instance, what the world does not do, or that there is something to
//! do at all.

use super::action::Refusal;
use super::spec::Storage;
use super::state::{Phase, State};
use crate::checking::{self, conjuncts};
pub(super) use crate::checking::{Conditions, unless};

/// What a guard says.
pub(super) type Granted = checking::Granted<Conjunct, Refusal>;

impl Conditions for Storage {
    type Conjunct = Conjunct;
    type Refusal = Refusal;

    fn given_up(&self) -> Option<Conjunct> {
        self.given_up
    }
}

impl Storage {
    pub(super) fn in_phase(&self, conjunct: Conjunct, state: &State, phase: Phase) -> Granted {
        self.must(conjunct, state.phase == phase, Refusal::WrongPhase)
    }

    pub(super) fn no_superblock_in_flight(&self, conjunct: Conjunct, state: &State) -> Granted {
        let none = !state.disk.superblock_in_flight();
        self.must(conjunct, none, Refusal::SuperblockInFlight)
    }
}

conjuncts! {
    AppendOpen: "append", "the node is open";
    AppendServes: "append", "a primary serves";
    AppendEpoch: "append", "a primary makes entries of its own epoch";
    AppendRoom: "append", "there is room in the log";
    IndexOpen: "index", "the node is open",
        because "nothing is unindexed where no store is open";
    BeginSyncOpen: "begin_sync", "the node is open";
    BeginSyncOne: "begin_sync", "no other sync is in flight",
        because "the sync in flight is one field here: another begun beside it is awaited in its place, and covers more";
    EndSyncOpen: "end_sync", "the node is open",
        because "no sync is in flight where no store is open";
    EndSyncBegun: "end_sync", "a sync is in flight";
    CommitOpen: "commit", "the node is open";
    CommitForward: "commit", "it is more than what was committed";
    CommitWithin: "commit", "it is within the own head";
    ServeOpen: "serve", "the node is open";
    ServeOnce: "serve", "it does not serve yet",
        because "the authority mints anew only for a node that stopped; one that is given a newer epoch makes its entries in that";
    PinOpen: "pin", "the node is open";
    PinOne: "pin", "there is no other pin",
        because "one pin stands for the least of all: another in its place is another shipper's";
    PinRetained: "pin", "what is pinned is retained, a tail in flight counted";
    ReclaimOpen: "reclaim", "the node is open";
    ReclaimSuperblock: "reclaim", "no superblock is in flight";
    #[within] ReclaimPinned: "reclaim", "nothing is freed that is pinned";
    TruncateOpen: "truncate", "the node is open";
    TruncateSuperblock: "truncate", "no superblock is in flight";
    TruncateSync: "truncate", "no sync of the log is in flight";
    TruncateBound: "truncate", "the cut is not below the extent bound";
    TruncateDurable: "truncate", "the cut is durable";
    RaiseOpen: "raise_bound", "the node is open",
        because "where no store is open nothing may be flushed, so there is nothing to raise";
    RaiseSuperblock: "raise_bound", "no superblock is in flight";
    #[within] LimitCommitted: "flush", "what reaches the extent is committed";
    #[within] LimitDurable: "flush", "what reaches the extent is durable";
    #[within] DueBound: "flush", "what reaches the extent is within the durable bound";
    #[within] DueOperation: "flush", "nothing passes a volume operation";
    #[within] DueIndexed: "flush", "what reaches the extent is indexed",
        because "what is written before it is indexed is durable and within the bound, and the frontier waits for the index";
    #[within] FrontierIndexed: "sync_extent, checkpoint", "everything up to the frontier is indexed",
        because "what is not indexed is not written, so it is not applied";
    #[within] FrontierApplied: "sync_extent, checkpoint", "everything up to the frontier is applied";
    #[within] FrontierOperation: "sync_extent, checkpoint", "the frontier does not pass a volume operation";
    WriteOpen: "write_extent", "the node is open";
    WriteCopied: "write_extent", "what the snapshot shares with the block is durable in its copy";
    SyncExtentPhase: "sync_extent", "the node is open or installs a base";
    CheckpointOpen: "checkpoint", "the node is open",
        because "where no store is open nothing is synced beyond the checkpoint";
    CheckpointSuperblock: "checkpoint", "no superblock is in flight";
    #[within] CheckpointSynced: "checkpoint", "what it covers is synced";
    PerformOpen: "perform", "the node is open",
        because "where no store is open nothing may reach the extent";
    PerformSuperblock: "perform", "no superblock is in flight";
    PerformNext: "perform", "everything before the operation is applied";
    PerformSynced: "perform", "everything before the operation is synced";
    PerformReached: "perform", "the operation may reach the extent";
    PerformIndexed: "perform", "the operation is indexed",
        because "volume operations and a late index are in no instance together";
    PerformRestored: "perform", "a restore has written every block";
    PerformRestoreSynced: "perform", "what a restore has written is synced";
    RestoreOpen: "restore", "the node is open";
    RestoreDue: "restore", "a restore is at hand that has yet to write the block";
    CopyOpen: "copy_out", "the node is open";
    CopySnapshot: "copy_out", "there is a snapshot",
        because "a copy under the name of no snapshot is read by nobody";
    CopyOnce: "copy_out", "the block is not copied yet";
    SyncCopiesOpen: "sync_copies", "the node is open";
    ReadOpen: "begin_read", "the node is open";
    EndReadOpen: "end_read", "the node is open",
        because "no read is under way where no store is open";
    #[within] ReadLooksAgain: "end_read", "the block is still not copied";
    BeginInstallPhase: "begin_install", "the node is open, broken, or was interrupted in a rebuild";
    BeginInstallSuperblock: "begin_install", "no superblock is in flight";
    BeginInstallSync: "begin_install", "no sync of the log is in flight",
        because "the rebuild drops the log, and what is in flight with it";
    BeginInstallOperation: "begin_install", "no volume operation fell into the copying";
    ChunkPhase: "install_chunk", "the marker is durable";
    ChunkMissing: "install_chunk", "the chunk is missing",
        because "a chunk that is installed again is of some position between split and bound, too, and redone";
    SwitchPhase: "switch", "a base is installed",
        because "chunks are complete only while a base is installed";
    SwitchSuperblock: "switch", "no superblock is in flight",
        because "no superblock is written between the marker, which is durable by then, and the switch";
    SwitchComplete: "switch", "every chunk is there";
    SwitchSynced: "switch", "every chunk is durable";
    #[within] SwitchRun: "switch", "a new run begins";
    SyncSuperblockPhase: "sync_superblock", "the node is in a phase that waits for one";
    RecoverDown: "recover", "the process is down";
    #[within] OpenAbandoned: "recover", "what a failed sync left in the cache is dropped";
    #[within] OpenSynced: "recover", "everything is synced before it is read";
    #[within] OpenRun: "recover", "a new run begins";
    #[within] ScanRun: "recover", "an entry beyond the seal is of the present run";
    #[within] ScanWhole: "recover", "an entry is whole";
    #[within] ScanVouched: "recover", "what is vouched for is there";
    #[within] SlotOlder: "superblock", "the newest durable superblock is not overwritten";
}
