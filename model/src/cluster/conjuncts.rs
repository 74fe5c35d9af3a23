//! The conditions of the cluster's rules, each by name, and how a guard asks them.
//!
//! Guards ask `self.must(condition, holds, refusal)?`, effects `self.keeps(condition, holds)`: a generated
//! mutation gives one of them up (`holdfast-model mutants --guards`). What is asked with `unless` is no
//! rule: a bound of the instance, or that there is something to do at all.

use super::Cluster;
use super::action::Refusal;
use crate::checking::conjuncts;

/// Why a step is not possible; and by which condition, if by a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Objection {
    pub(super) conjunct: Option<Conjunct>,
    pub(super) refusal: Refusal,
}

/// What a guard says.
pub(super) type Granted = Result<(), Objection>;

/// Refuses for what is no rule unless the condition holds.
pub(super) const fn unless(condition: bool, refusal: Refusal) -> Granted {
    if condition {
        Ok(())
    } else {
        Err(Objection {
            conjunct: None,
            refusal,
        })
    }
}

impl Cluster {
    /// Asks a condition of a guard.
    pub(super) fn must(&self, conjunct: Conjunct, holds: bool, refusal: Refusal) -> Granted {
        if self.keeps(conjunct, holds) {
            Ok(())
        } else {
            Err(Objection {
                conjunct: Some(conjunct),
                refusal,
            })
        }
    }

    /// Asks a condition within an effect.
    pub(super) fn keeps(&self, conjunct: Conjunct, holds: bool) -> bool {
        holds || self.gives_up(conjunct)
    }

    /// Whether a condition is given up.
    pub(super) fn gives_up(&self, conjunct: Conjunct) -> bool {
        self.given_up == Some(conjunct)
    }
}

conjuncts! {
    #[within] ServesAsPrimary: "serve", "it is up and acts as primary";
    #[within] ServesUnderLease: "serve", "it has a lease";
    #[within] ServesOpen: "serve", "its epoch-start entry is committed";
    WriteRoom: "write", "room is kept for the epoch-start entries that may come";
    #[within] AnsweredOwnEpoch: "answer_writes", "the write is of the present epoch";
    #[within] AnsweredHeld: "answer_writes", "enough copies received it";
    #[within] AnsweredDurably: "answer_writes", "it is durable here while a set of one copy is asked for";
    FlushMembers: "answer_flush", "there are min_in_sync members";
    #[within] FlushCommitted: "answer_flush", "what is vouched for is committed";
    #[within] ReadSettled: "read", "what is read is committed or acknowledged";
    #[within] CommitOwnEpoch: "commit", "the entry is of the present epoch";
    #[within] CommitHeld: "commit", "enough copies hold it durably";
    #[within] EnoughMembers: "acknowledge", "min_in_sync members are there";
    #[within] OldRuleToo: "acknowledge", "the rule that was read last is met";
    #[within] NewRuleToo: "acknowledge", "the rule that is asked for is met while its outcome is unknown";
    OperateRoom: "operate", "room is kept for the epoch-start entries that may come";
    OperateSnapshot: "operate", "there is a snapshot to restore";
    SyncUp: "sync", "the node is up";
    #[within] StreamRole: "stream", "the sender is up and acts as primary";
    #[within] StreamPhase: "stream", "the session is one that streams";
    #[within] StreamSession: "stream", "there is a session";
    #[within] StreamCut: "stream", "no truncation is outstanding";
    AppendRetained: "ship, send_append", "the entry is retained";
    ShipUp: "ship", "the replica is up";
    ShipRoom: "ship", "the replica's log has room";
    BarrierUp: "barrier", "the replica is up";
    #[within] TakeUp: "receive", "the receiver is up";
    #[within] TakeReplica: "receive", "the receiver does not act as primary";
    #[within] TakeEpoch: "receive", "the message is of the epoch promised last";
    #[within] TakeSession: "receive", "the message is of the present session";
    #[within] TakeNext: "receive", "the entry is the next one";
    #[within] TakeFollows: "receive", "the entry before it has the epoch that the message names";
    #[within] BarrierReached: "receive", "the log reaches the barrier's position";
    #[within] LearnWithinHead: "receive", "committed is taken for no more than the own head";
    #[within] CountRole: "count", "the receiver of the acknowledgement acts as primary";
    #[within] CountEpoch: "count", "the acknowledgement is of its epoch";
    #[within] CountSession: "count", "the acknowledgement is of the present session";
    #[within] SettleProven: "count", "the target was acknowledged as durable";
    #[within] WholeReceived: "count", "the replica acknowledged the whole log";
    #[within] WholeConnected: "count", "its session is the present one on both sides";
    #[within] WholeHolds: "count", "the replica has the whole log";
    HandshakeUp: "handshake", "the replica is up";
    HandshakeAway: "handshake", "there is no session yet";
    #[within] HelloEpoch: "handshake", "the replica has promised no higher epoch";
    #[within] HelloLed: "handshake", "the replica follows nobody else in this epoch";
    #[within] FactsTrusted: "handshake", "the replica's base is trusted";
    #[within] FactsRecorded: "handshake", "the replica's store is the recorded one";
    #[within] FactsExtent: "handshake", "the replica's extent is within what both logs share";
    #[within] FactsRetained: "handshake", "what both logs share reaches to what is retained";
    TruncateConnected: "truncate", "the replica is connected";
    #[within] TruncateExtent: "truncate", "the replica's extent is within the cut";
    WriteBackUp: "write_back", "the node is up";
    WriteBackTrusted: "write_back", "its base is trusted";
    WriteBackMore: "write_back", "there is more than the extent bound says";
    #[within] LimitCommitted: "write_back", "what reaches the extent is committed";
    #[within] LimitDurable: "write_back", "what reaches the extent is durable";
    #[within] LimitOperation: "write_back", "nothing passes a volume operation that is not performed";
    CheckpointUp: "checkpoint", "the node is up";
    CheckpointTrusted: "checkpoint", "its base is trusted";
    PerformUp: "perform", "the node is up";
    PerformTrusted: "perform", "its base is trusted";
    PerformReached: "perform", "the operation may reach the extent";
    PerformNext: "perform", "everything before the operation is checkpointed";
    PerformBound: "perform", "nothing beyond the operation is in the extent";
    ReclaimUp: "reclaim", "the node is up";
    #[within] ReclaimPins: "reclaim", "nothing is reclaimed that a session needs";
    BeginPhase: "begin_rebuild", "the session found that a rebuild is needed";
    BeginConnected: "begin_rebuild", "the replica is connected";
    BeginOutside: "begin_rebuild", "the replica is no member";
    BeginOutsideNew: "begin_rebuild", "the replica is no member of the set that is asked for";
    BeginTrusted: "begin_rebuild", "the source is trusted";
    BeginExact: "begin_rebuild", "the source's image is of exactly its checkpoint";
    BeginForgets: "begin_rebuild", "a copy that counts is overwritten only while others suffice";
    ChunkConnected: "copy_chunk", "the replica is connected";
    ChunkPhase: "copy_chunk", "the base is being copied";
    AnewConnected: "copy_anew", "the replica is connected";
    AnewPhase: "copy_anew", "the base is being copied";
    SwitchConnected: "switch_base", "the replica is connected";
    SwitchPhase: "switch_base", "the base is being copied";
    SwitchWhole: "switch_base", "every chunk has arrived";
    SwitchInside: "switch_base", "no volume operation fell into the copying";
    ProposeActing: "propose", "it is the acting primary";
    ProposeDecided: "propose", "the outcome of its last change is known";
    ProposeClear: "propose", "no request is under way";
    ProposeRead: "propose", "it has read the record's last change";
    JoinOutside: "propose_join", "the replica is no member";
    JoinInSync: "propose_join", "its session is in sync";
    JoinProven: "propose_join", "it is proven durable up to the present head";
    LeaveMember: "propose_leave", "the replica is a member";
    LeaveOther: "propose_leave", "it is not the primary itself",
        because "a primary speaks of others: it has no session with itself";
    LeaveGone: "propose_leave", "it has no session, or needs a rebuild";
    LeaveEnough: "propose_leave", "min_in_sync members remain, or it needs a rebuild";
    ModeKeeps: "propose_mode", "what was promised meets the new mode";
    VoterMode: "propose_voter", "the mode counts voters";
    VoterMember: "propose_voter", "a new voter is a member, and one voter remains";
    VoterKeeps: "propose_voter", "what was promised meets the new voters";
    KeepsAlone: "propose_leave", "what was acknowledged is durable here where one copy remains";
    KeepsCommitted: "propose_leave", "what was flushed meets the new set";
    KeepsReceived: "propose_leave", "what was acknowledged meets the new set";
    ReadActing: "read_record", "it is the acting primary";
    WithdrawActing: "withdraw", "it is the acting primary";
    WithdrawRead: "withdraw", "it has read the record's last change";
    RenewActing: "renew_lease", "it is the acting primary";
    AskActing: "ask_lease", "the record says that it is the primary";
    AskOnce: "ask_lease", "no renewal is under way";
    HearAnswered: "hear_lease", "the renewal was answered";
    #[within] HearPrimary: "hear_lease", "it still acts as primary";
    #[within] HearInTime: "hear_lease", "the answer is not late";
    OverMargin: "lease_over", "no node has a lease of the epoch on its own clock";
    StopActing: "stop_serving", "it is the acting primary";
    MintLease: "mint", "no lease may be held";
    FenceNobody: "fence", "there is no primary";
    FenceUp: "fence", "the node is up";
    FenceOnce: "fence", "it has not reported";
    FenceEpoch: "fence", "it has promised no higher epoch";
    FenceLed: "fence", "it follows nobody in this epoch";
    FenceRecorded: "fence", "its store is the recorded one";
    FenceTrusted: "fence", "its base is trusted";
    PromoteNobody: "promote", "there is no primary";
    PromoteUp: "promote", "the node is up";
    PromoteFree: "promote", "the node does not act as primary";
    PromoteRoom: "promote", "its log has room for the epoch-start entry";
    PromoteFenced: "promote", "it has promised the epoch";
    PromoteRecorded: "promote", "its store is the recorded one";
    PromoteTrusted: "promote", "its base is trusted";
    PromoteReported: "promote", "it has reported";
    EligibleLast: "promote", "under best_effort, it was the last primary";
    EligibleMember: "promote", "it is a member";
    EligibleVoter: "promote", "under sync_quorum, it is a voter";
    PromoteAsReported: "promote", "its log ends where it reported";
    PromoteLed: "promote", "it follows nobody in this epoch";
    PromoteReports: "promote", "enough have reported";
    PromoteGreatest: "promote", "no eligible report is greater";
    PromoteSeen: "promote", "its report is not below what was seen committed";
    ShrinkEnough: "promote", "min_in_sync members remain";
    GoOnUp: "force_promote, recover", "the node is up";
    GoOnRoom: "force_promote, recover", "its log has room for the epoch-start entry";
    GoOnRecorded: "force_promote, recover", "its store is the recorded one";
    GoOnTrusted: "force_promote, recover", "its base is trusted";
    ReportActing: "report_committed", "it is the acting primary";
    ReportOpen: "report_committed", "its epoch-start entry is committed";
    ReportGrows: "report_committed", "it is more than what was seen";
    RecoverRolled: "recover", "the record was rolled back";
}
