//! The conditions of the cluster's rules, each by name, and how a guard asks them.
//!
//! Guards ask `self.must(condition, holds, refusal)?`, effects `self.keeps(condition, holds)`: a generated
//! mutation gives one of them up (`holdfast-model mutants --guards`). What is asked with `unless` is no
//! rule: a bound of the instance, or that there is something to do at all.

use super::Cluster;
use super::action::Refusal;
use crate::checking::{self, conjuncts};
pub(super) use crate::checking::{Conditions, unless};

/// What a guard says.
pub(super) type Granted = checking::Granted<Conjunct, Refusal>;

impl Conditions for Cluster {
    type Conjunct = Conjunct;
    type Refusal = Refusal;

    fn given_up(&self) -> Option<Conjunct> {
        self.given_up
    }
}

conjuncts! {
    #[within] ServesAsPrimary: "serve", "it is up and acts as primary",
        because "a lease goes with the role";
    #[within] ServesUnderLease: "serve", "it has a lease";
    #[within] ServesOpen: "serve", "its epoch-start entry is committed";
    WriteRoom: "write", "room is kept for the epoch-start entries that may come";
    #[within] AnsweredOwnEpoch: "answer_writes", "the write is of the present epoch",
        because "an adopted write is answered only where enough copies hold it; that its client is gone shows nowhere";
    #[within] AnsweredHeld: "answer_writes", "enough copies received it";
    #[within] AnsweredDurably: "answer_writes", "it is durable here while a set of one copy is asked for";
    FlushMembers: "answer_flush", "there are min_in_sync members",
        because "where members can be too few answers are prompt, and what is committed was flushed before";
    #[within] FlushCommitted: "answer_flush", "what is vouched for is committed";
    #[within] ReadSettled: "read", "what is read is committed or acknowledged";
    #[within] CommitOwnEpoch: "commit", "the entry is of the present epoch";
    #[within] CommitHeld: "commit", "enough copies hold it durably";
    #[within] EnoughMembers: "acknowledge", "min_in_sync members are there";
    #[within] OldRuleToo: "acknowledge", "the rule that was read last is met";
    #[within] NewRuleToo: "acknowledge", "the rule that is asked for is met while its outcome is unknown";
    OperateRoom: "operate", "room is kept for the epoch-start entries that may come",
        because "volume operations and small logs are in no instance together";
    OperateSnapshot: "operate", "there is a snapshot to restore",
        because "a restore without a snapshot changes nothing on any copy";
    SyncUp: "sync", "the node is up",
        because "nothing is unsynced on a node that is down";
    #[within] StreamRole: "stream", "the sender is up and acts as primary",
        because "asked of nodes alone that act as primary";
    #[within] StreamPhase: "stream", "the session is one that streams";
    #[within] StreamSession: "stream", "there is a session",
        because "a session that streams has begun, and every session has a number";
    #[within] StreamCut: "stream", "no truncation is outstanding";
    AppendRetained: "ship, send_append", "the entry is retained",
        because "a session pins what it has to send, and begins where the log is retained";
    ShipUp: "ship", "the replica is up",
        because "what is sent to a node that is down is refused like what is sent to another session";
    ShipRoom: "ship", "the replica's log has room",
        because "where logs are small nothing is reclaimed, so that a copy holds no more than its primary";
    BarrierUp: "barrier", "the replica is up",
        because "what is sent to a node that is down is refused like what is sent to another session";
    #[within] TakeUp: "receive", "the receiver is up",
        because "a node that is down is in no session";
    #[within] TakeReplica: "receive", "the receiver does not act as primary",
        because "a node that acts as primary is in no session of its epoch";
    #[within] TakeEpoch: "receive", "the message is of the epoch promised last";
    #[within] TakeSession: "receive", "the message is of the present session";
    #[within] TakeNext: "receive", "the entry is the next one",
        because "an entry that is not the next, and follows its predecessor all the same, is held already";
    #[within] TakeFollows: "receive", "the entry before it has the epoch that the message names",
        because "the handshake cut the log to what both share, so that whatever is next follows";
    #[within] BarrierReached: "receive", "the log reaches the barrier's position",
        because "the answer names what is durable; asked too early it proves no more than that";
    #[within] LearnWithinHead: "receive", "committed is taken for no more than the own head";
    #[within] CountRole: "count", "the receiver of the acknowledgement acts as primary",
        because "there is no session to count for without the role";
    #[within] CountEpoch: "count", "the acknowledgement is of its epoch";
    #[within] CountSession: "count", "the acknowledgement is of the present session";
    #[within] SettleProven: "count", "the target was acknowledged as durable";
    #[within] WholeReceived: "count", "the replica acknowledged the whole log",
        because "an acknowledgement only lags behind the log of its replica, which is asked as well";
    #[within] WholeConnected: "count", "its session is the present one on both sides",
        because "a replica whose log reaches the head of its primary holds everything, in whatever session";
    #[within] WholeHolds: "count", "the replica has the whole log",
        because "what was acknowledged in a session that goes on is there";
    HandshakeUp: "handshake", "the replica is up";
    HandshakeAway: "handshake", "there is no session yet";
    #[within] HelloEpoch: "handshake", "the replica has promised no higher epoch";
    #[within] HelloLed: "handshake", "the replica follows nobody else in this epoch";
    #[within] FactsTrusted: "handshake", "the replica's base is trusted",
        because "a bound beyond what is durable is beyond what both logs share";
    #[within] FactsRecorded: "handshake", "the replica's store is the recorded one";
    #[within] FactsExtent: "handshake", "the replica's extent is within what both logs share",
        because "the replica itself refuses the cut below its bound, and is rebuilt then";
    #[within] FactsRetained: "handshake", "what both logs share reaches to what is retained";
    TruncateConnected: "truncate", "the replica is connected";
    #[within] TruncateExtent: "truncate", "the replica's extent is within the cut";
    WriteBackUp: "write_back", "the node is up",
        because "write-back and nodes that stay down are in no instance together";
    WriteBackTrusted: "write_back", "its base is trusted",
        because "nothing that may reach the extent is beyond the bound of an untrusted base";
    WriteBackMore: "write_back", "there is more than the extent bound says";
    #[within] LimitCommitted: "write_back", "what reaches the extent is committed";
    #[within] LimitDurable: "write_back", "what reaches the extent is durable";
    #[within] LimitOperation: "write_back", "nothing passes a volume operation that is not performed";
    CheckpointUp: "checkpoint", "the node is up",
        because "write-back and nodes that stay down are in no instance together";
    CheckpointTrusted: "checkpoint", "its base is trusted";
    PerformUp: "perform", "the node is up",
        because "volume operations and nodes that stay down are in no instance together";
    PerformTrusted: "perform", "its base is trusted",
        because "no operation that may be performed is beyond the bound of an untrusted base";
    PerformReached: "perform", "the operation may reach the extent";
    PerformNext: "perform", "everything before the operation is checkpointed";
    PerformBound: "perform", "nothing beyond the operation is in the extent",
        because "write-back stops before an operation, so that the bound is never beyond one that is due";
    ReclaimUp: "reclaim", "the node is up",
        because "write-back and nodes that stay down are in no instance together";
    #[within] ReclaimPins: "reclaim", "nothing is reclaimed that a session needs";
    BeginPhase: "begin_rebuild", "the session found that a rebuild is needed";
    BeginConnected: "begin_rebuild", "the replica is connected";
    BeginOutside: "begin_rebuild", "the replica is no member";
    BeginOutsideNew: "begin_rebuild", "the replica is no member of the set that is asked for";
    BeginTrusted: "begin_rebuild", "the source is trusted",
        because "a primary is trusted: it was when it was promoted, and its bound follows what is durable";
    BeginExact: "begin_rebuild", "the source's image is of exactly its checkpoint";
    BeginForgets: "begin_rebuild", "a copy that counts is overwritten only while others suffice";
    ChunkConnected: "copy_chunk", "the replica is connected";
    ChunkPhase: "copy_chunk", "the base is being copied";
    AnewConnected: "copy_anew", "the replica is connected",
        because "in the instances with operations no replica goes away during a copy";
    AnewPhase: "copy_anew", "the base is being copied";
    SwitchConnected: "switch_base", "the replica is connected";
    SwitchPhase: "switch_base", "the base is being copied",
        because "all chunks are there only while a base is being copied";
    SwitchWhole: "switch_base", "every chunk has arrived";
    SwitchInside: "switch_base", "no volume operation fell into the copying";
    ProposeActing: "propose", "it is the acting primary";
    ProposeDecided: "propose", "the outcome of its last change is known",
        because "a request that is neither under way nor landed was lost; that its primary cannot know so is what the next two stand for";
    ProposeClear: "propose", "no request is under way",
        because "a request under way is pending with the primary that made it";
    ProposeRead: "propose", "it has read the record's last change",
        because "a change that landed is pending with its primary until it is read";
    JoinOutside: "propose_join", "the replica is no member",
        because "a member that joins once more changes nothing";
    JoinInSync: "propose_join", "its session is in sync",
        because "whoever is proven up to the head is beyond the target of its session";
    JoinProven: "propose_join", "it is proven durable up to the present head";
    LeaveMember: "propose_leave", "the replica is a member",
        because "one that is no member and leaves changes nothing";
    LeaveOther: "propose_leave", "it is not the primary itself",
        because "a primary speaks of others: it has no session with itself";
    LeaveGone: "propose_leave", "it has no session, or needs a rebuild",
        because "to do without a copy that is in sync is safe as well, if what was promised is kept, which is asked next";
    LeaveEnough: "propose_leave", "min_in_sync members remain, or it needs a rebuild";
    ModeKeeps: "propose_mode", "what was promised meets the new mode";
    VoterMode: "propose_voter", "the mode counts voters",
        because "voters change in instances of sync_quorum alone";
    VoterMember: "propose_voter", "a new voter is a member, and one voter remains",
        because "where voters change no member leaves, and they are three";
    VoterKeeps: "propose_voter", "what was promised meets the new voters";
    KeepsAlone: "propose_leave", "what was acknowledged is durable here where one copy remains";
    KeepsCommitted: "propose_leave", "what was flushed meets the new set";
    KeepsReceived: "propose_leave", "what was acknowledged meets the new set";
    ReadActing: "read_record", "it is the acting primary";
    WithdrawActing: "withdraw", "it is the acting primary";
    WithdrawRead: "withdraw", "it has read the record's last change";
    RenewActing: "renew_lease", "it is the acting primary";
    AskActing: "ask_lease", "the record says that it is the primary";
    AskOnce: "ask_lease", "no renewal is under way",
        because "one renewal stands for all that are under way; another in its place is the later one";
    HearAnswered: "hear_lease", "the renewal was answered";
    #[within] HearPrimary: "hear_lease", "it still acts as primary";
    #[within] HearInTime: "hear_lease", "the answer is not late";
    OverMargin: "lease_over", "no node has a lease of the epoch on its own clock";
    StopActing: "stop_serving", "it is the acting primary";
    MintLease: "mint", "no lease may be held";
    FenceNobody: "fence", "there is no primary";
    FenceUp: "fence", "the node is up";
    FenceOnce: "fence", "it has not reported",
        because "a candidate that reports again reports the same, or more";
    FenceEpoch: "fence", "it has promised no higher epoch",
        because "beyond the record's epoch are only promises from before a roll-back, and these follow somebody";
    FenceLed: "fence", "it follows nobody in this epoch",
        because "one that follows another may report; what it must not is lead, and that is asked when it is promoted";
    FenceRecorded: "fence", "its store is the recorded one";
    FenceTrusted: "fence", "its base is trusted",
        because "an untrusted store has left the in-sync set, without which its report does not count";
    PromoteNobody: "promote", "there is no primary",
        because "a promotion takes the reports with it, and nobody is chosen without one";
    PromoteUp: "promote", "the node is up";
    PromoteFree: "promote", "the node does not act as primary",
        because "who has promised the epoch stepped down for it, and leads only when promoted";
    PromoteRoom: "promote", "its log has room for the epoch-start entry",
        because "room for the epoch-start entry is kept by every write";
    PromoteFenced: "promote", "it has promised the epoch",
        because "who reported has promised the epoch, and a store that was replaced since is not the recorded one";
    PromoteRecorded: "promote", "its store is the recorded one",
        because "a store that was replaced since it reported has promised nothing";
    PromoteTrusted: "promote", "its base is trusted",
        because "a store that reported was trusted, and is rebuilt by a primary alone";
    PromoteReported: "promote", "it has reported",
        because "no report is less than every report, and counts as none";
    EligibleLast: "promote", "under best_effort, it was the last primary";
    EligibleMember: "promote", "it is a member";
    EligibleVoter: "promote", "under sync_quorum, it is a voter";
    PromoteAsReported: "promote", "its log ends where it reported";
    PromoteLed: "promote", "it follows nobody in this epoch";
    PromoteReports: "promote", "enough have reported";
    PromoteGreatest: "promote", "no eligible report is greater";
    PromoteSeen: "promote", "its report is not below what was seen committed";
    ShrinkEnough: "promote", "min_in_sync members remain",
        because "where a promotion may shrink the set, min_in_sync is 1";
    GoOnUp: "force_promote, recover", "the node is up",
        because "forced promotions and nodes that stay down are in no instance together";
    GoOnRoom: "force_promote, recover", "its log has room for the epoch-start entry",
        because "forced promotions and small logs are in no instance together";
    GoOnRecorded: "force_promote, recover", "its store is the recorded one",
        because "forced promotions and replaced stores are in no instance of every build together";
    GoOnTrusted: "force_promote, recover", "its base is trusted";
    ReportActing: "report_committed", "it is the acting primary";
    ReportOpen: "report_committed", "its epoch-start entry is committed",
        because "what is taken for committed before the epoch-start entry is was committed by another";
    ReportGrows: "report_committed", "it is more than what was seen";
    RecoverRolled: "recover", "the record was rolled back",
        because "where nothing was rolled back it is a forced promotion by another name";
}
