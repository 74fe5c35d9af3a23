//! Snapshots and growing: logged as entries that every copy carries out at the same point, and told as
//! done once this copy has carried them out and the commit rule holds for them.
//!
//! Promises: an operation is committed before it is told; a snapshot holds every write that was
//! acknowledged before it was asked for, and no write that was sent after the answer; a snapshot is
//! restored only if every copy in the in-sync set has it, since one that lacks it could go on by a
//! rebuild alone; nothing is imported over anything that was written.
//!
//! Rule: `docs/protocol.md`, section 1, *a volume operation happens when the flusher reaches it*.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_blockvol::{AppendError, MAX_BLOCKS, SnapshotInfo, chunk_range};
use holdfast_types::{
    BLOCK_SIZE, BlockCount, BlockRange, EntryKind, Lsn, OPERATION_BYTES, SnapshotId, SnapshotLabel,
    VolumeOperation,
};
use serde::{Deserialize, Serialize};
use tokio::task::block_in_place;
use tokio::time::{Instant, timeout_at};

use super::super::control::{ControlReply, CopyReply, CopyRequest, Problem, ProblemKind};
use super::{IoFailure, Primary};

/// How long an operation may take until it is carried out here.
const CARRY_OUT_WAIT: Duration = Duration::from_secs(120);

/// The most blocks that one piece of an import has.
const IMPORT_BLOCKS_MAX: u64 = 64;

/// A snapshot, as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRow {
    /// Its name: the position and the epoch of the entry that made it, as in `17-3`.
    pub snapshot: String,
    /// Its label.
    pub label: SnapshotLabel,
    /// The size of the volume then, in blocks.
    pub blocks: BlockCount,
    /// Bytes that its own file takes at the primary.
    pub bytes: u64,
}

impl From<&SnapshotInfo> for SnapshotRow {
    fn from(info: &SnapshotInfo) -> Self {
        Self {
            snapshot: info.id.to_string(),
            label: info.label.clone(),
            blocks: info.blocks,
            bytes: info.bytes,
        }
    }
}

/// A piece of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotChunk {
    pub(crate) content: Bytes,
    pub(crate) sha256: [u8; 32],
}

fn refused(what: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::Refused, what)
}

fn failed(failure: IoFailure) -> Problem {
    let kind = match &failure {
        IoFailure::Invalid { .. } => ProblemKind::Invalid,
        IoFailure::TimedOut { .. } | IoFailure::Stopped { .. } => ProblemKind::Unavailable,
        IoFailure::Store { .. } => ProblemKind::Refused,
    };
    Problem::new(kind, failure.to_string())
}

/// The snapshot of this name, or the only one of this label.
fn one_named(infos: Vec<SnapshotInfo>, named: &str) -> Result<SnapshotInfo, Problem> {
    let matches =
        |info: &SnapshotInfo| info.id.to_string() == named || info.label.as_str() == named;
    let mut found: Vec<SnapshotInfo> = infos.into_iter().filter(matches).collect();
    if found.len() > 1 {
        let what = format!("{named:?} is the label of several snapshots: name it as in 17-3");
        return Err(refused(what));
    }
    found.pop().ok_or_else(|| {
        let what =
            format!("no snapshot {named:?} here; `holdfast volume snapshot list` shows them");
        Problem::new(ProblemKind::NotFound, what)
    })
}

impl Primary {
    /// The snapshots of this copy, the oldest first.
    ///
    /// # Errors
    /// When the file system does not tell.
    pub(crate) fn snapshots(&self) -> Result<Vec<SnapshotRow>, Problem> {
        Ok(self
            .snapshot_infos()?
            .iter()
            .map(SnapshotRow::from)
            .collect())
    }

    fn snapshot_infos(&self) -> Result<Vec<SnapshotInfo>, Problem> {
        block_in_place(|| self.store.volume().snapshots())
            .map_err(|error| refused(error.to_string()))
    }

    /// A snapshot by its name, or by its label.
    fn snapshot_named(&self, named: &str) -> Result<SnapshotInfo, Problem> {
        one_named(self.snapshot_infos()?, named)
    }

    /// Makes a snapshot of everything acknowledged so far.
    ///
    /// # Errors
    /// When there is one of this label, there are as many as there can be, or it cannot be committed.
    pub(crate) async fn create_snapshot(
        &self,
        label: SnapshotLabel,
    ) -> Result<SnapshotRow, Problem> {
        let _turn = self.operating.lock().await;
        if self
            .snapshot_infos()?
            .iter()
            .any(|info| info.label == label)
        {
            return Err(refused(format!(
                "there is a snapshot {label:?} already",
                label = label.as_str()
            )));
        }
        let operation = VolumeOperation::SnapshotCreate { label };
        let lsn = self.operate(&operation).await?;
        let id = SnapshotId {
            lsn,
            epoch: self.epoch,
        };
        self.snapshot_named(&id.to_string())
            .map(|info| SnapshotRow::from(&info))
    }

    /// Gives a snapshot up, on every copy.
    ///
    /// # Errors
    /// When there is none of this name, or it cannot be committed.
    pub(crate) async fn delete_snapshot(&self, named: &str) -> Result<(), Problem> {
        let _turn = self.operating.lock().await;
        let snapshot = self.snapshot_named(named)?.id;
        self.operate(&VolumeOperation::SnapshotDelete { snapshot })
            .await?;
        Ok(())
    }

    /// Makes the volume hold what a snapshot holds.
    ///
    /// # Errors
    /// When a copy in the in-sync set does not have it, or it cannot be committed.
    pub(crate) async fn restore_snapshot(self: &Arc<Self>, named: &str) -> Result<(), Problem> {
        let _turn = self.operating.lock().await;
        let snapshot = self.snapshot_named(named)?.id;
        self.all_have(snapshot).await?;
        self.operate(&VolumeOperation::Restore { snapshot }).await?;
        Ok(())
    }

    /// Whether every member of the in-sync set has a snapshot: asked of each, in its session.
    async fn all_have(&self, snapshot: SnapshotId) -> Result<(), Problem> {
        let mut left_out = Default::default();
        let copies = self.in_sync_copies(&mut left_out);
        let name = snapshot.to_string();
        for replica in &self.record().isr {
            if *replica == self.services.id {
                continue;
            }
            let Some(copy) = copies.get(replica) else {
                return Err(refused(format!(
                    "{replica} is a member and not in sync: whether it has the snapshot is not known"
                )));
            };
            let asked = self.of_copy(copy, CopyRequest::Snapshots);
            let answer = self.client(replica, copy).ask(&asked).await;
            let has = match answer {
                Ok(ControlReply::Copy(CopyReply::Snapshots { snapshots })) => {
                    snapshots.contains(&name)
                }
                Ok(_) => return Err(refused(format!("{replica} answered something else"))),
                Err(error) => return Err(refused(format!("{replica}: {error}"))),
            };
            if !has {
                return Err(refused(format!(
                    "{replica} does not have the snapshot: it was rebuilt since, and a rebuild brings \
                     none. Take it out of the in-sync set first (stop it, then `holdfast replica \
                     evict`), and have it rebuilt afterwards"
                )));
            }
        }
        Ok(())
    }

    /// A chunk of a snapshot, of 256 blocks but for the last; `None` beyond it.
    ///
    /// # Errors
    /// When there is no such snapshot, or it cannot be read.
    pub(crate) fn snapshot_chunk(
        &self,
        named: &str,
        index: u64,
    ) -> Result<(SnapshotRow, Option<SnapshotChunk>), Problem> {
        let info = self.snapshot_named(named)?;
        let read = block_in_place(|| self.store.volume().snapshot(info.id)?.chunk(index));
        let chunk = read.map_err(|error| refused(error.to_string()))?;
        let chunk = chunk.map(|(content, digest)| SnapshotChunk {
            content,
            sha256: digest.0,
        });
        Ok((SnapshotRow::from(&info), chunk))
    }

    /// Makes the volume larger; the size that it has then.
    ///
    /// # Errors
    /// When that is not larger, or more than any volume has.
    pub(crate) async fn grow(self: &Arc<Self>, blocks: BlockCount) -> Result<(), Problem> {
        let _turn = self.operating.lock().await;
        let present = self.store.volume().blocks_at_head();
        if blocks > MAX_BLOCKS {
            return Err(Problem::invalid(format!(
                "a volume has at most {MAX_BLOCKS} blocks"
            )));
        }
        if blocks < present {
            return Err(refused(format!(
                "the volume has {present} blocks, and never becomes smaller"
            )));
        }
        // A grow that was logged and not recorded, by a failover between the two, is recorded now.
        if blocks > present {
            self.operate(&VolumeOperation::Grow { blocks }).await?;
        }
        self.change(|record| {
            let mut next = record.clone();
            next.blocks = blocks.max(record.blocks);
            Ok(next)
        })
        .await
    }

    /// Logs an operation, has it committed, and waits until it is carried out here.
    async fn operate(&self, operation: &VolumeOperation) -> Result<Lsn, Problem> {
        let deadline = Instant::now() + self.services.limits.write_timeout;
        self.admitted(deadline).await.map_err(failed)?;
        let lsn = self.log_operation(operation, deadline).await?;
        self.committed(lsn, deadline).await.map_err(failed)?;
        let mut moved = self.store.moved();
        let deadline = Instant::now() + CARRY_OUT_WAIT;
        loop {
            moved.borrow_and_update();
            if self.store.positions().checkpoint >= lsn {
                tracing::info!(volume = %self.volume, %lsn, ?operation, "carried out");
                return Ok(lsn);
            }
            if let Some(error) = self.store.volume().write_back_error() {
                return Err(refused(format!(
                    "it is logged at {lsn} and not carried out: {error}"
                )));
            }
            if !matches!(timeout_at(deadline, moved.changed()).await, Ok(Ok(()))) {
                return Err(Problem::new(
                    ProblemKind::Unavailable,
                    format!("it is logged at {lsn} and was not carried out in time; it will be"),
                ));
            }
        }
    }

    async fn log_operation(
        &self,
        operation: &VolumeOperation,
        deadline: Instant,
    ) -> Result<Lsn, Problem> {
        self.below_the_bound(deadline).await.map_err(failed)?;
        let mut moved = self.store.moved();
        loop {
            moved.borrow_and_update();
            let volume = self.store.volume();
            match block_in_place(|| volume.append_operation(self.epoch, operation)) {
                Ok(lsn) => {
                    self.uncommitted().logged(lsn, OPERATION_BYTES as u64);
                    self.note_local();
                    return Ok(lsn);
                }
                Err(AppendError::LogFull { .. } | AppendError::Restoring { .. }) => {}
                Err(AppendError::Operation { what }) => return Err(refused(what)),
                Err(error) => return Err(refused(error.to_string())),
            }
            // Room comes from write-back, which waits for what is committed.
            self.want_durable(self.store.positions().head);
            if !matches!(timeout_at(deadline, moved.changed()).await, Ok(Ok(()))) {
                let what = "there was no room in the log in time; nothing was logged";
                return Err(Problem::new(ProblemKind::Unavailable, what));
            }
        }
    }

    /// Whether an image of so many blocks may be imported: it has to fit, and nothing may be there.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn check_import(&self, blocks: BlockCount) -> Result<(), Problem> {
        let present = self.blocks();
        if blocks > present {
            return Err(refused(format!(
                "the image has {blocks} blocks, the volume {present}: grow it first"
            )));
        }
        let mut content = Vec::new();
        let mut index = 0;
        while let Some(range) = chunk_range(index, present) {
            content.resize(usize::try_from(range.count()).unwrap_or(0) * BLOCK_SIZE, 0);
            self.read(range, &mut content).await.map_err(failed)?;
            if content.iter().any(|byte| *byte != 0) {
                return Err(refused(format!(
                    "the volume is not empty (blocks {range}): an image is imported into a new volume"
                )));
            }
            index += 1;
        }
        Ok(())
    }

    /// Writes a piece of an image, like a client would; durably if it is the last.
    ///
    /// # Errors
    /// When it is no piece, or cannot be written.
    pub(crate) async fn import(
        &self,
        block: u64,
        content: Vec<u8>,
        last: bool,
    ) -> Result<(), Problem> {
        let blocks = (content.len() / BLOCK_SIZE) as u64;
        let whole = content.len().is_multiple_of(BLOCK_SIZE);
        if !whole || !(1..=IMPORT_BLOCKS_MAX).contains(&blocks) {
            let what = format!("a piece of an image has 1 to {IMPORT_BLOCKS_MAX} whole blocks");
            return Err(Problem::invalid(what));
        }
        let range = BlockRange::new(block, blocks).map_err(|e| Problem::invalid(e.to_string()))?;
        self.write(EntryKind::Write, range, content.into(), last)
            .await
            .map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use holdfast_blockvol::SnapshotInfo;
    use holdfast_types::{Epoch, Lsn, SnapshotId, SnapshotLabel};

    use super::{ProblemKind, one_named};

    #[test]
    fn a_snapshot_is_named_by_its_position_or_by_a_label_that_only_it_has() {
        let info = |lsn, label: &str| SnapshotInfo {
            id: SnapshotId {
                lsn: Lsn(lsn),
                epoch: Epoch(2),
            },
            label: SnapshotLabel::new(label).unwrap(),
            blocks: 8,
            bytes: 0,
        };
        let all = || vec![info(5, "monday"), info(7, "twice"), info(9, "twice")];
        let named = |name| {
            let found = one_named(all(), name);
            found
                .map(|info| info.id.lsn.0)
                .map_err(|problem| problem.kind)
        };
        assert_eq!(named("monday"), Ok(5));
        assert_eq!(named("9-2"), Ok(9));
        assert_eq!(named("twice"), Err(ProblemKind::Refused));
        assert_eq!(named("9-1"), Err(ProblemKind::NotFound));
    }
}
