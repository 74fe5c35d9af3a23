//! The specification as the checker sees it: calls, guards, effects, each action in one place.

use super::action::{Action, Guard, Refusal};
use super::mutants::mutants;
use super::properties::properties;
use super::state::{Client, Membership, NOBODY, Node, Past, Peer, Record, State, WIRE, encode};
use super::vocabulary::{Entry, Log, Members, Mode, NODES, NodeId, Phase, Source};
use super::{Broken, Cluster, instances, show};
use crate::checking::{Instance, Mutant, Property, Spec};

impl Spec for Cluster {
    const NAME: &'static str = "cluster";
    type State = State;
    type Action = Action;
    type Outputs = ();
    type Refusal = Refusal;

    fn instance(&self) -> &Instance {
        &self.instance
    }

    fn initial(&self) -> Vec<(&'static str, State)> {
        vec![("in_service", self.in_service())]
    }

    fn calls(&self, s: &State, calls: &mut Vec<Action>) {
        for node in 0..self.bounds.nodes {
            if s.node(node).up && s.node(node).primary {
                self.calls_of_primary(node, calls);
            }
            calls.extend([
                Action::Sync { node },
                Action::WriteBack { node },
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
            ]);
        }
        calls.extend([Action::Mint, Action::Land, Action::LoseRequest]);
        for message in s.wire.iter().flatten() {
            let message = *message;
            calls.push(Action::Deliver { message });
            calls.push(Action::DeliverTwin { message });
            calls.push(Action::Drop { message });
        }
        calls.retain(|action| self.offered(*action));
    }

    fn guard(&self, s: &State, action: Action) -> Guard {
        match action {
            Action::Write { primary } => self.may_write(s, primary),
            Action::AnswerWrites { primary } => self.may_answer_writes(s, primary),
            Action::AnswerFlush { primary } => self.may_answer_flush(s, primary),
            Action::Read { primary } => self.may_read(s, primary),
            Action::Sync { node } => self.may_sync(s, node),
            Action::Ship { primary, replica } => self.may_ship(s, primary, replica),
            Action::Barrier { primary, replica } => self.may_barrier(s, primary, replica),
            Action::SendAppend { primary, replica } => self.may_send_append(s, primary, replica),
            Action::SendBarrier { primary, replica } => self.may_send_barrier(s, primary, replica),
            Action::Deliver { message } | Action::Drop { message } => self.may_deliver(s, message),
            Action::DeliverTwin { message } => self.may_deliver_twin(s, message),
            Action::Handshake { primary, replica } => self.may_handshake(s, primary, replica),
            Action::Truncate { primary, replica } => self.may_truncate(s, primary, replica),
            Action::Disconnect { primary, replica } => self.may_disconnect(s, primary, replica),
            Action::Escalate { primary, replica } => self.may_escalate(s, primary, replica),
            Action::BeginRebuild {
                primary,
                replica,
                source,
            } => self.may_begin_rebuild(s, primary, replica, source),
            Action::CopyChunk { primary, replica } => self.may_copy_chunk(s, primary, replica),
            Action::SwitchBase { primary, replica } => self.may_switch_base(s, primary, replica),
            Action::ProposeJoin { primary, replica } => self.may_propose_join(s, primary, replica),
            Action::ProposeLeave { primary, replica } => {
                self.may_propose_leave(s, primary, replica)
            }
            Action::ProposeMode { primary, mode } => self.may_propose_mode(s, primary, mode),
            Action::Land => self.may_land(s),
            Action::LoseRequest => self.may_lose_request(s),
            Action::ReadRecord { primary } => self.may_read_record(s, primary),
            Action::Withdraw { primary } => self.may_withdraw(s, primary),
            Action::ForgetRequest { primary } => self.may_forget_request(s, primary),
            Action::LeaseRunsOut { primary } => self.may_lease_run_out(s, primary),
            Action::RenewLease { primary } => self.may_renew_lease(s, primary),
            Action::Mint => self.may_mint(s),
            Action::Fence { node } => self.may_fence(s, node),
            Action::Promote { node, shrink } => self.may_promote(s, node, shrink),
            Action::ForcePromote { node } => self.may_force_promote(s, node),
            Action::WriteBack { node } => self.may_write_back(s, node),
            Action::Checkpoint { node } => self.may_checkpoint(s, node),
            Action::Reclaim { node } => self.may_reclaim(s, node),
            Action::Crash { node } => self.may_crash(s, node),
            Action::Restart { node } => self.may_restart(s, node),
            Action::LoseStore { node } => self.may_lose_store(s, node),
        }
    }

    fn apply(&self, before: &State, action: Action) -> (State, ()) {
        let mut after = *before;
        let s = &mut after;
        match action {
            Action::Write { primary } => self.write(s, primary),
            Action::AnswerWrites { primary } => self.answer_writes(s, primary),
            Action::AnswerFlush { primary } => self.answer_flush(s, primary),
            Action::Read { primary } => self.read(s, primary),
            Action::Sync { node } => self.sync(s, node),
            Action::Ship { primary, replica } => self.ship(s, primary, replica),
            Action::Barrier { primary, replica } => self.barrier(s, primary, replica),
            Action::SendAppend { primary, replica } => self.send_append(s, primary, replica),
            Action::SendBarrier { primary, replica } => self.send_barrier(s, primary, replica),
            Action::Deliver { message } => self.deliver(s, message),
            Action::DeliverTwin { message } => self.deliver_twin(s, message),
            Action::Drop { message } => self.drop_message(s, message),
            Action::Handshake { primary, replica } => self.handshake(s, primary, replica),
            Action::Truncate { primary, replica } => self.truncate(s, primary, replica),
            Action::Disconnect { primary, replica } => self.disconnect(s, primary, replica),
            Action::Escalate { primary, replica } => self.escalate(s, primary, replica),
            Action::BeginRebuild {
                primary,
                replica,
                source,
            } => {
                self.begin_rebuild(s, primary, replica, source);
            }
            Action::CopyChunk { primary, replica } => self.copy_chunk(s, primary, replica),
            Action::SwitchBase { primary, replica } => self.switch_base(s, primary, replica),
            Action::ProposeJoin { primary, replica } => self.propose_join(s, primary, replica),
            Action::ProposeLeave { primary, replica } => self.propose_leave(s, primary, replica),
            Action::ProposeMode { primary, mode } => self.propose_mode(s, primary, mode),
            Action::Land => self.land(s),
            Action::LoseRequest => self.lose_request(s),
            Action::ReadRecord { primary } => self.read_record(s, primary),
            Action::Withdraw { primary } => self.withdraw(s, primary),
            Action::ForgetRequest { primary } => self.forget_request(s, primary),
            Action::LeaseRunsOut { primary } => self.lease_runs_out(s, primary),
            Action::RenewLease { primary } => self.renew_lease(s, primary),
            Action::Mint => self.mint(s),
            Action::Fence { node } => self.fence(s, node),
            Action::Promote { node, shrink } => self.promote(s, node, shrink),
            Action::ForcePromote { node } => self.force_promote(s, node),
            Action::WriteBack { node } => self.write_back(s, node),
            Action::Checkpoint { node } => self.checkpoint(s, node),
            Action::Reclaim { node } => self.reclaim(s, node),
            Action::Crash { node } => self.crash(s, node),
            Action::Restart { node } => self.restart(s, node),
            Action::LoseStore { node } => self.lose_store(s, node),
        }
        self.note_opening(before, s);
        if self.bounds.prompt {
            self.answer_promptly(s);
        }
        (after, ())
    }

    fn encode(&self, state: &State, code: &mut Vec<u8>) {
        encode(state, code);
    }

    fn is_fault(&self, action: Action) -> bool {
        matches!(
            action,
            Action::Crash { .. }
                | Action::LoseStore { .. }
                | Action::Drop { .. }
                | Action::DeliverTwin { .. }
                | Action::LoseRequest
                | Action::LeaseRunsOut { .. }
                | Action::Escalate { .. }
                | Action::ForcePromote { .. }
                | Action::Mint
        )
    }

    fn show(&self, state: &State) -> String {
        show::show(self, state)
    }

    fn refusals() -> &'static [&'static str] {
        Refusal::NAMES
    }

    fn refusal_index(refusal: &Refusal) -> usize {
        *refusal as usize
    }

    fn properties() -> Vec<Property<Self>> {
        properties()
    }

    fn instances() -> &'static [Instance] {
        &instances::INSTANCES
    }

    fn at(instance: &str) -> Option<Self> {
        instances::at(instance)
    }

    fn mutants() -> Vec<Mutant<Self>> {
        mutants()
    }
}

impl Cluster {
    /// Whether the instance has a dimension at all. What it does not have is never asked for, so
    /// that it does not drown the refusals that are rules.
    fn offered(&self, action: Action) -> bool {
        let b = &self.bounds;
        match action {
            Action::AnswerWrites { .. } | Action::AnswerFlush { .. } => !b.prompt,
            Action::Read { .. } => b.reads,
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
                b.joins || b.leaves || b.new_mode.is_some()
            }
            Action::LoseRequest => b.lost_requests,
            Action::ForgetRequest { .. } => self.is(Broken::ForgetUnknownOutcome),
            Action::LeaseRunsOut { .. } | Action::RenewLease { .. } => b.leases,
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
        ]);
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
                Action::SwitchBase { primary, replica },
                Action::ProposeJoin { primary, replica },
                Action::ProposeLeave { primary, replica },
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

    /// A volume in service: epoch 1, its epoch-start entry committed on the whole in-sync set,
    /// sessions in sync; nodes outside the set run with empty, recorded stores.
    fn in_service(&self) -> State {
        let isr = self.bounds.isr;
        let mut log = Log::default();
        log.put(1, Entry { epoch: 1, write: 0 });
        let members = Membership {
            isr,
            voters: match self.bounds.mode {
                Mode::SyncQuorum => Members::first(self.bounds.nodes),
                Mode::BestEffort | Mode::SyncAll => isr,
            },
            mode: self.bounds.mode,
        };
        let mut nodes = [Node::default(); NODES];
        for node in 0..self.bounds.nodes {
            let n = &mut nodes[usize::from(node)];
            n.up = true;
            n.whole = true;
            if isr.has(node) {
                *n = Node {
                    log,
                    durable: 1,
                    head: 1,
                    committed: 1,
                    ..*n
                };
                (n.promised, n.sworn, n.session) = (1, 1, u8::from(node != 0));
            }
        }
        let record = Record {
            epoch: 1,
            primary: 0,
            last: 0,
            members,
            stores: [0; NODES],
            reports: [None; NODES],
            request: None,
            news: false,
        };
        let past = Past {
            log,
            committed: 1,
            ..Past::default()
        };
        let wire = [None; WIRE];
        debug_assert!(record.primary != NOBODY, "somebody serves");
        let mut state = State {
            record,
            nodes,
            wire,
            client: Client::default(),
            past,
        };
        let p = state.node_mut(0);
        (p.primary, p.lease, p.view) = (true, true, members);
        p.next_session = if self.bounds.wire > 0 { 2 } else { 1 };
        for replica in isr.iter().filter(|node| *node != 0) {
            *state.peer_mut(0, replica) = Peer {
                phase: Phase::InSync,
                session: 1,
                received: 1,
                durable: 1,
                next: 2,
                ..Peer::default()
            };
        }
        state
    }
}
