//! Every verdict, from the states of two and three copies.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_types::ReplicaId;

use super::{BlockState, Undecided, Verdict, bytes_of, hexadecimal, judge};

fn states(of: &[(&str, u8)]) -> BTreeMap<ReplicaId, BlockState> {
    let state = |content: u8| match content {
        0 => BlockState::Damaged,
        1 => BlockState::DamagedEntry,
        content => BlockState::of(&[content]),
    };
    of.iter()
        .map(|(name, content)| (ReplicaId::new(*name).unwrap(), state(*content)))
        .collect()
}

fn set(names: &[&str]) -> BTreeSet<ReplicaId> {
    names.iter().map(|n| ReplicaId::new(*n).unwrap()).collect()
}

fn repairable(sources: &[&str], targets: &[&str]) -> Verdict {
    Verdict::Repairable {
        sources: set(sources),
        targets: set(targets),
    }
}

#[test]
fn equal_and_sound_copies_are_left_alone() {
    assert_eq!(judge(&states(&[("a", 7)])), Verdict::Equal);
    assert_eq!(judge(&states(&[("a", 7), ("b", 7)])), Verdict::Equal);
}

#[test]
fn f21_a_damaged_copy_is_repaired_from_the_sound_ones() {
    let two = states(&[("a", 0), ("b", 7)]);
    assert_eq!(judge(&two), repairable(&["b"], &["a"]));
    let three = states(&[("a", 7), ("b", 0), ("c", 7)]);
    assert_eq!(judge(&three), repairable(&["a", "c"], &["b"]));
    let one_left = states(&[("a", 1), ("b", 0), ("c", 7)]);
    assert_eq!(judge(&one_left), repairable(&["c"], &["a", "b"]));
}

#[test]
fn sound_content_is_overwritten_by_a_majority_of_the_copies_alone() {
    let three = states(&[("a", 8), ("b", 7), ("c", 7)]);
    assert_eq!(judge(&three), repairable(&["b", "c"], &["a"]));
    let no_majority = Verdict::Undecided {
        why: Undecided::NoMajority,
    };
    for undecided in [
        &[("a", 7), ("b", 8)][..],
        &[("a", 7), ("b", 8), ("c", 9)],
        // Two sound ones differ: the damaged one could have held either.
        &[("a", 7), ("b", 8), ("c", 0)],
        // Two of four are no more than half of them.
        &[("a", 7), ("b", 7), ("c", 8), ("d", 0)],
    ] {
        assert_eq!(judge(&states(undecided)), no_majority, "{undecided:?}");
    }
}

#[test]
fn where_no_copy_is_sound_nothing_is_repaired() {
    let why = Undecided::NoneSound;
    for lost in [&[("a", 0)][..], &[("a", 0), ("b", 1)]] {
        assert_eq!(judge(&states(lost)), Verdict::Undecided { why });
    }
}

#[test]
fn states_and_bytes_read_back_as_written_and_nothing_else_is_taken() {
    for state in [
        BlockState::of(b"x"),
        BlockState::Damaged,
        BlockState::DamagedEntry,
    ] {
        assert_eq!(BlockState::read(&state.text()), Some(state));
    }
    assert_eq!(bytes_of(&hexadecimal(&[0, 1, 255])), Some(vec![0, 1, 255]));
    for wrong in ["", "00", "xy", "0", "ü"] {
        assert_eq!(BlockState::read(wrong), None, "{wrong:?}");
    }
    assert_eq!(bytes_of("+1"), None);
}
