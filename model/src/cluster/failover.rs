//! Epochs, fencing, promotion (`protocol.md` section 7).

use super::Cluster;
use super::action::Refusal;
use super::broken::Broken;
use super::conjuncts::{Conditions, Conjunct, Granted, unless};
use super::state::{Membership, NOBODY, Report, State};
use super::vocabulary::{Members, Mode, NODES, NodeId, Renewal, SLOTS, WriteAck};

impl Cluster {
    /// Whether a node holds a lease of the present epoch, on its own clock.
    pub(super) fn lease_held(s: &State) -> bool {
        let epoch = s.record.epoch;
        s.nodes.iter().any(|n| n.lease && n.promised == epoch)
    }

    fn lease_over(&self, s: &State) -> Granted {
        let held = if self.bounds.clocks {
            s.record.granted
        } else {
            self.bounds.leases && Self::lease_held(s)
        };
        let over = !held || self.is(Broken::MintUnderLease);
        self.must(Conjunct::MintLease, over, Refusal::LeaseHeld)
    }

    fn may_mint_at_all(&self, s: &State) -> Granted {
        unless(s.record.epoch < self.bounds.epochs, Refusal::Bound)?;
        self.lease_over(s)
    }

    pub(super) fn may_mint(&self, s: &State) -> Granted {
        unless(s.acting_primary().is_some(), Refusal::Settled)?;
        self.may_mint_at_all(s)
    }

    pub(super) fn may_mint_again(&self, s: &State) -> Granted {
        unless(s.acting_primary().is_none(), Refusal::Settled)?;
        self.may_mint_at_all(s)
    }

    /// A new epoch without a primary: the old lease cannot be renewed, and no request of the old
    /// epoch can land any more.
    pub(super) fn mint(&self, s: &mut State) {
        let record = &mut s.record;
        record.epoch += 1;
        record.primary = NOBODY;
        record.reports = [None; NODES];
        record.request = None;
        record.news = false;
        if let Renewal::Asked(_) = record.renewal {
            record.renewal = Renewal::None;
        }
        if !self.bounds.leases {
            s.nodes.iter_mut().for_each(|node| node.lease = false);
        }
    }

    /// Whether a store may count in a report, or lead.
    fn counts(
        &self,
        s: &State,
        node: NodeId,
        (recorded, trusted): (Conjunct, Conjunct),
    ) -> Granted {
        let is_recorded = s.recorded(node) || self.is(Broken::CountReplacedStores);
        self.must(recorded, is_recorded, Refusal::NotEligible)?;
        let is_trusted = s.node(node).trusted() || self.is(Broken::PromoteUntrusted);
        self.must(trusted, is_trusted, Refusal::NotEligible)
    }

    pub(super) fn may_fence(&self, s: &State, node: NodeId) -> Granted {
        let (n, record) = (s.node(node), &s.record);
        if self.is(Broken::FenceBeforeMint) && record.primary != NOBODY {
            return unless(
                n.up && !n.primary && n.promised == record.epoch,
                Refusal::Settled,
            );
        }
        let nobody = record.primary == NOBODY;
        self.must(Conjunct::FenceNobody, nobody, Refusal::Settled)?;
        self.must(Conjunct::FenceUp, n.up, Refusal::Down)?;
        let unreported = record.reports[usize::from(node)].is_none();
        self.must(Conjunct::FenceOnce, unreported, Refusal::Settled)?;
        let behind = n.promised <= record.epoch;
        self.must(Conjunct::FenceEpoch, behind, Refusal::HigherEpoch)?;
        let led = n.promised == record.epoch && n.led.is_some();
        let free = !led || self.is(Broken::EpochLedTwice);
        self.must(Conjunct::FenceLed, free, Refusal::LedByAnother)?;
        self.counts(s, node, (Conjunct::FenceRecorded, Conjunct::FenceTrusted))
    }

    /// The candidate makes the epoch durable, gives up any role, syncs its log, and reports.
    pub(super) fn fence(&self, s: &mut State, node: NodeId) {
        if s.record.primary != NOBODY {
            // Only a broken rule fences before the epoch was minted.
            let n = s.node_mut(node);
            n.promised += 1;
            n.sworn = n.promised;
            n.session = 0;
            return;
        }
        let epoch = s.record.epoch;
        let in_memory = self.is(Broken::PromiseInMemory);
        let counts_as_whole = self.is(Broken::RestartedCountsAsWhole);
        let n = s.node_mut(node);
        let promised = n.promised;
        n.step_down();
        n.session = 0;
        if promised < epoch {
            n.led = None;
        }
        n.promised = epoch;
        if !in_memory {
            n.sworn = epoch;
        }
        n.durable = n.head;
        let report = Report {
            last: n.log.at(n.durable).epoch,
            durable: n.durable,
            promised: if self.is(Broken::ChooseByLength) {
                promised
            } else {
                0
            },
            whole: n.whole || counts_as_whole,
        };
        s.record.reports[usize::from(node)] = Some(report);
    }

    /// The candidates whose reports count for a promotion.
    fn reporting(s: &State) -> Members {
        let reported = |node: &NodeId| s.record.reports[usize::from(*node)].is_some();
        (0..NODES as NodeId)
            .filter(reported)
            .fold(Members::default(), Members::with)
    }

    fn eligible(&self, s: &State) -> Members {
        let members = &s.record.members;
        let reporting = Self::reporting(s);
        match members.mode {
            _ if self.is(Broken::PromoteOutsider) => reporting,
            Mode::BestEffort => reporting.both(Members::only(s.record.last)),
            Mode::SyncAll => reporting.both(members.isr),
            Mode::SyncQuorum => reporting.both(members.isr).both(members.voters),
        }
    }

    fn greatest(&self, s: &State, node: NodeId, among: Members) -> bool {
        let rank = |node: NodeId| {
            let report = s.record.reports[usize::from(node)];
            report.map(|r| match self.broken {
                Some(Broken::ChooseByLength) => (r.promised, r.durable),
                Some(_) | None => (r.last, r.durable),
            })
        };
        among.iter().all(|other| rank(other) <= rank(node))
    }

    pub(super) fn may_promote(&self, s: &State, node: NodeId, shrink: bool) -> Granted {
        let (n, record) = (s.node(node), &s.record);
        let second = self.is(Broken::TwoPrimariesInOneEpoch);
        let nobody = record.primary == NOBODY || second;
        self.must(Conjunct::PromoteNobody, nobody, Refusal::Settled)?;
        self.must(Conjunct::PromoteUp, n.up, Refusal::Down)?;
        self.must(Conjunct::PromoteFree, !n.primary, Refusal::Down)?;
        unless(usize::from(n.head) < SLOTS, Refusal::Bound)?;
        let room = self.room(s, node, 0);
        self.must(Conjunct::PromoteRoom, room, Refusal::Full)?;
        let fenced = n.promised == record.epoch;
        self.must(Conjunct::PromoteFenced, fenced, Refusal::NotEligible)?;
        let counts = (Conjunct::PromoteRecorded, Conjunct::PromoteTrusted);
        self.counts(s, node, counts)?;
        self.may_be_chosen(s, node)?;
        self.may_take_the_lead(s, node)?;
        let eligible = self.eligible(s);
        let reports = eligible.count();
        let enough = reports >= self.reports_needed(&record.members);
        self.must(Conjunct::PromoteReports, enough, Refusal::NotChosen)?;
        let chosen = self.greatest(s, node, eligible) || self.is(Broken::PromoteLaggard);
        self.must(Conjunct::PromoteGreatest, chosen, Refusal::NotChosen)?;
        let seen =
            record.reports[usize::from(node)].is_some_and(|r| (r.last, r.durable) >= record.seen);
        let seen = seen || second || self.is(Broken::IgnoreCommittedSeen);
        self.must(Conjunct::PromoteSeen, seen, Refusal::BelowCommitted)?;
        if shrink {
            let fewer = eligible != record.members.isr;
            let offered = self.bounds.shrink && record.members.mode == Mode::SyncAll;
            unless(offered && fewer, Refusal::NothingToDo)?;
            let enough = reports >= self.bounds.min_in_sync;
            self.must(Conjunct::ShrinkEnough, enough, Refusal::TooFewMembers)?;
        }
        Ok(())
    }

    /// Whether a node is among the eligible.
    fn may_be_chosen(&self, s: &State, node: NodeId) -> Granted {
        let (record, members) = (&s.record, &s.record.members);
        let refusal = Refusal::NotEligible;
        let reported = record.reports[usize::from(node)].is_some();
        self.must(Conjunct::PromoteReported, reported, refusal)?;
        let (last, member, voter) = match members.mode {
            _ if self.is(Broken::PromoteOutsider) => (true, true, true),
            Mode::BestEffort => (record.last == node, true, true),
            Mode::SyncAll => (true, members.isr.has(node), true),
            Mode::SyncQuorum => (true, members.isr.has(node), members.voters.has(node)),
        };
        self.must(Conjunct::EligibleLast, last, refusal)?;
        self.must(Conjunct::EligibleMember, member, refusal)?;
        self.must(Conjunct::EligibleVoter, voter, refusal)
    }

    /// What a node asks itself before it leads: whether its log still ends where it reported, and
    /// whether it follows nobody else in this epoch.
    fn may_take_the_lead(&self, s: &State, node: NodeId) -> Granted {
        let n = s.node(node);
        let as_reported = s.record.reports[usize::from(node)]
            .is_some_and(|r| (r.last, r.durable) == (n.log.at(n.durable).epoch, n.durable));
        let stands = as_reported || self.bounds.lies == 0 || self.is(Broken::LeadBelowReport);
        self.must(Conjunct::PromoteAsReported, stands, Refusal::NotChosen)?;
        let free = n.led.is_none() || self.is(Broken::EpochLedTwice);
        self.must(Conjunct::PromoteLed, free, Refusal::LedByAnother)
    }

    /// Whether a promotion has to say that writes that were acknowledged, but not flushed, may be
    /// lost: unless every member but the old primary reported, and holds all it ever received.
    fn may_have_lost(&self, s: &State) -> bool {
        let isr = s.record.members.isr;
        let others = isr.without(s.record.last);
        let asked = if others.count() == 0 { isr } else { others };
        let silent = self.is(Broken::SilentMembersUnreported);
        !asked
            .iter()
            .all(|node| match s.record.reports[usize::from(node)] {
                Some(report) => report.whole,
                None => silent,
            })
    }

    pub(super) fn promote(&self, s: &mut State, node: NodeId, shrink: bool) {
        let reported = self.may_have_lost(s);
        if shrink {
            s.record.members.isr = self.eligible(s);
        }
        let local = self.bounds.write_ack == WriteAck::Local;
        let kept = s.node(node).log.writes(s.node(node).head);
        let unflushed = s.client.acked.without(s.client.flushed);
        s.client.excused = s.client.excused.without(kept);
        if reported || local {
            s.client.excused = s.client.excused.and(unflushed.without(kept));
        }
        s.past.reported = reported;
        self.lead(s, node);
    }

    /// The role, the lease and the epoch-start entry.
    fn lead(&self, s: &mut State, node: NodeId) {
        s.record.primary = node;
        s.record.last = node;
        s.record.news = false;
        if !self.is(Broken::TwoPrimariesInOneEpoch) {
            s.record.reports = [None; NODES];
        }
        s.record.granted = self.bounds.clocks;
        let members = s.record.members;
        let remembers = self.bounds.rollback;
        let n = s.node_mut(node);
        n.led = remembers.then_some(node);
        n.primary = true;
        n.lease = true;
        n.next_session = 1;
        n.view = members;
        if self.is(Broken::EmptySetSuffices) {
            n.view.isr = Members::default();
        }
        Self::append(s, node, 0);
    }

    pub(super) fn may_force_promote(&self, s: &State, node: NodeId) -> Granted {
        unless(s.past.forced < self.bounds.forced, Refusal::Bound)?;
        self.may_mint_at_all(s)?;
        self.may_go_on_with(s, node)
    }

    pub(super) fn may_go_on_with(&self, s: &State, node: NodeId) -> Granted {
        let n = s.node(node);
        self.must(Conjunct::GoOnUp, n.up, Refusal::Down)?;
        unless(usize::from(n.head) < SLOTS, Refusal::Bound)?;
        let room = self.room(s, node, 0);
        self.must(Conjunct::GoOnRoom, room, Refusal::Full)?;
        self.counts(s, node, (Conjunct::GoOnRecorded, Conjunct::GoOnTrusted))
    }

    pub(super) fn force_promote(&self, s: &mut State, node: NodeId) {
        self.mint(s);
        self.go_on_with(s, node);
    }

    /// The operator names one copy and accepts what it does not have.
    pub(super) fn go_on_with(&self, s: &mut State, node: NodeId) {
        self.fence(s, node);
        if !self.is(Broken::ForcedKeepsSet) {
            let only = Members::only(node);
            s.record.members = Membership {
                isr: only,
                voters: only,
                ..s.record.members
            };
        }
        let n = *s.node(node);
        let kept = n.log.writes(n.head);
        let promised = s.client.acked.and(s.client.flushed).and(s.client.shown);
        s.client.excused = s.client.excused.without(kept).and(promised.without(kept));
        s.client.dropped = s.client.dropped.without(kept);
        let agreed = (1..=s.past.committed).take_while(|lsn| n.log.at(*lsn) == s.past.log.at(*lsn));
        s.past.committed = agreed.count() as u8;
        s.past.log.cut(s.past.committed);
        s.past.forced += 1;
        s.past.reported = true;
        self.lead(s, node);
    }
}
