//! The session with the real engine, and a store and a replica that are only what a test says.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::time::Duration;

use bytes::Bytes;
use holdfast_blockvol::{BaseError, MIN_LOG_BYTES, PinError};
use holdfast_engine::{
    Assignment, Budget, Budgets, Effect, Effects, EndCause, Fault, Intent, Orchestrator,
    RebuildReason, ReplicaAssignment, SenderAuthority, SenderState, SessionKind, Tick,
};
use holdfast_types::{
    BLOCK_SIZE, BaseState, Endpoint, EndpointVersion, EntryKind, Epoch, FencingToken, Lineage,
    LogEntry, Lsn, ReplicaFacts, ReplicaId, RetainedHistory, Revision, SessionId, StoreId,
    VolumeId,
};
use holdfast_wire::{
    BaseInstalled, Frame, HelloAck, LogPosition, Manifest, Message, Refusal, SUPPORTED_VERSIONS,
};
use uuid::Uuid;

use super::base::SPLIT_TRIES;
use super::{
    ConnectionFault, Finding, Given, Note, PinnedBase, PrimarySession, SessionBounds, SessionError,
    StoreFault, Todo, View, Want,
};

const VOLUME: VolumeId = VolumeId(Uuid::from_u128(1));
const STORE: StoreId = StoreId(Uuid::from_u128(2));
const EPOCH: Epoch = Epoch(2);
const STALL: Duration = Duration::from_secs(5);
const BUDGET_BYTES: u64 = 1000;
const NOW: Duration = Duration::from_secs(1);

/// The primary's log: the epoch of each entry. It began epoch 2 with its last.
const LOG: [u64; 4] = [1, 1, 1, 2];

fn lineage(log: &[u64]) -> Lineage {
    let mut lineage = Lineage::default();
    for (lsn, epoch) in (1..).zip(log) {
        lineage.record(Epoch(*epoch), Lsn(lsn)).unwrap();
    }
    lineage
}

fn history(retained_from: u64) -> RetainedHistory {
    RetainedHistory {
        base: BaseState {
            checkpoint: Lsn(retained_from),
            extent_bound: Lsn(retained_from),
            durable: Lsn(4),
        },
        head: Lsn(4),
        committed: Lsn(3),
        epoch_start: Some(Lsn(4)),
        retained_from: Some(Lsn(retained_from)),
        snapshot: None,
        lineage: lineage(&LOG),
    }
}

fn entry(lsn: u64) -> LogEntry<Bytes> {
    LogEntry {
        lsn: Lsn(lsn),
        epoch: Epoch(LOG[usize::try_from(lsn).unwrap() - 1]),
        kind: EntryKind::Write,
        range: Some(holdfast_types::BlockRange::new(0, 1).unwrap()),
        payload: Bytes::from(vec![1; BLOCK_SIZE]),
    }
}

fn id() -> ReplicaId {
    ReplicaId::new("b").unwrap()
}

struct Scene {
    engine: Orchestrator,
    token: FencingToken,
    session: PrimarySession,
    now: Duration,
    view: View,
    notes: Vec<Note>,
    /// What the replica was sent.
    sent: VecDeque<Message>,
}

impl Scene {
    /// A session that is attached, with a replica that is a member or not.
    fn attached(kind: SessionKind) -> Self {
        let budget = Budget::new(100_000, 60_000, 50, BUDGET_BYTES).unwrap();
        let budgets = Budgets {
            catch_up: budget,
            rebuild: budget,
        };
        let mut engine = Orchestrator::new(budgets, NonZeroUsize::new(100).unwrap());
        let mut out = Effects::new();
        let endpoint = Endpoint {
            data: "127.0.0.1:1".parse().unwrap(),
            control: "127.0.0.1:2".parse().unwrap(),
            version: EndpointVersion(1),
        };
        let replica = ReplicaAssignment {
            endpoint,
            member: false,
            intent: Intent::None,
        };
        let assignment = Assignment::new(VOLUME, EPOCH, Revision(1), [(id(), replica)]).unwrap();
        engine.assign(Tick(0), assignment, &mut out).unwrap();
        let authority = SenderAuthority {
            volume: VOLUME,
            replica: id(),
            epoch: EPOCH,
            endpoint_version: EndpointVersion(1),
        };
        let token = engine.attach(Tick(0), &authority, kind, &mut out).unwrap();
        let bounds = SessionBounds {
            stall: STALL,
            work: 2 * STALL,
            pin_bytes: 500,
            budget_bytes: BUDGET_BYTES,
        };
        let command = engine.command(&token).unwrap();
        Self {
            session: PrimarySession::begin(token.clone(), command, bounds).unwrap(),
            engine,
            token,
            now: NOW,
            view: View {
                head: Lsn(4),
                committed: Lsn(3),
                barrier: Lsn::ZERO,
                base_rate: None,
            },
            notes: Vec::new(),
            sent: VecDeque::new(),
        }
    }

    /// Goes on by itself, engine included, until the store, the record, the network or time is
    /// needed.
    fn run(&mut self) -> Result<Todo, SessionError> {
        loop {
            match self.session.next(self.now, self.view)? {
                Todo::Tell(finding) => self.tell(&finding)?,
                Todo::Note(note) => self.notes.push(note),
                Todo::Send(message) => self.sent.push_back(message),
                Todo::Flush => {}
                todo @ (Todo::Want(_)
                | Todo::ReadRecord
                | Todo::Dial { .. }
                | Todo::Wait { .. }) => return Ok(todo),
            }
        }
    }

    fn tell(&mut self, finding: &Finding) -> Result<(), SessionError> {
        let mut out = Effects::new();
        let tick = Tick(u64::try_from(self.now.as_millis()).unwrap());
        let command = self
            .engine
            .step(&self.token, tick, finding.evidence(), &mut out)?;
        let pins: Vec<_> = out
            .drain()
            .filter_map(|effect| match effect {
                Effect::AcquirePin(pin) => Some(pin),
                Effect::ReleasePin(_) | Effect::Event(_) => None,
            })
            .collect();
        self.session.commanded(self.now, command, &pins)
    }

    fn given(&mut self, given: Given) -> Result<Todo, SessionError> {
        self.session.given(self.now, given)?;
        self.run()
    }

    fn frame(&mut self, message: Message) -> Result<Todo, SessionError> {
        let frame = Frame {
            volume: VOLUME,
            epoch: EPOCH,
            session: self.token.session,
            message,
        };
        self.session.frame(self.now, self.view, frame)?;
        self.run()
    }

    /// A session whose hello was sent.
    fn greeted(kind: SessionKind) -> Self {
        let mut scene = Self::attached(kind);
        assert!(matches!(scene.run(), Ok(Todo::Dial { .. })));
        scene.session.connected().unwrap();
        assert_eq!(scene.run(), Ok(Todo::Want(Want::Greeting)));
        let last = LogPosition {
            lsn: Lsn(4),
            epoch: EPOCH,
        };
        let waits = scene.given(Given::Greeting {
            blocks: 16,
            last,
            primary: ReplicaId::new("p").unwrap(),
            store: StoreId(Uuid::from_u128(1)),
        });
        assert_eq!(waits, Ok(Todo::Wait { until: NOW + STALL }));
        let hello = scene.sent.pop_front();
        assert!(matches!(hello, Some(Message::Hello(hello)) if hello.head == last));
        scene
    }

    /// The same, and the replica reported a log that is recorded; what is done next.
    fn reported(kind: SessionKind, log: &[u64], history: RetainedHistory) -> (Self, Todo) {
        let mut scene = Self::greeted(kind);
        let facts = ReplicaFacts {
            store: STORE,
            base: BaseState {
                checkpoint: Lsn(0),
                extent_bound: Lsn(0),
                durable: Lsn(log.len() as u64),
            },
            lineage: lineage(log),
        };
        let ack = HelloAck {
            version: SUPPORTED_VERSIONS.max,
            blocks: 16,
            log_bytes: MIN_LOG_BYTES,
            facts,
        };
        let next = scene.frame(Message::HelloAck(Box::new(ack)));
        assert_eq!(next, Ok(Todo::ReadRecord));
        scene.session.recorded(Some(STORE), true).unwrap();
        assert_eq!(scene.run(), Ok(Todo::Want(Want::History)));
        let todo = scene.given(Given::History(Box::new(history))).unwrap();
        (scene, todo)
    }

    /// A catch-up from `log` whose history is pinned and whose look at the pins is due.
    fn catching_up(log: &[u64]) -> Self {
        let (mut scene, todo) = Self::reported(SessionKind::CatchUp, log, history(0));
        assert!(matches!(todo, Todo::Want(Want::PinHistory { .. })));
        let pinned = Given::Pinned {
            retained_from: Some(Lsn(0)),
        };
        let todo = scene.given(pinned).unwrap();
        assert!(matches!(todo, Todo::Want(Want::EpochAt { .. })), "{todo:?}");
        let todo = scene.given(Given::Epoch(Some(Epoch(1)))).unwrap();
        assert_eq!(todo, Todo::Want(Want::Pins), "before anything is sent");
        scene
    }

    fn pins_are_well(&mut self) -> Todo {
        let pins = Given::Pins {
            held_bytes: 10,
            lost: None,
        };
        self.given(pins).unwrap()
    }

    fn state(&self) -> SenderState {
        let sender = self.engine.registry().sender(VOLUME, &id());
        sender.unwrap().state()
    }
}

fn pinned_base(split: u64, checkpoint: u64) -> Given {
    Given::BasePinned(Box::new(PinnedBase {
        split: Lsn(split),
        blocks: 16,
        chunks: 1,
        history: history(checkpoint),
        retained_from: Some(Lsn(split)),
    }))
}

/// A rebuild whose base is being read.
fn transferring() -> Scene {
    let (mut scene, todo) = Scene::reported(SessionKind::Rebuild, &[], history(2));
    assert_eq!(todo, Todo::Want(Want::PinBase { max_bytes: 500 }));
    let todo = scene.given(pinned_base(2, 2)).unwrap();
    assert!(matches!(todo, Todo::Wait { .. }), "for the replica");
    assert!(matches!(
        scene.sent.pop_front(),
        Some(Message::RebuildBegin(begin)) if begin.base_lsn == Lsn(2) && begin.target == Lsn(4)
    ));
    let todo = scene.frame(Message::RebuildReady).unwrap();
    assert_eq!(todo, Todo::Want(Want::Chunk { index: 0 }));
    scene
}

#[test]
fn a_replica_that_lacks_entries_is_caught_up_and_then_in_sync() {
    let mut scene = Scene::catching_up(&[1, 1]);
    let load = scene.pins_are_well();
    assert!(matches!(
        load,
        Todo::Want(Want::Entries { after: Lsn(2), .. })
    ));
    scene
        .given(Given::Entries(vec![entry(3), entry(4)]))
        .unwrap();
    assert!(matches!(scene.sent.pop_front(), Some(Message::Append(_))));
    assert_eq!(
        scene.sent.pop_front(),
        Some(Message::Barrier { lsn: Lsn(4) })
    );
    scene.frame(Message::Received { lsn: Lsn(4) }).unwrap();
    assert_eq!(
        scene.state(),
        SenderState::CatchingUp,
        "received is not durable"
    );
    let todo = scene.frame(Message::BarrierAck {
        asked: Lsn(4),
        durable: Lsn(4),
    });
    assert_eq!(todo, Ok(Todo::ReadRecord), "it may have to join");
    assert_eq!(scene.state(), SenderState::InSync);
    assert!(scene.session.was_in_sync());
    scene.session.recorded(Some(STORE), false).unwrap();
    scene.run().unwrap();
    assert_eq!(
        scene.notes,
        [
            Note::LogBytes(MIN_LOG_BYTES),
            Note::Streaming,
            Note::Acknowledged {
                received: Lsn(4),
                durable: Lsn(0)
            },
            Note::LetGo { upto: Lsn(4) },
            Note::Acknowledged {
                received: Lsn(4),
                durable: Lsn(4)
            },
            Note::LetGo { upto: Lsn(4) },
            Note::Completed,
            Note::MayJoin { store: STORE },
        ]
    );
}

#[test]
fn t9_a_divergent_tail_is_cut_before_an_entry_is_asked_for() {
    let mut scene = Scene::catching_up(&[1, 1, 1, 1]);
    let todo = scene.pins_are_well();
    assert!(matches!(todo, Todo::Wait { .. }));
    assert_eq!(
        scene.sent.pop_front(),
        Some(Message::Truncate { to: Lsn(3) })
    );
    let load = scene.frame(Message::Truncated { to: Lsn(3) }).unwrap();
    assert!(matches!(
        load,
        Todo::Want(Want::Entries { after: Lsn(3), .. })
    ));
    assert!(scene.sent.is_empty());
}

#[test]
fn t4_a_copy_that_cannot_be_cut_needs_a_rebuild() {
    let mut scene = Scene::catching_up(&[1, 1, 1, 1]);
    scene.pins_are_well();
    let refusal = Refusal::TruncateBelowExtent {
        offered: Lsn(3),
        bound: Lsn(4),
    };
    let ended = scene.frame(Message::Refusal(refusal));
    let cause = EndCause::Escalation(RebuildReason::TruncationUnsafe);
    assert_eq!(ended, Err(SessionError::Ended { cause }));
    assert_eq!(scene.state(), SenderState::NeedsRebuild);
}

#[test]
fn f73_nothing_is_sent_before_the_history_is_pinned() {
    let (mut scene, todo) = Scene::reported(SessionKind::CatchUp, &[1, 1], history(0));
    let want = Want::PinHistory {
        from: Lsn(2),
        max_bytes: 500,
    };
    assert_eq!(todo, Todo::Want(want));
    assert_eq!(scene.state(), SenderState::CatchingUp);
    let gone = Given::Pinned {
        retained_from: Some(Lsn(3)),
    };
    let cause = EndCause::Escalation(RebuildReason::RetentionLost);
    assert_eq!(scene.given(gone), Err(SessionError::Ended { cause }));
    assert!(scene.sent.is_empty());
}

#[test]
fn a_pin_that_fails_ends_the_session_by_a_fault_that_is_tried_again() {
    let (mut scene, _) = Scene::reported(SessionKind::CatchUp, &[1, 1], history(0));
    let recycled = PinError::Recycled {
        from: Lsn(2),
        retained_from: Some(Lsn(3)),
    };
    let ended = scene.given(Given::Failed(recycled.into()));
    let cause = EndCause::Fault(Fault::PinFailed);
    assert_eq!(ended, Err(SessionError::Ended { cause }));
    assert_eq!(scene.state(), SenderState::Degraded);
}

#[test]
fn t4_a_pin_that_would_hold_back_too_much_ends_the_session_by_its_budget() {
    let (mut scene, _) = Scene::reported(SessionKind::CatchUp, &[1, 1], history(0));
    let too_large = PinError::TooLarge {
        from: Lsn(2),
        held: 600,
        max_bytes: 500,
    };
    let ended = scene.given(Given::Failed(too_large.into()));
    let cause = EndCause::Escalation(RebuildReason::BudgetBytes);
    assert_eq!(ended, Err(SessionError::Ended { cause }));
}

#[test]
fn a6_a_pin_that_was_taken_away_is_found_at_the_next_look() {
    let mut scene = Scene::catching_up(&[1, 1]);
    scene.pins_are_well();
    scene
        .given(Given::Entries(vec![entry(3), entry(4)]))
        .unwrap();
    scene.now += Duration::from_millis(500);
    assert_eq!(scene.run(), Ok(Todo::Want(Want::Pins)));
    let lost = Given::Pins {
        held_bytes: 0,
        lost: Some(PinError::Closed),
    };
    let cause = EndCause::Escalation(RebuildReason::RetentionLost);
    assert_eq!(scene.given(lost), Err(SessionError::Ended { cause }));
}

#[test]
fn the_connection_and_the_report_are_awaited_for_so_long_and_no_longer() {
    let mut scene = Scene::attached(SessionKind::CatchUp);
    let dial = scene.run().unwrap();
    assert!(matches!(dial, Todo::Dial { until, .. } if until == NOW + STALL));
    scene.now = NOW + STALL - Duration::from_nanos(1);
    assert_eq!(scene.run(), Ok(Todo::Wait { until: NOW + STALL }));
    scene.now = NOW + STALL;
    let timed_out = |ended: Result<Todo, SessionError>| {
        matches!(
            ended,
            Err(SessionError::Connection(ConnectionFault::TimedOut { .. }))
        )
    };
    assert!(timed_out(scene.run()));
    let mut scene = Scene::greeted(SessionKind::CatchUp);
    scene.now = NOW + STALL;
    assert!(timed_out(scene.run()));
}

#[test]
fn f61_an_answer_that_was_not_asked_for_ends_the_session() {
    let mut scene = Scene::greeted(SessionKind::CatchUp);
    let ended = scene.frame(Message::Received { lsn: Lsn(4) });
    assert!(matches!(ended, Err(SessionError::Malformed { .. })));
    let (mut scene, todo) = Scene::reported(SessionKind::CatchUp, &[1, 1], history(0));
    assert!(matches!(todo, Todo::Want(_)));
    let early = scene.frame(Message::Received { lsn: Lsn(4) });
    assert!(
        matches!(early, Err(SessionError::Malformed { .. })),
        "its own store has not answered"
    );
}

#[test]
fn a_replica_without_the_volume_needs_a_rebuild() {
    let mut scene = Scene::greeted(SessionKind::CatchUp);
    let todo = scene.frame(Message::Refusal(Refusal::UnknownVolume));
    assert_eq!(todo, Ok(Todo::Want(Want::History)));
    let ended = scene.given(Given::History(Box::new(history(0))));
    let cause = EndCause::Escalation(RebuildReason::NoVolume);
    assert_eq!(ended, Err(SessionError::Ended { cause }));
}

#[test]
fn t17_a_base_is_pinned_anew_until_its_split_is_the_checkpoint_of_the_history() {
    let (mut scene, mut todo) = Scene::reported(SessionKind::Rebuild, &[], history(2));
    for _ in 1..SPLIT_TRIES {
        assert_eq!(todo, Todo::Want(Want::PinBase { max_bytes: 500 }));
        todo = scene.given(pinned_base(1, 2)).unwrap();
    }
    let ended = scene.given(pinned_base(1, 2));
    assert!(matches!(ended, Err(SessionError::Malformed { .. })));
    assert!(scene.sent.is_empty());
}

#[test]
fn a_base_is_sent_switched_and_followed_by_the_tail() {
    let mut scene = transferring();
    scene
        .given(Given::Chunk {
            bytes: Bytes::from(vec![3; 16 * BLOCK_SIZE]),
            sha256: [0; 32],
        })
        .unwrap();
    assert!(matches!(
        scene.sent.pop_front(),
        Some(Message::RebuildChunk(_))
    ));
    let todo = scene.frame(Message::RebuildProgress { next_block: 16 });
    assert_eq!(todo, Ok(Todo::Want(Want::Manifest)));
    scene
        .given(Given::Manifest(Manifest {
            base_lsn: Lsn(2),
            extent_bound: Lsn(3),
            blocks: 16,
            sha256: [0; 32],
            lineage: lineage(&[1, 1]),
        }))
        .unwrap();
    assert!(matches!(scene.sent.pop_front(), Some(Message::Manifest(_))));
    let todo = scene.frame(Message::BaseInstalled(BaseInstalled {
        base_lsn: Lsn(2),
        extent_bound: Lsn(3),
    }));
    assert_eq!(todo, Ok(Todo::Want(Want::EpochAt { lsn: Lsn(2) })));
    scene.given(Given::Epoch(Some(Epoch(1)))).unwrap();
    scene.pins_are_well();
    scene
        .given(Given::Entries(vec![entry(3), entry(4)]))
        .unwrap();
    let todo = scene.frame(Message::BarrierAck {
        asked: Lsn(4),
        durable: Lsn(4),
    });
    assert_eq!(todo, Ok(Todo::ReadRecord));
    assert_eq!(scene.state(), SenderState::InSync);
    let transfer = [
        Note::TransferBegan {
            base_lsn: Lsn(2),
            chunks_total: 1,
        },
        Note::TransferInstalled { chunks: 1 },
        Note::Completed,
    ];
    for note in transfer {
        assert!(scene.notes.contains(&note), "{note:?}");
    }
}

#[test]
fn a6_a_base_whose_log_went_away_under_it_is_given_up() {
    let mut scene = transferring();
    let lost = StoreFault::Base(BaseError::Pin(PinError::Closed));
    let cause = EndCause::Escalation(RebuildReason::RetentionLost);
    let ended = scene.given(Given::Failed(lost));
    assert_eq!(ended, Err(SessionError::Ended { cause }));
    let mut scene = transferring();
    let unread = StoreFault::Base(BaseError::NoSuchChunk { index: 0, count: 0 });
    let ended = scene.given(Given::Failed(unread.clone()));
    assert_eq!(
        ended,
        Err(SessionError::Store(unread)),
        "another fault is another end"
    );
}

#[test]
fn t7_a_frame_of_another_session_ends_the_stream() {
    let mut scene = Scene::catching_up(&[1, 1]);
    scene.pins_are_well();
    scene
        .given(Given::Entries(vec![entry(3), entry(4)]))
        .unwrap();
    let frame = Frame {
        volume: VOLUME,
        epoch: EPOCH,
        session: SessionId(scene.token.session.0 + 1),
        message: Message::Received { lsn: Lsn(3) },
    };
    let ended = scene.session.frame(scene.now, scene.view, frame);
    assert!(matches!(ended, Err(SessionError::Shipper(_))));
}
