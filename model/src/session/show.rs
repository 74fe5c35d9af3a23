//! A state in one line, for people who read traces.

use std::fmt::Write as _;

use super::Session as Spec;
use super::log::Log;
use super::state::{CatchUp, Completed, Phase, Plan, Sender, State, TailReplay, Transfer};
use super::vocabulary::{Lsn, UNBOUNDED};

pub(super) fn state(spec: &Spec, state: &State) -> String {
    let mut line = format!("now {}", state.now);
    for (at, number) in spec.volumes().iter().enumerate() {
        let history = &state.histories[at];
        match &state.volumes[at] {
            None => {
                let _ = write!(line, "; v{number} unknown");
            }
            Some(volume) => {
                let serving = if volume.serving { "" } else { " not serving" };
                let (epoch, revision) = (volume.epoch, volume.revision);
                let _ = write!(line, "; v{number} epoch {epoch}.{revision}{serving}");
            }
        }
        let _ = write!(line, ", primary log {} ", log(&history.log));
        let _ = write!(
            line,
            "committed {} checkpoint {}",
            history.committed, history.checkpoint
        );
        if !history.is_trusted() {
            line.push_str(" UNTRUSTED");
        }
        match history.retained_from {
            Some(lsn) => {
                let _ = write!(line, " retained from {lsn}");
            }
            None => line.push_str(" nothing retained"),
        }
    }
    for slot in 0..spec.senders() {
        let (volume, replica) = spec.place(slot);
        let Some(sender) = &state.senders[slot] else {
            continue;
        };
        let _ = write!(line, "; v{volume}/r{replica} {}", word(&sender.state));
        if let Some(reason) = &sender.reason {
            let _ = write!(line, " ({})", word(reason));
        }
        if let Some(lsn) = sender.acknowledged {
            let _ = write!(line, " acknowledged {lsn}");
        }
        session(sender, &mut line);
        let ghost = &state.ghosts[slot];
        if sender.session.is_some() {
            let _ = write!(line, ", its disk {}", log(&ghost.log));
            match ghost.extent_bound {
                0 => {}
                UNBOUNDED => line.push_str(" extent untrusted"),
                bound => {
                    let _ = write!(line, " extent up to {bound}");
                }
            }
        }
    }
    line
}

fn session(sender: &Sender, line: &mut String) {
    let Some(session) = &sender.session else {
        return;
    };
    let _ = write!(
        line,
        ", s{} {} {}",
        session.id,
        word(&session.kind),
        session.phase.name()
    );
    match session.phase {
        Phase::Init | Phase::Connecting | Phase::Handshake | Phase::SourceSelect(None) => {}
        Phase::CatchUp(CatchUp {
            from,
            target,
            truncate,
            retention,
            acked,
        }) => {
            let _ = write!(line, " ({from}, {target}] cut {}", word(&truncate));
            let _ = write!(line, " pin {} acked {}", word(&retention), position(acked));
        }
        Phase::SourceSelect(Some(chosen)) => plan(&chosen, line),
        Phase::Transfer(Transfer {
            plan: chosen,
            chunks_total,
            chunks_done,
        }) => {
            plan(&chosen, line);
            let _ = write!(line, " chunks {chunks_done}/{chunks_total}");
        }
        Phase::TailReplay(TailReplay {
            plan: chosen,
            goal,
            acked,
        }) => {
            plan(&chosen, line);
            let _ = write!(line, " goal {goal} acked {}", position(acked));
        }
        Phase::Completed(Completed { achieved, acked }) => {
            let _ = write!(line, " achieved {achieved} acked {acked}");
        }
    }
}

fn plan(plan: &Plan, line: &mut String) {
    let Plan {
        source,
        why,
        base_lsn,
        target,
        base,
        retention,
    } = plan;
    let _ = write!(
        line,
        " {} ({}) base {base_lsn} target {target}",
        word(source),
        word(why)
    );
    let _ = write!(line, " pins {}/{}", word(base), word(retention));
}

fn position(lsn: Option<Lsn>) -> String {
    lsn.map_or("nothing".to_owned(), |lsn| lsn.to_string())
}

fn log(log: &Log) -> String {
    let epochs: Vec<String> = log.entries().iter().map(u8::to_string).collect();
    format!("[{}]", epochs.join(" "))
}

/// The word of the prose for a value.
pub(super) fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string().replace(['{', '}', '"'], ""),
        Err(_) => "?".to_owned(),
    }
}
