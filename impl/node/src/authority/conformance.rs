//! The suite that every implementation of [`Authority`] must pass.
//!
//! An implementation brings a [`Rig`]: the authority, a way to let its time pass, and a way to
//! restart it. [`check`] panics with a sentence at the first rule that is broken; it is a library
//! function so that implementations in other crates and test rigs can call it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use holdfast_types::{
    DurabilityMode, Endpoint, EndpointVersion, Epoch, Lsn, Member, ReplicaId, Revision, StoreId,
    VolumeId, VolumeRecord, WriteAck,
};

use super::{
    Authority, AuthorityError, Incarnation, LeaseRequest, RecordVersion, Recorded, RecoverRequest,
};

/// An authority under test.
pub trait Rig {
    /// The authority, as it is now.
    fn authority(&self) -> &dyn Authority;
    /// The length of its leases.
    fn lease_term(&self) -> Duration;
    /// Lets its time pass.
    fn advance(&mut self, by: Duration) -> impl Future<Output = ()>;
    /// Crashes it and starts it again on what it made durable.
    fn restart(&mut self) -> impl Future<Output = ()>;
}

fn replica(name: &str) -> ReplicaId {
    ReplicaId::new(name).expect("the names of this suite are labels")
}

/// A sound record of a new volume of three copies.
#[must_use]
pub fn new_volume(name: &str) -> VolumeRecord {
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let members: BTreeMap<_, _> = ["a", "b", "c"]
        .into_iter()
        .zip(0..)
        .map(|(label, n)| {
            let endpoint = Endpoint {
                data: address(7000 + n),
                control: address(7100 + n),
                version: EndpointVersion(1),
            };
            let store = StoreId::random();
            (replica(label), Member { endpoint, store })
        })
        .collect();
    let all: BTreeSet<_> = members.keys().cloned().collect();
    VolumeRecord {
        volume: VolumeId::random(),
        name: name.into(),
        blocks: 64,
        epoch: Epoch(0),
        revision: Revision(0),
        primary: None,
        members,
        voters: all.clone(),
        isr: all,
        mode: DurabilityMode::SyncQuorum,
        min_in_sync: 2,
        write_ack: WriteAck::Received,
        committed_seen: (Epoch(0), Lsn(0)),
    }
}

fn request(record: &VolumeRecord, incarnation: Incarnation) -> LeaseRequest {
    LeaseRequest {
        volume: record.volume,
        epoch: record.epoch,
        replica: record.primary.clone().expect("the record has a primary"),
        incarnation,
    }
}

/// Holds an implementation against every rule of the trait.
///
/// # Panics
/// At the first rule that is broken, with what was expected.
pub async fn check(rig: &mut impl Rig) {
    a_volume_is_created_once(rig).await;
    a_stale_compare_and_set_changes_nothing(rig).await;
    one_of_two_equal_proposals_wins(rig).await;
    an_epoch_has_one_primary(rig).await;
    the_record_only_moves_forward(rig).await;
    an_epoch_is_minted_only_when_no_lease_can_be_held(rig).await;
    only_the_serving_incarnation_renews(rig).await;
    a_confirmed_stop_ends_the_lease_at_once_and_for_good(rig).await;
    a_restart_waits_out_a_whole_lease_and_forgets_nothing(rig).await;
    a_recovery_goes_beyond_every_promise_with_one_recorded_store(rig).await;
    a_deleted_volume_stays_deleted_and_gives_its_name_up(rig).await;
}

async fn a_recovery_goes_beyond_every_promise_with_one_recorded_store(rig: &mut impl Rig) {
    let record = promoted(rig, "recovered").await;
    let term = rig.lease_term();
    let asked = |record: &VolumeRecord, keep: &str| RecoverRequest {
        volume: record.volume,
        expected: RecordVersion::of(record),
        beyond: Epoch(record.epoch.0 + 7),
        keep: replica(keep),
    };
    rig.restart().await;
    let early = rig.authority().recover(asked(&record, "b")).await;
    assert!(
        matches!(early, Err(AuthorityError::LeaseHeld { .. })),
        "a lease that the record forgot may be held: {early:?}"
    );
    rig.advance(term).await;
    let mut stale = asked(&record, "b");
    stale.expected.revision = Revision(0);
    let conflict = rig.authority().recover(stale).await;
    assert!(matches!(conflict, Err(AuthorityError::Conflict { .. })));
    let nobody = rig.authority().recover(asked(&record, "x")).await;
    assert!(matches!(nobody, Err(AuthorityError::Refused { .. })));
    let recovered = rig.authority().recover(asked(&record, "b")).await;
    let found = recovered.expect("nobody holds a lease").record;
    assert_eq!(
        found.epoch,
        Epoch(record.epoch.0 + 8),
        "beyond every promise"
    );
    assert_eq!(found.primary, None);
    let alone = BTreeSet::from([replica("b")]);
    assert_eq!((&found.isr, &found.voters), (&alone, &alone));
    for (name, member) in &found.members {
        let kept = member.store == record.members[name].store;
        assert_eq!(kept, *name == replica("b"), "{name} is recorded no more");
        let forgotten = member.store.forgotten_since();
        assert_eq!(forgotten, (!kept).then_some(found.epoch), "{name}");
    }
    rig.restart().await;
    let read = rig.authority().read(record.volume).await;
    assert_eq!(read.expect("it is known").record, found);
}

async fn created(rig: &impl Rig, name: &str) -> VolumeRecord {
    let made = rig.authority().create(new_volume(name)).await;
    made.expect("a sound record is accepted").record
}

/// A volume whose primary is `a` in a freshly minted epoch.
async fn promoted(rig: &impl Rig, name: &str) -> VolumeRecord {
    let record = created(rig, name).await;
    promote(rig, &record, "a").await
}

async fn promote(rig: &impl Rig, record: &VolumeRecord, to: &str) -> VolumeRecord {
    let authority = rig.authority();
    let minted = authority
        .mint_epoch(record.volume, RecordVersion::of(record))
        .await
        .expect("no lease is held");
    assert_eq!(minted.record.epoch, record.epoch.next());
    assert_eq!(minted.record.primary, None, "minting ends the old primacy");
    let mut next = minted.record.clone();
    next.primary = Some(replica(to));
    let version = RecordVersion::of(&minted.record);
    let set = authority.compare_and_set(version, next).await;
    let Recorded {
        record,
        last_primary,
        deleted: _,
    } = set.expect("an epoch without a primary takes one");
    assert_eq!(last_primary, Some(replica(to)));
    record
}

async fn a_deleted_volume_stays_deleted_and_gives_its_name_up(rig: &mut impl Rig) {
    let record = promoted(rig, "gone").await;
    let volume = record.volume;
    let led = rig
        .authority()
        .delete(volume, RecordVersion::of(&record))
        .await;
    let refused = matches!(led, Err(AuthorityError::Refused { .. }));
    assert!(refused, "it has a primary: {led:?}");
    let minted = rig
        .authority()
        .mint_epoch(volume, RecordVersion::of(&record))
        .await;
    let minted = minted.expect("no lease was granted").record;
    let stale = rig
        .authority()
        .delete(volume, RecordVersion::of(&record))
        .await;
    assert!(
        matches!(stale, Err(AuthorityError::Conflict { .. })),
        "{stale:?}"
    );
    let deleted = rig
        .authority()
        .delete(volume, RecordVersion::of(&minted))
        .await;
    let deleted = deleted.expect("nobody leads it");
    assert!(deleted.deleted && deleted.record.revision > minted.revision);
    rig.restart().await;
    let authority = rig.authority();
    assert_eq!(authority.read(volume).await, Ok(deleted.clone()));
    let all = authority.volumes().await.expect("they are read");
    assert!(all.contains(&deleted), "who was away must learn of it");
    let version = RecordVersion::of(&deleted.record);
    let mut led = deleted.record.clone();
    led.primary = Some(replica("a"));
    let lease = request(&led, Incarnation::random());
    for changed in [
        authority.mint_epoch(volume, version).await,
        authority.compare_and_set(version, led).await,
        authority.delete(volume, version).await,
    ] {
        let refused = matches!(changed, Err(AuthorityError::Refused { .. }));
        assert!(refused, "it came back: {changed:?}");
    }
    assert!(authority.renew_lease(lease).await.is_err());
    assert!(
        authority.create(deleted.record).await.is_err(),
        "an identity is for ever"
    );
    created(rig, "gone").await;
}

async fn a_volume_is_created_once(rig: &impl Rig) {
    let record = created(rig, "once").await;
    let authority = rig.authority();
    let again = authority.create(record.clone()).await;
    assert!(matches!(again, Err(AuthorityError::AlreadyExists { .. })));
    let namesake = authority.create(new_volume("once")).await;
    assert!(matches!(
        namesake,
        Err(AuthorityError::AlreadyExists { .. })
    ));
    let mut bad = new_volume("bad");
    bad.isr.insert(replica("stranger"));
    let refused = authority.create(bad.clone()).await;
    assert!(matches!(refused, Err(AuthorityError::Refused { .. })));
    let unknown = authority.read(bad.volume).await;
    assert!(matches!(unknown, Err(AuthorityError::UnknownVolume { .. })));
}

async fn a_stale_compare_and_set_changes_nothing(rig: &impl Rig) {
    let record = promoted(rig, "stale").await;
    let authority = rig.authority();
    for stale in [
        RecordVersion {
            epoch: record.epoch,
            revision: Revision(record.revision.0 - 1),
        },
        RecordVersion {
            epoch: Epoch(record.epoch.0 - 1),
            revision: record.revision,
        },
        RecordVersion {
            epoch: record.epoch,
            revision: record.revision.next(),
        },
    ] {
        let mut change = record.clone();
        change.isr.remove(&replica("c"));
        let refused = authority.compare_and_set(stale, change).await;
        assert!(matches!(refused, Err(AuthorityError::Conflict { .. })));
        let mint = authority.mint_epoch(record.volume, stale).await;
        assert!(matches!(mint, Err(AuthorityError::Conflict { .. })));
    }
    let now = authority.read(record.volume).await.expect("it exists");
    assert_eq!(now.record, record);
}

async fn one_of_two_equal_proposals_wins(rig: &impl Rig) {
    let record = promoted(rig, "race").await;
    let authority = rig.authority();
    let version = RecordVersion::of(&record);
    let without = |gone: &str| {
        let mut next = record.clone();
        next.isr.remove(&replica(gone));
        next
    };
    let won = authority.compare_and_set(version, without("b")).await;
    let won = won.expect("the first lands").record;
    assert_eq!(won.revision, record.revision.next());
    let lost = authority.compare_and_set(version, without("c")).await;
    assert!(matches!(lost, Err(AuthorityError::Conflict { .. })));
    let now = authority.read(record.volume).await.expect("it exists");
    assert_eq!(now.record, won);
}

async fn an_epoch_has_one_primary(rig: &impl Rig) {
    let record = promoted(rig, "one-primary").await;
    let version = RecordVersion::of(&record);
    for primary in [None, Some(replica("b"))] {
        let mut change = record.clone();
        change.primary = primary;
        let refused = rig.authority().compare_and_set(version, change).await;
        assert!(matches!(refused, Err(AuthorityError::Refused { .. })));
    }
}

async fn the_record_only_moves_forward(rig: &impl Rig) {
    let mut record = promoted(rig, "forward").await;
    record.committed_seen = (record.epoch, Lsn(9));
    let authority = rig.authority();
    let version = RecordVersion::of(&record);
    let set = authority.compare_and_set(version, record).await;
    let record = set.expect("committed_seen grows").record;
    let version = RecordVersion::of(&record);
    let mut back = record.clone();
    back.committed_seen = (record.epoch, Lsn(8));
    let mut other_epoch = record.clone();
    other_epoch.epoch = record.epoch.next();
    let mut moved = record.clone();
    if let Some(member) = moved.members.get_mut(&replica("b")) {
        member.endpoint.data = SocketAddr::from(([127, 0, 0, 1], 9));
    }
    for bad in [back, other_epoch, moved] {
        let refused = authority.compare_and_set(version, bad).await;
        assert!(matches!(refused, Err(AuthorityError::Refused { .. })));
    }
}

async fn an_epoch_is_minted_only_when_no_lease_can_be_held(rig: &mut impl Rig) {
    let record = promoted(rig, "mint").await;
    let incarnation = Incarnation::random();
    let term = rig.lease_term();
    let lease = request(&record, incarnation);
    let granted = rig.authority().renew_lease(lease.clone()).await;
    assert!(granted.expect("the primary has the lease").duration() <= term);
    rig.advance(term / 2).await;
    let renewed = rig.authority().renew_lease(lease.clone()).await;
    renewed.expect("the holder renews");
    rig.advance(term * 3 / 4).await;
    let version = RecordVersion::of(&record);
    let early = rig.authority().mint_epoch(record.volume, version).await;
    assert!(
        matches!(early, Err(AuthorityError::LeaseHeld { .. })),
        "the renewed lease is still held: {early:?}"
    );
    rig.advance(term).await;
    let taken_up = rig.authority().renew_lease(lease.clone()).await;
    taken_up.expect("the same incarnation may take up an expired lease");
    rig.advance(term * 2).await;
    let minted = rig.authority().mint_epoch(record.volume, version).await;
    minted.expect("the lease has run out");
    let late = rig.authority().renew_lease(lease).await;
    assert!(
        matches!(late, Err(AuthorityError::NoLease { .. })),
        "minting ends the renewal (F98)"
    );
}

async fn only_the_serving_incarnation_renews(rig: &mut impl Rig) {
    let record = promoted(rig, "incarnation").await;
    let first = request(&record, Incarnation::random());
    let granted = rig.authority().renew_lease(first.clone()).await;
    granted.expect("the primary has the lease");
    let restarted = request(&record, Incarnation::random());
    let mut stranger = first.clone();
    stranger.replica = replica("b");
    let mut old_epoch = first.clone();
    old_epoch.epoch = Epoch(0);
    let term = rig.lease_term();
    rig.advance(term * 2).await;
    for bad in [restarted, stranger, old_epoch] {
        let refused = rig.authority().renew_lease(bad.clone()).await;
        assert!(matches!(refused, Err(AuthorityError::NoLease { .. })));
        let ended = rig.authority().end_lease(bad).await;
        assert!(matches!(ended, Err(AuthorityError::NoLease { .. })));
    }
}

async fn a_confirmed_stop_ends_the_lease_at_once_and_for_good(rig: &mut impl Rig) {
    let record = promoted(rig, "stop").await;
    let lease = request(&record, Incarnation::random());
    let granted = rig.authority().renew_lease(lease.clone()).await;
    granted.expect("the primary has the lease");
    let ended = rig.authority().end_lease(lease.clone()).await;
    ended.expect("the holder may stop");
    rig.restart().await;
    let again = rig.authority().renew_lease(lease).await;
    assert!(matches!(again, Err(AuthorityError::NoLease { .. })));
    let version = RecordVersion::of(&record);
    let minted = rig.authority().mint_epoch(record.volume, version).await;
    minted.expect("a stopped primary is not waited for");
}

async fn a_restart_waits_out_a_whole_lease_and_forgets_nothing(rig: &mut impl Rig) {
    let record = promoted(rig, "restart").await;
    let lease = request(&record, Incarnation::random());
    let granted = rig.authority().renew_lease(lease.clone()).await;
    granted.expect("the primary has the lease");
    let term = rig.lease_term();
    rig.advance(term * 2).await;
    rig.restart().await;
    let now = rig.authority().read(record.volume).await;
    assert_eq!(now.expect("it is durable").record, record);
    let version = RecordVersion::of(&record);
    let early = rig.authority().mint_epoch(record.volume, version).await;
    assert!(
        matches!(early, Err(AuthorityError::LeaseHeld { .. })),
        "which leases were granted is forgotten, so a whole one is waited out (F89)"
    );
    let stranger = request(&record, Incarnation::random());
    let refused = rig.authority().renew_lease(stranger).await;
    assert!(
        matches!(refused, Err(AuthorityError::NoLease { .. })),
        "who had the lease is not forgotten (F92)"
    );
    rig.advance(term * 2).await;
    let minted = rig.authority().mint_epoch(record.volume, version).await;
    minted.expect("a whole lease was waited out");
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::Future;
    use std::time::Duration;

    use holdfast_types::{VolumeId, VolumeRecord};

    use super::super::{
        Answer, Authority, EmbeddedAuthority, EmbeddedCore, LeaseGrant, LeaseRequest,
        RecordVersion, Recorded, RecoverRequest,
    };
    use super::{Rig, check};
    use std::sync::Mutex;

    /// The embedded core on a clock that the suite moves.
    struct Stepped {
        core: Mutex<EmbeddedCore>,
        now: Mutex<Duration>,
    }

    impl Authority for Stepped {
        fn volumes(&self) -> Answer<'_, Vec<Recorded>> {
            Box::pin(async { Ok(self.core.lock().unwrap().volumes()) })
        }
        fn read(&self, volume: VolumeId) -> Answer<'_, Recorded> {
            Box::pin(async move { self.core.lock().unwrap().read(volume) })
        }
        fn create(&self, record: VolumeRecord) -> Answer<'_, Recorded> {
            Box::pin(async move { self.core.lock().unwrap().create(record) })
        }
        fn compare_and_set(
            &self,
            expected: RecordVersion,
            record: VolumeRecord,
        ) -> Answer<'_, Recorded> {
            Box::pin(async move { self.core.lock().unwrap().compare_and_set(expected, record) })
        }
        fn mint_epoch(&self, volume: VolumeId, expected: RecordVersion) -> Answer<'_, Recorded> {
            let now = *self.now.lock().unwrap();
            Box::pin(async move { self.core.lock().unwrap().mint_epoch(volume, expected, now) })
        }
        fn recover(&self, request: RecoverRequest) -> Answer<'_, Recorded> {
            let now = *self.now.lock().unwrap();
            Box::pin(async move { self.core.lock().unwrap().recover(&request, now) })
        }
        fn delete(&self, volume: VolumeId, expected: RecordVersion) -> Answer<'_, Recorded> {
            Box::pin(async move { self.core.lock().unwrap().delete(volume, expected) })
        }
        fn renew_lease(&self, request: LeaseRequest) -> Answer<'_, LeaseGrant> {
            let now = *self.now.lock().unwrap();
            Box::pin(async move { self.core.lock().unwrap().renew_lease(&request, now) })
        }
        fn end_lease(&self, request: LeaseRequest) -> Answer<'_, ()> {
            Box::pin(async move { self.core.lock().unwrap().end_lease(&request) })
        }
    }

    struct SteppedRig {
        directory: tempfile::TempDir,
        authority: Stepped,
        restarts: Cell<u32>,
    }

    const TERM: Duration = Duration::from_secs(10);

    fn stepped(directory: &tempfile::TempDir) -> Stepped {
        Stepped {
            core: Mutex::new(EmbeddedCore::open(directory.path(), TERM).unwrap()),
            now: Mutex::new(Duration::ZERO),
        }
    }

    impl Rig for SteppedRig {
        fn authority(&self) -> &dyn Authority {
            &self.authority
        }
        fn lease_term(&self) -> Duration {
            TERM
        }
        fn advance(&mut self, by: Duration) -> impl Future<Output = ()> {
            *self.authority.now.lock().unwrap() += by;
            std::future::ready(())
        }
        fn restart(&mut self) -> impl Future<Output = ()> {
            self.restarts.set(self.restarts.get() + 1);
            self.authority = stepped(&self.directory);
            std::future::ready(())
        }
    }

    #[tokio::test]
    async fn the_embedded_core_keeps_every_rule() {
        let directory = tempfile::tempdir().unwrap();
        let mut rig = SteppedRig {
            authority: stepped(&directory),
            directory,
            restarts: Cell::new(0),
        };
        check(&mut rig).await;
        assert_eq!(rig.restarts.get(), 5, "the suite restarts what it tests");
    }

    /// The same authority on the machine's clock, with short leases.
    struct RealRig {
        directory: tempfile::TempDir,
        authority: EmbeddedAuthority,
    }

    const SHORT: Duration = Duration::from_millis(200);

    impl Rig for RealRig {
        fn authority(&self) -> &dyn Authority {
            &self.authority
        }
        fn lease_term(&self) -> Duration {
            SHORT
        }
        fn advance(&mut self, by: Duration) -> impl Future<Output = ()> {
            tokio::time::sleep(by)
        }
        fn restart(&mut self) -> impl Future<Output = ()> {
            self.authority = EmbeddedAuthority::open(self.directory.path(), SHORT).unwrap();
            std::future::ready(())
        }
    }

    #[tokio::test]
    async fn the_embedded_authority_keeps_every_rule_on_a_real_clock() {
        let directory = tempfile::tempdir().unwrap();
        let authority = EmbeddedAuthority::open(directory.path(), SHORT).unwrap();
        let mut rig = RealRig {
            directory,
            authority,
        };
        check(&mut rig).await;
    }

    #[tokio::test]
    async fn a_damaged_record_stops_the_authority_and_is_not_skipped() {
        let directory = tempfile::tempdir().unwrap();
        let record = super::new_volume("v");
        let path = directory.path().join(format!("{}.json", record.volume));
        let mut core = EmbeddedCore::open(directory.path(), TERM).unwrap();
        core.create(record).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(EmbeddedCore::open(directory.path(), TERM).is_err());
    }
}
