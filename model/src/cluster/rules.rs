//! The bounds of an instance, and the one rule that everything else leans on: who must acknowledge.

use super::broken::Broken;
use super::conjuncts::{Conditions, Conjunct};
use super::state::{Membership, State};
use super::vocabulary::{Lsn, Members, Mode, NodeId, Phase, WriteAck};

/// The bounds of one instance. A dimension that is off is not explored at all.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Nodes, 2 or 3.
    pub nodes: u8,
    /// Highest epoch.
    pub epochs: u8,
    /// Client writes.
    pub writes: u8,
    /// Durability mode at first.
    pub mode: Mode,
    /// When writes are acknowledged.
    pub write_ack: WriteAck,
    /// The in-sync set at first; other nodes begin empty.
    pub isr: Members,
    /// `min_in_sync`.
    pub min_in_sync: u8,
    /// How many stores may be lost.
    pub losses: u8,
    /// Forced promotions.
    pub forced: u8,
    /// Nodes that may crash and restart.
    pub crashes: Members,
    /// A crashed node may stay down. Otherwise it restarts in the same step: a node that is up may
    /// be silent for as long as it likes, which is all that others see of one that is down.
    pub downtime: bool,
    /// A lease may run out, and be taken up again, while the record is unchanged. Otherwise it
    /// ends in the step that mints the next epoch.
    pub leases: bool,
    /// The authority has a clock of its own and may restart, and renewals are under way.
    pub clocks: bool,
    /// Writes and flushes are acknowledged at the first moment at which they may be, instead of at
    /// any moment after it: the most that a client can be promised.
    pub prompt: bool,
    /// Replicas sync on their own, too.
    pub own_syncs: bool,
    /// Streams may be lost.
    pub disconnects: bool,
    /// The client reads.
    pub reads: bool,
    /// Write-back and checkpoints.
    pub write_back: bool,
    /// Log space is reused.
    pub reclaim: bool,
    /// Rebuilds by snapshot and tail.
    pub snapshots: bool,
    /// Rebuilds by full base.
    pub full_base: bool,
    /// Changes of the in-sync set.
    pub joins: bool,
    /// A member without session may be given up.
    pub leaves: bool,
    /// Requests to the authority may be lost.
    pub lost_requests: bool,
    /// Silent members leave in the decision that promotes.
    pub shrink: bool,
    /// The mode may be changed to this one.
    pub new_mode: Option<Mode>,
    /// The voters may be changed.
    pub new_voters: bool,
    /// A snapshot may be taken, and restored.
    pub operations: bool,
    /// Entries that a log has room for, those that are reclaimed apart; 0: as many as there are.
    pub capacity: u8,
    /// How often a disk may lose what it said to be durable.
    pub lies: u8,
    /// The authority's record may be rolled back to a backup.
    pub rollback: bool,
    /// Messages under way; 0: exchanges are atomic.
    pub wire: u8,
    /// Messages may arrive twice.
    pub twins: bool,
    /// Sessions of one epoch, where they are counted (on a wire).
    pub sessions: u8,
}

/// The majority of a set of voters.
const fn majority(voters: Members) -> u8 {
    voters.count() / 2 + 1
}

/// The specification at some bounds, with at most one rule broken.
impl super::Cluster {
    /// Whether a rule is broken.
    pub(super) fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    /// Whether `holders` are the copies that a membership asks for.
    pub(super) fn held(primary: NodeId, rule: &Membership, holders: Members) -> bool {
        match rule.mode {
            Mode::BestEffort => holders.has(primary),
            Mode::SyncAll => rule.isr.count() > 0 && holders.includes(rule.isr),
            Mode::SyncQuorum => {
                let counted = holders.both(rule.isr).both(rule.voters).count();
                rule.voters.count() > 0 && counted >= majority(rule.voters)
            }
        }
    }

    /// Whether `holders` are enough to acknowledge, under one membership.
    pub(super) fn suffices(&self, primary: NodeId, rule: &Membership, holders: Members) -> bool {
        let miscounted = match rule.mode {
            Mode::BestEffort => false,
            Mode::SyncAll => self.is(Broken::EmptySetSuffices) && rule.isr.count() == 0,
            Mode::SyncQuorum => {
                let counted = holders.both(rule.isr).both(rule.voters).count();
                let anyone = holders.both(rule.voters).count();
                let twice = counted + u8::from(holders.has(primary));
                self.is(Broken::HalfIsMajority) && counted >= rule.voters.count() / 2
                    || self.is(Broken::CountOutsideSet) && anyone >= majority(rule.voters)
                    || self.is(Broken::CountItselfTwice) && twice >= majority(rule.voters)
            }
        };
        let enough = rule.mode != Mode::SyncAll
            || rule.isr.count() >= self.bounds.min_in_sync
            || self.is(Broken::IgnoreMinInSync);
        let enough = self.keeps(Conjunct::EnoughMembers, enough);
        miscounted || enough && Self::held(primary, rule, holders)
    }

    /// Whether `holders` are enough for `primary`: under the rule it read last and, while the
    /// outcome of a change is unknown, under the one it asked for as well.
    pub(super) fn acknowledged_by(&self, s: &State, primary: NodeId, holders: Members) -> bool {
        let node = s.node(primary);
        let mut view = node.view;
        if self.is(Broken::SilentlyDropMember) {
            let gone = |m: &NodeId| *m != primary && s.peer(primary, *m).phase != Phase::InSync;
            for member in view.isr.iter().filter(gone) {
                view.isr = view.isr.without(member);
            }
        }
        let old = self.keeps(Conjunct::OldRuleToo, self.suffices(primary, &view, holders));
        match node.pending {
            None => old,
            Some(new) if self.is(Broken::NewRuleAtOnce) => self.suffices(primary, &new, holders),
            Some(new) => {
                let met = self.suffices(primary, &new, holders);
                old && self.keeps(Conjunct::NewRuleToo, met)
            }
        }
    }

    /// Who, as far as the primary knows, has the log durable up to `lsn`.
    pub(super) fn durable_at(&self, s: &State, primary: NodeId, lsn: Lsn) -> Members {
        let node = s.node(primary);
        let own = if self.is(Broken::CountOwnUnsynced) {
            node.head
        } else {
            node.durable
        };
        self.holders(primary, own >= lsn, |replica| {
            s.peer(primary, replica).durable >= lsn
        })
    }

    /// Who, as far as the primary knows, has received the log up to `lsn`.
    pub(super) fn received_at(&self, s: &State, primary: NodeId, lsn: Lsn) -> Members {
        let own = s.node(primary).head >= lsn;
        self.holders(primary, own, |replica| {
            s.peer(primary, replica).received >= lsn
        })
    }

    fn holders(&self, primary: NodeId, own: bool, has: impl Fn(NodeId) -> bool) -> Members {
        let holds = |node: &NodeId| if *node == primary { own } else { has(*node) };
        (0..self.bounds.nodes)
            .filter(holds)
            .fold(Members::default(), Members::with)
    }

    /// Reports that a promotion needs: any majority shares a voter with so many.
    pub(super) fn reports_needed(&self, rule: &Membership) -> u8 {
        match rule.mode {
            Mode::BestEffort | Mode::SyncAll => 1,
            Mode::SyncQuorum if self.is(Broken::OneReportFewer) => {
                rule.voters.count().saturating_sub(majority(rule.voters))
            }
            Mode::SyncQuorum => (rule.voters.count() + 1).saturating_sub(majority(rule.voters)),
        }
    }
}
