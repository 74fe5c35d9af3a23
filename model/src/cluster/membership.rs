//! Changes of who must acknowledge (`protocol.md` section 2, *Who must acknowledge*).
//!
//! There is no revision number in the state: a request is under way only while the record is as
//! it was when it was made (any other change would make its compare-and-set fail, so it is taken
//! off), and `news` says that the record has a higher revision than its primary has read.

use super::Cluster;
use super::action::Refusal;
use super::broken::Broken;
use super::conjuncts::{Conditions, Conjunct, Granted, unless};
use super::state::{Membership, Request, State};
use super::vocabulary::{Lsn, Members, Mode, NodeId, Phase};

impl Cluster {
    /// What every proposal needs: the primary of the record, which has read its last change, and
    /// has no other under way.
    fn may_propose(&self, s: &State, primary: NodeId) -> Granted {
        let p = s.node(primary);
        let acts = p.up && s.acting_primary() == Some(primary);
        self.must(Conjunct::ProposeActing, acts, Refusal::NotPrimary)?;
        let refusal = Refusal::ChangeInFlight;
        self.must(Conjunct::ProposeDecided, p.pending.is_none(), refusal)?;
        self.must(Conjunct::ProposeClear, s.record.request.is_none(), refusal)?;
        self.must(Conjunct::ProposeRead, !s.record.news, refusal)
    }

    fn propose(s: &mut State, primary: NodeId, request: Request) {
        s.record.request = Some(request);
        s.node_mut(primary).pending = Some(request.to);
    }

    pub(super) fn may_propose_join(&self, s: &State, primary: NodeId, replica: NodeId) -> Granted {
        let sync_mode = s.node(primary).view.mode != Mode::BestEffort;
        unless(self.bounds.joins && sync_mode, Refusal::Bound)?;
        self.may_propose(s, primary)?;
        let (p, peer) = (s.node(primary), s.peer(primary, replica));
        let outside = !p.view.isr.has(replica);
        self.must(Conjunct::JoinOutside, outside, Refusal::NotThatMember)?;
        let in_sync = peer.phase == Phase::InSync;
        self.must(Conjunct::JoinInSync, in_sync, Refusal::NoSession)?;
        let proven = peer.durable >= p.head || self.is(Broken::JoinAtTarget);
        self.must(Conjunct::JoinProven, proven, Refusal::NotHeld)
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

    pub(super) fn may_propose_leave(&self, s: &State, primary: NodeId, replica: NodeId) -> Granted {
        unless(self.bounds.leaves, Refusal::Bound)?;
        self.may_propose(s, primary)?;
        let (p, phase) = (s.node(primary), s.peer(primary, replica).phase);
        let member = p.view.isr.has(replica);
        self.must(Conjunct::LeaveMember, member, Refusal::NotThatMember)?;
        let other = replica != primary;
        self.must(Conjunct::LeaveOther, other, Refusal::NotThatMember)?;
        let gone = phase == Phase::Away || phase == Phase::NeedsRebuild;
        self.must(Conjunct::LeaveGone, gone, Refusal::NotThatMember)?;
        let to = Membership {
            isr: p.view.isr.without(replica),
            ..p.view
        };
        let few = to.mode == Mode::SyncAll && to.isr.count() < self.bounds.min_in_sync;
        let enough = !few || phase == Phase::NeedsRebuild;
        self.must(Conjunct::LeaveEnough, enough, Refusal::TooFewMembers)?;
        let [alone, committed, received] = self.promises_kept(s, primary, &to);
        self.must(Conjunct::KeepsAlone, alone, Refusal::WouldForget)?;
        self.must(Conjunct::KeepsCommitted, committed, Refusal::WouldForget)?;
        self.must(Conjunct::KeepsReceived, received, Refusal::WouldForget)
    }

    pub(super) fn propose_leave(&self, s: &mut State, primary: NodeId, replica: NodeId) {
        let view = s.node(primary).view;
        let to = Membership {
            isr: view.isr.without(replica),
            ..view
        };
        Self::propose(s, primary, Request { to, newcomer: None });
    }

    pub(super) fn may_propose_mode(&self, s: &State, primary: NodeId, mode: Mode) -> Granted {
        unless(self.bounds.new_mode == Some(mode), Refusal::Bound)?;
        self.may_propose(s, primary)?;
        let p = s.node(primary);
        unless(p.view.mode != mode, Refusal::NothingToDo)?;
        let to = Membership { mode, ..p.view };
        let kept = self.keeps_promises(s, primary, &to) || self.is(Broken::ModeChangesBlindly);
        self.must(Conjunct::ModeKeeps, kept, Refusal::WouldForget)
    }

    pub(super) fn propose_mode(&self, s: &mut State, primary: NodeId, mode: Mode) {
        let to = Membership {
            mode,
            ..s.node(primary).view
        };
        Self::propose(s, primary, Request { to, newcomer: None });
    }

    pub(super) fn may_propose_voter(&self, s: &State, primary: NodeId, node: NodeId) -> Granted {
        unless(self.bounds.new_voters, Refusal::Bound)?;
        self.may_propose(s, primary)?;
        let view = s.node(primary).view;
        let counted = view.mode == Mode::SyncQuorum;
        self.must(Conjunct::VoterMode, counted, Refusal::NothingToDo)?;
        let to = Self::with_voter_changed(&view, node);
        let sound = if to.voters.has(node) {
            to.isr.has(node)
        } else {
            to.voters.count() > 0
        };
        self.must(Conjunct::VoterMember, sound, Refusal::NotThatMember)?;
        let kept = self.keeps_promises(s, primary, &to) || self.is(Broken::VotersChangeBlindly);
        self.must(Conjunct::VoterKeeps, kept, Refusal::WouldForget)
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
        self.promises_kept(s, primary, to) == [true; 3]
    }

    /// The three parts of that: what is durable where one copy remains, what was flushed, what was
    /// acknowledged.
    fn promises_kept(&self, s: &State, primary: NodeId, to: &Membership) -> [bool; 3] {
        let p = s.node(primary);
        let acked = self.acknowledged_so_far(s, primary);
        let alone = to.isr.count() == 1 && !self.is(Broken::LeaveBeforeDurable);
        // Under sync_all every member held whatever was acknowledged, present or not.
        let held = match p.view.mode {
            Mode::SyncAll => p.view.isr,
            Mode::BestEffort | Mode::SyncQuorum => Members::default(),
        };
        let flushed = p.committed.max(self.adopted(s, primary));
        let durable = held.and(self.durable_at(s, primary, flushed));
        let received = held.and(self.received_at(s, primary, acked));
        [
            !alone || p.durable >= acked,
            Self::held(primary, to, durable),
            Self::held(primary, to, received),
        ]
    }

    pub(super) fn may_land(&self, s: &State) -> Granted {
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

    pub(super) fn may_lose_request(&self, s: &State) -> Granted {
        unless(self.bounds.lost_requests, Refusal::Bound)?;
        unless(s.record.request.is_some(), Refusal::NothingToDo)
    }

    pub(super) fn lose_request(&self, s: &mut State) {
        s.record.request = None;
    }

    pub(super) fn may_read_record(&self, s: &State, primary: NodeId) -> Granted {
        let acts = s.node(primary).up && s.acting_primary() == Some(primary);
        self.must(Conjunct::ReadActing, acts, Refusal::NotPrimary)?;
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

    pub(super) fn may_withdraw(&self, s: &State, primary: NodeId) -> Granted {
        let p = s.node(primary);
        let acts = p.up && s.acting_primary() == Some(primary);
        self.must(Conjunct::WithdrawActing, acts, Refusal::NotPrimary)?;
        unless(p.pending.is_some(), Refusal::NothingToDo)?;
        self.must(Conjunct::WithdrawRead, !s.record.news, Refusal::NothingToDo)
    }

    /// A change that only raises `revision`: whatever was under way fails from now on.
    pub(super) fn withdraw(&self, s: &mut State, primary: NodeId) {
        s.record.request = None;
        s.node_mut(primary).pending = None;
        self.commit(s, primary);
    }

    pub(super) fn may_forget_request(&self, s: &State, primary: NodeId) -> Granted {
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
