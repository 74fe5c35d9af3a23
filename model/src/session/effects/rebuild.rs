//! The source of a rebuild, and what an installed base leaves to be replayed.

use super::Work;
use crate::session::action::Retained;
use crate::session::classify::target;
use crate::session::rules::Broken;
use crate::session::state::{Phase, Plan, Session, TailReplay, Transfer};
use crate::session::vocabulary::{Lsn, Pin, Slot, Source, SourceReason};

impl Work<'_> {
    /// The source of a rebuild, and why it is that one (T11).
    pub(super) fn plan(&self, history: &Retained) -> Plan {
        let replayable = |lsn: Lsn| {
            history
                .retained_from
                .is_some_and(|retained_from| retained_from <= lsn)
        };
        let tail_unchecked = self.broken(Broken::TailNotChecked);
        let full = |why| (Source::FullBase, why, history.checkpoint);
        let (source, why, base_lsn) = match history.snapshot {
            None => full(SourceReason::NoSnapshot),
            Some((_, false)) if !self.broken(Broken::UntrustedSnapshotUsed) => {
                full(SourceReason::UntrustedSnapshot)
            }
            Some((base_lsn, _)) if replayable(base_lsn) || tail_unchecked => (
                Source::SnapshotTail,
                SourceReason::TrustedSnapshot,
                base_lsn,
            ),
            Some(_) => full(SourceReason::UnreplayableTail),
        };
        let why = if self.broken(Broken::SourceReasonFixed) {
            SourceReason::NoSnapshot
        } else {
            why
        };
        Plan {
            source,
            why,
            base_lsn,
            target: target(&self.spec.rules, history),
            base: Pin::Requested,
            retention: Pin::Requested,
        }
    }

    pub(super) fn base_installed(&mut self, slot: usize, session: &mut Session, extent_bound: Lsn) {
        let Phase::Transfer(Transfer { mut plan, .. }) = session.phase else {
            return;
        };
        if plan.base != Pin::None {
            self.out
                .release
                .push((self.token_of(slot, session), Slot::Base));
            plan.base = Pin::None;
        }
        if self.broken(Broken::SplitMoves) {
            plan.base_lsn = extent_bound;
        }
        let goal = if self.broken(Broken::GoalIsTarget) {
            plan.target
        } else {
            plan.target.max(extent_bound)
        };
        session.phase = Phase::TailReplay(TailReplay {
            plan,
            goal,
            acked: None,
        });
    }
}
