//! The specification as the checker sees it: calls, guards, effects, each action in one place.

use super::action::{Action, Refusal};
use super::conjuncts::{self, Granted};
use super::encode::encode;
use super::mutants::mutants;
use super::properties::properties;
use super::state::State;
use super::{Cluster, instances, show, symmetry};
use crate::checking::{Conjunct, Instance, Mutant, Property, Spec};

impl Cluster {
    /// Whether the step is possible, and else by which condition it is not.
    fn granted(&self, s: &State, action: Action) -> Granted {
        match action {
            Action::Write { primary } => self.may_write(s, primary),
            Action::AnswerWrites { primary } => self.may_answer_writes(s, primary),
            Action::AnswerFlush { primary } => self.may_answer_flush(s, primary),
            Action::Read { primary } => self.may_read(s, primary),
            Action::Operate { primary, operation } => self.may_operate(s, primary, operation),
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
            Action::CopyAnew { primary, replica } => self.may_copy_anew(s, primary, replica),
            Action::SwitchBase { primary, replica } => self.may_switch_base(s, primary, replica),
            Action::ProposeJoin { primary, replica } => self.may_propose_join(s, primary, replica),
            Action::ProposeLeave { primary, replica } => {
                self.may_propose_leave(s, primary, replica)
            }
            Action::ProposeMode { primary, mode } => self.may_propose_mode(s, primary, mode),
            Action::ProposeVoter { primary, node } => self.may_propose_voter(s, primary, node),
            Action::Land => self.may_land(s),
            Action::LoseRequest => self.may_lose_request(s),
            Action::ReadRecord { primary } => self.may_read_record(s, primary),
            Action::Withdraw { primary } => self.may_withdraw(s, primary),
            Action::ForgetRequest { primary } => self.may_forget_request(s, primary),
            Action::LeaseRunsOut { primary } => self.may_lease_run_out(s, primary),
            Action::RenewLease { primary } => self.may_renew_lease(s, primary),
            Action::AskLease { primary } => self.may_ask_lease(s, primary),
            Action::GrantLease => self.may_grant_lease(s),
            Action::HearLease { primary } => self.may_hear_lease(s, primary),
            Action::LeaseOver => self.may_lease_be_over(s),
            Action::StopServing { primary } => self.may_stop_serving(s, primary),
            Action::RestartAuthority => self.may_restart_authority(s),
            Action::BackUp => self.may_back_up(s),
            Action::RollBack => self.may_roll_back(s),
            Action::Recover { node } => self.may_recover(s, node),
            Action::ReportCommitted { primary } => self.may_report_committed(s, primary),
            Action::Heartbeat { node } => self.may_heartbeat(s, node),
            Action::Mint => self.may_mint(s),
            Action::MintAgain => self.may_mint_again(s),
            Action::Fence { node } => self.may_fence(s, node),
            Action::Promote { node, shrink } => self.may_promote(s, node, shrink),
            Action::ForcePromote { node } => self.may_force_promote(s, node),
            Action::WriteBack { node } => self.may_write_back(s, node),
            Action::Perform { node } => self.may_perform(s, node),
            Action::Checkpoint { node } => self.may_checkpoint(s, node),
            Action::Reclaim { node } => self.may_reclaim(s, node),
            Action::Crash { node } => self.may_crash(s, node),
            Action::Restart { node } => self.may_restart(s, node),
            Action::LoseStore { node } => self.may_lose_store(s, node),
            Action::LoseTail { node } => self.may_lose_tail(s, node),
        }
    }
}

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
        self.all_calls(s, calls);
    }

    fn guard(&self, s: &State, action: Action) -> Result<(), Refusal> {
        self.granted(s, action)
            .map_err(|objection| objection.refusal)
    }

    fn conjuncts() -> &'static [Conjunct] {
        conjuncts::NAMES
    }

    fn objection(&self, s: &State, action: Action) -> Option<usize> {
        let objection = self.granted(s, action).err()?;
        Some(objection.conjunct? as usize)
    }

    fn without(&self, conjunct: usize) -> Self {
        Self {
            given_up: Some(conjuncts::ALL[conjunct]),
            ..*self
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
            Action::Operate { primary, operation } => self.operate(s, primary, operation),
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
            Action::CopyAnew { primary, replica } => self.copy_anew(s, primary, replica),
            Action::SwitchBase { primary, replica } => self.switch_base(s, primary, replica),
            Action::ProposeJoin { primary, replica } => self.propose_join(s, primary, replica),
            Action::ProposeLeave { primary, replica } => self.propose_leave(s, primary, replica),
            Action::ProposeMode { primary, mode } => self.propose_mode(s, primary, mode),
            Action::ProposeVoter { primary, node } => self.propose_voter(s, primary, node),
            Action::Land => self.land(s),
            Action::LoseRequest => self.lose_request(s),
            Action::ReadRecord { primary } => self.read_record(s, primary),
            Action::Withdraw { primary } => self.withdraw(s, primary),
            Action::ForgetRequest { primary } => self.forget_request(s, primary),
            Action::LeaseRunsOut { primary } => self.lease_runs_out(s, primary),
            Action::RenewLease { primary } => self.renew_lease(s, primary),
            Action::AskLease { primary } => self.ask_lease(s, primary),
            Action::GrantLease => self.grant_lease(s),
            Action::HearLease { primary } => self.hear_lease(s, primary),
            Action::LeaseOver => self.lease_be_over(s),
            Action::StopServing { primary } => self.stop_serving(s, primary),
            Action::RestartAuthority => self.restart_authority(s),
            Action::BackUp => self.back_up(s),
            Action::RollBack => self.roll_back(s),
            Action::Recover { node } => self.recover(s, node),
            Action::ReportCommitted { primary } => self.report_committed(s, primary),
            Action::Heartbeat { node } => self.heartbeat(s, node),
            Action::Mint | Action::MintAgain => self.mint(s),
            Action::Fence { node } => self.fence(s, node),
            Action::Promote { node, shrink } => self.promote(s, node, shrink),
            Action::ForcePromote { node } => self.force_promote(s, node),
            Action::WriteBack { node } => self.write_back(s, node),
            Action::Perform { node } => self.perform(s, node),
            Action::Checkpoint { node } => self.checkpoint(s, node),
            Action::Reclaim { node } => self.reclaim(s, node),
            Action::Crash { node } => self.crash(s, node),
            Action::Restart { node } => self.restart(s, node),
            Action::LoseStore { node } => self.lose_store(s, node),
            Action::LoseTail { node } => self.lose_tail(s, node),
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
                | Action::LoseTail { .. }
                | Action::RestartAuthority
                | Action::StopServing { .. }
                | Action::RollBack
                | Action::Recover { .. }
                | Action::Heartbeat { .. }
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

    fn symmetries(&self) -> usize {
        usize::from(self.has_twins())
    }

    fn renamed(&self, state: &State, _symmetry: usize) -> State {
        symmetry::exchanged(state)
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
