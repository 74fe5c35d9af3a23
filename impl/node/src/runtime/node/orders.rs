//! What an operator asks of a volume's primary: it is asked here, or where the record says that it is.

use std::sync::Arc;
use std::time::Duration;

use holdfast_engine::SenderState;
use holdfast_types::{
    DurabilityMode, Endpoint, EndpointVersion, ReplicaId, VolumeRecord, WriteAck,
};

use super::super::control::{
    ChunkRow, ControlClient, ControlError, ControlReply, ControlRequest, MemberPlan, Order,
    OrderReply, Problem, ProblemKind, SettingsChange,
};
use super::super::primary::{Primary, Recovery, SnapshotChunk, with_member};
use super::NodeShared;
use crate::controller::drive::tell_members;
use crate::tls::Expected;
use crate::verify::{bytes_of, hexadecimal};

/// How long the primary may take to change the record.
const CHANGE_WAIT: Duration = Duration::from_secs(40);

/// How long a node may take to make a store: its log is written over with zeroes.
const STORE_WAIT: Duration = Duration::from_secs(180);

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
                Order::Add { member } => self.add_copy(primary, &member).await?,
                Order::Remove { replica, force } => {
                    self.remove_copy(primary, &replica, force).await?
                }
                Order::Verify { repair } => OrderReply::Verified {
                    report: Box::new(primary.verify(repair).await?),
                },
                Order::SnapshotCreate { label } => OrderReply::Snapshot {
                    snapshot: primary.create_snapshot(label).await?,
                },
                Order::SnapshotList {} => OrderReply::Snapshots {
                    snapshots: primary.snapshots()?,
                },
                Order::SnapshotDelete { snapshot } => {
                    primary.delete_snapshot(&snapshot).await?;
                    OrderReply::Done
                }
                Order::SnapshotRestore { snapshot } => {
                    primary.restore_snapshot(&snapshot).await?;
                    OrderReply::Done
                }
                Order::SnapshotChunk { snapshot, index } => {
                    let (snapshot, chunk) = primary.snapshot_chunk(&snapshot, index)?;
                    OrderReply::Chunk {
                        volume: primary.volume(),
                        snapshot,
                        chunk: chunk.as_ref().map(chunk_row),
                    }
                }
                Order::ImportCheck { blocks } => {
                    primary.check_import(blocks).await?;
                    OrderReply::Done
                }
                Order::ImportChunk {
                    block,
                    content,
                    last,
                } => {
                    let content = bytes_of(&content)
                        .ok_or_else(|| Problem::invalid("the content is not hexadecimal"))?;
                    primary.import(block, content, last).await?;
                    OrderReply::Done
                }
                Order::Grow { blocks } => {
                    primary.grow(blocks).await?;
                    let record = self.authority.read(primary.volume()).await?.record;
                    tell_members(&self.protection, &record).await;
                    let record = Box::new(record);
                    OrderReply::Changed { record }
                }
            };
            Ok(ControlReply::Ordered(done))
        })
        .await
    }

    /// Records a copy, then has its node make a store, unless it has one: the primary rebuilds it.
    async fn add_copy(
        &self,
        primary: &Arc<Primary>,
        plan: &MemberPlan,
    ) -> Result<OrderReply, Problem> {
        let client = ControlClient::tcp(plan.control, CHANGE_WAIT);
        let client = client.under(&self.protection, Expected::AnyNode);
        let failed = |error: ControlError| {
            let what = format!("the node at {}: {error}", client.place());
            Problem::new(ProblemKind::Unavailable, what)
        };
        let ControlReply::Node(facts) = client
            .ask(&ControlRequest::Identify)
            .await
            .map_err(failed)?
        else {
            return Err(failed(client.unexpected()));
        };
        let endpoint = Endpoint {
            data: plan.data.unwrap_or(facts.data),
            control: plan.control,
            version: EndpointVersion(1),
        };
        let volume = primary.volume();
        primary
            .change(|record| with_member(record, &facts.id, endpoint))
            .await?;
        let record = self.authority.read(volume).await?.record;
        tell_members(&self.protection, &record).await;
        // From here on it has to be the one that it says it is.
        let client = ControlClient::tcp(plan.control, STORE_WAIT)
            .under(&self.protection, Expected::Node(facts.id.clone()));
        let unmade = |what: String| {
            let name = &record.name;
            Problem::new(
                ProblemKind::Unavailable,
                format!(
                    "{} is recorded as a copy of {name:?}, and has no store yet: {what}. \
                     `holdfast replica replace {name}` on that node makes it, \
                     `holdfast replica remove {name} {}` takes the copy out again",
                    facts.id, facts.id
                ),
            )
        };
        let asked = client.ask(&ControlRequest::Status).await;
        let ControlReply::Status(status) = asked.map_err(|error| unmade(error.to_string()))? else {
            return Err(unmade(client.unexpected().to_string()));
        };
        if !status.volumes.iter().any(|found| found.volume == volume) {
            let volume = volume.to_string();
            let made = client.ask(&ControlRequest::ReplaceStore { volume }).await;
            made.map_err(|error| unmade(error.to_string()))?;
        }
        let record = Box::new(record);
        Ok(OrderReply::Changed { record })
    }

    /// Takes a copy out, and tells everyone, its node included.
    async fn remove_copy(
        &self,
        primary: &Arc<Primary>,
        replica: &ReplicaId,
        force: bool,
    ) -> Result<OrderReply, Problem> {
        let before = primary.record();
        primary.remove(replica, force).await?;
        let record = Box::new(self.authority.read(primary.volume()).await?.record);
        tell_members(&self.protection, &before).await;
        Ok(OrderReply::Changed { record })
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

fn chunk_row(chunk: &SnapshotChunk) -> ChunkRow {
    ChunkRow {
        content: hexadecimal(&chunk.content),
        sha256: hexadecimal(&chunk.sha256),
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
