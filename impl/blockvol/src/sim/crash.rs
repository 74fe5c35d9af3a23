//! What is on a disk after a crash: its journal, replayed onto what was there when the recording began.

use std::sync::Arc;

use super::{Crash, Medium, Op, SimRng};
use crate::disk::SECTOR;

/// One disk's content while its journal is replayed.
pub(super) struct Image {
    /// `None`: the file is not there.
    durable: Option<Vec<u8>>,
    pending: Vec<(u64, Arc<[u8]>)>,
    how: Crash,
    rng: SimRng,
}

impl Image {
    pub(super) fn replay(
        initial: Option<Vec<u8>>,
        journal: &[Op],
        which: Medium,
        how: Crash,
    ) -> Option<Vec<u8>> {
        let seed = match how {
            Crash::Sectors(seed) => seed,
            Crash::KeepAll | Crash::KeepNone => 0,
        };
        let mut image = Self {
            durable: initial,
            pending: Vec::new(),
            how,
            rng: SimRng::new(seed ^ which.salt()),
        };
        for op in journal.iter().filter(|op| op.medium() == which) {
            image.take(op);
        }
        image.resolve(how);
        image.durable
    }

    fn take(&mut self, op: &Op) {
        match op {
            Op::Write { offset, data, .. } => self.pending.push((*offset, Arc::clone(data))),
            Op::Punch { offset, len, .. } => {
                self.pending.push((*offset, vec![0; *len as usize].into()));
            }
            Op::Make { len, .. } => {
                self.pending.clear();
                self.durable = Some(vec![0; *len as usize]);
            }
            Op::Remove { .. } => {
                self.pending.clear();
                self.durable = None;
            }
            // Lengths are not lost: a file that is too long harms nobody, one that is too short is
            // refused when it is opened, and is made longer before anything counts on it.
            Op::Grow { len, .. } => {
                if let Some(content) = &mut self.durable {
                    content.resize(*len as usize, 0);
                }
            }
            Op::Sync { .. } => self.resolve(Crash::KeepAll),
            Op::FailedSync { .. } => self.resolve(self.how),
        }
    }

    /// Decides what of the pending writes lands.
    fn resolve(&mut self, how: Crash) {
        for (offset, data) in std::mem::take(&mut self.pending) {
            // Whole writes are often lost or kept as one; else their sectors scatter.
            let scatter = match how {
                Crash::KeepAll => Some(true),
                Crash::KeepNone => Some(false),
                Crash::Sectors(_) => match self.rng.below(4) {
                    0 => Some(true),
                    1 => Some(false),
                    _ => None,
                },
            };
            let mut at = 0;
            while at < data.len() {
                let here = offset + at as u64;
                let to_boundary = (SECTOR - here % SECTOR) as usize;
                let end = data.len().min(at + to_boundary);
                let lands = scatter.unwrap_or_else(|| self.rng.below(2) == 0);
                if let (true, Some(durable)) = (lands, &mut self.durable) {
                    let place = here as usize;
                    durable[place..place + end - at].copy_from_slice(&data[at..end]);
                }
                at = end;
            }
        }
    }
}
