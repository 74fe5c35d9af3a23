//! Rebuilds that an operator orders, how fast they may go, and how far each one is.
//!
//! ```text
//!   order -> left the in-sync set -> not needed by what was promised -> rebuild session, in place of
//!     the present one -> sent at no more than its rate -> in sync
//! ```
//!
//! Promises: an order changes nothing unless the volume goes on without the copy (`may_leave`), and a
//! copy is overwritten only once everything promised is durable on enough others (F57). The session is
//! an ordinary rebuild: the engine's reason for it is `ordered`, and one that fails is tried again
//! like any other. Orders live as long as this incarnation: a new primary finds the copy trusted or
//! not, and acts on that.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use holdfast_engine::SenderState;
use holdfast_types::{BLOCK_SIZE, FencingToken, ReplicaId};
use serde::{Deserialize, Serialize};

use super::super::control::{Problem, ProblemKind};
use super::Primary;
use super::membership::{Leaving, may_leave};
use crate::rebuild::{CHUNK_BLOCKS, LEAST_RATE};

/// How far a base transfer is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RebuildStatus {
    /// Bytes of the base that are installed, zeroes included.
    pub bytes_done: u64,
    /// Bytes of the whole base.
    pub bytes_total: u64,
    /// Bytes installed in a second, since the transfer began.
    pub bytes_per_second: u64,
    /// What it is held to, in bytes per second.
    pub rate: Option<u64>,
    /// How long the rest of the base takes at this speed; unknown before the first chunk.
    pub eta_seconds: Option<u64>,
}

/// A base on its way.
#[derive(Clone, Copy, Debug)]
struct Transfer {
    began: Duration,
    chunks_done: u64,
    chunks_total: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Rebuilds {
    /// Sessions that were begun by an order, and that no sender has taken up yet.
    ordered: BTreeMap<ReplicaId, FencingToken>,
    /// What transfers are held to, until the replica is in sync.
    rates: BTreeMap<ReplicaId, u64>,
    transfers: BTreeMap<ReplicaId, Transfer>,
}

impl Rebuilds {
    fn status(&self, replica: &ReplicaId, blocks: u64, now: Duration) -> Option<RebuildStatus> {
        let transfer = self.transfers.get(replica)?;
        let bytes_total = blocks.saturating_mul(BLOCK_SIZE as u64);
        let installed = transfer.chunks_done.saturating_mul(CHUNK_BLOCKS);
        let bytes_done = match transfer.chunks_done >= transfer.chunks_total {
            true => bytes_total,
            false => installed.saturating_mul(BLOCK_SIZE as u64),
        };
        let millis = now.saturating_sub(transfer.began).as_millis().max(1);
        let speed = u128::from(bytes_done) * 1000 / millis;
        let left = u128::from(bytes_total - bytes_done.min(bytes_total));
        let eta = (left + speed.saturating_sub(1)).checked_div(speed);
        Some(RebuildStatus {
            bytes_done,
            bytes_total,
            bytes_per_second: u64::try_from(speed).unwrap_or(u64::MAX),
            rate: self.rates.get(replica).copied(),
            eta_seconds: eta.map(|eta| u64::try_from(eta).unwrap_or(u64::MAX)),
        })
    }
}

impl Primary {
    fn rebuilds(&self) -> MutexGuard<'_, Rebuilds> {
        // Every change of it is one call.
        self.rebuilds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session that was ordered for a replica, for its sender to carry out.
    pub(super) fn take_ordered(&self, replica: &ReplicaId) -> Option<FencingToken> {
        self.rebuilds().ordered.remove(replica)
    }

    /// What a base for this replica is held to.
    pub(super) fn base_rate(&self, replica: &ReplicaId) -> Option<u64> {
        self.rebuilds().rates.get(replica).copied()
    }

    /// The replica is in sync: the next rebuild of it is held to nothing.
    pub(super) fn rebuilt(&self, replica: &ReplicaId) {
        self.rebuilds().rates.remove(replica);
    }

    /// How far a rebuild is, while its base is on the way.
    pub(crate) fn rebuild_status(&self, replica: &ReplicaId) -> Option<RebuildStatus> {
        let now = self.services.clock.now();
        self.rebuilds().status(replica, self.blocks(), now)
    }

    /// Has a copy rebuilt from this one, at no more than `rate` bytes per second. Of one that is being
    /// rebuilt, or waits for it, it changes the rate.
    ///
    /// # Errors
    /// When the volume does not go on without the copy, or needs what it holds; nothing is
    /// overwritten then.
    pub(crate) async fn rebuild(
        self: &Arc<Self>,
        replica: &ReplicaId,
        rate: Option<u64>,
    ) -> Result<(), Problem> {
        self.check_rate(rate)?;
        let recovery = &self.services.recovery;
        let _turn = self.membership.lock().await;
        let record = self.record();
        let refused = |what: String| Err(Problem::new(ProblemKind::Refused, what));
        if !record.members.contains_key(replica) {
            let what = format!("{replica} keeps no copy of {:?}", record.name);
            return Err(Problem::new(ProblemKind::NotFound, what));
        }
        if *replica == self.services.id {
            let what = format!(
                "{replica} is the primary, from which others are rebuilt: promote another first"
            );
            return refused(what);
        }
        match recovery.state(self.volume, replica) {
            Some(SenderState::Rebuilding | SenderState::NeedsRebuild) => {
                self.hold_to(replica, rate);
                return Ok(());
            }
            Some(
                SenderState::Disconnected
                | SenderState::Connecting
                | SenderState::CatchingUp
                | SenderState::InSync
                | SenderState::Degraded,
            )
            | None => {}
        }
        if record.isr.contains(replica) && !may_leave(&record, replica) {
            return refused(format!(
                "without {replica} the volume could not go on ({} in sync, min_in_sync {}): \
                 have another copy in sync first, or lower what the volume asks for",
                record.isr.len(),
                record.min_in_sync
            ));
        }
        if !self.leave_in_turn(replica, Leaving::MustRebuild).await {
            return refused(format!(
                "{replica} cannot leave the in-sync set: what was acknowledged is not on enough other \
                 copies; `holdfast status` shows which are missing"
            ));
        }
        if !self.is_not_needed(replica).await {
            return refused(format!(
                "{replica} may hold what others do not have yet: it is rebuilt once everything \
                 acknowledged is durable on enough of them"
            ));
        }
        // Before the session can send anything.
        self.hold_to(replica, rate);
        let token = recovery
            .order_rebuild(self.volume, replica, self.epoch)
            .map_err(|refusal| Problem::from(refusal.to_string()))?;
        self.rebuilds().ordered.insert(replica.clone(), token);
        tracing::info!(volume = %self.volume, %replica, rate, "a rebuild was ordered");
        Ok(())
    }

    fn hold_to(&self, replica: &ReplicaId, rate: Option<u64>) {
        let mut rebuilds = self.rebuilds();
        match rate {
            Some(rate) => rebuilds.rates.insert(replica.clone(), rate),
            None => rebuilds.rates.remove(replica),
        };
    }

    fn check_rate(&self, rate: Option<u64>) -> Result<(), Problem> {
        let Some(rate) = rate else {
            return Ok(());
        };
        if rate < LEAST_RATE {
            let what = format!("a rate is at least {} KiB per second", LEAST_RATE >> 10);
            return Err(Problem::invalid(what));
        }
        let bytes = self.blocks().saturating_mul(BLOCK_SIZE as u64);
        let budget = self.services.limits.sessions.rebuild_time;
        if u128::from(bytes) * 1000 / u128::from(rate) > budget.as_millis() {
            let what = format!(
                "at {rate} bytes per second the base takes longer than limits.rebuild_time ({} s)",
                budget.as_secs()
            );
            return Err(Problem::invalid(what));
        }
        Ok(())
    }
}

/// A transfer that status tells of until this is dropped.
pub(super) struct UnderWay {
    primary: Arc<Primary>,
    replica: ReplicaId,
}

impl UnderWay {
    /// A transfer of so many chunks begins.
    pub(super) fn begin(primary: &Arc<Primary>, replica: ReplicaId, chunks_total: u64) -> Self {
        let transfer = Transfer {
            began: primary.services.clock.now(),
            chunks_done: 0,
            chunks_total,
        };
        primary
            .rebuilds()
            .transfers
            .insert(replica.clone(), transfer);
        Self {
            primary: Arc::clone(primary),
            replica,
        }
    }

    /// So many chunks are installed.
    pub(super) fn installed(&self, chunks: u64) {
        if let Some(transfer) = self.primary.rebuilds().transfers.get_mut(&self.replica) {
            transfer.chunks_done = transfer.chunks_done.max(chunks);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.primary.rebuilds().transfers.remove(&self.replica);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use holdfast_types::{BLOCK_SIZE, ReplicaId};

    use super::{CHUNK_BLOCKS, Rebuilds, Transfer};

    #[test]
    fn progress_tells_speed_and_the_time_that_is_left() {
        let replica = ReplicaId::new("b").unwrap();
        let mut rebuilds = Rebuilds::default();
        let blocks = 3 * CHUNK_BLOCKS + 1;
        assert_eq!(rebuilds.status(&replica, blocks, Duration::ZERO), None);
        rebuilds.rates.insert(replica.clone(), 7);
        let mut transfer = Transfer {
            began: Duration::from_secs(10),
            chunks_done: 0,
            chunks_total: 4,
        };
        rebuilds.transfers.insert(replica.clone(), transfer);
        let at = |rebuilds: &Rebuilds, seconds| {
            let now = Duration::from_secs(seconds);
            rebuilds.status(&replica, blocks, now).unwrap()
        };
        assert_eq!(at(&rebuilds, 11).eta_seconds, None, "nothing to go by");
        transfer.chunks_done = 2;
        rebuilds.transfers.insert(replica.clone(), transfer);
        let told = at(&rebuilds, 12);
        let chunk = CHUNK_BLOCKS * BLOCK_SIZE as u64;
        assert_eq!((told.bytes_done, told.bytes_per_second), (2 * chunk, chunk));
        assert_eq!(told.bytes_total, 3 * chunk + BLOCK_SIZE as u64);
        assert_eq!((told.rate, told.eta_seconds), (Some(7), Some(2)));
        transfer.chunks_done = 4;
        rebuilds.transfers.insert(replica.clone(), transfer);
        let told = at(&rebuilds, 14);
        assert_eq!(told.bytes_done, told.bytes_total);
        assert_eq!(told.eta_seconds, Some(0));
    }
}
