//! What an operator orders of the copies of a volume that is served: real files, real sockets.

use crate::support::{BLOCKS, Cluster, Reference};
use holdfast_node::runtime::{
    ControlError, ControlReply, ControlRequest, Held, Order, OrderReply, Outcome, ProblemKind,
    RebuildStatus, VerifyReport,
};
use holdfast_types::{BLOCK_SIZE, BlockRange, DurabilityMode, ReplicaId};

pub(crate) fn id(name: &str) -> ReplicaId {
    ReplicaId::new(name).unwrap()
}

/// Gives an order for the volume of the test.
pub(crate) async fn order(cluster: &Cluster, order: Order) -> Result<OrderReply, ControlError> {
    let volume = "v".into();
    let asked = ControlRequest::Order { volume, order };
    let ControlReply::Ordered(reply) = cluster.try_ask(&asked).await? else {
        panic!("not an answer to an order");
    };
    Ok(reply)
}

/// Why an order was refused.
pub(crate) async fn refused(cluster: &Cluster, given: Order) -> (ProblemKind, String) {
    match order(cluster, given).await {
        Err(ControlError::Failed { problem }) => (problem.kind, problem.what),
        other => panic!("not refused: {other:?}"),
    }
}

pub(crate) fn rebuild(replica: &str, rate: Option<u64>) -> Order {
    let replica = id(replica);
    Order::Rebuild { replica, rate }
}

/// The copies that are not the primary.
pub(crate) fn others(own: &ReplicaId) -> [&'static str; 2] {
    let mut others = ["a", "b", "c"].into_iter().filter(|n| *n != own.as_str());
    [others.next().unwrap(), others.next().unwrap()]
}

/// How far a rebuild is, as the primary tells.
fn progress(cluster: &Cluster, primary: &str, replica: &str) -> Option<RebuildStatus> {
    let status = cluster.node(primary).status();
    let mut replicas = status.volumes.into_iter().flat_map(|v| v.replicas);
    let found = replicas.find(|found| found.replica.as_str() == replica)?;
    found.rebuild
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f57_an_ordered_rebuild_takes_the_copy_out_of_the_set_first_and_keeps_to_its_rate() {
    let cluster = Cluster::start(&["a", "b", "c"], DurabilityMode::SyncQuorum).await;
    let primary = cluster.serving().await;
    let mut reference = Reference::new();
    for n in 0..40 {
        reference
            .write(&primary, n * 51 % (BLOCKS - 16), 16, n as u8)
            .await;
    }
    primary.flush().await.unwrap();
    let own = primary.record().primary.unwrap();
    let [one, two] = others(&own);
    for other in [one, two] {
        cluster.until_in_sync(other).await;
    }
    let rate = Some(4 << 20);
    let began = std::time::Instant::now();
    let done = order(&cluster, rebuild(one, rate)).await.unwrap();
    assert_eq!(
        done,
        OrderReply::Rebuilding {
            replica: id(one),
            rate
        }
    );
    assert!(!primary.record().isr.contains(&id(one)));
    cluster
        .until("the rebuild is seen to go on", |cluster| {
            progress(cluster, own.as_str(), one).is_some_and(|told| told.bytes_done > 0)
        })
        .await;
    let told = progress(&cluster, own.as_str(), one).expect("2 s for 8 MiB");
    assert_eq!(told.bytes_total, BLOCKS * BLOCK_SIZE as u64);
    assert_eq!(told.rate, rate);
    // Without it the others are all that a majority has: neither may go as well.
    let (kind, what) = refused(&cluster, rebuild(two, None)).await;
    assert_eq!(kind, ProblemKind::Refused, "{what}");
    reference.write(&primary, 7, 30, 0x77).await;
    cluster.until_in_sync(one).await;
    // The first chunk goes at once, the other seven at four a second.
    let least = std::time::Duration::from_millis(7 * 250);
    assert!(began.elapsed() >= least, "{:?}", began.elapsed());
    cluster.all_copies_equal(&reference).await;
    let events = cluster.events(own.as_str()).await;
    let ordered = |(event, replica, cause): &(String, Option<ReplicaId>, Option<String>)| {
        event == "session_attached"
            && *replica == Some(id(one))
            && cause.as_deref() == Some("ordered")
    };
    assert!(events.iter().any(ordered), "{events:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t4_a_rebuild_that_the_volume_cannot_afford_is_refused_and_changes_nothing() {
    let cluster = Cluster::start_with(&["a", "b"], DurabilityMode::SyncAll, 2, |_| {}).await;
    let primary = cluster.serving().await;
    let mut reference = Reference::new();
    reference.write(&primary, 0, 10, 1).await;
    let own = primary.record().primary.unwrap();
    let other = if own.as_str() == "a" { "b" } else { "a" };
    cluster.until_in_sync(other).await;
    let before = primary.record();
    let session = cluster.node(own.as_str()).status().volumes[0].replicas[0].session;
    let (kind, what) = refused(&cluster, rebuild(other, None)).await;
    assert_eq!(kind, ProblemKind::Refused);
    assert!(what.contains("min_in_sync 2"), "{what}");
    let (kind, what) = refused(&cluster, rebuild(own.as_str(), None)).await;
    assert_eq!(kind, ProblemKind::Refused, "{what}");
    let (kind, _) = refused(&cluster, rebuild("nobody", None)).await;
    assert_eq!(kind, ProblemKind::NotFound);
    for rate in [0, 1000] {
        let (kind, _) = refused(&cluster, rebuild(other, Some(rate))).await;
        assert_eq!(kind, ProblemKind::Invalid);
    }
    assert_eq!(primary.record(), before);
    let now = cluster.node(own.as_str()).status().volumes[0].replicas[0].session;
    assert_eq!(now, session, "no session was ended");
    cluster.all_copies_equal(&reference).await;
}

pub(crate) async fn verify(cluster: &Cluster, repair: bool) -> VerifyReport {
    match order(cluster, Order::Verify { repair }).await.unwrap() {
        OrderReply::Verified { report } => *report,
        other @ (OrderReply::Rebuilding { .. }
        | OrderReply::Changed { .. }
        | OrderReply::Done
        | OrderReply::Snapshot { .. }
        | OrderReply::Snapshots { .. }
        | OrderReply::Chunk { .. }) => {
            panic!("not a report: {other:?}")
        }
    }
}

/// Waits until every block of a copy is in its image.
pub(crate) async fn until_written_back(cluster: &Cluster, name: &str) {
    let store = cluster.node(name).store(cluster.volume).unwrap();
    cluster
        .until("everything is written back", |_| {
            let positions = store.positions();
            positions.checkpoint == positions.head
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f21_rot_at_a_replica_and_at_the_primary_is_found_and_mended_while_writes_go_on() {
    let mut cluster = Cluster::start(&["a", "b", "c"], DurabilityMode::SyncQuorum).await;
    let primary = cluster.serving().await;
    let mut reference = Reference::new();
    for start in (0..BLOCKS).step_by(16) {
        reference
            .write(&primary, start, 16, (start / 16) as u8)
            .await;
    }
    primary.flush().await.unwrap();
    let own = primary.record().primary.unwrap();
    let own = ["a", "b", "c"]
        .into_iter()
        .find(|n| *n == own.as_str())
        .unwrap();
    let [one, two] = others(&id(own));
    for name in [one, two, own] {
        if name != own {
            cluster.until_in_sync(name).await;
        }
        until_written_back(&cluster, name).await;
    }
    let clean = verify(&cluster, false).await;
    assert!(clean.is_good() && clean.findings.is_empty(), "{clean:?}");
    assert_eq!(clean.copies.len(), 3);
    assert_eq!(clean.summary.chunks_done, BLOCKS / 256);

    // One block of a replica that is down, another of the primary that serves.
    cluster.crash(one).await;
    cluster.rot(one, 300);
    cluster.rot(own, 700);
    cluster.restart(one).await;
    cluster.until_in_sync(one).await;
    let range = BlockRange::new(700, 1).unwrap();
    let mut block = vec![0; BLOCK_SIZE];
    assert!(
        primary.read(range, &mut block).await.is_err(),
        "rot was served"
    );

    let writer = {
        let (primary, mut reference) = (primary.clone(), reference.clone());
        tokio::spawn(async move {
            for n in 0..200_u64 {
                let start = 1024 + n * 37 % 900;
                reference.write(&primary, start, 2, n as u8).await;
            }
            reference
        })
    };
    let found = verify(&cluster, false).await;
    let blocks: Vec<_> = found.findings.iter().map(|f| (f.block, f.count)).collect();
    assert_eq!(blocks, [(300, 1), (700, 1)], "{found:?}");
    assert_eq!(found.findings[0].copies[&id(one)], Held::Damaged);
    assert_eq!(found.findings[0].copies[&id(own)], Held::Sound);
    assert_eq!(found.findings[1].copies[&id(own)], Held::Damaged);
    assert!(
        found
            .findings
            .iter()
            .all(|f| f.outcome == Outcome::Repairable)
    );
    assert!(!found.is_good());

    let mended = verify(&cluster, true).await;
    assert!(mended.is_good(), "{mended:?}");
    assert_eq!(mended.summary.blocks_repaired, 2);
    primary.read(range, &mut block).await.unwrap();
    assert_eq!(block, reference.block(700));
    let reference = writer.await.unwrap();
    let clean = verify(&cluster, false).await;
    assert!(clean.findings.is_empty(), "{clean:?}");
    cluster.all_copies_equal(&reference).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f21_nothing_is_written_where_no_copy_is_sound_or_the_sound_one_is_not_in_sync() {
    let cluster = Cluster::start(&["a", "b"], DurabilityMode::SyncAll).await;
    let primary = cluster.serving().await;
    let mut reference = Reference::new();
    reference.write(&primary, 0, 64, 3).await;
    primary.flush().await.unwrap();
    let own = primary.record().primary.unwrap();
    let other = if own.as_str() == "a" { "b" } else { "a" };
    cluster.until_in_sync(other).await;
    for name in ["a", "b"] {
        until_written_back(&cluster, name).await;
        cluster.rot(name, 5);
    }
    let report = verify(&cluster, true).await;
    assert_eq!(
        (report.summary.blocks_found, report.summary.blocks_repaired),
        (1, 0)
    );
    assert!(
        matches!(report.findings[0].outcome, Outcome::Undecided { .. }),
        "{report:?}"
    );
    // What is written anew is sound again, and one that is cut off is no source.
    reference.write(&primary, 5, 1, 4).await;
    primary.flush().await.unwrap();
    until_written_back(&cluster, own.as_str()).await;
    until_written_back(&cluster, other).await;
    cluster.link(other).cut();
    cluster
        .until("the primary has noticed", |cluster| {
            cluster
                .sender(other)
                .is_some_and(|(state, _)| state != "in_sync")
        })
        .await;
    cluster.rot(own.as_str(), 5);
    let report = verify(&cluster, true).await;
    assert!(report.left_out.contains_key(&id(other)), "{report:?}");
    assert_eq!(
        (report.summary.blocks_found, report.summary.blocks_repaired),
        (1, 0)
    );
    cluster.link(other).mend();
    cluster.until_in_sync(other).await;
    assert!(verify(&cluster, true).await.is_good());
    cluster.all_copies_equal(&reference).await;
}

async fn add(cluster: &Cluster, name: &str) -> Result<OrderReply, ControlError> {
    let member = cluster.place_of(name);
    order(cluster, Order::Add { member }).await
}

fn remove(replica: &str, force: bool) -> Order {
    let replica = id(replica);
    Order::Remove { replica, force }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f58_a_copy_is_added_by_a_rebuild_becomes_a_voter_as_it_joins_and_takes_over_for_one_that_goes()
 {
    let mut cluster = Cluster::start(&["a", "b", "c"], DurabilityMode::SyncQuorum).await;
    let primary = cluster.serving().await;
    let mut reference = Reference::new();
    for n in 0..60 {
        reference
            .write(&primary, n * 33 % (BLOCKS - 16), 16, n as u8)
            .await;
    }
    primary.flush().await.unwrap();
    let own = primary.record().primary.unwrap();
    let [one, two] = others(&own);
    for other in [one, two] {
        cluster.until_in_sync(other).await;
    }
    // A third of three voters cannot go before there is a fourth.
    let (kind, what) = refused(&cluster, remove(one, true)).await;
    assert_eq!(kind, ProblemKind::Refused);
    assert!(what.contains("3 voters"), "{what}");

    cluster.start_beside("d").await;
    add(&cluster, "d").await.unwrap();
    assert!(primary.record().members.contains_key(&id("d")));
    let (kind, _) = match add(&cluster, "d").await {
        Err(ControlError::Failed { problem }) => (problem.kind, problem.what),
        other => panic!("added twice: {other:?}"),
    };
    assert_eq!(kind, ProblemKind::Refused);
    reference.write(&primary, 11, 40, 0x31).await;
    cluster.until_in_sync("d").await;
    let record = primary.record();
    assert!(record.voters.contains(&id("d")) && record.voters.len() == 4);
    let events = cluster.events(own.as_str()).await;
    let rebuilt = |(event, replica, _): &(String, Option<ReplicaId>, Option<String>)| {
        event == "base_installed" && *replica == Some(id("d"))
    };
    assert!(events.iter().any(rebuilt), "{events:?}");
    cluster.all_copies_equal(&reference).await;

    // One goes for good, and comes back as nobody.
    cluster.crash(one).await;
    order(&cluster, remove(one, false)).await.unwrap();
    let record = primary.record();
    for set in [&record.isr, &record.voters] {
        assert_eq!(set.len(), 3, "{set:?}");
        assert!(!set.contains(&id(one)));
    }
    assert!(!record.members.contains_key(&id(one)));
    let epoch = record.epoch;
    cluster.start_again(one).await;
    cluster
        .until("the node knows that it keeps no copy", |cluster| {
            cluster.node(one).status().volumes[0].removed
        })
        .await;
    let record = cluster.promote().await;
    assert!(record.epoch > epoch && record.primary != Some(id(one)));
    let forced = ControlRequest::Promote {
        volume: "v".into(),
        replica: Some(id(one)),
        forced: true,
    };
    let status = &cluster.node(one).status().volumes[0];
    assert!(
        status.promised < record.epoch,
        "nobody fences what is no member"
    );
    assert!(cluster.try_ask(&forced).await.is_err(), "it was promoted");
    cluster.promote().await;
    let primary = cluster.serving().await;
    reference.write(&primary, 3, 5, 0x32).await;
    primary.flush().await.unwrap();
    for name in primary.record().isr {
        if Some(&name) != primary.record().primary.as_ref() {
            cluster.until_in_sync(name.as_str()).await;
        }
    }

    // Added again, its old store is no copy before it was rebuilt.
    add(&cluster, one).await.unwrap();
    cluster.until_in_sync(one).await;
    cluster.all_copies_equal(&reference).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copy_is_removed_only_if_the_volume_goes_on_unless_somebody_says_so() {
    let cluster = Cluster::start_with(&["a", "b", "c"], DurabilityMode::SyncAll, 2, |_| {}).await;
    let primary = cluster.serving().await;
    let mut reference = Reference::new();
    reference.write(&primary, 0, 10, 1).await;
    let own = primary.record().primary.unwrap();
    let [one, two] = others(&own);
    for other in [one, two] {
        cluster.until_in_sync(other).await;
    }
    let (kind, what) = refused(&cluster, remove(own.as_str(), true)).await;
    assert_eq!(kind, ProblemKind::Refused, "{what}");
    cluster.link(two).cut();
    cluster
        .until("the one that is cut off has left", |cluster| {
            cluster.sender(two).is_some_and(|(_, member)| !member)
        })
        .await;
    let before = primary.record();
    let (kind, what) = refused(&cluster, remove(one, false)).await;
    assert_eq!(kind, ProblemKind::Refused);
    assert!(what.contains("--force"), "{what}");
    assert_eq!(primary.record().isr, before.isr);
    order(&cluster, remove(one, true)).await.unwrap();
    assert_eq!(primary.record().isr.len(), 1);
    // Nothing is acknowledged below min_in_sync; the one that is back lets the volume go on.
    cluster.link(two).mend();
    cluster.until_in_sync(two).await;
    reference.write(&primary, 4, 4, 2).await;
    primary.flush().await.unwrap();
    assert_eq!(cluster.blocks_at(two), cluster.blocks_at(own.as_str()));
}
