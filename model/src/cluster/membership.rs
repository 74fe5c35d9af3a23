//! Changes of who must acknowledge (`protocol.md` section 2, *Who must acknowledge*).
//!
//! There is no revision number in the state: a request is under way only while the record is as
//! it was when it was made (any other change would make its compare-and-set fail, so it is taken
//! off), and `news` says that the record has a higher revision than its primary has read.

use super::Cluster;
use super::action::{Guard, Refusal, unless};
use super::broken::Broken;
use super::state::{Membership, Request, State};
use super::vocabulary::{Lsn, Members, Mode, NodeId, Phase};

impl Cluster {
    /// What every proposal needs: the primary of the record, which has read its last change, and
    /// has no other under way.
    fn may_propose(&self, s: &State, primary: NodeId) -> Guard {
        let p = s.node(primary);
        unless(
            p.up && s.acting_primary() == Some(primary),
            Refusal::NotPrimary,
        )?;
        let clear = p.pending.is_none() && s.record.request.is_none() && !s.record.news;
        unless(clear, Refusal::ChangeInFlight)
    }

    fn propose(s: &mut State, primary: NodeId, request: Request) {
        s.record.request = Some(request);
        s.node_mut(primary).pending = Some(request.to);
    }

    pub(super) fn may_propose_join(&self, s: &State, primary: NodeId, replica: NodeId) -> Guard {
        let sync_mode = s.node(primary).view.mode != Mode::BestEffort;
        unless(self.bounds.joins && sync_mode, Refusal::Bound)?;
        self.may_propose(s, primary)?;
        let (p, peer) = (s.node(primary), s.peer(primary, replica));
        unless(!p.view.isr.has(replica), Refusal::NotThatMember)?;
        unless(peer.phase == Phase::InSync, Refusal::NoSession)?;
        let proven = peer.durable >= p.head || self.is(Broken::JoinAtTarget);
        unless(proven, Refusal::NotHeld)
    }

    /// From here on the newcomer's acknowledgements are required; a barrier has just proven it
    /// durable up to the present head.
    pub(super) fn propose_join(&self, s: &mut State, primary: NodeId, replica: NodeId) {
        let view = s.node(primary).view;
        let voters = match view.mode {
            Mode::SyncQuorum => view.voters.with(replica),
            Mode::SyncAll | Mode::BestEffort => view.voters,
        };
        let to = Membership {
            isr: view.isr.with(replica),
            voters,
            mode: view.mode,
        };
        let store = s.peer(primary, replica).store;
        Self::propose(
            s,
            primary,
            Request {
                to,
                newcomer: Some((replica, store)),
            },
        );
    }

    pub(super) fn may_propose_leave(&self, s: &State, primary: NodeId, replica: NodeId) -> Guard {
        unless(self.bounds.leaves, Refusal::Bound)?;
        self.may_propose(s, primary)?;
        let (p, phase) = (s.node(primary), s.peer(primary, replica).phase);
        unless(
            p.view.isr.has(replica) && replica != primary,
            Refusal::NotThatMember,
        )?;
        unless(
            phase == Phase::Away || phase == Phase::NeedsRebuild,
            Refusal::NotThatMember,
        )?;
        let to = Membership {
            isr: p.view.isr.without(replica),
            ..p.view
        };
        let few = to.mode == Mode::SyncAll && to.isr.count() < self.bounds.min_in_sync;
        unless(!few || phase == Phase::NeedsRebuild, Refusal::TooFewMembers)?;
        unless(self.keeps_promises(s, primary, &to), Refusal::WouldForget)
    }

    pub(super) fn propose_leave(&self, s: &mut State, primary: NodeId, replica: NodeId) {
        let view = s.node(primary).view;
        let to = Membership {
            isr: view.isr.without(replica),
            ..view
        };
        Self::propose(s, primary, Request { to, newcomer: None });
    }

    pub(super) fn may_propose_mode(&self, s: &State, primary: NodeId, mode: Mode) -> Guard {
        unless(self.bounds.new_mode == Some(mode), Refusal::Bound)?;
        self.may_propose(s, primary)?;
        let p = s.node(primary);
        unless(p.view.mode != mode, Refusal::NothingToDo)?;
        let to = Membership { mode, ..p.view };
        let kept = self.keeps_promises(s, primary, &to) || self.is(Broken::ModeChangesBlindly);
        unless(kept, Refusal::WouldForget)
    }

    pub(super) fn propose_mode(&self, s: &mut State, primary: NodeId, mode: Mode) {
        let to = Membership {
            mode,
            ..s.node(primary).view
        };
        Self::propose(s, primary, Request { to, newcomer: None });
    }

    pub(super) fn may_propose_voter(&self, s: &State, primary: NodeId, node: NodeId) -> Guard {
        unless(self.bounds.new_voters, Refusal::Bound)?;
        self.may_propose(s, primary)?;
        let view = s.node(primary).view;
        unless(view.mode == Mode::SyncQuorum, Refusal::NothingToDo)?;
        let to = Self::with_voter_changed(&view, node);
        let sound = if to.voters.has(node) {
            to.isr.has(node)
        } else {
            to.voters.count() > 0
        };
        unless(sound, Refusal::NotThatMember)?;
        let kept = self.keeps_promises(s, primary, &to) || self.is(Broken::VotersChangeBlindly);
        unless(kept, Refusal::WouldForget)
    }

    /// Voters change one at a time.
    fn with_voter_changed(view: &Membership, node: NodeId) -> Membership {
        let voters = if view.voters.has(node) {
            view.voters.without(node)
        } else {
            view.voters.with(node)
        };
        Membership { voters, ..*view }
    }

    pub(super) fn propose_voter(&self, s: &mut State, primary: NodeId, node: NodeId) {
        let to = Self::with_voter_changed(&s.node(primary).view, node);
        Self::propose(s, primary, Request { to, newcomer: None });
    }

    /// The last entry that a primary adopted from earlier epochs. Until it is committed anew, its
    /// primary cannot know whether it was acknowledged, and takes it for so.
    fn adopted(&self, s: &State, primary: NodeId) -> Lsn {
        let p = s.node(primary);
        if self.is(Broken::AdoptedNotCounted) {
            return 0;
        }
        let start = p.log.first_of(p.promised).unwrap_or(p.head);
        start.saturating_sub(1)
    }

    /// The last entry that a primary must take for acknowledged.
    pub(super) fn acknowledged_so_far(&self, s: &State, primary: NodeId) -> Lsn {
        let p = s.node(primary);
        let acked = |lsn: &Lsn| s.client.acked.has(p.log.at(*lsn).write);
        let last = (1..=p.head).rev().find(acked);
        last.unwrap_or(0).max(self.adopted(s, primary))
    }

    /// Whether everything acknowledged so far meets a new rule; where one copy alone would
    /// remain, it is durable there.
    fn keeps_promises(&self, s: &State, primary: NodeId, to: &Membership) -> bool {
        let p = s.node(primary);
        let acked = self.acknowledged_so_far(s, primary);
        let alone = to.isr.count() == 1 && !self.is(Broken::LeaveBeforeDurable);
        if alone && p.durable < acked {
            return false;
        }
        // Under sync_all every member held whatever was acknowledged, present or not.
        let held = match p.view.mode {
            Mode::SyncAll => p.view.isr,
            Mode::BestEffort | Mode::SyncQuorum => Members::default(),
        };
        let flushed = p.committed.max(self.adopted(s, primary));
        let durable = held.and(self.durable_at(s, primary, flushed));
        let received = held.and(self.received_at(s, primary, acked));
        Self::held(primary, to, durable) && Self::held(primary, to, received)
    }

    pub(super) fn may_land(&self, s: &State) -> Guard {
        unless(s.record.request.is_some(), Refusal::NothingToDo)
    }

    /// The compare-and-set succeeds: nothing changed the record since it was asked for.
    pub(super) fn land(&self, s: &mut State) {
        let Some(request) = s.record.request.take() else {
            return;
        };
        s.record.members = request.to;
        s.record.news = true;
        if let Some((node, store)) = request.newcomer {
            let present = s.node(node).store;
            let named = if self.is(Broken::JoinWithoutIdentity) {
                present
            } else {
                store
            };
            s.record.stores[usize::from(node)] = named;
        }
    }

    pub(super) fn may_lose_request(&self, s: &State) -> Guard {
        unless(self.bounds.lost_requests, Refusal::Bound)?;
        unless(s.record.request.is_some(), Refusal::NothingToDo)
    }

    pub(super) fn lose_request(&self, s: &mut State) {
        s.record.request = None;
    }

    pub(super) fn may_read_record(&self, s: &State, primary: NodeId) -> Guard {
        let p = s.node(primary);
        unless(
            p.up && s.acting_primary() == Some(primary),
            Refusal::NotPrimary,
        )?;
        unless(s.record.news, Refusal::NothingToDo)
    }

    /// A higher revision was read: the outcome is known, one rule is left.
    pub(super) fn read_record(&self, s: &mut State, primary: NodeId) {
        s.record.news = false;
        let members = s.record.members;
        let p = s.node_mut(primary);
        p.view = members;
        p.pending = None;
        self.commit(s, primary);
    }

    pub(super) fn may_withdraw(&self, s: &State, primary: NodeId) -> Guard {
        let p = s.node(primary);
        unless(
            p.up && s.acting_primary() == Some(primary),
            Refusal::NotPrimary,
        )?;
        unless(p.pending.is_some() && !s.record.news, Refusal::NothingToDo)
    }

    /// A change that only raises `revision`: whatever was under way fails from now on.
    pub(super) fn withdraw(&self, s: &mut State, primary: NodeId) {
        s.record.request = None;
        s.node_mut(primary).pending = None;
        self.commit(s, primary);
    }

    pub(super) fn may_forget_request(&self, s: &State, primary: NodeId) -> Guard {
        unless(
            self.is(Broken::ForgetUnknownOutcome),
            Refusal::ChangeInFlight,
        )?;
        unless(s.node(primary).pending.is_some(), Refusal::NothingToDo)
    }

    pub(super) fn forget_request(&self, s: &mut State, primary: NodeId) {
        s.node_mut(primary).pending = None;
        self.commit(s, primary);
    }
}
