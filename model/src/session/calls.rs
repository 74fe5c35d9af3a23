//! Every call that can be asked for in a state: with the current token and every parameter that
//! its phase gives a meaning to; with every other token once, for what a stale token carries
//! besides is never looked at.

use std::mem::discriminant;

use super::Session as Spec;
use super::action::{Action, Authority, Begin, Call, Defect, Disk, HistoryReport, Move};
use super::instances::FactsDomain;
use super::log::Log;
use super::state::{Assignment, Named, Phase, SENDERS, Session, State};
use super::vocabulary::{Endpoint, Fault, Intent, SessionKind, Slot, Token, Truncate, UNBOUNDED};

/// A volume and a replica that no instance has.
const STRANGER: u8 = 9;

impl Spec {
    /// All calls and moves that can be asked for.
    pub(super) fn every_call(&self, state: &State, calls: &mut Vec<Action>) {
        if state.now < self.bounds.ticks {
            calls.push(Action::World(Move::Tick));
        }
        for (at, &volume) in self.volumes().iter().enumerate() {
            self.moves(state, volume, at, calls);
            self.authority_calls(state, volume, at, calls);
        }
        for slot in 0..self.senders() {
            self.beginnings(state, slot, calls);
        }
        let mut tokens = self.tokens(state);
        for slot in 0..self.senders() {
            let (volume, replica) = self.place(slot);
            if let Some(session) = state.senders[slot].and_then(|sender| sender.session) {
                let token = session.token(volume, replica);
                tokens.retain(|other| *other != token);
                self.current_calls(state, slot, token, &session, calls);
            }
        }
        for token in tokens {
            calls.extend(PLAIN_CALLS.map(|call| Action::OnSession(token, call)));
        }
    }

    /// How many sessions the instance has left for the volume of a slot.
    pub(super) fn sessions_left(&self, state: &State, slot: usize) -> u8 {
        let issued = state.volumes[self.volume_index(slot)].map_or(0, |v| v.next_session - 1);
        self.bounds.sessions.saturating_sub(issued)
    }

    fn authority_calls(&self, state: &State, volume: u8, at: usize, calls: &mut Vec<Action>) {
        let Some(known) = state.volumes[at] else {
            for replicas in self.assignments(state, volume) {
                calls.push(assign(volume, self.bounds.first_epoch, 1, replicas));
            }
            let epoch = self.bounds.first_epoch;
            calls.push(Action::Authority(Authority::Fence { volume, epoch }));
            calls.push(Action::Authority(Authority::Stop { volume, epoch }));
            return;
        };
        let (epoch, revision) = (known.epoch, known.revision);
        let mut offer = |epoch, revision, replicas| {
            calls.push(assign(volume, epoch, revision, replicas));
        };
        for replicas in self.assignments(state, volume) {
            if revision < self.bounds.revisions {
                offer(epoch, revision + 1, replicas);
                if epoch < self.bounds.epochs {
                    offer(epoch + 1, revision + 1, replicas);
                }
            }
        }
        // Repeated, contradicted, and too old (by revision, and by epoch with a high revision).
        let Assignment { replicas, .. } = known.assignment;
        let other = contradicted(replicas, self.place_of(volume));
        if revision > 0 {
            offer(epoch, revision, replicas);
            offer(epoch, revision, other);
        }
        if revision > 1 {
            offer(epoch, revision - 1, other);
        }
        offer(epoch - 1, revision + 5, [None; SENDERS]);
        if let Some(back) = self.moved_back(state, volume) {
            offer(epoch, revision + 1, back);
        }
        let fence = |epoch| Action::Authority(Authority::Fence { volume, epoch });
        let stop = |epoch| Action::Authority(Authority::Stop { volume, epoch });
        if self.bounds.moves.fence && epoch < self.bounds.epochs {
            calls.push(fence(epoch + 1));
        }
        calls.push(fence(epoch));
        if self.bounds.moves.fence {
            calls.push(stop(epoch));
        }
        calls.push(stop(epoch - 1));
    }

    fn place_of(&self, volume: u8) -> usize {
        self.slots_of(volume).next().unwrap_or(0)
    }

    /// What a new assignment may say: for every replica of the volume one of the instance's
    /// shapes, at its present endpoint or the next; only as many sessions as are left; and the
    /// two kinds that are always refused.
    fn assignments(&self, state: &State, volume: u8) -> Vec<[Option<Named>; SENDERS]> {
        let mut all = vec![[None; SENDERS]];
        for slot in self.slots_of(volume) {
            let version = state.senders[slot].map_or(1, |sender| sender.endpoint.version);
            let mut next = Vec::new();
            for &replicas in &all {
                for shape in self.bounds.shapes {
                    let mut said = replicas;
                    said[slot] = shape.map(|(member, intent)| named(version, member, intent));
                    next.push(said);
                }
            }
            // One replica at a time moves.
            if version < self.bounds.endpoint_versions && state.senders[slot].is_some() {
                for shape in self.bounds.shapes.iter().flatten() {
                    let mut said = present(state, self, volume);
                    said[slot] = Some(named(version + 1, shape.0, shape.1));
                    next.push(said);
                }
            }
            all = next;
            all.dedup();
        }
        let left = self.sessions_left(state, self.place_of(volume));
        all.retain(|replicas| {
            let asked = replicas.iter().flatten();
            asked
                .filter(|named| named.intent != Intent::Nothing)
                .count()
                <= usize::from(left)
        });
        let mut unique = Vec::new();
        for replicas in all {
            if !unique.contains(&replicas) {
                unique.push(replicas);
            }
        }
        self.refused_assignments(state, volume, &mut unique);
        unique
    }

    fn refused_assignments(
        &self,
        state: &State,
        volume: u8,
        all: &mut Vec<[Option<Named>; SENDERS]>,
    ) {
        if !self.bounds.forged {
            return;
        }
        let slot = self.place_of(volume);
        if let Some(sender) = state.senders[slot] {
            let mut moved = present(state, self, volume);
            let Endpoint { version, address } = sender.endpoint;
            let elsewhere = Endpoint {
                version,
                address: address + 100,
            };
            moved[slot] = Some(Named {
                endpoint: elsewhere,
                member: sender.member,
                intent: Intent::Nothing,
            });
            all.push(moved);
            let mut member = present(state, self, volume);
            member[slot] = Some(named(version, true, Intent::Rebuild));
            all.push(member);
        }
    }

    /// An assignment that puts a replica back to the endpoint before its present one.
    fn moved_back(&self, state: &State, volume: u8) -> Option<[Option<Named>; SENDERS]> {
        let slot = self.place_of(volume);
        let sender = state.senders[slot].filter(|_| self.bounds.forged)?;
        let earlier = sender.endpoint.version - 1;
        let mut said = present(state, self, volume);
        said[slot] = Some(named(earlier, sender.member, Intent::Nothing));
        (earlier > 0).then_some(said)
    }

    fn beginnings(&self, state: &State, slot: usize, calls: &mut Vec<Action>) {
        if self.sessions_left(state, slot) == 0 {
            return;
        }
        let (volume, replica) = self.place(slot);
        let epoch = state.volumes[self.volume_index(slot)].map_or(1, |known| known.epoch);
        let endpoint_version = state.senders[slot].map_or(1, |sender| sender.endpoint.version);
        let begin = |replica, epoch, endpoint_version, kind, supersedes| {
            Action::Begin(Begin {
                volume,
                replica,
                epoch,
                endpoint_version,
                kind,
                supersedes,
            })
        };
        for &kind in self.bounds.kinds {
            for supersedes in [false, true] {
                calls.push(begin(replica, epoch, endpoint_version, kind, supersedes));
            }
        }
        if self.bounds.forged {
            let kind = self.bounds.kinds[0];
            for (epoch, endpoint_version) in
                [(epoch - 1, endpoint_version), (epoch, endpoint_version + 1)]
            {
                for supersedes in [false, true] {
                    calls.push(begin(replica, epoch, endpoint_version, kind, supersedes));
                }
            }
            calls.push(begin(STRANGER, epoch, endpoint_version, kind, false));
        }
    }

    /// Every token ever issued, and near misses of the current ones.
    fn tokens(&self, state: &State) -> Vec<Token> {
        let mut tokens = Vec::new();
        for &volume in self.volumes() {
            let issued = self.volume(state, volume).map(|known| known.issued);
            for (issued, session) in issued.iter().flatten().zip(1..) {
                tokens.extend(issued.map(|issued| Token {
                    volume,
                    replica: issued.replica,
                    session,
                    epoch: issued.epoch,
                    endpoint_version: issued.endpoint_version,
                }));
            }
        }
        if self.bounds.forged {
            for slot in 0..self.senders() {
                let (volume, replica) = self.place(slot);
                let Some(session) = state.senders[slot].and_then(|sender| sender.session) else {
                    continue;
                };
                let token = session.token(volume, replica);
                tokens.push(Token {
                    volume: STRANGER,
                    ..token
                });
                tokens.push(Token {
                    replica: STRANGER,
                    ..token
                });
                tokens.push(Token {
                    session: token.session + 1,
                    ..token
                });
                tokens.push(Token {
                    epoch: token.epoch - 1,
                    ..token
                });
                tokens.push(Token {
                    epoch: token.epoch + 1,
                    ..token
                });
                tokens.push(Token {
                    endpoint_version: token.endpoint_version - 1,
                    ..token
                });
                tokens.push(Token {
                    endpoint_version: token.endpoint_version + 1,
                    ..token
                });
            }
        }
        tokens.sort_unstable();
        tokens.dedup();
        tokens
    }

    /// The calls with the current token of a sender.
    fn current_calls(
        &self,
        state: &State,
        slot: usize,
        token: Token,
        session: &Session,
        calls: &mut Vec<Action>,
    ) {
        let begun = calls.len();
        let history = &state.histories[self.volume_index(slot)];
        let head = history.log.head();
        match session.phase {
            Phase::Init | Phase::Connecting => {}
            Phase::Handshake => self.handshakes(state, slot, token, session, calls),
            Phase::CatchUp(catch_up) => {
                both_slots(token, calls);
                if let Truncate::Required(to) = catch_up.truncate {
                    calls.push(Action::OnSession(token, Call::Truncated { to }));
                    calls.push(Action::OnSession(token, Call::Truncated { to: to + 1 }));
                }
                let durables = 0..=catch_up.target + 1;
                calls.extend(
                    durables.map(|durable| Action::OnSession(token, Call::Progress { durable })),
                );
            }
            Phase::SourceSelect(_) => {
                both_slots(token, calls);
                calls.push(Action::OnSession(
                    token,
                    Call::SelectSource {
                        history: HistoryReport::True,
                    },
                ));
                let forged = self.bounds.history_reports.iter().copied();
                calls.extend(
                    forged.map(|history| Action::OnSession(token, Call::SelectSource { history })),
                );
                let totals = self.bounds.chunks.iter();
                calls.extend(totals.map(|&chunks_total| {
                    Action::OnSession(token, Call::BeginTransfer { chunks_total })
                }));
            }
            Phase::Transfer(transfer) => {
                both_slots(token, calls);
                let done = transfer.chunks_done.saturating_sub(1)..=transfer.chunks_total + 1;
                calls.extend(done.map(|chunks_done| {
                    Action::OnSession(token, Call::TransferProgress { chunks_done })
                }));
                let base_lsn = transfer.plan.base_lsn;
                let bound = match transfer.plan.source {
                    super::vocabulary::Source::SnapshotTail => base_lsn,
                    super::vocabulary::Source::FullBase => history.extent_bound.max(base_lsn),
                };
                let installed = |base_lsn, extent_bound| {
                    Action::OnSession(
                        token,
                        Call::BaseInstalled {
                            base_lsn,
                            extent_bound,
                        },
                    )
                };
                calls.push(installed(base_lsn, bound));
                calls.push(installed(base_lsn + 1, bound.max(base_lsn + 1)));
                match transfer.plan.source {
                    super::vocabulary::Source::SnapshotTail => {
                        calls.push(installed(base_lsn, base_lsn + 1));
                    }
                    super::vocabulary::Source::FullBase => {
                        let below = base_lsn.checked_sub(1);
                        calls.extend(below.map(|bound| installed(base_lsn, bound)));
                    }
                }
            }
            Phase::TailReplay(tail) => {
                both_slots(token, calls);
                let least = tail.plan.base_lsn.saturating_sub(1);
                let durables = least..=tail.goal + 1;
                calls.extend(
                    durables.map(|durable| Action::OnSession(token, Call::Progress { durable })),
                );
            }
            Phase::Completed(completed) => {
                let durables = completed.acked.saturating_sub(1)..=head + 1;
                calls.extend(
                    durables
                        .map(|durable| Action::OnSession(token, Call::Acknowledged { durable })),
                );
            }
        }
        if self.bounds.ticks > 0 {
            let pinned_bytes = self.budget().bytes + 1;
            calls.push(Action::OnSession(token, Call::CheckBudget { pinned_bytes }));
        }
        for &cause in self.bounds.faults {
            calls.push(Action::OnSession(token, Call::Fail { cause }));
        }
        // What the phase gives no meaning to is asked for once.
        let said = begun..calls.len();
        for plain in PLAIN_CALLS {
            let asked = |action: &Action| match action {
                Action::OnSession(_, call) => discriminant(call) == discriminant(&plain),
                Action::Authority(_) | Action::Begin(_) | Action::World(_) => false,
            };
            if !calls[said.clone()].iter().any(asked) {
                calls.push(Action::OnSession(token, plain));
            }
        }
        if self.bounds.ticks > 0 {
            calls.push(Action::OnSession(
                token,
                Call::CheckBudget { pinned_bytes: 0 },
            ));
        }
    }

    fn handshakes(
        &self,
        state: &State,
        slot: usize,
        token: Token,
        session: &Session,
        calls: &mut Vec<Action>,
    ) {
        let truly = HistoryReport::True;
        let mut offer = |facts| {
            calls.push(Action::OnSession(
                token,
                Call::Handshake {
                    facts,
                    history: truly,
                },
            ))
        };
        offer(None);
        let history = &state.histories[self.volume_index(slot)];
        let disks = if session.kind == SessionKind::Rebuild {
            vec![honest(Log::default(), 0)]
        } else {
            self.disks(state, slot)
        };
        for disk in disks {
            offer(Some(disk));
        }
        if self.bounds.forged {
            let deposed = Log::of(&[session.epoch + 1]);
            offer(Some(honest(deposed, 0)));
            let mut log = history.log;
            log.cut(1);
            for defect in [
                Defect::CheckpointBeyondBound,
                Defect::CheckpointBeyondDurable,
                Defect::LineageBeyondDurable,
                Defect::LineageEmpty,
            ] {
                offer(Some(Disk {
                    defect,
                    ..honest(log, 0)
                }));
            }
        }
        for &history in self.bounds.history_reports {
            calls.push(Action::OnSession(
                token,
                Call::Handshake {
                    facts: None,
                    history,
                },
            ));
        }
    }

    /// The disks that a replica may have: those of the instance that are possible beside the
    /// primary's. An epoch that the primary wrote is nowhere but as it wrote it, and an entry of
    /// one epoch at one position is one entry, with one history before it.
    fn disks(&self, state: &State, slot: usize) -> Vec<Disk> {
        let at = self.volume_index(slot);
        let primary = &state.histories[at].log;
        let possible = |log: &Log| {
            let alike = log.alike(primary);
            (alike + 1..=log.head()).all(|lsn| {
                let epoch = log.epoch_at(lsn).unwrap_or(0);
                primary.epoch_at(lsn) != Some(epoch) && epoch < self.bounds.first_epoch
            })
        };
        let mut disks = Vec::new();
        match self.bounds.facts {
            FactsDomain::All => {
                for log in Log::all(self.bounds.log as u8, 1..=self.bounds.epochs) {
                    if possible(&log) {
                        for extent_bound in 0..=log.head() {
                            disks.push(honest(log, extent_bound));
                        }
                        disks.push(honest(log, UNBOUNDED));
                        if log.lineage(0).starts().len() > 1 {
                            disks.push(Disk {
                                forgotten: 1,
                                ..honest(log, 0)
                            });
                        }
                    }
                }
            }
            FactsDomain::Some(some) => {
                disks.extend(some.iter().filter(|disk| possible(&disk.log)));
                // Whatever the primary has by now, up to here or there.
                for lsn in 0..=primary.head() {
                    let mut log = *primary;
                    log.cut(lsn);
                    let disk = honest(log, 0);
                    if self.bounds.prefixes && !disks.contains(&disk) {
                        disks.push(disk);
                    }
                }
            }
        }
        disks
    }
}

const fn honest(log: Log, extent_bound: u8) -> Disk {
    Disk {
        log,
        forgotten: 0,
        extent_bound,
        defect: Defect::None,
    }
}

const fn named(version: u8, member: bool, intent: Intent) -> Named {
    Named {
        endpoint: Endpoint {
            version,
            address: version,
        },
        member,
        intent,
    }
}

/// An assignment that asks for nothing new.
fn present(state: &State, spec: &Spec, volume: u8) -> [Option<Named>; SENDERS] {
    let mut said = [None; SENDERS];
    for slot in spec.slots_of(volume) {
        said[slot] = state.senders[slot].map(|sender| Named {
            endpoint: sender.endpoint,
            member: sender.member,
            intent: Intent::Nothing,
        });
    }
    said
}

/// The same assignment, but for one thing.
fn contradicted(mut replicas: [Option<Named>; SENDERS], slot: usize) -> [Option<Named>; SENDERS] {
    replicas[slot] = match replicas[slot] {
        Some(_) => None,
        None => Some(named(1, false, Intent::Nothing)),
    };
    replicas
}

fn both_slots(token: Token, calls: &mut Vec<Action>) {
    for slot in Slot::BOTH {
        calls.push(Action::OnSession(token, Call::Pinned { slot }));
        calls.push(Action::OnSession(token, Call::PinFailed { slot }));
        calls.push(Action::OnSession(token, Call::PinLost { slot }));
    }
}

/// Every call on a session once.
const PLAIN_CALLS: [Call; 16] = [
    Call::Connect,
    Call::Hello,
    Call::Handshake {
        facts: None,
        history: HistoryReport::True,
    },
    Call::Pinned {
        slot: Slot::Retention,
    },
    Call::PinFailed {
        slot: Slot::Retention,
    },
    Call::PinLost {
        slot: Slot::Retention,
    },
    Call::Truncated { to: 0 },
    Call::TruncationRefused,
    Call::Progress { durable: 2 },
    Call::Complete,
    Call::Acknowledged { durable: 2 },
    Call::SelectSource {
        history: HistoryReport::True,
    },
    Call::BeginTransfer { chunks_total: 0 },
    Call::TransferProgress { chunks_done: 0 },
    Call::BaseInstalled {
        base_lsn: 0,
        extent_bound: 0,
    },
    Call::Fail {
        cause: Fault::StreamLost,
    },
];

const fn assign(volume: u8, epoch: u8, revision: u8, replicas: [Option<Named>; SENDERS]) -> Action {
    let assignment = Assignment {
        epoch,
        revision,
        replicas,
    };
    Action::Authority(Authority::Assign { volume, assignment })
}
