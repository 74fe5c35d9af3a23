//! Every volume of which this node is, or was, the primary.
//!
//! All calls go through the registry: those of the authority (`authority`), those that begin a
//! session (`begin`), and those on a session (`calls`). A call either is refused with one typed
//! condition, and then the registry equals what it was before, or it is carried out whole and its
//! effects are pushed to the buffer that was passed in. Volumes are independent of one another
//! (F44, F68).

mod authority;
mod begin;
mod calls;

use std::collections::BTreeMap;

use holdfast_types::{EndpointVersion, Epoch, FencingToken, ReplicaId, VolumeId};

pub use authority::{AssignOutcome, IntentOutcome};
pub use begin::SenderAuthority;

use crate::{Budgets, Refusal, Sender, Session, Volume};

/// The state of the engine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Registry {
    budgets: Budgets,
    volumes: BTreeMap<VolumeId, Volume>,
}

impl Registry {
    /// A registry without volumes. Both budgets are set from the first moment on (F72).
    #[must_use]
    pub const fn new(budgets: Budgets) -> Self {
        Self {
            budgets,
            volumes: BTreeMap::new(),
        }
    }

    /// The budgets.
    #[must_use]
    pub const fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// Every volume.
    #[must_use]
    pub const fn volumes(&self) -> &BTreeMap<VolumeId, Volume> {
        &self.volumes
    }

    /// One volume.
    #[must_use]
    pub fn volume(&self, volume: VolumeId) -> Option<&Volume> {
        self.volumes.get(&volume)
    }

    /// One sender.
    #[must_use]
    pub fn sender(&self, volume: VolumeId, replica: &ReplicaId) -> Option<&Sender> {
        self.volume(volume)?.sender(replica)
    }

    /// The authority of a replica's present session.
    #[must_use]
    pub fn token(&self, volume: VolumeId, replica: &ReplicaId) -> Option<FencingToken> {
        self.volume(volume)?.token(replica)
    }

    /// The session that a token names, if every part of the token is current.
    ///
    /// # Errors
    /// The refusal that a call with this token would get.
    pub fn session(&self, token: &FencingToken) -> Result<&Session, Refusal> {
        let volume = self.volumes.get(&token.volume);
        let volume = volume.ok_or(Refusal::UnknownSender)?;
        let sender = current_sender(volume, &token.replica, token.epoch, token.endpoint_version)?;
        match sender.session() {
            Some(session) if session.id() == token.session => Ok(session),
            present => Err(Refusal::StaleSession {
                current: present.map(Session::id),
            }),
        }
    }

    /// Whether a call that presented this token now would find every part of it current.
    ///
    /// # Errors
    /// The refusal that the call would get.
    pub fn check_token(&self, token: &FencingToken) -> Result<(), Refusal> {
        self.session(token).map(|_| ())
    }
}

/// The sender that a call speaks for, if the authority it presents is current: sender, epoch and
/// endpoint version, checked in this order (T7).
fn current_sender<'a>(
    volume: &'a Volume,
    replica: &ReplicaId,
    epoch: Epoch,
    endpoint_version: EndpointVersion,
) -> Result<&'a Sender, Refusal> {
    let sender = volume.sender(replica).ok_or(Refusal::UnknownSender)?;
    check_authority(volume.epoch, sender, epoch, endpoint_version)?;
    Ok(sender)
}

/// "Newer" is refused like "older": an authority is current or it is not.
fn check_authority(
    current: Epoch,
    sender: &Sender,
    epoch: Epoch,
    endpoint_version: EndpointVersion,
) -> Result<(), Refusal> {
    if epoch != current {
        return Err(Refusal::StaleEpoch { current });
    }
    let current = sender.endpoint().version;
    if endpoint_version != current {
        return Err(Refusal::StaleEndpoint { current });
    }
    Ok(())
}
