//! How a recovery is drawn: the authority, the primary's disk, the engine and the replicas as
//! lanes; calls as what they stand for, so that a report of the replica is an arrow from it.

use super::Session;
use super::action::{Action, Disk};
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
        let engine = self.engine_lane();
        let from_authority = |text: String| Event::message(AUTHORITY, engine, text);
        let disk = |volume: u8, text: &str| Event::local(self.disk_lane(volume), text);
        let decides = |text: String| Event::local(engine, text);
        let fault = |event: Event| event.toned(Tone::Fault);
        let to_replica = |token: Token, text: String| {
            Event::message(engine, self.replica_lane(token), of(token, &text))
        };
        let by_replica = |token: Token, text: String| {
            Event::message(self.replica_lane(token), engine, of(token, &text))
        };
        let by_disk = |token: Token, text: String| {
            Event::message(self.disk_lane(token.volume), engine, of(token, &text))
        };
        match action {
            Action::Assign {
                volume,
                epoch,
                revision,
                replicas,
            } => from_authority(format!(
                "assign v{volume} epoch {epoch}.{revision}: {}",
                assigned(&replicas)
            )),
            Action::Fence { volume, epoch } => {
                from_authority(format!("a higher epoch of v{volume} was seen: {epoch}"))
            }
            Action::Stop { volume, epoch } => {
                decides(format!("gives up its role: v{volume} epoch {epoch}"))
            }
            Action::Attach {
                volume,
                replica,
                kind,
                ..
            } => decides(format!("attach v{volume}/r{replica}: {}", word(&kind))),
            Action::Supersede {
                volume,
                replica,
                kind,
                ..
            } => decides(format!("supersede v{volume}/r{replica}: {}", word(&kind))),
            Action::Connect { token } => to_replica(token, "connects".to_owned()),
            Action::Hello { token } => to_replica(token, "hello".to_owned()),
            Action::Handshake { token, facts, .. } => by_replica(token, report(facts.as_ref())),
            Action::Pinned { token, slot } => by_disk(token, format!("{} pinned", slot_name(slot))),
            Action::PinFailed { token, slot } => {
                fault(by_disk(token, format!("{} not pinned", slot_name(slot))))
            }
            Action::PinLost { token, slot } => {
                fault(by_disk(token, format!("pin of {} lost", slot_name(slot))))
            }
            Action::Truncated { token, to } => by_replica(token, format!("log cut after {to}")),
            Action::TruncationRefused { token } => {
                fault(by_replica(token, "cannot cut its log".to_owned()))
            }
            Action::Progress { token, durable } => by_replica(token, format!("durable {durable}")),
            Action::Complete { token } => decides(of(token, "complete")),
            Action::Acknowledged { token, durable } => {
                by_replica(token, format!("acknowledged {durable}"))
            }
            Action::SelectSource { token, .. } => decides(of(token, "select the source")),
            Action::BeginTransfer {
                token,
                chunks_total,
            } => to_replica(token, format!("transfer of {chunks_total} chunks begins")),
            Action::TransferProgress { token, chunks_done } => {
                by_replica(token, format!("{chunks_done} chunks installed"))
            }
            Action::BaseInstalled {
                token,
                base_lsn,
                extent_bound,
            } => by_replica(
                token,
                format!("base {base_lsn} switched in, extent up to {extent_bound}"),
            ),
            Action::CheckBudget {
                token,
                pinned_bytes,
            } => decides(of(token, &format!("budget: {pinned_bytes} bytes pinned"))),
            Action::Fail { token, cause } => {
                fault(by_replica(token, format!("fails: {}", word(&cause))))
            }
            Action::Tick => decides("time passes".to_owned()),
            Action::Append { volume } => disk(volume, "logs an entry"),
            Action::Commit { volume } => disk(volume, "commits what is logged"),
            Action::WriteBack { volume } => disk(volume, "write-back and checkpoint"),
            Action::Reclaim { volume } => disk(volume, "reclaims log"),
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
