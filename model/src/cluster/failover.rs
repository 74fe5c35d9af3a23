//! Leases, epochs, fencing, promotion (`protocol.md` section 7).
//!
//! Time is an order: a lease is granted to the primary, runs out on the primary's clock first
//! (that is what the margin is for), and only then on the authority's, which is when it may mint.

use super::Cluster;
use super::action::{Guard, Refusal, unless};
use super::rules::Broken;
use super::state::{Membership, NOBODY, Report, State};
use super::vocabulary::{Entry, Members, Mode, NODES, NodeId, SLOTS, WriteAck};

impl Cluster {
    pub(super) fn may_lease_run_out(&self, s: &State, primary: NodeId) -> Guard {
        unless(self.bounds.leases, Refusal::Bound)?;
        unless(s.node(primary).lease, Refusal::NothingToDo)
    }

    pub(super) fn lease_runs_out(&self, s: &mut State, primary: NodeId) {
        s.node_mut(primary).lease = false;
    }

    pub(super) fn may_renew_lease(&self, s: &State, primary: NodeId) -> Guard {
        let p = s.node(primary);
        unless(
            p.up && s.acting_primary() == Some(primary),
            Refusal::NotPrimary,
        )?;
        unless(!p.lease, Refusal::NothingToDo)
    }

    pub(super) fn renew_lease(&self, s: &mut State, primary: NodeId) {
        s.node_mut(primary).lease = true;
    }

    fn lease_over(&self, s: &State) -> Guard {
        let held = s
            .nodes
            .iter()
            .any(|n| n.lease && n.promised == s.record.epoch);
        let margin = self.bounds.leases && !self.is(Broken::MintUnderLease);
        unless(!held || !margin, Refusal::LeaseHeld)
    }

    pub(super) fn may_mint(&self, s: &State) -> Guard {
        unless(s.record.epoch < self.bounds.epochs, Refusal::Bound)?;
        self.lease_over(s)
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
        if !self.bounds.leases {
            s.nodes.iter_mut().for_each(|node| node.lease = false);
        }
    }

    /// Whether a store may count in a report, or lead.
    fn counts(&self, s: &State, node: NodeId) -> bool {
        let replaced = self.is(Broken::CountReplacedStores);
        let untrusted = self.is(Broken::PromoteUntrusted);
        (s.recorded(node) || replaced) && (s.node(node).trusted() || untrusted)
    }

    pub(super) fn may_fence(&self, s: &State, node: NodeId) -> Guard {
        let (n, record) = (s.node(node), &s.record);
        unless(record.primary == NOBODY, Refusal::Settled)?;
        unless(n.up, Refusal::Down)?;
        unless(
            record.reports[usize::from(node)].is_none(),
            Refusal::Settled,
        )?;
        unless(n.promised <= record.epoch, Refusal::HigherEpoch)?;
        unless(self.counts(s, node), Refusal::NotEligible)
    }

    /// The candidate makes the epoch durable, gives up any role, syncs its log, and reports.
    pub(super) fn fence(&self, s: &mut State, node: NodeId) {
        let epoch = s.record.epoch;
        let in_memory = self.is(Broken::PromiseInMemory);
        let counts_as_whole = self.is(Broken::RestartedCountsAsWhole);
        let n = s.node_mut(node);
        let promised = n.promised;
        n.step_down();
        n.session = 0;
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

    fn eligible(s: &State) -> Members {
        let members = &s.record.members;
        let reporting = Self::reporting(s);
        match members.mode {
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

    pub(super) fn may_promote(&self, s: &State, node: NodeId, shrink: bool) -> Guard {
        let (n, record) = (s.node(node), &s.record);
        let second = self.is(Broken::TwoPrimariesInOneEpoch);
        unless(record.primary == NOBODY || second, Refusal::Settled)?;
        unless(n.up && !n.primary, Refusal::Down)?;
        unless(usize::from(n.head) < SLOTS, Refusal::Bound)?;
        unless(
            n.promised == record.epoch && self.counts(s, node),
            Refusal::NotEligible,
        )?;
        let eligible = Self::eligible(s);
        unless(eligible.has(node), Refusal::NotEligible)?;
        let reports = eligible.count();
        unless(
            reports >= Self::reports_needed(&record.members),
            Refusal::NotChosen,
        )?;
        let chosen = self.greatest(s, node, eligible) || self.is(Broken::PromoteLaggard);
        unless(chosen, Refusal::NotChosen)?;
        if shrink {
            let fewer = eligible != record.members.isr;
            let offered = self.bounds.shrink && record.members.mode == Mode::SyncAll;
            unless(offered && fewer, Refusal::NothingToDo)?;
            unless(reports >= self.bounds.min_in_sync, Refusal::TooFewMembers)?;
        }
        Ok(())
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
            s.record.members.isr = Self::eligible(s);
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
        let members = s.record.members;
        let n = s.node_mut(node);
        n.primary = true;
        n.lease = true;
        n.next_session = 1;
        n.view = members;
        if self.is(Broken::EmptySetSuffices) {
            n.view.isr = Members::default();
        }
        n.head += 1;
        n.log.put(
            n.head,
            Entry {
                epoch: n.promised,
                write: 0,
            },
        );
    }

    pub(super) fn may_force_promote(&self, s: &State, node: NodeId) -> Guard {
        let n = s.node(node);
        unless(s.past.forced < self.bounds.forced, Refusal::Bound)?;
        self.may_mint(s)?;
        unless(n.up, Refusal::Down)?;
        unless(usize::from(n.head) < SLOTS, Refusal::Bound)?;
        unless(self.counts(s, node), Refusal::NotEligible)
    }

    /// The operator names one copy and accepts what it does not have.
    pub(super) fn force_promote(&self, s: &mut State, node: NodeId) {
        self.mint(s);
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
