//! One record's answer to "who must acknowledge".

use std::collections::{BTreeMap, BTreeSet};

use holdfast_types::{DurabilityMode, Lsn, ReplicaId, VolumeRecord, WriteAck};

/// What one copy has acknowledged in its present session; for the primary, its own log.
/// `durable <= received`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// In the log, in order, perhaps not durable.
    pub received: Lsn,
    /// Survives a crash.
    pub durable: Lsn,
}

/// The part of the authority's record that says who must acknowledge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    pub(super) mode: DurabilityMode,
    pub(super) write_ack: WriteAck,
    min_in_sync: usize,
    pub(super) primary: ReplicaId,
    pub(super) isr: BTreeSet<ReplicaId>,
    voters: BTreeSet<ReplicaId>,
}

impl Requirement {
    /// The requirement that a record states, or `None` when it names no primary: then nothing can
    /// be acknowledged under it.
    #[must_use]
    pub fn of(record: &VolumeRecord) -> Option<Self> {
        Some(Self {
            mode: record.mode,
            write_ack: record.write_ack,
            min_in_sync: record.min_in_sync,
            primary: record.primary.clone()?,
            isr: record.isr.clone(),
            voters: record.voters.clone(),
        })
    }

    /// The in-sync set.
    pub fn members(&self) -> impl Iterator<Item = &ReplicaId> {
        self.isr.iter()
    }

    /// Whether one copy is the whole in-sync set.
    #[must_use]
    pub fn is_one_copy(&self) -> bool {
        self.isr.len() == 1
    }

    /// The voters that count: those in the in-sync set.
    pub(super) fn counted(&self) -> BTreeSet<ReplicaId> {
        self.voters.intersection(&self.isr).cloned().collect()
    }

    /// Whether the recorded sets could acknowledge anything at all, all members being well.
    #[must_use]
    pub fn is_satisfiable(&self) -> bool {
        if !self.isr.contains(&self.primary) {
            return false;
        }
        match self.mode {
            DurabilityMode::BestEffort => true,
            DurabilityMode::SyncAll => self.isr.len() >= self.min_in_sync.max(1),
            DurabilityMode::SyncQuorum => {
                !self.voters.is_empty()
                    && self.voters.intersection(&self.isr).count() >= self.majority()
            }
        }
    }

    const fn majority_of(voters: usize) -> usize {
        voters / 2 + 1
    }

    pub(super) fn majority(&self) -> usize {
        Self::majority_of(self.voters.len())
    }

    /// Up to where a flush may be acknowledged; `None` when nothing may.
    #[must_use]
    pub fn flush_position(&self, acks: &BTreeMap<ReplicaId, Acknowledged>) -> Option<Lsn> {
        self.position(acks, |ack| ack.durable)
    }

    /// Up to where writes may be acknowledged; `None` when nothing may.
    #[must_use]
    pub fn write_position(&self, acks: &BTreeMap<ReplicaId, Acknowledged>) -> Option<Lsn> {
        match self.write_ack {
            WriteAck::Received => self.position(acks, |ack| ack.received),
            WriteAck::Local if self.is_satisfiable() => {
                acks.get(&self.primary).map(|ack| ack.received)
            }
            WriteAck::Local => None,
        }
    }

    /// The same while this rule is proposed and its outcome unknown: a set of one copy would have
    /// to keep alone what it acknowledges, so it counts what is durable there (M34). Under
    /// `write_ack = local` nothing changes: it never promised more.
    #[must_use]
    pub fn write_position_in_flight(
        &self,
        acks: &BTreeMap<ReplicaId, Acknowledged>,
    ) -> Option<Lsn> {
        match self.write_ack {
            WriteAck::Received if self.is_one_copy() => self.flush_position(acks),
            WriteAck::Received | WriteAck::Local => self.write_position(acks),
        }
    }

    /// Whether the copies that the mode asks for hold everything up to `lsn` durably without
    /// `replica`. Whether they are as many as `min_in_sync` asks for is another question: it
    /// bounds acknowledging, not counting (decision 043).
    #[must_use]
    pub fn is_durable_without(
        &self,
        replica: &ReplicaId,
        lsn: Lsn,
        acks: &BTreeMap<ReplicaId, Acknowledged>,
    ) -> bool {
        let durable = |other: &ReplicaId| {
            other != replica && acks.get(other).is_some_and(|ack| ack.durable >= lsn)
        };
        if !self.isr.contains(&self.primary) {
            return false;
        }
        match self.mode {
            DurabilityMode::BestEffort => durable(&self.primary),
            DurabilityMode::SyncAll => {
                let mut others = self.isr.iter().filter(|member| *member != replica);
                others.all(durable)
            }
            DurabilityMode::SyncQuorum => {
                let holders = self.counted().into_iter().filter(durable);
                !self.voters.is_empty() && holders.count() >= self.majority()
            }
        }
    }

    /// The greatest position that the copies which the mode asks for have reached.
    fn position(
        &self,
        acks: &BTreeMap<ReplicaId, Acknowledged>,
        reached: impl Fn(&Acknowledged) -> Lsn,
    ) -> Option<Lsn> {
        if !self.is_satisfiable() {
            return None;
        }
        match self.mode {
            DurabilityMode::BestEffort => acks.get(&self.primary).map(reached),
            DurabilityMode::SyncAll => self
                .isr
                .iter()
                .map(|member| acks.get(member).map(&reached))
                .try_fold(Lsn::MAX, |least, position| Some(least.min(position?))),
            DurabilityMode::SyncQuorum => {
                let voters = self.voters.intersection(&self.isr);
                let mut positions: Vec<Lsn> = voters
                    .filter_map(|voter| acks.get(voter).map(&reached))
                    .collect();
                positions.sort_unstable_by(|a, b| b.cmp(a));
                positions.get(self.majority() - 1).copied()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use holdfast_types::{DurabilityMode, Lsn, ReplicaId, WriteAck};

    use super::{Acknowledged, Requirement};

    const NAMES: [&str; 4] = ["a", "b", "c", "d"];

    fn id(index: usize) -> ReplicaId {
        ReplicaId::new(NAMES[index]).unwrap()
    }

    fn set(bits: usize) -> impl Iterator<Item = ReplicaId> {
        (0..NAMES.len())
            .filter(move |i| bits & (1 << i) != 0)
            .map(id)
    }

    fn requirement(mode: DurabilityMode, isr: usize, voters: usize, min: usize) -> Requirement {
        Requirement {
            mode,
            write_ack: WriteAck::Received,
            min_in_sync: min,
            primary: id(0),
            isr: set(isr).collect(),
            voters: set(voters).collect(),
        }
    }

    /// Every assignment of a position 0, 1, 2 or "no session" to each of the four.
    fn every_report() -> impl Iterator<Item = [Option<u64>; 4]> {
        (0..4_usize.pow(4)).map(|n| {
            let digit = |i: u32| match n / 4_usize.pow(i) % 4 {
                3 => None,
                position => Some(position as u64),
            };
            [digit(0), digit(1), digit(2), digit(3)]
        })
    }

    fn acks(report: [Option<u64>; 4]) -> BTreeMap<ReplicaId, Acknowledged> {
        let named = report.into_iter().enumerate();
        named
            .filter_map(|(i, position)| {
                let durable = Lsn(position?);
                let received = Lsn(durable.0 + 5);
                Some((id(i), Acknowledged { received, durable }))
            })
            .collect()
    }

    /// The rule as the prose says it, position by position, with nothing in common with the code.
    fn prose(
        mode: DurabilityMode,
        isr: usize,
        voters: usize,
        min: usize,
        at: u64,
        r: [Option<u64>; 4],
    ) -> bool {
        let durable = |i: usize| r[i].is_some_and(|p| p >= at);
        let member = |i: usize| isr & (1 << i) != 0;
        if !member(0) {
            return false;
        }
        match mode {
            DurabilityMode::BestEffort => durable(0),
            DurabilityMode::SyncAll => {
                isr.count_ones() as usize >= min && (0..4).all(|i| !member(i) || durable(i))
            }
            DurabilityMode::SyncQuorum => {
                let votes = (0..4).filter(|&i| member(i) && voters & (1 << i) != 0 && durable(i));
                2 * votes.count() > voters.count_ones() as usize
            }
        }
    }

    #[test]
    fn a8_every_mode_acknowledges_exactly_by_its_rule_in_every_mixed_state() {
        let mut judged = 0_u64;
        for mode in [
            DurabilityMode::BestEffort,
            DurabilityMode::SyncAll,
            DurabilityMode::SyncQuorum,
        ] {
            for isr in 0..16_usize {
                for (voters, min) in [(7, 1), (7, 2), (15, 3), (14, 4), (0, 1), (1, 1)] {
                    let rule = requirement(mode, isr, voters, min);
                    for report in every_report() {
                        let found = rule.flush_position(&acks(report));
                        for at in 0..3 {
                            let expected = prose(mode, isr, voters, min, at, report);
                            let allowed = found.is_some_and(|lsn| lsn.0 >= at);
                            assert_eq!(allowed, expected, "{rule:?} {report:?} at {at}");
                            judged += 1;
                        }
                    }
                }
            }
        }
        assert_eq!(judged, 3 * 16 * 6 * 256 * 3);
    }

    #[test]
    fn f40_an_empty_required_set_acknowledges_nothing() {
        let all = acks([Some(2), Some(2), Some(2), Some(2)]);
        for mode in [DurabilityMode::SyncAll, DurabilityMode::SyncQuorum] {
            let rule = requirement(mode, 0, 7, 1);
            assert_eq!(rule.flush_position(&all), None);
            assert_eq!(rule.write_position(&all), None);
        }
        let no_voters = requirement(DurabilityMode::SyncQuorum, 7, 0, 1);
        assert_eq!(no_voters.flush_position(&all), None);
    }

    #[test]
    fn m10_the_primary_counts_what_is_durable_in_its_own_log_and_no_more() {
        let rule = requirement(DurabilityMode::SyncAll, 3, 3, 1);
        let mut all = acks([Some(0), Some(2), None, None]);
        all.insert(
            id(0),
            Acknowledged {
                received: Lsn(9),
                durable: Lsn(1),
            },
        );
        assert_eq!(rule.flush_position(&all), Some(Lsn(1)));
        assert_eq!(rule.write_position(&all), Some(Lsn(7)));
    }

    #[test]
    fn m11_a_quorum_needs_a_majority_of_the_voters_and_not_of_those_who_answer() {
        let rule = requirement(DurabilityMode::SyncQuorum, 15, 7, 1);
        assert_eq!(
            rule.flush_position(&acks([Some(2), None, None, None])),
            None
        );
        let with_a_stranger = acks([Some(2), None, None, Some(2)]);
        assert_eq!(rule.flush_position(&with_a_stranger), None);
        let two = acks([Some(2), Some(1), None, None]);
        assert_eq!(rule.flush_position(&two), Some(Lsn(1)));
    }

    #[test]
    fn m12_sync_all_neither_drops_a_silent_member_nor_counts_a_removed_one() {
        let rule = requirement(DurabilityMode::SyncAll, 7, 7, 1);
        assert_eq!(
            rule.flush_position(&acks([Some(2), Some(2), None, Some(2)])),
            None
        );
        let shrunk = requirement(DurabilityMode::SyncAll, 3, 7, 3);
        assert_eq!(
            shrunk.flush_position(&acks([Some(2), Some(2), Some(2), None])),
            None,
            "below min_in_sync nothing is acknowledged"
        );
    }

    #[test]
    fn a_local_write_ack_still_needs_a_set_that_could_flush_it() {
        let mut rule = requirement(DurabilityMode::SyncAll, 3, 7, 2);
        rule.write_ack = WriteAck::Local;
        let alone = acks([Some(1), None, None, None]);
        assert_eq!(rule.write_position(&alone), Some(Lsn(6)));
        rule.min_in_sync = 3;
        assert_eq!(rule.write_position(&alone), None);
    }
}
