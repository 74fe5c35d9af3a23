//! What the engine itself costs: one catch-up from its attachment over plan, pin, truncation and
//! barrier to in sync, and its end. Target: at most 1 microsecond for plan, execute and complete.
//!
//! `cargo bench --profile release -p holdfast-engine` prints the median and the best of 21 rounds.

use std::hint::black_box;
use std::time::Instant;

use holdfast_engine::{
    Assignment, Budget, Budgets, CatchUpEvidence, CatchUpExecutor, Effects, HandshakeOutcome,
    Intent, Registry, ReplicaAssignment, ReportedFault, SenderAuthority, SessionKind, Tick,
};
use holdfast_types::{
    BaseState, Endpoint, EndpointVersion, Epoch, FencingToken, Lineage, LineageEntry, Lsn,
    ReplicaFacts, ReplicaId, RetainedHistory, Revision, StoreId, VolumeId,
};

const ROUNDS: usize = 21;
const CATCH_UPS_PER_ROUND: u32 = 20_000;

fn lineage(entries: &[(u64, u64)]) -> Lineage {
    let entries = entries.iter().map(|&(epoch, first)| LineageEntry {
        epoch: Epoch(epoch),
        first: Lsn(first),
    });
    Lineage::new(entries.collect()).expect("in order")
}

/// The primary's history and a replica whose tail diverges from it.
fn reports() -> (RetainedHistory, ReplicaFacts) {
    let base = |durable| BaseState {
        checkpoint: Lsn(100),
        extent_bound: Lsn(200),
        durable: Lsn(durable),
    };
    let history = RetainedHistory {
        base: base(2_000),
        head: Lsn(2_000),
        committed: Lsn(1_500),
        epoch_start: Some(Lsn(1_001)),
        retained_from: Some(Lsn(100)),
        snapshot: None,
        lineage: lineage(&[(1, 1), (3, 500), (5, 901), (7, 1_001)]),
    };
    let facts = ReplicaFacts {
        store: StoreId::random(),
        // As long as what it acknowledged in the rounds before: not a loss.
        base: base(1_600),
        lineage: lineage(&[(1, 1), (3, 500), (5, 901), (6, 990)]),
    };
    (history, facts)
}

fn registry(volume: VolumeId, replica: &ReplicaId) -> Registry {
    let budget = Budget::new(1_000, 100, 10_000, 1 << 30).expect("above zero");
    let mut registry = Registry::new(Budgets {
        catch_up: budget,
        rebuild: budget,
    });
    let assigned = ReplicaAssignment {
        endpoint: Endpoint {
            data: ([127, 0, 0, 1], 7_000).into(),
            control: ([127, 0, 0, 1], 8_000).into(),
            version: EndpointVersion(1),
        },
        member: true,
        intent: Intent::None,
    };
    let replicas = [(replica.clone(), assigned)];
    let assignment = Assignment::new(volume, Epoch(7), Revision(1), replicas).expect("valid");
    registry
        .assign(Tick(0), assignment, &mut Effects::new())
        .expect("the first assignment is accepted");
    registry
}

/// Attach, connect, hello.
fn open(registry: &mut Registry, authority: &SenderAuthority, out: &mut Effects) -> FencingToken {
    let token = registry
        .attach(Tick(1), authority, SessionKind::CatchUp, out)
        .expect("no session");
    registry.connect(&token, Tick(1), out).expect("init");
    registry.hello(&token, Tick(1), out).expect("connecting");
    token
}

/// Plan, execute, complete.
fn catch_up(
    registry: &mut Registry,
    token: &FencingToken,
    (history, facts): &(RetainedHistory, ReplicaFacts),
    out: &mut Effects,
) {
    let outcome = registry.handshake(token, Tick(2), Some(facts), history, out);
    let Ok(HandshakeOutcome::CatchUp(plan)) = outcome else {
        panic!("no catch-up: {outcome:?}");
    };
    let mut executor = CatchUpExecutor::begin(plan);
    for evidence in [
        CatchUpEvidence::Pinned {
            retained_from: Some(Lsn(100)),
        },
        CatchUpEvidence::Truncated { to: Lsn(989) },
        CatchUpEvidence::Durable { lsn: Lsn(1_500) },
    ] {
        black_box(executor.step(registry, Tick(3), evidence, out)).expect("in order");
    }
}

fn main() {
    let volume = VolumeId::random();
    let replica = ReplicaId::new("r1").expect("a label");
    let mut registry = registry(volume, &replica);
    let reports = reports();
    let authority = SenderAuthority {
        volume,
        replica,
        epoch: Epoch(7),
        endpoint_version: EndpointVersion(1),
    };
    let mut out = Effects::new();
    let (mut core, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut tokens_time = 0.0;
        let began = Instant::now();
        for _ in 0..CATCH_UPS_PER_ROUND {
            let token = open(&mut registry, &authority, &mut out);
            let planned = Instant::now();
            catch_up(&mut registry, &token, black_box(&reports), &mut out);
            tokens_time += planned.elapsed().as_secs_f64();
            registry
                .fail(&token, ReportedFault::StreamLost, &mut out)
                .expect("a session");
            // The next one begins where this one began.
            out.clear();
        }
        core.push(tokens_time * 1e9 / f64::from(CATCH_UPS_PER_ROUND));
        whole.push(began.elapsed().as_secs_f64() * 1e9 / f64::from(CATCH_UPS_PER_ROUND));
    }
    for (name, rounds) in [
        ("plan, execute, complete", &mut core),
        ("attach to end", &mut whole),
    ] {
        rounds.sort_by(f64::total_cmp);
        println!(
            "{name}: median {:.0} ns, best {:.0} ns",
            rounds[ROUNDS / 2],
            rounds[0]
        );
    }
}
