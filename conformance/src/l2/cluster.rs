//! A whole cluster that takes one step at a time: the engine of a primary's node, its stores, the
//! stores of its replicas, and the sessions between them. The rig plays the authority and the
//! world; time is the specification's.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_blockvol::Role;
use holdfast_engine::{
    AssignOutcome, Assignment, Effect, Effects, IntentOutcome, Interruption, Orchestrator,
    PinRequest, Refusal, ReportedFault, Tick,
};
use holdfast_model::session::action::Disk;
use holdfast_model::session::state::History;
use holdfast_model::session::{Authority, Begin, Move, Session as Spec, State};
use holdfast_node::replication::{Finding, SessionError};
use holdfast_node::runtime::LocalStore;
use holdfast_types::{EntryKind, Epoch, FencingToken, Lsn};

use super::disks::{self, Source, Unmade};
use super::ground::{Ground, Late, Levers, Line, ReplicaNode, Went};
use crate::l1::calls::{authority as sender_authority, named_assignment};
use crate::l1::translate::{self, Names, lsn, tick};

/// Events that the engine keeps.
const EVENTS: std::num::NonZeroUsize = std::num::NonZeroUsize::new(64).expect("more than none");

/// What a step of the product came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// The engine refused.
    Refused(Refusal),
}

/// The cluster.
pub struct Cluster {
    spec: Spec,
    names: Names,
    /// The primary's engine.
    pub engine: Orchestrator,
    now: Tick,
    /// The primary's stores, by the place of their volume.
    pub sources: Vec<Source>,
    /// The replicas' stores, by the slot of their sender.
    pub replicas: BTreeMap<usize, (Disk, Arc<LocalStore>)>,
    /// The sessions, by the slot of their sender.
    pub lines: BTreeMap<usize, Box<dyn Line>>,
    /// What sessions that are over told last.
    over: Vec<(FencingToken, Finding)>,
    late: BTreeMap<usize, Box<dyn Late>>,
    /// Late frames that were delivered and refused.
    pub late_frames: u64,
    /// Goes last: the stores stand on it.
    ground: Box<dyn Ground>,
}

impl Cluster {
    /// The cluster as it is in an initial state.
    ///
    /// # Errors
    /// When the product has no such disks.
    pub fn start(
        spec: Spec,
        names: &Names,
        initial: &State,
        mut ground: Box<dyn Ground>,
    ) -> Result<Self, Unmade> {
        let histories = initial.histories.iter().zip(spec.volumes());
        let sources = histories.map(|(history, &number)| {
            disks::source(&mut *ground, translate::volume(number), history)
        });
        let sources = sources.collect::<Result<_, _>>()?;
        Ok(Self {
            spec,
            names: names.clone(),
            engine: Orchestrator::new(translate::budgets(spec.budget()), EVENTS),
            now: tick(initial.now),
            sources,
            replicas: BTreeMap::new(),
            lines: BTreeMap::new(),
            over: Vec::new(),
            late: BTreeMap::new(),
            late_frames: 0,
            ground,
        })
    }

    fn engine_call<T>(
        &mut self,
        call: impl FnOnce(&mut Orchestrator, &mut Effects) -> Result<T, Refusal>,
    ) -> (Result<T, Refusal>, Vec<PinRequest>) {
        let mut out = Effects::new();
        let answer = call(&mut self.engine, &mut out);
        let pins = out.drain().filter_map(|effect| match effect {
            Effect::AcquirePin(request) => Some(request),
            // The session's own guards go with it.
            Effect::ReleasePin(_) | Effect::Event(_) => None,
        });
        (answer, pins.collect())
    }

    /// A call of the authority.
    ///
    /// # Errors
    /// A defect of the rig.
    pub fn authority(&mut self, call: Authority) -> Result<Outcome, String> {
        let now = self.now;
        let done = match call {
            Authority::Assign { volume, assignment } => {
                let assignment: Assignment =
                    named_assignment(&self.spec, &self.names, volume, assignment)?;
                let epoch = assignment.epoch();
                let (done, _) = self.engine_call(|engine, out| engine.assign(now, assignment, out));
                self.end_of_others();
                match done {
                    Ok(AssignOutcome::Unchanged) => Ok(()),
                    Ok(AssignOutcome::Applied(outcomes)) => {
                        self.learn(volume, epoch)?;
                        for (_, outcome) in outcomes {
                            if let IntentOutcome::Attached(token) = outcome {
                                self.begin_line(token)?;
                            }
                        }
                        Ok(())
                    }
                    Err(refusal) => Err(refusal),
                }
            }
            Authority::Fence { volume, epoch } => {
                let (id, epoch) = (translate::volume(volume), translate::epoch(epoch));
                let (done, _) = self.engine_call(|engine, out| engine.fence(id, epoch, out));
                if done.is_ok() {
                    self.learn(volume, epoch)?;
                }
                done
            }
            Authority::Stop { volume, epoch } => {
                let (id, epoch) = (translate::volume(volume), translate::epoch(epoch));
                self.engine_call(|engine, out| engine.stop(id, epoch, out))
                    .0
            }
        };
        self.end_of_others();
        self.members();
        Ok(done.map_or_else(Outcome::Refused, |()| Outcome::Done))
    }

    /// The primary's node makes an epoch durable before it acts on it.
    fn learn(&self, volume: u8, epoch: Epoch) -> Result<(), String> {
        if let Some(at) = self.spec.volume_place(volume) {
            let opened = self.sources[at].store.volume();
            if epoch > opened.promise().epoch {
                opened.fence(epoch).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    /// What the record says of each replica is what its session is told.
    fn members(&mut self) {
        let registry = self.engine.registry();
        for line in self.lines.values_mut() {
            let token = line.token();
            let sender = registry.sender(token.volume, &token.replica);
            line.set_member(sender.is_some_and(holdfast_engine::Sender::is_member));
        }
    }

    /// A session is begun by itself.
    ///
    /// # Errors
    /// A defect of the rig.
    pub fn begin(&mut self, begin: Begin) -> Result<Outcome, String> {
        let now = self.now;
        let authority = sender_authority(&self.names, begin);
        let kind = translate::kind(begin.kind);
        let (done, _) = self.engine_call(|engine, out| {
            if begin.supersedes {
                engine.supersede(now, &authority, kind, out)
            } else {
                engine.attach(now, &authority, kind, out)
            }
        });
        self.end_of_others();
        match done {
            Ok(token) => {
                self.begin_line(token)?;
                self.members();
                Ok(Outcome::Done)
            }
            Err(refusal) => Ok(Outcome::Refused(refusal)),
        }
    }

    fn begin_line(&mut self, token: FencingToken) -> Result<(), String> {
        let slot = self.slot(&token).ok_or("a session of a stranger")?;
        let command = self.engine.command(&token).map_err(|e| e.to_string())?;
        let source = &self.sources[self.spec.volume_index(slot)].store;
        let (_, replica) = self.spec.place(slot);
        let line = self.ground.begin(token, replica, command, source)?;
        self.lines.insert(slot, line);
        Ok(())
    }

    fn slot(&self, token: &FencingToken) -> Option<usize> {
        self.spec.slot(
            translate::volume_number(token.volume)?,
            translate::replica_number(&token.replica)?,
        )
    }

    /// Sessions that are not the present ones any more are over.
    fn end_of_others(&mut self) {
        let registry = self.engine.registry();
        let over = self.lines.iter().filter_map(|(slot, line)| {
            let current = registry.check_token(line.token()).is_ok();
            (!current).then_some(*slot)
        });
        for slot in over.collect::<Vec<_>>() {
            self.end_line(slot);
        }
    }

    fn end_line(&mut self, slot: usize) {
        if let Some(line) = self.lines.remove(&slot) {
            if let Some(told) = line.told() {
                self.over.push((line.token().clone(), told.clone()));
            }
            if let Some(late) = line.into_late() {
                self.late.insert(slot, late);
            }
        }
    }

    /// The stream of a session is lost.
    ///
    /// # Errors
    /// When that does not end it, or the engine does not take it for a lost stream.
    pub fn lose(&mut self, slot: usize) -> Result<(), String> {
        let node = self.node(slot);
        loop {
            let line = self.lines.get_mut(&slot).ok_or("no session to fail")?;
            match line.lose(&node)? {
                Went::Ended(error) => {
                    let fault = error.fault().ok_or("an end of which nothing is told")?;
                    return self.fail(slot, fault, ReportedFault::StreamLost);
                }
                Went::Tells(look @ Finding::Interrupted(Interruption::Tick { .. })) => {
                    self.tell(slot, &look)?;
                }
                went @ (Went::Tells(_) | Went::Rests) => {
                    return Err(format!("a stream is lost, and {went:?}"));
                }
            }
        }
    }

    /// A session whose evidence the engine did not take is over.
    ///
    /// # Errors
    /// When it is not, or the engine refuses what is told of it.
    pub fn end_of_refused(&mut self, slot: usize, refusal: &Refusal) -> Result<(), String> {
        let line = self.lines.get_mut(&slot).ok_or("no session to fail")?;
        let fault = line.refused(refusal)?;
        self.fail(slot, fault, ReportedFault::Malformed)
    }

    /// A session lets go of everything and tells the engine what ended it.
    fn fail(
        &mut self,
        slot: usize,
        fault: ReportedFault,
        expected: ReportedFault,
    ) -> Result<(), String> {
        if fault != expected {
            return Err(format!("{expected:?} is told as {fault:?}"));
        }
        let line = self.lines.get(&slot).ok_or("no session to fail")?;
        let (token, now) = (line.token().clone(), self.now);
        let failed = Finding::Interrupted(Interruption::Failed(fault));
        let (told, _) =
            self.engine_call(|engine, out| engine.step(&token, now, failed.evidence(), out));
        self.end_of_others();
        told.map(|_| ()).map_err(|refusal| refusal.to_string())
    }

    fn node(&self, slot: usize) -> ReplicaNode {
        match self.replicas.get(&slot) {
            Some((_, store)) => ReplicaNode::Holds(Arc::clone(store)),
            None => ReplicaNode::HoldsNothing,
        }
    }

    /// Has a session go on until it has something to tell.
    ///
    /// # Errors
    /// A defect of the rig.
    pub fn go_on(&mut self, slot: usize, levers: &Levers) -> Result<Went, String> {
        let node = self.node(slot);
        let line = self.lines.get_mut(&slot).ok_or("no session to go on")?;
        line.go_on(&node, levers)
    }

    /// Tells the engine what a session found, and the session what the engine says.
    ///
    /// # Errors
    /// When the session cannot make sense of it.
    pub fn tell(&mut self, slot: usize, finding: &Finding) -> Result<Outcome, String> {
        let line = self.lines.get(&slot).ok_or("no session to tell of")?;
        let (token, now) = (line.token().clone(), self.now);
        let (told, pins) =
            self.engine_call(|engine, out| engine.step(&token, now, finding.evidence(), out));
        let command = match told {
            Ok(command) => command,
            Err(refusal) => return Ok(Outcome::Refused(refusal)),
        };
        if let Some(line) = self.lines.get_mut(&slot) {
            match line.commanded(command, &pins) {
                Ok(()) => {}
                Err(SessionError::Ended { .. }) => self.end_line(slot),
                Err(error) => return Err(format!("{command:?} ended the session: {error}")),
            }
        }
        Ok(Outcome::Done)
    }

    /// A session that was completed does what that means at once.
    ///
    /// # Errors
    /// When it does not.
    pub fn settle(&mut self, slot: usize) -> Result<(), String> {
        let line = self.lines.get_mut(&slot);
        line.ok_or("no session to settle")?.settle()
    }

    /// What a session that is over told last, told once more; `None`: it told nothing.
    pub fn tell_again(&mut self, token: &FencingToken) -> Option<(Finding, Result<(), Refusal>)> {
        let (_, finding) = self.over.iter().rev().find(|(over, _)| over == token)?;
        let (finding, now) = (finding.clone(), self.now);
        let (told, _) =
            self.engine_call(|engine, out| engine.step(token, now, finding.evidence(), out));
        Some((finding, told.map(|_| ())))
    }

    /// The replica holds this now: the store that it has, if that holds just this.
    ///
    /// # Errors
    /// When the product has no such store.
    pub fn set_replica(&mut self, slot: usize, disk: Option<Disk>) -> Result<(), Unmade> {
        let (volume, number) = self.spec.place(slot);
        let Some(disk) = disk else {
            self.replicas.remove(&slot);
            return Ok(());
        };
        if let Some((_, store)) = self.replicas.get(&slot)
            && holds(store, &disk)
        {
            return Ok(());
        }
        let store = disks::replica(&mut *self.ground, translate::volume(volume), number, &disk)?;
        self.replicas.insert(slot, (disk, store));
        Ok(())
    }

    /// What is late of a session that is over comes now: after the present one was admitted.
    ///
    /// # Errors
    /// When any of it had an effect.
    pub fn deliver_late(&mut self, slot: usize) -> Result<(), String> {
        let Some(late) = self.late.remove(&slot) else {
            return Ok(());
        };
        let present = self.replicas.get(&slot).map(|(_, store)| store);
        if present.is_some_and(|store| Arc::ptr_eq(store, late.store())) {
            self.late_frames += late.deliver()? as u64;
        }
        Ok(())
    }

    /// Something happens to the world.
    ///
    /// # Errors
    /// When the product's store does not do it.
    pub fn world(&mut self, moves: Move, before: &State, after: Tick) -> Result<(), Unmade> {
        let (volume, at) = match moves {
            Move::Tick => {
                self.now = after;
                return Ok(());
            }
            Move::Append { volume }
            | Move::Commit { volume }
            | Move::WriteBack { volume }
            | Move::Reclaim { volume } => {
                let at = self.spec.volume_place(volume).ok_or("a stranger")?;
                (volume, at)
            }
        };
        let epoch = self.spec.volume(before, volume).map_or(0, |v| v.epoch);
        let history = &before.histories[at];
        let source = &mut self.sources[at];
        match moves {
            Move::Tick => {}
            Move::Append { .. } => log_one(source, history, translate::epoch(epoch))?,
            Move::Commit { .. } => {
                let opened = source.store.volume();
                opened.set_committed(opened.positions().head);
            }
            Move::WriteBack { .. } => disks::write_back(source.store.volume())?,
            Move::Reclaim { .. } => {
                // Only the sessions' own pins keep the log now: where it begins then is theirs.
                let opened = source.store.volume();
                let checkpoint = opened.positions().checkpoint;
                let freed = source.keeper.advance(checkpoint);
                freed.map_err(|error| error.to_string())?;
                disks::write_back(opened)?;
                let begins = opened.positions().retained_from;
                let begins = begins.ok_or("nothing is retained")?;
                let kept = opened.pin(begins, disks::PIN_BYTES);
                source.keeper = kept.map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }
}

/// The primary logs an entry: the first of its epoch with its role.
fn log_one(source: &Source, history: &History, epoch: Epoch) -> Result<(), Unmade> {
    let opened = source.store.volume();
    let last = history.log.epoch_at(history.log.head()).unwrap_or(0);
    if translate::epoch(last) == epoch {
        let at = opened.positions().head.next().0;
        let payload = disks::content(at, epoch.0);
        opened
            .try_append(epoch, EntryKind::Write, disks::block(at), payload)
            .map_err(|error| error.to_string())?;
    } else {
        let taken = opened.set_role(epoch, Role::Primary);
        taken.map_err(|error| error.to_string())?;
        let began = opened.append_epoch_start(epoch);
        began.map_err(|error| error.to_string())?;
    }
    opened.sync().map_err(|error| error.to_string())?;
    Ok(())
}

/// Whether a store holds just this, durably.
fn holds(store: &LocalStore, disk: &Disk) -> bool {
    let positions = store.positions();
    let lineage = translate::lineage(&disk.log.lineage(0));
    positions.head == lsn(disk.log.head())
        && positions.durable == positions.head
        && positions.extent_bound == lsn(disk.extent_bound)
        && positions.checkpoint == Lsn(positions.extent_bound.0.min(positions.durable.0))
        && lineage.is_ok_and(|lineage| lineage == store.volume().lineage())
}
