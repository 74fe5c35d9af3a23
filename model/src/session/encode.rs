//! The canonical encoding of a state: fixed length for an instance, a byte a field, in the order
//! of `state.rs`; senders and volumes that an instance cannot have are left out.
//!
//! An absent value is 255, or for a structure a byte 0 followed by zeroes.

use super::Session as Spec;
use super::log::{LOG_MAX, Log};
use super::state::{
    Assignment, CatchUp, Ghost, History, Named, Phase, Plan, SENDERS, Sender, Session, State,
    TailReplay, Transfer, Volume,
};
use super::vocabulary::{Intent, Pin, SessionKind, Truncate};

const ABSENT: u8 = u8::MAX;
const PHASE_BYTES: usize = 12;

pub(super) fn state(spec: &Spec, state: &State, code: &mut Vec<u8>) {
    code.push(state.now);
    for at in 0..spec.volumes().len() {
        present(code, VOLUME_BYTES, state.volumes[at].as_ref(), volume);
        history(&state.histories[at], code);
    }
    for slot in 0..spec.senders() {
        present(code, SENDER_BYTES, state.senders[slot].as_ref(), sender);
        ghost(&state.ghosts[slot], code);
    }
}

/// A structure that may be absent, in a fixed number of bytes.
fn present<T>(
    code: &mut Vec<u8>,
    bytes: usize,
    value: Option<&T>,
    encode: impl FnOnce(&T, &mut Vec<u8>),
) {
    let begin = code.len();
    code.push(u8::from(value.is_some()));
    if let Some(value) = value {
        encode(value, code);
    }
    let end = begin + 1 + bytes;
    assert!(
        code.len() <= end,
        "a structure must not outgrow its place in the code"
    );
    code.resize(end, 0);
}

const NAMED_BYTES: usize = 4;
const ISSUED_BYTES: usize = 3;
const VOLUME_BYTES: usize =
    4 + 2 + SENDERS * (1 + NAMED_BYTES) + super::state::SESSIONS_MAX * (1 + ISSUED_BYTES);
const SESSION_BYTES: usize = 6 + PHASE_BYTES;
const SENDER_BYTES: usize = 6 + 1 + SESSION_BYTES;

fn volume(volume: &Volume, code: &mut Vec<u8>) {
    let Volume {
        epoch,
        revision,
        serving,
        assignment,
        next_session,
        issued,
    } = volume;
    code.extend([*epoch, *revision, u8::from(*serving), *next_session]);
    let Assignment {
        epoch,
        revision,
        replicas,
    } = assignment;
    code.extend([*epoch, *revision]);
    for replica in replicas {
        present(
            code,
            NAMED_BYTES,
            replica.as_ref(),
            |named: &Named, code| {
                let Named {
                    endpoint,
                    member,
                    intent,
                } = named;
                let intent = match intent {
                    Intent::Nothing => 0,
                    Intent::Rebuild => 1,
                    Intent::Recover(SessionKind::Bootstrap) => 2,
                    Intent::Recover(SessionKind::CatchUp) => 3,
                    Intent::Recover(SessionKind::Reassign) => 4,
                    Intent::Recover(SessionKind::Rebuild) => 5,
                };
                code.extend([
                    endpoint.version,
                    endpoint.address,
                    u8::from(*member),
                    intent,
                ]);
            },
        );
    }
    for issued in issued {
        present(code, ISSUED_BYTES, issued.as_ref(), |issued, code| {
            code.extend([issued.replica, issued.epoch, issued.endpoint_version]);
        });
    }
}

fn sender(sender: &Sender, code: &mut Vec<u8>) {
    let Sender {
        endpoint,
        member,
        state,
        reason,
        acknowledged,
        session: current,
    } = sender;
    code.extend([
        endpoint.version,
        endpoint.address,
        u8::from(*member),
        *state as u8,
    ]);
    code.push(reason.map_or(ABSENT, |reason| reason as u8));
    code.push(acknowledged.unwrap_or(ABSENT));
    present(code, SESSION_BYTES, current.as_ref(), session);
}

fn session(session: &Session, code: &mut Vec<u8>) {
    let Session {
        id,
        kind,
        epoch,
        endpoint_version,
        since,
        last_progress,
        phase,
    } = session;
    code.extend([
        *id,
        *kind as u8,
        *epoch,
        *endpoint_version,
        *since,
        *last_progress,
    ]);
    match phase {
        Phase::Init => code.push(0),
        Phase::Connecting => code.push(1),
        Phase::Handshake => code.push(2),
        Phase::CatchUp(CatchUp {
            from,
            target,
            truncate,
            retention,
            acked,
        }) => {
            let (cut, to) = match truncate {
                Truncate::None => (0, ABSENT),
                Truncate::Required(to) => (1, *to),
                Truncate::Confirmed(to) => (2, *to),
            };
            let acked = acked.unwrap_or(ABSENT);
            code.extend([3, *from, *target, cut, to, pin(*retention), acked]);
        }
        Phase::SourceSelect(None) => code.push(4),
        Phase::SourceSelect(Some(chosen)) => {
            code.push(5);
            plan(chosen, code);
        }
        Phase::Transfer(Transfer {
            plan: chosen,
            chunks_total,
            chunks_done,
        }) => {
            code.push(6);
            plan(chosen, code);
            code.extend([*chunks_total, *chunks_done]);
        }
        Phase::TailReplay(TailReplay {
            plan: chosen,
            goal,
            acked,
        }) => {
            code.push(7);
            plan(chosen, code);
            code.extend([*goal, acked.unwrap_or(ABSENT)]);
        }
        Phase::Completed(completed) => code.extend([8, completed.achieved, completed.acked]),
    }
}

fn plan(plan: &Plan, code: &mut Vec<u8>) {
    let Plan {
        source,
        why,
        base_lsn,
        target,
        base,
        retention,
    } = plan;
    code.extend([
        *source as u8,
        *why as u8,
        *base_lsn,
        *target,
        pin(*base),
        pin(*retention),
    ]);
}

const fn pin(pin: Pin) -> u8 {
    pin as u8
}

fn log(log: &Log, code: &mut Vec<u8>) {
    code.push(log.head());
    code.extend(log.entries());
    code.resize(code.len() + LOG_MAX - log.entries().len(), 0);
}

fn history(history: &History, code: &mut Vec<u8>) {
    let History {
        log: entries,
        forgotten,
        committed,
        checkpoint,
        extent_bound,
        ..
    } = history;
    log(entries, code);
    code.extend([*forgotten, *committed, *checkpoint, *extent_bound]);
    code.push(history.retained_from.unwrap_or(ABSENT));
    present(code, 3, history.snapshot.as_ref(), |snapshot, code| {
        code.extend([
            snapshot.base_lsn,
            u8::from(snapshot.trusted),
            snapshot.content,
        ]);
    });
}

fn ghost(ghost: &Ghost, code: &mut Vec<u8>) {
    let Ghost {
        log: entries,
        extent_bound,
        diverged,
        target,
        split,
        ..
    } = ghost;
    log(entries, code);
    code.extend([
        *extent_bound,
        target.unwrap_or(ABSENT),
        split.unwrap_or(ABSENT),
    ]);
    code.extend([ghost.promised, ghost.asked[0], ghost.asked[1]]);
    code.extend([ghost.acquired[0], ghost.acquired[1]]);
    let flags = [
        *diverged,
        ghost.pinned_for_transfer,
        ghost.base_whole,
        ghost.owes_rebuild,
        ghost.released_twice,
    ];
    code.push(
        flags
            .iter()
            .fold(0, |bits, &flag| bits << 1 | u8::from(flag)),
    );
}
