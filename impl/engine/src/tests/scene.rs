//! What the tests are set in: logs written down entry by entry, and a registry to act on.

use holdfast_types::{
    BaseState, Endpoint, EndpointVersion, Epoch, FencingToken, Lineage, LineageEntry, Lsn,
    ReplicaFacts, ReplicaId, RetainedHistory, Revision, SnapshotBase, StoreId, VolumeId,
};
use uuid::Uuid;

use crate::{
    AssignOutcome, Assignment, Budget, Budgets, CatchUpPlan, Effects, HandshakeOutcome, Intent,
    IntentOutcome, PinSlot, RebuildPlan, RecoverKind, Refusal, Registry, ReplicaAssignment,
    ReportedFault, Sender, SenderAuthority, SenderState, Tick,
};

pub(crate) const VOLUME: VolumeId = VolumeId(Uuid::from_u128(1));
pub(crate) const OTHER_VOLUME: VolumeId = VolumeId(Uuid::from_u128(2));
/// Of every budget in the tests.
pub(crate) const DURATION: u64 = 1_000;
pub(crate) const STALL: u64 = 100;
pub(crate) const ENTRIES: u64 = 50;
pub(crate) const BYTES: u64 = 10_000;

pub(crate) fn budgets() -> Budgets {
    let budget = Budget::new(DURATION, STALL, ENTRIES, BYTES).unwrap();
    Budgets {
        catch_up: budget,
        rebuild: budget,
    }
}

pub(crate) fn id(name: &str) -> ReplicaId {
    ReplicaId::new(name).unwrap()
}

pub(crate) fn endpoint(version: u64) -> Endpoint {
    let port = 7_000 + u16::try_from(version).unwrap();
    Endpoint {
        data: ([10, 0, 0, 1], port).into(),
        control: ([10, 0, 0, 1], port + 1_000).into(),
        version: EndpointVersion(version),
    }
}

/// The lineage of a log that is written as the epoch of each entry.
pub(crate) fn lineage_of(log: &[u64]) -> Lineage {
    let mut lineage = Lineage::default();
    for (lsn, &epoch) in (1..).zip(log) {
        lineage.record(Epoch(epoch), Lsn(lsn)).unwrap();
    }
    lineage
}

/// The same, without its first `forgotten` entries.
pub(crate) fn cut_lineage_of(log: &[u64], forgotten: usize) -> Lineage {
    let entries: Vec<LineageEntry> = lineage_of(log).entries().to_vec();
    Lineage::new(entries[forgotten.min(entries.len())..].to_vec()).unwrap()
}

/// The report of a healthy replica with this log: nothing beyond `extent` is in its extent.
pub(crate) fn facts(log: &[u64], extent: u64) -> ReplicaFacts {
    ReplicaFacts {
        store: StoreId(Uuid::from_u128(7)),
        base: BaseState {
            checkpoint: Lsn(extent.min(log.len() as u64)),
            extent_bound: Lsn(extent),
            durable: Lsn(log.len() as u64),
        },
        lineage: lineage_of(log),
    }
}

/// The history of a healthy primary with this log, which it retains whole. Its epoch is that of
/// its last entry.
pub(crate) fn history(log: &[u64], committed: u64) -> RetainedHistory {
    let last = *log
        .last()
        .expect("a primary has logged its epoch-start entry");
    let start = 1 + log.iter().position(|&epoch| epoch == last).unwrap();
    let head = Lsn(log.len() as u64);
    RetainedHistory {
        base: BaseState {
            checkpoint: Lsn(0),
            extent_bound: Lsn(0),
            durable: head,
        },
        head,
        committed: Lsn(committed),
        epoch_start: Some(Lsn(start as u64)),
        retained_from: Some(Lsn(0)),
        snapshot: None,
        lineage: lineage_of(log),
    }
}

/// The same, retained only from the checkpoint on, and with a snapshot.
pub(crate) fn reclaimed_history(
    log: &[u64],
    committed: u64,
    checkpoint: u64,
    snapshot: Option<(u64, bool)>,
) -> RetainedHistory {
    let mut history = history(log, committed);
    history.base.checkpoint = Lsn(checkpoint);
    history.base.extent_bound = Lsn(checkpoint);
    history.retained_from = Some(Lsn(checkpoint));
    history.snapshot = snapshot.map(|(base_lsn, trusted)| SnapshotBase {
        base_lsn: Lsn(base_lsn),
        trusted,
    });
    history
}

/// One replica of an assignment.
#[derive(Clone, Copy)]
pub(crate) struct Named(pub &'static str, pub u64, pub bool, pub Intent);

pub(crate) const RECOVER: Intent = Intent::Recover(RecoverKind::Bootstrap);

pub(crate) fn assignment(
    volume: VolumeId,
    epoch: u64,
    revision: u64,
    replicas: &[Named],
) -> Assignment {
    let replicas = replicas
        .iter()
        .map(|&Named(name, version, member, intent)| {
            let assigned = ReplicaAssignment {
                endpoint: endpoint(version),
                member,
                intent,
            };
            (id(name), assigned)
        });
    Assignment::new(volume, Epoch(epoch), Revision(revision), replicas).unwrap()
}

/// A registry, the effects of the last call, and the time.
pub(crate) struct Scene {
    pub(crate) registry: Registry,
    pub(crate) out: Effects,
    pub(crate) now: Tick,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self {
            registry: Registry::new(budgets()),
            out: Effects::new(),
            now: Tick(0),
        }
    }

    /// A volume in epoch 2 with one sender `r`, not a member, whose session is in `handshake`.
    pub(crate) fn shaking_hands(intent: Intent) -> (Self, FencingToken) {
        let mut scene = Self::new();
        scene
            .assign(VOLUME, 2, 1, &[Named("r", 1, false, intent)])
            .unwrap();
        let token = scene.token("r");
        scene.open(&token);
        (scene, token)
    }

    /// The same, in sync by a zero gap at 3, with the log `1 1 2`.
    pub(crate) fn in_sync() -> (Self, FencingToken) {
        let (mut scene, token) = Self::shaking_hands(RECOVER);
        let _ = scene.plan(&token, &[1, 1, 2], 0, &history(&[1, 1, 2], 3));
        scene.finish(&token, 3);
        assert_eq!(scene.state("r"), SenderState::InSync);
        (scene, token)
    }

    pub(crate) fn assign(
        &mut self,
        volume: VolumeId,
        epoch: u64,
        revision: u64,
        replicas: &[Named],
    ) -> Result<AssignOutcome, Refusal> {
        self.out.clear();
        let assignment = assignment(volume, epoch, revision, replicas);
        self.registry.assign(self.now, assignment, &mut self.out)
    }

    pub(crate) fn token_in(&self, volume: VolumeId, name: &str) -> FencingToken {
        self.registry.token(volume, &id(name)).unwrap()
    }

    pub(crate) fn token(&self, name: &str) -> FencingToken {
        self.token_in(VOLUME, name)
    }

    pub(crate) fn sender(&self, name: &str) -> &Sender {
        self.registry.sender(VOLUME, &id(name)).unwrap()
    }

    pub(crate) fn state(&self, name: &str) -> SenderState {
        self.sender(name).state()
    }

    pub(crate) fn authority(&self, name: &str) -> SenderAuthority {
        SenderAuthority {
            volume: VOLUME,
            replica: id(name),
            epoch: self.registry.volume(VOLUME).unwrap().epoch(),
            endpoint_version: self.sender(name).endpoint().version,
        }
    }

    /// From `init` to `handshake`.
    pub(crate) fn open(&mut self, token: &FencingToken) {
        self.registry
            .connect(token, self.now, &mut self.out)
            .unwrap();
        self.registry.hello(token, self.now, &mut self.out).unwrap();
    }

    pub(crate) fn handshake(
        &mut self,
        token: &FencingToken,
        facts: Option<&ReplicaFacts>,
        history: &RetainedHistory,
    ) -> Result<HandshakeOutcome, Refusal> {
        self.out.clear();
        self.registry
            .handshake(token, self.now, facts, history, &mut self.out)
    }

    /// A handshake that leads to a plan.
    pub(crate) fn plan(
        &mut self,
        token: &FencingToken,
        log: &[u64],
        extent: u64,
        history: &RetainedHistory,
    ) -> CatchUpPlan {
        match self.handshake(token, Some(&facts(log, extent)), history) {
            Ok(HandshakeOutcome::CatchUp(plan)) => plan,
            outcome @ (Ok(HandshakeOutcome::SelectSource | HandshakeOutcome::Escalated { .. })
            | Err(_)) => panic!("no plan: {outcome:?}"),
        }
    }

    pub(crate) fn select(
        &mut self,
        token: &FencingToken,
        history: &RetainedHistory,
    ) -> RebuildPlan {
        self.out.clear();
        self.registry
            .select_source(token, self.now, history, &mut self.out)
            .unwrap()
    }

    pub(crate) fn pin(&mut self, token: &FencingToken, slot: PinSlot, retained_from: u64) {
        self.out.clear();
        let from = Some(Lsn(retained_from));
        self.registry
            .pinned(token, self.now, slot, from, &mut self.out)
            .unwrap();
    }

    pub(crate) fn progress(&mut self, token: &FencingToken, durable: u64) -> Result<(), Refusal> {
        self.out.clear();
        self.registry
            .progress(token, self.now, Lsn(durable), &mut self.out)
    }

    pub(crate) fn complete(&mut self, token: &FencingToken) -> Result<Lsn, Refusal> {
        self.out.clear();
        self.registry.complete(token, &mut self.out)
    }

    pub(crate) fn fail(&mut self, token: &FencingToken) {
        self.out.clear();
        self.registry
            .fail(token, ReportedFault::StreamLost, &mut self.out)
            .unwrap();
    }

    /// The last barrier, and completion.
    pub(crate) fn finish(&mut self, token: &FencingToken, goal: u64) {
        self.progress(token, goal).unwrap();
        assert_eq!(self.complete(token), Ok(Lsn(goal)));
    }

    /// A session of the intent for `r`, in `source_select` with both pins held.
    pub(crate) fn rebuild_pinned(history: &RetainedHistory) -> (Self, FencingToken, RebuildPlan) {
        let (mut scene, token) = Self::shaking_hands(Intent::Rebuild);
        assert_eq!(
            scene.handshake(&token, None, history),
            Ok(HandshakeOutcome::SelectSource)
        );
        let plan = scene.select(&token, history);
        let from = plan.bound().decision.base_lsn.0;
        scene.pin(&token, PinSlot::Retention, from);
        scene.pin(&token, PinSlot::Base, from);
        (scene, token, plan)
    }
}

/// The token of the session that an intent attached.
pub(crate) fn attached(outcome: &AssignOutcome, name: &str) -> FencingToken {
    match outcome {
        AssignOutcome::Applied(intents) => match intents.get(&id(name)) {
            Some(IntentOutcome::Attached(token)) => token.clone(),
            other => panic!("nothing attached for {name}: {other:?}"),
        },
        AssignOutcome::Unchanged => panic!("unchanged"),
    }
}
