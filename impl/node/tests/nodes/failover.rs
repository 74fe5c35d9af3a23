//! Who serves, and what a change of it must not lose: three nodes in one process, real files, real
//! sockets.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::cluster::{id, others};
use crate::support::{Cluster, Reference};
use holdfast_node::runtime::{ControlReply, ControlRequest};
use holdfast_types::{BLOCK_SIZE, BlockRange, DurabilityMode};

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
