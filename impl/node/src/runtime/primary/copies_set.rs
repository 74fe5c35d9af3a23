//! Copies that are added to a volume, and copies that are taken out of it for good.
//!
//! ```text
//!   add:     recorded without a store -> its node makes one -> rebuilt as a newcomer -> joins, and is a
//!            voter with the same change
//!   remove:  leaves the in-sync set -> is no voter and no member
//! ```
//!
//! Promises: a copy counts for nothing before it joined, so it can be promoted by nobody, force
//! included: the record names no store of it until then. A set loses one copy at a time, and voters
//! change one at a time; each step is an ordinary change of the record, in flight under both rules.
//!
//! Rule: `docs/protocol.md`, section 2; `docs/decisions/037-*`.

use std::sync::Arc;

use holdfast_types::{DurabilityMode, Endpoint, Member, ReplicaId, StoreId, VolumeRecord};

use super::super::control::{Problem, ProblemKind};
use super::Primary;
use super::membership::{Leaving, goes_on};

/// Copies of a volume, at most.
pub(crate) const MEMBERS_MAX: usize = 16;

/// Voters of a quorum volume, at least.
const VOTERS_MIN: usize = 3;

fn refused<T>(what: String) -> Result<T, Problem> {
    Err(Problem::new(ProblemKind::Refused, what))
}

/// The record with one more member, of which no store is known.
pub(crate) fn with_member(
    record: &VolumeRecord,
    replica: &ReplicaId,
    endpoint: Endpoint,
) -> Result<VolumeRecord, Problem> {
    if record.members.contains_key(replica) {
        return refused(format!(
            "{replica} keeps a copy of {:?} already",
            record.name
        ));
    }
    if record.members.len() >= MEMBERS_MAX {
        return refused(format!("a volume has at most {MEMBERS_MAX} copies"));
    }
    let mut next = record.clone();
    // What an earlier copy under this name holds counts only as far as it is of this epoch.
    let store = StoreId::forgotten_in(record.epoch);
    next.members
        .insert(replica.clone(), Member { endpoint, store });
    Ok(next)
}

/// The record without a copy.
fn without_member(
    record: &VolumeRecord,
    replica: &ReplicaId,
    force: bool,
) -> Result<VolumeRecord, Problem> {
    let name = &record.name;
    if !record.members.contains_key(replica) {
        let what = format!("{replica} keeps no copy of {name:?}");
        return Err(Problem::new(ProblemKind::NotFound, what));
    }
    if record.primary.as_ref() == Some(replica) {
        return refused(format!("{replica} is the primary: promote another first"));
    }
    let mut next = record.clone();
    next.members.remove(replica);
    next.isr.remove(replica);
    next.voters.remove(replica);
    if next.min_in_sync > next.members.len() {
        let what = "then fewer copies would be left than min_in_sync asks for: lower it first \
                    (`holdfast volume set --min-in-sync`)";
        return refused(what.into());
    }
    let fewer = next.voters.len() < record.voters.len();
    if record.mode == DurabilityMode::SyncQuorum && fewer && next.voters.len() < VOTERS_MIN {
        return refused(format!(
            "a quorum has at least {VOTERS_MIN} voters: add another copy first, or change the mode \
             (`holdfast volume set --mode sync-all`)"
        ));
    }
    if !force && !goes_on(&next) {
        return refused(format!(
            "without {replica} too few copies are in sync ({} of {}, min_in_sync {}): nothing more \
             would be acknowledged. Have another copy in sync first, or say --force",
            next.isr.len(),
            next.members.len(),
            next.min_in_sync
        ));
    }
    Ok(next)
}

impl Primary {
    /// Takes a copy out of the volume for good.
    ///
    /// # Errors
    /// When that breaks what the volume promises, or too few copies would be left to go on and
    /// `force` is not given; what was acknowledged is never given up.
    pub(crate) async fn remove(
        self: &Arc<Self>,
        replica: &ReplicaId,
        force: bool,
    ) -> Result<(), Problem> {
        let _turn = self.membership.lock().await;
        without_member(&self.record(), replica, force)?;
        if !self.leave_in_turn(replica, Leaving::MustRebuild).await {
            return refused(format!(
                "{replica} cannot leave the in-sync set: what was acknowledged is not on enough other \
                 copies; `holdfast status` shows which are missing"
            ));
        }
        // It is out of the set, and joins it again if this does not come about.
        self.change_in_turn(|record| without_member(record, replica, force))
            .await?;
        tracing::warn!(volume = %self.volume, %replica, "a copy was taken out of the volume");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use holdfast_types::{
        DurabilityMode, Endpoint, EndpointVersion, Epoch, Lsn, Member, ReplicaId, Revision,
        StoreId, VolumeId, VolumeRecord, WriteAck,
    };

    use super::super::super::control::ProblemKind;
    use super::{MEMBERS_MAX, with_member, without_member};

    const ENDPOINT: Endpoint = Endpoint {
        data: std::net::SocketAddr::V4(std::net::SocketAddrV4::new(
            std::net::Ipv4Addr::LOCALHOST,
            1,
        )),
        control: std::net::SocketAddr::V4(std::net::SocketAddrV4::new(
            std::net::Ipv4Addr::LOCALHOST,
            2,
        )),
        version: EndpointVersion(1),
    };

    fn id(name: &str) -> ReplicaId {
        ReplicaId::new(name).unwrap()
    }

    fn set(names: &[&str]) -> BTreeSet<ReplicaId> {
        names.iter().map(|name| id(name)).collect()
    }

    fn record(mode: DurabilityMode, members: &[&str], isr: &[&str], min: usize) -> VolumeRecord {
        let member = |name: &ReplicaId| {
            let store = StoreId::random();
            let endpoint = ENDPOINT;
            (name.clone(), Member { endpoint, store })
        };
        VolumeRecord {
            volume: VolumeId::random(),
            name: "v".into(),
            blocks: 16,
            epoch: Epoch(3),
            revision: Revision(9),
            primary: Some(id("a")),
            members: set(members).iter().map(member).collect::<BTreeMap<_, _>>(),
            voters: set(members),
            isr: set(isr),
            mode,
            min_in_sync: min,
            write_ack: WriteAck::Received,
            committed_seen: (Epoch(3), Lsn(7)),
        }
    }

    #[test]
    fn f58_a_copy_that_is_added_counts_for_nothing_before_it_joins() {
        let before = record(
            DurabilityMode::SyncQuorum,
            &["a", "b", "c"],
            &["a", "b", "c"],
            1,
        );
        let after = with_member(&before, &id("d"), ENDPOINT).unwrap();
        assert_eq!((&after.isr, &after.voters), (&before.isr, &before.voters));
        let store = after.members[&id("d")].store;
        assert_eq!(
            store.forgotten_since(),
            Some(Epoch(3)),
            "no store is recorded"
        );
        assert!(with_member(&after, &id("d"), ENDPOINT).is_err());
        let mut full = before;
        for n in full.members.len()..MEMBERS_MAX {
            full = with_member(&full, &id(&format!("r{n}")), ENDPOINT).unwrap();
        }
        assert!(with_member(&full, &id("z"), ENDPOINT).is_err());
    }

    #[test]
    fn a_copy_is_removed_from_every_set_at_once_unless_a_promise_breaks() {
        use DurabilityMode::{SyncAll, SyncQuorum};
        let all4 = ["a", "b", "c", "d"];
        let all3 = ["a", "b", "c"];
        let gone = |record: &VolumeRecord, name, force| {
            without_member(record, &id(name), force).map_err(|problem| problem.kind)
        };
        let quorum = record(SyncQuorum, &all4, &all4, 1);
        let next = gone(&quorum, "d", false).unwrap();
        assert_eq!((&next.isr, &next.voters), (&set(&all3), &set(&all3)));
        assert!(!next.members.contains_key(&id("d")));
        // Two of three voters would be left, whoever asks.
        let three = record(SyncQuorum, &all3, &all3, 1);
        assert_eq!(gone(&three, "c", true), Err(ProblemKind::Refused));
        // One in sync of two, where two are asked for.
        let two = record(SyncAll, &all3, &["a", "b"], 2);
        assert_eq!(gone(&two, "b", false), Err(ProblemKind::Refused));
        assert!(gone(&two, "b", true).is_ok(), "somebody takes it upon them");
        assert!(gone(&two, "c", false).is_ok());
        let all = record(SyncAll, &all3, &all3, 3);
        assert_eq!(gone(&all, "c", true), Err(ProblemKind::Refused));
        assert_eq!(gone(&all, "a", true), Err(ProblemKind::Refused));
        assert_eq!(gone(&all, "z", true), Err(ProblemKind::NotFound));
    }
}
