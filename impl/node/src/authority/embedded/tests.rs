//! The embedded authority across restarts with another length of a lease.

use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_types::{ReplicaId, VolumeRecord};

use super::super::conformance::new_volume;
use super::super::{AuthorityError, Incarnation, LeaseRequest, RecordVersion};
use super::EmbeddedCore;

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_secs(2);

fn open(directory: &Path, term: Duration) -> EmbeddedCore {
    EmbeddedCore::open(directory, term).unwrap()
}

/// A volume whose primary is `a`, and the request of its one incarnation.
fn promoted(core: &mut EmbeddedCore) -> (VolumeRecord, LeaseRequest) {
    let made = core.create(new_volume("v")).unwrap().record;
    let version = RecordVersion::of(&made);
    let minted = core.mint_epoch(made.volume, version, Duration::ZERO);
    let mut record = minted.unwrap().record;
    let version = RecordVersion::of(&record);
    let replica = ReplicaId::new("a").unwrap();
    record.primary = Some(replica.clone());
    let record = core.compare_and_set(version, record).unwrap().record;
    let request = LeaseRequest {
        volume: record.volume,
        epoch: record.epoch,
        replica,
        incarnation: Incarnation::random(),
    };
    (record, request)
}

/// Whether the next epoch can be minted at `now`, and nothing but a held lease prevents it.
fn mints(core: &mut EmbeddedCore, record: &VolumeRecord, now: Duration) -> bool {
    match core.mint_epoch(record.volume, RecordVersion::of(record), now) {
        Ok(_) => true,
        Err(AuthorityError::LeaseHeld { .. }) => false,
        Err(other) => panic!("neither minted nor held: {other}"),
    }
}

fn path(directory: &Path, record: &VolumeRecord) -> PathBuf {
    directory.join(format!("{}.json", record.volume))
}

#[test]
fn f89_a_restart_with_a_shorter_lease_waits_out_the_longer_one_that_was_granted() {
    let directory = tempfile::tempdir().unwrap();
    let mut core = open(directory.path(), LONG);
    let (record, request) = promoted(&mut core);
    core.renew_lease(&request, Duration::ZERO).unwrap();
    let mut core = open(directory.path(), SHORT);
    // A shorter renewal takes nothing back of what was granted, in this life or the next.
    core.renew_lease(&request, Duration::ZERO).unwrap();
    assert!(!mints(&mut core, &record, SHORT + SHORT));
    let mut core = open(directory.path(), SHORT);
    let moment = Duration::from_millis(1);
    assert!(!mints(&mut core, &record, LONG - moment));
    assert!(mints(&mut core, &record, LONG));
}

#[test]
fn f89_a_longer_lease_is_durable_before_the_holder_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut core = open(directory.path(), SHORT);
    let (record, request) = promoted(&mut core);
    core.renew_lease(&request, Duration::ZERO).unwrap();
    let mut core = open(directory.path(), LONG);
    core.renew_lease(&request, Duration::ZERO).unwrap();
    let mut core = open(directory.path(), SHORT);
    assert!(!mints(&mut core, &record, SHORT));
    assert!(mints(&mut core, &record, LONG));
}

#[test]
fn f89_the_term_of_an_epoch_that_is_over_binds_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let mut core = open(directory.path(), LONG);
    let (record, request) = promoted(&mut core);
    core.renew_lease(&request, Duration::ZERO).unwrap();
    let mut core = open(directory.path(), SHORT);
    let version = RecordVersion::of(&record);
    let minted = core.mint_epoch(record.volume, version, LONG).unwrap();
    let mut next = minted.record.clone();
    next.primary = Some(request.replica.clone());
    let version = RecordVersion::of(&minted.record);
    let record = core.compare_and_set(version, next).unwrap().record;
    let request = LeaseRequest {
        epoch: record.epoch,
        ..request
    };
    core.renew_lease(&request, LONG).unwrap();
    let mut core = open(directory.path(), SHORT);
    assert!(mints(&mut core, &record, SHORT));
}

#[test]
fn f89_a_claim_written_without_its_term_is_waited_out_for_the_configured_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut core = open(directory.path(), LONG);
    let (record, request) = promoted(&mut core);
    core.renew_lease(&request, Duration::ZERO).unwrap();
    let path = path(directory.path(), &record);
    let mut file: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let claim = file["lease"].as_object_mut().unwrap();
    assert!(claim.remove("term_ms").is_some(), "the term is written");
    std::fs::write(&path, serde_json::to_vec(&file).unwrap()).unwrap();
    let mut core = open(directory.path(), SHORT);
    assert!(!mints(&mut core, &record, SHORT / 2));
    assert!(mints(&mut core, &record, SHORT));
}
