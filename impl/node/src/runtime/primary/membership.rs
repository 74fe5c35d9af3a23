//! Joining and leaving the in-sync set: proposed by the primary alone, in flight under both rules
//! until the outcome is known.
//!
//! Rule: `docs/protocol.md`, section 2, "who must acknowledge".

use std::sync::Arc;
use std::time::Duration;

use holdfast_types::{DurabilityMode, Epoch, FencingToken, Lsn, ReplicaId, StoreId, VolumeRecord};
use tokio::time::{Instant, timeout_at};

use super::super::control::{Problem, ProblemKind};
use super::Primary;
use crate::authority::{AuthorityError, RecordVersion};
use crate::commit::CommitLedger;

/// How soon to ask the authority again when it did not answer.
const RETRY: Duration = Duration::from_millis(200);

/// How long a change may wait for what must hold before it is proposed.
const CONDITION_WAIT: Duration = Duration::from_secs(10);

/// Why a member is to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// It has had no session for `leave_after`: only as far as the volume goes on without it.
    Absent,
    /// Its store will be lowered: in any case (F57).
    MustRebuild,
}

/// What the ledger says about a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Yes,
    NotYet,
    /// Nothing that is still to come will show it.
    Never,
}

impl Shown {
    const fn when(shown: bool) -> Self {
        if shown { Self::Yes } else { Self::NotYet }
    }
}

/// Whether the volume goes on without `gone` in the in-sync set.
pub(super) fn may_leave(record: &VolumeRecord, gone: &ReplicaId) -> bool {
    let mut left = record.clone();
    left.isr.remove(gone);
    goes_on(&left)
}

/// Whether enough copies are in sync for anything to be acknowledged.
pub(super) fn goes_on(record: &VolumeRecord) -> bool {
    match record.mode {
        DurabilityMode::BestEffort => true,
        DurabilityMode::SyncAll => record.isr.len() >= record.min_in_sync,
        DurabilityMode::SyncQuorum => {
            let voters = record.voters.intersection(&record.isr);
            voters.count() > record.voters.len() / 2
        }
    }
}

/// Whether a record says what was proposed of who must acknowledge.
fn carries(record: &VolumeRecord, proposal: &VolumeRecord) -> bool {
    let rule = |record: &VolumeRecord| (record.mode, record.min_in_sync, record.write_ack);
    record.isr == proposal.isr
        && record.voters == proposal.voters
        && record.members.keys().eq(proposal.members.keys())
        && record.blocks == proposal.blocks
        && rule(record) == rule(proposal)
}

/// The record with `replica` in the in-sync set under the store that was proven.
fn joined(record: &VolumeRecord, replica: &ReplicaId, store: StoreId) -> VolumeRecord {
    let mut next = record.clone();
    next.isr.insert(replica.clone());
    if let Some(member) = next.members.get_mut(replica) {
        member.store = store;
    }
    // After a forced promotion the others become voters again as they join.
    if record.mode == DurabilityMode::SyncQuorum {
        next.voters.insert(replica.clone());
    }
    next
}

impl Primary {
    /// Takes a replica that is in sync into the in-sync set. `false` when that did not come about;
    /// the caller tries again while the session lasts.
    pub(super) async fn join(self: &Arc<Self>, token: &FencingToken, store: StoreId) -> bool {
        let _turn = self.membership.lock().await;
        // What an order took out of the set meanwhile is not the present session any more.
        if !self.services.recovery.is_current(token) {
            return false;
        }
        let record = self.record();
        let replica = &token.replica;
        let recorded = record.members.get(replica).map(|member| member.store);
        if record.isr.contains(replica) || recorded.is_none() {
            return true;
        }
        let proposal = joined(&record, replica, store);
        // First its acknowledgements are required, then it is proven durable up to the head of that
        // moment, then the authority is asked (F56, M31).
        self.ledger().propose(&proposal);
        let head = self.store.positions().head;
        self.want_durable(head);
        let proven = self.holds(|ledger| {
            if !ledger.counts_session(replica, token.session) {
                return Shown::Never;
            }
            let durable = ledger.acknowledged_by(replica).map(|ack| ack.durable);
            Shown::when(durable >= Some(head) && ledger.proposal_is_met())
        });
        let proven = proven.await && self.services.recovery.is_current(token);
        self.conclude(&record, proposal, proven).await
    }

    /// Takes a replica out of the in-sync set, if that may be.
    pub(super) async fn leave(self: &Arc<Self>, replica: &ReplicaId, why: Leaving) -> bool {
        let _turn = self.membership.lock().await;
        self.leave_in_turn(replica, why).await
    }

    /// The same for whoever has the turn to change the set.
    pub(super) async fn leave_in_turn(&self, replica: &ReplicaId, why: Leaving) -> bool {
        let record = self.record();
        if !record.isr.contains(replica) {
            return true;
        }
        match why {
            Leaving::Absent if !may_leave(&record, replica) => {
                tracing::warn!(volume = %self.volume, %replica, min_in_sync = record.min_in_sync,
                    "a member is missing and cannot be left out; `holdfast promote --forced` or a \
                     lower min_in_sync would let the volume go on");
                return false;
            }
            Leaving::Absent | Leaving::MustRebuild => {}
        }
        let mut proposal = record.clone();
        proposal.isr.remove(replica);
        self.ledger().propose(&proposal);
        self.want_durable(self.store.positions().head);
        let met = self
            .holds(|ledger| Shown::when(ledger.proposal_is_met()))
            .await;
        self.conclude(&record, proposal, met).await
    }

    /// Proposes a change of the record that an operator asks for.
    ///
    /// # Errors
    /// What `change` says; or that what was acknowledged does not meet the new rule, or the authority
    /// refused.
    pub(crate) async fn change(
        self: &Arc<Self>,
        change: impl FnOnce(&VolumeRecord) -> Result<VolumeRecord, Problem>,
    ) -> Result<(), Problem> {
        let _turn = self.membership.lock().await;
        self.change_in_turn(change).await
    }

    /// The same for whoever has the turn to change the set.
    pub(super) async fn change_in_turn(
        &self,
        change: impl FnOnce(&VolumeRecord) -> Result<VolumeRecord, Problem>,
    ) -> Result<(), Problem> {
        let record = self.record();
        let proposal = change(&record)?;
        if proposal == record {
            return Ok(());
        }
        self.ledger().propose(&proposal);
        self.want_durable(self.store.positions().head);
        let met = self
            .holds(|ledger| Shown::when(ledger.proposal_is_met()))
            .await;
        if self.conclude(&record, proposal, met).await {
            return Ok(());
        }
        let what = if met {
            "the record moved on meanwhile: look at it, and try again"
        } else {
            "what was acknowledged so far is not on enough copies for this change (F99); \
             `holdfast status` shows which are missing"
        };
        Err(Problem::new(ProblemKind::Refused, what))
    }

    /// Waits until a replica that has left the set is not needed any more: everything promised up to
    /// now is durable on enough other copies. `false` when that is not so in time.
    pub(super) async fn is_not_needed(&self, replica: &ReplicaId) -> bool {
        let Some(promised) = self.ledger().promised() else {
            return false;
        };
        self.want_durable(promised.written);
        self.holds(|ledger| Shown::when(ledger.is_safe_without(replica, promised)))
            .await
    }

    /// Waits for something that the ledger must show.
    async fn holds(&self, shown: impl Fn(&CommitLedger) -> Shown) -> bool {
        let mut moved = self.ledger_moved.subscribe();
        let deadline = Instant::now() + CONDITION_WAIT;
        loop {
            moved.borrow_and_update();
            let now = shown(&self.ledger());
            match now {
                Shown::Yes => return true,
                Shown::Never => return false,
                Shown::NotYet => {}
            }
            if !matches!(timeout_at(deadline, moved.changed()).await, Ok(Ok(()))) {
                return false;
            }
        }
    }

    /// Sends the proposal, or gives it up unsent; `true` when it is in the record.
    async fn conclude(&self, base: &VolumeRecord, proposal: VolumeRecord, ready: bool) -> bool {
        if !ready {
            self.update(CommitLedger::retract_unsent);
            return false;
        }
        let mut proposal = proposal;
        proposal.committed_seen = self.committed_seen(base);
        self.settle_change(RecordVersion::of(base), proposal).await
    }

    /// What was committed, for the record: never less than it says already.
    fn committed_seen(&self, record: &VolumeRecord) -> (Epoch, Lsn) {
        let committed = self.progress().committed;
        let epoch = self.store.volume().lineage().epoch_at(committed);
        let seen = (epoch.unwrap_or(Epoch(0)), committed);
        seen.max(record.committed_seen)
    }

    /// Proposes until the outcome is known. The same proposal can land only once, and any higher
    /// revision tells that it cannot land any more (F97).
    async fn settle_change(&self, expected: RecordVersion, proposal: VolumeRecord) -> bool {
        let authority = &self.services.authority;
        let mut may_have_landed = false;
        loop {
            match authority.compare_and_set(expected, proposal.clone()).await {
                Ok(recorded) => {
                    self.adopt(&recorded.record);
                    return true;
                }
                Err(AuthorityError::Conflict { .. }) => {
                    if let Ok(present) = authority.read(self.volume).await
                        && RecordVersion::of(&present.record) > expected
                    {
                        self.adopt(&present.record);
                        return carries(&present.record, &proposal);
                    }
                }
                Err(error) if error.is_outcome_unknown() => {
                    may_have_landed = true;
                    tracing::warn!(volume = %self.volume, %error,
                        "the outcome of an in-sync change is unknown; both rules hold");
                }
                // An earlier request may still land: only a higher revision settles that.
                Err(error) if may_have_landed => {
                    tracing::warn!(volume = %self.volume, %error,
                        "an in-sync change was refused, but may have landed before; both rules hold");
                }
                Err(error) => {
                    tracing::error!(volume = %self.volume, %error, "an in-sync change was refused");
                    self.update(CommitLedger::retract_unsent);
                    return false;
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}
