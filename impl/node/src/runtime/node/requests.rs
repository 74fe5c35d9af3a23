//! Answering the requests of other nodes and of commands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use holdfast_types::{
    BlockCount, DurabilityMode, Endpoint, EndpointVersion, Epoch, Lsn, Member, ReplicaId, Revision,
    StoreId, VolumeId, VolumeRecord, WriteAck,
};
use tokio::task::block_in_place;
use uuid::Uuid;

use super::super::control::{
    ControlClient, ControlError, ControlReply, ControlRequest, NodeFacts, Problem, ProblemKind,
    VolumePlan,
};
use super::super::primary::{MEMBERS_MAX, StopReason};
use super::super::status::EventRow;
use super::{Life, NodeShared};
use crate::authority::{Authority, AuthorityError, Recorded};
use crate::controller::decide::FenceReport;
use crate::controller::drive::{Choice, promote, tell_members};
use crate::controller::plan::plan;
use crate::controller::recover::recover;
use crate::tls::{Expected, Protection};

/// How long another node may take for one step of creating a volume.
const MEMBER_WAIT: Duration = Duration::from_secs(60);

/// How long another node may take to tell its status.
const STATUS_WAIT: Duration = Duration::from_secs(2);

/// Events in one answer, at most.
const EVENTS_MAX: usize = 1000;

impl NodeShared {
    /// Carries a request out.
    pub(crate) async fn answer(self: &Arc<Self>, request: ControlRequest) -> ControlReply {
        self.carry_out(request)
            .await
            .unwrap_or_else(|problem| ControlReply::Failed { problem })
    }

    async fn carry_out(self: &Arc<Self>, request: ControlRequest) -> Result<ControlReply, Problem> {
        match request {
            ControlRequest::Identify => Ok(ControlReply::Node(self.facts.clone())),
            ControlRequest::CreateStore {
                volume,
                blocks,
                log_bytes,
            } => self.create_store(volume, blocks, log_bytes).await,
            ControlRequest::ReplaceStore { volume } => self.replace_store(&volume).await,
            ControlRequest::Fence { volume, epoch } => self.fence(volume, epoch).await,
            ControlRequest::Report { volume } => self.report(volume),
            ControlRequest::StepDown { volume, epoch } => self.step_down(volume, epoch).await,
            ControlRequest::RecordChanged { .. } => {
                self.record_changed.notify_one();
                Ok(ControlReply::Done)
            }
            ControlRequest::CreateVolume(plan) => self.create_volume(plan).await,
            ControlRequest::ListVolumes => {
                let mut records = self.authority.volumes().await?;
                records.retain(|recorded| !recorded.deleted);
                Ok(ControlReply::Records { records })
            }
            ControlRequest::SetVolume { volume, change } => self.set_volume(volume, change).await,
            ControlRequest::EvictReplica { volume, replica } => {
                self.evict_replica(volume, replica).await
            }
            ControlRequest::Copy { authority, what } => {
                self.of_copy(&authority, what).map(ControlReply::Copy)
            }
            ControlRequest::DeleteVolume { volume, yes, force } => {
                self.delete_volume(&volume, &yes, force).await
            }
            ControlRequest::Order { volume, order } => self.order(volume, order).await,
            ControlRequest::Plan { volume } => {
                let volume = self.resolve(&volume).await?;
                let planned = plan(&self.authority, &self.protection, volume).await?;
                Ok(ControlReply::Plan(Box::new(planned)))
            }
            ControlRequest::Promote {
                volume,
                replica,
                forced,
            } => self.promote(&volume, replica, forced).await,
            ControlRequest::RecoverAuthority {
                volume,
                keep,
                without,
            } => self.recover_authority(&volume, &keep, &without).await,
            ControlRequest::Status => Ok(ControlReply::Status(Box::new(self.status()))),
            ControlRequest::Events { after } => Ok(ControlReply::Events {
                events: self.events(after),
            }),
            ControlRequest::Shutdown { hand_over } => {
                self.hands_over.store(hand_over, Ordering::Release);
                self.life.send_if_modified(|life| {
                    let running = *life == Life::Running;
                    *life = (*life).max(Life::Stopping);
                    running
                });
                Ok(ControlReply::Done)
            }
            authority @ (ControlRequest::AuthorityVolumes
            | ControlRequest::AuthorityRead { .. }
            | ControlRequest::AuthorityCreate { .. }
            | ControlRequest::AuthorityCompareAndSet { .. }
            | ControlRequest::AuthorityMint { .. }
            | ControlRequest::AuthorityDelete { .. }
            | ControlRequest::AuthorityRecover(_)
            | ControlRequest::AuthorityRenew(_)
            | ControlRequest::AuthorityEnd(_)) => self.ask_authority(authority).await,
        }
    }

    /// Requests to the authority that this node serves.
    async fn ask_authority(&self, request: ControlRequest) -> Result<ControlReply, Problem> {
        let Some(authority) = &self.served_authority else {
            let what = "this node serves no authority; ask the node that does";
            return Err(Problem::new(ProblemKind::NotFound, what));
        };
        let recorded = |answer: Result<_, AuthorityError>| {
            answer.map(|recorded| ControlReply::Recorded {
                recorded: Box::new(recorded),
            })
        };
        let answer = match request {
            ControlRequest::AuthorityVolumes => {
                let records = authority.volumes().await;
                records.map(|records| ControlReply::Records { records })
            }
            ControlRequest::AuthorityRead { volume } => recorded(authority.read(volume).await),
            ControlRequest::AuthorityCreate { record } => recorded(authority.create(*record).await),
            ControlRequest::AuthorityCompareAndSet { expected, record } => {
                recorded(authority.compare_and_set(expected, *record).await)
            }
            ControlRequest::AuthorityMint { volume, expected } => {
                recorded(authority.mint_epoch(volume, expected).await)
            }
            ControlRequest::AuthorityDelete { volume, expected } => {
                recorded(authority.delete(volume, expected).await)
            }
            ControlRequest::AuthorityRecover(request) => recorded(authority.recover(request).await),
            ControlRequest::AuthorityRenew(request) => authority
                .renew_lease(request)
                .await
                .map(ControlReply::Lease),
            ControlRequest::AuthorityEnd(request) => {
                let ended = authority.end_lease(request).await;
                ended.map(|()| ControlReply::Done)
            }
            ControlRequest::Identify
            | ControlRequest::CreateStore { .. }
            | ControlRequest::ReplaceStore { .. }
            | ControlRequest::Fence { .. }
            | ControlRequest::Report { .. }
            | ControlRequest::StepDown { .. }
            | ControlRequest::RecordChanged { .. }
            | ControlRequest::CreateVolume(_)
            | ControlRequest::ListVolumes
            | ControlRequest::SetVolume { .. }
            | ControlRequest::EvictReplica { .. }
            | ControlRequest::Order { .. }
            | ControlRequest::DeleteVolume { .. }
            | ControlRequest::Copy { .. }
            | ControlRequest::Plan { .. }
            | ControlRequest::Promote { .. }
            | ControlRequest::RecoverAuthority { .. }
            | ControlRequest::Status
            | ControlRequest::Events { .. }
            | ControlRequest::Shutdown { .. } => {
                return Err(Problem::invalid("not a request to the authority"));
            }
        };
        Ok(answer.unwrap_or_else(|error| ControlReply::AuthorityError { error }))
    }

    /// The first store of a volume here; one that a record knows is replaced, never made anew.
    async fn create_store(
        &self,
        volume: VolumeId,
        blocks: BlockCount,
        log_bytes: u64,
    ) -> Result<ControlReply, Problem> {
        match self.authority.read(volume).await {
            Err(AuthorityError::UnknownVolume { .. }) => {}
            Ok(known) if self.store(volume).is_none() => {
                let name = known.record.name;
                return Err(replace_advice(&name).into());
            }
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let store = block_in_place(|| self.ensure_store(volume, blocks, log_bytes))?;
        Ok(ControlReply::Store { store })
    }

    /// A fresh store in place of one that is lost, on an operator's word (F58).
    async fn replace_store(&self, volume: &str) -> Result<ControlReply, Problem> {
        let volume = self.resolve(volume).await?;
        let recorded = self.authority.read(volume).await;
        let record = recorded?.record;
        let name = &record.name;
        if !record.members.contains_key(&self.facts.id) {
            let what = format!("this node keeps no copy of {name:?}");
            return Err(Problem::new(ProblemKind::NotFound, what));
        }
        if let Some(store) = self.store(volume) {
            let store = store.volume().store_id();
            return Err(format!(
                "this node has a store of {name:?} ({store}); to give it up, stop the node and move \
                 its directory away first"
            )
            .into());
        }
        let log_bytes = self.log_bytes_of(&record).await?;
        let store = block_in_place(|| self.ensure_store(volume, record.blocks, log_bytes))?;
        tracing::warn!(%volume, %store, "a lost store was replaced by an empty one, as asked");
        Ok(ControlReply::Store { store })
    }

    /// The size of the log that the other copies have.
    async fn log_bytes_of(&self, record: &VolumeRecord) -> Result<u64, String> {
        for (replica, member) in &record.members {
            if *replica == self.facts.id {
                continue;
            }
            let client = ControlClient::tcp(member.endpoint.control, STATUS_WAIT)
                .under(&self.protection, Expected::Node(replica.clone()));
            if let Ok(ControlReply::Status(status)) = client.ask(&ControlRequest::Status).await
                && let Some(found) = status.volumes.iter().find(|v| v.volume == record.volume)
            {
                return Ok(found.log_bytes);
            }
        }
        Err("no other copy answers: nobody to rebuild from, and to make a log as large as".into())
    }

    /// A candidate is fenced: its old role ends first, the epoch is durable before the answer.
    async fn fence(&self, volume: VolumeId, epoch: Epoch) -> Result<ControlReply, Problem> {
        let store = self.store(volume).ok_or_else(no_store)?;
        self.depose(volume, epoch).await;
        let (facts, whole) =
            block_in_place(|| store.fence(epoch)).map_err(|refusal| refusal.to_string())?;
        tracing::info!(%volume, %epoch, durable = %facts.base.durable, "fenced");
        Ok(ControlReply::Fenced {
            report: Box::new(FenceReport {
                facts,
                restarted: !whole,
            }),
        })
    }

    /// What a candidate would report, of this moment; nothing is promised.
    fn report(&self, volume: VolumeId) -> Result<ControlReply, Problem> {
        let store = self.store(volume).ok_or_else(no_store)?;
        let facts = block_in_place(|| store.volume().facts()).map_err(|error| error.to_string())?;
        Ok(ControlReply::Fenced {
            report: Box::new(FenceReport {
                facts,
                restarted: !store.is_whole(),
            }),
        })
    }

    async fn step_down(&self, volume: VolumeId, epoch: Epoch) -> Result<ControlReply, Problem> {
        match self.primary(volume) {
            Some(primary) if primary.epoch() == epoch => {
                primary.stop(StopReason::Asked);
                primary.finished().await;
                Ok(ControlReply::Done)
            }
            Some(_) | None => Err(format!("this node is not the primary of epoch {epoch}").into()),
        }
    }

    fn events(&self, after: Option<u64>) -> Vec<EventRow> {
        self.recovery.view(|engine| {
            let later = |sequence: u64| after.is_none_or(|after| sequence > after);
            let events = engine.log().iter().filter(|event| later(event.sequence));
            let mut rows: Vec<EventRow> = match after {
                Some(_) => events.take(EVENTS_MAX).map(EventRow::from).collect(),
                None => events.rev().take(EVENTS_MAX).map(EventRow::from).collect(),
            };
            rows.sort_by_key(|row| row.sequence);
            rows
        })
    }

    /// The id of a volume that is named by its name or id.
    pub(super) async fn resolve(&self, volume: &str) -> Result<VolumeId, Problem> {
        let records = self.authority.volumes().await?;
        let found = records
            .iter()
            .filter(|recorded| !recorded.deleted)
            .map(|recorded| &recorded.record)
            .find(|record| {
                record.name == volume
                    || Uuid::parse_str(volume).is_ok_and(|id| record.volume.0 == id)
            });
        found.map(|record| record.volume).ok_or_else(|| {
            let what = format!("no volume {volume:?}; `holdfast volume list` shows them");
            Problem::new(ProblemKind::NotFound, what)
        })
    }

    async fn promote(
        &self,
        volume: &str,
        replica: Option<ReplicaId>,
        forced: bool,
    ) -> Result<ControlReply, Problem> {
        let choice = match (forced, replica) {
            (true, replica) => Choice::Forced(replica),
            (false, None) => Choice::Eligible,
            (false, Some(_)) => {
                let what = "a replica can be named only for a forced promotion";
                return Err(Problem::invalid(what));
            }
        };
        let volume = self.resolve(volume).await?;
        let wait = self.config.limits.promotion_wait;
        let (promotion, record) = promote(&self.authority, &self.protection, volume, &choice, wait)
            .await
            .map_err(|error| error.to_string())?;
        Ok(ControlReply::Promoted {
            promotion: Box::new(promotion),
            record: Box::new(record),
        })
    }

    async fn recover_authority(
        &self,
        volume: &str,
        keep: &ReplicaId,
        without: &BTreeSet<ReplicaId>,
    ) -> Result<ControlReply, Problem> {
        let volume = self.resolve(volume).await?;
        let wait = self.config.limits.promotion_wait;
        let (promotion, record) = recover(
            &self.authority,
            &self.protection,
            volume,
            keep,
            without,
            wait,
        )
        .await
        .map_err(|error| error.to_string())?;
        Ok(ControlReply::Promoted {
            promotion: Box::new(promotion),
            record: Box::new(record),
        })
    }

    /// Creates a volume: its stores, its record, its first primary.
    async fn create_volume(&self, plan: VolumePlan) -> Result<ControlReply, Problem> {
        if plan.members.is_empty() || plan.members.len() > MEMBERS_MAX {
            let what = format!("a volume has 1 to {MEMBERS_MAX} copies");
            return Err(Problem::invalid(what));
        }
        let records = self.authority.volumes().await?;
        let taken = |known: &Recorded| !known.deleted && known.record.name == plan.name;
        if records.iter().any(taken) {
            return Err(format!("a volume {:?} exists already", plan.name).into());
        }
        let volume = VolumeId::random();
        let mut members = BTreeMap::new();
        let log_bytes = self.log_bytes(plan.blocks);
        for member in &plan.members {
            let client = ControlClient::tcp(member.control, MEMBER_WAIT)
                .under(&self.protection, Expected::AnyNode);
            let (facts, store) =
                make_store(&client, &self.protection, volume, plan.blocks, log_bytes).await?;
            let endpoint = Endpoint {
                data: member.data.unwrap_or(facts.data),
                control: member.control,
                version: EndpointVersion(1),
            };
            let taken = members.insert(facts.id.clone(), Member { endpoint, store });
            if taken.is_some() {
                let what = format!("two of the copies would be kept by {}", facts.id);
                return Err(Problem::invalid(what));
            }
        }
        let record = new_record(volume, &plan, members);
        let created = self.authority.create(record).await;
        tell_members(&self.protection, &created?.record).await;
        let wait = self.config.limits.promotion_wait;
        let (promotion, record) = promote(
            &self.authority,
            &self.protection,
            volume,
            &Choice::Eligible,
            wait,
        )
        .await
        .map_err(|error| error.to_string())?;
        Ok(ControlReply::Promoted {
            promotion: Box::new(promotion),
            record: Box::new(record),
        })
    }
}

fn no_store() -> Problem {
    let what = "the volume has no store on this node";
    Problem::new(ProblemKind::NotFound, what)
}

/// What to tell whoever finds that a store is missing.
pub(super) fn replace_advice(name: &str) -> String {
    format!(
        "the store of {name:?} that the authority has on record for this node is missing. If its disk \
         is only not mounted, mount it and start the node again; if it is lost, \
         `holdfast replica replace {name}` makes an empty one, which is rebuilt"
    )
}

/// A fresh store on another node.
async fn make_store(
    client: &ControlClient,
    protection: &Protection,
    volume: VolumeId,
    blocks: u64,
    log_bytes: u64,
) -> Result<(NodeFacts, StoreId), String> {
    let failed = |error: ControlError| format!("the node at {}: {error}", client.place());
    let identified = client.ask(&ControlRequest::Identify).await;
    let ControlReply::Node(facts) = identified.map_err(failed)? else {
        return Err(failed(client.unexpected()));
    };
    // From here on it has to be the one that it says it is.
    let client = client
        .clone()
        .under(protection, Expected::Node(facts.id.clone()));
    let made = client
        .ask(&ControlRequest::CreateStore {
            volume,
            blocks,
            log_bytes,
        })
        .await;
    let ControlReply::Store { store } = made.map_err(failed)? else {
        return Err(failed(client.unexpected()));
    };
    Ok((facts, store))
}

/// The record with which a volume begins.
fn new_record(
    volume: VolumeId,
    plan: &VolumePlan,
    members: BTreeMap<ReplicaId, Member>,
) -> VolumeRecord {
    let copies = members.len();
    let all: BTreeSet<ReplicaId> = members.keys().cloned().collect();
    let mode = plan.mode.unwrap_or(VolumeRecord::default_mode(copies));
    let write_ack = plan.write_ack.unwrap_or(match mode {
        DurabilityMode::BestEffort => WriteAck::Local,
        DurabilityMode::SyncAll | DurabilityMode::SyncQuorum => WriteAck::Received,
    });
    VolumeRecord {
        volume,
        name: plan.name.clone(),
        blocks: plan.blocks,
        epoch: Epoch(0),
        revision: Revision(0),
        primary: None,
        members,
        voters: all.clone(),
        isr: all,
        mode,
        min_in_sync: plan.min_in_sync.unwrap_or(copies.saturating_sub(1).max(1)),
        write_ack,
        committed_seen: (Epoch(0), Lsn(0)),
    }
}
