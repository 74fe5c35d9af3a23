//! The rules of the storage, switched off or replaced one at a time, and what must see it.

use super::{Mutant, Storage};

/// One broken rule. The names say what the broken storage does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is described once, in `Mutation::says`")]
pub enum Mutation {
    F01WriteAtLsn,
    F02ScanFromSlotZero,
    F03CutInMemory,
    F04RewindInMemory,
    F05StaleLogAfterSwitch,
    F06FlusherDuringInstall,
    F07CheckpointPastUnindexed,
    F09ReuseBeforeDurable,
    F10FlusherSkipsDamage,
    F11DamageIsTheEnd,
    F12PinPullsCheckpoint,
    F13LsnWithoutAppend,
    F14SyncRetried,
    F14CacheTrustedAfterFailure,
    F15OneSuperblock,
    F16ReadWithoutRecheck,
    F18CheckpointBeforeSync,
    F19DurableSampledAfter,
    F20ScanJumpsGaps,
    F20NoNewRunAtOpening,
    F20OpeningWritesBeforeSync,
    F23ReclaimOnlyWithCheckpoint,
    F33InstallWithoutMarker,
    F78FlusherPassesOperation,
    F79LaterEffectsBeforeOutcome,
    F79OperationOnFuzzyBase,
    F95BoundPastDurable,
    C2UncommittedFlushed,
    M17ReclaimIgnoresPin,
    M27ServesOnAfterRestart,
    M28AnyRunCounts,
    M28TornEntryCounts,
    M29FailureSwallowed,
    T9CutBelowBound,
    BoundAfterExtent,
    CopyNotSyncedBeforeOverwrite,
    CopyWithoutSnapshotName,
    CopyNamedByLsn,
    SwitchBeforeChunksDurable,
    FuzzyBaseTrustedAtSplit,
    SealBeyondDurable,
}

impl Mutation {
    /// All of them, in the order of their ids.
    pub const ALL: [Self; 41] = [
        Self::F01WriteAtLsn,
        Self::F02ScanFromSlotZero,
        Self::F03CutInMemory,
        Self::F04RewindInMemory,
        Self::F05StaleLogAfterSwitch,
        Self::F06FlusherDuringInstall,
        Self::F07CheckpointPastUnindexed,
        Self::F09ReuseBeforeDurable,
        Self::F10FlusherSkipsDamage,
        Self::F11DamageIsTheEnd,
        Self::F12PinPullsCheckpoint,
        Self::F13LsnWithoutAppend,
        Self::F14SyncRetried,
        Self::F14CacheTrustedAfterFailure,
        Self::F15OneSuperblock,
        Self::F16ReadWithoutRecheck,
        Self::F18CheckpointBeforeSync,
        Self::F19DurableSampledAfter,
        Self::F20ScanJumpsGaps,
        Self::F20NoNewRunAtOpening,
        Self::F20OpeningWritesBeforeSync,
        Self::F23ReclaimOnlyWithCheckpoint,
        Self::F33InstallWithoutMarker,
        Self::F78FlusherPassesOperation,
        Self::F79LaterEffectsBeforeOutcome,
        Self::F79OperationOnFuzzyBase,
        Self::F95BoundPastDurable,
        Self::C2UncommittedFlushed,
        Self::M17ReclaimIgnoresPin,
        Self::M27ServesOnAfterRestart,
        Self::M28AnyRunCounts,
        Self::M28TornEntryCounts,
        Self::M29FailureSwallowed,
        Self::T9CutBelowBound,
        Self::BoundAfterExtent,
        Self::CopyNotSyncedBeforeOverwrite,
        Self::CopyWithoutSnapshotName,
        Self::CopyNamedByLsn,
        Self::SwitchBeforeChunksDurable,
        Self::FuzzyBaseTrustedAtSplit,
        Self::SealBeyondDurable,
    ];

    /// `(id, instance, property, what was done to the rules)`.
    #[must_use]
    pub const fn described(self) -> [&'static str; 4] {
        match self {
            Self::F01WriteAtLsn => [
                "F01-write-position-from-lsn",
                "ring",
                "A7 flushed entries survive",
                "after recovery the next entry is written at the sector numbered like its LSN",
            ],
            Self::F02ScanFromSlotZero => [
                "F02-scan-from-the-wrong-place",
                "ring",
                "A7 flushed entries survive",
                "the recovery scan begins at the first sector of the ring, not at the recorded tail",
            ],
            Self::F03CutInMemory => [
                "F03-truncation-in-memory-only",
                "cut",
                "A2 recovery yields a prefix of the log as it was",
                "a truncation moves the positions in memory and makes nothing durable",
            ],
            Self::F04RewindInMemory => [
                "F04-restore-rewinds-in-memory",
                "snapshot",
                "A2 recovery yields a prefix of the log as it was",
                "a restore puts the snapshot into the extent and the positions back, in memory",
            ],
            Self::F05StaleLogAfterSwitch => [
                "F05-stale-log-over-a-new-base",
                "rebuild",
                "A2 recovery yields a prefix of the log as it was",
                "switching to a base begins no new run: the old log's entries still count",
            ],
            Self::F06FlusherDuringInstall => [
                "F06-flusher-during-install",
                "rebuild",
                "A7 a trusted base is the reference",
                "the flusher goes on with the old log while a base is installed",
            ],
            Self::F07CheckpointPastUnindexed => [
                "F07-checkpoint-past-unindexed",
                "index",
                "A7 the checkpoint holds every effect",
                "the applied frontier passes entries that are not yet in the dirty index",
            ],
            Self::F09ReuseBeforeDurable => [
                "F09-log-reused-before-durable",
                "ring",
                "F09 a sector is reused only when its freedom is durable",
                "room in the log is counted by a tail that is not yet durable",
            ],
            Self::F10FlusherSkipsDamage => [
                "F10-flusher-skips-damage",
                "damage",
                "A7 the checkpoint holds every effect",
                "the flusher skips an entry whose checksum fails and drops its dirty mark",
            ],
            Self::F11DamageIsTheEnd => [
                "F11-damage-is-a-clean-end",
                "damage",
                "F11 damage is reported, never a clean end",
                "recovery takes damage before what is vouched for as the end of the log",
            ],
            Self::F12PinPullsCheckpoint => [
                "F12-pin-on-recycled-history",
                "ring",
                "F12 positions on disk are monotone",
                "a pin before the tail is accepted and pulls tail and checkpoint back to it",
            ],
            Self::F13LsnWithoutAppend => [
                "F13-lsn-without-append",
                "ring",
                "A7 flushed entries survive",
                "an LSN is taken although its append failed",
            ],
            Self::F14SyncRetried => [
                "F14-failed-sync-retried",
                "failure",
                "F14 nothing is claimed after a failed sync",
                "after a failed sync the node goes on and syncs again",
            ],
            Self::F14CacheTrustedAfterFailure => [
                "F14-cache-trusted-after-failure",
                "failure",
                "A7 flushed entries survive",
                "after a failed sync the store is opened again from what the cache shows",
            ],
            Self::F15OneSuperblock => [
                "F15-one-superblock",
                "ring",
                "F15 a store always opens",
                "there is one superblock, rewritten in place",
            ],
            Self::F16ReadWithoutRecheck => [
                "F16-snapshot-read-without-recheck",
                "snapshot",
                "F16 a snapshot read is the reference",
                "a snapshot read looks once whether the block was copied out, then reads the extent",
            ],
            Self::F18CheckpointBeforeSync => [
                "F18-checkpoint-before-extent-sync",
                "ring",
                "A7 the checkpoint holds every effect",
                "the checkpoint is what was written to the extent, not what was synced there",
            ],
            Self::F19DurableSampledAfter => [
                "F19-durable-sampled-after-sync",
                "ring",
                "A7 flushed entries survive",
                "after a sync the head of that moment is durable, not that of its beginning",
            ],
            Self::F20ScanJumpsGaps => [
                "F20-scan-jumps-gaps",
                "ring",
                "A2 recovery yields a prefix of the log as it was",
                "recovery goes on behind a sector that never landed",
            ],
            Self::F20NoNewRunAtOpening => [
                "F20-no-new-run-at-opening",
                "cut",
                "A2 recovery yields a prefix of the log as it was",
                "opening begins no new run: what landed beyond a gap counts once the gap is filled",
            ],
            Self::F20OpeningWritesBeforeSync => [
                "F20-opening-writes-before-sync",
                "kill",
                "P5 a crash alone costs no trust",
                "opening goes by what the cache shows without syncing it first",
            ],
            Self::F23ReclaimOnlyWithCheckpoint => [
                "F23-reclaim-only-with-a-checkpoint",
                "ring",
                "F23 back-pressure ends",
                "log space is freed only when a checkpoint advances",
            ],
            Self::F33InstallWithoutMarker => [
                "F33-install-without-marker",
                "rebuild",
                "F33 a half-installed base is untrusted",
                "chunks are written before the untrusted marker is durable",
            ],
            Self::F78FlusherPassesOperation => [
                "F78-flusher-passes-an-operation",
                "snapshot",
                "F78 a snapshot is the reference at its position",
                "the flusher writes later effects before it has performed a snapshot",
            ],
            Self::F79LaterEffectsBeforeOutcome => [
                "F79-later-effects-before-the-outcome",
                "snapshot",
                "F78 a snapshot is the reference at its position",
                "later effects are written while a snapshot's outcome is not yet durable",
            ],
            Self::F79OperationOnFuzzyBase => [
                "F79-operation-on-a-fuzzy-base",
                "fuzzy",
                "F78 a snapshot is the reference at its position",
                "a fuzzy base is installed although a volume operation happened during its copy",
            ],
            Self::F95BoundPastDurable => [
                "F95-bound-past-durable",
                "ring",
                "P5 a crash alone costs no trust",
                "the flusher goes by what is committed, past what is durable here",
            ],
            Self::C2UncommittedFlushed => [
                "C2-flusher-past-committed",
                "cut",
                "C2 only committed entries reach the extent",
                "the flusher goes by what is durable here, past what is committed",
            ],
            Self::M17ReclaimIgnoresPin => [
                "M17-reclaim-ignores-pin",
                "ring",
                "T10 a pin holds the log",
                "log space is freed up to the checkpoint whoever needs it",
            ],
            Self::M27ServesOnAfterRestart => [
                "M27-serves-on-after-restart",
                "primary",
                "M27 a name is given once",
                "a restarted or truncated primary makes entries in its old epoch",
            ],
            Self::M28AnyRunCounts => [
                "M28-any-run-counts",
                "cut",
                "A2 recovery yields a prefix of the log as it was",
                "recovery takes an entry at the right place whatever run it was written under",
            ],
            Self::M28TornEntryCounts => [
                "M28-torn-entry-counts",
                "ring",
                "A2 recovery yields a prefix of the log as it was",
                "recovery takes an entry of which only the first sector landed",
            ],
            Self::M29FailureSwallowed => [
                "M29-sync-failure-swallowed",
                "failure",
                "F14 nothing is claimed after a failed sync",
                "a failed sync moves the durable position like a good one",
            ],
            Self::T9CutBelowBound => [
                "T9-cut-below-the-extent-bound",
                "cut-best-effort",
                "A7 a trusted base is the reference",
                "a truncation may cut entries whose effects are in the extent",
            ],
            Self::BoundAfterExtent => [
                "S1-extent-written-before-its-bound",
                "cut-best-effort",
                "A7 a trusted base is the reference",
                "effects reach the extent before the bound that covers them is durable",
            ],
            Self::CopyNotSyncedBeforeOverwrite => [
                "S2-overwrite-before-the-copy-is-durable",
                "snapshot",
                "F78 a snapshot is the reference at its position",
                "a block is overwritten while its copy for the snapshot is not yet durable",
            ],
            Self::CopyWithoutSnapshotName => [
                "S3-copy-without-its-snapshot",
                "snapshot-twice",
                "F78 a snapshot is the reference at its position",
                "a copied block does not say for which snapshot: an older one's copy counts",
            ],
            Self::CopyNamedByLsn => [
                "S7-copy-named-by-lsn-alone",
                "snapshot-rebuild",
                "F78 a snapshot is the reference at its position",
                "a copied block names its snapshot by position: one of a replaced history counts",
            ],
            Self::SwitchBeforeChunksDurable => [
                "S4-switch-before-the-chunks-are-durable",
                "rebuild",
                "A7 a trusted base is the reference",
                "the superblock switches to a base whose blocks are not yet synced",
            ],
            Self::FuzzyBaseTrustedAtSplit => [
                "S5-fuzzy-base-trusted-at-its-split",
                "fuzzy",
                "A7 a trusted base is the reference",
                "the bound of a fuzzy base is recorded as its split",
            ],
            Self::SealBeyondDurable => [
                "S6-cut-beyond-durable",
                "cut",
                "P5 a crash alone costs no trust",
                "a truncation to a position that is not yet durable here seals the log there",
            ],
        }
    }

    /// The mutant, at the instance that shows it.
    #[must_use]
    pub fn mutant(self) -> Option<Mutant<Storage>> {
        let [id, instance, property, says] = self.described();
        let mut spec = Storage::named(instance)?;
        spec.mutation = Some(self);
        Some(Mutant {
            id: id.to_owned(),
            says: says.to_owned(),
            property: Some(property),
            spec,
        })
    }
}
