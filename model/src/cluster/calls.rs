//! What can be asked for in a state, at the bounds of an instance.

use super::Cluster;
use super::action::Action;
use super::broken::Broken;
use super::state::State;
use super::vocabulary::{NodeId, Operation, Source};

impl Cluster {
    /// Every action that the instance has, refused ones included.
    pub(super) fn all_calls(&self, s: &State, calls: &mut Vec<Action>) {
        for node in 0..self.bounds.nodes {
            if s.node(node).up && s.node(node).primary {
                self.calls_of_primary(node, calls);
            }
            calls.extend([
                Action::Sync { node },
                Action::WriteBack { node },
                Action::Perform { node },
                Action::Checkpoint { node },
                Action::Reclaim { node },
                Action::Fence { node },
                Action::Promote {
                    node,
                    shrink: false,
                },
                Action::Promote { node, shrink: true },
                Action::ForcePromote { node },
                Action::Crash { node },
                Action::Restart { node },
                Action::LoseStore { node },
                Action::LoseTail { node },
                Action::HearLease { primary: node },
                Action::Recover { node },
                Action::Heartbeat { node },
            ]);
        }
        calls.extend([
            Action::Mint,
            Action::MintAgain,
            Action::Land,
            Action::LoseRequest,
            Action::GrantLease,
            Action::LeaseOver,
            Action::RestartAuthority,
            Action::BackUp,
            Action::RollBack,
        ]);
        for message in s.wire.iter().flatten() {
            let message = *message;
            calls.push(Action::Deliver { message });
            calls.push(Action::DeliverTwin { message });
            calls.push(Action::Drop { message });
        }
        calls.retain(|action| self.offered(*action));
    }

    /// Whether the instance has a dimension at all. What it does not have is never asked for, so
    /// that it does not drown the refusals that are rules.
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

    fn calls_of_primary(&self, primary: NodeId, calls: &mut Vec<Action>) {
        calls.extend([
            Action::Write { primary },
            Action::AnswerWrites { primary },
            Action::AnswerFlush { primary },
            Action::Read { primary },
            Action::ReadRecord { primary },
            Action::Withdraw { primary },
            Action::ForgetRequest { primary },
            Action::LeaseRunsOut { primary },
            Action::RenewLease { primary },
            Action::AskLease { primary },
            Action::StopServing { primary },
            Action::ReportCommitted { primary },
        ]);
        calls.extend(
            [Operation::Snapshot, Operation::Restore]
                .map(|operation| Action::Operate { primary, operation }),
        );
        calls.extend(
            self.bounds
                .new_mode
                .map(|mode| Action::ProposeMode { primary, mode }),
        );
        for replica in (0..self.bounds.nodes).filter(|replica| *replica != primary) {
            calls.extend([
                Action::Handshake { primary, replica },
                Action::Truncate { primary, replica },
                Action::Disconnect { primary, replica },
                Action::Escalate { primary, replica },
                Action::BeginRebuild {
                    primary,
                    replica,
                    source: Source::Snapshot,
                },
                Action::BeginRebuild {
                    primary,
                    replica,
                    source: Source::FullBase,
                },
                Action::CopyChunk { primary, replica },
                Action::CopyAnew { primary, replica },
                Action::SwitchBase { primary, replica },
                Action::ProposeJoin { primary, replica },
                Action::ProposeLeave { primary, replica },
                Action::ProposeVoter {
                    primary,
                    node: replica,
                },
            ]);
            if self.bounds.wire == 0 {
                calls.push(Action::Ship { primary, replica });
                calls.push(Action::Barrier { primary, replica });
            } else {
                calls.push(Action::SendAppend { primary, replica });
                calls.push(Action::SendBarrier { primary, replica });
            }
        }
    }
}
