//! What an operator asks of a volume's primary: it is asked here, or where the record says that it is.

use std::sync::Arc;
use std::time::Duration;

use holdfast_engine::SenderState;
use holdfast_types::{DurabilityMode, ReplicaId, VolumeRecord, WriteAck};

use super::super::control::{
    ControlClient, ControlError, ControlReply, ControlRequest, Order, OrderReply, Problem,
    ProblemKind, SettingsChange,
};
use super::super::primary::{Primary, Recovery};
use super::NodeShared;
use crate::tls::Expected;

/// How long the primary may take to change the record.
const CHANGE_WAIT: Duration = Duration::from_secs(40);

impl NodeShared {
    pub(super) async fn set_volume(
        self: &Arc<Self>,
        volume: String,
        change: SettingsChange,
    ) -> Result<ControlReply, Problem> {
        let asked = ControlRequest::SetVolume {
            volume: volume.clone(),
            change,
        };
        self.changed_by_the_primary(&volume, asked, |record| set(record, change))
            .await
    }

    pub(super) async fn evict_replica(
        self: &Arc<Self>,
        volume: String,
        replica: ReplicaId,
    ) -> Result<ControlReply, Problem> {
        let asked = ControlRequest::EvictReplica {
            volume: volume.clone(),
            replica: replica.clone(),
        };
        let recovery = Arc::clone(&self.recovery);
        self.changed_by_the_primary(&volume, asked, |record| evict(&recovery, record, &replica))
            .await
    }

    /// Carries an order out where the volume is served.
    pub(super) async fn order(
        self: &Arc<Self>,
        volume: String,
        order: Order,
    ) -> Result<ControlReply, Problem> {
        let asked = ControlRequest::Order {
            volume: volume.clone(),
            order: order.clone(),
        };
        self.by_the_primary(&volume, asked, order.wait(), async |primary| {
            let done = match order {
                Order::Rebuild { replica, rate } => {
                    primary.rebuild(&replica, rate).await?;
                    OrderReply::Rebuilding { replica, rate }
                }
                Order::Verify { repair } => OrderReply::Verified {
                    report: Box::new(primary.verify(repair).await?),
                },
            };
            Ok(ControlReply::Ordered(done))
        })
        .await
    }

    /// Has the primary of a volume propose a change of its record.
    async fn changed_by_the_primary(
        &self,
        volume: &str,
        asked: ControlRequest,
        change: impl FnOnce(&VolumeRecord) -> Result<VolumeRecord, Problem>,
    ) -> Result<ControlReply, Problem> {
        self.by_the_primary(volume, asked, CHANGE_WAIT, async |primary| {
            primary.change(change).await?;
            let recorded = Box::new(self.authority.read(primary.volume()).await?);
            Ok(ControlReply::Recorded { recorded })
        })
        .await
    }

    /// Has the primary of a volume do something: here, or by the same request where it is.
    async fn by_the_primary(
        &self,
        volume: &str,
        asked: ControlRequest,
        wait: Duration,
        done: impl AsyncFnOnce(&Arc<Primary>) -> Result<ControlReply, Problem>,
    ) -> Result<ControlReply, Problem> {
        let volume = self.resolve(volume).await?;
        if let Some(primary) = self.primary(volume) {
            return done(&primary).await;
        }
        let record = self.authority.read(volume).await?.record;
        let elsewhere = record.primary.as_ref().filter(|id| **id != self.facts.id);
        let Some((id, member)) = elsewhere.and_then(|id| record.members.get_key_value(id)) else {
            let what = format!("{:?} has no primary: promote one first", record.name);
            return Err(Problem::new(ProblemKind::Unavailable, what));
        };
        let client = ControlClient::tcp(member.endpoint.control, wait)
            .under(&self.protection, Expected::Node(id.clone()));
        client.ask(&asked).await.map_err(|error| match error {
            ControlError::Failed { problem } => problem,
            ControlError::Authority(error) => error.into(),
            ControlError::Unreachable { .. } | ControlError::Unexpected { .. } => {
                let what = format!("{id}, the primary: {error}");
                Problem::new(ProblemKind::Unavailable, what)
            }
        })
    }
}

/// The record with other settings.
fn set(record: &VolumeRecord, change: SettingsChange) -> Result<VolumeRecord, Problem> {
    let mut next = record.clone();
    next.mode = change.mode.unwrap_or(record.mode);
    next.min_in_sync = change.min_in_sync.unwrap_or(record.min_in_sync);
    let follows = next.mode != record.mode;
    next.write_ack = change.write_ack.unwrap_or(match next.mode {
        DurabilityMode::BestEffort if follows => WriteAck::Local,
        DurabilityMode::SyncAll | DurabilityMode::SyncQuorum if follows => WriteAck::Received,
        DurabilityMode::BestEffort | DurabilityMode::SyncAll | DurabilityMode::SyncQuorum => {
            record.write_ack
        }
    });
    next.validate()
        .map_err(|error| Problem::invalid(error.to_string()))?;
    Ok(next)
}

/// The record without a member in the in-sync set.
fn evict(
    recovery: &Recovery,
    record: &VolumeRecord,
    replica: &ReplicaId,
) -> Result<VolumeRecord, Problem> {
    if !record.members.contains_key(replica) {
        let what = format!("{replica} keeps no copy of {:?}", record.name);
        return Err(Problem::new(ProblemKind::NotFound, what));
    }
    if record.primary.as_ref() == Some(replica) {
        let what = format!("{replica} is the primary: promote another first");
        return Err(what.into());
    }
    if recovery.state(record.volume, replica) == Some(SenderState::InSync) {
        let what = format!("{replica} is in sync, and would join again at once: stop it first");
        return Err(what.into());
    }
    let mut next = record.clone();
    next.isr.remove(replica);
    Ok(next)
}
