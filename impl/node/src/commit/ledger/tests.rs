use std::collections::{BTreeMap, BTreeSet};

use holdfast_types::{
    DurabilityMode, Endpoint, EndpointVersion, Epoch, Lsn, Member, ReplicaId, Revision, SessionId,
    StoreId, VolumeId, VolumeRecord, WriteAck,
};

use super::{CommitLedger, Progress};

fn id(name: &str) -> ReplicaId {
    ReplicaId::new(name).unwrap()
}

fn record(mode: DurabilityMode, isr: &[&str]) -> VolumeRecord {
    let all = ["a", "b", "c"].map(id);
    let endpoint = Endpoint {
        data: "127.0.0.1:1".parse().unwrap(),
        control: "127.0.0.1:2".parse().unwrap(),
        version: EndpointVersion(1),
    };
    let member = || Member {
        endpoint,
        store: StoreId::random(),
    };
    VolumeRecord {
        volume: VolumeId::random(),
        name: "v".into(),
        blocks: 16,
        epoch: Epoch(2),
        revision: Revision(5),
        primary: Some(id("a")),
        members: all
            .iter()
            .map(|r| (r.clone(), member()))
            .collect::<BTreeMap<_, _>>(),
        voters: all.iter().cloned().collect::<BTreeSet<_>>(),
        isr: isr.iter().map(|r| id(r)).collect(),
        mode,
        min_in_sync: 1,
        write_ack: WriteAck::Received,
        committed_seen: (Epoch(1), Lsn(0)),
    }
}

const S: SessionId = SessionId(1);

fn started(record: &VolumeRecord, head: u64) -> CommitLedger {
    let mut ledger = CommitLedger::new(record, id("a"), Lsn(3));
    for replica in ["b", "c"] {
        ledger.session_began(id(replica), S);
    }
    ledger.local(Lsn(head), Lsn(head));
    ledger.epoch_started(Lsn(5));
    ledger
}

fn progress(written: u64, committed: u64) -> Progress {
    Progress {
        written: Lsn(written),
        committed: Lsn(committed),
    }
}

#[test]
fn m07_entries_of_an_older_epoch_are_not_committed_by_counting() {
    let mut ledger = started(&record(DurabilityMode::SyncAll, &["a", "b"]), 6);
    let held = ledger.acknowledged(&id("b"), S, Lsn(4), Lsn(4));
    assert_eq!(held, progress(3, 3));
    let with_the_epoch_start = ledger.acknowledged(&id("b"), S, Lsn(5), Lsn(5));
    assert_eq!(with_the_epoch_start, progress(5, 5));
}

#[test]
fn m13_an_ack_of_a_dead_session_changes_nothing_and_its_end_takes_only_its_own() {
    let mut ledger = started(&record(DurabilityMode::SyncAll, &["a", "b"]), 9);
    ledger.session_began(id("b"), SessionId(2));
    let stale = ledger.acknowledged(&id("b"), S, Lsn(9), Lsn(9));
    assert_eq!(stale, progress(3, 3));
    ledger.session_ended(&id("b"), S);
    let live = ledger.acknowledged(&id("b"), SessionId(2), Lsn(9), Lsn(7));
    assert_eq!(live, progress(9, 7));
    ledger.session_ended(&id("b"), SessionId(2));
    assert_eq!(ledger.acknowledged_by(&id("b")), None);
    assert_eq!(ledger.local(Lsn(11), Lsn(11)), progress(9, 7));
}

#[test]
fn m04_an_ack_beyond_the_primarys_own_log_proves_nothing() {
    let mut ledger = started(&record(DurabilityMode::SyncAll, &["a", "b"]), 6);
    let ahead = ledger.acknowledged(&id("b"), S, Lsn(7), Lsn(7));
    assert_eq!(ahead, progress(3, 3));
    let inverted = ledger.acknowledged(&id("b"), S, Lsn(5), Lsn(6));
    assert_eq!(inverted, progress(3, 3));
}

#[test]
fn f97_a_change_in_flight_is_met_under_both_rules_until_a_higher_revision_is_read() {
    let old = record(DurabilityMode::SyncAll, &["a", "b"]);
    let mut ledger = started(&old, 9);
    ledger.acknowledged(&id("b"), S, Lsn(6), Lsn(6));
    let mut joined = old.clone();
    joined.isr.insert(id("c"));
    ledger.propose(&joined);
    assert_eq!(
        ledger.acknowledged(&id("b"), S, Lsn(9), Lsn(9)),
        progress(6, 6),
        "c must acknowledge too"
    );
    assert_eq!(
        ledger.adopt(&old),
        progress(6, 6),
        "the same revision settles nothing"
    );
    assert!(ledger.has_proposal());
    let withdrawn = VolumeRecord {
        revision: Revision(6),
        ..old
    };
    assert_eq!(ledger.adopt(&withdrawn), progress(9, 9));
    assert!(!ledger.has_proposal());
}

#[test]
fn f56_a_newcomer_must_acknowledge_from_the_proposal_on() {
    let old = record(DurabilityMode::SyncAll, &["a", "b"]);
    let mut ledger = started(&old, 9);
    let mut joined = old.clone();
    joined.isr.insert(id("c"));
    ledger.acknowledged(&id("b"), S, Lsn(9), Lsn(9));
    ledger.propose(&joined);
    assert!(!ledger.proposal_is_met(), "c has proven nothing");
    ledger.acknowledged(&id("c"), S, Lsn(9), Lsn(8));
    assert!(
        !ledger.proposal_is_met(),
        "committed is 9, c is durable to 8"
    );
    ledger.acknowledged(&id("c"), S, Lsn(9), Lsn(9));
    assert!(ledger.proposal_is_met());
}

#[test]
fn m31_a_healthy_newcomer_joins_while_another_member_is_gone() {
    let mut old = record(DurabilityMode::SyncAll, &["a", "b"]);
    old.min_in_sync = 2;
    let mut ledger = started(&old, 9);
    ledger.acknowledged(&id("b"), S, Lsn(9), Lsn(9));
    ledger.session_ended(&id("b"), S);
    let mut joined = old.clone();
    joined.isr.insert(id("c"));
    ledger.propose(&joined);
    assert!(!ledger.proposal_is_met());
    ledger.acknowledged(&id("c"), S, Lsn(9), Lsn(9));
    assert!(
        ledger.proposal_is_met(),
        "only the newcomer is to be proven"
    );
}

#[test]
fn f57_a_member_that_must_be_rebuilt_leaves_below_min_in_sync() {
    let mut old = record(DurabilityMode::SyncAll, &["a", "b"]);
    old.min_in_sync = 2;
    let mut ledger = started(&old, 9);
    ledger.acknowledged(&id("b"), S, Lsn(9), Lsn(9));
    ledger.session_ended(&id("b"), S);
    let mut alone = old.clone();
    alone.isr.remove(&id("b"));
    ledger.propose(&alone);
    assert!(
        ledger.proposal_is_met(),
        "everything acknowledged is durable on a"
    );
    assert_eq!(
        ledger.local(Lsn(12), Lsn(12)),
        progress(9, 9),
        "and nothing more is acknowledged below min_in_sync"
    );
}

#[test]
fn m34_a_member_leaves_only_when_what_it_held_is_durable_on_the_last_copy() {
    let old = record(DurabilityMode::SyncAll, &["a", "b"]);
    let mut ledger = started(&old, 5);
    ledger.local(Lsn(8), Lsn(6));
    ledger.acknowledged(&id("b"), S, Lsn(8), Lsn(6));
    assert_eq!(ledger.progress(), progress(8, 6));
    let mut alone = old.clone();
    alone.isr.remove(&id("b"));
    ledger.propose(&alone);
    assert!(!ledger.proposal_is_met());
    ledger.local(Lsn(8), Lsn(8));
    assert!(ledger.proposal_is_met());
}

#[test]
fn m34_while_the_last_other_copy_leaves_a_write_is_acknowledged_when_it_is_durable() {
    let old = record(DurabilityMode::SyncAll, &["a", "b"]);
    let mut ledger = started(&old, 5);
    ledger.acknowledged(&id("b"), S, Lsn(5), Lsn(5));
    let mut alone = old.clone();
    alone.isr.remove(&id("b"));
    ledger.propose(&alone);
    ledger.local(Lsn(8), Lsn(6));
    let in_flight = ledger.acknowledged(&id("b"), S, Lsn(8), Lsn(5));
    assert_eq!(
        in_flight,
        progress(6, 5),
        "b has received 8, a would be alone with it in memory"
    );
    let landed = VolumeRecord {
        revision: Revision(6),
        ..alone
    };
    assert_eq!(
        ledger.adopt(&landed),
        progress(8, 6),
        "a disk with a volatile cache again"
    );
}

#[test]
fn m34_clients_that_go_on_writing_do_not_hold_a_change_up() {
    let old = record(DurabilityMode::SyncQuorum, &["a", "b", "c"]);
    let mut ledger = started(&old, 9);
    ledger.acknowledged(&id("c"), S, Lsn(9), Lsn(9));
    let mut left = old.clone();
    left.isr.remove(&id("b"));
    ledger.propose(&left);
    ledger.local(Lsn(20), Lsn(9));
    ledger.acknowledged(&id("c"), S, Lsn(20), Lsn(9));
    assert_eq!(ledger.progress(), progress(20, 9));
    assert!(ledger.proposal_is_met(), "what came later met both rules");
}

#[test]
fn f99_until_the_epoch_start_is_committed_everything_adopted_counts_as_flushed() {
    let old = record(DurabilityMode::SyncQuorum, &["a", "b", "c"]);
    let mut everyone = old.clone();
    everyone.mode = DurabilityMode::SyncAll;
    let mut ledger = started(&old, 5);
    ledger.acknowledged(&id("b"), S, Lsn(3), Lsn(3));
    ledger.acknowledged(&id("c"), S, Lsn(4), Lsn(3));
    assert_eq!(
        ledger.progress(),
        progress(3, 3),
        "4 was adopted, 5 is the epoch start"
    );
    ledger.propose(&everyone);
    assert!(
        !ledger.proposal_is_met(),
        "4 may have been flushed to a client"
    );
    ledger.acknowledged(&id("b"), S, Lsn(4), Lsn(4));
    ledger.acknowledged(&id("c"), S, Lsn(4), Lsn(4));
    assert!(ledger.proposal_is_met());
}

#[test]
fn f99_what_was_adopted_is_on_no_known_majority() {
    let old = record(DurabilityMode::SyncQuorum, &["a", "b"]);
    let mut joined = old.clone();
    joined.isr.insert(id("c"));
    let mut ledger = started(&old, 5);
    ledger.propose(&joined);
    assert!(
        !ledger.proposal_is_met(),
        "nobody but a has proven the adopted log"
    );
    ledger.acknowledged(&id("c"), S, Lsn(5), Lsn(5));
    assert!(ledger.proposal_is_met());
}

#[test]
fn f99_before_service_opens_a_lost_member_may_leave_under_sync_all() {
    let old = record(DurabilityMode::SyncAll, &["a", "b"]);
    let mut ledger = started(&old, 5);
    let mut alone = old.clone();
    alone.isr.remove(&id("b"));
    ledger.propose(&alone);
    assert!(ledger.proposal_is_met());
}

#[test]
fn f40_nothing_is_acknowledged_before_the_epoch_start_or_under_another_primary() {
    let mut other = record(DurabilityMode::SyncAll, &["a", "b"]);
    other.primary = Some(id("b"));
    let mut ledger = CommitLedger::new(&other, id("a"), Lsn(0));
    ledger.local(Lsn(9), Lsn(9));
    ledger.session_began(id("b"), S);
    ledger.epoch_started(Lsn(1));
    assert_eq!(
        ledger.acknowledged(&id("b"), S, Lsn(9), Lsn(9)),
        progress(0, 0)
    );

    let good = record(DurabilityMode::SyncAll, &["a", "b"]);
    let mut early = CommitLedger::new(&good, id("a"), Lsn(0));
    early.session_began(id("b"), S);
    early.local(Lsn(9), Lsn(9));
    assert_eq!(
        early.acknowledged(&id("b"), S, Lsn(9), Lsn(9)),
        progress(0, 0)
    );
}

#[test]
fn f57_a_trusted_copy_is_overwritten_only_while_the_others_hold_everything() {
    let mut ledger = started(&record(DurabilityMode::SyncQuorum, &["a", "b", "c"]), 9);
    ledger.acknowledged(&id("c"), S, Lsn(9), Lsn(9));
    let promised = ledger.promised().unwrap();
    assert!(
        !ledger.is_safe_without(&id("c"), promised),
        "b has acknowledged nothing"
    );
    ledger.acknowledged(&id("b"), S, Lsn(9), Lsn(9));
    assert!(ledger.is_safe_without(&id("c"), promised));
    ledger.local(Lsn(12), Lsn(9));
    ledger.acknowledged(&id("b"), S, Lsn(12), Lsn(9));
    assert!(
        ledger.is_safe_without(&id("c"), promised),
        "what is written after c left never relied on it"
    );
}

#[test]
fn f57_min_in_sync_does_not_keep_a_copy_from_being_rebuilt() {
    let mut alone = record(DurabilityMode::SyncAll, &["a"]);
    alone.min_in_sync = 2;
    let ledger = started(&alone, 9);
    let promised = ledger.promised().unwrap();
    assert_eq!(promised.written, Lsn(4), "all that was adopted");
    assert!(ledger.is_safe_without(&id("b"), promised));
}

#[test]
fn f97_a_record_without_a_primary_acknowledges_nothing_until_it_is_retracted() {
    let old = record(DurabilityMode::BestEffort, &["a"]);
    let mut ledger = started(&old, 5);
    let nobody = VolumeRecord {
        primary: None,
        ..old
    };
    ledger.propose(&nobody);
    assert_eq!(ledger.local(Lsn(6), Lsn(6)), progress(5, 5));
    assert_eq!(ledger.retract_unsent(), progress(6, 6));
}
