//! Verifying the copies of a volume that is served: each block of this copy and of every in-sync one,
//! at one position of the log, while writes go on.
//!
//! ```text
//!   each copy:  head before .. content .. head after          (see `runtime::copies`)
//!   lo = the least head before,  hi = the greatest head after
//!   a block that no entry of (lo, hi] touches is the same in every copy's position of that stretch:
//!     it is judged.  The others were written meanwhile, and are looked at again.
//! ```
//!
//! Promises: a difference is claimed only of blocks that nothing touched between the readings (F21,
//! C1); a copy counts only under the session in which it is in sync, which is the same before and
//! after; what is written again is content of the target's own position, which the target's store
//! checks once more. Nothing is repaired unless asked for. Blocks that never rest are counted as busy,
//! not as equal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use holdfast_blockvol::{CHUNK_BLOCKS, chunk_count};
use holdfast_engine::SenderState;
use holdfast_types::{BlockRange, Endpoint, Lsn, ReplicaId, SessionId};
use tokio::task::{JoinSet, block_in_place};

use super::super::control::{
    ControlClient, ControlReply, ControlRequest, CopyAuthority, CopyReply, CopyRequest, Problem,
    ProblemKind,
};
use super::super::copies::{self, Seen};
use super::Primary;
use super::verify_report::held;
pub use super::verify_report::{Held, Outcome, VerifyFinding, VerifyReport, VerifyStatus};
use crate::tls::Expected;
use crate::verify::{BlockState, Verdict, bytes_of, hexadecimal, judge};

/// How often a chunk is read again for blocks that were written meanwhile.
const ATTEMPTS_MAX: u32 = 10;

/// The pause before the first of these, doubled each time.
const PAUSE: Duration = Duration::from_millis(4);

/// How often one block is written again before it counts as not repairable.
const REPAIRS_MAX: u32 = 2;

/// How long a copy may take for one answer.
const COPY_WAIT: Duration = Duration::from_secs(10);

/// An in-sync copy of another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Copy {
    endpoint: Endpoint,
    session: SessionId,
}

/// A block that was not equal when it was judged first.
#[derive(Clone, Debug)]
struct Sick {
    copies: BTreeMap<ReplicaId, Held>,
    repairs: u32,
    failed: Option<String>,
}

impl Primary {
    /// How far a verification is, while there is one.
    pub(crate) fn verify_status(&self) -> Option<VerifyStatus> {
        *self.verifying.borrow()
    }

    /// Compares every copy that is in sync, and repairs what it finds if that is asked for.
    ///
    /// # Errors
    /// When one is under way already, this copy cannot be read, or the role is given up.
    pub(crate) async fn verify(self: &Arc<Self>, repair: bool) -> Result<VerifyReport, Problem> {
        let chunks_total = chunk_count(self.blocks());
        let begun = self.verifying.send_if_modified(|present| {
            let free = present.is_none();
            if free {
                *present = Some(VerifyStatus::default());
            }
            free
        });
        if !begun {
            let what = "a verification is under way; `holdfast status` shows how far it is";
            return Err(Problem::new(ProblemKind::Refused, what));
        }
        let _ended = Ended(self);
        let mut report = VerifyReport::default();
        report.summary.chunks_total = chunks_total;
        report.copies.insert(self.services.id.clone());
        let mut copies = self.in_sync_copies(&mut report);
        for chunk in 0..chunks_total {
            if let Some(reason) = self.stop_reason() {
                let what = format!("the volume is not served here any more: {reason}");
                return Err(Problem::new(ProblemKind::Unavailable, what));
            }
            self.verify_chunk(chunk, repair, &mut copies, &mut report)
                .await?;
            report.summary.chunks_done = chunk + 1;
            self.verifying.send_replace(Some(report.summary));
            tokio::task::yield_now().await;
        }
        report.copies.extend(copies.into_keys());
        Ok(report)
    }

    /// Every other copy, those that are not in sync left out.
    pub(super) fn in_sync_copies(&self, report: &mut VerifyReport) -> BTreeMap<ReplicaId, Copy> {
        let record = self.record();
        let mut copies = BTreeMap::new();
        for (replica, member) in &record.members {
            if *replica == self.services.id {
                continue;
            }
            match self.in_sync_session(replica) {
                Some(session) => {
                    let endpoint = member.endpoint;
                    copies.insert(replica.clone(), Copy { endpoint, session });
                }
                None => {
                    let why = "it is not in sync".to_owned();
                    report.left_out.insert(replica.clone(), why);
                }
            }
        }
        copies
    }

    /// The session in which a member of the in-sync set is in sync.
    fn in_sync_session(&self, replica: &ReplicaId) -> Option<SessionId> {
        if !self.record.borrow().isr.contains(replica) {
            return None;
        }
        self.services.recovery.view(|engine| {
            let sender = engine.registry().sender(self.volume, replica)?;
            let in_sync = sender.state() == SenderState::InSync;
            sender
                .session()
                .filter(|_| in_sync)
                .map(|session| session.id())
        })
    }

    async fn verify_chunk(
        &self,
        chunk: u64,
        repair: bool,
        copies: &mut BTreeMap<ReplicaId, Copy>,
        report: &mut VerifyReport,
    ) -> Result<(), Problem> {
        let range = copies::range_of(self.store.volume(), chunk).map_err(unread)?;
        let mut pending: BTreeSet<u64> = (range.start()..range.end()).collect();
        let mut sick: BTreeMap<u64, Sick> = BTreeMap::new();
        for attempt in 0..ATTEMPTS_MAX {
            if attempt > 0 {
                tokio::time::sleep(PAUSE * (1 << attempt.min(7))).await;
            }
            let looked = self.look(chunk, copies, report).await?;
            let Some(rested) = self.rested(range, &looked) else {
                continue;
            };
            for block in rested.intersection(&pending).copied().collect::<Vec<_>>() {
                let at = (block - range.start()) as usize;
                let states = looked
                    .iter()
                    .map(|(replica, seen)| (replica.clone(), seen.what[at]));
                let states: BTreeMap<_, _> = states.collect();
                let settled = self
                    .settle_block(block, &states, &looked, repair, copies, &mut sick, report)
                    .await;
                if settled {
                    pending.remove(&block);
                }
            }
            if pending.is_empty() {
                return Ok(());
            }
        }
        for block in pending {
            match sick.remove(&block) {
                Some(sick) => {
                    let what = sick.failed.unwrap_or_else(|| {
                        "it was written to all the while; verify again".to_owned()
                    });
                    report.note(block, sick.copies, Outcome::NotRepaired { what });
                }
                None => report.summary.blocks_busy += 1,
            }
        }
        Ok(())
    }

    /// Judges a block, and repairs it if that is to be; whether it is done with.
    #[allow(clippy::too_many_arguments)]
    async fn settle_block(
        &self,
        block: u64,
        states: &BTreeMap<ReplicaId, BlockState>,
        looked: &BTreeMap<ReplicaId, Seen<Vec<BlockState>>>,
        repair: bool,
        copies: &BTreeMap<ReplicaId, Copy>,
        sick: &mut BTreeMap<u64, Sick>,
        report: &mut VerifyReport,
    ) -> bool {
        let (sources, targets) = match judge(states) {
            Verdict::Equal => {
                if let Some(sick) = sick.remove(&block) {
                    tracing::warn!(volume = %self.volume, block, "a block was repaired");
                    report.note(block, sick.copies, Outcome::Repaired);
                }
                return true;
            }
            Verdict::Undecided { why } => {
                let copies = held(states, &BTreeSet::new());
                tracing::error!(volume = %self.volume, block, ?copies, ?why, "copies differ");
                report.note(block, copies, Outcome::Undecided { why });
                return true;
            }
            Verdict::Repairable { sources, targets } => (sources, targets),
        };
        let present = held(states, &sources);
        if !repair {
            tracing::error!(volume = %self.volume, block, copies = ?present, "copies differ");
            report.note(block, present, Outcome::Repairable);
            return true;
        }
        let known = sick.entry(block).or_insert_with(|| Sick {
            copies: present.clone(),
            repairs: 0,
            failed: None,
        });
        if present.values().any(|held| *held == Held::DamagedEntry) {
            let what = "its log is damaged: `holdfast replica rebuild` makes the copy anew (of the \
                        primary: promote another first)";
            let outcome = Outcome::NotRepaired { what: what.into() };
            report.note(block, present, outcome);
            return true;
        }
        if known.repairs >= REPAIRS_MAX && known.failed.is_some() {
            return false;
        }
        known.repairs += 1;
        known.failed = None;
        for target in &targets {
            let Some(at) = looked.get(target).map(|seen| seen.from) else {
                continue;
            };
            if let Err(what) = self.mend(block, at, states, &sources, target, copies).await {
                tracing::warn!(volume = %self.volume, block, %target, %what, "not repaired yet");
                known.failed = Some(format!("{target}: {what}"));
            }
        }
        false
    }

    /// Reads a chunk of every copy. A copy that does not answer, or is not in the same session any
    /// more, is left out from here on.
    async fn look(
        &self,
        chunk: u64,
        copies: &mut BTreeMap<ReplicaId, Copy>,
        report: &mut VerifyReport,
    ) -> Result<BTreeMap<ReplicaId, Seen<Vec<BlockState>>>, Problem> {
        let mut asked = JoinSet::new();
        for (replica, copy) in copies.iter() {
            let request = self.of_copy(copy, CopyRequest::States { chunk });
            let (client, replica) = (self.client(replica, copy), replica.clone());
            asked.spawn(async move { (replica, states_of(client.ask(&request).await)) });
        }
        let own = block_in_place(|| copies::states(self.store.volume(), chunk)).map_err(unread)?;
        let mut looked = BTreeMap::new();
        while let Some(answered) = asked.join_next().await {
            let Ok((replica, answer)) = answered else {
                continue;
            };
            let same =
                copies.get(&replica).map(|copy| copy.session) == self.in_sync_session(&replica);
            let why = match answer {
                Ok(seen) if same && seen.what.len() == own.what.len() => {
                    looked.insert(replica, seen);
                    continue;
                }
                Ok(_) if same => "it has another size at present".to_owned(),
                Ok(_) => "it is not in sync any more".to_owned(),
                Err(what) => what,
            };
            tracing::warn!(volume = %self.volume, %replica, why, "a copy is not compared");
            copies.remove(&replica);
            report.left_out.insert(replica, why);
        }
        looked.insert(self.services.id.clone(), own);
        Ok(looked)
    }

    /// The blocks of a range that nothing touched while they were looked at; `None`: unknown.
    fn rested<T>(
        &self,
        range: BlockRange,
        looked: &BTreeMap<ReplicaId, Seen<T>>,
    ) -> Option<BTreeSet<u64>> {
        let lo = looked.values().map(|seen| seen.from).min()?;
        let hi = looked.values().map(|seen| seen.to).max()?;
        let touched = self.store.volume().touched(range, lo, hi)?;
        let mut rested: BTreeSet<u64> = (range.start()..range.end()).collect();
        for range in touched {
            rested.retain(|block| !(range.start()..range.end()).contains(block));
        }
        Some(rested)
    }

    /// Writes a block of one copy again, as it was at that copy's position `at`.
    async fn mend(
        &self,
        block: u64,
        at: Lsn,
        states: &BTreeMap<ReplicaId, BlockState>,
        sources: &BTreeSet<ReplicaId>,
        target: &ReplicaId,
        copies: &BTreeMap<ReplicaId, Copy>,
    ) -> Result<(), String> {
        let own = &self.services.id;
        let source = sources.get(own).or_else(|| sources.first());
        let source = source.ok_or("no copy is sound")?;
        let seen = if source == own {
            block_in_place(|| copies::content(self.store.volume(), block))
                .map_err(|error| error.to_string())?
        } else {
            let copy = copies
                .get(source)
                .ok_or("its source is not in sync any more")?;
            let request = self.of_copy(copy, CopyRequest::Content { block });
            content_of(self.client(source, copy).ask(&request).await)?
        };
        if states.get(source) != Some(&BlockState::of(&seen.what)) {
            return Err("its source has changed meanwhile".into());
        }
        let range = BlockRange::new(block, 1).map_err(|error| error.to_string())?;
        let (lo, hi) = (at.min(seen.from), at.max(seen.to));
        match self.store.volume().touched(range, lo, hi) {
            Some(touched) if touched.is_empty() => {}
            Some(_) | None => return Err("it was written to meanwhile".into()),
        }
        if target == own {
            return block_in_place(|| self.store.volume().repair(range, seen.what.into(), at))
                .map_err(|error| error.to_string());
        }
        let copy = copies.get(target).ok_or("it is not in sync any more")?;
        let content = hexadecimal(&seen.what);
        let request = self.of_copy(copy, CopyRequest::Repair { block, at, content });
        match self.client(target, copy).ask(&request).await {
            Ok(ControlReply::Copy(CopyReply::Repaired)) => Ok(()),
            Ok(_) => Err("it answered something else".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    pub(super) fn of_copy(&self, copy: &Copy, what: CopyRequest) -> ControlRequest {
        ControlRequest::Copy {
            authority: CopyAuthority {
                volume: self.volume,
                epoch: self.epoch,
                session: copy.session,
            },
            what,
        }
    }

    pub(super) fn client(&self, replica: &ReplicaId, copy: &Copy) -> ControlClient {
        let client = ControlClient::tcp(copy.endpoint.control, COPY_WAIT);
        client.under(&self.services.protection, Expected::Node(replica.clone()))
    }
}

/// Nothing is verified any more when this is dropped.
struct Ended<'a>(&'a Primary);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.verifying.send_replace(None);
    }
}

fn unread(error: impl ToString) -> Problem {
    Problem::new(
        ProblemKind::Refused,
        format!("this copy: {}", error.to_string()),
    )
}

type Answer = Result<ControlReply, super::super::control::ControlError>;

fn states_of(answer: Answer) -> Result<Seen<Vec<BlockState>>, String> {
    let reply = answer.map_err(|error| error.to_string())?;
    let ControlReply::Copy(CopyReply::States { from, to, blocks }) = reply else {
        return Err("it answered something else".into());
    };
    let states: Option<Vec<_>> = blocks
        .iter()
        .take(CHUNK_BLOCKS as usize + 1)
        .map(|text| BlockState::read(text))
        .collect();
    let what = states.ok_or("it told of no states")?;
    Ok(Seen { from, to, what })
}

fn content_of(answer: Answer) -> Result<Seen<Vec<u8>>, String> {
    let reply = answer.map_err(|error| error.to_string())?;
    let ControlReply::Copy(CopyReply::Content { from, to, content }) = reply else {
        return Err("it answered something else".into());
    };
    let what = bytes_of(&content).ok_or("it told no content")?;
    Ok(Seen { from, to, what })
}
