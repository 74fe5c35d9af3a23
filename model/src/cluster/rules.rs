//! The bounds of an instance, the rules that a mutation can break, and the one rule that everything
//! else leans on: who must acknowledge.

use super::state::{Membership, State};
use super::vocabulary::{Lsn, Members, Mode, NodeId, Phase, WriteAck};

/// The bounds of one instance. A dimension that is off is not explored at all.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Nodes, 2 or 3.
    pub nodes: u8,
    /// Highest epoch.
    pub epochs: u8,
    /// Client writes.
    pub writes: u8,
    /// Durability mode at first.
    pub mode: Mode,
    /// When writes are acknowledged.
    pub write_ack: WriteAck,
    /// The in-sync set at first; other nodes begin empty.
    pub isr: Members,
    /// `min_in_sync`.
    pub min_in_sync: u8,
    /// How many stores may be lost.
    pub losses: u8,
    /// Forced promotions.
    pub forced: u8,
    /// Nodes that may crash and restart.
    pub crashes: Members,
    /// A crashed node may stay down. Otherwise it restarts in the same step: a node that is up may
    /// be silent for as long as it likes, which is all that others see of one that is down.
    pub downtime: bool,
    /// A lease may run out, and be taken up again, while the record is unchanged. Otherwise it
    /// ends in the step that mints the next epoch.
    pub leases: bool,
    /// Writes and flushes are acknowledged at the first moment at which they may be, instead of at
    /// any moment after it: the most that a client can be promised.
    pub prompt: bool,
    /// Replicas sync on their own, too.
    pub own_syncs: bool,
    /// Streams may be lost.
    pub disconnects: bool,
    /// The client reads.
    pub reads: bool,
    /// Write-back and checkpoints.
    pub write_back: bool,
    /// Log space is reused.
    pub reclaim: bool,
    /// Rebuilds by snapshot and tail.
    pub snapshots: bool,
    /// Rebuilds by full base.
    pub full_base: bool,
    /// Changes of the in-sync set.
    pub joins: bool,
    /// A member without session may be given up.
    pub leaves: bool,
    /// Requests to the authority may be lost.
    pub lost_requests: bool,
    /// Silent members leave in the decision that promotes.
    pub shrink: bool,
    /// The mode may be changed to this one.
    pub new_mode: Option<Mode>,
    /// Messages under way; 0: exchanges are atomic.
    pub wire: u8,
    /// Messages may arrive twice.
    pub twins: bool,
    /// Sessions of one epoch, where they are counted (on a wire).
    pub sessions: u8,
}

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
}

/// The majority of a set of voters.
const fn majority(voters: Members) -> u8 {
    voters.count() / 2 + 1
}

/// The specification at some bounds, with at most one rule broken.
impl super::Cluster {
    /// Whether a rule is broken.
    pub(super) fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    /// Whether `holders` are the copies that a membership asks for.
    pub(super) fn held(primary: NodeId, rule: &Membership, holders: Members) -> bool {
        match rule.mode {
            Mode::BestEffort => holders.has(primary),
            Mode::SyncAll => rule.isr.count() > 0 && holders.includes(rule.isr),
            Mode::SyncQuorum => {
                let counted = holders.both(rule.isr).both(rule.voters).count();
                rule.voters.count() > 0 && counted >= majority(rule.voters)
            }
        }
    }

    /// Whether `holders` are enough to acknowledge, under one membership.
    pub(super) fn suffices(&self, primary: NodeId, rule: &Membership, holders: Members) -> bool {
        let miscounted = match rule.mode {
            Mode::BestEffort => false,
            Mode::SyncAll => self.is(Broken::EmptySetSuffices) && rule.isr.count() == 0,
            Mode::SyncQuorum => {
                let counted = holders.both(rule.isr).both(rule.voters).count();
                self.is(Broken::HalfIsMajority) && counted >= rule.voters.count() / 2
            }
        };
        let enough = rule.mode != Mode::SyncAll
            || rule.isr.count() >= self.bounds.min_in_sync
            || self.is(Broken::IgnoreMinInSync);
        miscounted || enough && Self::held(primary, rule, holders)
    }

    /// Whether `holders` are enough for `primary`: under the rule it read last and, while the
    /// outcome of a change is unknown, under the one it asked for as well.
    pub(super) fn acknowledged_by(&self, s: &State, primary: NodeId, holders: Members) -> bool {
        let node = s.node(primary);
        let mut view = node.view;
        if self.is(Broken::SilentlyDropMember) {
            let gone = |m: &NodeId| *m != primary && s.peer(primary, *m).phase != Phase::InSync;
            for member in view.isr.iter().filter(gone) {
                view.isr = view.isr.without(member);
            }
        }
        let old = self.suffices(primary, &view, holders);
        match node.pending {
            None => old,
            Some(new) if self.is(Broken::NewRuleAtOnce) => self.suffices(primary, &new, holders),
            Some(new) => old && self.suffices(primary, &new, holders),
        }
    }

    /// Who, as far as the primary knows, has the log durable up to `lsn`.
    pub(super) fn durable_at(&self, s: &State, primary: NodeId, lsn: Lsn) -> Members {
        let node = s.node(primary);
        let own = if self.is(Broken::CountOwnUnsynced) {
            node.head
        } else {
            node.durable
        };
        self.holders(primary, own >= lsn, |replica| {
            s.peer(primary, replica).durable >= lsn
        })
    }

    /// Who, as far as the primary knows, has received the log up to `lsn`.
    pub(super) fn received_at(&self, s: &State, primary: NodeId, lsn: Lsn) -> Members {
        let own = s.node(primary).head >= lsn;
        self.holders(primary, own, |replica| {
            s.peer(primary, replica).received >= lsn
        })
    }

    fn holders(&self, primary: NodeId, own: bool, has: impl Fn(NodeId) -> bool) -> Members {
        let holds = |node: &NodeId| if *node == primary { own } else { has(*node) };
        (0..self.bounds.nodes)
            .filter(holds)
            .fold(Members::default(), Members::with)
    }

    /// Reports that a promotion needs.
    pub(super) const fn reports_needed(rule: &Membership) -> u8 {
        match rule.mode {
            Mode::BestEffort | Mode::SyncAll => 1,
            Mode::SyncQuorum => (rule.voters.count() + 1).saturating_sub(majority(rule.voters)),
        }
    }
}
