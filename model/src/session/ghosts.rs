//! Ghosts: what is true of each replica and its session, carried beside the machine.
//!
//! They follow the calls by what these calls *say happened in the world* and by the pins that the
//! machine asked for and gave back, never by what the machine made of it.

use super::Session as Spec;
use super::action::{Action, Authority, Call, Disk};
use super::effects::Outputs;
use super::state::{Ghost, History, State};
use super::surroundings::bit;
use super::vocabulary::{Cause, Lsn, SessionKind, Slot, Token, UNBOUNDED};

impl Spec {
    /// The ghosts after a granted call.
    pub(super) fn ghosts_follow(
        &self,
        before: &State,
        action: Action,
        outputs: &Outputs,
        after: &mut State,
    ) {
        if let Action::OnSession(token, call) = action
            && let Some(slot) = self.slot(token.volume, token.replica)
        {
            self.ghost_of_call(before, call, token, slot, &mut after.ghosts[slot]);
        }
        for &(token, slot) in &outputs.acquire {
            if let Some(at) = self.slot(token.volume, token.replica) {
                after.ghosts[at].asked[slot as usize] |= bit(token.session);
            }
        }
        for &(token, slot) in &outputs.release {
            if let Some(at) = self.slot(token.volume, token.replica) {
                after.ghosts[at].released(token.session, slot);
            }
        }
        for &(token, cause) in &outputs.ended {
            if let Some(at) = self.slot(token.volume, token.replica) {
                let ghost = &mut after.ghosts[at];
                ghost.session_over();
                ghost.owes_rebuild |= matches!(cause, Cause::Escalation(_));
            }
        }
        self.promises_follow(before, action, after);
        for &token in &outputs.attached {
            if let Some(at) = self.slot(token.volume, token.replica) {
                let rebuild = after.senders[at]
                    .and_then(|sender| sender.session)
                    .is_some_and(|session| session.kind == SessionKind::Rebuild);
                after.ghosts[at].owes_rebuild |= rebuild;
            }
        }
    }

    /// Promises are made in an epoch and to a sender.
    fn promises_follow(&self, before: &State, action: Action, after: &mut State) {
        let number = match action {
            Action::Authority(
                Authority::Assign { volume, .. } | Authority::Fence { volume, .. },
            ) => volume,
            Action::Authority(Authority::Stop { .. })
            | Action::Begin(_)
            | Action::OnSession(..)
            | Action::World(_) => return,
        };
        for slot in self.slots_of(number) {
            let epoch_of =
                |state: &State| state.volumes[self.volume_index(slot)].map(|volume| volume.epoch);
            if epoch_of(before) != epoch_of(after) {
                after.ghosts[slot].promised = 0;
            }
            if after.senders[slot].is_none() {
                after.ghosts[slot].promised = 0;
                after.ghosts[slot].owes_rebuild = false;
            }
        }
    }

    fn ghost_of_call(
        &self,
        before: &State,
        call: Call,
        token: Token,
        slot: usize,
        ghost: &mut Ghost,
    ) {
        let at = self.volume_index(slot);
        let history = &before.histories[at];
        let epoch = before.volumes[at].map_or(0, |volume| volume.epoch);
        let Some(session) = before.senders[slot].and_then(|sender| sender.session) else {
            return;
        };
        let right_target = history
            .committed
            .max(history.epoch_start(epoch).unwrap_or(0));
        match call {
            Call::Handshake { facts, .. } => {
                if session.kind != SessionKind::Rebuild {
                    ghost.look_at(facts, history);
                    ghost.target = Some(right_target);
                }
            }
            Call::Pinned { slot: pin } => ghost.acquired[pin as usize] |= bit(token.session),
            // The owner took it: it is not at the source any more, whatever the machine does.
            Call::PinLost { slot: pin } => ghost.acquired[pin as usize] &= !bit(token.session),
            Call::Truncated { to } => ghost.cut(to),
            Call::Progress { durable } => {
                ghost.log.extend_from(&history.log, durable);
                ghost.promised = ghost.promised.max(durable);
            }
            Call::Acknowledged { durable } => {
                ghost
                    .log
                    .extend_from(&history.log, durable.min(history.log.head()));
                ghost.promised = ghost.promised.max(durable);
            }
            Call::Complete => {
                if session.kind == SessionKind::Rebuild {
                    ghost.owes_rebuild = false;
                }
            }
            Call::SelectSource { .. } => {
                ghost.target = Some(right_target);
                let snapshot = session_source_is_snapshot(history);
                ghost.split = Some(match (snapshot, history.snapshot) {
                    (true, Some(snapshot)) => snapshot.content,
                    (true | false, _) => history.checkpoint,
                });
            }
            Call::BeginTransfer { .. } => {
                let pinned = |pin: Slot| ghost.acquired[pin as usize] & bit(session.id) != 0;
                ghost.pinned_for_transfer = Slot::BOTH.iter().all(|&pin| pinned(pin));
                ghost.extent_bound = UNBOUNDED;
                ghost.promised = 0;
            }
            Call::BaseInstalled {
                base_lsn,
                extent_bound,
            } => {
                let pinned = |pin: Slot| ghost.acquired[pin as usize] & bit(session.id) != 0;
                ghost.base_whole = ghost.pinned_for_transfer
                    && Slot::BOTH.iter().all(|&pin| pinned(pin))
                    && all_chunks(&session)
                    && history.is_trusted();
                ghost.log = history.log;
                ghost.log.cut(base_lsn);
                ghost.extent_bound = extent_bound;
            }
            Call::Connect
            | Call::Hello
            | Call::PinFailed { .. }
            | Call::TruncationRefused
            | Call::TransferProgress { .. }
            | Call::CheckBudget { .. }
            | Call::Fail { .. } => {}
        }
    }
}

/// Whether a rebuild must begin with the snapshot: it is what it says, and what follows it is
/// still there (section 6, first table), judged by its content.
pub(super) fn session_source_is_snapshot(history: &History) -> bool {
    history.snapshot.is_some_and(|snapshot| {
        snapshot.content == snapshot.base_lsn
            && history
                .retained_from
                .is_some_and(|lsn| lsn <= snapshot.content)
    })
}

fn all_chunks(session: &super::state::Session) -> bool {
    match session.phase {
        super::state::Phase::Transfer(transfer) => transfer.chunks_done == transfer.chunks_total,
        super::state::Phase::Init
        | super::state::Phase::Connecting
        | super::state::Phase::Handshake
        | super::state::Phase::CatchUp(_)
        | super::state::Phase::SourceSelect(_)
        | super::state::Phase::TailReplay(_)
        | super::state::Phase::Completed(_) => false,
    }
}

impl Ghost {
    /// A handshake looks at the disk: whatever it holds is what is true of it now.
    fn look_at(&mut self, facts: Option<Disk>, history: &History) {
        match facts {
            None => {
                self.log = Default::default();
                self.extent_bound = UNBOUNDED;
            }
            Some(disk) => {
                self.log = disk.log;
                self.extent_bound = disk.extent_bound;
            }
        }
        self.diverged = !self.log.is_prefix_of(&history.log);
    }

    /// The replica cuts its log. An effect of a cut entry that is in its extent stays there for
    /// ever: no redo will undo it.
    fn cut(&mut self, to: Lsn) {
        if self.extent_bound > to {
            self.extent_bound = UNBOUNDED;
        }
        self.log.cut(to);
        self.promised = self.promised.min(to);
    }

    fn released(&mut self, session: u8, slot: Slot) {
        let (asked, session) = (&mut self.asked[slot as usize], bit(session));
        self.released_twice |= *asked & session == 0;
        *asked &= !session;
        self.acquired[slot as usize] &= !session;
    }

    /// Nobody looks at the disk any more, and the plan is gone.
    fn session_over(&mut self) {
        *self = Self {
            promised: self.promised,
            owes_rebuild: self.owes_rebuild,
            asked: self.asked,
            acquired: self.acquired,
            released_twice: self.released_twice,
            ..Self::default()
        };
    }

    /// Whether the image with its log is that of one exact position.
    pub(super) const fn is_trusted(&self) -> bool {
        self.extent_bound <= self.log.head()
    }
}
