//! The hash of a state: eight fields to a word instead of one, as states are hashed by the million.
//!
//! It is taken of the values and owes nothing to their codes (`encode.rs`): the checker that hashes
//! and the checker that compares codes would not both overlook a field that one of them forgets.

use std::hash::{Hash, Hasher};

use super::log::Log;
use super::state::{
    Assignment, CatchUp, Completed, Ghost, History, Issued, Named, Phase, Plan, Sender, Session,
    Snapshot, State, TailReplay, Transfer, Volume,
};
use super::vocabulary::{Endpoint, Intent, Truncate};

/// The mark of what is absent; no value of these fields reaches it.
const ABSENT: u8 = u8::MAX;

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self {
            now,
            volumes,
            senders,
            histories,
            ghosts,
        } = self;
        hasher.write_u8(*now);
        for volume in volumes {
            volume.hash(hasher);
        }
        for sender in senders {
            sender.hash(hasher);
        }
        for history in histories {
            history.hash(hasher);
        }
        for ghost in ghosts {
            ghost.hash(hasher);
        }
    }
}

fn word<H: Hasher>(hasher: &mut H, fields: [u8; 8]) {
    hasher.write_u64(u64::from_le_bytes(fields));
}

fn named(named: Option<Named>) -> [u8; 4] {
    let Some(Named {
        endpoint: Endpoint { version, address },
        member,
        intent,
    }) = named
    else {
        return [ABSENT; 4];
    };
    let intent = match intent {
        Intent::Nothing => 0,
        Intent::Rebuild => 1,
        Intent::Recover(kind) => 2 + kind as u8,
    };
    [version, address, u8::from(member), intent]
}

fn issued(issued: Option<Issued>) -> [u8; 4] {
    issued.map_or([ABSENT; 4], |issued| {
        let Issued {
            replica,
            epoch,
            endpoint_version,
        } = issued;
        [replica, epoch, endpoint_version, 0]
    })
}

fn pair([a, b]: [[u8; 4]; 2]) -> [u8; 8] {
    [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]]
}

impl Hash for Volume {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self {
            epoch,
            revision,
            serving,
            assignment,
            next_session,
            issued: [first, second, third, fourth],
        } = *self;
        let Assignment {
            epoch: assigned,
            revision: at,
            replicas,
        } = assignment;
        let serving = u8::from(serving);
        word(
            hasher,
            [epoch, revision, serving, next_session, assigned, at, 0, 0],
        );
        word(hasher, pair(replicas.map(named)));
        word(hasher, pair([issued(first), issued(second)]));
        word(hasher, pair([issued(third), issued(fourth)]));
    }
}

impl Hash for Sender {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self {
            endpoint: Endpoint { version, address },
            member,
            state,
            reason,
            acknowledged,
            session,
        } = *self;
        let reason = or_absent(reason.map(|reason| reason as u8));
        let acknowledged = or_absent(acknowledged);
        let (member, present) = (u8::from(member), u8::from(session.is_some()));
        word(
            hasher,
            [
                version,
                address,
                member,
                state as u8,
                reason,
                acknowledged,
                present,
                0,
            ],
        );
        if let Some(session) = session {
            session.hash(hasher);
        }
    }
}

impl Hash for Session {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self {
            id,
            kind,
            epoch,
            endpoint_version,
            since,
            last_progress,
            phase,
        } = *self;
        let (tag, adds) = phase_fields(phase);
        let kind = kind as u8;
        word(
            hasher,
            [
                id,
                kind,
                epoch,
                endpoint_version,
                since,
                last_progress,
                tag,
                0,
            ],
        );
        word(hasher, adds);
    }
}

/// A number for the phase, and what the phase adds.
const fn phase_fields(phase: Phase) -> (u8, [u8; 8]) {
    match phase {
        Phase::Init => (0, [0; 8]),
        Phase::Connecting => (1, [0; 8]),
        Phase::Handshake => (2, [0; 8]),
        Phase::CatchUp(CatchUp {
            from,
            target,
            truncate,
            retention,
            acked,
        }) => {
            let (cut, to) = match truncate {
                Truncate::None => (0, 0),
                Truncate::Required(to) => (1, to),
                Truncate::Confirmed(to) => (2, to),
            };
            let adds = [
                from,
                target,
                cut,
                to,
                retention as u8,
                or_absent(acked),
                0,
                0,
            ];
            (3, adds)
        }
        Phase::SourceSelect(None) => (4, [0; 8]),
        Phase::SourceSelect(Some(plan)) => (5, plan_fields(plan, 0, 0)),
        Phase::Transfer(Transfer {
            plan,
            chunks_total,
            chunks_done,
        }) => (6, plan_fields(plan, chunks_total, chunks_done)),
        Phase::TailReplay(TailReplay { plan, goal, acked }) => {
            (7, plan_fields(plan, goal, or_absent(acked)))
        }
        Phase::Completed(Completed { achieved, acked }) => (8, [achieved, acked, 0, 0, 0, 0, 0, 0]),
    }
}

const fn plan_fields(plan: Plan, first: u8, second: u8) -> [u8; 8] {
    let Plan {
        source,
        why,
        base_lsn,
        target,
        base,
        retention,
    } = plan;
    let (source, why) = (source as u8, why as u8);
    [
        source,
        why,
        base_lsn,
        target,
        base as u8,
        retention as u8,
        first,
        second,
    ]
}

const fn or_absent(value: Option<u8>) -> u8 {
    match value {
        Some(value) => value,
        None => ABSENT,
    }
}

impl Hash for History {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self {
            log,
            forgotten,
            committed,
            checkpoint,
            extent_bound,
            retained_from,
            snapshot,
        } = *self;
        log.hash(hasher);
        let (base_lsn, trusted, content) = match snapshot {
            Some(Snapshot {
                base_lsn,
                trusted,
                content,
            }) => (base_lsn, u8::from(trusted), content),
            None => (ABSENT, ABSENT, ABSENT),
        };
        let retained_from = or_absent(retained_from);
        word(
            hasher,
            [
                forgotten,
                committed,
                checkpoint,
                extent_bound,
                retained_from,
                base_lsn,
                trusted,
                content,
            ],
        );
    }
}

impl Hash for Ghost {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self {
            log,
            extent_bound,
            diverged,
            target,
            split,
            pinned_for_transfer,
            base_whole,
            promised,
            owes_rebuild,
            asked,
            acquired,
            released_twice,
        } = *self;
        log.hash(hasher);
        let flags = [
            diverged,
            pinned_for_transfer,
            base_whole,
            owes_rebuild,
            released_twice,
        ];
        let flags = (flags.iter()).fold(0, |bits, &flag| bits << 1 | u8::from(flag));
        hasher.write_u8(flags);
        let (target, split) = (or_absent(target), or_absent(split));
        word(
            hasher,
            [
                extent_bound,
                target,
                split,
                promised,
                asked[0],
                asked[1],
                acquired[0],
                acquired[1],
            ],
        );
    }
}

impl Hash for Log {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let mut fields = [0; 8];
        let entries = self.entries();
        fields[..entries.len()].copy_from_slice(entries);
        fields[7] = self.head();
        word(hasher, fields);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::hash::BuildHasher;

    use crate::checking::{Bounds, Spec, explore};
    use crate::session::Session;

    #[test]
    fn states_that_differ_in_anything_differ_in_their_hash() {
        let build = hashbrown::DefaultHashBuilder::default();
        for name in ["smallest", "forged"] {
            let spec = Session::at(name).expect("an instance");
            let graph = explore(&spec, &[], Bounds::default()).expect("it fits");
            let mut hashes = HashMap::new();
            for state in graph.states() {
                let before = hashes.insert(build.hash_one(state), state);
                assert_eq!(before, None, "{}", spec.show(&state));
            }
        }
    }
}
