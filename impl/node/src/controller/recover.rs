//! An authority that was rolled back past what the nodes have seen, moved forward.
//!
//! ```text
//!   1  ask every member what it has promised, and whom it follows
//!   2  only if that shows a rollback: an epoch beyond every promise, one named copy, no other store recorded
//!   3  fence that copy at the epoch and promote it, as a forced promotion does
//! ```
//!
//! Promises: an authority that no node contradicts is left alone; a member that does not answer is passed
//! over only when the operator names it (F85).
//!
//! Must never: begin by itself. Everything that only the other copies hold is given up.
//!
//! Rule: `docs/protocol.md`, section 7; `docs/decisions/044-*`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use holdfast_types::{Epoch, ReplicaId, VolumeId, VolumeRecord};
use thiserror::Error;

use super::decide::Promotion;
use super::drive::{Choice, PromoteError, carry_out, control};
use super::rollback::{Found, Known};
use crate::authority::{Authority, AuthorityError, RecordVersion, Recorded, RecoverRequest};
use crate::runtime::{ControlReply, ControlRequest, VolumeStatus};
use crate::tls::Protection;

/// Why an authority was not moved forward.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecoverError {
    /// The authority refused, or cannot be reached.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A member does not say what it has promised.
    #[error(
        "{replica} at {control} does not say what it has promised: start it, or pass it over with \
         `--without {replica}` if it is gone for good"
    )]
    Silent {
        /// Who.
        replica: ReplicaId,
        /// Where it was asked.
        control: SocketAddr,
    },
    /// Nothing shows that the authority went back.
    #[error(
        "no member contradicts the authority, whose record is at {recorded}: it was not rolled back. \
         To move the primary, use `holdfast promote`"
    )]
    NotRolledBack {
        /// What the record is at.
        recorded: RecordVersion,
    },
    /// The authority was moved; the named copy did not take the lead.
    #[error(
        "the authority was moved to epoch {epoch}, which has no primary yet: {source}. Go on with \
         `holdfast promote --forced --replica {keep}`"
    )]
    NotPromoted {
        /// The epoch.
        epoch: Epoch,
        /// The copy.
        keep: ReplicaId,
        /// Why.
        source: Box<PromoteError>,
    },
}

/// Moves the authority's record of a volume beyond every promise of its members but `without`, and
/// goes on with the copy `keep`.
///
/// # Errors
/// [`RecoverError`]; but for `NotPromoted` nothing has changed.
pub async fn recover(
    authority: &Arc<dyn Authority>,
    protection: &Protection,
    volume: VolumeId,
    keep: &ReplicaId,
    without: &BTreeSet<ReplicaId>,
    promotion_wait: Duration,
) -> Result<(Promotion, VolumeRecord), RecoverError> {
    let beyond = survey(protection, &authority.read(volume).await?.record, without).await?;
    let moved = move_forward(authority, volume, beyond, keep).await?;
    let epoch = moved.record.epoch;
    tracing::error!(%volume, %epoch, %keep,
        "the authority was moved forward, as asked; the volume goes on with one copy, the others are rebuilt");
    let choice = Choice::Forced(Some(keep.clone()));
    carry_out(authority, protection, &moved, &choice, promotion_wait)
        .await
        .map_err(|error| RecoverError::NotPromoted {
            epoch,
            keep: keep.clone(),
            source: Box::new(error),
        })
}

/// The highest epoch that any member has promised, if the record went back behind one.
async fn survey(
    protection: &Protection,
    record: &VolumeRecord,
    without: &BTreeSet<ReplicaId>,
) -> Result<Epoch, RecoverError> {
    let found = Found::of(record);
    let mut beyond = record.epoch;
    let mut contradicted = false;
    for (replica, member) in &record.members {
        if without.contains(replica) {
            continue;
        }
        let client = control(protection, replica, member.endpoint);
        let answer = client.ask(&ControlRequest::Status).await;
        let Ok(ControlReply::Status(status)) = answer else {
            return Err(RecoverError::Silent {
                replica: replica.clone(),
                control: member.endpoint.control,
            });
        };
        // A member without a store has promised nothing.
        let here = |status: &&VolumeStatus| status.volume == record.volume;
        let Some(status) = status.volumes.iter().find(here) else {
            continue;
        };
        let known = Known {
            promised: status.promised,
            leader: status.leader,
            read: None,
        };
        contradicted |= status.alarm.is_some() || known.against(Some(found)).is_some();
        beyond = beyond.max(status.promised);
    }
    if contradicted {
        return Ok(beyond);
    }
    Err(RecoverError::NotRolledBack {
        recorded: found.version,
    })
}

/// Has the authority go beyond, once no lease can be held.
async fn move_forward(
    authority: &Arc<dyn Authority>,
    volume: VolumeId,
    beyond: Epoch,
    keep: &ReplicaId,
) -> Result<Recorded, AuthorityError> {
    loop {
        let present = authority.read(volume).await?;
        let request = RecoverRequest {
            volume,
            expected: RecordVersion::of(&present.record),
            beyond,
            keep: keep.clone(),
        };
        match authority.recover(request).await {
            Err(AuthorityError::LeaseHeld { remaining_ms, .. }) => {
                let wait = Duration::from_millis(remaining_ms.clamp(1, 1000));
                tokio::time::sleep(wait).await;
            }
            // Whoever serves on the record's word may change it meanwhile: compare again.
            Err(AuthorityError::Conflict { .. }) => {}
            other => return other,
        }
    }
}
