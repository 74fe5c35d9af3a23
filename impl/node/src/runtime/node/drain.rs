//! Going down in order: what clients were told is made durable, and volumes go on elsewhere.
//!
//! ```text
//!   no new clients, no new writes -> what is logged is committed -> roles given up, leases ended
//!     -> another in-sync copy promoted, where one can take over -> stores closed
//! ```
//!
//! Promises: each step is bounded, and what it could not do is said and left; nothing that was
//! acknowledged depends on any of it.

use std::sync::Arc;
use std::time::Duration;

use holdfast_types::{DurabilityMode, ReplicaId, VolumeRecord};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::super::primary::{Primary, StopReason};
use super::NodeShared;
use crate::controller::drive::{Choice, promote};

/// How long acknowledged writes may take to be committed.
const SETTLE_WAIT: Duration = Duration::from_secs(8);

/// How long another copy may take to take over.
const HAND_OVER_WAIT: Duration = Duration::from_secs(8);

/// What becomes of the volumes that a stopping node serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Successor {
    /// Another copy is promoted, where one can take over.
    Promoted,
    /// Nobody: all the others are stopped too.
    None,
}

/// Whether a copy beside `own` may be promoted when that is gone.
fn has_successor(record: &VolumeRecord, own: &ReplicaId) -> bool {
    let others = record.isr.iter().filter(|member| *member != own);
    match record.mode {
        // Only the last primary's own store holds what was acknowledged.
        DurabilityMode::BestEffort => false,
        DurabilityMode::SyncAll => others.count() > 0,
        DurabilityMode::SyncQuorum => {
            let voters = others.filter(|member| record.voters.contains(*member));
            voters.count() > record.voters.len() / 2
        }
    }
}

impl NodeShared {
    /// Gives up every role of this node, all volumes at once.
    pub(super) async fn drain(self: &Arc<Self>, successor: Successor) {
        let primaries: Vec<Arc<Primary>> = {
            let slots = self.slots();
            slots
                .values()
                .filter_map(|slot| slot.primary.clone())
                .collect()
        };
        let mut drained = JoinSet::new();
        for primary in primaries {
            drained.spawn(Arc::clone(self).drain_one(primary, successor));
        }
        while drained.join_next().await.is_some() {}
    }

    async fn drain_one(self: Arc<Self>, primary: Arc<Primary>, successor: Successor) {
        let volume = primary.volume();
        if !primary.settle_for_good(SETTLE_WAIT).await {
            tracing::warn!(%volume, "not everything could be committed before this node stops");
        }
        let record = primary.record();
        let asked = primary.stop_reason().is_none();
        primary.stop(StopReason::Asked);
        primary.finished().await;
        // One that was deposed has a successor, or whoever deposed it sees to that.
        if asked && successor == Successor::Promoted {
            self.hand_over(&record).await;
        }
    }

    async fn hand_over(&self, record: &VolumeRecord) {
        let volume = record.volume;
        if self.served_authority.is_some() {
            return tracing::info!(%volume, "this node keeps the authority: nobody can take over");
        }
        if !has_successor(record, &self.facts.id) {
            return tracing::info!(%volume, "no other copy can take over");
        }
        let wait = self.config.limits.promotion_wait;
        let promoted = promote(
            &self.authority,
            &self.protection,
            volume,
            &Choice::Eligible,
            wait,
        );
        match timeout(HAND_OVER_WAIT, promoted).await {
            Ok(Ok((promotion, record))) => {
                tracing::info!(%volume, epoch = %record.epoch, to = %promotion.primary, "handed over");
            }
            Ok(Err(error)) => tracing::warn!(%volume, %error, "nobody took over"),
            Err(_) => tracing::warn!(%volume, "nobody took over in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use holdfast_types::{
        DurabilityMode, Epoch, Lsn, ReplicaId, Revision, VolumeId, VolumeRecord, WriteAck,
    };

    use super::has_successor;

    fn set(names: &[&str]) -> BTreeSet<ReplicaId> {
        names.iter().map(|n| ReplicaId::new(*n).unwrap()).collect()
    }

    fn record(mode: DurabilityMode, voters: &[&str], isr: &[&str]) -> VolumeRecord {
        VolumeRecord {
            volume: VolumeId::random(),
            name: "v".into(),
            blocks: 1,
            epoch: Epoch(1),
            revision: Revision(1),
            primary: None,
            members: BTreeMap::new(),
            voters: set(voters),
            isr: set(isr),
            mode,
            min_in_sync: 1,
            write_ack: WriteAck::Received,
            committed_seen: (Epoch(0), Lsn(0)),
        }
    }

    #[test]
    fn a_volume_is_handed_over_only_where_enough_copies_stay() {
        let own = ReplicaId::new("a").unwrap();
        let all = ["a", "b", "c"];
        for (mode, isr, expected) in [
            (DurabilityMode::BestEffort, &all[..], false),
            (DurabilityMode::SyncAll, &["a"], false),
            (DurabilityMode::SyncAll, &["a", "b"], true),
            (DurabilityMode::SyncQuorum, &["a", "b"], false),
            (DurabilityMode::SyncQuorum, &all, true),
        ] {
            let found = has_successor(&record(mode, &all, isr), &own);
            assert_eq!(found, expected, "{mode:?} {isr:?}");
        }
    }
}
