//! One replica's sender for as long as it is a member: session after session, needing no traffic to
//! begin one (F48).

use std::sync::Arc;
use std::time::Duration;

use holdfast_engine::{RebuildReason, SenderState, SessionKind};
use holdfast_types::ReplicaId;

use super::membership::Leaving;
use super::{Primary, session};

/// The shortest and the longest pause between two sessions.
const PAUSE_LEAST: Duration = Duration::from_millis(50);
const PAUSE_MOST: Duration = Duration::from_secs(2);

/// A pause that doubles with each failure, with jitter, so that senders do not march in step.
#[derive(Debug)]
struct Backoff {
    pause: Duration,
    seed: u64,
}

impl Backoff {
    fn new(replica: &ReplicaId) -> Self {
        let seed = replica
            .as_str()
            .bytes()
            .fold(0x9e37_79b9_7f4a_7c15, |seed, byte| {
                (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        Self {
            pause: PAUSE_LEAST,
            seed,
        }
    }

    fn reset(&mut self) {
        self.pause = PAUSE_LEAST;
    }

    /// Half of the present pause to all of it; the next is twice as long.
    fn next(&mut self) -> Duration {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MOST);
        let share = u32::try_from(self.seed % 1000).unwrap_or(0);
        pause / 2 + pause / 2 * share / 1000
    }
}

/// The same end again and again is not logged each time.
const QUIET: Duration = Duration::from_secs(60);

/// What was logged last about ends of sessions.
#[derive(Debug, Default)]
struct Ends {
    last: Option<(String, Duration)>,
    left_out: u64,
}

impl Ends {
    /// Whether this end is to be logged, and then how many like it were not since the last.
    fn due(&mut self, reason: &str, now: Duration) -> Option<u64> {
        if let Some((last, at)) = &self.last
            && last == reason
            && now.saturating_sub(*at) < QUIET
        {
            self.left_out += 1;
            return None;
        }
        self.last = Some((reason.to_owned(), now));
        Some(std::mem::take(&mut self.left_out))
    }
}

/// Keeps a sender's sessions going until the replica is no member any more.
pub(super) async fn keep(primary: Arc<Primary>, replica: ReplicaId) {
    let recovery = Arc::clone(&primary.services.recovery);
    let clock = primary.services.clock;
    let mut backoff = Backoff::new(&replica);
    let mut ends = Ends::default();
    let mut last_seen = clock.now();
    let mut kind = SessionKind::Bootstrap;
    loop {
        let ordered = primary.take_ordered(&replica);
        match recovery.state(primary.volume, &replica) {
            None => return,
            Some(SenderState::NeedsRebuild) => {
                if prepare_rebuild(&primary, &replica).await {
                    kind = SessionKind::Rebuild;
                } else {
                    tokio::time::sleep(backoff.next()).await;
                    continue;
                }
            }
            Some(
                SenderState::Disconnected
                | SenderState::Connecting
                | SenderState::CatchingUp
                | SenderState::InSync
                | SenderState::Degraded
                | SenderState::Rebuilding,
            ) => {}
        }
        let attached = match ordered {
            Some(token) => Ok(token),
            None => recovery.attach(primary.volume, &replica, primary.epoch, kind),
        };
        match attached {
            Ok(token) => {
                let end = session::run(&primary, &token).await;
                if let Some(left_out) = ends.due(&end.reason.to_string(), clock.now()) {
                    tracing::info!(volume = %primary.volume, %replica, session = %token.session,
                        reason = %end.reason, left_out, "a session ended");
                }
                if end.was_in_sync {
                    backoff.reset();
                    last_seen = clock.now();
                }
            }
            Err(refusal) => {
                tracing::debug!(volume = %primary.volume, %replica, %refusal, "no session yet");
            }
        }
        kind = SessionKind::CatchUp;
        if clock.now().saturating_sub(last_seen) >= primary.services.limits.leave_after {
            primary.leave(&replica, Leaving::Absent).await;
        }
        tokio::time::sleep(backoff.next()).await;
    }
}

/// Whether a rebuild may begin: the replica has left the in-sync set, and what it holds is not
/// needed (F57).
async fn prepare_rebuild(primary: &Arc<Primary>, replica: &ReplicaId) -> bool {
    primary.leave(replica, Leaving::MustRebuild).await;
    if primary.record().isr.contains(replica) {
        return false;
    }
    let reason = primary.services.recovery.view(|engine| {
        let sender = engine.registry().sender(primary.volume, replica);
        sender.and_then(holdfast_engine::Sender::reason)
    });
    let may_hold_a_copy = reason.is_some_and(RebuildReason::may_hold_a_copy);
    !may_hold_a_copy || primary.is_not_needed(replica).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use holdfast_types::ReplicaId;

    use super::{Backoff, Ends, PAUSE_LEAST, PAUSE_MOST, QUIET};

    #[test]
    fn the_same_end_of_a_session_is_logged_once_and_its_repetitions_are_counted() {
        let mut ends = Ends::default();
        assert_eq!(ends.due("refused", Duration::ZERO), Some(0));
        assert_eq!(ends.due("refused", QUIET / 2), None);
        assert_eq!(ends.due("refused", QUIET), Some(1));
        assert_eq!(ends.due("lost", QUIET), Some(0), "another end");
    }

    #[test]
    fn pauses_grow_to_a_bound_with_jitter_and_begin_anew() {
        let mut backoff = Backoff::new(&ReplicaId::new("b").unwrap());
        let pauses: Vec<_> = (0..20).map(|_| backoff.next()).collect();
        assert!(pauses[0] >= PAUSE_LEAST / 2 && pauses[0] <= PAUSE_LEAST);
        let late = &pauses[10..];
        assert!(
            late.iter()
                .all(|p| *p >= PAUSE_MOST / 2 && *p <= PAUSE_MOST)
        );
        assert!(late.iter().any(|p| p != &late[0]), "no jitter");
        backoff.reset();
        assert!(backoff.next() <= PAUSE_LEAST);
    }
}
