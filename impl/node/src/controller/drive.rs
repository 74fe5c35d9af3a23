//! Carrying a promotion out: mint, fence, collect, decide, promote.
//!
//! ```text
//! 1  ask the old primary to stop, if it answers; else its lease is waited out
//! 2  mint: compare-and-set to (epoch + 1, no primary), before anyone is fenced
//! 3  fence every member at the new epoch; each makes it durable and reports
//! 4  decide from the reports (see `decide`), waiting at most `promotion_wait`
//! 5  promote: compare-and-set that names the primary
//! ```
//!
//! A crash anywhere leaves at most an epoch without a primary; the next attempt mints a newer one
//! (F98). Two attempts at once: one of them loses a compare-and-set and stops.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use holdfast_types::{Endpoint, ReplicaId, VolumeId, VolumeRecord};
use thiserror::Error;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::decide::{
    Candidates, Decision, FenceReport, Obstacle, Promotion, decide, decide_forced,
};
use crate::authority::{Authority, AuthorityError, RecordVersion, Recorded};
use crate::runtime::{ControlClient, ControlReply, ControlRequest};
use crate::tls::{Expected, Protection};

/// How often a silent candidate is asked again.
const RETRY: Duration = Duration::from_millis(200);

/// How long one request to a node may take.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// What is asked of a promotion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The best eligible replica.
    Eligible,
    /// Accept what may be lost: this replica, or the best report there is.
    Forced(Option<ReplicaId>),
}

/// Why a promotion did not take place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PromoteError {
    /// The authority refused, or cannot be reached.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Nobody can be promoted.
    #[error("epoch {epoch} has no primary: {obstacle}")]
    Obstacle {
        /// The epoch that was minted for it.
        epoch: holdfast_types::Epoch,
        /// Why.
        obstacle: Obstacle,
    },
}

/// Promotes a new primary of a volume.
///
/// # Errors
/// [`PromoteError`]; an epoch without a primary may then have been minted, which is safe.
pub async fn promote(
    authority: &Arc<dyn Authority>,
    protection: &Protection,
    volume: VolumeId,
    choice: &Choice,
    promotion_wait: Duration,
) -> Result<(Promotion, VolumeRecord), PromoteError> {
    let minted = mint(authority, protection, volume).await?;
    let record = &minted.record;
    tracing::info!(%volume, epoch = %record.epoch, "minted an epoch");
    carry_out(authority, protection, &minted, choice, promotion_wait).await
}

/// Fences, decides and promotes in an epoch that was minted for it.
///
/// # Errors
/// [`PromoteError`]; the epoch then has no primary, and another promotion mints a newer one.
pub(super) async fn carry_out(
    authority: &Arc<dyn Authority>,
    protection: &Protection,
    minted: &Recorded,
    choice: &Choice,
    promotion_wait: Duration,
) -> Result<(Promotion, VolumeRecord), PromoteError> {
    let record = &minted.record;
    let volume = record.volume;
    let promotion = collect(protection, minted, choice, promotion_wait)
        .await
        .map_err(|obstacle| PromoteError::Obstacle {
            epoch: record.epoch,
            obstacle,
        })?;
    if promotion.may_have_lost_power() {
        tracing::warn!(%volume, epoch = %record.epoch, ?promotion,
            "writes that were not flushed may be lost, as by a loss of power");
    }
    let proposed = promotion.applied_to(record);
    let version = RecordVersion::of(record);
    let promoted = authority.compare_and_set(version, proposed).await?;
    tell_members(protection, &promoted.record).await;
    Ok((promotion, promoted.record))
}

/// Mints the next epoch, waiting for the old lease to run out.
pub(super) async fn mint(
    authority: &Arc<dyn Authority>,
    protection: &Protection,
    volume: VolumeId,
) -> Result<Recorded, AuthorityError> {
    let mut asked_to_stop = false;
    loop {
        let present = authority.read(volume).await?;
        let version = RecordVersion::of(&present.record);
        match authority.mint_epoch(volume, version).await {
            Err(AuthorityError::LeaseHeld { remaining_ms, .. }) => {
                if !asked_to_stop {
                    asked_to_stop = true;
                    ask_to_stop(protection, &present.record).await;
                    continue;
                }
                let wait = Duration::from_millis(remaining_ms.clamp(1, 1000));
                tokio::time::sleep(wait).await;
            }
            // The primary may change the record while it still serves: compare again.
            Err(AuthorityError::Conflict { found, .. }) if found.epoch == version.epoch => {}
            other => return other,
        }
    }
}

/// Asks a member.
pub(super) fn control(
    protection: &Protection,
    replica: &ReplicaId,
    endpoint: Endpoint,
) -> ControlClient {
    let client = ControlClient::tcp(endpoint.control, ANSWER_WAIT);
    client.under(protection, Expected::Node(replica.clone()))
}

async fn ask_to_stop(protection: &Protection, record: &VolumeRecord) {
    let Some((replica, member)) = record
        .primary
        .as_ref()
        .and_then(|primary| record.members.get_key_value(primary))
    else {
        return;
    };
    let request = ControlRequest::StepDown {
        volume: record.volume,
        epoch: record.epoch,
    };
    let client = control(protection, replica, member.endpoint);
    if let Err(error) = client.ask(&request).await {
        tracing::info!(%replica, %error, "the old primary does not answer; its lease is waited out");
    }
}

/// Fences every member and decides as soon as the reports allow it.
async fn collect(
    protection: &Protection,
    minted: &Recorded,
    choice: &Choice,
    promotion_wait: Duration,
) -> Result<Promotion, Obstacle> {
    let record = &minted.record;
    let mut fences = JoinSet::new();
    for (replica, member) in &record.members {
        let client = control(protection, replica, member.endpoint);
        let replica = replica.clone();
        let request = ControlRequest::Fence {
            volume: record.volume,
            epoch: record.epoch,
        };
        fences.spawn(async move { (replica.clone(), fence(&replica, &client, &request).await) });
    }
    let deadline = Instant::now() + promotion_wait;
    let mut reports: BTreeMap<ReplicaId, FenceReport> = BTreeMap::new();
    loop {
        let waited_out = Instant::now() >= deadline;
        let candidates = Candidates {
            record,
            last_primary: minted.last_primary.as_ref(),
            reports: &reports,
            waited_out,
        };
        match choice {
            Choice::Eligible => match decide(&candidates) {
                Decision::Promote(promotion) => return Ok(promotion),
                Decision::Impossible(obstacle) => return Err(obstacle),
                Decision::Wait { .. } => {}
            },
            Choice::Forced(replica) => {
                let all = reports.len() == record.members.len();
                let named = replica.as_ref().is_some_and(|r| reports.contains_key(r));
                if waited_out || all || named {
                    return decide_forced(&candidates, replica.as_ref());
                }
            }
        }
        tokio::select! {
            Some(Ok((replica, report))) = fences.join_next() => {
                reports.insert(replica, report);
            }
            () = tokio::time::sleep_until(deadline) => {}
        }
    }
}

/// Asks until there is a report; the caller stops asking by dropping.
async fn fence(
    replica: &ReplicaId,
    client: &ControlClient,
    request: &ControlRequest,
) -> FenceReport {
    loop {
        match client.ask(request).await {
            Ok(ControlReply::Fenced { report }) => return *report,
            Ok(_) => tracing::warn!(%replica, "answered a fence with something else"),
            Err(error) => tracing::debug!(%replica, %error, "no report yet"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Members find the change by themselves; telling them saves them the wait.
pub async fn tell_members(protection: &Protection, record: &VolumeRecord) {
    let mut told = JoinSet::new();
    for (replica, member) in &record.members {
        let client = control(protection, replica, member.endpoint);
        let request = ControlRequest::RecordChanged {
            volume: record.volume,
        };
        told.spawn(async move { client.ask(&request).await.is_ok() });
    }
    while told.join_next().await.is_some() {}
}
