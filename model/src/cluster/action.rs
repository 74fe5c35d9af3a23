//! The steps of a cluster, named as engineers name them, and the reasons for which one is refused.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::vocabulary::{Message, Mode, NodeId, Operation, Source};

/// One step. `primary` is the node that acts as primary, `replica` the other end of its session.
#[allow(missing_docs, reason = "the parameters are named by their roles")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// The client writes; the primary appends to its log.
    Write { primary: NodeId },
    /// The primary acknowledges every write that meets the rule.
    AnswerWrites { primary: NodeId },
    /// The primary acknowledges a flush that began at or below `committed`.
    AnswerFlush { primary: NodeId },
    /// The client reads the whole device.
    Read { primary: NodeId },
    /// The client asks for a volume operation; the primary appends it.
    Operate {
        primary: NodeId,
        operation: Operation,
    },
    /// A node syncs its log.
    Sync { node: NodeId },
    /// The primary ships the next entry, and hears that it was received.
    Ship { primary: NodeId, replica: NodeId },
    /// The replica syncs and says how far it is durable.
    Barrier { primary: NodeId, replica: NodeId },
    /// The primary puts the next entry on the wire.
    SendAppend { primary: NodeId, replica: NodeId },
    /// The primary puts a barrier on the wire.
    SendBarrier { primary: NodeId, replica: NodeId },
    /// A message arrives, and its answer is put on the wire.
    Deliver { message: Message },
    /// A message arrives and will arrive again.
    DeliverTwin { message: Message },
    /// A message is lost.
    Drop { message: Message },
    /// Hello, facts, classification.
    Handshake { primary: NodeId, replica: NodeId },
    /// The replica cuts its divergent tail, and says so.
    Truncate { primary: NodeId, replica: NodeId },
    /// The stream of a session is lost, or its primary gives it up.
    Disconnect { primary: NodeId, replica: NodeId },
    /// The catch-up would pin too much: it escalates.
    Escalate { primary: NodeId, replica: NodeId },
    /// A rebuild begins: source selected and pinned, the replica's image marked untrusted.
    BeginRebuild {
        primary: NodeId,
        replica: NodeId,
        source: Source,
    },
    /// The next chunk of the base is installed.
    CopyChunk { primary: NodeId, replica: NodeId },
    /// A volume operation fell into the copying of a full base: it begins anew.
    CopyAnew { primary: NodeId, replica: NodeId },
    /// The replica switches to the new base in one durable step.
    SwitchBase { primary: NodeId, replica: NodeId },
    /// The primary asks the authority to let a replica join the in-sync set.
    ProposeJoin { primary: NodeId, replica: NodeId },
    /// The primary asks the authority to let a member leave.
    ProposeLeave { primary: NodeId, replica: NodeId },
    /// The primary asks the authority for another durability mode.
    ProposeMode { primary: NodeId, mode: Mode },
    /// The primary asks the authority to make a node a voter, or no voter any more.
    ProposeVoter { primary: NodeId, node: NodeId },
    /// The request reaches the authority and is granted.
    Land,
    /// The request is lost on its way.
    LoseRequest,
    /// The primary reads the record anew.
    ReadRecord { primary: NodeId },
    /// The primary raises `revision`, so that its former request cannot land any more.
    Withdraw { primary: NodeId },
    /// The primary forgets its request (only a broken rule allows it).
    ForgetRequest { primary: NodeId },
    /// The lease runs out on the primary's clock.
    LeaseRunsOut { primary: NodeId },
    /// The lease is renewed.
    RenewLease { primary: NodeId },
    /// The primary asks for its lease to be renewed.
    AskLease { primary: NodeId },
    /// The authority grants what was asked for.
    GrantLease,
    /// The answer arrives.
    HearLease { primary: NodeId },
    /// The lease is over on the authority's clock.
    LeaseOver,
    /// The primary gives its role up, and the authority hears that it did.
    StopServing { primary: NodeId },
    /// The authority restarts: it has its record, and does not know which leases it granted.
    RestartAuthority,
    /// The record is copied to a safe place.
    BackUp,
    /// The record is replaced by its backup.
    RollBack,
    /// An operator moves a rolled-back authority forward, and names the copy to go on with.
    Recover { node: NodeId },
    /// The primary reports what is committed.
    ReportCommitted { primary: NodeId },
    /// A heartbeat of a node that takes itself for primary (only a broken rule gives it effect).
    Heartbeat { node: NodeId },
    /// The authority gives the primary up and mints the next epoch.
    Mint,
    /// It mints the next epoch while there is nobody who could serve.
    MintAgain,
    /// A candidate promises the epoch, syncs its log and reports.
    Fence { node: NodeId },
    /// The authority promotes a candidate; with `shrink`, silent members leave with it.
    Promote { node: NodeId, shrink: bool },
    /// An operator forces a promotion.
    ForcePromote { node: NodeId },
    /// Write-back: entries up to `extent_bound` reach the extent.
    WriteBack { node: NodeId },
    /// Write-back reaches a volume operation: it is performed, with a checkpoint at its position.
    Perform { node: NodeId },
    /// The checkpoint follows.
    Checkpoint { node: NodeId },
    /// Log space up to the checkpoint is reused.
    Reclaim { node: NodeId },
    /// The process or its host dies.
    Crash { node: NodeId },
    /// It comes back.
    Restart { node: NodeId },
    /// The store is lost, and replaced by an empty one.
    LoseStore { node: NodeId },
    /// The node crashes, and its disk lost the last entry that it had said to be durable.
    LoseTail { node: NodeId },
}

/// Why a step is not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A bound of the instance, not a rule of the protocol.
    Bound,
    /// A process that is needed does not run.
    Down,
    /// It runs already.
    Up,
    /// Nothing would change.
    NothingToDo,
    /// The node is no primary.
    NotPrimary,
    /// The lease is not valid.
    NoLease,
    /// The epoch-start entry is not committed.
    NotOpen,
    /// Too few members.
    TooFewMembers,
    /// Not every copy that is asked for has it.
    NotHeld,
    /// No session of this kind and phase.
    NoSession,
    /// The replica promised a higher epoch.
    HigherEpoch,
    /// A truncation must come first.
    MustTruncate,
    /// The replica's extent holds effects beyond the cut.
    CutBelowExtent,
    /// The entry is not retained.
    NotRetained,
    /// The store is untrusted, or not the recorded one.
    NotEligible,
    /// The image does not stand at exactly the base position.
    NoExactImage,
    /// The member is still in the in-sync set.
    StillMember,
    /// The node is a member already, or never was.
    NotThatMember,
    /// A change of the record is under way.
    ChangeInFlight,
    /// What was acknowledged does not meet the new rule.
    WouldForget,
    /// The old lease may still be valid.
    LeaseHeld,
    /// The epoch has a primary, or the report was given.
    Settled,
    /// Too few reports, or a greater one.
    NotChosen,
    /// A pin holds the log.
    Pinned,
    /// No such message is under way.
    NoMessage,
    /// The log is full.
    Full,
    /// Another node leads that epoch already: the record was rolled back.
    LedByAnother,
    /// The best report is below `committed_seen`.
    BelowCommitted,
    /// A volume operation must be performed first, or fell into the copying.
    OperationDue,
}

impl Refusal {
    /// All names, in the order of the variants.
    pub const NAMES: &'static [&'static str] = &[
        "bound",
        "down",
        "up",
        "nothing_to_do",
        "not_primary",
        "no_lease",
        "not_open",
        "too_few_members",
        "not_held",
        "no_session",
        "higher_epoch",
        "must_truncate",
        "cut_below_extent",
        "not_retained",
        "not_eligible",
        "no_exact_image",
        "still_member",
        "not_that_member",
        "change_in_flight",
        "would_forget",
        "lease_held",
        "settled",
        "not_chosen",
        "pinned",
        "no_message",
        "full",
        "led_by_another",
        "below_committed",
        "operation_due",
    ];
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAMES[*self as usize])
    }
}
