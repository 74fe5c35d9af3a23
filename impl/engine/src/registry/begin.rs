//! Calls that begin a session: attach, and supersede, which takes another session's place.

use holdfast_types::{EndpointVersion, Epoch, FencingToken, ReplicaId, VolumeId};

use super::{Registry, check_authority};
use crate::{AuthorityCause, Effects, EndCause, Refusal, SenderState, SessionKind, Tick, Volume};

/// The authority that a call presents to begin a session: the whole of a token but for the session,
/// which does not exist yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SenderAuthority {
    /// The volume.
    pub volume: VolumeId,
    /// The replica.
    pub replica: ReplicaId,
    /// The volume's epoch.
    pub epoch: Epoch,
    /// The sender's endpoint version.
    pub endpoint_version: EndpointVersion,
}

impl Registry {
    /// Begins a session of a sender that has none, and returns its token.
    ///
    /// # Errors
    /// `unknown_sender`, `stale_epoch`, `stale_endpoint`, `not_serving`, `session_active` (a
    /// completed one counts), `rebuild_required`, `still_in_sync_set` (F57).
    pub fn attach(
        &mut self,
        now: Tick,
        authority: &SenderAuthority,
        kind: SessionKind,
        out: &mut Effects,
    ) -> Result<FencingToken, Refusal> {
        let volume = self.serving_volume(authority)?;
        let replica = &authority.replica;
        let sender = volume.sender(replica).ok_or(Refusal::UnknownSender)?;
        if let Some(session) = sender.session() {
            return Err(Refusal::SessionActive {
                session: session.id(),
            });
        }
        check_kind(kind, sender.state(), sender.is_member())?;
        volume
            .attach(replica, kind, now, out)
            .ok_or(Refusal::UnknownSender)
    }

    /// Begins a session in place of the present one, if any, and returns its token.
    ///
    /// # Errors
    /// As [`Registry::attach`], without `session_active`; `rebuild_required` for a kind other than
    /// rebuild also while a rebuild is under way (F70).
    pub fn supersede(
        &mut self,
        now: Tick,
        authority: &SenderAuthority,
        kind: SessionKind,
        out: &mut Effects,
    ) -> Result<FencingToken, Refusal> {
        let budgets = self.budgets;
        let volume = self.serving_volume(authority)?;
        let (id, replica) = (volume.id, &authority.replica);
        let sender = volume
            .senders
            .get_mut(replica)
            .ok_or(Refusal::UnknownSender)?;
        check_kind(kind, sender.state(), sender.is_member())?;
        let cause = EndCause::Authority(AuthorityCause::Superseded);
        sender.end_session(id, replica, &budgets, cause, out);
        volume
            .attach(replica, kind, now, out)
            .ok_or(Refusal::UnknownSender)
    }

    /// The volume of a current authority, if it serves.
    fn serving_volume(&mut self, authority: &SenderAuthority) -> Result<&mut Volume, Refusal> {
        let volume = self
            .volumes
            .get_mut(&authority.volume)
            .ok_or(Refusal::UnknownSender)?;
        let sender = volume
            .senders
            .get(&authority.replica)
            .ok_or(Refusal::UnknownSender)?;
        check_authority(
            volume.epoch,
            sender,
            authority.epoch,
            authority.endpoint_version,
        )?;
        if !volume.serving {
            return Err(Refusal::NotServing);
        }
        Ok(volume)
    }
}

/// A needed or running rebuild is not replaced by less (F70), and a member's store is not lowered
/// (F57).
fn check_kind(kind: SessionKind, state: SenderState, member: bool) -> Result<(), Refusal> {
    let rebuild_pending = match state {
        SenderState::NeedsRebuild | SenderState::Rebuilding => true,
        SenderState::Disconnected
        | SenderState::Connecting
        | SenderState::CatchingUp
        | SenderState::InSync
        | SenderState::Degraded => false,
    };
    match kind {
        SessionKind::Bootstrap | SessionKind::CatchUp | SessionKind::Reassign
            if rebuild_pending =>
        {
            Err(Refusal::RebuildRequired)
        }
        SessionKind::Rebuild if member => Err(Refusal::StillInSyncSet),
        SessionKind::Bootstrap
        | SessionKind::CatchUp
        | SessionKind::Reassign
        | SessionKind::Rebuild => Ok(()),
    }
}
