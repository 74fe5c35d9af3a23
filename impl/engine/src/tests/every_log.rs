//! Every small history, recovered by an honest driver, and judged entry by entry.
//!
//! The replica is a concrete log; what the engine orders is done to it, and nothing else. Whatever
//! the two logs are, the replica ends in sync (A4), holding what the primary holds (T2, T9, C1).

use holdfast_types::{BaseState, FencingToken, Lsn, ReplicaFacts, RetainedHistory, StoreId};

use super::scene::{Scene, lineage_of, reclaimed_history};
use crate::{
    CatchUpCommand, CatchUpEvidence, CatchUpExecutor, HandshakeOutcome, PinSlot, RebuildCommand,
    RebuildEvidence, RebuildExecutor, SenderState, SessionKind, Tick,
};

/// The replica's disk: its log, entry by entry, and what its extent may hold.
#[derive(Clone, Debug)]
struct Store {
    log: Vec<u64>,
    extent_bound: u64,
}

impl Store {
    fn report(&self) -> ReplicaFacts {
        let durable = self.log.len() as u64;
        ReplicaFacts {
            store: StoreId(uuid::Uuid::from_u128(7)),
            base: BaseState {
                checkpoint: Lsn(0),
                extent_bound: Lsn(self.extent_bound),
                durable: Lsn(durable),
            },
            lineage: lineage_of(&self.log),
        }
    }

    /// Takes entries of the primary after the end of its own log; what it had stays as it is.
    fn replay(&mut self, primary: &[u64], up_to: Lsn) {
        let up_to = usize::try_from(up_to.0).unwrap();
        if let Some(missing) = primary.get(self.log.len()..up_to) {
            self.log.extend_from_slice(missing);
        }
    }
}

fn catch_up(
    scene: &mut Scene,
    mut executor: CatchUpExecutor,
    store: &mut Store,
    primary: &[u64],
    history: &RetainedHistory,
) {
    for _ in 0..8 {
        let evidence = match executor.command(&scene.registry).unwrap() {
            CatchUpCommand::AwaitPin => CatchUpEvidence::Pinned {
                retained_from: history.retained_from,
            },
            CatchUpCommand::Truncate { to } => {
                assert!(
                    store.extent_bound <= to.0,
                    "what is in the extent is never cut"
                );
                store.log.truncate(usize::try_from(to.0).unwrap());
                CatchUpEvidence::Truncated { to }
            }
            CatchUpCommand::Replay { after, barrier_at } => {
                assert!(history.retained_from.unwrap() <= after || after >= barrier_at);
                assert_eq!(
                    after.0,
                    store.log.len() as u64,
                    "replay begins where the log ends"
                );
                store.replay(primary, barrier_at);
                CatchUpEvidence::Durable {
                    lsn: Lsn(store.log.len() as u64),
                }
            }
            CatchUpCommand::KeepUp { .. } => return,
            CatchUpCommand::Ended { cause } => panic!("ended: {cause}"),
        };
        let (now, out) = (scene.now, &mut scene.out);
        executor
            .step(&mut scene.registry, now, evidence, out)
            .unwrap();
    }
    panic!("the catch-up does not end");
}

fn rebuild(
    scene: &mut Scene,
    mut executor: RebuildExecutor,
    store: &mut Store,
    primary: &[u64],
    history: &RetainedHistory,
) {
    let decision = executor.bound().decision;
    let mut pins = [PinSlot::Retention, PinSlot::Base].into_iter();
    for _ in 0..12 {
        let evidence = match executor.command(&scene.registry).unwrap() {
            RebuildCommand::AwaitPins => RebuildEvidence::Pinned {
                slot: pins.next().unwrap(),
                retained_from: history.retained_from,
            },
            RebuildCommand::PrepareReplica => {
                store.extent_bound = u64::MAX;
                RebuildEvidence::ReplicaReady { chunks_total: 2 }
            }
            RebuildCommand::SendChunks { chunks_done, .. } => RebuildEvidence::ChunksInstalled {
                chunks_done: chunks_done + 1,
            },
            RebuildCommand::InstallBase { base_lsn } => {
                let base = usize::try_from(base_lsn.0).unwrap();
                store.log = primary[..base].to_vec();
                store.extent_bound = base_lsn.0.max(history.base.extent_bound.0);
                RebuildEvidence::BaseInstalled {
                    base_lsn,
                    extent_bound: Lsn(store.extent_bound),
                }
            }
            RebuildCommand::Replay { after, barrier_at } => {
                assert!(history.retained_from.unwrap() <= after);
                assert!(barrier_at >= decision.target);
                store.replay(primary, barrier_at);
                RebuildEvidence::Durable {
                    lsn: Lsn(store.log.len() as u64),
                }
            }
            RebuildCommand::KeepUp { achieved } => {
                assert!(
                    achieved.0 >= store.extent_bound,
                    "the image is repaired (T17)"
                );
                return;
            }
            RebuildCommand::Ended { cause } => panic!("ended: {cause}"),
        };
        let (now, out) = (scene.now, &mut scene.out);
        executor
            .step(&mut scene.registry, now, evidence, out)
            .unwrap();
    }
    panic!("the rebuild does not end");
}

/// Recovers the replica, by a rebuild if it must; whether it had to.
fn recover(store: &mut Store, primary: &[u64], history: &RetainedHistory) -> (Scene, bool) {
    let (mut scene, token) = opened(primary);
    scene.out.clear();
    let outcome = scene.handshake(&token, Some(&store.report()), history);
    match outcome.unwrap() {
        HandshakeOutcome::CatchUp(plan) => {
            let executor = CatchUpExecutor::begin(plan);
            catch_up(&mut scene, executor, store, primary, history);
            return (scene, false);
        }
        HandshakeOutcome::Escalated { .. } => {}
        HandshakeOutcome::SelectSource => panic!("not a rebuild"),
    }
    assert_eq!(scene.state("r"), SenderState::NeedsRebuild);
    let authority = scene.authority("r");
    let (now, out) = (scene.now, &mut scene.out);
    let token = scene
        .registry
        .attach(now, &authority, SessionKind::Rebuild, out)
        .unwrap();
    scene.open(&token);
    let outcome = scene.handshake(&token, Some(&store.report()), history);
    assert_eq!(outcome, Ok(HandshakeOutcome::SelectSource));
    let executor = RebuildExecutor::begin(scene.select(&token, history));
    rebuild(&mut scene, executor, store, primary, history);
    (scene, true)
}

/// A session in `handshake`, in the epoch of the primary's last entry.
fn opened(primary: &[u64]) -> (Scene, FencingToken) {
    let mut scene = Scene::new();
    scene.now = Tick(5);
    let epoch = *primary.last().unwrap();
    let replicas = [super::scene::Named("r", 1, false, super::scene::RECOVER)];
    scene
        .assign(super::scene::VOLUME, epoch, 1, &replicas)
        .unwrap();
    let token = scene.token("r");
    scene.open(&token);
    (scene, token)
}

/// Every log of 1 to `longest` entries of epochs 1 to 3, never going back.
fn logs(longest: usize) -> Vec<Vec<u64>> {
    let mut all: Vec<Vec<u64>> = vec![vec![]];
    for length in 0..longest {
        let grown: Vec<Vec<u64>> = all
            .iter()
            .filter(|log| log.len() == length)
            .flat_map(|log| {
                (log.last().copied().unwrap_or(1)..=3).map(|epoch| [&log[..], &[epoch]].concat())
            })
            .collect();
        all.extend(grown);
    }
    all
}

#[test]
fn a4_t2_t9_every_replica_ends_in_sync_and_holds_what_the_primary_holds() {
    let (mut caught_up, mut rebuilt) = (0, 0);
    for primary in logs(4).into_iter().filter(|log| !log.is_empty()) {
        let epoch = *primary.last().unwrap();
        for log in logs(4) {
            let newer = log.last().is_some_and(|&last| last > epoch);
            let common = primary.iter().zip(&log).take_while(|(a, b)| a == b).count();
            let impossible = primary.iter().zip(&log).skip(common).any(|(a, b)| a == b);
            // The writer of the present epoch is this primary: nobody else has logged in it.
            let foreign = log[common..].contains(&epoch);
            if newer || impossible || foreign {
                continue;
            }
            for committed in 0..=primary.len() as u64 {
                for checkpoint in 0..=committed {
                    for snapshot in [None, Some((committed, true)), Some((checkpoint, false))] {
                        for extent_bound in [0, log.len() as u64, u64::MAX] {
                            let history =
                                reclaimed_history(&primary, committed, checkpoint, snapshot);
                            let mut store = Store {
                                log: log.clone(),
                                extent_bound,
                            };
                            let (scene, by_rebuild) = recover(&mut store, &primary, &history);
                            judge(&scene, &store, &primary, &history);
                            if by_rebuild {
                                rebuilt += 1;
                            } else {
                                caught_up += 1;
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(
        caught_up > 1_000 && rebuilt > 1_000,
        "{caught_up}, {rebuilt}"
    );
}

/// In sync is true: the log is the primary's up to what was proven, and holds nothing else.
fn judge(scene: &Scene, store: &Store, primary: &[u64], history: &RetainedHistory) {
    let sender = scene.sender("r");
    assert_eq!(sender.state(), SenderState::InSync);
    assert!(
        primary.starts_with(&store.log),
        "{:?} in sync with {primary:?}",
        store.log
    );
    let durable = store.log.len() as u64;
    assert!(durable >= history.committed.0 && durable >= history.epoch_start.unwrap().0);
    assert!(durable >= store.extent_bound, "its base is trusted");
    assert!(sender.acknowledged().unwrap().0 <= durable, "F35");
}
