//! Any calls in any order: what holds after each of them.
//!
//! Repeat a run with `HOLDFAST_SEED=<seed> cargo test -p holdfast-engine any_sequence`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};

use holdfast_types::{EndpointVersion, Epoch, FencingToken, ReplicaId, SessionId, VolumeId};
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use super::random_calls::{any_call, fitting_call};
use super::scene::{Named, OTHER_VOLUME, VOLUME, assignment, budgets, id};
use crate::{
    Effect, Effects, Happening, Intent, Phase, PhaseName, PinId, PinSlot, PinState, RecoverKind,
    Refusal, Registry, Sender, SenderAuthority, SenderState, SessionKind, Tick, Truncation, Volume,
};

/// One step, as proptest makes and shrinks it: what to do, to whom, and three small numbers.
type Step = (u8, bool, bool, u8, u8, u8);

const KINDS: [SessionKind; 4] = [
    SessionKind::Bootstrap,
    SessionKind::CatchUp,
    SessionKind::Reassign,
    SessionKind::Rebuild,
];

/// The registry, and what a bystander would write down.
struct World {
    registry: Registry,
    now: Tick,
    issued: Vec<FencingToken>,
    requested: BTreeSet<PinId>,
    released: BTreeSet<PinId>,
    accepted: u64,
    refused: u64,
    /// How often a sender was seen in each phase.
    seen: BTreeMap<PhaseName, u64>,
}

impl World {
    fn new() -> Self {
        Self {
            registry: Registry::new(budgets()),
            now: Tick(0),
            issued: Vec::new(),
            requested: BTreeSet::new(),
            released: BTreeSet::new(),
            accepted: 0,
            refused: 0,
            seen: BTreeMap::new(),
        }
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        let before = self.registry.clone();
        let mut out = Effects::new();
        let (_, volume, replica, ..) = step;
        let volume = if volume { VOLUME } else { OTHER_VOLUME };
        let name = if replica { "a" } else { "b" };
        let (answer, touched) = self.act(step, volume, name, &mut out);
        match answer {
            Ok(()) => self.accepted += 1,
            Err(refusal) => {
                self.refused += 1;
                ensure(self.registry == before, || format!("{refusal} changed it"))?;
                ensure(out.is_empty(), || format!("{refusal} had effects"))?;
            }
        }
        self.write_down(&out, &before)?;
        self.holds(&before, touched)
    }

    fn act(
        &mut self,
        step: Step,
        volume: VolumeId,
        name: &'static str,
        out: &mut Effects,
    ) -> (Result<(), Refusal>, VolumeId) {
        let (what, _, _, a, b, c) = step;
        let known = self.registry.volume(volume);
        let (epoch, revision) = known.map_or((1, 0), |v| (v.epoch().0, v.revision().0));
        let answer = match what % 16 {
            0 | 1 => self.assign(volume, epoch, revision, (a, b, c), out),
            2 => match a % 4 {
                0 => self
                    .registry
                    .fence(volume, Epoch(epoch + u64::from(b % 3)), out),
                1 => self
                    .registry
                    .stop(volume, Epoch(epoch + u64::from(b % 2)), out),
                _ => {
                    self.now = Tick(self.now.0 + u64::from(b));
                    Ok(())
                }
            },
            3 => self.begin(volume, name, (a, b, c), out),
            4 => {
                let Some(token) = self.some_token(usize::from(a)) else {
                    return (Ok(()), volume);
                };
                let call = any_call(b, c, epoch);
                let touched = token.volume;
                let answer = call.make(&mut self.registry, &token, self.now, out);
                return (answer, touched);
            }
            5 | 6 => match self.registry.token(volume, &id(name)) {
                Some(token) => {
                    any_call(a, b, epoch).make(&mut self.registry, &token, self.now, out)
                }
                None => Ok(()),
            },
            _ => match self.registry.token(volume, &id(name)) {
                Some(token) => {
                    let phase = present_phase(&self.registry, &token);
                    let call = fitting_call(&phase, epoch, (a, b, c));
                    call.make(&mut self.registry, &token, self.now, out)
                }
                None => self.begin(volume, name, (a, 0, c), out),
            },
        };
        (answer, volume)
    }

    fn assign(
        &mut self,
        volume: VolumeId,
        epoch: u64,
        revision: u64,
        (a, b, c): (u8, u8, u8),
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        let (epoch, revision) = match a % 8 {
            0 => (epoch + 1, 1),
            1 => (epoch.max(2) - 1, revision + 1),
            2 => (epoch, revision.max(1)),
            _ => (epoch, revision + 1),
        };
        let mut named = Vec::new();
        for (name, bits) in [("a", b), ("b", c)] {
            let sender = self.registry.sender(volume, &id(name));
            let version = sender.map_or(1, |sender| sender.endpoint().version.0);
            let intent = match bits % 4 {
                0 => Intent::None,
                1 => Intent::Rebuild,
                _ => Intent::Recover(RecoverKind::Reassign),
            };
            let moved = version + u64::from(bits & 0x70 == 0x70);
            if bits & 0x0c != 0x0c {
                named.push(Named(name, moved.min(500), bits & 0x80 != 0, intent));
            }
        }
        let assignment = assignment(volume, epoch, revision, &named);
        self.registry.assign(self.now, assignment, out).map(drop)
    }

    fn begin(
        &mut self,
        volume: VolumeId,
        name: &str,
        (a, b, c): (u8, u8, u8),
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        let Some(sender) = self.registry.sender(volume, &id(name)) else {
            return Ok(());
        };
        let epoch = self.registry.volume(volume).map_or(0, |v| v.epoch().0);
        let authority = SenderAuthority {
            volume,
            replica: id(name),
            epoch: Epoch(epoch + u64::from(b == 1)),
            endpoint_version: EndpointVersion(sender.endpoint().version.0 + u64::from(b == 2)),
        };
        let kind = KINDS[usize::from(a % 4)];
        if c % 4 == 0 {
            self.registry
                .supersede(self.now, &authority, kind, out)
                .map(drop)
        } else {
            self.registry
                .attach(self.now, &authority, kind, out)
                .map(drop)
        }
    }

    /// A token that was issued once, sometimes with one part changed.
    fn some_token(&self, choice: usize) -> Option<FencingToken> {
        let token = self.issued.get(choice % self.issued.len().max(1))?.clone();
        Some(match choice % 7 {
            0 => FencingToken {
                session: SessionId(token.session.0 + 1),
                ..token
            },
            1 => FencingToken {
                epoch: Epoch(token.epoch.0 + 1),
                ..token
            },
            _ => token,
        })
    }

    /// Pins are asked for once and released once, after they were asked for (F71); session ids are
    /// new; no member is rebuilt (F57).
    fn write_down(&mut self, out: &Effects, before: &Registry) -> Result<(), TestCaseError> {
        for effect in out.iter() {
            match effect {
                Effect::AcquirePin(request) => {
                    let new = self.requested.insert(request.id.clone());
                    ensure(new, || format!("{:?} asked for again", request.id))?;
                }
                Effect::ReleasePin(pin) => {
                    ensure(self.requested.contains(pin), || format!("{pin:?} unasked"))?;
                    let new = self.released.insert(pin.clone());
                    ensure(new, || format!("{pin:?} released again"))?;
                }
                Effect::Event(event) => {
                    if let Happening::SessionAttached { kind, .. } = event.what {
                        let next = before
                            .volume(event.volume)
                            .map_or(1, |v| v.next_session().0);
                        let session = event.session.unwrap();
                        ensure(session.0 >= next, || format!("{session} is not new"))?;
                        let replica = event.replica.clone().unwrap();
                        let sender = self.registry.sender(event.volume, &replica).unwrap();
                        let member_rebuilt = kind == SessionKind::Rebuild && sender.is_member();
                        ensure(!member_rebuilt, || "a member is rebuilt (F57)".to_owned())?;
                        self.issued
                            .extend(self.registry.token(event.volume, &replica));
                    }
                }
            }
        }
        Ok(())
    }

    fn holds(&mut self, before: &Registry, touched: VolumeId) -> Result<(), TestCaseError> {
        let mut with_engine = BTreeSet::new();
        for (id, volume) in self.registry.volumes() {
            if *id != touched {
                ensure(before.volume(*id) == Some(volume), || "F68".to_owned())?;
            }
            if let Some(earlier) = before.volume(*id) {
                monotone(earlier, volume)?;
            }
            for (replica, sender) in volume.senders() {
                coherent(volume, sender)?;
                let earlier = before.sender(*id, replica);
                leaves_a_needed_rebuild_only_by_one(earlier, sender)?;
                with_engine.extend(pins_of(*id, replica, sender));
                if let Some(session) = sender.session() {
                    *self.seen.entry(session.phase().name()).or_default() += 1;
                }
            }
        }
        let outstanding: BTreeSet<PinId> =
            self.requested.difference(&self.released).cloned().collect();
        ensure(outstanding == with_engine, || {
            format!("pins at the source {outstanding:?}, of present sessions {with_engine:?}")
        })
    }
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), TestCaseError> {
    if holds {
        Ok(())
    } else {
        Err(TestCaseError::fail(what()))
    }
}

fn present_phase(registry: &Registry, token: &FencingToken) -> Phase {
    let sender = registry.sender(token.volume, &token.replica).unwrap();
    *sender.session().unwrap().phase()
}

/// Epochs, revisions within them, session ids and endpoint versions never go back.
fn monotone(earlier: &Volume, volume: &Volume) -> Result<(), TestCaseError> {
    let authority = |volume: &Volume| (volume.epoch(), volume.revision());
    ensure(authority(earlier) <= authority(volume), || "F81".to_owned())?;
    ensure(earlier.next_session() <= volume.next_session(), || {
        "session ids went back".to_owned()
    })?;
    for (replica, sender) in volume.senders() {
        if let Some(before) = earlier.sender(replica) {
            let kept = before.endpoint().version <= sender.endpoint().version;
            ensure(kept, || "T8".to_owned())?;
        }
    }
    Ok(())
}

/// What the state of a sender says of its session, and the other way round.
fn coherent(volume: &Volume, sender: &Sender) -> Result<(), TestCaseError> {
    let state = sender.state();
    let expected_reason = matches!(state, SenderState::NeedsRebuild | SenderState::Rebuilding);
    ensure(sender.reason().is_some() == expected_reason, || {
        format!("{state} with reason {:?}", sender.reason())
    })?;
    let Some(session) = sender.session() else {
        let resting = matches!(
            state,
            SenderState::Disconnected | SenderState::Degraded | SenderState::NeedsRebuild
        );
        return ensure(resting, || format!("{state} without a session (F60)"));
    };
    let current = session.epoch() == volume.epoch()
        && session.endpoint_version() == sender.endpoint().version
        && session.id() < volume.next_session()
        && volume.is_serving();
    ensure(current, || "a session outlived its authority".to_owned())?;
    let expected = match (session.phase().name(), session.kind()) {
        (PhaseName::Completed, _) => SenderState::InSync,
        (_, SessionKind::Rebuild) => SenderState::Rebuilding,
        (PhaseName::CatchUp, _) => SenderState::CatchingUp,
        (_, _) => SenderState::Connecting,
    };
    ensure(state == expected, || format!("{state}, not {expected}"))?;
    positions(sender, session.phase())
}

/// The inequalities that are drawn at the phases.
fn positions(sender: &Sender, phase: &Phase) -> Result<(), TestCaseError> {
    let holds = match phase {
        Phase::Opening { .. } | Phase::SourceSelect(_) => true,
        Phase::CatchUp(catch_up) => {
            let least = catch_up.from.min(catch_up.target);
            let cut_first = !matches!(catch_up.truncate, Truncation::Required(_));
            let pinned_first = catch_up.retention != Some(PinState::Requested);
            catch_up.acked.is_none_or(|acked| {
                least <= acked && acked <= catch_up.target && cut_first && pinned_first
            })
        }
        Phase::Transfer(transfer) => {
            transfer.chunks_done <= transfer.chunks_total && sender.acknowledged().is_none()
        }
        Phase::TailReplay(tail) => {
            tail.goal >= tail.decision.target
                && tail
                    .acked
                    .is_none_or(|acked| tail.decision.base_lsn <= acked && acked <= tail.goal)
                && sender.acknowledged() == tail.acked
        }
        Phase::Completed(completed) => {
            completed.achieved <= completed.acked
                && sender
                    .acknowledged()
                    .is_some_and(|known| known >= completed.acked)
        }
    };
    ensure(holds, || format!("{phase:?} of {sender:?}"))
}

/// T4.
fn leaves_a_needed_rebuild_only_by_one(
    earlier: Option<&Sender>,
    sender: &Sender,
) -> Result<(), TestCaseError> {
    let Some(earlier) = earlier else {
        return Ok(());
    };
    let stays = match (earlier.state(), sender.state()) {
        (SenderState::NeedsRebuild, now) => {
            matches!(now, SenderState::NeedsRebuild | SenderState::Rebuilding)
                && earlier.reason() == sender.reason()
        }
        (SenderState::Rebuilding, SenderState::InSync) => true,
        (SenderState::Rebuilding, now) => {
            matches!(now, SenderState::NeedsRebuild | SenderState::Rebuilding)
                && earlier.reason() == sender.reason()
        }
        (_, _) => true,
    };
    ensure(stays, || {
        format!("from {} to {}", earlier.state(), sender.state())
    })
}

/// The pins that are with the engine.
fn pins_of(volume: VolumeId, replica: &ReplicaId, sender: &Sender) -> Vec<PinId> {
    let Some(session) = sender.session() else {
        return Vec::new();
    };
    PinSlot::ALL
        .iter()
        .filter(|slot| session.pin(**slot).is_some())
        .map(|&slot| PinId {
            token: sender.token(volume, replica).unwrap(),
            slot,
        })
        .collect()
}

#[test]
fn any_sequence_of_calls_keeps_every_invariant() {
    let seed: u64 = match std::env::var("HOLDFAST_SEED") {
        Ok(seed) => seed.parse().expect("HOLDFAST_SEED is a number"),
        Err(_) => RandomState::new().build_hasher().finish(),
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: 1_500,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let totals = RefCell::new((0, 0, BTreeMap::new()));
    let outcome = runner.run(&vec(any::<Step>(), 1..200), |steps| {
        let mut world = World::new();
        for step in steps {
            world.take(step)?;
        }
        let (accepted, refused, seen) = &mut *totals.borrow_mut();
        *accepted += world.accepted;
        *refused += world.refused;
        for (phase, count) in world.seen {
            *seen.entry(phase).or_insert(0) += count;
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("HOLDFAST_SEED={seed}: {failure}");
    }
    let (accepted, refused, seen) = totals.into_inner();
    println!("HOLDFAST_SEED={seed}: {accepted} accepted, {refused} refused, {seen:?}");
    assert!(
        accepted > 10_000 && refused > 5_000 && seen.len() == 8,
        "HOLDFAST_SEED={seed}: {accepted} accepted, {refused} refused, {seen:?}"
    );
    assert!(
        seen.values().all(|&count| count > 500),
        "HOLDFAST_SEED={seed}: {seen:?}"
    );
}
