//! What the protocol does not promise to survive, and must not make worse: a disk that loses what
//! it had said to be durable, and an authority whose record is rolled back (`protocol.md` sections
//! 4 and 7).

use super::Cluster;
use super::action::Refusal;
use super::broken::Broken;
use super::conjuncts::{Conditions, Conjunct, Granted, unless};
use super::state::{Backup, NOBODY, State};
use super::vocabulary::{NODES, NodeId};

/// A recorded identity that no store has.
const NO_STORE: u8 = 3;
/// The highest epoch that fits.
const LAST_EPOCH: u8 = 7;

impl Cluster {
    pub(super) fn may_lose_tail(&self, s: &State, node: NodeId) -> Granted {
        let n = s.node(node);
        unless(!s.past.lied, Refusal::Bound)?;
        unless(n.up, Refusal::Down)?;
        unless(n.durable > n.checkpoint, Refusal::NothingToDo)
    }

    pub(super) fn lose_tail(&self, s: &mut State, node: NodeId) {
        s.node_mut(node).durable -= 1;
        s.past.lied = true;
        self.crash(s, node);
    }

    pub(super) fn may_report_committed(&self, s: &State, primary: NodeId) -> Granted {
        let p = s.node(primary);
        let acts = s.acting_primary() == Some(primary);
        self.must(Conjunct::ReportActing, p.up && acts, Refusal::NotPrimary)?;
        let open = self.open(s, primary);
        self.must(Conjunct::ReportOpen, open, Refusal::NotOpen)?;
        let committed = (p.log.at(p.committed).epoch, p.committed);
        let more = s.record.seen < committed;
        self.must(Conjunct::ReportGrows, more, Refusal::NothingToDo)
    }

    /// `committed_seen` only grows.
    pub(super) fn report_committed(&self, s: &mut State, primary: NodeId) {
        let p = s.node(primary);
        s.record.seen = (p.log.at(p.committed).epoch, p.committed);
    }

    pub(super) fn may_back_up(&self, s: &State) -> Granted {
        unless(s.backup.is_none(), Refusal::NothingToDo)
    }

    pub(super) fn back_up(&self, s: &mut State) {
        s.backup = Some(Backup {
            epoch: s.record.epoch,
            primary: s.record.primary,
            last: s.record.last,
            members: s.record.members,
        });
    }

    pub(super) fn may_roll_back(&self, s: &State) -> Granted {
        unless(s.past.forced == 0 && !s.past.rolled, Refusal::Bound)?;
        let older = s.backup.is_some_and(|old| old.epoch < s.record.epoch);
        unless(older, Refusal::NothingToDo)
    }

    pub(super) fn roll_back(&self, s: &mut State) {
        let Some(old) = s.backup else {
            return;
        };
        let record = &mut s.record;
        record.epoch = old.epoch;
        (record.primary, record.last) = (old.primary, old.last);
        record.members = old.members;
        record.reports = [None; NODES];
        record.request = None;
        record.news = false;
        s.past.rolled = true;
    }

    pub(super) fn may_recover(&self, s: &State, node: NodeId) -> Granted {
        self.must(Conjunct::RecoverRolled, s.past.rolled, Refusal::NothingToDo)?;
        unless(Self::highest(s) < LAST_EPOCH, Refusal::Bound)?;
        self.may_go_on_with(s, node)
    }

    /// The highest epoch that anyone has heard of.
    fn highest(s: &State) -> u8 {
        let promised = s.nodes.iter().map(|n| n.promised).max();
        promised.unwrap_or(0).max(s.record.epoch)
    }

    /// The operator has looked at every node: the authority goes beyond all of them, with the copy
    /// that was named. What the others hold may bear epochs that were minted twice, so their
    /// lineage says nothing: they are recorded no more, and come back by a rebuild.
    pub(super) fn recover(&self, s: &mut State, node: NodeId) {
        s.record.epoch = Self::highest(s);
        s.record.primary = NOBODY;
        self.mint(s);
        s.past.rolled = false;
        s.past.split = false;
        self.go_on_with(s, node);
        if !self.is(Broken::RecoverKeepsStores) {
            for other in (0..self.bounds.nodes).filter(|other| *other != node) {
                s.record.stores[usize::from(other)] = NO_STORE;
            }
        }
    }

    /// Whether a replica follows another node in the epoch of a primary.
    pub(super) fn follows_another(&self, s: &State, primary: NodeId, replica: NodeId) -> bool {
        let (p, r) = (s.node(primary), s.node(replica));
        let other = r.led.is_some_and(|leader| leader != primary);
        r.promised == p.promised && other && !self.is(Broken::EpochLedTwice)
    }

    pub(super) fn may_heartbeat(&self, s: &State, node: NodeId) -> Granted {
        let n = s.node(node);
        unless(self.is(Broken::HeartbeatWritesAuthority), Refusal::Bound)?;
        let claims = n.up && n.primary && n.promised != s.record.epoch;
        unless(claims, Refusal::NothingToDo)
    }

    pub(super) fn heartbeat(&self, s: &mut State, node: NodeId) {
        s.record.epoch = s.node(node).promised;
        s.record.primary = node;
        s.record.reports = [None; NODES];
    }
}
