//! A primary with a store of its own and no replicas: what does not need the network.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_blockvol::{FormatOptions, Role, Volume};
use holdfast_types::{
    BLOCK_SIZE, BlockRange, DurabilityMode, Endpoint, EndpointVersion, EntryKind, Epoch, Lsn,
    Member, ReplicaId, Revision, SessionId, StoreId, VolumeId, VolumeRecord, WriteAck,
};

use super::super::clock::Clock;
use super::super::local_store::{LocalStore, Origin, volume_options};
use super::{Primary, Recovery, Services};
use crate::authority::EmbeddedAuthority;
use crate::commit::Progress;
use crate::config::{LeaseConfig, LimitsConfig, SessionLimits};
use crate::nbd;
use crate::tls::Protection;

const SECOND: Duration = Duration::from_secs(1);

fn id(name: &str) -> ReplicaId {
    ReplicaId::new(name).unwrap()
}

fn record(volume: VolumeId, revision: u64, isr: &[&str]) -> VolumeRecord {
    let endpoint = Endpoint {
        data: "127.0.0.1:1".parse().unwrap(),
        control: "127.0.0.1:2".parse().unwrap(),
        version: EndpointVersion(1),
    };
    let member = |name| {
        let store = StoreId::random();
        (id(name), Member { endpoint, store })
    };
    VolumeRecord {
        volume,
        name: "v".into(),
        blocks: 16,
        epoch: Epoch(1),
        revision: Revision(revision),
        primary: Some(id("a")),
        members: BTreeMap::from(["a", "b", "c"].map(member)),
        voters: BTreeSet::from(["a", "b", "c"].map(id)),
        isr: isr.iter().map(|name| id(name)).collect(),
        mode: DurabilityMode::SyncAll,
        min_in_sync: 1,
        write_ack: WriteAck::Received,
        committed_seen: (Epoch(0), Lsn(0)),
    }
}

/// A primary of epoch 1 whose epoch-start entry is logged, and the directory that it lives in.
fn primary(first: impl Fn(VolumeId) -> VolumeRecord) -> (tempfile::TempDir, Arc<Primary>) {
    let directory = tempfile::tempdir().unwrap();
    let volume = VolumeId::random();
    let at = directory.path().join("store");
    Volume::create(&at, &FormatOptions::new(volume, 16)).unwrap();
    let store = LocalStore::open(&at, volume_options(25, 1 << 20), Origin::Formatted).unwrap();
    store.volume().fence(Epoch(1)).unwrap();
    store.volume().set_role(Epoch(1), Role::Primary).unwrap();
    let authority = directory.path().join("authority");
    let clock = Clock::start();
    let sessions = SessionLimits::default();
    let services = Services {
        protection: Protection::None,
        id: id("a"),
        clock,
        authority: Arc::new(EmbeddedAuthority::open(&authority, SECOND).unwrap()),
        recovery: Arc::new(Recovery::new(clock, &sessions)),
        limits: LimitsConfig {
            log_size: None,
            retention_percent: 25,
            write_timeout: SECOND,
            flush_timeout: SECOND,
            stall_timeout: SECOND,
            leave_after: SECOND,
            promotion_wait: SECOND,
            sessions,
            nbd: nbd::Limits::default(),
        },
        lease: LeaseConfig {
            duration: SECOND,
            margin: SECOND / 10,
        },
    };
    let primary = Primary::new(services, Arc::new(store), first(volume));
    let start = primary.store.volume().append_epoch_start(Epoch(1)).unwrap();
    primary.update(|ledger| ledger.epoch_started(start));
    (directory, Arc::new(primary))
}

#[tokio::test(flavor = "multi_thread")]
async fn m04_an_answer_that_is_faster_than_the_writer_is_believed() {
    let (_directory, primary) = primary(|volume| record(volume, 1, &["a", "b"]));
    let session = SessionId(1);
    primary.ledger().session_began(id("b"), session);
    let data = Bytes::from(vec![7; BLOCK_SIZE]);
    let range = BlockRange::new(3, 1).unwrap();
    let volume = primary.store.volume();
    let lsn = volume
        .try_append(Epoch(1), EntryKind::Write, range, data)
        .unwrap();
    // The shipper has read it and the replica has answered; nobody has told the ledger of it yet.
    primary.acknowledged(&id("b"), session, lsn, Lsn(0));
    assert_eq!(primary.progress().written, lsn);
    primary.acknowledged(&id("b"), session, lsn.next(), lsn.next());
    let believed = Progress {
        written: lsn,
        committed: Lsn(0),
    };
    assert_eq!(
        primary.progress(),
        believed,
        "what is not logged was never received"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f97_records_that_are_read_at_once_are_taken_one_by_one_and_the_newest_stays() {
    const LAST: u64 = 400;
    let isr = |revision: u64| ["a", if revision.is_multiple_of(2) { "b" } else { "c" }];
    let (_directory, primary) = primary(|volume| record(volume, 1, &isr(1)));
    let base = record(primary.volume(), 1, &[]);
    let readers: Vec<_> = (0..4)
        .map(|reader| {
            let (primary, base) = (Arc::clone(&primary), base.clone());
            std::thread::spawn(move || {
                for revision in (2..=LAST).filter(|n| n % 4 != reader) {
                    let read = VolumeRecord {
                        revision: Revision(revision),
                        isr: isr(revision).map(id).into(),
                        ..base.clone()
                    };
                    primary.adopt(&read);
                    assert!(primary.record().revision >= Revision(revision));
                }
            })
        })
        .collect();
    for reader in readers {
        reader.join().unwrap();
    }
    assert_eq!(primary.record().revision, Revision(LAST));
    let engine = primary.services.recovery.view(|engine| {
        let volume = engine.registry().volume(primary.volume()).unwrap();
        let members = volume
            .senders()
            .iter()
            .filter(|(_, sender)| sender.is_member());
        let members: Vec<_> = members.map(|(replica, _)| replica.clone()).collect();
        (volume.revision(), members)
    });
    assert_eq!(engine, (Revision(LAST), vec![id("b")]));
    let asked = primary.ledger().waited_for(Lsn::MAX);
    assert_eq!(
        asked,
        [id("a"), id("b")],
        "the ledger asks whom the record names"
    );
}
