//! The rig: brings one step of the specification about in the cluster, and compares all that can be
//! seen afterwards.

use std::cell::Cell;

use holdfast_blockvol::FlushBound;
use holdfast_engine::{CatchUpEvidence, Interruption, RebuildEvidence};
use holdfast_model::checking::Spec as _;
use holdfast_model::session::state::Phase;
use holdfast_model::session::vocabulary::Fault;
use holdfast_model::session::{Action, Call, Session as Spec, State};
use holdfast_node::replication::Finding;
use holdfast_types::{Lsn, StoreId};
use uuid::Uuid;

use super::cluster::{Cluster, Outcome};
use super::disks;
use super::ground::{Grounds, Levers, Went};
use super::observe::{self, StoresView};
use super::reach::Step;
use crate::l1::translate::{self, Names, lsn};
use crate::l1::view::{self, View};
use crate::product::Difference;

/// What looks at both sides; the parts can be replaced, so that tests can show that a defect in
/// one of them does not stay unseen.
#[derive(Clone, Copy, Debug)]
pub struct Lens {
    /// The abstraction of the engine.
    pub engine: fn(&Spec, &holdfast_engine::Registry) -> View,
    /// The comparer of engines.
    pub same_engine: fn(&View, &View) -> bool,
    /// The abstraction of stores and sessions.
    pub stores: fn(&Spec, &State, &Cluster) -> StoresView,
    /// The comparer of stores and sessions.
    pub same_stores: fn(&StoresView, &StoresView) -> bool,
    /// The comparer of what the engine is told.
    pub same_finding: fn(&Finding, &Finding) -> bool,
    /// The comparer of outcomes.
    pub same_outcome: fn(&Outcome, &Outcome) -> bool,
}

impl Default for Lens {
    fn default() -> Self {
        Self {
            engine: view::of_engine,
            same_engine: View::eq,
            stores: observe::of_cluster,
            same_stores: StoresView::eq,
            same_finding: Finding::eq,
            same_outcome: Outcome::eq,
        }
    }
}

/// Drives clusters at the bounds of one instance.
pub struct Rig<'a> {
    /// The specification.
    pub spec: Spec,
    grounds: &'a dyn Grounds,
    lens: Lens,
    names: Names,
    /// Clusters that were started.
    started: Cell<u64>,
}

fn difference(what: &str, specified: &str, said: String) -> Difference {
    Difference {
        what: what.into(),
        specification: specified.into(),
        implementation: said,
    }
}

/// What went wrong in the product or the rig where the specification goes on.
fn stuck(said: String) -> Difference {
    difference("a step", "it is taken", said)
}

impl<'a> Rig<'a> {
    /// A rig that looks through `lens`.
    #[must_use]
    pub fn new(spec: Spec, grounds: &'a dyn Grounds, lens: Lens) -> Self {
        Self {
            spec,
            grounds,
            lens,
            names: Names::default(),
            started: Cell::new(0),
        }
    }

    /// A cluster in an initial state.
    ///
    /// # Errors
    /// How it differs.
    pub fn start(&self, initial: &State) -> Result<Cluster, Difference> {
        let ground = self.grounds.fresh(self.started.get()).map_err(stuck)?;
        self.started.set(self.started.get() + 1);
        let cluster = Cluster::start(self.spec, &self.names, initial, ground).map_err(stuck)?;
        self.compare(initial, &cluster)?;
        Ok(cluster)
    }

    /// Takes a step of the product and compares.
    ///
    /// # Errors
    /// How the two differ.
    pub fn take(
        &self,
        cluster: &mut Cluster,
        before: &State,
        step: Step,
        after: &State,
    ) -> Result<(), Difference> {
        match step.action() {
            Action::World(moves) => {
                cluster
                    .world(moves, before, translate::tick(after.now))
                    .map_err(stuck)?;
            }
            Action::Authority(call) => {
                let outcome = cluster.authority(call).map_err(stuck)?;
                self.same_outcome(before, step.action(), &outcome)?;
            }
            Action::Begin(begin) => {
                let outcome = cluster.begin(begin).map_err(stuck)?;
                self.same_outcome(before, step.action(), &outcome)?;
            }
            Action::OnSession(token, call) => {
                let slot = self
                    .spec
                    .slot(token.volume, token.replica)
                    .ok_or_else(|| stuck("a stranger's session".into()))?;
                self.on_session(cluster, slot, before, step, call)?;
            }
        }
        self.compare(after, cluster)
    }

    fn on_session(
        &self,
        cluster: &mut Cluster,
        slot: usize,
        before: &State,
        step: Step,
        call: Call,
    ) -> Result<(), Difference> {
        if call
            == (Call::Fail {
                cause: Fault::StreamLost,
            })
        {
            return cluster.lose(slot).map_err(stuck);
        }
        let levers = self.prepare(cluster, slot, before, call)?;
        let told = self.until_told(cluster, slot, call, levers)?;
        let expected = self.expected(before, slot, step.action())?;
        let told_as = as_specified(&expected, &told, matches!(step, Step::ThenComplete(..)));
        if !(self.lens.same_finding)(&expected, &told_as) {
            return Err(Difference::of("what the engine is told", &expected, &told));
        }
        if let (Step::One(_), Call::Handshake { .. }) = (step, call) {
            // The replica has admitted the session; whether the engine goes on with it is another matter.
            let delivered = cluster.deliver_late(slot);
            delivered.map_err(|said| difference("late frames", "they change nothing", said))?;
        }
        let outcome = cluster.tell(slot, &told).map_err(stuck)?;
        self.same_outcome(before, step.action(), &outcome)?;
        match (step, call) {
            (Step::RefusedThenFails(..), _) => match outcome {
                Outcome::Refused(refusal) => cluster.end_of_refused(slot, &refusal).map_err(stuck),
                Outcome::Done => Err(stuck("what is refused was taken".into())),
            },
            (Step::ThenComplete(..), _) => cluster.settle(slot).map_err(stuck),
            (Step::One(_), _) => Ok(()),
        }
    }

    /// What of the world makes just this call the next one.
    fn prepare(
        &self,
        cluster: &mut Cluster,
        slot: usize,
        before: &State,
        call: Call,
    ) -> Result<Levers, Difference> {
        let mut levers = Levers::default();
        match call {
            Call::Handshake { facts, .. } => cluster.set_replica(slot, facts).map_err(stuck)?,
            Call::Progress { durable } | Call::Acknowledged { durable } => {
                levers.head = Some(lsn(durable));
                levers.barrier = lsn(durable);
            }
            Call::PinFailed { .. } => {
                let history = &before.histories[self.spec.volume_index(slot)];
                let session = before.senders[slot].and_then(|sender| sender.session);
                let from = session.map(|session| session.phase);
                // A log that is gone fails by itself.
                levers.fail_pin = !matches!(
                    from,
                    Some(Phase::CatchUp(catch_up)) if history.retained_from > Some(catch_up.from)
                );
            }
            Call::PinLost { .. } => {
                levers.look = true;
                levers.lose_pin = true;
            }
            Call::CheckBudget { pinned_bytes } => {
                levers.look = true;
                levers.pinned_bytes = pinned_bytes.into();
            }
            Call::TruncationRefused => {
                // Its flusher ran since the hello.
                if let Some((_, store)) = cluster.replicas.get(&slot) {
                    store.volume().set_flush_bound(FlushBound::Durable);
                    disks::write_back(store.volume()).map_err(stuck)?;
                }
            }
            Call::Connect
            | Call::Hello
            | Call::Pinned { .. }
            | Call::Truncated { .. }
            | Call::Complete
            | Call::SelectSource { .. }
            | Call::BeginTransfer { .. }
            | Call::TransferProgress { .. }
            | Call::BaseInstalled { .. }
            | Call::Fail { .. } => {}
        }
        Ok(levers)
    }

    /// Lets the session go on to what it tells; a look at its budget that nobody asked for is
    /// within it and changes nothing.
    fn until_told(
        &self,
        cluster: &mut Cluster,
        slot: usize,
        call: Call,
        mut levers: Levers,
    ) -> Result<Finding, Difference> {
        loop {
            match cluster.go_on(slot, &levers).map_err(stuck)? {
                Went::Tells(look @ Finding::Interrupted(Interruption::Tick { .. }))
                    if !matches!(call, Call::CheckBudget { .. }) =>
                {
                    levers.look = false;
                    if cluster.tell(slot, &look).map_err(stuck)? != Outcome::Done {
                        return Err(stuck("a look at the budget was refused".into()));
                    }
                }
                Went::Tells(finding) => return Ok(finding),
                Went::Ended(error) => return Err(stuck(format!("the session ended: {error}"))),
                Went::Rests => return Err(stuck("the session rests".into())),
            }
        }
    }

    /// What the specification has the engine told.
    fn expected(&self, before: &State, slot: usize, action: Action) -> Result<Finding, Difference> {
        let Action::OnSession(_, call) = action else {
            return Err(stuck("no call on a session".into()));
        };
        let inputs = self.spec.inputs(before, action);
        let history = || {
            let told = inputs.history.as_ref();
            let told = told.ok_or_else(|| stuck("a decision without a history".into()))?;
            let history = translate::history(told).map_err(|error| stuck(error.to_string()))?;
            Ok::<_, Difference>(Box::new(history))
        };
        let session = before.senders[slot].and_then(|sender| sender.session);
        let rebuilds = session.is_some_and(|session| {
            matches!(session.phase, Phase::SourceSelect(_) | Phase::TailReplay(_))
        });
        let retained_from = inputs.retained_from.map(lsn);
        Ok(match call {
            Call::Connect => Finding::Dialing,
            Call::Hello => Finding::HelloSent,
            Call::Handshake { .. } => {
                let facts = inputs.facts.as_ref().map(translate::facts).transpose();
                let facts = facts.map_err(|error| stuck(error.to_string()))?;
                Finding::Report {
                    facts: facts.map(Box::new),
                    history: history()?,
                }
            }
            Call::SelectSource { .. } => Finding::History(history()?),
            Call::Pinned { slot } if rebuilds => Finding::Rebuild(RebuildEvidence::Pinned {
                slot: translate::slot(slot),
                retained_from,
            }),
            Call::Pinned { .. } => Finding::CatchUp(CatchUpEvidence::Pinned { retained_from }),
            Call::PinFailed { slot } => Finding::Interrupted(Interruption::PinFailed {
                slot: translate::slot(slot),
            }),
            Call::PinLost { slot } => Finding::Interrupted(Interruption::PinLost {
                slot: translate::slot(slot),
            }),
            Call::Truncated { to } => Finding::CatchUp(CatchUpEvidence::Truncated { to: lsn(to) }),
            Call::TruncationRefused => Finding::CatchUp(CatchUpEvidence::TruncationRefused),
            Call::Progress { durable } if rebuilds => {
                Finding::Rebuild(RebuildEvidence::Durable { lsn: lsn(durable) })
            }
            Call::Progress { durable } => {
                Finding::CatchUp(CatchUpEvidence::Durable { lsn: lsn(durable) })
            }
            Call::Acknowledged { durable } => Finding::Acknowledged {
                durable: lsn(durable),
                head: lsn(inputs.head),
            },
            Call::BeginTransfer { chunks_total } => {
                Finding::Rebuild(RebuildEvidence::ReplicaReady {
                    chunks_total: chunks_total.into(),
                })
            }
            Call::TransferProgress { chunks_done } => {
                Finding::Rebuild(RebuildEvidence::ChunksInstalled {
                    chunks_done: chunks_done.into(),
                })
            }
            Call::BaseInstalled {
                base_lsn,
                extent_bound,
            } => Finding::Rebuild(RebuildEvidence::BaseInstalled {
                base_lsn: lsn(base_lsn),
                extent_bound: lsn(extent_bound),
            }),
            Call::CheckBudget { pinned_bytes } => Finding::Interrupted(Interruption::Tick {
                pinned_bytes: pinned_bytes.into(),
            }),
            Call::Complete | Call::Fail { .. } => {
                return Err(stuck("nothing is told for this call".into()));
            }
        })
    }

    fn same_outcome(
        &self,
        before: &State,
        action: Action,
        outcome: &Outcome,
    ) -> Result<(), Difference> {
        let specified = match self.spec.step(before, action) {
            Ok(_) => Outcome::Done,
            Err(refusal) => Outcome::Refused(translate::refusal(refusal)),
        };
        if (self.lens.same_outcome)(&specified, outcome) {
            Ok(())
        } else {
            Err(Difference::of("outcome", &specified, outcome))
        }
    }

    /// What a session that is over told last is told again, and must be refused like any call with
    /// its token, to no effect. `None`: it told nothing.
    ///
    /// # Errors
    /// How the two differ.
    pub fn tell_again(
        &self,
        cluster: &mut Cluster,
        state: &State,
        action: Action,
    ) -> Option<Result<(), Difference>> {
        let token = self.names.token(action.token()?);
        let (_, told) = cluster.tell_again(&token)?;
        let outcome = told.map_or_else(Outcome::Refused, |()| Outcome::Done);
        let same = self.same_outcome(state, action, &outcome);
        Some(same.and_then(|()| self.compare(state, cluster)))
    }

    /// Compares all that can be seen.
    ///
    /// # Errors
    /// How the two differ.
    pub fn compare(&self, state: &State, cluster: &Cluster) -> Result<(), Difference> {
        let specified = view::of_specification(&self.spec, state);
        let seen = (self.lens.engine)(&self.spec, cluster.engine.registry());
        if !(self.lens.same_engine)(&specified, &seen) {
            return Err(Difference::of("the engine", &specified, &seen));
        }
        let specified = observe::of_specification(&self.spec, state);
        let seen = (self.lens.stores)(&self.spec, state, cluster);
        if !(self.lens.same_stores)(&specified, &seen) {
            return Err(Difference::of("stores and sessions", &specified, &seen));
        }
        observe::copies_are_equal(state, &self.spec, cluster)
            .map(|_| ())
            .map_err(|said| difference("copies", "they are equal", said))
    }

    /// The level that this is part of.
    #[must_use]
    pub fn level(&self) -> &'static str {
        self.grounds.level()
    }

    /// The specification's state as text.
    #[must_use]
    pub fn show(&self, state: &State) -> String {
        self.spec.show(state)
    }
}

/// What was told, without what the specification does not speak of: the identity of the store, what
/// a barrier proves beyond the goal, and how much further the head is.
fn as_specified(expected: &Finding, told: &Finding, reaches_the_goal: bool) -> Finding {
    let nobody = StoreId(Uuid::nil());
    let mut told = told.clone();
    if let Finding::Report {
        facts: Some(facts), ..
    } = &mut told
    {
        facts.store = nobody;
    }
    if let (Finding::Acknowledged { durable, head }, Finding::Acknowledged { head: whole, .. }) =
        (&mut told, expected)
    {
        *head = if *head >= *durable { *whole } else { *head };
    }
    if let (true, Some(goal)) = (reaches_the_goal, proven(expected))
        && let Some(lsn) = proven_mut(&mut told)
    {
        *lsn = (*lsn).min(goal);
    }
    told
}

const fn proven(finding: &Finding) -> Option<Lsn> {
    if let Finding::CatchUp(CatchUpEvidence::Durable { lsn })
    | Finding::Rebuild(RebuildEvidence::Durable { lsn }) = finding
    {
        Some(*lsn)
    } else {
        None
    }
}

const fn proven_mut(finding: &mut Finding) -> Option<&mut Lsn> {
    if let Finding::CatchUp(CatchUpEvidence::Durable { lsn })
    | Finding::Rebuild(RebuildEvidence::Durable { lsn }) = finding
    {
        Some(lsn)
    } else {
        None
    }
}
