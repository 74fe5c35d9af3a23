//! Whole recoveries, with three nodes in one process: real files, real sockets, cut links, crashes.

use std::time::Duration;

use crate::support::{BLOCKS, Cluster, Reference, pattern};
use bytes::Bytes;
use holdfast_node::authority::RecordVersion;
use holdfast_node::runtime::{ControlReply, ControlRequest};
use holdfast_types::{
    BLOCK_SIZE, BlockRange, DurabilityMode, EntryKind, Lsn, ReplicaId, SnapshotId, SnapshotLabel,
    VolumeOperation,
};

pub(crate) fn id(name: &str) -> ReplicaId {
    ReplicaId::new(name).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t2_what_is_flushed_is_on_every_copy_block_by_block() {
    let cluster = Cluster::start(&["a", "b", "c"], DurabilityMode::SyncQuorum).await;
    let primary = cluster.serving().await;
    let mut reference = Reference::new();
    for n in 0..20 {
        reference.write(&primary, n * 50, 7, n as u8 + 1).await;
    }
    reference.trim(&primary, 101, 30).await;
    primary.flush().await.unwrap();
    let mut read = vec![0; BLOCK_SIZE];
    let range = BlockRange::new(50, 1).unwrap();
    primary.read(range, &mut read).await.unwrap();
    assert_eq!(read, reference.block(50));
    cluster.all_copies_equal(&reference).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a4_a_copy_that_was_cut_off_catches_up_without_any_traffic() {
    let cluster = Cluster::start(&["a", "b", "c"], DurabilityMode::SyncQuorum).await;
    let primary = cluster.serving().await;
    let mut reference = Reference::new();
    reference.write(&primary, 0, 10, 1).await;
    let own = primary.record().primary.unwrap();
    let cut = ["a", "b", "c"]
        .into_iter()
        .find(|n| *n != own.as_str())
        .unwrap();
    cluster.until_in_sync(cut).await;
    cluster.link(cut).cut();
    for n in 0..40 {
        reference.write(&primary, 5 + n * 3, 4, n as u8 + 2).await;
    }
    primary.flush().await.unwrap();
    cluster
        .until("the primary has noticed", |cluster| {
            cluster
                .sender(cut)
                .is_some_and(|(state, _)| state != "in_sync")
        })
        .await;
    cluster.link(cut).mend();
    // No write, no flush: recovery needs no traffic (F48).
    cluster.until_in_sync(cut).await;
    cluster.all_copies_equal(&reference).await;
    let events = cluster.events(own.as_str()).await;
    let rebuilt = events.iter().any(|(event, ..)| event == "transfer_began");
    assert!(!rebuilt, "a short gap is caught up, not rebuilt");
}

/// A cluster whose old primary is down with a tail that nobody else has, up to the position returned,
/// and whose new primary serves.
async fn with_a_divergent_tail() -> (Cluster, Reference, &'static str, Lsn) {
    let mut cluster = Cluster::start(&["a", "b", "c"], DurabilityMode::SyncQuorum).await;
    let primary = cluster.serving().await;
    let mut reference = Reference::new();
    reference.write(&primary, 0, 10, 1).await;
    primary.flush().await.unwrap();
    let old = primary.record().primary.unwrap();
    let old = ["a", "b", "c"]
        .into_iter()
        .find(|n| *n == old.as_str())
        .unwrap();
    let others: Vec<_> = ["a", "b", "c"].into_iter().filter(|n| *n != old).collect();
    for other in &others {
        cluster.until_in_sync(other).await;
        cluster.link(other).cut();
    }
    cluster
        .until("the primary has noticed", |cluster| {
            let lost = |name| {
                cluster
                    .sender(name)
                    .is_some_and(|(state, _)| state != "in_sync")
            };
            others.iter().all(|other| lost(other))
        })
        .await;
    // What only the old primary logs is never acknowledged.
    let before = primary.progress().written;
    let lost = Bytes::from(pattern(3, 5, 0xee));
    let range = BlockRange::new(3, 5).unwrap();
    let unacknowledged = primary.write(EntryKind::Write, range, lost, false);
    let waited = tokio::time::timeout(Duration::from_millis(300), unacknowledged).await;
    assert!(waited.is_err(), "one copy alone acknowledged a write");
    assert_eq!(primary.progress().written, before);
    let store = cluster.node(old).store(cluster.volume).unwrap();
    store.sync().unwrap();
    let diverged_at = store.positions().head;
    assert!(diverged_at > before);
    drop(store);
    drop(primary);
    cluster.crash(old).await;
    for other in &others {
        cluster.link(other).mend();
    }
    let record = cluster.promote().await;
    assert_ne!(record.primary, Some(id(old)));
    (cluster, reference, old, diverged_at)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f30_returning_primary_is_truncated_to_what_its_successor_holds() {
    let (mut cluster, mut reference, old, _) = with_a_divergent_tail().await;
    let primary = cluster.serving().await;
    reference.write(&primary, 4, 3, 9).await;
    primary.flush().await.unwrap();
    cluster.restart(old).await;
    cluster.until_in_sync(old).await;
    cluster.all_copies_equal(&reference).await;
    let new = primary.record().primary.unwrap();
    let events = cluster.events(new.as_str()).await;
    let truncated = events
        .iter()
        .any(|(event, replica, _)| event == "truncated" && *replica == Some(id(old)));
    assert!(truncated, "the tail was not cut: {events:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f43_an_emptied_copy_is_rebuilt_while_writes_go_on() {
    let mut cluster = Cluster::start(&["a", "b", "c"], DurabilityMode::SyncQuorum).await;
    let primary = cluster.serving().await;
    let mut reference = Reference::new();
    // More than the log holds, so that only a base can bring the copy back.
    for n in 0..120 {
        reference
            .write(&primary, n * 17 % (BLOCKS - 16), 16, n as u8)
            .await;
    }
    primary.flush().await.unwrap();
    let own = primary.record().primary.unwrap();
    let emptied = ["a", "b", "c"]
        .into_iter()
        .find(|n| *n != own.as_str())
        .unwrap();
    let old_store = primary.record().members[&id(emptied)].store;
    cluster.crash(emptied).await;
    cluster.replace_disk(emptied);
    cluster.restart(emptied).await;
    let mut n = 0_u64;
    while primary.record().members[&id(emptied)].store == old_store {
        reference
            .write(&primary, n * 31 % (BLOCKS - 2), 2, n as u8)
            .await;
        n += 1;
        assert!(n < 200_000, "a rebuild under load must end");
    }
    assert!(n > 0, "writes went on");
    cluster.all_copies_equal(&reference).await;
    let events = cluster.events(own.as_str()).await;
    let of = |name: &str| {
        events
            .iter()
            .position(|(event, replica, _)| event == name && *replica == Some(id(emptied)))
    };
    assert!(of("transfer_began") < of("base_installed"));
    assert!(of("transfer_began").is_some(), "no rebuild: {events:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f58_a_node_whose_store_is_gone_makes_none_before_it_is_told_to() {
    let mut cluster = Cluster::start(&["a", "b", "c"], DurabilityMode::SyncQuorum).await;
    let primary = cluster.serving().await;
    let mut reference = Reference::new();
    reference.write(&primary, 0, 40, 1).await;
    primary.flush().await.unwrap();
    let own = primary.record().primary.unwrap();
    let lost = ["a", "b", "c"]
        .into_iter()
        .find(|n| *n != own.as_str())
        .unwrap();
    let recorded = primary.record().members[&id(lost)].store;
    cluster.until_in_sync(lost).await;
    cluster.crash(lost).await;
    cluster.replace_disk(lost);
    cluster.start_again(lost).await;
    cluster
        .until("the node says what is missing", |cluster| {
            let status = cluster.node(lost).status();
            status.missing.iter().any(|m| m.store == recorded)
        })
        .await;
    cluster
        .until("the primary knows that there is no store", |cluster| {
            cluster
                .sender(lost)
                .is_some_and(|(state, _)| state != "in_sync")
        })
        .await;
    reference.write(&primary, 20, 40, 2).await;
    assert!(cluster.node(lost).store(cluster.volume).is_none());
    let again = ControlRequest::CreateStore {
        volume: cluster.volume,
        blocks: BLOCKS,
        log_bytes: 4 << 20,
    };
    let refused = cluster.ask_node(lost, &again).await;
    assert!(
        refused.is_err_and(|error| error.to_string().contains("replica replace")),
        "a store on record was made anew by the way of a first one"
    );
    cluster.replace_store(lost).await;
    cluster.until_in_sync(lost).await;
    assert_ne!(primary.record().members[&id(lost)].store, recorded);
    assert!(cluster.node(lost).status().missing.is_empty());
    cluster.all_copies_equal(&reference).await;
    let twice = ControlRequest::ReplaceStore { volume: "v".into() };
    let refused = cluster.ask_node(lost, &twice).await;
    assert!(refused.is_err(), "a store that is there is not replaced");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f96_the_logs_of_a_volume_are_of_one_size_whatever_their_nodes_would_like() {
    let mut cluster = Cluster::start(&["a", "b", "c"], DurabilityMode::SyncQuorum).await;
    let primary = cluster.serving().await;
    let log_bytes = |cluster: &Cluster, name: &str| {
        let store = cluster.node(name).store(cluster.volume).unwrap();
        store.log_bytes()
    };
    for name in ["a", "b", "c"] {
        assert_eq!(log_bytes(&cluster, name), 4 << 20, "{name}");
    }
    if primary.record().primary == Some(id("c")) {
        return;
    }
    // The node that would like another size gets no chance with a replaced store either.
    cluster.until_in_sync("c").await;
    cluster.crash("c").await;
    cluster.replace_disk("c");
    cluster.restart("c").await;
    assert_eq!(log_bytes(&cluster, "c"), 4 << 20);
    cluster.until_in_sync("c").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f56_a_member_that_is_gone_leaves_the_set_and_joins_it_again() {
    let mut cluster = Cluster::start(&["a", "b"], DurabilityMode::SyncAll).await;
    let primary = cluster.serving().await;
    let own = primary.record().primary.unwrap();
    let gone = if own == id("a") { "b" } else { "a" };
    let mut reference = Reference::new();
    reference.write(&primary, 0, 10, 1).await;
    primary.flush().await.unwrap();
    cluster.until_in_sync(gone).await;
    cluster.crash(gone).await;
    // Acknowledged only once the member has left: until then both copies are asked for.
    reference.write(&primary, 5, 10, 2).await;
    primary.flush().await.unwrap();
    assert!(!primary.record().isr.contains(&id(gone)));
    cluster.restart(gone).await;
    cluster.until_in_sync(gone).await;
    assert!(primary.record().isr.contains(&id(gone)));
    reference.write(&primary, 9, 10, 3).await;
    cluster.all_copies_equal(&reference).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a5_a_catch_up_that_progresses_may_take_longer_than_its_stall_budget() {
    const STALL: Duration = Duration::from_millis(1500);
    const BYTES_PER_SECOND: u64 = 3 << 20;
    let cluster = Cluster::start_with(&["a", "b", "c"], DurabilityMode::SyncQuorum, 1, |limits| {
        limits.log_size = Some(64 << 20);
        limits.sessions.stall = STALL;
    })
    .await;
    let primary = cluster.serving().await;
    let mut reference = Reference::new();
    reference.write(&primary, 0, 10, 1).await;
    let own = primary.record().primary.unwrap();
    let slow = ["a", "b", "c"]
        .into_iter()
        .find(|n| *n != own.as_str())
        .unwrap();
    cluster.until_in_sync(slow).await;
    cluster.link(slow).cut();
    // 12 MiB: four seconds on the slow link.
    for n in 0..48 {
        reference.write(&primary, n % 8 * 64, 64, n as u8).await;
    }
    primary.flush().await.unwrap();
    cluster.link(slow).slow_down(BYTES_PER_SECOND);
    let began = std::time::Instant::now();
    cluster.link(slow).mend();
    cluster.until_in_sync(slow).await;
    assert!(began.elapsed() > 2 * STALL, "{:?}", began.elapsed());
    let events = cluster.events(own.as_str()).await;
    let escalated = events
        .iter()
        .find(|(_, _, cause)| cause.as_deref() == Some("budget_stall"));
    assert_eq!(escalated, None);
    cluster.all_copies_equal(&reference).await;
}

/// The names of the copies but the primary's.
pub(crate) fn others(own: &ReplicaId) -> Vec<&'static str> {
    let names = ["a", "b", "c"].into_iter();
    names.filter(|name| *name != own.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f34_a_restored_snapshot_is_logged_at_new_positions_and_reaches_every_copy() {
    let cluster = Cluster::start(&["a", "b", "c"], DurabilityMode::SyncQuorum).await;
    let primary = cluster.serving().await;
    let own = primary.record().primary.unwrap();
    for other in others(&own) {
        cluster.until_in_sync(other).await;
    }
    let mut reference = Reference::new();
    reference.write(&primary, 0, 8, 1).await;
    let before_the_snapshot = reference.clone();
    let store = cluster.node(own.as_str()).store(cluster.volume).unwrap();
    let epoch = primary.epoch();
    let label = SnapshotLabel::new("before").unwrap();
    let created = VolumeOperation::SnapshotCreate { label };
    let lsn = store.append_operation(epoch, &created).unwrap();
    reference.write(&primary, 0, 8, 2).await;
    reference.write(&primary, 20, 1, 3).await;
    primary.flush().await.unwrap();
    let before = store.positions().head;
    cluster
        .until("the snapshot is there", |_| {
            store.snapshots().is_ok_and(|found| !found.is_empty())
        })
        .await;
    let snapshot = SnapshotId { lsn, epoch };
    let restore = VolumeOperation::Restore { snapshot };
    let at = store.append_operation(epoch, &restore).unwrap();
    assert!(at > before, "a restore goes forward in the log");
    cluster
        .until("the restore is carried out", |_| {
            store.restoring().is_none()
        })
        .await;
    // What came after the snapshot is gone, and new writes are new entries on every copy.
    let mut expected = before_the_snapshot;
    expected.write(&primary, 40, 2, 9).await;
    cluster.all_copies_equal(&expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f51_a_copy_whose_address_is_set_again_is_caught_up_from_what_it_lacks() {
    let cluster = Cluster::start(&["a", "b", "c"], DurabilityMode::SyncQuorum).await;
    let primary = cluster.serving().await;
    let own = primary.record().primary.unwrap();
    let moved = others(&own)[0];
    for other in others(&own) {
        cluster.until_in_sync(other).await;
    }
    let mut reference = Reference::new();
    reference.write(&primary, 0, 10, 1).await;
    cluster.link(moved).cut();
    reference.write(&primary, 5, 10, 2).await;
    primary.flush().await.unwrap();
    // Its old address stays cut; the record gets the new one.
    let address = cluster.node(moved).data_address();
    loop {
        let mut record = primary.record();
        let expected = RecordVersion::of(&record);
        let endpoint = &mut record.members.get_mut(&id(moved)).unwrap().endpoint;
        endpoint.data = address;
        endpoint.version.0 += 1;
        let record = Box::new(record);
        let set = ControlRequest::AuthorityCompareAndSet { expected, record };
        match cluster.try_ask(&set).await {
            Ok(ControlReply::Recorded { .. }) => break,
            // The primary changes the record too, as the copy leaves the set.
            Err(error) => assert!(error.to_string().contains("the record is at"), "{error}"),
            Ok(other) => panic!("{other:?}"),
        }
    }
    cluster.all_copies_equal(&reference).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f53_a_log_of_equal_length_with_another_end_is_not_taken_for_in_sync() {
    let (mut cluster, mut reference, old, diverged_at) = with_a_divergent_tail().await;
    let primary = cluster.serving().await;
    // By number nothing is missing when the old primary comes back.
    while primary.progress().written < diverged_at {
        reference.write(&primary, 100, 1, 9).await;
    }
    primary.flush().await.unwrap();
    cluster.restart(old).await;
    cluster.all_copies_equal(&reference).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f54_what_is_written_during_a_catch_up_is_not_overtaken_by_it() {
    let cluster = Cluster::start(&["a", "b", "c"], DurabilityMode::SyncQuorum).await;
    let primary = cluster.serving().await;
    let own = primary.record().primary.unwrap();
    let late = others(&own)[0];
    for other in others(&own) {
        cluster.until_in_sync(other).await;
    }
    let mut reference = Reference::new();
    cluster.link(late).cut();
    for tag in 1..8 {
        reference.write(&primary, 0, 64, tag).await;
    }
    primary.flush().await.unwrap();
    cluster.link(late).slow_down(2 << 20);
    cluster.link(late).mend();
    // Older content of these very blocks is on its way meanwhile.
    let mut tag = 8;
    while cluster.sender(late) != Some(("in_sync".into(), true)) {
        reference.write(&primary, u64::from(tag) % 64, 1, tag).await;
        tag = tag.wrapping_add(1).max(8);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    cluster.all_copies_equal(&reference).await;
}
