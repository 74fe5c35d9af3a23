//! Following the authority's records: which role to take up, and which to give up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use holdfast_types::VolumeId;
use tokio::time::timeout;

use super::super::export::PrimaryExport;
use super::super::primary::{Primary, StopReason};
use super::{Life, NodeShared};
use crate::authority::{RecordVersion, Recorded};
use crate::controller::rollback::{Found, Known};

/// How often the records are read when nobody says that they changed.
const READ_EVERY: Duration = Duration::from_millis(500);

/// How long one reading may take.
const READ_WAIT: Duration = Duration::from_secs(5);

/// Reads the records until the node stops.
pub(super) async fn follow(node: Arc<NodeShared>) {
    loop {
        let known = known(&node);
        match timeout(READ_WAIT, node.authority.volumes()).await {
            Ok(Ok(records)) => {
                let refused = rolled_back(&node, &known, &records);
                for recorded in records {
                    if !refused.contains(&recorded.record.volume) {
                        observe(&node, recorded).await;
                    }
                }
            }
            Ok(Err(error)) => tracing::debug!(%error, "the authority's records were not read"),
            Err(_) => tracing::debug!("the authority does not answer"),
        }
        tokio::select! {
            () = tokio::time::sleep(READ_EVERY) => {}
            () = node.record_changed.notified() => {}
            () = node.stopping() => return,
        }
    }
}

/// What is known of each record before the authority is asked.
fn known(node: &NodeShared) -> BTreeMap<VolumeId, Known> {
    let slots: Vec<_> = {
        let slots = node.slots();
        let each = slots.iter().map(|(volume, slot)| {
            let recorded = slot.recorded.as_ref();
            let read = recorded.map(|recorded| RecordVersion::of(&recorded.record));
            (*volume, Arc::clone(&slot.store), read)
        });
        each.collect()
    };
    // Without the lock on the slots: a store may keep its callers waiting.
    let known = slots.into_iter().map(|(volume, store, read)| {
        let promise = store.volume().promise();
        let known = Known {
            promised: promise.epoch,
            leader: promise.leader,
            read,
        };
        (volume, known)
    });
    known.collect()
}

/// The volumes whose records went back behind what was known before they were asked for: nothing is
/// done on such a record, and the alarm is raised (F85, F91).
fn rolled_back(
    node: &NodeShared,
    known: &BTreeMap<VolumeId, Known>,
    records: &[Recorded],
) -> BTreeSet<VolumeId> {
    let mut refused = BTreeSet::new();
    for (volume, known) in known {
        let mut found = records.iter().map(|recorded| &recorded.record);
        let recorded = found.find(|record| record.volume == *volume);
        let rolled_back = known.against(recorded.map(Found::of));
        node.recovery.note_rollback(*volume, rolled_back);
        if rolled_back.is_some() {
            refused.insert(*volume);
        }
    }
    refused
}

/// Acts on a record that was read.
async fn observe(node: &Arc<NodeShared>, recorded: Recorded) {
    let record = &recorded.record;
    let volume = record.volume;
    if recorded.deleted {
        return node.give_up_deleted(record).await;
    }
    // Also one whose copy was taken out since: a newer record ends its role.
    if let Some(primary) = node.primary(volume) {
        primary.adopt(record);
        if primary.stop_reason().is_some() {
            primary.finished().await;
        }
    }
    if !record.members.contains_key(&node.facts.id) {
        return node.note_removed(recorded);
    }
    if node.store(volume).is_none() {
        return node.note_missing(record);
    }
    take_up(node, volume, recorded);
}

/// Takes the role of a primary up if the record gives it to this node, this store was fenced at that
/// epoch, and this process has not tried it before.
fn take_up(node: &Arc<NodeShared>, volume: VolumeId, recorded: Recorded) {
    let Some(store) = node.store(volume) else {
        return;
    };
    let record = recorded.record.clone();
    // Before the lock on the slots: a store may keep its callers waiting, and nobody else's volume
    // waits with them.
    store.set_mode(record.mode);
    let promised = store.volume().promise().epoch;
    let recorded_here = record
        .members
        .get(&node.facts.id)
        .is_some_and(|member| member.store == store.volume().store_id());
    if promised > record.epoch {
        tracing::debug!(%volume, %promised, epoch = %record.epoch,
            "a newer epoch is promised here than the record has");
    }
    let mut slots = node.slots();
    let Some(slot) = slots.get_mut(&volume) else {
        return;
    };
    slot.recorded = Some(recorded);
    let mine = record.primary.as_ref() == Some(&node.facts.id)
        && record.epoch == promised
        && record.epoch > slot.attempted
        && slot.primary.is_none()
        && recorded_here
        && Arc::ptr_eq(&slot.store, &store);
    if !mine || *node.life.borrow() != Life::Running {
        return;
    }
    slot.attempted = record.epoch;
    let name = record.name.clone();
    drop(slots);
    let primary = Arc::new(Primary::new(node.services(), store, record));
    {
        let mut slots = node.slots();
        let Some(slot) = slots.get_mut(&volume) else {
            return;
        };
        slot.primary = Some(Arc::clone(&primary));
    }
    tokio::spawn(serve(Arc::clone(node), primary, name));
}

/// The life of one primary, with its clients.
async fn serve(node: Arc<NodeShared>, primary: Arc<Primary>, name: String) {
    let ended = {
        let (node, primary) = (Arc::clone(&node), Arc::clone(&primary));
        async move {
            node.crashed().await;
            primary.stop(StopReason::Deposed {
                by: primary.epoch(),
            });
        }
    };
    let watcher = tokio::spawn(ended);
    let run = Arc::clone(&primary).run(
        async |primary| {
            let export = PrimaryExport::new(Arc::clone(primary));
            if let Err(error) = node.exports.serve(&name, export) {
                tracing::error!(volume = %primary.volume(), %error, "clients cannot be let in");
            }
        },
        async |_| {
            node.exports.withdraw(&name).await;
        },
    );
    run.await;
    watcher.abort();
    if let Some(slot) = node.slots().get_mut(&primary.volume())
        && slot
            .primary
            .as_ref()
            .is_some_and(|present| Arc::ptr_eq(present, &primary))
    {
        slot.primary = None;
    }
    node.record_changed.notify_one();
}
