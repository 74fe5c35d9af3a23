//! One session between two stores as it is in production: the driver's task at the one end, the server
//! of replicas at the other, sockets, and the gate between them.
//!
//! The driver waits where the rig can see it: for the engine's answer, which the rig gives with the
//! next step, or for something to move. Nothing here sleeps; a time-out is a finding.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use holdfast_engine::{Command, PinRequest, Refusal, ReportedFault};
use holdfast_node::replication::{Finding, PrimarySession, SessionBounds, SessionError};
use holdfast_node::runtime::{LocalStore, SessionDriver};
use holdfast_types::FencingToken;
use holdfast_wire::Frame;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::gate::{Cut, Gate, Passage, deliver_late};
use super::ground::{House, Turns};
use super::host::{Answer, Event, Host, Shared};
use crate::l2::disks::PIN_BYTES;
use crate::l2::ground::{LONG, LOOK, Late, Levers, Line, ReplicaNode, Went, standing};

/// How long anything may take that is to come at once: only a defect takes it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How far a stream is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Losing {
    NotYet,
    /// The driver still sends.
    Sends(Cut),
    Lost,
}

/// One session.
pub struct SocketLine {
    token: FencingToken,
    runtime: Handle,
    house: Arc<House>,
    gate: Option<Gate>,
    shared: Arc<Shared>,
    events: Receiver<Event>,
    driver: AbortHandle,
    /// The engine's answer, and whom it is for.
    pending: Option<(oneshot::Sender<Answer>, Option<Answer>)>,
    told: Option<Finding>,
    replica: Option<Arc<LocalStore>>,
    /// What the replica was sent and did not take, once the primary's side alone was cut.
    late: Option<Box<LateFrames>>,
    losing: Losing,
    turns: Arc<Turns>,
}

impl SocketLine {
    /// A session that was just attached.
    ///
    /// # Errors
    /// When the engine's first command is another than to connect, or there is no port.
    pub(super) fn begin(
        token: FencingToken,
        command: Command,
        source: &Arc<LocalStore>,
        (house, runtime, turns): (&Arc<House>, &Handle, &Arc<Turns>),
    ) -> Result<Self, String> {
        let bounds = SessionBounds {
            stall: LONG,
            work: LONG,
            pin_bytes: PIN_BYTES,
            budget_bytes: u64::MAX - 1,
        };
        let session = PrimarySession::begin(token.clone(), command, bounds);
        let session = session.map_err(|error| error.to_string())?;
        let gate = Gate::before(house.address, runtime).map_err(|error| error.to_string())?;
        let shared = Arc::new(Shared::new(gate.address));
        let (sender, events) = channel();
        let host = Host::new(&shared, sender.clone(), source, token.replica.clone());
        let task = runtime.spawn(async move {
            let mut driver = SessionDriver::new(session, host);
            let end = driver.run().await;
            drop(driver);
            let _ = sender.send(Event::Ended(end));
        });
        Ok(Self {
            token,
            runtime: runtime.clone(),
            house: Arc::clone(house),
            gate: Some(gate),
            shared,
            events,
            driver: task.abort_handle(),
            pending: None,
            told: None,
            replica: None,
            late: None,
            losing: Losing::NotYet,
            turns: Arc::clone(turns),
        })
    }

    fn event(&self) -> Result<Event, String> {
        self.events
            .recv_timeout(PATIENCE)
            .map_err(|error| match error {
                RecvTimeoutError::Timeout => "the driver neither tells anything nor ends".into(),
                RecvTimeoutError::Disconnected => "the driver is gone".into(),
            })
    }

    /// Gives the engine's answer to whoever waits for it; else says that something has moved.
    fn release(&mut self) -> Result<(), String> {
        match self.pending.take() {
            Some((whom, Some(answer))) => {
                // Of what was before, nothing is of interest.
                while self.events.try_recv().is_ok() {}
                let _ = whom.send(answer);
                Ok(())
            }
            Some((_, None)) => Err("the engine was not asked".into()),
            None => {
                if self.told.is_some() {
                    while self.events.try_recv().is_ok() {}
                }
                self.shared.rouse();
                Ok(())
            }
        }
    }

    fn until_told(&mut self) -> Result<Went, String> {
        loop {
            match self.event()? {
                Event::Tells(finding, answer) => {
                    self.pending = Some((answer, None));
                    if matches!(finding, Finding::Report { .. }) {
                        self.replica = self.house.store_of(self.token.volume);
                    }
                    self.told = Some(finding.clone());
                    return Ok(Went::Tells(finding));
                }
                Event::Rests => {}
                Event::Ended(error) => return Ok(Went::Ended(error)),
            }
        }
    }

    fn until_it_rests(&self) -> Result<(), String> {
        match self.event()? {
            Event::Rests => Ok(()),
            Event::Tells(finding, _) => Err(format!("instead of resting, it tells {finding:?}")),
            Event::Ended(error) => Err(format!("instead of resting, it ends: {error}")),
        }
    }

    fn until_ended(&self) -> Result<SessionError, String> {
        loop {
            match self.event()? {
                Event::Ended(error) => return Ok(error),
                Event::Rests => {}
                Event::Tells(finding, _) => {
                    return Err(format!("instead of ending, it tells {finding:?}"));
                }
            }
        }
    }

    fn let_pass(&self, passage: Passage) {
        if let Some(gate) = &self.gate {
            gate.let_pass(passage);
        }
    }

    const fn has_said_hello(&self) -> bool {
        !matches!(self.told, None | Some(Finding::Dialing))
    }

    fn cut(&mut self, cut: Cut) -> Result<(), String> {
        let Some(gate) = self.gate.take() else {
            return Ok(());
        };
        let remains = self.runtime.block_on(gate.cut(cut));
        let remains = remains.map_err(|error| format!("the gate: {error}"))?;
        self.turns.note(cut, remains.torn);
        let store = self
            .replica
            .clone()
            .or_else(|| self.house.store_of(self.token.volume));
        if let (Some(way), Some(store)) = (remains.replica, store) {
            self.late = Some(Box::new(LateFrames {
                token: self.token.clone(),
                way,
                frames: remains.late,
                store,
                runtime: self.runtime.clone(),
                turns: Arc::clone(&self.turns),
            }));
        }
        Ok(())
    }

    fn fault(error: &SessionError) -> Result<ReportedFault, String> {
        error
            .fault()
            .ok_or_else(|| format!("nothing is told of this end: {error}"))
    }

    fn begin_to_lose(&mut self) -> Result<(), String> {
        self.losing = Losing::Lost;
        if !self.has_said_hello() {
            // There is nobody to connect to.
            self.shared.set(|present| present.way = None);
            return self.release();
        }
        self.shared
            .set(|present| present.levers = Levers::default());
        let cut = self.turns.next();
        if cut == Cut::Before {
            self.cut(cut)?;
            return match self.pending {
                Some(_) => self.release(),
                None => Ok(()),
            };
        }
        self.losing = Losing::Sends(cut);
        self.let_pass(passage_before(cut));
        self.release()
    }

    /// Until every request that passed is answered.
    fn until_answered(&self) -> Result<(), String> {
        let Some(gate) = &self.gate else {
            return Ok(());
        };
        let answered = async { tokio::time::timeout(PATIENCE, gate.answered()).await };
        let answered = self.runtime.block_on(answered);
        answered.map_err(|_| "a request is not answered".to_owned())
    }
}

/// What passes before a stream is cut.
const fn passage_before(cut: Cut) -> Passage {
    match cut {
        Cut::Before | Cut::InsideARequest | Cut::OneSide => Passage::Shut,
        Cut::Answers | Cut::InsideAnAnswer => Passage::Requests,
    }
}

impl Line for SocketLine {
    fn token(&self) -> &FencingToken {
        &self.token
    }

    fn replica(&self) -> Option<&Arc<LocalStore>> {
        self.replica.as_ref()
    }

    fn holds_anything(&self) -> bool {
        self.shared.holds_anything()
    }

    fn told(&self) -> Option<&Finding> {
        self.told.as_ref()
    }

    fn set_member(&mut self, member: bool) {
        self.shared.set(|present| present.member = member);
    }

    fn go_on(&mut self, node: &ReplicaNode, levers: &Levers) -> Result<Went, String> {
        self.house.set(self.token.volume, node);
        let replica = self.house.store_of(self.token.volume);
        self.shared.set(|present| {
            present.levers = *levers;
            present.replica = replica.map(|store| store.volume().store_id());
            if levers.look {
                present.now += LOOK;
            }
        });
        if self.has_said_hello() {
            self.let_pass(Passage::Open);
        }
        self.release()?;
        let went = self.until_told();
        self.let_pass(Passage::Shut);
        went
    }

    fn commanded(&mut self, command: Command, pins: &[PinRequest]) -> Result<(), SessionError> {
        let ended = matches!(command, Command::Ended { .. });
        if let Some((_, answer)) = &mut self.pending {
            *answer = Some(Ok((command, pins.to_vec())));
        }
        if !ended {
            return Ok(());
        }
        const LIVES_ON: SessionError = SessionError::Malformed {
            what: "a session that the engine ended lives on",
        };
        self.release().map_err(|_| LIVES_ON)?;
        Err(self.until_ended().unwrap_or(LIVES_ON))
    }

    fn refused(&mut self, refusal: &Refusal) -> Result<ReportedFault, String> {
        if let Some((_, answer)) = &mut self.pending {
            *answer = Some(Err(*refusal));
        }
        self.release()?;
        Self::fault(&self.until_ended()?)
    }

    fn settle(&mut self) -> Result<(), String> {
        self.release()?;
        self.until_it_rests()
    }

    fn lose(&mut self, node: &ReplicaNode) -> Result<Went, String> {
        self.house.set(self.token.volume, node);
        match self.losing {
            Losing::NotYet => self.begin_to_lose()?,
            // It looked at its pins, and the engine has answered.
            Losing::Sends(_) | Losing::Lost => self.release()?,
        }
        loop {
            match (self.event()?, self.losing) {
                (Event::Tells(finding, answer), _) => {
                    self.pending = Some((answer, None));
                    self.told = Some(finding.clone());
                    return Ok(Went::Tells(finding));
                }
                (Event::Ended(error), _) => return Ok(Went::Ended(error)),
                (Event::Rests, Losing::Sends(cut)) => {
                    if passage_before(cut) == Passage::Requests {
                        self.until_answered()?;
                    }
                    self.losing = Losing::Lost;
                    self.cut(cut)?;
                }
                (Event::Rests, Losing::NotYet | Losing::Lost) => {}
            }
        }
    }

    fn into_late(mut self: Box<Self>) -> Option<Box<dyn Late>> {
        // As a node does with a session that is not the present one any more.
        self.driver.abort();
        if self.gate.is_some() && self.cut(Cut::OneSide).is_err() {
            return None;
        }
        self.late.take().map(|late| late as Box<dyn Late>)
    }
}

impl Drop for SocketLine {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

struct LateFrames {
    token: FencingToken,
    way: (OwnedReadHalf, OwnedWriteHalf),
    frames: Vec<Frame>,
    store: Arc<LocalStore>,
    runtime: Handle,
    turns: Arc<Turns>,
}

impl Late for LateFrames {
    fn store(&self) -> &Arc<LocalStore> {
        &self.store
    }

    fn deliver(mut self: Box<Self>) -> Result<usize, String> {
        let before = standing(&self.store);
        if self.turns.in_silence() {
            // It ends without being spoken to: a newer session was admitted.
            self.frames.clear();
        }
        let delivered = self.frames.len();
        let late = deliver_late(self.way, &self.frames);
        let done = async { tokio::time::timeout(PATIENCE, late).await };
        let done = self.runtime.block_on(done);
        done.map_err(|_| {
            let (present, positions) = (self.store.volume().promise(), self.store.positions());
            format!(
                "the replica does not end {:?} which is over: {present:?}, {positions:?}",
                self.token
            )
        })??;
        if standing(&self.store) != before {
            return Err("late frames changed the store".into());
        }
        Ok(delivered)
    }
}
