//! What every copy has acknowledged to this primary, and what follows from it.
//!
//! ```text
//!   committed <= written <= head        (written: writes that may be acknowledged)
//! ```
//!
//! In flight under both rules: while the outcome of a proposed change of the record is unknown,
//! the old requirement and every proposed one must be met, until a record with a higher revision
//! was read (F97, M33).

use std::collections::BTreeMap;

use holdfast_types::{Lsn, ReplicaId, Revision, SessionId, VolumeRecord};

use super::requirement::{Acknowledged, Requirement};

/// What may be told to clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Writes up to here may be acknowledged and read.
    pub written: Lsn,
    /// Flushes up to here may be acknowledged.
    pub committed: Lsn,
}

/// The acknowledgements of one epoch at its primary.
#[derive(Clone, Debug)]
pub struct CommitLedger {
    primary: ReplicaId,
    epoch_start: Option<Lsn>,
    revision: Revision,
    in_force: Option<Requirement>,
    proposed: Vec<Requirement>,
    sessions: BTreeMap<ReplicaId, SessionId>,
    acks: BTreeMap<ReplicaId, Acknowledged>,
    progress: Progress,
}

impl CommitLedger {
    /// A ledger for the primary `primary` of the record's epoch. Nothing is acknowledged before
    /// [`CommitLedger::epoch_started`].
    ///
    /// `committed` is what this node already knows to be committed from before.
    #[must_use]
    pub fn new(record: &VolumeRecord, primary: ReplicaId, committed: Lsn) -> Self {
        Self {
            in_force: Requirement::of(record).filter(|_| record.primary.as_ref() == Some(&primary)),
            revision: record.revision,
            primary,
            epoch_start: None,
            proposed: Vec::new(),
            sessions: BTreeMap::new(),
            acks: BTreeMap::new(),
            progress: Progress {
                written: committed,
                committed,
            },
        }
    }

    /// What may be told to clients now.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// The first entry of this epoch was logged at `lsn`: only from here on does counting commit.
    pub fn epoch_started(&mut self, lsn: Lsn) -> Progress {
        self.epoch_start.get_or_insert(lsn);
        self.advance()
    }

    /// The primary's own log stands here.
    pub fn local(&mut self, head: Lsn, durable: Lsn) -> Progress {
        let own = self.acks.entry(self.primary.clone()).or_default();
        own.received = own.received.max(head);
        own.durable = own.durable.max(durable.min(own.received));
        self.advance()
    }

    /// A session of `replica` has begun to stream: its acknowledgements count from now, and only
    /// those; nothing is taken from the handshake (M15).
    pub fn session_began(&mut self, replica: ReplicaId, session: SessionId) {
        self.acks.remove(&replica);
        self.sessions.insert(replica, session);
    }

    /// The session is over, and with it what it acknowledged (T7). Another session is not touched.
    pub fn session_ended(&mut self, replica: &ReplicaId, session: SessionId) {
        if self.sessions.get(replica) == Some(&session) {
            self.sessions.remove(replica);
            self.acks.remove(replica);
        }
    }

    /// `replica` acknowledged in `session`. An acknowledgement of another session, or of entries
    /// that this primary has not logged, changes nothing (M04, M13).
    pub fn acknowledged(
        &mut self,
        replica: &ReplicaId,
        session: SessionId,
        received: Lsn,
        durable: Lsn,
    ) -> Progress {
        let head = self.own().received;
        let credible = received <= head && durable <= received;
        if credible && self.sessions.get(replica) == Some(&session) {
            let ack = self.acks.entry(replica.clone()).or_default();
            ack.received = ack.received.max(received);
            ack.durable = ack.durable.max(durable);
        }
        self.advance()
    }

    /// What `replica` acknowledged in its present session.
    #[must_use]
    pub fn acknowledged_by(&self, replica: &ReplicaId) -> Option<Acknowledged> {
        self.acks.get(replica).copied()
    }

    /// A change of the record is about to be proposed: from now on it must be met as well.
    pub fn propose(&mut self, record: &VolumeRecord) {
        match Requirement::of(record) {
            Some(requirement) => self.proposed.push(requirement),
            // Without a primary nothing could be acknowledged under it, so nothing is from now on.
            None => self.in_force = None,
        }
    }

    /// Gives up the last proposal. Only for one that was never sent to the authority: once it was,
    /// only a higher revision settles it.
    pub fn retract_unsent(&mut self) -> Progress {
        self.proposed.pop();
        self.advance()
    }

    /// The members of the in-sync set that have not proven `lsn` durable: who is waited for.
    #[must_use]
    pub fn waited_for(&self, lsn: Lsn) -> Vec<ReplicaId> {
        let Some(in_force) = &self.in_force else {
            return Vec::new();
        };
        let behind = |member: &&ReplicaId| {
            self.acks
                .get(*member)
                .is_none_or(|acknowledged| acknowledged.durable < lsn)
        };
        in_force.members().filter(behind).cloned().collect()
    }

    /// Whether a proposal is in flight.
    #[must_use]
    pub fn has_proposal(&self) -> bool {
        !self.proposed.is_empty()
    }

    /// A record was read. Only a higher revision settles what is in flight; an older or equal one
    /// changes nothing. A record that names another primary leaves nothing to acknowledge.
    pub fn adopt(&mut self, record: &VolumeRecord) -> Progress {
        if record.revision > self.revision {
            self.revision = record.revision;
            self.proposed.clear();
            self.in_force =
                Requirement::of(record).filter(|_| record.primary.as_ref() == Some(&self.primary));
        }
        self.advance()
    }

    /// Whether everything acknowledged so far meets the rule of `record`, so that it may be
    /// proposed: what was acknowledged as written is held as the new rule asks, what was flushed is
    /// durable as it asks, and where one copy alone would remain, all of it is durable there (F99, M34).
    #[must_use]
    pub fn would_be_met_by(&self, record: &VolumeRecord) -> bool {
        let Some(requirement) = Requirement::of(record) else {
            return false;
        };
        let Progress { written, committed } = self.progress;
        let held = requirement
            .write_position(&self.acks)
            .is_some_and(|lsn| lsn >= written);
        let flushed = requirement
            .flush_position(&self.acks)
            .is_some_and(|lsn| lsn >= committed);
        let safe_alone = requirement.in_sync_count() > 1 || self.own().durable >= written;
        held && flushed && safe_alone
    }

    /// Whether everything acknowledged so far is durable on enough copies without `replica`, so
    /// that a trusted copy there may be overwritten.
    #[must_use]
    pub fn is_safe_without(&self, replica: &ReplicaId) -> bool {
        let Some(in_force) = &self.in_force else {
            return false;
        };
        let mut others = self.acks.clone();
        others.remove(replica);
        in_force
            .flush_position(&others)
            .is_some_and(|lsn| lsn >= self.progress.written)
    }

    fn own(&self) -> Acknowledged {
        self.acks.get(&self.primary).copied().unwrap_or_default()
    }

    fn advance(&mut self) -> Progress {
        let Some(epoch_start) = self.epoch_start else {
            return self.progress;
        };
        let rules = || self.in_force.iter().chain(&self.proposed);
        if self.in_force.is_none() {
            return self.progress;
        }
        let head = self.own().received;
        let least = |position: &dyn Fn(&Requirement) -> Option<Lsn>| {
            rules().try_fold(head, |least, rule| Some(least.min(position(rule)?)))
        };
        let written = least(&|rule| rule.write_position(&self.acks));
        let committed = least(&|rule| rule.flush_position(&self.acks));
        // Entries of older epochs are never counted by themselves: only with an entry of this
        // epoch on top of them does anything move (M07).
        let of_this_epoch = |lsn: &Lsn| *lsn >= epoch_start;
        if let Some(lsn) = committed.filter(of_this_epoch) {
            self.progress.committed = self.progress.committed.max(lsn);
        }
        if let Some(lsn) = written.filter(of_this_epoch) {
            self.progress.written = self.progress.written.max(lsn);
        }
        self.progress.written = self.progress.written.max(self.progress.committed);
        self.progress
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use holdfast_types::{
        DurabilityMode, Endpoint, EndpointVersion, Epoch, Lsn, Member, ReplicaId, Revision,
        SessionId, StoreId, VolumeId, VolumeRecord, WriteAck,
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
        assert!(!ledger.would_be_met_by(&joined), "c has proven nothing");
        ledger.acknowledged(&id("c"), S, Lsn(9), Lsn(8));
        assert!(
            !ledger.would_be_met_by(&joined),
            "committed is 9, c is durable to 8"
        );
        ledger.acknowledged(&id("c"), S, Lsn(9), Lsn(9));
        assert!(ledger.would_be_met_by(&joined));
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
        assert!(!ledger.would_be_met_by(&alone));
        ledger.local(Lsn(8), Lsn(8));
        assert!(ledger.would_be_met_by(&alone));
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
    fn a_trusted_copy_is_overwritten_only_while_the_others_hold_everything() {
        let mut ledger = started(&record(DurabilityMode::SyncQuorum, &["a", "b", "c"]), 9);
        ledger.acknowledged(&id("c"), S, Lsn(9), Lsn(9));
        assert!(
            !ledger.is_safe_without(&id("c")),
            "b has acknowledged nothing"
        );
        ledger.acknowledged(&id("b"), S, Lsn(9), Lsn(9));
        assert!(ledger.is_safe_without(&id("c")));
    }
}
