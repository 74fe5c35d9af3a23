//! What is seen of the cluster beside the engine's state, as plain values, taken from either side by a
//! function of its own.

use std::collections::BTreeMap;

use holdfast_model::session::state::Phase;
use holdfast_model::session::{Session as Spec, State};
use holdfast_types::{Lineage, Lsn};

use super::cluster::Cluster;
use crate::l1::translate::{self, lsn};

/// Stores and sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoresView {
    /// The primary's stores, by the place of their volume.
    pub sources: Vec<SourceView>,
    /// The replicas' stores, by the slot of their sender, where the specification knows what is true
    /// of them.
    pub replicas: BTreeMap<usize, ReplicaView>,
    /// The slots that have a session.
    pub sessions: Vec<usize>,
}

/// A primary's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceView {
    /// The last entry.
    pub head: Lsn,
    /// What is committed.
    pub committed: Lsn,
    /// What the extent holds.
    pub checkpoint: Lsn,
    /// What it may hold.
    pub extent_bound: Lsn,
    /// From where the log can be replayed.
    pub retained_from: Option<Lsn>,
    /// Which epoch each entry is of.
    pub lineage: Lineage,
}

/// A replica's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaView {
    /// Which epoch each entry is of, as far as it is proven.
    pub proven: Lineage,
    /// As far as it is proven.
    pub upto: Lsn,
    /// What its extent may hold.
    pub extent_bound: Lsn,
}

/// Where the specification's ghost of a replica says what is true of it: from the report that is
/// looked at on, but not while a base is on its way.
fn is_known(state: &State, slot: usize) -> bool {
    let session = state.senders[slot].and_then(|sender| sender.session);
    session.is_some_and(|session| {
        matches!(
            session.phase,
            Phase::CatchUp(_) | Phase::TailReplay(_) | Phase::Completed(_)
        )
    })
}

/// What the specification says.
///
/// # Panics
/// When its lineages go back, which they cannot.
#[must_use]
pub fn of_specification(spec: &Spec, state: &State) -> StoresView {
    let lineage = |log: &holdfast_model::session::log::Log| {
        translate::lineage(&log.lineage(0)).expect("epochs of a log never go back")
    };
    let mut view = StoresView::default();
    for history in state.histories.iter().take(spec.volumes().len()) {
        view.sources.push(SourceView {
            head: lsn(history.log.head()),
            committed: lsn(history.committed),
            checkpoint: lsn(history.checkpoint),
            extent_bound: lsn(history.extent_bound),
            retained_from: history.retained_from.map(lsn),
            lineage: lineage(&history.log),
        });
    }
    for slot in 0..spec.senders() {
        if state.senders[slot].is_some_and(|sender| sender.session.is_some()) {
            view.sessions.push(slot);
        }
        if is_known(state, slot) {
            let ghost = &state.ghosts[slot];
            let replica = ReplicaView {
                proven: lineage(&ghost.log),
                upto: lsn(ghost.log.head()),
                extent_bound: lsn(ghost.extent_bound),
            };
            view.replicas.insert(slot, replica);
        }
    }
    view
}

/// What the cluster shows; of replicas, as much as the specification speaks of.
#[must_use]
pub fn of_cluster(_: &Spec, state: &State, cluster: &Cluster) -> StoresView {
    let mut view = StoresView::default();
    for source in &cluster.sources {
        let positions = source.store.positions();
        view.sources.push(SourceView {
            head: positions.head,
            committed: positions.committed,
            checkpoint: positions.checkpoint,
            extent_bound: positions.extent_bound,
            retained_from: positions.retained_from,
            lineage: source.store.volume().lineage(),
        });
    }
    for (&slot, line) in &cluster.lines {
        view.sessions.push(slot);
        if let Some(store) = line.replica()
            && is_known(state, slot)
        {
            let positions = store.positions();
            // What was streamed and is not proven yet is the product's own business.
            let upto = lsn(state.ghosts[slot].log.head()).min(positions.durable);
            let mut proven = store.volume().lineage();
            proven.truncate_to(upto);
            let replica = ReplicaView {
                proven,
                upto,
                extent_bound: positions.extent_bound,
            };
            view.replicas.insert(slot, replica);
        }
    }
    view
}

/// Whether the copies of completed sessions are those of the primary, entry by entry and, where both
/// reach equally far, block by block (C1).
///
/// # Errors
/// What differs.
pub fn copies_are_equal(state: &State, spec: &Spec, cluster: &Cluster) -> Result<u64, String> {
    let mut compared = 0;
    for (&slot, line) in &cluster.lines {
        let session = state.senders[slot].and_then(|sender| sender.session);
        let Some(Phase::Completed(completed)) = session.map(|session| session.phase) else {
            continue;
        };
        let Some(replica) = line.replica() else {
            return Err("a completed session without a replica".into());
        };
        if line.holds_anything() {
            return Err("a completed session holds something back".into());
        }
        let source = &cluster.sources[spec.volume_index(slot)].store;
        let (ours, theirs) = (source.positions(), replica.positions());
        let after = ours.retained_from.max(theirs.retained_from);
        let after = after.ok_or("a completed session between stores without a log")?;
        if after > theirs.head || after > ours.head {
            // None of the log of the one is in that of the other any more.
            continue;
        }
        let entries = |store: &holdfast_node::runtime::LocalStore| {
            let mut entries = store
                .volume()
                .entries(after, u64::MAX)
                .map_err(|error| error.to_string())?;
            entries.retain(|entry| entry.lsn <= lsn(completed.acked));
            Ok::<_, String>(entries)
        };
        let (here, there) = (entries(source)?, entries(replica)?);
        if here != there {
            return Err(format!("the logs differ: {here:?} and {there:?}"));
        }
        compared += here.len() as u64;
        if ours.head == theirs.head {
            let read = |store: &holdfast_node::runtime::LocalStore| {
                let blocks = store.volume().blocks();
                let range = holdfast_types::BlockRange::new(0, blocks)
                    .map_err(|error| error.to_string())?;
                let length = usize::try_from(blocks).unwrap_or(0) * holdfast_types::BLOCK_SIZE;
                let mut bytes = vec![0; length];
                let read = store.volume().read(range, &mut bytes);
                read.map_err(|error| error.to_string())?;
                Ok::<_, String>(bytes)
            };
            if read(source)? != read(replica)? {
                return Err("the images differ".into());
            }
        }
    }
    Ok(compared)
}
