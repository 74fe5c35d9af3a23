use std::collections::BTreeMap;

use holdfast_types::{
    DurabilityMode, Endpoint, EndpointVersion, Epoch, Lsn, Member, ReplicaId, Revision, StoreId,
    VolumeId, VolumeRecord, WriteAck,
};

use super::{Change, Promised};
use crate::commit::{Acknowledged, Requirement};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const MODES: [DurabilityMode; 3] = [
    DurabilityMode::BestEffort,
    DurabilityMode::SyncAll,
    DurabilityMode::SyncQuorum,
];

fn set(bits: usize) -> impl Iterator<Item = ReplicaId> {
    let named = NAMES.iter().enumerate();
    named
        .filter(move |(i, _)| bits & (1 << i) != 0)
        .map(|(_, name)| ReplicaId::new(*name).unwrap())
}

fn record(mode: DurabilityMode, isr: usize, voters: usize) -> VolumeRecord {
    let endpoint = Endpoint {
        data: "127.0.0.1:1".parse().unwrap(),
        control: "127.0.0.1:2".parse().unwrap(),
        version: EndpointVersion(1),
    };
    let store = StoreId::random();
    VolumeRecord {
        volume: VolumeId::random(),
        name: "v".into(),
        blocks: 16,
        epoch: Epoch(2),
        revision: Revision(5),
        primary: set(1).next(),
        members: set(15).map(|id| (id, Member { endpoint, store })).collect(),
        voters: set(voters).collect(),
        isr: set(isr).collect(),
        mode,
        // Never asked about: it bounds acknowledging, not counting.
        min_in_sync: 4,
        write_ack: WriteAck::Received,
        committed_seen: (Epoch(1), Lsn(0)),
    }
}

/// Whether copies in `holders` are enough for a rule, as the prose says it; nothing in common with
/// the code.
fn suffices(mode: DurabilityMode, isr: usize, voters: usize, holders: usize) -> bool {
    match mode {
        DurabilityMode::BestEffort => holders & 1 != 0,
        DurabilityMode::SyncAll => isr & !holders == 0,
        DurabilityMode::SyncQuorum => {
            2 * (isr & voters & holders).count_ones() > voters.count_ones()
        }
    }
}

/// Copies that have shown to hold everything; the others are silent.
fn shown(bits: usize) -> BTreeMap<ReplicaId, Acknowledged> {
    let all = Acknowledged {
        received: Lsn(7),
        durable: Lsn(7),
    };
    set(bits).map(|id| (id, all)).collect()
}

fn is_met(
    from: &VolumeRecord,
    to: &VolumeRecord,
    acks: &BTreeMap<ReplicaId, Acknowledged>,
) -> bool {
    let (from, to) = (Requirement::of(from).unwrap(), Requirement::of(to).unwrap());
    let promised = Promised {
        written: Lsn(7),
        flushed: Lsn(7),
        is_adopted: false,
    };
    Change {
        from: &from,
        to: &to,
        acks,
    }
    .is_met(promised)
}

/// Every world that fits what the primary knows is looked at: a change may be proposed only if the
/// new rule holds in all of them, and, within a mode, whenever it does.
#[test]
fn f99_a_change_is_met_exactly_when_every_possible_world_meets_the_new_rule() {
    const VOTERS: [usize; 3] = [0b0111, 0b1111, 0b0001];
    let sets = || {
        let each = |mode| (0..8).map(move |n| (mode, n * 2 + 1));
        MODES.into_iter().flat_map(each)
    };
    let mut judged = 0_u64;
    for (from_mode, from_isr) in sets() {
        for from_voters in VOTERS {
            let from = record(from_mode, from_isr, from_voters);
            let worlds: Vec<usize> = (0..8)
                .map(|n| n * 2 + 1)
                .filter(|holders| suffices(from_mode, from_isr, from_voters, *holders))
                .collect();
            for (to_mode, to_isr) in sets() {
                for to_voters in VOTERS {
                    let to = record(to_mode, to_isr, to_voters);
                    for known in worlds.iter().copied() {
                        let found = is_met(&from, &to, &shown(known));
                        let mut possible = worlds.iter().filter(|world| *world & known == known);
                        let always =
                            possible.all(|world| suffices(to_mode, to_isr, to_voters, *world));
                        let case = format!("{from:?} to {to:?} knowing {known:b}");
                        assert!(always || !found, "unsafe: {case}");
                        assert!(found || !always || from_mode != to_mode, "waits: {case}");
                        judged += 1;
                    }
                }
            }
        }
    }
    assert!(judged > 20_000, "{judged}");
}

#[test]
fn m31_under_sync_all_a_newcomer_joins_while_a_member_is_silent() {
    let from = record(DurabilityMode::SyncAll, 0b0011, 0b0111);
    let joined = record(DurabilityMode::SyncAll, 0b0111, 0b0111);
    assert!(
        is_met(&from, &joined, &shown(0b0101)),
        "b need not be asked"
    );
    assert!(!is_met(&from, &joined, &shown(0b0011)), "c has to prove it");
}

#[test]
fn f57_a_member_leaves_under_sync_all_whatever_the_others_can_say() {
    let from = record(DurabilityMode::SyncAll, 0b0111, 0b0111);
    let left = record(DurabilityMode::SyncAll, 0b0101, 0b0111);
    assert!(is_met(&from, &left, &shown(0b0001)));
}

#[test]
fn f99_under_a_quorum_who_is_left_has_to_prove_it() {
    let from = record(DurabilityMode::SyncQuorum, 0b0111, 0b0111);
    let left = record(DurabilityMode::SyncQuorum, 0b0101, 0b0111);
    assert!(
        !is_met(&from, &left, &shown(0b0001)),
        "b may have held it, and not c"
    );
    assert!(is_met(&from, &left, &shown(0b0101)));
}

#[test]
fn m34_what_was_only_received_must_be_durable_on_a_copy_that_would_be_alone() {
    let from = record(DurabilityMode::SyncAll, 0b0011, 0b0111);
    let alone = record(DurabilityMode::SyncAll, 0b0001, 0b0111);
    let mut acks = shown(0b0011);
    acks.values_mut().for_each(|ack| ack.durable = Lsn(6));
    let (from, alone) = (
        Requirement::of(&from).unwrap(),
        Requirement::of(&alone).unwrap(),
    );
    fn met(from: &Requirement, to: &Requirement, acks: &BTreeMap<ReplicaId, Acknowledged>) -> bool {
        let promised = Promised {
            written: Lsn(7),
            flushed: Lsn(6),
            is_adopted: false,
        };
        Change { from, to, acks }.is_met(promised)
    }
    assert!(!met(&from, &alone, &acks));
    acks.values_mut().for_each(|ack| ack.durable = Lsn(7));
    assert!(met(&from, &alone, &acks));
}
