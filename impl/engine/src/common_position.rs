//! The last position that two logs share, found from their lineages alone (T2, F30).

use holdfast_types::{Lineage, LineageEntry, Lsn};

/// The last position up to which the primary's log (up to its `head`) and the replica's (up to
/// what is `durable` there) hold the same entries. `None` when a lineage was cut too short to tell.
///
/// Two logs that hold an entry with the same epoch at the same position are equal up to it, so
/// this is the greatest position, at most where the shorter log ends, for which both lineages name
/// the same epoch. Positions of one log are never compared with those of another: a log that is as
/// long may still be another log.
///
/// ```text
/// primary   1 1 1 1|3 3 3          lineage (1,1) (3,5)
/// replica   1 1 1|2 2 2            lineage (1,1) (2,4)
/// position  1 2 3 4 5 6 7          common = 3
/// ```
#[must_use]
pub fn common_position(
    primary: &Lineage,
    head: Lsn,
    replica: &Lineage,
    durable: Lsn,
) -> Option<Lsn> {
    let mut position = head.min(durable);
    let mut ours = reaching(primary, position);
    let mut theirs = reaching(replica, position);
    while let (Some(our), Some(their)) = (ours.last(), theirs.last()) {
        if our.epoch == their.epoch {
            return Some(position);
        }
        // Down to where the younger of the two runs began both logs name the same two epochs,
        // which differ: go on before it.
        position = our.first.max(their.first).checked_prev()?;
        ours = before_or_at(ours, position);
        theirs = before_or_at(theirs, position);
    }
    let both_known_from_the_start = begins_at_one(primary) && begins_at_one(replica);
    (durable == Lsn::ZERO || both_known_from_the_start).then_some(Lsn::ZERO)
}

/// The entries of a lineage that begin at or before `position`.
fn reaching(lineage: &Lineage, position: Lsn) -> &[LineageEntry] {
    let entries = lineage.entries();
    &entries[..entries.partition_point(|entry| entry.first <= position)]
}

/// The same of entries of which at most the last begins later.
fn before_or_at(entries: &[LineageEntry], position: Lsn) -> &[LineageEntry] {
    match entries.split_last() {
        Some((last, rest)) if last.first > position => rest,
        Some(_) | None => entries,
    }
}

fn begins_at_one(lineage: &Lineage) -> bool {
    let first = lineage.entries().first();
    first.is_some_and(|entry| entry.first == Lsn(1))
}
