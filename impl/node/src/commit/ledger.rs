//! What every copy has acknowledged to this primary, and what follows from it.
//!
//! ```text
//!   committed <= written <= head        (written: writes that may be acknowledged)
//! ```
//!
//! In flight under both rules: while the outcome of a proposed change of the record is unknown,
//! the old requirement and every proposed one must be met, until a record with a higher revision
//! was read (F97, M33). What was acknowledged before is judged apart, at the moment of the proposal
//! ([`CommitLedger::promised`], `change`): what is acknowledged later meets both rules anyway, so a
//! change need not chase clients that go on writing.

use std::collections::BTreeMap;

use holdfast_types::{Lsn, ReplicaId, Revision, SessionId, VolumeRecord};

use super::change::{Change, Promised};
use super::requirement::{Acknowledged, Requirement};

/// What may be told to clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Writes up to here may be acknowledged and read.
    pub written: Lsn,
    /// Flushes up to here may be acknowledged.
    pub committed: Lsn,
}

/// A change of the record whose outcome is unknown.
#[derive(Clone, Debug)]
struct Proposal {
    /// `None`: nothing can be acknowledged under it.
    requirement: Option<Requirement>,
    /// What clients had been told when it was made.
    promised: Option<Promised>,
}

/// The acknowledgements of one epoch at its primary.
#[derive(Clone, Debug)]
pub struct CommitLedger {
    primary: ReplicaId,
    epoch_start: Option<Lsn>,
    revision: Revision,
    in_force: Option<Requirement>,
    proposed: Vec<Proposal>,
    sessions: BTreeMap<ReplicaId, SessionId>,
    acks: BTreeMap<ReplicaId, Acknowledged>,
    progress: Progress,
}

impl CommitLedger {
    /// A ledger for the primary `primary` of the record's epoch. Nothing is acknowledged before
    /// [`CommitLedger::epoch_started`].
    ///
    /// `committed` is what this node already knows to be committed from before.
    #[must_use]
    pub fn new(record: &VolumeRecord, primary: ReplicaId, committed: Lsn) -> Self {
        Self {
            in_force: Requirement::of(record).filter(|_| record.primary.as_ref() == Some(&primary)),
            revision: record.revision,
            primary,
            epoch_start: None,
            proposed: Vec::new(),
            sessions: BTreeMap::new(),
            acks: BTreeMap::new(),
            progress: Progress {
                written: committed,
                committed,
            },
        }
    }

    /// What may be told to clients now.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// The first entry of this epoch was logged at `lsn`: only from here on does counting commit.
    pub fn epoch_started(&mut self, lsn: Lsn) -> Progress {
        self.epoch_start.get_or_insert(lsn);
        self.advance()
    }

    /// The primary's own log stands here.
    pub fn local(&mut self, head: Lsn, durable: Lsn) -> Progress {
        let own = self.acks.entry(self.primary.clone()).or_default();
        own.received = own.received.max(head);
        own.durable = own.durable.max(durable.min(own.received));
        self.advance()
    }

    /// A session of `replica` has begun to stream: its acknowledgements count from now, and only
    /// those; nothing is taken from the handshake (M15).
    pub fn session_began(&mut self, replica: ReplicaId, session: SessionId) {
        self.acks.remove(&replica);
        self.sessions.insert(replica, session);
    }

    /// The session is over, and with it what it acknowledged (T7). Another session is not touched.
    pub fn session_ended(&mut self, replica: &ReplicaId, session: SessionId) {
        if self.sessions.get(replica) == Some(&session) {
            self.sessions.remove(replica);
            self.acks.remove(replica);
        }
    }

    /// `replica` acknowledged in `session`. An acknowledgement of another session, or of entries
    /// that this primary has not logged, changes nothing (M04, M13).
    pub fn acknowledged(
        &mut self,
        replica: &ReplicaId,
        session: SessionId,
        received: Lsn,
        durable: Lsn,
    ) -> Progress {
        let head = self.own().received;
        let credible = received <= head && durable <= received;
        if credible && self.sessions.get(replica) == Some(&session) {
            let ack = self.acks.entry(replica.clone()).or_default();
            ack.received = ack.received.max(received);
            ack.durable = ack.durable.max(durable);
        }
        self.advance()
    }

    /// What `replica` acknowledged in its present session.
    #[must_use]
    pub fn acknowledged_by(&self, replica: &ReplicaId) -> Option<Acknowledged> {
        self.acks.get(replica).copied()
    }

    /// A change of the record is about to be proposed: from now on it must be met as well.
    pub fn propose(&mut self, record: &VolumeRecord) {
        self.proposed.push(Proposal {
            requirement: Requirement::of(record),
            promised: self.promised(),
        });
    }

    /// What clients were told so far. Until the epoch-start entry is committed, nobody knows what of
    /// the adopted log was acknowledged in earlier epochs, so all of it counts, as written and as
    /// flushed (decision 040). `None` before the epoch was started: then nothing is known.
    #[must_use]
    pub fn promised(&self) -> Option<Promised> {
        let start = self.epoch_start?;
        let Progress { written, committed } = self.progress;
        let is_adopted = committed < start;
        let adopted = if is_adopted {
            Lsn(start.0.saturating_sub(1))
        } else {
            Lsn::ZERO
        };
        Some(Promised {
            written: written.max(adopted),
            flushed: committed.max(adopted),
            is_adopted,
        })
    }

    /// Gives up the last proposal. Only for one that was never sent to the authority: once it was,
    /// only a higher revision settles it.
    pub fn retract_unsent(&mut self) -> Progress {
        self.proposed.pop();
        self.advance()
    }

    /// The members of the in-sync set that have not proven `lsn` durable: who is waited for.
    #[must_use]
    pub fn waited_for(&self, lsn: Lsn) -> Vec<ReplicaId> {
        let Some(in_force) = &self.in_force else {
            return Vec::new();
        };
        let behind = |member: &&ReplicaId| {
            self.acks
                .get(*member)
                .is_none_or(|acknowledged| acknowledged.durable < lsn)
        };
        in_force.members().filter(behind).cloned().collect()
    }

    /// Whether a proposal is in flight.
    #[must_use]
    pub fn has_proposal(&self) -> bool {
        !self.proposed.is_empty()
    }

    /// A record was read. Only a higher revision settles what is in flight; an older or equal one
    /// changes nothing. A record that names another primary leaves nothing to acknowledge.
    pub fn adopt(&mut self, record: &VolumeRecord) -> Progress {
        if record.revision > self.revision {
            self.revision = record.revision;
            self.proposed.clear();
            self.in_force =
                Requirement::of(record).filter(|_| record.primary.as_ref() == Some(&self.primary));
        }
        self.advance()
    }

    /// Whether everything that had been acknowledged when the last proposal was made meets its rule,
    /// so that it may be sent.
    #[must_use]
    pub fn proposal_is_met(&self) -> bool {
        let Some(proposal) = self.proposed.last() else {
            return false;
        };
        let (Some(from), Some(to), Some(promised)) =
            (&self.in_force, &proposal.requirement, proposal.promised)
        else {
            return false;
        };
        let acks = &self.acks;
        Change { from, to, acks }.is_met(promised)
    }

    /// Whether everything promised is durable on enough copies without `replica`, so that a trusted
    /// copy there may be overwritten. The promise is taken once `replica` has left the set: what is
    /// acknowledged later never relied on it.
    #[must_use]
    pub fn is_safe_without(&self, replica: &ReplicaId, promised: Promised) -> bool {
        self.in_force.as_ref().is_some_and(|in_force| {
            in_force.is_durable_without(replica, promised.written, &self.acks)
        })
    }

    /// Whether `session` is the one of `replica` that counts at present.
    #[must_use]
    pub fn counts_session(&self, replica: &ReplicaId, session: SessionId) -> bool {
        self.sessions.get(replica) == Some(&session)
    }

    fn own(&self) -> Acknowledged {
        self.acks.get(&self.primary).copied().unwrap_or_default()
    }

    fn advance(&mut self) -> Progress {
        let Some(epoch_start) = self.epoch_start else {
            return self.progress;
        };
        let Some(in_force) = &self.in_force else {
            return self.progress;
        };
        let head = self.own().received;
        let acks = &self.acks;
        let proposed = |position: &dyn Fn(&Requirement) -> Option<Lsn>, least: Lsn| {
            self.proposed.iter().try_fold(least, |least, proposal| {
                Some(least.min(position(proposal.requirement.as_ref()?)?))
            })
        };
        let written = in_force
            .write_position(acks)
            .and_then(|lsn| proposed(&|rule| rule.write_position_in_flight(acks), lsn.min(head)));
        let committed = in_force
            .flush_position(acks)
            .and_then(|lsn| proposed(&|rule| rule.flush_position(acks), lsn.min(head)));
        // Entries of older epochs are never counted by themselves: only with an entry of this
        // epoch on top of them does anything move (M07).
        let of_this_epoch = |lsn: &Lsn| *lsn >= epoch_start;
        if let Some(lsn) = committed.filter(of_this_epoch) {
            self.progress.committed = self.progress.committed.max(lsn);
        }
        if let Some(lsn) = written.filter(of_this_epoch) {
            self.progress.written = self.progress.written.max(lsn);
        }
        self.progress.written = self.progress.written.max(self.progress.committed);
        self.progress
    }
}

#[cfg(test)]
mod tests;
