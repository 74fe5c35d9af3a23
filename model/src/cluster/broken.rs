//! The rules that a mutation can break, each where the code asks `self.is(Broken::...)`.

/// A rule that is switched off or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// After a restart the log is cut to the node's own watermark.
    TruncateToWatermark,
    /// Histories are compared by length.
    EqualLsnIsEqualHistory,
    /// A replica takes an entry without looking at its predecessor.
    NoPredecessorCheck,
    /// An acknowledgement counts for the whole log of the primary.
    AckProvesTooMuch,
    /// A late acknowledgement overwrites a newer one.
    PositionsMoveBack,
    /// `committed` is recomputed, not advanced.
    CommittedMovesBack,
    /// Entries of an older epoch are committed by counting.
    CountOlderEpochs,
    /// The promise of an epoch is only in memory.
    PromiseInMemory,
    /// A replica acknowledges a barrier before it synced.
    AckBeforeSync,
    /// The primary counts its unsynced log.
    CountOwnUnsynced,
    /// A majority is half of the voters.
    HalfIsMajority,
    /// `sync_all` asks only those members that have a session.
    SilentlyDropMember,
    /// An acknowledgement of an earlier session counts.
    AckOfEarlierSession,
    /// An acknowledgement of an earlier epoch counts.
    AckOfEarlierEpoch,
    /// A replica takes entries and barriers of any incarnation of its primary.
    AnyIncarnation,
    /// What the handshake said counts as an acknowledgement.
    HandshakeCounts,
    /// The tail is replayed from beyond the split.
    TailBeyondSplit,
    /// The log is recycled although a session needs it.
    IgnorePins,
    /// A replica below the retained log is sent to catch-up.
    CatchUpBelowTail,
    /// The base is switched to before all its chunks arrived.
    SwitchBeforeCopied,
    /// A rebuild does not mark the image untrusted.
    NoUntrustedMark,
    /// A chunk that arrives late overwrites what was replayed since.
    LateChunkInstalled,
    /// The cursor of a new session is where the last one ended.
    CursorNotRewound,
    /// Candidates are compared by length, not by their last epoch.
    ChooseByLength,
    /// A second candidate is promoted in the same epoch.
    TwoPrimariesInOneEpoch,
    /// A primary serves without a lease.
    ServeWithoutLease,
    /// A restarted node resumes its role in the old epoch.
    ResumeAfterRestart,
    /// Trust is not asked of candidates.
    PromoteUntrusted,
    /// A replica joins once its session's target was proven.
    JoinAtTarget,
    /// A join does not name the store.
    JoinWithoutIdentity,
    /// The primary forgets a request of unknown outcome.
    ForgetUnknownOutcome,
    /// The new rule alone is followed from the moment it is asked for.
    NewRuleAtOnce,
    /// A member leaves although a write is held by it and the primary's memory alone.
    LeaveBeforeDurable,
    /// While the last other member is leaving, writes are acknowledged from memory.
    AckWhileLeaving,
    /// A replica believes a `committed` beyond its own head.
    CommittedBeyondHead,
    /// Service opens before the epoch-start entry is committed.
    ServeBeforeStart,
    /// A promotion that cannot know whether writes were lost does not say so.
    SilentMembersUnreported,
    /// A restarted candidate is taken to hold what it once received.
    RestartedCountsAsWhole,
    /// Entries at positions already held are skipped as duplicates, without a truncation.
    SkipDuplicates,
    /// A full base is copied with the split where the checkpoint is when the copy ends.
    SplitMovesWithCopy,
    /// A full base does not carry the primary's extent bound.
    BoundNotCarried,
    /// A rebuild is done at its target, whatever its image holds beyond it.
    CompleteBelowImage,
    /// A snapshot is taken while the extent is ahead of its position.
    InexactSnapshot,
    /// A member is rebuilt while it is in the in-sync set.
    RebuildMember,
    /// Replaced stores count among the reports.
    CountReplacedStores,
    /// Writes are acknowledged from the primary's log alone where copies were promised.
    AckFromOwnLog,
    /// Write-back follows `committed` past what is durable.
    WriteBackBeyondDurable,
    /// Write-back follows `durable` past what is committed.
    WriteBackUncommitted,
    /// A forced promotion keeps the in-sync set.
    ForcedKeepsSet,
    /// The authority mints while the old lease may be valid.
    MintUnderLease,
    /// The mode changes whatever was acknowledged under the old one.
    ModeChangesBlindly,
    /// What was adopted from earlier epochs is not taken for acknowledged.
    AdoptedNotCounted,
    /// A candidate that is behind others is good enough.
    PromoteLaggard,
    /// An empty required set is satisfied.
    EmptySetSuffices,
    /// A divergent extent is truncated like a divergent log.
    IgnoreDivergentExtent,
    /// `min_in_sync` does not bound acknowledging.
    IgnoreMinInSync,
    /// What a replica acknowledged outlives a rebuild below it.
    AckOutlivesRebuild,
    /// Voters outside the in-sync set are counted.
    CountOutsideSet,
    /// The primary counts itself twice.
    CountItselfTwice,
    /// A quorum promotion is content with one report fewer.
    OneReportFewer,
    /// Anyone who reported may be promoted.
    PromoteOutsider,
    /// What is at the head is taken for committed.
    CommittedIsHead,
    /// The cursor jumps to the head when a session becomes in_sync.
    GapBeforeInSync,
    /// A barrier is answered for the position asked for, whatever the replica has.
    BarrierNotCompared,
    /// Entries of older epochs are refused for their epoch.
    EntryEpochChecked,
    /// A session begins only once there is something to write.
    ReconnectNeedsTraffic,
    /// A session that is lost during its catch-up is not given up.
    SecondDisconnectHangs,
    /// Reads are served without a lease.
    ReadWithoutLease,
    /// A heartbeat of a deposed primary writes the record.
    HeartbeatWritesAuthority,
    /// A candidate is fenced at the next epoch before that is minted, and a primary that is
    /// refused for it goes on.
    FenceBeforeMint,
    /// No room is reserved for epoch-start entries.
    NoReserve,
    /// The voters change whatever was acknowledged under the old ones.
    VotersChangeBlindly,
    /// A restarted authority takes it that no lease is held.
    RestartForgetsLeases,
    /// A lease is counted from the answer, not from before the request.
    LeaseFromAnswer,
    /// A primary confirms that it stopped, and serves on.
    ConfirmWithoutStopping,
    /// A promotion does not look at `committed_seen`.
    IgnoreCommittedSeen,
    /// A node takes the lead although its log ends below what it reported.
    LeadBelowReport,
    /// A second node may lead an epoch that another led before the record was rolled back.
    EpochLedTwice,
    /// The recovery of the authority leaves the identities of all stores recorded.
    RecoverKeepsStores,
    /// Write-back goes past a volume operation before it is performed.
    OperationNotAwaited,
    /// A full base is switched to although an operation fell into its copying.
    OperationOnFuzzyBase,
    /// A base does not carry the volume's snapshot.
    SnapshotNotCarried,
    /// A restore moves the log back to the snapshot.
    RestoreRewinds,
}
