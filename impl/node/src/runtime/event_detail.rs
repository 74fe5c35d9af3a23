//! The facts of an event as data: what a program that reads a node's events relies on. Names are those
//! of the prose; positions are numbers, absent where there is none.

use holdfast_engine::{
    Classification, Gap, Happening, PinSlot, RebuildReason, RecoverabilityProof, SessionKind,
    SourceReason,
};
use holdfast_types::{BaseState, EndpointVersion, Epoch, Lsn, Revision};
use serde::{Deserialize, Serialize};

/// The facts of one event, by its kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventDetail {
    /// An assignment came into force.
    Assigned {
        /// Its revision.
        revision: Revision,
    },
    /// A higher epoch was seen.
    Fenced,
    /// The node gave its role up.
    Stopped,
    /// A replica got its sender.
    SenderCreated,
    /// A sender is gone.
    SenderRemoved,
    /// The replica moved.
    EndpointChanged {
        /// From this version.
        from: EndpointVersion,
        /// To this one.
        to: EndpointVersion,
    },
    /// The replica joined the in-sync set, or left it.
    MembershipChanged {
        /// Whether it is a member now.
        member: bool,
    },
    /// Only a rebuild helps.
    RebuildRequired {
        /// Why.
        reason: String,
    },
    /// A session began.
    SessionAttached {
        /// Its kind.
        kind: String,
        /// For a rebuild: why it is needed.
        reason: Option<String>,
    },
    /// The connection is being made.
    Connecting,
    /// The hello was sent.
    HelloSent,
    /// The replica was classified.
    Classified(Box<ClassifiedDetail>),
    /// A rebuild session has the replica's report.
    RebuildBegan,
    /// A pin is held.
    PinHeld {
        /// Which.
        slot: String,
    },
    /// The replica cut its log, durably.
    Truncated {
        /// To here.
        to: Lsn,
    },
    /// The source of a rebuild is fixed.
    SourceSelected {
        /// The kind of the base.
        source: String,
        /// Why that one.
        source_reason: String,
        /// The split.
        base_lsn: Lsn,
        /// The frozen target.
        target: Lsn,
    },
    /// Chunks follow.
    TransferBegan {
        /// How many.
        chunks_total: u64,
    },
    /// The replica switched to the new base.
    BaseInstalled {
        /// Where replay begins.
        base_lsn: Lsn,
        /// What replay has to reach.
        goal: Lsn,
    },
    /// The sender is in sync.
    Completed {
        /// What was proven.
        achieved: Lsn,
    },
    /// The session ended.
    SessionEnded {
        /// Its kind.
        kind: String,
        /// The phase that it was in.
        phase: String,
        /// The class of the cause: `authority`, `fault` or `escalation`.
        class: String,
        /// The cause.
        cause: String,
        /// The sender's state afterwards.
        state: String,
    },
    /// The authority's record went back.
    AuthorityRolledBack {
        /// The epoch and revision that are known here.
        known: (Epoch, Revision),
        /// Those of the record, if there is one.
        recorded: Option<(Epoch, Revision)>,
    },
}

/// A classification and the facts that it follows from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassifiedDetail {
    /// `zero_gap`, `catch_up` or `needs_rebuild`.
    pub verdict: String,
    /// Why a rebuild is needed.
    pub reason: Option<String>,
    /// From where it is caught up.
    pub from: Option<Lsn>,
    /// Up to where.
    pub target: Option<Lsn>,
    /// Where its tail is cut first.
    pub truncate_to: Option<Lsn>,
    /// The last position that both logs share.
    pub common: Option<Lsn>,
    /// What it had acknowledged before.
    pub acknowledged: Option<Lsn>,
    /// The replica's positions; absent when it holds no store that counts.
    pub replica: Option<BaseState>,
    /// The primary's head.
    pub head: Lsn,
    /// From where the primary's log can be replayed.
    pub retained_from: Option<Lsn>,
}

impl From<RecoverabilityProof> for ClassifiedDetail {
    fn from(proof: RecoverabilityProof) -> Self {
        let (verdict, reason, gap) = match proof.verdict() {
            Classification::NeedsRebuild(reason) => ("needs_rebuild", Some(reason), None),
            Classification::ZeroGap(gap) => ("zero_gap", None, Some(gap)),
            Classification::CatchUp(gap) => ("catch_up", None, Some(gap)),
        };
        Self {
            verdict: verdict.into(),
            reason: reason.map(|reason| reason.name().into()),
            from: gap.map(|gap: Gap| gap.from),
            target: gap.map(|gap| gap.target),
            truncate_to: gap.and_then(|gap| gap.truncate_to),
            common: proof.common(),
            acknowledged: proof.acknowledged(),
            replica: proof.replica(),
            head: proof.head(),
            retained_from: proof.retained_from(),
        }
    }
}

impl From<Happening> for EventDetail {
    fn from(what: Happening) -> Self {
        let reason_name = |reason: RebuildReason| reason.name().to_owned();
        let kind_name = |kind: SessionKind| kind.name().to_owned();
        let slot_name = |slot: PinSlot| slot.name().to_owned();
        let source_name = |reason: SourceReason| reason.source().name().to_owned();
        match what {
            Happening::Assigned { revision } => Self::Assigned { revision },
            Happening::Fenced => Self::Fenced,
            Happening::Stopped => Self::Stopped,
            Happening::SenderCreated => Self::SenderCreated,
            Happening::SenderRemoved => Self::SenderRemoved,
            Happening::EndpointChanged { from, to } => Self::EndpointChanged { from, to },
            Happening::MembershipChanged { member } => Self::MembershipChanged { member },
            Happening::RebuildRequired { reason } => Self::RebuildRequired {
                reason: reason_name(reason),
            },
            Happening::SessionAttached { kind, reason } => Self::SessionAttached {
                kind: kind_name(kind),
                reason: reason.map(reason_name),
            },
            Happening::Connecting => Self::Connecting,
            Happening::HelloSent => Self::HelloSent,
            Happening::Classified { proof } => Self::Classified(Box::new(proof.into())),
            Happening::RebuildBegan => Self::RebuildBegan,
            Happening::PinHeld { slot } => Self::PinHeld {
                slot: slot_name(slot),
            },
            Happening::Truncated { to } => Self::Truncated { to },
            Happening::SourceSelected { decision } => Self::SourceSelected {
                source: source_name(decision.source_reason),
                source_reason: decision.source_reason.name().into(),
                base_lsn: decision.base_lsn,
                target: decision.target,
            },
            Happening::TransferBegan { chunks_total } => Self::TransferBegan { chunks_total },
            Happening::BaseInstalled { base_lsn, goal } => Self::BaseInstalled { base_lsn, goal },
            Happening::Completed { achieved } => Self::Completed { achieved },
            Happening::SessionEnded {
                kind,
                phase,
                cause,
                state,
            } => Self::SessionEnded {
                kind: kind_name(kind),
                phase: phase.name().into(),
                class: cause.class().into(),
                cause: cause.name().into(),
                state: state.name().into(),
            },
            Happening::AuthorityRolledBack { known, recorded } => {
                Self::AuthorityRolledBack { known, recorded }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use holdfast_engine::{Happening, classify};
    use holdfast_types::{BaseState, Epoch, Lineage, Lsn, RetainedHistory, Revision};
    use serde_json::json;

    use super::EventDetail;

    fn written(what: Happening) -> serde_json::Value {
        let detail = EventDetail::from(what);
        let value = serde_json::to_value(&detail).unwrap();
        let read: EventDetail = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(read, detail, "what is written can be read");
        assert_eq!(value["event"], what.name(), "one name for one thing");
        value
    }

    #[test]
    fn t11_the_facts_of_an_event_are_data() {
        let cut = written(Happening::Truncated { to: Lsn(7) });
        assert_eq!(cut, json!({"event": "truncated", "to": 7}));
        let back = written(Happening::AuthorityRolledBack {
            known: (Epoch(5), Revision(0)),
            recorded: None,
        });
        assert_eq!(back["known"], json!([5, 0]));
    }

    #[test]
    fn t11_a_classification_is_told_with_the_facts_that_it_follows_from() {
        let history = RetainedHistory {
            head: Lsn(9),
            committed: Lsn(9),
            epoch_start: Some(Lsn(9)),
            retained_from: None,
            lineage: Lineage::default(),
            base: BaseState {
                checkpoint: Lsn(0),
                extent_bound: Lsn(0),
                durable: Lsn(9),
            },
            snapshot: None,
        };
        let what = Happening::Classified {
            proof: classify(None, &history, Some(Lsn(4))),
        };
        let told = written(what);
        assert_eq!(told["verdict"], "needs_rebuild");
        assert_eq!(told["reason"], "no_volume");
        assert_eq!(
            (&told["head"], &told["acknowledged"]),
            (&json!(9), &json!(4))
        );
        assert_eq!(what.cause(), Some("no_volume"));
    }
}
