//! Calls of the authority: assign (reconcile), fence, stop.
//!
//! An assignment is looked at whole before anything is touched (F67); repeating it has no effect at
//! all (C5, F76); it can only ever raise `(epoch, revision)` (F81, F86).

use std::collections::BTreeMap;

use holdfast_types::{Epoch, FencingToken, ReplicaId, Revision, SessionId, VolumeId};

use super::Registry;
use crate::{
    Assignment, AuthorityCause, Budgets, Effects, EndCause, Happening, Intent, RebuildReason,
    Refusal, ReplicaAssignment, Sender, SenderState, SessionKind, Tick, Volume,
};

/// What came of an accepted assignment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AssignOutcome {
    /// It is the one in force; nothing was done.
    Unchanged,
    /// It is in force now. What came of each intent other than none, by replica.
    Applied(BTreeMap<ReplicaId, IntentOutcome>),
}

/// What came of one intent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IntentOutcome {
    /// A session was attached.
    Attached(FencingToken),
    /// A session that serves the intent was there already.
    SessionPresent {
        /// Its id.
        session: SessionId,
    },
    /// Only a rebuild helps; nothing was attached.
    RebuildRequired {
        /// Why.
        reason: RebuildReason,
    },
}

impl Registry {
    /// Brings a volume under an assignment: reconciles its senders with the replicas that are
    /// named, and follows the intents (`docs/session.md`, section 4).
    ///
    /// # Errors
    /// `stale_assignment`, `conflicting_assignment`, `endpoint_regressed`, `rebuild_of_member`;
    /// nothing has changed then.
    pub fn assign(
        &mut self,
        now: Tick,
        assignment: Assignment,
        out: &mut Effects,
    ) -> Result<AssignOutcome, Refusal> {
        let known = self.volumes.get(&assignment.volume());
        if let Some(volume) = known {
            let current = (volume.epoch, volume.revision);
            let offered = (assignment.epoch(), assignment.revision());
            if offered < current {
                return Err(Refusal::StaleAssignment { current });
            }
            if offered == current {
                return if assignment == volume.assignment {
                    Ok(AssignOutcome::Unchanged)
                } else {
                    Err(Refusal::ConflictingAssignment)
                };
            }
        }
        for (replica, assigned) in assignment.replicas() {
            let present = known.and_then(|volume| volume.sender(replica));
            check_replica(present, assigned)?;
        }

        let volume = self
            .volumes
            .entry(assignment.volume())
            .or_insert_with(|| Volume::new(assignment.clone()));
        take_epoch(volume, &self.budgets, assignment.epoch(), out);
        remove_unnamed(volume, &self.budgets, &assignment, out);
        place_named(volume, &self.budgets, &assignment, out);
        volume.revision = assignment.revision();
        volume.assignment = assignment;
        volume.serving = true;
        volume.event(
            Happening::Assigned {
                revision: volume.revision,
            },
            out,
        );
        let outcomes = follow_intents(volume, &self.budgets, now, out);
        Ok(AssignOutcome::Applied(outcomes))
    }

    /// A higher epoch was seen: this node is not the primary any more. Senders stay.
    ///
    /// # Errors
    /// `unknown_volume`; `stale_epoch` unless the epoch is above the volume's.
    pub fn fence(
        &mut self,
        volume: VolumeId,
        epoch: Epoch,
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        let volume = self
            .volumes
            .get_mut(&volume)
            .ok_or(Refusal::UnknownVolume)?;
        if epoch <= volume.epoch {
            return Err(Refusal::StaleEpoch {
                current: volume.epoch,
            });
        }
        take_epoch(volume, &self.budgets, epoch, out);
        volume.revision = Revision(0);
        volume.serving = false;
        volume.event(Happening::Fenced, out);
        Ok(())
    }

    /// The node gives its role up (drain, lost lease, shutdown). Only a newer assignment makes the
    /// volume serve again.
    ///
    /// # Errors
    /// `unknown_volume`; `stale_epoch` unless the epoch is the volume's; `not_serving`.
    pub fn stop(
        &mut self,
        volume: VolumeId,
        epoch: Epoch,
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        let volume = self
            .volumes
            .get_mut(&volume)
            .ok_or(Refusal::UnknownVolume)?;
        if epoch != volume.epoch {
            return Err(Refusal::StaleEpoch {
                current: volume.epoch,
            });
        }
        if !volume.serving {
            return Err(Refusal::NotServing);
        }
        let cause = EndCause::Authority(AuthorityCause::Stopped);
        volume.end_all(&self.budgets, cause, out);
        volume.serving = false;
        volume.event(Happening::Stopped, out);
        Ok(())
    }
}

/// The guards that concern one replica of an assignment.
fn check_replica(present: Option<&Sender>, assigned: &ReplicaAssignment) -> Result<(), Refusal> {
    if let Some(sender) = present {
        let known = sender.endpoint();
        let offered = assigned.endpoint;
        if offered.version < known.version || (offered.version == known.version && offered != known)
        {
            return Err(Refusal::EndpointRegressed);
        }
    }
    match assigned.intent {
        Intent::Rebuild if assigned.member => Err(Refusal::RebuildOfMember),
        Intent::Rebuild | Intent::Recover(_) | Intent::None => Ok(()),
    }
}

/// A newer epoch ends every session, and what was acknowledged in the older one counts no more.
fn take_epoch(volume: &mut Volume, budgets: &Budgets, epoch: Epoch, out: &mut Effects) {
    if epoch > volume.epoch {
        let cause = EndCause::Authority(AuthorityCause::EpochChanged);
        volume.end_all(budgets, cause, out);
        volume.forget_acknowledged();
        volume.epoch = epoch;
    }
}

/// Senders that the assignment does not name are gone, their sessions before them.
fn remove_unnamed(
    volume: &mut Volume,
    budgets: &Budgets,
    assignment: &Assignment,
    out: &mut Effects,
) {
    let unnamed: Vec<ReplicaId> = volume
        .senders
        .keys()
        .filter(|replica| !assignment.replicas().contains_key(*replica))
        .cloned()
        .collect();
    for replica in unnamed {
        if let Some(mut sender) = volume.senders.remove(&replica) {
            let cause = EndCause::Authority(AuthorityCause::Removed);
            sender.end_session(volume.id, &replica, budgets, cause, out);
            volume.sender_event(&replica, Happening::SenderRemoved, out);
        }
    }
}

/// Every replica that the assignment names has a sender, where the assignment says it is.
fn place_named(volume: &mut Volume, budgets: &Budgets, assignment: &Assignment, out: &mut Effects) {
    for (replica, assigned) in assignment.replicas() {
        let known = volume.senders.contains_key(replica);
        let sender = volume
            .senders
            .entry(replica.clone())
            .or_insert_with(|| Sender::new(assigned.endpoint));
        let before = sender.endpoint().version;
        let was_member = sender.is_member();
        if assigned.endpoint.version > before {
            let cause = EndCause::Authority(AuthorityCause::EndpointChanged);
            sender.end_session(volume.id, replica, budgets, cause, out);
            sender.move_to(assigned.endpoint);
        }
        sender.set_member(assigned.member);
        if !known {
            volume.sender_event(replica, Happening::SenderCreated, out);
        }
        if assigned.endpoint.version > before {
            let to = assigned.endpoint.version;
            volume.sender_event(
                replica,
                Happening::EndpointChanged { from: before, to },
                out,
            );
        }
        if assigned.member != was_member {
            let member = assigned.member;
            volume.sender_event(replica, Happening::MembershipChanged { member }, out);
        }
    }
}

/// Follows the intents of the assignment in force, in order of replica id.
fn follow_intents(
    volume: &mut Volume,
    budgets: &Budgets,
    now: Tick,
    out: &mut Effects,
) -> BTreeMap<ReplicaId, IntentOutcome> {
    let intents: Vec<(ReplicaId, Intent)> = volume
        .assignment
        .replicas()
        .iter()
        .map(|(replica, assigned)| (replica.clone(), assigned.intent))
        .collect();
    let mut outcomes = BTreeMap::new();
    for (replica, intent) in intents {
        let outcome = match intent {
            Intent::None => None,
            Intent::Recover(kind) => recover(volume, &replica, kind.into(), now, out),
            Intent::Rebuild => rebuild(volume, budgets, &replica, now, out),
        };
        if let Some(outcome) = outcome {
            outcomes.insert(replica, outcome);
        }
    }
    outcomes
}

fn recover(
    volume: &mut Volume,
    replica: &ReplicaId,
    kind: SessionKind,
    now: Tick,
    out: &mut Effects,
) -> Option<IntentOutcome> {
    let sender = volume.sender(replica)?;
    if let Some(session) = sender.session() {
        return Some(IntentOutcome::SessionPresent {
            session: session.id(),
        });
    }
    if let Some(reason) = sender.reason() {
        volume.sender_event(replica, Happening::RebuildRequired { reason }, out);
        return Some(IntentOutcome::RebuildRequired { reason });
    }
    volume
        .attach(replica, kind, now, out)
        .map(IntentOutcome::Attached)
}

fn rebuild(
    volume: &mut Volume,
    budgets: &Budgets,
    replica: &ReplicaId,
    now: Tick,
    out: &mut Effects,
) -> Option<IntentOutcome> {
    let id = volume.id;
    let sender = volume.senders.get_mut(replica)?;
    if sender.state() == SenderState::Rebuilding
        && let Some(session) = sender.session()
    {
        return Some(IntentOutcome::SessionPresent {
            session: session.id(),
        });
    }
    let cause = EndCause::Authority(AuthorityCause::Superseded);
    sender.end_session(id, replica, budgets, cause, out);
    volume
        .attach(replica, SessionKind::Rebuild, now, out)
        .map(IntentOutcome::Attached)
}
