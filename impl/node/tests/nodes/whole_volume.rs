//! What an operator orders of a whole volume: snapshots, growing, deletion.

use crate::operator::{order, others, rebuild, refused, until_written_back, verify};
use crate::support::{BLOCKS, Cluster, Reference, pattern};
use bytes::Bytes;
use holdfast_node::runtime::{ControlReply, ControlRequest, Order, OrderReply, ProblemKind};
use holdfast_types::{BLOCK_SIZE, BlockRange, DurabilityMode, EntryKind, SnapshotLabel};

async fn made(cluster: &Cluster, label: &str) -> String {
    let label = SnapshotLabel::new(label).unwrap();
    let reply = order(cluster, Order::SnapshotCreate { label }).await;
    let OrderReply::Snapshot { snapshot } = reply.unwrap() else {
        panic!("not a snapshot");
    };
    snapshot.snapshot
}

async fn labels(cluster: &Cluster) -> Vec<String> {
    let reply = order(cluster, Order::SnapshotList {}).await;
    let OrderReply::Snapshots { snapshots } = reply.unwrap() else {
        panic!("not a list");
    };
    let labels = snapshots.iter();
    labels.map(|row| row.label.as_str().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f78_f79_a_snapshot_is_the_same_on_every_copy_and_is_restored_after_a_failover() {
    let cluster = Cluster::start(&["a", "b", "c"], DurabilityMode::SyncQuorum).await;
    let primary = cluster.serving().await;
    let mut reference = Reference::new();
    reference.write(&primary, 0, 40, 1).await;
    let own = primary.record().primary.unwrap();
    for other in others(&own) {
        cluster.until_in_sync(other).await;
    }
    let snapshot = made(&cluster, "first").await;
    let then = reference.clone();
    let label = SnapshotLabel::new("first").unwrap();
    let (kind, _) = refused(&cluster, Order::SnapshotCreate { label }).await;
    assert_eq!(kind, ProblemKind::Refused, "one label names one snapshot");
    reference.write(&primary, 10, 60, 2).await;
    made(&cluster, "second").await;
    assert_eq!(labels(&cluster).await, ["first", "second"]);
    let chunk = Order::SnapshotChunk {
        snapshot: snapshot.clone(),
        index: 0,
    };
    let OrderReply::Chunk {
        chunk: Some(chunk), ..
    } = order(&cluster, chunk).await.unwrap()
    else {
        panic!("no chunk");
    };
    let content = holdfast_node::verify::bytes_of(&chunk.content).unwrap();
    assert_eq!(content[20 * BLOCK_SIZE..][..BLOCK_SIZE], *then.block(20));
    assert_eq!(content[60 * BLOCK_SIZE..][..BLOCK_SIZE], [0; BLOCK_SIZE]);

    let record = cluster.promote().await;
    assert!(record.primary.is_some());
    let primary = cluster.serving().await;
    for name in others(primary.record().primary.as_ref().unwrap()) {
        cluster.until_in_sync(name).await;
    }
    assert_eq!(labels(&cluster).await, ["first", "second"]);
    let restore = Order::SnapshotRestore { snapshot };
    assert_eq!(order(&cluster, restore).await.unwrap(), OrderReply::Done);
    let mut block = vec![0; BLOCK_SIZE];
    let range = BlockRange::new(20, 1).unwrap();
    primary.read(range, &mut block).await.unwrap();
    assert_eq!(block, then.block(20));
    for name in ["a", "b", "c"] {
        until_written_back(&cluster, name).await;
    }
    cluster.all_copies_equal(&then).await;
    let delete = |snapshot: &str| Order::SnapshotDelete {
        snapshot: snapshot.into(),
    };
    order(&cluster, delete("second")).await.unwrap();
    assert_eq!(labels(&cluster).await, ["first"]);
    let (kind, _) = refused(&cluster, delete("second")).await;
    assert_eq!(kind, ProblemKind::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_volume_grows_on_every_copy_one_that_was_away_and_one_that_is_rebuilt_included() {
    let mut cluster = Cluster::start(&["a", "b", "c"], DurabilityMode::SyncQuorum).await;
    let primary = cluster.serving().await;
    let mut reference = Reference::new();
    reference.write(&primary, 0, 40, 1).await;
    let own = primary.record().primary.unwrap();
    let [one, two] = others(&own);
    for other in [one, two] {
        cluster.until_in_sync(other).await;
    }
    let grow = |blocks| Order::Grow { blocks };
    let (kind, _) = refused(&cluster, grow(BLOCKS - 1)).await;
    assert_eq!(kind, ProblemKind::Refused);
    let (kind, _) = refused(&cluster, grow(u64::MAX)).await;
    assert_eq!(kind, ProblemKind::Invalid);
    cluster.crash(one).await;
    order(&cluster, grow(BLOCKS * 2)).await.unwrap();
    assert_eq!(
        (primary.record().blocks, primary.blocks()),
        (BLOCKS * 2, BLOCKS * 2)
    );
    let end = BlockRange::new(BLOCKS * 2 - 4, 4).unwrap();
    let data = Bytes::from(pattern(BLOCKS * 2 - 4, 4, 7));
    primary
        .write(EntryKind::Write, end, data.clone(), true)
        .await
        .unwrap();
    // It missed the growing, and finds it in the log.
    cluster.restart(one).await;
    cluster.until_in_sync(one).await;
    // This one gets the larger image whole.
    cluster.crash(two).await;
    cluster.replace_disk(two);
    cluster.restart(two).await;
    cluster.until_in_sync(two).await;
    primary.flush().await.unwrap();
    for name in [own.as_str(), one, two] {
        let store = cluster.node(name).store(cluster.volume).unwrap();
        cluster
            .until("every copy has grown", |_| store.blocks() == BLOCKS * 2)
            .await;
        let mut found = vec![0; 4 * BLOCK_SIZE];
        store.read(end, &mut found).unwrap();
        assert_eq!(found, data, "{name}");
    }
    assert!(verify(&cluster, false).await.findings.is_empty());
    cluster.all_copies_equal(&reference).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_snapshot_that_a_member_lacks_is_not_restored() {
    let cluster = Cluster::start(&["a", "b", "c"], DurabilityMode::SyncQuorum).await;
    let primary = cluster.serving().await;
    let mut reference = Reference::new();
    reference.write(&primary, 0, 40, 1).await;
    let own = primary.record().primary.unwrap();
    let [one, two] = others(&own);
    for other in [one, two] {
        cluster.until_in_sync(other).await;
    }
    let snapshot = made(&cluster, "before").await;
    reference.write(&primary, 0, 40, 2).await;
    order(&cluster, rebuild(one, None)).await.unwrap();
    cluster.until_in_sync(one).await;
    let restore = Order::SnapshotRestore { snapshot };
    let (kind, what) = refused(&cluster, restore).await;
    assert_eq!(kind, ProblemKind::Refused);
    assert!(what.contains(one) && what.contains("rebuilt"), "{what}");
    cluster.all_copies_equal(&reference).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f85_a_deleted_volume_is_gone_from_every_node_one_that_was_away_included_and_never_comes_back()
 {
    let mut cluster = Cluster::start(&["a", "b", "c"], DurabilityMode::SyncQuorum).await;
    let primary = cluster.serving().await;
    let mut reference = Reference::new();
    reference.write(&primary, 0, 40, 1).await;
    primary.flush().await.unwrap();
    let own = primary.record().primary.unwrap();
    let [one, two] = others(&own);
    cluster.until_in_sync(one).await;
    cluster.until_in_sync(two).await;
    drop(primary);
    cluster.crash(two).await;
    let delete = |yes: &str| ControlRequest::DeleteVolume {
        volume: "v".into(),
        yes: yes.into(),
        force: false,
    };
    let wrong = cluster.try_ask(&delete("w")).await;
    assert!(wrong.is_err(), "{wrong:?}");
    assert!(cluster.serving().await.is_serving(), "nothing happened");
    assert_eq!(cluster.ask(&delete("v")).await, ControlReply::Done);
    for name in [own.as_str(), one] {
        cluster
            .until("the copy is gone", |cluster| !cluster.keeps_files(name))
            .await;
        assert!(cluster.node(name).status().volumes.is_empty());
    }
    // Nobody brings it back, and an authority that was restarted knows that as well.
    cluster.crash_keeper().await;
    cluster.restart_keeper().await;
    for forced in [false, true] {
        let promote = ControlRequest::Promote {
            volume: cluster.volume.to_string(),
            replica: None,
            forced,
        };
        assert!(cluster.try_ask(&promote).await.is_err());
    }
    assert!(cluster.keeps_files(two));
    cluster.start_again(two).await;
    cluster
        .until("the one that was away gives its copy up", |cluster| {
            !cluster.keeps_files(two)
        })
        .await;
    assert!(cluster.node(two).status().missing.is_empty());
    let again = cluster.try_ask(&delete("v")).await;
    assert!(
        again.is_err(),
        "there is no such volume any more: {again:?}"
    );
    let list = cluster.ask(&ControlRequest::ListVolumes).await;
    assert_eq!(list, ControlReply::Records { records: vec![] });
}
