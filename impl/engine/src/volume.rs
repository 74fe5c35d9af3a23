//! The senders of one volume, under one authority.

use std::collections::BTreeMap;

use holdfast_types::{Epoch, FencingToken, ReplicaId, Revision, SessionId, VolumeId};

use crate::session::Session;
use crate::session::phase::Purpose;
use crate::{
    Assignment, Budgets, Effect, Effects, EndCause, Event, Happening, RebuildReason, Sender,
    SessionKind, Tick,
};

/// One volume of a primary node. Created by its first accepted assignment and never forgotten: its
/// epoch is a fence, and session ids are never used twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Volume {
    pub(crate) id: VolumeId,
    pub(crate) epoch: Epoch,
    pub(crate) revision: Revision,
    pub(crate) serving: bool,
    pub(crate) assignment: Assignment,
    pub(crate) next_session: SessionId,
    pub(crate) senders: BTreeMap<ReplicaId, Sender>,
}

impl Volume {
    pub(crate) fn new(assignment: Assignment) -> Self {
        Self {
            id: assignment.volume(),
            epoch: assignment.epoch(),
            revision: assignment.revision(),
            serving: true,
            assignment,
            next_session: SessionId(1),
            senders: BTreeMap::new(),
        }
    }

    /// The highest epoch seen; never goes back (F81).
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The revision of the assignment in force; 0 when the epoch was learned from a fence.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// Whether an assignment of this epoch is in force and was not stopped.
    #[must_use]
    pub const fn is_serving(&self) -> bool {
        self.serving
    }

    /// The assignment last accepted.
    #[must_use]
    pub const fn assignment(&self) -> &Assignment {
        &self.assignment
    }

    /// The id that the next session will have.
    #[must_use]
    pub const fn next_session(&self) -> SessionId {
        self.next_session
    }

    /// The senders.
    #[must_use]
    pub const fn senders(&self) -> &BTreeMap<ReplicaId, Sender> {
        &self.senders
    }

    /// The sender of one replica.
    #[must_use]
    pub fn sender(&self, replica: &ReplicaId) -> Option<&Sender> {
        self.senders.get(replica)
    }

    /// The authority of a replica's present session.
    #[must_use]
    pub fn token(&self, replica: &ReplicaId) -> Option<FencingToken> {
        self.sender(replica)?.token(self.id, replica)
    }

    /// Attaches a session to a sender that has none. A rebuild is for the reason that the sender
    /// has, else because it was ordered.
    pub(crate) fn attach(
        &mut self,
        replica: &ReplicaId,
        kind: SessionKind,
        now: Tick,
        out: &mut Effects,
    ) -> Option<FencingToken> {
        let sender = self.senders.get_mut(replica)?;
        let purpose = match kind {
            SessionKind::Bootstrap => Purpose::Recover(crate::RecoverKind::Bootstrap),
            SessionKind::CatchUp => Purpose::Recover(crate::RecoverKind::CatchUp),
            SessionKind::Reassign => Purpose::Recover(crate::RecoverKind::Reassign),
            SessionKind::Rebuild => {
                Purpose::Rebuild(sender.reason().unwrap_or(RebuildReason::Ordered))
            }
        };
        let session = Session::new(
            self.next_session,
            self.epoch,
            sender.endpoint().version,
            purpose,
            now,
        );
        let reason = session.phase().rebuild_reason();
        self.next_session = SessionId(self.next_session.0 + 1);
        sender.begin(session);
        let token = sender.token(self.id, replica)?;
        out.push(Effect::Event(Event {
            volume: self.id,
            epoch: self.epoch,
            replica: Some(replica.clone()),
            session: Some(token.session),
            what: Happening::SessionAttached { kind, reason },
        }));
        Some(token)
    }

    /// Ends every session of the volume.
    pub(crate) fn end_all(&mut self, budgets: &Budgets, cause: EndCause, out: &mut Effects) {
        for (replica, sender) in &mut self.senders {
            sender.end_session(self.id, replica, budgets, cause, out);
        }
    }

    /// What was acknowledged in another epoch proves nothing in this one.
    pub(crate) fn forget_acknowledged(&mut self) {
        for sender in self.senders.values_mut() {
            sender.forget_acknowledged();
        }
    }

    /// An event of the volume as a whole.
    pub(crate) fn event(&self, what: Happening, out: &mut Effects) {
        out.push(Effect::Event(Event {
            volume: self.id,
            epoch: self.epoch,
            replica: None,
            session: None,
            what,
        }));
    }

    /// An event of one sender, apart from any session.
    pub(crate) fn sender_event(&self, replica: &ReplicaId, what: Happening, out: &mut Effects) {
        out.push(Effect::Event(Event {
            volume: self.id,
            epoch: self.epoch,
            replica: Some(replica.clone()),
            session: None,
            what,
        }));
    }
}
