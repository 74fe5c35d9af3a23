//! Status: a snapshot of plain values, made from a shared reference. There is no lock in here to
//! be taken twice, and a snapshot never leads back to the state that it was made from (F77).

use std::fmt;

use holdfast_types::{Endpoint, Epoch, Lsn, ReplicaId, Revision, SessionId, VolumeId};

use crate::{RebuildReason, Registry, Sender, SenderState, Session, Volume};

/// Every volume of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryStatus {
    /// By id.
    pub volumes: Vec<VolumeStatus>,
    /// Over all volumes.
    pub counts: StateCounts,
}

/// One volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeStatus {
    /// Which.
    pub volume: VolumeId,
    /// The highest epoch seen.
    pub epoch: Epoch,
    /// The revision in force; 0 after a fence.
    pub revision: Revision,
    /// Whether an assignment is in force.
    pub serving: bool,
    /// The id that the next session will have.
    pub next_session: SessionId,
    /// By replica id.
    pub senders: Vec<SenderStatus>,
    /// Over its senders.
    pub counts: StateCounts,
}

/// One sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderStatus {
    /// The replica.
    pub replica: ReplicaId,
    /// Where it is.
    pub endpoint: Endpoint,
    /// Whether the record names it in the in-sync set.
    pub member: bool,
    /// Its state.
    pub state: SenderState,
    /// Why a rebuild is needed, in `needs_rebuild` and `rebuilding`.
    pub reason: Option<RebuildReason>,
    /// What it acknowledged.
    pub acknowledged: Option<Lsn>,
    /// The present session: a copy, with its phase, positions and pins.
    pub session: Option<Session>,
}

/// How many senders are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateCounts {
    by_state: [usize; SenderState::ALL.len()],
}

impl StateCounts {
    /// The number in one state.
    #[must_use]
    pub fn of(&self, state: SenderState) -> usize {
        self.by_state[state as usize]
    }

    /// The number of senders.
    #[must_use]
    pub fn total(&self) -> usize {
        self.by_state.iter().sum()
    }

    /// Senders whose session is on its way to in_sync without a rebuild.
    #[must_use]
    pub fn recovering(&self) -> usize {
        self.of(SenderState::Connecting) + self.of(SenderState::CatchingUp)
    }

    fn count(&mut self, state: SenderState) {
        self.by_state[state as usize] += 1;
    }

    fn add(&mut self, other: &Self) {
        for (sum, more) in self.by_state.iter_mut().zip(other.by_state) {
            *sum += more;
        }
    }
}

impl fmt::Display for StateCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for &state in SenderState::ALL {
            write!(f, "{separator}{state} {}", self.of(state))?;
            separator = ", ";
        }
        Ok(())
    }
}

impl Registry {
    /// A snapshot of everything.
    #[must_use]
    pub fn status(&self) -> RegistryStatus {
        let volumes: Vec<VolumeStatus> = self.volumes().values().map(Volume::status).collect();
        let mut counts = StateCounts::default();
        for volume in &volumes {
            counts.add(&volume.counts);
        }
        RegistryStatus { volumes, counts }
    }
}

impl Volume {
    /// A snapshot of one volume.
    #[must_use]
    pub fn status(&self) -> VolumeStatus {
        let senders: Vec<SenderStatus> = self
            .senders()
            .iter()
            .map(|(replica, sender)| sender.status(replica))
            .collect();
        let mut counts = StateCounts::default();
        for sender in &senders {
            counts.count(sender.state);
        }
        VolumeStatus {
            volume: self.id,
            epoch: self.epoch(),
            revision: self.revision(),
            serving: self.is_serving(),
            next_session: self.next_session(),
            senders,
            counts,
        }
    }
}

impl Sender {
    /// A snapshot of one sender.
    #[must_use]
    pub fn status(&self, replica: &ReplicaId) -> SenderStatus {
        SenderStatus {
            replica: replica.clone(),
            endpoint: self.endpoint(),
            member: self.is_member(),
            state: self.state(),
            reason: self.reason(),
            acknowledged: self.acknowledged(),
            session: self.session().cloned(),
        }
    }
}
