//! How a recovery is drawn: the authority, the primary's disk, the engine and the replicas as
//! lanes; calls as what they stand for, so that a report of the replica is an arrow from it.

use super::Session;
use super::action::{Action, Authority, Begin, Call, Disk, Move};
use super::cards::{assigned, log_text};
use super::show::word;
use super::state::State;
use super::vocabulary::{Slot, Token, UNBOUNDED};
use crate::explore::{Card, Diagram, Event, Lane, LaneAt, Tone};

const AUTHORITY: LaneAt = 0;
const FIRST_DISK: LaneAt = 1;

impl Diagram for Session {
    fn lanes(&self) -> Vec<Lane> {
        let many = self.volumes().len() > 1;
        let mut lanes = vec![Lane {
            name: "authority".to_owned(),
            role: "assigns and fences",
        }];
        lanes.extend(self.volumes().iter().map(|volume| Lane {
            name: if many {
                format!("disk v{volume}")
            } else {
                "disk".to_owned()
            },
            role: "the primary's log and image",
        }));
        lanes.push(Lane {
            name: "engine".to_owned(),
            role: "the machine that recovers",
        });
        lanes.extend((0..self.senders()).map(|slot| {
            let (volume, replica) = self.place(slot);
            Lane {
                name: if many {
                    format!("replica v{volume}/r{replica}")
                } else {
                    format!("replica r{replica}")
                },
                role: "what is truly on its disk",
            }
        }));
        lanes
    }

    fn event(&self, action: Action) -> Event {
        match action {
            Action::Authority(call) => self.event_of_authority(call),
            Action::Begin(begin) => {
                let Begin {
                    volume,
                    replica,
                    kind,
                    ..
                } = begin;
                let (call, kind) = (action.name(), word(&kind));
                self.decides(format!("{call} v{volume}/r{replica}: {kind}"))
            }
            Action::OnSession(token, call) => self.event_of_call(token, call),
            Action::World(moves) => self.event_of_move(moves),
        }
    }

    fn cards(&self, state: &State) -> Vec<Card> {
        let volumes = 0..self.volumes().len();
        let disks = volumes.map(|at| super::cards::disk(&state.histories[at]));
        let replicas = (0..self.senders()).map(|slot| super::cards::replica(state, slot));
        [Card::default()]
            .into_iter()
            .chain(disks)
            .chain([self.engine_card(state)])
            .chain(replicas)
            .collect()
    }
}

impl Session {
    fn decides(&self, text: String) -> Event {
        Event::local(self.engine_lane(), text)
    }

    fn event_of_authority(&self, call: Authority) -> Event {
        let said = |text: String| Event::message(AUTHORITY, self.engine_lane(), text);
        match call {
            Authority::Assign { volume, assignment } => {
                let (epoch, revision) = (assignment.epoch, assignment.revision);
                let replicas = assigned(&assignment.replicas);
                said(format!(
                    "assign v{volume} epoch {epoch}.{revision}: {replicas}"
                ))
            }
            Authority::Fence { volume, epoch } => {
                said(format!("a higher epoch of v{volume} was seen: {epoch}"))
            }
            Authority::Stop { volume, epoch } => {
                self.decides(format!("gives up its role: v{volume} epoch {epoch}"))
            }
        }
    }

    fn event_of_call(&self, token: Token, call: Call) -> Event {
        let (engine, replica) = (self.engine_lane(), self.replica_lane(token));
        let decides = |text: &str| self.decides(of(token, text));
        let fault = |event: Event| event.toned(Tone::Fault);
        let to_replica = |text: &str| Event::message(engine, replica, of(token, text));
        let by_replica = |text: String| Event::message(replica, engine, of(token, &text));
        let by_disk =
            |text: String| Event::message(self.disk_lane(token.volume), engine, of(token, &text));
        match call {
            Call::Connect => to_replica("connects"),
            Call::Hello => to_replica("hello"),
            Call::Handshake { facts, .. } => by_replica(report(facts.as_ref())),
            Call::Pinned { slot } => by_disk(format!("{} pinned", slot_name(slot))),
            Call::PinFailed { slot } => fault(by_disk(format!("{} not pinned", slot_name(slot)))),
            Call::PinLost { slot } => fault(by_disk(format!("pin of {} lost", slot_name(slot)))),
            Call::Truncated { to } => by_replica(format!("log cut after {to}")),
            Call::TruncationRefused => fault(by_replica("cannot cut its log".to_owned())),
            Call::Progress { durable } => by_replica(format!("durable {durable}")),
            Call::Complete => decides("complete"),
            Call::Acknowledged { durable } => by_replica(format!("acknowledged {durable}")),
            Call::SelectSource { .. } => decides("select the source"),
            Call::BeginTransfer { chunks_total } => {
                to_replica(&format!("transfer of {chunks_total} chunks begins"))
            }
            Call::TransferProgress { chunks_done } => {
                by_replica(format!("{chunks_done} chunks installed"))
            }
            Call::BaseInstalled {
                base_lsn,
                extent_bound,
            } => by_replica(format!(
                "base {base_lsn} switched in, extent up to {extent_bound}"
            )),
            Call::CheckBudget { pinned_bytes } => {
                decides(&format!("budget: {pinned_bytes} bytes pinned"))
            }
            Call::Fail { cause } => fault(by_replica(format!("fails: {}", word(&cause)))),
        }
    }

    fn event_of_move(&self, moves: Move) -> Event {
        let disk = |volume: u8, text: &str| Event::local(self.disk_lane(volume), text);
        match moves {
            Move::Tick => self.decides("time passes".to_owned()),
            Move::Append { volume } => disk(volume, "logs an entry"),
            Move::Commit { volume } => disk(volume, "commits what is logged"),
            Move::WriteBack { volume } => disk(volume, "write-back and checkpoint"),
            Move::Reclaim { volume } => disk(volume, "reclaims log"),
        }
    }

    fn engine_lane(&self) -> LaneAt {
        FIRST_DISK + self.volumes().len()
    }

    /// The disk of a volume; a forged volume stands with the first.
    fn disk_lane(&self, volume: u8) -> LaneAt {
        let at = (self.volumes().iter()).position(|&known| known == volume);
        FIRST_DISK + at.unwrap_or(0)
    }

    /// The replica of a token; a forged one stands with the first.
    fn replica_lane(&self, token: Token) -> LaneAt {
        let slot = self.slot(token.volume, token.replica);
        self.engine_lane() + 1 + slot.unwrap_or(0)
    }
}

/// What a call says, with the session it says it for.
fn of(token: Token, text: &str) -> String {
    format!("{text} ({token})")
}

fn report(facts: Option<&Disk>) -> String {
    match facts {
        None => "reports: no such volume".to_owned(),
        Some(disk) => {
            let extent = match disk.extent_bound {
                UNBOUNDED => "base untrusted".to_owned(),
                bound => format!("extent up to {bound}"),
            };
            format!("reports its log {}, {extent}", log_text(&disk.log))
        }
    }
}

const fn slot_name(slot: Slot) -> &'static str {
    match slot {
        Slot::Retention => "log",
        Slot::Base => "base",
    }
}
