//! Leases (`protocol.md` section 7).
//!
//! Time is an order: a lease is granted to the primary, runs out on the primary's clock first
//! (that is what the margin is for), and only then on the authority's, which is when it may mint.
//! Where clocks are apart the authority does not see the primary's: it must take every lease that
//! it granted, or may have granted before it restarted, for valid until its own clock says
//! otherwise; and a renewal is asked for, granted and heard in steps of their own. The primary
//! counts from before it asked, so an answer that arrives after the lease is over is worth nothing.

use super::Cluster;
use super::action::Refusal;
use super::broken::Broken;
use super::conjuncts::{Conditions, Conjunct, Granted, unless};
use super::state::State;
use super::vocabulary::{NODES, NodeId, Renewal};

impl Cluster {
    pub(super) fn may_lease_run_out(&self, s: &State, primary: NodeId) -> Granted {
        unless(self.bounds.leases, Refusal::Bound)?;
        unless(s.node(primary).lease, Refusal::NothingToDo)
    }

    pub(super) fn lease_runs_out(&self, s: &mut State, primary: NodeId) {
        s.node_mut(primary).lease = false;
    }

    pub(super) fn may_renew_lease(&self, s: &State, primary: NodeId) -> Granted {
        let p = s.node(primary);
        let acts = p.up && s.acting_primary() == Some(primary);
        self.must(Conjunct::RenewActing, acts, Refusal::NotPrimary)?;
        unless(!p.lease, Refusal::NothingToDo)
    }

    pub(super) fn renew_lease(&self, s: &mut State, primary: NodeId) {
        s.node_mut(primary).lease = true;
    }

    /// Asked by one who is deposed already it is refused, and nothing has changed.
    pub(super) fn may_ask_lease(&self, s: &State, primary: NodeId) -> Granted {
        let p = s.node(primary);
        let known = s.record.primary == primary;
        unless(p.up && p.primary, Refusal::NotPrimary)?;
        self.must(Conjunct::AskActing, known, Refusal::NotPrimary)?;
        let none = s.record.renewal == Renewal::None;
        self.must(Conjunct::AskOnce, none, Refusal::NothingToDo)
    }

    pub(super) fn ask_lease(&self, s: &mut State, primary: NodeId) {
        s.record.renewal = Renewal::Asked(primary);
    }

    /// Only the primary of the present epoch can have asked: a mint, and its own stopping, take the
    /// request off.
    pub(super) fn may_grant_lease(&self, s: &State) -> Granted {
        match s.record.renewal {
            Renewal::Asked(_) => Ok(()),
            Renewal::None | Renewal::Answered(_) | Renewal::Late(_) => {
                unless(false, Refusal::NothingToDo)
            }
        }
    }

    pub(super) fn grant_lease(&self, s: &mut State) {
        if let Renewal::Asked(node) = s.record.renewal {
            s.record.renewal = Renewal::Answered(node);
            s.record.granted = true;
        }
    }

    pub(super) fn may_hear_lease(&self, s: &State, node: NodeId) -> Granted {
        let renewal = s.record.renewal;
        let answered = renewal == Renewal::Answered(node) || renewal == Renewal::Late(node);
        self.must(Conjunct::HearAnswered, answered, Refusal::NothingToDo)
    }

    pub(super) fn hear_lease(&self, s: &mut State, node: NodeId) {
        let late = s.record.renewal == Renewal::Late(node);
        s.record.renewal = Renewal::None;
        let in_time = !late || self.is(Broken::LeaseFromAnswer);
        let n = s.node_mut(node);
        if self.keeps(Conjunct::HearPrimary, n.primary) && self.keeps(Conjunct::HearInTime, in_time)
        {
            n.lease = true;
        }
    }

    /// The margin: on the primary's clock the lease is over before it is on the authority's.
    pub(super) fn may_lease_be_over(&self, s: &State) -> Granted {
        unless(s.record.granted, Refusal::NothingToDo)?;
        let over = !Self::lease_held(s);
        self.must(Conjunct::OverMargin, over, Refusal::LeaseHeld)
    }

    pub(super) fn lease_be_over(&self, s: &mut State) {
        Self::end_lease(s);
    }

    fn end_lease(s: &mut State) {
        s.record.granted = false;
        s.record.renewal = match s.record.renewal {
            Renewal::Answered(node) => Renewal::Late(node),
            other @ (Renewal::None | Renewal::Asked(_) | Renewal::Late(_)) => other,
        };
    }

    pub(super) fn may_stop_serving(&self, s: &State, primary: NodeId) -> Granted {
        let acts = s.acting_primary() == Some(primary);
        let acts = s.node(primary).up && acts;
        self.must(Conjunct::StopActing, acts, Refusal::NotPrimary)
    }

    /// The primary gives its role up first, and says so then: its lease is over for good.
    pub(super) fn stop_serving(&self, s: &mut State, primary: NodeId) {
        if !self.is(Broken::ConfirmWithoutStopping) {
            s.node_mut(primary).step_down();
        }
        Self::end_lease(s);
        if s.record.renewal == Renewal::Asked(primary) {
            s.record.renewal = Renewal::None;
        }
    }

    pub(super) fn may_restart_authority(&self, s: &State) -> Granted {
        let mut after = *s;
        self.restart_authority(&mut after);
        unless(after != *s, Refusal::NothingToDo)
    }

    /// The record is durable; who reported, and which leases were granted, is not.
    pub(super) fn restart_authority(&self, s: &mut State) {
        s.record.reports = [None; NODES];
        s.record.granted = !self.is(Broken::RestartForgetsLeases);
    }
}
