//! What surrounds the machine (`docs/session.md`, section 8): the caller's clock and the
//! primary's disk, what a caller reads of them for a call, and how they move.

use super::Session as Spec;
use super::action::{Action, Call, Defect, Disk, Facts, HistoryReport, Inputs, Move, Retained};
use super::log::{LOG_MAX, Lineage};
use super::state::{History, State};
use super::vocabulary::{Lsn, Slot, Token};

impl Spec {
    /// What a call gets beside the parameters that its action names.
    #[must_use]
    pub fn inputs(&self, state: &State, action: Action) -> Inputs {
        let (facts, report) = match action {
            Action::OnSession(_, Call::Handshake { facts, history }) => {
                (facts.map(|disk| told(&disk)), Some(history))
            }
            Action::OnSession(_, Call::SelectSource { history }) => (None, Some(history)),
            Action::OnSession(..) | Action::Authority(_) | Action::Begin(_) | Action::World(_) => {
                (None, None)
            }
        };
        let number = action.token().map_or(1, |token| token.volume);
        let at = self.volume_place(number).unwrap_or(0);
        let epoch = state.volumes[at].map_or(0, |volume| volume.epoch);
        let history = &state.histories[at];
        Inputs {
            now: state.now,
            facts,
            history: report.map(|report| reported(history, epoch, report)),
            retained_from: history.retained_from,
            head: history.log.head(),
        }
    }

    /// Whether a report of the primary's history is what its disk says.
    pub(super) fn is_as_reported(
        &self,
        state: &State,
        token: Token,
        report: HistoryReport,
    ) -> bool {
        let Some(at) = self.volume_place(token.volume) else {
            return false;
        };
        let epoch = state.volumes[at].map_or(0, |volume| volume.epoch);
        let history = &state.histories[at];
        reported(history, epoch, report) == reported(history, epoch, HistoryReport::True)
    }

    /// The moves of the surroundings themselves.
    pub(super) fn surroundings_follow(&self, before: &State, moves: Move, after: &mut State) {
        let place = |volume: u8| self.volume_place(volume);
        match moves {
            Move::Tick => after.now += 1,
            Move::Append { volume } => {
                if let Some((at, volume)) = place(volume).zip(self.volume(before, volume)) {
                    after.histories[at].log.push(volume.epoch);
                }
            }
            Move::Commit { volume } => {
                if let Some(at) = place(volume) {
                    after.histories[at].committed = before.histories[at].log.head();
                }
            }
            Move::WriteBack { volume } => {
                if let Some(at) = place(volume) {
                    after.histories[at].checkpoint = before.histories[at].committed;
                    after.histories[at].extent_bound = before.histories[at].committed;
                }
            }
            Move::Reclaim { volume } => {
                if let Some(at) = place(volume) {
                    after.histories[at].retained_from = self.reclaimable(before, volume, at);
                }
            }
        }
    }

    /// How far the log can be reclaimed: to the checkpoint, and never past a pin that is truly
    /// held at the source.
    pub(super) fn reclaimable(&self, state: &State, volume: u8, at: usize) -> Option<Lsn> {
        let history = &state.histories[at];
        let pins = self.slots_of(volume).filter_map(|slot| {
            let session = state.senders[slot]?.session?;
            let held = state.ghosts[slot].acquired[Slot::Retention as usize] & bit(session.id) != 0;
            if held { session.replays_from() } else { None }
        });
        let limit = pins.fold(history.checkpoint, Lsn::min);
        history
            .retained_from
            .map(|retained_from| retained_from.max(limit))
    }

    /// Which moves of a volume's surroundings there are in this state and instance.
    pub(super) fn moves(&self, state: &State, volume: u8, at: usize, calls: &mut Vec<Action>) {
        let Some(known) = self.volume(state, volume) else {
            return;
        };
        let history = &state.histories[at];
        let moves = self.bounds.moves;
        if !known.serving {
            return;
        }
        let starts = history.epoch_start(known.epoch).is_none();
        // Room is kept for the epoch-start entries that may still come.
        let kept = usize::from(self.bounds.epochs.saturating_sub(known.epoch));
        let length = usize::from(history.log.head());
        let room = if starts {
            LOG_MAX
        } else {
            self.bounds.log.min(LOG_MAX - kept)
        };
        if length < room {
            calls.push(Action::World(Move::Append { volume }));
        }
        if moves.commit && !starts && history.committed < history.log.head() {
            calls.push(Action::World(Move::Commit { volume }));
        }
        if moves.write_back && history.is_trusted() && history.checkpoint < history.committed {
            calls.push(Action::World(Move::WriteBack { volume }));
        }
        if moves.reclaim && self.reclaimable(state, volume, at) != history.retained_from {
            calls.push(Action::World(Move::Reclaim { volume }));
        }
    }
}

/// The bit of a session in a set of sessions.
pub(super) const fn bit(session: u8) -> u8 {
    1u8.wrapping_shl(session as u32)
}

/// What a replica reports of its disk.
fn told(disk: &Disk) -> Facts {
    let durable = disk.log.head();
    let mut facts = Facts {
        checkpoint: disk.extent_bound.min(durable),
        extent_bound: disk.extent_bound,
        durable,
        lineage: disk.log.lineage(disk.forgotten),
    };
    match disk.defect {
        Defect::None => {}
        Defect::CheckpointBeyondBound => facts.checkpoint = facts.extent_bound.saturating_add(1),
        Defect::CheckpointBeyondDurable => {
            facts.checkpoint = durable + 1;
            facts.extent_bound = durable + 1;
        }
        // Still an ordered list, which is all that a lineage's type can promise.
        Defect::LineageBeyondDurable => {
            let newest = facts.lineage.last().map_or(0, |(epoch, _)| epoch);
            facts.lineage.push(newest + 1, durable + 1);
        }
        Defect::LineageEmpty => facts.lineage = Lineage::default(),
    }
    facts
}

/// What the caller says of the primary's history.
fn reported(history: &History, epoch: u8, report: HistoryReport) -> Retained {
    let head = history.log.head();
    let mut retained = Retained {
        checkpoint: history.checkpoint,
        extent_bound: history.extent_bound,
        durable: head,
        head,
        committed: history.committed,
        epoch_start: history.epoch_start(epoch),
        retained_from: history.retained_from,
        snapshot: history
            .snapshot
            .map(|snapshot| (snapshot.base_lsn, snapshot.trusted)),
        lineage: history.log.lineage(history.forgotten),
    };
    match report {
        HistoryReport::True => {}
        HistoryReport::CheckpointBeyondBound => {
            retained.checkpoint = retained.extent_bound.saturating_add(1).min(head);
            retained.extent_bound = retained.checkpoint.saturating_sub(1);
        }
        HistoryReport::DurableBeyondHead => retained.durable = head + 1,
        HistoryReport::CommittedBeyondHead => retained.committed = head + 1,
        HistoryReport::EpochStartBeyondHead => retained.epoch_start = Some(head + 1),
        HistoryReport::RetainedBeyondHead => retained.retained_from = Some(head + 1),
        HistoryReport::SnapshotBeyondHead => retained.snapshot = Some((head + 1, true)),
        HistoryReport::LineageBeyondHead => {
            let newest = retained.lineage.last().map_or(0, |(epoch, _)| epoch);
            retained.lineage.push(epoch.max(newest + 1), head + 1);
        }
        HistoryReport::LastEpochStart => {
            retained.epoch_start = retained.lineage.last().map(|(_, first)| first);
        }
    }
    retained
}
