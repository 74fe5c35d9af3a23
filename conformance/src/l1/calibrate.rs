//! Whether the comparers can see.
//!
//! A run in which nothing differs proves nothing if the comparer cannot tell things apart. So every
//! run first holds values against each other that differ in a single field, for every field there
//! is, and values that do not differ at all. What a comparer does not notice is a blind spot, and a
//! level with a blind spot is not green.

use holdfast_engine::{
    AuthorityCause, Classification, EndCause, Fault, Gap, PhaseName, PinSlot, PinState, PinSubject,
    RebuildReason, RebuildSource, Refusal, ReplicaAssignment, SenderState, SessionKind,
    SourceReason, Tick, Truncation,
};
use holdfast_model::session::state::Named;
use holdfast_model::session::vocabulary::{Endpoint, Intent, Token};
use holdfast_types::{EndpointVersion, Epoch, Lsn, Revision, SessionId};

use super::answer::{Answer, SessionName, Told};
use super::rig::Lens;
use super::translate::{self, Names};
use super::view::{AssignmentView, PhaseView, PlanView, SenderView, SessionView, View, VolumeView};

/// A named change of one field.
type Change<T> = (&'static str, fn(&mut T));

/// The differences that a lens does not see, by name.
#[must_use]
pub fn blind_spots(lens: &Lens) -> Vec<String> {
    let mut blind = Vec::new();
    for view in &views() {
        look(view, VIEW_CHANGES, lens.same_view, &mut blind);
    }
    let told = told();
    let same_told = |a: &Told, b: &Told| {
        let granted = |told: &Told| Answer::Granted(Box::new(told.clone()));
        (lens.same_answer)(&granted(a), &granted(b))
    };
    look(&told, TOLD_CHANGES, same_told, &mut blind);
    let mut answers: Vec<Answer> = refusals().map(Answer::refusal).to_vec();
    answers.push(Answer::Refused {
        refusal: Refusal::NotServing,
        effects: 1,
    });
    answers.push(Answer::Granted(Box::new(told)));
    for (at, one) in answers.iter().enumerate() {
        for (place, other) in answers.iter().enumerate() {
            if (lens.same_answer)(one, other) != (at == place) {
                blind.push(format!("{one:?} beside {other:?}"));
            }
        }
    }
    blind.sort();
    blind.dedup();
    blind
}

/// Makes each change to `value` and asks whether the comparer sees it.
fn look<T: Clone + PartialEq>(
    value: &T,
    changes: &[Change<T>],
    same: impl Fn(&T, &T) -> bool,
    blind: &mut Vec<String>,
) {
    if !same(value, &value.clone()) {
        blind.push("equal values are called different".to_owned());
    }
    for (name, change) in changes {
        let mut changed = value.clone();
        change(&mut changed);
        if changed != *value && (same(value, &changed) || same(&changed, value)) {
            blind.push((*name).to_owned());
        }
    }
}

const FAR: Lsn = Lsn(77);

/// One view for every phase, all else filled in.
fn views() -> Vec<View> {
    let plan = PlanView {
        source: RebuildSource::SnapshotTail,
        source_reason: SourceReason::TrustedSnapshot,
        base_lsn: Lsn(1),
        target: Lsn(2),
        base: Some(PinState::Requested),
        retention: Some(PinState::Requested),
    };
    let phases = [
        PhaseView::Init,
        PhaseView::Connecting,
        PhaseView::Handshake,
        PhaseView::CatchUp {
            from: Lsn(1),
            target: Lsn(2),
            truncate: Truncation::Required(Lsn(1)),
            retention: Some(PinState::Requested),
            acked: Some(Lsn(1)),
        },
        PhaseView::SourceSelect(None),
        PhaseView::SourceSelect(Some(plan)),
        PhaseView::Transfer {
            plan,
            chunks_total: 2,
            chunks_done: 1,
        },
        PhaseView::TailReplay {
            plan,
            goal: Lsn(3),
            acked: Some(Lsn(1)),
        },
        PhaseView::Completed {
            achieved: Lsn(2),
            acked: Lsn(3),
        },
    ];
    phases.map(view_in).to_vec()
}

fn named(version: u8) -> ReplicaAssignment {
    let endpoint = Endpoint {
        version,
        address: version,
    };
    let named = Named {
        endpoint,
        member: true,
        intent: Intent::Nothing,
    };
    translate::named(named).expect("an intent of nothing can be said")
}

fn view_in(phase: PhaseView) -> View {
    let volume = VolumeView {
        epoch: Epoch(2),
        revision: Revision(1),
        serving: true,
        assignment: AssignmentView {
            epoch: Epoch(2),
            revision: Revision(1),
            named: [Some(named(1)), Some(named(1))],
            strangers: 0,
        },
        next_session: SessionId(2),
    };
    let sender = SenderView {
        endpoint: named(1).endpoint,
        member: true,
        state: SenderState::Rebuilding,
        reason: Some(RebuildReason::Ordered),
        acknowledged: Some(Lsn(1)),
        session: Some(SessionView {
            id: SessionId(1),
            kind: SessionKind::Rebuild,
            epoch: Epoch(2),
            endpoint_version: EndpointVersion(1),
            since: Tick(1),
            last_progress: Tick(2),
            phase,
        }),
    };
    View {
        volumes: [Some(volume.clone()), Some(volume)],
        senders: [Some(sender), Some(sender)],
        strangers: 0,
    }
}

/// The parts of a view that a change reaches for; the second of each, so that a comparer that
/// stops at the first is found out.
fn volume(view: &mut View) -> &mut VolumeView {
    view.volumes[1].as_mut().expect("the view is full")
}

fn sender(view: &mut View) -> &mut SenderView {
    view.senders[1].as_mut().expect("the view is full")
}

fn session(view: &mut View) -> &mut SessionView {
    sender(view).session.as_mut().expect("the view is full")
}

fn plan(view: &mut View, change: impl FnOnce(&mut PlanView)) {
    match &mut session(view).phase {
        PhaseView::SourceSelect(Some(plan))
        | PhaseView::Transfer { plan, .. }
        | PhaseView::TailReplay { plan, .. } => change(plan),
        PhaseView::Init
        | PhaseView::Connecting
        | PhaseView::Handshake
        | PhaseView::CatchUp { .. }
        | PhaseView::SourceSelect(None)
        | PhaseView::Completed { .. } => {}
    }
}

const VIEW_CHANGES: &[Change<View>] = &[
    ("a volume more", |v| v.strangers = 1),
    ("a volume less", |v| v.volumes[1] = None),
    ("a sender less", |v| v.senders[1] = None),
    ("volume.epoch", |v| volume(v).epoch = Epoch(9)),
    ("volume.revision", |v| volume(v).revision = Revision(9)),
    ("volume.serving", |v| volume(v).serving = false),
    ("volume.next_session", |v| {
        volume(v).next_session = SessionId(9)
    }),
    ("assignment.epoch", |v| {
        volume(v).assignment.epoch = Epoch(9)
    }),
    ("assignment.revision", |v| {
        volume(v).assignment.revision = Revision(9)
    }),
    ("assignment.replica less", |v| {
        volume(v).assignment.named[1] = None
    }),
    ("assignment.replica more", |v| {
        volume(v).assignment.strangers = 1
    }),
    ("assignment.replica else", |v| {
        volume(v).assignment.named[1] = Some(named(2))
    }),
    ("sender.endpoint", |v| {
        sender(v).endpoint = named(2).endpoint
    }),
    ("sender.member", |v| sender(v).member = false),
    ("sender.state", |v| sender(v).state = SenderState::InSync),
    ("sender.reason", |v| {
        sender(v).reason = Some(RebuildReason::NoVolume)
    }),
    ("sender.reason less", |v| sender(v).reason = None),
    ("sender.acknowledged", |v| {
        sender(v).acknowledged = Some(FAR)
    }),
    ("sender.acknowledged less", |v| {
        sender(v).acknowledged = None
    }),
    ("session less", |v| sender(v).session = None),
    ("session.id", |v| session(v).id = SessionId(9)),
    ("session.kind", |v| session(v).kind = SessionKind::CatchUp),
    ("session.epoch", |v| session(v).epoch = Epoch(9)),
    ("session.endpoint_version", |v| {
        session(v).endpoint_version = EndpointVersion(9)
    }),
    ("session.since", |v| session(v).since = Tick(9)),
    ("session.last_progress", |v| {
        session(v).last_progress = Tick(9)
    }),
    ("phase init", |v| session(v).phase = PhaseView::Init),
    ("phase connecting", |v| {
        session(v).phase = PhaseView::Connecting
    }),
    ("phase handshake", |v| {
        session(v).phase = PhaseView::Handshake
    }),
    ("phase source_select", |v| {
        session(v).phase = PhaseView::SourceSelect(None)
    }),
    ("plan.source", |v| {
        plan(v, |plan| plan.source = RebuildSource::FullBase)
    }),
    ("plan.source_reason", |v| {
        plan(v, |p| p.source_reason = SourceReason::NoSnapshot)
    }),
    ("plan.base_lsn", |v| plan(v, |plan| plan.base_lsn = FAR)),
    ("plan.target", |v| plan(v, |plan| plan.target = FAR)),
    ("plan.base", |v| {
        plan(v, |plan| plan.base = Some(PinState::Held))
    }),
    ("plan.retention", |v| plan(v, |plan| plan.retention = None)),
    ("catch_up.from", |v| {
        if let PhaseView::CatchUp { from, .. } = &mut session(v).phase {
            *from = FAR;
        }
    }),
    ("catch_up.target", |v| {
        if let PhaseView::CatchUp { target, .. } = &mut session(v).phase {
            *target = FAR;
        }
    }),
    ("catch_up.truncate", |v| {
        if let PhaseView::CatchUp { truncate, .. } = &mut session(v).phase {
            *truncate = Truncation::Confirmed(Lsn(1));
        }
    }),
    ("catch_up.truncate to", |v| {
        if let PhaseView::CatchUp { truncate, .. } = &mut session(v).phase {
            *truncate = Truncation::Required(FAR);
        }
    }),
    ("catch_up.retention", |v| {
        if let PhaseView::CatchUp { retention, .. } = &mut session(v).phase {
            *retention = Some(PinState::Held);
        }
    }),
    ("acked", |v| {
        if let PhaseView::CatchUp { acked, .. } | PhaseView::TailReplay { acked, .. } =
            &mut session(v).phase
        {
            *acked = None;
        }
    }),
    ("transfer.chunks_total", |v| {
        if let PhaseView::Transfer { chunks_total, .. } = &mut session(v).phase {
            *chunks_total = 9;
        }
    }),
    ("transfer.chunks_done", |v| {
        if let PhaseView::Transfer { chunks_done, .. } = &mut session(v).phase {
            *chunks_done = 9;
        }
    }),
    ("tail_replay.goal", |v| {
        if let PhaseView::TailReplay { goal, .. } = &mut session(v).phase {
            *goal = FAR;
        }
    }),
    ("completed.achieved", |v| {
        if let PhaseView::Completed { achieved, .. } = &mut session(v).phase {
            *achieved = FAR;
        }
    }),
    ("completed.acked", |v| {
        if let PhaseView::Completed { acked, .. } = &mut session(v).phase {
            *acked = FAR;
        }
    }),
];

/// An answer in which everything is filled in.
fn told() -> Told {
    let token = Token {
        volume: 1,
        replica: 1,
        session: 1,
        epoch: 2,
        endpoint_version: 1,
    };
    let token = Names::default().token(token);
    let name = SessionName::from(token.clone());
    let gap = Gap {
        from: Lsn(1),
        target: Lsn(2),
        truncate_to: None,
    };
    Told {
        acquire: vec![(
            token.clone(),
            PinSlot::Base,
            PinSubject::History { from: Lsn(1) },
        )],
        release: vec![(token.clone(), PinSlot::Base)],
        ended: vec![(name.clone(), EndCause::Fault(Fault::IoError))],
        began: vec![name],
        tokens: vec![token.clone()],
        rebuild_required: [vec![token.replica.clone()], vec![token.replica.clone()]],
        unchanged: false,
        within_budget: false,
        classified: [
            Some(Classification::CatchUp(gap)),
            Some(Classification::CatchUp(gap)),
        ],
        plan: Some((token, Lsn(1), Lsn(2))),
        position: Some(Lsn(2)),
    }
}

const TOLD_CHANGES: &[Change<Told>] = &[
    ("acquire less", |t| t.acquire.clear()),
    ("acquire twice", |t| t.acquire.extend_from_within(..)),
    ("acquire.token", |t| t.acquire[0].0.session = SessionId(9)),
    ("acquire.slot", |t| t.acquire[0].1 = PinSlot::Retention),
    ("acquire.subject", |t| {
        t.acquire[0].2 = PinSubject::History { from: FAR }
    }),
    ("release less", |t| t.release.clear()),
    ("release twice", |t| t.release.extend_from_within(..)),
    ("release.token", |t| t.release[0].0.epoch = Epoch(9)),
    ("release.slot", |t| t.release[0].1 = PinSlot::Retention),
    ("ended less", |t| t.ended.clear()),
    ("ended.session", |t| t.ended[0].0.session = SessionId(9)),
    ("ended.epoch", |t| t.ended[0].0.epoch = Epoch(9)),
    ("ended.cause", |t| {
        t.ended[0].1 = EndCause::Fault(Fault::Refused)
    }),
    ("ended.class", |t| {
        t.ended[0].1 = EndCause::Authority(AuthorityCause::Stopped)
    }),
    ("began less", |t| t.began.clear()),
    ("began.session", |t| t.began[0].session = SessionId(9)),
    ("tokens less", |t| t.tokens.clear()),
    ("tokens.endpoint_version", |t| {
        t.tokens[0].endpoint_version = EndpointVersion(9)
    }),
    ("rebuild_required event less", |t| {
        t.rebuild_required[0].clear()
    }),
    ("rebuild_required outcome less", |t| {
        t.rebuild_required[1].clear()
    }),
    ("unchanged", |t| t.unchanged = true),
    ("within_budget", |t| t.within_budget = true),
    ("classified event less", |t| t.classified[0] = None),
    ("classified outcome else", |t| {
        t.classified[1] = Some(Classification::NeedsRebuild(RebuildReason::NoVolume));
    }),
    ("plan less", |t| t.plan = None),
    ("plan.target", |t| {
        if let Some((_, _, target)) = &mut t.plan {
            *target = FAR;
        }
    }),
    ("position less", |t| t.position = None),
    ("position", |t| t.position = Some(FAR)),
];

/// Refusals that differ in their reason, or in a fact alone.
fn refusals() -> [Refusal; 16] {
    [
        Refusal::UnknownSender,
        Refusal::UnknownVolume,
        Refusal::NotServing,
        Refusal::StaleEpoch { current: Epoch(1) },
        Refusal::StaleEpoch { current: Epoch(2) },
        Refusal::StaleEndpoint {
            current: EndpointVersion(1),
        },
        Refusal::StaleEndpoint {
            current: EndpointVersion(2),
        },
        Refusal::StaleSession { current: None },
        Refusal::StaleSession {
            current: Some(SessionId(1)),
        },
        Refusal::StaleAssignment {
            current: (Epoch(1), Revision(1)),
        },
        Refusal::StaleAssignment {
            current: (Epoch(1), Revision(2)),
        },
        Refusal::WrongPhase {
            phase: PhaseName::Init,
        },
        Refusal::WrongPhase {
            phase: PhaseName::Completed,
        },
        Refusal::ProgressRegressed { at_least: 1 },
        Refusal::ProgressRegressed { at_least: 2 },
        Refusal::BeyondHead { head: Lsn(1) },
    ]
}

#[cfg(test)]
mod tests {
    use super::{TOLD_CHANGES, VIEW_CHANGES, blind_spots, told, views};
    use crate::l1::Lens;

    #[test]
    fn every_change_is_one() {
        for (name, change) in VIEW_CHANGES {
            let shows = views().into_iter().any(|view| {
                let mut changed = view.clone();
                change(&mut changed);
                changed != view
            });
            assert!(shows, "{name} changes no view");
        }
        for (name, change) in TOLD_CHANGES {
            let mut changed = told();
            change(&mut changed);
            assert_ne!(changed, told(), "{name} changes nothing");
        }
    }

    #[test]
    fn the_comparers_in_use_have_no_blind_spot() {
        assert_eq!(blind_spots(&Lens::default()), [""; 0]);
    }
}
