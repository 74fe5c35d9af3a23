//! Level 1 on every build: the whole product of the quick instances, and the proof that a defect in
//! what looks at it would be seen.

use std::io::BufRead;
use std::sync::atomic::AtomicBool;

use holdfast_conformance::l1::answer::{Answer, Told};
use holdfast_conformance::l1::trace::{self, Replay};
use holdfast_conformance::l1::view::{self, PhaseView, View};
use holdfast_conformance::l1::{self, EngineRig, Lens};
use holdfast_conformance::product::{Patience, walk};
use holdfast_engine::{Registry, SenderState, Truncation};
use holdfast_model::checking::{Bounds, Header, Spec as _, Trace, TraceError, TraceStep, explore};
use holdfast_model::session::Session as Spec;
use holdfast_types::{Lsn, SessionId};

const PATIENT: Patience = Patience {
    kept: 3,
    fail_fast: false,
};

#[test]
fn the_engine_is_the_session_specification() {
    let (row, walks) = l1::report(&l1::every_build(), PATIENT, Lens::default());
    let first = walks.iter().find_map(|each| each.walk.kept.first());
    assert!(row.is_green(), "{row:?}\n{first:#?}");
    assert!(
        row.edges_total >= 4_000_000,
        "only {} edges",
        row.edges_total
    );
    assert!(
        row.disabled_total > row.edges_total,
        "hardly anything was refused: {row:?}"
    );
}

#[test]
fn the_product_has_every_state_and_edge_that_the_specification_has() {
    let spec = l1::narrowed("forged").unwrap();
    let graph = explore(&spec, &[], Bounds::default()).unwrap();
    let walk = walk(
        &EngineRig::new(spec, Lens::default()),
        PATIENT,
        &AtomicBool::new(false),
    );
    assert_eq!(walk.states, graph.len() as u64);
    assert_eq!(walk.edges_total, graph.transitions());
    assert_eq!(walk.disabled_total, graph.refused.iter().sum::<u64>());
}

/// Looks through a corrupted lens at an instance on which everything agrees otherwise.
fn assert_red(name: &str, lens: Lens) {
    let patience = Patience {
        kept: 1,
        fail_fast: true,
    };
    let (row, _) = l1::report(&[l1::narrowed("budget").unwrap()], patience, lens);
    assert!(!row.is_green(), "{name} was not seen: {row:?}");
}

/// The engine's view after one change.
macro_rules! corrupted {
    (|$view:ident| $change:expr) => {
        Lens {
            view: |spec: &Spec, registry: &Registry| {
                let mut $view = view::of_engine(spec, registry);
                $change;
                $view
            },
            ..Lens::default()
        }
    };
}

fn senders(view: &mut View) -> impl Iterator<Item = &mut view::SenderView> {
    view.senders.iter_mut().flatten()
}

fn phases(view: &mut View) -> impl Iterator<Item = &mut PhaseView> {
    senders(view).filter_map(|sender| Some(&mut sender.session.as_mut()?.phase))
}

#[test]
fn a_corrupted_abstraction_turns_the_result_red() {
    let lenses = [
        (
            "nothing",
            Lens {
                view: |_, _| View::default(),
                ..Lens::default()
            },
        ),
        (
            "no acknowledged",
            corrupted!(|v| senders(&mut v).for_each(|s| s.acknowledged = None)),
        ),
        (
            "no reason",
            corrupted!(|v| senders(&mut v).for_each(|s| s.reason = None)),
        ),
        (
            "no session",
            corrupted!(|v| senders(&mut v).for_each(|s| s.session = None)),
        ),
        (
            "in_sync for degraded",
            corrupted!(|v| senders(&mut v)
                .filter(|s| s.state == SenderState::Degraded)
                .for_each(|s| s.state = SenderState::InSync)),
        ),
        (
            "a target one too low",
            corrupted!(|v| phases(&mut v).for_each(|phase| {
                if let PhaseView::CatchUp { target, .. } = phase {
                    *target = Lsn(target.0.saturating_sub(1));
                }
            })),
        ),
        (
            "truncation never seen",
            corrupted!(|v| phases(&mut v).for_each(|phase| {
                if let PhaseView::CatchUp { truncate, .. } = phase {
                    *truncate = Truncation::None;
                }
            })),
        ),
        (
            "session ids of the past",
            corrupted!(|v| v.volumes.iter_mut().flatten().for_each(|volume| {
                volume.next_session = SessionId(volume.next_session.0 - 1);
            })),
        ),
        (
            "since for last_progress",
            corrupted!(|v| senders(&mut v).for_each(|sender| {
                if let Some(session) = &mut sender.session {
                    session.last_progress = session.since;
                }
            })),
        ),
    ];
    for (name, lens) in lenses {
        assert_red(name, lens);
    }
}

/// Compares answers after one change to both.
macro_rules! careless {
    (|$told:ident| $change:expr) => {
        Lens {
            same_answer: |a, b| {
                let without = |answer: &Answer| match answer {
                    Answer::Granted(told) => {
                        let mut $told: Told = (**told).clone();
                        $change;
                        Answer::Granted(Box::new($told))
                    }
                    Answer::Refused { .. } => answer.clone(),
                };
                without(a) == without(b)
            },
            ..Lens::default()
        }
    };
}

#[test]
fn a_corrupted_comparer_turns_the_result_red() {
    let by_name = |a: &Answer, b: &Answer| match (a, b) {
        (Answer::Refused { refusal: a, .. }, Answer::Refused { refusal: b, .. }) => {
            a.name() == b.name()
        }
        (_, _) => a == b,
    };
    let lenses = [
        (
            "all states are the same",
            Lens {
                same_view: |_, _| true,
                ..Lens::default()
            },
        ),
        (
            "no state is the same",
            Lens {
                same_view: |_, _| false,
                ..Lens::default()
            },
        ),
        (
            "the first sender alone",
            Lens {
                same_view: |a, b| a.senders[0] == b.senders[0],
                ..Lens::default()
            },
        ),
        (
            "all answers are the same",
            Lens {
                same_answer: |_, _| true,
                ..Lens::default()
            },
        ),
        (
            "refusals by name",
            Lens {
                same_answer: by_name,
                ..Lens::default()
            },
        ),
        ("pins not looked at", careless!(|told| told.release.clear())),
        ("causes not looked at", careless!(|told| told.ended.clear())),
    ];
    for (name, lens) in lenses {
        assert_red(name, lens);
    }
}

/// A run of the specification with many kinds of calls in it, refused ones too.
fn recorded() -> Trace<Spec> {
    let spec = Spec::at("forged").unwrap();
    let (name, mut at) = spec.initial()[0];
    let header = Header {
        holdfast_trace: Header::VERSION,
        spec: Spec::NAME.to_owned(),
        instance: "forged".to_owned(),
        rules: "holdfast".to_owned(),
        initial: name.to_owned(),
        falls: None,
        command: None,
    };
    let mut steps = Vec::new();
    let mut calls = Vec::new();
    let mut turn: u64 = 2026;
    for _ in 0..400 {
        calls.clear();
        spec.calls(&at, &mut calls);
        turn = turn
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let action = calls[(turn >> 33) as usize % calls.len()];
        let refused = match spec.step(&at, action) {
            Ok((after, _)) => {
                at = after;
                None
            }
            Err(refusal) => Some(refusal.reason().to_owned()),
        };
        steps.push(TraceStep { action, refused });
    }
    Trace { header, steps }
}

fn check(text: &str, reader: trace::Reader) -> Result<Replay, TraceError> {
    trace::check(&mut text.as_bytes(), reader, Lens::default())
}

#[test]
fn a_recorded_run_is_followed_to_its_end() {
    let run = recorded();
    let refused = run
        .steps
        .iter()
        .filter(|step| step.refused.is_some())
        .count();
    assert!(
        (1..run.steps.len()).contains(&refused),
        "one kind of answer only: {refused}"
    );
    let replay = check(&run.to_lines(), trace::read).unwrap();
    assert_eq!(replay.finding(), None);
    assert_eq!(replay.followed.steps, run.steps.len());
}

/// Reads well, then changes what was read.
fn garbled(
    input: &mut dyn BufRead,
    change: impl FnOnce(&mut Trace<Spec>),
) -> Result<Trace<Spec>, TraceError> {
    let mut trace = trace::read(input)?;
    change(&mut trace);
    Ok(trace)
}

fn drop_one(input: &mut dyn BufRead, at: usize) -> Result<Trace<Spec>, TraceError> {
    garbled(input, |trace| drop(trace.steps.remove(at)))
}

#[test]
fn a_corrupted_trace_reader_turns_the_result_red() {
    let readers: [(&str, trace::Reader); 7] = [
        ("refusals are lost", |input| {
            garbled(input, |t| {
                t.steps.iter_mut().for_each(|step| step.refused = None)
            })
        }),
        ("refused calls are skipped", |input| {
            garbled(input, |trace| {
                trace.steps.retain(|step| step.refused.is_none())
            })
        }),
        ("the first call is lost", |input| drop_one(input, 0)),
        ("the last call is lost", |input| {
            garbled(input, |trace| drop(trace.steps.pop()))
        }),
        ("a call is read twice", |input| {
            garbled(input, |trace| trace.steps.push(trace.steps[7].clone()))
        }),
        ("the run is turned round", |input| {
            garbled(input, |trace| trace.steps.reverse())
        }),
        ("nothing is read but the header", |input| {
            garbled(input, |trace| trace.steps.clear())
        }),
    ];
    let text = recorded().to_lines();
    for (name, reader) in readers {
        let replay = check(&text, reader).unwrap();
        assert!(replay.finding().is_some(), "{name}: not seen");
    }
}

#[test]
fn the_trace_of_a_disagreement_leads_back_to_it() {
    let lens = corrupted!(|v| senders(&mut v).for_each(|sender| sender.acknowledged = None));
    let (_, walks) = l1::report(&[l1::narrowed("budget").unwrap()], PATIENT, lens);
    let disagreement = &walks[0].walk.kept[0];
    let text = disagreement.trace.to_lines();
    let replay = trace::check(&mut text.as_bytes(), trace::read, lens).unwrap();
    assert_eq!(replay.followed.steps + 1, disagreement.trace.steps.len());
    let again = replay.followed.disagreement.expect("the same disagreement");
    assert_eq!(again.difference, disagreement.difference);
    let mended = trace::check(&mut text.as_bytes(), trace::read, Lens::default()).unwrap();
    assert_eq!(mended.finding(), None);
}

#[test]
fn a_trace_without_a_call_proves_nothing() {
    let mut run = recorded();
    run.steps.clear();
    assert!(
        check(&run.to_lines(), trace::read)
            .unwrap()
            .finding()
            .is_some()
    );
}
