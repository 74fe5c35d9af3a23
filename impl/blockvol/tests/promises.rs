//! What a store promises others, and what it takes from them.

mod reference;

use bytes::Bytes;
use holdfast_blockvol::sim::{Crash, Medium};
use holdfast_blockvol::{AppendError, FlushBound, PromiseError, Role, TruncateError};
use holdfast_types::{BLOCK_SIZE, EntryKind, Epoch, Lsn, SessionId, StoreId};
use reference::{
    ALL, LEADER, core, core_append, crash, fresh, open, range, settle, write, write_back_all,
};
use uuid::Uuid;

#[test]
fn f35_a_sync_that_was_under_way_during_a_cut_makes_nothing_durable() {
    let (_storage, mut store) = core();
    for block in 0..4 {
        core_append(&mut store, EntryKind::Write, Some(block));
    }
    let step = store.begin_sync().unwrap();
    let result = step.run();
    store.truncate(Lsn(2)).unwrap();
    for block in 0..3 {
        core_append(&mut store, EntryKind::Trim, Some(block));
    }
    assert_eq!(store.finish_sync(&step, result), Ok(Lsn(2)));
    assert_eq!(store.positions().durable, Lsn(2));
}

#[test]
fn f52_a_fence_is_durable_before_it_is_answered() {
    let (storage, volume) = fresh();
    volume.fence(Epoch(5)).unwrap();
    let restarted = open(&crash(&storage, Crash::KeepNone));
    assert_eq!(
        restarted.fence(Epoch(1)),
        Err(PromiseError::StaleEpoch {
            promised: Epoch(5),
            offered: Epoch(1)
        })
    );
    assert_eq!(restarted.fence(Epoch(5)).unwrap().epoch, Epoch(5));
}

#[test]
fn f80_the_role_is_none_after_a_restart_and_f92_a_session_is_admitted_once() {
    let (storage, volume) = fresh();
    volume.set_role(Epoch(1), Role::Replica).unwrap();
    assert!(matches!(
        volume.set_role(Epoch(2), Role::Replica),
        Err(PromiseError::NotFenced { .. })
    ));
    volume
        .admit_session(Epoch(1), SessionId(4), LEADER)
        .unwrap();
    let incarnation = volume.promise().incarnation;
    let restarted = open(&crash(&storage, Crash::KeepAll));
    assert_eq!(restarted.promise().role, Role::None);
    assert_eq!(restarted.promise().incarnation, incarnation + 1);
    assert!(matches!(
        restarted.admit_session(Epoch(1), SessionId(4), LEADER),
        Err(PromiseError::StaleSession { .. })
    ));
    assert!(
        restarted
            .admit_session(Epoch(1), SessionId(5), LEADER)
            .is_ok()
    );
    assert!(
        restarted
            .admit_session(Epoch(2), SessionId(1), LEADER)
            .is_ok()
    );
}

#[test]
fn f85_an_epoch_has_one_leader_for_ever_whoever_asks_after_a_restart() {
    let (storage, volume) = fresh();
    let led = |leader| {
        Err(PromiseError::Led {
            epoch: Epoch(2),
            leader,
        })
    };
    let rival = StoreId(Uuid::from_u128(78));
    volume.fence(Epoch(2)).unwrap();
    volume.fence(Epoch(2)).unwrap();
    volume
        .admit_session(Epoch(2), SessionId(4), LEADER)
        .unwrap();
    let restarted = open(&crash(&storage, Crash::KeepNone));
    for volume in [volume, restarted] {
        let rivals = volume.admit_session(Epoch(2), SessionId(9), rival);
        assert_eq!(rivals, led(LEADER), "another leads it");
        assert_eq!(volume.fence(Epoch(2)), led(LEADER), "no candidate any more");
        let own = volume.set_role(Epoch(2), Role::Primary);
        assert_eq!(own, led(LEADER), "not itself either");
        assert_eq!(volume.promise().session, Some(SessionId(4)));
    }
    let newer =
        open(&crash(&storage, Crash::KeepNone)).admit_session(Epoch(3), SessionId(1), rival);
    assert_eq!(newer.unwrap().leader, Some(rival), "a newer epoch is open");
}

#[test]
fn f85_whoever_led_an_epoch_follows_nobody_in_it_and_leads_it_once() {
    let (storage, volume) = fresh();
    let own = volume.store_id();
    let led = Err(PromiseError::Led {
        epoch: Epoch(1),
        leader: own,
    });
    volume.set_role(Epoch(1), Role::Primary).unwrap();
    volume.set_role(Epoch(1), Role::Primary).unwrap();
    let restarted = open(&crash(&storage, Crash::KeepNone));
    assert_eq!(restarted.set_role(Epoch(1), Role::Primary), led);
    for volume in [volume, restarted] {
        assert_eq!(volume.promise().leader, Some(own));
        assert_eq!(volume.admit_session(Epoch(1), SessionId(1), LEADER), led);
        assert_eq!(volume.admit_session(Epoch(1), SessionId(1), own), led);
        assert_eq!(volume.fence(Epoch(1)), led);
    }
}

#[test]
fn f95_write_back_stays_within_what_is_durable_here() {
    let (storage, volume) = fresh();
    volume.sync().unwrap();
    write(&volume, 1, 0, 1, 10);
    volume.set_committed(ALL);
    volume.set_flush_bound(FlushBound::Durable);
    write_back_all(&volume);
    assert_eq!(volume.positions().extent_bound, Lsn(1));
    assert_eq!(storage.visible(Medium::Extent)[0], 0);
    let recovered = open(&crash(&storage, Crash::KeepNone));
    assert!(recovered.positions().is_trusted());
}

#[test]
fn c2_only_committed_entries_reach_the_extent() {
    let (storage, volume) = fresh();
    write(&volume, 1, 0, 1, 10);
    write(&volume, 1, 1, 1, 11);
    volume.sync().unwrap();
    volume.set_committed(Lsn(2));
    write_back_all(&volume);
    let extent = storage.visible(Medium::Extent);
    assert_eq!((extent[0], extent[BLOCK_SIZE]), (10, 0));
    volume.truncate(Lsn(2)).unwrap();
    assert!(matches!(
        volume.truncate(Lsn(1)),
        Err(TruncateError::BelowExtent { .. })
    ));
    assert!(matches!(
        volume.truncate(Lsn(9)),
        Err(TruncateError::BeyondHead { .. })
    ));
}

#[test]
fn m03_an_entry_is_taken_only_behind_its_predecessor() {
    let (_storage, volume) = fresh();
    let entry = |lsn| holdfast_blockvol::Entry {
        lsn: Lsn(lsn),
        epoch: Epoch(1),
        kind: EntryKind::Trim,
        range: Some(range(0, 1)),
        payload: Bytes::new(),
    };
    for predecessor in [(Lsn(0), Epoch(0)), (Lsn(1), Epoch(2)), (Lsn(2), Epoch(1))] {
        assert_eq!(
            volume.append_entry(predecessor, entry(2)),
            Err(AppendError::Predecessor {
                expected_lsn: Lsn(1),
                expected_epoch: Epoch(1),
                found_lsn: predecessor.0,
                found_epoch: predecessor.1,
            })
        );
    }
    for lsn in [1, 3] {
        assert!(matches!(
            volume.append_entry((Lsn(1), Epoch(1)), entry(lsn)),
            Err(AppendError::NotNext { .. })
        ));
    }
    assert_eq!(
        volume.append_entry((Lsn(1), Epoch(1)), entry(2)),
        Ok(Lsn(2))
    );
}

#[test]
fn epochs_begin_with_their_start_and_never_go_back() {
    let (_storage, volume) = fresh();
    let trim = |epoch| volume.append(Epoch(epoch), EntryKind::Trim, range(0, 1), Bytes::new());
    assert!(matches!(trim(2), Err(AppendError::EpochNotPromised { .. })));
    volume.fence(Epoch(2)).unwrap();
    assert!(matches!(trim(1), Err(AppendError::EpochNotPromised { .. })));
    assert!(matches!(trim(2), Err(AppendError::EpochOrder { .. })));
    volume.append_epoch_start(Epoch(2)).unwrap();
    assert!(matches!(
        volume.append_epoch_start(Epoch(2)),
        Err(AppendError::EpochOrder { .. })
    ));
    assert_eq!(trim(2), Ok(Lsn(3)));
    assert_eq!(volume.history().epoch_start, Some(Lsn(2)));
}

#[test]
fn m35_m06_committed_never_passes_the_head_and_never_goes_back() {
    let (storage, volume) = fresh();
    write(&volume, 1, 0, 1, 10);
    assert_eq!(volume.set_committed(Lsn(99)), Lsn(2));
    assert_eq!(volume.set_committed(Lsn(1)), Lsn(2));
    settle(&volume);
    write(&volume, 1, 0, 1, 11);
    volume.sync().unwrap();
    volume.set_committed(ALL);
    drop(volume);
    let restarted = open(&storage).positions();
    assert_eq!(restarted.committed, restarted.extent_bound);
    assert_eq!(restarted.committed, Lsn(2));
}

#[test]
fn facts_are_read_from_the_disk() {
    let (storage, volume) = fresh();
    write(&volume, 1, 0, 1, 10);
    let facts = volume.facts().unwrap();
    assert_eq!(facts.base.durable, Lsn(2), "the log is synced first");
    assert_eq!(facts.lineage.last().unwrap().first, Lsn(1));
    for slot in [0, 32 << 10] {
        storage.corrupt(Medium::Log, slot + 90, 0xff);
    }
    assert!(volume.facts().is_err(), "the disk no longer says so");
    assert!(volume.poisoned().is_some());
}
