//! Joining and leaving the in-sync set while other members are gone: real files, real sockets.

use crate::support::{Cluster, Reference};
use holdfast_types::DurabilityMode;

/// A volume of three copies of which two must be in sync: the primary, a member, and one that has
/// left the set because it was cut off.
async fn set_of_two() -> (Cluster, Reference, [&'static str; 2]) {
    let cluster = Cluster::start_with(&["a", "b", "c"], DurabilityMode::SyncAll, 2, |_| {}).await;
    let primary = cluster.serving().await;
    let mut reference = Reference::new();
    reference.write(&primary, 0, 10, 1).await;
    let own = primary.record().primary.unwrap();
    let mut others = ["a", "b", "c"].into_iter().filter(|n| *n != own.as_str());
    let (member, away) = (others.next().unwrap(), others.next().unwrap());
    for other in [member, away] {
        cluster.until_in_sync(other).await;
    }
    cluster.link(away).cut();
    cluster
        .until("the one that is cut off has left", |cluster| {
            cluster.sender(away).is_some_and(|(_, member)| !member)
        })
        .await;
    reference.write(&primary, 3, 4, 2).await;
    primary.flush().await.unwrap();
    (cluster, reference, [member, away])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn m31_a_healthy_copy_takes_the_place_of_a_member_that_is_gone() {
    let (cluster, mut reference, [member, away]) = set_of_two().await;
    let primary = cluster.serving().await;
    cluster.link(member).cut();
    cluster
        .until("the primary has noticed", |cluster| {
            cluster.sender(member).is_some_and(|(s, _)| s != "in_sync")
        })
        .await;
    cluster.link(away).mend();
    cluster.until_in_sync(away).await;
    cluster
        .until("the one that is gone has left", |cluster| {
            cluster.sender(member).is_some_and(|(_, member)| !member)
        })
        .await;
    reference.write(&primary, 5, 4, 3).await;
    primary.flush().await.unwrap();
    cluster.link(member).mend();
    cluster.all_copies_equal(&reference).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f57_a_member_whose_disk_was_replaced_is_rebuilt_below_min_in_sync() {
    let (mut cluster, mut reference, [member, away]) = set_of_two().await;
    let primary = cluster.serving().await;
    cluster.crash(member).await;
    cluster.replace_disk(member);
    cluster.restart(member).await;
    cluster.until_in_sync(member).await;
    reference.write(&primary, 5, 4, 3).await;
    primary.flush().await.unwrap();
    cluster.link(away).mend();
    cluster.all_copies_equal(&reference).await;
}
