//! Whole recoveries, with three nodes in one process: real files, real sockets, cut links, crashes.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::{BLOCKS, Cluster, Reference, pattern};
use bytes::Bytes;
use holdfast_node::authority::RecordVersion;
use holdfast_node::runtime::{ControlReply, ControlRequest};
use holdfast_types::{
    BLOCK_SIZE, BlockRange, DurabilityMode, EntryKind, Lsn, ReplicaId, SnapshotId, SnapshotLabel,
    VolumeOperation,
};

fn id(name: &str) -> ReplicaId {
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
async fn f92_a_restarted_primary_serves_nothing_until_a_new_epoch_is_minted() {
    let mut cluster = Cluster::start(&["a"], DurabilityMode::BestEffort).await;
    let primary = cluster.serving().await;
    let mut reference = Reference::new();
    reference.write(&primary, 0, 10, 1).await;
    primary.flush().await.unwrap();
    let epoch = primary.epoch();
    drop(primary);
    cluster.crash("a").await;
    cluster.restart("a").await;
    cluster
        .until(
            "the node was refused the lease of its old epoch",
            |cluster| {
                let node = cluster.node("a");
                let status = node.status();
                let volume = status.volumes.iter().find(|v| v.volume == cluster.volume);
                volume.is_some_and(|v| v.record.is_some()) && node.primary(cluster.volume).is_none()
            },
        )
        .await;
    let record = cluster.promote().await;
    assert!(record.epoch > epoch);
    let primary = cluster.serving().await;
    assert_eq!(primary.epoch(), record.epoch);
    cluster.all_copies_equal(&reference).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f98_a_primary_that_is_asked_to_stop_hands_over_without_waiting_for_its_lease() {
    let cluster = Cluster::start(&["a", "b", "c"], DurabilityMode::SyncQuorum).await;
    let old = cluster.serving().await;
    let mut reference = Reference::new();
    // Acknowledged, never flushed: received by a majority, so it survives the handover (W1).
    reference.write(&old, 0, 100, 1).await;
    let record = cluster.promote().await;
    assert!(record.epoch > old.epoch());
    assert!(old.stop_reason().is_some(), "the old primary stepped down");
    let range = BlockRange::new(0, 1).unwrap();
    let mut buffer = vec![0; BLOCK_SIZE];
    assert!(
        old.read(range, &mut buffer).await.is_err(),
        "a deposed primary serves no read"
    );
    let primary = cluster.serving().await;
    assert_eq!(primary.epoch(), record.epoch);
    cluster.all_copies_equal(&reference).await;
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
async fn f83_a_primary_whose_lease_ran_out_answers_no_read() {
    let mut cluster = Cluster::start(&["a", "b", "c"], DurabilityMode::SyncQuorum).await;
    let primary = cluster.serving().await;
    let mut reference = Reference::new();
    reference.write(&primary, 0, 1, 1).await;
    let range = BlockRange::new(0, 1).unwrap();
    let mut buffer = vec![0; BLOCK_SIZE];
    primary.read(range, &mut buffer).await.unwrap();
    assert_eq!(buffer, reference.block(0));
    cluster.crash_keeper().await;
    cluster
        .until("the lease has run out", |_| {
            primary.lease_remaining().is_zero()
        })
        .await;
    let held = tokio::time::timeout(Duration::from_millis(300), primary.read(range, &mut buffer));
    assert!(held.await.is_err(), "a read was answered without a lease");
    let flush = tokio::time::timeout(Duration::from_millis(300), primary.flush());
    assert!(
        flush.await.is_err(),
        "a flush was acknowledged without a lease"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f94_after_a_forced_promotion_the_others_come_back_as_members_and_voters() {
    let mut cluster = Cluster::start(&["a", "b", "c"], DurabilityMode::SyncQuorum).await;
    let primary = cluster.serving().await;
    let mut reference = Reference::new();
    reference.write(&primary, 0, 10, 1).await;
    primary.flush().await.unwrap();
    for name in ["a", "b", "c"] {
        if Some(id(name)) != primary.record().primary {
            cluster.until_in_sync(name).await;
        }
    }
    let own = primary.record().primary.unwrap();
    let names: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .filter(|n| *n != own.as_str())
        .collect();
    let old = ["a", "b", "c"]
        .into_iter()
        .find(|n| *n == own.as_str())
        .unwrap();
    drop(primary);
    cluster.crash(old).await;
    cluster.crash(names[1]).await;
    let request = ControlRequest::Promote {
        volume: "v".into(),
        replica: Some(id(names[0])),
        forced: true,
    };
    let reply = cluster.ask(&request).await;
    let ControlReply::Promoted { promotion, record } = reply else {
        panic!("not promoted: {reply:?}");
    };
    assert!(promotion.may_have_lost_power());
    assert_eq!(record.voters.len(), 1);
    let primary = cluster.serving().await;
    reference.write(&primary, 3, 10, 2).await;
    primary.flush().await.unwrap();
    cluster.restart(old).await;
    cluster.restart(names[1]).await;
    cluster.until_in_sync(old).await;
    cluster.until_in_sync(names[1]).await;
    assert_eq!(primary.record().voters.len(), 3);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f85_a_rolled_back_authority_is_refused_and_raises_an_alarm() {
    let mut cluster = Cluster::start(&["a", "b", "c"], DurabilityMode::SyncQuorum).await;
    let first = cluster.serving().await.record();
    let alarm = |cluster: &Cluster, name: &str| {
        let status = cluster.node(name).status();
        let volume = status.volumes.into_iter().next();
        volume.and_then(|volume| volume.alarm)
    };
    let saved = cluster.keeper_directory().with_extension("saved");
    let records = cluster.keeper_directory().join("authority");
    cluster.crash_keeper().await;
    let record = std::fs::read_dir(records).unwrap().next().unwrap().unwrap();
    std::fs::copy(record.path(), &saved).unwrap();
    cluster.restart_keeper().await;
    let second = cluster.promote().await;
    assert!(second.epoch > first.epoch);
    cluster.serving().await;
    assert_eq!(alarm(&cluster, "a"), None);
    cluster.crash_keeper().await;
    std::fs::copy(&saved, record.path()).unwrap();
    cluster.restart_keeper().await;
    for name in ["a", "b", "c"] {
        cluster
            .until("the alarm is raised", |cluster| {
                alarm(cluster, name).is_some_and(|alarm| alarm.contains("rolled back"))
            })
            .await;
        let events = cluster.events(name).await;
        let raised = events.iter().filter(|(event, _, cause)| {
            event == "authority_rolled_back" && cause.as_deref() == Some("record_older")
        });
        assert_eq!(raised.count(), 1, "once, and not at every reading");
        let status = cluster.node(name).status();
        let record = status.volumes[0].record.as_ref().unwrap();
        assert_eq!(record.epoch, second.epoch, "nothing is taken from it");
    }
    // An operator moves the authority forward: one copy goes on, the others come back by a rebuild.
    let keep = second.primary.unwrap();
    let recover = ControlRequest::RecoverAuthority {
        volume: "v".into(),
        keep: keep.clone(),
        without: BTreeSet::new(),
    };
    let ControlReply::Promoted { promotion, record } = cluster.ask(&recover).await else {
        panic!("not recovered");
    };
    assert!(promotion.forced);
    assert!(record.epoch > second.epoch);
    assert_eq!(record.isr, BTreeSet::from([keep.clone()]));
    let primary = cluster.serving().await;
    let mut reference = Reference::new();
    reference.write(&primary, 7, 3, 1).await;
    cluster.all_copies_equal(&reference).await;
    for name in ["a", "b", "c"] {
        assert_eq!(alarm(&cluster, name), None);
    }
    let events = cluster.events(keep.as_str()).await;
    let rebuilt = events
        .iter()
        .filter(|(event, ..)| event == "transfer_began");
    assert_eq!(rebuilt.count(), 2, "their lineage says nothing any more");
    let again = cluster.try_ask(&recover).await.unwrap_err().to_string();
    assert!(again.contains("it was not rolled back"), "{again}");
}

/// The names of the copies but the primary's.
fn others(own: &ReplicaId) -> Vec<&'static str> {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f59_a_flush_after_a_failover_vouches_for_the_writes_of_before() {
    let mut cluster = Cluster::start(&["a", "b", "c"], DurabilityMode::SyncQuorum).await;
    let primary = cluster.serving().await;
    let own = primary.record().primary.unwrap();
    for other in others(&own) {
        cluster.until_in_sync(other).await;
    }
    let mut reference = Reference::new();
    // Acknowledged, and never flushed by the primary that took it.
    reference.write(&primary, 0, 64, 1).await;
    drop(primary);
    cluster.crash(own.as_str()).await;
    cluster.promote().await;
    let primary = cluster.serving().await;
    primary.flush().await.unwrap();
    let successor = primary.record().primary.unwrap();
    drop(primary);
    // What the flush vouched for survives the next primary too.
    cluster.restart(own.as_str()).await;
    cluster.until_in_sync(own.as_str()).await;
    cluster.crash(successor.as_str()).await;
    cluster.promote().await;
    cluster.all_copies_equal(&reference).await;
}
