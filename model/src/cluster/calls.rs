//! What can be asked for in a state, at the bounds of an instance.

use super::Cluster;
use super::action::Action;
use super::broken::Broken;
use super::state::State;
use super::vocabulary::{NodeId, Operation, Source};

impl Cluster {
    /// Every action that the instance has, refused ones included.
    pub(super) fn all_calls(&self, s: &State, calls: &mut Vec<Action>) {
        let mut ask = |action: Action| {
            if self.offered(action) {
                calls.push(action);
            }
        };
        for node in 0..self.bounds.nodes {
            if s.node(node).up && s.node(node).primary {
                self.calls_of_primary(node, &mut ask);
            }
            ask(Action::Sync { node });
            ask(Action::WriteBack { node });
            ask(Action::Perform { node });
            ask(Action::Checkpoint { node });
            ask(Action::Reclaim { node });
            ask(Action::Fence { node });
            for shrink in [false, true] {
                ask(Action::Promote { node, shrink });
            }
            ask(Action::ForcePromote { node });
            ask(Action::Crash { node });
            ask(Action::Restart { node });
            ask(Action::LoseStore { node });
            ask(Action::LoseTail { node });
            ask(Action::HearLease { primary: node });
            ask(Action::Recover { node });
            ask(Action::Heartbeat { node });
        }
        ask(Action::Mint);
        ask(Action::MintAgain);
        ask(Action::Land);
        ask(Action::LoseRequest);
        ask(Action::GrantLease);
        ask(Action::LeaseOver);
        ask(Action::RestartAuthority);
        ask(Action::BackUp);
        ask(Action::RollBack);
        for &message in s.wire.iter().flatten() {
            ask(Action::Deliver { message });
            ask(Action::DeliverTwin { message });
            ask(Action::Drop { message });
        }
    }

    /// Whether the instance has a dimension at all. What it does not have is never asked for, so
    /// that it does not drown the refusals that are rules. Inlined where the action is named, so that
    /// the choice among all actions is made by the compiler.
    #[inline(always)]
    fn offered(&self, action: Action) -> bool {
        let b = &self.bounds;
        match action {
            Action::AnswerWrites { .. } | Action::AnswerFlush { .. } => !b.prompt,
            Action::Read { .. } => b.reads,
            Action::Operate { .. } | Action::Perform { .. } | Action::CopyAnew { .. } => {
                b.operations
            }
            Action::WriteBack { .. } | Action::Checkpoint { .. } => b.write_back,
            Action::Reclaim { .. } | Action::Escalate { .. } => b.reclaim,
            Action::BeginRebuild {
                source: Source::Snapshot,
                ..
            } => b.snapshots,
            Action::BeginRebuild {
                source: Source::FullBase,
                ..
            } => b.full_base,
            Action::CopyChunk { .. } | Action::SwitchBase { .. } => b.snapshots || b.full_base,
            Action::ProposeJoin { .. } => b.joins,
            Action::ProposeLeave { .. } => b.leaves,
            Action::Land | Action::ReadRecord { .. } | Action::Withdraw { .. } => {
                b.joins || b.leaves || b.new_mode.is_some() || b.new_voters
            }
            Action::ProposeVoter { .. } => b.new_voters,
            Action::LoseRequest => b.lost_requests,
            Action::ForgetRequest { .. } => self.is(Broken::ForgetUnknownOutcome),
            Action::LeaseRunsOut { .. } => b.leases,
            Action::RenewLease { .. } => b.leases && !b.clocks,
            Action::AskLease { .. }
            | Action::GrantLease
            | Action::HearLease { .. }
            | Action::LeaseOver
            | Action::StopServing { .. }
            | Action::RestartAuthority => b.clocks,
            Action::BackUp | Action::RollBack | Action::Recover { .. } => b.rollback,
            Action::ReportCommitted { .. } | Action::LoseTail { .. } => b.lies > 0,
            Action::Heartbeat { .. } => self.is(Broken::HeartbeatWritesAuthority),
            Action::Promote { shrink, .. } => b.shrink || !shrink,
            Action::ForcePromote { .. } => b.forced > 0,
            Action::Crash { node } => b.crashes.has(node),
            Action::Restart { .. } => b.downtime,
            Action::LoseStore { .. } => b.losses > 0,
            Action::DeliverTwin { .. } => b.twins,
            Action::Write { .. }
            | Action::Sync { .. }
            | Action::Ship { .. }
            | Action::Barrier { .. }
            | Action::SendAppend { .. }
            | Action::SendBarrier { .. }
            | Action::Deliver { .. }
            | Action::Drop { .. }
            | Action::Handshake { .. }
            | Action::Truncate { .. }
            | Action::Disconnect { .. }
            | Action::ProposeMode { .. }
            | Action::Mint
            | Action::MintAgain
            | Action::Fence { .. } => true,
        }
    }

    #[inline(always)]
    fn calls_of_primary(&self, primary: NodeId, ask: &mut impl FnMut(Action)) {
        ask(Action::Write { primary });
        ask(Action::AnswerWrites { primary });
        ask(Action::AnswerFlush { primary });
        ask(Action::Read { primary });
        ask(Action::ReadRecord { primary });
        ask(Action::Withdraw { primary });
        ask(Action::ForgetRequest { primary });
        ask(Action::LeaseRunsOut { primary });
        ask(Action::RenewLease { primary });
        ask(Action::AskLease { primary });
        ask(Action::StopServing { primary });
        ask(Action::ReportCommitted { primary });
        for operation in [Operation::Snapshot, Operation::Restore] {
            ask(Action::Operate { primary, operation });
        }
        if let Some(mode) = self.bounds.new_mode {
            ask(Action::ProposeMode { primary, mode });
        }
        for replica in (0..self.bounds.nodes).filter(|replica| *replica != primary) {
            ask(Action::Handshake { primary, replica });
            ask(Action::Truncate { primary, replica });
            ask(Action::Disconnect { primary, replica });
            ask(Action::Escalate { primary, replica });
            for source in [Source::Snapshot, Source::FullBase] {
                ask(Action::BeginRebuild {
                    primary,
                    replica,
                    source,
                });
            }
            ask(Action::CopyChunk { primary, replica });
            ask(Action::CopyAnew { primary, replica });
            ask(Action::SwitchBase { primary, replica });
            ask(Action::ProposeJoin { primary, replica });
            ask(Action::ProposeLeave { primary, replica });
            ask(Action::ProposeVoter {
                primary,
                node: replica,
            });
            if self.bounds.wire == 0 {
                ask(Action::Ship { primary, replica });
                ask(Action::Barrier { primary, replica });
            } else {
                ask(Action::SendAppend { primary, replica });
                ask(Action::SendBarrier { primary, replica });
            }
        }
    }
}
