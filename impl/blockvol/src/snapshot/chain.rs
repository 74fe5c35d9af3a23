//! The snapshots of a store in their order, and where each of their blocks is.

use std::sync::Arc;

use holdfast_types::{BlockRange, SnapshotId};

use super::SnapshotInfo;
use super::file::{ABSENT, SnapshotFile, named_at};
use crate::disk::DiskError;

/// One of a chain.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) file: Arc<SnapshotFile>,
    pub(crate) given_up: bool,
}

/// All of them, the oldest first. Never changed: replaced as a whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chain {
    pub(crate) members: Vec<Member>,
}

/// Where a block of a snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// In the file of this member, which names it so.
    Copied { member: usize, named: u32 },
    /// In the image, or beyond the size of every member.
    Image,
}

impl Chain {
    /// Makes everything durable that was written to its files.
    pub(crate) fn sync(&self) -> Result<(), DiskError> {
        self.members.iter().try_for_each(|m| m.file.sync())
    }

    /// The snapshots that can be read, the oldest first.
    pub(crate) fn infos(&self) -> Result<Vec<SnapshotInfo>, DiskError> {
        self.members
            .iter()
            .filter(|member| !member.given_up)
            .map(|Member { file, .. }| {
                Ok(SnapshotInfo {
                    id: file.id(),
                    label: file.label().clone(),
                    blocks: file.blocks(),
                    bytes: file.allocated()?,
                })
            })
            .collect()
    }

    /// The member of a name, unless it was given up.
    pub(crate) fn position(&self, id: SnapshotId) -> Option<usize> {
        self.members
            .iter()
            .position(|member| !member.given_up && member.file.id() == id)
    }

    /// The newest one that anybody can read: what is overwritten is copied into it.
    pub(crate) fn newest(&self) -> Option<usize> {
        self.members.iter().rposition(|member| !member.given_up)
    }

    /// Where blocks of a member are, each.
    pub(crate) fn locate(&self, from: usize, range: BlockRange) -> Result<Vec<Found>, DiskError> {
        let mut found = vec![Found::Image; range.count() as usize];
        let mut open = found.len();
        for (member, Member { file, .. }) in self.members.iter().enumerate().skip(from) {
            if open == 0 {
                break;
            }
            let count = file
                .blocks()
                .saturating_sub(range.start())
                .min(range.count());
            let Ok(covered) = BlockRange::new(range.start(), count) else {
                continue;
            };
            let map = file.map(covered)?;
            for (index, place) in found.iter_mut().take(count as usize).enumerate() {
                let named = named_at(&map, index);
                if *place == Found::Image && named != ABSENT {
                    *place = Found::Copied { member, named };
                    open -= 1;
                }
            }
        }
        Ok(found)
    }
}
