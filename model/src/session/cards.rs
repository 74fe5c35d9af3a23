//! What each lane of a recovery's diagram knows: the primary's history, the machine's senders and
//! sessions, and the true disk of each replica.

use super::Session;
use super::log::Log;
use super::show::word;
use super::state::{
    CatchUp, Completed, History, Named, Phase, Plan, Sender, State, TailReplay, Transfer,
};
use super::vocabulary::{Intent, Lsn, SenderState, Truncate, UNBOUNDED};
use crate::explore::{Card, Cell, Dye, Life, Look, Strip};

/// The primary's disk.
pub(super) fn disk(history: &History) -> Card {
    let mut card = Card::default();
    if !history.is_trusted() {
        card.badge("untrusted", Dye::Bad);
    }
    let retained = history.retained_from.unwrap_or(Lsn::MAX);
    let mut strip = log_strip(&history.log, |lsn| lsn <= retained);
    strip.committed = usize::from(history.committed);
    card.strips.push(strip);
    card.fact("committed", history.committed);
    card.fact("checkpoint", history.checkpoint);
    match history.retained_from {
        Some(lsn) => card.fact("retained after", lsn),
        None => card.fact("retained", "nothing"),
    }
    if let Some(snapshot) = history.snapshot {
        let trusted = if snapshot.trusted { "" } else { "?" };
        card.fact("snapshot", format!("{}{trusted}", snapshot.base_lsn));
    }
    card
}

/// A replica, once a handshake has shown its disk: the truth, which the engine never sees.
pub(super) fn replica(state: &State, slot: usize) -> Card {
    let mut card = Card::default();
    let sender = state.senders[slot].as_ref();
    let phase = sender.and_then(|sender| sender.session.map(|session| session.phase));
    match phase {
        // Nothing is remembered of a disk that no handshake has shown.
        None | Some(Phase::Init | Phase::Connecting | Phase::Handshake) => return card,
        Some(
            Phase::CatchUp(_)
            | Phase::SourceSelect(_)
            | Phase::Transfer(_)
            | Phase::TailReplay(_)
            | Phase::Completed(_),
        ) => {}
    }
    let ghost = &state.ghosts[slot];
    card.strips.push(log_strip(&ghost.log, |_| false));
    match ghost.extent_bound {
        UNBOUNDED => card.badge("base untrusted", Dye::Bad),
        bound => card.fact("extent up to", bound),
    }
    if ghost.diverged {
        card.badge("diverged", Dye::Bad);
    }
    if ghost.promised != 0 {
        card.fact("acknowledged", ghost.promised);
    }
    card
}

impl Session {
    /// The machine: its volumes, its senders and their sessions.
    pub(super) fn engine_card(&self, state: &State) -> Card {
        let mut card = Card::default();
        for (volume, number) in state.volumes.iter().zip(self.volumes()) {
            match volume {
                None => card.badge(format!("v{number} unknown"), Dye::Plain),
                Some(volume) => {
                    let text = format!("v{number} epoch {}.{}", volume.epoch, volume.revision);
                    card.badge(text, Dye::Epoch(volume.epoch));
                    if volume.serving {
                        card.life = Life::Leads(volume.epoch);
                    } else {
                        card.badge("not serving", Dye::Bad);
                    }
                }
            }
        }
        for slot in 0..self.senders() {
            if let Some(sender) = &state.senders[slot] {
                let (volume, replica) = self.place(slot);
                let name = if self.volumes().len() > 1 {
                    format!("v{volume}/r{replica}")
                } else {
                    format!("r{replica}")
                };
                sender_facts(&name, sender, &mut card);
            }
        }
        card
    }
}

fn sender_facts(name: &str, sender: &Sender, card: &mut Card) {
    let dye = match sender.state {
        SenderState::InSync => Dye::Good,
        SenderState::Degraded | SenderState::NeedsRebuild => Dye::Bad,
        SenderState::Disconnected
        | SenderState::Connecting
        | SenderState::CatchingUp
        | SenderState::Rebuilding => Dye::Plain,
    };
    card.badge(format!("{name} {}", word(&sender.state)), dye);
    if let Some(reason) = sender.reason {
        card.fact(format!("{name} because"), word(&reason));
    }
    if let Some(lsn) = sender.acknowledged {
        card.fact(format!("{name} acknowledged"), lsn);
    }
    let Some(session) = &sender.session else {
        return;
    };
    card.fact(format!("{name} session"), {
        let (id, kind, phase) = (session.id, word(&session.kind), session.phase.name());
        format!("s{id} {kind}: {phase}")
    });
    match session.phase {
        Phase::Init | Phase::Connecting | Phase::Handshake | Phase::SourceSelect(None) => {}
        Phase::CatchUp(CatchUp {
            from,
            target,
            truncate,
            retention,
            acked,
        }) => {
            card.fact("replays", format!("({from}, {target}]"));
            match truncate {
                Truncate::None => {}
                Truncate::Required(to) => card.fact("must cut after", to),
                Truncate::Confirmed(to) => card.fact("cut after", to),
            }
            card.fact("log pin", word(&retention));
            card.fact("acked", position(acked));
        }
        Phase::SourceSelect(Some(plan)) => plan_facts(&plan, card),
        Phase::Transfer(Transfer {
            plan,
            chunks_total,
            chunks_done,
        }) => {
            plan_facts(&plan, card);
            card.fact("chunks", format!("{chunks_done}/{chunks_total}"));
        }
        Phase::TailReplay(TailReplay { plan, goal, acked }) => {
            plan_facts(&plan, card);
            card.fact("goal", goal);
            card.fact("acked", position(acked));
        }
        Phase::Completed(Completed { achieved, acked }) => {
            card.fact("achieved", achieved);
            card.fact("acked", acked);
        }
    }
}

fn plan_facts(plan: &Plan, card: &mut Card) {
    let Plan {
        source,
        why,
        base_lsn,
        target,
        base,
        retention,
    } = plan;
    card.fact("source", format!("{} ({})", word(source), word(why)));
    card.fact("base", base_lsn);
    card.fact("target", target);
    card.fact("base pin", word(base));
    card.fact("log pin", word(retention));
}

fn position(lsn: Option<Lsn>) -> String {
    lsn.map_or_else(|| "nothing".to_owned(), |lsn| lsn.to_string())
}

fn log_strip(log: &Log, is_gone: impl Fn(Lsn) -> bool) -> Strip {
    let cells = log.entries().iter().zip(1..).map(|(&epoch, lsn)| {
        let look = if is_gone(lsn) {
            Look::Faint
        } else {
            Look::Firm
        };
        Cell::new(format!("e{epoch}"), epoch, look)
    });
    Strip {
        name: "log",
        cells: cells.collect(),
        committed: 0,
    }
}

/// The epochs of a log's entries.
pub(super) fn log_text(log: &Log) -> String {
    let epochs: Vec<String> = log.entries().iter().map(|e| format!("e{e}")).collect();
    format!("[{}]", epochs.join(" "))
}

/// The replicas that an assignment names, and what it asks for them.
pub(super) fn assigned(replicas: &[Option<Named>]) -> String {
    let named = replicas.iter().zip(1..).filter_map(|(named, replica)| {
        let named = named.as_ref()?;
        let member = if named.member { "" } else { ", no member" };
        let intent = match named.intent {
            Intent::Nothing => String::new(),
            Intent::Recover(kind) => format!(", {}", word(&kind)),
            Intent::Rebuild => ", rebuild".to_owned(),
        };
        Some(format!("r{replica}{member}{intent}"))
    });
    let named: Vec<String> = named.collect();
    if named.is_empty() {
        "no replica".to_owned()
    } else {
        named.join("; ")
    }
}
