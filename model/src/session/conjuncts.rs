//! The conjuncts of the guards: every single condition under which a call is granted, by name.
//!
//! `guards.rs` asks each of them in the order of the prose. That each can be told from all others is
//! what makes it possible to ask of each alone whether it is ever the only one in the way, and what
//! falls without it (`holdfast-model mutants --guards`).

use crate::checking::conjuncts;

conjuncts! {
    AssignNotOlder: "assign", "the assignment is not older than the volume's";
    AssignRepeated: "assign", "an assignment of the same epoch and revision is the recorded one";
    EndpointNotBack: "assign", "no endpoint version goes back";
    EndpointKept: "assign", "no endpoint moves under its version";
    NoRebuildOfMember: "assign", "no member is to be rebuilt";
    FenceVolume: "fence", "the volume is known";
    FenceNewer: "fence", "the epoch is newer than the volume's";
    StopVolume: "stop", "the volume is known";
    StopEpoch: "stop", "the epoch is the volume's";
    StopServing: "stop", "the volume is serving";
    BeginSender: "attach, supersede", "the sender is known";
    BeginEpoch: "attach, supersede", "the epoch is the volume's";
    BeginEndpoint: "attach, supersede", "the endpoint version is the sender's";
    BeginServing: "attach, supersede", "the volume is serving";
    NoSession: "attach", "there is no session";
    AttachAllowed: "attach", "no rebuild is needed, or it is one that begins";
    SupersedeAllowed: "supersede", "no rebuild is needed, or it is one that begins";
    RebuildNotReplaced: "supersede", "no rebuild is under way, or it is one that begins";
    NotMember: "attach, supersede", "no member is rebuilt";
    TokenSender: "token", "the sender is known";
    TokenEpoch: "token", "the epoch is the volume's";
    TokenEndpoint: "token", "the endpoint version is the sender's";
    TokenPresent: "token", "there is a session";
    TokenSession: "token", "the session is the present one";
    ConnectPhase: "connect", "the phase is init";
    HelloPhase: "hello", "the phase is connecting";
    HandshakePhase: "handshake", "the phase is handshake";
    FactsCheckpointBound: "handshake", "the replica's checkpoint is within its extent bound";
    FactsCheckpointDurable: "handshake", "the replica's checkpoint is within its log";
    FactsLineageDurable: "handshake", "the replica's lineage ends within its log";
    FactsLineagePresent: "handshake", "a replica that has entries has a lineage";
    HistoryCheckpointBound: "history", "the primary's checkpoint is within its extent bound";
    HistoryCheckpointDurable: "history", "the primary's checkpoint is within what is synced",
        because "a checkpoint within the extent bound and beyond what is synced leaves the base untrusted, which is refused";
    HistoryLineageHead: "history", "the primary's lineage ends within its log",
        because "the lineage's last entry must be the epoch-start entry, and that must be within the log";
    HistoryLineagePresent: "history", "a primary that has entries has a lineage",
        because "without a lineage its last entry is not the epoch-start entry, which is refused";
    HistoryDurableHead: "history", "what is synced is within the log";
    HistoryCommittedHead: "history", "what is committed is within the log";
    HistoryEpochStartHead: "history", "the epoch-start entry is within the log",
        because "the epoch-start entry must be the lineage's last entry, and that must be within the log";
    HistoryRetainedHead: "history", "what is retained begins within the log";
    HistorySnapshotHead: "history", "the snapshot is within the log";
    NoNewerEpoch: "handshake", "the replica's log ends in no newer epoch";
    EpochStarted: "history", "the epoch-start entry is logged";
    EpochStartLast: "history", "the lineage's last entry is the volume's epoch at its epoch-start entry";
    PrimaryTrusted: "history", "the primary's own base is trusted";
    PinnedPhase: "pinned", "the phase is catch_up or source_select",
        because "a pin is requested in these phases alone";
    PinnedRequested: "pinned", "the pin is requested";
    PinFailedPhase: "pin_failed", "the phase is catch_up or source_select",
        because "a pin is requested in these phases alone";
    PinFailedRequested: "pin_failed", "the pin is requested";
    PinLostPhase: "pin_lost", "the phase can hold a pin",
        because "a pin is held in these phases alone";
    PinLostHeld: "pin_lost", "the pin is held";
    TruncatedPhase: "truncated", "the phase is catch_up";
    TruncatedRequired: "truncated", "a truncation is required and not confirmed";
    TruncatedWhere: "truncated", "the log was cut where it must be";
    TruncationRefusedPhase: "truncation_refused", "the phase is catch_up";
    TruncationRefusedRequired: "truncation_refused", "a truncation is required and not confirmed";
    ProgressPhase: "progress", "the phase is catch_up or tail_replay";
    ProgressCut: "progress", "no truncation is outstanding";
    ProgressPinned: "progress", "no pin is outstanding";
    ProgressNotBack: "progress", "the position does not go back";
    ProgressWithinGoal: "progress", "the position is within the goal";
    CompletePhase: "complete", "the phase is catch_up or tail_replay";
    CompleteCut: "complete", "no truncation is outstanding",
        because "nothing is acknowledged while a truncation is outstanding, so the goal is not either";
    CompletePinned: "complete", "no pin is outstanding",
        because "nothing is acknowledged while a pin is outstanding, so the goal is not either";
    CompleteConverged: "complete", "the goal was acknowledged";
    AcknowledgedPhase: "acknowledged", "the phase is completed";
    AcknowledgedNotBack: "acknowledged", "the position does not go back";
    AcknowledgedWithinHead: "acknowledged", "the position is within the primary's log";
    SelectSourcePhase: "select_source", "the phase is source_select";
    SelectSourceOnce: "select_source", "no source is selected";
    BeginTransferPhase: "begin_transfer", "the phase is source_select";
    BeginTransferSelected: "begin_transfer", "a source is selected";
    BeginTransferRetention: "begin_transfer", "the log is pinned";
    BeginTransferBase: "begin_transfer", "the base is pinned";
    TransferProgressPhase: "transfer_progress", "the phase is transfer";
    TransferProgressNotBack: "transfer_progress", "the number of chunks does not go back";
    TransferProgressWithin: "transfer_progress", "there are as many chunks";
    BaseInstalledPhase: "base_installed", "the phase is transfer";
    BaseInstalledWhole: "base_installed", "all chunks are there";
    BaseInstalledWhere: "base_installed", "the base is the plan's";
    BaseInstalledBound: "base_installed", "the image's bound is one that the source can have";
    CheckBudgetPhase: "check_budget", "the session is not completed";
}
