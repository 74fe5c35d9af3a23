//! Refusals in the log: each kind from each place once, then at most once a minute with how many were
//! left out. Whoever can reach the port must not be able to fill a disk with complaints about it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often one kind of refusal of one address is logged.
const QUIET: Duration = Duration::from_secs(60);

/// Pairs of address and kind that are remembered; beyond it the oldest is forgotten.
const REMEMBERED_MAX: usize = 512;

#[derive(Debug)]
struct Heard {
    logged_at: Instant,
    left_out: u64,
}

/// What was complained about lately.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered(BTreeMap<(IpAddr, &'static str), Heard>);

impl Complaints {
    /// Logs a refusal of a peer, if that is due.
    pub(super) fn note(&self, address: IpAddr, kind: &'static str, what: &dyn std::fmt::Display) {
        // Every change of it is complete when the lock is released.
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left_out) = remembered.due(address, kind, Instant::now()) {
            tracing::warn!(%address, kind, left_out, "refused a peer: {what}");
        }
    }
}

impl Remembered {
    /// Whether a refusal is to be logged now, and then how many like it were not since the last.
    fn due(&mut self, address: IpAddr, kind: &'static str, now: Instant) -> Option<u64> {
        if let Some(heard) = self.0.get_mut(&(address, kind)) {
            if now.duration_since(heard.logged_at) < QUIET {
                heard.left_out += 1;
                return None;
            }
            heard.logged_at = now;
            return Some(std::mem::take(&mut heard.left_out));
        }
        if self.0.len() >= REMEMBERED_MAX {
            let oldest = self.0.iter().min_by_key(|(_, heard)| heard.logged_at);
            if let Some(key) = oldest.map(|(key, _)| *key) {
                self.0.remove(&key);
            }
        }
        let heard = Heard {
            logged_at: now,
            left_out: 0,
        };
        self.0.insert((address, kind), heard);
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::{Duration, Instant};

    use super::{QUIET, REMEMBERED_MAX, Remembered};

    fn from(host: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(host))
    }

    #[test]
    fn f38_a_refusal_is_logged_at_once_and_its_repetitions_are_counted() {
        let mut complaints = Remembered::default();
        let start = Instant::now();
        assert_eq!(complaints.due(from(1), "stale_epoch", start), Some(0));
        for repeated in 1..=1000 {
            let at = start + Duration::from_millis(repeated);
            assert_eq!(complaints.due(from(1), "stale_epoch", at), None);
        }
        assert_eq!(
            complaints.due(from(1), "size", start),
            Some(0),
            "another kind"
        );
        assert_eq!(
            complaints.due(from(2), "stale_epoch", start),
            Some(0),
            "another peer"
        );
        assert_eq!(
            complaints.due(from(1), "stale_epoch", start + QUIET),
            Some(1000)
        );
    }

    #[test]
    fn f45_what_is_remembered_of_refused_peers_is_bounded() {
        let mut complaints = Remembered::default();
        let start = Instant::now();
        for host in 0..10_000 {
            let at = start + Duration::from_millis(u64::from(host));
            assert_eq!(complaints.due(from(host), "malformed", at), Some(0));
        }
        assert_eq!(complaints.0.len(), REMEMBERED_MAX);
        let at = start + Duration::from_secs(10);
        assert_eq!(
            complaints.due(from(9_999), "malformed", at),
            None,
            "the newest are kept"
        );
    }
}
